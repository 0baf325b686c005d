/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions over real managers that fail, or die, at the n-th operation: groups, finish steps, holds and decisions.
 * The process that dies is a child of the test; the one that recovers is the test.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "core/engine_state.h"
#include "core/recover.h"
#include "core/txn.h"
#include "managers/fence.h"

/* ---- A manager that fails ---------------------------------------------------------------------------------------- */

typedef enum FaultOp { OP_CAPTURE, OP_APPLY, OP_REVERT, OP_TIDY, OP_COUNT } FaultOp;
typedef enum FaultKind {
        FAULT_NONE,
        FAULT_ERROR,
        FAULT_DIE_BEFORE,
        FAULT_DIE_AFTER,
        FAULT_DIE_AND_LEAVE, /* what it started goes on without it */
        FAULT_EDIT_BEFORE,
        FAULT_EDIT_AND_ERROR
} FaultKind;

static struct {
        FaultKind kind;
        int op; /* FaultOp, or -1: any */
        int countdown;
        const char *edit; /* path written by somebody else */
} fault;
static const Manager *real_file;
static int test_root;

static void write_file(const char *path, const char *text) {
        Error err = ERROR_INIT;
        assert_int_equal(fs_replace_durably(test_root, path, text, strlen(text), 0644, &err), 0);
}

static bool fault_is_due(FaultOp op) {
        if (fault.kind == FAULT_NONE || (fault.op >= 0 && fault.op != (int)op))
                return false;
        return --fault.countdown == 0;
}

enum { LATE_USEC = 300000 };

/* A child of the step, which writes when nobody reckons with it any more. */
static void leave_child(const Host *host) {
        ChildFence fence = CHILD_FENCE_INIT;
        Error err = ERROR_INIT;
        assert_int_equal(child_fence_new(host, &fence, &err), 0);
        if (fork() != 0)
                _exit(9);
        (void)usleep(LATE_USEC);
        write_file(fault.edit, "late\n");
        _exit(0);
}

static int fault_before(const Host *host, FaultOp op, bool *ret_due, Error *err) {
        *ret_due = fault_is_due(op);
        if (!*ret_due)
                return 0;
        if (fault.kind == FAULT_DIE_AND_LEAVE)
                leave_child(host);
        if (fault.kind == FAULT_DIE_BEFORE)
                _exit(9);
        if (fault.kind == FAULT_EDIT_BEFORE || fault.kind == FAULT_EDIT_AND_ERROR)
                write_file(fault.edit, "somebody else's\n");
        return fault.kind == FAULT_ERROR || fault.kind == FAULT_EDIT_AND_ERROR
                       ? error_set(err, -EIO, ERR_IO, NULL, "it was made to fail")
                       : 0;
}

static int fault_after(bool due, int r) {
        if (due && fault.kind == FAULT_DIE_AFTER)
                _exit(9);
        return r;
}

static int faulty_capture(const Host *host, const Value *args, Value **ret, Error *err) {
        bool due;
        int r = fault_before(host, OP_CAPTURE, &due, err);
        return fault_after(due, r < 0 ? r : real_file->capture(host, args, ret, err));
}

static int faulty_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        bool due;
        int r = fault_before(host, OP_APPLY, &due, err);
        return fault_after(due, r < 0 ? r : real_file->apply(host, args, before, ret, err));
}

static int faulty_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        bool due;
        int r = fault_before(host, OP_REVERT, &due, err);
        return fault_after(due, r < 0 ? r : real_file->revert(host, args, before, err));
}

static int faulty_tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        bool due;
        int r = fault_before(host, OP_TIDY, &due, err);
        return fault_after(due, r < 0 ? r : real_file->tidy(host, args, before, err));
}

static Manager faulty_file;

static void fault_arm(FaultKind kind, int op, int countdown) {
        fault.kind = kind;
        fault.op = op;
        fault.countdown = countdown;
}

/* ---- A root with three files ------------------------------------------------------------------------------------- */

typedef struct Bench {
        char *root;
        Engine *engine;
} Bench;

static Engine *bench_open(const char *root) {
        Engine *e = NULL;
        Error err = ERROR_INIT;
        EngineOptions options = {.root = root, .access = ENGINE_WRITE, .actor = "test"};
        if (engine_open(&options, &e, &err) < 0)
                fail_msg("%s", err.message);
        test_root = e->root;
        return e;
}

static int setup(void **state) {
        static Bench b;
        char template[64]; /* what dies here is a process, not a disk: a fast one will do */
        (void)snprintf(template, sizeof(template), "%s/pawl-txn-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(template));
        b.root = strdup(template);
        b.engine = bench_open(b.root);
        assert_int_equal(fs_mkdir_durably(test_root, "files", 0755, FS_OWNER_KEEP, &(bool){0}, NULL), 0);
        write_file("files/a", "old a\n");
        write_file("files/b", "old b\n");
        real_file = manager_by_name("file");
        faulty_file = *real_file;
        faulty_file.capture = faulty_capture;
        faulty_file.apply = faulty_apply;
        faulty_file.revert = faulty_revert;
        faulty_file.tidy = faulty_tidy;
        manager_replace("file", &faulty_file);
        fault_arm(FAULT_NONE, -1, 0);
        *state = &b;
        return 0;
}

static int teardown(void **state) {
        Bench *b = *state;
        manager_replace("file", NULL);
        engine_free(b->engine);
        int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)fs_remove_tree(fd, b->root + 1, NULL);
        close(fd);
        free(b->root);
        return 0;
}

static Value *file_args(const char *path, const char *content) {
        Value *args = value_new_map();
        assert_int_equal(value_set_text(args, "path", path, NULL), 0);
        assert_int_equal(value_set_text(args, "content", content, NULL), 0);
        assert_int_equal(value_set_int(args, "mode", 0644, NULL), 0);
        return args;
}

static uint32_t add_file(Plan *p, StepKind kind, uint32_t group, const char *path, const char *content) {
        uint32_t step;
        Error err = ERROR_INIT;
        if (plan_add(p, (StepInit){.kind = kind, .manager = "file", .group = group}, file_args(path, content), &step,
                     &err) < 0)
                fail_msg("%s", err.message);
        return step;
}

/* a and b change, c is new; with a group: b is optional. */
static Plan *plan_of_three(uint32_t *ret_group) {
        Plan *p = plan_new("apply", "web");
        uint32_t group = 0;
        assert_non_null(p);
        p->from = strdup("v1");
        p->to = strdup("v2");
        if (ret_group)
                assert_int_equal(plan_add_group(p, "route", false, &group, NULL), 0);
        uint32_t a = add_file(p, STEP_EFFECT, 0, "files/a", "new a\n");
        uint32_t b = add_file(p, STEP_EFFECT, group, "files/b", "new b\n");
        uint32_t c = add_file(p, STEP_EFFECT, 0, "files/c", "new c\n");
        plan_stands_alone(p, b);
        plan_stands_alone(p, c);
        assert_int_equal(plan_add_depends(p, c, a, NULL), 0);
        assert_int_equal(value_set(p->rows, "service/web", value_new_map(), NULL), 0);
        if (ret_group)
                *ret_group = group;
        return p;
}

static char *content(const char *path) {
        char *text = NULL;
        size_t size;
        return fs_read(test_root, path, 1024, &text, &size, NULL) < 0 ? strdup("-") : text;
}

static void assert_content(const char *path, const char *expected) {
        char *text = content(path);
        assert_string_equal(text, expected);
        free(text);
}

static void assert_before(void) {
        assert_content("files/a", "old a\n");
        assert_content("files/b", "old b\n");
        assert_content("files/c", "-");
}

static void assert_after(void) {
        assert_content("files/a", "new a\n");
        assert_content("files/b", "new b\n");
        assert_content("files/c", "new c\n");
}

static size_t n_open(Engine *e) {
        Value *rows = NULL;
        assert_int_equal(engine_rows(e, "open/", 0, &rows, NULL), 0);
        size_t n = value_count(rows);
        value_free(rows);
        return n;
}

static int run(Engine *e, Plan *p, TxnResult *result, Error *err) {
        *err = ERROR_INIT;
        return txn_run(e, p, result, err);
}

static int recover(Engine *e, const RecoverRequest *request, Error *err) {
        Value *report = NULL;
        *err = ERROR_INIT;
        int r = engine_recover(e, request, &report, err);
        value_free(report);
        return r;
}

static const RecoverRequest automatic = {.mode = RECOVER_AUTO};

static size_t n_leftover_names(void) {
        static const char *const dirs[] = {"files"};
        size_t n = 0;
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
                int fd = fs_open_dir(test_root, dirs[i], NULL);
                DIR *d = fdopendir(dup(fd));
                for (struct dirent *entry; (entry = readdir(d));)
                        n += strncmp(entry->d_name, ".pawl-", 6) == 0;
                closedir(d);
                close(fd);
        }
        return n;
}

/* ---- In one living process --------------------------------------------------------------------------------------- */

static void test_n_effects_cost_n_plus_two_commits(void **state) {
        Bench *b = *state;
        JournalStat before, after;
        TxnResult result = {0};
        Error err;
        assert_int_equal(journal_stat(b->engine->journal, &before, NULL), 0);
        assert_int_equal(run(b->engine, plan_of_three(NULL), &result, &err), 0);
        assert_int_equal(journal_stat(b->engine->journal, &after, NULL), 0);
        assert_int_equal(after.commits - before.commits, 3 + 2);
        assert_after();
        assert_int_equal(n_open(b->engine), 0);
        assert_int_equal(n_leftover_names(), 0);
        txn_result_done(&result);
}

static void test_whatever_operation_fails_everything_is_put_back(void **state) {
        Bench *b = *state;
        static const int ops[] = {OP_CAPTURE, OP_APPLY};
        for (size_t o = 0; o < ELEMENTSOF(ops); o++)
                for (int n = 1; n <= 3; n++) {
                        TxnResult result = {0};
                        Error err;
                        fault_arm(FAULT_ERROR, ops[o], n);
                        assert_int_equal(run(b->engine, plan_of_three(NULL), &result, &err), -EIO);
                        assert_string_equal(err.message, "it was made to fail");
                        fault_arm(FAULT_NONE, -1, 0);
                        assert_before();
                        assert_int_equal(n_open(b->engine), 0);
                        assert_int_equal(n_leftover_names(), 0);
                        txn_result_done(&result);
                }
}

static void test_an_optional_group_that_fails_is_put_back_alone(void **state) {
        Bench *b = *state;
        TxnResult result = {0};
        Error err;
        uint32_t group;
        fault_arm(FAULT_ERROR, OP_APPLY, 2);
        assert_int_equal(run(b->engine, plan_of_three(&group), &result, &err), 0);
        assert_content("files/a", "new a\n");
        assert_content("files/b", "old b\n");
        assert_content("files/c", "new c\n");
        assert_true(result.trail->groups[group - 1].is_undone);
        assert_int_equal(value_count(result.trail->warnings), 1);
        assert_int_equal(n_open(b->engine), 0);
        txn_result_done(&result);
}

static void test_an_edit_between_capture_and_apply_survives(void **state) {
        Bench *b = *state;
        TxnResult result = {0};
        Error err;
        fault_arm(FAULT_EDIT_BEFORE, OP_APPLY, 2);
        fault.edit = "files/b";
        assert_true(run(b->engine, plan_of_three(NULL), &result, &err) < 0);
        assert_int_equal(err.code, ERR_FOREIGN);
        assert_true(result.is_ended);
        assert_int_equal(n_open(b->engine), 0); /* it was refused, not made: nothing is left to decide */
        assert_content("files/a", "old a\n");
        assert_content("files/b", "somebody else's\n");
        assert_int_equal(n_leftover_names(), 0);
        txn_result_done(&result);
}

/* b is edited when pawl had written it already, just before the third step fails: it is on hold. Returns the
 * transaction. */
static uint64_t hold_b(Bench *b) {
        TxnResult result = {0};
        Error err;
        fault_arm(FAULT_EDIT_AND_ERROR, OP_APPLY, 3);
        fault.edit = "files/b";
        assert_true(run(b->engine, plan_of_three(NULL), &result, &err) < 0);
        assert_false(result.is_ended);
        assert_int_equal(value_count(result.leftovers), 1);
        txn_result_done(&result);
        assert_int_equal(n_open(b->engine), 1);
        assert_content("files/a", "old a\n"); /* b does not stand on it: it is put back */
        assert_content("files/b", "somebody else's\n");
        assert_true(recover(b->engine, &automatic, &err) < 0);
        assert_int_equal(err.code, ERR_LEFTOVERS);
        assert_content("files/b", "somebody else's\n");
        Value *rows = NULL;
        assert_int_equal(engine_rows(b->engine, "open/", 0, &rows, NULL), 0);
        uint64_t tx = (uint64_t)value_get_int(rows->map.entries[0].value, "tx", 0);
        value_free(rows);
        return tx;
}

static void test_what_is_foreign_is_held_and_a_person_may_keep_it(void **state) {
        Bench *b = *state;
        Error err;
        RecoverRequest keep = {.mode = RECOVER_KEEP, .tx = hold_b(b)};
        assert_int_equal(recover(b->engine, &keep, &err), 0);
        assert_content("files/b", "somebody else's\n");
        assert_int_equal(n_open(b->engine), 0);
}

static void test_what_is_foreign_is_held_and_a_person_may_restore_what_was(void **state) {
        Bench *b = *state;
        Error err;
        RecoverRequest restore = {.mode = RECOVER_RESTORE, .tx = hold_b(b), .step = 2};
        assert_int_equal(recover(b->engine, &restore, &err), 0);
        assert_content("files/b", "old b\n");
        assert_int_equal(n_open(b->engine), 0);
}

static void test_holds_do_not_fill_the_journal(void **state) {
        Bench *b = *state;
        JournalStat first, second;
        Error err;
        (void)hold_b(b);
        assert_int_equal(journal_stat(b->engine->journal, &first, NULL), 0);
        for (int i = 0; i < 10; i++)
                assert_true(recover(b->engine, &automatic, &err) < 0);
        assert_int_equal(journal_stat(b->engine->journal, &second, NULL), 0);
        assert_int_equal(second.head_seq, first.head_seq);
}

static void test_a_finish_step_that_must_keeps_the_transaction_open_until_it_is_done(void **state) {
        Bench *b = *state;
        TxnResult result = {0};
        Error err;
        Plan *p = plan_of_three(NULL);
        (void)add_file(p, STEP_FINISH_MUST, 0, "files/z", "finished\n");
        fault_arm(FAULT_ERROR, OP_APPLY, 4);
        assert_int_equal(run(b->engine, p, &result, &err), 0);
        assert_true(result.is_committed);
        assert_false(result.is_ended);
        assert_int_equal(n_open(b->engine), 1);
        assert_after();
        txn_result_done(&result);
        assert_int_equal(recover(b->engine, &automatic, &err), 0);
        assert_content("files/z", "finished\n");
        assert_int_equal(n_open(b->engine), 0);
}

static void test_a_finish_step_that_may_fail_becomes_a_warning(void **state) {
        Bench *b = *state;
        TxnResult result = {0};
        Error err;
        Plan *p = plan_of_three(NULL);
        (void)add_file(p, STEP_FINISH_TRY, 0, "nowhere/z", "finished\n");
        assert_int_equal(run(b->engine, p, &result, &err), 0);
        assert_true(result.is_ended);
        assert_int_equal(value_count(result.trail->warnings), 1);
        assert_int_equal(n_open(b->engine), 0);
        txn_result_done(&result);
}

static void test_what_another_open_transaction_claims_is_a_conflict(void **state) {
        Bench *b = *state;
        TxnResult first = {0}, second = {0};
        Error err;
        Plan *p = plan_of_three(NULL), *q = plan_new("apply", "other");
        (void)add_file(p, STEP_FINISH_MUST, 0, "nowhere/z", "never\n");
        assert_int_equal(plan_claim(p, "port/3000"), 0);
        assert_int_equal(run(b->engine, p, &first, &err), 0);
        assert_false(first.is_ended);
        (void)add_file(q, STEP_EFFECT, 0, "files/q", "q\n");
        assert_int_equal(plan_claim(q, "port/3000"), 0);
        assert_int_equal(run(b->engine, q, &second, &err), TXN_CONFLICT);
        assert_content("files/q", "-");
        assert_int_equal(n_open(b->engine), 1);
        txn_result_done(&first);
        txn_result_done(&second);
}

/* ---- Dying ------------------------------------------------------------------------------------------------------- */

static bool die_in_child(const char *root, Plan *(*make)(void), int op, FaultKind kind, int n) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Engine *e = bench_open(root);
                TxnResult result = {0};
                Error err = ERROR_INIT;
                fault_arm(kind, op, n);
                (void)txn_run(e, make(), &result, &err);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) && WEXITSTATUS(status) == 9;
}

static bool recover_in_child(const char *root, FaultKind kind, int n) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Engine *e = bench_open(root);
                Error err = ERROR_INIT;
                fault_arm(kind, -1, n);
                (void)recover(e, &automatic, &err);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) && WEXITSTATUS(status) == 9;
}

static Plan *make_three(void) {
        return plan_of_three(NULL);
}

static Plan *make_finish(void) {
        Plan *p = plan_of_three(NULL);
        (void)add_file(p, STEP_FINISH_MUST, 0, "files/z", "finished\n");
        return p;
}

static Plan *make_forward(void) {
        Plan *p = plan_of_three(NULL);
        p->finish_on_crash = true;
        return p;
}

static void reset_files(void) {
        write_file("files/a", "old a\n");
        write_file("files/b", "old b\n");
        assert_int_equal(fs_unlink_durably(test_root, "files/c", NULL), 0);
        assert_int_equal(fs_unlink_durably(test_root, "files/z", NULL), 0);
}

/* Is any COMMIT newer than seq? */
static int find_commit(const Record *record, void *userdata) {
        *(bool *)userdata |= record->kind == RECORD_COMMIT;
        return 0;
}

static void assert_before_or_after(Engine *e, uint64_t from) {
        bool is_committed = false;
        assert_int_equal(journal_scan(e->journal, from, find_commit, &is_committed, NULL), 0);
        if (is_committed)
                assert_after();
        else
                assert_before();
        assert_int_equal(n_open(e), 0);
        assert_int_equal(n_leftover_names(), 0);
}

/* Dies at every operation of the plan, then at every operation of the recovery of that, then recovers. */
static void sweep(Bench *b, Plan *(*make)(void), bool ends_forward) {
        static const FaultKind kinds[] = {FAULT_DIE_BEFORE, FAULT_DIE_AFTER};
        unsigned points = 0;
        for (int n = 1;; n++)
                for (int k = 0; k < 2; k++) {
                        bool died = false;
                        for (int m = 1; m < 20; m++) {
                                JournalStat stat;
                                Error err;
                                assert_int_equal(journal_stat(b->engine->journal, &stat, NULL), 0);
                                b->engine = engine_free(b->engine);
                                died = die_in_child(b->root, make, -1, kinds[k], n);
                                bool again = died && recover_in_child(b->root, kinds[k], m);
                                b->engine = bench_open(b->root);
                                assert_int_equal(recover(b->engine, &automatic, &err), 0);
                                if (ends_forward && died && n > 1)
                                        assert_after();
                                else
                                        assert_before_or_after(b->engine, stat.head_seq + 1);
                                reset_files();
                                points++;
                                if (!again)
                                        break;
                        }
                        if (!died && k == 1) {
                                assert_true(points > 20);
                                return;
                        }
                }
}

static void test_dying_anywhere_leaves_before_or_after(void **state) {
        sweep(*state, make_three, false);
}

static void test_dying_in_a_finish_step_is_finished(void **state) {
        sweep(*state, make_finish, false);
}

/* It would write after recovery has looked, and found everything as it should be. */
static void test_what_the_dead_started_ends_before_anybody_looks(void **state) {
        Bench *b = *state;
        Error err;
        b->engine = engine_free(b->engine);
        fault.edit = "files/a";
        assert_true(die_in_child(b->root, make_three, OP_APPLY, FAULT_DIE_AND_LEAVE, 1));
        b->engine = bench_open(b->root);
        assert_int_equal(recover(b->engine, &automatic, &err), 0);
        (void)usleep(LATE_USEC + LATE_USEC / 2);
        assert_before();
        assert_int_equal(n_open(b->engine), 0);
}

static void test_on_crash_finish_goes_forward(void **state) {
        sweep(*state, make_forward, true);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_n_effects_cost_n_plus_two_commits),
                TEST(test_whatever_operation_fails_everything_is_put_back),
                TEST(test_an_optional_group_that_fails_is_put_back_alone),
                TEST(test_an_edit_between_capture_and_apply_survives),
                TEST(test_what_is_foreign_is_held_and_a_person_may_keep_it),
                TEST(test_what_is_foreign_is_held_and_a_person_may_restore_what_was),
                TEST(test_holds_do_not_fill_the_journal),
                TEST(test_a_finish_step_that_must_keeps_the_transaction_open_until_it_is_done),
                TEST(test_a_finish_step_that_may_fail_becomes_a_warning),
                TEST(test_what_another_open_transaction_claims_is_a_conflict),
                TEST(test_what_the_dead_started_ends_before_anybody_looks),
                TEST(test_dying_anywhere_leaves_before_or_after),
                TEST(test_dying_in_a_finish_step_is_finished),
                TEST(test_on_crash_finish_goes_forward),
        };
        /* With a mistake in pawl (crash.mutants) it is this one that has to notice. */
        if (getenv("PAWL_MUTANT"))
                cmocka_set_test_filter("*started_ends*");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
