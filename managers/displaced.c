/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is deleted here is known to be ours, or to be a second name: what was captured, and what somebody
 * else wrote meanwhile, leave their place only by a rename.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "managers/displaced.h"

#define CONFLICTS_MAX 100

bool wanted_is(const Wanted *w, const FsState *s) {
        const FsState *want = &w->state;
        if (s->type != want->type)
                return false;
        if (s->type == 0)
                return true;
        if ((!w->any_mode && s->mode != want->mode) || (want->uid != (uid_t)-1 && s->uid != want->uid) ||
            (want->gid != (gid_t)-1 && s->gid != want->gid))
                return false;
        return w->any_content || (s->size == want->size && memcmp(s->sha256, want->sha256, sizeof(s->sha256)) == 0);
}

/* Both names, as they are now. */
typedef struct View {
        char *staged;
        FsState at_path, at_staged;
} View;

static void view_done(View *v) {
        free(v->staged);
}

static int view_look(const Displaced *d, View *v, Error *err) {
        if (!v->staged)
                v->staged = fs_staged_name(d->path, d->host->tx, d->host->step, NULL);
        if (!v->staged)
                return error_no_memory(err);
        int r = fs_state(d->host->root, d->path, &v->at_path, err);
        return r < 0 ? r : fs_state(d->host->root, v->staged, &v->at_staged, err);
}

static bool was_there(const Displaced *d) {
        return d->before.state.type != 0;
}

/* Nothing was to be done, so nothing is to be undone. */
static bool is_unchanged(const Displaced *d) {
        return wanted_is(&d->after, &d->before.state);
}

static int foreign(const Displaced *d, Error *err) {
        return error_set(err, -ESTALE, ERR_FOREIGN, "Look at it; then keep it, or put the captured one back.",
                         "\"/%s\" was changed by someone else meanwhile; it is left as they wrote it", d->path);
}

static int refuse(const Displaced *d, mode_t type, Error *err) {
        if (type == 0 || type == d->after.state.type)
                return 0;
        return error_set(err, -EEXIST, ERR_EXISTS, "Move it away first.",
                         "cannot write \"/%s\": what is there is not a %s", d->path,
                         S_ISLNK(d->after.state.type) ? "link" : "regular file");
}

int displaced_check(const Displaced *d, Error *err) {
        struct stat st;
        int r = fs_stat(d->host->root, d->path, &st, err);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : refuse(d, st.st_mode & S_IFMT, err);
}

/* Removes a name if it is there. */
static int remove_name(const Displaced *d, const char *name, Error *err) {
        bool is_there = false;
        int r = fs_has(d->host->root, name, &is_there, err);
        return is_there ? fs_unlink_durably(d->host->root, name, err) : r;
}

static int remove_second_names(const Displaced *d, Error *err) {
        static const char *const suffixes[] = {".new", ".old"};
        int r = 0;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(suffixes); i++) {
                _cleanup_free_ char *name = fs_staged_name(d->path, d->host->tx, d->host->step, suffixes[i]);
                r = name ? remove_name(d, name, err) : error_no_memory(err);
        }
        return r;
}

/* Only where path is as captured. What put it back is made durable first: the other name may be the only durable one
 * of the captured file. */
static int remove_leftovers(const Displaced *d, const View *v, Error *err) {
        int r = fs_sync_parent(d->host->root, d->path, err);
        if (r == 0)
                r = remove_name(d, v->staged, err);
        return r < 0 ? r : remove_second_names(d, err);
}

int conflict_keep(const Host *host, const char *path, const char *what, Error *err) {
        for (unsigned i = 1; i <= CONFLICTS_MAX; i++) {
                _cleanup_free_ char *to =
                        i == 1 ? text_format("%s.pawl-conflict", what) : text_format("%s.pawl-conflict.%u", what, i);
                if (!to)
                        return error_no_memory(err);
                int r = fs_rename_durably(host->root, path, to, err);
                if (r == 0)
                        host_log(host, LOG_WARNING, "what someone else put at \"/%s\" is kept as \"/%s\"", what, to);
                if (r != -EEXIST)
                        return r == -ENOENT ? 0 : r;
        }
        return error_set(err, -EEXIST, ERR_EXISTS, "Remove the ones that are no longer needed.",
                         "there are too many files \"/%s.pawl-conflict\"", what);
}

/* ---- Apply ------------------------------------------------------------------------------------------------------- */

/* The exchange met something else than what was captured: that goes back to its place. Should it have been written
 * to once more, that is kept as well. */
static int exchange_back(const Displaced *d, View *v, Error *err) {
        int r = fs_publish_exchange(d->host->root, v->staged, d->path, err);
        if (r == -ENOENT)
                r = fs_publish_new(d->host->root, v->staged, d->path, err);
        if (r == 0)
                r = view_look(d, v, err);
        if (r < 0)
                return r == -EEXIST ? foreign(d, err) : r;
        if (v->at_staged.type != 0)
                r = wanted_is(&d->after, &v->at_staged) ? fs_unlink_durably(d->host->root, v->staged, err)
                                                        : conflict_keep(d->host, v->staged, d->path, err);
        return r < 0 ? r : foreign(d, err);
}

static int publish_over(const Displaced *d, View *v, Error *err) {
        int r = fs_publish_exchange(d->host->root, v->staged, d->path, err);
        if (r == -ENOENT) {
                (void)fs_unlink_durably(d->host->root, v->staged, NULL);
                return foreign(d, err);
        }
        if (r == 0)
                r = view_look(d, v, err);
        if (r < 0)
                return r;
        bool is_captured = wanted_is(&d->before, &v->at_staged) || mutant_is("exchange-unchecked");
        return is_captured ? 0 : exchange_back(d, v, err);
}

static int publish(const Displaced *d, View *v, Error *err) {
        int r = d->stage(d, v->staged, err);
        if (r < 0)
                return r;
        fault_point("displaced-staged");
        if (was_there(d))
                return publish_over(d, v, err);
        r = fs_publish_new(d->host->root, v->staged, d->path, err);
        if (r != -EEXIST)
                return r;
        (void)fs_unlink_durably(d->host->root, v->staged, NULL);
        return foreign(d, err);
}

int displaced_apply(const Displaced *d, Change *ret, Error *err) {
        _cleanup_(view_done) View v = {0};
        Change change = was_there(d) ? CHANGE_CHANGED : CHANGE_CREATED;
        int r = refuse(d, d->before.state.type, err);
        if (r == 0)
                r = view_look(d, &v, err);
        if (r < 0)
                return r;
        if (is_unchanged(d)) {
                if (!wanted_is(&d->after, &v.at_path))
                        return foreign(d, err);
                *ret = CHANGE_UNCHANGED;
                return 0;
        }
        if (wanted_is(&d->after, &v.at_path)) {
                /* An earlier try died behind its rename; whether that is durable is not known. Without the
                 * before-image beside it, it is not ours. */
                if (was_there(d) && !wanted_is(&d->before, &v.at_staged))
                        return foreign(d, err);
                r = fs_sync_parent(d->host->root, d->path, err);
        } else {
                r = wanted_is(&d->before, &v.at_path) ? publish(d, &v, err) : foreign(d, err);
        }
        if (r == 0)
                *ret = change;
        return r;
}

/* ---- Revert ------------------------------------------------------------------------------------------------------ */

static int restore(const Displaced *d, View *v, Error *err) {
        if (!was_there(d)) {
                int r = fs_unlink_durably(d->host->root, d->path, err);
                return r < 0 ? r : remove_leftovers(d, v, err);
        }
        int r = fs_publish_exchange(d->host->root, v->staged, d->path, err);
        if (r == -ENOENT)
                return foreign(d, err);
        if (r == 0)
                r = view_look(d, v, err);
        if (r < 0)
                return r;
        if (mutant_is("no-compare") || wanted_is(&d->after, &v->at_staged))
                return remove_leftovers(d, v, err);
        /* Written to between the look and the exchange. */
        r = fs_publish_exchange(d->host->root, v->staged, d->path, err);
        return r < 0 && r != -ENOENT ? r : foreign(d, err);
}

/* A person decided: what is foreign steps aside. By two renames, so that at no moment something foreign has a name
 * that is ours to delete. */
static int restore_forced(const Displaced *d, const View *v, Error *err) {
        bool is_kept = wanted_is(&d->before, &v->at_staged);
        if (was_there(d) && !is_kept)
                return error_set(err, -ESTALE, ERR_FOREIGN, "Keep what is there, or write the file by hand first.",
                                 "cannot put \"/%s\" back: what it replaced is gone", d->path);
        int r = conflict_keep(d->host, d->path, d->path, err);
        if (r == 0 && was_there(d))
                r = fs_publish_new(d->host->root, v->staged, d->path, err);
        if (r == -EEXIST)
                return foreign(d, err);
        return r < 0 ? r : remove_leftovers(d, v, err);
}

int displaced_revert(const Displaced *d, Error *err) {
        _cleanup_(view_done) View v = {0};
        int r = view_look(d, &v, err);
        if (r < 0 || is_unchanged(d))
                return r;
        if (wanted_is(&d->before, &v.at_path))
                return remove_leftovers(d, &v, err);
        bool is_ours = wanted_is(&d->after, &v.at_path) && (!was_there(d) || wanted_is(&d->before, &v.at_staged));
        if (is_ours || mutant_is("no-compare"))
                return restore(d, &v, err);
        return d->host->is_forced ? restore_forced(d, &v, err) : foreign(d, err);
}

/* ---- Probe, tidy ------------------------------------------------------------------------------------------------- */

int displaced_probe(const Displaced *d, Probe *ret, Error *err) {
        _cleanup_(view_done) View v = {0};
        int r = view_look(d, &v, err);
        if (r < 0)
                return r;
        bool is_beside = v.at_staged.type != 0;
        if (is_unchanged(d)) /* whatever it is now, nothing of it is ours */
                *ret = PROBE_BEFORE;
        else if (wanted_is(&d->before, &v.at_path))
                *ret = is_beside ? PROBE_PARTIAL : PROBE_BEFORE;
        else if (!wanted_is(&d->after, &v.at_path))
                *ret = PROBE_FOREIGN;
        else if (was_there(d))
                *ret = wanted_is(&d->before, &v.at_staged) ? PROBE_AFTER : PROBE_FOREIGN;
        else
                *ret = is_beside ? PROBE_PARTIAL : PROBE_AFTER;
        return 0;
}

int displaced_tidy(const Displaced *d, Error *err) {
        _cleanup_(view_done) View v = {0};
        int r = view_look(d, &v, err);
        if (r < 0)
                return r;
        bool is_displaced =
                v.at_staged.type != 0 && wanted_is(&d->after, &v.at_path) && was_there(d) && !is_unchanged(d);
        bool is_known = wanted_is(&d->before, &v.at_staged) || wanted_is(&d->after, &v.at_staged);
        /* Died between an exchange and finding out that it displaced someone else's. */
        r = is_displaced && !is_known ? conflict_keep(d->host, v.staged, d->path, err) : remove_name(d, v.staged, err);
        if (r == 0)
                r = remove_second_names(d, err);
        return r == 0 && d->host->is_recovery ? fs_sync_parent(d->host->root, d->path, err) : r;
}
