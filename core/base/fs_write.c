/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of fs.h that changes single names: data and mode → fsync(file) → name → fsync(directory), in this order.
 *
 * A file that failed to fsync is abandoned, never synced again: after a failure the kernel has marked the lost pages
 * clean, and a second fsync would report success for data that never reached the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/fs.h"
#include "core/base/fs_internal.h"

int fs_write_all(int fd, const void *data, size_t size, Error *err) {
        const char *at = data;
        while (size > 0) {
                ssize_t n = write(fd, at, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fs_fail_fd(err, n < 0 ? -errno : -EIO, "write to", fd);
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

int fs_sync_fd(int fd, Error *err) {
        if (mutant_is("no-file-fsync"))
                return 0;
        return fsync(fd) < 0 ? fs_fail_fd(err, -errno, "write to the disk", fd) : 0;
}

int fs_sync_dir_fd(int dir_fd, Error *err) {
        if (mutant_is("no-dir-fsync"))
                return 0;
        if (fsync(dir_fd) == 0)
                return 0;
        /* One that may be searched but not read is open for its names alone (fs_place_find). */
        return fs_fail_fd(err, errno == EBADF ? -EACCES : -errno, "write to the disk the directory", dir_fd);
}

int fs_set_mode(int fd, mode_t mode, FsOwner owner, Error *err) {
        /* Owner first: changing it takes the set-user-id bit away. */
        if ((owner.uid != (uid_t)-1 || owner.gid != (gid_t)-1) && fchown(fd, owner.uid, owner.gid) < 0)
                return fs_fail_fd(err, -errno, "change the owner of", fd);
        return fchmod(fd, mode) < 0 ? fs_fail_fd(err, -errno, "change the mode of", fd) : 0;
}

int fs_truncate(int fd, off_t size, Error *err) {
        int r;
        do
                r = ftruncate(fd, size);
        while (r < 0 && errno == EINTR);
        return r < 0 ? fs_fail_fd(err, -errno, "cut to size", fd) : 0;
}

int fs_reserve(int fd, off_t size, Error *err) {
        int r = 0;
        do
                r = size > 0 ? fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) : 0;
        while (r < 0 && errno == EINTR);
        if (r == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
                return 0;
        return fs_fail_fd(err, -errno, "reserve room for", fd);
}

static int fail_at(Error *err, int r, const char *what, const char *name) {
        return fs_name_is_single(name)
                       ? fs_fail(err, r, what, name)
                       : error_set_full(err, r, ERR_IO, NULL, "cannot use \"%s\" as the name of a file", name);
}

int fs_create_at(int dir_fd, const char *name, mode_t mode, Error *err) {
        int fd = -1;
        if (fs_name_is_single(name))
                fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode);
        else
                errno = EINVAL;
        return fd < 0 ? fail_at(err, -errno, "create", name) : fd;
}

int fs_mkdir_at(int dir_fd, const char *name, mode_t mode, Error *err) {
        int r = fs_name_is_single(name) ? (mkdirat(dir_fd, name, mode) < 0 ? -errno : 0) : -EINVAL;
        return r < 0 ? fail_at(err, r, "make the directory", name) : 0;
}

int fs_symlink_at(const char *target, int dir_fd, const char *name, Error *err) {
        int r = fs_name_is_single(name) ? (symlinkat(target, dir_fd, name) < 0 ? -errno : 0) : -EINVAL;
        return r < 0 ? fail_at(err, r, "make the link", name) : 0;
}

int fs_link_at(int from_dir, const char *from, int to_dir, const char *to, Error *err) {
        if (!fs_name_is_single(from))
                return fail_at(err, -EINVAL, "link", from);
        int r = fs_name_is_single(to) ? (linkat(from_dir, from, to_dir, to, 0) < 0 ? -errno : 0) : -EINVAL;
        return r < 0 ? fail_at(err, r, "make the hard link", to) : 0;
}

int fs_append_open(int root, const char *path, mode_t mode, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        struct stat st;
        int r = fs_place_open(root, path, &p, err);
        if (r < 0)
                return r;
        /* O_NONBLOCK only so that a fifo of that name cannot hold us up. */
        int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
        _cleanup_close_ int fd = openat(p.dir_fd, p.name, flags, mode);
        if (fd < 0 || fstat(fd, &st) < 0)
                return fs_fail(err, -errno, "open for appending", path);
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, ERR_IO, NULL, "cannot append to \"%s\": it is not a regular file", path);
        if (fcntl(fd, F_SETFL, O_APPEND) < 0)
                return fs_fail(err, -errno, "open for appending", path);
        return TAKE_FD(fd);
}

/* A name that is gone at once, for file systems without O_TMPFILE. */
static int create_unlinked(int dir, mode_t mode) {
        static atomic_uint counter;
        char name[64];
        for (unsigned tries = 0; tries < 100; tries++) {
                snprintf(name, sizeof(name), ".pawl-unnamed-%d-%u", (int)getpid(), atomic_fetch_add(&counter, 1));
                int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
                if (fd < 0 && errno == EEXIST)
                        continue;
                if (fd >= 0)
                        unlinkat(dir, name, 0);
                return fd < 0 ? -errno : fd;
        }
        return -EEXIST;
}

int fs_create_unnamed(int root, const char *dir, mode_t mode, Error *err) {
        _cleanup_close_ int dir_fd = fs_open_dir(root, dir, err);
        if (dir_fd < 0)
                return dir_fd;
        int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
        if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
                return fs_fail(err, -errno, "create a file in", dir);
        if (fd < 0)
                fd = create_unlinked(dir_fd, mode);
        return fd < 0 ? fs_fail(err, fd, "create a file in", dir) : fd;
}

int fs_reopen_read_only(int fd) {
        char link[64];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        int r = open(link, O_RDONLY | O_CLOEXEC);
        return r < 0 ? -errno : r;
}

int fs_name_unnamed(int fd, int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, path, &p, err);
        if (r < 0)
                return r;
        r = linkat(fd, "", p.dir_fd, p.name, AT_EMPTY_PATH) < 0 ? -errno : 0;
        /* By descriptor only the privileged may link; for all others there is /proc. */
        if (r == -ENOENT || r == -EPERM) {
                char link[64];
                snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                r = linkat(AT_FDCWD, link, p.dir_fd, p.name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
        }
        if (r == 0 || r == -EEXIST)
                return r;
        return fs_fail(err, r, "give a file the name", path);
}

int fs_sync_parent(int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_find(root, path, &p);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? fs_fail(err, r, "open the directory of", path) : fs_sync_dir_fd(p.dir_fd, err);
}

/* The directory was there before. Its name may be what a process wrote that died before its fsync. */
static int mkdir_found(int root, const char *path, const FsPlace *p, Error *err) {
        _cleanup_close_ int fd = fs_open_in_root(root, path, O_PATH | O_DIRECTORY);
        if (fd < 0)
                return fs_fail(err, fd == -ENOENT ? -ENOTDIR : fd, "make the directory", path);
        /* No descriptor to sync by: we may not read this directory, so it is not one that we keep our own things in. */
        int flags = fcntl(p->dir_fd, F_GETFL);
        return flags >= 0 && (flags & O_PATH) ? 0 : fs_sync_dir_fd(p->dir_fd, err);
}

int fs_mkdir_durably(int root, const char *path, mode_t mode, FsOwner owner, bool *ret_created, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, path, &p, err);
        if (r < 0)
                return r;
        bool created = mkdirat(p.dir_fd, p.name, mode) == 0;
        if (!created && errno != EEXIST)
                return fs_fail(err, -errno, "make the directory", path);
        if (!created) {
                r = mkdir_found(root, path, &p, err);
        } else {
                _cleanup_close_ int fd = openat(p.dir_fd, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                r = fd < 0 ? fs_fail(err, -errno, "open the directory", path) : fs_set_mode(fd, mode, owner, err);
                /* Left behind, it would count as made by the next try, with the wrong owner. */
                if (r < 0)
                        unlinkat(p.dir_fd, p.name, AT_REMOVEDIR);
                if (r == 0)
                        r = fs_sync_dir_fd(fd, err);
                if (r == 0)
                        r = fs_sync_dir_fd(p.dir_fd, err);
        }
        if (r < 0)
                return r;
        if (ret_created)
                *ret_created = created;
        return 0;
}

/* How much of path, in bytes, is there as a directory; path is cut there. */
static size_t cut_to_existing(int root, char *path) {
        size_t end = strlen(path);
        while (end > 0) {
                path[end] = '\0';
                _cleanup_close_ int fd = fs_open_in_root(root, path, O_PATH | O_DIRECTORY);
                if (fd >= 0)
                        break;
                while (end > 0 && path[end - 1] != '/')
                        end--;
                while (end > 0 && path[end - 1] == '/')
                        end--;
        }
        path[end] = '\0';
        return end;
}

int fs_mkdir_all_durably(int root, const char *path, mode_t mode, FsOwner owner, char **ret_first, Error *err) {
        _cleanup_free_ char *part = strdup(path), *first = NULL;
        if (!part)
                return error_no_memory(err);
        size_t n = strlen(path);
        while (n > 0 && path[n - 1] == '/')
                n--;
        /* Each level is durable before the next is made: of what is there, only the deepest name can be in doubt. */
        size_t end = cut_to_existing(root, part);
        int r = end > 0 ? fs_mkdir_durably(root, part, 0755, FS_OWNER_KEEP, NULL, err) : 0;
        while (r == 0 && end < n) {
                bool created = false;
                end += strspn(path + end, "/");
                end += strcspn(path + end, "/");
                memcpy(part, path, end);
                part[end] = '\0';
                r = fs_mkdir_durably(root, part, end >= n ? mode : 0755, end >= n ? owner : FS_OWNER_KEEP, &created,
                                     err);
                if (r == 0 && created && !first) {
                        first = strdup(part);
                        r = first ? 0 : error_no_memory(err);
                }
        }
        if (r < 0)
                return r;
        if (ret_first)
                *ret_first = TAKE_PTR(first);
        return 0;
}

int fs_mkdir_all(int root, const char *path, mode_t mode, Error *err) {
        _cleanup_close_ int fd = fs_open_in_root(root, path, O_PATH | O_DIRECTORY);
        if (fd >= 0)
                return 0;
        if (fd != -ENOENT)
                return fs_fail(err, fd, "open the directory", path);
        return fs_mkdir_all_durably(root, path, mode, FS_OWNER_KEEP, NULL, err);
}

int fs_rmdir_durably(int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_find(root, path, &p);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fs_fail(err, r, "open the directory of", path);
        if (unlinkat(p.dir_fd, p.name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return errno == ENOTEMPTY || errno == EEXIST ? -ENOTEMPTY
                                                             : fs_fail(err, -errno, "remove the directory", path);
        return fs_sync_dir_fd(p.dir_fd, err);
}

int fs_unlink_durably(int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_find(root, path, &p);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fs_fail(err, r, "open the directory of", path);
        if (unlinkat(p.dir_fd, p.name, 0) < 0 && errno != ENOENT)
                return fs_fail(err, -errno, "remove", path);
        return fs_sync_dir_fd(p.dir_fd, err);
}
