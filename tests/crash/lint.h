/* SPDX-License-Identifier: Apache-2.0 */
/* T0: what a recording shows without any power cut: whatever is said to be so, by a record or to the user, is durable
 * when it is said; and nothing is changed before the journal says that it may be. */
#pragma once

#include "tests/crash/record.h"

enum { LINT_TEXT_SIZE = 4096 };

typedef struct Finding {
        const char *rule; /* static */
        uint32_t event;   /* at which it shows */
        char text[LINT_TEXT_SIZE];
} Finding;

/* Calls `tell` for each finding, at most one per rule and event; returns how many. */
size_t lint_recording(const Recording *r, void (*tell)(const Finding *f, void *userdata), void *userdata);
/* Only whether the anchor stays behind what is open: where a run leaves a transaction open, and another service goes
 * on. */
size_t lint_anchor(const Recording *r, void (*tell)(const Finding *f, void *userdata), void *userdata);
