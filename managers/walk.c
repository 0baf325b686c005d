/* SPDX-License-Identifier: Apache-2.0 */
/* See walk.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/walk.h"

typedef struct Names {
        char **items;
        size_t n, allocated;
} Names;

typedef struct Walk {
        WalkVisit visit;
        void *userdata;
        dev_t device;
} Walk;

static void names_done(Names *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->items[i]);
        free(l->items);
}

static void dir_close(DIR **d) {
        if (*d)
                closedir(*d);
}

static int names_add(Names *l, const char *name) {
        if (l->n == l->allocated) {
                size_t wanted = l->allocated ? 2 * l->allocated : 64;
                char **longer = reallocarray(l->items, wanted, sizeof(*longer));
                if (!longer)
                        return -ENOMEM;
                l->items = longer;
                l->allocated = wanted;
        }
        l->items[l->n] = strdup(name);
        return l->items[l->n] ? (l->n++, 0) : -ENOMEM;
}

static int name_compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(int dir_fd, Names *ret, Error *err) {
        _cleanup_close_ int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(dir_close) DIR *d = own < 0 ? NULL : fdopendir(own);
        if (!d)
                return error_set_errno(err, -errno, NULL, "could not read a directory");
        (void)TAKE_FD(own);
        for (;;) {
                errno = 0;
                const struct dirent *e = readdir(d);
                if (!e && errno != 0)
                        return error_set_errno(err, -errno, NULL, "could not read a directory");
                if (!e)
                        break;
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && names_add(ret, e->d_name) < 0)
                        return error_no_memory(err);
        }
        if (ret->n > 0)
                qsort(ret->items, ret->n, sizeof(*ret->items), name_compare);
        return 0;
}

static int walk_dir(const Walk *w, int dir_fd, const char *prefix, unsigned depth, Error *err) {
        _cleanup_(names_done) Names names = {0};
        int r = depth > WALK_DEPTH_MAX ? error_set(err, -ELOOP, ERR_ARTIFACT, NULL,
                                                   "\"%s\" is more than %d directories deep", prefix, WALK_DEPTH_MAX)
                                       : names_read(dir_fd, &names, err);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                struct stat st;
                const char *name = names.items[i];
                _cleanup_free_ char *path = prefix ? text_format("%s/%s", prefix, name) : strdup(name);
                if (!path)
                        return error_no_memory(err);
                if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_set_errno(err, -errno, NULL, "could not look at \"%s\"", path);
                r = w->visit(w->userdata, &(WalkEntry){dir_fd, name, path, &st}, err);
                if (r != 0 || !S_ISDIR(st.st_mode))
                        continue;
                _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0)
                        return error_set_errno(err, -errno, NULL, "could not open the directory \"%s\"", path);
                if (st.st_dev != w->device)
                        return error_set(err, -EXDEV, ERR_ARTIFACT, NULL, "\"%s\" is another file system", path);
                r = walk_dir(w, fd, path, depth + 1, err);
        }
        return r;
}

int walk_tree(int dir_fd, WalkVisit visit, void *userdata, Error *err) {
        struct stat st;
        if (fstat(dir_fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at a directory");
        return walk_dir(&(Walk){visit, userdata, st.st_dev}, dir_fd, NULL, 1, err);
}

/* A directory's content follows it directly, so the separator sorts before all else a name may hold. */
static unsigned rank(char c) {
        return c == '\0' ? 0 : c == '/' ? 1 : 2U + (unsigned char)c;
}

int walk_compare(const char *a, const char *b) {
        while (*a && *a == *b)
                a++, b++;
        return rank(*a) < rank(*b) ? -1 : rank(*a) > rank(*b);
}
