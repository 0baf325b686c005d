/* SPDX-License-Identifier: Apache-2.0 */
/* See rooted.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/rooted.h"

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "rooted: %s: %m\n", what);
        abort();
}

static void on_log(void *userdata, LogLevel level, const char *text) {
        Rooted *r = userdata;
        (void)text;
        r->n_warnings += level != LOG_NOTE;
}

static void on_progress(void *userdata, const char *what, uint64_t done, uint64_t total) {
        (void)userdata, (void)what, (void)done, (void)total;
}

void rooted_init(Rooted *r, const char *ca_file) {
        /* The servers of the tests are here; a proxy is not meant for them. */
        static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
        for (size_t i = 0; i < ELEMENTSOF(proxies); i++)
                unsetenv(proxies[i]);
        const char *tmp = getenv("TMPDIR");
        *r = (Rooted){0};
        snprintf(r->dir, sizeof(r->dir), "%s/pawl-test-XXXXXX", tmp ? tmp : "/tmp");
        must(mkdtemp(r->dir) != NULL, "making a directory");
        snprintf(r->root, sizeof(r->root), "%s/root", r->dir);
        must(mkdir(r->root, 0755) == 0, "making the root");
        r->calls = (HostCalls){on_log, on_progress, r};
        r->host = (Host){.root = open(r->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                         .root_path = r->root,
                         .tag = "0123abcd",
                         .tx = 7,
                         .step = 3,
                         .cancel = &r->cancel,
                         .calls = &r->calls};
        Error err = ERROR_INIT;
        must(r->host.root >= 0 && http_new(&(HttpOptions){"pawl-test", ca_file}, &r->host.http, &err) == 0,
             "making a host");
}

void rooted_done(Rooted *r) {
        Error err = ERROR_INIT;
        int all = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(fs_remove_tree(all, r->dir + 1, &err) == 0, err.message);
        close(all);
        close(r->host.root);
        http_free(r->host.http);
}

const char *rooted_path(const Rooted *r, const char *name) {
        static char paths[8][1024];
        static unsigned n;
        char *path = paths[n++ % 8];
        snprintf(path, sizeof(paths[0]), "%s/%s", r->dir, name);
        return path;
}

void rooted_write(const Rooted *r, const char *name, const void *data, size_t size, unsigned mode) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", r->dir, name);
        for (char *slash = path + strlen(r->dir) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
                *slash = '\0';
                mkdir(path, 0755);
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        must(fd >= 0 && write(fd, data, size) == (ssize_t)size && fchmod(fd, mode) == 0, path);
        close(fd);
}

char *rooted_read(const Rooted *r, const char *name) {
        FILE *f = fopen(rooted_path(r, name), "re");
        if (!f)
                return NULL;
        char *text = NULL;
        size_t allocated = 0;
        if (getdelim(&text, &allocated, EOF, f) < 0) {
                free(text);
                text = strdup("");
        }
        fclose(f);
        return text;
}

int rooted_count(const Rooted *r, const char *name) {
        DIR *d = opendir(rooted_path(r, name));
        if (!d)
                return -1;
        int n = -2;
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

bool rooted_exists(const Rooted *r, const char *name) {
        struct stat st;
        return lstat(rooted_path(r, name), &st) == 0;
}

const char *hex_of(const void *data, size_t size) {
        static char texts[8][DIGEST_HEX_SIZE];
        static unsigned n;
        uint8_t digest[DIGEST_SIZE];
        char *text = texts[n++ % 8];
        Error err = ERROR_INIT;
        must(sha256_of(data, size, digest, &err) == 0, "hashing");
        hex_encode(digest, sizeof(digest), text);
        return text;
}
