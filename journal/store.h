/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB behind a door: transactions over five databases, keys and values as slices.
 *
 * LMDB reads through a map and has no checksums: a damaged page is a failed assertion or a signal in whoever reads
 * it. Here both become -EBADMSG, for as long as a transaction of this store is open in the calling thread and only
 * inside these functions; a signal anywhere else goes where it went before. A slice that was handed out has been
 * touched from end to end.
 *
 * Results: 0, -ENOENT quietly (no such key, no more entries), -EBADMSG with ERR_JOURNAL_DAMAGED, -ENOSPC with
 * ERR_JOURNAL_FULL, else negative errno with ERR_JOURNAL_IO.
 */
#pragma once

#include "core/base/error.h"
#include "journal/slice.h"

typedef enum StoreDb {
        STORE_STATE,   /* the unnamed database: "journal" → StateRow */
        STORE_RECORDS, /* seq → record */
        STORE_TRAILS,  /* tx, seq → nothing */
        STORE_ROWS,    /* text → RowHeader, value */
        STORE_KEYS,    /* tx → wrapped key */
        STORE_DB_MAX
} StoreDb;

typedef struct StoreOptions {
        uint64_t map_size;
        bool is_readonly;
        bool is_new; /* makes the databases */
} StoreOptions;

typedef struct Store Store;
typedef struct StoreTxn StoreTxn;

/* `dir` is the directory of data.mdb, borrowed for the call. A directory that this process
 * has open already is -EBUSY: closing the second would drop the first one's locks. */
int store_open(int dir, const StoreOptions *options, Store **ret, Error *err);
Store *store_free(Store *s);
static inline void store_freep(Store **s) {
        *s = store_free(*s);
}
int store_fd(const Store *s); /* of data.mdb, borrowed */

typedef struct StoreStat {
        uint64_t page_size;
        uint64_t n_pages; /* in use or free, from the start of the file */
        uint64_t n_free;  /* pages of those that are free; 0 unless asked for */
        uint64_t map_size;
} StoreStat;

int store_begin(Store *s, bool is_write, StoreTxn **ret, Error *err);
StoreTxn *store_abort(StoreTxn *t);
static inline void store_abortp(StoreTxn **t) {
        *t = store_abort(*t);
}
/* Always ends the transaction. */
int store_commit(StoreTxn **t, Error *err);
/* count_free needs a read transaction. */
int store_stat(StoreTxn *t, bool count_free, StoreStat *ret, Error *err);
uint64_t store_count(StoreTxn *t, StoreDb db); /* entries, as the database's head says */

/* *ret is borrowed until the next change of the transaction or its end. */
int store_get(StoreTxn *t, StoreDb db, Slice key, Slice *ret, Error *err);
typedef enum StoreSeek { SEEK_FIRST, SEEK_LAST, SEEK_AT_LEAST, SEEK_NEXT, SEEK_PREV } StoreSeek;
/* Moves the one cursor each database has per transaction. *key is read for SEEK_AT_LEAST and written always; value
 * may be NULL. */
int store_seek(StoreTxn *t, StoreDb db, StoreSeek how, Slice *key, Slice *value, Error *err);
int store_put(StoreTxn *t, StoreDb db, Slice key, Slice value, Error *err);
/* The key must be new and greater than all others. */
int store_append(StoreTxn *t, StoreDb db, Slice key, Slice value, Error *err);
int store_del(StoreTxn *t, StoreDb db, Slice key, Error *err); /* -ENOENT quietly */
int store_drop_all(StoreTxn *t, StoreDb db, Error *err);

void store_version(char *ret, size_t size);
/* Bytes lock.mdb must have allocated before LMDB opens it: it is written through a map, where a full disk is a
 * signal. */
#define STORE_LOCK_SIZE 16384
