/* SPDX-License-Identifier: Apache-2.0 */
/* What is dropped is old; what anybody still needs stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retention.h"
#include "tests/unit/engine_fixture.h"

static Engine *open_limited(World *w, const char *limit) {
        w->overrides[0] = (ConfigOverride){"retention.transactions", limit, "test"};
        return world_open(w, ENGINE_WRITE);
}

static size_t count(Engine *e, const char *prefix) {
        size_t n = 0;
        must(journal_row_count(e->journal, prefix, &n, err));
        return n;
}

static bool has_key(Engine *e, uint64_t tx) {
        void *key = NULL;
        size_t size;
        int r = journal_key(e->journal, tx, &key, &size, NULL);
        free(key);
        return r == 0;
}

static bool has_records(Engine *e, uint64_t tx) {
        RecordList list = {0};
        must(journal_get_tx(e->journal, tx, &list, err));
        size_t n = list.n;
        record_list_done(&list);
        return n > 0;
}

static void nothing_is_dropped_before_a_quarter_too_much_has_gathered(void **state) {
        Engine *e = open_limited(*state, "4");
        uint64_t first = hand_deploy(e, "web", "v1", NULL);
        for (int i = 0; i < 4; i++)
                hand_deploy(e, "web", "v1", NULL);
        must(retention_run(e, err));
        assert_int_equal(count(e, "history/"), 5);
        assert_true(has_records(e, first));
        hand_deploy(e, "web", "v1", NULL);
        must(retention_run(e, err));
        assert_int_equal(count(e, "history/"), 4);
        assert_false(has_records(e, first));
}

static void the_newest_transactions_stay_whole(void **state) {
        Engine *e = open_limited(*state, "4");
        uint64_t tx[8];
        for (int i = 0; i < 8; i++)
                tx[i] = hand_deploy(e, "web", "v1", NULL);
        must(retention_run(e, err));
        for (int i = 0; i < 8; i++) {
                RecordList list = {0};
                must(journal_get_tx(e->journal, tx[i], &list, err));
                assert_int_equal(list.n, i < 4 ? 0 : 3);
                record_list_done(&list);
        }
        assert_int_equal(count(e, "service/"), 1);
        assert_rebuild_changes_nothing(e);
}

static void an_open_transaction_is_never_cut(void **state) {
        Engine *e = open_limited(*state, "4");
        hand_deploy(e, "web", "v1", NULL);
        Hand open = hand_begin(e, "deploy", "api", NULL, "port/3001");
        for (int i = 0; i < 10; i++)
                hand_deploy(e, "web", "v1", NULL);
        must(retention_run(e, err));
        assert_true(has_records(e, open.trail->tx));
        assert_true(has_key(e, open.trail->tx));
        assert_int_equal(count(e, "claim/"), 1);
        hand_commit(&open);
        hand_end(&open, "done");
        assert_rebuild_changes_nothing(e);
}

static void secrets_of_a_row_outlive_the_records_of_its_transaction(void **state) {
        Engine *e = open_limited(*state, "4");
        _cleanup_(value_freep) Value *row = NULL;
        uint64_t kept = hand_deploy(e, "api", "v1", "hunter2"), gone = hand_deploy(e, "web", "v1", "old");
        for (int i = 0; i < 12; i++)
                hand_deploy(e, "web", "v2", NULL);
        must(retention_run(e, err));
        assert_false(has_records(e, kept));
        assert_true(has_key(e, kept));
        assert_false(has_key(e, gone));
        must(engine_service_row(e, "api", &row, err));
        assert_string_equal(value_path(row, "secrets.DB_PASS")->bytes.data, "hunter2");
        assert_rebuild_changes_nothing(e);
        row = value_free(row);
        must(engine_service_row(e, "api", &row, err));
        assert_string_equal(value_path(row, "secrets.DB_PASS")->bytes.data, "hunter2");
}

static void a_key_that_nobody_needs_any_more_goes_with_the_next_checkpoint(void **state) {
        Engine *e = open_limited(*state, "4");
        uint64_t tx = hand_deploy(e, "web", "v1", "old");
        Hand h = hand_begin(e, "stop", "web", NULL, NULL); /* another service's transactions push it out */
        hand_abort(&h);
        hand_end(&h, "put back");
        for (int i = 0; i < 12; i++)
                hand_deploy(e, "api", "v2", NULL);
        must(retention_run(e, err));
        assert_true(has_key(e, tx));
        for (int i = 0; i < 12; i++)
                hand_deploy(e, "web", "v2", NULL);
        must(retention_run(e, err));
        assert_false(has_key(e, tx));
}

static void a_busy_service_does_not_push_out_the_history_of_a_quiet_one(void **state) {
        Engine *e = open_limited(*state, "4");
        hand_deploy(e, "quiet", "v1", NULL);
        for (int i = 0; i < 20; i++)
                hand_deploy(e, "web", "v1", NULL);
        must(retention_run(e, err));
        assert_int_equal(count(e, "history/quiet/"), 1);
        assert_int_equal(count(e, "history/web/"), 4);
}

static void a_request_is_forgotten_with_its_transaction(void **state) {
        Engine *e = open_limited(*state, "4");
        Hand h = hand_begin(e, "deploy", "web", "old", NULL);
        hand_commit(&h);
        hand_end(&h, "done");
        for (int i = 0; i < 8; i++)
                hand_deploy(e, "web", "v1", NULL);
        h = hand_begin(e, "deploy", "web", "new", NULL);
        hand_commit(&h);
        hand_end(&h, "done");
        must(retention_run(e, err));
        assert_int_equal(count(e, "request/"), 1);
        assert_int_equal(count(e, "request/new"), 1);
}

static void the_journal_verifies_and_opens_after_a_checkpoint(void **state) {
        World *w = *state;
        Engine *e = open_limited(w, "4");
        for (int i = 0; i < 12; i++)
                hand_deploy(e, "web", "v1", "s");
        must(retention_run(e, err));
        e = world_open(w, ENGINE_WRITE);
        hand_deploy(e, "web", "v3", NULL);
        w->engine = engine_free(w->engine);
        e = world_open(w, ENGINE_REPAIR);
        _cleanup_(value_freep) Value *report = NULL;
        must(engine_journal_verify(e, &report, err));
        assert_true(value_get_bool(report, "sound", false));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(nothing_is_dropped_before_a_quarter_too_much_has_gathered, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(the_newest_transactions_stay_whole, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(an_open_transaction_is_never_cut, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(secrets_of_a_row_outlive_the_records_of_its_transaction, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(a_key_that_nobody_needs_any_more_goes_with_the_next_checkpoint,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_busy_service_does_not_push_out_the_history_of_a_quiet_one,
                                                world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(a_request_is_forgotten_with_its_transaction, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(the_journal_verifies_and_opens_after_a_checkpoint, world_setup,
                                                world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
