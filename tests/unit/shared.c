/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two services that write to one shared thing: "web" dies at every operation, and "other" comes after it. other must
 * never see half of what web wrote, nor what is going to be put back, and needs nothing of web's but the lock of the
 * thing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/lock.h"
#include "core/recover.h"
#include "core/shared.h"
#include "core/txn.h"
#include "tests/unit/engine_fixture.h"

/* ---- A manager that dies or fails at its n-th operation, and looks at the thing whenever other captures ---------- */

static struct {
        int countdown; /* 0: never */
        bool dies;
        const char *only;  /* path the operation is about; NULL: any */
        bool is_reverting; /* reverts alone count */
        int n_looks;
} fault;
static const Manager *real_file;
static int test_root;

static bool is_due(const Value *args) {
        if (fault.only && strcmp(fault.only, value_get_text(args, "path")) != 0)
                return false;
        if (fault.countdown == 0 || --fault.countdown > 0)
                return false;
        if (fault.dies)
                _exit(9);
        return true;
}

static int made_to_fail(Error *err) {
        return error_set(err, -EIO, ERR_IO, NULL, "it was made to fail");
}

static void assert_content(const char *path, const char *expected) {
        char *text = NULL;
        size_t size;
        bool is_there = fs_read(test_root, path, 1024, &text, &size, NULL) == 0;
        assert_string_equal(is_there ? text : "-", expected);
        free(text);
}

static int capture(const Host *host, const Value *args, Value **ret, Error *err) {
        if (!fault.is_reverting && is_due(args))
                return made_to_fail(err);
        if (strcmp(value_get_text(args, "path"), "files/other") == 0) {
                assert_content("files/one", "old\n");
                assert_content("files/two", "old\n");
                fault.n_looks++;
        }
        return real_file->capture(host, args, ret, err);
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        if (!fault.is_reverting && is_due(args))
                return made_to_fail(err);
        int r = real_file->apply(host, args, before, ret, err);
        return r == 0 && !fault.is_reverting && is_due(args) ? made_to_fail(err) : r;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        if (is_due(args))
                return made_to_fail(err);
        return real_file->revert(host, args, before, err);
}

static Manager faulty;

static void write_file(const char *path, const char *text) {
        must(fs_replace_durably(test_root, path, text, strlen(text), 0644, err));
}

static int setup(void **state) {
        if (world_setup(state) != 0)
                return -1;
        World *w = *state;
        test_root = w->root;
        must(fs_mkdir_durably(test_root, "files", 0755, FS_OWNER_KEEP, &(bool){0}, err));
        write_file("files/one", "old\n");
        write_file("files/two", "old\n");
        real_file = manager_by_name("file");
        faulty = *real_file;
        faulty.capture = capture;
        faulty.apply = apply;
        faulty.revert = revert;
        manager_replace("file", &faulty);
        memset(&fault, 0, sizeof(fault));
        (void)world_open(w, ENGINE_WRITE);
        return 0;
}

static int teardown(void **state) {
        manager_replace("file", NULL);
        return world_teardown(state);
}

static void add(Plan *p, uint32_t group, const char *path) {
        Value *args = value_new_map();
        must(value_set_text(args, "path", path, err));
        must(value_set_text(args, "content", "new\n", err));
        must(value_set_int(args, "mode", 0644, err));
        must(plan_add(p, (StepInit){.kind = STEP_EFFECT, .manager = "file", .group = group}, args, NULL, err));
}

/* A file of its own, then what the service does to the thing. */
static Plan *plan_of(const char *service, const char *own, bool is_required, const char *const *paths) {
        Plan *p = plan_new("apply", service);
        uint32_t group = 0;
        assert_non_null(p);
        must(plan_add_group(p, "route", is_required, &group, err));
        must(plan_share(p, group, "nginx", err));
        if (own)
                add(p, 0, own);
        for (size_t i = 0; paths[i]; i++)
                add(p, group, paths[i]);
        for (uint32_t i = 0; i < p->n_steps; i++)
                plan_stands_alone(p, i);
        p->timeout_usec = 60 * USEC_PER_SEC;
        must(value_set(p->rows, service[0] == 'w' ? "service/web" : "service/other", value_new_map(), err));
        return p;
}

static Plan *plan_web(void) {
        static const char *const paths[] = {"files/one", "files/two", NULL};
        return plan_of("web", "files/web", false, paths);
}

static Plan *plan_other(bool is_required) {
        static const char *const paths[] = {"files/other", NULL};
        return plan_of("other", NULL, is_required, paths);
}

static size_t n_open(Engine *e) {
        Value *rows = NULL;
        must(engine_rows(e, "open/", 0, &rows, err));
        size_t n = value_count(rows);
        value_free(rows);
        return n;
}

/* web in a process of its own. Did it die? */
static bool web_dies(World *w, bool is_forward) {
        int status;
        w->engine = engine_free(w->engine);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                TxnResult result = {0};
                Plan *p = plan_web();
                p->finish_on_crash = is_forward;
                fault.dies = true;
                (void)txn_run(world_open(w, ENGINE_WRITE), p, &result, NULL);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        fault.countdown = 0;
        (void)world_open(w, ENGINE_WRITE);
        return WEXITSTATUS(status) == 9;
}

static int run(World *w, Plan *p, TxnResult *result, Error *err) {
        *err = ERROR_INIT;
        *result = (TxnResult){0};
        return txn_run(w->engine, p, result, err);
}

static int recover(World *w, Error *err) {
        static const RecoverRequest automatic = {.mode = RECOVER_AUTO};
        Value *report = NULL;
        *err = ERROR_INIT;
        int r = engine_recover(w->engine, &automatic, &report, err);
        value_free(report);
        return r;
}

/* ---- The dead ---------------------------------------------------------------------------------------------------- */

static void reset(void) {
        static const char *const made[] = {"files/web", "files/other"};
        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                must(fs_unlink_durably(test_root, made[i], err));
        write_file("files/one", "old\n");
        write_file("files/two", "old\n");
}

static void test_the_next_one_never_sees_what_a_dead_one_left(void **state) {
        World *w = *state;
        int n = 1;
        for (bool died = true; died; n++) {
                TxnResult result;
                Error why;
                fault.countdown = n;
                died = web_dies(w, false);
                if (!died) /* committed: then it is there to stay */
                        break;
                fault.n_looks = 0;
                assert_int_equal(run(w, plan_other(true), &result, &why), 0);
                assert_int_equal(fault.n_looks, 1);
                assert_content("files/other", "new\n");
                txn_result_done(&result);
                assert_int_equal(recover(w, &why), 0);
                assert_content("files/web", "-");
                assert_content("files/one", "old\n");
                assert_int_equal(n_open(w->engine), 0);
                reset();
        }
        assert_int_equal(n, 10); /* three steps: capture, before and after apply */
}

/* Half of the group was put back when the process died: a flow that goes on without the group still can. */
static void test_a_failed_group_of_a_dead_one_does_not_stop_its_flow(void **state) {
        World *w = *state;
        TxnResult result;
        Error why;
        int status;
        w->engine = engine_free(w->engine);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                static const char *const paths[] = {"files/one", "files/two", "nowhere/three", NULL};
                Plan *p = plan_of("web", "files/web", false, paths);
                p->finish_on_crash = true;
                fault.dies = fault.is_reverting = true;
                fault.countdown = 2;
                (void)txn_run(world_open(w, ENGINE_WRITE), p, &result, NULL);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 9);
        fault.countdown = 0;
        (void)world_open(w, ENGINE_WRITE);
        assert_content("files/one", "new\n");
        assert_int_equal(run(w, plan_other(true), &result, &why), 0);
        txn_result_done(&result);
        assert_content("files/one", "old\n");
        assert_int_equal(recover(w, &why), 0);
        assert_content("files/web", "new\n"); /* forward, without its route */
        assert_content("files/one", "old\n");
        assert_int_equal(n_open(w->engine), 0);
}

/* Whoever settles what a dead one left may die at it: the next one goes on. */
static void test_who_settles_may_die_as_well(void **state) {
        World *w = *state;
        for (int n = 1; n <= 2; n++) {
                TxnResult result;
                Error why;
                int status;
                fault.countdown = 9;
                assert_true(web_dies(w, false));
                w->engine = engine_free(w->engine);
                pid_t pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        fault.dies = fault.is_reverting = true;
                        fault.countdown = n;
                        (void)txn_run(world_open(w, ENGINE_WRITE), plan_other(true), &result, NULL);
                        _exit(0);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(WEXITSTATUS(status), 9);
                (void)world_open(w, ENGINE_WRITE);
                assert_int_equal(run(w, plan_other(true), &result, &why), 0);
                txn_result_done(&result);
                assert_int_equal(recover(w, &why), 0);
                assert_content("files/web", "-");
                assert_content("files/one", "old\n");
                assert_content("files/two", "old\n");
                assert_int_equal(n_open(w->engine), 0);
                reset();
        }
}

static void test_what_cannot_be_put_back_keeps_the_thing(void **state) {
        World *w = *state;
        TxnResult result;
        Error why;
        fault.countdown = 9;
        assert_true(web_dies(w, false));
        write_file("files/one", "somebody else's\n");
        assert_int_equal(run(w, plan_other(true), &result, &why), -EBUSY);
        assert_int_equal(why.code, ERR_ON_HOLD);
        assert_non_null(strstr(why.message, " of web left on nginx could not be put back: write files/one (0644): "));
        txn_result_done(&result);
        assert_int_equal(run(w, plan_other(false), &result, &why), 0); /* optional: it goes on without */
        assert_int_equal(value_count(result.trail->warnings), 1);
        txn_result_done(&result);
        assert_content("files/one", "somebody else's\n");
        assert_content("files/other", "-");
        assert_int_equal(n_open(w->engine), 1);
}

/* ---- The living -------------------------------------------------------------------------------------------------- */

static void test_a_living_owner_is_waited_for(void **state) {
        World *w = *state;
        TxnResult result;
        Error why;
        int held = -1;
        must(lock_take(w->engine, "shared-nginx", &held, err));
        Plan *p = plan_other(true);
        p->timeout_usec = 100 * USEC_PER_MSEC;
        assert_int_equal(run(w, p, &result, &why), -ETIMEDOUT);
        assert_int_equal(fault.n_looks, 0);
        txn_result_done(&result);
        fd_close(&held);
        assert_int_equal(run(w, plan_other(true), &result, &why), 0);
        assert_int_equal(fault.n_looks, 1);
        txn_result_done(&result);
}

static void test_the_lock_is_held_to_the_end_and_no_longer(void **state) {
        World *w = *state;
        TxnResult result;
        Error why;
        assert_int_equal(run(w, plan_web(), &result, &why), 0);
        assert_int_equal(lock_is_held(w->engine, "shared-nginx"), 0);
        txn_result_done(&result);
        reset();
        fault.countdown = 5;
        assert_int_equal(run(w, plan_web(), &result, &why), 0); /* the group is put back, and gives its lock back */
        assert_int_equal(value_count(result.trail->warnings), 1);
        assert_int_equal(lock_is_held(w->engine, "shared-nginx"), 0);
        txn_result_done(&result);
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

static void test_a_flow_whose_first_step_is_optional_goes_on_without_it(void **state) {
        World *w = *state;
        TxnResult result;
        Error why;
        fault.countdown = 1;
        assert_int_equal(run(w, plan_other(false), &result, &why), 0);
        assert_true(result.is_ended);
        assert_string_equal(value_text(value_at(result.trail->warnings, 0)), "route: it was made to fail");
        assert_content("files/other", "-");
        txn_result_done(&result);
}

static void test_locks_are_taken_in_one_order(void **state) {
        (void)state;
        Plan *p = plan_web();
        uint32_t group = 0;
        Error why = ERROR_INIT;
        must(plan_check(p, false, err));
        must(plan_add_group(p, "user", true, &group, err));
        must(plan_share(p, group, "first", err));
        add(p, group, "files/user");
        assert_int_equal(plan_check(p, false, &why), -EINVAL);
        assert_string_equal(why.message, "the plan is not sound: step 4 takes a lock out of order");
        must(plan_share(p, group, "no such thing", err));
        assert_int_equal(plan_check(p, false, &why), -EINVAL);
        plan_free(p);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_the_next_one_never_sees_what_a_dead_one_left),
                TEST(test_a_failed_group_of_a_dead_one_does_not_stop_its_flow),
                TEST(test_who_settles_may_die_as_well),
                TEST(test_what_cannot_be_put_back_keeps_the_thing),
                TEST(test_a_living_owner_is_waited_for),
                TEST(test_the_lock_is_held_to_the_end_and_no_longer),
                TEST(test_a_flow_whose_first_step_is_optional_goes_on_without_it),
                TEST(test_locks_are_taken_in_one_order),
        };
        return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
