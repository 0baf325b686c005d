/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the journal share. Nobody outside includes this. */
#pragma once

#include "core/base/fs.h"
#include "journal/codec.h"
#include "journal/store.h"

#define JOURNAL_ROOM_KEPT (512u << 10) /* for recovery, on a full disk */

/* The order of a transaction as of its record last_seq. */
typedef struct OrderEntry {
        uint64_t tx, last_seq;
        uint64_t n_records; /* as counted by trail_order */
        TxOrder order;
} OrderEntry;

typedef struct OrderCache {
        OrderEntry *entries;
        size_t n;
} OrderCache;

struct Journal {
        int root; /* borrowed */
        char *dir, *lock_dir;
        JournalMode mode;
        Store *store;
        int lock_fd; /* journal-writer: locked only while a write is open */
        uint8_t boot[16], id[16];
        uint64_t map_size, preallocate;
        uint64_t anchor_seq; /* as of opening, or our last journal_anchor */
        uint64_t commits;
        bool is_poisoned;
        bool is_walked; /* opening went through all rows and keys */
        bool is_sound;  /* data.mdb as in `seen` was verified in full, own commits aside */
        StampFile seen, stamped;
        OrderCache orders;
};

struct JournalWrite {
        Journal *journal;
        StoreTxn *txn;
        JournalState state;
        OrderCache orders; /* as this write leaves them */
        uint64_t begin;    /* seq of this write's BEGIN; 0: none */
        uint64_t row_seq;  /* what rows written now are stamped with */
        bool is_changed, is_failed;
        bool is_locked;
};

/* journal.c: paths, and the file system around the environment */
char *journal_name(const JournalOptions *o, const char *name); /* dir/name, owned by the caller */
uint64_t journal_map_size(const JournalOptions *o);
/* Opens the environment in dir/name of the options. */
int journal_store_open(const JournalOptions *o, const char *name, StoreOptions how, Store **ret, Error *err);
/* A Journal around a store; takes *store. */
int journal_new(const JournalOptions *o, JournalMode mode, Store **store, Journal **ret, Error *err);
/* Opens a lock file, making it and the folder where they are missing; locks nothing. */
int journal_lock_new(int root, const char *dir, const char *name, int *ret_fd, Error *err);
int journal_lock(int fd, Error *err); /* waits; a negative descriptor is nothing to lock */
void journal_unlock(int fd);
int journal_check_metas(const JournalOptions *o, Error *err);
/* An empty environment under dir/name, which is removed first. */
int journal_make_aside(const JournalOptions *o, const char *name, Store **ret, Error *err);
int journal_usable(const Journal *j, Error *err);
JournalOptions journal_options(const Journal *j); /* borrowed from j */
/* Where damage was seen: writes journal.bad, best effort. Returns r. */
/* -ENOENT, ERR_JOURNAL_MISSING: there is none. */
int journal_exists(const JournalOptions *o, Error *err);
int journal_mark_bad(const JournalOptions *o, int r, Error *err);

/* read.c */
int state_read(StoreTxn *t, JournalState *ret, Error *err);
int journal_read_begin(Journal *j, StoreTxn **ret, JournalState *ret_state, Error *err);
/* The record and its bytes, both borrowed from the transaction; the journal's own prefix is still there. -ENOENT
 * quietly. */
int record_read(StoreTxn *t, uint64_t seq, Record *ret, Slice *ret_raw, Error *err);
/* As above where the record must be: missing is damage. */
int record_read_kept(StoreTxn *t, uint64_t seq, Record *ret, Slice *ret_raw, Error *err);
/* In order: the record `expected` (by a seek when is_first), or the REPAIR behind a lost range that begins there.
 * -ENOENT quietly at the end. */
int record_next(StoreTxn *t, uint64_t expected, bool is_first, Record *ret, Slice *ret_raw, Error *err);
/* May this record stand where `expected` is due? Yes when it is that one, or a REPAIR that tells what is lost
 * between. */
bool record_follows(const Record *r, uint64_t expected);
/* -ENOENT when a REPAIR tells that this missing record is lost; else -EBADMSG. */
int record_lost(StoreTxn *t, uint64_t seq, Error *err);
int record_list_add(RecordList *l, const Record *r, Error *err); /* a copy */
int rows_read(StoreTxn *t, const char *prefix, size_t limit, RowList *ret, Error *err);
int row_read(StoreTxn *t, const char *key, RowList *ret, Error *err);
/* Seq of the last record of a transaction; 0: none. */
int trail_last(StoreTxn *t, uint64_t tx, uint64_t *ret, Error *err);
int trail_order(StoreTxn *t, uint64_t tx, uint64_t first_seq, OrderEntry *ret, Error *err);

/* write.c */
/* Chains the record at state->head_seq + 1 (or at r->seq, when greater: only for REPAIR) and moves the head. */
int journal_append(StoreTxn *t, JournalState *s, Record *r, Error *err);
int journal_append_raw(StoreTxn *t, JournalState *s, const Record *r, Slice raw, Error *err);
int state_write(StoreTxn *t, const JournalState *s, Error *err);
void record_stamp(Record *r, const uint8_t boot[static 16]);
int write_begin(Journal *j, JournalWrite **ret, Error *err); /* locks */
int write_rows_clear(JournalWrite *w, Error *err);
void order_cache_done(OrderCache *c);
/* Bytes free in the file and really allocated, after trying to make them `wanted`. */
int journal_room(Journal *j, StoreTxn *t, uint64_t wanted, uint64_t *ret, Error *err);

/* checkpoint.c */
/* ret->body and n_body: the prefix, then the body; ret->body is owned by the caller. */
int record_body_with_prefix(const void *prefix, size_t n_prefix, const void *body, size_t n_body, Record *ret,
                            Error *err);
/* Drops all rows and makes them again from the records. */
int rebuild_rows(JournalWrite *w, RecordFold fold, void *userdata, Error *err);

/* anchor.c */
/* 0: none, or one that does not check (ret->seq is 0). */
int anchor_read(const JournalOptions *o, Anchor *ret, Error *err);
int anchor_write(const JournalOptions *o, const Anchor *a, Error *err);

/* stamp.c: what tells one state of data.mdb from another, and which one was verified */
int stamp_take(const JournalOptions *o, int data_fd, StampFile *ret); /* negative errno: it cannot be told */
bool stamp_equal(const StampFile *a, const StampFile *b);
/* Would a change from now on show? Waits a little for that where the file is large. */
bool stamp_settles(const StampFile *s);
/* Is this state, in this boot, the one of the file? */
bool stamp_matches(const JournalOptions *o, const StampFile *now);
void stamp_write(const JournalOptions *o, const StampFile *s); /* best effort */
void stamp_drop(const JournalOptions *o);
#define JOURNAL_WAY_OUT "Run: pawl journal verify, then: pawl journal repair"
/* Returns r; what was found damaged is not stamped as sound any longer, and the way out is told. */
int journal_judge(Journal *j, int r, Error *err);
/* Around a write, under the writers' lock: whether data.mdb is as we left it, and as what we leave it. */
void journal_look_before_write(Journal *j);
void journal_look_after_write(Journal *j);
void journal_stamp(Journal *j); /* if every commit since the check was seen and nothing else changed the file */

/* segments.c */
/* Appends the records from the last one in segments/ up to the head; durable when it returns. `journal` is the
 * directory's name. */
int segments_append(Journal *j, const char *journal, StoreTxn *t, const JournalState *s, Error *err);
/* Deletes files that hold only records before first_kept. */
int segments_drop(Journal *j, uint64_t first_kept, Error *err);
/* Whole valid records in order, until non-zero. */
typedef int (*SegmentVisit)(const Record *r, Slice raw, void *userdata);
int segments_visit(const JournalOptions *o, const char *journal, SegmentVisit visit, void *userdata, Error *err);

/* keys.c */
/* Makes segments/keys hold the wrapped keys of this state, and no others; durable when it returns. */
int keys_keep(Journal *j, const char *journal, StoreTxn *t, const JournalState *s, Error *err);
/* Whole entries in order, until non-zero. `wrapped` is borrowed for the call. */
typedef int (*KeyVisit)(uint64_t tx, Slice wrapped, void *userdata, Error *err);
int keys_visit(const JournalOptions *o, const char *journal, KeyVisit visit, void *userdata, Error *err);

/* verify.c */
typedef enum VerifyDepth {
        VERIFY_STAMPED,     /* what opening needs where the same file was verified before: records from the anchor */
        VERIFY_FROM_ANCHOR, /* what opening needs: those, all rows and keys */
        VERIFY_ALL,
} VerifyDepth;
/* In a forked child. 0 and a report, sound or not; negative when it could not look. */
int verify_forked(const JournalOptions *o, VerifyDepth depth, JournalReport *ret, ErrorCode *ret_code, Error *err);
