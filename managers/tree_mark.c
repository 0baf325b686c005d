/* SPDX-License-Identifier: Apache-2.0 */
/* See tree_mark.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "managers/tree_mark.h"

#define MARK_MAX ((size_t)64 << 10)

void tree_mark_done(TreeMark *m) {
        free(m->by);
        free(m->manifest);
        free(m->sha256);
        free(m->kind);
        *m = (TreeMark){0};
}

char *tree_mark_own(const Host *host) {
        return text_format("%s-%" PRIu64, host->tag, host->tx);
}

static char *copy_text(const Value *map, const char *name) {
        return strdup(value_get_text_or(map, name, ""));
}

int tree_mark_read(const Host *host, const char *release, TreeMark *ret, Error *err) {
        _cleanup_free_ char *path = path_join(release, TREE_MARK_NAME), *text = NULL;
        _cleanup_(value_freep) Value *v = NULL;
        size_t n;
        if (!path)
                return error_no_memory(err);
        int r = fs_read(host->root, path, MARK_MAX, &text, &n, err);
        if (r == -ENOENT || r == -ENOTDIR || r == -EINVAL || r == -EFBIG || r == -EISDIR)
                return 0;
        if (r < 0)
                return r;
        r = json_decode(text, n, &v, NULL);
        if (r < 0)
                return r == -ENOMEM ? error_no_memory(err) : 0;
        if (!value_get_text(v, "mark"))
                return 0;
        TreeMark m = {
                .by = copy_text(v, "mark"),
                .manifest = copy_text(v, "manifest"),
                .sha256 = copy_text(v, "sha256"),
                .kind = copy_text(v, "kind"),
                .size = value_get_int(v, "size", 0),
                .files = value_get_int(v, "files", 0),
        };
        if (!m.by || !m.manifest || !m.sha256 || !m.kind) {
                tree_mark_done(&m);
                return error_no_memory(err);
        }
        *ret = m;
        return 1;
}

int tree_mark_facts(const TreeMark *m, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r = v ? value_set_text(v, "manifest", m->manifest, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(v, "sha256", m->sha256, err);
        if (r == 0)
                r = value_set_int(v, "size", m->size, err);
        if (r == 0)
                r = value_set_int(v, "files", m->files, err);
        if (r == 0)
                r = value_set_text(v, "kind", m->kind, err);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

int tree_mark_write(int dir_fd, const TreeMark *m, Error *err) {
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_free_ char *text = NULL;
        int r = tree_mark_facts(m, &v, err);
        if (r == 0)
                r = value_set_int(v, "pawl", 1, err);
        if (r == 0)
                r = value_set_text(v, "mark", m->by, err);
        if (r == 0)
                r = json_encode(v, JSON_PRETTY, &text, err);
        if (r != 0)
                return r;
        _cleanup_close_ int fd = fs_create_at(dir_fd, TREE_MARK_NAME, 0644, err);
        if (fd < 0)
                return fd;
        r = fs_write_all(fd, text, strlen(text), err);
        if (r == 0)
                r = fs_write_all(fd, "\n", 1, err);
        return r < 0 ? r : fs_set_mode(fd, 0644, FS_OWNER_KEEP, err);
}
