/* SPDX-License-Identifier: Apache-2.0 */
/* Environment files: what is written reads back as it was, and a hostile one can set nothing but what it says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/env_file.h"
#include "core/base/text.h"

static Error err;

typedef struct Read {
        const char *text;
        const char *expected; /* "key=value|key=value", or what the message must hold after "env:" */
        bool is_error;
} Read;

/* clang-format off */
static const Read reads[] = {
        {"",                            "",                                 false},
        {"A=1",                         "A=1",                              false},
        {"A=1\nB=2\n",                  "A=1|B=2",                          false},
        {"\n\n# A=1\n ; B=2\nC=3\n",    "C=3",                              false},
        {"  A\t=  two words \t\r\n",    "A=two words",                      false},
        {"export A=1\nexport\tB=2\n",   "A=1|B=2",                          false},
        {"export=1\n",                  "export=1",                         false},
        {"exported=1\n",                "exported=1",                       false},
        {"A==b=c\n",                    "A==b=c",                           false},
        {"A=\nB=\"\"\nC=''\n",          "A=|B=|C=",                         false},
        {"A=x # y\n",                   "A=x # y",                          false},
        {"A=a\\b\n",                    "A=a\\b",                           false},
        {"A=it's\n",                    "A=it's",                           false},
        {"A='a\\b \"$x\" `'\n",         "A=a\\b \"$x\" `",                  false},
        {"A=\" a \"\n",                 "A= a ",                            false},
        {"A=\"\\\\ \\\" \\$ \\`\"\n",   "A=\\ \" $ `",                      false},
        {"A=\"\\n\\x\"\n",              "A=\\n\\x",                         false},
        {"_a9=\303\244\n",              "_a9=\303\244",                     false},
        {"A=1\nB\n",                    "2: there is no \"=\"",             true},
        {"=1\n",                        "1: a key is",                      true},
        {"9A=1\n",                      "1: a key is",                      true},
        {"A B=1\n",                     "1: a key is",                      true},
        {"A-B=1\n",                     "1: a key is",                      true},
        {"\303\244=1\n",                "1: a key is",                      true},
        {"\n\nA=\"x\nB=y\"\n",          "3: a quote is not closed",         true},
        {"A='x\n",                      "1: a quote is not closed",         true},
        {"A=\"x\\\"\n",                 "1: a quote is not closed",         true},
        {"A=\"x\" y\n",                 "1: something follows",             true},
        {"A='x'y\n",                    "1: something follows",             true},
        {"A=\377\n",                    "1: the value is not UTF-8",        true},
        {"\357\273\277A=1\n",          "A=1",                              false},
        {"\357\273\277A=1\nA\n",       "2: there is no \"=\"",             true},
        {"A=a\tb\n",                   "A=a\tb",                           false},
        {"B=1\nA=1\n#\nA=2\n",          "4: \"A\" is set already on line 2", true},
};
/* clang-format on */

static char *joined(const Value *map) {
        _cleanup_text_ Text out = {0};
        for (size_t i = 0; i < value_count(map); i++)
                text_addf(&out, "%s%s=%s", i == 0 ? "" : "|", map->map.entries[i].name,
                          map->map.entries[i].value->bytes.data);
        return text_take(&out);
}

static void every_form_is_read_as_documented(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(reads); i++) {
                _cleanup_(value_freep) Value *map = NULL;
                err = ERROR_INIT;
                int r = env_file_parse(reads[i].text, strlen(reads[i].text), "env", false, &map, &err);
                if (reads[i].is_error) {
                        _cleanup_free_ char *start = text_format("env:%s", reads[i].expected);
                        assert_int_equal(r, -EINVAL);
                        assert_int_equal(err.code, ERR_SPEC);
                        assert_memory_equal(err.message, start, strlen(start));
                        continue;
                }
                assert_int_equal(r, 0);
                _cleanup_free_ char *found = joined(map);
                assert_string_equal(found, reads[i].expected);
        }
}

static void a_nul_byte_is_refused(void **state) {
        (void)state;
        Value *map = NULL;
        assert_int_equal(env_file_parse("A=x\0y\n", 6, "env", false, &map, &err), -EINVAL);
        assert_int_equal(env_file_parse("A\0=x\n", 5, "env", false, &map, &err), -EINVAL);
}

static void more_than_a_mebibyte_is_refused(void **state) {
        (void)state;
        size_t size = ((size_t)1 << 20) + 1;
        _cleanup_free_ char *big = malloc(size);
        _cleanup_(value_freep) Value *map = NULL, *fits = NULL;
        memset(big, '#', size);
        assert_int_equal(env_file_parse(big, size, "env", false, &map, &err), -EFBIG);
        assert_int_equal(env_file_parse(big, size - 1, "env", false, &fits, &err), 0);
}

/* With a look-up per line this takes minutes. */
static void a_file_full_of_keys_is_read_in_no_time(void **state) {
        (void)state;
        _cleanup_text_ Text text = {0};
        for (unsigned i = 0; i < 30000; i++)
                text_addf(&text, "A%x=\n", i);
        _cleanup_free_ char *all = text_take(&text);
        _cleanup_(value_freep) Value *map = NULL;
        assert_int_equal(env_file_parse(all, strlen(all), "env", false, &map, &err), 0);
        assert_int_equal(value_count(map), 30000);
}

static void errors_never_show_a_value(void **state) {
        (void)state;
        static const char *const texts[] = {"hunter2\n",       "A=\"hunter2\n",
                                            "A='hunter2'x\n",  "A=hunter2\nA=hunter2\n",
                                            "A=hunter2\377\n", "hunter2 x=1\n"};
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Value *map = NULL;
                assert_int_equal(env_file_parse(texts[i], strlen(texts[i]), "env", true, &map, &err), -EINVAL);
                assert_null(strstr(err.message, "hunter2"));
        }
}

static Value *map_of(const char *key, Value *value) {
        Value *map = value_new_map();
        assert_int_equal(value_set(map, key, value, NULL), 0);
        return map;
}

/* clang-format off */
static const struct {
        const char *value, *written;
} writes[] = {
        {"",                     "A=\n"},
        {"3000",                 "A=3000\n"},
        {"aZ09_./:@%+,-=",       "A=aZ09_./:@%+,-=\n"},
        {"two words",            "A=\"two words\"\n"},
        {" ",                    "A=\" \"\n"},
        {"\\ \" $ `",            "A=\"\\\\ \\\" \\$ \\`\"\n"},
        {"it's",                 "A=\"it's\"\n"},
        {"#x",                   "A=\"#x\"\n"},
        {"\303\244\r",           "A=\"\303\244\r\"\n"},
};
/* clang-format on */

static void every_value_is_written_as_documented_and_read_back(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(writes); i++) {
                _cleanup_(value_freep) Value *map = map_of("A", value_new_text(writes[i].value)), *text = NULL,
                                             *again = NULL;
                assert_int_equal(env_file_format(map, &text, &err), 0);
                assert_true(value_is(text, VALUE_SECRET));
                assert_string_equal(text->bytes.data, writes[i].written);
                assert_int_equal(text->bytes.size, strlen(writes[i].written));
                assert_int_equal(env_file_parse(text->bytes.data, text->bytes.size, "env", false, &again, &err), 0);
                assert_true(value_equal(map, again));
        }
}

static void keys_are_sorted_and_secrets_are_written(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *map = map_of("PORT", value_new_text("3000")), *text = NULL,
                                     *none = value_new_map(), *empty = NULL;
        assert_int_equal(value_set(map, "API_KEY", value_new_secret("s 3", 3), NULL), 0);
        assert_int_equal(value_set_text(map, "Z", "1", NULL), 0);
        assert_int_equal(value_set_text(map, "A", "1", NULL), 0);
        assert_int_equal(env_file_format(map, &text, &err), 0);
        assert_string_equal(text->bytes.data, "A=1\nAPI_KEY=\"s 3\"\nPORT=3000\nZ=1\n");
        assert_int_equal(env_file_format(none, &empty, &err), 0);
        assert_int_equal(empty->bytes.size, 0);
}

static void no_value_can_smuggle_in_a_variable(void **state) {
        (void)state;
        static const char nul[] = "x\0y";
        Value *bad[] = {map_of("A", value_new_text("x\nB=1")), map_of("A", value_new_secret("x\nB=1", 5)),
                        map_of("A", value_new_secret(nul, 3)), map_of("A", value_new_secret("\377", 1)),
                        map_of("A=1\nB", value_new_text("x")), map_of("", value_new_text("x")),
                        map_of("A", value_new_int(1)),         map_of("A", value_new_sealed("x", 1))};
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Value *text = NULL;
                assert_int_equal(env_file_format(bad[i], &text, &err), i == 7 ? -ENOKEY : -EINVAL);
                assert_null(strstr(err.message, "B=1"));
                value_free(bad[i]);
        }
}

static void keys_are_what_a_shell_takes(void **state) {
        (void)state;
        assert_true(env_key_is_valid("A") && env_key_is_valid("_") && env_key_is_valid("a_9"));
        assert_false(env_key_is_valid(NULL) || env_key_is_valid("") || env_key_is_valid("9") ||
                     env_key_is_valid("a b") || env_key_is_valid("a."));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_form_is_read_as_documented),
                cmocka_unit_test(a_nul_byte_is_refused),
                cmocka_unit_test(more_than_a_mebibyte_is_refused),
                cmocka_unit_test(a_file_full_of_keys_is_read_in_no_time),
                cmocka_unit_test(errors_never_show_a_value),
                cmocka_unit_test(every_value_is_written_as_documented_and_read_back),
                cmocka_unit_test(keys_are_sorted_and_secrets_are_written),
                cmocka_unit_test(no_value_can_smuggle_in_a_variable),
                cmocka_unit_test(keys_are_what_a_shell_takes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
