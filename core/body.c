/* SPDX-License-Identifier: Apache-2.0 */
/* The tables below are the on-disk format of bodies: numbers are never reused, types never change. */
#include <errno.h>

#include "core/base/cbor.h"
#include "core/body.h"

/* clang-format off */
static const Field step_fields[] = {
        { 1, "kind",     FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 2, "manager",  FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 3, "version",  FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 4, "debt",     FIELD_INT,  0,              1, NULL},
        { 5, "group",    FIELD_INT,  0,              1, NULL},
        { 6, "depends",  FIELD_ANY,  0,              1, NULL},
        { 7, "args",     FIELD_ANY,  FIELD_REQUIRED, 1, NULL}, /* numbered by the manager's own table */
        { 8, "artifact", FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};

static const Field group_fields[] = {
        { 1, "name",     FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 2, "required", FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        { 3, "shared",   FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};

const Field body_plan_fields[] = {
        { 1, "flow",     FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 2, "service",  FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 3, "from",     FIELD_TEXT, 0,              1, NULL},
        { 4, "to",       FIELD_TEXT, 0,              1, NULL},
        { 5, "steps",    FIELD_LIST, FIELD_REQUIRED, 1, step_fields},
        { 6, "groups",   FIELD_LIST, 0,              1, group_fields},
        { 7, "claims",   FIELD_LIST, 0,              1, NULL},
        { 8, "rows",     FIELD_ANY,  0,              1, NULL},
        { 9, "held",     FIELD_ANY,  0,              1, NULL},
        {10, "spec",     FIELD_ANY,  0,              1, NULL},
        {11, "forward",  FIELD_BOOL, 0,              1, NULL},
        {12, "timeout",  FIELD_INT,  0,              1, NULL},
        FIELD_END,
};

static const Field genesis_fields[] = {
        { 1, "nonce",    FIELD_BYTES, FIELD_REQUIRED, 1, NULL}, /* makes the journal's id unique */
        { 2, "root",     FIELD_TEXT,  FIELD_REQUIRED, 1, NULL},
        { 3, "promise",  FIELD_TEXT,  FIELD_REQUIRED, 1, NULL}, /* what the file system promises about power loss */
        { 4, "pawl",     FIELD_TEXT,  FIELD_REQUIRED, 1, NULL},
        { 5, "host",     FIELD_TEXT,  0,              1, NULL},
        FIELD_END,
};

static const Field begin_fields[] = {
        { 1, "plan",     FIELD_MAP,  FIELD_REQUIRED, 1, body_plan_fields},
        { 2, "actor",    FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 3, "request",  FIELD_TEXT, 0,              1, NULL},
        { 4, "hash",     FIELD_TEXT, 0,              1, NULL},
        { 5, "pawl",     FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field intent_fields[] = {
        { 1, "before",   FIELD_ANY,  FIELD_REQUIRED, 1, NULL}, /* numbered by the manager's own table */
        FIELD_END,
};

static const Field done_fields[] = {
        { 1, "change",   FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 2, "facts",    FIELD_ANY,  0,              1, NULL},
        FIELD_END,
};

static const Field reason_fields[] = {
        { 1, "code",     FIELD_TEXT, 0,              1, NULL},
        { 2, "message",  FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 3, "rows",     FIELD_ANY,  0,              1, NULL},
        { 4, "detail",   FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};

static const Field commit_fields[] = {
        { 1, "rows",     FIELD_ANY,  FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field recover_fields[] = {
        { 1, "direction", FIELD_TEXT, 0,             1, NULL},
        FIELD_END,
};

static const Field undone_fields[] = {
        { 1, "probe",    FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};

static const Field resolved_fields[] = {
        { 1, "decision", FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 2, "actor",    FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field finished_fields[] = {
        { 1, "warning",  FIELD_TEXT, 0,              1, NULL},
        { 2, "facts",    FIELD_ANY,  0,              1, NULL},
        FIELD_END,
};

static const Field note_fields[] = {
        { 1, "level",    FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 2, "text",     FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 3, "rows",     FIELD_ANY,  0,              1, NULL}, /* of the journal's own: a hold that is lifted */
        FIELD_END,
};

static const Field checkpoint_fields[] = {
        { 1, "rows",     FIELD_ANY,  FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field repair_fields[] = {
        { 1, "from",     FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        { 2, "to",       FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field end_fields[] = {
        { 1, "result",   FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        { 2, "rows",     FIELD_ANY,  FIELD_REQUIRED, 1, NULL},
        FIELD_END,
};

static const Field *const body_table[RECORD_KIND_MAX] = {
        [RECORD_GENESIS]      = genesis_fields,
        [RECORD_BEGIN]        = begin_fields,
        [RECORD_INTENT]       = intent_fields,
        [RECORD_DONE]         = done_fields,
        [RECORD_FAILED]       = reason_fields,
        [RECORD_GROUP_UNDONE] = undone_fields,
        [RECORD_COMMIT]       = commit_fields,
        [RECORD_ABORT]        = reason_fields,
        [RECORD_RECOVER]      = recover_fields,
        [RECORD_UNDONE]       = undone_fields,
        [RECORD_STUCK]        = reason_fields,
        [RECORD_RESOLVED]     = resolved_fields,
        [RECORD_FINISHED]     = finished_fields,
        [RECORD_NOTE]         = note_fields,
        [RECORD_CHECKPOINT]   = checkpoint_fields,
        [RECORD_REPAIR]       = repair_fields,
        [RECORD_END]          = end_fields,
};
/* clang-format on */

const Field *body_fields(RecordKind kind) {
        return (unsigned)kind < ELEMENTSOF(body_table) ? body_table[kind] : NULL;
}

static int value_to_bytes(const Value *v, const SealKey *key, uint8_t **ret, size_t *ret_size, Error *err) {
        int r;
        if (!key || !value_has_secret(v))
                return cbor_encode(v, ret, ret_size, err);
        _cleanup_(value_freep) Value *sealed = value_copy(v);
        if (!sealed)
                return error_no_memory(err);
        r = seal_tree(key, sealed, err);
        if (r < 0)
                return r;
        return cbor_encode(sealed, ret, ret_size, err);
}

int body_encode(RecordKind kind, const Value *body, const SealKey *key, uint8_t **ret, size_t *ret_size, Error *err) {
        _cleanup_(value_freep) Value *numbered = NULL;
        int r = field_check(body_fields(kind), body, record_slug(kind), err);
        if (r < 0)
                return r;
        r = field_pack(body_fields(kind), body, &numbered, err);
        if (r < 0)
                return r;
        return value_to_bytes(numbered, key, ret, ret_size, err);
}

int body_decode(const Record *record, const SealKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *numbered = NULL, *named = NULL;
        int r = cbor_decode(record->body, record->n_body, &numbered, err);
        if (r < 0) {
                if (err && r == -EBADMSG)
                        err->code = ERR_JOURNAL_DAMAGED;
                return error_context(err, r, "record %llu (%s)", (unsigned long long)record->seq,
                                     record_slug(record->kind));
        }
        r = field_unpack(body_fields(record->kind), numbered, &named, err);
        if (r < 0)
                return error_context(err, r, "record %llu (%s)", (unsigned long long)record->seq,
                                     record_slug(record->kind));
        if (key) {
                r = unseal_tree(key, named, err);
                if (r < 0)
                        return error_context(err, r, "record %llu (%s)", (unsigned long long)record->seq,
                                             record_slug(record->kind));
        }
        *ret = TAKE_PTR(named);
        return 0;
}

int body_encode_row(const Value *row, const SealKey *key, uint8_t **ret, size_t *ret_size, Error *err) {
        return value_to_bytes(row, key, ret, ret_size, err);
}

int body_decode_row(const Row *row, const SealKey *key, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        int r = cbor_decode(row->data, row->size, &v, err);
        if (r < 0) {
                if (err && r == -EBADMSG)
                        err->code = ERR_JOURNAL_DAMAGED;
                return error_context(err, r, "row \"%s\"", row->key);
        }
        if (key) {
                r = unseal_tree(key, v, err);
                if (r < 0)
                        return error_context(err, r, "row \"%s\"", row->key);
        }
        *ret = TAKE_PTR(v);
        return 0;
}
