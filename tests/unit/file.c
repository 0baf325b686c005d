/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager "file": whatever state a crash leaves it in, it can be done and undone from there, and nobody else's
 * bytes are ever lost. renameat2() is this file's own, so that somebody can write at the worst moment, and so that
 * file systems without exchange can be had.
 */
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
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "managers/manager.h"

extern const Manager manager_file;

#define SUBJECT manager_file
#include "tests/unit/manager_fixture.h"

#define DIR "etc/pawl/web"
#define PATH DIR "/env"
#define STAGED DIR "/.pawl-7-3"
#define CONFLICT DIR "/env.pawl-conflict"
#define OLD "PORT=3000\n"
#define NEW "PORT=3001\n"
#define THEIRS "PORT=22\n"

static bool cannot_exchange;
static void (*at_rename)(Fixture *f, int nth); /* called before the nth renameat2 */
static Fixture *at_fixture;
static int n_renames;

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
        if (at_rename)
                at_rename(at_fixture, ++n_renames);
        if (cannot_exchange && flags != 0) {
                errno = EINVAL;
                return -1;
        }
        return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static void put(Fixture *f, const char *path, const char *text, mode_t mode) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/%s", path);
        rooted_write(&f->rooted, name, text, strlen(text), mode);
}

static bool holds(Fixture *f, const char *path, const char *text) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/%s", path);
        _cleanup_free_ char *found = rooted_read(&f->rooted, name);
        return found && strcmp(found, text) == 0;
}

static bool is_there(Fixture *f, const char *path) {
        struct stat st;
        return lstat(at(f, path), &st) == 0;
}

static bool is_watching, was_synced_in_time;

int fsync(int fd) {
        struct stat st;
        if (is_watching && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && is_there(at_fixture, STAGED))
                was_synced_in_time = true;
        return (int)syscall(SYS_fsync, fd);
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
        assert_int_equal(value_set_text(f->args, "content", NEW, NULL), 0);
        assert_int_equal(value_set_int(f->args, "mode", 0600, NULL), 0);
        assert_int_equal(field_check(manager_file.args, f->args, "file", &f->err), 0);
        cannot_exchange = false;
        at_rename = NULL;
        at_fixture = f;
        n_renames = 0;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        at_rename = NULL;
        cannot_exchange = false;
        fixture_free(f);
        return 0;
}

static void with_old(Fixture *f) {
        put(f, PATH, OLD, 0640);
        /* Where the file system has no attributes for users, the inode alone must do. */
        (void)setxattr(at(f, PATH), "user.pawl", "kept", 4, 0);
        f->inode = inode_of(f, PATH);
        capture(f);
}

/* The very file that was there, with everything on it, and nothing beside it. */
static void assert_old_is_back(Fixture *f) {
        struct stat st;
        char value[8];
        assert_int_equal(lstat(at(f, PATH), &st), 0);
        assert_int_equal(st.st_ino, f->inode);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_true(holds(f, PATH, OLD));
        ssize_t n = getxattr(at(f, PATH), "user.pawl", value, sizeof(value));
        assert_true(n == 4 || errno == ENOTSUP);
        assert_int_equal(n_entries(f), 1);
}

/* ---- Every state an interrupted step can leave ------------------------------------------------------------------- */

static void not_begun(Fixture *f) {
        (void)f;
}
static void half_staged(Fixture *f) {
        put(f, STAGED, "PO", 0600);
}
static void staged(Fixture *f) {
        put(f, STAGED, NEW, 0600);
}
static void linked_both(Fixture *f) {
        put(f, STAGED, NEW, 0600);
        assert_int_equal(link(at(f, STAGED), at(f, STAGED ".new")), 0);
        assert_int_equal(link(at(f, PATH), at(f, STAGED ".old")), 0);
}
static void linked_old(Fixture *f) {
        linked_both(f);
        assert_int_equal(rename(at(f, STAGED ".old"), at(f, STAGED)), 0);
}
static void exchanged(Fixture *f) {
        staged(f);
        assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, at(f, STAGED), AT_FDCWD, at(f, PATH), RENAME_EXCHANGE), 0);
}
static void put_back(Fixture *f) {
        put(f, STAGED, NEW, 0600);
}
static void published(Fixture *f) {
        put(f, PATH, NEW, 0600);
}
static void published_twice_named(Fixture *f) {
        put(f, STAGED, NEW, 0600);
        assert_int_equal(link(at(f, STAGED), at(f, PATH)), 0);
}

typedef struct Interrupted {
        const char *name;
        void (*make)(Fixture *f);
        bool was_there;
        Probe probe;
} Interrupted;

/* clang-format off */
static const Interrupted interrupted[] = {
        {"there, not begun",             not_begun,             true,  PROBE_BEFORE},
        {"there, half staged",           half_staged,           true,  PROBE_PARTIAL},
        {"there, staged",                staged,                true,  PROBE_PARTIAL},
        {"there, both linked",           linked_both,           true,  PROBE_PARTIAL},
        {"there, old under two names",   linked_old,            true,  PROBE_PARTIAL},
        {"there, exchanged",             exchanged,             true,  PROBE_AFTER},
        {"there, put back",              put_back,              true,  PROBE_PARTIAL},
        {"absent, not begun",            not_begun,             false, PROBE_BEFORE},
        {"absent, half staged",          half_staged,           false, PROBE_PARTIAL},
        {"absent, staged",               staged,                false, PROBE_PARTIAL},
        {"absent, published",            published,             false, PROBE_AFTER},
        {"absent, under both names",     published_twice_named, false, PROBE_PARTIAL},
};
/* clang-format on */

static void assert_before(Fixture *f, const Interrupted *x) {
        assert_int_equal(probe(f), PROBE_BEFORE);
        if (x->was_there)
                assert_old_is_back(f);
        else
                assert_int_equal(n_entries(f), 0);
}

static void begin(void **state, const Interrupted *x) {
        Fixture *f = *state;
        if (x->was_there)
                with_old(f);
        else
                capture(f);
        x->make(f);
        print_message("           %s\n", x->name);
}

/* A fixture of its own for each, since each needs a clean directory. */
static void for_each_state(void (*body)(Fixture *f, const Interrupted *x), bool without_exchange) {
        for (size_t i = 0; i < ELEMENTSOF(interrupted); i++) {
                void *own = NULL;
                setup(&own);
                begin(&own, &interrupted[i]);
                cannot_exchange = without_exchange;
                body(own, &interrupted[i]);
                teardown(&own);
        }
}

static void check_probe_and_revert(Fixture *f, const Interrupted *x) {
        assert_int_equal(probe(f), x->probe);
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
}

static void check_apply_and_revert(Fixture *f, const Interrupted *x) {
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, x->was_there ? CHANGE_CHANGED : CHANGE_CREATED);
        assert_int_equal(verify(f), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, x->was_there ? CHANGE_CHANGED : CHANGE_CREATED);
        if (x->was_there)
                assert_int_equal(inode_of(f, STAGED), f->inode);
        assert_int_equal(revert(f), 0);
        assert_before(f, x);
}

static void check_apply_and_tidy(Fixture *f, const Interrupted *x) {
        (void)x;
        assert_int_equal(apply(f), 0);
        assert_int_equal(tidy(f), 0);
        assert_int_equal(verify(f), 0);
        assert_true(holds(f, PATH, NEW));
        assert_int_equal(n_entries(f), 1);
        assert_int_equal(tidy(f), 0);
        assert_int_equal(n_entries(f), 1);
}

static void every_interrupted_state_is_reverted(void **state) {
        (void)state;
        for_each_state(check_probe_and_revert, false);
}

static void every_interrupted_state_is_completed_and_can_still_be_reverted(void **state) {
        (void)state;
        for_each_state(check_apply_and_revert, false);
}

static void tidy_leaves_nothing_of_any_state(void **state) {
        (void)state;
        for_each_state(check_apply_and_tidy, false);
}

static void all_of_it_holds_where_names_cannot_be_exchanged(void **state) {
        (void)state;
        for_each_state(check_probe_and_revert, true);
        for_each_state(check_apply_and_revert, true);
        for_each_state(check_apply_and_tidy, true);
}

/* ---- Other people ------------------------------------------------------------------------------------------------ */

static void only_count(Fixture *f, int nth) {
        (void)f, (void)nth;
}

static void an_edit_before_apply_is_left_alone(void **state) {
        Fixture *f = *state;
        with_old(f);
        put(f, PATH, THEIRS, 0640);
        at_rename = only_count;
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(n_renames, 0); /* not even for a moment */
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_non_null(strstr(f->err.message, "was changed by someone else meanwhile"));
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(n_entries(f), 1);
}

static void a_file_that_appears_before_apply_is_left_alone(void **state) {
        Fixture *f = *state;
        capture(f);
        put(f, PATH, THEIRS, 0600);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(n_entries(f), 1);
}

static void a_changed_mode_alone_is_an_edit(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(chmod(at(f, PATH), 0604), 0);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(n_entries(f), 1);
}

static void an_edit_after_apply_survives_revert(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        put(f, PATH, THEIRS, 0600);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(inode_of(f, STAGED), f->inode);
}

static void a_decision_puts_the_captured_back_and_keeps_the_edit(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        put(f, PATH, THEIRS, 0600);
        put(f, CONFLICT, "an older one", 0600);
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_int_equal(inode_of(f, PATH), f->inode);
        assert_true(holds(f, CONFLICT, "an older one"));
        assert_true(holds(f, CONFLICT ".2", THEIRS));
        assert_int_equal(n_entries(f), 3);
        assert_int_equal(revert(f), 0);
        assert_int_equal(n_entries(f), 3);
}

static void a_decision_removes_what_appeared_but_keeps_it_aside(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        put(f, PATH, THEIRS, 0600);
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_false(is_there(f, PATH));
        assert_true(holds(f, CONFLICT, THEIRS));
        assert_int_equal(n_entries(f), 1);
}

static void a_decision_cannot_bring_back_what_is_gone(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(unlink(at(f, STAGED)), 0);
        assert_int_equal(revert(f), -ESTALE);
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), -ESTALE);
        assert_true(holds(f, PATH, NEW));
}

static void a_removed_file_comes_back_by_decision_only(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_false(is_there(f, PATH));
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_old_is_back(f);
}

static void someone_who_wrote_the_same_is_not_undone(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(unlink(at(f, PATH)), 0);
        put(f, PATH, NEW, 0600);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(holds(f, PATH, NEW));
}

static void write_theirs(Fixture *f, int nth) {
        if (nth == 1)
                put(f, PATH, THEIRS, 0640);
}

static void an_edit_in_the_last_moment_goes_back_to_its_place(void **state) {
        Fixture *f = *state;
        with_old(f);
        at_rename = write_theirs;
        assert_int_equal(apply(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(inode_of(f, PATH), f->inode); /* written in place */
        assert_int_equal(n_entries(f), 1);
}

static void write_theirs_twice(Fixture *f, int nth) {
        if (nth <= 2)
                put(f, PATH, nth == 1 ? THEIRS : "PORT=23\n", 0640);
}

static void two_edits_in_the_last_moment_are_both_kept(void **state) {
        Fixture *f = *state;
        with_old(f);
        at_rename = write_theirs_twice;
        assert_int_equal(apply(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_true(holds(f, CONFLICT, "PORT=23\n"));
        assert_int_equal(n_entries(f), 2);
}

static void remove_it(Fixture *f, int nth) {
        if (nth == 1)
                assert_int_equal(unlink(at(f, PATH)), 0);
}

static void a_file_removed_in_the_last_moment_stays_removed(void **state) {
        Fixture *f = *state;
        with_old(f);
        at_rename = remove_it;
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(n_entries(f), 0);
}

static void a_file_that_appears_in_the_last_moment_is_not_overwritten(void **state) {
        Fixture *f = *state;
        capture(f);
        at_rename = write_theirs;
        assert_int_equal(apply(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(n_entries(f), 1);
}

static void an_edit_in_the_last_moment_of_revert_survives(void **state) {
        Fixture *f = *state;
        with_old(f);
        assert_int_equal(apply(f), 0);
        at_rename = write_theirs;
        n_renames = 0;
        assert_int_equal(revert(f), -ESTALE);
        assert_true(holds(f, PATH, THEIRS));
        assert_int_equal(inode_of(f, STAGED), f->inode);
}

/* Died behind an exchange that displaced someone else's: what they wrote must not be tidied away. */
static void tidy_keeps_what_was_displaced_by_mistake(void **state) {
        Fixture *f = *state;
        with_old(f);
        put(f, PATH, NEW, 0600);
        assert_int_equal(chmod(at(f, PATH), 0600), 0);
        put(f, STAGED, THEIRS, 0640);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(tidy(f), 0);
        assert_true(holds(f, CONFLICT, THEIRS));
        assert_int_equal(n_entries(f), 2);
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

static void what_is_as_wanted_is_neither_done_nor_undone(void **state) {
        Fixture *f = *state;
        put(f, PATH, NEW, 0600);
        ino_t inode = inode_of(f, PATH);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(revert(f), 0);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(inode_of(f, PATH), inode);
        assert_int_equal(tidy(f), 0);
        assert_int_equal(n_entries(f), 1);
        put(f, PATH, THEIRS, 0600);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
        assert_true(holds(f, PATH, THEIRS));
}

static void what_is_not_a_file_is_refused(void **state) {
        Fixture *f = *state;
        assert_int_equal(symlink("elsewhere", at(f, PATH)), 0);
        assert_int_equal(manager_file.check(&f->rooted.host, f->args, &f->err), -EEXIST);
        assert_int_equal(f->err.code, ERR_EXISTS);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
        assert_int_equal(n_entries(f), 1);
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(mkdir(at(f, PATH), 0755), 0);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(revert(f), 0);
        assert_int_equal(n_entries(f), 1);
}

static void verify_names_what_differs(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(chmod(at(f, PATH), 0644), 0);
        assert_int_equal(verify(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_DRIFT);
        assert_non_null(strstr(f->err.message, "its mode 0644 instead of 0600"));
        put(f, PATH, THEIRS, 0600);
        assert_int_equal(verify(f), -ESTALE);
        assert_non_null(strstr(f->err.message, "its content"));
        assert_int_equal(unlink(at(f, PATH)), 0);
        assert_int_equal(verify(f), -ESTALE);
        assert_non_null(strstr(f->err.message, "it is missing"));
        put(f, PATH, NEW, 0600);
        assert_int_equal(verify(f), 0);
        assert_int_equal(value_set_int(f->args, "uid", (int64_t)getuid() + 1, NULL), 0);
        assert_int_equal(verify(f), -ESTALE);
        assert_non_null(strstr(f->err.message, "its owner"));
}

static void a_secret_file_leaves_no_digest_in_the_open(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *line = NULL;
        assert_int_equal(value_set(f->args, "content", value_new_secret(NEW, strlen(NEW)), NULL), 0);
        with_old(f);
        assert_true(value_is(value_get(f->before, "sha256"), VALUE_SECRET));
        assert_int_equal(apply(f), 0);
        assert_true(holds(f, PATH, NEW));
        assert_null(value_get(f->result.facts, "sha256"));
        assert_int_equal(value_get_int(f->result.facts, "size", 0), strlen(NEW));
        assert_int_equal(verify(f), 0);
        assert_int_equal(manager_file.describe(f->args, &line, &f->err), 0);
        assert_string_equal(line, "write " PATH " (0600)");
        assert_int_equal(revert(f), 0);
        assert_old_is_back(f);
}

static void a_sealed_file_is_not_guessed_at(void **state) {
        Fixture *f = *state;
        Probe p;
        with_old(f);
        assert_int_equal(value_set(f->args, "content", value_new_sealed("\1\2\3", 3), NULL), 0);
        assert_int_equal(apply(f), -ENOKEY);
        assert_int_equal(f->err.code, ERR_SEAL_KEY);
        assert_int_equal(revert(f), -ENOKEY);
        assert_int_equal(manager_file.probe(&f->rooted.host, f->args, f->before, &p, &f->err), -ENOKEY);
        assert_old_is_back(f);
}

static void facts_of_an_open_file_name_its_digest(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_string_equal(value_get_text(f->result.facts, "sha256"), hex_of(NEW, strlen(NEW)));
}

/* An exchange that an earlier process made may not be durable yet: without it, the other name is the only one of the
 * captured file. */
static void what_is_back_is_synced_before_the_other_name_goes(void **state) {
        Fixture *f = *state;
        with_old(f);
        put_back(f);
        is_watching = true;
        was_synced_in_time = false;
        assert_int_equal(revert(f), 0);
        is_watching = false;
        assert_true(was_synced_in_time);
        assert_old_is_back(f);
}

static void a_missing_directory_is_an_error_and_undone_is_nothing(void **state) {
        Fixture *f = *state;
        assert_int_equal(value_set_text(f->args, "path", "nowhere/env", NULL), 0);
        capture(f);
        assert_int_equal(apply(f), -ENOENT);
        assert_int_equal(revert(f), 0);
        assert_int_equal(tidy(f), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_interrupted_state_is_reverted),
                cmocka_unit_test(every_interrupted_state_is_completed_and_can_still_be_reverted),
                cmocka_unit_test(tidy_leaves_nothing_of_any_state),
                cmocka_unit_test(all_of_it_holds_where_names_cannot_be_exchanged),
                T(an_edit_before_apply_is_left_alone),
                T(a_file_that_appears_before_apply_is_left_alone),
                T(a_changed_mode_alone_is_an_edit),
                T(an_edit_after_apply_survives_revert),
                T(a_decision_puts_the_captured_back_and_keeps_the_edit),
                T(a_decision_removes_what_appeared_but_keeps_it_aside),
                T(a_decision_cannot_bring_back_what_is_gone),
                T(a_removed_file_comes_back_by_decision_only),
                T(someone_who_wrote_the_same_is_not_undone),
                T(an_edit_in_the_last_moment_goes_back_to_its_place),
                T(two_edits_in_the_last_moment_are_both_kept),
                T(a_file_removed_in_the_last_moment_stays_removed),
                T(a_file_that_appears_in_the_last_moment_is_not_overwritten),
                T(an_edit_in_the_last_moment_of_revert_survives),
                T(tidy_keeps_what_was_displaced_by_mistake),
                T(what_is_as_wanted_is_neither_done_nor_undone),
                T(what_is_not_a_file_is_refused),
                T(verify_names_what_differs),
                T(a_secret_file_leaves_no_digest_in_the_open),
                T(a_sealed_file_is_not_guessed_at),
                T(facts_of_an_open_file_name_its_digest),
                T(what_is_back_is_synced_before_the_other_name_goes),
                T(a_missing_directory_is_an_error_and_undone_is_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
