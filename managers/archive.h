/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking: tar (plain, gzip, xz, zstd) and zip, held to archive_policy.h, into a staging directory and nowhere else.
 *
 * Memory: one buffer, plus the decoder's window: 32 KiB for gzip, at most 128 MiB for zstd (libarchive's limit); xz may
 * announce up to 4 GiB. While it reads, the process may therefore have ARCHIVE_MEMORY_MAX more data than before (soft
 * RLIMIT_DATA, put back at the end); an archive that needs more is refused. Not under AddressSanitizer, whose own
 * memory would count, and not without /proc.
 */
#pragma once

#include "managers/archive_policy.h"
#include "managers/staging.h"
#include "managers/stream.h"

#define ARCHIVE_MAX_SIZE ((uint64_t)2 << 30) /* unpacked, where nothing else is said */

#define ARCHIVE_MEMORY_MAX ((uint64_t)160 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define ARCHIVE_IS_MEMORY_LIMITED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARCHIVE_IS_MEMORY_LIMITED false
#endif
#endif
#ifndef ARCHIVE_IS_MEMORY_LIMITED
#define ARCHIVE_IS_MEMORY_LIMITED true
#endif

typedef struct Unpack {
        const Host *host;
        int fd;           /* of the archive, at its beginning; borrowed */
        const char *name; /* for messages */
        bool is_zip;
        uint64_t max_size; /* 0: ARCHIVE_MAX_SIZE */
        Stream *hash; /* tar: gets every byte of the archive, also behind its end and after a failure. zip is read out of order: NULL */
} Unpack;

/* Files 0644, or 0755 when the archive lets anyone execute them; directories 0755. */
int archive_unpack(const Unpack *u, Staging *to, Error *err);
