/* SPDX-License-Identifier: Apache-2.0 */
/* One row per system call. A row says where the paths and the descriptor stand (argument numbers from 1; 0: none)
 * and which function decides what the call is: that depends on flags, on the file behind a descriptor, on a mapping.
 * What has no row is a gap, so a kernel or libc that brings a new call is noticed by a failing run and not by a hole
 * in the proof. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/crash/tracer_calls.h"

typedef struct Look Look;

typedef struct Call {
        int nr;
        const char *name;
        int (*kind)(const Look *look);
        unsigned char dir, path, dir2, path2, fd, flags, size;
        bool is_vector, is_forking;
} Call;

struct Look {
        const Call *call;
        const CallOutputs *outputs;
        TracerEvent *event;
        char *problem;
};

int call_read_memory(pid_t tid, uint64_t address, void *ret_data, size_t size) {
        struct iovec local = {ret_data, size};
        struct iovec remote = {(void *)(uintptr_t)address, size};
        ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);

        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EFAULT;
}

int call_write_memory(pid_t tid, uint64_t address, const void *data, size_t size) {
        struct iovec local = {(void *)(uintptr_t)data, size};
        struct iovec remote = {(void *)(uintptr_t)address, size};
        ssize_t n = process_vm_writev(tid, &local, 1, &remote, 1, 0);

        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EFAULT;
}

/* A string may end right before an unmapped page, so no read crosses a page. */
static void read_string(pid_t tid, uint64_t address, char *ret_text, size_t size) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;

        while (address != 0 && n + 1 < size) {
                size_t part = page - (address + n) % page;

                if (part > size - 1 - n)
                        part = size - 1 - n;
                if (call_read_memory(tid, address + n, ret_text + n, part) < 0)
                        break;
                if (memchr(ret_text + n, 0, part) != NULL)
                        return;
                n += part;
        }
        ret_text[n] = 0;
}

static uint64_t argument(const Look *look, unsigned number) {
        return look->event->args[number - 1];
}

/* The name of what a descriptor of the tracee, or its working directory, stands for. */
static void read_fd_name(const Look *look, int fd, char *ret_text, size_t size) {
        char link[64];
        ssize_t n;

        if (fd == AT_FDCWD)
                (void)snprintf(link, sizeof link, "/proc/%d/cwd", look->event->pid);
        else
                (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", look->event->pid, fd);
        n = readlink(link, ret_text, size - 1);
        ret_text[n < 0 ? 0 : n] = 0;
}

/* An empty path with a descriptor stands for the descriptor itself: AT_EMPTY_PATH, futimens. */
static void read_path(const Look *look, unsigned dir, unsigned path, char *ret_text) {
        char name[TRACER_PATH_SIZE];
        size_t n;

        read_string(look->event->pid, argument(look, path), name, sizeof name);
        if (name[0] == '/') {
                (void)snprintf(ret_text, TRACER_PATH_SIZE, "%s", name);
                return;
        }
        if (name[0] == 0 && dir == 0) {
                ret_text[0] = 0;
                return;
        }
        read_fd_name(look, dir != 0 ? (int)argument(look, dir) : AT_FDCWD, ret_text, TRACER_PATH_SIZE);
        n = strlen(ret_text);
        if (name[0] != 0)
                (void)snprintf(ret_text + n, TRACER_PATH_SIZE - n, "/%s", name);
}

static void read_paths(const Look *look) {
        const Call *call = look->call;
        TracerEvent *event = look->event;

        if (call->path != 0)
                read_path(look, call->dir, call->path, event->path);
        else if (call->fd != 0)
                read_fd_name(look, (int)argument(look, call->fd), event->path, sizeof event->path);
        if (call->path2 != 0)
                read_path(look, call->dir2, call->path2, event->path2);
}

/* /proc/self/fd/3 leads back to a real file, and what lies in /dev/shm is as real as any. */
static bool is_virtual(const char *path) {
        if (strstr(path, "/..") != NULL)
                return false;
        if (strncmp(path, "/proc/", 6) == 0)
                return strstr(path, "/fd/") == NULL && strstr(path, "/cwd") == NULL && strstr(path, "/root") == NULL;
        if (strncmp(path, "/dev/", 5) == 0)
                return strncmp(path, "/dev/shm/", 9) != 0 && strncmp(path, "/dev/fd/", 8) != 0;
        return strncmp(path, "/sys/", 5) == 0;
}

static bool is_output(const CallOutputs *outputs, const struct stat *st) {
        for (size_t i = 0; i < outputs->n_files; i++)
                if (outputs->files[i].st_dev == st->st_dev && outputs->files[i].st_ino == st->st_ino)
                        return true;
        return false;
}

static int kind_of_fd(const Look *look, int fd) {
        char link[64], name[TRACER_PATH_SIZE];
        struct stat st;

        (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", look->event->pid, fd);
        if (stat(link, &st) < 0)
                return 0;
        if (S_ISSOCK(st.st_mode))
                return TRACER_NET;
        if (S_ISBLK(st.st_mode))
                return TRACER_DISK;
        if ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || is_output(look->outputs, &st))
                return 0;
        read_fd_name(look, fd, name, sizeof name);
        return is_virtual(name) || strncmp(name, "/memfd:", 7) == 0 ? 0 : TRACER_DISK;
}

static int gap(const Look *look, const char *what, const char *path) {
        (void)snprintf(look->problem, TRACER_PROBLEM_SIZE, "process %d: %s: %s%s%.300s", look->event->pid,
                       look->event->name, what, path[0] != 0 ? ": " : "", path);
        return -ENOTSUP;
}

static int quiet(const Look *look) {
        (void)look;
        return 0;
}

static int disk(const Look *look) {
        (void)look;
        return TRACER_DISK;
}

static int proc(const Look *look) {
        (void)look;
        return TRACER_PROC;
}

static int net(const Look *look) {
        (void)look;
        return TRACER_NET;
}

static int by_fd(const Look *look) {
        return kind_of_fd(look, (int)argument(look, look->call->fd));
}

/* For a link it is the new name that is changed: linkat("/proc/self/fd/3", …) gives a nameless file its name. */
static int by_path(const Look *look) {
        const TracerEvent *event = look->event;

        read_paths(look);
        if (look->call->path2 != 0 && !is_virtual(event->path2))
                return TRACER_DISK;
        return is_virtual(event->path) ? 0 : TRACER_DISK;
}

/* ---- What only looks ---- */

static const char *const *look_prefixes;

void call_look_below(const char *const *prefixes) {
        look_prefixes = prefixes;
}

static bool is_looked_at(const char *path) {
        for (const char *const *prefix = look_prefixes; *prefix != NULL; prefix++)
                if (strncmp(path, *prefix, strlen(*prefix)) == 0)
                        return true;
        return false;
}

static int look_by_path(const Look *look) {
        if (look_prefixes == NULL)
                return 0;
        read_paths(look);
        return is_looked_at(look->event->path) ? TRACER_LOOK : 0;
}

/* Takes something from the kernel that it may not have: descriptors, children, answers. */
static int look_anywhere(const Look *look) {
        (void)look;
        return look_prefixes != NULL ? TRACER_LOOK : 0;
}

static int by_open_flags(const Look *look, uint64_t flags) {
        if ((flags & O_ACCMODE) == O_RDONLY && (flags & (O_CREAT | O_TRUNC)) == 0 && (flags & O_TMPFILE) != O_TMPFILE)
                return look_by_path(look);
        if ((flags & O_PATH) != 0)
                return look_by_path(look);
        return by_path(look);
}

static int by_open(const Look *look) {
        return by_open_flags(look, argument(look, look->call->flags));
}

static int by_open_how(const Look *look) {
        uint64_t flags = O_CREAT; /* struct open_how begins with the flags; unreadable: the call fails, count it */

        (void)call_read_memory(look->event->pid, argument(look, look->call->flags), &flags, sizeof flags);
        return by_open_flags(look, flags);
}

static bool may_be_mapped(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash != NULL && strcmp(slash, "/lock.mdb") == 0;
}

/* Stores through a mapping are no system calls: they could be neither counted nor recorded. */
static int by_map(const Look *look) {
        uint64_t type = argument(look, 4) & 0x0f;
        int fd = (int)argument(look, 5);
        char name[TRACER_PATH_SIZE];

        if ((argument(look, 4) & MAP_ANONYMOUS) != 0)
                return 0;
        if ((argument(look, 3) & PROT_WRITE) == 0)
                return look_by_path(look);
        if ((type != MAP_SHARED && type != MAP_SHARED_VALIDATE) || kind_of_fd(look, fd) != TRACER_DISK)
                return 0;
        read_fd_name(look, fd, name, sizeof name);
        return may_be_mapped(name) ? look_by_path(look) : gap(look, "writable shared mapping of a file", name);
}

/* One line of /proc/PID/maps: does it show a shared mapping of a real file within [from, to)? */
static bool is_shared_file(char *line, uint64_t from, uint64_t to, const char **ret_path) {
        unsigned long long start, end, inode;
        int n_path = 0;
        char perms[8];

        if (sscanf(line, "%llx-%llx %7s %*s %*s %llu %n", &start, &end, perms, &inode, &n_path) < 4 || n_path == 0)
                return false;
        line[strcspn(line, "\n")] = 0;
        *ret_path = line + n_path;
        return perms[3] == 's' && inode != 0 && start < to && from < end && **ret_path == '/' &&
               !is_virtual(*ret_path) && strncmp(*ret_path, "/memfd:", 7) != 0 && !may_be_mapped(*ret_path);
}

static int by_protect(const Look *look) {
        uint64_t from = argument(look, 1), to = from + argument(look, 2);
        char name[64], line[TRACER_PATH_SIZE];
        const char *path;
        FILE *file;
        int r = 0;

        if ((argument(look, 3) & PROT_WRITE) == 0)
                return 0;
        (void)snprintf(name, sizeof name, "/proc/%d/maps", look->event->pid);
        file = fopen(name, "re");
        if (file == NULL)
                return gap(look, "its memory map cannot be read", "");
        while (r == 0 && fgets(line, sizeof line, file) != NULL)
                if (is_shared_file(line, from, to, &path))
                        r = gap(look, "a shared mapping of a file becomes writable", path);
        (void)fclose(file);
        return r;
}

static int by_ioctl(const Look *look) {
        int kind = kind_of_fd(look, (int)argument(look, 1));
        char text[32];

        if (kind != TRACER_DISK)
                return 0;
        switch ((uint32_t)argument(look, 2)) {
        case FICLONE:
        case FICLONERANGE:
        case FS_IOC_SETFLAGS:
        case FS_IOC_FSSETXATTR:
                return TRACER_DISK;
        case FS_IOC_GETFLAGS:
        case FS_IOC_FSGETXATTR:
        case FS_IOC_FIEMAP:
        case FIONREAD:
        case FIONBIO:
        case FIOCLEX:
        case FIONCLEX:
        case TCGETS:
        case TIOCGWINSZ:
        case TIOCGPGRP:
                return 0;
        default:
                (void)snprintf(text, sizeof text, "0x%llx", (unsigned long long)argument(look, 2));
                return gap(look, "a request to a file that is in no table", text);
        }
}

/* A local socket is a file with a name. */
static int by_bind(const Look *look) {
        struct sockaddr_un address = {0};
        uint64_t size = argument(look, 3);
        TracerEvent *event = look->event;

        if (size > sizeof address)
                size = sizeof address;
        if (call_read_memory(event->pid, argument(look, 2), &address, size) < 0)
                return 0;
        if (address.sun_family != AF_UNIX || address.sun_path[0] == 0)
                return 0;
        (void)snprintf(event->path, sizeof event->path, "%.*s", (int)sizeof address.sun_path, address.sun_path);
        return TRACER_DISK;
}

/* clang-format off */
#define ROW(call, decide, ...) { .nr = SYS_##call, .name = #call, .kind = (decide), __VA_ARGS__ },
#define QUIET(call) ROW(call, quiet, .dir = 0)

static const Call table[] = {
        ROW(openat,            by_open,    .dir = 1, .path = 2, .flags = 3)
        ROW(openat2,           by_open_how, .dir = 1, .path = 2, .flags = 3)
        ROW(mkdirat,           by_path,    .dir = 1, .path = 2)
        ROW(mknodat,           by_path,    .dir = 1, .path = 2)
        ROW(unlinkat,          by_path,    .dir = 1, .path = 2)
        ROW(symlinkat,         by_path,    .dir = 2, .path = 3)
        ROW(linkat,            by_path,    .dir = 1, .path = 2, .dir2 = 3, .path2 = 4)
#ifdef SYS_renameat
        ROW(renameat,          by_path,    .dir = 1, .path = 2, .dir2 = 3, .path2 = 4)
#endif
        ROW(renameat2,         by_path,    .dir = 1, .path = 2, .dir2 = 3, .path2 = 4)
        ROW(fchmodat,          by_path,    .dir = 1, .path = 2)
        ROW(fchownat,          by_path,    .dir = 1, .path = 2)
        ROW(utimensat,         by_path,    .dir = 1, .path = 2)
        ROW(truncate,          by_path,    .path = 1)
        ROW(setxattr,          by_path,    .path = 1)
        ROW(lsetxattr,         by_path,    .path = 1)
        ROW(removexattr,       by_path,    .path = 1)
        ROW(lremovexattr,      by_path,    .path = 1)
        ROW(write,             by_fd,      .fd = 1, .size = 3)
        ROW(pwrite64,          by_fd,      .fd = 1, .size = 3)
        ROW(writev,            by_fd,      .fd = 1, .size = 3, .is_vector = true)
        ROW(pwritev,           by_fd,      .fd = 1, .size = 3, .is_vector = true)
        ROW(pwritev2,          by_fd,      .fd = 1, .size = 3, .is_vector = true)
        ROW(sendfile,          by_fd,      .fd = 1, .size = 4)
        ROW(copy_file_range,   by_fd,      .fd = 3, .size = 5)
        ROW(splice,            by_fd,      .fd = 3, .size = 5)
        ROW(vmsplice,          by_fd,      .fd = 1)
        ROW(ftruncate,         by_fd,      .fd = 1)
        ROW(fallocate,         by_fd,      .fd = 1)
        ROW(fchmod,            by_fd,      .fd = 1)
        ROW(fchown,            by_fd,      .fd = 1)
        ROW(fsetxattr,         by_fd,      .fd = 1)
        ROW(fremovexattr,      by_fd,      .fd = 1)
        ROW(fsync,             by_fd,      .fd = 1)
        ROW(fdatasync,         by_fd,      .fd = 1)
        ROW(syncfs,            by_fd,      .fd = 1)
        ROW(sync_file_range,   by_fd,      .fd = 1)
        ROW(sync,              disk,       .fd = 0)
        ROW(msync,             disk,       .fd = 0)
        ROW(mmap,              by_map,     .fd = 5)
        ROW(mprotect,          by_protect, .fd = 0)
        ROW(pkey_mprotect,     by_protect, .fd = 0)
        ROW(ioctl,             by_ioctl,   .fd = 1)
        ROW(bind,              by_bind,    .fd = 0)
        ROW(clone,             proc,       .is_forking = true)
#ifdef SYS_clone3
        ROW(clone3,            proc,       .is_forking = true)
#endif
        ROW(execve,            proc,       .path = 1)
        ROW(execveat,          proc,       .dir = 1, .path = 2)
        ROW(kill,              proc,       .fd = 0)
        ROW(tkill,             proc,       .fd = 0)
        ROW(tgkill,            proc,       .fd = 0)
        ROW(rt_sigqueueinfo,   proc,       .fd = 0)
        ROW(rt_tgsigqueueinfo, proc,       .fd = 0)
        ROW(pidfd_send_signal, proc,       .fd = 0)
        ROW(connect,           net,        .fd = 1)
        ROW(sendto,            net,        .fd = 1)
        ROW(sendmsg,           net,        .fd = 1)
        ROW(sendmmsg,          net,        .fd = 1)
        ROW(read,              look_by_path,  .fd = 1)
        ROW(pread64,           look_by_path,  .fd = 1)
        ROW(readv,             look_by_path,  .fd = 1)
        ROW(preadv,            look_by_path,  .fd = 1)
        ROW(fstat,             look_by_path,  .fd = 1)
        ROW(getdents64,        look_by_path,  .fd = 1)
        ROW(fgetxattr,         look_by_path,  .fd = 1)
        ROW(flistxattr,        look_by_path,  .fd = 1)
        ROW(fstatfs,           look_by_path,  .fd = 1)
        ROW(fcntl,             look_by_path,  .fd = 1)
        ROW(flock,             look_by_path,  .fd = 1)
        ROW(lseek,             look_by_path,  .fd = 1)
        ROW(newfstatat,        look_by_path,  .dir = 1, .path = 2)
        ROW(statx,             look_by_path,  .dir = 1, .path = 2)
        ROW(readlinkat,        look_by_path,  .dir = 1, .path = 2)
        ROW(faccessat,         look_by_path,  .dir = 1, .path = 2)
        ROW(getxattr,          look_by_path,  .path = 1)
        ROW(lgetxattr,         look_by_path,  .path = 1)
        ROW(listxattr,         look_by_path,  .path = 1)
        ROW(llistxattr,        look_by_path,  .path = 1)
        ROW(statfs,            look_by_path,  .path = 1)
        ROW(pipe2,             look_anywhere, .fd = 0)
        ROW(socket,            look_anywhere, .fd = 0)
        ROW(socketpair,        look_anywhere, .fd = 0)
        ROW(pidfd_open,        look_anywhere, .fd = 0)
        ROW(dup,               look_anywhere, .fd = 0)
        ROW(dup3,              look_anywhere, .fd = 0)
        ROW(epoll_create1,     look_anywhere, .fd = 0)
        ROW(eventfd2,          look_anywhere, .fd = 0)
        ROW(memfd_create,      look_anywhere, .fd = 0)
        ROW(timerfd_create,    look_anywhere, .fd = 0)
        ROW(signalfd4,         look_anywhere, .fd = 0)
        ROW(recvfrom,          look_anywhere, .fd = 0)
        ROW(recvmsg,           look_anywhere, .fd = 0)
        ROW(ppoll,             look_anywhere, .fd = 0)
        ROW(wait4,             look_anywhere, .fd = 0)
        ROW(waitid,            look_anywhere, .fd = 0)
#ifdef SYS_faccessat2
        ROW(faccessat2,        look_by_path,  .dir = 1, .path = 2)
#endif
#ifdef SYS_fchmodat2
        ROW(fchmodat2,         by_path,    .dir = 1, .path = 2)
#endif
#ifdef SYS_setxattrat
        ROW(setxattrat,        by_path,    .dir = 1, .path = 2)
        ROW(removexattrat,     by_path,    .dir = 1, .path = 2)
#endif
#ifdef SYS_open /* what only the older architectures have */
        ROW(open,              by_open,    .path = 1, .flags = 2)
        ROW(creat,             by_path,    .path = 1)
        ROW(mkdir,             by_path,    .path = 1)
        ROW(mknod,             by_path,    .path = 1)
        ROW(unlink,            by_path,    .path = 1)
        ROW(rmdir,             by_path,    .path = 1)
        ROW(symlink,           by_path,    .path = 2)
        ROW(link,              by_path,    .path = 1, .path2 = 2)
        ROW(rename,            by_path,    .path = 1, .path2 = 2)
        ROW(chmod,             by_path,    .path = 1)
        ROW(chown,             by_path,    .path = 1)
        ROW(lchown,            by_path,    .path = 1)
        ROW(utime,             by_path,    .path = 1)
        ROW(utimes,            by_path,    .path = 1)
        ROW(futimesat,         by_path,    .dir = 1, .path = 2)
        ROW(fork,              proc,       .is_forking = true)
        ROW(vfork,             proc,       .is_forking = true)
        ROW(access,            look_by_path,  .path = 1)
        ROW(stat,              look_by_path,  .path = 1)
        ROW(lstat,             look_by_path,  .path = 1)
        ROW(readlink,          look_by_path,  .path = 1)
        ROW(getdents,          look_by_path,  .fd = 1)
        ROW(pipe,              look_anywhere, .fd = 0)
        ROW(dup2,              look_anywhere, .fd = 0)
        ROW(poll,              look_anywhere, .fd = 0)
#endif
#include "tests/crash/tracer_calls.def"
};
/* clang-format on */

enum { CALL_NR_MAX = 1024 };

static const Call *call_find(int nr) {
        static const Call *by_nr[CALL_NR_MAX];

        if (by_nr[SYS_openat] == NULL)
                for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                        by_nr[table[i].nr] = &table[i];
        return nr >= 0 && nr < CALL_NR_MAX ? by_nr[nr] : NULL;
}

/* The text of a symbolic link is no path of its own: it must not be made absolute. */
static void read_link_text(const Look *look) {
        TracerEvent *event = look->event;

        if (strncmp(event->name, "symlink", 7) == 0)
                read_string(event->pid, event->args[0], event->path2, sizeof event->path2);
}

int call_classify(const CallOutputs *outputs, TracerEvent *event, char *ret_problem) {
        const Call *call = call_find(event->syscall);
        const Look look = {call, outputs, event, ret_problem};
        int kind;

        event->path[0] = event->path2[0] = 0;
        if (call == NULL) {
                (void)snprintf(ret_problem, TRACER_PROBLEM_SIZE,
                               "process %d: system call %d is in no table: does it change the disk?", event->pid,
                               event->syscall);
                return -ENOTSUP;
        }
        event->name = call->name;
        kind = call->kind(&look);
        if (kind <= 0)
                return kind;
        event->kind = (TracerKind)kind;
        if (event->path[0] == 0)
                read_paths(&look);
        read_link_text(&look);
        return kind;
}

bool call_is_forking(int nr) {
        const Call *call = call_find(nr);

        return call != NULL && call->is_forking;
}

int call_size_argument(int nr, bool *ret_is_vector) {
        const Call *call = call_find(nr);

        if (call == NULL || call->size == 0)
                return -1;
        *ret_is_vector = call->is_vector;
        return call->size - 1;
}
