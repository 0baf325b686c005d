/* SPDX-License-Identifier: Apache-2.0 */
/* An engine in a temporary root, and transactions written by hand, for tests of what is read back. cmocka.h must be
 * included before. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "core/engine_state.h"
#include "core/ledger.h"
#include "core/rows.h"

#define UNUSED_OK __attribute__((unused))

typedef struct World {
        char path[256];
        int root;
        Engine *engine;
        ConfigOverride overrides[1];
} World;

#define must(call)                                                                             \
        do {                                                                                   \
                Error e_ = ERROR_INIT, *err __attribute__((unused)) = &e_;                     \
                int r_ = (call);                                                               \
                if (r_ < 0)                                                                    \
                        fprintf(stderr, "%s:%d: %d %s\n", __FILE__, __LINE__, r_, e_.message); \
                assert_true(r_ >= 0);                                                          \
        } while (0)

UNUSED_OK static Engine *world_open(World *w, EngineAccess access) {
        w->engine = engine_free(w->engine);
        EngineOptions options = {.root = w->path, .access = access, .actor = "tester"};
        if (w->overrides[0].key) {
                options.overrides = w->overrides;
                options.n_overrides = 1;
        }
        must(engine_open(&options, &w->engine, err));
        return w->engine;
}

UNUSED_OK static int world_setup(void **state) {
        World *w = calloc(1, sizeof(*w));
        const char *base = getenv("TMPDIR");
        if (!w)
                return -1;
        snprintf(w->path, sizeof(w->path), "%s/pawl-engine-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(w->path))
                return -1;
        w->root = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = w;
        return w->root < 0;
}

UNUSED_OK static int world_teardown(void **state) {
        World *w = *state;
        engine_free(w->engine);
        close(w->root);
        int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fs_remove_tree(top, w->path + 1, NULL);
        close(top);
        free(w);
        return r;
}

/* ---- A transaction by hand --------------------------------------------------------------------------------------- */

typedef struct Hand {
        Engine *engine;
        Trail *trail;
        Value *rows; /* what COMMIT writes: set before hand_commit() */
} Hand;

/* BEGIN, durable. `request` and `claim` may be NULL. */
UNUSED_OK static Hand hand_begin(Engine *e, const char *flow, const char *service, const char *request,
                                 const char *claim) {
        Hand h = {.engine = e, .rows = value_new_map()};
        _cleanup_ledger_ Ledger l = {0};
        Plan *plan = plan_new(flow, service);
        Value *body = value_new_map(), *v = NULL;
        uint8_t wrapped[SEAL_WRAPPED_SIZE];
        if (claim)
                must(plan_claim(plan, "%s", claim) < 0 ? -ENOMEM : 0);
        must(plan_to_value(plan, &v, err));
        must(value_set(body, "plan", v, err));
        must(value_set_text(body, "actor", "tester", err));
        must(value_set_text(body, "pawl", PAWL_VERSION, err));
        must(value_set_text(body, "request", request, err));
        must(trail_new(plan, seal_key_new(), &h.trail, err));
        must(seal_wrap(e->host_key, h.trail->key, wrapped, err));
        must(ledger_open(&l, e, h.trail, false, err));
        must(ledger_add(&l, RECORD_BEGIN, RECORD_STEP_NONE, body, err));
        must(journal_write_key(l.write, 0, wrapped, sizeof(wrapped), err));
        must(ledger_commit(&l, err));
        return h;
}

/* A row of COMMIT; row is taken, gets its `tx`. NULL: the row goes. */
UNUSED_OK static void hand_row(Hand *h, const char *key, Value *row) {
        if (row)
                must(value_set_int(row, "tx", (int64_t)h->trail->tx, err));
        must(value_set(h->rows, key, row ? row : value_new_null(), err));
}

UNUSED_OK static void hand_commit(Hand *h) {
        Value *body = value_new_map();
        must(value_set(body, "rows", TAKE_PTR(h->rows), err));
        must(ledger_write(h->engine, h->trail, RECORD_COMMIT, RECORD_STEP_NONE, body, err));
}

UNUSED_OK static void hand_abort(Hand *h) {
        Value *body = value_new_map();
        must(value_set_text(body, "message", "it broke", err));
        must(ledger_write(h->engine, h->trail, RECORD_ABORT, RECORD_STEP_NONE, body, err));
}

UNUSED_OK static void hand_forget(Hand *h) {
        h->trail = trail_free(h->trail);
        h->rows = value_free(h->rows);
}

/* END with the history row. */
UNUSED_OK static uint64_t hand_end(Hand *h, const char *result) {
        Value *body = value_new_map(), *rows = value_new_map(), *history = value_new_map();
        uint64_t tx = h->trail->tx;
        char key[ROW_KEY_MAX];
        row_key_history(h->trail->plan->service, tx, key);
        must(value_set_int(history, "tx", (int64_t)tx, err));
        must(value_set_text(history, "service", h->trail->plan->service, err));
        must(value_set_text(history, "result", result, err));
        must(value_set(rows, key, history, err));
        must(value_set_text(body, "result", result, err));
        must(value_set(body, "rows", rows, err));
        must(ledger_write(h->engine, h->trail, RECORD_END, RECORD_STEP_NONE, body, err));
        hand_forget(h);
        return tx;
}

UNUSED_OK static Value *service_row(const char *service, const char *version) {
        Value *row = value_new_map();
        must(value_set_text(row, "name", service, err));
        must(value_set_text(row, "version", version, err));
        must(value_set_text(row, "wanted", "stopped", err));
        must(value_set_int(row, "port", 3000, err));
        return row;
}

/* A whole deploy; `secret` NULL: the row holds none. */
UNUSED_OK static uint64_t hand_deploy(Engine *e, const char *service, const char *version, const char *secret) {
        Hand h = hand_begin(e, "deploy", service, NULL, NULL);
        Value *row = service_row(service, version), *secrets = value_new_map();
        char key[ROW_KEY_MAX];
        must(value_set(secrets, "DB_PASS", value_new_secret(secret ? secret : "", secret ? strlen(secret) : 0), err));
        if (secret)
                must(value_set(row, "secrets", secrets, err));
        else
                value_free(secrets);
        must(row_key(key, "service/%s", service));
        hand_row(&h, key, row);
        hand_commit(&h);
        return hand_end(&h, "done");
}

/* ---- All rows, to compare ---------------------------------------------------------------------------------------- */

UNUSED_OK static void assert_rebuild_changes_nothing(Engine *e) {
        RowList before = {0}, after = {0};
        must(journal_rows(e->journal, "", 0, &before, err));
        must(journal_rebuild(e->journal, rows_fold, NULL, err));
        must(journal_rows(e->journal, "", 0, &after, err));
        for (size_t i = 0; i < MIN(before.n, after.n); i++) {
                assert_string_equal(before.rows[i].key, after.rows[i].key);
                assert_int_equal(before.rows[i].size, after.rows[i].size);
                assert_memory_equal(before.rows[i].data, after.rows[i].data, before.rows[i].size);
        }
        assert_int_equal(before.n, after.n);
        row_list_done(&before);
        row_list_done(&after);
}
