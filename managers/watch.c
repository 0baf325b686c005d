/* SPDX-License-Identifier: Apache-2.0 */
/* A unit that systemd starts anew after it ended has ended all the same: the process that is watched is the one seen
 * first. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "managers/log_file.h"
#include "managers/process_run.h"
#include "managers/unit_log.h"
#include "managers/watch.h"

static int watch_process(Watch *w, Error *err) {
        int r = proc_file_read(w->host, w->service, &w->proc, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT || memcmp(w->proc.boot, w->host->boot, sizeof(w->proc.boot)) != 0)
                return error_set(err, -EHOSTDOWN, ERR_HEALTH, NULL, "the program of \"%s\" is not running", w->service);
        w->pid = w->proc.pid;
        w->start_time = w->proc.start_time;
        return 0;
}

static int watch_unit(Watch *w, Error *err) {
        ProcessInfo p;
        int r = bus_unit(w->host, w->unit, &w->state, err);
        if (r < 0)
                return r;
        if (!w->state.has_invocation)
                return error_set(err, -EHOSTDOWN, ERR_HEALTH, NULL, "%s was not started", w->unit);
        if (w->state.main_pid > 0 && procfs_info((int)w->state.main_pid, &p) == 0) {
                w->pid = p.pid;
                w->start_time = p.start_time;
        }
        return 0;
}

int watch_begin(const Host *host, const char *service, const char *unit, Watch *ret, Error *err) {
        Watch w = {.host = host, .service = service, .unit = unit, .pidfd = -1};
        int r = !service ? 0 : unit ? watch_unit(&w, err) : watch_process(&w, err);
        if (r < 0) {
                watch_done(&w);
                return r;
        }
        if (w.pid > 0)
                w.pidfd = (int)syscall(SYS_pidfd_open, w.pid, 0);
        *ret = w;
        return 0;
}

void watch_done(Watch *w) {
        fd_close(&w->pidfd);
        bus_unit_done(&w->state);
}

bool watch_has_ended(const Watch *w) {
        return w->service && (w->pid == 0 || !procfs_is_alive(w->pid, w->start_time));
}

bool watch_has_process(const Watch *w, const ProcessInfo *p) {
        if (w->unit)
                return !p->is_dead && procfs_in_cgroup(p->pid, w->state.control_group);
        return process_is_member(&w->proc, p);
}

/* A child of ours is left unreaped: whoever stops the service reaps it. */
static double process_ending(const Watch *w, char how[static 64]) {
        siginfo_t info = {0};
        (void)snprintf(how, 64, "exited");
        if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == w->pid)
                (void)snprintf(how, 64, info.si_code == CLD_EXITED ? "exited with status %d" : "was ended by signal %d",
                               info.si_status);
        return (double)clock_boot_usec() / (double)USEC_PER_SEC - (double)w->start_time / (double)sysconf(_SC_CLK_TCK);
}

static double unit_ending(const Watch *w, char how[static 64]) {
        _cleanup_bus_unit_ BusUnit u = {0};
        (void)snprintf(how, 64, "exited");
        if (bus_unit(w->host, w->unit, &u, NULL) < 0)
                return 0;
        bus_unit_exit_text(&u, how);
        if (!how[0])
                (void)snprintf(how, 64, "exited");
        return u.main_exit_usec > u.main_start_usec
                       ? (double)(u.main_exit_usec - u.main_start_usec) / (double)USEC_PER_SEC
                       : 0;
}

double watch_ending(const Watch *w, char how[static 64]) {
        double after = w->unit ? unit_ending(w, how) : process_ending(w, how);
        return MAX(after, 0.0);
}

void watch_output(const Watch *w, size_t n, Error *err) {
        if (w->unit)
                unit_log_to_detail(w->unit, w->state.main_start_usec, n, err);
        else if (w->service)
                log_file_to_detail(w->host, w->service, (off_t)w->proc.log_from, n, err);
}
