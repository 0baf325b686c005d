/* SPDX-License-Identifier: Apache-2.0 */
/* The host configuration: which layer wins, where a value came from, and every mistake with its place. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/config.h"

/* Where releases come from. */
#define FORGES                                                                                         \
        "\"github.url\":\"https://api.github.com\",\"github.owner\":\"\",\"github.token_file\":\"\","  \
        "\"github.ca_file\":\"\",\"github.allow_http\":false,\"gitea.url\":\"\",\"gitea.owner\":\"\"," \
        "\"gitea.token_file\":\"\",\"gitea.ca_file\":\"\",\"gitea.allow_http\":false,"                 \
        "\"releases.asset\":\"{name}-{os}-{arch}\","

static char top[] = "/tmp/pawl-config-XXXXXX";
static int root = -1;

static void put(const char *path, const char *text) {
        int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static int setup(void **state) {
        (void)state;
        memcpy(top + strlen(top) - 6, "XXXXXX", sizeof("XXXXXX"));
        assert_non_null(mkdtemp(top));
        root = open(top, O_DIRECTORY | O_CLOEXEC);
        assert_true(root >= 0);
        assert_int_equal(mkdirat(root, "etc", 0755) | mkdirat(root, "etc/pawl", 0755) |
                                 mkdirat(root, "etc/pawl/conf.d", 0755),
                         0);
        return 0;
}

static int teardown(void **state) {
        static const char *const files[] = {"etc/pawl/pawl.yaml", "etc/pawl/conf.d/a.yaml", "etc/pawl/conf.d/b.yaml",
                                            "etc/pawl/conf.d/c.yml", "etc/pawl/conf.d/.d.yaml"};
        static const char *const dirs[] = {"etc/pawl/pawl.yaml", "etc/pawl/conf.d", "etc/pawl", "etc"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                unlinkat(root, files[i], 0);
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++)
                unlinkat(root, dirs[i], AT_REMOVEDIR);
        close(root);
        unsetenv("PAWL_WAIT");
        unsetenv("PAWL_PORTS_RANGE");
        return rmdir(top);
}

static void load(Value **ret, Value **ret_origins) {
        Error err = ERROR_INIT;
        if (config_load(root, NULL, 0, ret, ret_origins, &err) < 0)
                fail_msg("%s", err.message);
}

static void assert_json(const Value *v, const char *json) {
        _cleanup_free_ char *text = NULL;
        assert_int_equal(json_encode(v, JSON_COMPACT, &text, NULL), 0);
        assert_string_equal(text, json);
}

#define NGINX                                                                                                                  \
        "\"nginx.dir\":\"/etc/nginx\",\"nginx.layout\":\"auto\",\"nginx.program\":\"nginx\",\"nginx.pid\":\"/run/nginx.pid\"," \
        "\"nginx.error_log\":\"/var/log/nginx/error.log\",\"nginx.listen\":\"80 [::]:80\",\"nginx.listen_tls\":\"443 [::]:443\","

static void without_files_every_key_has_its_default(void **state) {
        static const char json[] =
                "{\"ports.range\":[3000,4000],\"naming.prefix\":\"pawl-\",\"wait\":0,\"exit_codes\":\"detailed\",\"retention.releases\":2,"
                "\"retention.transactions\":1000," NGINX "\"http.ca_file\":\"\"," FORGES
                "\"notify.url\":\"\",\"notify.attempts\":3,\"notify.timeout\":10000000}";
        _cleanup_(value_freep) Value *v = NULL, *origins = NULL;
        (void)state;
        load(&v, &origins);
        assert_json(v, json);
        assert_int_equal(value_count(origins), value_count(v));
        for (size_t i = 0; i < value_count(origins); i++)
                assert_string_equal(value_text(origins->map.entries[i].value), "default");
}

static void a_later_layer_wins_and_is_named(void **state) {
        _cleanup_(value_freep) Value *v = NULL, *origins = NULL;
        const ConfigOverride overrides[] = {{"wait", "4s", "--set"}, {"wait", "5s", "--wait"}};
        (void)state;
        put("etc/pawl/pawl.yaml",
            "# host\nwait: 1s\nnotify:\n  attempts: 7\n  timeout: 1s\nretention.releases: 9\nexit_codes: simple\n");
        put("etc/pawl/conf.d/b.yaml", "notify.timeout: 3s\nports: {range: [5000, 5001]}\n");
        put("etc/pawl/conf.d/a.yaml", "notify.timeout: 2s\nwait: 2s\n");
        put("etc/pawl/conf.d/c.yml", "sorce: not read\n");
        put("etc/pawl/conf.d/.d.yaml", "sorce: not read\n");
        setenv("PAWL_WAIT", "3s", 1);
        setenv("PAWL_PORTS_RANGE", "[6000, 7000]", 1);
        setenv("PAWL_OPERATOR", "someone", 1);
        assert_int_equal(config_load(root, overrides, 2, &v, &origins, NULL), 0);
        assert_json(
                v,
                "{\"ports.range\":[6000,7000],\"naming.prefix\":\"pawl-\",\"wait\":5000000,\"exit_codes\":\"simple\",\"retention.releases\":9,"
                "\"retention.transactions\":1000," NGINX "\"http.ca_file\":\"\"," FORGES
                "\"notify.url\":\"\",\"notify.attempts\":7,\"notify.timeout\":3000000}");
        assert_string_equal(value_get_text(origins, "wait"), "--wait");
        assert_string_equal(value_get_text(origins, "ports.range"), "PAWL_PORTS_RANGE");
        assert_string_equal(value_get_text(origins, "notify.timeout"), "/etc/pawl/conf.d/b.yaml:1");
        assert_string_equal(value_get_text(origins, "notify.attempts"), "/etc/pawl/pawl.yaml:4");
        assert_string_equal(value_get_text(origins, "retention.releases"), "/etc/pawl/pawl.yaml:6");
        assert_string_equal(value_get_text(origins, "naming.prefix"), "default");
}

/* clang-format off */
static const struct { const char *text, *message, *hint; } wrong[] = {
        {"wiat: 1s\n",                    "/etc/pawl/pawl.yaml:1:1: there is no key \"wiat\"", "Did you mean \"wait\"?"},
        {"ports: {rnge: [1, 2]}\n",       "/etc/pawl/pawl.yaml:1:9: there is no key \"ports.rnge\"", "Did you mean \"ports.range\"?"},
        {"ports: 3000\n",                 "/etc/pawl/pawl.yaml:1:8: \"ports\" must be a map", NULL},
        {"- a\n",                         "/etc/pawl/pawl.yaml:1:1: the configuration must be a map, not a list", NULL},
        {"wait: soon\n",                  "/etc/pawl/pawl.yaml:1:7: \"wait\" must be a time from 0s to 30 d, such as 500ms, 10s or 2m, not \"soon\"", NULL},
        {"wait: [1s]\n",                  "/etc/pawl/pawl.yaml:1:7: \"wait\" must be a time from 0s to 30 d, such as 500ms, 10s or 2m, not a list", NULL},
        {"retention: {releases: 0}\n",    "/etc/pawl/pawl.yaml:1:23: \"retention.releases\" must be a number from 1 to 1000000, not \"0\"", NULL},
        {"ports.range: [3000]\n",         "/etc/pawl/pawl.yaml:1:14: \"ports.range\" must be a list of two numbers, such as [3000, 4000]", NULL},
        {"ports.range: 3000-4000\n",      "/etc/pawl/pawl.yaml:1:14: \"ports.range\" must be a list of two numbers, such as [3000, 4000]", NULL},
        {"ports.range: [3000, 3000]\n",   "/etc/pawl/pawl.yaml:1:14: \"ports.range\" is empty: it must go from a lower to a higher number", NULL},
        {"ports.range: [0, 3000]\n",      "/etc/pawl/pawl.yaml:1:15: \"ports.range\" must be a number from 1 to 65535, not \"0\"", NULL},
        {"nginx: {layout: debian}\n",     "/etc/pawl/pawl.yaml:1:17: \"nginx.layout\" must be auto, sites or conf.d, not \"debian\"", NULL},
        {"nginx: {dir: etc/nginx}\n",     "/etc/pawl/pawl.yaml:1:14: \"nginx.dir\" must be an absolute path, not \"etc/nginx\"", NULL},
        {"nginx: {listen: '80; x'}\n",    "/etc/pawl/pawl.yaml:1:17: \"nginx.listen\" must be addresses as nginx has them, such as 80 [::]:80, not \"80; x\"", NULL},
        {"exit_codes: some\n",            "/etc/pawl/pawl.yaml:1:13: \"exit_codes\" must be detailed or simple, not \"some\"", NULL},
        {"naming: {prefix: Pawl-}\n",     "/etc/pawl/pawl.yaml:1:18: \"naming.prefix\" must be 1 to 6 characters of a to z, 0 to 9 and single hyphens, with a letter in front, not \"Pawl-\"", NULL},
        {"http: {ca_file: ca.pem}\n",     "/etc/pawl/pawl.yaml:1:17: \"http.ca_file\" must be an absolute path, not \"ca.pem\"", NULL},
        {"notify: {url: ntfy}\n",         "/etc/pawl/pawl.yaml:1:15: \"notify.url\" must be a URL beginning with https:// or http://, not \"ntfy\"", NULL},
        {"wait: 1s\nwait: 1s\n",          "/etc/pawl/pawl.yaml:2:1: the key \"wait\" is there twice", NULL},
        {"ports.range: [1, 2]\nports: {range: [1, 2]}\n", "/etc/pawl/pawl.yaml:2:9: the key \"ports.range\" is there twice", NULL},
        {"wait: &a 1s\n",                 "/etc/pawl/pawl.yaml:1:7: anchors are not allowed", NULL},
};
/* clang-format on */

static void a_mistake_is_told_with_its_place(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                Value *v = NULL;
                Error err = ERROR_INIT;
                put("etc/pawl/pawl.yaml", wrong[i].text);
                if (config_load(root, NULL, 0, &v, NULL, &err) >= 0)
                        fail_msg("was accepted: %s", wrong[i].text);
                assert_null(v);
                assert_string_equal(err.message, wrong[i].message);
                assert_int_equal(err.code, ERR_CONFIG);
                if (wrong[i].hint)
                        assert_string_equal(err.hint, wrong[i].hint);
        }
}

static void a_mistake_outside_a_file_names_its_origin(void **state) {
        const ConfigOverride no_key = {"wiat", "1s", "--set"}, no_value = {"retention.releases", "many", "--set"};
        Value *v = NULL;
        Error err = ERROR_INIT;
        (void)state;
        assert_true(config_load(root, &no_key, 1, &v, NULL, &err) < 0);
        assert_string_equal(err.message, "--set: there is no key \"wiat\"");
        assert_string_equal(err.hint, "Did you mean \"wait\"?");
        assert_true(config_load(root, &no_value, 1, &v, NULL, &err) < 0);
        assert_string_equal(err.message,
                            "--set: \"retention.releases\" must be a number from 1 to 1000000, not \"many\"");
        setenv("PAWL_PORTS_RANGE", "[1, 2", 1);
        assert_true(config_load(root, NULL, 0, &v, NULL, &err) < 0);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.message, "this is not YAML"));
        setenv("PAWL_PORTS_RANGE", "3000", 1);
        assert_true(config_load(root, NULL, 0, &v, NULL, &err) < 0);
        assert_string_equal(err.message,
                            "PAWL_PORTS_RANGE: \"ports.range\" must be a list of two numbers, such as [3000, 4000]");
}

static void the_template_means_the_defaults(void **state) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(value_freep) Value *v = NULL, *w = NULL, *x = NULL;
        (void)state;
        assert_int_equal(config_template(&text, NULL), 0);
        load(&v, NULL);
        put("etc/pawl/pawl.yaml", text);
        load(&w, NULL);
        assert_true(value_equal(v, w));
        for (char *p = text; (p = strstr(p, "\n#")); p++) /* with every key in force */
                if (p[2] != ' ')
                        p[1] = ' ';
        put("etc/pawl/pawl.yaml", text);
        load(&x, NULL);
        assert_true(value_equal(v, x));
}

static void what_is_no_file_is_refused(void **state) {
        Value *v = NULL;
        Error err = ERROR_INIT;
        (void)state;
        assert_int_equal(mkdirat(root, "etc/pawl/pawl.yaml", 0755), 0);
        assert_true(config_load(root, NULL, 0, &v, NULL, &err) < 0);
        assert_string_equal(err.message, "\"/etc/pawl/pawl.yaml\" is not a file");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(without_files_every_key_has_its_default, setup, teardown),
                cmocka_unit_test_setup_teardown(a_later_layer_wins_and_is_named, setup, teardown),
                cmocka_unit_test_setup_teardown(a_mistake_is_told_with_its_place, setup, teardown),
                cmocka_unit_test_setup_teardown(a_mistake_outside_a_file_names_its_origin, setup, teardown),
                cmocka_unit_test_setup_teardown(the_template_means_the_defaults, setup, teardown),
                cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
