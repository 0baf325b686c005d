/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unchecked: a service that nobody has compared with the journal since the journal was repaired. What the lost records
 * said of it is not known, so it is on hold: nothing of it is changed and nothing of it is settled until `pawl check`
 * found it as the rows say, or a person has accepted that it is not.
 *
 * REPAIR makes a row unchecked/<service> of every service (rows.h); a NOTE takes it away. Both are records, so the hold
 * survives whatever the journal survives.
 */
#pragma once

#include "core/engine_state.h"

/* 1: it is on hold, 0: it is not. */
int unchecked_is(Engine *e, const char *service, Error *err);
/* 0, or -EBUSY with ERR_ON_HOLD and the way out. */
int unchecked_refuse(Engine *e, const char *service, Error *err);
/* Lifts the hold, durably. The caller holds the service's lock. is_accepted: something differs, and a person takes
 * it as it is. */
int unchecked_lift(Engine *e, const char *service, bool is_accepted, Error *err);
