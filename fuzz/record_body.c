/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever cbor_decode() accepts must encode to the very same bytes: one value, one encoding. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_free_ uint8_t *again = NULL;
        size_t size_again = 0;
        if (cbor_decode(data, size, &v, NULL) < 0)
                return 0;
        if (cbor_encode(v, &again, &size_again, NULL) < 0 || size_again != size || memcmp(again, data, size) != 0)
                abort();
        return 0;
}
