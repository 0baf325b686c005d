/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "systemd": the debt of a daemon-reload, owed before the first unit file changes and paid behind the last one,
 * in both directions. Reading the files again too often costs a moment; once too rarely, and systemd starts what is not
 * there any more.
 */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/bus.h"

/* clang-format off */
static const Field systemd_args[] = {
        {1, "role", FIELD_TEXT, FIELD_REQUIRED, 1, NULL}, /* owe | pay */
        {2, "unit", FIELD_TEXT, FIELD_REQUIRED, 1, NULL}, /* whose files change, for messages */
        FIELD_END,
};
static const Field systemd_before[] = {
        FIELD_END,
};
/* clang-format on */

static bool owes(const Value *args) {
        return strcmp(value_get_text_or(args, "role", ""), "owe") == 0;
}

static int check(const Host *host, const Value *args, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        return args ? bus_unit(host, value_get_text(args, "unit"), &u, err) : 0;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        int r = owes(args) ? 0 : bus_reload(host, err);
        if (r == 0)
                *ret = (StepResult){.change = owes(args) ? CHANGE_UNCHANGED : CHANGE_CHANGED};
        return r;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)before;
        return owes(args) ? bus_reload(host, err) : 0;
}

/*
 * Whether what is owed was paid cannot be seen, and reading again is never wrong: it is done again. It takes a systemd
 * that answers, so the debt waits for one. What was paid asks systemd for nothing when it is put back, and holds
 * nothing up.
 */
static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        (void)before;
        int r = bus_unit(host, value_get_text(args, "unit"), &u, err);
        if (owes(args)) {
                *ret = r == -EHOSTDOWN ? PROBE_UNREACHABLE : PROBE_PARTIAL;
                return r == -EHOSTDOWN ? 0 : r;
        }
        *ret = r == 0 && !u.needs_reload ? PROBE_AFTER : PROBE_PARTIAL;
        return 0;
}

static int describe(const Value *args, char **ret, Error *err) {
        *ret = text_format("%s for %s", owes(args) ? "be ready to reload systemd" : "reload systemd",
                           value_get_text_or(args, "unit", ""));
        return *ret ? 0 : error_no_memory(err);
}

const Manager manager_systemd = {
        .id = 15,
        .name = "systemd",
        .version = 1,
        .is_rootable = false,
        .reach = REACH_VOLATILE,
        .args = systemd_args,
        .before = systemd_before,
        .check = check,
        .capture = manager_capture_nothing,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
