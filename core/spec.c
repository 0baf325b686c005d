/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a tree of texts to the normalised map, by the table in spec_keys.c: keys are checked as they were written, values are read in the table's
 * order, so that the result does not depend on how it was written. What involves several keys at once is checked after that.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cbor.h"
#include "core/base/digest.h"
#include "core/base/fs.h"
#include "core/base/text.h"
#include "core/route.h"
#include "core/spec.h"
#include "core/spec_value.h"

#define SPEC_FORMAT "1"
#define SPEC_KEYS_MAX 64
#define SPEC_ITEMS_MAX 1000
#define HEALTH_STATUS_DEFAULT 200

/* ---- Maps by table ----------------------------------------------------------------------------------------------------------------- */

/* Of a key that was written a level too high: the map it belongs into; NULL: none has it. */
static const char *map_of_key(const SpecKey *keys, const char *name) {
        for (; keys->name; keys++)
                for (const SpecKey *key = keys->keys; key && key->name; key++)
                        if (strcmp(key->name, name) == 0)
                                return keys->name;
        return NULL;
}

static int refuse_no_key(const SpecNode *map, const SpecNode *child, const SpecKey *keys, const char *name,
                         Error *err) {
        const char *names[SPEC_KEYS_MAX];
        char shown[SPEC_SHOWN_MAX];
        size_t n = 0;
        for (; keys[n].name; n++)
                names[n] = keys[n].name;
        assert(n < SPEC_KEYS_MAX);
        names[n] = NULL;
        const char *near = text_nearest(name, names), *in = map->path[0] ? " in " : "",
                   *quote = map->path[0] ? "\"" : "";
        int r = spec_refuse_key(child, NULL, err, "there is no key \"%s\"%s%s%s%s", spec_shown(name, shown), in, quote,
                                map->path, quote);
        const char *below = map_of_key(keys, name);
        if (below)
                error_hint(err, "\"%s\" belongs under \"%s\".", name, below);
        else if (near)
                error_hint(err, "Did you mean \"%s\"?", near);
        return r;
}

static const SpecKey *key_find(const SpecKey *keys, const char *name) {
        for (; keys->name; keys++)
                if (strcmp(keys->name, name) == 0)
                        return keys;
        return NULL;
}

/* The child of this name; one that is null says nothing and is absent. */
static SpecNode node_get(const SpecNode *node, const char *name) {
        const Value *map = node->value;
        for (size_t i = 0; value_is(map, VALUE_MAP) && i < map->map.n; i++) {
                const MapEntry *entry = &map->map.entries[i];
                if (entry->name && strcmp(entry->name, name) == 0 && !value_is(entry->value, VALUE_NULL))
                        return spec_child(node, i, name);
        }
        SpecNode absent = {.reader = node->reader, .mark = node->mark};
        (void)snprintf(absent.path, sizeof(absent.path), "%.40s%s%s", node->path, node->path[0] ? "." : "", name);
        return absent;
}

/* Where the map's type is one that a later pawl will know, its keys are not the news. */
static int refuse_later(const SpecNode *node, const SpecNode *child, const SpecKey *keys, const SpecKey *key,
                        Error *err) {
        const SpecKey *type = key_find(keys, "type");
        SpecNode at = node_get(node, "type");
        const char *text = value_text(at.value);
        if (type && text && spec_words_have(type->later, text))
                return spec_refuse_later(&at, text, NULL, err);
        return spec_refuse_later(child, NULL, key->text, err);
}

static int check_names(const SpecNode *node, const SpecKey *keys, Error *err) {
        const Value *map = node->value;
        for (size_t i = 0; map && i < value_count(map); i++) {
                const char *name = map->map.entries[i].name;
                const SpecKey *key = name ? key_find(keys, name) : NULL;
                SpecNode child = spec_child(node, i, name ? name : "");
                if (!key)
                        return refuse_no_key(node, &child, keys, name ? name : "", err);
                if (key->type == SPEC_LATER)
                        return refuse_later(node, &child, keys, key, err);
        }
        return 0;
}

static int read_value(const SpecNode *node, const SpecKey *key, Value **ret, Error *err);

static const char *default_of(const SpecKey *key, const SpecDefault *defaults) {
        for (; defaults && defaults->name; defaults++)
                if (strcmp(defaults->name, key->name) == 0)
                        return defaults->text;
        return key->otherwise;
}

/* A default is read like what a person would have written. Lists of words are written with blanks between. */
static int read_default(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = key->type == SPEC_WORDS ? value_new_array() : value_new_text(text);
        int r = v ? 0 : error_no_memory(err);
        for (const char *p = text; r == 0 && key->type == SPEC_WORDS && *p; p += strspn(p, " ")) {
                size_t n = strcspn(p, " ");
                r = value_append(v, value_new_text_n(p, n), err);
                p += n;
        }
        SpecNode meant = *node;
        meant.value = v;
        meant.mark = NULL;
        return r < 0 ? r : read_value(&meant, key, ret, err);
}

static bool says_nothing(const Value *v, const SpecKey *key) {
        return !v ||
               ((v->kind == VALUE_ARRAY || v->kind == VALUE_MAP) && value_count(v) == 0 && !(key->flags & SPEC_KEPT));
}

static int read_key(const SpecNode *node, const SpecKey *key, const SpecDefault *defaults, Value *map, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        SpecNode child = node_get(node, key->name);
        const char *otherwise = default_of(key, defaults);
        int r = 0;
        if (child.value)
                r = read_value(&child, key, &v, err);
        else if (otherwise)
                r = read_default(&child, key, otherwise, &v, err);
        else if (key->flags & SPEC_REQUIRED)
                return spec_refuse(node, NULL, err, "\"%s\" is missing", child.path);
        else if (key->flags & SPEC_KEPT)
                v = value_new_array();
        if (r < 0 || says_nothing(v, key))
                return r;
        return value_set(map, key->to ? key->to : key->name, TAKE_PTR(v), err);
}

/* ---- What involves several keys ------------------------------------------------------------------------------------------------------ */

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
        SpecNode path = node_get(node, "path"), url = node_get(node, "url");
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
        SpecNode at = node_get(node, name);
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
        SpecNode repo = node_get(node, "repo");
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
        SpecNode url = node_get(node, "url");
        if (!kind)
                return spec_refuse(node, NULL, err, "\"source\" needs a path, a url or a repo");
        SpecNode wanted = node_get(node, kind->needs);
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
                SpecNode at = node_get(node, of_systemd[i]);
                if (at.value && strcmp(value_get_text_or(map, "type", ""), "process") == 0)
                        return spec_refuse_key(&at, "Write type: systemd, or leave it out.", err,
                                               "\"%s\" is for the runtime systemd", at.path);
        }
        return 0;
}

/* They stand in a line of the unit file, between blanks. */
static int check_unit(const SpecNode *node, Value *map, Error *err) {
        const Value *after = value_get(map, "after");
        SpecNode at = node_get(node, "after");
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
        SpecNode expect = node_get(node, "expect"), status = node_get(node, "status");
        const Value *expected = value_get(value_get(map, "expect"), "status");
        if (path[0] != '/' || strpbrk(path, " \t#")) {
                SpecNode at = node_get(node, "path");
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
        SpecNode at_host = node_get(node, "host");
        int r = 0;
        if (strcmp(type, "none") == 0)
                return health_none(map, err);
        for (size_t i = 0; i < ELEMENTSOF(http_keys); i++) {
                SpecNode at = node_get(node, http_keys[i]);
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
        SpecNode at = node_get(node, "path");
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
        SpecNode tls = node_get(node, "tls");
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

static int check_map(const SpecNode *node, const SpecKey *key, Value *map, Error *err) {
        for (size_t i = 0; i < ELEMENTSOF(map_checks); i++)
                if (strcmp(map_checks[i].name, key->name) == 0)
                        return map_checks[i].check(node, map, err);
        return 0;
}

/* ---- Maps and lists ------------------------------------------------------------------------------------------------------------------ */

static int read_keys(const SpecNode *node, const SpecKey *keys, const SpecDefault *defaults, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map();
        int r = map ? check_names(node, keys, err) : error_no_memory(err);
        for (const SpecKey *key = keys; r == 0 && key->name; key++)
                if (key->type != SPEC_LATER)
                        r = read_key(node, key, defaults, map, err);
        if (r == 0)
                *ret = TAKE_PTR(map);
        return r;
}

static int read_written_map(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = NULL;
        const SpecDefault *defaults = key->defaults ? key->defaults(value_get_text(node->value, "preset")) : NULL;
        int r = read_keys(node, key->keys, defaults, &map, err);
        if (r == 0)
                r = check_map(node, key, map, err);
        if (r == 0)
                *ret = TAKE_PTR(map);
        return r;
}

/* A text that stands for a map with one key: read as if that map had been written there. */
static int read_short(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map();
        const char *text = value_text(node->value);
        int r = map ? value_set_text(map, key->short_key(text), text, err) : error_no_memory(err);
        if (r < 0)
                return r;
        YamlMark child = node->mark ? *node->mark : (YamlMark){0};
        child.key_line = child.key_column = 0;
        YamlMark mark = child;
        mark.children = &child;
        mark.n_children = 1;
        SpecNode meant = *node;
        meant.value = map;
        meant.mark = node->mark ? &mark : NULL;
        return read_written_map(&meant, key, ret, err);
}

static int read_map(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        if (value_text(node->value) && key->short_key)
                return read_short(node, key, ret, err);
        return value_is(node->value, VALUE_MAP) ? read_written_map(node, key, ret, err)
                                                : spec_refuse_type(node, key, err);
}

static int read_items(const SpecNode *node, const SpecKey *key, Value *list, Error *err) {
        bool is_list = value_is(node->value, VALUE_ARRAY);
        size_t n = is_list ? value_count(node->value) : 1;
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++) {
                Value *item = NULL;
                SpecNode child = is_list ? spec_child(node, i, NULL) : *node;
                r = read_map(&child, key, &item, err);
                if (r == 0)
                        r = value_append(list, item, err);
        }
        return r;
}

/* Where each item has a name, two of one name are an error and the order means nothing. */
static int sort_named(const SpecNode *node, const char *by, Value *list, Error *err) {
        for (size_t i = 1; i < value_count(list); i++)
                for (size_t j = i; j > 0; j--) {
                        Value **a = &list->array.items[j - 1], **b = &list->array.items[j], *swap = *a;
                        int order = strcmp(value_get_text(*a, by), value_get_text(*b, by));
                        if (order == 0)
                                return spec_refuse(node, "Keep one of the two.", err, "\"%s\" has \"%s\" twice",
                                                   node->path, value_get_text(*a, by));
                        if (order < 0)
                                break;
                        *a = *b;
                        *b = swap;
                }
        return 0;
}

static int read_list(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *list = value_new_array();
        bool is_one = value_is(node->value, VALUE_MAP) || (value_text(node->value) && key->short_key);
        if (!is_one && !value_is(node->value, VALUE_ARRAY))
                return spec_refuse_type(node, key, err);
        const char *by = key->keys[0].type == SPEC_KEY || key->keys[0].type == SPEC_FILE ? key->keys[0].name : NULL;
        if (value_count(node->value) > SPEC_ITEMS_MAX)
                return spec_refuse(node, NULL, err, "\"%s\" has more than %d items", node->path, SPEC_ITEMS_MAX);
        int r = list ? read_items(node, key, list, err) : error_no_memory(err);
        if (r == 0 && by)
                r = sort_named(node, by, list, err);
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int read_value(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        if (key->type == SPEC_MAP)
                return read_map(node, key, ret, err);
        return key->type == SPEC_LIST ? read_list(node, key, ret, err) : spec_read_scalar(node, key, ret, err);
}

/* ---- The whole ----------------------------------------------------------------------------------------------------------------------- */

static int check_format(const SpecNode *node, bool is_required, Error *err) {
        static const char hint[] = "The first line of a spec is: pawl: " SPEC_FORMAT;
        SpecNode format = node_get(node, "pawl");
        const char *text = value_text(format.value);
        char shown[SPEC_SHOWN_MAX];
        if (!format.value)
                return is_required
                               ? spec_refuse(
                                         node, hint, err,
                                         "\"pawl\" is missing: it says which format the spec has, and this pawl reads format %s",
                                         SPEC_FORMAT)
                               : 0;
        if (!text || strcmp(text, SPEC_FORMAT) != 0)
                return spec_refuse(&format, hint, err, "this pawl reads specs of format %s, not \"%s\"", SPEC_FORMAT,
                                   text ? spec_shown(text, shown) : value_kind_name(format.value->kind));
        return 0;
}

/* A worker does not listen, so that nobody can ask it: it is looked at three times, one second apart, and must live each time. */
static int finish_worker(const SpecNode *node, Value *spec, Error *err) {
        SpecNode port = node_get(node, "port"), health = node_get(node, "health");
        const char *type = value_get_text_or(value_get(spec, "health"), "type", "");
        if (port.value)
                return spec_refuse_key(&port, NULL, err, "\"port\" is not for a worker");
        SpecNode route = node_get(node, "route");
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
        SpecNode at_source = node_get(node, "source");
        SpecNode at = value_is(at_source.value, VALUE_MAP) ? node_get(&at_source, "version") : at_source;
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

static int finish(const SpecNode *node, Value *spec, Error *err) {
        int r = finish_version(node, spec, err);
        if (r < 0)
                return r;
        value_remove(spec, "pawl");
        if (strcmp(value_get_text_or(spec, "kind", ""), "worker") == 0)
                return finish_worker(node, spec, err);
        if (value_get(spec, "port"))
                return 0;
        return value_set_int(spec, "port", 0, err);
}

/* "dir/web.yaml" → "web"; NULL when memory is out. */
static char *name_of_file(const char *file) {
        const char *base = strrchr(file, '/'), *dot;
        base = base ? base + 1 : file;
        dot = strrchr(base, '.');
        bool is_yaml = dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
        return strndup(base, is_yaml ? (size_t)(dot - base) : strlen(base));
}

static int read_spec(const SpecNode *node, const char *name, Value **ret, Error *err) {
        const SpecDefault defaults[] = {{"name", name}, {NULL, NULL}};
        _cleanup_(value_freep) Value *spec = NULL;
        bool is_empty = !node->value || node->value->kind == VALUE_NULL;
        if (!value_is(node->value, VALUE_MAP))
                return spec_refuse(node, "The smallest is: pawl: 1, and source: ./program.", err, "%s%s",
                                   is_empty ? "the spec is empty" : "a spec must be a map, not a ",
                                   is_empty ? "" : value_kind_name(node->value->kind));
        int r = check_format(node, node->mark, err);
        if (r == 0)
                r = read_keys(node, spec_keys, defaults, &spec, err);
        if (r == 0)
                r = finish(node, spec, err);
        if (r == 0)
                *ret = TAKE_PTR(spec);
        return r;
}

int spec_parse(const char *text, size_t size, const char *file, const char *directory, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *raw = NULL;
        _cleanup_(yaml_mark_done) YamlMark mark = {0};
        _cleanup_free_ char *name = name_of_file(file);
        if (!name)
                return error_no_memory(err);
        int r = yaml_parse(text, size, file, &raw, &mark, err);
        if (r < 0)
                return r;
        const SpecReader reader = {.file = file, .directory = directory};
        const SpecNode node = {.reader = &reader, .value = raw, .mark = &mark};
        return read_spec(&node, name, ret, err);
}

int spec_load(const char *path, Value **ret, Error *err) {
        _cleanup_free_ char *text = NULL, *above = strdup(path), *directory = NULL;
        size_t size;
        if (!above)
                return error_no_memory(err);
        /* Not blocking: what is there may be a pipe. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_set(err, -errno, errno == EACCES ? ERR_PERMISSION : ERR_SPEC, NULL,
                                 "could not open the spec \"%s\": %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "the spec \"%s\" is not a file", path);
        int r = fs_read_fd(fd, SPEC_SIZE_MAX, &text, &size, err);
        if (r == -EFBIG)
                return error_set(err, r, ERR_SPEC, NULL, "%s:1:1: this file is larger than 1 MiB", path);
        if (r < 0)
                return error_context(err, r, "could not read the spec \"%s\"", path);
        char *slash = strrchr(above, '/');
        if (slash)
                slash[slash == above ? 1 : 0] = '\0';
        directory = realpath(slash ? above : ".", NULL);
        if (!directory)
                return error_set_errno(err, -errno, NULL, "could not find the directory of \"%s\"", path);
        return spec_parse(text, size, path, directory, ret, err);
}

/* ---- From a tree --------------------------------------------------------------------------------------------------------------------- */

static int text_of(const Value *raw, const char *origin, Value **ret, Error *err);

static int text_of_many(const Value *raw, const char *origin, Value *out, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(raw); i++) {
                Value *child = NULL;
                bool is_map = raw->kind == VALUE_MAP;
                const MapEntry *entry = is_map ? &raw->map.entries[i] : NULL;
                if (is_map && !entry->name)
                        return error_set(err, -EINVAL, ERR_SPEC, NULL, "%s: a key must be a text", origin);
                r = text_of(is_map ? entry->value : value_at(raw, i), origin, &child, err);
                if (r == 0)
                        r = is_map ? value_set(out, entry->name, child, err) : value_append(out, child, err);
        }
        return r;
}

/* As YAML would have given it: numbers and truth as their text. */
static int text_of(const Value *raw, const char *origin, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        if (value_text(raw) && !utf8_is_valid(raw->bytes.data, raw->bytes.size))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "%s: a text is not UTF-8", origin);
        if (value_is(raw, VALUE_INT))
                v = value_new_format("%lld", (long long)raw->integer);
        else if (value_is(raw, VALUE_BOOL))
                v = value_new_text(raw->boolean ? "true" : "false");
        else if (value_is(raw, VALUE_ARRAY))
                v = value_new_array();
        else if (value_is(raw, VALUE_MAP))
                v = value_new_map();
        else if (value_is(raw, VALUE_TEXT) || value_is(raw, VALUE_NULL))
                v = value_copy(raw);
        else
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "%s: a spec cannot have a %s in it", origin,
                                 value_kind_name(raw->kind));
        int r = v ? text_of_many(raw, origin, v, err) : error_no_memory(err);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

int spec_from_value(const Value *raw, const char *origin, const char *directory, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *texts = NULL;
        int r = text_of(raw, origin, &texts, err);
        if (r < 0)
                return r;
        const SpecReader reader = {.file = origin, .directory = directory};
        const SpecNode node = {.reader = &reader, .value = texts};
        return read_spec(&node, NULL, ret, err);
}

/* ---- Hash and names ------------------------------------------------------------------------------------------------------------------ */

int spec_hash(const Value *spec, char ret[static 17], Error *err) {
        _cleanup_free_ uint8_t *data = NULL;
        uint8_t digest[DIGEST_SIZE];
        size_t size;
        int r = cbor_encode(spec, &data, &size, err);
        if (r == 0)
                r = sha256_of(data, size, digest, err);
        if (r == 0)
                hex_encode(digest, 8, ret);
        return r;
}

int service_name_check(const char *name, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        size_t n = strlen(name), m = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
        if (n > 0 && n <= SERVICE_NAME_MAX && m == n && name[0] != '-' && name[n - 1] != '-' && !strstr(name, "--"))
                return 0;
        return error_set(
                err, -EINVAL, ERR_SPEC,
                "A name has 1 to 26 characters: a to z, 0 to 9 and single hyphens, with a letter or digit at both ends.",
                "\"%s\" cannot be the name of a service", spec_shown(name, shown));
}

int version_check(const char *version, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        size_t n = strlen(version), m = 0;
        while (isascii((unsigned char)version[m]) &&
               (isalnum((unsigned char)version[m]) || (version[m] && strchr("._+-", version[m]))))
                m++;
        bool is_dots = strcmp(version, ".") == 0 || strcmp(version, "..") == 0;
        if (n > 0 && n <= 64 && m == n && !is_dots && strncmp(version, ".pawl", 5) != 0)
                return 0;
        return error_set(
                err, -EINVAL, ERR_SPEC,
                "A version has 1 to 64 characters: letters, digits, \".\", \"_\", \"+\" and \"-\"; not \".\" or \"..\", and not beginning with .pawl.",
                "\"%s\" cannot be a version", spec_shown(version, shown));
}
