/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records, rows, the state row and the anchor as bytes, and back.
 *
 * Decoding takes hostile bytes: nothing is believed before its CRC is checked, and nothing beyond `size` is read.
 */
#pragma once

#include "journal/format.h"
#include "journal/journal.h"
#include "journal/slice.h"

/* Bytes the record takes. */
size_t record_encoded_size(const Record *r);
/* Writes the record into buf, which has record_encoded_size() bytes. */
void record_encode(const Record *r, uint8_t *buf);
/* All of data is one record; ret->body points into data. -EBADMSG with ERR_JOURNAL_DAMAGED, or -EPROTONOSUPPORT with
 * ERR_JOURNAL_VERSION when it is whole but of a later format. */
int record_decode(const void *data, size_t size, Record *ret, Error *err);
/* How long the record at the start of data says it is; 0 when that cannot be the start of one. Needs
 * sizeof(RecordHeader) bytes. */
size_t record_peek_size(const void *data, size_t size);
void record_hash(const void *data, size_t size, uint8_t ret[static 32]);
/* Bytes at the start of a body of this kind that belong to the journal and are not shown to readers. */
size_t record_prefix_size(RecordKind kind);
/* Takes the journal's own part off the body. -EBADMSG when the body is shorter. */
int record_hide_prefix(Record *r, Error *err);
/* A deep copy: body included, owned by ret (free(body)). */
int record_copy(const Record *r, Record *ret, Error *err);

/* The journal's state in memory. */
typedef struct JournalState {
        uint32_t format;
        uint64_t first_seq, head_seq;
        uint8_t first_prev[32], head_hash[32], id[16];
        uint64_t n_rows, rows_sum, n_keys, keys_sum;
} JournalState;
void state_encode(const JournalState *s, StateRow *ret);
int state_decode(const void *data, size_t size, JournalState *ret, Error *err);

typedef struct Anchor {
        uint64_t seq;
        uint8_t hash[32];
} Anchor;
void anchor_encode(const Anchor *a, AnchorFile *ret);
bool anchor_decode(const void *data, size_t size, Anchor *ret);

/* A row's value with its header in front: ret->data and ret->size; owned by the caller. *ret_crc is what it adds to
 * rows_sum. */
int row_encode(Slice key, Slice value, uint64_t seq, Row *ret, uint32_t *ret_crc, Error *err);
typedef struct RowView {
        uint64_t seq;
        uint32_t crc;
        const uint8_t *data; /* into the bytes it was decoded from */
        size_t size;
} RowView;
/* False: it does not check. */
bool row_decode(Slice key, Slice data, RowView *ret);
/* What a wrapped key adds to keys_sum. */
uint32_t key_crc(uint64_t tx, const void *data, size_t size);

void be64_put(uint8_t *p, uint64_t v);
uint64_t be64_get(const uint8_t *p);
