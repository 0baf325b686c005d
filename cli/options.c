/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same letter may mean two flags (-n NAME, -n N) as long as no command takes both: so the command is found
 * first.
 */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "core/base/text.h"

/* clang-format off */
const Flag flags[FLAG_COUNT] = {
#define FLAG(symbol, name, letter, argument, text) [FLAG_##symbol] = {name, letter, argument, text},
#include "cli/flags.def"
#undef FLAG
};
/* clang-format on */

void options_done(Options *o) {
        free(o->given);
        free(o->words);
        *o = (Options){0};
}

int number_parse(const char *text, uint64_t max, uint64_t *ret) {
        uint64_t n = 0;
        if (!*text)
                return -EINVAL;
        for (; *text; text++) {
                if (*text < '0' || *text > '9' || n > (max - (uint64_t)(*text - '0')) / 10)
                        return -EINVAL;
                n = n * 10 + (uint64_t)(*text - '0');
        }
        *ret = n;
        return 0;
}

bool option_is(const Options *o, FlagId id) {
        for (size_t i = 0; i < o->n_given; i++)
                if (o->given[i].id == id)
                        return true;
        return false;
}

const char *option_text(const Options *o, FlagId id) {
        for (size_t i = o->n_given; i-- > 0;)
                if (o->given[i].id == id)
                        return o->given[i].value;
        return NULL;
}

int option_number(const Options *o, FlagId id, uint64_t max, uint64_t otherwise, uint64_t *ret, Error *err) {
        const char *text = option_text(o, id);
        if (!text) {
                *ret = otherwise;
                return 0;
        }
        if (number_parse(text, max, ret) < 0)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--%s needs a number from 0 to %llu, not \"%s\"",
                                 flags[id].name, (unsigned long long)max, text);
        return 0;
}

/* ---- Finding ----------------------------------------------------------------------------------------------------- */

/* The flags that may be written here: before the command is known, the common ones and those of every command. */
static uint64_t flags_allowed(const Command *c) {
        return c ? c->flags | FLAGS_COMMON : FLAGS_COMMON;
}

static FlagId flag_by_name(const char *name, size_t n_name, uint64_t allowed) {
        for (FlagId id = 0; id < FLAG_COUNT; id++)
                if ((allowed & (UINT64_C(1) << id)) && strlen(flags[id].name) == n_name &&
                    strncmp(flags[id].name, name, n_name) == 0)
                        return id;
        return FLAG_COUNT;
}

static FlagId flag_by_letter(char letter, uint64_t allowed) {
        for (FlagId id = 0; id < FLAG_COUNT; id++)
                if ((allowed & (UINT64_C(1) << id)) && flags[id].letter == letter)
                        return id;
        return FLAG_COUNT;
}

/* What a spec says and this command does not take: named by its key. NULL: no such flag. */
static const char *spec_key_of(const char *word, const Command *c) {
        /* clang-format off */
        static const struct { FlagId id; const char *key; } keys[] = {
                {FLAG_ENV, "env"}, {FLAG_PORT, "port"}, {FLAG_HEALTH, "health"}, {FLAG_USER, "runtime.user"},
        };
        /* clang-format on */
        size_t n = strcspn(word, "=");
        for (size_t i = 0; c && c->need == NEED_WRITE && i < ELEMENTSOF(keys); i++) {
                const Flag *f = &flags[keys[i].id];
                bool is_long = strncmp(word, "--", 2) == 0 && strlen(f->name) == n - 2 &&
                               strncmp(word + 2, f->name, n - 2) == 0;
                if (is_long || (n == 2 && f->letter && word[1] == f->letter))
                        return keys[i].key;
        }
        return NULL;
}

static int flag_missing(const char *word, const Command *c, Error *err) {
        const char *names[FLAG_COUNT + 1] = {0};
        uint64_t allowed = flags_allowed(c);
        size_t n = 0;
        for (FlagId id = 0; id < FLAG_COUNT; id++)
                if (allowed & (UINT64_C(1) << id))
                        names[n++] = flags[id].name;
        _cleanup_free_ char *name = strndup(word + 2, strcspn(word + 2, "="));
        const char *near = name && word[1] == '-' ? text_nearest(name, names) : NULL;
        int r = error_set(err, -EINVAL, ERR_USAGE, NULL, "%s%s does not take %.*s", c ? c->name : "pawl",
                          c ? "" : " itself", (int)strcspn(word, "="), word);
        const char *key = spec_key_of(word, c);
        if (key)
                error_hint(err, "Change %s in the spec and apply it.", key);
        else if (near)
                error_hint(err, "Did you mean --%s?", near);
        else
                error_hint(err, "\"pawl help%s%s\" shows what there is.", c ? " " : "", c ? c->name : "");
        return r;
}

/* ---- Parsing ----------------------------------------------------------------------------------------------------- */

typedef struct Parser {
        char **argv;
        int argc, i;
        Options *options;
} Parser;

static int parser_add(Parser *p, FlagId id, const char *value, Error *err) {
        const Flag *flag = &flags[id];
        if (!flag->argument && value)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--%s takes no value", flag->name);
        if (flag->argument && !value && p->i + 1 < p->argc)
                value = p->argv[++p->i];
        if (flag->argument && !value)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--%s needs %s", flag->name, flag->argument);
        p->options->given[p->options->n_given++] = (GivenFlag){.id = id, .value = value};
        return 0;
}

static int parse_long(Parser *p, const char *word, Error *err) {
        size_t n = strcspn(word + 2, "=");
        FlagId id = flag_by_name(word + 2, n, flags_allowed(p->options->command));
        if (id == FLAG_COUNT)
                return flag_missing(word, p->options->command, err);
        return parser_add(p, id, word[2 + n] ? word + 2 + n + 1 : NULL, err);
}

/* -qf, -n20, -n 20 */
static int parse_letters(Parser *p, const char *word, Error *err) {
        for (const char *s = word + 1; *s; s++) {
                FlagId id = flag_by_letter(*s, flags_allowed(p->options->command));
                if (id == FLAG_COUNT)
                        return flag_missing((char[]){'-', *s, '\0'}, p->options->command, err);
                const char *rest = flags[id].argument && s[1] ? s + 1 : NULL;
                int r = parser_add(p, id, rest, err);
                if (r < 0 || rest)
                        return r;
        }
        return 0;
}

static int parse_word(Parser *p, const char *word, Error *err) {
        Options *o = p->options;
        if (o->command) {
                o->words[o->n_words++] = word;
                return 0;
        }
        const char *second = p->i + 1 < p->argc ? p->argv[p->i + 1] : NULL;
        int r = command_find(word, second, &o->command, err);
        if (r < 0)
                return r;
        p->i += r == COMMAND_TWO_WORDS ? 1 : 0;
        return 0;
}

static int parse_all(Parser *p, Error *err) {
        int r = 0;
        for (p->i = 1; r == 0 && p->i < p->argc; p->i++) {
                const char *word = p->argv[p->i];
                if (strcmp(word, "--") == 0) {
                        p->options->exec = p->argv + p->i + 1;
                        p->options->n_exec = (size_t)(p->argc - p->i - 1);
                        break;
                }
                if (strncmp(word, "--", 2) == 0)
                        r = parse_long(p, word, err);
                else if (word[0] == '-' && word[1])
                        r = parse_letters(p, word, err);
                else
                        r = parse_word(p, word, err);
        }
        return r;
}

static int check_words(const Options *o, Error *err) {
        const Command *c = o->command;
        if (!c || option_is(o, FLAG_HELP))
                return 0;
        if (o->n_words < c->min)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "%s needs %s", c->name, c->words);
        if (o->n_words > c->max)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "%s: \"%s\" is one word too many", c->name,
                                 o->words[c->max]);
        if (o->exec && !c->takes_exec)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "%s takes no program behind \"--\"", c->name);
        if (o->exec && o->n_exec == 0)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "there is no program behind \"--\"");
        return 0;
}

/* The usage of the command is the best hint where there is no better one. */
static int usage_hint(const Options *o, int r, Error *err) {
        if (r < 0 && err && !*err->hint && o->command)
                error_hint(err, "usage: pawl %s%s%s [flags]%s; \"pawl help %s\" shows more.", o->command->name,
                           *o->command->words ? " " : "", o->command->words,
                           o->command->takes_exec ? " [-- PROGRAM ARG...]" : "", o->command->name);
        return r;
}

int options_parse(int argc, char **argv, Options *ret, Error *err) {
        Parser p = {.argv = argv, .argc = argc, .options = ret};
        size_t n = 1;
        for (int i = 1; i < argc; i++)
                n += strlen(argv[i]); /* -qqq is three */
        *ret = (Options){.given = calloc(n, sizeof(GivenFlag)), .words = calloc((size_t)MAX(argc, 1), sizeof(char *))};
        if (!ret->given || !ret->words)
                return error_no_memory(err);
        int r = parse_all(&p, err);
        if (r == 0)
                r = check_words(ret, err);
        return usage_hint(ret, r, err);
}
