/* SPDX-License-Identifier: Apache-2.0 */
/* See mutants.h. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/counts.h"
#include "tests/crash/crew.h"
#include "tests/crash/mutants.h"

static const Mutant mutants[] = {
#define MUTANT(name, reach, flows, rule) {name, MUTANT_##reach, flows, rule},
#include "tests/crash/mutants.def"
#undef MUTANT
};
enum { N_MUTANTS = sizeof mutants / sizeof *mutants };

/* What came of each, in memory that the workers share. */
typedef struct Catch {
        uint64_t msec;
        bool is_tried, is_caught, is_missing; /* missing: what would notice it cannot run here */
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

/* NAME or NAME:POINT; the point is only where to look first. */
static bool try_flow(World *world, const Mutant *mutant, char *name, uint32_t seed, Catch *ret) {
        enum { SAMPLE_HARMLESS = 20 };
        char *point = strchr(name, ':');
        SweepOptions options = {.sample = mutant->reach == MUTANT_HARMLESS ? SAMPLE_HARMLESS : 100,
                                .from = point != NULL ? strtoull(point + 1, NULL, 10) : 0,
                                .only_entry = true,
                                .n_workers = 1,
                                .seed = seed,
                                .ends_at_first = true,
                                .is_quiet = true};
        const Flow *flow;
        SweepResult result = {0};

        if (point != NULL)
                *point = 0;
        flow = flow_find(name);
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

/* ---- Other programs ---- */

enum { CANNOT_RUN = 77, IS_BROKEN = 100, PROGRAM_SECONDS = 300, WORDS_MAX = 4 };

/* A program that lies beside this one. Its exit status; -1: it could not be run, or broke. */
static int run_beside(const char *program, char *const *words, const char *variable, const char *value) {
        char path[PATH_MAX], name[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
        int status = 0;
        pid_t pid;

        if (n <= 0)
                return -1;
        path[n] = 0;
        *strrchr(path, '/') = 0;
        (void)snprintf(name, sizeof name, "%.4000s/%.80s", path, program);
        pid = fork();
        if (pid == 0) {
                (void)!freopen("/dev/null", "w", stdout);
                (void)!freopen("/dev/null", "w", stderr);
                if (variable != NULL)
                        (void)setenv(variable, value, 1);
                (void)unsetenv("PAWL_COUNTS"); /* what it counts with a mistake is not for the table */
                (void)alarm(PROGRAM_SECONDS);
                (void)execv(name, words);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return -1;
        if (WIFSIGNALED(status)) /* an assertion of ours, or a sanitizer */
                return 1;
        return WEXITSTATUS(status) > IS_BROKEN ? -1 : WEXITSTATUS(status);
}

static bool judge_status(int status, const char *program, const char *what, Catch *ret) {
        ret->is_missing = status == CANNOT_RUN;
        ret->is_caught = status > 0 && !ret->is_missing;
        (void)snprintf(ret->by, sizeof ret->by, "%s %s", program, what);
        return status >= 0;
}

static bool try_two(const Mutant *mutant, Catch *ret) {
        char program[] = "crash.two", scenario[64];
        char *words[] = {program, scenario, NULL};

        (void)snprintf(scenario, sizeof scenario, "%s", mutant->flows);
        return judge_status(run_beside(program, words, "CRASH_MUTANT", mutant->name), program, scenario, ret);
}

static bool try_disk(const Mutant *mutant, Catch *ret) {
        char program[] = "crash.disk", flag[] = "--mutant", name[64];
        char *words[] = {program, flag, name, NULL};

        (void)snprintf(name, sizeof name, "%s", mutant->name);
        return judge_status(run_beside(program, words, NULL, NULL), program, mutant->flows, ret);
}

static bool try_power(const Mutant *mutant, Catch *ret) {
        char program[] = "crash.power", lint[] = "--lint", full[] = "--full", first[] = "--first", flag[] = "--mutant",
             name[64], flow_flag[] = "--flow", flow[64];
        char *words[] = {program, lint, full, first, flag, name, flow_flag, flow, NULL};

        (void)snprintf(name, sizeof name, "%s", mutant->name);
        (void)snprintf(flow, sizeof flow, "%s", mutant->flows);
        return judge_status(run_beside(program, words, NULL, NULL), program, flow, ret);
}

/* A mistake that the recordings do not show: its disks have to be judged. */
static bool try_cut(const Mutant *mutant, Catch *ret) {
        char program[] = "crash.power", classes[] = "--classes", all[] = "100", first[] = "--first",
             flag[] = "--mutant", name[64], flow_flag[] = "--flow", flow[64];
        char *words[] = {program, classes, all, first, flag, name, flow_flag, flow, NULL};

        (void)snprintf(name, sizeof name, "%s", mutant->name);
        (void)snprintf(flow, sizeof flow, "%s", mutant->flows);
        return judge_status(run_beside(program, words, NULL, NULL), program, flow, ret);
}

/* A test that fails anyhow notices nothing. Several mistakes have the same test: it is asked once. */
static bool is_sound(char *name) {
        enum { TESTS_MAX = 64 };
        static struct {
                char name[32];
                bool is_sound;
        } known[TESTS_MAX];
        char *words[] = {name, NULL};
        size_t i = 0;

        while (i < TESTS_MAX - 1 && known[i].name[0] != 0 && strcmp(known[i].name, name) != 0)
                i++;
        if (strcmp(known[i].name, name) != 0) {
                (void)snprintf(known[i].name, sizeof known[i].name, "%s", name);
                known[i].is_sound = run_beside(name, words, NULL, NULL) == 0;
        }
        return known[i].is_sound;
}

static bool try_unit(const Mutant *mutant, Catch *ret) {
        char list[256], *rest;
        bool is_fine = true;

        (void)snprintf(list, sizeof list, "%s", mutant->flows);
        for (char *name = strtok_r(list, " ", &rest); is_fine && !ret->is_caught && name != NULL;
             name = strtok_r(NULL, " ", &rest)) {
                char *words[] = {name, NULL};

                is_fine = judge_status(run_beside(name, words, "PAWL_MUTANT", mutant->name), name, "", ret) &&
                          (!ret->is_caught || is_sound(name));
        }
        return is_fine;
}

/* ---- All of them ---- */

static bool try_one(World *world, const Mutant *mutant, uint32_t seed, Catch *ret) {
        switch (mutant->reach) {
        case MUTANT_TWO:
                return try_two(mutant, ret);
        case MUTANT_DISK:
                return try_disk(mutant, ret);
        case MUTANT_POWER:
                return try_power(mutant, ret);
        case MUTANT_CUT:
                return try_cut(mutant, ret);
        case MUTANT_UNIT:
                return try_unit(mutant, ret);
        case MUTANT_RUN:
        case MUTANT_RECOVER:
        case MUTANT_BOTH:
        case MUTANT_HARMLESS:
                return try_sweep(world, mutant, seed, ret);
        }
        return true;
}

/* ---- The report ---- */

/* clang-format off */
static const char *const tiers[] = {
        [MUTANT_RUN] = "kill",  [MUTANT_RECOVER] = "kill", [MUTANT_BOTH] = "kill",           [MUTANT_TWO] = "two",
        [MUTANT_DISK] = "disk", [MUTANT_POWER] = "power", [MUTANT_CUT] = "power", [MUTANT_UNIT] = "unit",    [MUTANT_HARMLESS] = "harmless",
};
/* clang-format on */

static const char *word_for(const Mutant *m, const Catch *c) {
        bool is_harmless = m->reach == MUTANT_HARMLESS;

        if (c->is_missing)
                return "not here";
        if (!c->is_tried)
                return "NOT TRIED";
        if (is_harmless)
                return c->is_caught ? "NOT HARMLESS" : "harmless";
        return c->is_caught ? "killed" : "LIVES";
}

static bool is_as_it_should(const Mutant *m, const Catch *c) {
        return c->is_missing || (c->is_tried && c->is_caught == (m->reach != MUTANT_HARMLESS));
}

/* As they come: the whole takes minutes. */
static void print_row(size_t i) {
        const Mutant *m = &mutants[i];
        const Catch *c = &catches[i];

        (void)printf("%-24s %-9s %-12s %6.1f s  %s\n", m->name, tiers[m->reach], word_for(m, c), (double)c->msec / 1000,
                     c->is_caught ? c->by : m->rule);
        (void)fflush(stdout);
}

bool mutants_run(World *world, unsigned worker, unsigned n_workers, uint32_t seed) {
        bool is_fine = true;
        uint64_t start;

        for (size_t i = 0; i < N_MUTANTS; i++) {
                if (i % n_workers != worker)
                        continue;
                start = crew_now_msec();
                catches[i].is_tried = try_one(world, &mutants[i], seed, &catches[i]);
                catches[i].msec = crew_now_msec() - start;
                print_row(i);
                is_fine = is_fine && catches[i].is_tried;
        }
        return is_fine;
}

/* Of those whose tier is called so; NULL: of all that are mistakes and were tried. */
static void print_sum(const char *tier) {
        Count c = {.tier = "mutants"};

        for (size_t i = 0; i < N_MUTANTS; i++) {
                MutantReach reach = mutants[i].reach;
                bool is_mistake = reach != MUTANT_HARMLESS && !catches[i].is_missing;

                if (!is_mistake || (tier != NULL && strcmp(tier, tiers[reach]) != 0))
                        continue;
                c.n_points++;
                c.n_states += catches[i].is_caught;
                c.msec += catches[i].msec;
        }
        c.n_failures = c.n_points - c.n_states;
        (void)snprintf(c.row, sizeof c.row, "%s", tier != NULL ? tier : "");
        if (tier != NULL)
                count_write(&c);
        (void)printf("mutants killed %" PRIu64 "/%" PRIu64 "%s%s\n", c.n_states, c.n_points, tier != NULL ? " by " : "",
                     tier != NULL ? tier : "");
}

const char *mutant_tier(unsigned i) {
        static const char *const names[] = {"kill", "two", "disk", "power", "unit"};

        return i < sizeof names / sizeof *names ? names[i] : NULL;
}

bool mutants_report(void) {
        const char *tier;
        bool is_fine = true;

        for (size_t i = 0; i < N_MUTANTS; i++) {
                const Mutant *m = &mutants[i];
                const Catch *c = &catches[i];

                is_fine = is_fine && is_as_it_should(m, c);
        }
        for (unsigned i = 0; (tier = mutant_tier(i)) != NULL; i++)
                print_sum(tier);
        print_sum(NULL);
        return is_fine;
}
