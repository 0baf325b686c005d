/* SPDX-License-Identifier: Apache-2.0 */
/* See temp_host.h. Whatever goes wrong here ends the test program: it is not what is being tested. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/temp_host.h"

static void must(bool is_true, const char *what) {
        if (is_true)
                return;
        perror(what);
        abort();
}

static void keep_warning(void *userdata, LogLevel level, const char *text) {
        TempHost *t = userdata;
        size_t used = strlen(t->warnings);
        if (level == LOG_WARNING)
                (void)snprintf(t->warnings + used, sizeof(t->warnings) - used, "%s\n", text);
}

void temp_host_init(TempHost *t) {
        const char *tmp = getenv("TMPDIR");
        *t = (TempHost){0};
        (void)snprintf(t->path, sizeof(t->path), "%s/pawl-test-XXXXXX", tmp ? tmp : "/tmp");
        must(mkdtemp(t->path) != NULL, "mkdtemp");
        t->calls = (HostCalls){.log = keep_warning, .userdata = t};
        t->host = (Host){.root = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                         .root_path = t->path,
                         .tag = "0123abcd",
                         .tx = 42,
                         .step = 3,
                         .cancel = &t->cancel,
                         .calls = &t->calls};
        must(t->host.root >= 0, t->path);
        must(boot_identity(t->host.boot, NULL) == 0, "boot identity");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
        (void)st, (void)kind, (void)ftw;
        return remove(path);
}

void temp_host_done(TempHost *t) {
        close(t->host.root);
        (void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void full_path(const TempHost *t, const char *path, char ret[static 4096]) {
        (void)snprintf(ret, 4096, "%s/%s", t->path, path);
}

void temp_host_write(const TempHost *t, const char *path, const char *text) {
        char full[4096];
        full_path(t, path, full);
        for (char *p = strchr(full + strlen(t->path) + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = '\0';
                must(mkdir(full, 0755) == 0 || errno == EEXIST, full);
                *p = '/';
        }
        FILE *f = fopen(full, "we");
        must(f && fputs(text, f) >= 0 && fclose(f) == 0, full);
}

char *temp_host_read(const TempHost *t, const char *path) {
        char full[4096];
        full_path(t, path, full);
        FILE *f = fopen(full, "re");
        if (!f)
                return NULL;
        char *text = calloc(1, 1 << 20);
        must(text != NULL, "calloc");
        size_t n = fread(text, 1, (1 << 20) - 1, f);
        text[n] = '\0';
        (void)fclose(f);
        return text;
}

bool temp_host_has(const TempHost *t, const char *path) {
        char full[4096];
        struct stat st;
        full_path(t, path, full);
        return lstat(full, &st) == 0;
}

const char *test_program(const char *name) {
        static char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        must(n > 0, "/proc/self/exe");
        path[n] = '\0';
        char *base = strrchr(path, '/') + 1;
        (void)snprintf(base, sizeof(path) - (size_t)(base - path), "test-%s", name);
        return path;
}

static int bound_socket(int port, int *ret_port) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
        socklen_t size = sizeof(a);
        const int one = 1;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
                     bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
                     getsockname(fd, (struct sockaddr *)&a, &size) == 0,
             "bind");
        *ret_port = ntohs(a.sin_port);
        return fd;
}

int test_port(void) {
        int port;
        close(bound_socket(0, &port));
        return port;
}

int test_listen(int port) {
        int ignored, fd = bound_socket(port, &ignored);
        must(listen(fd, 16) == 0, "listen");
        return fd;
}
