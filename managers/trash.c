/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "trash": takes a file or a tree out of sight, and deletes it only when the transaction is over.
 */
#include <errno.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/displaced.h"
#include "managers/trash.h"

/* clang-format off */
static const Field trash_args[] = {
        {1, "path",    FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        FIELD_END,
};
static const Field trash_before[] = {
        {1, "existed", FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {2, "type",    FIELD_INT,  0,              1, NULL}, /* S_IFMT bits */
        {3, "inode",   FIELD_INT,  0,              1, NULL},
        FIELD_END,
};
/* clang-format on */

char *trash_name(const Host *host, const char *path, size_t n) {
        _cleanup_free_ char *parent = path_parent(path);
        _cleanup_free_ char *name = text_format(".pawl-trash-%llu-%u", (unsigned long long)host->tx, host->step);
        _cleanup_free_ char *numbered = name && n > 0 ? text_format("%s-%zu", name, n) : NULL;
        if (!parent || !name || (n > 0 && !numbered))
                return NULL;
        return path_join(parent, numbered ? numbered : name);
}

int trash_delete(const Host *host, const char *path, const char *trash, Error *err) {
        bool is_left_over = false;
        int r = fs_has(host->root, trash, &is_left_over, err);
        if (is_left_over)
                r = fs_remove_tree(host->root, trash, err);
        if (r == 0)
                r = fs_rename_durably(host->root, path, trash, err);
        if (r == -ENOENT)
                return fs_sync_parent(host->root, path, err);
        if (r == -EEXIST)
                return error_set(err, r, ERR_EXISTS, NULL, "could not move \"/%s\" away: \"/%s\" is in the way", path,
                                 trash);
        return r < 0 ? r : fs_remove_tree(host->root, trash, err);
}

/* Both names, as they are now. */
typedef struct View {
        char *trash;
        bool is_at_path, is_captured; /* captured: what is at path is the very thing */
        bool is_in_trash;
} View;

static void view_done(View *v) {
        free(v->trash);
}

static int view_look(const Host *host, const Value *args, const Value *before, View *v, Error *err) {
        struct stat st;
        const char *path = value_get_text(args, "path");
        v->trash = trash_name(host, path, 0);
        if (!v->trash)
                return error_no_memory(err);
        int r = fs_stat(host->root, path, &st, err);
        if (r < 0 && r != -ENOENT)
                return r;
        v->is_at_path = r == 0;
        v->is_captured = v->is_at_path && (int64_t)fault_inode(st.st_ino) == value_get_int(before, "inode", -1) &&
                         (int64_t)(st.st_mode & S_IFMT) == value_get_int(before, "type", -1);
        r = fs_stat(host->root, v->trash, &st, err);
        if (r < 0 && r != -ENOENT)
                return r;
        v->is_in_trash = r == 0;
        return 0;
}

static bool existed(const Value *before) {
        return value_get_bool(before, "existed", false);
}

static int foreign(const Value *args, Error *err) {
        return error_set(err, -ESTALE, ERR_FOREIGN, "Look at it; then keep it, or put the captured one back.",
                         "\"/%s\" was changed by someone else meanwhile; it is left as it is",
                         value_get_text(args, "path"));
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        struct stat st;
        int found = fs_stat(host->root, value_get_text(args, "path"), &st, err);
        if (found < 0 && found != -ENOENT)
                return found;
        _cleanup_(value_freep) Value *before = value_new_map();
        int r = before ? value_set_bool(before, "existed", found == 0, err) : error_no_memory(err);
        if (r == 0 && found == 0)
                r = value_set_int(before, "type", st.st_mode & S_IFMT, err);
        if (r == 0 && found == 0)
                r = value_set_int(before, "inode", (int64_t)fault_inode(st.st_ino), err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        _cleanup_(view_done) View v = {0};
        const char *path = value_get_text(args, "path");
        int r = view_look(host, args, before, &v, err);
        if (r < 0)
                return r;
        if (!existed(before)) {
                if (v.is_at_path)
                        return foreign(args, err);
        } else if (v.is_in_trash && !v.is_at_path) {
                r = fs_sync_parent(host->root, path, err);
        } else if (!v.is_captured || v.is_in_trash) {
                return foreign(args, err);
        } else {
                r = fs_rename_durably(host->root, path, v.trash, err);
                if (r == -ENOENT || r == -EEXIST)
                        return foreign(args, err);
        }
        if (r == 0)
                *ret = (StepResult){existed(before) ? CHANGE_CHANGED : CHANGE_UNCHANGED, NULL};
        return r;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_(view_done) View v = {0};
        const char *path = value_get_text(args, "path");
        int r = view_look(host, args, before, &v, err);
        if (r < 0 || !existed(before))
                return r;
        if (!v.is_in_trash)
                return v.is_captured ? fs_sync_parent(host->root, path, err) : foreign(args, err);
        if (v.is_at_path && host->is_forced)
                r = conflict_keep(host, path, path, err);
        else if (v.is_at_path)
                r = foreign(args, err);
        if (r == 0)
                r = fs_rename_durably(host->root, v.trash, path, err);
        return r == -EEXIST || r == -ENOENT ? foreign(args, err) : r;
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        _cleanup_(view_done) View v = {0};
        int r = view_look(host, args, before, &v, err);
        if (r < 0)
                return r;
        if (!existed(before))
                *ret = v.is_at_path ? PROBE_FOREIGN : PROBE_BEFORE;
        else if (v.is_in_trash)
                *ret = v.is_at_path ? PROBE_FOREIGN : PROBE_AFTER;
        else
                *ret = v.is_captured ? PROBE_BEFORE : PROBE_FOREIGN;
        return 0;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        const char *path = value_get_text(args, "path");
        bool is_there = false;
        int r = fs_has(host->root, path, &is_there, err);
        return is_there ? error_set(err, -ESTALE, ERR_DRIFT, NULL, "\"/%s\" was removed and is there again", path) : r;
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)before;
        _cleanup_free_ char *trash = trash_name(host, value_get_text(args, "path"), 0);
        if (!trash)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(host->root, trash, &is_there, err);
        return is_there || (r == 0 && host->is_recovery) ? fs_remove_tree(host->root, trash, err) : r;
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("remove %s", value_get_text_or(args, "path", "?"));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_trash;
const Manager manager_trash = {
        .id = 9,
        .name = "trash",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = trash_args,
        .before = trash_before,
        .check = manager_check_nothing,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = tidy,
        .describe = describe,
};
