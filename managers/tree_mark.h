/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark of a release: `.pawl-release` in its top directory, JSON, written in staging before the release gets its
 * name. It says which transaction made it and what it held then. `.pawl-manifest` beside it is the listing behind its
 * manifest digest.
 */
#pragma once

#include "managers/manager.h"

#define TREE_MARK_NAME ".pawl-release"
#define TREE_LISTING_NAME ".pawl-manifest"

typedef struct TreeMark {
        char *by; /* "<tag>-<tx>" */
        char *manifest, *sha256, *kind;
        int64_t size, files;
} TreeMark;
void tree_mark_done(TreeMark *m);
#define _cleanup_tree_mark_ _cleanup_(tree_mark_done)

/* 1: there; 0: no directory there, or one without a readable mark. */
int tree_mark_read(const Host *host, const char *release, TreeMark *ret, Error *err);
int tree_mark_write(int dir_fd, const TreeMark *m, Error *err);
/* "<tag>-<tx>" of this transaction; owned by the caller, NULL when memory is out. */
char *tree_mark_own(const Host *host);
/* {manifest, sha256, size, files, kind} */
int tree_mark_facts(const TreeMark *m, Value **ret, Error *err);
