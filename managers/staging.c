/* SPDX-License-Identifier: Apache-2.0 */
/* See staging.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/staging.h"

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

void staging_done(Staging *s) {
        fd_close(&s->fd);
        fd_close(&s->dir_fd);
        free(s->dir);
        s->dir = NULL;
}

int staging_begin(Staging *s, int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        bool is_left_over = false;
        int r = fs_has(root, path, &is_left_over, err);
        if (is_left_over)
                r = fs_remove_tree(root, path, err);
        if (r == 0)
                r = fs_place_open(root, path, &p, err);
        if (r == 0)
                r = fs_mkdir_at(p.dir_fd, p.name, 0755, err);
        if (r < 0)
                return r;
        *s = STAGING_INIT;
        s->fd = openat(p.dir_fd, p.name, DIRECTORY_FLAGS);
        if (s->fd < 0)
                return error_set_errno(err, -errno, NULL, "could not open the directory \"%s\"", path);
        return fs_set_mode(s->fd, 0755, FS_OWNER_KEEP, err);
}

static int fail_way(const char *path, const char *name, Error *err) {
        if (errno == ENOTDIR || errno == ELOOP)
                return error_set(err, -ENOTDIR, ERR_ARTIFACT, NULL,
                                 "\"%s\" leads through \"%s\", which is not a directory", path, name);
        return error_set_errno(err, -errno, NULL, "could not open the directory \"%s\"", name);
}

/* Opens (makes, if it is missing and may be made) one directory below another. */
static int open_step(int dir, const char *name, bool make, const char *path, Error *err) {
        _cleanup_close_ int fd = openat(dir, name, DIRECTORY_FLAGS);
        if (fd >= 0)
                return TAKE_FD(fd);
        if (errno != ENOENT || !make)
                return fail_way(path, name, err);
        int r = fs_mkdir_at(dir, name, 0755, err);
        if (r < 0)
                return r;
        fd = openat(dir, name, DIRECTORY_FLAGS);
        if (fd < 0)
                return fail_way(path, name, err);
        /* The umask had its part in the mode. */
        r = fs_set_mode(fd, 0755, FS_OWNER_KEEP, err);
        return r < 0 ? r : TAKE_FD(fd);
}

/* Opens a directory below the top by its whole path. */
static int open_way(const Staging *s, const char *path, bool make, Error *err) {
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
        if (!copy || fd < 0)
                return error_no_memory(err);
        char *rest = copy;
        for (char *name; (name = strsep(&rest, "/"));) {
                if (*name == '\0')
                        continue;
                int next = open_step(fd, name, make, path, err);
                if (next < 0)
                        return next;
                fd_close(&fd);
                fd = next;
        }
        return TAKE_FD(fd);
}

/* The directory for an entry; borrowed until the next call. */
static int directory_of(Staging *s, const char *path, Error *err) {
        const char *slash = strrchr(path, '/');
        if (!slash)
                return s->fd;
        size_t n = (size_t)(slash - path);
        if (s->dir && strlen(s->dir) == n && memcmp(s->dir, path, n) == 0)
                return s->dir_fd;
        _cleanup_free_ char *dir = strndup(path, n);
        if (!dir)
                return error_no_memory(err);
        int fd = open_way(s, dir, true, err);
        if (fd < 0)
                return fd;
        fd_close(&s->dir_fd);
        free(s->dir);
        s->dir = TAKE_PTR(dir);
        s->dir_fd = fd;
        return fd;
}

static int fail_twice(int r, const char *path, Error *err) {
        return r == -EEXIST ? error_set(err, r, ERR_ARTIFACT, NULL, "\"%s\" is there twice", path) : r;
}

int staging_directory(Staging *s, const char *path, Error *err) {
        int dir = directory_of(s, path, err);
        if (dir < 0)
                return dir;
        const char *name = path_base(path);
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return S_ISDIR(st.st_mode) ? 0 : fail_twice(-EEXIST, path, err);
        _cleanup_close_ int fd = open_step(dir, name, true, path, err);
        return fd < 0 ? fd : 0;
}

int staging_file(Staging *s, const char *path, Error *err) {
        int dir = directory_of(s, path, err);
        if (dir < 0)
                return dir;
        int fd = fs_create_at(dir, path_base(path), 0600, err);
        return fd < 0 ? fail_twice(fd, path, err) : fd;
}

int staging_link(Staging *s, const char *path, const char *target, Error *err) {
        int dir = directory_of(s, path, err);
        if (dir < 0)
                return dir;
        return fail_twice(fs_symlink_at(target, dir, path_base(path), err), path, err);
}

int staging_hard_link(Staging *s, const char *path, const char *from, Error *err) {
        struct stat st;
        _cleanup_free_ char *parent = path_parent(from);
        if (!parent)
                return error_no_memory(err);
        _cleanup_close_ int from_dir = open_way(s, strcmp(parent, ".") == 0 ? "" : parent, false, NULL);
        if (from_dir < 0 || fstatat(from_dir, path_base(from), &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return error_set(err, -ENOENT, ERR_ARTIFACT, NULL,
                                 "\"%s\" is a hard link to \"%s\", which is no file before it", path, from);
        int dir = directory_of(s, path, err);
        if (dir < 0)
                return dir;
        return fail_twice(fs_link_at(from_dir, path_base(from), dir, path_base(path), err), path, err);
}
