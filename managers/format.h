/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an artifact is: "program", "directory", "tar" (plain or compressed) or "zip". Told from its first bytes where
 * they are at hand, else guessed from the name in a URL.
 */
#pragma once

#include "core/base/error.h"

/* Static texts. */
const char *format_of_url(const char *url);
/* Of an open regular file; its position stays. */
int format_of_fd(int fd, const char *what, const char **ret, Error *err);
/* ERR_ARTIFACT where the name (a path or URL) says that it is an archive, and its bytes that it is none: it would be
 * taken for a program. */
int format_check_name(const char *name, const char *format, Error *err);
