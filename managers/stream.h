/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content on its way to a file: hashed while it is written, and pushed to the disk as it comes, so that the fsync at
 * the end has little left to do and memory holds one buffer whatever the size.
 */
#pragma once

#include "core/base/digest.h"
#include "managers/manager.h"

#define STREAM_BUFFER_SIZE ((size_t)256 << 10)

typedef struct Stream {
        int fd; /* borrowed; -1: only hashed */
        Sha256 *sha256;
        uint64_t size;    /* bytes so far */
        uint64_t flushed; /* bytes the kernel was told to write out */
} Stream;
#define STREAM_INIT ((Stream){.fd = -1})

void stream_done(Stream *s);
#define _cleanup_stream_ _cleanup_(stream_done)

/* Begins, also once more from zero: an old file's content is cut off. */
int stream_begin(Stream *s, int fd, Error *err);
int stream_write(Stream *s, const void *data, size_t size, Error *err);
int stream_finish(Stream *s, char ret_hex[static DIGEST_HEX_SIZE], Error *err);

/* The rest of `from` into s; -EFBIG (ERR_ARTIFACT) beyond max (0: no limit). `what` is for progress and messages. */
int stream_copy(const Host *host, int from, Stream *s, uint64_t max, const char *what, Error *err);

/* Digest of a whole file from its beginning; the position is at its end afterwards. */
int stream_digest(const Host *host, int fd, const char *what, char ret_hex[static DIGEST_HEX_SIZE], Error *err);
