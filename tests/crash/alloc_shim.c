/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded into the program under test by LD_PRELOAD: its N-th allocation fails, whoever asks for it, libraries too.
 * ALLOC_FAIL_AT=N; without it, or with 0, none fails. ALLOC_COUNT_TO=FILE gets the number of allocations at the end.
 * Children made by fork count on by themselves. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under AddressSanitizer, and without it. */
void *__interceptor_malloc(size_t size) __attribute__((weak));
void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static unsigned long n_allocations, fail_at;
static int has_begun; /* what the loader and the sanitizer do before main is not the program's */

/* Whose code it was: the first frame that is neither the C library's nor ours. */
static void tell_where(int sig) {
        void *frames[32];
        int n = backtrace(frames, 32);
        Dl_info where;
        char text[512];

        for (int i = 1; i < n; i++) {
                if (dladdr(frames[i], &where) == 0 || where.dli_fname == NULL ||
                    strstr(where.dli_fname, "/libc.so") != NULL || strstr(where.dli_fname, "alloc_shim") != NULL)
                        continue;
                (void)snprintf(text, sizeof text, "signal %d in %s\n", sig, where.dli_fname);
                (void)!write(STDERR_FILENO, text, strlen(text));
                break;
        }
        _exit(128 + sig);
}

__attribute__((constructor)) static void begin(void) {
        const char *at = getenv("ALLOC_FAIL_AT");
        const struct sigaction action = {.sa_handler = tell_where};
        void *frames[2];

        (void)backtrace(frames, 2); /* it loads a library the first time */
        if (__interceptor_malloc == NULL)
                (void)sigaction(SIGSEGV, &action, NULL);
        fail_at = at != NULL ? strtoul(at, NULL, 10) : 0;
        has_begun = 1;
}

__attribute__((destructor)) static void end(void) {
        const char *path = getenv("ALLOC_COUNT_TO");
        int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        char text[32];
        int n = snprintf(text, sizeof text, "%lu\n", n_allocations);

        if (fd >= 0 && n > 0)
                (void)!write(fd, text, (size_t)n);
}

static int must_fail(void) {
        if (!has_begun || ++n_allocations != fail_at)
                return 0;
        errno = ENOMEM;
        return 1;
}

void *malloc(size_t size) {
        if (must_fail())
                return NULL;
        return __interceptor_malloc != NULL ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        if (must_fail())
                return NULL;
        return __interceptor_calloc != NULL ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
        if (must_fail())
                return NULL;
        return __interceptor_realloc != NULL ? __interceptor_realloc(old, size) : __libc_realloc(old, size);
}
