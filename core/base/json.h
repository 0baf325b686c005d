/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON for people and programs. Secrets print as "****", bytes as lower-case hex text, numbered keys as their number in
 * text.
 */
#pragma once

#include "core/base/value.h"

typedef enum JsonFlags {
        JSON_COMPACT = 0,
        JSON_PRETTY = 1 << 0, /* two spaces */
} JsonFlags;

/* Text owned by the caller, without a closing newline. Map order is kept. */
int json_encode(const Value *v, unsigned flags, char **ret, Error *err);

/* Hostile input: depth ≤ VALUE_DEPTH_MAX, no duplicate keys, reals refused (-EBADMSG) unless integral. */
int json_decode(const char *text, size_t size, Value **ret, Error *err);
