/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies on disk, byte by byte. FORMAT.md says the same in words: they change together or not at all.
 *
 * Every number is little-endian, except keys of the databases, which are big-endian so that their order is the order of
 * the numbers. `reserved` is zero when written and ignored when read.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_FORMAT 1u

/* Bits 0..15 of a record's flags are compatible (one that is not known is ignored), 16..31 are not (it is refused). */
#define FORMAT_INCOMPATIBLE_FLAGS 0xffff0000u

#define RECORD_MAGIC 0x4c574150u /* "PAWL" */

typedef struct RecordHeader {
        uint32_t magic;
        uint16_t version;
        uint16_t kind;
        uint32_t flags;
        uint32_t n_body;
        uint64_t seq;
        uint64_t tx;
        uint32_t step;
        uint32_t epoch;
        uint8_t boot[16];
        int64_t time_usec;
        uint8_t prev[32]; /* BLAKE2b-256 of the whole previous record */
        uint32_t crc32c;  /* of this header with this field zero, then the body */
        uint32_t reserved;
} RecordHeader;
static_assert(sizeof(RecordHeader) == 104, "the size of a record's header is part of the format");
static_assert(offsetof(RecordHeader, kind) == 6, "format");
static_assert(offsetof(RecordHeader, n_body) == 12, "format");
static_assert(offsetof(RecordHeader, seq) == 16, "format");
static_assert(offsetof(RecordHeader, step) == 32, "format");
static_assert(offsetof(RecordHeader, boot) == 40, "format");
static_assert(offsetof(RecordHeader, time_usec) == 56, "format");
static_assert(offsetof(RecordHeader, prev) == 64, "format");
static_assert(offsetof(RecordHeader, crc32c) == 96, "format");

/* The journal's own part in front of the body of a CHECKPOINT: which record is the first one kept, and the hash of the
 * last one dropped. */
typedef struct CheckpointPrefix {
        uint64_t first_kept;
        uint8_t dropped_hash[32];
} CheckpointPrefix;
static_assert(sizeof(CheckpointPrefix) == 40, "format");

/* The journal's own part in front of the body of a REPAIR: the records that are lost. The next seq is lost_to + 1: a
 * number once given is never given again. */
typedef struct RepairPrefix {
        uint64_t lost_from;
        uint64_t lost_to; /* lost_from - 1: none */
} RepairPrefix;
static_assert(sizeof(RepairPrefix) == 16, "format");

/* The value of the key "journal" in the unnamed database: written by every write transaction. */
typedef struct StateRow {
        uint32_t format;
        uint32_t compatible;
        uint32_t incompatible;
        uint32_t reserved;
        uint64_t first_seq;
        uint8_t first_prev[32]; /* `prev` of the first kept record */
        uint64_t head_seq;
        uint8_t head_hash[32];
        uint8_t id[16]; /* first bytes of the hash of GENESIS */
        uint64_t n_rows;
        uint64_t rows_sum; /* of the CRCs of all rows, modulo 2^64: a lost page of rows shows here */
        uint64_t n_keys;
        uint64_t keys_sum;
        uint32_t crc32c; /* of all before */
        uint32_t reserved2;
} StateRow;
static_assert(sizeof(StateRow) == 152, "format");
static_assert(offsetof(StateRow, head_hash) == 64, "format");
static_assert(offsetof(StateRow, crc32c) == 144, "format");
#define STATE_KEY "journal"

/* In front of the value in the database `rows`. */
typedef struct RowHeader {
        uint32_t crc32c; /* of the key, seq and the value */
        uint32_t reserved;
        uint64_t seq;
} RowHeader;
static_assert(sizeof(RowHeader) == 16, "format");
#define FORMAT_ROW_KEY_MAX 511

/* The file journal.head. */
#define ANCHOR_MAGIC 0x444e4150u /* "PAND" */
typedef struct AnchorFile {
        uint32_t magic;
        uint32_t version;
        uint64_t seq;
        uint8_t hash[32];
        uint8_t reserved[12];
        uint32_t crc32c; /* of all before */
} AnchorFile;
static_assert(sizeof(AnchorFile) == 64, "format");

/* The file journal.verified, under run/: which data.mdb was seen sound. Read by the process's own boot only. */
#define STAMP_NAME "journal.verified"
#define STAMP_MAGIC 0x564e4150u /* "PANV" */
#define STAMP_VERSION 1u
typedef struct StampFile {
        uint32_t magic;
        uint32_t version;
        uint8_t boot[16];
        uint64_t device, inode, size; /* of data.mdb, and its times */
        int64_t mtime_nsec, ctime_nsec;
        uint64_t txnid;    /* LMDB's, of the newer meta page */
        uint8_t metas[32]; /* BLAKE2b-256 of both meta pages, 152 bytes each */
        uint8_t reserved[4];
        uint32_t crc32c; /* of all before */
} StampFile;
static_assert(sizeof(StampFile) == 112, "format");
static_assert(offsetof(StampFile, device) == 24, "format");
static_assert(offsetof(StampFile, crc32c) == 108, "format");

#define SEGMENT_SIZE (4u << 20)

/* In front of each wrapped key in the file segments/keys. */
typedef struct KeyHeader {
        uint64_t tx;
        uint32_t size;   /* of the wrapped key, which follows */
        uint32_t crc32c; /* of the key of the database `keys`, then the wrapped key: what it adds to keys_sum */
} KeyHeader;
static_assert(sizeof(KeyHeader) == 16, "format");
static_assert(offsetof(KeyHeader, crc32c) == 12, "format");
