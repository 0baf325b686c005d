/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /proc, and ending what a run let go: see tracer_end_released(). */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/tracer.h"
#include "tests/crash/tracer_proc.h"

static int read_file(const char *name, char *ret_text, size_t size) {
        FILE *file = fopen(name, "re");
        size_t n;

        if (file == NULL)
                return -errno;
        n = fread(ret_text, 1, size - 1, file);
        ret_text[n] = 0;
        (void)fclose(file);
        return n > 0 ? 0 : -ESRCH;
}

int proc_stat(pid_t pid, ProcStat *ret_stat) {
        char name[64], text[1024];
        ProcStat stat;
        const char *rest;
        int r;

        (void)snprintf(name, sizeof name, "/proc/%d/stat", pid);
        r = read_file(name, text, sizeof text);
        if (r < 0)
                return r;
        /* the name of the program stands in parentheses and may hold anything, parentheses too */
        rest = strrchr(text, ')');
        if (rest == NULL ||
            sscanf(rest + 1, " %c %d %*d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
                   &stat.state, &stat.parent, &stat.session, &stat.start_time) != 4)
                return -EIO;
        *ret_stat = stat;
        return 0;
}

int proc_each(const char *directory, void (*each)(pid_t id, void *userdata), void *userdata) {
        DIR *dir = opendir(directory);
        struct dirent *entry;

        if (dir == NULL)
                return -errno;
        while ((entry = readdir(dir)) != NULL)
                if (isdigit((unsigned char)entry->d_name[0]))
                        each((pid_t)strtol(entry->d_name, NULL, 10), userdata);
        (void)closedir(dir);
        return 0;
}

bool proc_is_traced_by_us(pid_t tid) {
        char name[64], text[4096];
        const char *line;

        (void)snprintf(name, sizeof name, "/proc/%d/status", tid);
        if (read_file(name, text, sizeof text) < 0)
                return false;
        line = strstr(text, "\nTracerPid:");
        return line != NULL && strtol(line + sizeof "\nTracerPid:" - 1, NULL, 10) == gettid();
}

enum { HUNT_MAX = 1024 };

typedef struct Hunt {
        const TracerResult *result;
        pid_t own_session;
        size_t n_found, n_alive;
        pid_t found[HUNT_MAX];
} Hunt;

static bool hunt_has(const pid_t *list, size_t n, pid_t pid) {
        for (size_t i = 0; i < n; i++)
                if (list[i] == pid)
                        return true;
        return false;
}

static bool hunt_is_released(const Hunt *hunt, pid_t pid, const ProcStat *stat) {
        for (size_t i = 0; i < hunt->result->n_released; i++)
                if (hunt->result->released[i].pid == pid && hunt->result->released[i].start_time == stat->start_time)
                        return true;
        return false;
}

/* A session counts only if a released process founded it: one that merely was in a session leaves the others in peace.
 * While anyone is in it, the kernel gives its number to nobody else; a living founder must be the one we know. */
static bool hunt_is_session(const Hunt *hunt, pid_t session) {
        ProcStat founder;

        if (session == hunt->own_session)
                return false;
        if (hunt_has(hunt->found, hunt->n_found, session))
                return true;
        for (size_t i = 0; i < hunt->result->n_released; i++)
                if (hunt->result->released[i].pid == session)
                        return proc_stat(session, &founder) < 0 || hunt_is_released(hunt, session, &founder);
        return false;
}

/* Stopped first and killed when all are known: the children of a dead process can no longer be told by their parent. */
static void hunt_look(pid_t pid, void *userdata) {
        Hunt *hunt = userdata;
        ProcStat stat;

        if (pid == getpid() || hunt->n_found == HUNT_MAX || hunt_has(hunt->found, hunt->n_found, pid) ||
            proc_stat(pid, &stat) < 0)
                return;
        if (!hunt_is_released(hunt, pid, &stat) && !hunt_is_session(hunt, stat.session) &&
            !hunt_has(hunt->found, hunt->n_found, stat.parent))
                return;
        hunt->found[hunt->n_found++] = pid;
        if (stat.state == 'Z' || stat.state == 'X') {
                (void)waitpid(pid, NULL, WNOHANG);
                return;
        }
        hunt->n_alive++;
        (void)kill(pid, SIGSTOP);
}

/* Looks until nobody new turns up: then the kin of all that were found were looked at, too. */
static size_t hunt_sweep(Hunt *hunt) {
        size_t before;

        hunt->n_found = hunt->n_alive = 0;
        do {
                before = hunt->n_found;
                (void)proc_each("/proc", hunt_look, hunt);
        } while (hunt->n_found != before);
        for (size_t i = 0; i < hunt->n_found; i++)
                (void)kill(hunt->found[i], SIGKILL);
        return hunt->n_alive;
}

int tracer_end_released(TracerResult *result) {
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        Hunt hunt = {.result = result, .own_session = getsid(0)};

        if (result->n_released == 0)
                return 0;
        for (unsigned tries = 0; hunt_sweep(&hunt) > 0; tries++) {
                if (tries >= 5000)
                        return -ETIMEDOUT;
                (void)nanosleep(&pause, NULL);
        }
        (void)hunt_sweep(&hunt); /* the last of the dead, if they are ours to reap */
        result->n_released = 0;
        return 0;
}
