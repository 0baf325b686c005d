/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier process did, and died before its fsync, is made durable by whoever relies on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/engine.h"
#include "tests/lib/temp_host.h"
#include "tests/unit/journal_fixture.h"

/* ---- Which directories and files were synced ---- */

enum { SYNCED_MAX = 256 };
static ino_t synced[SYNCED_MAX];
static size_t n_synced;

/* Instead of libc's: the layers are linked into this program. */
int fsync(int fd) {
        struct stat st;
        if (fstat(fd, &st) == 0 && n_synced < SYNCED_MAX)
                synced[n_synced++] = st.st_ino;
        return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(int root, const char *path) {
        struct stat st;
        assert_int_equal(fstatat(root, path, &st, 0), 0);
        for (size_t i = 0; i < n_synced; i++)
                if (synced[i] == st.st_ino)
                        return true;
        return false;
}

/* ---- Leftovers that a dead process removed in memory only ---- */

static const char *const managers[] = {"file", "link", "tree", "trash", "release"};

static void tidy(const Manager *m, const TempHost *t) {
        _cleanup_(value_freep) Value *args = value_new_map(), *before = value_new_map();
        Error err = ERROR_INIT;
        assert_int_equal(value_set_text(args, "path", "etc/pawl/web/thing", &err), 0);
        assert_int_equal(value_set_text(args, "target", "releases/v1", &err), 0);
        assert_int_equal(value_set_text(args, "content", "text", &err), 0);
        assert_int_equal(value_set_text(args, "dir", "etc/pawl/web", &err), 0);
        n_synced = 0;
        assert_int_equal(m->tidy(&t->host, args, before, &err), 0);
}

static void test_tidy_in_recovery_syncs_what_is_gone_already(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(managers); i++) {
                TempHost t;
                temp_host_init(&t);
                temp_host_write(&t, "etc/pawl/web/other", "");
                const Manager *m = manager_by_name(managers[i]);
                assert_non_null(m);
                tidy(m, &t);
                assert_false(was_synced(t.host.root, "etc/pawl/web"));
                t.host.is_recovery = true;
                tidy(m, &t);
                if (!was_synced(t.host.root, "etc/pawl/web"))
                        fail_msg("the manager \"%s\" trusts what it sees", managers[i]);
                temp_host_done(&t);
        }
}

static void test_what_was_pruned_before_is_durable_now(void **state) {
        (void)state;
        TempHost t;
        _cleanup_(value_freep) Value *args = value_new_map();
        Value *versions = value_new_array();
        StepResult result = {0};
        Error err = ERROR_INIT;
        temp_host_init(&t);
        temp_host_write(&t, "opt/pawl/web/releases/v2/web", "");
        assert_int_equal(value_append_text(versions, "v1", &err), 0);
        assert_int_equal(value_set_text(args, "path", "opt/pawl/web/releases", &err), 0);
        assert_int_equal(value_set(args, "versions", versions, &err), 0);
        n_synced = 0;
        assert_int_equal(manager_by_name("prune")->apply(&t.host, args, NULL, &result, &err), 0);
        assert_true(was_synced(t.host.root, "opt/pawl/web/releases"));
        step_result_done(&result);
        temp_host_done(&t);
}

/* ---- init ---- */

static void test_init_again_syncs_the_configuration_that_is_there(void **state) {
        World *w = *state;
        EngineOptions options = {.root = w->path};
        for (int i = 0; i < 2; i++) {
                _cleanup_(value_freep) Value *result = NULL;
                Error err = ERROR_INIT;
                n_synced = 0;
                assert_int_equal(engine_init(&options, &result, &err), 0);
                assert_true(was_synced(w->root, "etc/pawl"));
        }
}

/* ---- The journal's room ---- */

static void test_room_that_is_reserved_is_durable(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        Error err = ERROR_INIT;
        n_synced = 0;
        /* More than is there: it has to be had from the file system. */
        assert_int_equal(journal_reserve(j, 8 << 20, &err), 0);
        assert_true(was_synced(w->root, "var/lib/pawl/journal/data.mdb"));
        n_synced = 0;
        assert_int_equal(journal_reserve(j, 8 << 20, &err), 0);
        assert_false(was_synced(w->root, "var/lib/pawl/journal/data.mdb"));
        journal_free(j);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tidy_in_recovery_syncs_what_is_gone_already),
                cmocka_unit_test(test_what_was_pruned_before_is_durable_now),
                cmocka_unit_test_setup_teardown(test_init_again_syncs_the_configuration_that_is_there, world_setup,
                                                world_teardown),
                cmocka_unit_test_setup_teardown(test_room_that_is_reserved_is_durable, world_setup, world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
