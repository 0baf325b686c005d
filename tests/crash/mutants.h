/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberate mistakes, one per rule of the protocol, that a testing build makes when PAWL_MUTANT names it. The sweep
 * is worth something because it notices each. */
#pragma once

#include "tests/crash/sweep.h"

typedef enum MutantReach {
        MUTANT_RUN,     /* made by the process that is killed */
        MUTANT_RECOVER, /* by the one that recovers */
        MUTANT_BOTH,    /* these three: noticed by the sweep of crash.kill */
        MUTANT_TWO,     /* shows only when two pawls meet: crash.two knows the scenario */
        MUTANT_DISK,    /* shows only when a real file system is cut: crash.disk */
        MUTANT_POWER,   /* by the lint of crash.power */
        MUTANT_CUT,     /* shows only on a disk that is weaker than any: the lint of crash.power, after kills as well */
        MUTANT_UNIT,    /* a unit test fails with it */
        MUTANT_HARMLESS, /* no mistake: it must make no difference */
} MutantReach;

typedef struct Mutant {
        const char *name;
        MutantReach reach;
        const char *flows; /* FLOW[:POINT TO BEGIN WITH], separated by spaces, the likeliest first; TWO: the scenario;
                              UNIT: the tests */
        const char *rule;  /* the rule it breaks */
} Mutant;

const Mutant *mutant_find(const char *name);
/* The i-th of the tiers by which mistakes are noticed; NULL: there are no more. */
const char *mutant_tier(unsigned i);
/* Makes a sweep run with it. */
void mutant_aim(const Mutant *mutant, SweepOptions *options);

/* Before the workers are forked; in each; when all have ended (true: none lives). */
bool mutants_begin(void);
bool mutants_run(World *world, unsigned worker, unsigned n_workers, uint32_t seed);
bool mutants_report(void);
