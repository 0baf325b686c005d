/* SPDX-License-Identifier: Apache-2.0 */
/* A folder counts as well: who may write to it can put another file of root's in the place of this one. */
#include <errno.h>
#include <unistd.h>

#include "core/trust.h"

int trust_check(const struct stat *st, const char *shown, ErrorCode code, Error *err) {
        if (geteuid() != 0)
                return 0;
        if (st->st_uid != 0)
                return error_set(err, -EPERM, code, "Look at it, then give it to root: chown root.",
                                 "\"%s\" belongs to user %u, and root would do what it says", shown,
                                 (unsigned)st->st_uid);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return error_set(
                        err, -EPERM, code, "Look at it, then close it: chmod go-w.",
                        "\"%s\" can be written by others than root (mode %04o), and root would do what it says", shown,
                        (unsigned)(st->st_mode & 07777));
        return 0;
}
