/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points and mutants. They exist only in the *_testing libraries; in the shipped program every one is a constant.
 *
 * A mutant is a deliberate mistake in our own code, one per rule of the protocol, that the crash tests must notice. It
 * is chosen at start by PAWL_MUTANT=<name>; a crash point is hit by PAWL_CRASH_AT=<name>[:count] (SIGKILL to
 * ourselves), and PAWL_PAUSE_AT=<name>[:count]@<path> makes <path>.reached and waits there for as long as <path> is
 * there.
 *
 * A disk that is made again file by file, as a power cut could have left it, has other inode numbers: PAWL_TEST_INODES
 * names a file of lines "number former-number".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef PAWL_TESTING
void fault_point(const char *name);
bool mutant_is(const char *name);
uint64_t fault_inode(uint64_t inode);
#else
#define fault_inode(inode) ((uint64_t)(inode))
#define fault_point(name) ((void)0)
#define mutant_is(name) (false)
#endif
