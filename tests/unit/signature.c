/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that minisign 0.11 made, and what becomes of them when a single thing is another. (system.releases has
 * the tool itself.) */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/signature.h"

static const char key_text[] = "RWR/NDNP8WbmH9WumYR6AOuRNLodFnO9quOWJnPgCG8LC580Ti+1kwv3";
static const char content[] = "hello from pawl\n";

#define UNTRUSTED "untrusted comment: signature from minisign secret key\n"
#define PREHASHED \
        "RUR/NDNP8WbmH0IZ6Wf4eIUAwayC9vg8pNrovBFKEu4cMoGQ0iLutjK1DgwxZlTu2sEvluxSb9NKRGDGI+UUkkBJFYQKzx4Grw4=\n"
#define PREHASHED_WHOLE "PpHHvBrE0jbQ9yhABiGB1gpQPwf4AzaiUogqPmWiul5ZokSRgyoA4WKquodNdjQTUkBqYdziirsHGjzNo6rmAg==\n"
#define LEGACY "RWR/NDNP8WbmHyZ3zIQ5PPTYlqMHSf6a2WkeOFzk7AlL4GUlGGX1GtOYIHQy5T3ireTJutge3IYS67XOgnXP+ZHVWnNr/ggxKwA=\n"
#define LEGACY_WHOLE "KqzDbVfQElEg+vZtoPpP3lkxIxdYBwMZfLhZNsYmFYMB3S4ANl0mEUdGlYSj15BmZtq+piLlO27OenTBes2fCA==\n"

static const char prehashed[] = UNTRUSTED PREHASHED "trusted comment: a test: prehashed\n" PREHASHED_WHOLE;
static const char legacy[] = UNTRUSTED LEGACY "trusted comment: a test: legacy\n" LEGACY_WHOLE;

static int parse(const char *text, Signature *ret, Error *err) {
        return signature_parse(text, strlen(text), ret, err);
}

static int verify(const char *text, const char *data, Error *err) {
        Signature s;
        PublicKey key;
        assert_int_equal(public_key_parse(key_text, &key, NULL), 0);
        int r = parse(text, &s, err);
        return r < 0 ? r : signature_verify(&s, &key, data, strlen(data), "f", err);
}

static void refused(const char *text, const char *data, const char *message) {
        Error err = ERROR_INIT;
        assert_int_equal(verify(text, data, &err), -EBADMSG);
        assert_string_equal(err.message, message);
        assert_int_equal(error_exit_status(err.code), 8);
}

static void both_kinds_of_minisign_hold(void **state) {
        Signature s;
        (void)state;
        assert_int_equal(verify(prehashed, content, NULL), 0);
        assert_int_equal(verify(legacy, content, NULL), 0);
        assert_int_equal(parse(prehashed, &s, NULL), 0);
        assert_true(s.is_prehashed);
        assert_string_equal(s.comment, "a test: prehashed");
        assert_int_equal(parse(legacy, &s, NULL), 0);
        assert_false(s.is_prehashed);
}

static void carriage_returns_and_a_missing_last_newline_do_no_harm(void **state) {
        char text[1024];
        (void)state;
        (void)snprintf(text, sizeof(text), "%s", legacy);
        text[strlen(text) - 1] = '\0';
        assert_int_equal(verify(text, content, NULL), 0);
        assert_int_equal(verify("untrusted comment:\r\n" PREHASHED
                                "trusted comment: a test: prehashed\r\n" PREHASHED_WHOLE,
                                content, NULL),
                         0);
}

static void another_content_does_not_hold(void **state) {
        (void)state;
        refused(prehashed, "hello from pawl", "signature of \"f\" does not match: its content is another");
        refused(legacy, "Hello from pawl\n", "signature of \"f\" does not match: its content is another");
        refused(legacy, "", "signature of \"f\" does not match: its content is another");
}

static void another_comment_does_not_hold(void **state) {
        (void)state;
        refused(UNTRUSTED PREHASHED "trusted comment: a test: Prehashed\n" PREHASHED_WHOLE, content,
                "signature of \"f\" does not match: its trusted comment is another");
        refused(UNTRUSTED LEGACY "trusted comment: a test: legacy\n" PREHASHED_WHOLE, content,
                "signature of \"f\" does not match: its trusted comment is another");
        refused(UNTRUSTED LEGACY "trusted comment: a test: legacy \n" LEGACY_WHOLE, content,
                "signature of \"f\" does not match: its trusted comment is another");
}

static void another_key_is_named(void **state) {
        Signature s;
        PublicKey key;
        Error err = ERROR_INIT;
        (void)state;
        assert_int_equal(parse(legacy, &s, NULL), 0);
        assert_int_equal(public_key_parse(key_text, &key, NULL), 0);
        s.id[0] ^= 1;
        assert_int_equal(signature_verify(&s, &key, content, strlen(content), "f", &err), -EBADMSG);
        assert_string_equal(
                err.message,
                "signature of \"f\" does not match: it is by key 1FE666F14F33347E, not by 1FE666F14F33347F");
        s.id[0] ^= 1;
        key.key[0] ^= 1; /* of the same name */
        assert_int_equal(signature_verify(&s, &key, content, strlen(content), "f", &err), -EBADMSG);
}

/* Of one kind, said to be of the other. */
static void kinds_cannot_be_exchanged(void **state) {
        Signature s;
        PublicKey key;
        (void)state;
        assert_int_equal(public_key_parse(key_text, &key, NULL), 0);
        assert_int_equal(parse(legacy, &s, NULL), 0);
        s.is_prehashed = true;
        assert_int_equal(signature_verify(&s, &key, content, strlen(content), "f", NULL), -EBADMSG);
}

static void a_file_is_verified_as_a_whole(void **state) {
        static const char *const texts[] = {prehashed, legacy};
        (void)state;
        for (size_t i = 0; i < 2; i++) {
                Signature s;
                PublicKey key;
                Error err = ERROR_INIT;
                FILE *f = tmpfile();
                assert_non_null(f);
                assert_true(fputs(content, f) >= 0 && fflush(f) == 0);
                assert_int_equal(parse(texts[i], &s, NULL), 0);
                assert_int_equal(public_key_parse(key_text, &key, NULL), 0);
                assert_int_equal(signature_verify_fd(&s, &key, fileno(f), "f", &err), 0);
                assert_true(fputc('x', f) >= 0 && fflush(f) == 0);
                assert_int_equal(signature_verify_fd(&s, &key, fileno(f), "f", &err), -EBADMSG);
                assert_string_equal(err.message, "signature of \"f\" does not match: its content is another");
                assert_int_equal(ftruncate(fileno(f), 0), 0);
                assert_int_equal(signature_verify_fd(&s, &key, fileno(f), "f", &err), -EBADMSG);
                (void)fclose(f);
        }
}

static void what_is_no_signature_is_refused(void **state) {
        static const struct {
                const char *text, *why;
        } cases[] = {
                {"", "it does not begin with an untrusted comment"},
                {"hello\n" LEGACY, "it does not begin with an untrusted comment"},
                {UNTRUSTED, "its second line is not a signature"},
                {UNTRUSTED "RWR/NDNP8WbmHyZ3\n", "its second line is not a signature"},
                {UNTRUSTED " " LEGACY "trusted comment: x\n" LEGACY_WHOLE, "its second line is not a signature"},
                {UNTRUSTED "AA" LEGACY, "its second line is not a signature"},
                {UNTRUSTED
                 "QUFBNDNP8WbmHyZ3zIQ5PPTYlqMHSf6a2WkeOFzk7AlL4GUlGGX1GtOYIHQy5T3ireTJutge3IYS67XOgnXP+ZHVWnNr/ggxKwA=\n",
                 "its algorithm is not Ed25519"},
                {UNTRUSTED LEGACY, "its third line is not a trusted comment"},
                {UNTRUSTED LEGACY "Trusted comment: x\n" LEGACY_WHOLE, "its third line is not a trusted comment"},
                {UNTRUSTED LEGACY "trusted comment: x\n", "its fourth line is not a signature"},
                {UNTRUSTED LEGACY "trusted comment: x\n" LEGACY, "its fourth line is not a signature"},
        };
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Signature s;
                Error err = ERROR_INIT;
                assert_int_equal(parse(cases[i].text, &s, &err), -EBADMSG);
                assert_non_null(strstr(err.message, cases[i].why));
        }
        char large[SIGNATURE_FILE_MAX + 2];
        memset(large, 'x', sizeof(large) - 1);
        large[sizeof(large) - 1] = '\0';
        Signature s;
        assert_int_equal(parse(large, &s, NULL), -EBADMSG);
        (void)snprintf(large, sizeof(large), "%s%strusted comment: %2000s\n%s", UNTRUSTED, LEGACY, "x", LEGACY_WHOLE);
        assert_int_equal(parse(large, &s, NULL), -EBADMSG);
        static const char nul[] = UNTRUSTED LEGACY "trusted comment: a\0b\n" LEGACY_WHOLE;
        assert_int_equal(signature_parse(nul, sizeof(nul) - 1, &s, NULL), -EBADMSG);
}

static void what_is_no_key_is_refused(void **state) {
        static const char *const texts[] = {"", "RWQ", "RUR/NDNP8WbmH9WumYR6AOuRNLodFnO9quOWJnPgCG8LC580Ti+1kwv3",
                                            "RWR/NDNP8WbmH9WumYR6AOuRNLodFnO9quOWJnPgCG8LC580Ti+1kwv3\n",
                                            "RWR/NDNP8WbmH9WumYR6AOuRNLodFnO9quOWJnPgCG8LC580Ti+1kwv3AAAA"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                PublicKey key;
                Error err = ERROR_INIT;
                assert_int_equal(public_key_parse(texts[i], &key, &err), -EINVAL);
                assert_int_equal(error_exit_status(err.code), 10);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(both_kinds_of_minisign_hold),
                cmocka_unit_test(carriage_returns_and_a_missing_last_newline_do_no_harm),
                cmocka_unit_test(another_content_does_not_hold),
                cmocka_unit_test(another_comment_does_not_hold),
                cmocka_unit_test(another_key_is_named),
                cmocka_unit_test(kinds_cannot_be_exchanged),
                cmocka_unit_test(a_file_is_verified_as_a_whole),
                cmocka_unit_test(what_is_no_signature_is_refused),
                cmocka_unit_test(what_is_no_key_is_refused),
        };
        return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
