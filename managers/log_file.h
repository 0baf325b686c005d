/* SPDX-License-Identifier: Apache-2.0 */
/*
 * var/log/pawl/<service>.log: what the programs of the embedded runtime print. Rotated once, to ".1", when a
 * program is started.
 */
#pragma once

#include "managers/manager.h"

#define LOG_ROTATE_SIZE (10 << 20)
#define LOG_LINE_MAX ((size_t)64 << 10) /* a longer line is handed on in pieces, each of which counts as a line */
#define LOG_BACK_MAX ((off_t)16 << 20)  /* how far back the last n lines are looked for, over both files */
#define LOG_ALL_MAX ((off_t)64 << 20)   /* what "all" is at most: so much of the end */

typedef struct LogSink {
        void (*line)(void *userdata, const char *text, size_t n_text);
        void *userdata;
} LogSink;

/* "var/log/pawl/<service>.log", owned by the caller. */
char *log_file_path(const char *service);
/* Opens the file for a program that is about to start, rotating it first when it is large. The folder is made. A
 * descriptor, or negative errno. */
int log_file_open(const Host *host, const char *path, Error *err);
/* The last n lines (0: all there are), reaching back into the rotated file, but never further than LOG_BACK_MAX (0:
 * LOG_ALL_MAX) from the end: fewer lines then. -ECANCELED when cancelled; with follow, what is added until
 * cancelled, which is then success. */
int log_file_lines(const Host *host, const char *service, size_t n, bool follow, const LogSink *sink, Error *err);
/* Appends the last n lines behind the offset `from` (what an earlier program printed tells nothing about this one)
 * to err->detail; whatever goes wrong is left out. */
void log_file_to_detail(const Host *host, const char *service, off_t from, size_t n, Error *err);
