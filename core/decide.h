/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decide: what recovery does, as a pure function of the trail and the probes. No host, no journal, no clock; the most
 * tested function of the program.
 */
#pragma once

#include "core/trail.h"

typedef enum Direction {
        DIRECTION_NONE,    /* END is there: nothing to do */
        DIRECTION_FINISH,  /* COMMIT is there */
        DIRECTION_REVERSE, /* no COMMIT */
        DIRECTION_FORWARD, /* asked for, and allowed: go on from the step in doubt */
} Direction;

/* forward_wanted: `on_crash: finish` or --forward; inputs_present: every input of the remaining steps is on the
 * host. */
Direction decide_direction(const Trail *t, bool forward_wanted, bool inputs_present);
const char *direction_name(Direction d);

typedef enum Verdict {
        VERDICT_NOTHING, /* never intended, already undone, resolved, or a check */
        VERDICT_REVERT, /* put it back (also when it looks as before: what a dead process put back may not be durable yet) */
        VERDICT_STUCK, /* foreign: leave it, report it */
        VERDICT_LATER, /* unreachable now: no record, try again */
        VERDICT_LATE, /* early in a boot: gone with the one before, so nothing stands on it; the rest is late recovery's */
        VERDICT_HOLD,    /* recovery failed or died here too often, or a newer pawl wrote it */
        VERDICT_BLOCKED, /* something that stands on it stays */
        VERDICT_FINISH,  /* finish step still to do */
} Verdict;
#define VERDICT_COUNT 8
const char *verdict_name(Verdict v);

#define RECOVER_ATTEMPTS_MAX 3

/* One step of a reversal, apart from what stands on it. A person's --restore puts back also what is foreign. */
Verdict decide_reverse_step(const TrailStep *s, StepKind kind, Probe probe, bool is_known);
Verdict decide_finish_step(const TrailStep *s, StepKind kind, bool is_committed);

/*
 * Verdicts for all steps of a reversal, last first: a step is BLOCKED when something that stands on it stays (STUCK,
 * LATER, HOLD or BLOCKED itself). `probes[i]` counts only for steps with an intent that are not undone. ret has
 * plan->n_steps items.
 */
void decide_reverse(const Trail *t, const Probe *probes, Verdict *ret);
/* The same for step i alone, when the verdicts of all later steps are known (a step is probed when its turn has
 * come). */
Verdict decide_reverse_at(const Trail *t, const Verdict *verdicts, uint32_t i, Probe probe);

/*
 * Early in a boot, when nothing runs yet: files are put back as ever. What is volatile is left for later (LATE), and
 * does not keep what it stands on where it was done in another boot than `boot`: it is gone. What is outside is LATER.
 * A step that is not of files is not probed: pass PROBE_UNREACHABLE.
 */
Verdict decide_early_at(const Trail *t, const Verdict *verdicts, uint32_t i, Probe probe,
                        const uint8_t boot[BOOT_ID_SIZE]);

/*
 * Are the files that steps from `from` on write wholly as before, or wholly as after? Then the service may start,
 * whatever else is left to do. For a debt only what was made behind it counts: what stands in front of it (a new
 * release, a directory) is not seen by what was there before.
 */
bool decide_files_are_whole(const Trail *t, uint32_t from);
