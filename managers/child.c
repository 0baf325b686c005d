/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child leads a process group of its own. It is looked at before it is waited for: as long as it is a zombie
 * its number, and with it the group's, cannot be anybody else's, and what it left running in the group can be ended
 * safely.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/base/text.h"
#include "managers/child.h"
#include "managers/fence.h"

enum {
        ERRORS_KEPT = 4096,
        POLL_MSEC = 100,
};
#define OUTPUT_DEFAULT ((size_t)1 << 20)

void child_result_done(ChildResult *r) {
        free(r->output);
        free(r->errors);
        *r = (ChildResult){0};
}

typedef struct ChildPipes {
        int input;          /* to the child */
        int output, errors; /* from it */
        int their_output, their_errors;
} ChildPipes;

static void pipes_done(ChildPipes *p) {
        fd_close(&p->input);
        fd_close(&p->output);
        fd_close(&p->errors);
        fd_close(&p->their_output);
        fd_close(&p->their_errors);
}

/* An unnamed file in memory and not a pipe: the child may read it when it likes, and we cannot be blocked by one
 * that does not. */
static int input_open(const ChildRun *run, Error *err) {
        if (run->n_input == 0) {
                int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
                return null >= 0 ? null : error_set_errno(err, -errno, NULL, "could not open \"/dev/null\"");
        }
        _cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
        if (fd < 0)
                return error_set_errno(err, -errno, NULL, "could not make a file in memory");
        int r = fs_write_all(fd, run->input, run->n_input, err);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not make a file in memory");
        return TAKE_FD(fd);
}

static int pipes_open(const ChildRun *run, ChildPipes *ret, Error *err) {
        int out[2], errors[2];
        ret->input = input_open(run, err);
        if (ret->input < 0)
                return ret->input;
        if (pipe2(out, O_CLOEXEC) < 0)
                return error_set_errno(err, -errno, NULL, "could not make a pipe");
        ret->output = out[0];
        ret->their_output = out[1];
        if (pipe2(errors, O_CLOEXEC) < 0)
                return error_set_errno(err, -errno, NULL, "could not make a pipe");
        ret->errors = errors[0];
        ret->their_errors = errors[1];
        (void)fcntl(ret->output, F_SETFL, O_NONBLOCK);
        (void)fcntl(ret->errors, F_SETFL, O_NONBLOCK);
        return 0;
}

typedef struct ChildCapture {
        Text output, errors;
        size_t max_output;
        bool is_cut;
} ChildCapture;

static void capture_done(ChildCapture *c) {
        text_done(&c->output);
        text_done(&c->errors);
}

static void output_add(ChildCapture *c, const char *data, size_t n) {
        size_t room = c->max_output - MIN(c->output.size, c->max_output);
        c->is_cut = c->is_cut || n > room;
        text_add_n(&c->output, data, MIN(n, room));
}

static void errors_add(ChildCapture *c, const char *data, size_t n) {
        text_add_n(&c->errors, data, n);
        if (c->errors.is_failed || c->errors.size <= 4 * ERRORS_KEPT)
                return;
        size_t drop = c->errors.size - ERRORS_KEPT;
        memmove(c->errors.data, c->errors.data + drop, ERRORS_KEPT + 1);
        c->errors.size = ERRORS_KEPT;
}

/* Reads what is there now. False when there will be no more. */
static bool pipe_drain(int fd, ChildCapture *c, void (*add)(ChildCapture *c, const char *data, size_t n)) {
        char block[8192];
        for (;;) {
                ssize_t n = read(fd, block, sizeof(block));
                if (n > 0)
                        add(c, block, (size_t)n);
                else if (n == 0 || (errno != EINTR && errno != EAGAIN))
                        return false;
                else if (errno == EAGAIN)
                        return true;
        }
}

static bool has_ended(int pid) {
        siginfo_t info = {0};
        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static int child_wait(const Host *host, const ChildRun *run, int pid, ChildPipes *p, ChildCapture *c, Error *err) {
        uint64_t end = run->timeout_usec > 0 ? clock_boot_usec() + run->timeout_usec : UINT64_MAX;
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        while (!has_ended(pid)) {
                struct pollfd wait[] = {{.fd = p->output, .events = POLLIN},
                                        {.fd = p->errors, .events = POLLIN},
                                        {.fd = pidfd, .events = POLLIN}};
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                if (clock_boot_usec() >= end)
                        return error_set(err, -ETIMEDOUT, ERR_TIMEOUT, NULL, "\"%s\" took longer than it may",
                                         run->argv[0]);
                /* Without pidfds (before Linux 5.3) its end is noticed a moment later. */
                (void)poll(wait, ELEMENTSOF(wait), pidfd >= 0 ? POLL_MSEC : POLL_MSEC / 10);
                if (p->output >= 0 && !pipe_drain(p->output, c, output_add))
                        fd_close(&p->output);
                if (p->errors >= 0 && !pipe_drain(p->errors, c, errors_add))
                        fd_close(&p->errors);
        }
        return 0;
}

/* Ends the group and takes the status. */
static int child_end(int pid) {
        int status = 0;
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int capture_take(ChildCapture *c, int status, ChildResult *ret, Error *err) {
        size_t n_output = c->output.size;
        _cleanup_free_ char *output = text_take(&c->output);
        _cleanup_free_ char *errors = text_take(&c->errors);
        if (!output || !errors)
                return error_no_memory(err);
        *ret = (ChildResult){.status = status,
                             .output = TAKE_PTR(output),
                             .n_output = n_output,
                             .is_cut = c->is_cut,
                             .errors = TAKE_PTR(errors)};
        return 0;
}

static int child_start(const Host *host, const Spawn *s, const ChildFence *f, Spawned *ret, Error *err) {
        int r = spawn_begin(s, ret, err);
        if (r < 0)
                return r;
        r = child_fence_record(host, f, ret->pid, ret->start_time, err);
        return r < 0 ? r : spawn_release(s, ret, err);
}

static int child_run_fenced(const Host *host, const ChildRun *run, Spawn *s, const ChildFence *f, ChildResult *ret,
                            Error *err) {
        _cleanup_(pipes_done) ChildPipes pipes = {-1, -1, -1, -1, -1};
        _cleanup_(spawned_done) Spawned child = SPAWNED_INIT;
        _cleanup_(capture_done)
                ChildCapture capture = {.max_output = run->max_output > 0 ? run->max_output : OUTPUT_DEFAULT};
        int r = pipes_open(run, &pipes, err);
        if (r < 0)
                return r;
        s->input = pipes.input;
        s->output = pipes.their_output;
        s->errors = pipes.their_errors;
        s->keep = f->fd;
        r = child_start(host, s, f, &child, err);
        if (r < 0)
                return r;
        fd_close(&pipes.their_output);
        fd_close(&pipes.their_errors);
        r = child_wait(host, run, child.pid, &pipes, &capture, err);
        int status = child_end(child.pid);
        if (r < 0)
                return r;
        if (pipes.output >= 0)
                (void)pipe_drain(pipes.output, &capture, output_add);
        if (pipes.errors >= 0)
                (void)pipe_drain(pipes.errors, &capture, errors_add);
        return capture_take(&capture, status, ret, err);
}

/* The argument list with the program's file in front; the texts are borrowed. */
static char **argv_with(char *program, char *const *argv) {
        size_t n = 0;
        while (argv[n])
                n++;
        char **ret = calloc(n + 1, sizeof(*ret));
        if (!ret)
                return NULL;
        memcpy(ret, argv, n * sizeof(*ret));
        ret[0] = program;
        return ret;
}

int child_run(const Host *host, const ChildRun *run, ChildResult *ret, Error *err) {
        static char path[] = "PATH=" SPAWN_PATH, locale[] = "LANG=C.UTF-8";
        static char *const clean[] = {path, locale, NULL};
        _cleanup_free_ char *program = NULL;
        int r = spawn_find(run->argv[0], &program, err);
        if (r < 0)
                return r;
        _cleanup_free_ char **argv = argv_with(program, run->argv);
        if (!argv)
                return error_no_memory(err);
        Spawn s = {.argv = argv,
                   .environment = run->environment ? run->environment : clean,
                   .directory = run->directory,
                   .user = run->user};
        ChildFence fence = CHILD_FENCE_INIT;
        r = child_fence_new(host, &fence, err);
        if (r < 0)
                return r;
        r = child_run_fenced(host, run, &s, &fence, ret, err);
        child_fence_end(host, &fence);
        return r;
}
