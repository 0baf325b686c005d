/* SPDX-License-Identifier: Apache-2.0 */
/* What one event can be made to suffer, from the table faults.def. */
#pragma once

#include "tests/crash/tracer.h"

enum { FAULTS_MAX = 32 };

typedef struct Fault {
        TracerMode mode; /* ERRNO: not done; LIE: done and told otherwise; SHORT */
        int error;       /* 0 for SHORT */
} Fault;

/* A lock is refused (ENOLCK) to files that are locked only. */
bool fault_fits(const char *call, const char *path);

/* How many faults this call knows, the changing ones as lies, too; fills ret_faults. */
size_t faults_of(const char *call, TracerKind kind, Fault ret_faults[FAULTS_MAX]);

/* The reason why pawl may pass over it without a word; NULL: it must tell. */
const char *fault_silence(const char *call, const char *path, int error);

/* Is it one that is always tried? */
bool fault_is_pinned(const char *flow, const char *call, const char *path, const Fault *fault);

/* EIO, 5 → 5; 0: no such error. */
int fault_error_of(const char *text);
