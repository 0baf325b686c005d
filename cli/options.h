/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: the command line, read by the tables of flags (flags.def) and commands (commands.c).
 *
 * Flags stand before, between or behind the words; "--" ends them, and what follows is the program's argument
 * list for commands that take one.
 */
#pragma once

#include "core/base/error.h"

typedef enum FlagId {
#define FLAG(symbol, name, letter, argument, text) FLAG_##symbol,
#include "cli/flags.def"
#undef FLAG
        FLAG_COUNT
} FlagId;

#define FLAG_BIT(symbol) (UINT64_C(1) << FLAG_##symbol)
/* Taken by every command. */
#define FLAGS_COMMON                                                                                 \
        (FLAG_BIT(ROOT) | FLAG_BIT(JSON) | FLAG_BIT(QUIET) | FLAG_BIT(WAIT) | FLAG_BIT(REQUEST_ID) | \
         FLAG_BIT(EXIT_CODES) | FLAG_BIT(NO_COLOR) | FLAG_BIT(SET) | FLAG_BIT(HELP))

typedef struct Flag {
        const char *name;
        char letter;
        const char *argument; /* NULL: takes none */
        const char *text;
} Flag;
extern const Flag flags[FLAG_COUNT];

typedef struct Command Command;

typedef struct GivenFlag {
        FlagId id;
        const char *value; /* borrowed from argv; NULL where the flag takes none */
} GivenFlag;

typedef struct Options {
        const Command *command; /* NULL: none was named */
        GivenFlag *given;
        size_t n_given;
        const char **words; /* what is left behind the command's name */
        size_t n_words;
        char **exec; /* behind "--"; NULL: there was none */
        size_t n_exec;
} Options;
void options_done(Options *o);
#define _cleanup_options_ _cleanup_(options_done)

/*
 * Borrows argv. ERR_USAGE; *ret holds what was understood so far also then (--json and --exit-codes shape the
 * answer).
 */
int options_parse(int argc, char **argv, Options *ret, Error *err);

bool option_is(const Options *o, FlagId id);
const char *option_text(const Options *o, FlagId id); /* the last one; NULL: not given */
/* The whole of a number without sign, at most `max`. `otherwise` where the flag was not given. */
int option_number(const Options *o, FlagId id, uint64_t max, uint64_t otherwise, uint64_t *ret, Error *err);
int number_parse(const char *text, uint64_t max, uint64_t *ret);
