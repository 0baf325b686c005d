/* SPDX-License-Identifier: Apache-2.0 */
/* See mutants.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/mutants.h"

static const Mutant mutants[] = {
#define MUTANT(name, reach, flows, rule) {name, MUTANT_##reach, flows, rule},
#include "tests/crash/mutants.def"
#undef MUTANT
};
enum { N_MUTANTS = sizeof mutants / sizeof *mutants };

/* What came of each, in memory that the workers share. */
typedef struct Catch {
        bool is_tried, is_caught;
        char by[160];
} Catch;

static Catch *catches;

const Mutant *mutant_find(const char *name) {
        for (size_t i = 0; i < N_MUTANTS; i++)
                if (strcmp(mutants[i].name, name) == 0)
                        return &mutants[i];
        return NULL;
}

void mutant_aim(const Mutant *mutant, SweepOptions *options) {
        options->mutant = mutant->name;
        options->mutant_runs = mutant->reach == MUTANT_RUN || mutant->reach == MUTANT_BOTH;
        options->mutant_recovers = mutant->reach != MUTANT_RUN;
        options->sample_done = 0; /* that is a mutant, too, and there is room for one */
}

bool mutants_begin(void) {
        catches = mmap(NULL, sizeof(Catch[N_MUTANTS]), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return catches != MAP_FAILED;
}

/* ---- Trying one ---- */

static bool try_flow(World *world, const Mutant *mutant, const char *name, uint32_t seed, Catch *ret) {
        SweepOptions options = {.sample = 100,
                                .only_entry = true,
                                .n_workers = 1,
                                .seed = seed,
                                .ends_at_first = true,
                                .is_quiet = true};
        const Flow *flow = flow_find(name);
        SweepResult result = {0};

        mutant_aim(mutant, &options);
        if (flow == NULL || !sweep_flow(world, flow, &options, &result))
                return false;
        ret->is_caught = result.n_failures > 0;
        if (ret->is_caught)
                (void)snprintf(ret->by, sizeof ret->by, "%s (%s, entry of %llu)", result.first_oracle, name,
                               (unsigned long long)result.first_at);
        return true;
}

static bool try_sweep(World *world, const Mutant *mutant, uint32_t seed, Catch *ret) {
        char list[256], *rest;
        bool is_fine = true;

        (void)snprintf(list, sizeof list, "%s", mutant->flows);
        for (char *name = strtok_r(list, " ", &rest); is_fine && !ret->is_caught && name != NULL;
             name = strtok_r(NULL, " ", &rest))
                is_fine = try_flow(world, mutant, name, seed, ret);
        return is_fine;
}

/* crash.two lies beside this program. */
static bool try_two(const Mutant *mutant, Catch *ret) {
        char path[PATH_MAX], name[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
        int status = 0;
        pid_t pid;

        if (n <= 0)
                return false;
        path[n] = 0;
        *strrchr(path, '/') = 0;
        (void)snprintf(name, sizeof name, "%.4000s/crash.two", path);
        pid = fork();
        if (pid == 0) {
                (void)!freopen("/dev/null", "w", stdout);
                (void)!freopen("/dev/null", "w", stderr);
                (void)setenv("CRASH_MUTANT", mutant->name, 1);
                (void)execl(name, name, mutant->flows, (char *)NULL);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 100)
                return false;
        ret->is_caught = WEXITSTATUS(status) != 0;
        (void)snprintf(ret->by, sizeof ret->by, "crash.two %s", mutant->flows);
        return true;
}

bool mutants_run(World *world, unsigned worker, unsigned n_workers, uint32_t seed) {
        bool is_fine = true;

        for (size_t i = 0; i < N_MUTANTS; i++) {
                if (mutants[i].reach == MUTANT_ELSEWHERE || i % n_workers != worker)
                        continue;
                catches[i].is_tried = mutants[i].reach == MUTANT_TWO ? try_two(&mutants[i], &catches[i])
                                                                     : try_sweep(world, &mutants[i], seed, &catches[i]);
                is_fine = is_fine && catches[i].is_tried;
        }
        return is_fine;
}

/* ---- The report ---- */

bool mutants_report(void) {
        size_t n_caught = 0, n_mistakes = 0;
        bool is_fine = true;

        for (size_t i = 0; i < N_MUTANTS; i++) {
                const Mutant *m = &mutants[i];
                const Catch *c = &catches[i];
                bool is_harmless = m->reach == MUTANT_HARMLESS,
                     is_mistake = !is_harmless && m->reach != MUTANT_ELSEWHERE;
                const char *word = m->reach == MUTANT_ELSEWHERE   ? "elsewhere"
                                   : !c->is_tried                 ? "NOT TRIED"
                                   : c->is_caught == !is_harmless ? (is_harmless ? "harmless" : "caught")
                                   : is_harmless                  ? "NOT HARMLESS"
                                                                  : "LIVES";

                (void)printf("%-24s %-12s %s\n", m->name, word, c->is_caught ? c->by : m->rule);
                n_mistakes += is_mistake;
                n_caught += is_mistake && c->is_caught;
                is_fine = is_fine && (m->reach == MUTANT_ELSEWHERE || (c->is_tried && c->is_caught == !is_harmless));
        }
        (void)printf("mutants caught %zu/%zu\n", n_caught, n_mistakes);
        return is_fine;
}
