/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory in the making. Whatever is put into it is reached component by component from its descriptor without
 * following a link, so that a link among what was put there before leads nowhere.
 *
 * Paths are relative to it and safe (path_is_safe); directories are 0755 and made as they are needed.
 */
#pragma once

#include "core/base/error.h"
#include "core/base/fs.h"

typedef struct Staging {
        int fd;
        char *dir; /* the directory last used, and its descriptor: entries mostly come side by side */
        int dir_fd;
} Staging;
#define STAGING_INIT ((Staging){.fd = -1, .dir_fd = -1})

void staging_done(Staging *s);
#define _cleanup_staging_ _cleanup_(staging_done)

/* A new empty directory under the name `path`; what an earlier try left there is removed. */
int staging_begin(Staging *s, int root, const char *path, Error *err);
/* -EEXIST when something other than a directory is there. */
int staging_directory(Staging *s, const char *path, Error *err);
/* A new file, mode 0600, open for writing: descriptor. -EEXIST when the name is taken. */
int staging_file(Staging *s, const char *path, Error *err);
int staging_link(Staging *s, const char *path, const char *target, Error *err);
/* A second name for a regular file that is there already; -ENOENT when it is not. */
int staging_hard_link(Staging *s, const char *path, const char *from, Error *err);
