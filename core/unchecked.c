/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "core/base/text.h"
#include "core/body.h"
#include "core/rows.h"
#include "core/unchecked.h"

static int unchecked_row(Engine *e, const char *service, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "unchecked/%s", service) < 0 ? -ENOENT : engine_row(e, key, ret, err);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int unchecked_is(Engine *e, const char *service, Error *err) {
        _cleanup_(value_freep) Value *row = NULL;
        return unchecked_row(e, service, &row, err);
}

int unchecked_refuse(Engine *e, const char *service, Error *err) {
        _cleanup_(value_freep) Value *row = NULL;
        int r = unchecked_row(e, service, &row, err);
        if (r <= 0)
                return r;
        int64_t from = value_get_int(row, "from", 0), to = value_get_int(row, "to", 0);
        r = error_set(err, -EBUSY, ERR_ON_HOLD, NULL, "%s is on hold: the journal was repaired", service);
        if (err && to >= from)
                (void)error_set(err, r, ERR_ON_HOLD, NULL,
                                "%s is on hold: the journal was repaired, and what followed its record %" PRId64
                                ", if anything did, is lost",
                                service, from - 1);
        error_hint(err, "\"pawl check %s\" compares it with the journal, and lifts the hold where nothing differs.",
                   service);
        return r;
}

static int lift_body(const Engine *e, const char *service, bool is_accepted, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *body = value_new_map(), *rows = value_new_map();
        _cleanup_free_ char *text =
                text_format(is_accepted ? "%s is taken as it is, by %s" : "%s was found as the journal says, by %s",
                            service, e->actor);
        char key[ROW_KEY_MAX];
        if (!body || !rows || !text)
                return error_no_memory(err);
        int r = row_key(key, "unchecked/%s", service);
        if (r < 0)
                return error_set(err, r, ERR_FAILED, NULL, "the name of the service is too long");
        r = value_set(rows, key, value_new_null(), err);
        if (r == 0)
                r = value_set(body, "rows", TAKE_PTR(rows), err);
        if (r == 0)
                r = value_set_int(body, "level", LOG_NOTE, err);
        if (r == 0)
                r = value_set_text(body, "text", text, err);
        if (r == 0)
                *ret = TAKE_PTR(body);
        return r;
}

int unchecked_lift(Engine *e, const char *service, bool is_accepted, Error *err) {
        _cleanup_(value_freep) Value *body = NULL;
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        Record note = {.kind = RECORD_NOTE, .step = RECORD_STEP_NONE};
        int r = lift_body(e, service, is_accepted, &body, err);
        if (r == 0)
                r = body_encode(RECORD_NOTE, body, NULL, &data, &note.n_body, err);
        if (r == 0)
                r = journal_write_new(e->journal, true, &w, err);
        if (r < 0)
                return r;
        note.body = data;
        r = journal_write_record(w, &note, &note.seq, err);
        if (r == 0)
                r = rows_apply(w, &note, body, err);
        return r < 0 ? r : journal_commit(&w, err);
}
