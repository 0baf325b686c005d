/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "user": a system user and its group of the same name, made by the host's own programs (useradd and its
 * family), which know its conventions.
 *
 * The user's comment says whose it is: "pawl <tag>-<tx>". A group has no place for a mark; its number does, which the
 * plan chose because nobody had it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/child.h"
#include "managers/procfs.h"

#define CHILD_USEC (30 * USEC_PER_SEC)
#define LOCK_ATTEMPTS 50 /* of a program that finds the files locked, */
#define LOCK_WAIT_USEC (200 * USEC_PER_MSEC)
#define LOCK_PATIENCE 10     /* after so many it is asked who holds them */
#define LOCK_STATUS 1        /* what it exits with then: users, */
#define LOCK_STATUS_GROUP 10 /* groups */
#define LOCK_SIZE 64
#define ARGV_MAX 20

/* clang-format off */
static const Field user_args[] = {
        {1, "name",    FIELD_TEXT, FIELD_REQUIRED, 1, NULL},
        {2, "uid",     FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        {3, "gid",     FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        {4, "present", FIELD_BOOL, FIELD_REQUIRED, 1, NULL}, /* false: it goes */
        FIELD_END,
};
static const Field user_before[] = {
        {1, "existed",       FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {2, "group_existed", FIELD_BOOL, FIELD_REQUIRED, 1, NULL},
        {3, "comment",       FIELD_TEXT, 0,              1, NULL},
        {4, "home",          FIELD_TEXT, 0,              1, NULL},
        {5, "shell",         FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};
/* clang-format on */

/* ---- Looking: the files alone, so that recovery early in a boot asks no server ----------------------------------- */

typedef struct View {
        bool has_user, has_group;
        bool is_same;  /* the user has these numbers, */
        bool is_ours;  /* and a comment of this pawl's journal, */
        bool is_fresh; /* and of this very transaction */
        bool group_is_same;
        char comment[128], home[256], shell[128];
} View;

static FILE *account_file(const Host *host, const char *path) {
        int fd = openat(host->root, path, O_RDONLY | O_CLOEXEC);
        FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
        if (!f)
                fd_close(&fd);
        return f;
}

static void file_close(FILE **f) {
        if (*f)
                (void)fclose(*f);
}

static void view_user(const Host *host, const Value *args, const struct passwd *pw, View *v) {
        char any[32], fresh[64];
        (void)snprintf(any, sizeof(any), "pawl %s-", host->tag);
        (void)snprintf(fresh, sizeof(fresh), "pawl %s-%llu", host->tag, (unsigned long long)host->tx);
        v->has_user = true;
        v->is_same = (int64_t)pw->pw_uid == value_get_int(args, "uid", -1) &&
                     (int64_t)pw->pw_gid == value_get_int(args, "gid", -1);
        v->is_ours = v->is_same && strncmp(pw->pw_gecos, any, strlen(any)) == 0;
        v->is_fresh = v->is_same && strcmp(pw->pw_gecos, fresh) == 0;
        (void)snprintf(v->comment, sizeof(v->comment), "%s", pw->pw_gecos);
        (void)snprintf(v->home, sizeof(v->home), "%s", pw->pw_dir);
        (void)snprintf(v->shell, sizeof(v->shell), "%s", pw->pw_shell);
}

static int view_look(const Host *host, const Value *args, View *ret, Error *err) {
        _cleanup_(file_close) FILE *passwd = account_file(host, "etc/passwd"), *group = account_file(host, "etc/group");
        const char *name = value_get_text(args, "name");
        const struct passwd *pw;
        const struct group *gr;
        View v = {0};
        if (!passwd || !group)
                return error_set_errno(err, -errno, NULL, "could not read the users of this host");
        while ((pw = fgetpwent(passwd)))
                if (strcmp(pw->pw_name, name) == 0)
                        view_user(host, args, pw, &v);
        while ((gr = fgetgrent(group)))
                if (strcmp(gr->gr_name, name) == 0) {
                        v.has_group = true;
                        v.group_is_same = (int64_t)gr->gr_gid == value_get_int(args, "gid", -1);
                }
        if (ferror(passwd) || ferror(group)) /* who was not reached is not missing */
                return error_set_errno(err, -EIO, NULL, "could not read the users of this host");
        *ret = v;
        return 0;
}

/* ---- The host's programs ----------------------------------------------------------------------------------------- */

static bool found_locked(const ChildResult *result) {
        return (result->status == LOCK_STATUS || result->status == LOCK_STATUS_GROUP) && strstr(result->errors, "lock");
}

/* A lock file holds the number of the process that made it. One that is older than the process of that number is of
 * a program that died with the power; the host's programs take it for held for as long as somebody has that number.
 * The second more is what the kernel's ticks do not tell. */
static bool lock_is_stale(const Host *host, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        struct stat st;
        ProcessInfo holder;
        Error ignored = ERROR_INIT;
        if (fs_stat(host->root, path, &st, &ignored) < 0 ||
            fs_read(host->root, path, LOCK_SIZE, &text, &size, &ignored) < 0)
                return false;
        if (procfs_info((int)strtol(text, NULL, 10), &holder) < 0)
                return false;
        int64_t booted = clock_wall_usec() - (int64_t)clock_boot_usec();
        int64_t started = booted / (int64_t)USEC_PER_SEC + (int64_t)holder.start_time / sysconf(_SC_CLK_TCK);
        return started > st.st_mtim.tv_sec + 1;
}

static int drop_stale_locks(const Host *host, Error *err) {
        static const char *const locks[] = {"etc/passwd.lock", "etc/shadow.lock", "etc/group.lock", "etc/gshadow.lock"};
        int r = 0;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(locks); i++)
                if (lock_is_stale(host, locks[i]))
                        r = fs_unlink_durably(host->root, locks[i], err);
        return r;
}

static int account_run(const Host *host, const char *const *words, Error *err) {
        char *argv[ARGV_MAX] = {0};
        _cleanup_free_ char *program = NULL;
        int r = spawn_find(words[0], &program, err);
        if (r < 0)
                return r;
        argv[0] = program;
        for (size_t i = 1; words[i] && i + 1 < ARGV_MAX; i++)
                argv[i] = (char *)words[i]; /* only read */
        for (int i = 0;; i++) {
                _cleanup_child_result_ ChildResult result = {0};
                r = child_run(host, &(ChildRun){.argv = argv, .timeout_usec = CHILD_USEC}, &result, err);
                if (r < 0 || result.status == 0)
                        return r;
                if (!found_locked(&result) || i >= LOCK_ATTEMPTS) {
                        result.errors[strcspn(result.errors, "\n")] = '\0';
                        return error_set(err, -EPROTO, ERR_FAILED, NULL, "%s failed: %s", words[0],
                                         result.errors[0] ? result.errors : "it says nothing");
                }
                clock_sleep_usec(LOCK_WAIT_USEC);
                r = i == LOCK_PATIENCE ? drop_stale_locks(host, err) : 0;
                if (r < 0)
                        return r;
        }
}

/* Those programs sync what they write, not the folder's names. */
static int accounts_sync(const Host *host, Error *err) {
        static const char *const files[] = {"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"};
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_close_ int fd = openat(host->root, files[i], O_RDONLY | O_CLOEXEC);
                int r = fd >= 0 ? fs_sync_fd(fd, err) : 0; /* a host may do without shadow files */
                if (r < 0)
                        return r;
        }
        return fs_sync_parent(host->root, files[0], err);
}

typedef struct Account {
        const char *name, *comment, *home, *shell;
        int64_t uid, gid;
} Account;

static int group_make(const Host *host, const char *name, int64_t gid, Error *err) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld", (long long)gid);
        return account_run(host, (const char *[]){"groupadd", "--system", "--gid", number, name, NULL}, err);
}

static int account_make(const Host *host, const Account *a, const View *v, Error *err) {
        char uid[24], gid[24];
        (void)snprintf(uid, sizeof(uid), "%lld", (long long)a->uid);
        (void)snprintf(gid, sizeof(gid), "%lld", (long long)a->gid);
        int r = v->has_group ? 0 : group_make(host, a->name, a->gid, err);
        fault_point("user-half-made");
        if (r == 0 && !v->has_user)
                r = account_run(host,
                                (const char *[]){"useradd", "--system", "--uid", uid, "--gid", gid, "--no-create-home",
                                                 "--home-dir", a->home, "--shell", a->shell, "--comment", a->comment,
                                                 a->name, NULL},
                                err);
        return r < 0 ? r : accounts_sync(host, err);
}

/* userdel takes the group with it where the host says so. */
static int account_drop(const Host *host, const Value *args, bool with_group, View *v, Error *err) {
        const char *name = value_get_text(args, "name");
        int r = v->has_user ? account_run(host, (const char *[]){"userdel", name, NULL}, err) : 0;
        if (r == 0)
                r = view_look(host, args, v, err);
        if (r == 0 && with_group && v->has_group && (v->group_is_same || host->is_forced))
                r = account_run(host, (const char *[]){"groupdel", name, NULL}, err);
        return r < 0 ? r : accounts_sync(host, err);
}

/* ---- The manager ------------------------------------------------------------------------------------------------- */

static bool is_wanted(const Value *args) {
        return value_get_bool(args, "present", true);
}

static int foreign(const Value *args, Error *err) {
        return error_set(err, -ESTALE, ERR_FOREIGN, "Rename it, or name another user in runtime.user.",
                         "the user \"%s\" is not the one pawl made", value_get_text(args, "name"));
}

static int check(const Host *host, const Value *args, Error *err) {
        static const char *const programs[] = {"useradd", "groupadd", "userdel", "groupdel"};
        View v;
        for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
                _cleanup_free_ char *path = NULL;
                int r = spawn_find(programs[i], &path, err);
                if (r < 0)
                        return r;
        }
        if (!args || !is_wanted(args))
                return 0;
        int r = view_look(host, args, &v, err);
        if (r < 0 || v.is_ours)
                return r;
        /* Also those that a server knows. */
        const char *name = value_get_text(args, "name");
        if (!v.has_user && !v.has_group && !getpwnam(name) && !getgrnam(name))
                return 0;
        return error_set(err, -EEXIST, ERR_EXISTS,
                         "Rename it, or say in runtime.user that the service runs as that user.",
                         "the user or group \"%s\" is there already, and pawl did not make it", name);
}

static int capture(const Host *host, const Value *args, Value **ret_before, Error *err) {
        _cleanup_(value_freep) Value *before = value_new_map();
        View v;
        int r = before ? view_look(host, args, &v, err) : error_no_memory(err);
        if (r < 0)
                return r;
        if (value_set_bool(before, "existed", v.has_user, err) < 0 ||
            value_set_bool(before, "group_existed", v.has_group, err) < 0)
                return -ENOMEM;
        if (v.has_user &&
            (value_set_text(before, "comment", v.comment, err) < 0 || value_set_text(before, "home", v.home, err) < 0 ||
             value_set_text(before, "shell", v.shell, err) < 0))
                return -ENOMEM;
        *ret_before = TAKE_PTR(before);
        return 0;
}

static int make(const Host *host, const Value *args, View *v, Change *ret, Error *err) {
        char comment[64];
        (void)snprintf(comment, sizeof(comment), "pawl %s-%llu", host->tag, (unsigned long long)host->tx);
        if ((v->has_user && !v->is_ours) || (v->has_group && !v->group_is_same))
                return foreign(args, err);
        *ret = v->has_user ? CHANGE_UNCHANGED : CHANGE_CREATED;
        return account_make(host,
                            &(Account){.name = value_get_text(args, "name"),
                                       .comment = comment,
                                       .home = "/nonexistent",
                                       .shell = "/usr/sbin/nologin",
                                       .uid = value_get_int(args, "uid", 0),
                                       .gid = value_get_int(args, "gid", 0)},
                            v, err);
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        Change change = CHANGE_UNCHANGED;
        View v;
        (void)before;
        int r = view_look(host, args, &v, err);
        if (r < 0)
                return r;
        if (is_wanted(args))
                r = make(host, args, &v, &change, err);
        else if (v.has_user && !v.is_ours)
                r = foreign(args, err);
        else {
                change = v.has_user ? CHANGE_CHANGED : CHANGE_UNCHANGED;
                r = account_drop(host, args, true, &v, err);
        }
        if (r == 0)
                *ret = (StepResult){.change = change};
        return r;
}

/* A group that was there stays, also when userdel took it. */
static int take_away(const Host *host, const Value *args, const Value *before, View *v, Error *err) {
        bool group_existed = value_get_bool(before, "group_existed", false);
        bool with_group = !group_existed || (host->is_forced && !v->group_is_same);
        int r = account_drop(host, args, with_group, v, err);
        if (r < 0 || !group_existed || v->has_group)
                return r;
        r = group_make(host, value_get_text(args, "name"), value_get_int(args, "gid", 0), err);
        return r < 0 ? r : accounts_sync(host, err);
}

static bool is_captured(const Value *before, const View *v) {
        return v->is_same && strcmp(v->comment, value_get_text_or(before, "comment", "")) == 0;
}

/* What was removed comes back with the same numbers; its password was locked, as that of every such user. */
static int bring_back(const Host *host, const Value *args, const Value *before, const View *v, Error *err) {
        if (!value_get_bool(before, "existed", false))
                return accounts_sync(host, err);
        if ((v->has_user && !is_captured(before, v)) || (v->has_group && !v->group_is_same))
                return foreign(args, err);
        return account_make(host,
                            &(Account){.name = value_get_text(args, "name"),
                                       .comment = value_get_text_or(before, "comment", ""),
                                       .home = value_get_text_or(before, "home", "/nonexistent"),
                                       .shell = value_get_text_or(before, "shell", "/usr/sbin/nologin"),
                                       .uid = value_get_int(args, "uid", 0),
                                       .gid = value_get_int(args, "gid", 0)},
                            v, err);
}

/* A person decided: whoever has the name now goes, and who was captured is there again. */
static int revert_forced(const Host *host, const Value *args, const Value *before, View *v, Error *err) {
        bool is_back = value_get_bool(before, "existed", false) && is_captured(before, v) && v->group_is_same;
        int r = is_back ? 0 : take_away(host, args, before, v, err);
        if (r == 0 && value_get_bool(before, "existed", false))
                r = view_look(host, args, v, err);
        return r < 0 ? r : bring_back(host, args, before, v, err);
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        View v;
        int r = view_look(host, args, &v, err);
        if (r < 0)
                return r;
        if (host->is_forced)
                return revert_forced(host, args, before, &v, err);
        if (!is_wanted(args))
                return bring_back(host, args, before, &v, err);
        if (value_get_bool(before, "existed", false))
                return accounts_sync(host, err);
        if (v.has_user && !v.is_fresh)
                return foreign(args, err);
        return take_away(host, args, before, &v, err);
}

static Probe probe_made(const Value *before, const View *v) {
        if (v->has_user && value_get_bool(before, "existed", false))
                return v->is_ours ? PROBE_BEFORE : PROBE_FOREIGN;
        if (v->has_user)
                return !v->is_fresh ? PROBE_FOREIGN : v->group_is_same ? PROBE_AFTER : PROBE_PARTIAL;
        return v->has_group && !value_get_bool(before, "group_existed", false) ? PROBE_PARTIAL : PROBE_BEFORE;
}

static Probe probe_removed(const Value *before, const View *v) {
        bool existed = value_get_bool(before, "existed", false);
        if (v->has_user)
                return existed && is_captured(before, v) ? PROBE_BEFORE : PROBE_FOREIGN;
        if (!existed)
                return PROBE_BEFORE;
        if (!v->has_group)
                return PROBE_AFTER;
        return v->group_is_same ? PROBE_PARTIAL : PROBE_FOREIGN;
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        View v;
        int r = view_look(host, args, &v, err);
        if (r == 0)
                *ret = is_wanted(args) ? probe_made(before, &v) : probe_removed(before, &v);
        return r;
}

static int verify(const Host *host, const Value *args, const Value *facts, Error *err) {
        View v;
        (void)facts;
        int r = view_look(host, args, &v, err);
        if (r < 0 || !is_wanted(args) || (v.is_ours && v.group_is_same))
                return r;
        return error_set(err, -ESTALE, ERR_DRIFT, NULL, "the user \"%s\" is %s", value_get_text(args, "name"),
                         v.has_user ? "not as pawl made it" : "missing");
}

static int describe(const Value *args, char **ret, Error *err) {
        *ret = text_format(is_wanted(args) ? "make the user %s (%lld)" : "remove the user %s (%lld)",
                           value_get_text_or(args, "name", ""), (long long)value_get_int(args, "uid", 0));
        return *ret ? 0 : error_no_memory(err);
}

const Manager manager_user = {
        .id = 13,
        .name = "user",
        .version = 1,
        .is_rootable = false,
        .reach = REACH_FILES,
        .args = user_args,
        .before = user_before,
        .check = check,
        .capture = capture,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        .verify = verify,
        .tidy = manager_tidy_nothing,
        .describe = describe,
};
