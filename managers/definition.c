/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a child needs is resolved here, before there is a child. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "core/base/env_file.h"
#include "core/base/json.h"
#include "core/base/seal.h"
#include "core/base/text.h"
#include "managers/definition.h"

enum {
        DEFINITION_MAX = 1 << 20,
        PASSWD_TEXT_MAX = 64 << 10,
};

void definition_done(Definition *d) {
        for (size_t i = 0; d->environment && d->environment[i]; i++) {
                wipe(d->environment[i], strlen(d->environment[i]));
                free(d->environment[i]);
        }
        free(d->environment);
        free(d->argv);
        value_free(d->map);
        *d = (Definition){0};
}

/* The part of a real path below the root, borrowed; NULL when it is not below it. */
static const char *path_inside(const Host *host, const char *path) {
        size_t n = strcmp(host->root_path, "/") == 0 ? 0 : strlen(host->root_path);
        if (strncmp(path, host->root_path, n) != 0 || path[n] != '/' || !path_is_safe(path + n + 1))
                return NULL;
        return path + n + 1;
}

static int malformed(const char *path, const char *what, Error *err) {
        return error_set(err, -EINVAL, ERR_SPEC, "Run apply again to have it written anew.", "the definition \"%s\" %s",
                         path, what);
}

static int argv_fill(Definition *d, const char *path, Error *err) {
        const Value *argv = value_get(d->map, "argv");
        size_t n = value_count(argv);
        d->argv = calloc(n + 1, sizeof(*d->argv));
        if (!d->argv)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++) {
                const Value *item = value_at(argv, i);
                if (!value_is(item, VALUE_TEXT))
                        return malformed(path, "has an argument that is not a text", err);
                d->argv[i] = item->bytes.data;
        }
        if (n == 0 || d->argv[0][0] != '/')
                return malformed(path, "does not name a program by its full path", err);
        return 0;
}

typedef struct Account {
        char home[512];
        char name[64];
} Account;

static int user_fill(Definition *d, const char *name, Account *ret, Error *err) {
        _cleanup_free_ char *buffer = malloc(PASSWD_TEXT_MAX);
        struct passwd entry, *found = NULL;
        if (!buffer)
                return error_no_memory(err);
        int r = getpwnam_r(name, &entry, buffer, PASSWD_TEXT_MAX, &found);
        if (r != 0)
                return error_set_errno(err, -r, NULL, "could not look up the user \"%s\"", name);
        if (!found)
                return error_set(err, -ENOENT, ERR_SPEC, "Create it, or set runtime.user to one that exists.",
                                 "there is no user \"%s\"", name);
        *ret = (Account){0};
        memcpy(ret->home, entry.pw_dir, MIN(strlen(entry.pw_dir), sizeof(ret->home) - 1));
        memcpy(ret->name, name, MIN(strlen(name), sizeof(ret->name) - 1));
        if (entry.pw_uid == geteuid())
                return 0;
        if (geteuid() != 0)
                return error_set(err, -EPERM, ERR_PERMISSION, "Run pawl as root, or leave out runtime.user.",
                                 "only root may run a program as \"%s\"", name);
        d->user = (SpawnUser){.uid = entry.pw_uid, .gid = entry.pw_gid, .n_groups = SPAWN_GROUPS_MAX};
        if (getgrouplist(name, entry.pw_gid, d->user.groups, &d->user.n_groups) < 0)
                d->user.n_groups = SPAWN_GROUPS_MAX; /* the first of very many */
        d->has_user = true;
        return 0;
}

static int environment_add(Definition *d, size_t *n, const char *name, const char *value, Error *err) {
        d->environment[*n] = text_format("%s=%s", name, value);
        if (!d->environment[*n])
                return error_no_memory(err);
        *n += 1;
        return 0;
}

static int environment_fill(Definition *d, const Account *account, const char *run, const Value *given, Error *err) {
        const struct {
                const char *name, *value;
        } ours[] = {
                {"PATH", SPAWN_PATH},       {"HOME", account->home}, {"USER", account->name},
                {"LOGNAME", account->name}, {"PAWL_RUN", run},
        };
        size_t n = 0;
        d->environment = calloc(value_count(given) + ELEMENTSOF(ours) + 1, sizeof(*d->environment));
        if (!d->environment)
                return error_no_memory(err);
        for (size_t i = 0; i < ELEMENTSOF(ours); i++) {
                bool is_ours = strcmp(ours[i].name, "PAWL_RUN") == 0 || !value_get(given, ours[i].name);
                int r = is_ours && ours[i].value[0] ? environment_add(d, &n, ours[i].name, ours[i].value, err) : 0;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < value_count(given); i++) {
                const MapEntry *e = &given->map.entries[i];
                int r = strcmp(e->name, "PAWL_RUN") != 0 ? environment_add(d, &n, e->name, e->value->bytes.data, err)
                                                         : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The environment file as a map of secrets; an empty map when none is named. */
static int env_file_load(const Host *host, const Definition *d, const char *path, Value **ret, Error *err) {
        const char *file = value_get_text(d->map, "env_file");
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        if (!file) {
                *ret = value_new_map();
                return *ret ? 0 : error_no_memory(err);
        }
        const char *inside = path_inside(host, file);
        if (!inside)
                return malformed(path, "names an environment file outside the root", err);
        int r = fs_read(host->root, inside, DEFINITION_MAX, &text, &size, err);
        if (r == -ENOENT)
                return error_set(err, r, ERR_NOT_FOUND, NULL, "there is no environment file \"%s\"", file);
        if (r < 0)
                return r;
        r = env_file_parse(text, size, file, true, ret, err);
        wipe(text, size);
        return r;
}

static int definition_load(const Host *host, const char *path, Definition *d, Error *err) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r = fs_read(host->root, path, DEFINITION_MAX, &text, &size, err);
        if (r == -ENOENT)
                return error_set(err, r, ERR_NOT_FOUND, "Run apply to have it written.",
                                 "there is no definition \"%s\"", path);
        if (r < 0)
                return r;
        r = json_decode(text, size, &d->map, err);
        if (r < 0)
                return r == -ENOMEM ? r : malformed(path, "is not JSON", err);
        d->directory = value_get_text(d->map, "directory");
        const char *log = value_get_text(d->map, "log");
        d->log = log ? path_inside(host, log) : NULL;
        if (!d->log)
                return malformed(path, "does not name a log below the root", err);
        return argv_fill(d, path, err);
}

int definition_read(const Host *host, const char *path, const char *run, Definition *ret, Error *err) {
        _cleanup_(definition_done) Definition d = {0};
        _cleanup_(value_freep) Value *given = NULL;
        Account account = {0};
        int r = definition_load(host, path, &d, err);
        if (r < 0)
                return r;
        const char *user = value_get_text(d.map, "user");
        if (!user && geteuid() == 0)
                return error_set(err, -EINVAL, ERR_SPEC, "Set runtime.user.",
                                 "a program is not run as root unless it is asked for");
        r = user ? user_fill(&d, user, &account, err) : 0;
        if (r < 0)
                return r;
        r = env_file_load(host, &d, path, &given, err);
        if (r < 0)
                return r;
        r = environment_fill(&d, &account, run, given, err);
        if (r < 0)
                return r;
        *ret = d;
        d = (Definition){0};
        return 0;
}
