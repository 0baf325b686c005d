/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of fs.h that walks trees, by descriptor from directory to directory: a link is never followed, a mount point
 * (also a bind mount of the same file system) never entered.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/fs.h"
#include "core/base/fs_internal.h"
#include "core/base/text.h"

#define DEPTH_MAX 256   /* each level holds a descriptor */
#define DEPTH_SHOWN 3   /* levels a message names from each end of a path */
#define REMOVE_PASSES 8 /* against entries that appear while we remove */

static void dir_close(DIR **d) {
        if (*d)
                closedir(*d);
        *d = NULL;
}

/* Descriptor or negative errno; -EXDEV when something is mounted there. */
static int open_below(int dir, const char *name) {
        struct open_how how = {
                .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
        };
        int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
                return fd < 0 ? -errno : fd;
        struct stat a, b;
        _cleanup_close_ int plain = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (plain < 0 || fstat(dir, &a) < 0 || fstat(plain, &b) < 0)
                return -errno;
        return a.st_dev != b.st_dev ? -EXDEV : TAKE_FD(plain);
}

/* A directory its owner may not read (a mode like 0000) is opened up first. */
static int open_to_remove(int dir, const char *name, DIR **ret) {
        _cleanup_close_ int fd = open_below(dir, name);
        if (fd == -EACCES) {
                char link[64];
                _cleanup_close_ int closed = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                snprintf(link, sizeof(link), "/proc/self/fd/%d", closed);
                if (closed < 0 || chmod(link, 0700) < 0)
                        return -EACCES;
                fd = open_below(dir, name);
        }
        if (fd < 0)
                return fd;
        DIR *d = fdopendir(fd);
        if (!d)
                return error_is_negative(-errno);
        (void)TAKE_FD(fd);
        *ret = d;
        return 0;
}

/* The directory is part of what is removed, so its own mode (0555 of a release) need not be respected. */
static int unlink_inside(int dir, const char *name, int flags, bool is_top) {
        if (unlinkat(dir, name, flags) == 0)
                return 0;
        if (errno == EACCES && !is_top && fchmod(dir, 0700) == 0 && unlinkat(dir, name, flags) == 0)
                return 0;
        return -errno;
}

/* The next name that is not "." or ".."; NULL with errno 0 at the end. */
static const char *next_name(DIR *d) {
        for (;;) {
                errno = 0;
                struct dirent *e = readdir(d);
                if (!e || fs_name_is_single(e->d_name))
                        return e ? e->d_name : NULL;
        }
}

static int fail_inside(Error *err, int r, const char *what, const char *name) {
        if (r == -EXDEV)
                return error_set(err, r, ERR_IO, "Unmount it, then run the command again.",
                                 "could not %s \"%s\": something is mounted there", what, name);
        return fs_fail(err, r, what, name);
}

/* Removing one tree. Whoever filled it chose its depth: what lies deeper than DEPTH_MAX is moved up to the top and
 * removed from there. */
typedef struct Removal {
        const char *names[DEPTH_MAX + 1]; /* from the top (its whole path) down to where we are; borrowed */
        int top;                          /* descriptor of the topmost directory; borrowed */
        unsigned n_moved;
} Removal;

/* One message with one path; of a long one the middle is left out. */
static int fail_removal(const Removal *x, unsigned depth, int r, Error *err) {
        _cleanup_text_ Text t = {0};
        for (unsigned i = 0; i <= depth; i++) {
                bool is_shown = i < DEPTH_SHOWN || i + DEPTH_SHOWN > depth;
                if (is_shown)
                        text_addf(&t, "%s%s", i > 0 ? "/" : "", x->names[i]);
                else if (i == DEPTH_SHOWN)
                        text_add(&t, "/...");
        }
        _cleanup_free_ char *path = text_take(&t);
        return path ? fail_inside(err, r, "remove", path) : error_no_memory(err);
}

/* Moving a directory changes its "..": it must be writable itself, too. */
static int open_up(const Removal *x, int dir, const char *name) {
        _cleanup_(dir_close) DIR *d = NULL;
        int r = open_to_remove(dir, name, &d);
        if (r < 0)
                return r;
        return fchmod(dirfd(d), 0700) < 0 || fchmod(dir, 0700) < 0 || fchmod(x->top, 0700) < 0 ? -errno : 0;
}

/* A name that is taken is passed over (an empty directory of that name is replaced, which is as good as removed). */
static int move_up(Removal *x, int dir, const char *name) {
        for (bool is_open = false;;) {
                char fresh[32];
                snprintf(fresh, sizeof(fresh), ".pawl-deep-%u", ++x->n_moved);
                if (renameat(dir, name, x->top, fresh) == 0)
                        return 0;
                if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
                        continue;
                if (errno != EACCES || is_open)
                        return errno == EBUSY ? -EXDEV : -errno;
                int r = open_up(x, dir, name);
                if (r < 0)
                        return r;
                is_open = true;
        }
}

static int remove_entry(Removal *x, int dir, const char *name, unsigned depth, Error *err) {
        _cleanup_(dir_close) DIR *d = NULL;
        int r = unlink_inside(dir, name, 0, depth == 0);
        if (r == 0 || r == -ENOENT)
                return 0;
        if (depth > 0)
                x->names[MIN(depth, (unsigned)DEPTH_MAX)] = name;
        if (r == -EISDIR && depth >= DEPTH_MAX) {
                r = move_up(x, dir, name);
                return r < 0 && r != -ENOENT ? fail_removal(x, depth, r, err) : 0;
        }
        if (r == -EISDIR)
                r = open_to_remove(dir, name, &d);
        if (r == 0 && depth == 0)
                x->top = dirfd(d);
        for (unsigned pass = 0; r == 0 && pass < REMOVE_PASSES; pass++) {
                const char *child;
                unsigned n_before = x->n_moved;
                rewinddir(d);
                while (r == 0 && (child = next_name(d)))
                        r = remove_entry(x, dirfd(d), child, depth + 1, err);
                if (r < 0)
                        return r;
                r = unlink_inside(dir, name, AT_REMOVEDIR, depth == 0);
                if (r == 0 || r == -ENOENT)
                        return 0;
                /* What we moved to the top ourselves is no sign of somebody adding to it. */
                if (depth == 0 && x->n_moved != n_before)
                        pass = 0;
                r = r == -ENOTEMPTY && pass + 1 < REMOVE_PASSES ? 0 : r;
        }
        return fail_removal(x, depth, r, err);
}

int fs_remove_tree(int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        Removal x = {.names = {path}, .top = -1};
        int r = fs_place_find(root, path, &p);
        if (r == -ENOENT)
                return 0;
        if (r == 0 && !fs_name_is_single(p.name))
                r = -EINVAL;
        if (r < 0)
                return fs_fail(err, r, "remove", path);
        r = remove_entry(&x, p.dir_fd, p.name, 0, err);
        return r < 0 ? r : fs_sync_dir_fd(p.dir_fd, err);
}

static int sync_file(int dir, const char *name, Error *err) {
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? fs_fail(err, -errno, "open", name) : fs_sync_fd(fd, err);
}

static int sync_entry(int dir, const char *name, unsigned depth, Error *err) {
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fs_fail(err, -errno, "look at", name);
        if (S_ISREG(st.st_mode))
                return sync_file(dir, name, err);
        if (!S_ISDIR(st.st_mode)) /* a link or device is nothing but its entry in the directory */
                return 0;
        _cleanup_close_ int fd = depth >= DEPTH_MAX ? -ELOOP : open_below(dir, name);
        if (fd < 0)
                return fail_inside(err, fd, "open the directory", name);
        _cleanup_(dir_close) DIR *d = fdopendir(fd);
        if (!d)
                return fs_fail(err, -errno, "open the directory", name);
        (void)TAKE_FD(fd);
        const char *child;
        int r = 0;
        while (r == 0 && (child = next_name(d)))
                r = sync_entry(dirfd(d), child, depth + 1, err);
        if (r < 0)
                return error_context(err, r, "\"%s\"", name);
        return errno != 0 ? fs_fail(err, -errno, "read the directory", name) : fs_sync_dir_fd(dirfd(d), err);
}

int fs_sync_tree(int root, const char *path, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, path, &p, err);
        if (mutant_is("no-tree-fsync"))
                return 0;
        return r < 0 ? r : sync_entry(p.dir_fd, p.name, 0, err);
}
