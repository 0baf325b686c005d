/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose flush takes a while: a FUSE file system with one file, "disk", for a loop device to stand on. Reads and
 * writes go to the page cache of BACKING and are never flushed there; a flush of the disk sleeps instead, so that it
 * costs the same everywhere.
 *
 *   bench-slowdisk MOUNTPOINT BACKING FLUSH_USEC      stays in the foreground until it is unmounted
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int disk_fd;
static off_t disk_size;
static long flush_usec;

static int is_disk(const char *path) {
        return strcmp(path, "/disk") == 0;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi) {
        (void)fi;
        *st = (struct stat){.st_mode = S_IFDIR | 0755, .st_nlink = 2};
        if (is_disk(path))
                *st = (struct stat){.st_mode = S_IFREG | 0600,
                                    .st_nlink = 1,
                                    .st_size = disk_size,
                                    .st_blksize = 4096,
                                    .st_blocks = disk_size / 512};
        else if (strcmp(path, "/") != 0)
                return -ENOENT;
        return 0;
}

static int disk_open(const char *path, struct fuse_file_info *fi) {
        fi->direct_io = 1;
        return is_disk(path) ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *fi) {
        (void)path;
        (void)fi;
        ssize_t n = pread(disk_fd, buf, size, at);
        return n < 0 ? -errno : (int)n;
}

static int disk_write(const char *path, const char *buf, size_t size, off_t at, struct fuse_file_info *fi) {
        (void)path;
        (void)fi;
        if (at + (off_t)size > disk_size)
                return -ENOSPC;
        ssize_t n = pwrite(disk_fd, buf, size, at);
        return n < 0 ? -errno : (int)n;
}

static int disk_fsync(const char *path, int is_data, struct fuse_file_info *fi) {
        (void)path;
        (void)is_data;
        (void)fi;
        struct timespec t = {.tv_sec = flush_usec / 1000000, .tv_nsec = flush_usec % 1000000 * 1000};
        return nanosleep(&t, NULL) < 0 ? -errno : 0;
}

static const struct fuse_operations operations = {.getattr = disk_getattr,
                                                  .open = disk_open,
                                                  .read = disk_read,
                                                  .write = disk_write,
                                                  .fsync = disk_fsync};

int main(int argc, char **argv) {
        struct stat st;
        if (argc != 4) {
                fprintf(stderr, "usage: bench-slowdisk MOUNTPOINT BACKING FLUSH_USEC\n");
                return 2;
        }
        disk_fd = open(argv[2], O_RDWR | O_CLOEXEC);
        if (disk_fd < 0 || fstat(disk_fd, &st) < 0) {
                perror(argv[2]);
                return 1;
        }
        disk_size = st.st_size;
        flush_usec = strtol(argv[3], NULL, 10);
        char *args[] = {argv[0], (char[]){"-f"}, argv[1], NULL};
        return fuse_main(3, args, &operations, NULL);
}
