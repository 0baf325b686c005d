/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between processes: one per service, one per shared thing. Taken in that order, services first; released by
 * closing. The kernel releases them when a process dies; no age breaks a living one. What stands inside a lock file is
 * for display.
 */
#pragma once

#include "core/engine_state.h"

/* "service-web", "shared-ports". 0: *ret_fd holds it; -EBUSY, ERR_LOCKED after the engine's wait, naming the holder. */
int lock_take(Engine *e, const char *name, int *ret_fd, Error *err);
/* The same with a wait of its own; the host's deadline and cancel flag count as well. */
int lock_wait(Engine *e, const char *name, const Host *host, uint64_t wait_usec, int *ret_fd, Error *err);
/* 0 held by us now, 1: somebody lives and holds it. Does not wait. */
int lock_try(Engine *e, const char *name, int *ret_fd, Error *err);
/* 1: somebody lives and holds it; 0: nobody does; negative: it cannot be known. Looks only: nothing is taken, made
 * or written. */
int lock_is_held(const Engine *e, const char *name);
