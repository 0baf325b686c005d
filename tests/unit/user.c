/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager "user", put back from whatever a dead process left. The host's own programs work on the files of a
 * temporary root (--prefix): this file takes the place of child.c when the test is linked, and is where a process dies,
 * before and behind each of them.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "managers/child.h"
#include "tests/lib/temp_host.h"

#define NAME "pawl-web"
#define ROOT_USER "root:x:0:0:root:/root:/bin/sh\n"
#define ROOT_GROUP "root:x:0:\n"
#define OURS(tx) NAME ":x:997:997:pawl 0123abcd-" tx ":/nonexistent:/usr/sbin/nologin\n"
#define GROUP NAME ":x:997:\n"

extern const Manager manager_user;

static TempHost t;
static Error err;
static Value *args, *before;
static unsigned boundary, cut; /* dies at the n-th; 0: never */

static void may_die(void) {
        if (++boundary == cut)
                _exit(0);
}

/* ---- managers/child.h -------------------------------------------------------------------------------------------- */

int child_run(const Host *host, const ChildRun *run, ChildResult *ret, Error *ret_err) {
        static char prefix[] = "--prefix";
        char *argv[24] = {run->argv[0], prefix, (char *)host->root_path}; /* only read */
        pid_t child;
        (void)ret_err;
        for (size_t i = 1; run->argv[i]; i++)
                argv[i + 2] = run->argv[i];
        may_die();
        assert_int_equal(posix_spawn(&child, argv[0], NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(child, &ret->status, 0), child);
        ret->status = WEXITSTATUS(ret->status);
        ret->errors = strdup("it says why above");
        may_die();
        return 0;
}

void child_result_done(ChildResult *r) {
        free(r->output);
        free(r->errors);
}

/* ---- The fixture ------------------------------------------------------------------------------------------------- */

static void want(bool is_present) {
        args = value_free(args);
        args = value_new_map();
        assert_int_equal(value_set_text(args, "name", NAME, NULL), 0);
        assert_int_equal(value_set_int(args, "uid", 997, NULL), 0);
        assert_int_equal(value_set_int(args, "gid", 997, NULL), 0);
        assert_int_equal(value_set_bool(args, "present", is_present, NULL), 0);
        assert_int_equal(field_check(manager_user.args, args, "user", &err), 0);
}

static void put(const char *user, const char *group) {
        char text[1024];
        (void)snprintf(text, sizeof(text), ROOT_USER "%s", user);
        temp_host_write(&t, "etc/passwd", text);
        (void)snprintf(text, sizeof(text), ROOT_GROUP "%s", group);
        temp_host_write(&t, "etc/group", text);
}

static bool is_as(const char *user, const char *group) {
        _cleanup_free_ char *passwd = temp_host_read(&t, "etc/passwd"), *groups = temp_host_read(&t, "etc/group");
        return strcmp(passwd + strlen(ROOT_USER), user) == 0 && strcmp(groups + strlen(ROOT_GROUP), group) == 0;
}

static void assert_as(const char *user, const char *group) {
        _cleanup_free_ char *passwd = temp_host_read(&t, "etc/passwd"), *groups = temp_host_read(&t, "etc/group");
        assert_string_equal(passwd + strlen(ROOT_USER), user);
        assert_string_equal(groups + strlen(ROOT_GROUP), group);
}

static int setup(void **state) {
        (void)state;
        temp_host_init(&t);
        temp_host_write(&t, "etc/login.defs", "USERGROUPS_ENAB yes\n"); /* userdel takes the group with it */
        temp_host_write(&t, "etc/shadow", "");
        temp_host_write(&t, "etc/gshadow", "");
        err = ERROR_INIT;
        want(true);
        return 0;
}

static int teardown(void **state) {
        (void)state;
        args = value_free(args);
        before = value_free(before);
        temp_host_done(&t);
        return 0;
}

static void capture(void) {
        before = value_free(before);
        assert_int_equal(manager_user.capture(&t.host, args, &before, &err), 0);
        assert_int_equal(field_check(manager_user.before, before, "user", &err), 0);
}

static int apply(void) {
        StepResult result = {0};
        err = ERROR_INIT;
        return manager_user.apply(&t.host, args, before, &result, &err);
}

static int revert(void) {
        err = ERROR_INIT;
        return manager_user.revert(&t.host, args, before, &err);
}

static Probe probe(void) {
        Probe ret = PROBE_UNREACHABLE;
        assert_int_equal(manager_user.probe(&t.host, args, before, &ret, &err), 0);
        return ret;
}

/* A child does it and dies at the n-th boundary. Was there one? */
static bool dies_at(unsigned n, int (*work)(void)) {
        int status;
        pid_t child = fork();
        if (child == 0) {
                boundary = 0;
                cut = n;
                (void)work();
                _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        return WEXITSTATUS(status) == 0;
}

/* ---- Cut everywhere ---------------------------------------------------------------------------------------------- */

typedef struct Case {
        bool is_present; /* wanted */
        const char *user, *group;
        const char *user_after, *group_after;
} Case;

/* clang-format off */
static const Case cases[] = {
        {true,  "",         "",    OURS("42"), GROUP}, /* made */
        {true,  "",         GROUP, OURS("42"), GROUP}, /* only its user is */
        {true,  OURS("40"), GROUP, OURS("40"), GROUP}, /* there already */
        {false, OURS("40"), GROUP, "",         ""   }, /* removed */
        {false, "",         "",    "",         ""   }, /* gone already */
};
/* clang-format on */

static bool left_at(const Case *c, unsigned n) {
        put(c->user, c->group);
        capture();
        return dies_at(n, apply);
}

static void assert_put_back(const Case *c) {
        Probe seen = probe();
        assert_true(seen != PROBE_FOREIGN && seen != PROBE_UNREACHABLE);
        assert_int_equal(revert(), 0);
        assert_as(c->user, c->group);
        assert_int_equal(probe(), PROBE_BEFORE);
}

static void test_dead_anywhere_forward_and_back_it_is_put_back(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                want(cases[i].is_present);
                bool is_cut = true;
                for (unsigned n = 1; is_cut; n++) {
                        bool is_cut_again = true;
                        for (unsigned again = 1; is_cut_again; again++) {
                                is_cut = left_at(&cases[i], n);
                                is_cut_again = dies_at(again, revert);
                                assert_put_back(&cases[i]);
                        }
                        assert_put_back(&cases[i]); /* and once more */
                }
        }
}

static void test_dead_anywhere_it_can_go_on(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                want(cases[i].is_present);
                for (unsigned n = 1; left_at(&cases[i], n); n++) {
                        assert_int_equal(apply(), 0);
                        assert_as(cases[i].user_after, cases[i].group_after);
                        assert_int_equal(manager_user.verify(&t.host, args, NULL, &err), 0);
                        assert_int_equal(apply(), 0);
                }
        }
}

static void test_what_never_began_is_put_back_by_nobody(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                want(cases[i].is_present);
                put(cases[i].user, cases[i].group);
                capture();
                boundary = 0;
                assert_put_back(&cases[i]);
                assert_int_equal(boundary, 0);
        }
}

/* ---- Somebody else's --------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
        bool is_present;
        const char *user, *group;              /* captured */
        const char *their_user, *their_group;  /* what is found later */
} theirs[] = {
        {true,  "",         "",    NAME ":x:997:997:a person's:/:/bin/sh\n",               GROUP},
        {true,  "",         "",    NAME ":x:500:500:pawl 0123abcd-42:/:/bin/sh\n",         NAME ":x:500:\n"},
        {true,  "",         "",    OURS("41"),                                             GROUP},
        {true,  "",         "",    NAME ":x:997:997:pawl 99999999-42:/:/bin/sh\n",         GROUP},
        {false, OURS("40"), GROUP, NAME ":x:500:500:a person's:/:/bin/sh\n",               NAME ":x:500:\n"},
        {false, OURS("40"), GROUP, "",                                                     NAME ":x:500:\n"},
        {false, "",         "",    NAME ":x:500:500:a person's:/:/bin/sh\n",               NAME ":x:500:\n"},
};
/* clang-format on */

static void test_what_is_somebody_elses_is_left_alone(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(theirs); i++) {
                want(theirs[i].is_present);
                put(theirs[i].user, theirs[i].group);
                capture();
                put(theirs[i].their_user, theirs[i].their_group);
                assert_int_equal(probe(), PROBE_FOREIGN);
                if (theirs[i].is_present || theirs[i].user[0])
                        assert_int_equal(revert(), -ESTALE);
                assert_true(is_as(theirs[i].their_user, theirs[i].their_group));
        }
        assert_int_equal(apply(), -ESTALE);
        assert_string_equal(err.message, "the user \"" NAME "\" is not the one pawl made");
        assert_string_equal(err.hint, "Rename it, or name another user in runtime.user.");
}

/* pawl recover TX --restore */
static void test_a_person_decides_that_the_captured_one_comes_back(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(theirs); i++) {
                want(theirs[i].is_present);
                put(theirs[i].user, theirs[i].group);
                capture();
                put(theirs[i].their_user, theirs[i].their_group);
                t.host.is_forced = true;
                assert_int_equal(revert(), 0);
                assert_as(theirs[i].user, theirs[i].group);
                assert_int_equal(revert(), 0);
                assert_as(theirs[i].user, theirs[i].group);
                t.host.is_forced = false;
        }
}

static void test_another_group_of_that_name_is_not_removed(void **state) {
        (void)state;
        put("", "");
        capture();
        put("", NAME ":x:500:\n");
        assert_int_equal(revert(), 0);
        assert_as("", NAME ":x:500:\n");
}

static void test_files_that_cannot_be_read_hold_no_answer(void **state) {
        char path[300];
        Probe ret;
        (void)state;
        put("", "");
        capture();
        (void)snprintf(path, sizeof(path), "%s/etc/passwd", t.path);
        assert_int_equal(remove(path), 0);
        assert_int_equal(manager_user.probe(&t.host, args, before, &ret, &err), -ENOENT);
        assert_int_equal(revert(), -ENOENT);
        assert_int_equal(mkdir(path, 0755), 0); /* it opens, and reading it fails */
        assert_int_equal(manager_user.probe(&t.host, args, before, &ret, &err), -EIO);
}

static bool write_line(const char *path, const char *text) {
        FILE *f = fopen(path, "we");
        return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

/* The host's programs want to be root, if only of a namespace. */
static bool is_root(void) {
        char users[64], groups[64];
        (void)snprintf(users, sizeof(users), "0 %u 1", (unsigned)getuid());
        (void)snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getgid());
        return geteuid() == 0 || (unshare(CLONE_NEWUSER) == 0 && write_line("/proc/self/setgroups", "deny") &&
                                  write_line("/proc/self/uid_map", users) && write_line("/proc/self/gid_map", groups));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_dead_anywhere_forward_and_back_it_is_put_back),
                TEST(test_dead_anywhere_it_can_go_on),
                TEST(test_what_never_began_is_put_back_by_nobody),
                TEST(test_what_is_somebody_elses_is_left_alone),
                TEST(test_a_person_decides_that_the_captured_one_comes_back),
                TEST(test_another_group_of_that_name_is_not_removed),
                TEST(test_files_that_cannot_be_read_hold_no_answer),
        };
        if (!is_root()) {
                (void)fprintf(stderr, "this host lets nobody but root use useradd, not even in a namespace\n");
                return 1;
        }
        return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}
