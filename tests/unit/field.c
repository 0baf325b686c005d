/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables: what is packed unpacks to the same, and what a table does not say is refused on both sides. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/field.h"

/* clang-format off */
static const Field item_fields[] = {
        {1, "kind", FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        {2, "size", FIELD_INT,  0,              1, NULL},
        FIELD_END,
};
static const Field fields[] = {
        {1, "path",   FIELD_TEXT,  FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {2, "items",  FIELD_LIST,  0,                           1, item_fields},
        {3, "env",    FIELD_MAP,   FIELD_SECRET,                1, NULL},
        {4, "labels", FIELD_MAP,   0,                           1, NULL},
        {5, "pass",   FIELD_TEXT,  FIELD_SECRET,                1, NULL},
        {6, "first",  FIELD_MAP,   0,                           1, item_fields},
        {7, "any",    FIELD_ANY,   0,                           1, NULL},
        {8, "words",  FIELD_LIST,  0,                           1, NULL},
        {9, "later",  FIELD_BOOL,  FIELD_REQUIRED,              2, NULL},
        FIELD_END,
};
/* clang-format on */

static Value *sample(void) {
        Value *v = value_new_map(), *items = value_new_array(), *item = value_new_map(), *env = value_new_map();
        value_set_text(item, "kind", "file", NULL);
        value_set_int(item, "size", 12, NULL);
        value_append(items, item, NULL);
        value_set(env, "A", value_new_secret("s", 1), NULL);
        value_set_text(env, "B", "plain", NULL);
        value_set_text(v, "path", "etc/pawl/env", NULL);
        value_set(v, "items", items, NULL);
        value_set(v, "env", env, NULL);
        value_set(v, "pass", value_new_secret("s", 1), NULL);
        value_set(v, "first", value_copy(item), NULL);
        value_set_bool(v, "later", true, NULL);
        return v;
}

static void packing_is_reversible(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        _cleanup_(value_freep) Value *v = sample(), *packed = NULL, *back = NULL;
        assert_int_equal(field_pack(fields, v, &packed, &err), 0);
        for (size_t i = 0; i < packed->map.n; i++)
                assert_null(packed->map.entries[i].name);
        assert_non_null(value_get_num(value_get_num(packed, 6), 1));
        assert_non_null(value_get(value_get_num(packed, 3), "A"));
        assert_int_equal(field_unpack(fields, packed, &back, &err), 0);
        assert_true(value_equal(v, back));
}

static void refused(Value *v, const char *why) {
        Error err = ERROR_INIT;
        assert_int_equal(field_check(fields, v, "link", &err), -EINVAL);
        assert_int_equal(err.code, ERR_FAILED);
        assert_memory_equal(err.message, "link: ", 6);
        if (!strstr(err.message, why))
                fail_msg("\"%s\" does not say \"%s\"", err.message, why);
        value_free(v);
}

static Value *sample_with(const char *name, Value *child) {
        Value *v = sample();
        assert_int_equal(value_set(v, name, child, NULL), 0);
        return v;
}

static void what_the_table_does_not_say_is_refused(void **state) {
        (void)state;
        refused(sample_with("pth", value_new_int(1)), "\"pth\" is not known");
        refused(sample_with("path", value_new_int(1)), "expected text, found number");
        refused(sample_with("path", value_new_text("/etc")), "not a path");
        refused(sample_with("pass", value_new_text("plain")), "expected secret, found text");
        refused(sample_with("later", value_new_text("yes")), "field \"later\"");
        refused(sample_with("words", value_new_map()), "expected list");
        Value *v = sample(), *words = value_new_array(), *labels = value_new_map();
        value_remove(v, "path");
        refused(v, "\"path\" is missing");
        value_append(words, value_new_secret("x", 1), NULL);
        refused(sample_with("words", words), "item 1");
        value_set(labels, "x", value_new_secret("x", 1), NULL);
        refused(sample_with("labels", labels), "may not be a secret");
        v = sample();
        value_remove(value_at(value_get(v, "items"), 0), "kind");
        refused(v, "field \"items\": item 1: the field \"kind\" is missing");
        refused(value_new_text("x"), "expected map");
}

static void unread(Value *numbered) {
        Error err = ERROR_INIT;
        Value *named = NULL;
        assert_int_equal(field_unpack(fields, numbered, &named, &err), -EBADMSG);
        assert_int_equal(err.code, ERR_JOURNAL_VERSION);
        assert_null(named);
        value_free(numbered);
}

static Value *packed_with(uint32_t num, Value *child) {
        _cleanup_(value_freep) Value *v = sample();
        Value *packed = NULL;
        assert_int_equal(field_pack(fields, v, &packed, NULL), 0);
        assert_int_equal(value_set_num(packed, num, child, NULL), 0);
        return packed;
}

static void a_newer_payload_is_not_guessed_at(void **state) {
        (void)state;
        unread(packed_with(99, value_new_int(1)));
        unread(packed_with(1, value_new_int(1)));
        unread(packed_with(1, value_new_text("../etc")));
        unread(packed_with(0, value_new_int(1)));
        unread(value_new_int(1));
        Value *named_key = packed_with(7, value_new_null());
        assert_int_equal(value_set_text(named_key, "path", "x", NULL), 0);
        unread(named_key);
}

static void what_a_newer_payload_says_beside_is_passed_over(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        _cleanup_(value_freep) Value *v = sample(), *packed = NULL, *back = NULL;
        assert_int_equal(field_pack(fields, v, &packed, &err), 0);
        assert_int_equal(value_set_num(packed, FIELD_PASSED_OVER, value_new_text("beside"), NULL), 0);
        assert_int_equal(value_set_num(value_get_num(packed, 6), UINT32_MAX, value_new_int(1), NULL), 0);
        assert_int_equal(field_unpack(fields, packed, &back, &err), 0);
        assert_true(value_equal(v, back));
        assert_int_equal(value_set_num(packed, FIELD_PASSED_OVER - 1, value_new_int(1), NULL), 0);
        _cleanup_(value_freep) Value *none = NULL;
        assert_int_equal(field_unpack(fields, packed, &none, &err), -EBADMSG);
        assert_int_equal(err.code, ERR_JOURNAL_VERSION);
}

static void an_older_payload_may_lack_a_later_field(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *old = value_new_map(), *named = NULL;
        assert_int_equal(value_set_num(old, 1, value_new_text("a"), NULL), 0);
        assert_int_equal(field_unpack(fields, old, &named, NULL), 0);
        assert_int_equal(value_count(named), 1);
        unread(value_new_map());
}

static void paths_stay_below_the_root(void **state) {
        (void)state;
        static const char *const safe[] = {"a", "a/b", ".a", "..a", "a/...", "etc/pawl/x y"};
        static const char *const unsafe[] = {"",     "/a",   "a/",    "a//b",   ".",    "..",
                                             "a/..", "../a", "a/./b", "a/../b", "a\nb", "a\x7f"};
        for (size_t i = 0; i < ELEMENTSOF(safe); i++)
                assert_true(path_is_safe(safe[i]));
        for (size_t i = 0; i < ELEMENTSOF(unsafe); i++)
                assert_false(path_is_safe(unsafe[i]));
        char path[4097];
        memset(path, 'a', sizeof(path));
        path[4095] = '\0';
        assert_true(path_is_safe(path));
        path[4095] = 'a';
        path[4096] = '\0';
        assert_false(path_is_safe(path));
        assert_false(path_is_safe(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(packing_is_reversible),
                cmocka_unit_test(what_the_table_does_not_say_is_refused),
                cmocka_unit_test(a_newer_payload_is_not_guessed_at),
                cmocka_unit_test(what_a_newer_payload_says_beside_is_passed_over),
                cmocka_unit_test(an_older_payload_may_lack_a_later_field),
                cmocka_unit_test(paths_stay_below_the_root),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
