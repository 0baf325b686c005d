/* SPDX-License-Identifier: Apache-2.0 */
/* crash.kill: stops pawl by SIGKILL at every call that changes the disk or makes a process, in every flow, lets it
 * recover, and judges. crash.mutants is the same program: it proves that the sweep notices each deliberate mistake in
 * mutants.def. */
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
#include "tests/crash/mutants.h"
#include "tests/crash/seed.h"

enum { JOBS_MAX = 16, FLOWS_MAX = 64 };

static const char usage[] = "usage: crash.kill [OPTION]...\n"
                            "  --flow NAME     only this flow; --list shows them\n"
                            "  --at N          only this point\n"
                            "  --entry|--exit  kill only before, or only after the event\n"
                            "  --blind         let recovery also run without seeing any DONE\n"
                            "  --full          every point at entry and at exit, and blind\n"
                            "  --sample K      K percent of the points (25)\n"
                            "  --seed S        which ones\n"
                            "  --jobs J        worlds at a time\n"
                            "  --mutant NAME   with this mistake\n"
                            "  --mutants       prove that each mistake is noticed\n";

typedef struct Kill {
        SweepOptions sweep;
        const Flow *flow; /* NULL: all */
        const Mutant *mutant;
        unsigned n_jobs;
        bool is_mutants, is_list;
} Kill;

/* What a worker found, in memory that all share. */
typedef struct Total {
        SweepResult result;
        uint64_t msec;
        bool is_done;
} Total;

static Total (*totals)[FLOWS_MAX]; /* [worker][flow] */

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Options ---- */

enum {
        OPT_FLOW = 'f',
        OPT_AT = 'a',
        OPT_ENTRY = 'e',
        OPT_EXIT = 'x',
        OPT_BLIND = 'b',
        OPT_FULL = 'F',
        OPT_SAMPLE = 's'
};
enum { OPT_SEED = 'S', OPT_JOBS = 'j', OPT_MUTANT = 'm', OPT_MUTANTS = 'M', OPT_LIST = 'l' };

static const struct option options[] = {
        {"flow", 1, NULL, OPT_FLOW},
        {"at", 1, NULL, OPT_AT},
        {"entry", 0, NULL, OPT_ENTRY},
        {"exit", 0, NULL, OPT_EXIT},
        {"blind", 0, NULL, OPT_BLIND},
        {"full", 0, NULL, OPT_FULL},
        {"sample", 1, NULL, OPT_SAMPLE},
        {"seed", 1, NULL, OPT_SEED},
        {"jobs", 1, NULL, OPT_JOBS},
        {"mutant", 1, NULL, OPT_MUTANT},
        {"mutants", 0, NULL, OPT_MUTANTS},
        {"list", 0, NULL, OPT_LIST},
        {NULL, 0, NULL, 0},
};

static void take_samples(SweepOptions *o, int c) {
        if (c == OPT_SAMPLE) {
                o->sample = (unsigned)strtoul(optarg, NULL, 10);
                o->sample_exit = o->sample_done = o->sample / 5;
        }
        if (c == OPT_FULL)
                o->sample = o->sample_exit = o->sample_done = 100;
        if (c == OPT_BLIND)
                o->sample_done = 100;
}

static bool take_names(Kill *k, int c) {
        if (c == OPT_FLOW)
                k->flow = flow_find(optarg);
        if (c == OPT_MUTANT) {
                k->mutant = mutant_find(optarg);
                k->sweep.sample = 100;
        }
        return (c != OPT_FLOW || k->flow != NULL) && (c != OPT_MUTANT || k->mutant != NULL);
}

static bool take_option(Kill *k, int c) {
        take_samples(&k->sweep, c);
        if (c == OPT_AT) {
                k->sweep.at = strtoull(optarg, NULL, 10);
                k->n_jobs = 1;
                k->sweep.sample_done = 0;
        }
        k->sweep.only_entry |= c == OPT_ENTRY;
        k->sweep.only_exit |= c == OPT_EXIT;
        k->is_mutants |= c == OPT_MUTANTS;
        k->is_list |= c == OPT_LIST;
        if (c == OPT_SEED)
                k->sweep.seed = (uint32_t)strtoul(optarg, NULL, 10);
        if (c == OPT_JOBS)
                k->n_jobs = (unsigned)strtoul(optarg, NULL, 10);
        return c != '?' && take_names(k, c);
}

static bool parse(Kill *k, int argc, char **argv) {
        bool is_fine = true;
        int c;

        *k = (Kill){.n_jobs = 2, .sweep = {.sample = 25, .sample_exit = 3, .sample_done = 5}};
        k->sweep.seed = seed_default();
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
                is_fine = take_option(k, c);
        if (k->mutant != NULL)
                mutant_aim(k->mutant, &k->sweep);
        return is_fine && optind == argc && k->n_jobs > 0 && k->n_jobs <= JOBS_MAX;
}

/* ---- Workers ---- */

static void work(const Kill *k, unsigned worker) {
        static World world;
        SweepOptions sweep = k->sweep;
        bool is_fine = world_open(&world, worker) == 0;

        sweep.worker = worker;
        sweep.n_workers = k->n_jobs;
        for (unsigned i = 0; is_fine && i < n_flows; i++) {
                Total *total = &totals[worker][i];
                uint64_t start = now_msec();

                if (k->flow != NULL && k->flow != &flows[i])
                        continue;
                total->is_done = sweep_flow(&world, &flows[i], &sweep, &total->result);
                total->msec = now_msec() - start;
        }
        world_close(&world);
        _exit(is_fine ? 0 : 1);
}

static void work_mutants(const Kill *k, unsigned worker) {
        static World world;
        bool is_fine = world_open(&world, worker) == 0 && mutants_run(&world, worker, k->n_jobs, k->sweep.seed);

        world_close(&world);
        _exit(is_fine ? 0 : 1);
}

static bool run_workers(const Kill *k) {
        bool is_fine = true;
        int status;

        (void)fflush(stdout);
        for (unsigned i = 0; i < k->n_jobs; i++) {
                pid_t pid = fork();

                if (pid == 0)
                        k->is_mutants ? work_mutants(k, i) : work(k, i);
                is_fine = is_fine && pid > 0;
        }
        while (wait(&status) > 0)
                is_fine = is_fine && status == 0;
        return is_fine;
}

/* ---- The report ---- */

static void print_line(const char *name, const SweepResult *r, uint64_t msec) {
        (void)printf("%-22s %7" PRIu64 " %7" PRIu64 " %9" PRIu64 " %8.1f\n", name, r->n_points, r->n_runs,
                     r->n_failures, (double)msec / 1000);
}

static void keep_row(const Kill *k, const char *flow, const SweepResult *r, uint64_t msec) {
        Count c = {.tier = "kill",
                   .n_points = r->n_points,
                   .n_states = r->n_runs,
                   .n_failures = r->n_failures,
                   .msec = msec,
                   .is_sample = k->sweep.sample < 100 || k->sweep.sample_exit < 100 || k->sweep.sample_done < 100};

        (void)snprintf(c.row, sizeof c.row, "%s", flow);
        if (k->mutant == NULL && k->sweep.at == 0)
                count_write(&c);
}

static bool report(const Kill *k) {
        SweepResult all = {0};
        bool is_fine = true;
        uint64_t msec = 0;

        (void)printf("%-22s %7s %7s %9s %8s\n", "flow", "points", "runs", "failures", "seconds");
        for (unsigned i = 0; i < n_flows; i++) {
                SweepResult sum = {0};
                uint64_t longest = 0;

                if (k->flow != NULL && k->flow != &flows[i])
                        continue;
                for (unsigned w = 0; w < k->n_jobs; w++) {
                        const Total *total = &totals[w][i];

                        is_fine = is_fine && total->is_done;
                        sum.n_points += total->result.n_points;
                        sum.n_runs += total->result.n_runs;
                        sum.n_failures += total->result.n_failures;
                        longest = total->msec > longest ? total->msec : longest;
                }
                print_line(flows[i].name, &sum, longest);
                keep_row(k, flows[i].name, &sum, longest);
                all.n_points += sum.n_points;
                all.n_runs += sum.n_runs;
                all.n_failures += sum.n_failures;
                msec += longest;
        }
        print_line("total", &all, msec);
        (void)printf("seed %" PRIu32 "%s\n", k->sweep.seed, is_fine ? "" : "; it could not be done to the end");
        return is_fine && all.n_failures == 0;
}

static int list(void) {
        for (unsigned i = 0; i < n_flows; i++)
                (void)printf("%-22s %s%s%s\n", flows[i].name, flows[i].command,
                             flows[i].crash_at != NULL ? ", then recover, after a death at " : "",
                             flows[i].crash_at != NULL ? flows[i].crash_at : "");
        return 0;
}

int main(int argc, char **argv) {
        bool is_fine;
        Kill k;

        if (!parse(&k, argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        if (k.is_list)
                return list();
        totals = mmap(NULL, sizeof(Total[JOBS_MAX][FLOWS_MAX]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        if (totals == MAP_FAILED || n_flows > FLOWS_MAX)
                return 1;
        is_fine = k.is_mutants ? mutants_begin() && run_workers(&k) : run_workers(&k);
        return (k.is_mutants ? mutants_report() : report(&k)) && is_fine ? 0 : 1;
}
