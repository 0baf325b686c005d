/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal says, read from what is written to its file. Private to record*.c. */
#pragma once

#include "tests/crash/record.h"

/* What the operations from `first_op` on, all of one call, wrote to the journal's file; nothing if it is another
 * file. false: no memory. */
bool record_take_journal(Recording *r, size_t first_op, uint32_t event);
