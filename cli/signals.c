/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SA_RESTART: what is not written to wait for the flag must not see EINTR; what waits (poll, sleep) sees it all
 * the same.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/signals.h"

static volatile sig_atomic_t cancelled;
static volatile sig_atomic_t status_at_once;

static _Noreturn void stop_at_once(void) {
        static const char text[] = "pawl: stopped at once; what it had begun is left as it is: run \"pawl recover\"\n";
        ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)n;
        _exit(status_at_once);
}

/* A terminal that goes away says so more than once: by the kernel, by the shell, and again when the shell ends. */
static void on_signal(int signal_number) {
        if (cancelled && signal_number == SIGHUP)
                return;
        if (cancelled && cancelled != SIGHUP)
                stop_at_once();
        cancelled = signal_number;
}

/* A reader who went away is only seen by writing, or by asking. */
static void on_alarm(int signal_number) {
        struct pollfd fd = {.fd = STDOUT_FILENO};
        int saved = errno;
        (void)signal_number;
        if (!cancelled && poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLNVAL)))
                cancelled = SIGPIPE;
        errno = saved;
}

void signals_watch_stdout(void) {
        struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
        struct itimerval timer = {.it_interval.tv_usec = 250000, .it_value.tv_usec = 250000};
        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(SIGALRM, &action, NULL);
        (void)setitimer(ITIMER_REAL, &timer, NULL);
}

void signals_ignore_pipe(void) {
        (void)signal(SIGPIPE, SIG_IGN);
}

static bool is_ignored(int signal_number) {
        struct sigaction action;
        return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void signals_catch(int second_status) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        (void)sigemptyset(&action.sa_mask);
        status_at_once = second_status;
        if (!is_ignored(SIGHUP)) /* as under nohup */
                (void)sigaction(SIGHUP, &action, NULL);
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
}

void signals_cancel(int signal_number) {
        cancelled = signal_number;
}

const volatile sig_atomic_t *signals_flag(void) {
        return &cancelled;
}
