/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot: people are told once what recovery did after a crash, of all services together.
 *
 *   /var/lib/pawl/untold    durable: the transactions that were found dead, noted before anything was done about them, until somebody was told
 *   /run/pawl/told          what was told in this boot, so that a timer which finds the same hold again says nothing
 *
 * At least once: a power cut between END and the notification leaves the note, and the next boot tells.
 */
#pragma once

#include "core/engine_state.h"

/* Notes the dead transactions that are open and of which nobody was told. */
int boot_remember(Engine *e, Error *err);

/*
 * What is to be told now. *ret_told: {lines: [text], keys: [text]}; *ret_messages: [{tx, attempts, args}], one for each
 * address that the transactions would have told by themselves, with arguments of the notify manager. `reports` are
 * engine_recover's transactions. Both are empty when there is nothing to tell.
 */
int boot_compose(Engine *e, const Value *reports, Value **ret_told, Value **ret_messages, Error *err);

/* It was told. */
int boot_told(Engine *e, const Value *told, Error *err);
