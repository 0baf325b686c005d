/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR: one value, one encoding; and everything that is not that encoding is refused, cheaply. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cbor.h"

static uint64_t seed = 88172645463325252;

static uint64_t next_random(void) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

static Value *random_tree(unsigned depth) {
        static const int64_t edges[] = {0,          23, 24,  255, 256,  65535, 65536,     UINT32_MAX,
                                        4294967296, -1, -24, -25, -256, -257,  INT64_MAX, INT64_MIN};
        char text[64];
        size_t n = next_random() % 40;
        Value *v = NULL;
        switch (next_random() % (depth < 5 ? 9 : 6)) {
        case 0:
                return value_new_null();
        case 1:
                return value_new_bool(next_random() % 2);
        case 2:
                return value_new_int(edges[next_random() % ELEMENTSOF(edges)]);
        case 3:
                memset(text, 'a' + (int)(n % 26), n);
                return value_new_text_n(text, n);
        case 4:
                return value_new_bytes(&seed, n % 8);
        case 5:
                return value_new_sealed(&seed, n % 8);
        case 6:
                v = value_new_array();
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(value_append(v, random_tree(depth + 1), NULL), 0);
                return v;
        default:
                v = value_new_map();
                for (size_t i = 0; i < n % 12; i++) {
                        snprintf(text, sizeof(text), "%.*s%u", (int)(next_random() % 30),
                                 "abcdefghijklmnopqrstuvwxyzabcdefg", (unsigned)(next_random() % 300));
                        assert_int_equal(value_set(v, text, random_tree(depth + 1), NULL), 0);
                        assert_int_equal(value_set_num(v, (uint32_t)(next_random() >> (next_random() % 2 ? 32 : 58)),
                                                       random_tree(depth + 1), NULL),
                                         0);
                }
                return v;
        }
}

static void random_trees_come_back(void **state) {
        (void)state;
        for (int i = 0; i < 60; i++) {
                _cleanup_(value_freep) Value *v = random_tree(0), *back = NULL;
                _cleanup_free_ uint8_t *data = NULL, *again = NULL;
                size_t size = 0, size_again = 0;
                Error err = ERROR_INIT;
                assert_int_equal(cbor_encode(v, &data, &size, &err), 0);
                if (cbor_decode(data, size, &back, &err) < 0)
                        fail_msg("%s", err.message);
                assert_true(value_equal(v, back));
                assert_int_equal(cbor_encode(back, &again, &size_again, &err), 0);
                assert_int_equal(size, size_again);
                assert_memory_equal(data, again, size);
        }
}

static void keys_are_sorted_when_written(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = value_new_map();
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        value_set_int(v, "bb", 1, NULL);
        value_set_int(v, "z", 2, NULL);
        value_set_num(v, 300, value_new_int(3), NULL);
        value_set_num(v, 5, value_new_int(4), NULL);
        static const uint8_t expected[] = {0xa4, 0x05, 0x04, 0x19, 0x01, 0x2c, 0x03,
                                           0x61, 'z',  0x02, 0x62, 'b',  'b',  0x01};
        assert_int_equal(cbor_encode(v, &data, &size, NULL), 0);
        assert_int_equal(size, sizeof(expected));
        assert_memory_equal(data, expected, size);
}

typedef struct Refused {
        const char *hex;
        const char *why;
} Refused;

/* clang-format off */
static const Refused table[] = {
        {"",                       "ends too early"},
        {"1801",                   "longer than needed"},
        {"1817",                   "longer than needed"},
        {"1900ff",                 "longer than needed"},
        {"1a0000ffff",             "longer than needed"},
        {"1b00000000ffffffff",     "longer than needed"},
        {"3817",                   "longer than needed"},
        {"580161",                 "longer than needed"},
        {"780161",                 "longer than needed"},
        {"980100",                 "longer than needed"},
        {"b8010000",               "longer than needed"},
        {"da0000706140",           "longer than needed"},
        {"1b8000000000000000",     "beyond 64 bits"},
        {"1bffffffffffffffff",     "beyond 64 bits"},
        {"3b8000000000000000",     "beyond 64 bits"},
        {"5f4161ff",               "indefinite"},
        {"7f6161ff",               "indefinite"},
        {"9f01ff",                 "indefinite"},
        {"bf0101ff",               "indefinite"},
        {"ff",                     "indefinite"},
        {"a2020001ff",             "order"},
        {"a202000100",             "order"},
        {"a201000100",             "order"},
        {"a2616100616100",         "order"},
        {"a2626161006162 00",      "order"},
        {"a26162006161 00",        "order"},
        {"a261610001 00",          "order"},
        {"a1f500",                 "neither text nor"},
        {"a12000",                 "neither text nor"},
        {"a1416100",               "neither text nor"},
        {"a18000",                 "neither text nor"},
        {"a11b000000010000000000", "neither text nor"},
        {"a161ff00",               "UTF-8"},
        {"a1610000",               "NUL"},
        {"f97e00",                 "floating"},
        {"fa7fc00000",             "floating"},
        {"fb3ff0000000000000",     "floating"},
        {"f7",                     "undefined"},
        {"e0",                     "unassigned"},
        {"f0",                     "unassigned"},
        {"f814",                   "unassigned"},
        {"1c",                     "unassigned"},
        {"c000",                   "tag"},
        {"d9706000",               "tag"},
        {"d97061 00",              "not bytes"},
        {"d97061d9706140",         "not bytes"},
        {"d97061",                 "too early"},
        {"61ff",                   "UTF-8"},
        {"62c080",                 "UTF-8"},
        {"63eda080",               "UTF-8"},
        {"64f4908080",             "UTF-8"},
        {"6100",                   "NUL"},
        {"0000",                   "follows"},
        {"8000",                   "follows"},
        {"4261",                   "too early"},
        {"5b7fffffffffffffff",     "beyond the end"},
        {"9b7fffffffffffffff",     "beyond the end"},
        {"9a7fffffff",             "beyond the end"},
        {"bb7fffffffffffffff",     "beyond the end"},
        {"ba0fffffff",             "beyond the end"},
        {"8201",                   "beyond the end"},
        {"a20100",                 "beyond the end"},
        {"19",                     "too early"},
        {"8181818181818181818181818181818181 00", "too deeply"},
};
/* clang-format on */

static size_t parse_hex(const char *hex, uint8_t *ret) {
        size_t n = 0;
        unsigned byte;
        for (; sscanf(hex, " %2x", &byte) == 1; n++) {
                ret[n] = (uint8_t)byte;
                hex += strspn(hex, " ") + 2;
        }
        return n;
}

static void what_is_not_the_one_encoding_is_refused(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint8_t data[64];
                Error err = ERROR_INIT;
                Value *v = NULL;
                size_t n = parse_hex(table[i].hex, data);
                if (cbor_decode(data, n, &v, &err) != -EBADMSG)
                        fail_msg("%s was accepted", table[i].hex);
                assert_null(v);
                assert_non_null(strstr(err.message, "at byte "));
                if (!strstr(err.message, table[i].why))
                        fail_msg("%s: \"%s\" does not say \"%s\"", table[i].hex, err.message, table[i].why);
        }
}

static void sixteen_levels_are_read(void **state) {
        (void)state;
        uint8_t data[32];
        memset(data, 0x81, sizeof(data));
        data[VALUE_DEPTH_MAX] = 0x00;
        _cleanup_(value_freep) Value *v = NULL;
        assert_int_equal(cbor_decode(data, VALUE_DEPTH_MAX + 1, &v, NULL), 0);
}

static void every_cut_of_an_encoding_is_refused(void **state) {
        (void)state;
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        do {
                value_free(v);
                v = random_tree(1);
        } while (v->kind != VALUE_MAP || value_count(v) < 3);
        assert_int_equal(cbor_encode(v, &data, &size, NULL), 0);
        for (size_t n = 0; n < MIN(size, (size_t)3000); n++) {
                Value *back = NULL;
                assert_int_equal(cbor_decode(data, n, &back, NULL), -EBADMSG);
        }
}

static void unwritable(Value *v) {
        uint8_t *data = NULL;
        size_t size = 0;
        assert_int_equal(cbor_encode(v, &data, &size, NULL), -EINVAL);
        assert_null(data);
        value_free(v);
}

static void nothing_is_written_that_could_not_be_read(void **state) {
        (void)state;
        unwritable(value_new_secret("plain", 5));
        unwritable(value_new_text_n("a\0b", 3));
        unwritable(value_new_text("\xff"));
        Value *twice = value_new_map(), *deep = value_new_int(1);
        value_add_entry(twice, strdup("x"), 0, value_new_int(1), NULL);
        value_add_entry(twice, strdup("x"), 0, value_new_int(2), NULL);
        unwritable(twice);
        for (int i = 0; i <= VALUE_DEPTH_MAX; i++) {
                Value *list = value_new_array();
                value_append(list, deep, NULL);
                deep = list;
        }
        unwritable(deep);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_trees_come_back),
                cmocka_unit_test(keys_are_sorted_when_written),
                cmocka_unit_test(what_is_not_the_one_encoding_is_refused),
                cmocka_unit_test(sixteen_levels_are_read),
                cmocka_unit_test(every_cut_of_an_encoding_is_refused),
                cmocka_unit_test(nothing_is_written_that_could_not_be_read),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
