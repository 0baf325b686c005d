/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. One JournalWrite is one LMDB transaction: seq and chain are assigned inside it, under our own writer lock,
 * so that LMDB's mutex is never contended and nobody can chain onto a record that does not become durable.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "journal/internal.h"

/* ---- The order of open transactions ---- */

void order_cache_done(OrderCache *c) {
        for (size_t i = 0; i < c->n; i++)
                tx_order_done(&c->entries[i].order);
        free(c->entries);
        *c = (OrderCache){0};
}

static OrderEntry *order_find(OrderCache *c, uint64_t tx) {
        for (size_t i = 0; i < c->n; i++)
                if (c->entries[i].tx == tx)
                        return &c->entries[i];
        return NULL;
}

static int order_add(OrderCache *c, OrderEntry *e, OrderEntry **ret, Error *err) {
        OrderEntry *more = realloc(c->entries, (c->n + 1) * sizeof(*more));
        if (!more) {
                tx_order_done(&e->order);
                return error_no_memory(err);
        }
        c->entries = more;
        c->entries[c->n] = *e;
        *ret = &c->entries[c->n++];
        return 0;
}

/* Removes the entry, without freeing what it owns. */
static OrderEntry order_take(OrderCache *c, OrderEntry *e) {
        OrderEntry taken = *e;
        *e = c->entries[--c->n];
        return taken;
}

/* The order of tx as this write sees it. What the Journal remembers holds only if nobody has added to tx since. */
static int order_load(JournalWrite *w, uint64_t tx, OrderEntry **ret, Error *err) {
        OrderEntry fresh = {.tx = tx};
        uint64_t last;
        *ret = order_find(&w->orders, tx);
        if (*ret)
                return 0;
        int r = trail_last(w->txn, tx, &last, err);
        if (r < 0)
                return r;
        OrderEntry *known = order_find(&w->journal->orders, tx);
        if (known) {
                fresh = order_take(&w->journal->orders, known);
                if (fresh.last_seq == last)
                        return order_add(&w->orders, &fresh, ret, err);
                tx_order_done(&fresh.order);
        }
        r = trail_order(w->txn, tx, w->state.first_seq, &fresh, err);
        return r < 0 ? r : order_add(&w->orders, &fresh, ret, err);
}

/* After the commit: what was seen is now so. Ended transactions are not asked about again. */
static void order_keep(JournalWrite *w) {
        OrderEntry *kept;
        while (w->orders.n > 0) {
                OrderEntry e = order_take(&w->orders, &w->orders.entries[w->orders.n - 1]);
                if (e.order.phase == TX_ENDED || order_add(&w->journal->orders, &e, &kept, NULL) < 0)
                        tx_order_done(&e.order);
        }
}

/* ---- Records ---- */

void record_stamp(Record *r, const uint8_t boot[static 16]) {
        memcpy(r->boot, boot, sizeof(r->boot));
        r->time_usec = clock_wall_usec();
        r->flags = clock_is_trusted() ? RECORD_CLOCK_TRUSTED : 0;
}

int journal_append_raw(StoreTxn *t, JournalState *s, const Record *r, Slice raw, Error *err) {
        uint8_t trail[16];
        be64_put(trail, r->tx);
        be64_put(trail + 8, r->seq);
        int q = store_append(t, STORE_RECORDS, SLICE(trail + 8, 8), raw, err);
        if (q == 0)
                q = store_put(t, STORE_TRAILS, SLICE(trail, sizeof(trail)), SLICE("", 0), err);
        if (q < 0)
                return q;
        s->head_seq = r->seq;
        record_hash(raw.data, raw.size, s->head_hash);
        return 0;
}

int journal_append(StoreTxn *t, JournalState *s, Record *r, Error *err) {
        if (r->n_body > RECORD_BODY_MAX)
                return error_set(err, -EMSGSIZE, ERR_UNSUPPORTED, NULL,
                                 "a record of the journal would be longer than 64 MiB");
        r->seq = MAX(r->seq, s->head_seq + 1);
        memcpy(r->prev, s->head_hash, sizeof(r->prev));
        if (r->kind == RECORD_BEGIN)
                r->tx = r->seq;
        size_t size = record_encoded_size(r);
        _cleanup_free_ uint8_t *buf = malloc(size);
        if (!buf)
                return error_no_memory(err);
        record_encode(r, buf);
        return journal_append_raw(t, s, r, SLICE(buf, size), err);
}

int state_write(StoreTxn *t, const JournalState *s, Error *err) {
        StateRow row;
        state_encode(s, &row);
        return store_put(t, STORE_STATE, SLICE(STATE_KEY, strlen(STATE_KEY)), SLICE(&row, sizeof(row)), err);
}

/* A transaction of its own, or (NOTE) maybe none. */
static int record_order(JournalWrite *w, const Record *draft, Record *ret, OrderEntry **ret_entry, Error *err) {
        OrderEntry fresh = {0};
        *ret = *draft;
        *ret_entry = NULL;
        if (record_prefix_size(draft->kind) > 0 || draft->kind == RECORD_GENESIS)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "cannot write a record \"%s\" like others",
                                 record_slug(draft->kind));
        if (draft->kind == RECORD_BEGIN) {
                fresh.tx = ret->tx = w->state.head_seq + 1;
                return order_add(&w->orders, &fresh, ret_entry, err);
        }
        if (ret->tx == 0)
                ret->tx = w->begin;
        if (ret->tx == 0 && ret->kind == RECORD_NOTE)
                return 0;
        return order_load(w, ret->tx, ret_entry, err);
}

static int write_usable(const JournalWrite *w, Error *err) {
        return w->is_failed
                       ? error_set(err, -ECANCELED, ERR_FAILED, NULL, "this write of the journal has failed before")
                       : 0;
}

/* A write that failed half way must not be committed: LMDB may be in the middle of it. */
static int write_judge(JournalWrite *w, int r, Error *err) {
        if (r < 0 && r != -ENOENT)
                w->is_failed = true;
        else
                w->is_changed = true;
        return journal_judge(w->journal, r, err);
}

int journal_write_record(JournalWrite *w, const Record *draft, uint64_t *ret_seq, Error *err) {
        Record record;
        OrderEntry *order;
        int r = write_usable(w, err);
        if (r == 0)
                r = record_order(w, draft, &record, &order, err);
        if (r == 0 && order)
                r = tx_order_next(&order->order, record.kind, record.step, err);
        if (r < 0)
                return error_context(err, r, "transaction %" PRIu64, draft->tx ? draft->tx : w->begin);
        record.seq = 0;
        record_stamp(&record, w->journal->boot);
        r = write_judge(w, journal_append(w->txn, &w->state, &record, err), err);
        if (r < 0)
                return r;
        if (record.kind == RECORD_BEGIN)
                w->begin = record.seq;
        if (order)
                order->last_seq = record.seq;
        w->row_seq = record.seq;
        if (ret_seq)
                *ret_seq = record.seq;
        return 0;
}

/* ---- Rows and keys ---- */

/* Takes a row's or key's part out of the sums. -ENOENT when there was none. */
static int sums_take(JournalWrite *w, StoreDb db, Slice key, Error *err) {
        RowView view;
        Slice old;
        int r = store_get(w->txn, db, key, &old, err);
        if (r < 0)
                return r;
        if (db == STORE_KEYS) {
                w->state.n_keys--;
                w->state.keys_sum -= key_crc(be64_get(key.data), old.data, old.size);
                return 0;
        }
        if (!row_decode(key, old, &view))
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, "Run: pawl journal verify",
                                 "the journal is damaged: the checksum of a row does not match");
        w->state.n_rows--;
        w->state.rows_sum -= view.crc;
        return 0;
}

static int row_put(JournalWrite *w, Slice key, const void *data, size_t size, Error *err) {
        Row row = {0};
        uint32_t crc;
        int r = sums_take(w, STORE_ROWS, key, err);
        if (r < 0 && r != -ENOENT)
                return r;
        r = row_encode(key, SLICE(data, size), w->row_seq, &row, &crc, err);
        if (r < 0)
                return r;
        _cleanup_free_ void *buf = row.data;
        r = store_put(w->txn, STORE_ROWS, key, SLICE(buf, row.size), err);
        if (r < 0)
                return r;
        w->state.n_rows++;
        w->state.rows_sum += crc;
        return 0;
}

int journal_write_row(JournalWrite *w, const char *key, const void *data, size_t size, Error *err) {
        size_t n_key = strlen(key);
        int r = write_usable(w, err);
        if (r < 0)
                return r;
        if (n_key == 0 || n_key > FORMAT_ROW_KEY_MAX || size > RECORD_BODY_MAX)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "cannot keep a row whose key has %zu characters",
                                 n_key);
        return write_judge(w, row_put(w, SLICE(key, n_key), data, size, err), err);
}

static int entry_drop(JournalWrite *w, StoreDb db, Slice key, Error *err) {
        int r = write_usable(w, err);
        if (r < 0)
                return r;
        r = sums_take(w, db, key, err);
        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = store_del(w->txn, db, key, err);
        return write_judge(w, r, err);
}

int journal_write_row_drop(JournalWrite *w, const char *key, Error *err) {
        size_t n = strlen(key);
        return n == 0 || n > FORMAT_ROW_KEY_MAX ? 0 : entry_drop(w, STORE_ROWS, SLICE(key, n), err);
}

int journal_write_get_row(JournalWrite *w, const char *key, RowList *ret, Error *err) {
        int r = write_usable(w, err);
        return r < 0 ? r : row_read(w->txn, key, ret, err);
}

int journal_write_get_rows(JournalWrite *w, const char *prefix, RowList *ret, Error *err) {
        *ret = (RowList){0};
        int r = write_usable(w, err);
        return r < 0 ? r : rows_read(w->txn, prefix, 0, ret, err);
}

int journal_write_key(JournalWrite *w, uint64_t tx, const void *wrapped, size_t size, Error *err) {
        uint8_t key[8];
        int r = write_usable(w, err);
        if (r < 0)
                return r;
        if (tx == 0)
                tx = w->begin;
        if (tx == 0 || size == 0)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "cannot keep a key that belongs to no transaction");
        be64_put(key, tx);
        r = sums_take(w, STORE_KEYS, SLICE(key, sizeof(key)), err);
        if (r == 0 || r == -ENOENT)
                r = store_put(w->txn, STORE_KEYS, SLICE(key, sizeof(key)), SLICE(wrapped, size), err);
        if (r == 0) {
                w->state.n_keys++;
                w->state.keys_sum += key_crc(tx, wrapped, size);
        }
        return write_judge(w, r, err);
}

int journal_write_key_drop(JournalWrite *w, uint64_t tx, Error *err) {
        uint8_t key[8];
        be64_put(key, tx);
        return entry_drop(w, STORE_KEYS, SLICE(key, sizeof(key)), err);
}

int write_rows_clear(JournalWrite *w, Error *err) {
        w->state.n_rows = 0;
        w->state.rows_sum = 0;
        return write_judge(w, store_drop_all(w->txn, STORE_ROWS, err), err);
}

/* ---- Beginning and ending ---- */

JournalWrite *journal_write_free(JournalWrite *w) {
        if (!w)
                return NULL;
        store_abort(w->txn);
        if (w->is_locked)
                journal_look_after_write(w->journal);
        if (w->is_locked)
                journal_unlock(w->journal->lock_fd);
        order_cache_done(&w->orders);
        free(w);
        return NULL;
}

int write_begin(Journal *j, JournalWrite **ret, Error *err) {
        int r = journal_usable(j, err);
        if (r < 0)
                return r;
        if (j->mode == JOURNAL_READ)
                return error_set(err, -EROFS, ERR_FAILED, NULL, "the journal is open for reading only");
        _cleanup_(journal_write_freep) JournalWrite *w = calloc(1, sizeof(*w));
        if (!w)
                return error_no_memory(err);
        w->journal = j;
        r = journal_lock(j->lock_fd, err);
        w->is_locked = r == 0;
        if (r == 0)
                journal_look_before_write(j);
        if (r == 0)
                r = store_begin(j->store, true, &w->txn, err);
        if (r == 0)
                r = journal_judge(j, state_read(w->txn, &w->state, err), err);
        if (r < 0)
                return r;
        w->row_seq = w->state.head_seq + 1;
        *ret = TAKE_PTR(w);
        return 0;
}

int journal_write_new(Journal *j, bool is_recovery, JournalWrite **ret, Error *err) {
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        uint64_t room;
        int r = write_begin(j, &w, err);
        if (r == 0)
                r = journal_room(j, w->txn, 2 * JOURNAL_ROOM_KEPT, &room, err);
        if (r < 0)
                return r;
        if (room < JOURNAL_ROOM_KEPT && !is_recovery)
                return error_set(err, -ENOSPC, ERR_JOURNAL_FULL, "Make room on the file system of the journal.",
                                 "the journal has no room left but what is kept for recovery");
        *ret = TAKE_PTR(w);
        return 0;
}

int journal_commit(JournalWrite **write, Error *err) {
        _cleanup_(journal_write_freep) JournalWrite *w = TAKE_PTR(*write);
        Journal *j = w->journal;
        int r = write_usable(w, err);
        if (r < 0 || !w->is_changed)
                return r;
        r = state_write(w->txn, &w->state, err);
        if (r < 0)
                return r;
        fault_point("journal-commit-before");
        r = store_commit(&w->txn, err);
        if (r < 0) {
                j->is_poisoned = true;
                return error_set(err, -EIO, ERR_JOURNAL_IO, "Run: pawl recover",
                                 "could not make the journal durable; the outcome is unknown until recovery: %s",
                                 strerror(-r));
        }
        fault_point("journal-commit-after");
        j->commits++;
        order_keep(w);
        return 0;
}

/* ---- Room ---- */

int journal_room(Journal *j, StoreTxn *t, uint64_t wanted, uint64_t *ret, Error *err) {
        StoreStat stat;
        struct stat st;
        int r = store_stat(t, false, &stat, err);
        if (r < 0)
                return r;
        uint64_t used = stat.n_pages * stat.page_size;
        for (int tries = 0; tries < 2; tries++) {
                if (fstat(store_fd(j->store), &st) < 0)
                        return error_set_errno(err, -errno, NULL, "could not look at the journal");
                uint64_t allocated = (uint64_t)st.st_blocks * 512;
                *ret = allocated > used ? allocated - used : 0;
                /* A file system that cannot reserve said yes all the same, and the blocks do not show. */
                if (tries == 1)
                        *ret = MAX(*ret, wanted);
                if (*ret >= wanted || mutant_is("no-prealloc"))
                        return 0;
                if (fs_reserve(store_fd(j->store), (off_t)(used + MAX(wanted, j->preallocate)), NULL) < 0 &&
                    fs_reserve(store_fd(j->store), (off_t)(used + wanted), NULL) < 0)
                        break;
                /* A power cut may take the blocks back and leave the disk to others: fdatasync does not keep them. */
                if (fs_sync_fd(store_fd(j->store), NULL) < 0)
                        break;
        }
        /* The disk is full: what a checkpoint freed inside of the file counts too. LMDB shows its free list to
         * readers only. */
        _cleanup_(store_abortp) StoreTxn *reader = NULL;
        r = store_begin(j->store, false, &reader, err);
        if (r == 0)
                r = store_stat(reader, true, &stat, err);
        if (r == 0)
                *ret += stat.n_free * stat.page_size;
        return r;
}

int journal_reserve(Journal *j, uint64_t plan_size, Error *err) {
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        uint64_t room;
        if (plan_size > UINT64_MAX / 8)
                return error_set(err, -ENOSPC, ERR_JOURNAL_FULL, NULL, "the plan is too large for the journal");
        uint64_t wanted = plan_size * 3 + (1u << 20);
        int r = write_begin(j, &w, err);
        if (r == 0)
                r = journal_room(j, w->txn, wanted, &room, err);
        if (r < 0)
                return r;
        if (room < wanted && !mutant_is("no-prealloc"))
                return error_set(err, -ENOSPC, ERR_JOURNAL_FULL, "Make room on the file system of the journal.",
                                 "the journal has %" PRIu64 " KiB of room, the flow may need %" PRIu64 " KiB",
                                 room >> 10, wanted >> 10);
        return 0;
}
