/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "tree": a release directory.
 *
 * It is made whole under a staged name, mark last, and gets its name by one rename. So a directory at the path either
 * carries our mark and is complete, or is not ours. A release that was there before with the same artifact is used as
 * it is, and left as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/manifest.h"
#include "managers/tree_build.h"

/* clang-format off */
static const Field tree_args[] = {
        {1, "path",          FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {2, "name",          FIELD_TEXT, 0,                           1, NULL}, /* of a plain program's file */
        {3, "sha256",        FIELD_TEXT, FIELD_REQUIRED,              1, NULL}, /* of the artifact; of a directory: of its manifest */
        {4, "kind",          FIELD_TEXT, 0,                           1, NULL}, /* program | directory | tar | zip | auto */
        {5, "from",          FIELD_TEXT, 0,                           1, NULL}, /* absolute path outside the root */
        {6, "artifact_step", FIELD_INT,  0,                           1, NULL}, /* the release step that fetched it */
        {7, "max_size",      FIELD_INT,  0,                           1, NULL},
        {8, "entry",         FIELD_TEXT, 0,                           1, NULL}, /* must be in it, and executable */
        FIELD_END,
};
static const Field tree_before[] = {
        {1, "existed",  FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {2, "sha256",   FIELD_TEXT, 0,              1, NULL}, /* of the mark that was there */
        {3, "mark",     FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};
/* clang-format on */

/* What stands at the path. */
typedef struct Found {
        bool exists, has_mark, is_ours; /* ours: made by this transaction */
        TreeMark mark;
} Found;

static void found_done(Found *f) {
        tree_mark_done(&f->mark);
}

static const char *path_of(const Value *args) {
        return value_get_text(args, "path");
}

static char *staged_of(const Host *host, const Value *args) {
        return fs_staged_name(path_of(args), host->tx, host->step, NULL);
}

static int look(const Host *host, const Value *args, Found *ret, Error *err) {
        struct stat st;
        _cleanup_free_ char *own = tree_mark_own(host);
        *ret = (Found){0};
        if (!own)
                return error_no_memory(err);
        int r = fs_stat(host->root, path_of(args), &st, err);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        ret->exists = true;
        r = S_ISDIR(st.st_mode) ? tree_mark_read(host, path_of(args), &ret->mark, err) : 0;
        if (r < 0)
                return r;
        ret->has_mark = r == 1;
        ret->is_ours = ret->has_mark && (mutant_is("mark-unread") || strcmp(ret->mark.by, own) == 0);
        return 0;
}

static int check(const Host *host, const Value *args, Error *err) {
        (void)host;
        uint8_t digest[DIGEST_SIZE];
        const char *sha256 = value_get_text_or(args, "sha256", "");
        if (args && !hex_decode(sha256, digest, sizeof(digest)))
                return error_set(err, -EINVAL, ERR_SPEC, "A SHA-256 digest is 64 hexadecimal digits.",
                                 "\"%s\" is not a SHA-256 digest", sha256);
        return 0;
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        _cleanup_(found_done) Found f;
        int r = look(host, args, &f, err);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *before = value_new_map();
        r = before ? value_set_bool(before, "existed", f.exists, err) : error_no_memory(err);
        if (r == 0 && f.has_mark)
                r = value_set_text(before, "sha256", f.mark.sha256, err);
        if (r == 0 && f.has_mark)
                r = value_set_text(before, "mark", f.mark.by, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

static bool is_wanted(const Value *args, const Found *f) {
        return f->has_mark && strcasecmp(f->mark.sha256, value_get_text(args, "sha256")) == 0;
}

static int foreign(const Value *args, int r, ErrorCode code, Error *err) {
        return error_set(err, r, code, "Move it away, or deploy under another version.",
                         "\"%s\" is there already and is not the release that was to be made", path_of(args));
}

static int finish(const Found *f, Change change, StepResult *ret, Error *err) {
        Value *facts = NULL;
        int r = tree_mark_facts(&f->mark, &facts, err);
        if (r == 0)
                *ret = (StepResult){change, facts};
        return r;
}

/* What cannot be started is found before anything that runs is stopped for it. */
static int check_entry(const Host *host, const Value *args, const char *staged, Error *err) {
        const char *entry = value_get_text(args, "entry");
        while (entry && strncmp(entry, "./", 2) == 0) /* as a person writes it; paths below a root have no "." */
                entry += 2;
        _cleanup_free_ char *path = entry ? path_join(staged, entry) : NULL;
        struct stat st = {0};
        if (!entry)
                return 0;
        if (!path)
                return error_no_memory(err);
        _cleanup_close_ int fd = path_is_safe(path) ? fs_open(host->root, path, O_RDONLY | O_NONBLOCK, err) : -ENOENT;
        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
                return error_set(err, -ENOENT, ERR_ARTIFACT,
                                 "Say what to start, relative to the release: runtime.exec, or the words after --.",
                                 "the release has no program \"%s\"", entry);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at \"%s\" in the release", entry);
        if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
                return error_set(err, -EACCES, ERR_ARTIFACT, "Make it executable (chmod +x) before it is packed.",
                                 "\"%s\" in the release is not an executable file", entry);
        return 0;
}

static int make(const Host *host, const Value *args, const char *staged, Found *ret, Error *err) {
        _cleanup_staging_ Staging to = STAGING_INIT;
        int r = staging_begin(&to, host->root, staged, err);
        if (r < 0)
                return r;
        ret->mark.by = tree_mark_own(host);
        r = ret->mark.by ? tree_build(host, args, &to, &ret->mark, err) : error_no_memory(err);
        if (r == 0)
                r = check_entry(host, args, staged, err);
        if (r == 0 && !mutant_is("release-before-content"))
                r = fs_sync_tree(host->root, staged, err);
        if (r == 0) {
                r = fs_publish_new(host->root, staged, path_of(args), err);
                if (r == -EEXIST)
                        r = foreign(args, -ESTALE, ERR_FOREIGN, err);
        }
        if (r == 0 && mutant_is("release-before-content"))
                r = fs_sync_tree(host->root, path_of(args), err);
        if (r < 0)
                (void)fs_remove_tree(host->root, staged, NULL);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        _cleanup_(found_done) Found f = {0}, made = {0};
        _cleanup_free_ char *staged = staged_of(host, args);
        int r = staged ? look(host, args, &f, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if (value_get_bool(before, "existed", false)) {
                if (f.exists && is_wanted(args, &f))
                        return finish(&f, CHANGE_UNCHANGED, ret, err);
                return f.exists ? foreign(args, -EEXIST, ERR_EXISTS, err) : foreign(args, -ESTALE, ERR_FOREIGN, err);
        }
        if (f.exists && !f.is_ours)
                return foreign(args, -ESTALE, ERR_FOREIGN, err);
        if (f.is_ours) {
                /* An earlier try died behind its rename; whether that one is durable is not known. */
                r = fs_sync_parent(host->root, path_of(args), err);
                return r < 0 ? r : finish(&f, CHANGE_CREATED, ret, err);
        }
        r = make(host, args, staged, &made, err);
        return r < 0 ? r : finish(&made, CHANGE_CREATED, ret, err);
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_(found_done) Found f = {0};
        _cleanup_free_ char *staged = staged_of(host, args);
        if (!staged)
                return error_no_memory(err);
        int r = fs_remove_tree(host->root, staged, err);
        if (r < 0 || value_get_bool(before, "existed", false))
                return r;
        r = look(host, args, &f, err);
        if (r < 0)
                return r;
        if (!f.exists)
                return fs_sync_parent(host->root, path_of(args), err);
        if (!f.is_ours)
                return foreign(args, -ESTALE, ERR_FOREIGN, err);
        /* Out of sight by one rename first: half a release must not be found under its name. */
        r = fs_rename_durably(host->root, path_of(args), staged, err);
        if (r == -EEXIST)
                return error_set(err, r, ERR_EXISTS, NULL, "could not move \"%s\" away: \"%s\" is in the way",
                                 path_of(args), staged);
        return r < 0 && r != -ENOENT ? r : fs_remove_tree(host->root, staged, err);
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        _cleanup_(found_done) Found f = {0};
        _cleanup_free_ char *staged = staged_of(host, args);
        int r = staged ? look(host, args, &f, err) : error_no_memory(err);
        if (r < 0)
                return r;
        bool is_staged = false, existed = value_get_bool(before, "existed", false);
        r = fs_has(host->root, staged, &is_staged, err);
        if (r < 0)
                return r;
        if (existed) {
                const char *by = value_get_text_or(before, "mark", "");
                bool same = f.exists && strcmp(f.has_mark ? f.mark.by : "", by) == 0;
                *ret = !same ? PROBE_FOREIGN : is_staged ? PROBE_PARTIAL : PROBE_BEFORE;
        } else if (f.exists && !f.is_ours) {
                *ret = PROBE_FOREIGN;
        } else {
                *ret = is_staged ? PROBE_PARTIAL : f.exists ? PROBE_AFTER : PROBE_BEFORE;
        }
        return 0;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        _cleanup_(found_done) Found f = {0};
        const char *path = path_of(args), *manifest = value_get_text(facts, "manifest");
        int r = look(host, args, &f, err);
        if (r < 0)
                return r;
        if (!f.exists || !f.has_mark)
                return error_set(err, -ESTALE, ERR_DRIFT, "Deploy the version again to have it whole.",
                                 "the release \"%s\" %s", path, f.exists ? "has no mark of pawl" : "is missing");
        if (!is_wanted(args, &f) || (manifest && strcasecmp(manifest, f.mark.manifest) != 0))
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the release \"%s\" is not the one that was committed",
                                 path);
        _cleanup_free_ char *listing = path_join(path, TREE_LISTING_NAME);
        if (!listing)
                return error_no_memory(err);
        char hex[DIGEST_HEX_SIZE];
        _cleanup_close_ int fd = fs_open(host->root, listing, O_RDONLY | O_NOFOLLOW, err);
        if (fd == -ENOENT || fd == -ELOOP)
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the release \"%s\" has lost its listing", path);
        if (fd < 0)
                return fd;
        r = stream_digest(host, fd, listing, hex, err);
        if (r < 0)
                return r;
        if (strcmp(hex, f.mark.manifest) != 0)
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the listing of the release \"%s\" was changed", path);
        _cleanup_close_ int dir = fs_open_dir(host->root, path, err);
        r = dir < 0 ? dir : manifest_compare(host, dir, fd, err);
        return r < 0 ? error_context(err, r, "the release \"%s\"", path) : 0;
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)before;
        _cleanup_free_ char *staged = staged_of(host, args);
        if (!staged)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(host->root, staged, &is_there, err);
        return is_there || (r == 0 && host->is_recovery) ? fs_remove_tree(host->root, staged, err) : r;
}

static int describe(const Value *args, char **ret, Error *err) {
        const char *from = value_get_text(args, "from"), *path = value_get_text_or(args, "path", "?");
        const char *kind = value_get_text_or(args, "kind", "auto");
        char *line = from ? text_format("make %s from %s", path, from)
                          : text_format("make %s from what was fetched%s%s", path,
                                        strcmp(kind, "auto") == 0 ? "" : ": ", strcmp(kind, "auto") == 0 ? "" : kind);
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_tree;
const Manager manager_tree = {
        .id = 2,
        .name = "tree",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = tree_args,
        .before = tree_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = tidy,
        .describe = describe,
};
