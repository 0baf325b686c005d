/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of a spec: where it stands, and from its text to its type.
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
/* "port" must be a number from 1 to 65535 or auto, not "http" */
int spec_refuse_type(const SpecNode *node, const SpecKey *key, Error *err);

/* The i-th child; `name` is put behind the path, or the path is kept where it is NULL. */
SpecNode spec_child(const SpecNode *node, size_t i, const char *name);

/* Is `word` in "a b c"? */
bool spec_words_have(const char *words, const char *word);

/* Any type but SPEC_MAP, SPEC_LIST and SPEC_LATER. *ret is NULL when the value says nothing ("auto" where that is so). */
int spec_read_scalar(const SpecNode *node, const SpecKey *key, Value **ret, Error *err);
