/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that does something for a step and is waited for: a dump, a migration, a health command. Always fenced,
 * never a shell.
 */
#pragma once

#include "managers/manager.h"
#include "managers/spawn.h"

typedef struct ChildRun {
        char *const *argv; /* ends with NULL; argv[0] without a slash is looked for in SPAWN_PATH */
        char *const
                *environment; /* NULL: PATH and LANG=C.UTF-8 only. Secrets belong here or in `input`, never in argv */
        const char *directory;
        const void *input; /* its standard input */
        size_t n_input;
        size_t max_output;     /* 0: 1 MiB; what is beyond is read and dropped */
        uint64_t timeout_usec; /* 0: the host's deadline alone */
        const SpawnUser *user;
} ChildRun;

typedef struct ChildResult {
        int status;   /* exit status; 128 + signal when a signal ended it */
        char *output; /* standard output, NUL-terminated */
        size_t n_output;
        bool is_cut;  /* there was more output */
        char *errors; /* the last 4 KiB of standard error */
} ChildResult;
void child_result_done(ChildResult *r);
#define _cleanup_child_result_ _cleanup_(child_result_done)

/* 0 when it ended by itself, whatever its status. -ETIMEDOUT, -ECANCELED, or it could not be started (ERR_PROGRAM,
 * ERR_NOT_FOUND): nothing of it is left then. */
int child_run(const Host *host, const ChildRun *run, ChildResult *ret, Error *err);
