/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary root for the tests of core/base/fs*.c. fsync() is this file's own, so that a test sees what was synced in
 * which state, and can let it fail.
 */
#pragma once

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

#define UNUSED_OK __attribute__((unused))
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

UNUSED_OK static ino_t inode_of(const char *path) {
        struct stat st;
        assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st.st_ino;
}

/* The position of the last fsync of an inode, or -1. */
UNUSED_OK static int synced_at(ino_t inode) {
        for (size_t i = n_synced; i > 0; i--)
                if (synced[i - 1].inode == inode)
                        return (int)i - 1;
        return -1;
}

UNUSED_OK static void put(int dir, const char *path, const char *text) {
        int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

UNUSED_OK static bool holds(int dir, const char *path, const char *text) {
        char buf[256];
        int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW);
        if (fd < 0)
                return false;
        ssize_t n = read(fd, buf, sizeof(buf));
        close(fd);
        return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

UNUSED_OK static bool is_there(const char *path) {
        return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

UNUSED_OK static size_t n_entries(const char *path) {
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

UNUSED_OK static int unlink_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
        (void)st, (void)kind, (void)ftw;
        return remove(path);
}

UNUSED_OK static int setup(void **state) {
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

UNUSED_OK static int teardown(void **state) {
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

UNUSED_OK static void in_child(void (*body)(void)) {
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
UNUSED_OK static void become_old_kernel(void) {
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

UNUSED_OK static void become_mounter(void) {
        char path[512];
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(SKIPPED);
        /* The descriptor from before sees the mounts from before. */
        snprintf(path, sizeof(path), "%s/root", top);
        root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
