/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there and how it is: the rows say what was told, the runtime says what is. A state is asked for each time and
 * never stored, so none of these answers can be stale.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/body.h"
#include "core/drop_ins.h"
#include "core/engine_state.h"
#include "core/names.h"
#include "core/rows.h"
#include "core/trail.h"
#include "core/unchecked.h"

/* clang-format off */
static const char *const state_words[] = {
        [RUN_STOPPED] = "stopped",
        [RUN_RUNNING] = "running",
        [RUN_FAILED]  = "failed",
};
/* clang-format on */

/* ---- One line ---------------------------------------------------------------------------------------------------- */

/* What is being put together about one service. */
typedef struct View {
        Engine *engine;
        const char *service;
        const Value *row;   /* NULL, or null: known only from a transaction that has not ended */
        const Value *opens; /* the open transactions of the host */
        RunStatus status;
        Value *item; /* owned: the answer */
} View;

static void view_done(View *v) {
        value_free(v->item);
}
#define _cleanup_view_ _cleanup_(view_done)

/* The newest open transaction of a service: keys are in order. */
static const Value *open_find(const Value *opens, const char *service) {
        for (size_t i = value_count(opens); i-- > 0;) {
                const Value *row = opens->map.entries[i].value;
                if (strcmp(value_get_text_or(row, "service", ""), service) == 0)
                        return row;
        }
        return NULL;
}

/* "hold" stands beside "interrupted" as well: both block the service, but only one needs a person. */
static int add_open(View *v, Error *err) {
        const Value *open = open_find(v->opens, v->service);
        int r = unchecked_is(v->engine, v->service, err);
        if (r == 1)
                r = value_set_bool(v->item, "unchecked", true, err);
        if (r < 0 || !open)
                return r;
        int64_t tx = value_get_int(open, "tx", 0);
        OpenState state = engine_open_state(v->engine, open, NULL);
        r = value_set_int(v->item, state == OPEN_LIVE ? "in_progress" : "hold", tx, err);
        return r < 0 || state != OPEN_INTERRUPTED ? r : value_set_int(v->item, "interrupted", tx, err);
}

static void note_add(Text *note, const char *text) {
        if (!text || !*text)
                return;
        if (note->size > 0)
                text_add(note, ", ");
        text_add(note, text);
}

static void note_state(Text *note, const Value *row, RunState state) {
        const char *wanted = value_get_text_or(row, "wanted", "");
        if (state == RUN_STOPPED && strcmp(wanted, "running") == 0)
                note_add(note, "told to run");
        if (state == RUN_RUNNING && strcmp(wanted, "stopped") == 0)
                note_add(note, "told to stop");
}

/* "no route": what a group that was put back left undone. */
static void note_without(Text *note, const Value *row) {
        const Value *without = value_get(row, "without");
        for (size_t i = 0; i < value_count(without); i++) {
                char text[64];
                (void)snprintf(text, sizeof(text), "no %s", value_text(value_at(without, i)));
                note_add(note, text);
        }
}

/* "route: nginx is not running": status has the whole of it. */
static bool is_about_group(const Value *row, const char *warning) {
        const Value *without = value_get(row, "without");
        for (size_t i = 0; i < value_count(without); i++) {
                const char *group = value_text(value_at(without, i));
                if (strncmp(warning, group, strlen(group)) == 0 && warning[strlen(group)] == ':')
                        return true;
        }
        return false;
}

static int set_note(View *v, Text *note, Error *err) {
        if (note->size == 0 && !note->is_failed)
                return 0;
        _cleanup_free_ char *text = text_take(note);
        return text ? value_set_text(v->item, "note", text, err) : error_no_memory(err);
}

/* A runtime that cannot be asked is a note, not an error: the other services are shown all the same. */
static int add_state(View *v, Error *err) {
        const Runtime *runtime = row_runtime(v->row);
        const Value *warnings = value_get(v->row, "warnings");
        _cleanup_text_ Text note = {0};
        Error why = ERROR_INIT;
        int r = runtime ? runtime->state(&v->engine->host, v->service, &v->status, &why) : -EOPNOTSUPP;
        bool is_known = r == 0 && (size_t)v->status.state < ELEMENTSOF(state_words);
        if (is_known)
                note_state(&note, v->row, v->status.state);
        else
                note_add(&note, runtime ? why.message : "its runtime belongs to a newer pawl");
        note_without(&note, v->row);
        for (size_t i = 0; i < value_count(warnings); i++)
                if (!is_about_group(v->row, value_text(value_at(warnings, i))))
                        note_add(&note, value_text(value_at(warnings, i)));
        r = value_set_text(v->item, "state", is_known ? state_words[v->status.state] : "unclear", err);
        return r < 0 ? r : set_note(v, &note, err);
}

static int add_line(View *v, Error *err) {
        static const char *const keys[] = {"version", "port", "route", "without", NULL};
        v->item = value_new_map();
        int r = v->item ? value_set_text(v->item, "name", v->service, err) : error_no_memory(err);
        if (r == 0)
                r = row_copy_keys(v->item, v->row, keys, err);
        if (r == 0)
                r = add_state(v, err);
        return r < 0 ? r : add_open(v, err);
}

/* ---- List -------------------------------------------------------------------------------------------------------- */

/* Services with a row, then those whose first transaction has not ended: a deploy on hold must not be out of sight. */
static int known_services(const Value *rows, const Value *opens, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *known = value_new_map();
        int r = known ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++)
                r = value_set(known, rows->map.entries[i].name + strlen("service/"),
                              value_copy(rows->map.entries[i].value), err);
        for (size_t i = 0; r == 0 && i < value_count(opens); i++) {
                const char *service = value_get_text(opens->map.entries[i].value, "service");
                if (service && !value_get(known, service))
                        r = value_set(known, service, value_new_null(), err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(known);
        return 0;
}

static int list_add(Engine *e, const MapEntry *service, const Value *opens, Value *list, Error *err) {
        _cleanup_view_ View v = {.engine = e, .service = service->name, .row = service->value, .opens = opens};
        int r = add_line(&v, err);
        return r < 0 ? r : value_append(list, TAKE_PTR(v.item), err);
}

int engine_list(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map(), *list = value_new_array();
        _cleanup_(value_freep) Value *rows = NULL, *opens = NULL, *known = NULL;
        int r = result && list ? engine_rows(e, "service/", 0, &rows, err) : error_no_memory(err);
        if (r == 0)
                r = engine_rows(e, "open/", 0, &opens, err);
        if (r == 0)
                r = known_services(rows, opens, &known, err);
        for (size_t i = 0; r == 0 && i < value_count(known); i++)
                r = list_add(e, &known->map.entries[i], opens, list, err);
        if (r == 0)
                r = value_set(result, "services", TAKE_PTR(list), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}

/* ---- Status ------------------------------------------------------------------------------------------------------ */

/* An address may carry a password. */
static int add_source(View *v, Error *err) {
        _cleanup_(value_freep) Value *source = value_copy(value_get(v->row, "source"));
        const char *location = value_get_text(source, "location");
        if (!source)
                return 0;
        if (location) {
                _cleanup_free_ char *shown = text_redact(location);
                int r = shown ? value_set_text(source, "location", shown, err) : error_no_memory(err);
                if (r < 0)
                        return r;
        }
        return value_set(v->item, "source", TAKE_PTR(source), err);
}

static int release_item(const View *v, const MapEntry *entry, Value *item, Error *err) {
        static const char *const keys[] = {"version", "tx", "updated", NULL};
        const char *version = value_get_text_or(entry->value, "version", ""), *role = NULL;
        if (strcmp(version, value_get_text_or(v->row, "previous", "")) == 0)
                role = "previous";
        if (strcmp(version, value_get_text_or(v->row, "version", "")) == 0)
                role = "current";
        int r = row_copy_keys(item, entry->value, keys, err);
        if (r == 0)
                r = value_set_text(item, "sha256", value_get_text(value_get(entry->value, "source"), "sha256"), err);
        return r < 0 ? r : value_set_text(item, "role", role, err);
}

static int held_item(const View *v, const MapEntry *entry, Value *item, Error *err) {
        static const char *const keys[] = {"why", "sha256", "tx", NULL};
        const char *slash = strrchr(entry->name, '/');
        (void)v;
        int r = value_set_text(item, "version", slash ? slash + 1 : entry->name, err);
        return r < 0 ? r : row_copy_keys(item, entry->value, keys, err);
}

/* clang-format off */
static const struct {
        const char *name; /* in the answer */
        const char *kind; /* rows "<kind>/<service>/..." */
        int (*fill)(const View *v, const MapEntry *entry, Value *item, Error *err);
} view_lists[] = {
        {"releases", "release", release_item},
        {"held",     "held",    held_item},
};
/* clang-format on */

static int add_list(View *v, size_t which, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL, *list = value_new_array();
        char prefix[ROW_KEY_MAX];
        int r = list ? 0 : error_no_memory(err);
        if (r == 0 && row_key(prefix, "%s/%s/", view_lists[which].kind, v->service) > 0)
                r = engine_rows(v->engine, prefix, 0, &rows, err);
        for (size_t i = 0; r == 0 && rows && i < value_count(rows); i++) {
                Value *item = value_new_map();
                r = value_append(list, item, err);
                if (r == 0)
                        r = view_lists[which].fill(v, &rows->map.entries[i], item, err);
        }
        return r < 0 ? r : value_set(v->item, view_lists[which].name, TAKE_PTR(list), err);
}

static int add_details(View *v, Error *err) {
        static const char *const keys[] = {"previous", "deployed", "updated", "wanted",
                                           "warnings", "without",  "tx",      NULL};
        int64_t port = value_get_int(v->row, "port", 0);
        _cleanup_free_ char *data = name_data_dir(v->service), *path = data ? host_path(&v->engine->host, data) : NULL;
        int r = path ? row_copy_keys(v->item, v->row, keys, err) : error_no_memory(err);
        if (r == 0 && v->status.pid > 0)
                r = value_set_int(v->item, "pid", v->status.pid, err);
        if (r == 0 && v->status.since_usec > 0)
                r = value_set_int(v->item, "since", v->status.since_usec, err);
        if (r == 0 && port > 0)
                r = value_set(v->item, "url", value_new_format("http://127.0.0.1:%" PRId64, port), err);
        bool has_data = false;
        if (r == 0)
                r = fs_has(v->engine->root, data, &has_data, err);
        if (r == 0 && has_data)
                r = value_set_text(v->item, "data", path, err);
        return r;
}

static int add_past(View *v, Error *err) {
        static const char *const keys[] = {"tx", "flow", "service", NULL};
        const Value *row = open_find(v->opens, v->service);
        _cleanup_(value_freep) Value *past = value_new_array(), *open = row ? value_new_map() : NULL;
        int r = !past || (row && !open) ? error_no_memory(err) : 0;
        if (r == 0 && open)
                r = row_copy_keys(open, row, keys, err);
        if (r == 0 && open)
                r = value_set(v->item, "open", TAKE_PTR(open), err);
        if (r == 0)
                r = engine_history_ended(v->engine, v->service, 1, past, err);
        const Value *last = value_at(past, 0);
        return r == 0 && last ? value_set(v->item, "last", value_copy(last), err) : r;
}

/* Secrets are not needed to look, so a lost key does not stand in the way. */
static int service_row_sealed(Engine *e, const char *service, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        _cleanup_row_list_ RowList list = {0};
        if (row_key(key, "service/%s", service) < 0 || !e->journal)
                return -ENOENT;
        int r = journal_row(e->journal, key, &list, err);
        return r < 0 ? r : body_decode_row(&list.rows[0], NULL, ret, err);
}

int engine_service_find(Engine *e, const char *service, Value **ret_row, Value **ret_opens, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL;
        int r = engine_rows(e, "open/", 0, &opens, err);
        if (r < 0)
                return r;
        r = service_row_sealed(e, service, ret_row, err);
        if (r == -ENOENT)
                r = open_find(opens, service) ? 0 : engine_service_row(e, service, ret_row, err);
        if (r == 0)
                *ret_opens = TAKE_PTR(opens);
        return r;
}

int engine_status(Engine *e, const char *service, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL, *row = NULL;
        int r = engine_service_find(e, service, &row, &opens, err);
        if (r < 0)
                return r;
        _cleanup_view_ View v = {.engine = e, .service = service, .row = row, .opens = opens};
        r = add_line(&v, err);
        if (r == 0)
                r = add_details(&v, err);
        if (r == 0)
                r = drop_ins_set(e, service, row, v.item, err);
        if (r == 0)
                r = add_source(&v, err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(view_lists); i++)
                r = add_list(&v, i, err);
        if (r == 0)
                r = add_past(&v, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v.item);
        return 0;
}

/* ---- Logs -------------------------------------------------------------------------------------------------------- */

/* Of a service that is not there, but was tried: what it printed is kept, and its last transaction knows where.
 * -ENOENT quietly. */
static int tried_row(Engine *e, const char *service, Value **ret_row, Error *err) {
        _cleanup_(value_freep) Value *past = value_new_array(), *row = value_new_map();
        _cleanup_(trail_freep) Trail *t = NULL;
        int r = past && row ? engine_history_ended(e, service, 1, past, err) : error_no_memory(err);
        if (r < 0)
                return r;
        uint64_t tx = (uint64_t)value_get_int(value_at(past, 0), "tx", 0);
        if (tx == 0 || trail_load(e->journal, NULL, tx, &t, NULL) < 0 || !t->plan->spec || t->plan->from)
                return -ENOENT;
        r = value_set(row, "spec", value_copy(t->plan->spec), err);
        if (r == 0)
                *ret_row = TAKE_PTR(row);
        return r;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are those of Runtime. */
int engine_logs(Engine *e, const char *service, size_t n, bool follow,
                void (*line)(void *userdata, const char *text, size_t n_text), void *userdata, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL, *row = NULL;
        Error why = ERROR_INIT;
        int r = engine_service_find(e, service, &row, &opens, &why);
        bool may_be_tried = r < 0 && why.code == ERR_NO_SERVICE && e->journal;
        if (may_be_tried)
                r = tried_row(e, service, &row, err);
        if (r < 0 && err && (!may_be_tried || r == -ENOENT))
                *err = why;
        if (r < 0)
                return r;
        const char *type = value_get_text_or(value_path(row, "spec.runtime"), "type", "process");
        const Runtime *runtime = row_runtime(row);
        if (!runtime)
                return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "A newer pawl deployed it.",
                                 "the runtime \"%s\" of %s is not one this pawl has", type, service);
        Host host = engine_host(e, 0, 0, true);
        return runtime->logs(&host, service, n, follow, line, userdata, err);
}
