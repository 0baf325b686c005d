/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests: SHA-256 for artifacts (what the world publishes), BLAKE2b-256 for the record chain, CRC-32C for single
 * records.
 */
#pragma once

#include "core/base/error.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE (2 * DIGEST_SIZE + 1)

typedef struct Sha256 Sha256; /* OpenSSL's */

int sha256_new(Sha256 **ret, Error *err);
Sha256 *sha256_free(Sha256 *s);
static inline void sha256_freep(Sha256 **s) {
        *s = sha256_free(*s);
}
int sha256_update(Sha256 *s, const void *data, size_t size, Error *err);
int sha256_finish(Sha256 *s, uint8_t ret[static DIGEST_SIZE], Error *err);
int sha256_of(const void *data, size_t size, uint8_t ret[static DIGEST_SIZE], Error *err);
/* The rest of the file from its current position; *ret_size (may be NULL) counts the bytes. */
int sha256_of_fd(int fd, uint8_t ret[static DIGEST_SIZE], uint64_t *ret_size, Error *err);

/* key may be NULL (plain) or 16..64 bytes. */
void blake2b_of(const void *key, size_t n_key, const void *data, size_t size, uint8_t ret[static DIGEST_SIZE]);

/* CRC-32C (Castagnoli) of data, continued from `crc` (start with 0). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

void hex_encode(const void *data, size_t size, char *ret); /* 2*size+1 bytes, lower case */
/* Exactly 2*size hex digits of either case, then NUL. */
bool hex_decode(const char *text, void *ret, size_t size);
