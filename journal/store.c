/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See store.h. Default sync mode only: no flag that trades durability for speed (the mutants show what each would
 * cost).
 *
 * The guard: while a transaction is open, SIGBUS and SIGSEGV are ours. Each call into LMDB marks where to jump back
 * to; a signal without such a mark is not ours and meets the action that was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "journal/store.h"

enum { READERS_MAX = 126, DBS_MAX = 8 };
/* No value we write is longer: 64 MiB of body and its header. */
#define VALUE_MAX ((size_t)65 << 20)

static const char *const db_names[STORE_DB_MAX] = {NULL, "records", "trails", "rows", "keys"};

/* LMDB's lock file is locked the POSIX way: whoever closes any descriptor of it has unlocked it for the whole
 * process. */
typedef struct Opened {
        dev_t dev;
        ino_t ino;
        pid_t pid; /* a child starts anew */
} Opened;
static Opened opened[8];

struct Store {
        Opened *opened;
        MDB_env *env;
        MDB_dbi dbis[STORE_DB_MAX];
        int fd; /* LMDB's */
        bool is_broken;
};

/* A jump out of LMDB's writer leaves its lock held, and its list of cursors pointing into a stack that is gone. There
 * is no way to end such a transaction: it stays as it is, this process writes no more, and its end frees the lock. */
static bool is_writer_broken;

struct StoreTxn {
        Store *store;
        MDB_txn *txn;
        MDB_cursor *cursors[STORE_DB_MAX];
        bool is_write;
        bool is_broken; /* LMDB was left in the middle of something */
};

/* ---- The guard ---- */

static _Thread_local sigjmp_buf *guard_target;
static struct sigaction guard_old_bus, guard_old_segv;
static unsigned guard_users;

static void guard_signal(int sig) {
        if (guard_target)
                siglongjmp(*guard_target, sig);
        /* Not LMDB's: back to what was there, which the repeated instruction then meets. */
        sigaction(sig, sig == SIGBUS ? &guard_old_bus : &guard_old_segv, NULL);
}

static void guard_assert(MDB_env *env, const char *text) {
        (void)env;
        (void)text;
        if (guard_target)
                siglongjmp(*guard_target, SIGABRT);
}

static void guard_enter(void) {
        if (guard_users++ > 0)
                return;
        /* SA_NODEFER: the jump leaves the handler without returning, so nothing may be blocked meanwhile. */
        struct sigaction action = {.sa_handler = guard_signal, .sa_flags = SA_NODEFER};
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &guard_old_bus);
        sigaction(SIGSEGV, &action, &guard_old_segv);
}

static void guard_leave(void) {
        if (--guard_users > 0)
                return;
        sigaction(SIGBUS, &guard_old_bus, NULL);
        sigaction(SIGSEGV, &guard_old_segv, NULL);
}

/* A call into LMDB, with everything it may need; one shape, so that one guard serves all. */
typedef struct Call {
        StoreTxn *t;
        Store *store;
        MDB_val key, value;
        MDB_cursor **cursor;
        MDB_cursor_op op;
        unsigned flags;
        StoreDb db;
        uint64_t count;
} Call;

/* Not optimised across the jump: the results live in *c, and nothing local is used after it. */
static int guarded(int (*f)(Call *), Call *c) {
        sigjmp_buf here;
        sigjmp_buf *outer = guard_target;
        if (sigsetjmp(here, 0) != 0) {
                guard_target = outer;
                if (c->t)
                        c->t->is_broken = true;
                if (c->t && c->t->is_write)
                        is_writer_broken = c->t->store->is_broken = true;
                return MDB_CORRUPTED;
        }
        guard_target = &here;
        int rc = f(c);
        guard_target = outer;
        return rc;
}

/* ---- Results ---- */

static int store_error(int rc, const char *what, Error *err) {
        switch (rc) {
        case 0:
                return 0;
        case MDB_NOTFOUND:
                return -ENOENT;
        case MDB_MAP_FULL:
        case ENOSPC:
        case MDB_TXN_FULL:
                return error_set(err, -ENOSPC, ERR_JOURNAL_FULL, "Make room on the file system of the journal.",
                                 "the journal is full: %s", mdb_strerror(rc));
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
        case MDB_BAD_DBI:
        case MDB_INCOMPATIBLE:
        case MDB_CURSOR_FULL:
        case MDB_KEYEXIST:
        case MDB_BAD_VALSIZE:
        case MDB_BAD_TXN: /* what LMDB says of a transaction that has met damage before */
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, "Run: pawl journal verify",
                                 "the journal is damaged: %s: %s", what, mdb_strerror(rc));
        case MDB_VERSION_MISMATCH:
                return error_set(err, -EPROTONOSUPPORT, ERR_JOURNAL_VERSION, "Use the pawl that wrote it.",
                                 "the journal's database is of another LMDB format");
        case ENOMEM:
                return error_no_memory(err);
        default:
                return error_set(err, rc > 0 ? -rc : -EIO,
                                 rc == EACCES || rc == EPERM ? ERR_PERMISSION : ERR_JOURNAL_IO, NULL, "%s: %s", what,
                                 mdb_strerror(rc));
        }
}

/* ---- Opening ---- */

void store_version(char *ret, size_t size) {
        int major, minor, patch;
        mdb_version(&major, &minor, &patch);
        snprintf(ret, size, "%d.%d.%d", major, minor, patch);
}

/* These carry a patch of the robust mutex that was withdrawn again in 0.9.32 because of its races (ITS#10095). */
static int check_version(Error *err) {
        int major, minor, patch;
        char text[32];
        mdb_version(&major, &minor, &patch);
        store_version(text, sizeof(text));
        if (major == 0 && minor == 9 && (patch < 26 || patch > 31))
                return 0;
        return error_set(err, -EPROTONOSUPPORT, ERR_UNSUPPORTED,
                         "Install LMDB 0.9.24, 0.9.25, or 0.9.32 or later of 0.9.", "pawl does not trust LMDB %s",
                         text);
}

static unsigned env_flags(const StoreOptions *options) {
        unsigned flags = MDB_NOTLS | (options->is_readonly ? MDB_RDONLY : 0);
        if (mutant_is("journal-nosync"))
                flags |= MDB_NOSYNC;
        if (mutant_is("journal-nometasync"))
                flags |= MDB_NOMETASYNC;
        return flags;
}

static int open_dbs_call(Call *c) {
        MDB_txn *txn = NULL;
        int rc = mdb_txn_begin(c->store->env, NULL, c->flags & MDB_CREATE ? 0 : MDB_RDONLY, &txn);
        for (int i = 0; rc == 0 && i < STORE_DB_MAX; i++)
                rc = mdb_dbi_open(txn, db_names[i], i == STORE_STATE ? 0 : c->flags & MDB_CREATE, &c->store->dbis[i]);
        if (rc == 0)
                return mdb_txn_commit(txn);
        if (txn)
                mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int open_call(Call *c) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)c->count);
        return mdb_env_open(c->store->env, path, c->flags, 0600);
}

static int open_once(int dir, Opened **ret, Error *err) {
        struct stat st;
        Opened *room = NULL;
        if (fstat(dir, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at the journal");
        for (size_t i = 0; i < ELEMENTSOF(opened); i++) {
                bool is_used = opened[i].pid == getpid();
                if (is_used && opened[i].dev == st.st_dev && opened[i].ino == st.st_ino)
                        return error_set(err, -EBUSY, ERR_FAILED, NULL, "the journal is open in this process already");
                room = is_used ? room : &opened[i];
        }
        if (!room)
                return error_set(err, -EMFILE, ERR_FAILED, NULL, "too many journals are open in this process");
        *room = (Opened){st.st_dev, st.st_ino, getpid()};
        *ret = room;
        return 0;
}

/* Nothing was begun, so its outcome is not unknown. */
static int open_error(int rc, Error *err) {
        static const char what[] = "could not open the journal's database";
        if (rc == EROFS)
                return error_set_errno(
                        err, -rc,
                        "The file system is mounted read-only. Mount it writable (mount -o remount,rw), then run the command again.",
                        what);
        if (rc == EACCES || rc == EPERM)
                return error_set_errno(err, -rc, "Run the command as the user whom the journal belongs to.", what);
        return store_error(rc == ENOENT ? EIO : rc, what, err);
}

int store_open(int dir, const StoreOptions *options, Store **ret, Error *err) {
        int r = check_version(err);
        if (r < 0)
                return r;
        _cleanup_(store_freep) Store *s = calloc(1, sizeof(*s));
        if (!s)
                return error_no_memory(err);
        s->fd = -1;
        r = open_once(dir, &s->opened, err);
        if (r < 0)
                return r;
        int rc = mdb_env_create(&s->env);
        if (rc == 0)
                rc = mdb_env_set_mapsize(s->env, (size_t)options->map_size);
        if (rc == 0)
                rc = mdb_env_set_maxreaders(s->env, READERS_MAX);
        if (rc == 0)
                rc = mdb_env_set_maxdbs(s->env, DBS_MAX);
        if (rc == 0)
                rc = mdb_env_set_assert(s->env, guard_assert);
        Call c = {.store = s, .count = (uint64_t)dir, .flags = env_flags(options)};
        guard_enter();
        if (rc == 0)
                rc = guarded(open_call, &c);
        if (rc == 0)
                rc = mdb_env_get_fd(s->env, &s->fd);
        /* LMDB leaves this one descriptor open across exec. */
        if (rc == 0 && fcntl(s->fd, F_SETFD, FD_CLOEXEC) < 0)
                rc = errno;
        int n_dead = 0;
        if (rc == 0)
                rc = mdb_reader_check(s->env, &n_dead);
        c.flags = options->is_new ? MDB_CREATE : 0;
        if (rc == 0)
                rc = guarded(open_dbs_call, &c);
        if (rc == MDB_MAP_RESIZED && (rc = mdb_env_set_mapsize(s->env, 0)) == 0)
                rc = guarded(open_dbs_call, &c);
        guard_leave();
        if (rc != 0)
                return open_error(rc, err);
        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_free(Store *s) {
        if (!s)
                return NULL;
        /* Unmapping would pull a held lock from under the thread. */
        if (s->is_broken)
                return NULL;
        if (s->env)
                mdb_env_close(s->env);
        if (s->opened)
                s->opened->pid = 0;
        free(s);
        return NULL;
}

int store_fd(const Store *s) {
        return s->fd;
}

/* ---- Transactions ---- */

static int begin_call(Call *c) {
        return mdb_txn_begin(c->store->env, NULL, c->flags, &c->t->txn);
}

int store_begin(Store *s, bool is_write, StoreTxn **ret, Error *err) {
        if (is_write && is_writer_broken)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, "Run: pawl journal verify",
                                 "the journal is damaged: a write of it has failed before");
        StoreTxn *t = calloc(1, sizeof(*t));
        if (!t)
                return error_no_memory(err);
        *t = (StoreTxn){.store = s, .is_write = is_write};
        Call c = {.t = t, .store = s, .flags = is_write ? 0 : MDB_RDONLY};
        guard_enter();
        int rc = guarded(begin_call, &c);
        /* Another process has a greater map: take its size, as the file already holds more than ours covers. */
        if (rc == MDB_MAP_RESIZED && (rc = mdb_env_set_mapsize(s->env, 0)) == 0)
                rc = guarded(begin_call, &c);
        if (rc != 0) {
                guard_leave();
                free(t);
                return store_error(rc, "could not begin a transaction of the journal", err);
        }
        *ret = t;
        return 0;
}

static int abort_call(Call *c) {
        for (int i = 0; i < STORE_DB_MAX; i++)
                if (c->t->cursors[i])
                        mdb_cursor_close(c->t->cursors[i]);
        mdb_txn_abort(c->t->txn);
        return 0;
}

StoreTxn *store_abort(StoreTxn *t) {
        if (!t)
                return NULL;
        Call c = {.t = t};
        if (!(t->is_write && t->is_broken))
                (void)guarded(abort_call, &c);
        guard_leave();
        free(t);
        return NULL;
}

static int commit_call(Call *c) {
        for (int i = 0; i < STORE_DB_MAX; i++)
                if (c->t->cursors[i])
                        mdb_cursor_close(c->t->cursors[i]);
        return mdb_txn_commit(c->t->txn);
}

int store_commit(StoreTxn **t, Error *err) {
        StoreTxn *txn = TAKE_PTR(*t);
        Call c = {.t = txn};
        int rc = guarded(commit_call, &c);
        guard_leave();
        free(txn);
        return store_error(rc, "could not make the journal durable", err);
}

static int count_free_call(Call *c) {
        MDB_cursor *cursor;
        int rc = mdb_cursor_open(c->t->txn, 0, &cursor);
        if (rc != 0)
                return rc;
        while ((rc = mdb_cursor_get(cursor, &c->key, &c->value, MDB_NEXT)) == 0) {
                size_t n;
                if (c->value.mv_size < sizeof(n))
                        break;
                memcpy(&n, c->value.mv_data, sizeof(n));
                c->count += n;
        }
        mdb_cursor_close(cursor);
        return rc == MDB_NOTFOUND ? 0 : rc;
}

int store_stat(StoreTxn *t, bool count_free, StoreStat *ret, Error *err) {
        MDB_envinfo info;
        MDB_stat stat;
        int rc = mdb_env_info(t->store->env, &info);
        if (rc == 0)
                rc = mdb_env_stat(t->store->env, &stat);
        Call c = {.t = t};
        if (rc == 0 && count_free)
                rc = guarded(count_free_call, &c);
        if (rc != 0)
                return store_error(rc, "could not look at the journal", err);
        *ret = (StoreStat){stat.ms_psize, info.me_last_pgno + 1, c.count, info.me_mapsize};
        return 0;
}

static int stat_call(Call *c) {
        MDB_stat stat;
        int rc = mdb_stat(c->t->txn, c->t->store->dbis[c->db], &stat);
        c->count = rc == 0 ? stat.ms_entries : 0;
        return rc;
}

uint64_t store_count(StoreTxn *t, StoreDb db) {
        Call c = {.t = t, .db = db};
        return guarded(stat_call, &c) == 0 ? c.count : 0;
}

/* ---- Reading ---- */

/* A value that cannot be read to its end must fail here, under the guard, not in whoever reads it. */
static int touch(const MDB_val *v) {
        if (v->mv_size > VALUE_MAX)
                return MDB_CORRUPTED;
        const volatile char *p = v->mv_data;
        for (size_t i = 0; i < v->mv_size; i += 4096)
                (void)p[i];
        if (v->mv_size > 0)
                (void)p[v->mv_size - 1];
        return 0;
}

static int get_call(Call *c) {
        int rc = mdb_get(c->t->txn, c->t->store->dbis[c->db], &c->key, &c->value);
        return rc == 0 ? touch(&c->value) : rc;
}

static MDB_val val_of(Slice s) {
        return (MDB_val){.mv_size = s.size, .mv_data = (void *)s.data};
}

int store_get(StoreTxn *t, StoreDb db, Slice key, Slice *ret, Error *err) {
        Call c = {.t = t, .db = db, .key = val_of(key)};
        int rc = guarded(get_call, &c);
        if (rc != 0)
                return store_error(rc, "an entry could not be read", err);
        *ret = SLICE(c.value.mv_data, c.value.mv_size);
        return 0;
}

static int seek_call(Call *c) {
        MDB_cursor **cursor = &c->t->cursors[c->db];
        int rc = *cursor ? 0 : mdb_cursor_open(c->t->txn, c->t->store->dbis[c->db], cursor);
        if (rc == 0)
                rc = mdb_cursor_get(*cursor, &c->key, &c->value, c->op);
        if (rc == 0)
                rc = touch(&c->key);
        return rc == 0 ? touch(&c->value) : rc;
}

int store_seek(StoreTxn *t, StoreDb db, StoreSeek how, Slice *key, Slice *value, Error *err) {
        static const MDB_cursor_op ops[] = {
                [SEEK_FIRST] = MDB_FIRST, [SEEK_LAST] = MDB_LAST, [SEEK_AT_LEAST] = MDB_SET_RANGE,
                [SEEK_NEXT] = MDB_NEXT,   [SEEK_PREV] = MDB_PREV,
        };
        Call c = {.t = t, .db = db, .op = ops[how]};
        if (how == SEEK_AT_LEAST)
                c.key = val_of(*key);
        int rc = guarded(seek_call, &c);
        if (rc != 0)
                return store_error(rc, "an entry could not be read", err);
        *key = SLICE(c.key.mv_data, c.key.mv_size);
        if (value)
                *value = SLICE(c.value.mv_data, c.value.mv_size);
        return 0;
}

/* ---- Writing ---- */

static int put_call(Call *c) {
        return mdb_put(c->t->txn, c->t->store->dbis[c->db], &c->key, &c->value, c->flags);
}

static int put(StoreTxn *t, StoreDb db, Slice key, Slice value, unsigned flags, Error *err) {
        Call c = {.t = t, .db = db, .key = val_of(key), .value = val_of(value), .flags = flags};
        return store_error(guarded(put_call, &c), "an entry could not be written", err);
}

int store_put(StoreTxn *t, StoreDb db, Slice key, Slice value, Error *err) {
        return put(t, db, key, value, 0, err);
}

int store_append(StoreTxn *t, StoreDb db, Slice key, Slice value, Error *err) {
        return put(t, db, key, value, MDB_APPEND | MDB_NOOVERWRITE, err);
}

static int del_call(Call *c) {
        return mdb_del(c->t->txn, c->t->store->dbis[c->db], &c->key, NULL);
}

int store_del(StoreTxn *t, StoreDb db, Slice key, Error *err) {
        Call c = {.t = t, .db = db, .key = val_of(key)};
        return store_error(guarded(del_call, &c), "an entry could not be deleted", err);
}

static int drop_call(Call *c) {
        return mdb_drop(c->t->txn, c->t->store->dbis[c->db], 0);
}

int store_drop_all(StoreTxn *t, StoreDb db, Error *err) {
        Call c = {.t = t, .db = db};
        return store_error(guarded(drop_call, &c), "a table could not be emptied", err);
}
