/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source "url": one file on a server.
 *
 *   url      https and file always; http only with sha256, because nothing else tells what came over such a line
 *   sha256   when given, nothing is read now; the release step fetches and compares
 *   max_size default 2 GiB
 *   ca_file  of a private certificate authority
 *
 * Without a digest the file has to be read to know it. When the server says that it is what it was last time, last
 * time's facts do.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/text.h"
#include "managers/download.h"
#include "managers/format.h"
#include "managers/sources.h"

static bool has_scheme(const char *url, const char *scheme) {
        return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static int check_url(const char *url, const char *sha256, Error *err) {
        uint8_t digest[DIGEST_SIZE];
        _cleanup_free_ char *shown = url ? text_redact(url) : NULL;
        if (!shown)
                return url ? error_no_memory(err) : error_set(err, -EINVAL, ERR_SPEC, NULL, "source.url is missing");
        if (sha256 && !hex_decode(sha256, digest, sizeof(digest)))
                return error_set(err, -EINVAL, ERR_SPEC, "A SHA-256 digest is 64 hexadecimal digits.",
                                 "source.sha256 \"%s\" is not a SHA-256 digest", sha256);
        if (has_scheme(url, "https://") || has_scheme(url, "file:///"))
                return 0;
        if (!has_scheme(url, "http://"))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "source.url \"%s\" is not an https, http or file URL",
                                 shown);
        if (!sha256)
                return error_set(
                        err, -EINVAL, ERR_SPEC,
                        "Add source.sha256, or use https: without either, anyone on the way can change what is deployed.",
                        "source.url \"%s\" uses http and has no sha256", shown);
        return 0;
}

static bool text_equal(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

/* Does the server say that the file is what we know? No answer, or none we can use, means: read it. */
static int is_unchanged(const Host *host, const Value *spec, const Value *known, bool *ret, Error *err) {
        const char *url = value_get_text(spec, "url"), *etag = value_get_text(known, "etag");
        const char *date = value_get_text(known, "last_modified");
        _cleanup_http_reply_ HttpReply reply = {0};
        *ret = false;
        if (!text_equal(url, value_get_text(known, "location")) || !value_get_text(known, "sha256") || (!etag && !date))
                return 0;
        HttpRequest request = {
                .method = "HEAD",
                .url = url,
                .schemes = HTTP_SCHEME_HTTPS | HTTP_SCHEME_FILE,
                .retry = HTTP_RETRY_IDEMPOTENT,
                .attempts = 2,
                .ca_file = value_get_text(spec, "ca_file"),
        };
        int r = http_request(host, &request, &reply, err);
        if (r == -ECANCELED || r == -ENOMEM)
                return r;
        if (r < 0 || reply.status != 200)
                return 0;
        if (etag || reply.etag)
                *ret = text_equal(etag, reply.etag);
        else
                *ret = text_equal(date, reply.last_modified) && reply.content_length >= 0 &&
                       reply.content_length == value_get_int(known, "size", -1);
        return 0;
}

static int resolve_download(const Host *host, const Value *spec, Value **ret_facts, Prefetched *ret_prefetched,
                            Error *err) {
        _cleanup_downloaded_ Downloaded got = {0};
        const char *url = value_get_text(spec, "url"), *format = NULL;
        int64_t max = value_get_int(spec, "max_size", 0);
        Download download = {
                .url = url,
                .ca_file = value_get_text(spec, "ca_file"),
                .max_size = (uint64_t)MAX(max, 0),
                .schemes = HTTP_SCHEME_HTTPS | HTTP_SCHEME_FILE,
        };
        int r = source_download(host, &download, &got, ret_prefetched, err);
        if (r == 0)
                r = format_of_fd(ret_prefetched->fd, url, &format, err);
        if (r == 0 && (r = format_check_name(url, format, err)) < 0)
                r = error_context(err, r, "\"%s\"", url);
        if (r == 0)
                r = source_facts_make(&(SourceFacts){got.sha256, format, url, got.etag, got.last_modified,
                                                     (int64_t)got.size},
                                      ret_facts, err);
        if (r < 0)
                fd_close(&ret_prefetched->fd);
        return r;
}

static int resolve_known(const Value *known, Value **ret_facts, Error *err) {
        Value *copy = value_copy(known);
        if (!copy)
                return error_no_memory(err);
        *ret_facts = copy;
        return 0;
}

/* Digests are compared as text elsewhere, so they are lower case from here on. */
static int resolve_told(const char *url, const char *sha256, Value **ret_facts, Error *err) {
        char lower[DIGEST_HEX_SIZE];
        for (size_t i = 0; i < sizeof(lower); i++)
                lower[i] = (char)tolower((unsigned char)sha256[i]);
        return source_facts_make(&(SourceFacts){lower, format_of_url(url), url, NULL, NULL, -1}, ret_facts, err);
}

static int resolve(const Host *host, const Value *spec, const Value *known, Value **ret_facts,
                   Prefetched *ret_prefetched, Error *err) {
        const char *url = value_get_text(spec, "url"), *sha256 = value_get_text(spec, "sha256");
        bool unchanged = false;
        int r = check_url(url, sha256, err);
        if (r < 0)
                return r;
        *ret_prefetched = (Prefetched){.fd = -1};
        if (sha256)
                return resolve_told(url, sha256, ret_facts, err);
        r = known ? is_unchanged(host, spec, known, &unchanged, err) : 0;
        if (r < 0)
                return r;
        return unchanged ? resolve_known(known, ret_facts, err)
                         : resolve_download(host, spec, ret_facts, ret_prefetched, err);
}

const Source source_url = {.type = "url", .is_remote = true, .resolve = resolve};
