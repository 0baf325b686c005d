/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: what the journal's records add up to. One function derives them, when a record is written and when rows are
 * rebuilt, so the two cannot differ.
 *
 *   open/<tx>                transaction without END: {service, flow, claims, tx}
 *   claim/<row key>          {tx, service}: held by an open transaction; becomes the row itself at COMMIT, vanishes at END
 *   request/<id>/<name>      {tx, service, flow}
 *   service/<name>           {name, version, previous, spec, hash, port, artifacts, source, wanted, deployed, updated, warnings, tx}
 *   release/<name>/<version> {version, spec, source, path, created, tx}
 *   port/<n>                 {service, tx}
 *   uid/<n>                  {service, tx}: also of a service that was removed, since its data may still belong to that number
 *   held/<name>/<version>    {why, sha256, tx}
 *   history/<name>/<tx>      how a transaction ended
 *   unchecked/<name>         {service, seq, from, to}: on hold since the REPAIR `seq`, which lost the records from..to (unchecked.h)
 *
 * <tx> in a key is 16 hex digits, so that key order is order.
 */
#pragma once

#include "core/trail.h"
#include "managers/manager.h"

#define ROW_KEY_MAX 256

/* `body` is decoded, with secrets sealed. */
int rows_apply(JournalWrite *w, const Record *record, const Value *body, Error *err);

/* RecordFold for journal_rebuild and journal_repair. */
int rows_fold(JournalWrite *w, const Record *record, void *userdata, Error *err);

/* The rows of COMMIT: the plan's, with what the steps found out, the transaction's id and the time. */
int rows_at_commit(const Trail *t, Value **ret, Error *err);

void row_key_open(uint64_t tx, char ret[static ROW_KEY_MAX]);
void row_key_history(const char *service, uint64_t tx, char ret[static ROW_KEY_MAX]);
/* "service/web" and the like; a positive length or -ENAMETOOLONG. */
int row_key(char ret[static ROW_KEY_MAX], const char *format, ...) _printf_(2, 3);

/* What keeps the service of a row running; NULL: a newer pawl's. */
const Runtime *row_runtime(const Value *row);

/* Copies the keys that are there; `names` ends with NULL. */
int row_copy_keys(Value *to, const Value *row, const char *const *names, Error *err);
