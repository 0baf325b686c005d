/* SPDX-License-Identifier: Apache-2.0 */
/* See manifest.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/archive_policy.h"
#include "managers/manifest.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define LINE_MAX_SIZE ((size_t)PATH_MAX + DIGEST_HEX_SIZE + 8)

void manifest_done(Manifest *m) {
        stream_done(&m->out);
        free(m->buffer);
        *m = (Manifest){0};
}

int manifest_begin(Manifest *m, int fd, Error *err) {
        *m = (Manifest){.out = STREAM_INIT, .buffer = malloc(BUFFER_SIZE)};
        return m->buffer ? stream_begin(&m->out, fd, err) : error_no_memory(err);
}

static int flush(Manifest *m, Error *err) {
        int r = stream_write(&m->out, m->buffer, m->n_buffer, err);
        m->n_buffer = 0;
        return r;
}

static bool has_control(const char *s) {
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

/* "f <hex> path" in line, without a line break. */
static int line_make(char line[static LINE_MAX_SIZE], char type, const char *hex, const char *path, Error *err) {
        int n = hex ? snprintf(line, LINE_MAX_SIZE, "%c %s %s", type, hex, path)
                    : snprintf(line, LINE_MAX_SIZE, "%c %s", type, path);
        if (n < 0 || (size_t)n >= LINE_MAX_SIZE)
                return error_set(err, -ENAMETOOLONG, ERR_ARTIFACT, NULL, "a path of the release is too long");
        if (has_control(path))
                return error_set(err, -EINVAL, ERR_ARTIFACT, "Rename that file.",
                                 "a file name of the release holds a control character");
        return n;
}

int manifest_add(Manifest *m, char type, const char *hex, const char *path, Error *err) {
        char line[LINE_MAX_SIZE];
        int n = line_make(line, type, hex, path, err);
        if (n < 0)
                return n;
        if (m->n_buffer + (size_t)n + 1 > BUFFER_SIZE) {
                int r = flush(m, err);
                if (r < 0)
                        return r;
        }
        memcpy(m->buffer + m->n_buffer, line, (size_t)n);
        m->n_buffer += (size_t)n;
        m->buffer[m->n_buffer++] = '\n';
        return 0;
}

int manifest_finish(Manifest *m, char ret_hex[static DIGEST_HEX_SIZE], Error *err) {
        int r = flush(m, err);
        return r < 0 ? r : stream_finish(&m->out, ret_hex, err);
}

bool manifest_skips(const char *path) {
        return strncmp(path, ".pawl-", 6) == 0;
}

static int link_digest(const WalkEntry *e, char ret_hex[static DIGEST_HEX_SIZE], Error *err) {
        char target[PATH_MAX];
        uint8_t digest[DIGEST_SIZE];
        ssize_t n = readlinkat(e->dir_fd, e->name, target, sizeof(target) - 1);
        if (n < 0)
                return error_set_errno(err, -errno, NULL, "could not read the link \"%s\"", e->path);
        target[n] = '\0';
        int r = archive_policy_check_link(e->path, target, err);
        if (r == 0)
                r = sha256_of(target, (size_t)n, digest, err);
        if (r == 0)
                hex_encode(digest, sizeof(digest), ret_hex);
        return r;
}

int manifest_entry(const Host *host, const WalkEntry *e, char *ret_type, char ret_hex[static DIGEST_HEX_SIZE],
                   Error *err) {
        mode_t mode = e->st->st_mode;
        *ret_type = S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : mode & 0111 ? 'x' : 'f';
        if (S_ISDIR(mode))
                return 0;
        if (S_ISLNK(mode))
                return link_digest(e, ret_hex, err);
        if (!S_ISREG(mode))
                return error_set(err, -EINVAL, ERR_ARTIFACT, "A release holds files, directories and links.",
                                 "\"%s\" is a device, socket or pipe", e->path);
        _cleanup_close_ int fd = openat(e->dir_fd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return error_set_errno(err, -errno, NULL, "could not open \"%s\"", e->path);
        return stream_digest(host, fd, e->path, ret_hex, err);
}

typedef struct Adding {
        const Host *host;
        Manifest *m;
} Adding;

static int add_visit(void *userdata, const WalkEntry *e, Error *err) {
        Adding *a = userdata;
        char type, hex[DIGEST_HEX_SIZE];
        if (manifest_skips(e->path))
                return 0;
        int r = manifest_entry(a->host, e, &type, hex, err);
        if (r < 0)
                return r;
        if (S_ISREG(e->st->st_mode)) {
                a->m->files++;
                a->m->size += (uint64_t)e->st->st_size;
        }
        return manifest_add(a->m, type, type == 'd' ? NULL : hex, e->path, err);
}

int manifest_add_tree(const Host *host, Manifest *m, int dir_fd, Error *err) {
        return walk_tree(dir_fd, add_visit, &(Adding){host, m}, err);
}

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

typedef struct Comparing {
        const Host *host;
        FILE *listing;
        char *line;
        size_t allocated;
        bool is_over;
        int error; /* of the listing */
} Comparing;

static void comparing_done(Comparing *c) {
        if (c->listing)
                fclose(c->listing);
        free(c->line);
}

static void next_line(Comparing *c) {
        errno = 0;
        ssize_t n = getline(&c->line, &c->allocated, c->listing);
        c->is_over = n <= 0;
        if (c->is_over && !feof(c->listing))
                c->error = errno != 0 ? -errno : -EIO;
        if (n > 0 && c->line[n - 1] == '\n')
                c->line[n - 1] = '\0';
}

/* The path at a line's end; the line itself when it has none (a damaged listing). */
static const char *line_path(const char *line) {
        size_t skip = line[0] == 'd' ? 2 : DIGEST_HEX_SIZE + 2;
        return strlen(line) > skip ? line + skip : line;
}

static int drift(const char *path, const char *how, Error *err) {
        return error_set(err, -ESTALE, ERR_DRIFT, "Deploy the version again to have it whole.", "\"%s\" %s", path, how);
}

static int compare_visit(void *userdata, const WalkEntry *e, Error *err) {
        Comparing *c = userdata;
        char type, hex[DIGEST_HEX_SIZE], line[LINE_MAX_SIZE];
        if (c->error < 0)
                return error_set_errno(err, c->error, NULL, "could not read the listing of a release");
        if (manifest_skips(e->path))
                return 0;
        int order = c->is_over ? -1 : walk_compare(e->path, line_path(c->line));
        if (order != 0)
                return order < 0 ? drift(e->path, "was added", err) : drift(line_path(c->line), "is missing", err);
        int r = manifest_entry(c->host, e, &type, hex, err);
        if (r == -EINVAL || r == -EBADMSG)
                return drift(e->path, r == -EINVAL ? "is another kind of file" : "leads out of the release", err);
        if (r == 0)
                r = line_make(line, type, type == 'd' ? NULL : hex, e->path, err);
        if (r < 0)
                return r;
        if (strcmp(line, c->line) != 0)
                return drift(e->path, "differs", err);
        next_line(c);
        return 0;
}

int manifest_compare(const Host *host, int dir_fd, int fd, Error *err) {
        _cleanup_close_ int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        _cleanup_(comparing_done) Comparing c = {.host = host, .listing = own < 0 ? NULL : fdopen(own, "r")};
        if (!c.listing)
                return error_set_errno(err, -errno, NULL, "could not read the listing of a release");
        (void)TAKE_FD(own);
        rewind(c.listing);
        next_line(&c);
        int r = walk_tree(dir_fd, compare_visit, &c, err);
        if (r == 0 && c.error < 0)
                return error_set_errno(err, c.error, NULL, "could not read the listing of a release");
        if (r == 0 && !c.is_over)
                r = drift(line_path(c.line), "is missing", err);
        return r;
}
