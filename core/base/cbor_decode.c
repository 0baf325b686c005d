/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: libcbor reads single heads; this file decides which heads may stand where. Its tree half (cbor_load) is
 * never used: it allocates what a declared length asks for. Here a length that the remaining input cannot hold is
 * refused first.
 */
#include <cbor.h>
#include <errno.h>
#include <string.h>

#include "core/base/cbor.h"
#include "core/base/text.h"

typedef enum HeadKind {
        HEAD_REFUSED,
        HEAD_UINT,
        HEAD_NEGINT,
        HEAD_BYTES,
        HEAD_TEXT,
        HEAD_ARRAY,
        HEAD_MAP,
        HEAD_TAG,
        HEAD_BOOL,
        HEAD_NULL,
} HeadKind;

typedef struct Head {
        HeadKind kind;
        uint64_t n; /* the number, the length, the count, the tag */
        const uint8_t *data;
        const char *why; /* HEAD_REFUSED */
} Head;

typedef struct Decoder {
        const uint8_t *data;
        size_t size, at;
} Decoder;

static void on_uint8(void *head, uint8_t n) {
        *(Head *)head = (Head){.kind = HEAD_UINT, .n = n};
}

static void on_uint16(void *head, uint16_t n) {
        *(Head *)head = (Head){.kind = HEAD_UINT, .n = n};
}

static void on_uint32(void *head, uint32_t n) {
        *(Head *)head = (Head){.kind = HEAD_UINT, .n = n};
}

static void on_uint64(void *head, uint64_t n) {
        *(Head *)head = (Head){.kind = HEAD_UINT, .n = n};
}

static void on_negint8(void *head, uint8_t n) {
        *(Head *)head = (Head){.kind = HEAD_NEGINT, .n = n};
}

static void on_negint16(void *head, uint16_t n) {
        *(Head *)head = (Head){.kind = HEAD_NEGINT, .n = n};
}

static void on_negint32(void *head, uint32_t n) {
        *(Head *)head = (Head){.kind = HEAD_NEGINT, .n = n};
}

static void on_negint64(void *head, uint64_t n) {
        *(Head *)head = (Head){.kind = HEAD_NEGINT, .n = n};
}

static void on_bytes(void *head, cbor_data data, size_t size) {
        *(Head *)head = (Head){.kind = HEAD_BYTES, .n = size, .data = data};
}

static void on_text(void *head, cbor_data data, size_t size) {
        *(Head *)head = (Head){.kind = HEAD_TEXT, .n = size, .data = data};
}

static void on_array(void *head, size_t n) {
        *(Head *)head = (Head){.kind = HEAD_ARRAY, .n = n};
}

static void on_map(void *head, size_t n) {
        *(Head *)head = (Head){.kind = HEAD_MAP, .n = n};
}

static void on_tag(void *head, uint64_t n) {
        *(Head *)head = (Head){.kind = HEAD_TAG, .n = n};
}

static void on_bool(void *head, bool b) {
        *(Head *)head = (Head){.kind = HEAD_BOOL, .n = b};
}

static void on_null(void *head) {
        *(Head *)head = (Head){.kind = HEAD_NULL};
}

static void on_indefinite(void *head) {
        *(Head *)head = (Head){.kind = HEAD_REFUSED, .why = "an indefinite length"};
}

static void on_undefined(void *head) {
        *(Head *)head = (Head){.kind = HEAD_REFUSED, .why = "an undefined value"};
}

static void on_float(void *head, float f) {
        (void)f;
        *(Head *)head = (Head){.kind = HEAD_REFUSED, .why = "a floating-point number"};
}

static void on_double(void *head, double d) {
        (void)d;
        *(Head *)head = (Head){.kind = HEAD_REFUSED, .why = "a floating-point number"};
}

static const struct cbor_callbacks callbacks = {
        .uint8 = on_uint8,
        .uint16 = on_uint16,
        .uint32 = on_uint32,
        .uint64 = on_uint64,
        .negint8 = on_negint8,
        .negint16 = on_negint16,
        .negint32 = on_negint32,
        .negint64 = on_negint64,
        .byte_string_start = on_indefinite,
        .byte_string = on_bytes,
        .string = on_text,
        .string_start = on_indefinite,
        .indef_array_start = on_indefinite,
        .array_start = on_array,
        .indef_map_start = on_indefinite,
        .map_start = on_map,
        .tag = on_tag,
        .float2 = on_float,
        .float4 = on_float,
        .float8 = on_double,
        .undefined = on_undefined,
        .null = on_null,
        .boolean = on_bool,
        .indef_break = on_indefinite,
};

static int refuse(const Decoder *d, Error *err, const char *why) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "malformed CBOR at byte %zu: %s", d->at, why);
}

static size_t shortest_head(uint64_t n) {
        if (n < 24)
                return 1;
        if (n <= UINT8_MAX)
                return 2;
        if (n <= UINT16_MAX)
                return 3;
        return n <= UINT32_MAX ? 5 : 9;
}

/* libcbor does not say in how many bytes a number was written; what it read does. */
static size_t expected_size(const Head *h) {
        switch (h->kind) {
        case HEAD_UINT:
        case HEAD_NEGINT:
        case HEAD_ARRAY:
        case HEAD_MAP:
        case HEAD_TAG:
                return shortest_head(h->n);
        case HEAD_BYTES:
        case HEAD_TEXT:
                return shortest_head(h->n) + h->n;
        case HEAD_BOOL:
        case HEAD_NULL:
        case HEAD_REFUSED:
                break;
        }
        return 1;
}

/* The number that the head at hand claims, without believing it; 0 where there is none. */
static uint64_t claimed_number(const uint8_t *p, size_t size) {
        unsigned info = p[0] & 0x1f;
        if (info < 24 || info > 27)
                return info < 24 ? info : 0;
        size_t n = (size_t)1 << (info - 24);
        uint64_t number = 0;
        for (size_t i = 1; i <= n && i < size; i++)
                number = number << 8 | p[i];
        return n < size ? number : 0;
}

static int next_head(Decoder *d, Head *ret, Error *err) {
        size_t left = d->size - d->at;
        if (left == 0)
                return refuse(d, err, "it ends too early");
        unsigned major = d->data[d->at] >> 5;
        /* Strings, arrays and maps: libcbor need not be trusted with a length that adds up to more than there is. */
        if (major >= 2 && major <= 5 && claimed_number(d->data + d->at, left) > left)
                return refuse(d, err, "a length beyond the end");
        Head head = {.kind = HEAD_REFUSED, .why = "an unassigned value"};
        struct cbor_decoder_result result = cbor_stream_decode(d->data + d->at, left, &callbacks, &head);
        if (result.status == CBOR_DECODER_NEDATA)
                return refuse(d, err, "it ends too early");
        if (result.status != CBOR_DECODER_FINISHED || head.kind == HEAD_REFUSED)
                return refuse(d, err, head.why ? head.why : "an unassigned value");
        if (result.read != expected_size(&head))
                return refuse(d, err, "a number longer than needed");
        d->at += result.read;
        *ret = head;
        return 0;
}

static int decode_integer(const Decoder *d, const Head *h, Value **ret, Error *err) {
        if (h->n > INT64_MAX)
                return refuse(d, err, "an integer beyond 64 bits with sign");
        *ret = value_new_int(h->kind == HEAD_UINT ? (int64_t)h->n : -1 - (int64_t)h->n);
        return *ret ? 0 : error_no_memory(err);
}

static int decode_text(const Decoder *d, const Head *h, Value **ret, Error *err) {
        if (!utf8_is_valid((const char *)h->data, h->n))
                return refuse(d, err, "a text that is not UTF-8 or holds NUL");
        *ret = value_new_text_n((const char *)h->data, h->n);
        return *ret ? 0 : error_no_memory(err);
}

static int decode_sealed(Decoder *d, const Head *tag, Value **ret, Error *err) {
        if (tag->n != CBOR_TAG_SEALED)
                return refuse(d, err, "a tag other than that of sealed secrets");
        Head h;
        int r = next_head(d, &h, err);
        if (r < 0)
                return r;
        if (h.kind != HEAD_BYTES)
                return refuse(d, err, "a sealed secret that is not bytes");
        *ret = value_new_sealed(h.data, h.n);
        return *ret ? 0 : error_no_memory(err);
}

static int decode_leaf(Decoder *d, const Head *h, Value **ret, Error *err) {
        switch (h->kind) {
        case HEAD_UINT:
        case HEAD_NEGINT:
                return decode_integer(d, h, ret, err);
        case HEAD_BYTES:
                *ret = value_new_bytes(h->data, h->n);
                break;
        case HEAD_TEXT:
                return decode_text(d, h, ret, err);
        case HEAD_TAG:
                return decode_sealed(d, h, ret, err);
        case HEAD_BOOL:
                *ret = value_new_bool(h->n != 0);
                break;
        case HEAD_NULL:
                *ret = value_new_null();
                break;
        case HEAD_ARRAY:
        case HEAD_MAP:
        case HEAD_REFUSED:
                return refuse(d, err, "an unassigned value");
        }
        return *ret ? 0 : error_no_memory(err);
}

typedef struct Key {
        const uint8_t *data; /* as encoded; NULL: no key yet */
        size_t size;
} Key;

/* Bytewise order of the encoded keys (RFC 8949, 4.2.1); equal keys are not in order either. */
static bool keys_ascend(const Key *a, const Key *b) {
        if (!a->data)
                return true;
        int c = memcmp(a->data, b->data, MIN(a->size, b->size));
        return c < 0 || (c == 0 && a->size < b->size);
}

/* Not strndup: it may look for an end of the text beyond the record. */
static char *name_copy(const Head *h) {
        char *name = malloc((size_t)h->n + 1);
        if (!name)
                return NULL;
        memcpy(name, h->data, (size_t)h->n);
        name[h->n] = '\0';
        return name;
}

static int decode_key(Decoder *d, Key *last, char **ret_name, uint32_t *ret_num, Error *err) {
        const size_t start = d->at;
        Head h;
        int r = next_head(d, &h, err);
        if (r < 0)
                return r;
        const bool is_text = h.kind == HEAD_TEXT;
        if (!is_text && (h.kind != HEAD_UINT || h.n > UINT32_MAX))
                return refuse(d, err, "a key that is neither text nor a small number");
        if (is_text && !utf8_is_valid((const char *)h.data, h.n))
                return refuse(d, err, "a key that is not UTF-8 or holds NUL");
        const Key key = {d->data + start, d->at - start};
        if (!keys_ascend(last, &key))
                return refuse(d, err, "a key twice or out of order");
        *last = key;
        char *name = is_text ? name_copy(&h) : NULL;
        if (is_text && !name)
                return error_no_memory(err);
        *ret_name = name;
        *ret_num = is_text ? 0 : (uint32_t)h.n;
        return 0;
}

static int decode_value(Decoder *d, unsigned depth, Value **ret, Error *err) {
        Head h;
        int r = next_head(d, &h, err);
        if (r < 0)
                return r;
        if (h.kind != HEAD_ARRAY && h.kind != HEAD_MAP)
                return decode_leaf(d, &h, ret, err);
        if (depth == VALUE_DEPTH_MAX)
                return refuse(d, err, "nested too deeply");
        const bool is_map = h.kind == HEAD_MAP;
        if (h.n > (d->size - d->at) / (is_map ? 2 : 1))
                return refuse(d, err, "a length beyond the end");
        _cleanup_(value_freep) Value *out = is_map ? value_new_map() : value_new_array();
        Key last = {0};
        for (uint64_t i = 0; i < h.n; i++) {
                _cleanup_free_ char *name = NULL;
                uint32_t num = 0;
                Value *child = NULL;
                if (is_map)
                        r = decode_key(d, &last, &name, &num, err);
                if (r >= 0)
                        r = decode_value(d, depth + 1, &child, err);
                if (r >= 0)
                        r = is_map ? value_add_entry(out, TAKE_PTR(name), num, child, err)
                                   : value_append(out, child, err);
                if (r < 0)
                        return r;
        }
        if (!out)
                return error_no_memory(err);
        *ret = TAKE_PTR(out);
        return 0;
}

int cbor_decode(const void *data, size_t size, Value **ret, Error *err) {
        Decoder d = {.data = data, .size = size};
        _cleanup_(value_freep) Value *v = NULL;
        int r = decode_value(&d, 0, &v, err);
        if (r < 0)
                return r;
        if (d.at != size)
                return refuse(&d, err, "something follows the value");
        *ret = TAKE_PTR(v);
        return 0;
}
