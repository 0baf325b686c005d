/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown: live, in order, and without secrets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "tests/unit/engine_fixture.h"

static const Value *service_of(const Value *list, const char *name) {
        const Value *services = value_get(list, "services");
        for (size_t i = 0; i < value_count(services); i++)
                if (strcmp(value_get_text_or(value_at(services, i), "name", ""), name) == 0)
                        return value_at(services, i);
        return NULL;
}

static void assert_not_in(const Value *tree, const char *secret) {
        _cleanup_free_ char *text = NULL;
        must(json_encode(tree, JSON_COMPACT, &text, err));
        assert_null(strstr(text, secret));
}

static void a_host_without_a_journal_has_no_services(void **state) {
        Engine *e = world_open(*state, ENGINE_READ);
        _cleanup_(value_freep) Value *list = NULL, *history = NULL, *doctor = NULL;
        must(engine_list(e, &list, err));
        assert_int_equal(value_count(value_get(list, "services")), 0);
        must(engine_history(e, NULL, 10, &history, err));
        assert_int_equal(value_count(value_get(history, "history")), 0);
        must(engine_doctor(e, &doctor, err));
        assert_true(value_count(value_get(doctor, "checks")) > 8);
}

static void a_state_is_what_is_and_not_what_was_told(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        _cleanup_(value_freep) Value *list = NULL;
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *row = service_row("web", "v1");
        must(value_set_text(row, "wanted", "running", err));
        hand_row(&h, "service/web", row);
        hand_commit(&h);
        hand_end(&h, "done");
        must(engine_list(e, &list, err));
        const Value *web = service_of(list, "web");
        assert_string_equal(value_get_text(web, "state"), "stopped");
        assert_string_equal(value_get_text(web, "note"), "told to run");
        assert_string_equal(value_get_text(web, "version"), "v1");
        assert_int_equal(value_get_int(web, "port", 0), 3000);
        assert_null(value_get(web, "hold"));
        assert_null(value_get(web, "in_progress"));
}

static void warnings_stay_visible(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        _cleanup_(value_freep) Value *list = NULL;
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *row = service_row("web", "v1"), *warnings = value_new_array();
        must(value_append_text(warnings, "no route", err));
        must(value_set(row, "warnings", warnings, err));
        hand_row(&h, "service/web", row);
        hand_commit(&h);
        hand_end(&h, "done");
        must(engine_list(e, &list, err));
        assert_string_equal(value_get_text(service_of(list, "web"), "note"), "no route");
}

/* The lock tells the dead from the living, and looking takes no lock. */
static void an_open_transaction_is_on_hold_unless_its_process_lives(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        _cleanup_(value_freep) Value *list = NULL;
        _cleanup_close_ int fd = -1;
        hand_deploy(e, "web", "v1", NULL);
        Hand h = hand_begin(e, "upgrade", "web", NULL, NULL);
        must(engine_list(e, &list, err));
        assert_int_equal(value_get_int(service_of(list, "web"), "hold", 0), (int64_t)h.trail->tx);
        assert_false(fs_exists(w->root, LOCK_DIR "/service-web"));
        list = value_free(list);
        assert_int_equal(fs_lock(w->root, LOCK_DIR "/service-web", &fd, NULL), 0);
        must(engine_list(e, &list, err));
        assert_null(value_get(service_of(list, "web"), "hold"));
        assert_int_equal(value_get_int(service_of(list, "web"), "in_progress", 0), (int64_t)h.trail->tx);
        fd_close(&fd);
        list = value_free(list);
        must(engine_list(e, &list, err));
        assert_int_equal(value_get_int(service_of(list, "web"), "hold", 0), (int64_t)h.trail->tx);
        hand_forget(&h);
}

static void a_first_deploy_on_hold_is_not_out_of_sight(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        _cleanup_(value_freep) Value *list = NULL, *status = NULL, *history = NULL;
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        must(engine_list(e, &list, err));
        assert_int_equal(value_get_int(service_of(list, "web"), "hold", 0), (int64_t)h.trail->tx);
        must(engine_status(e, "web", &status, err));
        assert_string_equal(value_get_text(value_get(status, "open"), "flow"), "deploy");
        must(engine_history(e, "web", 0, &history, err));
        hand_forget(&h);
}

static void history_is_newest_first_across_services(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        _cleanup_(value_freep) Value *history = NULL, *web = NULL;
        uint64_t tx[6];
        for (int i = 0; i < 6; i++)
                tx[i] = hand_deploy(e, i % 2 == 0 ? "web" : "api", "v1", NULL);
        must(engine_history(e, NULL, 4, &history, err));
        const Value *list = value_get(history, "history");
        assert_int_equal(value_count(list), 4);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(value_get_int(value_at(list, i), "tx", 0), (int64_t)tx[5 - i]);
        must(engine_history(e, "web", 2, &web, err));
        assert_int_equal(value_count(value_get(web, "history")), 2);
        assert_int_equal(value_get_int(value_at(value_get(web, "history"), 0), "tx", 0), (int64_t)tx[4]);
}

static void a_service_that_is_not_there_is_said_with_the_one_meant(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        Value *v = NULL;
        Error err = ERROR_INIT;
        hand_deploy(e, "website", "v1", NULL);
        assert_int_equal(engine_status(e, "websit", &v, &err), -ENOENT);
        assert_int_equal(err.code, ERR_NO_SERVICE);
        assert_non_null(strstr(err.hint, "website"));
        err = ERROR_INIT;
        assert_int_equal(engine_history(e, "web", 0, &v, &err), -ENOENT);
        assert_int_equal(err.code, ERR_NO_SERVICE);
        err = ERROR_INIT;
        assert_int_equal(engine_inspect(e, "web", &v, &err), -ENOENT);
        err = ERROR_INIT;
        assert_int_equal(engine_check(e, "web", false, &v, &err), -ENOENT);
        assert_null(v);
}

static void status_tells_releases_held_versions_and_the_last_flow(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        _cleanup_(value_freep) Value *status = NULL;
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *held = value_new_map(), *row = service_row("web", "v1"), *source = value_new_map();
        must(value_set_text(held, "why", "no answer", err));
        must(value_set_text(source, "location", "https://u:hunter2@example.org/a", err));
        must(value_set(row, "source", source, err));
        hand_row(&h, "service/web", row);
        hand_row(&h, "release/web/v1", service_row("web", "v1"));
        hand_row(&h, "release/web-2/v9", service_row("web-2", "v9"));
        hand_row(&h, "held/web/v2", held);
        hand_commit(&h);
        uint64_t tx = hand_end(&h, "done");
        must(engine_status(e, "web", &status, err));
        assert_int_equal(value_count(value_get(status, "releases")), 1);
        assert_string_equal(value_get_text(value_at(value_get(status, "releases"), 0), "role"), "current");
        assert_string_equal(value_get_text(value_at(value_get(status, "held"), 0), "version"), "v2");
        assert_string_equal(value_get_text(value_at(value_get(status, "held"), 0), "why"), "no answer");
        assert_string_equal(value_get_text(status, "url"), "http://127.0.0.1:3000");
        assert_int_equal(value_get_int(value_get(status, "last"), "tx", 0), (int64_t)tx);
        assert_null(value_get(status, "open"));
        assert_not_in(status, "hunter2");
}

/* ---- Inspect, check ---------------------------------------------------------------------------------------------- */

static void put(World *w, const char *path, const char *text, mode_t mode) {
        _cleanup_free_ char *parent = path_parent(path);
        must(fs_mkdir_all_durably(w->root, parent, 0755, FS_OWNER_KEEP, NULL, err));
        must(fs_replace(w->root, path, text, strlen(text), mode, err));
}

static void inspect_covers_secrets_by_name_and_by_spec(void **state) {
        World *w = *state;
        hand_deploy(world_open(w, ENGINE_WRITE), "web", "v1", "x");
        put(w, "etc/pawl/web/env",
            "PORT=3000\nAPI_TOKEN=hunter2\nDB_PASS=hunter3\nDSN_URL=x\nURL=http://u:hunter4@h/\n", 0600);
        Engine *e = world_open(w, ENGINE_READ);
        _cleanup_(value_freep) Value *v = NULL;
        must(engine_inspect(e, "web", &v, err));
        assert_not_in(v, "hunter");
        const Value *files = value_get(v, "files");
        assert_non_null(
                strstr(value_get_text(value_at(files, 0), "text"), "PORT=3000\nAPI_TOKEN=****\nDB_PASS=****\n"));
        assert_true(value_get_bool(value_at(files, 1), "missing", false));
}

static void file_artifact(Value *row, const char *path, Value *content) {
        Value *artifacts = value_new_array(), *artifact = value_new_map(), *args = value_new_map();
        must(value_set_text(args, "path", path, err));
        must(value_set(args, "content", content, err));
        must(value_set_int(args, "mode", 0600, err));
        must(value_set_text(artifact, "artifact", path, err));
        must(value_set_int(artifact, "manager", 4, err));
        must(value_set_int(artifact, "version", 1, err));
        must(value_set(artifact, "args", args, err));
        must(value_append(artifacts, artifact, err));
        must(value_set(row, "artifacts", artifacts, err));
}

static void check_opens_what_it_compares_and_tells_drift(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *row = service_row("web", "v1"), *v = NULL;
        Error why = ERROR_INIT;
        file_artifact(row, "etc/pawl/web/env", value_new_secret("A=hunter2\n", 10));
        hand_row(&h, "service/web", row);
        hand_commit(&h);
        hand_end(&h, "done");
        put(w, "etc/pawl/web/env", "A=hunter2\n", 0600);
        e = world_open(w, ENGINE_READ);
        must(engine_check(e, NULL, false, &v, err));
        assert_int_equal(value_get_int(v, "drift", -1), 0);
        assert_int_equal(value_get_int(v, "skipped", -1), 0);
        v = value_free(v);
        put(w, "etc/pawl/web/env", "A=hunter3\n", 0600);
        assert_true(engine_check(e, "web", false, &v, &why) < 0);
        assert_int_equal(why.code, ERR_DRIFT);
        assert_int_equal(error_exit_status(why.code), 9);
        assert_int_equal(value_get_int(v, "drift", -1), 1);
        const Value *first = value_at(value_get(value_at(value_get(v, "services"), 0), "artifacts"), 0);
        assert_string_equal(value_get_text(first, "state"), "drift");
        assert_not_in(v, "hunter");
        value_free(v);
}

static void without_its_key_a_secret_is_not_checked_but_the_rest_is_shown(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *row = service_row("web", "v1");
        _cleanup_(value_freep) Value *v = NULL, *status = NULL, *doctor = NULL;
        file_artifact(row, "etc/pawl/web/env", value_new_secret("A=hunter2\n", 10));
        hand_row(&h, "service/web", row);
        hand_commit(&h);
        hand_end(&h, "done");
        must(fs_unlink_durably(w->root, PAWL_DIR "/seal.key", err));
        e = world_open(w, ENGINE_READ);
        must(engine_status(e, "web", &status, err));
        must(engine_check(e, "web", false, &v, err));
        assert_int_equal(value_get_int(v, "skipped", -1), 1);
        assert_true(engine_doctor(e, &doctor, NULL) < 0);
        assert_non_null(doctor);
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

static void show_tells_every_record_and_no_secret(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        uint64_t tx = hand_deploy(e, "web", "v1", "hunter2");
        _cleanup_(value_freep) Value *v = NULL;
        must(engine_show(e, tx, &v, err));
        static const char *const kinds[] = {"begin", "commit", "end"};
        const Value *records = value_get(v, "records");
        assert_int_equal(value_count(records), ELEMENTSOF(kinds));
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                assert_string_equal(value_get_text(value_at(records, i), "kind"), kinds[i]);
        assert_string_equal(value_get_text(v, "flow"), "deploy");
        assert_string_equal(value_get_text(v, "result"), "done");
        assert_not_in(v, "hunter2");
        Hand h = hand_begin(e, "upgrade", "web", NULL, NULL);
        v = value_free(v);
        must(engine_show(e, h.trail->tx, &v, err));
        assert_string_equal(value_get_text(v, "result"), "open");
        hand_forget(&h);
        Error why = ERROR_INIT;
        Value *none = NULL;
        assert_int_equal(engine_show(e, 999, &none, &why), -ENOENT);
        assert_int_equal(why.code, ERR_NO_TRANSACTION);
}

typedef struct Lines {
        Value *list;
} Lines;

static void keep_line(void *userdata, const char *text) {
        Lines *lines = userdata;
        Value *v = NULL;
        must(json_decode(text, strlen(text), &v, err));
        must(value_append(lines->list, v, err));
}

static void the_export_is_a_chain_without_gaps_or_secrets(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        JournalStat stat;
        for (int i = 0; i < 50; i++) /* more than is read at once */
                hand_deploy(e, "web", "v1", "hunter2");
        Hand h = hand_begin(e, "deploy", "api", NULL, NULL);
        Value *row = service_row("api", "v1"), *env = value_new_map();
        must(value_set_text(env, "API_TOKEN", "hunter3", err));
        must(value_set_text(env, "DATABASE", "postgres://u:hunter4@h/d", err));
        must(value_set(row, "env", env, err));
        hand_row(&h, "service/api", row);
        hand_commit(&h);
        hand_end(&h, "done");
        Lines lines = {.list = value_new_array()};
        must(engine_journal_export(e, keep_line, &lines, err));
        must(journal_stat(e->journal, &stat, err));
        assert_int_equal(value_count(lines.list), stat.head_seq);
        for (size_t i = 0; i < value_count(lines.list); i++) {
                const Value *v = value_at(lines.list, i);
                assert_int_equal(value_get_int(v, "seq", 0), (int64_t)i + 1);
                assert_non_null(value_get_text(v, "hash"));
                if (i > 0)
                        assert_string_equal(value_get_text(v, "prev"),
                                            value_get_text(value_at(lines.list, i - 1), "hash"));
        }
        assert_not_in(lines.list, "hunter");
        value_free(lines.list);
}

static void the_last_records_are_listed(void **state) {
        Engine *e = world_open(*state, ENGINE_WRITE);
        _cleanup_(value_freep) Value *last = NULL, *from = NULL;
        for (int i = 0; i < 4; i++)
                hand_deploy(e, "web", "v1", NULL); /* 2 to 13 */
        must(engine_journal_list(e, 0, 3, &last, err));
        assert_int_equal(value_count(value_get(last, "records")), 3);
        assert_int_equal(value_get_int(value_at(value_get(last, "records"), 0), "seq", 0), 11);
        must(engine_journal_list(e, 2, 2, &from, err));
        assert_int_equal(value_count(value_get(from, "records")), 2);
        assert_string_equal(value_get_text(value_at(value_get(from, "records"), 0), "kind"), "begin");
}

static void a_damaged_journal_is_told_and_repaired(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        for (int i = 0; i < 30; i++)
                hand_deploy(e, "web", "v1", "hunter2");
        must(journal_anchor(e->journal, UINT64_MAX, err));
        w->engine = engine_free(w->engine);
        _cleanup_free_ char *path = text_format("%s/" PAWL_DIR "/journal/data.mdb", w->path);
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t junk[8192];
        memset(junk, 0x5a, sizeof(junk));
        assert_true(fd >= 0);
        for (off_t at = 4096 * 3; at < 4096 * 30; at += 4096 * 5)
                assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
        Value *v = NULL, *doctor = NULL;
        Error why = ERROR_INIT;
        e = world_open(w, ENGINE_REPAIR);
        assert_true(engine_journal_verify(e, &v, &why) < 0);
        assert_int_equal(why.code, ERR_JOURNAL_DAMAGED);
        assert_false(value_get_bool(v, "sound", true));
        v = value_free(v);
        assert_true(engine_doctor(e, &doctor, NULL) < 0);
        value_free(doctor);
        must(engine_journal_repair(e, &v, err));
        assert_true(value_get_bool(v, "repaired", false));
        v = value_free(v);
        e = world_open(w, ENGINE_READ);
        must(engine_list(e, &v, err));
        assert_non_null(service_of(v, "web"));
        value_free(v);
}

static void init_tells_what_it_made(void **state) {
        World *w = *state;
        EngineOptions options = {.root = w->path, .actor = "tester"};
        for (int round = 0; round < 2; round++) {
                _cleanup_(value_freep) Value *v = NULL;
                must(engine_init(&options, &v, err));
                const Value *made = value_get(v, "made");
                assert_true(value_count(made) > 4);
                for (size_t i = 0; i < value_count(made); i++)
                        assert_string_equal(value_get_text(value_at(made, i), "state"), round == 0 ? "made" : "there");
        }
        assert_true(fs_exists(w->root, "etc/pawl/pawl.yaml"));
        _cleanup_(value_freep) Value *stat = NULL;
        must(engine_journal_stat(world_open(w, ENGINE_READ), &stat,
                                 err)); /* the template is a configuration that reads */
        assert_int_equal(value_get_int(stat, "records", 0), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_host_without_a_journal_has_no_services),
                TEST(a_state_is_what_is_and_not_what_was_told),
                TEST(warnings_stay_visible),
                TEST(an_open_transaction_is_on_hold_unless_its_process_lives),
                TEST(a_first_deploy_on_hold_is_not_out_of_sight),
                TEST(history_is_newest_first_across_services),
                TEST(a_service_that_is_not_there_is_said_with_the_one_meant),
                TEST(status_tells_releases_held_versions_and_the_last_flow),
                TEST(inspect_covers_secrets_by_name_and_by_spec),
                TEST(check_opens_what_it_compares_and_tells_drift),
                TEST(without_its_key_a_secret_is_not_checked_but_the_rest_is_shown),
                TEST(show_tells_every_record_and_no_secret),
                TEST(the_export_is_a_chain_without_gaps_or_secrets),
                TEST(the_last_records_are_listed),
                TEST(a_damaged_journal_is_told_and_repaired),
                TEST(init_tells_what_it_made),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
