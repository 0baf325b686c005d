/* SPDX-License-Identifier: Apache-2.0 */
/* See tree_build.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/archive.h"
#include "managers/archive_policy.h"
#include "managers/format.h"
#include "managers/manifest.h"
#include "managers/tree_build.h"

typedef struct Build {
        const Host *host;
        const Value *args;
        Staging *to;
        Manifest manifest;
        int input;      /* of the artifact */
        char *artifact; /* its name under the root when a release step fetched it, else NULL */
        const char *shown;
        const char *kind;
        uint64_t max_size;
        char sha256[DIGEST_HEX_SIZE]; /* of what came */
} Build;

static void build_done(Build *b) {
        fd_close(&b->input);
        free(b->artifact);
        manifest_done(&b->manifest);
}

static int input_open(Build *b, Error *err) {
        const char *from = value_get_text(b->args, "from");
        int64_t step = value_get_int(b->args, "artifact_step", -1);
        if (from) {
                b->shown = from;
                b->input = open(from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
                return b->input < 0 ? error_set_errno(err, -errno, NULL, "could not open \"%s\"", from) : 0;
        }
        if (step < 0)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "the step names nothing to make a release of");
        b->artifact = fs_staged_name(value_get_text(b->args, "path"), b->host->tx, (uint32_t)step, "artifact");
        if (!b->artifact)
                return error_no_memory(err);
        b->shown = path_base(b->artifact);
        b->input = fs_open(b->host->root, b->artifact, O_RDONLY | O_NOFOLLOW, err);
        return b->input < 0 ? b->input : 0;
}

/* What it is by its bytes; what was announced decides only where they do not tell. */
static int kind_find(Build *b, Error *err) {
        struct stat st;
        const char *told = value_get_text_or(b->args, "kind", "auto"), *found = NULL;
        if (fstat(b->input, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at \"%s\"", b->shown);
        if (S_ISDIR(st.st_mode)) {
                b->kind = "directory";
                return 0;
        }
        if (!S_ISREG(st.st_mode) || strcmp(told, "directory") == 0)
                return error_set(err, -EINVAL, ERR_ARTIFACT, NULL, "\"%s\" is not %s", b->shown,
                                 S_ISREG(st.st_mode) ? "a directory" : "a file or directory");
        int r = format_of_fd(b->input, b->shown, &found, err);
        if (r < 0)
                return r;
        bool is_told = strcmp(found, "program") == 0 && strcmp(told, "auto") != 0;
        b->kind = is_told ? told : found;
        return 0;
}

/* ---- One program ------------------------------------------------------------------------------------------------- */

/* The fetched file itself gets a second name in the release: nothing is copied. 1: it cannot. */
static int program_link(const Build *b, const char *name, Error *err) {
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        Error ignored = ERROR_INIT;
        int r = fs_place_open(b->host->root, b->artifact, &p, err);
        if (r < 0)
                return r;
        if (fs_link_at(p.dir_fd, p.name, b->to->fd, name, &ignored) < 0)
                return 1;
        return fs_set_mode(b->input, 0755, FS_OWNER_KEEP, err);
}

static int program_copy(Build *b, const char *name, Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        _cleanup_close_ int fd = staging_file(b->to, name, err);
        if (fd < 0)
                return fd;
        int r = stream_begin(&s, fd, err);
        if (r == 0)
                r = stream_copy(b->host, b->input, &s, b->max_size, b->shown, err);
        if (r == 0)
                r = stream_finish(&s, b->sha256, err);
        return r < 0 ? r : fs_set_mode(fd, 0755, FS_OWNER_KEEP, err);
}

static int build_program(Build *b, Error *err) {
        const char *name = value_get_text_or(b->args, "name", "program");
        if (strchr(name, '/') || !path_is_safe(name) || manifest_skips(name))
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "\"%s\" cannot be the name of a program", name);
        struct stat st;
        int r = b->artifact ? program_link(b, name, err) : 1;
        if (r == 0)
                r = stream_digest(b->host, b->input, b->shown, b->sha256, err);
        else if (r == 1)
                r = program_copy(b, name, err);
        if (r == 0 && fstatat(b->to->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                r = error_set_errno(err, -errno, NULL, "could not look at \"%s\"", name);
        if (r != 0)
                return r;
        b->manifest.files = 1;
        b->manifest.size = (uint64_t)st.st_size;
        return manifest_add(&b->manifest, 'x', b->sha256, name, err);
}

/* ---- A directory ------------------------------------------------------------------------------------------------- */

static int copy_file(Build *b, const WalkEntry *e, char ret_hex[static DIGEST_HEX_SIZE], Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        _cleanup_close_ int from =
                openat(e->dir_fd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (from < 0)
                return error_set_errno(err, -errno, NULL, "could not open \"%s\"", e->path);
        _cleanup_close_ int fd = staging_file(b->to, e->path, err);
        if (fd < 0)
                return fd;
        uint64_t left = b->max_size > b->manifest.size ? b->max_size - b->manifest.size : 1;
        int r = stream_begin(&s, fd, err);
        if (r == 0)
                r = stream_copy(b->host, from, &s, b->max_size ? left : 0, e->path, err);
        if (r == 0)
                r = stream_finish(&s, ret_hex, err);
        b->manifest.files++;
        b->manifest.size += s.size;
        return r < 0 ? r : fs_set_mode(fd, e->st->st_mode & 0111 ? 0755 : 0644, FS_OWNER_KEEP, err);
}

static int copy_link(Build *b, const WalkEntry *e, Error *err) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(e->dir_fd, e->name, target, sizeof(target) - 1);
        if (n < 0)
                return error_set_errno(err, -errno, NULL, "could not read the link \"%s\"", e->path);
        target[n] = '\0';
        int r = archive_policy_check_link(e->path, target, err);
        return r < 0 ? r : staging_link(b->to, e->path, target, err);
}

static int copy_visit(void *userdata, const WalkEntry *e, Error *err) {
        Build *b = userdata;
        char type = 'd', hex[DIGEST_HEX_SIZE];
        int r;
        if (manifest_skips(e->path))
                return 0;
        if (S_ISREG(e->st->st_mode)) {
                type = e->st->st_mode & 0111 ? 'x' : 'f';
                r = copy_file(b, e, hex, err);
        } else if (S_ISDIR(e->st->st_mode)) {
                r = staging_directory(b->to, e->path, err);
        } else {
                r = manifest_entry(b->host, e, &type, hex, err);
                if (r == 0)
                        r = copy_link(b, e, err);
        }
        return r < 0 ? r : manifest_add(&b->manifest, type, type == 'd' ? NULL : hex, e->path, err);
}

/* ---- An archive -------------------------------------------------------------------------------------------------- */

/* zip is read out of order, so it is hashed first. A file of ours stays as it was hashed; a local one need not, so
 * it is copied. */
static int zip_hash(Build *b, Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        _cleanup_free_ char *dir = path_parent(value_get_text(b->args, "path"));
        if (b->artifact)
                return stream_digest(b->host, b->input, b->shown, b->sha256, err);
        if (!dir)
                return error_no_memory(err);
        int fd = fs_create_unnamed(b->host->root, dir, 0600, err);
        if (fd < 0)
                return fd;
        int r = stream_begin(&s, fd, err);
        if (r == 0)
                r = stream_copy(b->host, b->input, &s, b->max_size, b->shown, err);
        if (r == 0)
                r = stream_finish(&s, b->sha256, err);
        fd_close(&b->input);
        b->input = fd;
        return r;
}

static int build_archive(Build *b, bool is_zip, Error *err) {
        _cleanup_stream_ Stream hash = STREAM_INIT;
        int r = is_zip ? zip_hash(b, err) : stream_begin(&hash, -1, err);
        if (r < 0)
                return r;
        if (lseek(b->input, 0, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", b->shown);
        /* A zip whose digest is wrong is not even opened. */
        if (is_zip && strcasecmp(b->sha256, value_get_text(b->args, "sha256")) != 0)
                return 0;
        Unpack u = {b->host, b->input, b->shown, is_zip, b->max_size, is_zip ? NULL : &hash};
        r = archive_unpack(&u, b->to, err);
        if (!is_zip && (r == 0 || r == -EBADMSG)) {
                int h = stream_finish(&hash, b->sha256, r == 0 ? err : NULL);
                r = r == 0 ? h : r;
        }
        return r < 0 ? r : manifest_add_tree(b->host, &b->manifest, b->to->fd, err);
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

static int build_content(Build *b, Error *err) {
        if (strcmp(b->kind, "program") == 0)
                return build_program(b, err);
        if (strcmp(b->kind, "directory") == 0)
                return walk_tree(b->input, copy_visit, b, err);
        return build_archive(b, strcmp(b->kind, "zip") == 0, err);
}

static int mark_fill(const Build *b, const char *manifest, TreeMark *mark, Error *err) {
        mark->manifest = strdup(manifest);
        mark->sha256 = strdup(value_get_text(b->args, "sha256"));
        mark->kind = strdup(b->kind);
        mark->files = (int64_t)b->manifest.files;
        mark->size = (int64_t)b->manifest.size;
        return mark->manifest && mark->sha256 && mark->kind ? 0 : error_no_memory(err);
}

static int checksum_error(const Build *b, const char *got, Error *err) {
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "It is not what was announced, or it changed since.",
                         "checksum of \"%s\" does not match: expected %s, got %s", b->shown,
                         value_get_text(b->args, "sha256"), got);
}

static int build_all(Build *b, TreeMark *mark, Error *err) {
        char manifest[DIGEST_HEX_SIZE];
        _cleanup_close_ int listing = fs_create_at(b->to->fd, TREE_LISTING_NAME, 0644, err);
        if (listing < 0)
                return listing;
        int r = manifest_begin(&b->manifest, listing, err);
        if (r == 0)
                r = build_content(b, err);
        if (r == -EBADMSG && b->sha256[0] && strcasecmp(b->sha256, value_get_text(b->args, "sha256")) != 0)
                return checksum_error(b, b->sha256, err);
        if (r == 0)
                r = manifest_finish(&b->manifest, manifest, err);
        if (r < 0)
                return r;
        const char *got = b->sha256[0] ? b->sha256 : manifest;
        if (strcasecmp(got, value_get_text(b->args, "sha256")) != 0 && !mutant_is("digest-unchecked"))
                return checksum_error(b, got, err);
        r = fs_set_mode(listing, 0644, FS_OWNER_KEEP, err);
        if (r == 0)
                r = mark_fill(b, manifest, mark, err);
        return r < 0 ? r : tree_mark_write(b->to->fd, mark, err);
}

int tree_build(const Host *host, const Value *args, Staging *to, TreeMark *mark, Error *err) {
        int64_t max = value_get_int(args, "max_size", 0);
        _cleanup_(build_done) Build b = {.host = host,
                                         .args = args,
                                         .to = to,
                                         .input = -1,
                                         .max_size = (uint64_t)MAX(max, 0),
                                         .manifest = {.out = STREAM_INIT}};
        int r = input_open(&b, err);
        if (r == 0)
                r = kind_find(&b, err);
        return r < 0 ? r : build_all(&b, mark, err);
}
