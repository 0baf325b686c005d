/* SPDX-License-Identifier: Apache-2.0 */
/* A service stays with the runtime it was first deployed under: nothing could move a running program from one to the
 * other without ending it first. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/names.h"
#include "core/recipe_parts.h"
#include "core/rows.h"
#include "core/target_runtime.h"

/* The numbers of system users; those below the first are the distribution's own. */
#define UID_FIRST 200
#define UID_LAST 999

/* ---- The runtime ------------------------------------------------------------------------------------------------- */

static const char *type_of(const Value *spec) {
        return value_get_text_or(value_get(spec, "runtime"), "type", "process");
}

bool target_has_unit(const Target *t) {
        return strcmp(type_of(t->spec), "systemd") == 0;
}

static int refuse_move(const Target *t, const char *from, const char *to, Error *err) {
        return error_set(err, -EINVAL, ERR_SPEC, "Remove it and deploy it again: its data is kept.",
                         "%s runs under the runtime %s and cannot be moved to %s", t->service, from, to);
}

/* A service of this name would have a unit that pawl needs for itself. */
static int check_unit_name(const Target *t, Error *err) {
        static const char *const ours[] = {"recover", "recover-late", "apply", "upgrade"};
        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (strcmp(t->service, ours[i]) == 0)
                        return error_set(err, -EINVAL, ERR_SPEC, "Name the service otherwise.",
                                         "%s is a unit of pawl itself", t->unit);
        return 0;
}

static int check_systemd(const Target *t, Error *err) {
        if (!t->engine->is_real_root)
                return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "Use runtime: process, or leave out --root.",
                                 "systemd runs this host, not the root \"%s\"", t->engine->root_path);
        if (!bus_is_there())
                return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "Use runtime: process.",
                                 "this host is not run by systemd");
        return check_unit_name(t, err);
}

/* Keys that only systemd can keep. */
static int check_process(const Target *t, Error *err) {
        const Value *runtime = value_get(t->spec, "runtime");
        static const char *const keys[] = {"unit", "credentials"};
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (value_get(runtime, keys[i]))
                        return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, NULL,
                                         "\"runtime.%s\" needs the runtime systemd", keys[i]);
        if (value_get(t->spec, "resources"))
                return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, NULL, "\"resources\" needs the runtime systemd");
        return 0;
}

static int name_the_unit(Target *t, Error *err) {
        free(t->unit);
        t->unit = unit_name(&t->engine->host, t->service);
        return t->unit ? 0 : error_no_memory(err);
}

int target_choose_runtime(Target *t, Error *err) {
        const char *asked = type_of(t->spec), *old = t->row ? type_of(value_get(t->row, "spec")) : NULL;
        bool fits = t->engine->is_real_root && geteuid() == 0 && bus_is_there();
        const char *type = strcmp(asked, "auto") != 0 ? asked : old ? old : fits ? "systemd" : "process";
        if (old && strcmp(old, type) != 0)
                return refuse_move(t, old, type, err);
        Value *runtime = value_get(t->spec, "runtime");
        int r = runtime ? value_set_text(runtime, "type", type, err) : error_no_memory(err);
        if (r == 0)
                r = name_the_unit(t, err);
        if (r < 0)
                return r;
        return target_has_unit(t) ? check_systemd(t, err) : check_process(t, err);
}

int target_look(Target *t, Error *err) {
        RunStatus status = {0};
        const Runtime *runtime = runtime_by_type(type_of(t->spec));
        int r = name_the_unit(t, err);
        if (r == 0)
                r = runtime ? runtime->state(&t->engine->host, t->service, &status, err)
                            : error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "A newer pawl deployed it.",
                                        "the runtime \"%s\" of %s is not one this pawl has", type_of(t->spec),
                                        t->service);
        t->is_running = r == 0 && status.state == RUN_RUNNING;
        t->is_failed = r == 0 && status.state == RUN_FAILED;
        t->is_stale = r == 0 && status.is_stale;
        return r;
}

/* ---- The user ---------------------------------------------------------------------------------------------------- */

static bool number_is_free(const Value *rows, int64_t number) {
        char key[ROW_KEY_MAX];
        (void)row_key(key, "uid/%lld", (long long)number);
        return !value_get(rows, key) && !getpwuid((uid_t)number) && !getgrgid((gid_t)number);
}

/* The one chosen last, of a service that was removed perhaps, and whose data may still be there. */
static int64_t number_had(const Target *t, const Value *rows) {
        int64_t number = 0, last = -1;
        for (size_t i = 0; i < value_count(rows); i++) {
                const Value *row = rows->map.entries[i].value;
                if (strcmp(value_get_text_or(row, "service", ""), t->service) != 0 ||
                    value_get_int(row, "tx", 0) <= last)
                        continue;
                last = value_get_int(row, "tx", 0);
                number = strtoll(rows->map.entries[i].name + strlen("uid/"), NULL, 10);
        }
        return number;
}

/* While the service was not there, the host may have given its number to somebody else. */
static char *name_of_other(const Target *t, int64_t number) {
        const struct passwd *pw = getpwnam(t->user);
        if (pw && pw->pw_uid == (uid_t)number) /* it has it still */
                return NULL;
        pw = getpwuid((uid_t)number);
        if (pw && strcmp(pw->pw_name, t->user) != 0)
                return strdup(pw->pw_name);
        const struct group *gr = getgrgid((gid_t)number);
        return gr && strcmp(gr->gr_name, t->user) != 0 ? strdup(gr->gr_name) : NULL;
}

/* Then it gets another; but its data would be that other's, and out of its own reach. */
static int keep_number(Target *t, Error *err) {
        _cleanup_free_ char *other = t->uid > 0 ? name_of_other(t, t->uid) : NULL;
        _cleanup_free_ char *data = other ? name_data_dir(t->service) : NULL;
        if (!other)
                return 0;
        if (!data)
                return error_no_memory(err);
        if (fs_exists(t->engine->root, data))
                return error_set(err, -EADDRINUSE, ERR_IN_USE,
                                 "Move the data away, give that one another number, or name a user in runtime.user.",
                                 "the number %lld, to which the data in /%s belongs, is now that of \"%s\"",
                                 (long long)t->uid, data, other);
        t->uid = 0;
        return 0;
}

static int claimed_numbers(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *claims = NULL;
        int r = engine_rows(e, "uid/", 0, ret, err);
        if (r == 0)
                r = engine_rows(e, "claim/uid/", 0, &claims, err);
        for (size_t i = 0; r == 0 && i < value_count(claims); i++)
                r = value_set(*ret, claims->map.entries[i].name + strlen("claim/"),
                              value_copy(claims->map.entries[i].value), err);
        return r;
}

/* Somebody else's user of that name is seen before anything is made. */
static int check_user(const Target *t, Error *err) {
        _cleanup_(value_freep) Value *args = NULL;
        Host host = engine_host(t->engine, 0, 0, true);
        int r = args_user(t, &args, err);
        return r < 0 ? r : manager_by_name("user")->check(&host, args, err);
}

int target_choose_user(Target *t, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        if (!target_has_unit(t) || value_get_text(value_get(t->spec, "runtime"), "user"))
                return 0;
        free(t->user);
        t->user = text_format("%s%s", value_get_text_or(t->engine->config, "naming.prefix", "pawl-"), t->service);
        int r = t->user ? claimed_numbers(t->engine, &rows, err) : error_no_memory(err);
        if (r < 0)
                return r;
        t->uid = number_had(t, rows);
        r = keep_number(t, err);
        if (r < 0)
                return r;
        for (int64_t number = UID_LAST; t->uid == 0 && number >= UID_FIRST; number--)
                if (number_is_free(rows, number))
                        t->uid = number;
        if (t->uid == 0)
                return error_set(err, -EADDRINUSE, ERR_IN_USE, "Name a user in runtime.user.",
                                 "no number from %d to %d is free for a system user", UID_FIRST, UID_LAST);
        return check_user(t, err);
}
