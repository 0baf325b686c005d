/* SPDX-License-Identifier: Apache-2.0 */
/* crash.libcalls: the N-th call of LMDB or libcurl in every flow ends with an error, before it took place or (a
 * commit, a transfer) behind it. pawl tells it, ends with a status that is true, and what it left is put back by
 * itself or by recovery. The flow "fetch" is here for libcurl's sake: its artifact comes by a URL. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crew_options.h"
#include "tests/crash/judge.h"

static const char usage[] = "usage: crash.libcalls [OPTION]...\n"
                            "  --flow NAME  only this flow\n"
                            "  --at N       only this case\n"
                            "  --cases N    how many of each flow\n"
                            "  --full       all of them\n"
                            "  --seed S     which ones\n"
                            "  --jobs J     worlds at a time\n";

enum { NAME_SIZE = 32, CALLS_MAX = 4096, CASES_MAX = 32 * 1024 };

static const struct {
        const char *name, *errors;
} calls[] = {
#define LIBCALL(name, errors) {#name, errors},
#include "tests/crash/libcalls.def"
#undef LIBCALL
};

static const struct {
        const char *call, *error, *why;
} silences[] = {
#define SILENT_CALL(call, error, why) {call, error, why},
#include "tests/crash/libcalls.def"
#undef SILENT_CALL
};

typedef struct Case {
        uint32_t n; /* which call */
        int error;
        bool is_after;
        char call[NAME_SIZE], name[NAME_SIZE]; /* of the error */
} Case;

typedef struct Library {
        World *world;
        Judge judge;
        WorldRun run;
        char both[2 * WORLD_OUTPUT_SIZE];
        Case *cases;
        size_t n_cases;
} Library;

static const Flow fetch = {"fetch",      {"init"}, "apply fetch.yaml", 0, {NULL, PORT_FIRST}, {"v1", PORT_FIRST},
                           FLOW_REPEATS, NULL};

/* ---- Runs ---- */

static bool is_recovery(const Library *l) {
        return l->judge.flow->crash_at != NULL;
}

/* Puts the root back and runs the flow, or the recovery of its crash. */
static bool run(Library *l, const char *fail_at) {
        const Flow *flow = l->judge.flow;
        const WorldEnv crash = {.crash_at = flow->crash_at};
        char to[WORLD_PATH_SIZE + 32];
        const WorldEnv env = {.preload = LIBCALLS_SHIM, .libcall_fail_at = fail_at, .libcall_count_to = to};
        static WorldRun died;

        (void)snprintf(to, sizeof to, "%s/calls", l->world->base);
        if (world_restore(l->world) < 0)
                return false;
        died.output[0] = 0;
        if (is_recovery(l))
                world_pawl(l->world, flow->command, &crash, &died);
        world_pawl(l->world, is_recovery(l) ? "recover" : flow->command, &env, &l->run);
        (void)snprintf(l->both, sizeof l->both, "%s%s", died.output, l->run.output);
        return true;
}

/* ---- The cases ---- */

static void add_case(Library *l, uint32_t n, const char *call, const char *word, bool is_after) {
        const char *equals = strchr(word, '=');
        Case *c = &l->cases[l->n_cases];

        if (l->n_cases == CASES_MAX)
                return;
        *c = (Case){.n = n, .error = (int)strtol(equals + 1, NULL, 10), .is_after = is_after};
        (void)snprintf(c->call, sizeof c->call, "%s", call);
        (void)snprintf(c->name, sizeof c->name, "%.*s", (int)(equals - word), word);
        l->n_cases++;
}

static void add_cases(Library *l, uint32_t n, const char *call) {
        char text[512], *rest;
        size_t i = 0;

        while (i < sizeof calls / sizeof *calls && strcmp(calls[i].name, call) != 0)
                i++;
        if (i == sizeof calls / sizeof *calls)
                return;
        (void)snprintf(text, sizeof text, "%s", calls[i].errors);
        for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
                add_case(l, n, call, word + (word[0] == '+'), false);
                if (word[0] == '+')
                        add_case(l, n, call, word + 1, true);
        }
}

/* One undisturbed run tells which calls there are. */
static bool find_cases(Library *l) {
        char path[WORLD_PATH_SIZE + 16], name[NAME_SIZE];
        FILE *file;
        uint32_t n = 0;

        if (!run(l, NULL))
                return false;
        (void)snprintf(path, sizeof path, "%s/calls", l->world->base);
        file = fopen(path, "re");
        while (file != NULL && n < CALLS_MAX && fscanf(file, "%31s", name) == 1)
                add_cases(l, ++n, name);
        if (file != NULL)
                (void)fclose(file);
        if (l->n_cases == 0)
                (void)fprintf(stderr, "crash: %s: no calls were counted: %.500s\n", l->judge.flow->name, l->run.output);
        return l->n_cases > 0;
}

/* ---- The judge ---- */

static bool object(JudgeCase *j, const char *oracle, const char *text) {
        j->oracle = oracle;
        (void)snprintf(j->text, sizeof j->text, "%s", text);
        return false;
}

static bool is_silent(const Case *c) {
        for (size_t i = 0; i < sizeof silences / sizeof *silences; i++)
                if (strcmp(silences[i].call, c->call) == 0 &&
                    (silences[i].error[0] == 0 || strcmp(silences[i].error, c->name) == 0))
                        return true;
        return false;
}

static bool text_tells(const char *text, const Case *c) {
        static const struct {
                const char *error, *text;
        } other_words[] = {
                {"ENOMEM", "out of memory"},
        };

        for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++)
                if (strcmp(other_words[i].error, c->name) == 0 && strstr(text, other_words[i].text) != NULL)
                        return true;
        return strstr(text, c->name) != NULL;
}

static bool tells_the_truth(Library *l, const Case *c, JudgeCase *j) {
        int undisturbed = is_recovery(l) ? 0 : l->judge.flow->status, status = l->run.status;

        if (status < 0 || status > 128 || strstr(l->run.output, "AddressSanitizer") != NULL)
                return object(j, "F1 ends", status < 0 ? "it hangs" : "it was ended by a signal");
        if (status == undisturbed && !text_tells(l->run.output, c) && !is_silent(c))
                return object(j, "F2 told",
                              "it ends as if nothing had been, and no row of libcalls.def says that it may");
        if (status != undisturbed && strstr(l->run.output, "pawl: ") == NULL)
                return object(j, "F2 told", "it fails, and does not say why");
        return true;
}

static void print_failure(const Library *l, const Case *c, size_t number, const JudgeCase *j) {
        (void)printf("FAILED %s, call %" PRIu32 " (%s) %s %s: %s\n    %.2000s\n    it said: %d %.800s\n"
                     "    again: crash.libcalls --flow %s --at %zu\n",
                     l->judge.flow->name, c->n, c->call, c->is_after ? "took place, and ends with" : "ends with",
                     c->name, j->oracle, j->text, l->run.status, l->run.output, l->judge.flow->name, number);
}

static bool run_case(Library *l, size_t number, CrewRow *row) {
        const Case *c = &l->cases[number];
        JudgeCase j = {.output = l->both, .status = -1};
        char at[64];

        (void)snprintf(at, sizeof at, "%" PRIu32 ":%d:%s", c->n, c->error, c->is_after ? "after" : "before");
        if (!run(l, at))
                return false;
        row->n_runs++;
        row->n_states++;
        if (!is_recovery(l))
                j.status = l->run.status;
        if (tells_the_truth(l, c, &j) && judge_case(&l->judge, &j))
                return true;
        row->n_failures++;
        print_failure(l, c, number, &j);
        return true;
}

/* ---- Flows ---- */

static bool write_fetch(const World *w) {
        char path[WORLD_PATH_SIZE + 16];
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/fetch.yaml", w->files);
        file = fopen(path, "we");
        if (file == NULL)
                return false;
        (void)fprintf(file,
                      "pawl: 1\nname: web\nversion: v1\nsource: {url: \"file://%s/web-v1\"}\nruntime: {exec: [web]}\n"
                      "port: %d\nhealth: gc\n",
                      w->files, w->ports[PORT_FIRST]);
        return fclose(file) == 0;
}

static bool library_flow(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata) {
        static Case cases[CASES_MAX];
        const CrewOptions *o = userdata;
        static Library l;
        bool is_done;

        l = (Library){.world = world, .cases = cases};
        is_done = write_fetch(world) && judge_open(&l.judge, world, row < n_flows ? &flows[row] : &fetch) &&
                  find_cases(&l);
        ret->n_points = worker == 0 ? l.n_cases : 0;
        for (size_t i = 0; is_done && i < (o->n_cases < l.n_cases ? o->n_cases : l.n_cases); i++) {
                size_t number = o->n_cases < l.n_cases ? crew_hash(i, o->seed + row) % l.n_cases : i;

                if (i % o->n_jobs == worker)
                        is_done = run_case(&l, o->is_only ? o->only % l.n_cases : number, ret);
        }
        judge_close(&l.judge);
        service_end_all(world->root);
        return is_done;
}

int main(int argc, char **argv) {
        enum { CASES_SAMPLE = 4, CASES_ALL = 1000000 };
        static const char *names[CREW_ROWS_MAX];
        static bool is_left_out[CREW_ROWS_MAX];
        const CrewUsage told = {"flow", "at", UINT64_MAX, usage};
        CrewOptions o;
        bool is_fine;

        if (!crew_options(&o, &told, argc, argv))
                return 2;
        if (o.is_only)
                o.n_cases = o.n_jobs = 1;
        if (o.n_cases == 0)
                o.n_cases = CASES_SAMPLE;
        for (unsigned i = 0; i <= n_flows && i < CREW_ROWS_MAX; i++) {
                names[i] = i < n_flows ? flows[i].name : fetch.name;
                is_left_out[i] = o.row != NULL && strcmp(o.row, names[i]) != 0;
        }
        is_fine = crew_run(&(Crew){.tier = "libcalls",
                                   .names = names,
                                   .is_left_out = is_left_out,
                                   .n_rows = n_flows + 1,
                                   .n_workers = o.n_jobs,
                                   .work = library_flow,
                                   .userdata = &o,
                                   .is_sample = o.n_cases < CASES_ALL,
                                   .is_partial = o.is_only});
        (void)printf("seed %" PRIu32 "\n", o.seed);
        return is_fine ? 0 : 1;
}
