/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as pawl reads it: block and flow maps and lists, plain and quoted scalars, comments. No anchors, aliases, tags,
 * merge keys, or second document; duplicate keys are errors; at most 16 levels, 100,000 events, 1 MiB. Every scalar is
 * a text (or null when plain and empty or ~): who reads it knows its type.
 */
#pragma once

#include "core/base/value.h"

/* Where a node stands, for messages. A parallel tree to the Value: same order of entries/items. */
typedef struct YamlMark {
        uint32_t line, column;         /* 1-based */
        uint32_t key_line, key_column; /* of the key, for map entries */
        bool is_quoted;
        struct YamlMark *children; /* owned; as many as the value has */
        size_t n_children;
} YamlMark;
void yaml_mark_done(YamlMark *m);

/* Errors are ERR_SPEC, "file:line:column: ..." */
int yaml_parse(const char *text, size_t size, const char *file, Value **ret, YamlMark *ret_marks, Error *err);
