/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CHECKPOINT is costly (the whole journal is verified before anything is dropped), so it waits until a quarter more
 * than is kept has gathered. It is made from the rows inside of its own write: what another flow commits meanwhile is
 * in it or behind it, never lost.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/body.h"
#include "core/lock.h"
#include "core/retention.h"
#include "core/rows.h"

#define HISTORY_ROWS_MAX 50000 /* of all services: CHECKPOINT holds every row in one record */

typedef struct Retention {
        uint64_t limit;      /* per service */
        uint64_t total;      /* of all services */
        uint64_t first_kept; /* the first record that stays */
        uint64_t *keys;      /* owned, rising: transactions whose key some row needs */
        size_t n_keys;
} Retention;

static void retention_done(Retention *x) {
        free(x->keys);
}
#define _cleanup_retention_ _cleanup_(retention_done)

/* ---- Is it time? ------------------------------------------------------------------------------------------------- */

static bool is_much(uint64_t n, uint64_t limit) {
        return n > limit + limit / 4;
}

static int has_busy_service(Engine *e, const Value *services, uint64_t limit, Error *err) {
        for (size_t i = 0; i < value_count(services); i++) {
                char prefix[ROW_KEY_MAX];
                size_t n = 0;
                if (row_key(prefix, "history/%s/", value_text(value_at(services, i))) < 0)
                        continue;
                int r = journal_row_count(e->journal, prefix, &n, err);
                if (r < 0 || is_much(n, limit))
                        return r < 0 ? r : 1;
        }
        return 0;
}

/* 1: enough has gathered, and ret says what stays; 0: nothing to do. */
static int is_due(Engine *e, Retention *ret, Error *err) {
        _cleanup_(value_freep) Value *services = NULL;
        size_t n = 0;
        int64_t limit = value_get_int(e->config, "retention.transactions", 1000);
        ret->limit = limit > 0 ? (uint64_t)limit : 1;
        int r = engine_services(e, &services, err);
        if (r == 0)
                r = journal_row_count(e->journal, "history/", &n, err);
        if (r < 0)
                return r;
        uint64_t n_services = MAX(value_count(services), (size_t)1);
        ret->total = MAX(MIN(ret->limit * n_services, (uint64_t)HISTORY_ROWS_MAX), ret->limit);
        if (n <= ret->total)
                return 0;
        return is_much(n, ret->total) ? 1 : has_busy_service(e, services, ret->limit, err);
}

/* ---- Where is the cut? ------------------------------------------------------------------------------------------- */

static uint64_t row_tx(const Row *row) {
        const char *slash = strrchr(row->key, '/');
        return slash ? strtoull(slash + 1, NULL, 16) : 0;
}

static int rising(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

/* The BEGIN of the oldest of the newest `total` transactions that ended. */
static int newest_from(const RowList *history, uint64_t total, uint64_t *ret, Error *err) {
        _cleanup_free_ uint64_t *txs = calloc(MAX(history->n, (size_t)1), sizeof(uint64_t));
        if (!txs)
                return error_no_memory(err);
        for (size_t i = 0; i < history->n; i++)
                txs[i] = row_tx(&history->rows[i]);
        qsort(txs, history->n, sizeof(uint64_t), rising);
        *ret = history->n > total ? txs[history->n - total] : 0;
        return 0;
}

/* 1: there is something to drop. */
static int cut_find(Engine *e, Retention *x, Error *err) {
        _cleanup_row_list_ RowList history = {0}, opens = {0};
        JournalStat stat;
        int r = journal_stat(e->journal, &stat, err);
        if (r == 0)
                r = journal_rows(e->journal, "history/", 0, &history, err);
        if (r == 0)
                r = journal_rows(e->journal, "open/", 0, &opens, err);
        if (r == 0)
                r = newest_from(&history, x->total, &x->first_kept, err);
        for (size_t i = 0; r == 0 && i < opens.n && !mutant_is("checkpoint-past-open"); i++)
                x->first_kept = MIN(x->first_kept, row_tx(&opens.rows[i]));
        return r < 0 ? r : x->first_kept > stat.first_seq;
}

/* ---- What stays -------------------------------------------------------------------------------------------------- */

static bool has_prefix(const char *text, const char *prefix) {
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_same_service(const Row *a, const Row *b) {
        const char *slash = strrchr(a->key, '/');
        return slash && strncmp(a->key, b->key, (size_t)(slash + 1 - a->key)) == 0;
}

/* Marks the history rows beyond the newest `limit` of their service. In key order a service's newest is its last. */
static void mark_old(const Retention *x, const RowList *list, bool *ret_gone) {
        uint64_t n = 0;
        for (size_t i = list->n; i-- > 0;) {
                if (!has_prefix(list->rows[i].key, "history/"))
                        continue;
                bool is_first = i + 1 == list->n || !is_same_service(&list->rows[i], &list->rows[i + 1]);
                n = is_first ? 1 : n + 1;
                ret_gone[i] = n > x->limit;
        }
}

/* Services that were removed leave their history; with theirs it is the oldest of all that goes. */
static int mark_oldest(const Retention *x, const RowList *list, bool *gone, Error *err) {
        _cleanup_free_ uint64_t *txs = calloc(MAX(list->n, (size_t)1), sizeof(uint64_t));
        size_t n = 0;
        if (!txs)
                return error_no_memory(err);
        for (size_t i = 0; i < list->n; i++)
                if (has_prefix(list->rows[i].key, "history/") && !gone[i])
                        txs[n++] = row_tx(&list->rows[i]);
        qsort(txs, n, sizeof(uint64_t), rising);
        uint64_t oldest = n > x->total ? txs[n - x->total] : 0;
        for (size_t i = 0; i < list->n; i++)
                if (has_prefix(list->rows[i].key, "history/") && row_tx(&list->rows[i]) < oldest)
                        gone[i] = true;
        return 0;
}

/* The answer to a request is found as long as its transaction is. */
static bool is_old_request(const Retention *x, const Row *row, const Value *decoded) {
        return has_prefix(row->key, "request/") && (uint64_t)value_get_int(decoded, "tx", 0) < x->first_kept;
}

static int keep_row(Retention *x, const Row *row, Value *decoded, Value *rows, Error *err) {
        if (value_has_secret(decoded))
                x->keys[x->n_keys++] = (uint64_t)value_get_int(decoded, "tx", 0);
        char *key = strdup(row->key);
        if (!key) {
                value_free(decoded);
                return error_no_memory(err);
        }
        return value_add_entry(rows, key, 0, decoded, err);
}

/* Drops what goes, and puts the rest into `rows`. */
static int rows_trim(Retention *x, JournalWrite *w, const RowList *list, const bool *gone, Value *rows, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < list->n; i++) {
                const Row *row = &list->rows[i];
                Value *decoded = NULL;
                if (!gone[i])
                        r = body_decode_row(row, NULL, &decoded, err);
                if (r < 0)
                        return r;
                if (decoded && !is_old_request(x, row, decoded)) {
                        r = keep_row(x, row, decoded, rows, err);
                        continue;
                }
                value_free(decoded);
                r = journal_write_row_drop(w, row->key, err);
        }
        qsort(x->keys, x->n_keys, sizeof(uint64_t), rising);
        return r;
}

static int make_body(JournalWrite *w, void **ret, size_t *ret_size, void *userdata, Error *err) {
        Retention *x = userdata;
        _cleanup_row_list_ RowList list = {0};
        _cleanup_(value_freep) Value *body = value_new_map(), *rows = value_new_map();
        _cleanup_free_ bool *gone = NULL;
        uint8_t *data = NULL;
        int r = body && rows ? journal_write_get_rows(w, "", &list, err) : error_no_memory(err);
        if (r < 0)
                return r;
        gone = calloc(list.n + 1, sizeof(bool));
        x->keys = calloc(list.n + 1, sizeof(uint64_t));
        if (!gone || !x->keys)
                return error_no_memory(err);
        mark_old(x, &list, gone);
        r = mark_oldest(x, &list, gone, err);
        if (r == 0)
                r = rows_trim(x, w, &list, gone, rows, err);
        if (r == 0)
                r = value_set(body, "rows", TAKE_PTR(rows), err);
        if (r == 0)
                r = body_encode(RECORD_CHECKPOINT, body, NULL, &data, ret_size, err);
        if (r == 0)
                *ret = data;
        return r;
}

static bool keeps_key(uint64_t tx, void *userdata) {
        const Retention *x = userdata;
        return !mutant_is("checkpoint-drops-keys") &&
               bsearch(&tx, x->keys, x->n_keys, sizeof(uint64_t), rising) != NULL;
}

/* ---- The whole of it --------------------------------------------------------------------------------------------- */

int retention_run(Engine *e, Error *err) {
        _cleanup_retention_ Retention x = {0};
        _cleanup_close_ int fd = -1;
        if (!e->journal || e->access != ENGINE_WRITE)
                return 0;
        int r = is_due(e, &x, err);
        if (r == 1)
                r = cut_find(e, &x, err);
        if (r <= 0)
                return r;
        r = lock_try(e, "shared-retention", &fd, err);
        if (r != 0)
                return MIN(r, 0); /* somebody is at it */
        r = cut_find(e, &x, err);
        if (r <= 0)
                return r;
        JournalCheckpoint how = {.make_body = make_body, .keeps_key = keeps_key, .userdata = &x};
        return journal_checkpoint_with(e->journal, x.first_kept, &how, err);
}
