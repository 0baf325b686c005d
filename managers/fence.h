/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: how recovery knows that nothing a dead process started for a step still works on it.
 *
 * A fence is the file run/pawl/step/<tx>-<step>, locked by one open file description that the child and all its
 * descendants inherit: as long as one of them lives, the lock is held. Inside stands who the child is, so that it
 * can be ended. (A service's program has no fence: it is meant to stay.)
 */
#pragma once

#include "managers/manager.h"

typedef struct ChildFence {
        char *path; /* owned */
        int fd;     /* holds the lock; the child gets it as well */
} ChildFence;
#define CHILD_FENCE_INIT ((ChildFence){.fd = -1})

/* Makes and locks the fence of (host->tx, host->step). -EBUSY with ERR_LOCKED when an earlier child of the step
 * still lives. */
int child_fence_new(const Host *host, ChildFence *ret, Error *err);
/* Writes down the child, before it runs anything. */
int child_fence_record(const Host *host, const ChildFence *f, int pid, uint64_t start_time, Error *err);
/* Lets go; removes the file unless a descendant of the child still holds it. */
void child_fence_end(const Host *host, ChildFence *f);
