/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "directory": a directory that is there. One that existed is used as it is and never changed; one that was
 * made is removed again only while it is empty, so nothing a service or a person put there can be lost with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/manager.h"

/* clang-format off */
static const Field directory_args[] = {
        {1, "path",    FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {2, "mode",    FIELD_INT,  FIELD_REQUIRED,              1, NULL},
        {3, "uid",     FIELD_INT,  0,                           1, NULL}, /* absent: whoever pawl runs as */
        {4, "gid",     FIELD_INT,  0,                           1, NULL},
        {5, "is_data", FIELD_BOOL, 0,                           1, NULL}, /* kept when it holds something */
        FIELD_END,
};
static const Field directory_before[] = {
        {1, "existed", FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {2, "mode",    FIELD_INT,  0,              1, NULL},
        {3, "uid",     FIELD_INT,  0,              1, NULL},
        {4, "gid",     FIELD_INT,  0,              1, NULL},
        FIELD_END,
};
/* clang-format on */

typedef enum Found { FOUND_NOTHING, FOUND_DIRECTORY, FOUND_OTHER } Found;

static const char *path_of(const Value *args) {
        return value_get_text(args, "path");
}

static FsAttrs attrs_of(const Value *args) {
        return (FsAttrs){.mode = (mode_t)value_get_int(args, "mode", 0755) & 07777,
                         .owner = {(uid_t)value_get_int(args, "uid", -1), (gid_t)value_get_int(args, "gid", -1)}};
}

/* A link to a directory is one: people move data to larger disks. `st` is filled for FOUND_DIRECTORY. */
static int look(const Host *host, const char *path, Found *ret, struct stat *st, Error *err) {
        int r = fs_stat(host->root, path, st, err);
        *ret = FOUND_NOTHING;
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        *ret = S_ISDIR(st->st_mode) ? FOUND_DIRECTORY : FOUND_OTHER;
        if (!S_ISLNK(st->st_mode))
                return 0;
        _cleanup_close_ int fd = fs_open_dir(host->root, path, NULL);
        if (fd >= 0 && fstat(fd, st) == 0)
                *ret = FOUND_DIRECTORY;
        return 0;
}

static bool has_attrs(const struct stat *st, FsAttrs want) {
        return (st->st_mode & 07777) == want.mode && (want.owner.uid == (uid_t)-1 || st->st_uid == want.owner.uid) &&
               (want.owner.gid == (gid_t)-1 || st->st_gid == want.owner.gid);
}

static void dir_close(DIR **d) {
        if (*d)
                closedir(*d);
        *d = NULL;
}

/* 1: empty, 0: it holds something. */
static int is_empty(const Host *host, const char *path, Error *err) {
        _cleanup_close_ int fd = fs_open_dir(host->root, path, err);
        if (fd < 0)
                return fd;
        _cleanup_(dir_close) DIR *d = fdopendir(fd);
        if (!d)
                return error_set_errno(err, -errno, NULL, "could not read the directory \"%s\"", path);
        (void)TAKE_FD(fd);
        for (;;) {
                errno = 0;
                const struct dirent *e = readdir(d);
                if (!e && errno != 0)
                        return error_set_errno(err, -errno, NULL, "could not read the directory \"%s\"", path);
                if (!e)
                        return 1;
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        return 0;
        }
}

static int foreign(const char *path, Error *err) {
        return error_set(err, -ESTALE, ERR_FOREIGN, "Look at it; then keep it, or remove it.",
                         "\"/%s\" was made by someone else meanwhile; it is left as it is", path);
}

static int refuse(const char *path, Error *err) {
        return error_set(err, -EEXIST, ERR_EXISTS, "Move it away first.",
                         "cannot make the directory \"/%s\": what is there is not a directory", path);
}

static int check(const Host *host, const Value *args, Error *err) {
        struct stat st;
        Found found;
        if (!args)
                return 0;
        int r = look(host, path_of(args), &found, &st, err);
        return r < 0 || found != FOUND_OTHER ? r : refuse(path_of(args), err);
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        struct stat st;
        Found found;
        int r = look(host, path_of(args), &found, &st, err);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *before = value_new_map();
        r = before ? value_set_bool(before, "existed", found != FOUND_NOTHING, err) : error_no_memory(err);
        if (r == 0 && found != FOUND_NOTHING)
                r = value_set_int(before, "mode", st.st_mode & 07777, err);
        if (r == 0 && found != FOUND_NOTHING)
                r = value_set_int(before, "uid", st.st_uid, err);
        if (r == 0 && found != FOUND_NOTHING)
                r = value_set_int(before, "gid", st.st_gid, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

/* Made by a try that died before it was done. */
static int complete(const Host *host, const Value *args, const struct stat *st, Error *err) {
        const char *path = path_of(args);
        if (!has_attrs(st, attrs_of(args))) {
                int r = is_empty(host, path, err);
                if (r <= 0)
                        return r < 0 ? r : foreign(path, err);
                _cleanup_close_ int fd = fs_open(host->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, err);
                r = fd < 0 ? fd : fs_set_mode(fd, attrs_of(args).mode, attrs_of(args).owner, err);
                if (r == 0)
                        r = fs_sync_dir_fd(fd, err);
                if (r < 0)
                        return r;
        }
        return fs_sync_parent(host->root, path, err);
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        struct stat st;
        Found found;
        const char *path = path_of(args);
        bool existed = value_get_bool(before, "existed", false);
        int r = look(host, path, &found, &st, err);
        if (r < 0)
                return r;
        if (found == FOUND_OTHER)
                return existed ? refuse(path, err) : foreign(path, err);
        if (existed && found == FOUND_NOTHING)
                return error_set(err, -ESTALE, ERR_FOREIGN, NULL, "\"/%s\" was removed by someone else meanwhile",
                                 path);
        FsAttrs attrs = attrs_of(args);
        if (found == FOUND_NOTHING)
                r = fs_mkdir_durably(host->root, path, attrs.mode, attrs.owner, NULL, err);
        else if (!existed)
                r = complete(host, args, &st, err);
        if (r == 0)
                *ret = (StepResult){existed ? CHANGE_UNCHANGED : CHANGE_CREATED, NULL};
        return r;
}

static int not_empty(const Host *host, const Value *args, Error *err) {
        const char *path = path_of(args);
        if (value_get_bool(args, "is_data", false)) {
                host_log(host, LOG_WARNING, "\"/%s\" holds data the service wrote and is kept", path);
                return fs_sync_parent(host->root, path, err);
        }
        if (host->is_forced) {
                host_log(host, LOG_WARNING, "\"/%s\" holds something pawl did not make and is kept", path);
                return fs_sync_parent(host->root, path, err);
        }
        return error_set(err, -ENOTEMPTY, ERR_FOREIGN, "Look at what it holds; then move that away, or keep it.",
                         "could not remove the directory \"/%s\" again: the directory is not empty", path);
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        struct stat st;
        if (value_get_bool(before, "existed", false))
                return 0;
        int r = fs_stat(host->root, path_of(args), &st, err);
        if (r == -ENOENT)
                return fs_sync_parent(host->root, path_of(args), err);
        if (r < 0)
                return r;
        if (!S_ISDIR(st.st_mode))
                return host->is_forced ? 0 : foreign(path_of(args), err);
        r = fs_rmdir_durably(host->root, path_of(args), err);
        return r == -ENOTEMPTY ? not_empty(host, args, err) : r;
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        struct stat st;
        Found found;
        int r = look(host, path_of(args), &found, &st, err);
        if (r < 0)
                return r;
        if (value_get_bool(before, "existed", false))
                *ret = found == FOUND_NOTHING ? PROBE_FOREIGN : PROBE_BEFORE;
        else if (found == FOUND_NOTHING)
                *ret = PROBE_BEFORE;
        else if (found == FOUND_OTHER)
                *ret = PROBE_FOREIGN;
        else
                *ret = has_attrs(&st, attrs_of(args)) ? PROBE_AFTER : PROBE_PARTIAL;
        return 0;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        struct stat st;
        Found found;
        int r = look(host, path_of(args), &found, &st, err);
        if (r < 0 || found == FOUND_DIRECTORY)
                return r;
        return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the directory \"/%s\" is %s", path_of(args),
                         found == FOUND_NOTHING ? "missing" : "not a directory");
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("make the directory %s (%04o)", value_get_text_or(args, "path", "?"),
                                 (unsigned)value_get_int(args, "mode", 0));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_directory;
const Manager manager_directory = {
        .id = 5,
        .name = "directory",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = directory_args,
        .before = directory_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
