/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit printed, and what systemd said about it, from the host's journal.
 */
#pragma once

#include "managers/log_file.h"

/* As log_file_lines(): the last n lines (0: all that are kept); with follow, what comes until cancelled, which is
 * then success. */
int unit_log_lines(const Host *host, const char *unit, size_t n, bool follow, const LogSink *sink, Error *err);
/* Appends the last n lines since `since_usec` (wall clock) to err->detail; whatever goes wrong is left out. */
void unit_log_to_detail(const char *unit, uint64_t since_usec, size_t n, Error *err);
