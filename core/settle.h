/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settle: bring an open transaction to its end, back or forward. The living process that failed and the recovery after
 * a crash use the same functions; the only differences are that recovery counts its attempts (RECOVER) and ends what
 * the dead process left (fence).
 *
 * Results: 0 all settled · SETTLE_STAYS something is left (listed) · negative: the journal could not be written; stop.
 */
#pragma once

#include "core/decide.h"
#include "core/ledger.h"

#define SETTLE_STAYS 1

typedef struct Settle {
        Engine *engine;
        Trail *trail;
        bool is_recovery;
        bool is_early;    /* in a boot, before anything runs: files alone */
        bool is_late;     /* in a boot: people are told once of everything, and not by each transaction */
        Value *leftovers; /* [{step, what, why, verdict}]; borrowed, appended to */
        size_t n_settled; /* steps put back or finished by this call */
} Settle;

/* The ABORT of a transaction whose process died. */
int settle_abort(Settle *s, Error *err);

/* Puts back every step with an intent, last first; with `group` > 0 only that group's. Foreign, failing or
 * unreachable steps stay, with all they stand on. */
int settle_reverse(Settle *s, uint32_t group, Error *err);

/* Does the finish steps: after COMMIT what is left to do, after ABORT what tells people. */
int settle_finish(Settle *s, Error *err);

/* What may fail and is tried again, with a growing pause. */
int settle_try(const Host *host, const Manager *m, const Value *args, int64_t attempts, Error *err);

/* Removes what was kept for undoing. A failure is a warning: nothing depends on it. */
int settle_tidy(Settle *s, Error *err);

/* Writes END with the history row (result, durations) and, when the flow failed on health, the held version; then
 * moves the anchor. Only when trail_is_settled(). */
typedef struct SettleTimes {
        uint64_t duration_usec, exposure_usec, downtime_usec;
} SettleTimes;
int settle_end(Settle *s, const char *result, const SettleTimes *times, Error *err);

/* Verdicts without acting, for --dry-run. ret has as many items as the plan has steps. */
int settle_look(Engine *e, const Trail *t, Verdict *ret, Error *err);
