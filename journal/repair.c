/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: a new journal is built aside from the longest chain that still checks, taken by turns from the damaged
 * environment and from segments/; it ends with REPAIR, which says what is lost; then the two are exchanged. The
 * damaged one is kept.
 *
 * The numbers of lost records are not given again: marks on objects outside name them.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "journal/salvage.h"

enum {
        BATCH = 1000,
        TURNS_MAX = 1000,
        UNSEEN_MAX = 4096, /* records behind the last one that is left, where nothing tells how many there were */
};

/* A transaction that has no END yet, and the record in front of its BEGIN. */
typedef struct OpenTx {
        uint64_t tx;
        Anchor before;
} OpenTx;

typedef struct Repair {
        const JournalOptions *options;
        const JournalRepair *how;
        Journal *journal; /* the new one */
        JournalWrite *write;
        JournalState old; /* of the damaged one, if it reads */
        bool has_old, has_base, want_keys;
        unsigned n_batch;
        uint64_t n_taken;
        uint64_t highest; /* greatest seq seen anywhere */
        uint64_t end;     /* of the damaged journal; 0: it cannot be told */
        OpenTx *open;     /* owned; in the order of their BEGINs */
        size_t n_open;
} Repair;

/* ---- Taking records ---- */

/* Where the new chain begins: as the old one did, or (its state does not read) with the first record that is found. */
static int base_set(Repair *p, const Record *first, Error *err) {
        StoreTxn *t = NULL;
        JournalState s = {.first_seq = p->has_old ? p->old.first_seq : first->seq};
        memcpy(s.first_prev, p->has_old ? p->old.first_prev : first->prev, sizeof(s.first_prev));
        memcpy(s.head_hash, s.first_prev, sizeof(s.head_hash));
        memcpy(s.id, p->old.id, sizeof(s.id));
        s.head_seq = s.first_seq - 1;
        int r = store_begin(p->journal->store, true, &t, err);
        if (r < 0)
                return r;
        r = state_write(t, &s, err);
        if (r < 0) {
                store_abort(t);
                return r;
        }
        p->has_base = true;
        return store_commit(&t, err);
}

static int batch_begin(Repair *p, Error *err) {
        return p->write ? 0 : write_begin(p->journal, &p->write, err);
}

static int batch_end(Repair *p, Error *err) {
        p->n_batch = 0;
        return p->write ? journal_commit(&p->write, err) : 0;
}

static int open_add(Repair *p, uint64_t tx, Error *err) {
        const JournalState *s = &p->write->state;
        OpenTx *more = realloc(p->open, (p->n_open + 1) * sizeof(*more));
        if (!more)
                return error_no_memory(err);
        p->open = more;
        p->open[p->n_open] = (OpenTx){.tx = tx, .before.seq = s->head_seq};
        memcpy(p->open[p->n_open++].before.hash, s->head_hash, sizeof(s->head_hash));
        return 0;
}

static void open_drop(Repair *p, uint64_t tx) {
        for (size_t i = 0; i < p->n_open; i++)
                if (p->open[i].tx == tx) {
                        p->n_open--;
                        memmove(&p->open[i], &p->open[i + 1], (p->n_open - i) * sizeof(OpenTx));
                        return;
                }
}

static int take_record(Repair *p, Slice raw, Error *err) {
        Record record;
        if (record_decode(raw.data, raw.size, &record, NULL) < 0)
                return 0;
        p->highest = MAX(p->highest, record.seq);
        int r = p->has_base ? 0 : base_set(p, &record, err);
        if (r == 0)
                r = batch_begin(p, err);
        if (r < 0)
                return r;
        JournalState *s = &p->write->state;
        if (!record_follows(&record, s->head_seq + 1) || memcmp(record.prev, s->head_hash, sizeof(s->head_hash)) != 0)
                return 0;
        r = record.kind == RECORD_BEGIN ? open_add(p, record.seq, err) : 0;
        if (r == 0)
                r = journal_append_raw(p->write->txn, s, &record, raw, err);
        if (r < 0)
                return r;
        if (record.kind == RECORD_END)
                open_drop(p, record.tx);
        if (record.kind == RECORD_GENESIS)
                memcpy(s->id, s->head_hash, sizeof(s->id));
        p->write->is_changed = true;
        p->n_taken++;
        return ++p->n_batch < BATCH ? 0 : batch_end(p, err);
}

static int see_key(uint64_t tx, Slice wrapped, void *userdata, Error *err) {
        Repair *p = userdata;
        return tx > p->write->state.head_seq ? 0 : journal_write_key(p->write, tx, wrapped.data, wrapped.size, err);
}

static int see_found(FoundKind kind, Slice data, void *userdata, Error *err) {
        Repair *p = userdata;
        switch (kind) {
        case FOUND_STATE:
                if (!p->has_base && state_decode(data.data, data.size, &p->old, NULL) == 0)
                        p->has_old = true;
                return 0;
        case FOUND_END:
                p->end = data.size == 8 ? be64_get(data.data) : 0;
                return 0;
        case FOUND_RECORD:
                return take_record(p, data, err);
        case FOUND_KEY:
                if (!p->want_keys || data.size <= 8)
                        return 0;
                return see_key(be64_get(data.data), SLICE((const uint8_t *)data.data + 8, data.size - 8), p, err);
        }
        return 0;
}

typedef struct SegmentTurn {
        Repair *repair;
        Error *err;
} SegmentTurn;

static int see_segment(const Record *r, Slice raw, void *userdata) {
        SegmentTurn *turn = userdata;
        (void)r;
        return take_record(turn->repair, raw, turn->err);
}

/* Environment and segments by turns, until neither has the next record. */
static int take_all(Repair *p, Error *err) {
        SegmentTurn turn = {p, err};
        for (unsigned i = 0; i < TURNS_MAX; i++) {
                uint64_t before = p->n_taken;
                int r = i % 2 == 0 ? salvage(p->options, see_found, p, err)
                                   : segments_visit(p->options, "journal", see_segment, &turn, err);
                if (r == 0)
                        r = batch_end(p, err);
                if (r < 0)
                        return r;
                if (i > 0 && p->n_taken == before)
                        return 0;
        }
        return 0;
}

/* ---- The end of the new journal ---- */

static int write_repair(Repair *p, Error *err) {
        Anchor anchor;
        int r = anchor_read(p->options, &anchor, err);
        if (r < 0)
                return r;
        JournalState *s = &p->write->state;
        JournalLoss loss = {.from = s->head_seq + 1};
        loss.seen = MAX(MAX(p->highest, anchor.seq), MAX(p->has_old ? p->old.head_seq : 0, s->head_seq));
        loss.to = loss.seen;
        /* A transaction that was open is in no segment. What it left on the host carries its number: no other may. */
        if (p->end < loss.seen)
                loss.to += UNSEEN_MAX;
        RepairPrefix prefix = {.lost_from = htole64(loss.from), .lost_to = htole64(loss.to)};
        _cleanup_free_ void *body = NULL;
        size_t n_body = 0;
        r = p->how->make_body ? p->how->make_body(&loss, &body, &n_body, p->how->userdata) : 0;
        if (r < 0)
                return error_set(err, r, ERR_FAILED, NULL, "could not describe what the journal has lost");
        Record record = {.kind = RECORD_REPAIR, .step = RECORD_STEP_NONE, .seq = loss.to + 1};
        r = record_body_with_prefix(&prefix, sizeof(prefix), body, n_body, &record, err);
        if (r < 0)
                return r;
        _cleanup_free_ void *owned = (void *)record.body;
        (void)owned; /* its scope is what it is for */
        record_stamp(&record, p->options->boot);
        p->write->is_changed = true;
        r = journal_append(p->write->txn, s, &record, err);
        /* Nothing at all was left: the new journal is another one. */
        static const uint8_t none[16];
        if (r == 0 && memcmp(s->id, none, sizeof(none)) == 0)
                memcpy(s->id, s->head_hash, sizeof(s->id));
        return r;
}

/* REPAIR, the rows and the keys become durable together. */
static int finish(Repair *p, JournalReport *ret, Error *err) {
        Record nothing = {.seq = 1};
        int r = p->has_base ? 0 : base_set(p, &nothing, err);
        if (r == 0)
                r = batch_begin(p, err);
        if (r == 0)
                r = write_repair(p, err);
        p->want_keys = true;
        if (r == 0)
                r = salvage(p->options, see_found, p, err);
        if (r == 0)
                r = keys_visit(p->options, "journal", see_key, p, err);
        if (r == 0 && p->how->fold)
                r = rebuild_rows(p->write, p->how->fold, p->how->userdata, err);
        if (r < 0)
                return r;
        JournalState s = p->write->state;
        *ret = (JournalReport){
                .n_records = p->n_taken + 1,
                .first_seq = s.first_seq,
                .head_seq = s.head_seq,
                .n_rows = s.n_rows,
        };
        memcpy(ret->head_hash, s.head_hash, sizeof(ret->head_hash));
        return batch_end(p, err);
}

/* The database may be lost once more before the next flow ends. */
static int segments_make(Journal *j, const char *journal, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state;
        int r = journal_read_begin(j, &t, &state, err);
        if (r == 0)
                r = segments_append(j, journal, t, &state, err);
        return r < 0 ? r : keys_keep(j, journal, t, &state, err);
}

/* ---- Around it ---- */

static int damaged_name(const JournalOptions *o, char **ret, Error *err) {
        for (unsigned n = 1; n < 10000; n++) {
                char name[64];
                snprintf(name, sizeof(name), "journal.damaged-%u", n);
                _cleanup_free_ char *path = journal_name(o, name);
                if (!path)
                        return error_no_memory(err);
                if (!fs_exists(o->root, path)) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return error_set(err, -EEXIST, ERR_EXISTS, NULL, "there are too many damaged journals in \"%s\"", o->dir);
}

/* The new one first takes the name under which the damaged one will stay: then the exchange is the last step, and at no
 * moment is the damaged one called journal.new, which is removed on sight. */
static int put_in_place(const JournalOptions *o, const Anchor *anchor, Error *err) {
        _cleanup_free_ char *aside = journal_name(o, "journal.new"), *path = journal_name(o, "journal");
        _cleanup_free_ char *bad = journal_name(o, "journal.bad"), *kept = NULL;
        if (!aside || !path || !bad)
                return error_no_memory(err);
        int r = damaged_name(o, &kept, err);
        if (r == 0)
                r = fs_sync_tree(o->root, aside, err);
        if (r == 0)
                r = fs_rename_durably(o->root, aside, kept, err);
        fault_point("repair-before-exchange");
        if (r == 0)
                r = fs_publish_exchange(o->root, kept, path, err);
        fault_point("repair-after-exchange");
        if (r == 0)
                r = anchor_write(o, anchor, err);
        return r < 0 ? r : fs_unlink_durably(o->root, bad, err);
}

/* The anchor is never past the BEGIN of a transaction that has not ended: what it has passed, reading holds to have
 * ended. */
static Anchor anchor_for(const Repair *p, const JournalReport *report) {
        Anchor head = {.seq = report->head_seq};
        memcpy(head.hash, report->head_hash, sizeof(head.hash));
        return p->n_open > 0 ? p->open[0].before : head;
}

static int build(Repair *p, JournalReport *ret, Error *err) {
        _cleanup_(store_freep) Store *store = NULL;
        int r = journal_make_aside(p->options, "journal.new", &store, err);
        if (r == 0)
                r = journal_new(p->options, JOURNAL_WRITE, &store, &p->journal, err);
        if (r < 0)
                return r;
        /* The writers' lock is held by us already. */
        fd_close(&p->journal->lock_fd);
        r = take_all(p, err);
        if (r == 0)
                r = finish(p, ret, err);
        if (r == 0)
                r = segments_make(p->journal, "journal.new", err);
        p->write = journal_write_free(p->write);
        p->journal = journal_free(p->journal);
        return r;
}

static int is_sound(const JournalOptions *o, JournalReport *ret, Error *err) {
        ErrorCode code = ERR_JOURNAL_DAMAGED;
        int r = journal_check_metas(o, err);
        if (r == -EBADMSG)
                return 0;
        if (r == 0)
                r = verify_forked(o, VERIFY_ALL, ret, &code, err);
        if (r < 0)
                return r;
        if (code == ERR_JOURNAL_VERSION)
                return error_set(err, -EPROTONOSUPPORT, code, "Repair it with the pawl that wrote it.", "%s",
                                 ret->problem);
        return ret->problem[0] == '\0';
}

/* So that a repair that dies half way is known for one: until it is done again, nothing is changed. */
static int mark(const JournalOptions *o, const char *bad, const JournalReport *report, Error *err) {
        const char *text = report->problem[0] ? report->problem : "the journal is damaged";
        return fs_exists(o->root, bad) ? 0 : fs_replace_durably(o->root, bad, text, strlen(text), 0600, err);
}

/* A repair that died behind the exchange has left the anchor of the damaged journal, which may be past what is open
 * in this one. */
static int unmark(const JournalOptions *o, const char *bad, Error *err) {
        _cleanup_free_ char *anchor = journal_name(o, "journal.head");
        if (!anchor)
                return error_no_memory(err);
        bool is_bad = false;
        int r = fs_has(o->root, bad, &is_bad, err);
        if (is_bad)
                r = fs_unlink_durably(o->root, anchor, err);
        return r < 0 ? r : fs_unlink_durably(o->root, bad, err);
}

int journal_repair(const JournalOptions *o, const JournalRepair *how, JournalReport *ret, Error *err) {
        Repair repair = {.options = o, .how = how};
        _cleanup_close_ int lock = -1;
        _cleanup_free_ char *bad = journal_name(o, "journal.bad");
        JournalReport report = {0};
        if (!bad)
                return error_no_memory(err);
        int r = journal_exists(o, err);
        if (r < 0)
                return r;
        r = journal_lock_new(o->root, o->lock_dir, "journal-writer", &lock, err);
        if (r == 0)
                r = journal_lock(lock, err);
        if (r == 0)
                r = is_sound(o, &report, err);
        if (r < 0)
                return r;
        if (r == 1) {
                *ret = report;
                r = unmark(o, bad, err);
                return r < 0 ? r : 1;
        }
        r = mark(o, bad, &report, err);
        if (r == 0)
                r = build(&repair, &report, err);
        Anchor anchor = anchor_for(&repair, &report);
        if (r == 0)
                r = put_in_place(o, &anchor, err);
        free(repair.open);
        if (r == 0)
                *ret = report;
        return r;
}
