/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared things: what the services of a host have in common (nginx). A group of steps that writes to one does so under
 * its lock, which is held from before the group's first capture until COMMIT or the group's last UNDONE, in a reversal
 * as well.
 *
 * Whoever holds the lock knows that every transaction with an intent on the thing that is neither committed nor undone
 * belongs to a dead process: a living one would hold the lock. So the taker reads those trails and settles those steps
 * first, and needs no lock of the dead one's service for it. Service locks come before shared ones and shared ones in
 * the order of the table, so that nobody waits in a circle.
 */
#pragma once

#include "core/engine_state.h"
#include "core/trail.h"

/* The place in the table and in the order of locks; -1: there is no such thing. */
int shared_index(const char *name);

/*
 * Takes the lock for steps of `ours` that come next, waiting for a living owner, and settles what dead processes left
 * on the thing. Held already: nothing to do. -EBUSY (ERR_ON_HOLD): what is left of another service could not be put
 * back; the lock is not held then.
 */
int shared_take(Engine *e, const char *name, const Trail *ours, Error *err);

/* For settling t: the locks of all things it has open intents on. 1: at least one was taken, so t may be out of
 * date: read it again. */
int shared_take_open(Engine *e, const Trail *t, Error *err);

/* NULL: all. Not held: nothing to do. */
void shared_release(Engine *e, const char *name);
/* When the group is put back: the thing's lock goes, unless another group of t still needs it. */
void shared_release_group(Engine *e, const Trail *t, uint32_t group);
