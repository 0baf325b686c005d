/* SPDX-License-Identifier: Apache-2.0 */
/* Which system call changes what: the table behind the tracer, and the reading of a stopped process that it needs.
 * Private to the tracer. */
#pragma once

#include <sys/stat.h>

#include "tests/crash/tracer.h"

/* The files that stand behind the command's standard output and error, if they are files: no part of its work. */
typedef struct CallOutputs {
        struct stat files[2];
        size_t n_files;
} CallOutputs;

/* Expects pid, syscall and args of the event; fills name, and for what counts kind, path and path2. Returns the
 * TracerKind, 0 for what changes nothing that is counted, or -ENOTSUP with ret_problem (TRACER_PROBLEM_SIZE) set: a
 * gap. */
int call_classify(const CallOutputs *outputs, TracerEvent *event, char *ret_problem);

/* Which files' reading counts: those whose path begins so (NULL-terminated, borrowed until the next call; NULL: none,
 * and nothing that only looks counts). */
void call_look_below(const char *const *prefixes);

/* Does it make a process or a thread? */
bool call_is_forking(int nr);

/* Which argument (0 …) is the number of bytes, or with *ret_is_vector of iovecs, that are written? -1: it is no
 * write. */
int call_size_argument(int nr, bool *ret_is_vector);

/* process_vm_readv() and process_vm_writev(), whole or not at all. Return 0 or a negative errno. */
int call_read_memory(pid_t tid, uint64_t address, void *ret_data, size_t size);
int call_write_memory(pid_t tid, uint64_t address, const void *data, size_t size);
