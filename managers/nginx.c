/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "nginx": its test, and the reload that a change of its files owes.
 *
 * Three roles: "test" is a check in front of the change, and tells an error that is somebody else's from ours; "owe"
 * and "pay" are the bracket around it. A reload is a signal to the master and has no answer: that it was taken over is
 * seen by its workers, every one of which must be younger than the signal. The files are tested in front of every
 * reload; a master that is told to read what it refuses would go on as before, but fail at its next start.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "managers/child.h"
#include "managers/procfs.h"

#define NGINX_TEST_USEC (30 * USEC_PER_SEC)
#define NGINX_RELOAD_USEC (10 * USEC_PER_SEC)
#define NGINX_POLL_USEC (10 * USEC_PER_MSEC)
#define NGINX_DUMP_MAX (16u << 20)
#define NGINX_LOG_MAX (64u << 10)

/* clang-format off */
static const Field nginx_args[] = {
        {1, "role",     FIELD_TEXT, FIELD_REQUIRED,              1, NULL}, /* test, owe, pay */
        {2, "program",  FIELD_TEXT, FIELD_REQUIRED,              1, NULL},
        {3, "config",   FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL}, /* etc/nginx/nginx.conf */
        {4, "pid",      FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL}, /* of the master */
        {5, "log",      FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH, 1, NULL}, /* where it says why it did not reload */
        {6, "needs",    FIELD_TEXT, FIELD_PATH,                  1, NULL}, /* pay: a file that the configuration must read */
        {7, "host",     FIELD_TEXT, 0,                           1, NULL}, /* pay: a name that must be nobody else's */
        {8, "tolerant", FIELD_BOOL, 0,                           1, NULL}, /* pay: what cannot be reloaded is a warning: the service goes */
        FIELD_END,
};
static const Field nginx_before[] = {
        {1, "boot",     FIELD_BYTES, FIELD_REQUIRED, 1, NULL},
        {2, "since",    FIELD_INT,   FIELD_REQUIRED, 1, NULL}, /* clock ticks since boot: workers from before have loaded nothing of ours */
        FIELD_END,
};
/* clang-format on */

typedef enum NginxRole { NGINX_TEST, NGINX_OWE, NGINX_PAY } NginxRole;

static NginxRole role_of(const Value *args) {
        static const char *const names[] = {[NGINX_TEST] = "test", [NGINX_OWE] = "owe", [NGINX_PAY] = "pay"};
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(value_get_text_or(args, "role", ""), names[i]) == 0)
                        return (NginxRole)i;
        return NGINX_TEST;
}

static int64_t ticks_now(void) {
        return (int64_t)(clock_boot_usec() / (USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK)));
}

/* ---- Its processes ----------------------------------------------------------------------------------------------- */

/* 0: it does not run. */
static int master_pid(const Host *host, const Value *args) {
        _cleanup_free_ char *text = NULL;
        char command[256];
        ProcessInfo p;
        size_t size;
        if (fs_read(host->root, value_get_text(args, "pid"), 64, &text, &size, NULL) < 0)
                return 0;
        int pid = (int)strtol(text, NULL, 10);
        if (procfs_info(pid, &p) < 0 || p.is_dead)
                return 0;
        procfs_command(pid, command);
        return strncmp(command, "nginx: master process", 21) == 0 ? pid : 0;
}

typedef struct Workers {
        int master;
        uint64_t since;
        size_t n_old, n_new; /* from before and after; those that only end what they began do not count */
} Workers;

static int worker_count(void *userdata, const ProcessInfo *p) {
        Workers *w = userdata;
        char command[256];
        if (p->parent != w->master || p->is_dead)
                return 0;
        procfs_command(p->pid, command);
        if (strncmp(command, "nginx: worker process", 21) != 0 || strstr(command, "shutting down"))
                return 0;
        if (p->start_time >= w->since)
                w->n_new++;
        else
                w->n_old++;
        return 0;
}

static Workers workers_look(int master, int64_t since) {
        Workers w = {.master = master, .since = (uint64_t)since};
        (void)procfs_each(worker_count, &w);
        return w;
}

/* ---- Its test ---------------------------------------------------------------------------------------------------- */

/* The first line that says why: "nginx: [emerg] unknown directive "x" in /etc/…:3" without what is in front. */
static void first_problem(const char *errors, char *ret, size_t size) {
        const char *at = strstr(errors, "[emerg] ");
        at = at ? at + strlen("[emerg] ") : errors;
        size_t n = strspn(at, "0123456789#"); /* "4711#4711: ", as in a log */
        at += strncmp(at + n, ": ", 2) == 0 ? n + 2 : 0;
        (void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
        text_clean(ret);
}

#define NGINX_REFUSES 1
/* 0, NGINX_REFUSES with the reason, or negative: it could not be asked. */
static int test_run(const Host *host, const Value *args, ChildResult *ret, Error *err) {
        _cleanup_free_ char *config = host_path(host, value_get_text(args, "config")),
                            *program = strdup(value_get_text(args, "program")), *prefix = host_path(host, "");
        char dump[] = "-T", flag_c[] = "-c", flag_p[] = "-p", flag_e[] = "-e", errors[] = "stderr";
        if (!config || !program || !prefix)
                return error_no_memory(err);
        bool is_real = strcmp(host->root_path, "/") == 0;
        char *const argv[] = {program, dump, flag_c, config, is_real ? NULL : flag_p, prefix, flag_e, errors, NULL};
        ChildRun run = {.argv = argv, .max_output = NGINX_DUMP_MAX, .timeout_usec = NGINX_TEST_USEC};
        int r = child_run(host, &run, ret, err);
        if (r == -ENOENT)
                return error_set(err, r, ERR_NOT_FOUND, "Install it: \"apt-get install nginx\".",
                                 "nginx is not installed");
        if (r < 0)
                return error_context(err, r, "could not test the configuration of nginx");
        return ret->status == 0 ? 0 : NGINX_REFUSES;
}

static int not_running(Error *err) {
        return error_set(err, -ESRCH, ERR_FAILED, "Start it (\"systemctl start nginx\"), then apply again.",
                         "nginx is not running");
}

/* In front of the change: whatever is wrong now is not ours. */
static int test_before(const Host *host, const Value *args, Error *err) {
        _cleanup_child_result_ ChildResult result = {0};
        char why[512];
        int r = test_run(host, args, &result, err);
        if (r < 0)
                return r;
        if (r == 0)
                return master_pid(host, args) > 0 ? 0 : not_running(err);
        first_problem(result.errors, why, sizeof(why));
        return error_set(err, -EINVAL, ERR_FAILED, "Mend that (\"nginx -t\" shows it), then apply again.",
                         "the configuration of nginx was broken before pawl touched it: %s", why);
}

static bool is_read(const Host *host, const char *path, const char *dump) {
        _cleanup_free_ char *full = host_path(host, path);
        _cleanup_free_ char *line = full ? text_format("# configuration file %s:\n", full) : NULL;
        return line && strstr(dump, line);
}

/* nginx only warns of a name that two server blocks have, and lets the first have it. */
static bool is_conflicting(const char *host_name, const char *errors) {
        _cleanup_free_ char *text = text_format("conflicting server name \"%s\"", host_name);
        return text && strstr(errors, text);
}

/* Behind the change. */
static int test_after(const Host *host, const Value *args, Error *err) {
        _cleanup_child_result_ ChildResult result = {0};
        const char *needs = value_get_text(args, "needs"), *name = value_get_text(args, "host");
        char why[512];
        int r = test_run(host, args, &result, err);
        if (r < 0)
                return r;
        first_problem(result.errors, why, sizeof(why));
        if (r == NGINX_REFUSES)
                return error_set(err, -EINVAL, ERR_FAILED, "\"nginx -t\" shows what it has against the rest.",
                                 "nginx refuses the new configuration: %s", why);
        if (needs && !is_read(host, needs, result.output))
                return error_set(
                        err, -ENOENT, ERR_FAILED,
                        "\"pawl init\" makes that file; write \"include\" with its name into the server block that shall have the route.",
                        "nothing in the configuration of nginx includes \"/%s\"", needs);
        if (name && is_conflicting(name, result.errors))
                return error_set(err, -EEXIST, ERR_IN_USE, "\"nginx -T\" shows which.",
                                 "another server block of nginx has the name \"%s\"", name);
        return 0;
}

/* ---- Its reload -------------------------------------------------------------------------------------------------- */

static off_t log_size(const Host *host, const Value *args) {
        struct stat st;
        return fs_stat(host->root, value_get_text(args, "log"), &st, NULL) == 0 ? st.st_size : 0;
}

static int not_reloaded(const Host *host, const Value *args, off_t from, Error *err) {
        _cleanup_free_ char *text = NULL;
        char why[512] = "its workers are still the old ones";
        _cleanup_close_ int fd = fs_open(host->root, value_get_text(args, "log"), O_RDONLY | O_NONBLOCK, NULL);
        size_t size = 0;
        if (fd >= 0 && lseek(fd, from, SEEK_SET) >= 0 && fs_read_fd(fd, NGINX_LOG_MAX, &text, &size, NULL) == 0 &&
            strstr(text, "[emerg] "))
                first_problem(text, why, sizeof(why));
        return error_set(err, -EIO, ERR_FAILED, "Its error log says more.",
                         "nginx did not take its new configuration over: %s", why);
}

/* Waits until every worker is younger than the signal. */
static int reload(const Host *host, const Value *args, int master, Error *err) {
        off_t from = log_size(host, args);
        int64_t since = ticks_now();
        /* The start of a process is known to a hundredth of a second: those that were there must not look like those
         * that come. */
        while (ticks_now() <= since)
                clock_sleep_usec(NGINX_POLL_USEC);
        since++;
        if (kill(master, SIGHUP) < 0)
                return error_set_errno(err, -errno, NULL, "could not tell nginx (process %d) to reload", master);
        uint64_t until = clock_boot_usec() + NGINX_RELOAD_USEC;
        for (;;) {
                Workers w = workers_look(master, since);
                if (w.n_new > 0 && w.n_old == 0)
                        return 0;
                if (clock_boot_usec() >= until)
                        return not_reloaded(host, args, from, err);
                clock_sleep_usec(NGINX_POLL_USEC);
        }
}

static int pay(const Host *host, const Value *args, StepResult *ret, Error *err) {
        bool is_tolerant = value_get_bool(args, "tolerant", false);
        int master = master_pid(host, args);
        Error why = ERROR_INIT;
        *ret = (StepResult){CHANGE_UNCHANGED, NULL};
        if (master == 0) /* its next start reads what is there */
                return is_tolerant ? 0 : not_running(err);
        int r = test_after(host, args, &why);
        if (r == 0)
                r = reload(host, args, master, &why);
        if (r < 0 && is_tolerant && r != -ECANCELED) {
                host_log(host, LOG_WARNING, "nginx was not reloaded and still has the old route: %s", why.message);
                return 0;
        }
        if (r < 0) {
                if (err)
                        *err = why;
                return r;
        }
        ret->change = CHANGE_CHANGED;
        return 0;
}

/* The files are back. Where nothing was loaded since they were changed there is nothing to load again, should
 * somebody else's error forbid it. */
static int revert_owe(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_child_result_ ChildResult result = {0};
        char why[512];
        int master = master_pid(host, args);
        if (master == 0)
                return 0;
        int r = test_run(host, args, &result, err);
        if (r == 0)
                return reload(host, args, master, err);
        bool has_loaded =
                !boot_is(before, host->boot) || workers_look(master, value_get_int(before, "since", 0)).n_new > 0;
        if (!has_loaded)
                return 0;
        if (r < 0)
                return r;
        first_problem(result.errors, why, sizeof(why));
        return error_set(err, -EINVAL, ERR_FAILED,
                         "Mend that (\"nginx -t\" shows it); \"pawl recover\" then reloads nginx.",
                         "nginx cannot be reloaded, its configuration is broken: %s", why);
}

/* ---- The manager ------------------------------------------------------------------------------------------------- */

static int check(const Host *host, const Value *args, Error *err) {
        return args ? test_before(host, args, err) : 0;
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        (void)args;
        _cleanup_(value_freep) Value *before = value_new_map();
        int r = before ? value_set_bytes(before, "boot", host->boot, BOOT_ID_SIZE, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(before, "since", ticks_now() + 1, err);
        if (r == 0)
                *ret_before = TAKE_PTR(before);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        *ret = (StepResult){CHANGE_UNCHANGED, NULL};
        switch (role_of(args)) {
        case NGINX_TEST:
                return test_before(host, args, err);
        case NGINX_OWE:
                return 0;
        case NGINX_PAY:
                return pay(host, args, ret, err);
        }
        return 0;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        return role_of(args) == NGINX_OWE ? revert_owe(host, args, before, err) : 0;
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        (void)err;
        int master = master_pid(host, args);
        bool is_loaded = master == 0 || (boot_is(before, host->boot) &&
                                         workers_look(master, value_get_int(before, "since", 0)).n_new > 0);
        *ret = role_of(args) == NGINX_OWE || is_loaded ? PROBE_AFTER : PROBE_PARTIAL;
        return 0;
}

static int describe(const Value *args, char **ret, Error *err) {
        static const char *const lines[] = {[NGINX_TEST] = "test the configuration of nginx",
                                            [NGINX_OWE] = "reload nginx (when put back)",
                                            [NGINX_PAY] = "test and reload nginx"};
        char *line = strdup(lines[role_of(args)]);
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_nginx;
const Manager manager_nginx = {
        .id = 16,
        .name = "nginx",
        .version = 1,
        .reach = REACH_VOLATILE,
        .is_rootable = true,
        .args = nginx_args,
        .before = nginx_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
