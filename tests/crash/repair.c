/* SPDX-License-Identifier: Apache-2.0 */
/* crash.repair: whatever was damaged, `pawl journal repair` makes a journal of what still checks: no record is
 * invented, none that the segments hold is lost, what is lost is told, the damaged journal stays beside it, and
 * nothing is changed on a service before `pawl check` has compared it. In half of the cases repair is killed
 * somewhere first. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/damage.h"
#include "tests/crash/tree.h"

static const char usage[] = "usage: crash.repair [OPTION]...\n"
                            "  --shape NAME   only this journal\n"
                            "  --case N       only this case of it (with --seed)\n"
                            "  --cases N      how many of each\n"
                            "  --full         1,000 of each\n"
                            "  --seed S       which ones\n"
                            "  --jobs J       worlds at a time\n";

enum { EXPORT_SIZE = 1 << 20, RECORDS_MAX = 16384, STATUS_ON_HOLD = 7, STATUS_GONE = 7, STATUS_DRIFT = 9 };

/* A journal as its export shows it. */
typedef struct Export {
        char text[EXPORT_SIZE];
        const char *lines[RECORDS_MAX]; /* by seq; NULL: not there */
        uint64_t head, last_end;        /* seq of the last record, and of the last END: up to there the segments go */
        uint64_t lost_from, lost_to;    /* as the last REPAIR says; from 0: there is none */
} Export;

typedef struct Run {
        World *world;
        const Shape *shape;
        const CrewOptions *options;
        Export truth, now;
        uint64_t n; /* of the case */
        uint64_t n_events, killed_at;
        const Damage *damage;
        bool was_repaired;
        WorldRun run;
} Run;

__attribute__((format(printf, 2, 3))) static bool fail(const Run *r, const char *format, ...) {
        char why[1024];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(why, sizeof why, format, ap);
        va_end(ap);
        (void)printf("FAILED %s, %s, killed at %" PRIu64 ": %s\n    again: crash.repair --shape %s --seed %" PRIu32
                     " --case %" PRIu64 "\n",
                     r->shape->name, r->damage != NULL ? r->damage->name : "undamaged", r->killed_at, why,
                     r->shape->name, r->options->seed, r->n);
        return false;
}

/* ---- The export ---- */

static uint64_t number_of(const char *line, const char *name) {
        const char *at = strstr(line, name);

        return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void note_line(Export *e, char *line) {
        uint64_t seq = number_of(line, "\"seq\":");

        if (seq == 0 || seq >= RECORDS_MAX)
                return;
        e->lines[seq] = line;
        e->head = seq > e->head ? seq : e->head;
        if (strstr(line, "\"kind\":\"end\"") != NULL)
                e->last_end = seq;
        if (strstr(line, "\"kind\":\"repair\"") != NULL) {
                e->lost_from = number_of(line, "\"from\":");
                e->lost_to = number_of(line, "\"to\":");
        }
}

static bool export_read(World *w, Export *e) {
        char path[WORLD_PATH_SIZE + 16], *rest;
        FILE *file;
        size_t n;
        pid_t pid;

        memset(e, 0, sizeof *e);
        if (world_pawl_begin(w, "journal export", NULL, "export", &pid) < 0 || world_pawl_end(pid, 30000) != 0)
                return false;
        (void)snprintf(path, sizeof path, "%s/export", w->base);
        file = fopen(path, "re");
        n = file != NULL ? fread(e->text, 1, sizeof e->text - 1, file) : 0;
        if (file != NULL)
                (void)fclose(file);
        e->text[n] = 0;
        for (char *line = strtok_r(e->text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
                note_line(e, line);
        return e->head > 0;
}

/* ---- What must hold afterwards ---- */

static bool run(Run *r, const char *line, int wanted) {
        world_pawl(r->world, line, NULL, &r->run);
        return r->run.status == wanted ||
               fail(r, "\"%s\": exit status %d, not %d: %.700s", line, r->run.status, wanted, r->run.output);
}

static bool is_sound(Run *r) {
        return run(r, "journal verify", 0);
}

/* The record's own stands last: a body may hold others. */
static const char *hash_in(const char *line) {
        const char *last = NULL;

        for (const char *at = line; (at = strstr(at, ",\"hash\":")) != NULL; at++)
                last = at;
        return last;
}

/* A line's hash stands in the next record: where that one is lost, the line has none. */
static bool line_is_same(const char *wanted, const char *found) {
        size_t n = strlen(wanted), m = strlen(found);
        const char *hash = hash_in(wanted);

        if (n == m && memcmp(wanted, found, n) == 0)
                return true;
        return hash != NULL && m > 2 && strncmp(wanted, found, (size_t)(hash - wanted)) == 0 &&
               (size_t)(hash - wanted) >= m - 1;
}

static bool nothing_is_invented(Run *r) {
        for (uint64_t seq = 1; seq <= r->truth.head && seq < RECORDS_MAX; seq++) {
                const char *wanted = r->truth.lines[seq], *found = r->now.lines[seq];

                if (wanted != NULL && found != NULL && !line_is_same(wanted, found))
                        return fail(r, "record %" PRIu64 " is another:\n      %.300s\n      %.300s", seq, wanted,
                                    found);
        }
        return true;
}

static bool what_is_lost_is_told(Run *r) {
        for (uint64_t seq = 1; seq <= r->truth.head && seq < RECORDS_MAX; seq++) {
                bool is_lost = r->truth.lines[seq] != NULL && r->now.lines[seq] == NULL;
                bool is_told = r->now.lost_from != 0 && seq >= r->now.lost_from && seq <= r->now.lost_to;

                if (is_lost && !is_told)
                        return fail(r,
                                    "record %" PRIu64 " is lost and nothing says so (REPAIR: %" PRIu64 " to %" PRIu64
                                    ")",
                                    seq, r->now.lost_from, r->now.lost_to);
                if (is_lost && seq <= r->truth.last_end && r->damage->is_repairable_to_all)
                        return fail(r, "record %" PRIu64 " is lost, and the segments held it", seq);
        }
        return true;
}

static bool damaged_one_is_kept(Run *r) {
        char path[WORLD_PATH_SIZE];

        journal_path(r->world, "journal.damaged-1", path);
        return access(path, F_OK) == 0 || fail(r, "what was damaged is not kept");
}

static bool is_on_hold(Run *r) {
        return run(r, "restart web", STATUS_ON_HOLD);
}

/* A person compares; what differs (a program that died with the machine) is taken as it is. */
static bool check_lifts(Run *r) {
        world_pawl(r->world, "check web --accept", NULL, &r->run);
        if (r->run.status != 0 && r->run.status != STATUS_DRIFT)
                return fail(r, "\"check web --accept\": exit status %d: %.700s", r->run.status, r->run.output);
        return strstr(r->run.output, "no longer on hold") != NULL || strstr(r->run.output, "accepted") != NULL ||
               fail(r, "\"check web --accept\" lifts nothing: %.700s", r->run.output);
}

static bool is_usable(Run *r) {
        bool has_web = strstr(r->now.text, "\"service\":\"web\"") != NULL || r->damage->is_repairable_to_all;

        if (!run(r, "recover", 0))
                return false;
        world_pawl(r->world, "apply web.yaml", NULL, &r->run);
        if (has_web && r->run.status != 0)
                return fail(r, "\"apply web.yaml\": exit status %d: %.700s", r->run.status, r->run.output);
        /* This one needs what was sealed before. */
        return run(r, "upgrade web --source ./web-v2 --version v9 --overwrite", 0) && run(r, "journal verify", 0);
}

static bool judge(Run *r) {
        r->was_repaired = r->now.lost_from != 0;
        if (!is_sound(r))
                return false;
        if (!export_read(r->world, &r->now))
                return fail(r, "the repaired journal cannot be exported");
        r->was_repaired = r->now.lost_from != 0;
        if (!nothing_is_invented(r) || !what_is_lost_is_told(r))
                return false;
        if (r->was_repaired && !damaged_one_is_kept(r))
                return false;
        if (!r->damage->is_repairable_to_all)
                return true;
        return (!r->was_repaired || (is_on_hold(r) && check_lifts(r))) && is_usable(r);
}

/* ---- The cases ---- */

static bool kill_repair(Run *r, uint64_t random) {
        TracerSpec spec = {.mode = TRACER_KILL_ENTRY};
        static TracerResult traced;
        static char output[WORLD_OUTPUT_SIZE];

        spec.at = r->killed_at = 1 + random % r->n_events;
        return world_trace(r->world, "journal repair", NULL, &spec, &traced, output) == 0;
}

/* How many events a whole repair has. */
static bool count_events(Run *r) {
        char path[WORLD_PATH_SIZE];
        TracerSpec spec = {.mode = TRACER_RECORD};
        static TracerResult traced;
        static char output[WORLD_OUTPUT_SIZE];

        journal_path(r->world, "journal/data.mdb", path);
        if (world_restore(r->world) < 0 || unlink(path) < 0 ||
            world_trace(r->world, "journal repair", NULL, &spec, &traced, output) != 0)
                return false;
        r->n_events = traced.n_events;
        return r->n_events > 0;
}

/* Then there is nothing to repair, and a copy must be put back. */
static bool is_gone(const Run *r) {
        char path[WORLD_PATH_SIZE];

        journal_path(r->world, "journal", path);
        return access(path, F_OK) < 0;
}

static bool run_case(Run *r, unsigned row, CrewRow *ret) {
        uint64_t seed = crew_hash(r->n, r->options->seed + row), random = crew_hash(seed, 23);
        char text[DAMAGE_TEXT_SIZE];

        r->killed_at = 0;
        if (!damage_do(r->world, seed, &r->damage, text) || (random % 2 == 0 && !kill_repair(r, random >> 8))) {
                (void)fprintf(stderr, "crash: could not do the case %" PRIu64 "\n", r->n);
                return false;
        }
        ret->n_states++;
        ret->n_runs++;
        ret->n_failures +=
                !(is_gone(r) ? run(r, "journal repair", STATUS_GONE) : run(r, "journal repair", 0) && judge(r));
        return true;
}

static bool repair_shape(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata) {
        const CrewOptions *o = userdata;
        static Run r;

        r = (Run){.world = world, .shape = &shapes[row], .options = o};
        if (!shape_make(world, r.shape) || !export_read(world, &r.truth) || !count_events(&r))
                return false;
        ret->n_points = worker == 0 ? r.n_events : 0;
        for (r.n = 0; r.n < o->n_cases; r.n++) {
                if (o->is_only ? r.n != o->only || worker != 0 : r.n % o->n_jobs != worker)
                        continue;
                if (!run_case(&r, row, ret))
                        return false;
        }
        service_end_all(world->root);
        return true;
}

int main(int argc, char **argv) {
        const ShapeTest test = {
                .tier = "repair",
                .usage = {"shape", "case", 1000, usage},
                .work = repair_shape,
                .n_cases_slow = 6,
                .n_cases = 60,
        };

        return shapes_test(&test, argc, argv);
}
