/* SPDX-License-Identifier: Apache-2.0 */
/* See judge.h. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/crash/judge.h"
#include "tests/crash/tree.h"

enum { RECOVER_LIMIT_MSEC = 5000, RECOVER_LIMIT_SLOW_MSEC = 20000, EXPORT_SIZE = 1 << 20 };

/* What must be as before or as after. The log is the program's own: after a first start that failed, it stays. */
static const char *const trees[] = {"opt/pawl",      "etc/pawl",       "var/lib/pawl-data",
                                    "run/pawl/step", "run/pawl/whole", NULL};

/* Of somebody's own spec: what the program writes into its data is its own affair, and secrets may be generated. */
static const char *const trees_users[] = {"opt/pawl", "etc/pawl", "run/pawl/step", "run/pawl/hold", NULL};

static char *world_lines(const World *w, TreeDetail detail) {
        if (w->is_users && detail == TREE_PLAIN)
                detail = TREE_SHAPE;
        return tree_lines(w->root, w->is_users ? trees_users : trees, detail);
}

/* What the journal says about the flow: the first transaction behind the kept head. */
typedef struct Facts {
        uint64_t head, class;
        char boot[40]; /* of the last record up to `after` */
        unsigned n_begun, n_all_begun, n_ended;
        bool is_of_recovery; /* what follows was begun by a recovery in another boot */
        bool is_committed, is_aborted, has_ended;
        bool is_out_of_order; /* something was put back, or it ended, before the records said which way it goes */
} Facts;

typedef struct View {
        Judge *judge;
        JudgeCase *of;
        WorldRun run;
        Facts facts;
        bool is_after;
} View;

_Static_assert(JUDGE_TEXT_SIZE >= 1024, "a tree_diff() must fit");

__attribute__((format(printf, 2, 3))) static bool object(View *v, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(v->of->text, sizeof v->of->text, format, ap);
        va_end(ap);
        return false;
}

/* ---- The journal ---- */

static uint64_t number_of(const char *line, const char *name) {
        const char *at = strstr(line, name);

        return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static bool kind_is(const char *line, const char *kind) {
        char wanted[64];

        (void)snprintf(wanted, sizeof wanted, "\"kind\":\"%s\"", kind);
        return strstr(line, wanted) != NULL;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
        return (hash ^ value) * 0x100000001b3;
}

static uint64_t mix_kind(uint64_t hash, const char *line) {
        const char *at = strstr(line, "\"kind\":\"");

        for (; at != NULL && *at != 0 && *at != ','; at++)
                hash = mix(hash, (unsigned char)*at);
        return hash;
}

/* Empty: the line has none. */
static void boot_of(const char *line, char *ret, size_t size) {
        static const char name[] = "\"boot\":\"";
        const char *at = strstr(line, name);

        (void)snprintf(ret, size, "%.32s", at != NULL ? at + sizeof name - 1 : "");
}

static void facts_note_begin(Facts *f, const char *line, const char *boot) {
        char found[40];

        boot_of(line, found, sizeof found);
        f->is_of_recovery = boot[0] != 0 && strcmp(found, boot) != 0;
        f->n_begun += !f->is_of_recovery;
}

static void facts_note(Facts *f, const char *line, const char *boot) {
        bool is_first;

        f->class = mix(mix_kind(f->class, line), number_of(line, "\"step\":"));
        f->n_all_begun += kind_is(line, "begin");
        f->n_ended += kind_is(line, "end");
        if (kind_is(line, "begin"))
                facts_note_begin(f, line, boot);
        if (f->is_of_recovery)
                return;
        is_first = f->n_begun == 1;
        f->is_committed |= is_first && kind_is(line, "commit");
        f->is_aborted |= is_first && kind_is(line, "abort");
        f->is_out_of_order |= kind_is(line, "undone") && !f->is_aborted;
        f->is_out_of_order |= kind_is(line, "end") && !f->is_aborted && !f->is_committed;
        f->has_ended |= is_first && kind_is(line, "end");
}

/* Of the records behind `after`; `boot` is where the flow's own come from, empty: not known. */
static bool facts_read(World *w, uint64_t after, const char *boot, Facts *ret) {
        static char text[EXPORT_SIZE];
        char path[WORLD_PATH_SIZE + 16];
        pid_t pid;
        FILE *file;
        bool is_there;

        *ret = (Facts){.class = 0xcbf29ce484222325};
        if (world_pawl_begin(w, "journal export", NULL, "export", &pid) < 0 ||
            world_pawl_end(pid, RECOVER_LIMIT_SLOW_MSEC) != 0)
                return false;
        (void)snprintf(path, sizeof path, "%s/export", w->base);
        file = fopen(path, "re");
        is_there = file != NULL;
        while (is_there && fgets(text, sizeof text, file) != NULL) {
                uint64_t seq = number_of(text, "\"seq\":");

                ret->head = seq > ret->head ? seq : ret->head;
                if (seq <= after)
                        boot_of(text, ret->boot, sizeof ret->boot);
                else
                        facts_note(ret, text, boot);
        }
        if (is_there)
                (void)fclose(file);
        return is_there;
}

/* ---- The oracles ---- */

static bool secrets_are_kept(View *v) {
        char journal[WORLD_PATH_SIZE + 32], path[1024];

        (void)snprintf(journal, sizeof journal, "%s/var/lib/pawl", v->judge->world->root);
        if (tree_search(v->judge->world->root, WORLD_SECRET, true, path, sizeof path) ||
            tree_search(journal, WORLD_SECRET, false, path, sizeof path))
                return object(v, "a secret stands in %s", path);
        if (strstr(v->of->output, WORLD_SECRET) != NULL)
                return object(v, "a secret was printed");
        return true;
}

/* Three power cuts at one step: now a person has to ask, and is told for what. */
static void ask_for_it(View *v) {
        static const char advice[] = "decide: pawl recover ";
        const WorldEnv env = {.mutant = v->of->mutant};
        const char *at = strstr(v->run.output, advice);
        char line[64];

        if (at == NULL)
                return;
        (void)snprintf(line, sizeof line, "recover %llu", strtoull(at + sizeof advice - 1, NULL, 10));
        v->of->n_asked++;
        world_pawl(v->judge->world, line, &env, &v->run);
        if (v->run.status == 0)
                world_pawl(v->judge->world, "recover", &env, &v->run);
}

static bool recovers(View *v) {
        const WorldEnv env = {.mutant = v->of->mutant};
        const Flow *flow = v->judge->flow;

        world_pawl(v->judge->world, (flow->flags & FLOW_NO_RECORDS) != 0 ? flow->command : "recover", &env, &v->run);
        if (v->of->is_power && v->run.status == 6 && strstr(v->run.output, "recovery died here three times") != NULL)
                ask_for_it(v);
        if (v->run.status != 0)
                return object(v, "recover: exit status %d: %.1500s", v->run.status, v->run.output);
        return true;
}

static bool is_quick(View *v) {
        uint64_t limit = getenv("ASAN_OPTIONS") != NULL ? RECOVER_LIMIT_SLOW_MSEC : RECOVER_LIMIT_MSEC;

        return v->run.msec < limit || object(v, "recover took %" PRIu64 " ms", v->run.msec);
}

static bool has_ended(View *v) {
        const Flow *flow = v->judge->flow;

        if (!facts_read(v->judge->world, v->judge->head, v->judge->boot, &v->facts))
                return object(v, "the journal cannot be exported");
        if (v->of->is_power && v->facts.n_all_begun != v->facts.n_ended)
                return object(v, "recover succeeded, and a transaction has no END");
        if (v->of->is_power && v->of->tx == 0)
                v->facts.n_begun = 0;
        if (v->facts.n_begun > 0 && !v->facts.has_ended)
                return object(v, "recover succeeded, and the transaction has no END");
        if (v->facts.is_out_of_order)
                return object(v, "something was put back, or it ended, without ABORT or COMMIT before it");
        if (v->facts.n_begun > 1 && !v->of->is_power)
                return object(v, "recover began a transaction of its own");
        v->is_after = v->facts.is_committed || (flow->flags & FLOW_NO_RECORDS) != 0;
        return true;
}

static bool keeps_its_word(View *v) {
        const Flow *flow = v->judge->flow;
        bool was_told = strstr(v->of->output, "committed") != NULL || (v->of->status == 0 && flow->status == 0);

        if (v->is_after && (flow->flags & FLOW_PUTS_BACK) != 0)
                return object(v, "it had to fail, and is committed");
        return v->is_after || !was_told || object(v, "success was told, and there is no COMMIT");
}

static bool files_are_right(View *v) {
        const char *wanted = v->is_after ? v->judge->after : v->judge->before;
        char *found = world_lines(v->judge->world, TREE_PLAIN), text[2048];
        bool is_right = found != NULL && tree_diff(wanted, found, text, sizeof text);

        if (found == NULL)
                return object(v, "no memory");
        if (!is_right)
                (void)object(v, "%s, and the files are not as %s:\n%s", v->is_after ? "COMMIT" : "no COMMIT",
                             v->is_after ? "after" : "before", text);
        free(found);
        return is_right;
}

static bool log_is_right(View *v) {
        const Flow *flow = v->judge->flow;
        char path[WORLD_PATH_SIZE + 96];
        struct stat st;
        bool is_removed = v->is_after && strstr(flow->command, "remove") != NULL;
        bool must_be_there =
                !is_removed && (flow->before.version != NULL || (v->is_after && flow->after.version != NULL));

        (void)snprintf(path, sizeof path, "%s/var/log/pawl/%s.log", v->judge->world->root, v->judge->world->name);
        if (is_removed && lstat(path, &st) == 0)
                return object(v, "the log is still there");
        return !must_be_there || lstat(path, &st) == 0 || object(v, "the log is gone");
}

static bool foreign_is_left_alone(View *v) {
        const World *w = v->judge->world;
        char version[64];

        if (w->foreign == 0)
                return true;
        if (kill(w->foreign, 0) < 0 || !service_ask(w->ports[PORT_FOREIGN], 1000, version, sizeof version))
                return object(v, "a foreign program was ended");
        return true;
}

static bool right_one_runs(View *v) {
        const Flow *flow = v->judge->flow;
        const World *w = v->judge->world;
        const FlowState *state = v->is_after ? &flow->after : &flow->before;
        char version[64], said[64];
        size_t n = world_count(w, version, sizeof version);

        if (state->version == NULL)
                return n == 0 || object(v, "%zu of %s run, and none should", n, version);
        if (n != 1 || strcmp(version, state->version) != 0)
                return object(v, "%zu run (%s), and one of %s should", n, n > 0 ? version : "-", state->version);
        if (state->port == PORT_UNASKED)
                return true;
        return service_ask(w->ports[state->port], 2000, said, sizeof said) ||
               object(v, "%s runs and does not answer on its port", version);
}

static bool journal_is_sound(View *v) {
        WorldRun run;

        world_pawl(v->judge->world, "journal verify", NULL, &run);
        return run.status == 0 || object(v, "journal verify: exit status %d: %.1000s", run.status, run.output);
}

static bool nothing_is_left_to_do(View *v) {
        World *w = v->judge->world;
        char path[WORLD_PATH_SIZE + 48], text[2048] = "";
        char *before = world_lines(w, TREE_EXACT), *after;
        uint64_t hash;
        WorldRun run;
        bool is_same;

        (void)snprintf(path, sizeof path, "%s/var/lib/pawl/journal/data.mdb", w->root);
        hash = tree_hash_file(path);
        world_pawl(w, "recover", NULL, &run);
        after = world_lines(w, TREE_EXACT);
        is_same = before != NULL && after != NULL && tree_diff(before, after, text, sizeof text);
        free(before);
        free(after);
        if (run.status != 0 || !is_same)
                return object(v, "a second recover: exit status %d; changed:\n%s", run.status, text);
        return hash == tree_hash_file(path) || object(v, "a second recover wrote into the journal");
}

/* What could not be started is held, whoever was to blame: then a person insists. */
static void run_again(View *v, WorldRun *ret) {
        const Flow *flow = v->judge->flow;
        char insisting[1024];

        world_pawl(v->judge->world, flow->command, NULL, ret);
        if (ret->status != 7 || (flow->flags & FLOW_PUTS_BACK) != 0 || strstr(ret->output, " is held: ") == NULL)
                return;
        (void)snprintf(insisting, sizeof insisting, "%s --retry", flow->command);
        world_pawl(v->judge->world, insisting, NULL, ret);
}

static bool works_again(View *v) {
        const Flow *flow = v->judge->flow;
        bool may_be_held = (flow->flags & FLOW_PUTS_BACK) != 0;
        WorldRun run;

        if (v->is_after && (flow->flags & FLOW_REPEATS) == 0)
                return true;
        run_again(v, &run);
        if (run.status != (v->is_after ? 0 : flow->status) && !(may_be_held && run.status == 7))
                return object(v, "\"%s\" afterwards: exit status %d: %.1500s", flow->command, run.status, run.output);
        v->is_after = true;
        return files_are_right(v) && right_one_runs(v);
}

/* clang-format off */
static const struct {
        const char *name;
        bool (*holds)(View *v);
        bool is_once; /* for each state */
} oracles[] = {
        {"O10 secrets, at the kill", secrets_are_kept,      false},
        {"O1 recover",               recovers,              false},
        {"O9 time",                  is_quick,              false},
        {"O4 records",               has_ended,             false},
        {"O3 its word",              keeps_its_word,        false},
        {"O2 files",                 files_are_right,       false},
        {"O2 log",                   log_is_right,          false},
        {"O6 others",                foreign_is_left_alone, false},
        {"O6 running",               right_one_runs,        false},
        {"O4 journal",               journal_is_sound,      true},
        {"O5 second recover",        nothing_is_left_to_do, true},
        {"O6 still running",         right_one_runs,        true},
        {"O10 secrets",              secrets_are_kept,      true},
        {"O8 usable",                works_again,           true},
};
/* clang-format on */

/* Full: every case is asked everything. */
static bool class_is_known(Judge *j, uint64_t class) {
        for (size_t i = 0; i < j->n_classes; i++)
                if (j->classes[i] == class)
                        return true;
        if (j->n_classes < JUDGE_CLASSES_MAX)
                j->classes[j->n_classes++] = class;
        return false;
}

bool judge_is_settled(Judge *j, JudgeCase *c) {
        static View v;

        v = (View){.judge = j, .of = c};
        c->oracle = "O1 put back by itself";
        return (j->flow->flags & FLOW_NO_RECORDS) != 0 || (has_ended(&v) && files_are_right(&v) && right_one_runs(&v));
}

bool judge_case(Judge *j, JudgeCase *c) {
        static View v;
        bool is_known = false, has_asked_class = false;

        v = (View){.judge = j, .of = c};
        for (size_t i = 0; i < sizeof oracles / sizeof *oracles; i++) {
                if (oracles[i].is_once && !has_asked_class) {
                        is_known = class_is_known(j, mix(v.facts.class, v.is_after));
                        has_asked_class = true;
                }
                if ((oracles[i].is_once && is_known) || oracles[i].holds(&v))
                        continue;
                c->oracle = oracles[i].name;
                return false;
        }
        return true;
}

/* ---- Learning both states ---- */

static bool complain(const Flow *flow, const char *line, const WorldRun *run) {
        (void)fprintf(stderr, "crash: %s: \"%s\": exit status %d\n%s\n", flow->name, line, run->status, run->output);
        return false;
}

static bool run_setup(World *w, const Flow *flow) {
        WorldRun run;

        for (size_t i = 0; i < FLOW_SETUP_MAX && flow->setup[i] != NULL; i++) {
                world_pawl(w, flow->setup[i], NULL, &run);
                if (run.status != 0)
                        return complain(flow, flow->setup[i], &run);
        }
        return true;
}

/* The states must be what the row says, or the sweep would prove something else. */
static bool states_are_meant(Judge *j) {
        static View v;
        JudgeCase c = {.output = ""};
        bool is_put_back = (j->flow->flags & FLOW_PUTS_BACK) != 0;

        v = (View){.judge = j, .of = &c, .is_after = true};
        if (!right_one_runs(&v) || (is_put_back && !tree_diff(j->before, j->after, c.text, sizeof c.text))) {
                (void)fprintf(stderr, "crash: %s: undisturbed, it does not end as its row says: %s\n", j->flow->name,
                              c.text);
                return false;
        }
        return true;
}

bool judge_open(Judge *j, World *world, const Flow *flow) {
        Facts facts = {0};
        WorldRun run;

        *j = (Judge){.world = world, .flow = flow};
        if (world_reset(world) < 0 || !run_setup(world, flow))
                return false;
        if ((flow->flags & FLOW_NO_RECORDS) == 0 && !facts_read(world, UINT64_MAX, "", &facts)) {
                (void)fprintf(stderr, "crash: %s: the journal cannot be exported\n", flow->name);
                return false;
        }
        j->head = facts.head;
        memcpy(j->boot, facts.boot, sizeof j->boot);
        j->before = world_lines(world, TREE_PLAIN);
        if (world_keep(world) < 0 || world_restore(world) < 0)
                return false;
        world_pawl(world, flow->command, NULL, &run);
        if (run.status != flow->status)
                return complain(flow, flow->command, &run);
        j->after = world_lines(world, TREE_PLAIN);
        return j->before != NULL && j->after != NULL && states_are_meant(j);
}

void judge_close(Judge *j) {
        free(j->before);
        free(j->after);
        j->before = j->after = NULL;
}
