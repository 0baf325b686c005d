/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of a tier counted, kept for the table in README.md: one small file for each tier and row below the folder
 * that PAWL_COUNTS names, so that a run of one flow renews that flow's only. table.c makes the table of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Count {
        char tier[32]; /* "kill"; "disk-ext4" */
        char row[32];  /* the flow, or what else its rows are */
        uint64_t n_points, n_states, n_classes, n_faults, n_failures, msec;
        uint64_t n_left; /* beyond a sample; 0: that was all */
        bool is_sample;
} Count;

/* Nothing where there is no PAWL_COUNTS; a failure is told on stderr, and hurts nobody. */
void count_write(const Count *c);
/* Adds what is kept of this tier and row to *c: of all tiers that are called `tier` or begin with it and a "-", and of
 * every row where `row` is NULL. Whether there is any. */
bool count_read(const char *folder, const char *tier, const char *row, Count *c);
