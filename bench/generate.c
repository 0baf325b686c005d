/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a long history: writes the newest transaction of a service again, as often as told, with its records, its rows
 * and its key, each with a seq, a place in the chain and a history row of its own. Many go into one commit.
 *
 *   bench-generate ROOT SERVICE COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/body.h"
#include "core/rows.h"
#include "journal/journal.h"

enum { PER_COMMIT = 250 };

typedef struct Template {
        Journal *journal;
        const char *service;
        uint64_t tx;
        RecordList records;
        Value **bodies; /* decoded; secrets sealed */
        void *key;      /* NULL: it is forgotten */
        size_t n_key;
} Template;

static void template_done(Template *t) {
        for (size_t i = 0; t->bodies && i < t->records.n; i++)
                t->bodies[i] = value_free(t->bodies[i]);
        free(t->bodies);
        free(t->key);
        record_list_done(&t->records);
        t->journal = journal_free(t->journal);
}
#define _cleanup_template_ _cleanup_(template_done)

static int open_journal(const char *root, Journal **ret, Error *err) {
        JournalOptions options = {.root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  .dir = "var/lib/pawl",
                                  .lock_dir = "run/pawl/lock"};
        int r = options.root < 0 ? error_set_errno(err, -errno, NULL, "could not open \"%s\"", root)
                                 : boot_identity(options.boot, err);
        if (r == 0)
                r = journal_open(&options, JOURNAL_WRITE, ret, err);
        return r == -ENOENT ? error_set(err, r, ERR_FAILED, NULL, "there is no journal under \"%s\"", root) : r;
}

static int newest_tx(Template *t, Error *err) {
        _cleanup_row_list_ RowList rows = {0};
        char prefix[ROW_KEY_MAX];
        int r = row_key(prefix, "history/%s/", t->service);
        r = r < 0 ? r : journal_rows(t->journal, prefix, 1, &rows, err);
        if (r < 0 || rows.n == 0)
                return error_set(err, -ENOENT, ERR_FAILED, NULL, "%s has no history", t->service);
        t->tx = strtoull(rows.rows[0].key + strlen(prefix), NULL, 16);
        return 0;
}

static int template_read(Template *t, Error *err) {
        int r = newest_tx(t, err);
        if (r == 0)
                r = journal_get_tx(t->journal, t->tx, &t->records, err);
        if (r < 0)
                return r;
        r = journal_key(t->journal, t->tx, &t->key, &t->n_key, err);
        t->bodies = calloc(t->records.n + 1, sizeof(Value *));
        if ((r < 0 && r != -ENOENT) || !t->bodies)
                return r < 0 && r != -ENOENT ? r : error_no_memory(err);
        r = 0;
        for (size_t i = 0; r == 0 && i < t->records.n; i++)
                r = body_decode(&t->records.records[i], NULL, &t->bodies[i], err);
        return r;
}

/* The rows of COMMIT and END name their transaction: in the value, and in the key of the history. */
static int retarget(const Template *t, Value *body, uint64_t tx, Error *err) {
        char old[ROW_KEY_MAX], new[ROW_KEY_MAX];
        Value *rows = value_get(body, "rows");
        int r = 0;
        row_key_history(t->service, t->tx, old);
        row_key_history(t->service, tx, new);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                MapEntry *entry = &rows->map.entries[i];
                if (value_get(entry->value, "tx"))
                        r = value_set_int(entry->value, "tx", (int64_t)tx, err);
                if (r < 0 || !entry->name || strcmp(entry->name, old) != 0)
                        continue;
                free(entry->name);
                entry->name = strdup(new);
                r = entry->name ? 0 : error_no_memory(err);
        }
        return r;
}

static int write_record(const Template *t, JournalWrite *w, size_t i, uint64_t *tx, Error *err) {
        const Record *from = &t->records.records[i];
        _cleanup_(value_freep) Value *body = value_copy(t->bodies[i]);
        _cleanup_free_ uint8_t *data = NULL;
        Record draft = {.kind = from->kind, .tx = *tx, .step = from->step, .epoch = from->epoch};
        int r = body ? 0 : error_no_memory(err);
        if (r == 0 && value_get(body, "rows"))
                r = retarget(t, body, *tx, err);
        if (r == 0)
                r = body_encode(from->kind, body, NULL, &data, &draft.n_body, err);
        draft.body = data;
        if (r == 0)
                r = journal_write_record(w, &draft, &draft.seq, err);
        if (r == 0 && from->kind == RECORD_BEGIN)
                *tx = draft.tx = draft.seq;
        draft.time_usec = from->time_usec;
        return r < 0 ? r : rows_apply(w, &draft, body, err);
}

static int write_tx(const Template *t, JournalWrite *w, Error *err) {
        uint64_t tx = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < t->records.n; i++)
                r = write_record(t, w, i, &tx, err);
        return r == 0 && t->key ? journal_write_key(w, tx, t->key, t->n_key, err) : r;
}

static int generate(const Template *t, uint64_t n, Error *err) {
        int r = 0;
        for (uint64_t done = 0; r == 0 && done < n;) {
                _cleanup_(journal_write_freep) JournalWrite *w = NULL;
                uint64_t until = MIN(n, done + PER_COMMIT);
                r = journal_write_new(t->journal, false, &w, err);
                for (; r == 0 && done < until; done++)
                        r = write_tx(t, w, err);
                if (r == 0)
                        r = journal_commit(&w, err);
        }
        return r < 0 ? r : journal_anchor(t->journal, UINT64_MAX, err);
}

int main(int argc, char **argv) {
        Error err = ERROR_INIT;
        _cleanup_template_ Template t = {0};
        if (argc != 4) {
                fprintf(stderr, "usage: bench-generate ROOT SERVICE COUNT\n");
                return 2;
        }
        t.service = argv[2];
        int r = open_journal(argv[1], &t.journal, &err);
        if (r == 0)
                r = template_read(&t, &err);
        if (r == 0)
                r = generate(&t, strtoull(argv[3], NULL, 10), &err);
        if (r < 0)
                fprintf(stderr, "bench-generate: %s\n", err.message);
        else
                printf("%s records of transaction %" PRIu64 " written %s times\n", t.service, t.tx, argv[3]);
        return r < 0;
}
