/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: order kept, secrets hidden, always valid; hostile input refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"

static void encodes_to(const Value *v, unsigned flags, const char *expected) {
        _cleanup_free_ char *text = NULL;
        assert_int_equal(json_encode(v, flags, &text, NULL), 0);
        assert_string_equal(text, expected);
}

static void order_is_kept_and_secrets_are_hidden(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = value_new_map();
        value_set_int(v, "z", INT64_MIN, NULL);
        value_set(v, "a", value_new_secret("hunter2", 7), NULL);
        value_set(v, "s", value_new_sealed("hunter2", 7), NULL);
        value_set_bytes(v, "b", "\x00\xfe", 2, NULL);
        value_set_num(v, 12, value_new_null(), NULL);
        value_set(v, "l", value_new_array(), NULL);
        value_append(value_get(v, "l"), value_new_bool(true), NULL);
        value_set(v, "e", value_new_map(), NULL);
        encodes_to(v, JSON_COMPACT,
                   "{\"z\":-9223372036854775808,\"a\":\"****\",\"s\":\"****\",\"b\":\"00fe\",\"12\":null,"
                   "\"l\":[true],\"e\":{}}");
        value_remove(v, "a");
        value_remove(v, "s");
        encodes_to(
                v, JSON_PRETTY,
                "{\n  \"z\": -9223372036854775808,\n  \"b\": \"00fe\",\n  \"12\": null,\n  \"l\": [\n    true\n  ],\n"
                "  \"e\": {}\n}");
}

static void text_is_escaped_to_valid_json(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = value_new_text_n("\"\\/\b\t\n\f\r\x01\x7f\xc3\xa4\xff\xe2\x82|\0", 17);
        encodes_to(v, JSON_COMPACT,
                   "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u007f\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\\u0000\"");
}

static void what_is_written_reads_back(void **state) {
        (void)state;
        static const char text[] = "{\"b\":1,\"a\":[-2,true,false,null,\"x\\u00e4\\n\"],\"c\":{\"d\":{}}}";
        static const char expected[] = "{\"b\":1,\"a\":[-2,true,false,null,\"x\xc3\xa4\\n\"],\"c\":{\"d\":{}}}";
        _cleanup_(value_freep) Value *v = NULL;
        assert_int_equal(json_decode(text, strlen(text), &v, NULL), 0);
        encodes_to(v, JSON_COMPACT, expected);
}

static void integral_reals_are_integers(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = NULL;
        assert_int_equal(json_decode("[1.0,1e3,-2.5e1]", 16, &v, NULL), 0);
        encodes_to(v, JSON_COMPACT, "[1,1000,-25]");
}

static void hostile_input_is_refused(void **state) {
        (void)state;
        static const char *const table[] = {
                "",
                "{",
                "[1,]",
                "{\"a\":1,\"a\":2}",
                "1.5",
                "1e17",
                "9223372036854775808",
                "nul",
                "[1]x",
                "\"\xff\"",
                "\"\\u0000\"",
                "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
                "1e999",
                "\"\\ud800\"",
                "{1:2}",
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Value *v = NULL;
                Error err = ERROR_INIT;
                if (json_decode(table[i], strlen(table[i]), &v, &err) != -EBADMSG)
                        fail_msg("%s was accepted", table[i]);
                assert_null(v);
        }
}

static void an_error_does_not_quote_the_input(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        Value *v = NULL;
        assert_int_equal(json_decode("{\"a\" hunter2}", 13, &v, &err), -EBADMSG);
        assert_null(strstr(err.message, "hunter2"));
        assert_non_null(strstr(err.message, "line 1"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(order_is_kept_and_secrets_are_hidden),
                cmocka_unit_test(text_is_escaped_to_valid_json),
                cmocka_unit_test(what_is_written_reads_back),
                cmocka_unit_test(integral_reals_are_integers),
                cmocka_unit_test(hostile_input_is_refused),
                cmocka_unit_test(an_error_does_not_quote_the_input),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
