/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every type is one row: how it is described in an error, and how its text becomes a value. A scalar comes as the text
 * that was written, so that `version: 1.10` is not a number.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/env_file.h"
#include "core/base/field.h"
#include "core/base/signature.h"
#include "core/base/text.h"
#include "core/route.h"
#include "core/spec.h"
#include "core/spec_value.h"

/* ---- From a text to a value -------------------------------------------------------------------------------------- */

/* Each returns 0, or 1 when the text is not of the type: the caller says so. */
typedef int (*ReadText)(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err);

static int give(Value *v, Value **ret, Error *err) {
        if (!v)
                return error_no_memory(err);
        *ret = v;
        return 0;
}

static bool number_parse(const char *text, int64_t *ret) {
        size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 18 || text[n] || (text[0] == '0' && n > 1))
                return false;
        *ret = strtoll(text, NULL, 10);
        return true;
}

static int read_text(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)key;
        size_t n = strlen(text);
        if (!text_is_clean(text, n) || strchr(text, '\n'))
                return spec_refuse(node, NULL, err, "\"%s\" cannot have control characters or several lines",
                                   node->path);
        if (n == 0)
                return spec_refuse(node, "Leave the key out where it has nothing to say.", err,
                                   "\"%s\" cannot be empty", node->path);
        return give(value_new_text(text), ret, err);
}

static int read_content(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        return give(value_new_text(text), ret, err);
}

/* A checked name: its rule is the hint. */
static int read_checked(const SpecNode *node, int (*check)(const char *, Error *), const char *text, Value **ret,
                        Error *err) {
        Error why = ERROR_INIT;
        if (check(text, &why) < 0)
                return spec_refuse(node, why.hint, err, "%s", why.message);
        return give(value_new_text(text), ret, err);
}

static int read_service(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)key;
        return read_checked(node, service_name_check, text, ret, err);
}

static int read_version(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)key;
        return read_checked(node, version_check, text, ret, err);
}

static int read_host(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)key;
        return read_checked(node, route_host_check, text, ret, err);
}

static int read_route(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)key;
        return read_checked(node, route_path_check, text, ret, err);
}

static int read_int(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node;
        int64_t i;
        if (!number_parse(text, &i) || i < key->min || i > key->max)
                return 1;
        return give(value_new_int(i), ret, err);
}

static int read_count(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
                return give(value_new_int(0), ret, err);
        return read_int(node, key, strcmp(text, "true") == 0 ? key->automatic : text, ret, err);
}

static int read_port(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        int64_t i;
        if (!number_parse(text, &i) || i < 1 || i > 65535)
                return 1;
        return give(value_new_int(i), ret, err);
}

static int read_bool(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        bool is_true = strcmp(text, "true") == 0;
        if (!is_true && strcmp(text, "false") != 0)
                return 1;
        return give(value_new_bool(is_true), ret, err);
}

static int read_duration(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node;
        uint64_t usec;
        if (duration_parse(text, &usec) < 0 || usec < (uint64_t)key->min || usec > (uint64_t)key->max)
                return 1;
        return give(value_new_int((int64_t)usec), ret, err);
}

static int read_size(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node;
        uint64_t size;
        if (size_parse(text, &size) < 0 || size < (uint64_t)key->min || size > (uint64_t)key->max)
                return 1;
        return give(value_new_int((int64_t)size), ret, err);
}

static int read_factor(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node;
        size_t whole = strspn(text, "0123456789"),
               part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
        if (whole == 0 || whole > 6 || part > 3 || (text[whole] == '.' && part == 0) ||
            text[whole + (part ? part + 1 : 0)])
                return 1;
        int64_t milli = strtoll(text, NULL, 10) * 1000, unit = 100;
        for (size_t i = 0; i < part; i++, unit /= 10)
                milli += (text[whole + 1 + i] - '0') * unit;
        if (milli < key->min || milli > key->max)
                return 1;
        return give(value_new_int(milli), ret, err);
}

static int read_mode(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        size_t n = strspn(text, "01234567");
        long mode = n > 0 && n <= 4 && !text[n] ? strtol(text, NULL, 8) : -1;
        return mode < 0 || mode > 0777 ? 1 : give(value_new_int(mode), ret, err);
}

static int read_sha256(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        char hex[65] = "";
        if (strlen(text) != 64 || strspn(text, "0123456789abcdefABCDEF") != 64)
                return 1;
        for (size_t i = 0; i < 64; i++)
                hex[i] = (char)tolower((unsigned char)text[i]);
        return give(value_new_text(hex), ret, err);
}

/* Absolute, without ".", "..", empty components and a closing "/". By text alone: a link is not looked at. */
static char *path_normalise(const char *path) {
        _cleanup_text_ Text t = {0};
        while (*path) {
                size_t n = strcspn(path, "/");
                if (n == 2 && strncmp(path, "..", 2) == 0) {
                        while (t.size > 0 && t.data[t.size - 1] != '/')
                                t.data[--t.size] = '\0';
                        if (t.size > 0)
                                t.data[--t.size] = '\0';
                } else if (n > 0 && !(n == 1 && *path == '.')) {
                        text_add(&t, "/");
                        text_add_n(&t, path, n);
                }
                path += n + (path[n] == '/');
        }
        if (t.size == 0)
                text_add(&t, "/");
        return text_take(&t);
}

static int read_path(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        const char *directory = node->reader->directory;
        int r = read_text(node, key, text, ret, err);
        if (r < 0)
                return r;
        *ret = value_free(*ret);
        if (text[0] == '~')
                return spec_refuse(node, "Write the whole path.", err, "\"%s\" cannot begin with ~", node->path);
        if (text[0] != '/' && !directory)
                return spec_refuse(node, "Write the whole path.", err, "\"%s\" must be an absolute path here",
                                   node->path);
        _cleanup_free_ char *whole = text[0] == '/' ? strdup(text) : text_format("%s/%s", directory, text),
                            *path = NULL;
        path = whole ? path_normalise(whole) : NULL;
        if (path && strlen(path) > 4095)
                return spec_refuse(node, NULL, err, "\"%s\" is longer than 4095 bytes", node->path);
        return give(path ? value_new_text(path) : NULL, ret, err);
}

/* A place that does not exist would reach the program as it stands there. */
static int check_places(const SpecNode *node, const char *text, Error *err) {
        static const char *const places[] = {"port", "release", "current", "data", "name", "version", NULL};
        for (const char *p = strchr(text, '{'); p; p = strchr(p + 1, '{')) {
                size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz"), i = 0;
                char name[32];
                if (n == 0 || p[n + 1] != '}' || n >= sizeof(name) || (p > text && p[-1] == '$'))
                        continue;
                (void)snprintf(name, sizeof(name), "%.*s", (int)n, p + 1);
                while (places[i] && strcmp(places[i], name) != 0)
                        i++;
                if (places[i])
                        continue;
                const char *near = text_nearest(name, places);
                int r = spec_refuse(node, "There are {port} {release} {current} {data} {name} {version}.", err,
                                    "there is no place \"{%s}\" for \"%s\"", name, node->path);
                if (near)
                        error_hint(err, "Did you mean {%s}?", near);
                return r;
        }
        return 0;
}

/* A line of a unit file has no quotes around it: what stands at its end belongs to it or not, and a backslash joins
 * the next one. */
static bool is_line_of_unit(const char *text) {
        size_t n = strlen(text);
        return n > 0 && !strchr(" \t\\", text[n - 1]) && !strpbrk(text, "\n\r");
}

static int read_workdir(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        int r = text[0] != '/' && text[0] != '{' ? 1 : check_places(node, text, err);
        if (r == 0 && !is_line_of_unit(text))
                return spec_refuse(node, "systemd would read another one.", err,
                                   "\"%s\" cannot end in a blank or a backslash, nor have several lines", node->path);
        return r != 0 ? r : read_text(node, key, text, ret, err);
}

static int read_file(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        return path_is_safe(text) && !strchr(text, '/') ? read_text(node, key, text, ret, err) : 1;
}

static int read_url(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        bool is_known = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
        const char *host = is_known ? strstr(text, "://") + 3 : text;
        if ((!is_known && strncmp(text, "${", 2) != 0) || !*host || *host == '/' || strchr(text, ' ') ||
            strchr(text, '\t'))
                return 1;
        return read_text(node, key, text, ret, err);
}

/* Where an artifact comes from is written down in plain text: nothing of a caller's environment goes into it. */
static int read_fetch(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        if (strstr(text, "${"))
                return 1;
        _cleanup_free_ char *shown = text_redact(text);
        if (!shown)
                return error_no_memory(err);
        if (strcmp(shown, text) != 0)
                return spec_refuse(node, "Fetch it yourself and name its path, or have it served without.", err,
                                   "\"%s\" has a password or a token in it, and would be written down as it is: \"%s\"",
                                   node->path, shown);
        bool is_file = strncmp(text, "file:///", 8) == 0 && text[8] && !strchr(text, ' ') && !strchr(text, '\t');
        return is_file ? read_text(node, key, text, ret, err) : read_url(node, key, text, ret, err);
}

static bool is_repo_part(const char *s, size_t n) {
        size_t m = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
        return n > 0 && n <= 100 && m >= n && s[0] != '.' && !(n >= 4 && strncmp(s + n - 4, ".git", 4) == 0);
}

static int read_repo(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        const char *colon = strchr(text, ':'), *repo = colon ? colon + 1 : text, *slash = strchr(repo, '/');
        size_t n = slash ? (size_t)(slash - repo) : strlen(repo);
        if (!is_repo_part(repo, n) || (slash && !is_repo_part(slash + 1, strlen(slash + 1))))
                return 1;
        return read_text(node, key, text, ret, err);
}

/* Any brace is a place, and every place is one that is filled in. */
static int read_asset(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        static const char *const places[] = {"{name}",    "{version}",    "{os}",    "{arch}",
                                             "{{.Name}}", "{{.Version}}", "{{.OS}}", "{{.Arch}}"};
        if (strchr(text, '/') || strlen(text) > 255)
                return 1;
        for (const char *p = strpbrk(text, "{}"); p; p = strpbrk(p, "{}")) {
                size_t i = 0;
                while (i < ELEMENTSOF(places) && strncmp(p, places[i], strlen(places[i])) != 0)
                        i++;
                if (i == ELEMENTSOF(places))
                        return 1;
                p += strlen(places[i]);
        }
        return read_text(node, key, text, ret, err);
}

static int read_signer(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        PublicKey ignored;
        return public_key_parse(text, &ignored, NULL) < 0 ? 1 : read_text(node, key, text, ret, err);
}

static int read_key(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node, (void)key;
        return env_key_is_valid(text) ? give(value_new_text(text), ret, err) : 1;
}

static int read_choice(const SpecNode *node, const SpecKey *key, const char *text, Value **ret, Error *err) {
        (void)node;
        return spec_words_have(key->choices, text) ? give(value_new_text(text), ret, err) : 1;
}

/* ---- Lists and maps of scalars ----------------------------------------------------------------------------------- */

static int read_argv(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *list = value_new_array();
        (void)key;
        int r = list ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(node->value); i++) {
                SpecNode item = spec_child(node, i, NULL);
                const char *text = value_is(item.value, VALUE_NULL) ? "" : value_text(item.value);
                if (!text)
                        return spec_refuse(&item, NULL, err, "an item of \"%s\" must be a text, not a %s", node->path,
                                           value_kind_name(item.value->kind));
                if (i == 0 && !*text)
                        return spec_refuse(&item, NULL, err,
                                           "the first item of \"%s\" names a program and cannot be empty", node->path);
                r = check_places(&item, text, err);
                if (r == 0)
                        r = value_append_text(list, text, err);
        }
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

static int read_variable(const SpecNode *node, Value *map, Error *err) {
        const char *name = strchr(node->path, '.') + 1;
        if (!env_key_is_valid(name))
                return spec_refuse_key(node, "Letters, digits and _ are allowed; the first cannot be a digit.", err,
                                       "\"%s\" cannot be the name of a variable", name);
        const char *text = value_is(node->value, VALUE_NULL) ? "" : value_text(node->value);
        if (!text)
                return spec_refuse(node, NULL, err, "\"%s\" must be a text, not a %s", node->path,
                                   value_kind_name(node->value->kind));
        if (strchr(text, '\n') || !text_is_clean(text, strlen(text)))
                return spec_refuse(node, NULL, err, "\"%s\" cannot have control characters or several lines",
                                   node->path);
        if (strstr(text, "CHANGE_ME"))
                return spec_refuse(node, "Put the real value there.", err, "\"%s\" is still CHANGE_ME", node->path);
        return value_set_text(map, name, text, err);
}

static int read_env(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map();
        (void)key;
        int r = map ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(node->value); i++) {
                const char *name = node->value->map.entries[i].name;
                SpecNode item = spec_child(node, i, name);
                if (strlen(name) >= SPEC_SHOWN_MAX - 4)
                        return spec_refuse_key(&item, NULL, err, "\"%s\" is too long for the name of a variable",
                                               item.path);
                r = read_variable(&item, map, err);
        }
        if (r == 0)
                *ret = TAKE_PTR(map);
        return r;
}

/* ---- The rows ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
        ReadText read;
        ValueKind kind;
        int (*read_many)(const SpecNode *node, const SpecKey *key, Value **ret, Error *err);
} types[] = {
        [SPEC_TEXT]     = {read_text,     VALUE_TEXT,  NULL},
        [SPEC_SERVICE]  = {read_service,  VALUE_TEXT,  NULL},
        [SPEC_VERSION]  = {read_version,  VALUE_TEXT,  NULL},
        [SPEC_INT]      = {read_int,      VALUE_TEXT,  NULL},
        [SPEC_COUNT]    = {read_count,    VALUE_TEXT,  NULL},
        [SPEC_PORT]     = {read_port,     VALUE_TEXT,  NULL},
        [SPEC_BOOL]     = {read_bool,     VALUE_TEXT,  NULL},
        [SPEC_DURATION] = {read_duration, VALUE_TEXT,  NULL},
        [SPEC_SIZE]     = {read_size,     VALUE_TEXT,  NULL},
        [SPEC_FACTOR]   = {read_factor,   VALUE_TEXT,  NULL},
        [SPEC_MODE]     = {read_mode,     VALUE_TEXT,  NULL},
        [SPEC_SHA256]   = {read_sha256,   VALUE_TEXT,  NULL},
        [SPEC_PATH]     = {read_path,     VALUE_TEXT,  NULL},
        [SPEC_WORKDIR]  = {read_workdir,  VALUE_TEXT,  NULL},
        [SPEC_FILE]     = {read_file,     VALUE_TEXT,  NULL},
        [SPEC_URL]      = {read_url,      VALUE_TEXT,  NULL},
        [SPEC_FETCH]    = {read_fetch,    VALUE_TEXT,  NULL},
        [SPEC_REPO]     = {read_repo,     VALUE_TEXT,  NULL},
        [SPEC_ASSET]    = {read_asset,    VALUE_TEXT,  NULL},
        [SPEC_SIGNER]   = {read_signer,   VALUE_TEXT,  NULL},
        [SPEC_CONTENT]  = {read_content,  VALUE_TEXT,  NULL},
        [SPEC_HOST]     = {read_host,     VALUE_TEXT,  NULL},
        [SPEC_ROUTE]    = {read_route,    VALUE_TEXT,  NULL},
        [SPEC_KEY]      = {read_key,      VALUE_TEXT,  NULL},
        [SPEC_CHOICE]   = {read_choice,   VALUE_TEXT,  NULL},
        [SPEC_WORDS]    = {NULL,          VALUE_ARRAY, NULL},
        [SPEC_ARGV]     = {NULL,          VALUE_ARRAY, read_argv},
        [SPEC_ENV]      = {NULL,          VALUE_MAP,   read_env},
        [SPEC_MAP]      = {NULL,          VALUE_MAP,   NULL},
        [SPEC_LIST]     = {NULL,          VALUE_ARRAY, NULL},
        [SPEC_LATER]    = {NULL,          VALUE_TEXT,  NULL},
};
/* clang-format on */

/* In the order of the choices, so that equal meaning is equal text. */
static int read_words(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *list = value_new_array();
        size_t n = value_count(node->value);
        for (size_t i = 0; i < n; i++) {
                SpecNode item = spec_child(node, i, NULL);
                const char *word = value_text(item.value);
                if (word && spec_words_have(key->later, word))
                        return spec_refuse_later(&item, word, NULL, err);
                if (!word || !spec_words_have(key->choices, word))
                        return spec_refuse_type(&item, key, err);
        }
        int r = list ? 0 : error_no_memory(err);
        for (const char *p = key->choices; r == 0 && *p; p += strspn(p, " ")) {
                size_t length = strcspn(p, " "), i = 0;
                for (; i < n; i++)
                        if (strlen(value_text(value_at(node->value, i))) == length &&
                            strncmp(value_text(value_at(node->value, i)), p, length) == 0)
                                break;
                if (i < n)
                        r = value_append(list, value_new_text_n(p, length), err);
                p += length;
        }
        if (r == 0)
                *ret = TAKE_PTR(list);
        return r;
}

int spec_read_scalar(const SpecNode *node, const SpecKey *key, Value **ret, Error *err) {
        const char *text = value_text(node->value);
        if (!value_is(node->value, types[key->type].kind))
                return spec_refuse_type(node, key, err);
        if (key->type == SPEC_WORDS)
                return read_words(node, key, ret, err);
        if (!text)
                return types[key->type].read_many(node, key, ret, err);
        if (spec_words_have(key->later, text))
                return spec_refuse_later(node, text, NULL, err);
        if (key->automatic && strcmp(text, "auto") == 0) {
                text = key->automatic;
                if (!*text)
                        return 0;
        }
        int r = types[key->type].read(node, key, text, ret, err);
        return r > 0 ? spec_refuse_type(node, key, err) : r;
}
