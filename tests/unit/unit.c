/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The managers "unit" and "systemd", put back from whatever a dead process left: forward and back are both cut at every
 * moment before and behind a call. system.unit runs them on a real systemd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/temp_host.h"
#include "tests/unit/fake_systemd.h"

extern const Manager manager_unit, manager_systemd;

static TempHost t;
static Error err;

/* A step of the flow that is put back: an upgrade has four, a start or a stop one. */
typedef struct TestStep {
        const Manager *manager;
        const char *role;
        Value *args, *before;
} TestStep;

static TestStep steps[4];
static size_t n_steps;

static void add_step(const Manager *manager, const char *role) {
        TestStep *s = &steps[n_steps++];
        *s = (TestStep){.manager = manager, .role = role, .args = value_new_map()};
        assert_int_equal(value_set_text(s->args, "role", role, NULL), 0);
        assert_int_equal(value_set_text(s->args, "unit", "pawl-web.service", NULL), 0);
        if (manager == &manager_unit)
                assert_int_equal(value_set_text(s->args, "service", "web", NULL), 0);
        assert_int_equal(field_check(manager->args, s->args, manager->name, &err), 0);
}

/* The debts of a unit whose file changes, as a recipe has them: the file is written between the first two and the
 * last two. */
static void add_bracket(void) {
        add_step(&manager_unit, "owe");
        add_step(&manager_systemd, "owe");
        add_step(&manager_systemd, "pay");
        add_step(&manager_unit, "pay");
}

static int setup(void **state) {
        (void)state;
        temp_host_init(&t);
        systemd_new();
        err = ERROR_INIT;
        n_steps = 0;
        return 0;
}

static void forget(void) {
        for (size_t i = 0; i < n_steps; i++)
                steps[i].before = value_free(steps[i].before);
}

static int teardown(void **state) {
        (void)state;
        forget();
        for (size_t i = 0; i < n_steps; i++)
                value_free(steps[i].args);
        systemd_free();
        temp_host_done(&t);
        return 0;
}

static void capture(void) {
        forget();
        for (size_t i = 0; i < n_steps; i++) {
                const Manager *m = steps[i].manager;
                assert_int_equal(m->capture(&t.host, steps[i].args, &steps[i].before, &err), 0);
                assert_int_equal(field_check(m->before, steps[i].before, m->name, &err), 0);
        }
}

static int revert(size_t i) {
        err = ERROR_INIT;
        return steps[i].manager->revert(&t.host, steps[i].args, steps[i].before, &err);
}

static Probe probe(size_t i) {
        Probe ret = PROBE_FOREIGN;
        Error why = ERROR_INIT;
        assert_int_equal(steps[i].manager->probe(&t.host, steps[i].args, steps[i].before, &ret, &why), 0);
        return ret;
}

static int apply(size_t i) {
        StepResult result = {0};
        err = ERROR_INIT;
        int r = steps[i].manager->apply(&t.host, steps[i].args, steps[i].before, &result, &err);
        step_result_done(&result);
        return r;
}

static void forward(void) {
        for (size_t i = 0; i < n_steps; i++) {
                if (i == 2)
                        systemd->files = 2;
                if (apply(i) < 0)
                        return;
        }
}

/* As recovery does it. */
static void backward(void) {
        for (size_t i = n_steps; i-- > 0;) {
                Probe seen = probe(i);
                if (seen == PROBE_FOREIGN || seen == PROBE_UNREACHABLE || revert(i) < 0)
                        return;
                if (i == 2)
                        systemd->files = 1;
        }
}

/* ---- Cut everywhere ---------------------------------------------------------------------------------------------- */

static void begin(bool is_running) {
        *systemd = (FakeSystemd){.files = 1, .files_read = 1, .run = 1, .started_from = 1};
        systemd->state = is_running ? UNIT_ACTIVE : UNIT_INACTIVE;
        capture();
}

static void assert_as_before(bool was_running) {
        systemd_settles();
        assert_int_equal(systemd->files, 1);
        assert_int_equal(systemd->files_read, 1);
        assert_int_equal(systemd->state, was_running ? UNIT_ACTIVE : UNIT_INACTIVE);
        if (was_running)
                assert_int_equal(systemd->started_from, 1);
}

/* How a job of the dead goes on meanwhile: by itself, to its end, or not before something else has come. */
typedef enum Meanwhile { GOES_ON, IS_OVER, WAITS, MEANWHILE_COUNT } Meanwhile;

static bool has_job; /* without one, all that may go on meanwhile is the same */

static bool left_at(unsigned cut, bool is_running, Meanwhile meanwhile) {
        begin(is_running);
        bool is_cut = dies_at(cut, forward);
        has_job = systemd->job_id != 0;
        if (meanwhile == IS_OVER)
                systemd_settles();
        if (meanwhile == WAITS)
                systemd->held_job = systemd->job_id;
        return is_cut;
}

static void put_back_from_anywhere(bool is_running) {
        for (Meanwhile m = GOES_ON; m < MEANWHILE_COUNT; m++)
                for (unsigned cut = 1; left_at(cut, is_running, m); cut++)
                        for (unsigned again = 1; m == GOES_ON || has_job; again++) {
                                (void)left_at(cut, is_running, m);
                                bool is_cut = dies_at(again, backward);
                                backward();
                                assert_as_before(is_running);
                                backward(); /* once more changes nothing that counts */
                                assert_as_before(is_running);
                                if (!is_cut)
                                        break;
                        }
}

static void test_an_upgrade_dies_anywhere_and_the_old_program_runs(void **state) {
        (void)state;
        add_bracket();
        put_back_from_anywhere(true);
}

static void test_a_deploy_dies_anywhere_and_nothing_runs(void **state) {
        (void)state;
        add_bracket();
        put_back_from_anywhere(false);
}

static void test_a_start_dies_anywhere_and_nothing_runs(void **state) {
        (void)state;
        add_step(&manager_unit, "start");
        put_back_from_anywhere(false);
}

static void test_a_start_of_what_runs_dies_anywhere_and_it_runs(void **state) {
        (void)state;
        add_step(&manager_unit, "start");
        put_back_from_anywhere(true);
        assert_int_equal(systemd->n_jobs, 0);
}

static void test_a_stop_dies_anywhere_and_it_runs(void **state) {
        (void)state;
        add_step(&manager_unit, "stop");
        put_back_from_anywhere(true);
}

static void test_a_stop_of_what_does_not_run_starts_nothing(void **state) {
        (void)state;
        add_step(&manager_unit, "stop");
        put_back_from_anywhere(false);
}

/* ---- What is left alone ------------------------------------------------------------------------------------------ */

static void test_what_never_began_is_put_back_without_a_job(void **state) {
        (void)state;
        add_bracket();
        for (int is_running = 0; is_running < 2; is_running++) {
                begin(is_running);
                assert_int_equal(probe(3), PROBE_BEFORE);
                assert_int_equal(probe(0), PROBE_BEFORE);
                backward();
                assert_int_equal(systemd->n_jobs, 0);
                assert_as_before(is_running);
        }
}

static void test_what_is_done_is_seen(void **state) {
        (void)state;
        add_bracket();
        begin(true);
        forward();
        assert_int_equal(systemd->started_from, 2);
        assert_int_equal(probe(3), PROBE_AFTER);
        assert_int_equal(probe(2), PROBE_AFTER);
        assert_int_equal(probe(0), PROBE_PARTIAL);
        systemd->state = UNIT_FAILED;
        assert_int_equal(probe(3), PROBE_PARTIAL);
}

static void test_a_program_that_cannot_be_started_goes_back_to_the_old_one(void **state) {
        (void)state;
        add_bracket();
        begin(true);
        systemd->is_broken = true;
        forward();
        assert_int_equal(err.code, ERR_PROGRAM);
        systemd->is_broken = false;
        backward();
        assert_as_before(true);
}

/* ---- Another boot ------------------------------------------------------------------------------------------------ */

static void test_in_another_boot_the_files_decide_what_is_to_run(void **state) {
        (void)state;
        add_bracket();
        begin(true);
        forward();
        t.host.boot[0] ^= 1;
        *systemd = (FakeSystemd){.files = 2, .files_read = 2, .run = 7}; /* its conditions kept it down */
        assert_int_equal(probe(3), PROBE_PARTIAL);
        assert_int_equal(probe(0), PROBE_PARTIAL);
        backward();
        assert_as_before(true);

        /* Where early recovery had made its files whole, systemd has started it, and nobody starts it again. */
        *systemd = (FakeSystemd){.files = 1, .files_read = 1, .run = 8, .started_from = 1, .state = UNIT_ACTIVE};
        temp_host_write(&t, "run/pawl/whole/web", "");
        backward();
        assert_int_equal(systemd->n_jobs, 0);
        assert_as_before(true);
}

/* ---- Nobody answers ---------------------------------------------------------------------------------------------- */

static void test_a_systemd_that_does_not_answer_has_no_state(void **state) {
        (void)state;
        add_bracket();
        begin(true);
        forward();
        systemd->is_gone = true;
        assert_int_equal(probe(0), PROBE_UNREACHABLE);
        assert_int_equal(probe(1), PROBE_UNREACHABLE);
        assert_int_equal(probe(3), PROBE_UNREACHABLE);
        assert_int_equal(revert(0), -EHOSTDOWN);
        assert_int_equal(revert(1), -EHOSTDOWN);
        assert_int_equal(revert(3), -EHOSTDOWN);
        assert_int_equal(apply(3), -EHOSTDOWN);
        assert_int_equal(apply(2), -EHOSTDOWN);
        /* What puts back nothing need not wait for it. */
        assert_int_equal(probe(2), PROBE_PARTIAL);
        assert_int_equal(revert(2), 0);
        assert_int_equal(systemd->n_jobs, 1);
        systemd->is_gone = false;
        backward();
        assert_as_before(true);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_an_upgrade_dies_anywhere_and_the_old_program_runs),
                TEST(test_a_deploy_dies_anywhere_and_nothing_runs),
                TEST(test_a_start_dies_anywhere_and_nothing_runs),
                TEST(test_a_start_of_what_runs_dies_anywhere_and_it_runs),
                TEST(test_a_stop_dies_anywhere_and_it_runs),
                TEST(test_a_stop_of_what_does_not_run_starts_nothing),
                TEST(test_what_never_began_is_put_back_without_a_job),
                TEST(test_what_is_done_is_seen),
                TEST(test_a_program_that_cannot_be_started_goes_back_to_the_old_one),
                TEST(test_in_another_boot_the_files_decide_what_is_to_run),
                TEST(test_a_systemd_that_does_not_answer_has_no_state),
        };
        return cmocka_run_group_tests_name("unit", tests, NULL, NULL);
}
