/* SPDX-License-Identifier: Apache-2.0 */
/* Everything here is read from the trail: what is told is what was written. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/names.h"
#include "core/outcome.h"
#include "core/rows.h"

static int outcome_new(const Plan *p, const char *result, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_text(v, "command", p->flow, err)) < 0 ||
            (r = value_set_text(v, "service", p->service, err)) < 0 ||
            (r = value_set_text(v, "result", result, err)) < 0 || (r = value_set_text(v, "from", p->from, err)) < 0 ||
            (r = value_set_text(v, "to", p->to, err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

/* What the service row will say, or says: port and address for people. */
static int outcome_service(Engine *e, const Plan *p, Value *v, Error *err) {
        _cleanup_free_ char *key = text_format("service/%s", p->service), *data = name_data_dir(p->service);
        const Value *row = key ? value_get(p->rows, key) : NULL;
        int64_t port = value_get_int(row, "port", 0);
        int r = data ? 0 : error_no_memory(err);
        if (r == 0 && port > 0)
                r = value_set_int(v, "port", port, err);
        if (r == 0 && port > 0)
                r = value_set(v, "url", value_new_format("http://127.0.0.1:%lld", (long long)port), err);
        if (r == 0)
                r = value_set_text(v, "route", value_get_text(row, "route"), err);
        if (r == 0 && row)
                r = value_set_bool(v, "started", strcmp(value_get_text_or(row, "wanted", ""), "running") == 0, err);
        bool has_data = false;
        Error why = ERROR_INIT;
        if (r == 0 && fs_has(e->root, data, &has_data, &why) < 0) /* what was done is done: it is only not shown */
                engine_say(e, LOG_WARNING, "%s", why.message);
        if (r == 0 && has_data) {
                _cleanup_free_ char *path = host_path(&e->host, data);
                r = path ? value_set_text(v, "data", path, err) : error_no_memory(err);
        }
        return r;
}

static int outcome_steps(const Trail *t, Value *v, Error *err) {
        _cleanup_(value_freep) Value *changes = value_new_array();
        int r = changes ? 0 : error_no_memory(err);
        for (uint32_t i = 0; r == 0 && i < t->plan->n_steps; i++) {
                _cleanup_free_ char *what = NULL;
                const TrailStep *s = &t->steps[i];
                if (t->plan->steps[i].kind != STEP_EFFECT || !s->has_intent || s->is_undone ||
                    s->change == CHANGE_UNCHANGED)
                        continue;
                r = step_describe(&t->plan->steps[i], &what, err);
                if (r == 0)
                        r = value_append_text(changes, what, err);
        }
        if (r == 0)
                r = value_set(v, "changes", TAKE_PTR(changes), err);
        if (r == 0)
                r = value_set(v, "kept", value_copy(t->plan->kept), err);
        return r;
}

/* The groups that were put back while the flow went on. */
static int outcome_without(const Trail *t, Value *v, Error *err) {
        _cleanup_(value_freep) Value *without = value_new_array();
        int r = without ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < t->plan->n_groups; i++)
                if (t->groups[i].is_failed)
                        r = value_append_text(without, t->plan->groups[i].name, err);
        return r < 0 || value_count(without) == 0 ? r : value_set(v, "without", TAKE_PTR(without), err);
}

static int outcome_put_back(Engine *e, const Trail *t, Value *v, Error *err) {
        _cleanup_(value_freep) Value *row = NULL;
        RunStatus status = {0};
        const char *from = t->plan->from;
        if (!from)
                return value_set_text(v, "put_back", "nothing is left of it", err);
        Error why = ERROR_INIT;
        int r = engine_service_row(e, t->plan->service, &row, &why);
        if (r < 0 && r != -ENOENT)
                return value_set(v, "put_back",
                                 value_new_format("%s is in place; whether it runs could not be looked up: %s", from,
                                                  why.message),
                                 err);
        const Runtime *runtime = row_runtime(row);
        bool runs = runtime && runtime->state(&e->host, t->plan->service, &status, NULL) == 0 &&
                    status.state == RUN_RUNNING;
        return value_set(v, "put_back",
                         value_new_format("%s is %s", from, runs ? "running again" : "in place, not running"), err);
}

static int outcome_times(const TxnResult *result, Value *v, Error *err) {
        int r = value_set_int(v, "duration_usec", (int64_t)result->times.duration_usec, err);
        if (r == 0)
                r = value_set_int(v, "exposure_usec", (int64_t)result->times.exposure_usec, err);
        return r < 0 ? r : value_set_int(v, "downtime_usec", (int64_t)result->times.downtime_usec, err);
}

static const char *result_word(const TxnResult *result, int r, const Error *why) {
        if (r < 0 && why->code == ERR_JOURNAL_IO)
                return "in doubt";
        bool is_open = result->trail->phase != TX_NONE && !result->is_ended;
        if (value_count(result->leftovers) > 0 || is_open)
                return "leftovers";
        return result->is_committed ? "done" : "put back";
}

int outcome_of_txn(Engine *e, const TxnResult *result, int r, const Error *why, Value **ret, Error *err) {
        const Trail *t = result->trail;
        _cleanup_(value_freep) Value *v = NULL;
        int q = outcome_new(t->plan, result_word(result, r, why), &v, err);
        if (q == 0 && t->tx > 0)
                q = value_set_int(v, "tx", (int64_t)t->tx, err);
        if (q == 0)
                q = outcome_service(e, t->plan, v, err);
        if (q == 0)
                q = outcome_steps(t, v, err);
        if (q == 0 && result->is_committed)
                q = outcome_without(t, v, err);
        if (q == 0)
                q = outcome_times(result, v, err);
        if (q == 0 && !result->is_committed && result->is_ended)
                q = outcome_put_back(e, t, v, err);
        if (q == 0 && r < 0 && (why->code == ERR_HEALTH || why->code == ERR_PROGRAM) && t->plan->held && t->plan->to)
                q = value_set_text(v, "held", t->plan->to, err);
        if (q == 0 && value_count(result->leftovers) > 0)
                q = value_set(v, "leftovers", value_copy(result->leftovers), err);
        if (q == 0)
                *ret = TAKE_PTR(v);
        return q;
}

int outcome_of_nothing(const Plan *plan, const char *result, Value **ret, Error *err) {
        return outcome_new(plan, result, ret, err);
}

int outcome_of_history(const Value *history, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_copy(history);
        int r = v ? value_set_text(v, "command", value_get_text(history, "flow"), err) : error_no_memory(err);
        if (r == 0)
                r = value_set_bool(v, "repeated", true, err);
        if (r < 0)
                return r;
        const char *reason = value_get_text(history, "reason"), *slug = value_get_text(history, "code");
        *ret = TAKE_PTR(v);
        if (!reason)
                return 0;
        ErrorCode code = slug ? error_from_slug(slug) : ERR_FAILED;
        return error_set(err, -EIO, code == ERROR_CODE_MAX ? ERR_FAILED : code,
                         "This is the answer to the same request id as before.", "%s", reason);
}
