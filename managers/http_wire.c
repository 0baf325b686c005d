/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http_wire.h.
 *
 * "Not sent" is said only when libcurl never came to the point of sending; a request that may not be repeated gets a
 * connection of its own, because libcurl itself repeats on a reused one that turns out dead.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "core/base/fs.h"
#include "core/base/text.h"
#include "managers/http_url.h"
#include "managers/http_wire.h"

#define CONNECT_USEC (10 * USEC_PER_SEC)
#define CA_SIZE_MAX ((size_t)16 << 20)

struct Wire {
        CURL *easy; /* kept: with it live the open connections */
        char text[CURL_ERROR_SIZE];
};

typedef struct curl_slist Slist;

static void slist_freep(Slist **l) {
        curl_slist_free_all(*l);
        *l = NULL;
}

int wire_new(Wire **ret, Error *err) {
        _cleanup_(wire_freep) Wire *w = calloc(1, sizeof(*w));
        if (!w || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return error_no_memory(err);
        w->easy = curl_easy_init();
        if (!w->easy)
                return error_no_memory(err);
        *ret = TAKE_PTR(w);
        return 0;
}

Wire *wire_free(Wire *w) {
        if (!w)
                return NULL;
        if (w->easy)
                curl_easy_cleanup(w->easy);
        free(w);
        curl_global_cleanup();
        return NULL;
}

/* ---- Failing ----------------------------------------------------------------------------------------------------- */

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
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_OS_ERRNO, &os);
        if (is_tls && x->wire->text[0])
                return error_set(err, f->r, ERR_NETWORK, hint, "could not %s \"%s\": %s (%s)", exchange_doing(x),
                                 x->shown, text, x->wire->text);
        if (code == CURLE_COULDNT_CONNECT && os > 0)
                return error_set(err, f->r, ERR_NETWORK, hint, "could not %s \"%s\": %s: %s", exchange_doing(x),
                                 x->shown, text, strerror((int)os));
        return error_set(err, f->r, code_of(f), hint, "could not %s \"%s\": %s", exchange_doing(x), x->shown, text);
}

/* ---- Callbacks of a hop ------------------------------------------------------------------------------------------ */

static long status_of(const Exchange *x) {
        long status = 0;
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_RESPONSE_CODE, &status);
        return status;
}

static curl_off_t length_of(const Exchange *x) {
        curl_off_t length = -1;
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        return length;
}

static size_t on_header(char *line, size_t one, size_t n, void *userdata) {
        Exchange *x = userdata;
        n *= one;
        return exchange_take_header(x, line, n, status_of(x)) == 0 ? n : 0;
}

static size_t on_body(char *data, size_t one, size_t n, void *userdata) {
        Exchange *x = userdata;
        n *= one;
        return exchange_take_body(x, data, n, status_of(x), length_of(x)) == 0 ? n : 0;
}

static int on_progress(void *userdata, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
        (void)up_total;
        (void)up_now;
        return exchange_take_progress(userdata, total, now) == 0 ? 0 : 1;
}

/* ---- One hop ----------------------------------------------------------------------------------------------------- */

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
        CURL *c = x->wire->easy;
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

/* What libcurl would open itself, it would wait for: a pipe for ever, and no signal would end it. */
static int check_file(const Exchange *x, Error *err) {
        static const FsNamed named = {.what = "source", .code = ERR_SPEC};
        _cleanup_free_ char *path = NULL;
        if (strncasecmp(x->url, "file:", strlen("file:")) != 0)
                return 0;
        if (http_url_file(x->url, &path) < 0)
                return fail_curl(x, CURLE_URL_MALFORMAT, err);
        _cleanup_close_ int fd = fs_open_named(&named, path, NULL);
        if (fd != -EINVAL)
                return 0; /* also where it is missing: libcurl says so */
        return error_set(err, fd, ERR_SPEC, NULL, "could not %s \"%s\": that is not a file", exchange_doing(x),
                         x->shown);
}

static int read_authorities(Exchange *x, Error *err) {
        static const FsNamed named = {.what = "file of trusted certificates",
                                      .code = ERR_SPEC,
                                      .hint = "ca_file names it."};
        if (!x->ca_file || x->authorities || strncasecmp(x->url, "https:", strlen("https:")) != 0)
                return 0;
        return fs_read_named(&named, x->ca_file, CA_SIZE_MAX, &x->authorities, &x->n_authorities, err);
}

/* In place of the system's, file and directory. */
static CURLcode set_authorities(const Exchange *x) {
        struct curl_blob blob = {.data = x->authorities, .len = x->n_authorities, .flags = CURL_BLOB_NOCOPY};
        if (!x->authorities)
                return CURLE_OK;
        CURLcode code = curl_easy_setopt(x->wire->easy, CURLOPT_CAPATH, NULL);
        return code ? code : curl_easy_setopt(x->wire->easy, CURLOPT_CAINFO_BLOB, &blob);
}

static void set_options(Exchange *x, const Slist *headers, long left_msec) {
        CURL *c = x->wire->easy;
        curl_easy_reset(c);
        curl_easy_setopt(c, CURLOPT_URL, x->url);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,file");
        curl_easy_setopt(c, CURLOPT_USERAGENT, x->user_agent);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->wire->text);
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
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_PRETRANSFER_TIME_T, &sending_usec);
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_REQUEST_SIZE, &size);
        return sending_usec == 0 && size == 0;
}

int wire_hop(Exchange *x, bool *ret_final, Error *err) {
        _cleanup_(slist_freep) Slist *headers = NULL;
        exchange_begin_hop(x);
        x->wire->text[0] = '\0';
        *ret_final = true;
        int r = headers_make(x, &headers, err);
        if (r == 0)
                r = check_file(x, err);
        if (r == 0)
                r = read_authorities(x, err);
        if (r < 0)
                return r;
        long left = time_left_msec(x);
        if (left < 0)
                return fail_curl(x, CURLE_OPERATION_TIMEDOUT, err);
        set_options(x, headers, left);
        CURLcode code = set_authorities(x);
        if (code == CURLE_OK)
                code = curl_easy_perform(x->wire->easy);
        if (x->is_enough)
                code = CURLE_OK;

        HttpOutcome outcome = is_not_sent(x) ? HTTP_NOT_SENT : HTTP_REPLY_LOST;
        long status = 0;
        curl_off_t length = -1;
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        (void)curl_easy_getinfo(x->wire->easy, CURLINFO_REDIRECT_URL, &x->location);
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
