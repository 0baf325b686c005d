/* SPDX-License-Identifier: Apache-2.0 */
/* A block device in memory that remembers, in order, everything that is written to it, and can be made again as a power
 * cut at any moment would have left it. Nothing of it has a name on a disk. Root only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct DeviceLog DeviceLog;

typedef struct Device {
        size_t size;
        int image, base; /* memory files: what is on it now, and what was when recording began */
        char *content;   /* the image, mapped */
        DeviceLog *log;  /* shared with the server */
        pid_t server;
        char folder[256]; /* "disk" and "mark" are in it */
} Device;

/* An empty one. device_image_path() names it for a mkfs. 0 or a negative errno. */
int device_open(Device *d, size_t size);
void device_image_path(const Device *d, char *ret, size_t size);
/* Serves it below `folder`, which must be there. */
int device_serve_begin(Device *d, const char *folder);
/* The server ends; whatever still uses the device gets errors. */
void device_serve_end(Device *d);
void device_close(Device *d);

/* From now on writes are remembered. What was written before must have been flushed. */
int device_record_begin(Device *d);
void device_record_end(Device *d);

/* The power goes before record n. Seed 0: all before it is on the disk. Else each write behind the last flush is there,
 * or lost, or there up to a sector in its middle. */
typedef struct DeviceCut {
        size_t n;
        uint32_t seed;
} DeviceCut;

size_t device_count(const Device *d);
/* Whether the cut leaves something else than the one before it, or with a seed, than the one without. */
bool device_cut_matters(const Device *d, const DeviceCut *cut);
/* A memory file with what is left, owned by the caller; or a negative errno. */
int device_cut(const Device *d, const DeviceCut *cut);
/* What had been written into "mark" by then. */
void device_marks(const Device *d, size_t n, char *ret, size_t size);

/* Copies everything that is not zero into a file that is all zero, or what was there before. 0 or a negative errno. */
int device_copy(int from, int to, size_t size);

/* Mounts the file (a memory file, or <folder>/disk) by a loop device that goes with the mount. */
int device_mount(const char *file, const char *where, const char *type, const char *options);
