/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/lib/http_server for scripts: a web server that misbehaves as told, until its input ends.
 *
 *   test-http_server LOG [CERTIFICATE]     with TLS where there is a second word; the certificate is written there
 *
 * Its first line of output is its address. Then it reads lines, answers each with "ok", and the newest page of a path
 * counts:
 *
 *   path=/web file=/tmp/web etag="1" status=200 cuts=1 cut_at=1000 failing=2 fail_status=503
 *
 * LOG gets one line per request: method, path, Range, X-Pawl-Transaction and body.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/http_server.h"

#define BLOCK 65536
#define POLL_MSEC 20

static void die(const char *what) {
        perror(what);
        exit(1);
}

static void file_read(const char *name, ServerPage *page) {
        FILE *f = fopen(name, "re");
        char *body = NULL;
        size_t n = 1;
        if (!f)
                die(name);
        for (; n > 0; page->size += n) {
                body = realloc(body, page->size + BLOCK);
                if (!body)
                        die("memory");
                n = fread(body + page->size, 1, BLOCK, f);
        }
        (void)fclose(f);
        page->body = body;
}

static void page_set(ServerPage *page, const char *name, const char *value) {
        if (strcmp(name, "path") == 0)
                page->path = strdup(value);
        else if (strcmp(name, "file") == 0)
                file_read(value, page);
        else if (strcmp(name, "etag") == 0)
                page->etag = strdup(value);
        else if (strcmp(name, "status") == 0)
                page->status = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "cuts") == 0)
                page->n_cuts = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "cut_at") == 0)
                page->cut_at = strtoull(value, NULL, 10);
        else if (strcmp(name, "failing") == 0)
                page->n_failing = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "fail_status") == 0)
                page->fail_status = (int)strtol(value, NULL, 10);
        else
                die(name);
}

static void page_add(HttpServer *s, char *line) {
        ServerPage page = {0};
        char *state = NULL;
        for (char *word = strtok_r(line, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
                char *equals = strchr(word, '=');
                if (!equals)
                        die(word);
                *equals = '\0';
                page_set(&page, word, equals + 1);
        }
        if (page.path)
                (void)http_server_page(s, &page);
        puts("ok");
}

/* The last request may still be sending its body, so it waits for the next look. */
static size_t log_requests(HttpServer *s, FILE *log, size_t n_logged) {
        static size_t n_before;
        size_t n = n_before;
        n_before = http_server_count(s, NULL);
        for (; n_logged < n; n_logged++) {
                const ServerSeen *seen = http_server_seen(s, n_logged);
                fprintf(log, "%s %s range=[%s] mark=[%s] body=%.*s\n", seen->method, seen->path, seen->range,
                        seen->mark, (int)seen->n_body, seen->body);
        }
        (void)fflush(log);
        return n_logged;
}

int main(int argc, char **argv) {
        FILE *log = argc > 1 ? fopen(argv[1], "ae") : NULL, *certificate = NULL;
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        char line[4096];
        size_t n_logged = 0;
        if (!log)
                die("usage: test-http_server LOG [CERTIFICATE]");
        HttpServer *s = http_server_start(argc > 2);
        if (argc > 2 && (!(certificate = fopen(argv[2], "we")) || fputs(http_server_certificate(s), certificate) < 0 ||
                         fclose(certificate) != 0))
                die(argv[2]);
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        (void)setvbuf(stdin, NULL, _IONBF, 0);
        puts(http_server_url(s, ""));
        for (;;) {
                if (poll(&in, 1, POLL_MSEC) > 0) {
                        if (!fgets(line, sizeof(line), stdin))
                                break;
                        page_add(s, line);
                }
                n_logged = log_requests(s, log, n_logged);
        }
        _exit(0); /* what a page was made of stays until the end */
}
