/* SPDX-License-Identifier: Apache-2.0 */
/* See spec_check.h. One row for each map that has such a rule. */
#include <errno.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/route.h"
#include "core/spec_check.h"

#define HEALTH_STATUS_DEFAULT 200

/* ---- Maps -------------------------------------------------------------------------------------------------------- */

typedef struct SourceKind {
        const char *type, *needs, *takes;
} SourceKind;

/* clang-format off */
static const SourceKind source_kinds[] = {
        {"path",   "path", "type path sha256 max_size"},
        {"url",    "url",  "type url sha256 max_size ca_file"},
        {"github", "repo", "type repo asset version checksums public_key sha256 max_size"},
        {"gitea",  "repo", "type repo url asset version checksums public_key sha256 max_size"},
};
/* clang-format on */

static bool source_is_release(const Value *source) {
        return value_get(source, "repo") != NULL;
}

/* From the type, or from what is written beside it. NULL: from neither. */
static const SourceKind *source_kind(const SpecNode *node, const Value *map) {
        SpecNode path = spec_get(node, "path"), url = spec_get(node, "url");
        const char *type = value_get_text(map, "type"), *repo = value_get_text(map, "repo");
        if (!type && repo)
                type = strncmp(repo, "gitea:", 6) == 0 || (url.value && !strchr(repo, ':')) ? "gitea" : "github";
        if (!type && !path.value != !url.value)
                type = path.value ? "path" : "url";
        for (size_t i = 0; type && i < ELEMENTSOF(source_kinds); i++)
                if (strcmp(source_kinds[i].type, type) == 0)
                        return &source_kinds[i];
        return NULL;
}

static int refuse_source_key(const SpecNode *node, const SourceKind *kind, const char *name, Error *err) {
        SpecNode at = spec_get(node, name);
        if (strcmp(name, "ca_file") == 0)
                return spec_refuse_key(
                        &at,
                        kind->needs[0] == 'r'
                                ? "What a forge's certificate must be is the host's: github.ca_file, gitea.ca_file."
                                : NULL,
                        err, "\"source.ca_file\" is for a url");
        if (strcmp(name, "path") == 0 || strcmp(name, "url") == 0 || strcmp(name, "repo") == 0)
                return spec_refuse_key(&at, NULL, err, "\"%s\" cannot stand beside \"source.%s\"", at.path,
                                       kind->needs);
        return spec_refuse_key(&at, NULL, err, "\"%s\" is not for a source of type %s", at.path, kind->type);
}

/* "github:owner/name" says what the type says. */
static int check_repo(const SpecNode *node, const SourceKind *kind, Value *map, Error *err) {
        SpecNode repo = spec_get(node, "repo");
        const char *text = value_get_text(map, "repo"), *colon = text ? strchr(text, ':') : NULL;
        if (!colon)
                return 0;
        size_t n = (size_t)(colon - text);
        if (strlen(kind->type) != n || strncmp(kind->type, text, n) != 0)
                return spec_refuse(&repo, NULL, err, "\"source.repo\" begins with %.*s and the type is %s", (int)n,
                                   text, kind->type);
        return value_set(map, "repo", value_new_text(colon + 1), err);
}

static int check_source(const SpecNode *node, Value *map, Error *err) {
        const SourceKind *kind = source_kind(node, map);
        SpecNode url = spec_get(node, "url");
        if (!kind)
                return spec_refuse(node, NULL, err, "\"source\" needs a path, a url or a repo");
        SpecNode wanted = spec_get(node, kind->needs);
        if (!wanted.value)
                return spec_refuse(node, NULL, err, "\"%s\" is missing", wanted.path);
        for (size_t i = 0; i < value_count(node->value); i++) {
                const MapEntry *entry = &node->value->map.entries[i];
                if (entry->name && !value_is(entry->value, VALUE_NULL) && !spec_words_have(kind->takes, entry->name))
                        return refuse_source_key(node, kind, entry->name, err);
        }
        const char *address = value_get_text_or(map, "url", "");
        if (strcmp(kind->type, "url") == 0 && strncmp(address, "http://", 7) == 0 && !value_get(map, "sha256"))
                return spec_refuse(&url, "Add sha256, or use https.", err,
                                   "\"source.url\" is http: it needs \"source.sha256\"");
        int r = check_repo(node, kind, map, err);
        return r < 0 ? r : value_set_text(map, "type", kind->type, err);
}

#define UNIT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.@-\\"

/* "auto" is decided for a host, not for a spec. */
static int check_runtime(const SpecNode *node, Value *map, Error *err) {
        static const char *const of_systemd[] = {"unit", "credentials"};
        for (size_t i = 0; i < ELEMENTSOF(of_systemd); i++) {
                SpecNode at = spec_get(node, of_systemd[i]);
                if (at.value && strcmp(value_get_text_or(map, "type", ""), "process") == 0)
                        return spec_refuse_key(&at, "Write type: systemd, or leave it out.", err,
                                               "\"%s\" is for the runtime systemd", at.path);
        }
        return 0;
}

/* They stand in a line of the unit file, between blanks. */
static int check_unit(const SpecNode *node, Value *map, Error *err) {
        const Value *after = value_get(map, "after");
        SpecNode at = spec_get(node, "after");
        for (size_t i = 0; i < value_count(after); i++) {
                const char *unit = value_text(value_at(after, i));
                if (!strchr(unit, '.') || strspn(unit, UNIT_CHARACTERS) != strlen(unit))
                        return spec_refuse(&at, NULL, err, "\"%s\" has \"%s\", which is not the name of a unit",
                                           at.path, unit);
        }
        return 0;
}

/* {type: none} is all that can be said of it. */
static int health_none(Value *map, Error *err) {
        _cleanup_(value_freep) Value *none = value_new_map();
        int r = none ? value_set_text(none, "type", "none", err) : error_no_memory(err);
        if (r < 0)
                return r;
        Value old = *map;
        *map = *none;
        *none = old;
        return 0;
}

static int health_http(const SpecNode *node, Value *map, Error *err) {
        const char *path = value_get_text_or(map, "path", "/");
        SpecNode expect = spec_get(node, "expect"), status = spec_get(node, "status");
        const Value *expected = value_get(value_get(map, "expect"), "status");
        if (path[0] != '/' || strpbrk(path, " \t#")) {
                SpecNode at = spec_get(node, "path");
                return spec_refuse(&at, NULL, err, "\"health.path\" must begin with / and have no blank or # in it");
        }
        if (expected && status.value)
                return spec_refuse_key(&expect, "Keep one of the two.", err,
                                       "\"health.expect.status\" is the same as \"health.status\"");
        int64_t number = expected ? expected->integer : value_get_int(map, "status", HEALTH_STATUS_DEFAULT);
        int r = value_set_text(map, "scheme", "http", err);
        if (r == 0)
                r = value_set_text(map, "path", path, err);
        return r < 0 ? r : value_set_int(map, "status", number, err);
}

static int check_health(const SpecNode *node, Value *map, Error *err) {
        static const char *const http_keys[] = {"scheme", "path", "status", "expect"};
        const char *type = value_get_text_or(map, "type", ""), *host = value_get_text_or(map, "host", "");
        SpecNode at_host = spec_get(node, "host");
        int r = 0;
        if (strcmp(type, "none") == 0)
                return health_none(map, err);
        for (size_t i = 0; i < ELEMENTSOF(http_keys); i++) {
                SpecNode at = spec_get(node, http_keys[i]);
                if (strcmp(type, "http") != 0 && at.value)
                        return spec_refuse_key(&at, "Write type: http as well.", err,
                                               "\"%s\" is for a health check of type http", at.path);
        }
        char shown[SPEC_SHOWN_MAX];
        if (strcmp(host, "127.0.0.1") != 0)
                return spec_refuse_later(&at_host, spec_shown(host, shown),
                                         "Only this host is asked: leave it out, or write auto.", err);
        if (strcmp(type, "http") == 0)
                r = health_http(node, map, err);
        if (value_get_int(map, "attempts", 0) == 0 && value_get_int(map, "deadline_usec", 0) == 0)
                return spec_refuse(node, "Give one of the two.", err,
                                   "\"health\" has no end: attempts and deadline are both 0");
        value_remove(map, "preset");
        value_remove(map, "expect");
        return r;
}

static int check_notify(const SpecNode *node, Value *map, Error *err) {
        (void)node, (void)err;
        value_remove(map, "format");
        return 0;
}

static int check_file(const SpecNode *node, Value *map, Error *err) {
        static const char *const ours[] = {"env", "process"};
        const char *path = value_get_text(map, "path");
        SpecNode at = spec_get(node, "path");
        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (strcmp(path, ours[i]) == 0)
                        return spec_refuse(&at, NULL, err,
                                           "\"files.path\" cannot be \"%s\": pawl writes a file of that name itself",
                                           path);
        if (strncmp(path, "secret-", 7) == 0)
                return spec_refuse(&at, NULL, err,
                                   "\"files.path\" cannot begin with \"secret-\": pawl writes such files itself");
        if (strncmp(path, ".pawl", 5) == 0 || strstr(path, "/.pawl"))
                return spec_refuse(&at, NULL, err, "\"files.path\" cannot have a name that begins with .pawl");
        return 0;
}

static int check_route(const SpecNode *node, Value *map, Error *err) {
        static const char *const files[] = {"cert", "key"};
        SpecNode tls = spec_get(node, "tls");
        const char *host = value_get_text(map, "host");
        if (!host && !value_get(map, "path"))
                return spec_refuse(node, NULL, err, "\"route\" needs a host or a path");
        if (!host && tls.value)
                return spec_refuse_key(&tls, NULL, err, "\"route.tls\" needs \"route.host\"");
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                const char *path = value_get_text(value_get(map, "tls"), files[i]);
                if (path && !route_text_is_safe(path))
                        return spec_refuse(
                                &tls, "Give the file a simpler name.", err,
                                "\"route.tls.%s\" has a character in it that cannot stand in nginx's configuration",
                                files[i]);
        }
        value_remove(map, "via");
        return 0;
}

/* clang-format off */
static const struct {
        const char *name;
        int (*check)(const SpecNode *node, Value *map, Error *err);
} map_checks[] = {
        {"source",  check_source},
        {"runtime", check_runtime},
        {"unit",    check_unit},
        {"health",  check_health},
        {"notify",  check_notify},
        {"files",   check_file},
        {"route",   check_route},
};
/* clang-format on */

int spec_check_map(const SpecNode *node, const SpecKey *key, Value *map, Error *err) {
        for (size_t i = 0; i < ELEMENTSOF(map_checks); i++)
                if (strcmp(map_checks[i].name, key->name) == 0)
                        return map_checks[i].check(node, map, err);
        return 0;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* A worker does not listen, so that nobody can ask it: it is looked at three times, one second apart, and must live
 * each time. */
static int finish_worker(const SpecNode *node, Value *spec, Error *err) {
        SpecNode port = spec_get(node, "port"), health = spec_get(node, "health");
        const char *type = value_get_text_or(value_get(spec, "health"), "type", "");
        if (port.value)
                return spec_refuse_key(&port, NULL, err, "\"port\" is not for a worker");
        SpecNode route = spec_get(node, "route");
        if (route.value)
                return spec_refuse_key(&route, NULL, err, "\"route\" is not for a worker");
        if (health.value && strcmp(type, "none") != 0)
                return spec_refuse(&health, "Write health: none, or leave it out.", err,
                                   "a worker has no port that \"health\" could ask");
        _cleanup_(value_freep) Value *lives = value_new_map();
        int r = lives ? value_set_text(lives, "type", "none", err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(lives, "consecutive", 3, err);
        if (r == 0)
                r = value_set_int(lives, "interval_usec", (int64_t)USEC_PER_SEC, err);
        return r < 0 ? r : value_set(spec, "health", TAKE_PTR(lives), err);
}

/* The tag is the service's version, wherever it stands; "latest" says what a release's absence says. */
static int finish_version(const SpecNode *node, Value *spec, Error *err) {
        Value *source = value_get(spec, "source");
        const char *tag = value_get_text(source, "version"), *version = value_get_text(spec, "version");
        SpecNode at_source = spec_get(node, "source");
        SpecNode at = value_is(at_source.value, VALUE_MAP) ? spec_get(&at_source, "version") : at_source;
        if (!source_is_release(source))
                return 0;
        if (tag && version && strcmp(tag, version) != 0)
                return spec_refuse_key(&at, "Keep one of the two.", err,
                                       "\"source.version\" is another than \"version\"");
        int r = tag && !version ? value_set(spec, "version", value_new_text(tag), err) : 0;
        value_remove(source, "version");
        if (r == 0 && strcmp(value_get_text_or(spec, "version", ""), "latest") == 0)
                value_remove(spec, "version");
        return r;
}

/* A variable is what one place says. PORT is what pawl says, where there is one. */
static int check_secrets(const SpecNode *node, const Value *spec, Error *err) {
        SpecNode env = spec_get(node, "env"), secrets = spec_get(node, "secrets");
        const Value *variables = value_get(spec, "env"), *list = value_get(spec, "secrets");
        for (size_t i = 0; i < value_count(list); i++) {
                const char *name = value_get_text(value_at(list, i), "name");
                if (value_get(spec, "port") && strcmp(name, "PORT") == 0)
                        return spec_refuse(&secrets, "Leave it out.", err,
                                           "\"secrets\" has \"PORT\", which is the port of the service");
                if (!value_get(variables, name))
                        continue;
                SpecNode at = spec_get(&env, name);
                return spec_refuse_key(&at, "Keep one of the two.", err, "\"%s\" is named by \"secrets\" as well",
                                       at.path);
        }
        return 0;
}

int spec_check_whole(const SpecNode *node, Value *spec, Error *err) {
        int r = finish_version(node, spec, err);
        if (r < 0)
                return r;
        value_remove(spec, "pawl");
        if (strcmp(value_get_text_or(spec, "kind", ""), "worker") == 0)
                r = finish_worker(node, spec, err);
        else if (!value_get(spec, "port"))
                r = value_set_int(spec, "port", 0, err);
        return r < 0 ? r : check_secrets(node, spec, err);
}
