/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are counted from the end in blocks, so that the last twenty lines of a large file cost one read. The program
 * may write what it likes, also a sparse file of any size: how far is looked back has an end, and what has no line ends
 * counts as lines all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/log_file.h"

enum {
        LOG_BLOCK = 64 << 10,
        LOG_FOLLOW_USEC = 200000,
};

char *log_file_path(const char *service) {
        return text_format("var/log/pawl/%s.log", service);
}

static int rotate(const Host *host, const char *path, Error *err) {
        _cleanup_free_ char *old = text_format("%s.1", path);
        if (!old)
                return error_no_memory(err);
        int r = fs_unlink_durably(host->root, old, err);
        if (r < 0)
                return r;
        return fs_rename_durably(host->root, path, old, err);
}

int log_file_open(const Host *host, const char *path, Error *err) {
        _cleanup_free_ char *parent = path_parent(path);
        struct stat st;
        if (!parent)
                return error_no_memory(err);
        int r = fs_mkdir_all(host->root, parent, 0755, err);
        if (r < 0)
                return r;
        r = fs_stat(host->root, path, &st, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_ROTATE_SIZE) {
                r = rotate(host, path, err);
                if (r < 0)
                        return r;
        }
        return fs_append_open(host->root, path, 0640, err);
}

/* A file being read line by line; `held` is the line that has no end yet. */
typedef struct LogReader {
        int fd;
        struct stat st;
        off_t end; /* read so far and no further, however fast it grows; -1: to its end */
        char *held;
        size_t n_held;
} LogReader;

static void reader_done(LogReader *l) {
        fd_close(&l->fd);
        free(l->held);
        l->held = NULL;
}

/* -ENOENT quietly. */
static int reader_open(const Host *host, const char *path, LogReader *ret, Error *err) {
        struct stat st;
        int r = fs_stat(host->root, path, &st, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = fs_open(host->root, path, O_RDONLY | O_NOFOLLOW, err);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", path);
        char *held = malloc(LOG_LINE_MAX);
        if (!held)
                return error_no_memory(err);
        *ret = (LogReader){.fd = TAKE_FD(fd), .st = st, .end = -1, .held = held};
        return 0;
}

/* Going back through a file: `found` of `wanted` lines begin at `begin`; `run` bytes were seen since the last of
 * them; `left` may be read. */
typedef struct Back {
        size_t wanted, found, run;
        off_t begin, left;
} Back;

/* A line begins behind the end of another, and where a piece of LOG_LINE_MAX is full. */
static void back_block(Back *b, const char *block, size_t n, off_t at) {
        for (size_t i = n; i > 0; i--) {
                bool is_end = block[i - 1] == '\n';
                if (is_end || b->run == LOG_LINE_MAX) {
                        b->begin = at + (off_t)i;
                        b->run = 0;
                        if (++b->found == b->wanted)
                                return;
                }
                b->run += !is_end;
        }
}

/* The end of a line near `at`, so that what is shown first is no half line; else `at` itself. */
static off_t near_line(const LogReader *l, off_t at) {
        char block[4096];
        ssize_t n = at > 0 ? pread(l->fd, block, sizeof(block), at) : 0;
        const char *end = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
        return end ? at + (end - block) + 1 : at;
}

static int back_find(const Host *host, const LogReader *l, Back *b, Error *err) {
        _cleanup_free_ char *block = malloc(LOG_BLOCK);
        off_t at = l->st.st_size;
        if (!block)
                return error_no_memory(err);
        while (at > 0 && b->left > 0 && b->found < b->wanted) {
                size_t size = (size_t)MIN(MIN(at, b->left), (off_t)LOG_BLOCK);
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                at -= (off_t)size;
                b->left -= (off_t)size;
                if (pread(l->fd, block, size, at) != (ssize_t)size)
                        return error_set_errno(err, -EIO, NULL, "could not read the log");
                back_block(b, block, size, at);
        }
        if (b->found < b->wanted)
                b->begin = near_line(l, at);
        return 0;
}

/* Puts the position to where the last n lines begin (0: all), looking back *left bytes at most; those looked at are
 * taken off. Returns how many lines that are (of 0: nothing certain), or a negative errno. */
static ssize_t reader_seek(const Host *host, LogReader *l, size_t n, off_t *left, Error *err) {
        char last = '\n';
        off_t size = l->st.st_size;
        if (size > 0 && pread(l->fd, &last, 1, size - 1) < 0)
                return error_set_errno(err, -errno, NULL, "could not read the log");
        /* The end of the last line is not the end of the line before. */
        Back b = {.wanted = n + (last == '\n' && size > 0 ? 1 : 0), .left = *left};
        int r = 0;
        if (n == 0) {
                b.begin = near_line(l, MAX(size - *left, 0));
                b.left = MAX(*left - size, 0);
        } else {
                r = back_find(host, l, &b, err);
        }
        if (r < 0)
                return r;
        if (lseek(l->fd, b.begin, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not read the log");
        *left = b.left;
        l->end = size;
        return b.found == b.wanted ? (ssize_t)n : (ssize_t)(b.found + (last == '\n' ? 0 : 1));
}

static void reader_flush(LogReader *l, const LogSink *sink) {
        if (l->n_held > 0)
                sink->line(sink->userdata, l->held, l->n_held);
        l->n_held = 0;
}

static void reader_add(LogReader *l, const LogSink *sink, char c) {
        if (c == '\n') {
                sink->line(sink->userdata, l->held, l->n_held);
                l->n_held = 0;
                return;
        }
        if (l->n_held == LOG_LINE_MAX)
                reader_flush(l, sink);
        l->held[l->n_held++] = c;
}

/* Hands on every line from the position to the end. Cancelled, it stops quietly. */
static int reader_drain(const Host *host, LogReader *l, const LogSink *sink, Error *err) {
        char block[8192];
        off_t at = l->end >= 0 ? lseek(l->fd, 0, SEEK_CUR) : 0;
        while (l->end < 0 || at < l->end) {
                size_t size = l->end < 0 ? sizeof(block) : (size_t)MIN(l->end - at, (off_t)sizeof(block));
                ssize_t n = read(l->fd, block, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, -errno, NULL, "could not read the log");
                for (ssize_t i = 0; i < n; i++)
                        reader_add(l, sink, block[i]);
                if (n == 0 || host_check_cancel(host, NULL) < 0)
                        return 0;
                at += n;
        }
        return 0;
}

static int rotated_lines(const Host *host, const char *path, size_t n, off_t left, const LogSink *sink, Error *err) {
        _cleanup_free_ char *old = text_format("%s.1", path);
        _cleanup_(reader_done) LogReader l = {.fd = -1};
        if (!old)
                return error_no_memory(err);
        int r = reader_open(host, old, &l, err);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        ssize_t found = reader_seek(host, &l, n, &left, err);
        if (found < 0)
                return (int)found;
        r = reader_drain(host, &l, sink, err);
        reader_flush(&l, sink);
        return r;
}

static int follow_lines(const Host *host, const char *path, LogReader *l, const LogSink *sink, Error *err) {
        for (;;) {
                struct stat st;
                int r = l->fd >= 0 ? reader_drain(host, l, sink, err) : 0;
                if (r < 0)
                        return r;
                if (host_check_cancel(host, NULL) < 0)
                        return 0;
                bool is_other = fs_stat(host->root, path, &st, NULL) == 0 && (l->fd < 0 || st.st_ino != l->st.st_ino);
                if (is_other) {
                        /* Rotated: what was still added to the old one between the two looks comes first. */
                        r = l->fd >= 0 ? reader_drain(host, l, sink, err) : 0;
                        reader_flush(l, sink);
                        reader_done(l);
                        *l = (LogReader){.fd = -1};
                        if (r == 0)
                                r = reader_open(host, path, l, err);
                        if (r < 0 && r != -ENOENT)
                                return r;
                        continue;
                }
                clock_sleep_usec(LOG_FOLLOW_USEC);
        }
}

int log_file_lines(const Host *host, const char *service, size_t n, bool follow, const LogSink *sink, Error *err) {
        _cleanup_free_ char *path = log_file_path(service);
        _cleanup_(reader_done) LogReader l = {.fd = -1};
        ssize_t found = 0;
        off_t left = n == 0 ? LOG_ALL_MAX : LOG_BACK_MAX;
        if (!path)
                return error_no_memory(err);
        int r = reader_open(host, path, &l, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0)
                found = reader_seek(host, &l, n, &left, err);
        if (found < 0)
                return (int)found;
        if (left > 0 && (n == 0 || (size_t)found < n)) {
                r = rotated_lines(host, path, n == 0 ? 0 : n - (size_t)found, left, sink, err);
                if (r < 0)
                        return r;
        }
        l.end = follow ? -1 : l.end;
        if (follow)
                return follow_lines(host, path, &l, sink, err);
        r = l.fd >= 0 ? reader_drain(host, &l, sink, err) : 0;
        reader_flush(&l, sink);
        return r < 0 ? r : host_check_cancel(host, err);
}

/* Where the last n lines of a text begin. */
static const char *last_lines(const char *text, size_t size, size_t n) {
        const char *p = text + size;
        if (p > text && p[-1] == '\n')
                p--;
        for (; p > text; p--)
                if (p[-1] == '\n' && --n == 0)
                        return p;
        return text;
}

void log_file_to_detail(const Host *host, const char *service, off_t from, size_t n, Error *err) {
        _cleanup_free_ char *path = log_file_path(service), *text = malloc(LOG_BLOCK + 1);
        _cleanup_(reader_done) LogReader l = {.fd = -1};
        if (!err || !path || !text || reader_open(host, path, &l, NULL) < 0)
                return;
        off_t begin = from <= l.st.st_size ? MAX(from, l.st.st_size - LOG_BLOCK)
                                           : 0; /* shorter than it was: rotated meanwhile */
        ssize_t size = pread(l.fd, text, LOG_BLOCK, begin);
        if (size <= 0)
                return;
        text[size] = '\0';
        for (const char *line = last_lines(text, (size_t)size, n); *line;) {
                size_t length = strcspn(line, "\n");
                error_detail(err, "%.*s", (int)MIN(length, (size_t)400), line);
                line += length + (line[length] == '\n');
        }
}
