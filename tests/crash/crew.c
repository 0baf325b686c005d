/* SPDX-License-Identifier: Apache-2.0 */
/* See crew.h. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/counts.h"
#include "tests/crash/crew.h"

static CrewRow (*rows)[CREW_ROWS_MAX]; /* [worker][row], in memory that all share */

uint64_t crew_now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t crew_hash(uint64_t a, uint64_t b) {
        uint64_t x = (a + 1) * 0x9e3779b97f4a7c15 + b * 0xbf58476d1ce4e5b9;

        x = (x ^ (x >> 29)) * 0x94d049bb133111eb;
        return x ^ (x >> 32);
}

bool crew_is_sampled(uint32_t seed, uint64_t key, unsigned permille) {
        return crew_hash(key, seed) % 1000 < permille;
}

bool crew_is_slow(void) {
        enum { RUNS = 8, SLOW_MSEC = 25 };
        static World world;
        static WorldRun run;
        uint64_t fastest = UINT64_MAX;

        if (world_open(&world, CREW_MAX) == 0 && world_reset(&world) == 0)
                for (unsigned i = 0; i < RUNS; i++) {
                        world_pawl(&world, "list", NULL, &run);
                        fastest = run.msec < fastest ? run.msec : fastest;
                }
        world_close(&world);
        return fastest > SLOW_MSEC;
}

static void work(const Crew *c, unsigned worker) {
        static World world;
        bool is_fine = world_open(&world, worker) == 0;

        for (unsigned i = 0; is_fine && i < c->n_rows; i++) {
                CrewRow *row = &rows[worker][i];
                uint64_t start = crew_now_msec();

                if (c->is_left_out != NULL && c->is_left_out[i])
                        continue;
                row->is_done = c->work(&world, i, worker, row, c->userdata);
                row->msec = crew_now_msec() - start;
        }
        world_close(&world);
        (void)fflush(stdout);
        _exit(is_fine ? 0 : 1);
}

static bool run_workers(const Crew *c) {
        bool is_fine = true;
        int status;

        (void)fflush(stdout);
        for (unsigned i = 0; i < c->n_workers; i++) {
                pid_t pid = fork();

                if (pid == 0)
                        work(c, i);
                is_fine = is_fine && pid > 0;
        }
        while (wait(&status) > 0)
                is_fine = is_fine && status == 0;
        return is_fine;
}

static void print_row(const char *tier, const CrewRow *r) {
        (void)printf("%-22s %-8s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8.1f\n", r->name, tier,
                     r->n_points, r->n_states, r->n_runs, r->n_failures, (double)r->msec / 1000);
}

static void add(CrewRow *sum, const CrewRow *r) {
        sum->n_points += r->n_points;
        sum->n_states += r->n_states;
        sum->n_runs += r->n_runs;
        sum->n_failures += r->n_failures;
        sum->is_done = sum->is_done && r->is_done;
}

static void keep_row(const Crew *crew, const CrewRow *r) {
        Count c = {.n_points = r->n_points,
                   .n_states = r->n_states,
                   .n_faults = r->n_states,
                   .n_failures = r->n_failures,
                   .msec = r->msec,
                   .is_sample = crew->is_sample};

        (void)snprintf(c.tier, sizeof c.tier, "%s", crew->tier);
        (void)snprintf(c.row, sizeof c.row, "%s", r->name);
        if (!crew->is_partial)
                count_write(&c);
}

static bool report(const Crew *c) {
        CrewRow all = {.name = "total", .is_done = true};

        (void)printf("%-22s %-8s %8s %8s %8s %8s %8s\n", "flow", "tier", "points", "states", "runs", "failures",
                     "seconds");
        for (unsigned i = 0; i < c->n_rows; i++) {
                CrewRow sum = {.name = c->names[i], .is_done = true};

                if (c->is_left_out != NULL && c->is_left_out[i])
                        continue;
                for (unsigned w = 0; w < c->n_workers; w++) {
                        add(&sum, &rows[w][i]);
                        sum.msec = rows[w][i].msec > sum.msec ? rows[w][i].msec : sum.msec;
                }
                print_row(c->tier, &sum);
                keep_row(c, &sum);
                add(&all, &sum);
                all.msec += sum.msec;
        }
        print_row(c->tier, &all);
        if (!all.is_done)
                (void)printf("it could not be done to the end\n");
        return all.is_done && all.n_failures == 0;
}

bool crew_run(const Crew *c) {
        bool is_fine;

        rows = mmap(NULL, sizeof(CrewRow[CREW_MAX][CREW_ROWS_MAX]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
        if (rows == MAP_FAILED || c->n_rows > CREW_ROWS_MAX || c->n_workers > CREW_MAX)
                return false;
        is_fine = run_workers(c);
        return report(c) && is_fine;
}
