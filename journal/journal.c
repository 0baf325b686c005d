/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, making and closing a journal. Order of opening: is there one, may it be used → meta pages by hand →
 * verifier in a child → LMDB. Only then does this process let LMDB touch the file.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "journal/internal.h"
#include "journal/pages.h"

#define PREALLOCATE_DEFAULT (4u << 20)

/* ---- Names and locks ---- */

char *journal_name(const JournalOptions *o, const char *name) {
        return path_join(o->dir, name);
}

uint64_t journal_map_size(const JournalOptions *o) {
        if (o->map_size)
                return o->map_size;
        return sizeof(void *) >= 8 ? UINT64_C(64) << 30 : UINT64_C(1) << 30;
}

/* What cannot be looked at is not missing: else a journal would be made in the place of one, or one marked as bad be
 * written to. */
static int name_has(const JournalOptions *o, const char *name, bool *ret, Error *err) {
        _cleanup_free_ char *path = journal_name(o, name);
        return path ? fs_has(o->root, path, ret, err) : error_no_memory(err);
}

int journal_lock_new(int root, const char *dir, const char *name, int *ret_fd, Error *err) {
        _cleanup_free_ char *path = path_join(dir, name);
        if (!path)
                return error_no_memory(err);
        int r = fs_mkdir_all(root, dir, 0700, err);
        if (r < 0)
                return r;
        int fd = fs_append_open(root, path, 0600, err);
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

int journal_lock(int fd, Error *err) {
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int r = 0;
        if (fd < 0)
                return 0;
        do
                r = fcntl(fd, F_OFD_SETLKW, &whole);
        while (r < 0 && errno == EINTR);
        return r < 0 ? error_set_errno(err, -errno, NULL, "could not take the journal's lock") : 0;
}

void journal_unlock(int fd) {
        struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        if (fd >= 0)
                (void)fcntl(fd, F_OFD_SETLK, &whole);
}

/* ---- The object ---- */

int journal_usable(const Journal *j, Error *err) {
        if (!j->is_poisoned)
                return 0;
        return error_set(err, -EIO, ERR_JOURNAL_IO, "Run: pawl recover",
                         "a write of the journal failed before: the outcome is unknown until recovery");
}

JournalOptions journal_options(const Journal *j) {
        JournalOptions o = {
                .root = j->root,
                .dir = j->dir,
                .lock_dir = j->lock_dir,
                .map_size = j->map_size,
                .preallocate = j->preallocate,
        };
        memcpy(o.boot, j->boot, sizeof(o.boot));
        return o;
}

const uint8_t *journal_id(const Journal *j) {
        return j->id;
}

Journal *journal_free(Journal *j) {
        if (!j)
                return NULL;
        if (j->store)
                journal_stamp(j);
        store_free(j->store);
        fd_close(&j->lock_fd);
        order_cache_done(&j->orders);
        free(j->dir);
        free(j->lock_dir);
        free(j);
        return NULL;
}

int journal_new(const JournalOptions *o, JournalMode mode, Store **store, Journal **ret, Error *err) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(*j));
        if (!j)
                return error_no_memory(err);
        *j = (Journal){
                .root = o->root,
                .mode = mode,
                .lock_fd = -1,
                .dir = strdup(o->dir),
                .lock_dir = strdup(o->lock_dir),
                .map_size = journal_map_size(o),
                .preallocate = o->preallocate ? o->preallocate : PREALLOCATE_DEFAULT,
                .store = TAKE_PTR(*store),
        };
        memcpy(j->boot, o->boot, sizeof(j->boot));
        if (!j->dir || !j->lock_dir)
                return error_no_memory(err);
        int r = mode == JOURNAL_READ ? 0 : journal_lock_new(o->root, o->lock_dir, "journal-writer", &j->lock_fd, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

/* ---- Opening the environment ---- */

/* Both files must have their blocks before LMDB opens them: it writes lock.mdb through a map, where a full disk is a
 * signal. What cannot be had now is missed later, and said then. */
static void preallocate(int root, const char *dir, const char *name, uint64_t size) {
        _cleanup_free_ char *path = path_join(dir, name);
        if (!path || mutant_is("no-prealloc"))
                return;
        _cleanup_close_ int fd = fs_append_open(root, path, 0600, NULL);
        struct stat st;
        if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < size)
                (void)fs_reserve(fd, (off_t)size, NULL);
}

int journal_store_open(const JournalOptions *o, const char *name, StoreOptions how, Store **ret, Error *err) {
        _cleanup_free_ char *dir = journal_name(o, name);
        if (!dir)
                return error_no_memory(err);
        _cleanup_close_ int fd = fs_open_dir(o->root, dir, err);
        if (fd < 0)
                return fd;
        if (!how.is_readonly)
                preallocate(o->root, dir, "lock.mdb", STORE_LOCK_SIZE);
        how.map_size = journal_map_size(o);
        return store_open(fd, &how, ret, err);
}

static int data_open(const JournalOptions *o, Error *err) {
        _cleanup_free_ char *dir = journal_name(o, "journal");
        _cleanup_free_ char *path = dir ? path_join(dir, "data.mdb") : NULL;
        if (!path)
                return error_no_memory(err);
        _cleanup_close_ int fd = fs_open(o->root, path, O_RDONLY | O_NOFOLLOW, err);
        if (fd == -ENOENT)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: data.mdb is missing");
        return fd < 0 ? fd : TAKE_FD(fd);
}

int journal_check_metas(const JournalOptions *o, Error *err) {
        _cleanup_close_ int fd = data_open(o, err);
        return fd < 0 ? fd : pages_check_metas(fd, err);
}

int journal_mark_bad(const JournalOptions *o, int r, Error *err) {
        if (r != -EBADMSG)
                return r;
        error_hint(err, "%s", JOURNAL_WAY_OUT);
        stamp_drop(o);
        _cleanup_free_ char *path = journal_name(o, "journal.bad");
        if (!path || !err || fs_exists(o->root, path))
                return r;
        (void)fs_replace_durably(o->root, path, err->message, strlen(err->message), 0600, NULL);
        return r;
}

/* What an opening has seen before it looked: whatever changes the file from then on makes it another one. */
typedef struct Checked {
        StampFile state;
        bool is_told;   /* `state` holds, and a change would show */
        bool is_walked; /* by us */
} Checked;

static int open_checked(const JournalOptions *o, Checked *ret, Error *err) {
        JournalReport report = {0};
        Anchor anchor = {0};
        ErrorCode code = ERR_NONE;
        _cleanup_close_ int fd = data_open(o, err);
        int r = fd < 0 ? fd : pages_check_metas(fd, err);
        if (r == 0)
                r = anchor_read(o, &anchor, err);
        if (r < 0)
                return r;
        ret->is_told = stamp_take(o, fd, &ret->state) == 0;
        /* A missing anchor asks for all there is to see. */
        ret->is_walked = !ret->is_told || anchor.seq == 0 || !stamp_matches(o, &ret->state);
        if (ret->is_walked)
                ret->is_told = ret->is_told && stamp_settles(&ret->state);
        r = verify_forked(o, ret->is_walked ? VERIFY_FROM_ANCHOR : VERIFY_STAMPED, &report, &code, err);
        if (r < 0)
                return r;
        if (report.problem[0] == '\0') {
                if (ret->is_walked && ret->is_told)
                        stamp_write(o, &ret->state);
                return 0;
        }
        return error_set(err, code == ERR_JOURNAL_VERSION ? -EPROTONOSUPPORT : -EBADMSG, code, NULL, "%s",
                         report.problem);
}

/* The name "journal" may be what a process wrote that died before its fsync. Whoever wrote an anchor has been here. */
static int sync_name(const JournalOptions *o, JournalMode mode, const Anchor *a, Error *err) {
        if (mode == JOURNAL_READ || a->seq != 0)
                return 0;
        _cleanup_free_ char *path = journal_name(o, "journal");
        return path ? fs_sync_parent(o->root, path, err) : error_no_memory(err);
}

static int open_existing(const JournalOptions *o, JournalMode mode, Journal **ret, Error *err) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(store_freep) Store *store = NULL;
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state = {0};
        Anchor anchor = {0};
        Checked checked = {0};
        int r = journal_mark_bad(o, open_checked(o, &checked, err), err);
        if (r == 0)
                r = journal_store_open(o, "journal", (StoreOptions){.is_readonly = mode == JOURNAL_READ}, &store, err);
        if (r == 0)
                r = journal_new(o, mode, &store, &j, err);
        if (r == 0)
                r = journal_read_begin(j, &t, &state, err);
        if (r == 0)
                r = anchor_read(o, &anchor, err);
        if (r == 0)
                r = sync_name(o, mode, &anchor, err);
        if (r < 0)
                return r;
        assert(j);
        j->anchor_seq = anchor.seq;
        j->is_walked = checked.is_walked;
        j->is_sound = checked.is_told;
        j->seen = j->stamped = checked.state;
        memcpy(j->id, state.id, sizeof(j->id));
        t = store_abort(t);
        *ret = TAKE_PTR(j);
        return 0;
}

/* ---- Making one ---- */

/* Removed children of the verifier aside, this is the only place where a journal begins. */
static int write_genesis(const JournalOptions *o, Store *store, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state = {.first_seq = 1};
        Record genesis = {
                .kind = RECORD_GENESIS,
                .step = RECORD_STEP_NONE,
                .body = o->genesis,
                .n_body = o->n_genesis,
        };
        int r = store_begin(store, true, &t, err);
        if (r < 0)
                return r;
        record_stamp(&genesis, o->boot);
        r = journal_append(t, &state, &genesis, err);
        memcpy(state.id, state.head_hash, sizeof(state.id));
        if (r == 0)
                r = state_write(t, &state, err);
        return r < 0 ? r : store_commit(&t, err);
}

int journal_make_aside(const JournalOptions *o, const char *name, Store **ret, Error *err) {
        _cleanup_(store_freep) Store *store = NULL;
        _cleanup_free_ char *dir = journal_name(o, name);
        _cleanup_free_ char *segments = dir ? path_join(dir, "segments") : NULL;
        if (!segments)
                return error_no_memory(err);
        int r = fs_remove_tree(o->root, dir, err);
        if (r == 0)
                r = fs_mkdir_durably(o->root, dir, 0700, FS_OWNER_KEEP, NULL, err);
        if (r == 0)
                r = fs_mkdir_durably(o->root, segments, 0700, FS_OWNER_KEEP, NULL, err);
        if (r == 0)
                r = journal_store_open(o, name, (StoreOptions){.is_new = true}, &store, err);
        if (r < 0)
                return r;
        if (!mutant_is("no-prealloc"))
                (void)fs_reserve(store_fd(store), (off_t)(o->preallocate ? o->preallocate : PREALLOCATE_DEFAULT), NULL);
        *ret = TAKE_PTR(store);
        return 0;
}

/* A power cut leaves either no journal or a whole one: LMDB syncs neither its first meta pages nor any directory. */
static int create(const JournalOptions *o, Error *err) {
        const char *name = mutant_is("create-in-place") ? "journal" : "journal.new";
        _cleanup_(store_freep) Store *store = NULL;
        _cleanup_free_ char *aside = journal_name(o, name), *path = journal_name(o, "journal");
        if (!aside || !path)
                return error_no_memory(err);
        int r = fs_mkdir_all_durably(o->root, o->dir, 0755, FS_OWNER_KEEP, NULL, err);
        if (r == 0)
                r = journal_make_aside(o, name, &store, err);
        if (r == 0)
                r = write_genesis(o, store, err);
        store = store_free(store);
        if (r < 0 || strcmp(name, "journal") == 0)
                return r;
        r = fs_sync_tree(o->root, aside, err);
        return r < 0 ? r : fs_rename_durably(o->root, aside, path, err);
}

static int create_locked(const JournalOptions *o, Error *err) {
        _cleanup_close_ int lock = -1;
        bool is_there = false;
        int r = journal_lock_new(o->root, o->lock_dir, "journal-writer", &lock, err);
        if (r == 0)
                r = journal_lock(lock, err);
        if (r == 0)
                r = name_has(o, "journal", &is_there, err);
        /* Someone else may have been first. */
        if (r == 0 && !is_there)
                r = create(o, err);
        return r < 0 ? error_context(err, r, "could not make the journal") : 0;
}

static int gone(const JournalOptions *o, Error *err) {
        return error_set(
                err, -ENOENT, ERR_JOURNAL_MISSING,
                "Put the journal back from a copy; pawl makes no new one in its place. Where there is none: remove "
                "journal.head and journal.bad there, and deploy each service again. Their data stays.",
                "there was a journal in \"%s\", and it is gone", o->dir);
}

int journal_exists(const JournalOptions *o, Error *err) {
        bool is_there = false;
        int r = name_has(o, "journal", &is_there, err);
        return r < 0 || is_there ? r : gone(o, err);
}

static int missing(const JournalOptions *o, JournalMode mode, Error *err) {
        bool has_head = false, has_bad = false;
        int r = name_has(o, "journal.head", &has_head, err);
        if (r == 0)
                r = name_has(o, "journal.bad", &has_bad, err);
        if (r < 0)
                return r;
        if (has_head || has_bad)
                return gone(o, err);
        return mode == JOURNAL_CREATE ? create_locked(o, err) : -ENOENT;
}

int journal_open(const JournalOptions *o, JournalMode mode, Journal **ret, Error *err) {
        Error unused = ERROR_INIT;
        err = err ? err : &unused;
        bool is_there = false, is_bad = false;
        int r = name_has(o, "journal", &is_there, err);
        if (r == 0 && !is_there)
                r = missing(o, mode, err);
        if (r == 0 && mode != JOURNAL_READ)
                r = name_has(o, "journal.bad", &is_bad, err);
        if (r < 0)
                return r;
        if (is_bad)
                return error_set(
                        err, -EBADMSG, ERR_JOURNAL_DAMAGED, JOURNAL_WAY_OUT,
                        "the journal was found damaged (\"%s/journal.bad\" says how); nothing is changed before it is repaired",
                        o->dir);
        return open_existing(o, mode, ret, err);
}

int journal_stat(Journal *j, JournalStat *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalOptions o = journal_options(j);
        JournalState state = {0};
        StoreStat store = {0};
        Anchor anchor = {0};
        struct stat st;
        int r = journal_read_begin(j, &t, &state, err);
        if (r == 0)
                r = store_stat(t, false, &store, err);
        if (r == 0)
                r = anchor_read(&o, &anchor, err);
        if (r < 0)
                return r;
        if (fstat(store_fd(j->store), &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at the journal");
        *ret = (JournalStat){
                .first_seq = state.first_seq,
                .head_seq = state.head_seq,
                .anchor_seq = anchor.seq,
                .bytes_used = store.n_pages * store.page_size,
                .bytes_allocated = (uint64_t)st.st_blocks * 512,
                .map_size = store.map_size,
                .commits = j->commits,
                .is_walked = j->is_walked,
                .format = state.format,
        };
        memcpy(ret->head_hash, state.head_hash, sizeof(ret->head_hash));
        store_version(ret->lmdb_version, sizeof(ret->lmdb_version));
        return 0;
}
