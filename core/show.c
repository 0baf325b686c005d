/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction as the journal has it, record by record. */
#include <errno.h>
#include <inttypes.h>

#include "core/record_view.h"
#include "core/rows.h"

static int records_show(RecordView *view, const RecordList *list, Value *result, Error *err) {
        _cleanup_(value_freep) Value *records = value_new_array();
        int r = records ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < list->n; i++) {
                Value *one = NULL;
                r = record_view(view, &list->records[i], &one, err);
                if (r == 0)
                        r = value_append(records, one, err);
        }
        return r < 0 ? r : value_set(result, "records", TAKE_PTR(records), err);
}

/* The last of what failed says why it is still open. */
static const char *reason_of(const Value *records) {
        const char *reason = NULL;
        for (size_t i = 0; i < value_count(records); i++) {
                const char *message = value_get_text(value_get(value_at(records, i), "body"), "message");
                reason = message ? message : reason;
        }
        return reason;
}

/* How it ended is in its history row, once it has. */
static int add_end(Engine *e, const Plan *plan, uint64_t tx, Value *result, Error *err) {
        const char *reason = reason_of(value_get(result, "records"));
        static const char *const keys[] = {"actor", "result", "reason", "code", "started", "ended", "duration_usec"};
        _cleanup_(value_freep) Value *row = NULL;
        char key[ROW_KEY_MAX];
        row_key_history(plan->service, tx, key);
        int r = engine_row(e, key, &row, err);
        if (r == -ENOENT) {
                r = value_set_text(result, "result", "open", err);
                return r < 0 ? r : value_set_text(result, "reason", reason, err);
        }
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(keys); i++) {
                const Value *v = value_get(row, keys[i]);
                if (v)
                        r = value_set(result, keys[i], value_copy(v), err);
        }
        return r;
}

int engine_show(Engine *e, uint64_t tx, Value **ret, Error *err) {
        _cleanup_record_list_ RecordList list = {0};
        _cleanup_record_view_ RecordView view = {.journal = e->journal};
        _cleanup_(value_freep) Value *result = value_new_map();
        int r = result ? 0 : error_no_memory(err);
        if (r == 0 && e->journal)
                r = journal_get_tx(e->journal, tx, &list, err);
        if (r == 0 && (list.n == 0 || tx == 0)) /* under 0 are the records of the journal itself */
                return error_set(err, -ENOENT, ERR_NO_TRANSACTION, "Run \"pawl history\" to see the transactions.",
                                 "there is no transaction %" PRIu64, tx);
        if (r == 0)
                r = value_set_int(result, "tx", (int64_t)tx, err);
        if (r == 0)
                r = records_show(&view, &list, result, err);
        if (r == 0 && view.plan) {
                if ((r = value_set_text(result, "flow", view.plan->flow, err)) < 0 ||
                    (r = value_set_text(result, "service", view.plan->service, err)) < 0 ||
                    (r = value_set_text(result, "from", view.plan->from, err)) < 0 ||
                    (r = value_set_text(result, "to", view.plan->to, err)) < 0)
                        return r;
                r = add_end(e, view.plan, tx, result, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
