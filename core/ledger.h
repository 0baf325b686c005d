/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger: how the engine writes. Records of one transaction are collected into one LMDB commit; the rows they imply are
 * derived from them (rows.h) in the same commit; when it is durable, the trail learns of them.
 */
#pragma once

#include "core/engine_state.h"
#include "core/trail.h"

#define LEDGER_MAX 24

typedef struct Ledger {
        Engine *engine;
        Trail *trail;
        JournalWrite *write;
        Record records[LEDGER_MAX];
        Value *bodies[LEDGER_MAX]; /* owned; secrets open */
        size_t n;
} Ledger;
void ledger_done(Ledger *l); /* without commit: nothing happened */
#define _cleanup_ledger_ _cleanup_(ledger_done)

/* may_use_reserve: all but the records that take a flow forward may use the room that is kept for settling it. */
int ledger_open(Ledger *l, Engine *e, Trail *t, bool may_use_reserve, Error *err);
/* body is taken; NULL: an empty map. */
int ledger_add(Ledger *l, RecordKind kind, uint32_t step, Value *body, Error *err);
/* Failure is ERR_JOURNAL_IO: the process must end without another effect. */
int ledger_commit(Ledger *l, Error *err);

/* One record, one commit, from the reserve if need be. */
int ledger_write(Engine *e, Trail *t, RecordKind kind, uint32_t step, Value *body, Error *err);

/* The body of FAILED, ABORT, STUCK from an error. */
Value *ledger_reason(const Error *why);
