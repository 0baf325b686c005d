/* SPDX-License-Identifier: Apache-2.0 */
/* The sources there are, and what they share. */
#pragma once

#include "managers/manager.h"

extern const Source source_path;
extern const Source source_url;

typedef struct SourceFacts {
        const char *sha256, *format, *location, *etag, *last_modified;
        int64_t size; /* negative: not known */
} SourceFacts;
/* The map that resolve returns. */
int source_facts_make(const SourceFacts *f, Value **ret, Error *err);
