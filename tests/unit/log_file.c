/* SPDX-License-Identifier: Apache-2.0 */
/* The last lines of a log: right, and never at the price of reading all of a file the program made huge. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "managers/log_file.h"
#include "tests/lib/rooted.h"

#define LOG "root/var/log/pawl/web.log"

typedef struct Fixture {
        Rooted rooted;
        Error err;
        Text text; /* the lines handed on, in brackets; of a long one the length */
        size_t n_lines, size;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        rooted_done(&f->rooted);
        text_done(&f->text);
        free(f);
        return 0;
}

static void on_line(void *userdata, const char *text, size_t n) {
        Fixture *f = userdata;
        f->n_lines++;
        f->size += n;
        if (f->n_lines > 100)
                return;
        if (n < 50)
                text_addf(&f->text, "[%.*s]", (int)n, text);
        else
                text_addf(&f->text, "[%zu]", n);
}

static int lines(Fixture *f, size_t n) {
        LogSink sink = {on_line, f};
        text_done(&f->text);
        f->text = (Text){0};
        f->n_lines = f->size = 0;
        return log_file_lines(&f->rooted.host, "web", n, false, &sink, &f->err);
}

static void expect(Fixture *f, size_t n, const char *expected) {
        assert_int_equal(lines(f, n), 0);
        assert_string_equal(f->text.data ? f->text.data : "", expected);
}

static void write_log(const Fixture *f, const char *name, const char *text) {
        rooted_write(&f->rooted, name, text, strlen(text), 0644);
}

static void last_lines_reach_into_the_rotated_file(void **state) {
        Fixture *f = *state;
        expect(f, 3, "");
        write_log(f, LOG, "c\n\nd\n");
        write_log(f, LOG ".1", "a\nb\n");
        expect(f, 1, "[d]");
        expect(f, 3, "[c][][d]");
        expect(f, 4, "[b][c][][d]");
        expect(f, 9, "[a][b][c][][d]");
        expect(f, 0, "[a][b][c][][d]");
        write_log(f, LOG, "c\nd");
        expect(f, 1, "[d]");
        expect(f, 2, "[c][d]");
        expect(f, 3, "[b][c][d]");
}

static void long_line_counts_as_several(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *text = calloc(1, 3 * LOG_LINE_MAX);
        memset(text, 'x', 2 * LOG_LINE_MAX + 100);
        text[0] = 'a';
        text[1] = '\n';
        (void)snprintf(text + 2 * LOG_LINE_MAX + 100, 4, "\nb\n");
        write_log(f, LOG, text);
        expect(f, 1, "[b]");
        expect(f, 2, "[65536][b]");
        expect(f, 3, "[65536][65536][b]");
        expect(f, 4, "[65536][65536][98][b]");
        expect(f, 5, "[a][65536][65536][98][b]");
        memset(text, 0, 3 * LOG_LINE_MAX);
        memset(text, 'x', LOG_LINE_MAX);
        write_log(f, LOG, text);
        expect(f, 1, "[65536]");
}

static void sparse(const Fixture *f, off_t size) {
        write_log(f, LOG, "");
        assert_int_equal(truncate(rooted_path(&f->rooted, LOG), size), 0);
        write_log(f, LOG ".1", "old\n");
}

static void huge_log_is_not_read_whole(void **state) {
        Fixture *f = *state;
        sparse(f, (off_t)8 << 40);
        uint64_t begin = clock_boot_usec();
        expect(f, 3, "[65536][65536][65536]");
        assert_int_equal(lines(f, 100000), 0);
        assert_int_equal(f->size, LOG_BACK_MAX);
        assert_int_equal(lines(f, 0), 0);
        assert_int_equal(f->size, LOG_ALL_MAX);
        assert_true(clock_boot_usec() - begin < 20 * USEC_PER_SEC);
}

static void cut_beginning_is_no_half_line(void **state) {
        Fixture *f = *state;
        FILE *log = NULL;
        write_log(f, LOG, "");
        assert_non_null(log = fopen(rooted_path(&f->rooted, LOG), "we"));
        for (unsigned i = 0; i < 2000000; i++)
                fprintf(log, "line %07u\n", i); /* 13 bytes, so that no limit falls between two */
        assert_int_equal(fclose(log), 0);
        assert_int_equal(lines(f, 1900000), 0);
        assert_int_equal(f->n_lines, LOG_BACK_MAX / 13);
        assert_memory_equal(f->text.data, "[line 0", 7);
        assert_int_equal(strcspn(f->text.data, "]"), 13);
}

static void cancelling_ends_a_long_reading(void **state) {
        Fixture *f = *state;
        sparse(f, (off_t)1 << 30);
        f->rooted.cancel = 2;
        assert_int_equal(lines(f, 100000), -ECANCELED);
        assert_int_equal(f->n_lines, 0);
        assert_int_equal(lines(f, 0), -ECANCELED);
        assert_true(f->size < 1 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(last_lines_reach_into_the_rotated_file),
                TEST(long_line_counts_as_several),
                TEST(huge_log_is_not_read_whole),
                TEST(cut_beginning_is_no_half_line),
                TEST(cancelling_ends_a_long_reading),
        };
        return cmocka_run_group_tests_name("log_file", tests, NULL, NULL);
}
