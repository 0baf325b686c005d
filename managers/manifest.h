/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifest of a tree: a listing, one line per entry in the order of walk.h, and its SHA-256, which stands for the
 * tree's whole content.
 *
 *   d path          a directory
 *   f <hex> path    a file, by the SHA-256 of its content
 *   x <hex> path    a file that may be executed
 *   l <hex> path    a symbolic link, by the SHA-256 of its target
 *
 * Owners, times and all other permission bits do not count. Names at the top that begin with ".pawl-" are left out:
 * there lie the listing and the mark.
 */
#pragma once

#include "managers/stream.h"
#include "managers/walk.h"

typedef struct Manifest {
        Stream out;
        char *buffer;
        size_t n_buffer;
        uint64_t files, size; /* regular files, and their bytes */
} Manifest;

void manifest_done(Manifest *m);
#define _cleanup_manifest_ _cleanup_(manifest_done)

/* The listing goes to fd (borrowed; -1: only its digest is wanted). */
int manifest_begin(Manifest *m, int fd, Error *err);
/* type as above; hex NULL for a directory. */
int manifest_add(Manifest *m, char type, const char *hex, const char *path, Error *err);
int manifest_finish(Manifest *m, char ret_hex[static DIGEST_HEX_SIZE], Error *err);

/* True for what the manifest leaves out. */
bool manifest_skips(const char *path);

/* Type and digest of an entry of a tree on disk; ERR_ARTIFACT for what cannot be in a release: -EINVAL for its kind,
 * -EBADMSG for a link that leads out. */
int manifest_entry(const Host *host, const WalkEntry *e, char *ret_type, char ret_hex[static DIGEST_HEX_SIZE],
                   Error *err);
/* Adds all of a tree. */
int manifest_add_tree(const Host *host, Manifest *m, int dir_fd, Error *err);
/* Compares a tree with the listing in fd: 0, or -ESTALE (ERR_DRIFT) naming the first difference. */
int manifest_compare(const Host *host, int dir_fd, int fd, Error *err);
