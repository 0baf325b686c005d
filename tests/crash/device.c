/* SPDX-License-Identifier: Apache-2.0 */
/* See device.h. The kernel's file system → loop device → FUSE file → here. What the kernel has not handed down is not
 * on the disk, as in a machine; what it has handed down and not yet flushed may be or not. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/device.h"
#include "tests/crash/device_fuse.h"

enum { SECTOR_SIZE = 512, CHUNK_SIZE = 1 << 16, SERVER_WAIT_MSEC = 5000, LOOP_TRIES = 200, RECORDS_MAX = 1 << 20 };
#define LOG_SIZE (1UL << 30) /* address space: what is not written to costs nothing */

typedef enum RecordKind { RECORD_WRITE, RECORD_FLUSH, RECORD_MARK } RecordKind;

typedef struct DeviceRecord {
        uint64_t at, data; /* on the device; in the log */
        uint32_t size;
        RecordKind kind;
} DeviceRecord;

struct DeviceLog {
        atomic_bool is_recording;
        size_t n, used;
        bool is_full;
        DeviceRecord records[RECORDS_MAX];
        char data[];
};

/* ---- The server ---- */

static void remember(Device *d, RecordKind kind, const char *data, size_t size, uint64_t at) {
        DeviceLog *log = d->log;

        if (!atomic_load(&log->is_recording))
                return;
        if (log->n == RECORDS_MAX || log->used + size > LOG_SIZE - sizeof *log) {
                log->is_full = true;
                return;
        }
        if (size > 0)
                memcpy(log->data + log->used, data, size);
        log->records[log->n++] = (DeviceRecord){.at = at, .data = log->used, .size = (uint32_t)size, .kind = kind};
        log->used += size;
}

static ssize_t device_read(void *device, char *data, size_t size, uint64_t at) {
        const Device *d = device;

        if (at >= d->size)
                return 0;
        size = size < d->size - at ? size : d->size - at;
        memcpy(data, d->content + at, size);
        return (ssize_t)size;
}

static ssize_t device_write(void *device, const char *data, size_t size, uint64_t at) {
        Device *d = device;

        remember(d, RECORD_WRITE, data, size, at);
        memcpy(d->content + at, data, size);
        return (ssize_t)size;
}

static int device_flush(void *device) {
        remember(device, RECORD_FLUSH, NULL, 0, 0);
        return 0;
}

static void device_mark(void *device, const char *text, size_t size) {
        remember(device, RECORD_MARK, text, size, 0);
}

static const DeviceOps ops = {.read = device_read, .write = device_write, .flush = device_flush, .mark = device_mark};

static bool server_is_up(const Device *d) {
        const struct timespec pause = {.tv_nsec = 1000000};
        char path[300];

        (void)snprintf(path, sizeof path, "%s/disk", d->folder);
        for (unsigned i = 0; i < SERVER_WAIT_MSEC; i++) {
                if (access(path, F_OK) == 0)
                        return true;
                if (waitpid(d->server, NULL, WNOHANG) != 0)
                        return false;
                (void)nanosleep(&pause, NULL);
        }
        return false;
}

int device_serve_begin(Device *d, const char *folder) {
        (void)snprintf(d->folder, sizeof d->folder, "%s", folder);
        d->server = fork();
        if (d->server == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(device_serve(d->folder, d->size, &ops, d));
        }
        if (d->server < 0)
                return -errno;
        return server_is_up(d) ? 0 : -EIO;
}

void device_serve_end(Device *d) {
        if (d->server <= 0)
                return;
        (void)umount2(d->folder, MNT_DETACH);
        (void)kill(d->server, SIGKILL);
        (void)waitpid(d->server, NULL, 0);
        d->server = 0;
}

/* ---- Its memory ---- */

static int memory_file(const char *name, size_t size) {
        int fd = memfd_create(name, MFD_CLOEXEC);

        if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
                (void)close(fd);
                return -errno;
        }
        return fd < 0 ? -errno : fd;
}

int device_open(Device *d, size_t size) {
        void *log = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        *d = (Device){.size = size, .image = memory_file("image", size), .base = -1};
        if (d->image < 0 || log == MAP_FAILED)
                return -ENOMEM;
        d->log = log;
        d->content = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, d->image, 0);
        return d->content == MAP_FAILED ? -errno : 0;
}

void device_image_path(const Device *d, char *ret, size_t size) {
        (void)snprintf(ret, size, "/proc/%d/fd/%d", getpid(), d->image);
}

void device_close(Device *d) {
        device_serve_end(d);
        if (d->log != NULL)
                (void)munmap(d->log, LOG_SIZE);
        if (d->content != NULL && d->content != MAP_FAILED)
                (void)munmap(d->content, d->size);
        if (d->image >= 0)
                (void)close(d->image);
        if (d->base >= 0)
                (void)close(d->base);
        *d = (Device){.image = -1, .base = -1};
}

static bool is_zero(const char *data, size_t size) {
        return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

int device_copy(int from, int to, size_t size) {
        static char chunk[CHUNK_SIZE];

        for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0 && (size_t)at < size;) {
                ssize_t n = pread(from, chunk, sizeof chunk, at);

                if (n <= 0)
                        return n < 0 ? -errno : 0;
                if (!is_zero(chunk, (size_t)n) && pwrite(to, chunk, (size_t)n, at) != n)
                        return -errno;
                at += n;
        }
        return 0;
}

/* ---- Recording ---- */

int device_record_begin(Device *d) {
        int r;

        if (d->base >= 0)
                (void)close(d->base);
        d->base = memory_file("base", d->size);
        if (d->base < 0)
                return d->base;
        d->log->n = d->log->used = 0;
        d->log->is_full = false;
        r = device_copy(d->image, d->base, d->size);
        atomic_store(&d->log->is_recording, true);
        return r;
}

void device_record_end(Device *d) {
        atomic_store(&d->log->is_recording, false);
}

size_t device_count(const Device *d) {
        return d->log->is_full ? 0 : d->log->n;
}

static size_t last_flush(const Device *d, size_t n) {
        while (n > 0 && d->log->records[n - 1].kind != RECORD_FLUSH)
                n--;
        return n;
}

bool device_cut_matters(const Device *d, const DeviceCut *cut) {
        const DeviceRecord *records = d->log->records;

        if (cut->seed == 0)
                return cut->n == 0 || records[cut->n - 1].kind != RECORD_FLUSH;
        for (size_t i = last_flush(d, cut->n); i < cut->n; i++)
                if (records[i].kind == RECORD_WRITE)
                        return true;
        return false;
}

/* How much of an unflushed write is there. */
static size_t part_kept(uint64_t *state, size_t size) {
        uint64_t x = *state += 0x9e3779b97f4a7c15;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        x ^= x >> 31;
        if (x % 8 < 3)
                return 0;
        return x % 8 == 3 && size > SECTOR_SIZE ? (x >> 8) % (size / SECTOR_SIZE) * SECTOR_SIZE : size;
}

int device_cut(const Device *d, const DeviceCut *cut) {
        size_t flushed = last_flush(d, cut->n);
        uint64_t state = ((uint64_t)cut->seed << 32) ^ cut->n;
        int fd = memory_file("cut", d->size), r = fd < 0 ? fd : device_copy(d->base, fd, d->size);

        for (size_t i = 0; r == 0 && i < cut->n; i++) {
                const DeviceRecord *record = &d->log->records[i];
                size_t size = record->size;

                if (record->kind != RECORD_WRITE)
                        continue;
                if (cut->seed != 0 && i >= flushed)
                        size = part_kept(&state, size);
                if (pwrite(fd, d->log->data + record->data, size, (off_t)record->at) != (ssize_t)size)
                        r = -EIO;
        }
        if (r < 0 && fd >= 0)
                (void)close(fd);
        return r < 0 ? r : fd;
}

void device_marks(const Device *d, size_t n, char *ret, size_t size) {
        size_t used = 0;

        for (size_t i = 0; i < n; i++) {
                const DeviceRecord *record = &d->log->records[i];
                size_t fits = record->size < size - 1 - used ? record->size : size - 1 - used;

                if (record->kind != RECORD_MARK)
                        continue;
                memcpy(ret + used, d->log->data + record->data, fits);
                used += fits;
        }
        ret[used] = 0;
}

/* ---- Mounting ---- */

/* A free loop device that is freed again when its last user is gone. Somebody else may be quicker. */
static int loop_attach(int file, char *ret_path, size_t size) {
        struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1, r = -EBUSY;
        const struct timespec pause = {.tv_nsec = 2000000};

        if (control < 0)
                return -errno;
        for (unsigned i = 0; r == -EBUSY && i < LOOP_TRIES; i++) {
                int number = ioctl(control, LOOP_CTL_GET_FREE);

                (void)snprintf(ret_path, size, "/dev/loop%d", number);
                fd = number < 0 ? -1 : open(ret_path, O_RDWR | O_CLOEXEC);
                r = fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
                r = r == -ENOENT || r == -ENXIO ? -EBUSY : r; /* all that have a name are in use */
                if (r < 0 && fd >= 0)
                        (void)close(fd);
                if (r == -EBUSY)
                        (void)nanosleep(&pause, NULL);
        }
        (void)close(control);
        return r < 0 ? r : fd;
}

int device_mount(const char *file, const char *where, const char *type, const char *options) {
        int fd = open(file, O_RDWR | O_CLOEXEC), loop, r;
        char path[64];

        if (fd < 0)
                return -errno;
        loop = loop_attach(fd, path, sizeof path);
        (void)close(fd);
        if (loop < 0)
                return loop;
        r = mount(path, where, type, 0, options) < 0 ? -errno : 0;
        (void)close(loop);
        return r;
}
