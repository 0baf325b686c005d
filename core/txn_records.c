/* SPDX-License-Identifier: Apache-2.0 */
/* What a running transaction writes besides its end: BEGIN with the claims checked once more, INTENT, DONE. */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/body.h"
#include "core/mark.h"
#include "core/rows.h"
#include "core/txn_parts.h"

int txn_add_done(Txn *x, Ledger *l, Error *err) {
        if (x->pending < 0 || mutant_is("ignore-done"))
                return 0;
        const TrailStep *ts = &x->trail->steps[x->pending];
        _cleanup_(value_freep) Value *body = value_new_map();
        int r = body ? value_set_int(body, "change", ts->change, err) : error_no_memory(err);
        if (r == 0 && ts->facts)
                r = value_set(body, "facts", value_copy(ts->facts), err);
        return r < 0 ? r : ledger_add(l, RECORD_DONE, (uint32_t)x->pending, TAKE_PTR(body), err);
}

/* The re-check of what the plan chose, inside the LMDB transaction that writes BEGIN: nobody can take it between the
 * look and the claim. */
static int claim_is_free(JournalWrite *w, const Plan *p, const char *claim, Error *err) {
        char key[ROW_KEY_MAX];
        static const char *const prefixes[] = {"", "claim/"};
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                _cleanup_row_list_ RowList list = {0};
                _cleanup_(value_freep) Value *row = NULL;
                int r = row_key(key, "%s%s", prefixes[i], claim);
                if (r < 0)
                        return error_set(err, r, ERR_FAILED, NULL, "the claim \"%s\" is too long", claim);
                r = journal_write_get_row(w, key, &list, err);
                if (r == -ENOENT)
                        continue;
                if (r < 0 || (r = body_decode_row(&list.rows[0], NULL, &row, err)) < 0)
                        return r;
                const char *owner = value_get_text(row, "service");
                if (!owner || strcmp(owner, p->service) != 0)
                        return TXN_CONFLICT;
        }
        return 0;
}

static int check_claims(JournalWrite *w, const Plan *p, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(p->claims) && !mutant_is("no-claim-check"); i++)
                r = claim_is_free(w, p, value_text(value_at(p->claims, i)), err);
        return r;
}

static int begin_body(Txn *x, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map(), *plan = NULL;
        int r = body ? plan_to_value(x->trail->plan, &plan, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if ((r = value_set(body, "plan", TAKE_PTR(plan), err)) < 0 ||
            (r = value_set_text(body, "actor", x->engine->actor, err)) < 0 ||
            (r = value_set_text(body, "request", x->engine->request_id, err)) < 0 ||
            (r = value_set_text(body, "pawl", PAWL_VERSION, err)) < 0)
                return r;
        if (x->trail->plan->spec) {
                char hash[17];
                r = spec_hash(x->trail->plan->spec, hash, err);
                if (r < 0 || (r = value_set_text(body, "hash", hash, err)) < 0)
                        return r;
        }
        *ret = TAKE_PTR(body);
        return 0;
}

int txn_begin(Txn *x, Ledger *l, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        uint8_t wrapped[SEAL_WRAPPED_SIZE];
        int r = check_claims(l->write, x->trail->plan, err);
        if (r != 0)
                return r;
        r = begin_body(x, &body, err);
        if (r == 0)
                r = ledger_add(l, RECORD_BEGIN, RECORD_STEP_NONE, TAKE_PTR(body), err);
        if (r == 0 && mutant_is("key-not-kept"))
                return 0;
        if (r == 0)
                r = seal_wrap(x->engine->host_key, x->trail->key, wrapped, err);
        return r < 0 ? r : journal_write_key(l->write, 0, wrapped, sizeof(wrapped), err);
}

int txn_prepare(Txn *x, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        const Plan *p = x->trail->plan;
        int r = p->is_marked && !mutant_is("mark-after-effect") ? mark_begin(x->engine, p->service, err) : 0;
        if (r == 0)
                r = begin_body(x, &body, err);
        if (r == 0)
                r = body_encode(RECORD_BEGIN, body, x->trail->key, &data, &size, err);
        return r < 0 ? r : journal_reserve(x->engine->journal, size, err);
}

int txn_intent_body(const Step *step, const Value *before, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map(), *numbered = NULL;
        int r = body ? field_pack(step->manager->before, before, &numbered, err) : error_no_memory(err);
        if (r == 0)
                r = value_set(body, "before", TAKE_PTR(numbered), err);
        if (r == 0)
                *ret = TAKE_PTR(body);
        return r;
}
