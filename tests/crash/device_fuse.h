/* SPDX-License-Identifier: Apache-2.0 */
/* One file named "disk", served by FUSE with nothing cached in between, for a loop device to stand on; and one named
 * "mark", into which anybody may write. The only file that includes libfuse. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Each returns a negative errno, or the bytes done (flush: 0). All are called from one thread, in the order in which
 * the kernel asks. */
typedef struct DeviceOps {
        ssize_t (*read)(void *device, char *data, size_t size, uint64_t at);
        ssize_t (*write)(void *device, const char *data, size_t size, uint64_t at);
        int (*flush)(void *device);
        void (*mark)(void *device, const char *text, size_t size);
} DeviceOps;

/* Serves until it is unmounted; exit status. `ops` and `device` are borrowed until then. */
int device_serve(const char *folder, uint64_t size, const DeviceOps *ops, void *device);
