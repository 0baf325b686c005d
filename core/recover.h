/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery: settles transactions whose process died. The caller holds the service's lock. */
#pragma once

#include "core/settle.h"

/*
 * Settles one open transaction. *ret_report: {tx, service, flow, from, to, direction, result, steps, leftovers}. 0
 * settled, SETTLE_STAYS on hold, negative: the journal could not be written (or the transaction could not be read).
 */
int recover_tx(Engine *e, uint64_t tx, const RecoverRequest *request, Value **ret_report, Error *err);

/* All open transactions of one service, newest first; reports are appended. SETTLE_STAYS when one is on hold. */
int recover_service(Engine *e, const char *service, Value *reports, Error *err);
