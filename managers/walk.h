/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a directory tree in an order that depends on nothing but the names: those of a directory sorted by their bytes,
 * a directory before what is in it. No link is followed, no mount point entered.
 */
#pragma once

#include <sys/stat.h>

#include "core/base/error.h"

#define WALK_DEPTH_MAX 64

typedef struct WalkEntry {
        int dir_fd;       /* of the directory that holds it */
        const char *name; /* there */
        const char *path; /* from the top */
        const struct stat *st;
} WalkEntry;

/* Non-zero ends the walk and is returned. */
typedef int (*WalkVisit)(void *userdata, const WalkEntry *entry, Error *err);

/* dir_fd is borrowed; the top itself is not visited. */
int walk_tree(int dir_fd, WalkVisit visit, void *userdata, Error *err);

/* As strcmp, but in the order of the walk. */
int walk_compare(const char *a, const char *b);
