/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written by hand, because a library would sort or lose what Value keeps; read by jansson, whose tree is then converted
 * under our own limits. What is written is always valid: bytes that are not UTF-8 become U+FFFD.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

/* jansson's flag of that name is not used here; ours is an enumerator. */
#undef JSON_COMPACT

#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/text.h"

/* ---- encoding ---- */

/* The length of the valid character at s, 0 if there is none. A character has at most four bytes. */
static size_t character_length(const char *s, size_t n) {
        for (size_t length = 1; length <= MIN(n, (size_t)4); length++)
                if (utf8_is_valid(s, length))
                        return length;
        return 0;
}

static void add_escaped(Text *t, unsigned char c) {
        static const char *const names[0x20] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
        if (c < 0x20 && names[c])
                text_add(t, names[c]);
        else if (c < 0x20 || c == 0x7f)
                text_addf(t, "\\u%04x", c);
        else
                text_addf(t, "\\%c", c);
}

static void add_string(Text *t, const char *s, size_t n) {
        text_add_n(t, "\"", 1);
        for (size_t i = 0; i < n;) {
                unsigned char c = (unsigned char)s[i];
                size_t length = c < 0x80 ? 1 : character_length(s + i, n - i);
                if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
                        add_escaped(t, c);
                else if (length == 0)
                        text_add(t, "\xef\xbf\xbd");
                else if (c == 0xc2 && (unsigned char)s[i + 1] < 0xa0) /* C1: a terminal would obey it */
                        text_addf(t, "\\u%04x", (unsigned)(unsigned char)s[i + 1]);
                else
                        text_add_n(t, s + i, length);
                i += MAX(length, (size_t)1);
        }
        text_add_n(t, "\"", 1);
}

static void add_hex(Text *t, const char *data, size_t size) {
        char hex[3];
        text_add_n(t, "\"", 1);
        for (size_t i = 0; i < size; i++) {
                hex_encode(data + i, 1, hex);
                text_add_n(t, hex, 2);
        }
        text_add_n(t, "\"", 1);
}

static void add_line(Text *t, unsigned flags, unsigned depth) {
        if (!(flags & JSON_PRETTY))
                return;
        text_add_n(t, "\n", 1);
        for (unsigned i = 0; i < depth; i++)
                text_add_n(t, "  ", 2);
}

static void add_key(Text *t, const MapEntry *e, unsigned flags) {
        if (e->name)
                add_string(t, e->name, strlen(e->name));
        else
                text_addf(t, "\"%u\"", e->num);
        text_add(t, flags & JSON_PRETTY ? ": " : ":");
}

static void add_leaf(Text *t, const Value *v) {
        switch (v->kind) {
        case VALUE_NULL:
                text_add(t, "null");
                break;
        case VALUE_BOOL:
                text_add(t, v->boolean ? "true" : "false");
                break;
        case VALUE_INT:
                text_addf(t, "%lld", (long long)v->integer);
                break;
        case VALUE_TEXT:
                add_string(t, v->bytes.data, v->bytes.size);
                break;
        case VALUE_BYTES:
                add_hex(t, v->bytes.data, v->bytes.size);
                break;
        case VALUE_SECRET:
                text_add(t, "\"****\"");
                break;
        case VALUE_ARRAY:
        case VALUE_MAP:
                break;
        }
}

static void add_value(Text *t, const Value *v, unsigned flags, unsigned depth) {
        const bool is_map = v->kind == VALUE_MAP;
        if (!is_map && v->kind != VALUE_ARRAY) {
                add_leaf(t, v);
                return;
        }
        text_add_n(t, is_map ? "{" : "[", 1);
        for (size_t i = 0; i < value_count(v); i++) {
                if (i > 0)
                        text_add_n(t, ",", 1);
                add_line(t, flags, depth + 1);
                if (is_map)
                        add_key(t, &v->map.entries[i], flags);
                add_value(t, is_map ? v->map.entries[i].value : v->array.items[i], flags, depth + 1);
        }
        if (value_count(v) > 0)
                add_line(t, flags, depth);
        text_add_n(t, is_map ? "}" : "]", 1);
}

int json_encode(const Value *v, unsigned flags, char **ret, Error *err) {
        _cleanup_text_ Text t = {0};
        if (!v)
                return error_no_memory(err);
        add_value(&t, v, flags, 0);
        char *text = text_take(&t);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}

/* ---- decoding ---- */

static void json_done(json_t **j) {
        json_decref(*j);
}

static int refuse(Error *err, const char *why) {
        return error_set(err, -EBADMSG, ERR_FAILED, NULL, "malformed JSON: %s", why);
}

/* 2^53: above it a double no longer says which integer was meant. */
static int convert_real(double d, Value **ret, Error *err) {
        if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0) || (double)(int64_t)d != d)
                return refuse(err, "a number that is not an integer");
        *ret = value_new_int((int64_t)d);
        return *ret ? 0 : error_no_memory(err);
}

static int convert_leaf(const json_t *j, Value **ret, Error *err) {
        switch (json_typeof(j)) {
        case JSON_STRING:
                *ret = value_new_text_n(json_string_value(j), json_string_length(j));
                break;
        case JSON_INTEGER:
                *ret = value_new_int(json_integer_value(j));
                break;
        case JSON_REAL:
                return convert_real(json_real_value(j), ret, err);
        case JSON_TRUE:
        case JSON_FALSE:
                *ret = value_new_bool(json_is_true(j));
                break;
        case JSON_NULL:
        case JSON_OBJECT:
        case JSON_ARRAY:
                *ret = value_new_null();
                break;
        }
        return *ret ? 0 : error_no_memory(err);
}

static int convert(json_t *j, unsigned depth, Value **ret, Error *err) {
        if (!json_is_object(j) && !json_is_array(j))
                return convert_leaf(j, ret, err);
        if (depth == VALUE_DEPTH_MAX)
                return refuse(err, "nested too deeply");
        _cleanup_(value_freep) Value *out = json_is_object(j) ? value_new_map() : value_new_array();
        Value *child = NULL;
        int r = 0;
        for (size_t i = 0; r >= 0 && i < json_array_size(j); i++) {
                r = convert(json_array_get(j, i), depth + 1, &child, err);
                if (r >= 0)
                        r = value_append(out, child, err);
        }
        for (void *at = json_object_iter(j); r >= 0 && at; at = json_object_iter_next(j, at)) {
                r = convert(json_object_iter_value(at), depth + 1, &child, err);
                if (r < 0)
                        break;
                char *name = strdup(json_object_iter_key(at));
                if (!name) {
                        value_free(child);
                        return error_no_memory(err);
                }
                r = value_add_entry(out, name, 0, child, err);
        }
        if (r < 0)
                return r;
        if (!out)
                return error_no_memory(err);
        *ret = TAKE_PTR(out);
        return 0;
}

int json_decode(const char *text, size_t size, Value **ret, Error *err) {
        json_error_t reason = {0};
        _cleanup_(json_done) json_t *j = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
        if (!j) {
                /* jansson quotes what is near, which may be a secret. */
                const char *near = strstr(reason.text, " near '");
                int n = near ? (int)(near - reason.text) : (int)strlen(reason.text);
                return error_set(err, -EBADMSG, ERR_FAILED, NULL, "malformed JSON at line %d, column %d: %.*s",
                                 reason.line, reason.column, n, reason.text);
        }
        return convert(j, 0, ret, err);
}
