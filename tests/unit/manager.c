/* SPDX-License-Identifier: Apache-2.0 */
/* The table of managers keeps its promises: numbers and names are unique, no operation is missing, payload numbers
 * are not reused. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/lib/temp_host.h"

/* What is written to disk, once more: whoever changes managers.def must change this line as well, and think. */
static const char *const numbers[] = {
        [1] = "release", [2] = "tree",   [3] = "link",  [4] = "file",   [5] = "directory", [6] = "port",
        [7] = "process", [8] = "health", [9] = "trash", [10] = "prune", [11] = "purge",    [12] = "notify",
};

static void test_numbers_on_disk_never_change(void **state) {
        (void)state;
        for (size_t i = 1; i < ELEMENTSOF(numbers); i++) {
                const Manager *m = manager_by_id((uint16_t)i);
                assert_non_null(m);
                assert_string_equal(m->name, numbers[i]);
                assert_int_equal(m->id, i);
                assert_ptr_equal(manager_by_name(numbers[i]), m);
        }
        assert_null(manager_by_id(0));
        assert_null(manager_by_id(60000));
        assert_null(manager_by_name("docker"));
}

static void test_every_operation_is_there(void **state) {
        (void)state;
        for (size_t i = 0; i < manager_count(); i++) {
                const Manager *m = manager_at(i);
                assert_true(m->version >= 1);
                assert_true(m->args && m->before);
                assert_true(m->check && m->capture && m->apply && m->revert);
                assert_true(m->probe && m->verify && m->tidy && m->describe);
        }
        assert_null(manager_at(manager_count()));
}

static void check_fields(const char *manager, const Field *fields, int depth) {
        assert_true(depth < 8);
        for (size_t i = 0; fields[i].num != 0; i++) {
                for (size_t k = 0; k < i; k++) {
                        if (fields[i].num == fields[k].num || strcmp(fields[i].name, fields[k].name) == 0)
                                fail_msg("%s: \"%s\" and \"%s\" share a name or number", manager, fields[i].name,
                                         fields[k].name);
                }
                if (fields[i].since == 0)
                        fail_msg("%s: \"%s\" does not say since when it is there", manager, fields[i].name);
                if (fields[i].fields)
                        check_fields(manager, fields[i].fields, depth + 1);
        }
}

static void test_fields_have_numbers_of_their_own(void **state) {
        (void)state;
        for (size_t i = 0; i < manager_count(); i++) {
                check_fields(manager_at(i)->name, manager_at(i)->args, 0);
                check_fields(manager_at(i)->name, manager_at(i)->before, 0);
        }
}

static void test_a_decorator_stands_in_until_it_is_taken_away(void **state) {
        (void)state;
        const Manager *own = manager_by_name("port");
        Manager with = *own;
        manager_replace("port", &with);
        assert_ptr_equal(manager_by_name("port"), &with);
        assert_ptr_equal(manager_by_id(own->id), &with);
        assert_ptr_equal(manager_at(5), &with);
        manager_replace("port", NULL);
        assert_ptr_equal(manager_by_name("port"), own);
}

static void test_names_of_probes_and_changes(void **state) {
        (void)state;
        assert_string_equal(probe_name(PROBE_BEFORE), "before");
        assert_string_equal(probe_name(PROBE_UNREACHABLE), "unreachable");
        assert_string_equal(change_name(CHANGE_UNCHANGED), "unchanged");
        assert_string_equal(change_name(CHANGE_CHANGED), "changed");
}

static void test_paths_stay_below_the_root(void **state) {
        (void)state;
        Host host = {.root_path = "/"};
        _cleanup_free_ char *path = host_path(&host, "etc/pawl");
        assert_string_equal(path, "/etc/pawl");
        host.root_path = "/srv/root";
        _cleanup_free_ char *other = host_path(&host, "etc/pawl");
        assert_string_equal(other, "/srv/root/etc/pawl");
}

static void test_cancelling_is_noticed_and_never_while_putting_back(void **state) {
        (void)state;
        volatile sig_atomic_t flag = 0;
        Host host = {.cancel = &flag};
        Error err = ERROR_INIT;
        assert_int_equal(host_check_cancel(&host, &err), 0);
        static const struct {
                int signal_number;
                ErrorCode code;
        } ways[] = {{SIGINT, ERR_INTERRUPTED},
                    {SIGTERM, ERR_TERMINATED},
                    {SIGHUP, ERR_HANGUP},
                    {SIGPIPE, ERR_INTERRUPTED}};
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                flag = ways[i].signal_number;
                assert_int_equal(host_check_cancel(&host, &err), -ECANCELED);
                assert_int_equal(err.code, ways[i].code);
        }
        host.cancel = NULL;
        assert_int_equal(host_check_cancel(&host, &err), 0);
        host.deadline_usec = 1;
        assert_int_equal(host_check_cancel(&host, &err), -ETIMEDOUT);
        assert_int_equal(err.code, ERR_TIMEOUT);
}

static void test_log_goes_to_the_caller(void **state) {
        (void)state;
        TempHost t;
        temp_host_init(&t);
        host_log(&t.host, LOG_NOTE, "a note is no warning");
        host_log(&t.host, LOG_WARNING, "%s is %d", "this", 1);
        assert_string_equal(t.warnings, "this is 1\n");
        t.host.calls = NULL;
        host_log(&t.host, LOG_WARNING, "nobody listens");
        host_progress(&t.host, "nothing", 1, 2);
        temp_host_done(&t);
}

static void test_runtimes_by_name(void **state) {
        (void)state;
        assert_string_equal(runtime_by_type("process")->type, "process");
        assert_null(runtime_by_type("abacus"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_on_disk_never_change),
                cmocka_unit_test(test_every_operation_is_there),
                cmocka_unit_test(test_fields_have_numbers_of_their_own),
                cmocka_unit_test(test_a_decorator_stands_in_until_it_is_taken_away),
                cmocka_unit_test(test_names_of_probes_and_changes),
                cmocka_unit_test(test_paths_stay_below_the_root),
                cmocka_unit_test(test_cancelling_is_noticed_and_never_while_putting_back),
                cmocka_unit_test(test_log_goes_to_the_caller),
                cmocka_unit_test(test_runtimes_by_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
