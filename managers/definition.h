/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of a service's program in the embedded runtime: a JSON file under etc/pawl that another step
 * writes and a start reads.
 *
 *   {"argv": ["/abs/program", ...], "env_file": "/abs" , "directory": "/abs", "log": "/abs", "user": "name",
 * "service": "web"}
 *
 * All paths are real ones (the root is already in front); env_file, directory and user may be absent.
 */
#pragma once

#include "managers/manager.h"
#include "managers/spawn.h"

typedef struct Definition {
        Value *map;         /* owned */
        char **argv;        /* owned list of texts borrowed from map; ends with NULL */
        char **environment; /* owned; ends with NULL; wiped when freed */
        const char *directory;
        const char *log; /* relative to the root */
        SpawnUser user;
        bool has_user; /* another one than we are */
} Definition;
void definition_done(Definition *d);

/* Reads and checks the file at `path` (relative to the root), and the environment file and user it names. `run`
 * becomes PAWL_RUN. ERR_SPEC when it is not a definition, or names no user where we are root; -ENOENT with
 * ERR_NOT_FOUND when there is none. */
int definition_read(const Host *host, const char *path, const char *run, Definition *ret, Error *err);
