/* SPDX-License-Identifier: Apache-2.0 */
#include <libsmartcols/libsmartcols.h>
#include <string.h>

#include "cli/table.h"

struct Table {
        struct libscols_table *columns;
        Out *out;
        size_t n;
};

Table *table_free(Table *t) {
        if (t)
                scols_unref_table(t->columns);
        free(t);
        return NULL;
}

Table *table_new(Out *out, const char *const *headings) {
        _cleanup_(table_freep) Table *t = calloc(1, sizeof(Table));
        if (!t || !(t->columns = scols_new_table()))
                return NULL;
        t->out = out;
        /* However narrow the terminal is: a cut version or path is worth nothing. */
        (void)scols_table_set_termforce(t->columns, SCOLS_TERMFORCE_NEVER);
        if (scols_table_set_column_separator(t->columns, "  ") < 0)
                return NULL;
        for (; headings[t->n]; t->n++)
                if (!scols_table_new_column(t->columns, headings[t->n], 0, 0))
                        return NULL;
        return TAKE_PTR(t);
}

void table_add(Table *t, const char *const *cells) {
        struct libscols_line *line = t ? scols_table_new_line(t->columns, NULL) : NULL;
        for (size_t i = 0; line && i < t->n; i++) {
                char *cell = out_spell(t->out, cells[i] && *cells[i] ? cells[i] : "—");
                if (!cell || scols_line_refer_data(line, i, cell) < 0)
                        free(cell);
        }
}

/* Without the blanks that fill up the last column. */
static void print_trimmed(const char *text, Out *out) {
        while (*text) {
                size_t n = strcspn(text, "\n"), shown = n;
                while (shown > 0 && text[shown - 1] == ' ')
                        shown--;
                out_print(out, "%.*s\n", (int)shown, text);
                text += n + (text[n] == '\n');
        }
}

void table_print(Table *t) {
        _cleanup_free_ char *text = NULL;
        if (t && scols_print_table_to_string(t->columns, &text) == 0 && text)
                print_trimmed(text, t->out);
}
