/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value: the one tree that plans, arguments, before-images, results, specs and API bodies are made of.
 *
 * A tree owns all below it. Setters take the child; when a setter fails the child is freed, so a caller never has to. A
 * map keeps the order in which keys were set (plans and specs print as written); equality and encoding do not depend on
 * it. A map key is a text or a small number (numbers are how payloads are written on disk; see field.h).
 *
 * A secret holds bytes that must never reach a log, a terminal, an argument list or the journal in plain form. It is
 * open (plain bytes, wiped when freed) or sealed (ciphertext, see seal.h); printing either gives "****".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define VALUE_DEPTH_MAX 16

typedef enum ValueKind {
        VALUE_NULL,
        VALUE_BOOL,
        VALUE_INT,
        VALUE_TEXT, /* UTF-8, no NUL inside */
        VALUE_BYTES,
        VALUE_ARRAY,
        VALUE_MAP,
        VALUE_SECRET,
} ValueKind;

typedef struct Value Value;

typedef struct MapEntry {
        char *name;   /* NULL: a numbered key */
        uint32_t num; /* the number where name is NULL */
        Value *value;
} MapEntry;

struct Value {
        ValueKind kind;
        bool is_sealed; /* VALUE_SECRET only */
        union {
                bool boolean;
                int64_t integer;
                struct {
                        char *data; /* text, bytes and secrets: always NUL-terminated behind `size` */
                        size_t size;
                } bytes;
                struct {
                        Value **items;
                        size_t n, allocated;
                } array;
                struct {
                        MapEntry *entries;
                        size_t n, allocated;
                } map;
        };
};

/* Constructors return NULL when memory is out. Text and bytes are copied. */
Value *value_new_null(void);
Value *value_new_bool(bool b);
Value *value_new_int(int64_t i);
Value *value_new_text(const char *text);
Value *value_new_text_n(const char *text, size_t n);
Value *value_new_format(const char *format, ...) _printf_(1, 2);
Value *value_new_bytes(const void *data, size_t size);
Value *value_new_secret(const void *data, size_t size); /* open */
Value *value_new_sealed(const void *data, size_t size);
Value *value_new_array(void);
Value *value_new_map(void);
Value *value_free(Value *v); /* takes NULL; wipes secrets; returns NULL */
static inline void value_freep(Value **v) {
        *v = value_free(*v);
}
Value *value_copy(const Value *v); /* deep; NULL stays NULL; NULL when memory is out */

/* Map. The child is taken (also on failure); a NULL child means "memory was out when it was made": -ENOMEM. An
 * existing key is replaced in place. Each returns 0 or -ENOMEM with err filled (err may be NULL). */
int value_set(Value *map, const char *name, Value *child, Error *err);
int value_set_num(Value *map, uint32_t num, Value *child, Error *err);
int value_set_text(Value *map, const char *name, const char *text, Error *err); /* NULL text: nothing is set */
int value_set_int(Value *map, const char *name, int64_t i, Error *err);
int value_set_bool(Value *map, const char *name, bool b, Error *err);
int value_set_bytes(Value *map, const char *name, const void *data, size_t size, Error *err);
int value_set_copy(Value *map, const char *name, const Value *v, Error *err); /* a copy; NULL: nothing is set */
int value_append(Value *array, Value *child, Error *err);
int value_append_text(Value *array, const char *text, Error *err);
void value_remove(Value *map, const char *name);
/* For decoders that have already proven the key to be absent: adds without looking (a look per entry is quadratic on
 * hostile input). `name` (heap, or NULL for the number) and `child` are taken, also on failure. */
int value_add_entry(Value *map, char *name, uint32_t num, Value *child, Error *err);

/* Look-ups borrow; NULL (or the default) when `v` is NULL, not a map, lacks the key, or the kind is another. */
Value *value_get(const Value *map, const char *name);
Value *value_get_num(const Value *map, uint32_t num);
Value *value_at(const Value *array, size_t i);
/* Items of an array, entries of a map; 0 otherwise. */
size_t value_count(const Value *v);
const char *value_get_text(const Value *map, const char *name); /* NULL when absent */
const char *value_get_text_or(const Value *map, const char *name, const char *otherwise);
int64_t value_get_int(const Value *map, const char *name, int64_t otherwise);
bool value_get_bool(const Value *map, const char *name, bool otherwise);
const char *value_text(const Value *v); /* of a text value, else NULL */
/* "a.b.c" through nested maps; borrowed. */
Value *value_path(const Value *v, const char *path);

bool value_is(const Value *v, ValueKind kind);
/* Deep equality; map order does not count; a secret equals a secret with the same bytes and sealing (compared in
 * constant time). */
bool value_equal(const Value *a, const Value *b);
/* True when any secret, open or sealed, lies at or below v. */
bool value_has_secret(const Value *v);
const char *value_kind_name(ValueKind kind); /* "text", "list", "map", ... as error messages say it */
