/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A systemd of one unit behind managers/bus.h, for the interrupted states of the managers that ask it: this file takes
 * the place of bus.c and bus_unit.c when the test is linked. (What those make of a real systemd is system.bus.)
 *
 * It lives in memory that is shared with children, so a test lets a child work and die at the n-th boundary, which is
 * any moment before or behind a call, and looks at what is left. A job goes on by itself when who asked for it is dead:
 * with each look one stage further.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "managers/bus.h"

typedef enum UnitState { UNIT_INACTIVE, UNIT_DEACTIVATING, UNIT_ACTIVATING, UNIT_ACTIVE, UNIT_FAILED } UnitState;

typedef struct FakeSystemd {
        UnitState state;
        uint8_t run;               /* the run's invocation id, and what its program was started from; 0: it never ran */
        uint8_t files, files_read; /* which files are there now, and which were there at the last daemon-reload */
        uint8_t started_from;
        BusVerb job;
        unsigned job_id, stages; /* a job, and how many stages it has still to go */
        unsigned n_jobs, n_reloads;
        bool is_gone;           /* nobody answers */
        bool is_broken;         /* whatever is started fails */
        unsigned boundary, cut; /* how many were passed; at which one dies (0: none) */
        unsigned held_job;      /* one that waits for others: it does not go on as long as this is its number */
} FakeSystemd;

static FakeSystemd *systemd;

static void systemd_new(void) {
        systemd = mmap(NULL, sizeof(*systemd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (systemd == MAP_FAILED)
                abort();
        *systemd = (FakeSystemd){.files = 1, .files_read = 1};
}

static void systemd_free(void) {
        (void)munmap(systemd, sizeof(*systemd));
}

static void boundary(void) {
        if (++systemd->boundary == systemd->cut)
                _exit(0);
}

/* ---- Its jobs: the last stage of a stop is inactive, that of a start active -------------------------------------- */

static void begin_run(void) {
        systemd->state = UNIT_ACTIVATING;
        systemd->run++;
        systemd->started_from = systemd->files_read;
}

/* Stages still to go: 3 of a restart while it runs, 2 of a start, 1 of a stop that has begun to end. */
static void job_advance(void) {
        if (systemd->job_id == 0 || systemd->held_job == systemd->job_id)
                return;
        bool was_running = systemd->state == UNIT_ACTIVE || systemd->state == UNIT_ACTIVATING;
        if (systemd->job == BUS_STOP) {
                systemd->state = was_running ? UNIT_DEACTIVATING : UNIT_INACTIVE;
                systemd->stages = was_running ? 1 : 0;
        } else if (systemd->stages == 3) {
                systemd->state = was_running ? UNIT_DEACTIVATING : UNIT_INACTIVE;
                systemd->stages = 2;
        } else if (systemd->stages == 2) {
                begin_run();
                systemd->stages = 1;
        } else {
                systemd->state = systemd->is_broken ? UNIT_FAILED : UNIT_ACTIVE;
                systemd->stages = 0;
        }
        if (systemd->stages == 0)
                systemd->job_id = 0;
}

static void must_be_ours(const char *unit) {
        if (strcmp(unit, "pawl-web.service") != 0)
                abort();
}

static int silence(Error *err) {
        return error_set(err, -EHOSTDOWN, ERR_UNSUPPORTED, NULL, "systemd does not answer: gone");
}

/* ---- managers/bus.h ---------------------------------------------------------------------------------------------- */

int bus_job(const Host *host, BusVerb verb, const char *unit, uint64_t timeout_usec, Error *err) {
        (void)host, (void)timeout_usec;
        must_be_ours(unit);
        boundary();
        if (systemd->is_gone)
                return silence(err);
        systemd->job = verb;
        systemd->job_id = ++systemd->n_jobs;
        systemd->stages = 3;
        boundary();
        while (systemd->job_id) {
                job_advance();
                boundary();
        }
        return systemd->state == UNIT_FAILED
                       ? error_set(err, -EPROTO, ERR_PROGRAM, NULL, "systemd could not restart \"%s\": it failed", unit)
                       : 0;
}

int bus_reload(const Host *host, Error *err) {
        (void)host;
        boundary();
        if (systemd->is_gone)
                return silence(err);
        systemd->files_read = systemd->files;
        systemd->n_reloads++;
        boundary();
        return 0;
}

int bus_reset_failed(const Host *host, const char *unit, Error *err) {
        (void)host;
        must_be_ours(unit);
        boundary();
        if (systemd->is_gone)
                return silence(err);
        if (systemd->state == UNIT_FAILED)
                systemd->state = UNIT_INACTIVE;
        boundary();
        return 0;
}

int bus_unit(const Host *host, const char *unit, BusUnit *ret, Error *err) {
        static const char *const states[] = {"inactive", "deactivating", "activating", "active", "failed"};
        (void)host, (void)unit;
        boundary();
        if (systemd->is_gone)
                return silence(err);
        *ret = (BusUnit){.load_state = strdup("loaded"),
                         .active_state = strdup(states[systemd->state]),
                         .sub_state = strdup("sub"),
                         .result = strdup(""),
                         .fragment_path = strdup(""),
                         .control_group = strdup(""),
                         .job_id = systemd->job_id,
                         .has_invocation = systemd->run > 0,
                         .needs_reload = systemd->files != systemd->files_read};
        memset(ret->invocation, systemd->run, sizeof(ret->invocation));
        job_advance();
        return 0;
}

void bus_unit_done(BusUnit *u) {
        char **texts[] = {&u->load_state, &u->active_state,  &u->sub_state,
                          &u->result,     &u->fragment_path, &u->control_group};
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                free(*texts[i]);
                *texts[i] = NULL;
        }
}

bool bus_unit_is_active(const BusUnit *u) {
        return strcmp(u->active_state, "inactive") != 0 && strcmp(u->active_state, "failed") != 0;
}

void bus_unit_exit_text(const BusUnit *u, char ret[static 64]) {
        (void)u;
        ret[0] = '\0';
}

int bus_unit_settings(const Host *host, const char *unit, Value **ret, Error *err) {
        (void)host, (void)unit, (void)ret;
        return silence(err);
}

bool bus_is_there(void) {
        return true;
}

int host_reload_units(const Host *host, Error *err) {
        return bus_reload(host, err);
}

int bus_new(Bus **ret, Error *err) {
        (void)ret;
        return silence(err);
}

Bus *bus_free(Bus *b) {
        (void)b;
        return NULL;
}

/* ---- For tests --------------------------------------------------------------------------------------------------- */

/* What nobody waits for any more comes to its end. */
static void systemd_settles(void) {
        systemd->held_job = 0;
        while (systemd->job_id)
                job_advance();
}

/* A child does it and dies at the n-th boundary. Was there one? */
static bool dies_at(unsigned cut, void (*work)(void)) {
        int status;
        systemd->boundary = 0;
        systemd->cut = cut;
        pid_t child = fork();
        if (child == 0) {
                work();
                _exit(1);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
                abort();
        systemd->cut = 0;
        return WEXITSTATUS(status) == 0;
}
