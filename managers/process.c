/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program itself, in the embedded runtime. What a step started carries (tx, step) in its proc file, so each
 * operation finds its own work again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/seal.h"
#include "managers/health.h"
#include "managers/process_run.h"
#include "managers/roles.h"

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

static int process_look(const Host *host, const Value *args, const Value *before, Running *ret, Error *err) {
        ProcFile p;
        Running n = {0};
        int r = proc_file_read(host, value_get_text(args, "service"), &p, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && memcmp(p.boot, host->boot, BOOT_ID_SIZE) == 0) {
                n.has_trace = true;
                n.is_there = proc_file_is_alive(host, &p);
                n.is_alive = n.is_there && !p.is_ending;
                n.is_ours = host->tx != 0 && p.tx == host->tx && p.step == host->step;
                n.is_before = n.is_alive && boot_is(before, host->boot) && value_get_bool(before, "running", false) &&
                              value_get_int(before, "pid", 0) == p.pid &&
                              (uint64_t)value_get_int(before, "start_time", 0) == p.start_time;
                n.pid = p.pid;
                n.start_time = p.start_time;
        }
        *ret = n;
        return 0;
}

static int process_identify(const Running *now, Value *before, Error *err) {
        if (!now->is_alive)
                return 0;
        int r = value_set_int(before, "pid", now->pid, err);
        return r < 0 ? r : value_set_int(before, "start_time", (int64_t)now->start_time, err);
}

static int process_end(const Host *host, const Value *args, Error *err) {
        int64_t timeout = value_get_int(args, "stop_timeout_usec", 0);
        return process_stop(host, value_get_text(args, "service"), timeout > 0 ? (uint64_t)timeout : STOP_TIMEOUT_USEC,
                            err);
}

static int process_begin(const Host *host, const Value *args, ProcFile *ret, Error *err) {
        _cleanup_(definition_done) Definition d = {0};
        uint8_t random[(PROC_RUN_SIZE - 1) / 2];
        char run[PROC_RUN_SIZE];
        random_bytes(random, sizeof(random));
        hex_encode(random, sizeof(random), run);
        int r = definition_read(host, value_get_text(args, "definition"), run, &d, err);
        return r < 0 ? r : process_start(host, value_get_text(args, "service"), &d, ret, err);
}

static int process_restart(const Host *host, const Value *args, Running *ret, Error *err) {
        ProcFile p = {0};
        int r = process_end(host, args, err);
        if (r == 0)
                r = process_begin(host, args, &p, err);
        if (r == 0)
                *ret = (Running){.is_there = true, .is_alive = true, .pid = p.pid, .start_time = p.start_time};
        return r;
}

static const Runner runner = {
        .look = process_look,
        .identify = process_identify,
        .stop = process_end,
        .restart = process_restart,
};

static int process_check(const Host *host, const Value *args, Error *err) {
        _cleanup_(definition_done) Definition d = {0};
        bool needs_all = false;
        if (!args)
                return 0;
        int r = role_needs_all(args, &needs_all, err);
        /* Where the definition is written by the same plan, what stands there now says nothing. */
        if (r < 0 || !needs_all)
                return r;
        r = definition_read(host, value_get_text(args, "definition"), "", &d, err);
        if (r < 0 || faccessat(AT_FDCWD, d.argv[0], X_OK, AT_EACCESS) == 0)
                return r;
        r = error_set(err, -errno, ERR_PROGRAM, NULL, "\"%s\" cannot be started: %s", d.argv[0], strerror(errno));
        role_hint_repair(args, err);
        return r;
}

static int process_capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        return role_capture(&runner, host, args, ret_before, err);
}

static int process_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        return role_apply(&runner, host, args, before, ret, err);
}

static int process_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        return role_revert(&runner, host, args, before, err);
}

static int process_probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        return role_probe(&runner, host, args, before, ret, err);
}

static int process_verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        return role_verify(&runner, host, args, err);
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
        .describe = role_describe,
};
