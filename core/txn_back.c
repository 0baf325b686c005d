/* SPDX-License-Identifier: Apache-2.0 */
/* A flow that failed, in the process that ran it: of an optional group alone, or of the whole. ABORT or FAILED is
 * durable before the first revert. */

#include "core/base/fault.h"
#include "core/mark.h"
#include "core/shared.h"
#include "core/txn_parts.h"

Settle txn_settle(Txn *x) {
        return (Settle){.engine = x->engine, .trail = x->trail, .leftovers = x->result->leftovers};
}

int txn_begin_alone(Txn *x, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        int r = x->trail->phase == TX_NONE ? txn_prepare(x, err) : 0;
        if (r < 0 || x->trail->phase != TX_NONE)
                return r;
        r = ledger_open(&l, x->engine, x->trail, false, err);
        if (r == 0)
                r = txn_begin(x, &l, err);
        return r != 0 ? r : ledger_commit(&l, err);
}

int txn_group_failed(Txn *x, uint32_t group, const Error *why, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        int r = ledger_open(&l, x->engine, x->trail, true, err);
        if (r == 0)
                r = txn_add_done(x, &l, err);
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
                r = txn_add_done(x, &l, err);
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
 * A step that refused because something is not as captured has, by contract, changed nothing: it is back already. That
 * holds only where no dead process had begun it before.
 */
static int refused(Txn *x, uint32_t failed, const Error *why, Error *err) {
        bool is_refused = failed != RECORD_STEP_NONE && why->code == ERR_FOREIGN && x->trail->steps[failed].is_ours;
        return is_refused ? ledger_write(x->engine, x->trail, RECORD_UNDONE, failed, NULL, err) : 0;
}

void txn_finish_times(Txn *x) {
        uint64_t now = clock_boot_usec();
        x->result->times.duration_usec = now - x->started_usec;
        if (x->exposed_usec > 0)
                x->result->times.exposure_usec = now - x->exposed_usec;
        if (x->stopped_usec > 0)
                x->result->times.downtime_usec = now - x->stopped_usec;
}

int txn_left_open(int r, Error *err) {
        if (err->code != ERR_JOURNAL_IO) {
                err->code = ERR_LEFTOVERS;
                error_hint(err, "Run \"pawl recover\": it goes on where this stopped.");
        }
        return r;
}

int txn_put_back(Txn *x, uint32_t failed, int r, Error *err) {
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
        txn_finish_times(x);
        if (q == 0)
                q = settle_finish(&s, err);
        if (q == 0)
                q = settle_end(&s, "put back", &x->result->times, err);
        if (q < 0)
                return txn_left_open(q, err);
        x->result->is_ended = q == 0;
        *err = why;
        if (q != 0) /* what could not be put back must not be started either */
                (void)mark_refresh(x->engine, x->trail, NULL);
        return r;
}
