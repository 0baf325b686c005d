/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: the host key, and the keys of transactions wrapped by it.
 *
 * The host key is var/lib/pawl/seal.key (0600), made once, never replaced by pawl on its own.
 */
#pragma once

#include "core/base/seal.h"
#include "journal/journal.h"

/* Reads the host key; with `create` makes one where neither the key nor a journal exists yet. ERR_SEAL_KEY when it is missing or not readable. */
int secrets_host_key(int root, bool create, SealKey **ret, Error *err);

/* The key of a transaction, unwrapped. -ENOENT quietly when it was forgotten. */
int secrets_tx_key(Journal *j, const SealKey *host_key, uint64_t tx, SealKey **ret, Error *err);
