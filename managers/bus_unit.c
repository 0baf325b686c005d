/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd says of a unit: one call, and a table of what is wanted of its answer. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "core/base/text.h"
#include "managers/bus_call.h"

typedef struct Property {
        const char *name;
        size_t offset;
        int (*read)(sd_bus_message *m, void *ret);
        void (*done)(void *field);
} Property;

static int read_text(sd_bus_message *m, void *ret) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);
        if (r < 0)
                return r;
        char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*(char **)ret);
        *(char **)ret = copy;
        return 0;
}

static void done_text(void *field) {
        free(*(char **)field);
        *(char **)field = NULL;
}

static int read_u32(sd_bus_message *m, void *ret) {
        return sd_bus_message_read(m, "v", "u", ret);
}

static int read_i32(sd_bus_message *m, void *ret) {
        return sd_bus_message_read(m, "v", "i", ret);
}

static int read_u64(sd_bus_message *m, void *ret) {
        return sd_bus_message_read(m, "v", "t", ret);
}

static int read_bool(sd_bus_message *m, void *ret) {
        int value = 0;
        int r = sd_bus_message_read(m, "v", "b", &value);
        *(bool *)ret = value != 0;
        return r;
}

static int read_job(sd_bus_message *m, void *ret) {
        const char *path;
        return sd_bus_message_read(m, "v", "(uo)", ret, &path);
}

static int read_list(sd_bus_message *m, void *ret) {
        _cleanup_(value_freep) Value *list = value_new_array();
        const char *text;
        int r = list ? sd_bus_message_enter_container(m, 'v', "as") : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &text)) > 0)
                r = value_append_text(list, text, NULL);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0) {
                value_free(*(Value **)ret);
                *(Value **)ret = TAKE_PTR(list);
        }
        return r;
}

static void done_list(void *field) {
        *(Value **)field = value_free(*(Value **)field);
}

static int read_invocation(sd_bus_message *m, void *ret) {
        BusUnit *u = ret;
        const void *data;
        size_t size = 0;
        int r = sd_bus_message_enter_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        u->has_invocation = r >= 0 && size == sizeof(u->invocation);
        if (u->has_invocation)
                memcpy(u->invocation, data, size);
        return r;
}

/* clang-format off */
static const Property properties[] = {
        {"LoadState",               offsetof(BusUnit, load_state),       read_text,       done_text},
        {"ActiveState",             offsetof(BusUnit, active_state),     read_text,       done_text},
        {"SubState",                offsetof(BusUnit, sub_state),        read_text,       done_text},
        {"Result",                  offsetof(BusUnit, result),           read_text,       done_text},
        {"FragmentPath",            offsetof(BusUnit, fragment_path),    read_text,       done_text},
        {"ControlGroup",            offsetof(BusUnit, control_group),    read_text,       done_text},
        {"DropInPaths",             offsetof(BusUnit, drop_in_paths),    read_list,       done_list},
        {"InvocationID",            0,                                   read_invocation, NULL},
        {"MainPID",                 offsetof(BusUnit, main_pid),         read_u32,        NULL},
        {"Job",                     offsetof(BusUnit, job_id),           read_job,        NULL},
        {"ExecMainCode",            offsetof(BusUnit, exec_main_code),   read_i32,        NULL},
        {"ExecMainStatus",          offsetof(BusUnit, exec_main_status), read_i32,        NULL},
        {"ActiveEnterTimestamp",    offsetof(BusUnit, active_usec),      read_u64,        NULL},
        {"ExecMainStartTimestamp",  offsetof(BusUnit, main_start_usec),  read_u64,        NULL},
        {"ExecMainExitTimestamp",   offsetof(BusUnit, main_exit_usec),   read_u64,        NULL},
        {"NeedDaemonReload",        offsetof(BusUnit, needs_reload),     read_bool,       NULL},
};
/* clang-format on */

static void *property_field(BusUnit *u, const Property *p) {
        return (char *)u + p->offset;
}

void bus_unit_done(BusUnit *u) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                if (properties[i].done)
                        properties[i].done(property_field(u, &properties[i]));
}

static int read_property(sd_bus_message *m, const char *name, void *ret) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                if (strcmp(properties[i].name, name) == 0)
                        return properties[i].read(m, property_field(ret, &properties[i]));
        return sd_bus_message_skip(m, "v");
}

/* Every property goes to `each`, which reads its value or skips it. */
static int read_all(sd_bus_message *m, int (*each)(sd_bus_message *m, const char *name, void *ret), void *ret) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name;
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = each(m, name, ret);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static int get_all(const Host *host, const char *unit, sd_bus_message **ret, Error *err) {
        _cleanup_free_ char *path = NULL;
        char shown[BUS_SHOWN_SIZE];
        if (sd_bus_path_encode(BUS_PATH "/unit", unit, &path) < 0)
                return error_no_memory(err);
        return bus_call(host,
                        &(BusCall){.path = path,
                                   .interface = "org.freedesktop.DBus.Properties",
                                   .member = "GetAll",
                                   .about = bus_shown(unit, shown),
                                   .unit = ""},
                        ret, err);
}

static int unreadable(const char *unit, int r, Error *err) {
        return error_set_errno(err, r, NULL, "could not read what systemd says of \"%s\"", unit);
}

static int unit_defaults(BusUnit *u) {
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                char **text = property_field(u, &properties[i]);
                if (properties[i].done == done_text && !*text && !(*text = strdup("")))
                        return -ENOMEM;
        }
        return 0;
}

int bus_unit(const Host *host, const char *unit, BusUnit *ret, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = get_all(host, unit, &reply, err);
        if (r < 0)
                return r;
        r = read_all(reply, read_property, &u);
        if (r >= 0 && (!u.load_state || !u.active_state)) /* silence about these is not "it does not run" */
                r = -EBADMSG;
        if (r >= 0)
                r = unit_defaults(&u);
        if (r < 0)
                return unreadable(unit, r, err);
        *ret = u;
        u = (BusUnit){0};
        return 0;
}

bool bus_unit_is_active(const BusUnit *u) {
        static const char *const states[] = {"active", "activating", "reloading", "deactivating"};
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (strcmp(u->active_state, states[i]) == 0)
                        return true;
        return false;
}

/* Of what systemd does in the program's place before it is executed. */
static const char *exec_failure(int32_t status) {
        /* clang-format off */
        static const struct { int32_t status; const char *text; } known[] = {
                {200, " (its directory cannot be entered)"},
                {203, " (it cannot be executed)"},
                {216, " (its group cannot be taken on)"},
                {217, " (its user cannot be taken on)"},
                {226, " (its namespaces cannot be made)"},
                {243, " (its credentials cannot be read)"},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].status == status)
                        return known[i].text;
        return "";
}

void bus_unit_exit_text(const BusUnit *u, char ret[static 64]) {
        ret[0] = '\0';
        if (u->exec_main_code == CLD_EXITED)
                (void)snprintf(ret, 64, "exited with status %" PRId32 "%s", u->exec_main_status,
                               exec_failure(u->exec_main_status));
        else if (u->exec_main_code == CLD_KILLED || u->exec_main_code == CLD_DUMPED)
                (void)snprintf(ret, 64, "was ended by signal %" PRId32, u->exec_main_status);
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static Value *setting_text(sd_bus_message *m) {
        const char *text;
        return sd_bus_message_read(m, "v", "s", &text) >= 0 ? value_new_text(text) : NULL;
}

static Value *setting_usec(sd_bus_message *m) {
        uint64_t usec;
        return sd_bus_message_read(m, "v", "t", &usec) >= 0 ? value_new_int((int64_t)MIN(usec, (uint64_t)INT64_MAX))
                                                            : NULL;
}

static Value *setting_list(sd_bus_message *m) {
        Value *list = NULL;
        return read_list(m, &list) >= 0 ? list : NULL;
}

/* Paths, each with "may be missing". */
static Value *setting_files(sd_bus_message *m) {
        _cleanup_(value_freep) Value *list = value_new_array();
        const char *path;
        int is_optional;
        int r = list ? sd_bus_message_enter_container(m, 'v', "a(sb)") : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sb)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sb)", &path, &is_optional)) > 0)
                r = value_append_text(list, path, NULL);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r >= 0 ? TAKE_PTR(list) : NULL;
}

/* One command line: the program, its words, and how it went, which is left out. */
static int read_command(sd_bus_message *m, Value *list) {
        _cleanup_(value_freep) Value *argv = value_new_array();
        const char *word;
        int r = argv ? sd_bus_message_skip(m, "s") : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &word)) > 0)
                r = value_append_text(argv, word, NULL);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_skip(m, "bttttuii");
        return r < 0 ? r : value_append(list, TAKE_PTR(argv), NULL);
}

static Value *setting_commands(sd_bus_message *m) {
        static const char contents[] = "sasbttttuii";
        _cleanup_(value_freep) Value *list = value_new_array();
        int r = list ? sd_bus_message_enter_container(m, 'v', "a(sasbttttuii)") : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', contents)) > 0) {
                r = read_command(m, list);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r >= 0 ? TAKE_PTR(list) : NULL;
}

/* clang-format off */
static const struct {
        const char *name;
        Value *(*read)(sd_bus_message *m);
} settings[] = {
        {"Type",             setting_text},
        {"User",             setting_text},
        {"WorkingDirectory", setting_text},
        {"Restart",          setting_text},
        {"RestartUSec",      setting_usec},
        {"TimeoutStopUSec",  setting_usec},
        {"Environment",      setting_list},
        {"TriggeredBy",      setting_list},
        {"EnvironmentFiles", setting_files},
        {"ExecStart",        setting_commands},
        {"ExecStartPre",     setting_commands},
        {"ExecStartPost",    setting_commands},
        {"ExecReload",       setting_commands},
        {"ExecStop",         setting_commands},
        {"ExecStopPost",     setting_commands},
};
/* clang-format on */

static int read_setting(sd_bus_message *m, const char *name, void *ret) {
        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                if (strcmp(settings[i].name, name) != 0)
                        continue;
                Value *value = settings[i].read(m);
                return value ? value_set(ret, name, value, NULL) : -EBADMSG;
        }
        return sd_bus_message_skip(m, "v");
}

int bus_unit_settings(const Host *host, const char *unit, Value **ret, Error *err) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(value_freep) Value *map = value_new_map();
        int r = map ? get_all(host, unit, &reply, err) : error_no_memory(err);
        if (r < 0)
                return r;
        r = read_all(reply, read_setting, map);
        if (r < 0)
                return unreadable(unit, r, err);
        *ret = TAKE_PTR(map);
        return 0;
}
