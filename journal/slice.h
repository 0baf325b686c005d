/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that belong to someone else. */
#pragma once

#include <stddef.h>

typedef struct Slice {
        const void *data;
        size_t size;
} Slice;
#define SLICE(p, n) ((Slice){(p), (n)})
