/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: keeps the journal bounded by count. Private to core. */
#pragma once

#include "core/engine_state.h"

/* Drops what is beyond retention.transactions, when enough has gathered; cheap otherwise. Never past the BEGIN of an
 * open transaction. */
int retention_run(Engine *e, Error *err);
