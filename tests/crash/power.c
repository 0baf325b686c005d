/* SPDX-License-Identifier: Apache-2.0 */
/* crash.power, crash.lint: what a power cut leaves of every flow, and of every recovery (cut.h). */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/counts.h"
#include "tests/crash/cut.h"
#include "tests/crash/mutants.h"
#include "tests/crash/seed.h"

enum { JOBS_MAX = 16, FLOWS_MAX = 64, DEPTH_MAX = 32, RECOVERIES_MAX = 1500 };

static const char usage[] =
        "usage: crash.power [OPTION]...\n"
        "  --lint            only look at the recordings\n"
        "  --nested          cut the recovery of each state in turn\n"
        "  --full            all: no sample, kills at every event, nested to the end or 1,500 recoveries\n"
        "  --flow NAME       only this flow\n"
        "  --state X         judge only this state\n"
        "  --sample K        percent of the states that are judged beyond one of each class\n"
        "  --classes K       percent of the classes\n"
        "  --seed S          which ones\n"
        "  --jobs J          flows at a time\n"
        "  --first           end with the first thing that is wrong\n"
        "  --mutant NAME     with this mistake\n";

typedef struct Power {
        CutOptions cut;
        const Flow *flow; /* NULL: all */
        unsigned n_jobs;
        bool is_lint;
} Power;

/* What the workers found, in memory that all share. */
typedef struct Total {
        CutResult result;
        uint64_t msec;
        bool is_done;
} Total;

typedef struct Shared {
        unsigned next; /* who is free takes the next one */
        Total totals[FLOWS_MAX];
} Shared;

static Shared *shared;

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Options ---- */

static const struct option options[] = {
        {"lint", 0, NULL, 'L'},  {"nested", 0, NULL, 'n'}, {"full", 0, NULL, 'F'},    {"flow", 1, NULL, 'f'},
        {"state", 1, NULL, 'x'}, {"sample", 1, NULL, 's'}, {"classes", 1, NULL, 'c'}, {"seed", 1, NULL, 'S'},
        {"jobs", 1, NULL, 'j'},  {"mutant", 1, NULL, 'm'}, {"first", 0, NULL, '1'},   {NULL, 0, NULL, 0},
};

static unsigned number(void) {
        return (unsigned)strtoul(optarg, NULL, 10);
}

static bool take_names(Power *p, int c) {
        const Mutant *mutant;

        if (c == 'f')
                return (p->flow = flow_find(optarg)) != NULL;
        mutant = mutant_find(optarg);
        if (mutant == NULL)
                return false;
        p->cut.mutant = mutant->name;
        p->cut.mutant_runs = p->cut.mutant_recovers = true;
        return true;
}

static void take_full(CutOptions *o) {
        o->lint = o->states = o->nested = true;
        o->killed = o->sample = o->classes = o->nested_classes = 100;
        o->nested_sample = 5;
        o->max_recoveries = RECOVERIES_MAX;
        o->max_depth = DEPTH_MAX;
        o->limits = (StatesLimits){.limit = 2048, .n_samples = 512, .with_pairs = true, .seed = o->limits.seed};
}

static bool take_option(Power *p, int c) {
        switch (c) {
        case 'L':
                p->is_lint = true;
                return true;
        case 'n':
                p->cut.nested = true;
                return true;
        case 'F':
                take_full(&p->cut);
                return true;
        case 'x':
                p->cut.only = strtoull(optarg, NULL, 16);
                return true;
        case 's':
                p->cut.sample = number();
                return true;
        case 'c':
                p->cut.classes = p->cut.nested_classes = number();
                return true;
        case 'S':
                p->cut.limits.seed = strtoull(optarg, NULL, 10);
                return true;
        case '1':
                p->cut.ends_at_first = true;
                return true;
        case 'j':
                p->n_jobs = number();
                return true;
        default:
                return (c == 'f' || c == 'm') && take_names(p, c);
        }
}

static bool parse(Power *p, int argc, char **argv) {
        bool is_fine = true;
        int c;

        *p = (Power){.n_jobs = 2,
                     .cut = {.lint = true,
                             .states = true,
                             .killed = 5,
                             .sample = 0,
                             .classes = 25,
                             .nested_classes = 5,
                             .max_depth = DEPTH_MAX,
                             .limits = {.limit = 512, .n_samples = 16, .seed = seed_default()}}};
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
                is_fine = take_option(p, c);
        if (p->is_lint)
                p->cut.states = false;
        else if (p->cut.killed < 100)
                p->cut.killed = 0; /* crash.lint does that */
        return is_fine && optind == argc && p->n_jobs > 0 && p->n_jobs <= JOBS_MAX;
}

/* ---- Workers ---- */

static void print_line(const char *name, const CutResult *r, uint64_t msec) {
        (void)printf("%-21s %6" PRIu64 " %5" PRIu64 " %7" PRIu64 " %7" PRIu64 " %6" PRIu64 " %6" PRIu64 " %8" PRIu64
                     " %7" PRIu64 " %6" PRIu64 " %5u %5" PRIu64 " %5" PRIu64 " %6.1f\n",
                     name, r->n_events, r->n_kills, r->n_states, r->n_classes, r->n_judged, r->n_recoveries,
                     r->n_nested_states, r->n_nested_classes, r->n_nested_judged, r->depth, r->n_findings,
                     r->n_failures, (double)msec / 1000);
}

static void print_title(void) {
        (void)printf("%-21s %6s %5s %7s %7s %6s %6s %8s %7s %6s %5s %5s %5s %6s\n", "flow", "events", "kills", "states",
                     "classes", "judged", "recov.", "n.states", "classes", "judged", "depth", "lint", "fail", "secs");
}

static bool work_flow(const Power *p, World *world, unsigned i) {
        Total *total = &shared->totals[i];
        uint64_t start = now_msec();

        total->is_done = cut_flow(world, &flows[i], &p->cut, &total->result);
        total->msec = now_msec() - start;
        print_line(flows[i].name, &total->result, total->msec);
        (void)fflush(stdout);
        return total->is_done;
}

static void work(const Power *p, unsigned worker) {
        static World world;
        bool is_fine = world_open(&world, 32 + worker) == 0;
        unsigned i;

        while (is_fine && (i = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST)) < n_flows)
                if (p->flow == NULL || p->flow == &flows[i])
                        (void)work_flow(p, &world, i);
        world_close(&world);
        (void)fflush(stdout);
        _exit(is_fine ? 0 : 1);
}

static bool run_workers(const Power *p) {
        bool is_fine = true;
        int status;

        (void)fflush(stdout);
        for (unsigned i = 0; i < p->n_jobs; i++) {
                pid_t pid = fork();

                if (pid == 0)
                        work(p, i);
                is_fine = is_fine && pid > 0;
        }
        while (wait(&status) > 0)
                is_fine = is_fine && status == 0;
        return is_fine;
}

/* ---- The report ---- */

static void add(CutResult *sum, const CutResult *r) {
        sum->n_events += r->n_events;
        sum->n_kills += r->n_kills;
        sum->n_states += r->n_states;
        sum->n_classes += r->n_classes;
        sum->n_judged += r->n_judged;
        sum->n_recoveries += r->n_recoveries;
        sum->n_nested_states += r->n_nested_states;
        sum->n_nested_classes += r->n_nested_classes;
        sum->n_nested_judged += r->n_nested_judged;
        sum->n_findings += r->n_findings;
        sum->n_failures += r->n_failures;
        sum->n_asked += r->n_asked;
        sum->n_left += r->n_left;
        sum->depth = r->depth > sum->depth ? r->depth : sum->depth;
}

static void keep(Count *c, const char *tier, const char *flow) {
        (void)snprintf(c->tier, sizeof c->tier, "%s", tier);
        (void)snprintf(c->row, sizeof c->row, "%s", flow);
        count_write(c);
}

/* What is cut in recovery takes its time from the flow's. */
static void keep_row(const Power *p, const char *flow, const CutResult *r, uint64_t msec) {
        const CutOptions *o = &p->cut;
        Count lint = {.n_points = r->n_events,
                      .n_states = 1 + r->n_kills,
                      .n_failures = r->n_findings,
                      .msec = msec,
                      .is_sample = o->killed < 100};
        Count power = {.n_points = r->n_events,
                       .n_states = r->n_states,
                       .n_failures = r->n_findings + r->n_failures,
                       .msec = msec,
                       .is_sample = o->sample < 100};
        Count nested = {.n_points = r->n_recoveries,
                        .n_states = r->n_nested_states,
                        .n_classes = r->n_nested_classes,
                        .n_left = r->n_left,
                        .is_sample = r->n_left > 0};

        if (o->mutant != NULL || o->only != 0)
                return;
        if (p->is_lint)
                keep(&lint, "lint", flow);
        else
                keep(&power, "power", flow);
        if (o->nested && !p->is_lint)
                keep(&nested, "nested", flow);
}

static bool report(const Power *p) {
        CutResult all = {0};
        bool is_fine = true;
        uint64_t msec = 0;

        for (unsigned i = 0; i < n_flows; i++) {
                const Total *total = &shared->totals[i];

                if (p->flow != NULL && p->flow != &flows[i])
                        continue;
                is_fine = is_fine && total->is_done;
                keep_row(p, flows[i].name, &total->result, total->msec);
                add(&all, &total->result);
                msec += total->msec;
        }
        print_line("total", &all, msec);
        if (p->cut.nested && all.n_left == 0)
                (void)printf("fixpoint: no recovery leaves what another one that was cut has not left\n");
        else if (p->cut.nested)
                (void)printf("%" PRIu64 " classes beyond the sample: their recovery was not cut\n", all.n_left);
        (void)printf("seed %" PRIu64 "; %" PRIu64 " times a person had to ask for what was held%s\n",
                     p->cut.limits.seed, all.n_asked, is_fine ? "" : "; it could not be done to the end");
        return is_fine && all.n_failures + all.n_findings == 0;
}

int main(int argc, char **argv) {
        bool is_fine;
        Power p;

        if (!parse(&p, argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED || n_flows > FLOWS_MAX)
                return 1;
        print_title();
        is_fine = run_workers(&p);
        return report(&p) && is_fine ? 0 : 1;
}
