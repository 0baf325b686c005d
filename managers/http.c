/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client.
 *
 * One call of http_request() is up to `attempts` attempts, each of up to HOPS_MAX + 1 hops (redirects are followed by
 * hand, so that every hop is held to the same rules). A download to a sink goes on where the broken one ended, if the
 * server gave something to recognise the content by.
 *
 * Whether a request reached the server decides if it may be sent again; http_wire.c says it.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/fault.h"
#include "managers/http_exchange.h"
#include "managers/http_url.h"
#include "managers/http_wire.h"

#define HOPS_MAX 5
#define ATTEMPTS_DEFAULT 4
#define BACKOFF_FIRST_USEC (USEC_PER_SEC / 2)
#define BACKOFF_MAX_USEC (8 * USEC_PER_SEC)
#define RETRY_AFTER_MAX_USEC (60 * USEC_PER_SEC)
#define BODY_DEFAULT ((uint64_t)1 << 20)

/* Against servers that never come to an end: each of these alone bounds one way of holding us. */
static const HttpLimits limits_default = {
        .answer_usec = 60 * USEC_PER_SEC,
        .window_usec = 60 * USEC_PER_SEC,
        .window_size = 60 * 256,
        .progress_size = (uint64_t)64 << 10,
        .attempts = 100,
};

struct Http {
        Wire *wire;
        char *user_agent, *ca_file;
        HttpLimits limits;
};

int http_new(const HttpOptions *options, Http **ret, Error *err) {
        _cleanup_(http_freep) Http *h = calloc(1, sizeof(*h));
        if (!h)
                return error_no_memory(err);
        h->limits = limits_default;
        int r = wire_new(&h->wire, err);
        if (r < 0)
                return r;
        h->user_agent = strdup(options && options->user_agent ? options->user_agent : "pawl/" PAWL_VERSION);
        if (!h->user_agent)
                return error_no_memory(err);
        if (options && options->ca_file && !(h->ca_file = strdup(options->ca_file)))
                return error_no_memory(err);
        *ret = TAKE_PTR(h);
        return 0;
}

#ifdef PAWL_TESTING
void http_set_limits(Http *h, const HttpLimits *limits) {
        h->limits = *limits;
}
#endif

Http *http_free(Http *h) {
        if (!h)
                return NULL;
        (void)wire_free(h->wire);
        free(h->user_agent);
        free(h->ca_file);
        free(h);
        return NULL;
}

/* ---- One attempt: hops ------------------------------------------------------------------------------------------- */

static int check_scheme(const Exchange *x, const char *url, bool is_hop, Error *err) {
        _cleanup_origin_ Origin o = {0};
        if (origin_parse(url, &o) < 0)
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "could not %s \"%s\": that is not a URL",
                                 exchange_doing(x), x->shown);
        unsigned bit = origin_scheme(&o), allowed = x->request->schemes ? x->request->schemes : HTTP_SCHEME_HTTPS;
        if (is_hop)
                allowed &= ~(unsigned)HTTP_SCHEME_FILE;
        if (is_hop && x->was_https)
                allowed &= ~(unsigned)HTTP_SCHEME_HTTP;
        if (bit & allowed)
                return 0;
        if (is_hop)
                return error_set(err, -EPERM, ERR_NETWORK, NULL,
                                 "could not %s \"%s\": the server redirects to %s, which is not allowed",
                                 exchange_doing(x), x->shown, o.scheme);
        return error_set(err, -EPERM, ERR_SPEC, NULL, "could not %s \"%s\": %s is not allowed here", exchange_doing(x),
                         x->shown, o.scheme);
}

/* Where the reply leads on, in x->url. 1: nowhere, the reply is the answer. */
static int redirect(Exchange *x, Error *err) {
        if (!status_is_redirect(x->reply.status))
                return 1;
        const char *to = x->location;
        bool is_read = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
        if (!to || (!is_read && x->reply.status < 307))
                return 1;
        int r = check_scheme(x, to, true, err);
        if (r < 0)
                return r;
        bool leaves = !http_origin_same(x->url, to);
        if (leaves && x->request->n_body > 0)
                return error_set(
                        err, -EPERM, ERR_NETWORK, NULL,
                        "could not %s \"%s\": the server redirects to another host, which must not see what is sent",
                        exchange_doing(x), x->shown);
        x->is_stripped |= leaves && !mutant_is("secret-follows-redirect");
        char *copy = strdup(to);
        if (!copy)
                return error_no_memory(err);
        free(x->url);
        x->url = copy;
        return 0;
}

static int attempt(Exchange *x, bool *ret_final, Error *err) {
        free(x->url);
        x->url = strdup(x->request->url);
        x->attempt_usec = clock_boot_usec();
        x->is_stripped = x->was_https = x->is_restart = false;
        if (!x->url) {
                *ret_final = true;
                return error_no_memory(err);
        }
        for (unsigned n = 0;; n++) {
                x->was_https |= strncasecmp(x->url, "https:", 6) == 0;
                int r = wire_hop(x, ret_final, err);
                if (r != 0)
                        return r;
                *ret_final = true;
                r = redirect(x, err);
                if (r == 1)
                        return 0;
                /* The first hop was sent; what it did is told by its answer: it sent us on. */
                x->reply.outcome = HTTP_NOT_SENT;
                if (r < 0)
                        return r;
                if (n == HOPS_MAX)
                        return error_set(err, -ELOOP, ERR_NETWORK, NULL, "could not %s \"%s\": more than %d redirects",
                                         exchange_doing(x), x->shown, HOPS_MAX);
        }
}

/* ---- The request: attempts --------------------------------------------------------------------------------------- */

/* The form of Retry-After with a date would need a clock both sides agree on. At most 30 days. */
static bool seconds_told(const char *text, uint64_t *ret) {
        char *end = NULL;
        unsigned long long seconds = text ? strtoull(text, &end, 10) : 0;
        if (!text || end == text || *end)
                return false;
        *ret = MIN(seconds, 30 * 86400ULL);
        return true;
}

bool http_reply_is_limited(const HttpReply *r, uint64_t *ret_wait_usec) {
        uint64_t left, seconds = 0;
        char *end = NULL;
        bool is_used_up = seconds_told(r->limit_left, &left) && left == 0;
        bool is_told = seconds_told(r->retry_after, &seconds);
        if (r->status != 429 && (r->status != 403 || (!is_used_up && !is_told)))
                return false;
        if (!is_told && is_used_up && r->limit_reset) { /* when, not how long */
                int64_t now = clock_wall_usec() / (int64_t)USEC_PER_SEC, at = strtoll(r->limit_reset, &end, 10);
                seconds = at > now ? (uint64_t)MIN(at - now, (int64_t)30 * 86400) : 0;
        }
        *ret_wait_usec = seconds * USEC_PER_SEC;
        return true;
}

static bool status_is_passing(int status) {
        return status == 429 || (status >= 500 && status != 501 && status != 505);
}

/* A server that wants to be left alone for longer than we wait is not asked again. */
static bool is_sent_away(const HttpReply *r) {
        uint64_t wait_usec = 0;
        return http_reply_is_limited(r, &wait_usec) && wait_usec > RETRY_AFTER_MAX_USEC;
}

static bool may_retry(const Exchange *x, int r, bool is_final) {
        if (r == 0)
                return x->request->retry == HTTP_RETRY_IDEMPOTENT && status_is_passing(x->reply.status) &&
                       !is_sent_away(&x->reply);
        if (is_final)
                return false;
        switch (x->request->retry) {
        case HTTP_RETRY_NEVER:
                return false;
        case HTTP_RETRY_IDEMPOTENT:
                return true;
        case HTTP_RETRY_CREATE:
                return x->reply.outcome == HTTP_NOT_SENT;
        }
        return false;
}

static uint64_t pause_usec(const Exchange *x, unsigned n) {
        uint64_t pause = BACKOFF_FIRST_USEC << MIN(n, 4U), seconds;
        if (seconds_told(x->reply.retry_after, &seconds))
                return MIN(seconds * USEC_PER_SEC, RETRY_AFTER_MAX_USEC);
        return MIN(pause, BACKOFF_MAX_USEC);
}

/* Waits; negative when cancelled, 1 when there is no time left for another attempt. */
static int wait_before_next(const Exchange *x, unsigned n, Error *err) {
        uint64_t until = clock_boot_usec() + pause_usec(x, n);
        if (x->deadline_usec > 0 && until >= x->deadline_usec)
                return 1;
        for (uint64_t now; (now = clock_boot_usec()) < until;) {
                int r = host_check_cancel(x->host, err);
                if (r < 0)
                        return r;
                clock_sleep_usec(MIN(until - now, USEC_PER_SEC / 10));
        }
        return 0;
}

/* A resumed answer that does not fit, or that the server will not give (416): from the beginning. */
static void forget_progress(Exchange *x) {
        x->offset = 0;
        free(x->validator);
        x->validator = NULL;
}

static int attempts_run(Exchange *x, Error *err) {
        unsigned limit = x->request->attempts ? x->request->attempts : ATTEMPTS_DEFAULT;
        for (unsigned n = 0, n_all = 1;; n_all++) {
                bool is_final = true;
                int r = attempt(x, &is_final, err);
                bool is_range_refused = r == 0 && x->reply.status == 416 && x->offset > 0;
                if (!is_range_refused && !may_retry(x, r, is_final))
                        return r;
                n++;
                /* Getting well further than before is not a failed attempt: a large file over a poor line arrives in
                 * the end. */
                if (r < 0 && x->offset >= x->furthest + x->limits->progress_size && x->validator) {
                        n = 1;
                        x->furthest = x->offset;
                }
                if (n >= limit || n_all >= x->limits->attempts)
                        return r;
                if (!x->validator || x->is_restart || is_range_refused)
                        forget_progress(x);
                Error waited = ERROR_INIT;
                int w = wait_before_next(x, n - 1, &waited);
                if (w == 1)
                        return r;
                if (w < 0) {
                        if (err)
                                *err = waited;
                        return w;
                }
        }
}

int http_request(const Host *host, const HttpRequest *request, HttpReply *ret, Error *err) {
        *ret = (HttpReply){.outcome = HTTP_NOT_SENT, .content_length = -1};
        if (!host->http)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "there is no HTTP client here");
        _cleanup_exchange_ Exchange x = {
                .host = host,
                .request = request,
                .limits = &host->http->limits,
                .wire = host->http->wire,
                .method = request->method ? request->method : "GET",
                .user_agent = host->http->user_agent,
                .ca_file = request->ca_file ? request->ca_file : host->http->ca_file,
                .deadline_usec = request->deadline_usec ? clock_boot_usec() + request->deadline_usec : 0,
                .max_size = request->max_size ? request->max_size
                            : request->sink   ? 0
                                              : BODY_DEFAULT,
                .reply = {.outcome = HTTP_NOT_SENT, .content_length = -1},
        };
        x.shown = http_url_shown(request);
        if (!x.shown)
                return error_no_memory(err);
        int r = host_check_cancel(host, err);
        if (r == 0)
                r = check_scheme(&x, request->url, false, err);
        if (r == 0)
                r = attempts_run(&x, err);
        x.reply.url = TAKE_PTR(x.url);
        *ret = x.reply;
        x.reply = (HttpReply){0};
        return r;
}
