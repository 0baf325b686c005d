/* SPDX-License-Identifier: Apache-2.0 */
/* See faults.h. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/faults.h"

static const struct {
        const char *call, *errors;
} rows[] = {
#define FAULT(call, errors) {call, errors},
#include "tests/crash/faults.def"
#undef FAULT
};

static const struct {
        const char *call, *path, *error, *reason;
} silences[] = {
#define SILENT(call, path, error, reason) {call, path, error, reason},
#include "tests/crash/faults.def"
#undef SILENT
};

static const struct {
        const char *flow, *call, *path, *error, *rule;
} pins[] = {
#define PINNED(flow, call, path, error, rule) {flow, call, path, error, rule},
#include "tests/crash/faults.def"
#undef PINNED
};

bool fault_is_pinned(const char *flow, const char *call, const char *path, const Fault *fault) {
        for (size_t i = 0; i < sizeof pins / sizeof *pins; i++)
                if (fault->mode == TRACER_ERRNO && strcmp(pins[i].flow, flow) == 0 && strcmp(pins[i].call, call) == 0 &&
                    fnmatch(pins[i].path, path, 0) == 0 && fault_error_of(pins[i].error) == fault->error)
                        return true;
        return false;
}

int fault_error_of(const char *text) {
        for (int i = 1; i < 200; i++) {
                const char *name = strerrorname_np(i);

                if (name != NULL && strcmp(name, text) == 0)
                        return i;
        }
        return (int)strtol(text, NULL, 10);
}

static const char *errors_of(const char *call, TracerKind kind) {
        if (kind == TRACER_LOOK && strncmp(call, "open", 4) == 0)
                return "EIO EACCES EMFILE ENFILE ENOMEM";
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                if (strcmp(rows[i].call, call) == 0)
                        return rows[i].errors;
        return "";
}

static bool is_write(const char *call) {
        return strstr(call, "write") != NULL || strcmp(call, "copy_file_range") == 0 || strcmp(call, "sendfile") == 0;
}

/* A lie about a signal that came: no kernel tells it of a call that took place. */
static bool can_lie(TracerKind kind, const char *error) {
        return kind != TRACER_LOOK && strcmp(error, "EINTR") != 0;
}

bool fault_fits(const char *call, const char *path) {
        return strcmp(call, "fcntl") != 0 || strstr(path, "lock") != NULL;
}

size_t faults_of(const char *call, TracerKind kind, Fault ret_faults[FAULTS_MAX]) {
        char text[256], *rest;
        size_t n = 0;

        (void)snprintf(text, sizeof text, "%s", errors_of(call, kind));
        for (char *name = strtok_r(text, " ", &rest); name != NULL && n + 3 < FAULTS_MAX;
             name = strtok_r(NULL, " ", &rest)) {
                ret_faults[n++] = (Fault){TRACER_ERRNO, fault_error_of(name)};
                if (can_lie(kind, name))
                        ret_faults[n++] = (Fault){TRACER_LIE, fault_error_of(name)};
        }
        if (n > 0 && is_write(call))
                ret_faults[n++] = (Fault){TRACER_SHORT, 0};
        return n;
}

const char *fault_silence(const char *call, const char *path, int error) {
        for (size_t i = 0; i < sizeof silences / sizeof *silences; i++)
                if ((silences[i].call[0] == 0 || strcmp(silences[i].call, call) == 0) &&
                    strstr(path, silences[i].path) != NULL &&
                    (silences[i].error[0] == 0 || fault_error_of(silences[i].error) == error))
                        return silences[i].reason;
        return NULL;
}
