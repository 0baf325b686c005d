/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch root that is put back to the same state before every run: its files, and the program that ran in it.
 *
 * A root always lies at the same path, because pawl writes that path into its files; what is kept of it lies beside. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "tests/crash/service.h"
#include "tests/crash/tracer.h"

enum { WORLD_PATH_SIZE = 256, WORLD_OUTPUT_SIZE = 16384, WORLD_LINE_SIZE = 512 };

#define WORLD_SECRET "horse-battery-0815-staple" /* in the environment of every pawl, taken into the service's */

typedef enum WorldPort { PORT_FIRST, PORT_OTHER, PORT_FOREIGN, PORT_COUNT, PORT_UNASKED } WorldPort;

typedef struct World {
        char base[WORLD_PATH_SIZE];
        char root[WORLD_PATH_SIZE], kept[WORLD_PATH_SIZE], files[WORLD_PATH_SIZE];
        char pawl[PATH_MAX]; /* the program under test */
        char name[64];       /* the service's */
        bool is_users;       /* somebody's own spec, in `files`: in the environment it was given, not in ours */
        int ports[PORT_COUNT];
        char port_range[32];          /* for `port: auto`, as PAWL_PORTS_RANGE has it; "": pawl's own */
        unsigned boot;                /* power cuts so far: every pawl believes in as many other boots */
        char inodes[WORLD_PATH_SIZE]; /* names a file that gives files their former numbers (fault.h); "": none */
        pid_t foreign;                /* a program that has nothing to do with pawl; 0: there is none */
        Service service;              /* as it ran when the root was kept; pid 0: it did not */
} World;

typedef struct WorldRun {
        char output[WORLD_OUTPUT_SIZE]; /* both streams, cut at the size */
        int status;                     /* exit status; 128 + signal; -1: it hung and was killed */
        uint64_t msec;
} WorldRun;

/* What stands in the environment besides PATH and the sanitizers' options; NULL: nothing. */
typedef struct WorldEnv {
        const char *mutant, *crash_at, *pause_at;
        const char *preload, *alloc_fail_at, *alloc_count_to; /* alloc_shim.c */
        const char *libcall_fail_at, *libcall_count_to;       /* libcalls_shim.c */
} WorldEnv;

/* `id` tells worlds of one run apart. Reads PAWL_TESTING and the folder of the examples. 0 or a negative errno, told
 * on stderr. */
int world_open(World *w, unsigned id);
/* The foreign program: world_open() starts it; after what ended everything it is started again. */
int world_start_foreign(World *w);
/* The same for a spec that lies in `folder`, of the service `name`. No foreign program is started. `port: auto`
 * chooses among ports that no other such world has. A subreaper: whatever is started in it is a descendant of the
 * caller, who may have no other children. */
int world_open_for(World *w, unsigned id, const char *folder, const char *name);
void world_close(World *w);

/* Ends every program that was started in it, and reaps what is ours. */
void world_end(World *w);
/* How many services run; with ret_version, the release of the first. Of somebody's own spec, whose program may execute
 * another one anywhere, that is "the spec's". */
size_t world_count(const World *w, char *ret_version, size_t size);

/* An empty root, with what belongs to others in it; no program runs. */
int world_reset(World *w);
/* Keeps the root as it is, and ends what runs in it. */
int world_keep(World *w);
/* Puts the root back as it was kept, and starts the program that ran in it. */
int world_restore(World *w);

/* Runs pawl with the words of `line` behind --root; the working directory holds the specs and programs. */
void world_pawl(World *w, const char *line, const WorldEnv *env, WorldRun *ret);
/* Starts it only; *ret_pid is the caller's to wait for. The output goes to base/<name>. */
int world_pawl_begin(World *w, const char *line, const WorldEnv *env, const char *name, pid_t *ret_pid);
/* Waits for it, at most msec, then kills it. The status as in WorldRun. */
int world_pawl_end(pid_t pid, uint64_t msec);
/* The same under the tracer; fills mode and the like from `spec`, whose argv, envp and streams are set here; the kinds
 * are DISK and PROC where it names none. */
int world_trace(World *w, const char *line, const WorldEnv *env, TracerSpec *spec, TracerResult *ret, char *ret_output);
