/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing. Whatever is decided here is written into BEGIN; nothing is chosen again later. */
#include <errno.h>
#include <string.h>

#include "core/adopt.h"
#include "core/base/fault.h"
#include "core/names.h"
#include "core/rows.h"
#include "core/target.h"
#include "core/target_env.h"
#include "core/target_runtime.h"
#include "core/target_source.h"

void target_done(Target *t) {
        value_free(t->row);
        value_free(t->spec);
        value_free(t->source);
        value_free(t->secrets);
        value_free(t->env);
        value_free(t->env_file);
        value_free(t->hold_why);
        value_free(t->prune);
        value_free(t->hooks);
        value_free(t->stale);
        value_free(t->stale_routes);
        value_free(t->notes);
        free(t->version);
        value_free(t->adopted);
        free(t->unit);
        free(t->user);
        fd_close(&t->prefetched.fd);
}

/* ---- Port -------------------------------------------------------------------------------------------------------- */

/* 1: by another service; 0: by none. What cannot be looked at is not free. */
static int port_is_claimed(Engine *e, int64_t port, const char *service, Error *err) {
        static const char *const formats[] = {"port", "claim/port"};
        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                _cleanup_(value_freep) Value *row = NULL;
                char key[ROW_KEY_MAX];
                int r = row_key(key, "%s/%lld", formats[i], (long long)port);
                if (r >= 0)
                        r = engine_row(e, key, &row, err);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (r >= 0 && strcmp(value_get_text_or(row, "service", ""), service) != 0)
                        return 1;
        }
        return 0;
}

static bool port_is_free(Target *t, int64_t port) {
        _cleanup_(value_freep) Value *args = value_new_map();
        Host host = engine_host(t->engine, 0, 0, false);
        if (!args || value_set_int(args, "port", port, NULL) < 0 ||
            value_set_text(args, "address", "127.0.0.1", NULL) < 0)
                return false;
        return manager_by_name("port")->check(&host, args, NULL) == 0;
}

static int choose_free_port(Target *t, Error *err) {
        const Value *range = value_get(t->engine->config, "ports.range");
        int64_t start = value_at(range, 0)->integer, end = value_at(range, 1)->integer;
        for (int64_t port = start; port < end; port++) {
                int r = port_is_claimed(t->engine, port, t->service, err);
                if (r < 0)
                        return r;
                if (r == 0 && port_is_free(t, port)) {
                        t->port = port;
                        return 0;
                }
        }
        return error_set(err, -EADDRINUSE, ERR_IN_USE, "Remove a service, or widen ports.range in /etc/pawl/pawl.yaml.",
                         "no free port from %lld to %lld", (long long)start, (long long)end - 1);
}

static int choose_port(Target *t, Error *err) {
        const Value *wanted = value_get(t->spec, "port");
        if (!wanted || strcmp(value_get_text_or(t->spec, "kind", "service"), "worker") == 0)
                return 0;
        int64_t fixed = wanted->integer, old = value_get_int(t->row, "port", 0);
        if (fixed == 0 && old > 0)
                fixed = old;
        if (fixed == 0)
                return choose_free_port(t, err);
        t->port = fixed;
        int r = port_is_claimed(t->engine, fixed, t->service, err);
        if (r <= 0)
                return r;
        return error_set(err, -EADDRINUSE, ERR_IN_USE, "Choose another, or port: auto.",
                         "port %lld belongs to another service", (long long)fixed);
}

/* ---- What runs, and what is old ---------------------------------------------------------------------------------- */

static int release_newest_first(const void *a, const void *b) {
        const Value *const *x = a, *const *y = b;
        int64_t m = value_get_int(*x, "updated", 0), n = value_get_int(*y, "updated", 0);
        return m < n ? 1 : m > n ? -1 : 0;
}

/* Beyond both limits, and neither the new one nor the one before it. */
static int choose_prune(Target *t, Error *err) {
        const Value *retention = value_get(t->spec, "retention");
        int64_t keep = value_get_int(retention, "releases", value_get_int(t->engine->config, "retention.releases", 2));
        int64_t oldest = clock_wall_usec() - value_get_int(retention, "days", 0) * 86400 * (int64_t)USEC_PER_SEC;
        const char *from = value_get_text(t->row, "version"), *previous = target_previous(t);
        _cleanup_(value_freep) Value *rows = NULL;
        char prefix[ROW_KEY_MAX];
        (void)row_key(prefix, "release/%s/", t->service);
        t->prune = value_new_array();
        int r = t->prune ? engine_rows(t->engine, prefix, 0, &rows, err) : error_no_memory(err);
        if (r < 0)
                return r;
        size_t n = value_count(rows);
        _cleanup_free_ const Value **releases = calloc(MAX(n, (size_t)1), sizeof(Value *));
        if (!releases)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++)
                releases[i] = rows->map.entries[i].value;
        qsort(releases, n, sizeof(*releases), release_newest_first);
        int64_t kept = 1; /* the new one */
        for (size_t i = 0; r == 0 && i < n; i++) {
                const char *version = value_get_text_or(releases[i], "version", "");
                if (strcmp(version, t->version) == 0)
                        continue;
                bool is_needed = (from && strcmp(version, from) == 0) || (previous && strcmp(version, previous) == 0);
                is_needed = is_needed && !mutant_is("prune-previous");
                if (!is_needed && kept >= keep && value_get_int(releases[i], "updated", 0) < oldest)
                        r = value_append_text(t->prune, version, err);
                else
                        kept++;
        }
        return r;
}

/* ---- By request -------------------------------------------------------------------------------------------------- */

/* A timer and a spec pass over it. Who asks for this very version is not to take a 0 for an answer. */
static int held(const Target *t, const Request *request, Error *err) {
        if (request->kind != REQUEST_UPGRADE || !request->version)
                return TARGET_HELD;
        return error_set(err, -EBUSY, ERR_ON_HOLD, "\"--retry\" tries it again.", "%s %s is held: %s", t->service,
                         t->version, value_get_text_or(t->hold_why, "why", "it failed before"));
}

static int converge(Target *t, const Request *request, Error *err) {
        int r = target_choose_runtime(t, err);
        if (r == 0)
                r = target_resolve_source(t, err);
        if (r == 0)
                r = target_choose_version(t, err);
        if (r == 0)
                r = version_check(t->version, err);
        if (r == 0 && request->kind == REQUEST_UPGRADE)
                r = target_refuse_new_name(t, request, err);
        bool may_be_held = request->kind == REQUEST_APPLY || request->kind == REQUEST_UPGRADE;
        if (r == 0 && may_be_held && !request->retry && (r = target_version_is_held(t, err)) != 0)
                return r == TARGET_HELD ? held(t, request, err) : r;
        if (r == 0)
                r = choose_port(t, err);
        if (r == 0)
                r = route_choose(t, err);
        if (r == 0)
                r = target_read_env_file(t, err);
        if (r == 0)
                r = target_choose_secrets(t, err);
        if (r == 0)
                r = target_choose_env(t, err);
        if (r == 0)
                r = target_choose_hooks(t, err);
        if (r == 0)
                r = target_choose_user(t, err);
        if (r == 0)
                r = target_look(t, err);
        return r < 0 ? r : choose_prune(t, err);
}

static int target_of_spec(Target *t, const Request *request, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "service/%s", t->service);
        if (r > 0)
                r = engine_row(t->engine, key, &t->row, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (t->row && request->kind == REQUEST_DEPLOY)
                return error_set(err, -EEXIST, ERR_SERVICE_EXISTS,
                                 "\"pawl upgrade\" brings a new version, \"pawl apply\" a new spec.",
                                 "the service \"%s\" exists already", t->service);
        t->spec = value_copy(request->spec);
        t->wants_running = !t->row || strcmp(value_get_text_or(t->row, "wanted", "running"), "running") == 0;
        return t->spec ? converge(t, request, err) : error_no_memory(err);
}

static int target_of_adopt(Target *t, const Request *request, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "service/%s", t->service);
        if (r > 0)
                r = engine_row(t->engine, key, &t->row, err);
        if (r == 0)
                return error_set(err, -EEXIST, ERR_SERVICE_EXISTS, "Give it another name with --name.",
                                 "the service \"%s\" exists already", t->service);
        t->wants_running = true;
        r = r == -ENOENT ? adopt_target(t, request, err) : r;
        return r < 0 ? r : converge(t, request, err);
}

static int target_of_upgrade(Target *t, const Request *request, Error *err) {
        int r = engine_service_row(t->engine, t->service, &t->row, err);
        if (r < 0)
                return r;
        t->spec = value_copy(value_get(t->row, "spec"));
        if (!t->spec)
                return error_no_memory(err);
        t->wants_running = strcmp(value_get_text_or(t->row, "wanted", "running"), "running") == 0;
        if (request->source) {
                value_remove(t->spec, "version"); /* it belonged to the old source */
                r = value_set(t->spec, "source", value_copy(request->source), err);
        }
        const Source *source = source_by_type(value_get_text_or(value_get(t->spec, "source"), "type", ""));
        if (source && source->has_versions)
                value_remove(t->spec, "version"); /* the newest */
        if (r == 0 && request->version)
                r = value_set_text(t->spec, "version", request->version, err);
        return r < 0 ? r : converge(t, request, err);
}

static void list_releases(Target *t, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        char prefix[ROW_KEY_MAX];
        (void)row_key(prefix, "release/%s/", t->service);
        if (engine_rows(t->engine, prefix, 0, &rows, NULL) < 0)
                return;
        for (size_t i = 0; i < value_count(rows); i++)
                error_detail(err, "kept: %s", rows->map.entries[i].name + strlen(prefix));
}

/* False only when memory is out: what is not there needs no copy. */
static bool copy_of(const Value *row, const char *name, Value **ret) {
        const Value *v = value_get(row, name);
        *ret = value_copy(v);
        return !v || *ret;
}

/* Whether the service ever had it, as far as the history goes. */
static int was_deployed(const Target *t, const char *version, bool *ret, Error *err) {
        _cleanup_(value_freep) Value *past = value_new_array();
        int r = past ? engine_history_ended(t->engine, t->service, 0, past, err) : error_no_memory(err);
        bool was = false;
        for (size_t i = 0; r == 0 && i < value_count(past) && !was; i++)
                was = strcmp(value_get_text_or(value_at(past, i), "to", ""), version) == 0 &&
                      strcmp(value_get_text_or(value_at(past, i), "result", ""), "done") == 0;
        if (r == 0)
                *ret = was;
        return r;
}

static int refuse_gone(Target *t, const char *version, Error *err) {
        bool was = false;
        int r = was_deployed(t, version, &was, err);
        if (r < 0)
                return r;
        r = error_set(err, -ENOENT, ERR_NO_VERSION, NULL, "%s %s %s", t->service, version,
                      was ? "is not kept any more" : "was never deployed");
        error_hint(
                err,
                was ? "Upgrade to it instead: \"pawl upgrade %s --version %s\"."
                    : "Only what was deployed can be gone back to; a new version comes with \"pawl upgrade %s --version %s\".",
                t->service, version);
        list_releases(t, err);
        return r;
}

static int target_of_rollback(Target *t, const Request *request, Error *err) {
        _cleanup_(value_freep) Value *release = NULL;
        int r = engine_service_row(t->engine, t->service, &t->row, err);
        if (r < 0)
                return r;
        const char *version = request->version ? request->version : value_get_text(t->row, "previous");
        if (!version)
                return error_set(err, -ENOENT, ERR_NO_VERSION, "There must have been an upgrade before.",
                                 "%s has no version before %s", t->service,
                                 value_get_text_or(t->row, "version", "this one"));
        r = target_release_row(t, version, &release, err);
        _cleanup_free_ char *path = name_release(t->service, version);
        bool is_kept = false;
        if (r == 0)
                r = path ? fs_has(t->engine->root, path, &is_kept, err) : error_no_memory(err);
        if (r == -ENOENT || (r == 0 && !is_kept))
                return refuse_gone(t, version, err);
        if (r < 0)
                return r;
        t->version = strdup(version);
        t->spec = value_copy(value_get(release, "spec"));
        t->source = value_copy(value_get(release, "source"));
        if (!t->version || !t->spec || !t->source || !copy_of(release, "secrets", &t->secrets) ||
            !copy_of(release, "env", &t->env) || !copy_of(release, "env_file", &t->env_file) ||
            !copy_of(release, "hooks", &t->hooks))
                return error_no_memory(err);
        t->release_exists = true;
        t->wants_running = strcmp(value_get_text_or(t->row, "wanted", "running"), "running") == 0;
        r = choose_port(t, err);
        if (r == 0)
                r = route_choose(t, err);
        if (r == 0)
                r = target_choose_user(t, err);
        if (r == 0)
                r = target_look(t, err);
        return r < 0 ? r : choose_prune(t, err);
}

/* With its secrets open, or, where their key is lost, sealed: nothing of what is done with it needs them. */
static int row_as_is(Target *t, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        Error why = ERROR_INIT;
        char key[ROW_KEY_MAX];
        int r = engine_service_row(t->engine, t->service, &t->row, &why);
        if (r == 0 || why.code != ERR_SEAL_KEY || row_key(key, "service/%s", t->service) < 0)
                return r == 0 ? 0 : error_set(err, r, why.code, why.hint, "%s", why.message);
        r = engine_rows(t->engine, key, 0, &rows, err);
        if (r == 0)
                t->row = value_copy(value_get(rows, key));
        return r < 0 || t->row ? r : error_no_memory(err);
}

static int look_at_directories(Target *t, bool *ret_has_data, Error *err) {
        const struct {
                char *(*name)(const char *service);
                bool *ret;
        } places[] = {
                {name_service_dir, &t->has_service_dir},
                {name_config_dir, &t->has_config_dir},
                {name_log, &t->has_log},
                {name_data_dir, ret_has_data},
        };
        int r = 0;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = places[i].name(t->service);
                r = path ? fs_has(t->engine->root, path, places[i].ret, err) : error_no_memory(err);
        }
        return r;
}

/* Remove, start, stop, restart: the service as it is. */
static int target_as_is(Target *t, const Request *request, Error *err) {
        bool has_data = false;
        int r = look_at_directories(t, &has_data, err);
        if (r < 0)
                return r;
        r = row_as_is(t, err);
        if (r == -ENOENT && request->purge && has_data) /* it was removed before, and its data was kept */
                return 0;
        if (r < 0)
                return r;
        t->spec = value_copy(value_get(t->row, "spec"));
        const char *version = value_get_text(t->row, "version");
        t->version = version && request->kind != REQUEST_REMOVE ? strdup(version) : NULL;
        t->port = value_get_int(t->row, "port", 0);
        t->wants_running = request->kind != REQUEST_STOP;
        return t->spec ? target_look(t, err) : error_no_memory(err);
}

/* clang-format off */
static const struct {
        const char *name;
        int (*choose)(Target *t, const Request *request, Error *err);
} requests[REQUEST_KIND_COUNT] = {
        [REQUEST_APPLY]    = {"apply",    target_of_spec},
        [REQUEST_DEPLOY]   = {"deploy",   target_of_spec},
        [REQUEST_UPGRADE]  = {"upgrade",  target_of_upgrade},
        [REQUEST_ROLLBACK] = {"rollback", target_of_rollback},
        [REQUEST_REMOVE]   = {"remove",   target_as_is},
        [REQUEST_START]    = {"start",    target_as_is},
        [REQUEST_STOP]     = {"stop",     target_as_is},
        [REQUEST_RESTART]  = {"restart",  target_as_is},
        [REQUEST_ADOPT]    = {"adopt",    target_of_adopt},
};
/* clang-format on */

const char *request_name(RequestKind kind) {
        return requests[kind].name;
}

int target_choose(Engine *e, const Request *request, Target *ret, Error *err) {
        const char *service = request->spec ? value_get_text(request->spec, "name") : request->service;
        *ret = (Target){.engine = e,
                        .flow = requests[request->kind].name,
                        .service = service,
                        .prefetched = {.fd = -1}};
        ret->overwrite = request->overwrite;
        ret->purge = request->purge;
        return requests[request->kind].choose(ret, request, err);
}
