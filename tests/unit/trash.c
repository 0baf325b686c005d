/* SPDX-License-Identifier: Apache-2.0 */
/* The managers "trash" and "purge": gone from sight at once, gone for good only at the end, and never over somebody
 * else's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "managers/manager.h"

extern const Manager manager_purge, manager_trash;

#define SUBJECT manager_trash
#include "tests/unit/manager_fixture.h"

#define DIR "opt/pawl"
#define PATH DIR "/web"
#define TRASH DIR "/.pawl-trash-7-3"

static void put(Fixture *f, const char *path, const char *text) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/%s", path);
        rooted_write(&f->rooted, name, text, strlen(text), 0640);
}

static ino_t inode_of(Fixture *f, const char *path) {
        struct stat st;
        assert_int_equal(lstat(at(f, path), &st), 0);
        return st.st_ino;
}

static int n_entries(Fixture *f) {
        return rooted_count(&f->rooted, "root/" DIR);
}

static int setup(void **state) {
        Fixture *f = fixture_new();
        put(f, DIR "/other", "");
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", PATH, NULL), 0);
        assert_int_equal(field_check(manager_trash.args, f->args, "trash", &f->err), 0);
        assert_int_equal(field_check(manager_purge.args, f->args, "purge", &f->err), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        fixture_free(f);
        return 0;
}

static void with_tree(Fixture *f) {
        put(f, PATH "/releases/v1/web", "#!web");
        f->inode = inode_of(f, PATH);
        capture(f);
}

static void with_file(Fixture *f) {
        put(f, PATH, "log");
        f->inode = inode_of(f, PATH);
        capture(f);
}

static void check_back_and_forth(Fixture *f) {
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(apply(f), 0);
                assert_int_equal(f->result.change, CHANGE_CHANGED);
                assert_int_equal(probe(f), PROBE_AFTER);
                assert_int_equal(manager_trash.verify(&f->rooted.host, f->args, NULL, &f->err), 0);
        }
        assert_false(rooted_exists(&f->rooted, "root/" PATH));
        assert_int_equal(inode_of(f, TRASH), f->inode);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(revert(f), 0);
                assert_int_equal(inode_of(f, PATH), f->inode);
                assert_int_equal(n_entries(f), 2);
                assert_int_equal(probe(f), PROBE_BEFORE);
        }
        assert_int_equal(apply(f), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(tidy(f), 0);
                assert_int_equal(n_entries(f), 1);
        }
}

static void a_tree_goes_and_comes_back_and_goes_for_good(void **state) {
        with_tree(*state);
        check_back_and_forth(*state);
}

static void a_file_goes_and_comes_back_and_goes_for_good(void **state) {
        with_file(*state);
        check_back_and_forth(*state);
}

static void what_is_missing_needs_nothing(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(probe(f), PROBE_BEFORE);
        put(f, PATH, "theirs");
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), 0);
        assert_int_equal(tidy(f), 0);
        assert_true(rooted_exists(&f->rooted, "root/" PATH));
}

static void what_was_replaced_before_apply_stays(void **state) {
        Fixture *f = *state;
        with_file(f);
        put(f, PATH ".new", "theirs");
        assert_int_equal(rename(at(f, PATH ".new"), at(f, PATH)), 0);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_int_equal(n_entries(f), 2);
}

static void what_appeared_meanwhile_is_not_overwritten(void **state) {
        Fixture *f = *state;
        with_tree(f);
        assert_int_equal(apply(f), 0);
        put(f, PATH, "theirs");
        assert_int_equal(manager_trash.verify(&f->rooted.host, f->args, NULL, &f->err), -ESTALE);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), -ESTALE);
        assert_int_equal(inode_of(f, TRASH), f->inode);
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_int_equal(inode_of(f, PATH), f->inode);
        _cleanup_free_ char *kept = rooted_read(&f->rooted, "root/" PATH ".pawl-conflict");
        assert_string_equal(kept, "theirs");
}

static void what_is_gone_altogether_is_foreign(void **state) {
        Fixture *f = *state;
        with_file(f);
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), -ESTALE);
}

static int purge(Fixture *f) {
        return manager_purge.apply(&f->rooted.host, f->args, NULL, &f->result, &f->err);
}

static void purge_deletes_and_may_be_repeated(void **state) {
        Fixture *f = *state;
        with_tree(f);
        assert_int_equal(purge(f), 0);
        assert_int_equal(f->result.change, CHANGE_CHANGED);
        assert_int_equal(n_entries(f), 1);
        assert_int_equal(manager_purge.verify(&f->rooted.host, f->args, NULL, &f->err), 0);
        assert_int_equal(purge(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
}

static void purge_completes_what_a_crash_left(void **state) {
        Fixture *f = *state;
        with_tree(f);
        assert_int_equal(rename(at(f, PATH), at(f, TRASH)), 0);
        assert_int_equal(purge(f), 0);
        assert_int_equal(n_entries(f), 1);
        /* Half deleted, and there again. */
        put(f, TRASH "/half", "");
        put(f, PATH "/db", "");
        assert_int_equal(purge(f), 0);
        assert_int_equal(n_entries(f), 1);
}

static void purge_does_not_follow_a_link(void **state) {
        Fixture *f = *state;
        put(f, "disk/db", "data");
        assert_int_equal(symlink("/disk", at(f, PATH)), 0);
        assert_int_equal(purge(f), 0);
        assert_int_equal(f->rooted.n_warnings, 1);
        assert_int_equal(n_entries(f), 1);
        assert_true(rooted_exists(&f->rooted, "root/disk/db"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_tree_goes_and_comes_back_and_goes_for_good),
                T(a_file_goes_and_comes_back_and_goes_for_good),
                T(what_is_missing_needs_nothing),
                T(what_was_replaced_before_apply_stays),
                T(what_appeared_meanwhile_is_not_overwritten),
                T(what_is_gone_altogether_is_foreign),
                T(purge_deletes_and_may_be_repeated),
                T(purge_completes_what_a_crash_left),
                T(purge_does_not_follow_a_link),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
