/* SPDX-License-Identifier: Apache-2.0 */
/* See sweep.h. Where the exit of one event is the entry of the next, only the entry is worth a run; what else happens
 * between two events (a child that goes on by itself) is why some exits are taken all the same. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/sweep.h"

enum { BUDGET_RUNS_MIN = 3 }; /* however slow the machine is */

typedef struct Point {
        uint64_t n;
        TracerMode mode;
        bool is_blind; /* recovery does not see the DONE records */
} Point;

typedef struct Sweep {
        Judge judge;
        World *world;
        const Flow *flow;
        const SweepOptions *options;
        SweepResult *result;
        uint64_t until_msec; /* 0: for ever */
        TracerResult traced;
        char output[WORLD_OUTPUT_SIZE];
} Sweep;

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The same for the same seed and point, whoever asks and in whatever order. */
static bool is_sampled(const SweepOptions *o, uint64_t n, unsigned kind, unsigned percent) {
        uint64_t x = (n * 4 + kind + 1) * 0x9e3779b97f4a7c15 + o->seed * 0xbf58476d1ce4e5b9;

        x = (x ^ (x >> 29)) * 0x94d049bb133111eb;
        return (x >> 33) % 100 < percent;
}

static void again_text(const Sweep *s, const Point *p, char *ret, size_t size) {
        const SweepOptions *o = s->options;
        const char *end = p->mode == TRACER_KILL_ENTRY ? "entry" : "exit";
        char at[96] = "";

        if (p->n != 0)
                (void)snprintf(at, sizeof at, " --at %" PRIu64 " --%s%s", p->n, end, p->is_blind ? " --blind" : "");
        if (s->world->is_users)
                (void)snprintf(ret, size, "pawl torture --seed %" PRIu32, o->seed);
        else
                (void)snprintf(ret, size, "crash.kill --flow %s%s%s%s", s->flow->name, at,
                               o->mutant != NULL ? " --mutant " : "", o->mutant != NULL ? o->mutant : "");
}

static void print_failure(const Sweep *s, const Point *p, const JudgeCase *c) {
        const TracerEvent *event = &s->traced.fired_event;
        const char *end = p->mode == TRACER_KILL_ENTRY ? "entry" : "exit";
        char where[96] = "undisturbed", again[256], text[JUDGE_TEXT_SIZE + 4096];
        int n;

        if (p->n != 0)
                (void)snprintf(where, sizeof where, "killed at %s of %" PRIu64 "%s", end, p->n,
                               p->is_blind ? ", DONE unseen" : "");
        again_text(s, p, again, sizeof again);
        n = snprintf(text, sizeof text, "FAILED %s, %s: %s\n    event: %s %s%s%s%s\n    %s\n    again: %s\n",
                     s->flow->name, where, c->oracle, s->traced.fired ? event->name : "none: it ran to its end",
                     event->path, event->path2[0] != 0 ? " -> " : "", event->path2,
                     s->flow->crash_at != NULL ? " (of recover)" : "", c->text, again);
        (void)!write(STDOUT_FILENO, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static void judged_badly(Sweep *s, const Point *p, const JudgeCase *c) {
        if (s->result->n_failures++ == 0) {
                (void)snprintf(s->result->first_oracle, sizeof s->result->first_oracle, "%s", c->oracle);
                s->result->first_at = p->n;
        }
        if (!s->options->is_quiet)
                print_failure(s, p, c);
}

/* The flow up to its own death, where it is the recovery that is swept. */
static void crash_first(Sweep *s, char *ret_output, size_t size) {
        const WorldEnv env = {.mutant = s->options->mutant_runs ? s->options->mutant : NULL,
                              .crash_at = s->flow->crash_at};
        static WorldRun run;

        world_pawl(s->world, s->flow->command, &env, &run);
        (void)snprintf(ret_output, size, "%s", run.output);
}

/* One run. 0, however it is judged; negative: it cannot go on. An event that did not come this time leaves an
 * undisturbed run. */
static int run_point(Sweep *s, const Point *p) {
        const SweepOptions *o = s->options;
        bool is_recovery = s->flow->crash_at != NULL;
        bool is_mutant = is_recovery ? o->mutant_recovers : o->mutant_runs;
        const WorldEnv env = {.mutant = is_mutant ? o->mutant : NULL};
        TracerSpec spec = {.mode = p->mode, .at = p->n};
        static char first[WORLD_OUTPUT_SIZE], both[2 * WORLD_OUTPUT_SIZE];
        JudgeCase c = {.output = both, .mutant = p->is_blind ? "ignore-done" : o->mutant_recovers ? o->mutant : NULL};
        int r = world_restore(s->world);

        if (r < 0)
                return r;
        first[0] = 0;
        if (is_recovery)
                crash_first(s, first, sizeof first);
        r = world_trace(s->world, is_recovery ? "recover" : s->flow->command, &env, &spec, &s->traced, s->output);
        s->result->n_runs++;
        if (r != 0 || s->traced.timed_out) {
                (void)fprintf(stderr, "crash: %s at %" PRIu64 ": the tracer gave up (%d): %s\n", s->flow->name, p->n, r,
                              r > 0                 ? s->traced.problem
                              : s->traced.timed_out ? "it hangs"
                                                    : strerror(-r));
                return -1;
        }
        (void)snprintf(both, sizeof both, "%s%s", first, s->output);
        c.status = !is_recovery && WIFEXITED(s->traced.wait_status) ? WEXITSTATUS(s->traced.wait_status) : -1;
        if (!judge_case(&s->judge, &c))
                judged_badly(s, p, &c);
        s->traced.n_released = 0; /* whatever lives is found by its root */
        return 0;
}

static bool is_over(const Sweep *s) {
        return (s->options->ends_at_first && s->result->n_failures > 0) ||
               (s->until_msec != 0 && s->result->n_runs >= BUDGET_RUNS_MIN && now_msec() >= s->until_msec);
}

static int run_all_of(Sweep *s, uint64_t n, bool is_last) {
        const SweepOptions *o = s->options;
        const Point points[] = {
                {n, TRACER_KILL_ENTRY, false},
                {n, TRACER_KILL_EXIT, false},
                {n, TRACER_KILL_ENTRY, true},
        };
        const bool is_wanted[] = {
                !o->only_exit && (o->at != 0 || is_sampled(o, n, 0, o->sample)),
                !o->only_entry && (o->only_exit || o->at != 0 || is_last || is_sampled(o, n, 1, o->sample_exit)),
                !o->only_exit && is_sampled(o, n, 2, o->sample_done),
        };
        int r = 0;

        for (size_t i = 0; i < 3 && r == 0 && !is_over(s); i++)
                if (is_wanted[i])
                        r = run_point(s, &points[i]);
        return r;
}

/* Whoever is not killed ends as it should, too. */
static void look_undisturbed(Sweep *s, int wanted) {
        int status = s->traced.wait_status;
        JudgeCase c = {.oracle = "O0 undisturbed"};

        if (WIFEXITED(status) && WEXITSTATUS(status) == wanted)
                return;
        (void)snprintf(c.text, sizeof c.text, "exit status %d, not %d: %.2000s",
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1, wanted, s->output);
        judged_badly(s, &(Point){0}, &c);
}

/* How many events there are when nobody strikes. 0: it cannot be told. */
static uint64_t count_events(Sweep *s) {
        const SweepOptions *o = s->options;
        bool is_recovery = s->flow->crash_at != NULL;
        const WorldEnv env = {.mutant = o->mutant_runs && !is_recovery ? o->mutant : NULL};
        TracerSpec spec = {.mode = TRACER_RECORD};

        if (world_restore(s->world) < 0)
                return 0;
        if (is_recovery)
                crash_first(s, s->output, sizeof s->output);
        if (world_trace(s->world, is_recovery ? "recover" : s->flow->command, &env, &spec, &s->traced, s->output) ==
            0) {
                look_undisturbed(s, is_recovery ? 0 : s->flow->status);
                return s->traced.n_events;
        }
        (void)fprintf(stderr, "crash: %s: the tracer gave up: %s\n", s->flow->name, s->traced.problem);
        return 0;
}

/* A number whose multiples visit every one of n places before they come back to the first. */
static uint64_t stride(uint32_t seed, uint64_t n) {
        for (uint64_t step = seed % n; step > 1; step--) {
                uint64_t a = n, b = step;

                while (b != 0) {
                        uint64_t rest = a % b;

                        a = b;
                        b = rest;
                }
                if (a == 1)
                        return step;
        }
        return 1;
}

uint64_t sweep_place(uint32_t seed, uint64_t n, uint64_t i) {
        return (seed % n + i * stride(seed, n)) % n;
}

/* With a budget they come in an order that jumps about. */
static uint64_t nth_point(const SweepOptions *o, uint64_t n_events, uint64_t i) {
        uint64_t from = o->from > 0 ? o->from - 1 : 0;

        return 1 + (o->budget_msec != 0 ? sweep_place(o->seed, n_events, i) : (from + i) % n_events);
}

static bool sweep_points(Sweep *s) {
        const SweepOptions *o = s->options;
        uint64_t start = now_msec(), n_events = count_events(s);

        if (o->worker == 0)
                s->result->n_points = n_events;
        if (o->budget_msec != 0)
                s->until_msec = start + o->budget_msec;
        for (uint64_t i = 0; i < n_events && !is_over(s); i++) {
                uint64_t n = nth_point(o, n_events, i);
                bool is_mine = o->at != 0 ? n == o->at && o->worker == 0 : n % o->n_workers == o->worker;

                if (is_mine && run_all_of(s, n, n == n_events) < 0)
                        return false;
        }
        return n_events > 0;
}

bool sweep_flow(World *world, const Flow *flow, const SweepOptions *options, SweepResult *result) {
        static Sweep s;
        bool is_done;

        s = (Sweep){.world = world, .flow = flow, .options = options, .result = result};
        is_done = judge_open(&s.judge, world, flow) && sweep_points(&s);
        judge_close(&s.judge);
        world_end(world);
        return is_done;
}
