/* SPDX-License-Identifier: Apache-2.0 */
/* Specs: every message with its place, every default, and that equal meaning is one hash. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/spec.h"

#define SMALLEST "pawl: 1\nsource: ./x\n"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int parse(const char *text, Value **ret, Error *err) {
        return spec_parse(text, strlen(text), "web.yaml", "/srv/app", ret, err);
}

static Value *parsed(const char *text) {
        Value *v = NULL;
        Error err = ERROR_INIT;
        if (parse(text, &v, &err) < 0)
                fail_msg("%s\n%s", text, err.message);
        return v;
}

static void hash_of(const char *text, char ret[static 17]) {
        _cleanup_(value_freep) Value *v = parsed(text);
        assert_int_equal(spec_hash(v, ret, NULL), 0);
}

static void assert_json(const Value *v, const char *json) {
        _cleanup_free_ char *text = NULL;
        assert_int_equal(json_encode(v, JSON_COMPACT, &text, NULL), 0);
        assert_string_equal(text, json);
}

/* clang-format off */
static const struct { const char *text, *message, *hint; } wrong[] = {
        {"",                                "web.yaml:1:1: the spec is empty", NULL},
        {"- a\n",                           "web.yaml:1:1: a spec must be a map, not a list", NULL},
        {"source: ./x\n",                   "web.yaml:1:1: \"pawl\" is missing: it says which format the spec has, and this pawl reads format 1", "The first line of a spec is: pawl: 1"},
        {"pawl: 2\nsorce: 1\n",             "web.yaml:1:7: this pawl reads specs of format 1, not \"2\"", NULL},
        {"pawl: [1]\n",                     "web.yaml:1:7: this pawl reads specs of format 1, not \"list\"", NULL},
        {"pawl: 1\n",                       "web.yaml:1:1: \"source\" is missing", NULL},
        {"pawl: 1\nsource:\n",              "web.yaml:1:1: \"source\" is missing", NULL},
        {"pawl: 1\n\nsorce: ./x\n",         "web.yaml:3:1: there is no key \"sorce\"", "Did you mean \"source\"?"},
        {SMALLEST "health: {typ: tcp}\n",   "web.yaml:3:10: there is no key \"typ\" in \"health\"", "Did you mean \"type\"?"},
        {SMALLEST "xyzzyx: 1\n",            "web.yaml:3:1: there is no key \"xyzzyx\"", ""},
        {SMALLEST "kind: \"a\\e[1m\\x9b\"\n", "web.yaml:3:7: \"kind\" must be one of service, worker, not \"a [1m  \"", NULL},
        {SMALLEST "name: Web\n",            "web.yaml:3:7: \"Web\" cannot be the name of a service", "A name has 1 to 26 characters: a to z, 0 to 9 and single hyphens, with a letter or digit at both ends."},
        {SMALLEST "name: [web]\n",          "web.yaml:3:7: \"name\" must be a text, not a list", NULL},
        {SMALLEST "version: a/b\n",         "web.yaml:3:10: \"a/b\" cannot be a version", NULL},
        {SMALLEST "kind: srvice\n",         "web.yaml:3:7: \"kind\" must be one of service, worker, not \"srvice\"", NULL},
        {SMALLEST "kind: service\nport: http\n", "web.yaml:4:7: \"port\" must be a number from 1 to 65535 or auto, not \"http\"", NULL},
        {SMALLEST "port: 65536\n",          "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not \"65536\"", NULL},
        {SMALLEST "port: 0\n",             "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not \"0\"", NULL},
        {SMALLEST "port: -1\n",            "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not \"-1\"", NULL},
        {SMALLEST "port: 080\n",            "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not \"080\"", NULL},
        {SMALLEST "port: {}\n",             "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not a map", NULL},
        {SMALLEST "port: 99999999999999999999\n", "web.yaml:3:7: \"port\" must be a number from 1 to 65535 or auto, not \"99999999999999999999\"", NULL},
        {SMALLEST "data: yes\n",            "web.yaml:3:7: \"data\" must be true or false, not \"yes\"", NULL},
        {SMALLEST "timeout: soon\n",        "web.yaml:3:10: \"timeout\" must be a time from 1 s to 30 d, such as 500ms, 10s or 2m, not \"soon\"", NULL},
        {SMALLEST "on_crash: panic\n",      "web.yaml:3:11: \"on_crash\" must be one of reverse, finish, not \"panic\"", NULL},
        {SMALLEST "retention: 3\n",         "web.yaml:3:12: \"retention\" must be a map, not \"3\"", NULL},
        {SMALLEST "retention: {releases: 0}\n", "web.yaml:3:23: \"retention.releases\" must be a number from 1 to 10000, not \"0\"", NULL},
        {"pawl: 1\nsource: {}\n",           "web.yaml:2:9: \"source\" needs a path, a url or a repo", NULL},
        {"pawl: 1\nsource: {type: url}\n",  "web.yaml:2:9: \"source.url\" is missing", NULL},
        {"pawl: 1\nsource: {path: a, url: 'https://x/y'}\n", "web.yaml:2:9: \"source\" needs a path, a url or a repo", NULL},
        {"pawl: 1\nsource: {type: path, path: a, url: 'https://x/y'}\n", "web.yaml:2:31: \"source.url\" cannot stand beside \"source.path\"", NULL},
        {"pawl: 1\nsource: {url: \"https://h/${TOKEN}/y\"}\n", "web.yaml:2:15: \"source.url\" must be a URL beginning with https://, http:// or file:///, without ${...}, not \"https://h/${TOKEN}/y\"", NULL},
        {"pawl: 1\nsource: https://u:geheim@h/y\n", "web.yaml:2:9: \"source.url\" has a password or a token in it, and would be written down as it is: \"https://u:****@h/y\"", "Fetch it yourself and name its path, or have it served without."},
        {"pawl: 1\nsource: https://h/y?token=geheim\n", "web.yaml:2:9: \"source.url\" has a password or a token in it, and would be written down as it is: \"https://h/y?token=****\"", NULL},
        {"pawl: 1\nsource: ftp://x/y\n",    "web.yaml:2:9: \"source.url\" must be a URL beginning with https://, http:// or file:///, without ${...}, not \"ftp://x/y\"", NULL},
        {"pawl: 1\nsource: http://x/y\n",   "web.yaml:2:9: \"source.url\" is http: it needs \"source.sha256\"", "Add sha256, or use https."},
        {"pawl: 1\nsource: {path: a, sha256: 12}\n", "web.yaml:2:27: \"source.sha256\" must be 64 hex digits, not \"12\"", NULL},
        {"pawl: 1\nsource: {path: a, max_size: 2XB}\n", "web.yaml:2:29: \"source.max_size\" must be a size such as 500M or 2GB, not \"2XB\"", NULL},
        {"pawl: 1\nsource: {path: a, ca_file: b}\n", "web.yaml:2:19: \"source.ca_file\" is for a url", NULL},
        {"pawl: 1\nsource: {repo: a/b/c}\n", "web.yaml:2:16: \"source.repo\" must be owner/name or a name, not \"a/b/c\"", NULL},
        {"pawl: 1\nsource: github:../b\n", "web.yaml:2:9: \"source.repo\" must be owner/name or a name, not \"github:../b\"", NULL},
        {"pawl: 1\nsource: {repo: 'github:a/b', type: gitea}\n", "web.yaml:2:16: \"source.repo\" begins with github and the type is gitea", NULL},
        {"pawl: 1\nsource: {repo: 'gitlab:a/b'}\n", "web.yaml:2:16: \"source.repo\" begins with gitlab and the type is github", NULL},
        {"pawl: 1\nsource: {type: github}\n", "web.yaml:2:9: \"source.repo\" is missing", NULL},
        {"pawl: 1\nsource: {repo: a/b, path: c}\n", "web.yaml:2:21: \"source.path\" cannot stand beside \"source.repo\"", NULL},
        {"pawl: 1\nsource: {type: github, repo: a/b, url: 'https://h'}\n", "web.yaml:2:35: \"source.url\" cannot stand beside \"source.repo\"", NULL},
        {"pawl: 1\nsource: {repo: a/b, ca_file: c}\n", "web.yaml:2:21: \"source.ca_file\" is for a url", "What a forge's certificate must be is the host's: github.ca_file, gitea.ca_file."},
        {"pawl: 1\nsource: {path: a, asset: b}\n", "web.yaml:2:19: \"source.asset\" is not for a source of type path", NULL},
        {"pawl: 1\nsource: {repo: a/b, asset: 'x-{os'}\n", "web.yaml:2:28: \"source.asset\" must be a file name in which {name}, {version}, {os} and {arch} are filled in, not \"x-{os\"", NULL},
        {"pawl: 1\nsource: {repo: a/b, asset: x/y}\n", "web.yaml:2:28: \"source.asset\" must be a file name in which {name}, {version}, {os} and {arch} are filled in, not \"x/y\"", NULL},
        {"pawl: 1\nsource: {repo: a/b, public_key: RWQ}\n", "web.yaml:2:33: \"source.public_key\" must be a minisign public key: the last line of minisign.pub, not \"RWQ\"", NULL},
        {"pawl: 1\nversion: v1\nsource: {repo: a/b, version: v2}\n", "web.yaml:3:21: \"source.version\" is another than \"version\"", "Keep one of the two."},
        {"pawl: 1\nsource: ~/x\n",          "web.yaml:2:9: \"source.path\" cannot begin with ~", NULL},
        {"pawl: 1\nsource: ''\n",           "web.yaml:2:9: \"source.path\" cannot be empty", NULL},
        {"pawl: 1\nsource: [a]\n",          "web.yaml:2:9: \"source\" must be a map, not a list", NULL},
        {SMALLEST "runtime: {exec: bin/x -p 1}\n", "web.yaml:3:17: \"runtime.exec\" must be a list of texts, not \"bin/x -p 1\"", "Write one item per word: [\"bin/program\", \"-p\", \"{port}\"]."},
        {SMALLEST "runtime: {exec: [a, [b]]}\n", "web.yaml:3:21: an item of \"runtime.exec\" must be a text, not a list", NULL},
        {SMALLEST "runtime: {exec: ['']}\n", "web.yaml:3:18: the first item of \"runtime.exec\" names a program and cannot be empty", NULL},
        {SMALLEST "runtime: {type: process, unit: {}}\n", "web.yaml:3:26: \"runtime.unit\" is for the runtime systemd", "Write type: systemd, or leave it out."},
        {SMALLEST "runtime: {unit: {after: [a b.service]}}\n", "web.yaml:3:25: \"runtime.unit.after\" has \"a b.service\", which is not the name of a unit", NULL},
        {SMALLEST "files: {path: secret-A, content: x}\n", "web.yaml:3:15: \"files.path\" cannot begin with \"secret-\": pawl writes such files itself", NULL},
        {SMALLEST "runtime: {directory: data}\n", "web.yaml:3:22: \"runtime.directory\" must be an absolute path, or one beginning with a place such as {data}, not \"data\"", NULL},
        {SMALLEST "env: {A: CHANGE_ME}\n",  "web.yaml:3:10: \"env.A\" is still CHANGE_ME", "Put the real value there."},
        {SMALLEST "env: {1A: x}\n",         "web.yaml:3:7: \"1A\" cannot be the name of a variable", NULL},
        {SMALLEST "env: {A: [x]}\n",        "web.yaml:3:10: \"env.A\" must be a text, not a list", NULL},
        {SMALLEST "env: {A: \"x\\ny\"}\n",  "web.yaml:3:10: \"env.A\" cannot have control characters or several lines", NULL},
        {SMALLEST "env: [A]\n",             "web.yaml:3:6: \"env\" must be a map of texts, not a list", NULL},
        {SMALLEST "secrets: [A, A]\n",      "web.yaml:3:10: \"secrets\" has \"A\" twice", NULL},
        {SMALLEST "env: {B: x, A: y}\nsecrets: [A]\n", "web.yaml:3:13: \"env.A\" is named by \"secrets\" as well", "Keep one of the two."},
        {SMALLEST "secrets: [A, PORT]\n",   "web.yaml:3:10: \"secrets\" has \"PORT\", which is the port of the service", "Leave it out."},
        {SMALLEST "secrets: [A-B]\n",       "web.yaml:3:11: \"secrets.name\" must be the name of a variable: letters, digits and _, not \"A-B\"", NULL},
        {SMALLEST "secrets: [{generate: 32}]\n", "web.yaml:3:11: \"secrets.name\" is missing", NULL},
        {SMALLEST "secrets: [{name: A, generate: 4}]\n", "web.yaml:3:31: \"secrets.generate\" must be a number from 8 to 128, true or false, not \"4\"", NULL},
        {SMALLEST "secrets: [{name: A, from: [vault]}]\n", "web.yaml:3:28: \"secrets.from\" must be a list of env, dotenv, store, not \"vault\"", NULL},
        {SMALLEST "route: web\n",           "web.yaml:3:8: \"web\" cannot be the host of a route", "Write it as DNS has it: a to z, 0 to 9 and hyphens between dots; other letters in their xn-- form."},
        {SMALLEST "route: 'a.org; }'\n",    "web.yaml:3:8: \"a.org; }\" cannot be the host of a route", NULL},
        {SMALLEST "route: /\n",             "web.yaml:3:8: \"/\" cannot be the path of a route", "Write \"/app\" or \"/team/app\": letters, digits and . _ ~ - between slashes, and none at its end."},
        {SMALLEST "route: {required: true}\n", "web.yaml:3:8: \"route\" needs a host or a path", NULL},
        {SMALLEST "route: {path: /a, tls: {cert: /c, key: /k}}\n", "web.yaml:3:19: \"route.tls\" needs \"route.host\"", NULL},
        {SMALLEST "route: {host: a.org, tls: {cert: '/a\"b', key: /k}}\n", "web.yaml:3:27: \"route.tls.cert\" has a character in it that cannot stand in nginx's configuration", NULL},
        {SMALLEST "route: {host: a.org, tls: {cert: /c}}\n", "web.yaml:3:27: \"route.tls.key\" is missing", NULL},
        {SMALLEST "kind: worker\nroute: a.org\n", "web.yaml:4:1: \"route\" is not for a worker", NULL},
        {SMALLEST "files: [{path: ../x, content: a}]\n", "web.yaml:3:16: \"files.path\" must be a file name without \"/\", not \"../x\"", NULL},
        {SMALLEST "files: [{path: env, content: a}]\n", "web.yaml:3:16: \"files.path\" cannot be \"env\": pawl writes a file of that name itself", NULL},
        {SMALLEST "files: [{path: a, content: b, mode: 4755}]\n", "web.yaml:3:37: \"files.mode\" must be an octal mode such as 0644, not \"4755\"", NULL},
        {SMALLEST "health: {path: /x}\n",   "web.yaml:3:10: \"health.path\" is for a health check of type http", "Write type: http as well."},
        {SMALLEST "health: {type: http, path: x}\n", "web.yaml:3:28: \"health.path\" must begin with / and have no blank or # in it", NULL},
        {SMALLEST "health: {interval: 0s}\n", "web.yaml:3:20: \"health.interval\" must be a time from 10 ms to 1 d, such as 500ms, 10s or 2m, not \"0s\"", NULL},
        {SMALLEST "health: {deadline: 0s}\n", "web.yaml:3:9: \"health\" has no end: attempts and deadline are both 0", NULL},
        {SMALLEST "health: {backoff: 0.5}\n", "web.yaml:3:19: \"health.backoff\" must be a number from 1 to 100, such as 1.5, not \"0.5\"", NULL},
        {SMALLEST "health: {type: http, status: 200, expect: {status: 200}}\n", "web.yaml:3:35: \"health.expect.status\" is the same as \"health.status\"", NULL},
        {SMALLEST "notify: ntfy\n",         "web.yaml:3:9: \"notify.url\" must be a URL beginning with https:// or http://, not \"ntfy\"", NULL},
        {SMALLEST "notify: {url: 'https://x', events: [done]}\n", "web.yaml:3:37: \"notify.events\" must be a list of completed, failed, not \"done\"", NULL},
        {SMALLEST "kind: worker\nport: 80\n", "web.yaml:4:1: \"port\" is not for a worker", NULL},
        {SMALLEST "kind: worker\nhealth: gc\n", "web.yaml:4:9: a worker has no port that \"health\" could ask", NULL},
};
/* clang-format on */

static void a_mistake_is_told_with_its_place(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                Value *v = NULL;
                Error err = ERROR_INIT;
                if (parse(wrong[i].text, &v, &err) >= 0)
                        fail_msg("was accepted: %s", wrong[i].text);
                assert_null(v);
                assert_string_equal(err.message, wrong[i].message);
                assert_int_equal(err.code, ERR_SPEC);
                if (wrong[i].hint)
                        assert_string_equal(err.hint, wrong[i].hint);
        }
}

/* clang-format off */
static const struct { const char *text, *message; } later[] = {
        {SMALLEST "\n\n\n\n\n\ndns: []\n",         "web.yaml:9:1: \"dns\" is not supported by pawl 0.1"},
        {SMALLEST "route: {via: caddy, host: a.org}\n", "web.yaml:3:14: \"route.via: caddy\" is not supported by pawl 0.1"},
        {SMALLEST "runtime: docker\n",             "web.yaml:3:10: \"runtime.type: docker\" is not supported by pawl 0.1"},
        {SMALLEST "runtime: {unit: {extra: {}}}\n", "web.yaml:3:18: \"runtime.unit.extra\" is not supported by pawl 0.1"},
        {"pawl: 1\nsource: {repo: a/b, type: git}\n", "web.yaml:2:27: \"source.type: git\" is not supported by pawl 0.1"},
        {"pawl: 1\nsource: {path: a, exclude: []}\n", "web.yaml:2:19: \"source.exclude\" is not supported by pawl 0.1"},
        {SMALLEST "health: fb\n",                  "web.yaml:3:9: \"health.preset: fb\" is not supported by pawl 0.1"},
        {SMALLEST "health: {type: https}\n",       "web.yaml:3:16: \"health.type: https\" is not supported by pawl 0.1"},
        {SMALLEST "health: {host: example.com}\n", "web.yaml:3:16: \"health.host: example.com\" is not supported by pawl 0.1"},
        {SMALLEST "health: {tls: {}}\n",           "web.yaml:3:10: \"health.tls\" is not supported by pawl 0.1"},
        {SMALLEST "notify: {url: 'https://x', events: [rolled_back]}\n", "web.yaml:3:37: \"notify.events: rolled_back\" is not supported by pawl 0.1"},
};
/* clang-format on */

static void what_a_later_pawl_will_know_is_refused_never_ignored(void **state) {
        static const char *const keys[] = {"target", "database",    "snapshot",    "migrate",     "verify",
                                           "dns",    "strategy",    "register",    "rollback",    "project",
                                           "stage",  "environment", "config_file", "env_required"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(later); i++) {
                Value *v = NULL;
                Error err = ERROR_INIT;
                if (parse(later[i].text, &v, &err) >= 0)
                        fail_msg("was accepted: %s", later[i].text);
                assert_string_equal(err.message, later[i].message);
                assert_int_equal(err.code, ERR_NOT_SUPPORTED);
        }
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_free_ char *text = text_format(SMALLEST "%s: x\n", keys[i]);
                Value *v = NULL;
                Error err = ERROR_INIT;
                assert_true(parse(text, &v, &err) < 0);
                assert_int_equal(err.code, ERR_NOT_SUPPORTED);
        }
}

static void the_smallest_spec_has_every_default(void **state) {
        _cleanup_(value_freep) Value *v = parsed(SMALLEST);
        (void)state;
        assert_json(
                v,
                "{\"name\":\"web\",\"kind\":\"service\",\"source\":{\"path\":\"/srv/app/x\",\"max_size\":2000000000,\"type\":\"path\"},"
                "\"runtime\":{\"type\":\"auto\",\"exec\":[],\"stop_timeout_usec\":10000000},\"data\":true,"
                "\"health\":{\"type\":\"tcp\",\"host\":\"127.0.0.1\",\"start_usec\":0,\"attempts\":0,\"interval_usec\":1000000,"
                "\"timeout_usec\":1000000,\"deadline_usec\":10000000,\"backoff_milli\":1000,\"max_interval_usec\":0,\"consecutive\":1},"
                "\"on_crash\":\"reverse\",\"timeout_usec\":600000000,\"port\":0}");
}

/* clang-format off */
static const struct { const char *text, *path, *json; } values[] = {
        {SMALLEST "version: 1.10\n",                  "version",   "\"1.10\""},
        {SMALLEST "port: auto\n",                     "port",      "0"},
        {SMALLEST "port: 8080\n",                     "port",      "8080"},
        {SMALLEST "env: {N: 010, B: yes, Z: , E: \"\"}\n", "env",  "{\"N\":\"010\",\"B\":\"yes\",\"Z\":\"\",\"E\":\"\"}"},
        {SMALLEST "env_file: ../a/./b/../.env\n",     "env_file",  "\"/srv/a/.env\""},
        {SMALLEST "env_file: ../../../../.env\n",     "env_file",  "\"/.env\""},
        {"pawl: 1\nsource: .\n",                      "source.path", "\"/srv/app\""},
        {"pawl: 1\nsource: /\n",                      "source.path", "\"/\""},
        {"pawl: 1\nsource: //a///b/\n",               "source.path", "\"/a/b\""},
        {"pawl: 1\nsource: https://x/y.tar.gz\n",     "source",    "{\"url\":\"https://x/y.tar.gz\",\"max_size\":2000000000,\"type\":\"url\"}"},
        {"pawl: 1\nsource: file:///x/y.tar.gz\n",     "source",    "{\"url\":\"file:///x/y.tar.gz\",\"max_size\":2000000000,\"type\":\"url\"}"},
        {"pawl: 1\nsource: {url: 'http://x/y', sha256: " HEX64 "}\n", "source.sha256", "\"" HEX64 "\""},
        {"pawl: 1\nsource: {path: a, max_size: 10MiB}\n", "source.max_size", "10485760"},
        {"pawl: 1\nsource: github:a/b\n",              "source",    "{\"repo\":\"a/b\",\"max_size\":2000000000,\"type\":\"github\"}"},
        {"pawl: 1\nsource: {repo: b}\n",               "source",    "{\"repo\":\"b\",\"max_size\":2000000000,\"type\":\"github\"}"},
        {"pawl: 1\nsource: gitea:a/b\n",               "source",    "{\"repo\":\"a/b\",\"max_size\":2000000000,\"type\":\"gitea\"}"},
        {"pawl: 1\nsource: {repo: a/b, url: 'https://h'}\n", "source.type", "\"gitea\""},
        {"pawl: 1\nsource: {repo: a/b, version: v1, checksums: auto, asset: '{{.Name}}-{version}'}\n", "source",
         "{\"repo\":\"a/b\",\"asset\":\"{{.Name}}-{version}\",\"max_size\":2000000000,\"type\":\"github\"}"},
        {"pawl: 1\nsource: {repo: a/b, version: v1}\n",  "version",   "\"v1\""},
        {"pawl: 1\nversion: v1\nsource: {repo: a/b, version: v1}\n", "version", "\"v1\""},
        {SMALLEST "secrets: [B, {name: A, generate: true, from: [store, env]}]\n", "secrets",
         "[{\"name\":\"A\",\"generate\":32,\"from\":[\"env\",\"store\"]},{\"name\":\"B\",\"generate\":32,\"from\":[\"env\",\"dotenv\",\"store\"]}]"},
        {SMALLEST "secrets: A\n",                     "secrets",   "[{\"name\":\"A\",\"generate\":32,\"from\":[\"env\",\"dotenv\",\"store\"]}]"},
        {SMALLEST "data: false\n",                    "data",      "false"},
        {SMALLEST "route: a.example.org\n", "route", "{\"host\":\"a.example.org\",\"required\":false}"},
        {SMALLEST "route: /team/app\n", "route", "{\"path\":\"/team/app\",\"required\":false}"},
        {SMALLEST "route: {via: nginx, host: a.org, path: /b, required: true, tls: {cert: /c, key: /k}}\n", "route", "{\"host\":\"a.org\",\"path\":\"/b\",\"tls\":{\"cert\":\"/c\",\"key\":\"/k\"},\"required\":true}"},
        {SMALLEST "files:\n  - path: a.conf\n    mode: 600\n    content: |\n      x\n", "files", "[{\"path\":\"a.conf\",\"content\":\"x\\n\",\"mode\":384}]"},
        {SMALLEST "notify: https://x/y\n",            "notify",    "[{\"url\":\"https://x/y\",\"events\":[],\"attempts\":3,\"timeout_usec\":10000000}]"},
        {SMALLEST "notify: ['https://x/y', {url: 'https://z', events: [failed], timeout: 0.5s}]\n", "notify",
         "[{\"url\":\"https://x/y\",\"events\":[],\"attempts\":3,\"timeout_usec\":10000000},{\"url\":\"https://z\",\"events\":[\"failed\"],\"attempts\":3,\"timeout_usec\":500000}]"},
        {SMALLEST "health: none\n",                   "health",    "{\"type\":\"none\"}"},
        {SMALLEST "health: {type: none, attempts: 3}\n", "health", "{\"type\":\"none\"}"},
        {SMALLEST "kind: worker\n",                   "health",    "{\"type\":\"none\",\"consecutive\":3,\"interval_usec\":1000000}"},
        {SMALLEST "health: {preset: dw, path: /h, attempts: 2}\n", "health",
         "{\"type\":\"http\",\"host\":\"127.0.0.1\",\"path\":\"/h\",\"start_usec\":0,\"attempts\":2,\"interval_usec\":5000000,\"timeout_usec\":10000000,"
         "\"deadline_usec\":0,\"backoff_milli\":1000,\"max_interval_usec\":0,\"consecutive\":1,\"scheme\":\"http\",\"status\":200}"},
        {SMALLEST "health: {preset: dp, expect: {status: 204}}\n", "health.status", "204"},
        {SMALLEST "health: dp\n",                     "health.start_usec", "30000000"},
        {SMALLEST "health: tg-fast\n",                "health.backoff_milli", "1500"},
        {SMALLEST "health: tg-fast\n",                "health.max_interval_usec", "2000000"},
        {SMALLEST "health: {port: 9000}\n",           "health.port", "9000"},
        {SMALLEST "retention: {releases: 5}\n",       "retention", "{\"releases\":5}"},
        {SMALLEST "runtime: {stop_timeout: 2m, directory: '{data}', user: web}\n", "runtime",
         "{\"type\":\"auto\",\"exec\":[],\"user\":\"web\",\"stop_timeout_usec\":120000000,\"directory\":\"{data}\"}"},
        {SMALLEST "runtime: {type: process, user: auto}\n", "runtime", "{\"type\":\"process\",\"exec\":[],\"stop_timeout_usec\":10000000}"},
        {SMALLEST "runtime: {credentials: true, unit: {after: [a.service, b@c.target], restart: always, restart_sec: 200ms}}\n", "runtime",
         "{\"type\":\"auto\",\"exec\":[],\"credentials\":true,\"stop_timeout_usec\":10000000,\"unit\":{\"after\":[\"a.service\",\"b@c.target\"],"
         "\"restart\":\"always\",\"restart_usec\":200000,\"hardening\":true}}"},
        {SMALLEST "resources: {memory: 64MiB, cpu: 0.5}\n", "resources", "{\"memory\":67108864,\"cpu_milli\":500}"},
};
/* clang-format on */

static void a_key_means_what_the_table_says(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_(value_freep) Value *v = parsed(values[i].text);
                assert_json(value_path(v, values[i].path), values[i].json);
        }
}

static void what_says_nothing_is_absent(void **state) {
        static const char *const absent[] = {"version", "env",       "env_file", "secrets",
                                             "files",   "retention", "notify",   "pawl"};
        _cleanup_(value_freep) Value *v = parsed(SMALLEST "env: {}\nsecrets: []\nnotify:\nretention: {}\n"),
                                     *w = parsed(SMALLEST "kind: worker\n");
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(absent); i++)
                assert_null(value_get(v, absent[i]));
        assert_null(value_get(w, "port"));
}

/* clang-format off */
static const char *const spellings[][2] = {
        {SMALLEST,                               "pawl: '1'\nname: web\nsource: {type: path, path: /srv/app/x}\n"},
        {SMALLEST,                               "source: {path: ../app/./x/, max_size: 2000MB}\npawl: 1 # here\nport: auto\n"},
        {SMALLEST,                               SMALLEST "health: gc\nruntime: auto\ntimeout: 600\nenv: {}\n"},
        {SMALLEST,                               SMALLEST "health:\n  preset: gc\n  deadline: 10000ms\n  backoff: 1\n"},
        {SMALLEST,                               SMALLEST "health: {type: tcp, host: auto, port: auto}\n"},
        {SMALLEST,                               SMALLEST "runtime: {type: auto, exec: []}\ndata: true\non_crash: reverse\n"},
        {SMALLEST "env: {A: 1, B: x}\n",         SMALLEST "env:\n  B: \"x\"\n  A: '1'\n"},
        {SMALLEST "secrets: [A, B]\n",           SMALLEST "secrets: [{name: B, generate: true}, {name: A, from: [store, env, dotenv]}]\n"},
        {SMALLEST "notify: https://x\n",         SMALLEST "notify: [{url: 'https://x', timeout: 10s, format: json}]\n"},
        {SMALLEST "health: none\n",              SMALLEST "health: {type: none, interval: 5s}\n"},
        {SMALLEST "kind: worker\n",              SMALLEST "kind: worker\nhealth: none\n"},
        {SMALLEST "health: {type: http}\n",      SMALLEST "health: {type: http, path: /, expect: {status: 200}, scheme: http}\n"},
};
/* clang-format on */

static void equal_meaning_has_one_hash(void **state) {
        char smallest[17], a[17], b[17];
        (void)state;
        hash_of(SMALLEST, smallest);
        for (size_t i = 0; i < ELEMENTSOF(spellings); i++) {
                hash_of(spellings[i][0], a);
                hash_of(spellings[i][1], b);
                if (strcmp(a, b) != 0)
                        fail_msg("not the same: %s", spellings[i][1]);
        }
        for (size_t i = 6; i < ELEMENTSOF(spellings); i++) {
                hash_of(spellings[i][0], a);
                assert_string_not_equal(a, smallest);
        }
        assert_int_equal(strspn(a, "0123456789abcdef"), 16);
}

static void an_open_secret_has_no_hash(void **state) {
        _cleanup_(value_freep) Value *v = parsed(SMALLEST);
        char hash[17];
        (void)state;
        assert_int_equal(value_set(v, "x", value_new_secret("a", 1), NULL), 0);
        assert_int_equal(spec_hash(v, hash, NULL), -EINVAL);
}

static Value *raw_spec(void) {
        Value *v = value_new_map(), *env = value_new_map();
        assert_int_equal(value_set_text(v, "name", "web", NULL), 0);
        assert_int_equal(value_set_text(v, "source", "./x", NULL), 0);
        assert_int_equal(value_set_int(v, "port", 8080, NULL), 0);
        assert_int_equal(value_set_text(env, "A", "1", NULL), 0);
        assert_int_equal(value_set(v, "env", env, NULL), 0);
        return v;
}

static void a_tree_is_read_like_a_file(void **state) {
        _cleanup_(value_freep) Value *raw = raw_spec(), *v = NULL;
        char a[17], b[17];
        (void)state;
        assert_int_equal(spec_from_value(raw, "body", "/srv/app", &v, NULL), 0);
        assert_int_equal(spec_hash(v, a, NULL), 0);
        hash_of(SMALLEST "port: 8080\nenv: {A: 1}\n", b);
        assert_string_equal(a, b);
}

static void assert_value_refused(const char *key, Value *child, const char *message) {
        _cleanup_(value_freep) Value *raw = raw_spec(), *v = NULL;
        Error err = ERROR_INIT;
        assert_int_equal(value_set(raw, key, child, NULL), 0);
        assert_true(spec_from_value(raw, "--env", "/srv/app", &v, &err) < 0);
        assert_string_equal(err.message, message);
}

static void a_tree_names_its_origin(void **state) {
        _cleanup_(value_freep) Value *raw = raw_spec(), *v = NULL;
        Error err = ERROR_INIT;
        (void)state;
        Value *env = value_new_map();
        assert_int_equal(value_set_text(env, "1A", "x", NULL), 0);
        assert_value_refused("env", env, "--env: \"1A\" cannot be the name of a variable");
        assert_value_refused("name", value_new_text("A"), "--env: \"A\" cannot be the name of a service");
        assert_value_refused("port", value_new_int(0x10000),
                             "--env: \"port\" must be a number from 1 to 65535 or auto, not \"65536\"");
        assert_value_refused("port", value_new_secret("x", 1), "--env: a spec cannot have a secret in it");
        assert_value_refused("kind", value_new_text("\xff"), "--env: a text is not UTF-8");
        assert_value_refused("dns", value_new_array(), "--env: \"dns\" is not supported by pawl 0.1");
        assert_value_refused("pawl", value_new_int(2), "--env: this pawl reads specs of format 1, not \"2\"");
        assert_true(spec_from_value(raw, "body", NULL, &v, &err) < 0);
        assert_string_equal(err.message, "body: \"source.path\" must be an absolute path here");
        value_remove(raw, "name");
        assert_true(spec_from_value(raw, "body", "/", &v, &err) < 0);
        assert_string_equal(err.message, "body: \"name\" is missing");
        assert_int_equal(value_set_num(raw, 7, value_new_int(1), NULL), 0);
        assert_true(spec_from_value(raw, "body", "/", &v, &err) < 0);
        assert_string_equal(err.message, "body: a key must be a text");
}

static void the_name_comes_from_the_file(void **state) {
        static const struct {
                const char *file, *name;
        } names[] = {{"web.yaml", "web"}, {"a/b/api-2.yml", "api-2"}, {"/x/web", "web"}, {"a.b/web.yaml", "web"}};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(value_freep) Value *v = NULL;
                assert_int_equal(spec_parse(SMALLEST, strlen(SMALLEST), names[i].file, "/", &v, NULL), 0);
                assert_string_equal(value_get_text(v, "name"), names[i].name);
        }
        Value *v = NULL;
        Error err = ERROR_INIT;
        assert_true(spec_parse(SMALLEST, strlen(SMALLEST), "a/My_Web.yaml", "/", &v, &err) < 0);
        assert_string_equal(err.message, "a/My_Web.yaml: \"My_Web\" cannot be the name of a service");
}

static void a_name_follows_the_rule(void **state) {
        static const char *const fine[] = {"a", "0", "web", "a-b-c", "abcdefghijklmnopqrstuvwxyz"};
        static const char *const not_fine[] = {"",        "-a",  "a-",  "a--b", "A",
                                               "a_b",     "a.b", "a/b", "..",   "abcdefghijklmnopqrstuvwxyz0",
                                               "\xc3\xa9"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(fine); i++)
                assert_int_equal(service_name_check(fine[i], NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(not_fine); i++)
                assert_int_equal(service_name_check(not_fine[i], NULL), -EINVAL);
}

static void a_version_follows_the_rule(void **state) {
        static const char *const fine[] = {"1",           "v1.2.3", "1.10", "sha-0123456789ab",
                                           "v1+0a1b2c3d", "...",    "A_b",  "-1"};
        static const char *const not_fine[] = {"", ".", "..", "a/b", ".pawl", ".pawl-x", "a b", "\xc3\xa9"};
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(fine); i++)
                assert_int_equal(version_check(fine[i], NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(not_fine); i++)
                assert_int_equal(version_check(not_fine[i], NULL), -EINVAL);
        assert_int_equal(version_check(HEX64 "0", NULL), -EINVAL);
}

static void write_file(const char *path, const char *text, size_t size) {
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
}

static void a_file_is_the_base_of_its_paths(void **state) {
        char dir[] = "/tmp/pawl-spec-XXXXXX";
        Error err = ERROR_INIT;
        _cleanup_(value_freep) Value *v = NULL, *w = NULL;
        (void)state;
        assert_non_null(mkdtemp(dir));
        _cleanup_free_ char *path = text_format("%s/web.yaml", dir), *source = text_format("%s/x", dir),
                            *fifo = text_format("%s/p.yaml", dir);
        _cleanup_free_ char *big = calloc(1, SPEC_SIZE_MAX + 1),
                            *message = text_format("%s:1:1: this file is larger than 1 MiB", path);
        write_file(path, SMALLEST, strlen(SMALLEST));
        assert_int_equal(spec_load(path, &v, &err), 0);
        assert_string_equal(value_text(value_path(v, "source.path")), source);
        memset(big, '#', SPEC_SIZE_MAX + 1);
        write_file(path, big, SPEC_SIZE_MAX + 1);
        assert_true(spec_load(path, &w, &err) < 0);
        assert_string_equal(err.message, message);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(spec_load(fifo, &w, &err), -EINVAL);
        unlink(path);
        assert_int_equal(spec_load(path, &w, &err), -ENOENT);
        assert_int_equal(err.code, ERR_SPEC);
        unlink(fifo);
        rmdir(dir);
}

static void the_reference_names_every_key(void **state) {
        static const char *const words[] = {"pawl ",
                                            "source ",
                                            "  sha256 ",
                                            "health ",
                                            "  deadline ",
                                            "  events ",
                                            "Not supported yet: project",
                                            "[reverse finish]"};
        _cleanup_free_ char *text = NULL;
        (void)state;
        assert_int_equal(spec_reference(&text, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                assert_non_null(strstr(text, words[i]));
        assert_null(strstr(text, "(null)"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_mistake_is_told_with_its_place),
                cmocka_unit_test(what_a_later_pawl_will_know_is_refused_never_ignored),
                cmocka_unit_test(the_smallest_spec_has_every_default),
                cmocka_unit_test(a_key_means_what_the_table_says),
                cmocka_unit_test(what_says_nothing_is_absent),
                cmocka_unit_test(equal_meaning_has_one_hash),
                cmocka_unit_test(an_open_secret_has_no_hash),
                cmocka_unit_test(a_tree_is_read_like_a_file),
                cmocka_unit_test(a_tree_names_its_origin),
                cmocka_unit_test(the_name_comes_from_the_file),
                cmocka_unit_test(a_name_follows_the_rule),
                cmocka_unit_test(a_version_follows_the_rule),
                cmocka_unit_test(a_file_is_the_base_of_its_paths),
                cmocka_unit_test(the_reference_names_every_key),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
