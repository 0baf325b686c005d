/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Displaced: one name, switched from what was captured to what is wanted, with what it displaced kept beside it.
 *
 * Shared by the managers "file" and "link". The states an interrupted step can leave, and nothing else is ever made:
 *
 *                                          path     staged
 *      not begun, or put back              before   -
 *      staged                              before   after (or half of it)
 *      done, where something was there     after    before
 *      done, where nothing was there       after    -
 *
 * Staging again in the third would destroy the before-image, so everything here begins with a look at both names. A
 * file system without RENAME_EXCHANGE adds "<staged>.new" and "<staged>.old", which are never the only name of
 * anything.
 */
#pragma once

#include "managers/manager.h"

/* What a name should hold; the parts that do not count are marked. */
typedef struct Wanted {
        FsState state; /* uid and gid -1: any; inode is not looked at */
        bool any_mode, any_content;
} Wanted;

bool wanted_is(const Wanted *w, const FsState *s);

typedef struct Displaced {
        const Host *host;
        const char *path; /* borrowed */
        Wanted before, after;
        /* Writes `after` under the name `staged`, durably. */
        int (*stage)(const struct Displaced *d, const char *staged, Error *err);
        const Value *args; /* for stage; borrowed */
} Displaced;

/* As a manager's operations. check and apply refuse what is there and of another type than `after`: -EEXIST
 * (ERR_EXISTS), untouched. */
int displaced_check(const Displaced *d, Error *err);
int displaced_apply(const Displaced *d, Change *ret, Error *err);
int displaced_revert(const Displaced *d, Error *err);
int displaced_probe(const Displaced *d, Probe *ret, Error *err);
int displaced_tidy(const Displaced *d, Error *err);

/* Moves what is at path to "<path>.pawl-conflict" (or .2, .3 ...), because a person decided for what was captured.
 * Missing is success. */
int conflict_keep(const Host *host, const char *path, const char *what, Error *err);
