/* SPDX-License-Identifier: Apache-2.0 */
/* The order table itself: for order.c, and for the test that compares it with what FORMAT.md prints. */
#pragma once

#include "core/base/text.h"
#include "journal/journal.h"

/* What the number in `step` of a record names. */
typedef enum OrderScope {
        SCOPE_TX,    /* nothing: RECORD_STEP_NONE */
        SCOPE_STEP,  /* a step */
        SCOPE_GROUP, /* a group: bit 31 is set */
        SCOPE_ANY,   /* any of them, and no state changes */
} OrderScope;

typedef struct OrderRow {
        RecordKind kind;
        OrderScope scope;
        unsigned phases;   /* bits by TxPhase: the record is allowed in these */
        unsigned states;   /* bits by StepState: of the step or group it names */
        TxPhase phase;     /* after it; TX_NONE: unchanged */
        StepState state;   /* after it; STEP_NONE: unchanged */
        unsigned settled;  /* bits by StepState every step must be in; 0: no such rule */
        bool groups_whole; /* no group may be failed and not yet undone */
        bool needs_failed_group;
} OrderRow;

extern const OrderRow order_rows[];
extern const size_t n_order_rows;

/* The table as Markdown, as it stands in FORMAT.md. */
void order_print(Text *t);
