/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a spec as it was written: what stands there, and how messages name it.
 */
#pragma once

#include "core/spec_keys.h"
#include "core/yaml.h"

typedef struct SpecReader {
        const char *file;      /* borrowed: in front of every message */
        const char *directory; /* borrowed: base of relative paths; NULL: only absolute ones */
} SpecReader;

typedef struct SpecNode {
        const SpecReader *reader; /* borrowed, like the rest */
        const Value *value;       /* NULL: absent */
        const YamlMark *mark;     /* NULL: did not come from a file */
        char path[128];           /* "health.port", as messages name it */
} SpecNode;

#define SPEC_SHOWN_MAX 84
/* A text of the user's for a message: cut, and without what could steer a terminal. */
const char *spec_shown(const char *text, char ret[static SPEC_SHOWN_MAX]);

/* -EINVAL, ERR_SPEC with "file:line:column: " of the value, or of its key, in front. */
int spec_refuse(const SpecNode *node, const char *hint, Error *err, const char *format, ...) _printf_(4, 5);
int spec_refuse_key(const SpecNode *node, const char *hint, Error *err, const char *format, ...) _printf_(4, 5);
/* ERR_NOT_SUPPORTED: "dns" is not supported by pawl 0.1; what is `path`, or "path: value". */
int spec_refuse_later(const SpecNode *node, const char *value, const char *hint, Error *err);

/* The i-th child; `name` is put behind the path, or the path is kept where it is NULL. */
SpecNode spec_child(const SpecNode *node, size_t i, const char *name);

/* The child of this name; one that is null says nothing and is absent: its value is NULL. */
SpecNode spec_get(const SpecNode *node, const char *name);

/* Is `word` in "a b c"? */
bool spec_words_have(const char *words, const char *word);
