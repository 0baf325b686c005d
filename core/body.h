/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of records: the shape of each, and the way to disk and back.
 *
 * On disk every secret is sealed by the transaction's key and every name is a number.
 */
#pragma once

#include "core/base/field.h"
#include "core/base/seal.h"
#include "journal/journal.h"

const Field *body_fields(RecordKind kind); /* NULL: a kind whose body is free */
extern const Field body_plan_fields[];

/* Owned bytes. `body` is left alone: a copy is sealed with `key` (NULL: it must hold no open secret). */
int body_encode(RecordKind kind, const Value *body, const SealKey *key, uint8_t **ret, size_t *ret_size, Error *err);

/* Secrets are opened when `key` is given, stay sealed otherwise. -EBADMSG: ERR_JOURNAL_DAMAGED (not CBOR) or
 * ERR_JOURNAL_VERSION (a newer pawl). */
int body_decode(const Record *record, const SealKey *key, Value **ret, Error *err);

/* A row's value, the same way: {"tx": whose key seals it, ...}. */
int body_encode_row(const Value *row, const SealKey *key, uint8_t **ret, size_t *ret_size, Error *err);
int body_decode_row(const Row *row, const SealKey *key, Value **ret, Error *err);
