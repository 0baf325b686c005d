/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded into the program under test by LD_PRELOAD: its N-th call of a library ends with an error.
 *
 *   LIBCALL_FAIL_AT=N:ERROR:before|after   before: the call does not take place; after: it does, and its answer is lost
 *   LIBCALL_ONLY=PREFIX                    only calls count whose names begin so
 *   LIBCALL_COUNT_TO=FILE                  gets the names of the calls, a line each
 *
 * Only the process that was started counts, not its children. It knows the libraries by what the linker sees of
 * them. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef long (*Real)(long a, long b, long c, long d, long e);

static unsigned long n_calls, fail_at;
static long error_value;
static int is_after, count_to = -1;
static const char *only;
static pid_t own;

__attribute__((constructor)) static void begin(void) {
        const char *at = getenv("LIBCALL_FAIL_AT"), *to = getenv("LIBCALL_COUNT_TO");
        char *rest = NULL;

        own = getpid();
        only = getenv("LIBCALL_ONLY");
        if (at != NULL) {
                fail_at = strtoul(at, &rest, 10);
                error_value = *rest == ':' ? strtol(rest + 1, &rest, 10) : 0;
                is_after = strcmp(rest, ":after") == 0;
        }
        if (to != NULL)
                count_to = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
}

/* Its number; 0: a child's. */
static unsigned long count(const char *name) {
        if (getpid() != own || (only != NULL && strncmp(name, only, strlen(only)) != 0))
                return 0;
        if (count_to >= 0)
                (void)dprintf(count_to, "%s\n", name);
        return ++n_calls;
}

static Real find(const char *name) {
        Real real;

        *(void **)&real = dlsym(RTLD_NEXT, name);
        return real;
}

/* A commit that fails has ended its transaction all the same. */
static void not_done(const char *name, long a) {
        if (strcmp(name, "mdb_txn_commit") == 0)
                (void)find("mdb_txn_abort")(a, 0, 0, 0, 0);
}

static long call(const char *name, const long args[5]) {
        unsigned long n = count(name);
        int is_struck = n > 0 && n == fail_at;
        long r = 0;

        if (!is_struck || is_after)
                r = find(name)(args[0], args[1], args[2], args[3], args[4]);
        else
                not_done(name, args[0]);
        return is_struck ? error_value : r;
}

#define WRAP(name)                                                                                 \
        long name(long a, long b, long c, long d, long e);                                         \
        __attribute__((visibility("default"))) long name(long a, long b, long c, long d, long e) { \
                const long args[5] = {a, b, c, d, e};                                              \
                return call(#name, args);                                                          \
        }
#define LIBCALL(name, errors) WRAP(name)
#include "tests/crash/libcalls.def"
#undef LIBCALL
