/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing of secrets, and random numbers.
 *
 * Each transaction has a random key; it seals every secret of that transaction (XChaCha20-Poly1305, random nonce). The
 * transaction's key is stored wrapped by the host key, outside the record chain: rotating the host key rewraps, and
 * forgetting deletes, without touching a record. Keys live in memory that is locked where possible and wiped when
 * freed.
 */
#pragma once

#include "core/base/value.h"

#define SEAL_KEY_SIZE 32
#define SEAL_KEY_ID_SIZE 8
#define SEAL_WRAPPED_SIZE (SEAL_KEY_ID_SIZE + 24 + SEAL_KEY_SIZE + 16)

typedef struct SealKey {
        uint8_t bytes[SEAL_KEY_SIZE];
} SealKey;

SealKey *seal_key_new(void); /* random; NULL when memory is out */
SealKey *seal_key_from(const uint8_t bytes[static SEAL_KEY_SIZE]);
SealKey *seal_key_free(SealKey *k);
static inline void seal_key_freep(SealKey **k) {
        *k = seal_key_free(*k);
}
/* Public name of a host key: first bytes of a keyed hash of it. */
void seal_key_id(const SealKey *k, uint8_t ret[static SEAL_KEY_ID_SIZE]);

/* Wraps a transaction's key by the host key (with its id in front), and back. -EKEYREJECTED with ERR_SEAL_KEY when
 * it does not fit. */
int seal_wrap(const SealKey *host, const SealKey *k, uint8_t ret[static SEAL_WRAPPED_SIZE], Error *err);
int seal_unwrap(const SealKey *host, const void *wrapped, size_t size, SealKey **ret, Error *err);

/* Replaces every open secret in the tree by its sealed form, and back. In place; on failure the tree may be mixed. */
int seal_tree(const SealKey *k, Value *tree, Error *err);
int unseal_tree(const SealKey *k, Value *tree, Error *err);

/* A digest of secret content that tells nothing without the key: BLAKE2b keyed by a subkey of k. */
void seal_digest(const SealKey *k, const void *data, size_t size, uint8_t ret[static 32]);

void random_bytes(void *ret, size_t size);
/* n characters of [A-Za-z0-9], without modulo bias, NUL-terminated: ret holds n + 1. */
void random_password(char *ret, size_t n);
void wipe(void *data, size_t size);
