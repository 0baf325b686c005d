/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against servers that never come to an end: each way of holding it has a limit. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/http_fixture.h"

/* Every connection gets `head`, then `rest` over and over: every pause_msec, n_rest times (0: for ever). */
typedef struct Endless {
        const char *head;
        unsigned long long total; /* of the content; non-zero: ranges are answered */
        const char *rest;
        size_t size;
        unsigned n_rest, pause_msec;
        int fd;
        unsigned port;
        pthread_t thread;
        atomic_bool is_over;
        atomic_uint n_requests;
} Endless;

static void endless_answer(Endless *s, int fd) {
        char request[4096] = "", head[512];
        unsigned long long start = 0;
        if (recv(fd, request, sizeof(request) - 1, 0) <= 0)
                return;
        const char *range = strstr(request, "bytes=");
        if (range)
                (void)sscanf(range, "bytes=%llu-", &start);
        if (range && s->total > 0)
                snprintf(head, sizeof(head),
                         "HTTP/1.1 206 Partial\r\nETag: \"e\"\r\nContent-Length: %llu\r\n"
                         "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
                         s->total - start, start, s->total - 1, s->total);
        else
                snprintf(head, sizeof(head), "%s", s->head);
        bool is_open = send(fd, head, strlen(head), MSG_NOSIGNAL) > 0;
        for (unsigned i = 0; is_open && !s->is_over && (s->n_rest == 0 || i < s->n_rest); i++) {
                is_open = send(fd, s->rest, s->size, MSG_NOSIGNAL) > 0;
                poll(NULL, 0, (int)s->pause_msec);
        }
}

static void *endless_run(void *userdata) {
        Endless *s = userdata;
        while (!s->is_over) {
                struct pollfd p = {.fd = s->fd, .events = POLLIN};
                int fd = poll(&p, 1, 20) == 1 ? accept(s->fd, NULL, NULL) : -1;
                if (fd < 0)
                        continue;
                s->n_requests++;
                endless_answer(s, fd);
                close(fd);
        }
        return NULL;
}

static void endless_start(Endless *s, char url[static 64]) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof(a);
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->fd, (struct sockaddr *)&a, n), 0);
        assert_int_equal(listen(s->fd, 8), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, endless_run, s), 0);
        snprintf(url, 64, "http://127.0.0.1:%u/x", ntohs(a.sin_port));
}

static void endless_stop(Endless *s) {
        s->is_over = true;
        pthread_join(s->thread, NULL);
        close(s->fd);
}

static const HttpLimits short_limits = {.answer_usec = USEC_PER_SEC / 2,
                                        .window_usec = USEC_PER_SEC / 2,
                                        .window_size = 1000,
                                        .progress_size = 65536,
                                        .attempts = 3};

/* One attempt, with a sink or without. Returns the result; the seconds it took are few. */
static int ask_endless(Fixture *f, Endless *s, bool has_sink, HttpReply *ret) {
        char url[64];
        _cleanup_downloaded_ Downloaded got = {0};
        endless_start(s, url);
        http_set_limits(f->rooted.host.http, &short_limits);
        uint64_t begin = clock_boot_usec();
        int r = has_sink ? download(f, url, 0, &got) : get(f, url, ret);
        endless_stop(s);
        assert_true(clock_boot_usec() - begin < 10 * USEC_PER_SEC);
        return r;
}

static void trickle_is_a_failed_attempt(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
                     .rest = "x",
                     .size = 1,
                     .pause_msec = 5};
        assert_int_equal(ask_endless(f, &s, false, &reply), -ETIMEDOUT);
        assert_non_null(strstr(f->err.message, "too slowly"));
        assert_int_equal(reply.outcome, HTTP_REPLY_LOST);
        Endless again = s;
        again.is_over = false;
        again.n_requests = 0;
        assert_int_equal(ask_endless(f, &again, true, NULL), -ETIMEDOUT);
        assert_int_equal(again.n_requests, 3);
}

static void steady_content_is_not_too_slow(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n",
                     .rest = f->content,
                     .size = 1000,
                     .n_rest = 50,
                     .pause_msec = 30};
        assert_int_equal(ask_endless(f, &s, false, &reply), 0);
        assert_int_equal(reply.n_body, 50000);
}

/* One byte per connection is no progress. */
static void byte_per_connection_ends(void **state) {
        Fixture *f = *state;
        Endless s = {.head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 1000000\r\n\r\n",
                     .total = 1000000,
                     .rest = "x",
                     .size = 1,
                     .n_rest = 1};
        char url[64];
        _cleanup_downloaded_ Downloaded got = {0};
        endless_start(&s, url);
        int r = download(f, url, 0, &got);
        endless_stop(&s);
        assert_int_equal(r, -ECONNRESET);
        assert_int_equal(s.n_requests, 4);
}

static void attempts_end_however_much_comes(void **state) {
        Fixture *f = *state;
        Endless s = {.head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 100000000\r\n\r\n",
                     .total = 100000000,
                     .rest = f->content,
                     .size = 70000,
                     .n_rest = 1};
        char url[64];
        _cleanup_downloaded_ Downloaded got = {0};
        HttpLimits limits = short_limits;
        limits.attempts = 6; /* more than an unlucky request has */
        http_set_limits(f->rooted.host.http, &limits);
        endless_start(&s, url);
        int r = download(f, url, 0, &got);
        endless_stop(&s);
        assert_int_equal(r, -ECONNRESET);
        assert_int_equal(s.n_requests, 6);
}

static void endless_error_page_keeps_its_status(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 404 Not Found\r\n\r\n", .rest = f->content, .size = 10000};
        assert_int_equal(ask_endless(f, &s, true, NULL), -ENOENT);
        assert_int_equal(f->err.code, ERR_NOT_FOUND);
        Endless again = s;
        again.is_over = false;
        assert_int_equal(ask_endless(f, &again, false, &reply), 0);
        assert_int_equal(reply.status, 404);
        assert_int_equal(reply.outcome, HTTP_REPLIED);
        assert_int_equal(reply.n_body, 1 << 20);
}

static void endless_redirect_page_ends(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n", .rest = f->content, .size = 10000};
        assert_int_equal(ask_endless(f, &s, false, &reply), 0);
        assert_int_equal(reply.status, 302);
}

static void endless_interim_answers_end(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 100 Continue\r\n\r\n",
                     .rest = "HTTP/1.1 100 Continue\r\n\r\n",
                     .size = 25,
                     .pause_msec = 5};
        assert_int_equal(ask_endless(f, &s, false, &reply), -ETIMEDOUT);
        assert_non_null(strstr(f->err.message, "no answer in time"));
}

static void endless_headers_end(void **state) {
        Fixture *f = *state;
        _cleanup_http_reply_ HttpReply reply = {0};
        Endless s = {.head = "HTTP/1.1 200 OK\r\n", .rest = "A: b\r\n", .size = 6, .pause_msec = 5};
        assert_int_equal(ask_endless(f, &s, false, &reply), -ETIMEDOUT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(trickle_is_a_failed_attempt),
                TEST(steady_content_is_not_too_slow),
                TEST(byte_per_connection_ends),
                TEST(attempts_end_however_much_comes),
                TEST(endless_error_page_keeps_its_status),
                TEST(endless_redirect_page_ends),
                TEST(endless_interim_answers_end),
                TEST(endless_headers_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
