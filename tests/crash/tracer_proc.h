/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about a process. Private to the tracer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ProcStat {
        char state; /* 'Z' and 'X' are dead */
        pid_t parent;
        pid_t session;
        uint64_t start_time;
} ProcStat;

/* Returns 0, or a negative errno: the process is gone. */
int proc_stat(pid_t pid, ProcStat *ret_stat);

/* Calls `each` for every process, and inside that possibly for every thread, by the numbers in the directory. */
int proc_each(const char *directory, void (*each)(pid_t id, void *userdata), void *userdata);

/* Is this thread traced by the calling thread? */
bool proc_is_traced_by_us(pid_t tid);
