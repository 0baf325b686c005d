/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that was started for a step outlives its fence; and children that are waited for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "managers/child.h"
#include "managers/fence.h"
#include "managers/procfs.h"
#include "tests/lib/temp_host.h"

#define FENCE "run/pawl/step/42-3"

static TempHost t;
static Error err;

static int setup(void **state) {
        (void)state;
        temp_host_init(&t);
        err = ERROR_INIT;
        return 0;
}

static int teardown(void **state) {
        (void)state;
        temp_host_done(&t);
        return 0;
}

static int run(char *const *argv, const char *input, uint64_t timeout_usec, ChildResult *ret) {
        ChildRun r = {.argv = argv, .input = input, .n_input = input ? strlen(input) : 0, .timeout_usec = timeout_usec};
        return child_run(&t.host, &r, ret, &err);
}

static void test_a_child_reads_its_input_and_its_output_is_kept(void **state) {
        (void)state;
        _cleanup_child_result_ ChildResult result = {0};
        assert_int_equal(run((char *[]){(char *)"cat", NULL}, "hello\n", 0, &result), 0);
        assert_int_equal(result.status, 0);
        assert_string_equal(result.output, "hello\n");
        assert_string_equal(result.errors, "");
        assert_false(temp_host_has(&t, FENCE));
}

static void test_status_and_errors_are_told(void **state) {
        (void)state;
        _cleanup_child_result_ ChildResult result = {0};
        assert_int_equal(run((char *[]){(char *)"ls", (char *)"/nowhere", NULL}, NULL, 0, &result), 0);
        assert_int_equal(result.status, 2);
        assert_non_null(strstr(result.errors, "/nowhere"));
}

static void test_output_beyond_the_limit_is_cut_not_waited_for(void **state) {
        (void)state;
        _cleanup_child_result_ ChildResult result = {0};
        char *argv[] = {(char *)"head", (char *)"-c", (char *)"3000000", (char *)"/dev/zero", NULL};
        ChildRun r = {.argv = argv, .max_output = 1000};
        assert_int_equal(child_run(&t.host, &r, &result, &err), 0);
        assert_int_equal(result.status, 0);
        assert_int_equal(result.n_output, 1000);
        assert_true(result.is_cut);
}

static void test_a_child_that_takes_too_long_is_ended(void **state) {
        (void)state;
        _cleanup_child_result_ ChildResult result = {0};
        uint64_t begin = clock_boot_usec();
        assert_int_equal(run((char *[]){(char *)"sleep", (char *)"60", NULL}, NULL, 200000, &result), -ETIMEDOUT);
        assert_true(clock_boot_usec() - begin < 5 * USEC_PER_SEC);
        assert_false(temp_host_has(&t, FENCE));
        t.cancel = SIGINT;
        assert_int_equal(run((char *[]){(char *)"sleep", (char *)"60", NULL}, NULL, 0, &result), -ECANCELED);
}

static void test_a_program_that_is_missing_is_told(void **state) {
        (void)state;
        _cleanup_child_result_ ChildResult result = {0};
        assert_int_equal(run((char *[]){(char *)"no-such-program-here", NULL}, NULL, 0, &result), -ENOENT);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        char path[512];
        temp_host_write(&t, "script", "echo a shell would run this\n");
        snprintf(path, sizeof(path), "%s/script", t.path);
        assert_int_equal(run((char *[]){(char *)path, NULL}, NULL, 0, &result), -EACCES);
        assert_int_equal(err.code, ERR_PROGRAM);
        assert_int_equal(chmod(path, 0755), 0);
        assert_int_equal(run((char *[]){(char *)path, NULL}, NULL, 0, &result), -ENOEXEC);
        assert_false(temp_host_has(&t, FENCE));
}

static void test_a_step_without_a_fence_has_nothing_to_end(void **state) {
        (void)state;
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        temp_host_write(&t, FENCE, "");
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        assert_false(temp_host_has(&t, FENCE));
}

static int holder(void *userdata, const char *target, const char *fd_path) {
        (void)fd_path;
        return strncmp(target, userdata, strlen(userdata)) == 0 && strstr(target, FENCE);
}

static int count_holder(void *userdata, const ProcessInfo *p) {
        int *n = userdata;
        if (!p->is_dead && procfs_each_fd(p->pid, holder, t.path) == 1)
                *n += 1;
        return 0;
}

static int n_holders(void) {
        int n = 0;
        assert_int_equal(procfs_each(count_holder, &n), 0);
        return n;
}

/* Runs a child in a process that is killed while it waits for it. */
static void die_while_waiting(char *const *argv, int n_wanted) {
        int pid = fork();
        if (pid == 0) {
                ChildResult result = {0};
                (void)run(argv, NULL, 0, &result);
                _exit(1);
        }
        for (int i = 0; i < 500 && n_holders() < n_wanted + 1; i++)
                usleep(10000);
        usleep(50000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(n_holders(), n_wanted);
}

static void test_a_child_of_the_dead_is_ended(void **state) {
        (void)state;
        die_while_waiting((char *[]){(char *)"sleep", (char *)"60", NULL}, 1);
        assert_true(temp_host_has(&t, FENCE));
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        assert_int_equal(n_holders(), 0);
        assert_false(temp_host_has(&t, FENCE));
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
}

static void test_grandchildren_that_left_the_group_are_ended(void **state) {
        (void)state;
        /* setsid --fork leaves at once; what it started is nobody's child and in a session of its own. */
        die_while_waiting((char *[]){(char *)"setsid", (char *)"--wait", (char *)"--fork", (char *)"sleep",
                                     (char *)"60", NULL},
                          2);
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        assert_int_equal(n_holders(), 0);
}

static void test_a_number_given_to_somebody_else_is_not_killed(void **state) {
        (void)state;
        char text[128], boot[2 * BOOT_ID_SIZE + 1];
        ProcessInfo info;
        int pid = fork();
        if (pid == 0) {
                setsid();
                for (;;)
                        pause();
        }
        assert_int_equal(procfs_info(pid, &info), 0);
        hex_encode(t.host.boot, BOOT_ID_SIZE, boot);
        snprintf(text, sizeof(text), "%d %llu %s\n", pid, (unsigned long long)info.start_time + 1, boot);
        temp_host_write(&t, FENCE, text);
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        boot[0] = boot[0] == '0' ? '1' : '0';
        snprintf(text, sizeof(text), "%d %llu %s\n", pid, (unsigned long long)info.start_time, boot);
        temp_host_write(&t, FENCE, text);
        assert_int_equal(fence_step(&t.host, 42, 3, &err), 0);
        assert_true(procfs_is_alive(pid, info.start_time));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static void test_a_second_child_of_a_step_waits_for_the_first(void **state) {
        (void)state;
        ChildFence first = CHILD_FENCE_INIT, second = CHILD_FENCE_INIT;
        assert_int_equal(child_fence_new(&t.host, &first, &err), 0);
        assert_int_equal(child_fence_new(&t.host, &second, &err), -EBUSY);
        child_fence_end(&t.host, &first);
        assert_int_equal(child_fence_new(&t.host, &second, &err), 0);
        child_fence_end(&t.host, &second);
        assert_false(temp_host_has(&t, FENCE));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_child_reads_its_input_and_its_output_is_kept),
                TEST(test_status_and_errors_are_told),
                TEST(test_output_beyond_the_limit_is_cut_not_waited_for),
                TEST(test_a_child_that_takes_too_long_is_ended),
                TEST(test_a_program_that_is_missing_is_told),
                TEST(test_a_step_without_a_fence_has_nothing_to_end),
                TEST(test_a_child_of_the_dead_is_ended),
                TEST(test_grandchildren_that_left_the_group_are_ended),
                TEST(test_a_number_given_to_somebody_else_is_not_killed),
                TEST(test_a_second_child_of_a_step_waits_for_the_first),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
