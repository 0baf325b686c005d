/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What root obeys: the configuration, and specs that are applied without being named. Nobody but root may have written
 * them; sudo and sshd ask the same of theirs.
 */
#pragma once

#include <sys/stat.h>

#include "core/base/error.h"

/* Of a file or a folder. 0 also where it is not root who asks; else ERR_x `code`, with -EPERM and what to do. */
int trust_check(const struct stat *st, const char *shown, ErrorCode code, Error *err);
