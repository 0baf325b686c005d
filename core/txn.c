/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One LMDB commit per step boundary: DONE of one effect and INTENT of the next go in together, BEGIN with the first INTENT, the last
 * DONE with COMMIT. Nothing depends on DONE; it may therefore wait for the next boundary, also across a check.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/body.h"
#include "core/mark.h"
#include "core/rows.h"
#include "core/shared.h"
#include "core/txn.h"

typedef struct Txn {
        Engine *engine;
        Trail *trail;
        TxnResult *result;
        int64_t pending; /* step whose DONE is not written yet, or -1 */
        bool is_resumed; /* another process began this and died */
        uint64_t started_usec, exposed_usec, stopped_usec;
} Txn;

void txn_result_done(TxnResult *r) {
        r->trail = trail_free(r->trail);
        r->leftovers = value_free(r->leftovers);
}

/* ---- Records -------------------------------------------------------------------------------------------------------------- */

static int add_pending_done(Txn *x, Ledger *l, Error *err) {
        if (x->pending < 0 || mutant_is("ignore-done"))
                return 0;
        const TrailStep *ts = &x->trail->steps[x->pending];
        _cleanup_(value_freep) Value *body = value_new_map();
        int r = body ? value_set_int(body, "change", ts->change, err) : error_no_memory(err);
        if (r == 0 && ts->facts)
                r = value_set(body, "facts", value_copy(ts->facts), err);
        return r < 0 ? r : ledger_add(l, RECORD_DONE, (uint32_t)x->pending, TAKE_PTR(body), err);
}

/* The re-check of what the plan chose, inside the LMDB transaction that writes BEGIN: nobody can take it between the look and the claim. */
static int claim_is_free(JournalWrite *w, const Plan *p, const char *claim, Error *err) {
        char key[ROW_KEY_MAX];
        static const char *const prefixes[] = {"", "claim/"};
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                _cleanup_row_list_ RowList list = {0};
                _cleanup_(value_freep) Value *row = NULL;
                int r = row_key(key, "%s%s", prefixes[i], claim);
                if (r < 0)
                        return error_set(err, r, ERR_FAILED, NULL, "the claim \"%s\" is too long", claim);
                r = journal_write_get_row(w, key, &list, err);
                if (r == -ENOENT)
                        continue;
                if (r < 0 || (r = body_decode_row(&list.rows[0], NULL, &row, err)) < 0)
                        return r;
                const char *owner = value_get_text(row, "service");
                if (!owner || strcmp(owner, p->service) != 0)
                        return TXN_CONFLICT;
        }
        return 0;
}

static int check_claims(JournalWrite *w, const Plan *p, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(p->claims) && !mutant_is("no-claim-check"); i++)
                r = claim_is_free(w, p, value_text(value_at(p->claims, i)), err);
        return r;
}

static int begin_body(Txn *x, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map(), *plan = NULL;
        int r = body ? plan_to_value(x->trail->plan, &plan, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if ((r = value_set(body, "plan", TAKE_PTR(plan), err)) < 0 ||
            (r = value_set_text(body, "actor", x->engine->actor, err)) < 0 ||
            (r = value_set_text(body, "request", x->engine->request_id, err)) < 0 ||
            (r = value_set_text(body, "pawl", PAWL_VERSION, err)) < 0)
                return r;
        if (x->trail->plan->spec) {
                char hash[17];
                r = spec_hash(x->trail->plan->spec, hash, err);
                if (r < 0 || (r = value_set_text(body, "hash", hash, err)) < 0)
                        return r;
        }
        *ret = TAKE_PTR(body);
        return 0;
}

/* The first record, and the transaction's key with it. */
static int begin(Txn *x, Ledger *l, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        uint8_t wrapped[SEAL_WRAPPED_SIZE];
        int r = check_claims(l->write, x->trail->plan, err);
        if (r != 0)
                return r;
        r = begin_body(x, &body, err);
        if (r == 0)
                r = ledger_add(l, RECORD_BEGIN, RECORD_STEP_NONE, TAKE_PTR(body), err);
        if (r == 0 && mutant_is("key-not-kept"))
                return 0;
        if (r == 0)
                r = seal_wrap(x->engine->host_key, x->trail->key, wrapped, err);
        return r < 0 ? r : journal_write_key(l->write, 0, wrapped, sizeof(wrapped), err);
}

/* Before BEGIN: the mark, and room for the flow to its end and back. */
static int prepare(Txn *x, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        const Plan *p = x->trail->plan;
        int r = p->is_marked && !mutant_is("mark-after-effect") ? mark_begin(x->engine, p->service, err) : 0;
        if (r == 0)
                r = begin_body(x, &body, err);
        if (r == 0)
                r = body_encode(RECORD_BEGIN, body, x->trail->key, &data, &size, err);
        return r < 0 ? r : journal_reserve(x->engine->journal, size, err);
}

static int intent_body(const Step *step, const Value *before, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map(), *numbered = NULL;
        int r = body ? field_pack(step->manager->before, before, &numbered, err) : error_no_memory(err);
        if (r == 0)
                r = value_set(body, "before", TAKE_PTR(numbered), err);
        if (r == 0)
                *ret = TAKE_PTR(body);
        return r;
}

/* ---- One step ------------------------------------------------------------------------------------------------------------- */

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
                r = intent_body(step, before, &body, err);
        if (r == 0 && x->trail->phase == TX_NONE)
                r = prepare(x, err);
        if (r == 0)
                r = ledger_open(&l, x->engine, x->trail, false, err);
        if (r == 0 && x->trail->phase == TX_NONE)
                r = begin(x, &l, err);
        if (r == 0)
                r = add_pending_done(x, &l, err);
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

static void note_times(Txn *x, uint32_t i) {
        const Step *step = &x->trail->plan->steps[i];
        int64_t stopped = value_get_int(x->trail->steps[i].facts, "stopped_at", 0);
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
        if (r < 0) {
                step_result_done(&result);
                return r;
        }
        value_free(ts->facts);
        ts->facts = result.facts;
        ts->change = result.change;
        note_times(x, i);
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

/* ---- Failing -------------------------------------------------------------------------------------------------------------- */

static Settle txn_settle(Txn *x) {
        return (Settle){.engine = x->engine, .trail = x->trail, .leftovers = x->result->leftovers};
}

/* The flow's first step is the one that failed, and the flow goes on: so it begins without it. */
static int begin_alone(Txn *x, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        int r = x->trail->phase == TX_NONE ? prepare(x, err) : 0;
        if (r < 0 || x->trail->phase != TX_NONE)
                return r;
        r = ledger_open(&l, x->engine, x->trail, false, err);
        if (r == 0)
                r = begin(x, &l, err);
        return r != 0 ? r : ledger_commit(&l, err);
}

/* An optional group failed: it alone is put back, and the flow goes on behind it. */
static int group_failed(Txn *x, uint32_t group, const Error *why, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        int r = ledger_open(&l, x->engine, x->trail, true, err);
        if (r == 0)
                r = add_pending_done(x, &l, err);
        if (r == 0)
                r = ledger_add(&l, RECORD_FAILED, (group - 1) | STEP_GROUP_BIT, ledger_reason(why), err);
        if (r == 0)
                r = ledger_commit(&l, err);
        if (r < 0)
                return r;
        x->pending = -1;
        Settle s = txn_settle(x);
        r = settle_reverse(&s, group, err);
        if (r != 0)
                return r;
        engine_say(x->engine, LOG_WARNING, "%s: %s", x->trail->plan->groups[group - 1].name, why->message);
        shared_release_group(x->engine, x->trail, group);
        return ledger_write(x->engine, x->trail, RECORD_GROUP_UNDONE, (group - 1) | STEP_GROUP_BIT, NULL, err);
}

static int write_abort(Txn *x, uint32_t failed, const Error *why, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        int r = ledger_open(&l, x->engine, x->trail, true, err);
        if (r == 0)
                r = add_pending_done(x, &l, err);
        if (r == 0 && failed != RECORD_STEP_NONE)
                r = ledger_add(&l, RECORD_FAILED, failed, ledger_reason(why), err);
        if (r == 0)
                r = ledger_add(&l, RECORD_ABORT, RECORD_STEP_NONE, ledger_reason(why), err);
        if (r == 0)
                r = ledger_commit(&l, err);
        if (r == 0)
                x->pending = -1;
        return r;
}

/*
 * A step that refused because something is not as captured has, by contract, changed nothing: it is back already. That holds only where no dead process
 * had begun it before.
 */
static int refused(Txn *x, uint32_t failed, const Error *why, Error *err) {
        bool is_refused = failed != RECORD_STEP_NONE && why->code == ERR_FOREIGN && x->trail->steps[failed].is_ours;
        return is_refused ? ledger_write(x->engine, x->trail, RECORD_UNDONE, failed, NULL, err) : 0;
}

static void finish_times(Txn *x) {
        uint64_t now = clock_boot_usec();
        x->result->times.duration_usec = now - x->started_usec;
        if (x->exposed_usec > 0)
                x->result->times.exposure_usec = now - x->exposed_usec;
        if (x->stopped_usec > 0)
                x->result->times.downtime_usec = now - x->stopped_usec;
}

/* The transaction could not be brought to its END now: that is told, whatever the reason, and recovery goes on with it. */
static int left_open(int r, Error *err) {
        if (err->code != ERR_JOURNAL_IO) {
                err->code = ERR_LEFTOVERS;
                error_hint(err, "Run \"pawl recover\": it goes on where this stopped.");
        }
        return r;
}

/* Puts everything back. The reason stays in *err; only a journal that cannot be written replaces it. */
static int put_back(Txn *x, uint32_t failed, int r, Error *err) {
        secrets_hide(x->trail->plan->rows, err->detail);
        Error why = *err;
        if (x->trail->phase == TX_NONE || why.code == ERR_JOURNAL_IO)
                return r;
        Settle s = txn_settle(x);
        int q = mutant_is("no-abort") ? 0 : write_abort(x, failed, &why, err);
        if (q == 0) {
                engine_say(x->engine, LOG_ERROR, "%s; putting back", why.message);
                q = refused(x, failed, &why, err);
        }
        if (q == 0)
                q = settle_reverse(&s, 0, err);
        shared_release(x->engine, NULL);
        if (q == 0)
                q = settle_tidy(&s, err);
        finish_times(x);
        if (q == 0)
                q = settle_finish(&s, err);
        if (q == 0)
                q = settle_end(&s, "put back", &x->result->times, err);
        if (q < 0)
                return left_open(q, err);
        x->result->is_ended = q == 0;
        *err = why;
        if (q != 0) /* what could not be put back must not be started either */
                (void)mark_refresh(x->engine, x->trail, NULL);
        return r;
}

/* ---- The whole ------------------------------------------------------------------------------------------------------------ */

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
                r = prepare(x, err);
        if (r == 0)
                r = ledger_open(&l, x->engine, x->trail, true, err);
        if (r == 0 && is_first && (r = begin(x, &l, err)) != 0)
                return r;
        if (r == 0)
                r = add_pending_done(x, &l, err);
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
        finish_times(x);
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
        return r < 0 ? left_open(r, err) : 0;
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

/* A later step was begun, so it was passed; asked again, it could meet our own work: the port is taken by what we started. */
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

/* Step i of an optional group failed with r. 0: the group is put back, and the flow goes on; what comes back otherwise ends the flow. */
static int go_on_without(Txn *x, uint32_t i, int r, Error *err) {
        uint32_t group = x->trail->plan->steps[i].group;
        bool is_optional = group > 0 && !x->trail->plan->groups[group - 1].is_required;
        if (!is_optional || x->trail->phase > TX_OPEN || err->code == ERR_JOURNAL_IO || r == -ECANCELED)
                return r;
        Error why = *err;
        int q = begin_alone(x, err);
        if (q != 0)
                return q;
        x->trail->steps[i].is_failed = true; /* so that it is fenced before it is looked at */
        q = group_failed(x, group, &why, err);
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
                return put_back(x, failed, r, why);
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
        /* Where BEGIN may be durable after all, the mark stays; where it is not, the next recovery takes the mark away. */
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
