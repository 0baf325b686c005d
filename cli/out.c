/* SPDX-License-Identifier: Apache-2.0 */
/* Every text is made whole before it is written, so that a line is one write and the marks can be exchanged in it. */
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "core/base/text.h"

/* clang-format off */
static const struct {
        const char *mark, *plain;
} marks[] = {
        {"✓", "ok"},
        {"✗", "failed"},
        {"→", "->"},
        {"·", "-"},
        {"—", "-"},
        {"…", "..."},
};

static const char *const colours[] = {
        [OUT_GREEN]  = "\033[32m",
        [OUT_YELLOW] = "\033[33m",
        [OUT_RED]    = "\033[31m",
};
/* clang-format on */
#define COLOUR_END "\033[0m"

/*
 * Else the first file that is opened, which may be the journal's, would be taken for the stream. Open the wrong way
 * round, so that using it fails as it does when it is closed.
 */
static void fill_closed_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void out_init(Out *out) {
        const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
        fill_closed_streams();
        (void)setlocale(LC_CTYPE, "");
        out->is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        out->has_colour = !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
}

void out_done(Out *out) {
        text_done(&out->printed);
}

static size_t mark_at(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(marks); i++)
                if (strncmp(s, marks[i].mark, strlen(marks[i].mark)) == 0)
                        return i;
        return ELEMENTSOF(marks);
}

char *out_spell(const Out *out, const char *s) {
        _cleanup_text_ Text t = {0};
        while (*s) {
                size_t i = out->is_utf8 ? ELEMENTSOF(marks) : mark_at(s);
                size_t n = i < ELEMENTSOF(marks) ? strlen(marks[i].mark) : out->is_utf8 ? strlen(s) : 1;
                text_add_n(&t, i < ELEMENTSOF(marks) ? marks[i].plain : s,
                           i < ELEMENTSOF(marks) ? strlen(marks[i].plain) : n);
                s += n;
        }
        return text_take(&t);
}

/* The length of the colour at s, or 0. */
static size_t colour_length(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(colours); i++)
                if (strncmp(s, colours[i], strlen(colours[i])) == 0)
                        return strlen(colours[i]);
        return strncmp(s, COLOUR_END, strlen(COLOUR_END)) == 0 ? strlen(COLOUR_END) : 0;
}

/* As a terminal may see it: only our own colours are left as they are. */
static char *for_terminal(const Out *out, const char *s) {
        _cleanup_text_ Text t = {0};
        while (*s) {
                size_t n_colour = colour_length(s), n = n_colour;
                while (n_colour == 0 && s[n] && (n == 0 || colour_length(s + n) == 0))
                        n++;
                _cleanup_free_ char *escaped = n_colour ? NULL : text_escape_terminal(s, n, out->is_utf8);
                if (!n_colour && !escaped)
                        return NULL;
                text_add_n(&t, escaped ? escaped : s, escaped ? strlen(escaped) : n);
                s += n;
        }
        return text_take(&t);
}

/* Of stdout the first reason is kept: what follows fails for having failed. */
static void note_failure(Out *out) {
        if (out->write_errno == 0)
                out->write_errno = errno;
}

static void put(Out *out, FILE *stream, const char *s, size_t size) {
        if (fwrite(s, 1, size, stream) < size && stream == stdout)
                note_failure(out);
}

static void write_text(Out *out, FILE *stream, const char *s) {
        _cleanup_free_ char *spelled = out_spell(out, s);
        const char *text = spelled ? spelled : s;
        if (!isatty(fileno(stream))) {
                put(out, stream, text, strlen(text));
                return;
        }
        _cleanup_free_ char *shown = spelled ? for_terminal(out, spelled) : NULL;
        if (shown)
                put(out, stream, shown, strlen(shown));
}

static _printf_(3, 0) void write_format(Out *out, FILE *stream, const char *format, va_list ap) {
        char *text = NULL;
        if (vasprintf(&text, format, ap) < 0)
                return;
        write_text(out, stream, text);
        free(text);
}

static _printf_(2, 0) void keep_format(Out *out, const char *format, va_list ap) {
        char *text = NULL;
        if (vasprintf(&text, format, ap) < 0)
                return;
        text_add(&out->printed, text);
        free(text);
}

void out_flush(Out *out) {
        if (fflush(stdout) != 0)
                note_failure(out);
}

void out_print(Out *out, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        out_bar(out, NULL);
        if (out->is_json)
                keep_format(out, format, ap);
        else
                write_format(out, stdout, format, ap);
        va_end(ap);
        out_flush(out);
}

void out_raw(Out *out, const char *data, size_t size) {
        out_bar(out, NULL);
        if (!isatty(STDOUT_FILENO)) {
                put(out, stdout, data, size);
                return;
        }
        _cleanup_free_ char *shown = text_escape_terminal(data, size, out->is_utf8);
        if (shown)
                put(out, stdout, shown, strlen(shown));
}

void out_say(Out *out, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        out_flush(out); /* both may be the same file */
        out_bar(out, NULL);
        write_format(out, stderr, format, ap);
        va_end(ap);
}

const char *out_colour(const Out *out, FILE *stream, OutColour colour) {
        return out->has_colour && isatty(fileno(stream)) ? colours[colour] : "";
}

const char *out_plain(const Out *out, FILE *stream) {
        return out->has_colour && isatty(fileno(stream)) ? COLOUR_END : "";
}

bool out_has_terminal(void) {
        return isatty(STDERR_FILENO);
}

bool out_has_failed(const Out *out) {
        return out->write_errno != 0;
}

int out_finish(Out *out, Error *err) {
        out_flush(out);
        /* A file on another machine may say only now that it had no room. */
        int copy = dup(STDOUT_FILENO);
        if (copy >= 0 && close(copy) < 0)
                note_failure(out);
        if (out->write_errno == 0 || out->write_errno == EPIPE)
                return 0;
        return error_set(err, -out->write_errno, ERR_IO,
                         "What was printed is not complete: run it again, to another place.",
                         "could not write to stdout: %s", strerror(out->write_errno));
}

void out_bar(Out *out, const char *text) {
        if (!text && !out->is_bar_open)
                return;
        out_flush(out);
        (void)fputs("\r\033[K", stderr);
        if (text)
                write_text(out, stderr, text);
        out->is_bar_open = text != NULL;
}
