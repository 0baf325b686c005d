/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/pawl/<service>.proc: which process is the service's program, written down before that program runs.
 *
 * A process is named by number, start time and boot identity together: none of the three alone means anything later.
 */
#pragma once

#include "managers/manager.h"

#define PROC_DIR "run/pawl"
#define PROC_RUN_SIZE 17

typedef struct ProcFile {
        int pid;
        uint64_t start_time; /* clock ticks since boot, field 22 of /proc/PID/stat */
        uint8_t boot[BOOT_ID_SIZE];
        uint64_t tx;             /* the transaction that started it, */
        uint32_t step;           /* and its step */
        int64_t since_usec;      /* wall clock */
        int64_t log_from;        /* where its output begins in the log */
        char run[PROC_RUN_SIZE]; /* random; the program has it in its environment as PAWL_RUN */
} ProcFile;

/* "run/pawl/<service>.proc", owned by the caller; NULL when memory is out. */
char *proc_file_path(const char *service);
/* 0, or -ENOENT quietly. A file that does not read as one is -EBADMSG. */
int proc_file_read(const Host *host, const char *service, ProcFile *ret, Error *err);
int proc_file_write(const Host *host, const char *service, const ProcFile *p, Error *err);
int proc_file_remove(const Host *host, const char *service, Error *err); /* missing is success */

/* True when the process it names runs now: this boot, this start time, no zombie, and not one that still waits to be let go. */
bool proc_file_is_alive(const Host *host, const ProcFile *p);
