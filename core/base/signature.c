/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See signature.h. Nothing of the content is believed before both signatures hold; which key signed is looked at first,
 * because "another key" is what a person can do something about.
 */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/signature.h"

#define PREHASH_SIZE 64
#define READ_SIZE ((size_t)64 << 10)

typedef struct KeyBlob {
        uint8_t algorithm[2], id[SIGNATURE_KEY_ID_SIZE], key[crypto_sign_PUBLICKEYBYTES];
} KeyBlob;
static_assert(sizeof(KeyBlob) == 42, "as minisign writes it");

typedef struct SignatureBlob {
        uint8_t algorithm[2], id[SIGNATURE_KEY_ID_SIZE], signature[crypto_sign_BYTES];
} SignatureBlob;
static_assert(sizeof(SignatureBlob) == 74, "as minisign writes it");

/* Exactly `size` bytes. */
static bool decode(const char *text, size_t n, void *ret, size_t size) {
        size_t n_decoded = 0;
        const char *end = NULL;
        return sodium_base642bin(ret, size, text, n, NULL, &n_decoded, &end, sodium_base64_VARIANT_ORIGINAL) == 0 &&
               n_decoded == size && end == text + n;
}

int public_key_parse(const char *text, PublicKey *ret, Error *err) {
        KeyBlob blob;
        if (!decode(text, strlen(text), &blob, sizeof(blob)) || memcmp(blob.algorithm, "Ed", 2) != 0)
                return error_set(err, -EINVAL, ERR_SPEC, "It is the last line of minisign.pub and begins with RW.",
                                 "\"%.80s\" is not a minisign public key", text);
        memcpy(ret->id, blob.id, sizeof(ret->id));
        memcpy(ret->key, blob.key, sizeof(ret->key));
        return 0;
}

void public_key_id_format(const uint8_t id[static SIGNATURE_KEY_ID_SIZE], char *ret) {
        static const char digits[] = "0123456789ABCDEF";
        for (size_t i = 0; i < SIGNATURE_KEY_ID_SIZE; i++) { /* a number, little-endian */
                uint8_t byte = id[SIGNATURE_KEY_ID_SIZE - 1 - i];
                ret[2 * i] = digits[byte >> 4];
                ret[2 * i + 1] = digits[byte & 0xf];
        }
        ret[2 * SIGNATURE_KEY_ID_SIZE] = '\0';
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct Line {
        const char *text;
        size_t n;
} Line;

static Line line_next(const char **at, const char *end) {
        const char *stop = memchr(*at, '\n', (size_t)(end - *at));
        Line l = {*at, (size_t)((stop ? stop : end) - *at)};
        *at = stop ? stop + 1 : end;
        if (l.n > 0 && l.text[l.n - 1] == '\r')
                l.n--;
        return l;
}

static bool line_begins(const Line *l, const char *with) {
        size_t n = strlen(with);
        return l->n >= n && memcmp(l->text, with, n) == 0;
}

static int malformed(const char *why, Error *err) {
        return error_set(err, -EBADMSG, ERR_CHECKSUM, NULL, "that is not a minisign signature: %s", why);
}

int signature_parse(const char *text, size_t size, Signature *ret, Error *err) {
        static const char trusted[] = "trusted comment: ";
        const char *at = text, *end = text + size;
        SignatureBlob blob;
        Signature s = {0};
        if (size > SIGNATURE_FILE_MAX)
                return malformed("it is too large", err);
        Line untrusted = line_next(&at, end), content = line_next(&at, end), comment = line_next(&at, end),
             whole = line_next(&at, end);
        if (!line_begins(&untrusted, "untrusted comment:"))
                return malformed("it does not begin with an untrusted comment", err);
        if (!decode(content.text, content.n, &blob, sizeof(blob)))
                return malformed("its second line is not a signature", err);
        s.is_prehashed = memcmp(blob.algorithm, "ED", 2) == 0;
        if (!s.is_prehashed && memcmp(blob.algorithm, "Ed", 2) != 0)
                return malformed("its algorithm is not Ed25519", err);
        if (!line_begins(&comment, trusted) || comment.n - strlen(trusted) >= sizeof(s.comment))
                return malformed("its third line is not a trusted comment", err);
        if (!decode(whole.text, whole.n, s.whole, sizeof(s.whole)))
                return malformed("its fourth line is not a signature", err);
        memcpy(s.comment, comment.text + strlen(trusted), comment.n - strlen(trusted));
        if (strlen(s.comment) != comment.n - strlen(trusted))
                return malformed("its trusted comment is not a text", err);
        memcpy(s.id, blob.id, sizeof(s.id));
        memcpy(s.content, blob.signature, sizeof(s.content));
        *ret = s;
        return 0;
}

/* ---- Verifying --------------------------------------------------------------------------------------------------- */

static int check_key(const Signature *s, const PublicKey *key, const char *what, Error *err) {
        char ours[SIGNATURE_KEY_ID_HEX_SIZE], theirs[SIGNATURE_KEY_ID_HEX_SIZE];
        if (sodium_init() < 0)
                return error_set(err, -EIO, ERR_FAILED, NULL, "there is no randomness on this host");
        if (memcmp(s->id, key->id, sizeof(key->id)) == 0)
                return 0;
        public_key_id_format(key->id, ours);
        public_key_id_format(s->id, theirs);
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "If its makers have a new key, change public_key.",
                         "signature of \"%s\" does not match: it is by key %s, not by %s", what, theirs, ours);
}

/* The bytes that `content` is over. */
static int check_content(const Signature *s, const PublicKey *key, const void *data, size_t size, const char *what,
                         Error *err) {
        if (crypto_sign_verify_detached(s->content, data, size, key->key) == 0)
                return 0;
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "The file is not the one that was signed.",
                         "signature of \"%s\" does not match: its content is another", what);
}

static int check_whole(const Signature *s, const PublicKey *key, const char *what, Error *err) {
        uint8_t data[sizeof(s->content) + sizeof(s->comment)];
        size_t n = strlen(s->comment);
        memcpy(data, s->content, sizeof(s->content));
        memcpy(data + sizeof(s->content), s->comment, n);
        if (crypto_sign_verify_detached(s->whole, data, sizeof(s->content) + n, key->key) == 0)
                return 0;
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "The signature's comment is not the one that was signed.",
                         "signature of \"%s\" does not match: its trusted comment is another", what);
}

int signature_verify(const Signature *s, const PublicKey *key, const void *data, size_t size, const char *what,
                     Error *err) {
        uint8_t hash[PREHASH_SIZE];
        int r = check_key(s, key, what, err);
        if (r < 0)
                return r;
        if (s->is_prehashed && crypto_generichash(hash, sizeof(hash), data, size, NULL, 0) != 0)
                return error_set(err, -EIO, ERR_FAILED, NULL, "could not hash \"%s\"", what);
        r = s->is_prehashed ? check_content(s, key, hash, sizeof(hash), what, err)
                            : check_content(s, key, data, size, what, err);
        return r < 0 ? r : check_whole(s, key, what, err);
}

static int prehash_fd(int fd, uint8_t ret[static PREHASH_SIZE], const char *what, Error *err) {
        crypto_generichash_state state;
        _cleanup_free_ uint8_t *buffer = malloc(READ_SIZE);
        if (!buffer)
                return error_no_memory(err);
        (void)crypto_generichash_init(&state, NULL, 0, PREHASH_SIZE);
        for (off_t at = 0;;) {
                ssize_t n = pread(fd, buffer, READ_SIZE, at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
                if (n == 0)
                        break;
                (void)crypto_generichash_update(&state, buffer, (size_t)n);
                at += n;
        }
        (void)crypto_generichash_final(&state, ret, PREHASH_SIZE);
        return 0;
}

/* The older kind needs the whole at once. The file has no name: nobody can make it shorter meanwhile. */
static int verify_mapped(const Signature *s, const PublicKey *key, int fd, const char *what, Error *err) {
        struct stat st;
        if (fstat(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
        if (st.st_size == 0)
                return signature_verify(s, key, "", 0, what, err);
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
        int r = signature_verify(s, key, data, (size_t)st.st_size, what, err);
        (void)munmap(data, (size_t)st.st_size);
        return r;
}

int signature_verify_fd(const Signature *s, const PublicKey *key, int fd, const char *what, Error *err) {
        uint8_t hash[PREHASH_SIZE];
        if (!s->is_prehashed)
                return verify_mapped(s, key, fd, what, err);
        int r = check_key(s, key, what, err);
        if (r == 0)
                r = prehash_fd(fd, hash, what, err);
        if (r == 0)
                r = check_content(s, key, hash, sizeof(hash), what, err);
        return r < 0 ? r : check_whole(s, key, what, err);
}
