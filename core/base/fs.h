/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable files: every system call of pawl that changes the disk (LMDB's own aside) is made here.
 *
 * Paths are relative to `root` (a directory descriptor), resolved inside it: a symbolic link, also an absolute one,
 * cannot lead out of the root (openat2 RESOLVE_IN_ROOT). "durably" in a name means: when the function returns 0, file
 * content, mode, owner and the directory entry survive a power cut. Order everywhere: data and mode → fsync(file) →
 * name → fsync(directory). A failed fsync is never retried: the file is abandoned.
 *
 * Errors: negative errno with `err` filled; -ENOENT and -EEXIST keep their meaning so that callers can tell them apart.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "core/base/digest.h"
#include "core/base/error.h"

/* Where a path's parent is and what its last component is called. */
typedef struct FsPlace {
        int dir_fd; /* owned */
        char name[256];
} FsPlace;
#define FS_PLACE_INIT ((FsPlace){.dir_fd = -1}) /* done() closes whatever descriptor is in there, 0 too */
void fs_place_done(FsPlace *p);
/* Opens the parent directory of path. -ENOENT when it does not exist. */
int fs_place_open(int root, const char *path, FsPlace *ret, Error *err);

/* Opens for reading (O_NOFOLLOW on the last component when `flags` has it; O_CLOEXEC, O_NOCTTY and O_NONBLOCK always
 * added). Never creates. */
int fs_open(int root, const char *path, int flags, Error *err); /* descriptor, or negative errno */
int fs_open_dir(int root, const char *path, Error *err);
/* lstat of the last component. Returns 0, or -ENOENT quietly (err untouched) when it or a parent is missing. */
int fs_stat(int root, const char *path, struct stat *ret, Error *err);
/* The same as an answer: a path that cannot be looked at is an error, not an absence. */
int fs_has(int root, const char *path, bool *ret, Error *err);
/* lstat succeeds. For what is shown: where something is done or left undone because of the answer, fs_has(). */
bool fs_exists(int root, const char *path);
/* Whole file, NUL-terminated behind *ret_size. -ENOENT quietly; -EFBIG beyond max. Refuses what is not a regular
 * file (-EINVAL), a link included: where one may be followed, fs_open() and fs_read_fd(). */
int fs_read(int root, const char *path, size_t max, char **ret, size_t *ret_size, Error *err);
/* The rest of an open file. ret_size may be NULL, here and above. */
int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_size, Error *err);
/* A file that a spec, a configuration or a URL names, outside the root: links are followed, a pipe is not waited
 * for. */
typedef struct FsNamed {
        const char *what; /* for messages: "spec", "env_file" */
        ErrorCode code;   /* of every error but -EACCES and -ENOMEM */
        const char *hint; /* of one that cannot be opened; may be NULL */
} FsNamed;
/* Descriptor of a regular file, or negative errno. */
int fs_open_named(const FsNamed *named, const char *path, Error *err);
/* Its whole content, NUL-terminated behind *ret_size (may be NULL). -EFBIG beyond max. */
int fs_read_named(const FsNamed *named, const char *path, size_t max, char **ret, size_t *ret_size, Error *err);
/* Target of a link, owned by the caller. -ENOENT and -EINVAL (not a link) quietly. */
int fs_readlink(int root, const char *path, char **ret, Error *err);

typedef struct FsOwner {
        uid_t uid; /* (uid_t)-1: leave as created */
        gid_t gid;
} FsOwner;
#define FS_OWNER_KEEP ((FsOwner){(uid_t)-1, (gid_t)-1})

typedef struct FsAttrs {
        mode_t mode;
        FsOwner owner;
} FsAttrs;

/* Makes a directory durable; existing is success (*ret_created false; its mode and owner are left alone). Parents
 * must exist unless _all. */
int fs_mkdir_durably(int root, const char *path, mode_t mode, FsOwner owner, bool *ret_created, Error *err);
/* As above with all missing parents (mode 0755, or `mode` when it is stricter only for the last). *ret_first (may be
 * NULL; owned by the caller, NULL when nothing was made) is the topmost directory that was created. */
int fs_mkdir_all_durably(int root, const char *path, mode_t mode, FsOwner owner, char **ret_first, Error *err);
/* The same, but what is there is taken as it is and costs no barrier: for directories whose loss in a power cut
 * loses nothing (/run, logs), and for those that were durable before anything pointed at them. */
int fs_mkdir_all(int root, const char *path, mode_t mode, Error *err);
int fs_rmdir_durably(int root, const char *path, Error *err); /* missing is success; -ENOTEMPTY quietly */

/* Writes a new file under the name `staged` (beside `path`) and fsyncs it; an old file of that name is replaced (it
 * is ours: the name is derived from transaction and step). Content is not visible at `path` yet. */
int fs_stage_file(int root, const char *staged, const void *data, size_t size, FsAttrs attrs, Error *err);
int fs_stage_link(int root, const char *staged, const char *target, Error *err);

/*
 * The one way something becomes visible at `path`, from `staged` beside it:
 * fs_publish_new:      only if nothing is at path (RENAME_NOREPLACE). -EEXIST quietly.
 * fs_publish_exchange: swaps path and staged (RENAME_EXCHANGE; the displaced one is then under the name `staged`).
 * -ENOENT quietly when path is missing.
 *                      Where the file system cannot exchange: the old one is hard-linked aside, then renamed over (directories: -EOPNOTSUPP).
 *                      -ESTALE when staged is missing.
 * Both fsync the directory. Both names must be in one directory.
 */
int fs_publish_new(int root, const char *staged, const char *path, Error *err);
int fs_publish_exchange(int root, const char *staged, const char *path, Error *err);

/* Moves path to another name durably (both directories fsynced), never over something. -ENOENT quietly when path is
 * missing, -EEXIST quietly. -ENOTDIR when the directory of `to` is missing. */
int fs_rename_durably(int root, const char *path, const char *to, Error *err);
int fs_unlink_durably(int root, const char *path, Error *err); /* missing is success (directory fsynced all the same) */
/* Stage, then rename over whatever is there. For files only pawl writes (anchors, run files), not for captured ones. */
int fs_replace_durably(int root, const char *path, const void *data, size_t size, mode_t mode, Error *err);
/* The same for a file where power loss does not matter (/run). */
int fs_replace(int root, const char *path, const void *data, size_t size, mode_t mode, Error *err);
/* fsync of the directory that holds path: what an earlier process renamed there is durable now. Missing directory is
 * success. */
int fs_sync_parent(int root, const char *path, Error *err);
int fs_sync_dir_fd(int dir_fd, Error *err);

/* Removes a whole tree of any depth, never following links, never leaving the file system. Missing is success. Not
 * atomic: only for what is already out of sight (a `.pawl-` name) or ours by mark. The parent is fsynced at the end. */
int fs_remove_tree(int root, const char *path, Error *err);
/* fsyncs every file and directory of a tree bottom-up. */
int fs_sync_tree(int root, const char *path, Error *err);

/* A new regular file to write to (O_CREAT|O_EXCL|O_NOFOLLOW, read-write) in a directory given by descriptor; for
 * trees in staging and downloads. */
int fs_create_at(int dir_fd, const char *name, mode_t mode, Error *err); /* descriptor */
/* Opens the file for appending, creating it if missing (logs, segments). The name of a new one is durable after
 * fs_sync_parent() only. */
int fs_append_open(int root, const char *path, mode_t mode, Error *err); /* descriptor */
int fs_mkdir_at(int dir_fd, const char *name, mode_t mode, Error *err);
int fs_symlink_at(const char *target, int dir_fd, const char *name, Error *err);
int fs_link_at(int from_dir, const char *from, int to_dir, const char *to, Error *err);
/* Unnamed file in a directory (O_TMPFILE, or an unlinked one where that is missing), and giving it a name later
 * (-EEXIST quietly; -EXDEV/-ENOENT when it cannot be named: copy it instead). The name is durable after
 * fs_sync_parent() only. */
int fs_create_unnamed(int root, const char *dir, mode_t mode, Error *err); /* descriptor */
int fs_name_unnamed(int fd, int root, const char *path, Error *err);
/* Another descriptor of the same file, for reading alone: as long as one for writing is open, a program cannot be
 * executed. -errno: it cannot be had. */
int fs_reopen_read_only(int fd);
int fs_write_all(int fd, const void *data, size_t size, Error *err);
int fs_sync_fd(int fd, Error *err); /* fsync */
int fs_set_mode(int fd, mode_t mode, FsOwner owner, Error *err);
int fs_truncate(int fd, off_t size, Error *err);
/* Reserves room without changing the size. Not supported: success. */
int fs_reserve(int fd, off_t size, Error *err);

/* ".pawl-<tx>-<step><suffix>" in the directory of `path`, owned by the caller. suffix may be NULL. */
char *fs_staged_name(const char *path, uint64_t tx, uint32_t step, const char *suffix);
/* dir/name, owned by the caller; NULL when memory is out. */
char *path_join(const char *dir, const char *name);
char *path_parent(const char *path);     /* owned; "." for a single component */
const char *path_base(const char *path); /* borrowed from path */

/* What a name holds, as it can be captured and compared. */
typedef struct FsState {
        mode_t type; /* 0: absent, else S_IFREG, S_IFLNK, S_IFDIR, ... */
        mode_t mode; /* permission bits */
        uid_t uid;
        gid_t gid;
        uint64_t size;
        uint64_t inode;
        uint8_t sha256[DIGEST_SIZE]; /* of content, or of a link's target */
} FsState;
/* Absent is 0 with type 0. */
int fs_state(int root, const char *path, FsState *ret, Error *err);
/* Same type, mode, owner and content (the inode does not count). */
bool fs_state_equal(const FsState *a, const FsState *b);

typedef enum FsPromise {
        FS_PROMISE_FULL,    /* ext4, xfs, btrfs (and ext2/3): power loss is covered */
        FS_PROMISE_NONE,    /* overlay, tmpfs, zfs, ...: works, power loss not promised */
        FS_PROMISE_REFUSED, /* nfs, cifs, 9p, fuse: locks and renames cannot be trusted */
} FsPromise;
/* ret_name: the file system's name for messages; static. */
int fs_promise(int fd, FsPromise *ret, const char **ret_name, Error *err);

/*
 * On btrfs, where a directory's log can bring back a name that was renamed and removed again: syncfs of what holds
 * `path`. Nothing elsewhere. Called once before what is done, or put back, is said to be so.
 */
int fs_settle(int root, const char *path, Error *err);

/* Open-file-description locks on files that are never unlinked. */
/* Opens (creates 0600) and locks exclusively. 1: held by another (ret_fd untouched), 0: *ret_fd holds the lock until
 * closed. */
int fs_lock(int root, const char *path, int *ret_fd, Error *err);
