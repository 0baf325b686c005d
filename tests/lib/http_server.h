/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server for tests, in a thread of this process: pages that misbehave as told, and a record of what was asked.
 *
 * Change a page only while no request is under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HttpServer HttpServer;

typedef struct ServerPage {
        const char *path;
        int status;       /* 0: 200 */
        const void *body; /* borrowed, as all texts are */
        size_t size;
        const char *etag, *last_modified, *location;
        unsigned n_failing; /* so many requests are answered with fail_status first */
        int fail_status;
        const char *retry_after;
        unsigned n_cuts; /* so many answers break off after cut_at bytes of what was asked for */
        uint64_t cut_at;
        unsigned slow_msec;    /* before each block of 16 KiB */
        bool ignores_range;    /* always the whole, with 200 */
        bool ignores_if_range; /* the part, even if the content changed */
        bool has_no_length;    /* without Content-Length */
} ServerPage;

typedef struct ServerSeen {
        char method[16], path[256];
        char range[128], if_range[256], authorization[256], mark[128], agent[128];
        char body[4096];
        size_t n_body;
} ServerSeen;

/* Ends the test program when it cannot be started. tls: with a fresh certificate for 127.0.0.1. */
HttpServer *http_server_start(bool tls);
void http_server_stop(HttpServer *s);
unsigned http_server_port(const HttpServer *s);
/* "http://127.0.0.1:<port><path>"; good until the 8th call after it. */
const char *http_server_url(const HttpServer *s, const char *path);
/* The certificate, PEM; NULL without TLS. */
const char *http_server_certificate(const HttpServer *s);

/* Copied; the pointer to the copy stays good until stop. */
ServerPage *http_server_page(HttpServer *s, const ServerPage *page);
/* Requests so far, of one path or (NULL) of all. */
size_t http_server_count(HttpServer *s, const char *path);
const ServerSeen *http_server_seen(HttpServer *s, size_t i);
