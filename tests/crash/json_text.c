/* SPDX-License-Identifier: Apache-2.0 */
/* See json_text.h. */
#include <stdlib.h>
#include <string.h>

#include "tests/crash/json_text.h"

/* Behind "key": and what space follows; NULL: it is not there. */
static const char *value_of(const char *json, const char *key) {
        char wanted[64];
        const char *at;

        (void)snprintf(wanted, sizeof wanted, "\"%.59s\":", key);
        at = strstr(json, wanted);
        if (at == NULL)
                return NULL;
        at += strlen(wanted);
        return at + strspn(at, " \n");
}

/* One character at *at, which moves on. Beyond ASCII, pawl writes no escapes. */
static char decode(const char **at) {
        static const char escapes[] = "nrtbf", meant[] = "\n\r\t\b\f";
        const char *found;
        char c, digits[5];

        if (**at != '\\' || (*at)[1] == 0)
                return *(*at)++;
        c = (*at)[1];
        *at += 2;
        if (c == 'u') {
                (void)snprintf(digits, sizeof digits, "%s", *at);
                *at += strlen(digits);
                return (char)strtol(digits, NULL, 16);
        }
        found = strchr(escapes, c);
        return found != NULL ? meant[found - escapes] : c;
}

/* From a quote to the one that ends it; returns what stands behind that. *ret_n is its length, also where it was cut at
 * the size. */
static const char *read_one(const char *at, char *ret, size_t size, size_t *ret_n) {
        size_t n = 0;

        for (at++; *at != 0 && *at != '"'; n++) {
                char c = decode(&at);

                if (n + 1 < size)
                        ret[n] = c;
        }
        if (size > 0)
                ret[n < size ? n : size - 1] = 0;
        *ret_n = n;
        return *at == '"' ? at + 1 : at;
}

void json_text_read(const char *json, const char *key, char *ret, size_t size) {
        const char *at = value_of(json, key);
        size_t n;

        ret[0] = 0;
        if (at != NULL && *at == '"')
                (void)read_one(at, ret, size, &n);
}

size_t json_text_read_list(const char *json, const char *key, char *ret, size_t size) {
        const char *at = value_of(json, key);
        size_t used = 0, n;

        if (at == NULL || *at != '[')
                return 0;
        for (at++; *at != 0 && *at != ']'; at += strspn(at, ", \n")) {
                at += strspn(at, ", \n");
                if (*at != '"')
                        break;
                at = read_one(at, ret + used, size - used, &n);
                if (used + n + 1 > size)
                        return 0;
                used += n + 1;
        }
        return used;
}

void json_text_write(FILE *out, const char *text) {
        (void)fputc('"', out);
        for (const char *at = text; *at != 0; at++)
                if (*at == '"' || *at == '\\')
                        (void)fprintf(out, "\\%c", *at);
                else if ((unsigned char)*at < ' ')
                        (void)fprintf(out, "\\u%04x", (unsigned)*at);
                else
                        (void)fputc(*at, out);
        (void)fputc('"', out);
}
