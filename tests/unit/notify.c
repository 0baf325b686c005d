/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "notify": what a webhook gets, and what nobody else does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "tests/lib/http_server.h"
#include "tests/lib/rooted.h"

extern const Manager manager_notify;

typedef struct Fixture {
        Rooted rooted;
        HttpServer *server;
        Error err;
        Value *args;
        StepResult result;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        f->server = http_server_start(false);
        Value *payload = value_new_map();
        assert_int_equal(value_set_text(payload, "service", "web", NULL), 0);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "url", http_server_url(f->server, "/hook/T0PSECRET"), NULL), 0);
        assert_int_equal(value_set_text(f->args, "event", "completed", NULL), 0);
        assert_int_equal(value_set(f->args, "payload", payload, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        value_free(f->args);
        step_result_done(&f->result);
        http_server_stop(f->server);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

static int apply(Fixture *f) {
        assert_int_equal(field_check(manager_notify.args, f->args, "notify", &f->err), 0);
        return manager_notify.apply(&f->rooted.host, f->args, NULL, &f->result, &f->err);
}

static void webhook_gets_json_with_the_transaction(void **state) {
        Fixture *f = *state;
        http_server_page(f->server, &(ServerPage){.path = "/hook/T0PSECRET", .status = 204, .body = "", .size = 0});
        assert_int_equal(apply(f), 0);
        const ServerSeen *seen = http_server_seen(f->server, 0);
        assert_string_equal(seen->method, "POST");
        assert_string_equal(seen->mark, "0123abcd-7");
        _cleanup_(value_freep) Value *body = NULL;
        assert_int_equal(json_decode(seen->body, seen->n_body, &body, &f->err), 0);
        assert_string_equal(value_get_text(body, "event"), "completed");
        assert_string_equal(value_get_text(body, "service"), "web");
}

static void refusal_is_an_error_and_tried_once(void **state) {
        Fixture *f = *state;
        http_server_page(f->server, &(ServerPage){.path = "/hook/T0PSECRET", .status = 500, .body = "", .size = 0});
        assert_true(apply(f) < 0);
        assert_int_equal(f->err.code, ERR_NETWORK);
        assert_string_equal(f->err.message, "could not notify: the server answered 500");
        assert_int_equal(http_server_count(f->server, NULL), 1);
}

static void secret_address_stays_secret(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *line = NULL;
        HttpServer *gone = http_server_start(false);
        const char *url = http_server_url(gone, "/hook/T0PSECRET");
        http_server_stop(gone);
        assert_int_equal(value_set(f->args, "url", value_new_secret(url, strlen(url)), NULL), 0);
        assert_true(apply(f) < 0);
        assert_null(strstr(f->err.message, "T0PSECRET"));
        assert_int_equal(manager_notify.describe(f->args, &line, &f->err), 0);
        assert_null(strstr(line, "T0PSECRET"));
}

static void silent_server_ends_with_the_timeout(void **state) {
        Fixture *f = *state;
        static char big[100000];
        http_server_page(f->server,
                         &(ServerPage){.path = "/hook/T0PSECRET", .body = big, .size = sizeof(big), .slow_msec = 300});
        assert_int_equal(value_set_int(f->args, "timeout_usec", 200000, NULL), 0);
        assert_int_equal(apply(f), -ETIMEDOUT);
}

static void unknown_format_is_refused(void **state) {
        Fixture *f = *state;
        assert_int_equal(value_set_text(f->args, "format", "pigeon", NULL), 0);
        assert_int_equal(manager_notify.check(&f->rooted.host, f->args, &f->err), -EOPNOTSUPP);
        assert_int_equal(f->err.code, ERR_NOT_SUPPORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(webhook_gets_json_with_the_transaction),
                TEST(refusal_is_an_error_and_tried_once),
                TEST(secret_address_stays_secret),
                TEST(silent_server_ends_with_the_timeout),
                TEST(unknown_format_is_refused),
        };
        return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
