/* SPDX-License-Identifier: Apache-2.0 */
/* Each operation finds its own work again, however often it is repeated: the runner says whether what runs is this
 * step's. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/health.h"
#include "managers/roles.h"

/* One step's view of its program. */
typedef struct Scene {
        const Runner *runner;
        const Host *host;
        const Value *args, *before;
        Running now;
} Scene;

static bool ran_before(const Scene *s) {
        return value_get_bool(s->before, "running", false);
}

static int scene_stop(const Scene *s, Error *err) {
        return s->runner->stop(s->host, s->args, err);
}

static int scene_restart(const Scene *s, Running *ret, Error *err) {
        return s->runner->restart(s->host, s->args, ret, err);
}

/* ---- owe ---- */

static int nothing_apply(const Scene *s, StepResult *ret, Error *err) {
        (void)s, (void)err;
        *ret = (StepResult){.change = CHANGE_UNCHANGED};
        return 0;
}

/* The service is back whether it answers or not; a person should know, and recovery has nothing better to do. */
static int wait_for_old(const Scene *s, Error *err) {
        const Value *health = value_get(s->args, "health");
        Error why = ERROR_INIT;
        HealthReport report;
        if (!health)
                return 0;
        int r = health_wait(s->host, health, &report, &why);
        if (r == -ECANCELED)
                return error_set(err, r, why.code, NULL, "%s", why.message);
        if (r < 0)
                host_log(s->host, LOG_WARNING, "%s was started again but does not %s: %s",
                         value_get_text(s->args, "service"), why.code == ERR_PROGRAM ? "stay up" : "answer",
                         why.message);
        return 0;
}

static int owe_revert(const Scene *s, Error *err) {
        Running started = {0};
        if (!ran_before(s) || s->now.is_before)
                return 0;
        if (s->now.is_alive && (s->now.is_ours || s->now.is_sound))
                return wait_for_old(s, err);
        int r = scene_restart(s, &started, err);
        return r < 0 ? r : wait_for_old(s, err);
}

static Probe owe_probe(const Scene *s) {
        if (!s->now.is_boot)
                return PROBE_PARTIAL;
        if (!ran_before(s) || s->now.is_before || (s->now.is_alive && s->now.is_ours))
                return PROBE_BEFORE;
        return PROBE_PARTIAL;
}

/* ---- pay and start ---- */

static int started_result(const Running *p, uint64_t stopped_at, Change change, StepResult *ret, Error *err) {
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

/* The old one was stopped and the new one could not be started: since when nothing runs is told with the failure. */
static void stopped_result(const Scene *s, uint64_t stopped_at, StepResult *ret) {
        Running now = {0};
        if (stopped_at == 0 || s->runner->look(s->host, s->args, s->before, &now, NULL) < 0 || now.is_there)
                return;
        _cleanup_(value_freep) Value *facts = value_new_map();
        if (facts && value_set_int(facts, "stopped_at", (int64_t)stopped_at, NULL) == 0)
                ret->facts = TAKE_PTR(facts);
}

static int pay_apply(const Scene *s, StepResult *ret, Error *err) {
        uint64_t stopped_at = s->now.is_there ? clock_boot_usec() : 0;
        Running started = {0};
        if (s->now.is_alive && s->now.is_ours)
                return started_result(&s->now, 0, CHANGE_UNCHANGED, ret, err);
        int r = scene_restart(s, &started, err);
        if (r < 0) {
                stopped_result(s, stopped_at, ret);
                return r;
        }
        return started_result(&started, stopped_at, s->now.is_there ? CHANGE_CHANGED : CHANGE_CREATED, ret, err);
}

static int start_apply(const Scene *s, StepResult *ret, Error *err) {
        return s->now.is_alive ? started_result(&s->now, 0, CHANGE_UNCHANGED, ret, err) : pay_apply(s, ret, err);
}

/* It did not run, and is about to: what a dead process asked for. Where it ran, the debt in front starts it anew in
 * any case. */
static bool will_start(const Scene *s) {
        return s->now.is_changing && !ran_before(s);
}

/* Dead or alive or to come: what it left behind ends with it. */
static int started_revert(const Scene *s, Error *err) {
        return (s->now.has_trace && s->now.is_ours) || will_start(s) ? scene_stop(s, err) : 0;
}

static Probe started_probe(const Scene *s) {
        if (!s->now.is_boot || will_start(s))
                return PROBE_PARTIAL;
        if (s->now.has_trace && s->now.is_ours)
                return s->now.is_alive ? PROBE_AFTER : PROBE_PARTIAL;
        return s->now.is_before || !ran_before(s) ? PROBE_BEFORE : PROBE_PARTIAL;
}

/* ---- stop ---- */

static int stop_apply(const Scene *s, StepResult *ret, Error *err) {
        int r = scene_stop(s, err);
        if (r == 0)
                *ret = (StepResult){.change = s->now.is_there ? CHANGE_CHANGED : CHANGE_UNCHANGED};
        return r;
}

static int stop_revert(const Scene *s, Error *err) {
        Running started = {0};
        bool is_up = s->now.is_alive && !s->now.is_changing;
        return !ran_before(s) || is_up ? 0 : scene_restart(s, &started, err);
}

static Probe stop_probe(const Scene *s) {
        if (!s->now.is_boot || (ran_before(s) && s->now.is_changing))
                return PROBE_PARTIAL;
        if (!ran_before(s) || s->now.is_before || (s->now.is_alive && s->now.is_ours))
                return PROBE_BEFORE;
        return s->now.is_there ? PROBE_PARTIAL : PROBE_AFTER;
}

/* ---- the roles ---- */

typedef struct Role {
        const char *name, *text;
        bool must_run, must_not_run;
        int (*act)(const Scene *s, StepResult *ret, Error *err);
        int (*undo)(const Scene *s, Error *err);
        Probe (*look)(const Scene *s);
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

/* Host, args, before and runner are set by the caller. */
static int scene_look(Scene *s, const Role **ret_role, Error *err) {
        int r = role_of(s->args, ret_role, err);
        if (r == 0)
                r = s->runner->look(s->host, s->args, s->before, &s->now, err);
        s->now.is_boot = boot_is(s->before, s->host->boot);
        return r;
}

/* ---- the operations ---- */

int role_needs_all(const Value *args, bool *ret, Error *err) {
        const Role *role;
        int r = role_of(args, &role, err);
        if (r == 0)
                *ret = role->act == start_apply;
        return r;
}

void role_hint_repair(const Value *args, Error *err) {
        const char *service = value_get_text_or(args, "service", "SERVICE");
        error_hint(err,
                   "\"pawl check %s\" shows what is not as it was made; \"pawl upgrade %s --overwrite\" makes it anew.",
                   service, service);
}

int role_capture(const Runner *runner, const Host *host, const Value *args, Value **ret_before, Error *err) {
        _cleanup_(value_freep) Value *before = value_new_map();
        Running now = {0};
        if (!before)
                return error_no_memory(err);
        int r = runner->look(host, args, NULL, &now, err);
        if (r < 0)
                return r;
        if (value_set_bool(before, "running", now.is_alive, err) < 0 ||
            value_set_bytes(before, "boot", host->boot, BOOT_ID_SIZE, err) < 0)
                return -ENOMEM;
        r = runner->identify(&now, before, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are those of Manager, and whose it is. */
int role_apply(const Runner *runner, const Host *host, const Value *args, const Value *before, StepResult *ret,
               Error *err) {
        Scene s = {.runner = runner, .host = host, .args = args, .before = before};
        const Role *role;
        int r = scene_look(&s, &role, err);
        return r < 0 ? r : role->act(&s, ret, err);
}

int role_revert(const Runner *runner, const Host *host, const Value *args, const Value *before, Error *err) {
        Scene s = {.runner = runner, .host = host, .args = args, .before = before};
        const Role *role;
        int r = scene_look(&s, &role, err);
        return r < 0 ? r : role->undo(&s, err);
}

/* NOLINTNEXTLINE(readability-function-size): as above. */
int role_probe(const Runner *runner, const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        Scene s = {.runner = runner, .host = host, .args = args, .before = before};
        const Role *role;
        int r = scene_look(&s, &role, err);
        if (r == 0)
                *ret = role->look(&s);
        return r;
}

int role_verify(const Runner *runner, const Host *host, const Value *args, Error *err) {
        Scene s = {.runner = runner, .host = host, .args = args};
        const Role *role;
        int r = scene_look(&s, &role, err);
        if (r < 0)
                return r;
        if (role->must_run && !s.now.is_alive)
                return error_set(err, -ESTALE, ERR_DRIFT, "Look at its log, then start it.",
                                 "the program is not running");
        if (role->must_not_run && s.now.is_there)
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the program is running (pid %d)", s.now.pid);
        return 0;
}

int role_describe(const Value *args, char **ret, Error *err) {
        const Role *role;
        int r = role_of(args, &role, err);
        if (r < 0)
                return r;
        *ret = text_format("%s %s", role->text, value_get_text_or(args, "service", ""));
        return *ret ? 0 : error_no_memory(err);
}
