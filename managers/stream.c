/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "managers/stream.h"

#define FLUSH_SIZE ((uint64_t)8 << 20)

void stream_done(Stream *s) {
        s->sha256 = sha256_free(s->sha256);
}

int stream_begin(Stream *s, int fd, Error *err) {
        Sha256 *fresh = NULL;
        int r = sha256_new(&fresh, err);
        if (r < 0)
                return r;
        sha256_free(s->sha256);
        *s = (Stream){.fd = fd, .sha256 = fresh};
        if (fd < 0)
                return 0;
        r = fs_truncate(fd, 0, err);
        if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = error_set_errno(err, -errno, NULL, "could not go to the beginning of a file");
        return r;
}

int stream_write(Stream *s, const void *data, size_t size, Error *err) {
        int r = sha256_update(s->sha256, data, size, err);
        if (r == 0 && s->fd >= 0)
                r = fs_write_all(s->fd, data, size, err);
        if (r < 0)
                return r;
        s->size += size;
        if (s->fd < 0 || s->size - s->flushed < FLUSH_SIZE)
                return 0;
        /* A hint: without it up to a fifth of all memory turns dirty first, and the fsync then stands still for all
         * of it. */
        (void)sync_file_range(s->fd, (off_t)s->flushed, (off_t)(s->size - s->flushed), SYNC_FILE_RANGE_WRITE);
        s->flushed = s->size;
        return 0;
}

int stream_finish(Stream *s, char ret_hex[static DIGEST_HEX_SIZE], Error *err) {
        uint8_t digest[DIGEST_SIZE];
        int r = sha256_finish(s->sha256, digest, err);
        if (r == 0)
                hex_encode(digest, sizeof(digest), ret_hex);
        return r;
}

static int too_large(const char *what, uint64_t max, Error *err) {
        char limit[32];
        size_format(max, limit);
        return error_set(err, -EFBIG, ERR_ARTIFACT, "Raise max_size if it may be that large.",
                         "\"%s\" is larger than %s", what, limit);
}

int stream_copy(const Host *host, int from, Stream *s, uint64_t max, const char *what, Error *err) {
        _cleanup_free_ char *buffer = malloc(STREAM_BUFFER_SIZE);
        if (!buffer)
                return error_no_memory(err);
        (void)posix_fadvise(from, 0, 0, POSIX_FADV_SEQUENTIAL);
        for (;;) {
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                ssize_t n = read(from, buffer, STREAM_BUFFER_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
                if (n == 0)
                        return 0;
                if (max > 0 && s->size + (uint64_t)n > max)
                        return too_large(what, max, err);
                r = stream_write(s, buffer, (size_t)n, err);
                if (r < 0)
                        return r;
                host_progress(host, what, s->size, 0);
        }
}

int stream_digest(const Host *host, int fd, const char *what, char ret_hex[static DIGEST_HEX_SIZE], Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
        int r = stream_begin(&s, -1, err);
        if (r == 0)
                r = stream_copy(host, fd, &s, 0, what, err);
        return r < 0 ? r : stream_finish(&s, ret_hex, err);
}
