/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "block": some lines of a file that others write to as well, between two marks.
 *
 * Captured, compared and put back is the block alone. The rest of the file is whatever it is at that moment, and goes
 * through unchanged; the file keeps its mode and owner. What somebody writes between the look and the exchange is met
 * by the exchange and goes back to its place.
 */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/displaced.h"

#define BLOCK_FILE_MAX (4u << 20)

/* clang-format off */
static const Field block_args[] = {
        {1, "path",    FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL},
        {2, "name",    FIELD_TEXT, FIELD_REQUIRED,              1, NULL}, /* in the marks */
        {3, "content", FIELD_TEXT, FIELD_HIDDEN,                1, NULL}, /* absent: there is to be no block */
        {4, "mode",    FIELD_INT,  FIELD_REQUIRED,              1, NULL}, /* of a file that is made */
        FIELD_END,
};
static const Field block_before[] = {
        {1, "existed", FIELD_BOOL, FIELD_REQUIRED, 1, NULL}, /* the file */
        {2, "content", FIELD_TEXT, 0,              1, NULL}, /* absent: there was no block */
        {3, "offset",  FIELD_INT,  0,              1, NULL}, /* where it stood */
        FIELD_END,
};
/* clang-format on */

/* The file as it is: in front of the block, in it, behind it. */
typedef struct BlockFile {
        char *text; /* NULL: there is no file */
        size_t size;
        struct stat st;
        char *content;          /* NULL: there is no block */
        size_t n_front, i_back; /* without a block: both the size */
} BlockFile;

static void block_file_done(BlockFile *f) {
        free(f->text);
        free(f->content);
}
#define _cleanup_block_file_ _cleanup_(block_file_done)

static char *block_mark(const char *which, const Value *args) {
        return text_format("# %s pawl %s\n", which, value_get_text_or(args, "name", "?"));
}

/* Where the line stands; NULL: nowhere. */
static char *find_line(char *text, const char *line) {
        for (char *p = text; (p = strstr(p, line)); p++)
                if (p == text || p[-1] == '\n')
                        return p;
        return NULL;
}

static int find_block(BlockFile *f, const Value *args, Error *err) {
        _cleanup_free_ char *begin = block_mark("BEGIN", args), *end = block_mark("END", args);
        if (!begin || !end)
                return error_no_memory(err);
        char *first = find_line(f->text, begin), *content = first ? first + strlen(begin) : NULL,
             *last = content ? find_line(content, end) : find_line(f->text, end);
        f->n_front = f->i_back = f->size;
        if (!first && !last)
                return 0;
        if (!first || !last || find_line(content, begin) || find_line(last + 1, end))
                return error_set(err, -ESTALE, ERR_FOREIGN,
                                 "Put the lines \"# BEGIN pawl …\" and \"# END pawl …\" in order.",
                                 "the marks of \"%s\" in \"/%s\" do not belong together",
                                 value_get_text_or(args, "name", "?"), value_get_text(args, "path"));
        f->n_front = (size_t)(first - f->text);
        f->i_back = (size_t)(last - f->text) + strlen(end);
        f->content = strndup(content, (size_t)(last - content));
        return f->content ? 0 : error_no_memory(err);
}

static int block_read(const Host *host, const Value *args, BlockFile *ret, Error *err) {
        const char *path = value_get_text(args, "path");
        *ret = (BlockFile){0};
        int r = fs_stat(host->root, path, &ret->st, err);
        if (r == 0)
                r = fs_read(host->root, path, BLOCK_FILE_MAX, &ret->text, &ret->size, err);
        if (r == -ENOENT)
                return 0;
        if (r == 0 && strlen(ret->text) != ret->size)
                r = error_set(err, -EINVAL, ERR_FOREIGN, NULL, "\"/%s\" is not a text", path);
        return r < 0 ? r : find_block(ret, args, err);
}

static bool is_same(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static int foreign(const Value *args, Error *err) {
        return error_set(
                err, -ESTALE, ERR_FOREIGN, "Look at it; then keep it, or put the captured one back.",
                "the block of %s in \"/%s\" was changed by someone else meanwhile; it is left as they wrote it",
                value_get_text_or(args, "name", "?"), value_get_text(args, "path"));
}

static int check(const Host *host, const Value *args, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        return args ? block_read(host, args, &f, err) : 0;
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        int r = block_read(host, args, &f, err);
        _cleanup_(value_freep) Value *before = r < 0 ? NULL : value_new_map();
        if (r == 0)
                r = before ? value_set_bool(before, "existed", f.text != NULL, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(before, "content", f.content, err);
        if (r == 0 && f.content)
                r = value_set_int(before, "offset", (int64_t)f.n_front, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static int compose(const BlockFile *f, const Value *args, const char *content, char **ret, Error *err) {
        _cleanup_free_ char *begin = block_mark("BEGIN", args), *end = block_mark("END", args);
        _cleanup_text_ Text t = {0};
        if (!begin || !end)
                return error_no_memory(err);
        text_add_n(&t, f->text ? f->text : "", f->n_front);
        if (content) {
                if (t.size > 0 && t.data[t.size - 1] != '\n')
                        text_add(&t, "\n");
                text_add(&t, begin);
                text_add(&t, content);
                text_add(&t, end);
        }
        if (f->text)
                text_add_n(&t, f->text + f->i_back, f->size - f->i_back);
        *ret = text_take(&t);
        return *ret ? 0 : error_no_memory(err);
}

/* What is about to be published, and what it was made from. */
typedef struct Edit {
        const BlockFile *f;
        const char *path, *staged, *text;
} Edit;

static bool is_same_content(const char *a, size_t n_a, const char *b, size_t n_b) {
        return n_a == n_b && (n_a == 0 || (a && b && memcmp(a, b, n_a) == 0));
}

/* The very file that was read, as it was read: neither written to nor replaced since. */
static int is_displaced_as_read(const Host *host, const Edit *e, bool *ret, Error *err) {
        _cleanup_free_ char *met = NULL;
        size_t n_met = 0;
        struct stat st;
        int r = fs_stat(host->root, e->staged, &st, err);
        if (r == 0)
                r = fs_read(host->root, e->staged, BLOCK_FILE_MAX, &met, &n_met, err);
        if (r < 0)
                return r;
        const struct stat *was = &e->f->st;
        *ret = st.st_ino == was->st_ino && st.st_mode == was->st_mode && st.st_uid == was->st_uid &&
               st.st_gid == was->st_gid && is_same_content(met, n_met, e->f->text, e->f->size);
        return 0;
}

/* Somebody wrote before the exchange, and somebody behind it, to what had been published: the first is at its place
 * again, the second is kept beside it. */
static int keep_aside(const Host *host, const Edit *e, Error *err) {
        _cleanup_free_ char *kept = text_format("%s.edited-%llu-%u", e->path, (unsigned long long)host->tx, host->step);
        int r = kept ? fs_publish_new(host->root, e->staged, kept, err) : error_no_memory(err);
        return r < 0 ? r
                     : error_set(
                               err, -ESTALE, ERR_FOREIGN, "Put together what was written to the two.",
                               "\"/%s\" was changed by someone else meanwhile, and again; the later one is in \"/%s\"",
                               e->path, kept);
}

static int take_back(const Host *host, const Edit *e, const Value *args, Error *err) {
        _cleanup_free_ char *met = NULL;
        size_t n_met = 0;
        int r = fs_publish_exchange(host->root, e->staged, e->path, err);
        if (r == 0)
                r = fs_read(host->root, e->staged, BLOCK_FILE_MAX, &met, &n_met, err);
        if (r < 0)
                return r;
        if (!is_same_content(met, n_met, e->text, strlen(e->text)))
                return keep_aside(host, e, err);
        r = fs_unlink_durably(host->root, e->staged, err);
        return r < 0 ? r : foreign(args, err);
}

/* The exchange met something else than what was read: that goes back. */
static int publish(const Host *host, const Edit *e, const Value *args, Error *err) {
        bool is_as_read = false;
        int r = e->f->text ? fs_publish_exchange(host->root, e->staged, e->path, err)
                           : fs_publish_new(host->root, e->staged, e->path, err);
        if (r == -ENOENT || r == -EEXIST) {
                (void)fs_unlink_durably(host->root, e->staged, NULL);
                return foreign(args, err);
        }
        if (r < 0 || !e->f->text)
                return r;
        r = is_displaced_as_read(host, e, &is_as_read, err);
        if (r < 0)
                return r;
        return is_as_read ? fs_unlink_durably(host->root, e->staged, err) : take_back(host, e, args, err);
}

static int block_write(const Host *host, const BlockFile *f, const Value *args, const char *content, Error *err) {
        const char *path = value_get_text(args, "path");
        _cleanup_free_ char *text = NULL, *staged = fs_staged_name(path, host->tx, host->step, NULL);
        FsAttrs attrs = {.mode = f->text ? f->st.st_mode & 07777 : (mode_t)value_get_int(args, "mode", 0644),
                         .owner = f->text ? (FsOwner){f->st.st_uid, f->st.st_gid} : FS_OWNER_KEEP};
        int r = staged ? compose(f, args, content, &text, err) : error_no_memory(err);
        if (r == 0)
                r = fs_stage_file(host->root, staged, text, strlen(text), attrs, err);
        return r < 0 ? r : publish(host, &(Edit){.f = f, .path = path, .staged = staged, .text = text}, args, err);
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        const char *was = value_get_text(before, "content"), *wanted = value_get_text(args, "content");
        int r = block_read(host, args, &f, err);
        if (r < 0)
                return r;
        if (is_same(f.content, wanted))
                r = fs_sync_parent(host->root, value_get_text(args, "path"), err);
        else if (!is_same(f.content, was))
                r = foreign(args, err);
        else
                r = block_write(host, &f, args, wanted, err);
        if (r == 0)
                *ret = (StepResult){is_same(was, wanted) ? CHANGE_UNCHANGED
                                    : was                ? CHANGE_CHANGED
                                                         : CHANGE_CREATED,
                                    NULL};
        return r;
}

/* A file that was made for the block goes with it, when nobody has put anything else there. */
static int remove_made(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        int r = value_get_bool(before, "existed", true) ? 0 : block_read(host, args, &f, err);
        bool is_empty = f.text && f.text[strspn(f.text, " \t\n")] == '\0';
        return r == 0 && is_empty ? fs_unlink_durably(host->root, value_get_text(args, "path"), err) : r;
}

/* A block that was removed goes back to where it stood, as far as a line still ends there. */
static void find_place(BlockFile *f, const Value *before) {
        size_t offset = (size_t)value_get_int(before, "offset", INT64_MAX);
        if (!f->content && offset < f->size && (offset == 0 || f->text[offset - 1] == '\n'))
                f->n_front = f->i_back = offset;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        const char *was = value_get_text(before, "content"), *wanted = value_get_text(args, "content");
        int r = block_read(host, args, &f, err);
        if (r < 0)
                return r;
        find_place(&f, before);
        if (is_same(f.content, was))
                r = fs_sync_parent(host->root, value_get_text(args, "path"), err);
        else if (!is_same(f.content, wanted) && !host->is_forced)
                r = foreign(args, err);
        else
                r = block_write(host, &f, args, was, err);
        return r < 0 ? r : remove_made(host, args, before, err);
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        _cleanup_block_file_ BlockFile f = {0};
        int r = block_read(host, args, &f, err);
        if (r < 0 && r != -ESTALE)
                return r;
        if (r == 0 && is_same(f.content, value_get_text(args, "content")))
                *ret = PROBE_AFTER;
        else
                *ret = r == 0 && is_same(f.content, value_get_text(before, "content")) ? PROBE_BEFORE : PROBE_FOREIGN;
        return 0;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)facts;
        _cleanup_block_file_ BlockFile f = {0};
        int r = block_read(host, args, &f, err);
        if (r < 0 || is_same(f.content, value_get_text(args, "content")))
                return r;
        return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the block of %s in \"/%s\" is not as it was written: %s",
                         value_get_text_or(args, "name", "?"), value_get_text(args, "path"),
                         f.content ? "its content" : "it is missing");
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)before;
        _cleanup_free_ char *staged = fs_staged_name(value_get_text(args, "path"), host->tx, host->step, NULL);
        if (!staged)
                return error_no_memory(err);
        return fs_exists(host->root, staged) ? fs_unlink_durably(host->root, staged, err) : 0;
}

static int describe(const Value *args, char **ret, Error *err) {
        char *line = text_format("%s the block of %s in %s", value_get(args, "content") ? "write" : "remove",
                                 value_get_text_or(args, "name", "?"), value_get_text_or(args, "path", "?"));
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_block;
const Manager manager_block = {
        .id = 17,
        .name = "block",
        .version = 1,
        .reach = REACH_FILES,
        .is_rootable = true,
        .args = block_args,
        .before = block_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = tidy,
        .describe = describe,
};
