/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: building, judging, hiding. Redaction prefers hiding too much: a value runs to the next white space unless it is
 * quoted, because a password may contain every other character.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/text.h"

void text_done(Text *t) {
        free(t->data);
        *t = (Text){0};
}

/* Room for n more characters and the NUL. */
static bool text_reserve(Text *t, size_t n) {
        if (t->is_failed)
                return false;
        if (n < t->allocated - t->size)
                return true;
        size_t wanted = MAX(t->size + n + 1, MAX(t->allocated * 2, (size_t)64));
        char *grown = wanted <= n ? NULL : realloc(t->data, wanted);
        if (!grown) {
                t->is_failed = true;
                return false;
        }
        t->data = grown;
        t->allocated = wanted;
        return true;
}

void text_add_n(Text *t, const char *s, size_t n) {
        if (!text_reserve(t, n))
                return;
        if (n > 0)
                memcpy(t->data + t->size, s, n);
        t->size += n;
        t->data[t->size] = '\0';
}

void text_add(Text *t, const char *s) {
        text_add_n(t, s, strlen(s));
}

void text_addf(Text *t, const char *format, ...) {
        _cleanup_free_ char *s = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        if (n < 0) {
                s = NULL;
                t->is_failed = true;
                return;
        }
        text_add_n(t, s, (size_t)n);
}

char *text_take(Text *t) {
        if (!text_reserve(t, 0)) {
                text_done(t);
                t->is_failed = true;
                return NULL;
        }
        t->data[t->size] = '\0';
        char *data = TAKE_PTR(t->data);
        text_done(t);
        return data;
}

char *text_format(const char *format, ...) {
        char *s = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        return n < 0 ? NULL : s;
}

static bool has_secret_word(const char *name, size_t n) {
        static const char *const words[] = {"PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "DSN"};
        for (size_t i = 0; i < n; i++)
                for (size_t w = 0; w < ELEMENTSOF(words); w++)
                        if (strlen(words[w]) <= n - i && strncasecmp(name + i, words[w], strlen(words[w])) == 0)
                                return true;
        return false;
}

bool name_is_secret(const char *name) {
        return has_secret_word(name, strlen(name));
}

/* Where "user:password@" of the authority at s has its password; 0 when there is none. */
static size_t url_password(const char *s, size_t *ret_start) {
        size_t n = strcspn(s, "/?# \t\r\n\"'<>");
        const char *at = memrchr(s, '@', n);
        const char *colon = at ? memchr(s, ':', (size_t)(at - s)) : NULL;
        if (!colon)
                return 0;
        *ret_start = (size_t)(colon + 1 - s);
        return (size_t)(at - colon - 1);
}

static bool is_name_char(char c) {
        return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* A quoted value ends at its quote, another at white space. What of it is quote is left standing. */
static size_t value_length(const char *s, size_t *ret_quote) {
        *ret_quote = 0;
        if (*s != '"' && *s != '\'')
                return strcspn(s, " \t\r\n");
        size_t n = 1;
        while (s[n] != '\0' && s[n] != *s)
                n += s[n] == '\\' && s[n + 1] != '\0' ? 2 : 1;
        *ret_quote = 1;
        return n - 1;
}

/* The characters between a name and its value: quote, space, "=" or ":", space. 0: no value follows. */
static size_t separator_length(const char *s) {
        size_t n = *s == '"' || *s == '\'' ? 1 : 0;
        n += strspn(s + n, " \t");
        if (s[n] != '=' && s[n] != ':')
                return 0;
        n++;
        return n + strspn(s + n, " \t");
}

/* Adds the word at s, hiding the value that follows a telling name. Returns how much of s was read. */
static size_t redact_word(Text *t, const char *s) {
        size_t n = 0;
        while (is_name_char(s[n]))
                n++;
        size_t separator = n > 0 && has_secret_word(s, n) ? separator_length(s + n) : 0;
        if (separator == 0) {
                n = MAX(n, (size_t)1);
                text_add_n(t, s, n);
                return n;
        }
        n += separator;
        size_t quote, hidden = value_length(s + n, &quote);
        text_add_n(t, s, n + quote);
        if (hidden > 0)
                text_add(t, "****");
        return n + quote + hidden;
}

char *text_redact(const char *s) {
        _cleanup_text_ Text t = {0};
        while (*s != '\0') {
                if (strncmp(s, "://", 3) != 0) {
                        s += redact_word(&t, s);
                        continue;
                }
                size_t start = 0, n = url_password(s + 3, &start);
                text_add_n(&t, s, 3 + start);
                if (n > 0)
                        text_add(&t, "****");
                s += 3 + start + n;
        }
        return text_take(&t);
}

/* Row by row; two neighbours that changed places are one mistake (optimal string alignment). Both words are at most
 * WORD_MAX long. */
enum { WORD_MAX = 64 };

static size_t edit_distance(const char *a, const char *b) {
        size_t rows[3][WORD_MAX + 1], m = strlen(b), n = strlen(a);
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        row[j] = MIN(above[j - 1] + (a[i - 1] != b[j - 1]), MIN(row[j - 1], above[j]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], above2[j - 2] + 1);
                }
        }
        return rows[n % 3][m];
}

const char *text_nearest(const char *word, const char *const *candidates) {
        const char *best = NULL;
        size_t n = strnlen(word, WORD_MAX + 1), nearest = SIZE_MAX;
        if (n < 2 || n > WORD_MAX)
                return NULL;
        for (; *candidates; candidates++) {
                if (strnlen(*candidates, WORD_MAX + 1) > WORD_MAX)
                        continue;
                /* Few mistype the first letter: a word that begins alike may differ by one more. */
                size_t limit = word[0] == (*candidates)[0] ? n / 3 + 1 : MAX(n / 3, (size_t)1);
                size_t distance = edit_distance(word, *candidates);
                if (distance > limit || distance >= nearest)
                        continue;
                best = *candidates;
                nearest = distance;
        }
        return best;
}

/* The length of the character at p (n bytes left) and its code point; 0 when it is malformed. RFC 3629. */
static size_t utf8_next(const unsigned char *p, size_t n, uint32_t *ret) {
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (p[0] < 0x80) {
                *ret = p[0];
                return 1;
        }
        size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
        if (p[0] < 0xc2 || p[0] > 0xf4 || length > n)
                return 0;
        uint32_t c = p[0] & (0x7fU >> length);
        for (size_t i = 1; i < length; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (c < smallest[length] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
                return 0;
        *ret = c;
        return length;
}

size_t utf8_mark_size(const char *s, size_t n) {
        static const char mark[] = "\xef\xbb\xbf";
        return n >= strlen(mark) && memcmp(s, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
}

bool utf8_is_valid(const char *s, size_t n) {
        const unsigned char *p = (const unsigned char *)s;
        for (size_t i = 0; i < n;) {
                uint32_t c = 0;
                size_t length = utf8_next(p + i, n - i, &c);
                if (length == 0 || c == 0)
                        return false;
                i += length;
        }
        return true;
}

static bool is_control(uint32_t c) {
        return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0);
}

/* U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069 change the direction of the text around them: with them
 * a name reads as another. */
static bool is_direction(uint32_t c) {
        return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool text_is_clean(const char *s, size_t n) {
        const unsigned char *p = (const unsigned char *)s;
        for (size_t i = 0; i < n;) {
                uint32_t c = 0;
                size_t length = utf8_next(p + i, n - i, &c);
                if (length == 0 || is_control(c))
                        return false;
                i += length;
        }
        return true;
}

void text_clean(char *s) {
        for (size_t i = 0, n = strlen(s); i < n;) {
                uint32_t c = 0;
                size_t length = utf8_next((const unsigned char *)s + i, n - i, &c);
                if (length == 0 || is_control(c))
                        memset(s + i, '?', length = MAX(length, (size_t)1));
                i += length;
        }
}

char *text_escape_terminal(const char *s, size_t n, bool is_utf8) {
        _cleanup_text_ Text t = {0};
        const unsigned char *p = (const unsigned char *)s;
        for (size_t i = 0, length; i < n; i += length) {
                uint32_t c = 0;
                length = utf8_next(p + i, n - i, &c);
                bool is_shown = length > 0 && !is_control(c) && !is_direction(c) && (c < 0x7f || is_utf8);
                length = MAX(length, (size_t)1);
                if (is_shown)
                        text_add_n(&t, s + i, length);
                for (size_t k = 0; !is_shown && k < length; k++)
                        text_addf(&t, "\\x%02x", p[i + k]);
        }
        return text_take(&t);
}

void size_format(uint64_t size, char ret[static 32]) {
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        size_t unit = 0;
        uint64_t whole = size, rest = 0;
        for (; whole >= 1024 && unit + 1 < ELEMENTSOF(units); unit++) {
                rest = whole % 1024;
                whole /= 1024;
        }
        unsigned tenth = (unsigned)(rest * 10 / 1024);
        if (whole < 10 && tenth > 0)
                snprintf(ret, 32, "%u.%u %s", (unsigned)whole, tenth, units[unit]);
        else
                snprintf(ret, 32, "%u %s", (unsigned)whole, units[unit]);
}

int size_parse(const char *text, uint64_t *ret) {
        /* clang-format off */
        static const struct { const char *name; uint64_t factor; } units[] = {
                {"",    1},           {"B",  1},
                {"K",   1ULL << 10},  {"M",  1ULL << 20},    {"G",  1ULL << 30},       {"T",  1ULL << 40},
                {"KiB", 1ULL << 10},  {"MiB", 1ULL << 20},   {"GiB", 1ULL << 30},      {"TiB", 1ULL << 40},
                {"kB",  1000ULL},     {"MB", 1000000ULL},    {"GB", 1000000000ULL},    {"TB", 1000000000000ULL},
        };
        /* clang-format on */
        uint64_t n = 0;
        size_t i = 0;
        for (; text[i] >= '0' && text[i] <= '9'; i++)
                if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
                        return -EINVAL;
        for (size_t u = 0; i > 0 && u < ELEMENTSOF(units); u++)
                if (strcasecmp(text + i, units[u].name) == 0)
                        return __builtin_mul_overflow(n, units[u].factor, ret) ? -EINVAL : 0;
        return -EINVAL;
}
