/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libyaml's events to a Value and its marks. Everything of YAML that can mean more than it shows (anchors,
 * aliases, tags, merge keys, directives) is refused where it stands, so that what was parsed is what a person sees; and
 * every limit is checked before memory is spent.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "core/base/text.h"
#include "core/yaml.h"

#define YAML_SIZE_MAX (1u << 20)
#define YAML_EVENTS_MAX 100000
#define YAML_DEPTH_MAX VALUE_DEPTH_MAX
#define YAML_KEY_MAX 200 /* bytes: messages quote keys */

typedef struct Reader {
        yaml_parser_t parser;
        yaml_event_t event; /* the current one */
        const char *file, *text;
        size_t size, n_events;
        Error *err;
} Reader;

static void reader_done(Reader *y) {
        yaml_event_delete(&y->event);
        yaml_parser_delete(&y->parser);
}

void yaml_mark_done(YamlMark *m) {
        for (size_t i = 0; i < m->n_children; i++)
                yaml_mark_done(&m->children[i]);
        free(m->children);
        *m = (YamlMark){0};
}

/* At the current event. */
#define refuse(y, hint, ...) refuse_at((y), &(y)->event.start_mark, (hint), __VA_ARGS__)

_printf_(4, 5) static int refuse_at(Reader *y, const yaml_mark_t *mark, const char *hint, const char *format, ...) {
        char text[256];
        va_list ap;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        return error_set(y->err, -EINVAL, ERR_SPEC, hint, "%s:%zu:%zu: %s", y->file, mark->line + 1, mark->column + 1,
                         text);
}

/* Of a byte the reader refused: libyaml knows its offset only. */
static yaml_mark_t mark_of_offset(const Reader *y, size_t offset) {
        yaml_mark_t mark = {0};
        for (size_t i = 0; i < MIN(offset, y->size); i++) {
                mark.column = y->text[i] == '\n' ? 0 : mark.column + 1;
                mark.line += y->text[i] == '\n';
        }
        return mark;
}

static bool is_indented_by_tab(const Reader *y, const yaml_mark_t *mark) {
        const char *p = y->text, *end = y->text + y->size;
        for (size_t line = 0; p && p < end && line < mark->line; line++)
                p = (p = memchr(p, '\n', (size_t)(end - p))) ? p + 1 : NULL;
        while (p && p < end && *p == ' ')
                p++;
        return p && p < end && *p == '\t';
}

static int refuse_syntax(Reader *y) {
        const yaml_parser_t *p = &y->parser;
        if (p->error == YAML_MEMORY_ERROR)
                return error_no_memory(y->err);
        yaml_mark_t mark = p->error == YAML_READER_ERROR ? mark_of_offset(y, p->problem_offset) : p->problem_mark;
        if (is_indented_by_tab(y, &mark))
                return refuse_at(y, &mark, "Indent with blanks.", "this is not YAML: it takes no tabs for indentation");
        return refuse_at(y, &mark, NULL, "this is not YAML: %s%s%s", p->problem ? p->problem : "it cannot be read",
                         p->context ? " " : "", p->context ? p->context : "");
}

static int next_event(Reader *y) {
        yaml_event_delete(&y->event);
        if (!yaml_parser_parse(&y->parser, &y->event))
                return refuse_syntax(y);
        if (++y->n_events > YAML_EVENTS_MAX)
                return refuse(y, NULL, "there are more than %d items in this file", YAML_EVENTS_MAX);
        return 0;
}

static int check_plain(Reader *y, const yaml_char_t *anchor, const yaml_char_t *tag) {
        if (anchor)
                return refuse(y, "Write the value out where it is needed.", "anchors are not allowed");
        if (tag)
                return refuse(y, "Leave the tag out.", "tags are not allowed");
        return 0;
}

/* A plain empty scalar, or ~, is null. */
static int read_scalar(Reader *y, Value **ret, YamlMark *mark) {
        const char *text = (const char *)y->event.data.scalar.value;
        size_t n = y->event.data.scalar.length;
        int r = check_plain(y, y->event.data.scalar.anchor, y->event.data.scalar.tag);
        if (r < 0)
                return r;
        if (!utf8_is_valid(text, n))
                return refuse(y, NULL, "a text cannot contain a NUL character");
        mark->is_quoted = y->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        bool is_null = !mark->is_quoted && (n == 0 || strcmp(text, "~") == 0);
        *ret = is_null ? value_new_null() : value_new_text_n(text, n);
        return *ret ? 0 : error_no_memory(y->err);
}

/* Room for one more child; *allocated goes with the mark. */
static YamlMark *add_child(YamlMark *mark, size_t *allocated) {
        if (mark->n_children == *allocated) {
                size_t n = MAX((size_t)4, 2 * *allocated);
                YamlMark *children = reallocarray(mark->children, n, sizeof(*children));
                if (!children)
                        return NULL;
                mark->children = children;
                *allocated = n;
        }
        mark->children[mark->n_children] = (YamlMark){0};
        return &mark->children[mark->n_children++];
}

static int read_key(Reader *y, char **ret, YamlMark *child) {
        child->key_line = (uint32_t)y->event.start_mark.line + 1;
        child->key_column = (uint32_t)y->event.start_mark.column + 1;
        if (y->event.type == YAML_ALIAS_EVENT)
                return refuse(y, "Write the value out where it is needed.", "aliases are not allowed");
        if (y->event.type != YAML_SCALAR_EVENT)
                return refuse(y, NULL, "a key must be a text");
        _cleanup_(value_freep) Value *key = NULL;
        YamlMark mark = {0};
        int r = read_scalar(y, &key, &mark);
        if (r < 0)
                return r;
        if (!key || key->kind != VALUE_TEXT || key->bytes.size == 0)
                return refuse(y, NULL, "a key is missing in front of the \":\"");
        const char *text = key->bytes.data;
        if (key->bytes.size > YAML_KEY_MAX)
                return refuse(y, NULL, "a key cannot have more than %d bytes", YAML_KEY_MAX);
        if (!text_is_clean(text, key->bytes.size) || strpbrk(text, "\n\t"))
                return refuse(y, NULL, "a key cannot have control characters");
        if (!mark.is_quoted && strcmp(text, "<<") == 0)
                return refuse(y, "Write the values out where they are needed.", "merge keys are not allowed");
        *ret = TAKE_PTR(key->bytes.data);
        return 0;
}

typedef struct KeyPlace {
        const char *name;
        const YamlMark *mark;
} KeyPlace;

static int compare_keys(const void *a, const void *b) {
        const KeyPlace *x = a, *y = b;
        int r = strcmp(x->name, y->name);
        return r != 0 ? r : x->mark < y->mark ? -1 : x->mark > y->mark;
}

/* Sorted, because comparing each with each would be quadratic on hostile input. */
static int check_duplicates(Reader *y, const Value *map, const YamlMark *mark) {
        size_t n = value_count(map);
        _cleanup_free_ KeyPlace *keys = calloc(MAX(n, (size_t)1), sizeof(*keys));
        if (!keys)
                return error_no_memory(y->err);
        for (size_t i = 0; i < n; i++)
                keys[i] = (KeyPlace){map->map.entries[i].name, &mark->children[i]};
        qsort(keys, n, sizeof(*keys), compare_keys);
        const KeyPlace *first = NULL;
        for (size_t i = 1; i < n; i++)
                if (strcmp(keys[i - 1].name, keys[i].name) == 0 && (!first || keys[i].mark < first->mark))
                        first = &keys[i];
        if (!first)
                return 0;
        yaml_mark_t at = {.line = first->mark->key_line - 1, .column = first->mark->key_column - 1};
        return refuse_at(y, &at, "Keep one of the two.", "the key \"%s\" is there twice", first->name);
}

static int read_node(Reader *y, unsigned depth, Value **ret, YamlMark *mark);

static int read_list(Reader *y, unsigned depth, Value **ret, YamlMark *mark) {
        size_t allocated = 0;
        *ret = value_new_array();
        int r = *ret ? next_event(y) : error_no_memory(y->err);
        while (r == 0 && y->event.type != YAML_SEQUENCE_END_EVENT) {
                YamlMark *child = add_child(mark, &allocated);
                Value *item = NULL;
                r = child ? read_node(y, depth + 1, &item, child) : error_no_memory(y->err);
                if (r == 0)
                        r = value_append(*ret, item, y->err);
                if (r == 0)
                        r = next_event(y);
        }
        return r;
}

static int read_entry(Reader *y, unsigned depth, Value *map, YamlMark *child) {
        _cleanup_free_ char *name = NULL;
        Value *item = NULL;
        int r = child ? read_key(y, &name, child) : error_no_memory(y->err);
        if (r == 0)
                r = next_event(y);
        if (r == 0)
                r = read_node(y, depth + 1, &item, child);
        return r < 0 ? r : value_add_entry(map, TAKE_PTR(name), 0, item, y->err);
}

static int read_map(Reader *y, unsigned depth, Value **ret, YamlMark *mark) {
        size_t allocated = 0;
        *ret = value_new_map();
        int r = *ret ? next_event(y) : error_no_memory(y->err);
        while (r == 0 && y->event.type != YAML_MAPPING_END_EVENT) {
                r = read_entry(y, depth, *ret, add_child(mark, &allocated));
                if (r == 0)
                        r = next_event(y);
        }
        return r < 0 ? r : check_duplicates(y, *ret, mark);
}

/* The node that begins with the current event; *ret is freed on failure, the mark's children are left to the owner
 * of the whole tree. */
static int read_node(Reader *y, unsigned depth, Value **ret, YamlMark *mark) {
        _cleanup_(value_freep) Value *v = NULL;
        mark->line = (uint32_t)y->event.start_mark.line + 1;
        mark->column = (uint32_t)y->event.start_mark.column + 1;
        int r;
        if (y->event.type == YAML_SCALAR_EVENT) {
                r = read_scalar(y, &v, mark);
        } else if (y->event.type == YAML_ALIAS_EVENT) {
                r = refuse(y, "Write the value out where it is needed.", "aliases are not allowed");
        } else if (depth >= YAML_DEPTH_MAX) {
                r = refuse(y, NULL, "maps and lists are nested more than %d deep", YAML_DEPTH_MAX);
        } else if (y->event.type == YAML_SEQUENCE_START_EVENT) {
                r = check_plain(y, y->event.data.sequence_start.anchor, y->event.data.sequence_start.tag);
                r = r < 0 ? r : read_list(y, depth, &v, mark);
        } else {
                r = check_plain(y, y->event.data.mapping_start.anchor, y->event.data.mapping_start.tag);
                r = r < 0 ? r : read_map(y, depth, &v, mark);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static int read_document(Reader *y, Value **ret, YamlMark *mark) {
        if (y->event.data.document_start.version_directive ||
            y->event.data.document_start.tag_directives.start != y->event.data.document_start.tag_directives.end)
                return refuse(y, "Leave the line that begins with % out.", "directives are not allowed");
        int r = next_event(y);
        if (r == 0)
                r = read_node(y, 0, ret, mark);
        if (r == 0)
                r = next_event(y); /* the end of the document */
        if (r == 0)
                r = next_event(y);
        if (r == 0 && y->event.type != YAML_STREAM_END_EVENT)
                return refuse(y, "Put it into a file of its own.", "a second document is not allowed");
        return r;
}

static int read_stream(Reader *y, Value **ret, YamlMark *mark) {
        int r = next_event(y); /* the start of the stream */
        if (r == 0)
                r = next_event(y);
        if (r < 0)
                return r;
        if (y->event.type != YAML_STREAM_END_EVENT)
                return read_document(y, ret, mark);
        *mark = (YamlMark){.line = 1, .column = 1};
        *ret = value_new_null();
        return *ret ? 0 : error_no_memory(y->err);
}

int yaml_parse(const char *text, size_t size, const char *file, Value **ret, YamlMark *ret_marks, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_(yaml_mark_done) YamlMark mark = {0};
        if (size > YAML_SIZE_MAX)
                return error_set(err, -EFBIG, ERR_SPEC, NULL, "%s:1:1: this file is larger than 1 MiB", file);
        size_t skipped = utf8_mark_size(text, size); /* libyaml, told the encoding, takes it for a text */
        text += skipped;
        size -= skipped;
        _cleanup_(reader_done) Reader y = {.file = file, .text = text, .size = size, .err = err};
        if (!yaml_parser_initialize(&y.parser))
                return error_no_memory(err);
        yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, size);
        int r = read_stream(&y, &v, &mark);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        *ret_marks = mark;
        mark = (YamlMark){0};
        return 0;
}
