/* SPDX-License-Identifier: Apache-2.0 */
/* What an open Engine holds; private to core. */
#pragma once

#include "core/base/seal.h"
#include "core/engine.h"
#include "journal/journal.h"
#include "managers/manager.h"

/* shared.c has their names. Of one alone no order of locks could be tested. */
#ifdef PAWL_TESTING
#define SHARED_COUNT 2
#else
#define SHARED_COUNT 1
#endif

struct Engine {
        int root;
        char *root_path;
        bool is_real_root;
        EngineAccess access;
        Journal *journal;  /* NULL: there is none (READ), or REPAIR */
        SealKey *host_key; /* NULL: READ */
        Value *config, *origins;
        Http *http;
        Bus *bus;
        uint8_t boot[BOOT_ID_SIZE];
        Error *config_why; /* ENGINE_DOCTOR, or early: why the defaults count; NULL: they do not */
        uint64_t wait_usec;
        char *actor, *request_id;
        EngineCalls calls;
        HostCalls host_calls;
        const volatile sig_atomic_t *cancel;
        Value *warnings;          /* [text] said while planning or running; moved into the outcome */
        int shared[SHARED_COUNT]; /* locks of shared things held now, or -1 */
        Host host;                /* as managers see it; tx and step are set per call */
};

#define PAWL_DIR "var/lib/pawl"
#define LOCK_DIR "run/pawl/lock"
#define MARK_OPEN_DIR PAWL_DIR "/open"
#define MARK_WHOLE_DIR "run/pawl/whole"

void engine_say(Engine *e, int level, const char *format, ...) _printf_(3, 4);
/* The Host for one step: cancel is left out while putting back. */
Host engine_host(const Engine *e, uint64_t tx, uint32_t step, bool can_cancel);
/* Before COMMIT and before the END of a reversal: whatever a file system needs besides fsync of files and
 * directories. */
int engine_settle_disk(Engine *e, Error *err);
/* Where permission was missing: who may. Returns r. */
int engine_hint_owner(const Engine *e, int r, Error *err);
int engine_journal_options(const Engine *e, JournalOptions *ret, Error *err);
/* -ENOENT with ERR_NO_SERVICE and a hint when there is no such row; else the decoded row, secrets open when the
 * engine can. */
int engine_service_row(Engine *e, const char *service, Value **ret, Error *err);
/* -ENOENT quietly. */
int engine_row(Engine *e, const char *key, Value **ret, Error *err);
/* Row keys and decoded rows (secrets sealed), as a map key → row. */
int engine_rows(Engine *e, const char *prefix, size_t limit, Value **ret, Error *err);
/* 1: the service has a transaction that has not ended. 0: it has none. */
int engine_has_open(Engine *e, const char *service, Error *err);
/* For looking: the row with its secrets sealed, whether or not there is a key; *ret_row stays NULL where only an
 * open transaction knows the service. *ret_opens: the rows of all open transactions. ERR_NO_SERVICE as above. */
int engine_service_find(Engine *e, const char *service, Value **ret_row, Value **ret_opens, Error *err);

typedef enum OpenState {
        OPEN_LIVE,        /* its process holds the service's lock */
        OPEN_INTERRUPTED, /* `pawl recover` settles it */
        OPEN_HOLD,        /* a person has to decide, or it cannot be read */
} OpenState;
/* Of a row "open/<tx>". *ret (may be NULL itself): its trail with secrets sealed, owned by the caller; NULL where it
 * cannot be read. */
struct Trail;
OpenState engine_open_state(Engine *e, const Value *open, struct Trail **ret);
/* Appends history items of what has ended to the list until it has `limit` (0: all). */
int engine_history_ended(Engine *e, const char *service, size_t limit, Value *list, Error *err);
