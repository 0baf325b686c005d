/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "link": from every state a crash can leave, done and undone; what is not a link, or not ours, stays. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "managers/manager.h"

extern const Manager manager_link;

#define SUBJECT manager_link
#include "tests/unit/manager_fixture.h"

#define DIR "opt/pawl/web"
#define PATH DIR "/current"
#define STAGED DIR "/.pawl-7-3"
#define CONFLICT DIR "/current.pawl-conflict"

static bool cannot_exchange;
static const char *edited; /* before the next renameat2, somebody points this path elsewhere */

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
        if (edited) {
                assert_int_equal(unlink(edited), 0);
                assert_int_equal(symlink("theirs", edited), 0);
                edited = NULL;
        }
        if (cannot_exchange && flags != 0) {
                errno = EINVAL;
                return -1;
        }
        return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static void point(Fixture *f, const char *path, const char *target) {
        (void)unlink(at(f, path));
        assert_int_equal(symlink(target, at(f, path)), 0);
}

static bool points(Fixture *f, const char *path, const char *target) {
        char found[256] = {0};
        return readlink(at(f, path), found, sizeof(found) - 1) >= 0 && strcmp(found, target) == 0;
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
        rooted_write(&f->rooted, "root/" DIR "/x", "", 0, 0644);
        assert_int_equal(unlink(at(f, DIR "/x")), 0);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", PATH, NULL), 0);
        assert_int_equal(value_set_text(f->args, "target", "releases/v2", NULL), 0);
        assert_int_equal(field_check(manager_link.args, f->args, "link", &f->err), 0);
        cannot_exchange = false;
        edited = NULL;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        cannot_exchange = false;
        edited = NULL;
        fixture_free(f);
        return 0;
}

static void with_old(Fixture *f) {
        point(f, PATH, "releases/v1");
        f->inode = inode_of(f, PATH);
        capture(f);
}

static void not_begun(Fixture *f) {
        (void)f;
}
static void staged(Fixture *f) {
        point(f, STAGED, "releases/v2");
}
static void linked_both(Fixture *f) {
        staged(f);
        point(f, STAGED ".new", "releases/v2");
        assert_int_equal(linkat(AT_FDCWD, at(f, PATH), AT_FDCWD, at(f, STAGED ".old"), 0), 0);
}
static void linked_old(Fixture *f) {
        linked_both(f);
        assert_int_equal(rename(at(f, STAGED ".old"), at(f, STAGED)), 0);
}
static void exchanged(Fixture *f) {
        staged(f);
        assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, at(f, STAGED), AT_FDCWD, at(f, PATH), RENAME_EXCHANGE), 0);
}
static void published(Fixture *f) {
        point(f, PATH, "releases/v2");
}

typedef struct Interrupted {
        void (*make)(Fixture *f);
        bool was_there;
        Probe probe;
} Interrupted;

/* clang-format off */
static const Interrupted interrupted[] = {
        {not_begun,   true,  PROBE_BEFORE},
        {staged,      true,  PROBE_PARTIAL},
        {linked_both, true,  PROBE_PARTIAL},
        {linked_old,  true,  PROBE_PARTIAL},
        {exchanged,   true,  PROBE_AFTER},
        {not_begun,   false, PROBE_BEFORE},
        {staged,      false, PROBE_PARTIAL},
        {published,   false, PROBE_AFTER},
};
/* clang-format on */

static void assert_before(Fixture *f, const Interrupted *x) {
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(n_entries(f), x->was_there);
        if (x->was_there)
                assert_true(points(f, PATH, "releases/v1"));
        if (x->was_there && !cannot_exchange)
                assert_int_equal(inode_of(f, PATH), f->inode);
}

static void check_revert(Fixture *f, const Interrupted *x) {
        assert_int_equal(probe(f), x->probe);
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
}

static void check_apply_and_revert(Fixture *f, const Interrupted *x) {
        for (int i = 0; i < 2; i++) {
                assert_int_equal(apply(f), 0);
                assert_int_equal(f->result.change, x->was_there ? CHANGE_CHANGED : CHANGE_CREATED);
                assert_int_equal(verify(f), 0);
        }
        if (x->was_there)
                assert_true(points(f, STAGED, "releases/v1"));
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
}

static void check_apply_and_tidy(Fixture *f, const Interrupted *x) {
        (void)x;
        assert_int_equal(apply(f), 0);
        assert_int_equal(tidy(f), 0);
        assert_true(points(f, PATH, "releases/v2"));
        assert_int_equal(n_entries(f), 1);
        assert_int_equal(tidy(f), 0);
}

static void for_each_state(void (*body)(Fixture *f, const Interrupted *x), bool without_exchange) {
        for (size_t i = 0; i < ELEMENTSOF(interrupted); i++) {
                void *own = NULL;
                setup(&own);
                Fixture *f = own;
                if (interrupted[i].was_there)
                        with_old(f);
                else
                        capture(f);
                interrupted[i].make(f);
                cannot_exchange = without_exchange;
                body(f, &interrupted[i]);
                teardown(&own);
        }
}

static void every_interrupted_state_is_reverted(void **state) {
        (void)state;
        for_each_state(check_revert, false);
        for_each_state(check_revert, true);
}

static void every_interrupted_state_is_completed_and_can_still_be_reverted(void **state) {
        (void)state;
        for_each_state(check_apply_and_revert, false);
        for_each_state(check_apply_and_revert, true);
}

static void tidy_leaves_nothing_of_any_state(void **state) {
        (void)state;
        for_each_state(check_apply_and_tidy, false);
        for_each_state(check_apply_and_tidy, true);
}

static void a_link_pointed_elsewhere_before_apply_is_left_alone(void **state) {
        Fixture *f = *state;
        with_old(f);
        point(f, PATH, "theirs");
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(points(f, PATH, "theirs"));
        assert_int_equal(n_entries(f), 1);
}

static void a_link_pointed_elsewhere_in_the_last_moment_goes_back_to_its_place(void **state) {
        Fixture *f = *state;
        char path[1024];
        with_old(f);
        (void)snprintf(path, sizeof(path), "%s", at(f, PATH));
        edited = path;
        assert_int_equal(apply(f), -ESTALE);
        assert_true(points(f, PATH, "theirs"));
        assert_int_equal(n_entries(f), 1);
}

static void a_link_pointed_elsewhere_after_apply_survives_until_a_person_decides(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        point(f, PATH, "theirs");
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(points(f, PATH, "theirs"));
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_int_equal(inode_of(f, PATH), f->inode);
        assert_true(points(f, CONFLICT, "theirs"));
        assert_int_equal(n_entries(f), 2);
}

static void what_is_not_a_link_is_refused_and_left(void **state) {
        Fixture *f = *state;
        rooted_write(&f->rooted, "root/" PATH, "a file", 6, 0644);
        assert_int_equal(manager_link.check(&f->rooted.host, f->args, &f->err), -EEXIST);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(f->err.code, ERR_EXISTS);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(mkdir(at(f, PATH), 0755), 0);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(revert(f), 0);
        assert_int_equal(n_entries(f), 1);
}

static void a_directory_that_takes_the_place_of_ours_is_foreign(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(mkdir(at(f, PATH), 0755), 0);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_true(points(f, PATH, "releases/v1"));
        assert_int_equal(rooted_count(&f->rooted, "root/" CONFLICT), 0);
}

static void what_points_there_already_is_left(void **state) {
        Fixture *f = *state;
        point(f, PATH, "releases/v2");
        f->inode = inode_of(f, PATH);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(revert(f), 0);
        assert_int_equal(inode_of(f, PATH), f->inode);
        assert_int_equal(n_entries(f), 1);
}

static void verify_names_what_differs(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(verify(f), -ESTALE);
        assert_non_null(strstr(f->err.message, "it is missing"));
        point(f, PATH, "releases/v1");
        assert_int_equal(verify(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_DRIFT);
        assert_non_null(strstr(f->err.message, "points to \"releases/v1\" instead of \"releases/v2\""));
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(mkdir(at(f, PATH), 0755), 0);
        assert_int_equal(verify(f), -ESTALE);
        assert_non_null(strstr(f->err.message, "not a link"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_interrupted_state_is_reverted),
                cmocka_unit_test(every_interrupted_state_is_completed_and_can_still_be_reverted),
                cmocka_unit_test(tidy_leaves_nothing_of_any_state),
                T(a_link_pointed_elsewhere_before_apply_is_left_alone),
                T(a_link_pointed_elsewhere_in_the_last_moment_goes_back_to_its_place),
                T(a_link_pointed_elsewhere_after_apply_survives_until_a_person_decides),
                T(what_is_not_a_link_is_refused_and_left),
                T(a_directory_that_takes_the_place_of_ours_is_foreign),
                T(what_points_there_already_is_left),
                T(verify_names_what_differs),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
