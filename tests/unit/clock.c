/* SPDX-License-Identifier: Apache-2.0 */
/* Time and boot: what people read and write, and who counts as alive. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <time.h>

#include "core/base/clock.h"

typedef struct DurationCase {
        const char *text;
        uint64_t usec;
} DurationCase;

static void durations_are_read(void **state) {
        (void)state;
        /* clang-format off */
        static const DurationCase table[] = {
                {"500ms", 500000},    {"10s", 10000000}, {"2m", 120000000}, {"1h", 3600000000}, {"7d", 604800000000},
                {"0.5s",  500000},    {"15",  15000000}, {"0",  0},         {"1.5",  1500000},  {"0.25ms", 250},
                {"0.000001s", 1},     {"1.5h", 5400000000},
        };
        static const char *const wrong[] = {"", "s", "ms", "-1", "+1", " 1", "1 s", "1s ", "1.",
                ".5", "1.2.3", "1x", "1S", "1e3",
                "0.0000001s", "0x1", "1h30m",
                "9223372036854775807d", "99999999999999999999", "nan", "18446744073709551616"};
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t usec = 1234;
                if (duration_parse(table[i].text, &usec) != 0 || usec != table[i].usec)
                        fail_msg("%s", table[i].text);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                uint64_t usec = 1234;
                if (duration_parse(wrong[i], &usec) != -EINVAL || usec != 1234)
                        fail_msg("\"%s\" was accepted", wrong[i]);
        }
}

static void durations_are_written(void **state) {
        (void)state;
        /* clang-format off */
        static const DurationCase table[] = {
                {"0 ms", 0}, {"850 ms", 850999}, {"999 ms", 999999}, {"1 s", 1000000}, {"2.4 s", 2400000},
                {"59.9 s", 59999999},
                {"1 min", 60000000}, {"3 min 20 s", 200000000}, {"59 min 59 s", 3599999999}, {"2 h 5 min", 7500000000},
                {"1 h", 3600000000}, {"1 d 1 h", 90000000000}, {"213503982 d 8 h", UINT64_MAX},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char text[32];
                duration_format(table[i].usec, text);
                assert_string_equal(text, table[i].text);
        }
}

static void times_are_written(void **state) {
        (void)state;
        char text[32];
        clock_format_utc(1772368496000000, text);
        assert_string_equal(text, "2026-03-01T12:34:56Z");
        clock_format_utc(-1, text);
        assert_string_equal(text, "1969-12-31T23:59:59Z");
        setenv("TZ", "UTC-2", 1);
        tzset();
        clock_format_local(1772368496000000, text);
        assert_string_equal(text, "2026-03-01 14:34:56");
        clock_format_utc(INT64_MAX, text);
        assert_true(strlen(text) > 0);
}

static void an_unset_clock_is_not_trusted(void **state) {
        (void)state;
        setenv("PAWL_TEST_CLOCK", "1000000", 1);
        assert_int_equal(clock_wall_usec(), 1000000);
        assert_false(clock_is_trusted());
        setenv("PAWL_TEST_CLOCK", "1772368496000000", 1);
        assert_true(clock_is_trusted());
        unsetenv("PAWL_TEST_CLOCK");
        assert_true(clock_wall_usec() > 1000000);
}

static void sleeping_takes_its_time(void **state) {
        (void)state;
        uint64_t before = clock_boot_usec();
        clock_sleep_usec(20000);
        assert_true(clock_boot_usec() - before >= 20000);
}

static void a_zombie_is_dead(void **state) {
        (void)state;
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char c;
                close(fds[1]);
                (void)!read(fds[0], &c, 1);
                _exit(0);
        }
        close(fds[0]);
        uint64_t start = process_start_time(pid);
        assert_true(start >= process_start_time(getpid()) && start > 0);
        close(fds[1]);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(process_start_time(pid), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(process_start_time(pid), 0);
        assert_int_equal(process_start_time(0), 0);
        assert_int_equal(process_start_time(-1), 0);
}

static void one_life_has_one_identity(void **state) {
        (void)state;
        uint8_t a[BOOT_ID_SIZE] = {0}, b[BOOT_ID_SIZE] = {1}, zero[BOOT_ID_SIZE] = {0};
        assert_int_equal(boot_identity(a, NULL), 0);
        assert_int_equal(boot_identity(b, NULL), 0);
        assert_memory_equal(a, b, BOOT_ID_SIZE);
        assert_memory_not_equal(a, zero, BOOT_ID_SIZE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(durations_are_read),        cmocka_unit_test(durations_are_written),
                cmocka_unit_test(times_are_written),         cmocka_unit_test(an_unset_clock_is_not_trusted),
                cmocka_unit_test(sleeping_takes_its_time),   cmocka_unit_test(a_zombie_is_dead),
                cmocka_unit_test(one_life_has_one_identity),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
