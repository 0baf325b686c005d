/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a server that cuts, redirects and lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/http_fixture.h"

static void body_headers_and_agent_arrive(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x", .body = "hello", .size = 5, .etag = "\"e1\""});
        assert_int_equal(get(f, http_server_url(f->server, "/x"), &reply), 0);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.outcome, HTTP_REPLIED);
        assert_string_equal(reply.body, "hello");
        assert_string_equal(reply.etag, "\"e1\"");
        assert_int_equal(reply.content_length, 5);
        assert_string_equal(http_server_seen(f->server, 0)->agent, "pawl-test");
}

static void missing_page_is_a_reply_but_no_download(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        _cleanup_downloaded_ Downloaded got = {0};
        assert_int_equal(get(f, http_server_url(f->server, "/none"), &reply), 0);
        assert_int_equal(reply.status, 404);
        assert_int_equal(download(f, http_server_url(f->server, "/none"), 0, &got), -ENOENT);
        assert_int_equal(f->err.code, ERR_NOT_FOUND);
        char text[256];
        snprintf(text, sizeof(text), "could not download \"%s\": the server answered 404",
                 http_server_url(f->server, "/none"));
        assert_string_equal(f->err.message, text);
}

static void cut_download_goes_on_with_one_range_request(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x",
                                                  .body = f->content,
                                                  .size = CONTENT_SIZE,
                                                  .etag = "\"e1\"",
                                                  .n_cuts = 1,
                                                  .cut_at = 100000});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), 0);
        assert_string_equal(got.sha256, hex_of(f->content, CONTENT_SIZE));
        assert_int_equal(got.size, CONTENT_SIZE);
        assert_int_equal(http_server_count(f->server, "/x"), 2);
        assert_string_equal(http_server_seen(f->server, 0)->range, "");
        assert_memory_equal(http_server_seen(f->server, 1)->range, "bytes=", 6);
        assert_string_equal(http_server_seen(f->server, 1)->if_range, "\"e1\"");
}

static void cut_download_without_validator_begins_again(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x",
                                                  .body = f->content,
                                                  .size = CONTENT_SIZE,
                                                  .etag = "W/\"weak\"",
                                                  .n_cuts = 1,
                                                  .cut_at = 100000});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), 0);
        assert_string_equal(got.sha256, hex_of(f->content, CONTENT_SIZE));
        assert_string_equal(http_server_seen(f->server, 1)->range, "");
}

/* Content that changes between the cut and the second request. */
static ServerPage *changing_page;
static const char *changed_content;
static size_t changed_size;

static void change_page(void *userdata, const char *what, uint64_t done, uint64_t total) {
        (void)userdata, (void)what, (void)done, (void)total;
        if (changing_page && done > 0) {
                changing_page->body = changed_content;
                changing_page->size = changed_size;
                changing_page->etag = "\"e2\"";
        }
}

static void changed_content_is_read_from_the_beginning(void **state, bool ignores_if_range) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        _cleanup_free_ char *other = calloc(1, CONTENT_SIZE + 1000);
        memset(other, 'n', CONTENT_SIZE + 1000);
        ServerPage *page = http_server_page(f->server, &(ServerPage){.path = "/x",
                                                                     .body = f->content,
                                                                     .size = CONTENT_SIZE,
                                                                     .etag = "\"e1\"",
                                                                     .n_cuts = 1,
                                                                     .cut_at = 100000,
                                                                     .ignores_if_range = ignores_if_range});
        /* A sink that changes the page once something came: the answer under way has its bytes already. */
        changing_page = page;
        changed_content = other;
        changed_size = CONTENT_SIZE + 1000;
        f->rooted.calls.progress = change_page;
        int r = download(f, http_server_url(f->server, "/x"), 0, &got);
        changing_page = NULL;
        assert_int_equal(r, 0);
        assert_string_equal(got.sha256, hex_of(other, CONTENT_SIZE + 1000));
        assert_string_equal(got.etag, "\"e2\"");
}

static void changed_etag_begins_again(void **state) {
        changed_content_is_read_from_the_beginning(state, false);
}

static void part_of_other_content_is_not_glued_on(void **state) {
        changed_content_is_read_from_the_beginning(state, true);
}

static void server_without_ranges_begins_again(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x",
                                                  .body = f->content,
                                                  .size = CONTENT_SIZE,
                                                  .etag = "\"e1\"",
                                                  .n_cuts = 1,
                                                  .cut_at = 70000,
                                                  .ignores_range = true});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), 0);
        assert_string_equal(got.sha256, hex_of(f->content, CONTENT_SIZE));
        assert_int_equal(got.size, CONTENT_SIZE);
}

static void truncation_is_not_taken_for_the_end(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(
                f->server,
                &(ServerPage){.path = "/x", .body = f->content, .size = CONTENT_SIZE, .n_cuts = 100, .cut_at = 70000});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), -ECONNRESET);
        assert_int_equal(f->err.code, ERR_NETWORK);
        assert_int_equal(http_server_count(f->server, "/x"), 4);
}

static void busy_server_is_asked_again(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x",
                                                  .body = f->content,
                                                  .size = CONTENT_SIZE,
                                                  .n_failing = 2,
                                                  .fail_status = 429,
                                                  .retry_after = "0"});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), 0);
        assert_int_equal(http_server_count(f->server, "/x"), 3);
        assert_string_equal(got.sha256, hex_of(f->content, CONTENT_SIZE));
}

static void create_is_not_repeated_once_sent(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server,
                         &(ServerPage){.path = "/x", .body = f->content, .size = 20000, .n_cuts = 100, .cut_at = 10});
        HttpRequest request = {.method = "POST",
                               .url = http_server_url(f->server, "/x"),
                               .body = "b",
                               .n_body = 1,
                               .schemes = ALL_SCHEMES,
                               .retry = HTTP_RETRY_CREATE};
        assert_true(http_request(&f->rooted.host, &request, &reply, &f->err) < 0);
        assert_int_equal(reply.outcome, HTTP_REPLY_LOST);
        assert_int_equal(http_server_count(f->server, "/x"), 1);
}

static void refused_connection_is_not_sent(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        HttpServer *gone = http_server_start(false);
        const char *url = http_server_url(gone, "/x");
        http_server_stop(gone);
        assert_int_equal(get(f, url, &reply), -ECONNREFUSED);
        assert_int_equal(reply.outcome, HTTP_NOT_SENT);
        assert_non_null(strstr(f->err.message, "Connection refused"));
}

static void redirect_gets(Fixture *f, HttpServer *target, const char *expected) {
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(target, &(ServerPage){.path = "/end", .body = "end", .size = 3});
        http_server_page(f->server, &(ServerPage){.path = "/from",
                                                  .status = 302,
                                                  .location = http_server_url(target, "/end"),
                                                  .body = "",
                                                  .size = 0});
        const HttpHeader headers[] = {{"Authorization", "Bearer hunter2", true}};
        HttpRequest request = {.url = http_server_url(f->server, "/from"),
                               .headers = headers,
                               .n_headers = 1,
                               .schemes = ALL_SCHEMES};
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), 0);
        assert_string_equal(reply.body, "end");
        assert_string_equal(http_server_seen(f->server, 0)->authorization, "Bearer hunter2");
        assert_string_equal(http_server_seen(target, http_server_count(target, NULL) - 1)->authorization, expected);
}

static void secret_header_stays_within_the_host(void **state) {
        redirect_gets(*state, ((Fixture *)*state)->server, "Bearer hunter2");
}

static void secret_header_is_stripped_for_another_port(void **state) {
        HttpServer *other = http_server_start(false);
        redirect_gets(*state, other, "");
        http_server_stop(other);
}

static void secret_header_stays_stripped_after_that(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        HttpServer *other = http_server_start(false);
        http_server_page(other, &(ServerPage){.path = "/end", .body = "end", .size = 3});
        http_server_page(other, &(ServerPage){.path = "/via", .status = 307, .location = "/end", .body = ""});
        http_server_page(f->server, &(ServerPage){.path = "/from",
                                                  .status = 302,
                                                  .location = http_server_url(other, "/via"),
                                                  .body = ""});
        const HttpHeader headers[] = {{"Authorization", "Bearer hunter2", true}};
        HttpRequest request = {.url = http_server_url(f->server, "/from"),
                               .headers = headers,
                               .n_headers = 1,
                               .schemes = ALL_SCHEMES};
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), 0);
        assert_int_equal(http_server_count(other, NULL), 2);
        assert_string_equal(http_server_seen(other, 1)->authorization, "");
        http_server_stop(other);
}

static void body_is_not_sent_to_another_host(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        HttpServer *other = http_server_start(false);
        http_server_page(f->server, &(ServerPage){.path = "/from",
                                                  .status = 307,
                                                  .location = http_server_url(other, "/end"),
                                                  .body = ""});
        HttpRequest request = {.method = "POST",
                               .url = http_server_url(f->server, "/from"),
                               .body = "b",
                               .n_body = 1,
                               .schemes = ALL_SCHEMES};
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EPERM);
        assert_int_equal(http_server_count(other, NULL), 0);
        http_server_stop(other);
}

static void endless_redirects_end(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x", .status = 302, .location = "/x", .body = ""});
        assert_int_equal(get(f, http_server_url(f->server, "/x"), &reply), -ELOOP);
        assert_int_equal(http_server_count(f->server, "/x"), 6);
}

static void redirect_to_a_file_is_refused(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server,
                         &(ServerPage){.path = "/x", .status = 302, .location = "file:///etc/passwd", .body = ""});
        assert_int_equal(get(f, http_server_url(f->server, "/x"), &reply), -EPERM);
        assert_null(reply.body);
}

static void https_is_verified_and_never_left_for_http(void **state) {
        Fixture *f = *state;
        HttpServer *tls = http_server_start(true);
        rooted_write(&f->rooted, "ca.pem", http_server_certificate(tls), strlen(http_server_certificate(tls)), 0644);
        http_server_page(tls, &(ServerPage){.path = "/ok", .body = "safe", .size = 4});
        http_server_page(tls, &(ServerPage){.path = "/down",
                                            .status = 302,
                                            .location = http_server_url(f->server, "/x"),
                                            .body = ""});
        http_server_page(f->server, &(ServerPage){.path = "/x", .body = "evil", .size = 4});
        HttpRequest request = {.url = http_server_url(tls, "/ok"), .schemes = ALL_SCHEMES};
        {
                _cleanup_http_reply_ HttpReply reply = {0};
                assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EPROTO);
                assert_non_null(strstr(f->err.message, "certificate"));
        }
        request.ca_file = rooted_path(&f->rooted, "ca.pem");
        {
                _cleanup_http_reply_ HttpReply reply = {0};
                assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), 0);
                assert_string_equal(reply.body, "safe");
        }
        _cleanup_http_reply_ HttpReply reply = {0};
        request.url = http_server_url(tls, "/down");
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EPERM);
        assert_int_equal(http_server_count(f->server, NULL), 0);
        http_server_stop(tls);
}

static void schemes_are_https_alone_unless_told(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        HttpRequest request = {.url = http_server_url(f->server, "/x")};
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EPERM);
        request.url = "file:///etc/passwd";
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EPERM);
        assert_int_equal(http_server_count(f->server, NULL), 0);
}

static void announced_size_beyond_the_limit_moves_nothing(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x", .body = f->content, .size = CONTENT_SIZE});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), CONTENT_SIZE - 1, &got), -EFBIG);
        struct stat st;
        assert_int_equal(fstat(f->fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(download(f, http_server_url(f->server, "/x"), CONTENT_SIZE, &got), 0);
}

static void unannounced_size_is_limited_too(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server,
                         &(ServerPage){.path = "/x", .body = f->content, .size = CONTENT_SIZE, .has_no_length = true});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 100000, &got), -EFBIG);
        HttpRequest request = {.url = http_server_url(f->server, "/x"), .schemes = ALL_SCHEMES, .max_size = 1000};
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -EFBIG);
}

static void deadline_ends_a_slow_answer(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(f->server,
                         &(ServerPage){.path = "/x", .body = f->content, .size = CONTENT_SIZE, .slow_msec = 200});
        HttpRequest request = {.url = http_server_url(f->server, "/x"),
                               .schemes = ALL_SCHEMES,
                               .deadline_usec = 300 * USEC_PER_MSEC,
                               .retry = HTTP_RETRY_IDEMPOTENT};
        uint64_t begin = clock_boot_usec();
        assert_int_equal(http_request(&f->rooted.host, &request, &reply, &f->err), -ETIMEDOUT);
        assert_true(clock_boot_usec() - begin < 2 * USEC_PER_SEC);
        assert_int_equal(reply.outcome, HTTP_REPLY_LOST);
}

static void cancelling_ends_the_request(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        f->rooted.cancel = SIGINT;
        assert_int_equal(get(f, http_server_url(f->server, "/x"), &reply), -ECANCELED);
        assert_int_equal(http_server_count(f->server, NULL), 0);
}

static void secrets_stay_out_of_messages(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        HttpServer *gone = http_server_start(false);
        char url[256];
        snprintf(url, sizeof(url), "http://me:hunter2@127.0.0.1:%u/hook/T0PSECRET", http_server_port(gone));
        http_server_stop(gone);
        assert_true(get(f, url, &reply) < 0);
        assert_null(strstr(f->err.message, "hunter2"));
        http_reply_done(&reply);
        HttpRequest request = {.url = url, .schemes = ALL_SCHEMES, .is_url_secret = true};
        assert_true(http_request(&f->rooted.host, &request, &reply, &f->err) < 0);
        assert_null(strstr(f->err.message, "T0PSECRET"));
        assert_null(strstr(f->err.message, "hunter2"));
}

static void local_file_is_read_when_allowed(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        char url[1100];
        rooted_write(&f->rooted, "artifact", "content", 7, 0644);
        snprintf(url, sizeof(url), "file://%s", rooted_path(&f->rooted, "artifact"));
        assert_int_equal(download(f, url, 0, &got), 0);
        assert_string_equal(got.sha256, hex_of("content", 7));
}

static void empty_download_is_whole(void **state) {
        Fixture *f = *state;
        _cleanup_downloaded_ Downloaded got = {0};
        http_server_page(f->server, &(ServerPage){.path = "/x", .body = "", .size = 0});
        assert_int_equal(download(f, http_server_url(f->server, "/x"), 0, &got), 0);
        assert_int_equal(got.size, 0);
        assert_string_equal(got.sha256, hex_of("", 0));
}

static void limits_are_told_from_other_refusals(void **state) {
        int64_t now = clock_wall_usec() / 1000000;
        _cleanup_free_ char *soon = text_format("%lld", (long long)now + 600),
                            *past = text_format("%lld", (long long)now - 600);
        const struct {
                HttpReply reply;
                bool is_limited;
                uint64_t least, most; /* seconds */
        } cases[] = {
                {{.status = 429}, true, 0, 0},
                {{.status = 429, .retry_after = (char *)"30"}, true, 30, 30},
                {{.status = 429, .retry_after = (char *)"Wed, 21 Oct 2026 07:28:00 GMT"}, true, 0, 0},
                {{.status = 403, .retry_after = (char *)"60"}, true, 60, 60},
                {{.status = 403, .limit_left = (char *)"0", .limit_reset = soon}, true, 590, 600},
                {{.status = 403, .limit_left = (char *)"0", .limit_reset = past}, true, 0, 0},
                {{.status = 403, .limit_left = (char *)"0", .limit_reset = (char *)"99999999999999999999"},
                 true,
                 1,
                 30 * 86400},
                {{.status = 403, .limit_left = (char *)"0", .limit_reset = (char *)"-5"}, true, 0, 0},
                {{.status = 403, .limit_left = (char *)"0"}, true, 0, 0},
                {{.status = 403, .limit_left = (char *)"59", .limit_reset = soon}, false, 0, 0},
                {{.status = 403}, false, 0, 0},
                {{.status = 404, .limit_left = (char *)"0", .limit_reset = soon}, false, 0, 0},
                {{.status = 503, .retry_after = (char *)"60"}, false, 0, 0},
        };
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t wait_usec = 0;
                assert_int_equal(http_reply_is_limited(&cases[i].reply, &wait_usec), cases[i].is_limited);
                assert_in_range(wait_usec / 1000000, cases[i].least, cases[i].most);
        }
}

static void server_that_wants_long_quiet_is_left_alone(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        http_server_page(
                f->server,
                &(ServerPage){.path = "/x", .body = "", .n_failing = 9, .fail_status = 429, .retry_after = "61"});
        assert_int_equal(get(f, http_server_url(f->server, "/x"), &reply), 0);
        assert_int_equal(reply.status, 429);
        assert_int_equal(http_server_count(f->server, "/x"), 1);
}

static void origins_are_scheme_host_and_port(void **state) {
        (void)state;
        assert_true(http_origin_same("https://h/a", "HTTPS://H:443/b?c"));
        assert_false(http_origin_same("https://h/a", "http://h/a"));
        assert_false(http_origin_same("https://h/a", "https://h:444/a"));
        assert_false(http_origin_same("https://h/a", "https://h.example/a"));
        assert_false(http_origin_same("https://h/a", "https://x@g/a"));
        assert_false(http_origin_same("https://h/a", "h"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(body_headers_and_agent_arrive),
                TEST(missing_page_is_a_reply_but_no_download),
                TEST(cut_download_goes_on_with_one_range_request),
                TEST(cut_download_without_validator_begins_again),
                TEST(changed_etag_begins_again),
                TEST(part_of_other_content_is_not_glued_on),
                TEST(server_without_ranges_begins_again),
                TEST(truncation_is_not_taken_for_the_end),
                TEST(busy_server_is_asked_again),
                TEST(create_is_not_repeated_once_sent),
                TEST(refused_connection_is_not_sent),
                TEST(secret_header_stays_within_the_host),
                TEST(secret_header_is_stripped_for_another_port),
                TEST(secret_header_stays_stripped_after_that),
                TEST(body_is_not_sent_to_another_host),
                TEST(endless_redirects_end),
                TEST(redirect_to_a_file_is_refused),
                TEST(https_is_verified_and_never_left_for_http),
                TEST(schemes_are_https_alone_unless_told),
                TEST(announced_size_beyond_the_limit_moves_nothing),
                TEST(unannounced_size_is_limited_too),
                TEST(deadline_ends_a_slow_answer),
                TEST(cancelling_ends_the_request),
                TEST(secrets_stay_out_of_messages),
                TEST(local_file_is_read_when_allowed),
                TEST(empty_download_is_whole),
                TEST(limits_are_told_from_other_refusals),
                TEST(server_that_wants_long_quiet_is_left_alone),
                TEST(origins_are_scheme_host_and_port),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
