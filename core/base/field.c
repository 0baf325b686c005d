/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk renames keys (names to numbers or back) and copies everything else; another judges a named payload. Packing
 * judges first and then renames; unpacking renames first and judges what came out, so that both use the same judgement.
 */
#include <errno.h>
#include <string.h>

#include "core/base/field.h"

/* Writing: a fault is our own bug. Reading: it means that another version wrote the payload. */
typedef struct Judge {
        int r;
        ErrorCode code;
        const char *hint;
        bool is_reading;
} Judge;

static const Judge judge_writing = {-EINVAL, ERR_FAILED, NULL, false};
static const Judge judge_reading = {-EBADMSG, ERR_JOURNAL_VERSION,
                                    "It was written by a newer pawl: settle it with that one.", true};

static const Field *field_by_name(const Field *fields, const char *name) {
        for (const Field *f = fields; f->num != 0; f++)
                if (strcmp(f->name, name) == 0)
                        return f;
        return NULL;
}

static const Field *field_by_num(const Field *fields, uint32_t num) {
        for (const Field *f = fields; f->num != 0; f++)
                if (f->num == num)
                        return f;
        return NULL;
}

static bool part_is_safe(const char *part, size_t n) {
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
                return false;
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
                        return false;
        return true;
}

bool path_is_safe(const char *path) {
        if (!path || strnlen(path, 4096) > 4095)
                return false;
        for (;;) {
                size_t n = strcspn(path, "/");
                if (!part_is_safe(path, n))
                        return false;
                if (path[n] == '\0')
                        return true;
                path += n + 1;
        }
}

static int wrong(const Judge *j, const char *wanted, const Value *v, Error *err) {
        return error_set(err, j->r, j->code, j->hint, "expected %s, found %s", wanted, value_kind_name(v->kind));
}

static int judge_kind(const Judge *j, ValueKind wanted, const Value *v, Error *err) {
        return v->kind == wanted ? 0 : wrong(j, value_kind_name(wanted), v, err);
}

static int wrong_name(const Judge *j, const MapEntry *e, Error *err) {
        if (e->name)
                return error_set(err, j->r, j->code, j->hint, "the field \"%s\" is not known", e->name);
        return error_set(err, j->r, j->code, j->hint, "the field %u is not known", e->num);
}

/* A single text, a text of a list: a path where the field holds paths. */
static int judge_text(const Judge *j, const Field *f, const Value *v, Error *err) {
        int r = judge_kind(j, VALUE_TEXT, v, err);
        if (r < 0 || !(f->flags & FIELD_PATH))
                return r;
        if (strlen(v->bytes.data) == v->bytes.size && path_is_safe(v->bytes.data))
                return 0;
        return error_set(err, j->r, j->code, j->hint, "\"%s\" is not a path relative to the root", v->bytes.data);
}

static int judge_scalar(const Judge *j, const Field *f, const Value *v, Error *err) {
        if (f->flags & FIELD_SECRET)
                return judge_kind(j, VALUE_SECRET, v, err);
        switch (f->type) {
        case FIELD_BOOL:
                return judge_kind(j, VALUE_BOOL, v, err);
        case FIELD_INT:
                return judge_kind(j, VALUE_INT, v, err);
        case FIELD_BYTES:
                return judge_kind(j, VALUE_BYTES, v, err);
        case FIELD_TEXT:
                return judge_text(j, f, v, err);
        case FIELD_LIST:
        case FIELD_MAP:
        case FIELD_ANY:
                break;
        }
        return 0;
}

static int judge_free_map(const Judge *j, const Field *f, const Value *v, Error *err) {
        int r = judge_kind(j, VALUE_MAP, v, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < v->map.n; i++) {
                const MapEntry *e = &v->map.entries[i];
                if (!e->name)
                        return error_set(err, j->r, j->code, j->hint, "key %u is not a text", e->num);
                if (e->value->kind == VALUE_SECRET && !(f->flags & FIELD_SECRET))
                        return error_set(err, j->r, j->code, j->hint, "\"%s\" may not be a secret", e->name);
        }
        return 0;
}

static int judge_presence(const Judge *j, const Field *fields, const Value *named, Error *err) {
        for (const Field *f = fields; f->num != 0; f++) {
                /* A payload written before the field was brought in cannot have it. */
                bool is_needed = (f->flags & FIELD_REQUIRED) && (!j->is_reading || f->since <= 1);
                if (is_needed && !value_get(named, f->name))
                        return error_set(err, j->r, j->code, j->hint, "the field \"%s\" is missing", f->name);
        }
        return 0;
}

static int judge_free_list(const Judge *j, const Field *f, const Value *v, Error *err) {
        int r = judge_kind(j, VALUE_ARRAY, v, err);
        for (size_t i = 0; r >= 0 && i < v->array.n; i++) {
                const Value *item = v->array.items[i];
                if (item->kind != VALUE_SECRET || !(f->flags & FIELD_SECRET))
                        r = judge_text(j, f, item, err);
                if (r < 0)
                        return error_context(err, r, "item %zu", i + 1);
        }
        return r;
}

static int judge_leaf(const Judge *j, const Field *f, const Value *v, Error *err) {
        switch (f->type) {
        case FIELD_BOOL:
        case FIELD_INT:
        case FIELD_TEXT:
        case FIELD_BYTES:
                return judge_scalar(j, f, v, err);
        case FIELD_LIST:
                return judge_free_list(j, f, v, err);
        case FIELD_MAP:
                return judge_free_map(j, f, v, err);
        case FIELD_ANY:
                return 0;
        }
        return 0;
}

/* A payload, or a list of payloads, is a field like any other; it nests as deep as its constant tables do. */
static int judge(const Judge *j, const Field *f, const Value *v, Error *err) {
        if (!f->fields)
                return judge_leaf(j, f, v, err);
        int r = judge_kind(j, f->type == FIELD_LIST ? VALUE_ARRAY : VALUE_MAP, v, err);
        if (r < 0)
                return r;
        if (f->type == FIELD_LIST) {
                const Field item = {.type = FIELD_MAP, .fields = f->fields};
                for (size_t i = 0; i < v->array.n; i++) {
                        r = judge(j, &item, v->array.items[i], err);
                        if (r < 0)
                                return error_context(err, r, "item %zu", i + 1);
                }
                return 0;
        }
        for (size_t i = 0; i < v->map.n; i++) {
                const MapEntry *e = &v->map.entries[i];
                const Field *child = e->name ? field_by_name(f->fields, e->name) : NULL;
                if (!child)
                        return wrong_name(j, e, err);
                r = judge(j, child, e->value, err);
                if (r < 0)
                        return error_context(err, r, "field \"%s\"", e->name);
        }
        return judge_presence(j, f->fields, v, err);
}

int field_check(const Field *fields, const Value *named, const char *what, Error *err) {
        if (!named)
                return error_context(err, error_no_memory(err), "%s", what);
        const Field payload = {.type = FIELD_MAP, .fields = fields};
        int r = judge(&judge_writing, &payload, named, err);
        return r < 0 ? error_context(err, r, "%s", what) : 0;
}

static int add_renamed(Value *out, const Field *f, bool to_numbers, Value *child, Error *err) {
        if (to_numbers)
                return value_add_entry(out, NULL, f->num, child, err);
        return value_set(out, f->name, child, err);
}

/* A value of another kind than its field says is copied as it is: judge() finds it. */
static int convert(const Field *f, const Value *v, bool to_numbers, Value **ret, Error *err) {
        bool is_list = f->type == FIELD_LIST;
        if (!f->fields || v->kind != (is_list ? VALUE_ARRAY : VALUE_MAP)) {
                *ret = value_copy(v);
                return *ret ? 0 : error_no_memory(err);
        }
        _cleanup_(value_freep) Value *out = is_list ? value_new_array() : value_new_map();
        const Field item = {.type = FIELD_MAP, .fields = f->fields};
        int r = out ? 0 : error_no_memory(err);
        for (size_t i = 0; r >= 0 && i < value_count(v); i++) {
                const MapEntry *e = is_list ? NULL : &v->map.entries[i];
                const Field *child = &item;
                if (e)
                        child = to_numbers ? field_by_name(f->fields, e->name)
                                           : field_by_num(f->fields, e->name ? 0 : e->num);
                if (!child && !to_numbers && !e->name && e->num >= FIELD_PASSED_OVER)
                        continue;
                if (!child)
                        return wrong_name(&judge_reading, e, err);
                Value *converted = NULL;
                r = convert(child, e ? e->value : v->array.items[i], to_numbers, &converted, err);
                if (r >= 0)
                        r = e ? add_renamed(out, child, to_numbers, converted, err) : value_append(out, converted, err);
        }
        if (r >= 0)
                *ret = TAKE_PTR(out);
        return r;
}

int field_pack(const Field *fields, const Value *named, Value **ret_numbered, Error *err) {
        int r = field_check(fields, named, "payload", err);
        if (r < 0)
                return r;
        const Field payload = {.type = FIELD_MAP, .fields = fields};
        return convert(&payload, named, true, ret_numbered, err);
}

int field_unpack(const Field *fields, const Value *numbered, Value **ret_named, Error *err) {
        const Field payload = {.type = FIELD_MAP, .fields = fields};
        _cleanup_(value_freep) Value *named = NULL;
        int r = convert(&payload, numbered, false, &named, err);
        if (r >= 0)
                r = judge(&judge_reading, &payload, named, err);
        if (r < 0)
                return r;
        *ret_named = TAKE_PTR(named);
        return 0;
}
