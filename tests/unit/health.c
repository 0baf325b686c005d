/* SPDX-License-Identifier: Apache-2.0 */
/* An answer counts only from the service itself; a program that has ended is not waited for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "managers/health.h"
#include "managers/process_run.h"
#include "tests/lib/http_server.h"
#include "tests/lib/temp_host.h"

extern const Manager manager_health;

static TempHost t;
static Error err;
static int port;

static int setup(void **state) {
        (void)state;
        temp_host_init(&t);
        err = ERROR_INIT;
        port = test_port();
        return 0;
}

static int teardown(void **state) {
        (void)state;
        t.cancel = 0;
        (void)process_stop(&t.host, "web", 1000, NULL);
        temp_host_done(&t);
        return 0;
}

/* Starts the test program; `words` is the rest of its argument list in JSON. */
static void start(const char *words) {
        _cleanup_(definition_done) Definition d = {0};
        char text[8192];
        ProcFile p;
        snprintf(text, sizeof(text), "PORT=%d\n", port);
        temp_host_write(&t, "etc/pawl/web/env", text);
        snprintf(
                text, sizeof(text),
                "{\"argv\":[\"%s\"%s],\"log\":\"%s/var/log/pawl/web.log\",\"env_file\":\"%s/etc/pawl/web/env\",\"service\":\"web\"%s}",
                test_program("listener"), words, t.path, t.path, geteuid() == 0 ? ",\"user\":\"root\"" : "");
        temp_host_write(&t, "etc/pawl/web/process", text);
        assert_int_equal(definition_read(&t.host, "etc/pawl/web/process", "0123456789abcdef", &d, &err), 0);
        assert_int_equal(process_start(&t.host, "web", &d, &p, &err), 0);
}

static Value *args_new(const char *type, uint64_t deadline_usec) {
        Value *args = value_new_map();
        value_set_text(args, "type", type, NULL);
        value_set_int(args, "port", port, NULL);
        value_set_int(args, "deadline_usec", (int64_t)deadline_usec, NULL);
        value_set_text(args, "service", "web", NULL);
        return args;
}

static int apply(const Value *args, StepResult *ret) {
        assert_int_equal(field_check(manager_health.args, args, "args", &err), 0);
        return manager_health.apply(&t.host, args, NULL, ret, &err);
}

static int apply_only(const Value *args) {
        StepResult result = {0};
        int r = apply(args, &result);
        step_result_done(&result);
        return r;
}

static void test_a_service_that_listens_is_healthy_soon(void **state) {
        (void)state;
        start(",\"sleep\",\"150\"");
        _cleanup_(value_freep) Value *args = args_new("tcp", 10 * USEC_PER_SEC);
        StepResult result = {0};
        uint64_t begin = clock_boot_usec();
        assert_int_equal(apply(args, &result), 0);
        assert_true(clock_boot_usec() - begin < 900000); /* not a whole interval of 1 s: it was tried again soon */
        assert_true(value_get_int(result.facts, "attempts", 0) > 1);
        assert_true(value_get_int(result.facts, "healthy_at", 0) > 0);
        step_result_done(&result);
}

static void test_a_child_of_the_service_may_hold_the_port(void **state) {
        (void)state;
        start(",\"child\"");
        _cleanup_(value_freep) Value *args = args_new("tcp", 10 * USEC_PER_SEC);
        assert_int_equal(apply_only(args), 0);
}

static void test_a_program_that_exits_fails_at_once(void **state) {
        (void)state;
        char expected[256], lines[2048] = "";
        for (int i = 1; i <= 25; i++)
                snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), ",\"print\",\"line %d\"", i);
        snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), ",\"sleep\",\"100\",\"exit\",\"1\"");
        start(lines);
        _cleanup_(value_freep) Value *args = args_new("tcp", 10 * USEC_PER_SEC);
        uint64_t begin = clock_boot_usec();
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_true(clock_boot_usec() - begin < 2 * USEC_PER_SEC);
        assert_int_equal(err.code, ERR_HEALTH);
        snprintf(expected, sizeof(expected), "no answer on 127.0.0.1:%d: the program exited with status 1 after ",
                 port);
        assert_memory_equal(err.message, expected, strlen(expected));
        assert_memory_equal(err.detail, "line 6\nline 7\n", 14); /* the last twenty */
        assert_non_null(strstr(err.detail, "line 25"));
}

static void test_a_program_that_is_killed_says_by_what(void **state) {
        (void)state;
        start(",\"sleep\",\"60000\"");
        ProcFile p;
        assert_int_equal(proc_file_read(&t.host, "web", &p, &err), 0);
        kill(p.pid, SIGKILL);
        _cleanup_(value_freep) Value *args = args_new("none", 10 * USEC_PER_SEC);
        while (proc_file_is_alive(&t.host, &p))
                usleep(1000);
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_memory_equal(err.message, "the program was ended by signal 9 after ", 40);
}

/* Nobody asks a worker: it must live each time it is looked at. */
static Value *settle_args(void) {
        Value *args = args_new("none", 10 * USEC_PER_SEC);
        value_set_int(args, "consecutive", 3, NULL);
        value_set_int(args, "interval_usec", 200000, NULL);
        return args;
}

static void test_a_program_that_nobody_asks_must_stay_up(void **state) {
        (void)state;
        start(",\"sleep\",\"60000\"");
        _cleanup_(value_freep) Value *args = settle_args();
        uint64_t begin = clock_boot_usec();
        assert_int_equal(apply_only(args), 0);
        assert_true(clock_boot_usec() - begin >= 400000);
}

static void test_a_program_that_nobody_asks_and_that_ends_has_failed(void **state) {
        (void)state;
        start(",\"print\",\"no queue\",\"sleep\",\"100\",\"exit\",\"3\"");
        _cleanup_(value_freep) Value *args = settle_args();
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_int_equal(err.code, ERR_PROGRAM);
        assert_memory_equal(err.message, "the program exited with status 3 after ", 39);
        assert_string_equal(err.detail, "no queue");
}

static void test_silence_ends_with_the_deadline(void **state) {
        (void)state;
        char expected[256];
        start(",\"print\",\"not yet\",\"sleep\",\"60000\"");
        _cleanup_(value_freep) Value *args = args_new("tcp", 300000);
        uint64_t begin = clock_boot_usec();
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        uint64_t waited = clock_boot_usec() - begin;
        assert_true(waited >= 300000 && waited < 2 * USEC_PER_SEC);
        assert_int_equal(err.code, ERR_HEALTH);
        snprintf(expected, sizeof(expected), "no answer on 127.0.0.1:%d for 300 ms", port);
        assert_string_equal(err.message, expected);
        assert_string_equal(err.detail, "not yet");
}

static void test_a_foreign_listener_is_not_the_service(void **state) {
        (void)state;
        int fd = test_listen(port);
        start(",\"sleep\",\"60000\"");
        _cleanup_(value_freep) Value *args = args_new("tcp", 200000);
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_int_equal(err.code, ERR_HEALTH);
        assert_non_null(strstr(err.message, "another program (pid "));
        assert_non_null(strstr(err.message, "unit.health) has that port"));
        /* Nobody asked whose it is: then it is an answer. */
        value_remove(args, "service");
        assert_int_equal(apply_only(args), 0);
        close(fd);
}

static void test_a_service_that_is_not_running_fails(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *args = args_new("tcp", 10 * USEC_PER_SEC);
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_int_equal(err.code, ERR_HEALTH);
}

static void test_attempts_are_limited(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *args = args_new("exec", 10 * USEC_PER_SEC);
        Value *command = value_new_array();
        value_append_text(command, "false", NULL);
        value_set(args, "command", command, NULL);
        value_set_int(args, "attempts", 3, NULL);
        value_set_int(args, "interval_usec", 10000, NULL);
        value_remove(args, "service");
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_non_null(strstr(err.message, "it exited with status 1"));
        command = value_new_array();
        value_append_text(command, "true", NULL);
        value_set(args, "command", command, NULL);
        value_set_int(args, "consecutive", 3, NULL);
        StepResult result = {0};
        assert_int_equal(apply(args, &result), 0);
        assert_int_equal(value_get_int(result.facts, "attempts", 0), 3);
        step_result_done(&result);
}

static void test_waiting_can_be_cancelled(void **state) {
        (void)state;
        start(",\"sleep\",\"60000\"");
        _cleanup_(value_freep) Value *args = args_new("tcp", 10 * USEC_PER_SEC);
        t.cancel = SIGINT;
        assert_int_equal(apply_only(args), -ECANCELED);
        t.cancel = 0;
        t.host.deadline_usec = clock_boot_usec() + 100000;
        uint64_t begin = clock_boot_usec();
        assert_int_equal(apply_only(args), -ETIMEDOUT);
        assert_true(clock_boot_usec() - begin < 2 * USEC_PER_SEC);
}

static void test_a_wrong_form_is_refused_while_planning(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *args = args_new("telepathy", 0);
        assert_int_equal(manager_health.check(&t.host, args, &err), -EINVAL);
        value_set_text(args, "type", "exec", NULL);
        assert_int_equal(manager_health.check(&t.host, args, &err), -EINVAL);
        value_set_text(args, "type", "tcp", NULL);
        assert_int_equal(manager_health.check(&t.host, args, &err), 0);
        _cleanup_free_ char *text = NULL;
        char expected[128];
        snprintf(expected, sizeof(expected), "wait for an answer on 127.0.0.1:%d", port);
        assert_int_equal(manager_health.describe(args, &text, &err), 0);
        assert_string_equal(text, expected);
}

static void test_http_expects_a_status(void **state) {
        (void)state;
        int r = http_new(&(HttpOptions){.user_agent = "test"}, &t.host.http, &err);
        assert_int_equal(r, 0);
        start("");
        _cleanup_(value_freep) Value *args = args_new("http", 400000);
        value_set_text(args, "path", "/health", NULL);
        value_set_int(args, "interval_usec", 50000, NULL);
        value_set_int(args, "timeout_usec", 100000, NULL);
        assert_int_equal(apply_only(args), -EHOSTDOWN); /* it listens, and never says a word */
        assert_int_equal(err.code, ERR_HEALTH);
        assert_non_null(strstr(err.message, "from http://127.0.0.1:"));
        /* One that does answer, after being unwell. */
        HttpServer *server = http_server_start(false);
        http_server_page(server,
                         &(ServerPage){.path = "/health", .body = "ok", .size = 2, .n_failing = 2, .fail_status = 503});
        port = (int)http_server_port(server);
        value_set_int(args, "port", port, NULL);
        value_set_int(args, "deadline_usec", 1000000, NULL);
        value_set_int(args, "timeout_usec", 1000000, NULL);
        assert_int_equal(apply_only(args), -EHOSTDOWN); /* an answer, but not of the service */
        value_remove(args, "service");
        assert_int_equal(apply_only(args), 0);
        value_set_int(args, "status", 204, NULL);
        value_set_int(args, "attempts", 2, NULL);
        assert_int_equal(apply_only(args), -EHOSTDOWN);
        assert_non_null(strstr(err.message, ": the answer was status 200, not 204"));
        http_server_stop(server);
        t.host.http = http_free(t.host.http);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_service_that_listens_is_healthy_soon),
                TEST(test_a_child_of_the_service_may_hold_the_port),
                TEST(test_a_program_that_exits_fails_at_once),
                TEST(test_a_program_that_is_killed_says_by_what),
                TEST(test_a_program_that_nobody_asks_must_stay_up),
                TEST(test_a_program_that_nobody_asks_and_that_ends_has_failed),
                TEST(test_silence_ends_with_the_deadline),
                TEST(test_a_foreign_listener_is_not_the_service),
                TEST(test_a_service_that_is_not_running_fails),
                TEST(test_attempts_are_limited),
                TEST(test_waiting_can_be_cancelled),
                TEST(test_a_wrong_form_is_refused_while_planning),
                TEST(test_http_expects_a_status),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
