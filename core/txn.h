/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transaction: runs a plan forward, each effect between its INTENT and its DONE, to COMMIT; or, when something fails,
 * back.
 */
#pragma once

#include "core/settle.h"

/* What came of it, for outcome.c. Zero-initialise. */
typedef struct TxnResult {
        Trail *trail; /* owned; NULL when nothing was ever begun */
        Value *leftovers;
        SettleTimes times;
        bool is_committed, is_ended;
} TxnResult;
void txn_result_done(TxnResult *r);
#define _cleanup_txn_result_ _cleanup_(txn_result_done)

#define TXN_CONFLICT 1 /* something the plan chose was taken meanwhile: plan again; nothing was changed */

/*
 * Takes the plan. 0: committed (leftovers may be listed: finish steps still to do). Negative: `err` is why the flow
 * failed; ret says whether everything was put back (is_ended) or not (leftovers). ERR_JOURNAL_IO: the outcome is
 * unknown, end the process.
 */
int txn_run(Engine *e, Plan *plan, TxnResult *ret, Error *err);

/* Goes on with a trail whose process died, from its first step that is not done. The same results. Takes the trail. */
int txn_resume(Engine *e, Trail *trail, TxnResult *ret, Error *err);
