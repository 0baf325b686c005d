/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /proc without trusting it to hold still. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "managers/procfs.h"

static void dir_close(DIR **d) {
        if (*d)
                closedir(*d);
}

/* Reads what fits of a small /proc file; NUL-terminated. The number of bytes, or a negative errno. */
static ssize_t small_read(const char *path, char *ret, size_t size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        size_t n = 0;
        while (n + 1 < size) {
                ssize_t r = read(fd, ret + n, size - 1 - n);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -errno;
                if (r == 0)
                        break;
                n += (size_t)r;
        }
        ret[n] = '\0';
        return (ssize_t)n;
}

int procfs_info(int pid, ProcessInfo *ret) {
        char path[64], text[1024];
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (pid <= 0 || small_read(path, text, sizeof(text)) <= 0)
                return -ESRCH;
        /* The name is in parentheses and may hold anything, also parentheses. */
        char *p = strrchr(text, ')');
        char state = '\0';
        int parent = 0, group = 0, session = 0;
        unsigned long long start = 0;
        if (!p || sscanf(p + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
                         &parent, &group, &session, &start) != 5)
                return -ESRCH;
        *ret = (ProcessInfo){.pid = pid,
                             .parent = parent,
                             .group = group,
                             .session = session,
                             .is_dead = strchr("ZXx", state) != NULL,
                             .start_time = start};
        return 0;
}

bool procfs_is_alive(int pid, uint64_t start_time) {
        ProcessInfo p;
        return procfs_info(pid, &p) == 0 && !p.is_dead && (p.start_time == start_time || mutant_is("pid-is-enough"));
}

void procfs_name(int pid, char ret[static 64]) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        if (small_read(path, ret, 64) < 0)
                ret[0] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
}

void procfs_command(int pid, char ret[static 256]) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
        ssize_t n = small_read(path, ret, 256);
        for (ssize_t i = 0; i + 1 < n; i++)
                if (ret[i] == '\0')
                        ret[i] = ' ';
        if (n < 0)
                ret[0] = '\0';
}

bool procfs_executes_below(int pid, const char *folder) {
        char path[64], target[4096];
        (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
        ssize_t n = readlink(path, target, sizeof(target));
        size_t length = strlen(folder);
        return n > (ssize_t)length && strncmp(target, folder, length) == 0;
}

/* A line for each hierarchy: "4:memory:/system.slice/pawl-web.service". */
bool procfs_in_cgroup(int pid, const char *group) {
        char path[64], text[8192];
        size_t length = strlen(group);
        (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
        if (length == 0 || small_read(path, text, sizeof(text)) < 0)
                return false;
        for (const char *line = text; *line;) {
                const char *slash = strchr(line, '/');
                size_t size = strcspn(line, "\n");
                if (slash && slash < line + size && strncmp(slash, group, length) == 0 && strchr("\n/", slash[length]))
                        return true;
                line += size + (line[size] == '\n');
        }
        return false;
}

bool procfs_has_variable(int pid, const char *assignment) {
        enum { ENVIRONMENT_MAX = 2 << 20 };
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/environ", pid);
        _cleanup_free_ char *text = malloc(ENVIRONMENT_MAX);
        ssize_t n = text ? small_read(path, text, ENVIRONMENT_MAX) : -ENOMEM;
        if (n < 0)
                return false;
        for (const char *p = text; p < text + n; p += strlen(p) + 1)
                if (strcmp(p, assignment) == 0)
                        return true;
        return false;
}

/* A name that is a number, else 0. */
static int name_number(const char *name) {
        char *end = NULL;
        long n = name[0] >= '0' && name[0] <= '9' ? strtol(name, &end, 10) : 0;
        return end && *end == '\0' && n > 0 && n < INT32_MAX ? (int)n : 0;
}

int procfs_each(int (*each)(void *userdata, const ProcessInfo *p), void *userdata) {
        _cleanup_(dir_close) DIR *d = opendir("/proc");
        if (!d)
                return -errno;
        const struct dirent *e;
        while ((e = readdir(d))) {
                ProcessInfo p;
                int pid = name_number(e->d_name);
                if (pid == 0 || procfs_info(pid, &p) < 0)
                        continue;
                int r = each(userdata, &p);
                if (r != 0)
                        return r;
        }
        return 0;
}

int procfs_each_fd(int pid, int (*each)(void *userdata, const char *target, const char *fd_path), void *userdata) {
        char path[512], target[4096];
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        _cleanup_(dir_close) DIR *d = opendir(path);
        if (!d)
                return -errno;
        const struct dirent *e;
        while ((e = readdir(d))) {
                ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
                if (n < 0)
                        continue;
                target[n] = '\0';
                (void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, e->d_name);
                int r = each(userdata, target, path);
                if (r != 0)
                        return r;
        }
        return 0;
}
