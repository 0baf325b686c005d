/* SPDX-License-Identifier: Apache-2.0 */
/* See certificate.h. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/lib/certificate.h"

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "certificate: %s failed\n", what);
        abort();
}

static char *bio_text(BIO *b) {
        char *data, *text;
        long n = BIO_get_mem_data(b, &data);
        text = calloc(1, (size_t)n + 1);
        must(text != NULL, "memory");
        memcpy(text, data, (size_t)n);
        BIO_free(b);
        return text;
}

static void extend(X509 *c, int nid, const char *value) {
        X509V3_CTX ctx;
        X509V3_set_ctx(&ctx, c, c, NULL, NULL, 0);
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        must(e && X509_add_ext(c, e, -1) == 1, "extending a certificate");
        X509_EXTENSION_free(e);
}

void certificate_new(char **ret_certificate, char **ret_key) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *c = X509_new();
        must(key && c, "making a key");
        X509_set_version(c, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
        X509_gmtime_adj(X509_getm_notBefore(c), -3600);
        X509_gmtime_adj(X509_getm_notAfter(c), 86400);
        X509_set_pubkey(c, key);
        X509_NAME *name = X509_get_subject_name(c);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
        X509_set_issuer_name(c, name);
        extend(c, NID_basic_constraints, "critical,CA:TRUE");
        extend(c, NID_subject_alt_name, "IP:127.0.0.1");
        must(X509_sign(c, key, EVP_sha256()) > 0, "signing a certificate");
        BIO *out = BIO_new(BIO_s_mem());
        PEM_write_bio_X509(out, c);
        *ret_certificate = bio_text(out);
        out = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
        *ret_key = bio_text(out);
        X509_free(c);
        EVP_PKEY_free(key);
}
