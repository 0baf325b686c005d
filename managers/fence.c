/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has the fence file open is of that step, whatever became of the recorded child: so holders are found by the
 * file itself, and a number that was given to somebody else is never signalled.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/fence.h"
#include "managers/procfs.h"

#define FENCE_DIR "run/pawl/step"
#define FENCE_WAIT_USEC (5 * USEC_PER_SEC)
#define FENCE_REST_USEC USEC_PER_SEC
#define FENCE_POLL_USEC (20 * USEC_PER_MSEC)

static char *fence_path(uint64_t tx, uint32_t step) {
        return text_format(FENCE_DIR "/%" PRIu64 "-%" PRIu32, tx, step);
}

int child_fence_new(const Host *host, ChildFence *ret, Error *err) {
        _cleanup_free_ char *path = fence_path(host->tx, host->step);
        _cleanup_close_ int fd = -1;
        uint64_t end = clock_boot_usec() + FENCE_REST_USEC;
        if (!path)
                return error_no_memory(err);
        int r = fs_mkdir_all(host->root, FENCE_DIR, 0755, err);
        if (r < 0)
                return r;
        /* What was killed a moment ago may still be on its way out. */
        while ((r = fs_lock(host->root, path, &fd, err)) == 1 && clock_boot_usec() < end)
                clock_sleep_usec(FENCE_POLL_USEC);
        if (r < 0)
                return r;
        if (r > 0)
                return error_set(err, -EBUSY, ERR_LOCKED, NULL, "an earlier child of this step still runs");
        *ret = (ChildFence){.path = TAKE_PTR(path), .fd = TAKE_FD(fd)};
        return 0;
}

int child_fence_record(const Host *host, const ChildFence *f, int pid, uint64_t start_time, Error *err) {
        char boot[2 * BOOT_ID_SIZE + 1], text[128];
        hex_encode(host->boot, BOOT_ID_SIZE, boot);
        int n = snprintf(text, sizeof(text), "%d %" PRIu64 " %s\n", pid, start_time, boot);
        int r = fs_truncate(f->fd, 0, err);
        if (r < 0)
                return r;
        if (lseek(f->fd, 0, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not write \"%s\"", f->path);
        return fs_write_all(f->fd, text, (size_t)n, err);
}

/* 0: nobody holds it any more, and it is gone; 1: held. */
static int fence_try_remove(const Host *host, const char *path, Error *err) {
        _cleanup_close_ int fd = -1;
        int r = fs_lock(host->root, path, &fd, err);
        if (r != 0)
                return r;
        return fs_unlink_durably(host->root, path, err);
}

void child_fence_end(const Host *host, ChildFence *f) {
        fd_close(&f->fd);
        if (f->path)
                (void)fence_try_remove(host, f->path, NULL);
        free(f->path);
        f->path = NULL;
}

/* The recorded child's whole process group, if that child still is who it was. */
static void kill_recorded(const Host *host, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int pid = 0;
        uint64_t start = 0;
        char hex[2 * BOOT_ID_SIZE + 1] = "";
        uint8_t boot[BOOT_ID_SIZE];
        if (fs_read(host->root, path, 4096, &text, &size, NULL) < 0)
                return;
        if (sscanf(text, "%d %" SCNu64 " %32s", &pid, &start, hex) != 3 || !hex_decode(hex, boot, sizeof(boot)))
                return;
        if (pid <= 1 || memcmp(boot, host->boot, sizeof(boot)) != 0 || !procfs_is_alive(pid, start))
                return;
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
}

typedef struct FenceFile {
        const char *base;
        struct stat st;
        int pid;
} FenceFile;

static int holder_fd(void *userdata, const char *target, const char *fd_path) {
        const FenceFile *f = userdata;
        struct stat st;
        /* The name first: stat() on every descriptor of every process could hang on a dead file server. */
        return strcmp(path_base(target), f->base) == 0 && stat(fd_path, &st) == 0 && st.st_dev == f->st.st_dev &&
               st.st_ino == f->st.st_ino;
}

static int holder_kill(void *userdata, const ProcessInfo *p) {
        if (p->pid != getpid() && procfs_each_fd(p->pid, holder_fd, userdata) == 1)
                (void)kill(p->pid, SIGKILL);
        return 0;
}

static void kill_holders(const Host *host, const char *path) {
        FenceFile f = {.base = path_base(path)};
        if (fs_stat(host->root, path, &f.st, NULL) == 0)
                (void)procfs_each(holder_kill, &f);
}

int fence_step(const Host *host, uint64_t tx, uint32_t step, Error *err) {
        _cleanup_free_ char *path = fence_path(tx, step);
        if (!path)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(host->root, path, &is_there, err);
        if (!is_there)
                return r;
        kill_recorded(host, path);
        uint64_t end = clock_boot_usec() + FENCE_WAIT_USEC;
        for (;;) {
                r = fence_try_remove(host, path, err);
                if (r <= 0)
                        return r;
                kill_holders(host, path);
                if (clock_boot_usec() >= end)
                        return error_set(err, -EBUSY, ERR_TIMEOUT, "See which program it is with fuser, and end it.",
                                         "something started for step %" PRIu32 " of transaction %" PRIu64
                                         " still holds \"%s\"",
                                         step, tx, path);
                clock_sleep_usec(FENCE_POLL_USEC);
        }
}
