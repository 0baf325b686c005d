/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few macros everything stands on: ownership by scope, and sizes.
 *
 * `_cleanup_(x_freep)` runs when the variable leaves its scope; `TAKE_PTR` and `TAKE_FD` hand ownership on. There is no
 * other way memory or a descriptor is released on an error path, and no goto.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _printf_(f, a) __attribute__((__format__(__printf__, f, a)))
#define _warn_unused_ __attribute__((__warn_unused_result__))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Hands on ownership: returns the pointer and leaves NULL behind, so that the cleanup has nothing to do. */
#define TAKE_PTR(p)                      \
        ({                               \
                __typeof__(p) _p_ = (p); \
                (p) = NULL;              \
                _p_;                     \
        })

/* The same for a descriptor; leaves -1 behind. */
#define TAKE_FD(fd)             \
        ({                      \
                int _f_ = (fd); \
                (fd) = -1;      \
                _f_;            \
        })

/* Defines `name_freep` for a type with `free_func(T *)`, for use with _cleanup_. */
#define DEFINE_FREEP(type, free_func)               \
        static inline void free_func##p(type **p) { \
                free_func(*p);                      \
                *p = NULL;                          \
        }

static inline void freep(void *p) {
        void **q = p;
        free(*q);
        *q = NULL;
}

/* Closes and leaves -1 behind; a negative descriptor is nothing to close. errno is kept. */
void fd_close(int *fd);

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(fd_close)

#define USEC_PER_MSEC ((uint64_t)1000)
#define USEC_PER_SEC ((uint64_t)1000000)
