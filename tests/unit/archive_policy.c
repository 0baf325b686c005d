/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive may hold, entry by entry. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "managers/archive_policy.h"

static PolicyPath path, target;
static Error err;

static int check(const PolicyEntry *e) {
        Policy p = {.max_size = 1000};
        err = ERROR_INIT;
        int r = archive_policy_check(&p, e, &path, &target, &err);
        if (r < 0)
                assert_int_equal(err.code, ERR_ARTIFACT);
        return r;
}

static int file(const char *name) {
        return check(&(PolicyEntry){.path = name, .kind = ENTRY_FILE, .mode = 0644});
}

static int link_to(const char *name, const char *to) {
        return check(&(PolicyEntry){.path = name, .kind = ENTRY_LINK, .target = to, .mode = 0777});
}

static void plain_names_are_allowed(void **state) {
        (void)state;
        static const char *const names[] = {"a",     "a/b/c", "./a",     ".//a",      "..a",     "a..",
                                            "a/...", "a b",   ".hidden", "a/.pawl-x", "\xc3\xa4"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_int_equal(file(names[i]), 0);
        assert_int_equal(file("./a/b"), 0);
        assert_string_equal(path.text, "a/b");
}

static void names_that_lead_out_are_refused(void **state) {
        (void)state;
        static const char *const names[] = {"..",          "../evil", "a/../b", "a/..",     "./../a",
                                            "/etc/passwd", "//a",     "./..",   "a/../../b"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_int_equal(file(names[i]), -EBADMSG);
        assert_int_equal(file("../evil"), -EBADMSG);
        assert_string_equal(err.message, "the entry \"../evil\" leads out of the release");
}

static void malformed_names_are_refused(void **state) {
        (void)state;
        static const char *const names[] = {"", ".", "./", "a//b", "a/./b", "a/", "a\nb", "a\x01", "a\x7f"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_int_equal(file(names[i]), -EBADMSG);
        /* A control character must not reach a terminal through the message. */
        assert_int_equal(file("a\x1b[2J"), -EBADMSG);
        assert_null(strchr(err.message, '\x1b'));
}

static void own_names_are_refused(void **state) {
        (void)state;
        assert_int_equal(file(".pawl-release"), -EBADMSG);
        assert_int_equal(file("./.pawl-manifest"), -EBADMSG);
        assert_int_equal(file(".pawl-7-3/x"), -EBADMSG);
}

static void long_and_deep_names_are_refused(void **state) {
        (void)state;
        char name[PATH_MAX + 10];
        memset(name, 'a', sizeof(name));
        name[256] = '\0';
        assert_int_equal(file(name), -EBADMSG);
        name[255] = '\0';
        assert_int_equal(file(name), 0);
        for (size_t i = 0; i < sizeof(name) - 1; i++)
                name[i] = i % 2 ? '/' : 'a';
        name[2 * 64 - 1] = '\0';
        assert_int_equal(file(name), 0);
        name[2 * 64 - 1] = '/';
        name[2 * 65 - 1] = '\0';
        assert_int_equal(file(name), -EBADMSG);
        memset(name, 'a', sizeof(name));
        for (size_t i = 200; i < sizeof(name); i += 200)
                name[i] = '/';
        name[PATH_MAX] = '\0';
        assert_int_equal(file(name), -EBADMSG);
}

static void directories_may_end_in_a_slash_and_be_the_top(void **state) {
        (void)state;
        assert_int_equal(check(&(PolicyEntry){.path = "a/b/", .kind = ENTRY_DIRECTORY, .mode = 0755}), 0);
        assert_string_equal(path.text, "a/b");
        assert_int_equal(check(&(PolicyEntry){.path = "./", .kind = ENTRY_DIRECTORY, .mode = 0755}), 0);
        assert_string_equal(path.text, "");
        assert_int_equal(check(&(PolicyEntry){.path = "../", .kind = ENTRY_DIRECTORY, .mode = 0755}), -EBADMSG);
}

static void links_inside_are_allowed(void **state) {
        (void)state;
        assert_int_equal(link_to("a", "b"), 0);
        assert_int_equal(link_to("a", "b/c"), 0);
        assert_int_equal(link_to("a", "./b"), 0);
        assert_int_equal(link_to("lib/a", "../bin/b"), 0);
        assert_int_equal(link_to("x/y/z", "../../b"), 0);
        assert_int_equal(link_to("x/y", ".."), 0);
}

static void links_that_lead_out_are_refused(void **state) {
        (void)state;
        assert_int_equal(link_to("a", ".."), -EBADMSG);
        assert_int_equal(link_to("a", "../b"), -EBADMSG);
        assert_int_equal(link_to("x/y", "../../b"), -EBADMSG);
        assert_int_equal(link_to("a", "/etc/passwd"), -EBADMSG);
        assert_int_equal(link_to("a", ""), -EBADMSG);
        assert_int_equal(link_to("a", NULL), -EBADMSG);
        assert_int_equal(link_to("a", "b\nc"), -EBADMSG);
        /* "here" may itself be a link to a directory less deep: what stands behind it cannot be told from the text. */
        assert_int_equal(link_to("a", "deep/here/../../x"), -EBADMSG);
        assert_int_equal(link_to("x/y", "z/.."), -EBADMSG);
}

static void hard_links_obey_the_rules_of_names(void **state) {
        (void)state;
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_HARD_LINK, .target = "./b/c", .mode = 0644}),
                         0);
        assert_string_equal(target.text, "b/c");
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_HARD_LINK, .target = "/etc/shadow"}),
                         -EBADMSG);
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_HARD_LINK, .target = "../b"}), -EBADMSG);
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_HARD_LINK, .target = NULL}), -EBADMSG);
}

static void special_files_and_bits_are_refused(void **state) {
        (void)state;
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_OTHER, .mode = 0644}), -EBADMSG);
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_FILE, .mode = 04755}), -EBADMSG);
        assert_string_equal(err.message, "the entry \"a\" has a set-user-id or set-group-id bit");
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_FILE, .mode = 02755}), -EBADMSG);
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_DIRECTORY, .mode = 01777}), -EBADMSG);
        assert_int_equal(check(&(PolicyEntry){.path = "a", .kind = ENTRY_FILE, .mode = 0644, .is_encrypted = true}),
                         -EBADMSG);
}

static void sizes_are_added_up(void **state) {
        (void)state;
        Policy p = {.max_size = 1000};
        PolicyEntry e = {.path = "a", .kind = ENTRY_FILE, .mode = 0644, .size = 600};
        assert_int_equal(archive_policy_check(&p, &e, &path, &target, &err), 0);
        assert_int_equal(archive_policy_check(&p, &e, &path, &target, &err), -EFBIG);
        e.size = -1;
        assert_int_equal(check(&e), -EBADMSG);
        Policy unlimited = {.size = UINT64_MAX - 10};
        e.size = 100;
        assert_int_equal(archive_policy_check(&unlimited, &e, &path, &target, &err), -EFBIG);
        Policy q = {.max_size = 1000};
        assert_int_equal(archive_policy_count(&q, 0, 1000, "a", &err), 0);
        assert_int_equal(archive_policy_count(&q, 0, 1001, "a", &err), -EFBIG);
}

static void entries_are_counted(void **state) {
        (void)state;
        Policy p = {.n_entries = ARCHIVE_ENTRIES_MAX - 1};
        PolicyEntry e = {.path = "a", .kind = ENTRY_DIRECTORY, .mode = 0755};
        assert_int_equal(archive_policy_check(&p, &e, &path, &target, &err), 0);
        assert_int_equal(archive_policy_check(&p, &e, &path, &target, &err), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_names_are_allowed),
                cmocka_unit_test(names_that_lead_out_are_refused),
                cmocka_unit_test(malformed_names_are_refused),
                cmocka_unit_test(own_names_are_refused),
                cmocka_unit_test(long_and_deep_names_are_refused),
                cmocka_unit_test(directories_may_end_in_a_slash_and_be_the_top),
                cmocka_unit_test(links_inside_are_allowed),
                cmocka_unit_test(links_that_lead_out_are_refused),
                cmocka_unit_test(hard_links_obey_the_rules_of_names),
                cmocka_unit_test(special_files_and_bits_are_refused),
                cmocka_unit_test(sizes_are_added_up),
                cmocka_unit_test(entries_are_counted),
        };
        return cmocka_run_group_tests_name("archive_policy", tests, NULL, NULL);
}
