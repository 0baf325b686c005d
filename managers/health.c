/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the service answers.
 *
 * An answer counts only if it comes from the service: on this host the listening socket must belong to its program,
 * that program's session, or its unit's control group. A program that has ended is not waited for. A refused connection
 * to this host costs nothing, so it is tried again soon, and then less soon.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/child.h"
#include "managers/health.h"
#include "managers/listener.h"
#include "managers/watch.h"

#define QUICK_FIRST_USEC (10 * USEC_PER_MSEC)
#define SLICE_MSEC 100
#define DEADLINE_DEFAULT_USEC (10 * USEC_PER_SEC)
#define LOG_LINES_SHOWN 20

/* clang-format off */
const Field health_args[] = {
        { 1, "type",              FIELD_TEXT, FIELD_REQUIRED, 1, NULL}, /* tcp | http | exec | none */
        { 2, "scheme",            FIELD_TEXT, 0,              1, NULL},
        { 3, "host",              FIELD_TEXT, 0,              1, NULL},
        { 4, "port",              FIELD_INT,  0,              1, NULL},
        { 5, "path",              FIELD_TEXT, 0,              1, NULL},
        { 6, "status",            FIELD_INT,  0,              1, NULL},
        { 7, "start_usec",        FIELD_INT,  0,              1, NULL},
        { 8, "attempts",          FIELD_INT,  0,              1, NULL},
        { 9, "interval_usec",     FIELD_INT,  0,              1, NULL},
        {10, "timeout_usec",      FIELD_INT,  0,              1, NULL},
        {11, "deadline_usec",     FIELD_INT,  0,              1, NULL},
        {12, "backoff_milli",     FIELD_INT,  0,              1, NULL}, /* 1000: the interval stays as it is */
        {13, "max_interval_usec", FIELD_INT,  0,              1, NULL},
        {14, "consecutive",       FIELD_INT,  0,              1, NULL},
        {15, "command",           FIELD_LIST, 0,              1, NULL},
        {16, "service",           FIELD_TEXT, 0,              1, NULL}, /* whose program must answer */
        {17, "unit",              FIELD_TEXT, 0,              1, NULL}, /* which systemd runs as this unit */
        FIELD_END,
};
static const Field health_before[] = {
        FIELD_END,
};
/* clang-format on */

typedef enum Answer {
        ANSWER_GOOD,
        ANSWER_REFUSED, /* nobody is there */
        ANSWER_WRONG,
} Answer;

typedef struct Health Health;

typedef struct HealthWay {
        const char *type;
        /* Negative only for what ends the whole check. */
        int (*attempt)(Health *h, Answer *ret, Error *err);
} HealthWay;

struct Health {
        const Host *host;
        const Value *args;
        const HealthWay *way;
        Watch watch;
        struct sockaddr_storage address;
        socklen_t address_size;
        char *target; /* owned: "on 127.0.0.1:3000" */
        char *url;    /* owned */
        uint64_t begin, deadline, interval, timeout, quick;
        int64_t counted; /* attempts that count */
        int attempts;
        char reason[512]; /* why the last attempt failed; "": nobody was there */
};

static void health_done(Health *h) {
        watch_done(&h->watch);
        free(h->target);
        free(h->url);
}

static uint64_t arg_usec(const Value *args, const char *name, uint64_t otherwise) {
        int64_t usec = value_get_int(args, name, 0);
        return usec > 0 ? (uint64_t)usec : otherwise;
}

static bool is_ended(const Health *h) {
        return watch_has_ended(&h->watch);
}

/* Returns early when the program ends. */
static int health_sleep(const Health *h, uint64_t usec, Error *err) {
        uint64_t end = clock_boot_usec() + usec;
        for (;;) {
                int r = host_check_cancel(h->host, err);
                uint64_t now = clock_boot_usec();
                if (r < 0 || now >= end || is_ended(h))
                        return r;
                struct pollfd wait = {.fd = h->watch.pidfd, .events = POLLIN};
                struct timespec slice = {.tv_nsec = (long)(MIN(end - now, SLICE_MSEC * USEC_PER_MSEC) * 1000)};
                (void)ppoll(&wait, 1, &slice, NULL);
        }
}

/* How long the attempt that begins now may take. */
static uint64_t attempt_usec(const Health *h) {
        uint64_t end = h->begin + h->deadline, now = clock_boot_usec();
        return MIN(h->timeout, end > now + QUICK_FIRST_USEC ? end - now : QUICK_FIRST_USEC);
}

typedef struct OwnSearch {
        const Watch *watch;
        const Listeners *listeners;
} OwnSearch;

static int own_process(void *userdata, const ProcessInfo *p) {
        const OwnSearch *s = userdata;
        return watch_has_process(s->watch, p) && listeners_has_process(s->listeners, p->pid);
}

/* Is it our program that listens there? Good when that is so, or when the address is not of this host. */
static int check_owner(Health *h, Answer *ret, Error *err) {
        Listeners l = {0};
        char owner[128];
        *ret = ANSWER_GOOD;
        if (!h->watch.service || h->address_size == 0 || mutant_is("any-listener"))
                return 0;
        int r = listeners_of(&h->address, &l, err);
        if (r < 0)
                return r;
        OwnSearch s = {.watch = &h->watch, .listeners = &l};
        if (l.n == 0 || procfs_each(own_process, &s) == 1)
                return 0;
        listeners_owner(&l, owner);
        (void)snprintf(h->reason, sizeof(h->reason), "another program%s%s%s has that port", owner[0] ? " (" : "", owner,
                       owner[0] ? ")" : "");
        *ret = ANSWER_WRONG;
        return 0;
}

/* 1: connected; 0: not, with the errno in *ret_error; negative: cancelled. */
static int connect_wait(const Health *h, int fd, int *ret_error, Error *err) {
        uint64_t end = clock_boot_usec() + attempt_usec(h);
        for (;;) {
                struct pollfd wait = {.fd = fd, .events = POLLOUT};
                int r = host_check_cancel(h->host, err);
                if (r < 0)
                        return r;
                uint64_t now = clock_boot_usec();
                *ret_error = ETIMEDOUT;
                if (now >= end)
                        return 0;
                if (poll(&wait, 1, (int)MIN((end - now) / USEC_PER_MSEC + 1, (uint64_t)SLICE_MSEC)) > 0)
                        break;
        }
        socklen_t size = sizeof(*ret_error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, ret_error, &size) < 0)
                *ret_error = errno;
        return *ret_error == 0;
}

static int try_tcp(Health *h, Answer *ret, Error *err) {
        _cleanup_close_ int fd = socket(h->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error = 0, r = 1;
        if (fd < 0)
                return error_set_errno(err, -errno, NULL, "could not make a socket");
        if (connect(fd, (const struct sockaddr *)&h->address, h->address_size) < 0) {
                error = errno;
                r = error == EINPROGRESS ? connect_wait(h, fd, &error, err) : 0;
        }
        if (r < 0)
                return r;
        if (r > 0)
                return check_owner(h, ret, err);
        *ret = error == ECONNREFUSED ? ANSWER_REFUSED : ANSWER_WRONG;
        h->reason[0] = '\0';
        if (error != ECONNREFUSED && error != ETIMEDOUT)
                (void)snprintf(h->reason, sizeof(h->reason), "%s", strerror(error));
        return 0;
}

static int try_http(Health *h, Answer *ret, Error *err) {
        _cleanup_http_reply_ HttpReply reply = {0};
        Error why = ERROR_INIT;
        int expected = (int)value_get_int(h->args, "status", 200);
        HttpRequest request = {
                .url = h->url,
                .schemes = HTTP_SCHEME_HTTP | HTTP_SCHEME_HTTPS,
                .retry = HTTP_RETRY_NEVER,
                .attempts = 1,
                .deadline_usec = attempt_usec(h),
        };
        int r = http_request(h->host, &request, &reply, &why);
        if (r == -ENOMEM)
                return error_no_memory(err);
        if (r < 0) {
                *ret = reply.outcome == HTTP_NOT_SENT ? ANSWER_REFUSED : ANSWER_WRONG;
                (void)snprintf(h->reason, sizeof(h->reason), "%.500s", *ret == ANSWER_REFUSED ? "" : why.message);
                return host_check_cancel(h->host, err);
        }
        if (reply.status == expected)
                return check_owner(h, ret, err);
        *ret = ANSWER_WRONG;
        (void)snprintf(h->reason, sizeof(h->reason), "the answer was status %d, not %d", reply.status, expected);
        return 0;
}

static int try_exec(Health *h, Answer *ret, Error *err) {
        const Value *command = value_get(h->args, "command");
        _cleanup_child_result_ ChildResult result = {0};
        _cleanup_free_ char **argv = calloc(value_count(command) + 1, sizeof(*argv));
        if (!argv)
                return error_no_memory(err);
        for (size_t i = 0; i < value_count(command); i++)
                if (value_is(value_at(command, i), VALUE_TEXT))
                        argv[i] = value_at(command, i)->bytes.data;
        ChildRun run = {.argv = argv, .timeout_usec = attempt_usec(h)};
        int r = child_run(h->host, &run, &result, err);
        *ret = ANSWER_WRONG;
        if (r == -ETIMEDOUT) {
                (void)snprintf(h->reason, sizeof(h->reason), "it took too long");
                return host_check_cancel(h->host, err);
        }
        if (r < 0)
                return r;
        *ret = result.status == 0 ? ANSWER_GOOD : ANSWER_WRONG;
        (void)snprintf(h->reason, sizeof(h->reason), "it exited with status %d%s%.300s", result.status,
                       result.errors[0] ? ": " : "", result.errors);
        h->reason[strcspn(h->reason, "\n")] = '\0';
        return 0;
}

static int try_none(Health *h, Answer *ret, Error *err) {
        (void)h, (void)err;
        *ret = ANSWER_GOOD;
        return 0;
}

static const HealthWay ways[] = {
        {"tcp", try_tcp},
        {"http", try_http},
        {"exec", try_exec},
        {"none", try_none},
};

static const HealthWay *way_of(const char *type) {
        for (size_t i = 0; type && i < ELEMENTSOF(ways); i++)
                if (strcmp(ways[i].type, type) == 0)
                        return &ways[i];
        return NULL;
}

static int health_target(Health *h, Error *err) {
        const char *name = value_get_text_or(h->args, "host", "127.0.0.1");
        int port = (int)value_get_int(h->args, "port", 0);
        bool is_http = h->way->attempt == try_http;
        if (h->way->attempt == try_exec) {
                const char *program = value_text(value_at(value_get(h->args, "command"), 0));
                if (!program)
                        return error_set(err, -EINVAL, ERR_SPEC, "Set health.command.",
                                         "a health check by command needs a command");
                h->target = text_format("from \"%s\"", program);
                return h->target ? 0 : error_no_memory(err);
        }
        if (h->way->attempt == try_none)
                return 0;
        int r = address_parse(name, port, &h->address, &h->address_size, is_http ? NULL : err);
        if (r < 0 && !is_http)
                return r;
        if (r < 0)
                h->address_size = 0; /* a name: somebody else resolves it, and nothing is known about its socket */
        bool is_v6 = h->address_size > 0 && h->address.ss_family == AF_INET6;
        _cleanup_free_ char *place = text_format(is_v6 ? "[%s]:%d" : "%s:%d", name, port);
        if (!place)
                return error_no_memory(err);
        const char *path = value_get_text_or(h->args, "path", "/");
        if (is_http)
                h->url = text_format("%s://%s%s%s", value_get_text_or(h->args, "scheme", "http"), place,
                                     path[0] == '/' ? "" : "/", path);
        h->target = is_http ? text_format("from %s", h->url ? h->url : "") : text_format("on %s", place);
        return h->target && (h->url || !is_http) ? 0 : error_no_memory(err);
}

static int health_init(Health *h, Error *err) {
        const char *type = value_get_text_or(h->args, "type", "");
        h->way = way_of(type);
        if (!h->way)
                return error_set(err, -EINVAL, ERR_SPEC, "Use tcp, http, exec or none.",
                                 "there is no health check of type \"%s\"", type);
        h->interval = arg_usec(h->args, "interval_usec", USEC_PER_SEC);
        h->timeout = arg_usec(h->args, "timeout_usec", USEC_PER_SEC);
        h->quick = QUICK_FIRST_USEC;
        h->begin = clock_boot_usec();
        uint64_t attempts = arg_usec(h->args, "attempts", 0);
        uint64_t otherwise = attempts > 0 ? arg_usec(h->args, "start_usec", 0) + attempts * (h->interval + h->timeout)
                                          : DEADLINE_DEFAULT_USEC;
        h->deadline = arg_usec(h->args, "deadline_usec", otherwise);
        int r = health_target(h, err);
        if (r < 0)
                return r;
        return watch_begin(h->host, value_get_text(h->args, "service"), value_get_text(h->args, "unit"), &h->watch,
                           err);
}

/* How long to wait before the next attempt; counts the last one if it counts. */
static uint64_t next_delay(Health *h, Answer answer) {
        uint64_t elapsed = clock_boot_usec() - h->begin;
        bool is_local = h->address_size > 0 && address_is_local(&h->address);
        if (answer == ANSWER_REFUSED && is_local && h->quick < h->interval) {
                uint64_t delay = h->quick;
                h->quick *= 2;
                return delay;
        }
        if (answer == ANSWER_WRONG || (answer == ANSWER_REFUSED && elapsed >= arg_usec(h->args, "start_usec", 0)))
                h->counted++;
        uint64_t delay = h->interval, most = arg_usec(h->args, "max_interval_usec", UINT64_MAX);
        if (answer != ANSWER_GOOD)
                h->interval = MIN(h->interval * arg_usec(h->args, "backoff_milli", 1000) / 1000, most);
        return delay;
}

static int fail_ended(const Health *h, Error *err) {
        char how[64];
        double after = watch_ending(&h->watch, how);
        int r = error_set(err, -EHOSTDOWN, h->target ? ERR_HEALTH : ERR_PROGRAM, NULL,
                          "%s%s%sthe program %s after %.1f s", h->target ? "no answer " : "",
                          h->target ? h->target : "", h->target ? ": " : "", how, after);
        watch_output(&h->watch, LOG_LINES_SHOWN, err);
        return r;
}

static int fail_late(const Health *h, Error *err) {
        const uint64_t tenth = USEC_PER_SEC / 10;
        uint64_t waited = clock_boot_usec() - h->begin;
        char duration[32];
        duration_format(waited < tenth ? waited : waited / tenth * tenth, duration);
        int r = error_set(err, -EHOSTDOWN, ERR_HEALTH, NULL, "no %sanswer %s for %s%s%s", h->reason[0] ? "good " : "",
                          h->target ? h->target : "", duration, h->reason[0] ? ": " : "", h->reason);
        error_hint(err, "See \"pawl logs %s\"; what is slow to start needs a longer health.deadline in the spec.",
                   value_get_text_or(h->args, "service", "SERVICE"));
        watch_output(&h->watch, LOG_LINES_SHOWN, err);
        return r;
}

static bool is_over(const Health *h) {
        int64_t most = value_get_int(h->args, "attempts", 0);
        return (most > 0 && h->counted >= most) || clock_boot_usec() - h->begin >= h->deadline;
}

static int health_loop(Health *h, Error *err) {
        int64_t good = 0, wanted = value_get_int(h->args, "consecutive", 1);
        for (;;) {
                Answer answer = ANSWER_WRONG;
                int r = host_check_cancel(h->host, err);
                if (r == 0)
                        r = is_ended(h) ? fail_ended(h, err) : h->way->attempt(h, &answer, err);
                if (r < 0)
                        return r;
                h->attempts++;
                good = answer == ANSWER_GOOD ? good + 1 : 0;
                if (good > 0 && good >= wanted)
                        return is_ended(h) ? fail_ended(h, err) : 0;
                uint64_t delay = next_delay(h, answer);
                if (is_over(h))
                        return is_ended(h) ? fail_ended(h, err) : fail_late(h, err);
                uint64_t left = h->begin + h->deadline - MIN(clock_boot_usec(), h->begin + h->deadline);
                r = health_sleep(h, MIN(delay, left), err);
                if (r < 0)
                        return r;
        }
}

int health_wait(const Host *host, const Value *args, HealthReport *ret, Error *err) {
        _cleanup_(health_done) Health h = {.host = host, .args = args, .watch = WATCH_INIT};
        int r = health_init(&h, err);
        if (r < 0)
                return r;
        r = health_loop(&h, err);
        if (r < 0)
                return r;
        uint64_t now = clock_boot_usec();
        *ret = (HealthReport){.attempts = h.attempts, .waited_usec = now - h.begin, .healthy_at = now};
        return 0;
}

static int health_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        HealthReport report;
        _cleanup_(value_freep) Value *facts = value_new_map();
        if (!facts)
                return error_no_memory(err);
        int r = health_wait(host, args, &report, err);
        if (r < 0)
                return r;
        if (value_set_int(facts, "attempts", report.attempts, err) < 0 ||
            value_set_int(facts, "waited_usec", (int64_t)report.waited_usec, err) < 0 ||
            value_set_int(facts, "healthy_at", (int64_t)report.healthy_at, err) < 0)
                return -ENOMEM;
        *ret = (StepResult){.change = CHANGE_UNCHANGED, .facts = TAKE_PTR(facts)};
        return 0;
}

static int health_check(const Host *host, const Value *args, Error *err) {
        _cleanup_(health_done) Health h = {.host = host, .args = args, .watch = WATCH_INIT};
        if (!args)
                return 0;
        h.way = way_of(value_get_text(args, "type"));
        if (!h.way)
                return error_set(err, -EINVAL, ERR_SPEC, "Use tcp, http, exec or none.",
                                 "there is no such type of health check");
        return health_target(&h, err);
}

static int health_describe(const Value *args, char **ret, Error *err) {
        Health h = {.args = args, .watch = WATCH_INIT, .way = way_of(value_get_text(args, "type"))};
        int r = h.way ? health_target(&h, err) : 0;
        if (r == 0) {
                *ret = h.target ? text_format("wait for an answer %s", h.target)
                                : text_format("see that the program stays up");
                r = *ret ? 0 : error_no_memory(err);
        }
        health_done(&h);
        return r;
}

const Manager manager_health = {
        .id = 8,
        .name = "health",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_VOLATILE,
        .args = health_args,
        .before = health_before,
        .check = health_check,
        .capture = manager_capture_nothing,
        .apply = health_apply,
        .revert = manager_revert_nothing,
        .probe = manager_probe_before,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = health_describe,
};
