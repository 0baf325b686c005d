/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed secret is nonce (24 bytes), ciphertext, tag (16 bytes). What a ciphertext is for is authenticated with it,
 * so that a wrapped key cannot pass for a secret. Nonces are random: at 192 bits they do not repeat.
 */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/base/digest.h"
#include "core/base/fault.h"
#include "core/base/seal.h"

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES

static_assert(SEAL_WRAPPED_SIZE == SEAL_KEY_ID_SIZE + NONCE_SIZE + SEAL_KEY_SIZE + TAG_SIZE, "layout of a wrapped key");
static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "size of a key");

static const char purpose_secret[] = "pawl secret 1";
static const char purpose_key[] = "pawl wrapped key 1";

/* Once, whoever calls first; without randomness nothing here can be done. */
static void sodium_ready(void) {
        if (sodium_init() < 0)
                abort();
}

void random_bytes(void *ret, size_t size) {
        sodium_ready();
        randombytes_buf(ret, size);
}

void random_password(char *ret, size_t n) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        sodium_ready();
        for (size_t i = 0; i < n; i++)
                ret[i] = alphabet[randombytes_uniform(sizeof(alphabet) - 1)];
        ret[n] = '\0';
}

void wipe(void *data, size_t size) {
        sodium_memzero(data, size);
}

/* sodium_malloc locks the pages if it may, keeps them out of core dumps, and wipes them when freed. */
static SealKey *key_allocate(void) {
        sodium_ready();
        return sodium_malloc(sizeof(SealKey));
}

SealKey *seal_key_new(void) {
        SealKey *k = key_allocate();
        if (k)
                randombytes_buf(k->bytes, sizeof(k->bytes));
        return k;
}

SealKey *seal_key_from(const uint8_t bytes[static SEAL_KEY_SIZE]) {
        SealKey *k = key_allocate();
        if (k)
                memcpy(k->bytes, bytes, sizeof(k->bytes));
        return k;
}

SealKey *seal_key_free(SealKey *k) {
        sodium_free(k);
        return NULL;
}

void seal_key_id(const SealKey *k, uint8_t ret[static SEAL_KEY_ID_SIZE]) {
        static const char purpose[] = "pawl key id";
        uint8_t digest[DIGEST_SIZE];
        blake2b_of(k->bytes, sizeof(k->bytes), purpose, sizeof(purpose), digest);
        memcpy(ret, digest, SEAL_KEY_ID_SIZE);
}

void seal_digest(const SealKey *k, const void *data, size_t size, uint8_t ret[static 32]) {
        static const char purpose[] = "pawl digest key";
        uint8_t subkey[DIGEST_SIZE];
        blake2b_of(k->bytes, sizeof(k->bytes), purpose, sizeof(purpose), subkey);
        blake2b_of(subkey, sizeof(subkey), data, size, ret);
        wipe(subkey, sizeof(subkey));
}

/* ret holds NONCE_SIZE + size + TAG_SIZE. */
static void encrypt(const SealKey *k, const char *purpose, const void *data, size_t size, uint8_t *ret) {
        sodium_ready();
        randombytes_buf(ret, NONCE_SIZE);
        crypto_aead_xchacha20poly1305_ietf_encrypt(ret + NONCE_SIZE, NULL, data, size, (const uint8_t *)purpose,
                                                   strlen(purpose), NULL, ret, k->bytes);
}

/* ret holds size - NONCE_SIZE - TAG_SIZE. */
static bool decrypt(const SealKey *k, const char *purpose, const uint8_t *data, size_t size, void *ret) {
        sodium_ready();
        return size >= NONCE_SIZE + TAG_SIZE &&
               crypto_aead_xchacha20poly1305_ietf_decrypt(ret, NULL, NULL, data + NONCE_SIZE, size - NONCE_SIZE,
                                                          (const uint8_t *)purpose, strlen(purpose), data,
                                                          k->bytes) == 0;
}

static int key_rejected(Error *err, const char *what) {
        return error_set(err, -EKEYREJECTED, ERR_SEAL_KEY, "Put back the host key that was in use when it was written.",
                         "%s does not open with this key", what);
}

int seal_wrap(const SealKey *host, const SealKey *k, uint8_t ret[static SEAL_WRAPPED_SIZE], Error *err) {
        if (!host || !k)
                return error_no_memory(err);
        seal_key_id(host, ret);
        encrypt(host, purpose_key, k->bytes, sizeof(k->bytes), ret + SEAL_KEY_ID_SIZE);
        return 0;
}

int seal_unwrap(const SealKey *host, const void *wrapped, size_t size, SealKey **ret, Error *err) {
        uint8_t id[SEAL_KEY_ID_SIZE];
        seal_key_id(host, id);
        if (size != SEAL_WRAPPED_SIZE || memcmp(wrapped, id, sizeof(id)) != 0)
                return key_rejected(err, "a transaction's key");
        _cleanup_(seal_key_freep) SealKey *k = key_allocate();
        if (!k)
                return error_no_memory(err);
        const uint8_t *sealed = (const uint8_t *)wrapped + SEAL_KEY_ID_SIZE;
        if (!decrypt(host, purpose_key, sealed, size - SEAL_KEY_ID_SIZE, k->bytes))
                return key_rejected(err, "a transaction's key");
        *ret = TAKE_PTR(k);
        return 0;
}

/* Takes `data`; what the secret held before is wiped. */
static void secret_replace(Value *secret, char *data, size_t size, bool is_sealed) {
        wipe(secret->bytes.data, secret->bytes.size);
        free(secret->bytes.data);
        data[size] = '\0';
        secret->bytes.data = data;
        secret->bytes.size = size;
        secret->is_sealed = is_sealed;
}

static int secret_seal(const SealKey *k, Value *secret, Error *err) {
        if (secret->is_sealed || mutant_is("secrets-in-plain"))
                return 0;
        size_t size = NONCE_SIZE + secret->bytes.size + TAG_SIZE;
        char *sealed = malloc(size + 1);
        if (!sealed)
                return error_no_memory(err);
        encrypt(k, purpose_secret, secret->bytes.data, secret->bytes.size, (uint8_t *)sealed);
        secret_replace(secret, sealed, size, true);
        return 0;
}

static int secret_unseal(const SealKey *k, Value *secret, Error *err) {
        if (!secret->is_sealed)
                return 0;
        if (secret->bytes.size < NONCE_SIZE + TAG_SIZE)
                return key_rejected(err, "a sealed secret");
        size_t size = secret->bytes.size - NONCE_SIZE - TAG_SIZE;
        char *open = malloc(size + 1);
        if (!open)
                return error_no_memory(err);
        if (!decrypt(k, purpose_secret, (const uint8_t *)secret->bytes.data, secret->bytes.size, open)) {
                free(open);
                return key_rejected(err, "a sealed secret");
        }
        secret_replace(secret, open, size, false);
        return 0;
}

typedef int (*SecretChange)(const SealKey *k, Value *secret, Error *err);

static int each_secret(const SealKey *k, Value *v, SecretChange change, Error *err) {
        int r = 0;
        if (value_is(v, VALUE_SECRET))
                return change(k, v, err);
        if (value_is(v, VALUE_ARRAY))
                for (size_t i = 0; r >= 0 && i < v->array.n; i++)
                        r = each_secret(k, v->array.items[i], change, err);
        if (value_is(v, VALUE_MAP))
                for (size_t i = 0; r >= 0 && i < v->map.n; i++)
                        r = each_secret(k, v->map.entries[i].value, change, err);
        return r;
}

int seal_tree(const SealKey *k, Value *tree, Error *err) {
        return each_secret(k, tree, secret_seal, err);
}

int unseal_tree(const SealKey *k, Value *tree, Error *err) {
        return each_secret(k, tree, secret_unseal, err);
}
