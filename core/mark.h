/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks: how a unit knows, before it starts, that a power cut may have left half of its files.
 *
 *   /var/lib/pawl/open/<service>    durable: the service has a flow that has not ended. Made before BEGIN, gone after END.
 *   /run/pawl/whole/<service>       lost with the boot: its files are wholly before or wholly after. Said by the living flow, and by recovery.
 *
 * A unit has both as conditions (ConditionPathExists=|!…/open/<service>, ConditionPathExists=|…/whole/<service>). So it
 * does not start when early recovery at boot has died, or has not run: what is missing keeps it down. Only services
 * that have a unit are marked (Plan.is_marked).
 */
#pragma once

#include "core/engine_state.h"
#include "core/trail.h"

/* Before BEGIN: both, the mark durably. */
int mark_begin(Engine *e, const char *service, Error *err);

/* After END, or when it never came to BEGIN: none of both. A failure is a warning: early and late recovery try
 * again. */
void mark_end(Engine *e, const char *service);

/* Of a marked service, else nothing: whole is said because this process is about to make it so, only if it is so
 * now, or exactly if it is so now. */
int mark_resume(Engine *e, const Trail *t, Error *err);
int mark_whole_if(Engine *e, const Trail *t, uint32_t from, Error *err); /* of the steps from there on */
bool mark_is_there(const Engine *e, const char *service);
int mark_refresh(Engine *e, const Trail *t, Error *err);

/* Whole or not, the unit does not start until the transaction has ended. */
int mark_keep_down(Engine *e, const Trail *t, Error *err);

/* Marks whose service has no open transaction go: their process died on one side of BEGIN, or on the other of END.
 * Holds the service's lock meanwhile. */
int mark_sweep(Engine *e, Error *err);
