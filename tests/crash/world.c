/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/ports.h"
#include "tests/crash/tree.h"
#include "tests/crash/world.h"

enum { RUN_LIMIT_MSEC = 30000, WORDS_MAX = 24, ENVIRONMENT_MAX = 512 };

/* ---- A run of pawl ---- */

/* The words of a command line, and its environment, in one piece of memory. */
typedef struct Line {
        char text[WORLD_LINE_SIZE], variables[1024];
        char *words[WORDS_MAX], *environment[ENVIRONMENT_MAX];
} Line;

static void add_variable(Line *l, size_t *n, size_t *used, const char *name, const char *value) {
        if (value == NULL || *n + 1 >= ENVIRONMENT_MAX)
                return;
        l->environment[(*n)++] = l->variables + *used;
        *used += (size_t)snprintf(l->variables + *used, sizeof l->variables - *used, "%s=%s", name, value) + 1;
}

/* The caller's own, but for what steers pawl. */
static size_t add_callers(Line *l) {
        size_t n = 0;

        for (char **at = environ; *at != NULL && n + 8 < ENVIRONMENT_MAX; at++)
                if (strncmp(*at, "PAWL_", 5) != 0)
                        l->environment[n++] = *at;
        return n;
}

static void line_init(Line *l, World *w, const char *text, const WorldEnv *env) {
        static const char *const kept[] = {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TMPDIR"};
        static char root_flag[] = "--root";
        size_t n = 0, used = 0;
        char *rest, boot[16];

        (void)snprintf(l->text, sizeof l->text, "%s", text);
        l->words[n++] = w->pawl;
        l->words[n++] = root_flag;
        l->words[n++] = w->root;
        for (char *word = strtok_r(l->text, " ", &rest); word != NULL && n + 1 < WORDS_MAX;
             word = strtok_r(NULL, " ", &rest))
                l->words[n++] = word;
        l->words[n] = NULL;
        n = w->is_users ? add_callers(l) : 0;
        for (size_t i = 0; !w->is_users && i < sizeof kept / sizeof *kept; i++)
                add_variable(l, &n, &used, kept[i], getenv(kept[i]));
        if (!w->is_users)
                add_variable(l, &n, &used, "TOKEN", WORLD_SECRET);
        if (env != NULL) {
                add_variable(l, &n, &used, "PAWL_MUTANT", env->mutant);
                add_variable(l, &n, &used, "PAWL_CRASH_AT", env->crash_at);
                add_variable(l, &n, &used, "PAWL_PAUSE_AT", env->pause_at);
                add_variable(l, &n, &used, "LD_PRELOAD", env->preload);
                add_variable(l, &n, &used, "ALLOC_FAIL_AT", env->alloc_fail_at);
                add_variable(l, &n, &used, "ALLOC_COUNT_TO", env->alloc_count_to);
                add_variable(l, &n, &used, "LIBCALL_FAIL_AT", env->libcall_fail_at);
                add_variable(l, &n, &used, "LIBCALL_COUNT_TO", env->libcall_count_to);
        }
        if (w->boot > 0) {
                (void)snprintf(boot, sizeof boot, "%u", w->boot);
                add_variable(l, &n, &used, "PAWL_TEST_BOOT", boot);
        }
        add_variable(l, &n, &used, "PAWL_PORTS_RANGE", w->port_range[0] != 0 ? w->port_range : NULL);
        add_variable(l, &n, &used, "PAWL_TEST_INODES", w->inodes[0] != 0 ? w->inodes : NULL);
        l->environment[n] = NULL;
}

static int output_open(const World *w, const char *name) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/%s", w->base, name);
        return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void output_take(int fd, char *ret) {
        ssize_t n = pread(fd, ret, WORLD_OUTPUT_SIZE - 1, 0);

        ret[n > 0 ? n : 0] = 0;
        (void)close(fd);
}

int world_pawl_begin(World *w, const char *line, const WorldEnv *env, const char *name, pid_t *ret_pid) {
        int fd = output_open(w, name);
        Line l;
        pid_t pid;

        line_init(&l, w, line, env);
        pid = fork();
        if (pid == 0) {
                if (chdir(w->files) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
                        _exit(126);
                (void)execve(l.words[0], l.words, l.environment);
                _exit(127);
        }
        (void)close(fd);
        *ret_pid = pid;
        return pid < 0 ? -errno : 0;
}

int world_pawl_end(pid_t pid, uint64_t msec) {
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
        struct pollfd wait = {.fd = pidfd, .events = POLLIN};
        bool has_hung = poll(&wait, 1, (int)msec) == 0;

        if (has_hung)
                (void)kill(pid, SIGKILL);
        (void)close(pidfd);
        if (waitpid(pid, &status, 0) < 0 || has_hung)
                return -1;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void world_pawl(World *w, const char *line, const WorldEnv *env, WorldRun *ret) {
        uint64_t start = now_msec();
        char path[PATH_MAX];
        pid_t pid;

        *ret = (WorldRun){.status = -1};
        if (world_pawl_begin(w, line, env, "output", &pid) < 0)
                return;
        ret->status = world_pawl_end(pid, RUN_LIMIT_MSEC);
        ret->msec = now_msec() - start;
        (void)snprintf(path, sizeof path, "%s/output", w->base);
        output_take(open(path, O_RDONLY | O_CLOEXEC), ret->output);
}

int world_trace(World *w, const char *line, const WorldEnv *env, TracerSpec *spec, TracerResult *ret,
                char *ret_output) {
        int fd = output_open(w, "output"), r;
        Line l;

        line_init(&l, w, line, env);
        spec->argv = l.words;
        spec->envp = l.environment;
        spec->stdout_fd = spec->stderr_fd = fd;
        if (spec->kinds_mask == 0)
                spec->kinds_mask = TRACER_DISK | TRACER_PROC;
        spec->release = TRACER_RELEASE_OTHER_PROGRAM | TRACER_RELEASE_OWN_SESSION;
        spec->kill_root_only = spec->subreaper = true;
        spec->timeout_ms = RUN_LIMIT_MSEC;
        r = chdir(w->files) < 0 ? -errno : tracer_run(spec, ret);
        output_take(fd, ret_output);
        return r;
}

/* ---- Making a world ---- */

static int say(int r, const char *what, const char *path) {
        (void)fprintf(stderr, "crash: %s \"%s\": %s\n", what, path, strerror(-r));
        return r;
}

static void choose_ports(World *w) {
        int port = ports_begin();

        for (int i = 0; i < PORT_COUNT; port++)
                if (ports_is_free(port))
                        w->ports[i++] = port;
}

static int write_file(const char *folder, const char *name, const char *text, mode_t mode) {
        char path[PATH_MAX];
        size_t n = strlen(text);
        int fd, r;

        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
                *slash = 0;
                (void)mkdir(path, 0755);
        }
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        r = fd < 0 || write(fd, text, n) != (ssize_t)n ? -errno : 0;
        if (fd >= 0)
                (void)close(fd);
        return r < 0 ? say(r, "could not write", path) : 0;
}

static int write_spec(const World *w, const char *name, WorldPort port, const char *more) {
        char text[512];

        (void)snprintf(text, sizeof text,
                       "pawl: 1\nname: web\nsource: ./web-v1\nversion: v1\nport: %d\nhealth: gc\n"
                       "secrets:\n  - name: TOKEN\n    generate: 32\n%s",
                       w->ports[port], more);
        return write_file(w->files, name, text, 0644);
}

/* The port is pawl's choice. */
static int write_auto_spec(const World *w, const char *file, const char *name) {
        char text[256];

        (void)snprintf(text, sizeof text, "pawl: 1\nname: %s\nsource: ./web-v1\nversion: v1\nport: auto\nhealth: gc\n",
                       name);
        return write_file(w->files, file, text, 0644);
}

static int copy_examples(const World *w) {
        static const char *const names[] = {"web-v1", "web-v2", "web-v3"};
        const char *given = getenv("PAWL_EXAMPLES");
        char folder[PATH_MAX], from[PATH_MAX + 16], to[PATH_MAX];
        int r = 0;

        (void)snprintf(folder, sizeof folder, "%s", w->pawl);
        *strrchr(folder, '/') = 0;
        for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
                (void)snprintf(from, sizeof from, "%s%s/%s", given != NULL ? given : folder,
                               given != NULL ? "" : "/examples", names[i]);
                (void)snprintf(to, sizeof to, "%s/%s", w->files, names[i]);
                r = tree_copy(from, to);
                if (r < 0)
                        r = say(r, "could not copy", from);
        }
        return r;
}

/* The same program as the service's, from elsewhere and on another port: nobody may end it. */
int world_start_foreign(World *w) {
        char program[PATH_MAX], port[32], run_of_other[] = "PAWL_RUN=0000000000000000";
        char *arguments[] = {program, NULL}, *environment[] = {port, run_of_other, NULL};

        (void)snprintf(program, sizeof program, "%s/web-v1", w->files);
        (void)snprintf(port, sizeof port, "PORT=%d", w->ports[PORT_FOREIGN]);
        w->foreign = fork();
        if (w->foreign == 0) {
                (void)setsid();
                (void)!freopen("/dev/null", "w", stdout);
                (void)execve(program, arguments, environment);
                _exit(127);
        }
        return w->foreign < 0 ? -errno : 0;
}

static int make_base(World *w, unsigned id) {
        const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL, *tmp = getenv("TMPDIR");
        const char *folder = shm != NULL ? shm : tmp != NULL ? tmp : "/tmp";
        const char *program = getenv("PAWL_TESTING");

        if (program == NULL || realpath(program, w->pawl) == NULL)
                return say(-ENOENT, "PAWL_TESTING must name the program to test, not", program != NULL ? program : "");
        (void)snprintf(w->base, sizeof w->base, "%.64s/pawl-crash.%u.XXXXXX", folder, id);
        if (mkdtemp(w->base) == NULL || chmod(w->base, 0755) < 0)
                return say(-errno, "could not make", w->base);
        (void)snprintf(w->root, sizeof w->root, "%.200s/root", w->base);
        (void)snprintf(w->kept, sizeof w->kept, "%.200s/kept", w->base);
        (void)snprintf(w->files, sizeof w->files, "%.200s/files", w->base);
        return mkdir(w->files, 0755) < 0 ? say(-errno, "could not make", w->files) : 0;
}

int world_open(World *w, unsigned id) {
        int r;

        *w = (World){.name = "web"};
        r = make_base(w, id);
        choose_ports(w);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (r == 0)
                r = write_spec(w, "web.yaml", PORT_FIRST, "");
        if (r == 0)
                r = write_spec(w, "changed.yaml", PORT_OTHER, "env:\n  COLOUR: green\n");
        if (r == 0)
                r = write_spec(w, "forward.yaml", PORT_FIRST, "on_crash: finish\n");
        if (r == 0)
                r = write_auto_spec(w, "auto-one.yaml", "one");
        if (r == 0)
                r = write_auto_spec(w, "auto-two.yaml", "two");
        if (r == 0)
                r = copy_examples(w);
        return r == 0 ? world_start_foreign(w) : r;
}

int world_open_for(World *w, unsigned id, const char *folder, const char *name) {
        int r, first;

        *w = (World){.is_users = true};
        r = make_base(w, id);
        (void)snprintf(w->name, sizeof w->name, "%s", name);
        (void)snprintf(w->files, sizeof w->files, "%s", folder);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        if (r < 0)
                return r;
        first = ports_reserve();
        if (first < 0)
                return say(first, "no ports are free for", w->base);
        (void)snprintf(w->port_range, sizeof w->port_range, "[%d, %d]", first, first + PORTS_RANGE);
        return 0;
}

void world_close(World *w) {
        if (w->base[0] == 0)
                return;
        if (w->is_users)
                world_end(w);
        else
                service_end_all(w->base); /* the foreign program is below it, too */
        (void)tree_remove(w->base);
}

/* ---- What runs ---- */

void world_end(World *w) {
        if (!w->is_users)
                service_end_all(w->root);
        else if (!service_end_children())
                (void)fprintf(stderr, "crash: a program of the service could not be ended\n");
}

size_t world_count(const World *w, char *ret_version, size_t size) {
        size_t n;

        if (!w->is_users)
                return service_count(w->root, ret_version, size);
        n = service_count_children(w->pawl);
        (void)snprintf(ret_version, size, "%s", n > 0 ? "the spec's" : "");
        return n;
}

/* ---- Its states ---- */

int world_reset(World *w) {
        int r;

        world_end(w);
        r = tree_remove(w->root);
        if (r == 0 && mkdir(w->root, 0755) < 0)
                r = -errno;
        if (r == 0)
                r = write_file(w->root, "etc/pawl/other/env", "MINE=1\n", 0644);
        if (r == 0)
                r = write_file(w->root, "opt/pawl/other/releases/v1/other", "#!/bin/false\n", 0755);
        if (r == 0)
                r = write_file(w->root, "opt/pawl/.pawl-trash-1-1/kept", "looks like pawl's\n", 0644);
        return r < 0 ? say(r, "could not make", w->root) : 0;
}

int world_keep(World *w) {
        int r = service_look(w->root, w->name, &w->service);

        world_end(w);
        if (r == 0)
                r = tree_remove(w->kept);
        return r < 0 ? r : tree_copy(w->root, w->kept);
}

int world_restore(World *w) {
        char version[64];
        int r;

        world_end(w);
        r = tree_remove(w->root);
        if (r == 0)
                r = tree_copy(w->kept, w->root);
        if (r == 0 && w->service.pid != 0)
                r = service_start(w->root, w->name, &w->service);
        if (r == 0 && w->service.pid != 0 && !w->is_users &&
            !service_ask(w->ports[PORT_FIRST], 2000, version, sizeof version))
                r = -ETIMEDOUT;
        return r < 0 ? say(r, "could not put back", w->root) : 0;
}
