/* SPDX-License-Identifier: Apache-2.0 */
/* Locks, and what a file system may be trusted with. */
#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "core/base/fs_internal.h"

#define BTRFS_MAGIC 0x9123683EUL

int fs_lock(int root, const char *path, int *ret_fd, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(root, path, &p, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd =
                openat(p.dir_fd, p.name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
        if (fd < 0)
                return fs_fail(err, -errno, "open the lock", path);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        do
                r = fcntl(fd, F_OFD_SETLK, &whole);
        while (r < 0 && errno == EINTR);
        if (r < 0 && (errno == EAGAIN || errno == EACCES))
                return 1;
        if (r < 0)
                return fs_fail(err, -errno, "lock", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

typedef struct FsKind {
        uint32_t magic;
        FsPromise promise;
        const char *name;
} FsKind;

/* clang-format off */
static const FsKind kinds[] = {
        { 0x0000EF53, FS_PROMISE_FULL,    "ext4"      },
        { 0x58465342, FS_PROMISE_FULL,    "xfs"       },
        { BTRFS_MAGIC, FS_PROMISE_FULL,    "btrfs"     },
        { 0x01021994, FS_PROMISE_NONE,    "tmpfs"     },
        { 0x858458F6, FS_PROMISE_NONE,    "ramfs"     },
        { 0x794C7630, FS_PROMISE_NONE,    "overlay"   },
        { 0x2FC12FC1, FS_PROMISE_NONE,    "zfs"       },
        { 0xF2F52010, FS_PROMISE_NONE,    "f2fs"      },
        { 0x00004D44, FS_PROMISE_NONE,    "vfat"      },
        { 0x00006969, FS_PROMISE_REFUSED, "nfs"       },
        { 0xFF534D42, FS_PROMISE_REFUSED, "cifs"      },
        { 0xFE534D42, FS_PROMISE_REFUSED, "smb2"      },
        { 0x0000517B, FS_PROMISE_REFUSED, "smb"       },
        { 0x01021997, FS_PROMISE_REFUSED, "9p"        },
        { 0x65735546, FS_PROMISE_REFUSED, "fuse"      },
};
/* clang-format on */

int fs_settle(int root, const char *path, Error *err) {
        struct statfs st;
        _cleanup_close_ int fd = fs_open_dir(root, path, err);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (fstatfs(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not ask for the file system of \"%s\"", path);
        if ((unsigned long)st.f_type != BTRFS_MAGIC || syncfs(fd) == 0)
                return 0;
        return error_set_errno(err, -errno, NULL, "could not sync the file system of \"%s\"", path);
}

int fs_promise(int fd, FsPromise *ret, const char **ret_name, Error *err) {
        struct statfs st;
        int r;
        do
                r = fstatfs(fd, &st);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return fs_fail_fd(err, -errno, "ask for the file system of", fd);
        FsKind kind = {0, FS_PROMISE_NONE, "unknown file system"};
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (kinds[i].magic == (uint32_t)st.f_type)
                        kind = kinds[i];
        *ret = kind.promise;
        *ret_name = kind.name;
        return 0;
}
