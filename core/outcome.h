/* SPDX-License-Identifier: Apache-2.0 */
/* Outcome: what is shown of a transaction, as a Value (engine.h lists its keys). Private to core. */
#pragma once

#include "core/txn.h"

/* After txn_run: committed or put back. `r` and `why` are what txn_run returned. */
int outcome_of_txn(Engine *e, const TxnResult *result, int r, const Error *why, Value **ret, Error *err);
/* Nothing was changed: result is "unchanged" or "held". */
int outcome_of_nothing(const Plan *plan, const char *result, Value **ret, Error *err);
/* The same request id again: what came of it then, from its history row. 0, or the error it failed with (negative,
 * err filled). */
int outcome_of_history(const Value *history, Value **ret, Error *err);
