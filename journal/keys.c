/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segments/keys: the wrapped keys once more, in a plain file, so that a repair that finds no database can still open
 * the secrets in the records.
 *
 * Unlike a record a key may be forgotten, and must then be gone from here as well. What the file ought to hold is told
 * by the sums of the state: where adding the newest keys does not lead to them, the whole file is written again.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "journal/internal.h"

typedef struct KeySum {
        uint64_t n, sum, last_tx;
} KeySum;

static void key_count(KeySum *s, uint64_t tx, Slice wrapped) {
        s->n++;
        s->sum += key_crc(tx, wrapped.data, wrapped.size);
        s->last_tx = tx;
}

/* The entry at the start of data; false where there is no whole one. */
static bool entry_decode(const char *data, size_t size, uint64_t *ret_tx, Slice *ret) {
        KeyHeader h;
        if (size < sizeof(h))
                return false;
        memcpy(&h, data, sizeof(h));
        *ret_tx = le64toh(h.tx);
        *ret = SLICE(data + sizeof(h), le32toh(h.size));
        return ret->size > 0 && ret->size <= size - sizeof(h) &&
               key_crc(*ret_tx, ret->data, ret->size) == le32toh(h.crc32c);
}

/* Visits whole entries in rising order; *ret_size is where they end. */
static int entries_walk(Slice file, KeyVisit visit, void *userdata, size_t *ret_size, Error *err) {
        uint64_t tx, last = 0;
        size_t offset = 0;
        Slice wrapped;
        int r = 0;
        while (r == 0 && offset < file.size &&
               entry_decode((const char *)file.data + offset, file.size - offset, &tx, &wrapped) && tx > last) {
                r = visit(tx, wrapped, userdata, err);
                offset += sizeof(KeyHeader) + wrapped.size;
                last = tx;
        }
        if (ret_size)
                *ret_size = offset;
        return r;
}

static char *keys_path(const char *dir, const char *journal) {
        _cleanup_free_ char *base = path_join(dir, journal);
        return base ? path_join(base, "segments/keys") : NULL;
}

/* One that cannot be read is one that is missing; unless it is we who lack something. */
static int keys_read(int root, const char *path, char **ret, size_t *ret_size, Error *err) {
        int r = fs_read(root, path, RECORD_BODY_MAX, ret, ret_size, err);
        if (r >= 0 || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
                return r;
        *ret = NULL;
        *ret_size = 0;
        return 0;
}

int keys_visit(const JournalOptions *o, const char *journal, KeyVisit visit, void *userdata, Error *err) {
        _cleanup_free_ char *path = keys_path(o->dir, journal);
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        if (!path)
                return error_no_memory(err);
        int r = keys_read(o->root, path, &data, &size, err);
        return r < 0 ? r : entries_walk(SLICE(data, size), visit, userdata, NULL, err);
}

static int see_kept(uint64_t tx, Slice wrapped, void *userdata, Error *err) {
        (void)err;
        key_count(userdata, tx, wrapped);
        return 0;
}

/* The entries of all keys behind sum->last_tx, which go into the sum. */
static int entries_make(StoreTxn *t, KeySum *sum, Text *ret, Error *err) {
        uint8_t from[8];
        Slice key = SLICE(from, sizeof(from)), wrapped;
        be64_put(from, sum->last_tx + 1);
        int r = store_seek(t, STORE_KEYS, SEEK_AT_LEAST, &key, &wrapped, err);
        for (; r == 0 && key.size == 8; r = store_seek(t, STORE_KEYS, SEEK_NEXT, &key, &wrapped, err)) {
                uint64_t tx = be64_get(key.data);
                KeyHeader h = {
                        .tx = htole64(tx),
                        .size = htole32((uint32_t)wrapped.size),
                        .crc32c = htole32(key_crc(tx, wrapped.data, wrapped.size)),
                };
                text_add_n(ret, (const char *)&h, sizeof(h));
                text_add_n(ret, wrapped.data, wrapped.size);
                key_count(sum, tx, wrapped);
        }
        if (r < 0 && r != -ENOENT)
                return r;
        return ret->is_failed ? error_no_memory(err) : 0;
}

static bool sum_is(const KeySum *sum, const JournalState *s) {
        return sum->n == s->n_keys && sum->sum == s->keys_sum;
}

static int entries_append(int root, const char *path, size_t size, const Text *text, Error *err) {
        _cleanup_close_ int fd = fs_append_open(root, path, 0600, err);
        if (fd < 0)
                return fd;
        int r = fs_truncate(fd, (off_t)size, err);
        if (r == 0)
                r = fs_write_all(fd, text->data, text->size, err);
        return r == 0 ? fs_sync_fd(fd, err) : r;
}

static int keys_rewrite(int root, const char *path, StoreTxn *t, const JournalState *s, Error *err) {
        _cleanup_text_ Text text = {0};
        KeySum sum = {0};
        int r = entries_make(t, &sum, &text, err);
        if (r < 0)
                return r;
        /* What the file holds may be all that is left of them. */
        if (!sum_is(&sum, s))
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal is damaged: wrapped keys are missing, or damaged");
        return fs_replace_durably(root, path, text.size > 0 ? text.data : "", text.size, 0600, err);
}

int keys_keep(Journal *j, const char *journal, StoreTxn *t, const JournalState *s, Error *err) {
        _cleanup_free_ char *path = keys_path(j->dir, journal);
        _cleanup_free_ char *data = NULL;
        _cleanup_text_ Text text = {0};
        size_t size = 0, end = 0;
        KeySum sum = {0};
        if (mutant_is("no-segments"))
                return 0;
        if (!path)
                return error_no_memory(err);
        int r = keys_read(j->root, path, &data, &size, err);
        if (r == 0)
                r = entries_walk(SLICE(data, size), see_kept, &sum, &end, err);
        if (r == 0 && end == size && sum_is(&sum, s))
                return 0;
        if (r == 0)
                r = entries_make(t, &sum, &text, err);
        if (r < 0)
                return r;
        return end > 0 && sum_is(&sum, s) ? entries_append(j->root, path, end, &text, err)
                                          : keys_rewrite(j->root, path, t, s, err);
}
