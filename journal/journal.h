/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: a chain of records, and rows derived from them, in one LMDB environment that survives power cuts.
 *
 * Payloads (bodies, rows) are opaque here. What the journal guarantees:
 *  - journal_commit() returns 0 only when every record, row and key of the write is durable, all or none of them;
 *  - records form a chain (each holds the hash of the whole previous record) without gaps in seq, since GENESIS or the last CHECKPOINT;
 *  - every read is checked (magic, CRC-32C); what does not check is ERR_JOURNAL_DAMAGED, never a wrong answer, never a signal;
 *  - a damaged or missing journal is never reset, deleted or created anew on its own;
 *  - nothing may follow what it may not follow (order table below): a write that would is refused before it is durable.
 *
 * A Journal belongs to one process and one thread. Never fork while it is open and go on using it in the child; a child
 * must exec or _exit. No read transaction outlives the call that opened it.
 */
#pragma once

#include "core/base/error.h"

/* clang-format off */
typedef enum RecordKind {
#define RECORD(symbol, number, slug, text) RECORD_##symbol = number,
#include "journal/records.def"
#undef RECORD
} RecordKind;
/* clang-format on */
#define RECORD_KIND_MAX 18

const char *record_slug(RecordKind kind); /* NULL for a number that is none */

#define RECORD_CLOCK_TRUSTED (1u << 0)
#define RECORD_STEP_NONE UINT32_MAX /* the record is about the transaction, not a step */
#define RECORD_BODY_MAX (64u << 20)

typedef struct Record {
        RecordKind kind;
        uint32_t flags;
        uint64_t seq; /* assigned by journal_write_record */
        uint64_t tx;  /* the seq of the transaction's BEGIN; 0 for records of the journal itself */
        uint32_t step;
        uint32_t epoch; /* 0 in the first process; +1 for each recovery */
        uint8_t boot[16];
        int64_t time_usec;
        uint8_t prev[32];
        const void *body; /* borrowed: until the callback returns, or the RecordList is freed */
        size_t n_body;
} Record;

typedef struct RecordList {
        Record *records;
        size_t n;
} RecordList;
void record_list_done(RecordList *l);
#define _cleanup_record_list_ _cleanup_(record_list_done)

/* ---- Order: which record may follow which ------------------------------------------------------------------------ */

typedef enum TxPhase {
        TX_NONE,
        TX_OPEN,      /* after BEGIN: forward */
        TX_ABORTED,   /* after ABORT: only back */
        TX_COMMITTED, /* after COMMIT: only finish */
        TX_ENDED,
} TxPhase;

typedef enum StepState {
        STEP_NONE,
        STEP_INTENDED,
        STEP_DONE,
        STEP_FAILED,
        STEP_UNDONE,
        STEP_STUCK,
        STEP_RESOLVED,
        STEP_FINISHED,
        STEP_REFUSED, /* FAILED without an INTENT: there is nothing to put back */
} StepState;

/* The order of one transaction so far. Zero-initialised is "nothing yet". */
typedef struct TxOrder {
        TxPhase phase;
        StepState *steps; /* owned; grows; beyond n_steps a step is STEP_NONE */
        size_t n_steps;
        StepState *groups; /* owned; grows: none, failed, undone */
        size_t n_groups;
} TxOrder;
void tx_order_done(TxOrder *o);
/* Advances by one record, or -EBADMSG with ERR_JOURNAL_DAMAGED (naming the phase, the step's state and the kind) and
 * nothing changed. Group records carry the group's number in `step` with bit 31 set. */
int tx_order_next(TxOrder *o, RecordKind kind, uint32_t step, Error *err);
#define STEP_GROUP_BIT (1u << 31)

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

typedef struct Journal Journal;

typedef enum JournalMode {
        JOURNAL_READ,   /* -ENOENT quietly when there is none */
        JOURNAL_WRITE,  /* -ENOENT quietly when there is none and none ever was */
        JOURNAL_CREATE, /* as WRITE, but makes one where neither journal, head, segments nor a leftover of one exists */
} JournalMode;

typedef struct JournalOptions {
        int root;             /* directory descriptor of the host's root, borrowed for the life of the Journal */
        const char *dir;      /* "var/lib/pawl": holds journal/, journal.head, segments are journal/segments/; copied */
        const char *lock_dir; /* "run/pawl/lock"; copied */
        uint64_t map_size;    /* 0: 64 GiB, or 1 GiB where pointers have 32 bits */
        uint64_t preallocate; /* 0: 4 MiB */
        const void *genesis;  /* body of GENESIS for JOURNAL_CREATE (opaque) */
        size_t n_genesis;
        uint8_t boot[16]; /* stamped on every record this process writes */
} JournalOptions;

/*
 * Checks both meta pages by hand, lets a forked child verify CRCs and chain from journal.head (whole journal when the
 * head is missing), and only then opens. All rows and keys are checked too, unless journal.verified (beside lock_dir)
 * tells that this very file was verified since this boot began; whoever has checked them, or has written to what was
 * checked, leaves that stamp. Damage: -EBADMSG, ERR_JOURNAL_DAMAGED, and `journal.bad` beside the journal says what and
 * where; the journal stays where it is. While journal.bad exists, JOURNAL_WRITE and JOURNAL_CREATE refuse (exit 7),
 * JOURNAL_READ tries.
 */
/* -ENOENT with err filled (ERR_JOURNAL_MISSING): there was a journal. -EBUSY: this process has it open already. */
int journal_open(const JournalOptions *options, JournalMode mode, Journal **ret, Error *err);
Journal *journal_free(Journal *j);
static inline void journal_freep(Journal **j) {
        *j = journal_free(*j);
}

typedef struct JournalStat {
        uint64_t first_seq; /* first kept record */
        uint64_t head_seq;  /* last record */
        uint8_t head_hash[32];
        uint64_t anchor_seq; /* journal.head; 0: none */
        uint64_t bytes_used, bytes_allocated, map_size;
        uint64_t commits; /* write transactions committed by this process */
        bool is_walked;   /* opening went through all rows and keys; false: that very file had been verified before */
        uint32_t format;
        char lmdb_version[32];
} JournalStat;
int journal_stat(Journal *j, JournalStat *ret, Error *err);
const uint8_t *journal_id(const Journal *j); /* 16 bytes: hash of the GENESIS record; borrowed */

/* ---- Reading (each call is its own snapshot; data is copied) ----------------------------------------------------- */

/* One record; -ENOENT quietly. The list then holds one. */
int journal_get(Journal *j, uint64_t seq, RecordList *ret, Error *err);
/* All records of one transaction in order; empty list when there is none. */
int journal_get_tx(Journal *j, uint64_t tx, RecordList *ret, Error *err);
/* From `from` on, in order, until the callback returns non-zero (returned) or the end (0). The callback must not
 * call the journal. */
typedef int (*RecordVisit)(const Record *record, void *userdata);
int journal_scan(Journal *j, uint64_t from, RecordVisit visit, void *userdata, Error *err);

/* Rows: text keys ("service/web"), opaque values. */
typedef struct Row {
        char *key;
        void *data;
        size_t size;
        uint64_t seq; /* the record that wrote it */
} Row;
typedef struct RowList {
        Row *rows;
        size_t n;
} RowList;
void row_list_done(RowList *l);
#define _cleanup_row_list_ _cleanup_(row_list_done)

/* -ENOENT quietly; else the list holds one. */
int journal_row(Journal *j, const char *key, RowList *ret, Error *err);
/* All rows whose key begins with prefix, in key order; with `limit` > 0 the last `limit` of them, newest (greatest
 * key) first. */
int journal_rows(Journal *j, const char *prefix, size_t limit, RowList *ret, Error *err);
/* The last `limit` of those whose key is less than `before`, greatest first. */
int journal_rows_before(Journal *j, const char *prefix, const char *before, size_t limit, RowList *ret, Error *err);
/* Number of rows under a prefix. */
int journal_row_count(Journal *j, const char *prefix, size_t *ret, Error *err);

/* Wrapped transaction keys. -ENOENT quietly. */
int journal_key(Journal *j, uint64_t tx, void **ret, size_t *ret_size, Error *err);

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct JournalWrite JournalWrite;

/* Waits for the writer lock, then begins. Room kept for recovery may be used only when `is_recovery`; else -ENOSPC,
 * ERR_JOURNAL_FULL. */
int journal_write_new(Journal *j, bool is_recovery, JournalWrite **ret, Error *err);
JournalWrite *journal_write_free(JournalWrite *w); /* without commit: nothing happened */
static inline void journal_write_freep(JournalWrite **w) {
        *w = journal_write_free(*w);
}
/*
 * Appends. Of `draft` are read: kind, tx, step, epoch, body. A BEGIN gets its own seq as tx; a later draft of the same
 * write with tx 0 and a kind that needs one gets that BEGIN's (a NOTE without one is the journal's own). *ret_seq may
 * be NULL. Order is checked against what the transaction holds so far; a refusal for order leaves the write usable, any
 * other failure does not: journal_commit then refuses it, and nothing happened.
 */
int journal_write_record(JournalWrite *w, const Record *draft, uint64_t *ret_seq, Error *err);
/* A row's seq is that of the last record this write holds so far: write rows right behind the record that causes
 * them, as a rebuild will. Keys have 1 to 511 bytes. Rows as they will be after this write: reading inside the write
 * sees earlier changes of the same write and no other writer's later ones. */
int journal_write_row(JournalWrite *w, const char *key, const void *data, size_t size, Error *err);
int journal_write_row_drop(JournalWrite *w, const char *key, Error *err);
int journal_write_get_row(JournalWrite *w, const char *key, RowList *ret, Error *err);
int journal_write_get_rows(JournalWrite *w, const char *prefix, RowList *ret, Error *err);
int journal_write_key(JournalWrite *w, uint64_t tx, const void *wrapped, size_t size,
                      Error *err); /* tx 0: this write's BEGIN */
int journal_write_key_drop(JournalWrite *w, uint64_t tx, Error *err);
/*
 * Makes it durable. Always frees *w. Any failure is ERR_JOURNAL_IO: the outcome is unknown, the Journal refuses
 * everything from then on, and the process must end with exit 75 without another effect.
 */
int journal_commit(JournalWrite **w, Error *err);

/*
 * Makes sure that a flow whose plan encodes to `plan_size` can be written to its end, and put back, on a disk that is
 * full from now on: plan × 3 + 1 MiB are free in the file and really allocated. -ENOSPC, ERR_JOURNAL_FULL otherwise,
 * nothing changed.
 */
int journal_reserve(Journal *j, uint64_t plan_size, Error *err);

/*
 * At END, outside any write: appends records up to the head to segments/ (one barrier) and moves journal.head forward,
 * never past `limit` (the BEGIN of the oldest open transaction - 1, or UINT64_MAX). Under a lock; never backward. A
 * failure is returned but loses nothing: the next call catches up.
 */
int journal_anchor(Journal *j, uint64_t limit, Error *err);

/* ---- Care -------------------------------------------------------------------------------------------------------- */

/* Drops every record before first_kept (never past the BEGIN of an open transaction: its order could not be told any
 * more), wrapped keys of transactions whose BEGIN goes, and writes CHECKPOINT with `body` (core's: it holds the
 * rows), in one transaction. Segments that hold only dropped records are deleted afterwards. */
int journal_checkpoint(Journal *j, uint64_t first_kept, const void *body, size_t n_body, Error *err);

/* The same where the body depends on rows: both callbacks are called inside of the transaction, so no other writer
 * comes between. */
typedef struct JournalCheckpoint {
        /* Before anything is dropped. May drop rows through `w`. *ret is malloc'ed, freed by the journal. */
        int (*make_body)(JournalWrite *w, void **ret, size_t *ret_size, void *userdata, Error *err);
        /* May the wrapped key of this transaction, whose BEGIN is dropped or was dropped before, not go yet? NULL:
         * none stays. Asked after make_body. */
        bool (*keeps_key)(uint64_t tx, void *userdata);
        void *userdata;
} JournalCheckpoint;
int journal_checkpoint_with(Journal *j, uint64_t first_kept, const JournalCheckpoint *how, Error *err);

typedef struct JournalReport {
        uint64_t n_records, first_seq, head_seq;
        uint8_t head_hash[32];
        uint64_t n_rows;
        uint64_t bad_seq;  /* first record that does not check; 0: none */
        char problem[256]; /* "" when sound */
        bool anchor_found;
} JournalReport;
/* The whole journal, by a forked child, without opening it here: usable on a damaged one. 0 and a report (sound or
 * not), or negative when it could not look. */
int journal_verify(const JournalOptions *options, JournalReport *ret, Error *err);

/* Replaces all rows in one transaction: drops them, then calls `fold` for each record in order, which writes rows
 * through journal_write_row. */
typedef int (*RecordFold)(JournalWrite *w, const Record *record, void *userdata, Error *err);
int journal_rebuild(Journal *j, RecordFold fold, void *userdata, Error *err);

/*
 * Builds a new journal aside from what still checks (the environment as far as it reads, then segments/), ends it with
 * REPAIR (body made by `make_body` from the lost range), and exchanges it with the damaged one, which stays beside it
 * as journal.damaged-<n>. Rows are rebuilt by `fold`. journal.bad is there from before the first change to behind the
 * last, so that one that died is known and is done again. The anchor stands before the oldest transaction without END.
 * Nothing to repair is 1.
 */
typedef struct JournalLoss {
        uint64_t from, to; /* numbers that are given up; to = from - 1: none */
        uint64_t seen;     /* the last record that was there for certain; less than `from`: none is known to be lost */
} JournalLoss;
typedef struct JournalRepair {
        RecordFold fold;
        int (*make_body)(const JournalLoss *loss, void **ret, size_t *ret_size, void *userdata);
        void *userdata;
} JournalRepair;
int journal_repair(const JournalOptions *options, const JournalRepair *how, JournalReport *ret, Error *err);
