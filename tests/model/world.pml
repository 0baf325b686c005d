/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every model here shares.
 *
 * A record of kind r about slot s (a step, a group, the transaction) is one bit of J[s]. A record is atomic and durable
 * when put() returns; several put() in one atomic {} are one LMDB commit. Kinds come from journal/records.def.
 */
#include "names.h"

#ifndef M
#define M 0 /* the mutant; 0 is the protocol as it is */
#endif
#ifndef MAXC
#define MAXC 3 /* crashes in one run, anywhere, also inside recovery */
#endif

#define put(r, s) J[s] = J[s] | (1 << r)
#define has(r, s) ((J[s] >> r) & 1)

byte crashes;

/* Here the process may die. What dies with it (nothing, or the machine) is chosen at the label crash. */
inline CR()
{
        if
        :: crashes < MAXC -> crashes++; goto crash
        :: skip
        fi
}
