/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: root, configuration, host key, journal. Nothing of the host changes here but what pawl itself
 * needs to begin. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/body.h"
#include "core/engine_state.h"
#include "core/rows.h"
#include "core/secrets.h"
#include "core/shared.h"

/* clang-format off */
static const struct {
        const char *path;
        mode_t mode;
} engine_dirs[] = {
        {"opt/pawl",             0755},
        {"etc/pawl",             0755},
        {"etc/pawl/services.d",  0755},
        {"etc/pawl/conf.d",      0755},
        {"var/lib/pawl",         0755},
        {MARK_OPEN_DIR,          0755},
        {"var/lib/pawl-data",    0755},
        {"var/log/pawl",         0755},
        {"run/pawl",             0755},
        {LOCK_DIR,               0755},
        {"run/pawl/step",        0755},
        {MARK_WHOLE_DIR,         0755},
};
/* clang-format on */

void engine_say(Engine *e, int level, const char *format, ...) {
        char buf[2048];
        va_list ap;
        va_start(ap, format);
        vsnprintf(buf, sizeof(buf), format, ap);
        va_end(ap);
        text_clean(buf);
        if (level == LOG_WARNING)
                (void)value_append_text(e->warnings, buf, NULL);
        if (e->calls.line)
                e->calls.line(e->calls.userdata, level, buf);
}

static void host_said(void *userdata, LogLevel level, const char *text) {
        engine_say(userdata, (int)level, "%s", text);
}

static void host_progressed(void *userdata, const char *what, uint64_t done, uint64_t total) {
        Engine *e = userdata;
        if (e->calls.progress)
                e->calls.progress(e->calls.userdata, what, done, total);
}

Host engine_host(const Engine *e, uint64_t tx, uint32_t step, bool can_cancel) {
        Host host = e->host;
        host.tx = tx;
        host.step = step;
        host.cancel = can_cancel ? e->cancel : NULL;
        return host;
}

const Value *engine_config(const Engine *e) {
        return e->config;
}

const Value *engine_config_origins(const Engine *e) {
        return e->origins;
}

Engine *engine_free(Engine *e) {
        if (!e)
                return NULL;
        journal_free(e->journal);
        http_free(e->http);
        bus_free(e->bus);
        seal_key_free(e->host_key);
        value_free(e->config);
        value_free(e->origins);
        value_free(e->warnings);
        shared_release(e, NULL);
        fd_close(&e->root);
        free(e->root_path);
        free(e->config_why);
        free(e->actor);
        free(e->request_id);
        free(e);
        return NULL;
}

/* ---- Who asks ---------------------------------------------------------------------------------------------------- */

static char *actor_name(void) {
        char host[256] = "";
        const char *operator= getenv("PAWL_OPERATOR"), *sudo = getenv("SUDO_USER");
        if (operator&& * operator)
                return strdup(operator);
        (void)gethostname(host, sizeof(host) - 1);
        struct passwd *pw = getpwuid(getuid());
        const char *user = pw ? pw->pw_name : "?";
        return sudo && *sudo ? text_format("%s@%s (sudo)", sudo, host) : text_format("%s@%s", user, host);
}

/* ---- Root -------------------------------------------------------------------------------------------------------- */

static int root_open(Engine *e, const char *root, Error *err) {
        char path[4096];
        if (!realpath(root, path)) {
                int r = -errno;
                return error_set_errno(err, r, "Make the directory first.", "could not open the root \"%s\"", root);
        }
        e->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (e->root < 0) {
                int r = -errno;
                return error_set_errno(err, r, NULL, "could not open the root \"%s\"", root);
        }
        e->is_real_root = strcmp(path, "/") == 0;
        e->root_path = strdup(path);
        return e->root_path ? 0 : error_no_memory(err);
}

static int dirs_make(Engine *e, Error *err) {
        for (size_t i = 0; i < ELEMENTSOF(engine_dirs); i++) {
                bool is_there = false;
                int r = fs_has(e->root, engine_dirs[i].path, &is_there, err);
                if (r == 0 && !is_there)
                        r = fs_mkdir_all_durably(e->root, engine_dirs[i].path, engine_dirs[i].mode, FS_OWNER_KEEP, NULL,
                                                 err);
                if (r == -EACCES || r == -EPERM)
                        error_hint(err, "Run it as root, or try it out under another root: --root DIR.");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int promise_of(Engine *e, const char *path, const char **ret_name, Error *err) {
        FsPromise promise = FS_PROMISE_NONE;
        _cleanup_close_ int fd = fs_open_dir(e->root, path, err);
        if (fd < 0)
                return fd;
        int r = fs_promise(fd, &promise, ret_name, err);
        if (r < 0)
                return r;
        if (promise == FS_PROMISE_REFUSED)
                return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "Put it on a local file system (ext4, xfs, btrfs).",
                                 "\"/%s\" is on %s, where locks and renames cannot be trusted", path, *ret_name);
        return 0;
}

/* Of the journal, and of everything that is switched by a rename. */
static int promise_check(Engine *e, const char **ret_name, Error *err) {
        const char *ignored;
        int r = promise_of(e, "opt/pawl", &ignored, err);
        if (r == 0)
                r = promise_of(e, "etc/pawl", &ignored, err);
        return r < 0 ? r : promise_of(e, PAWL_DIR, ret_name, err);
}

int engine_settle_disk(Engine *e, Error *err) {
        int r = fs_settle(e->root, "opt/pawl", err);
        if (r == 0)
                r = fs_settle(e->root, "etc/pawl", err);
        return r < 0 ? r : fs_settle(e->root, "var/lib/pawl-data", err);
}

/* ---- Journal ----------------------------------------------------------------------------------------------------- */

int engine_journal_options(const Engine *e, JournalOptions *ret, Error *err) {
        (void)err;
        *ret = (JournalOptions){.root = e->root, .dir = PAWL_DIR, .lock_dir = LOCK_DIR};
        memcpy(ret->boot, e->boot, sizeof(ret->boot));
        return 0;
}

static int genesis_body(Engine *e, const char *promise, uint8_t **ret, size_t *ret_size, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        uint8_t nonce[16];
        char host[256] = "";
        int r;
        random_bytes(nonce, sizeof(nonce));
        (void)gethostname(host, sizeof(host) - 1);
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_bytes(v, "nonce", nonce, sizeof(nonce), err)) < 0 ||
            (r = value_set_text(v, "root", e->root_path, err)) < 0 ||
            (r = value_set_text(v, "promise", promise, err)) < 0 ||
            (r = value_set_text(v, "pawl", PAWL_VERSION, err)) < 0 || (r = value_set_text(v, "host", host, err)) < 0)
                return r;
        return body_encode(RECORD_GENESIS, v, NULL, ret, ret_size, err);
}

/* Root at work in somebody else's root would leave files there that its owner cannot use. */
static int owner_check(Engine *e, Error *err) {
        struct stat st;
        int r = fs_stat(e->root, PAWL_DIR, &st, err);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (st.st_uid == geteuid())
                return 0;
        return error_set(err, -EPERM, ERR_PERMISSION, "Run it as that user.", "\"%s\" belongs to user %u", e->root_path,
                         (unsigned)st.st_uid);
}

int engine_hint_owner(const Engine *e, int r, Error *err) {
        if ((r == -EACCES || r == -EPERM) && err && !err->hint[0])
                error_hint(err, "Run it as the user who owns \"%s%s" PAWL_DIR "\", or as root.", e->root_path,
                           e->is_real_root ? "" : "/");
        return r;
}

static int open_for_writing(Engine *e, Error *err) {
        _cleanup_free_ uint8_t *genesis = NULL;
        JournalOptions options;
        const char *promise = "?";
        int r = owner_check(e, err);
        if (r == 0)
                r = dirs_make(e, err);
        if (r == 0)
                r = promise_check(e, &promise, err);
        if (r == 0)
                r = secrets_host_key(e->root, true, &e->host_key, err);
        if (r == 0)
                r = engine_journal_options(e, &options, err);
        if (r == 0)
                r = genesis_body(e, promise, &genesis, &options.n_genesis, err);
        if (r < 0)
                return r;
        options.genesis = genesis;
        return engine_hint_owner(e, journal_open(&options, JOURNAL_CREATE, &e->journal, err), err);
}

static int open_for_reading(Engine *e, Error *err) {
        JournalOptions options;
        int r = engine_journal_options(e, &options, err);
        if (r < 0)
                return r;
        Error why = ERROR_INIT;
        r = journal_open(&options, JOURNAL_READ, &e->journal, &why);
        /* None yet is an empty host; one that is gone is not. */
        if (r == -ENOENT && why.code == ERR_NONE)
                return 0;
        if (r < 0 && err)
                *err = why;
        return engine_hint_owner(e, r, err);
}

/* ---- Open -------------------------------------------------------------------------------------------------------- */

/* A request id becomes part of a row's key. */
static int request_id_check(const char *id, Error *err) {
        size_t n = id ? strlen(id) : 1;
        if (n > 0 && n <= 128 &&
            (!id || strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == n))
                return 0;
        return error_set(err, -EINVAL, ERR_USAGE, "Use 1 to 128 of A-Z a-z 0-9 . _ : -", "the request id is not one");
}

static int state_init(Engine *e, const EngineOptions *options, Error *err) {
        int r = request_id_check(options->request_id, err);
        if (r < 0)
                return r;
        e->access = options->access;
        e->cancel = options->cancel;
        if (options->calls)
                e->calls = *options->calls;
        e->host_calls = (HostCalls){.log = host_said, .progress = host_progressed, .userdata = e};
        e->warnings = value_new_array();
        e->actor = options->actor ? strdup(options->actor) : actor_name();
        e->request_id = options->request_id ? strdup(options->request_id) : NULL;
        if (e->actor)
                text_clean(e->actor);
        if (!e->warnings || !e->actor || (options->request_id && !e->request_id))
                return error_no_memory(err);
        return boot_identity(e->boot, err);
}

static int host_init(Engine *e, Error *err) {
        const char *ca_file = value_get_text(e->config, "http.ca_file");
        HttpOptions http = {.user_agent = "pawl/" PAWL_VERSION, .ca_file = ca_file && *ca_file ? ca_file : NULL};
        int r = http_new(&http, &e->http, err);
        if (r == 0)
                r = bus_new(&e->bus, err);
        if (r < 0)
                return r;
        e->wait_usec = (uint64_t)value_get_int(e->config, "wait", 0);
        e->host = (Host){.root = e->root,
                         .root_path = e->root_path,
                         .config = e->config,
                         .calls = &e->host_calls,
                         .http = e->http,
                         .bus = e->bus};
        memcpy(e->host.boot, e->boot, sizeof(e->boot));
        if (e->journal)
                hex_encode(journal_id(e->journal), 4, e->host.tag);
        return 0;
}

static int config_open(Engine *e, const EngineOptions *options, Error *err) {
        Error why = ERROR_INIT;
        int r = config_load(e->root, options->overrides, options->n_overrides, &e->config, &e->origins, &why);
        if (r == 0)
                return 0;
        if (options->is_early) {
                engine_say(e, LOG_WARNING, "%s; going on with the defaults", why.message);
        } else if (e->access != ENGINE_DOCTOR) {
                if (err)
                        *err = why;
                return r;
        }
        e->config_why = malloc(sizeof(Error));
        if (!e->config_why)
                return error_no_memory(err);
        *e->config_why = why;
        return config_defaults(&e->config, &e->origins, err);
}

int engine_open(const EngineOptions *options, Engine **ret, Error *err) {
        _cleanup_(engine_freep) Engine *e = calloc(1, sizeof(Engine));
        if (!e)
                return error_no_memory(err);
        e->root = -1;
        for (size_t i = 0; i < SHARED_COUNT; i++)
                e->shared[i] = -1;
        int r = state_init(e, options, err);
        if (r == 0)
                r = root_open(e, options->root ? options->root : "/", err);
        if (r == 0)
                r = config_open(e, options, err);
        if (r == 0 && e->access == ENGINE_WRITE)
                r = open_for_writing(e, err);
        if (r == 0 && e->access == ENGINE_READ)
                r = open_for_reading(e, err);
        if (r == 0)
                r = host_init(e, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

int engine_row(Engine *e, const char *key, Value **ret, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        _cleanup_(value_freep) Value *row = NULL;
        _cleanup_(seal_key_freep) SealKey *seal = NULL;
        if (!e->journal)
                return -ENOENT;
        int r = journal_row(e->journal, key, &list, err);
        if (r < 0)
                return r;
        r = body_decode_row(&list.rows[0], NULL, &row, err);
        if (r < 0)
                return r;
        if (e->host_key && value_has_secret(row)) {
                r = secrets_tx_key(e->journal, e->host_key, (uint64_t)value_get_int(row, "tx", 0), &seal, err);
                if (r == -ENOENT)
                        return error_set(
                                err, -ENOKEY, ERR_SEAL_KEY,
                                "\"pawl remove\" works without it and keeps the data; then deploy the service again.",
                                "the key of the secrets in \"%s\" is gone", key);
                if (r == 0)
                        r = unseal_tree(seal, row, err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(row);
        return 0;
}

int engine_rows(Engine *e, const char *prefix, size_t limit, Value **ret, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        _cleanup_(value_freep) Value *map = value_new_map();
        int r = map ? 0 : error_no_memory(err);
        if (r == 0 && e->journal)
                r = journal_rows(e->journal, prefix, limit, &list, err);
        for (size_t i = 0; r == 0 && i < list.n; i++) {
                Value *row = NULL;
                r = body_decode_row(&list.rows[i], NULL, &row, err);
                if (r == 0)
                        r = value_set(map, list.rows[i].key, row, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(map);
        return 0;
}

int engine_has_open(Engine *e, const char *service, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        int r = engine_rows(e, "open/", 0, &rows, err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++)
                r = strcmp(value_get_text_or(rows->map.entries[i].value, "service", ""), service) == 0;
        return r;
}

int engine_services(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL, *names = value_new_array();
        int r = names ? engine_rows(e, "service/", 0, &rows, err) : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(rows); i++)
                r = value_append_text(names, rows->map.entries[i].name + strlen("service/"), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

static void suggest_service(Engine *e, const char *service, Error *err) {
        _cleanup_(value_freep) Value *names = NULL;
        if (engine_services(e, &names, NULL) < 0)
                return;
        _cleanup_free_ const char **list = calloc(value_count(names) + 1, sizeof(char *));
        for (size_t i = 0; list && i < value_count(names); i++)
                list[i] = value_text(value_at(names, i));
        const char *near = list ? text_nearest(service, list) : NULL;
        if (near)
                error_hint(err, "Did you mean \"%s\"? \"pawl list\" shows all services.", near);
}

int engine_service_row(Engine *e, const char *service, Value **ret, Error *err) {
        char key[ROW_KEY_MAX];
        int r = row_key(key, "service/%s", service);
        if (r > 0)
                r = engine_row(e, key, ret, err);
        if (r != -ENOENT && r != -ENAMETOOLONG)
                return r;
        r = error_set(err, -ENOENT, ERR_NO_SERVICE,
                      "Run \"pawl list\" to see the services, \"pawl deploy\" to make one.",
                      "there is no service \"%s\"", service);
        suggest_service(e, service, err);
        return r;
}
