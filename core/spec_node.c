/* SPDX-License-Identifier: Apache-2.0 */
/* See spec_node.h. What a person wrote is shown to a terminal: cut, and without what could steer it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/spec_node.h"

/* Of ASCII, or a byte of one of U+0080 to U+009F, which terminals obey as well. */
static bool is_control(const char *text, size_t n) {
        const unsigned char *p = (const unsigned char *)text;
        bool is_second = n > 0 && p[n - 1] == 0xc2 && p[n] >= 0x80 && p[n] <= 0x9f;
        return p[n] < ' ' || p[n] == 0x7f || is_second || (p[n] == 0xc2 && p[n + 1] >= 0x80 && p[n + 1] <= 0x9f);
}

const char *spec_shown(const char *text, char ret[static SPEC_SHOWN_MAX]) {
        size_t n = 0;
        bool is_utf8 = utf8_is_valid(text, strlen(text));
        for (; n < SPEC_SHOWN_MAX - 4 && text[n]; n++)
                ret[n] = is_control(text, n) ? ' ' : is_utf8 || (unsigned char)text[n] < 0x80 ? text[n] : '?';
        bool is_cut = text[n] != '\0';
        while (is_cut && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--; /* not within a character */
        memcpy(ret + n, is_cut ? "..." : "", is_cut ? 4 : 1);
        return ret;
}

_printf_(5, 0) static int refuse_at(const SpecNode *node, bool is_key, const char *hint, Error *err, const char *format,
                                    va_list ap) {
        char text[ERROR_MESSAGE_MAX / 2];
        (void)vsnprintf(text, sizeof(text), format, ap);
        const YamlMark *m = node->mark;
        if (!m)
                return error_set(err, -EINVAL, ERR_SPEC, hint, "%s: %s", node->reader->file, text);
        bool has_key = is_key && m->key_line > 0;
        return error_set(err, -EINVAL, ERR_SPEC, hint, "%s:%u:%u: %s", node->reader->file,
                         has_key ? m->key_line : m->line, has_key ? m->key_column : m->column, text);
}

int spec_refuse(const SpecNode *node, const char *hint, Error *err, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        int r = refuse_at(node, false, hint, err, format, ap);
        va_end(ap);
        return error_is_negative(r);
}

int spec_refuse_key(const SpecNode *node, const char *hint, Error *err, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        int r = refuse_at(node, true, hint, err, format, ap);
        va_end(ap);
        return error_is_negative(r);
}

int spec_refuse_later(const SpecNode *node, const char *value, const char *hint, Error *err) {
        const char *dot = strchr(PAWL_VERSION, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;
        int n = (int)(end ? end - PAWL_VERSION : (ptrdiff_t)strlen(PAWL_VERSION));
        int r = value ? spec_refuse(node, hint, err, "\"%s: %s\" is not supported by pawl %.*s", node->path, value, n,
                                    PAWL_VERSION)
                      : spec_refuse_key(node, hint, err, "\"%s\" is not supported by pawl %.*s", node->path, n,
                                        PAWL_VERSION);
        if (err)
                err->code = ERR_NOT_SUPPORTED;
        return r;
}

SpecNode spec_child(const SpecNode *node, size_t i, const char *name) {
        const Value *v = node->value;
        SpecNode child = {.reader = node->reader};
        child.value = v->kind == VALUE_MAP ? v->map.entries[i].value : value_at(v, i);
        child.mark = node->mark ? &node->mark->children[i] : NULL;
        char shown[SPEC_SHOWN_MAX];
        bool has_both = node->path[0] && name;
        (void)snprintf(child.path, sizeof(child.path), "%.40s%s%s", node->path, has_both ? "." : "",
                       name ? spec_shown(name, shown) : "");
        return child;
}

bool spec_words_have(const char *words, const char *word) {
        size_t n = strlen(word);
        for (const char *p = words; p && n > 0 && !strchr(word, ' ') && (p = strstr(p, word)); p += n)
                if ((p == words || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
                        return true;
        return false;
}

SpecNode spec_get(const SpecNode *node, const char *name) {
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
