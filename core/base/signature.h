/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached signatures as minisign and signify's successors make them: Ed25519 over the content ("Ed") or over its
 * BLAKE2b-512 ("ED"), and a second one over the first and the trusted comment, so that the comment cannot be exchanged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define SIGNATURE_KEY_ID_SIZE 8
#define SIGNATURE_KEY_ID_HEX_SIZE (2 * SIGNATURE_KEY_ID_SIZE + 1)
#define SIGNATURE_COMMENT_MAX 1024
#define SIGNATURE_FILE_MAX ((size_t)8192)

typedef struct PublicKey {
        uint8_t id[SIGNATURE_KEY_ID_SIZE];
        uint8_t key[32];
} PublicKey;

typedef struct Signature {
        bool is_prehashed;
        uint8_t id[SIGNATURE_KEY_ID_SIZE];
        uint8_t content[64], whole[64];      /* over the content; over that and the comment */
        char comment[SIGNATURE_COMMENT_MAX]; /* the trusted one; anything but line breaks may be in it */
} Signature;

/* The one line of base64 that a public key file ends with. -EINVAL, ERR_SPEC. */
int public_key_parse(const char *text, PublicKey *ret, Error *err);
/* As minisign writes a key's id; ret holds SIGNATURE_KEY_ID_HEX_SIZE bytes. */
void public_key_id_format(const uint8_t id[static SIGNATURE_KEY_ID_SIZE], char *ret);

/* A .minisig file of hostile origin. -EBADMSG, ERR_CHECKSUM. */
int signature_parse(const char *text, size_t size, Signature *ret, Error *err);

/* Signed by this key, whole, and over these bytes? -EBADMSG, ERR_CHECKSUM. `what` names the signed in messages. */
int signature_verify(const Signature *s, const PublicKey *key, const void *data, size_t size, const char *what,
                     Error *err);
/* The same of a whole regular file; its position stays. */
int signature_verify_fd(const Signature *s, const PublicKey *key, int fd, const char *what, Error *err);
