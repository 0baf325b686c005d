/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "prune": deletes old releases. A finish step. Only what carries the mark of a release is deleted, and
 * never the one that `current` points to, whatever the list says.
 */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/trash.h"
#include "managers/tree_mark.h"

/* clang-format off */
static const Field prune_args[] = {
        {1, "path",     FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL}, /* the directory of the releases */
        {2, "versions", FIELD_LIST, FIELD_REQUIRED,              1, NULL},
        FIELD_END,
};
static const Field prune_before[] = {
        FIELD_END,
};
/* clang-format on */

/* What `current` beside the releases leads to, however it is written; st_ino 0: nothing. */
static int current_of(const Host *host, const char *releases, struct stat *ret, Error *err) {
        _cleanup_free_ char *service = path_parent(releases);
        _cleanup_free_ char *current = service ? path_join(service, "current") : NULL;
        if (!current)
                return error_no_memory(err);
        _cleanup_close_ int fd = fs_open_dir(host->root, current, NULL);
        *ret = (struct stat){0};
        if (fd == -ENOENT || fd == -ENOTDIR)
                return 0;
        int r = fd < 0 ? fd : fstat(fd, ret) < 0 ? -errno : 0;
        return r < 0 ? error_set_errno(err, r, NULL, "could not look at \"%s\"", current) : 0;
}

static bool is_version(const char *version) {
        return version && path_is_safe(version) && !strchr(version, '/') && version[0] != '.';
}

typedef struct Releases {
        const char *path;
        struct stat current;
} Releases;

/* 1: deleted, 0: left. */
static int prune_one(const Host *host, const Releases *releases, const char *version, size_t n, Error *err) {
        struct stat st = {0};
        _cleanup_free_ char *release = path_join(releases->path, version);
        _cleanup_free_ char *mark = release ? path_join(release, TREE_MARK_NAME) : NULL;
        _cleanup_free_ char *trash = release ? trash_name(host, release, n) : NULL;
        if (!mark || !trash)
                return error_no_memory(err);
        bool is_left_over = false;
        int r = fs_has(host->root, trash, &is_left_over, err);
        if (is_left_over)
                r = fs_remove_tree(host->root, trash, err);
        if (r == 0)
                r = fs_stat(host->root, release, &st, err);
        if (r == -ENOENT) {
                /* Who deleted it may have died before that was durable. */
                r = fs_sync_parent(host->root, release, err);
                return r < 0 ? r : is_left_over;
        }
        if (r < 0)
                return r;
        if (st.st_ino == releases->current.st_ino && st.st_dev == releases->current.st_dev) {
                host_log(host, LOG_NOTE, "the release \"%s\" is in use and is kept", version);
                return 0;
        }
        r = S_ISDIR(st.st_mode) ? fs_stat(host->root, mark, &st, err) : -ENOENT;
        if (r == -ENOENT || (r == 0 && !S_ISREG(st.st_mode))) {
                host_log(host, LOG_NOTE, "\"/%s\" has no mark of pawl and is kept", release);
                return 0;
        }
        if (r == 0)
                r = trash_delete(host, release, trash, err);
        return r < 0 ? r : 1;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        Releases releases = {.path = value_get_text(args, "path")};
        const Value *versions = value_get(args, "versions");
        Change change = CHANGE_UNCHANGED;
        int r = current_of(host, releases.path, &releases.current, err);
        for (size_t i = 0; r >= 0 && i < value_count(versions); i++) {
                const char *version = value_text(value_at(versions, i));
                if (!is_version(version))
                        return error_set(err, -EINVAL, ERR_FAILED, NULL, "\"%s\" cannot be the version of a release",
                                         version ? version : "");
                r = prune_one(host, &releases, version, i + 1, err);
                if (r > 0)
                        change = CHANGE_CHANGED;
        }
        if (r < 0)
                return r;
        *ret = (StepResult){change, NULL};
        return 0;
}

static int describe(const Value *args, char **ret, Error *err) {
        _cleanup_text_ Text line = {0};
        const Value *versions = value_get(args, "versions");
        text_addf(&line, "delete old releases of %s:", value_get_text_or(args, "path", "?"));
        for (size_t i = 0; i < value_count(versions); i++) {
                const char *version = value_text(value_at(versions, i));
                text_addf(&line, " %s", version ? version : "?");
        }
        char *text = text_take(&line);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}

extern const Manager manager_prune;
const Manager manager_prune = {
        .id = 10,
        .name = "prune",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = prune_args,
        .before = prune_before,
        .check = manager_check_nothing,
        .capture = manager_capture_nothing,
        .apply = apply,
        .revert = manager_revert_nothing,
        .probe = manager_probe_before,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
