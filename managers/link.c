/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "link": a symbolic link, switched by one exchange. Its target is a text like any other: it need not exist.
 */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/displaced.h"

/* clang-format off */
static const Field link_args[] = {
        {1, "path",   FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {2, "target", FIELD_TEXT, FIELD_REQUIRED,              1, NULL},
        FIELD_END,
};
static const Field link_before[] = {
        {1, "absent", FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {2, "type",   FIELD_INT,  0,              1, NULL}, /* S_IFMT bits of what is there */
        {3, "target", FIELD_TEXT, 0,              1, NULL}, /* of a link */
        FIELD_END,
};
/* clang-format on */

/* Mode and owner of a link mean nothing. */
static int wanted_link(const char *target, Wanted *ret, Error *err) {
        *ret = (Wanted){.state = {.type = S_IFLNK, .uid = (uid_t)-1, .gid = (gid_t)-1, .size = strlen(target)},
                        .any_mode = true};
        return sha256_of(target, ret->state.size, ret->state.sha256, err);
}

static int before_of(const Value *before, Wanted *ret, Error *err) {
        const char *target = value_get_text(before, "target");
        if (target)
                return wanted_link(target, ret, err);
        mode_t type = value_get_bool(before, "absent", true) ? 0 : (mode_t)value_get_int(before, "type", 0);
        *ret = (Wanted){.state = {.type = type, .uid = (uid_t)-1, .gid = (gid_t)-1},
                        .any_mode = true,
                        .any_content = true};
        return 0;
}

static int stage(const Displaced *d, const char *staged, Error *err) {
        return fs_stage_link(d->host->root, staged, value_get_text(d->args, "target"), err);
}

static int displaced_of(const Host *host, const Value *args, const Value *before, Displaced *ret, Error *err) {
        *ret = (Displaced){.host = host, .path = value_get_text(args, "path"), .stage = stage, .args = args};
        int r = wanted_link(value_get_text_or(args, "target", ""), &ret->after, err);
        return r < 0 ? r : before_of(before, &ret->before, err);
}

static int check(const Host *host, const Value *args, Error *err) {
        Displaced d;
        if (!args)
                return 0;
        int r = displaced_of(host, args, NULL, &d, err);
        return r < 0 ? r : displaced_check(&d, err);
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        struct stat st;
        _cleanup_free_ char *target = NULL;
        const char *path = value_get_text(args, "path");
        int found = fs_stat(host->root, path, &st, err);
        if (found < 0 && found != -ENOENT)
                return found;
        bool is_absent = found == -ENOENT, is_link = !is_absent && S_ISLNK(st.st_mode);
        int r = is_link ? fs_readlink(host->root, path, &target, err) : 0;
        if (r == -ENOENT || r == -EINVAL)
                return error_set(err, -ESTALE, ERR_FOREIGN, NULL, "\"/%s\" was changed by someone else just now", path);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *before = value_new_map();
        r = before ? value_set_bool(before, "absent", is_absent, err) : error_no_memory(err);
        if (r == 0 && !is_absent)
                r = value_set_int(before, "type", st.st_mode & S_IFMT, err);
        if (r == 0)
                r = value_set_text(before, "target", target, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        Displaced d;
        Change change;
        int r = displaced_of(host, args, before, &d, err);
        if (r == 0)
                r = displaced_apply(&d, &change, err);
        if (r == 0)
                *ret = (StepResult){change, NULL};
        return r;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        Displaced d;
        int r = displaced_of(host, args, before, &d, err);
        return r < 0 ? r : displaced_revert(&d, err);
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        Displaced d;
        int r = displaced_of(host, args, before, &d, err);
        return r < 0 ? r : displaced_probe(&d, ret, err);
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        _cleanup_free_ char *target = NULL;
        const char *path = value_get_text(args, "path"), *wanted = value_get_text(args, "target");
        int r = fs_readlink(host->root, path, &target, err);
        if (r == -ENOENT || r == -EINVAL)
                return error_set(err, -ESTALE, ERR_DRIFT, NULL, "\"/%s\" is not as it was written: it is %s", path,
                                 r == -ENOENT ? "missing" : "not a link");
        if (r < 0)
                return r;
        if (strcmp(target, wanted) != 0)
                return error_set(err, -ESTALE, ERR_DRIFT, NULL,
                                 "\"/%s\" is not as it was written: it points to \"%s\" instead of \"%s\"", path,
                                 target, wanted);
        return 0;
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        Displaced d;
        int r = displaced_of(host, args, before, &d, err);
        return r < 0 ? r : displaced_tidy(&d, err);
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("point %s to %s", value_get_text_or(args, "path", "?"),
                                 value_get_text_or(args, "target", "?"));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_link;
const Manager manager_link = {
        .id = 3,
        .name = "link",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = link_args,
        .before = link_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = tidy,
        .describe = describe,
};
