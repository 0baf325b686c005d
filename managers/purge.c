/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "purge": deletes what a person asked to delete. A finish step: it runs when the transaction is committed,
 * until it is done.
 */
#include <errno.h>

#include "core/base/text.h"
#include "managers/trash.h"

/* clang-format off */
static const Field purge_args[] = {
        {1, "path", FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        FIELD_END,
};
static const Field purge_before[] = {
        FIELD_END,
};
/* clang-format on */

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        struct stat st;
        const char *path = value_get_text(args, "path");
        _cleanup_free_ char *trash = trash_name(host, path, 0);
        if (!trash)
                return error_no_memory(err);
        int r = fs_stat(host->root, path, &st, err);
        bool is_there = r == 0;
        bool is_link = r == 0 && S_ISLNK(st.st_mode);
        if (r == -ENOENT)
                r = fs_has(host->root, trash, &is_there, err);
        if (r < 0)
                return r;
        if (is_link)
                host_log(host, LOG_WARNING, "\"/%s\" is a link: it is deleted, and what it points to is kept", path);
        r = trash_delete(host, path, trash, err);
        if (r == 0)
                *ret = (StepResult){is_there ? CHANGE_CHANGED : CHANGE_UNCHANGED, NULL};
        return r;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        const char *path = value_get_text(args, "path");
        bool is_there = false;
        int r = fs_has(host->root, path, &is_there, err);
        return is_there ? error_set(err, -ESTALE, ERR_DRIFT, NULL, "\"/%s\" was deleted and is there again", path) : r;
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("delete %s for good", value_get_text_or(args, "path", "?"));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_purge;
const Manager manager_purge = {
        .id = 11,
        .name = "purge",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = purge_args,
        .before = purge_before,
        .check = manager_check_nothing,
        .capture = manager_capture_nothing,
        .apply = apply,
        .revert = manager_revert_nothing,
        .probe = manager_probe_before,
        .verify = verify,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
