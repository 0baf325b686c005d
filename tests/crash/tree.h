/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of files as a text that can be compared: one line per entry, sorted. Also copying, removing and searching
 * one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Copies files with their mode, directories and links. `to` must not exist. 0 or a negative errno. */
int tree_copy(const char *from, const char *to);
/* Missing is success. */
int tree_remove(const char *path);

typedef enum TreeDetail {
        TREE_PLAIN, /* path, type, mode, owner, content or text of the link; a mark without its transaction */
        TREE_SHAPE, /* the same, but what only its owner may read is told by its size: it may hold what is generated */
        TREE_EXACT, /* also inode and time of the last change: equal only if nobody touched anything */
} TreeDetail;

/* The lines for `paths` (NULL-terminated, relative to root; a missing one has none), owned by the caller. NULL: no
 * memory. */
char *tree_lines(const char *root, const char *const *paths, TreeDetail detail);
/* Writes "only here: LINE" for what differs, a few lines. Returns whether the two are equal. */
bool tree_diff(const char *wanted, const char *found, char *ret_text, size_t size);

/* A file's content with a NUL behind it, owned by the caller. NULL: it cannot be read. */
char *tree_read(const char *path, size_t *ret_size);
/* A 64-bit FNV-1a of a file's content; 0: it cannot be read. */
unsigned long long tree_hash_file(const char *path);
/* Finds a file below root in which `text` stands. With only_readable, files that not everybody may read are passed
 * over. */
bool tree_search(const char *root, const char *text, bool only_readable, char *ret_path, size_t size);
