/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a program in two acts: spawn_begin() makes a child that is completely prepared but waits at a gate,
 * spawn_release() opens the gate.
 *
 * Between the two the caller writes down who the child is. Whoever dies in between, the child notices (the gate's
 * other end is closed) and exits without having run anything. The child leads a session of its own, holds no
 * descriptor of ours but those it is given, and has every signal as a fresh program expects it. Never a shell,
 * never a search path: argv[0] is the file that is executed.
 */
#pragma once

#include <sys/types.h>

#include "core/base/error.h"

#define SPAWN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SPAWN_GROUPS_MAX 64

typedef struct SpawnUser {
        uid_t uid;
        gid_t gid;
        gid_t groups[SPAWN_GROUPS_MAX];
        int n_groups;
} SpawnUser;

typedef struct Spawn {
        char *const *argv;        /* ends with NULL; borrowed, as all below */
        char *const *environment; /* ends with NULL */
        const char *directory;    /* NULL: "/" */
        int input, output, errors;
        int keep;              /* one more descriptor that the program and all its descendants hold; -1: none */
        const SpawnUser *user; /* NULL: whoever we are */
} Spawn;

typedef struct Spawned {
        int pid; /* 0: none */
        uint64_t start_time;
        int gate;
} Spawned;
#define SPAWNED_INIT ((Spawned){.gate = -1})

int spawn_begin(const Spawn *s, Spawned *ret, Error *err);
/* 0: the program is running. ERR_PROGRAM `could not start "<argv[0]>": <reason>` otherwise; the child is gone then.
 * */
int spawn_release(const Spawn *s, Spawned *p, Error *err);
/* A child that was not released exits and is waited for. */
void spawned_done(Spawned *p);

/* Where SPAWN_PATH has the program (a name with a slash is taken as it is); owned by the caller. -ENOENT with
 * ERR_NOT_FOUND. */
int spawn_find(const char *name, char **ret, Error *err);
