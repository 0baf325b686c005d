/* SPDX-License-Identifier: Apache-2.0 */
/* See checksums.h. A line is looked at where it lies; nothing is copied but the digest. */
#include <errno.h>
#include <string.h>

#include "managers/checksums.h"

#define HEX (DIGEST_HEX_SIZE - 1)

typedef struct Span {
        const char *p;
        size_t n;
} Span;

typedef struct Line {
        Span hex, name; /* name.p NULL: a digest without a name */
} Line;

static bool is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static bool begins(Span s, const char *with) {
        size_t n = strlen(with);
        return s.n >= n && memcmp(s.p, with, n) == 0;
}

static Span skip(Span s, size_t n) {
        return (Span){s.p + n, s.n - n};
}

static Span trim(Span s) {
        while (s.n > 0 && (is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r'))
                s.n--;
        while (s.n > 0 && is_blank(s.p[0]))
                s = skip(s, 1);
        return s;
}

static bool is_digest(Span s) {
        for (size_t i = 0; i < s.n; i++)
                if (!is_hex(s.p[i]))
                        return false;
        return s.n == HEX;
}

/* "<hex>", "<hex>  name", "<hex> *name" */
static bool parse_gnu(Span s, Line *ret) {
        if (s.n < HEX || !is_digest((Span){s.p, HEX}) || (s.n > HEX && !is_blank(s.p[HEX])))
                return false;
        *ret = (Line){.hex = {s.p, HEX}};
        if (s.n == HEX)
                return true;
        s = skip(s, HEX + 1);
        if (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '*'))
                s = skip(s, 1);
        ret->name = s;
        return s.n > 0;
}

/* "SHA256 (name) = <hex>", "SHA2-256(name)= <hex>": a name may have brackets in it, a digest has none. */
static bool parse_bsd(Span s, Line *ret) {
        static const char *const words[] = {"SHA256", "SHA2-256"};
        size_t n = 0;
        for (size_t i = 0; i < ELEMENTSOF(words) && n == 0; i++)
                n = begins(s, words[i]) ? strlen(words[i]) : 0;
        s = n > 0 ? trim(skip(s, n)) : s;
        const char *close = s.n > 0 ? memrchr(s.p, ')', s.n) : NULL;
        if (n == 0 || !begins(s, "(") || !close)
                return false;
        Span rest = trim(skip(s, (size_t)(close + 1 - s.p)));
        if (!begins(rest, "="))
                return false;
        *ret = (Line){.hex = trim(skip(rest, 1)), .name = {s.p + 1, (size_t)(close - s.p) - 1}};
        return is_digest(ret->hex);
}

static bool is_name(Span s, const char *name) {
        size_t n = strlen(name);
        return s.n >= n && memcmp(s.p + s.n - n, name, n) == 0 && (s.n == n || s.p[s.n - n - 1] == '/');
}

static void copy_lower(Span hex, char ret[static DIGEST_HEX_SIZE]) {
        for (size_t i = 0; i < HEX; i++) /* hex digits are all that is in it */
                ret[i] = hex.p[i] >= 'A' && hex.p[i] <= 'F' ? (char)(hex.p[i] - 'A' + 'a') : hex.p[i];
        ret[HEX] = '\0';
}

int checksums_find(const char *text, size_t size, const char *name, bool is_of_it, char ret[static DIGEST_HEX_SIZE],
                   Error *err) {
        char found[DIGEST_HEX_SIZE] = "", hex[DIGEST_HEX_SIZE];
        for (Span left = {text, size}; left.n > 0;) {
                const char *stop = memchr(left.p, '\n', left.n);
                size_t n = stop ? (size_t)(stop - left.p) : left.n;
                Span s = trim((Span){left.p, n});
                left = skip(left, stop ? n + 1 : n);
                Line line;
                if (!parse_gnu(s, &line) && !parse_bsd(s, &line))
                        continue;
                if (line.name.p ? !is_name(line.name, name) : !is_of_it)
                        continue;
                copy_lower(line.hex, hex);
                if (*found && strcmp(found, hex) != 0)
                        return error_set(err, -EBADMSG, ERR_CHECKSUM, NULL, "it has two different checksums of \"%s\"",
                                         name);
                memcpy(found, hex, sizeof(found));
        }
        if (!*found)
                return 0;
        memcpy(ret, found, sizeof(found));
        return 1;
}
