/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw record: header and body. The checksum is made right first, so that what lies behind it is reached; the input
 * as it came is tried too. What decodes must encode to the same bytes, but for the reserved field.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/digest.h"
#include "journal/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_round_trip(const uint8_t *data, size_t size, const Record *r) {
        if (record_encoded_size(r) != size)
                abort();
        uint8_t *again = malloc(size);
        if (!again)
                return;
        record_encode(r, again);
        /* Reserved is written as zero, and so the checksum is another. */
        if (memcmp(again, data, 96) != 0 || memcmp(again + 104, data + 104, size - 104) != 0)
                abort();
        free(again);
}

static void look(const uint8_t *data, size_t size) {
        Record r;
        uint8_t hash[32];
        size_t peeked = record_peek_size(data, size);
        if (record_decode(data, size, &r, NULL) < 0)
                return;
        if (peeked != size || !record_slug(r.kind))
                abort();
        must_round_trip(data, size, &r);
        record_hash(data, size, hash);
        (void)record_hide_prefix(&r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        JournalState state;
        Anchor anchor;
        look(data, size);
        (void)state_decode(data, size, &state, NULL);
        (void)anchor_decode(data, size, &anchor);
        if (size < sizeof(RecordHeader))
                return 0;
        uint8_t *copy = malloc(size);
        if (!copy)
                return 0;
        memcpy(copy, data, size);
        memset(copy + offsetof(RecordHeader, crc32c), 0, 4);
        uint32_t crc = crc32c(0, copy, size);
        for (int i = 0; i < 4; i++)
                copy[offsetof(RecordHeader, crc32c) + (size_t)i] = (uint8_t)(crc >> 8 * i);
        look(copy, size);
        free(copy);
        return 0;
}
