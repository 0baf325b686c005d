/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the tracer traces: added, let go, killed. Private to tracer*.c. */
#pragma once

#include <sched.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/crash/tracer.h"
#include "tests/crash/tracer_calls.h"

typedef struct Tracee {
        pid_t tid;
        bool is_gone;     /* dead and reaped, or released */
        bool is_forking;  /* inside a call that makes a process or a thread */
        bool is_in_event; /* a counted call began and did not end yet */
        bool is_again;    /* a signal interrupted it; the kernel may start the same call once more */
        TracerMode strike;
        TracerEvent event;
        bool is_shortened;
        unsigned size_index;
        uint64_t size_value;
        uint64_t vector_address; /* 0: the vector itself was left alone */
        struct iovec vector;
} Tracee;

typedef struct Run {
        const TracerSpec *spec;
        TracerResult *result;
        CallOutputs outputs;
        unsigned mask;
        Tracee **tracees;
        size_t n_tracees, n_live;
        pid_t root, root_session;
        cpu_set_t processors; /* that the caller may use */
        struct stat root_program;
        bool has_started, is_killing, is_letting_go;
        uint64_t deadline; /* milliseconds of the monotonic clock; 0: none */
        int error;         /* what tracer_run() returns */
} Run;

/* NULL: it is not, or not any more. */
Tracee *run_find(const Run *run, pid_t tid);
void run_add(Run *run, pid_t tid);
void run_forget(Run *run, Tracee *tracee);
/* Everybody, for cleaning up. */
void run_kill_all(Run *run);
/* The kill that the caller asked for. */
void run_strike_dead(Run *run);
/* The first error stays, and everybody is killed. */
void run_fail(Run *run, int error);
/* False: it was being killed and its end is yet to be waited for. */
bool tracee_release(Run *run, Tracee *tracee, int signal);
void tracee_go_on(Run *run, Tracee *tracee, int signal);
