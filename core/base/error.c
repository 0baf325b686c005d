/* SPDX-License-Identifier: Apache-2.0 */
/* Errors carry their text in fixed buffers: an error path that allocates is an error path that can fail. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"

typedef struct ErrorRow {
        const char *slug;
        int exit_status;
        int http_status;
        const char *text;
} ErrorRow;

static const ErrorRow error_rows[] = {
#define ERROR(symbol, slug, exit_status, http_status, text) [ERR_##symbol] = {slug, exit_status, http_status, text},
#include "core/base/errors.def"
#undef ERROR
};

static _printf_(3, 0) void format_into(char *buf, size_t size, const char *format, va_list ap) {
        int n = vsnprintf(buf, size, format, ap);
        if (n >= 0 && (size_t)n >= size && size > 4)
                memcpy(buf + size - 4, "...", 4);
        text_clean(buf); /* a message may quote anything, and must fit into a record and onto a terminal */
}

int error_set_full(Error *err, int r, ErrorCode code, const char *hint, const char *format, ...) {
        assert(r < 0);
        if (!err)
                return r;
        va_list ap;
        err->code = code;
        err->detail[0] = '\0';
        va_start(ap, format);
        format_into(err->message, sizeof(err->message), format, ap);
        va_end(ap);
        snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
        text_clean(err->hint);
        return r;
}

static ErrorCode code_of_errno(int r) {
        switch (-r) {
        case ENOMEM:
                return ERR_NO_MEMORY;
        case ENOSPC:
        case EDQUOT:
                return ERR_NO_SPACE;
        case EACCES:
        case EPERM:
                return ERR_PERMISSION;
        default:
                return ERR_IO;
        }
}

int error_set_errno_full(Error *err, int r, const char *hint, const char *format, ...) {
        assert(r < 0);
        if (!err)
                return r;
        char text[ERROR_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        format_into(text, sizeof(text), format, ap);
        va_end(ap);
        return error_set_full(err, r, code_of_errno(r), hint, "%s: %s", text, strerror(-r));
}

int error_context_full(Error *err, int r, const char *format, ...) {
        if (!err)
                return r;
        char old[ERROR_MESSAGE_MAX], text[ERROR_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        format_into(text, sizeof(text), format, ap);
        va_end(ap);
        memcpy(old, err->message, sizeof(old));
        int n = snprintf(err->message, sizeof(err->message), "%s: %s", text, old);
        if (n >= (int)sizeof(err->message))
                memcpy(err->message + sizeof(err->message) - 4, "...", 4);
        text_clean(err->message);
        return r;
}

void error_hint(Error *err, const char *format, ...) {
        if (!err)
                return;
        va_list ap;
        va_start(ap, format);
        format_into(err->hint, sizeof(err->hint), format, ap);
        va_end(ap);
}

void error_detail(Error *err, const char *format, ...) {
        if (!err)
                return;
        size_t used = strlen(err->detail);
        if (used > 0 && used + 1 < sizeof(err->detail)) {
                err->detail[used++] = '\n';
                err->detail[used] = '\0';
        }
        va_list ap;
        va_start(ap, format);
        format_into(err->detail + used, sizeof(err->detail) - used, format, ap);
        va_end(ap);
}

int error_no_memory_full(Error *err) {
        return error_set_full(err, -ENOMEM, ERR_NO_MEMORY, NULL, "out of memory");
}

static const ErrorRow *row_of(ErrorCode code) {
        assert(code < ERROR_CODE_MAX);
        return &error_rows[code];
}

const char *error_slug(ErrorCode code) {
        return row_of(code)->slug;
}

int error_exit_status(ErrorCode code) {
        return row_of(code)->exit_status;
}

int error_http_status(ErrorCode code) {
        return row_of(code)->http_status;
}

const char *error_way_out(const Error *err) {
        /* clang-format off */
        static const struct {
                ErrorCode code;
                const char *hint;
        } ways[] = {
                {ERR_NO_SPACE,      "Make room, then run it again."},
                {ERR_NETWORK,       "See whether the server works, and can be reached from this host."},
                {ERR_EXISTS,        "Move it away, then run it again."},
                {ERR_TIMEOUT,       "Give it longer: \"timeout\" in the spec."},
                {ERR_ARTIFACT,      "Pack it again without that."},
                {ERR_NOT_SUPPORTED, "Leave it out, or use a newer pawl."},
                {ERR_FOREIGN,       "See what changed it, then run it again."},
        };
        /* clang-format on */
        for (size_t i = 0; !err->hint[0] && i < ELEMENTSOF(ways); i++)
                if (ways[i].code == err->code)
                        return ways[i].hint;
        return err->hint;
}

const char *error_text(ErrorCode code) {
        return row_of(code)->text;
}

ErrorCode error_from_slug(const char *slug) {
        for (size_t i = 0; i < ELEMENTSOF(error_rows); i++)
                if (strcmp(error_rows[i].slug, slug) == 0)
                        return (ErrorCode)i;
        return ERROR_CODE_MAX;
}
