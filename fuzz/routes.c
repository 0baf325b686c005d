/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: whatever a spec and a host configuration say, what is written for nginx has our directives and no others.
 * Hostile bytes are refused or stand between quotes, where nothing ends the quotes and nothing is a variable.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/route.h"

enum { PARTS = 8 };

/* The parts of the input are its lines; what is missing is NULL. */
static void split(char *text, char *ret[PARTS]) {
        for (size_t i = 0; i < PARTS; i++)
                ret[i] = NULL;
        for (size_t i = 0; text && i < PARTS; i++) {
                char *end = strchr(text, '\n');
                if (end)
                        *end = '\0';
                ret[i] = *text ? text : NULL;
                text = end ? end + 1 : NULL;
        }
}

/* Reads as nginx does, as far as it matters here: comments, quotes, braces. */
static void check_language(const char *text, size_t n_blocks) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n_-:./;[]()$=^~*";
        size_t depth = 0, n = 0;
        bool is_quoted = false;
        for (const char *p = text; *p; p++) {
                if (!is_quoted && *p == '#' && (p == text || p[-1] == '\n'))
                        p += strcspn(p, "\n");
                if (*p == '"')
                        is_quoted = !is_quoted;
                else if (is_quoted && ((unsigned char)*p < 0x20 || *p == '$' || *p == '\\' || *p == 0x7f))
                        abort();
                else if (!is_quoted && *p == '{')
                        n++, depth++;
                else if (!is_quoted && *p == '}' && depth-- == 0)
                        abort();
                else if (!is_quoted && *p != '}' && !strchr(plain, *p))
                        abort();
        }
        if (is_quoted || depth != 0 || n != n_blocks)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *input = strndup((const char *)data, size);
        _cleanup_free_ char *server = NULL, *locations = NULL;
        char *part[PARTS];
        if (!input)
                return 0;
        split(input, part);
        Route r = {.host = part[0],
                   .path = part[1],
                   .service = part[2] ? part[2] : "web",
                   .port = part[3] ? strtol(part[3], NULL, 10) : 3000,
                   .cert = part[4] ? part[4] : NULL,
                   .key = part[4] ? part[5] ? part[5] : "/key" : NULL,
                   .listen = part[6] ? part[6] : "80",
                   .secure = part[6] ? part[6] : "443",
                   .additions = part[7] ? part[7] : "/etc/nginx/pawl.d/web"};
        size_t n_locations = r.path ? 2 : 1;
        if (r.host && route_server(&r, &server, NULL) == 0)
                check_language(server, 2 + n_locations + (r.cert ? 1 : 0));
        if (route_locations(&r, &locations, NULL) == 0)
                check_language(locations, 1 + n_locations);
        return 0;
}
