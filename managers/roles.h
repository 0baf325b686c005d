/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that a step starts, stops or restarts, whatever keeps it running.
 *
 *   owe    before the first change: apply does nothing; revert runs what was there before, from the files as put back
 *   pay    after the last change: apply stops what runs and starts the program anew; revert stops what apply started
 *   start, stop   a person's wish, alone
 *
 * Who runs is volatile: it means something within one boot only. How a program is looked at, stopped and started is the
 * Runner's; when, is decided here, once.
 */
#pragma once

#include "managers/manager.h"

/* What runs now, as seen from a step. */
typedef struct Running {
        bool has_trace;   /* in this boot it ran, and something of that is left; */
        bool is_there;    /* it still lives; */
        bool is_alive;    /* and was not told to end; */
        bool is_ours;     /* this step started it */
        bool is_changing; /* what somebody asked of it, who may be dead since, is still to come: a job that waits */
        bool is_before;   /* it is the very run that was captured */
        bool is_boot;     /* what was captured was captured in this boot */
        bool is_sound;    /* what runs was started by this boot from files that were whole: nothing is to be put back */
        int pid;          /* 0: none */
        uint64_t start_time;
        uint8_t invocation[16]; /* systemd's name of this run */
        bool has_invocation;
} Running;

typedef struct Runner {
        /* before NULL: nothing was captured yet. */
        int (*look)(const Host *host, const Value *args, const Value *before, Running *ret, Error *err);
        /* Who runs, into a before-image. */
        int (*identify)(const Running *now, Value *before, Error *err);
        int (*stop)(const Host *host, const Value *args, Error *err);
        /* Ends what runs, then starts the program from the files as they are. */
        int (*restart)(const Host *host, const Value *args, Running *ret, Error *err);
} Runner;

/* Is the step one that finds everything in place (start), rather than one whose plan makes it? ERR_FAILED: there is
 * no such role. */
int role_needs_all(const Value *args, bool *ret, Error *err);

/* The hint of a start that does not find its files as they were made. */
void role_hint_repair(const Value *args, Error *err);

/* The operations of a manager whose arguments have "service", "role" and perhaps "health". */
int role_capture(const Runner *runner, const Host *host, const Value *args, Value **ret_before, Error *err);
int role_apply(const Runner *runner, const Host *host, const Value *args, const Value *before, StepResult *ret,
               Error *err);
int role_revert(const Runner *runner, const Host *host, const Value *args, const Value *before, Error *err);
int role_probe(const Runner *runner, const Host *host, const Value *args, const Value *before, Probe *ret, Error *err);
int role_verify(const Runner *runner, const Host *host, const Value *args, Error *err);
int role_describe(const Value *args, char **ret, Error *err);
