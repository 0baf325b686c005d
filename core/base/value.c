/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node is one allocation plus its content. Maps are arrays searched from the front: they have few entries and their
 * order is what people see. Children are freed on every failure path, so that callers can nest constructors in setters.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/value.h"

static Value *value_new(ValueKind kind) {
        Value *v = calloc(1, sizeof(*v));
        if (v)
                v->kind = kind;
        return v;
}

static Value *value_new_data(ValueKind kind, const void *data, size_t size) {
        _cleanup_(value_freep) Value *v = value_new(kind);
        if (!v || size == SIZE_MAX)
                return NULL;
        v->bytes.data = malloc(size + 1);
        if (!v->bytes.data)
                return NULL;
        if (size > 0)
                memcpy(v->bytes.data, data, size);
        v->bytes.data[size] = '\0';
        v->bytes.size = size;
        return TAKE_PTR(v);
}

Value *value_new_null(void) {
        return value_new(VALUE_NULL);
}

Value *value_new_bool(bool b) {
        Value *v = value_new(VALUE_BOOL);
        if (v)
                v->boolean = b;
        return v;
}

Value *value_new_int(int64_t i) {
        Value *v = value_new(VALUE_INT);
        if (v)
                v->integer = i;
        return v;
}

Value *value_new_text(const char *text) {
        return value_new_data(VALUE_TEXT, text, strlen(text));
}

Value *value_new_text_n(const char *text, size_t n) {
        return value_new_data(VALUE_TEXT, text, n);
}

Value *value_new_format(const char *format, ...) {
        char *text = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return NULL;
        Value *v = value_new(VALUE_TEXT);
        if (!v) {
                free(text);
                return NULL;
        }
        v->bytes.data = text;
        v->bytes.size = (size_t)n;
        return v;
}

Value *value_new_bytes(const void *data, size_t size) {
        return value_new_data(VALUE_BYTES, data, size);
}

Value *value_new_secret(const void *data, size_t size) {
        return value_new_data(VALUE_SECRET, data, size);
}

Value *value_new_sealed(const void *data, size_t size) {
        Value *v = value_new_data(VALUE_SECRET, data, size);
        if (v)
                v->is_sealed = true;
        return v;
}

Value *value_new_array(void) {
        return value_new(VALUE_ARRAY);
}

Value *value_new_map(void) {
        return value_new(VALUE_MAP);
}

Value *value_free(Value *v) {
        if (!v)
                return NULL;
        switch (v->kind) {
        case VALUE_NULL:
        case VALUE_BOOL:
        case VALUE_INT:
                break;
        case VALUE_SECRET:
                if (v->bytes.data)
                        explicit_bzero(v->bytes.data, v->bytes.size);
                free(v->bytes.data);
                break;
        case VALUE_TEXT:
        case VALUE_BYTES:
                free(v->bytes.data);
                break;
        case VALUE_ARRAY:
                for (size_t i = 0; i < v->array.n; i++)
                        value_free(v->array.items[i]);
                free(v->array.items);
                break;
        case VALUE_MAP:
                for (size_t i = 0; i < v->map.n; i++) {
                        free(v->map.entries[i].name);
                        value_free(v->map.entries[i].value);
                }
                free(v->map.entries);
                break;
        }
        free(v);
        return NULL;
}

/* Room for one more element of `size` bytes in an array of n. */
static int reserve_one(void *items, size_t n, size_t *allocated, size_t size) {
        if (n < *allocated)
                return 0;
        void *old;
        memcpy(&old, items, sizeof(old));
        size_t wanted = n < 4 ? 4 : n + n / 2;
        void *grown = reallocarray(old, wanted, size);
        if (!grown)
                return -ENOMEM;
        memcpy(items, &grown, sizeof(grown));
        *allocated = wanted;
        return 0;
}

int value_append(Value *array, Value *child, Error *err) {
        if (!array || !child) {
                value_free(child);
                return error_no_memory(err);
        }
        assert(array->kind == VALUE_ARRAY);
        if (reserve_one(&array->array.items, array->array.n, &array->array.allocated, sizeof(Value *)) < 0) {
                value_free(child);
                return error_no_memory(err);
        }
        array->array.items[array->array.n++] = child;
        return 0;
}

int value_append_text(Value *array, const char *text, Error *err) {
        return value_append(array, value_new_text(text), err);
}

int value_add_entry(Value *map, char *name, uint32_t num, Value *child, Error *err) {
        assert(!map || map->kind == VALUE_MAP);
        if (!map || !child || reserve_one(&map->map.entries, map->map.n, &map->map.allocated, sizeof(MapEntry)) < 0) {
                free(name);
                value_free(child);
                return error_no_memory(err);
        }
        map->map.entries[map->map.n++] = (MapEntry){.name = name, .num = name ? 0 : num, .value = child};
        return 0;
}

static MapEntry *find_name(const Value *map, const char *name, size_t n_name) {
        if (!map || map->kind != VALUE_MAP)
                return NULL;
        for (size_t i = 0; i < map->map.n; i++) {
                MapEntry *e = &map->map.entries[i];
                if (e->name && strncmp(e->name, name, n_name) == 0 && e->name[n_name] == '\0')
                        return e;
        }
        return NULL;
}

static MapEntry *find_num(const Value *map, uint32_t num) {
        if (!map || map->kind != VALUE_MAP)
                return NULL;
        for (size_t i = 0; i < map->map.n; i++)
                if (!map->map.entries[i].name && map->map.entries[i].num == num)
                        return &map->map.entries[i];
        return NULL;
}

static void entry_replace(MapEntry *e, Value *child) {
        if (e->value != child)
                value_free(e->value);
        e->value = child;
}

int value_set(Value *map, const char *name, Value *child, Error *err) {
        assert(!map || map->kind == VALUE_MAP);
        MapEntry *e = child ? find_name(map, name, strlen(name)) : NULL;
        if (e) {
                entry_replace(e, child);
                return 0;
        }
        char *copy = child ? strdup(name) : NULL;
        if (!copy) {
                value_free(child);
                return error_no_memory(err);
        }
        return value_add_entry(map, copy, 0, child, err);
}

int value_set_num(Value *map, uint32_t num, Value *child, Error *err) {
        assert(!map || map->kind == VALUE_MAP);
        MapEntry *e = child ? find_num(map, num) : NULL;
        if (e) {
                entry_replace(e, child);
                return 0;
        }
        return value_add_entry(map, NULL, num, child, err);
}

int value_set_text(Value *map, const char *name, const char *text, Error *err) {
        if (!text)
                return 0;
        return value_set(map, name, value_new_text(text), err);
}

int value_set_copy(Value *map, const char *name, const Value *v, Error *err) {
        return v ? value_set(map, name, value_copy(v), err) : 0;
}

int value_set_int(Value *map, const char *name, int64_t i, Error *err) {
        return value_set(map, name, value_new_int(i), err);
}

int value_set_bool(Value *map, const char *name, bool b, Error *err) {
        return value_set(map, name, value_new_bool(b), err);
}

int value_set_bytes(Value *map, const char *name, const void *data, size_t size, Error *err) {
        return value_set(map, name, value_new_bytes(data, size), err);
}

void value_remove(Value *map, const char *name) {
        MapEntry *e = find_name(map, name, strlen(name));
        if (!e)
                return;
        free(e->name);
        value_free(e->value);
        size_t i = (size_t)(e - map->map.entries);
        memmove(e, e + 1, (map->map.n - i - 1) * sizeof(*e));
        map->map.n--;
}

static Value *copy_array(const Value *v) {
        _cleanup_(value_freep) Value *copy = value_new_array();
        for (size_t i = 0; i < v->array.n; i++)
                if (value_append(copy, value_copy(v->array.items[i]), NULL) < 0)
                        return NULL;
        return TAKE_PTR(copy);
}

static Value *copy_map(const Value *v) {
        _cleanup_(value_freep) Value *copy = value_new_map();
        for (size_t i = 0; i < v->map.n; i++) {
                const MapEntry *e = &v->map.entries[i];
                char *name = e->name ? strdup(e->name) : NULL;
                if (e->name && !name)
                        return NULL;
                if (value_add_entry(copy, name, e->num, value_copy(e->value), NULL) < 0)
                        return NULL;
        }
        return TAKE_PTR(copy);
}

Value *value_copy(const Value *v) {
        if (!v)
                return NULL;
        switch (v->kind) {
        case VALUE_NULL:
                return value_new_null();
        case VALUE_BOOL:
                return value_new_bool(v->boolean);
        case VALUE_INT:
                return value_new_int(v->integer);
        case VALUE_TEXT:
        case VALUE_BYTES:
                return value_new_data(v->kind, v->bytes.data, v->bytes.size);
        case VALUE_SECRET:
                return v->is_sealed ? value_new_sealed(v->bytes.data, v->bytes.size)
                                    : value_new_secret(v->bytes.data, v->bytes.size);
        case VALUE_ARRAY:
                return copy_array(v);
        case VALUE_MAP:
                return copy_map(v);
        }
        return NULL;
}

Value *value_get(const Value *map, const char *name) {
        const MapEntry *e = find_name(map, name, strlen(name));
        return e ? e->value : NULL;
}

Value *value_get_num(const Value *map, uint32_t num) {
        const MapEntry *e = find_num(map, num);
        return e ? e->value : NULL;
}

Value *value_at(const Value *array, size_t i) {
        if (!value_is(array, VALUE_ARRAY) || i >= array->array.n)
                return NULL;
        return array->array.items[i];
}

size_t value_count(const Value *v) {
        if (value_is(v, VALUE_ARRAY))
                return v->array.n;
        return value_is(v, VALUE_MAP) ? v->map.n : 0;
}

const char *value_text(const Value *v) {
        return value_is(v, VALUE_TEXT) ? v->bytes.data : NULL;
}

const char *value_get_text(const Value *map, const char *name) {
        return value_text(value_get(map, name));
}

const char *value_get_text_or(const Value *map, const char *name, const char *otherwise) {
        const char *text = value_get_text(map, name);
        return text ? text : otherwise;
}

int64_t value_get_int(const Value *map, const char *name, int64_t otherwise) {
        const Value *v = value_get(map, name);
        return value_is(v, VALUE_INT) ? v->integer : otherwise;
}

bool value_get_bool(const Value *map, const char *name, bool otherwise) {
        const Value *v = value_get(map, name);
        return value_is(v, VALUE_BOOL) ? v->boolean : otherwise;
}

Value *value_path(const Value *v, const char *path) {
        for (;;) {
                size_t n = strcspn(path, ".");
                const MapEntry *e = find_name(v, path, n);
                if (!e)
                        return NULL;
                if (path[n] == '\0')
                        return e->value;
                v = e->value;
                path += n + 1;
        }
}

bool value_is(const Value *v, ValueKind kind) {
        return v && v->kind == kind;
}

/* The time taken must tell nothing about where two secrets differ. */
static bool secrets_equal(const Value *a, const Value *b) {
        if (a->is_sealed != b->is_sealed || a->bytes.size != b->bytes.size)
                return false;
        volatile unsigned char differ = 0;
        for (size_t i = 0; i < a->bytes.size; i++)
                differ = (unsigned char)(differ | (a->bytes.data[i] ^ b->bytes.data[i]));
        return differ == 0;
}

static bool arrays_equal(const Value *a, const Value *b) {
        if (a->array.n != b->array.n)
                return false;
        for (size_t i = 0; i < a->array.n; i++)
                if (!value_equal(a->array.items[i], b->array.items[i]))
                        return false;
        return true;
}

static bool maps_equal(const Value *a, const Value *b) {
        if (a->map.n != b->map.n)
                return false;
        for (size_t i = 0; i < a->map.n; i++) {
                const MapEntry *e = &a->map.entries[i];
                const MapEntry *o = e->name ? find_name(b, e->name, strlen(e->name)) : find_num(b, e->num);
                if (!o || !value_equal(e->value, o->value))
                        return false;
        }
        return true;
}

bool value_equal(const Value *a, const Value *b) {
        if (!a || !b)
                return a == b;
        if (a->kind != b->kind)
                return false;
        switch (a->kind) {
        case VALUE_NULL:
                return true;
        case VALUE_BOOL:
                return a->boolean == b->boolean;
        case VALUE_INT:
                return a->integer == b->integer;
        case VALUE_TEXT:
        case VALUE_BYTES:
                return a->bytes.size == b->bytes.size && memcmp(a->bytes.data, b->bytes.data, a->bytes.size) == 0;
        case VALUE_SECRET:
                return secrets_equal(a, b);
        case VALUE_ARRAY:
                return arrays_equal(a, b);
        case VALUE_MAP:
                return maps_equal(a, b);
        }
        return false;
}

bool value_has_secret(const Value *v) {
        if (value_is(v, VALUE_ARRAY)) {
                for (size_t i = 0; i < v->array.n; i++)
                        if (value_has_secret(v->array.items[i]))
                                return true;
                return false;
        }
        if (value_is(v, VALUE_MAP)) {
                for (size_t i = 0; i < v->map.n; i++)
                        if (value_has_secret(v->map.entries[i].value))
                                return true;
                return false;
        }
        return value_is(v, VALUE_SECRET);
}

const char *value_kind_name(ValueKind kind) {
        static const char *const names[] = {
                [VALUE_NULL] = "null",   [VALUE_BOOL] = "yes or no", [VALUE_INT] = "number", [VALUE_TEXT] = "text",
                [VALUE_BYTES] = "bytes", [VALUE_ARRAY] = "list",     [VALUE_MAP] = "map",    [VALUE_SECRET] = "secret",
        };
        assert((size_t)kind < ELEMENTSOF(names));
        return names[kind];
}
