/* SPDX-License-Identifier: Apache-2.0 */
/* A table for people: columns two spaces apart, as wide as they need. */
#pragma once

#include "cli/out.h"

typedef struct Table Table;

/*
 * `headings` ends with NULL. `out` is borrowed until the table is freed. NULL when memory is out (the calls
 * below then do nothing).
 */
Table *table_new(Out *out, const char *const *headings);
Table *table_free(Table *t);
static inline void table_freep(Table **t) {
        *t = table_free(*t);
}
/* One cell per heading, copied; NULL is shown as "—". */
void table_add(Table *t, const char *const *cells);
void table_print(Table *t);
