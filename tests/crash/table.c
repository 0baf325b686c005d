/* SPDX-License-Identifier: Apache-2.0 */
/* crash.table: what the tiers counted (counts.h), as the table in README.md; or whether the table there is one that
 * this program wrote: a row for every flow, a column for every tier, no failure.
 *
 * usage: crash.table FOLDER | --write FOLDER README | --check README */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/counts.h"
#include "tests/crash/flows.h"
#include "tests/crash/mutants.h"

enum { LINE_SIZE = 1024, NO_CELL_SIZE = 32 };

static const char begin_mark[] = "<!-- counts: written by crash.table -->\n", end_mark[] = "<!-- counts: end -->\n";

/* ---- Columns ---- */

typedef struct Column {
        const char *title, *tier;
        void (*cell)(const Count *c, char *ret, size_t size);
} Column;

static void two_numbers(uint64_t a, uint64_t b, char *ret, size_t size) {
        (void)snprintf(ret, size, "%" PRIu64 " / %" PRIu64, a, b);
}

static void cell_points(const Count *c, char *ret, size_t size) {
        two_numbers(c->n_points, c->n_states, ret, size);
}

static void cell_states(const Count *c, char *ret, size_t size) {
        (void)snprintf(ret, size, "%" PRIu64, c->n_states);
}

static void cell_faults(const Count *c, char *ret, size_t size) {
        (void)snprintf(ret, size, "%" PRIu64, c->n_faults);
}

static void cell_nested(const Count *c, char *ret, size_t size) {
        two_numbers(c->n_states, c->n_classes, ret, size);
        if (c->n_left > 0)
                (void)snprintf(ret + strlen(ret), size - strlen(ret), " + %" PRIu64, c->n_left);
}

/* clang-format off */
static const Column columns[] = {
        {"kill: points / runs",                   "kill",   cell_points},
        {"lint: recordings",                      "lint",   cell_states},
        {"power: events / states",                "power",  cell_points},
        {"nested: states / classes + not cut",    "nested", cell_nested},
        {"fail: faults",                          "fail",   cell_faults},
        {"alloc: faults",                         "alloc",  cell_faults},
        {"disk: states",                          "disk",   cell_states},
};
/* clang-format on */
enum { N_COLUMNS = sizeof columns / sizeof *columns };

/* ---- The table ---- */

static void add(Count *sum, const Count *c) {
        sum->n_points += c->n_points;
        sum->n_states += c->n_states;
        sum->n_classes += c->n_classes;
        sum->n_faults += c->n_faults;
        sum->n_failures += c->n_failures;
        sum->msec += c->msec;
        sum->n_left += c->n_left;
        sum->is_sample |= c->is_sample;
}

/* NULL: of all flows. */
static void print_flow(FILE *out, const char *folder, const char *flow) {
        Count all = {0};

        (void)fprintf(out, "| %s |", flow != NULL ? flow : "all");
        for (size_t i = 0; i < N_COLUMNS; i++) {
                char cell[64] = "-";
                Count c = {0};

                if (count_read(folder, columns[i].tier, flow, &c))
                        columns[i].cell(&c, cell, sizeof cell);
                (void)fprintf(out, " %s |", cell);
                add(&all, &c);
        }
        (void)fprintf(out, " %" PRIu64 " | %.1f |\n", all.n_failures, (double)all.msec / 1000);
}

static void print_taken(FILE *out, const char *folder) {
        (void)fprintf(out, "| taken |");
        for (size_t i = 0; i < N_COLUMNS; i++) {
                Count c = {0};
                bool is_there = count_read(folder, columns[i].tier, NULL, &c);

                (void)fprintf(out, " %s |", !is_there ? "-" : c.is_sample ? "a sample" : "all");
        }
        (void)fprintf(out, " 0 | 0 |\n");
}

static void print_flows(FILE *out, const char *folder) {
        (void)fprintf(out, "| flow |");
        for (size_t i = 0; i < N_COLUMNS; i++)
                (void)fprintf(out, " %s |", columns[i].title);
        (void)fprintf(out, " failures | seconds |\n|---|");
        for (size_t i = 0; i < N_COLUMNS + 2; i++)
                (void)fprintf(out, "---|");
        (void)fprintf(out, "\n");
        for (unsigned i = 0; i < n_flows; i++)
                print_flow(out, folder, flows[i].name);
        print_flow(out, folder, NULL);
        print_taken(out, folder);
}

static void print_others(FILE *out, const char *folder) {
        static const char *const tiers[] = {"libcalls", "damage", "repair", "trails", "host", "machine"};

        (void)fprintf(out, "\n| tier | cases | runs | failures | seconds |\n|---|---|---|---|---|\n");
        for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
                Count c = {0};

                (void)count_read(folder, tiers[i], NULL, &c);
                (void)fprintf(out, "| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %.1f |\n", tiers[i], c.n_points,
                              c.n_states, c.n_failures, (double)c.msec / 1000);
        }
}

/* A mistake that lives is a failure. */
static void print_mutants(FILE *out, const char *folder) {
        const char *tier;
        Count all = {0};

        (void)fprintf(out, "\n| mutants | killed | failures | seconds |\n|---|---|---|---|\n");
        for (unsigned i = 0; (tier = mutant_tier(i)) != NULL; i++) {
                Count c = {0};

                (void)count_read(folder, "mutants", tier, &c);
                add(&all, &c);
                (void)fprintf(out, "| by %s | %" PRIu64 " / %" PRIu64 " | %" PRIu64 " | %.1f |\n", tier, c.n_states,
                              c.n_points, c.n_failures, (double)c.msec / 1000);
        }
        (void)fprintf(out, "| all | %" PRIu64 " / %" PRIu64 " | %" PRIu64 " | %.1f |\n", all.n_states, all.n_points,
                      all.n_failures, (double)all.msec / 1000);
}

static void print_table(FILE *out, const char *folder) {
        print_flows(out, folder);
        print_others(out, folder);
        print_mutants(out, folder);
}

/* ---- In the README ---- */

static char *read_all(FILE *file) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        int c;

        while (out != NULL && (c = fgetc(file)) != EOF)
                (void)fputc(c, out);
        if (out != NULL)
                (void)fclose(out);
        return text;
}

static char *read_file(const char *path) {
        FILE *file = fopen(path, "re");
        char *text = file != NULL ? read_all(file) : NULL;

        if (file != NULL)
                (void)fclose(file);
        return text;
}

static int complain(const char *path, const char *what) {
        (void)fprintf(stderr, "crash.table: %s: %s\n", path, what);
        return 1;
}

/* What stands between the marks, in `text`. */
static bool find_table(char *text, char **ret_begin, char **ret_end) {
        char *at = text != NULL ? strstr(text, begin_mark) : NULL;

        *ret_begin = at != NULL ? at + strlen(begin_mark) : NULL;
        *ret_end = at != NULL ? strstr(*ret_begin, end_mark) : NULL;
        return *ret_end != NULL;
}

static int write_table(const char *folder, const char *path) {
        char *text = read_file(path), *begin, *end, new_path[PATH_MAX];
        FILE *out;
        bool is_fine;

        if (!find_table(text, &begin, &end)) {
                free(text);
                return complain(path, "it has no place for the table");
        }
        (void)snprintf(new_path, sizeof new_path, "%.4000s.new", path);
        out = fopen(new_path, "we");
        if (out != NULL) {
                (void)fprintf(out, "%.*s", (int)(begin - text), text);
                print_table(out, folder);
                (void)fprintf(out, "%s", end);
        }
        is_fine = out != NULL && fclose(out) == 0 && rename(new_path, path) == 0;
        free(text);
        return is_fine ? 0 : complain(path, "could not write it");
}

/* ---- The form ---- */

/* A line without its numbers: what must be the same whatever was counted. */
static void form_of(const char *line, char *ret, size_t size) {
        static const char variable[] = "0123456789/+.- ";
        size_t n = 0, n_line = strcspn(line, "\n");
        bool is_first = true;

        for (const char *at = line; at < line + n_line && n + NO_CELL_SIZE < size;) {
                size_t n_cell = strcspn(at, "|\n");
                bool is_word = strncmp(at, " a sample ", 10) == 0 || strncmp(at, " all ", 5) == 0;
                bool is_count = !is_first && n_cell > 0 && (is_word || strspn(at, variable) >= n_cell);

                n += (size_t)snprintf(ret + n, size - n, "%.*s|", is_count ? 1 : (int)n_cell, is_count ? "#" : at);
                is_first = is_first && n_cell == 0;
                if (n_cell > 0 && !is_count)
                        is_first = false;
                at += n_cell + 1;
        }
}

/* The last but one of its cells. */
static bool has_failures(const char *line) {
        size_t n = strcspn(line, "\n");
        unsigned n_bars = 0;

        for (size_t i = n; i-- > 0;)
                if (line[i] == '|' && ++n_bars == 3)
                        return strtoull(line + i + 1, NULL, 10) > 0;
        return false;
}

static int check_line(const char *wanted, const char *found) {
        char wanted_form[LINE_SIZE] = "", found_form[LINE_SIZE] = "";

        form_of(wanted, wanted_form, sizeof wanted_form);
        form_of(found, found_form, sizeof found_form);
        if (strcmp(wanted_form, found_form) == 0 && !has_failures(found))
                return 0;
        (void)printf("the table says    %.*s\nit should say     %.*s\nwith its numbers, and no failure\n",
                     (int)strcspn(found, "\n"), found, (int)strcspn(wanted, "\n"), wanted);
        return 1;
}

static int check_lines(const char *wanted, const char *at, const char *end) {
        while (*wanted != 0 && at < end) {
                if (check_line(wanted, at) != 0)
                        return 1;
                wanted += strcspn(wanted, "\n") + 1;
                at += strcspn(at, "\n") + 1;
        }
        return *wanted == 0 && at == end ? 0 : complain("the table", "it has too many lines, or too few");
}

static int check_table(const char *path) {
        char *text = read_file(path), *begin, *end, *wanted = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&wanted, &size);
        int r;

        if (out == NULL)
                return 1;
        print_table(out, "");
        (void)fclose(out);
        r = find_table(text, &begin, &end) ? check_lines(wanted, begin, end)
                                           : complain(path, "it has no place for the table");
        free(text);
        free(wanted);
        if (r != 0)
                (void)printf("./dev counts writes the table anew\n");
        return r;
}

int main(int argc, char **argv) {
        if (argc == 4 && strcmp(argv[1], "--write") == 0)
                return write_table(argv[2], argv[3]);
        if (argc == 3 && strcmp(argv[1], "--check") == 0)
                return check_table(argv[2]);
        if (argc == 2 && argv[1][0] != '-') {
                print_table(stdout, argv[1]);
                return 0;
        }
        (void)fprintf(stderr, "usage: crash.table FOLDER | --write FOLDER README | --check README\n");
        return 2;
}
