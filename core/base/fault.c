/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. Empty in the shipped program. */
#include "core/base/fault.h"

#ifdef PAWL_TESTING
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fault_point(const char *name) {
        static int hits;
        const char *wanted = getenv("PAWL_CRASH_AT");
        if (!wanted)
                return;
        size_t n = strlen(name);
        if (strncmp(wanted, name, n) != 0 || (wanted[n] != '\0' && wanted[n] != ':'))
                return;
        int count = wanted[n] == ':' ? (int)strtol(wanted + n + 1, NULL, 10) : 1;
        if (++hits >= count)
                kill(getpid(), SIGKILL);
}

bool mutant_is(const char *name) {
        const char *wanted = getenv("PAWL_MUTANT");
        return wanted && strcmp(wanted, name) == 0;
}
#else
typedef int fault_is_empty;
#endif
