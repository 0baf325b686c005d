/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit becomes a spec: program, arguments, environment, user, restart policy. Whatever else stands in its file
 * goes, word for word, into a drop-in of the new unit, so that the program runs as it did; hardening is off until a
 * person asks for it. The old unit is stopped, and its file and links are moved away, within the same transaction that
 * starts the new one; its text stays in etc/pawl/<service>/adopted.unit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/adopt.h"
#include "core/base/text.h"
#include "core/drop_ins.h"
#include "core/names.h"
#include "core/recipe_parts.h"

#define UNIT_FILE_MAX (1u << 20)
#define ADOPTED_CONF "adopted.conf"
#define OUTSIDE \
        "Move what it does into the program, or into a unit of its own that runs before or behind it; then restart it and adopt it."
#define WITHOUT "Take the line out if the program ends on SIGTERM and needs no reload; then restart it and adopt it."

/* ---- What can be taken over -------------------------------------------------------------------------------------- */

static int refuse_and_say(const char *unit, const char *what, const char *hint, Error *err) {
        return error_set(err, -EOPNOTSUPP, ERR_SPEC, hint, "\"%s\" cannot be adopted: %s", unit, what);
}

static int refuse(const char *unit, const char *what, Error *err) {
        return refuse_and_say(unit, what, "It stays as it is. Change its unit, or write a spec and deploy that.", err);
}

/* clang-format off */
/* What must be empty, and why. */
static const struct {
        const char *setting, *why, *hint;
} unheard[] = {
        {"ExecStartPre",  "it has ExecStartPre=",  OUTSIDE},
        {"ExecStartPost", "it has ExecStartPost=", OUTSIDE},
        {"ExecReload",    "it has ExecReload=",    WITHOUT},
        {"ExecStop",      "it has ExecStop=",      WITHOUT},
        {"ExecStopPost",  "it has ExecStopPost=",  OUTSIDE},
        {"TriggeredBy",   "a socket, path or timer starts it", "It stays as it is: pawl starts what runs all the time."},
};
/* clang-format on */

static bool is_one_of(const char *word, const char *const *words) {
        for (size_t i = 0; words[i]; i++)
                if (strcmp(words[i], word) == 0)
                        return true;
        return false;
}

static int check_adoptable(const char *unit, const Value *s, Error *err) {
        static const char *const types[] = {"simple", "exec", NULL}, *const restarts[] = {"no", "always", "on-failure",
                                                                                          NULL};
        if (strcmp(value_get_text_or(s, "load", ""), "loaded") != 0)
                return error_set(err, -ENOENT, ERR_NOT_FOUND, "Run \"systemctl list-units\" to see what runs here.",
                                 "there is no unit \"%s\"", unit);
        if (strncmp(value_get_text_or(s, "file", ""), "/etc/systemd/system/", 20) != 0)
                return refuse(unit, "its file is not in /etc/systemd/system, so it belongs to a package or a generator",
                              err);
        if (!value_get_bool(s, "running", false))
                return refuse(unit, "it does not run", err);
        if (value_get_bool(s, "drop_ins", false))
                return refuse_and_say(
                        unit, "it has drop-ins, which would be lost",
                        "Write them into its file (\"systemctl cat\" shows them), remove them, restart it, "
                        "then adopt it.",
                        err);
        for (size_t i = 0; i < ELEMENTSOF(unheard); i++)
                if (value_count(value_get(s, unheard[i].setting)) > 0)
                        return refuse_and_say(unit, unheard[i].why, unheard[i].hint, err);
        if (!is_one_of(value_get_text_or(s, "Type", ""), types))
                return refuse(unit, "it is neither of Type=simple nor of Type=exec", err);
        if (!is_one_of(value_get_text_or(s, "Restart", ""), restarts))
                return refuse(unit, "its Restart= is not one of no, always, on-failure", err);
        if (value_count(value_get(s, "ExecStart")) != 1)
                return refuse(unit, "it has not exactly one ExecStart=", err);
        return value_count(value_get(s, "EnvironmentFiles")) > 1 ? refuse(unit, "it has several EnvironmentFile=", err)
                                                                 : 0;
}

/* ---- The spec ---------------------------------------------------------------------------------------------------- */

/* A program that belongs to the system, such as an interpreter: then what is deployed is the folder it works in. */
static bool is_of_system(const char *program) {
        static const char *const folders[] = {"/usr/bin/", "/usr/sbin/", "/usr/lib/", "/bin/", "/sbin/", "/lib/"};
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                if (strncmp(program, folders[i], strlen(folders[i])) == 0)
                        return true;
        return false;
}

/* A path in the folder that becomes the release is one in the release. */
static char *word_in_release(const char *word, const char *folder) {
        size_t n = folder ? strlen(folder) : 0;
        bool is_inside = n > 0 && strncmp(word, folder, n) == 0 && (word[n] == '/' || word[n] == '\0');
        return is_inside ? text_format("{release}%s", word + n) : strdup(word);
}

static int adopt_exec(const Target *t, const Value *argv, const char *folder, Value *runtime, Error *err) {
        Value *exec = value_new_array();
        int r = value_set(runtime, "exec", exec, err);
        if (r == 0)
                r = value_append_text(exec, folder ? value_text(value_at(argv, 0)) : t->service, err);
        for (size_t i = 1; r == 0 && i < value_count(argv); i++) {
                _cleanup_free_ char *word = word_in_release(value_text(value_at(argv, i)), folder);
                r = word ? value_append_text(exec, word, err) : error_no_memory(err);
        }
        return r;
}

static int adopt_unit_map(const Value *s, Value *runtime, Error *err) {
        Value *unit = value_new_map();
        int r = value_set(runtime, "unit", unit, err);
        if (r == 0)
                r = value_set_text(unit, "restart", value_get_text(s, "Restart"), err);
        if (r == 0)
                r = value_set(unit, "restart_sec",
                              value_new_format("%lldms", (long long)value_get_int(s, "RestartUSec", 0) / 1000), err);
        return r < 0 ? r : value_set_text(unit, "hardening", "false", err);
}

static int adopt_runtime(const Target *t, const Value *s, const char *folder, Value *raw, Error *err) {
        Value *runtime = value_new_map();
        const char *user = value_get_text_or(s, "User", ""), *directory = value_get_text_or(s, "WorkingDirectory", "");
        int64_t stop = MIN(value_get_int(s, "TimeoutStopUSec", 0), 86400 * (int64_t)USEC_PER_SEC);
        int r = value_set(raw, "runtime", runtime, err);
        if (r == 0)
                r = value_set_text(runtime, "type", "systemd", err);
        if (r == 0)
                r = value_set_text(runtime, "user", *user ? user : "root", err);
        if (r == 0)
                r = value_set(runtime, "stop_timeout", value_new_format("%lldms", (long long)stop / 1000), err);
        if (r == 0 && !folder)
                r = value_set_text(runtime, "directory", directory[0] == '/' ? directory : "/", err);
        if (r == 0)
                r = adopt_exec(t, value_at(value_get(s, "ExecStart"), 0), folder, runtime, err);
        return r < 0 ? r : adopt_unit_map(s, runtime, err);
}

/* Also where it listens, when the environment says so. */
static int adopt_env(const Value *s, Value *raw, const char **ret_port, Error *err) {
        const Value *list = value_get(s, "Environment");
        Value *env = value_new_map();
        int r = value_set(raw, "env", env, err);
        for (size_t i = 0; r == 0 && i < value_count(list); i++) {
                const char *text = value_text(value_at(list, i)), *equals = strchr(text, '=');
                _cleanup_free_ char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;
                if (!name)
                        continue;
                if (strcmp(name, "PORT") == 0)
                        *ret_port = equals + 1;
                else
                        r = value_set_text(env, name, equals + 1, err);
        }
        if (r == 0 && value_count(value_get(s, "EnvironmentFiles")) == 1)
                r = value_set_text(raw, "env_file", value_text(value_at(value_get(s, "EnvironmentFiles"), 0)), err);
        return r;
}

static int adopt_port(const Request *request, const char *port, Value *raw, Error *err) {
        if (request->port > 0)
                return value_set(raw, "port", value_new_format("%lld", (long long)request->port), err);
        return port ? value_set_text(raw, "port", port, err) : value_set_text(raw, "kind", "worker", err);
}

static int adopt_spec(Target *t, const Request *request, Error *err) {
        const Value *s = t->adopted;
        const char *program = value_text(value_at(value_at(value_get(s, "ExecStart"), 0), 0)), *folder = NULL,
                   *port = NULL;
        _cleanup_(value_freep) Value *raw = value_new_map();
        int r = raw ? 0 : error_no_memory(err);
        if (r == 0 && is_of_system(program)) {
                folder = value_get_text_or(s, "WorkingDirectory", "");
                if (folder[0] != '/' || folder[1] == '\0')
                        return refuse(request->unit,
                                      "its program belongs to the system, and it has no WorkingDirectory=", err);
        }
        if (r == 0)
                r = value_set_text(raw, "pawl", "1", err);
        if (r == 0)
                r = value_set_text(raw, "name", t->service, err);
        if (r == 0)
                r = value_set_text(raw, "source", folder ? folder : program, err);
        if (r == 0)
                r = value_set_text(raw, "version", request->version, err);
        if (r == 0)
                r = value_set_text(raw, "data", "false", err);
        if (r == 0)
                r = adopt_runtime(t, s, folder, raw, err);
        if (r == 0)
                r = adopt_env(s, raw, &port, err);
        if (r == 0)
                r = adopt_port(request, port, raw, err);
        return r < 0 ? r : spec_from_value(raw, request->unit, "/", &t->spec, err);
}

int adopt_target(Target *t, const Request *request, Error *err) {
        int r = t->engine->is_real_root ? unit_settings(&t->engine->host, request->unit, &t->adopted, err)
                                        : refuse(request->unit, "it runs on this host, not below another root", err);
        if (r == 0)
                r = check_adoptable(request->unit, t->adopted, err);
        return r < 0 ? r : adopt_spec(t, request, err);
}

/* ---- What the recipe needs --------------------------------------------------------------------------------------- */

bool adopts(const Target *t) {
        return t->adopted != NULL;
}

const Value *each_old_file(const Target *t) {
        return value_get(t->adopted, "files");
}

int args_old_stop(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        int r = args ? value_set_text(args, "service", t->service, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(args, "role", "stop", err);
        if (r == 0)
                r = value_set_text(args, "unit", value_get_text(t->adopted, "unit"), err);
        if (r == 0)
                r = value_set_int(args, "stop_timeout_usec", value_get_int(t->adopted, "TimeoutStopUSec", 0), err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_old_file(const Target *t, Value **ret, Error *err) {
        const char *path = value_text(value_at(each_old_file(t), t->instance));
        return args_path(path ? strdup(path + 1) : NULL, ret, err);
}

static int old_text(const Target *t, char **ret, Error *err) {
        size_t size = 0;
        int r = fs_read(t->engine->root, value_get_text_or(t->adopted, "file", "/") + 1, UNIT_FILE_MAX, ret, &size,
                        err);
        if (r < 0 || utf8_is_valid(*ret, size))
                return r;
        return refuse(value_get_text(t->adopted, "unit"), "its file is not a text", err);
}

int args_old_text(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *text = NULL, *path = text_format("etc/pawl/%s/adopted.unit", t->service);
        int r = path ? old_text(t, &text, err) : error_no_memory(err);
        return r < 0 ? r : args_content(TAKE_PTR(path), value_new_text(text), 0600, ret, err);
}

int args_drop_in_dir(const Target *t, Value **ret, Error *err) {
        return args_directory(name_unit_drop_ins(t->unit), 0755, ret, err);
}

/* Lines whose key is said by the spec, or is about enabling. */
static bool is_said(const char *line) {
        static const char *const keys[] = {"Type=",           "ExecStart=",  "User=",       "WorkingDirectory=",
                                           "Environment=",    "Restart=",    "RestartSec=", "EnvironmentFile=",
                                           "TimeoutStopSec=", "Description="};
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strncmp(line, keys[i], strlen(keys[i])) == 0)
                        return true;
        return false;
}

/* Line by line; one that goes on in the next takes that with it. */
static char *kept_lines(char *text) {
        _cleanup_text_ Text out = {0};
        bool is_kept = true, goes_on = false, is_install = false;
        text_add(&out, "# What the unit said beside its program when pawl adopted it.\n");
        for (char *line = text, *next; line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (!goes_on && line[0] == '[')
                        is_install = strcmp(line, "[Install]") == 0;
                if (!goes_on)
                        is_kept = !is_install && line[0] && !is_said(line);
                size_t n = strlen(line);
                goes_on = n > 0 && line[n - 1] == '\\';
                if (is_kept)
                        text_addf(&out, "%s\n", line);
        }
        return text_take(&out);
}

int args_drop_in(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *text = NULL, *kept = NULL, *dir = name_unit_drop_ins(t->unit);
        int r = dir ? old_text(t, &text, err) : error_no_memory(err);
        if (r < 0)
                return r;
        kept = kept_lines(text);
        return kept ? args_content(path_join(dir, ADOPTED_CONF), value_new_text(kept), 0644, ret, err)
                    : error_no_memory(err);
}

/* ---- When the service goes --------------------------------------------------------------------------------------- */

bool was_adopted(const Target *t) {
        _cleanup_free_ char *dir = t->unit ? name_unit_drop_ins(t->unit) : NULL,
                            *path = dir ? path_join(dir, ADOPTED_CONF) : NULL;
        return path && fs_exists(t->engine->root, path);
}

/* pawl's own drop-in goes with the service; the folder as well, when no operator has put one beside it. */
int args_trash_drop_in(const Target *t, Value **ret, Error *err) {
        char *dir = name_unit_drop_ins(t->unit);
        if (!dir || drop_ins_are_only(t->engine, dir, ADOPTED_CONF))
                return args_path(dir, ret, err);
        char *path = path_join(dir, ADOPTED_CONF);
        free(dir);
        return args_path(path, ret, err);
}
