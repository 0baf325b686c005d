/* SPDX-License-Identifier: Apache-2.0 */
/* The rows a plan leaves behind. They hold what a rollback needs: the spec, the environment and the artifacts of
 * each release. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/recipe_parts.h"
#include "core/rows.h"

_printf_(4, 5) static int plan_row(Plan *p, Value *row, Error *err, const char *format, ...) {
        char key[ROW_KEY_MAX];
        _cleanup_(value_freep) Value *taken = row;
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(key, sizeof(key), format, ap);
        va_end(ap);
        if (n < 0 || n >= (int)sizeof(key))
                return error_set(err, -ENAMETOOLONG, ERR_FAILED, NULL, "a row key is too long");
        return value_set(p->rows, key, TAKE_PTR(taken), err);
}

/* What goes into the environment, so that a rollback brings it back and a timer needs no caller's environment. */
static int row_environment(const Target *t, Value *row, Error *err) {
        int r = value_set_copy(row, "secrets", t->secrets, err);
        if (r == 0)
                r = value_set_copy(row, "env", t->env, err);
        if (r == 0)
                r = value_set_copy(row, "env_file", t->env_file, err);
        return r < 0 ? r : value_set_copy(row, "hooks", t->hooks, err);
}

const char *target_previous(const Target *t) {
        const char *from = value_get_text(t->row, "version");
        if (!from)
                return NULL;
        return strcmp(from, t->version) != 0 ? from : value_get_text(t->row, "previous");
}

/* How it is reached, and what is there of it when the group that changes it is put back. */
static int row_routed(Recipe *x, Value *row, Error *err) {
        const Target *t = x->target;
        const Value *old = value_get(t->row, "artifacts");
        _cleanup_free_ char *route = route_shown(value_get(t->spec, "route"));
        _cleanup_(value_freep) Value *fallback = value_new_array();
        int r = fallback ? value_set_text(row, "route", route, err) : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(old); i++)
                if (value_get(value_at(old, i), "group"))
                        r = value_append(fallback, value_copy(value_at(old, i)), err);
        return r < 0 || x->route_group == 0 ? r : value_set(row, "fallback", TAKE_PTR(fallback), err);
}

static int row_service(Recipe *x, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *row = value_new_map();
        int64_t deployed = value_get_int(t->row, "deployed", clock_wall_usec());
        char hash[17];
        int r = row ? spec_hash(t->spec, hash, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if ((r = value_set_text(row, "name", t->service, err)) < 0 ||
            (r = value_set_text(row, "service", t->service, err)) < 0 ||
            (r = value_set_text(row, "version", t->version, err)) < 0 ||
            (r = value_set_text(row, "previous", target_previous(t), err)) < 0 ||
            (r = value_set_text(row, "hash", hash, err)) < 0 ||
            (r = value_set_text(row, "wanted", t->wants_running ? "running" : "stopped", err)) < 0 ||
            (r = value_set_int(row, "deployed", deployed, err)) < 0 || (r = value_set_int(row, "updated", 0, err)) < 0)
                return r;
        if (t->port > 0 && (r = value_set_int(row, "port", t->port, err)) < 0)
                return r;
        if ((r = value_set_copy(row, "spec", t->spec, err)) < 0 ||
            (r = value_set_copy(row, "source", t->source, err)) < 0 || (r = row_environment(t, row, err)) < 0 ||
            (r = value_set_copy(row, "artifacts", x->artifacts, err)) < 0 || (r = row_routed(x, row, err)) < 0)
                return r;
        return plan_row(x->plan, TAKE_PTR(row), err, "service/%s", t->service);
}

static int row_release(Recipe *x, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *row = value_new_map(), *trees = value_new_array();
        int r = row && trees ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(x->artifacts); i++) {
                const Value *artifact = value_at(x->artifacts, i);
                if (strncmp(value_get_text_or(artifact, "artifact", ""), "tree of ", 8) == 0)
                        r = value_append(trees, value_copy(artifact), err);
        }
        if (r < 0)
                return r;
        if ((r = value_set_text(row, "version", t->version, err)) < 0 ||
            (r = value_set_text(row, "service", t->service, err)) < 0 ||
            (r = value_set_copy(row, "spec", t->spec, err)) < 0 ||
            (r = value_set_copy(row, "source", t->source, err)) < 0 || (r = row_environment(t, row, err)) < 0 ||
            (r = value_set(row, "artifacts", TAKE_PTR(trees), err)) < 0 ||
            (r = value_set_int(row, "updated", 0, err)) < 0)
                return r;
        return plan_row(x->plan, TAKE_PTR(row), err, "release/%s/%s", t->service, t->version);
}

static int row_ports(Recipe *x, Error *err) {
        const Target *t = x->target;
        int64_t old = value_get_int(t->row, "port", 0);
        int r = 0;
        if (old > 0 && old != t->port)
                r = plan_row(x->plan, value_new_null(), err, "port/%lld", (long long)old);
        if (r < 0 || t->port == 0)
                return r;
        _cleanup_(value_freep) Value *row = value_new_map();
        r = row ? value_set_text(row, "service", t->service, err) : error_no_memory(err);
        if (r == 0)
                r = plan_row(x->plan, TAKE_PTR(row), err, "port/%lld", (long long)t->port);
        if (r == 0 && plan_claim(x->plan, "port/%lld", (long long)t->port) < 0)
                r = error_no_memory(err);
        return r;
}

static int row_route(Recipe *x, Error *err) {
        const Target *t = x->target;
        const Value *now = value_get(t->spec, "route"), *before = value_path(t->row, "spec.route");
        char key[ROW_KEY_MAX], old[ROW_KEY_MAX];
        int r = 0;
        if (before && route_key(before, old) > 0)
                r = plan_row(x->plan, value_new_null(), err, "%s", old);
        if (r < 0 || !now || route_key(now, key) < 0)
                return r;
        _cleanup_(value_freep) Value *row = value_new_map();
        r = row ? value_set_text(row, "service", t->service, err) : error_no_memory(err);
        if (r == 0)
                r = plan_row(x->plan, TAKE_PTR(row), err, "%s", key);
        return r == 0 && plan_claim(x->plan, "%s", key) < 0 ? error_no_memory(err) : r;
}

/* Stays when the service goes: what it wrote belongs to that number. */
static int row_user(Recipe *x, Error *err) {
        const Target *t = x->target;
        if (!t->user)
                return 0;
        _cleanup_(value_freep) Value *row = value_new_map();
        int r = row ? value_set_text(row, "service", t->service, err) : error_no_memory(err);
        if (r == 0)
                r = plan_row(x->plan, TAKE_PTR(row), err, "uid/%lld", (long long)t->uid);
        return r == 0 && plan_claim(x->plan, "uid/%lld", (long long)t->uid) < 0 ? error_no_memory(err) : r;
}

static int row_held(Recipe *x, Error *err) {
        const Target *t = x->target;
        const char *from = value_get_text(t->row, "version");
        int r = plan_row(x->plan, value_new_null(), err, "held/%s/%s", t->service, t->version);
        if (r < 0 || strcmp(t->flow, "rollback") != 0 || !from || strcmp(from, t->version) == 0)
                return r;
        _cleanup_(value_freep) Value *row = value_new_map();
        const char *sha256 = value_get_text(value_get(t->row, "source"), "sha256");
        if (!row)
                return error_no_memory(err);
        if ((r = value_set_text(row, "why", "it was rolled back from", err)) < 0 ||
            (r = value_set_text(row, "sha256", sha256, err)) < 0)
                return r;
        return plan_row(x->plan, TAKE_PTR(row), err, "held/%s/%s", t->service, from);
}

int rows_converge(Recipe *x, Error *err) {
        int r = row_service(x, err);
        if (r == 0)
                r = row_release(x, err);
        if (r == 0)
                r = row_ports(x, err);
        if (r == 0)
                r = row_route(x, err);
        if (r == 0)
                r = row_user(x, err);
        if (r == 0)
                r = row_held(x, err);
        for (size_t i = 0; r == 0 && i < value_count(x->target->prune); i++)
                r = plan_row(x->plan, value_new_null(), err, "release/%s/%s", x->target->service,
                             value_text(value_at(x->target->prune, i)));
        return r;
}

/* Every row that belongs to the service goes, but its history. */
int rows_remove(Recipe *x, Error *err) {
        static const char *const kinds[] = {"service", "release", "held"};
        int64_t port = value_get_int(x->target->row, "port", 0);
        const Value *route = value_path(x->target->row, "spec.route");
        char route_row[ROW_KEY_MAX];
        int r = port > 0 ? plan_row(x->plan, value_new_null(), err, "port/%lld", (long long)port) : 0;
        if (r == 0 && route && route_key(route, route_row) > 0)
                r = plan_row(x->plan, value_new_null(), err, "%s", route_row);
        for (size_t k = 0; r == 0 && k < ELEMENTSOF(kinds); k++) {
                _cleanup_(value_freep) Value *rows = NULL;
                char prefix[ROW_KEY_MAX];
                (void)snprintf(prefix, sizeof(prefix), "%s/%s%s", kinds[k], x->target->service, k == 0 ? "" : "/");
                r = engine_rows(x->target->engine, prefix, 0, &rows, err);
                for (size_t i = 0; r == 0 && i < value_count(rows); i++) {
                        const char *key = rows->map.entries[i].name;
                        if (k > 0 || strcmp(key, prefix) == 0)
                                r = plan_row(x->plan, value_new_null(), err, "%s", key);
                }
        }
        return r;
}

/* The flow made this artifact anew, or it moves what it is about away. */
static bool is_superseded(const Recipe *x, const Value *artifact) {
        const char *name = value_get_text_or(artifact, "artifact", ""),
                   *path = value_get_text_or(value_get(artifact, "args"), "path", "");
        for (size_t i = 0; i < value_count(x->artifacts); i++)
                if (strcmp(value_get_text_or(value_at(x->artifacts, i), "artifact", ""), name) == 0)
                        return true;
        for (size_t i = 0; i < x->plan->n_steps; i++)
                if (strcmp(x->plan->steps[i].manager->name, "trash") == 0 &&
                    strcmp(value_get_text_or(x->plan->steps[i].args, "path", "-"), path) == 0)
                        return true;
        return false;
}

/* Start, stop, restart: the row changes only in what is wanted of it. */
int rows_wanted(Recipe *x, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *row = value_copy(t->row), *artifacts = value_new_array();
        const Value *old = value_get(row, "artifacts");
        int r = row && artifacts ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(old); i++)
                if (!is_superseded(x, value_at(old, i)))
                        r = value_append(artifacts, value_copy(value_at(old, i)), err);
        for (size_t i = 0; r == 0 && i < value_count(x->artifacts); i++)
                r = value_append(artifacts, value_copy(value_at(x->artifacts, i)), err);
        if (r == 0)
                r = value_set(row, "artifacts", TAKE_PTR(artifacts), err);
        if (r == 0)
                r = value_set_text(row, "wanted", t->wants_running ? "running" : "stopped", err);
        return r < 0 ? r : plan_row(x->plan, TAKE_PTR(row), err, "service/%s", t->service);
}
