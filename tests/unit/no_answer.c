/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be looked at is neither missing nor empty nor changed: calls that only look are made to fail here, once
 * they meet the name they wait for. (crash.fail does the same to the whole program, with every call.)
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/config.h"
#include "managers/spawn.h"
#include "tests/unit/journal_fixture.h"

static const char *stat_fails_at; /* the last component of a path */
static bool readdir_fails, send_fails;

int fstatat(int dir, const char *restrict path, struct stat *restrict ret, int flags) {
        if (stat_fails_at && strcmp(path, stat_fails_at) == 0) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_newfstatat, dir, path, ret, flags);
}

struct dirent *readdir(DIR *d) {
        static struct dirent *(*real)(DIR * d);
        if (readdir_fails) {
                errno = EIO;
                return NULL;
        }
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "readdir");
        return real(d);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
        if (send_fails) {
                errno = EPIPE;
                return -1;
        }
        return sendto(fd, data, size, flags, NULL, 0);
}

static void what_cannot_be_looked_at_is_not_missing(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        bool is_there = true;
        stat_fails_at = "x";
        assert_int_equal(fs_has(w->root, "x", &is_there, &err), -EIO);
        assert_int_equal(err.code, ERR_IO);
        assert_true(is_there);
        stat_fails_at = NULL;
        assert_int_equal(fs_has(w->root, "x", &is_there, &err), 0);
        assert_false(is_there);
}

static void a_configuration_that_cannot_be_looked_at_is_not_an_empty_one(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        Value *config = NULL, *origins = NULL;
        assert_int_equal(fs_mkdir_all(w->root, "etc/pawl", 0755, NULL), 0);
        stat_fails_at = "pawl.yaml";
        assert_int_equal(config_load(w->root, NULL, 0, &config, &origins, &err), -EIO);
        stat_fails_at = NULL;
}

static void a_journal_that_may_be_marked_as_bad_is_not_written_to(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        Journal *j = NULL;
        journal_free(world_open(w, JOURNAL_CREATE));
        stat_fails_at = "journal.bad";
        assert_int_equal(journal_open(&w->options, JOURNAL_WRITE, &j, &err), -EIO);
        stat_fails_at = NULL;
}

static void a_journal_that_cannot_be_looked_at_is_not_made_anew(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        Journal *j = NULL;
        world_mkdir(w, "var/lib/pawl");
        stat_fails_at = "journal";
        assert_int_equal(journal_open(&w->options, JOURNAL_CREATE, &j, &err), -EIO);
        stat_fails_at = NULL;
}

static void segments_that_are_not_seen_are_not_written_over(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        Journal *j = world_open(w, JOURNAL_CREATE);
        Record note = {.kind = RECORD_NOTE, .step = RECORD_STEP_NONE, .body = "note", .n_body = 4};
        JournalWrite *write = NULL;
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(journal_write_new(j, true, &write, NULL), 0);
        assert_int_equal(journal_write_record(write, &note, NULL, NULL), 0);
        assert_int_equal(journal_commit(&write, NULL), 0);
        readdir_fails = true;
        assert_int_equal(journal_anchor(j, UINT64_MAX, &err), -EIO);
        readdir_fails = false;
        journal_free(j);
}

static void a_program_that_waits_for_its_word_is_not_waited_for(void **state) {
        World *w = *state;
        Error err = ERROR_INIT;
        Spawned p = {0};
        char program[] = "/bin/true";
        char *argv[] = {program, NULL}, *environment[] = {NULL};
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        Spawn s = {.argv = argv, .environment = environment, .input = null, .output = null, .errors = null, .keep = -1};
        (void)w;
        assert_int_equal(spawn_begin(&s, &p, &err), 0);
        send_fails = true;
        assert_int_equal(spawn_release(&s, &p, &err), -EPIPE);
        send_fails = false;
        assert_int_equal(err.code, ERR_PROGRAM);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
        close(null);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(what_cannot_be_looked_at_is_not_missing),
                TEST(a_configuration_that_cannot_be_looked_at_is_not_an_empty_one),
                TEST(a_journal_that_may_be_marked_as_bad_is_not_written_to),
                TEST(a_journal_that_cannot_be_looked_at_is_not_made_anew),
                TEST(segments_that_are_not_seen_are_not_written_over),
                TEST(a_program_that_waits_for_its_word_is_not_waited_for),
        };
        return cmocka_run_group_tests_name("no_answer", tests, NULL, NULL);
}
