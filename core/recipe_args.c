/* SPDX-License-Identifier: Apache-2.0 */
/* What each row of the recipe needs to know: arguments, rendered files, conditions. */
#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "core/base/env_file.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/names.h"
#include "core/recipe_parts.h"

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

/* A map with one path in it; path is taken. */
int args_path(char *path, Value **ret, Error *err) {
        _cleanup_free_ char *taken = path;
        _cleanup_(value_freep) Value *args = value_new_map();
        if (!taken || !args)
                return error_no_memory(err);
        int r = value_set_text(args, "path", taken, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_directory(char *path, int64_t mode, Value **ret, Error *err) {
        int r = args_path(path, ret, err);
        return r < 0 ? r : value_set_int(*ret, "mode", mode, err);
}

int args_service_dir(const Target *t, Value **ret, Error *err) {
        return args_directory(name_service_dir(t->service), 0755, ret, err);
}

int args_releases_dir(const Target *t, Value **ret, Error *err) {
        return args_directory(name_releases_dir(t->service), 0755, ret, err);
}

int args_config_dir(const Target *t, Value **ret, Error *err) {
        return args_directory(name_config_dir(t->service), 0755, ret, err);
}

static const char *target_user(const Target *t) {
        const char *user = value_get_text(value_get(t->spec, "runtime"), "user");
        if (user)
                return user;
        return geteuid() == 0 && !t->engine->is_real_root ? "root" : NULL;
}

int args_data_dir(const Target *t, Value **ret, Error *err) {
        const char *user = target_user(t);
        int r = args_directory(name_data_dir(t->service), 0750, ret, err);
        if (r == 0)
                r = value_set_bool(*ret, "is_data", true, err);
        if (r == 0 && t->user && (r = value_set_int(*ret, "uid", t->uid, err)) == 0)
                return value_set_int(*ret, "gid", t->uid, err);
        if (r < 0 || !user || geteuid() != 0)
                return r;
        struct passwd *pw = getpwnam(user);
        if (!pw)
                return error_set(err, -ENOENT, ERR_SPEC, "Make the user first, or name another in runtime.user.",
                                 "there is no user \"%s\"", user);
        r = value_set_int(*ret, "uid", pw->pw_uid, err);
        return r < 0 ? r : value_set_int(*ret, "gid", pw->pw_gid, err);
}

static bool source_is_remote(const Target *t) {
        const Source *source = source_by_type(value_get_text_or(value_get(t->spec, "source"), "type", ""));
        return source && source->is_remote;
}

int args_fetch(const Target *t, Value **ret, Error *err) {
        const Value *source = value_get(t->spec, "source");
        int r = args_path(name_release(t->service, t->version), ret, err);
        if (r < 0)
                return r;
        if ((r = value_set_text(*ret, "service", t->service, err)) < 0 ||
            (r = value_set_text(*ret, "url", value_get_text(t->source, "location"), err)) < 0 ||
            (r = value_set_text(*ret, "sha256", value_get_text(t->source, "sha256"), err)) < 0 ||
            (r = value_set_int(*ret, "max_size", value_get_int(source, "max_size", 0), err)) < 0 ||
            (r = value_set_text(*ret, "ca_file", value_get_text(source, "ca_file"), err)) < 0 ||
            (r = value_set_text(*ret, "provider", value_get_text(t->source, "provider"), err)) < 0)
                return r;
        return value_set_text(*ret, "what", value_get_text(t->source, "what"), err);
}

/* What is started, when it is a program of the release: NULL where exec leads elsewhere. */
static const char *release_entry(const Target *t) {
        const char *word = value_text(value_at(value_get(value_get(t->spec, "runtime"), "exec"), 0));
        if (!word)
                return t->service;
        return word[0] == '/' || strchr(word, '{') ? NULL : word;
}

/* artifact_step is filled in when the fetch step has its number. */
int args_tree(const Target *t, Value **ret, Error *err) {
        const Value *source = value_get(t->spec, "source");
        int r = args_path(name_release(t->service, t->version), ret, err);
        if (r < 0)
                return r;
        if ((r = value_set_text(*ret, "name", t->service, err)) < 0 ||
            (r = value_set_text(*ret, "sha256", value_get_text(t->source, "sha256"), err)) < 0 ||
            (r = value_set_text(*ret, "kind", value_get_text_or(t->source, "format", "auto"), err)) < 0 ||
            (r = value_set_int(*ret, "max_size", value_get_int(source, "max_size", 0), err)) < 0 ||
            (r = value_set_text(*ret, "entry", release_entry(t), err)) < 0)
                return r;
        return source_is_remote(t) ? 0 : value_set_text(*ret, "from", value_get_text(t->source, "location"), err);
}

int args_port(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        int r = args ? value_set_int(args, "port", t->port, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(args, "address", "127.0.0.1", err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

static int health_args(const Target *t, const Value *health, int64_t port, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_copy(health);
        int r = args ? 0 : error_no_memory(err);
        bool is_local = strcmp(value_get_text_or(args, "host", "auto"), "auto") == 0;
        if (r == 0 && is_local)
                r = value_set_text(args, "host", "127.0.0.1", err);
        if (r == 0 && !value_get(args, "port") && port > 0)
                r = value_set_int(args, "port", port, err);
        if (r == 0)
                r = value_set_text(args, "service", t->service, err);
        if (r == 0 && target_has_unit(t))
                r = value_set_text(args, "unit", t->unit, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_health(const Target *t, Value **ret, Error *err) {
        return health_args(t, value_get(t->spec, "health"), t->port, ret, err);
}

/* What a start reads: the unit, or the definition and its port. */
static int run_source(const Target *t, int64_t port, Value *args, Error *err) {
        _cleanup_free_ char *definition = name_definition(t->service);
        if (target_has_unit(t))
                return value_set_text(args, "unit", t->unit, err);
        int r = definition ? value_set_text(args, "definition", definition, err) : error_no_memory(err);
        return r < 0 || port == 0 ? r : value_set_int(args, "port", port, err);
}

static int run_args(const Target *t, const char *role, const Value *spec, int64_t port, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map(), *health = NULL;
        const Value *b1 = value_get(spec, "health");
        int r;
        if (!args)
                return error_no_memory(err);
        if ((r = value_set_text(args, "service", t->service, err)) < 0 ||
            (r = value_set_text(args, "role", role, err)) < 0 || (r = run_source(t, port, args, err)) < 0 ||
            (r = value_set_int(args, "stop_timeout_usec",
                               value_get_int(value_get(spec, "runtime"), "stop_timeout_usec",
                                             10 * (int64_t)USEC_PER_SEC),
                               err)) < 0)
                return r;
        bool waits_when_put_back = strcmp(role, "owe") == 0, stops = strcmp(role, "stop") == 0;
        if (target_has_unit(t) && !waits_when_put_back && !stops &&
            (r = value_set_bool(args, "health_follows", has_health(t), err)) < 0)
                return r;
        if (waits_when_put_back && b1 && (r = health_args(t, b1, port, &health, err)) < 0)
                return r;
        if (health && (r = value_set(args, "health", TAKE_PTR(health), err)) < 0)
                return r;
        *ret = TAKE_PTR(args);
        return 0;
}

/* What is put back is the old program: it is waited for with the old spec's health check. */
int args_owe(const Target *t, Value **ret, Error *err) {
        const Value *old = value_get(t->row, "spec");
        return run_args(t, "owe", old ? old : t->spec, value_get_int(t->row, "port", t->port), ret, err);
}

int args_pay(const Target *t, Value **ret, Error *err) {
        return run_args(t, "pay", t->spec, t->port, ret, err);
}

int args_stop(const Target *t, Value **ret, Error *err) {
        return run_args(t, "stop", value_get(t->row, "spec"), value_get_int(t->row, "port", 0), ret, err);
}

int args_start(const Target *t, Value **ret, Error *err) {
        return run_args(t, "start", t->spec, t->port, ret, err);
}

int args_link(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *target = text_format("releases/%s", t->version);
        int r = target ? args_path(name_current(t->service), ret, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(*ret, "target", target, err);
}

int args_content(char *path, Value *content, int64_t mode, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *taken = content;
        int r = args_path(path, ret, err);
        if (r == 0)
                r = value_set(*ret, "content", TAKE_PTR(taken), err);
        return r < 0 ? r : value_set_int(*ret, "mode", mode, err);
}

/* ---- Rendered files ---------------------------------------------------------------------------------------------- */

/* PORT > secrets > env > env_file. The flags' --env is already part of spec.env. */
static int render_env(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map(), *text = NULL;
        const Value *layers[] = {t->env_file, t->env, t->secrets};
        size_t n_layers = each_credential(t) ? 2 : ELEMENTSOF(layers); /* the last are handed over as files */
        int r = map ? 0 : error_no_memory(err);
        for (size_t l = 0; r == 0 && l < n_layers; l++)
                for (size_t i = 0; r == 0 && i < value_count(layers[l]); i++) {
                        const MapEntry *entry = &layers[l]->map.entries[i];
                        r = value_set(map, entry->name, value_copy(entry->value), err);
                }
        if (r == 0 && t->port > 0)
                r = value_set(map, "PORT", value_new_format("%lld", (long long)t->port), err);
        if (r == 0)
                r = env_file_format(map, &text, err);
        if (r == 0)
                *ret = TAKE_PTR(text);
        return r;
}

int args_env(const Target *t, Value **ret, Error *err) {
        Value *content = NULL;
        int r = render_env(t, &content, err);
        return r < 0 ? r : args_content(name_env(t->service), content, 0600, ret, err);
}

int args_file(const Target *t, Value **ret, Error *err) {
        const Value *file = value_at(value_get(t->spec, "files"), t->instance);
        _cleanup_free_ char *dir = name_config_dir(t->service);
        char *path = dir ? path_join(dir, value_get_text_or(file, "path", "")) : NULL;
        return args_content(path, value_copy(value_get(file, "content")), value_get_int(file, "mode", 0644), ret, err);
}

const Value *each_file(const Target *t) {
        return value_get(t->spec, "files");
}

const Value *each_stale(const Target *t) {
        return t->stale;
}

/* A file that an earlier spec had and this one has not. */
int args_stale(const Target *t, Value **ret, Error *err) {
        const char *path = value_text(value_at(t->stale, t->instance));
        return args_path(path ? strdup(path) : NULL, ret, err);
}

typedef struct Place {
        const char *name;
        char *text;
} Place;

/* Replaces {port} {release} {current} {data} {name} {version}; an unknown name in braces stays as it is. */
static char *expand(const char *template, const Place *places, size_t n_places) {
        _cleanup_text_ Text out = {0};
        for (const char *p = template; *p;) {
                size_t i = 0, n = 0;
                for (; i < n_places && n == 0; i++) {
                        size_t length = strlen(places[i].name);
                        if (p[0] == '{' && strncmp(p + 1, places[i].name, length) == 0 && p[length + 1] == '}')
                                n = length + 2;
                }
                if (n > 0)
                        text_add(&out, places[i - 1].text);
                else
                        text_add_n(&out, p, n = 1);
                p += n;
        }
        return text_take(&out);
}

static char *rooted(const Target *t, char *path) {
        _cleanup_free_ char *taken = path;
        return taken ? host_path(&t->engine->host, taken) : NULL;
}

#define PLACES 6
static int places_init(const Target *t, Place places[static PLACES], Error *err) {
        places[0] = (Place){"port", text_format("%lld", (long long)t->port)};
        places[1] = (Place){"release", rooted(t, name_release(t->service, t->version))};
        places[2] = (Place){"current", rooted(t, name_current(t->service))};
        places[3] = (Place){"data", rooted(t, name_data_dir(t->service))};
        places[4] = (Place){"name", strdup(t->service)};
        places[5] = (Place){"version", strdup(t->version)};
        for (size_t i = 0; i < PLACES; i++)
                if (!places[i].text)
                        return error_no_memory(err);
        return 0;
}

/* A first word without a slash in front is a program of the release; without any exec it is the program itself. */
static int render_argv(const Target *t, const Place *places, Value *argv, Error *err) {
        const Value *exec = value_get(value_get(t->spec, "runtime"), "exec");
        _cleanup_free_ char *itself = text_format("{current}/%s", t->service);
        int r = itself ? 0 : error_no_memory(err);
        size_t n = value_count(exec);
        for (size_t i = 0; r == 0 && i < MAX(n, (size_t)1); i++) {
                const char *word = n == 0 ? itself : value_text(value_at(exec, i));
                _cleanup_free_ char *expanded = expand(word, places, PLACES), *full = NULL;
                if (expanded && i == 0 && expanded[0] != '/')
                        full = text_format("%s/%s", places[2].text, expanded);
                const char *use = full ? full : expanded;
                r = use ? value_append_text(argv, use, err) : error_no_memory(err);
        }
        return r;
}

int render_command(const Target *t, Value **ret_argv, char **ret_directory, Error *err) {
        Place places[PLACES] = {0};
        _cleanup_(value_freep) Value *argv = value_new_array();
        const char *given = value_get_text(value_get(t->spec, "runtime"), "directory");
        _cleanup_free_ char *directory = NULL;
        int r = argv ? places_init(t, places, err) : error_no_memory(err);
        if (r == 0)
                r = render_argv(t, places, argv, err);
        if (r == 0 && !(directory = expand(given ? given : "{current}", places, PLACES)))
                r = error_no_memory(err);
        for (size_t i = 0; i < PLACES; i++)
                free(places[i].text);
        if (r < 0)
                return r;
        *ret_argv = TAKE_PTR(argv);
        *ret_directory = TAKE_PTR(directory);
        return 0;
}

static int render_definition(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map(), *argv = NULL;
        _cleanup_free_ char *env = rooted(t, name_env(t->service)), *log = rooted(t, name_log(t->service)),
                            *directory = NULL, *json = NULL;
        if (!v || !env || !log)
                return error_no_memory(err);
        int r = render_command(t, &argv, &directory, err);
        if (r < 0 || (r = value_set_text(v, "service", t->service, err)) < 0 ||
            (r = value_set(v, "argv", TAKE_PTR(argv), err)) < 0 || (r = value_set_text(v, "env_file", env, err)) < 0 ||
            (r = value_set_text(v, "directory", directory, err)) < 0 || (r = value_set_text(v, "log", log, err)) < 0 ||
            (r = value_set_text(v, "user", target_user(t), err)) < 0)
                return r;
        r = json_encode(v, JSON_PRETTY, &json, err);
        if (r < 0)
                return r;
        Value *text = value_new_format("%s\n", json);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}

int args_definition(const Target *t, Value **ret, Error *err) {
        Value *content = NULL;
        int r = render_definition(t, &content, err);
        return r < 0 ? r : args_content(name_definition(t->service), content, 0644, ret, err);
}

/* ---- Removal and finish ------------------------------------------------------------------------------------------ */

int args_trash_dir(const Target *t, Value **ret, Error *err) {
        return args_path(name_service_dir(t->service), ret, err);
}

int args_trash_config(const Target *t, Value **ret, Error *err) {
        return args_path(name_config_dir(t->service), ret, err);
}

int args_trash_log(const Target *t, Value **ret, Error *err) {
        return args_path(name_log(t->service), ret, err);
}

int args_purge(const Target *t, Value **ret, Error *err) {
        return args_path(name_data_dir(t->service), ret, err);
}

int args_prune(const Target *t, Value **ret, Error *err) {
        int r = args_path(name_releases_dir(t->service), ret, err);
        return r < 0 ? r : value_set(*ret, "versions", value_copy(t->prune), err);
}

/* ---- Conditions -------------------------------------------------------------------------------------------------- */

bool always(const Target *t) {
        (void)t;
        return true;
}

bool wants_data(const Target *t) {
        return value_get_bool(t->spec, "data", true);
}

bool needs_fetch(const Target *t) {
        return !t->release_exists && source_is_remote(t);
}

bool has_port_to_check(const Target *t) {
        bool is_ours = t->is_running && value_get_int(t->row, "port", t->port) == t->port;
        return t->port > 0 && !is_ours && !adopts(t); /* the unit that goes has it still */
}

bool has_health(const Target *t) {
        const Value *health = value_get(t->spec, "health");
        bool is_asked = strcmp(value_get_text_or(health, "type", "none"), "none") != 0;
        return is_asked || value_get_int(health, "consecutive", 1) > 1;
}

bool has_prune(const Target *t) {
        return value_count(t->prune) > 0;
}

static bool runs(const Target *t) {
        return t->is_running || t->is_failed;
}

bool runs_as_process(const Target *t) {
        return runs(t) && !target_has_unit(t);
}

/* Also one that has ended but that systemd would start again by itself. */
bool runs_as_unit(const Target *t) {
        return runs(t) && target_has_unit(t);
}

bool wants_purge(const Target *t) {
        return t->purge;
}

bool has_config_dir(const Target *t) {
        return t->has_config_dir;
}

bool has_service_dir(const Target *t) {
        return t->has_service_dir;
}

bool has_log(const Target *t) {
        return t->has_log;
}
