/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "directory": what was there stays as it was, and nothing that holds something is ever removed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "managers/manager.h"

extern const Manager manager_directory;

#define SUBJECT manager_directory
#include "tests/unit/manager_fixture.h"

#define PARENT "var/lib/pawl-data"
#define PATH PARENT "/web"

static int setup(void **state) {
        Fixture *f = fixture_new();
        rooted_write(&f->rooted, "root/" PARENT "/x", "", 0, 0644);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", PATH, NULL), 0);
        assert_int_equal(value_set_int(f->args, "mode", 02751, NULL), 0);
        assert_int_equal(field_check(manager_directory.args, f->args, "directory", &f->err), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        fixture_free(f);
        return 0;
}

static mode_t mode_of(Fixture *f) {
        struct stat st;
        assert_int_equal(stat(at(f, PATH), &st), 0);
        return st.st_mode & 07777;
}

static void a_new_one_has_exactly_its_mode_and_goes_again(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(verify(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_DRIFT);
        for (int i = 0; i < 2; i++) {
                mode_t old = umask(077);
                int r = apply(f);
                umask(old);
                assert_int_equal(r, 0);
                assert_int_equal(f->result.change, CHANGE_CREATED);
                assert_int_equal(mode_of(f), 02751);
                assert_int_equal(probe(f), PROBE_AFTER);
        }
        assert_int_equal(verify(f), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(revert(f), 0);
                assert_false(rooted_exists(&f->rooted, "root/" PATH));
                assert_int_equal(probe(f), PROBE_BEFORE);
        }
}

static void one_left_without_its_mode_by_a_crash_gets_it(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(mkdir(at(f, PATH), 0700), 0);
        assert_int_equal(probe(f), PROBE_PARTIAL);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_CREATED);
        assert_int_equal(mode_of(f), 02751);
        assert_int_equal(revert(f), 0);
        assert_false(rooted_exists(&f->rooted, "root/" PATH));
}

static void one_left_without_its_mode_by_a_crash_is_reverted(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(mkdir(at(f, PATH), 0700), 0);
        assert_int_equal(revert(f), 0);
        assert_false(rooted_exists(&f->rooted, "root/" PATH));
}

static void a_full_one_that_appeared_is_someone_elses(void **state) {
        Fixture *f = *state;
        capture(f);
        rooted_write(&f->rooted, "root/" PATH "/theirs", "x", 1, 0600);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_int_equal(mode_of(f), 0755);
        assert_int_equal(revert(f), -ENOTEMPTY);
        assert_true(rooted_exists(&f->rooted, "root/" PATH "/theirs"));
}

static void an_existing_one_is_never_changed(void **state) {
        Fixture *f = *state;
        assert_int_equal(mkdir(at(f, PATH), 0700), 0);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(mode_of(f), 0700);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(verify(f), 0);
        assert_int_equal(revert(f), 0);
        assert_true(rooted_exists(&f->rooted, "root/" PATH));
}

static void a_link_to_a_directory_counts_as_one(void **state) {
        Fixture *f = *state;
        struct stat st;
        assert_int_equal(mkdir(at(f, "disk"), 0700), 0);
        assert_int_equal(symlink("/disk", at(f, PATH)), 0);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(verify(f), 0);
        assert_int_equal(revert(f), 0);
        assert_int_equal(lstat(at(f, PATH), &st), 0);
        assert_true(S_ISLNK(st.st_mode));
}

static void one_that_holds_something_is_not_removed(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        rooted_write(&f->rooted, "root/" PATH "/theirs", "x", 1, 0600);
        assert_int_equal(revert(f), -ENOTEMPTY);
        assert_non_null(strstr(f->err.message, "the directory is not empty"));
        assert_true(rooted_exists(&f->rooted, "root/" PATH "/theirs"));
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_int_equal(f->rooted.n_warnings, 1);
        assert_true(rooted_exists(&f->rooted, "root/" PATH "/theirs"));
}

static void data_the_service_wrote_is_kept_and_named(void **state) {
        Fixture *f = *state;
        assert_int_equal(value_set_bool(f->args, "is_data", true, NULL), 0);
        capture(f);
        assert_int_equal(apply(f), 0);
        rooted_write(&f->rooted, "root/" PATH "/db", "x", 1, 0600);
        assert_int_equal(revert(f), 0);
        assert_int_equal(f->rooted.n_warnings, 1);
        assert_true(rooted_exists(&f->rooted, "root/" PATH "/db"));
}

static void what_is_not_a_directory_is_refused(void **state) {
        Fixture *f = *state;
        rooted_write(&f->rooted, "root/" PATH, "a file", 6, 0600);
        assert_int_equal(manager_directory.check(&f->rooted.host, f->args, &f->err), -EEXIST);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(f->err.code, ERR_EXISTS);
        assert_int_equal(verify(f), -ESTALE);
        assert_int_equal(revert(f), 0);
        assert_true(rooted_exists(&f->rooted, "root/" PATH));
}

static void a_file_in_the_place_of_ours_is_foreign(void **state) {
        Fixture *f = *state;
        capture(f);
        rooted_write(&f->rooted, "root/" PATH, "a file", 6, 0600);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(rooted_exists(&f->rooted, "root/" PATH));
}

static void its_parent_must_be_there(void **state) {
        Fixture *f = *state;
        assert_int_equal(value_set_text(f->args, "path", "nowhere/web", NULL), 0);
        capture(f);
        assert_int_equal(apply(f), -ENOENT);
        assert_int_equal(revert(f), 0);
        assert_false(rooted_exists(&f->rooted, "root/nowhere"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_new_one_has_exactly_its_mode_and_goes_again),
                T(one_left_without_its_mode_by_a_crash_gets_it),
                T(one_left_without_its_mode_by_a_crash_is_reverted),
                T(a_full_one_that_appeared_is_someone_elses),
                T(an_existing_one_is_never_changed),
                T(a_link_to_a_directory_counts_as_one),
                T(one_that_holds_something_is_not_removed),
                T(data_the_service_wrote_is_kept_and_named),
                T(what_is_not_a_directory_is_refused),
                T(a_file_in_the_place_of_ours_is_foreign),
                T(its_parent_must_be_there),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
