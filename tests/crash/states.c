/* SPDX-License-Identifier: Apache-2.0 */
/* See states.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/states.h"

enum { SPLIT_MAX = 4, GROUPS_MAX = 512, GROUP_OPS_MAX = 256, PAIRS_MAX = 48 };

bool states_begin(States *s, const Recording *r) {
        *s = (States){.r = r,
                      .is_applied = calloc(r->disk.n_ops + 1, sizeof *s->is_applied),
                      .nodes = calloc(r->disk.n_slots + 1, sizeof *s->nodes),
                      .metas = calloc(r->disk.n_nodes + 1, sizeof *s->metas),
                      .hashes = calloc(r->disk.n_nodes + 1, sizeof *s->hashes),
                      .known_for = calloc(r->disk.n_nodes + 1, sizeof *s->known_for),
                      .known = calloc(r->disk.n_nodes + 1, sizeof *s->known)};
        return s->is_applied != NULL && s->nodes != NULL && s->metas != NULL && s->hashes != NULL &&
               s->known_for != NULL && s->known != NULL;
}

void states_done(States *s) {
        free(s->is_applied);
        free(s->nodes);
        free(s->metas);
        free(s->hashes);
        free(s->known_for);
        free(s->known);
        *s = (States){0};
}

/* ---- Choosing ---- */

/* The ops of one call that may be there or not. */
typedef struct Group {
        uint32_t ops[GROUP_OPS_MAX];
        unsigned n_ops, n_choices;
} Group;

typedef struct Choosing {
        States *s;
        bool commit_is_one;
        Group *groups;
        unsigned n_groups;
        unsigned choices[GROUPS_MAX];
        bool (*visit)(States *s, void *userdata);
        void *userdata;
} Choosing;

static bool is_optional(const DiskOp *op, uint32_t event) {
        return op->kind != DISK_ROOM && op->event <= event && (op->durable == DISK_NEVER || op->durable >= event);
}

static bool is_of_size(const Choosing *c, const Group *g, unsigned i) {
        return c->s->r->disk.ops[g->ops[i]].kind == DISK_SIZE;
}

/* Choice 0 is nothing, 1 is all. Of few ops there are all subsets; of many, what a writer that was cut off leaves. */
static bool is_chosen(const Choosing *c, const Group *g, unsigned choice, unsigned i) {
        unsigned n = g->n_ops;

        if (choice < 2)
                return choice == 1;
        if (n <= SPLIT_MAX)
                return ((choice - 1) >> i & 1) != 0;
        switch (choice) {
        case 2:
                return is_of_size(c, g, i);
        case 3:
                return !is_of_size(c, g, i);
        case 4:
                return i == 0;
        case 5:
                return i == n - 1;
        case 6:
                return i != 0;
        case 7:
                return i != n - 1;
        case 8:
                return i < n / 2;
        default:
                return i >= n / 2;
        }
}

enum { CLASSES_OF_MANY = 10 };

static bool show(Choosing *c) {
        for (unsigned g = 0; g < c->n_groups; g++)
                for (unsigned i = 0; i < c->groups[g].n_ops; i++)
                        c->s->is_applied[c->groups[g].ops[i]] = is_chosen(c, &c->groups[g], c->choices[g], i);
        return c->visit(c->s, c->userdata);
}

/* What becomes valid with the next meta page only. */
static bool is_page(const Choosing *c, uint32_t op) {
        const Recording *r = c->s->r;

        for (size_t i = 0; i < r->n_commits; i++)
                if (r->commits[i].op == op)
                        return false;
        return c->commit_is_one && r->disk.ops[op].kind != DISK_NAME && r->disk.ops[op].node == r->data_file;
}

static bool is_of_group(const Choosing *c, const Group *g, uint32_t op) {
        const DiskOp *ops = c->s->r->disk.ops;

        return g->n_ops < GROUP_OPS_MAX &&
               (ops[g->ops[0]].group == ops[op].group || (is_page(c, g->ops[0]) && is_page(c, op)));
}

static bool add_to_group(Choosing *c, uint32_t op) {
        Group *g = c->n_groups > 0 ? &c->groups[c->n_groups - 1] : NULL;

        if (g == NULL || !is_of_group(c, g, op)) {
                if (c->n_groups == GROUPS_MAX)
                        return false;
                g = &c->groups[c->n_groups++];
                g->n_ops = 0;
        }
        g->ops[g->n_ops++] = op;
        g->n_choices = is_page(c, op) ? 2 : g->n_ops <= SPLIT_MAX ? 1U << g->n_ops : CLASSES_OF_MANY;
        return true;
}

static bool find_groups(Choosing *c) {
        const Disk *d = &c->s->r->disk;

        for (uint32_t i = 0; i < d->n_ops; i++) {
                c->s->is_applied[i] = d->ops[i].event < c->s->event && !is_optional(&d->ops[i], c->s->event);
                if (is_optional(&d->ops[i], c->s->event) && !add_to_group(c, i))
                        return false;
        }
        return true;
}

static uint64_t product(const Choosing *c, uint64_t limit) {
        uint64_t n = 1;

        for (unsigned g = 0; g < c->n_groups && n <= limit; g++)
                n *= c->groups[g].n_choices;
        return n;
}

static bool show_all(Choosing *c) {
        memset(c->choices, 0, sizeof c->choices);
        for (;;) {
                unsigned g = 0;

                if (!show(c))
                        return false;
                while (g < c->n_groups && ++c->choices[g] == c->groups[g].n_choices)
                        c->choices[g++] = 0;
                if (g == c->n_groups)
                        return true;
        }
}

static void set_choices(Choosing *c, unsigned choice) {
        for (unsigned g = 0; g < c->n_groups; g++)
                c->choices[g] = choice;
}

static bool show_singles(Choosing *c, unsigned rest) {
        set_choices(c, rest);
        if (!show(c))
                return false;
        for (unsigned g = 0; g < c->n_groups; g++) {
                for (unsigned choice = 0; choice < c->groups[g].n_choices; choice++) {
                        c->choices[g] = choice;
                        if (choice != rest && !show(c))
                                return false;
                }
                c->choices[g] = rest;
        }
        return true;
}

static bool show_pairs(Choosing *c) {
        set_choices(c, 1);
        for (unsigned a = 0; a < c->n_groups && c->n_groups <= PAIRS_MAX; a++) {
                c->choices[a] = 0;
                for (unsigned b = a + 1; b < c->n_groups; b++) {
                        c->choices[b] = 0;
                        if (!show(c))
                                return false;
                        c->choices[b] = 1;
                }
                c->choices[a] = 1;
        }
        return true;
}

static uint64_t next_random(uint64_t *state) {
        uint64_t x = *state += 0x9e3779b97f4a7c15;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
}

static bool show_samples(Choosing *c, const StatesLimits *limits) {
        uint64_t random = limits->seed * 0x100000001b3 + c->s->event;

        for (uint64_t n = 0; n < limits->n_samples; n++) {
                for (unsigned g = 0; g < c->n_groups; g++)
                        c->choices[g] = (unsigned)(next_random(&random) % c->groups[g].n_choices);
                if (!show(c))
                        return false;
        }
        return true;
}

bool states_each(States *s, uint32_t event, const StatesLimits *limits, bool (*visit)(States *s, void *userdata),
                 void *userdata) {
        Choosing *c = calloc(1, sizeof *c);
        bool goes_on = c != NULL;

        s->event = event;
        if (c != NULL) {
                *c = (Choosing){.s = s,
                                .groups = calloc(GROUPS_MAX, sizeof(Group)),
                                .visit = visit,
                                .userdata = userdata,
                                .commit_is_one = limits->commit_is_one};
                goes_on = c->groups != NULL && find_groups(c);
        }
        if (goes_on && product(c, limits->limit) <= limits->limit)
                goes_on = show_all(c);
        else if (goes_on)
                goes_on = show_singles(c, 1) && show_singles(c, 0) && (!limits->with_pairs || show_pairs(c)) &&
                          show_samples(c, limits);
        if (c != NULL)
                free(c->groups);
        free(c);
        return goes_on;
}

/* ---- The state at hand ---- */

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2);
        hash *= 0xff51afd7ed558ccd;
        return hash ^ (hash >> 32);
}

static uint64_t mix_bytes(uint64_t hash, const char *data, size_t size) {
        uint64_t fnv = 0xcbf29ce484222325;

        for (size_t i = 0; i < size; i++)
                fnv = (fnv ^ (unsigned char)data[i]) * 0x100000001b3;
        return mix(hash, fnv);
}

/* Which node has which name, and each node's attributes. */
static void settle(const States *s) {
        const Disk *d = &s->r->disk;

        for (size_t i = 0; i < d->n_slots; i++)
                s->nodes[i] = d->slots[i].first;
        for (size_t i = 0; i < d->n_nodes; i++) {
                s->metas[i] = d->nodes[i].first;
                s->hashes[i] = i;
        }
        for (size_t i = 0; i < d->n_ops; i++) {
                const DiskOp *op = &d->ops[i];

                for (unsigned k = 0; s->is_applied[i] && k < op->n_changes; k++)
                        s->nodes[op->changes[k].slot] = op->changes[k].to;
                if (s->is_applied[i] && op->kind == DISK_META)
                        s->metas[op->node] = op->meta;
                if (s->is_applied[i] && (op->kind == DISK_DATA || op->kind == DISK_SIZE))
                        s->hashes[op->node] = mix(s->hashes[op->node], i);
        }
}

typedef struct Walk {
        const States *s;
        int (*see)(struct Walk *walk, uint32_t node);
        uint64_t hash, other; /* what a walk sums up */
        unsigned n_staged;
        StatesDetail detail;
        const char *root; /* where it makes what it sees */
        FILE *inodes;
        char path[PATH_MAX]; /* of what it sees */
} Walk;

/* Each name below a directory, the directories before what is in them; ends with the first result that is not 0. */
static int walk_directory(Walk *walk, uint32_t dir, size_t n_path, unsigned depth) {
        const Disk *d = &walk->s->r->disk;
        int r = depth > 64 ? -ELOOP : 0;

        for (uint32_t i = d->nodes[dir].slots; i != DISK_NONE && r == 0; i = d->slots[i].next) {
                uint32_t node = walk->s->nodes[i];
                size_t at = n_path > 0 ? n_path + 1 : 0, n = strlen(d->slots[i].name);

                if (node == DISK_NONE)
                        continue;
                if (at + n >= sizeof walk->path)
                        return -ENAMETOOLONG;
                if (at > 0)
                        walk->path[at - 1] = '/';
                memcpy(walk->path + at, d->slots[i].name, n + 1);
                r = walk->see(walk, node);
                if (r == 0 && S_ISDIR(d->nodes[node].first.mode))
                        r = walk_directory(walk, node, at + n, depth + 1);
        }
        return r;
}

/* A sum, as the order of the names in a directory is nobody's business. */
static int see_hash(Walk *walk, uint32_t node) {
        const DiskMeta *meta = &walk->s->metas[node];
        uint64_t hash = mix(mix_bytes(1, walk->path, strlen(walk->path)), walk->s->hashes[node]);

        hash = mix(hash, meta->mode ^ (uint64_t)meta->uid << 32 ^ (uint64_t)meta->gid << 16);
        walk->hash += hash;
        walk->other += mix(hash, 2);
        return 0;
}

StateHash states_hash(const States *s) {
        Walk walk = {.s = s, .see = see_hash};

        settle(s);
        (void)walk_directory(&walk, 0, 0, 0);
        return (StateHash){walk.hash, walk.other};
}

/* ---- What recovery can see ---- */

uint64_t states_head(const States *s) {
        uint64_t head = s->r->first_head;

        /* Each later one has a higher number, so the last that is there is the one that counts. */
        for (size_t i = 0; i < s->r->n_commits; i++)
                if (s->is_applied[s->r->commits[i].op])
                        head = s->r->commits[i].head;
        return head;
}

/* Read once for each history. */
static uint64_t content_hash(const States *s, uint32_t node) {
        uint64_t history = s->hashes[node] + 1;
        size_t size = 0;
        char *data;

        if (s->known_for[node] == history)
                return s->known[node];
        data = disk_content(&s->r->disk, s->is_applied, node, &size);
        s->known_for[node] = history;
        s->known[node] = data != NULL ? mix_bytes(1, data, size) : 0;
        free(data);
        return s->known[node];
}

/* In a directory that is named by its transaction: not yet where it belongs, or not any more. */
static bool is_staged(const char *path) {
        const char *at = strstr(path, "/.pawl-");

        return at != NULL && strchr(at + 1, '/') != NULL;
}

static int see_class(Walk *walk, uint32_t node) {
        const char *path = walk->path;
        uint64_t hash = mix(mix_bytes(1, path, strlen(path)), walk->s->metas[node].mode);
        bool is_hidden = strncmp(path, "var/lib/pawl/", 13) == 0 || strncmp(path, "var/log/", 8) == 0;

        if (walk->detail == STATES_RECOVERED && is_staged(path)) {
                walk->n_staged++;
                return 0;
        }
        if (!S_ISDIR(walk->s->r->disk.nodes[node].first.mode) && !is_hidden)
                hash = mix(hash, content_hash(walk->s, node));
        walk->hash += hash;
        return 0;
}

static bool has(const States *s, uint64_t head, uint64_t tx, uint16_t kind) {
        for (size_t i = 0; i < s->r->n_entries; i++)
                if (s->r->entries[i].tx == tx && s->r->entries[i].kind == kind && s->r->entries[i].seq <= head)
                        return true;
        return false;
}

bool states_is_committed(const States *s, uint64_t tx) {
        return has(s, states_head(s), tx, ENTRY_COMMIT);
}

/* What is left of a transaction that has ended. */
static bool is_result(const Entry *e, StatesDetail detail) {
        return e->kind == ENTRY_COMMIT || (detail == STATES_JUDGED && (e->kind == ENTRY_ABORT || e->kind == ENTRY_END));
}

/* How often a record of a transaction stands there is only of interest where attempts are counted. */
static uint64_t records_class(const States *s, uint64_t own_tx, StatesDetail detail) {
        uint64_t head = states_head(s), sum = 0, attempts = 0;

        for (size_t i = 0; i < s->r->n_entries; i++) {
                const Entry *e = &s->r->entries[i];
                bool is_own = e->tx == own_tx, is_closed = has(s, head, e->tx, ENTRY_END);
                bool is_again = false;

                if (e->seq > head || (is_closed && !(is_own && is_result(e, detail))))
                        continue;
                if (e->kind == ENTRY_RECOVER)
                        attempts = mix(attempts, e->step);
                if (e->kind == ENTRY_UNDONE || e->kind == ENTRY_FINISHED)
                        attempts = 0;
                for (size_t k = 0; k < i; k++)
                        is_again |= s->r->entries[k].tx == e->tx && s->r->entries[k].kind == e->kind &&
                                    s->r->entries[k].step == e->step;
                if (!is_again && e->kind != ENTRY_RECOVER)
                        sum += mix(mix(is_own, e->kind), e->step);
        }
        return mix(sum, attempts);
}

uint64_t states_class(const States *s, uint64_t own_tx, StatesDetail detail) {
        enum { SOME = 1, MANY };
        Walk walk = {.s = s, .see = see_class, .detail = detail};

        settle(s);
        (void)walk_directory(&walk, 0, 0, 0);
        walk.hash = mix(walk.hash, walk.n_staged > SOME ? MANY : walk.n_staged);
        return mix(walk.hash, records_class(s, own_tx, detail));
}

/* ---- Making it ---- */

static int make_file(const Walk *walk, uint32_t node, const char *to) {
        size_t size = 0;
        char *data = disk_content(&walk->s->r->disk, walk->s->is_applied, node, &size);
        int fd = data != NULL ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1, r = 0;

        if (fd < 0 || write(fd, data, size) != (ssize_t)size)
                r = -EIO;
        if (fd >= 0)
                (void)close(fd);
        free(data);
        return r;
}

static int see_make(Walk *walk, uint32_t node) {
        const DiskNode *n = &walk->s->r->disk.nodes[node];
        const DiskMeta *meta = &walk->s->metas[node];
        char to[PATH_MAX];
        struct stat st;
        int r = 0;

        (void)snprintf(to, sizeof to, "%.200s/%.3800s", walk->root, walk->path);
        if (S_ISDIR(n->first.mode))
                r = mkdir(to, 0700) < 0 ? -errno : 0;
        else if (S_ISLNK(n->first.mode))
                r = symlink(n->data, to) < 0 ? -errno : 0;
        else
                r = make_file(walk, node, to);
        if (r == 0 && geteuid() == 0 && lchown(to, meta->uid, meta->gid) < 0)
                r = -errno;
        if (r == 0 && !S_ISLNK(n->first.mode) && chmod(to, meta->mode & 07777) < 0)
                r = -errno;
        if (r == 0 && lstat(to, &st) == 0)
                (void)fprintf(walk->inodes, "%" PRIu64 " %" PRIu64 "\n", (uint64_t)st.st_ino, (uint64_t)n->known_as);
        return r;
}

int states_make(const States *s, const char *root, const char *inodes) {
        Walk walk = {.s = s, .see = see_make, .root = root, .inodes = fopen(inodes, "we")};
        int r;

        if (walk.inodes == NULL)
                return -errno;
        settle(s);
        r = walk_directory(&walk, 0, 0, 0);
        return fclose(walk.inodes) != 0 && r == 0 ? -EIO : r;
}

void states_text(const States *s, char *ret, size_t size) {
        const Disk *d = &s->r->disk;
        size_t n = 0;

        ret[0] = 0;
        for (size_t i = 0; i < d->n_ops && n + 1 < size; i++) {
                char text[1024];

                if (!is_optional(&d->ops[i], s->event))
                        continue;
                disk_op_text(d, &d->ops[i], text, sizeof text);
                n += (size_t)snprintf(ret + n, size - n, "      %s: %s, block %" PRIu64 "\n",
                                      s->is_applied[i] ? "kept" : "lost", text, d->ops[i].offset / DISK_SECTOR);
        }
}
