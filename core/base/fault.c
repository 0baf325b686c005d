/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. Empty in the shipped program. */
#include "core/base/fault.h"

#ifdef PAWL_TESTING
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

/* <path>.reached says that we are here. */
static void stand_still(const char *path) {
        char reached[4096];
        (void)snprintf(reached, sizeof(reached), "%s.reached", path);
        int fd = open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
                (void)close(fd);
        while (access(path, F_OK) == 0)
                (void)usleep(1000);
}

void fault_point(const char *name) {
        static int n_crash, n_pause;
        const char *crash = getenv("PAWL_CRASH_AT"), *pause = getenv("PAWL_PAUSE_AT");
        if (point_is(pause, name, &n_pause) && strchr(pause, '@'))
                stand_still(strchr(pause, '@') + 1);
        if (point_is(crash, name, &n_crash))
                (void)kill(getpid(), SIGKILL);
}

uint64_t fault_inode(uint64_t inode) {
        const char *path = getenv("PAWL_TEST_INODES");
        FILE *file = path ? fopen(path, "re") : NULL;
        unsigned long long is, was;
        uint64_t former = inode;
        while (file && fscanf(file, "%llu %llu", &is, &was) == 2)
                if (is == inode)
                        former = was;
        if (file)
                (void)fclose(file);
        return former;
}

bool mutant_is(const char *name) {
        const char *wanted = getenv("PAWL_MUTANT");
        return wanted && strcmp(wanted, name) == 0;
}
#else
typedef int fault_is_empty;
#endif
