/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the content of a release in its staging directory: one program, a copied directory, or an unpacked archive;
 * hashed on the way and compared with the digest that was announced. Listing and mark are written last. Nothing is
 * synced and nothing published here.
 */
#pragma once

#include "managers/staging.h"
#include "managers/tree_mark.h"

/* From the arguments of the manager "tree". mark->by is set by the caller; the rest is filled. */
int tree_build(const Host *host, const Value *args, Staging *to, TreeMark *mark, Error *err);
