/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: the host key, and the keys of transactions wrapped by it.
 *
 * The host key is var/lib/pawl/seal.key (0600), made once, never replaced by pawl on its own.
 */
#pragma once

#include "core/base/seal.h"
#include "journal/journal.h"

/* Reads the host key; with `create` makes one where neither the key nor a journal exists yet. ERR_SEAL_KEY when it
 * is missing or not readable. */
int secrets_host_key(int root, bool create, SealKey **ret, Error *err);

/* The key of a transaction, unwrapped. -ENOENT quietly when it was forgotten. */
int secrets_tx_key(Journal *j, const SealKey *host_key, uint64_t tx, SealKey **ret, Error *err);

/* Writes "****" over every open secret of the tree that stands in the text: what a program printed is shown, sent
 * and kept. Of a secret that a cut line ends in, the beginning counts as well. One of fewer than six characters
 * stays: it would take ports and words with it. */
void secrets_hide(const Value *tree, char *text);
