/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small grammars that decide what becomes part of a path, a unit name or a time: what is accepted has no way out.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/env_file.h"
#include "core/base/field.h"
#include "core/base/text.h"
#include "core/spec.h"

static void check_component(const char *name, size_t most) {
        if (!*name || strlen(name) > most || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                abort();
        for (const char *p = name; *p; p++)
                if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
                        abort();
}

static void check_path(const char *path) {
        if (!*path || *path == '/' || path[strlen(path) - 1] == '/' || strstr(path, "//"))
                abort();
        for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
                if (p[strspn(p, ".")] == '/' || !p[strspn(p, ".")])
                        if (strspn(p, ".") <= 2)
                                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *)data, size);
        uint64_t number = 0;
        if (!text)
                return 0;
        if (service_name_check(text, NULL) == 0)
                check_component(text, SERVICE_NAME_MAX);
        if (version_check(text, NULL) == 0)
                check_component(text, 64);
        if (path_is_safe(text))
                check_path(text);
        if (duration_parse(text, &number) == 0 && (number > INT64_MAX || text[0] < '0' || text[0] > '9'))
                abort();
        if (size_parse(text, &number) == 0 && (text[0] < '0' || text[0] > '9'))
                abort();
        if (env_key_is_valid(text))
                check_component(text, size);
        return 0;
}
