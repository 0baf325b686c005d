/* SPDX-License-Identifier: Apache-2.0 */
/* What a call does to the disk of a recording. Private to record*.c. */
#pragma once

#include "tests/crash/record.h"

/* A call that has returned without an error; its process stands still. */
typedef struct Doing {
        Recording *r;
        const TracerEvent *event;
        uint32_t number; /* of the DiskEvent */
        size_t first_op; /* the first that this call makes */
} Doing;

/* Adds the operations of the call to the disk, and what it wrote to the journal to what is known of that. false:
 * r->problem says why. */
bool record_take(const Doing *doing);
/* The first problem of a recording stays. Always false. */
bool record_fail(Recording *r, const TracerEvent *event, const char *why);
