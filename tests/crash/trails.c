/* SPDX-License-Identifier: Apache-2.0 */
/* crash.trails: how each mutant of the models in tests/model fails is a schedule of crashes, and the program without
 * the mutant must survive it. Each line of the file (tests/model/schedule.awk) says whether recovery goes back or
 * forward, and at which crash points one process after the other is killed: the first is an upgrade, the others its
 * recovery.
 *
 * usage: crash.trails SCHEDULES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/crash/counts.h"
#include "tests/crash/judge.h"

enum { LINE_SIZE = 1024, CANNOT_RUN = 77, KILLED = 128 + 9 };

#define UPGRADE "upgrade web --source ./web-v2 --version v2"

/* clang-format off */
static const Flow ways[] = {
        {"back",    {"apply web.yaml"},     UPGRADE, 0, {"v1", PORT_FIRST}, {"v2", PORT_FIRST}, FLOW_REPEATS, NULL},
        {"forward", {"apply forward.yaml"}, UPGRADE, 0, {"v1", PORT_FIRST}, {"v2", PORT_FIRST}, FLOW_REPEATS, NULL},
};
/* clang-format on */

typedef struct Totals {
        unsigned n_schedules, n_crashes, n_struck, n_failures;
} Totals;

/* One process that is to die there. Where it comes to its end before, the schedule goes on with the next. */
static bool strike(World *w, const char *line, const char *point, char *ret_output, int *ret_status) {
        const WorldEnv env = {.crash_at = point};
        static WorldRun run;
        size_t used = strlen(ret_output);

        world_pawl(w, line, &env, &run);
        (void)snprintf(ret_output + used, 2 * WORLD_OUTPUT_SIZE - used, "%s", run.output);
        *ret_status = run.status == KILLED ? -1 : run.status;
        return run.status == KILLED;
}

static void replay(Judge *judge, char *points, const char *line, Totals *totals) {
        static char output[2 * WORLD_OUTPUT_SIZE];
        JudgeCase c = {.output = output, .status = -1};
        const char *command = judge->flow->command;
        char *rest;

        output[0] = 0;
        if (world_restore(judge->world) < 0) {
                totals->n_failures++;
                return;
        }
        totals->n_schedules++;
        for (char *point = strtok_r(points, " \n", &rest); point != NULL; point = strtok_r(NULL, " \n", &rest)) {
                int status;

                totals->n_crashes++;
                totals->n_struck += strike(judge->world, command, point, output, &status);
                if (command == judge->flow->command)
                        c.status = status;
                command = "recover";
        }
        if (judge_case(judge, &c))
                return;
        totals->n_failures++;
        (void)printf("FAILED %s    %s: %s\n", line, c.oracle, c.text);
}

static bool replay_way(const Flow *way, FILE *file, Totals *totals) {
        static World world;
        static Judge judge;
        char line[LINE_SIZE], words[LINE_SIZE];
        size_t n_way = strlen(way->name);
        bool is_fine = world_open(&world, 0) == 0 && judge_open(&judge, &world, way);

        rewind(file);
        while (is_fine && fgets(line, sizeof line, file) != NULL) {
                if (strncmp(line, way->name, n_way) != 0 || line[n_way] != ' ')
                        continue;
                (void)snprintf(words, sizeof words, "%s", line + n_way);
                replay(&judge, words, line, totals);
        }
        judge_close(&judge);
        world_close(&world);
        return is_fine;
}

int main(int argc, char **argv) {
        FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
        Totals totals = {0};
        bool is_fine = true;

        if (file == NULL) {
                (void)printf("crash.trails: skipped: there are no schedules; model.protocol makes them, with Spin\n");
                return CANNOT_RUN;
        }
        for (size_t i = 0; is_fine && i < sizeof ways / sizeof *ways; i++)
                is_fine = replay_way(&ways[i], file, &totals);
        (void)fclose(file);
        (void)printf("trails: %u schedules, %u of %u crashes struck, %u failures\n", totals.n_schedules,
                     totals.n_struck, totals.n_crashes, totals.n_failures);
        count_write(&(Count){.tier = "trails",
                             .row = "all",
                             .n_points = totals.n_schedules,
                             .n_states = totals.n_struck,
                             .n_failures = totals.n_failures});
        return is_fine && totals.n_schedules > 0 && totals.n_struck > 0 && totals.n_failures == 0 ? 0 : 1;
}
