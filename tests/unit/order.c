/* SPDX-License-Identifier: Apache-2.0 */
/* The order table against a slow reference written from the rules in words, and against the page that prints it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/fs.h"
#include "journal/order.h"

enum { STEPS = 5, GROUPS = 2, HISTORY = 64 };

typedef struct Past {
        RecordKind kind;
        uint32_t step;
} Past;

typedef struct Reference {
        Past past[HISTORY];
        int n;
} Reference;

static bool had(const Reference *f, RecordKind kind, uint32_t step) {
        for (int i = 0; i < f->n; i++)
                if (f->past[i].kind == kind && f->past[i].step == step)
                        return true;
        return false;
}

static bool had_tx(const Reference *f, RecordKind kind) {
        return had(f, kind, RECORD_STEP_NONE);
}

/* The last record that said something about the step's fate. */
static RecordKind fate(const Reference *f, uint32_t s) {
        for (int i = f->n - 1; i >= 0; i--)
                if (f->past[i].step == s && f->past[i].kind != RECORD_RECOVER && f->past[i].kind != RECORD_NOTE)
                        return f->past[i].kind;
        return 0;
}

/* Settled: undone, finished, or left with a decision. */
static bool is_over(const Reference *f, uint32_t s) {
        return had(f, RECORD_UNDONE, s) || had(f, RECORD_FINISHED, s) || fate(f, s) == RECORD_RESOLVED;
}

static bool any_group_open(const Reference *f) {
        for (uint32_t g = 0; g < GROUPS; g++)
                if (had(f, RECORD_FAILED, g | STEP_GROUP_BIT) && !had(f, RECORD_GROUP_UNDONE, g | STEP_GROUP_BIT))
                        return true;
        return false;
}

/* A step with an INTENT, or told to be stuck, that nobody has settled. */
static bool is_pending(const Reference *f, uint32_t s) {
        return (had(f, RECORD_INTENT, s) || had(f, RECORD_STUCK, s)) && !is_over(f, s);
}

static bool may_commit(const Reference *f) {
        for (uint32_t s = 0; s < STEPS; s++)
                if (is_pending(f, s) && fate(f, s) != RECORD_DONE)
                        return false;
        return !any_group_open(f);
}

static bool may_end(const Reference *f, bool is_committed) {
        for (uint32_t s = 0; s < STEPS; s++)
                if (is_pending(f, s) && !(is_committed && fate(f, s) == RECORD_DONE))
                        return false;
        return true;
}

static bool about_step(const Reference *f, RecordKind kind, uint32_t s, bool is_open, bool is_committed) {
        bool has_intent = had(f, RECORD_INTENT, s), failed = had(f, RECORD_FAILED, s);
        bool untouched = !has_intent && !failed && !had(f, RECORD_STUCK, s) && !is_over(f, s);
        switch ((int)kind) {
        case RECORD_INTENT:
                return is_open && untouched;
        case RECORD_DONE:
                return is_open && fate(f, s) == RECORD_INTENT;
        case RECORD_FAILED:
                return is_open && (untouched || fate(f, s) == RECORD_INTENT || fate(f, s) == RECORD_DONE);
        case RECORD_UNDONE:
                return !is_committed && (is_pending(f, s) || fate(f, s) == RECORD_RESOLVED) &&
                       (!is_open || any_group_open(f)) &&
                       (has_intent || had(f, RECORD_STUCK, s) || had(f, RECORD_RESOLVED, s));
        case RECORD_STUCK:
        case RECORD_RESOLVED:
                return is_pending(f, s) || fate(f, s) == RECORD_RESOLVED || (!is_open && untouched);
        case RECORD_FINISHED:
                return !is_open &&
                       (untouched || (is_committed && (fate(f, s) == RECORD_STUCK || fate(f, s) == RECORD_RESOLVED)));
        default:
                return false;
        }
}

static bool allows(const Reference *f, RecordKind kind, uint32_t step) {
        if (f->n == 0)
                return kind == RECORD_BEGIN && step == RECORD_STEP_NONE;
        if (had_tx(f, RECORD_END))
                return false;
        bool is_committed = had_tx(f, RECORD_COMMIT), is_open = !is_committed && !had_tx(f, RECORD_ABORT);
        if (kind == RECORD_RECOVER || kind == RECORD_NOTE)
                return true;
        if (step == RECORD_STEP_NONE)
                return kind == RECORD_ABORT    ? is_open
                       : kind == RECORD_COMMIT ? is_open && may_commit(f)
                       : kind == RECORD_END    ? !is_open && may_end(f, is_committed)
                                               : false;
        if (step & STEP_GROUP_BIT)
                return kind == RECORD_FAILED         ? is_open && !had(f, RECORD_FAILED, step)
                       : kind == RECORD_GROUP_UNDONE ? is_open && had(f, RECORD_FAILED, step) && !had(f, kind, step)
                                                     : false;
        return about_step(f, kind, step, is_open, is_committed);
}

static uint64_t random_state = 42;

static uint32_t pick(uint32_t n) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % n;
}

static uint32_t pick_step(void) {
        uint32_t n = pick(STEPS + GROUPS + 2);
        return n < STEPS ? n : n < STEPS + GROUPS ? (n - STEPS) | STEP_GROUP_BIT : RECORD_STEP_NONE;
}

static void random_sequences_agree_with_the_rules_in_words(void **state) {
        (void)state;
        unsigned n_allowed = 0, n_ended = 0;
        for (int round = 0; round < 5000; round++) {
                TxOrder order = {0};
                Reference f = {0};
                for (int i = 0; i < 200 && f.n < HISTORY; i++) {
                        RecordKind kind = (RecordKind)(i == 0 ? RECORD_BEGIN : pick(RECORD_KIND_MAX));
                        uint32_t step = i == 0 ? RECORD_STEP_NONE : pick_step();
                        bool expected = allows(&f, kind, step);
                        Error err = ERROR_INIT;
                        int r = tx_order_next(&order, kind, step, &err);
                        if ((r == 0) != expected)
                                fail_msg("round %d: %s %u: %s (%s)", round, record_slug(kind), step,
                                         expected ? "refused" : "allowed", err.message);
                        if (r == 0)
                                f.past[f.n++] = (Past){kind, step};
                        n_allowed += r == 0;
                        n_ended += r == 0 && kind == RECORD_END;
                }
                tx_order_done(&order);
        }
        assert_true(n_allowed > 25000);
        assert_true(n_ended > 250);
}

static void an_impossible_step_number_needs_no_memory(void **state) {
        (void)state;
        TxOrder order = {0};
        assert_int_equal(tx_order_next(&order, RECORD_BEGIN, RECORD_STEP_NONE, NULL), 0);
        assert_true(tx_order_next(&order, RECORD_INTENT, STEP_GROUP_BIT - 1, NULL) < 0);
        assert_true(tx_order_next(&order, RECORD_FAILED, STEP_GROUP_BIT | 0x7ffffffe, NULL) < 0);
        assert_null(order.steps);
        tx_order_done(&order);
}

static void format_md_prints_this_table(void **state) {
        (void)state;
        _cleanup_text_ Text text = {0};
        _cleanup_free_ char *page = NULL, *table = NULL;
        size_t size;
        int root = open(TEST_SOURCE_DIR, O_RDONLY | O_DIRECTORY);
        assert_true(root >= 0);
        assert_int_equal(fs_read(root, "journal/FORMAT.md", 1 << 20, &page, &size, NULL), 0);
        close(root);
        order_print(&text);
        table = text_take(&text);
        if (getenv("PRINT"))
                fputs(table, stdout);
        assert_non_null(strstr(page, table));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_sequences_agree_with_the_rules_in_words),
                cmocka_unit_test(an_impossible_step_number_needs_no_memory),
                cmocka_unit_test(format_md_prints_this_table),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
