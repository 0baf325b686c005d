/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record view: a record as people and programs may see it. Numbers have become names, secrets are closed, and text that
 * looks like a password is hidden.
 */
#pragma once

#include "core/engine_state.h"
#include "core/plan.h"

/* Names of steps come from the plan of the record's transaction, which is read once. Zero-initialise, then set
 * journal. */
typedef struct RecordView {
        Journal *journal; /* borrowed */
        bool is_whole;    /* also what is long: rows, arguments, contents (for the export) */
        uint64_t tx;      /* whose plan this is */
        Plan *plan;       /* NULL: not to be had; then steps have numbers only */
} RecordView;
void record_view_done(RecordView *v);
#define _cleanup_record_view_ _cleanup_(record_view_done)

/*
 * {seq, kind, tx, step?, group?, what?, epoch, time, trusted, body}. A body that cannot be read is told in `problem`:
 * the others are shown all the same.
 */
int record_view(RecordView *v, const Record *record, Value **ret, Error *err);

/* In place: passwords in addresses, and values whose names tell that they are secret. */
int redact_tree(Value *tree, Error *err);
