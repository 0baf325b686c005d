/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text building. (Messages for people are printed by cli alone; the layers below hand them up through callbacks.)
 */
#pragma once

#include <stdarg.h>

#include "core/base/error.h"

/* A growing text. Zero-initialised is empty; after a failed allocation it stays failed and text_take() returns NULL. */
typedef struct Text {
        char *data;
        size_t size, allocated;
        bool is_failed;
} Text;

void text_done(Text *t);
#define _cleanup_text_ _cleanup_(text_done)
void text_add(Text *t, const char *s);
void text_add_n(Text *t, const char *s, size_t n);
void text_addf(Text *t, const char *format, ...) _printf_(2, 3);
/* The text ("" when empty), owned by the caller; NULL when memory was out. */
char *text_take(Text *t);

/* A new text by format, or NULL. */
char *text_format(const char *format, ...) _printf_(1, 2);

/* Hides what looks like a secret: user:password@ in URLs; values after password|secret|token|key|credential|dsn with
 * = or :. New text. */
char *text_redact(const char *s);
/* True when a variable of this name is shown as ****: contains PASSWORD, SECRET, TOKEN, KEY, CREDENTIAL or DSN, any
 * case. */
bool name_is_secret(const char *name);

/* The candidate nearest to `word` by edit distance (at most a third of its length, one more where both begin alike),
 * or NULL. Candidates end with NULL. */
const char *text_nearest(const char *word, const char *const *candidates);

/* Valid UTF-8 (no overlong forms, no surrogates) without NUL? */
/* Of the mark that some editors put in front of UTF-8 text: 3, or 0 where there is none. */
size_t utf8_mark_size(const char *s, size_t n);
bool utf8_is_valid(const char *s, size_t n);
/*
 * In place: every byte that is not part of valid UTF-8, and every control character but tab and newline, becomes '?'.
 * What a program printed or an archive named can then be written to the journal and to a terminal.
 */
void text_clean(char *s);

/* Valid UTF-8 without NUL and other control characters except tab and newline? */
bool text_is_clean(const char *s, size_t n);

/*
 * For a terminal, which obeys what it is shown: control characters but tab and newline (C0, DEL, and C1 also as UTF-8),
 * those that change the direction of text, and every byte that is not part of valid UTF-8 become \xNN. Without is_utf8
 * (the terminal's) every byte above 0x7f does. New text, or NULL.
 */
char *text_escape_terminal(const char *s, size_t n, bool is_utf8);

/* "512 B", "12 KiB", "1.5 MiB": for people. ret holds 32 bytes. */
void size_format(uint64_t size, char ret[static 32]);
/* "2GB" (powers of 1000), "500M" and "10MiB" (powers of 1024), plain bytes; any case. -EINVAL otherwise. */
int size_parse(const char *text, uint64_t *ret);
