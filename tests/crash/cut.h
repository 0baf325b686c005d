/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the power of one flow: records it, looks at the recording (lint.h), makes what the disk may hold when the power
 * goes during any of its events (states.h), lets pawl recover and has it judged (judge.h); and the same with the
 * recovery of each state, to any depth, until nothing new turns up. */
#pragma once

#include "tests/crash/judge.h"
#include "tests/crash/states.h"

typedef struct CutOptions {
        bool lint, states, nested;
        unsigned killed; /* percent of the events at which the first process is killed, and recovery looked at (lint) */
        unsigned sample; /* percent of the states that are judged beyond one of each class */
        unsigned nested_sample;  /* the same of recoveries that are cut */
        unsigned classes;        /* percent of the classes that are judged, */
        unsigned nested_classes; /* and of those whose recovery is cut in turn */
        unsigned max_depth;
        uint64_t max_recoveries; /* of one flow that are cut in turn; 0: no matter */
        StatesLimits limits;
        uint64_t only;                     /* only the state of this number; 0: all */
        const char *mutant;                /* NULL: none */
        bool mutant_runs, mutant_recovers; /* in which process */
        uint64_t budget_msec; /* look at as many events as fit into that time, the seed says which; 0: no matter */
        bool ends_at_first;
        bool is_quiet; /* failures are not printed */
} CutOptions;

typedef struct CutResult {
        uint64_t n_events, n_kills;
        uint64_t n_states, n_classes, n_judged;                                    /* of the flow itself */
        uint64_t n_recoveries, n_nested_states, n_nested_classes, n_nested_judged; /* of recoveries that were cut */
        uint64_t n_left;                 /* classes whose recovery was not cut; 0: that is a fixpoint */
        uint64_t n_findings, n_failures; /* of lint; of the judge */
        uint64_t n_asked;                /* held by rule, and a person asked */
        unsigned depth;                  /* the deepest at which a new class was found */
        char first[128];                 /* what found the first of them */
} CutResult;

/* false: it could not be done at all (told on stderr). Adds to *result. */
bool cut_flow(World *world, const Flow *flow, const CutOptions *options, CutResult *result);
