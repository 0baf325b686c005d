/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One LMDB commit per step boundary: DONE of one effect and INTENT of the next go in together, BEGIN with the first
 * INTENT, the last DONE with COMMIT. Nothing depends on DONE; it may therefore wait for the next boundary, also across
 * a check.
 */
#include <assert.h>
#include <errno.h>

#include "core/base/fault.h"
#include "core/mark.h"
#include "core/rows.h"
#include "core/shared.h"
#include "core/txn_parts.h"

void txn_result_done(TxnResult *r) {
        r->trail = trail_free(r->trail);
        r->leftovers = value_free(r->leftovers);
}

/* ---- One step ---------------------------------------------------------------------------------------------------- */

static void say_step(Txn *x, uint32_t i) {
        _cleanup_free_ char *what = NULL;
        if (step_describe(&x->trail->plan->steps[i], &what, NULL) == 0)
                engine_say(x->engine, LOG_NOTE, "%s", what);
}

static Host txn_host(Txn *x, uint32_t i) {
        Host host = engine_host(x->engine, x->trail->tx, i, true);
        uint64_t timeout = x->trail->plan->timeout_usec;
        host.deadline_usec = timeout > 0 ? x->started_usec + timeout : 0;
        return host;
}

/* Captures, and makes the intent durable with whatever waited for this boundary. */
static int intend(Txn *x, uint32_t i, Error *err) {
        const Step *step = &x->trail->plan->steps[i];
        _cleanup_(value_freep) Value *before = NULL, *body = NULL;
        _cleanup_ledger_ Ledger l = {0};
        Host host = txn_host(x, i);
        int r = host_check_cancel(&host, err);
        if (r == 0)
                r = step->manager->capture(&host, step->args, &before, err);
        if (r == 0)
                r = txn_intent_body(step, before, &body, err);
        if (r == 0 && x->trail->phase == TX_NONE)
                r = txn_prepare(x, err);
        if (r == 0)
                r = ledger_open(&l, x->engine, x->trail, false, err);
        if (r == 0 && x->trail->phase == TX_NONE)
                r = txn_begin(x, &l, err);
        if (r == 0)
                r = txn_add_done(x, &l, err);
        if (r == 0)
                r = ledger_add(&l, RECORD_INTENT, i, TAKE_PTR(body), err);
        if (r != 0)
                return r;
        fault_point("intent-before");
        r = ledger_commit(&l, err);
        if (r < 0)
                return r;
        x->pending = -1;
        x->trail->steps[i].is_ours = true;
        return 0;
}

static void note_times(Txn *x, uint32_t i, const Value *facts) {
        const Step *step = &x->trail->plan->steps[i];
        int64_t stopped = value_get_int(facts, "stopped_at", 0);
        if (x->exposed_usec == 0 && step->debt != DEBT_NONE)
                x->exposed_usec = clock_boot_usec();
        if (stopped > 0 && x->stopped_usec == 0)
                x->stopped_usec = (uint64_t)stopped;
}

static int apply_step(Txn *x, uint32_t i, Error *err) {
        const Step *step = &x->trail->plan->steps[i];
        TrailStep *ts = &x->trail->steps[i];
        StepResult result = {0};
        Host host = txn_host(x, i);
        say_step(x, i);
        int r = step->manager->apply(&host, step->args, ts->before, &result, err);
        note_times(x, i, result.facts);
        if (r < 0) {
                step_result_done(&result);
                return r;
        }
        value_free(ts->facts);
        ts->facts = result.facts;
        ts->change = result.change;
        return 0;
}

/* The mistake every reader of a journal fears, for the crash tests to find: acting first and writing after. */
static int intend_after_apply(Txn *x, uint32_t i, Error *err) {
        const Step *step = &x->trail->plan->steps[i];
        Host host = txn_host(x, i);
        int r = step->manager->capture(&host, step->args, &x->trail->steps[i].before, err);
        if (r == 0)
                r = apply_step(x, i, err);
        return r < 0 ? r : intend(x, i, err);
}

/* Before a step that another process had begun: what that one left running is ended, and the attempt is counted. */
static int take_over(Txn *x, uint32_t i, Error *err) {
        Host host = engine_host(x->engine, x->trail->tx, i, false);
        int r = fence_step(&host, x->trail->tx, i, err);
        return r < 0 ? r : ledger_write(x->engine, x->trail, RECORD_RECOVER, i, NULL, err);
}

static int run_effect(Txn *x, uint32_t i, Error *err) {
        bool is_begun = x->trail->steps[i].has_intent;
        if (mutant_is("effect-before-intent") && x->trail->phase != TX_NONE)
                return intend_after_apply(x, i, err);
        int r = is_begun ? take_over(x, i, err) : intend(x, i, err);
        if (r != 0)
                return r;
        fault_point("apply-before");
        r = apply_step(x, i, err);
        if (r < 0)
                return r;
        fault_point("apply-after");
        if (mutant_is("mark-after-effect") && x->trail->plan->steps[i].debt == DEBT_PAY)
                (void)mark_begin(x->engine, x->trail->plan->service, err);
        x->pending = x->trail->steps[i].is_done ? -1 : (int64_t)i;
        return 0;
}

static int run_check(Txn *x, uint32_t i, Error *err) {
        const Step *step = &x->trail->plan->steps[i];
        StepResult result = {0};
        Host host = txn_host(x, i);
        int r = host_check_cancel(&host, err);
        if (r < 0)
                return r;
        say_step(x, i);
        r = step->manager->apply(&host, step->args, NULL, &result, err);
        step_result_done(&result);
        return r;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Its manager knows best what is wrong with it. */
static int reads_otherwise(const Host *host, const Step *step, const TrailStep *ts, Error *err) {
        _cleanup_free_ char *what = NULL;
        Error why = ERROR_INIT;
        (void)step_describe(step, &what, NULL);
        bool is_told = step->manager->verify(host, step->args, ts->facts, &why) < 0 && why.message[0];
        const char *hint =
                is_told && why.hint[0] ? why.hint : "Something else changes the same files; see \"pawl check\".";
        return error_set(err, -EIO, ERR_VERIFY, hint, "%s: it does not read back as written%s%s",
                         what ? what : "a step", is_told ? ": " : "", is_told ? why.message : "");
}

/* Read back before the click: what was written must be there, as written. */
static int read_back(Txn *x, Error *err) {
        for (uint32_t i = 0; i < x->trail->plan->n_steps; i++) {
                const Step *step = &x->trail->plan->steps[i];
                const TrailStep *ts = &x->trail->steps[i];
                Probe probe = PROBE_AFTER;
                if (step->kind != STEP_EFFECT || !ts->has_intent || ts->is_undone || mutant_is("no-read-back"))
                        continue;
                Host host = txn_host(x, i);
                int r = step->manager->probe(&host, step->args, ts->before, &probe, err);
                if (r < 0)
                        return r;
                if (probe != PROBE_AFTER && ts->change != CHANGE_UNCHANGED)
                        return reads_otherwise(&host, step, ts, err);
        }
        return 0;
}

static int commit(Txn *x, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        _cleanup_(value_freep) Value *body = value_new_map(), *rows = NULL;
        if (mutant_is("ack-before-commit"))
                engine_say(x->engine, LOG_NOTE, "committed");
        int r = body ? engine_settle_disk(x->engine, err) : error_no_memory(err);
        if (r == 0)
                r = rows_at_commit(x->trail, &rows, err);
        if (r == 0)
                r = value_set(body, "rows", TAKE_PTR(rows), err);
        bool is_first = x->trail->phase == TX_NONE; /* nothing on the host changes, only what pawl knows */
        if (r == 0 && is_first)
                r = txn_prepare(x, err);
        if (r == 0)
                r = ledger_open(&l, x->engine, x->trail, true, err);
        if (r == 0 && is_first && (r = txn_begin(x, &l, err)) != 0)
                return r;
        if (r == 0)
                r = txn_add_done(x, &l, err);
        if (r == 0)
                r = ledger_add(&l, RECORD_COMMIT, RECORD_STEP_NONE, TAKE_PTR(body), err);
        if (r < 0)
                return r;
        fault_point("commit-before");
        r = ledger_commit(&l, err);
        if (r < 0)
                return r;
        fault_point("commit-after");
        shared_release(x->engine, NULL);
        x->pending = -1;
        x->result->is_committed = true;
        txn_finish_times(x);
        engine_say(x->engine, LOG_NOTE, "committed");
        return 0;
}

static int finish(Txn *x, Error *err) {
        Settle s = txn_settle(x);
        int stays = settle_finish(&s, err);
        int r = stays < 0 ? stays : settle_tidy(&s, err);
        if (r == 0 && stays == 0) {
                r = settle_end(&s, "done", &x->result->times, err);
                x->result->is_ended = r == 0;
        }
        return r < 0 ? txn_left_open(r, err) : 0;
}

/* A process died while it put an optional group back: that comes first, then the flow goes on behind the group. */
static int resume_groups(Txn *x, Error *err) {
        int r = 0;
        for (uint32_t g = 0; r == 0 && g < x->trail->plan->n_groups; g++) {
                if (!x->trail->groups[g].is_failed || x->trail->groups[g].is_undone)
                        continue;
                Settle s = txn_settle(x);
                s.is_recovery = true;
                r = settle_reverse(&s, g + 1, err);
                if (r == SETTLE_STAYS)
                        return error_set(err, -EBUSY, ERR_LEFTOVERS, NULL, "%s could not be put back",
                                         x->trail->plan->groups[g].name);
                if (r == 0)
                        r = ledger_write(x->engine, x->trail, RECORD_GROUP_UNDONE, g | STEP_GROUP_BIT, NULL, err);
        }
        return r;
}

/* A later step was begun, so it was passed; asked again, it could meet our own work: the port is taken by what we
 * started. */
static bool check_was_passed(const Txn *x, uint32_t i) {
        const Plan *p = x->trail->plan;
        for (size_t k = i + 1; p->steps[i].kind == STEP_CHECK && k < p->n_steps; k++)
                if (x->trail->steps[k].has_intent)
                        return true;
        return false;
}

/* DONE says that it was; after a reboot a program that was started is not running any more. */
static bool is_done_still(Txn *x, uint32_t i) {
        const Step *step = &x->trail->plan->steps[i];
        const TrailStep *ts = &x->trail->steps[i];
        Probe probe = PROBE_AFTER;
        if (!ts->is_done || !x->is_resumed || ts->change == CHANGE_UNCHANGED)
                return ts->is_done;
        Host host = engine_host(x->engine, x->trail->tx, i, false);
        return step->manager->probe(&host, step->args, ts->before, &probe, NULL) == 0 && probe == PROBE_AFTER;
}

static int run_step(Txn *x, uint32_t i, Error *err) {
        const Step *step = &x->trail->plan->steps[i];
        const char *shared = step->group > 0 ? x->trail->plan->groups[step->group - 1].shared : NULL;
        int r = shared ? shared_take(x->engine, shared, x->trail, err) : 0;
        if (r < 0)
                return r;
        return step->kind == STEP_EFFECT ? run_effect(x, i, err) : run_check(x, i, err);
}

/* Step i of an optional group failed with r. 0: the group is put back, and the flow goes on; what comes back
 * otherwise ends the flow. */
static int go_on_without(Txn *x, uint32_t i, int r, Error *err) {
        uint32_t group = x->trail->plan->steps[i].group;
        bool is_optional = group > 0 && !x->trail->plan->groups[group - 1].is_required;
        if (!is_optional || x->trail->phase > TX_OPEN || err->code == ERR_JOURNAL_IO || r == -ECANCELED)
                return r;
        Error why = *err;
        int q = txn_begin_alone(x, err);
        if (q != 0)
                return q;
        x->trail->steps[i].is_failed = true; /* so that it is fenced before it is looked at */
        q = txn_group_failed(x, group, &why, err);
        return q == SETTLE_STAYS ? r : q;
}

/* Runs effects and checks from the first that is not done. *ret_failed is the step that failed. */
static int forward(Txn *x, uint32_t *ret_failed, Error *err) {
        const Plan *p = x->trail->plan;
        int r = 0;
        *ret_failed = RECORD_STEP_NONE;
        for (uint32_t i = 0; r == 0 && i < p->n_steps; i++) {
                const Step *step = &p->steps[i];
                bool is_left_out = step->group > 0 && x->trail->groups[step->group - 1].is_failed;
                if (step->kind > STEP_CHECK || is_left_out || is_done_still(x, i) || check_was_passed(x, i))
                        continue;
                r = run_step(x, i, err);
                if (r >= 0)
                        continue;
                *ret_failed = x->trail->phase == TX_NONE ? RECORD_STEP_NONE : i;
                bool is_optional = step->group > 0 && !p->groups[step->group - 1].is_required;
                r = go_on_without(x, i, r, err);
                if (is_optional && x->trail->groups[step->group - 1].is_failed)
                        *ret_failed = RECORD_STEP_NONE; /* FAILED names the group already */
        }
        return r;
}

/* What must wait for COMMIT, done too early: for the crash tests to find. */
static void mutate_before_commit(Txn *x, Error *why) {
        Settle s = txn_settle(x);
        if (mutant_is("finish-before-commit"))
                (void)settle_finish(&s, why);
        if (mutant_is("tidy-before-commit"))
                (void)settle_tidy(&s, why);
}

static int txn_go(Txn *x, Error *err) {
        uint32_t failed = RECORD_STEP_NONE;
        Error local = ERROR_INIT;
        Error *why = err ? err : &local;
        int r = resume_groups(x, why);
        if (r == 0)
                r = forward(x, &failed, why);
        if (r == TXN_CONFLICT)
                return r;
        if (r == 0)
                mutate_before_commit(x, why);
        if (r == 0)
                r = read_back(x, why);
        if (r == 0) {
                r = commit(x, why);
                if (r == TXN_CONFLICT || (r < 0 && why->code == ERR_JOURNAL_IO))
                        return r;
        }
        if (r < 0)
                return txn_put_back(x, failed, r, why);
        return finish(x, why);
}

int txn_resume(Engine *e, Trail *trail, TxnResult *ret, Error *err) {
        *ret = (TxnResult){.trail = trail, .leftovers = value_new_array()};
        if (!ret->leftovers)
                return error_no_memory(err);
        Txn x = {.engine = e,
                 .trail = trail,
                 .result = ret,
                 .pending = -1,
                 .is_resumed = trail->phase != TX_NONE,
                 .started_usec = clock_boot_usec()};
        /* Another process died in it: the files are about to be whole again, and the unit is about to be started. */
        int r = x.is_resumed ? mark_resume(e, trail, err) : 0;
        if (r == 0)
                r = txn_go(&x, err);
        /* Where BEGIN may be durable after all, the mark stays; where it is not, the next recovery takes the mark
         * away. */
        bool is_undecided = r < 0 && err && err->code == ERR_JOURNAL_IO;
        if (trail->phase == TX_NONE && trail->plan->is_marked && !is_undecided)
                mark_end(e, trail->plan->service);
        return r;
}

int txn_run(Engine *e, Plan *plan, TxnResult *ret, Error *err) {
        _cleanup_(plan_freep) Plan *taken = plan;
        _cleanup_(seal_key_freep) SealKey *key = seal_key_new();
        Trail *trail = NULL;
        if (!key)
                return error_no_memory(err);
        int r = plan_check(taken, e->is_real_root, err);
        if (r == 0)
                r = trail_new(TAKE_PTR(taken), TAKE_PTR(key), &trail, err);
        if (r < 0)
                return r;
        assert(trail);
        return txn_resume(e, trail, ret, err);
}
