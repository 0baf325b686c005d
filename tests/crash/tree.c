/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/tree.h"

char *tree_read(const char *path, size_t *ret_size) {
        struct stat st;
        char *text;
        ssize_t n;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return NULL;
        if (fstat(fd, &st) < 0 || (text = malloc((size_t)st.st_size + 1)) == NULL) {
                (void)close(fd);
                return NULL;
        }
        n = read(fd, text, (size_t)st.st_size);
        (void)close(fd);
        *ret_size = n > 0 ? (size_t)n : 0;
        text[*ret_size] = 0;
        return text;
}

/* Calls `each` for the sorted names in a directory; ends with the first result that is not 0. */
static int each_name(const char *path, int (*each)(const char *path, const char *name, void *userdata),
                     void *userdata) {
        struct dirent **names = NULL;
        int n = scandir(path, &names, NULL, alphasort), r = n < 0 ? -errno : 0;

        for (int i = 0; i < n; i++) {
                bool is_itself = strcmp(names[i]->d_name, ".") == 0 || strcmp(names[i]->d_name, "..") == 0;

                if (r == 0 && !is_itself)
                        r = each(path, names[i]->d_name, userdata);
                free(names[i]);
        }
        free(names);
        return r;
}

/* ---- Copy and remove ---- */

static int copy_file(const char *from, const char *to, mode_t mode) {
        size_t size = 0;
        char *text = tree_read(from, &size);
        int fd = text != NULL ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
        int r = fd < 0 || write(fd, text, size) != (ssize_t)size || fchmod(fd, mode & 07777) < 0 ? -EIO : 0;

        if (fd >= 0)
                (void)close(fd);
        free(text);
        return r;
}

static int copy_name(const char *path, const char *name, void *userdata) {
        char from[PATH_MAX], to[PATH_MAX];

        (void)snprintf(from, sizeof from, "%s/%s", path, name);
        (void)snprintf(to, sizeof to, "%s/%s", (const char *)userdata, name);
        return tree_copy(from, to);
}

int tree_copy(const char *from, const char *to) {
        struct stat st;
        char link[PATH_MAX];
        ssize_t n;
        int r;

        if (lstat(from, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode))
                return copy_file(from, to, st.st_mode);
        if (S_ISLNK(st.st_mode)) {
                n = readlink(from, link, sizeof link - 1);
                link[n > 0 ? n : 0] = 0;
                return n < 0 || symlink(link, to) < 0 ? -errno : 0;
        }
        if (!S_ISDIR(st.st_mode))
                return 0; /* a socket, a pipe: whoever needs it makes it */
        if (mkdir(to, 0700) < 0)
                return -errno;
        r = each_name(from, copy_name, (void *)(uintptr_t)to);
        return r == 0 && chmod(to, st.st_mode & 07777) < 0 ? -errno : r;
}

static int remove_name(const char *path, const char *name, void *userdata) {
        char full[PATH_MAX];

        (void)userdata;
        (void)snprintf(full, sizeof full, "%s/%s", path, name);
        return tree_remove(full);
}

int tree_remove(const char *path) {
        struct stat st;
        int r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISDIR(st.st_mode))
                return unlink(path) < 0 ? -errno : 0;
        r = each_name(path, remove_name, NULL);
        return r == 0 && rmdir(path) < 0 ? -errno : r;
}

/* ---- Lines ---- */

typedef struct Lines {
        const char *root;
        TreeDetail detail;
        char *text;
        size_t size;
} Lines;

static uint64_t fnv(const char *text, size_t size) {
        uint64_t hash = 0xcbf29ce484222325;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
        return hash;
}

unsigned long long tree_hash_file(const char *path) {
        size_t size = 0;
        char *text = tree_read(path, &size);
        uint64_t hash = text != NULL ? fnv(text, size) : 0;

        free(text);
        return hash;
}

/* Which transaction made a release is told by the line of its mark that holds a number of ours. */
static void without_mark(char *text, size_t *size) {
        char *line = strstr(text, "\"mark\"");
        char *end = line != NULL ? strchr(line, '\n') : NULL;

        if (end == NULL)
                return;
        memmove(line, end, *size - (size_t)(end - text) + 1);
        *size -= (size_t)(end - line);
}

static int lines_add(Lines *lines, const char *line) {
        size_t n = strlen(line);
        char *text = realloc(lines->text, lines->size + n + 1);

        if (text == NULL)
                return -ENOMEM;
        memcpy(text + lines->size, line, n + 1);
        lines->text = text;
        lines->size += n;
        return 0;
}

static void describe_content(const char *full, const struct stat *st, char *ret, size_t n_ret) {
        char link[PATH_MAX];
        const char *name = strrchr(full, '/') + 1;
        size_t size = 0;
        char *text;
        ssize_t n;

        ret[0] = 0;
        if (S_ISLNK(st->st_mode)) {
                n = readlink(full, link, sizeof link - 1);
                link[n > 0 ? n : 0] = 0;
                (void)snprintf(ret, n_ret, " -> %s", link);
        }
        if (!S_ISREG(st->st_mode) || (text = tree_read(full, &size)) == NULL)
                return;
        if (strcmp(name, ".pawl-release") == 0)
                without_mark(text, &size);
        (void)snprintf(ret, n_ret, " %zu %016llx", size, (unsigned long long)fnv(text, size));
        free(text);
}

static int lines_path(Lines *lines, const char *path);

static int lines_name(const char *full, const char *name, void *userdata) {
        Lines *lines = userdata;
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/%s", full + strlen(lines->root) + 1, name);
        return lines_path(lines, path);
}

static int lines_path(Lines *lines, const char *path) {
        char full[PATH_MAX], content[PATH_MAX + 8], exact[64] = "", line[2 * PATH_MAX];
        struct stat st;
        int r;

        (void)snprintf(full, sizeof full, "%s/%s", lines->root, path);
        if (lstat(full, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (lines->detail == TREE_SHAPE && S_ISREG(st.st_mode) && (st.st_mode & 0077) == 0)
                (void)snprintf(content, sizeof content, " %ld bytes", (long)st.st_size);
        else
                describe_content(full, &st, content, sizeof content);
        if (lines->detail == TREE_EXACT)
                (void)snprintf(exact, sizeof exact, " #%lu %ld.%09ld", (unsigned long)st.st_ino,
                               (long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        (void)snprintf(line, sizeof line, "%s %s %o %u:%u%s%s\n", path,
                       S_ISDIR(st.st_mode)   ? "dir"
                       : S_ISLNK(st.st_mode) ? "link"
                                             : "file",
                       S_ISLNK(st.st_mode) ? 0 : st.st_mode & 07777, st.st_uid, st.st_gid, content, exact);
        r = lines_add(lines, line);
        return r == 0 && S_ISDIR(st.st_mode) ? each_name(full, lines_name, lines) : r;
}

char *tree_lines(const char *root, const char *const *paths, TreeDetail detail) {
        Lines lines = {.root = root, .detail = detail};
        int r = lines_add(&lines, "");

        for (size_t i = 0; r == 0 && paths[i] != NULL; i++)
                r = lines_path(&lines, paths[i]);
        if (r == 0)
                return lines.text;
        free(lines.text);
        return NULL;
}

/* ---- Comparing ---- */

static bool has_line(const char *text, const char *line, size_t n) {
        for (const char *at = text; (at = strstr(at, "\n")) != NULL; at++)
                if (strncmp(at + 1, line, n) == 0)
                        return true;
        return strncmp(text, line, n) == 0;
}

static void diff_lines(const char *title, const char *text, const char *other, char *ret, size_t size) {
        unsigned n_told = 0;

        for (const char *line = text; *line != 0;) {
                size_t n = strcspn(line, "\n") + 1, used = strlen(ret);

                if (!has_line(other, line, n) && ++n_told <= 4)
                        (void)snprintf(ret + used, size - used, "      %s: %.*s", title, (int)n, line);
                line += n;
        }
}

bool tree_diff(const char *wanted, const char *found, char *ret_text, size_t size) {
        ret_text[0] = 0;
        if (strcmp(wanted, found) == 0)
                return true;
        diff_lines("missing", wanted, found, ret_text, size);
        diff_lines("too much", found, wanted, ret_text, size);
        return false;
}

/* ---- Searching ---- */

typedef struct Search {
        const char *text;
        bool only_readable;
        char *ret_path;
        size_t size;
} Search;

static int search_name(const char *path, const char *name, void *userdata) {
        const Search *search = userdata;
        char full[PATH_MAX], *text;
        struct stat st;
        size_t size = 0;
        int r;

        (void)snprintf(full, sizeof full, "%s/%s", path, name);
        if (lstat(full, &st) < 0)
                return 0;
        if (S_ISDIR(st.st_mode))
                return each_name(full, search_name, userdata);
        if (!S_ISREG(st.st_mode) || (search->only_readable && (st.st_mode & S_IROTH) == 0) ||
            (text = tree_read(full, &size)) == NULL)
                return 0;
        r = memmem(text, size, search->text, strlen(search->text)) != NULL;
        if (r != 0)
                (void)snprintf(search->ret_path, search->size, "%s", full);
        free(text);
        return r;
}

bool tree_search(const char *root, const char *text, bool only_readable, char *ret_path, size_t size) {
        Search search = {.text = text, .only_readable = only_readable, .ret_path = ret_path, .size = size};

        return each_name(root, search_name, &search) == 1;
}
