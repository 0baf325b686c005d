/* SPDX-License-Identifier: Apache-2.0 */
/* Kills one flow at its points, one after the other, and has each judged. */
#pragma once

#include "tests/crash/judge.h"

typedef struct SweepOptions {
        uint64_t at;                       /* only this point; 0: all */
        uint64_t from;                     /* begin with this one, and go round; 0: the first */
        bool only_entry, only_exit;        /* neither: entry of all, exit of the sampled and the last */
        unsigned sample;                   /* percent of the points taken at entry */
        unsigned sample_exit;              /* percent of the points taken at exit */
        unsigned sample_done;              /* percent at which recovery also runs blind to DONE */
        uint32_t seed;                     /* which ones: the same seed, the same points */
        unsigned worker, n_workers;        /* point n is worker n % n_workers' */
        const char *mutant;                /* NULL: none */
        bool mutant_runs, mutant_recovers; /* in which process */
        uint64_t budget_msec;              /* take as many points as fit into that time; 0: no matter */
        bool ends_at_first;
        bool is_quiet; /* failures are not printed */
} SweepOptions;

typedef struct SweepResult {
        uint64_t n_points, n_runs, n_failures;
        char first_oracle[64]; /* of the first failure */
        uint64_t first_at;
} SweepResult;

/* The i-th of n places, which all come once for i from 0 to n - 1, in an order that jumps about: those for which
 * there is time are spread. */
uint64_t sweep_place(uint32_t seed, uint64_t n, uint64_t i);

/* false: it could not be done at all (told on stderr). Adds to *result. */
bool sweep_flow(World *world, const Flow *flow, const SweepOptions *options, SweepResult *result);
