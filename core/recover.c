/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan → fence → look → decide → settle. Dying anywhere in here is harmless: everything it knows it read, and
 * everything it does is written first.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/boot.h"
#include "core/lock.h"
#include "core/mark.h"
#include "core/recover.h"
#include "core/rows.h"
#include "core/shared.h"
#include "core/txn.h"
#include "core/unchecked.h"

static int report_new(const Trail *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_int(v, "tx", (int64_t)t->tx, err)) < 0 ||
            (r = value_set_text(v, "service", t->plan->service, err)) < 0 ||
            (r = value_set_text(v, "flow", t->plan->flow, err)) < 0 ||
            (r = value_set_text(v, "from", t->plan->from, err)) < 0 ||
            (r = value_set_text(v, "to", t->plan->to, err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static int report_result(Value *report, const char *result, Direction direction, size_t steps, Value *leftovers,
                         Error *err) {
        _cleanup_(value_freep) Value *taken = leftovers;
        int r;
        if ((r = value_set_text(report, "result", result, err)) < 0 ||
            (r = value_set_text(report, "direction", direction_name(direction), err)) < 0 ||
            (r = value_set_int(report, "steps", (int64_t)steps, err)) < 0)
                return r;
        return taken && value_count(taken) > 0 ? value_set(report, "leftovers", TAKE_PTR(taken), err) : 0;
}

/* ---- A person's decision ----------------------------------------------------------------------------------------- */

static bool step_is_open(const Trail *t, uint32_t i) {
        const TrailStep *s = &t->steps[i];
        if (t->phase == TX_COMMITTED)
                return t->plan->steps[i].kind == STEP_FINISH_MUST && !s->is_finished &&
                       s->resolution != RESOLUTION_KEEP;
        return trail_step_is_open(s);
}

static int resolve_step(Engine *e, Trail *t, uint32_t i, Resolution decision, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map();
        int r = body ? value_set_int(body, "decision", decision, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(body, "actor", e->actor, err);
        return r < 0 ? r : ledger_write(e, t, RECORD_RESOLVED, i, TAKE_PTR(body), err);
}

/* Keeping a step keeps what it stands on; but its debt is paid, so that the program sees what was decided. */
static bool step_is_meant(const Trail *t, const RecoverRequest *request, uint32_t i) {
        if (request->step == 0 || request->step == (int64_t)i + 1)
                return true;
        bool is_below = request->mode == RECOVER_KEEP && t->plan->steps[i].debt != DEBT_OWE;
        return is_below && request->step <= (int64_t)t->plan->n_steps &&
               plan_stands_on(t->plan, (uint32_t)request->step - 1, i);
}

static int resolve(Engine *e, Trail *t, const RecoverRequest *request, Error *err) {
        Resolution decision = request->mode == RECOVER_KEEP ? RESOLUTION_KEEP : RESOLUTION_RESTORE;
        size_t n = 0;
        int r = 0;
        if (request->mode != RECOVER_KEEP && request->mode != RECOVER_RESTORE)
                return 0;
        for (uint32_t i = 0; r == 0 && i < t->plan->n_steps; i++) {
                if (!step_is_meant(t, request, i) || !step_is_open(t, i))
                        continue;
                n++;
                r = resolve_step(e, t, i, decision, err);
        }
        if (r == 0 && n == 0)
                return error_set(err, -EINVAL, ERR_USAGE, "\"pawl recover --dry-run\" lists the steps.",
                                 "transaction %llu has no such open step", (unsigned long long)t->tx);
        return r;
}

/* ---- The three directions ---------------------------------------------------------------------------------------- */

static void recovery_times(const Trail *t, SettleTimes *ret) {
        int64_t now = clock_wall_usec();
        ret->duration_usec = now > t->begin_usec ? (uint64_t)(now - t->begin_usec) : 0;
}

static int go_back(Settle *s, Error *err) {
        SettleTimes times = {0};
        int r = s->trail->phase == TX_OPEN ? settle_abort(s, err) : 0;
        if (r == 0)
                r = settle_reverse(s, 0, err);
        if (r == 0)
                r = settle_tidy(s, err);
        if (r == 0)
                r = settle_finish(s, err);
        if (r != 0)
                return r;
        recovery_times(s->trail, &times);
        return settle_end(s, "put back", &times, err);
}

static int go_finish(Settle *s, Error *err) {
        SettleTimes times = {0};
        int r = settle_finish(s, err);
        int q = r < 0 || mutant_is("end-before-tidy") ? r : settle_tidy(s, err);
        if (r != 0 || q != 0)
                return r < 0 || q < 0 ? MIN(r, q) : SETTLE_STAYS;
        recovery_times(s->trail, &times);
        r = settle_end(s, "done", &times, err);
        return r == 0 && mutant_is("end-before-tidy") ? settle_tidy(s, err) : r;
}

static int go_forward(Engine *e, Trail *t, Value *report, Error *err) {
        _cleanup_txn_result_ TxnResult result = {0};
        Error why = ERROR_INIT;
        int r = txn_resume(e, t, &result, &why);
        bool was_undecided = r < 0 && !result.is_ended && value_count(result.leftovers) == 0;
        if (r < 0 && (why.code == ERR_JOURNAL_IO || was_undecided))
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        const char *word = !result.is_ended ? "hold" : r == 0 ? "finished" : "put back";
        bool is_settled = result.is_ended;
        int q = report_result(report, word, DIRECTION_FORWARD, plan_count_effects(result.trail->plan),
                              TAKE_PTR(result.leftovers), err);
        return q < 0 ? q : is_settled ? 0 : SETTLE_STAYS;
}

/* Every input of the remaining steps is on the host when their managers say they can work. */
static bool inputs_are_present(Engine *e, const Trail *t) {
        for (uint32_t i = 0; i < t->plan->n_steps; i++) {
                const Step *step = &t->plan->steps[i];
                if (t->steps[i].is_done || step->kind != STEP_EFFECT || !step->manager)
                        continue;
                Host host = engine_host(e, t->tx, i, true);
                if (step->manager->check(&host, step->args, NULL) < 0)
                        return false;
        }
        return true;
}

static int dry_run(Engine *e, const Trail *t, Direction direction, Value *report, Error *err) {
        _cleanup_free_ Verdict *verdicts = calloc(MAX(t->plan->n_steps, (size_t)1), sizeof(Verdict));
        _cleanup_(value_freep) Value *list = value_new_array();
        int r = verdicts && list ? settle_look(e, t, verdicts, err) : error_no_memory(err);
        for (uint32_t i = 0; r == 0 && i < t->plan->n_steps; i++) {
                _cleanup_free_ char *what = NULL;
                Value *line = NULL;
                bool is_next =
                        direction == DIRECTION_FORWARD && t->plan->steps[i].kind <= STEP_CHECK && !t->steps[i].is_done;
                if (direction == DIRECTION_FORWARD ? !is_next : verdicts[i] == VERDICT_NOTHING)
                        continue;
                r = step_describe(&t->plan->steps[i], &what, err);
                if (r == 0)
                        r = value_append(list, line = value_new_map(), err);
                if (r == 0)
                        r = value_set_int(line, "step", i + 1, err);
                if (r == 0)
                        r = value_set_text(line, "what", what, err);
                if (r == 0)
                        r = value_set_text(line, "verdict", is_next ? "go on" : verdict_name(verdicts[i]), err);
        }
        size_t n = value_count(list);
        if (r == 0)
                r = value_set(report, "would", TAKE_PTR(list), err);
        return r < 0 ? r : report_result(report, "open", direction, n, NULL, err);
}

/* A unit that was loaded before its file was put back must not start as it was loaded. */
static int reload_units(Settle *s, Error *err) {
        Host host = engine_host(s->engine, s->trail->tx, 0, false);
        bool has_unit = s->engine->is_real_root && mark_is_there(s->engine, s->trail->plan->service);
        return has_unit ? host_reload_units(&host, err) : 0;
}

/*
 * What a flow that is put back had enabled is in the start jobs of this boot, which systemd chose before early recovery
 * took the link away. Its mark keeps down what was not told to run.
 */
static int mark_early(Settle *s, Error *err) {
        _cleanup_(value_freep) Value *row = NULL;
        char key[ROW_KEY_MAX];
        int r = row_key(key, "service/%s", s->trail->plan->service);
        if (r > 0)
                r = engine_row(s->engine, key, &row, err);
        if (r < 0 && r != -ENOENT)
                return r;
        bool is_told_to_run = strcmp(value_get_text_or(row, "wanted", ""), "running") == 0;
        return is_told_to_run ? mark_refresh(s->engine, s->trail, err) : mark_keep_down(s->engine, s->trail, err);
}

/* Files alone, and never END: the debts, and whoever has to be told, are late recovery's. */
static int go_early(Settle *s, Direction direction, Error *err) {
        int r = 0;
        if (mutant_is("whole-always") && (r = mark_refresh(s->engine, s->trail, err)) < 0)
                return r;
        if (direction == DIRECTION_REVERSE) {
                r = s->trail->phase == TX_OPEN ? settle_abort(s, err) : 0;
                if (r == 0)
                        r = settle_reverse(s, 0, err);
        }
        int q = r < 0 ? r : engine_settle_disk(s->engine, err);
        if (q == 0)
                q = reload_units(s, err);
        if (q == 0)
                q = mark_early(s, err);
        return q < 0 ? q : r;
}

static int settle_in(Engine *e, Trail *t, const RecoverRequest *request, Direction direction, Value *report,
                     Error *err) {
        Settle s = {.engine = e,
                    .trail = t,
                    .is_recovery = true,
                    .is_early = request->stage == RECOVER_EARLY,
                    .is_late = request->stage == RECOVER_LATE,
                    .leftovers = value_new_array()};
        _cleanup_(value_freep) Value *leftovers = s.leftovers;
        if (!leftovers)
                return error_no_memory(err);
        int r = s.is_early                      ? go_early(&s, direction, err)
                : direction == DIRECTION_FINISH ? go_finish(&s, err)
                                                : go_back(&s, err);
        if (r > 0 && !s.is_early) {
                int q = mark_refresh(e, t, err);
                if (q < 0)
                        return q;
        }
        if (r < 0)
                return r;
        const char *done = s.is_early                      ? decide_files_are_whole(t, 0) ? "whole" : "later"
                           : direction == DIRECTION_FINISH ? "finished"
                                                           : "put back";
        int q = report_result(report, r == 0 ? done : "hold", direction, s.n_settled, TAKE_PTR(leftovers), err);
        return q < 0 ? q : r;
}

/* What the trail says of a shared thing holds only under that thing's lock: whoever needed it first may have settled
 * those steps. */
static int load_locked(Engine *e, uint64_t tx, const RecoverRequest *request, Trail **ret, Error *err) {
        _cleanup_(trail_freep) Trail *t = NULL;
        int r = trail_load(e->journal, e->host_key, tx, &t, err), taken = 0;
        if (r == 0 && request->mode != RECOVER_DRY_RUN)
                taken = shared_take_open(e, t, err);
        if (taken > 0) {
                t = trail_free(t);
                r = trail_load(e->journal, e->host_key, tx, &t, err);
        }
        if (taken < 0)
                return taken;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

static int recover_trail(Engine *e, uint64_t tx, const RecoverRequest *request, Value **ret_report, Error *err) {
        _cleanup_(trail_freep) Trail *t = NULL;
        _cleanup_(value_freep) Value *report = NULL;
        int r = load_locked(e, tx, request, &t, err);
        if (r == 0)
                r = report_new(t, &report, err);
        if (r < 0)
                return r;
        t->epoch++;
        if (request->tx != 0) /* a person asks for this one: what was given up is tried again */
                for (size_t i = 0; i < t->plan->n_steps; i++)
                        t->steps[i].attempts = 0;
        r = request->mode == RECOVER_DRY_RUN ? 0 : resolve(e, t, request, err);
        if (r < 0)
                return r;
        bool wants_forward =
                request->mode == RECOVER_FORWARD ||
                (request->mode != RECOVER_KEEP && request->mode != RECOVER_RESTORE && t->plan->finish_on_crash);
        Direction direction = decide_direction(t, wants_forward, wants_forward && inputs_are_present(e, t));
        if (request->mode == RECOVER_FORWARD && direction == DIRECTION_REVERSE)
                return error_set(err, -EINVAL, ERR_REFUSED, "\"pawl recover\" without --forward puts it back.",
                                 "transaction %llu cannot go forward: %s", (unsigned long long)tx,
                                 t->phase == TX_OPEN ? "an input of its remaining steps is not on the host"
                                                     : "it has begun to go back");
        if (direction == DIRECTION_NONE)
                r = report_result(report, "ended", direction, 0, NULL, err);
        else if (request->mode == RECOVER_DRY_RUN)
                r = dry_run(e, t, direction, report, err);
        else if (direction == DIRECTION_FORWARD && request->stage != RECOVER_EARLY)
                r = go_forward(e, TAKE_PTR(t), report, err);
        else
                r = settle_in(e, t, request, direction, report, err);
        if (r >= 0)
                *ret_report = TAKE_PTR(report);
        return r;
}

int recover_tx(Engine *e, uint64_t tx, const RecoverRequest *request, Value **ret_report, Error *err) {
        int r = recover_trail(e, tx, request, ret_report, err);
        shared_release(e, NULL);
        return r;
}

/* ---- Open transactions ------------------------------------------------------------------------------------------- */

int recover_service(Engine *e, const char *service, Value *reports, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        static const RecoverRequest automatic = {.mode = RECOVER_AUTO};
        int r = engine_rows(e, "open/", 0, &rows, err);
        int stays = 0;
        for (size_t i = value_count(rows); r >= 0 && i-- > 0;) {
                const Value *row = rows->map.entries[i].value;
                Value *report = NULL;
                if (strcmp(value_get_text_or(row, "service", ""), service) != 0)
                        continue;
                r = recover_tx(e, (uint64_t)value_get_int(row, "tx", 0), &automatic, &report, err);
                stays = MAX(stays, r);
                int q = r >= 0 ? value_append(reports, report, err) : r;
                if (q < 0)
                        return q;
        }
        return r < 0 ? r : stays;
}

static int recover_one(Engine *e, const Value *row, const RecoverRequest *request, Value *reports, Error *err) {
        _cleanup_close_ int fd = -1;
        _cleanup_(value_freep) Value *report = NULL;
        _cleanup_free_ char *lock = text_format("service-%s", value_get_text_or(row, "service", "?"));
        uint64_t tx = (uint64_t)value_get_int(row, "tx", 0);
        int r = lock ? lock_try(e, lock, &fd, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if (r > 0) {
                report = value_copy(row);
                r = report ? value_set_text(report, "result", "in progress", err) : error_no_memory(err);
                return r < 0 ? r : value_append(reports, TAKE_PTR(report), err);
        }
        Error why = ERROR_INIT;
        bool is_asked_for = request->tx != 0 || request->mode == RECOVER_DRY_RUN;
        r = is_asked_for ? 0 : unchecked_refuse(e, value_get_text_or(row, "service", "?"), &why);
        if (r == 0)
                r = recover_tx(e, tx, request, &report, &why);
        if (r < 0 && (why.code == ERR_JOURNAL_IO || request->tx != 0))
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        if (r < 0) { /* one that cannot be read holds up its own service, and no other */
                report = value_copy(row);
                if (!report || value_set_text(report, "result", "hold", NULL) < 0 ||
                    value_set_text(report, "problem", why.message, NULL) < 0)
                        return error_no_memory(err);
                engine_say(e, LOG_WARNING, "transaction %llu: %s", (unsigned long long)tx, why.message);
                r = SETTLE_STAYS;
        }
        int q = value_append(reports, TAKE_PTR(report), err);
        return q < 0 ? q : r;
}

/* ---- After a reboot ---------------------------------------------------------------------------------------------- */

/* What is half way is not started by itself; a person may. */
static int refuse_open(Engine *e, const char *service, Error *err) {
        int r = engine_has_open(e, service, err);
        return r == 1 ? error_set(err, -EBUSY, ERR_ON_HOLD, NULL, "it is on hold, and is not started") : r;
}

/* What was last told to run, and does not because the machine stopped under it, is started; what crashed by itself
 * is left as it is. */
static int start_after_boot(Engine *e, Value *started, Value *down, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        _cleanup_free_ char *asked = TAKE_PTR(e->request_id); /* the id of `recover`, not of these starts */
        int r = engine_rows(e, "service/", 0, &rows, err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                const Value *row = rows->map.entries[i].value;
                const char *name = value_get_text(row, "name");
                const Runtime *runtime = row_runtime(row);
                RunStatus status = {0};
                _cleanup_(value_freep) Value *outcome = NULL;
                if (!runtime || !name || strcmp(value_get_text_or(row, "wanted", ""), "running") != 0)
                        continue;
                Request request = {.kind = REQUEST_START, .service = name};
                Error why = ERROR_INIT;
                int q = runtime->state(&e->host, name, &status, &why);
                if (q == 0 && status.state != RUN_STOPPED)
                        continue;
                if (q == 0 && refuse_open(e, name, &why) == 0 && engine_run(e, &request, &outcome, &why) == 0)
                        r = value_append_text(started, name, err);
                else if (why.code == ERR_JOURNAL_IO)
                        return error_set(err, -EIO, ERR_JOURNAL_IO, why.hint, "%s", why.message);
                else {
                        engine_say(e, LOG_WARNING, "%s: %s", name, why.message);
                        r = value_append_text(down, name, err);
                }
        }
        e->request_id = TAKE_PTR(asked);
        return r;
}

static int recover_all(Engine *e, const RecoverRequest *request, Value *reports, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        int stays = 0;
        int r = engine_rows(e, "open/", 0, &rows, err);
        for (size_t i = 0; r >= 0 && i < value_count(rows); i++) {
                const Value *row = rows->map.entries[i].value;
                if (request->tx != 0 && (uint64_t)value_get_int(row, "tx", 0) != request->tx)
                        continue;
                r = recover_one(e, row, request, reports, err);
                stays = MAX(stays, r);
        }
        if (r >= 0 && request->tx != 0 && value_count(reports) == 0)
                return error_set(err, -ENOENT, ERR_NO_TRANSACTION, "\"pawl recover --dry-run\" lists what is open.",
                                 "transaction %llu is not open", (unsigned long long)request->tx);
        return r < 0 ? r : stays;
}

/* What comes of a recovery; the lists are borrowed. */
typedef struct Recovered {
        Value *reports, *started, *down;
        int stays; /* SETTLE_STAYS: something is on hold */
} Recovered;

/* What each stage does beside settling what is open. */
static int recover_stage(Engine *e, const RecoverRequest *request, Recovered *x, Error *err) {
        bool is_all = request->tx == 0 && request->mode == RECOVER_AUTO;
        int r = is_all && request->stage != RECOVER_WHOLE ? boot_remember(e, err) : 0;
        if (r == 0)
                r = x->stays = recover_all(e, request, x->reports, err);
        r = MIN(r, 0);
        if (r == 0 && is_all && request->stage != RECOVER_EARLY)
                r = start_after_boot(e, x->started, x->down, err);
        return r == 0 && is_all ? mark_sweep(e, err) : r;
}

/* A notification is no step of a transaction: many of them are behind it. It is tried as often as each of them would
 * be. */
static void send(Engine *e, const Value *message) {
        Host host = engine_host(e, (uint64_t)value_get_int(message, "tx", 0), 0, false);
        Error why = ERROR_INIT;
        if (settle_try(&host, manager_by_name("notify"), value_get(message, "args"),
                       value_get_int(message, "attempts", 1), &why) < 0)
                engine_say(e, LOG_WARNING, "%s", why.message);
}

static int tell(Engine *e, const Value *reports, Value *result, Error *err) {
        _cleanup_(value_freep) Value *told = NULL, *messages = NULL;
        int r = boot_compose(e, reports, &told, &messages, err);
        fault_point("tell-before");
        for (size_t i = 0; r == 0 && i < value_count(messages); i++)
                send(e, value_at(messages, i));
        if (r == 0)
                r = boot_told(e, told, err);
        return r < 0 ? r : value_set(result, "told", value_copy(value_get(told, "lines")), err);
}

int engine_recover(Engine *e, const RecoverRequest *request, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map(), *reports = value_new_array(),
                                     *started = value_new_array(), *down = value_new_array();
        Recovered x = {.reports = reports, .started = started, .down = down};
        if (!result || !reports || !started || !down)
                return error_no_memory(err);
        int r = recover_stage(e, request, &x, err);
        if (r == 0 && request->stage == RECOVER_LATE)
                r = tell(e, reports, result, err);
        if (r == 0)
                r = value_set(result, "transactions", TAKE_PTR(reports), err);
        if (r == 0)
                r = value_set(result, "started", TAKE_PTR(started), err);
        size_t n_down = value_count(down);
        if (r == 0)
                r = value_set(result, "down", TAKE_PTR(down), err);
        if (r == 0 && value_count(e->warnings) > 0)
                r = value_set(result, "warnings", value_copy(e->warnings), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        if (n_down > 0 && x.stays == 0)
                return error_set(err, -EIO, ERR_PROGRAM, "\"pawl status\" and \"pawl logs\" of each say more.",
                                 "%zu of the services that should run could not be started", n_down);
        if (x.stays == 0 || request->mode == RECOVER_DRY_RUN)
                return 0;
        return error_set(err, -EBUSY, ERR_LEFTOVERS,
                         "Decide for each: \"pawl recover TX --keep STEP\" or \"--restore STEP\".",
                         "something could not be put back or finished");
}
