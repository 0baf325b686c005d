/* SPDX-License-Identifier: Apache-2.0 */
/* See download.h. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/download.h"
#include "managers/stream.h"

void downloaded_done(Downloaded *d) {
        free(d->etag);
        free(d->last_modified);
        *d = (Downloaded){0};
}

static int sink(void *userdata, uint64_t offset, const void *data, size_t size, Error *err) {
        Stream *s = userdata;
        if (offset != s->size) {
                /* It begins again: what was hashed is of no use. */
                int r = stream_begin(s, s->fd, err);
                if (r < 0)
                        return r;
        }
        return stream_write(s, data, size, err);
}

static int refuse_limited(const char *doing, const char *what, uint64_t wait_usec, Error *err) {
        char until[32], lasts[32];
        if (wait_usec == 0)
                return error_set(err, -EAGAIN, ERR_NETWORK, "Run it again later.",
                                 "could not %s \"%s\": the server takes no more requests for now", doing, what);
        clock_format_local(clock_wall_usec() + (int64_t)wait_usec, until);
        duration_format(wait_usec, lasts);
        return error_set(err, -EAGAIN, ERR_NETWORK, "Run it again then.",
                         "could not %s \"%s\": the server takes no more requests until %s (for %s)", doing, what, until,
                         lasts);
}

int download_refused(const char *doing, const char *what, const HttpReply *reply, Error *err) {
        uint64_t wait_usec = 0;
        int status = reply->status;
        if (http_reply_is_limited(reply, &wait_usec))
                return refuse_limited(doing, what, wait_usec, err);
        bool is_missing = status == 404 || status == 410;
        const char *hint =
                status == 401 || status == 403 ? "The server wants credentials, or refuses the ones it got." : NULL;
        return error_set(err, is_missing ? -ENOENT : -EIO, is_missing ? ERR_NOT_FOUND : ERR_NETWORK, hint,
                         "could not %s \"%s\": the server answered %d", doing, what, status);
}

int download_to_fd(const Host *host, const Download *download, int fd, Downloaded *ret, Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        _cleanup_http_reply_ HttpReply reply = {0};
        _cleanup_free_ char *shown = text_redact(download->what ? download->what : download->url);
        if (!shown)
                return error_no_memory(err);
        int r = stream_begin(&s, fd, err);
        if (r < 0)
                return r;
        HttpRequest request = {
                .url = download->url,
                .headers = download->headers,
                .n_headers = download->n_headers,
                .schemes = download->schemes,
                .retry = HTTP_RETRY_IDEMPOTENT,
                .max_size = download->max_size ? download->max_size : DOWNLOAD_MAX_SIZE,
                .sink = sink,
                .userdata = &s,
                .progress = shown,
                .ca_file = download->ca_file,
        };
        r = http_request(host, &request, &reply, err);
        if (r < 0)
                return r;
        if (reply.status != 200 && reply.status != 206)
                return download_refused("download", shown, &reply, err);
        char sha256[DIGEST_HEX_SIZE];
        r = stream_finish(&s, sha256, err);
        if (r < 0)
                return r;
        *ret = (Downloaded){.size = s.size};
        ret->etag = TAKE_PTR(reply.etag);
        ret->last_modified = TAKE_PTR(reply.last_modified);
        memcpy(ret->sha256, sha256, sizeof(sha256));
        return 0;
}
