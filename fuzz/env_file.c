/* SPDX-License-Identifier: Apache-2.0 */
/* Environment files: whatever is read can be written, and reads back as the same. What is written is read as the
 * same a second time, byte for byte. */
#include <stdint.h>
#include <stdlib.h>

#include "core/base/env_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(value_freep) Value *map = NULL, *text = NULL, *again = NULL, *text_again = NULL;
        bool as_secrets = size > 0 && data[0] == '#';
        if (env_file_parse((const char *)data, size, "fuzz", as_secrets, &map, NULL) < 0)
                return 0;
        /* Escapes may make it longer than is allowed. */
        if (env_file_format(map, &text, NULL) < 0) {
                if (size <= (1U << 19))
                        abort();
                return 0;
        }
        if (env_file_parse(text->bytes.data, text->bytes.size, "again", as_secrets, &again, NULL) < 0 ||
            !value_equal(map, again))
                abort();
        if (env_file_format(again, &text_again, NULL) < 0 || !value_equal(text, text_again))
                abort();
        return 0;
}
