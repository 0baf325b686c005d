/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a running transaction share: its state, its records, its way back. Private to txn*.c. */
#pragma once

#include "core/ledger.h"
#include "core/txn.h"

typedef struct Txn {
        Engine *engine;
        Trail *trail;
        TxnResult *result;
        int64_t pending; /* step whose DONE is not written yet, or -1 */
        bool is_resumed; /* another process began this and died */
        uint64_t started_usec, exposed_usec, stopped_usec;
} Txn;

/* txn_records.c */

/* Before BEGIN: the mark, and room for the flow to its end and back. */
int txn_prepare(Txn *x, Error *err);
/* The first record, and the transaction's key with it. TXN_CONFLICT: what the plan chose is taken. */
int txn_begin(Txn *x, Ledger *l, Error *err);
/* The DONE that waits for this boundary, if one does; whoever commits it sets `pending` back. */
int txn_add_done(Txn *x, Ledger *l, Error *err);
/* Owned by the caller. */
int txn_intent_body(const Step *step, const Value *before, Value **ret, Error *err);

/* txn_back.c */

Settle txn_settle(Txn *x);
/* The flow's first step is the one that failed, and the flow goes on: so it begins without it. */
int txn_begin_alone(Txn *x, Error *err);
/* An optional group failed: it alone is put back, and the flow goes on behind it. SETTLE_STAYS: that could not be
 * done. */
int txn_group_failed(Txn *x, uint32_t group, const Error *why, Error *err);
/* Puts everything back. The reason stays in *err, and r is returned; only a journal that cannot be written replaces
 * it. */
int txn_put_back(Txn *x, uint32_t failed, int r, Error *err);
/* The transaction could not be brought to its END now: that is told, whatever the reason, and recovery goes on with
 * it. Returns r. */
int txn_left_open(int r, Error *err);
void txn_finish_times(Txn *x);
