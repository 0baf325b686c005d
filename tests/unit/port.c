/* SPDX-License-Identifier: Apache-2.0 */
/* A port is free only if nobody listens on it under any address; who does is named. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "managers/listener.h"
#include "tests/lib/temp_host.h"

extern const Manager manager_port;

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

static int apply(int port, const char *address) {
        _cleanup_(value_freep) Value *args = value_new_map();
        StepResult result = {0};
        value_set_int(args, "port", port, NULL);
        value_set_text(args, "address", address, NULL);
        assert_int_equal(field_check(manager_port.args, args, "args", &err), 0);
        int r = manager_port.apply(&t.host, args, NULL, &result, &err);
        step_result_done(&result);
        return r;
}

static void test_a_free_port_is_free(void **state) {
        (void)state;
        assert_int_equal(apply(test_port(), NULL), 0);
        assert_int_equal(apply(test_port(), "127.0.0.1"), 0);
}

static void test_a_listener_is_named(void **state) {
        (void)state;
        char text[128], expected[256];
        int port = test_port(), fd = test_listen(port);
        assert_int_equal(apply(port, NULL), -EADDRINUSE);
        assert_int_equal(err.code, ERR_IN_USE);
        snprintf(text, sizeof(text), "port %d is in use by another program (pid %d, unit.port)", port, getpid());
        snprintf(expected, sizeof(expected), "%s", text);
        assert_string_equal(err.message, expected);
        close(fd);
}

static void test_a_listener_on_another_address_is_in_the_way(void **state) {
        (void)state;
        int port = test_port();
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        inet_pton(AF_INET, "127.0.0.9", &a.sin_addr);
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(apply(port, NULL), -EADDRINUSE);
}

static void test_what_a_closed_connection_left_is_not_a_listener(void **state) {
        (void)state;
        int port = test_port(), fd = test_listen(port);
        struct sockaddr_storage a;
        socklen_t size;
        assert_int_equal(address_parse("127.0.0.1", port, &a, &size, &err), 0);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&a, size), 0);
        int server = accept(fd, NULL, NULL);
        assert_true(server >= 0);
        close(server); /* closes first: TIME_WAIT is on the side of the port */
        close(client);
        close(fd);
        assert_int_equal(apply(port, NULL), 0);
}

static void test_an_exact_listener_hides_a_wide_one(void **state) {
        (void)state;
        int port = test_port(), fd = test_listen(port);
        struct sockaddr_storage a;
        socklen_t size;
        Listeners l;
        assert_int_equal(address_parse("127.0.0.1", port, &a, &size, &err), 0);
        assert_int_equal(listeners_of(&a, &l, &err), 0);
        assert_int_equal(l.n, 1);
        assert_true(listeners_has_process(&l, getpid()));
        assert_false(listeners_has_process(&l, getppid()));
        assert_int_equal(address_parse("127.0.0.2", port, &a, &size, &err), 0);
        assert_int_equal(listeners_of(&a, &l, &err), 0);
        assert_int_equal(l.n, 0);
        close(fd);
}

static void test_nonsense_is_refused(void **state) {
        (void)state;
        assert_int_equal(apply(70000, NULL), -EINVAL);
        assert_int_equal(apply(3000, "here"), -EINVAL);
        assert_int_equal(err.code, ERR_SPEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_free_port_is_free),
                TEST(test_a_listener_is_named),
                TEST(test_a_listener_on_another_address_is_in_the_way),
                TEST(test_what_a_closed_connection_left_is_not_a_listener),
                TEST(test_an_exact_listener_hides_a_wide_one),
                TEST(test_nonsense_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
