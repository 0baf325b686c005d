/* SPDX-License-Identifier: Apache-2.0 */
/* See drop_ins.h. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/drop_ins.h"
#include "core/names.h"

static void dir_close(DIR **d) {
        if (*d)
                (void)closedir(*d);
}

static bool is_drop_in(const char *name) {
        static const char suffix[] = ".conf";
        size_t n = strlen(name), n_suffix = sizeof(suffix) - 1;
        return name[0] != '.' && n > n_suffix && strcmp(name + n - n_suffix, suffix) == 0;
}

static int add_path(const Engine *e, const char *dir, const char *name, Value *paths, Error *err) {
        _cleanup_free_ char *path = path_join(dir, name), *full = path ? host_path(&e->host, path) : NULL;
        return full ? value_append_text(paths, full, err) : error_no_memory(err);
}

static int read_names(const Engine *e, DIR *d, const char *dir, Value *paths, Error *err) {
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(d);
                if (!entry)
                        return errno == 0 ? 0 : error_set_errno(err, -errno, NULL, "could not read \"/%s\"", dir);
                int r = is_drop_in(entry->d_name) ? add_path(e, dir, entry->d_name, paths, err) : 0;
                if (r < 0)
                        return r;
        }
}

static int read_dir(const Engine *e, const char *dir, Value *paths, Error *err) {
        _cleanup_close_ int fd = fs_open_dir(e->root, dir, err);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        _cleanup_(dir_close) DIR *d = fdopendir(fd);
        if (!d)
                return error_set_errno(err, -errno, NULL, "could not read \"/%s\"", dir);
        (void)TAKE_FD(fd);
        return read_names(e, d, dir, paths, err);
}

bool drop_ins_are_only(const Engine *e, const char *dir, const char *name) {
        _cleanup_close_ int fd = fs_open_dir(e->root, dir, NULL);
        _cleanup_(dir_close) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *entry = NULL;
        bool is_only = d != NULL;
        if (!d)
                return false;
        (void)TAKE_FD(fd);
        for (errno = 0; is_only && (entry = readdir(d));)
                is_only = strcmp(entry->d_name, name) == 0 || strcmp(entry->d_name, ".") == 0 ||
                          strcmp(entry->d_name, "..") == 0;
        return is_only && errno == 0;
}

/* As systemd orders them. */
static int by_text(const void *a, const void *b) {
        return strcmp(value_text(*(Value *const *)a), value_text(*(Value *const *)b));
}

int drop_ins_set(Engine *e, const char *service, const Value *row, Value *item, Error *err) {
        if (strcmp(value_get_text_or(value_path(row, "spec.runtime"), "type", ""), "systemd") != 0)
                return 0;
        _cleanup_free_ char *unit = unit_name(&e->host, service), *dir = unit ? name_unit_drop_ins(unit) : NULL;
        _cleanup_(value_freep) Value *paths = value_new_array();
        int r = dir && paths ? read_dir(e, dir, paths, err) : error_no_memory(err);
        if (r < 0 || value_count(paths) == 0)
                return r;
        qsort(paths->array.items, value_count(paths), sizeof(Value *), by_text);
        return value_set(item, "drop_ins", TAKE_PTR(paths), err);
}
