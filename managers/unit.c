/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "unit": a service's program, kept running by systemd.
 *
 * Each run of a unit has an invocation id that systemd draws. The one that was captured is "before"; any other one of
 * the same boot was started since, from the files that this transaction made, so it is this step's: the name of a run
 * needs not be known before it begins.
 *
 * In another boot nothing of that is left. A unit that runs there was let through by the conditions of its file: no
 * transaction of the service was open, or its files had been put right before, which is what run/pawl/whole/<service>
 * says.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/health.h"
#include "managers/procfs.h"
#include "managers/roles.h"
#include "managers/unit.h"
#include "managers/unit_log.h"

#define START_USEC (10 * USEC_PER_SEC) /* so long may a start take */
#define STOP_USEC (10 * USEC_PER_SEC)
#define LOG_LINES_SHOWN 20
#define EXEC_FAILED_FIRST 200 /* with these systemd says that it could not execute the program */
#define EXEC_FAILED_LAST 243

/* clang-format off */
static const Field unit_args[] = {
        {1, "service",           FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        {2, "role",              FIELD_TEXT, FIELD_REQUIRED, 1, NULL}, /* owe | pay | start | stop */
        {3, "unit",              FIELD_TEXT, FIELD_REQUIRED, 1, NULL}, /* pawl-web.service */
        {4, "stop_timeout_usec", FIELD_INT,  0,              1, NULL},
        {5, "health",            FIELD_MAP,  0,              1, health_args}, /* used when putting back */
        {6, "health_follows",    FIELD_BOOL, 0,              1, NULL},        /* a check of its own, behind this step */
        FIELD_END,
};
static const Field unit_before[] = {
        {1, "running",    FIELD_BOOL,  FIELD_REQUIRED, 1, NULL},
        {2, "invocation", FIELD_BYTES, 0,              1, NULL},
        {4, "boot",       FIELD_BYTES, FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};
/* clang-format on */

char *unit_name(const Host *host, const char *service) {
        return text_format("%s%s.service", value_get_text_or(host->config, "naming.prefix", "pawl-"), service);
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

static bool is_captured_run(const Value *before, const BusUnit *u) {
        const Value *v = value_get(before, "invocation");
        return u->has_invocation && value_is(v, VALUE_BYTES) && v->bytes.size == sizeof(u->invocation) &&
               memcmp(v->bytes.data, u->invocation, sizeof(u->invocation)) == 0;
}

static bool files_are_whole(const Host *host, const char *service) {
        _cleanup_free_ char *mark = text_format("run/pawl/whole/%s", service);
        return mark && fs_exists(host->root, mark);
}

static void running_fill(Running *n, const BusUnit *u) {
        static const char *const over[] = {"inactive", "failed", "deactivating"};
        n->has_trace = strcmp(u->active_state, "inactive") != 0;
        n->is_there = bus_unit_is_active(u);
        n->is_alive = true;
        for (size_t i = 0; i < ELEMENTSOF(over); i++)
                n->is_alive &= strcmp(u->active_state, over[i]) != 0;
        n->is_changing = u->job_id != 0;
        n->pid = (int)u->main_pid;
        n->has_invocation = u->has_invocation;
        memcpy(n->invocation, u->invocation, sizeof(n->invocation));
        ProcessInfo p;
        if (n->pid > 0 && procfs_info(n->pid, &p) == 0)
                n->start_time = p.start_time;
}

static int unit_look(const Host *host, const Value *args, const Value *before, Running *ret, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        Running n = {0};
        int r = bus_unit(host, value_get_text(args, "unit"), &u, err);
        if (r < 0)
                return r;
        running_fill(&n, &u);
        bool is_boot = boot_is(before, host->boot), is_captured = is_captured_run(before, &u);
        n.is_before = n.is_alive && is_boot && is_captured && value_get_bool(before, "running", false);
        /* Behind `owe` the files may have changed since; what runs then may be made of both. */
        n.is_ours = n.has_trace && is_boot && !is_captured && strcmp(value_get_text_or(args, "role", ""), "owe") != 0;
        n.is_sound = n.is_alive && !is_boot && files_are_whole(host, value_get_text(args, "service"));
        *ret = n;
        return 0;
}

static int unit_identify(const Running *now, Value *before, Error *err) {
        return now->has_invocation
                       ? value_set_bytes(before, "invocation", now->invocation, sizeof(now->invocation), err)
                       : 0;
}

/* ---- Stopping and starting --------------------------------------------------------------------------------------- */

static uint64_t stop_usec(const Value *args) {
        int64_t timeout = value_get_int(args, "stop_timeout_usec", 0);
        return (timeout > 0 ? (uint64_t)timeout : STOP_USEC) + START_USEC;
}

/* Whatever became of the answer: what counts is what the unit does now. */
static int unit_stop(const Host *host, const Value *args, Error *err) {
        const char *unit = value_get_text(args, "unit");
        _cleanup_bus_unit_ BusUnit u = {0};
        int r = bus_job(host, BUS_STOP, unit, stop_usec(args), err);
        if (r == -ENOENT) /* its file is gone and nothing of it runs */
                return 0;
        if (r >= 0)
                r = bus_unit(host, unit, &u, err);
        if (r < 0)
                return r;
        if (bus_unit_is_active(&u))
                return error_set(err, -EBUSY, ERR_PROGRAM, "See \"systemctl status\".", "%s does not stop (%s)", unit,
                                 u.sub_state);
        return bus_reset_failed(host, unit, err);
}

/* A start, from before the job was queued. */
typedef struct Start {
        const char *unit;
        bool is_asked_next; /* a health check follows: it says what became of a program that ran and has ended */
        BusUnit was;
        Error job;           /* how the job ended, or that it could not be heard */
        uint64_t since_usec; /* wall clock: what is printed from here on is about it */
} Start;

static int start_failed(const Start *s, const BusUnit *u, const char *why, Error *err) {
        char how[64];
        bus_unit_exit_text(u, how);
        int r = error_set(err, -EPROTO, ERR_PROGRAM, NULL, "%s%s%s", why, how[0] ? ": the program " : "", how);
        error_hint(err, "See \"journalctl -u %s\".",
                   s->unit); /* which knows it also when nothing is left of the service */
        unit_log_to_detail(s->unit, s->since_usec, LOG_LINES_SHOWN, err);
        return r;
}

/* It was executed, and is over already: whether systemd still calls that a start is a matter of milliseconds. */
static bool is_over(const BusUnit *u) {
        bool is_executed = u->exec_main_status < EXEC_FAILED_FIRST || u->exec_main_status > EXEC_FAILED_LAST;
        return u->exec_main_code == CLD_KILLED || u->exec_main_code == CLD_DUMPED ||
               (u->exec_main_code == CLD_EXITED && is_executed);
}

/* However the job ended: does the unit run, in a run it did not have before? */
static int start_seen(const Host *host, const Start *s, Running *ret, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        _cleanup_free_ char *why = NULL;
        int r = bus_unit(host, s->unit, &u, err);
        if (r != 0)
                return r;
        bool is_new = u.has_invocation && memcmp(u.invocation, s->was.invocation, sizeof(u.invocation)) != 0;
        *ret = (Running){0};
        running_fill(ret, &u);
        if (s->job.code == ERR_NONE && ret->is_alive && is_new)
                return 0;
        if (s->is_asked_next && is_new && is_over(&u))
                return 0;
        if (s->job.code != ERR_NONE)
                why = strdup(s->job.message);
        else if (ret->is_alive)
                why = text_format("systemd did not start %s anew", s->unit);
        else
                why = text_format(
                        "systemd did not start %s: it is %s (%s); perhaps a condition of its file does not hold",
                        s->unit, u.active_state, u.sub_state);
        return why ? start_failed(s, &u, why, err) : error_no_memory(err);
}

static int start_run(const Host *host, const Value *args, Start *s, Running *ret, Error *err) {
        int r = bus_unit(host, s->unit, &s->was, err);
        /* How often it was started lately is no reason not to start it: this was decided by a person. */
        if (r == 0)
                r = bus_reset_failed(host, s->unit, err);
        if (r < 0)
                return r;
        fault_point("unit-before-restart");
        r = bus_job(host, BUS_RESTART, s->unit, stop_usec(args), &s->job);
        fault_point("unit-after-restart");
        bool is_about_us = r == -ECANCELED || r == -EHOSTDOWN || r == -ENOMEM || r == -EPERM;
        if (is_about_us)
                return error_set(err, r, s->job.code, s->job.hint, "%s", s->job.message);
        return start_seen(host, s, ret, err);
}

static int unit_restart(const Host *host, const Value *args, Running *ret, Error *err) {
        Start s = {.unit = value_get_text(args, "unit"),
                   .is_asked_next = value_get_bool(args, "health_follows", false),
                   .job = ERROR_INIT,
                   .since_usec = (uint64_t)clock_wall_usec()};
        int r = start_run(host, args, &s, ret, err);
        bus_unit_done(&s.was);
        return r;
}

/* ---- The manager ------------------------------------------------------------------------------------------------- */

static const Runner runner = {
        .look = unit_look,
        .identify = unit_identify,
        .stop = unit_stop,
        .restart = unit_restart,
};

static int unit_check(const Host *host, const Value *args, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        bool needs_all = false;
        if (!args)
                return 0;
        int r = role_needs_all(args, &needs_all, err);
        if (r == 0)
                r = bus_unit(host, value_get_text(args, "unit"), &u, err);
        if (r != 0 || !needs_all || strcmp(u.load_state, "loaded") == 0)
                return r;
        r = error_set(err, -EBADF, ERR_PROGRAM, NULL, "%s cannot be started: its file is %s",
                      value_get_text(args, "unit"), u.load_state);
        role_hint_repair(args, err);
        return r;
}

static int unit_capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        return role_capture(&runner, host, args, ret_before, err);
}

static int unit_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        return role_apply(&runner, host, args, before, ret, err);
}

static int unit_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        return role_revert(&runner, host, args, before, err);
}

static int unit_probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        int r = role_probe(&runner, host, args, before, ret, err);
        if (r != -EHOSTDOWN)
                return r;
        *ret = PROBE_UNREACHABLE;
        return 0;
}

static int unit_verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        return role_verify(&runner, host, args, err);
}

const Manager manager_unit = {
        .id = 14,
        .name = "unit",
        .version = 1,
        .is_rootable = false,
        .reach = REACH_VOLATILE,
        .args = unit_args,
        .before = unit_before,
        .check = unit_check,
        .capture = unit_capture,
        .apply = unit_apply,
        .revert = unit_revert,
        .probe = unit_probe,
        .verify = unit_verify,
        .tidy = manager_tidy_nothing,
        .describe = role_describe,
};

/* ---- The runtime ------------------------------------------------------------------------------------------------- */

static int runtime_state(const Host *host, const char *service, RunStatus *ret, Error *err) {
        _cleanup_free_ char *unit = unit_name(host, service);
        _cleanup_bus_unit_ BusUnit u = {0};
        int r = unit ? bus_unit(host, unit, &u, err) : error_no_memory(err);
        if (r < 0)
                return r;
        Running now = {0};
        running_fill(&now, &u);
        bool is_failed = strcmp(u.active_state, "failed") == 0 || strcmp(u.sub_state, "auto-restart") == 0;
        *ret = (RunStatus){.state = is_failed      ? RUN_FAILED
                                    : now.is_alive ? RUN_RUNNING
                                                   : RUN_STOPPED,
                           .pid = (int)u.main_pid,
                           .since_usec = now.is_alive ? (int64_t)u.active_usec : 0,
                           .is_stale = u.needs_reload};
        return 0;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are those of Runtime. */
static int runtime_logs(const Host *host, const char *service, size_t n, bool follow,
                        void (*line)(void *userdata, const char *text, size_t n_text), void *userdata, Error *err) {
        _cleanup_free_ char *unit = unit_name(host, service);
        const LogSink sink = {.line = line, .userdata = userdata};
        return unit ? unit_log_lines(host, unit, n, follow, &sink, err) : error_no_memory(err);
}

const Runtime runtime_systemd = {
        .type = "systemd",
        .state = runtime_state,
        .logs = runtime_logs,
};

/* ---- Somebody else's unit ---------------------------------------------------------------------------------------- */

/* Its file, and where it is enabled or known under another name. */
static int add_files(const char *unit, const char *file, Value *map, Error *err) {
        Value *files = value_new_array();
        _cleanup_free_ char *pattern = text_format("/etc/systemd/system/*/%s", unit);
        glob_t found = {0};
        int r = pattern ? value_set(map, "files", files, err) : error_no_memory(err);
        if (r == 0)
                r = value_append_text(files, file, err);
        if (r == 0 && glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                        r = value_append_text(files, found.gl_pathv[i], err);
        globfree(&found);
        return r;
}

int unit_settings(const Host *host, const char *unit, Value **ret, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        _cleanup_(value_freep) Value *map = NULL;
        Running now = {0};
        int r = bus_unit(host, unit, &u, err);
        if (r == 0)
                r = bus_unit_settings(host, unit, &map, err);
        if (r != 0)
                return r;
        running_fill(&now, &u);
        if ((r = value_set_text(map, "unit", unit, err)) < 0 ||
            (r = value_set_text(map, "load", u.load_state, err)) < 0 ||
            (r = value_set_text(map, "file", u.fragment_path, err)) < 0 ||
            (r = value_set_bool(map, "running", now.is_alive, err)) < 0 ||
            (r = value_set_bool(map, "drop_ins", value_count(u.drop_in_paths) > 0, err)) < 0 ||
            (r = add_files(unit, u.fragment_path, map, err)) < 0)
                return r;
        *ret = TAKE_PTR(map);
        return 0;
}
