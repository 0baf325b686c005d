/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 is OpenSSL's, BLAKE2b libsodium's; CRC-32C is eight table look-ups per eight bytes, alike on every host. */
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "core/base/digest.h"

struct Sha256 {
        EVP_MD_CTX *context;
};

static int digest_failed(Error *err) {
        return error_set(err, -EIO, ERR_IO, NULL, "could not compute a SHA-256 digest");
}

int sha256_new(Sha256 **ret, Error *err) {
        _cleanup_(sha256_freep) Sha256 *s = calloc(1, sizeof(*s));
        if (!s)
                return error_no_memory(err);
        s->context = EVP_MD_CTX_new();
        if (!s->context)
                return error_no_memory(err);
        if (EVP_DigestInit_ex(s->context, EVP_sha256(), NULL) != 1)
                return digest_failed(err);
        *ret = TAKE_PTR(s);
        return 0;
}

Sha256 *sha256_free(Sha256 *s) {
        if (s)
                EVP_MD_CTX_free(s->context);
        free(s);
        return NULL;
}

int sha256_update(Sha256 *s, const void *data, size_t size, Error *err) {
        if (size > 0 && EVP_DigestUpdate(s->context, data, size) != 1)
                return digest_failed(err);
        return 0;
}

int sha256_finish(Sha256 *s, uint8_t ret[static DIGEST_SIZE], Error *err) {
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        if (EVP_DigestFinal_ex(s->context, digest, &n) != 1 || n != DIGEST_SIZE)
                return digest_failed(err);
        memcpy(ret, digest, DIGEST_SIZE);
        return 0;
}

int sha256_of(const void *data, size_t size, uint8_t ret[static DIGEST_SIZE], Error *err) {
        _cleanup_(sha256_freep) Sha256 *s = NULL;
        int r = sha256_new(&s, err);
        if (r >= 0)
                r = sha256_update(s, data, size, err);
        return r < 0 ? r : sha256_finish(s, ret, err);
}

int sha256_of_fd(int fd, uint8_t ret[static DIGEST_SIZE], uint64_t *ret_size, Error *err) {
        _cleanup_(sha256_freep) Sha256 *s = NULL;
        uint8_t chunk[32 * 1024];
        uint64_t size = 0;
        int r = sha256_new(&s, err);
        while (r >= 0) {
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, -errno, NULL, "could not read");
                if (n == 0)
                        break;
                r = sha256_update(s, chunk, (size_t)n, err);
                size += (uint64_t)n;
        }
        if (r >= 0)
                r = sha256_finish(s, ret, err);
        if (r >= 0 && ret_size)
                *ret_size = size;
        return r;
}

void blake2b_of(const void *key, size_t n_key, const void *data, size_t size, uint8_t ret[static DIGEST_SIZE]) {
        assert(!key || (n_key >= crypto_generichash_KEYBYTES_MIN && n_key <= crypto_generichash_KEYBYTES_MAX));
        /* It is done once and may be called by several threads; it fails only where there is no randomness at all. */
        if (sodium_init() < 0 || crypto_generichash(ret, DIGEST_SIZE, data, size, key, key ? n_key : 0) != 0)
                abort();
}

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_fill(void) {
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t c = i;
                for (int bit = 0; bit < 8; bit++)
                        c = (c & 1) ? c >> 1 ^ UINT32_C(0x82f63b78) : c >> 1;
                crc_table[0][i] = c;
        }
        for (size_t k = 1; k < 8; k++)
                for (size_t i = 0; i < 256; i++)
                        crc_table[k][i] = crc_table[k - 1][i] >> 8 ^ crc_table[0][crc_table[k - 1][i] & 0xff];
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
        const uint8_t *p = data;
        pthread_once(&crc_once, crc_fill);
        crc = ~crc;
        for (; size >= 8; size -= 8, p += 8) {
                crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
                crc = crc_table[7][crc & 0xff] ^ crc_table[6][crc >> 8 & 0xff] ^ crc_table[5][crc >> 16 & 0xff] ^
                      crc_table[4][crc >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^
                      crc_table[0][p[7]];
        }
        for (; size > 0; size--, p++)
                crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 0xff];
        return ~crc;
}

void hex_encode(const void *data, size_t size, char *ret) {
        static const char digits[] = "0123456789abcdef";
        const uint8_t *p = data;
        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = digits[p[i] >> 4];
                ret[2 * i + 1] = digits[p[i] & 0xf];
        }
        ret[2 * size] = '\0';
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ret is written on success only, so the text is judged before the first byte. */
bool hex_decode(const char *text, void *ret, size_t size) {
        uint8_t *p = ret;
        for (size_t i = 0; i < 2 * size; i++)
                if (hex_digit(text[i]) < 0)
                        return false;
        if (text[2 * size] != '\0')
                return false;
        for (size_t i = 0; i < size; i++) {
                const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
                assert(high >= 0 && low >= 0);
                p[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}
