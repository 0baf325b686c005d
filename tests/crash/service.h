/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that pawl starts, seen from outside: by /proc and by asking their port. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SERVICE_BLOCK_SIZE = 8192, SERVICE_PATH_SIZE = 512 };

/* A running program, so that another one just like it can be started in a copy of its root. */
typedef struct Service {
        pid_t pid;                                                           /* 0: none runs */
        char arguments[SERVICE_BLOCK_SIZE], environment[SERVICE_BLOCK_SIZE]; /* as in /proc: each ends with NUL */
        size_t n_arguments, n_environment;
        char directory[SERVICE_PATH_SIZE], log[SERVICE_PATH_SIZE];
} Service;

/* What root/run/pawl/<name>.proc names, if it lives, and how its definition has it started: by now it may have executed
 * another program, and be in another directory. 0 or a negative errno. */
int service_look(const char *root, const char *name, Service *ret);
/* Starts it once more, in a session of its own, and writes the new process into the proc file. */
int service_start(const char *root, const char *name, Service *service);

/* Living processes whose program lies below root; with ret_version, the name of the release of the first. */
size_t service_count(const char *root, char *ret_version, size_t size);
/* Kills every process whose program or working directory lies below root, and reaps what is ours. */
void service_end_all(const char *root);
/* The same by descent, for a subreaper, wherever the programs lie: the sessions that children of ours are in, but
 * for our own and for those that still are `pawl`. */
size_t service_count_children(const char *pawl);
/* Kills and reaps children, and those that come to us then, until there are none. False: some do not die. */
bool service_end_children(void);

/* What the program behind the port says it is ("v1"); waits for it until the time is over. False: nobody answers. */
bool service_ask(int port, unsigned wait_ms, char *ret_version, size_t size);
