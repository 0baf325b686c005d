/* SPDX-License-Identifier: Apache-2.0 */
/* Files of checksums: what is found is a digest that stands in the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "managers/checksums.h"

static bool stands_in(const uint8_t *data, size_t size, const char *hex) {
        for (size_t i = 0; i + 64 <= size; i++)
                if (strncasecmp((const char *)data + i, hex, 64) == 0)
                        return true;
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        for (int i = 0; i < 2; i++) {
                char hex[DIGEST_HEX_SIZE] = "";
                int r = checksums_find((const char *)data, size, "web", i == 1, hex, NULL);
                if (r == 1 &&
                    (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64 || !stands_in(data, size, hex)))
                        abort();
                if (r != 1 && *hex)
                        abort();
        }
        return 0;
}
