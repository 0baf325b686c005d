/* SPDX-License-Identifier: Apache-2.0 */
/* crash.tracer: what a sweep stands on. If the tracer strikes one event too late, or loses a process, every proof made
 * with it is worth nothing. The traced program is tracer_work.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/crash/tracer.h"

enum { N_STEPS = 8 };

/* What "steps" leaves behind after so many of its events. */
static const char *const states[N_STEPS + 1] = {
        "", "e1", "e1 e2:0", "e1 e2:8", "e1 e2:8", "e1 e3:8", "e1 e3:8 e4", "e1 e3:8 e4 e5", "e1 e4 e5",
};

static char dir[64];
static TracerResult result;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static int setup(void **state) {
        const char *base = getenv("TMPDIR");

        (void)state;
        (void)snprintf(dir, sizeof dir, "%.40s/tracer-XXXXXX", base != NULL ? base : "/tmp");
        return mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **state) {
        (void)state;
        (void)tracer_end_released(&result);
        return nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void renew(void) {
        assert_int_equal(teardown(NULL), 0);
        assert_int_equal(setup(NULL), 0);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the directory, sorted; of files the size, too. */
static const char *look(void) {
        static char text[1024];
        static char names[64][280];
        char *sorted[64];
        size_t n = 0;
        DIR *d = opendir(dir);
        struct dirent *entry;
        struct stat st;

        assert_non_null(d);
        while ((entry = readdir(d)) != NULL && n < 64) {
                if (entry->d_name[0] == '.' || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                (void)snprintf(names[n], sizeof names[n], S_ISREG(st.st_mode) ? "%s:%lld" : "%s", entry->d_name,
                               (long long)st.st_size);
                sorted[n] = names[n];
                n++;
        }
        (void)closedir(d);
        qsort(sorted, n, sizeof sorted[0], compare);
        text[0] = 0;
        for (size_t i = 0; i < n; i++) {
                (void)strncat(text, i > 0 ? " " : "", sizeof text - strlen(text) - 1);
                (void)strncat(text, sorted[i], sizeof text - strlen(text) - 1);
        }
        return text;
}

static int run(const char *what, TracerSpec spec) {
        char *argv[] = {(char *)(uintptr_t)TRACER_WORK, (char *)(uintptr_t)what, dir,
                        (char *)(uintptr_t) "/proc/self/exe", NULL};
        char self[512] = {0};

        assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
        argv[3] = self;
        spec.argv = argv;
        if (spec.timeout_ms == 0)
                spec.timeout_ms = 30000;
        return tracer_run(&spec, &result);
}

static bool file_exists(const char *name) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s/%s", dir, name);
        return access(path, F_OK) == 0;
}

static bool file_appears(const char *name) {
        for (int i = 0; i < 5000 && !file_exists(name); i++)
                (void)usleep(1000);
        return file_exists(name);
}

/* Living processes whose command line names our directory. */
static int count_ours(void) {
        DIR *d = opendir("/proc");
        struct dirent *entry;
        char name[300], text[1024];
        int n_found = 0;

        assert_non_null(d);
        while ((entry = readdir(d)) != NULL) {
                FILE *file;
                size_t n;

                (void)snprintf(name, sizeof name, "/proc/%s/cmdline", entry->d_name);
                file = strtol(entry->d_name, NULL, 10) > 0 ? fopen(name, "re") : NULL;
                if (file == NULL)
                        continue;
                n = fread(text, 1, sizeof text, file);
                (void)fclose(file);
                n_found += memmem(text, n, dir, strlen(dir)) != NULL;
        }
        (void)closedir(d);
        return n_found;
}

static void add_to_log(const TracerEvent *event, void *userdata) {
        char *log = userdata;
        size_t n = strlen(log);

        (void)snprintf(log + n, 4096 - n, "%llu %d %s %s %s %lld\n", (unsigned long long)event->n, event->is_exit,
                       event->name, strncmp(event->path, dir, strlen(dir)) == 0 ? event->path + strlen(dir) : "?",
                       event->path2[0] == '/' ? event->path2 + strlen(dir) : event->path2, (long long)event->result);
}

static void test_two_recordings_are_equal(void **state) {
        static char logs[2][4096];

        (void)state;
        for (int i = 0; i < 2; i++) {
                logs[i][0] = 0;
                assert_int_equal(run("steps", (TracerSpec){.kinds_mask = TRACER_DISK,
                                                           .on_event = add_to_log,
                                                           .userdata = logs[i]}),
                                 0);
                assert_int_equal(result.n_events, N_STEPS);
                assert_int_equal(result.wait_status, 0);
                assert_string_equal(look(), states[N_STEPS]);
                renew();
        }
        assert_string_equal(logs[0], logs[1]);
        assert_non_null(strstr(logs[0], "5 1 rename /e2 /e3 0\n"));
        assert_non_null(strstr(logs[0], "7 1 symlink /e5 nowhere 0\n"));
        assert_non_null(strstr(logs[0], "4 1 fsync /e2  0\n"));
}

static void sweep(TracerMode mode, uint64_t lag, int wait_status) {
        uint64_t n;

        for (n = 1;; n++) {
                assert_int_equal(
                        run("steps",
                            (TracerSpec){.mode = mode, .at = n, .errno_value = EIO, .kinds_mask = TRACER_DISK}),
                        0);
                if (!result.fired)
                        break;
                assert_true(result.applied);
                assert_int_equal(result.fired_event.n, n);
                assert_string_equal(look(), states[n - lag]);
                if (n != 3 || mode == TRACER_KILL_ENTRY || mode == TRACER_KILL_EXIT)
                        assert_int_equal(result.wait_status, wait_status);
                assert_int_equal(count_ours(), 0);
                renew();
        }
        assert_int_equal(n, N_STEPS + 1);
        assert_string_equal(look(), states[N_STEPS]);
}

static void test_kill_at_entry_leaves_what_came_before(void **state) {
        (void)state;
        sweep(TRACER_KILL_ENTRY, 1, SIGKILL);
}

static void test_kill_at_exit_leaves_the_event_too(void **state) {
        (void)state;
        sweep(TRACER_KILL_EXIT, 0, SIGKILL);
}

static void test_an_error_prevents_the_event(void **state) {
        (void)state;
        sweep(TRACER_ERRNO, 1, 1 << 8);
}

static void test_a_lie_does_not_prevent_the_event(void **state) {
        (void)state;
        sweep(TRACER_LIE, 0, 1 << 8);
        assert_int_equal(
                run("steps",
                    (TracerSpec){.mode = TRACER_LIE, .at = 1, .errno_value = ENOSPC, .kinds_mask = TRACER_DISK}),
                0);
}

static void test_told_differs_from_result_only_in_a_lie(void **state) {
        (void)state;
        assert_int_equal(run("steps", (TracerSpec){.mode = TRACER_LIE, .at = 1, .errno_value = ENOSPC}), 0);
        assert_int_equal(result.fired_event.result, 0);
        assert_int_equal(result.fired_event.told, -ENOSPC);
        renew();
        assert_int_equal(run("steps", (TracerSpec){.mode = TRACER_ERRNO, .at = 1, .errno_value = ENOSPC}), 0);
        assert_int_equal(result.fired_event.result, -ENOSPC);
        assert_int_equal(result.fired_event.told, -ENOSPC);
}

static void test_a_short_write_writes_half_and_spoils_nothing(void **state) {
        (void)state;
        assert_int_equal(run("steps", (TracerSpec){.mode = TRACER_SHORT, .at = 3, .kinds_mask = TRACER_DISK}), 0);
        assert_true(result.applied);
        assert_string_equal(look(), "e1 e2:4");
        assert_int_equal(WEXITSTATUS(result.wait_status), 2); /* 3: the program's own vector was not put back */
        renew();
        assert_int_equal(run("write", (TracerSpec){.mode = TRACER_SHORT, .at = 2, .kinds_mask = TRACER_DISK}), 0);
        assert_string_equal(look(), "w:4");
        assert_int_equal(WEXITSTATUS(result.wait_status), 4);
        assert_int_equal(run("steps", (TracerSpec){.mode = TRACER_SHORT, .at = 1, .kinds_mask = TRACER_DISK}), 0);
        assert_true(result.fired);
        assert_false(result.applied); /* a mkdir cannot be short */
}

static void test_a_kill_may_follow_an_error(void **state) {
        (void)state;
        assert_int_equal(run("tidy", (TracerSpec){.mode = TRACER_ERRNO,
                                                  .at = 5,
                                                  .errno_value = EIO,
                                                  .then_kill_at = 6,
                                                  .kinds_mask = TRACER_DISK}),
                         0);
        assert_true(result.then_fired);
        assert_int_equal(result.wait_status, SIGKILL);
        assert_string_equal(look(), states[4]);
}

static void test_events_of_other_kinds_are_counted_by_mask(void **state) {
        (void)state;
        assert_int_equal(run("steps", (TracerSpec){.kinds_mask = TRACER_PROC}), 0);
        assert_int_equal(result.n_events, 1); /* the fork */
        renew();
        assert_int_equal(run("steps", (TracerSpec){0}), 0);
        assert_int_equal(result.n_events, N_STEPS + 1);
}

static void check_service(TracerSpec spec) {
        spec.kinds_mask = TRACER_DISK;
        assert_int_equal(run("service", spec), 0);
        assert_int_equal(result.n_released, 1);
        assert_true(file_appears("beat.0"));
        assert_true(file_appears("beat.9"));
        assert_true(count_ours() > 0);
        assert_int_equal(tracer_end_released(&result), 0);
        assert_int_equal(count_ours(), 0);
}

static void test_a_released_service_lives_and_works(void **state) {
        const char *prefixes[] = {"/nowhere/", NULL, NULL};
        char self[512] = {0};

        (void)state;
        check_service((TracerSpec){.release = TRACER_RELEASE_OTHER_PROGRAM});
        assert_int_equal(result.n_events, 1); /* "after"; nothing of the service */
        assert_int_equal(result.wait_status, 0);
        renew();
        assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
        prefixes[1] = self;
        check_service((TracerSpec){.release_prefixes = prefixes, .subreaper = true});
}

static void test_a_released_service_survives_the_kill(void **state) {
        (void)state;
        check_service((TracerSpec){.release = TRACER_RELEASE_OTHER_PROGRAM, .mode = TRACER_KILL_ENTRY, .at = 1});
        assert_true(result.fired);
        assert_false(file_exists("after"));
}

static void test_killing_only_the_root_leaves_its_children_to_themselves(void **state) {
        (void)state;
        assert_int_equal(run("orphan", (TracerSpec){.mode = TRACER_KILL_ENTRY,
                                                    .at = 1,
                                                    .kill_root_only = true,
                                                    .kinds_mask = TRACER_DISK}),
                         0);
        assert_int_equal(result.wait_status, SIGKILL);
        assert_int_equal(result.n_released, 1);
        assert_true(file_appears("orphan"));
        assert_false(file_exists("root"));
}

static void test_a_kill_in_a_storm_of_forks_leaves_nobody(void **state) {
        (void)state;
        for (uint64_t n = 1; n <= 60; n++) {
                assert_int_equal(run("brood", (TracerSpec){.mode = n % 2 ? TRACER_KILL_ENTRY : TRACER_KILL_EXIT,
                                                           .at = n,
                                                           .kinds_mask = TRACER_PROC}),
                                 0);
                assert_true(result.fired);
                assert_false(result.timed_out);
                assert_int_equal(count_ours(), 0);
        }
}

static void test_threads_are_followed(void **state) {
        (void)state;
        assert_int_equal(run("threads", (TracerSpec){.kinds_mask = TRACER_DISK}), 0);
        assert_int_equal(result.n_events, 8);
        assert_int_equal(result.wait_status, 0);
        renew();
        for (uint64_t n = 1; n <= 16; n++) {
                assert_int_equal(run("threads", (TracerSpec){.mode = TRACER_KILL_EXIT, .at = n}), 0);
                assert_true(result.fired);
                assert_int_equal(result.wait_status, SIGKILL);
                assert_int_equal(count_ours(), 0);
                renew();
        }
        assert_int_equal(run("thread-exec", (TracerSpec){.kinds_mask = TRACER_DISK}), 0);
        assert_int_equal(result.n_events, N_STEPS);
        assert_int_equal(result.wait_status, 0);
}

static void test_gaps_end_the_run(void **state) {
        static const char *const gaps[] = {"map", "protect", "unlisted"};

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(run(gaps[i], (TracerSpec){0}), TRACER_GAP);
                assert_int_not_equal(strlen(result.problem), 0);
                assert_int_equal(count_ours(), 0);
        }
        assert_int_equal(run("lock", (TracerSpec){0}), 0);
        assert_int_equal(result.wait_status, 0);
}

static void test_the_time_limit_kills(void **state) {
        (void)state;
        assert_int_equal(run("sleep", (TracerSpec){.timeout_ms = 50}), 0);
        assert_true(result.timed_out);
        assert_int_equal(result.wait_status, SIGKILL);
        assert_int_equal(count_ours(), 0);
}

static void test_output_is_no_work(void **state) {
        char path[128], text[16] = {0};
        int fd;

        (void)state;
        (void)snprintf(path, sizeof path, "%s/out", dir);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        assert_int_equal(run("output", (TracerSpec){.stdout_fd = fd}), 0);
        assert_int_equal(result.n_events, 2); /* open and write of "w" */
        assert_int_equal(pread(fd, text, sizeof text, 0), 4);
        assert_string_equal(text, "out\n");
        (void)close(fd);
}

static void test_other_children_of_the_caller_are_left_alone(void **state) {
        int status;
        pid_t pid = fork();

        (void)state;
        if (pid == 0)
                _exit(7);
        assert_int_equal(run("steps", (TracerSpec){0}), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_a_command_that_is_not_there_is_an_error(void **state) {
        char *argv[] = {(char *)(uintptr_t) "/nowhere/at/all", NULL};

        (void)state;
        assert_int_equal(tracer_run(&(TracerSpec){.argv = argv}, &result), -ENOENT);
}

/* What the traced program starts: a session of its own, a file now and then, and no longer than a minute. */
static int service_main(const char *where) {
        const char *n_processors = getenv("TRACER_TEST_PROCESSORS");
        cpu_set_t processors;
        char name[16];

        if (n_processors == NULL)
                return 1;
        if (setsid() < 0 || chdir(where) < 0)
                return 1;
        if (sched_getaffinity(0, sizeof processors, &processors) < 0 ||
            CPU_COUNT(&processors) != (int)strtol(n_processors, NULL, 10))
                return 1;
        if (fork() < 0)
                return 1;
        for (int i = 0; i < 6000; i++) {
                int fd;

                (void)snprintf(name, sizeof name, "beat.%d", i % 10);
                fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
                if (fd < 0 || write(fd, "x", 1) != 1)
                        return 1;
                (void)close(fd);
                (void)usleep(10000);
        }
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                TEST(two_recordings_are_equal),
                TEST(kill_at_entry_leaves_what_came_before),
                TEST(kill_at_exit_leaves_the_event_too),
                TEST(an_error_prevents_the_event),
                TEST(a_lie_does_not_prevent_the_event),
                TEST(told_differs_from_result_only_in_a_lie),
                TEST(a_short_write_writes_half_and_spoils_nothing),
                TEST(a_kill_may_follow_an_error),
                TEST(events_of_other_kinds_are_counted_by_mask),
                TEST(a_released_service_lives_and_works),
                TEST(a_released_service_survives_the_kill),
                TEST(killing_only_the_root_leaves_its_children_to_themselves),
                TEST(a_kill_in_a_storm_of_forks_leaves_nobody),
                TEST(threads_are_followed),
                TEST(gaps_end_the_run),
                TEST(the_time_limit_kills),
                TEST(output_is_no_work),
                TEST(other_children_of_the_caller_are_left_alone),
                TEST(a_command_that_is_not_there_is_an_error),
        };
        cpu_set_t processors;
        char text[16];

        if (argc == 3 && strcmp(argv[1], "service") == 0)
                return service_main(argv[2]);
        if (sched_getaffinity(0, sizeof processors, &processors) < 0)
                return 1;
        (void)snprintf(text, sizeof text, "%d", CPU_COUNT(&processors));
        (void)setenv("TRACER_TEST_PROCESSORS", text, 1);
        return cmocka_run_group_tests_name("crash.tracer", tests, NULL, NULL);
}
