/* SPDX-License-Identifier: Apache-2.0 */
/* crash.alloc: the N-th allocation of every flow fails, pawl's own or a library's. pawl ends by an error (or did not
 * need it), never by a signal, and what it left is put back by itself or by recovery. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crew_options.h"
#include "tests/crash/judge.h"

static const char usage[] = "usage: crash.alloc [OPTION]...\n"
                            "  --flow NAME  only this flow\n"
                            "  --at N       only this allocation\n"
                            "  --cases N    how many of each flow\n"
                            "  --full       every allocation\n"
                            "  --seed S     which ones\n"
                            "  --jobs J     worlds at a time\n";

typedef struct Alloc {
        const CrewOptions *options;
        World *world;
        Judge judge;
        WorldRun run;
        char both[2 * WORLD_OUTPUT_SIZE];
        uint64_t n_allocations; /* of an undisturbed run */
} Alloc;

/* Puts the root back and runs the flow, or the recovery of its crash, with the N-th allocation failing; 0: none. */
static bool run(Alloc *a, uint64_t n) {
        const Flow *flow = a->judge.flow;
        const WorldEnv crash = {.crash_at = flow->crash_at};
        char at[64], to[WORLD_PATH_SIZE + 32];
        const WorldEnv env = {.preload = ALLOC_SHIM, .alloc_fail_at = at, .alloc_count_to = to};
        static WorldRun died;

        (void)snprintf(at, sizeof at, "%" PRIu64, n);
        (void)snprintf(to, sizeof to, "%s/allocations", a->world->base);
        if (world_restore(a->world) < 0)
                return false;
        died.output[0] = 0;
        if (flow->crash_at != NULL)
                world_pawl(a->world, flow->command, &crash, &died);
        world_pawl(a->world, flow->crash_at != NULL ? "recover" : flow->command, &env, &a->run);
        (void)snprintf(a->both, sizeof a->both, "%s%s", died.output, a->run.output);
        return true;
}

static bool count(Alloc *a) {
        char path[WORLD_PATH_SIZE + 16];
        unsigned long n = 0;
        FILE *file;

        if (!run(a, 0))
                return false;
        (void)snprintf(path, sizeof path, "%s/allocations", a->world->base);
        file = fopen(path, "re");
        if (file != NULL && fscanf(file, "%lu", &n) == 1)
                a->n_allocations = n;
        if (file != NULL)
                (void)fclose(file);
        if (a->n_allocations == 0)
                (void)fprintf(stderr, "crash: %s: no allocations were counted: %.500s\n", a->judge.flow->name,
                              a->run.output);
        return a->n_allocations > 0;
}

/* Libraries that cannot do without memory: their death is one like any other, and recovery must mend it. */
static bool is_anothers_fault(const Alloc *a) {
        static const struct {
                const char *name, *why;
        } fragile[] = {
                {"libcrypto.so", "OpenSSL 3.0 takes a lock that it could not allocate"},
        };

        for (size_t i = 0; i < sizeof fragile / sizeof *fragile; i++)
                if (strstr(a->run.output, fragile[i].name) != NULL)
                        return true;
        return false;
}

static bool has_crashed(const Alloc *a) {
        return a->run.status > 128 || strstr(a->run.output, "AddressSanitizer") != NULL ||
               strstr(a->run.output, "runtime error") != NULL;
}

static bool ended_by_itself(const Alloc *a, JudgeCase *c) {
        if (a->run.status >= 0 && (!has_crashed(a) || is_anothers_fault(a)))
                return true;
        c->oracle = "F1 ends";
        (void)snprintf(c->text, sizeof c->text, "%s: %.1500s", a->run.status < 0 ? "it hangs" : "a signal",
                       a->run.output);
        return false;
}

static bool run_case(Alloc *a, uint64_t n, CrewRow *row) {
        const Flow *flow = a->judge.flow;
        JudgeCase c = {.output = a->both, .status = -1};

        if (!run(a, n))
                return false;
        row->n_runs++;
        row->n_states++;
        c.status = flow->crash_at != NULL || has_crashed(a) ? -1 : a->run.status;
        if (ended_by_itself(a, &c) && judge_case(&a->judge, &c))
                return true;
        row->n_failures++;
        (void)printf("FAILED %s, allocation %" PRIu64 ": %s\n    %.2000s\n    it said: %.600s\n"
                     "    again: crash.alloc --flow %s --at %" PRIu64 "\n",
                     flow->name, n, c.oracle, c.text, a->run.output, flow->name, n);
        return true;
}

static bool alloc_flow(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata) {
        const CrewOptions *o = userdata;
        static Alloc a;
        bool is_done;

        a = (Alloc){.options = o, .world = world};
        is_done = judge_open(&a.judge, world, &flows[row]) && count(&a);
        ret->n_points = worker == 0 ? a.n_allocations : 0;
        for (uint64_t i = 0; is_done && i < (o->n_cases < a.n_allocations ? o->n_cases : a.n_allocations); i++) {
                uint64_t n = o->n_cases < a.n_allocations ? 1 + crew_hash(i, o->seed + row) % a.n_allocations : i + 1;

                if (i % o->n_jobs == worker)
                        is_done = run_case(&a, o->is_only ? o->only : n, ret);
        }
        judge_close(&a.judge);
        service_end_all(world->root);
        return is_done;
}

/* The sanitizer wants to be the first library. What a library of others leaks when memory ends is not ours. */
static void allow_the_shim(void) {
        char text[512];
        const char *given = getenv("ASAN_OPTIONS");

        (void)snprintf(text, sizeof text, "%s%sverify_asan_link_order=0:detect_leaks=0", given != NULL ? given : "",
                       given != NULL ? ":" : "");
        if (given != NULL)
                (void)setenv("ASAN_OPTIONS", text, 1);
}

int main(int argc, char **argv) {
        enum {
                CASES_SLOW = 8,
                FLOWS_SLOW = 4,
                CASES_QUICK = 20,
                CASES_ALL = 1000000
        }; /* one flow of four: each has to be learnt first */
        static const char *names[CREW_ROWS_MAX];
        static bool is_left_out[CREW_ROWS_MAX];
        const CrewUsage told = {"flow", "at", UINT64_MAX, usage};
        CrewOptions o;
        bool is_fine, is_slow;

        if (!crew_options(&o, &told, argc, argv))
                return 2;
        if (o.row != NULL && flow_find(o.row) == NULL) {
                (void)fputs(usage, stderr);
                return 2;
        }
        if (o.is_only)
                o.n_cases = o.n_jobs = 1;
        allow_the_shim();
        is_slow = o.n_cases == 0 && crew_is_slow();
        if (o.n_cases == 0)
                o.n_cases = is_slow ? CASES_SLOW : CASES_QUICK;
        for (unsigned i = 0; i < n_flows && i < CREW_ROWS_MAX; i++) {
                names[i] = flows[i].name;
                is_left_out[i] = o.row != NULL ? strcmp(o.row, flows[i].name) != 0
                                               : is_slow && crew_hash(i, o.seed) % FLOWS_SLOW != 0;
        }
        is_fine = crew_run(&(Crew){.tier = "alloc",
                                   .names = names,
                                   .is_left_out = is_left_out,
                                   .n_rows = n_flows,
                                   .n_workers = o.n_jobs,
                                   .work = alloc_flow,
                                   .userdata = &o,
                                   .is_sample = o.n_cases < CASES_ALL,
                                   .is_partial = o.is_only});
        (void)printf("seed %" PRIu32 "\n", o.seed);
        return is_fine ? 0 : 1;
}
