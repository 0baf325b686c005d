/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can pawl do its work here, and is everything it keeps sound? Each row of the table looks at one thing, changes
 * nothing, and says what to do. Works without a journal and on a damaged one: no row can fail, it can only find.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "core/base/text.h"
#include "core/engine_state.h"
#include "core/lock.h"
#include "core/secrets.h"
#include "core/trust.h"

#define SPECS_DIR "etc/pawl/services.d"
#define SPACE_WARNING ((uint64_t)256 << 20)
#define SPACE_PROBLEM ((uint64_t)16 << 20)
#define PORTS_WARNING 10

typedef enum FindingState { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM } FindingState;

typedef struct Finding {
        FindingState state;
        char text[ERROR_MESSAGE_MAX];
        const char *hint; /* NULL: none */
        char hint_buffer[ERROR_HINT_MAX];
} Finding;

/* clang-format off */
static const char *const finding_words[] = {
        [FINDING_OK]      = "ok",
        [FINDING_WARNING] = "warning",
        [FINDING_PROBLEM] = "problem",
};
/* clang-format on */

/* The worse of two stays; at the same level the first. */
_printf_(4, 5) static void found(Finding *f, FindingState state, const char *hint, const char *format, ...) {
        va_list ap;
        if (f->text[0] && state <= f->state)
                return;
        f->state = state;
        f->hint = hint;
        va_start(ap, format);
        vsnprintf(f->text, sizeof(f->text), format, ap);
        va_end(ap);
}

static void found_error(Finding *f, FindingState state, const Error *why) {
        found(f, state, NULL, "%s", why->message[0] ? why->message : "it could not be looked at");
        if (!why->hint[0])
                return;
        snprintf(f->hint_buffer, sizeof(f->hint_buffer), "%s", why->hint);
        f->hint = f->hint_buffer;
}

/* ---- The host ---------------------------------------------------------------------------------------------------- */

static void look_rights(Engine *e, Finding *f) {
        if (geteuid() == 0)
                found(f, FINDING_OK, NULL, "running as root");
        else if (e->is_real_root)
                found(f, FINDING_PROBLEM, "Run it as root, or try it out under another root: --root DIR.",
                      "not running as root");
        else
                found(f, FINDING_OK, NULL, "running as user %u under the root \"%s\"", (unsigned)geteuid(),
                      e->root_path);
}

/* The directory, or the nearest above it that exists. */
static int open_nearest(Engine *e, const char *path) {
        _cleanup_free_ char *at = strdup(path);
        while (at && strcmp(at, ".") != 0 && !fs_exists(e->root, at)) {
                char *up = path_parent(at);
                free(at);
                at = up;
        }
        return at ? fs_open_dir(e->root, at, NULL) : -ENOMEM;
}

static void look_file_system(Engine *e, Finding *f) {
        static const char *const dirs[] = {PAWL_DIR, "opt/pawl"};
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
                _cleanup_close_ int fd = open_nearest(e, dirs[i]);
                FsPromise promise;
                const char *name;
                Error why = ERROR_INIT;
                if (fd < 0 || fs_promise(fd, &promise, &name, &why) < 0)
                        found(f, FINDING_WARNING, NULL, "the file system of \"/%s\" could not be asked", dirs[i]);
                else if (promise == FS_PROMISE_REFUSED)
                        found(f, FINDING_PROBLEM, "Put it on a local file system (ext4, xfs, btrfs).",
                              "\"/%s\" is on %s, where locks and renames cannot be trusted", dirs[i], name);
                else if (promise == FS_PROMISE_NONE)
                        found(f, FINDING_WARNING,
                              "It works; after a power cut nothing is promised. ext4, xfs and btrfs are.",
                              "\"/%s\" is on %s: power loss: not promised here", dirs[i], name);
        }
        found(f, FINDING_OK, NULL, "power loss is covered");
}

static void look_clock(Engine *e, Finding *f) {
        (void)e;
        char now[32];
        clock_format_utc(clock_wall_usec(), now);
        if (clock_is_trusted())
                found(f, FINDING_OK, NULL, "%s", now);
        else
                found(f, FINDING_WARNING, "Set the clock; until then times in the history mean little.",
                      "the clock says %s, which cannot be", now);
}

static void look_space(Engine *e, Finding *f) {
        static const char *const dirs[] = {PAWL_DIR, "opt/pawl"};
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
                _cleanup_close_ int fd = open_nearest(e, dirs[i]);
                struct statvfs st;
                char size[32];
                if (fd < 0 || fstatvfs(fd, &st) < 0)
                        continue;
                uint64_t space = (uint64_t)st.f_bavail * st.f_frsize;
                size_format(space, size);
                if (space < SPACE_WARNING)
                        found(f, space < SPACE_PROBLEM ? FINDING_PROBLEM : FINDING_WARNING,
                              "Make room; a flow begins only if it can be put back on a full disk.",
                              "%s free for \"/%s\"", size, dirs[i]);
                if (st.f_files > 0 && st.f_favail < 1000)
                        found(f, FINDING_WARNING, "Remove files that are not needed.",
                              "%" PRIu64 " inodes free for \"/%s\"", (uint64_t)st.f_favail, dirs[i]);
                if (i + 1 == ELEMENTSOF(dirs))
                        found(f, FINDING_OK, NULL, "%s free", size);
        }
}

/* clang-format off */
static const struct {
        const char *path;
        bool is_private;
} doctor_dirs[] = {
        {"etc/pawl",          false},
        {"etc/pawl/conf.d",   false},
        {SPECS_DIR,           false},
        {"opt/pawl",          false},
        {"var/lib/pawl",      false},
        {PAWL_DIR "/journal", true},
        {"var/lib/pawl-data", false},
        {"var/log/pawl",      false},
        {"run/pawl",          false},
        {LOCK_DIR,            false},
};
/* clang-format on */

static void look_directories(Engine *e, Finding *f) {
        size_t n = 0;
        for (size_t i = 0; i < ELEMENTSOF(doctor_dirs); i++) {
                const char *path = doctor_dirs[i].path;
                struct stat st;
                if (fs_stat(e->root, path, &st, NULL) < 0)
                        continue;
                n++;
                mode_t forbidden = doctor_dirs[i].is_private ? 0077 : 0022;
                if (!S_ISDIR(st.st_mode))
                        found(f, FINDING_PROBLEM, "Move it away.", "\"/%s\" is not a directory", path);
                else if (st.st_uid != geteuid() && geteuid() == 0)
                        found(f, FINDING_PROBLEM, "Give it back to root: chown root.", "\"/%s\" belongs to user %u",
                              path, (unsigned)st.st_uid);
                else if (st.st_mode & forbidden)
                        found(f, FINDING_PROBLEM,
                              doctor_dirs[i].is_private ? "chmod 0700 closes it." : "chmod go-w closes it.",
                              "\"/%s\" is open to others (mode %04o)", path, (unsigned)(st.st_mode & 07777));
        }
        if (n == 0)
                found(f, FINDING_OK, NULL, "not made yet");
        else
                found(f, FINDING_OK, NULL, "%zu director%s with the right owner and mode", n, n == 1 ? "y" : "ies");
}

/* ---- What pawl works with ---------------------------------------------------------------------------------------- */

static void look_version(Engine *e, Finding *f) {
        (void)e;
        found(f, FINDING_OK, NULL, "pawl %s", PAWL_VERSION);
}

static bool has_systemd(const Engine *e) {
        return e->is_real_root && fs_exists(e->root, "run/systemd/system");
}

static void look_systemd(Engine *e, Finding *f) {
        if (!e->is_real_root)
                found(f, FINDING_OK, NULL, "not for a root of its own; pawl starts programs itself");
        else if (has_systemd(e))
                found(f, FINDING_OK, NULL, "it runs this host");
        else
                found(f, FINDING_OK, NULL, "it does not run this host; pawl starts programs itself");
}

static void look_nginx(Engine *e, Finding *f) {
        if (fs_exists(e->root, "usr/sbin/nginx"))
                found(f, FINDING_OK, NULL, "installed");
        else
                found(f, FINDING_OK, NULL, "not installed; only routes need it");
}

/* clang-format off */
static const char *const boot_units[] = {
        "sysinit.target.wants/pawl-recover.service",
        "multi-user.target.wants/pawl-recover-late.service",
        "timers.target.wants/pawl-recover-late.timer",
};
/* clang-format on */

static bool has_boot_units(const Engine *e) {
        static const char *const folders[] = {"etc", "lib", "usr/lib", "usr/local/lib"};
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *file = text_format("%s/systemd/system/pawl-recover.service", folders[i]);
                if (file && fs_exists(e->root, file))
                        return true;
        }
        return false;
}

/* Without recovery at boot a power cut leaves things as they are until somebody comes; services that ask for their
 * mark stay down. */
static void look_boot(Engine *e, Finding *f) {
        if (!e->is_real_root) {
                found(f, FINDING_OK, NULL, "not for a root of its own: run \"pawl recover\" after a power cut");
                return;
        }
        if (!has_systemd(e)) {
                found(f, FINDING_WARNING, "Have \"pawl recover\" run at boot, before the services.",
                      "nothing runs recovery at boot here");
                return;
        }
        if (!has_boot_units(e)) {
                found(f, FINDING_WARNING, "Install the package, or run \"./dev install\"; then enable them.",
                      "pawl-recover.service is not installed: nothing settles what a power cut interrupts");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(boot_units); i++) {
                _cleanup_free_ char *link = path_join("etc/systemd/system", boot_units[i]);
                if (link && !fs_exists(e->root, link))
                        found(f, FINDING_WARNING,
                              "systemctl enable pawl-recover.service pawl-recover-late.service pawl-recover-late.timer",
                              "%s is not enabled", path_base(boot_units[i]));
        }
        found(f, FINDING_OK, NULL, "before the services, after them, and by a timer");
}

/* ---- Configuration ----------------------------------------------------------------------------------------------- */

static void look_config(Engine *e, Finding *f) {
        size_t n_set = 0;
        if (e->config_why) {
                found_error(f, FINDING_PROBLEM, e->config_why);
                return;
        }
        for (size_t i = 0; i < value_count(e->origins); i++) {
                const char *origin = value_text(e->origins->map.entries[i].value);
                n_set += origin && strcmp(origin, "default") != 0;
        }
        found(f, FINDING_OK, NULL, "%zu of %zu keys set, the others at their defaults", n_set, value_count(e->config));
}

static int is_spec_name(const struct dirent *entry) {
        const char *dot = strrchr(entry->d_name, '.');
        return entry->d_name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static void look_spec(int dir, const char *name, Finding *f) {
        _cleanup_free_ char *shown = text_format("/" SPECS_DIR "/%s", name);
        struct stat st;
        Error why = ERROR_INIT;
        if (!shown || fstatat(dir, name, &st, 0) < 0)
                found(f, FINDING_PROBLEM, NULL, "\"%s\" could not be looked at", name);
        else if (trust_check(&st, shown, ERR_SPEC, &why) < 0)
                found_error(f, FINDING_PROBLEM, &why);
}

/* What is applied without being named, and so by the timer. */
static void look_specs(Engine *e, Finding *f) {
        struct dirent **entries = NULL;
        _cleanup_close_ int dir = fs_open_dir(e->root, SPECS_DIR, NULL);
        int n = dir >= 0 ? scandirat(dir, ".", &entries, is_spec_name, NULL) : 0;
        for (int i = 0; i < n; i++) {
                look_spec(dir, entries[i]->d_name, f);
                free(entries[i]);
        }
        free(entries);
        found(f, FINDING_OK, NULL, "%d in \"/" SPECS_DIR "\"", MAX(n, 0));
}

static void look_ports(Engine *e, Finding *f) {
        const Value *range = value_get(e->config, "ports.range"), *low = value_at(range, 0), *high = value_at(range, 1);
        size_t n_used = 0;
        if (!value_is(low, VALUE_INT) || !value_is(high, VALUE_INT) || low->integer >= high->integer) {
                found(f, FINDING_PROBLEM, "Set ports.range to two ports, the second greater than the first.",
                      "the range of ports is empty");
                return;
        }
        if (e->journal && journal_row_count(e->journal, "port/", &n_used, NULL) < 0)
                n_used = 0;
        int64_t size = high->integer - low->integer;
        bool is_short = (int64_t)n_used + PORTS_WARNING > size;
        found(f, is_short ? FINDING_WARNING : FINDING_OK, is_short ? "Widen ports.range." : NULL,
              "%" PRId64 " to %" PRId64 ", %zu in use", low->integer, high->integer - 1, n_used);
}

/* Every manager is asked whether it could work at all. */
static void look_managers(Engine *e, Finding *f) {
        size_t n = 0;
        for (size_t i = 0; i < manager_count(); i++) {
                const Manager *m = manager_at(i);
                Host host = engine_host(e, 0, 0, true);
                Error why = ERROR_INIT;
                if (!e->is_real_root && !m->is_rootable)
                        continue;
                n++;
                if (m->check(&host, NULL, &why) < 0)
                        found(f, FINDING_WARNING, NULL, "%s: %s", m->name, why.message);
        }
        found(f, FINDING_OK, NULL, "all %zu kinds of artifacts can be made", n);
}

/* ---- The journal ------------------------------------------------------------------------------------------------- */

static bool journal_is_made(const Engine *e) {
        return fs_exists(e->root, PAWL_DIR "/journal") || fs_exists(e->root, PAWL_DIR "/journal.head");
}

static void look_key(Engine *e, Finding *f) {
        _cleanup_(seal_key_freep) SealKey *key = NULL;
        struct stat st;
        Error why = ERROR_INIT;
        bool is_there = fs_stat(e->root, PAWL_DIR "/seal.key", &st, NULL) == 0;
        if (!is_there && !journal_is_made(e)) {
                found(f, FINDING_OK, NULL, "not made yet");
                return;
        }
        if (engine_hint_owner(e, secrets_host_key(e->root, false, &key, &why), &why) < 0)
                found_error(f, FINDING_PROBLEM, &why);
        if (is_there && (st.st_mode & 0077))
                found(f, FINDING_PROBLEM, "chmod 0600 closes it; what was sealed with it should be changed.",
                      "\"/" PAWL_DIR "/seal.key\" is open to others (mode %04o)", (unsigned)(st.st_mode & 07777));
        found(f, FINDING_OK, NULL, "there, for its owner alone");
}

static void look_journal(Engine *e, Finding *f) {
        static const char *const repair = "Run \"pawl journal verify\", then \"pawl journal repair\".";
        JournalOptions options;
        JournalReport report = {0};
        Error why = ERROR_INIT;
        if (!journal_is_made(e)) {
                found(f, FINDING_OK, NULL, "none yet; \"pawl init\" or the first deploy makes it");
                return;
        }
        int r = engine_journal_options(e, &options, &why);
        if (r == 0)
                r = engine_hint_owner(e, journal_verify(&options, &report, &why), &why);
        if (r < 0)
                found_error(f, FINDING_PROBLEM, &why);
        else if (report.problem[0])
                found(f, FINDING_PROBLEM, repair, "%s", report.problem);
        if (r == 0 && fs_exists(e->root, PAWL_DIR "/journal.bad"))
                found(f, FINDING_PROBLEM, repair, "it was found damaged (\"/" PAWL_DIR "/journal.bad\" says how)");
        if (f->state == FINDING_OK && !report.anchor_found)
                found(f, FINDING_WARNING, "The next flow writes it again.",
                      "it verifies, but its anchor \"/" PAWL_DIR "/journal.head\" is missing");
        found(f, FINDING_OK, NULL, "%" PRIu64 " records verify", report.n_records);
        if (f->state != FINDING_PROBLEM && !e->journal)
                (void)journal_open(&options, JOURNAL_READ, &e->journal, NULL); /* for the rows below */
}

static void look_lmdb(Engine *e, Finding *f) {
        JournalStat stat;
        Error why = ERROR_INIT;
        char used[32], map[32];
        if (!e->journal) {
                found(f, FINDING_OK, NULL, "no journal is open");
                return;
        }
        if (journal_stat(e->journal, &stat, &why) < 0) {
                found_error(f, FINDING_PROBLEM, &why);
                return;
        }
        size_format(stat.bytes_used, used);
        size_format(stat.map_size, map);
        if (stat.bytes_used > stat.map_size / 4 * 3)
                found(f, FINDING_WARNING, "Lower retention.transactions.", "%s of %s used", used, map);
        found(f, FINDING_OK, NULL, "LMDB %s, format %u, %s of %s used", stat.lmdb_version, stat.format, used, map);
}

static void look_open(Engine *e, Finding *f) {
        _cleanup_(value_freep) Value *rows = NULL, *unchecked = NULL;
        Error why = ERROR_INIT;
        int r = engine_rows(e, "open/", 0, &rows, &why);
        if (r == 0)
                r = engine_rows(e, "unchecked/", 0, &unchecked, &why);
        if (r < 0) {
                found_error(f, FINDING_PROBLEM, &why);
                return;
        }
        if (value_count(unchecked) > 0)
                found(f, FINDING_PROBLEM, "Run \"pawl check\".",
                      "on hold since the journal was repaired: %zu of the services", value_count(unchecked));
        for (size_t i = 0; i < value_count(rows); i++) {
                const Value *row = rows->map.entries[i].value;
                OpenState state = engine_open_state(e, row, NULL);
                if (state == OPEN_LIVE)
                        continue;
                found(f, FINDING_PROBLEM,
                      state == OPEN_INTERRUPTED ? "Run \"pawl recover\"." : "\"pawl recover --dry-run\" shows why.",
                      "transaction %" PRId64 " (%s of %s) %s", value_get_int(row, "tx", 0),
                      value_get_text_or(row, "flow", "a flow"), value_get_text_or(row, "service", "?"),
                      state == OPEN_INTERRUPTED ? "was interrupted" : "is on hold");
        }
        found(f, FINDING_OK, NULL, "%s",
              value_count(rows) > 0 ? "a flow is running now" : "every transaction is settled");
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
        const char *name;
        void (*look)(Engine *e, Finding *f);
} doctor_rows[] = {
        {"version",       look_version},
        {"rights",        look_rights},
        {"file system",   look_file_system},
        {"free space",    look_space},
        {"clock",         look_clock},
        {"systemd",       look_systemd},
        {"nginx",         look_nginx},
        {"recovery",      look_boot},
        {"configuration", look_config},
        {"specs",         look_specs},
        {"directories",   look_directories},
        {"managers",      look_managers},
        {"seal key",      look_key},
        {"journal",       look_journal},
        {"database",      look_lmdb}, /* after the journal: it may have opened it */
        {"transactions",  look_open},
        {"ports",         look_ports},
};
/* clang-format on */

static int finding_add(const char *name, const Finding *f, Value *list, Error *err) {
        Value *item = value_new_map();
        int r = value_append(list, item, err);
        if (r == 0)
                r = value_set_text(item, "name", name, err);
        if (r == 0)
                r = value_set_text(item, "state", finding_words[f->state], err);
        if (r == 0)
                r = value_set_text(item, "text", f->text, err);
        return r < 0 ? r : value_set_text(item, "hint", f->hint, err);
}

int engine_doctor(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map(), *list = value_new_array();
        size_t n_problems = 0;
        int r = result && list ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(doctor_rows); i++) {
                Finding f = {.state = FINDING_OK};
                doctor_rows[i].look(e, &f);
                n_problems += f.state == FINDING_PROBLEM;
                r = finding_add(doctor_rows[i].name, &f, list, err);
        }
        if (r == 0)
                r = value_set(result, "checks", TAKE_PTR(list), err);
        if (r == 0)
                r = value_set_int(result, "problems", (int64_t)n_problems, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        if (n_problems == 0)
                return 0;
        return error_set(err, -ENOTRECOVERABLE, ERR_FAILED, NULL, "%zu of the checks found a problem", n_problems);
}
