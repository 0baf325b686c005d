/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs two programs in turn, A B A B ..., and prints the medians of their wall times in microseconds, and the greatest
 * resident memory of each (of any process it waited for) in KiB:
 *
 *   bench-measure [--silence PORT] RUNS LOG :: [prepare A...] :: A... :: [prepare B...] :: B...
 *
 * With --silence it is not the time of a program that counts, but how long nobody answers HTTP on 127.0.0.1:PORT
 * meanwhile: a client asks again and again, until it has had an answer after the end of the program as well. What
 * prepares a run is not timed. A program that fails ends it all with status 1; what it printed is in LOG.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIDES = 2, RUNS_MAX = 1000, PAUSE_USEC = 200, SILENCE_MAX_USEC = 20 * 1000 * 1000 };

typedef struct Side {
        char **prepare, **run; /* ended by NULL; empty: nothing to do */
        uint64_t usec[RUNS_MAX];
        long rss;
} Side;

static uint64_t now_usec(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- The client ---- */

typedef struct Client {
        pthread_t thread;
        int port;
        atomic_bool is_ended; /* the program is */
        uint64_t silence;
} Client;

static bool is_answered(int port) {
        static const char request[] = "GET / HTTP/1.0\r\n\r\n";
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        char answer[256];
        bool any = false;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1)
                while (read(fd, answer, sizeof(answer)) > 0)
                        any = true;
        close(fd);
        return any;
}

static void *client_run(void *data) {
        Client *c = data;
        uint64_t last = now_usec();
        for (;;) {
                bool is_last = atomic_load(&c->is_ended), is_up = is_answered(c->port);
                uint64_t now = now_usec(), silence = now - last;
                if (is_up && silence > c->silence)
                        c->silence = silence;
                if (is_up)
                        last = now;
                if ((is_up && is_last) || silence > SILENCE_MAX_USEC)
                        return is_up ? c : NULL;
                usleep(PAUSE_USEC);
        }
}

static int client_start(Client *c) {
        return pthread_create(&c->thread, NULL, client_run, c) == 0 ? 0 : -1;
}

static int client_end(Client *c, uint64_t *ret_silence) {
        void *is_fine = NULL;
        atomic_store(&c->is_ended, true);
        if (pthread_join(c->thread, &is_fine) != 0 || !is_fine)
                return -1;
        *ret_silence = c->silence;
        return 0;
}

/* ---- The programs ---- */

/* posix_spawn shares memory until the exec: the time of a fork would depend on this program, not on the one that is
 * measured. */
static int run(char **argv, const char *log, uint64_t *ret_usec, long *ret_rss) {
        int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
            in = open("/dev/null", O_RDONLY | O_CLOEXEC), status = 0;
        struct rusage usage;
        posix_spawn_file_actions_t actions;
        pid_t pid = -1;
        if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawn_file_actions_adddup2(&actions, in, 0) != 0 ||
            posix_spawn_file_actions_adddup2(&actions, out, 1) != 0 ||
            posix_spawn_file_actions_adddup2(&actions, out, 2) != 0)
                return -1;
        uint64_t start = now_usec();
        if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
                return -1;
        (void)posix_spawn_file_actions_destroy(&actions);
        if (wait4(pid, &status, 0, &usage) != pid)
                return -1;
        *ret_usec = now_usec() - start;
        *ret_rss = usage.ru_maxrss;
        close(out);
        close(in);
        return status == 0 ? 0 : -1;
}

/* port 0: the time counts */
static int run_measured(char **argv, int port, const char *log, uint64_t *ret_usec, long *ret_rss) {
        Client client = {.port = port};
        if (port > 0 && client_start(&client) < 0)
                return -1;
        int r = run(argv, log, ret_usec, ret_rss);
        if (port > 0 && client_end(&client, ret_usec) < 0)
                return -1;
        return r;
}

static int run_side(Side *s, int i, int port, const char *log) {
        uint64_t ignored_usec;
        long rss;
        if ((s->prepare[0] && run(s->prepare, log, &ignored_usec, &rss) < 0) ||
            run_measured(s->run, port, log, &s->usec[i], &rss) < 0) {
                fprintf(stderr, "bench-measure: \"%s\" failed\n", s->run[0]);
                return -1;
        }
        if (rss > s->rss)
                s->rss = rss;
        return 0;
}

static int by_number(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return x < y ? -1 : x > y;
}

static uint64_t median(Side *s, int n) {
        qsort(s->usec, (size_t)n, sizeof(s->usec[0]), by_number);
        return n % 2 ? s->usec[n / 2] : (s->usec[n / 2 - 1] + s->usec[n / 2]) / 2;
}

/* Cuts the arguments at "::"; false when there are not as many parts as it takes. */
static int parse(char **argv, Side sides[SIDES]) {
        char **parts[2 * SIDES];
        int n = 0;
        for (; *argv; argv++) {
                if (strcmp(*argv, "::") != 0)
                        continue;
                *argv = NULL;
                if (n == 2 * SIDES)
                        return 0;
                parts[n++] = argv + 1;
        }
        for (int i = 0; n == 2 * SIDES && i < SIDES; i++) {
                sides[i].prepare = parts[2 * i];
                sides[i].run = parts[2 * i + 1];
        }
        return n == 2 * SIDES && sides[0].run[0] && sides[1].run[0];
}

int main(int argc, char **argv) {
        static Side sides[SIDES];
        int port = argc > 2 && strcmp(argv[1], "--silence") == 0 ? (int)strtol(argv[2], NULL, 10) : 0;
        if (port > 0) {
                argc -= 2;
                argv += 2;
        }
        long n = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
        if (n < 1 || n > RUNS_MAX || !parse(argv + 3, sides)) {
                fprintf(stderr,
                        "usage: bench-measure [--silence PORT] RUNS LOG :: [prepare A...] :: A... :: [prepare B...] :: B...\n");
                return 2;
        }
        for (int i = 0; i < (int)n; i++)
                for (int k = 0; k < SIDES; k++)
                        if (run_side(&sides[k], i, port, argv[2]) < 0)
                                return 1;
        printf("%llu %llu %ld %ld\n", (unsigned long long)median(&sides[0], (int)n),
               (unsigned long long)median(&sides[1], (int)n), sides[0].rss, sides[1].rss);
        return 0;
}
