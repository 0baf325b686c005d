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
static const Judge judge_reading = {-EBADMSG, ERR_JOURNAL_VERSION, "It was written by a newer pawl: settle it with that one.",
                                    true};

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

/* Payloads nest as deep as their constant tables do. */
static int judge_payload(const Judge *j, const Field *fields, const Value *named, Error *err) {
        int r = judge_kind(j, VALUE_MAP, named, err);
        for (size_t i = 0; r >= 0 && i < named->map.n; i++) {
                const MapEntry *e = &named->map.entries[i];
                if (!e->name)
                        return error_set(err, j->r, j->code, j->hint, "the field %u is not known", e->num);
                const Field *f = field_by_name(fields, e->name);
                if (!f)
                        return error_set(err, j->r, j->code, j->hint, "the field \"%s\" is not known", e->name);
                r = judge_field(j, f, e->value, err);
                if (r < 0)
                        return error_context(err, r, "field \"%s\"", e->name);
        }
        return r < 0 ? r : judge_presence(j, fields, named, err);
}
