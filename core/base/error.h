/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: what failed, why, and what to do, set once at the depth that knows.
 *
 * A function that can fail returns 0, a negative errno with `err` filled, or a positive result its header names.
 * Callers pass a negative result on unchanged, at most with error_context() in front. Only the command line prints.
 *
 * Buffers are fixed so that reporting an error cannot itself run out of memory; longer text is cut and ends in "...".
 */
#pragma once

#include <stdbool.h>

#include "core/base/macro.h"

#define ERROR_MESSAGE_MAX 1536
#define ERROR_HINT_MAX 512
#define ERROR_DETAIL_MAX 6144

typedef enum ErrorCode {
#define ERROR(symbol, slug, exit_status, http_status, text) ERR_##symbol,
#include "core/base/errors.def"
#undef ERROR
        ERROR_CODE_MAX
} ErrorCode;

typedef struct Error {
        ErrorCode code;
        char message[ERROR_MESSAGE_MAX]; /* "could not open \"x\": No such file"; lower case, no full stop */
        char hint[ERROR_HINT_MAX];       /* a full sentence, or "" */
        char detail[ERROR_DETAIL_MAX];   /* lines to show below the message (program output, leftovers), or "" */
} Error;

#define ERROR_INIT ((Error){.code = ERR_NONE})

/*
 * Fills `err` (which may be NULL) and returns r, which must be negative. `hint` may be NULL. When r is a real errno and
 * the reason is not in the message yet, end the format with ": %m" and set errno first (error_set_errno does it).
 */
int error_set_full(Error *err, int r, ErrorCode code, const char *hint, const char *format, ...) _printf_(5, 6);

/* As above with ": <strerror(-r)>" appended, and the code derived from r where it is more telling than ERR_IO:
 * ENOMEM → NO_MEMORY, ENOSPC and EDQUOT → NO_SPACE, EACCES and EPERM → PERMISSION, EROFS → IO. */
int error_set_errno_full(Error *err, int r, const char *hint, const char *format, ...) _printf_(4, 5);

/* Puts "<text>: " in front of the message on the way up. Returns r. */
int error_context_full(Error *err, int r, const char *format, ...) _printf_(3, 4);

/* Replaces the hint (a caller who knows better what to do) or appends a line of detail. */
void error_hint(Error *err, const char *format, ...) _printf_(2, 3);
void error_detail(Error *err, const char *format, ...) _printf_(2, 3);

int error_no_memory_full(Error *err); /* returns -ENOMEM */

/* Tells the compiler what the functions above cannot: that the result is negative. The names to use are these. */
static inline int error_is_negative(int r) {
#ifdef __clang__
        __builtin_assume(r < 0); /* no branch: the analyzer looks into a function without any, however deep it is */
#else
        if (r >= 0)
                __builtin_unreachable();
#endif
        return r;
}

#define error_set(err, r, code, hint, ...) error_is_negative(error_set_full((err), (r), (code), (hint), __VA_ARGS__))
#define error_set_errno(err, r, hint, ...) error_is_negative(error_set_errno_full((err), (r), (hint), __VA_ARGS__))
#define error_context(err, r, ...) error_is_negative(error_context_full((err), (r), __VA_ARGS__))
#define error_no_memory(err) error_is_negative(error_no_memory_full(err))

const char *error_slug(ErrorCode code);
int error_exit_status(ErrorCode code);
int error_http_status(ErrorCode code);
const char *error_text(ErrorCode code); /* the manual's line */
/* Its hint, or what helps against errors of its kind; "" when there is nothing to say. Borrowed from err. */
const char *error_way_out(const Error *err);
/* The code of a slug, or ERROR_CODE_MAX. */
ErrorCode error_from_slug(const char *slug);
