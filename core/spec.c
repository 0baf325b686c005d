/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a tree of texts to the normalised map, by the table in spec_keys.c: keys are checked as they were written,
 * values are read in the table's order, so that the result does not depend on how it was written. What involves several
 * keys at once is checked after that, by spec_check.c.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "core/base/cbor.h"
#include "core/base/digest.h"
#include "core/base/fs.h"
#include "core/base/text.h"
#include "core/spec.h"
#include "core/spec_check.h"
#include "core/spec_value.h"
#include "core/trust.h"

#define SPEC_FORMAT "1"
#define SPEC_KEYS_MAX 64
#define SPEC_ITEMS_MAX 1000

/* ---- Maps by table ----------------------------------------------------------------------------------------------- */

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

/* Where the map's type is one that a later pawl will know, its keys are not the news. */
static int refuse_later(const SpecNode *node, const SpecNode *child, const SpecKey *keys, const SpecKey *key,
                        Error *err) {
        const SpecKey *type = key_find(keys, "type");
        SpecNode at = spec_get(node, "type");
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
        SpecNode child = spec_get(node, key->name);
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

/* ---- Maps and lists ---------------------------------------------------------------------------------------------- */

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
                r = spec_check_map(node, key, map, err);
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

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static int check_format(const SpecNode *node, bool is_required, Error *err) {
        static const char hint[] = "The first line of a spec is: pawl: " SPEC_FORMAT;
        SpecNode format = spec_get(node, "pawl");
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
                r = spec_check_whole(node, spec, err);
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

static int check_trust(const struct stat *st, const char *path, const char *directory, Error *err) {
        struct stat above;
        int r = trust_check(st, path, ERR_SPEC, err);
        if (r == 0 && stat(directory, &above) < 0)
                r = error_set_errno(err, -errno, NULL, "could not look at \"%s\"", directory);
        return r < 0 ? r : trust_check(&above, directory, ERR_SPEC, err);
}

static int load(const char *path, bool must_be_trusted, Value **ret, Error *err) {
        _cleanup_free_ char *text = NULL, *above = strdup(path), *directory = NULL;
        size_t size;
        if (!above)
                return error_no_memory(err);
        static const FsNamed named = {.what = "spec", .code = ERR_SPEC};
        struct stat st;
        _cleanup_close_ int fd = fs_open_named(&named, path, err);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at the spec \"%s\"", path);
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
        if (must_be_trusted && (r = check_trust(&st, path, directory, err)) < 0)
                return r;
        return spec_parse(text, size, path, directory, ret, err);
}

int spec_load(const char *path, Value **ret, Error *err) {
        return load(path, false, ret, err);
}

int spec_load_trusted(const char *path, Value **ret, Error *err) {
        return load(path, true, ret, err);
}

/* ---- From a tree ------------------------------------------------------------------------------------------------- */

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

/* ---- Hash and names ---------------------------------------------------------------------------------------------- */

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
