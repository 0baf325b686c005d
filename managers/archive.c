/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See archive.h. libarchive only decodes here: names, modes and links are judged and made by us, never by its own
 * writer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "managers/archive.h"

#define BLOCK_SIZE ((size_t)64 << 10)

typedef struct Reading {
        const Unpack *u;
        Staging *to;
        struct archive *a;
        Policy policy;
        char *input, *output;
        int r; /* why our own read callback failed */
        Error failure;
} Reading;

static void reading_done(Reading *x) {
        if (x->a)
                archive_read_free(x->a);
        free(x->input);
        free(x->output);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* libarchive has no limit for what a decoder allocates, so the process gets one while it reads; `old` is what it had
 * before. */
typedef struct MemoryLimit {
        bool is_set;
        struct rlimit old;
} MemoryLimit;

/* Bytes of data this process has now (shared mappings of files do not count); 0: cannot be told. */
static uint64_t data_size(void) {
        char text[4096] = "";
        unsigned long long kib = 0;
        _cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
                return 0;
        const char *line = strstr(text, "\nVmData:");
        return line && sscanf(line, " VmData: %llu kB", &kib) == 1 ? kib << 10 : 0;
}

static void memory_limit_set(MemoryLimit *m) {
        uint64_t now = ARCHIVE_IS_MEMORY_LIMITED ? data_size() : 0;
        if (now == 0 || getrlimit(RLIMIT_DATA, &m->old) < 0)
                return;
        struct rlimit wanted = m->old;
        wanted.rlim_cur = MIN(m->old.rlim_cur, (rlim_t)(now + ARCHIVE_MEMORY_MAX));
        m->is_set = setrlimit(RLIMIT_DATA, &wanted) == 0;
}

static void memory_limit_done(MemoryLimit *m) {
        if (m->is_set)
                (void)setrlimit(RLIMIT_DATA, &m->old);
        m->is_set = false;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static la_ssize_t on_read(struct archive *a, void *userdata, const void **ret) {
        Reading *x = userdata;
        ssize_t n;
        do
                n = read(x->u->fd, x->input, BLOCK_SIZE);
        while (n < 0 && errno == EINTR);
        x->r = n < 0 ? error_set_errno(&x->failure, -errno, NULL, "could not read the archive") : 0;
        if (x->r == 0 && n > 0 && x->u->hash)
                x->r = stream_write(x->u->hash, x->input, (size_t)n, &x->failure);
        if (x->r < 0) {
                archive_set_error(a, EIO, "could not read the archive");
                return -1;
        }
        *ret = x->input;
        return n;
}

static int fail(Reading *x, Error *err) {
        if (x->r < 0) {
                if (err)
                        *err = x->failure;
                return x->r;
        }
        const char *why = archive_error_string(x->a);
        if (archive_errno(x->a) == ENOMEM)
                return error_set(err, -EBADMSG, ERR_ARTIFACT, "Pack it with a smaller dictionary, like that of xz -9.",
                                 "it needs too much memory");
        return error_set(err, -EBADMSG, ERR_ARTIFACT,
                         "The archive is damaged, or is not tar (plain, gzip, xz, zstd) or zip.", "%s",
                         why ? why : "the archive is damaged");
}

static int reading_open(Reading *x, Error *err) {
        x->a = archive_read_new();
        x->input = malloc(BLOCK_SIZE);
        x->output = malloc(BLOCK_SIZE);
        if (!x->a || !x->input || !x->output)
                return error_no_memory(err);
        int r;
        if (x->u->is_zip) {
                archive_read_support_format_zip_seekable(x->a);
                r = archive_read_open_fd(x->a, x->u->fd, BLOCK_SIZE);
        } else {
                archive_read_support_format_tar(x->a);
                archive_read_support_filter_gzip(x->a);
                archive_read_support_filter_xz(x->a);
                archive_read_support_filter_zstd(x->a);
                r = archive_read_open(x->a, x, NULL, on_read, NULL);
        }
        if (r != ARCHIVE_OK)
                return fail(x, err);
        /* The last one is the file itself. An archive packed in layers multiplies what a few bytes unfold to. */
        if (archive_filter_count(x->a) > 2)
                return error_set(err, -EBADMSG, ERR_ARTIFACT, NULL, "the archive is compressed more than once");
        return 0;
}

static EntryKind kind_of(struct archive_entry *e) {
        if (archive_entry_hardlink(e))
                return ENTRY_HARD_LINK;
        switch (archive_entry_filetype(e)) {
        case AE_IFREG:
                return ENTRY_FILE;
        case AE_IFDIR:
                return ENTRY_DIRECTORY;
        case AE_IFLNK:
                return ENTRY_LINK;
        default:
                return ENTRY_OTHER;
        }
}

/* libarchive gives no plain text where a name does not fit the locale's encoding; the raw UTF-8 does. */
static const char *path_of(struct archive_entry *e) {
        const char *path = archive_entry_pathname(e);
        return path ? path : archive_entry_pathname_utf8(e);
}

static const char *target_of(struct archive_entry *e, EntryKind kind) {
        if (kind == ENTRY_HARD_LINK)
                return archive_entry_hardlink(e);
        if (kind != ENTRY_LINK)
                return NULL;
        const char *target = archive_entry_symlink(e);
        return target ? target : archive_entry_symlink_utf8(e);
}

/* Holes of a sparse file arrive as zeros, and count. */
static int write_data(Reading *x, const PolicyEntry *entry, const char *path, int fd, Error *err) {
        uint64_t came = 0, announced = (uint64_t)entry->size;
        for (;;) {
                int r = host_check_cancel(x->u->host, err);
                if (r < 0)
                        return r;
                la_ssize_t n = archive_read_data(x->a, x->output, BLOCK_SIZE);
                if (n == 0)
                        break;
                if (n < 0)
                        return fail(x, err);
                came += (uint64_t)n;
                r = archive_policy_count(&x->policy, announced, came, path, err);
                if (r == 0)
                        r = fs_write_all(fd, x->output, (size_t)n, err);
                if (r < 0)
                        return r;
        }
        x->policy.size += came > announced ? came - announced : 0;
        return 0;
}

static int unpack_file(Reading *x, const PolicyEntry *entry, const char *path, Error *err) {
        _cleanup_close_ int fd = staging_file(x->to, path, err);
        if (fd < 0)
                return fd;
        int r = write_data(x, entry, path, fd, err);
        return r < 0 ? r : fs_set_mode(fd, entry->mode & 0111 ? 0755 : 0644, FS_OWNER_KEEP, err);
}

static int make_entry(Reading *x, const PolicyEntry *entry, const char *path, const char *target, Error *err) {
        switch (entry->kind) {
        case ENTRY_FILE:
                return unpack_file(x, entry, path, err);
        case ENTRY_DIRECTORY:
                return path[0] ? staging_directory(x->to, path, err) : 0;
        case ENTRY_LINK:
                return staging_link(x->to, path, entry->target, err);
        case ENTRY_HARD_LINK:
                return staging_hard_link(x->to, path, target, err);
        case ENTRY_OTHER:
                break;
        }
        return error_set(err, -EBADMSG, ERR_ARTIFACT, NULL, "the entry \"%s\" cannot be unpacked", path);
}

static int unpack_entry(Reading *x, struct archive_entry *e, Error *err) {
        EntryKind kind = kind_of(e);
        PolicyPath path, target;
        PolicyEntry entry = {
                .path = path_of(e),
                .kind = kind,
                .target = target_of(e, kind),
                .mode = archive_entry_perm(e),
                .size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0,
                .is_encrypted = archive_entry_is_encrypted(e) != 0,
        };
        if (!entry.path)
                return error_set(err, -EBADMSG, ERR_ARTIFACT, NULL, "an entry has a name that cannot be read");
        int r = archive_policy_check(&x->policy, &entry, &path, &target, err);
        if (r == 0)
                r = make_entry(x, &entry, path.text, target.text, err);
        /* Twice the same name, a way through a file, a link to nothing: the archive is at fault, not this host. */
        return r == -EEXIST || r == -ENOTDIR || r == -ENOENT ? -EBADMSG : r;
}

static int unpack_all(Reading *x, Error *err) {
        int r = reading_open(x, err);
        while (r == 0) {
                struct archive_entry *e;
                int la = archive_read_next_header(x->a, &e);
                if (la == ARCHIVE_EOF)
                        return 0;
                /* A warning is a name that does not fit the locale, or the like; path_of() sees to that. */
                if (la != ARCHIVE_OK && la != ARCHIVE_WARN)
                        return fail(x, err);
                r = host_check_cancel(x->u->host, err);
                if (r == 0)
                        r = unpack_entry(x, e, err);
        }
        return r;
}

static int unpack_limited(Reading *x, Error *err) {
        _cleanup_(memory_limit_done) MemoryLimit limit = {0};
        memory_limit_set(&limit);
        return unpack_all(x, err);
}

int archive_unpack(const Unpack *u, Staging *to, Error *err) {
        _cleanup_(reading_done)
                Reading x = {.u = u, .to = to, .policy = {.max_size = u->max_size ? u->max_size : ARCHIVE_MAX_SIZE}};
        int r = unpack_limited(&x, err);
        if (r < 0)
                r = error_context(err, r, "cannot unpack \"%s\"", u->name);
        /* The digest is of the whole file, and when it does not match, that is what was wrong with the archive. */
        if (u->hash && (r == 0 || r == -EBADMSG)) {
                int drained = stream_copy(u->host, u->fd, u->hash, 0, u->name, r == 0 ? err : NULL);
                r = r == 0 ? drained : r;
        }
        return r;
}
