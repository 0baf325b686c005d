/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal that the first released format wrote, with a transaction left open by a kill, in
 * tests/data/journal-1.tar.gz. Every later pawl must open, verify and settle it. `unit.golden --make DIR` makes such a
 * root with this program; the file in tests/data is never made anew.
 *
 * Also: what a payload of a newer pawl means (hold, not a guess), and that an older payload is read by a newer manager.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/engine_state.h"
#include "core/txn.h"

static const Manager *real_file;
static Manager other_file;

static void assert_content(Engine *e, const char *path, const char *expected) {
        char *text = NULL;
        size_t size;
        int r = fs_read(e->root, path, 4096, &text, &size, NULL);
        assert_string_equal(r < 0 ? "-" : text, expected);
        free(text);
}

static Engine *open_engine(const char *root) {
        Engine *e = NULL;
        Error err = ERROR_INIT;
        EngineOptions options = {.root = root, .access = ENGINE_WRITE, .actor = "golden"};
        if (engine_open(&options, &e, &err) < 0)
                fail_msg("%s", err.message);
        return e;
}

static void add_file(Plan *p, const char *path, Value *content) {
        Value *args = value_new_map();
        assert_int_equal(value_set_text(args, "path", path, NULL), 0);
        assert_int_equal(value_set(args, "content", content, NULL), 0);
        assert_int_equal(value_set_int(args, "mode", 0644, NULL), 0);
        assert_int_equal(plan_add(p, (StepInit){.kind = STEP_EFFECT, .manager = "file"}, args, NULL, NULL), 0);
}

static Plan *make_plan(void) {
        Plan *p = plan_new("upgrade", "web");
        p->from = strdup("v1");
        p->to = strdup("v2");
        add_file(p, "files/a", value_new_text("new a\n"));
        add_file(p, "files/secret", value_new_secret("PASSWORD=hunter2\n", 17));
        add_file(p, "files/c", value_new_text("new c\n"));
        return p;
}

static int die_at_third(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        static int n;
        if (++n == 3)
                _exit(9);
        return real_file->apply(host, args, before, ret, err);
}

/* Leaves `root` with one finished transaction and one that died before its third step. */
static void make_root(const char *root, uint32_t version) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Engine *e = open_engine(root);
                TxnResult result = {0};
                Error err = ERROR_INIT;
                Plan *first = plan_new("apply", "web");
                if (fs_mkdir_durably(e->root, "files", 0755, FS_OWNER_KEEP, &(bool){0}, NULL) < 0)
                        _exit(1);
                first->to = strdup("v1");
                add_file(first, "files/a", value_new_text("old a\n"));
                if (txn_run(e, first, &result, &err) < 0)
                        _exit(1);
                real_file = manager_by_name("file");
                other_file = *real_file;
                other_file.version = version;
                other_file.apply = die_at_third;
                manager_replace("file", &other_file);
                (void)txn_run(e, make_plan(), &result, &err);
                _exit(2);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

static int recover(Engine *e, Error *err) {
        static const RecoverRequest automatic = {.mode = RECOVER_AUTO};
        Value *report = NULL;
        *err = ERROR_INIT;
        int r = engine_recover(e, &automatic, &report, err);
        value_free(report);
        return r;
}

static size_t n_open(Engine *e) {
        Value *rows = NULL;
        assert_int_equal(engine_rows(e, "open/", 0, &rows, NULL), 0);
        size_t n = value_count(rows);
        value_free(rows);
        return n;
}

static void assert_settled(Engine *e) {
        assert_int_equal(n_open(e), 0);
        assert_content(e, "files/a", "old a\n");
        assert_content(e, "files/secret", "-");
        assert_content(e, "files/c", "-");
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

typedef struct Scratch {
        char root[64];
} Scratch;

static int setup(void **state) {
        static Scratch s;
        snprintf(s.root, sizeof(s.root), "/tmp/pawl-golden-XXXXXX");
        assert_non_null(mkdtemp(s.root));
        *state = &s;
        return 0;
}

static int teardown(void **state) {
        Scratch *s = *state;
        manager_replace("file", NULL);
        int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)fs_remove_tree(fd, s->root + strlen("/tmp/"), NULL);
        close(fd);
        return 0;
}

static void unpack(const char *root) {
        char *argv[] = {(char *)"tar", (char *)"-xzf", (char *)TEST_SOURCE_DIR "/tests/data/journal-1.tar.gz",
                        (char *)"-C",  (char *)root,   NULL};
        pid_t pid;
        int status;
        assert_int_equal(posix_spawnp(&pid, "tar", NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_the_first_format_with_an_open_transaction_is_settled(void **state) {
        Scratch *s = *state;
        Error err;
        unpack(s->root);
        Engine *e = open_engine(s->root);
        assert_int_equal(n_open(e), 1);
        assert_content(e, "files/a", "new a\n");
        assert_content(e, "files/secret", "PASSWORD=hunter2\n");
        assert_int_equal(recover(e, &err), 0);
        assert_settled(e);
        engine_free(e);
}

static void test_today_leaves_the_same_and_settles_it(void **state) {
        Scratch *s = *state;
        Error err;
        make_root(s->root, manager_by_name("file")->version);
        Engine *e = open_engine(s->root);
        assert_int_equal(recover(e, &err), 0);
        assert_settled(e);
        engine_free(e);
}

static void test_an_older_payload_is_settled_by_a_newer_manager(void **state) {
        Scratch *s = *state;
        Error err;
        Field args[32];
        unpack(s->root);
        real_file = manager_by_name("file");
        size_t n = 0;
        for (; real_file->args[n].num != 0; n++)
                args[n] = real_file->args[n];
        args[n++] = (Field){200, "label", FIELD_TEXT, FIELD_REQUIRED, real_file->version + 1, NULL};
        args[n] = (Field)FIELD_END;
        other_file = *real_file;
        other_file.version = real_file->version + 1;
        other_file.args = args;
        manager_replace("file", &other_file);
        Engine *e = open_engine(s->root);
        assert_int_equal(recover(e, &err), 0);
        assert_settled(e);
        engine_free(e);
}

static void test_a_newer_payload_is_on_hold_and_touched_by_nobody(void **state) {
        Scratch *s = *state;
        Error err;
        make_root(s->root, manager_by_name("file")->version + 1);
        Engine *e = open_engine(s->root);
        assert_true(recover(e, &err) < 0);
        assert_int_equal(err.code, ERR_LEFTOVERS);
        assert_int_equal(n_open(e), 1);
        assert_content(e, "files/a", "new a\n");
        engine_free(e);
}

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "--make") == 0) {
                make_root(argv[2], manager_by_name("file")->version);
                return 0;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_the_first_format_with_an_open_transaction_is_settled, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_today_leaves_the_same_and_settles_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_older_payload_is_settled_by_a_newer_manager, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_newer_payload_is_on_hold_and_touched_by_nobody, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
