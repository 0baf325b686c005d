/* SPDX-License-Identifier: Apache-2.0 */
/* See service.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/json_text.h"
#include "tests/crash/service.h"
#include "tests/crash/tracer_proc.h"

static size_t read_block(const char *path, char *ret, size_t size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : -1;

        if (fd >= 0)
                (void)close(fd);
        ret[n > 0 ? n : 0] = 0;
        return n > 0 ? (size_t)n : 0;
}

static void pause_ms(long ms) {
        const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&pause, NULL);
}

/* ---- One of them ---- */

static bool is_alive(pid_t pid) {
        ProcStat stat;

        return proc_stat(pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X';
}

static void proc_path(const char *root, const char *name, char *ret, size_t size) {
        (void)snprintf(ret, size, "%s/run/pawl/%s.proc", root, name);
}

static pid_t proc_file_pid(const char *root, const char *name) {
        char path[PATH_MAX], text[1024];
        const char *at;

        proc_path(root, name, path, sizeof path);
        (void)read_block(path, text, sizeof text);
        at = strstr(text, "\"pid\":");
        return at != NULL ? (pid_t)strtol(at + strlen("\"pid\":"), NULL, 10) : 0;
}

static int read_definition(const char *root, const char *name, Service *ret) {
        static char text[4 * SERVICE_BLOCK_SIZE];
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/etc/pawl/%s/process", root, name);
        (void)read_block(path, text, sizeof text);
        ret->n_arguments = json_text_read_list(text, "argv", ret->arguments, sizeof ret->arguments);
        json_text_read(text, "directory", ret->directory, sizeof ret->directory);
        return ret->n_arguments == 0 ? -ENOENT : 0;
}

int service_look(const char *root, const char *name, Service *ret) {
        char path[64];

        *ret = (Service){.pid = proc_file_pid(root, name)};
        if (ret->pid == 0 || !is_alive(ret->pid)) {
                ret->pid = 0;
                return 0;
        }
        (void)snprintf(path, sizeof path, "/proc/%d/environ", ret->pid);
        ret->n_environment = read_block(path, ret->environment, sizeof ret->environment);
        (void)snprintf(ret->log, sizeof ret->log, "%.400s/var/log/pawl/%.64s.log", root, name);
        return read_definition(root, name, ret);
}

/* Puts a number behind "name": into a text of JSON. */
static void json_number(char *text, size_t size, const char *name, unsigned long long value) {
        char *at = strstr(text, name), rest[1024];

        if (at == NULL)
                return;
        at += strlen(name);
        (void)snprintf(rest, sizeof rest, "%s", at + strspn(at, " 0123456789"));
        (void)snprintf(at, size - (size_t)(at - text), "%llu%s", value, rest);
}

static int proc_file_patch(const char *root, const char *name, pid_t pid) {
        char path[PATH_MAX], text[2048];
        ProcStat stat;
        size_t n;
        int fd, r;

        proc_path(root, name, path, sizeof path);
        if (read_block(path, text, 1024) == 0 || proc_stat(pid, &stat) < 0)
                return -ENOENT;
        json_number(text, sizeof text, "\"pid\":", (unsigned long long)pid);
        json_number(text, sizeof text, "\"start_time\":", stat.start_time);
        n = strlen(text);
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        r = fd < 0 || write(fd, text, n) != (ssize_t)n ? -EIO : 0;
        if (fd >= 0)
                (void)close(fd);
        return r;
}

static void split(char *block, size_t size, char **ret, size_t n_ret) {
        size_t n = 0;

        for (char *at = block; at < block + size && n + 1 < n_ret; at += strlen(at) + 1)
                ret[n++] = at;
        ret[n] = NULL;
}

static void run(Service *service) {
        char *arguments[64], *environment[128];
        int null = open("/dev/null", O_RDONLY), log = open(service->log, O_WRONLY | O_APPEND | O_CREAT, 0640);

        split(service->arguments, service->n_arguments, arguments, 64);
        split(service->environment, service->n_environment, environment, 128);
        if (setsid() < 0 || chdir(service->directory[0] != 0 ? service->directory : "/") < 0 || dup2(null, 0) < 0 ||
            dup2(log, 1) < 0 || dup2(log, 2) < 0)
                _exit(126);
        (void)close_range(3, ~0U, 0);
        if (arguments[0])
                (void)execve(arguments[0], arguments, environment);
        _exit(127);
}

int service_start(const char *root, const char *name, Service *service) {
        pid_t pid = fork();

        if (pid == 0)
                run(service);
        if (pid < 0)
                return -errno;
        service->pid = pid;
        return proc_file_patch(root, name, pid);
}

/* ---- All of them, by where they lie ---- */

typedef struct Search {
        const char *root;
        size_t n_found;
        bool is_killing;
        char *ret_version;
        size_t size;
} Search;

static bool link_is_below(pid_t pid, const char *what, const char *root, char *ret, size_t size) {
        char path[64];
        size_t n_root = strlen(root);
        ssize_t n;

        (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
        n = readlink(path, ret, size - 1);
        ret[n > 0 ? n : 0] = 0;
        return n > 0 && strncmp(ret, root, n_root) == 0 && ret[n_root] == '/';
}

static void found(pid_t pid, void *userdata) {
        Search *search = userdata;
        char target[PATH_MAX];
        bool is_program = link_is_below(pid, "exe", search->root, target, sizeof target);

        if (!is_alive(pid) || pid == getpid())
                return;
        if (search->is_killing && (is_program || link_is_below(pid, "cwd", search->root, target, sizeof target))) {
                search->n_found++;
                (void)kill(pid, SIGKILL);
        }
        if (search->is_killing || !is_program)
                return;
        if (search->n_found++ == 0 && search->ret_version != NULL) {
                const char *release = strstr(target, "/releases/");

                (void)snprintf(search->ret_version, search->size, "%s", release != NULL ? release + 10 : target);
                search->ret_version[strcspn(search->ret_version, "/")] = 0;
        }
}

size_t service_count(const char *root, char *ret_version, size_t size) {
        Search search = {.root = root, .ret_version = ret_version, .size = size};

        if (size > 0)
                ret_version[0] = 0;
        (void)proc_each("/proc", found, &search);
        return search.n_found;
}

void service_end_all(const char *root) {
        Search search = {.root = root, .is_killing = true};

        for (unsigned tries = 0; tries < 5000; tries++) {
                search.n_found = 0;
                (void)proc_each("/proc", found, &search);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
                if (search.n_found == 0)
                        return;
                pause_ms(1);
        }
}

/* ---- All of them, by descent ---- */

enum { SESSIONS_MAX = 64 };

typedef struct Sessions {
        const char *pawl;
        size_t n;
        pid_t found[SESSIONS_MAX];
} Sessions;

static bool sessions_has(const Sessions *s, pid_t session) {
        for (size_t i = 0; i < s->n; i++)
                if (s->found[i] == session)
                        return true;
        return false;
}

static void note_session(pid_t pid, void *userdata) {
        Sessions *s = userdata;
        char path[64], target[PATH_MAX];
        ProcStat stat;
        ssize_t n;

        if (proc_stat(pid, &stat) < 0 || stat.parent != getpid() || stat.state == 'Z' || stat.state == 'X' ||
            stat.session == getsid(0) || s->n == SESSIONS_MAX || sessions_has(s, stat.session))
                return;
        (void)snprintf(path, sizeof path, "/proc/%d/exe", pid);
        n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        if (strcmp(target, s->pawl) != 0)
                s->found[s->n++] = stat.session;
}

size_t service_count_children(const char *pawl) {
        Sessions s = {.pawl = pawl};

        (void)proc_each("/proc", note_session, &s);
        return s.n;
}

static void kill_child(pid_t pid, void *userdata) {
        ProcStat stat;

        (void)userdata;
        if (proc_stat(pid, &stat) == 0 && stat.parent == getpid())
                (void)kill(pid, SIGKILL);
}

bool service_end_children(void) {
        for (unsigned tries = 0; tries < 5000; tries++) {
                pid_t reaped;

                do
                        reaped = waitpid(-1, NULL, WNOHANG);
                while (reaped > 0);
                if (reaped < 0)
                        return true;
                (void)proc_each("/proc", kill_child, NULL);
                pause_ms(1);
        }
        return false;
}

/* ---- Asking ---- */

static bool ask_once(int port, char *ret_version, size_t size) {
        static const char question[] = "GET / HTTP/1.0\r\n\r\n", greeting[] = "hello from ";
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const struct timeval limit = {.tv_sec = 1};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char text[1024];
        const char *at;
        ssize_t n = -1;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            send(fd, question, sizeof question - 1, MSG_NOSIGNAL) > 0)
                n = recv(fd, text, sizeof text - 1, MSG_WAITALL);
        (void)close(fd);
        text[n > 0 ? n : 0] = 0;
        at = strstr(text, greeting);
        if (at == NULL)
                return false;
        (void)snprintf(ret_version, size, "%.*s", (int)strcspn(at + sizeof greeting - 1, "\n"),
                       at + sizeof greeting - 1);
        return true;
}

bool service_ask(int port, unsigned wait_ms, char *ret_version, size_t size) {
        ret_version[0] = 0;
        for (unsigned waited = 0;; waited++) {
                if (ask_once(port, ret_version, size))
                        return true;
                if (waited >= wait_ms)
                        return false;
                pause_ms(1);
        }
}
