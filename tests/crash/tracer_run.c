/* SPDX-License-Identifier: Apache-2.0 */
/* See tracer_run.h.
 *
 * Killing a tree has one trap: a child that was born while its parent was being killed is attached to us already,
 * but the stop that would have told us is lost with the parent. So after a kill that met somebody inside a fork,
 * /proc is asked. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/tracer_proc.h"
#include "tests/crash/tracer_run.h"

Tracee *run_find(const Run *run, pid_t tid) {
        for (size_t i = 0; i < run->n_tracees; i++)
                if (run->tracees[i]->tid == tid && !run->tracees[i]->is_gone)
                        return run->tracees[i];
        return NULL;
}

void run_forget(Run *run, Tracee *tracee) {
        tracee->is_gone = true;
        run->n_live--;
}

void run_add(Run *run, pid_t tid) {
        Tracee **tracees = NULL;
        Tracee *tracee = NULL;

        if (run_find(run, tid) != NULL)
                return;
        tracees = reallocarray(run->tracees, run->n_tracees + 1, sizeof *tracees);
        if (tracees != NULL)
                run->tracees = tracees;
        tracee = calloc(1, sizeof *tracee);
        if (tracees == NULL || tracee == NULL) {
                free(tracee);
                (void)kill(tid, SIGKILL);
                run->error = -ENOMEM;
                return;
        }
        tracee->tid = tid;
        run->tracees[run->n_tracees++] = tracee;
        run->n_live++;
}

static void adopt_thread(pid_t tid, void *userdata) {
        Run *run = userdata;

        run_add(run, tid);
        (void)kill(tid, SIGKILL);
}

static void adopt_process(pid_t pid, void *userdata) {
        char name[64];

        if (!proc_is_traced_by_us(pid))
                return;
        (void)snprintf(name, sizeof name, "/proc/%d/task", pid);
        (void)proc_each(name, adopt_thread, userdata);
}

void run_kill_all(Run *run) {
        bool is_forking = false;

        run->is_killing = true;
        for (size_t i = 0; i < run->n_tracees; i++) {
                if (run->tracees[i]->is_gone)
                        continue;
                (void)kill(run->tracees[i]->tid, SIGKILL);
                is_forking = is_forking || run->tracees[i]->is_forking;
        }
        if (is_forking)
                (void)proc_each("/proc", adopt_process, run);
}

void run_strike_dead(Run *run) {
        if (!run->spec->kill_root_only) {
                run_kill_all(run);
                return;
        }
        run->is_letting_go = true;
        (void)kill(run->root, SIGKILL);
        for (size_t i = 0; i < run->n_tracees; i++)
                if (!run->tracees[i]->is_gone && run->tracees[i]->tid != run->root)
                        (void)ptrace(PTRACE_INTERRUPT, run->tracees[i]->tid, 0, 0);
}

void run_fail(Run *run, int error) {
        if (run->error == 0)
                run->error = error;
        run_kill_all(run);
}

static bool note_released(Run *run, pid_t pid) {
        TracerResult *result = run->result;
        ProcStat stat;

        if (syscall(SYS_tgkill, pid, pid, 0) < 0 || proc_stat(pid, &stat) < 0)
                return true; /* a thread: its process is noted when its turn comes */
        if (result->n_released == TRACER_RELEASED_MAX)
                return false;
        result->released[result->n_released++] = (TracerReleased){pid, stat.session, stat.start_time};
        return true;
}

bool tracee_release(Run *run, Tracee *tracee, int signal) {
        if (!note_released(run, tracee->tid)) {
                run_fail(run, -E2BIG);
                return false;
        }
        (void)sched_setaffinity(tracee->tid, sizeof run->processors, &run->processors);
        if (ptrace(PTRACE_DETACH, tracee->tid, 0, signal) < 0)
                return false;
        run_forget(run, tracee);
        return true;
}

void tracee_go_on(Run *run, Tracee *tracee, int signal) {
        if (run->is_killing) {
                (void)kill(tracee->tid, SIGKILL);
                return;
        }
        if (run->is_letting_go && tracee->tid != run->root) {
                (void)tracee_release(run, tracee, signal);
                return;
        }
        (void)ptrace(PTRACE_SYSCALL, tracee->tid, 0, signal); /* ESRCH: somebody else killed it; its end is reported */
}
