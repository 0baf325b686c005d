/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job is followed by its number. When the connection breaks in between, a new one is asked whether that number is
 * still known; if not, the job is over and its result went down with the connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "core/base/text.h"
#include "managers/bus_call.h"

#define BUS_PRIVATE "unix:path=/run/systemd/private"
#define BUS_NAME "org.freedesktop.systemd1"
#define BUS_MANAGER "org.freedesktop.systemd1.Manager"
#define CALL_USEC (30 * USEC_PER_SEC)
#define RELOAD_USEC (90 * USEC_PER_SEC)
#define JOB_USEC (90 * USEC_PER_SEC)
#define SLICE_USEC (100 * USEC_PER_MSEC)
#define ATTEMPTS 20 /* of a connection, a slice apart: systemd executing itself anew takes less */
#define CALL_SILENT 2

struct Bus {
        sd_bus *bus;    /* NULL: not connected */
        bool is_frozen; /* it kept silent twice: nobody waits for it again */
};

int bus_new(Bus **ret, Error *err) {
        Bus *b = calloc(1, sizeof(*b));
        if (!b)
                return error_no_memory(err);
        *ret = b;
        return 0;
}

Bus *bus_free(Bus *b) {
        if (b)
                sd_bus_close_unref(b->bus);
        free(b);
        return NULL;
}

bool bus_is_there(void) {
        return access("/run/systemd/system", F_OK) == 0;
}

/* ---- Connection -------------------------------------------------------------------------------------------------- */

static int open_private(sd_bus **ret) {
        sd_bus *bus = NULL;
        int r = geteuid() == 0 ? sd_bus_new(&bus) : -EACCES;
        if (r >= 0)
                r = sd_bus_set_address(bus, BUS_PRIVATE);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                sd_bus_unref(bus);
        else
                *ret = bus;
        return r;
}

static void disconnect(Bus *b) {
        b->bus = sd_bus_close_unref(b->bus);
}

static int connect_once(Bus *b) {
        if (b->bus && sd_bus_is_open(b->bus) > 0)
                return 0;
        disconnect(b);
        int r = open_private(&b->bus);
        return r < 0 ? sd_bus_open_system(&b->bus) : r;
}

/* Nobody heard it, or nobody heard the answer. */
static bool is_lost(int r, const sd_bus_error *e) {
        static const char *const names[] = {SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED,
                                            SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER};
        static const int codes[] = {ECONNRESET, ENOTCONN, EPIPE, ESHUTDOWN, ECONNABORTED, ECONNREFUSED};
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(e, names[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (r == -codes[i])
                        return true;
        return false;
}

/* It is there and says nothing. What was asked while systemd executed itself anew may be lost without a word, so it is
 * asked once more; a systemd that crashed stays, frozen, and so does its socket. */
static bool is_silent(int r, const sd_bus_error *e) {
        return r == -ETIMEDOUT || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT);
}

static int unanswered(int r, Error *err) {
        return error_set(err, -EHOSTDOWN, ERR_UNSUPPORTED,
                         "See whether this host is run by systemd: \"systemctl status\".",
                         "systemd does not answer: %s", strerror(-r));
}

static int bus_connect(const Host *host, Error *err) {
        int failed = -ENOTCONN;
        if (host->bus && host->bus->is_frozen)
                return unanswered(-ETIMEDOUT, err);
        for (int i = 0; i < ATTEMPTS && host->bus; i++) {
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                failed = connect_once(host->bus);
                if (failed >= 0)
                        return 0;
                if (!bus_is_there())
                        break;
                clock_sleep_usec(SLICE_USEC);
        }
        return unanswered(failed, err);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
        const char *name;
        int r;
        ErrorCode code;
        const char *hint;
} refusals[] = {
        {BUS_NAME ".NoSuchUnit",                   -ENOENT,  ERR_NOT_FOUND,  NULL},
        {BUS_NAME ".LoadFailed",                   -EBADMSG, ERR_PROGRAM,    "See \"systemctl status\"."},
        {BUS_NAME ".BadUnitSetting",               -EBADMSG, ERR_PROGRAM,    "\"systemd-analyze verify\" says what is wrong with its file."},
        {BUS_NAME ".UnitMasked",                   -EPERM,   ERR_IN_USE,     "\"systemctl unmask\" takes the mask away."},
        {SD_BUS_ERROR_ACCESS_DENIED,               -EPERM,   ERR_PERMISSION, "Run it as root."},
        {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, -EPERM, ERR_PERMISSION, "Run it as root."},
};
/* clang-format on */

static int refused(int r, const sd_bus_error *e, const char *about, Error *err) {
        const char *why = e->message ? e->message : strerror(-r);
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
                if (sd_bus_error_has_name(e, refusals[i].name))
                        return error_set(err, refusals[i].r, refusals[i].code, refusals[i].hint,
                                         "systemd refuses %s: %s", about, why);
        return error_set(err, r, ERR_FAILED, NULL, "systemd refuses %s: %s", about, why);
}

const char *bus_shown(const char *unit, char ret[static BUS_SHOWN_SIZE]) {
        (void)snprintf(ret, BUS_SHOWN_SIZE, "\"%.*s\"", BUS_SHOWN_SIZE - 3, unit);
        return ret;
}

static int call_arguments(sd_bus_message *m, const BusCall *c) {
        int r = 0;
        if (c->has_number)
                r = sd_bus_message_append(m, "u", c->number);
        if (r >= 0 && c->unit)
                r = sd_bus_message_append(m, "s", c->unit);
        if (r >= 0 && c->mode)
                r = sd_bus_message_append(m, "s", c->mode);
        return r;
}

/* 0, BUS_LOST, CALL_SILENT, or negative with err filled. *ret is owned by the caller; it may be NULL itself. */
static int call_once(const Host *host, const BusCall *c, sd_bus_message **ret, Error *err) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = bus_connect(host, err);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(host->bus->bus, &m, BUS_NAME, c->path, c->interface, c->member);
        if (r >= 0)
                r = call_arguments(m, c);
        if (r >= 0)
                r = sd_bus_call(host->bus->bus, m, c->timeout_usec ? c->timeout_usec : CALL_USEC, &error, ret);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM)
                return error_no_memory(err);
        if (is_silent(r, &error)) {
                disconnect(host->bus);
                return CALL_SILENT;
        }
        if (!is_lost(r, &error))
                return refused(r, &error, c->about, err);
        disconnect(host->bus);
        return BUS_LOST;
}

int bus_call(const Host *host, const BusCall *c, sd_bus_message **ret, Error *err) {
        unsigned n_silent = 0;
        for (int i = 0; i < ATTEMPTS && n_silent <= 1; i++) {
                int r = call_once(host, c, ret, err);
                if (r <= 0)
                        return r;
                n_silent += r == CALL_SILENT;
                clock_sleep_usec(SLICE_USEC);
        }
        host->bus->is_frozen = n_silent > 1;
        return unanswered(n_silent > 1 ? -ETIMEDOUT : -ECONNRESET, err);
}

int bus_reload(const Host *host, Error *err) {
        return bus_call(host,
                        &(BusCall){.path = BUS_PATH,
                                   .interface = BUS_MANAGER,
                                   .member = "Reload",
                                   .about = "to read its unit files again",
                                   .timeout_usec = RELOAD_USEC},
                        NULL, err);
}

int host_reload_units(const Host *host, Error *err) {
        return bus_is_there() ? bus_reload(host, err) : 0;
}

int bus_reset_failed(const Host *host, const char *unit, Error *err) {
        Error why = ERROR_INIT;
        char shown[BUS_SHOWN_SIZE];
        int r = bus_call(host,
                         &(BusCall){.path = BUS_PATH,
                                    .interface = BUS_MANAGER,
                                    .member = "ResetFailedUnit",
                                    .about = bus_shown(unit, shown),
                                    .unit = unit},
                         NULL, &why);
        return r == -ENOENT || r == 0 ? 0 : error_set(err, r, why.code, why.hint, "%s", why.message);
}

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

typedef struct Job {
        uint32_t id;
        bool is_over;
        char result[32];
} Job;

static int job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Job *job = userdata;
        const char *path, *unit, *result;
        uint32_t id;
        (void)error;
        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0 || id != job->id)
                return 0;
        job->is_over = true;
        (void)snprintf(job->result, sizeof(job->result), "%s", result);
        return 0;
}

/* clang-format off */
static const struct {
        const char *member, *text;
} verbs[BUS_VERB_COUNT] = {
        [BUS_STOP]    = {"StopUnit",    "stop"},
        [BUS_RESTART] = {"RestartUnit", "restart"},
};
static const struct {
        const char *result, *text;
} job_results[] = {
        {"failed",      "it failed"},
        {"timeout",     "it took too long"},
        {"canceled",    "another job took its place"},
        {"dependency",  "a unit it needs failed"},
        {"skipped",     "it does not apply to the unit as it is"},
        {"assert",      "an assertion of its unit file does not hold"},
        {"unsupported", "the unit cannot do that"},
        {"collected",   "the unit went away"},
        {"once",        "it runs once only and has"},
};
/* clang-format on */

static int job_outcome(const Job *job, BusVerb verb, const char *unit, Error *err) {
        const char *text = job->result;
        if (strcmp(job->result, "done") == 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(job_results); i++)
                if (strcmp(job_results[i].result, job->result) == 0)
                        text = job_results[i].text;
        return error_set(err, -EPROTO, ERR_PROGRAM, "See \"systemctl status\" and \"pawl logs\".",
                         "systemd could not %s \"%s\": %s", verbs[verb].text, unit, text);
}

static int job_late(BusVerb verb, const char *unit, Error *err) {
        return error_set(err, -ETIMEDOUT, ERR_TIMEOUT, "See what it waits for: \"systemctl list-jobs\".",
                         "systemd takes too long to %s \"%s\"", verbs[verb].text, unit);
}

static int job_path(sd_bus_message *reply, Job *job) {
        const char *path = NULL;
        int r = sd_bus_message_read(reply, "o", &path);
        const char *slash = r >= 0 ? strrchr(path, '/') : NULL;
        job->id = slash ? (uint32_t)strtoul(slash + 1, NULL, 10) : 0;
        return r;
}

/* The signals come over the connection the job was queued on. 1: that is gone. */
static int job_follow(const Host *host, Job *job, uint64_t end, Error *err) {
        while (!job->is_over) {
                int r = host_check_cancel(host, err);
                if (r < 0)
                        return r;
                r = sd_bus_process(host->bus->bus, NULL);
                if (r == 0 && clock_boot_usec() >= end)
                        return -ETIME;
                if (r == 0)
                        r = sd_bus_wait(host->bus->bus, SLICE_USEC);
                if (r < 0 && r != -EINTR)
                        return BUS_LOST;
        }
        return 0;
}

/* Until systemd knows the job no more; without a number, until the unit has none. */
static int job_outlast(const Host *host, const Job *job, const char *unit, uint64_t end, Error *err) {
        for (;;) {
                Error why = ERROR_INIT;
                _cleanup_bus_unit_ BusUnit u = {0};
                int r = host_check_cancel(host, err);
                if (r == 0)
                        r = bus_unit(host, unit, &u, err);
                if (r < 0)
                        return r;
                if (u.job_id == 0)
                        return BUS_LOST;
                if (job->id != 0 && u.job_id != job->id &&
                    bus_call(host,
                             &(BusCall){.path = BUS_PATH,
                                        .interface = BUS_MANAGER,
                                        .member = "GetJob",
                                        .about = "a job",
                                        .number = job->id,
                                        .has_number = true},
                             NULL, &why) < 0)
                        return BUS_LOST;
                if (clock_boot_usec() >= end)
                        return -ETIME;
                clock_sleep_usec(SLICE_USEC);
        }
}

/* The bus hands on signals only to those who subscribed; systemd's own socket does not ask for it. */
static int job_begin(const Host *host, BusVerb verb, const char *unit, Job *job, sd_bus_slot **ret_slot, Error *err) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char shown[BUS_SHOWN_SIZE];
        int r = bus_call(
                host,
                &(BusCall){.path = BUS_PATH, .interface = BUS_MANAGER, .member = "Subscribe", .about = "its signals"},
                NULL, err);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(host->bus->bus, ret_slot, NULL, BUS_PATH, BUS_MANAGER, "JobRemoved", job_removed, job);
        if (r < 0)
                return unanswered(r, err);
        r = call_once(host,
                      &(BusCall){.path = BUS_PATH,
                                 .interface = BUS_MANAGER,
                                 .member = verbs[verb].member,
                                 .about = bus_shown(unit, shown),
                                 .unit = unit,
                                 .mode = "replace"},
                      &reply, err);
        return r == 0 && job_path(reply, job) < 0 ? BUS_LOST : r;
}

int bus_job(const Host *host, BusVerb verb, const char *unit, uint64_t timeout_usec, Error *err) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        Job job = {0};
        uint64_t end = clock_boot_usec() + (timeout_usec ? timeout_usec : JOB_USEC);
        int r = job_begin(host, verb, unit, &job, &slot, err);
        if (r == 0)
                r = job_follow(host, &job, end, err);
        if (r == BUS_LOST) {
                slot = sd_bus_slot_unref(slot); /* of the connection that broke */
                disconnect(host->bus);
                r = job_outlast(host, &job, unit, end, err);
        }
        if (r == -ETIME)
                return job_late(verb, unit, err);
        return r == 0 ? job_outcome(&job, verb, unit, err) : r;
}
