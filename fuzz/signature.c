/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures and public keys of minisign: nothing that is read here holds, but for one content, comment and key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/signature.h"

static const char key_text[] = "RWR/NDNP8WbmH9WumYR6AOuRNLodFnO9quOWJnPgCG8LC580Ti+1kwv3";
static const char content[] = "hello from pawl\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Signature s;
        PublicKey key;
        Error err = ERROR_INIT;
        char *text = malloc(size + 1);
        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        (void)public_key_parse(text, &key, &err);
        free(text);
        if (signature_parse((const char *)data, size, &s, &err) < 0)
                return 0;
        if (strlen(s.comment) >= sizeof(s.comment) || strchr(s.comment, '\n') ||
            public_key_parse(key_text, &key, NULL) < 0)
                abort();
        bool holds = signature_verify(&s, &key, content, strlen(content), "f", &err) == 0;
        if (holds && strcmp(s.comment, s.is_prehashed ? "a test: prehashed" : "a test: legacy") != 0)
                abort();
        return 0;
}
