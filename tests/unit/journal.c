/* SPDX-License-Identifier: Apache-2.0 */
/* The journal from outside: what is written is read back, what is not committed never was, and nothing is made anew. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/journal_fixture.h"

static ino_t watched; /* a directory */
static unsigned n_synced;

/* In place of libc's, for everything that is linked here. */
int fsync(int fd) {
        struct stat st;
        if (watched != 0 && fstat(fd, &st) == 0 && st.st_ino == watched)
                n_synced++;
        return (int)syscall(SYS_fsync, fd);
}

static void a_committed_write_is_read_back_after_reopening(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        uint64_t tx = world_deploy(j, "web", 2);
        assert_int_equal(tx, 2);
        journal_free(j);

        j = world_open(w, JOURNAL_WRITE);
        _cleanup_record_list_ RecordList list = {0};
        assert_int_equal(journal_get_tx(j, tx, &list, NULL), 0);
        assert_int_equal(list.n, 7); /* BEGIN, 2 × (INTENT, DONE), COMMIT, END */
        assert_int_equal(list.records[0].kind, RECORD_BEGIN);
        assert_int_equal(list.records[1].kind, RECORD_INTENT);
        assert_memory_equal(list.records[1].body, "before", 6);
        assert_int_equal(list.records[6].kind, RECORD_END);
        _cleanup_row_list_ RowList row = {0};
        assert_int_equal(journal_row(j, "service/web", &row, NULL), 0);
        assert_int_equal(row.n, 1);
        assert_int_equal(row.rows[0].seq, tx + 5);
        _cleanup_free_ void *key = NULL;
        size_t size;
        assert_int_equal(journal_key(j, tx, &key, &size, NULL), 0);
        assert_int_equal(size, 7);
        assert_int_equal(journal_key(j, tx + 1, &key, &size, NULL), -ENOENT);
        _cleanup_record_list_ RecordList genesis = {0};
        assert_int_equal(journal_get(j, 1, &genesis, NULL), 0);
        assert_int_equal(genesis.records[0].kind, RECORD_GENESIS);
        assert_memory_equal(genesis.records[0].body, "genesis", 7);
        JournalStat stat;
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.head_seq, 8);
        assert_int_equal(stat.first_seq, 1);
        assert_true(stat.bytes_allocated >= (4u << 20));
        journal_free(j);
}

static void a_write_that_is_freed_never_was(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        JournalWrite *w = NULL;
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        world_record(w, RECORD_BEGIN, 0, RECORD_STEP_NONE);
        assert_int_equal(journal_write_row(w, "a", "1", 1, NULL), 0);
        assert_int_equal(journal_write_key(w, 0, "k", 1, NULL), 0);
        w = journal_write_free(w);
        JournalStat stat;
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.head_seq, 1);
        assert_int_equal(stat.commits, 0);
        _cleanup_row_list_ RowList row = {0};
        assert_int_equal(journal_row(j, "a", &row, NULL), -ENOENT);
        /* And the next write gets the same numbers. */
        assert_int_equal(world_deploy(j, "web", 1), 2);
        journal_free(j);
}

static void a_write_sees_its_own_rows_and_nobody_else_does(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        JournalWrite *w = NULL;
        _cleanup_row_list_ RowList in = {0}, out = {0}, all = {0};
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        assert_int_equal(journal_write_row(w, "port/3000", "web", 3, NULL), 0);
        assert_int_equal(journal_write_row(w, "port/3001", "api", 3, NULL), 0);
        assert_int_equal(journal_write_row_drop(w, "port/3000", NULL), 0);
        assert_int_equal(journal_write_row_drop(w, "port/none", NULL), 0);
        assert_int_equal(journal_write_get_row(w, "port/3001", &in, NULL), 0);
        assert_int_equal(journal_write_get_row(w, "port/3000", &out, NULL), -ENOENT);
        assert_int_equal(journal_row(j, "port/3001", &out, NULL), -ENOENT);
        assert_int_equal(journal_commit(&w, NULL), 0);
        assert_null(w);
        assert_int_equal(journal_rows(j, "port/", 0, &all, NULL), 0);
        assert_int_equal(all.n, 1);
        journal_free(j);
}

static void rows_come_in_order_and_the_last_ones_newest_first(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        JournalWrite *w = NULL;
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        for (int i = 0; i < 300; i++) {
                char key[32];
                snprintf(key, sizeof(key), "%s/%03d", i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "b0", i);
                assert_int_equal(journal_write_row(w, key, key, strlen(key), NULL), 0);
        }
        assert_int_equal(journal_commit(&w, NULL), 0);
        _cleanup_row_list_ RowList all = {0}, last = {0}, none = {0}, end = {0};
        assert_int_equal(journal_rows(j, "b/", 0, &all, NULL), 0);
        assert_int_equal(all.n, 100);
        assert_string_equal(all.rows[0].key, "b/001");
        assert_string_equal(all.rows[99].key, "b/298");
        assert_int_equal(journal_rows(j, "b/", 2, &last, NULL), 0);
        assert_int_equal(last.n, 2);
        assert_string_equal(last.rows[0].key, "b/298");
        assert_string_equal(last.rows[1].key, "b/295");
        assert_int_equal(journal_rows(j, "c", 0, &none, NULL), 0);
        assert_int_equal(none.n, 0);
        assert_int_equal(journal_rows(j, "", 1, &end, NULL), 0);
        assert_string_equal(end.rows[0].key, "b0/299");
        _cleanup_row_list_ RowList before = {0}, below = {0}, beyond = {0};
        assert_int_equal(journal_rows_before(j, "b", "b0/", 2, &before, NULL), 0);
        assert_int_equal(before.n, 2);
        assert_string_equal(before.rows[0].key, "b/298");
        assert_string_equal(before.rows[1].key, "b/295");
        assert_int_equal(journal_rows_before(j, "b", "b/001", 1, &below, NULL), 0);
        assert_int_equal(below.n, 0);
        assert_int_equal(journal_rows_before(j, "b", "z", 1, &beyond, NULL), 0);
        assert_string_equal(beyond.rows[0].key, "b0/299");
        size_t n;
        assert_int_equal(journal_row_count(j, "a", &n, NULL), 0);
        assert_int_equal(n, 100);
        assert_int_equal(journal_row_count(j, "", &n, NULL), 0);
        assert_int_equal(n, 300);
        char *huge = malloc(600);
        memset(huge, 'x', 599);
        huge[599] = '\0';
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        assert_int_equal(journal_write_row(w, huge, "1", 1, NULL), -EINVAL);
        free(huge);
        journal_write_free(w);
        journal_free(j);
}

static void a_record_that_may_not_follow_is_refused_before_it_is_durable(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        JournalWrite *w = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        uint64_t tx = world_record(w, RECORD_BEGIN, 0, RECORD_STEP_NONE);
        world_record(w, RECORD_INTENT, 0, 0);
        assert_int_equal(journal_commit(&w, NULL), 0);

        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        Record draft = {.kind = RECORD_DONE, .tx = tx, .step = 1};
        assert_int_equal(journal_write_record(w, &draft, NULL, &err), -EBADMSG);
        assert_int_equal(err.code, ERR_JOURNAL_DAMAGED);
        /* A refusal changes nothing: the same write goes on. */
        world_record(w, RECORD_DONE, tx, 0);
        draft = (Record){.kind = RECORD_END, .tx = tx, .step = RECORD_STEP_NONE};
        assert_int_equal(journal_write_record(w, &draft, NULL, &err), -EBADMSG);
        draft = (Record){.kind = RECORD_GENESIS, .step = RECORD_STEP_NONE};
        assert_int_equal(journal_write_record(w, &draft, NULL, &err), -EINVAL);
        w = journal_write_free(w);
        /* The freed write's DONE is forgotten with it. */
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        world_record(w, RECORD_DONE, tx, 0);
        world_record(w, RECORD_COMMIT, tx, RECORD_STEP_NONE);
        assert_int_equal(journal_commit(&w, NULL), 0);
        journal_free(j);
}

static void only_create_makes_a_journal_and_only_where_none_ever_was(void **state) {
        World *w = *state;
        Journal *j = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_READ, &j, &err), -ENOENT);
        assert_int_equal(journal_open(&w->options, JOURNAL_WRITE, &j, &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        /* A creation that a power cut interrupted is no journal. */
        world_mkdir(w, "var/lib/pawl/journal.new/segments");
        j = world_open(w, JOURNAL_CREATE);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        assert_false(fs_exists(w->root, "var/lib/pawl/journal.new"));
        assert_int_equal(fs_rename_durably(w->root, "var/lib/pawl/journal", "var/lib/pawl/elsewhere", NULL), 0);
        for (int mode = JOURNAL_READ; mode <= JOURNAL_CREATE; mode++) {
                err = ERROR_INIT;
                assert_int_equal(journal_open(&w->options, (JournalMode)mode, &j, &err), -ENOENT);
                assert_int_equal(err.code, ERR_JOURNAL_MISSING);
                assert_true(strlen(err.hint) > 0);
        }
        assert_false(fs_exists(w->root, "var/lib/pawl/journal"));
}

static void a_journal_marked_bad_is_read_but_not_changed(void **state) {
        World *w = *state;
        journal_free(world_open(w, JOURNAL_CREATE));
        world_write(w, "var/lib/pawl/journal.bad", "x", 1);
        Journal *j = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_WRITE, &j, &err), -EBADMSG);
        assert_int_equal(error_exit_status(err.code), 7);
        assert_int_equal(journal_open(&w->options, JOURNAL_CREATE, &j, &err), -EBADMSG);
        j = world_open(w, JOURNAL_READ);
        JournalWrite *write = NULL;
        assert_int_equal(journal_write_new(j, true, &write, &err), -EROFS);
        journal_free(j);
}

static void two_processes_keep_one_chain(void **state) {
        World *w = *state;
        journal_free(world_open(w, JOURNAL_CREATE));
        pid_t children[2];
        for (int c = 0; c < 2; c++) {
                children[c] = fork();
                if (children[c] == 0) {
                        Journal *j = world_open(w, JOURNAL_WRITE);
                        for (int i = 0; i < 40; i++)
                                world_deploy(j, c ? "web" : "api", 2);
                        journal_free(j);
                        _exit(0);
                }
        }
        for (int c = 0; c < 2; c++) {
                int status;
                assert_int_equal(waitpid(children[c], &status, 0), children[c]);
                assert_int_equal(status, 0);
        }
        JournalReport report;
        assert_int_equal(journal_verify(&w->options, &report, NULL), 0);
        assert_string_equal(report.problem, "");
        assert_int_equal(report.n_records, 1 + 2 * 40 * 7);
}

static void a_commit_that_fails_poisons_the_journal(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        JournalWrite *write = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        Record draft = {.kind = RECORD_BEGIN, .step = RECORD_STEP_NONE, .body = calloc(1, 1 << 20), .n_body = 1 << 20};
        assert_int_equal(journal_write_record(write, &draft, NULL, NULL), 0);
        free((void *)draft.body);
        /* The file may not grow: LMDB's write of the pages fails, as on a broken disk. */
        struct rlimit old, small = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small.rlim_max = old.rlim_max;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        int r = journal_commit(&write, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        signal(SIGXFSZ, handler);
        assert_int_equal(r, -EIO);
        assert_int_equal(err.code, ERR_JOURNAL_IO);
        assert_int_equal(journal_write_new(j, true, &write, &err), -EIO);
        RecordList list = {0};
        assert_int_equal(journal_get(j, 1, &list, &err), -EIO);
        assert_int_equal(journal_anchor(j, UINT64_MAX, &err), -EIO);
        journal_free(j);
        /* What was durable before is still there. */
        j = world_open(w, JOURNAL_WRITE);
        assert_int_equal(world_deploy(j, "web", 1), 2);
        journal_free(j);
}

static void a_map_that_is_full_says_so_and_nothing_happened(void **state) {
        World *w = *state;
        w->options.map_size = 1 << 20;
        Journal *j = world_open(w, JOURNAL_CREATE);
        JournalWrite *write = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        Record draft = {.kind = RECORD_BEGIN, .step = RECORD_STEP_NONE, .body = calloc(1, 2 << 20), .n_body = 2 << 20};
        assert_int_equal(journal_write_record(write, &draft, NULL, &err), -ENOSPC);
        assert_int_equal(err.code, ERR_JOURNAL_FULL);
        free((void *)draft.body);
        assert_true(journal_commit(&write, &err) < 0);
        assert_int_equal(world_deploy(j, "web", 1), 2);
        journal_free(j);
}

static void a_hundred_openings_leak_no_descriptor_and_no_file(void **state) {
        World *w = *state;
        journal_free(world_open(w, JOURNAL_CREATE));
        /* A stamp, and the file of its lock, come with the first opening that finds the clock moved on. */
        usleep(30000);
        journal_free(world_open(w, JOURNAL_WRITE));
        size_t files = world_count_files(w), fds = world_count_fds();
        for (int i = 0; i < 100; i++)
                journal_free(world_open(w, i % 2 ? JOURNAL_READ : JOURNAL_WRITE));
        assert_int_equal(world_count_files(w), files);
        assert_int_equal(world_count_fds(), fds);
}

static void a_journal_is_not_opened_twice_in_one_process(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE), *second = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_READ, &second, &err), -EBUSY);
        /* Looking at it from a child is another matter. */
        JournalReport report;
        assert_int_equal(journal_verify(&w->options, &report, &err), 0);
        assert_string_equal(report.problem, "");
        journal_free(j);
        journal_free(world_open(w, JOURNAL_READ));
}

static void no_descriptor_of_the_journal_survives_exec(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        for (int fd = 3; fd < 64; fd++) {
                int flags = fcntl(fd, F_GETFD);
                char path[64], target[256];
                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                ssize_t n = readlink(path, target, sizeof(target) - 1);
                if (flags < 0 || n < 0)
                        continue;
                target[n] = '\0';
                if (strstr(target, "journal"))
                        assert_true(flags & FD_CLOEXEC);
        }
        journal_free(j);
}

static void the_order_is_learnt_from_the_journal_when_another_process_went_on(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        JournalWrite *write = NULL;
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        uint64_t tx = world_record(write, RECORD_BEGIN, 0, RECORD_STEP_NONE);
        world_record(write, RECORD_INTENT, 0, 0);
        assert_int_equal(journal_commit(&write, NULL), 0);
        pid_t child = fork();
        if (child == 0) {
                execl("/proc/self/exe", "journal", "--abort", w->path, (char *)NULL);
                _exit(1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        Record draft = {.kind = RECORD_DONE, .tx = tx, .step = 0};
        assert_int_equal(journal_write_record(write, &draft, NULL, NULL), -EBADMSG);
        world_record(write, RECORD_UNDONE, tx, 0);
        assert_int_equal(journal_commit(&write, NULL), 0);
        journal_free(j);
}

static unsigned syncs_of_opening(World *w, JournalMode mode) {
        struct stat st;
        assert_int_equal(fs_stat(w->root, "var/lib/pawl", &st, NULL), 0);
        n_synced = 0;
        watched = st.st_ino;
        journal_free(world_open(w, mode));
        watched = 0;
        return n_synced;
}

/* Whoever made it may have died between the rename and the fsync. */
static void the_name_of_a_journal_is_durable_before_it_is_written_to(void **state) {
        World *w = *state;
        journal_free(world_open(w, JOURNAL_CREATE));
        assert_int_equal(syncs_of_opening(w, JOURNAL_READ), 0);
        assert_int_equal(syncs_of_opening(w, JOURNAL_CREATE), 1);
        assert_int_equal(syncs_of_opening(w, JOURNAL_WRITE), 1);

        Journal *j = world_open(w, JOURNAL_WRITE);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        assert_int_equal(syncs_of_opening(w, JOURNAL_WRITE), 0);
}

/* The other process of an earlier test. */
static int abort_transaction(const char *path) {
        World w = {0};
        world_at(&w, path);
        Journal *j = world_open(&w, JOURNAL_WRITE);
        JournalWrite *write = NULL;
        int r = journal_write_new(j, true, &write, NULL);
        if (r < 0)
                return 1;
        world_record(write, RECORD_ABORT, 2, RECORD_STEP_NONE);
        r = journal_commit(&write, NULL);
        journal_free(j);
        return r < 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "--abort") == 0)
                return abort_transaction(argv[2]);
        const struct CMUnitTest tests[] = {
                TEST(a_committed_write_is_read_back_after_reopening),
                TEST(a_write_that_is_freed_never_was),
                TEST(a_write_sees_its_own_rows_and_nobody_else_does),
                TEST(rows_come_in_order_and_the_last_ones_newest_first),
                TEST(a_record_that_may_not_follow_is_refused_before_it_is_durable),
                TEST(only_create_makes_a_journal_and_only_where_none_ever_was),
                TEST(a_journal_marked_bad_is_read_but_not_changed),
                TEST(two_processes_keep_one_chain),
                TEST(a_commit_that_fails_poisons_the_journal),
                TEST(a_map_that_is_full_says_so_and_nothing_happened),
                TEST(a_hundred_openings_leak_no_descriptor_and_no_file),
                TEST(a_journal_is_not_opened_twice_in_one_process),
                TEST(no_descriptor_of_the_journal_survives_exec),
                TEST(the_order_is_learnt_from_the_journal_when_another_process_went_on),
                TEST(the_name_of_a_journal_is_durable_before_it_is_written_to),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
