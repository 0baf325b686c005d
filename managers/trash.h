/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of sight by one rename, within the same directory: the name that trash, purge and prune delete under.
 */
#pragma once

#include "managers/manager.h"

/* ".pawl-trash-<tx>-<step>[-<n>]" beside path, owned by the caller; n 0: without. NULL when memory is out. */
char *trash_name(const Host *host, const char *path, size_t n);
/* Renames path to `trash` and deletes the tree there. What an earlier try left under that name is deleted first.
 * Missing is success. */
int trash_delete(const Host *host, const char *path, const char *trash, Error *err);
