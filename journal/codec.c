/* SPDX-License-Identifier: Apache-2.0 */
/* See codec.h. Structures are copied out before they are read: nothing in a map or a file is aligned. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/digest.h"
#include "core/base/fault.h"
#include "journal/codec.h"

/* clang-format off */
static const char *const slugs[RECORD_KIND_MAX] = {
#define RECORD(symbol, number, slug, text) [number] = slug,
#include "journal/records.def"
#undef RECORD
};
/* clang-format on */

const char *record_slug(RecordKind kind) {
        return (unsigned)kind < ELEMENTSOF(slugs) ? slugs[kind] : NULL;
}

void be64_put(uint8_t *p, uint64_t v) {
        v = htobe64(v);
        memcpy(p, &v, sizeof(v));
}

uint64_t be64_get(const uint8_t *p) {
        uint64_t v;
        memcpy(&v, p, sizeof(v));
        return be64toh(v);
}

/* ---- Records ---- */

size_t record_encoded_size(const Record *r) {
        return sizeof(RecordHeader) + r->n_body;
}

static uint32_t record_crc(const RecordHeader *h, const void *body, size_t n_body) {
        RecordHeader bare = *h;
        bare.crc32c = 0;
        uint32_t crc = crc32c(0, &bare, sizeof(bare));
        return n_body > 0 ? crc32c(crc, body, n_body) : crc;
}

void record_encode(const Record *r, uint8_t *buf) {
        RecordHeader h = {
                .magic = htole32(RECORD_MAGIC),
                .version = htole16(JOURNAL_FORMAT),
                .kind = htole16((uint16_t)r->kind),
                .flags = htole32(r->flags),
                .n_body = htole32((uint32_t)r->n_body),
                .seq = htole64(r->seq),
                .tx = htole64(r->tx),
                .step = htole32(r->step),
                .epoch = htole32(r->epoch),
                .time_usec = (int64_t)htole64((uint64_t)r->time_usec),
        };
        memcpy(h.boot, r->boot, sizeof(h.boot));
        memcpy(h.prev, r->prev, sizeof(h.prev));
        h.crc32c = htole32(record_crc(&h, r->body, r->n_body));
        memcpy(buf, &h, sizeof(h));
        if (r->n_body > 0)
                memcpy(buf + sizeof(h), r->body, r->n_body);
}

static int damaged(Error *err, const char *what) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "the journal is damaged: %s", what);
}

int record_decode(const void *data, size_t size, Record *ret, Error *err) {
        RecordHeader h;
        if (size < sizeof(h))
                return damaged(err, "a record is shorter than its header");
        memcpy(&h, data, sizeof(h));
        if (le32toh(h.magic) != RECORD_MAGIC)
                return damaged(err, "a record does not begin with its magic number");
        if (size - sizeof(h) != le32toh(h.n_body) || le32toh(h.n_body) > RECORD_BODY_MAX)
                return damaged(err, "a record is not as long as it says");
        const uint8_t *body = (const uint8_t *)data + sizeof(h);
        if (record_crc(&h, body, le32toh(h.n_body)) != le32toh(h.crc32c) && !mutant_is("no-record-crc"))
                return damaged(err, "the checksum of a record does not match");
        uint16_t kind = le16toh(h.kind);
        if (le16toh(h.version) != JOURNAL_FORMAT || (le32toh(h.flags) & FORMAT_INCOMPATIBLE_FLAGS) ||
            !record_slug((RecordKind)kind))
                return error_set(err, -EPROTONOSUPPORT, ERR_JOURNAL_VERSION,
                                 "Use the pawl that wrote it, or a newer one.",
                                 "record %" PRIu64
                                 " of the journal is of a format this pawl cannot read (version %u, kind %u)",
                                 le64toh(h.seq), le16toh(h.version), kind);
        *ret = (Record){
                .kind = (RecordKind)kind,
                .flags = le32toh(h.flags),
                .seq = le64toh(h.seq),
                .tx = le64toh(h.tx),
                .step = le32toh(h.step),
                .epoch = le32toh(h.epoch),
                .time_usec = (int64_t)le64toh((uint64_t)h.time_usec),
                .body = body,
                .n_body = le32toh(h.n_body),
        };
        memcpy(ret->boot, h.boot, sizeof(h.boot));
        memcpy(ret->prev, h.prev, sizeof(h.prev));
        return 0;
}

size_t record_peek_size(const void *data, size_t size) {
        RecordHeader h;
        if (size < sizeof(h))
                return 0;
        memcpy(&h, data, sizeof(h));
        if (le32toh(h.magic) != RECORD_MAGIC || le32toh(h.n_body) > RECORD_BODY_MAX)
                return 0;
        return sizeof(h) + le32toh(h.n_body);
}

void record_hash(const void *data, size_t size, uint8_t ret[static 32]) {
        blake2b_of(NULL, 0, data, size, ret);
}

size_t record_prefix_size(RecordKind kind) {
        if (kind == RECORD_CHECKPOINT)
                return sizeof(CheckpointPrefix);
        return kind == RECORD_REPAIR ? sizeof(RepairPrefix) : 0;
}

int record_hide_prefix(Record *r, Error *err) {
        size_t n = record_prefix_size(r->kind);
        if (r->n_body < n)
                return damaged(err, "the body of a record is shorter than its kind needs");
        if (n == 0)
                return 0; /* and the body may be NULL */
        r->body = (const uint8_t *)r->body + n;
        r->n_body -= n;
        return 0;
}

int record_copy(const Record *r, Record *ret, Error *err) {
        uint8_t *body = malloc(r->n_body + 1);
        if (!body)
                return error_no_memory(err);
        if (r->n_body > 0)
                memcpy(body, r->body, r->n_body);
        body[r->n_body] = '\0';
        *ret = *r;
        ret->body = body;
        return 0;
}

/* ---- The state row ---- */

void state_encode(const JournalState *s, StateRow *ret) {
        *ret = (StateRow){
                .format = htole32(JOURNAL_FORMAT),
                .first_seq = htole64(s->first_seq),
                .head_seq = htole64(s->head_seq),
                .n_rows = htole64(s->n_rows),
                .rows_sum = htole64(s->rows_sum),
                .n_keys = htole64(s->n_keys),
                .keys_sum = htole64(s->keys_sum),
        };
        memcpy(ret->first_prev, s->first_prev, sizeof(ret->first_prev));
        memcpy(ret->head_hash, s->head_hash, sizeof(ret->head_hash));
        memcpy(ret->id, s->id, sizeof(ret->id));
        ret->crc32c = htole32(crc32c(0, ret, offsetof(StateRow, crc32c)));
}

int state_decode(const void *data, size_t size, JournalState *ret, Error *err) {
        StateRow row;
        if (size < sizeof(row))
                return damaged(err, "its state is too short");
        memcpy(&row, data, sizeof(row));
        if (le32toh(row.crc32c) != crc32c(0, &row, offsetof(StateRow, crc32c)))
                return damaged(err, "the checksum of its state does not match");
        if (le32toh(row.format) != JOURNAL_FORMAT || row.incompatible != 0)
                return error_set(err, -EPROTONOSUPPORT, ERR_JOURNAL_VERSION,
                                 "Use the pawl that wrote it, or a newer one.",
                                 "the journal has format %u, which this pawl cannot read", le32toh(row.format));
        *ret = (JournalState){
                .format = le32toh(row.format),
                .first_seq = le64toh(row.first_seq),
                .head_seq = le64toh(row.head_seq),
                .n_rows = le64toh(row.n_rows),
                .rows_sum = le64toh(row.rows_sum),
                .n_keys = le64toh(row.n_keys),
                .keys_sum = le64toh(row.keys_sum),
        };
        memcpy(ret->first_prev, row.first_prev, sizeof(row.first_prev));
        memcpy(ret->head_hash, row.head_hash, sizeof(row.head_hash));
        memcpy(ret->id, row.id, sizeof(row.id));
        return 0;
}

/* ---- The anchor ---- */

void anchor_encode(const Anchor *a, AnchorFile *ret) {
        *ret = (AnchorFile){
                .magic = htole32(ANCHOR_MAGIC),
                .version = htole32(JOURNAL_FORMAT),
                .seq = htole64(a->seq),
        };
        memcpy(ret->hash, a->hash, sizeof(ret->hash));
        ret->crc32c = htole32(crc32c(0, ret, offsetof(AnchorFile, crc32c)));
}

bool anchor_decode(const void *data, size_t size, Anchor *ret) {
        AnchorFile file;
        if (size != sizeof(file))
                return false;
        memcpy(&file, data, sizeof(file));
        if (le32toh(file.magic) != ANCHOR_MAGIC || le32toh(file.version) != JOURNAL_FORMAT ||
            le32toh(file.crc32c) != crc32c(0, &file, offsetof(AnchorFile, crc32c)))
                return false;
        ret->seq = le64toh(file.seq);
        memcpy(ret->hash, file.hash, sizeof(file.hash));
        return true;
}

/* ---- Rows and keys ---- */

/* The key is in the checksum: a row found under another's name does not check. */
static uint32_t row_crc(Slice key, const RowHeader *h, Slice value) {
        uint32_t crc = crc32c(0, key.data, key.size);
        crc = crc32c(crc, &h->seq, sizeof(h->seq));
        return value.size > 0 ? crc32c(crc, value.data, value.size) : crc;
}

int row_encode(Slice key, Slice value, uint64_t seq, Row *ret, uint32_t *ret_crc, Error *err) {
        RowHeader h = {.seq = htole64(seq)};
        *ret_crc = row_crc(key, &h, value);
        h.crc32c = htole32(*ret_crc);
        uint8_t *buf = malloc(sizeof(h) + value.size);
        if (!buf)
                return error_no_memory(err);
        memcpy(buf, &h, sizeof(h));
        if (value.size > 0)
                memcpy(buf + sizeof(h), value.data, value.size);
        *ret = (Row){.data = buf, .size = sizeof(h) + value.size, .seq = seq};
        return 0;
}

bool row_decode(Slice key, Slice data, RowView *ret) {
        RowHeader h;
        if (data.size < sizeof(h))
                return false;
        memcpy(&h, data.data, sizeof(h));
        Slice value = SLICE((const uint8_t *)data.data + sizeof(h), data.size - sizeof(h));
        uint32_t crc = row_crc(key, &h, value);
        if (crc != le32toh(h.crc32c))
                return false;
        *ret = (RowView){.seq = le64toh(h.seq), .crc = crc, .data = value.data, .size = value.size};
        return true;
}

uint32_t key_crc(uint64_t tx, const void *data, size_t size) {
        uint8_t key[8];
        be64_put(key, tx);
        return crc32c(crc32c(0, key, sizeof(key)), data, size);
}

/* ---- Lists ---- */

void record_list_done(RecordList *l) {
        for (size_t i = 0; i < l->n; i++)
                free((void *)l->records[i].body);
        free(l->records);
        *l = (RecordList){0};
}

void row_list_done(RowList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->rows[i].key);
                free(l->rows[i].data);
        }
        free(l->rows);
        *l = (RowList){0};
}
