/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of fs share among themselves; nobody else includes this.
 */
#pragma once

#include "core/base/fs.h"

#define FS_NAME_MAX 255

/* What to do about -r, a full sentence, or NULL. */
const char *fs_hint(int r);
/* Sets "could not <what> \"<path>\": <reason of r>" with the hint and returns r. */
int fs_fail(Error *err, int r, const char *what, const char *path);
/* The same for what is known by descriptor only; the path comes from the kernel. */
int fs_fail_fd(Error *err, int r, const char *what, int fd);

/* Opens path inside root; links are followed, but never out of it. Descriptor or negative errno. */
int fs_open_in_root(int root, const char *path, int flags);
/* fs_place_open without a word. */
int fs_place_find(int root, const char *path, FsPlace *ret);
/* One component that is not "." or "..": what the *_at functions take. */
bool fs_name_is_single(const char *name);
