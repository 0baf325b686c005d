/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One http_request() that goes on: what outlives an attempt, and what is done with what comes in the running hop.
 * Private to http*.c.
 *
 * The three exchange_take_ functions are called while a hop runs; non-zero ends it, and is_restart, is_slow, is_enough
 * or `stop` says why.
 */
#pragma once

#include "managers/manager.h"

typedef struct Wire Wire;

typedef struct Exchange {
        const Host *host;
        const HttpRequest *request;
        const HttpLimits *limits;
        Wire *wire;
        const char *method, *user_agent, *ca_file;
        char *authorities; /* what ca_file holds, since the first hop that needs it */
        size_t n_authorities;
        char *shown; /* the URL as messages may say it */
        uint64_t deadline_usec, max_size;

        uint64_t offset;   /* content bytes the sink has */
        uint64_t furthest; /* offset at which attempts were last counted from the beginning again */
        char *validator; /* what the content so far is recognised by: a strong etag or a date; NULL: cannot go on, only begin again */
        bool is_restart;       /* what came does not continue what we have */
        uint64_t attempt_usec; /* when the running attempt began */

        char *url; /* of this hop */
        bool is_stripped, was_https;
        bool is_answered;        /* the headers of the final answer are complete */
        bool is_slow, is_enough; /* why a callback ended the hop: try again; the rest of the body is not wanted */
        uint64_t window_usec;    /* begin of the running window, and what came of the body in it */
        uint64_t n_window, n_dropped;
        int stop; /* negative: a callback ended the hop, `failure` says why */
        Error failure;
        HttpReply reply;
        const char *location; /* where the reply leads on; NULL: nowhere; the wire's, until the next hop */
        size_t body_allocated;
        bool has_range;
        uint64_t range_start;
} Exchange;
void exchange_done(Exchange *x);
#define _cleanup_exchange_ _cleanup_(exchange_done)

/* For the next hop: nothing has come yet. */
void exchange_begin_hop(Exchange *x);
/* What is done with the URL, for messages: "download", "read", "send to". */
const char *exchange_doing(const Exchange *x);

/* A line of the headers, not ended by NUL; the status as it is known by then. */
int exchange_take_header(Exchange *x, const char *line, size_t n, long status);
/* Bytes of the body; status 0: there is none (file://); length of the content, -1: not told. */
int exchange_take_body(Exchange *x, const char *data, size_t n, long status, int64_t length);
/* Now and then, also when nothing comes. `now` of `total` bytes of this hop's body are there; total 0: not told. */
int exchange_take_progress(Exchange *x, int64_t total, int64_t now);
bool status_is_redirect(long status);
