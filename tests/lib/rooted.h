/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Host over a temporary root, for tests of managers. Messages and progress go nowhere.
 */
#pragma once

#include "managers/manager.h"

typedef struct Rooted {
        Host host;
        char dir[256]; /* the temporary directory: "<dir>/root" is the root, the rest is the test's */
        char root[280];
        volatile sig_atomic_t cancel;
        size_t n_warnings;
        HostCalls calls;
} Rooted;

/* tx 7, step 3, tag "0123abcd". ca_file may be NULL. Ends the test program on failure. */
void rooted_init(Rooted *r, const char *ca_file);
/* Removes everything. */
void rooted_done(Rooted *r);

/* "<dir>/<name>"; good until the 8th call after it. */
const char *rooted_path(const Rooted *r, const char *name);
/* A file below dir, with all its parents. */
void rooted_write(const Rooted *r, const char *name, const void *data, size_t size, unsigned mode);
/* Text of a file below dir, owned by the caller; NULL when it is missing. */
char *rooted_read(const Rooted *r, const char *name);
/* Entries of a directory below dir, without "." and ".."; -1 when it is missing. */
int rooted_count(const Rooted *r, const char *name);
bool rooted_exists(const Rooted *r, const char *name);
/* SHA-256 in hex; good until the 8th call after it. */
const char *hex_of(const void *data, size_t size);
