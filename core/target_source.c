/* SPDX-License-Identifier: Apache-2.0 */
/* See target_source.h. A version is a name; what tells two releases apart is their content. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/names.h"
#include "core/rows.h"
#include "core/target_source.h"

#define VERSION_MARK "{version}"

/* {version}, wherever it stands in where the source lies. */
static int expand_location(const Target *t, Value *source, const char *key, Error *err) {
        const char *text = value_get_text(source, key), *version = value_get_text(t->spec, "version");
        _cleanup_text_ Text out = {0};
        if (!text || !strstr(text, VERSION_MARK))
                return 0;
        if (!version)
                return error_set(err, -EINVAL, ERR_SPEC, "Name one: version: v1, or --version v1.",
                                 "the source \"%s\" asks for a version and none is given", text);
        for (const char *next; (next = strstr(text, VERSION_MARK)); text = next + strlen(VERSION_MARK)) {
                text_add_n(&out, text, (size_t)(next - text));
                text_add(&out, version);
        }
        text_add(&out, text);
        _cleanup_free_ char *whole = text_take(&out);
        return whole ? value_set_text(source, key, whole, err) : error_no_memory(err);
}

int target_resolve_source(Target *t, Error *err) {
        _cleanup_(value_freep) Value *source = value_copy(value_get(t->spec, "source"));
        if (!source)
                return error_no_memory(err);
        int r = expand_location(t, source, "path", err);
        if (r == 0)
                r = expand_location(t, source, "url", err);
        if (r < 0)
                return r;
        if ((r = value_set_text(source, "service", t->service, err)) < 0 ||
            (r = value_set_text(source, "version", value_get_text(t->spec, "version"), err)) < 0)
                return r;
        const Source *type = source_by_type(value_get_text_or(source, "type", "path"));
        if (!type)
                return error_set(err, -EINVAL, ERR_NOT_SUPPORTED, NULL, "this pawl has no source \"%s\"",
                                 value_get_text(source, "type"));
        Host host = engine_host(t->engine, 0, 0, true);
        return type->resolve(&host, source, value_get(t->row, "source"), &t->source, &t->prefetched, err);
}

int target_release_row(Target *t, const char *version, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "release/%s/%s", t->service, version);
        return r < 0 ? error_set(err, r, ERR_SPEC, NULL, "the version is too long")
                     : engine_row(t->engine, key, ret, err);
}

static bool is_same_content(const Value *release, const Value *facts) {
        const char *a = value_get_text(value_get(release, "source"), "sha256"), *b = value_get_text(facts, "sha256");
        return a && b && strcmp(a, b) == 0;
}

/* The same version with other bytes is another release: "v1+3f2a9c41". */
int target_choose_version(Target *t, Error *err) {
        const char *sha256 = value_get_text(t->source, "sha256"), *given = value_get_text(t->spec, "version");
        if (!given)
                given = value_get_text(t->source, "version");
        t->version = given ? strdup(given) : text_format("sha-%.12s", sha256 ? sha256 : "");
        if (!t->version || !sha256)
                return error_no_memory(err);
        if (is_same_content(t->row,
                            t->source)) { /* it runs already, perhaps under the longer name that it was given then */
                const char *now = value_get_text_or(t->row, "version", "");
                size_t n = strlen(t->version);
                char *same = strncmp(now, t->version, n) == 0 && now[n] == '+' ? strdup(now) : NULL;
                if (same) {
                        free(t->version);
                        t->version = same;
                }
        }
        for (int tries = 0; tries < 2; tries++) {
                _cleanup_(value_freep) Value *release = NULL;
                _cleanup_free_ char *path = name_release(t->service, t->version);
                int r = path ? target_release_row(t, t->version, &release, err) : error_no_memory(err);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return r;
                if (is_same_content(release, t->source)) {
                        return fs_has(t->engine->root, path, &t->release_exists, err);
                }
                char *other = text_format("%s+%.8s", t->version, sha256);
                if (!other)
                        return error_no_memory(err);
                engine_say(t->engine, LOG_NOTE, "%s %s has other content than before: it becomes %s", t->service,
                           t->version, other);
                free(t->version);
                t->version = other;
        }
        return 0;
}

static bool asks_for_version(const Value *source) {
        return strstr(value_get_text_or(source, "path", ""), VERSION_MARK) ||
               strstr(value_get_text_or(source, "url", ""), VERSION_MARK);
}

int target_refuse_new_name(const Target *t, const Request *request, Error *err) {
        const Value *source = value_get(t->spec, "source");
        const Source *type = source_by_type(value_get_text_or(source, "type", "path"));
        const char *now = value_get_text_or(t->row, "version", "");
        bool is_chosen = (type && type->has_versions) || asks_for_version(source) || request->source;
        if (!request->version || is_chosen || strcmp(now, t->version) == 0 || !is_same_content(t->row, t->source))
                return 0;
        return error_set(err, -ENOENT, ERR_NO_VERSION, "Put the new program there first, or say where it is: --source.",
                         "\"%s\" is what runs already as %s; %s would be another name for it",
                         value_get_text_or(t->source, "location", "?"), now, t->version);
}

int target_version_is_held(Target *t, Error *err) {
        _cleanup_(value_freep) Value *held = NULL;
        char key[ROW_KEY_MAX], hash[17];
        if (!t->row)
                return 0;
        int r = row_key(key, "held/%s/%s", t->service, t->version);
        if (r > 0)
                r = engine_row(t->engine, key, &held, err);
        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = spec_hash(t->spec, hash, err);
        if (r < 0)
                return r;
        const char *sha256 = value_get_text(held, "sha256"), *ours = value_get_text(t->source, "sha256");
        const char *tried = value_get_text(held, "hash");
        bool is_other = (sha256 && ours && strcmp(sha256, ours) != 0) || (tried && strcmp(tried, hash) != 0);
        if (is_other)
                return 0;
        t->hold_why = value_copy(held);
        return t->hold_why ? TARGET_HELD : error_no_memory(err);
}
