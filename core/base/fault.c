/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. Empty in the shipped program. */
#include "core/base/fault.h"

#ifdef PAWL_TESTING
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does `wanted` ("name", "name:count", "name:count@path") mean this hit of this point? */
static bool point_is(const char *wanted, const char *name, int *hits) {
        size_t n = strlen(name);
        if (!wanted || strncmp(wanted, name, n) != 0 || !strchr(":@", wanted[n]))
                return false; /* strchr finds the end of the text, too */
        int count = wanted[n] == ':' ? (int)strtol(wanted + n + 1, NULL, 10) : 1;
        return ++*hits >= count;
}

void fault_point(const char *name) {
        static int n_crash, n_pause;
        const char *crash = getenv("PAWL_CRASH_AT"), *pause = getenv("PAWL_PAUSE_AT");
        if (point_is(pause, name, &n_pause) && strchr(pause, '@'))
                while (access(strchr(pause, '@') + 1, F_OK) == 0)
                        (void)usleep(1000);
        if (point_is(crash, name, &n_crash))
                (void)kill(getpid(), SIGKILL);
}

bool mutant_is(const char *name) {
        const char *wanted = getenv("PAWL_MUTANT");
        return wanted && strcmp(wanted, name) == 0;
}
#else
typedef int fault_is_empty;
#endif
