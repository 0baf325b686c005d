/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the host's systemd, over D-Bus: the one place that speaks to it.
 *
 * As root over systemd's own socket, which is there from early boot and needs no message bus; else, or when that does
 * not answer, over the system bus. The connection is made by the first call that needs it and made anew when it breaks:
 * systemd closes it when it executes itself anew, a message bus may be restarted. What was on its way then may or may
 * not have been received. Calls that may be repeated are repeated; of a job whose answer was lost the result is
 * BUS_LOST, never a guess: the caller looks at the unit.
 *
 * All calls are about the host itself, whatever host->root is: only managers that are not rootable may use them.
 */
#pragma once

#include "managers/manager.h"

#define BUS_INVOCATION_SIZE 16

/* daemon-reload: systemd reads its unit files again. */
int bus_reload(const Host *host, Error *err);

typedef enum BusVerb { BUS_STOP, BUS_RESTART /* or start */, BUS_VERB_COUNT } BusVerb;

#define BUS_LOST 1 /* systemd has no job for the unit any more, and how it ended was not heard */

/*
 * Queues a job for the unit and waits for it, at most timeout_usec (0: 90 s) and the host's deadline.
 *   0                 it is done. A start whose conditions do not hold is done as well: look at the unit.
 *   BUS_LOST          see above
 *   ERR_NOT_FOUND     -ENOENT: there is no such unit
 *   ERR_PROGRAM       -EPROTO: the job failed
 *   ERR_TIMEOUT       -ETIMEDOUT: it is still going on. ERR_INTERRUPTED likewise.
 *   ERR_UNSUPPORTED   -EHOSTDOWN: systemd does not answer. ERR_PERMISSION.
 */
int bus_job(const Host *host, BusVerb verb, const char *unit, uint64_t timeout_usec, Error *err);

/* Forgets that the unit failed, and how often it was started lately. A unit that is not loaded has nothing to
 * forget: 0. */
int bus_reset_failed(const Host *host, const char *unit, Error *err);

/* What systemd says of a unit. Texts are owned, "" where systemd says nothing. */
typedef struct BusUnit {
        char *load_state;   /* loaded | not-found | masked | bad-setting | error */
        char *active_state; /* active | activating | inactive | failed | deactivating | reloading */
        char *sub_state;    /* running | dead | auto-restart | ... */
        char *result;       /* success | exit-code | signal | timeout | start-limit-hit | ... */
        char *fragment_path;
        char *control_group;
        Value *drop_in_paths; /* [text] */
        uint8_t invocation[BUS_INVOCATION_SIZE];
        bool has_invocation; /* it was started since systemd knows it */
        uint32_t main_pid, job_id /* 0: none waits or runs */;
        int32_t exec_main_code, exec_main_status; /* CLD_EXITED and so on; what of it */
        uint64_t active_usec;                     /* wall clock: since when it is active; 0: it never was */
        uint64_t main_start_usec, main_exit_usec; /* wall clock, of its program */
        bool needs_reload;                        /* its file changed since systemd read it */
} BusUnit;
int bus_unit(const Host *host, const char *unit, BusUnit *ret, Error *err);
void bus_unit_done(BusUnit *u);
#define _cleanup_bus_unit_ _cleanup_(bus_unit_done)

/* How the unit is set up, by the names of systemd: texts, lists of texts, times in microseconds, and lists of
 * command lines (lists of words). */
int bus_unit_settings(const Host *host, const char *unit, Value **ret, Error *err);

/* Its program runs, or systemd is about to start or end it. */
bool bus_unit_is_active(const BusUnit *u);
/* "exited with status 3", "was ended by signal 9", "" while it runs or never did. */
void bus_unit_exit_text(const BusUnit *u, char ret[static 64]);
