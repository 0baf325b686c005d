/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managers: the hands. Each kind of artifact is one Manager; where artifacts come from is a Source; what keeps a
 * program running is a Runtime.
 *
 * None of them knows the journal, the engine, or another manager. The engine journals for them: it calls capture, makes
 * the result durable in INTENT, calls apply, and writes DONE. So the contracts below are what crash safety stands on:
 *
 *   check    at planning time (and by `doctor` with args NULL): can this work at all? Changes nothing.
 *   capture  read what revert needs. Changes nothing. Its result is the before-image in INTENT.
 *   apply    make it so. Idempotent. Durable when it returns 0 (file and directory synced, server acknowledged). Compares first: what is
 *            neither the captured before nor the announced after is foreign: -ESTALE with ERR_FOREIGN, untouched.
 *   revert   put it back as captured, durably. Idempotent; succeeds (and still syncs) when apply never ran, ran in part, or revert ran
 *            already. Foreign: -ESTALE, untouched. Depends on args and before only, never on what apply returned.
 *   probe    look, do not touch: what does the world hold, compared with before and args?
 *   verify   does the world still match what was committed? 0, or -ESTALE with ERR_DRIFT saying how it differs.
 *   tidy     after COMMIT or after UNDONE: remove what was kept only for undoing (displaced inode, trash, staged download). Idempotent.
 *   describe one line for plan, history and error context: "write etc/pawl/web/env (0600)". No secret.
 *
 * All are mandatory. A step of kind check calls only `apply` (which then changes nothing); a finish step calls only
 * `apply` (tried again until it returns 0, so idempotent once more) and `describe`.
 *
 * Names of temporaries: fs_staged_name(path, host->tx, step).
 */
#pragma once

#include <signal.h>

#include "core/base/clock.h"
#include "core/base/field.h"
#include "core/base/fs.h"
#include "core/base/value.h"

/* ---- Host: all a manager may know of where it runs --------------------------------------------------------------- */

typedef enum LogLevel {
        LOG_NOTE,    /* kept in the journal as NOTE, shown as a progress line */
        LOG_WARNING, /* as above, and in the outcome's warnings */
        LOG_ERROR,
} LogLevel;

typedef struct HostCalls {
        void (*log)(void *userdata, LogLevel level, const char *text);
        /* Bytes done of total (0: not known); called often, cheap. */
        void (*progress)(void *userdata, const char *what, uint64_t done, uint64_t total);
        void *userdata;
} HostCalls;

/* Content that was already downloaded while planning, so that it is not fetched twice. Descriptors of unnamed files. */
typedef struct Prefetched {
        char sha256[DIGEST_HEX_SIZE];
        int fd;
} Prefetched;

typedef struct Http Http;
typedef struct Bus Bus;

typedef struct Host {
        int root;              /* directory descriptor; all paths in arguments are relative to it */
        const char *root_path; /* "/" or an absolute path without trailing slash: for argument lists and messages */
        uint8_t boot[BOOT_ID_SIZE];
        char tag[9]; /* first 8 hex digits of the journal's id: marks on outside objects are "<tag>-<tx>" */
        uint64_t tx; /* 0 while planning */
        uint32_t step;
        uint64_t deadline_usec; /* on CLOCK_BOOTTIME; 0: none */
        /* Non-zero: stop at the next safe point with -ECANCELED; NULL while putting back. */
        const volatile sig_atomic_t *cancel;
        bool is_recovery;       /* a dead process was here: what is gone may be gone in memory only (tidy) */
        bool is_forced;         /* a person decided (--restore): revert also what is foreign */
        const Value *config;    /* host configuration as a map; borrowed */
        const HostCalls *calls; /* may be NULL */
        Http *http; /* may be NULL: made on first use is not possible; planning and running always have one */
        Bus *bus;   /* may be NULL where only files are worked on; connects by itself on first use */
        const Prefetched *prefetched;
        size_t n_prefetched;
} Host;

bool host_is_cancelled(const Host *host);
/* -ECANCELED (ERR_INTERRUPTED; ERR_TERMINATED or ERR_HANGUP when the flag says so) when cancelled, -ETIMEDOUT
 * (ERR_TIMEOUT) past the deadline, else 0. For loops that wait. */
int host_check_cancel(const Host *host, Error *err);
void host_log(const Host *host, LogLevel level, const char *format, ...) _printf_(3, 4);
void host_progress(const Host *host, const char *what, uint64_t done, uint64_t total);
/* "<root_path>/<path>", owned by the caller; NULL when memory is out. */
char *host_path(const Host *host, const char *path);

/* ---- Manager ----------------------------------------------------------------------------------------------------- */

typedef enum Probe {
        PROBE_BEFORE,      /* as captured (or: nothing of ours is there) */
        PROBE_AFTER,       /* as args announce, and ours */
        PROBE_PARTIAL,     /* ours, half made; or volatile state of another boot */
        PROBE_FOREIGN,     /* neither: somebody else's */
        PROBE_UNREACHABLE, /* cannot be known now; try again later */
} Probe;
const char *probe_name(Probe probe); /* "before", ... */

typedef enum Change { CHANGE_UNCHANGED, CHANGE_CREATED, CHANGE_CHANGED } Change;
const char *change_name(Change change);

typedef struct StepResult {
        Change change;
        /* Owned; identity, digest, times; NULL: none. Goes into DONE and the rows. Never needed for undoing. Of a
         * failure `stopped_at` alone counts: since when what ran does not run. */
        Value *facts;
} StepResult;
static inline void step_result_done(StepResult *r) {
        r->facts = value_free(r->facts);
}

/* What has to be there to look at a step and put it back: what early recovery at boot may touch, and what it may
 * not. */
typedef enum Reach {
        REACH_OUTSIDE,  /* another program or a server */
        REACH_VOLATILE, /* processes, loaded configuration: what was done is gone with the boot it was done in */
        REACH_FILES,    /* local files, links and enablement: also before any service runs */
} Reach;

typedef struct Manager {
        uint16_t id; /* written to disk; see managers.def */
        const char *name;
        uint32_t version; /* of args and before as written today; every older one is still read */
        bool is_rootable; /* may work under a root other than "/" */
        Reach reach;
        const Field *args;
        const Field *before;
        int (*check)(const Host *host, const Value *args, Error *err);
        int (*capture)(const Host *host, const Value *args, Value **ret_before, Error *err);
        int (*apply)(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err);
        int (*revert)(const Host *host, const Value *args, const Value *before, Error *err);
        int (*probe)(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err);
        int (*verify)(const Host *host, const Value *args, const Value *facts, Error *err);
        int (*tidy)(const Host *host, const Value *args, const Value *before, Error *err);
        int (*describe)(const Value *args, char **ret, Error *err);
} Manager;

/* By the number on disk or by name; NULL when there is none (a newer pawl wrote it). */
const Manager *manager_by_id(uint16_t id);
const Manager *manager_by_name(const char *name);
/* For tests: puts a decorator in front of a manager (its row points to `with`, whose name is the same). NULL puts
 * the original back. */
void manager_replace(const char *name, const Manager *with);
size_t manager_count(void);
const Manager *manager_at(size_t i);

/* Operations for "nothing to do", so that no pointer is NULL. */
int manager_check_nothing(const Host *host, const Value *args, Error *err);
int manager_capture_nothing(const Host *host, const Value *args, Value **ret_before, Error *err); /* an empty map */
int manager_revert_nothing(const Host *host, const Value *args, const Value *before, Error *err);
int manager_probe_before(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err);
int manager_verify_nothing(const Host *host, const Value *args, const Value *facts, Error *err);
int manager_tidy_nothing(const Host *host, const Value *args, const Value *before, Error *err);

/* ---- Source ------------------------------------------------------------------------------------------------------ */

/*
 * What a source resolves to, at planning time, as a map:
 *   version (text, absent when the source does not name one), sha256 (hex of the artifact; for a directory: of its manifest), size (int),
 *   format ("program" | "directory" | "tar" | "zip"; absent: seen when it is there), location (the url, or the absolute local path), etag,
 *   last_modified (texts, may be absent), provider and what (texts: how to fetch it and what it is called, see release.c; absent for a plain url)
 * A download needed to learn the digest is left in *ret_prefetched (fd -1: none; else owned by the caller).
 */
typedef struct Source {
        const char *type;
        bool is_remote;    /* its artifact is fetched into the release store from `location` */
        bool has_versions; /* without a version, the newest is meant */
        /* `spec` is the normalised source map of the spec (path already absolute), and in it `service` and, where
         * the spec names one, `version`; `known` the same map as resolved last time (facts above), or NULL: when the
         * server says it is unchanged, the known facts are the answer. */
        int (*resolve)(const Host *host, const Value *spec, const Value *known, Value **ret_facts,
                       Prefetched *ret_prefetched, Error *err);
} Source;
const Source *source_by_type(const char *type);
size_t source_count(void);
const Source *source_at(size_t i);

/* ---- Runtime ----------------------------------------------------------------------------------------------------- */

typedef enum RunState { RUN_STOPPED, RUN_RUNNING, RUN_FAILED /* told to run, but has exited */ } RunState;

typedef struct RunStatus {
        RunState state;
        int pid;            /* 0: none */
        int64_t since_usec; /* wall clock of the start; 0: not known */
        uint64_t tx;        /* the transaction that started it; 0: not known */
        bool is_stale;      /* what it runs from was changed since it was read */
} RunStatus;

typedef struct Runtime {
        const char *type;
        int (*state)(const Host *host, const char *service, RunStatus *ret, Error *err);
        /* The last n lines of output (0: all kept) through `line`; with follow until cancelled. */
        int (*logs)(const Host *host, const char *service, size_t n, bool follow,
                    void (*line)(void *userdata, const char *text, size_t n_text), void *userdata, Error *err);
} Runtime;
const Runtime *runtime_by_type(const char *type);
/* "pawl-web.service": the unit that runs a service under systemd. Owned by the caller; NULL when memory is out. */
char *unit_name(const Host *host, const char *service);

/* ---- Fence ------------------------------------------------------------------------------------------------------- */

/*
 * Ends what a dead (or failed) process left of a step: waits until nobody holds the step's fence file, killing recorded
 * children first. -EBUSY with ERR_TIMEOUT when it cannot be ended. Called before any probe of that step.
 */
int fence_step(const Host *host, uint64_t tx, uint32_t step, Error *err);

/* ---- Boot -------------------------------------------------------------------------------------------------------- */

/* Was this map, which has the boot as "boot", captured in that one? */
bool boot_is(const Value *map, const uint8_t boot[static BOOT_ID_SIZE]);

/*
 * systemd read its unit files when it started, before early recovery put some of them back: it reads them again. 0
 * where it does not run this host. About the host itself, whatever host->root is.
 */
int host_reload_units(const Host *host, Error *err);

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

typedef struct HttpOptions {
        const char *user_agent;
        const char *ca_file; /* NULL: the system's */
} HttpOptions;
int http_new(const HttpOptions *options, Http **ret, Error *err);
Http *http_free(Http *h);
static inline void http_freep(Http **h) {
        *h = http_free(*h);
}

/* What a server may cost at most, beside the request's own limits. */
typedef struct HttpLimits {
        uint64_t answer_usec;   /* an attempt without the headers of a final answer fails after this: 60 s */
        uint64_t window_usec;   /* of a body, at least window_size bytes come in each stretch of this length: */
        uint64_t window_size;   /* 256 bytes a second, over 60 s */
        uint64_t progress_size; /* a broken download that got so much further counts its attempts anew: 64 KiB */
        unsigned attempts;      /* of one request altogether: 100 */
} HttpLimits;
#ifdef PAWL_TESTING
void http_set_limits(Http *h, const HttpLimits *limits);
#endif

typedef enum HttpScheme { HTTP_SCHEME_FILE = 1 << 0, HTTP_SCHEME_HTTP = 1 << 1, HTTP_SCHEME_HTTPS = 1 << 2 } HttpScheme;
typedef enum HttpRetry {
        HTTP_RETRY_NEVER,
        HTTP_RETRY_IDEMPOTENT, /* tried again after a refused or broken connection, 429, 5xx */
        HTTP_RETRY_CREATE,     /* tried again only when it was certainly not sent */
} HttpRetry;
typedef enum HttpOutcome {
        HTTP_REPLIED,    /* there is a status */
        HTTP_NOT_SENT,   /* certainly nothing reached the server */
        HTTP_REPLY_LOST, /* sent, but the answer is unknown: look before doing it again */
} HttpOutcome;

typedef struct HttpHeader {
        const char *name, *value;
        bool is_secret; /* stripped when a redirect leaves the host; never in an error or log */
} HttpHeader;

typedef struct HttpRequest {
        const char *method; /* NULL: GET */
        const char *url;
        const HttpHeader *headers;
        size_t n_headers;
        const void *body;
        size_t n_body;
        /* HttpScheme bits; 0: https only. Redirects are held to it as well, and never go down from https to http. */
        unsigned schemes;
        HttpRetry retry;
        unsigned attempts;      /* 0: 4 */
        uint64_t deadline_usec; /* from now; 0: none but HttpLimits */
        uint64_t
                max_size; /* of the body; 0: 1 MiB in memory, no limit to a sink. Of an error page the beginning is kept */
        const char *unix_socket;
        /* Body to here instead of memory. `offset` is where these bytes belong: a resumed download goes on, a
         * restarted one begins at 0 again. Non-zero ends the transfer and is returned. */
        int (*sink)(void *userdata, uint64_t offset, const void *data, size_t size, Error *err);
        void *userdata;
        const char *progress; /* what is being moved, for host_progress; NULL: silent */
        const char *ca_file;  /* NULL: the client's */
        bool is_url_secret;   /* errors name only scheme and host */
} HttpRequest;

typedef struct HttpReply {
        HttpOutcome outcome;
        int status;
        char *body;
        size_t n_body;
        char *etag, *last_modified, *url /* after redirects */, *retry_after;
        char *limit_left, *limit_reset; /* x-ratelimit-remaining and -reset */
        int64_t content_length;         /* -1: not told */
} HttpReply;
void http_reply_done(HttpReply *r);
#define _cleanup_http_reply_ _cleanup_(http_reply_done)

/* 0 when there is a reply, whatever its status; negative otherwise, with ret->outcome telling NOT_SENT and
 * REPLY_LOST apart (ret is then filled as well). */
int http_request(const Host *host, const HttpRequest *request, HttpReply *ret, Error *err);
/* Does it say "too many requests" (429, or 403 with a reason)? Then also for how long; 0: it does not say. */
bool http_reply_is_limited(const HttpReply *r, uint64_t *ret_wait_usec);
/* Same scheme, host and port? */
bool http_origin_same(const char *a, const char *b);

/* ---- Bus --------------------------------------------------------------------------------------------------------- */

/* What systemd says of any unit: unit, load, file, running, files (its file, its links below /etc/systemd/system),
 * and bus_unit_settings() (managers/bus.h). */
int unit_settings(const Host *host, const char *unit, Value **ret, Error *err);

/* Is this host run by systemd at all? Asks nobody. */
bool bus_is_there(void);

/* The connection to the host's systemd (managers/bus.h). Nothing is connected before the first call that needs it. */
int bus_new(Bus **ret, Error *err);
Bus *bus_free(Bus *b);
static inline void bus_freep(Bus **b) {
        *b = bus_free(*b);
}
