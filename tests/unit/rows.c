/* SPDX-License-Identifier: Apache-2.0 */
/* Rows hold nothing that the records do not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retention.h"
#include "tests/unit/engine_fixture.h"

static void a_claim_lives_from_begin_to_end(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        Value *row = NULL;
        Hand h = hand_begin(e, "deploy", "web", "r-1", "port/3000");
        uint64_t tx = h.trail->tx;
        assert_int_equal(engine_row(e, "claim/port/3000", &row, NULL), 0);
        assert_int_equal(value_get_int(row, "tx", 0), (int64_t)tx);
        assert_string_equal(value_get_text(row, "service"), "web");
        row = value_free(row);
        hand_commit(&h);
        assert_int_equal(engine_row(e, "claim/port/3000", &row, NULL), 0);
        row = value_free(row);
        hand_end(&h, "done");
        assert_int_equal(engine_row(e, "claim/port/3000", &row, NULL), -ENOENT);
        assert_int_equal(engine_row(e, "request/r-1/web", &row, NULL), 0);
        assert_int_equal(value_get_int(row, "tx", 0), (int64_t)tx);
        value_free(row);
}

static void an_open_row_lives_from_begin_to_end(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        Value *rows = NULL;
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        assert_int_equal(engine_rows(e, "open/", 0, &rows, NULL), 0);
        assert_int_equal(value_count(rows), 1);
        rows = value_free(rows);
        hand_abort(&h);
        hand_end(&h, "put back");
        assert_int_equal(engine_rows(e, "open/", 0, &rows, NULL), 0);
        assert_int_equal(value_count(rows), 0);
        value_free(rows);
}

static void what_is_aborted_leaves_no_row_but_its_history(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        RowList list = {0};
        Hand h = hand_begin(e, "deploy", "web", NULL, "port/3001");
        hand_row(&h, "service/web", service_row("web", "v1"));
        hand_abort(&h);
        hand_end(&h, "put back");
        assert_int_equal(journal_rows(e->journal, "", 0, &list, NULL), 0);
        assert_int_equal(list.n, 1);
        assert_int_equal(strncmp(list.rows[0].key, "history/web/", 12), 0);
        row_list_done(&list);
}

/* BEGIN and COMMIT may go in together; then nobody knew the number when the row was made, and with a wrong one its
 * secrets are lost. */
static void a_row_names_the_transaction_that_wrote_it(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        Value *row = NULL;
        Hand h = hand_begin(e, "apply", "web", NULL, NULL);
        int64_t tx = (int64_t)h.trail->tx;
        hand_row(&h, "service/web", service_row("web", "v1"));
        must(value_set_int(h.rows->map.entries[0].value, "tx", 0, NULL));
        hand_commit(&h);
        hand_end(&h, "done");
        must(engine_row(e, "service/web", &row, NULL));
        assert_int_equal(value_get_int(row, "tx", 0), tx);
        value_free(row);
}

#define OPEN_MAX 4

static uint64_t seed;

static uint64_t next_random(void) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed >> 16;
}

/* One random thing happens to one of a few interleaved transactions. */
static void random_step(Engine *e, Hand *open, unsigned n) {
        static const char *const services[OPEN_MAX] = {"web", "api", "a", "web-2"};
        unsigned i = (unsigned)(next_random() % OPEN_MAX), what = (unsigned)(next_random() % 4);
        char text[32];
        if (!open[i].trail) {
                snprintf(text, sizeof(text), "%u", n);
                open[i] = hand_begin(e, "apply", services[i], what == 0 ? text : NULL, what == 1 ? "port/3000" : NULL);
        } else if (open[i].trail->phase == TX_OPEN && what > 0) {
                char key[ROW_KEY_MAX];
                must(row_key(key, what == 1 ? "held/%s/v%u" : "service/%s", services[i], n % 3));
                hand_row(&open[i], key, n % 5 == 0 ? NULL : service_row(services[i], "v1"));
                hand_commit(&open[i]);
        } else if (open[i].trail->phase == TX_OPEN) {
                hand_abort(&open[i]);
        } else {
                hand_end(&open[i], "done");
        }
}

static void rebuilt_rows_are_the_rows_that_were_written(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        Hand open[OPEN_MAX] = {0};
        for (unsigned round = 1; round <= 3; round++) {
                seed = round * UINT64_C(0x9e3779b97f4a7c15);
                for (unsigned n = 0; n < 60; n++)
                        random_step(e, open, n);
                assert_rebuild_changes_nothing(e);
        }
        for (size_t i = 0; i < OPEN_MAX; i++)
                hand_forget(&open[i]);
}

static void rows_are_rebuilt_the_same_across_checkpoints(void **state) {
        World *w = *state;
        w->overrides[0] = (ConfigOverride){"retention.transactions", "3", "test"};
        Engine *e = world_open(w, ENGINE_WRITE);
        Hand open[OPEN_MAX] = {0};
        JournalStat stat;
        seed = UINT64_C(88172645463325252);
        for (unsigned n = 0; n < 240; n++) {
                random_step(e, open, n);
                must(retention_run(e, err));
                if (n % 40 == 39)
                        assert_rebuild_changes_nothing(e);
        }
        must(journal_stat(e->journal, &stat, err));
        assert_true(stat.first_seq > 1);
        for (size_t i = 0; i < OPEN_MAX; i++)
                hand_forget(&open[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_claim_lives_from_begin_to_end, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(an_open_row_lives_from_begin_to_end, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_row_names_the_transaction_that_wrote_it, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(what_is_aborted_leaves_no_row_but_its_history, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rebuilt_rows_are_the_rows_that_were_written, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(rows_are_rebuilt_the_same_across_checkpoints, world_setup,
                                                world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
