/* SPDX-License-Identifier: Apache-2.0 */
/* What is on disk for a service now, as a person would open it; secrets are covered on the way. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/drop_ins.h"
#include "core/engine_state.h"
#include "core/names.h"

#define INSPECT_SIZE_MAX (1u << 20)

/* ---- Covering ---------------------------------------------------------------------------------------------------- */

/* A name is secret by the way it sounds, because the spec says so, or because a part of it was filled in from
 * somebody's environment. */
static bool line_is_secret(const Value *row, const char *line, size_t n_name) {
        char name[256];
        if (n_name >= sizeof(name))
                return true;
        memcpy(name, line, n_name);
        name[n_name] = '\0';
        const Value *given = value_get(value_get(row, "env"), name);
        return name_is_secret(name) || value_get(value_get(row, "secrets"), name) ||
               (given && !value_is(given, VALUE_TEXT));
}

static int cover_line(const Value *row, const char *line, size_t n, Text *out, Error *err) {
        const char *equals = memchr(line, '=', n);
        _cleanup_free_ char *copy = NULL, *shown = NULL;
        if (equals && *line != '#' && *line != ';' && line_is_secret(row, line, (size_t)(equals - line))) {
                text_add_n(out, line, (size_t)(equals - line) + 1);
                text_add(out, "****");
                return 0;
        }
        copy = strndup(line, n);
        shown = copy ? text_redact(copy) : NULL;
        if (!shown)
                return error_no_memory(err);
        text_add(out, shown);
        return 0;
}

static int cover_env(const Value *row, const char *text, char **ret, Error *err) {
        _cleanup_text_ Text out = {0};
        int r = 0;
        for (const char *line = text; r == 0 && *line;) {
                size_t n = strcspn(line, "\n");
                r = cover_line(row, line, n, &out, err);
                line += n;
                if (*line == '\n')
                        text_add_n(&out, line++, 1);
        }
        if (r < 0)
                return r;
        *ret = text_take(&out);
        return *ret ? 0 : error_no_memory(err);
}

/* ---- One file ---------------------------------------------------------------------------------------------------- */

typedef enum InspectKind { INSPECT_TEXT, INSPECT_ENV, INSPECT_LINK, INSPECT_SECRET } InspectKind;

static int read_shown(Engine *e, const Value *row, InspectKind kind, const char *path, char **ret, Error *err) {
        _cleanup_free_ char *raw = NULL;
        size_t size = 0;
        if (kind == INSPECT_LINK)
                return fs_readlink(e->root, path, ret, err);
        int r = fs_read(e->root, path, INSPECT_SIZE_MAX, &raw, &size, err);
        if (r < 0)
                return r;
        if (kind == INSPECT_ENV)
                r = cover_env(row, raw, ret, err);
        else
                *ret = kind == INSPECT_SECRET ? strdup("****\n") : text_redact(raw);
        wipe(raw, size);
        return r == 0 && !*ret ? error_no_memory(err) : r;
}

/* What cannot be read is said in its place: the other files are shown all the same. */
static int file_add(Engine *e, const Value *row, InspectKind kind, const char *title, const char *path, Value *files) {
        _cleanup_(value_freep) Value *item = value_new_map();
        _cleanup_free_ char *text = NULL, *full = host_path(&e->host, path);
        Error why = ERROR_INIT;
        if (!item || !full || value_set_text(item, "title", title, NULL) < 0 ||
            value_set_text(item, "path", full, NULL) < 0)
                return -ENOMEM;
        int r = read_shown(e, row, kind, path, &text, &why);
        bool is_text = r == 0 && utf8_is_valid(text, strlen(text));
        if (r == -ENOENT)
                r = value_set_bool(item, "missing", true, NULL);
        else if (r == 0)
                r = value_set_text(item, "text", is_text ? text : "(not text)", NULL);
        else
                r = value_set_text(item, "problem", why.message[0] ? why.message : strerror(-r), NULL);
        return r < 0 ? r : value_append(files, TAKE_PTR(item), NULL);
}

/* clang-format off */
static const struct {
        const char *title;
        InspectKind kind;
        char *(*path)(const char *service);
        const char *runtime; /* NULL: whichever */
} fixed[] = {
        {"environment",        INSPECT_ENV,  name_env,        NULL},
        {"process definition", INSPECT_TEXT, name_definition, "process"},
        {"current release",    INSPECT_LINK, name_current,    NULL},
};
/* clang-format on */

static bool is_listed(const Engine *e, const Value *files, const char *path) {
        _cleanup_free_ char *full = host_path(&e->host, path);
        for (size_t i = 0; full && i < value_count(files); i++)
                if (strcmp(value_get_text_or(value_at(files, i), "path", ""), full) == 0)
                        return true;
        return false;
}

/* Every other file that pawl wrote for the service. */
static int artifacts_add(Engine *e, const Value *row, Value *files) {
        const Value *artifacts = value_get(row, "artifacts");
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(artifacts); i++) {
                const Value *artifact = value_at(artifacts, i), *args = value_get(artifact, "args");
                const Manager *m = manager_by_id((uint16_t)value_get_int(artifact, "manager", 0));
                const char *path = value_get_text(args, "path");
                if (!m || !path || (strcmp(m->name, "file") != 0 && strcmp(m->name, "block") != 0) ||
                    is_listed(e, files, path))
                        continue;
                bool is_secret = value_is(value_get(args, "content"), VALUE_SECRET);
                r = file_add(e, row, is_secret ? INSPECT_SECRET : INSPECT_TEXT, path_base(path), path, files);
        }
        return r;
}

int engine_inspect(Engine *e, const char *service, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *opens = NULL, *row = NULL, *result = value_new_map(), *files = value_new_array();
        int r = result && files ? engine_service_find(e, service, &row, &opens, err) : error_no_memory(err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(fixed); i++) {
                _cleanup_free_ char *path = fixed[i].path(service);
                const char *type = value_get_text_or(value_path(row, "spec.runtime"), "type", "process");
                if (fixed[i].runtime && strcmp(fixed[i].runtime, type) != 0)
                        continue;
                r = path ? file_add(e, row, fixed[i].kind, fixed[i].title, path, files) : -ENOMEM;
        }
        if (r == 0)
                r = artifacts_add(e, row, files);
        if (r < 0)
                return error_no_memory(err);
        r = value_set_text(result, "service", service, err);
        if (r == 0)
                r = drop_ins_set(e, service, row, result, err);
        if (r == 0)
                r = value_set(result, "files", TAKE_PTR(files), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
