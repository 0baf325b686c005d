/* SPDX-License-Identifier: Apache-2.0 */
/* See device_fuse.h. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/device_fuse.h"

typedef struct Served {
        uint64_t size;
        const DeviceOps *ops;
        void *device;
} Served;

static const Served *served(void) {
        return fuse_get_context()->private_data;
}

static bool is_mark(const char *path) {
        return strcmp(path, "/mark") == 0;
}

static int serve_getattr(const char *path, struct stat *st, struct fuse_file_info *fi) {
        uint64_t size = served()->size;

        (void)fi;
        *st = (struct stat){.st_mode = S_IFDIR | 0755, .st_nlink = 2};
        if (strcmp(path, "/") == 0)
                return 0;
        *st = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
        if (is_mark(path))
                return 0;
        st->st_size = (off_t)size;
        st->st_blksize = 4096;
        st->st_blocks = (blkcnt_t)(size / 512);
        return strcmp(path, "/disk") == 0 ? 0 : -ENOENT;
}

static int serve_open(const char *path, struct fuse_file_info *fi) {
        (void)path;
        fi->direct_io = 1;
        return 0;
}

static int serve_read(const char *path, char *data, size_t size, off_t at, struct fuse_file_info *fi) {
        const Served *s = served();

        (void)fi;
        return is_mark(path) ? 0 : (int)s->ops->read(s->device, data, size, (uint64_t)at);
}

static int serve_write(const char *path, const char *data, size_t size, off_t at, struct fuse_file_info *fi) {
        const Served *s = served();

        (void)fi;
        if (!is_mark(path))
                return (uint64_t)at + size > s->size ? -ENOSPC
                                                     : (int)s->ops->write(s->device, data, size, (uint64_t)at);
        s->ops->mark(s->device, data, size);
        return (int)size;
}

/* "mark" may be opened with O_TRUNC, like any file for output. */
static int serve_truncate(const char *path, off_t size, struct fuse_file_info *fi) {
        (void)size;
        (void)fi;
        return is_mark(path) ? 0 : -EPERM;
}

static int serve_fsync(const char *path, int is_data, struct fuse_file_info *fi) {
        const Served *s = served();

        (void)is_data;
        (void)fi;
        return is_mark(path) ? 0 : s->ops->flush(s->device);
}

static const struct fuse_operations operations = {
        .getattr = serve_getattr,
        .open = serve_open,
        .read = serve_read,
        .write = serve_write,
        .truncate = serve_truncate,
        .fsync = serve_fsync,
};

int device_serve(const char *folder, uint64_t size, const DeviceOps *ops, void *device) {
        Served s = {.size = size, .ops = ops, .device = device};
        char name[] = "device", foreground[] = "-f", one_thread[] = "-s", path[4096];
        char *args[] = {name, foreground, one_thread, path, NULL};
        size_t n = strlen(folder);

        if (n >= sizeof path)
                return 2;
        memcpy(path, folder, n + 1);
        return fuse_main(4, args, &operations, &s);
}
