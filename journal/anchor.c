/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.head: the seq and hash of a record up to which everything was seen sound, and is final. It only moves
 * forward.
 *
 * It stands beside the journal, not in it: a journal that was put back from a copy is older than it, and that is how
 * it shows.
 */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "journal/internal.h"

int anchor_read(const JournalOptions *o, Anchor *ret, Error *err) {
        _cleanup_free_ char *path = journal_name(o, "journal.head");
        _cleanup_free_ char *data = NULL;
        size_t size;
        *ret = (Anchor){0};
        if (!path)
                return error_no_memory(err);
        int r = fs_read(o->root, path, sizeof(AnchorFile), &data, &size, err);
        /* What is not one of ours protects nothing: then the whole journal is verified, as if there were none. */
        if (r == -ENOENT || r == -EFBIG || r == -EINVAL)
                return 0;
        if (r < 0)
                return r;
        if (!anchor_decode(data, size, ret))
                *ret = (Anchor){0};
        return 0;
}

int anchor_write(const JournalOptions *o, const Anchor *a, Error *err) {
        _cleanup_free_ char *path = journal_name(o, "journal.head");
        AnchorFile file;
        if (!path)
                return error_no_memory(err);
        anchor_encode(a, &file);
        return fs_replace_durably(o->root, path, &file, sizeof(file), 0600, err);
}

/* Forward to the record at `limit` or the head, whichever is earlier. */
static int anchor_move(Journal *j, StoreTxn *t, const JournalState *s, uint64_t limit, Error *err) {
        JournalOptions o = journal_options(j);
        Anchor old, new = {.seq = MIN(limit, s->head_seq)};
        Record record;
        Slice raw;
        int r = anchor_read(&o, &old, err);
        if (r < 0)
                return r;
        if ((new.seq <= old.seq && !mutant_is("anchor-backwards")) || new.seq < s->first_seq) {
                j->anchor_seq = MAX(j->anchor_seq, old.seq);
                return 0;
        }
        r = record_read(t, new.seq, &record, &raw, err);
        /* In a range that a repair reported lost there is nothing to anchor at. */
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        record_hash(raw.data, raw.size, new.hash);
        r = anchor_write(&o, &new, err);
        if (r == 0)
                j->anchor_seq = new.seq;
        return r;
}

int journal_anchor(Journal *j, uint64_t limit, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        _cleanup_close_ int lock = -1;
        JournalState state = {0};
        if (j->mode == JOURNAL_READ)
                return error_set(err, -EROFS, ERR_FAILED, NULL, "the journal is open for reading only");
        if (mutant_is("anchor-past-open"))
                limit = UINT64_MAX;
        /* Not the writers' lock: nobody should wait for this barrier. */
        int r = journal_lock_new(j->root, j->lock_dir, "journal-anchor", &lock, err);
        if (r == 0)
                r = journal_lock(lock, err);
        if (r == 0)
                r = journal_read_begin(j, &t, &state, err);
        if (r == 0)
                r = segments_append(j, "journal", t, &state, err);
        if (r == 0)
                r = keys_keep(j, "journal", t, &state, err);
        return r < 0 ? r : anchor_move(j, t, &state, limit, err);
}
