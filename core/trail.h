/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trail: one transaction read back, and kept up to date while it runs: the same structure whether the process that
 * wrote the records lives or not.
 */
#pragma once

#include "core/plan.h"
#include "core/secrets.h"
#include "journal/journal.h"

typedef enum Resolution { RESOLUTION_NONE = 0, RESOLUTION_KEEP = 1, RESOLUTION_RESTORE = 2 } Resolution;

typedef struct TrailStep {
        Value *before; /* from INTENT; secrets open; NULL: no INTENT */
        bool has_intent;
        uint8_t boot[BOOT_ID_SIZE]; /* in which it was last begun or tried */
        bool is_ours;               /* this process wrote the INTENT: nobody died in between */
        bool is_done;
        Change change;
        Value *facts; /* from DONE */
        bool is_failed;
        bool is_undone;
        bool is_stuck;
        char *stuck_why;
        Resolution resolution;
        bool is_finished;
        bool is_finish_pending; /* done; FINISHED goes into END's commit */
        char *warning;          /* of a finish step that was given up */
        unsigned attempts;      /* RECOVER records since something last moved on */
} TrailStep;

typedef struct TrailGroup {
        bool is_failed;
        bool is_undone;
        char *why;
} TrailGroup;

typedef struct Trail {
        uint64_t tx;
        uint32_t epoch; /* of the process that adds now */
        Plan *plan;
        Value *begin; /* the rest of BEGIN: actor, request, pawl, hash */
        TrailStep *steps;
        TrailGroup *groups;
        TxPhase phase;
        char *reason; /* of ABORT or the failing step */
        ErrorCode reason_code;
        uint32_t failed_step; /* RECORD_STEP_NONE: none */
        int64_t begin_usec, end_usec;
        int64_t cut_usec; /* the last record of the boot it was begun in */
        uint8_t begin_boot[BOOT_ID_SIZE];
        Value *warnings; /* [text] */
        Value *end;      /* body of END */
        bool is_newer;   /* a payload of a newer pawl: on hold */
        SealKey *key;    /* opens and seals what belongs to this transaction */
} Trail;

Trail *trail_free(Trail *t);
static inline void trail_freep(Trail **t) {
        *t = trail_free(*t);
}

/* From a plan that is about to begin (steps all STEP_NONE); takes the plan and the key. */
int trail_new(Plan *plan, SealKey *key, Trail **ret, Error *err);

/* From the journal. ERR_NO_TRANSACTION when tx is not the seq of a BEGIN. Without `host_key` secrets stay sealed
 * (for showing). */
int trail_load(Journal *j, const SealKey *host_key, uint64_t tx, Trail **ret, Error *err);

/* Notes one record that was just made durable, or read. `body` is the decoded body (secrets open or sealed),
 * borrowed. */
int trail_note(Trail *t, const Record *record, const Value *body, Error *err);

/* May the step have left something on the host that nobody has settled? */
bool trail_step_is_open(const TrailStep *s);
/* Every intent settled? Then END may be written. */
bool trail_is_settled(const Trail *t);
bool trail_has_undone_outside_groups(const Trail *t);
