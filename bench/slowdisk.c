/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose flush takes a while: the file "disk" of tests/crash/device_fuse.h. Reads and
 * writes go to the page cache of BACKING and are never flushed there; a flush of the disk sleeps instead, so that it
 * costs the same everywhere.
 *
 *   bench-slowdisk MOUNTPOINT BACKING FLUSH_USEC      stays in the foreground until it is unmounted
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/device_fuse.h"

typedef struct SlowDisk {
        int fd;
        long flush_usec;
} SlowDisk;

static ssize_t slow_read(void *device, char *data, size_t size, uint64_t at) {
        const SlowDisk *d = device;
        ssize_t n = pread(d->fd, data, size, (off_t)at);

        return n < 0 ? -errno : n;
}

static ssize_t slow_write(void *device, const char *data, size_t size, uint64_t at) {
        const SlowDisk *d = device;
        ssize_t n = pwrite(d->fd, data, size, (off_t)at);

        return n < 0 ? -errno : n;
}

static int slow_flush(void *device) {
        const SlowDisk *d = device;
        const struct timespec t = {.tv_sec = d->flush_usec / 1000000, .tv_nsec = d->flush_usec % 1000000 * 1000};

        return nanosleep(&t, NULL) < 0 ? -errno : 0;
}

static void slow_mark(void *device, const char *text, size_t size) {
        (void)device;
        (void)text;
        (void)size;
}

int main(int argc, char **argv) {
        static const DeviceOps ops = {.read = slow_read, .write = slow_write, .flush = slow_flush, .mark = slow_mark};
        struct stat st;
        SlowDisk d;

        if (argc != 4) {
                (void)fprintf(stderr, "usage: bench-slowdisk MOUNTPOINT BACKING FLUSH_USEC\n");
                return 2;
        }
        d = (SlowDisk){.fd = open(argv[2], O_RDWR | O_CLOEXEC), .flush_usec = strtol(argv[3], NULL, 10)};
        if (d.fd < 0 || fstat(d.fd, &st) < 0) {
                perror(argv[2]);
                return 1;
        }
        return device_serve(argv[1], (uint64_t)st.st_size, &ops, &d);
}
