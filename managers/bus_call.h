/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files that speak D-Bus share. */
#pragma once

#include "managers/bus.h"

#define BUS_PATH "/org/freedesktop/systemd1"

struct sd_bus_message;

typedef struct BusCall {
        const char *path, *interface, *member;
        const char *about; /* for messages: what is asked for */
        uint64_t timeout_usec;
        const char *unit; /* the arguments: nothing, a unit, */
        const char *mode; /* or a unit and a mode; */
        uint32_t number;  /* or a number */
        bool has_number;
} BusCall;

/* For what may be asked twice. *ret (may be NULL itself) is owned by the caller. */
int bus_call(const Host *host, const BusCall *c, struct sd_bus_message **ret, Error *err);
