/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching a service's program while its health is checked: whether it still runs, whether a process is a part of it,
 * how it ended, what it printed last. Whatever keeps it running.
 */
#pragma once

#include "managers/bus.h"
#include "managers/proc_file.h"
#include "managers/procfs.h"

typedef struct Watch {
        const Host *host;
        const char *service; /* NULL: nothing is watched */
        const char *unit;    /* NULL: the embedded runtime */
        ProcFile proc;       /* of the embedded runtime */
        BusUnit state;       /* of a unit, as it was first seen */
        int pid;             /* 0: it had already ended */
        uint64_t start_time;
        int pidfd; /* readable when it ends; -1: cannot be waited for */
} Watch;
#define WATCH_INIT ((Watch){.pidfd = -1})

/* Both texts borrowed for the life of *ret. ERR_HEALTH when there is nothing to watch. */
int watch_begin(const Host *host, const char *service, const char *unit, Watch *ret, Error *err);
void watch_done(Watch *w);

bool watch_has_ended(const Watch *w);
bool watch_has_process(const Watch *w, const ProcessInfo *p);
/* "exited with status 1", and after how many seconds. */
double watch_ending(const Watch *w, char how[static 64]);
/* Appends the last n lines of this run's output to err->detail. */
void watch_output(const Watch *w, size_t n, Error *err);
