/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping the oldest records, and making the rows again. Each is one transaction of the store: a power cut leaves
 * the journal as before or as after.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "journal/internal.h"

/* Puts the journal's own part in front of the body. Owned by the caller. */
int record_body_with_prefix(const void *prefix, size_t n_prefix, const void *body, size_t n_body, Record *ret,
                            Error *err) {
        if (n_body > RECORD_BODY_MAX - n_prefix)
                return error_set(err, -EMSGSIZE, ERR_UNSUPPORTED, NULL,
                                 "a record of the journal would be longer than 64 MiB");
        uint8_t *whole = malloc(n_prefix + n_body);
        if (!whole)
                return error_no_memory(err);
        memcpy(whole, prefix, n_prefix);
        if (n_body > 0)
                memcpy(whole + n_prefix, body, n_body);
        ret->body = whole;
        ret->n_body = n_prefix + n_body;
        return 0;
}

/* Deletes one record with its trail. Its hash is handed out; *seq moves on. */
static int drop_first(JournalWrite *w, uint64_t *seq, uint8_t ret_hash[static 32], Error *err) {
        uint8_t trail[16];
        Record record;
        Slice raw;
        /* Always by a new seek: the one before deleted what the cursor stood on. */
        int r = record_next(w->txn, *seq, true, &record, &raw, err);
        if (r < 0)
                return r;
        record_hash(raw.data, raw.size, ret_hash);
        be64_put(trail, record.tx);
        be64_put(trail + 8, record.seq);
        r = store_del(w->txn, STORE_RECORDS, SLICE(trail + 8, 8), err);
        if (r == 0)
                r = store_del(w->txn, STORE_TRAILS, SLICE(trail, sizeof(trail)), err);
        *seq = record.seq + 1;
        return r;
}

/* A cut inside of a range told lost would leave a journal that begins with nothing before it. */
static int drop_before(JournalWrite *w, uint64_t first_kept, uint8_t ret_hash[static 32], Error *err) {
        uint64_t seq = w->state.first_seq;
        while (seq < first_kept) {
                int r = drop_first(w, &seq, ret_hash, err);
                if (r < 0)
                        return r == -ENOENT ? error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                                        "the journal is damaged: record %" PRIu64 " is missing", seq)
                                            : r;
        }
        if (seq != first_kept)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "there is no record %" PRIu64 " to keep", first_kept);
        return 0;
}

/* Keys of transactions that have no BEGIN any more go, but for those still asked for. Always by a new seek: the one
 * before may have deleted. */
static int drop_keys(JournalWrite *w, uint64_t first_kept, const JournalCheckpoint *how, Error *err) {
        for (uint64_t from = 0;;) {
                uint8_t at[8];
                Slice key = SLICE(at, sizeof(at));
                be64_put(at, from);
                int r = store_seek(w->txn, STORE_KEYS, SEEK_AT_LEAST, &key, NULL, err);
                if (r < 0 || key.size != sizeof(at))
                        return r == -ENOENT ? 0 : r;
                uint64_t tx = be64_get(key.data);
                if (tx >= first_kept)
                        return 0;
                if (!how->keeps_key || !how->keeps_key(tx, how->userdata))
                        r = journal_write_key_drop(w, tx, err);
                if (r < 0)
                        return r;
                from = tx + 1;
        }
}

static int checkpoint_write(JournalWrite *w, uint64_t first_kept, const JournalCheckpoint *how, Error *err) {
        CheckpointPrefix prefix = {.first_kept = htole64(first_kept)};
        _cleanup_free_ void *body = NULL;
        size_t n_body = 0;
        int r = how->make_body(w, &body, &n_body, how->userdata, err);
        if (r == 0)
                r = drop_before(w, first_kept, prefix.dropped_hash, err);
        if (r == 0)
                r = drop_keys(w, first_kept, how, err);
        if (r < 0)
                return r;
        w->state.first_seq = first_kept;
        memcpy(w->state.first_prev, prefix.dropped_hash, sizeof(prefix.dropped_hash));
        Record record = {.kind = RECORD_CHECKPOINT, .step = RECORD_STEP_NONE};
        r = record_body_with_prefix(&prefix, sizeof(prefix), body, n_body, &record, err);
        if (r < 0)
                return r;
        _cleanup_free_ void *owned = (void *)record.body;
        (void)owned; /* its scope is what it is for */
        record_stamp(&record, w->journal->boot);
        w->is_changed = true;
        return journal_append(w->txn, &w->state, &record, err);
}

/* What the cut deletes must be sound, and be in segments/ first. */
static int checkpoint_prepare(Journal *j, uint64_t first_kept, Error *err) {
        JournalOptions o = journal_options(j);
        JournalReport report;
        ErrorCode code;
        int r = verify_forked(&o, VERIFY_ALL, &report, &code, err);
        if (r < 0)
                return r;
        if (report.problem[0] != '\0')
                return journal_mark_bad(&o, error_set(err, -EBADMSG, code, NULL, "%s", report.problem), err);
        if (first_kept <= report.first_seq || first_kept > report.head_seq)
                return error_set(err, -EINVAL, ERR_FAILED, NULL,
                                 "cannot cut the journal at record %" PRIu64 ": it holds %" PRIu64 " to %" PRIu64,
                                 first_kept, report.first_seq, report.head_seq);
        return journal_anchor(j, 0, err);
}

int journal_checkpoint_with(Journal *j, uint64_t first_kept, const JournalCheckpoint *how, Error *err) {
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        int r = journal_usable(j, err);
        if (r == 0)
                r = checkpoint_prepare(j, first_kept, err);
        if (r == 0)
                r = write_begin(j, &w, err);
        if (r == 0)
                r = checkpoint_write(w, first_kept, how, err);
        if (r == 0)
                r = journal_commit(&w, err);
        /* The keys that went are to go from segments/ too. */
        if (r == 0)
                r = journal_anchor(j, 0, err);
        return r < 0 ? r : segments_drop(j, first_kept, err);
}

static int given_body(JournalWrite *w, void **ret, size_t *ret_size, void *userdata, Error *err) {
        const Slice *body = userdata;
        (void)w;
        void *copy = malloc(body->size + 1);
        if (!copy)
                return error_no_memory(err);
        if (body->size > 0)
                memcpy(copy, body->data, body->size);
        *ret = copy;
        *ret_size = body->size;
        return 0;
}

int journal_checkpoint(Journal *j, uint64_t first_kept, const void *body, size_t n_body, Error *err) {
        Slice given = SLICE(body, n_body);
        JournalCheckpoint how = {.make_body = given_body, .userdata = &given};
        return journal_checkpoint_with(j, first_kept, &how, err);
}

int rebuild_rows(JournalWrite *w, RecordFold fold, void *userdata, Error *err) {
        uint64_t start = w->state.first_seq, head = w->state.head_seq;
        int r = write_rows_clear(w, err);
        for (uint64_t seq = start; r == 0 && seq <= head;) {
                Record record;
                r = record_next(w->txn, seq, true, &record, NULL, err);
                if (r == -ENOENT)
                        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                         "the journal is damaged: record %" PRIu64 " is missing", seq);
                if (r < 0)
                        return r;
                seq = record.seq + 1;
                /* A copy: the fold writes rows, and a write moves what was borrowed. */
                Record copy = {0};
                w->row_seq = record.seq;
                r = record_hide_prefix(&record, err);
                if (r == 0)
                        r = record_copy(&record, &copy, err);
                if (r < 0)
                        return r;
                _cleanup_free_ void *owned = (void *)copy.body;
                (void)owned; /* its scope is what it is for */
                r = fold(w, &copy, userdata, err);
        }
        return r;
}

int journal_rebuild(Journal *j, RecordFold fold, void *userdata, Error *err) {
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        int r = write_begin(j, &w, err);
        if (r == 0)
                r = rebuild_rows(w, fold, userdata, err);
        return r < 0 ? r : journal_commit(&w, err);
}
