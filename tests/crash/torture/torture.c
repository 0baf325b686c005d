/* SPDX-License-Identifier: Apache-2.0 */
/* pawl-torture: killed processes and power cuts on somebody's own spec, in a scratch root. Installed beside
 * pawl-testing, the same pawl with crash points, which is what it kills; `pawl torture` runs it. It needs no root
 * and touches nothing outside of its scratch root but what the service itself touches. */
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/cut.h"
#include "tests/crash/json_text.h"
#include "tests/crash/sweep.h"

enum { QUICK_MSEC = 8000, MESSAGE_SIZE = 2048, EXIT_USAGE = 2, EXIT_SPEC = 10 };

static const char usage[] = "usage: pawl torture [--quick] [--json] [--seed S] SPEC\n"
                            "  --quick    as many points as fit into ten seconds\n"
                            "  --seed S   which ones; a run prints its seed\n"
                            "  --mutant M with a deliberate mistake in pawl, for the test of this program\n";

typedef struct Torture {
        const char *path, *file; /* the spec; its name in its folder */
        char folder[PATH_MAX];
        bool is_quick, is_json;
        uint32_t seed;
        const char *mutant; /* NULL: none */
        char version[64];   /* that runs after a deploy; empty: none does */
        uint64_t exposure_usec;
        char name[64], apply[WORLD_LINE_SIZE], restart[WORLD_LINE_SIZE], remove[WORLD_LINE_SIZE],
                upgrade[WORLD_LINE_SIZE];
} Torture;

/* ---- The spec ---- */

/* An empty hint is none. */
static int fail(const Torture *t, int status, const char *message, const char *hint) {
        if (t->is_json) {
                (void)printf("{\"pawl\":1,\"command\":\"torture\",\"result\":null,\"warnings\":[],\"error\":{\"code\":"
                             "\"%s\",\"message\":",
                             status == EXIT_SPEC ? "spec" : "failed");
                json_text_write(stdout, message);
                (void)printf(",\"hint\":");
                if (hint[0] != 0)
                        json_text_write(stdout, hint);
                else
                        (void)printf("null");
                (void)printf(",\"exit\":%d}}\n", status);
        }
        (void)fprintf(stderr, "pawl: torture: %s\n", message);
        if (hint[0] != 0)
                (void)fprintf(stderr, "  try: %s\n", hint);
        return status;
}

/* With what `what` is about, or why, behind it. */
static int fail_about(const Torture *t, int status, const char *what, const char *about, const char *hint) {
        char message[2 * MESSAGE_SIZE];

        (void)snprintf(message, sizeof message, "%s: %s", what, about);
        return fail(t, status, message, hint);
}

static uint64_t number_of(const char *json, const char *key) {
        const char *at = strstr(json, key);

        return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Finds the folder and the name of the file in it: pawl is run there, so that relative sources are found. */
static bool spec_find(Torture *t) {
        char *slash;

        if (realpath(t->path, t->folder) == NULL)
                return false;
        slash = strrchr(t->folder, '/');
        t->file = slash + 1;
        *slash = 0;
        if (t->folder[0] == 0) /* it lies in / */
                (void)snprintf(t->folder, sizeof t->folder, "/.");
        return true;
}

/* The trial went wrong: in pawl's own words, where it had any. */
static int fail_to_try(const Torture *t, const WorldRun *run) {
        const char *error = strstr(run->output, "\n  \"error\": {"); /* the command's, not an outcome's */
        char message[MESSAGE_SIZE] = "", hint[MESSAGE_SIZE] = "";

        if (error != NULL) {
                json_text_read(error, "message", message, sizeof message);
                json_text_read(error, "hint", hint, sizeof hint);
        } else if (run->status < 0)
                (void)snprintf(message, sizeof message, "it comes to no end");
        else
                (void)snprintf(message, sizeof message, "exit status %d", run->status);
        return fail_about(t, run->status == EXIT_SPEC ? EXIT_SPEC : 1, "the spec cannot be deployed in a scratch root",
                          message, hint);
}

/* Undisturbed, once: what the service is called, and what runs then. */
static int spec_try(Torture *t, World *w) {
        static WorldRun run;
        char line[WORLD_LINE_SIZE];

        (void)snprintf(line, sizeof line, "apply %s --json", t->file);
        if (world_reset(w) < 0)
                return fail(t, 1, "the scratch root could not be made", "");
        world_pawl(w, "init --json", NULL, &run);
        if (run.status == 0)
                world_pawl(w, line, NULL, &run);
        if (run.status != 0)
                return fail_to_try(t, &run);
        json_text_read(run.output, "service", t->name, sizeof t->name);
        t->exposure_usec = number_of(run.output, "\"exposure_usec\":");
        (void)world_count(w, t->version, sizeof t->version);
        (void)snprintf(w->name, sizeof w->name, "%s", t->name);
        (void)snprintf(t->apply, sizeof t->apply, "apply %s", t->file);
        (void)snprintf(t->restart, sizeof t->restart, "restart %s", t->name);
        (void)snprintf(t->remove, sizeof t->remove, "remove %s --yes", t->name);
        world_end(w);
        return t->name[0] != 0 ? 0 : fail(t, 1, "the answer of apply names no service", "");
}

/* ---- The flows and the tiers ---- */

enum { TORTURE_FLOWS = 6, TORTURE_ROWS = 2 * TORTURE_FLOWS, LEARNING_MSEC = 1000 };

typedef struct Row {
        const char *tier;
        bool (*run)(const Torture *t, World *w, struct Row *row, uint64_t budget_msec);
        Flow flow;
        uint64_t n_points, n_states, n_judged, n_failures;
        uint64_t msec;
        bool is_done, is_late; /* late: there was no time for it */
} Row;

/* What a process leaves that is killed. */
static bool run_kill(const Torture *t, World *w, Row *row, uint64_t budget_msec) {
        const SweepOptions options = {.sample = 100,
                                      .only_entry = t->is_quick,
                                      .sample_exit = t->is_quick ? 0 : 10,
                                      .seed = t->seed,
                                      .n_workers = 1,
                                      .mutant = t->mutant,
                                      .mutant_runs = true,
                                      .mutant_recovers = true,
                                      .budget_msec = budget_msec,
                                      .is_quiet = t->is_json};
        SweepResult result = {0};
        bool is_done = sweep_flow(w, &row->flow, &options, &result);

        row->n_points = result.n_points;
        row->n_states = row->n_judged = result.n_runs;
        row->n_failures = result.n_failures;
        return is_done;
}

/* What the disk may hold when the power goes. */
static bool run_power(const Torture *t, World *w, Row *row, uint64_t budget_msec) {
        const CutOptions options = {.lint = true,
                                    .states = true,
                                    .classes = 100,
                                    .mutant = t->mutant,
                                    .mutant_runs = true,
                                    .mutant_recovers = true,
                                    .limits = {.limit = t->is_quick ? 64 : 512,
                                               .n_samples = t->is_quick ? 4 : 16,
                                               .seed = t->seed},
                                    .budget_msec = budget_msec,
                                    .is_quiet = t->is_json};
        CutResult result = {0};
        bool is_done = cut_flow(w, &row->flow, &options, &result);

        row->n_points = result.n_events;
        row->n_states = result.n_states;
        row->n_judged = result.n_judged;
        row->n_failures = result.n_failures + result.n_findings;
        return is_done;
}

/* A flow's tiers one behind the other: however little time there is, each has its share. */
static void rows_fill(const Torture *t, Row *rows) {
        FlowState none = {NULL, PORT_UNASKED}, there = {t->version[0] != 0 ? t->version : NULL, PORT_UNASKED};
        const Flow flows_of_spec[TORTURE_FLOWS] = {
                {"deploy", {"init"}, t->apply, 0, none, there, FLOW_REPEATS, NULL},
                {"remove", {t->apply}, t->remove, 0, there, none, 0, NULL},
                {"restart", {t->apply}, t->restart, 0, there, there, 0, NULL},
                {"recover-deploy", {"init"}, t->apply, 0, none, there, FLOW_REPEATS, "commit-before"},
                {"recover-remove", {t->apply}, t->remove, 0, there, none, 0, "commit-before"},
                {"recover-restart", {t->apply}, t->restart, 0, there, there, 0, "apply-after"},
        };

        for (size_t i = 0; i < TORTURE_FLOWS; i++) {
                rows[2 * i] = (Row){.tier = "kill", .run = run_kill, .flow = flows_of_spec[i]};
                rows[2 * i + 1] = (Row){.tier = "power", .run = run_power, .flow = flows_of_spec[i]};
        }
}

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- The report ---- */

static void print_row(const char *name, const Row *r, const char *more) {
        (void)printf("%-16s %-6s %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %9" PRIu64 " %8.1f%s\n", name, r->tier,
                     r->n_points, r->n_states, r->n_judged, r->n_failures, (double)r->msec / 1000, more);
}

static void report_text(const Torture *t, const Row *rows, const Row *all) {
        (void)printf("%-16s %-6s %7s %7s %7s %9s %8s\n", "flow", "tier", "points", "states", "judged", "failures",
                     "seconds");
        for (size_t i = 0; i < TORTURE_ROWS; i++)
                print_row(rows[i].flow.name, &rows[i],
                          rows[i].is_late   ? "  no time for it"
                          : rows[i].is_done ? ""
                                            : "  NOT DONE");
        print_row("total", all, "");
        (void)printf("exposure %.1f ms: from the first visible change of a deploy to its commit\n"
                     "seed %" PRIu32 "\n",
                     (double)t->exposure_usec / 1000, t->seed);
}

static void print_counts_json(const Row *r) {
        (void)printf("\"points\":%" PRIu64 ",\"states\":%" PRIu64 ",\"judged\":%" PRIu64 ",\"failures\":%" PRIu64
                     ",\"done\":%s",
                     r->n_points, r->n_states, r->n_judged, r->n_failures, r->is_done ? "true" : "false");
}

static void report_json(const Torture *t, const Row *rows, const Row *all) {
        (void)printf("{\"pawl\":1,\"command\":\"torture\",\"result\":{\"service\":\"%s\",\"flows\":[", t->name);
        for (size_t i = 0; i < TORTURE_ROWS; i++) {
                (void)printf("%s{\"flow\":\"%s\",\"tier\":\"%s\",", i > 0 ? "," : "", rows[i].flow.name, rows[i].tier);
                print_counts_json(&rows[i]);
                (void)printf("}");
        }
        (void)printf("],");
        print_counts_json(all);
        (void)printf(",\"exposure_usec\":%" PRIu64 ",\"seed\":%" PRIu32 "},\"warnings\":[],\"error\":null}\n",
                     t->exposure_usec, t->seed);
}

static void add(Row *all, const Row *row) {
        all->n_points += row->n_points;
        all->n_states += row->n_states;
        all->n_judged += row->n_judged;
        all->n_failures += row->n_failures;
        all->is_done = all->is_done && row->is_done;
}

static int torture(Torture *t, World *w) {
        uint64_t start = now_msec();
        Row rows[TORTURE_ROWS], all = {.tier = "", .is_done = true};
        int r = spec_try(t, w);

        if (r != 0)
                return r;
        rows_fill(t, rows);
        for (size_t i = 0; i < TORTURE_ROWS; i++) {
                uint64_t began = now_msec(), used = began - start, left = used < QUICK_MSEC ? QUICK_MSEC - used : 0;

                rows[i].is_late = t->is_quick && i > 1 && left < 2 * LEARNING_MSEC;
                if (rows[i].is_late)
                        continue;
                rows[i].is_done = rows[i].run(t, w, &rows[i], t->is_quick ? left / 4 + 1 : 0);
                rows[i].msec = now_msec() - began;
                add(&all, &rows[i]);
        }
        all.msec = now_msec() - start;
        (t->is_json ? report_json : report_text)(t, rows, &all);
        return all.is_done && all.n_failures == 0 ? 0 : 1;
}

/* ---- Options ---- */

static const struct option options[] = {{"quick", 0, NULL, 'q'},
                                        {"json", 0, NULL, 'j'},
                                        {"seed", 1, NULL, 'S'},
                                        {"mutant", 1, NULL, 'm'},
                                        {NULL, 0, NULL, 0}};

static bool parse(Torture *t, int argc, char **argv) {
        bool is_fine = true;
        int c;

        (void)!getrandom(&t->seed, sizeof t->seed, 0);
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                t->is_quick |= c == 'q';
                t->is_json |= c == 'j';
                if (c == 'm')
                        t->mutant = optarg;
                if (c == 'S')
                        t->seed = (uint32_t)strtoul(optarg, NULL, 10);
                is_fine = c != '?';
        }
        t->path = argv[optind];
        return is_fine && optind + 1 == argc;
}

/* Beside this program, unless the environment names another. */
static void find_testing(void) {
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);

        if (n <= 0)
                return;
        path[n] = 0;
        (void)snprintf(strrchr(path, '/'), 32, "/pawl-testing");
        (void)setenv("PAWL_TESTING", path, 0);
}

static World world;

/* What ends us, where the caller did not have it ignored; and that a child has ended. */
static void signals_init(sigset_t *ret) {
        static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
        struct sigaction action;

        (void)signal(SIGCHLD, SIG_DFL);
        (void)sigemptyset(ret);
        (void)sigaddset(ret, SIGCHLD);
        for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
                if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        (void)sigaddset(ret, ending[i]);
}

static int await(pid_t pid, const sigset_t *signals) {
        int status = 0;

        while (waitpid(pid, &status, WNOHANG) == 0) {
                int sig = sigwaitinfo(signals, NULL);

                if (sig <= 0 || sig == SIGCHLD)
                        continue;
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                return 128 + sig;
        }
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In a child, so that whatever happens to it somebody is left to clean up: here signals stay blocked to the end, and
 * what descends from the child comes to us. */
static int supervise(Torture *t) {
        sigset_t signals, before;
        pid_t pid;

        signals_init(&signals);
        (void)sigprocmask(SIG_BLOCK, &signals, &before);
        (void)fflush(stdout);
        pid = fork();
        if (pid == 0) {
                (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)sigprocmask(SIG_SETMASK, &before, NULL);
                exit(torture(t, &world));
        }
        return pid > 0 ? await(pid, &signals) : 1;
}

int main(int argc, char **argv) {
        Torture t = {0};
        int status;

        if (!parse(&t, argc, argv)) {
                (void)fputs(usage, stderr);
                return EXIT_USAGE;
        }
        if (!spec_find(&t))
                return fail_about(&t, EXIT_SPEC, "there is no such spec", t.path, "");
        if (strpbrk(t.file, " \t") != NULL)
                return fail_about(&t, EXIT_USAGE, "the name of the spec has a space in it", t.file,
                                  "Give the file another name.");
        find_testing();
        status = world_open_for(&world, (unsigned)getpid(), t.folder, "") < 0 ? 1 : supervise(&t);
        world_close(&world);
        return status;
}
