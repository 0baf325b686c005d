/* SPDX-License-Identifier: Apache-2.0 */
/* See http_exchange.h. What a server may say is hostile: everything that is kept of it has a limit, and all that is
 * waited for an end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/text.h"
#include "managers/http_exchange.h"

#define ERROR_BODY_MAX ((uint64_t)64 << 10) /* of an error page, when the body was meant for a sink; of a redirect's */

static void reply_clear(HttpReply *r) {
        free(r->body);
        free(r->etag);
        free(r->last_modified);
        free(r->url);
        free(r->retry_after);
        free(r->limit_left);
        free(r->limit_reset);
        *r = (HttpReply){.content_length = -1};
}

void http_reply_done(HttpReply *r) {
        reply_clear(r);
}

void exchange_done(Exchange *x) {
        free(x->authorities);
        free(x->shown);
        free(x->validator);
        free(x->url);
        reply_clear(&x->reply);
}

void exchange_begin_hop(Exchange *x) {
        reply_clear(&x->reply);
        x->reply.outcome = HTTP_NOT_SENT;
        x->location = NULL;
        x->stop = 0;
        x->has_range = x->is_answered = x->is_slow = x->is_enough = false;
        x->n_dropped = 0;
}

const char *exchange_doing(const Exchange *x) {
        return x->request->sink                                                  ? "download"
               : strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0 ? "read"
                                                                                 : "send to";
}

static int stop_hop(Exchange *x, int r) {
        x->stop = r;
        return r;
}

static int too_large(Exchange *x) {
        char limit[32];
        size_format(x->max_size, limit);
        return stop_hop(x, error_set(&x->failure, -EFBIG, ERR_NETWORK, "Raise max_size if it may be that large.",
                                     "could not %s \"%s\": it is larger than %s", exchange_doing(x), x->shown, limit));
}

/* The value of a header line if it has this name; new text, or NULL. */
static char *header_value(const char *line, size_t n, const char *name) {
        size_t n_name = strlen(name);
        if (n <= n_name || line[n_name] != ':' || strncasecmp(line, name, n_name) != 0)
                return NULL;
        const char *begin = line + n_name + 1, *end = line + n;
        while (begin < end && (*begin == ' ' || *begin == '\t'))
                begin++;
        while (end > begin && strchr(" \t\r\n", end[-1]))
                end--;
        /* The line need not end in NUL. */
        char *value = calloc(1, (size_t)(end - begin) + 1);
        return value ? memcpy(value, begin, (size_t)(end - begin)) : NULL;
}

static void header_keep(const char *line, size_t n, const char *name, char **slot) {
        char *value = header_value(line, n, name);
        if (!value)
                return;
        free(*slot);
        *slot = value;
}

static int too_slow(Exchange *x, const char *why) {
        x->is_slow = true;
        return stop_hop(x, error_set(&x->failure, -ETIMEDOUT, ERR_NETWORK, NULL, "could not %s \"%s\": %s",
                                     exchange_doing(x), x->shown, why));
}

static void window_begin(Exchange *x) {
        x->window_usec = clock_boot_usec();
        x->n_window = 0;
}

/* libcurl's own limit looks at the speed of the last seconds, so that one burst a minute satisfies it, and counts
 * headers. */
static int check_pace(Exchange *x) {
        uint64_t now = clock_boot_usec();
        if (!x->is_answered)
                return now - x->attempt_usec < x->limits->answer_usec ? 0 : too_slow(x, "no answer in time");
        if (now - x->window_usec < x->limits->window_usec)
                return 0;
        if (x->n_window < x->limits->window_size)
                return too_slow(x, "the content comes too slowly");
        window_begin(x);
        return 0;
}

/* The empty line behind the headers of an answer that is not an interim one. */
static void see_end_of_headers(Exchange *x, const char *line, size_t n, long status) {
        if (x->is_answered || (line[0] != '\r' && line[0] != '\n') || n > 2)
                return;
        x->is_answered = status >= 200;
        window_begin(x);
}

int exchange_take_header(Exchange *x, const char *line, size_t n, long status) {
        if (n == 0)
                return 0;
        see_end_of_headers(x, line, n, status);
        if (check_pace(x) < 0)
                return x->stop;
        /* A new status line: what came before belonged to an interim answer or to the proxy. */
        if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
                reply_clear(&x->reply);
                x->has_range = false;
        }
        header_keep(line, n, "etag", &x->reply.etag);
        header_keep(line, n, "last-modified", &x->reply.last_modified);
        header_keep(line, n, "retry-after", &x->reply.retry_after);
        header_keep(line, n, "x-ratelimit-remaining", &x->reply.limit_left);
        header_keep(line, n, "x-ratelimit-reset", &x->reply.limit_reset);
        _cleanup_free_ char *range = header_value(line, n, "content-range");
        unsigned long long start;
        if (range && sscanf(range, "bytes %llu-", &start) == 1) {
                x->has_range = true;
                x->range_start = start;
        }
        return 0;
}

bool status_is_redirect(long status) {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* What the content can be recognised by later. A weak etag promises no equal bytes. */
static const char *reply_validator(const HttpReply *r) {
        return r->etag && strncmp(r->etag, "W/", 2) != 0 ? r->etag : r->last_modified;
}

/* First bytes of the content for the sink: where do they belong? */
static int sink_begin(Exchange *x, long status) {
        const char *validator = reply_validator(&x->reply);
        if (status == 206) {
                bool fits = x->has_range && x->range_start == x->offset;
                bool same = !validator || (x->validator && strcmp(validator, x->validator) == 0);
                if (!fits || !same) {
                        x->is_restart = true;
                        return stop_hop(x, -ESTALE);
                }
                return 0;
        }
        x->offset = 0;
        free(x->validator);
        x->validator = validator ? strdup(validator) : NULL;
        return 0;
}

static int sink_write(Exchange *x, long status, const char *data, size_t n, int64_t length) {
        bool is_first = x->reply.status == 0;
        if (is_first && sink_begin(x, status) < 0)
                return x->stop;
        if (is_first && length > 0 && x->max_size > 0 && x->offset + (uint64_t)length > x->max_size)
                return too_large(x);
        if (x->max_size > 0 && x->offset + n > x->max_size)
                return too_large(x);
        int r = x->request->sink(x->request->userdata, x->offset, data, n, &x->failure);
        if (r != 0)
                return stop_hop(x, r);
        x->offset += n;
        return 0;
}

/* is_cut: of a larger body the beginning will do. */
static int body_write(Exchange *x, const char *data, size_t n, int64_t length, uint64_t max, bool is_cut) {
        if (!is_cut && (x->reply.n_body + n > max || (length > 0 && (uint64_t)length > max)))
                return too_large(x);
        x->is_enough = is_cut && x->reply.n_body + n > max;
        if (x->is_enough)
                n = (size_t)(max - x->reply.n_body);
        if (x->reply.n_body + n + 1 > x->body_allocated || !x->reply.body) {
                size_t wanted = MAX(2 * (x->reply.n_body + n), (size_t)4096);
                char *p = realloc(x->reply.body, wanted);
                if (!p)
                        return stop_hop(x, error_no_memory(&x->failure));
                x->reply.body = p;
                x->body_allocated = wanted;
        }
        memcpy(x->reply.body + x->reply.n_body, data, n);
        x->reply.n_body += n;
        x->reply.body[x->reply.n_body] = '\0';
        return x->is_enough ? 1 : 0;
}

int exchange_take_body(Exchange *x, const char *data, size_t n, long status, int64_t length) {
        if (!x->is_answered) /* file:// has no headers */
                window_begin(x);
        x->is_answered = true;
        x->n_window += n;
        if (status_is_redirect(status)) {
                x->n_dropped += n;
                x->is_enough = x->n_dropped > ERROR_BODY_MAX;
                return x->is_enough ? 1 : 0;
        }
        /* file:// has no status. */
        if (x->request->sink && (status == 200 || status == 206 || status == 0)) {
                int r = sink_write(x, status, data, n, length);
                x->reply.status = status ? (int)status : 200;
                return r;
        }
        return body_write(x, data, n, length, x->request->sink ? ERROR_BODY_MAX : x->max_size,
                          x->request->sink || status >= 400);
}

int exchange_take_progress(Exchange *x, int64_t total, int64_t now) {
        if (host_check_cancel(x->host, &x->failure) < 0)
                return stop_hop(x, x->failure.code == ERR_TIMEOUT ? -ETIMEDOUT : -ECANCELED);
        if (check_pace(x) < 0)
                return x->stop;
        if (x->request->progress && now > 0) {
                uint64_t base = x->request->sink && x->offset >= (uint64_t)now ? x->offset - (uint64_t)now : 0;
                host_progress(x->host, x->request->progress, base + (uint64_t)now,
                              total > 0 ? base + (uint64_t)total : 0);
        }
        return 0;
}
