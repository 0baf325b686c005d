/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing. Whatever is decided here is written into BEGIN; nothing is chosen again later. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/adopt.h"
#include "core/base/env_file.h"
#include "core/base/fault.h"
#include "core/base/seal.h"
#include "core/base/text.h"
#include "core/names.h"
#include "core/rows.h"
#include "core/target.h"
#include "core/target_runtime.h"

#define ENV_FILE_MAX (1u << 20)

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

/* ---- Environment --------------------------------------------------------------------------------------------------------------- */

static int read_env_file(Target *t, Error *err) {
        const char *path = value_get_text(t->spec, "env_file");
        if (!path)
                return 0;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) {
                int r = -errno;
                return error_set_errno(err, r, "The spec names it as env_file.", "could not read \"%s\"", path);
        }
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = fs_read_fd(fd, ENV_FILE_MAX, &text, &size, err);
        if (r < 0)
                return error_context(err, r, "env_file \"%s\"", path);
        r = env_file_parse(text, size, path, true, &t->env_file, err);
        wipe(text, size);
        return r;
}

/* The end of "${NAME}" or "${NAME:-default}" that begins at p, or NULL when it is none. */
static const char *reference_end(const char *p) {
        return p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
}

static int fill_reference(const char *p, const char *end, Text *out, Error *err) {
        _cleanup_free_ char *name = strndup(p + 2, (size_t)(end - p) - 2);
        if (!name)
                return error_no_memory(err);
        char *otherwise = strstr(name, ":-");
        if (otherwise) {
                *otherwise = '\0';
                otherwise += 2;
        }
        const char *value = getenv(name);
        if (!value && !otherwise)
                return error_set(err, -ENOENT, ERR_SPEC,
                                 "Set it in the environment of this command, or write ${NAME:-default}.",
                                 "the environment has no \"%s\", which the spec asks for", name);
        text_add(out, value ? value : otherwise);
        return 0;
}

/* 1: there was something to fill in, *ret is the whole as a secret. */
static int fill_value(const char *text, Value **ret, Error *err) {
        _cleanup_text_ Text out = {0};
        size_t n = 0;
        for (const char *p = text; *p;) {
                const char *end = reference_end(p);
                if (!end) {
                        text_add_n(&out, p++, 1);
                        continue;
                }
                int r = fill_reference(p, end, &out, err);
                if (r < 0)
                        return r;
                n++;
                p = end + 1;
        }
        if (n == 0)
                return 0;
        _cleanup_free_ char *whole = text_take(&out);
        *ret = whole ? value_new_secret(whole, strlen(whole)) : NULL;
        return *ret ? 1 : error_no_memory(err);
}

/* What was filled in before is used when the caller's environment lacks it now: a timer has another environment than a person. */
static int choose_env(Target *t, Error *err) {
        const Value *env = value_get(t->spec, "env"), *known = value_get(t->row, "env"),
                    *written = value_path(t->row, "spec.env");
        t->env = value_new_map();
        int r = t->env ? 0 : error_no_memory(err);
        for (size_t i = 0; r >= 0 && i < value_count(env); i++) {
                const MapEntry *entry = &env->map.entries[i];
                Value *filled = NULL;
                Error why = ERROR_INIT;
                const Value *before = value_get(known, entry->name), *text = value_get(written, entry->name);
                bool is_same = before && text && value_is(before, VALUE_SECRET) && value_equal(text, entry->value);
                r = fill_value(value_text(entry->value) ? value_text(entry->value) : "", &filled, &why);
                if (r < 0 && why.code == ERR_SPEC && is_same) {
                        filled = value_copy(before);
                        r = 1;
                }
                if (r < 0)
                        return error_set(err, r, why.code, why.hint, "%s", why.message);
                if (r >= 0)
                        r = value_set(t->env, entry->name, r == 1 ? filled : value_copy(entry->value), err);
        }
        return r < 0 ? r : 0;
}

/* Many webhooks carry their key in the path: what is filled in is a secret. */
static int fill_hook(Target *t, size_t i, Error *err) {
        const Value *hook = value_at(value_get(t->spec, "notify"), i),
                    *before = value_at(value_get(t->row, "hooks"), i);
        const char *url = value_get_text_or(hook, "url", "");
        Value *copy = value_copy(hook), *filled = NULL;
        Error why = ERROR_INIT;
        int r = value_append(t->hooks, copy, err);
        if (r < 0)
                return r;
        r = fill_value(url, &filled, &why);
        bool was_filled = value_is(value_get(before, "url"), VALUE_SECRET);
        if (r < 0 && why.code == ERR_SPEC && was_filled) {
                filled = value_copy(value_get(before, "url"));
                r = 1;
        }
        if (r < 0)
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        return r == 0 ? 0 : value_set(copy, "url", filled, err);
}

static int choose_hooks(Target *t, Error *err) {
        int r = 0;
        t->hooks = value_new_array();
        if (!t->hooks)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(value_get(t->spec, "notify")); i++)
                r = fill_hook(t, i, err);
        return r;
}

static bool secret_may_come_from(const Value *item, const char *where) {
        const Value *from = value_get(item, "from");
        for (size_t i = 0; i < value_count(from); i++)
                if (strcmp(value_text(value_at(from, i)), where) == 0)
                        return true;
        return value_count(from) == 0;
}

static Value *secret_generated(int64_t length) {
        char text[256];
        random_password(text, (size_t)MIN(length, (int64_t)sizeof(text) - 1));
        Value *v = value_new_secret(text, strlen(text));
        wipe(text, sizeof(text));
        return v;
}

/* Environment, then env_file, then what was chosen before, then a new one. */
static int choose_secret(Target *t, const Value *item, Error *err) {
        const char *name = value_get_text(item, "name"), *given = getenv(name);
        const Value *known = value_get(value_get(t->row, "secrets"), name), *dotenv = value_get(t->env_file, name);
        int64_t generate = value_get_int(item, "generate", 32);
        Value *chosen = NULL;
        if (given && secret_may_come_from(item, "env"))
                chosen = value_new_secret(given, strlen(given));
        else if (dotenv && secret_may_come_from(item, "dotenv"))
                chosen = value_copy(dotenv);
        else if (known && secret_may_come_from(item, "store"))
                chosen = value_copy(known);
        else if (generate > 0) {
                chosen = secret_generated(generate);
                engine_say(t->engine, LOG_NOTE, "%s: generated, **** (stored)", name);
        } else
                return error_set(err, -ENOENT, ERR_SPEC, "Set it in the environment of this command or in env_file.",
                                 "the secret \"%s\" was found nowhere", name);
        return value_set(t->secrets, name, chosen, err);
}

static int choose_secrets(Target *t, Error *err) {
        const Value *wanted = value_get(t->spec, "secrets");
        t->secrets = value_new_map();
        int r = t->secrets ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(wanted); i++)
                r = choose_secret(t, value_at(wanted, i), err);
        return r;
}

/* ---- Source and version ------------------------------------------------------------------------------------------------------------ */

/* {version}, wherever it stands in where the source lies. */
static int expand_location(const Target *t, Value *source, const char *key, Error *err) {
        static const char mark[] = "{version}";
        const char *text = value_get_text(source, key), *version = value_get_text(t->spec, "version");
        _cleanup_text_ Text out = {0};
        if (!text || !strstr(text, mark))
                return 0;
        if (!version)
                return error_set(err, -EINVAL, ERR_SPEC, "Name one: version: v1, or --version v1.",
                                 "the source \"%s\" asks for a version and none is given", text);
        for (const char *next; (next = strstr(text, mark)); text = next + strlen(mark)) {
                text_add_n(&out, text, (size_t)(next - text));
                text_add(&out, version);
        }
        text_add(&out, text);
        _cleanup_free_ char *whole = text_take(&out);
        return whole ? value_set_text(source, key, whole, err) : error_no_memory(err);
}

static int resolve_source(Target *t, Error *err) {
        _cleanup_(value_freep) Value *source = value_copy(value_get(t->spec, "source"));
        if (!source)
                return error_no_memory(err);
        int r = expand_location(t, source, "path", err);
        if (r == 0)
                r = expand_location(t, source, "url", err);
        if (r < 0)
                return r;
        if ((r = value_set_text(source, "service", t->service, err)) < 0 ||
            (r = value_set_text(source, "version", value_get_text(t->spec, "version"), err)) < 0)
                return r;
        const Source *type = source_by_type(value_get_text_or(source, "type", "path"));
        if (!type)
                return error_set(err, -EINVAL, ERR_NOT_SUPPORTED, NULL, "this pawl has no source \"%s\"",
                                 value_get_text(source, "type"));
        Host host = engine_host(t->engine, 0, 0, true);
        return type->resolve(&host, source, value_get(t->row, "source"), &t->source, &t->prefetched, err);
}

static int release_row(Target *t, const char *version, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "release/%s/%s", t->service, version);
        return r < 0 ? error_set(err, r, ERR_SPEC, NULL, "the version is too long")
                     : engine_row(t->engine, key, ret, err);
}

static bool is_same_content(const Value *release, const Value *facts) {
        const char *a = value_get_text(value_get(release, "source"), "sha256"), *b = value_get_text(facts, "sha256");
        return a && b && strcmp(a, b) == 0;
}

/* The same version with other bytes is another release: "v1+3f2a9c41". */
static int choose_version(Target *t, Error *err) {
        const char *sha256 = value_get_text(t->source, "sha256"), *given = value_get_text(t->spec, "version");
        if (!given)
                given = value_get_text(t->source, "version");
        t->version = given ? strdup(given) : text_format("sha-%.12s", sha256 ? sha256 : "");
        if (!t->version || !sha256)
                return error_no_memory(err);
        if (is_same_content(t->row,
                            t->source)) { /* it runs already, perhaps under the longer name that it was given then */
                const char *now = value_get_text_or(t->row, "version", "");
                size_t n = strlen(t->version);
                char *same = strncmp(now, t->version, n) == 0 && now[n] == '+' ? strdup(now) : NULL;
                if (same) {
                        free(t->version);
                        t->version = same;
                }
        }
        for (int tries = 0; tries < 2; tries++) {
                _cleanup_(value_freep) Value *release = NULL;
                _cleanup_free_ char *path = name_release(t->service, t->version);
                int r = path ? release_row(t, t->version, &release, err) : error_no_memory(err);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return r;
                if (is_same_content(release, t->source)) {
                        return fs_has(t->engine->root, path, &t->release_exists, err);
                }
                char *other = text_format("%s+%.8s", t->version, sha256);
                if (!other)
                        return error_no_memory(err);
                engine_say(t->engine, LOG_NOTE, "%s %s has other content than before: it becomes %s", t->service,
                           t->version, other);
                free(t->version);
                t->version = other;
        }
        return 0;
}

/* The same version with the same content and the same spec; a service that is not there yet is always tried. */
static int version_is_held(Target *t, Error *err) {
        _cleanup_(value_freep) Value *held = NULL;
        char key[ROW_KEY_MAX], hash[17];
        if (!t->row)
                return 0;
        int r = row_key(key, "held/%s/%s", t->service, t->version);
        if (r > 0)
                r = engine_row(t->engine, key, &held, err);
        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = spec_hash(t->spec, hash, err);
        if (r < 0)
                return r;
        const char *sha256 = value_get_text(held, "sha256"), *ours = value_get_text(t->source, "sha256");
        const char *tried = value_get_text(held, "hash");
        bool is_other = (sha256 && ours && strcmp(sha256, ours) != 0) || (tried && strcmp(tried, hash) != 0);
        if (is_other)
                return 0;
        t->hold_why = value_copy(held);
        return t->hold_why ? TARGET_HELD : error_no_memory(err);
}

/* ---- Port ---------------------------------------------------------------------------------------------------------------------------- */

static bool port_is_claimed(Engine *e, int64_t port, const char *service) {
        static const char *const formats[] = {"port", "claim/port"};
        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                _cleanup_(value_freep) Value *row = NULL;
                char key[ROW_KEY_MAX];
                if (row_key(key, "%s/%lld", formats[i], (long long)port) < 0 || engine_row(e, key, &row, NULL) < 0)
                        continue;
                if (strcmp(value_get_text_or(row, "service", ""), service) != 0)
                        return true;
        }
        return false;
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
        for (int64_t port = start; port < end; port++)
                if (!port_is_claimed(t->engine, port, t->service) && port_is_free(t, port)) {
                        t->port = port;
                        return 0;
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
        if (!port_is_claimed(t->engine, fixed, t->service))
                return 0;
        return error_set(err, -EADDRINUSE, ERR_IN_USE, "Choose another, or port: auto.",
                         "port %lld belongs to another service", (long long)fixed);
}

/* ---- What runs, and what is old ---------------------------------------------------------------------------------------------------------- */

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

/* ---- By request ----------------------------------------------------------------------------------------------------------------------------- */

static int converge(Target *t, const Request *request, Error *err) {
        int r = target_choose_runtime(t, err);
        if (r == 0)
                r = resolve_source(t, err);
        if (r == 0)
                r = choose_version(t, err);
        if (r == 0)
                r = version_check(t->version, err);
        bool may_be_held = request->kind == REQUEST_APPLY || request->kind == REQUEST_UPGRADE;
        if (r == 0 && may_be_held && !request->retry && (r = version_is_held(t, err)) != 0)
                return r;
        if (r == 0)
                r = choose_port(t, err);
        if (r == 0)
                r = route_choose(t, err);
        if (r == 0)
                r = read_env_file(t, err);
        if (r == 0)
                r = choose_secrets(t, err);
        if (r == 0)
                r = choose_env(t, err);
        if (r == 0)
                r = choose_hooks(t, err);
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
        r = release_row(t, version, &release, err);
        _cleanup_free_ char *path = name_release(t->service, version);
        bool is_kept = false;
        if (r == 0)
                r = path ? fs_has(t->engine->root, path, &is_kept, err) : error_no_memory(err);
        if (r == -ENOENT || (r == 0 && !is_kept)) {
                r = error_set(err, -ENOENT, ERR_NO_VERSION, "Upgrade to it instead: \"pawl upgrade --version\".",
                              "%s %s is not kept any more", t->service, version);
                list_releases(t, err);
                return r;
        }
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
