/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preloaded library that counts barriers: fsync, fdatasync, and writes through a descriptor opened with O_DSYNC.
 * LMDB ends each commit with exactly one such write, of its meta page, so these also count commits.
 *
 * The counters are three 64-bit numbers in the file BENCH_COUNT, shared with every child that keeps the environment.
 */
/* Without this the compiler renames pwrite() to pwrite64(), and LMDB calls the former. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t *counters;

__attribute__((constructor)) static void count_open(void) {
        const char *path = getenv("BENCH_COUNT");
        int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (fd < 0 || ftruncate(fd, 4096) < 0)
                return;
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        counters = p == MAP_FAILED ? NULL : p;
        close(fd);
}

enum { COUNT_FSYNC, COUNT_FDATASYNC, COUNT_DSYNC };

static void count(unsigned which) {
        if (counters)
                __atomic_add_fetch(&counters[which], 1, __ATOMIC_RELAXED);
}

int fsync(int fd) {
        static int (*real)(int);
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "fsync");
        count(COUNT_FSYNC);
        return real(fd);
}

int fdatasync(int fd) {
        static int (*real)(int);
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
        count(COUNT_FDATASYNC);
        return real(fd);
}

static void count_write(int fd) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_DSYNC) == O_DSYNC)
                count(COUNT_DSYNC);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
        static ssize_t (*real)(int, const void *, size_t, off_t);
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "pwrite");
        count_write(fd);
        return real(fd, data, size, at);
}
