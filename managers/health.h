/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a service answers.
 */
#pragma once

#include "managers/manager.h"

/* The resolved form: every value chosen, nothing "auto". */
extern const Field health_args[];

typedef struct HealthReport {
        int attempts;
        uint64_t waited_usec;
        uint64_t healthy_at; /* clock_boot_usec */
} HealthReport;

/* Waits until the service is healthy, its program has ended, or the time is over: ERR_HEALTH, with the end of its
 * log as detail. -ECANCELED. */
int health_wait(const Host *host, const Value *args, HealthReport *ret, Error *err);
