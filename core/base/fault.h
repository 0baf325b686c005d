/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points and mutants. They exist only in the *_testing libraries; in the shipped program every one is a constant.
 *
 * A mutant is a deliberate mistake in our own code, one per rule of the protocol, that the crash tests must notice. It is
 * chosen at start by PAWL_MUTANT=<name>; a crash point is hit by PAWL_CRASH_AT=<name>[:count] (SIGKILL to ourselves), and
 * PAWL_PAUSE_AT=<name>[:count]@<path> makes <path>.reached and waits there for as long as <path> is there.
 */
#pragma once

#include <stdbool.h>

#ifdef PAWL_TESTING
void fault_point(const char *name);
bool mutant_is(const char *name);
#else
#define fault_point(name) ((void)0)
#define mutant_is(name) (false)
#endif
