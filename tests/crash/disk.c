/* SPDX-License-Identifier: Apache-2.0 */
/* crash.disk: real file systems, cut for real. A flow runs on a file system whose device remembers every write and
 * every flush in order (device.h). Then the device is made again as a power cut before any of them would have left
 * it, also with the writes behind the last flush lost or torn; it is mounted, pawl recovers in another boot, and the
 * oracles of judge.h decide.
 *
 * Everything happens in a mount and PID namespace of its own, each cut in a further one: its processes, mounts and
 * loop devices end with it, however it ends, and pawl sees another boot identity in each. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/counts.h"
#include "tests/crash/device.h"
#include "tests/crash/mutants.h"
#include "tests/crash/seed.h"
#include "tests/crash/tree.h"

enum { JOBS_MAX = 8, PAIRS_MAX = 256, MKFS_WORDS = 8, SAMPLE_STATES = 10, SKIPPED = 77, BROKEN = 101 };
enum { LOSSES_FULL = 2 };

static const char usage[] = "usage: crash.disk [OPTION]...\n"
                            "  --fs NAME       only this file system; --list shows them\n"
                            "  --flow NAME     only this flow\n"
                            "  --states K      only K cuts of each recording\n"
                            "  --full          every flow, on every file system, every cut\n"
                            "  --at N          only the cut before record N\n"
                            "  --seed S        which cuts, and what is lost in them\n"
                            "  --jobs J        recordings at a time\n"
                            "  --mutant NAME   with this mistake, until it is noticed\n"
                            "exit status: 0, 1 a failure, 77 this cannot be done here\n";

typedef struct FileSystem {
        const char *name, *type, *options;
        size_t mib;
        const char *mkfs[MKFS_WORDS]; /* the image is added */
        unsigned n_flows;             /* in a sample */
        bool is_promised;             /* no: for information */
} FileSystem;

/* clang-format off */
static const FileSystem file_systems[] = {
        {"ext4",           "ext4",  "data=ordered",            64,
         {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"}, 5, true},
        {"xfs",            "xfs",   "nouuid",                 304, {"mkfs.xfs", "-q", "-f"},        2, true},
        {"btrfs",          "btrfs", "nodiscard",              128, {"mkfs.btrfs", "-q", "-f"},      2, true},
        {"ext4-writeback", "ext4",  "data=writeback,commit=1", 64,
         {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"}, 0, true},
        {"ext4-nojournal", "ext4",  NULL,                      64,
         {"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0"}, 0, false},
};
/* clang-format on */
enum { N_FILE_SYSTEMS = sizeof file_systems / sizeof *file_systems };

typedef struct Options {
        const FileSystem *fs; /* NULL: all */
        const Flow *flow;     /* NULL: all */
        const Mutant *mutant;
        size_t at;
        bool has_at, is_full, is_list;
        unsigned n_states, n_jobs;
        uint32_t seed;
} Options;

/* One flow on one file system, and what came of it; in memory that all share. */
typedef struct Pair {
        const FileSystem *fs;
        const Flow *flow;
        uint64_t n_records, n_states, n_failures, msec;
        bool is_done, is_missing; /* no mkfs for it, or no kernel */
} Pair;

typedef struct Shared {
        Pair pairs[PAIRS_MAX];
        size_t n_pairs;
        Judge judges[JOBS_MAX]; /* what is asked once for each state is remembered across the namespaces */
        JudgeCase cases[JOBS_MAX];
} Shared;

static Shared *shared;

/* What one worker works with. */
typedef struct Work {
        const Options *options;
        Pair *pair;
        World world;
        Device device;
        Judge *judge;
        JudgeCase *verdict;
        char mount[WORLD_PATH_SIZE], fuse[WORLD_PATH_SIZE];
        int status; /* of the recorded command */
} Work;

static uint64_t now_msec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t mix(uint64_t a, uint64_t b) {
        uint64_t x = a * 0x9e3779b97f4a7c15 + b;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
}

static bool complain(const Work *w, const char *what, int r) {
        (void)fprintf(stderr, "crash.disk: %s on %s: %s: %s\n", w->pair->flow->name, w->pair->fs->name, what,
                      strerror(-r));
        return false;
}

/* ---- Namespaces ---- */

/* Mounts of ours are seen by nobody else, and /proc shows the processes of this PID namespace. */
static bool namespace_begin(void) {
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

/* Runs `inside` as the first process of new namespaces, whose end is everybody's in them. Its exit status, or
 * BROKEN. */
static int namespace_run(int (*inside)(void *userdata), void *userdata) {
        int status = 0;
        pid_t pid;

        (void)fflush(stdout);
        pid = fork();
        if (pid == 0) {
                pid_t first = 0;

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || (first = fork()) < 0)
                        _exit(errno == EPERM ? SKIPPED : BROKEN);
                if (first == 0) {
                        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                        _exit(namespace_begin() ? inside(userdata) : BROKEN);
                }
                if (waitpid(first, &status, 0) < 0)
                        _exit(BROKEN);
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN);
        }
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

/* ---- Recording ---- */

static bool make_file_system(Work *w) {
        const FileSystem *fs = w->pair->fs;
        char image[64], *words[MKFS_WORDS + 2];
        size_t n = 0;
        int status = 0;
        pid_t pid;

        device_image_path(&w->device, image, sizeof image);
        while (n < MKFS_WORDS && fs->mkfs[n] != NULL) {
                words[n] = strdup(fs->mkfs[n]);
                n++;
        }
        words[n] = image;
        words[n + 1] = NULL;
        pid = fork();
        if (pid == 0) {
                (void)!freopen("/dev/null", "w", stdout);
                (void)setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
                (void)execvp(words[0], words);
                _exit(127);
        }
        while (n > 0)
                free(words[--n]);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return false;
        w->pair->is_missing = WIFEXITED(status) && WEXITSTATUS(status) == 127;
        return status == 0;
}

static bool mount_recorded(Work *w) {
        char disk[WORLD_PATH_SIZE + 8];
        int r;

        (void)snprintf(disk, sizeof disk, "%s/disk", w->fuse);
        (void)mkdir(w->fuse, 0700);
        (void)mkdir(w->mount, 0755);
        r = device_serve_begin(&w->device, w->fuse);
        if (r == 0)
                r = device_mount(disk, w->mount, w->pair->fs->type, w->pair->fs->options);
        w->pair->is_missing = r == -ENODEV;
        return r == 0 || complain(w, "could not mount it", r);
}

static void unmount_recorded(Work *w) {
        service_end_all(w->world.root);
        (void)umount2(w->mount, MNT_DETACH);
        device_serve_end(&w->device);
}

static bool flush(const Work *w) {
        int fd = open(w->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool is_fine = fd >= 0 && syncfs(fd) == 0;

        if (fd >= 0)
                (void)close(fd);
        return is_fine;
}

/* What it prints goes into the log between the writes. */
static int run_recorded(Work *w, const char *line, const char *crash_at) {
        const WorldEnv env = {.mutant = w->options->mutant != NULL ? w->options->mutant->name : NULL,
                              .crash_at = crash_at};
        pid_t pid;

        if (world_pawl_begin(&w->world, line, &env, "fuse/mark", &pid) < 0)
                return -1;
        return world_pawl_end(pid, 60000);
}

static bool record_command(Work *w) {
        const Flow *flow = w->pair->flow;
        int r;

        if (world_restore(&w->world) < 0 || !flush(w))
                return false;
        r = device_record_begin(&w->device);
        if (r < 0)
                return complain(w, "could not keep the device", r);
        w->status = run_recorded(w, flow->command, flow->crash_at);
        if (flow->crash_at != NULL && run_recorded(w, "recover", NULL) != 0 && w->options->mutant == NULL)
                return complain(w, "recover failed", -EIO);
        device_record_end(&w->device);
        w->pair->n_records = device_count(&w->device);
        return w->pair->n_records > 0;
}

static bool record_flow(Work *w) {
        bool is_fine = device_open(&w->device, w->pair->fs->mib << 20) == 0 && make_file_system(w) &&
                       mount_recorded(w) && judge_open(w->judge, &w->world, w->pair->flow) && record_command(w);

        unmount_recorded(w);
        return is_fine;
}

/* ---- One cut ---- */

typedef struct State {
        Work *work;
        DeviceCut cut;
        int image;
} State;

static int judge_inside(void *userdata) {
        static char output[WORLD_OUTPUT_SIZE];
        const State *s = userdata;
        Work *w = s->work;
        const Flow *flow = w->pair->flow;
        bool is_whole = s->cut.n == device_count(&w->device) && flow->crash_at == NULL;
        const Mutant *mutant = w->options->mutant;
        char path[64];
        int r;

        *w->verdict = (JudgeCase){.output = output,
                                  .status = is_whole ? w->status : -1,
                                  .mutant = mutant != NULL ? mutant->name : NULL};
        device_marks(&w->device, s->cut.n, output, sizeof output);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", s->image);
        r = device_mount(path, w->mount, w->pair->fs->type, w->pair->fs->options);
        if (r < 0) {
                w->verdict->oracle = "it can be mounted";
                (void)snprintf(w->verdict->text, sizeof w->verdict->text, "%s", strerror(-r));
                return 1;
        }
        if (world_start_foreign(&w->world) < 0)
                return BROKEN;
        return judge_case(w->judge, w->verdict) ? 0 : 1;
}

static void print_failure(const Work *w, const DeviceCut *cut) {
        (void)printf("FAILED %s on %s, cut before record %zu of %" PRIu64 "%s: %s\n    %s\n"
                     "    again: crash.disk --fs %s --flow %s --at %zu --seed %" PRIu32 "%s%s\n",
                     w->pair->flow->name, w->pair->fs->name, cut->n, w->pair->n_records,
                     cut->seed != 0 ? ", what was not flushed lost or torn" : "", w->verdict->oracle, w->verdict->text,
                     w->pair->fs->name, w->pair->flow->name, cut->n, w->options->seed,
                     w->options->mutant != NULL ? " --mutant " : "",
                     w->options->mutant != NULL ? w->options->mutant->name : "");
        (void)fflush(stdout);
}

/* false: it cannot go on. */
static bool judge_cut(Work *w, const DeviceCut *cut) {
        State s = {.work = w, .cut = *cut};
        int status;

        if (!device_cut_matters(&w->device, cut))
                return true;
        s.image = device_cut(&w->device, cut);
        if (s.image < 0)
                return complain(w, "could not make the cut", s.image);
        status = namespace_run(judge_inside, &s);
        (void)close(s.image);
        if (status != 0 && status != 1)
                return complain(w, "could not judge the cut", -EIO);
        w->pair->n_states++;
        if (status == 1 && w->pair->n_failures++ < 20 && w->options->mutant == NULL)
                print_failure(w, cut);
        return true;
}

static bool is_over(const Work *w) {
        return w->options->mutant != NULL && w->pair->n_failures > 0;
}

static uint32_t loss_seed(const Options *o, size_t n, unsigned i) {
        return (uint32_t)mix(o->seed + i * 0x10001ULL, n) | 1;
}

/* Each place as it is, and with `n_losses` seeds. */
static bool judge_place(Work *w, size_t n, unsigned n_losses) {
        bool is_fine = judge_cut(w, &(DeviceCut){.n = n});

        for (unsigned i = 0; is_fine && i < n_losses && !is_over(w); i++)
                is_fine = judge_cut(w, &(DeviceCut){.n = n, .seed = loss_seed(w->options, n, i)});
        return is_fine;
}

/* The largest number up to `step` that has no divisor in common with n: its multiples visit every place once, in an
 * order that jumps about, so that a sample of any size is spread over the whole. */
static size_t coprime(size_t step, size_t n) {
        for (; step > 1; step--) {
                size_t a = n, b = step;

                while (b != 0) {
                        size_t rest = a % b;

                        a = b;
                        b = rest;
                }
                if (a == 1)
                        return step;
        }
        return 1;
}

static bool judge_all(Work *w) {
        const Options *o = w->options;
        size_t n = w->pair->n_records + 1, first = mix(o->seed, 1) % n, step = coprime(mix(o->seed, 2) % n, n);
        bool is_fine = true;

        if (o->has_at)
                return judge_place(w, o->at, LOSSES_FULL);
        for (size_t i = 0; is_fine && i < n && !is_over(w) && (o->is_full || w->pair->n_states < o->n_states); i++)
                is_fine = judge_place(w, (first + i * step) % n, o->is_full ? LOSSES_FULL : 1);
        return is_fine;
}

/* ---- Workers ---- */

static void work_pair(Work *w) {
        uint64_t start = now_msec();

        w->pair->is_done = record_flow(w) && judge_all(w);
        judge_close(w->judge);
        device_close(&w->device);
        (void)tree_remove(w->world.kept);
        w->pair->msec = now_msec() - start;
}

static bool is_noticed(void) {
        for (size_t i = 0; i < shared->n_pairs; i++)
                if (shared->pairs[i].n_failures > 0)
                        return true;
        return false;
}

static void work(const Options *o, unsigned worker) {
        static Work w;
        bool is_fine = world_open(&w.world, worker) == 0;

        w.options = o;
        w.judge = &shared->judges[worker];
        w.verdict = &shared->cases[worker];
        (void)snprintf(w.mount, sizeof w.mount, "%.200s/disk", w.world.base);
        (void)snprintf(w.fuse, sizeof w.fuse, "%.200s/fuse", w.world.base);
        (void)snprintf(w.world.root, sizeof w.world.root, "%.200s/root", w.mount);
        if (is_fine) /* each cut starts its own */
                (void)kill(w.world.foreign, SIGKILL);
        for (size_t i = worker; is_fine && i < shared->n_pairs; i += o->n_jobs) {
                w.pair = &shared->pairs[i];
                if (o->mutant == NULL || !is_noticed())
                        work_pair(&w);
        }
        world_close(&w.world);
        _exit(is_fine ? 0 : 1);
}

/* As the first process of its namespace it also has to reap what is nobody's. */
static int run_workers(void *userdata) {
        const Options *o = userdata;
        pid_t workers[JOBS_MAX], pid;
        bool is_fine = true;
        int status;

        for (unsigned i = 0; i < o->n_jobs; i++) {
                workers[i] = fork();
                if (workers[i] == 0)
                        work(o, i);
                is_fine = is_fine && workers[i] > 0;
        }
        while ((pid = wait(&status)) > 0)
                for (unsigned i = 0; i < o->n_jobs; i++)
                        is_fine = is_fine && (pid != workers[i] || status == 0);
        return is_fine ? 0 : BROKEN;
}

/* ---- What is recorded ---- */

static void add_pair(const FileSystem *fs, const Flow *flow) {
        if (shared->n_pairs < PAIRS_MAX)
                shared->pairs[shared->n_pairs++] = (Pair){.fs = fs, .flow = flow};
}

static void choose_pairs(const Options *o) {
        for (size_t f = 0; f < N_FILE_SYSTEMS; f++) {
                const FileSystem *fs = &file_systems[f];
                bool takes_all = o->is_full || o->flow != NULL;
                unsigned n = takes_all ? n_flows : o->fs != NULL && fs->n_flows == 0 ? 2 : fs->n_flows;
                size_t first = mix(o->seed, f) % n_flows;

                if (o->fs != NULL && o->fs != fs)
                        continue;
                for (unsigned i = 0; i < n; i++) {
                        const Flow *flow = &flows[(first + i * 5) % n_flows];

                        if (o->flow == NULL || o->flow == flow)
                                add_pair(fs, flow);
                }
        }
}

/* The flows that show a mistake, the likeliest first, on the first file system. */
static void choose_for_mutant(const Options *o) {
        char list[256], *rest;

        (void)snprintf(list, sizeof list, "%s", o->mutant->flows);
        for (char *name = strtok_r(list, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest))
                if (flow_find(name) != NULL && (o->flow == NULL || o->flow == flow_find(name)))
                        add_pair(o->fs != NULL ? o->fs : file_systems, flow_find(name));
}

/* ---- Options and report ---- */

static const struct option options[] = {
        {"fs", 1, NULL, 'F'},   {"flow", 1, NULL, 'f'}, {"states", 1, NULL, 'n'}, {"full", 0, NULL, 'A'},
        {"at", 1, NULL, 'a'},   {"seed", 1, NULL, 'S'}, {"jobs", 1, NULL, 'j'},   {"mutant", 1, NULL, 'm'},
        {"list", 0, NULL, 'l'}, {NULL, 0, NULL, 0},
};

static bool take_name(Options *o, int c) {
        if (c == 'F')
                for (size_t i = 0; i < N_FILE_SYSTEMS; i++)
                        if (strcmp(file_systems[i].name, optarg) == 0)
                                o->fs = &file_systems[i];
        if (c == 'f')
                o->flow = flow_find(optarg);
        if (c == 'm')
                o->mutant = mutant_find(optarg);
        return (c != 'F' || o->fs != NULL) && (c != 'f' || o->flow != NULL) && (c != 'm' || o->mutant != NULL);
}

static void take_number(Options *o, int c) {
        unsigned long number = strtoul(optarg, NULL, 10);

        if (c == 'n')
                o->n_states = (unsigned)number;
        if (c == 'S')
                o->seed = (uint32_t)number;
        if (c == 'j')
                o->n_jobs = (unsigned)number;
        if (c == 'a') {
                o->at = number;
                o->has_at = true;
        }
}

static bool parse(Options *o, int argc, char **argv) {
        bool is_fine = true;
        int c;

        *o = (Options){.n_jobs = 2, .n_states = SAMPLE_STATES, .seed = seed_default()};
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                o->is_full |= c == 'A';
                o->is_list |= c == 'l';
                if (strchr("nSja", c) != NULL)
                        take_number(o, c);
                is_fine = c != '?' && take_name(o, c);
        }
        if (o->mutant != NULL) {
                o->n_jobs = 1;
                o->is_full = true;
        }
        return is_fine && optind == argc && o->n_jobs > 0 && o->n_jobs <= JOBS_MAX;
}

static void print_pair(const Pair *p) {
        (void)printf("%-15s %-22s %7" PRIu64 " %7" PRIu64 " %9" PRIu64 " %8.1f%s\n", p->fs->name, p->flow->name,
                     p->n_records, p->n_states, p->n_failures, (double)p->msec / 1000,
                     p->is_missing         ? "  no such file system here"
                     : !p->is_done         ? "  NOT DONE"
                     : !p->fs->is_promised ? "  for information"
                                           : "");
}

static void keep_pair(const Options *o, const Pair *p) {
        Count c = {.n_points = p->n_records,
                   .n_states = p->n_states,
                   .n_failures = p->fs->is_promised ? p->n_failures : 0,
                   .msec = p->msec,
                   .is_sample = !o->is_full};

        (void)snprintf(c.tier, sizeof c.tier, "disk-%.20s", p->fs->name);
        (void)snprintf(c.row, sizeof c.row, "%s", p->flow->name);
        if (p->is_done && !o->has_at)
                count_write(&c);
}

/* The first file system must be there, or nothing is proven. */
static bool report(const Options *o, uint64_t msec) {
        Pair all = {0};
        bool is_fine = shared->n_pairs > 0;

        (void)printf("%-15s %-22s %7s %7s %9s %8s\n", "file system", "flow", "records", "states", "failures",
                     "seconds");
        for (size_t i = 0; i < shared->n_pairs; i++) {
                const Pair *p = &shared->pairs[i];
                bool may_fail = !p->fs->is_promised, may_miss = p->is_missing && p->fs != file_systems;

                print_pair(p);
                keep_pair(o, p);
                is_fine = is_fine && (p->is_done || may_miss) && (p->n_failures == 0 || may_fail);
                all.n_records += p->n_records;
                all.n_states += p->n_states;
                all.n_failures += may_fail ? 0 : p->n_failures;
        }
        (void)printf("%-15s %-22s %7" PRIu64 " %7" PRIu64 " %9" PRIu64 " %8.1f\nseed %" PRIu32 "\n", "total", "",
                     all.n_records, all.n_states, all.n_failures, (double)msec / 1000, o->seed);
        return is_fine;
}

static int list(void) {
        for (size_t i = 0; i < N_FILE_SYSTEMS; i++)
                (void)printf("%-15s mounted %s%s\n", file_systems[i].name,
                             file_systems[i].options != NULL ? file_systems[i].options : "as it comes",
                             file_systems[i].is_promised ? "" : "; for information");
        return 0;
}

static const char *why_not(void) {
        return geteuid() != 0                          ? "this needs root"
               : access("/dev/fuse", R_OK | W_OK) < 0  ? "there is no /dev/fuse"
               : access("/dev/loop-control", R_OK) < 0 ? "there are no loop devices"
                                                       : NULL;
}

int main(int argc, char **argv) {
        uint64_t start = now_msec();
        Options o;
        int status;

        if (!parse(&o, argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        if (o.is_list)
                return list();
        if (why_not() != NULL) {
                (void)printf("crash.disk: skipped: %s\n", why_not());
                return SKIPPED;
        }
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                return BROKEN;
        o.mutant != NULL ? choose_for_mutant(&o) : choose_pairs(&o);
        status = namespace_run(run_workers, &o);
        if (status != 0)
                (void)printf("crash.disk: %s\n", status == SKIPPED ? "skipped: no namespaces here" : "it broke");
        if (o.mutant == NULL)
                return status != 0 ? status : report(&o, now_msec() - start) ? 0 : 1;
        for (size_t i = 0; i < shared->n_pairs; i++)
                print_pair(&shared->pairs[i]);
        return status != 0 ? status : is_noticed();
}
