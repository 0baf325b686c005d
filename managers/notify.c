/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "notify" (finish): tells a webhook how a flow ended. At least once: a receiver drops repeats by
 * X-Pawl-Transaction.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "managers/manager.h"

#define TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)

/* clang-format off */
static const Field notify_args[] = {
        {1, "url",          FIELD_ANY,  FIELD_REQUIRED, 1, NULL}, /* a text, or a secret: many webhooks carry their key in the path */
        {2, "event",        FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        {3, "format",       FIELD_TEXT, 0,              1, NULL},
        {4, "attempts",     FIELD_INT,  0,              1, NULL}, /* read by the engine */
        {5, "timeout_usec", FIELD_INT,  0,              1, NULL},
        {6, "payload",      FIELD_MAP,  FIELD_HIDDEN,   1, NULL},
        FIELD_END,
};
static const Field notify_before[] = {FIELD_END};
/* clang-format on */

static const char *url_of(const Value *args, bool *ret_secret) {
        const Value *url = value_get(args, "url");
        *ret_secret = value_is(url, VALUE_SECRET);
        if (*ret_secret)
                return url->is_sealed ? NULL : url->bytes.data;
        return value_text(url);
}

static int check(const Host *host, const Value *args, Error *err) {
        (void)host;
        const char *format = value_get_text_or(args, "format", "json");
        if (strcmp(format, "json") != 0)
                return error_set(err, -EOPNOTSUPP, ERR_NOT_SUPPORTED, "Use format: json.",
                                 "the notification format \"%s\" is not supported", format);
        return 0;
}

static int body_make(const Value *args, char **ret, Error *err) {
        const Value *payload = value_get(args, "payload");
        _cleanup_(value_freep) Value *body = payload ? value_copy(payload) : value_new_map();
        if (!body)
                return error_no_memory(err);
        int r = value_set_text(body, "event", value_get_text(args, "event"), err);
        return r < 0 ? r : json_encode(body, JSON_COMPACT, ret, err);
}

static int send(const Host *host, const Value *args, const char *url, bool is_secret, Error *err) {
        _cleanup_free_ char *body = NULL, *mark = text_format("%s-%" PRIu64, host->tag, host->tx);
        _cleanup_http_reply_ HttpReply reply = {0};
        int r = mark ? body_make(args, &body, err) : error_no_memory(err);
        if (r < 0)
                return r;
        const HttpHeader headers[] = {{"Content-Type", "application/json", false}, {"X-Pawl-Transaction", mark, false}};
        int64_t timeout = value_get_int(args, "timeout_usec", 0);
        HttpRequest request = {
                .method = "POST",
                .url = url,
                .headers = headers,
                .n_headers = ELEMENTSOF(headers),
                .body = body,
                .n_body = strlen(body),
                .schemes = HTTP_SCHEME_HTTP | HTTP_SCHEME_HTTPS,
                .retry = HTTP_RETRY_NEVER, /* the engine counts attempts, durably */
                .attempts = 1,
                .deadline_usec = timeout > 0 ? (uint64_t)timeout : TIMEOUT_DEFAULT_USEC,
                .is_url_secret = is_secret,
        };
        r = http_request(host, &request, &reply, err);
        if (r < 0)
                return r;
        if (reply.status < 200 || reply.status > 299)
                return error_set(err, -EIO, ERR_NETWORK, NULL, "the server answered %d", reply.status);
        return 0;
}

/* What it does and for which address stands in front of every message about this step: once is enough. */
static int refuse_shortly(int r, Error *err) {
        char reason[ERROR_MESSAGE_MAX];
        const char *behind = err ? strstr(err->message, "\": ") : NULL;
        (void)snprintf(reason, sizeof(reason), "%s", behind ? behind + 3 : err ? err->message : "");
        return error_set(err, r, err ? err->code : ERR_NETWORK, NULL, "could not notify: %s", reason);
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        bool is_secret;
        const char *url = url_of(args, &is_secret);
        if (!url)
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "the notification has no readable url");
        int r = check(host, args, err);
        if (r == 0)
                r = send(host, args, url, is_secret, err);
        if (r < 0)
                return refuse_shortly(r, err);
        *ret = (StepResult){.change = CHANGE_CREATED};
        return 0;
}

static int describe(const Value *args, char **ret, Error *err) {
        bool is_secret;
        const char *url = url_of(args, &is_secret);
        _cleanup_free_ char *shown = is_secret || !url ? strdup("****") : text_redact(url);
        char *line = shown ? text_format("notify %s of \"%s\"", shown, value_get_text_or(args, "event", "?")) : NULL;
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_notify;
const Manager manager_notify = {
        .id = 12,
        .name = "notify",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_OUTSIDE,
        .args = notify_args,
        .before = notify_before,
        .check = check,
        .capture = manager_capture_nothing,
        .apply = apply,
        .revert = manager_revert_nothing,
        .probe = manager_probe_before,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
