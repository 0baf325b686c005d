/* SPDX-License-Identifier: Apache-2.0 */
/* One function, trail_note, turns records into state; running and reading back both go through it. */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/body.h"
#include "core/trail.h"

static void trail_step_done(TrailStep *s) {
        value_free(s->before);
        value_free(s->facts);
        free(s->stuck_why);
        free(s->warning);
}

Trail *trail_free(Trail *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; t->steps && i < t->plan->n_steps; i++)
                trail_step_done(&t->steps[i]);
        for (size_t i = 0; t->groups && i < t->plan->n_groups; i++)
                free(t->groups[i].why);
        free(t->steps);
        free(t->groups);
        plan_free(t->plan);
        value_free(t->begin);
        value_free(t->warnings);
        value_free(t->end);
        free(t->reason);
        seal_key_free(t->key);
        free(t);
        return NULL;
}

int trail_new(Plan *plan, SealKey *key, Trail **ret, Error *err) {
        _cleanup_(trail_freep) Trail *t = calloc(1, sizeof(Trail));
        if (!t) {
                plan_free(plan);
                seal_key_free(key);
                return error_no_memory(err);
        }
        t->plan = plan;
        t->key = key;
        t->failed_step = RECORD_STEP_NONE;
        t->steps = calloc(MAX(plan->n_steps, (size_t)1), sizeof(TrailStep));
        t->groups = calloc(MAX(plan->n_groups, (size_t)1), sizeof(TrailGroup));
        t->warnings = value_new_array();
        if (!t->steps || !t->groups || !t->warnings)
                return error_no_memory(err);
        for (size_t i = 0; i < plan->n_steps; i++)
                t->is_newer |= plan->steps[i].manager == NULL;
        *ret = TAKE_PTR(t);
        return 0;
}

/* ---- One record at a time ---------------------------------------------------------------------------------------- */

static int keep_text(char **field, const char *text, Error *err) {
        char *copy = strdup(text ? text : "");
        if (!copy)
                return error_no_memory(err);
        free(*field);
        *field = copy;
        return 0;
}

static void progress_made(Trail *t) {
        for (size_t i = 0; i < t->plan->n_steps; i++)
                t->steps[i].attempts = 0;
}

static int note_intent(Trail *t, TrailStep *s, uint32_t step, const Value *body, Error *err) {
        const Value *before = value_get(body, "before");
        const Manager *m = t->plan->steps[step].manager;
        Value *named = NULL;
        s->has_intent = true;
        if (!m)
                return 0;
        int r = field_unpack(m->before, before, &named, err);
        if (r == -EBADMSG) {
                t->is_newer = true;
                t->plan->steps[step].manager = NULL;
                return 0;
        }
        if (r < 0)
                return r;
        value_free(s->before);
        s->before = named;
        return 0;
}

static int note_done(TrailStep *s, const Value *body, Error *err) {
        if (mutant_is("ignore-done"))
                return 0; /* nothing may depend on it */
        s->is_done = true;
        s->change = (Change)value_get_int(body, "change", CHANGE_CHANGED);
        const Value *facts = value_get(body, "facts");
        if (!facts)
                return 0;
        value_free(s->facts);
        s->facts = value_copy(facts);
        return s->facts ? 0 : error_no_memory(err);
}

static int note_failed(Trail *t, uint32_t step, const Value *body, Error *err) {
        const char *message = value_get_text(body, "message");
        if (step & STEP_GROUP_BIT) {
                TrailGroup *g = &t->groups[step & ~STEP_GROUP_BIT];
                g->is_failed = true;
                return keep_text(&g->why, message, err);
        }
        t->steps[step].is_failed = true;
        t->failed_step = step;
        return 0;
}

static int note_abort(Trail *t, const Value *body, Error *err) {
        const char *code = value_get_text(body, "code");
        t->reason_code = code ? error_from_slug(code) : ERR_FAILED;
        if (t->reason_code == ERROR_CODE_MAX)
                t->reason_code = ERR_FAILED;
        return keep_text(&t->reason, value_get_text(body, "message"), err);
}

static int note_finished(Trail *t, TrailStep *s, const Value *body, Error *err) {
        const char *warning = value_get_text(body, "warning");
        bool is_known = s->is_finish_pending;
        s->is_finished = true;
        s->is_finish_pending = false;
        progress_made(t);
        if (!warning || is_known)
                return 0;
        int r = value_append_text(t->warnings, warning, err);
        return r < 0 ? r : keep_text(&s->warning, warning, err);
}

static int note_stuck(TrailStep *s, const Value *body, Error *err) {
        s->is_stuck = true;
        s->attempts = 0; /* it did not die here */
        return keep_text(&s->stuck_why, value_get_text(body, "message"), err);
}

static int note_line(Trail *t, const Value *body, Error *err) {
        if (value_get_int(body, "level", LOG_NOTE) < LOG_WARNING)
                return 0;
        return value_append_text(t->warnings, value_get_text_or(body, "text", ""), err);
}

static int refuse_step(const Trail *t, const Record *record, Error *err) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "record %llu is about step %u of %zu",
                         (unsigned long long)record->seq, (record->step & ~STEP_GROUP_BIT) + 1, t->plan->n_steps);
}

static int note_group_undone(Trail *t, uint32_t group, Error *err) {
        TrailGroup *g = &t->groups[group];
        g->is_undone = true;
        Value *text = value_new_format("%s: %s", t->plan->groups[group].name, g->why ? g->why : "put back");
        return value_append(t->warnings, text, err);
}

static int note_group(Trail *t, const Record *record, const Value *body, Error *err) {
        uint32_t i = record->step & ~STEP_GROUP_BIT;
        if (i >= t->plan->n_groups)
                return refuse_step(t, record, err);
        if (record->kind == RECORD_FAILED)
                return note_failed(t, record->step, body, err);
        if (record->kind != RECORD_GROUP_UNDONE)
                return 0; /* the order of records lets no other kind be about a group */
        return note_group_undone(t, i, err);
}

static int note_step(Trail *t, const Record *record, const Value *body, Error *err) {
        uint32_t i = record->step;
        if (i >= t->plan->n_steps)
                return refuse_step(t, record, err);
        TrailStep *s = &t->steps[i];
        if (record->kind == RECORD_INTENT || record->kind == RECORD_RECOVER)
                memcpy(s->boot, record->boot, BOOT_ID_SIZE);
        switch (record->kind) {
        case RECORD_FAILED:
                return note_failed(t, i, body, err);
        case RECORD_INTENT:
                return note_intent(t, s, i, body, err);
        case RECORD_DONE:
                progress_made(t);
                return note_done(s, body, err);
        case RECORD_UNDONE:
                s->is_undone = true;
                progress_made(t);
                return 0;
        case RECORD_STUCK:
                return note_stuck(s, body, err);
        case RECORD_RESOLVED:
                s->resolution = (Resolution)value_get_int(body, "decision", RESOLUTION_KEEP);
                s->attempts = 0;
                return 0;
        case RECORD_FINISHED:
                return note_finished(t, s, body, err);
        case RECORD_RECOVER:
                s->attempts++;
                return 0;
        default:
                return 0;
        }
}

static int note_transaction(Trail *t, const Record *record, const Value *body, Error *err) {
        switch (record->kind) {
        case RECORD_BEGIN:
                t->tx = record->seq;
                t->begin_usec = record->time_usec;
                memcpy(t->begin_boot, record->boot, BOOT_ID_SIZE);
                t->phase = TX_OPEN;
                value_free(t->begin);
                t->begin = value_copy(body);
                if (!t->begin)
                        return error_no_memory(err);
                value_remove(t->begin, "plan");
                return 0;
        case RECORD_COMMIT:
                t->phase = TX_COMMITTED;
                progress_made(t);
                return 0;
        case RECORD_ABORT:
                t->phase = TX_ABORTED;
                progress_made(t); /* another direction: its attempts count anew */
                return note_abort(t, body, err);
        case RECORD_END:
                t->phase = TX_ENDED;
                t->end_usec = record->time_usec;
                value_free(t->end);
                t->end = value_copy(body);
                return t->end ? 0 : error_no_memory(err);
        case RECORD_NOTE:
                return note_line(t, body, err);
        default:
                return 0;
        }
}

int trail_note(Trail *t, const Record *record, const Value *body, Error *err) {
        t->epoch = MAX(t->epoch, record->epoch);
        if (record->kind == RECORD_BEGIN || memcmp(record->boot, t->begin_boot, BOOT_ID_SIZE) == 0)
                t->cut_usec = record->time_usec;
        if (record->step == RECORD_STEP_NONE || record->kind == RECORD_NOTE)
                return note_transaction(t, record, body, err);
        return record->step & STEP_GROUP_BIT ? note_group(t, record, body, err) : note_step(t, record, body, err);
}

/* ---- Reading back ------------------------------------------------------------------------------------------------ */

static int trail_begin(const Record *record, SealKey **key, Trail **ret, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(trail_freep) Trail *t = NULL;
        int r = body_decode(record, *key, &body, err);
        if (r < 0)
                return r;
        r = plan_from_value(value_get(body, "plan"), &plan, err);
        if (r < 0)
                return r;
        r = trail_new(TAKE_PTR(plan), TAKE_PTR(*key), &t, err);
        if (r < 0)
                return r;
        r = trail_note(t, record, body, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

int trail_load(Journal *j, const SealKey *host_key, uint64_t tx, Trail **ret, Error *err) {
        _cleanup_record_list_ RecordList list = {0};
        _cleanup_(seal_key_freep) SealKey *key = NULL;
        _cleanup_(trail_freep) Trail *t = NULL;
        int r = journal_get_tx(j, tx, &list, err);
        if (r < 0)
                return r;
        if (list.n == 0 || list.records[0].kind != RECORD_BEGIN)
                return error_set(err, -ENOENT, ERR_NO_TRANSACTION, "Run \"pawl history\" to see the transactions.",
                                 "there is no transaction %llu", (unsigned long long)tx);
        if (host_key) {
                r = secrets_tx_key(j, host_key, tx, &key, err);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        r = trail_begin(&list.records[0], &key, &t, err);
        for (size_t i = 1; r == 0 && i < list.n; i++) {
                _cleanup_(value_freep) Value *body = NULL;
                r = body_decode(&list.records[i], t->key, &body, err);
                if (r == 0)
                        r = trail_note(t, &list.records[i], body, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

bool trail_step_is_open(const TrailStep *s) {
        return s->has_intent && !s->is_undone && s->resolution != RESOLUTION_KEEP;
}

static bool reverse_is_settled(const Trail *t) {
        for (size_t i = 0; i < t->plan->n_steps; i++) {
                const TrailStep *s = &t->steps[i];
                if (trail_step_is_open(s))
                        return false;
        }
        return true;
}

static bool finish_is_settled(const Trail *t) {
        for (size_t i = 0; i < t->plan->n_steps; i++) {
                const TrailStep *s = &t->steps[i];
                if (t->plan->steps[i].kind == STEP_FINISH_MUST && !s->is_finished && !s->is_finish_pending &&
                    s->resolution != RESOLUTION_KEEP)
                        return false;
        }
        return true;
}

bool trail_is_settled(const Trail *t) {
        if (t->phase == TX_ENDED)
                return true;
        return t->phase == TX_COMMITTED ? finish_is_settled(t) : reverse_is_settled(t);
}

bool trail_has_undone_outside_groups(const Trail *t) {
        for (size_t i = 0; i < t->plan->n_steps; i++) {
                uint32_t group = t->plan->steps[i].group;
                bool in_failed_group = group > 0 && t->groups[group - 1].is_failed;
                if (t->steps[i].is_undone && !in_failed_group)
                        return true;
        }
        return false;
}
