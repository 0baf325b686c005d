/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the recipe needs to know about a service that systemd runs: its user, its unit file, its enablement, the secrets
 * it is handed.
 *
 * The unit file is written whole; what an operator wants otherwise stands in drop-ins, which pawl neither writes nor
 * removes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/names.h"
#include "core/recipe_parts.h"

/* ---- Conditions and lists ---------------------------------------------------------------------------------------- */

bool has_process(const Target *t) {
        return !target_has_unit(t);
}

bool has_unit(const Target *t) {
        return target_has_unit(t);
}

/* A service that was told to stop is not started by the next boot. */
bool wants_enabled(const Target *t) {
        return target_has_unit(t) && t->wants_running;
}

static bool is_there(const Target *t, char *path) {
        _cleanup_free_ char *taken = path;
        return taken && fs_exists(t->engine->root, taken);
}

bool is_enabled(const Target *t) {
        return target_has_unit(t) && is_there(t, name_unit_link(t->unit));
}

bool has_unit_file(const Target *t) {
        return target_has_unit(t) && is_there(t, name_unit_file(t->unit));
}

bool lacks_wants_dir(const Target *t) {
        return wants_enabled(t) && !fs_exists(t->engine->root, NAME_WANTS_DIR);
}

bool wants_user(const Target *t) {
        return target_has_unit(t) && t->user;
}

static const Value *user_artifact(const Target *t) {
        const Value *list = value_get(t->row, "artifacts");
        const Manager *user = manager_by_name("user");
        for (size_t i = 0; i < value_count(list); i++)
                if (value_get_int(value_at(list, i), "manager", 0) == user->id)
                        return value_get(value_at(list, i), "args");
        return NULL;
}

bool had_user(const Target *t) {
        return user_artifact(t) != NULL;
}

static bool has_credentials(const Target *t) {
        return value_get_bool(value_get(t->spec, "runtime"), "credentials", false);
}

const Value *each_credential(const Target *t) {
        return has_credentials(t) ? value_get(t->spec, "secrets") : NULL;
}

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static int user_args(const char *name, int64_t uid, int64_t gid, bool present, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        if (!args)
                return error_no_memory(err);
        if (value_set_text(args, "name", name, err) < 0 || value_set_int(args, "uid", uid, err) < 0 ||
            value_set_int(args, "gid", gid, err) < 0 || value_set_bool(args, "present", present, err) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(args);
        return 0;
}

int args_user(const Target *t, Value **ret, Error *err) {
        return user_args(t->user, t->uid, t->uid, true, ret, err);
}

int args_user_gone(const Target *t, Value **ret, Error *err) {
        const Value *made = user_artifact(t);
        return user_args(value_get_text(made, "name"), value_get_int(made, "uid", 0), value_get_int(made, "gid", 0),
                         false, ret, err);
}

static int reload_args(const Target *t, const char *role, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        int r = args ? value_set_text(args, "role", role, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(args, "unit", t->unit, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_owe_reload(const Target *t, Value **ret, Error *err) {
        return reload_args(t, "owe", ret, err);
}

int args_pay_reload(const Target *t, Value **ret, Error *err) {
        return reload_args(t, "pay", ret, err);
}

int args_wants_dir(const Target *t, Value **ret, Error *err) {
        (void)t;
        return args_directory(strdup(NAME_WANTS_DIR), 0755, ret, err);
}

int args_enable(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *target = text_format("/etc/systemd/system/%s", t->unit);
        int r = target ? args_path(name_unit_link(t->unit), ret, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(*ret, "target", target, err);
}

int args_disable(const Target *t, Value **ret, Error *err) {
        return args_path(name_unit_link(t->unit), ret, err);
}

int args_trash_unit(const Target *t, Value **ret, Error *err) {
        return args_path(name_unit_file(t->unit), ret, err);
}

int args_credential(const Target *t, Value **ret, Error *err) {
        const Value *item = value_at(value_get(t->spec, "secrets"), t->instance);
        const char *variable = value_get_text_or(item, "name", "");
        return args_content(name_secret(t->service, variable), value_copy(value_get(t->secrets, variable)), 0600, ret,
                            err);
}

/* ---- The unit file ----------------------------------------------------------------------------------------------- */

/* What a service needs no right to. A refused call is an error and not the end of the program: many programs try
 * what they can do without. A drop-in may give more. */
static const char hardening[] = "ProtectSystem=strict\n"
                                "ProtectHome=yes\n"
                                "PrivateTmp=yes\n"
                                "PrivateDevices=yes\n"
                                "ProtectClock=yes\n"
                                "ProtectControlGroups=yes\n"
                                "ProtectHostname=yes\n"
                                "ProtectKernelLogs=yes\n"
                                "ProtectKernelModules=yes\n"
                                "ProtectKernelTunables=yes\n"
                                "ProtectProc=invisible\n"
                                "LockPersonality=yes\n"
                                "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
                                "RestrictNamespaces=yes\n"
                                "RestrictRealtime=yes\n"
                                "RestrictSUIDSGID=yes\n"
                                "RemoveIPC=yes\n"
                                "SystemCallArchitectures=native\n"
                                "SystemCallFilter=@system-service\n"
                                "SystemCallErrorNumber=EPERM\n"
                                "UMask=0027\n";

/* One word of a command line: quoted, on one line, and with nothing in it that systemd would fill in. */
static void add_word(Text *t, const char *word) {
        text_add(t, "\"");
        for (const char *p = word; *p; p++) {
                if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                        text_addf(t, "\\x%02x", (unsigned)*p);
                        continue;
                }
                if (*p == '"' || *p == '\\')
                        text_add_n(t, "\\", 1);
                if (*p == '%' || *p == '$')
                        text_add_n(t, p, 1);
                text_add_n(t, p, 1);
        }
        text_add(t, "\"");
}

/* A path or name that stands for itself; "%" would be filled in. */
static void add_line(Text *t, const char *key, const char *value) {
        text_addf(t, "%s=", key);
        for (const char *p = value; *p; p++) {
                if (*p == '%')
                        text_add_n(t, p, 1);
                text_add_n(t, p, 1);
        }
        text_add(t, "\n");
}

static void add_seconds(Text *t, const char *key, int64_t usec) {
        bool is_whole = usec % (int64_t)USEC_PER_SEC == 0;
        text_addf(t, is_whole ? "%s=%llds\n" : "%s=%lldms\n", key,
                  (long long)(usec / (int64_t)(is_whole ? USEC_PER_SEC : USEC_PER_MSEC)));
}

/*
 * A service is started unless a transaction of it is open, and even then when its files are known to be whole: what a
 * power cut left half made is put back first.
 */
static void add_head(const Target *t, Text *out) {
        const Value *after = value_path(t->spec, "runtime.unit.after");
        text_addf(out,
                  "# Written by pawl for the service %s; a change here is a hand edit. Drop-ins in %s.d are kept.\n"
                  "[Unit]\n"
                  "Description=%s (pawl)\n"
                  "After=pawl-recover.service",
                  t->service, t->unit, t->service);
        if (!after)
                text_add(out, " network.target");
        for (size_t i = 0; i < value_count(after); i++)
                text_addf(out, " %s", value_text(value_at(after, i)));
        text_addf(out,
                  "\nConditionPathExists=|!/" MARK_OPEN_DIR "/%s\n"
                  "ConditionPathExists=|/" MARK_WHOLE_DIR "/%s\n",
                  t->service, t->service);
}

static void add_start(const Target *t, const Value *argv, const char *directory, Text *out) {
        text_add(out, "\n[Service]\nType=exec\nExecStart=");
        for (size_t i = 0; i < value_count(argv); i++) {
                if (i > 0)
                        text_add(out, " ");
                add_word(out, value_text(value_at(argv, i)));
        }
        text_add(out, "\n");
        add_line(out, "WorkingDirectory", directory);
        text_addf(out, "EnvironmentFile=/etc/pawl/%s/env\n", t->service);
        const Value *credentials = each_credential(t);
        for (size_t i = 0; i < value_count(credentials); i++) {
                const char *name = value_get_text_or(value_at(credentials, i), "name", "");
                text_addf(out, "LoadCredential=%s:/etc/pawl/%s/secret-%s\n", name, t->service, name);
        }
}

static void add_life(const Target *t, Text *out) {
        const Value *runtime = value_get(t->spec, "runtime"), *unit = value_get(runtime, "unit");
        text_addf(out, "Restart=%s\n", value_get_text_or(unit, "restart", "on-failure"));
        add_seconds(out, "RestartSec", value_get_int(unit, "restart_usec", 5 * (int64_t)USEC_PER_SEC));
        add_seconds(out, "TimeoutStartSec", 10 * (int64_t)USEC_PER_SEC);
        add_seconds(out, "TimeoutStopSec", value_get_int(runtime, "stop_timeout_usec", 10 * (int64_t)USEC_PER_SEC));
        if (value_get_bool(t->spec, "data", true))
                text_addf(out, "StateDirectory=pawl-data/%s\nStateDirectoryMode=0750\n", t->service);
}

static void add_limits(const Target *t, const char *user, Text *out) {
        const Value *resources = value_get(t->spec, "resources");
        int64_t memory = value_get_int(resources, "memory", 0), cpu = value_get_int(resources, "cpu_milli", 0);
        bool is_low = t->port > 0 && t->port < 1024;
        if (memory > 0)
                text_addf(out, "MemoryMax=%lld\n", (long long)memory);
        if (cpu > 0)
                text_addf(out, "CPUQuota=%lld.%lld%%\n", (long long)cpu / 10, (long long)cpu % 10);
        text_add(out, "NoNewPrivileges=yes\n");
        if (is_low)
                text_add(out, "AmbientCapabilities=CAP_NET_BIND_SERVICE\n");
        if (!value_get_bool(value_path(t->spec, "runtime.unit"), "hardening", true))
                return;
        if (strcmp(user, "root") != 0)
                text_addf(out, "CapabilityBoundingSet=%s\n", is_low ? "CAP_NET_BIND_SERVICE" : "");
        text_add(out, hardening);
}

static int render_unit(const Target *t, const Value *argv, const char *directory, Value **ret, Error *err) {
        const char *given = value_get_text(value_get(t->spec, "runtime"), "user"), *user = given ? given : t->user;
        _cleanup_text_ Text out = {0};
        add_head(t, &out);
        add_start(t, argv, directory, &out);
        add_line(&out, "User", user ? user : "root");
        add_life(t, &out);
        add_limits(t, user ? user : "root", &out);
        text_add(&out, "\n[Install]\nWantedBy=multi-user.target\n");
        _cleanup_free_ char *text = text_take(&out);
        *ret = text ? value_new_text(text) : NULL;
        return *ret ? 0 : error_no_memory(err);
}

int args_unit_file(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *argv = NULL;
        _cleanup_free_ char *directory = NULL;
        Value *content = NULL;
        int r = render_command(t, &argv, &directory, err);
        if (r == 0)
                r = render_unit(t, argv, directory, &content, err);
        return r < 0 ? r : args_content(name_unit_file(t->unit), content, 0644, ret, err);
}
