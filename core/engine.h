/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's public door. Everything the command line and the HTTP server do goes through here; both show the same
 * Value trees.
 *
 *   spec → request → plan → transaction → outcome
 *
 * Nothing here prints or exits. A failed call returns a negative errno with `err` filled; its exit status is
 * error_exit_status(err->code).
 */
#pragma once

#include <signal.h>

#include "core/base/value.h"
#include "core/config.h"
#include "core/spec.h"

typedef struct Engine Engine;

typedef enum EngineAccess {
        /* looks only; works without a journal (then there are no services) and on a damaged one as far as it reads */
        ENGINE_READ,
        ENGINE_WRITE,  /* changes; the journal is made where none ever was */
        ENGINE_REPAIR, /* opens no journal: for verify and repair */
        ENGINE_DOCTOR, /* likewise; a configuration that cannot be read is a finding, and its defaults count */
} EngineAccess;

typedef struct EngineCalls {
        /* One line about what happens now: "v2: link current → releases/v2". level as in manager.h: 0 note, 1
         * warning, 2 error. */
        void (*line)(void *userdata, int level, const char *text);
        void (*progress)(void *userdata, const char *what, uint64_t done, uint64_t total);
        void *userdata;
} EngineCalls;

typedef struct EngineOptions {
        const char *root; /* NULL: "/" */
        EngineAccess access;
        const ConfigOverride *overrides;
        size_t n_overrides;
        const char *actor;      /* who asks: "alice@edge7 (sudo)"; NULL: made from the process */
        const char *request_id; /* NULL: none */
        const EngineCalls *calls;
        bool is_early; /* a configuration that cannot be read is told, and the defaults count: the journal alone is needed */
        const volatile sig_atomic_t *cancel; /* 0, or the signal that asks to stop and put back; may be NULL */
} EngineOptions;

int engine_open(const EngineOptions *options, Engine **ret, Error *err);
Engine *engine_free(Engine *e);
static inline void engine_freep(Engine **e) {
        *e = engine_free(*e);
}
const Value *engine_config(const Engine *e);         /* borrowed */
const Value *engine_config_origins(const Engine *e); /* borrowed */

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

typedef enum RequestKind {
        REQUEST_APPLY,    /* spec: create or update */
        REQUEST_DEPLOY,   /* spec: the service must not exist */
        REQUEST_UPGRADE,  /* service, version?, source?, retry */
        REQUEST_ROLLBACK, /* service, version? */
        REQUEST_REMOVE,   /* service, purge */
        REQUEST_START,
        REQUEST_STOP,
        REQUEST_RESTART,
        REQUEST_ADOPT, /* service, unit, version?, port? */
} RequestKind;
#define REQUEST_KIND_COUNT 9
const char *request_name(RequestKind kind); /* "apply", ... */

typedef struct Request {
        RequestKind kind;
        const char *service; /* all but APPLY and DEPLOY */
        const Value *spec;   /* normalised; APPLY and DEPLOY */
        const char *version; /* UPGRADE, ROLLBACK, ADOPT */
        const char *unit;    /* ADOPT: "web.service" */
        int64_t port;        /* ADOPT: where it listens; 0: what its PORT says, else nowhere */
        const Value *source; /* UPGRADE: normalised source map */
        bool retry;          /* also a held version */
        bool purge;          /* REMOVE: delete the data as well */
        bool overwrite;      /* write over a hand edit */
} Request;

/*
 * The whole of it: lock, settle what died, plan, run. On return *ret is an outcome (also after many failures; NULL when
 * it never came to a plan):
 *   {command, service, result, tx, from, to, port?, url?, changes: [text], kept: [text], warnings: [text], leftovers: [{what, why, step}],
 *    duration_usec, exposure_usec, downtime_usec, route?: text, without?: [text] optional
 *    groups that were put back, put_back: text?, held: text?, started: bool, data?: path, settled: [outcome of recovery]}
 * result: "done" | "unchanged" | "held" | "put back" | "leftovers" (COMMIT done or reversal incomplete) | "in doubt"
 * (exit 75)
 */
int engine_run(Engine *e, const Request *request, Value **ret, Error *err);

/* Builds the plan and stops: {flow, service, from, to, steps, kept, remarks, claims} with result "plan" or
 * "unchanged". Takes no lock, writes nothing. */
int engine_plan(Engine *e, const Request *request, Value **ret, Error *err);

typedef enum RecoverMode { RECOVER_AUTO, RECOVER_DRY_RUN, RECOVER_FORWARD, RECOVER_KEEP, RECOVER_RESTORE } RecoverMode;
typedef enum RecoverStage {
        RECOVER_WHOLE, /* everything at once: somebody asked for it */
        RECOVER_EARLY, /* at boot, before any service: files alone; starts, stops and waits for nothing, ends no transaction */
        RECOVER_LATE, /* at boot and by timer: the rest, and people are told once */
} RecoverStage;
typedef struct RecoverRequest {
        RecoverMode mode;
        RecoverStage stage;
        uint64_t tx;  /* 0: all that are open (AUTO and DRY_RUN only) */
        int64_t step; /* KEEP, RESTORE: index from 1; 0: all */
} RecoverRequest;
/* *ret: {transactions: [{tx, service, flow, result: "put back"|"finished"|"hold"|"later"|"in progress", steps,
 * leftovers: [...], direction}], started: [service], down: [service], told: [text]}. Early: "whole" for what the
 * rest can be left of, and nothing is started. Late: `told` is what nobody was told yet in this boot. Also starts
 * what was last told to run after a reboot. 0: everything settled; ERR_LEFTOVERS: something is on hold. */
int engine_recover(Engine *e, const RecoverRequest *request, Value **ret, Error *err);

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

/* {services: [{name, version, port, route, without?: [text], state, note, hold?: tx, interrupted?: tx, in_progress?:
 * tx, unchecked?: true}]}; interrupted stands beside hold where nothing is stuck: `pawl recover` settles it without
 * a person. unchecked: on hold since the journal was repaired. */
int engine_list(Engine *e, Value **ret, Error *err);
/* One service in full: the above + previous, source, deployed, updated, pid, since, held: [..], data, releases:
 * [..], open: {tx, flow, ...}, last: history entry. ERR_NO_SERVICE with "did you mean". */
int engine_status(Engine *e, const char *service, Value **ret, Error *err);
/* {service, files: [{title, path, text | missing | problem}]}: what is on disk now, secrets as **** */
int engine_inspect(Engine *e, const char *service, Value **ret, Error *err);
/* What has not ended stands in front, with the result "in progress", "interrupted" or "on hold". {history: [{tx,
 * service, flow, from, to, actor, result, reason, started, duration_usec, exposure_usec, downtime_usec, warnings,
 * crashed?}]}, newest first; crashed: recovery took it over, and exposure and downtime are absent where nobody
 * measured them. service NULL: all. */
int engine_history(Engine *e, const char *service, size_t limit, Value **ret, Error *err);
/* One transaction, record by record: {tx, flow, service, result ("open": no END yet), records: [{seq, kind, step,
 * what, time, ..., body}]} */
int engine_show(Engine *e, uint64_t tx, Value **ret, Error *err);
/*
 * {services: [{service, artifacts: [{artifact, state: "ok"|"drift"|"not checked", why}], hold?:
 * "kept"|"lifted"|"accepted"}], drift: n, skipped: n, liftable: n}. service NULL: all. Drift is ERR_DRIFT with *ret
 * filled. hold: the service was on hold since the journal was repaired. With ENGINE_WRITE the hold of what was found as
 * the rows say is lifted (with ENGINE_READ only counted as liftable), and with `accept` that of what differs as well.
 */
int engine_check(Engine *e, const char *service, bool accept, Value **ret, Error *err);
/* {checks: [{name, state: "ok"|"warning"|"problem", text, hint}]}; a problem is ERR_FAILED with *ret filled. For a
 * damaged journal open the engine with ENGINE_DOCTOR: it is then verified, and opened for reading only when it is
 * sound. */
int engine_doctor(Engine *e, Value **ret, Error *err);
/* Lines of a service's output; also of one whose first deploy was put back: they are kept. */
int engine_logs(Engine *e, const char *service, size_t n, bool follow,
                void (*line)(void *userdata, const char *text, size_t n_text), void *userdata, Error *err);
/* Names of all services, for completion and --all: array of texts. */
int engine_services(Engine *e, Value **ret, Error *err);

/* ---- The host and the journal ------------------------------------------------------------------------------------ */

/* Makes what is missing (directories, configuration, key, journal). {made: [{path, state: "made"|"there"}]} Static:
 * opens its own. */
int engine_init(const EngineOptions *options, Value **ret, Error *err);

/* {records, first, head, hash, rows, anchor, bytes, ...} */
int engine_journal_stat(Engine *e, Value **ret, Error *err);
/* {records: [...]} from seq `from` (0: the last `limit`). */
int engine_journal_list(Engine *e, uint64_t from, size_t limit, Value **ret, Error *err);
/* {sound: bool, records, problem, bad_seq}; unsound is ERR_JOURNAL_DAMAGED with *ret filled. */
int engine_journal_verify(Engine *e, Value **ret, Error *err);
int engine_journal_rebuild(Engine *e, Value **ret, Error *err);
/* {..., repaired: bool, on_hold: number of services that wait for engine_check()} */
int engine_journal_repair(Engine *e, Value **ret, Error *err);
/* One JSON object per record, redacted, through `line`. */
int engine_journal_export(Engine *e, void (*line)(void *userdata, const char *text), void *userdata, Error *err);
