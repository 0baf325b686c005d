/* SPDX-License-Identifier: Apache-2.0 */
/* See cut.h. Depth first: what a recovery leads to is looked at where the state it began with is at hand. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/cut.h"
#include "tests/crash/lint.h"
#include "tests/crash/sweep.h"
#include "tests/crash/tree.h"

enum { BUDGET_STATES_MIN = 3 }; /* however slow the machine is */

/* Numbers that were seen; grows by doubling, at most half full. */
typedef struct Set {
        uint64_t *keys;
        size_t n, size;
} Set;

typedef struct Cut {
        Judge judge;
        World *world;
        const Flow *flow;
        const CutOptions *options;
        CutResult *result;
        Set states, classes, recovered; /* seen; of these last, the recovery was cut */
        uint64_t until_msec;            /* 0: for ever */
        uint64_t n_begun;               /* levels that were begun: a way to tell states of different histories apart */
} Cut;

/* One recording: of the flow, or of the recovery of a state of the level above. */
typedef struct Level {
        Cut *cut;
        const struct Level *above; /* NULL: it is the flow itself */
        Recording *r;
        States states;
        unsigned depth;
        uint64_t number;
        bool has_own; /* the state it began with holds the BEGIN of the flow */
        bool is_told; /* the flow had told its success before */
} Level;

/* ---- Sets ---- */

static bool set_grow(Set *set) {
        Set more = {.size = set->size == 0 ? 1024 : set->size * 2};

        more.keys = calloc(more.size, sizeof *more.keys);
        if (more.keys == NULL)
                return false;
        for (size_t i = 0; i < set->size; i++)
                for (size_t at = set->keys[i] % more.size; set->keys[i] != 0; at = (at + 1) % more.size)
                        if (more.keys[at] == 0) {
                                more.keys[at] = set->keys[i];
                                break;
                        }
        more.n = set->n;
        free(set->keys);
        *set = more;
        return true;
}

/* Whether it is new. */
static bool set_add(Set *set, uint64_t key) {
        size_t at;

        key += key == 0;
        if (set->n * 2 >= set->size && !set_grow(set))
                return false;
        for (at = key % set->size; set->keys[at] != 0; at = (at + 1) % set->size)
                if (set->keys[at] == key)
                        return false;
        set->keys[at] = key;
        set->n++;
        return true;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * 0xff51afd7ed558ccd;
        return hash ^ (hash >> 31);
}

static bool is_sampled(const CutOptions *o, uint64_t key, unsigned salt, unsigned percent) {
        return (mix(mix(key, o->limits.seed + 1), salt) >> 20) % 100 < percent;
}

/* ---- Telling ---- */

static void note_first(Cut *cut, const char *what, unsigned depth) {
        if (cut->result->first[0] == 0)
                (void)snprintf(cut->result->first, sizeof cut->result->first, "%.60s (%.30s%s)", what, cut->flow->name,
                               depth > 0 ? ", in recovery" : "");
}

static void tell_finding(const Finding *f, void *userdata) {
        Level *level = userdata;
        Cut *cut = level->cut;

        note_first(cut, f->rule, level->depth);
        cut->result->n_findings++;
        if (!cut->options->is_quiet)
                (void)printf("FAILED %s%s, T0 %s: %s", cut->flow->name, level->depth > 0 ? " (recovery)" : "", f->rule,
                             f->text);
}

static void event_text(const Level *level, uint32_t event, char *ret, size_t size) {
        (void)snprintf(ret, size, "behind its end\n");
        if (event < level->r->disk.n_events)
                record_event_text(level->r, event, ret, size);
}

static void again_text(const Level *level, uint64_t key, char *ret, size_t size) {
        const Cut *cut = level->cut;
        const char *mutant = cut->options->mutant;

        if (cut->world->is_users)
                (void)snprintf(ret, size, "pawl torture --seed %" PRIu64, cut->options->limits.seed);
        else
                (void)snprintf(ret, size, "crash.power --flow %s --seed %" PRIu64 " --state %" PRIx64 "%s%s%s",
                               cut->flow->name, cut->options->limits.seed, key, level->depth > 0 ? " --nested" : "",
                               mutant != NULL ? " --mutant " : "", mutant != NULL ? mutant : "");
}

static void tell_failure(const Level *level, const JudgeCase *c, uint64_t key) {
        Cut *cut = level->cut;
        char event[2048], state[8192], again[512];

        note_first(cut, c->oracle, level->depth);
        cut->result->n_failures++;
        if (cut->options->is_quiet)
                return;
        event_text(level, level->states.event, event, sizeof event);
        states_text(&level->states, state, sizeof state);
        again_text(level, key, again, sizeof again);
        (void)printf("FAILED %s, power cut at depth %u: %s: %s\n    %s%s    again: %s\n", cut->flow->name,
                     level->depth + 1, c->oracle, c->text, event, state, again);
}

static bool give_up(const Cut *cut, const char *why) {
        (void)fprintf(stderr, "crash: %s: %s\n", cut->flow->name, why);
        return false;
}

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_over(const Cut *cut) {
        return (cut->options->ends_at_first && cut->result->n_failures + cut->result->n_findings > 0) ||
               (cut->until_msec != 0 && cut->result->n_judged >= BUDGET_STATES_MIN && now_msec() >= cut->until_msec);
}

/* ---- One state ---- */

/* In the root, with nothing running, as after a boot. */
static bool make_state(const Level *level) {
        World *w = level->cut->world;
        char path[PATH_MAX];
        int r;

        world_end(w);
        r = tree_remove(w->root);
        if (r == 0 && mkdir(w->root, 0755) < 0)
                return give_up(level->cut, "the root cannot be made");
        (void)snprintf(w->inodes, sizeof w->inodes, "%.200s/inodes", w->base);
        if (r == 0)
                r = states_make(&level->states, w->root, w->inodes);
        (void)snprintf(path, sizeof path, "%s/run", w->root);
        if (r == 0 && mkdir(path, 0755) < 0)
                r = -1;
        w->boot = level->depth + 1;
        return r == 0 || give_up(level->cut, "a state cannot be made");
}

static const char *mutant_of(const Cut *cut, bool is_recovery) {
        bool is_mutant = is_recovery ? cut->options->mutant_recovers : cut->options->mutant_runs;

        return is_mutant ? cut->options->mutant : NULL;
}

/* What had been printed by then: of the flow itself only, as recovery starts services and tells that as well. */
static const char *output_of(const Level *level) {
        static char text[sizeof level->r->output];
        const Recording *r = level->r;
        uint32_t event = level->states.event;
        size_t n = event < r->disk.n_events ? r->disk.events[event].output : r->first_output[r->n_runs];

        if (level->above != NULL)
                return level->is_told ? "committed" : "";
        (void)snprintf(text, sizeof text, "%.*s", (int)n, r->output);
        return text;
}

static bool is_told(const Level *level) {
        return strstr(output_of(level), "committed") != NULL;
}

static uint64_t own_tx(const Level *level) {
        uint64_t own = level->cut->judge.head + 1;
        bool has_own = level->above == NULL ? states_head(&level->states) >= own : level->has_own;

        return has_own ? own : 0;
}

static bool judge_state(const Level *level, uint64_t key) {
        Cut *cut = level->cut;
        const Recording *r = level->r;
        bool has_ended = level->above == NULL && level->states.event == r->disk.n_events;
        JudgeCase c = {.output = output_of(level),
                       .status = has_ended && cut->flow->crash_at == NULL ? r->status[r->n_runs - 1] : -1,
                       .mutant = mutant_of(cut, true),
                       .is_power = true,
                       .tx = own_tx(level)};
        bool is_right;

        if (!make_state(level))
                return false;
        is_right = judge_case(&cut->judge, &c);
        cut->result->n_asked += c.n_asked;
        if (!is_right)
                tell_failure(level, &c, key);
        return true;
}

/* ---- A level ---- */

static bool enter(const Level *above);

static void count_state(const Level *level, bool is_new_class) {
        CutResult *result = level->cut->result;

        *(level->depth == 0 ? &result->n_states : &result->n_nested_states) += 1;
        if (!is_new_class)
                return;
        *(level->depth == 0 ? &result->n_classes : &result->n_nested_classes) += 1;
        result->depth = level->depth + 1 > result->depth ? level->depth + 1 : result->depth;
}

static bool is_wanted(const Level *level, uint64_t key, uint64_t class, bool is_new_class) {
        const CutOptions *o = level->cut->options;

        if (o->only != 0)
                return o->only == key;
        return is_sampled(o, key, 1, level->depth == 0 ? o->sample : o->nested_sample) ||
               (is_new_class && is_sampled(o, class, 2, o->classes));
}

/* That success was told is of interest until the journal says so, too. */
static uint64_t class_of(const Level *level, StatesDetail detail) {
        uint64_t own = own_tx(level) != 0 ? own_tx(level) : UINT64_MAX;
        bool is_word = is_told(level) && (detail == STATES_JUDGED || !states_is_committed(&level->states, own));

        return mix(states_class(&level->states, own, detail), is_word);
}

/* Is its recovery to be cut in turn? Only once of all that it cannot tell apart. */
static bool is_entered(const Level *level) {
        const CutOptions *o = level->cut->options;
        uint64_t class;
        bool is_within;

        if (!o->nested)
                return false;
        class = class_of(level, STATES_RECOVERED);
        if (!set_add(&level->cut->recovered, class))
                return false;
        is_within = o->max_recoveries == 0 || level->cut->result->n_recoveries < o->max_recoveries;
        if (is_within && level->depth + 1 < o->max_depth && is_sampled(o, class, 3, o->nested_classes))
                return true;
        level->cut->result->n_left++;
        return false;
}

static bool visit(States *s, void *userdata) {
        Level *level = userdata;
        Cut *cut = level->cut;
        StateHash hash = states_hash(s);
        uint64_t key = mix(mix(mix(hash.a, hash.b), is_told(level)), level->number), class;
        bool is_new_class;

        if (!set_add(&cut->states, key))
                return true;
        class = class_of(level, level->depth == 0 ? STATES_JUDGED : STATES_RECOVERED);
        is_new_class = set_add(&cut->classes, class);
        count_state(level, is_new_class);
        if (is_wanted(level, key, class, is_new_class)) {
                *(level->depth == 0 ? &cut->result->n_judged : &cut->result->n_nested_judged) += 1;
                if (!judge_state(level, key))
                        return false;
        }
        if (is_over(cut))
                return false;
        return !is_new_class || !is_entered(level) || enter(level);
}

static bool look_at_level(Level *level) {
        const CutOptions *o = level->cut->options;
        Recording *r = level->r;
        uint32_t first = r->first_event[r->n_runs - 1];
        uint64_t n = r->disk.n_events - first + 1; /* the power may also go behind the last */
        StatesLimits limits = o->limits;
        bool is_fine = true;

        limits.commit_is_one = level->depth > 0;
        if (o->lint)
                (void)lint_recording(r, tell_finding, level);
        if (!o->states || is_over(level->cut))
                return true;
        level->number = level->cut->n_begun++;
        if (!states_begin(&level->states, r))
                return give_up(level->cut, "no memory");
        for (uint64_t i = 0; is_fine && i < n; i++) {
                uint64_t place = o->budget_msec != 0 ? sweep_place((uint32_t)o->limits.seed, n, i) : i;

                is_fine = states_each(&level->states, first + (uint32_t)place, &limits, visit, level);
        }
        states_done(&level->states);
        return is_fine || is_over(level->cut);
}

static const char *recovery_of(const Flow *flow) {
        return (flow->flags & FLOW_NO_RECORDS) != 0 ? flow->command : "recover";
}

static bool record_recovery(const Level *above, Recording *r) {
        Cut *cut = above->cut;
        const WorldEnv env = {.mutant = mutant_of(cut, true)};
        uint64_t head = states_head(&above->states);
        bool is_fine = make_state(above) && record_begin(r, cut->world, head) && record_inherit(r, above->r, head) &&
                       record_run(r, recovery_of(cut->flow), &env, NULL);

        world_end(cut->world);
        cut->result->n_recoveries++;
        return is_fine && record_is_true(r);
}

/* Cuts the recovery of the state that `above` is at. */
static bool enter(const Level *above) {
        Recording *r = calloc(1, sizeof *r);
        Level level = {.cut = above->cut,
                       .above = above,
                       .r = r,
                       .depth = above->depth + 1,
                       .has_own = own_tx(above) != 0,
                       .is_told = is_told(above)};
        bool is_fine;

        if (r == NULL)
                return give_up(above->cut, "no memory");
        is_fine = record_recovery(above, r) ? look_at_level(&level) : give_up(above->cut, r->problem);
        record_done(r);
        free(r);
        return is_fine;
}

/* ---- The flow ---- */

/* The runs of a flow, in one boot: the command, which may die by itself; then recovery. The last of them is killed at
 * its event n and followed by one more recovery: what the dead left in memory only is that one's to make durable. */
static bool record_runs(const Cut *cut, uint64_t n, Recording *r) {
        const Flow *flow = cut->flow;
        const WorldEnv env = {.mutant = mutant_of(cut, false), .crash_at = flow->crash_at};
        const WorldEnv recovering = {.mutant = mutant_of(cut, true)};
        TracerSpec killed = {.mode = n > 0 ? TRACER_KILL_ENTRY : TRACER_RECORD, .at = n};

        if (!record_run(r, flow->command, &env, flow->crash_at == NULL ? &killed : NULL))
                return false;
        if (flow->crash_at != NULL && !record_run(r, recovery_of(flow), &recovering, &killed))
                return false;
        return n == 0 || record_run(r, recovery_of(flow), &recovering, NULL);
}

static bool record_flow(const Cut *cut, uint64_t n, Recording *r) {
        bool is_fine;

        cut->world->boot = 0;
        cut->world->inodes[0] = 0;
        if (world_restore(cut->world) < 0)
                return false;
        is_fine = record_begin(r, cut->world, cut->judge.head) && record_runs(cut, n, r);
        world_end(cut->world);
        is_fine = is_fine && record_is_true(r);
        return is_fine || give_up(cut, r->problem);
}

static bool look_at_kills(Cut *cut, uint64_t n_events) {
        static Recording r;
        bool is_fine = true;

        for (uint64_t i = 0; is_fine && i < n_events && !is_over(cut); i++) {
                Level level = {.cut = cut, .r = &r};
                uint64_t n = 1 + sweep_place((uint32_t)cut->options->limits.seed, n_events, i);

                if (!is_sampled(cut->options, n, 4, cut->options->killed))
                        continue;
                is_fine = record_flow(cut, n, &r);
                cut->result->n_kills++;
                if (is_fine)
                        (void)lint_recording(&r, tell_finding, &level);
                record_done(&r);
        }
        return is_fine;
}

/* While the transaction is open, another service has a flow of its own. */
static bool look_at_another(Cut *cut) {
        static Recording r;
        const WorldEnv env = {.mutant = mutant_of(cut, false), .crash_at = cut->flow->crash_at};
        const WorldEnv other = {.mutant = mutant_of(cut, false)};
        Level level = {.cut = cut, .r = &r};
        bool is_fine;

        if (world_restore(cut->world) < 0)
                return false;
        is_fine = record_begin(&r, cut->world, cut->judge.head) && record_run(&r, cut->flow->command, &env, NULL) &&
                  record_run(&r, "apply auto-one.yaml", &other, NULL);
        world_end(cut->world);
        if (is_fine)
                (void)lint_anchor(&r, tell_finding, &level);
        else
                (void)give_up(cut, r.problem);
        record_done(&r);
        return is_fine;
}

bool cut_flow(World *world, const Flow *flow, const CutOptions *options, CutResult *result) {
        static Cut cut;
        static Recording r;
        Level level = {.cut = &cut, .r = &r};
        uint64_t n_last = 0;
        bool is_fine;

        cut = (Cut){.world = world, .flow = flow, .options = options, .result = result};
        cut.until_msec = options->budget_msec != 0 ? now_msec() + options->budget_msec : 0;
        world->boot = 0;
        world->inodes[0] = 0;
        is_fine = judge_open(&cut.judge, world, flow) && record_flow(&cut, 0, &r);
        if (is_fine) {
                result->n_events += r.disk.n_events - r.first_event[r.n_runs - 1];
                n_last = r.disk.n_events > 0 ? r.disk.events[r.disk.n_events - 1].n : 0;
                is_fine = look_at_level(&level);
        }
        record_done(&r);
        if (is_fine && options->killed > 0 && flow->crash_at != NULL && !is_over(&cut))
                is_fine = look_at_another(&cut);
        if (is_fine && options->killed > 0)
                is_fine = look_at_kills(&cut, n_last);
        judge_close(&cut.judge);
        world_end(world);
        free(cut.states.keys);
        free(cut.classes.keys);
        free(cut.recovered.keys);
        return is_fine;
}
