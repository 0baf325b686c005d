/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "block": some lines of a file are ours, the rest is whatever others make of it meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/rooted.h"

extern const Manager manager_block;

#define PATH "etc/paths.conf"
#define STAGED "root/etc/.pawl-7-3"
#define BLOCK(text) "# BEGIN pawl web\n" text "# END pawl web\n"
#define THEIRS "# BEGIN pawl web2\ntwo\n# END pawl web2\n"

typedef struct Fixture {
        Rooted rooted;
        Error err;
        Value *args, *before;
        StepResult result;
} Fixture;

static void put(Fixture *f, const char *text) {
        rooted_write(&f->rooted, "root/" PATH, text, strlen(text), 0640);
}

static void assert_file(Fixture *f, const char *expected) {
        char *text = rooted_read(&f->rooted, "root/" PATH);
        assert_string_equal(text ? text : "-", expected);
        free(text);
}

/* content NULL: there is to be no block. */
static void want(Fixture *f, const char *content) {
        f->args = value_free(f->args);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", PATH, NULL), 0);
        assert_int_equal(value_set_text(f->args, "name", "web", NULL), 0);
        assert_int_equal(value_set_text(f->args, "content", content, NULL), 0);
        assert_int_equal(value_set_int(f->args, "mode", 0644, NULL), 0);
        assert_int_equal(field_check(manager_block.args, f->args, "block", &f->err), 0);
}

/* Somebody else writes right before the first exchange, and right behind it. */
static struct {
        Fixture *f;
        const char *before, *behind;
        bool is_replaced; /* by another file of the same content */
} other;

static void other_writes(const char *text) {
        if (text && !other.is_replaced)
                put(other.f, text);
        if (text && other.is_replaced) {
                rooted_write(&other.f->rooted, "root/etc/saved", text, strlen(text), 0640);
                assert_int_equal(rename(rooted_path(&other.f->rooted, "root/etc/saved"),
                                        rooted_path(&other.f->rooted, "root/" PATH)),
                                 0);
        }
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
        const char *before = other.before, *behind = other.behind;
        other.before = other.behind = NULL;
        other_writes(before);
        int r = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
        other_writes(behind);
        return r;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        rooted_write(&f->rooted, "root/etc/other", "", 0, 0644);
        want(f, "new\n");
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        value_free(f->args);
        value_free(f->before);
        step_result_done(&f->result);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

static void capture(Fixture *f) {
        f->before = value_free(f->before);
        assert_int_equal(manager_block.capture(&f->rooted.host, f->args, &f->before, &f->err), 0);
        assert_int_equal(field_check(manager_block.before, f->before, "block", &f->err), 0);
}

static int apply(Fixture *f) {
        f->err = ERROR_INIT;
        return manager_block.apply(&f->rooted.host, f->args, f->before, &f->result, &f->err);
}

static int revert(Fixture *f) {
        f->err = ERROR_INIT;
        return manager_block.revert(&f->rooted.host, f->args, f->before, &f->err);
}

static int verify(Fixture *f) {
        return manager_block.verify(&f->rooted.host, f->args, NULL, &f->err);
}

static Probe probe(Fixture *f) {
        Probe p = PROBE_UNREACHABLE;
        assert_int_equal(manager_block.probe(&f->rooted.host, f->args, f->before, &p, &f->err), 0);
        return p;
}

static void tidy(Fixture *f) {
        assert_int_equal(manager_block.tidy(&f->rooted.host, f->args, f->before, &f->err), 0);
        assert_int_equal(rooted_count(&f->rooted, "root/etc"), rooted_exists(&f->rooted, "root/" PATH) ? 2 : 1);
}

static void test_a_block_is_added_to_a_file_of_others_and_taken_out(void **state) {
        Fixture *f = *state;
        struct stat st;
        put(f, "# theirs\n" THEIRS "last");
        capture(f);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_CREATED);
        assert_file(f, "# theirs\n" THEIRS "last\n" BLOCK("new\n"));
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" PATH), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(probe(f), PROBE_AFTER);
        assert_int_equal(verify(f), 0);
        assert_int_equal(revert(f), 0);
        assert_file(f, "# theirs\n" THEIRS "last\n");
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
        tidy(f);
}

static void test_what_others_write_meanwhile_stays(void **state) {
        Fixture *f = *state;
        put(f, "a\n" BLOCK("old\n") "z\n");
        capture(f);
        assert_int_equal(apply(f), 0);
        put(f, "a, edited\n" BLOCK("new\n") "z\n" THEIRS);
        assert_int_equal(revert(f), 0);
        assert_file(f, "a, edited\n" BLOCK("old\n") "z\n" THEIRS);
        tidy(f);
}

static void test_a_file_that_was_made_goes_when_it_is_empty(void **state) {
        Fixture *f = *state;
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_file(f, BLOCK("new\n"));
        assert_int_equal(revert(f), 0);
        assert_file(f, "-");
        assert_int_equal(apply(f), 0);
        put(f, BLOCK("new\n") THEIRS);
        assert_int_equal(revert(f), 0);
        assert_file(f, THEIRS);
        tidy(f);
}

static void test_a_block_is_removed_and_comes_back(void **state) {
        Fixture *f = *state;
        put(f, "a\n" BLOCK("old\n") "z\n");
        want(f, NULL);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_file(f, "a\nz\n");
        assert_int_equal(f->result.change, CHANGE_CHANGED);
        assert_int_equal(verify(f), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(revert(f), 0);
        assert_file(f, "a\n" BLOCK("old\n") "z\n");
        assert_int_equal(probe(f), PROBE_BEFORE);
        tidy(f);
}

static void test_an_edit_of_the_block_is_foreign(void **state) {
        Fixture *f = *state;
        put(f, BLOCK("old\n"));
        capture(f);
        put(f, BLOCK("edited\n"));
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_string_equal(f->err.message, "the block of web in \"/" PATH
                                            "\" was changed by someone else meanwhile; it is left as they wrote it");
        assert_int_equal(revert(f), -ESTALE);
        assert_int_equal(verify(f), -ESTALE);
        assert_file(f, BLOCK("edited\n"));
        f->rooted.host.is_forced = true;
        assert_int_equal(revert(f), 0);
        assert_file(f, BLOCK("old\n"));
}

static void test_what_others_write_around_the_exchange_survives(void **state) {
        Fixture *f = *state;
        other.f = f;
        for (int back = 0; back < 2; back++) {
                put(f, back ? BLOCK("old\n") : "a\n" BLOCK("old\n"));
                capture(f);
                if (back)
                        assert_int_equal(apply(f), 0);
                other.before = "theirs\n" BLOCK("edited\n");
                assert_int_equal(back ? revert(f) : apply(f), -ESTALE);
                assert_int_equal(f->err.code, ERR_FOREIGN);
                assert_file(f, "theirs\n" BLOCK("edited\n"));
                tidy(f);
        }
        put(f, BLOCK("old\n"));
        other.behind = BLOCK("new\n") "theirs\n";
        assert_int_equal(apply(f), 0);
        assert_file(f, BLOCK("new\n") "theirs\n");
        tidy(f);
}

static void test_two_edits_around_the_exchange_both_survive(void **state) {
        Fixture *f = *state;
        other.f = f;
        put(f, BLOCK("old\n"));
        capture(f);
        other.before = "first\n" BLOCK("old\n");
        other.behind = BLOCK("new\n") "second\n";
        assert_int_equal(apply(f), -ESTALE);
        assert_string_equal(f->err.message, "\"/" PATH "\" was changed by someone else meanwhile, and again; "
                                            "the later one is in \"/" PATH ".edited-7-3\"");
        assert_file(f, "first\n" BLOCK("old\n"));
        char *kept = rooted_read(&f->rooted, "root/" PATH ".edited-7-3");
        assert_string_equal(kept, BLOCK("new\n") "second\n");
        free(kept);
        assert_false(rooted_exists(&f->rooted, STAGED));
}

static void test_a_file_that_was_replaced_meanwhile_is_foreign(void **state) {
        Fixture *f = *state;
        other.f = f;
        other.is_replaced = true;
        put(f, BLOCK("old\n"));
        capture(f);
        other.before = BLOCK("old\n");
        assert_int_equal(apply(f), -ESTALE);
        other.is_replaced = false;
        assert_file(f, BLOCK("old\n"));
        assert_int_equal(apply(f), 0);
        tidy(f);
}

static void test_marks_that_do_not_belong_together_are_nobodys(void **state) {
        static const char *const texts[] = {"# BEGIN pawl web\nx\n", "x\n# END pawl web\n",
                                            "# END pawl web\n# BEGIN pawl web\n", BLOCK("x\n") BLOCK("y\n"),
                                            "# BEGIN pawl web\n" BLOCK("x\n")};
        Fixture *f = *state;
        capture(f);
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                put(f, texts[i]);
                assert_int_equal(manager_block.check(&f->rooted.host, f->args, &f->err), -ESTALE);
                assert_int_equal(apply(f), -ESTALE);
                assert_int_equal(probe(f), PROBE_FOREIGN);
                assert_file(f, texts[i]);
        }
}

/* Every state that a dead process can leave, forward and back. */
static void test_interrupted_anywhere_it_goes_on(void **state) {
        static const struct {
                const char *path, *staged;
        } states[] = {
                {BLOCK("old\n") "z\n", NULL},                 /* not begun */
                {BLOCK("old\n") "z\n", "# BEG"},              /* half staged */
                {BLOCK("old\n") "z\n", BLOCK("new\n") "z\n"}, /* staged */
                {BLOCK("new\n") "z\n", BLOCK("old\n") "z\n"}, /* exchanged */
                {BLOCK("new\n") "z\n", NULL},                 /* done */
        };
        Fixture *f = *state;
        put(f, BLOCK("old\n") "z\n");
        capture(f);
        for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
                for (int back = 0; back < 2; back++) {
                        put(f, states[i].path);
                        if (states[i].staged)
                                rooted_write(&f->rooted, STAGED, states[i].staged, strlen(states[i].staged), 0640);
                        assert_int_equal(back ? revert(f) : apply(f), 0);
                        assert_file(f, back ? BLOCK("old\n") "z\n" : BLOCK("new\n") "z\n");
                        tidy(f);
                }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_a_block_is_added_to_a_file_of_others_and_taken_out),
                TEST(test_what_others_write_meanwhile_stays),
                TEST(test_a_file_that_was_made_goes_when_it_is_empty),
                TEST(test_a_block_is_removed_and_comes_back),
                TEST(test_an_edit_of_the_block_is_foreign),
                TEST(test_what_others_write_around_the_exchange_survives),
                TEST(test_two_edits_around_the_exchange_both_survive),
                TEST(test_a_file_that_was_replaced_meanwhile_is_foreign),
                TEST(test_marks_that_do_not_belong_together_are_nobodys),
                TEST(test_interrupted_anywhere_it_goes_on),
        };
        return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
