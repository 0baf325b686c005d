/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h. Here are the runs; what a call does is record_calls' affair, what the journal says record_journal's. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/record_calls.h"
#include "tests/crash/tree.h"

/* ---- A run ---- */

typedef struct Watch {
        Recording *r;
        int output;
        uint32_t number; /* of the event that has begun */
} Watch;

static void begin_event(Watch *watch, const TracerEvent *event) {
        Recording *r = watch->r;
        DiskEvent *e = disk_add_event(&r->disk);
        struct stat st = {0};

        if (e == NULL) {
                (void)record_fail(r, event, "no memory");
                return;
        }
        watch->number = (uint32_t)(r->disk.n_events - 1);
        e->n = event->n;
        e->run = r->n_runs;
        e->name = event->name;
        (void)snprintf(e->path, sizeof e->path, "%.380s", event->path);
        (void)snprintf(e->path2, sizeof e->path2, "%.380s", event->path2);
        (void)fstat(watch->output, &st);
        e->output = r->first_output[r->n_runs] + (size_t)st.st_size;
        if (r->program == 0)
                r->program = tracer_program(event);
        tracer_stack(event, e->stack, DISK_STACK_MAX);
        for (size_t i = 0; i < DISK_STACK_MAX; i++)
                e->stack[i] = e->stack[i] > r->program ? e->stack[i] - r->program : 0;
}

static void on_event(const TracerEvent *event, void *userdata) {
        Watch *watch = userdata;

        if (event->kind != TRACER_DISK || watch->r->problem[0] != 0)
                return;
        if (!event->is_exit)
                begin_event(watch, event);
        else if (event->result >= 0)
                (void)record_take(&(Doing){watch->r, event, watch->number, watch->r->disk.n_ops});
}

/* A recovery that is cut knows its files by the numbers they had when they were captured, however often they were
 * made. */
static void take_former_numbers(Recording *r) {
        FILE *file = fopen(r->world->inodes, "re");
        uint64_t is, was;
        uint32_t node;

        while (file != NULL && fscanf(file, "%" SCNu64 " %" SCNu64, &is, &was) == 2)
                if ((node = disk_find_inode(&r->disk, is)) != DISK_NONE)
                        r->disk.nodes[node].known_as = was;
        if (file != NULL)
                (void)fclose(file);
}

bool record_begin(Recording *r, World *world, uint64_t head) {
        int e;

        *r = (Recording){.world = world, .first_head = head, .head = head, .data_file = DISK_NONE};
        e = disk_load(&r->disk, world->root);
        if (e < 0)
                (void)snprintf(r->problem, sizeof r->problem, "the root cannot be read: %s", strerror(-e));
        else if (world->inodes[0] != 0)
                take_former_numbers(r);
        return e == 0;
}

bool record_inherit(Recording *r, const Recording *parent, uint64_t head) {
        for (size_t i = 0; i < parent->n_entries; i++) {
                Entry *entries = reallocarray(r->entries, r->n_entries + 1, sizeof *entries);

                if (entries == NULL)
                        return false;
                r->entries = entries;
                entries[r->n_entries] = parent->entries[i];
                entries[r->n_entries].commit = DISK_NONE;
                r->n_entries += parent->entries[i].seq <= head;
        }
        return true;
}

uint32_t record_entry_event(const Recording *r, const Entry *e) {
        if (e->commit == DISK_NONE)
                return 0;
        return e->commit < r->n_commits ? r->commits[e->commit].event : DISK_NEVER;
}

static void end_run(Recording *r, int wait_status) {
        size_t n = strlen(r->output);

        /* What was on its way into the journal when the process died is not in it. */
        while (r->n_entries > 0 && r->entries[r->n_entries - 1].commit != DISK_NONE &&
               r->entries[r->n_entries - 1].commit >= r->n_commits)
                r->n_entries--;
        r->status[r->n_runs] = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
        r->n_runs++;
        r->first_event[r->n_runs] = (uint32_t)r->disk.n_events;
        r->first_output[r->n_runs] = n;
}

bool record_run(Recording *r, const char *line, const WorldEnv *env, TracerSpec *spec) {
        TracerSpec plain = {.mode = TRACER_RECORD};
        static TracerResult traced;
        Watch watch = {.r = r};
        char path[PATH_MAX];
        int e;

        spec = spec != NULL ? spec : &plain;
        spec->on_event = on_event;
        spec->userdata = &watch;
        (void)snprintf(path, sizeof path, "%s/output", r->world->base);
        watch.output = open(path, O_RDONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        r->program = 0;
        e = world_trace(r->world, line, env, spec, &traced, r->output + r->first_output[r->n_runs]);
        (void)close(watch.output);
        if (r->problem[0] == 0 && (e != 0 || traced.timed_out))
                (void)snprintf(r->problem, sizeof r->problem, "\"%s\": the tracer gave up (%d): %.400s", line, e,
                               e > 0 ? traced.problem : "");
        end_run(r, traced.wait_status);
        return r->problem[0] == 0;
}

void record_done(Recording *r) {
        disk_done(&r->disk);
        free(r->entries);
        free(r->commits);
        r->entries = NULL;
        r->commits = NULL;
        r->n_entries = r->n_commits = 0;
}

/* ---- Is it true? ---- */

static bool is_same_node(const Recording *r, const bool *all, uint32_t node, const char *path) {
        const DiskNode *n = &r->disk.nodes[node];
        size_t size = 0, found_size = 0;
        char *data, *found;
        struct stat st;
        bool is_same;

        if (lstat(path, &st) < 0 || st.st_ino != n->inode || st.st_mode != n->now.mode || st.st_uid != n->now.uid)
                return false;
        /* The log is written by the service, lock.mdb through a map. */
        if (!S_ISREG(st.st_mode) || strstr(path, "/var/log/") != NULL || strstr(path, "/lock.mdb") != NULL)
                return true;
        data = disk_content(&r->disk, all, node, &size);
        found = tree_read(path, &found_size);
        is_same = data != NULL && found != NULL && size == found_size && memcmp(data, found, size) == 0;
        free(data);
        free(found);
        return is_same;
}

static bool is_same_slot(Recording *r, const bool *all, const DiskSlot *slot) {
        char folder[PATH_MAX], path[2 * PATH_MAX];
        uint32_t dir = slot->dir;
        struct stat st;
        bool is_same;

        disk_path(&r->disk, dir, folder, sizeof folder);
        (void)snprintf(path, sizeof path, "%s/%s/%s", r->world->root, folder, slot->name);
        if (r->world->is_users && strstr(path, "/var/lib/pawl-data/") != NULL) /* the program's own affair */
                return true;
        is_same = slot->now == DISK_NONE ? lstat(path, &st) < 0 : is_same_node(r, all, slot->now, path);
        if (!is_same && r->problem[0] == 0)
                (void)snprintf(r->problem, sizeof r->problem, "what was recorded is not what lies there: %.900s", path);
        return is_same;
}

static bool is_reachable(const Disk *d, uint32_t dir) {
        for (unsigned depth = 0; dir != 0 && depth < 64; depth++) {
                size_t i = 0;

                while (i < d->n_slots && d->slots[i].now != dir)
                        i++;
                if (i == d->n_slots)
                        return false;
                dir = d->slots[i].dir;
        }
        return true;
}

bool record_is_true(Recording *r) {
        bool *all = malloc(r->disk.n_ops + 1);
        bool is_true = all != NULL;

        if (all != NULL)
                memset(all, 1, r->disk.n_ops + 1);
        for (size_t i = 0; is_true && i < r->disk.n_slots; i++)
                if (is_reachable(&r->disk, r->disk.slots[i].dir))
                        is_true = is_same_slot(r, all, &r->disk.slots[i]);
        free(all);
        return is_true;
}

/* ---- For people ---- */

/* Runs addr2line; what it says is in the file behind the descriptor. */
static bool run_addr2line(char *const *argv, int out) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
                if (dup2(out, STDOUT_FILENO) >= 0)
                        (void)execvp(argv[0], argv);
                _exit(127);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void add_source(const Recording *r, const DiskEvent *e, char *ret, size_t size) {
        char program[PATH_MAX], addresses[DISK_STACK_MAX][24], line[512];
        static char name[] = "addr2line", options[] = "-sfpe";
        char *argv[3 + DISK_STACK_MAX] = {name, options, program};
        FILE *said = e->stack[0] != 0 ? tmpfile() : NULL;

        (void)snprintf(program, sizeof program, "%s", r->world->pawl);
        for (size_t i = 0; i + 1 < DISK_STACK_MAX && e->stack[i] != 0; i++) {
                (void)snprintf(addresses[i], sizeof addresses[i], "%#" PRIx64, e->stack[i] - 1);
                argv[3 + i] = addresses[i];
        }
        if (said == NULL)
                return;
        if (run_addr2line(argv, fileno(said)))
                rewind(said);
        while (fgets(line, sizeof line, said) != NULL) {
                size_t used = strlen(ret);

                if (strncmp(line, "??", 2) != 0)
                        (void)snprintf(ret + used, size - used, "        by %s", line);
        }
        (void)fclose(said);
}

void record_event_text(const Recording *r, uint32_t event, char *ret, size_t size) {
        const DiskEvent *e = &r->disk.events[event];
        size_t n_root = strlen(r->world->root);
        bool is_inside = strncmp(e->path, r->world->root, n_root) == 0;
        bool is_inside2 = strncmp(e->path2, r->world->root, n_root) == 0;

        (void)snprintf(ret, size, "event %" PRIu64 ": %s %s%s%s\n", e->n, e->name, e->path + (is_inside ? n_root : 0),
                       e->path2[0] != 0 ? " -> " : "", e->path2 + (is_inside2 ? n_root : 0));
        add_source(r, e, ret, size);
}

const char *record_kind_name(uint16_t kind) {
        static const char *const names[] = {
#define RECORD(symbol, number, slug, text) [number] = #symbol,
#include "journal/records.def"
#undef RECORD
        };

        return kind < sizeof names / sizeof *names && names[kind] != NULL ? names[kind] : "?";
}
