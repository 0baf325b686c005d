/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which record may follow which, as one table: the writer refuses by it, the reader checks by it, FORMAT.md prints it.
 *
 * A transaction has a phase; each of its steps and groups has a state. The first row that fits kind, scope, phase and
 * state decides; none: refused. The state is that of the record, not of the host: "done" says that DONE was written.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "journal/order.h"

/* Beyond this a number cannot be a step of a real plan, and memory would be the attacker's. */
#define STEPS_MAX 65536u

#define P(x) (1u << TX_##x)
#define S(x) (1u << STEP_##x)
#define RUNNING (P(OPEN) | P(ABORTED) | P(COMMITTED))
#define ANY_STATE 0xffffffffu
/* A decision may be followed by what it asked for, by another obstacle, or by another decision. */
#define UNSETTLED (S(INTENDED) | S(DONE) | S(FAILED) | S(STUCK) | S(RESOLVED))
#define BACK (S(NONE) | S(REFUSED) | S(UNDONE) | S(RESOLVED) | S(FINISHED))
#define THERE (S(NONE) | S(REFUSED) | S(UNDONE) | S(RESOLVED) | S(DONE))

/* clang-format off */
const OrderRow order_rows[] = {
        /* kind               scope        phases                      states
         * then: phase    state          all steps in              groups */
        {RECORD_BEGIN,        SCOPE_TX,    P(NONE),                    ANY_STATE,                                    TX_OPEN,       STEP_NONE,     0,                        false, false},
        {RECORD_INTENT,       SCOPE_STEP,  P(OPEN),                    S(NONE),                                      TX_NONE,       STEP_INTENDED, 0,                        false, false},
        {RECORD_DONE,         SCOPE_STEP,  P(OPEN),                    S(INTENDED),                                  TX_NONE,       STEP_DONE,     0,                        false, false},
        {RECORD_FAILED,       SCOPE_STEP,  P(OPEN),                    S(NONE),                                      TX_NONE,       STEP_REFUSED,  0,                        false, false},
        {RECORD_FAILED,       SCOPE_STEP,  P(OPEN),                    S(INTENDED) | S(DONE),                        TX_NONE,       STEP_FAILED,   0,                        false, false},
        {RECORD_FAILED,       SCOPE_GROUP, P(OPEN),                    S(NONE),                                      TX_NONE,       STEP_FAILED,   0,                        false, false},
        {RECORD_GROUP_UNDONE, SCOPE_GROUP, P(OPEN),                    S(FAILED),                                    TX_NONE,       STEP_UNDONE,   0,                        false, false},
        {RECORD_COMMIT,       SCOPE_TX,    P(OPEN),                    ANY_STATE,                                    TX_COMMITTED,  STEP_NONE,     THERE,                    true,  false},
        {RECORD_ABORT,        SCOPE_TX,    P(OPEN),                    ANY_STATE,                                    TX_ABORTED,    STEP_NONE,     0,                        false, false},
        {RECORD_RECOVER,      SCOPE_ANY,   RUNNING,                    ANY_STATE,                                    TX_NONE,       STEP_NONE,     0,                        false, false},
        {RECORD_UNDONE,       SCOPE_STEP,  P(ABORTED),                 UNSETTLED,                                    TX_NONE,       STEP_UNDONE,   0,                        false, false},
        {RECORD_UNDONE,       SCOPE_STEP,  P(OPEN),                    UNSETTLED,                                    TX_NONE,       STEP_UNDONE,   0,                        false, true},
        {RECORD_STUCK,        SCOPE_STEP,  RUNNING,                    UNSETTLED,                                    TX_NONE,       STEP_STUCK,    0,                        false, false},
        {RECORD_STUCK,        SCOPE_STEP,  P(ABORTED) | P(COMMITTED),  S(NONE),                                      TX_NONE,       STEP_STUCK,    0,                        false, false},
        {RECORD_RESOLVED,     SCOPE_STEP,  RUNNING,                    UNSETTLED,                                    TX_NONE,       STEP_RESOLVED, 0,                        false, false},
        {RECORD_RESOLVED,     SCOPE_STEP,  P(ABORTED) | P(COMMITTED),  S(NONE),                                      TX_NONE,       STEP_RESOLVED, 0,                        false, false},
        {RECORD_FINISHED,     SCOPE_STEP,  P(COMMITTED),               S(NONE) | S(STUCK) | S(RESOLVED),             TX_NONE,       STEP_FINISHED, 0,                        false, false},
        {RECORD_FINISHED,     SCOPE_STEP,  P(ABORTED),                 S(NONE),                                      TX_NONE,       STEP_FINISHED, 0,                        false, false},
        {RECORD_NOTE,         SCOPE_ANY,   RUNNING,                    ANY_STATE,                                    TX_NONE,       STEP_NONE,     0,                        false, false},
        {RECORD_END,          SCOPE_TX,    P(ABORTED),                 ANY_STATE,                                    TX_ENDED,      STEP_NONE,     BACK,                     false, false},
        {RECORD_END,          SCOPE_TX,    P(COMMITTED),               ANY_STATE,                                    TX_ENDED,      STEP_NONE,     BACK | S(DONE),           false, false},
};
/* clang-format on */
const size_t n_order_rows = ELEMENTSOF(order_rows);

static const char *const phase_names[] = {
        [TX_NONE] = "none",           [TX_OPEN] = "open",   [TX_ABORTED] = "aborted",
        [TX_COMMITTED] = "committed", [TX_ENDED] = "ended",
};
static const char *const state_names[] = {
        [STEP_NONE] = "none",         [STEP_INTENDED] = "intended", [STEP_DONE] = "done",
        [STEP_FAILED] = "failed",     [STEP_UNDONE] = "undone",     [STEP_STUCK] = "stuck",
        [STEP_RESOLVED] = "resolved", [STEP_FINISHED] = "finished", [STEP_REFUSED] = "refused",
};
static const char *const scope_names[] = {
        [SCOPE_TX] = "transaction",
        [SCOPE_STEP] = "step",
        [SCOPE_GROUP] = "group",
        [SCOPE_ANY] = "any",
};

void tx_order_done(TxOrder *o) {
        free(o->steps);
        free(o->groups);
        *o = (TxOrder){0};
}

static bool scope_fits(OrderScope scope, uint32_t step) {
        switch (scope) {
        case SCOPE_TX:
                return step == RECORD_STEP_NONE;
        case SCOPE_STEP:
                return !(step & STEP_GROUP_BIT) && step < STEPS_MAX;
        case SCOPE_GROUP:
                return step != RECORD_STEP_NONE && (step & STEP_GROUP_BIT) && (step & ~STEP_GROUP_BIT) < STEPS_MAX;
        case SCOPE_ANY:
                return true;
        }
        return false;
}

static StepState state_of(const TxOrder *o, uint32_t step) {
        if (step == RECORD_STEP_NONE)
                return STEP_NONE;
        if (step & STEP_GROUP_BIT) {
                step &= ~STEP_GROUP_BIT;
                return step < o->n_groups ? o->groups[step] : STEP_NONE;
        }
        return step < o->n_steps ? o->steps[step] : STEP_NONE;
}

static bool has_failed_group(const TxOrder *o) {
        for (size_t i = 0; i < o->n_groups; i++)
                if (o->groups[i] == STEP_FAILED)
                        return true;
        return false;
}

static bool all_in(const TxOrder *o, unsigned states) {
        for (size_t i = 0; i < o->n_steps; i++)
                if (!(states & (1u << o->steps[i])))
                        return false;
        return true;
}

static const OrderRow *row_for(const TxOrder *o, RecordKind kind, uint32_t step) {
        for (size_t i = 0; i < n_order_rows; i++) {
                const OrderRow *row = &order_rows[i];
                if (row->kind != kind || !(row->phases & (1u << o->phase)) || !scope_fits(row->scope, step) ||
                    !(row->states & (1u << state_of(o, step))))
                        continue;
                if (row->settled && !all_in(o, row->settled))
                        continue;
                if ((row->groups_whole && has_failed_group(o)) || (row->needs_failed_group && !has_failed_group(o)))
                        continue;
                return row;
        }
        return NULL;
}

static int state_set(StepState **states, size_t *n, uint32_t i, StepState state, Error *err) {
        if (i >= *n) {
                size_t wanted = MAX((size_t)i + 1, *n * 2);
                StepState *more = realloc(*states, wanted * sizeof(*more));
                if (!more)
                        return error_no_memory(err);
                memset(more + *n, 0, (wanted - *n) * sizeof(*more));
                *states = more;
                *n = wanted;
        }
        (*states)[i] = state;
        return 0;
}

int tx_order_next(TxOrder *o, RecordKind kind, uint32_t step, Error *err) {
        const OrderRow *row = row_for(o, kind, step);
        if (!row && mutant_is("no-order-check"))
                return 0;
        if (!row) {
                const char *slug = record_slug(kind);
                const char *what = step == RECORD_STEP_NONE ? "transaction" : step & STEP_GROUP_BIT ? "group" : "step";
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "a record \"%s\" may not follow here: the transaction is %s, %s %u is %s",
                                 slug ? slug : "?", phase_names[o->phase], what,
                                 step == RECORD_STEP_NONE ? 0 : step & ~STEP_GROUP_BIT, state_names[state_of(o, step)]);
        }
        if (row->state != STEP_NONE) {
                bool is_group = step & STEP_GROUP_BIT;
                int r = is_group ? state_set(&o->groups, &o->n_groups, step & ~STEP_GROUP_BIT, row->state, err)
                                 : state_set(&o->steps, &o->n_steps, step, row->state, err);
                if (r < 0)
                        return r;
        }
        if (row->phase != TX_NONE)
                o->phase = row->phase;
        return 0;
}

static void print_bits(Text *t, unsigned bits, const char *const *names, size_t n) {
        const char *separator = "";
        for (size_t i = 0; i < n; i++)
                if (bits & (1u << i)) {
                        text_addf(t, "%s%s", separator, names[i]);
                        separator = ", ";
                }
}

void order_print(Text *t) {
        text_add(t, "| record | about | phase | state before | phase after | state after | only if |\n");
        text_add(t, "|---|---|---|---|---|---|---|\n");
        for (size_t i = 0; i < n_order_rows; i++) {
                const OrderRow *row = &order_rows[i];
                text_addf(t, "| %s | %s | ", record_slug(row->kind), scope_names[row->scope]);
                print_bits(t, row->phases, phase_names, ELEMENTSOF(phase_names));
                text_add(t, " | ");
                if (row->states != ANY_STATE)
                        print_bits(t, row->states, state_names, ELEMENTSOF(state_names));
                text_addf(t, " | %s | %s | ", row->phase == TX_NONE ? "" : phase_names[row->phase],
                          row->state == STEP_NONE ? "" : state_names[row->state]);
                if (row->settled) {
                        text_add(t, "every step is ");
                        print_bits(t, row->settled, state_names, ELEMENTSOF(state_names));
                }
                if (row->groups_whole)
                        text_add(t, "; no group is failed");
                if (row->needs_failed_group)
                        text_add(t, "a group is failed");
                text_add(t, " |\n");
        }
}
