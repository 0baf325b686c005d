/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells about processes, read from /proc (always the host's own, whatever the root is).
 *
 * Every answer may be out of date when it arrives: a number is only worth something together with a start time.
 * What may not be read (another user's process) is reported as not there.
 */
#pragma once

#include "core/base/error.h"

typedef struct ProcessInfo {
        int pid, parent, group, session;
        bool is_dead;        /* a zombie, or about to be one */
        uint64_t start_time; /* clock ticks since boot */
} ProcessInfo;

/* 0, or -ESRCH quietly. */
int procfs_info(int pid, ProcessInfo *ret);
/* Runs now, with this start time. */
bool procfs_is_alive(int pid, uint64_t start_time);
/* The program's short name, "" when it cannot be told. */
void procfs_name(int pid, char ret[static 64]);
/* Its command line, words joined by spaces, cut to fit; "" when it cannot be told. */
void procfs_command(int pid, char ret[static 256]);
/* Was the process started with the variable "NAME=value" in its environment? */
bool procfs_has_variable(int pid, const char *assignment);

/* Does it execute a file below this folder (an absolute path with a slash at its end), also one that was removed
 * meanwhile? */
bool procfs_executes_below(int pid, const char *folder);

/* Does the process belong to this control group ("/system.slice/pawl-web.service") or to one below it? */
bool procfs_in_cgroup(int pid, const char *group);

/* Calls `each` for every process until it returns something other than 0, and returns that; else 0, or a negative
 * errno. */
int procfs_each(int (*each)(void *userdata, const ProcessInfo *p), void *userdata);
/* Calls `each` with the target of every descriptor of a process ("socket:[123]", a path) and "/proc/<pid>/fd/<n>";
 * as above. */
int procfs_each_fd(int pid, int (*each)(void *userdata, const char *target, const char *fd_path), void *userdata);
