/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order is: log, child at the gate, proc file, gate. A pawl that dies before the proc file is durable leaves a
 * child that exits; one that dies after it leaves a proc file that says who runs, or who ran.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/log_file.h"
#include "managers/process_run.h"

#define STOP_POLL_USEC (20 * USEC_PER_MSEC)
#define KILL_WAIT_USEC (5 * USEC_PER_SEC)

static int start_released(const Host *host, const char *service, const Spawn *s, ProcFile *p, Error *err) {
        _cleanup_(spawned_done) Spawned child = SPAWNED_INIT;
        int r = spawn_begin(s, &child, err);
        if (r < 0)
                return r;
        p->pid = child.pid;
        p->start_time = child.start_time;
        p->since_usec = clock_wall_usec();
        if (mutant_is("child-not-gated") && (r = spawn_release(s, &child, err)) < 0)
                return r;
        fault_point("process-before-proc-file");
        r = proc_file_write(host, service, p, err);
        if (r < 0)
                return r;
        fault_point("process-before-gate");
        if (!mutant_is("child-not-gated"))
                r = spawn_release(s, &child, err);
        if (r < 0)
                (void)proc_file_remove(host, service, NULL);
        return r;
}

int process_start(const Host *host, const char *service, const Definition *d, ProcFile *ret, Error *err) {
        ProcFile p = {.tx = host->tx, .step = host->step};
        const char *run = "";
        for (size_t i = 0; d->environment[i]; i++)
                if (strncmp(d->environment[i], "PAWL_RUN=", 9) == 0)
                        run = d->environment[i] + 9;
        memcpy(p.boot, host->boot, sizeof(p.boot));
        (void)snprintf(p.run, sizeof(p.run), "%s", run);
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null < 0)
                return error_set_errno(err, -errno, NULL, "could not open \"/dev/null\"");
        _cleanup_close_ int log = log_file_open(host, d->log, err);
        if (log < 0)
                return log;
        p.log_from = lseek(log, 0, SEEK_END);
        Spawn s = {
                .argv = d->argv,
                .environment = d->environment,
                .directory = d->directory,
                .input = null,
                .output = log,
                .errors = log,
                .keep = -1,
                .user = d->has_user ? &d->user : NULL,
        };
        int r = start_released(host, service, &s, &p, err);
        if (r == 0)
                *ret = p;
        return r;
}

/* The rest of a session: who is in it, and whether that may be believed. */
typedef struct Session {
        int leader;
        bool is_known; /* the leader was seen alive as itself: then everyone in its session is ours */
        char variable[32 + PROC_RUN_SIZE];
        int signal; /* 0: only count */
        size_t n_members;
} Session;

static int session_member(void *userdata, const ProcessInfo *p) {
        Session *s = userdata;
        if (p->session != s->leader || p->is_dead || p->pid == getpid())
                return 0;
        /* A leader that had already died could have had successors with the same number; what carries our mark is
         * ours. */
        if (!s->is_known && !procfs_has_variable(p->pid, s->variable))
                return 0;
        s->n_members++;
        if (s->signal != 0)
                (void)kill(p->pid, s->signal);
        return 0;
}

static size_t session_signal(Session *s, int signal) {
        s->n_members = 0;
        s->signal = signal;
        (void)procfs_each(session_member, s);
        return s->n_members;
}

/* Takes the status of a child of ours, so that it does not stay a zombie; anybody else's is left to its parent. */
static void reap(int pid) {
        (void)waitpid(pid, NULL, WNOHANG);
}

/* 0: the session is empty; 1: not within the time. */
static int session_wait(const Host *host, Session *s, uint64_t timeout_usec, Error *err) {
        uint64_t end = clock_boot_usec() + timeout_usec;
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, s->leader, 0);
        for (;;) {
                reap(s->leader);
                if (session_signal(s, 0) == 0)
                        return 0;
                if (clock_boot_usec() >= end)
                        return 1;
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                struct pollfd wait = {.fd = pidfd, .events = POLLIN};
                if (pidfd >= 0 && poll(&wait, 1, (int)(STOP_POLL_USEC / USEC_PER_MSEC)) > 0)
                        fd_close(&pidfd); /* the leader is gone; the others are waited for by looking */
                else if (pidfd < 0)
                        clock_sleep_usec(STOP_POLL_USEC);
        }
}

static int session_end(const Host *host, Session *s, uint64_t timeout_usec, Error *err) {
        (void)session_signal(s, SIGTERM);
        fault_point("process-told-to-end");
        int r = session_wait(host, s, timeout_usec, err);
        if (r <= 0)
                return r;
        uint64_t end = clock_boot_usec() + KILL_WAIT_USEC;
        /* Again and again: one that forks while it is being killed leaves another. */
        while (session_signal(s, SIGKILL) > 0) {
                reap(s->leader);
                if (clock_boot_usec() >= end)
                        return error_set(err, -EBUSY, ERR_PROGRAM,
                                         "It waits for a device or file server: see what it does with ps.",
                                         "process %d does not end", s->leader);
                clock_sleep_usec(STOP_POLL_USEC / 4);
        }
        reap(s->leader);
        return 0;
}

/* What left the session, and what took our mark out of its environment: whoever executes a program of the service's
 * releases is the service. */
typedef struct Strays {
        const char *folder, *variable;
        size_t n;
} Strays;

static int stray_kill(void *userdata, const ProcessInfo *p) {
        Strays *s = userdata;
        bool is_other = p->is_dead || p->pid == getpid();
        if (is_other || (!procfs_executes_below(p->pid, s->folder) && !procfs_has_variable(p->pid, s->variable)))
                return 0;
        s->n++;
        (void)kill(p->pid, SIGKILL);
        return 0;
}

static int strays_end(const Host *host, const char *service, const char *variable, Error *err) {
        _cleanup_free_ char *below = text_format("opt/pawl/%s/", service),
                            *folder = below ? host_path(host, below) : NULL;
        Strays s = {.folder = folder, .variable = variable};
        uint64_t end = clock_boot_usec() + KILL_WAIT_USEC;
        if (!folder)
                return error_no_memory(err);
        for (;;) {
                s.n = 0;
                (void)procfs_each(stray_kill, &s);
                if (s.n == 0)
                        return 0;
                if (clock_boot_usec() >= end)
                        return error_set(err, -EBUSY, ERR_PROGRAM, "See what it does with ps.",
                                         "%zu processes of %s do not end", s.n, service);
                clock_sleep_usec(STOP_POLL_USEC / 4);
        }
}

int process_stop(const Host *host, const char *service, uint64_t stop_timeout_usec, Error *err) {
        ProcFile p;
        int r = proc_file_read(host, service, &p, err);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (memcmp(p.boot, host->boot, sizeof(p.boot)) == 0) {
                Session s = {.leader = p.pid, .is_known = procfs_is_alive(p.pid, p.start_time)};
                (void)snprintf(s.variable, sizeof(s.variable), "PAWL_RUN=%s", p.run);
                r = s.is_known && !p.is_ending && !mutant_is("forgotten-before-ended")
                            ? proc_file_set_ending(host, service, err)
                            : 0;
                if (r == 0 && mutant_is("forgotten-before-ended"))
                        r = proc_file_remove(host, service, err);
                if (r == 0)
                        r = session_end(host, &s, stop_timeout_usec, err);
                if (r == 0)
                        r = strays_end(host, service, s.variable, err);
                if (r < 0)
                        return r;
        }
        return proc_file_remove(host, service, err);
}

static int runtime_state(const Host *host, const char *service, RunStatus *ret, Error *err) {
        ProcFile p;
        int r = proc_file_read(host, service, &p, err);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = (RunStatus){.state = RUN_STOPPED};
        bool is_of_now = memcmp(p.boot, host->boot, sizeof(p.boot)) == 0 || mutant_is("other-boot-trusted");
        if (r == -ENOENT || !is_of_now)
                return 0;
        bool is_alive = proc_file_is_alive(host, &p);
        *ret = (RunStatus){.state = is_alive ? RUN_RUNNING : RUN_FAILED,
                           .pid = is_alive ? p.pid : 0,
                           .since_usec = p.since_usec,
                           .tx = p.tx};
        return 0;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are those of Runtime. */
static int runtime_logs(const Host *host, const char *service, size_t n, bool follow,
                        void (*line)(void *userdata, const char *text, size_t n_text), void *userdata, Error *err) {
        const LogSink sink = {.line = line, .userdata = userdata};
        return log_file_lines(host, service, n, follow, &sink, err);
}

const Runtime runtime_process = {
        .type = "process",
        .state = runtime_state,
        .logs = runtime_logs,
};
