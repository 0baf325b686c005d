/* SPDX-License-Identifier: Apache-2.0 */
/* No key is ever used here, so what was sealed stays sealed whoever asks. */
#include <string.h>

#include "core/base/text.h"
#include "core/body.h"
#include "core/record_view.h"

void record_view_done(RecordView *v) {
        v->plan = plan_free(v->plan);
}

/* ---- Redaction --------------------------------------------------------------------------------------------------- */

/* The new text takes the place of the old inside of the same node, so that whoever holds the node needs no telling. */
static int redact_text(Value *v, bool is_secret, Error *err) {
        _cleanup_free_ char *shown = is_secret ? strdup("****") : text_redact(v->bytes.data);
        if (!shown)
                return error_no_memory(err);
        free(v->bytes.data);
        v->bytes.data = TAKE_PTR(shown);
        v->bytes.size = strlen(v->bytes.data);
        return 0;
}

static int redact(Value *v, bool is_secret, Error *err) {
        int r = 0;
        if (value_is(v, VALUE_TEXT))
                return redact_text(v, is_secret, err);
        for (size_t i = 0; r == 0 && value_is(v, VALUE_ARRAY) && i < v->array.n; i++)
                r = redact(v->array.items[i], is_secret, err);
        for (size_t i = 0; r == 0 && value_is(v, VALUE_MAP) && i < v->map.n; i++) {
                const MapEntry *entry = &v->map.entries[i];
                bool is_leaf = !value_is(entry->value, VALUE_MAP);
                r = redact(entry->value, is_leaf && entry->name && name_is_secret(entry->name), err);
        }
        return r;
}

int redact_tree(Value *tree, Error *err) {
        return redact(tree, false, err);
}

/* ---- The plan of a record ---------------------------------------------------------------------------------------- */

/* Best effort: without a plan steps have numbers only. */
static void plan_of(RecordView *v, uint64_t tx) {
        _cleanup_record_list_ RecordList list = {0};
        _cleanup_(value_freep) Value *body = NULL;
        if (tx == 0 || tx == v->tx)
                return;
        v->tx = tx;
        v->plan = plan_free(v->plan);
        if (journal_get(v->journal, tx, &list, NULL) < 0 || list.records[0].kind != RECORD_BEGIN)
                return;
        if (body_decode(&list.records[0], NULL, &body, NULL) == 0)
                (void)plan_from_value(value_get(body, "plan"), &v->plan, NULL);
}

static const Step *step_of(const RecordView *v, const Record *record) {
        if (!v->plan || record->step == RECORD_STEP_NONE || (record->step & STEP_GROUP_BIT) ||
            record->step >= v->plan->n_steps)
                return NULL;
        return &v->plan->steps[record->step];
}

/* ---- Parts of bodies --------------------------------------------------------------------------------------------- */

/* Long content is told by its length; the export has all of it. */
static int hide_long(const Field *fields, Value *named, Error *err) {
        int r = 0;
        for (const Field *f = fields; r == 0 && f->num > 0; f++) {
                const Value *v = value_get(named, f->name);
                bool is_long = v && (f->flags & FIELD_HIDDEN) && (value_is(v, VALUE_TEXT) || value_is(v, VALUE_BYTES));
                if (is_long)
                        r = value_set(named, f->name, value_new_format("(%zu bytes)", v->bytes.size), err);
        }
        return r;
}

/* Arguments and before-images are numbered by their manager's own tables; what a newer pawl wrote stays as it is. */
static int unpack(const RecordView *v, const Field *fields, const Value *numbered, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *named = NULL;
        int r = fields ? field_unpack(fields, numbered, &named, NULL) : -1;
        if (r < 0)
                named = value_copy(numbered);
        if (!named)
                return error_no_memory(err);
        if (r == 0 && !v->is_whole && (r = hide_long(fields, named, err)) < 0)
                return r;
        *ret = TAKE_PTR(named);
        return 0;
}

static int view_before(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err) {
        const Step *step = step_of(v, record);
        return unpack(v, step && step->manager ? step->manager->before : NULL, part, ret, err);
}

static int view_rows(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err) {
        (void)record;
        _cleanup_(value_freep) Value *names = v->is_whole ? value_copy(part) : value_new_array();
        int r = names ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && !v->is_whole && value_is(part, VALUE_MAP) && i < part->map.n; i++) {
                const MapEntry *entry = &part->map.entries[i];
                const char *gone = value_is(entry->value, VALUE_NULL) ? "-" : "";
                r = value_append(names, value_new_format("%s%s", gone, entry->name ? entry->name : "?"), err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

static int view_plan(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err) {
        (void)record;
        if (v->plan && !v->is_whole)
                return plan_describe(v->plan, ret, err);
        _cleanup_(value_freep) Value *plan = value_copy(part);
        Value *steps = value_get(plan, "steps");
        int r = plan ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && v->plan && i < value_count(steps) && i < v->plan->n_steps; i++) {
                Value *step = value_at(steps, i), *args = NULL;
                const Manager *m = v->plan->steps[i].manager;
                r = unpack(v, m ? m->args : NULL, value_get(step, "args"), &args, err);
                if (r == 0)
                        r = value_set(step, "args", args, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(plan);
        return 0;
}

static int view_change(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err) {
        (void)v, (void)record;
        int64_t change = value_is(part, VALUE_INT) ? part->integer : -1;
        bool is_known = change >= CHANGE_UNCHANGED && change <= CHANGE_CHANGED;
        *ret = is_known ? value_new_text(change_name((Change)change)) : value_copy(part);
        return *ret ? 0 : error_no_memory(err);
}

static int view_decision(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err) {
        (void)v, (void)record;
        bool is_restore = value_is(part, VALUE_INT) && part->integer == 2;
        *ret = value_new_text(is_restore ? "restore" : "keep");
        return *ret ? 0 : error_no_memory(err);
}

/* clang-format off */
static const struct {
        RecordKind kind;
        const char *name;
        int (*view)(RecordView *v, const Record *record, const Value *part, Value **ret, Error *err);
} parts[] = {
        {RECORD_BEGIN,      "plan",     view_plan},
        {RECORD_INTENT,     "before",   view_before},
        {RECORD_DONE,       "change",   view_change},
        {RECORD_RESOLVED,   "decision", view_decision},
        {RECORD_COMMIT,     "rows",     view_rows},
        {RECORD_END,        "rows",     view_rows},
        {RECORD_FAILED,     "rows",     view_rows},
        {RECORD_ABORT,      "rows",     view_rows},
        {RECORD_CHECKPOINT, "rows",     view_rows},
};
/* clang-format on */

static int view_part(RecordView *v, const Record *record, const MapEntry *entry, Value **ret, Error *err) {
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (parts[i].kind == record->kind && strcmp(parts[i].name, entry->name) == 0)
                        return parts[i].view(v, record, entry->value, ret, err);
        *ret = value_copy(entry->value);
        return *ret ? 0 : error_no_memory(err);
}

/* ---- A record ---------------------------------------------------------------------------------------------------- */

static int view_body(RecordView *v, const Record *record, Value *out, Error *err) {
        _cleanup_(value_freep) Value *body = NULL, *shown = value_new_map();
        Error why = ERROR_INIT;
        int r = shown ? 0 : error_no_memory(err);
        if (r == 0 && (!body_fields(record->kind) || body_decode(record, NULL, &body, &why) < 0))
                return value_set_text(out, "problem", why.message[0] ? why.message : "a newer pawl wrote it", err);
        for (size_t i = 0; r == 0 && value_is(body, VALUE_MAP) && i < body->map.n; i++) {
                const MapEntry *entry = &body->map.entries[i];
                Value *part = NULL;
                r = view_part(v, record, entry, &part, err);
                if (r == 0)
                        r = value_set(shown, entry->name, part, err);
        }
        if (r == 0)
                r = redact_tree(shown, err);
        return r < 0 ? r : value_set(out, "body", TAKE_PTR(shown), err);
}

static int view_step(const RecordView *v, const Record *record, Value *out, Error *err) {
        const Step *step = step_of(v, record);
        _cleanup_free_ char *what = NULL;
        bool is_group = record->step != RECORD_STEP_NONE && (record->step & STEP_GROUP_BIT);
        uint32_t i = record->step & ~STEP_GROUP_BIT;
        if (record->step == RECORD_STEP_NONE)
                return 0;
        int r = value_set_int(out, is_group ? "group" : "step", (int64_t)i + 1, err);
        if (r == 0 && is_group && v->plan && i < v->plan->n_groups)
                return value_set_text(out, "what", v->plan->groups[i].name, err);
        if (r == 0 && step && step_describe(step, &what, NULL) == 0)
                r = value_set_text(out, "what", what, err);
        return r;
}

int record_view(RecordView *v, const Record *record, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *out = value_new_map();
        const char *slug = record_slug(record->kind);
        int r;
        if (!out)
                return error_no_memory(err);
        plan_of(v, record->tx);
        if ((r = value_set_int(out, "seq", (int64_t)record->seq, err)) < 0 ||
            (r = value_set_text(out, "kind", slug ? slug : "?", err)) < 0 ||
            (r = record->tx > 0 ? value_set_int(out, "tx", (int64_t)record->tx, err) : 0) < 0 ||
            (r = view_step(v, record, out, err)) < 0 || (r = value_set_int(out, "epoch", record->epoch, err)) < 0 ||
            (r = value_set_int(out, "time", record->time_usec, err)) < 0 ||
            (r = value_set_bool(out, "trusted", record->flags & RECORD_CLOCK_TRUSTED, err)) < 0 ||
            (r = view_body(v, record, out, err)) < 0)
                return r;
        *ret = TAKE_PTR(out);
        return 0;
}
