/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/pawl/<service>.proc: which process is the service's program, written down before that program runs.
 *
 * A process is named by number, start time and boot identity together: none of the three alone means anything later.
 *
 * Before that program is told to end, the file is renamed to run/pawl/<service>.stop: from then on it may still live,
 * but it is no longer one that runs. Without this, recovery after a death between the signal and the end of the program
 * would find it alive and take it for what was there before. A rename, because it needs no room on a full disk.
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
        bool is_ending;          /* not in the file, but its name: it was told to end, or is about to be */
} ProcFile;

/* "run/pawl/<service>.proc", owned by the caller; NULL when memory is out. */
char *proc_file_path(const char *service);
/* 0, or -ENOENT quietly. A file that does not read as one is -EBADMSG. What was started since supersedes what is
 * ending. */
int proc_file_read(const Host *host, const char *service, ProcFile *ret, Error *err);
int proc_file_write(const Host *host, const char *service, const ProcFile *p, Error *err);
/* To be called, and durable, before the program gets its first signal. */
int proc_file_set_ending(const Host *host, const char *service, Error *err);
int proc_file_remove(const Host *host, const char *service, Error *err); /* under both names; missing is success */

/* True when the process it names runs now: this boot, this start time, no zombie, and not one that still waits to be
 * let go. */
bool proc_file_is_alive(const Host *host, const ProcFile *p);
