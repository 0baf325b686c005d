/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic CBOR (RFC 8949, section 4.2): one Value has exactly one encoding.
 *
 * Allowed on the wire: unsigned and negative integers that fit int64, byte strings, UTF-8 text strings, arrays, maps
 * with text or unsigned keys, false, true, null, and one tag (CBOR_TAG_SEALED around a byte string: a sealed secret).
 * Everything else, and everything that is not in its shortest, sorted, definite form, is refused. Input is hostile:
 * memory used is bounded by the input's size, depth by VALUE_DEPTH_MAX.
 */
#pragma once

#include "core/base/value.h"

#define CBOR_TAG_SEALED 28769

/* The encoding, owned by the caller. An open secret is refused (-EINVAL): only sealed ones may be written. */
int cbor_encode(const Value *v, uint8_t **ret_data, size_t *ret_size, Error *err);

/* The whole of data must be one value. -EBADMSG with the offset in the message otherwise. */
int cbor_decode(const void *data, size_t size, Value **ret, Error *err);
