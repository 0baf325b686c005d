/* SPDX-License-Identifier: Apache-2.0 */
/* The sources there are, and what they share. */
#pragma once

#include "managers/download.h"

extern const Source source_path;
extern const Source source_url;
extern const Source source_github;
extern const Source source_gitea;

typedef struct SourceFacts {
        const char *sha256, *format, *location, *etag, *last_modified;
        int64_t size; /* negative: not known */
} SourceFacts;
/* The map that resolve returns. */
int source_facts_make(const SourceFacts *f, Value **ret, Error *err);

/* Into a file without a name, lying where the release store will be, so that a name is all it needs later. */
int source_download(const Host *host, const Download *download, Downloaded *ret, Prefetched *ret_prefetched,
                    Error *err);
