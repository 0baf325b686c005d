/* SPDX-License-Identifier: Apache-2.0 */
/* Text: building, hiding secrets, judging bytes, sizes, and the nearest word. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/text.h"

typedef struct TextCase {
        const char *in, *out;
} TextCase;

static void a_text_grows_and_is_taken(void **state) {
        (void)state;
        _cleanup_text_ Text t = {0};
        _cleanup_free_ char *empty = text_take(&t);
        assert_string_equal(empty, "");
        for (int i = 0; i < 1000; i++)
                text_addf(&t, "%d,", i % 10);
        text_add(&t, "end");
        text_add_n(&t, "xyz", 1);
        _cleanup_free_ char *s = text_take(&t);
        assert_int_equal(strlen(s), 2004);
        assert_string_equal(s + 1996, "8,9,endx");
        t.is_failed = true;
        text_add(&t, "x");
        assert_null(text_take(&t));
}

static void secrets_are_hidden(void **state) {
        (void)state;
        /* clang-format off */
        static const TextCase table[] = {
                {"postgres://web:hunter2@db:5432/x",       "postgres://web:****@db:5432/x"},
                {"redis://:hunter2@h",                     "redis://:****@h"},
                {"at http://a:b@c@d/ and http://e:f@g",    "at http://a:****@d/ and http://e:****@g"},
                {"https://host:3000/a@b",                  "https://host:3000/a@b"},
                {"https://user@host/",                     "https://user@host/"},
                {"DB_PASSWORD=hunter2 x",                  "DB_PASSWORD=**** x"},
                {"password: hunter2",                      "password: ****"},
                {"Api-Key = 'a b' rest",                   "Api-Key = '****' rest"},
                {"{\"jwt_secret\": \"a\\\"b\", \"n\": 1}", "{\"jwt_secret\": \"****\", \"n\": 1}"},
                {"--token=abc,def;ghi next",               "--token=**** next"},
                {"dsn=postgres://u:p@h/db",                "dsn=****"},
                {"password=\"never closed",                "password=\"****"},
                {"password=\nnext",                        "password=\nnext"},
                {"the token is here",                      "the token is here"},
                {"port=3000",                              "port=3000"},
                {"key",                                    "key"},
                {"",                                       ""},
                {"x://",                                   "x://"},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *out = text_redact(table[i].in);
                assert_string_equal(out, table[i].out);
        }
}

static void secret_names_are_known(void **state) {
        (void)state;
        static const char *const secret[] = {"DB_PASSWORD", "jwt_secret",  "GITHUB_TOKEN",
                                             "apikey",      "Credentials", "SENTRY_DSN"};
        static const char *const open[] = {"PORT", "DB_HOST", "PASS", "", "KE", "TOKE"};
        for (size_t i = 0; i < ELEMENTSOF(secret); i++)
                assert_true(name_is_secret(secret[i]));
        for (size_t i = 0; i < ELEMENTSOF(open); i++)
                assert_false(name_is_secret(open[i]));
}

static void the_nearest_word_is_near(void **state) {
        (void)state;
        static const char *const words[] = {"deploy", "upgrade", "rollback", "status", "start", "stop", NULL};
        assert_string_equal(text_nearest("depoly", words), "deploy");
        assert_string_equal(text_nearest("upgrad", words), "upgrade");
        assert_string_equal(text_nearest("stat", words), "start");
        assert_string_equal(text_nearest("stop", words), "stop");
        assert_string_equal(text_nearest("prot", (const char *const[]){"root", "port", NULL}), "port");
        assert_string_equal(text_nearest("sauce", (const char *const[]){"source", NULL}), "source");
        assert_null(text_nearest("bogus", (const char *const[]){"logs", NULL}));
        assert_null(text_nearest("frobnicate", words));
        assert_null(text_nearest("", words));
        char word[200];
        memset(word, 'x', sizeof(word));
        word[199] = '\0';
        assert_null(text_nearest(word, words));
}

static void only_utf8_is_valid(void **state) {
        (void)state;
        static const char *const valid[] = {
                "", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\x01"};
        static const char *const invalid[] = {"\x80",
                                              "\xc0\x80",
                                              "\xc1\xbf",
                                              "\xc3",
                                              "\xe0\x9f\xbf",
                                              "\xed\xa0\x80",
                                              "\xe2\x82",
                                              "\xf0\x8f\xbf\xbf",
                                              "\xf4\x90\x80\x80",
                                              "\xf5\x80\x80\x80",
                                              "\xff",
                                              "a\xc3("};
        for (size_t i = 0; i < ELEMENTSOF(valid); i++)
                assert_true(utf8_is_valid(valid[i], strlen(valid[i])));
        for (size_t i = 0; i < ELEMENTSOF(invalid); i++)
                assert_false(utf8_is_valid(invalid[i], strlen(invalid[i])));
        assert_false(utf8_is_valid("a\0b", 3));
        /* The length given counts, not the NUL behind it. */
        assert_false(utf8_is_valid("\xe2\x82\xac", 2));
}

static void clean_text_has_no_controls(void **state) {
        (void)state;
        static const char *const dirty[] = {"\x1b[31m", "\r", "\x7f", "\xc2\x85", "\xff", "\b"};
        assert_true(text_is_clean("a\tb\n\xc3\xa4\xc2\xa0", 8));
        for (size_t i = 0; i < ELEMENTSOF(dirty); i++)
                assert_false(text_is_clean(dirty[i], strlen(dirty[i])));
        assert_false(text_is_clean("", 1));
}

typedef struct SizeCase {
        const char *text;
        uint64_t size;
} SizeCase;

static void sizes_are_read_and_written(void **state) {
        (void)state;
        /* clang-format off */
        static const SizeCase read[] = {
                {"0", 0}, {"4096", 4096}, {"1B", 1}, {"2GB", 2000000000}, {"500M", 524288000}, {"10MiB", 10485760},
                {"1k", 1024},
                {"1kB", 1000}, {"10mb", 10000000}, {"1T", 1099511627776}, {"18446744073709551615", UINT64_MAX},
        };
        static const char *const wrong[] = {"", "M", "-1", "+1", " 1", "1 M", "1.5G", "1X", "1MiBx",
                "18446744073709551616",
                "16777216T", "0x10"};
        static const SizeCase written[] = {
                {"0 B", 0}, {"512 B", 512}, {"1 KiB", 1024}, {"1.5 MiB", 1572864}, {"12 KiB", 12800},
                {"1023 KiB", 1048575},
                {"9.9 GiB", 10737418239}, {"15 EiB", UINT64_MAX},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(read); i++) {
                uint64_t size = 0;
                if (size_parse(read[i].text, &size) != 0 || size != read[i].size)
                        fail_msg("%s", read[i].text);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                uint64_t size = 0;
                if (size_parse(wrong[i], &size) != -EINVAL || size != 0)
                        fail_msg("\"%s\" was accepted", wrong[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(written); i++) {
                char text[32];
                size_format(written[i].size, text);
                assert_string_equal(text, written[i].text);
        }
}

static void a_terminal_is_shown_nothing_it_obeys(void **state) {
        (void)state;
        /* clang-format off */
        static const struct { const char *in; size_t n; const char *utf8, *other; } table[] = {
                {"plain\ttext\n",       11, "plain\ttext\n",       "plain\ttext\n"},
                {"\033]0;title\a",      10, "\\x1b]0;title\\x07", "\\x1b]0;title\\x07"},
                {"a\rb\bc\177",          6, "a\\x0db\\x08c\\x7f", "a\\x0db\\x08c\\x7f"},
                {"a\0b",                 3, "a\\x00b",            "a\\x00b"},
                {"\x9b" "31m",           4, "\\x9b31m",           "\\x9b31m"},
                {"\xc2\x9b" "31m",       5, "\\xc2\\x9b31m",      "\\xc2\\x9b31m"},
                {"\xc2\x80\xc2\x9f",     4, "\\xc2\\x80\\xc2\\x9f", "\\xc2\\x80\\xc2\\x9f"},
                {"\xc2\xa0\xc4\x9b",     4, "\xc2\xa0\xc4\x9b",    "\\xc2\\xa0\\xc4\\x9b"},
                {"\xf0\x9f\x90\xbe",     4, "\xf0\x9f\x90\xbe",    "\\xf0\\x9f\\x90\\xbe"},
                {"a\xe2\x80\xae" "b",      5, "a\\xe2\\x80\\xaeb", "a\\xe2\\x80\\xaeb"}, /* U+202E: what follows reads from right to left */
                {"\xe2\x81\xa6\xe2\x80\x8e", 6, "\\xe2\\x81\\xa6\\xe2\\x80\\x8e", "\\xe2\\x81\\xa6\\xe2\\x80\\x8e"},
                {"\xe2\x80\x90",         3, "\xe2\x80\x90",      "\\xe2\\x80\\x90"},
                {"\xe2\x82",             2, "\\xe2\\x82",         "\\xe2\\x82"},
                {"\xc0\x9b\xffx",        4, "\\xc0\\x9b\\xffx",   "\\xc0\\x9b\\xffx"},
                {"",                     0, "",                  ""},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *utf8 = text_escape_terminal(table[i].in, table[i].n, true);
                _cleanup_free_ char *other = text_escape_terminal(table[i].in, table[i].n, false);
                assert_string_equal(utf8, table[i].utf8);
                assert_string_equal(other, table[i].other);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_text_grows_and_is_taken),  cmocka_unit_test(secrets_are_hidden),
                cmocka_unit_test(secret_names_are_known),     cmocka_unit_test(the_nearest_word_is_near),
                cmocka_unit_test(only_utf8_is_valid),         cmocka_unit_test(clean_text_has_no_controls),
                cmocka_unit_test(sizes_are_read_and_written), cmocka_unit_test(a_terminal_is_shown_nothing_it_obeys),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
