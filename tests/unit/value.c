/* SPDX-License-Identifier: Apache-2.0 */
/* Value: order kept, children owned, look-ups that forgive, equality that does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/value.h"

static Value *sample(void) {
        Value *map = value_new_map(), *list = value_new_array(), *inner = value_new_map();
        assert_int_equal(value_append_text(list, "x", NULL), 0);
        assert_int_equal(value_append(list, value_new_secret("hush", 4), NULL), 0);
        assert_int_equal(value_set_int(inner, "port", 3000, NULL), 0);
        assert_int_equal(value_set_text(map, "name", "web", NULL), 0);
        assert_int_equal(value_set(map, "run", inner, NULL), 0);
        assert_int_equal(value_set(map, "list", list, NULL), 0);
        assert_int_equal(value_set_num(map, 7, value_new_bool(true), NULL), 0);
        return map;
}

static void a_copy_is_equal_and_independent(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = sample(), *copy = value_copy(v);
        assert_true(value_equal(v, copy));
        assert_int_equal(value_set_int(value_get(copy, "run"), "port", 3001, NULL), 0);
        assert_false(value_equal(v, copy));
        assert_int_equal(value_get_int(value_get(v, "run"), "port", 0), 3000);
}

static void replacing_keeps_the_place(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = sample();
        assert_int_equal(value_set_text(v, "name", "api", NULL), 0);
        assert_int_equal(value_count(v), 4);
        assert_string_equal(v->map.entries[0].name, "name");
        assert_string_equal(value_get_text(v, "name"), "api");
        assert_int_equal(value_set(v, "name", value_get(v, "name"), NULL), 0);
        assert_string_equal(value_get_text(v, "name"), "api");
        value_remove(v, "run");
        value_remove(v, "absent");
        assert_int_equal(value_count(v), 3);
        assert_string_equal(v->map.entries[1].name, "list");
}

static void a_missing_child_is_no_memory(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        _cleanup_(value_freep) Value *map = value_new_map(), *list = value_new_array();
        assert_int_equal(value_set(map, "x", NULL, &err), -ENOMEM);
        assert_int_equal(err.code, ERR_NO_MEMORY);
        assert_int_equal(value_set_num(map, 1, NULL, NULL), -ENOMEM);
        assert_int_equal(value_append(list, NULL, NULL), -ENOMEM);
        /* The child of a parent that could not be made is freed: LeakSanitizer watches. */
        assert_int_equal(value_set(NULL, "x", value_new_int(1), NULL), -ENOMEM);
        assert_int_equal(value_append(NULL, value_new_int(1), NULL), -ENOMEM);
        assert_int_equal(value_add_entry(NULL, strdup("x"), 0, value_new_int(1), NULL), -ENOMEM);
        assert_int_equal(value_set_text(map, "x", NULL, NULL), 0);
        assert_int_equal(value_count(map), 0);
}

static void look_ups_forgive(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = sample();
        assert_null(value_get(NULL, "x"));
        assert_null(value_get(value_get(v, "list"), "x"));
        assert_null(value_get_text(v, "run"));
        assert_int_equal(value_get_int(v, "name", -1), -1);
        assert_true(value_get_bool(v, "absent", true));
        assert_string_equal(value_get_text_or(v, "absent", "other"), "other");
        assert_null(value_at(value_get(v, "list"), 2));
        assert_true(value_is(value_get_num(v, 7), VALUE_BOOL));
        assert_null(value_get_num(v, 8));
        assert_null(value_get(v, "7"));
        assert_int_equal(value_count(value_get(v, "name")), 0);
}

static void paths_go_through_maps(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = sample();
        assert_int_equal(value_path(v, "run.port")->integer, 3000);
        assert_non_null(value_path(v, "run"));
        assert_null(value_path(v, "run.port.x"));
        assert_null(value_path(v, "ru.port"));
        assert_null(value_path(v, "run."));
}

static void equality_ignores_order_only(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *a = value_new_map(), *b = value_new_map();
        value_set_int(a, "x", 1, NULL);
        value_set_int(a, "y", 2, NULL);
        value_set_int(b, "y", 2, NULL);
        value_set_int(b, "x", 1, NULL);
        assert_true(value_equal(a, b));
        value_set_int(b, "x", 2, NULL);
        assert_false(value_equal(a, b));
        value_set_int(b, "x", 1, NULL);
        value_set_int(b, "more", 1, NULL);
        assert_false(value_equal(a, b));
        assert_false(value_equal(b, a));
        _cleanup_(value_freep) Value *text = value_new_text("x"), *bytes = value_new_bytes("x", 1);
        _cleanup_(value_freep) Value *open = value_new_secret("x", 1), *sealed = value_new_sealed("x", 1);
        _cleanup_(value_freep) Value *other = value_new_secret("y", 1);
        assert_false(value_equal(text, bytes));
        assert_false(value_equal(open, sealed));
        assert_false(value_equal(open, other));
        assert_false(value_equal(a, NULL));
        assert_true(value_equal(NULL, NULL));
}

static void secrets_are_found_at_any_depth(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = sample();
        assert_true(value_has_secret(v));
        value_remove(v, "list");
        assert_false(value_has_secret(v));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_copy_is_equal_and_independent), cmocka_unit_test(replacing_keeps_the_place),
                cmocka_unit_test(a_missing_child_is_no_memory),    cmocka_unit_test(look_ups_forgive),
                cmocka_unit_test(paths_go_through_maps),           cmocka_unit_test(equality_ignores_order_only),
                cmocka_unit_test(secrets_are_found_at_any_depth),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
