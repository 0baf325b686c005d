/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A download into a file, hashed on its way. A broken one goes on where it ended.
 */
#pragma once

#include "core/base/digest.h"
#include "managers/manager.h"

#define DOWNLOAD_MAX_SIZE ((uint64_t)2 << 30)

typedef struct Download {
        const char *url;
        const char *what;    /* what messages call it; NULL: the URL */
        const char *ca_file; /* NULL: the client's */
        const HttpHeader *headers;
        size_t n_headers;
        uint64_t max_size; /* 0: DOWNLOAD_MAX_SIZE */
        unsigned schemes;
} Download;

typedef struct Downloaded {
        char sha256[DIGEST_HEX_SIZE];
        uint64_t size;
        char *etag, *last_modified; /* owned; may be NULL */
} Downloaded;
void downloaded_done(Downloaded *d);
#define _cleanup_downloaded_ _cleanup_(downloaded_done)

/* Into fd from its beginning. An answer other than 200 is an error: `could not download "https://h/x": the server
 * answered 404`. */
int download_to_fd(const Host *host, const Download *download, int fd, Downloaded *ret, Error *err);

/* For an answer that is not what was asked for: `could not <doing> "<what>": the server answered 404`. A limit says
 * until when. */
int download_refused(const char *doing, const char *what, const HttpReply *reply, Error *err);
