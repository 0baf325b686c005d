/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets are sealed once, here, so that a record and the rows derived from it hold the same bytes. */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/body.h"
#include "core/ledger.h"
#include "core/rows.h"

void ledger_done(Ledger *l) {
        l->write = journal_write_free(l->write);
        for (size_t i = 0; i < l->n; i++)
                l->bodies[i] = value_free(l->bodies[i]);
        l->n = 0;
}

int ledger_open(Ledger *l, Engine *e, Trail *t, bool may_use_reserve, Error *err) {
        *l = (Ledger){.engine = e, .trail = t};
        return journal_write_new(e->journal, may_use_reserve, &l->write, err);
}

static int seal_copy(const Trail *t, const Value *body, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *copy = value_copy(body);
        if (!copy)
                return error_no_memory(err);
        if (t->key) {
                int r = seal_tree(t->key, copy, err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(copy);
        return 0;
}

int ledger_add(Ledger *l, RecordKind kind, uint32_t step, Value *body, Error *err) {
        _cleanup_(value_freep) Value *taken = body ? body : value_new_map(), *sealed = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        if (!taken)
                return error_no_memory(err);
        if (l->n >= LEDGER_MAX)
                return error_set(err, -E2BIG, ERR_FAILED, NULL, "too many records in one commit");
        int r = seal_copy(l->trail, taken, &sealed, err);
        if (r == 0)
                r = body_encode(kind, sealed, NULL, &data, &size, err);
        if (r < 0)
                return r;
        Record draft = {
                .kind = kind, .tx = l->trail->tx, .step = step, .epoch = l->trail->epoch, .body = data, .n_body = size};
        r = journal_write_record(l->write, &draft, &draft.seq, err);
        if (r < 0)
                return r;
        if (kind == RECORD_BEGIN)
                draft.tx = draft.seq;
        else if (draft.tx == 0)
                draft.tx = l->records[0].seq;
        draft.time_usec = clock_wall_usec();
        memcpy(draft.boot, l->engine->boot, sizeof(draft.boot));
        r = kind == RECORD_COMMIT && mutant_is("rows-not-in-commit") ? 0 : rows_apply(l->write, &draft, sealed, err);
        if (r < 0)
                return r;
        draft.body = NULL;
        draft.n_body = 0;
        l->records[l->n] = draft;
        l->bodies[l->n++] = TAKE_PTR(taken);
        return 0;
}

int ledger_commit(Ledger *l, Error *err) {
        int r = journal_commit(&l->write, err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < l->n; i++)
                r = trail_note(l->trail, &l->records[i], l->bodies[i], err);
        if (r < 0 && err) /* the journal knows more than this process: it must not go on */
                err->code = ERR_JOURNAL_IO;
        return r;
}

int ledger_write(Engine *e, Trail *t, RecordKind kind, uint32_t step, Value *body, Error *err) {
        _cleanup_ledger_ Ledger l = {0};
        _cleanup_(value_freep) Value *taken = body;
        int r = ledger_open(&l, e, t, true, err);
        if (r < 0)
                return r;
        r = ledger_add(&l, kind, step, TAKE_PTR(taken), err);
        return r < 0 ? r : ledger_commit(&l, err);
}

Value *ledger_reason(const Error *why) {
        _cleanup_(value_freep) Value *v = value_new_map();
        if (!v || value_set_text(v, "code", error_slug(why->code), NULL) < 0 ||
            value_set_text(v, "message", why->message, NULL) < 0)
                return NULL;
        if (why->detail[0] && value_set_text(v, "detail", why->detail, NULL) < 0)
                return NULL;
        return TAKE_PTR(v);
}
