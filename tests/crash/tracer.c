/* SPDX-License-Identifier: Apache-2.0 */
/* The tracer's loop. Each known thread is waited for by its own id: the caller's other children stay untouched.
 * SIGCHLD is blocked meanwhile and taken by sigtimedwait(), so that nothing spins and the deadline holds.
 *
 * Tracer and tracees share one processor: only one of them runs at a time anyway, and waking somebody on another
 * processor made each stop four times as long (41 against 8 microseconds). What is released gets its processors
 * back. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/tracer.h"
#include "tests/crash/tracer_calls.h"
#include "tests/crash/tracer_proc.h"
#include "tests/crash/tracer_regs.h"
#include "tests/crash/tracer_run.h"
#include "tests/crash/tracer_strike.h"

static uint64_t now_ms(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: seen by tracers only. */
static bool is_restart(int64_t result) {
        return result == -512 || result == -513 || result == -514 || result == -516;
}

static void on_entry(Run *run, Tracee *tracee, const struct __ptrace_syscall_info *info) {
        TracerEvent *event = &tracee->event;
        uint64_t args[6];
        int kind;

        for (size_t i = 0; i < 6; i++)
                args[i] = info->entry.args[i];
        if (tracee->is_again) {
                if ((int)info->entry.nr == event->syscall && memcmp(args, event->args, sizeof args) == 0) {
                        tracee->is_again = false; /* the same event goes on */
                        return;
                }
                event_end(run, tracee, -EINTR);
        }
        if (info->arch != regs_arch || info->entry.nr > INT32_MAX) {
                (void)snprintf(run->result->problem, sizeof run->result->problem,
                               "process %d: a system call of a foreign ABI", tracee->tid);
                run_fail(run, TRACER_GAP);
                return;
        }
        event->pid = tracee->tid;
        event->syscall = (int)info->entry.nr;
        event->is_exit = false;
        event->result = event->told = 0;
        memcpy(event->args, args, sizeof args);
        tracee->is_forking = call_is_forking(event->syscall);
        kind = call_classify(&run->outputs, event, run->result->problem);
        if (kind < 0)
                run_fail(run, TRACER_GAP);
        else if (((unsigned)kind & run->mask) != 0)
                event_begin(run, tracee);
}

static void on_syscall(Run *run, Tracee *tracee) {
        struct __ptrace_syscall_info info;
        long n = ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info);

        if (n <= 0) {
                if (errno != ESRCH)
                        run_fail(run, -errno);
                return;
        }
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                on_entry(run, tracee, &info);
                return;
        }
        tracee->is_forking = false;
        if (info.op != PTRACE_SYSCALL_INFO_EXIT || !tracee->is_in_event)
                return;
        tracee_unshorten(tracee);
        if (is_restart(info.exit.rval) && tracee->strike == TRACER_RECORD)
                tracee->is_again = true;
        else
                event_end(run, tracee, info.exit.rval);
}

static bool has_prefix(const char *const *prefixes, const char *path) {
        for (; prefixes != NULL && *prefixes != NULL; prefixes++)
                if (strncmp(path, *prefixes, strlen(*prefixes)) == 0)
                        return true;
        return false;
}

static bool is_to_release(Run *run, const Tracee *tracee) {
        const TracerSpec *spec = run->spec;
        char name[64], program[TRACER_PATH_SIZE];
        pid_t session = getsid(run->root);
        struct stat st;
        ssize_t n;

        (void)snprintf(name, sizeof name, "/proc/%d/exe", tracee->tid);
        if (session > 0)
                run->root_session = session;
        if ((spec->release & TRACER_RELEASE_OWN_SESSION) != 0 && getsid(tracee->tid) != run->root_session)
                return true;
        if ((spec->release & TRACER_RELEASE_OTHER_PROGRAM) != 0 && stat(name, &st) == 0 &&
            (st.st_dev != run->root_program.st_dev || st.st_ino != run->root_program.st_ino))
                return true;
        n = readlink(name, program, sizeof program - 1);
        program[n < 0 ? 0 : n] = 0;
        return has_prefix(spec->release_prefixes, program) || has_prefix(spec->release_prefixes, tracee->event.path);
}

/* Another thread than the leader called execve: it goes on under the leader's id, and its own id is never heard of
 * again. */
static void tracee_become_leader(Run *run, Tracee *tracee) {
        unsigned long former = 0;
        Tracee *thread = NULL;
        pid_t tid = tracee->tid;

        if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &former) < 0 || (pid_t)former == tid)
                return;
        thread = run_find(run, (pid_t)former);
        if (thread == NULL)
                return;
        *tracee = *thread;
        tracee->tid = tid;
        run_forget(run, thread);
}

/* Returns true if the tracee is no longer ours. */
static bool on_exec(Run *run, Tracee *tracee) {
        char name[64];
        bool is_release;

        tracee_become_leader(run, tracee);
        if (tracee->tid == run->root) {
                (void)snprintf(name, sizeof name, "/proc/%d/exe", run->root);
                (void)stat(name, &run->root_program);
                run->has_started = true;
                return false;
        }
        is_release = !run->is_killing && is_to_release(run, tracee);
        if (!is_release || !tracee_release(run, tracee, 0))
                return false;
        if (tracee->is_in_event)
                event_end(run, tracee, 0);
        return true;
}

static void on_stop(Run *run, Tracee *tracee, int status) {
        unsigned long child = 0;
        int signal = WSTOPSIG(status);

        switch (status >> 16) {
        case PTRACE_EVENT_FORK:
        case PTRACE_EVENT_VFORK:
        case PTRACE_EVENT_CLONE:
                tracee->is_forking = false;
                if (ptrace(PTRACE_GETEVENTMSG, tracee->tid, 0, &child) == 0 && child != 0)
                        run_add(run, (pid_t)child);
                signal = 0;
                break;
        case PTRACE_EVENT_EXEC:
                if (on_exec(run, tracee))
                        return;
                signal = 0;
                break;
        case PTRACE_EVENT_STOP:
                if (signal != SIGTRAP && !run->is_killing && !run->is_letting_go) {
                        (void)ptrace(PTRACE_LISTEN, tracee->tid, 0,
                                     0); /* a group stop: it stays stopped until SIGCONT */
                        return;
                }
                signal = 0;
                break;
        default:
                if (signal == (SIGTRAP | 0x80)) {
                        on_syscall(run, tracee);
                        signal = 0;
                }
        }
        tracee_go_on(run, tracee, signal);
}

/* A process may die inside a call: of a signal it sent to itself, or because another thread ended it. */
static void on_end(Run *run, Tracee *tracee, int status) {
        run_forget(run, tracee);
        if (tracee->tid == run->root)
                run->result->wait_status = status;
        if (tracee->is_in_event && tracee->strike == TRACER_KILL_EXIT && !run->is_killing) {
                event_fired(run, tracee, true);
                run_strike_dead(run);
        }
}

/* Returns whether anybody had something to report. */
static bool run_poll(Run *run) {
        bool has_news = false;

        for (size_t i = 0; i < run->n_tracees; i++) {
                Tracee *tracee = run->tracees[i];
                int status;
                pid_t pid;

                if (tracee->is_gone)
                        continue;
                pid = waitpid(tracee->tid, &status, WNOHANG | __WALL);
                if (pid == 0)
                        continue;
                has_news = true;
                if (pid < 0)
                        run_forget(run, tracee);
                else if (WIFSTOPPED(status))
                        on_stop(run, tracee, status);
                else
                        on_end(run, tracee, status);
        }
        return has_news;
}

static void run_loop(Run *run) {
        const struct timespec patience = {.tv_nsec = 20 * 1000 * 1000};
        sigset_t child;

        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);
        while (run->n_live > 0) {
                if (run->error < 0 && !run->is_killing)
                        run_kill_all(run);
                if (!run_poll(run))
                        (void)sigtimedwait(&child, NULL, &patience);
                if (run->deadline != 0 && !run->is_killing && now_ms() >= run->deadline) {
                        run->result->timed_out = true;
                        run_kill_all(run);
                }
        }
        /* whose parent died without waiting is a zombie of ours, if we are the subreaper */
        for (size_t i = 0; i < run->n_tracees; i++)
                (void)waitpid(run->tracees[i]->tid, NULL, WNOHANG);
}

static int move_fd(int from, int to) {
        return from > 0 && from != to ? dup2(from, to) : to;
}

static void child_main(const TracerSpec *spec, char **envp, const sigset_t *mask, int go_fd, int error_fd) {
        char go;
        int error;

        (void)sigprocmask(SIG_SETMASK, mask, NULL);
        if (read(go_fd, &go, 1) != 1)
                _exit(127); /* the tracer has died, or could not attach */
        /* both may be given crosswise; the copy does not survive the exec */
        error = spec->stderr_fd > 0 ? fcntl(spec->stderr_fd, F_DUPFD_CLOEXEC, 3) : 0;
        if (error >= 0 && move_fd(spec->stdout_fd, STDOUT_FILENO) >= 0 && move_fd(error, STDERR_FILENO) >= 0)
                (void)execvpe(spec->argv[0], spec->argv, envp);
        error = errno;
        (void)!write(error_fd, &error, sizeof error);
        _exit(127);
}

static char **environment_new(char *const *envp) {
        static char no_leaks[] = "LSAN_OPTIONS=detect_leaks=0";
        size_t n = 0;
        bool has_options = false;
        char **copy = NULL;

        for (; envp[n] != NULL; n++)
                has_options = has_options || strncmp(envp[n], "LSAN_OPTIONS=", 13) == 0;
        copy = calloc(n + 2, sizeof *copy);
        if (copy == NULL)
                return NULL;
        memcpy(copy, envp, n * sizeof *copy);
        if (!has_options)
                copy[n] = no_leaks;
        return copy;
}

static void outputs_init(CallOutputs *outputs, const TracerSpec *spec) {
        const int fds[] = {spec->stdout_fd > 0 ? spec->stdout_fd : STDOUT_FILENO,
                           spec->stderr_fd > 0 ? spec->stderr_fd : STDERR_FILENO};

        for (size_t i = 0; i < 2; i++)
                if (fstat(fds[i], &outputs->files[outputs->n_files]) == 0 &&
                    S_ISREG(outputs->files[outputs->n_files].st_mode))
                        outputs->n_files++;
}

/* Attached before it may go on, and left running: the first stop is that of its exec. */
static int run_attach(Run *run, int go_fd) {
        const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                             PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

        if (ptrace(PTRACE_SEIZE, run->root, 0, options) < 0)
                return -errno;
        if (write(go_fd, "g", 1) != 1)
                return -errno;
        run_add(run, run->root);
        return run->error;
}

static int run_command(Run *run, const sigset_t *mask, const int go[2], const int failed[2]) {
        char **envp = environment_new(run->spec->envp != NULL ? run->spec->envp : environ);
        int r, error = 0;

        if (envp == NULL)
                return -ENOMEM;
        run->root = fork();
        if (run->root == 0)
                child_main(run->spec, envp, mask, go[0], failed[1]);
        r = run->root < 0 ? -errno : run_attach(run, go[1]);
        free(envp);
        if (r < 0 && run->root > 0) {
                (void)kill(run->root, SIGKILL);
                (void)waitpid(run->root, NULL, 0);
        }
        if (r < 0)
                return r;
        run_loop(run);
        if (!run->has_started && read(failed[0], &error, sizeof error) == (ssize_t)sizeof error)
                return -error;
        return run->error;
}

static int run_with_pipes(Run *run, const sigset_t *mask) {
        int go[2], failed[2], r;

        if (pipe2(go, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(failed, O_CLOEXEC | O_NONBLOCK) < 0) {
                r = -errno;
        } else {
                r = run_command(run, mask, go, failed);
                (void)close(failed[0]);
                (void)close(failed[1]);
        }
        (void)close(go[0]);
        (void)close(go[1]);
        return r;
}

/* The command inherits it. Where it is not allowed, the run is merely slower. */
static void stay_here(void) {
        int processor = sched_getcpu();
        cpu_set_t here;

        CPU_ZERO(&here);
        if (processor < 0 || processor >= CPU_SETSIZE)
                return;
        CPU_SET(processor, &here);
        (void)sched_setaffinity(0, sizeof here, &here);
}

int tracer_run(const TracerSpec *spec, TracerResult *ret_result) {
        struct sigaction ordinary = {.sa_handler = SIG_DFL}, old_action;
        sigset_t child, old_mask;
        Run run = {.spec = spec, .result = ret_result};
        int r;

        memset(ret_result, 0, sizeof *ret_result);
        run.mask = spec->kinds_mask != 0 ? spec->kinds_mask : TRACER_ALL;
        run.deadline = spec->timeout_ms != 0 ? now_ms() + spec->timeout_ms : 0;
        run.root_session = getsid(0);
        outputs_init(&run.outputs, spec);
        call_look_below((run.mask & TRACER_LOOK) != 0 ? spec->look_prefixes : NULL);
        if (spec->subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return -errno;
        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &child, &old_mask);
        (void)sigaction(SIGCHLD, &ordinary, &old_action);
        if (sched_getaffinity(0, sizeof run.processors, &run.processors) == 0)
                stay_here();
        r = run_with_pipes(&run, &old_mask);
        (void)sched_setaffinity(0, sizeof run.processors, &run.processors);
        (void)sigaction(SIGCHLD, &old_action, NULL);
        (void)sigprocmask(SIG_SETMASK, &old_mask, NULL);
        for (size_t i = 0; i < run.n_tracees; i++)
                free(run.tracees[i]);
        free(run.tracees);
        return r;
}

int tracer_read(const TracerEvent *event, uint64_t address, void *ret_data, size_t size) {
        return call_read_memory(event->pid, address, ret_data, size);
}

uint64_t tracer_program(const TracerEvent *event) {
        char name[64], line[512];
        unsigned long long start = 0;
        FILE *file;

        (void)snprintf(name, sizeof name, "/proc/%d/maps", event->pid);
        file = fopen(name, "re");
        if (file == NULL)
                return 0;
        if (fgets(line, sizeof line, file) != NULL) /* the program itself comes first */
                (void)sscanf(line, "%llx-", &start);
        (void)fclose(file);
        return start;
}

void tracer_stack(const TracerEvent *event, uint64_t *ret, size_t n) {
        uint64_t frame = regs_frame(event->pid), pair[2];

        memset(ret, 0, n * sizeof *ret);
        for (size_t i = 0; i < n; i++) {
                if (frame == 0 || call_read_memory(event->pid, frame, pair, sizeof pair) < 0 || pair[0] <= frame)
                        return;
                ret[i] = pair[1];
                frame = pair[0];
        }
}
