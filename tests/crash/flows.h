/* SPDX-License-Identifier: Apache-2.0 */
/* The flows that are killed at every point: one row each. */
#pragma once

#include "tests/crash/world.h"

enum { FLOW_SETUP_MAX = 4 };

typedef enum FlowFlags {
        FLOW_PUTS_BACK = 1,  /* it fails and puts everything back: what is after is what was before */
        FLOW_NO_RECORDS = 2, /* no transaction: whatever happens, the next command completes it */
        FLOW_REPEATS = 4,    /* done again, it succeeds and changes nothing more */
} FlowFlags;

typedef struct FlowState {
        const char *version; /* of "web" that runs; NULL: none does */
        WorldPort port;
} FlowState;

typedef struct Flow {
        const char *name;
        const char *setup[FLOW_SETUP_MAX]; /* run once, undisturbed: they make the root that is kept */
        const char *command;               /* from before to after */
        int status;                        /* its exit status when nobody disturbs it */
        FlowState before, after;
        unsigned flags;
        const char
                *crash_at; /* the command dies at this crash point first, and what is swept is the recovery; or NULL */
} Flow;

extern const Flow flows[];
extern const unsigned n_flows;

/* NULL: there is none. */
const Flow *flow_find(const char *name);
