/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stamp journal.verified: it saves an opening the walk over all rows and keys, and never hides damage.
 *
 * Small journals do not wait for the tick in which a change of the file would not show: the tests do, settle().
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "journal/internal.h"
#include "tests/unit/journal_fixture.h"

#define DATA "var/lib/pawl/journal/data.mdb"
#define HEAD "var/lib/pawl/journal.head"
#define STAMP "run/pawl/journal.verified"
#define MARK "the value of the row that is damaged"

static void settle(void) {
        clock_sleep_usec(30000);
}

static void deploy(Journal *j, const char *name) {
        world_deploy(j, name, 2);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
}

/* A journal with an anchor and a row whose value can be found in the file. */
static void make(World *w) {
        JournalWrite *write = NULL;
        Journal *j = world_open(w, JOURNAL_CREATE);
        deploy(j, "web");
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        assert_int_equal(journal_write_row(write, "marked", MARK, strlen(MARK), NULL), 0);
        world_commit(&write);
        journal_free(j);
        settle();
}

static bool is_walked(Journal *j) {
        JournalStat stat;
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        return stat.is_walked;
}

static bool opening_walks(World *w) {
        Journal *j = world_open(w, JOURNAL_READ);
        bool walked = is_walked(j);
        journal_free(j);
        return walked;
}

static void make_stamped(World *w) {
        make(w);
        (void)opening_walks(w);
        assert_false(opening_walks(w));
}

static int data_open_rw(World *w) {
        int fd = openat(w->root, DATA, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

/* One bit, wherever the row lies; size and LMDB's numbers stay as they are. */
static void damage_row(World *w) {
        _cleanup_free_ char *data = NULL;
        size_t size, n = 0;
        int fd = data_open_rw(w);
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &data, &size, NULL), 0);
        for (char *at = data; (at = memmem(at, size - (size_t)(at - data), MARK, strlen(MARK))); at++, n++)
                assert_int_equal(pwrite(fd, "T", 1, at - data), 1);
        assert_true(n > 0);
        close(fd);
}

static void assert_damage_is_found(World *w) {
        Journal *j = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_READ, &j, &err), -EBADMSG);
        assert_int_equal(err.code, ERR_JOURNAL_DAMAGED);
        assert_false(fs_exists(w->root, STAMP));
}

/* In a process of its own, which ends as if it had been killed unless it closes the journal. */
static void other_deploys(World *w, bool closes) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                Journal *j = world_open(w, JOURNAL_WRITE);
                deploy(j, "other");
                settle();
                if (closes)
                        journal_free(j);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void what_was_verified_is_not_walked_again(void **state) {
        World *w = *state;
        struct stat st;
        make_stamped(w);
        assert_int_equal(fs_stat(w->root, STAMP, &st, NULL), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        Journal *j = world_open(w, JOURNAL_WRITE);
        assert_false(is_walked(j));
        journal_free(j);
}

static void a_writer_stamps_what_it_leaves(void **state) {
        World *w = *state;
        make_stamped(w);
        Journal *j = world_open(w, JOURNAL_WRITE);
        deploy(j, "api");
        deploy(j, "web");
        assert_int_equal(journal_reserve(j, 8 << 20, NULL), 0); /* changes the file's times, too */
        settle();
        journal_free(j);
        assert_false(opening_walks(w));
}

/* Within the tick of its last commit another change would look like none. */
static void a_writer_in_a_hurry_leaves_no_stamp_that_could_lie(void **state) {
        World *w = *state;
        make_stamped(w);
        for (int i = 0; i < 20; i++) {
                Journal *j = world_open(w, JOURNAL_WRITE);
                world_deploy(j, "api", 2);
                journal_free(j);
                damage_row(w);
                assert_damage_is_found(w);
                assert_int_equal(fs_unlink_durably(w->root, "var/lib/pawl/journal.bad", NULL), 0);
                assert_int_equal(fs_remove_tree(w->root, "var/lib/pawl", NULL), 0);
                make_stamped(w);
        }
}

/* Here the kernel's times may be finer than a tick, so this looks from nearby. */
static void what_may_change_unseen_is_not_settled(void **state) {
        World *w = *state;
        StampFile s;
        make(w);
        int fd = data_open_rw(w);
        assert_int_equal(stamp_take(&w->options, fd, &s), 0);
        close(fd);
        assert_true(stamp_settles(&s));
        s.ctime_nsec = INT64_MAX;
        assert_false(stamp_settles(&s));
}

static void a_crash_between_commit_and_stamp_leads_to_a_walk(void **state) {
        World *w = *state;
        make_stamped(w);
        other_deploys(w, false);
        assert_true(opening_walks(w));
        assert_false(opening_walks(w));
}

static void a_stamp_of_another_boot_is_ignored(void **state) {
        World *w = *state;
        make_stamped(w);
        w->options.boot[0] ^= 1;
        assert_true(opening_walks(w));
        assert_false(opening_walks(w));
        memset(w->options.boot, 0, sizeof(w->options.boot)); /* nobody knows which */
        assert_true(opening_walks(w));
        assert_true(opening_walks(w));
}

static void a_stamp_of_another_file_is_ignored(void **state) {
        World *w = *state;
        _cleanup_free_ char *data = NULL;
        size_t size;
        make_stamped(w);
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &data, &size, NULL), 0);
        world_write(w, DATA, data, size);
        settle();
        assert_true(opening_walks(w));
        world_write(w, DATA, data, size);
        damage_row(w);
        assert_damage_is_found(w);
}

static void a_byte_changed_behind_the_stamp_is_found(void **state) {
        World *w = *state;
        make_stamped(w);
        damage_row(w);
        assert_damage_is_found(w);
}

/* The commit that follows is the writer's own, but what it began from is not what was verified. */
static void a_byte_changed_between_two_writes_is_not_stamped(void **state) {
        World *w = *state;
        make_stamped(w);
        Journal *j = world_open(w, JOURNAL_WRITE);
        deploy(j, "api");
        settle();
        damage_row(w);
        deploy(j, "api");
        settle();
        journal_free(j);
        assert_damage_is_found(w);
}

static void a_byte_changed_before_the_writer_closes_is_not_stamped(void **state) {
        World *w = *state;
        make_stamped(w);
        Journal *j = world_open(w, JOURNAL_WRITE);
        deploy(j, "api");
        settle();
        damage_row(w);
        journal_free(j);
        assert_damage_is_found(w);
}

static void a_writer_vouches_for_another_only_by_its_stamp(void **state) {
        World *w = *state;
        make_stamped(w);
        for (int closes = 0; closes < 2; closes++) {
                Journal *j = world_open(w, JOURNAL_WRITE);
                other_deploys(w, closes);
                deploy(j, "web");
                settle();
                journal_free(j);
                assert_int_equal(opening_walks(w), !closes);
        }
}

/* Decay that no write has told of: the stamp matches, so reading and verifying must find it. */
static void a_stamp_does_not_keep_reads_and_verify_from_finding_damage(void **state) {
        World *w = *state;
        for (int reads = 0; reads < 2; reads++) {
                StampFile forged;
                JournalReport report;
                _cleanup_row_list_ RowList rows = {0};
                Error err = ERROR_INIT;
                assert_int_equal(fs_remove_tree(w->root, "var/lib/pawl", NULL), 0);
                make(w);
                damage_row(w);
                int fd = data_open_rw(w);
                assert_int_equal(stamp_take(&w->options, fd, &forged), 0);
                close(fd);
                stamp_write(&w->options, &forged);
                Journal *j = world_open(w, JOURNAL_WRITE);
                assert_false(is_walked(j));
                if (reads)
                        assert_int_equal(journal_row(j, "marked", &rows, &err), -EBADMSG);
                journal_free(j);
                if (!reads) {
                        assert_int_equal(journal_verify(&w->options, &report, &err), 0);
                        assert_string_not_equal(report.problem, "");
                }
                assert_damage_is_found(w);
        }
}

static void a_stamp_that_anyone_could_have_written_is_ignored(void **state) {
        World *w = *state;
        _cleanup_free_ char *stamp = NULL;
        size_t size;
        make_stamped(w);
        assert_int_equal(fchmodat(w->root, STAMP, 0666, 0), 0);
        assert_true(opening_walks(w));
        assert_int_equal(fs_read(w->root, STAMP, 4096, &stamp, &size, NULL), 0);
        for (size_t i = 0; i < size; i++) {
                stamp[i] ^= 0x10;
                world_write(w, STAMP, stamp, size);
                stamp[i] ^= 0x10;
                assert_true(opening_walks(w));
        }
        world_write(w, STAMP, stamp, size);
        assert_false(opening_walks(w));
        world_write(w, "run/pawl/elsewhere", stamp, size);
        assert_int_equal(unlinkat(w->root, STAMP, 0), 0);
        assert_int_equal(symlinkat("elsewhere", w->root, STAMP), 0);
        assert_true(opening_walks(w));
        world_write(w, STAMP, stamp, size - 1);
        assert_true(opening_walks(w));
}

static void a_missing_anchor_asks_for_all(void **state) {
        World *w = *state;
        make_stamped(w);
        assert_int_equal(unlinkat(w->root, HEAD, 0), 0);
        assert_true(opening_walks(w));
        assert_true(opening_walks(w));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(what_was_verified_is_not_walked_again),
                TEST(a_writer_stamps_what_it_leaves),
                TEST(a_writer_in_a_hurry_leaves_no_stamp_that_could_lie),
                TEST(what_may_change_unseen_is_not_settled),
                TEST(a_crash_between_commit_and_stamp_leads_to_a_walk),
                TEST(a_stamp_of_another_boot_is_ignored),
                TEST(a_stamp_of_another_file_is_ignored),
                TEST(a_byte_changed_behind_the_stamp_is_found),
                TEST(a_byte_changed_between_two_writes_is_not_stamped),
                TEST(a_byte_changed_before_the_writer_closes_is_not_stamped),
                TEST(a_writer_vouches_for_another_only_by_its_stamp),
                TEST(a_stamp_does_not_keep_reads_and_verify_from_finding_damage),
                TEST(a_stamp_that_anyone_could_have_written_is_ignored),
                TEST(a_missing_anchor_asks_for_all),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
