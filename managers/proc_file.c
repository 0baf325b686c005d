/* SPDX-License-Identifier: Apache-2.0 */
/* The proc file is JSON so that a person with a dead pawl can read it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "managers/proc_file.h"
#include "managers/procfs.h"

enum { PROC_FILE_MAX = 64 << 10 };

char *proc_file_path(const char *service) {
        return text_format(PROC_DIR "/%s.proc", service);
}

static char *ending_path(const char *service) {
        return text_format(PROC_DIR "/%s.stop", service);
}

static int malformed(const char *path, Error *err) {
        return error_set(err, -EBADMSG, ERR_IO, "Remove the file if the program it belongs to does not run.",
                         "the file \"%s\" does not name a process", path);
}

static int read_path(const Host *host, const char *path, ProcFile *ret, Error *err) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(value_freep) Value *map = NULL;
        size_t size;
        int r = fs_read(host->root, path, PROC_FILE_MAX, &text, &size, err);
        if (r < 0)
                return r;
        r = json_decode(text, size, &map, err);
        if (r < 0)
                return r == -ENOMEM ? r : malformed(path, err);
        ProcFile p = {
                .pid = (int)value_get_int(map, "pid", 0),
                .start_time = (uint64_t)value_get_int(map, "start_time", 0),
                .tx = (uint64_t)value_get_int(map, "tx", 0),
                .step = (uint32_t)value_get_int(map, "step", 0),
                .since_usec = value_get_int(map, "since", 0),
                .log_from = value_get_int(map, "log_from", 0),
        };
        if (p.pid <= 1 || p.start_time == 0 || !hex_decode(value_get_text_or(map, "boot", ""), p.boot, sizeof(p.boot)))
                return malformed(path, err);
        (void)snprintf(p.run, sizeof(p.run), "%s", value_get_text_or(map, "run", ""));
        *ret = p;
        return 0;
}

int proc_file_read(const Host *host, const char *service, ProcFile *ret, Error *err) {
        _cleanup_free_ char *path = proc_file_path(service), *ending = ending_path(service);
        if (!path || !ending)
                return error_no_memory(err);
        int r = read_path(host, path, ret, err);
        if (r != -ENOENT)
                return r;
        r = read_path(host, ending, ret, err);
        if (r == 0)
                ret->is_ending = true;
        return r;
}

static int proc_file_value(const char *service, const ProcFile *p, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *map = value_new_map();
        char boot[2 * BOOT_ID_SIZE + 1];
        if (!map)
                return error_no_memory(err);
        hex_encode(p->boot, sizeof(p->boot), boot);
        if (value_set_int(map, "pid", p->pid, err) < 0 ||
            value_set_int(map, "start_time", (int64_t)p->start_time, err) < 0 ||
            value_set_text(map, "boot", boot, err) < 0 || value_set_int(map, "tx", (int64_t)p->tx, err) < 0 ||
            value_set_int(map, "step", p->step, err) < 0 || value_set_text(map, "service", service, err) < 0 ||
            value_set_int(map, "since", p->since_usec, err) < 0 ||
            value_set_int(map, "log_from", p->log_from, err) < 0 || value_set_text(map, "run", p->run, err) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(map);
        return 0;
}

int proc_file_write(const Host *host, const char *service, const ProcFile *p, Error *err) {
        _cleanup_(value_freep) Value *map = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ char *path = proc_file_path(service);
        if (!path)
                return error_no_memory(err);
        int r = proc_file_value(service, p, &map, err);
        if (r < 0)
                return r;
        r = json_encode(map, JSON_COMPACT, &text, err);
        if (r < 0)
                return r;
        r = fs_mkdir_all(host->root, PROC_DIR, 0755, err);
        if (r < 0)
                return r;
        return fs_replace_durably(host->root, path, text, strlen(text), 0644, err);
}

int proc_file_set_ending(const Host *host, const char *service, Error *err) {
        _cleanup_free_ char *path = proc_file_path(service), *ending = ending_path(service);
        if (!path || !ending)
                return error_no_memory(err);
        return fs_rename_durably(host->root, path, ending, err);
}

static int remove_path(const Host *host, const char *path, Error *err) {
        if (!path)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(host->root, path, &is_there, err);
        return is_there ? fs_unlink_durably(host->root, path, err) : r;
}

int proc_file_remove(const Host *host, const char *service, Error *err) {
        _cleanup_free_ char *path = proc_file_path(service), *ending = ending_path(service);
        int r = remove_path(host, path, err);
        return r < 0 ? r : remove_path(host, ending, err);
}

/* Still our own program, and without the mark that its environment gets at exec: it waits for a word from whoever
 * forked it. If that one is dead, it is about to exit, and taking it for the service would leave nobody running. */
static bool is_at_gate(const ProcFile *p) {
        char path[64], mark[16 + PROC_RUN_SIZE];
        struct stat theirs, ours;
        (void)snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
        (void)snprintf(mark, sizeof(mark), "PAWL_RUN=%s", p->run);
        return stat(path, &theirs) == 0 && stat("/proc/self/exe", &ours) == 0 && theirs.st_dev == ours.st_dev &&
               theirs.st_ino == ours.st_ino && !procfs_has_variable(p->pid, mark);
}

bool proc_file_is_alive(const Host *host, const ProcFile *p) {
        return memcmp(p->boot, host->boot, sizeof(p->boot)) == 0 && procfs_is_alive(p->pid, p->start_time) &&
               !is_at_gate(p);
}
