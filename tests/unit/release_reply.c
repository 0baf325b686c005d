/* SPDX-License-Identifier: Apache-2.0 */
/* What a forge says of a release: what is taken from it, and which asset a pattern means. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "managers/release_reply.h"

#define HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int parse(const char *json, Release *ret, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        assert_int_equal(json_decode(json, strlen(json), &v, NULL), 0);
        return release_parse(v, ret, err);
}

/* A release v1.2.0 with assets of these names. */
static void with_assets(const char *const *names, Release *ret) {
        _cleanup_text_ Text t = {0};
        text_add(&t, "{\"tag_name\":\"v1.2.0\",\"id\":1,\"assets\":[");
        for (size_t i = 0; names[i]; i++)
                text_addf(&t, "%s{\"id\":%zu,\"name\":\"%s\",\"size\":1}", i > 0 ? "," : "", i + 1, names[i]);
        text_add(&t, "]}");
        _cleanup_free_ char *json = text_take(&t);
        assert_int_equal(parse(json, ret, NULL), 0);
}

static void assets_are_taken_with_their_digests(void **state) {
        _cleanup_release_ Release r = {0};
        (void)state;
        assert_int_equal(parse("{\"tag_name\":\"v1\",\"id\":7,\"assets\":["
                               "{\"id\":1,\"name\":\"a\",\"size\":5,\"state\":\"uploaded\",\"digest\":\"sha256:" HEX
                               "\"},"
                               "{\"id\":2,\"name\":\"b\",\"size\":0,\"digest\":null},"
                               "{\"id\":3,\"name\":\"c\",\"size\":0,\"digest\":\"sha512:" HEX "\"},"
                               "{\"id\":4,\"name\":\"d\",\"size\":0,\"digest\":\"sha256:aa\"}]}",
                               &r, NULL),
                         0);
        assert_string_equal(r.tag, "v1");
        assert_int_equal(r.id, 7);
        assert_int_equal(r.n_assets, 4);
        assert_int_equal(release_asset(&r, "a")->size, 5);
        assert_string_equal(release_asset(&r, "a")->sha256, HEX);
        for (size_t i = 1; i < 4; i++)
                assert_string_equal(r.assets[i].sha256, "");
}

static void what_is_no_asset_is_left_out(void **state) {
        static const char *const bad[] = {
                "null",
                "[]",
                "{\"id\":1,\"size\":1}",
                "{\"id\":1,\"name\":\"\",\"size\":1}",
                "{\"id\":1,\"name\":\"..\",\"size\":1}",
                "{\"id\":1,\"name\":\"../a\",\"size\":1}",
                "{\"id\":1,\"name\":\"a\\nb\",\"size\":1}",
                "{\"id\":1,\"name\":\"a\\u001b[2J\",\"size\":1}",
                "{\"id\":0,\"name\":\"a\",\"size\":1}",
                "{\"id\":-1,\"name\":\"a\",\"size\":1}",
                "{\"id\":\"1\",\"name\":\"a\",\"size\":1}",
                "{\"id\":1,\"name\":\"a\",\"size\":-1}",
                "{\"id\":1,\"name\":\"a\"}",
                "{\"id\":1,\"name\":\"a\",\"size\":1,\"state\":\"starter\"}",
        };
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_release_ Release r = {0};
                _cleanup_free_ char *json = text_format("{\"tag_name\":\"v1\",\"id\":1,\"assets\":[%s]}", bad[i]);
                assert_int_equal(parse(json, &r, NULL), 0);
                if (r.n_assets != 0)
                        fail_msg("was taken: %s", bad[i]);
                assert_int_equal(r.n_listed, 1);
        }
}

static void what_is_no_release_is_refused(void **state) {
        static const char *const bad[] = {
                "[]",
                "{}",
                "{\"tag_name\":1,\"id\":1,\"assets\":[]}",
                "{\"tag_name\":\"\",\"id\":1,\"assets\":[]}",
                "{\"tag_name\":\"v1\",\"assets\":[]}",
                "{\"tag_name\":\"v1\",\"id\":0,\"assets\":[]}",
                "{\"tag_name\":\"v1\",\"id\":1}",
                "{\"tag_name\":\"v1\",\"id\":1,\"assets\":{}}",
                "{\"message\":\"Not Found\"}",
        };
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Release r = {0};
                Error err = ERROR_INIT;
                if (parse(bad[i], &r, &err) != -EBADMSG)
                        fail_msg("was taken: %s", bad[i]);
                assert_int_equal(err.code, ERR_NETWORK);
        }
}

static void assets_without_end_are_refused(void **state) {
        _cleanup_text_ Text t = {0};
        Release r = {0};
        Error err = ERROR_INIT;
        (void)state;
        text_add(&t, "{\"tag_name\":\"v1\",\"id\":1,\"assets\":[0");
        for (size_t i = 0; i < RELEASE_ASSETS_MAX; i++)
                text_add(&t, ",0");
        text_add(&t, "]}");
        _cleanup_free_ char *json = text_take(&t);
        assert_int_equal(parse(json, &r, &err), -EBADMSG);
        assert_string_equal(err.message, "that is not a release: it has too many assets");
}

static void a_page_adds_what_is_not_there_yet(void **state) {
        static const char *const names[] = {"a", "b", NULL};
        static const char json[] = "[{\"id\":9,\"name\":\"b\",\"size\":1},{\"id\":8,\"name\":\"c\",\"size\":1}]";
        _cleanup_release_ Release r = {0};
        _cleanup_(value_freep) Value *page = NULL;
        (void)state;
        with_assets(names, &r);
        assert_int_equal(json_decode(json, strlen(json), &page, NULL), 0);
        assert_int_equal(release_add_page(&r, page, NULL), 2);
        assert_int_equal(r.n_assets, 3);
        assert_int_equal(release_asset(&r, "b")->id, 2);
        assert_int_equal(release_asset(&r, "c")->id, 8);
}

static const char *this_arch(bool is_other_name) {
        static struct utsname u;
        assert_int_equal(uname(&u), 0);
        if (strcmp(u.machine, "x86_64") == 0)
                return is_other_name ? "x86_64" : "amd64";
        if (strcmp(u.machine, "aarch64") == 0)
                return is_other_name ? "aarch64" : "arm64";
        return u.machine;
}

/* AA stands for this host's architecture, BB for its other name. */
static char *fill_arch(const char *text) {
        _cleanup_text_ Text t = {0};
        for (; *text; text++)
                if (strncmp(text, "AA", 2) == 0 || strncmp(text, "BB", 2) == 0)
                        text_add(&t, this_arch(*text++ == 'B'));
                else
                        text_add_n(&t, text, 1);
        return text_take(&t);
}

static void a_pattern_means_one_asset(void **state) {
        /* clang-format off */
        static const struct {
                const char *pattern, *assets[4], *chosen;
        } cases[] = {
                {"{name}-{os}-{arch}",                {"web-linux-AA", "web-linux-AA.minisig"},   "web-linux-AA"},
                {"{{.Name}}-linux-{{.Arch}}",         {"web-linux-AA"},                           "web-linux-AA"},
                {"{name}-{os}-{arch}",                {"web-linux-BB"},                           "web-linux-BB"},
                {"{name}-{os}-{arch}",                {"web-linux-BB", "web-linux-AA"},           "web-linux-AA"},
                {"{name}-{os}-{arch}",                {"api-linux-AA"},                           "api-linux-AA"},
                {"{name}-{os}-{arch}",                {"api-linux-AA", "web-linux-AA"},           "web-linux-AA"},
                {"{name}_{version}.tar.gz",           {"web_1.2.0.tar.gz"},                       "web_1.2.0.tar.gz"},
                {"{name}_{version}.tar.gz",           {"web_1.2.0.tar.gz", "web_v1.2.0.tar.gz"},  "web_v1.2.0.tar.gz"},
                {"{{.Name}}-{{.Version}}-{{.OS}}",    {"web-v1.2.0-linux"},                       "web-v1.2.0-linux"},
                {"server",                            {"server"},                                 "server"},
                {"serve",                             {"server"},                                 NULL},
                {"{name}-{os}-{arch}",                {"Web-linux-AA"},                           NULL},
                {"{name}-{os}-{arch}",                {NULL},                                     NULL},
                {"{what}",                            {"web"},                                    NULL},
        };
        /* clang-format on */
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_release_ Release r = {0};
                const ReleaseNames names = {"web", "api", "v1.2.0"};
                const ReleaseAsset *a = NULL;
                char *assets[5] = {NULL};
                for (size_t k = 0; k < 4 && cases[i].assets[k]; k++)
                        assets[k] = fill_arch(cases[i].assets[k]);
                with_assets((const char *const *)assets, &r);
                assert_int_equal(release_choose(&r, cases[i].pattern, &names, &a, NULL, NULL), 0);
                _cleanup_free_ char *chosen = cases[i].chosen ? fill_arch(cases[i].chosen) : NULL;
                if (!a != !chosen || (a && strcmp(a->name, chosen) != 0))
                        fail_msg("%s means %s", cases[i].pattern, a ? a->name : "nothing");
                for (size_t k = 0; k < 4; k++)
                        free(assets[k]);
        }
}

static void what_was_looked_for_is_named(void **state) {
        static const char *const none[] = {NULL};
        _cleanup_release_ Release r = {0};
        _cleanup_free_ char *wanted = NULL;
        const ReleaseAsset *a = NULL;
        (void)state;
        with_assets(none, &r);
        assert_int_equal(release_choose(&r, "{name}-{version}-{os}", &(ReleaseNames){"web", NULL, "v1.2.0"}, &a,
                                        &wanted, NULL),
                         0);
        assert_null(a);
        assert_string_equal(wanted, "web-v1.2.0-linux");
}

static void checksums_are_found_under_usual_names(void **state) {
        static const struct {
                const char *names[4], *found;
        } cases[] = {
                {{"web", "SHA256SUMS"}, "SHA256SUMS"},
                {{"web", "checksums.txt"}, "checksums.txt"},
                {{"web", "web_1.2.0_checksums.txt"}, "web_1.2.0_checksums.txt"},
                {{"web", "sha256sums.txt"}, "sha256sums.txt"},
                {{"SHA256SUMS", "web.sha256", "web"}, "web.sha256"},
                {{"web2.sha256", "web"}, NULL},
                {{"web", "SHA256SUMS.minisig"}, NULL},
                {{"web", "MD5SUMS"}, NULL},
        };
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_release_ Release r = {0};
                with_assets(cases[i].names, &r);
                const ReleaseAsset *a = release_checksums(&r, "web");
                if (!a != !cases[i].found || (a && strcmp(a->name, cases[i].found) != 0))
                        fail_msg("case %zu: %s", i, a ? a->name : "nothing");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(assets_are_taken_with_their_digests),
                cmocka_unit_test(what_is_no_asset_is_left_out),
                cmocka_unit_test(what_is_no_release_is_refused),
                cmocka_unit_test(assets_without_end_are_refused),
                cmocka_unit_test(a_page_adds_what_is_not_there_yet),
                cmocka_unit_test(a_pattern_means_one_asset),
                cmocka_unit_test(what_was_looked_for_is_named),
                cmocka_unit_test(checksums_are_found_under_usual_names),
        };
        return cmocka_run_group_tests_name("release_reply", tests, NULL, NULL);
}
