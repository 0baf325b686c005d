/* SPDX-License-Identifier: Apache-2.0 */
/* crash.two: two pawls at once, and people who write where pawl writes. One process is stopped between two steps
 * (PAWL_PAUSE_AT) while the other acts.
 *
 * usage: crash.two [SCENARIO]     exit status: how many failed. CRASH_MUTANT makes every pawl make that mistake. */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/tree.h"
#include "tests/crash/world.h"

enum { WAIT_MSEC = 30000 };

static World world;
static char why[2048];

__attribute__((format(printf, 1, 2))) static bool fails(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(why, sizeof why, format, ap);
        va_end(ap);
        return false;
}

/* ---- Runs ---- */

static WorldEnv environment(void) {
        return (WorldEnv){.mutant = getenv("CRASH_MUTANT")};
}

static bool pawl(const char *line, int status) {
        const WorldEnv env = environment();
        static WorldRun run;

        world_pawl(&world, line, &env, &run);
        return run.status == status ||
               fails("\"%s\": exit status %d, not %d: %.1500s", line, run.status, status, run.output);
}

static bool pawl_dies(const char *line, const char *where) {
        WorldEnv env = environment();
        static WorldRun run;

        env.crash_at = where;
        world_pawl(&world, line, &env, &run);
        return run.status == 128 + 9 ||
               fails("\"%s\" did not die at %s: %d: %.1500s", line, where, run.status, run.output);
}

/* A pawl that was begun, and where it stands still. */
typedef struct Other {
        pid_t pid;
        const char *name;
        char gate[PATH_MAX], reached[PATH_MAX + 16], pause[PATH_MAX + 64];
} Other;

static bool other_begin(Other *o, const char *name, const char *line, const char *where) {
        WorldEnv env = environment();

        *o = (Other){.name = name};
        if (where != NULL) {
                (void)snprintf(o->gate, sizeof o->gate, "%s/gate-%s", world.base, name);
                (void)snprintf(o->pause, sizeof o->pause, "%s@%s", where, o->gate);
                (void)snprintf(o->reached, sizeof o->reached, "%s.reached", o->gate);
                (void)unlink(o->reached);
                (void)close(open(o->gate, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
                env.pause_at = o->pause;
        }
        return world_pawl_begin(&world, line, &env, name, &o->pid) == 0 || fails("could not run \"%s\"", line);
}

static bool other_stands(const Other *o) {
        const struct timespec pause = {.tv_nsec = 1000000};

        for (unsigned i = 0; i < WAIT_MSEC; i++) {
                if (access(o->reached, F_OK) == 0)
                        return true;
                (void)nanosleep(&pause, NULL);
        }
        return fails("%s did not come to its point", o->name);
}

static const char *output_of(const char *name) {
        static char text[WORLD_OUTPUT_SIZE];
        char path[PATH_MAX];
        FILE *file;
        size_t n;

        (void)snprintf(path, sizeof path, "%s/%s", world.base, name);
        file = fopen(path, "re");
        n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
        text[n] = 0;
        if (file != NULL)
                (void)fclose(file);
        return text;
}

static bool other_end(Other *o, int status) {
        int found;

        if (o->gate[0] != 0)
                (void)unlink(o->gate);
        found = world_pawl_end(o->pid, WAIT_MSEC);
        return found == status ||
               fails("%s: exit status %d, not %d: %.1500s", o->name, found, status, output_of(o->name));
}

/* ---- What is there ---- */

static bool runs(const char *version, size_t n_wanted) {
        char found[64];
        size_t n = service_count(world.root, found, sizeof found);

        return (n == n_wanted && (n == 0 || strcmp(found, version) == 0)) ||
               fails("%zu run (%s), not %zu of %s", n, found, n_wanted, version);
}

static bool file_write(const char *path, const char *text) {
        char full[PATH_MAX];
        FILE *file;

        (void)snprintf(full, sizeof full, "%s/%s", world.root, path);
        file = fopen(full, "we");
        if (file == NULL)
                return fails("could not write %s", full);
        (void)fputs(text, file);
        return fclose(file) == 0;
}

static bool file_is(const char *path, const char *text) {
        char full[PATH_MAX], found[1024] = "";
        FILE *file;

        (void)snprintf(full, sizeof full, "%s/%s", world.root, path);
        file = fopen(full, "re");
        if (file != NULL) {
                found[fread(found, 1, sizeof found - 1, file)] = 0;
                (void)fclose(file);
        }
        return strcmp(found, text) == 0 || fails("\"%s\" was to hold \"%s\", and holds \"%.800s\"", path, text, found);
}

/* The first transaction that is open. */
static bool open_transaction(unsigned long long *ret) {
        static WorldRun run;
        const char *at;

        world_pawl(&world, "recover --dry-run --json", NULL, &run);
        at = strstr(run.output, "\"tx\":");
        *ret = at != NULL ? strtoull(at + strlen("\"tx\":"), NULL, 10) : 0;
        return *ret != 0 || fails("nothing is open: %.1000s", run.output);
}

static bool keep_all(void) {
        unsigned long long tx;
        char line[64];

        if (!open_transaction(&tx))
                return false;
        (void)snprintf(line, sizeof line, "recover %llu --keep all", tx);
        return pawl(line, 0);
}

/* ---- Scenarios ---- */

#define UPGRADE "upgrade web --source ./web-v2 --version v2"
#define NEXT "upgrade web --source ./web-v1 --version v5"

static bool one_service(void) {
        Other first, second;

        return pawl("apply web.yaml", 0) && other_begin(&first, "first", UPGRADE, "apply-before:3") &&
               other_stands(&first) && pawl(NEXT, 3) && other_begin(&second, "second", NEXT " --wait 20s", NULL) &&
               other_end(&first, 0) && other_end(&second, 0) && runs("v5", 1) && pawl("journal verify", 0);
}

static bool two_services(void) {
        Other first;

        return other_begin(&first, "first", "apply web.yaml", "apply-before:5") && other_stands(&first) &&
               pawl("apply auto-one.yaml", 0) && runs("v1", 1) && pawl("recover", 0) && other_end(&first, 0) &&
               runs("v1", 2) && pawl("journal verify", 0);
}

/* Nothing is there yet: directories, key and journal are made by both, and both end with the same ones. */
static bool first_ever(void) {
        for (unsigned i = 0; i < 5; i++) {
                Other first, second;

                if (world_reset(&world) < 0 || !other_begin(&first, "first", "apply auto-one.yaml", NULL) ||
                    !other_begin(&second, "second", "apply auto-two.yaml", NULL))
                        return false;
                /* Both must be waited for, whatever the first says. */
                bool is_first_fine = other_end(&first, 0), is_second_fine = other_end(&second, 0);

                if (!is_first_fine || !is_second_fine || !runs("v1", 2) || !pawl("journal verify", 0) ||
                    !pawl("restart one", 0) || !pawl("restart two", 0))
                        return false;
        }
        return true;
}

static bool same_port(void) {
        Other first;

        return other_begin(&first, "first", "apply auto-one.yaml", "planned") && other_stands(&first) &&
               pawl("apply auto-two.yaml", 0) && other_end(&first, 0) && runs("v1", 2) && pawl("journal verify", 0);
}

/* What the dead one started lives on; the next neither waits for it nor leaves it. */
static bool dead_holder(void) {
        return pawl("apply web.yaml", 0) && pawl_dies(UPGRADE, "commit-before") && runs("v2", 1) && pawl(NEXT, 0) &&
               runs("v5", 1);
}

static bool edit_before_apply(void) {
        static const char edit[] = "# by hand\nPORT=1\n";
        Other first;

        return pawl("apply web.yaml", 0) && other_begin(&first, "first", "apply changed.yaml", "apply-before:2") &&
               other_stands(&first) && file_write("etc/pawl/web/env", edit) && other_end(&first, 9) &&
               file_is("etc/pawl/web/env", edit) && pawl("recover", 0) && file_is("etc/pawl/web/env", edit) &&
               runs("v1", 1);
}

static bool edit_after_crash(void) {
        static const char edit[] = "# by hand\nPORT=1\n";

        return pawl("apply web.yaml", 0) && pawl_dies("apply changed.yaml", "commit-before") &&
               file_write("etc/pawl/web/env", edit) && pawl("recover", 6) && file_is("etc/pawl/web/env", edit) &&
               pawl("apply web.yaml", 7) && pawl("list", 0) && keep_all() && file_is("etc/pawl/web/env", edit) &&
               pawl("recover", 1); /* the edit that is kept gives it another port: that it cannot serve is told */
}

/* Recovery has looked already, and is about to put back. */
static bool edit_before_revert(void) {
        static const char edit[] = "# by hand\nPORT=1\n";
        Other first;

        return pawl("apply web.yaml", 0) && pawl_dies("apply changed.yaml", "commit-before") &&
               other_begin(&first, "first", "recover", "revert-before:2") && other_stands(&first) &&
               file_write("etc/pawl/web/env", edit) && other_end(&first, 6) && file_is("etc/pawl/web/env", edit) &&
               keep_all() && file_is("etc/pawl/web/env", edit) && pawl("recover", 1);
}

/* Names that look like ours, and are somebody's: of a transaction that never was, or beside what is written. */
static bool look_alike(void) {
        static const char *const names[] = {"etc/pawl/.pawl-7-1", "opt/pawl/.pawl-trash-7-1/kept", "etc/pawl/other/env",
                                            "var/lib/pawl-data/.pawl-trash-9", NULL};
        static const char theirs[] = "theirs\n";
        char folder[PATH_MAX];
        bool is_fine;

        (void)snprintf(folder, sizeof folder, "%s/opt/pawl/.pawl-trash-7-1", world.root);
        is_fine = pawl("init", 0) && (mkdir(folder, 0755) == 0 || fails("could not make %s", folder));
        for (size_t i = 0; is_fine && names[i] != NULL; i++)
                is_fine = file_write(names[i], theirs);
        is_fine = is_fine && pawl("apply web.yaml", 0) && file_write("etc/pawl/web/.pawl-7-1", theirs) &&
                  pawl_dies(UPGRADE, "commit-before") && pawl("recover", 0) && pawl(UPGRADE, 0) && pawl(NEXT, 0) &&
                  pawl("rollback web", 0) && pawl("recover", 0) && file_is("etc/pawl/web/.pawl-7-1", theirs) &&
                  pawl("remove web --purge --yes", 0) && runs("", 0);
        for (size_t i = 0; is_fine && names[i] != NULL; i++)
                is_fine = file_is(names[i], theirs);
        return is_fine;
}

/* Recovery that dies at the same step again and again is not tried for ever; a person may ask once more. */
static bool three_deaths(void) {
        unsigned long long tx;
        char line[64];

        if (!pawl("apply web.yaml", 0) || !pawl_dies(UPGRADE, "commit-before"))
                return false;
        for (unsigned i = 0; i < 3; i++)
                if (!pawl_dies("recover", "revert-before"))
                        return false;
        if (!pawl("recover", 6) || !open_transaction(&tx))
                return false;
        (void)snprintf(line, sizeof line, "recover %llu", tx);
        return pawl(line, 0) && runs("v1", 1);
}

static bool held_version(void) {
        static const char broken[] = "upgrade web --source ./web-v3 --version v3";

        return pawl("apply web.yaml", 0) && pawl(broken, 4) && pawl(broken, 7) && runs("v1", 1);
}

static bool same_request(void) {
        return pawl("apply web.yaml", 0) && pawl(UPGRADE " --request-id one", 0) && pawl(NEXT " --request-id two", 0) &&
               pawl(UPGRADE " --request-id one", 0) && runs("v5", 1);
}

/* Everything is applied, and somebody writes before it is committed. */
static bool edit_before_commit(void) {
        static const char edit[] = "# by hand\nPORT=1\n";
        Other first;

        return pawl("apply web.yaml", 0) && other_begin(&first, "first", "apply changed.yaml", "apply-after:3") &&
               other_stands(&first) && file_write("etc/pawl/web/env", edit) && other_end(&first, 6) &&
               file_is("etc/pawl/web/env", edit) && keep_all() && file_is("etc/pawl/web/env", edit);
}

/* clang-format off */
static const struct {
        const char *name;
        bool (*holds)(void);
        const char *what;
} scenarios[] = {
        {"one-service",       one_service,       "the second pawl on a service is told so, or waits"},
        {"two-services",      two_services,      "pawls on two services do not wait for each other"},
        {"first-ever",        first_ever,        "two that are the first ever on a host agree"},
        {"same-port",         same_port,         "two that choose the same port both succeed, on two"},
        {"dead-holder",       dead_holder,       "a killed pawl does not block the next, though its program lives"},
        {"edit-before-apply", edit_before_apply, "an edit between the look and the write survives"},
        {"edit-after-crash",  edit_after_crash,  "an edit after a crash survives recovery"},
        {"edit-before-revert", edit_before_revert, "an edit between recovery's look and its act survives"},
        {"edit-before-commit", edit_before_commit, "an edit behind the last write is noticed before COMMIT"},
        {"three-deaths",      three_deaths,      "recovery that died three times at a step waits for a person"},
        {"held-version",      held_version,      "a version that was not healthy is not tried again, unless somebody insists"},
        {"same-request",      same_request,      "a request that is repeated is answered, not done again"},
        {"look-alike",        look_alike,        "what only looks like pawl's survives everything"},
};
/* clang-format on */

int main(int argc, char **argv) {
        int n_failed = 0;
        bool is_known = argc < 2;

        if (world_open(&world, 0) < 0)
                return 101;
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
                bool holds;

                if (argc > 1 && strcmp(argv[1], scenarios[i].name) != 0)
                        continue;
                is_known = true;
                why[0] = 0;
                holds = world_reset(&world) == 0 && scenarios[i].holds();
                n_failed += !holds;
                (void)printf("%-6s %-18s %s\n%s%s", holds ? "ok" : "FAILED", scenarios[i].name, scenarios[i].what, why,
                             why[0] != 0 ? "\n" : "");
        }
        world_close(&world);
        return is_known ? n_failed : 102;
}
