/* SPDX-License-Identifier: Apache-2.0 */
/* The manager "release": an artifact in the store is whole and the right one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/lib/http_server.h"
#include "tests/lib/rooted.h"

extern const Manager manager_release;

#define RELEASES "opt/pawl/web/releases"
#define STAGED "root/" RELEASES "/.pawl-7-3artifact"
#define CONTENT_SIZE ((size_t)200000)

typedef struct Fixture {
        Rooted rooted;
        HttpServer *server;
        Error err;
        Value *args, *before;
        StepResult result;
        char content[CONTENT_SIZE];
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        rooted_write(&f->rooted, "root/" RELEASES "/keep", "", 0, 0644);
        f->server = http_server_start(false);
        for (size_t i = 0; i < CONTENT_SIZE; i++)
                f->content[i] = (char)(i * 3 + i / 17);
        f->before = value_new_map();
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "url", http_server_url(f->server, "/web"), NULL), 0);
        assert_int_equal(value_set_text(f->args, "sha256", hex_of(f->content, CONTENT_SIZE), NULL), 0);
        assert_int_equal(value_set_text(f->args, "path", RELEASES "/v1", NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        value_free(f->args);
        value_free(f->before);
        step_result_done(&f->result);
        http_server_stop(f->server);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

static ServerPage *serve(Fixture *f) {
        return http_server_page(
                f->server, &(ServerPage){.path = "/web", .body = f->content, .size = CONTENT_SIZE, .etag = "\"1\""});
}

static int apply(Fixture *f) {
        step_result_done(&f->result);
        return manager_release.apply(&f->rooted.host, f->args, f->before, &f->result, &f->err);
}

static int revert(Fixture *f) {
        return manager_release.revert(&f->rooted.host, f->args, f->before, &f->err);
}

static Probe probe(Fixture *f) {
        Probe p = PROBE_UNREACHABLE;
        assert_int_equal(manager_release.probe(&f->rooted.host, f->args, f->before, &p, &f->err), 0);
        return p;
}

static void assert_nothing_left(Fixture *f) {
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 1);
}

static void artifact_is_fetched_and_reverted(void **state) {
        Fixture *f = *state;
        struct stat st;
        serve(f);
        assert_int_equal(field_check(manager_release.args, f->args, "release", &f->err), 0);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(apply(f), 0);
        assert_int_equal(probe(f), PROBE_AFTER);
        assert_int_equal(value_get_int(f->result.facts, "size", 0), CONTENT_SIZE);
        assert_int_equal(stat(rooted_path(&f->rooted, STAGED), &st), 0);
        assert_int_equal(st.st_size, CONTENT_SIZE);
        assert_int_equal(revert(f), 0);
        assert_int_equal(revert(f), 0);
        assert_nothing_left(f);
}

static void second_apply_fetches_nothing(void **state) {
        Fixture *f = *state;
        serve(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(http_server_count(f->server, NULL), 1);
}

static void half_an_artifact_is_fetched_again(void **state) {
        Fixture *f = *state;
        serve(f);
        assert_int_equal(value_set_int(f->args, "size", CONTENT_SIZE, NULL), 0);
        rooted_write(&f->rooted, STAGED, f->content, 1000, 0644);
        assert_int_equal(probe(f), PROBE_PARTIAL);
        assert_int_equal(apply(f), 0);
        assert_int_equal(probe(f), PROBE_AFTER);
}

static void cut_download_is_resumed(void **state) {
        Fixture *f = *state;
        ServerPage *page = serve(f);
        page->n_cuts = 1;
        page->cut_at = 100000;
        assert_int_equal(apply(f), 0);
        assert_memory_equal(http_server_seen(f->server, 1)->range, "bytes=", 6);
}

static void wrong_bytes_are_refused_by_name(void **state) {
        Fixture *f = *state;
        char expected[1024];
        http_server_page(f->server, &(ServerPage){.path = "/web", .body = "evil", .size = 4});
        assert_int_equal(apply(f), -EBADMSG);
        assert_int_equal(f->err.code, ERR_CHECKSUM);
        snprintf(expected, sizeof(expected), "checksum of \"%s\" does not match: expected %s, got %s",
                 http_server_url(f->server, "/web"), hex_of(f->content, CONTENT_SIZE), hex_of("evil", 4));
        assert_string_equal(f->err.message, expected);
        assert_nothing_left(f);
}

static void prefetched_content_is_not_fetched_again(void **state) {
        Fixture *f = *state;
        Prefetched have = {.fd = fs_create_unnamed(f->rooted.host.root, "opt/pawl", 0644, &f->err)};
        assert_true(have.fd >= 0);
        assert_int_equal(fs_write_all(have.fd, f->content, CONTENT_SIZE, &f->err), 0);
        memcpy(have.sha256, hex_of(f->content, CONTENT_SIZE), DIGEST_HEX_SIZE);
        f->rooted.host.prefetched = &have;
        f->rooted.host.n_prefetched = 1;
        assert_int_equal(apply(f), 0);
        assert_int_equal(http_server_count(f->server, NULL), 0);
        assert_int_equal(probe(f), PROBE_AFTER);
        close(have.fd);
}

static void prefetched_content_of_another_digest_is_not_used(void **state) {
        Fixture *f = *state;
        serve(f);
        Prefetched have = {.fd = fs_create_unnamed(f->rooted.host.root, "opt/pawl", 0644, &f->err)};
        memcpy(have.sha256, hex_of("other", 5), DIGEST_HEX_SIZE);
        f->rooted.host.prefetched = &have;
        f->rooted.host.n_prefetched = 1;
        assert_int_equal(apply(f), 0);
        assert_int_equal(http_server_count(f->server, NULL), 1);
        close(have.fd);
}

static void secret_headers_are_sent(void **state) {
        Fixture *f = *state;
        serve(f);
        Value *headers = value_new_array();
        static const char header[] = "Authorization: Bearer hunter2";
        assert_int_equal(value_append(headers, value_new_secret(header, strlen(header)), NULL), 0);
        assert_int_equal(value_set(f->args, "headers", headers, NULL), 0);
        assert_int_equal(field_check(manager_release.args, f->args, "release", &f->err), 0);
        assert_int_equal(apply(f), 0);
        assert_string_equal(http_server_seen(f->server, 0)->authorization, "Bearer hunter2");
}

static void missing_artifact_leaves_nothing(void **state) {
        Fixture *f = *state;
        assert_int_equal(apply(f), -ENOENT);
        assert_nothing_left(f);
}

static void tidy_removes_the_artifact(void **state) {
        Fixture *f = *state;
        serve(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(manager_release.tidy(&f->rooted.host, f->args, f->before, &f->err), 0);
        assert_nothing_left(f);
        assert_int_equal(manager_release.tidy(&f->rooted.host, f->args, f->before, &f->err), 0);
}

static void description_hides_credentials(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *line = NULL;
        assert_int_equal(value_set_text(f->args, "url", "https://me:hunter2@h/x", NULL), 0);
        assert_int_equal(manager_release.describe(f->args, &line, &f->err), 0);
        assert_null(strstr(line, "hunter2"));
        assert_non_null(strstr(line, "fetch https://"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(artifact_is_fetched_and_reverted),
                TEST(second_apply_fetches_nothing),
                TEST(half_an_artifact_is_fetched_again),
                TEST(cut_download_is_resumed),
                TEST(wrong_bytes_are_refused_by_name),
                TEST(prefetched_content_is_not_fetched_again),
                TEST(prefetched_content_of_another_digest_is_not_used),
                TEST(secret_headers_are_sent),
                TEST(missing_artifact_leaves_nothing),
                TEST(tidy_removes_the_artifact),
                TEST(description_hides_credentials),
        };
        return cmocka_run_group_tests_name("release", tests, NULL, NULL);
}
