/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: published vectors, and the same result however the input is cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "core/base/digest.h"

static void hex_is(const uint8_t digest[static DIGEST_SIZE], const char *expected) {
        char hex[DIGEST_HEX_SIZE];
        hex_encode(digest, DIGEST_SIZE, hex);
        assert_string_equal(hex, expected);
}

static void sha256_matches_published_vectors(void **state) {
        (void)state;
        uint8_t digest[DIGEST_SIZE];
        assert_int_equal(sha256_of("", 0, digest, NULL), 0);
        hex_is(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_int_equal(sha256_of("abc", 3, digest, NULL), 0);
        hex_is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        _cleanup_(sha256_freep) Sha256 *s = NULL;
        assert_int_equal(sha256_new(&s, NULL), 0);
        assert_int_equal(sha256_update(s, "a", 1, NULL), 0);
        assert_int_equal(sha256_update(s, "bc", 2, NULL), 0);
        assert_int_equal(sha256_finish(s, digest, NULL), 0);
        hex_is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_file_is_hashed_from_where_it_stands(void **state) {
        (void)state;
        _cleanup_close_ int fd = memfd_create("digest", MFD_CLOEXEC);
        uint8_t digest[DIGEST_SIZE];
        uint64_t size = 0;
        assert_int_equal(write(fd, "xabc", 4), 4);
        assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
        assert_int_equal(sha256_of_fd(fd, digest, &size, NULL), 0);
        assert_int_equal(size, 3);
        hex_is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(sha256_of_fd(-1, digest, NULL, NULL), -EBADF);
}

static void blake2b_matches_known_vectors(void **state) {
        (void)state;
        uint8_t digest[DIGEST_SIZE], keyed[DIGEST_SIZE], key[32] = {1};
        blake2b_of(NULL, 0, "abc", 3, digest);
        hex_is(digest, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
        blake2b_of(NULL, 0, NULL, 0, digest);
        hex_is(digest, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
        blake2b_of(key, sizeof(key), NULL, 0, keyed);
        assert_memory_not_equal(digest, keyed, DIGEST_SIZE);
}

static void crc32c_matches_known_vectors(void **state) {
        (void)state;
        uint8_t zeros[32] = {0}, ones[32];
        memset(ones, 0xff, sizeof(ones));
        assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
        assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
        assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
        assert_int_equal(crc32c(0, "", 0), 0);
}

static void crc32c_continues(void **state) {
        (void)state;
        uint8_t data[67];
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i * 37);
        for (size_t cut = 0; cut <= sizeof(data); cut++)
                assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut),
                                 crc32c(0, data, sizeof(data)));
}

static void hex_is_exact(void **state) {
        (void)state;
        uint8_t data[2] = {7, 7};
        assert_true(hex_decode("00fF", data, 2));
        assert_int_equal(data[1], 0xff);
        static const char *const wrong[] = {"", "00f", "00ff0", "00ff00", "00fg", " 0ff"};
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_false(hex_decode(wrong[i], data, 2));
        assert_int_equal(data[0], 0);
        assert_true(hex_decode("", data, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sha256_matches_published_vectors),
                cmocka_unit_test(a_file_is_hashed_from_where_it_stands),
                cmocka_unit_test(blake2b_matches_known_vectors),
                cmocka_unit_test(crc32c_matches_known_vectors),
                cmocka_unit_test(crc32c_continues),
                cmocka_unit_test(hex_is_exact),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
