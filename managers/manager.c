/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of managers and runtimes, made from managers.def, and what every manager asks of its Host. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/manager.h"
#include "managers/process_run.h"
#include "managers/unit.h"

#define MANAGER(number, symbol) extern const Manager manager_##symbol;
#include "managers/managers.def"
#undef MANAGER

typedef struct ManagerRow {
        uint16_t id;
        const Manager *own;
        const Manager *with; /* a test's decorator, or NULL */
} ManagerRow;

static ManagerRow manager_rows[] = {
#define MANAGER(number, symbol) {number, &manager_##symbol, NULL},
#include "managers/managers.def"
#undef MANAGER
};

static const Manager *row_manager(const ManagerRow *row) {
        return row->with ? row->with : row->own;
}

const Manager *manager_by_id(uint16_t id) {
        for (size_t i = 0; i < ELEMENTSOF(manager_rows); i++)
                if (manager_rows[i].id == id)
                        return row_manager(&manager_rows[i]);
        return NULL;
}

const Manager *manager_by_name(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(manager_rows); i++)
                if (strcmp(manager_rows[i].own->name, name) == 0)
                        return row_manager(&manager_rows[i]);
        return NULL;
}

void manager_replace(const char *name, const Manager *with) {
        for (size_t i = 0; i < ELEMENTSOF(manager_rows); i++)
                if (strcmp(manager_rows[i].own->name, name) == 0)
                        manager_rows[i].with = with;
}

size_t manager_count(void) {
        return ELEMENTSOF(manager_rows);
}

const Manager *manager_at(size_t i) {
        return i < ELEMENTSOF(manager_rows) ? row_manager(&manager_rows[i]) : NULL;
}

const char *probe_name(Probe probe) {
        switch (probe) {
        case PROBE_BEFORE:
                return "before";
        case PROBE_AFTER:
                return "after";
        case PROBE_PARTIAL:
                return "partial";
        case PROBE_FOREIGN:
                return "foreign";
        case PROBE_UNREACHABLE:
                return "unreachable";
        }
        return "invalid";
}

const char *change_name(Change change) {
        switch (change) {
        case CHANGE_UNCHANGED:
                return "unchanged";
        case CHANGE_CREATED:
                return "created";
        case CHANGE_CHANGED:
                return "changed";
        }
        return "invalid";
}

bool host_is_cancelled(const Host *host) {
        return host->cancel && *host->cancel != 0;
}

static int error_cancelled(int signal_number, Error *err) {
        /* clang-format off */
        static const struct {
                int signal_number;
                ErrorCode code;
                const char *text;
        } ways[] = {
                {SIGTERM, ERR_TERMINATED, "ended by SIGTERM"},
                {SIGHUP,  ERR_HANGUP,     "ended by SIGHUP"},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                if (ways[i].signal_number == signal_number)
                        return error_set(err, -ECANCELED, ways[i].code, NULL, "%s", ways[i].text);
        return error_set(err, -ECANCELED, ERR_INTERRUPTED, NULL, "interrupted");
}

int host_check_cancel(const Host *host, Error *err) {
        if (host_is_cancelled(host))
                return error_cancelled(*host->cancel, err);
        if (host->deadline_usec > 0 && clock_boot_usec() >= host->deadline_usec)
                return error_set(err, -ETIMEDOUT, ERR_TIMEOUT, NULL, "the time for this flow is over");
        return 0;
}

void host_log(const Host *host, LogLevel level, const char *format, ...) {
        if (!host->calls || !host->calls->log)
                return;
        char text[ERROR_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        host->calls->log(host->calls->userdata, level, text);
}

void host_progress(const Host *host, const char *what, uint64_t done, uint64_t total) {
        if (host->calls && host->calls->progress)
                host->calls->progress(host->calls->userdata, what, done, total);
}

char *host_path(const Host *host, const char *path) {
        return text_format("%s/%s", strcmp(host->root_path, "/") == 0 ? "" : host->root_path, path);
}

int manager_check_nothing(const Host *host, const Value *args, Error *err) {
        (void)host, (void)args, (void)err;
        return 0;
}

int manager_capture_nothing(const Host *host, const Value *args, Value **ret_before, Error *err) {
        (void)host, (void)args;
        Value *before = value_new_map();
        if (!before)
                return error_no_memory(err);
        *ret_before = before;
        return 0;
}

int manager_revert_nothing(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)host, (void)args, (void)before, (void)err;
        return 0;
}

int manager_probe_before(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        (void)host, (void)args, (void)before, (void)err;
        *ret = PROBE_BEFORE;
        return 0;
}

int manager_verify_nothing(const Host *host, const Value *args, const Value *facts, Error *err) {
        (void)host, (void)args, (void)facts, (void)err;
        return 0;
}

int manager_tidy_nothing(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)host, (void)args, (void)before, (void)err;
        return 0;
}

bool boot_is(const Value *map, const uint8_t boot[static BOOT_ID_SIZE]) {
        const Value *b = value_get(map, "boot");
        return value_is(b, VALUE_BYTES) && b->bytes.size == BOOT_ID_SIZE &&
               memcmp(b->bytes.data, boot, BOOT_ID_SIZE) == 0;
}

/* Every way a program is kept running. */
static const Runtime *const runtimes[] = {
        &runtime_process,
        &runtime_systemd,
};

const Runtime *runtime_by_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(runtimes); i++)
                if (strcmp(runtimes[i]->type, type) == 0)
                        return runtimes[i];
        return NULL;
}
