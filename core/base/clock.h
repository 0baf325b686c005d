/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and boot. Order is the journal's sequence number; the wall clock is an annotation. Timers count on
 * CLOCK_BOOTTIME.
 */
#pragma once

#include "core/base/error.h"

#define BOOT_ID_SIZE 16

/* Microseconds since 1970; in a testing build PAWL_TEST_CLOCK=<usec> fixes it. */
int64_t clock_wall_usec(void);
/* Microseconds on CLOCK_BOOTTIME. */
uint64_t clock_boot_usec(void);
/* False when the wall clock is evidently unset: before this program was built. */
bool clock_is_trusted(void);
void clock_sleep_usec(uint64_t usec); /* ends early on a signal */

/* "2026-03-01 12:34:56" in local time, "2026-03-01T12:34:56Z" in UTC; ret holds 32 bytes. */
void clock_format_local(int64_t usec, char ret[static 32]);
void clock_format_utc(int64_t usec, char ret[static 32]);
/* "850 ms", "2.4 s", "3 min 20 s", "2 h 5 min". ret holds 32 bytes. */
void duration_format(uint64_t usec, char ret[static 32]);
/* "500ms", "10s", "2m", "1h", "7d", "0.5s", or plain seconds. -EINVAL otherwise. */
int duration_parse(const char *text, uint64_t *ret_usec);

/*
 * Boot identity: hash of the kernel's boot id, our PID namespace, and the start time of its PID 1. Two processes with
 * the same identity share one life of the process table; volatile facts of another identity mean nothing.
 */
int boot_identity(uint8_t ret[static BOOT_ID_SIZE], Error *err);

/* Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is no such process or
 * it is a zombie: the dead do not run. */
uint64_t process_start_time(int pid);
