/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program itself, in the embedded runtime, and the debts that bracket a change of it.
 *
 *   owe    before the first change: apply does nothing; revert runs what was there before, from the files as put back
 *   pay    after the last change: apply stops what runs and starts the program anew; revert stops what apply started
 *   start, stop   a person's wish, alone
 *
 * Who runs is volatile: it means something within one boot only. What this step itself started carries (tx, step)
 * in its proc file, so each operation finds its own work again, however often it is repeated.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/base/seal.h"
#include "core/base/text.h"
#include "managers/health.h"
#include "managers/process_run.h"

#define STOP_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* clang-format off */
static const Field process_args[] = {
        {1, "service",           FIELD_TEXT, FIELD_REQUIRED,              1, NULL},
        {2, "role",              FIELD_TEXT, FIELD_REQUIRED,              1, NULL}, /* owe | pay | start | stop */
        {3, "definition",        FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {4, "stop_timeout_usec", FIELD_INT,  0,                           1, NULL},
        {5, "health",            FIELD_MAP,  0,                           1, health_args}, /* used when putting back */
        {6, "port",              FIELD_INT,  0,                           1, NULL},
        FIELD_END,
};
static const Field process_before[] = {
        {1, "running",    FIELD_BOOL,  FIELD_REQUIRED, 1, NULL},
        {2, "pid",        FIELD_INT,   0,              1, NULL},
        {3, "start_time", FIELD_INT,   0,              1, NULL},
        {4, "boot",       FIELD_BYTES, FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};
/* clang-format on */

/* What runs now, as seen from a step. */
typedef struct Now {
        bool has_file;  /* there is a proc file of this boot, */
        bool is_alive;  /* whose program runs, */
        bool is_ending; /* or still lives, but was told to end; */
        bool is_ours;   /* this step started it */
        bool is_before; /* it is the very process that was captured */
        bool is_boot;   /* what was captured was captured in this boot */
        ProcFile proc;
} Now;

static bool boot_is(const Value *map, const uint8_t boot[static BOOT_ID_SIZE]) {
        const Value *b = value_get(map, "boot");
        return value_is(b, VALUE_BYTES) && b->bytes.size == BOOT_ID_SIZE &&
               memcmp(b->bytes.data, boot, BOOT_ID_SIZE) == 0;
}

static int now_look(const Host *host, const Value *args, const Value *before, Now *ret, Error *err) {
        Now n = {.is_boot = boot_is(before, host->boot)};
        int r = proc_file_read(host, value_get_text(args, "service"), &n.proc, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && memcmp(n.proc.boot, host->boot, BOOT_ID_SIZE) == 0) {
                n.has_file = true;
                bool is_there = proc_file_is_alive(host, &n.proc);
                n.is_alive = is_there && !n.proc.is_ending;
                n.is_ending = is_there && n.proc.is_ending;
                n.is_ours = host->tx != 0 && n.proc.tx == host->tx && n.proc.step == host->step;
                n.is_before = n.is_alive && n.is_boot && value_get_bool(before, "running", false) &&
                              value_get_int(before, "pid", 0) == n.proc.pid &&
                              (uint64_t)value_get_int(before, "start_time", 0) == n.proc.start_time;
        }
        *ret = n;
        return 0;
}

static int step_stop(const Host *host, const Value *args, Error *err) {
        int64_t timeout = value_get_int(args, "stop_timeout_usec", 0);
        return process_stop(host, value_get_text(args, "service"), timeout > 0 ? (uint64_t)timeout : STOP_TIMEOUT_USEC,
                            err);
}

static int step_start(const Host *host, const Value *args, ProcFile *ret, Error *err) {
        _cleanup_(definition_done) Definition d = {0};
        uint8_t random[(PROC_RUN_SIZE - 1) / 2];
        char run[PROC_RUN_SIZE];
        random_bytes(random, sizeof(random));
        hex_encode(random, sizeof(random), run);
        int r = definition_read(host, value_get_text(args, "definition"), run, &d, err);
        return r < 0 ? r : process_start(host, value_get_text(args, "service"), &d, ret, err);
}

/* ---- owe ---- */

static int nothing_apply(const Host *host, const Value *args, const Now *now, StepResult *ret, Error *err) {
        (void)host, (void)args, (void)now, (void)err;
        *ret = (StepResult){.change = CHANGE_UNCHANGED};
        return 0;
}

/* The service is back whether it answers or not; a person should know, and recovery has nothing better to do. */
static int wait_for_old(const Host *host, const Value *args, Error *err) {
        const Value *health = value_get(args, "health");
        Error why = ERROR_INIT;
        HealthReport report;
        if (!health)
                return 0;
        int r = health_wait(host, health, &report, &why);
        if (r == -ECANCELED)
                return error_set(err, r, why.code, NULL, "%s", why.message);
        if (r < 0)
                host_log(host, LOG_WARNING, "%s was started again but does not %s: %s", value_get_text(args, "service"),
                         why.code == ERR_PROGRAM ? "stay up" : "answer", why.message);
        return 0;
}

static int owe_revert(const Host *host, const Value *args, const Value *before, const Now *now, Error *err) {
        ProcFile started = {0};
        if (!value_get_bool(before, "running", false) || now->is_before)
                return 0;
        if (now->is_alive && now->is_ours)
                return wait_for_old(host, args, err);
        int r = step_stop(host, args, err);
        if (r == 0)
                r = step_start(host, args, &started, err);
        return r < 0 ? r : wait_for_old(host, args, err);
}

static Probe owe_probe(const Value *before, const Now *now) {
        if (!now->is_boot)
                return PROBE_PARTIAL;
        if (!value_get_bool(before, "running", false) || now->is_before || (now->is_alive && now->is_ours))
                return PROBE_BEFORE;
        return PROBE_PARTIAL;
}

/* ---- pay and start ---- */

static int started_result(const ProcFile *p, uint64_t stopped_at, Change change, StepResult *ret, Error *err) {
        _cleanup_(value_freep) Value *facts = value_new_map();
        uint64_t started_at = clock_boot_usec();
        if (!facts)
                return error_no_memory(err);
        if (value_set_int(facts, "pid", p->pid, err) < 0 ||
            value_set_int(facts, "start_time", (int64_t)p->start_time, err) < 0)
                return -ENOMEM;
        if (change != CHANGE_UNCHANGED && value_set_int(facts, "started_at", (int64_t)started_at, err) < 0)
                return -ENOMEM;
        if (stopped_at > 0 && (value_set_int(facts, "stopped_at", (int64_t)stopped_at, err) < 0 ||
                               value_set_int(facts, "downtime", (int64_t)(started_at - stopped_at), err) < 0))
                return -ENOMEM;
        *ret = (StepResult){.change = change, .facts = TAKE_PTR(facts)};
        return 0;
}

static int pay_apply(const Host *host, const Value *args, const Now *now, StepResult *ret, Error *err) {
        bool is_there = now->is_alive || now->is_ending;
        uint64_t stopped_at = is_there ? clock_boot_usec() : 0;
        ProcFile started = {0};
        if (now->is_alive && now->is_ours)
                return started_result(&now->proc, 0, CHANGE_UNCHANGED, ret, err);
        int r = step_stop(host, args, err);
        if (r == 0)
                r = step_start(host, args, &started, err);
        return r < 0 ? r : started_result(&started, stopped_at, is_there ? CHANGE_CHANGED : CHANGE_CREATED, ret, err);
}

static int start_apply(const Host *host, const Value *args, const Now *now, StepResult *ret, Error *err) {
        if (now->is_alive)
                return started_result(&now->proc, 0, CHANGE_UNCHANGED, ret, err);
        return pay_apply(host, args, now, ret, err);
}

static int started_revert(const Host *host, const Value *args, const Value *before, const Now *now, Error *err) {
        (void)before;
        /* Dead or alive: what it left in its session ends with it. */
        return now->has_file && now->is_ours ? step_stop(host, args, err) : 0;
}

static Probe started_probe(const Value *before, const Now *now) {
        if (!now->is_boot)
                return PROBE_PARTIAL;
        if (now->has_file && now->is_ours)
                return now->is_alive ? PROBE_AFTER : PROBE_PARTIAL;
        return now->is_before || !value_get_bool(before, "running", false) ? PROBE_BEFORE : PROBE_PARTIAL;
}

/* ---- stop ---- */

static int stop_apply(const Host *host, const Value *args, const Now *now, StepResult *ret, Error *err) {
        bool is_there = now->is_alive || now->is_ending;
        int r = step_stop(host, args, err);
        if (r == 0)
                *ret = (StepResult){.change = is_there ? CHANGE_CHANGED : CHANGE_UNCHANGED};
        return r;
}

static int stop_revert(const Host *host, const Value *args, const Value *before, const Now *now, Error *err) {
        ProcFile started = {0};
        if (!value_get_bool(before, "running", false) || now->is_alive)
                return 0;
        int r = step_stop(host, args, err);
        return r < 0 ? r : step_start(host, args, &started, err);
}

static Probe stop_probe(const Value *before, const Now *now) {
        if (!now->is_boot)
                return PROBE_PARTIAL;
        if (!value_get_bool(before, "running", false) || now->is_before || (now->is_alive && now->is_ours))
                return PROBE_BEFORE;
        return now->is_alive || now->is_ending ? PROBE_PARTIAL : PROBE_AFTER;
}

/* ---- the roles ---- */

typedef struct Role {
        const char *name, *text;
        bool must_run, must_not_run;
        int (*act)(const Host *host, const Value *args, const Now *now, StepResult *ret, Error *err);
        int (*undo)(const Host *host, const Value *args, const Value *before, const Now *now, Error *err);
        Probe (*look)(const Value *before, const Now *now);
} Role;

/* clang-format off */
static const Role roles[] = {
        {"owe",   "be ready to restart",  false, false, nothing_apply, owe_revert,     owe_probe    },
        {"pay",   "restart",              true,  false, pay_apply,     started_revert, started_probe},
        {"start", "start",                true,  false, start_apply,   started_revert, started_probe},
        {"stop",  "stop",                 false, true,  stop_apply,    stop_revert,    stop_probe   },
};
/* clang-format on */

static int role_of(const Value *args, const Role **ret, Error *err) {
        const char *name = value_get_text_or(args, "role", "");
        for (size_t i = 0; i < ELEMENTSOF(roles); i++)
                if (strcmp(roles[i].name, name) == 0) {
                        *ret = &roles[i];
                        return 0;
                }
        return error_set(err, -EINVAL, ERR_FAILED, NULL, "there is no process role \"%s\"", name);
}

static int process_check(const Host *host, const Value *args, Error *err) {
        _cleanup_(definition_done) Definition d = {0};
        const Role *role;
        if (!args)
                return 0;
        int r = role_of(args, &role, err);
        /* Where the definition is written by the same plan, what stands there now says nothing. */
        if (r < 0 || role->act != start_apply)
                return r;
        r = definition_read(host, value_get_text(args, "definition"), "", &d, err);
        if (r == 0 && faccessat(AT_FDCWD, d.argv[0], X_OK, AT_EACCESS) < 0)
                return error_set(
                        err, -errno, ERR_PROGRAM,
                        "\"pawl check\" shows what is not as it was made; \"pawl apply --overwrite\" makes it so again.",
                        "\"%s\" cannot be started: %s", d.argv[0], strerror(errno));
        return r;
}

static int process_capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        _cleanup_(value_freep) Value *before = value_new_map();
        Now now = {0};
        if (!before)
                return error_no_memory(err);
        int r = now_look(host, args, NULL, &now, err);
        if (r < 0)
                return r;
        if (value_set_bool(before, "running", now.is_alive, err) < 0 ||
            value_set_bytes(before, "boot", host->boot, BOOT_ID_SIZE, err) < 0)
                return -ENOMEM;
        if (now.is_alive && (value_set_int(before, "pid", now.proc.pid, err) < 0 ||
                             value_set_int(before, "start_time", (int64_t)now.proc.start_time, err) < 0))
                return -ENOMEM;
        *ret_before = TAKE_PTR(before);
        return 0;
}

static int process_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        const Role *role;
        Now now = {0};
        int r = role_of(args, &role, err);
        if (r == 0)
                r = now_look(host, args, before, &now, err);
        return r < 0 ? r : role->act(host, args, &now, ret, err);
}

static int process_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        const Role *role;
        Now now = {0};
        int r = role_of(args, &role, err);
        if (r == 0)
                r = now_look(host, args, before, &now, err);
        return r < 0 ? r : role->undo(host, args, before, &now, err);
}

static int process_probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        const Role *role;
        Now now = {0};
        int r = role_of(args, &role, err);
        if (r == 0)
                r = now_look(host, args, before, &now, err);
        if (r < 0)
                return r;
        *ret = role->look(before, &now);
        return 0;
}

static int process_verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        const Role *role;
        Now now = {0};
        int r = role_of(args, &role, err);
        if (r == 0)
                r = now_look(host, args, NULL, &now, err);
        if (r < 0)
                return r;
        if (role->must_run && !now.is_alive)
                return error_set(err, -ESTALE, ERR_DRIFT, "Look at its log, then start it.",
                                 "the program is not running");
        if (role->must_not_run && (now.is_alive || now.is_ending))
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the program is running (pid %d)", now.proc.pid);
        return 0;
}

static int process_describe(const Value *args, char **ret, Error *err) {
        const Role *role;
        int r = role_of(args, &role, err);
        if (r < 0)
                return r;
        *ret = text_format("%s %s", role->text, value_get_text_or(args, "service", ""));
        return *ret ? 0 : error_no_memory(err);
}

const Manager manager_process = {
        .id = 7,
        .name = "process",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_VOLATILE,
        .args = process_args,
        .before = process_before,
        .check = process_check,
        .capture = process_capture,
        .apply = process_apply,
        .revert = process_revert,
        .probe = process_probe,
        .verify = process_verify,
        .tidy = manager_tidy_nothing,
        .describe = process_describe,
};
