/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the tables below is reading what pawl does for a service. Everything invisible stands before `owe`, everything visible between `owe` and `pay`,
 * and `pay` is the only moment at which the program is down.
 */
#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/env_file.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/names.h"
#include "core/recipe.h"
#include "core/rows.h"

#define RECIPE_ROWS_MAX 64 /* rows, a repeated one counted as often as it is */
#define RECIPE_STANDS_MAX 8

typedef struct Recipe {
        Target *target;
        Plan *plan;
        bool needs_restart;
        bool is_asked; /* start, stop, restart: the person asked for the step itself, so no artifact spares it */
        Value *artifacts; /* the service row's list, growing */
        int64_t steps[RECIPE_ROWS_MAX]; /* index of each row's step, or -1 */
} Recipe;

typedef enum RecipeFlags {
        RECIPE_ARTIFACT = 1 << 0, /* stays: listed in the row, verified by `check`, left out when already as wanted */
        RECIPE_RESTARTS = 1 << 1, /* a change of it is seen by the program only after a restart */
        RECIPE_VISIBLE = 1 << 2,  /* part of the bracket: only when the program is started anew */
} RecipeFlags;

typedef struct RecipeRow {
        const char *name, *manager;
        StepKind kind;
        StepDebt debt;
        unsigned flags;
        bool (*is_wanted)(const Target *t);
        int (*args)(const Target *t, Value **ret, Error *err);
        const char *stands_on[RECIPE_STANDS_MAX]; /* names of rows above */
        const Value *(*each)(const Target *t); /* one for each item of this list; Target.instance says which */
} RecipeRow;

void target_done(Target *t) {
        value_free(t->row);
        value_free(t->spec);
        value_free(t->source);
        value_free(t->secrets);
        value_free(t->env);
        value_free(t->env_file);
        value_free(t->hold_why);
        value_free(t->prune);
        value_free(t->stale);
        value_free(t->notes);
        free(t->version);
        fd_close(&t->prefetched.fd);
}

/* ---- Arguments ------------------------------------------------------------------------------------------------------------- */

/* A map with one path in it; path is taken. */
static int path_args(char *path, Value **ret, Error *err) {
        _cleanup_free_ char *taken = path;
        _cleanup_(value_freep) Value *args = value_new_map();
        if (!taken || !args)
                return error_no_memory(err);
        int r = value_set_text(args, "path", taken, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

static int directory_args(char *path, int64_t mode, Value **ret, Error *err) {
        int r = path_args(path, ret, err);
        return r < 0 ? r : value_set_int(*ret, "mode", mode, err);
}

static int args_service_dir(const Target *t, Value **ret, Error *err) {
        return directory_args(name_service_dir(t->service), 0755, ret, err);
}

static int args_releases_dir(const Target *t, Value **ret, Error *err) {
        return directory_args(name_releases_dir(t->service), 0755, ret, err);
}

static int args_config_dir(const Target *t, Value **ret, Error *err) {
        return directory_args(name_config_dir(t->service), 0755, ret, err);
}

static const char *target_user(const Target *t) {
        const char *user = value_get_text(value_get(t->spec, "runtime"), "user");
        if (user)
                return user;
        return geteuid() == 0 && !t->engine->is_real_root ? "root" : NULL;
}

static int args_data_dir(const Target *t, Value **ret, Error *err) {
        const char *user = target_user(t);
        int r = directory_args(name_data_dir(t->service), 0750, ret, err);
        if (r == 0)
                r = value_set_bool(*ret, "is_data", true, err);
        if (r < 0 || !user || geteuid() != 0)
                return r;
        struct passwd *pw = getpwnam(user);
        if (!pw)
                return error_set(err, -ENOENT, ERR_SPEC, "Make the user first, or name another in runtime.user.", "there is no user \"%s\"", user);
        r = value_set_int(*ret, "uid", pw->pw_uid, err);
        return r < 0 ? r : value_set_int(*ret, "gid", pw->pw_gid, err);
}

static bool source_is_url(const Target *t) {
        return strcmp(value_get_text_or(value_get(t->spec, "source"), "type", ""), "url") == 0;
}

static int args_fetch(const Target *t, Value **ret, Error *err) {
        const Value *source = value_get(t->spec, "source");
        int r = path_args(name_release(t->service, t->version), ret, err);
        if (r < 0)
                return r;
        if ((r = value_set_text(*ret, "service", t->service, err)) < 0 || (r = value_set_text(*ret, "url", value_get_text(t->source, "location"), err)) < 0 ||
            (r = value_set_text(*ret, "sha256", value_get_text(t->source, "sha256"), err)) < 0 ||
            (r = value_set_int(*ret, "max_size", value_get_int(source, "max_size", 0), err)) < 0 ||
            (r = value_set_text(*ret, "ca_file", value_get_text(source, "ca_file"), err)) < 0)
                return r;
        return 0;
}

/* artifact_step is filled in when the fetch step has its number. */
static int args_tree(const Target *t, Value **ret, Error *err) {
        const Value *source = value_get(t->spec, "source");
        int r = path_args(name_release(t->service, t->version), ret, err);
        if (r < 0)
                return r;
        if ((r = value_set_text(*ret, "name", t->service, err)) < 0 || (r = value_set_text(*ret, "sha256", value_get_text(t->source, "sha256"), err)) < 0 ||
            (r = value_set_text(*ret, "kind", value_get_text_or(t->source, "format", "auto"), err)) < 0 ||
            (r = value_set_int(*ret, "max_size", value_get_int(source, "max_size", 0), err)) < 0)
                return r;
        return source_is_url(t) ? 0 : value_set_text(*ret, "from", value_get_text(t->source, "location"), err);
}

static int args_port(const Target *t, Value **ret, Error *err) {
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
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

static int args_health(const Target *t, Value **ret, Error *err) {
        return health_args(t, value_get(t->spec, "health"), t->port, ret, err);
}

static int process_args(const Target *t, const char *role, const Value *spec, int64_t port, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map(), *health = NULL;
        _cleanup_free_ char *definition = name_definition(t->service);
        const Value *b1 = value_get(spec, "health");
        int r;
        if (!args || !definition)
                return error_no_memory(err);
        if ((r = value_set_text(args, "service", t->service, err)) < 0 || (r = value_set_text(args, "role", role, err)) < 0 ||
            (r = value_set_text(args, "definition", definition, err)) < 0 ||
            (r = value_set_int(args, "stop_timeout_usec", value_get_int(value_get(spec, "runtime"), "stop_timeout_usec", 10 * (int64_t)USEC_PER_SEC), err)) < 0)
                return r;
        bool waits_when_put_back = strcmp(role, "owe") == 0;
        if (waits_when_put_back && b1 && (r = health_args(t, b1, port, &health, err)) < 0)
                return r;
        if (health && (r = value_set(args, "health", TAKE_PTR(health), err)) < 0)
                return r;
        if (port > 0 && (r = value_set_int(args, "port", port, err)) < 0)
                return r;
        *ret = TAKE_PTR(args);
        return 0;
}

/* What is put back is the old program: it is waited for with the old spec's health check. */
static int args_owe(const Target *t, Value **ret, Error *err) {
        const Value *old = value_get(t->row, "spec");
        return process_args(t, "owe", old ? old : t->spec, value_get_int(t->row, "port", t->port), ret, err);
}

static int args_pay(const Target *t, Value **ret, Error *err) {
        return process_args(t, "pay", t->spec, t->port, ret, err);
}

static int args_stop(const Target *t, Value **ret, Error *err) {
        return process_args(t, "stop", value_get(t->row, "spec"), value_get_int(t->row, "port", 0), ret, err);
}

static int args_start(const Target *t, Value **ret, Error *err) {
        return process_args(t, "start", t->spec, t->port, ret, err);
}

static int args_link(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *target = text_format("releases/%s", t->version);
        int r = target ? path_args(name_current(t->service), ret, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(*ret, "target", target, err);
}

static int file_args(char *path, Value *content, int64_t mode, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *taken = content;
        int r = path_args(path, ret, err);
        if (r == 0)
                r = value_set(*ret, "content", TAKE_PTR(taken), err);
        return r < 0 ? r : value_set_int(*ret, "mode", mode, err);
}

/* ---- Rendered files --------------------------------------------------------------------------------------------------------- */

/* PORT > secrets > env > env_file. The flags' --env is already part of spec.env. */
static int render_env(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map(), *text = NULL;
        const Value *layers[] = {t->env_file, t->env, t->secrets};
        int r = map ? 0 : error_no_memory(err);
        for (size_t l = 0; r == 0 && l < ELEMENTSOF(layers); l++)
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

static int args_env(const Target *t, Value **ret, Error *err) {
        Value *content = NULL;
        int r = render_env(t, &content, err);
        return r < 0 ? r : file_args(name_env(t->service), content, 0600, ret, err);
}

static int args_file(const Target *t, Value **ret, Error *err) {
        const Value *file = value_at(value_get(t->spec, "files"), t->instance);
        _cleanup_free_ char *dir = name_config_dir(t->service);
        char *path = dir ? path_join(dir, value_get_text_or(file, "path", "")) : NULL;
        return file_args(path, value_copy(value_get(file, "content")), value_get_int(file, "mode", 0644), ret, err);
}

static const Value *each_file(const Target *t) {
        return value_get(t->spec, "files");
}

static const Value *each_stale(const Target *t) {
        return t->stale;
}

/* A file that an earlier spec had and this one has not. */
static int args_stale(const Target *t, Value **ret, Error *err) {
        const char *path = value_text(value_at(t->stale, t->instance));
        return path_args(path ? strdup(path) : NULL, ret, err);
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

static int render_definition(const Target *t, const Place *places, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map(), *argv = value_new_array();
        _cleanup_free_ char *env = rooted(t, name_env(t->service)), *log = rooted(t, name_log(t->service)), *directory = NULL, *json = NULL;
        const char *given = value_get_text(value_get(t->spec, "runtime"), "directory");
        directory = expand(given ? given : "{current}", places, PLACES);
        if (!v || !argv || !env || !log || !directory)
                return error_no_memory(err);
        int r = render_argv(t, places, argv, err);
        if (r < 0 || (r = value_set_text(v, "service", t->service, err)) < 0 || (r = value_set(v, "argv", TAKE_PTR(argv), err)) < 0 ||
            (r = value_set_text(v, "env_file", env, err)) < 0 || (r = value_set_text(v, "directory", directory, err)) < 0 ||
            (r = value_set_text(v, "log", log, err)) < 0 || (r = value_set_text(v, "user", target_user(t), err)) < 0)
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

static int args_definition(const Target *t, Value **ret, Error *err) {
        Place places[PLACES] = {0};
        Value *content = NULL;
        int r = places_init(t, places, err);
        if (r == 0)
                r = render_definition(t, places, &content, err);
        for (size_t i = 0; i < PLACES; i++)
                free(places[i].text);
        return r < 0 ? r : file_args(name_definition(t->service), content, 0644, ret, err);
}

/* ---- Removal and finish ------------------------------------------------------------------------------------------------------- */

static int args_trash_dir(const Target *t, Value **ret, Error *err) {
        return path_args(name_service_dir(t->service), ret, err);
}

static int args_trash_config(const Target *t, Value **ret, Error *err) {
        return path_args(name_config_dir(t->service), ret, err);
}

static int args_trash_log(const Target *t, Value **ret, Error *err) {
        return path_args(name_log(t->service), ret, err);
}

static int args_purge(const Target *t, Value **ret, Error *err) {
        return path_args(name_data_dir(t->service), ret, err);
}

static int args_prune(const Target *t, Value **ret, Error *err) {
        int r = path_args(name_releases_dir(t->service), ret, err);
        return r < 0 ? r : value_set(*ret, "versions", value_copy(t->prune), err);
}

/* ---- Conditions ---------------------------------------------------------------------------------------------------------------- */

static bool always(const Target *t) {
        (void)t;
        return true;
}

static bool wants_data(const Target *t) {
        return value_get_bool(t->spec, "data", true);
}

static bool needs_fetch(const Target *t) {
        return !t->release_exists && source_is_url(t);
}

static bool has_port_to_check(const Target *t) {
        bool is_ours = t->is_running && value_get_int(t->row, "port", t->port) == t->port;
        return t->port > 0 && !is_ours;
}

static bool has_health(const Target *t) {
        const Value *health = value_get(t->spec, "health");
        return health && strcmp(value_get_text_or(health, "type", "none"), "none") != 0;
}

static bool has_prune(const Target *t) {
        return value_count(t->prune) > 0;
}

static bool runs(const Target *t) {
        return t->is_running || t->is_failed;
}

static bool wants_purge(const Target *t) {
        return t->purge;
}

static bool has_config_dir(const Target *t) {
        _cleanup_free_ char *path = name_config_dir(t->service);
        return path && fs_exists(t->engine->root, path);
}

static bool has_service_dir(const Target *t) {
        _cleanup_free_ char *path = name_service_dir(t->service);
        return path && fs_exists(t->engine->root, path);
}

static bool has_log(const Target *t) {
        _cleanup_free_ char *path = name_log(t->service);
        return path && fs_exists(t->engine->root, path);
}

/* ---- The tables ------------------------------------------------------------------------------------------------------------------ */

/* clang-format off */
static const RecipeRow converge_rows[] = {
        /* name          manager      kind             debt       flags                              wanted             arguments         stands on */
        {"service-dir",  "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_service_dir,  {NULL}, NULL},
        {"releases-dir", "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_releases_dir, {"service-dir"}, NULL},
        {"config-dir",   "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_config_dir,   {NULL}, NULL},
        {"data-dir",     "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   wants_data,        args_data_dir,     {NULL}, NULL},
        {"fetch",        "release",   STEP_EFFECT,     DEBT_NONE, 0,                                 needs_fetch,       args_fetch,        {"releases-dir"}, NULL},
        {"tree",         "tree",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_tree,         {"releases-dir", "fetch"}, NULL},
        {"port",         "port",      STEP_CHECK,      DEBT_NONE, RECIPE_VISIBLE,                    has_port_to_check, args_port,         {NULL}, NULL},
        {"owe",          "process",   STEP_EFFECT,     DEBT_OWE,  RECIPE_VISIBLE,                    always,            args_owe,          {NULL}, NULL},
        {"env",          "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_env,          {"config-dir", "owe"}, NULL},
        {"definition",   "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_definition,   {"config-dir", "owe"}, NULL},
        {"files",        "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_file,         {"config-dir", "owe"}, each_file},
        {"stale",        "trash",     STEP_EFFECT,     DEBT_NONE, RECIPE_RESTARTS,                   always,            args_stale,        {"owe"}, each_stale},
        {"current",      "link",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_link,         {"service-dir", "tree", "owe"}, NULL},
        {"pay",          "process",   STEP_EFFECT,     DEBT_PAY,  RECIPE_VISIBLE | RECIPE_ARTIFACT,  always,            args_pay,          {"tree", "data-dir", "env", "definition", "files", "stale", "current", "owe"}, NULL},
        {"health",       "health",    STEP_CHECK,      DEBT_NONE, RECIPE_VISIBLE,                    has_health,        args_health,       {NULL}, NULL},
        {"prune",        "prune",     STEP_FINISH_TRY, DEBT_NONE, 0,                                 has_prune,         args_prune,        {NULL}, NULL},
};

static const RecipeRow remove_rows[] = {
        {"stop",         "process",   STEP_EFFECT,      DEBT_NONE, 0, runs,            args_stop,         {NULL}, NULL},
        {"service-dir",  "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_service_dir, args_trash_dir,    {"stop"}, NULL},
        {"config-dir",   "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_config_dir,  args_trash_config, {"stop"}, NULL},
        {"log",          "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_log,         args_trash_log,    {"stop"}, NULL},
        {"data",         "purge",     STEP_FINISH_MUST, DEBT_NONE, 0, wants_purge,     args_purge,        {NULL}, NULL},
};

static const RecipeRow start_rows[] = {
        {"port",         "port",      STEP_CHECK,  DEBT_NONE, 0,               has_port_to_check, args_port,   {NULL}, NULL},
        {"start",        "process",   STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, always,            args_start,  {NULL}, NULL},
        {"health",       "health",    STEP_CHECK,  DEBT_NONE, 0,               has_health,        args_health, {NULL}, NULL},
};

static const RecipeRow stop_rows[] = {
        {"stop",         "process",   STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, always,            args_stop,   {NULL}, NULL},
};

static const RecipeRow restart_rows[] = {
        {"port",         "port",      STEP_CHECK,  DEBT_NONE, 0,               has_port_to_check, args_port,   {NULL}, NULL},
        {"owe",          "process",   STEP_EFFECT, DEBT_OWE,  0,               always,            args_owe,    {NULL}, NULL},
        {"pay",          "process",   STEP_EFFECT, DEBT_PAY,  RECIPE_ARTIFACT, always,            args_pay,    {"owe"}, NULL},
        {"health",       "health",    STEP_CHECK,  DEBT_NONE, 0,               has_health,        args_health, {NULL}, NULL},
};
/* clang-format on */
static_assert(ELEMENTSOF(converge_rows) <= RECIPE_ROWS_MAX, "Recipe.steps holds one entry per row");

/* ---- From rows to steps -------------------------------------------------------------------------------------------------------- */

/* "file etc/pawl/web/env", "process web": the name under which an artifact is known for as long as the service exists. */
static char *artifact_name(const RecipeRow *row, const Target *t, const Value *args) {
        const char *path = value_get_text(args, "path");
        if (strcmp(row->manager, "tree") == 0)
                return text_format("tree of %s", t->service); /* one at a time, whichever version */
        return text_format("%s %s", row->manager, path ? path : t->service);
}

static const Value *artifact_find(const Value *row, const char *name) {
        const Value *list = value_get(row, "artifacts");
        for (size_t i = 0; i < value_count(list); i++) {
                const Value *artifact = value_at(list, i);
                if (strcmp(value_get_text_or(artifact, "artifact", ""), name) == 0)
                        return artifact;
        }
        return NULL;
}

static int artifact_keep(Recipe *x, const Value *artifact, Error *err) {
        int r = value_append(x->artifacts, value_copy(artifact), err);
        return r < 0 ? r : value_append_text(x->plan->kept, value_get_text(artifact, "artifact"), err);
}

typedef enum ArtifactState { ARTIFACT_SOUND, ARTIFACT_MISSING, ARTIFACT_EDITED } ArtifactState;

static ArtifactState artifact_look(const Recipe *x, const Manager *m, const Value *artifact, Error *why) {
        const Value *args = value_get(artifact, "args");
        const char *path = value_get_text(args, "path");
        if (m->verify(&x->target->engine->host, args, value_get(artifact, "facts"), why) == 0)
                return ARTIFACT_SOUND;
        return path && fs_exists(x->target->engine->root, path) ? ARTIFACT_EDITED : ARTIFACT_MISSING;
}

static bool file_is_wanted(const Target *t, const char *name) {
        const Value *files = value_get(t->spec, "files");
        bool is_wanted = strcmp(name, "env") == 0 || strcmp(name, "process") == 0;
        for (size_t i = 0; i < value_count(files); i++)
                is_wanted |= strcmp(value_get_text_or(value_at(files, i), "path", ""), name) == 0;
        return is_wanted;
}

static int choose_stale(Recipe *x, Error *err) {
        Target *t = x->target;
        const Manager *file = manager_by_name("file");
        const Value *artifacts = value_get(t->row, "artifacts");
        int r = 0;
        t->stale = value_new_array();
        if (!t->stale)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(artifacts); i++) {
                const Value *artifact = value_at(artifacts, i);
                const char *path = value_get_text(value_get(artifact, "args"), "path");
                bool is_file = value_get_int(artifact, "manager", 0) == file->id;
                if (!is_file || !path || file_is_wanted(t, path_base(path)) || !fs_exists(t->engine->root, path))
                        continue;
                if (artifact_look(x, file, artifact, NULL) == ARTIFACT_EDITED && !t->overwrite)
                        return error_set(err, -ESTALE, ERR_DRIFT, "Take it away yourself, or let it go with --overwrite.",
                                         "/%s was edited by hand, and the spec has it no more", path);
                r = value_append_text(t->stale, path, err);
        }
        return r;
}

/* 1: already as wanted (and listed). 0: a step is needed. */
static int artifact_is_there(Recipe *x, const Manager *m, const char *name, const Value *args, Error *err) {
        const Value *old = x->is_asked ? NULL : artifact_find(x->target->row, name);
        Error why = ERROR_INIT;
        if (!old)
                return 0;
        bool is_same = value_equal(value_get(old, "args"), args);
        ArtifactState state = artifact_look(x, m, old, &why);
        if (state == ARTIFACT_EDITED && !x->target->overwrite) {
                if (!is_same)
                        return error_set(err, -ESTALE, ERR_DRIFT, "Take the edit into the spec, or write over it with --overwrite.",
                                         "%s was edited by hand, and this would write over it", name);
                engine_say(x->target->engine, LOG_WARNING, "%s was edited by hand and is left as it is", name);
        }
        bool is_kept = is_same && state != ARTIFACT_MISSING && !(state == ARTIFACT_EDITED && x->target->overwrite);
        if (!is_kept)
                return 0;
        int r = artifact_keep(x, old, err);
        return r < 0 ? r : 1;
}

/* A release that is already in place keeps the artifact it was made with. */
static int tree_is_there(Recipe *x, Error *err) {
        char key[ROW_KEY_MAX];
        _cleanup_(value_freep) Value *release = NULL;
        if (!x->target->release_exists)
                return 0;
        int r = row_key(key, "release/%s/%s", x->target->service, x->target->version);
        if (r > 0)
                r = engine_row(x->target->engine, key, &release, err);
        if (r < 0)
                return r;
        const Value *artifact = value_at(value_get(release, "artifacts"), 0);
        r = artifact ? artifact_keep(x, artifact, err) : 0;
        return r < 0 ? r : 1;
}

static int artifact_list(Recipe *x, const Step *s, uint32_t step, Error *err) {
        _cleanup_(value_freep) Value *artifact = value_new_map();
        int r;
        if (!artifact)
                return error_no_memory(err);
        if ((r = value_set_text(artifact, "artifact", s->artifact, err)) < 0 || (r = value_set_int(artifact, "manager", s->manager_id, err)) < 0 ||
            (r = value_set_int(artifact, "version", s->version, err)) < 0 || (r = value_set(artifact, "args", value_copy(s->args), err)) < 0 ||
            (r = value_set_int(artifact, "step", step, err)) < 0)
                return r;
        return value_append(x->artifacts, TAKE_PTR(artifact), err);
}

static int stand(Recipe *x, const RecipeRow *rows, size_t n_rows, size_t i, Error *err) {
        uint32_t step = (uint32_t)x->steps[i];
        plan_stands_alone(x->plan, step);
        for (size_t k = 0; k < RECIPE_STANDS_MAX && rows[i].stands_on[k]; k++)
                for (size_t n = 0; n < n_rows; n++) {
                        if (strcmp(rows[n].name, rows[i].stands_on[k]) != 0 || x->steps[n] < 0)
                                continue;
                        int r = plan_add_depends(x->plan, step, (uint32_t)x->steps[n], err);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int emit(Recipe *x, const RecipeRow *rows, size_t n_rows, size_t i, Value *args, Error *err) {
        const RecipeRow *row = &rows[i];
        _cleanup_(value_freep) Value *taken = args;
        _cleanup_free_ char *name = row->flags & RECIPE_ARTIFACT ? artifact_name(row, x->target, taken) : NULL;
        uint32_t step;
        if ((row->flags & RECIPE_ARTIFACT) && !name)
                return error_no_memory(err);
        int r = plan_add(x->plan, (StepInit){.kind = row->kind, .manager = row->manager, .debt = row->debt, .artifact = name}, TAKE_PTR(taken), &step, err);
        if (r < 0)
                return r;
        x->steps[i] = step;
        if (row->flags & RECIPE_ARTIFACT)
                r = artifact_list(x, &x->plan->steps[step], step, err);
        return r < 0 ? r : stand(x, rows, n_rows, i, err);
}

/* Args for rows that are steps; NULL where the artifact is already there or the row has no place in this plan. */
static int consider(Recipe *x, const RecipeRow *row, Value **ret_args, Error *err) {
        _cleanup_(value_freep) Value *args = NULL;
        int r;
        if ((row->flags & RECIPE_VISIBLE) || !row->is_wanted(x->target))
                return 0;
        if (strcmp(row->name, "tree") == 0 && (r = tree_is_there(x, err)) != 0)
                return MIN(r, 0);
        r = row->args(x->target, &args, err);
        if (r < 0)
                return r;
        if (row->flags & RECIPE_ARTIFACT) {
                _cleanup_free_ char *name = artifact_name(row, x->target, args);
                r = name ? artifact_is_there(x, manager_by_name(row->manager), name, args, err) : error_no_memory(err);
                if (r != 0)
                        return MIN(r, 0);
        }
        if (row->flags & RECIPE_RESTARTS)
                x->needs_restart = true;
        *ret_args = TAKE_PTR(args);
        return 0;
}

/* The visible rows, once it is known whether the program must be started anew. */
static int consider_visible(Recipe *x, const RecipeRow *row, Value **ret_args, Error *err) {
        if (!(row->flags & RECIPE_VISIBLE))
                return 0;
        bool is_part = x->target->wants_running && x->needs_restart && row->is_wanted(x->target);
        if (is_part)
                return row->args(x->target, ret_args, err);
        if (!(row->flags & RECIPE_ARTIFACT))
                return 0;
        _cleanup_free_ char *name = artifact_name(row, x->target, NULL);
        const Value *old = name ? artifact_find(x->target->row, name) : NULL;
        return old ? artifact_keep(x, old, err) : 0;
}

/* Each row as often as it is repeated. */
static int rows_expand(const Target *t, const RecipeRow *rows, size_t n_rows, RecipeRow *ret, size_t *ret_instances, size_t *ret_n, Error *err) {
        size_t n = 0;
        for (size_t i = 0; i < n_rows; i++) {
                size_t times = rows[i].each ? value_count(rows[i].each(t)) : 1;
                for (size_t k = 0; k < times; k++) {
                        if (n >= RECIPE_ROWS_MAX)
                                return error_set(err, -E2BIG, ERR_SPEC, NULL, "the spec has too many %s", rows[i].name);
                        ret[n] = rows[i];
                        ret_instances[n++] = k;
                }
        }
        *ret_n = n;
        return 0;
}

static int emit_all(Recipe *x, const RecipeRow *rows, size_t n_rows, Value **args, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < n_rows; i++) {
                if (!args[i])
                        continue;
                bool is_fetched = strcmp(rows[i].name, "tree") == 0 && i > 0 && x->steps[i - 1] >= 0;
                if (is_fetched)
                        r = value_set_int(args[i], "artifact_step", x->steps[i - 1], err);
                if (r == 0)
                        r = emit(x, rows, n_rows, i, TAKE_PTR(args[i]), err);
        }
        return r;
}

static int recipe_rows(Recipe *x, const RecipeRow *table, size_t n_table, Error *err) {
        Value *args[RECIPE_ROWS_MAX] = {0};
        RecipeRow rows[RECIPE_ROWS_MAX];
        size_t instances[RECIPE_ROWS_MAX], n_rows = 0;
        int r = rows_expand(x->target, table, n_table, rows, instances, &n_rows, err);
        for (size_t i = 0; i < n_rows; i++)
                x->steps[i] = -1;
        for (size_t i = 0; r == 0 && i < n_rows; i++) {
                x->target->instance = instances[i];
                r = consider(x, &rows[i], &args[i], err);
        }
        for (size_t i = 0; r == 0 && i < n_rows; i++)
                r = consider_visible(x, &rows[i], &args[i], err);
        if (r == 0)
                r = emit_all(x, rows, n_rows, args, err);
        for (size_t i = 0; i < n_rows; i++)
                value_free(args[i]);
        return r;
}

/* ---- Notifications -------------------------------------------------------------------------------------------------------------- */

static int notify_step(Recipe *x, const Value *hook, StepKind kind, const char *event, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *args = value_new_map(), *payload = value_new_map();
        int r;
        if (!args || !payload)
                return error_no_memory(err);
        if ((r = value_set_text(payload, "event", event, err)) < 0 || (r = value_set_text(payload, "service", t->service, err)) < 0 ||
            (r = value_set_text(payload, "flow", t->flow, err)) < 0 || (r = value_set_text(payload, "version", t->version, err)) < 0 ||
            (r = value_set_text(payload, "from", x->plan->from, err)) < 0 || (r = value_set_text(payload, "actor", t->engine->actor, err)) < 0)
                return r;
        if ((r = value_set(args, "url", value_copy(value_get(hook, "url")), err)) < 0 || (r = value_set_text(args, "event", event, err)) < 0 ||
            (r = value_set_int(args, "attempts", value_get_int(hook, "attempts", 3), err)) < 0 ||
            (r = value_set_int(args, "timeout_usec", value_get_int(hook, "timeout_usec", 10 * (int64_t)USEC_PER_SEC), err)) < 0 ||
            (r = value_set(args, "payload", TAKE_PTR(payload), err)) < 0)
                return r;
        return plan_add(x->plan, (StepInit){.kind = kind, .manager = "notify"}, TAKE_PTR(args), NULL, err);
}

static bool hook_wants(const Value *hook, const char *event) {
        const Value *events = value_get(hook, "events");
        for (size_t i = 0; i < value_count(events); i++)
                if (strcmp(value_text(value_at(events, i)), event) == 0)
                        return true;
        return value_count(events) == 0;
}

static int notify_hook(Recipe *x, const Value *hook, Error *err) {
        int r = hook_wants(hook, "completed") ? notify_step(x, hook, STEP_FINISH_TRY, "completed", err) : 0;
        return r == 0 && hook_wants(hook, "failed") ? notify_step(x, hook, STEP_TELL, "failed", err) : r;
}

static int notify_steps(Recipe *x, const Value *spec, Error *err) {
        const Value *hooks = value_get(spec, "notify");
        const char *url = value_get_text(x->target->engine->config, "notify.url");
        int r = 0;
        if (plan_count_effects(x->plan) == 0)
                return 0;
        for (size_t i = 0; r == 0 && i < value_count(hooks); i++)
                r = notify_hook(x, value_at(hooks, i), err);
        if (r < 0 || !url || !*url)
                return r;
        _cleanup_(value_freep) Value *hook = value_new_map();
        r = hook ? value_set_text(hook, "url", url, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(hook, "attempts", value_get_int(x->target->engine->config, "notify.attempts", 3), err);
        return r < 0 ? r : notify_hook(x, hook, err);
}

/* ---- Rows of COMMIT ---------------------------------------------------------------------------------------------------------------- */

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

static int set_copy(Value *map, const char *name, const Value *v, Error *err) {
        return v ? value_set(map, name, value_copy(v), err) : 0;
}

/* What goes into the environment, so that a rollback brings it back and a timer needs no caller's environment. */
static int row_environment(const Target *t, Value *row, Error *err) {
        int r = set_copy(row, "secrets", t->secrets, err);
        if (r == 0)
                r = set_copy(row, "env", t->env, err);
        return r < 0 ? r : set_copy(row, "env_file", t->env_file, err);
}

const char *target_previous(const Target *t) {
        const char *from = value_get_text(t->row, "version");
        if (!from)
                return NULL;
        return strcmp(from, t->version) != 0 ? from : value_get_text(t->row, "previous");
}

static int row_service(Recipe *x, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *row = value_new_map();
        int64_t deployed = value_get_int(t->row, "deployed", clock_wall_usec());
        char hash[17];
        int r = row ? spec_hash(t->spec, hash, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if ((r = value_set_text(row, "name", t->service, err)) < 0 || (r = value_set_text(row, "service", t->service, err)) < 0 ||
            (r = value_set_text(row, "version", t->version, err)) < 0 || (r = value_set_text(row, "previous", target_previous(t), err)) < 0 ||
            (r = value_set_text(row, "hash", hash, err)) < 0 || (r = value_set_text(row, "wanted", t->wants_running ? "running" : "stopped", err)) < 0 ||
            (r = value_set_int(row, "deployed", deployed, err)) < 0 || (r = value_set_int(row, "updated", 0, err)) < 0)
                return r;
        if (t->port > 0 && (r = value_set_int(row, "port", t->port, err)) < 0)
                return r;
        if ((r = set_copy(row, "spec", t->spec, err)) < 0 || (r = set_copy(row, "source", t->source, err)) < 0 ||
            (r = row_environment(t, row, err)) < 0 || (r = set_copy(row, "artifacts", x->artifacts, err)) < 0)
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
        if ((r = value_set_text(row, "version", t->version, err)) < 0 || (r = value_set_text(row, "service", t->service, err)) < 0 ||
            (r = set_copy(row, "spec", t->spec, err)) < 0 || (r = set_copy(row, "source", t->source, err)) < 0 ||
            (r = row_environment(t, row, err)) < 0 || (r = value_set(row, "artifacts", TAKE_PTR(trees), err)) < 0 ||
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
        if ((r = value_set_text(row, "why", "it was rolled back from", err)) < 0 || (r = value_set_text(row, "sha256", sha256, err)) < 0)
                return r;
        return plan_row(x->plan, TAKE_PTR(row), err, "held/%s/%s", t->service, from);
}

static int rows_converge(Recipe *x, Error *err) {
        int r = row_service(x, err);
        if (r == 0)
                r = row_release(x, err);
        if (r == 0)
                r = row_ports(x, err);
        if (r == 0)
                r = row_held(x, err);
        for (size_t i = 0; r == 0 && i < value_count(x->target->prune); i++)
                r = plan_row(x->plan, value_new_null(), err, "release/%s/%s", x->target->service, value_text(value_at(x->target->prune, i)));
        return r;
}

/* ---- Plans -------------------------------------------------------------------------------------------------------------------------- */

static int recipe_begin(Recipe *x, Target *t, Error *err) {
        const char *from = value_get_text(t->row, "version");
        *x = (Recipe){.target = t, .plan = plan_new(t->flow, t->service), .artifacts = value_new_array()};
        if (!x->plan || !x->artifacts)
                return error_no_memory(err);
        x->plan->from = from ? strdup(from) : NULL;
        x->plan->to = t->version ? strdup(t->version) : NULL;
        x->plan->timeout_usec = (uint64_t)value_get_int(t->spec, "timeout_usec", 0);
        x->plan->finish_on_crash = strcmp(value_get_text_or(t->spec, "on_crash", "reverse"), "finish") == 0;
        for (size_t i = 0; i < value_count(t->notes); i++)
                if (plan_remark(x->plan, "%s", value_text(value_at(t->notes, i))) < 0)
                        return error_no_memory(err);
        return 0;
}

static void recipe_done(Recipe *x) {
        plan_free(x->plan);
        value_free(x->artifacts);
}

static int converge_extras(Recipe *x, Error *err) {
        Target *t = x->target;
        x->plan->spec = value_copy(t->spec);
        x->plan->held = value_new_map();
        if (!x->plan->spec || !x->plan->held)
                return error_no_memory(err);
        int r = value_set_text(x->plan->held, "sha256", value_get_text(t->source, "sha256"), err);
        if (r == 0)
                r = notify_steps(x, t->spec, err);
        return r < 0 ? r : rows_converge(x, err);
}

int recipe_converge(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        int r = recipe_begin(&x, t, err);
        if (r < 0)
                return r;
        x.needs_restart = !t->is_running;
        r = choose_stale(&x, err);
        if (r == 0)
                r = recipe_rows(&x, converge_rows, ELEMENTSOF(converge_rows), err);
        if (r == 0)
                r = converge_extras(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}

/* Every row that belongs to the service goes, but its history. */
static int rows_remove(Recipe *x, Error *err) {
        static const char *const kinds[] = {"service", "release", "held"};
        int64_t port = value_get_int(x->target->row, "port", 0);
        int r = port > 0 ? plan_row(x->plan, value_new_null(), err, "port/%lld", (long long)port) : 0;
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

int recipe_remove(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        _cleanup_free_ char *data = name_data_dir(t->service);
        int r = data ? recipe_begin(&x, t, err) : error_no_memory(err);
        if (r == 0)
                r = recipe_rows(&x, remove_rows, ELEMENTSOF(remove_rows), err);
        if (r == 0 && t->purge)
                r = plan_remark(x.plan, "deletes /%s: this cannot be put back", data);
        if (r == 0)
                r = notify_steps(&x, value_get(t->row, "spec"), err);
        if (r == 0)
                r = rows_remove(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}

/* Start, stop, restart: the row changes only in what is wanted of it. */
static int row_wanted(Recipe *x, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *row = value_copy(t->row), *artifacts = value_new_array();
        _cleanup_free_ char *process = text_format("process %s", t->service);
        const Value *old = value_get(row, "artifacts");
        int r = row && artifacts && process ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(old); i++)
                if (strcmp(value_get_text_or(value_at(old, i), "artifact", ""), process) != 0)
                        r = value_append(artifacts, value_copy(value_at(old, i)), err);
        for (size_t i = 0; r == 0 && i < value_count(x->artifacts); i++)
                r = value_append(artifacts, value_copy(value_at(x->artifacts, i)), err);
        if (r == 0)
                r = value_set(row, "artifacts", TAKE_PTR(artifacts), err);
        if (r == 0)
                r = value_set_text(row, "wanted", t->wants_running ? "running" : "stopped", err);
        return r < 0 ? r : plan_row(x->plan, TAKE_PTR(row), err, "service/%s", t->service);
}

/* clang-format off */
static const struct {
        const char *flow;
        const RecipeRow *rows;
        size_t n_rows;
} run_tables[] = {
        {"start",   start_rows,   ELEMENTSOF(start_rows)},
        {"stop",    stop_rows,    ELEMENTSOF(stop_rows)},
        {"restart", restart_rows, ELEMENTSOF(restart_rows)},
};
/* clang-format on */

int recipe_run(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        int r = recipe_begin(&x, t, err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(run_tables); i++)
                if (strcmp(run_tables[i].flow, t->flow) == 0) {
                        x.is_asked = true;
                        r = recipe_rows(&x, run_tables[i].rows, run_tables[i].n_rows, err);
                }
        if (r == 0)
                r = notify_steps(&x, value_get(t->row, "spec"), err);
        if (r == 0)
                r = row_wanted(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}
