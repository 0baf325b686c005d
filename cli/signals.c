/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SA_RESTART: what is not written to wait for the flag must not see EINTR; what waits (poll, sleep) sees it all
 * the same.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/signals.h"

static volatile sig_atomic_t cancelled;

static void on_signal(int signal_number) {
        if (cancelled) {
                (void)signal(signal_number, SIG_DFL);
                (void)raise(signal_number);
                return;
        }
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

void signals_catch(void) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
}

void signals_cancel(int signal_number) {
        cancelled = signal_number;
}

const volatile sig_atomic_t *signals_flag(void) {
        return &cancelled;
}
