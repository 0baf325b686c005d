/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line is one variable, in both directions: a value that would need a second line is refused, so that no value
 * can smuggle in a variable. Messages name the line, never what it holds: these files are where secrets live.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/env_file.h"
#include "core/base/text.h"

#define ENV_SIZE_MAX ((size_t)1 << 20)

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_space(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

/* What a backslash in double quotes takes the meaning of. */
static bool is_escaped(char c) {
        return c == '\\' || c == '"' || c == '$' || c == '`';
}

static bool is_plain(char c) {
        return is_letter(c) || is_digit(c) || (c != '\0' && strchr("./:@%+,-=", c));
}

static bool key_is_valid(const char *key, size_t n) {
        if (n == 0 || !is_letter(key[0]))
                return false;
        for (size_t i = 1; i < n; i++)
                if (!is_letter(key[i]) && !is_digit(key[i]))
                        return false;
        return true;
}

bool env_key_is_valid(const char *key) {
        return key && key_is_valid(key, strlen(key));
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct Span {
        const char *at;
        size_t n;
} Span;

static Span trim(Span s) {
        while (s.n > 0 && is_space(s.at[0]))
                s = (Span){s.at + 1, s.n - 1};
        while (s.n > 0 && is_space(s.at[s.n - 1]))
                s.n--;
        return s;
}

typedef struct Key {
        const char *name; /* borrowed from the map */
        size_t line;
} Key;

typedef struct Reader {
        const char *name;
        bool as_secrets;
        size_t line;
        Value *map;
        Key *keys;
        size_t n_keys, allocated;
} Reader;

static void reader_done(Reader *x) {
        value_free(x->map);
        free(x->keys);
}

static int reader_fail(const Reader *x, const char *what, Error *err) {
        return error_set(err, -EINVAL, ERR_SPEC, "A line is KEY=VALUE.", "%s:%zu: %s", x->name, x->line, what);
}

/* `ret` has room for the whole span. NULL, or what is wrong with it. */
static const char *read_quoted(Span s, char *ret, size_t *ret_n) {
        char quote = s.at[0];
        size_t n = 0, i = 1;
        for (; i < s.n && s.at[i] != quote; i++) {
                bool is_escape = quote == '"' && s.at[i] == '\\' && i + 1 < s.n && is_escaped(s.at[i + 1]);
                ret[n++] = s.at[is_escape ? ++i : i];
        }
        if (i >= s.n)
                return "a quote is not closed on its line";
        if (i + 1 < s.n)
                return "something follows the closing quote";
        *ret_n = n;
        return NULL;
}

static const char *read_value(Span s, char *ret, size_t *ret_n) {
        const char *wrong = NULL;
        if (s.n > 0 && (s.at[0] == '"' || s.at[0] == '\'')) {
                wrong = read_quoted(s, ret, ret_n);
        } else {
                memcpy(ret, s.at, s.n);
                *ret_n = s.n;
        }
        if (!wrong && !utf8_is_valid(ret, *ret_n))
                wrong = "the value is not UTF-8 text";
        return wrong;
}

static int reader_add(Reader *x, Span key, const char *value, size_t n, Error *err) {
        char *name = strndup(key.at, key.n);
        Value *v = x->as_secrets ? value_new_secret(value, n) : value_new_text_n(value, n);
        if (x->n_keys == x->allocated) {
                size_t wanted = MAX(2 * x->allocated, (size_t)16);
                Key *more = reallocarray(x->keys, wanted, sizeof(*more));
                if (!more) {
                        free(name);
                        value_free(v);
                        return error_no_memory(err);
                }
                x->keys = more;
                x->allocated = wanted;
        }
        if (!name || !v) {
                free(name);
                value_free(v);
                return error_no_memory(err);
        }
        x->keys[x->n_keys++] = (Key){name, x->line};
        return value_add_entry(x->map, name, 0, v, err);
}

static int reader_line(Reader *x, Span s, Error *err) {
        static const char export[] = "export";
        s = trim(s);
        if (s.n == 0 || s.at[0] == '#' || s.at[0] == ';')
                return 0;
        if (s.n >= sizeof(export) && memcmp(s.at, export, sizeof(export) - 1) == 0 &&
            is_space(s.at[sizeof(export) - 1]))
                s = trim((Span){s.at + sizeof(export), s.n - sizeof(export)});
        const char *equals = memchr(s.at, '=', s.n);
        if (!equals)
                return reader_fail(x, "there is no \"=\"", err);
        Span key = trim((Span){s.at, (size_t)(equals - s.at)});
        Span rest = trim((Span){equals + 1, s.n - (size_t)(equals + 1 - s.at)});
        if (!key_is_valid(key.at, key.n))
                return reader_fail(x, "a key is letters, digits and \"_\", and does not begin with a digit", err);
        char *value = malloc(rest.n + 1);
        size_t n = 0;
        if (!value)
                return error_no_memory(err);
        const char *wrong = read_value(rest, value, &n);
        int r = wrong ? reader_fail(x, wrong, err) : reader_add(x, key, value, n, err);
        explicit_bzero(value, rest.n + 1);
        free(value);
        return r;
}

static int key_compare(const void *a, const void *b) {
        const Key *x = a, *y = b;
        int r = strcmp(x->name, y->name);
        return r != 0 ? r : (x->line > y->line) - (x->line < y->line);
}

/* Once, by sorting: a look-up per line is quadratic on a hostile file. */
static int reader_check_twice(Reader *x, Error *err) {
        if (x->n_keys > 1)
                qsort(x->keys, x->n_keys, sizeof(*x->keys), key_compare);
        for (size_t i = 1; i < x->n_keys; i++)
                if (strcmp(x->keys[i - 1].name, x->keys[i].name) == 0)
                        return error_set(err, -EINVAL, ERR_SPEC, "Remove one of the two.",
                                         "%s:%zu: \"%s\" is set already on line %zu", x->name, x->keys[i].line,
                                         x->keys[i].name, x->keys[i - 1].line);
        return 0;
}

int env_file_parse(const char *text, size_t size, const char *name, bool as_secrets, Value **ret, Error *err) {
        _cleanup_(reader_done) Reader x = {.name = name, .as_secrets = as_secrets, .map = value_new_map()};
        if (!x.map)
                return error_no_memory(err);
        if (size > ENV_SIZE_MAX)
                return error_set(err, -EFBIG, ERR_SPEC, NULL, "%s: an environment file has at most 1 MiB", name);
        int r = 0;
        for (size_t at = utf8_mark_size(text, size); r == 0 && at < size;) {
                const char *end = memchr(text + at, '\n', size - at);
                size_t n = end ? (size_t)(end - (text + at)) : size - at;
                x.line++;
                r = reader_line(&x, (Span){text + at, n}, err);
                at += n + 1;
        }
        if (r == 0)
                r = reader_check_twice(&x, err);
        if (r == 0)
                *ret = TAKE_PTR(x.map);
        return r;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static int entry_compare(const void *a, const void *b) {
        const MapEntry *const *x = a, *const *y = b;
        return strcmp((*x)->name, (*y)->name);
}

static int entry_check(const MapEntry *e, Error *err) {
        const Value *v = e->value;
        if (!env_key_is_valid(e->name))
                return error_set(err, -EINVAL, ERR_SPEC,
                                 "A key is letters, digits and \"_\", and does not begin with a digit.",
                                 "\"%s\" cannot be the name of a variable", e->name ? e->name : "");
        if (!(value_is(v, VALUE_TEXT) || value_is(v, VALUE_SECRET)))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "the value of \"%s\" is not a text", e->name);
        if (v->is_sealed)
                return error_set(err, -ENOKEY, ERR_SEAL_KEY, NULL,
                                 "the value of \"%s\" is sealed, and its key is not at hand", e->name);
        if (memchr(v->bytes.data, '\n', v->bytes.size) || !utf8_is_valid(v->bytes.data, v->bytes.size))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "the value of \"%s\" must be one line of UTF-8 text",
                                 e->name);
        return 0;
}

/* Bytes written; `to` NULL: only counted. */
static size_t write_entry(const MapEntry *e, char *to) {
        const char *data = e->value->bytes.data;
        size_t size = e->value->bytes.size, at = strlen(e->name);
        bool is_quoted = false;
        for (size_t i = 0; i < size && !is_quoted; i++)
                is_quoted = !is_plain(data[i]);
        if (to)
                memcpy(to, e->name, at);
#define PUT(c) (to ? (void)(to[at] = (c)) : (void)0, at++)
        PUT('=');
        if (is_quoted)
                PUT('"');
        for (size_t i = 0; i < size; i++) {
                if (is_escaped(data[i]))
                        PUT('\\');
                PUT(data[i]);
        }
        if (is_quoted)
                PUT('"');
        PUT('\n');
#undef PUT
        return at;
}

int env_file_format(const Value *map, Value **ret_secret, Error *err) {
        size_t n = value_count(map), size = 0;
        _cleanup_free_ const MapEntry **entries = calloc(n + 1, sizeof(const MapEntry *));
        if (!entries)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++) {
                entries[i] = &map->map.entries[i];
                int r = entry_check(entries[i], err);
                if (r < 0)
                        return r;
                size += write_entry(entries[i], NULL);
        }
        if (size > ENV_SIZE_MAX)
                return error_set(err, -EFBIG, ERR_SPEC, NULL, "an environment file has at most 1 MiB");
        qsort(entries, n, sizeof(const MapEntry *), entry_compare);
        /* In one piece of known size, wiped behind: a growing text would leave copies of secrets in freed memory. */
        char *text = malloc(size + 1);
        if (!text)
                return error_no_memory(err);
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
                at += write_entry(entries[i], text + at);
        Value *secret = value_new_secret(text, size);
        explicit_bzero(text, size + 1);
        free(text);
        if (!secret)
                return error_no_memory(err);
        *ret_secret = secret;
        return 0;
}
