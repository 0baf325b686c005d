/* SPDX-License-Identifier: Apache-2.0 */
/* After a repair nothing is changed or settled of a service that nobody has compared; and no crash lets it slip. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "core/recover.h"
#include "core/unchecked.h"
#include "tests/unit/engine_fixture.h"

static int file_of(const World *w, const char *name, int flags) {
        _cleanup_free_ char *path = text_format("%s/" PAWL_DIR "/%s", w->path, name);
        int fd = open(path, flags | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

/* Both meta pages are overwritten: what is left are the segments. */
static void damage(World *w) {
        static const uint8_t zero[8192];
        w->engine = engine_free(w->engine);
        _cleanup_close_ int fd = file_of(w, "journal/data.mdb", O_RDWR);
        assert_int_equal(pwrite(fd, zero, sizeof(zero), 0), sizeof(zero));
}

static void repair(World *w) {
        Value *v = NULL;
        must(engine_journal_repair(world_open(w, ENGINE_REPAIR), &v, err));
        value_free(v);
}

/* Services web and api; of web a flow is open. All of it lies in the segments. */
static uint64_t two_services(World *w) {
        Engine *e = world_open(w, ENGINE_WRITE);
        hand_deploy(e, "web", "v1", NULL);
        hand_deploy(e, "api", "v1", NULL);
        Hand h = hand_begin(e, "upgrade", "web", NULL, NULL);
        uint64_t tx = h.trail->tx;
        hand_forget(&h);
        must(journal_anchor(e->journal, UINT64_MAX, err));
        return tx;
}

static void assert_on_hold(Engine *e, const char *service, bool is_on_hold) {
        Error why = ERROR_INIT;
        must(unchecked_is(e, service, err));
        assert_int_equal(unchecked_is(e, service, NULL), is_on_hold);
        assert_int_equal(unchecked_refuse(e, service, &why), is_on_hold ? -EBUSY : 0);
        assert_int_equal(why.code, is_on_hold ? ERR_ON_HOLD : ERR_NONE);
}

static void every_service_is_on_hold_after_a_repair(void **state) {
        World *w = *state;
        two_services(w);
        assert_on_hold(w->engine, "web", false);
        damage(w);
        repair(w);
        Engine *e = world_open(w, ENGINE_WRITE);
        assert_on_hold(e, "web", true);
        assert_on_hold(e, "api", true);
        assert_on_hold(e, "new", false);
        assert_rebuild_changes_nothing(e);
        Request request = {.kind = REQUEST_REMOVE, .service = "api"};
        Value *outcome = NULL;
        Error why = ERROR_INIT;
        assert_int_equal(engine_run(e, &request, &outcome, &why), -EBUSY);
        assert_int_equal(why.code, ERR_ON_HOLD);
        assert_null(outcome);
}

/* What became of it may be among what is lost: recovery by itself must not put it back. */
static void an_open_transaction_is_not_settled_before(void **state) {
        World *w = *state;
        uint64_t tx = two_services(w);
        damage(w);
        repair(w);
        RecoverRequest request = {.mode = RECOVER_AUTO};
        Value *report = NULL;
        Error why = ERROR_INIT;
        assert_int_equal(engine_recover(world_open(w, ENGINE_WRITE), &request, &report, &why), -EBUSY);
        assert_int_equal(why.code, ERR_LEFTOVERS);
        const Value *t = value_at(value_get(report, "transactions"), 0);
        assert_string_equal(value_get_text(t, "result"), "hold");
        assert_non_null(value_get_text(t, "problem"));
        report = value_free(report);
        request.tx = tx; /* a person asks for it */
        must(engine_recover(w->engine, &request, &report, err));
        report = value_free(report);
        must(engine_check(w->engine, NULL, false, &report, err));
        report = value_free(report);
        assert_on_hold(w->engine, "web", false);
        assert_rebuild_changes_nothing(w->engine);
}

static void looking_lifts_nothing(void **state) {
        World *w = *state;
        two_services(w);
        damage(w);
        repair(w);
        Value *v = NULL;
        must(engine_check(world_open(w, ENGINE_READ), "api", false, &v, err));
        assert_int_equal(value_get_int(v, "liftable", 0), 1);
        value_free(v);
        assert_on_hold(w->engine, "api", true);
        must(engine_check(world_open(w, ENGINE_WRITE), "api", false, &v, err));
        value_free(v);
        assert_on_hold(w->engine, "api", false);
        assert_on_hold(w->engine, "web", true);
        assert_on_hold(world_open(w, ENGINE_READ), "api", false);
}

static void what_differs_stays_until_a_person_takes_it(void **state) {
        World *w = *state;
        Engine *e = world_open(w, ENGINE_WRITE);
        Hand h = hand_begin(e, "deploy", "web", NULL, NULL);
        Value *row = service_row("web", "v1"), *artifact = value_new_map(), *args = value_new_map(),
              *artifacts = value_new_array();
        must(value_set_text(args, "path", "opt/pawl/web/current", err));
        must(value_set_text(args, "target", "releases/v1", err));
        must(value_set_text(artifact, "artifact", "link", err));
        must(value_set_int(artifact, "manager", manager_by_name("link")->id, err));
        must(value_set(artifact, "args", args, err));
        must(value_append(artifacts, artifact, err));
        must(value_set(row, "artifacts", artifacts, err));
        hand_row(&h, "service/web", row);
        hand_commit(&h);
        hand_end(&h, "done");
        must(journal_anchor(e->journal, UINT64_MAX, err));
        damage(w);
        repair(w);
        Value *v = NULL;
        Error why = ERROR_INIT;
        assert_int_equal(engine_check(world_open(w, ENGINE_WRITE), "web", false, &v, &why), -ESTALE);
        assert_string_equal(value_get_text(value_at(value_get(v, "services"), 0), "hold"), "kept");
        v = value_free(v);
        assert_on_hold(w->engine, "web", true);
        must(engine_check(w->engine, "web", true, &v, err));
        assert_string_equal(value_get_text(value_at(value_get(v, "services"), 0), "hold"), "accepted");
        v = value_free(v);
        assert_on_hold(w->engine, "web", false);
        assert_rebuild_changes_nothing(w->engine);
}

/* The repair is killed at its two ends, and done again; the open transaction can be settled each time. */
static void a_repair_that_is_killed_is_done_again(void **state) {
        static const char *const points[] = {"repair-before-exchange", "repair-after-exchange",
                                             "journal-commit-before:2"};
        World *w = *state;
        for (size_t i = 0; i < ELEMENTSOF(points); i++) {
                uint64_t tx = two_services(w);
                damage(w);
                int status = 0, pid = fork();
                if (pid == 0) {
                        setenv("PAWL_CRASH_AT", points[i], 1);
                        repair(w);
                        _exit(1);
                }
                waitpid(pid, &status, 0);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                repair(w);
                Engine *e = world_open(w, ENGINE_WRITE);
                assert_on_hold(e, "web", true);
                assert_on_hold(e, "api", true);
                RecoverRequest request = {.mode = RECOVER_AUTO, .tx = tx};
                Value *report = NULL;
                must(engine_recover(e, &request, &report, err));
                report = value_free(report);
                must(engine_check(e, NULL, false, &report, err));
                report = value_free(report);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(every_service_is_on_hold_after_a_repair),
                TEST(an_open_transaction_is_not_settled_before),
                TEST(looking_lifts_nothing),
                TEST(what_differs_stays_until_a_person_takes_it),
                TEST(a_repair_that_is_killed_is_done_again),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
