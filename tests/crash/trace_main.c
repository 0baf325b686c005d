/* SPDX-License-Identifier: Apache-2.0 */
/* trace: counts what a command does to the world, or strikes at the N-th event. For the developer who wants to see
 * what a failing sweep did at its N. Exit status: 0 fine, 1 a gap or an error, 2 usage, 3 event N was not reached. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/tracer.h"

static const char usage[] = "usage: trace [OPTION]... -- COMMAND [ARGUMENT]...\n"
                            "  -k N        kill -9 before event N takes place\n"
                            "  -K N        kill -9 when event N has taken place\n"
                            "  -e N,ERRNO  event N fails (EIO, 5, ...)\n"
                            "  -l N,ERRNO  event N takes place and reports failure\n"
                            "  -s N        event N, a write, takes half of its bytes\n"
                            "  -t N        after that: kill -9 before event N\n"
                            "  -m KINDS    count only d(isk), p(rocesses), n(etwork)\n"
                            "  -r          the kill hits only the command's own process\n"
                            "  -x          let go of what runs another program; -X of what has a session of its own\n"
                            "  -p PREFIX   let go of programs whose path starts so\n"
                            "  -w MS       time limit\n"
                            "  -v          print every event\n"
                            "What was let go lives on.\n";

static int parse_errno(const char *text) {
        char *end;
        long value = strtol(text, &end, 10);

        if (*text != 0 && *end == 0)
                return (int)value;
        for (int i = 1; i < 200; i++) {
                const char *name = strerrorname_np(i);

                if (name != NULL && strcmp(name, text) == 0)
                        return i;
        }
        return 0;
}

static bool parse_strike(TracerSpec *spec, TracerMode mode, const char *text) {
        char *end;

        spec->mode = mode;
        spec->at = strtoull(text, &end, 10);
        if (mode == TRACER_ERRNO || mode == TRACER_LIE) {
                spec->errno_value = *end == ',' ? parse_errno(end + 1) : 0;
                return spec->at > 0 && spec->errno_value > 0;
        }
        return spec->at > 0 && *end == 0;
}

static bool parse_kinds(TracerSpec *spec, const char *text) {
        for (; *text != 0; text++) {
                if (strchr("dpn", *text) == NULL)
                        return false;
                spec->kinds_mask |= *text == 'd' ? TRACER_DISK : *text == 'p' ? TRACER_PROC : TRACER_NET;
        }
        return spec->kinds_mask != 0;
}

static void print_event(const TracerEvent *event, void *userdata) {
        (void)userdata;
        if (!event->is_exit)
                return;
        (void)fprintf(stderr, "%5llu %7d %s %-12s %s%s%s = %lld", (unsigned long long)event->n, event->pid,
                      event->kind == TRACER_DISK   ? "disk"
                      : event->kind == TRACER_PROC ? "proc"
                                                   : "net ",
                      event->name, event->path, event->path2[0] != 0 ? " -> " : "", event->path2,
                      (long long)event->result);
        if (event->told != event->result)
                (void)fprintf(stderr, " (told %lld)", (long long)event->told);
        (void)fputc('\n', stderr);
}

/* Returns whether the arguments are understood. */
static bool parse(TracerSpec *spec, const char **prefix, int argc, char **argv) {
        static const char modes[] = "kKels";
        static const TracerMode mode_of[] = {TRACER_KILL_ENTRY, TRACER_KILL_EXIT, TRACER_ERRNO, TRACER_LIE,
                                             TRACER_SHORT};
        bool is_fine = true;
        int c;

        while (is_fine && (c = getopt(argc, argv, "+k:K:e:l:s:t:m:rxXp:w:v")) != -1) {
                const char *mode = strchr(modes, c);

                if (mode != NULL)
                        is_fine = parse_strike(spec, mode_of[mode - modes], optarg);
                else if (c == 't')
                        spec->then_kill_at = strtoull(optarg, NULL, 10);
                else if (c == 'm')
                        is_fine = parse_kinds(spec, optarg);
                else if (c == 'r')
                        spec->kill_root_only = true;
                else if (c == 'x' || c == 'X')
                        spec->release |= c == 'x' ? TRACER_RELEASE_OTHER_PROGRAM : TRACER_RELEASE_OWN_SESSION;
                else if (c == 'p')
                        *prefix = optarg;
                else if (c == 'w')
                        spec->timeout_ms = strtoull(optarg, NULL, 10);
                else if (c == 'v')
                        spec->on_event = print_event;
                else
                        is_fine = false;
        }
        return is_fine && optind < argc;
}

static void print_total(const TracerResult *result) {
        int status = result->wait_status;

        (void)fprintf(stderr, "trace: %llu events, %s %d", (unsigned long long)result->n_events,
                      WIFSIGNALED(status) ? "killed by signal" : "exit status",
                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (result->fired)
                (void)fprintf(stderr, "; struck at %llu: %s %s%s", (unsigned long long)result->fired_event.n,
                              result->fired_event.name, result->fired_event.path,
                              result->applied ? "" : " (it cannot be struck so)");
        if (result->timed_out)
                (void)fputs("; time limit reached", stderr);
        for (size_t i = 0; i < result->n_released; i++)
                (void)fprintf(stderr, "%s %d", i == 0 ? "; let go:" : "", result->released[i].pid);
        (void)fputc('\n', stderr);
}

int main(int argc, char **argv) {
        static TracerResult result;
        const char *prefixes[] = {NULL, NULL};
        TracerSpec spec = {.release_prefixes = prefixes};
        int r;

        if (!parse(&spec, &prefixes[0], argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        spec.argv = argv + optind;
        r = tracer_run(&spec, &result);
        if (r < 0) {
                (void)fprintf(stderr, "trace: could not run \"%s\": %s\n", spec.argv[0], strerror(-r));
                return 1;
        }
        print_total(&result);
        if (r == TRACER_GAP)
                (void)fprintf(stderr, "trace: %s\n", result.problem);
        if (r != 0 || result.timed_out)
                return 1;
        return spec.at != 0 && !result.fired ? 3 : 0;
}
