/* SPDX-License-Identifier: Apache-2.0 */
/* See sources.h. */
#include <string.h>

#include "managers/sources.h"

static const Source *const sources[] = {
        &source_path,
        &source_url,
};

const Source *source_by_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                if (strcmp(sources[i]->type, type) == 0)
                        return sources[i];
        return NULL;
}

size_t source_count(void) {
        return ELEMENTSOF(sources);
}

const Source *source_at(size_t i) {
        return i < ELEMENTSOF(sources) ? sources[i] : NULL;
}

int source_facts_make(const SourceFacts *f, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r = v ? value_set_text(v, "sha256", f->sha256, err) : error_no_memory(err);
        if (r == 0 && f->size >= 0)
                r = value_set_int(v, "size", f->size, err);
        if (r == 0)
                r = value_set_text(v, "format", f->format, err);
        if (r == 0)
                r = value_set_text(v, "location", f->location, err);
        if (r == 0)
                r = value_set_text(v, "etag", f->etag, err);
        if (r == 0)
                r = value_set_text(v, "last_modified", f->last_modified, err);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}
