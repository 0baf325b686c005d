/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source "path": a file or directory on this host.
 *
 *   path     absolute, outside the root
 *   sha256   of the file, or of the directory's manifest; must match when given
 *   max_size of the file
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "managers/format.h"
#include "managers/manifest.h"
#include "managers/sources.h"

typedef struct Resolved {
        char sha256[DIGEST_HEX_SIZE];
        const char *format;
        uint64_t size;
} Resolved;

static int resolve_file(const Host *host, int fd, const char *path, uint64_t max, Resolved *ret, Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        int r = format_of_fd(fd, path, &ret->format, err);
        if (r == 0)
                r = format_check_name(path, ret->format, err);
        if (r == 0)
                r = stream_begin(&s, -1, err);
        if (r == 0)
                r = stream_copy(host, fd, &s, max, path, err);
        if (r == 0)
                r = stream_finish(&s, ret->sha256, err);
        ret->size = s.size;
        return r;
}

static int resolve_directory(const Host *host, int fd, Resolved *ret, Error *err) {
        _cleanup_manifest_ Manifest m = {.out = STREAM_INIT};
        int r = manifest_begin(&m, -1, err);
        if (r == 0)
                r = manifest_add_tree(host, &m, fd, err);
        if (r == 0)
                r = manifest_finish(&m, ret->sha256, err);
        ret->format = "directory";
        ret->size = m.size;
        return r;
}

static int resolve_any(const Host *host, const char *path, uint64_t max, Resolved *ret, Error *err) {
        struct stat st;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return error_set(err, -ENOENT, ERR_NOT_FOUND, "A path in a spec is relative to the spec's directory.",
                                 "there is no file or directory \"%s\"", path);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not open \"%s\"", path);
        if (S_ISDIR(st.st_mode))
                return resolve_directory(host, fd, ret, err);
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "\"%s\" is neither a file nor a directory", path);
        return resolve_file(host, fd, path, max, ret, err);
}

static int resolve(const Host *host, const Value *spec, const Value *known, Value **ret_facts,
                   Prefetched *ret_prefetched, Error *err) {
        (void)known;
        Resolved found = {0};
        const char *path = value_get_text(spec, "path"), *sha256 = value_get_text(spec, "sha256");
        if (!path || path[0] != '/')
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "source.path \"%s\" is not an absolute path",
                                 path ? path : "");
        int64_t max = value_get_int(spec, "max_size", 0);
        int r = resolve_any(host, path, (uint64_t)MAX(max, 0), &found, err);
        if (r < 0)
                return error_context(err, r, "the source \"%s\"", path);
        if (sha256 && strcasecmp(sha256, found.sha256) != 0)
                return error_set(err, -EBADMSG, ERR_CHECKSUM,
                                 "Get the file again, or correct sha256 if this is the one that is meant.",
                                 "checksum of \"%s\" does not match: expected %s, got %s", path, sha256, found.sha256);
        r = source_facts_make(&(SourceFacts){found.sha256, found.format, path, NULL, NULL, (int64_t)found.size},
                              ret_facts, err);
        if (r == 0)
                *ret_prefetched = (Prefetched){.fd = -1};
        return r;
}

const Source source_path = {.type = "path", .resolve = resolve};
