/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as a thing of its own: its numbers, its records, and what is done when it is damaged. */
#include <errno.h>
#include <string.h>

#include "core/base/json.h"
#include "core/body.h"
#include "core/record_view.h"
#include "core/rows.h"

#define BATCH 64 /* records read at once for the export */

static int no_journal(Error *err) {
        return error_set(err, -ENOENT, ERR_JOURNAL_MISSING, "\"pawl init\" or the first deploy makes it.",
                         "there is no journal here");
}

static int set_hex(Value *map, const char *name, const void *data, size_t size, Error *err) {
        char hex[2 * 32 + 1];
        hex_encode(data, MIN(size, (size_t)32), hex);
        return value_set_text(map, name, hex, err);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

int engine_journal_stat(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        JournalStat stat;
        size_t n_rows = 0, n_open = 0;
        if (!v)
                return error_no_memory(err);
        if (!e->journal)
                return no_journal(err);
        int r = journal_stat(e->journal, &stat, err);
        if (r == 0)
                r = journal_row_count(e->journal, "", &n_rows, err);
        if (r == 0)
                r = journal_row_count(e->journal, "open/", &n_open, err);
        if (r < 0)
                return r;
        const struct {
                const char *name;
                uint64_t value;
        } numbers[] = {
                {"records", stat.head_seq - stat.first_seq + 1},
                {"first", stat.first_seq},
                {"head", stat.head_seq},
                {"anchor", stat.anchor_seq},
                {"rows", n_rows},
                {"open", n_open},
                {"bytes", stat.bytes_used},
                {"allocated", stat.bytes_allocated},
                {"map", stat.map_size},
                {"format", stat.format},
        };
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(numbers); i++)
                r = value_set_int(v, numbers[i].name, (int64_t)numbers[i].value, err);
        if (r < 0 || (r = set_hex(v, "hash", stat.head_hash, sizeof(stat.head_hash), err)) < 0 ||
            (r = set_hex(v, "id", journal_id(e->journal), 16, err)) < 0 ||
            (r = value_set_text(v, "lmdb", stat.lmdb_version, err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

/* Copies: while the journal is read it may not be asked for the plan a record belongs to. */
typedef struct Batch {
        RecordList list;
        size_t allocated;
        bool is_out_of_memory;
} Batch;

static void batch_done(Batch *b) {
        record_list_done(&b->list);
}
#define _cleanup_batch_ _cleanup_(batch_done)

static int batch_add(const Record *record, void *userdata) {
        Batch *b = userdata;
        if (b->list.n == b->allocated)
                return 1;
        uint8_t *body = malloc(record->n_body + 1);
        b->is_out_of_memory = !body;
        if (!body)
                return 1;
        if (record->n_body > 0)
                memcpy(body, record->body, record->n_body);
        Record *copy = &b->list.records[b->list.n++];
        *copy = *record;
        copy->body = body;
        return 0;
}

static int batch_read(Journal *j, uint64_t from, size_t limit, Batch *ret, Error *err) {
        *ret = (Batch){.list.records = calloc(MAX(limit, (size_t)1), sizeof(Record)), .allocated = limit};
        if (!ret->list.records)
                return error_no_memory(err);
        int r = journal_scan(j, from, batch_add, ret, err);
        if (ret->is_out_of_memory)
                return error_no_memory(err);
        return MIN(r, 0);
}

int engine_journal_list(Engine *e, uint64_t from, size_t limit, Value **ret, Error *err) {
        _cleanup_batch_ Batch batch = {0};
        _cleanup_record_view_ RecordView view = {.journal = e->journal};
        _cleanup_(value_freep) Value *result = value_new_map(), *records = value_new_array();
        JournalStat stat;
        if (!result || !records)
                return error_no_memory(err);
        if (!e->journal)
                return no_journal(err);
        int r = journal_stat(e->journal, &stat, err);
        if (r < 0)
                return r;
        if (from == 0 && limit > 0 && stat.head_seq > limit)
                from = stat.head_seq - limit + 1;
        from = MAX(from, stat.first_seq);
        size_t all = from <= stat.head_seq ? (size_t)(stat.head_seq - from + 1) : 0;
        r = batch_read(e->journal, from, limit > 0 ? MIN(limit, all) : all, &batch, err);
        for (size_t i = 0; r == 0 && i < batch.list.n; i++) {
                Value *one = NULL;
                r = record_view(&view, &batch.list.records[i], &one, err);
                if (r == 0)
                        r = value_append(records, one, err);
        }
        if (r == 0)
                r = value_set(result, "records", TAKE_PTR(records), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}

/* ---- Export ------------------------------------------------------------------------------------------------------ */

/* `hash` is what the next record chains to; NULL where that is not known. */
static int export_record(RecordView *view, const Record *record, const uint8_t *hash, char **ret, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        int r = record_view(view, record, &v, err);
        if (r == 0)
                r = set_hex(v, "boot", record->boot, sizeof(record->boot), err);
        if (r == 0)
                r = set_hex(v, "prev", record->prev, sizeof(record->prev), err);
        if (r == 0 && hash)
                r = set_hex(v, "hash", hash, 32, err);
        return r < 0 ? r : json_encode(v, JSON_COMPACT, ret, err);
}

/* A record's hash stands in its successor; that of the head is kept by the journal. */
static const uint8_t *hash_of(const RecordList *list, size_t i, const JournalStat *stat) {
        if (i + 1 < list->n)
                return list->records[i + 1].seq == list->records[i].seq + 1 ? list->records[i + 1].prev : NULL;
        return list->records[i].seq == stat->head_seq ? stat->head_hash : NULL;
}

int engine_journal_export(Engine *e, void (*line)(void *userdata, const char *text), void *userdata, Error *err) {
        _cleanup_record_view_ RecordView view = {.journal = e->journal, .is_whole = true};
        JournalStat stat;
        if (!e->journal)
                return no_journal(err);
        int r = journal_stat(e->journal, &stat, err);
        uint64_t from = stat.first_seq;
        while (r == 0 && from <= stat.head_seq) {
                _cleanup_batch_ Batch batch = {0};
                r = batch_read(e->journal, from, BATCH, &batch, err);
                if (r < 0 || batch.list.n == 0)
                        return r;
                bool is_last = batch.list.n < BATCH;
                for (size_t i = 0; r == 0 && i + (is_last ? 0 : 1) < batch.list.n; i++) {
                        _cleanup_free_ char *text = NULL;
                        const Record *record = &batch.list.records[i];
                        if (record->seq > stat.head_seq)
                                return 0; /* written meanwhile */
                        r = export_record(&view, record, hash_of(&batch.list, i, &stat), &text, err);
                        if (r == 0)
                                line(userdata, text);
                        from = record->seq + 1;
                }
        }
        return r;
}

/* ---- Verify, rebuild, repair ------------------------------------------------------------------------------------- */

static int report_value(const JournalReport *report, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        bool is_sound = report->problem[0] == '\0';
        int r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_bool(v, "sound", is_sound, err)) < 0 ||
            (r = value_set_int(v, "records", (int64_t)report->n_records, err)) < 0 ||
            (r = value_set_int(v, "rows", (int64_t)report->n_rows, err)) < 0 ||
            (r = value_set_int(v, "first", (int64_t)report->first_seq, err)) < 0 ||
            (r = value_set_int(v, "head", (int64_t)report->head_seq, err)) < 0 ||
            (r = set_hex(v, "hash", report->head_hash, sizeof(report->head_hash), err)) < 0 ||
            (r = value_set_bool(v, "anchored", report->anchor_found, err)) < 0)
                return r;
        if (!is_sound && ((r = value_set_text(v, "problem", report->problem, err)) < 0 ||
                          (r = value_set_int(v, "bad_seq", (int64_t)report->bad_seq, err)) < 0))
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static bool journal_is_there(const Engine *e) {
        return fs_exists(e->root, PAWL_DIR "/journal") || fs_exists(e->root, PAWL_DIR "/journal.head") ||
               fs_exists(e->root, PAWL_DIR "/journal.bad");
}

int engine_journal_verify(Engine *e, Value **ret, Error *err) {
        JournalOptions options;
        JournalReport report = {0};
        if (!journal_is_there(e))
                return no_journal(err);
        int r = engine_journal_options(e, &options, err);
        if (r == 0)
                r = journal_verify(&options, &report, err);
        if (r == 0)
                r = report_value(&report, ret, err);
        if (r < 0 || report.problem[0] == '\0')
                return r;
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED,
                         "\"pawl journal repair\" saves what still checks; the damaged journal is kept beside it.",
                         "%s", report.problem);
}

int engine_journal_rebuild(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        JournalOptions options;
        size_t n_rows = 0;
        int r = v ? 0 : error_no_memory(err);
        if (r == 0 && !e->journal) {
                r = engine_journal_options(e, &options, err);
                if (r == 0)
                        r = journal_open(&options, JOURNAL_WRITE, &e->journal, err);
                if (r == -ENOENT)
                        return no_journal(err);
        }
        if (r == 0)
                r = journal_rebuild(e->journal, rows_fold, NULL, err);
        if (r == 0)
                r = journal_row_count(e->journal, "", &n_rows, err);
        if (r == 0)
                r = value_set_int(v, "rows", (int64_t)n_rows, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

/* Numbers that were given up to be safe are no loss that anybody knows of. */
static void say_loss(Engine *e, const JournalLoss *loss) {
        unsigned long long from = loss->from, seen = loss->seen;
        if (seen >= from)
                engine_say(e, LOG_WARNING, "records %llu to %llu are lost", from, seen);
        if (loss->to > seen && seen > 0)
                engine_say(e, LOG_WARNING,
                           "record %llu is the last that is known of; whether others followed it cannot be told", seen);
        else if (loss->to > seen)
                engine_say(e, LOG_WARNING, "no record is left; how many there were cannot be told");
}

static int repair_body(const JournalLoss *loss, void **ret, size_t *ret_size, void *userdata) {
        Engine *e = userdata;
        _cleanup_(value_freep) Value *body = value_new_map();
        uint8_t *data = NULL;
        int r = body ? value_set_int(body, "from", (int64_t)loss->from, NULL) : -ENOMEM;
        if (r == 0)
                r = value_set_int(body, "to", (int64_t)loss->to, NULL);
        if (r == 0)
                r = body_encode(RECORD_REPAIR, body, NULL, &data, ret_size, NULL);
        if (r < 0)
                return r;
        say_loss(e, loss);
        *ret = data;
        return 0;
}

/* How many services wait for a comparison now. */
static int count_unchecked(Engine *e, const JournalOptions *options, Value *report, Error *err) {
        size_t n = 0;
        int r = journal_open(options, JOURNAL_READ, &e->journal, err);
        if (r == 0)
                r = journal_row_count(e->journal, "unchecked/", &n, err);
        if (r == 0 && n > 0)
                engine_say(e, LOG_WARNING, "every service is on hold until \"pawl check\" has compared it");
        return r < 0 ? r : value_set_int(report, "on_hold", (int64_t)n, err);
}

int engine_journal_repair(Engine *e, Value **ret, Error *err) {
        JournalRepair how = {.fold = rows_fold, .make_body = repair_body, .userdata = e};
        _cleanup_(value_freep) Value *v = NULL;
        JournalOptions options;
        JournalReport report = {0};
        if (!journal_is_there(e))
                return no_journal(err);
        if (e->journal)
                return error_set(err, -EBUSY, ERR_USAGE, NULL, "a journal that is open cannot be repaired");
        int r = engine_journal_options(e, &options, err);
        if (r == 0)
                r = journal_repair(&options, &how, &report, err);
        if (r < 0)
                return r;
        bool was_sound = r == 1;
        r = report_value(&report, &v, err);
        if (r == 0)
                r = value_set_bool(v, "repaired", !was_sound, err);
        if (r == 0)
                r = count_unchecked(e, &options, v, err);
        if (r == 0 && value_count(e->warnings) > 0)
                r = value_set(v, "warnings", value_copy(e->warnings), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}
