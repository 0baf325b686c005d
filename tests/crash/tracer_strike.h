/* SPDX-License-Identifier: Apache-2.0 */
/* A counted call begins and ends: it is reported, and at the N-th the tracer strikes. Private to tracer*.c. */
#pragma once

#include "tests/crash/tracer_run.h"

/* Puts back the size that a call was given. */
void tracee_unshorten(Tracee *tracee);
void event_begin(Run *run, Tracee *tracee);
void event_end(Run *run, Tracee *tracee, int64_t result);
/* For one that ended its process: it has struck. */
void event_fired(Run *run, const Tracee *tracee, bool is_applied);
