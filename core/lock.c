/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting is polling: the lock has no queue, and a wait of seconds does not need one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/lock.h"

#define LOCK_POLL_USEC (20 * USEC_PER_MSEC)

static char *lock_path(const char *name) {
        return text_format(LOCK_DIR "/%s", name);
}

/* The holder's own words, for display alone: "pid 4711 (upgrade)". */
static void lock_sign(int fd) {
        char text[64];
        int n = snprintf(text, sizeof(text), "pid %d\n", (int)getpid());
        (void)fs_truncate(fd, 0, NULL);
        (void)fs_write_all(fd, text, (size_t)n, NULL);
}

int lock_try(Engine *e, const char *name, int *ret_fd, Error *err) {
        _cleanup_free_ char *path = lock_path(name);
        if (!path)
                return error_no_memory(err);
        if (mutant_is("no-lock")) {
                *ret_fd = -1;
                return 0;
        }
        int r = fs_lock(e->root, path, ret_fd, err);
        if (r == 0)
                lock_sign(*ret_fd);
        return r;
}

int lock_is_held(const Engine *e, const char *name) {
        _cleanup_free_ char *path = lock_path(name);
        if (!path)
                return -ENOMEM;
        _cleanup_close_ int fd = fs_open(e->root, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, NULL);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
                return -errno;
        return whole.l_type != F_UNLCK;
}

static void lock_holder(Engine *e, const char *name, char *ret, size_t size) {
        _cleanup_free_ char *path = lock_path(name), *text = NULL;
        size_t n = 0;
        snprintf(ret, size, "another pawl");
        if (!path || fs_read(e->root, path, 256, &text, &n, NULL) < 0 || n == 0)
                return;
        text[strcspn(text, "\n")] = '\0';
        snprintf(ret, size, "another pawl (%s)", text);
}

int lock_wait(Engine *e, const char *name, const Host *host, uint64_t wait_usec, int *ret_fd, Error *err) {
        uint64_t until = clock_boot_usec() + wait_usec;
        for (;;) {
                int r = lock_try(e, name, ret_fd, err);
                if (r <= 0)
                        return r;
                r = host_check_cancel(host, err);
                if (r < 0)
                        return error_context(err, r, "while waiting for another pawl");
                if (clock_boot_usec() >= until)
                        break;
                clock_sleep_usec(LOCK_POLL_USEC);
        }
        char holder[320];
        lock_holder(e, name, holder, sizeof(holder));
        const char *dash = strchr(name, '-'), *what = dash ? dash + 1 : name;
        return error_set(err, -EBUSY, ERR_LOCKED, "Wait until it is done, or let this command wait: --wait 60s.",
                         "%s: %s is at work on it", what, holder);
}

int lock_take(Engine *e, const char *name, int *ret_fd, Error *err) {
        Host host = engine_host(e, 0, 0, true);
        return lock_wait(e, name, &host, e->wait_usec, ret_fd, err);
}
