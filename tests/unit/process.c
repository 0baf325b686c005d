/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded runtime: what runs is written down first, what is stopped is ours, and what is put back runs again. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/process_fixture.h"

static void test_start_runs_the_definition_in_a_clean_world(void **state) {
        (void)state;
        int left_open = open("/dev/null", O_RDONLY); /* without O_CLOEXEC: as careless as a library can be */
        setenv("PAWL_TEST_LEAK", "yes", 1);
        signal(SIGUSR1, SIG_IGN);
        define((const char *[]){"descriptors", "environment", "print", "ready", NULL}, "GREETING=hello\n");
        _cleanup_(value_freep) Value *before = capture("start");
        assert_false(value_get_bool(before, "running", true));
        assert_int_equal(apply("start", 3, before), 0);
        ProcFile p = running();
        assert_int_equal(p.tx, 42);
        assert_int_equal(p.step, 3);
        assert_int_equal(getsid(p.pid), p.pid);
        _cleanup_free_ char *log = log_with("ready");
        assert_non_null(strstr(log, "descriptor 2\n"));
        for (int fd = 3; fd < 64; fd++) {
                char text[32];
                snprintf(text, sizeof(text), "descriptor %d\n", fd);
                assert_null(strstr(log, text));
        }
        assert_non_null(strstr(log, "GREETING=hello\n"));
        assert_non_null(strstr(log, "PATH=/usr/local/sbin"));
        assert_null(strstr(log, "PAWL_TEST_LEAK"));
        assert_int_equal(probe("start", 3, before), PROBE_AFTER);
        assert_int_equal(revert("start", 3, before), 0);
        assert_false(temp_host_has(&t, PROC));
        assert_int_equal(n_members(p.pid), 0);
        assert_int_equal(revert("start", 3, before), 0);
        signal(SIGUSR1, SIG_DFL);
        close(left_open);
}

static void test_start_twice_is_one_program(void **state) {
        (void)state;
        define(NULL, NULL);
        _cleanup_(value_freep) Value *before = capture("start");
        assert_int_equal(apply("start", 3, before), 0);
        int pid = running().pid;
        assert_int_equal(apply("start", 3, before), 0);
        assert_int_equal(running().pid, pid);
}

static void test_a_program_that_is_not_there_is_told_with_its_reason(void **state) {
        (void)state;
        define_program("/nowhere/web", NULL, NULL);
        _cleanup_(value_freep) Value *before = capture("start");
        assert_int_equal(apply("start", 3, before), -ENOENT);
        assert_int_equal(err.code, ERR_PROGRAM);
        assert_string_equal(err.message, "could not start \"/nowhere/web\": No such file or directory");
        assert_false(temp_host_has(&t, PROC));
        assert_int_equal(revert("start", 3, before), 0);
}

static void test_root_is_not_a_default(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        char text[4096];
        snprintf(text, sizeof(text),
                 "{\"argv\":[\"/bin/true\"],\"log\":\"%s/var/log/pawl/web.log\",\"service\":\"web\"}", t.path);
        temp_host_write(&t, DEFINITION, text);
        _cleanup_(value_freep) Value *args = args_new("start");
        assert_int_equal(manager_process.check(&t.host, args, &err), -EINVAL);
        assert_int_equal(err.code, ERR_SPEC);
        assert_string_equal(err.hint, "Set runtime.user.");
}

static void test_another_user_is_become_wholly(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        chmod(t.path, 0755);
        char text[4096];
        snprintf(
                text, sizeof(text),
                "{\"argv\":[\"/bin/sleep\",\"60\"],\"log\":\"%s/var/log/pawl/web.log\",\"service\":\"web\",\"user\":\"nobody\"}",
                t.path);
        temp_host_write(&t, DEFINITION, text);
        _cleanup_(value_freep) Value *before = capture("start");
        assert_int_equal(apply("start", 3, before), 0);
        char path[64], line[4096] = "";
        snprintf(path, sizeof(path), "/proc/%d/status", running().pid);
        FILE *f = fopen(path, "re");
        bool is_nobody = false, has_root_group = false;
        while (fgets(line, sizeof(line), f)) {
                is_nobody = is_nobody || strcmp(line, "Uid:\t65534\t65534\t65534\t65534\n") == 0;
                has_root_group = has_root_group || strncmp(line, "Groups:\t0 ", 10) == 0;
        }
        fclose(f);
        assert_true(is_nobody);
        assert_false(has_root_group);
}

static void test_stop_ends_one_that_takes_no_sigterm_and_its_children(void **state) {
        (void)state;
        define((const char *[]){"ignore-term", "print", "ready", "child", NULL}, NULL);
        _cleanup_(value_freep) Value *none = capture("start");
        assert_int_equal(apply("start", 3, none), 0);
        free(log_with("ready"));
        ProcFile p = running();
        for (int i = 0; i < 300 && n_members(p.pid) < 2; i++)
                usleep(10000);
        assert_int_equal(n_members(p.pid), 2);
        _cleanup_(value_freep) Value *before = capture("stop");
        assert_int_equal(apply("stop", 4, before), 0);
        assert_int_equal(n_members(p.pid), 0);
        assert_false(temp_host_has(&t, PROC));
        assert_int_equal(probe("stop", 4, before), PROBE_AFTER);
        assert_int_equal(apply("stop", 4, before), 0);
        assert_int_equal(revert("stop", 4, before), 0);
        assert_int_not_equal(running().pid, p.pid);
        assert_int_equal(probe("stop", 4, before), PROBE_BEFORE);
}

static void test_stop_ends_children_whose_leader_has_died(void **state) {
        (void)state;
        define((const char *[]){"ignore-term", "print", "ready", "child", NULL}, NULL);
        _cleanup_(value_freep) Value *none = capture("start");
        assert_int_equal(apply("start", 3, none), 0);
        free(log_with("ready"));
        ProcFile p = running();
        for (int i = 0; i < 300 && n_members(p.pid) < 2; i++)
                usleep(10000);
        kill(p.pid, SIGKILL);
        for (int i = 0; i < 300 && procfs_is_alive(p.pid, p.start_time); i++)
                usleep(10000);
        assert_int_equal(n_members(p.pid), 1);
        assert_int_equal(process_stop(&t.host, "web", 100000, &err), 0);
        assert_int_equal(n_members(p.pid), 0);
}

/* A process of ours that is no service, in a session of its own. */
static int bystander(void) {
        int pid = fork();
        if (pid == 0) {
                setsid();
                for (;;)
                        pause();
        }
        while (getsid(pid) != pid)
                usleep(1000);
        return pid;
}

static void test_a_number_given_to_somebody_else_is_not_killed(void **state) {
        (void)state;
        int pid = bystander();
        ProcessInfo info;
        assert_int_equal(procfs_info(pid, &info), 0);
        ProcFile p = {.pid = pid, .start_time = info.start_time + 1, .tx = 42, .step = 3, .run = "0123456789abcdef"};
        memcpy(p.boot, t.host.boot, sizeof(p.boot));
        assert_int_equal(proc_file_write(&t.host, "web", &p, &err), 0);
        assert_int_equal(process_stop(&t.host, "web", 100000, &err), 0);
        assert_false(temp_host_has(&t, PROC));
        assert_true(procfs_is_alive(pid, info.start_time));
        /* The right start time, but of another boot. */
        p.start_time = info.start_time;
        p.boot[0] ^= 1;
        assert_int_equal(proc_file_write(&t.host, "web", &p, &err), 0);
        RunStatus status;
        assert_int_equal(runtime_process.state(&t.host, "web", &status, &err), 0);
        assert_int_equal(status.state, RUN_STOPPED);
        assert_int_equal(process_stop(&t.host, "web", 100000, &err), 0);
        assert_true(procfs_is_alive(pid, info.start_time));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

/* pawl was killed between writing down its child and letting it go; the child has not noticed yet, and will exit
 * without running anything. */
static void test_who_waits_at_the_gate_of_a_dead_pawl_does_not_run(void **state) {
        (void)state;
        define((const char *[]){"print", "old", NULL}, NULL);
        t.host.tx = 41;
        _cleanup_(value_freep) Value *none = capture("start");
        assert_int_equal(apply("start", 1, none), 0);
        t.host.tx = 42;
        _cleanup_(value_freep) Value *owed = capture("owe");
        assert_int_equal(process_stop(&t.host, "web", 1000, &err), 0);
        int pid = bystander();
        ProcessInfo info;
        assert_int_equal(procfs_info(pid, &info), 0);
        ProcFile p = {.pid = pid, .start_time = info.start_time, .tx = 42, .step = 1, .run = "0123456789abcdef"};
        memcpy(p.boot, t.host.boot, sizeof(p.boot));
        assert_int_equal(proc_file_write(&t.host, "web", &p, &err), 0);
        assert_int_equal(probe("owe", 1, owed), PROBE_PARTIAL);
        assert_int_equal(revert("owe", 1, owed), 0);
        assert_int_not_equal(running().pid, pid);
        assert_false(procfs_is_alive(pid, info.start_time));
        waitpid(pid, NULL, 0);
}

static void test_pay_replaces_and_owe_puts_the_old_one_back(void **state) {
        (void)state;
        define((const char *[]){"print", "one", NULL}, NULL);
        t.host.tx = 41;
        _cleanup_(value_freep) Value *none = capture("start");
        assert_int_equal(apply("start", 1, none), 0);
        int old = running().pid;
        t.host.tx = 42;
        _cleanup_(value_freep) Value *owed = capture("owe");
        assert_int_equal(apply("owe", 1, owed), 0);
        _cleanup_(value_freep) Value *paid = capture("pay");
        assert_int_equal(probe("pay", 5, paid), PROBE_BEFORE);
        assert_int_equal(probe("owe", 1, owed), PROBE_BEFORE);
        assert_int_equal(revert("owe", 1, owed), 0);
        assert_int_equal(running().pid, old); /* nothing was owed yet */
        define((const char *[]){"print", "two", NULL}, NULL);
        assert_int_equal(apply("pay", 5, paid), 0);
        int new = running().pid;
        assert_int_not_equal(new, old);
        assert_int_equal(apply("pay", 5, paid), 0);
        assert_int_equal(running().pid, new);
        assert_int_equal(probe("pay", 5, paid), PROBE_AFTER);
        assert_int_equal(probe("owe", 1, owed), PROBE_PARTIAL);
        free(log_with("two"));
        /* Put back, each step twice, as recovery may. */
        assert_int_equal(revert("pay", 5, paid), 0);
        assert_int_equal(revert("pay", 5, paid), 0);
        assert_false(temp_host_has(&t, PROC));
        define((const char *[]){"print", "again", NULL}, NULL);
        assert_int_equal(revert("owe", 1, owed), 0);
        int back = running().pid;
        assert_int_equal(revert("owe", 1, owed), 0);
        assert_int_equal(running().pid, back);
        assert_int_equal(revert("pay", 5, paid), 0);
        assert_int_equal(running().pid, back); /* pay stops only what pay started */
        assert_int_equal(probe("owe", 1, owed), PROBE_BEFORE);
        free(log_with("again"));
}

static void test_owe_tells_when_the_old_one_does_not_answer(void **state) {
        (void)state;
        define((const char *[]){"exit", "7", NULL}, NULL);
        _cleanup_(value_freep) Value *args = args_new("owe");
        _cleanup_(value_freep) Value *before = value_new_map();
        Value *health = value_new_map();
        value_set_text(health, "type", "tcp", NULL);
        value_set_int(health, "port", test_port(), NULL);
        value_set_text(health, "service", "web", NULL);
        value_set(args, "health", health, NULL);
        assert_int_equal(field_check(manager_process.args, args, "args", &err), 0);
        value_set_bool(before, "running", true, NULL);
        value_set_bytes(before, "boot", "another boot of it", BOOT_ID_SIZE, NULL);
        Probe seen;
        assert_int_equal(manager_process.probe(&t.host, args, before, &seen, &err), 0);
        assert_int_equal(seen, PROBE_PARTIAL);
        assert_int_equal(manager_process.revert(&t.host, args, before, &err), 0);
        assert_non_null(strstr(t.warnings, "web was started again but does not answer"));
        assert_non_null(strstr(t.warnings, "exited with status 7"));
}

static void test_verify_notices_a_program_that_died(void **state) {
        (void)state;
        define(NULL, NULL);
        _cleanup_(value_freep) Value *before = capture("start");
        _cleanup_(value_freep) Value *pay = args_new("pay");
        _cleanup_(value_freep) Value *stop = args_new("stop");
        RunStatus status;
        assert_int_equal(apply("start", 3, before), 0);
        assert_int_equal(manager_process.verify(&t.host, pay, NULL, &err), 0);
        assert_int_equal(manager_process.verify(&t.host, stop, NULL, &err), -ESTALE);
        assert_int_equal(runtime_process.state(&t.host, "web", &status, &err), 0);
        assert_int_equal(status.state, RUN_RUNNING);
        ProcFile p = running();
        kill(p.pid, SIGKILL);
        while (procfs_is_alive(p.pid, p.start_time))
                usleep(1000);
        assert_int_equal(manager_process.verify(&t.host, pay, NULL, &err), -ESTALE);
        assert_int_equal(err.code, ERR_DRIFT);
        assert_string_equal(err.message, "the program is not running");
        assert_int_equal(runtime_process.state(&t.host, "web", &status, &err), 0);
        assert_int_equal(status.state, RUN_FAILED);
}

static char mark[512]; /* in the environment of what this test starts */

static int count_marked(void *userdata, const ProcessInfo *p) {
        int *n = userdata;
        char name[64];
        procfs_name(p->pid, name);
        if (!p->is_dead && strcmp(name, "test-listener") == 0 && procfs_has_variable(p->pid, mark))
                *n += 1;
        return 0;
}

/* Kills a starting process at a crash point; returns how many programs run, and the child if it was written down. */
static int die_while_starting(const char *point) {
        char env[600];
        snprintf(mark, sizeof(mark), "MARK=%s", t.path);
        snprintf(env, sizeof(env), "%s\n", mark);
        define((const char *[]){"print", "ran", NULL}, env);
        int pid = fork();
        if (pid == 0) {
                setenv("PAWL_CRASH_AT", point, 1);
                _cleanup_(value_freep) Value *before = capture("start");
                (void)apply("start", 3, before);
                _exit(1);
        }
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        usleep(200000);
        int n = 0;
        assert_int_equal(procfs_each(count_marked, &n), 0);
        return n;
}

static void test_dying_before_the_proc_file_leaves_no_program(void **state) {
        (void)state;
        assert_int_equal(die_while_starting("process-before-proc-file"), 0);
        assert_false(temp_host_has(&t, PROC));
        _cleanup_free_ char *log = temp_host_read(&t, "var/log/pawl/web.log");
        assert_string_equal(log, "");
}

static void test_dying_before_the_gate_leaves_no_program(void **state) {
        (void)state;
        assert_int_equal(die_while_starting("process-before-gate"), 0);
        ProcFile p;
        assert_int_equal(proc_file_read(&t.host, "web", &p, &err), 0);
        for (int i = 0; i < 200 && proc_file_is_alive(&t.host, &p); i++)
                usleep(10000);
        assert_false(proc_file_is_alive(&t.host, &p));
        _cleanup_free_ char *log = temp_host_read(&t, "var/log/pawl/web.log");
        assert_string_equal(log, "");
        _cleanup_(value_freep) Value *before = value_new_map();
        value_set_bool(before, "running", false, NULL);
        value_set_bytes(before, "boot", t.host.boot, BOOT_ID_SIZE, NULL);
        assert_int_equal(probe("start", 3, before), PROBE_PARTIAL);
        assert_int_equal(revert("start", 3, before), 0);
        assert_false(temp_host_has(&t, PROC));
}

/* Kills a stopping process right behind its SIGTERM, which the program has not yet obeyed. */
static void die_while_stopping(const char *role, uint32_t step, const Value *before) {
        int pid = fork();
        if (pid == 0) {
                setenv("PAWL_CRASH_AT", "process-told-to-end", 1);
                (void)apply(role, step, before);
                _exit(1);
        }
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static ProcFile start_slow_to_end(void) {
        temp_host_write(&t, "var/log/pawl/web.log", ""); /* or the "ready" of an earlier one is taken for this one's */
        define((const char *[]){"ignore-term", "print", "ready", NULL}, NULL);
        _cleanup_(value_freep) Value *none = capture("start");
        t.host.tx = 41;
        assert_int_equal(apply("start", 1, none), 0);
        t.host.tx = 42;
        free(log_with("ready"));
        return running();
}

static void test_what_was_told_to_end_is_not_what_was_there_before(void **state) {
        (void)state;
        ProcFile old = start_slow_to_end();
        _cleanup_(value_freep) Value *owed = capture("owe"), *paid = capture("pay");
        assert_int_equal(probe("owe", 1, owed), PROBE_BEFORE);
        die_while_stopping("pay", 5, paid);
        assert_true(procfs_is_alive(old.pid, old.start_time));
        assert_int_equal(probe("owe", 1, owed), PROBE_PARTIAL);
        assert_int_equal(probe("pay", 5, paid), PROBE_PARTIAL);
        assert_int_equal(revert("pay", 5, paid), 0);
        assert_int_equal(revert("owe", 1, owed), 0);
        assert_false(procfs_is_alive(old.pid, old.start_time));
        assert_int_not_equal(running().pid, old.pid);
        assert_int_equal(probe("owe", 1, owed), PROBE_BEFORE);
        assert_false(temp_host_has(&t, "run/pawl/web.stop"));
}

static void test_a_stop_cut_short_is_finished_or_put_back(void **state) {
        (void)state;
        for (int is_put_back = 0; is_put_back <= 1; is_put_back++) {
                ProcFile old = start_slow_to_end();
                _cleanup_(value_freep) Value *before = capture("stop"), *args = args_new("stop");
                die_while_stopping("stop", 2, before);
                assert_true(procfs_is_alive(old.pid, old.start_time));
                assert_int_equal(probe("stop", 2, before), PROBE_PARTIAL);
                assert_int_equal(manager_process.verify(&t.host, args, NULL, &err), -ESTALE);
                if (is_put_back) {
                        assert_int_equal(revert("stop", 2, before), 0);
                        assert_int_not_equal(running().pid, old.pid);
                } else {
                        assert_int_equal(apply("stop", 2, before), 0);
                        assert_int_equal(probe("stop", 2, before), PROBE_AFTER);
                }
                assert_false(procfs_is_alive(old.pid, old.start_time));
                assert_false(temp_host_has(&t, "run/pawl/web.stop"));
        }
}

/* Ctrl-C while the old program is waited for: the same, without any death. */
static void test_an_interrupted_stop_is_not_taken_for_none(void **state) {
        (void)state;
        ProcFile old = start_slow_to_end();
        _cleanup_(value_freep) Value *owed = capture("owe"), *paid = capture("pay");
        t.cancel = SIGINT;
        assert_int_equal(apply("pay", 5, paid), -ECANCELED);
        t.cancel = 0;
        assert_int_equal(revert("owe", 1, owed), 0);
        assert_int_not_equal(running().pid, old.pid);
}

static void test_a_capture_survives_the_disk_form(void **state) {
        (void)state;
        define(NULL, NULL);
        _cleanup_(value_freep) Value *none = capture("start");
        assert_int_equal(apply("start", 3, none), 0);
        _cleanup_(value_freep) Value *before = capture("stop");
        _cleanup_(value_freep) Value *packed = NULL;
        _cleanup_(value_freep) Value *unpacked = NULL;
        assert_int_equal(field_pack(manager_process.before, before, &packed, &err), 0);
        assert_int_equal(field_unpack(manager_process.before, packed, &unpacked, &err), 0);
        assert_true(value_equal(before, unpacked));
        assert_int_equal(probe("stop", 4, unpacked), PROBE_BEFORE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_start_runs_the_definition_in_a_clean_world),
                TEST(test_start_twice_is_one_program),
                TEST(test_a_program_that_is_not_there_is_told_with_its_reason),
                TEST(test_root_is_not_a_default),
                TEST(test_another_user_is_become_wholly),
                TEST(test_stop_ends_one_that_takes_no_sigterm_and_its_children),
                TEST(test_stop_ends_children_whose_leader_has_died),
                TEST(test_a_number_given_to_somebody_else_is_not_killed),
                TEST(test_who_waits_at_the_gate_of_a_dead_pawl_does_not_run),
                TEST(test_pay_replaces_and_owe_puts_the_old_one_back),
                TEST(test_owe_tells_when_the_old_one_does_not_answer),
                TEST(test_verify_notices_a_program_that_died),
                TEST(test_dying_before_the_proc_file_leaves_no_program),
                TEST(test_dying_before_the_gate_leaves_no_program),
                TEST(test_what_was_told_to_end_is_not_what_was_there_before),
                TEST(test_a_stop_cut_short_is_finished_or_put_back),
                TEST(test_an_interrupted_stop_is_not_taken_for_none),
                TEST(test_a_capture_survives_the_disk_form),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
