/* SPDX-License-Identifier: Apache-2.0 */
/* See lint.h. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/format.h"
#include "tests/crash/lint.h"

typedef struct Lint {
        const Recording *r;
        void (*tell)(const Finding *f, void *userdata);
        void *userdata;
        size_t n_found;
} Lint;

/* What a path below the root is to the protocol. */
typedef enum Part {
        PART_HOST,     /* what pawl promises */
        PART_DATABASE, /* data.mdb: it has rules of its own */
        PART_JOURNAL,  /* all else of the journal: nothing depends on it that is not checked */
        PART_LOOSE,    /* logs and locks: lost, nothing is lost */
} Part;

static const struct {
        const char *prefix, *suffix; /* NULL: any */
        Part part;
} parts[] = {
        {"var/lib/pawl/", "/data.mdb", PART_DATABASE},
        {"var/lib/pawl/", "/lock.mdb", PART_LOOSE},
        {"var/lib/pawl/journal", NULL, PART_JOURNAL},
        {"var/lib/pawl/.pawl-new-journal", NULL, PART_JOURNAL},
        {"var/log", NULL, PART_LOOSE},
};

static Part part_of_path(const char *path) {
        size_t n = strlen(path);

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                size_t n_suffix = parts[i].suffix != NULL ? strlen(parts[i].suffix) : 0;

                if (strncmp(path, parts[i].prefix, strlen(parts[i].prefix)) == 0 &&
                    (n_suffix == 0 || (n >= n_suffix && strcmp(path + n - n_suffix, parts[i].suffix) == 0)))
                        return parts[i].part;
        }
        return PART_HOST;
}

static Part part_of(const Lint *l, const DiskOp *op) {
        const Disk *d = &l->r->disk;
        char path[PATH_MAX];
        size_t n;

        if (op->kind != DISK_NAME) {
                disk_path(d, op->node, path, sizeof path);
                return part_of_path(path);
        }
        disk_path(d, d->slots[op->changes[op->n_changes - 1].slot].dir, path, sizeof path);
        n = strlen(path);
        (void)snprintf(path + n, sizeof path - n, "/%s", d->slots[op->changes[op->n_changes - 1].slot].name);
        return part_of_path(path);
}

static void found(Lint *l, const char *rule, uint32_t event, const DiskOp *op, const char *what) {
        static Finding f;
        char where[LINT_TEXT_SIZE / 4] = "", source[LINT_TEXT_SIZE / 4] = "", text[768] = "";

        f = (Finding){.rule = rule, .event = event};
        if (op != NULL)
                disk_op_text(&l->r->disk, op, text, sizeof text);
        record_event_text(l->r, event, where, sizeof where);
        if (op != NULL && op->event != event)
                record_event_text(l->r, op->event, source, sizeof source);
        (void)snprintf(f.text, sizeof f.text, "%s%s%s\n    at %s%s%s", what, text[0] != 0 ? ": " : "", text, where,
                       source[0] != 0 ? "    made by " : "", source);
        l->n_found++;
        l->tell(&f, l->userdata);
}

static bool is_volatile(const DiskOp *op, uint32_t event) {
        return op->event < event && (op->durable == DISK_NEVER || op->durable >= event);
}

/* Which slot has the node for sure when the event begins, and may no other have it? DISK_NONE: none. */
static uint32_t slot_for_sure(const Disk *d, uint32_t node, uint32_t event) {
        uint32_t slot = DISK_NONE;

        for (uint32_t i = 0; i < d->n_slots; i++)
                if (d->slots[i].first == node)
                        slot = i;
        for (size_t i = 0; i < d->n_ops && d->ops[i].event < event; i++)
                for (unsigned k = 0; k < d->ops[i].n_changes; k++) {
                        bool comes = d->ops[i].changes[k].to == node;
                        bool goes = d->ops[i].changes[k].slot == slot && !is_volatile(&d->ops[i], event);

                        slot = comes ? d->ops[i].changes[k].slot : goes ? DISK_NONE : slot;
                }
        return slot;
}

/* What happened inside of a directory that is gone, durably, is nobody's business. */
static bool is_gone(const Disk *d, const DiskOp *op, uint32_t event) {
        uint32_t node = op->kind == DISK_NAME ? d->slots[op->changes[op->n_changes - 1].slot].dir : op->node;

        for (unsigned depth = 0; node != 0 && depth < 64; depth++) {
                uint32_t slot = slot_for_sure(d, node, event);

                if (slot == DISK_NONE)
                        return true;
                node = d->slots[slot].dir;
        }
        return false;
}

/* What is kept for undoing is removed before END, and no other record is about that. */
static bool is_left_over(const Disk *d, const DiskOp *op) {
        uint32_t slot = op->kind == DISK_NAME ? op->changes[op->n_changes - 1].slot : DISK_NONE;
        uint32_t event = op->event;

        for (unsigned depth = 0; slot != DISK_NONE && depth < 64; depth++) {
                if (strncmp(d->slots[slot].name, ".pawl-", 6) == 0)
                        return true;
                slot = d->slots[slot].dir != 0 ? slot_for_sure(d, d->slots[slot].dir, event) : DISK_NONE;
        }
        return false;
}

/* The first change of the part that is not durable when the event begins. */
static const DiskOp *first_volatile(const Lint *l, uint32_t event, Part part, bool with_leftovers) {
        for (size_t i = 0; i < l->r->disk.n_ops && l->r->disk.ops[i].event < event; i++)
                if (is_volatile(&l->r->disk.ops[i], event) && l->r->disk.ops[i].kind != DISK_ROOM &&
                    part_of(l, &l->r->disk.ops[i]) == part && !is_gone(&l->r->disk, &l->r->disk.ops[i], event) &&
                    (with_leftovers || !is_left_over(&l->r->disk, &l->r->disk.ops[i])))
                        return &l->r->disk.ops[i];
        return NULL;
}

/* ---- Records ---- */

static bool has_record(const Lint *l, uint64_t tx, uint32_t step, uint16_t kind, uint32_t before) {
        for (size_t i = 0; i < l->r->n_entries; i++) {
                const Entry *e = &l->r->entries[i];

                if (e->kind == kind && e->tx == tx && (step == UINT32_MAX || e->step == step) &&
                    record_entry_event(l->r, e) < before)
                        return true;
        }
        return false;
}

static bool says_so(uint16_t kind) {
        return kind == ENTRY_DONE || kind == ENTRY_COMMIT || kind == ENTRY_END || kind == ENTRY_FINISHED ||
               kind == ENTRY_UNDONE || kind == ENTRY_GROUP_UNDONE;
}

static void look_at_records(Lint *l) {
        uint32_t told = UINT32_MAX;

        for (size_t i = 0; i < l->r->n_entries; i++) {
                const Entry *e = &l->r->entries[i];
                const DiskOp *op;
                char what[128];

                if (!says_so(e->kind) || e->commit == told || e->commit >= l->r->n_commits)
                        continue;
                op = first_volatile(l, l->r->commits[e->commit].event, PART_HOST, e->kind == ENTRY_END);
                (void)snprintf(what, sizeof what, "%s of step %" PRIu32 " is written, and not durable is the",
                               record_kind_name(e->kind), e->step);
                if (op != NULL)
                        found(l, "durable before its record", l->r->commits[told = e->commit].event, op, what);
        }
}

static void look_at_commits(Lint *l) {
        for (size_t i = 0; i < l->r->n_commits; i++) {
                const Commit *c = &l->r->commits[i];
                const DiskOp *op = first_volatile(l, c->event, PART_DATABASE, true);

                if (op != NULL && op->kind != DISK_NAME)
                        found(l, "pages before the meta page", c->event, op,
                              "the transaction is made valid, and not durable is the");
                if (l->r->disk.ops[c->op].durable != c->event)
                        found(l, "the meta page at once", c->event, &l->r->disk.ops[c->op],
                              "not durable when it returns:");
        }
}

/* ---- Effects ---- */

/* ".pawl-12-3" and the like say for which step of which transaction they are. */
static bool parse_name(const char *name, uint64_t *ret_tx, uint32_t *ret_step) {
        unsigned long long tx;
        unsigned step;

        if (sscanf(name, ".pawl-%llu-%u", &tx, &step) != 2 && sscanf(name, ".pawl-trash-%llu-%u", &tx, &step) != 2)
                return false;
        *ret_tx = tx;
        *ret_step = step;
        return true;
}

static bool may_be_done(const Lint *l, uint64_t tx, uint32_t step, uint32_t event) {
        return has_record(l, tx, step, ENTRY_INTENT, event) || has_record(l, tx, UINT32_MAX, ENTRY_COMMIT, event) ||
               has_record(l, tx, UINT32_MAX, ENTRY_ABORT, event);
}

static void look_at_effects(Lint *l) {
        const Disk *d = &l->r->disk;

        for (size_t i = 0; i < d->n_ops; i++) {
                const DiskOp *op = &d->ops[i];
                uint64_t tx;
                uint32_t step;

                for (unsigned k = 0; op->kind == DISK_NAME && k < op->n_changes; k++) {
                        const char *name = d->slots[op->changes[k].slot].name;

                        if (parse_name(name, &tx, &step) && tx > l->r->first_head &&
                            !may_be_done(l, tx, step, op->event))
                                found(l, "intent before effect", op->event, op, "there is no durable INTENT for the");
                }
        }
}

/* The last event before this one that made a transaction of the database valid. */
static uint32_t last_commit(const Lint *l, uint32_t event) {
        uint32_t last = 0;

        for (size_t i = 0; i < l->r->n_commits; i++)
                last = l->r->commits[i].event < event ? l->r->commits[i].event : last;
        return last;
}

/* The database is whole whenever anything else is done: its commit has returned by then. */
static void look_between_commits(Lint *l) {
        const Disk *d = &l->r->disk;

        for (size_t i = 0; i < d->n_ops; i++) {
                const DiskOp *op = &d->ops[i], *loose;

                if (part_of(l, op) != PART_HOST || (i > 0 && d->ops[i - 1].event == op->event))
                        continue;
                loose = first_volatile(l, op->event, PART_DATABASE, true);
                if (loose != NULL && loose->event <= last_commit(l, op->event))
                        found(l, "commit before effect", op->event, loose,
                              "the host is changed, and not durable is the");
        }
}

/* ---- The answer ---- */

static void look_at_answers(Lint *l) {
        for (unsigned run = 0; run < l->r->n_runs; run++) {
                const char *told = strstr(l->r->output + l->r->first_output[run], "committed");
                size_t at = told != NULL ? (size_t)(told - l->r->output) : SIZE_MAX;

                for (size_t i = 0; i < l->r->n_entries; i++) {
                        const Entry *e = &l->r->entries[i];
                        uint32_t event = e->commit < l->r->n_commits ? l->r->commits[e->commit].event : 0;

                        if (e->kind == ENTRY_COMMIT && event >= l->r->first_event[run] &&
                            event < l->r->first_event[run + 1] && l->r->disk.events[event].output > at)
                                found(l, "told when durable", event, NULL,
                                      "\"committed\" was told before COMMIT was written");
                }
        }
}

/* Whoever is told that all went well may pull the plug. */
static void look_at_ends(Lint *l) {
        static const Part all[] = {PART_HOST, PART_DATABASE};

        for (unsigned run = 0; run < l->r->n_runs; run++)
                for (size_t i = 0; i < 2 && l->r->status[run] == 0; i++) {
                        const DiskOp *op = first_volatile(l, l->r->first_event[run + 1], all[i], true);

                        /* Pages of a transaction that never came about are nobody's. */
                        if (op != NULL &&
                            (all[i] == PART_HOST || op->event <= last_commit(l, l->r->first_event[run + 1])))
                                found(l, "durable at the end", op->event, op,
                                      "the program said that all is done, and not durable is the");
                }
}

/* ---- The journal's room and anchor ---- */

static uint64_t size_at(const Lint *l, uint32_t node, uint32_t event) {
        uint64_t size = l->r->disk.nodes[node].first_size;

        for (size_t i = 0; i < l->r->disk.n_ops && l->r->disk.ops[i].event < event; i++)
                if (l->r->disk.ops[i].kind == DISK_SIZE && l->r->disk.ops[i].node == node)
                        size = l->r->disk.ops[i].size;
        return size;
}

/* Behind it there is no way back without room to write down. */
static void look_at_room(Lint *l) {
        enum { ROOM_MIN = 1 << 20 };

        for (size_t i = 0; i < l->r->n_entries; i++) {
                const Entry *e = &l->r->entries[i];
                const Disk *d = &l->r->disk;
                uint32_t event, node;
                uint64_t room = 0;

                if (e->kind != ENTRY_BEGIN || e->commit >= l->r->n_commits)
                        continue;
                event = l->r->commits[e->commit].event;
                node = d->ops[l->r->commits[e->commit].op].node;
                for (size_t k = 0; k < d->n_ops && d->ops[k].event < event; k++)
                        if (d->ops[k].kind == DISK_ROOM && d->ops[k].node == node && !is_volatile(&d->ops[k], event))
                                room = d->ops[k].size > room ? d->ops[k].size : room;
                if (room < size_at(l, node, event) + ROOM_MIN)
                        found(l, "room before BEGIN", event, NULL,
                              "BEGIN is written, and no room for the way back is durably reserved");
        }
}

/* The BEGIN of the oldest transaction that is open at the event; UINT64_MAX: none is. */
static uint64_t oldest_open(const Lint *l, uint32_t event) {
        uint64_t oldest = UINT64_MAX;

        for (size_t i = 0; i < l->r->n_entries; i++) {
                const Entry *e = &l->r->entries[i];
                bool is_open = e->kind == ENTRY_BEGIN && record_entry_event(l->r, e) < event &&
                               !has_record(l, e->tx, UINT32_MAX, ENTRY_END, event);

                if (is_open && e->seq < oldest)
                        oldest = e->seq;
        }
        return oldest;
}

static uint64_t anchor_of(const Lint *l, uint32_t node) {
        bool *all = malloc(l->r->disk.n_ops + 1);
        AnchorFile file = {0};
        size_t size = 0;
        char *data = NULL;

        if (all != NULL) {
                memset(all, 1, l->r->disk.n_ops + 1);
                data = disk_content(&l->r->disk, all, node, &size);
        }
        if (data != NULL && size == sizeof file)
                memcpy(&file, data, sizeof file);
        free(data);
        free(all);
        return file.seq;
}

/* A journal that has its name is whole. */
static void look_at_creation(Lint *l) {
        const Disk *d = &l->r->disk;

        for (size_t i = 0; i < d->n_ops; i++) {
                const DiskOp *op = &d->ops[i];
                const DiskOp *loose = NULL;
                unsigned last = op->n_changes - 1;
                uint32_t to = op->kind == DISK_NAME ? op->changes[last].to : DISK_NONE, slot;

                if (to == DISK_NONE || strcmp(d->slots[op->changes[last].slot].name, "journal") != 0)
                        continue;
                slot = disk_find_slot(d, to, "data.mdb");
                for (size_t k = 0; k < d->n_ops && loose == NULL; k++)
                        if (d->ops[k].kind == DISK_NAME && d->ops[k].changes[0].slot == slot &&
                            (d->ops[k].event > op->event || is_volatile(&d->ops[k], op->event)))
                                loose = &d->ops[k];
                if (loose == NULL)
                        loose = first_volatile(l, op->event, PART_DATABASE, true);
                if (loose != NULL)
                        found(l, "made aside", op->event, loose, "the journal gets its name, and not durable is the");
        }
}

static void look_at_anchor(Lint *l) {
        const Disk *d = &l->r->disk;

        for (size_t i = 0; i < d->n_ops; i++) {
                const DiskOp *op = &d->ops[i];
                unsigned last = op->n_changes - 1;

                if (op->kind != DISK_NAME || strcmp(d->slots[op->changes[last].slot].name, "journal.head") != 0 ||
                    op->changes[last].to == DISK_NONE)
                        continue;
                if (anchor_of(l, op->changes[last].to) >= oldest_open(l, op->event))
                        found(l, "anchor behind what is open", op->event, op,
                              "it names a record of an open transaction: the");
        }
}

size_t lint_recording(const Recording *r, void (*tell)(const Finding *f, void *userdata), void *userdata) {
        static void (*const rules[])(Lint * l) = {
                look_at_records, look_at_commits, look_at_effects, look_between_commits, look_at_answers,
                look_at_ends,    look_at_room,    look_at_anchor,  look_at_creation,
        };
        Lint l = {r, tell, userdata, 0};

        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
                rules[i](&l);
        return l.n_found;
}

size_t lint_anchor(const Recording *r, void (*tell)(const Finding *f, void *userdata), void *userdata) {
        Lint l = {r, tell, userdata, 0};

        look_at_anchor(&l);
        return l.n_found;
}
