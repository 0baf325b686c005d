/* SPDX-License-Identifier: Apache-2.0 */
/* Files of checksums as the world writes them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "managers/checksums.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* clang-format off */
static const struct {
        const char *text;
        bool is_of_it;
        const char *hex; /* NULL: it does not name "web" */
} cases[] = {
        {A "  web\n",                                   false, A},
        {A " *web\n",                                   false, A},
        {A "  web",                                     false, A},
        {A "\tweb\n",                                   false, A},
        {B "  other\n" A "  web\r\n",                   false, A},
        {"# made by hand\n\n  " A "  web  \n",          false, A},
        {A "  ./web\n",                                 false, A},
        {A "  dist/linux/web\n",                        false, A},
        {"SHA256 (web) = " A "\n",                      false, A},
        {"SHA256(web)= " A "\n",                        false, A},
        {"SHA2-256(dist/web)= " A "\n",                 false, A},
        {"MD5 (web) = 0123\nSHA256 (web) = " A "\n",    false, A},
        {A "  web\n" A "  web\n",                       false, A},
        {A "\n",                                        true,  A},
        {A,                                             true,  A},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA  web\n", false, A},
        {A "  web\n",                                   true,  A},
        {A "\n",                                        false, NULL},
        {"",                                            false, NULL},
        {A "  web2\n" A "  2web\n" A "  myweb\n",       false, NULL},
        {A "  other\n",                                 true,  NULL},
        {A "a  web\n",                                  false, NULL},
        {"aaaa  web\n",                                 false, NULL},
        {"SHA256 (web) = aaaa\n",                       false, NULL},
        {"SHA256 (web = " A "\n",                       false, NULL},
        {"SHA256 web) = " A "\n",                       false, NULL},
        {"SHA256 (web) " A "\n",                        false, NULL},
        {"SHA512 (web) = " A "\n",                      false, NULL},
        {"SHA256",                                      false, NULL},
        {"SHA256 ()",                                   false, NULL},
};
/* clang-format on */

static void every_form_is_read(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char hex[DIGEST_HEX_SIZE] = "";
                int r = checksums_find(cases[i].text, strlen(cases[i].text), "web", cases[i].is_of_it, hex, NULL);
                if (r != (cases[i].hex != NULL))
                        fail_msg("%d: %s", r, cases[i].text);
                assert_string_equal(hex, cases[i].hex ? cases[i].hex : "");
        }
}

static void two_digests_of_one_name_are_refused(void **state) {
        static const char text[] = A "  web\nSHA256 (./web) = " B "\n";
        char hex[DIGEST_HEX_SIZE];
        Error err = ERROR_INIT;
        (void)state;
        assert_int_equal(checksums_find(text, strlen(text), "web", false, hex, &err), -EBADMSG);
        assert_string_equal(err.message, "it has two different checksums of \"web\"");
        assert_int_equal(error_exit_status(err.code), 8);
}

static void a_name_may_hold_brackets_and_blanks(void **state) {
        static const char text[] = "SHA256 (a (b) c) = " A "\n" B "  d e\n";
        char hex[DIGEST_HEX_SIZE];
        (void)state;
        assert_int_equal(checksums_find(text, strlen(text), "a (b) c", false, hex, NULL), 1);
        assert_string_equal(hex, A);
        assert_int_equal(checksums_find(text, strlen(text), "d e", false, hex, NULL), 1);
        assert_string_equal(hex, B);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_form_is_read),
                cmocka_unit_test(two_digests_of_one_name_are_refused),
                cmocka_unit_test(a_name_may_hold_brackets_and_blanks),
        };
        return cmocka_run_group_tests_name("checksums", tests, NULL, NULL);
}
