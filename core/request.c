/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to its outcome: lock, settle what died, choose, plan, run. When something that was chosen is taken
 * between looking and claiming, everything is put away and chosen again.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/lock.h"
#include "core/outcome.h"
#include "core/recover.h"
#include "core/retention.h"
#include "core/rows.h"
#include "core/secrets.h"
#include "core/target.h"
#include "core/unchecked.h"

#define PLAN_TRIES 8

static const char *request_service(const Request *request) {
        return request->spec ? value_get_text(request->spec, "name") : request->service;
}

/* ---- Plan -------------------------------------------------------------------------------------------------------- */

/* Runs, or is wanted to, exactly as asked: start of what runs, stop of what is stopped. */
static bool is_as_asked(const Target *t, RequestKind kind) {
        bool was_wanted = strcmp(value_get_text_or(t->row, "wanted", ""), "running") == 0;
        if (kind == REQUEST_START)
                return t->is_running && was_wanted;
        return kind == REQUEST_STOP && !t->is_running && !was_wanted;
}

/* A plan without effects still has something to say when the spec or the version is another. */
static bool plan_changes_rows(const Target *t, const Plan *p) {
        _cleanup_free_ char *key = text_format("service/%s", p->service);
        const Value *next = key ? value_get(p->rows, key) : NULL;
        static const char *const compared[] = {"version", "hash", "wanted", "port"};
        for (size_t i = 0; i < ELEMENTSOF(compared); i++) {
                const Value *a = value_get(t->row, compared[i]), *b = value_get(next, compared[i]);
                if ((a || b) && (!a || !b || !value_equal(a, b)))
                        return true;
        }
        return false;
}

/* *ret_result is NULL when the plan is to be run, else "unchanged" or "held". */
static int plan_build(Target *t, const Request *request, Plan **ret, const char **ret_result, Error *err) {
        Engine *e = t->engine;
        int r = target_choose(e, request, t, err);
        if (r < 0)
                return r;
        *ret_result = NULL;
        if (r == TARGET_HELD || is_as_asked(t, request->kind)) {
                *ret_result = r == TARGET_HELD ? "held" : "unchanged";
                const char *from = value_get_text(t->row, "version");
                *ret = plan_new(t->flow, t->service);
                if (!*ret)
                        return error_no_memory(err);
                (*ret)->from = from ? strdup(from) : NULL;
                (*ret)->to = t->version ? strdup(t->version) : NULL;
                return 0;
        }
        switch (request->kind) {
        case REQUEST_REMOVE:
                return recipe_remove(t, ret, err);
        case REQUEST_START:
        case REQUEST_STOP:
        case REQUEST_RESTART:
                return recipe_run(t, ret, err);
        case REQUEST_APPLY:
        case REQUEST_DEPLOY:
        case REQUEST_ADOPT:
        case REQUEST_UPGRADE:
        case REQUEST_ROLLBACK:
                r = recipe_converge(t, ret, err);
                break;
        }
        if (r == 0 && t->row && plan_count_effects(*ret) == 0 && !plan_changes_rows(t, *ret))
                *ret_result = "unchanged";
        return r;
}

static int check_name(const Request *request, Error *err) {
        if (service_name_check(request_service(request), err) == 0)
                return 0;
        if (request->spec)
                return -EINVAL;
        return error_set(err, -ENOENT, ERR_NO_SERVICE, "Run \"pawl list\" to see the services.",
                         "there is no service \"%s\"", request->service);
}

int engine_plan(Engine *e, const Request *request, Value **ret, Error *err) {
        _cleanup_target_ Target t = {.engine = e, .prefetched = {.fd = -1}};
        _cleanup_(plan_freep) Plan *plan = NULL;
        const char *result = NULL;
        int r = check_name(request, err);
        /* What is sealed is compared by keyed digests. Without the key there is nothing sealed, or the flow itself
         * will say so. */
        if (r == 0 && !e->host_key)
                (void)secrets_host_key(e->root, false, &e->host_key, NULL);
        if (r == 0)
                r = plan_build(&t, request, &plan, &result, err);
        if (r == 0 && !result)
                r = plan_check(plan, e->is_real_root, err);
        if (r == 0)
                r = plan_describe(plan, ret, err);
        if (r == 0)
                r = value_set_text(*ret, "result", result ? result : "plan", err);
        if (r == 0 && t.hold_why)
                r = value_set_text(*ret, "held", value_get_text(t.hold_why, "why"), err);
        return r;
}

/* ---- Before ------------------------------------------------------------------------------------------------------ */

static int history_of_request(Engine *e, const Value *row, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        row_key_history(value_get_text_or(row, "service", "?"), (uint64_t)value_get_int(row, "tx", 0), key);
        return engine_row(e, key, ret, err);
}

/* 1: the same request was answered before; *ret and perhaps err hold the same answer. */
static int was_answered(Engine *e, const Request *request, Value **ret, int *ret_r, Error *err) {
        _cleanup_(value_freep) Value *row = NULL, *history = NULL;
        char key[ROW_KEY_MAX];
        if (!e->request_id || mutant_is("request-forgotten"))
                return 0;
        int r = row_key(key, "request/%s/%s", e->request_id, request_service(request));
        if (r < 0)
                return error_set(err, r, ERR_USAGE, "Use at most 200 characters.", "the request id is too long");
        r = engine_row(e, key, &row, err);
        if (r == 0)
                r = history_of_request(e, row, &history, err);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        const char *flow = value_get_text_or(history, "flow", "?"), *asked = request_name(request->kind);
        if (strcmp(flow, asked) != 0)
                return error_set(err, -EEXIST, ERR_USAGE, "Use another --request-id.",
                                 "the request id \"%s\" was used for an %s of %s already", e->request_id, flow,
                                 request_service(request));
        const char *to = value_get_text(history, "to");
        if (request->version && to && strcmp(request->version, to) != 0)
                return error_set(err, -EEXIST, ERR_USAGE, "Use another --request-id.",
                                 "the request id \"%s\" was used for %s %s already", e->request_id,
                                 request_service(request), to);
        *ret_r = outcome_of_history(history, ret, err);
        return 1;
}

/* What runs on a hold all the same: people must be able to end, or to bring up, what is there. */
static bool is_possible_on_hold(RequestKind kind) {
        return kind == REQUEST_START || kind == REQUEST_STOP;
}

static int settle_dead(Engine *e, const Request *request, Value **ret_reports, Error *err) {
        _cleanup_(value_freep) Value *reports = value_new_array();
        const char *service = request_service(request);
        Error why = ERROR_INIT;
        int r = reports ? unchecked_refuse(e, service, &why) : error_no_memory(&why);
        if (r == -EBUSY && is_possible_on_hold(request->kind)) {
                engine_say(e, LOG_WARNING, "%s", why.message);
                return 0;
        }
        if (r < 0)
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        r = recover_service(e, service, reports, err);
        if (r < 0)
                return r;
        if (r == SETTLE_STAYS && is_possible_on_hold(request->kind)) {
                engine_say(e, LOG_WARNING, "%s is on hold: \"pawl recover --dry-run\" shows why", service);
                r = 0;
        } else if (r == SETTLE_STAYS) {
                int64_t tx = value_get_int(value_at(reports, value_count(reports) - 1), "tx", 0);
                r = error_set(
                        err, -EBUSY, ERR_ON_HOLD,
                        "\"pawl recover --dry-run\" shows what is left, \"pawl recover TX --keep STEP\" or \"--restore STEP\" decides.",
                        "%s is on hold: transaction %lld could not be settled", service, (long long)tx);
        }
        *ret_reports = TAKE_PTR(reports);
        return r;
}

/* ---- Run --------------------------------------------------------------------------------------------------------- */

static int run_plan(Engine *e, Target *t, Plan *plan, Value **ret, Error *err) {
        _cleanup_txn_result_ TxnResult result = {0};
        Error why = ERROR_INIT, unused = ERROR_INIT;
        e->host.prefetched = &t->prefetched;
        e->host.n_prefetched = t->prefetched.fd >= 0 ? 1 : 0;
        int r = txn_run(e, plan, &result, &why);
        e->host.n_prefetched = 0;
        if (err)
                *err = why;
        if (r == TXN_CONFLICT || !result.trail)
                return r;
        int q = outcome_of_txn(e, &result, r, &why, ret, &unused);
        if (q < 0 && r == 0)
                engine_say(e, LOG_WARNING, "%s", unused.message);
        if (value_count(result.leftovers) == 0 || why.code == ERR_JOURNAL_IO)
                return r;
        const char *what = r < 0 ? why.message : "it is done, but something is left to finish";
        return error_set(err, -EBUSY, ERR_LEFTOVERS,
                         "\"pawl recover\" tries again; \"pawl recover TX --keep STEP\" or \"--restore STEP\" decides.",
                         "%s", what);
}

static int nothing_to_do(const Target *t, const Plan *plan, const char *result, Value **ret, Error *err) {
        int r = outcome_of_nothing(plan, result, ret, err);
        if (r == 0 && t->hold_why)
                r = value_set_text(*ret, "held", value_get_text(t->hold_why, "why"), err);
        return r;
}

static int plan_and_run(Engine *e, const Request *request, Value **ret, Error *err) {
        for (int tries = 0; tries < PLAN_TRIES; tries++) {
                _cleanup_target_ Target t = {.engine = e, .prefetched = {.fd = -1}};
                _cleanup_(plan_freep) Plan *plan = NULL;
                const char *result = NULL;
                int r = plan_build(&t, request, &plan, &result, err);
                if (r < 0)
                        return r;
                if (result)
                        return nothing_to_do(&t, plan, result, ret, err);
                fault_point("planned");
                r = run_plan(e, &t, TAKE_PTR(plan), ret, err);
                if (r != TXN_CONFLICT)
                        return r;
        }
        return error_set(err, -EADDRINUSE, ERR_IN_USE, "Run it again.",
                         "what the plan chose was taken by another service each time");
}

static void attach(Engine *e, Value *outcome, Value *reports) {
        if (!outcome) {
                value_free(reports);
                return;
        }
        if (value_count(reports) > 0)
                (void)value_set(outcome, "settled", reports, NULL);
        else
                value_free(reports);
        if (value_count(e->warnings) > 0) {
                (void)value_set(outcome, "warnings", e->warnings, NULL);
                e->warnings = value_new_array();
        }
}

int engine_run(Engine *e, const Request *request, Value **ret, Error *err) {
        _cleanup_free_ char *lock = NULL;
        _cleanup_close_ int fd = -1;
        _cleanup_(value_freep) Value *reports = NULL, *outcome = NULL;
        Error local = ERROR_INIT;
        Error *why = err ? err : &local;
        int r = check_name(request, why), answered = 0;
        if (r < 0)
                return r;
        lock = text_format("service-%s", request_service(request));
        r = lock ? lock_take(e, lock, &fd, why) : error_no_memory(why);
        if (r == 0)
                r = settle_dead(e, request, &reports, why);
        if (r == 0 && (answered = was_answered(e, request, &outcome, &r, why)) < 0)
                r = answered;
        if (r == 0 && answered == 0)
                r = plan_and_run(e, request, &outcome, why);
        attach(e, outcome, TAKE_PTR(reports));
        if (why->code != ERR_JOURNAL_IO && e->journal) {
                Error ignored = ERROR_INIT;
                int q = retention_run(e, &ignored);
                if (q < 0 && ignored.code == ERR_JOURNAL_IO && r == 0)
                        r = error_set(why, q, ERR_JOURNAL_IO, ignored.hint, "%s", ignored.message);
                else if (q < 0)
                        engine_say(e, LOG_WARNING, "old records could not be dropped: %s", ignored.message);
        }
        *ret = TAKE_PTR(outcome);
        return r;
}
