/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client: the one door to libcurl.
 *
 * One call of http_request() is up to `attempts` attempts, each of up to HOPS_MAX + 1 hops (redirects are followed by hand, so that every hop
 * is held to the same rules). A download to a sink goes on where the broken one ended, if the server gave something to recognise the content by.
 *
 * Whether a request reached the server decides if it may be sent again. "Not sent" is said only when libcurl never came to the point of
 * sending; a request that may not be repeated gets a connection of its own, because libcurl itself repeats on a reused one that turns out dead.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/manager.h"

#define HOPS_MAX 5
#define ATTEMPTS_DEFAULT 4
#define CONNECT_USEC (10 * USEC_PER_SEC)
#define BACKOFF_FIRST_USEC (USEC_PER_SEC / 2)
#define BACKOFF_MAX_USEC (8 * USEC_PER_SEC)
#define RETRY_AFTER_MAX_USEC (60 * USEC_PER_SEC)
#define BODY_DEFAULT ((uint64_t)1 << 20)
#define ERROR_BODY_MAX ((uint64_t)64 << 10) /* of an error page, when the body was meant for a sink; of a redirect's */

/* Against servers that never come to an end: each of these alone bounds one way of holding us. */
static const HttpLimits limits_default = {
        .answer_usec = 60 * USEC_PER_SEC,
        .window_usec = 60 * USEC_PER_SEC,
        .window_size = 60 * 256,
        .progress_size = (uint64_t)64 << 10,
        .attempts = 100,
};

struct Http {
        CURL *easy; /* kept: with it live the open connections */
        char *user_agent, *ca_file;
        HttpLimits limits;
};

/* One http_request(): what outlives an attempt, and what the callbacks of the running hop need. */
typedef struct Exchange {
        const Host *host;
        const HttpRequest *request;
        const HttpLimits *limits;
        CURL *easy;
        const char *method;
        char *shown; /* the URL as messages may say it */
        uint64_t deadline_usec, max_size;

        uint64_t offset;   /* content bytes the sink has */
        uint64_t furthest; /* offset at which attempts were last counted from the beginning again */
        char *validator; /* what the content so far is recognised by: a strong etag or a date; NULL: cannot go on, only begin again */
        bool is_restart;       /* what came does not continue what we have */
        uint64_t attempt_usec; /* when the running attempt began */

        char *url; /* of this hop */
        bool is_stripped, was_https;
        bool is_answered;        /* the headers of the final answer are complete */
        bool is_slow, is_enough; /* why a callback ended the hop: try again; the rest of the body is not wanted */
        uint64_t window_usec;    /* begin of the running window, and what came of the body in it */
        uint64_t n_window, n_dropped;
        int stop; /* negative: a callback ended the hop, `failure` says why */
        Error failure;
        HttpReply reply;
        size_t body_allocated;
        bool has_range;
        uint64_t range_start;
        char curl_text[CURL_ERROR_SIZE];
} Exchange;

typedef struct curl_slist Slist;

static void slist_freep(Slist **l) {
        curl_slist_free_all(*l);
        *l = NULL;
}

static void curlu_freep(CURLU **u) {
        curl_url_cleanup(*u);
        *u = NULL;
}

static void curl_textp(char **s) {
        curl_free(*s);
        *s = NULL;
}

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

static void exchange_done(Exchange *x) {
        free(x->shown);
        free(x->validator);
        free(x->url);
        reply_clear(&x->reply);
}

int http_new(const HttpOptions *options, Http **ret, Error *err) {
        _cleanup_(http_freep) Http *h = calloc(1, sizeof(*h));
        if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return error_no_memory(err);
        h->limits = limits_default;
        h->easy = curl_easy_init();
        h->user_agent = strdup(options && options->user_agent ? options->user_agent : "pawl/" PAWL_VERSION);
        if (!h->easy || !h->user_agent)
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
        if (h->easy)
                curl_easy_cleanup(h->easy);
        free(h->user_agent);
        free(h->ca_file);
        free(h);
        curl_global_cleanup();
        return NULL;
}

/* ---- URLs ------------------------------------------------------------------------------------------------------------------ */

typedef struct Origin {
        CURLU *url;
        char *scheme, *host, *port;
} Origin;

static void origin_done(Origin *o) {
        curl_textp(&o->scheme);
        curl_textp(&o->host);
        curl_textp(&o->port);
        curlu_freep(&o->url);
}

static int origin_parse(const char *url, Origin *ret) {
        ret->url = curl_url();
        if (!ret->url)
                return -ENOMEM;
        if (curl_url_set(ret->url, CURLUPART_URL, url, 0) != CURLUE_OK)
                return -EINVAL;
        if (curl_url_get(ret->url, CURLUPART_SCHEME, &ret->scheme, 0) != CURLUE_OK)
                return -EINVAL;
        /* file:// has neither. */
        (void)curl_url_get(ret->url, CURLUPART_HOST, &ret->host, 0);
        (void)curl_url_get(ret->url, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT);
        return 0;
}

static bool text_same(const char *a, const char *b) {
        return a && b && strcasecmp(a, b) == 0;
}

bool http_origin_same(const char *a, const char *b) {
        _cleanup_(origin_done) Origin oa = {0}, ob = {0};
        return origin_parse(a, &oa) == 0 && origin_parse(b, &ob) == 0 && text_same(oa.scheme, ob.scheme) &&
               text_same(oa.host, ob.host) && text_same(oa.port, ob.port);
}

static unsigned scheme_bit(const char *scheme) {
        static const struct {
                const char *name;
                unsigned bit;
        } schemes[] = {{"file", HTTP_SCHEME_FILE}, {"http", HTTP_SCHEME_HTTP}, {"https", HTTP_SCHEME_HTTPS}};
        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (strcasecmp(scheme, schemes[i].name) == 0)
                        return schemes[i].bit;
        return 0;
}

/* The URL as a message may show it. */
static char *url_shown(const HttpRequest *request) {
        if (!request->is_url_secret)
                return text_redact(request->url);
        _cleanup_(origin_done) Origin o = {0};
        if (origin_parse(request->url, &o) < 0 || !o.host)
                return strdup("****");
        return text_format("%s://%s/****", o.scheme, o.host);
}

/* ---- Failing --------------------------------------------------------------------------------------------------------------- */

static const char *doing(const Exchange *x) {
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
                                     "could not %s \"%s\": it is larger than %s", doing(x), x->shown, limit));
}

typedef struct Failing {
        CURLcode code;
        int r;
        bool is_final; /* the next attempt would fail in the same way */
        const char *text;
} Failing;

/* clang-format off */
static const Failing failings[] = {
        {CURLE_URL_MALFORMAT,            -EINVAL,       true,  "that is not a URL"},
        {CURLE_UNSUPPORTED_PROTOCOL,     -EINVAL,       true,  "its scheme is not allowed here"},
        {CURLE_COULDNT_RESOLVE_PROXY,    -EHOSTUNREACH, false, "the proxy's name cannot be resolved"},
        {CURLE_COULDNT_RESOLVE_HOST,     -EHOSTUNREACH, false, "the host name cannot be resolved"},
        {CURLE_COULDNT_CONNECT,          -ECONNREFUSED, false, "cannot connect"},
        {CURLE_PARTIAL_FILE,             -ECONNRESET,   false, "the connection ended before the content did"},
        {CURLE_OPERATION_TIMEDOUT,       -ETIMEDOUT,    false, "no answer in time"},
        {CURLE_SSL_CONNECT_ERROR,        -EPROTO,       false, "no TLS connection"},
        {CURLE_PEER_FAILED_VERIFICATION, -EPROTO,       true,  "the server's certificate is not trusted"},
        {CURLE_SSL_CACERT_BADFILE,       -EINVAL,       true,  "the file of trusted certificates cannot be read"},
        {CURLE_GOT_NOTHING,              -ECONNRESET,   false, "the server closed the connection without an answer"},
        {CURLE_SEND_ERROR,               -ECONNRESET,   false, "the connection broke while sending"},
        {CURLE_RECV_ERROR,               -ECONNRESET,   false, "the connection broke while receiving"},
        {CURLE_FILE_COULDNT_READ_FILE,   -ENOENT,       true,  "there is no such file, or it cannot be read"},
        {CURLE_OUT_OF_MEMORY,            -ENOMEM,       true,  "out of memory"},
};
/* clang-format on */

static const Failing *failing_of(CURLcode code) {
        static const Failing other = {CURLE_OK, -EIO, false, NULL};
        for (size_t i = 0; i < ELEMENTSOF(failings); i++)
                if (failings[i].code == code)
                        return &failings[i];
        return &other;
}

static ErrorCode code_of(const Failing *f) {
        return f->r == -ENOMEM ? ERR_NO_MEMORY : f->r == -ENOENT ? ERR_NOT_FOUND : ERR_NETWORK;
}

static int fail_curl(const Exchange *x, CURLcode code, Error *err) {
        const Failing *f = failing_of(code);
        const char *text = f->text ? f->text : curl_easy_strerror(code);
        bool is_tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR;
        const char *hint = is_tls ? "Name the file of the certificate authority with ca_file if it is a private one."
                           : code == CURLE_FILE_COULDNT_READ_FILE ? "See whether the path is right."
                                                                  : NULL;
        long os = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
        if (is_tls && x->curl_text[0])
                return error_set(err, f->r, ERR_NETWORK, hint, "could not %s \"%s\": %s (%s)", doing(x), x->shown, text,
                                 x->curl_text);
        if (code == CURLE_COULDNT_CONNECT && os > 0)
                return error_set(err, f->r, ERR_NETWORK, hint, "could not %s \"%s\": %s: %s", doing(x), x->shown, text,
                                 strerror((int)os));
        return error_set(err, f->r, code_of(f), hint, "could not %s \"%s\": %s", doing(x), x->shown, text);
}

/* ---- Callbacks of a hop ---------------------------------------------------------------------------------------------------- */

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
        return stop_hop(x, error_set(&x->failure, -ETIMEDOUT, ERR_NETWORK, NULL, "could not %s \"%s\": %s", doing(x),
                                     x->shown, why));
}

static void window_begin(Exchange *x) {
        x->window_usec = clock_boot_usec();
        x->n_window = 0;
}

/* libcurl's own limit looks at the speed of the last seconds, so that one burst a minute satisfies it, and counts headers. */
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
static void see_end_of_headers(Exchange *x, const char *line, size_t n) {
        long status = 0;
        if (x->is_answered || (line[0] != '\r' && line[0] != '\n') || n > 2)
                return;
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        x->is_answered = status >= 200;
        window_begin(x);
}

static size_t on_header(char *line, size_t one, size_t n, void *userdata) {
        Exchange *x = userdata;
        n *= one;
        if (n == 0)
                return n;
        see_end_of_headers(x, line, n);
        if (check_pace(x) < 0)
                return 0;
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
        return n;
}

static bool is_redirect(long status) {
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

static int sink_write(Exchange *x, long status, const char *data, size_t n, bool is_first) {
        if (is_first && sink_begin(x, status) < 0)
                return x->stop;
        curl_off_t length = -1;
        (void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
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
static int body_write(Exchange *x, const char *data, size_t n, uint64_t max, bool is_cut) {
        curl_off_t length = -1;
        (void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
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

static size_t on_body(char *data, size_t one, size_t n, void *userdata) {
        Exchange *x = userdata;
        n *= one;
        long status = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        if (!x->is_answered) /* file:// has no headers */
                window_begin(x);
        x->is_answered = true;
        x->n_window += n;
        if (is_redirect(status)) {
                x->n_dropped += n;
                x->is_enough = x->n_dropped > ERROR_BODY_MAX;
                return x->is_enough ? 0 : n;
        }
        int r;
        /* file:// has no status. */
        if (x->request->sink && (status == 200 || status == 206 || status == 0)) {
                r = sink_write(x, status, data, n, x->reply.status == 0);
                x->reply.status = status ? (int)status : 200;
        } else {
                r = body_write(x, data, n, x->request->sink ? ERROR_BODY_MAX : x->max_size,
                               x->request->sink || status >= 400);
        }
        return r == 0 ? n : 0;
}

static int on_progress(void *userdata, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
        Exchange *x = userdata;
        (void)up_total;
        (void)up_now;
        if (host_check_cancel(x->host, &x->failure) < 0) {
                stop_hop(x, x->failure.code == ERR_TIMEOUT ? -ETIMEDOUT : -ECANCELED);
                return 1;
        }
        if (check_pace(x) < 0)
                return 1;
        if (x->request->progress && now > 0) {
                uint64_t base = x->request->sink && x->offset >= (uint64_t)now ? x->offset - (uint64_t)now : 0;
                host_progress(x->host, x->request->progress, base + (uint64_t)now,
                              total > 0 ? base + (uint64_t)total : 0);
        }
        return 0;
}

/* ---- One hop --------------------------------------------------------------------------------------------------------------- */

static int slist_add(Slist **l, const char *line, Error *err) {
        Slist *longer = line ? curl_slist_append(*l, line) : NULL;
        if (!longer)
                return error_no_memory(err);
        *l = longer;
        return 0;
}

static int headers_make(const Exchange *x, Slist **ret, Error *err) {
        _cleanup_(slist_freep) Slist *l = NULL;
        int r = slist_add(&l, "Expect:", err);
        for (size_t i = 0; r == 0 && i < x->request->n_headers; i++) {
                const HttpHeader *h = &x->request->headers[i];
                if (h->is_secret && x->is_stripped)
                        continue;
                if (strpbrk(h->name, "\r\n:") || strpbrk(h->value, "\r\n"))
                        return error_set(err, -EINVAL, ERR_SPEC, NULL, "the header \"%s\" holds a line break", h->name);
                /* "name;" is how libcurl is told of an empty value. */
                _cleanup_free_ char *line =
                        h->value[0] ? text_format("%s: %s", h->name, h->value) : text_format("%s;", h->name);
                r = slist_add(&l, line, err);
        }
        if (r == 0 && x->offset > 0) {
                _cleanup_free_ char *range = text_format("Range: bytes=%llu-", (unsigned long long)x->offset);
                _cleanup_free_ char *condition = text_format("If-Range: %s", x->validator);
                r = slist_add(&l, range, err);
                if (r == 0)
                        r = slist_add(&l, condition, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

/* Milliseconds left of the request's time; 0: no limit; negative: over. */
static long time_left_msec(const Exchange *x) {
        if (x->deadline_usec == 0)
                return 0;
        uint64_t now = clock_boot_usec();
        if (now >= x->deadline_usec)
                return -1;
        return (long)MAX((x->deadline_usec - now) / USEC_PER_MSEC, (uint64_t)1);
}

static void set_method(Exchange *x) {
        CURL *c = x->easy;
        if (strcmp(x->method, "GET") == 0 && !x->request->body)
                return;
        if (strcmp(x->method, "HEAD") == 0) {
                curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
                return;
        }
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->method);
        if (!x->request->body && strcmp(x->method, "DELETE") == 0)
                return;
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(x->request->body ? x->request->n_body : 0));
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->request->body ? x->request->body : "");
}

static void set_options(Exchange *x, const Http *http, const Slist *headers, long left_msec) {
        CURL *c = x->easy;
        curl_easy_reset(c);
        curl_easy_setopt(c, CURLOPT_URL, x->url);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,file");
        curl_easy_setopt(c, CURLOPT_USERAGENT, http->user_agent);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->curl_text);
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, left_msec);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(CONNECT_USEC / USEC_PER_MSEC));
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
        if (x->request->retry != HTTP_RETRY_IDEMPOTENT)
                curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        const char *ca_file = x->request->ca_file ? x->request->ca_file : http->ca_file;
        if (ca_file)
                curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
        if (x->request->unix_socket) {
                curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, x->request->unix_socket);
                curl_easy_setopt(c, CURLOPT_PROXY, "");
        }
        set_method(x);
}

/* Nothing of this hop can have reached the server. */
static bool is_not_sent(const Exchange *x) {
        curl_off_t sending_usec = 0;
        long size = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &sending_usec);
        (void)curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &size);
        return sending_usec == 0 && size == 0;
}

static int check_scheme(const Exchange *x, const char *url, bool is_hop, Error *err) {
        _cleanup_(origin_done) Origin o = {0};
        if (origin_parse(url, &o) < 0)
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "could not %s \"%s\": that is not a URL", doing(x),
                                 x->shown);
        unsigned bit = scheme_bit(o.scheme), allowed = x->request->schemes ? x->request->schemes : HTTP_SCHEME_HTTPS;
        if (is_hop)
                allowed &= ~(unsigned)HTTP_SCHEME_FILE;
        if (is_hop && x->was_https)
                allowed &= ~(unsigned)HTTP_SCHEME_HTTP;
        if (bit & allowed)
                return 0;
        if (is_hop)
                return error_set(err, -EPERM, ERR_NETWORK, NULL,
                                 "could not %s \"%s\": the server redirects to %s, which is not allowed", doing(x),
                                 x->shown, o.scheme);
        return error_set(err, -EPERM, ERR_SPEC, NULL, "could not %s \"%s\": %s is not allowed here", doing(x), x->shown,
                         o.scheme);
}

/* One hop. 0: there is a reply; else the reply's outcome is set. *ret_final: trying again would be no use. */
static int hop(Exchange *x, const Http *http, bool *ret_final, Error *err) {
        _cleanup_(slist_freep) Slist *headers = NULL;
        reply_clear(&x->reply);
        x->reply.outcome = HTTP_NOT_SENT;
        x->stop = 0;
        x->has_range = x->is_answered = x->is_slow = x->is_enough = false;
        x->n_dropped = 0;
        x->curl_text[0] = '\0';
        *ret_final = true;
        int r = headers_make(x, &headers, err);
        if (r < 0)
                return r;
        long left = time_left_msec(x);
        if (left < 0)
                return fail_curl(x, CURLE_OPERATION_TIMEDOUT, err);
        set_options(x, http, headers, left);
        CURLcode code = curl_easy_perform(x->easy);
        if (x->is_enough)
                code = CURLE_OK;

        HttpOutcome outcome = is_not_sent(x) ? HTTP_NOT_SENT : HTTP_REPLY_LOST;
        long status = 0;
        curl_off_t length = -1;
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        x->reply.content_length = length;
        x->reply.outcome = code == CURLE_OK ? HTTP_REPLIED : outcome;
        x->reply.status = status ? (int)status : code == CURLE_OK ? 200 : 0;
        if (code == CURLE_OK)
                return 0;
        if (x->is_restart) {
                *ret_final = false;
                return error_set(err, -ESTALE, ERR_NETWORK, NULL,
                                 "could not download \"%s\": it changed while it was read", x->shown);
        }
        if (x->stop != 0) {
                *ret_final = !x->is_slow;
                if (err)
                        *err = x->failure;
                return x->stop;
        }
        *ret_final = failing_of(code)->is_final;
        return fail_curl(x, code, err);
}

/* ---- One attempt: hops ----------------------------------------------------------------------------------------------------- */

/* Where the reply leads on, in x->url. 1: nowhere, the reply is the answer. */
static int redirect(Exchange *x, Error *err) {
        if (!is_redirect(x->reply.status))
                return 1;
        const char *to = NULL;
        (void)curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &to);
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
                        doing(x), x->shown);
        x->is_stripped |= leaves && !mutant_is("secret-follows-redirect");
        char *copy = strdup(to);
        if (!copy)
                return error_no_memory(err);
        free(x->url);
        x->url = copy;
        return 0;
}

static int attempt(Exchange *x, const Http *http, bool *ret_final, Error *err) {
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
                int r = hop(x, http, ret_final, err);
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
                                         doing(x), x->shown, HOPS_MAX);
        }
}

/* ---- The request: attempts ------------------------------------------------------------------------------------------------- */

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

static int attempts_run(Exchange *x, const Http *http, Error *err) {
        unsigned limit = x->request->attempts ? x->request->attempts : ATTEMPTS_DEFAULT;
        for (unsigned n = 0, n_all = 1;; n_all++) {
                bool is_final = true;
                int r = attempt(x, http, &is_final, err);
                bool is_range_refused = r == 0 && x->reply.status == 416 && x->offset > 0;
                if (!is_range_refused && !may_retry(x, r, is_final))
                        return r;
                n++;
                /* Getting well further than before is not a failed attempt: a large file over a poor line arrives in the end. */
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
        _cleanup_(exchange_done) Exchange x = {
                .host = host,
                .request = request,
                .limits = &host->http->limits,
                .easy = host->http->easy,
                .method = request->method ? request->method : "GET",
                .deadline_usec = request->deadline_usec ? clock_boot_usec() + request->deadline_usec : 0,
                .max_size = request->max_size ? request->max_size
                            : request->sink   ? 0
                                              : BODY_DEFAULT,
                .reply = {.outcome = HTTP_NOT_SENT, .content_length = -1},
        };
        x.shown = url_shown(request);
        if (!x.shown)
                return error_no_memory(err);
        int r = host_check_cancel(host, err);
        if (r == 0)
                r = check_scheme(&x, request->url, false, err);
        if (r == 0)
                r = attempts_run(&x, host->http, err);
        x.reply.url = TAKE_PTR(x.url);
        *ret = x.reply;
        x.reply = (HttpReply){0};
        return r;
}
