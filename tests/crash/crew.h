/* SPDX-License-Identifier: Apache-2.0 */
/* Several workers, each a process with a world of its own, and what they found, added up row by row. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/world.h"

enum { CREW_MAX = 16, CREW_ROWS_MAX = 64 };

/* One row of the closing table. Counts are added over the workers; of the time, the longest counts. */
typedef struct CrewRow {
        const char *name; /* of the flow; static */
        uint64_t n_points, n_states, n_runs, n_failures, msec;
        bool is_done; /* false: it could not be done to the end */
} CrewRow;

/* One row's work by one worker: fills the counts. false: it could not be done at all, told on stderr. */
typedef bool (*CrewWork)(World *world, unsigned row, unsigned worker, CrewRow *ret, void *userdata);

typedef struct Crew {
        const char *tier; /* "fail" */
        const char *const *names;
        const bool *is_left_out; /* NULL: none is */
        unsigned n_rows, n_workers;
        CrewWork work;
        void *userdata;
        bool is_sample;  /* there are more cases than it takes, */
        bool is_partial; /* or it is only somebody's look at a few: not for the table (counts.h) */
} Crew;

/* Runs all rows in all workers, prints the table `flow tier points states runs failures seconds`, and returns whether
 * everything was done and nothing failed. */
bool crew_run(const Crew *crew);

/* A few runs of pawl are timed. true: it is slow (sanitizers), and the caller should take a sample. */
bool crew_is_slow(void);
uint64_t crew_now_msec(void);

/* The same for the same seed and key, whoever asks and in whatever order: is this one of `permille` of 1,000? */
bool crew_is_sampled(uint32_t seed, uint64_t key, unsigned permille);
uint64_t crew_hash(uint64_t a, uint64_t b);
