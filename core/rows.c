/* SPDX-License-Identifier: Apache-2.0 */
/* Rows hold nothing that the records do not: rebuilding them is replaying this file over the journal. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/body.h"
#include "core/rows.h"

int row_key(char ret[static ROW_KEY_MAX], const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(ret, ROW_KEY_MAX, format, ap);
        va_end(ap);
        return n < 0 || n >= ROW_KEY_MAX ? -ENAMETOOLONG : n;
}

void row_key_open(uint64_t tx, char ret[static ROW_KEY_MAX]) {
        (void)row_key(ret, "open/%016llx", (unsigned long long)tx);
}

void row_key_history(const char *service, uint64_t tx, char ret[static ROW_KEY_MAX]) {
        (void)row_key(ret, "history/%s/%016llx", service, (unsigned long long)tx);
}

static int row_put(JournalWrite *w, const char *key, const Value *row, Error *err) {
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        int r = body_encode_row(row, NULL, &data, &size, err);
        return r < 0 ? r : journal_write_row(w, key, data, size, err);
}

/* A map of row key → row, or null to drop it. */
static int rows_put(JournalWrite *w, const Value *rows, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && rows && i < rows->map.n; i++) {
                const MapEntry *entry = &rows->map.entries[i];
                r = value_is(entry->value, VALUE_NULL) ? journal_write_row_drop(w, entry->name, err)
                                                       : row_put(w, entry->name, entry->value, err);
        }
        return r;
}

static int row_of_tx(const Record *record, const Value *plan, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *row = value_new_map();
        int r;
        if (!row)
                return error_no_memory(err);
        if ((r = value_set_int(row, "tx", (int64_t)record->tx, err)) < 0 ||
            (r = value_set_text(row, "service", value_get_text(plan, "service"), err)) < 0)
                return r;
        *ret = TAKE_PTR(row);
        return 0;
}

static int apply_begin(JournalWrite *w, const Record *record, const Value *body, Error *err) {
        const Value *plan = value_get(body, "plan"), *claims = value_get(plan, "claims");
        _cleanup_(value_freep) Value *row = NULL;
        char key[ROW_KEY_MAX];
        int r = row_of_tx(record, plan, &row, err);
        for (size_t i = 0; r == 0 && i < value_count(claims); i++) {
                r = row_key(key, "claim/%s", value_text(value_at(claims, i)));
                r = r < 0 ? error_set(err, r, ERR_FAILED, NULL, "a claim is too long") : row_put(w, key, row, err);
        }
        const char *request = value_get_text(body, "request");
        if (r == 0 && request) {
                r = row_key(key, "request/%s/%s", request, value_get_text_or(plan, "service", "?"));
                r = r < 0 ? error_set(err, r, ERR_USAGE, NULL, "the request id is too long")
                          : row_put(w, key, row, err);
        }
        if (r < 0)
                return r;
        if ((r = value_set_text(row, "flow", value_get_text(plan, "flow"), err)) < 0)
                return r;
        if (claims && (r = value_set(row, "claims", value_copy(claims), err)) < 0)
                return r;
        row_key_open(record->tx, key);
        return row_put(w, key, row, err);
}

/* The last that was known of a service is settled, so there is nothing to compare it with. */
static int forget_unchecked(JournalWrite *w, const char *service, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        char key[ROW_KEY_MAX];
        if (row_key(key, "service/%s", service) < 0)
                return 0;
        int r = journal_write_get_row(w, key, &list, err);
        if (r != -ENOENT)
                return r;
        (void)row_key(key, "unchecked/%s", service);
        return journal_write_row_drop(w, key, err);
}

static int apply_end(JournalWrite *w, const Record *record, const Value *body, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        _cleanup_(value_freep) Value *row = NULL;
        char key[ROW_KEY_MAX];
        row_key_open(record->tx, key);
        int r = journal_write_get_row(w, key, &list, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0) {
                r = body_decode_row(&list.rows[0], NULL, &row, err);
                const Value *claims = value_get(row, "claims");
                for (size_t i = 0; r == 0 && i < value_count(claims); i++) {
                        char claim[ROW_KEY_MAX];
                        (void)row_key(claim, "claim/%s", value_text(value_at(claims, i)));
                        r = journal_write_row_drop(w, claim, err);
                }
                if (r == 0)
                        r = journal_write_row_drop(w, key, err);
                if (r == 0)
                        r = forget_unchecked(w, value_get_text_or(row, "service", "?"), err);
                if (r < 0)
                        return r;
        }
        return rows_put(w, value_get(body, "rows"), err);
}

/* Each names the transaction that wrote it, whose key opens its secrets. When BEGIN and COMMIT go in together, only
 * the record knows its number. */
static int apply_commit(JournalWrite *w, const Record *record, const Value *body, Error *err) {
        _cleanup_(value_freep) Value *rows =
                value_get(body, "rows") ? value_copy(value_get(body, "rows")) : value_new_map();
        int r = rows ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++)
                if (value_is(rows->map.entries[i].value, VALUE_MAP))
                        r = value_set_int(rows->map.entries[i].value, "tx", (int64_t)record->tx, err);
        return r < 0 ? r : rows_put(w, rows, err);
}

/* The rows of a CHECKPOINT are all there are: what the kept records say beside them was dropped by it. */
static int apply_checkpoint(JournalWrite *w, const Value *body, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        int r = journal_write_get_rows(w, "", &list, err);
        for (size_t i = 0; r == 0 && i < list.n; i++)
                r = journal_write_row_drop(w, list.rows[i].key, err);
        return r < 0 ? r : rows_put(w, value_get(body, "rows"), err);
}

static int unchecked_put(JournalWrite *w, const Record *record, const Value *body, const char *service, Error *err) {
        _cleanup_(value_freep) Value *row = value_new_map();
        char key[ROW_KEY_MAX];
        int r = row ? row_key(key, "unchecked/%s", service) : error_no_memory(err);
        if (r < 0)
                return error_set(err, r, ERR_FAILED, NULL, "the name of a service is too long");
        r = value_set_text(row, "service", service, err);
        if (r == 0)
                r = value_set_int(row, "seq", (int64_t)record->seq, err);
        if (r == 0)
                r = value_set_int(row, "from", value_get_int(body, "from", 0), err);
        if (r == 0)
                r = value_set_int(row, "to", value_get_int(body, "to", 0), err);
        return r < 0 ? r : row_put(w, key, row, err);
}

/* Every service that is known, if only from a transaction that has not ended: its END may be among what is lost. */
static int apply_repair(JournalWrite *w, const Record *record, const Value *body, Error *err) {
        static const char services[] = "service/";
        _cleanup_row_list_ RowList list = {0}, opens = {0};
        int r = journal_write_get_rows(w, services, &list, err);
        for (size_t i = 0; r == 0 && i < list.n; i++)
                r = unchecked_put(w, record, body, list.rows[i].key + strlen(services), err);
        if (r == 0)
                r = journal_write_get_rows(w, "open/", &opens, err);
        for (size_t i = 0; r == 0 && i < opens.n; i++) {
                _cleanup_(value_freep) Value *row = NULL;
                r = body_decode_row(&opens.rows[i], NULL, &row, err);
                if (r == 0)
                        r = unchecked_put(w, record, body, value_get_text_or(row, "service", "?"), err);
        }
        return r;
}

int rows_apply(JournalWrite *w, const Record *record, const Value *body, Error *err) {
        switch (record->kind) {
        case RECORD_BEGIN:
                return apply_begin(w, record, body, err);
        case RECORD_END:
                return apply_end(w, record, body, err);
        case RECORD_COMMIT:
                return apply_commit(w, record, body, err);
        case RECORD_CHECKPOINT:
                return apply_checkpoint(w, body, err);
        case RECORD_REPAIR:
                return apply_repair(w, record, body, err);
        case RECORD_NOTE:
                return rows_put(w, value_get(body, "rows"), err);
        default:
                return 0;
        }
}

static bool record_has_rows(RecordKind kind) {
        return kind == RECORD_BEGIN || kind == RECORD_END || kind == RECORD_COMMIT || kind == RECORD_CHECKPOINT ||
               kind == RECORD_REPAIR || kind == RECORD_NOTE;
}

int rows_fold(JournalWrite *w, const Record *record, void *userdata, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        (void)userdata;
        if (!record_has_rows(record->kind))
                return 0;
        int r = body_decode(record, NULL, &body, err);
        return r < 0 ? r : rows_apply(w, record, body, err);
}

/* ---- COMMIT ------------------------------------------------------------------------------------------------------ */

static bool group_has_failed(const Trail *t, const char *name) {
        for (size_t i = 0; i < t->plan->n_groups; i++)
                if (t->groups[i].is_failed && strcmp(t->plan->groups[i].name, name) == 0)
                        return true;
        return false;
}

/* Fills in what a step found out; false when the step's group was put back, so that the artifact is not there. */
static int artifact_finish(const Trail *t, Value *artifact, bool *ret_there, Error *err) {
        int64_t step = value_get_int(artifact, "step", -1);
        const char *group = value_get_text(artifact, "group");
        *ret_there = !group || !group_has_failed(t, group);
        if (step < 0 || step >= (int64_t)t->plan->n_steps || !*ret_there)
                return 0;
        value_remove(artifact, "step");
        const Value *facts = t->steps[step].facts;
        return facts ? value_set(artifact, "facts", value_copy(facts), err) : 0;
}

static int artifacts_finish(const Trail *t, const Value *planned, Value *artifacts, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(planned); i++) {
                Value *artifact = value_copy(value_at(planned, i));
                bool is_there = false;
                r = artifact ? artifact_finish(t, artifact, &is_there, err) : error_no_memory(err);
                if (r == 0 && is_there)
                        r = value_append(artifacts, artifact, err);
                else
                        value_free(artifact);
        }
        return r;
}

/* A group that was put back left what was there before it; the service is without what it was to have. */
static int failed_groups_finish(const Trail *t, Value *row, Value *artifacts, Error *err) {
        _cleanup_(value_freep) Value *without = value_new_array();
        const Value *before = value_get(row, "fallback");
        int r = without ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < t->plan->n_groups; i++)
                if (t->groups[i].is_failed)
                        r = value_append_text(without, t->plan->groups[i].name, err);
        for (size_t i = 0; r == 0 && i < value_count(before); i++)
                if (group_has_failed(t, value_get_text_or(value_at(before, i), "group", "")))
                        r = value_append(artifacts, value_copy(value_at(before, i)), err);
        value_remove(row, "fallback");
        return r < 0 || value_count(without) == 0 ? r : value_set(row, "without", TAKE_PTR(without), err);
}

static int service_row_finish(const Trail *t, Value *row, Error *err) {
        _cleanup_(value_freep) Value *artifacts = value_new_array();
        int r = artifacts ? artifacts_finish(t, value_get(row, "artifacts"), artifacts, err) : error_no_memory(err);
        if (r == 0)
                r = failed_groups_finish(t, row, artifacts, err);
        if (r == 0)
                r = value_set(row, "artifacts", TAKE_PTR(artifacts), err);
        if (r == 0 && value_count(t->warnings) > 0)
                r = value_set(row, "warnings", value_copy(t->warnings), err);
        return r;
}

int rows_at_commit(const Trail *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *rows = value_copy(t->plan->rows);
        int r = rows ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                Value *row = rows->map.entries[i].value;
                if (!value_is(row, VALUE_MAP))
                        continue;
                r = value_set_int(row, "tx", (int64_t)t->tx, err);
                if (r == 0 && value_get(row, "updated"))
                        r = value_set_int(row, "updated", clock_wall_usec(), err);
                if (r == 0 && value_get(row, "artifacts"))
                        r = service_row_finish(t, row, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(rows);
        return 0;
}

int row_copy_keys(Value *to, const Value *row, const char *const *names, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && names[i]; i++) {
                const Value *v = value_get(row, names[i]);
                if (v)
                        r = value_set(to, names[i], value_copy(v), err);
        }
        return r;
}

const Runtime *row_runtime(const Value *row) {
        return runtime_by_type(value_get_text_or(value_path(row, "spec.runtime"), "type", "process"));
}
