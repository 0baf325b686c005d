/* SPDX-License-Identifier: Apache-2.0 */
/* What people read: errors, outcomes, labels. */
#pragma once

#include "cli/cli.h"

/* An error to stderr; with an outcome, as the failure of its flow, with what was put back and what is left. */
void text_error(Cli *cli, const Value *outcome, const Error *err);
/* Success to stdout. */
void text_outcome(Cli *cli, const Value *outcome);
void text_leftovers(Cli *cli, const Value *leftovers, int64_t tx);
/* Label of 13 columns and a value; nothing where the value is NULL. */
void text_label(Cli *cli, const char *label, const char *value);
/* "2026-03-01 12:34:56", or "-" for 0; `ret` (32 bytes) is where it is written. */
const char *text_moment(int64_t usec, char ret[static 32]);
/* "2.4 s", or "-" for less than 0; likewise. */
const char *text_duration(int64_t usec, char ret[static 32]);
/* At most `max` bytes of the first line, "…" behind what was cut; owned by the caller, NULL when memory is out or
 * `text` is NULL. */
char *text_cut(const char *text, size_t max);
/* A map's entries as "key: value" lines; lists one item per line. */
void text_tree(Cli *cli, const Value *v, unsigned depth);
