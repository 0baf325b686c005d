/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: results to stdout, messages to stderr. The only place that decides about colour, marks and silence.
 *
 * A stream that fails changes nothing of what is done on the host. Of stdout it is kept, and out_finish() tells it.
 */
#pragma once

#include <stdio.h>

#include <stdbool.h>

#include "core/base/error.h"
#include "core/base/text.h"

typedef enum OutColour { OUT_GREEN, OUT_YELLOW, OUT_RED } OutColour;

typedef struct Out {
        bool is_utf8;     /* else the marks are written in ASCII */
        bool is_quiet;    /* only changes and errors */
        bool is_json;     /* one object on stdout; stderr stays silent */
        bool has_colour;  /* allowed at all */
        bool is_bar_open; /* a progress bar stands on the terminal's last line */
        int write_errno;  /* why stdout failed first; 0: it did not */
        Text printed;     /* with is_json: what would have been result text */
} Out;

/* Sees to it that stdin, stdout and stderr are no other file, sets the locale of characters (not of messages or
 * numbers) and looks at the environment. */
void out_init(Out *out);
void out_done(Out *out);

/* The text as this locale can show it; owned by the caller, NULL when memory is out. */
char *out_spell(const Out *out, const char *text);
/*
 * Text from outside may be part of any text here. A terminal is sent no control character of it, but our own colours
 * (which are therefore the worst it can send).
 */

/* Result text (with is_json kept in `printed` instead); "✓ ✗ → · — …" become ASCII where the locale is not UTF-8. */
void out_print(Out *out, const char *format, ...) _printf_(2, 3);
/* Content of others (a log, a file): byte by byte; to a terminal with everything it would obey as \xNN. */
void out_raw(Out *out, const char *data, size_t size);
/* What out_raw() was given reaches whoever follows it. */
void out_flush(Out *out);
/* A message; what was printed before stands before it. */
void out_say(Out *out, const char *format, ...) _printf_(2, 3);

/* "\033[32m" or "" for the stream; out_plain ends it. */
const char *out_colour(const Out *out, FILE *stream, OutColour colour);
const char *out_plain(const Out *out, FILE *stream);

/* Rewrites the one line at the bottom of the terminal; NULL takes it away. Nothing where stderr is no terminal. */
void out_bar(Out *out, const char *text);
bool out_has_terminal(void); /* stderr */

bool out_has_failed(const Out *out); /* stdout: going on printing is of no use */
/*
 * Behind all output. ERR_IO: stdout could not take all of it. A reader who went away had enough, and that is no
 * failure.
 */
int out_finish(Out *out, Error *err);
