/* SPDX-License-Identifier: Apache-2.0 */
/* A client, and a server of this process that misbehaves as told. cmocka.h must be included before. */
#pragma once

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "managers/download.h"
#include "tests/lib/http_server.h"
#include "tests/lib/rooted.h"

#define UNUSED_OK __attribute__((unused))
#define ALL_SCHEMES (HTTP_SCHEME_FILE | HTTP_SCHEME_HTTP | HTTP_SCHEME_HTTPS)
#define CONTENT_SIZE ((size_t)300000)

typedef struct Fixture {
        Rooted rooted;
        HttpServer *server;
        char content[CONTENT_SIZE];
        int fd;
        Error err;
} Fixture;

UNUSED_OK static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        f->server = http_server_start(false);
        for (size_t i = 0; i < CONTENT_SIZE; i++)
                f->content[i] = (char)(i * 7 + i / 251);
        f->fd = fs_create_unnamed(f->rooted.host.root, ".", 0600, &f->err);
        *state = f;
        return f->fd < 0;
}

UNUSED_OK static int teardown(void **state) {
        Fixture *f = *state;
        close(f->fd);
        http_server_stop(f->server);
        rooted_done(&f->rooted);
        free(f);
        return 0;
}

UNUSED_OK static int get(Fixture *f, const char *url, HttpReply *ret) {
        HttpRequest request = {.url = url, .schemes = ALL_SCHEMES, .retry = HTTP_RETRY_NEVER};
        return http_request(&f->rooted.host, &request, ret, &f->err);
}

UNUSED_OK static int download(Fixture *f, const char *url, uint64_t max, Downloaded *ret) {
        Download d = {.url = url, .max_size = max, .schemes = ALL_SCHEMES};
        return download_to_fd(&f->rooted.host, &d, f->fd, ret, &f->err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
