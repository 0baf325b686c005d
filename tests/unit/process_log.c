/* SPDX-License-Identifier: Apache-2.0 */
/* What programs of the embedded runtime print: rotated at a start, read across, followed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/process_fixture.h"

static void collect_line(void *userdata, const char *text, size_t n_text) {
        char *all = userdata;
        size_t used = strlen(all);
        snprintf(all + used, 4096 - used, "%.*s|", (int)n_text, text);
}

static void test_a_large_log_is_rotated_at_start_and_read_across(void **state) {
        (void)state;
        char path[4096], lines[4096] = "";
        temp_host_write(&t, "var/log/pawl/web.log", "");
        temp_host_write(&t, "var/log/pawl/web.log.1", "oldest\n");
        snprintf(path, sizeof(path), "%s/var/log/pawl/web.log", t.path);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "\nsecond\nthird\n", 14, LOG_ROTATE_SIZE), 14);
        close(fd);
        define((const char *[]){"print", "fourth", "print", "fifth", NULL}, NULL);
        _cleanup_(value_freep) Value *before = capture("start");
        assert_int_equal(apply("start", 3, before), 0);
        _cleanup_free_ char *log = log_with("fifth");
        assert_string_equal(log, "fourth\nfifth\n");
        assert_int_equal(runtime_process.logs(&t.host, "web", 3, false, collect_line, lines, &err), 0);
        assert_string_equal(lines, "third|fourth|fifth|");
        lines[0] = '\0';
        assert_int_equal(runtime_process.logs(&t.host, "web", 1, false, collect_line, lines, &err), 0);
        assert_string_equal(lines, "fifth|");
}

static void test_a_log_without_an_end_of_line_counts_its_last_line(void **state) {
        (void)state;
        char lines[4096] = "";
        temp_host_write(&t, "var/log/pawl/web.log", "a\nb\nc");
        assert_int_equal(runtime_process.logs(&t.host, "web", 2, false, collect_line, lines, &err), 0);
        assert_string_equal(lines, "b|c|");
        lines[0] = '\0';
        assert_int_equal(runtime_process.logs(&t.host, "web", 0, false, collect_line, lines, &err), 0);
        assert_string_equal(lines, "a|b|c|");
        lines[0] = '\0';
        assert_int_equal(runtime_process.logs(&t.host, "other", 2, false, collect_line, lines, &err), 0);
        assert_string_equal(lines, "");
}

static void follow_line(void *userdata, const char *text, size_t n_text) {
        collect_line(userdata, text, n_text);
        char path[4096], to[4200];
        snprintf(path, sizeof(path), "%s/var/log/pawl/web.log", t.path);
        snprintf(to, sizeof(to), "%s.1", path);
        if (strncmp(text, "first", n_text) == 0) {
                rename(path, to);
                temp_host_write(&t, "var/log/pawl/web.log", "second\n");
        } else if (strncmp(text, "second", n_text) == 0) {
                t.cancel = SIGINT;
        }
}

static void test_following_goes_on_after_a_rotation(void **state) {
        (void)state;
        char lines[4096] = "";
        temp_host_write(&t, "var/log/pawl/web.log", "first\n");
        t.host.deadline_usec = clock_boot_usec() + 5 * USEC_PER_SEC;
        assert_int_equal(runtime_process.logs(&t.host, "web", 5, true, follow_line, lines, &err), 0);
        assert_string_equal(lines, "first|second|");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_large_log_is_rotated_at_start_and_read_across),
                TEST(test_a_log_without_an_end_of_line_counts_its_last_line),
                TEST(test_following_goes_on_after_a_rotation),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
