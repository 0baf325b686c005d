/* SPDX-License-Identifier: Apache-2.0 */
/* The states that a recorded disk may be in when the power goes during one of its events: all that is durable by then,
 * and of the rest any part. */
#pragma once

#include "tests/crash/record.h"

/* How many of them. Up to `limit` combinations at one event are all taken; of more: all, none, each single choice
 * against both, with_pairs each two left out together, and n_samples chosen by the seed. commit_is_one: the pages of
 * one transaction of the database are there or not, which is enough where the parts of it were looked at before: no
 * page of them is in sight until all are durable. */
typedef struct StatesLimits {
        uint64_t limit, n_samples;
        bool with_pairs, commit_is_one;
        uint64_t seed;
} StatesLimits;

typedef struct StateHash {
        uint64_t a, b;
} StateHash;

/* One state at a time: which ops have happened, and what stands under each name. */
typedef struct States {
        const Recording *r;
        uint32_t event; /* during which the power goes; n_events: behind all */
        bool *is_applied;
        uint32_t *nodes;             /* by slot */
        DiskMeta *metas;             /* by node */
        uint64_t *hashes;            /* by node: of what happened to it */
        uint64_t *known_for, *known; /* by node: for which of these hashes the hash of its content is known */
} States;

bool states_begin(States *s, const Recording *r);
void states_done(States *s);

/* Shows each combination, equal disks more than once, until `visit` returns false. */
bool states_each(States *s, uint32_t event, const StatesLimits *limits, bool (*visit)(States *s, void *userdata),
                 void *userdata);

/* Equal for equal disks, as far as the history is the same; the journal's pages included. */
StateHash states_hash(const States *s);
/* The last record that the journal holds in this state. */
uint64_t states_head(const States *s);

typedef enum StatesDetail {
        /* What recovery may see, or the judge: all names and content outside of the journal, which records are in it
         * (of closed transactions only what came of them), which of them are our own. */
        STATES_JUDGED,
        /* What recovery goes by: not what is in a directory that is not where it belongs, as that is only ever removed
         * (whether there is nothing, one thing or more does matter), nor how a closed transaction came to its end. */
        STATES_RECOVERED,
} StatesDetail;

/* Equal for states between which that detail makes no difference; `own_tx` is the flow's own transaction. */
uint64_t states_class(const States *s, uint64_t own_tx, StatesDetail detail);
/* Does the journal hold its COMMIT? */
bool states_is_committed(const States *s, uint64_t tx);

/* Makes it: below `root`, which must be empty, and the file that tells which inode is which (fault.h). */
int states_make(const States *s, const char *root, const char *inodes);
/* A line for each op that could be there and is not, or is there and need not be. */
void states_text(const States *s, char *ret, size_t size);
