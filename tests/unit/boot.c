/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests/model/debts.pml says of booting, of the real code: a service with a unit is cut at every operation of a
 * flow, and early recovery at every one of its own; the unit's conditions then decide whether it starts. Never on half
 * files, and in the end as it should be. The unit is a pretence: the manager "process" is replaced by one whose program
 * is the file run/loaded, which a boot loses, and which starts exactly where systemd would start it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/body.h"
#include "core/mark.h"
#include "core/recover.h"
#include "core/rows.h"
#include "core/txn.h"
#include "tests/unit/engine_fixture.h"

/* ---- The unit ---------------------------------------------------------------------------------------------------- */

static int root;
static int countdown; /* operations until this process dies; 0: it lives */

static void may_die(void) {
        if (countdown > 0 && --countdown == 0)
                _exit(9);
}

static char *content(const char *path) {
        char *text = NULL;
        return fs_read(root, path, 1024, &text, NULL, NULL) < 0 ? strdup("-") : text;
}

static bool content_is(const char *path, const char *wanted) {
        _cleanup_free_ char *text = content(path);
        return strcmp(text, wanted) == 0;
}

static void write_file(const char *path, const char *text) {
        must(fs_replace_durably(root, path, text, strlen(text), 0644, err));
}

/* ConditionPathExists=|!/var/lib/pawl/open/web and ConditionPathExists=|/run/pawl/whole/web stand before every
 * start. */
static void unit_start(void) {
        _cleanup_free_ char *a = content("files/a"), *b = content("files/b");
        if (fs_exists(root, MARK_OPEN_DIR "/web") && !fs_exists(root, MARK_WHOLE_DIR "/web"))
                return;
        write_file("run/loaded", strcmp(a, b) == 0 ? a : "half");
        if (strcmp(a, b) != 0)
                write_file("half", "once\n");
}

static void unit_restart(void) {
        must(fs_remove_tree(root, "run/loaded", err));
        unit_start();
}

static int unit_capture(const Host *host, const Value *args, Value **ret, Error *err) {
        (void)args;
        *ret = value_new_map();
        int r = value_set_bool(*ret, "running", fs_exists(root, "run/loaded"), err);
        return r < 0 ? r : value_set_bytes(*ret, "boot", host->boot, BOOT_ID_SIZE, err);
}

static bool role_is(const Value *args, const char *role) {
        return strcmp(value_get_text_or(args, "role", ""), role) == 0;
}

static int unit_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)host, (void)before, (void)err;
        may_die();
        if (role_is(args, "pay"))
                unit_restart();
        *ret = (StepResult){.change = role_is(args, "pay") ? CHANGE_CHANGED : CHANGE_UNCHANGED};
        may_die();
        return 0;
}

static int unit_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)host, (void)err;
        may_die();
        if (role_is(args, "owe") && value_get_bool(before, "running", false))
                unit_start();
        may_die();
        return 0;
}

static int unit_probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        (void)before, (void)err;
        /* Whoever asks a service early in a boot would wait for it. */
        assert_null(getenv("EARLY"));
        (void)host;
        *ret = role_is(args, "pay") && content_is("run/loaded", "new\n") ? PROBE_AFTER : PROBE_PARTIAL;
        return 0;
}

/* A webhook that writes down what it was told, one line each time. */
static int hook_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)host, (void)before;
        _cleanup_free_ char *line = NULL, *all = content("told");
        int r = json_encode(value_get(args, "payload"), JSON_COMPACT, &line, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *text = text_format("%s%s\n", strcmp(all, "-") == 0 ? "" : all, line);
        write_file("told", text);
        *ret = (StepResult){.change = CHANGE_CREATED};
        return 0;
}

static const Manager *real_file;
static Manager file, unit, hook;

static int file_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        may_die();
        int r = real_file->apply(host, args, before, ret, err);
        may_die();
        return r;
}

static int file_revert(const Host *host, const Value *args, const Value *before, Error *err) {
        may_die();
        int r = real_file->revert(host, args, before, err);
        may_die();
        return r;
}

/* ---- The machine ------------------------------------------------------------------------------------------------- */

typedef struct Machine {
        char *root;
        unsigned boot;
} Machine;

static Engine *engine_of(const Machine *m) {
        Engine *e = NULL;
        EngineOptions options = {.root = m->root, .access = ENGINE_WRITE, .actor = "test"};
        must(engine_open(&options, &e, err));
        return e;
}

/* A row of the service, which was told to run; what runs it is unknown to pawl, so that nobody but the unit here
 * starts it. */
static void tell_to_run(Engine *e) {
        _cleanup_(value_freep) Value *body = NULL;
        _cleanup_(journal_write_freep) JournalWrite *w = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        static const char text[] =
                "{\"level\":5,\"text\":\"told to run\",\"rows\":{\"service/web\":{\"name\":\"web\",\"wanted\":\"running\","
                "\"spec\":{\"runtime\":{\"type\":\"pretence\"}}}}}";
        Record note = {.kind = RECORD_NOTE, .step = RECORD_STEP_NONE};
        must(json_decode(text, strlen(text), &body, err));
        must(body_encode(RECORD_NOTE, body, NULL, &data, &note.n_body, err));
        note.body = data;
        must(journal_write_new(e->journal, false, &w, err));
        must(journal_write_record(w, &note, &note.seq, err));
        must(rows_apply(w, &note, body, err));
        must(journal_commit(&w, err));
}

/* Nothing here is about what a disk keeps, so it may as well be fast. */
static int setup(void **state) {
        static Machine m;
        char template[64];
        (void)snprintf(template, sizeof(template), "%s/pawl-boot-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(template));
        m = (Machine){.root = strdup(template), .boot = 1};
        setenv("PAWL_TEST_BOOT", "1", 1);
        unsetenv("EARLY");
        root = open(m.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        Engine *e = engine_of(&m);
        tell_to_run(e);
        engine_free(e);
        must(fs_mkdir_durably(root, "files", 0755, FS_OWNER_KEEP, &(bool){0}, err));
        real_file = manager_by_name("file");
        file = *real_file;
        file.apply = file_apply;
        file.revert = file_revert;
        unit = *manager_by_name("process");
        unit.capture = unit_capture;
        unit.apply = unit_apply;
        unit.revert = unit_revert;
        unit.probe = unit_probe;
        manager_replace("file", &file);
        manager_replace("process", &unit);
        hook = *manager_by_name("notify");
        hook.apply = hook_apply;
        manager_replace("notify", &hook);
        *state = &m;
        return 0;
}

static int teardown(void **state) {
        Machine *m = *state;
        manager_replace("file", NULL);
        manager_replace("process", NULL);
        manager_replace("notify", NULL);
        close(root);
        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(fs_remove_tree(root, m->root + 1, err));
        close(root);
        free(m->root);
        unsetenv("PAWL_TEST_BOOT");
        return 0;
}

static void add(Plan *p, const char *manager, StepDebt debt, const char *path, const char *role) {
        Value *args = value_new_map();
        if (path) {
                must(value_set_text(args, "path", path, err));
                must(value_set_text(args, "content", "new\n", err));
                must(value_set_int(args, "mode", 0644, err));
        } else {
                must(value_set_text(args, "service", "web", err));
                must(value_set_text(args, "role", role, err));
                must(value_set_text(args, "definition", "files/a", err));
        }
        must(plan_add(p, (StepInit){.manager = manager, .debt = debt}, args, NULL, err));
}

static Plan *plan_upgrade(void) {
        Plan *p = plan_new("upgrade", "web");
        p->from = strdup("v1");
        p->to = strdup("v2");
        p->is_marked = true;
        add(p, "file", DEBT_NONE, "files/release", NULL); /* not seen by what runs */
        add(p, "process", DEBT_OWE, NULL, "owe");
        add(p, "file", DEBT_NONE, "files/a", NULL);
        add(p, "file", DEBT_NONE, "files/b", NULL);
        add(p, "process", DEBT_PAY, NULL, "pay");
        Value *args = value_new_map();
        must(value_set_text(args, "url", "http://hook.test/", err));
        must(value_set_text(args, "event", "failed", err));
        must(value_set(args, "payload", value_new_map(), err));
        must(plan_add(p, (StepInit){.kind = STEP_TELL, .manager = "notify"}, args, NULL, err));
        return p;
}

/* ---- Processes that die ------------------------------------------------------------------------------------------ */

typedef struct Death {
        int operation;     /* which operation of a manager; 0: none */
        const char *point; /* PAWL_CRASH_AT; NULL: none */
} Death;

static void arm(const Death *death) {
        countdown = death->operation;
        if (death->point)
                setenv("PAWL_CRASH_AT", death->point, 1);
}

/* Was it the death that was asked for? */
static bool died(pid_t pid) {
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(!WIFEXITED(status) || WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0);
        return !WIFEXITED(status) || WEXITSTATUS(status) == 9;
}

static bool flow(const Machine *m, const Death *death) {
        pid_t pid = fork();
        if (pid == 0) {
                Engine *e = engine_of(m);
                TxnResult result = {0};
                arm(death);
                (void)txn_run(e, plan_upgrade(), &result, NULL);
                _exit(0);
        }
        return died(pid);
}

static bool recovery(const Machine *m, RecoverStage stage, const Death *death) {
        pid_t pid = fork();
        if (pid == 0) {
                Engine *e = engine_of(m);
                RecoverRequest request = {.stage = stage};
                Value *report = NULL;
                if (stage == RECOVER_EARLY)
                        setenv("EARLY", "yes", 1);
                arm(death);
                (void)engine_recover(e, &request, &report, NULL);
                _exit(0);
        }
        return died(pid);
}

/* The power goes: what is volatile is lost, and there is another boot. */
static void cut(Machine *m) {
        char boot[16];
        must(fs_remove_tree(root, "run/loaded", err));
        must(fs_remove_tree(root, "run/pawl", err));
        (void)snprintf(boot, sizeof(boot), "%u", ++m->boot);
        setenv("PAWL_TEST_BOOT", boot, 1);
}

static size_t n_open(Engine *e) {
        Value *rows = NULL;
        must(engine_rows(e, "open/", 0, &rows, err));
        size_t n = value_count(rows);
        value_free(rows);
        return n;
}

/* The result of a transaction that has ended since this was asked last; "" where none has. */
static void newest_result(Engine *e, char ret[static 32]) {
        static int64_t last_tx;
        Value *history = NULL;
        must(engine_history(e, NULL, 1, &history, err));
        const Value *newest = value_at(value_get(history, "history"), 0);
        int64_t tx = value_get_int(newest, "tx", 0);
        (void)snprintf(ret, 32, "%s", tx == last_tx ? "" : value_get_text_or(newest, "result", ""));
        last_tx = tx;
        value_free(history);
        /* Put back before it came to the debt: then nobody owes a start. */
        _cleanup_(trail_freep) Trail *t = NULL;
        if (strcmp(ret, "put back") == 0)
                must(trail_load(e->journal, e->host_key, (uint64_t)tx, &t, err));
        if (t && !t->steps[1].has_intent)
                ret[0] = '\0';
}

/* NULL: all is well, else what is wrong. */
static const char *judge(const Machine *m, bool was_cut) {
        Engine *e = engine_of(m);
        char result[32];
        newest_result(e, result);
        bool is_done = strcmp(result, "done") == 0;
        const char *wanted = is_done ? "new\n" : "old\n", *wrong = NULL;
        /* Where nothing is put back, no debt is paid: that it was told to run is in its row, and late recovery
         * starts it. */
        if (was_cut && strcmp(result, "put back") != 0 && !fs_exists(root, "run/loaded"))
                unit_start();
        if (!was_cut && !is_done)
                wrong = "a flow that nothing disturbed was put back";
        else if (n_open(e) > 0)
                wrong = "a transaction is open";
        else if (!content_is("files/a", wanted) || !content_is("files/b", wanted))
                wrong = "the files are not as before or after";
        else if (fs_exists(root, MARK_OPEN_DIR "/web"))
                wrong = "the mark is left";
        else if (fs_exists(root, "half"))
                wrong = "it ran on half files";
        else if (!content_is("run/loaded", wanted))
                wrong = "it does not run as it should";
        engine_free(e);
        return wrong;
}

static void reset(void) {
        must(fs_remove_tree(root, "half", err));
        must(fs_remove_tree(root, "files/release", err));
        must(fs_remove_tree(root, MARK_OPEN_DIR "/web", err));
        write_file("files/a", "old\n");
        write_file("files/b", "old\n");
        unit_start();
}

/* One life: a flow that dies and takes the power with it, an early recovery that dies or not, the services, and late
 * recovery. */
static const char *life(Machine *m, const Death *first, const Death *second, bool *ret_again) {
        static const Death none = {0};
        *ret_again = false;
        if (!flow(m, first))
                return judge(m, false);
        cut(m);
        *ret_again = recovery(m, RECOVER_EARLY, second);
        unit_start();
        if (!fs_exists(root, "run/loaded") && !*ret_again)
                return "early recovery did its work, and the service does not run";
        (void)recovery(m, RECOVER_LATE, &none);
        return judge(m, true);
}

#define OPERATIONS 11 /* of five effects, before and after each; the last is one too many */
static const char *const points[] = {"mark-before",   "intent-before", "intent-before:5",
                                     "commit-before", "commit-after",  "mark-end"};

/* Every death of the flow with every death of early recovery. The first thing that is wrong ends it. */
static const char *sweep(Machine *m, unsigned *ret_lives) {
        const char *wrong = NULL;
        *ret_lives = 0;
        for (int n = 1; !wrong && n <= OPERATIONS + (int)ELEMENTSOF(points); n++) {
                Death first = n <= OPERATIONS ? (Death){.operation = n} : (Death){.point = points[n - OPERATIONS - 1]};
                bool again = true;
                for (int k = 0; !wrong && again && k < 8; k++) {
                        Death second = {.operation = k};
                        reset();
                        wrong = life(m, &first, &second, &again);
                        again |= k == 0 && n < OPERATIONS;
                        ++*ret_lives;
                        if (wrong)
                                print_message("flow dies at %d %s, early recovery at %d: %s\n", first.operation,
                                              first.point ? first.point : "", k, wrong);
                }
        }
        return wrong;
}

static void test_a_unit_never_starts_on_half_files_and_ends_as_it_should(void **state) {
        unsigned lives;
        assert_null(sweep(*state, &lives));
        assert_true(lives > 30);
}

/* Where a staged name cannot be made there is none, and none that a power cut could leave. */
static void test_a_mark_is_made_under_its_own_name_only(void **state) {
        static const Death before_begin = {.point = "intent-before"};
        Machine *m = *state;
        must(fs_mkdir_durably(root, MARK_OPEN_DIR "/.pawl-new-web", 0755, FS_OWNER_KEEP, &(bool){0}, err));
        unit_start();
        assert_true(flow(m, &before_begin));
        assert_true(fs_exists(root, MARK_OPEN_DIR "/web"));
}

/* Early recovery has died; late recovery dies half way through the files. Nobody may have said that they are whole. */
static void test_late_recovery_that_dies_lets_no_unit_start_on_half_files(void **state) {
        Machine *m = *state;
        Death in_flow = {.operation = 10}, in_early = {.operation = 1}, in_late = {.operation = 5};
        reset();
        assert_true(flow(m, &in_flow));
        cut(m);
        assert_true(recovery(m, RECOVER_EARLY, &in_early));
        assert_true(recovery(m, RECOVER_LATE, &in_late));
        assert_true(content_is("files/a", "new\n"));
        assert_true(content_is("files/b", "old\n"));
        unit_start();
        assert_false(fs_exists(root, "run/loaded"));
        assert_false(recovery(m, RECOVER_LATE, &(Death){0}));
        assert_null(judge(m, true));
}

/* Its BEGIN may be durable: whoever goes on with it must find the unit held down. Otherwise the next recovery lets
 * it go. */
static void test_a_first_commit_whose_outcome_is_unknown_keeps_the_mark(void **state) {
        Machine *m = *state;
        pid_t pid = fork();
        if (pid == 0) {
                Engine *e = engine_of(m);
                TxnResult result = {0};
                Error err = ERROR_INIT;
                (void)signal(SIGXFSZ, SIG_IGN);
                (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}); /* as on a broken disk */
                (void)txn_run(e, plan_upgrade(), &result, &err);
                _exit(err.code == ERR_JOURNAL_IO ? 9 : 1);
        }
        assert_true(died(pid));
        assert_true(fs_exists(root, MARK_OPEN_DIR "/web"));
        assert_false(recovery(m, RECOVER_LATE, &(Death){0}));
        assert_false(fs_exists(root, MARK_OPEN_DIR "/web"));
}

/* ---- What people are told ---------------------------------------------------------------------------------------- */

static const Death unharmed = {0};

/* What late recovery says it told, as one text. */
static char *late(const Machine *m, int wanted) {
        Engine *e = engine_of(m);
        RecoverRequest request = {.stage = RECOVER_LATE};
        _cleanup_(value_freep) Value *report = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(engine_recover(e, &request, &report, &err), wanted);
        const Value *told = value_get(report, "told");
        char *text = value_count(told) > 0 ? strdup(value_text(value_at(told, 0))) : strdup("");
        assert_true(value_count(told) <= 1);
        engine_free(e);
        return text;
}

static void test_people_are_told_once_of_a_power_cut(void **state) {
        Machine *m = *state;
        Death death = {.operation = 8};
        unit_start();
        setenv("PAWL_TEST_CLOCK", "1772332680000000", 1); /* 2026-03-01 02:38:00 UTC */
        setenv("TZ", "UTC", 1);
        assert_true(flow(m, &death));
        cut(m);
        setenv("PAWL_TEST_CLOCK", "1772332721000000", 1); /* 41 s later */
        assert_false(recovery(m, RECOVER_EARLY, &unharmed));
        assert_true(content_is("told", "-"));
        _cleanup_free_ char *first = late(m, 0), *second = late(m, 0), *hooked = content("told");
        assert_string_equal(first, "web  -  unclear  put back 02:38 after a power cut (upgrade to v2, 3)");
        assert_string_equal(second, "");
        assert_non_null(strstr(hooked, "\"event\":\"recovered\""));
        assert_non_null(strstr(hooked, "\"result\":\"put back\""));
        assert_ptr_equal(strchr(hooked, '\n') + 1, hooked + strlen(hooked)); /* one line */
        unsetenv("PAWL_TEST_CLOCK");
        unsetenv("TZ");
}

static void test_a_power_cut_before_anybody_was_told_is_told_at_the_next_boot(void **state) {
        Machine *m = *state;
        Death death = {.operation = 8}, before_told = {.point = "tell-before"};
        unit_start();
        assert_true(flow(m, &death));
        cut(m);
        assert_false(recovery(m, RECOVER_EARLY, &unharmed));
        assert_true(recovery(m, RECOVER_LATE, &before_told));
        assert_true(content_is("told", "-"));
        cut(m);
        _cleanup_free_ char *line = late(m, 0);
        assert_non_null(strstr(line, "put back"));
        assert_false(content_is("told", "-"));
}

/* Boot after boot early recovery dies at the same step; then it is left alone, the rest is put back, and a person is
 * told. */
static void test_a_step_at_which_three_boots_died_is_held(void **state) {
        Machine *m = *state;
        Death in_flow = {.operation = 8}, in_revert = {.operation = 1};
        unit_start();
        assert_true(flow(m, &in_flow));
        for (int n = 0; n < 3; n++) {
                cut(m);
                assert_true(recovery(m, RECOVER_EARLY, &in_revert));
                unit_start();
                assert_false(fs_exists(root, "run/loaded"));
        }
        cut(m);
        assert_false(recovery(m, RECOVER_EARLY, &in_revert));
        unit_start();
        assert_false(fs_exists(root, "run/loaded"));
        _cleanup_free_ char *line = late(m, -EBUSY), *again = late(m, -EBUSY);
        assert_non_null(strstr(line, "on hold"));
        assert_string_equal(again, "");
        assert_null(strchr(line, '\n'));
        cut(m);
        _cleanup_free_ char *next_boot = late(m, -EBUSY);
        assert_string_equal(next_boot, line);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_a_unit_never_starts_on_half_files_and_ends_as_it_should),
                TEST(test_a_mark_is_made_under_its_own_name_only),
                TEST(test_late_recovery_that_dies_lets_no_unit_start_on_half_files),
                TEST(test_a_first_commit_whose_outcome_is_unknown_keeps_the_mark),
                TEST(test_people_are_told_once_of_a_power_cut),
                TEST(test_a_power_cut_before_anybody_was_told_is_told_at_the_next_boot),
                TEST(test_a_step_at_which_three_boots_died_is_held),
        };
        /* With a mistake in pawl (crash.mutants) it is the sweep that has to notice. */
        if (getenv("PAWL_MUTANT"))
                cmocka_set_test_filter("*half_files_and_ends*");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
