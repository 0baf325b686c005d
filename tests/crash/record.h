/* SPDX-License-Identifier: Apache-2.0 */
/* Records what runs of pawl do to the disk: a Disk (disk_ops.h), and what the journal said when.
 *
 * There are no silent gaps: a call that changes the disk in a way that no row of the table here knows, or outside of
 * the root, makes the recording fail; and in the end what was recorded must be what lies there. */
#pragma once

#include "tests/crash/disk_ops.h"
#include "tests/crash/world.h"

enum { RECORD_RUNS_MAX = 4, RECORD_PROBLEM_SIZE = 1024 };

/* A record of the journal, as its header tells. */
typedef struct Entry {
        uint64_t seq, tx;
        uint32_t step;
        uint16_t kind;
        uint32_t commit; /* number in Recording.commits; DISK_NONE: it was there at first */
} Entry;

/* A transaction of the journal's database: the write of its meta page makes it valid. */
typedef struct Commit {
        uint32_t event, op; /* the write; the op that is its data */
        uint64_t txnid;
        uint64_t head; /* the last record that it holds */
} Commit;

typedef struct Recording {
        World *world;
        Disk disk;
        Entry *entries;
        Commit *commits;
        size_t n_entries, n_commits;
        uint64_t first_head, head; /* the last record at first; of the last commit */
        uint32_t data_file;        /* data.mdb; it may be another one in the end */
        unsigned n_runs;
        uint32_t first_event[RECORD_RUNS_MAX + 1]; /* of each run, and behind the last */
        int status[RECORD_RUNS_MAX];               /* exit status; -1: killed */
        size_t first_output[RECORD_RUNS_MAX + 1];
        char output[RECORD_RUNS_MAX * WORLD_OUTPUT_SIZE];
        size_t shown;     /* of the output of the run that goes on */
        uint64_t program; /* where it lies in memory */
        char problem[RECORD_PROBLEM_SIZE];
} Recording;

/* Begins with the root as it is now; `head` is the last record of its journal. */
bool record_begin(Recording *r, World *world, uint64_t head);
/* Takes over what the journal of `parent` holds up to its record `head`, which it is where this one begins. */
bool record_inherit(Recording *r, const Recording *parent, uint64_t head);
/* The event by whose end an entry is in the journal; DISK_NEVER: it did not get there. */
uint32_t record_entry_event(const Recording *r, const Entry *e);
/* One run of pawl, under the tracer as `spec` says (kill, lie; NULL: undisturbed). false: r->problem says why. */
bool record_run(Recording *r, const char *line, const WorldEnv *env, TracerSpec *spec);
/* Is what was recorded what lies there? Asked behind the last run. */
bool record_is_true(Recording *r);
void record_done(Recording *r);

/* "renameat2 a -> b" and, if the program says so, from where: a line each. */
void record_event_text(const Recording *r, uint32_t event, char *ret, size_t size);
const char *record_kind_name(uint16_t kind);

/* The kinds as journal/records.def has them. */
typedef enum EntryKind {
#define RECORD(symbol, number, slug, text) ENTRY_##symbol = number,
#include "journal/records.def"
#undef RECORD
} EntryKind;
