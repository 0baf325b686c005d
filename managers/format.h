/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an artifact is: "program", "directory", "tar" (plain or compressed) or "zip". Told from its first bytes where they are at hand,
 * else guessed from the name in a URL.
 */
#pragma once

#include "core/base/error.h"

/* Static texts. */
const char *format_of_url(const char *url);
/* Of an open regular file; its position stays. */
int format_of_fd(int fd, const char *what, const char **ret, Error *err);
