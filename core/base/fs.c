/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of fs.h that looks: where a path is, what it holds. fs_write.c changes names, fs_publish.c makes things
 * visible, fs_tree.c walks, fs_lock.c locks.
 *
 * Every path is resolved by openat2(RESOLVE_IN_ROOT), so that the kernel, not we, keeps links inside the root while
 * others rename underneath us. Of a path only the parent is resolved in this way; the last component is then handled
 * relative to that descriptor and is never followed, unless the header says so.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/fs.h"
#include "core/base/fs_internal.h"

#ifndef O_LARGEFILE
#define O_LARGEFILE 0
#endif

#define RESOLVE_TRIES 64
#define READ_CHUNK ((size_t)16384)

const char *fs_hint(int r) {
        switch (-r) {
        case ENOSPC:
                return "Free some space or inodes on the file system, then run the command again.";
        case EDQUOT:
                return "The disk quota is used up. Free some space or raise the quota, then run the command again.";
        case EROFS:
                return "The file system is mounted read-only. Mount it writable, then run the command again.";
        case EIO:
                return "The device reported an error. Look at the kernel log before running the command again.";
        default:
                return NULL;
        }
}

int fs_fail(Error *err, int r, const char *what, const char *path) {
        return error_set_errno(err, r, fs_hint(r), "could not %s \"%s\"", what, path);
}

int fs_fail_fd(Error *err, int r, const char *what, int fd) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return error_set_errno(err, r, fs_hint(r), "could not %s descriptor %d", what, fd);
        path[n] = '\0';
        return fs_fail(err, r, what, path);
}

bool fs_name_is_single(const char *name) {
        return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* For kernels and sandboxes without openat2: one component after the other, where any link and any ".." is refused. */
static int open_walk(int root, const char *path, int flags) {
        char text[PATH_MAX];
        int n = snprintf(text, sizeof(text), "%s", path);
        if (n < 0 || n >= (int)sizeof(text))
                return -ENAMETOOLONG;
        _cleanup_close_ int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        char *rest = NULL;
        char *name = strtok_r(text, "/", &rest);
        while (name) {
                char *next = strtok_r(NULL, "/", &rest);
                if (strcmp(name, "..") == 0)
                        return -EXDEV;
                int fd = openat(dir, name, next ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags | O_NOFOLLOW);
                if (fd < 0 || !next)
                        return fd < 0 ? -errno : fd;
                fd_close(&dir);
                dir = fd;
                name = next;
        }
        int fd = openat(dir, ".", flags);
        return fd < 0 ? -errno : fd;
}

int fs_open_in_root(int root, const char *path, int flags) {
        struct open_how how = {
                .flags = (uint64_t)(flags | O_CLOEXEC | O_LARGEFILE),
                .resolve = (mutant_is("links-lead-out") ? 0 : RESOLVE_IN_ROOT) | RESOLVE_NO_MAGICLINKS,
        };
        for (unsigned tries = 0;; tries++) {
                int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
                if (fd >= 0)
                        return fd;
                /* EAGAIN: something was renamed while ".." was resolved; the kernel could not rule out an escape. */
                if (errno == EINTR || (errno == EAGAIN && tries < RESOLVE_TRIES))
                        continue;
                /* EPERM: what older seccomp filters say to system calls they have never heard of. */
                if (errno == ENOSYS || errno == EPERM)
                        return open_walk(root, path, flags | O_CLOEXEC);
                return -errno;
        }
}

void fs_place_done(FsPlace *p) {
        fd_close(&p->dir_fd);
}

int fs_place_find(int root, const char *path, FsPlace *ret) {
        size_t end = strlen(path);
        if (end == 0)
                return -EINVAL;
        while (end > 0 && path[end - 1] == '/')
                end--;
        size_t start = end;
        while (start > 0 && path[start - 1] != '/')
                start--;
        FsPlace p = FS_PLACE_INIT;
        if (end - start > FS_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(p.name, end == start ? "." : path + start, end == start ? 1 : end - start);
        if (strcmp(p.name, "..") == 0)
                return -EINVAL;
        _cleanup_free_ char *parent = start == 0 ? strdup(".") : strndup(path, start);
        if (!parent)
                return -ENOMEM;
        p.dir_fd = fs_open_in_root(root, parent, O_RDONLY | O_DIRECTORY);
        /* A directory that may be searched but not read is good enough to look into. */
        if (p.dir_fd == -EACCES)
                p.dir_fd = fs_open_in_root(root, parent, O_PATH | O_DIRECTORY);
        if (p.dir_fd < 0)
                return p.dir_fd;
        *ret = p;
        return 0;
}

int fs_place_open(int root, const char *path, FsPlace *ret, Error *err) {
        int r = fs_place_find(root, path, ret);
        return r < 0 ? fs_fail(err, r, "open the directory of", path) : 0;
}

int fs_open(int root, const char *path, int flags, Error *err) {
        assert((flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_PATH)) == O_RDONLY);
        int fd = fs_open_in_root(root, path, flags | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? fs_fail(err, fd, "open", path) : fd;
}

int fs_open_dir(int root, const char *path, Error *err) {
        int fd = fs_open_in_root(root, path, O_RDONLY | O_DIRECTORY);
        return fd < 0 ? fs_fail(err, fd, "open the directory", path) : fd;
}

static int place_stat(int root, const char *path, FsPlace *p, struct stat *ret) {
        int r = fs_place_find(root, path, p);
        if (r < 0)
                return r;
        return fstatat(p->dir_fd, p->name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int fs_stat(int root, const char *path, struct stat *ret, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        struct stat st;
        int r = place_stat(root, path, &p, &st);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return fs_fail(err, r, "look at", path);
        *ret = st;
        return 0;
}

int fs_has(int root, const char *path, bool *ret, Error *err) {
        struct stat st;
        int r = fs_stat(root, path, &st, err);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = r == 0;
        return 0;
}

bool fs_exists(int root, const char *path) {
        struct stat st;
        return fs_stat(root, path, &st, NULL) == 0;
}

/* Opens what must be a regular file, without waiting for the other end of a fifo. -EINVAL when it is something else. */
static int open_regular(const FsPlace *p, struct stat *ret) {
        _cleanup_close_ int fd = openat(p->dir_fd, p->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return errno == ELOOP || errno == ENXIO ? -EINVAL : -errno;
        if (fstat(fd, ret) < 0)
                return -errno;
        if (!S_ISREG(ret->st_mode))
                return -EINVAL;
        return TAKE_FD(fd);
}

static int grow(char **data, size_t *room, size_t want) {
        char *bigger = realloc(*data, want + 1);
        if (!bigger)
                return -ENOMEM;
        *data = bigger;
        *room = want;
        return 0;
}

/* Reads to the end or to one byte beyond max. The size in the inode is a guess only: it is 0 below /proc. */
static int read_to_end(int fd, size_t guess, size_t max, char **data, size_t *size) {
        size_t limit = max < SIZE_MAX - 2 ? max + 1 : max;
        size_t room = 0;
        int r = grow(data, &room, MIN(guess + 1, limit));
        while (r == 0) {
                if (*size == room && room < limit)
                        r = grow(data, &room, room + MIN(limit - room, MAX(room, READ_CHUNK)));
                if (r < 0 || *size == room)
                        break;
                ssize_t n = read(fd, *data + *size, room - *size);
                if (n == 0)
                        break;
                if (n < 0 && errno != EINTR)
                        return -errno;
                *size += n > 0 ? (size_t)n : 0;
        }
        return r < 0 ? r : *size > max ? -EFBIG : 0;
}

int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_size, Error *err) {
        struct stat st;
        if (fstat(fd, &st) < 0)
                return fs_fail_fd(err, -errno, "look at", fd);
        if (!S_ISREG(st.st_mode))
                return fs_fail_fd(err, -EINVAL, "read what is not a regular file,", fd);
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int r = (uint64_t)st.st_size > max ? -EFBIG : read_to_end(fd, (size_t)st.st_size, max, &data, &size);
        if (r == -EFBIG)
                error_set_full(err, r, ERR_IO, NULL, "cannot read a file of more than %zu bytes", max);
        if (r < 0)
                return r == -EFBIG ? r : fs_fail_fd(err, r, "read", fd);
        data[size] = '\0';
        *ret = TAKE_PTR(data);
        if (ret_size)
                *ret_size = size;
        return 0;
}

int fs_read(int root, const char *path, size_t max, char **ret, size_t *ret_size, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        struct stat st;
        int r = fs_place_find(root, path, &p);
        _cleanup_close_ int fd = r < 0 ? r : open_regular(&p, &st);
        if (fd == -ENOENT)
                return fd;
        if (fd == -EINVAL)
                return error_set(err, fd, ERR_IO, NULL, "cannot read \"%s\": it is not a regular file", path);
        if (fd < 0)
                return fs_fail(err, fd, "open", path);
        r = fs_read_fd(fd, max, ret, ret_size, err);
        return r == -EFBIG ? error_context(err, r, "\"%s\"", path) : r;
}

int fs_open_named(const FsNamed *named, const char *path, Error *err) {
        struct stat st;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
                int r = -errno;
                return error_set(err, r, r == -EACCES ? ERR_PERMISSION : named->code, named->hint,
                                 "could not open the %s \"%s\": %s", named->what, path, strerror(-r));
        }
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, named->code, NULL, "the %s \"%s\" is not a file", named->what, path);
        return TAKE_FD(fd);
}

int fs_read_named(const FsNamed *named, const char *path, size_t max, char **ret, size_t *ret_size, Error *err) {
        _cleanup_close_ int fd = fs_open_named(named, path, err);
        if (fd < 0)
                return fd;
        int r = fs_read_fd(fd, max, ret, ret_size, err);
        if (r == -EFBIG)
                return error_set(err, r, named->code, NULL, "the %s \"%s\" is larger than %zu bytes", named->what, path,
                                 max);
        return r < 0 ? error_context(err, r, "could not read the %s \"%s\"", named->what, path) : 0;
}

static int read_link(const FsPlace *p, char **ret) {
        char target[PATH_MAX + 1];
        ssize_t n = readlinkat(p->dir_fd, p->name, target, sizeof(target));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(target))
                return -ENAMETOOLONG;
        char *copy = strndup(target, (size_t)n);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int fs_readlink(int root, const char *path, char **ret, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_find(root, path, &p);
        if (r == 0)
                r = read_link(&p, ret);
        if (r == 0 || r == -ENOENT || r == -EINVAL)
                return r;
        return fs_fail(err, r, "read the link", path);
}

static int state_of_file(const FsPlace *p, const char *path, FsState *state, Error *err) {
        struct stat st = {0};
        _cleanup_close_ int fd = open_regular(p, &st);
        if (fd < 0)
                return fs_fail(err, fd, "open", path);
        /* Of the file that is hashed, not of the one that had the name a moment ago. */
        state->mode = st.st_mode & 07777;
        state->uid = st.st_uid;
        state->gid = st.st_gid;
        state->inode = st.st_ino;
        int r = sha256_of_fd(fd, state->sha256, &state->size, err);
        return r < 0 ? error_context(err, r, "\"%s\"", path) : 0;
}

static int state_of_link(const FsPlace *p, const char *path, FsState *state, Error *err) {
        _cleanup_free_ char *target = NULL;
        int r = read_link(p, &target);
        if (r < 0 || !target)
                return fs_fail(err, r < 0 ? r : -EIO, "read the link", path);
        state->size = strlen(target);
        return sha256_of(target, state->size, state->sha256, err);
}

int fs_state(int root, const char *path, FsState *ret, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        FsState state = {0};
        struct stat st;
        int r = place_stat(root, path, &p, &st);
        if (r < 0 && r != -ENOENT)
                return fs_fail(err, r, "look at", path);
        if (r == 0) {
                state.type = st.st_mode & S_IFMT;
                state.mode = st.st_mode & 07777;
                state.uid = st.st_uid;
                state.gid = st.st_gid;
                state.inode = st.st_ino;
        }
        r = 0;
        if (S_ISREG(state.type))
                r = state_of_file(&p, path, &state, err);
        else if (S_ISLNK(state.type))
                r = state_of_link(&p, path, &state, err);
        if (r < 0)
                return r;
        *ret = state;
        return 0;
}

bool fs_state_equal(const FsState *a, const FsState *b) {
        return a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
               memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}

char *path_join(const char *dir, const char *name) {
        size_t n = strlen(dir);
        const char *slash = n == 0 || dir[n - 1] == '/' ? "" : "/";
        char *path = NULL;
        return asprintf(&path, "%s%s%s", dir, slash, name) < 0 ? NULL : path;
}

const char *path_base(const char *path) {
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

char *path_parent(const char *path) {
        size_t n = (size_t)(path_base(path) - path);
        if (n == 0)
                return strdup(".");
        while (n > 1 && path[n - 1] == '/')
                n--;
        return strndup(path, n);
}

char *fs_staged_name(const char *path, uint64_t tx, uint32_t step, const char *suffix) {
        char *name = NULL;
        int n_dir = (int)(path_base(path) - path);
        if (mutant_is("staged-name-by-pid"))
                tx = (uint64_t)getpid();
        int n = asprintf(&name, "%.*s.pawl-%" PRIu64 "-%" PRIu32 "%s", n_dir, path, tx, step, suffix ? suffix : "");
        return n < 0 ? NULL : name;
}
