/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a spec. What is accepted has a hash, and reading it again gives the same one; what is refused says where.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/spec.h"

static Value *read_spec(const uint8_t *data, size_t size, Error *err) {
        Value *v = NULL;
        int r = spec_parse((const char *)data, size, "web.yaml", "/srv", &v, err);
        if ((r < 0) != (v == NULL))
                abort();
        return v;
}

static void check_refused(const Error *err) {
        bool is_spec = err->code == ERR_SPEC || err->code == ERR_NOT_SUPPORTED;
        if (!is_spec || strncmp(err->message, "web.yaml:", 9) != 0)
                abort();
        /* Whoever sent the spec must not steer the terminal of who reads about it. */
        if (!text_is_clean(err->message, strlen(err->message)) || strpbrk(err->message, "\n\t"))
                abort();
}

static void check_names(const Value *spec) {
        const char *version = value_get_text(spec, "version");
        if (service_name_check(value_get_text_or(spec, "name", ""), NULL) < 0 ||
            (version && version_check(version, NULL) < 0))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Error err = ERROR_INIT;
        char hash[17], again[17];
        _cleanup_(value_freep) Value *v = read_spec(data, size, &err);
        if (!v) {
                check_refused(&err);
                return 0;
        }
        check_names(v);
        _cleanup_(value_freep) Value *w = read_spec(data, size, NULL);
        if (spec_hash(v, hash, NULL) < 0 || spec_hash(w, again, NULL) < 0 || strcmp(hash, again) != 0)
                abort();
        return 0;
}
