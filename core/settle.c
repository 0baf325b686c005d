/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function here may be interrupted at any instruction and called again by another process: state lives in the
 * journal and on the host only.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/mark.h"
#include "core/rows.h"
#include "core/settle.h"

static int leftover(Settle *s, uint32_t i, Verdict verdict, const char *why, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        _cleanup_free_ char *what = NULL;
        int r = v ? step_describe(&s->trail->plan->steps[i], &what, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if ((r = value_set_int(v, "step", i + 1, err)) < 0 || (r = value_set_text(v, "what", what, err)) < 0 ||
            (r = value_set_text(v, "why", why, err)) < 0 ||
            (r = value_set_text(v, "verdict", verdict_name(verdict), err)) < 0)
                return r;
        return value_append(s->leftovers, TAKE_PTR(v), err);
}

/* What a dead process, or an apply whose answer was lost, may still be doing is ended before anybody looks. */
static int fence(const Settle *s, uint32_t i, Error *why) {
        Host host = engine_host(s->engine, s->trail->tx, i, false);
        if (mutant_is("no-fence"))
                return 0;
        return fence_step(&host, s->trail->tx, i, why);
}

static Probe probe_step(const Engine *e, const Trail *t, uint32_t i, Error *why) {
        const Step *step = &t->plan->steps[i];
        const TrailStep *s = &t->steps[i];
        Probe probe = PROBE_UNREACHABLE;
        if (!step->manager || !s->has_intent)
                return PROBE_BEFORE;
        Host host = engine_host(e, t->tx, i, false);
        if (step->manager->probe(&host, step->args, s->before, &probe, why) < 0)
                return PROBE_UNREACHABLE;
        return probe;
}

int settle_look(Engine *e, const Trail *t, Verdict *ret, Error *err) {
        _cleanup_free_ Probe *probes = calloc(MAX(t->plan->n_steps, (size_t)1), sizeof(Probe));
        if (!probes)
                return error_no_memory(err);
        for (uint32_t i = 0; i < t->plan->n_steps; i++) {
                bool is_open = t->steps[i].has_intent && !t->steps[i].is_undone;
                probes[i] = is_open ? probe_step(e, t, i, NULL) : PROBE_BEFORE;
        }
        if (t->phase == TX_COMMITTED)
                for (uint32_t i = 0; i < t->plan->n_steps; i++)
                        ret[i] = decide_finish_step(&t->steps[i], t->plan->steps[i].kind, true);
        else
                decide_reverse(t, probes, ret);
        return 0;
}

/* ---- Back -------------------------------------------------------------------------------------------------------- */

static int write_undone(Settle *s, uint32_t i, Error *err) {
        s->n_settled++;
        return ledger_write(s->engine, s->trail, RECORD_UNDONE, i, NULL, err);
}

/* The same reason is written once: a timer that tries again must not fill the journal. Its attempts then count up to
 * a hold. */
static int stuck(Settle *s, uint32_t i, const Error *why, Error *err) {
        const TrailStep *step = &s->trail->steps[i];
        int r = leftover(s, i, VERDICT_STUCK, why->message, err);
        if (r < 0 || (step->is_stuck && step->stuck_why && strcmp(step->stuck_why, why->message) == 0))
                return r;
        return ledger_write(s->engine, s->trail, RECORD_STUCK, i, ledger_reason(why), err);
}

/*
 * Putting it back may start the unit, and the unit asks whether the files are whole: those behind the step are. Undoing
 * what was paid starts nothing, nor does a route; both have files in front of them that are still to be put back.
 */
static bool may_start(const Step *step) {
        return step->manager->reach == REACH_VOLATILE && step->debt != DEBT_PAY && step->group == 0;
}

static int revert_step(Settle *s, uint32_t i, Verdict *ret, Error *err) {
        const Step *step = &s->trail->plan->steps[i];
        const TrailStep *ts = &s->trail->steps[i];
        int r = 0;
        if (s->is_recovery && !mutant_is("recover-not-written"))
                r = ledger_write(s->engine, s->trail, RECORD_RECOVER, i, NULL, err);
        if (r == 0 && mutant_is("undone-before-revert"))
                r = write_undone(s, i, err);
        if (r < 0)
                return r;
        if (may_start(step) && (r = mark_whole_if(s->engine, s->trail, i, err)) < 0)
                return r;
        Host host = engine_host(s->engine, s->trail->tx, i, false);
        host.is_forced = ts->resolution == RESOLUTION_RESTORE;
        Error why = ERROR_INIT;
        fault_point("revert-before");
        if (step->manager->revert(&host, step->args, ts->before, &why) < 0) {
                *ret = VERDICT_STUCK;
                return stuck(s, i, &why, err);
        }
        fault_point("revert-after");
        return ts->is_undone ? 0 : write_undone(s, i, err);
}

static const char *hold_reason(const Settle *s, uint32_t i) {
        const TrailStep *ts = &s->trail->steps[i];
        if (!s->trail->plan->steps[i].manager)
                return "a newer pawl wrote it";
        return ts->is_stuck && ts->stuck_why ? ts->stuck_why : "recovery died here three times";
}

/* Early in a boot nothing is asked that another program would have to answer. */
static bool may_look(const Settle *s, uint32_t i) {
        const Manager *manager = s->trail->plan->steps[i].manager;
        return !s->is_early || !manager || manager->reach == REACH_FILES;
}

static int reverse_step(Settle *s, Verdict *verdicts, uint32_t i, Error *err) {
        Error why = ERROR_INIT;
        Probe probe = PROBE_BEFORE;
        const TrailStep *ts = &s->trail->steps[i];
        if (ts->has_intent && !ts->is_undone) {
                bool must_fence = s->is_recovery || ts->is_failed;
                if (!may_look(s, i))
                        probe = PROBE_UNREACHABLE;
                else if (must_fence && fence(s, i, &why) < 0)
                        probe = PROBE_UNREACHABLE;
                else
                        probe = probe_step(s->engine, s->trail, i, &why);
        }
        verdicts[i] = s->is_early ? decide_early_at(s->trail, verdicts, i, probe, s->engine->boot)
                                  : decide_reverse_at(s->trail, verdicts, i, probe);
        if (mutant_is("trust-before") && verdicts[i] == VERDICT_REVERT && probe == PROBE_BEFORE)
                return write_undone(s, i, err);
        switch (verdicts[i]) {
        case VERDICT_REVERT:
                return revert_step(s, i, &verdicts[i], err);
        case VERDICT_STUCK:
                if (why.code == ERR_NONE)
                        (void)error_set_full(&why, -ESTALE, ERR_FOREIGN, NULL,
                                             "it is neither as it was nor as pawl wrote it");
                return stuck(s, i, &why, err);
        case VERDICT_LATER:
                return leftover(s, i, VERDICT_LATER, why.code == ERR_NONE ? "it cannot be looked at now" : why.message,
                                err);
        case VERDICT_HOLD:
                return leftover(s, i, VERDICT_HOLD, hold_reason(s, i), err);
        case VERDICT_BLOCKED:
                return leftover(s, i, VERDICT_BLOCKED, "something that stands on it stays", err);
        case VERDICT_NOTHING:
        case VERDICT_LATE:
        case VERDICT_FINISH:
                return 0;
        }
        return 0;
}

int settle_abort(Settle *s, Error *err) {
        if (mutant_is("mark-before-undone"))
                mark_end(s->engine, s->trail->plan->service);
        Error why = ERROR_INIT;
        (void)error_set_full(&why, -EOWNERDEAD, ERR_FAILED, NULL, "pawl was interrupted (power cut, kill or crash)");
        return ledger_write(s->engine, s->trail, RECORD_ABORT, RECORD_STEP_NONE, ledger_reason(&why), err);
}

int settle_reverse(Settle *s, uint32_t group, Error *err) {
        const Plan *p = s->trail->plan;
        size_t before = value_count(s->leftovers);
        _cleanup_free_ Verdict *verdicts = calloc(MAX(p->n_steps, (size_t)1), sizeof(Verdict));
        int r = verdicts ? 0 : error_no_memory(err);
        for (uint32_t n = 0; r == 0 && n < p->n_steps; n++) {
                uint32_t i = mutant_is("reverse-in-order") ? n : (uint32_t)p->n_steps - 1 - n;
                if (group == 0 || p->steps[i].group == group)
                        r = reverse_step(s, verdicts, i, err);
                else /* it stays for now, and so does what it stands on */
                        verdicts[i] = trail_step_is_open(&s->trail->steps[i]) ? VERDICT_BLOCKED : VERDICT_NOTHING;
        }
        if (r < 0)
                return r;
        return value_count(s->leftovers) > before ? SETTLE_STAYS : 0;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static int finished_body(const char *warning, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map();
        int r = body ? value_set_text(body, "warning", warning, err) : error_no_memory(err);
        if (r == 0)
                *ret = TAKE_PTR(body);
        return r;
}

/* A finish step may be done twice, so in a living process its record can wait for END's commit. */
static int finished(Settle *s, uint32_t i, const char *warning, Error *err) {
        Value *body = NULL;
        TrailStep *ts = &s->trail->steps[i];
        s->n_settled++;
        if (warning)
                engine_say(s->engine, LOG_WARNING, "%s", warning);
        if (!s->is_recovery) {
                ts->is_finish_pending = true;
                if (!warning)
                        return 0;
                ts->warning = strdup(warning);
                return ts->warning ? value_append_text(s->trail->warnings, warning, err) : error_no_memory(err);
        }
        int r = finished_body(warning, &body, err);
        return r < 0 ? r : ledger_write(s->engine, s->trail, RECORD_FINISHED, i, body, err);
}

int settle_try(const Host *host, const Manager *m, const Value *args, int64_t attempts, Error *err) {
        int r = -EIO;
        for (int64_t n = 0; n < attempts && r < 0; n++) {
                if (n > 0)
                        clock_sleep_usec(MIN((uint64_t)1 << n, (uint64_t)8) * USEC_PER_SEC / 4);
                StepResult result = {0};
                r = m->apply(host, args, NULL, &result, err);
                step_result_done(&result);
        }
        return r;
}

static int try_finish(Settle *s, uint32_t i, Error *why) {
        const Step *step = &s->trail->plan->steps[i];
        Host host = engine_host(s->engine, s->trail->tx, i, false);
        int64_t attempts = step->kind == STEP_FINISH_MUST ? 1 : value_get_int(step->args, "attempts", 1);
        return settle_try(&host, step->manager, step->args, attempts, why);
}

static int finish_step(Settle *s, uint32_t i, Error *err) {
        const Step *step = &s->trail->plan->steps[i];
        TrailStep *ts = &s->trail->steps[i];
        Error why = ERROR_INIT;
        int r = 0;
        bool is_must = step->kind == STEP_FINISH_MUST;
        if (!step->manager && !is_must)
                return finished(s, i, "a step of a newer pawl was left out", err);
        if (s->is_late && step->kind == STEP_TELL)
                return finished(s, i, NULL, err);
        if (!step->manager || (ts->attempts >= RECOVER_ATTEMPTS_MAX && is_must))
                return leftover(s, i, VERDICT_HOLD, hold_reason(s, i), err);
        if (s->is_recovery)
                r = ledger_write(s->engine, s->trail, RECORD_RECOVER, i, NULL, err);
        if (r < 0)
                return r;
        if (mutant_is("finished-before-finish") && (r = finished(s, i, NULL, err)) < 0)
                return r;
        bool is_given_up = ts->attempts > RECOVER_ATTEMPTS_MAX;
        if (!is_given_up && try_finish(s, i, &why) == 0)
                return ts->is_finished ? 0 : finished(s, i, NULL, err);
        if (is_given_up)
                (void)error_set_full(&why, -EIO, ERR_FAILED, NULL, "pawl died here three times");
        _cleanup_free_ char *what = NULL;
        (void)step_describe(step, &what, NULL);
        (void)error_context(&why, -EIO, "%s", what ? what : "a finish step");
        return is_must ? stuck(s, i, &why, err) : finished(s, i, why.message, err);
}

int settle_finish(Settle *s, Error *err) {
        const Plan *p = s->trail->plan;
        size_t before = value_count(s->leftovers);
        bool is_committed = s->trail->phase == TX_COMMITTED || mutant_is("finish-before-commit");
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < p->n_steps; i++) {
                if (decide_finish_step(&s->trail->steps[i], p->steps[i].kind, is_committed) == VERDICT_FINISH)
                        r = finish_step(s, i, err);
        }
        if (r < 0)
                return r;
        return value_count(s->leftovers) > before ? SETTLE_STAYS : 0;
}

/* Twice: behind END nobody comes back for what is left over, and a lack of memory or of descriptors passes. */
static int tidy_step(Settle *s, uint32_t i, Error *why) {
        const Step *step = &s->trail->plan->steps[i];
        Host host = engine_host(s->engine, s->trail->tx, i, false);
        host.is_recovery = s->is_recovery;
        if (step->manager->tidy(&host, step->args, s->trail->steps[i].before, why) == 0)
                return 0;
        engine_say(s->engine, LOG_NOTE, "%s; trying again", why->message);
        host.is_recovery = true; /* the first try may have removed it, and not synced that */
        return step->manager->tidy(&host, step->args, s->trail->steps[i].before, why);
}

int settle_tidy(Settle *s, Error *err) {
        const Plan *p = s->trail->plan;
        int r = 0;
        for (uint32_t i = 0; i < p->n_steps; i++) {
                const TrailStep *ts = &s->trail->steps[i];
                if (p->steps[i].kind != STEP_EFFECT || !ts->has_intent || !p->steps[i].manager || mutant_is("no-tidy"))
                        continue;
                Error why = ERROR_INIT;
                if (tidy_step(s, i, &why) == 0)
                        continue;
                engine_say(s->engine, LOG_WARNING, "what was kept for undoing could not be removed: %s", why.message);
                r = value_append_text(s->trail->warnings, why.message, err);
        }
        return r;
}

/* ---- END --------------------------------------------------------------------------------------------------------- */

static int history_row(const Settle *s, const char *result, const SettleTimes *times, Value **ret, Error *err) {
        const Trail *t = s->trail;
        _cleanup_(value_freep) Value *v = value_new_map();
        int r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_int(v, "tx", (int64_t)t->tx, err)) < 0 ||
            (r = value_set_text(v, "service", t->plan->service, err)) < 0 ||
            (r = value_set_text(v, "flow", t->plan->flow, err)) < 0 ||
            (r = value_set_text(v, "from", t->plan->from, err)) < 0 ||
            (r = value_set_text(v, "to", t->plan->to, err)) < 0 || (r = value_set_text(v, "result", result, err)) < 0 ||
            (r = value_set_text(v, "actor", value_get_text(t->begin, "actor"), err)) < 0 ||
            (r = value_set_text(v, "request", value_get_text(t->begin, "request"), err)) < 0 ||
            (r = value_set_text(v, "reason", t->reason, err)) < 0 ||
            (r = value_set_int(v, "started", t->begin_usec, err)) < 0 ||
            (r = value_set_int(v, "ended", clock_wall_usec(), err)) < 0)
                return r;
        if (t->reason && (r = value_set_text(v, "code", error_slug(t->reason_code), err)) < 0)
                return r;
        if (times && ((r = value_set_int(v, "duration_usec", (int64_t)times->duration_usec, err)) < 0 ||
                      (r = value_set_int(v, "exposure_usec", (int64_t)times->exposure_usec, err)) < 0 ||
                      (r = value_set_int(v, "downtime_usec", (int64_t)times->downtime_usec, err)) < 0))
                return r;
        if (value_count(t->warnings) > 0 && (r = value_set(v, "warnings", value_copy(t->warnings), err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

/* The BEGIN of the oldest open transaction - 1: what lies behind it is verified at every opening. */
static int move_anchor(Engine *e, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        uint64_t oldest = UINT64_MAX;
        int r = journal_rows(e->journal, "open/", 0, &list, err);
        if (r < 0)
                return r;
        if (list.n > 0 && !mutant_is("anchor-past-open"))
                oldest = strtoull(list.rows[0].key + strlen("open/"), NULL, 16) - 1;
        return journal_anchor(e->journal, oldest, err);
}

static int add_finished(Ledger *l, Error *err) {
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < l->trail->plan->n_steps; i++) {
                Value *body = NULL;
                if (!l->trail->steps[i].is_finish_pending)
                        continue;
                r = finished_body(l->trail->steps[i].warning, &body, err);
                if (r == 0)
                        r = ledger_add(l, RECORD_FINISHED, i, body, err);
        }
        return r;
}

/* The version that was not healthy is held: a timer must not try it again every night. Whoever writes END writes
 * this, also after a crash. */
static int held_row(const Trail *t, Value *rows, Error *err) {
        const Plan *p = t->plan;
        char key[ROW_KEY_MAX];
        bool is_its_fault = t->reason_code == ERR_HEALTH || t->reason_code == ERR_PROGRAM;
        if (t->phase != TX_ABORTED || !is_its_fault || !p->held || !p->to || mutant_is("held-not-written"))
                return 0;
        _cleanup_(value_freep) Value *row = value_copy(p->held);
        int r = row ? value_set_text(row, "why", t->reason, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(row, "tx", (int64_t)t->tx, err);
        if (r == 0 && row_key(key, "held/%s/%s", p->service, p->to) > 0)
                r = value_set(rows, key, TAKE_PTR(row), err);
        return r;
}

/* What was said while it ran stays with its history. */
static int keep_warnings(const Settle *s, Error *err) {
        const Value *said = s->engine->warnings;
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(said); i++) {
                const char *text = value_text(value_at(said, i));
                bool is_there = false;
                for (size_t k = 0; k < value_count(s->trail->warnings); k++)
                        is_there |= strcmp(value_text(value_at(s->trail->warnings, k)), text) == 0;
                if (!is_there)
                        r = value_append_text(s->trail->warnings, text, err);
        }
        return r;
}

int settle_end(Settle *s, const char *result, const SettleTimes *times, Error *err) {
        _cleanup_(value_freep) Value *rows = value_new_map(), *body = value_new_map(), *history = NULL;
        _cleanup_ledger_ Ledger ledger = {0};
        char key[ROW_KEY_MAX];
        assert(trail_is_settled(s->trail) || mutant_is("finish-before-commit"));
        if (!rows || !body)
                return error_no_memory(err);
        row_key_history(s->trail->plan->service, s->trail->tx, key);
        int r = engine_settle_disk(s->engine, err);
        if (r == 0)
                r = keep_warnings(s, err);
        if (r == 0)
                r = held_row(s->trail, rows, err);
        if (r == 0)
                r = history_row(s, result, times, &history, err);
        if (r == 0)
                r = value_set(rows, key, TAKE_PTR(history), err);
        if (r == 0)
                r = value_set_text(body, "result", result, err);
        if (r == 0)
                r = value_set(body, "rows", TAKE_PTR(rows), err);
        if (r == 0)
                r = ledger_open(&ledger, s->engine, s->trail, true, err);
        if (r == 0)
                r = add_finished(&ledger, err);
        if (r == 0)
                r = ledger_add(&ledger, RECORD_END, RECORD_STEP_NONE, TAKE_PTR(body), err);
        if (r == 0)
                r = ledger_commit(&ledger, err);
        if (r < 0)
                return r;
        mark_end(s->engine, s->trail->plan->service);
        Error ignored = ERROR_INIT; /* a lagging anchor costs a longer verification, nothing else */
        if (move_anchor(s->engine, &ignored) < 0)
                engine_say(s->engine, LOG_WARNING, "%s", ignored.message);
        return 0;
}
