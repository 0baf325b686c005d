/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "file": a whole file with its mode and owner.
 *
 * What it replaces is kept as the inode itself, so that ACLs and attributes come back with it; the journal holds
 * only what is needed to recognise it. Of a secret file the digest is a secret too: it would confirm a guess.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/displaced.h"

/* clang-format off */
static const Field file_args[] = {
        {1, "path",    FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH,   1, NULL},
        {2, "content", FIELD_ANY,  FIELD_REQUIRED | FIELD_HIDDEN, 1, NULL}, /* text or secret */
        {3, "mode",    FIELD_INT,  FIELD_REQUIRED,                1, NULL},
        {4, "uid",     FIELD_INT,  0,                             1, NULL}, /* absent: whoever pawl runs as */
        {5, "gid",     FIELD_INT,  0,                             1, NULL},
        FIELD_END,
};
static const Field file_before[] = {
        {1, "type",    FIELD_INT,  FIELD_REQUIRED, 1, NULL}, /* S_IFMT bits; 0: absent */
        {2, "mode",    FIELD_INT,  0,              1, NULL},
        {3, "uid",     FIELD_INT,  0,              1, NULL},
        {4, "gid",     FIELD_INT,  0,              1, NULL},
        {5, "size",    FIELD_INT,  0,              1, NULL},
        {6, "sha256",  FIELD_ANY,  0,              1, NULL}, /* bytes, or a secret when the content is one */
        {7, "inode",   FIELD_INT,  0,              1, NULL},
        FIELD_END,
};
/* clang-format on */

static int content_of(const Value *args, const Value **ret, Error *err) {
        const Value *content = value_get(args, "content");
        if (!value_is(content, VALUE_TEXT) && !value_is(content, VALUE_SECRET))
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "the content of \"%s\" is neither a text nor a secret",
                                 value_get_text_or(args, "path", "?"));
        if (content->is_sealed)
                return error_set(err, -ENOKEY, ERR_SEAL_KEY, NULL,
                                 "the content of \"%s\" is sealed, and its key is not at hand",
                                 value_get_text_or(args, "path", "?"));
        *ret = content;
        return 0;
}

static FsAttrs attrs_of(const Value *args) {
        return (FsAttrs){.mode = (mode_t)value_get_int(args, "mode", 0600) & 07777,
                         .owner = {(uid_t)value_get_int(args, "uid", -1), (gid_t)value_get_int(args, "gid", -1)}};
}

static int after_of(const Value *args, Wanted *ret, Error *err) {
        const Value *content;
        int r = content_of(args, &content, err);
        if (r < 0)
                return r;
        FsAttrs attrs = attrs_of(args);
        *ret = (Wanted){.state = {.type = S_IFREG,
                                  .mode = attrs.mode,
                                  .uid = attrs.owner.uid,
                                  .gid = attrs.owner.gid,
                                  .size = content->bytes.size}};
        return sha256_of(content->bytes.data, content->bytes.size, ret->state.sha256, err);
}

static int before_of(const Value *args, const Value *before, Wanted *ret, Error *err) {
        const Value *digest = value_get(before, "sha256");
        *ret = (Wanted){.state = {.type = (mode_t)value_get_int(before, "type", 0),
                                  .mode = (mode_t)value_get_int(before, "mode", 0),
                                  .uid = (uid_t)value_get_int(before, "uid", 0),
                                  .gid = (gid_t)value_get_int(before, "gid", 0),
                                  .size = (uint64_t)value_get_int(before, "size", 0),
                                  .inode = (uint64_t)value_get_int(before, "inode", 0)}};
        ret->any_content = !S_ISREG(ret->state.type);
        if (ret->any_content)
                return 0;
        bool has_bytes = value_is(digest, VALUE_BYTES) || value_is(digest, VALUE_SECRET);
        if (has_bytes && digest->is_sealed)
                return error_set(err, -ENOKEY, ERR_SEAL_KEY, NULL,
                                 "what was captured of \"%s\" is sealed, and its key is not at hand",
                                 value_get_text_or(args, "path", "?"));
        if (!has_bytes || digest->bytes.size != DIGEST_SIZE)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "what was captured of \"%s\" has no digest",
                                 value_get_text_or(args, "path", "?"));
        memcpy(ret->state.sha256, digest->bytes.data, DIGEST_SIZE);
        return 0;
}

static int stage(const Displaced *d, const char *staged, Error *err) {
        const Value *content;
        int r = content_of(d->args, &content, err);
        return r < 0 ? r
                     : fs_stage_file(d->host->root, staged, content->bytes.data, content->bytes.size, attrs_of(d->args),
                                     err);
}

static int displaced_of(const Host *host, const Value *args, const Value *before, Displaced *ret, Error *err) {
        *ret = (Displaced){.host = host, .path = value_get_text(args, "path"), .stage = stage, .args = args};
        int r = after_of(args, &ret->after, err);
        return r < 0 ? r : before_of(args, before, &ret->before, err);
}

static int check(const Host *host, const Value *args, Error *err) {
        Displaced d;
        if (!args)
                return 0;
        int r = displaced_of(host, args, NULL, &d, err);
        return r < 0 ? r : displaced_check(&d, err);
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        FsState s = {0};
        int r = fs_state(host->root, value_get_text(args, "path"), &s, err);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *before = value_new_map();
        r = before ? value_set_int(before, "type", s.type, err) : error_no_memory(err);
        if (r == 0 && s.type != 0) {
                bool is_secret = value_is(value_get(args, "content"), VALUE_SECRET);
                Value *digest = is_secret ? value_new_secret(s.sha256, sizeof(s.sha256))
                                          : value_new_bytes(s.sha256, sizeof(s.sha256));
                if ((r = value_set(before, "sha256", digest, err)) < 0 ||
                    (r = value_set_int(before, "mode", s.mode, err)) < 0 ||
                    (r = value_set_int(before, "uid", s.uid, err)) < 0 ||
                    (r = value_set_int(before, "gid", s.gid, err)) < 0 ||
                    (r = value_set_int(before, "size", (int64_t)s.size, err)) < 0)
                        return r;
                r = value_set_int(before, "inode", (int64_t)s.inode, err);
        }
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

static int facts_of(const Value *args, const Wanted *after, Value **ret, Error *err) {
        char hex[DIGEST_HEX_SIZE];
        _cleanup_(value_freep) Value *facts = value_new_map();
        int r = facts ? value_set_int(facts, "size", (int64_t)after->state.size, err) : error_no_memory(err);
        hex_encode(after->state.sha256, DIGEST_SIZE, hex);
        if (r == 0 && !value_is(value_get(args, "content"), VALUE_SECRET))
                r = value_set_text(facts, "sha256", hex, err);
        if (r == 0)
                *ret = TAKE_PTR(facts);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        Displaced d;
        Change change;
        Value *facts = NULL;
        int r = displaced_of(host, args, before, &d, err);
        if (r == 0)
                r = displaced_apply(&d, &change, err);
        if (r == 0)
                r = facts_of(args, &d.after, &facts, err);
        if (r == 0)
                *ret = (StepResult){change, facts};
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

static int drift(const char *path, const char *how, Error *err) {
        return error_set(err, -ESTALE, ERR_DRIFT, NULL, "\"/%s\" is not as it was written: %s", path, how);
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        Wanted after;
        FsState s = {0};
        char how[80];
        const char *path = value_get_text(args, "path");
        int r = after_of(args, &after, err);
        if (r == 0)
                r = fs_state(host->root, path, &s, err);
        if (r < 0)
                return r;
        if (s.type != S_IFREG)
                return drift(path, s.type == 0 ? "it is missing" : "it is not a regular file", err);
        if (s.size != after.state.size || memcmp(s.sha256, after.state.sha256, sizeof(s.sha256)) != 0)
                return drift(path, "its content", err);
        (void)snprintf(how, sizeof(how), "its mode %04o instead of %04o", (unsigned)s.mode, (unsigned)after.state.mode);
        if (s.mode != after.state.mode)
                return drift(path, how, err);
        (void)snprintf(how, sizeof(how), "its owner %ld:%ld instead of %ld:%ld", (long)s.uid, (long)s.gid,
                       (long)(int32_t)after.state.uid, (long)(int32_t)after.state.gid);
        return wanted_is(&after, &s) ? 0 : drift(path, how, err);
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        Displaced d;
        int r = displaced_of(host, args, before, &d, err);
        return r < 0 ? r : displaced_tidy(&d, err);
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("write %s (%04o)", value_get_text_or(args, "path", "?"),
                                 (unsigned)value_get_int(args, "mode", 0));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_file;
const Manager manager_file = {
        .id = 4,
        .name = "file",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = file_args,
        .before = file_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = tidy,
        .describe = describe,
};
