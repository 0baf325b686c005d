/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. Every call is one short read transaction; what it hands out is checked and copied.
 *
 * A record that must be there (its seq lies between the first kept and the head) and is not is damage, not "not found".
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "journal/internal.h"

int state_read(StoreTxn *t, JournalState *ret, Error *err) {
        Slice value;
        int r = store_get(t, STORE_STATE, SLICE(STATE_KEY, strlen(STATE_KEY)), &value, err);
        if (r == -ENOENT)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "the journal is damaged: it has no state");
        return r < 0 ? r : state_decode(value.data, value.size, ret, err);
}

int journal_read_begin(Journal *j, StoreTxn **ret, JournalState *ret_state, Error *err) {
        int r = journal_usable(j, err);
        if (r < 0)
                return r;
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        r = store_begin(j->store, false, &t, err);
        if (r == 0)
                r = state_read(t, ret_state, err);
        if (r == 0)
                *ret = TAKE_PTR(t);
        return journal_judge(j, r, err);
}

int record_read(StoreTxn *t, uint64_t seq, Record *ret, Slice *ret_raw, Error *err) {
        uint8_t key[8];
        Slice raw;
        be64_put(key, seq);
        int r = store_get(t, STORE_RECORDS, SLICE(key, sizeof(key)), &raw, err);
        if (r < 0)
                return r;
        Record record;
        r = record_decode(raw.data, raw.size, &record, err);
        if (r < 0)
                return error_context(err, r, "record %" PRIu64, seq);
        if (record.seq != seq)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: where record %" PRIu64 " must be is record %" PRIu64, seq,
                                 record.seq);
        *ret = record;
        if (ret_raw)
                *ret_raw = raw;
        return 0;
}

bool record_follows(const Record *r, uint64_t expected) {
        RepairPrefix p;
        if (r->seq == expected)
                return true;
        if (r->kind != RECORD_REPAIR || r->n_body < sizeof(p))
                return false;
        memcpy(&p, r->body, sizeof(p));
        return le64toh(p.lost_from) == expected && le64toh(p.lost_to) == r->seq - 1;
}

int record_next(StoreTxn *t, uint64_t expected, bool is_first, Record *ret, Slice *ret_raw, Error *err) {
        uint8_t from[8];
        Slice raw, key = SLICE(from, sizeof(from));
        be64_put(from, expected);
        int r = store_seek(t, STORE_RECORDS, is_first ? SEEK_AT_LEAST : SEEK_NEXT, &key, &raw, err);
        if (r < 0)
                return r;
        Record record;
        r = record_decode(raw.data, raw.size, &record, err);
        if (r < 0)
                return error_context(err, r, "record %" PRIu64, expected);
        if (key.size != sizeof(from) || be64_get(key.data) != record.seq || !record_follows(&record, expected))
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: record %" PRIu64 " is missing", expected);
        *ret = record;
        if (ret_raw)
                *ret_raw = raw;
        return 0;
}

int record_read_kept(StoreTxn *t, uint64_t seq, Record *ret, Slice *ret_raw, Error *err) {
        int r = record_read(t, seq, ret, ret_raw, err);
        if (r != -ENOENT)
                return r;
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                         "the journal is damaged: record %" PRIu64 " is missing", seq);
}

int record_lost(StoreTxn *t, uint64_t seq, Error *err) {
        uint8_t from[8];
        Slice raw, key = SLICE(from, sizeof(from));
        Record record;
        RepairPrefix p;
        be64_put(from, seq);
        int r = store_seek(t, STORE_RECORDS, SEEK_AT_LEAST, &key, &raw, err);
        if (r == 0)
                r = record_decode(raw.data, raw.size, &record, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && record.kind == RECORD_REPAIR && record.n_body >= sizeof(p)) {
                memcpy(&p, record.body, sizeof(p));
                if (le64toh(p.lost_from) <= seq && seq <= le64toh(p.lost_to))
                        return -ENOENT;
        }
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                         "the journal is damaged: record %" PRIu64 " is missing", seq);
}

int record_list_add(RecordList *l, const Record *r, Error *err) {
        /* Powers of two: the list has no room of its own to remember what it has allocated. */
        if ((l->n & (l->n - 1)) == 0) {
                Record *more = realloc(l->records, MAX(l->n * 2, (size_t)1) * sizeof(*more));
                if (!more)
                        return error_no_memory(err);
                l->records = more;
        }
        int q = record_copy(r, &l->records[l->n], err);
        if (q == 0)
                l->n++;
        return q;
}

int journal_get(Journal *j, uint64_t seq, RecordList *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        _cleanup_record_list_ RecordList list = {0};
        JournalState state = {0};
        Record record = {0};
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0)
                return r;
        if (seq < state.first_seq || seq > state.head_seq)
                return -ENOENT;
        r = record_read(t, seq, &record, NULL, err);
        /* Not there: told to be lost by a REPAIR (then the gap before that one begins at or before seq), or damage. */
        if (r == -ENOENT)
                r = record_lost(t, seq, err);
        if (r == 0)
                r = record_hide_prefix(&record, err);
        if (r == 0)
                r = record_list_add(&list, &record, err);
        if (r < 0)
                return journal_judge(j, r, err);
        *ret = list;
        list = (RecordList){0};
        return 0;
}

/* Moves the cursor of `trails` to the next record of the transaction; -ENOENT after the last. */
static int trail_next(StoreTxn *t, uint64_t tx, bool is_first, uint64_t *ret_seq, Error *err) {
        uint8_t from[16];
        be64_put(from, tx);
        be64_put(from + 8, 0);
        Slice key = SLICE(from, sizeof(from));
        int r = store_seek(t, STORE_TRAILS, is_first ? SEEK_AT_LEAST : SEEK_NEXT, &key, NULL, err);
        if (r < 0)
                return r;
        if (key.size != sizeof(from))
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: a trail has no key");
        if (be64_get(key.data) != tx)
                return -ENOENT;
        *ret_seq = be64_get((const uint8_t *)key.data + 8);
        return 0;
}

typedef struct TrailWalk {
        StoreTxn *txn;
        uint64_t tx;
        uint64_t first_seq; /* first kept record of the journal */
        uint64_t last_seq;  /* of the transaction */
        uint64_t n_records;
        TxOrder order;
} TrailWalk;

/* A transaction whose BEGIN was dropped by a checkpoint has lost its beginning: its order cannot be told. */
static bool trail_has_order(const TrailWalk *w) {
        return w->tx != 0 && w->tx >= w->first_seq;
}

/* One record of the transaction: 0, or -ENOENT after the last. */
static int trail_step(TrailWalk *w, Record *ret, Error *err) {
        uint64_t seq;
        int r = trail_next(w->txn, w->tx, w->last_seq == 0, &seq, err);
        if (r < 0)
                return r;
        r = record_read_kept(w->txn, seq, ret, NULL, err);
        if (r < 0)
                return r;
        if (ret->tx != w->tx || seq <= w->last_seq)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: record %" PRIu64 " is not of transaction %" PRIu64, seq,
                                 w->tx);
        w->last_seq = seq;
        w->n_records++;
        return trail_has_order(w) ? tx_order_next(&w->order, ret->kind, ret->step, err) : 0;
}

/* The list of a transaction's records may be damaged too: it must begin with BEGIN, and what the anchor has passed
 * has ended. */
static int trail_check(const TrailWalk *w, const JournalState *s, uint64_t anchor, Error *err) {
        Record record = {0};
        if (!trail_has_order(w) || w->tx > s->head_seq)
                return 0;
        if (w->last_seq != 0 && (w->tx > anchor || w->order.phase == TX_ENDED))
                return 0;
        int r = w->last_seq == 0 ? record_read(w->txn, w->tx, &record, NULL, err) : 0;
        /* Nothing under that number: it is lost and told so, or not a transaction's, or damaged. */
        if (r == -ENOENT && (r = record_lost(w->txn, w->tx, err)) == -ENOENT)
                return 0;
        if (r == 0 && w->last_seq == 0 && record.kind != RECORD_BEGIN)
                return 0;
        if (r < 0)
                return r;
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                         "the journal is damaged: records of transaction %" PRIu64 " are missing", w->tx);
}

int journal_get_tx(Journal *j, uint64_t tx, RecordList *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        _cleanup_record_list_ RecordList list = {0};
        JournalState state = {0};
        Record record = {0};
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0)
                return r;
        TrailWalk walk = {.txn = t, .tx = tx, .first_seq = state.first_seq};
        while ((r = trail_step(&walk, &record, err)) == 0) {
                r = record_hide_prefix(&record, err);
                if (r == 0)
                        r = record_list_add(&list, &record, err);
                if (r < 0)
                        break;
        }
        if (r == -ENOENT)
                r = trail_check(&walk, &state, j->anchor_seq, err);
        tx_order_done(&walk.order);
        if (r < 0)
                return journal_judge(j, r, err);
        *ret = list;
        list = (RecordList){0};
        return 0;
}

int trail_order(StoreTxn *t, uint64_t tx, uint64_t first_seq, OrderEntry *ret, Error *err) {
        TrailWalk walk = {.txn = t, .tx = tx, .first_seq = first_seq};
        Record record;
        int r;
        while ((r = trail_step(&walk, &record, err)) == 0)
                continue;
        if (r != -ENOENT) {
                tx_order_done(&walk.order);
                return r;
        }
        *ret = (OrderEntry){.tx = tx, .last_seq = walk.last_seq, .n_records = walk.n_records, .order = walk.order};
        return 0;
}

int trail_last(StoreTxn *t, uint64_t tx, uint64_t *ret, Error *err) {
        uint8_t after[16];
        be64_put(after, tx + 1);
        be64_put(after + 8, 0);
        Slice key = SLICE(after, sizeof(after));
        int r = store_seek(t, STORE_TRAILS, SEEK_AT_LEAST, &key, NULL, err);
        r = r == -ENOENT ? store_seek(t, STORE_TRAILS, SEEK_LAST, &key, NULL, err)
            : r < 0      ? r
                         : store_seek(t, STORE_TRAILS, SEEK_PREV, &key, NULL, err);
        if (r < 0 && r != -ENOENT)
                return r;
        bool is_ours = r == 0 && key.size == sizeof(after) && be64_get(key.data) == tx;
        *ret = is_ours ? be64_get((const uint8_t *)key.data + 8) : 0;
        return 0;
}

static int scan(Journal *j, uint64_t from, RecordVisit visit, void *userdata, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state = {0};
        Record record = {0};
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0)
                return r;
        uint64_t start = MAX(from, state.first_seq), seq = start;
        while (seq <= state.head_seq) {
                r = record_next(t, seq, seq == start, &record, NULL, err);
                /* Whoever begins inside a lost range begins at the REPAIR behind it. */
                if (r == -EBADMSG && seq == start && record_lost(t, seq, NULL) == -ENOENT) {
                        start = ++seq;
                        continue;
                }
                if (r == -ENOENT)
                        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                         "the journal is damaged: record %" PRIu64 " is missing", seq);
                seq = r == 0 ? record.seq + 1 : seq;
                if (r == 0)
                        r = record_hide_prefix(&record, err);
                if (r == 0)
                        r = visit(&record, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int journal_scan(Journal *j, uint64_t from, RecordVisit visit, void *userdata, Error *err) {
        return journal_judge(j, scan(j, from, visit, userdata, err), err);
}
