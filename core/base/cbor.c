/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: libcbor makes single heads; this file decides which stand where, so that one value has one encoding. */
#include <assert.h>
#include <cbor.h>
#include <errno.h>
#include <string.h>

#include "core/base/cbor.h"
#include "core/base/text.h"

#define HEAD_SIZE_MAX 9

typedef struct Buffer {
        uint8_t *data;
        size_t size, allocated;
} Buffer;

static void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer){0};
}

static int buffer_reserve(Buffer *b, size_t n, Error *err) {
        if (n <= b->allocated - b->size)
                return 0;
        size_t wanted = MAX(b->size + n, MAX(b->allocated * 2, (size_t)256));
        uint8_t *grown = wanted < n ? NULL : realloc(b->data, wanted);
        if (!grown)
                return error_no_memory(err);
        b->data = grown;
        b->allocated = wanted;
        return 0;
}

typedef size_t (*HeadEncoder)(uint64_t n, unsigned char *ret, size_t size);

static int put_head(Buffer *b, HeadEncoder encode, uint64_t n, Error *err) {
        int r = buffer_reserve(b, HEAD_SIZE_MAX, err);
        if (r < 0)
                return r;
        size_t written = encode(n, b->data + b->size, b->allocated - b->size);
        assert(written > 0);
        b->size += written;
        return 0;
}

static int put_data(Buffer *b, HeadEncoder encode, const void *data, size_t size, Error *err) {
        int r = put_head(b, encode, size, err);
        if (r >= 0)
                r = buffer_reserve(b, size, err);
        if (r >= 0 && size > 0) {
                memcpy(b->data + b->size, data, size);
                b->size += size;
        }
        return r;
}

static size_t encode_bool(uint64_t n, unsigned char *ret, size_t size) {
        return cbor_encode_bool(n != 0, ret, size);
}

static size_t encode_null(uint64_t n, unsigned char *ret, size_t size) {
        (void)n;
        return cbor_encode_null(ret, size);
}

/* libcbor takes lengths as size_t, which is not uint64_t everywhere. */
static size_t encode_bytes(uint64_t n, unsigned char *ret, size_t size) {
        return cbor_encode_bytestring_start((size_t)n, ret, size);
}

static size_t encode_text(uint64_t n, unsigned char *ret, size_t size) {
        return cbor_encode_string_start((size_t)n, ret, size);
}

static size_t encode_array(uint64_t n, unsigned char *ret, size_t size) {
        return cbor_encode_array_start((size_t)n, ret, size);
}

static size_t encode_map(uint64_t n, unsigned char *ret, size_t size) {
        return cbor_encode_map_start((size_t)n, ret, size);
}

static int refuse_value(Error *err, const char *why) {
        return error_set(err, -EINVAL, ERR_FAILED, NULL, "cannot encode: %s", why);
}

static int put_text(Buffer *b, const char *text, size_t size, Error *err) {
        if (!utf8_is_valid(text, size))
                return refuse_value(err, "a text is not UTF-8");
        return put_data(b, encode_text, text, size, err);
}

static int put_secret(Buffer *b, const Value *v, Error *err) {
        if (!v->is_sealed)
                return refuse_value(err, "a secret is not sealed");
        int r = put_head(b, cbor_encode_tag, CBOR_TAG_SEALED, err);
        return r < 0 ? r : put_data(b, encode_bytes, v->bytes.data, v->bytes.size, err);
}

/* The order of the encoded keys: numbers first, by value; then texts, by length (it comes first), then by content. */
static int compare_entries(const void *a, const void *b) {
        const MapEntry *x = *(const MapEntry *const *)a, *y = *(const MapEntry *const *)b;
        if (!x->name || !y->name) {
                if (x->name || y->name)
                        return x->name ? 1 : -1;
                return (x->num > y->num) - (x->num < y->num);
        }
        size_t n = strlen(x->name), m = strlen(y->name);
        return n == m ? strcmp(x->name, y->name) : (n > m) - (n < m);
}

static int sort_entries(const Value *map, const MapEntry ***ret, Error *err) {
        _cleanup_free_ const MapEntry **sorted = calloc(MAX(map->map.n, (size_t)1), sizeof(*sorted));
        if (!sorted)
                return error_no_memory(err);
        for (size_t i = 0; i < map->map.n; i++)
                sorted[i] = &map->map.entries[i];
        qsort(sorted, map->map.n, sizeof(*sorted), compare_entries);
        for (size_t i = 1; i < map->map.n; i++)
                if (compare_entries(&sorted[i - 1], &sorted[i]) == 0)
                        return refuse_value(err, "a map holds a key twice");
        *ret = TAKE_PTR(sorted);
        return 0;
}

static int encode_value(Buffer *b, const Value *v, unsigned depth, Error *err) {
        if ((v->kind == VALUE_ARRAY || v->kind == VALUE_MAP) && depth == VALUE_DEPTH_MAX)
                return refuse_value(err, "nested too deeply");
        _cleanup_free_ const MapEntry **sorted = NULL;
        int r = 0;
        switch (v->kind) {
        case VALUE_NULL:
                return put_head(b, encode_null, 0, err);
        case VALUE_BOOL:
                return put_head(b, encode_bool, v->boolean, err);
        case VALUE_INT:
                return v->integer >= 0 ? put_head(b, cbor_encode_uint, (uint64_t)v->integer, err)
                                       : put_head(b, cbor_encode_negint, ~(uint64_t)v->integer, err);
        case VALUE_TEXT:
                return put_text(b, v->bytes.data, v->bytes.size, err);
        case VALUE_BYTES:
                return put_data(b, encode_bytes, v->bytes.data, v->bytes.size, err);
        case VALUE_SECRET:
                return put_secret(b, v, err);
        case VALUE_ARRAY:
                r = put_head(b, encode_array, v->array.n, err);
                for (size_t i = 0; r >= 0 && i < v->array.n; i++)
                        r = encode_value(b, v->array.items[i], depth + 1, err);
                return r;
        case VALUE_MAP:
                r = sort_entries(v, &sorted, err);
                if (r >= 0)
                        r = put_head(b, encode_map, v->map.n, err);
                for (size_t i = 0; r >= 0 && i < v->map.n; i++) {
                        const MapEntry *e = sorted[i];
                        r = e->name ? put_text(b, e->name, strlen(e->name), err)
                                    : put_head(b, cbor_encode_uint, e->num, err);
                        if (r >= 0)
                                r = encode_value(b, e->value, depth + 1, err);
                }
                return r;
        }
        return r;
}

int cbor_encode(const Value *v, uint8_t **ret_data, size_t *ret_size, Error *err) {
        if (!v)
                return error_no_memory(err);
        _cleanup_(buffer_done) Buffer b = {0};
        int r = encode_value(&b, v, 0, err);
        if (r < 0)
                return r;
        *ret_data = TAKE_PTR(b.data);
        *ret_size = b.size;
        return 0;
}
