/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: what a spec names, resolved before anything changes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/lib/http_server.h"
#include "tests/lib/rooted.h"

typedef struct Fixture {
        Rooted rooted;
        HttpServer *tls, *plain;
        Error err;
        Value *spec, *facts, *known;
        Prefetched got;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        f->tls = http_server_start(true);
        f->plain = http_server_start(false);
        rooted_write(&f->rooted, "ca.pem", http_server_certificate(f->tls), strlen(http_server_certificate(f->tls)),
                     0644);
        f->spec = value_new_map();
        assert_int_equal(value_set_text(f->spec, "ca_file", rooted_path(&f->rooted, "ca.pem"), NULL), 0);
        f->got.fd = -1;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        value_free(f->spec);
        value_free(f->facts);
        value_free(f->known);
        fd_close(&f->got.fd);
        http_server_stop(f->tls);
        http_server_stop(f->plain);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

static void set(Fixture *f, const char *name, const char *text) {
        assert_int_equal(value_set_text(f->spec, name, text, NULL), 0);
}

static int resolve(Fixture *f, const char *type) {
        f->facts = value_free(f->facts);
        fd_close(&f->got.fd);
        return source_by_type(type)->resolve(&f->rooted.host, f->spec, f->known, &f->facts, &f->got, &f->err);
}

static void path_of_a_program_resolves(void **state) {
        Fixture *f = *state;
        rooted_write(&f->rooted, "web", "#!web", 5, 0755);
        set(f, "path", rooted_path(&f->rooted, "web"));
        assert_int_equal(resolve(f, "path"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("#!web", 5));
        assert_string_equal(value_get_text(f->facts, "format"), "program");
        assert_string_equal(value_get_text(f->facts, "location"), rooted_path(&f->rooted, "web"));
        assert_int_equal(value_get_int(f->facts, "size", 0), 5);
        assert_null(value_get(f->facts, "version"));
}

static void path_with_another_digest_is_refused(void **state) {
        Fixture *f = *state;
        rooted_write(&f->rooted, "web", "#!web", 5, 0755);
        set(f, "path", rooted_path(&f->rooted, "web"));
        set(f, "sha256", hex_of("other", 5));
        assert_int_equal(resolve(f, "path"), -EBADMSG);
        assert_int_equal(error_exit_status(f->err.code), 8);
}

static void missing_path_is_named(void **state) {
        Fixture *f = *state;
        set(f, "path", rooted_path(&f->rooted, "none"));
        assert_int_equal(resolve(f, "path"), -ENOENT);
        assert_non_null(strstr(f->err.message, "/none"));
}

static void pipe_is_refused_without_waiting(void **state) {
        Fixture *f = *state;
        assert_int_equal(mkfifo(rooted_path(&f->rooted, "pipe"), 0600), 0);
        set(f, "path", rooted_path(&f->rooted, "pipe"));
        assert_int_equal(resolve(f, "path"), -EINVAL);
}

static void directory_digest_follows_content_and_the_executable_bit(void **state) {
        Fixture *f = *state;
        char first[DIGEST_HEX_SIZE];
        rooted_write(&f->rooted, "d/b", "b", 1, 0644);
        rooted_write(&f->rooted, "d/a/c", "c", 1, 0644);
        set(f, "path", rooted_path(&f->rooted, "d"));
        assert_int_equal(resolve(f, "path"), 0);
        assert_string_equal(value_get_text(f->facts, "format"), "directory");
        snprintf(first, sizeof(first), "%s", value_get_text(f->facts, "sha256"));
        assert_int_equal(chmod(rooted_path(&f->rooted, "d/b"), 0600), 0);
        assert_int_equal(resolve(f, "path"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), first);
        assert_int_equal(chmod(rooted_path(&f->rooted, "d/b"), 0700), 0);
        assert_int_equal(resolve(f, "path"), 0);
        assert_string_not_equal(value_get_text(f->facts, "sha256"), first);
        assert_int_equal(chmod(rooted_path(&f->rooted, "d/b"), 0600), 0);
        assert_int_equal(rename(rooted_path(&f->rooted, "d/a/c"), rooted_path(&f->rooted, "d/a/d")), 0);
        assert_int_equal(resolve(f, "path"), 0);
        assert_string_not_equal(value_get_text(f->facts, "sha256"), first);
}

static void url_without_digest_is_read_and_kept(void **state) {
        Fixture *f = *state;
        http_server_page(f->tls, &(ServerPage){.path = "/web",
                                               .body = "#!web",
                                               .size = 5,
                                               .etag = "\"e1\"",
                                               .last_modified = "Mon, 02 Mar 2026 00:00:00 GMT"});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(resolve(f, "url"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("#!web", 5));
        assert_string_equal(value_get_text(f->facts, "etag"), "\"e1\"");
        assert_string_equal(value_get_text(f->facts, "format"), "program");
        assert_int_equal(value_get_int(f->facts, "size", 0), 5);
        assert_true(f->got.fd >= 0);
        assert_string_equal(f->got.sha256, hex_of("#!web", 5));
        char back[8] = "";
        assert_int_equal(pread(f->got.fd, back, sizeof(back), 0), 5);
        assert_string_equal(back, "#!web");
        assert_int_equal(rooted_count(&f->rooted, "root"), 0);
}

/* It may become the program itself, which cannot be executed while anyone could still write to it. */
static void what_was_read_is_not_open_for_writing(void **state) {
        Fixture *f = *state;
        http_server_page(f->tls, &(ServerPage){.path = "/web", .body = "#!web", .size = 5});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(resolve(f, "url"), 0);
        assert_int_equal(fcntl(f->got.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(fs_name_unnamed(f->got.fd, f->rooted.host.root, "web", &f->err), 0);
}

static void unchanged_url_is_only_asked(void **state) {
        Fixture *f = *state;
        ServerPage *page =
                http_server_page(f->tls, &(ServerPage){.path = "/web", .body = "#!web", .size = 5, .etag = "\"e1\""});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(resolve(f, "url"), 0);
        f->known = TAKE_PTR(f->facts);
        assert_int_equal(resolve(f, "url"), 0);
        assert_int_equal(f->got.fd, -1);
        assert_true(value_equal(f->facts, f->known));
        assert_string_equal(http_server_seen(f->tls, 1)->method, "HEAD");
        assert_int_equal(http_server_count(f->tls, NULL), 2);
        page->etag = "\"e2\"";
        page->body = "#!new";
        assert_int_equal(resolve(f, "url"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("#!new", 5));
        assert_true(f->got.fd >= 0);
}

static void date_alone_needs_the_size_too(void **state) {
        Fixture *f = *state;
        ServerPage *page = http_server_page(f->tls, &(ServerPage){.path = "/web",
                                                                  .body = "#!web",
                                                                  .size = 5,
                                                                  .last_modified = "Mon, 02 Mar 2026 00:00:00 GMT"});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(resolve(f, "url"), 0);
        f->known = TAKE_PTR(f->facts);
        assert_int_equal(resolve(f, "url"), 0);
        assert_int_equal(f->got.fd, -1);
        page->body = "#!longer";
        page->size = 8;
        assert_int_equal(resolve(f, "url"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("#!longer", 8));
}

static void url_with_digest_asks_nobody(void **state) {
        Fixture *f = *state;
        set(f, "url", http_server_url(f->plain, "/web.tar.gz?download=1"));
        set(f, "sha256", hex_of("x", 1));
        assert_int_equal(resolve(f, "url"), 0);
        assert_string_equal(value_get_text(f->facts, "format"), "tar");
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("x", 1));
        assert_int_equal(f->got.fd, -1);
        assert_int_equal(http_server_count(f->plain, NULL), 0);
}

static void http_without_digest_is_refused(void **state) {
        Fixture *f = *state;
        set(f, "url", http_server_url(f->plain, "/web"));
        assert_int_equal(resolve(f, "url"), -EINVAL);
        assert_int_equal(f->err.code, ERR_SPEC);
        assert_non_null(strstr(f->err.hint, "sha256"));
        set(f, "url", "ftp://h/web");
        assert_int_equal(resolve(f, "url"), -EINVAL);
        assert_int_equal(http_server_count(f->plain, NULL), 0);
}

static void redirect_to_http_is_refused(void **state) {
        Fixture *f = *state;
        http_server_page(f->tls, &(ServerPage){.path = "/web",
                                               .status = 302,
                                               .location = http_server_url(f->plain, "/web"),
                                               .body = ""});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(resolve(f, "url"), -EPERM);
        assert_int_equal(http_server_count(f->plain, NULL), 0);
}

static void larger_than_allowed_is_refused(void **state) {
        Fixture *f = *state;
        http_server_page(f->tls, &(ServerPage){.path = "/web", .body = "#!web", .size = 5});
        set(f, "url", http_server_url(f->tls, "/web"));
        assert_int_equal(value_set_int(f->spec, "max_size", 4, NULL), 0);
        assert_int_equal(resolve(f, "url"), -EFBIG);
        assert_int_equal(f->got.fd, -1);
}

static void file_url_resolves(void **state) {
        Fixture *f = *state;
        char url[1100];
        rooted_write(&f->rooted, "web", "PK\3\4....", 8, 0755);
        snprintf(url, sizeof(url), "file://%s", rooted_path(&f->rooted, "web"));
        set(f, "url", url);
        assert_int_equal(resolve(f, "url"), 0);
        assert_string_equal(value_get_text(f->facts, "sha256"), hex_of("PK\3\4....", 8));
        assert_string_equal(value_get_text(f->facts, "format"), "zip");
}

static void types_are_found_by_name(void **state) {
        (void)state;
        assert_string_equal(source_by_type("path")->type, "path");
        assert_true(source_by_type("github")->has_versions && source_by_type("gitea")->is_remote);
        assert_null(source_by_type("pigeon"));
        assert_int_equal(source_count(), 4);
        assert_null(source_at(4));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(path_of_a_program_resolves),
                TEST(path_with_another_digest_is_refused),
                TEST(missing_path_is_named),
                TEST(pipe_is_refused_without_waiting),
                TEST(directory_digest_follows_content_and_the_executable_bit),
                TEST(url_without_digest_is_read_and_kept),
                TEST(what_was_read_is_not_open_for_writing),
                TEST(unchanged_url_is_only_asked),
                TEST(date_alone_needs_the_size_too),
                TEST(url_with_digest_asks_nobody),
                TEST(http_without_digest_is_refused),
                TEST(redirect_to_http_is_refused),
                TEST(larger_than_allowed_is_refused),
                TEST(file_url_resolves),
                cmocka_unit_test(types_are_found_by_name),
        };
        return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
