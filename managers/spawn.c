/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child runs no code that allocates or locks between fork and exec: everything it needs was prepared before.
 * The gate is a socket pair and not a pipe because one descriptor then serves both ways (the go, and the errno of a
 * failed exec), and no SIGPIPE can hit us.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/base/text.h"
#include "managers/procfs.h"
#include "managers/spawn.h"

enum {
        CHILD_GATE = 3,
        CHILD_KEEP = 4,
        CHILD_FIRST_UNUSED = 5,
        CHILD_ASIDE = 16, /* above all of these: nothing is overwritten while it is still needed */
        EXEC_WAIT_MSEC = 30000,
};

typedef enum SpawnStage { STAGE_DESCRIPTORS, STAGE_SESSION, STAGE_DIRECTORY, STAGE_USER, STAGE_EXEC } SpawnStage;

typedef struct SpawnFailure {
        SpawnStage stage;
        int error;
} SpawnFailure;

static _Noreturn void child_fail(int gate, SpawnStage stage) {
        SpawnFailure f = {.stage = stage, .error = errno};
        (void)send(gate, &f, sizeof(f), MSG_NOSIGNAL);
        _exit(127);
}

/* Leaves 0, 1, 2, the gate and what is kept, and nothing else. */
static bool child_descriptors(const Spawn *s, int gate) {
        int wanted[] = {s->input, s->output, s->errors, gate, s->keep};
        size_t n = s->keep >= 0 ? CHILD_KEEP + 1 : CHILD_KEEP;
        for (size_t i = 0; i < n; i++) {
                wanted[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, CHILD_ASIDE);
                if (wanted[i] < 0)
                        return false;
        }
        for (size_t i = 0; i < n; i++)
                if (dup3(wanted[i], (int)i, i == CHILD_GATE ? O_CLOEXEC : 0) < 0)
                        return false;
        return close_range(n == CHILD_KEEP ? CHILD_KEEP : CHILD_FIRST_UNUSED, ~0U, 0) == 0;
}

static void child_signals(void) {
        const struct sigaction as_born = {.sa_handler = SIG_DFL};
        for (int i = 1; i < NSIG; i++)
                (void)sigaction(i, &as_born, NULL);
        sigset_t none;
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool child_user(const SpawnUser *u) {
        return !u || (setgroups((size_t)u->n_groups, u->groups) == 0 && setresgid(u->gid, u->gid, u->gid) == 0 &&
                      setresuid(u->uid, u->uid, u->uid) == 0);
}

static _Noreturn void child_main(const Spawn *s, int gate) {
        if (!child_descriptors(s, gate))
                child_fail(gate, STAGE_DESCRIPTORS);
        if (setsid() < 0)
                child_fail(CHILD_GATE, STAGE_SESSION);
        child_signals();
        (void)umask(022);
        if (!child_user(s->user))
                child_fail(CHILD_GATE, STAGE_USER);
        if (chdir(s->directory ? s->directory : "/") < 0)
                child_fail(CHILD_GATE, STAGE_DIRECTORY);
        char go;
        ssize_t n;
        do
                n = recv(CHILD_GATE, &go, 1, 0);
        while (n < 0 && errno == EINTR);
        if (n != 1)
                _exit(0); /* whoever made us is gone, and has written down nothing */
        (void)execve(s->argv[0], s->argv, s->environment);
        child_fail(CHILD_GATE, STAGE_EXEC);
}

int spawn_begin(const Spawn *s, Spawned *ret, Error *err) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return error_set_errno(err, -errno, NULL, "could not make a socket pair");
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];
        /* No handler of ours may run in the child. */
        sigset_t all, old;
        sigfillset(&all);
        (void)sigprocmask(SIG_SETMASK, &all, &old);
        pid_t pid = fork();
        int error = errno;
        if (pid == 0) {
                fd_close(&ours);
                child_main(s, theirs);
        }
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
        if (pid < 0)
                return error_set_errno(err, -error, NULL, "could not start \"%s\"", s->argv[0]);
        ProcessInfo info = {0};
        (void)procfs_info(pid, &info); /* it is our child: until we wait for it, it is there */
        *ret = (Spawned){.pid = pid, .start_time = info.start_time, .gate = TAKE_FD(ours)};
        return 0;
}

void spawned_done(Spawned *p) {
        if (p->gate < 0)
                return;
        fd_close(&p->gate);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        p->pid = 0;
}

static int failure_tell(const Spawn *s, const SpawnFailure *f, Error *err) {
        static const char *const hints[] = {
                [STAGE_DESCRIPTORS] = NULL,
                [STAGE_SESSION] = NULL,
                [STAGE_DIRECTORY] =
                        "The working directory must exist and be open to the user that the program runs as.",
                [STAGE_USER] = "Only root may run a program as another user.",
                [STAGE_EXEC] = "The file must exist, be executable, and be made for this machine.",
        };
        int r = f->error > 0 ? -f->error : -EIO;
        if (f->stage == STAGE_DIRECTORY)
                return error_set(err, r, ERR_PROGRAM, hints[f->stage],
                                 "could not start \"%s\": could not enter the directory \"%s\": %s", s->argv[0],
                                 s->directory ? s->directory : "/", strerror(-r));
        return error_set(err, r, ERR_PROGRAM, hints[f->stage], "could not start \"%s\": %s%s", s->argv[0],
                         f->stage == STAGE_USER ? "could not change the user: " : "", strerror(-r));
}

int spawn_release(const Spawn *s, Spawned *p, Error *err) {
        /* A child that failed before the gate has said so already: then this send fails and the answer is read all
         * the same. One that waits for a word that could not be sent is let go. */
        bool is_sent = send(p->gate, "", 1, MSG_NOSIGNAL) == 1;
        int error = is_sent ? ETIMEDOUT : errno;
        if (!is_sent)
                (void)shutdown(p->gate, SHUT_WR);
        struct pollfd wait = {.fd = p->gate, .events = POLLIN};
        int n_ready;
        do
                n_ready = poll(&wait, 1, EXEC_WAIT_MSEC);
        while (n_ready < 0 && errno == EINTR);
        SpawnFailure f = {.stage = STAGE_EXEC, .error = error};
        ssize_t n = n_ready > 0 ? recv(p->gate, &f, sizeof(f), 0) : (ssize_t)sizeof(f);
        if (n == 0 && is_sent) { /* its end of the gate is closed by nothing but the exec, or its death */
                fd_close(&p->gate);
                return 0;
        }
        if (n < 0)
                f.error = errno;
        (void)kill(p->pid, SIGKILL);
        spawned_done(p);
        return failure_tell(s, &f, err);
}

int spawn_find(const char *name, char **ret, Error *err) {
        static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                              "/usr/bin",        "/sbin",          "/bin"};
        if (strchr(name, '/')) {
                *ret = text_format("%s", name);
                return *ret ? 0 : error_no_memory(err);
        }
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *path = text_format("%s/%s", folders[i], name);
                if (!path)
                        return error_no_memory(err);
                if (access(path, X_OK) == 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return error_set(err, -ENOENT, ERR_NOT_FOUND, "Install it, or name it with its path.",
                         "there is no program \"%s\"", name);
}
