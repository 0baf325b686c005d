/* SPDX-License-Identifier: Apache-2.0 */
/* crash.damage: the journal's files are damaged, and every verb is asked. The answer is the one that the undamaged
 * journal gives, or exit 7 with the way out: never a signal, never a hang, never another answer; and what was damaged
 * is neither deleted nor made anew. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/damage.h"
#include "tests/crash/tree.h"

static const char usage[] = "usage: crash.damage [OPTION]...\n"
                            "  --shape NAME   only this journal\n"
                            "  --case N       only this case of it (with --seed)\n"
                            "  --cases N      how many of each\n"
                            "  --full         2,000 of each\n"
                            "  --seed S       which ones\n"
                            "  --jobs J       worlds at a time\n";

enum { ANSWER_SIZE = 1 << 20, VERBS_MAX = 16, STATUS_REFUSED = 7, STATUS_UNKNOWN = 75 };

typedef struct Verb {
        const char *line;
        bool is_writer;      /* only its exit status is compared, and it may end with 75 */
        int damaged_status;  /* what it may say of a damaged journal */
        bool ignores_output; /* times and process ids */
} Verb;

/* clang-format off */
static const Verb verbs[] = {
        {"list --json",        false, STATUS_REFUSED, false},
        {"status web --json",  false, STATUS_REFUSED, false},
        {"history --json",     false, STATUS_REFUSED, false},
        {"history web",        false, STATUS_REFUSED, false},
        {"journal list --json",false, STATUS_REFUSED, false},
        {"journal export",     false, STATUS_REFUSED, false},
        {"check",              false, STATUS_REFUSED, false},
        {"plan upgrade web --source ./web-v2 --version v9", false, STATUS_REFUSED, false},
        {"doctor",             false, 1,              true},
        {"journal verify",     false, STATUS_REFUSED, true},
        {"recover",            true,  STATUS_REFUSED, true},
        {"apply web.yaml",     true,  STATUS_REFUSED, true},
        {"restart web",        true,  STATUS_REFUSED, true},
};
/* clang-format on */
enum { N_VERBS = sizeof verbs / sizeof *verbs, VERIFY = 9, FIRST_WRITER = 10, READERS_ASKED = 3 };

typedef struct Answer {
        int status;
        char *text;
} Answer;

typedef struct Run {
        World *world;
        const Shape *shape;
        const CrewOptions *options;
        Answer expected[N_VERBS];
        uint64_t n; /* of the case */
        const Damage *damage;
} Run;

/* ---- Asking ---- */

/* Process ids and what counts from a start differ from one restored root to the next. */
static void blot_out(char *text) {
        static const char *const fields[] = {"\"pid\":", "\"since\":", "\"uptime\":"};

        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                for (char *at = text; (at = strstr(at, fields[i])) != NULL;) {
                        at += strlen(fields[i]);
                        memmove(at, at + strcspn(at, ",\n"), strlen(at + strcspn(at, ",\n")) + 1);
                }
}

static bool ask(World *w, const Verb *v, Answer *ret) {
        static char text[ANSWER_SIZE];
        char path[WORLD_PATH_SIZE + 16];
        FILE *file;
        size_t n;
        pid_t pid;

        if (world_pawl_begin(w, v->line, NULL, "answer", &pid) < 0)
                return false;
        ret->status = world_pawl_end(pid, 30000);
        (void)snprintf(path, sizeof path, "%s/answer", w->base);
        file = fopen(path, "re");
        n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file != NULL)
                (void)fclose(file);
        text[n] = 0;
        blot_out(text);
        ret->text = strdup(text);
        return ret->text != NULL;
}

static bool learn(Run *r) {
        for (size_t i = 0; i < N_VERBS; i++) {
                if (world_restore(r->world) < 0 || !ask(r->world, &verbs[i], &r->expected[i]))
                        return false;
                if (r->expected[i].status < 0 || r->expected[i].status > 127) {
                        (void)fprintf(stderr, "crash: %s: \"%s\" of the undamaged journal: %d\n%s\n", r->shape->name,
                                      verbs[i].line, r->expected[i].status, r->expected[i].text);
                        return false;
                }
        }
        return true;
}

static void forget(Run *r) {
        for (size_t i = 0; i < N_VERBS; i++)
                free(r->expected[i].text);
}

/* ---- Judging ---- */

/* From the line on that differs. */
static const char *difference(const char *expected, const char *got) {
        const char *line = got;

        for (; *got != 0 && *got == *expected; got++, expected++)
                if (*got == '\n')
                        line = got + 1;
        return line;
}

static bool fail(const Run *r, const Verb *v, const char *why, const Answer *got) {
        const char *expected = r->expected[v - verbs].text;

        (void)printf("FAILED %s, %s: \"%s\": %s\n    exit status %d: %.800s\n"
                     "    again: crash.damage --shape %s --seed %" PRIu32 " --case %" PRIu64 "\n",
                     r->shape->name, r->damage->name, v->line, why, got->status, difference(expected, got->text),
                     r->shape->name, r->options->seed, r->n);
        return false;
}

static bool answer_is_right(const Run *r, size_t i, const Answer *got) {
        const Verb *v = &verbs[i];
        const Answer *expected = &r->expected[i];
        bool is_same = got->status == expected->status && (v->ignores_output || strcmp(got->text, expected->text) == 0);

        if (got->status < 0)
                return fail(r, v, "it hangs", got);
        if (got->status > 128)
                return fail(r, v, "it was ended by a signal", got);
        if (is_same)
                return true;
        if (r->damage->hope == HOPE_HEALS)
                return fail(r, v, "such damage heals, and the answer is another", got);
        if (v->is_writer && got->status == STATUS_UNKNOWN)
                return true;
        if (got->status != v->damaged_status)
                return fail(r, v, "it is neither what the undamaged journal answers nor refused", got);
        if (strstr(got->text, "pawl journal") == NULL && strstr(got->text, "\"hint\": \"") == NULL &&
            strstr(got->text, "try:") == NULL && strstr(got->text, "problem") == NULL)
                return fail(r, v, "it is refused without a way out", got);
        return true;
}

static bool ask_and_judge(const Run *r, size_t i, int *ret_status) {
        Answer got = {0};
        bool is_right = ask(r->world, &verbs[i], &got) && answer_is_right(r, i, &got);

        *ret_status = got.status;
        free(got.text);
        return is_right;
}

/* A refusal changes nothing: what was there is still there, byte for byte, and what was gone is gone. */
static bool is_left_alone(const Run *r, unsigned long long before) {
        char path[WORLD_PATH_SIZE];

        journal_path(r->world, "journal/data.mdb", path);
        return tree_hash_file(path) == before ||
               fail(r, &verbs[VERIFY], "data.mdb was touched although it was refused", &(Answer){0, (char *)""});
}

static bool judge(const Run *r) {
        char path[WORLD_PATH_SIZE];
        uint64_t random = crew_hash(r->n, r->options->seed ^ 0x5eed);
        unsigned long long before;
        bool is_right = true;
        int status = 0;
        size_t writer = FIRST_WRITER + (random >> 8) % (N_VERBS - FIRST_WRITER);

        journal_path(r->world, "journal/data.mdb", path);
        before = tree_hash_file(path);
        for (size_t i = 0; i < READERS_ASKED && is_right; i++)
                is_right = ask_and_judge(r, (random + i * 7) % FIRST_WRITER, &status);
        is_right = is_right && ask_and_judge(r, VERIFY, &status);
        if (is_right && r->damage->hope == HOPE_REFUSED && status != STATUS_REFUSED)
                is_right = fail(r, &verbs[VERIFY], "it must be seen", &(Answer){status, (char *)""});
        is_right = is_right && ask_and_judge(r, writer, &status);
        return is_right && (status != STATUS_REFUSED || is_left_alone(r, before));
}

/* ---- The cases ---- */

static bool damage_shape(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata) {
        const CrewOptions *o = userdata;
        char text[DAMAGE_TEXT_SIZE];
        static Run r;

        r = (Run){.world = world, .shape = &shapes[row], .options = o};
        if (!shape_make(world, r.shape) || !learn(&r))
                return false;
        for (r.n = 0; r.n < o->n_cases; r.n++) {
                uint64_t seed = crew_hash(r.n, o->seed + row);

                if (o->is_only ? r.n != o->only || worker != 0 : r.n % o->n_jobs != worker)
                        continue;
                ret->n_states++;
                ret->n_runs += READERS_ASKED + 2;
                if (!damage_do(world, seed, &r.damage, text)) {
                        (void)fprintf(stderr, "crash: could not do the damage: %s\n", text);
                        return false;
                }
                ret->n_failures += !judge(&r);
        }
        ret->n_points = worker == 0 ? o->n_cases : 0;
        forget(&r);
        service_end_all(world->root);
        return true;
}

int main(int argc, char **argv) {
        const ShapeTest test = {
                .tier = "damage",
                .usage = {"shape", "case", 2000, usage},
                .work = damage_shape,
                .n_cases_slow = 12,
                .n_cases = 150,
        };

        return shapes_test(&test, argc, argv);
}
