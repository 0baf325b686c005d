/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in a route, and what it is in nginx's language. tests/system/route.sh asks nginx itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/macro.h"
#include "core/route.h"

static const char host_63[] = "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz.org";
static const char host_64[] = "aabcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz.org";
static const char not_ascii[] = "b\xc3\xbc\x63her.example";

static void test_hosts(void **state) {
        static const char *const valid[] = {"a.b",     "web.example.org", "*.example.org", "xn--bcher-kva.example",
                                            "1.2.3.4", "a-b.c-d.org",     host_63};
        static const char *const wrong[] = {"",     "localhost", ".",     "a.",      ".a",     "a..b",
                                            "-a.b", "a-.b",      "A.b",   "a_b.c",   "a.b:80", "a b.c",
                                            "a.b;", "a.b\n",     "a.b\"", "a.b}",    "a.$b",   "a.b#",
                                            "*",    "*.a",       "a.*.b", not_ascii, host_64,  "a.b/c"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(valid); i++)
                assert_int_equal(route_host_check(valid[i], NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (route_host_check(wrong[i], NULL) != -EINVAL)
                        fail_msg("\"%s\" was taken", wrong[i]);
}

static void test_paths(void **state) {
        static const char *const valid[] = {"/a", "/team/app", "/v1.2", "/~me", "/a_b-c", "/...", "/.well-known"};
        static const char *const wrong[] = {"",        "/",    "a",    "//",        "/a/",   "/a//b", "/.",   "/..",
                                            "/a/../b", "/a/.", "/a b", "/a;",       "/a{",   "/a\"",  "/a$b", "/a\n",
                                            "/a%20",   "/a?b", "/a*",  "/\xc3\xbc", "/a\\b", "/a'"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(valid); i++)
                if (route_path_check(valid[i], NULL) != 0)
                        fail_msg("\"%s\" was refused", valid[i]);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (route_path_check(wrong[i], NULL) != -EINVAL)
                        fail_msg("\"%s\" was taken", wrong[i]);
}

static const Route plain = {.service = "web",
                            .host = "a.org",
                            .port = 3000,
                            .listen = "80 [::]:80",
                            .secure = "443 [::]:443",
                            .additions = "/etc/nginx/pawl.d/web"};

static void test_a_server_block(void **state) {
        char *text = NULL;
        (void)state;
        assert_int_equal(route_server(&plain, &text, NULL), 0);
        assert_string_equal(
                text,
                "# Written by pawl for the service web. What you change here is kept, but stands in the way of the next change:\n"
                "# your own directives belong into /etc/nginx/pawl.d/web/*.conf.\n"
                "\n"
                "server {\n"
                "        listen 80;\n"
                "        listen [::]:80;\n"
                "        server_name \"a.org\";\n"
                "        include \"/etc/nginx/pawl.d/web/*.conf\";\n"
                "        set $pawl_connection \"\";\n"
                "        if ($http_upgrade) {\n"
                "                set $pawl_connection \"upgrade\";\n"
                "        }\n"
                "        location \"/\" {\n"
                "                proxy_pass http://127.0.0.1:3000;\n"
                "                proxy_http_version 1.1;\n"
                "                proxy_set_header Host $host;\n"
                "                proxy_set_header X-Real-IP $remote_addr;\n"
                "                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
                "                proxy_set_header X-Forwarded-Host $host;\n"
                "                proxy_set_header X-Forwarded-Proto $scheme;\n"
                "                proxy_set_header Upgrade $http_upgrade;\n"
                "                proxy_set_header Connection $pawl_connection;\n"
                "        }\n"
                "}\n");
        free(text);
}

static void test_tls_answers_there_and_sends_there(void **state) {
        char *text = NULL;
        Route r = plain;
        (void)state;
        r.cert = "/etc/ssl/a b.pem";
        r.key = "/etc/ssl/a.key";
        assert_int_equal(route_server(&r, &text, NULL), 0);
        assert_non_null(strstr(
                text,
                "        listen 80;\n        listen [::]:80;\n        server_name \"a.org\";\n        return 301 https://$host$request_uri;\n}\n"));
        assert_non_null(strstr(
                text,
                "        listen 443 ssl;\n        listen [::]:443 ssl;\n        server_name \"a.org\";\n"
                "        ssl_certificate \"/etc/ssl/a b.pem\";\n        ssl_certificate_key \"/etc/ssl/a.key\";\n"));
        free(text);
}

static void test_a_path_is_not_what_begins_alike(void **state) {
        char *text = NULL;
        Route r = plain;
        (void)state;
        r.host = NULL;
        r.path = "/app";
        assert_int_equal(route_locations(&r, &text, NULL), 0);
        assert_non_null(strstr(text, "        location = \"/app\" {\n"));
        assert_non_null(strstr(text, "        location ^~ \"/app/\" {\n"));
        assert_null(strstr(text, "server"));
        free(text);
}

static void test_what_came_from_elsewhere_is_refused_once_more(void **state) {
        Route wrong[8];
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                wrong[i] = plain;
        wrong[0].host = "a.org; } evil";
        wrong[1].path = "/a\"b";
        wrong[2].service = "we b";
        wrong[3].port = 0;
        wrong[4].cert = "/a\";", wrong[4].key = "/k";
        wrong[5].cert = "/c", wrong[5].key = "/a$b";
        wrong[6].listen = "80; evil";
        wrong[7].additions = "/a\\";
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                char *text = NULL;
                if (route_server(&wrong[i], &text, NULL) != -EINVAL)
                        fail_msg("case %zu was written", i);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hosts),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_a_server_block),
                cmocka_unit_test(test_tls_answers_there_and_sends_there),
                cmocka_unit_test(test_a_path_is_not_what_begins_alike),
                cmocka_unit_test(test_what_came_from_elsewhere_is_refused_once_more),
        };
        return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
