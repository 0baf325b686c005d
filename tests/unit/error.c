/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: set once, given context on the way up, cut where too long, and never without an exit status. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/base/text.h"

static void an_error_gathers_context(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        int r = error_set(&err, -ENOENT, ERR_NOT_FOUND, "Look elsewhere.", "there is no \"%s\"", "x");
        assert_int_equal(error_context(&err, r, "step %d", 3), -ENOENT);
        assert_string_equal(err.message, "step 3: there is no \"x\"");
        assert_string_equal(err.hint, "Look elsewhere.");
        assert_int_equal(err.code, ERR_NOT_FOUND);
        error_hint(&err, "Try %d.", 2);
        assert_string_equal(err.hint, "Try 2.");
        error_detail(&err, "one");
        error_detail(&err, "two");
        assert_string_equal(err.detail, "one\ntwo");
        assert_int_equal(error_set(NULL, -EIO, ERR_IO, NULL, "x"), -EIO);
}

static void what_helps_is_its_own_or_that_of_its_kind(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        (void)error_set(&err, -EIO, ERR_NETWORK, NULL, "no answer");
        assert_string_equal(error_way_out(&err), "See whether the server works, and can be reached from this host.");
        error_hint(&err, "Wait.");
        assert_string_equal(error_way_out(&err), "Wait.");
        (void)error_set(&err, -EINVAL, ERR_USAGE, NULL, "no such flag");
        assert_string_equal(error_way_out(&err), "");
}

static void an_errno_chooses_the_code(void **state) {
        (void)state;
        static const struct {
                int r;
                ErrorCode code;
        } table[] = {{-ENOMEM, ERR_NO_MEMORY},  {-ENOSPC, ERR_NO_SPACE},  {-EDQUOT, ERR_NO_SPACE},
                     {-EACCES, ERR_PERMISSION}, {-EPERM, ERR_PERMISSION}, {-EROFS, ERR_IO},
                     {-ENOENT, ERR_IO}};
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Error err = ERROR_INIT;
                assert_int_equal(error_set_errno(&err, table[i].r, NULL, "could not open"), table[i].r);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.message, strerror(-table[i].r)));
        }
}

static void long_text_is_cut_visibly(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        char text[2 * ERROR_DETAIL_MAX];
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        (void)!error_set(&err, -EIO, ERR_IO, NULL, "%s", text);
        assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
        assert_string_equal(err.message + ERROR_MESSAGE_MAX - 4, "...");
        error_context(&err, -EIO, "%s", text);
        assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
        for (int i = 0; i < 3; i++)
                error_detail(&err, "%s", text);
        assert_in_range(strlen(err.detail), ERROR_DETAIL_MAX - 8, ERROR_DETAIL_MAX - 1);
}

static void every_row_can_be_shown(void **state) {
        (void)state;
        for (ErrorCode code = 0; code < ERROR_CODE_MAX; code++) {
                assert_int_equal(error_from_slug(error_slug(code)), code);
                assert_true(strlen(error_text(code)) > 0);
                assert_in_range(error_http_status(code), 200, 599);
                assert_true((error_exit_status(code) == 0) == (code == ERR_NONE));
        }
        assert_int_equal(error_from_slug("no-such-slug"), ERROR_CODE_MAX);
}

static void what_a_program_printed_can_be_told(void **state) {
        (void)state;
        Error err = ERROR_INIT;
        char long_line[ERROR_DETAIL_MAX + 16];
        (void)error_set_full(&err, -EIO, ERR_HEALTH, "a \033[2J hint", "caf\xe9 \033]0;x\007 %s", "\xc3\xa9");
        assert_string_equal(err.message, "caf? ?]0;x? \xc3\xa9");
        assert_string_equal(err.hint, "a ?[2J hint");
        memset(long_line, 'a', sizeof(long_line) - 1);
        for (size_t i = 0; i + 1 < sizeof(long_line); i += 2)
                memcpy(long_line + i, "\xc3\xa9", 2); /* wherever it is cut, it is cut in a character once */
        long_line[sizeof(long_line) - 1] = '\0';
        error_detail(&err, "%.399s", long_line);
        error_detail(&err, "%s", long_line);
        assert_true(utf8_is_valid(err.detail, strlen(err.detail)));
        (void)error_context(&err, -EIO, "%s", long_line);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_error_gathers_context),
                cmocka_unit_test(an_errno_chooses_the_code),
                cmocka_unit_test(what_helps_is_its_own_or_that_of_its_kind),
                cmocka_unit_test(long_text_is_cut_visibly),
                cmocka_unit_test(every_row_can_be_shown),
                cmocka_unit_test(what_a_program_printed_can_be_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
