/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as pawl reads it: what is refused, and where; the limits; the marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/yaml.h"

static int parse(const char *text, size_t size, Value **ret, Error *err) {
        YamlMark mark = {0};
        int r = yaml_parse(text, size, "t.yaml", ret, &mark, err);
        yaml_mark_done(&mark);
        return r;
}

static void assert_refused(const char *text, size_t size, const char *message) {
        Value *v = NULL;
        Error err = ERROR_INIT;
        assert_true(parse(text, size, &v, &err) < 0);
        assert_null(v);
        assert_string_equal(err.message, message);
        assert_int_equal(err.code, ERR_SPEC);
}

/* clang-format off */
static const struct { const char *text, *message; } refused[] = {
        {"a: &x b\n",              "t.yaml:1:4: anchors are not allowed"},
        {"a: &x [b]\n",            "t.yaml:1:4: anchors are not allowed"},
        {"&x a: b\n",              "t.yaml:1:1: anchors are not allowed"},
        {"a: {b: &x {}}\n",        "t.yaml:1:8: anchors are not allowed"},
        {"a: *x\n",                "t.yaml:1:4: aliases are not allowed"},
        {"*x : a\n",               "t.yaml:1:1: aliases are not allowed"},
        {"a: !!str b\n",           "t.yaml:1:4: tags are not allowed"},
        {"a: !b c\n",              "t.yaml:1:4: tags are not allowed"},
        {"a: ! c\n",               "t.yaml:1:4: tags are not allowed"},
        {"a: !!map {}\n",          "t.yaml:1:4: tags are not allowed"},
        {"a: 1\n<<: {b: c}\n",     "t.yaml:2:1: merge keys are not allowed"},
        {"%YAML 1.1\n---\na: b\n", "t.yaml:1:1: directives are not allowed"},
        {"%TAG ! !x\n---\na: b\n", "t.yaml:1:1: directives are not allowed"},
        {"a: b\n---\nc: d\n",      "t.yaml:2:1: a second document is not allowed"},
        {"a: b\n...\n---\nc: d\n", "t.yaml:3:1: a second document is not allowed"},
        {"a: 1\nb: 2\na: 3\n",     "t.yaml:3:1: the key \"a\" is there twice"},
        {"a: 1\n\"a\": 3\n",       "t.yaml:2:1: the key \"a\" is there twice"},
        {"z: 1\na: 1\nz: 1\na: 1\n", "t.yaml:3:1: the key \"z\" is there twice"},
        {"x: {b: 1, b: 2}\n",      "t.yaml:1:11: the key \"b\" is there twice"},
        {"? [a]\n: b\n",           "t.yaml:1:3: a key must be a text"},
        {"~: b\n",                 "t.yaml:1:1: a key is missing in front of the \":\""},
        {"\"\": b\n",              "t.yaml:1:1: a key is missing in front of the \":\""},
        {"\"a\\e[1m\": b\n",        "t.yaml:1:1: a key cannot have control characters"},
        {"\"a\\nb\": b\n",          "t.yaml:1:1: a key cannot have control characters"},
        {"a: \"x\\0y\"\n",         "t.yaml:1:4: a text cannot contain a NUL character"},
        {"a:\n\t- b\n",            "t.yaml:2:1: this is not YAML: it takes no tabs for indentation"},
        {"a:\n  - b:\n  \tc: d\n",  "t.yaml:3:3: this is not YAML: it takes no tabs for indentation"},
        {"a: `b\n\tc\n",          "t.yaml:1:4: this is not YAML: found character that cannot start any token while scanning for the next token"},
        {"\xef\xbb\xbf" "a: 1\na: 2\n", "t.yaml:2:1: the key \"a\" is there twice"},
        {"a: [b\n",                "t.yaml:2:1: this is not YAML: did not find expected ',' or ']' while parsing a flow sequence"},
        {"a: 1\nb: \xff\n",        "t.yaml:2:4: this is not YAML: invalid leading UTF-8 octet"},
        {"a: \xc3\x28\n",          "t.yaml:1:5: this is not YAML: invalid trailing UTF-8 octet"},
        {"a: \x01\n",              "t.yaml:1:4: this is not YAML: control characters are not allowed"},
};
/* clang-format on */

static void what_means_more_than_it_shows_is_refused_where_it_stands(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                assert_refused(refused[i].text, strlen(refused[i].text), refused[i].message);
}

/* clang-format off */
static const struct { const char *text, *json; } accepted[] = {
        {"",                                   "null"},
        {"# a comment\n",                      "null"},
        {"---\n",                              "null"},
        {"a: 1.10\n",                          "{\"a\":\"1.10\"}"},
        {"a: yes\nb: 010\nc: null\nd: ~\ne:\n", "{\"a\":\"yes\",\"b\":\"010\",\"c\":\"null\",\"d\":null,\"e\":null}"},
        {"a: ''\nb: \"~\"\n",                  "{\"a\":\"\",\"b\":\"~\"}"},
        {"a: [b, {c: d}, []]\n",               "{\"a\":[\"b\",{\"c\":\"d\"},[]]}"},
        {"a: |\n  b\n  c\n",                   "{\"a\":\"b\\nc\\n\"}"},
        {"a: >-\n  b\n  c\n",                  "{\"a\":\"b c\"}"},
        {"\"<<\": b\n",                        "{\"<<\":\"b\"}"},
        {"\xef\xbb\xbf" "a: b\n",              "{\"a\":\"b\"}"},
        {"a: b\r\nc: d\r\n",                   "{\"a\":\"b\",\"c\":\"d\"}"},
        {"---\na: b\n...\n",                   "{\"a\":\"b\"}"},
};
/* clang-format on */

static void a_scalar_is_the_text_that_was_written(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(accepted); i++) {
                _cleanup_(value_freep) Value *v = NULL;
                _cleanup_free_ char *json = NULL;
                Error err = ERROR_INIT;
                if (parse(accepted[i].text, strlen(accepted[i].text), &v, &err) < 0)
                        fail_msg("%s: %s", accepted[i].text, err.message);
                assert_int_equal(json_encode(v, JSON_COMPACT, &json, NULL), 0);
                assert_string_equal(json, accepted[i].json);
        }
}

static void marks_stand_where_the_nodes_stand(void **state) {
        static const char text[] = "a: b\nc:\n  - d\n  - {e: 'f'}\n";
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_(yaml_mark_done) YamlMark mark = {0};
        (void)state;
        assert_int_equal(yaml_parse(text, strlen(text), "t.yaml", &v, &mark, NULL), 0);
        assert_int_equal(mark.n_children, 2);
        assert_int_equal(mark.children[0].line, 1);
        assert_int_equal(mark.children[0].column, 4);
        assert_int_equal(mark.children[1].key_line, 2);
        assert_int_equal(mark.children[1].key_column, 1);
        assert_int_equal(mark.children[1].n_children, 2);
        const YamlMark *map = &mark.children[1].children[1];
        assert_int_equal(map->line, 4);
        assert_int_equal(map->column, 5);
        assert_int_equal(map->children[0].key_column, 6);
        assert_int_equal(map->children[0].column, 9);
        assert_true(map->children[0].is_quoted);
        assert_false(mark.children[0].is_quoted);
}

static char *repeat(const char *what, size_t n) {
        Text t = {0};
        for (size_t i = 0; i < n; i++)
                text_add(&t, what);
        char *text = text_take(&t);
        assert_non_null(text);
        return text;
}

static void depth_is_limited(void **state) {
        _cleanup_free_ char *open = repeat("[", 16), *close = repeat("]", 16), *fine = text_format("%s%s", open, close);
        _cleanup_free_ char *deeper = text_format("[%s]", fine), *bomb = repeat("[", 500000),
                            *dashes = repeat("- ", 500000);
        _cleanup_(value_freep) Value *v = NULL;
        (void)state;
        assert_int_equal(parse(fine, strlen(fine), &v, NULL), 0);
        assert_refused(deeper, strlen(deeper), "t.yaml:1:17: maps and lists are nested more than 16 deep");
        assert_refused(bomb, strlen(bomb), "t.yaml:1:17: maps and lists are nested more than 16 deep");
        assert_refused(dashes, strlen(dashes), "t.yaml:1:33: maps and lists are nested more than 16 deep");
}

static void the_number_of_items_is_limited(void **state) {
        _cleanup_free_ char *items = repeat("a,", 100000), *list = text_format("[%s]", items);
        _cleanup_free_ char *fewer = repeat("a,", 99990), *fine = text_format("[%s]", fewer);
        _cleanup_(value_freep) Value *v = NULL;
        (void)state;
        assert_int_equal(parse(fine, strlen(fine), &v, NULL), 0);
        assert_int_equal(value_count(v), 99990);
        assert_refused(list, strlen(list), "t.yaml:1:199996: there are more than 100000 items in this file");
}

static void the_size_is_limited(void **state) {
        size_t most = 1 << 20;
        _cleanup_free_ char *text = repeat("#", most + 1);
        _cleanup_(value_freep) Value *v = NULL;
        (void)state;
        assert_int_equal(parse(text, most, &v, NULL), 0);
        assert_refused(text, most + 1, "t.yaml:1:1: this file is larger than 1 MiB");
}

static void many_keys_take_no_quadratic_time(void **state) {
        Text t = {0};
        (void)state;
        for (int i = 0; i < 49000; i++)
                text_addf(&t, "k%d: v\n", i);
        _cleanup_free_ char *text = text_take(&t);
        _cleanup_(value_freep) Value *v = NULL;
        assert_int_equal(parse(text, strlen(text), &v, NULL), 0);
        assert_int_equal(value_count(v), 49000);
}

static void an_alias_bomb_is_refused_at_its_first_anchor(void **state) {
        static const char bomb[] =
                "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n";
        (void)state;
        assert_refused(bomb, strlen(bomb), "t.yaml:1:4: anchors are not allowed");
}

static void a_truncated_text_is_never_read_past_its_end(void **state) {
        static const char text[] = "a: \"b\\u00e9\"\nc: [d, {e: 'f'}]\ng: |\n  h\n";
        (void)state;
        for (size_t n = 0; n < sizeof(text); n++) {
                _cleanup_free_ char *part = malloc(n > 0 ? n : 1);
                _cleanup_(value_freep) Value *v = NULL;
                assert_non_null(part);
                memcpy(part, text, n);
                int r = parse(part, n, &v, NULL);
                assert_true(r == 0 ? v != NULL : v == NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_means_more_than_it_shows_is_refused_where_it_stands),
                cmocka_unit_test(a_scalar_is_the_text_that_was_written),
                cmocka_unit_test(marks_stand_where_the_nodes_stand),
                cmocka_unit_test(depth_is_limited),
                cmocka_unit_test(the_number_of_items_is_limited),
                cmocka_unit_test(the_size_is_limited),
                cmocka_unit_test(many_keys_take_no_quadratic_time),
                cmocka_unit_test(an_alias_bomb_is_refused_at_its_first_anchor),
                cmocka_unit_test(a_truncated_text_is_never_read_past_its_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
