/* SPDX-License-Identifier: Apache-2.0 */
/* crash.fail: every call of every flow fails once: as if it had not been done, as if it had been done and the answer
 * was lost, with only half of the bytes. pawl has to say so, and to put everything back; or recovery does. A part of
 * the cases is run again and killed somewhere in the way back.
 *
 * An error that is told nowhere is a failure, unless a row of faults.def says why it may be passed over. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/crew.h"
#include "tests/crash/faults.h"
#include "tests/crash/judge.h"

static const char usage[] = "usage: crash.fail [OPTION]...\n"
                            "  --flow NAME    only this flow\n"
                            "  --at N         only this event; --list shows them\n"
                            "  --error ERRNO  only this error\n"
                            "  --lie          only lies: the call takes place, and its answer is the error\n"
                            "  --short        only short writes\n"
                            "  --then N       and killed before event N, which comes later\n"
                            "  --full         every case\n"
                            "  --sample K     only K of 1,000 cases\n"
                            "  --seed S       which ones\n"
                            "  --jobs J       worlds at a time\n"
                            "  --list         the events of a flow\n";

enum { EVENTS_MAX = 4096, EVENT_NAME_SIZE = 24, EVENT_PATH_SIZE = 160 };

typedef struct FailOptions {
        const char *flow;
        uint64_t at, then;
        int error;
        bool only_lies, only_shorts, is_list, is_full;
        unsigned permille, permille_killed; /* of the cases; of those, killed on the way back */
        uint32_t seed;
        unsigned n_jobs;
} FailOptions;

typedef struct Event {
        char name[EVENT_NAME_SIZE], path[EVENT_PATH_SIZE];
        TracerKind kind;
} Event;

typedef struct Fail {
        const FailOptions *options;
        World *world;
        const Flow *flow;
        CrewRow *row;
        Judge judge;
        TracerResult traced;
        char first[WORLD_OUTPUT_SIZE], output[WORLD_OUTPUT_SIZE], both[2 * WORLD_OUTPUT_SIZE];
        Event events[EVENTS_MAX]; /* of an undisturbed run; [0] is the first */
        uint64_t n_events;
} Fail;

/* One case: event n suffers this; then, if it is not 0, a kill before that event. */
typedef struct Case {
        uint64_t n, then;
        Fault fault;
} Case;

/* ---- A run ---- */

static bool is_recovery(const Fail *f) {
        return f->flow->crash_at != NULL;
}

static void note_event(const TracerEvent *event, void *userdata) {
        Fail *f = userdata;
        Event *e;

        if (event->is_exit || event->n > EVENTS_MAX)
                return;
        e = &f->events[event->n - 1];
        (void)snprintf(e->name, sizeof e->name, "%s", event->name);
        (void)snprintf(e->path, sizeof e->path, "%.159s", event->path);
        e->kind = event->kind;
}

/* Puts the root back, and runs the flow (or the recovery of its crash) under the tracer. */
static int run(Fail *f, TracerSpec *spec) {
        const char *prefixes[] = {f->world->base, "/proc/sys/", "/proc/net/", "pipe:", "socket:", NULL};
        const WorldEnv crash = {.crash_at = f->flow->crash_at};
        static WorldRun died;
        int r = world_restore(f->world);

        if (r < 0)
                return r;
        died.output[0] = 0;
        if (is_recovery(f))
                world_pawl(f->world, f->flow->command, &crash, &died);
        spec->kinds_mask = TRACER_ALL | TRACER_LOOK;
        spec->look_prefixes = prefixes;
        r = world_trace(f->world, is_recovery(f) ? "recover" : f->flow->command, NULL, spec, &f->traced, f->output);
        f->traced.n_released = 0; /* whatever lives is found by its root */
        (void)snprintf(f->both, sizeof f->both, "%s%s", died.output, f->output);
        f->row->n_runs++;
        if (r != 0)
                (void)fprintf(stderr, "crash: %s: the tracer gave up (%d): %s\n", f->flow->name, r,
                              r > 0 ? f->traced.problem : strerror(-r));
        return r;
}

/* ---- Judging ---- */

static void print_failure(const Fail *f, const Case *c, const JudgeCase *j) {
        const TracerEvent *event = &f->traced.fired_event;
        const char *name = c->fault.error != 0 ? strerrorname_np(c->fault.error) : "short";
        const char *how = c->fault.mode == TRACER_LIE ? " --lie" : c->fault.mode == TRACER_SHORT ? " --short" : "";
        char then[48] = "", text[JUDGE_TEXT_SIZE + 2 * WORLD_OUTPUT_SIZE];
        int n;

        if (c->then != 0)
                (void)snprintf(then, sizeof then, " --then %" PRIu64, c->then);
        n = snprintf(text, sizeof text,
                     "FAILED %s, %s at %" PRIu64 ": %s\n    event: %s %s%s%s\n    %s\n    it said: %.1200s\n"
                     "    again: crash.fail --flow %s --at %" PRIu64 "%s%s%s%s\n",
                     f->flow->name, name, c->n, j->oracle, event->name, event->path, event->path2[0] != 0 ? " -> " : "",
                     event->path2, j->text, f->output, f->flow->name, c->n, c->fault.error != 0 ? " --error " : "",
                     c->fault.error != 0 ? name : "", how, then);
        (void)!write(STDOUT_FILENO, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static bool object(JudgeCase *j, const char *oracle, const char *text) {
        j->oracle = oracle;
        (void)snprintf(j->text, sizeof j->text, "%s", text);
        return false;
}

/* These say that everything is as it was; 6, 7 and 75 send to `pawl recover`. */
static bool says_put_back(int status) {
        static const int statuses[] = {1, 2, 3, 4, 5, 8, 9, 10, 77};

        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
                if (statuses[i] == status)
                        return true;
        return false;
}

static bool text_tells(const char *text, int error) {
        static const struct {
                int error;
                const char *text;
        } other_words[] = {
                {ENOMEM, "out of memory"},
                {EINTR, "interrupted"},
                {ECONNREFUSED, "no answer on"},
                {ECONNRESET, "no answer on"},
        };

        if (strstr(text, strerror(error)) != NULL)
                return true;
        for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++)
                if (other_words[i].error == error && strstr(text, other_words[i].text) != NULL)
                        return true;
        return false;
}

/* Where only the directory is opened, what is done in it tells whose error it is. */
static bool is_silent(const Fail *f, const Case *c) {
        const TracerEvent *event = &f->traced.fired_event;
        const char *next = c->n < f->n_events && c->n < EVENTS_MAX ? f->events[c->n].path : "";
        size_t n = strlen(event->path);
        bool is_directory = n > 0 && event->path[n - 1] == '/';

        return fault_silence(event->name, event->path, c->fault.error) != NULL ||
               (is_directory && fault_silence(event->name, next, c->fault.error) != NULL);
}

/* It ended by itself. Is the error told, and is what the exit status says true? */
static bool tells_the_truth(Fail *f, const Case *c, JudgeCase *j) {
        int undisturbed = is_recovery(f) ? 0 : f->flow->status;
        bool ends_as_ever = j->status == undisturbed;
        bool is_harmless = c->fault.mode == TRACER_SHORT || c->fault.error == EINTR;

        if (says_put_back(j->status) && !is_recovery(f) && !judge_is_settled(&f->judge, j))
                return false;
        if (c->fault.error != 0 && text_tells(f->output, c->fault.error))
                return true;
        if (ends_as_ever && (is_harmless || is_silent(f, c)))
                return true;
        if (ends_as_ever)
                return object(j, "F2 told", "the error is told nowhere, and no row of faults.def says that it may be");
        if (c->fault.error == 0 && j->status == 75) /* LMDB does not go on where a write was cut off */
                return true;
        return c->fault.error == 0 ? object(j, "F3 short write", "a short write is no reason to end otherwise")
                                   : object(j, "F2 told", "it ends otherwise, and the error is told nowhere");
}

static bool ends_well(Fail *f, const Case *c, JudgeCase *j) {
        int status = f->traced.wait_status;

        if (f->traced.timed_out)
                return object(j, "F1 ends", "it hangs");
        if (f->traced.then_fired)
                return true;
        if (!WIFEXITED(status))
                return object(j, "F1 ends", "it was ended by a signal");
        j->status = is_recovery(f) ? -1 : WEXITSTATUS(status);
        if (is_recovery(f)) {
                JudgeCase as_status = {.status = WEXITSTATUS(status)};
                bool is_fine = tells_the_truth(f, c, &as_status);

                return is_fine || object(j, as_status.oracle, as_status.text);
        }
        return tells_the_truth(f, c, j);
}

/* What may fail after COMMIT stays as it is; the next one of its kind takes it along. */
static bool is_left_with_a_warning(const Fail *f, const JudgeCase *j) {
        static const char *const warnings[] = {"warning: delete old releases of"};
        bool is_told = false;

        for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++)
                is_told = is_told || strstr(f->output, warnings[i]) != NULL;
        return is_told && strcmp(j->oracle, "O2 files") == 0;
}

/* A tick of the clock more or less moves the numbers (the journal's stamp): then another call was struck, with errors
 * that may not be its own. */
static bool is_meant(const Fail *f, const Case *c) {
        return f->traced.timed_out || (f->traced.fired && f->traced.applied &&
                                       strcmp(f->traced.fired_event.name, f->events[c->n - 1].name) == 0);
}

static int run_case(Fail *f, const Case *c) {
        TracerSpec spec = {.mode = c->fault.mode, .at = c->n, .errno_value = c->fault.error, .then_kill_at = c->then};
        JudgeCase j = {.output = f->both, .status = -1};
        int r = run(f, &spec);

        if (r < 0)
                return r;
        if (r > 0 || !is_meant(f, c))
                return 0; /* it cannot be struck so */
        f->row->n_states++;
        if (ends_well(f, c, &j) && (judge_case(&f->judge, &j) || is_left_with_a_warning(f, &j)))
                return 0;
        f->row->n_failures++;
        print_failure(f, c, &j);
        return 0;
}

/* ---- The cases ---- */

static bool is_wanted(const Fail *f, uint64_t n, const Fault *fault, uint64_t key) {
        const FailOptions *o = f->options;
        const Event *e = &f->events[n - 1];

        if (o->at != 0 || o->error != 0 || o->only_lies || o->only_shorts)
                return (o->at == 0 || o->at == n) && (o->error == 0 || o->error == fault->error) &&
                       (!o->only_lies || fault->mode == TRACER_LIE) &&
                       (!o->only_shorts || fault->mode == TRACER_SHORT) &&
                       (o->at != 0 || crew_is_sampled(o->seed, key, o->permille));
        return crew_is_sampled(o->seed, key, o->permille) || fault_is_pinned(f->flow->name, e->name, e->path, fault);
}

static int run_wanted(Fail *f, uint64_t n, const Fault *fault, uint64_t key) {
        const FailOptions *o = f->options;
        Case c = {.n = n, .fault = *fault, .then = o->then};
        uint64_t last;
        int r = run_case(f, &c);

        last = f->traced.n_events;
        if (r < 0 || o->then != 0 || last <= n || !crew_is_sampled(o->seed, ~key, o->permille_killed))
                return r;
        c.then = n + 1 + crew_hash(key, o->seed) % (last - n);
        return run_case(f, &c);
}

static bool sweep(Fail *f, unsigned worker) {
        const FailOptions *o = f->options;
        Fault faults[FAULTS_MAX];
        uint64_t number = 0;

        for (uint64_t n = 1; n <= f->n_events && n <= EVENTS_MAX; n++) {
                bool is_fit = fault_fits(f->events[n - 1].name, f->events[n - 1].path);
                size_t n_faults = !is_fit ? 0 : faults_of(f->events[n - 1].name, f->events[n - 1].kind, faults);

                for (size_t i = 0; i < n_faults; i++) {
                        uint64_t key = n * FAULTS_MAX + i;

                        if (is_wanted(f, n, &faults[i], key) && number++ % o->n_jobs == worker &&
                            run_wanted(f, n, &faults[i], key) < 0)
                                return false;
                }
        }
        return f->n_events > 0;
}

static bool record(Fail *f) {
        TracerSpec spec = {.mode = TRACER_RECORD, .on_event = note_event, .userdata = f};

        if (run(f, &spec) != 0)
                return false;
        f->n_events = f->traced.n_events;
        return true;
}

static void list_events(const Fail *f) {
        for (uint64_t n = 1; n <= f->n_events && n <= EVENTS_MAX; n++)
                (void)printf("%4" PRIu64 " %s %s\n", n, f->events[n - 1].name, f->events[n - 1].path);
}

static bool fail_flow(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata) {
        static Fail f;
        bool is_done;

        f = (Fail){.options = userdata, .world = world, .flow = &flows[row], .row = ret};
        is_done = judge_open(&f.judge, world, f.flow) && record(&f);
        if (is_done && f.options->is_list)
                list_events(&f);
        else
                is_done = is_done && sweep(&f, worker);
        ret->n_points = worker == 0 ? f.n_events : 0;
        judge_close(&f.judge);
        service_end_all(world->root);
        return is_done;
}

/* ---- Options ---- */

enum { OPT_FLOW = 'f', OPT_AT = 'a', OPT_ERROR = 'e', OPT_LIE = 'l', OPT_SHORT = 's', OPT_THEN = 't' };
enum { OPT_FULL = 'F', OPT_SAMPLE = 'p', OPT_SEED = 'S', OPT_JOBS = 'j', OPT_LIST = 'L' };

static const struct option options[] = {
        {"flow", 1, NULL, OPT_FLOW}, {"at", 1, NULL, OPT_AT},         {"error", 1, NULL, OPT_ERROR},
        {"lie", 0, NULL, OPT_LIE},   {"short", 0, NULL, OPT_SHORT},   {"then", 1, NULL, OPT_THEN},
        {"full", 0, NULL, OPT_FULL}, {"sample", 1, NULL, OPT_SAMPLE}, {"seed", 1, NULL, OPT_SEED},
        {"jobs", 1, NULL, OPT_JOBS}, {"list", 0, NULL, OPT_LIST},     {NULL, 0, NULL, 0},
};

static void take_number(FailOptions *o, int c) {
        if (c == OPT_AT)
                o->at = strtoull(optarg, NULL, 10);
        if (c == OPT_THEN)
                o->then = strtoull(optarg, NULL, 10);
        if (c == OPT_SAMPLE)
                o->permille = (unsigned)strtoul(optarg, NULL, 10);
        if (c == OPT_SEED)
                o->seed = (uint32_t)strtoul(optarg, NULL, 10);
        if (c == OPT_JOBS || c == OPT_AT)
                o->n_jobs = c == OPT_AT ? 1 : (unsigned)strtoul(optarg, NULL, 10);
}

static bool take_option(FailOptions *o, int c) {
        take_number(o, c);
        o->only_lies |= c == OPT_LIE;
        o->only_shorts |= c == OPT_SHORT;
        o->is_list |= c == OPT_LIST;
        o->is_full |= c == OPT_FULL;
        if (c == OPT_FLOW)
                o->flow = optarg;
        if (c == OPT_ERROR)
                o->error = fault_error_of(optarg);
        return c != '?' && (o->flow == NULL || flow_find(o->flow) != NULL);
}

/* The sample is the same for everybody who guards a change with it; --seed asks for another, --full for all. */
enum { DEFAULT_SEED = 1 };

static bool parse(FailOptions *o, int argc, char **argv) {
        bool is_fine = true;
        int c;

        *o = (FailOptions){.n_jobs = 2, .permille_killed = 100, .seed = DEFAULT_SEED};
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
                is_fine = take_option(o, c);
        if (o->at != 0)
                o->permille_killed = 0;
        if (o->is_list)
                o->n_jobs = 1;
        return is_fine && optind == argc && o->n_jobs > 0 && o->n_jobs <= CREW_MAX;
}

int main(int argc, char **argv) {
        enum { SAMPLE_SLOW = 2, SAMPLE_QUICK = 20 };
        static const char *names[CREW_ROWS_MAX];
        static bool is_left_out[CREW_ROWS_MAX];
        FailOptions o;
        bool is_fine;

        if (!parse(&o, argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        if (o.is_full)
                o.permille = 1000;
        else if (o.permille == 0)
                o.permille = o.at != 0 ? 1000 : crew_is_slow() ? SAMPLE_SLOW : SAMPLE_QUICK;
        for (unsigned i = 0; i < n_flows && i < CREW_ROWS_MAX; i++) {
                names[i] = flows[i].name;
                is_left_out[i] = o.flow != NULL && strcmp(o.flow, flows[i].name) != 0;
        }
        is_fine = crew_run(&(Crew){.tier = "fail",
                                   .names = names,
                                   .is_left_out = is_left_out,
                                   .n_rows = n_flows,
                                   .n_workers = o.n_jobs,
                                   .work = fail_flow,
                                   .userdata = &o,
                                   .is_sample = o.permille < 1000,
                                   .is_partial = o.at != 0 || o.error != 0 || o.only_lies || o.only_shorts});
        (void)printf("seed %" PRIu32 ", %u of 1,000 cases\n", o.seed, o.permille);
        return is_fine ? 0 : 1;
}
