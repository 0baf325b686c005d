/* SPDX-License-Identifier: Apache-2.0 */
/* A note is a number and nothing more: everything that is told is read back from the journal and the host, so that
 * it is true when it is told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/seal.h"
#include "core/base/text.h"
#include "core/boot.h"
#include "core/trail.h"

#define UNTOLD_PATH PAWL_DIR "/untold"
#define TOLD_PATH "run/pawl/told"
#define NOTES_MAX ((size_t)1 << 20)

/* ---- Lists of lines ---------------------------------------------------------------------------------------------- */

static bool list_has(const Value *list, const char *text) {
        for (size_t i = 0; i < value_count(list); i++)
                if (strcmp(value_text(value_at(list, i)), text) == 0)
                        return true;
        return false;
}

static int list_read(const Engine *e, const char *path, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *list = value_new_array();
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        char *at = NULL;
        int r = list ? fs_read(e->root, path, NOTES_MAX, &text, &size, err) : error_no_memory(err);
        if (r < 0 && r != -ENOENT)
                return r;
        r = 0;
        for (char *line = text ? strtok_r(text, "\n", &at) : NULL; r == 0 && line; line = strtok_r(NULL, "\n", &at))
                r = value_append_text(list, line, err);
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static char *list_text(const Value *list) {
        _cleanup_text_ Text text = {0};
        for (size_t i = 0; i < value_count(list); i++)
                text_addf(&text, "%s\n", value_text(value_at(list, i)));
        return text_take(&text);
}

static int append_tx(Value *list, uint64_t tx, Error *err) {
        char text[24];
        (void)snprintf(text, sizeof(text), "%" PRIu64, tx);
        return list_has(list, text) ? 0 : value_append_text(list, text, err);
}

/* ---- Before ------------------------------------------------------------------------------------------------------ */

static char *told_key(uint64_t tx, const char *result) {
        return text_format("%" PRIu64 " %s", tx, result);
}

/* A hold of which people know is nothing new at each turn of the timer. */
static bool is_news(Engine *e, const Value *row, const Value *told) {
        _cleanup_free_ char *key = told_key((uint64_t)value_get_int(row, "tx", 0), "on hold");
        return engine_open_state(e, row, NULL) != OPEN_LIVE && !(key && list_has(told, key));
}

int boot_remember(Engine *e, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL, *untold = NULL, *told = NULL;
        int r = engine_rows(e, "open/", 0, &rows, err);
        if (r < 0 || value_count(rows) == 0)
                return r;
        r = list_read(e, UNTOLD_PATH, &untold, err);
        if (r == 0)
                r = list_read(e, TOLD_PATH, &told, err);
        size_t n = value_count(untold);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++)
                if (is_news(e, rows->map.entries[i].value, told))
                        r = append_tx(untold, (uint64_t)value_get_int(rows->map.entries[i].value, "tx", 0), err);
        if (r < 0 || value_count(untold) == n)
                return r;
        _cleanup_free_ char *text = list_text(untold);
        return text ? fs_replace_durably(e->root, UNTOLD_PATH, text, strlen(text), 0600, err) : error_no_memory(err);
}

/* ---- One transaction --------------------------------------------------------------------------------------------- */

typedef struct Tale {
        const Trail *trail;
        Value *status; /* of the service now; NULL: there is none */
        const char *result;
        uint64_t down_usec; /* 0: nobody knows, or it was not down */
} Tale;

static const char *result_of(const Trail *t) {
        if (t->phase != TX_ENDED)
                return "on hold";
        return strcmp(value_get_text_or(t->end, "result", ""), "done") == 0 ? "finished" : "put back";
}

static bool was_cut(const Engine *e, const Trail *t) {
        return memcmp(t->begin_boot, e->boot, BOOT_ID_SIZE) != 0;
}

/* From the last word of the boot that was cut to the start of the program that runs now. */
static uint64_t downtime(const Engine *e, const Trail *t, const Value *status) {
        int64_t since = value_get_int(status, "since", 0);
        bool runs = strcmp(value_get_text_or(status, "state", ""), "running") == 0;
        return runs && was_cut(e, t) && since > t->cut_usec ? (uint64_t)(since - t->cut_usec) : 0;
}

/* "web  v1  running  put back 03:12 after a power cut (upgrade to v2, 1042); down 41 s" */
static char *tale_line(const Engine *e, const Tale *tale) {
        const Trail *t = tale->trail;
        _cleanup_text_ Text text = {0};
        char when[32], down[32];
        clock_format_local(t->phase == TX_ENDED ? t->end_usec : clock_wall_usec(), when);
        text_addf(&text, "%s  %s  %s  %s %.5s after %s (%s%s%s, %" PRIu64 ")", t->plan->service,
                  value_get_text_or(tale->status, "version", "-"),
                  value_get_text_or(tale->status, "state", "not there"), tale->result,
                  strlen(when) > 11 ? when + 11 : when, was_cut(e, t) ? "a power cut" : "pawl was killed",
                  t->plan->flow, t->plan->to ? " to " : "", t->plan->to ? t->plan->to : "", t->tx);
        if (tale->down_usec > 0) {
                duration_format(tale->down_usec, down);
                text_addf(&text, "; down %s", down);
        }
        if (t->phase != TX_ENDED)
                text_add(&text, "; \"pawl recover --dry-run\" says why");
        return text_take(&text);
}

static int tale_item(const Tale *tale, const char *line, Value **ret, Error *err) {
        const Plan *p = tale->trail->plan;
        _cleanup_(value_freep) Value *v = value_new_map();
        int r = v ? value_set_text(v, "service", p->service, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(v, "tx", (int64_t)tale->trail->tx, err);
        const char *const texts[][2] = {
                {"flow", p->flow},
                {"from", p->from},
                {"to", p->to},
                {"version", value_get_text(tale->status, "version")},
                {"state", value_get_text(tale->status, "state")},
                {"result", tale->result},
                {"text", line},
        };
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(texts); i++)
                r = value_set_text(v, texts[i][0], texts[i][1], err);
        if (r == 0 && tale->down_usec > 0)
                r = value_set_int(v, "downtime_usec", (int64_t)tale->down_usec, err);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static int message_new(Engine *e, const Trail *t, const Step *step, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *m = value_new_map(), *args = value_copy(step->args), *payload = value_new_map();
        JournalStat stat;
        char host[256] = "", head[2 * DIGEST_SIZE + 1];
        (void)gethostname(host, sizeof(host) - 1);
        int r = m && args && payload ? journal_stat(e->journal, &stat, err) : error_no_memory(err);
        if (r < 0)
                return r;
        hex_encode(stat.head_hash, DIGEST_SIZE, head);
        if ((r = value_set_text(payload, "event", "recovered", err)) < 0 ||
            (r = value_set_text(payload, "host", host, err)) < 0 ||
            (r = value_set_text(payload, "head", head, err)) < 0 ||
            (r = value_set(payload, "services", value_new_array(), err)) < 0 ||
            (r = value_set_text(args, "event", "recovered", err)) < 0 ||
            (r = value_set(args, "payload", TAKE_PTR(payload), err)) < 0 ||
            (r = value_set_int(m, "tx", (int64_t)t->tx, err)) < 0 ||
            (r = value_set_int(m, "attempts", value_get_int(step->args, "attempts", 1), err)) < 0)
                return r;
        r = value_set(m, "args", TAKE_PTR(args), err);
        if (r == 0)
                *ret = TAKE_PTR(m);
        return r;
}

static Value *message_find(const Value *messages, const Value *url) {
        for (size_t i = 0; i < value_count(messages); i++)
                if (value_equal(value_path(value_at(messages, i), "args.url"), url))
                        return messages->array.items[i];
        return NULL;
}

/* To everybody whom the transaction would have told that it failed. One that was finished has told that by itself. */
static int add_to_messages(Engine *e, const Tale *tale, const Value *item, Value *messages, Error *err) {
        const Plan *p = tale->trail->plan;
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_steps && strcmp(tale->result, "finished") != 0; i++) {
                const Step *step = &p->steps[i];
                if (step->kind != STEP_TELL || !step->manager || strcmp(step->manager->name, "notify") != 0)
                        continue;
                Value *message = message_find(messages, value_get(step->args, "url"));
                if (!message) {
                        r = message_new(e, tale->trail, step, &message, err);
                        if (r == 0)
                                r = value_append(messages, message, err);
                }
                if (r == 0)
                        r = value_append(value_path(message, "args.payload.services"), value_copy(item), err);
        }
        return r;
}

static int compose_one(Engine *e, uint64_t tx, const Value *known, Value *told, Value *messages, Error *err) {
        _cleanup_(trail_freep) Trail *t = NULL;
        _cleanup_(value_freep) Value *status = NULL, *item = NULL;
        int r = trail_load(e->journal, e->host_key, tx, &t, NULL);
        if (r == -ENOMEM)
                return error_no_memory(err);
        if (r < 0) /* it is no longer in the journal, or cannot be read: recovery has said so */
                return 0;
        Tale tale = {.trail = t, .result = result_of(t)};
        _cleanup_free_ char *key = told_key(tx, tale.result);
        if (key && list_has(known, key))
                return 0;
        if (engine_status(e, t->plan->service, &status, NULL) == 0)
                tale.status = status;
        tale.down_usec = downtime(e, t, status);
        _cleanup_free_ char *line = tale_line(e, &tale);
        r = key && line ? tale_item(&tale, line, &item, err) : error_no_memory(err);
        if (r == 0)
                r = value_append_text(value_get(told, "lines"), line, err);
        if (r == 0)
                r = value_append_text(value_get(told, "keys"), key, err);
        return r < 0 ? r : add_to_messages(e, &tale, item, messages, err);
}

/* What was noted, and what was settled now without a note. */
static int untold_now(Engine *e, const Value *reports, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *untold = NULL;
        int r = list_read(e, UNTOLD_PATH, &untold, err);
        for (size_t i = 0; r == 0 && i < value_count(reports); i++) {
                const Value *report = value_at(reports, i);
                const char *result = value_get_text_or(report, "result", "");
                if (strcmp(result, "put back") == 0 || strcmp(result, "finished") == 0)
                        r = append_tx(untold, (uint64_t)value_get_int(report, "tx", 0), err);
        }
        if (r == 0)
                *ret = TAKE_PTR(untold);
        return r;
}

int boot_compose(Engine *e, const Value *reports, Value **ret_told, Value **ret_messages, Error *err) {
        _cleanup_(value_freep) Value *untold = NULL, *known = NULL, *told = value_new_map(),
                                     *messages = value_new_array();
        int r = told && messages ? untold_now(e, reports, &untold, err) : error_no_memory(err);
        if (r == 0)
                r = list_read(e, TOLD_PATH, &known, err);
        if (r == 0)
                r = value_set(told, "lines", value_new_array(), err);
        if (r == 0)
                r = value_set(told, "keys", value_new_array(), err);
        for (size_t i = 0; r == 0 && i < value_count(untold); i++)
                r = compose_one(e, strtoull(value_text(value_at(untold, i)), NULL, 10), known, told, messages, err);
        if (r < 0)
                return r;
        *ret_told = TAKE_PTR(told);
        *ret_messages = TAKE_PTR(messages);
        return 0;
}

int boot_told(Engine *e, const Value *told, Error *err) {
        const Value *keys = value_get(told, "keys");
        _cleanup_(value_freep) Value *known = NULL;
        int r = value_count(keys) > 0 ? list_read(e, TOLD_PATH, &known, err) : 0;
        for (size_t i = 0; r == 0 && i < value_count(keys); i++)
                r = value_append_text(known, value_text(value_at(keys, i)), err);
        _cleanup_free_ char *text = known ? list_text(known) : NULL;
        if (r == 0 && known)
                r = text ? fs_replace(e->root, TOLD_PATH, text, strlen(text), 0600, err) : error_no_memory(err);
        return r == 0 && fs_exists(e->root, UNTOLD_PATH) ? fs_unlink_durably(e->root, UNTOLD_PATH, err) : r;
}
