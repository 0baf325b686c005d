/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of fs.h that makes things visible: a staged file or link gets its name by one rename, and what had the name
 * before is never overwritten, except in files that are ours alone (fs_replace).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/fs.h"
#include "core/base/fs_internal.h"

typedef struct Content {
        const void *data;
        size_t size;
        mode_t mode;
        FsOwner owner;
        bool durable;
} Content;

static int write_new(const FsPlace *p, const Content *c, Error *err) {
        if (unlinkat(p->dir_fd, p->name, 0) < 0 && errno != ENOENT)
                return fs_fail(err, -errno, "remove the old", p->name);
        _cleanup_close_ int fd = fs_create_at(p->dir_fd, p->name, 0600, err);
        if (fd < 0)
                return fd;
        int r = fs_write_all(fd, c->data, c->size, err);
        if (r == 0)
                r = fs_set_mode(fd, c->mode, c->owner, err);
        if (r == 0 && c->durable && !mutant_is("name-before-content"))
                r = fs_sync_fd(fd, err);
        if (r < 0)
                unlinkat(p->dir_fd, p->name, 0);
        return r;
}

int fs_stage_file(int root, const char *staged, const void *data, size_t size, FsAttrs attrs, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, staged, &p, err);
        if (r < 0)
                return r;
        return write_new(&p, &(Content){data, size, attrs.mode, attrs.owner, .durable = true}, err);
}

int fs_stage_link(int root, const char *staged, const char *target, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, staged, &p, err);
        if (r < 0)
                return r;
        if (unlinkat(p.dir_fd, p.name, 0) < 0 && errno != ENOENT)
                return fs_fail(err, -errno, "remove the old", staged);
        return symlinkat(target, p.dir_fd, p.name) < 0 ? fs_fail(err, -errno, "make the link", staged) : 0;
}

static bool is_same_inode(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* -EEXIST, unless both names are one file: then an earlier try died between link and unlink, and is completed. */
static int finish_linked(const FsPlace *from, const FsPlace *to, const struct stat *a) {
        struct stat b;
        if (fstatat(to->dir_fd, to->name, &b, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!is_same_inode(a, &b))
                return -EEXIST;
        return unlinkat(from->dir_fd, from->name, 0) < 0 ? -errno : 0;
}

/* For file systems without RENAME_NOREPLACE. A link never replaces either; only directories are left to a check and a
 * rename, between which another program could make the name. */
static int rename_by_link(const FsPlace *from, const FsPlace *to) {
        struct stat a, b;
        if (fstatat(from->dir_fd, from->name, &a, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISDIR(a.st_mode)) {
                if (linkat(from->dir_fd, from->name, to->dir_fd, to->name, 0) == 0) {
                        int r = fs_sync_dir_fd(to->dir_fd, NULL);
                        return r < 0 ? r : unlinkat(from->dir_fd, from->name, 0) < 0 ? -errno : 0;
                }
                if (errno == EEXIST)
                        return finish_linked(from, to, &a);
                if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK)
                        return -errno;
        }
        if (fstatat(to->dir_fd, to->name, &b, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        if (errno != ENOENT)
                return -errno;
        return renameat(from->dir_fd, from->name, to->dir_fd, to->name) < 0 ? -errno : 0;
}

static int rename_new(const FsPlace *from, const FsPlace *to) {
        unsigned flags = mutant_is("publish-replaces") ? 0 : RENAME_NOREPLACE;
        if (renameat2(from->dir_fd, from->name, to->dir_fd, to->name, flags) == 0)
                return 0;
        return errno == EINVAL || errno == ENOSYS ? rename_by_link(from, to) : -errno;
}

typedef struct Pair {
        FsPlace staged;
        FsPlace path;
} Pair;
#define PAIR_INIT ((Pair){FS_PLACE_INIT, FS_PLACE_INIT})

static void pair_done(Pair *pair) {
        fs_place_done(&pair->staged);
        fs_place_done(&pair->path);
}

static int pair_open(int root, const char *staged, const char *path, Pair *pair, Error *err) {
        struct stat a, b;
        int r = fs_place_open(root, staged, &pair->staged, err);
        if (r == 0)
                r = fs_place_open(root, path, &pair->path, err);
        if (r < 0)
                return r;
        if (fstat(pair->staged.dir_fd, &a) < 0 || fstat(pair->path.dir_fd, &b) < 0)
                return fs_fail(err, -errno, "look at the directory of", path);
        if (!is_same_inode(&a, &b))
                return error_set(err, -EINVAL, ERR_IO, NULL,
                                 "cannot publish \"%s\" as \"%s\": they are in different directories", staged, path);
        return 0;
}

/* The name is durable when this returns; what it names was before, but for the crash tests' mistake. */
static int published(const FsPlace *p, Error *err) {
        int r = fs_sync_dir_fd(p->dir_fd, err);
        if (r < 0 || !mutant_is("name-before-content"))
                return r;
        _cleanup_close_ int fd = openat(p->dir_fd, p->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? 0 : fs_sync_fd(fd, err);
}

int fs_publish_new(int root, const char *staged, const char *path, Error *err) {
        _cleanup_(pair_done) Pair pair = PAIR_INIT;
        int r = pair_open(root, staged, path, &pair, err);
        if (r < 0)
                return r;
        r = rename_new(&pair.staged, &pair.path);
        if (r == -EEXIST)
                return r;
        return r < 0 ? fs_fail(err, r, "publish", path) : published(&pair.path, err);
}

static int unlink_leftover(int dir, const char *name) {
        return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* A second name for a file or link. Where a link cannot have two, a link of the same target. */
static int link_aside(int dir, const char *name, const char *aside) {
        int r = unlink_leftover(dir, aside);
        if (r < 0)
                return r;
        if (linkat(dir, name, dir, aside, 0) == 0)
                return 0;
        r = -errno;
        char target[4097];
        ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
        if (n < 0)
                return r;
        target[n] = '\0';
        return symlinkat(target, dir, aside) < 0 ? -errno : 0;
}

/*
 * For file systems without RENAME_EXCHANGE; files and links only. In an order in which no crash loses anything:
 *
 *                                        path   staged   .new   .old
 *   second names for both                old    new      new    old
 *   rename .old → staged, fsync          old    old      new
 *   rename .new → path                   new    old
 *
 * So path is new only when the displaced one is under `staged` already, as after a true exchange. What a crash can
 * leave behind are the two names ".new" and ".old", removed by the next try.
 */
static int exchange_by_links(const FsPlace *staged, const FsPlace *path, Error *err) {
        char new_name[FS_NAME_MAX + 8], old_name[FS_NAME_MAX + 8];
        int dir = path->dir_fd;
        snprintf(new_name, sizeof(new_name), "%s.new", staged->name);
        snprintf(old_name, sizeof(old_name), "%s.old", staged->name);
        int r = link_aside(dir, staged->name, new_name);
        if (r == 0)
                r = link_aside(dir, path->name, old_name);
        if (r == 0)
                r = renameat(dir, old_name, dir, staged->name) < 0 ? -errno : 0;
        if (r == 0)
                r = fs_sync_dir_fd(dir, err);
        if (r == 0)
                r = renameat(dir, new_name, dir, path->name) < 0 ? -errno : 0;
        /* rename() between two names of one file does nothing and says success. */
        unlink_leftover(dir, new_name);
        unlink_leftover(dir, old_name);
        return r;
}

static int exchange(const FsPlace *staged, const FsPlace *path, Error *err) {
        if (renameat2(staged->dir_fd, staged->name, path->dir_fd, path->name, RENAME_EXCHANGE) == 0)
                return 0;
        struct stat st;
        int r = -errno;
        if (r == -ENOENT)
                return fstatat(path->dir_fd, path->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -ENOENT : -ESTALE;
        if (r != -EINVAL && r != -ENOSYS)
                return r;
        if (fstatat(path->dir_fd, path->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EOPNOTSUPP;
        if (fstatat(staged->dir_fd, staged->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -ESTALE : -errno;
        return S_ISDIR(st.st_mode) ? -EOPNOTSUPP : exchange_by_links(staged, path, err);
}

int fs_publish_exchange(int root, const char *staged, const char *path, Error *err) {
        _cleanup_(pair_done) Pair pair = PAIR_INIT;
        int r = pair_open(root, staged, path, &pair, err);
        if (r < 0)
                return r;
        r = exchange(&pair.staged, &pair.path, err);
        if (r == -ENOENT)
                return r;
        /* Not -ENOENT, which would say that path is missing. */
        if (r == -ESTALE)
                return error_set(err, r, ERR_IO, NULL, "could not publish \"%s\": the staged \"%s\" is gone", path,
                                 staged);
        return r < 0 ? fs_fail(err, r, "publish", path) : published(&pair.path, err);
}

int fs_rename_durably(int root, const char *path, const char *to, Error *err) {
        _cleanup_(fs_place_done) FsPlace a = FS_PLACE_INIT, b = FS_PLACE_INIT;
        struct stat st;
        int r = fs_place_find(root, path, &a);
        if (r == 0 && fstatat(a.dir_fd, a.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                r = -errno;
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return fs_fail(err, r, "look at", path);
        r = fs_place_find(root, to, &b);
        /* Not -ENOENT, which would say that path is missing. */
        if (r < 0)
                return fs_fail(err, r == -ENOENT ? -ENOTDIR : r, "open the directory of", to);
        r = rename_new(&a, &b);
        if (r == -ENOENT || r == -EEXIST)
                return r;
        if (r < 0)
                return error_set_errno(err, r, fs_hint(r), "could not rename \"%s\" to \"%s\"", path, to);
        /* The new name first: of the two states a power cut can leave, both names are better than none. */
        r = fs_sync_dir_fd(b.dir_fd, err);
        return r < 0 ? r : fs_sync_dir_fd(a.dir_fd, err);
}

/* Under one fixed staged name: what a crash leaves is overwritten by the next try. The caller holds the file's lock. */
static int replace(int root, const char *path, const Content *c, Error *err) {
        _cleanup_(fs_place_done) FsPlace to = FS_PLACE_INIT;
        FsPlace staged;
        int r = fs_place_open(root, path, &to, err);
        if (r < 0)
                return r;
        staged = to;
        int n = snprintf(staged.name, sizeof(staged.name), ".pawl-new-%s", to.name);
        if (n < 0 || (size_t)n >= sizeof(staged.name))
                return fs_fail(err, -ENAMETOOLONG, "replace", path);
        r = write_new(&staged, c, err);
        if (r < 0)
                return error_context(err, r, "could not replace \"%s\"", path);
        if (renameat(staged.dir_fd, staged.name, to.dir_fd, to.name) < 0) {
                r = fs_fail(err, -errno, "replace", path);
                unlinkat(staged.dir_fd, staged.name, 0);
                return r;
        }
        return c->durable ? fs_sync_dir_fd(to.dir_fd, err) : 0;
}

int fs_replace_durably(int root, const char *path, const void *data, size_t size, mode_t mode, Error *err) {
        return replace(root, path, &(Content){data, size, mode, FS_OWNER_KEEP, .durable = true}, err);
}

int fs_replace(int root, const char *path, const void *data, size_t size, mode_t mode, Error *err) {
        return replace(root, path, &(Content){data, size, mode, FS_OWNER_KEEP, .durable = false}, err);
}
