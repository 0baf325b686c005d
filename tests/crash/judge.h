/* SPDX-License-Identifier: Apache-2.0 */
/* Lets pawl recover, and says whether the promise was kept: everything as before or everything as after, and which of
 * the two.
 *
 *   O0 undisturbed, it ends as meant (asked by the sweep)
 *   O1 recovery succeeds    O2 files as before or as after    O3 after what was told or committed, before otherwise
 *   O4 the journal is sound, the transaction ended            O5 a second recovery finds nothing to do
 *   O6 what belongs to others is untouched, and exactly the right program runs
 *   O8 the host is usable: the flow done again ends as after  O9 in time, without a crash
 *   O10 no secret where others read
 *
 * After a power cut recovery also starts what should run, in transactions of its own: they have to end, and are not
 * looked at otherwise. A step at which recovery was cut off three times is held, by its rule, until a person asks for
 * the transaction; the judge then asks.
 *
 * The costly ones are asked once for each state: files that compare equal, and the same records. */
#pragma once

#include "tests/crash/flows.h"

enum { JUDGE_CLASSES_MAX = 1024, JUDGE_TEXT_SIZE = 4096 };

typedef struct Judge {
        World *world;
        const Flow *flow;
        char *before, *after; /* tree_lines() of two undisturbed states */
        uint64_t head;        /* last record of the kept root */
        char boot[40];        /* in which it was written; recovery in another one begins transactions of its own: it
                               * starts what should run */
        uint64_t classes[JUDGE_CLASSES_MAX];
        size_t n_classes;
} Judge;

typedef struct JudgeCase {
        const char *output; /* what the flow said before it died, */
        int status;         /* and its exit status; -1: it was killed */
        const char *mutant; /* for the recovering process; NULL: none */
        bool is_power;      /* the power went: what ran is gone, and this is another boot */
        uint64_t tx;        /* then: the flow's own transaction, if the journal holds its BEGIN; 0: it does not */
        unsigned n_asked;   /* out: how often a person had to ask */
        const char *oracle; /* out: which one objects; static */
        char text[JUDGE_TEXT_SIZE];
} JudgeCase;

/* Makes the flow's root, keeps it, and learns both states. false: told on stderr. */
bool judge_open(Judge *j, World *world, const Flow *flow);
void judge_close(Judge *j);

/* After a run that ended by itself and says that it put everything back, before any recovery: is it so? Else fills
 * oracle and text. */
bool judge_is_settled(Judge *j, JudgeCase *c);

/* After a killed run, in the world's root. Returns whether all is well; else fills oracle and text. */
bool judge_case(Judge *j, JudgeCase *c);
