/* SPDX-License-Identifier: Apache-2.0 */
/* See http_server.h. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "tests/lib/certificate.h"
#include "tests/lib/http_server.h"

#define PAGES_MAX 64
#define SEEN_MAX 256

struct HttpServer {
        struct MHD_Daemon *daemon;
        unsigned port;
        char *certificate, *key;
        pthread_mutex_t lock;
        ServerPage pages[PAGES_MAX];
        size_t n_pages;
        ServerSeen seen[SEEN_MAX];
        size_t n_seen;
};

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "http_server: %s failed\n", what);
        abort();
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

typedef struct Answer {
        const char *body;
        uint64_t size, cut_at;
        unsigned slow_msec;
        bool is_cut;
} Answer;

static ssize_t answer_read(void *cls, uint64_t at, char *buffer, size_t max) {
        const Answer *a = cls;
        if (a->is_cut && at >= a->cut_at)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        if (at >= a->size)
                return MHD_CONTENT_READER_END_OF_STREAM;
        if (a->slow_msec)
                usleep(a->slow_msec * 1000);
        uint64_t left = (a->is_cut && a->cut_at < a->size ? a->cut_at : a->size) - at;
        size_t n = left < max ? (size_t)left : max;
        memcpy(buffer, a->body + at, n);
        return (ssize_t)n;
}

static const char *header_of(struct MHD_Connection *c, const char *name) {
        return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void keep(char *slot, size_t size, const char *text) {
        snprintf(slot, size, "%s", text ? text : "");
}

static void add_header(struct MHD_Response *r, const char *name, const char *value) {
        if (value)
                MHD_add_response_header(r, name, value);
}

/* Where the answer begins: 0 with 200, or what a Range asks for with 206. */
static uint64_t range_start(const ServerPage *p, struct MHD_Connection *c, int *status) {
        unsigned long long start;
        const char *range = header_of(c, "Range"), *condition = header_of(c, "If-Range");
        if (!range || p->ignores_range || *status != 200 || sscanf(range, "bytes=%llu-", &start) != 1)
                return 0;
        const char *now = p->etag ? p->etag : p->last_modified;
        if (condition && !p->ignores_if_range && (!now || strcmp(now, condition) != 0))
                return 0;
        *status = start < p->size ? 206 : 416;
        return start < p->size ? start : p->size;
}

static enum MHD_Result send_page(ServerPage *p, struct MHD_Connection *c) {
        int status = p->status ? p->status : 200;
        bool fails = p->n_failing > 0;
        if (fails) {
                p->n_failing--;
                status = p->fail_status;
        }
        uint64_t start = range_start(p, c, &status);
        Answer *a = calloc(1, sizeof(*a));
        must(a != NULL, "memory");
        *a = (Answer){.body = (const char *)p->body + start,
                      .size = p->size - start,
                      .cut_at = p->cut_at,
                      .slow_msec = p->slow_msec};
        if (fails || status == 416)
                a->size = 0;
        if (p->n_cuts > 0 && !fails) {
                p->n_cuts--;
                a->is_cut = true;
        }
        struct MHD_Response *r = MHD_create_response_from_callback(p->has_no_length ? MHD_SIZE_UNKNOWN : a->size, 16384,
                                                                   answer_read, a, free);
        add_header(r, "ETag", p->etag);
        add_header(r, "Last-Modified", p->last_modified);
        add_header(r, "Location", p->location);
        add_header(r, "Retry-After", fails ? p->retry_after : NULL);
        if (status == 206) {
                char text[128];
                snprintf(text, sizeof(text), "bytes %llu-%llu/%zu", (unsigned long long)start,
                         (unsigned long long)p->size - 1, p->size);
                add_header(r, "Content-Range", text);
        }
        enum MHD_Result done = MHD_queue_response(c, (unsigned)status, r);
        MHD_destroy_response(r);
        return done;
}

static ServerSeen *seen_new(HttpServer *s, struct MHD_Connection *c, const char *url, const char *method) {
        must(s->n_seen < SEEN_MAX, "remembering a request");
        ServerSeen *e = &s->seen[s->n_seen++];
        keep(e->method, sizeof(e->method), method);
        keep(e->path, sizeof(e->path), url);
        keep(e->range, sizeof(e->range), header_of(c, "Range"));
        keep(e->if_range, sizeof(e->if_range), header_of(c, "If-Range"));
        keep(e->authorization, sizeof(e->authorization), header_of(c, "Authorization"));
        keep(e->mark, sizeof(e->mark), header_of(c, "X-Pawl-Transaction"));
        keep(e->agent, sizeof(e->agent), header_of(c, "User-Agent"));
        return e;
}

static enum MHD_Result answer(HttpServer *s, struct MHD_Connection *c, const char *url) {
        for (size_t i = s->n_pages; i-- > 0;)
                if (strcmp(s->pages[i].path, url) == 0)
                        return send_page(&s->pages[i], c);
        struct MHD_Response *r = MHD_create_response_from_buffer(10, (void *)"not found\n", MHD_RESPMEM_MUST_COPY);
        enum MHD_Result done = MHD_queue_response(c, 404, r);
        MHD_destroy_response(r);
        return done;
}

/* libmicrohttpd wants eight parameters. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_data, void **state) {
        (void)version;
        HttpServer *s = cls;
        enum MHD_Result r = MHD_YES;
        pthread_mutex_lock(&s->lock);
        ServerSeen *e = *state;
        if (!e) {
                *state = seen_new(s, c, url, method);
        } else if (*n_data > 0) {
                size_t n = *n_data < sizeof(e->body) - 1 - e->n_body ? *n_data : sizeof(e->body) - 1 - e->n_body;
                memcpy(e->body + e->n_body, data, n);
                e->n_body += n;
                *n_data = 0;
        } else {
                r = answer(s, c, url);
        }
        pthread_mutex_unlock(&s->lock);
        return r;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

HttpServer *http_server_start(bool tls) {
        HttpServer *s = calloc(1, sizeof(*s));
        must(s != NULL, "memory");
        pthread_mutex_init(&s->lock, NULL);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION;
        if (tls) {
                certificate_new(&s->certificate, &s->key);
                s->daemon = MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                                             &address, MHD_OPTION_HTTPS_MEM_CERT, s->certificate,
                                             MHD_OPTION_HTTPS_MEM_KEY, s->key, MHD_OPTION_END);
        } else {
                s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &address,
                                             MHD_OPTION_END);
        }
        must(s->daemon != NULL, "starting");
        s->port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
        return s;
}

void http_server_stop(HttpServer *s) {
        if (!s)
                return;
        MHD_stop_daemon(s->daemon);
        pthread_mutex_destroy(&s->lock);
        free(s->certificate);
        free(s->key);
        free(s);
}

unsigned http_server_port(const HttpServer *s) {
        return s->port;
}

const char *http_server_url(const HttpServer *s, const char *path) {
        static char urls[8][512];
        static unsigned n;
        char *url = urls[n++ % 8];
        snprintf(url, sizeof(urls[0]), "%s://127.0.0.1:%u%s", s->certificate ? "https" : "http", s->port, path);
        return url;
}

const char *http_server_certificate(const HttpServer *s) {
        return s->certificate;
}

ServerPage *http_server_page(HttpServer *s, const ServerPage *page) {
        must(s->n_pages < PAGES_MAX, "adding a page");
        s->pages[s->n_pages] = *page;
        return &s->pages[s->n_pages++];
}

size_t http_server_count(HttpServer *s, const char *path) {
        size_t n = 0;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < s->n_seen; i++)
                n += !path || strcmp(s->seen[i].path, path) == 0;
        pthread_mutex_unlock(&s->lock);
        return n;
}

const ServerSeen *http_server_seen(HttpServer *s, size_t i) {
        must(i < s->n_seen, "looking at a request");
        return &s->seen[i];
}
