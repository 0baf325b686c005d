/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable files: nothing leads out of the root, nothing foreign is overwritten, and each fsync is where it has to be.
 * fsync() is this file's own, so that a test sees what was synced in which state, and can let it fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "core/base/fs.h"

#define SKIPPED 77

typedef struct Synced {
        ino_t inode;
        mode_t mode;
        off_t size;
        bool was_published; /* was there something under `watched` at that moment? */
} Synced;

static Synced synced[256];
static size_t n_synced;
static int sync_errno;
static const char *watched;

static char top[256]; /* the temporary directory */
static int root = -1; /* top/root */
static Error err;

int fsync(int fd) {
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(n_synced < ELEMENTSOF(synced));
        synced[n_synced++] =
                (Synced){st.st_ino, st.st_mode, st.st_size, watched && faccessat(root, watched, F_OK, 0) == 0};
        if (sync_errno != 0) {
                errno = sync_errno;
                return -1;
        }
        return (int)syscall(SYS_fsync, fd);
}

static ino_t inode_of(const char *path) {
        struct stat st;
        assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st.st_ino;
}

/* The position of the last fsync of an inode, or -1. */
static int synced_at(ino_t inode) {
        for (size_t i = n_synced; i > 0; i--)
                if (synced[i - 1].inode == inode)
                        return (int)i - 1;
        return -1;
}

static void put(int dir, const char *path, const char *text) {
        int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static bool holds(int dir, const char *path, const char *text) {
        char buf[256];
        int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW);
        if (fd < 0)
                return false;
        ssize_t n = read(fd, buf, sizeof(buf));
        close(fd);
        return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static bool is_there(const char *path) {
        return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static size_t n_entries(const char *path) {
        char full[512];
        snprintf(full, sizeof(full), "%s/root/%s", top, path);
        struct dirent **list;
        int n = scandir(full, &list, NULL, NULL);
        assert_true(n >= 2);
        for (int i = 0; i < n; i++)
                free(list[i]);
        free(list);
        return (size_t)n - 2;
}

static int unlink_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
        (void)st, (void)kind, (void)ftw;
        return remove(path);
}

static int setup(void **state) {
        (void)state;
        const char *tmp = getenv("TMPDIR");
        char path[512];
        umask(022);
        snprintf(top, sizeof(top), "%s/pawl-fs-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(top))
                return -1;
        snprintf(path, sizeof(path), "%s/root", top);
        if (mkdir(path, 0755) < 0)
                return -1;
        root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        n_synced = 0;
        sync_errno = 0;
        watched = NULL;
        err = ERROR_INIT;
        put(root, "../outside", "secret");
        return root < 0 ? -1 : 0;
}

static int teardown(void **state) {
        (void)state;
        close(root);
        return nftw(top, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In a child, where a failed CHECK ends the child and not cmocka. */
#define CHECK(x)                                                        \
        do {                                                            \
                if (!(x)) {                                             \
                        fprintf(stderr, "line %d: %s\n", __LINE__, #x); \
                        _exit(1);                                       \
                }                                                       \
        } while (0)

static void in_child(void (*body)(void)) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                body();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == SKIPPED)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* An older kernel: no openat2, and no flag of renameat2. */
static void become_old_kernel(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 3, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 4),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {.len = ELEMENTSOF(code), .filter = code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
                _exit(SKIPPED);
        if (syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) >= 0 || errno != ENOSYS)
                _exit(SKIPPED);
}

static void become_mounter(void) {
        char path[512];
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(SKIPPED);
        /* The descriptor from before sees the mounts from before. */
        snprintf(path, sizeof(path), "%s/root", top);
        root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void links_cannot_lead_out_of_the_root(void **state) {
        (void)state;
        char path[512], *data = NULL;
        snprintf(path, sizeof(path), "%s/outside", top);
        assert_int_equal(symlinkat(path, root, "absolute"), 0);
        assert_int_equal(symlinkat("../outside", root, "up"), 0);
        assert_int_equal(symlinkat(top, root, "dir"), 0);
        assert_int_equal(symlinkat("../../../..", root, "updir"), 0);
        assert_int_equal(fs_open(root, "absolute", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "up", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "../outside", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "/../outside", 0, &err), -ENOENT);
        assert_int_equal(fs_read(root, "dir/outside", 100, &data, NULL, &err), -ENOENT);
        assert_int_equal(fs_read(root, "../outside", 100, &data, NULL, &err), -ENOENT);
        assert_false(fs_exists(root, "dir/outside"));
        /* ".." of the root is the root. */
        int fd = fs_open_dir(root, "updir", &err);
        assert_true(fd >= 0);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_ino, inode_of("."));
        close(fd);
        assert_int_equal(fs_unlink_durably(root, "dir/outside", &err), 0);
        assert_true(holds(root, "../outside", "secret"));
        assert_int_equal(fs_replace_durably(root, "dir/outside", "x", 1, 0644, &err), -ENOENT);
        assert_true(holds(root, "../outside", "secret"));
}

static void absolute_paths_and_links_are_inside_the_root(void **state) {
        (void)state;
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        assert_int_equal(mkdirat(root, "etc", 0755), 0);
        assert_int_equal(symlinkat("/etc", root, "link"), 0);
        put(root, "etc/passwd", "ours");
        assert_int_equal(fs_read(root, "/link//passwd", 100, &data, &size, &err), 0);
        assert_string_equal(data, "ours");
        assert_int_equal(size, 4);
        assert_int_equal(fs_replace(root, "/link/new", "x", 1, 0600, &err), 0);
        assert_true(holds(root, "etc/new", "x"));
}

static void a_place_is_a_parent_and_one_name(void **state) {
        (void)state;
        FsPlace p = FS_PLACE_INIT;
        char longest[300];
        assert_int_equal(fs_place_open(root, "", &p, &err), -EINVAL);
        assert_int_equal(fs_place_open(root, "a/..", &p, &err), -EINVAL);
        assert_int_equal(fs_place_open(root, "none/x", &p, &err), -ENOENT);
        assert_non_null(strstr(err.message, "none/x"));
        memset(longest, 'n', sizeof(longest));
        longest[256] = '\0';
        assert_int_equal(fs_place_open(root, longest, &p, &err), -ENAMETOOLONG);
        longest[255] = '\0';
        assert_int_equal(fs_place_open(root, longest, &p, &err), 0);
        assert_string_equal(p.name, longest);
        fs_place_done(&p);
        assert_int_equal(p.dir_fd, -1);
        assert_int_equal(fs_place_open(root, "/x//", &p, &err), 0);
        assert_string_equal(p.name, "x");
        fs_place_done(&p);
}

static void paths_are_joined_and_taken_apart(void **state) {
        (void)state;
        static const char *const joined[][3] = {{"a", "b", "a/b"},
                                                {"a/", "b", "a/b"},
                                                {"/", "b", "/b"},
                                                {"", "b", "b"}};
        static const char *const parents[][3] = {{"a/b", "a", "b"},
                                                 {"a", ".", "a"},
                                                 {"/a", "/", "a"},
                                                 {"a//b", "a", "b"}};
        for (size_t i = 0; i < ELEMENTSOF(joined); i++) {
                _cleanup_free_ char *path = path_join(joined[i][0], joined[i][1]);
                assert_string_equal(path, joined[i][2]);
        }
        for (size_t i = 0; i < ELEMENTSOF(parents); i++) {
                _cleanup_free_ char *parent = path_parent(parents[i][0]);
                assert_string_equal(parent, parents[i][1]);
                assert_string_equal(path_base(parents[i][0]), parents[i][2]);
        }
        _cleanup_free_ char *plain = fs_staged_name("env", 7, 2, NULL);
        _cleanup_free_ char *below = fs_staged_name("/etc/pawl/web/env", UINT64_MAX, UINT32_MAX, ".new");
        assert_string_equal(plain, ".pawl-7-2");
        assert_string_equal(below, "/etc/pawl/web/.pawl-18446744073709551615-4294967295.new");
}

static void reading_refuses_what_is_not_a_file_and_does_not_wait(void **state) {
        (void)state;
        char *data = NULL;
        assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
        assert_int_equal(mkdirat(root, "dir", 0700), 0);
        put(root, "file", "x");
        assert_int_equal(symlinkat("file", root, "link"), 0);
        alarm(20);
        assert_int_equal(fs_read(root, "fifo", 100, &data, NULL, &err), -EINVAL);
        assert_int_equal(fs_append_open(root, "fifo", 0600, &err), -ENXIO);
        assert_int_equal(fs_sync_tree(root, "fifo", &err), 0);
        alarm(0);
        assert_int_equal(fs_read(root, "dir", 100, &data, NULL, &err), -EINVAL);
        assert_int_equal(fs_read(root, "link", 100, &data, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.message, "not a regular file"));
        assert_null(data);
}

static void reading_stops_at_the_limit(void **state) {
        (void)state;
        _cleanup_free_ char *data = NULL, *proc = NULL;
        size_t size = 0;
        put(root, "file", "12345678");
        assert_int_equal(fs_read(root, "file", 7, &data, &size, &err), -EFBIG);
        assert_non_null(strstr(err.message, "file"));
        assert_int_equal(fs_read(root, "file", 8, &data, &size, &err), 0);
        assert_int_equal(size, 8);
        assert_int_equal(data[8], '\0');
        err = ERROR_INIT;
        assert_int_equal(fs_read(root, "none", 8, &data, &size, &err), -ENOENT);
        assert_int_equal(fs_read(root, "none/none", 8, &data, &size, &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        /* Where the inode says 0 bytes. */
        int slash = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fs_read(slash, "proc/self/status", SIZE_MAX, &proc, &size, &err), 0);
        assert_true(size > 100 && strlen(proc) == size);
        char *none = NULL;
        assert_int_equal(fs_read(slash, "proc/self/status", 50, &none, &size, &err), -EFBIG);
        close(slash);
}

static void a_missing_name_is_no_error_to_those_who_ask(void **state) {
        (void)state;
        struct stat st;
        char *target = NULL;
        assert_int_equal(fs_stat(root, "a", &st, &err), -ENOENT);
        assert_int_equal(fs_stat(root, "a/b/c", &st, &err), -ENOENT);
        assert_int_equal(fs_readlink(root, "a", &target, &err), -ENOENT);
        put(root, "file", "");
        assert_int_equal(fs_readlink(root, "file", &target, &err), -EINVAL);
        assert_int_equal(fs_unlink_durably(root, "a/b", &err), 0);
        assert_int_equal(fs_rmdir_durably(root, "a/b", &err), 0);
        assert_int_equal(fs_remove_tree(root, "a/b", &err), 0);
        assert_int_equal(fs_sync_parent(root, "a/b", &err), 0);
        assert_int_equal(fs_rename_durably(root, "a", "b", &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(symlinkat("none", root, "dangling"), 0);
        assert_true(fs_exists(root, "dangling"));
        assert_int_equal(fs_readlink(root, "dangling", &target, &err), 0);
        assert_string_equal(target, "none");
        free(target);
}

static void a_staged_file_is_complete_before_it_has_its_name(void **state) {
        (void)state;
        struct stat st;
        watched = "env";
        mode_t old = umask(077);
        assert_int_equal(fs_stage_file(root, ".pawl-1-0", "hello", 5, (FsAttrs){0640, (FsOwner){getuid(), getgid()}},
                                       &err),
                         0);
        umask(old);
        int at = synced_at(inode_of(".pawl-1-0"));
        assert_true(at >= 0);
        assert_int_equal(synced[at].size, 5);
        assert_int_equal(synced[at].mode & 07777, 0640);
        assert_false(is_there("env"));
        assert_int_equal(fs_publish_new(root, ".pawl-1-0", "env", &err), 0);
        assert_false(is_there(".pawl-1-0"));
        assert_true(holds(root, "env", "hello"));
        at = synced_at(inode_of("."));
        assert_true(at >= 0 && synced[at].was_published);
        assert_int_equal(fs_stat(root, "env", &st, &err), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
}

static void staging_again_after_a_crash_starts_over(void **state) {
        (void)state;
        put(root, "elsewhere", "kept");
        assert_int_equal(fs_stage_file(root, "s", "a longer first try", 18, (FsAttrs){0600, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_stage_file(root, "s", "second", 6, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_true(holds(root, "s", "second"));
        assert_int_equal(fs_stage_link(root, "s", "elsewhere", &err), 0);
        assert_int_equal(fs_stage_link(root, "s", "elsewhere", &err), 0);
        assert_int_equal(fs_stage_file(root, "s", "third", 5, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_true(holds(root, "s", "third"));
        assert_true(holds(root, "elsewhere", "kept"));
}

static void publishing_new_refuses_what_exists(void **state) {
        (void)state;
        put(root, "theirs", "theirs");
        assert_int_equal(mkdirat(root, "dir", 0755), 0);
        assert_int_equal(symlinkat("none", root, "dangling"), 0);
        assert_int_equal(fs_stage_file(root, "s", "ours", 4, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_new(root, "s", "theirs", &err), -EEXIST);
        assert_int_equal(fs_publish_new(root, "s", "dir", &err), -EEXIST);
        assert_int_equal(fs_publish_new(root, "s", "dangling", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "theirs", "theirs"));
        assert_true(holds(root, "s", "ours"));
        assert_int_equal(fs_publish_new(root, "s", "dir/other", &err), -EINVAL);
}

static void exchanging_keeps_the_displaced_inode(void **state) {
        (void)state;
        put(root, "env", "old");
        assert_int_equal(fchmodat(root, "env", 0604, 0), 0);
        ino_t inode = inode_of("env");
        int fd = openat(root, "env", O_RDONLY);
        bool has_xattr = fsetxattr(fd, "user.pawl", "x", 1, 0) == 0;
        close(fd);
        assert_int_equal(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), 0);
        assert_true(synced_at(inode_of(".")) > synced_at(inode_of("env")));
        assert_true(holds(root, "env", "new"));
        assert_int_equal(inode_of("s"), inode);
        struct stat st;
        assert_int_equal(fs_stat(root, "s", &st, &err), 0);
        assert_int_equal(st.st_mode & 07777, 0604);
        fd = openat(root, "s", O_RDONLY);
        char value[8];
        assert_true(!has_xattr || fgetxattr(fd, "user.pawl", value, sizeof(value)) == 1);
        close(fd);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), 0);
        assert_true(holds(root, "env", "old"));
        assert_int_equal(inode_of("env"), inode);
        /* A file for a link. */
        assert_int_equal(fs_stage_link(root, "l", "releases/v1", &err), 0);
        assert_int_equal(fs_publish_exchange(root, "l", "env", &err), 0);
        assert_true(holds(root, "l", "old"));
}

static void exchanging_tells_which_name_is_missing(void **state) {
        (void)state;
        assert_int_equal(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "s", "new"));
        assert_int_equal(fs_publish_exchange(root, "none", "s", &err), -ESTALE);
        assert_non_null(strstr(err.message, "none"));
}

static void on_an_old_kernel(void) {
        struct stat st;
        size_t n = n_entries(".");
        become_old_kernel();
        CHECK(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        /* exchange: the same promises, by links */
        CHECK(fs_publish_exchange(root, "s", "none", &err) == -ENOENT);
        CHECK(fs_publish_exchange(root, "none", "s", &err) == -ESTALE);
        CHECK(fstatat(root, "env", &st, 0) == 0);
        ino_t inode = st.st_ino;
        /* a failure half way: the old one is where it was, and the next try begins anew */
        sync_errno = EIO;
        CHECK(fs_publish_exchange(root, "s", "env", &err) == -EIO);
        CHECK(holds(root, "env", "old"));
        sync_errno = 0;
        CHECK(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        CHECK(holds(root, "env", "old"));
        n_synced = 0;
        CHECK(fs_publish_exchange(root, "s", "env", &err) == 0);
        CHECK(n_synced == 2); /* the displaced one is safe first, then the new one is visible */
        CHECK(holds(root, "env", "new") && holds(root, "s", "old"));
        CHECK(fstatat(root, "s", &st, 0) == 0 && st.st_ino == inode && st.st_nlink == 1);
        CHECK(fs_publish_exchange(root, "s", "env", &err) == 0);
        CHECK(holds(root, "env", "old") && holds(root, "s", "new"));
        CHECK(n_entries(".") == n + 1);
        CHECK(fs_stage_link(root, "l", "v2", &err) == 0 && fs_publish_exchange(root, "l", "current", &err) == 0);
        char *target = NULL;
        CHECK(fs_readlink(root, "l", &target, &err) == 0 && strcmp(target, "v1") == 0);
        CHECK(fs_readlink(root, "current", &target, &err) == 0 && strcmp(target, "v2") == 0);
        CHECK(fs_stage_file(root, "d", "", 0, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        CHECK(fs_publish_exchange(root, "d", "dir", &err) == -EOPNOTSUPP);
        /* never over something */
        CHECK(fs_publish_new(root, "s", "env", &err) == -EEXIST);
        CHECK(fs_rename_durably(root, "dir", "sub", &err) == -EEXIST);
        CHECK(holds(root, "env", "old"));
        CHECK(fs_publish_new(root, "s", "fresh", &err) == 0 && holds(root, "fresh", "new") && !is_there("s"));
        CHECK(fs_rename_durably(root, "dir", "moved", &err) == 0 && is_there("moved"));
        CHECK(linkat(root, "fresh", root, "again", 0) == 0);
        CHECK(fs_rename_durably(root, "fresh", "again", &err) == 0 && !is_there("fresh"));
        /* no link is followed */
        CHECK(fs_open(root, "absolute/outside", 0, &err) < 0);
        CHECK(fs_open(root, "sub/link", 0, &err) == -ELOOP);
        CHECK(fs_open(root, "sub/../../outside", 0, &err) == -EXDEV);
        CHECK(fs_open(root, "../outside", 0, &err) < 0);
        CHECK(fs_open(root, "/sub/x", 0, &err) >= 0);
        CHECK(fs_open_dir(root, "/", &err) >= 0);
        CHECK(fs_remove_tree(root, "sub", &err) == 0 && !is_there("sub"));
        CHECK(holds(root, "../outside", "secret"));
}

static void an_old_kernel_makes_it_slower_not_weaker(void **state) {
        (void)state;
        put(root, "env", "old");
        assert_int_equal(symlinkat("v1", root, "current"), 0);
        assert_int_equal(symlinkat(top, root, "absolute"), 0);
        assert_int_equal(mkdirat(root, "dir", 0755), 0);
        assert_int_equal(mkdirat(root, "sub", 0755), 0);
        put(root, "sub/x", "x");
        assert_int_equal(symlinkat("../../outside", root, "sub/link"), 0);
        in_child(on_an_old_kernel);
}

static void renaming_never_overwrites_and_syncs_both_ends(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "a", 0755), 0);
        assert_int_equal(mkdirat(root, "b", 0755), 0);
        put(root, "a/x", "mine");
        put(root, "b/x", "theirs");
        assert_int_equal(mkdirat(root, "b/empty", 0755), 0);
        assert_int_equal(mkdirat(root, "a/tree", 0755), 0);
        assert_int_equal(fs_rename_durably(root, "a/x", "b/x", &err), -EEXIST);
        assert_int_equal(fs_rename_durably(root, "a/tree", "b/empty", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "b/x", "theirs") && holds(root, "a/x", "mine"));
        assert_int_equal(fs_rename_durably(root, "a/x", "none/x", &err), -ENOTDIR);
        watched = "b/y";
        n_synced = 0;
        assert_int_equal(fs_rename_durably(root, "a/x", "b/y", &err), 0);
        assert_true(holds(root, "b/y", "mine") && !is_there("a/x"));
        int to = synced_at(inode_of("b")), from = synced_at(inode_of("a"));
        assert_true(to >= 0 && from > to && synced[to].was_published);
}

static void replacing_leaves_old_or_new(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "d", 0755), 0);
        assert_int_equal(fs_replace_durably(root, "d/head", "one", 3, 0600, &err), 0);
        assert_true(synced_at(inode_of("d/head")) >= 0);
        assert_true(synced_at(inode_of("d")) > synced_at(inode_of("d/head")));
        put(root, "d/.pawl-new-head", "left by a crash");
        sync_errno = EIO;
        n_synced = 0;
        assert_int_equal(fs_replace_durably(root, "d/head", "two", 3, 0600, &err), -EIO);
        assert_int_equal(n_synced, 1); /* a second fsync would lie */
        assert_true(holds(root, "d/head", "one"));
        assert_int_equal(n_entries("d"), 1);
        assert_non_null(strstr(err.message, "d/head"));
        assert_true(err.hint[0] != '\0');
        n_synced = 0;
        assert_int_equal(fs_replace(root, "d/head", "three", 5, 0600, &err), 0);
        assert_int_equal(n_synced, 0);
        assert_true(holds(root, "d/head", "three"));
        assert_int_equal(n_entries("d"), 1);
}

static void a_failed_fsync_abandons_the_staged_file(void **state) {
        (void)state;
        sync_errno = ENOSPC;
        assert_int_equal(fs_stage_file(root, "s", "x", 1, (FsAttrs){0600, FS_OWNER_KEEP}, &err), -ENOSPC);
        assert_int_equal(n_synced, 1);
        assert_false(is_there("s"));
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_string_equal(err.hint, "Free some space or inodes on the file system, then run the command again.");
        assert_non_null(strstr(err.message, "/root/s"));
        assert_int_equal(fs_mkdir_durably(root, "d", 0755, FS_OWNER_KEEP, NULL, &err), -ENOSPC);
        assert_int_equal(fs_unlink_durably(root, "s", &err), -ENOSPC);
}

static void directories_are_durable_level_by_level(void **state) {
        (void)state;
        bool created = false;
        _cleanup_free_ char *first = NULL, *none = NULL;
        struct stat st;
        mode_t old = umask(077);
        assert_int_equal(fs_mkdir_durably(root, "a", 0750, FS_OWNER_KEEP, &created, &err), 0);
        assert_true(created);
        assert_true(synced_at(inode_of(".")) > synced_at(inode_of("a")));
        assert_int_equal(fs_mkdir_all_durably(root, "a/b/c//d/", 0700, FS_OWNER_KEEP, &first, &err), 0);
        umask(old);
        assert_string_equal(first, "a/b");
        static const struct {
                const char *path;
                mode_t mode;
        } made[] = {{"a", 0750}, {"a/b", 0755}, {"a/b/c", 0755}, {"a/b/c/d", 0700}};
        for (size_t i = 0; i < ELEMENTSOF(made); i++) {
                assert_int_equal(fs_stat(root, made[i].path, &st, &err), 0);
                assert_int_equal(st.st_mode & 07777, made[i].mode);
                assert_true(synced_at(st.st_ino) >= 0);
        }
        /* Whoever finds it makes sure of its name: the one who made it may have died before. */
        n_synced = 0;
        assert_int_equal(fs_mkdir_durably(root, "a/b", 0700, FS_OWNER_KEEP, &created, &err), 0);
        assert_false(created);
        assert_true(synced_at(inode_of("a")) >= 0);
        n_synced = 0;
        assert_int_equal(fs_mkdir_all_durably(root, "a/b/c/d", 0755, FS_OWNER_KEEP, &none, &err), 0);
        assert_null(none);
        assert_true(synced_at(inode_of("a/b/c")) >= 0);
}

static void a_directory_is_not_made_of_a_file(void **state) {
        (void)state;
        put(root, "file", "x");
        assert_int_equal(symlinkat(top, root, "out"), 0);
        assert_int_equal(mkdirat(root, "full", 0755), 0);
        put(root, "full/x", "x");
        assert_int_equal(fs_mkdir_durably(root, "file", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_all_durably(root, "file/b/c", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_durably(root, "out", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_durably(root, "none/b", 0755, FS_OWNER_KEEP, NULL, &err), -ENOENT);
        err = ERROR_INIT;
        assert_int_equal(fs_rmdir_durably(root, "full", &err), -ENOTEMPTY);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(fs_unlink_durably(root, "full/x", &err), 0);
        assert_int_equal(fs_rmdir_durably(root, "full", &err), 0);
        assert_false(is_there("full"));
        if (geteuid() == 0)
                return;
        /* A directory whose owner cannot be set is not left for the next try to find. */
        assert_int_equal(fs_mkdir_durably(root, "owned", 0755, (FsOwner){0, 0}, NULL, &err), -EPERM);
        assert_false(is_there("owned"));
}

static void removing_a_tree_does_not_follow_links(void **state) {
        (void)state;
        char path[512] = "tree";
        assert_int_equal(mkdirat(root, "tree", 0755), 0);
        assert_int_equal(mkdirat(root, "tree/ro", 0755), 0);
        put(root, "tree/ro/file", "x");
        assert_int_equal(mkdirat(root, "tree/closed", 0000), 0);
        assert_int_equal(symlinkat(top, root, "tree/out"), 0);
        assert_int_equal(symlinkat("../../outside", root, "tree/file"), 0);
        assert_int_equal(mkfifoat(root, "tree/fifo", 0600), 0);
        assert_int_equal(fchmodat(root, "tree/ro", 0555, 0), 0);
        assert_int_equal(fchmodat(root, "tree", 0555, 0), 0);
        assert_int_equal(symlinkat(top, root, "link"), 0);
        assert_int_equal(fs_remove_tree(root, "tree", &err), 0);
        assert_false(is_there("tree"));
        assert_true(synced_at(inode_of(".")) >= 0);
        assert_int_equal(fs_remove_tree(root, "link", &err), 0);
        assert_false(is_there("link"));
        assert_true(holds(root, "../outside", "secret"));
        put(root, "kept", "kept");
        assert_int_equal(fs_remove_tree(root, ".", &err), -EINVAL);
        assert_int_equal(fs_remove_tree(root, "/", &err), -EINVAL);
        assert_true(is_there("kept"));
        for (size_t i = 0; i < 100; i++) {
                assert_int_equal(mkdirat(root, path, 0755), 0);
                memcpy(path + strlen(path), "/d", sizeof("/d"));
        }
        assert_int_equal(fs_remove_tree(root, "tree", &err), 0);
        assert_false(is_there("tree"));
}

/* Directories in one another, each with a file beside it. */
static void make_deep(const char *name, unsigned n_levels, mode_t mode) {
        CHECK(mkdirat(root, name, 0755) == 0);
        int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (unsigned i = 0; i < n_levels; i++) {
                CHECK(mkdirat(fd, "d", 0755) == 0 && mknodat(fd, "f", S_IFREG | 0600, 0) == 0);
                int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                CHECK(next >= 0 && fchmod(fd, mode) == 0);
                close(fd);
                fd = next;
        }
        close(fd);
}

static void without_rights_in_a_deep_tree(void) {
        CHECK(geteuid() != 0 || (fchown(root, 65534, 65534) == 0 && seteuid(65534) == 0));
        make_deep("deep", 600, 0555);
        CHECK(fchmodat(root, "deep", 0755, 0) == 0);
        CHECK(fs_remove_tree(root, "deep", &err) == 0 && !is_there("deep"));
}

static void removing_a_tree_has_no_limit_of_depth(void **state) {
        (void)state;
        make_deep("deep", 5000, 0755);
        /* Names of ours may be taken. */
        assert_int_equal(mkdirat(root, "deep/.pawl-deep-1", 0755), 0);
        assert_int_equal(mkdirat(root, "deep/.pawl-deep-1/x", 0755), 0);
        put(root, "deep/.pawl-deep-2", "x");
        assert_int_equal(fs_remove_tree(root, "deep", &err), 0);
        assert_false(is_there("deep"));
        in_child(without_rights_in_a_deep_tree);
}

static void with_a_mount_in_a_deep_tree(void) {
        char from[512];
        become_mounter();
        make_deep("tree", 300, 0755);
        CHECK(fchdir(root) == 0 && chdir("tree") == 0);
        for (unsigned i = 0; i < 300; i++)
                CHECK(chdir("d") == 0);
        CHECK(mkdir("bind", 0755) == 0);
        snprintf(from, sizeof(from), "%s/other", top);
        if (mount(from, "bind", NULL, MS_BIND, NULL) < 0)
                _exit(SKIPPED);
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(holds(root, "../other/kept", "kept"));
        CHECK(strcmp(err.message,
                     "could not remove \"tree/.pawl-deep-1/d/.../d/d/bind\": something is mounted there") == 0);
}

static void removing_a_deep_tree_does_not_enter_mounts(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "../other", 0755), 0);
        put(root, "../other/kept", "kept");
        in_child(with_a_mount_in_a_deep_tree);
}

static void with_mounts_in_the_tree(void) {
        char from[512], to[512];
        become_mounter();
        snprintf(from, sizeof(from), "%s/other", top);
        snprintf(to, sizeof(to), "%s/root/tree/bind", top);
        if (mount(from, to, NULL, MS_BIND, NULL) < 0)
                _exit(SKIPPED);
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(strcmp(err.message, "could not remove \"tree/bind\": something is mounted there") == 0);
        CHECK(err.hint[0] != '\0');
        CHECK(holds(root, "../other/kept", "kept"));
        CHECK(umount(to) == 0);
        if (mount("tmpfs", to, "tmpfs", 0, "size=64k") < 0)
                _exit(SKIPPED);
        put(root, "tree/bind/kept", "kept");
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(holds(root, "tree/bind/kept", "kept"));
}

static void removing_a_tree_does_not_enter_mounts(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "../other", 0755), 0);
        put(root, "../other/kept", "kept");
        assert_int_equal(mkdirat(root, "tree", 0755), 0);
        assert_int_equal(mkdirat(root, "tree/bind", 0755), 0);
        in_child(with_mounts_in_the_tree);
}

static void syncing_a_tree_reaches_everything_bottom_up(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "t", 0755), 0);
        assert_int_equal(mkdirat(root, "t/sub", 0755), 0);
        put(root, "t/one", "1");
        put(root, "t/sub/two", "2");
        assert_int_equal(symlinkat("../../outside", root, "t/sub/link"), 0);
        assert_int_equal(fs_sync_tree(root, "t", &err), 0);
        assert_int_equal(n_synced, 4);
        assert_true(synced_at(inode_of("t/one")) >= 0);
        assert_true(synced_at(inode_of("t/sub/two")) >= 0);
        assert_true(synced_at(inode_of("t/sub")) > synced_at(inode_of("t/sub/two")));
        assert_int_equal(synced_at(inode_of("t")), 3);
        sync_errno = EIO;
        assert_int_equal(fs_sync_tree(root, "t", &err), -EIO);
        assert_int_equal(fs_sync_tree(root, "none", &err), -ENOENT);
}

static void a_lock_excludes_others_until_it_is_closed(void **state) {
        (void)state;
        int first = -1, second = -1, pipe_fd[2];
        char byte;
        assert_int_equal(fs_lock(root, "lock", &first, &err), 0);
        assert_true(first >= 0);
        struct stat st;
        assert_int_equal(fstat(first, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fs_lock(root, "lock", &second, &err), 1);
        assert_int_equal(second, -1);
        /* A program that was started meanwhile lives on, and does not hold the lock. */
        assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                execl("/bin/sleep", "sleep", "60", (char *)NULL);
                _exit(1);
        }
        close(pipe_fd[1]);
        assert_int_equal(read(pipe_fd[0], &byte, 1), 0); /* it has been exec'd */
        close(pipe_fd[0]);
        close(first);
        int r = fs_lock(root, "lock", &second, &err);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(r, 0);
        close(second);
        assert_int_equal(fs_lock(root, "none/lock", &second, &err), -ENOENT);
        assert_int_equal(symlinkat("lock", root, "link"), 0);
        assert_int_equal(fs_lock(root, "link", &second, &err), -ELOOP);
}

static void states_compare_what_can_be_put_back(void **state) {
        (void)state;
        FsState a, b, none;
        static const uint8_t zero[DIGEST_SIZE];
        put(root, "a", "same");
        put(root, "b", "same");
        assert_int_equal(fs_state(root, "none/none", &none, &err), 0);
        assert_int_equal(none.type, 0);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(fs_state(root, "a", &a, &err), 0);
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_int_equal(a.size, 4);
        assert_int_not_equal(a.inode, b.inode);
        assert_true(fs_state_equal(&a, &b));
        assert_false(fs_state_equal(&a, &none));
        put(root, "b", "sane");
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_false(fs_state_equal(&a, &b));
        put(root, "b", "same");
        assert_int_equal(fchmodat(root, "b", 0600, 0), 0);
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_false(fs_state_equal(&a, &b));
        assert_int_equal(symlinkat("same", root, "link"), 0);
        assert_int_equal(symlinkat("sane", root, "other"), 0);
        assert_int_equal(fs_state(root, "link", &a, &err), 0);
        assert_int_equal(fs_state(root, "other", &b, &err), 0);
        assert_true(S_ISLNK(a.type));
        assert_false(fs_state_equal(&a, &b));
        assert_int_equal(mkdirat(root, "d", 0755), 0);
        assert_int_equal(fs_state(root, "d", &a, &err), 0);
        put(root, "d/x", "x");
        assert_int_equal(fs_state(root, "d", &b, &err), 0);
        assert_true(fs_state_equal(&a, &b));
        assert_memory_equal(a.sha256, zero, sizeof(zero));
        assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
        assert_int_equal(fs_state(root, "fifo", &a, &err), 0);
        assert_true(S_ISFIFO(a.type));
}

static void names_of_entries_cannot_be_paths(void **state) {
        (void)state;
        static const char *const wrong[] = {"", ".", "..", "../outside", "a/b", "/x"};
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(fs_create_at(root, wrong[i], 0600, &err), -EINVAL);
                assert_int_equal(fs_mkdir_at(root, wrong[i], 0700, &err), -EINVAL);
                assert_int_equal(fs_symlink_at("x", root, wrong[i], &err), -EINVAL);
                assert_int_equal(fs_link_at(root, "x", root, wrong[i], &err), -EINVAL);
                assert_int_equal(fs_link_at(root, wrong[i], root, "x", &err), -EINVAL);
        }
        int fd = fs_create_at(root, "file", 0600, &err);
        assert_true(fd >= 0);
        assert_int_equal(fs_write_all(fd, "text", 4, &err), 0);
        close(fd);
        assert_int_equal(fs_create_at(root, "file", 0600, &err), -EEXIST);
        assert_int_equal(fs_mkdir_at(root, "dir", 0700, &err), 0);
        assert_int_equal(fs_mkdir_at(root, "dir", 0700, &err), -EEXIST);
        assert_int_equal(fs_symlink_at("../outside", root, "link", &err), 0);
        assert_int_equal(fs_create_at(root, "link", 0600, &err), -EEXIST);
        assert_int_equal(fs_link_at(root, "file", root, "hard", &err), 0);
        assert_int_equal(inode_of("file"), inode_of("hard"));
        assert_int_equal(fs_link_at(root, "file", root, "hard", &err), -EEXIST);
        assert_true(holds(root, "hard", "text"));
}

static void appending_keeps_what_is_there(void **state) {
        (void)state;
        for (size_t i = 0; i < 2; i++) {
                int fd = fs_append_open(root, "log", 0640, &err);
                assert_true(fd >= 0);
                assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
                assert_int_equal(fs_write_all(fd, "line\n", 5, &err), 0);
                close(fd);
        }
        assert_true(holds(root, "log", "line\nline\n"));
        assert_int_equal(symlinkat("log", root, "link"), 0);
        assert_int_equal(fs_append_open(root, "link", 0640, &err), -ELOOP);
}

static void an_unnamed_file_gets_its_name_once(void **state) {
        (void)state;
        put(root, "taken", "theirs");
        int fd = fs_create_unnamed(root, ".", 0600, &err);
        assert_true(fd >= 0);
        assert_int_equal(n_entries("."), 1);
        assert_int_equal(fs_write_all(fd, "body", 4, &err), 0);
        assert_int_equal(fs_name_unnamed(fd, root, "taken", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "taken", "theirs"));
        int r = fs_name_unnamed(fd, root, "named", &err);
        close(fd);
        if (r == -EXDEV || r == -ENOENT)
                skip(); /* no O_TMPFILE here */
        assert_int_equal(r, 0);
        assert_true(holds(root, "named", "body"));
}

static void sizes_are_reserved_and_cut(void **state) {
        (void)state;
        struct stat st;
        int fd = fs_create_at(root, "file", 0600, &err);
        assert_int_equal(fs_write_all(fd, "12345678", 8, &err), 0);
        assert_int_equal(fs_reserve(fd, 65536, &err), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(fs_truncate(fd, 4, &err), 0);
        assert_int_equal(fs_set_mode(fd, 04711, (FsOwner){getuid(), getgid()}, &err), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 4);
        assert_int_equal(st.st_mode & 07777, 04711);
        close(fd);
        fd = openat(root, "file", O_RDONLY);
        assert_true(fs_write_all(fd, "x", 1, &err) == -EBADF);
        assert_non_null(strstr(err.message, "/root/file"));
        close(fd);
}

static void on_a_full_file_system(void) {
        static char big[256 * 1024];
        char to[512];
        FsPromise promise;
        const char *name;
        become_mounter();
        snprintf(to, sizeof(to), "%s/root/tiny", top);
        if (mount("tmpfs", to, "tmpfs", 0, "size=64k") < 0)
                _exit(SKIPPED);
        CHECK(fs_replace_durably(root, "tiny/f", "old", 3, 0600, &err) == 0);
        CHECK(fs_replace_durably(root, "tiny/f", big, sizeof(big), 0600, &err) == -ENOSPC);
        CHECK(err.code == ERR_NO_SPACE && strstr(err.message, "tiny/f") && strstr(err.hint, "Free some space"));
        CHECK(holds(root, "tiny/f", "old") && n_entries("tiny") == 1);
        CHECK(fs_stage_file(root, "tiny/s", big, sizeof(big), (FsAttrs){0600, FS_OWNER_KEEP}, &err) == -ENOSPC);
        CHECK(n_entries("tiny") == 1);
        int fd = fs_open_dir(root, "tiny", &err);
        CHECK(fs_promise(fd, &promise, &name, &err) == 0);
        CHECK(promise == FS_PROMISE_NONE && strcmp(name, "tmpfs") == 0);
        fd = fs_create_at(fd, "r", 0600, &err);
        CHECK(fs_reserve(fd, sizeof(big), &err) == -ENOSPC);
}

static void a_full_file_system_keeps_the_old_content(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "tiny", 0755), 0);
        in_child(on_a_full_file_system);
}

static void a_file_system_nobody_knows_promises_nothing(void **state) {
        (void)state;
        FsPromise promise;
        const char *name = NULL;
        int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fs_promise(fd, &promise, &name, &err), 0);
        assert_int_equal(promise, FS_PROMISE_NONE);
        assert_non_null(name);
        close(fd);
        assert_int_equal(fs_promise(-1, &promise, &name, &err), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(links_cannot_lead_out_of_the_root),
                TEST(absolute_paths_and_links_are_inside_the_root),
                TEST(a_place_is_a_parent_and_one_name),
                TEST(paths_are_joined_and_taken_apart),
                TEST(reading_refuses_what_is_not_a_file_and_does_not_wait),
                TEST(reading_stops_at_the_limit),
                TEST(a_missing_name_is_no_error_to_those_who_ask),
                TEST(a_staged_file_is_complete_before_it_has_its_name),
                TEST(staging_again_after_a_crash_starts_over),
                TEST(publishing_new_refuses_what_exists),
                TEST(exchanging_keeps_the_displaced_inode),
                TEST(exchanging_tells_which_name_is_missing),
                TEST(an_old_kernel_makes_it_slower_not_weaker),
                TEST(renaming_never_overwrites_and_syncs_both_ends),
                TEST(replacing_leaves_old_or_new),
                TEST(a_failed_fsync_abandons_the_staged_file),
                TEST(directories_are_durable_level_by_level),
                TEST(a_directory_is_not_made_of_a_file),
                TEST(removing_a_tree_does_not_follow_links),
                TEST(removing_a_tree_does_not_enter_mounts),
                TEST(removing_a_tree_has_no_limit_of_depth),
                TEST(removing_a_deep_tree_does_not_enter_mounts),
                TEST(syncing_a_tree_reaches_everything_bottom_up),
                TEST(a_lock_excludes_others_until_it_is_closed),
                TEST(states_compare_what_can_be_put_back),
                TEST(names_of_entries_cannot_be_paths),
                TEST(appending_keeps_what_is_there),
                TEST(an_unnamed_file_gets_its_name_once),
                TEST(sizes_are_reserved_and_cut),
                TEST(a_full_file_system_keeps_the_old_content),
                TEST(a_file_system_nobody_knows_promises_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
