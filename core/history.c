/* SPDX-License-Identifier: Apache-2.0 */
/* What was done, newest first: what has not ended in front, as its records say; then the rows of what has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/body.h"
#include "core/engine_state.h"
#include "core/rows.h"
#include "core/trail.h"

static const char *row_suffix(const Row *row) {
        const char *slash = strrchr(row->key, '/');
        return slash ? slash + 1 : row->key;
}

/* By transaction, newest first: <tx> in a key has a fixed width. */
static int by_tx(const void *a, const void *b) {
        return strcmp(row_suffix(b), row_suffix(a));
}

static int rows_join(RowList *list, RowList *more, Error *err) {
        Row *rows = more->n > 0 ? realloc(list->rows, (list->n + more->n) * sizeof(Row)) : list->rows;
        if (more->n > 0 && !rows)
                return error_no_memory(err);
        list->rows = rows;
        if (more->n > 0)
                memcpy(&rows[list->n], more->rows, more->n * sizeof(Row));
        list->n += more->n;
        more->n = 0;
        return 0;
}

/* Of each service, removed ones too, its newest: a long history costs no more than a short one. */
static int newest_of_each(Engine *e, size_t limit, RowList *ret, Error *err) {
        char before[ROW_KEY_MAX] = "history0"; /* behind every "history/" */
        for (;;) {
                _cleanup_row_list_ RowList last = {0}, mine = {0};
                int r = journal_rows_before(e->journal, "history/", before, 1, &last, err);
                if (r < 0 || last.n == 0)
                        return r;
                int n = (int)(row_suffix(&last.rows[0]) - last.rows[0].key);
                if (row_key(before, "%.*s", n, last.rows[0].key) < 0)
                        return 0;
                r = journal_rows(e->journal, before, limit, &mine, err);
                if (r == 0)
                        r = rows_join(ret, &mine, err);
                if (r < 0)
                        return r;
        }
}

static int history_rows(Engine *e, const char *service, size_t limit, RowList *ret, Error *err) {
        char prefix[ROW_KEY_MAX];
        int n = service ? row_key(prefix, "history/%s/", service) : row_key(prefix, "history/");
        if (n < 0 || !e->journal)
                return 0;
        int r = !service && limit > 0 ? newest_of_each(e, limit, ret, err)
                                      : journal_rows(e->journal, prefix, limit, ret, err);
        if (r == 0 && ret->n > 1)
                qsort(ret->rows, ret->n, sizeof(Row), by_tx);
        return r;
}

/* END of a transaction that recovery took over. A record that is no longer kept tells nothing. */
static bool was_crashed(Engine *e, const Row *row) {
        _cleanup_record_list_ RecordList list = {0};
        return journal_get(e->journal, row->seq, &list, NULL) == 0 && list.n > 0 && list.records[0].epoch > 0;
}

/* Nobody was there to measure them; nothing is not the same as 0. */
static int forget_times(Value *item, Error *err) {
        static const char *const keys[] = {"exposure_usec", "downtime_usec"};
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (value_get_int(item, keys[i], 0) == 0)
                        value_remove(item, keys[i]);
        return value_set_bool(item, "crashed", true, err);
}

/* As it reads best; on disk keys have an order of their own. */
static int history_item(Engine *e, const Row *row, Value **ret, Error *err) {
        static const char *const keys[] = {"tx",       "service", "flow",          "from",          "to",
                                           "actor",    "request", "result",        "code",          "reason",
                                           "started",  "ended",   "duration_usec", "exposure_usec", "downtime_usec",
                                           "warnings", NULL};
        _cleanup_(value_freep) Value *decoded = NULL, *item = value_new_map();
        int r = item ? body_decode_row(row, NULL, &decoded, err) : error_no_memory(err);
        if (r == 0)
                r = row_copy_keys(item, decoded, keys, err);
        if (r == 0 && was_crashed(e, row))
                r = forget_times(item, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(item);
        return 0;
}

int engine_history_ended(Engine *e, const char *service, size_t limit, Value *history, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        int r = history_rows(e, service, limit, &list, err);
        for (size_t i = 0; r == 0 && i < list.n && (limit == 0 || value_count(history) < limit); i++) {
                Value *row = NULL;
                r = history_item(e, &list.rows[i], &row, err);
                if (r == 0)
                        r = value_append(history, row, err);
        }
        return r;
}

/* clang-format off */
static const char *const open_words[] = {
        [OPEN_LIVE]        = "in progress",
        [OPEN_INTERRUPTED] = "interrupted",
        [OPEN_HOLD]        = "on hold",
};
/* clang-format on */

static int open_item(Engine *e, const Value *open, Value **ret, Error *err) {
        static const char *const keys[] = {"tx", "service", "flow", NULL};
        _cleanup_(trail_freep) Trail *t = NULL;
        _cleanup_(value_freep) Value *item = value_new_map();
        OpenState state = engine_open_state(e, open, &t);
        int r = item ? row_copy_keys(item, open, keys, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(item, "result", open_words[state], err);
        if (r == 0 && t &&
            ((r = value_set_text(item, "from", t->plan->from, err)) < 0 ||
             (r = value_set_text(item, "to", t->plan->to, err)) < 0 ||
             (r = value_set_text(item, "actor", value_get_text(t->begin, "actor"), err)) < 0 ||
             (r = value_set_text(item, "reason", t->reason, err)) < 0 ||
             (r = value_set_int(item, "started", t->begin_usec, err)) < 0))
                return r;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(item);
        return 0;
}

/* In front of what has ended, newest first. */
static int history_open(Engine *e, const char *service, size_t limit, Value *history, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL;
        int r = engine_rows(e, "open/", 0, &opens, err);
        for (size_t i = value_count(opens); r == 0 && i-- > 0 && (limit == 0 || value_count(history) < limit);) {
                const Value *open = opens->map.entries[i].value;
                Value *item = NULL;
                if (service && strcmp(value_get_text_or(open, "service", ""), service) != 0)
                        continue;
                r = open_item(e, open, &item, err);
                if (r == 0)
                        r = value_append(history, item, err);
        }
        return r;
}

int engine_history(Engine *e, const char *service, size_t limit, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map(), *history = value_new_array();
        int r = result && history ? history_open(e, service, limit, history, err) : error_no_memory(err);
        if (r == 0)
                r = engine_history_ended(e, service, limit, history, err);
        if (r == 0 && service && value_count(history) == 0) {
                _cleanup_(value_freep) Value *opens = NULL, *row = NULL;
                r = engine_service_find(e, service, &row, &opens, err);
        }
        if (r == 0)
                r = value_set(result, "history", TAKE_PTR(history), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
