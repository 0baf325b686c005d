/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field tables: the shape of a payload, stated once.
 *
 * From the table come validation, the numbered form on disk, JSON names, plan text and redaction. A number is written
 * to disk: never reuse one, never change its type. A reader accepts every payload version it ever wrote; a field it
 * does not know means a newer pawl wrote it, and the caller puts the transaction on hold instead of guessing: unless
 * its number says that whoever does not know it may pass it over.
 */
#pragma once

#include "core/base/value.h"

typedef enum FieldType {
        FIELD_BOOL,
        FIELD_INT,
        FIELD_TEXT,
        FIELD_BYTES,
        FIELD_LIST, /* of texts (or secrets), or of maps when `fields` is given */
        FIELD_MAP,  /* with `fields`: a payload of its own; without: free text keys, any values */
        FIELD_ANY,  /* a free value (text keys stay text on disk) */
} FieldType;

typedef enum FieldFlags {
        FIELD_REQUIRED = 1 << 0,
        FIELD_PATH = 1 << 1,   /* a path relative to the root, no leading "/", no "..", not empty */
        FIELD_SECRET = 1 << 2, /* must be a secret (in a LIST or free MAP: every value may be one) */
        FIELD_HIDDEN = 1 << 3, /* left out of one-line descriptions (long content) */
} FieldFlags;

#define FIELD_PASSED_OVER 0x8000u /* from here on: nothing goes wrong where it is not known */

typedef struct Field {
        uint32_t num; /* 1..; 0 ends the table */
        const char *name;
        FieldType type;
        unsigned flags;
        uint32_t since; /* payload version that brought it */
        const struct Field *fields;
} Field;

/* clang-format off */
#define FIELD_END {0, NULL, FIELD_ANY, 0, 0, NULL}
/* clang-format on */

/* Checks a named payload: unknown names, missing REQUIRED ones, wrong types. -EINVAL with ERR_FAILED: it is our own
 * bug when we made it, so the message names `what` and the field. */
int field_check(const Field *fields, const Value *named, const char *what, Error *err);

/* Named → numbered and back, recursively. Both return a new tree owned by the caller and leave the argument alone.
 * unpack: an unknown number below FIELD_PASSED_OVER or a wrong type is -EBADMSG with ERR_JOURNAL_VERSION ("written
 * by a newer pawl"). */
int field_pack(const Field *fields, const Value *named, Value **ret_numbered, Error *err);
int field_unpack(const Field *fields, const Value *numbered, Value **ret_named, Error *err);

/* True when a path relative to the root is safe: not empty, no leading or trailing "/", no "." or ".." or empty
 * component, no control characters, at most 4095 bytes. */
bool path_is_safe(const char *path);
