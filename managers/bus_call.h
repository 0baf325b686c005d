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

#define BUS_SHOWN_SIZE 260 /* the longest name of a unit, with quotes */
/* A unit, as BusCall.about names it. */
const char *bus_shown(const char *unit, char ret[static BUS_SHOWN_SIZE]);

/* For what may be asked twice. *ret (may be NULL itself) is owned by the caller. */
int bus_call(const Host *host, const BusCall *c, struct sd_bus_message **ret, Error *err);
