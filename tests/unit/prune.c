/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "prune": only releases of pawl, and never the one in use. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/rooted.h"

extern const Manager manager_prune;

#define SERVICE "opt/pawl/web"
#define RELEASES SERVICE "/releases"

typedef struct Fixture {
        Rooted rooted;
        Error err;
        Value *args;
        StepResult result;
} Fixture;

static const char *at(Fixture *f, const char *path) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/%s", path);
        return rooted_path(&f->rooted, name);
}

static void release(Fixture *f, const char *version, bool has_mark) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/" RELEASES "/%s/web", version);
        rooted_write(&f->rooted, name, "#!", 2, 0755);
        (void)snprintf(name, sizeof(name), "root/" RELEASES "/%s/.pawl-release", version);
        if (has_mark)
                rooted_write(&f->rooted, name, "{}", 2, 0644);
}

static bool is_there(Fixture *f, const char *version) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/" RELEASES "/%s", version);
        return rooted_exists(&f->rooted, name);
}

static void prunes(Fixture *f, const char *const *versions) {
        Value *list = value_new_array();
        for (; *versions; versions++)
                assert_int_equal(value_append_text(list, *versions, NULL), 0);
        assert_int_equal(value_set(f->args, "versions", list, NULL), 0);
        assert_int_equal(field_check(manager_prune.args, f->args, "prune", &f->err), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", RELEASES, NULL), 0);
        release(f, "v1", true);
        release(f, "v2", true);
        release(f, "v3", true);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        value_free(f->args);
        step_result_done(&f->result);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

static int apply(Fixture *f) {
        return manager_prune.apply(&f->rooted.host, f->args, NULL, &f->result, &f->err);
}

static void old_releases_go_and_the_rest_stays(void **state) {
        Fixture *f = *state;
        prunes(f, (const char *const[]){"v1", "v2", "v0", NULL});
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_CHANGED);
        assert_true(!is_there(f, "v1") && !is_there(f, "v2") && is_there(f, "v3"));
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 1);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
}

static void the_release_in_use_stays_however_it_is_linked(void **state) {
        Fixture *f = *state;
        static const char *const targets[] = {"releases/v1", "releases/v1/", "./releases/../releases/v1",
                                              "/" RELEASES "/v1"};
        prunes(f, (const char *const[]){"v1", NULL});
        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                assert_int_equal(symlink(targets[i], at(f, SERVICE "/current")), 0);
                assert_int_equal(apply(f), 0);
                assert_int_equal(f->result.change, CHANGE_UNCHANGED);
                assert_true(is_there(f, "v1"));
                assert_int_equal(unlink(at(f, SERVICE "/current")), 0);
        }
        assert_int_equal(symlink("releases/none", at(f, SERVICE "/current")), 0);
        assert_int_equal(apply(f), 0);
        assert_false(is_there(f, "v1"));
}

static void what_has_no_mark_stays(void **state) {
        Fixture *f = *state;
        release(f, "mine", false);
        release(f, "dir", false);
        rooted_write(&f->rooted, "root/" RELEASES "/dir/.pawl-release/x", "", 0, 0644);
        rooted_write(&f->rooted, "root/" RELEASES "/file", "", 0, 0644);
        assert_int_equal(symlink("v1", at(f, RELEASES "/link")), 0);
        prunes(f, (const char *const[]){"mine", "dir", "file", "link", NULL});
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 7);
}

static void what_a_crash_left_half_deleted_goes(void **state) {
        Fixture *f = *state;
        prunes(f, (const char *const[]){"v0", "v1", NULL});
        assert_int_equal(rename(at(f, RELEASES "/v1"), at(f, RELEASES "/.pawl-trash-7-3-2")), 0);
        assert_int_equal(unlink(at(f, RELEASES "/.pawl-trash-7-3-2/.pawl-release")), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_CHANGED);
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 2);
}

static void a_version_cannot_lead_elsewhere(void **state) {
        Fixture *f = *state;
        static const char *const versions[] = {"..",  ".",   "",       "../releases/v1",
                                               "/v1", "v1/", "v1/web", ".pawl-trash-7-4"};
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                prunes(f, (const char *const[]){versions[i], NULL});
                assert_int_equal(apply(f), -EINVAL);
        }
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 3);
}

static void a_missing_folder_is_nothing_to_do(void **state) {
        Fixture *f = *state;
        assert_int_equal(value_set_text(f->args, "path", "opt/pawl/none/releases", NULL), 0);
        prunes(f, (const char *const[]){"v1", NULL});
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                T(old_releases_go_and_the_rest_stays),
                T(the_release_in_use_stays_however_it_is_linked),
                T(what_has_no_mark_stays),
                T(what_a_crash_left_half_deleted_goes),
                T(a_version_cannot_lead_elsewhere),
                T(a_missing_folder_is_nothing_to_do),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
