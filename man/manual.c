/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter, run while building: copies a page of the manual and puts in, for a line "@commands@" and its like, what the
 * program's own tables say. So a page cannot forget a flag. It reads the tables of cli and core, and is no part of the
 * program.
 */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "core/spec_keys.h"

/* What scdoc would take for markup. */
static void print_text(const char *text) {
        for (; *text; text++) {
                if (strchr("_*\\[]<>#", *text))
                        putchar('\\');
                putchar(*text);
        }
}

static void print_flags(uint64_t set) {
        for (FlagId id = 0; id < FLAG_COUNT; id++) {
                const Flag *f = &flags[id];
                if (!(set & (UINT64_C(1) << id)))
                        continue;
                if (f->letter)
                        printf("*-%c*, ", f->letter);
                printf("*--%s*", f->name);
                if (f->argument) {
                        printf(" ");
                        print_text(f->argument);
                }
                printf("\n\t");
                print_text(f->text);
                printf("\n\n");
        }
}

static void print_sentence(const char *text) {
        size_t n = strlen(text);
        putchar(text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' + 'A' : text[0]);
        print_text(text + 1);
        printf("%s\n\n", n > 0 && text[n - 1] == '?' ? "" : ".");
}

/* In a heading scdoc knows no markup. */
static void put_commands(void) {
        for (size_t i = 0; i < n_commands; i++) {
                const Command *c = &commands[i];
                printf("## %s %s%s\n\n", c->name, c->words, c->takes_exec ? " [-- PROGRAM ARG...]" : "");
                print_sentence(c->text);
                if (c->more)
                        printf("```\n%s```\n\n", c->more);
                print_flags(c->flags);
        }
}

static void put_flags(void) {
        print_flags(FLAGS_COMMON);
}

/* One line for each error; what has the same status stands together. */
static void put_statuses(void) {
        int last = -1;
        for (int status = 0; status < 256; status++)
                for (ErrorCode code = 0; code < ERROR_CODE_MAX; code++) {
                        if (error_exit_status(code) != status)
                                continue;
                        if (status != last)
                                printf("%s*%d*\n\t", last < 0 ? "" : "\n\n", status);
                        else
                                printf("++\n\t");
                        last = status;
                        print_text(error_text(code));
                        printf(" (");
                        print_text(error_slug(code));
                        printf(")");
                }
        printf("\n\n");
}

static void put_config(void) {
        static const struct {
                const char *key, *otherwise, *text;
        } keys[] = {
#define CONFIG(key, type, otherwise, text) {key, otherwise, text},
#include "core/config.def"
#undef CONFIG
        };
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                printf("*%s*", keys[i].key);
                if (*keys[i].otherwise) {
                        printf(" (default: ");
                        print_text(keys[i].otherwise);
                        printf(")");
                }
                printf("\n\t");
                print_text(keys[i].text);
                printf("\n\n");
        }
}

static void print_keys(const SpecKey *keys, const char *above) {
        for (const SpecKey *k = keys; k->name; k++) {
                char name[128];
                if (k->type == SPEC_LATER)
                        continue;
                (void)snprintf(name, sizeof(name), "%s%s%s", above, *above ? "." : "", k->name);
                printf("*");
                print_text(name);
                printf("*%s", k->flags & SPEC_REQUIRED ? " (needed)" : "");
                if (k->otherwise) {
                        printf(" (default: ");
                        print_text(k->otherwise);
                        printf(")");
                }
                printf("\n\t");
                print_text(k->text ? k->text : "");
                if (k->choices) {
                        printf(": one of ");
                        print_text(k->choices);
                }
                printf("\n\n");
                if (k->keys)
                        print_keys(k->keys, name);
        }
}

static void put_spec(void) {
        print_keys(spec_keys, "");
}

/* clang-format off */
static const struct {
        const char *line;
        void (*put)(void);
} places[] = {
        {"@commands@\n", put_commands},
        {"@config@\n",   put_config},
        {"@flags@\n",    put_flags},
        {"@spec@\n",     put_spec},
        {"@statuses@\n", put_statuses},
};
/* clang-format on */

int main(void) {
        char line[4096];
        while (fgets(line, sizeof(line), stdin)) {
                size_t i = 0;
                while (i < ELEMENTSOF(places) && strcmp(places[i].line, line) != 0)
                        i++;
                if (i < ELEMENTSOF(places))
                        places[i].put();
                else
                        fputs(line, stdout);
        }
        return ferror(stdin) || fflush(stdout) != 0;
}
