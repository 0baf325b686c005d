/* SPDX-License-Identifier: Apache-2.0 */
/* A service of the embedded runtime in a temporary root, and the manager's operations on it. cmocka.h must be
 * included before. */
#pragma once

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/json.h"
#include "managers/log_file.h"
#include "managers/process_run.h"
#include "tests/lib/temp_host.h"

#define UNUSED_OK __attribute__((unused))
#define PROC "run/pawl/web.proc"
#define DEFINITION "etc/pawl/web/process"

extern const Manager manager_process;

static TempHost t;
static Error err;

UNUSED_OK static int setup(void **state) {
        (void)state;
        temp_host_init(&t);
        err = ERROR_INIT;
        return 0;
}

UNUSED_OK static int teardown(void **state) {
        (void)state;
        t.host.cancel = NULL;
        (void)process_stop(&t.host, "web", 1000, NULL);
        temp_host_done(&t);
        return 0;
}

/* A definition of the test program with these words, and an environment file. */
UNUSED_OK static void define_program(const char *program, const char *const *words, const char *env) {
        char path[4096];
        _cleanup_(value_freep) Value *map = value_new_map();
        _cleanup_free_ char *text = NULL;
        Value *argv = value_new_array();
        value_append_text(argv, program, NULL);
        for (size_t i = 0; words && words[i]; i++)
                value_append_text(argv, words[i], NULL);
        value_set(map, "argv", argv, NULL);
        snprintf(path, sizeof(path), "%s/var/log/pawl/web.log", t.path);
        value_set_text(map, "log", path, NULL);
        value_set_text(map, "directory", t.path, NULL);
        value_set_text(map, "service", "web", NULL);
        if (geteuid() == 0)
                value_set_text(map, "user", "root", NULL);
        if (env) {
                temp_host_write(&t, "etc/pawl/web/env", env);
                snprintf(path, sizeof(path), "%s/etc/pawl/web/env", t.path);
                value_set_text(map, "env_file", path, NULL);
        }
        assert_int_equal(json_encode(map, JSON_PRETTY, &text, NULL), 0);
        temp_host_write(&t, DEFINITION, text);
}

UNUSED_OK static void define(const char *const *words, const char *env) {
        define_program(test_program("listener"), words, env);
}

UNUSED_OK static Value *args_new(const char *role) {
        Value *args = value_new_map();
        value_set_text(args, "service", "web", NULL);
        value_set_text(args, "role", role, NULL);
        value_set_text(args, "definition", DEFINITION, NULL);
        value_set_int(args, "stop_timeout_usec", 300000, NULL);
        return args;
}

UNUSED_OK static Value *capture(const char *role) {
        _cleanup_(value_freep) Value *args = args_new(role);
        Value *before = NULL;
        assert_int_equal(manager_process.capture(&t.host, args, &before, &err), 0);
        assert_int_equal(field_check(manager_process.before, before, "before", &err), 0);
        return before;
}

UNUSED_OK static int apply(const char *role, uint32_t step, const Value *before) {
        _cleanup_(value_freep) Value *args = args_new(role);
        StepResult result = {0};
        t.host.step = step;
        int r = manager_process.apply(&t.host, args, before, &result, &err);
        step_result_done(&result);
        return r;
}

UNUSED_OK static int revert(const char *role, uint32_t step, const Value *before) {
        _cleanup_(value_freep) Value *args = args_new(role);
        t.host.step = step;
        return manager_process.revert(&t.host, args, before, &err);
}

UNUSED_OK static Probe probe(const char *role, uint32_t step, const Value *before) {
        _cleanup_(value_freep) Value *args = args_new(role);
        Probe ret = PROBE_UNREACHABLE;
        t.host.step = step;
        assert_int_equal(manager_process.probe(&t.host, args, before, &ret, &err), 0);
        return ret;
}

UNUSED_OK static ProcFile running(void) {
        ProcFile p = {0};
        assert_int_equal(proc_file_read(&t.host, "web", &p, &err), 0);
        assert_true(proc_file_is_alive(&t.host, &p));
        return p;
}

/* Waits for a text in the log. */
UNUSED_OK static char *log_with(const char *text) {
        for (int i = 0; i < 300; i++) {
                char *log = temp_host_read(&t, "var/log/pawl/web.log");
                if (log && strstr(log, text))
                        return log;
                free(log);
                usleep(10000);
        }
        fail_msg("\"%s\" is not in the log", text);
        return NULL;
}

UNUSED_OK static int count_session(void *userdata, const ProcessInfo *p) {
        int *session = userdata;
        if (p->session == session[0] && !p->is_dead)
                session[1]++;
        return 0;
}

UNUSED_OK static int n_members(int pid) {
        int session[2] = {pid, 0};
        assert_int_equal(procfs_each(count_session, session), 0);
        return session[1];
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
