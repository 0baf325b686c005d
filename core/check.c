/* SPDX-License-Identifier: Apache-2.0 */
/* Does the host still hold what was committed? Each artifact is looked at by the manager that made it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine_state.h"
#include "core/lock.h"
#include "core/rows.h"
#include "core/secrets.h"
#include "core/unchecked.h"

typedef struct Check {
        Engine *engine;
        Value *artifacts; /* of the service looked at: the answer */
        int64_t n_drift, n_skipped;
        int64_t n_sealed;    /* of n_skipped: its secret cannot be opened */
        const char *open;    /* what to do about a transaction that has not ended; NULL: none of a service with drift */
        int64_t n_processes; /* of n_drift */
        char start[ERROR_HINT_MAX]; /* for the first of those */
        bool accept;
        int64_t n_liftable;        /* services that an ENGINE_WRITE would release */
        int64_t n_accepted;        /* of n_drift, what a person took as it is */
        char hold[ERROR_HINT_MAX]; /* for the first service that stays on hold */
        int64_t n_held;            /* services that stay on hold */
} Check;

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* What is written with a secret can be compared only with its key; without one the rest is checked all the same. */
static void host_key_try(Engine *e) {
        Error ignored = ERROR_INIT;
        if (!e->host_key)
                (void)secrets_host_key(e->root, false, &e->host_key, &ignored);
}

static void row_open(Engine *e, Value *row) {
        _cleanup_(seal_key_freep) SealKey *key = NULL;
        uint64_t tx = (uint64_t)value_get_int(row, "tx", 0);
        Error ignored = ERROR_INIT;
        if (!e->host_key || !value_has_secret(row))
                return;
        if (secrets_tx_key(e->journal, e->host_key, tx, &key, &ignored) == 0)
                (void)unseal_tree(key, row, &ignored);
}

static bool has_sealed(const Value *v) {
        if (value_is(v, VALUE_SECRET))
                return v->is_sealed;
        for (size_t i = 0; value_is(v, VALUE_ARRAY) && i < v->array.n; i++)
                if (has_sealed(v->array.items[i]))
                        return true;
        for (size_t i = 0; value_is(v, VALUE_MAP) && i < v->map.n; i++)
                if (has_sealed(v->map.entries[i].value))
                        return true;
        return false;
}

/* ---- Artifacts --------------------------------------------------------------------------------------------------- */

/* Below the root, as rows and managers name it: "opt/pawl/web", with or without "/" in front. */
static size_t is_path_of_ours(const char *text) {
        static const char *const tops[] = {"opt/pawl/", "etc/pawl/", "var/lib/pawl", "var/log/pawl/", "run/pawl/"};
        size_t n_slash = text[0] == '/';
        for (size_t i = 0; i < ELEMENTSOF(tops); i++)
                if (strncmp(text + n_slash, tops[i], strlen(tops[i])) == 0)
                        return n_slash + strlen(tops[i]);
        return 0;
}

/* Whoever reads it can open the path as it stands there, under another root as well. */
static char *with_root(const Engine *e, const char *text) {
        _cleanup_text_ Text t = {0};
        char before = ' ';
        for (const char *p = text; *p; before = *p++) {
                bool is_begin = before == ' ' || before == '"';
                if (is_begin && is_path_of_ours(p) > 0) {
                        text_add(&t, e->is_real_root ? "" : e->root_path);
                        text_add(&t, *p == '/' ? "" : "/");
                }
                text_add_n(&t, p, 1);
        }
        return text_take(&t);
}

static int add_result(Check *c, const char *name, const char *state, const char *why, Error *err) {
        _cleanup_(value_freep) Value *item = value_new_map();
        _cleanup_free_ char *shown = with_root(c->engine, name), *shown_why = why ? with_root(c->engine, why) : NULL;
        if (!item || !shown || (why && !shown_why))
                return error_no_memory(err);
        int r = value_set_text(item, "artifact", shown, err);
        if (r == 0)
                r = value_set_text(item, "state", state, err);
        if (r == 0)
                r = value_set_text(item, "why", shown_why, err);
        return r < 0 ? r : value_append(c->artifacts, TAKE_PTR(item), err);
}

static int artifact_check(Check *c, const char *name, const Value *artifact, Error *err) {
        const Manager *m = manager_by_id((uint16_t)value_get_int(artifact, "manager", 0));
        const Value *args = value_get(artifact, "args");
        Error why = ERROR_INIT;
        if (!m || !args || value_get_int(artifact, "version", 0) > m->version || has_sealed(args)) {
                c->n_skipped++;
                c->n_sealed += m && args && has_sealed(args);
                return add_result(c, name, "not checked",
                                  m && args && has_sealed(args) ? "its secret cannot be opened here"
                                                                : "a newer pawl made it",
                                  err);
        }
        Host host = engine_host(c->engine, 0, 0, true);
        int r = m->verify(&host, args, value_get(artifact, "facts"), &why);
        if (r == -ECANCELED || r == -ENOMEM)
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        if (r == 0)
                return add_result(c, name, "ok", NULL, err);
        c->n_drift++;
        c->n_processes += strcmp(m->name, "process") == 0 || strcmp(m->name, "unit") == 0;
        return add_result(c, name, "drift", why.message, err);
}

/* Releases beside the current one: what a rollback would stand on. */
static int releases_check(Check *c, const char *service, const char *current, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        char prefix[ROW_KEY_MAX];
        if (row_key(prefix, "release/%s/", service) < 0)
                return 0;
        int r = engine_rows(c->engine, prefix, 0, &rows, err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                const Value *row = rows->map.entries[i].value, *tree = value_at(value_get(row, "artifacts"), 0);
                const char *version = value_get_text_or(row, "version", "");
                _cleanup_free_ char *name = text_format("release %s", version);
                if (!tree || strcmp(version, current) == 0)
                        continue;
                r = name ? artifact_check(c, name, tree, err) : error_no_memory(err);
        }
        return r;
}

/* What would help most: a flow that was cut short comes before anything else. */
static int advise(Check *c, const char *service, const Value *row, int64_t n_processes_before, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL;
        int r = engine_rows(c->engine, "open/", 0, &opens, err);
        for (size_t i = 0; r == 0 && i < value_count(opens); i++) {
                const Value *open = opens->map.entries[i].value;
                if (strcmp(value_get_text_or(open, "service", ""), service) != 0)
                        continue;
                OpenState state = engine_open_state(c->engine, open, NULL);
                c->open = state == OPEN_LIVE          ? "A flow of it is running now: look again when it has ended."
                          : state == OPEN_INTERRUPTED ? "Run \"pawl recover\": a flow was interrupted."
                                                      : "\"pawl recover --dry-run\" shows why a flow is on hold.";
        }
        bool is_stopped = strcmp(value_get_text_or(row, "wanted", ""), "stopped") == 0;
        if (c->n_processes > n_processes_before && !c->start[0])
                (void)snprintf(c->start, sizeof(c->start), "pawl %s %s", is_stopped ? "stop" : "start", service);
        return r;
}

/* The whole way out of the hold, for the first service that keeps it. */
static void hold_hint(Check *c, const char *service, bool is_sealed) {
        char *hint = c->hold;
        if (hint[0])
                return;
        if (is_sealed && !c->engine->host_key)
                (void)snprintf(hint, sizeof(c->hold),
                               "Put \"/" PAWL_DIR "/seal.key\" back from a copy, and check again.");
        else if (is_sealed)
                (void)snprintf(
                        hint, sizeof(c->hold),
                        "\"pawl check %s --accept\" takes it as it is and lifts its hold. Its secrets cannot be read "
                        "any more: \"pawl remove %s\" then keeps its data, and it can be deployed again.",
                        service, service);
        else
                (void)snprintf(
                        hint, sizeof(c->hold),
                        "\"pawl check %s --accept\" takes it as it is and lifts its hold; then \"pawl apply\" brings "
                        "it back to its spec.",
                        service);
}

/* On hold since the journal was repaired: released where everything could be compared and nothing differs, or where
 * a person says so. */
static int hold_check(Check *c, const char *service, const Check *before, Value *item, Error *err) {
        const char *word = "kept";
        int64_t n_drift = c->n_drift - before->n_drift;
        bool is_sealed = c->n_sealed > before->n_sealed, is_same = n_drift == 0 && c->n_skipped == before->n_skipped;
        int r = unchecked_is(c->engine, service, err);
        if (r <= 0)
                return r;
        if (is_same || c->accept) {
                bool is_lifted = c->engine->access == ENGINE_WRITE;
                c->n_liftable++;
                r = is_lifted ? unchecked_lift(c->engine, service, !is_same, err) : 0;
                word = !is_lifted ? word : is_same ? "lifted" : "accepted";
                c->n_accepted += is_lifted ? n_drift : 0;
        } else {
                c->n_held++;
                hold_hint(c, service, is_sealed);
        }
        return r < 0 ? r : value_set_text(item, "hold", word, err);
}

static int service_check(Check *c, const char *service, Value *row, Value *services, Error *err) {
        _cleanup_(value_freep) Value *item = value_new_map();
        Check before = *c;
        c->artifacts = value_new_array();
        int r = item && c->artifacts ? value_set_text(item, "service", service, err) : error_no_memory(err);
        row_open(c->engine, row);
        const Value *artifacts = value_get(row, "artifacts");
        for (size_t i = 0; r == 0 && i < value_count(artifacts); i++) {
                const Value *artifact = value_at(artifacts, i);
                r = artifact_check(c, value_get_text_or(artifact, "artifact", "?"), artifact, err);
        }
        if (r == 0)
                r = releases_check(c, service, value_get_text_or(row, "version", ""), err);
        if (r < 0) {
                c->artifacts = value_free(c->artifacts);
                return r;
        }
        r = value_set(item, "artifacts", TAKE_PTR(c->artifacts), err);
        if (r == 0 && c->n_drift > before.n_drift)
                r = advise(c, service, row, before.n_processes, err);
        if (r == 0)
                r = hold_check(c, service, &before, item, err);
        return r < 0 ? r : value_append(services, TAKE_PTR(item), err);
}

/* What is released must not change between looking and saying so. */
static int service_check_locked(Check *c, const char *service, Value *services, Error *err) {
        _cleanup_free_ char *lock = text_format("service-%s", service);
        _cleanup_close_ int fd = -1;
        _cleanup_(value_freep) Value *rows = NULL;
        char key[ROW_KEY_MAX];
        if (!lock || row_key(key, "service/%s", service) < 0)
                return error_no_memory(err);
        int r = c->engine->access == ENGINE_WRITE ? lock_take(c->engine, lock, &fd, err) : 0;
        if (r == 0)
                r = engine_rows(c->engine, key, 0, &rows, err);
        Value *row = value_get(rows, key);
        return r < 0 || !row ? r : service_check(c, service, row, services, err);
}

/* Known only from a transaction that has not ended: what it came to is lost, and there is nothing to compare. */
static int unfinished_check(Check *c, const Value *open, Value *services, Error *err) {
        _cleanup_(value_freep) Value *item = value_new_map();
        const char *service = value_get_text_or(open, "service", "?");
        int64_t tx = value_get_int(open, "tx", 0);
        _cleanup_free_ char *name = text_format("transaction %" PRId64, tx);
        Check before = *c;
        c->artifacts = value_new_array();
        int r = item && name && c->artifacts ? value_set_text(item, "service", service, err) : error_no_memory(err);
        if (r == 0)
                r = add_result(c, name, "drift", "whether it was completed is not known", err);
        c->n_drift++;
        if (r < 0) {
                c->artifacts = value_free(c->artifacts);
                return r;
        }
        r = value_set(item, "artifacts", TAKE_PTR(c->artifacts), err);
        if (r == 0 && !c->hold[0])
                (void)snprintf(c->hold, sizeof(c->hold),
                               "\"pawl recover %" PRId64
                               " --keep all\" leaves what is there, \"--restore all\" puts back what was.",
                               tx);
        if (r == 0)
                r = hold_check(c, service, &before, item, err);
        return r < 0 ? r : value_append(services, TAKE_PTR(item), err);
}

/* *ret_found stays as it is where there is none. */
static int unfinished_checks(Check *c, const char *service, bool *ret_found, Value *services, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL;
        int r = engine_rows(c->engine, "open/", 0, &opens, err);
        for (size_t i = 0; r == 0 && i < value_count(opens); i++) {
                const Value *open = opens->map.entries[i].value;
                const char *name = value_get_text_or(open, "service", "?");
                _cleanup_(value_freep) Value *row = NULL;
                char key[ROW_KEY_MAX];
                if ((service && strcmp(name, service) != 0) || row_key(key, "service/%s", name) < 0)
                        continue;
                r = unchecked_is(c->engine, name, err);
                if (r == 1 && (r = engine_row(c->engine, key, &row, err)) == -ENOENT) {
                        *ret_found = true;
                        r = unfinished_check(c, open, services, err);
                }
                r = MIN(r, 0);
        }
        return r;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static int services_check(Check *c, const char *service, Value *services, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        bool is_found = service == NULL;
        int r = engine_rows(c->engine, "service/", 0, &rows, err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                const MapEntry *entry = &rows->map.entries[i];
                const char *name = entry->name + strlen("service/");
                if (service && strcmp(name, service) != 0)
                        continue;
                is_found = true;
                r = service_check_locked(c, name, services, err);
        }
        if (r == 0)
                r = unfinished_checks(c, service, &is_found, services, err);
        if (r < 0 || is_found)
                return r;
        _cleanup_(value_freep) Value *none = NULL;
        r = engine_service_row(c->engine, service, &none, err); /* says which is meant */
        return MIN(r, 0);
}

int engine_check(Engine *e, const char *service, bool accept, Value **ret, Error *err) {
        Check c = {.engine = e, .accept = accept};
        _cleanup_(value_freep) Value *result = value_new_map(), *services = value_new_array();
        int r = result && services ? 0 : error_no_memory(err);
        host_key_try(e);
        if (r == 0)
                r = services_check(&c, service, services, err);
        if (r == 0)
                r = value_set(result, "services", TAKE_PTR(services), err);
        if (r == 0)
                r = value_set_int(result, "drift", c.n_drift, err);
        if (r == 0)
                r = value_set_int(result, "skipped", c.n_skipped, err);
        if (r == 0)
                r = value_set_int(result, "liftable", c.n_liftable, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        if (c.n_drift == c.n_accepted && c.n_held == 0)
                return 0;
        if (c.n_drift == c.n_accepted)
                return error_set(err, -EBUSY, ERR_ON_HOLD, c.hold,
                                 "%lld service%s could not be compared in full, and stay%s on hold",
                                 (long long)c.n_held, c.n_held == 1 ? "" : "s", c.n_held == 1 ? "s" : "");
        const char *hint = c.hold[0] ? c.hold
                           : c.open  ? c.open
                           : c.n_processes == c.n_drift
                                   ? c.start
                                   : "\"pawl apply\" brings it back to its spec; hand edits are kept unless "
                                     "--overwrite is given.";
        return error_set(err, -ESTALE, ERR_DRIFT, hint, "%lld of the artifacts differ%s from what was committed",
                         (long long)c.n_drift, c.n_drift == 1 ? "s" : "");
}
