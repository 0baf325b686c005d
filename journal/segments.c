/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segments/: the records once more, verbatim, in plain files that need no database to be read. Repair and a change of
 * the database's format read them; nothing else does.
 *
 * A file is named by the seq of its first record; records tell their own length; a file ends where a record does not
 * check.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "journal/internal.h"

enum { NAME_DIGITS = 20 };

typedef struct SegmentList {
        uint64_t *seqs; /* ascending */
        size_t n;
} SegmentList;

static void segment_list_done(SegmentList *l) {
        free(l->seqs);
}

static int by_number(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return x < y ? -1 : x > y;
}

/* False for whatever else lies there. */
static bool name_parse(const char *name, uint64_t *ret) {
        uint64_t seq = 0;
        if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".seg") != 0)
                return false;
        for (int i = 0; i < NAME_DIGITS; i++) {
                if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(seq, 10, &seq) ||
                    __builtin_add_overflow(seq, (uint64_t)(name[i] - '0'), &seq))
                        return false;
        }
        *ret = seq;
        return true;
}

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

static int segment_list_add(SegmentList *l, uint64_t seq, Error *err) {
        uint64_t *more = realloc(l->seqs, (l->n + 1) * sizeof(*more));
        if (!more)
                return error_no_memory(err);
        l->seqs = more;
        l->seqs[l->n++] = seq;
        return 0;
}

static int segments_list(int root, const char *dir, SegmentList *ret, Error *err) {
        int fd = fs_open_dir(root, dir, err);
        if (fd < 0)
                return fd;
        _cleanup_(closedirp) DIR *d = fdopendir(fd);
        if (!d) {
                fd_close(&fd);
                return error_no_memory(err);
        }
        _cleanup_(segment_list_done) SegmentList list = {0};
        /* A list that breaks off would let the next append write over what it does not name. */
        for (;;) {
                uint64_t seq;
                errno = 0;
                const struct dirent *e = readdir(d);
                if (!e && errno != 0)
                        return error_set_errno(err, -errno, NULL, "could not read the directory \"%s\"", dir);
                if (!e)
                        break;
                int r = name_parse(e->d_name, &seq) ? segment_list_add(&list, seq, err) : 0;
                if (r < 0)
                        return r;
        }
        if (list.n > 0)
                qsort(list.seqs, list.n, sizeof(*list.seqs), by_number);
        *ret = list;
        list = (SegmentList){0};
        return 0;
}

static char *segment_path(const char *dir, uint64_t seq) {
        char name[NAME_DIGITS + 8];
        snprintf(name, sizeof(name), "%0*" PRIu64 ".seg", NAME_DIGITS, seq);
        return path_join(dir, name);
}

/* Visits the whole valid records; *ret_size is where they end. */
static int segment_walk(const char *data, size_t size, SegmentVisit visit, void *userdata, size_t *ret_size) {
        size_t offset = 0;
        int r = 0;
        while (r == 0 && offset < size) {
                Record record;
                size_t n = record_peek_size(data + offset, size - offset);
                if (n == 0 || n > size - offset || record_decode(data + offset, n, &record, NULL) < 0)
                        break;
                r = visit ? visit(&record, SLICE(data + offset, n), userdata) : 0;
                offset += n;
        }
        if (ret_size)
                *ret_size = offset;
        return r;
}

/* A segment ends with the record that passes SEGMENT_SIZE, so this is the longest a sound one can be. */
#define SEGMENT_MAX ((size_t)SEGMENT_SIZE + RECORD_BODY_MAX + sizeof(RecordHeader))

int segments_visit(const JournalOptions *o, const char *journal, SegmentVisit visit, void *userdata, Error *err) {
        _cleanup_free_ char *base = journal_name(o, journal);
        _cleanup_free_ char *dir = base ? path_join(base, "segments") : NULL;
        _cleanup_(segment_list_done) SegmentList list = {0};
        if (!dir)
                return error_no_memory(err);
        int r = segments_list(o->root, dir, &list, err);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; r == 0 && i < list.n; i++) {
                _cleanup_free_ char *path = segment_path(dir, list.seqs[i]);
                _cleanup_free_ char *data = NULL;
                size_t size;
                if (!path)
                        return error_no_memory(err);
                r = fs_read(o->root, path, SEGMENT_MAX, &data, &size, err);
                /* One that cannot be read is one that is missing; unless it is we who lack something. */
                if (r != -ENOMEM && r != -EMFILE && r != -ENFILE)
                        r = r < 0 ? 0 : segment_walk(data, size, visit, userdata, NULL);
        }
        return r;
}

typedef struct SegmentTail {
        uint64_t name;     /* of the last file; 0: there is none */
        uint64_t last_seq; /* of the last whole record in it */
        size_t size;       /* up to its end */
} SegmentTail;

static int see_last(const Record *r, Slice raw, void *userdata) {
        (void)raw;
        *(uint64_t *)userdata = r->seq;
        return 0;
}

static int tail_find(Journal *j, const char *dir, SegmentTail *ret, Error *err) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        _cleanup_free_ char *data = NULL;
        size_t size;
        *ret = (SegmentTail){0};
        int r = segments_list(j->root, dir, &list, err);
        if (r < 0 || list.n == 0)
                return r;
        ret->name = list.seqs[list.n - 1];
        ret->last_seq = ret->name - 1;
        _cleanup_free_ char *path = segment_path(dir, ret->name);
        if (!path)
                return error_no_memory(err);
        r = fs_read(j->root, path, SEGMENT_MAX, &data, &size, err);
        if (r < 0)
                return r;
        return segment_walk(data, size, see_last, &ret->last_seq, &ret->size);
}

/* The file to write to next: the last one while it has room, else a new one that begins with `seq`. A torn tail is
 * cut off. */
static int tail_open(Journal *j, const char *dir, const SegmentTail *tail, uint64_t seq, Error *err) {
        bool is_new = tail->name == 0 || tail->size >= SEGMENT_SIZE || seq != tail->last_seq + 1;
        _cleanup_free_ char *path = segment_path(dir, is_new ? seq : tail->name);
        if (!path)
                return error_no_memory(err);
        _cleanup_close_ int fd = fs_append_open(j->root, path, 0600, err);
        if (fd < 0)
                return fd;
        int r = fs_truncate(fd, is_new ? 0 : (off_t)tail->size, err);
        if (r == 0 && is_new)
                r = fs_sync_parent(j->root, path, err);
        return r < 0 ? r : TAKE_FD(fd);
}

/* Whole files at a time: one write, one barrier. */
static int segment_fill(StoreTxn *t, const JournalState *s, uint64_t *seq, size_t room, Text *ret, Error *err) {
        bool is_first = true;
        while (*seq <= s->head_seq && ret->size < room) {
                Record record;
                Slice raw;
                int r = record_next(t, *seq, is_first, &record, &raw, err);
                if (r < 0)
                        return r;
                text_add_n(ret, raw.data, raw.size);
                *seq = record.seq + 1;
                is_first = false;
        }
        return ret->is_failed ? error_no_memory(err) : 0;
}

int segments_append(Journal *j, const char *journal, StoreTxn *t, const JournalState *s, Error *err) {
        _cleanup_free_ char *base = path_join(j->dir, journal);
        _cleanup_free_ char *dir = base ? path_join(base, "segments") : NULL;
        SegmentTail tail = {0};
        if (mutant_is("no-segments"))
                return 0;
        if (!dir)
                return error_no_memory(err);
        /* It was made with the journal, before that got its name. */
        int r = fs_mkdir_all(j->root, dir, 0700, err);
        if (r == 0)
                r = tail_find(j, dir, &tail, err);
        if (r < 0)
                return r;
        uint64_t seq = MAX(tail.last_seq + 1, s->first_seq);
        while (seq <= s->head_seq) {
                _cleanup_text_ Text text = {0};
                _cleanup_close_ int fd = tail_open(j, dir, &tail, seq, err);
                if (fd < 0)
                        return fd;
                if (tail.name == 0 || tail.size >= SEGMENT_SIZE || seq != tail.last_seq + 1)
                        tail = (SegmentTail){.name = seq};
                r = segment_fill(t, s, &seq, SEGMENT_SIZE - tail.size, &text, err);
                if (r == 0)
                        r = fs_write_all(fd, text.data, text.size, err);
                if (r == 0)
                        r = fs_sync_fd(fd, err);
                if (r < 0)
                        return r;
                tail.size += text.size;
                tail.last_seq = seq - 1;
        }
        return 0;
}

int segments_drop(Journal *j, uint64_t first_kept, Error *err) {
        _cleanup_free_ char *base = path_join(j->dir, "journal");
        _cleanup_free_ char *dir = base ? path_join(base, "segments") : NULL;
        _cleanup_(segment_list_done) SegmentList list = {0};
        if (!dir)
                return error_no_memory(err);
        int r = segments_list(j->root, dir, &list, err);
        if (r == -ENOENT)
                return 0;
        /* The next file's name tells where this one ends; the last stays. */
        for (size_t i = 0; r == 0 && i + 1 < list.n && list.seqs[i + 1] <= first_kept; i++) {
                _cleanup_free_ char *path = segment_path(dir, list.seqs[i]);
                r = path ? fs_unlink_durably(j->root, path, err) : error_no_memory(err);
        }
        return r;
}
