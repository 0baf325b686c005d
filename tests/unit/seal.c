/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: opens with its key and no other, and not when a bit has changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/seal.h"

static Value *sample(void) {
        Value *v = value_new_map(), *list = value_new_array();
        value_set(v, "a", value_new_secret("hunter2", 7), NULL);
        value_set(v, "empty", value_new_secret("", 0), NULL);
        value_append(list, value_new_secret("deep", 4), NULL);
        value_set(v, "list", list, NULL);
        value_set_text(v, "name", "web", NULL);
        return v;
}

static void a_sealed_tree_opens_with_its_key(void **state) {
        (void)state;
        _cleanup_(seal_key_freep) SealKey *k = seal_key_new();
        _cleanup_(value_freep) Value *v = sample(), *original = sample();
        assert_int_equal(seal_tree(k, v, NULL), 0);
        const Value *a = value_get(v, "a");
        assert_true(a->is_sealed);
        assert_true(value_at(value_get(v, "list"), 0)->is_sealed);
        assert_null(memmem(a->bytes.data, a->bytes.size, "hunter2", 7));
        assert_string_equal(value_get_text(v, "name"), "web");
        assert_int_equal(seal_tree(k, v, NULL), 0);
        assert_int_equal(unseal_tree(k, v, NULL), 0);
        assert_true(value_equal(v, original));
}

static void the_same_secret_never_seals_alike(void **state) {
        (void)state;
        _cleanup_(seal_key_freep) SealKey *k = seal_key_new();
        _cleanup_(value_freep) Value *a = sample(), *b = sample();
        assert_int_equal(seal_tree(k, a, NULL), 0);
        assert_int_equal(seal_tree(k, b, NULL), 0);
        assert_false(value_equal(value_get(a, "a"), value_get(b, "a")));
}

static void another_key_or_a_changed_bit_is_refused(void **state) {
        (void)state;
        _cleanup_(seal_key_freep) SealKey *k = seal_key_new(), *other = seal_key_new();
        _cleanup_(value_freep) Value *v = sample();
        Error err = ERROR_INIT;
        assert_int_equal(seal_tree(k, v, NULL), 0);
        assert_int_equal(unseal_tree(other, v, &err), -EKEYREJECTED);
        assert_int_equal(err.code, ERR_SEAL_KEY);
        Value *a = value_get(v, "a");
        for (size_t i = 0; i < a->bytes.size; i++) {
                a->bytes.data[i] = (char)(a->bytes.data[i] ^ 1);
                assert_int_equal(unseal_tree(k, a, NULL), -EKEYREJECTED);
                a->bytes.data[i] = (char)(a->bytes.data[i] ^ 1);
        }
        _cleanup_(value_freep) Value *cut = value_new_sealed(a->bytes.data, 39);
        assert_int_equal(unseal_tree(k, cut, NULL), -EKEYREJECTED);
        assert_int_equal(unseal_tree(k, v, NULL), 0);
}

static void a_wrapped_key_unwraps_by_its_host_only(void **state) {
        (void)state;
        _cleanup_(seal_key_freep) SealKey *host = seal_key_new(), *other = seal_key_new(), *k = seal_key_new(),
                                          *back = NULL;
        uint8_t wrapped[SEAL_WRAPPED_SIZE], id[SEAL_KEY_ID_SIZE];
        assert_int_equal(seal_wrap(host, k, wrapped, NULL), 0);
        seal_key_id(host, id);
        assert_memory_equal(wrapped, id, sizeof(id));
        assert_int_equal(seal_unwrap(host, wrapped, sizeof(wrapped), &back, NULL), 0);
        assert_memory_equal(back->bytes, k->bytes, SEAL_KEY_SIZE);
        SealKey *none = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(seal_unwrap(other, wrapped, sizeof(wrapped), &none, &err), -EKEYREJECTED);
        assert_int_equal(err.code, ERR_SEAL_KEY);
        assert_int_equal(seal_unwrap(host, wrapped, sizeof(wrapped) - 1, &none, NULL), -EKEYREJECTED);
        seal_key_id(other, wrapped);
        assert_int_equal(seal_unwrap(other, wrapped, sizeof(wrapped), &none, NULL), -EKEYREJECTED);
        /* A wrapped key is not a secret of the host key. */
        _cleanup_(value_freep) Value *v =
                value_new_sealed(wrapped + SEAL_KEY_ID_SIZE, SEAL_WRAPPED_SIZE - SEAL_KEY_ID_SIZE);
        assert_int_equal(unseal_tree(host, v, NULL), -EKEYREJECTED);
        assert_null(none);
}

static void digests_of_secrets_depend_on_the_key(void **state) {
        (void)state;
        uint8_t a[32], b[32], c[32], bytes[SEAL_KEY_SIZE] = {1, 2, 3};
        _cleanup_(seal_key_freep) SealKey *k = seal_key_from(bytes), *same = seal_key_from(bytes),
                                          *other = seal_key_new();
        seal_digest(k, "x", 1, a);
        seal_digest(same, "x", 1, b);
        seal_digest(other, "x", 1, c);
        assert_memory_equal(a, b, 32);
        assert_memory_not_equal(a, c, 32);
}

static void passwords_use_the_whole_alphabet(void **state) {
        (void)state;
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        char text[20001];
        unsigned seen[256] = {0};
        random_password(text, 20000);
        assert_int_equal(strlen(text), 20000);
        assert_int_equal(strspn(text, alphabet), 20000);
        for (size_t i = 0; i < 20000; i++)
                seen[(unsigned char)text[i]]++;
        /* Expected 322 each, deviation 18: these bounds are missed once in 10^15 runs. */
        for (const char *c = alphabet; *c; c++)
                assert_in_range(seen[(unsigned char)*c], 170, 480);
        char one[2] = {'-', '-'};
        random_password(one, 0);
        assert_int_equal(one[0], '\0');
        assert_int_equal(one[1], '-');
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_sealed_tree_opens_with_its_key),
                cmocka_unit_test(the_same_secret_never_seals_alike),
                cmocka_unit_test(another_key_or_a_changed_bit_is_refused),
                cmocka_unit_test(a_wrapped_key_unwraps_by_its_host_only),
                cmocka_unit_test(digests_of_secrets_depend_on_the_key),
                cmocka_unit_test(passwords_use_the_whole_alphabet),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
