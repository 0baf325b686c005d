/* SPDX-License-Identifier: Apache-2.0 */
/* Reading rows and wrapped keys: each is checked by its CRC, and copied. */
#include <errno.h>
#include <string.h>

#include "journal/internal.h"

static int row_damaged(Error *err) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, "Run: pawl journal verify",
                         "the journal is damaged: the checksum of a row does not match");
}

static int row_add(RowList *l, Slice key, Slice value, Error *err) {
        RowView view;
        if (!row_decode(key, value, &view))
                return row_damaged(err);
        if ((l->n & (l->n - 1)) == 0) {
                Row *more = realloc(l->rows, MAX(l->n * 2, (size_t)1) * sizeof(*more));
                if (!more)
                        return error_no_memory(err);
                l->rows = more;
        }
        _cleanup_free_ char *name = strndup(key.data, key.size);
        _cleanup_free_ char *data = malloc(view.size + 1);
        if (!name || !data)
                return error_no_memory(err);
        memcpy(data, view.data, view.size);
        data[view.size] = '\0';
        l->rows[l->n++] = (Row){.key = TAKE_PTR(name), .data = TAKE_PTR(data), .size = view.size, .seq = view.seq};
        return 0;
}

int row_read(StoreTxn *t, const char *key, RowList *ret, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        Slice value, k = SLICE(key, strlen(key));
        if (k.size == 0 || k.size > FORMAT_ROW_KEY_MAX)
                return -ENOENT;
        int r = store_get(t, STORE_ROWS, k, &value, err);
        if (r == 0)
                r = row_add(&list, k, value, err);
        if (r < 0)
                return r;
        *ret = list;
        list = (RowList){0};
        return 0;
}

static bool has_prefix(Slice key, const char *prefix, size_t n) {
        return key.size >= n && memcmp(key.data, prefix, n) == 0;
}

/* The first key behind all those with this prefix, in `buf`; 0: there is none (the prefix is empty or all 0xff). */
static size_t prefix_after(const char *prefix, size_t n, uint8_t buf[static FORMAT_ROW_KEY_MAX]) {
        memcpy(buf, prefix, n);
        while (n > 0 && buf[n - 1] == 0xff)
                n--;
        if (n > 0)
                buf[n - 1]++;
        return n;
}

/* To the last row whose key is less. */
static int seek_before(StoreTxn *t, Slice before, Slice *key, Slice *value, Error *err) {
        *key = before;
        int r = store_seek(t, STORE_ROWS, SEEK_AT_LEAST, key, value, err);
        if (r == -ENOENT)
                return store_seek(t, STORE_ROWS, SEEK_LAST, key, value, err);
        return r < 0 ? r : store_seek(t, STORE_ROWS, SEEK_PREV, key, value, err);
}

/* To the last row under the prefix. */
static int seek_last(StoreTxn *t, const char *prefix, size_t n, Slice *key, Slice *value, Error *err) {
        uint8_t after[FORMAT_ROW_KEY_MAX];
        size_t n_after = prefix_after(prefix, n, after);
        if (n_after == 0)
                return store_seek(t, STORE_ROWS, SEEK_LAST, key, value, err);
        return seek_before(t, SLICE(after, n_after), key, value, err);
}

static int seek_start(StoreTxn *t, const char *prefix, size_t limit, Slice *key, Slice *value, Error *err) {
        size_t n = strlen(prefix);
        if (limit > 0)
                return seek_last(t, prefix, n, key, value, err);
        if (n == 0)
                return store_seek(t, STORE_ROWS, SEEK_FIRST, key, value, err);
        *key = SLICE(prefix, n);
        return store_seek(t, STORE_ROWS, SEEK_AT_LEAST, key, value, err);
}

int rows_read(StoreTxn *t, const char *prefix, size_t limit, RowList *ret, Error *err) {
        _cleanup_row_list_ RowList list = {0};
        Slice key, value;
        size_t n = strlen(prefix);
        if (n > FORMAT_ROW_KEY_MAX)
                return 0;
        int r = seek_start(t, prefix, limit, &key, &value, err);
        while (r == 0 && has_prefix(key, prefix, n)) {
                r = row_add(&list, key, value, err);
                if (r == 0 && limit > 0 && list.n == limit)
                        break;
                if (r == 0)
                        r = store_seek(t, STORE_ROWS, limit > 0 ? SEEK_PREV : SEEK_NEXT, &key, &value, err);
        }
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = list;
        list = (RowList){0};
        return 0;
}

int journal_row(Journal *j, const char *key, RowList *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state;
        int r = journal_read_begin(j, &t, &state, err);
        return r < 0 ? r : journal_judge(j, row_read(t, key, ret, err), err);
}

int journal_rows(Journal *j, const char *prefix, size_t limit, RowList *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state;
        *ret = (RowList){0};
        int r = journal_read_begin(j, &t, &state, err);
        return r < 0 ? r : journal_judge(j, rows_read(t, prefix, limit, ret, err), err);
}

int journal_rows_before(Journal *j, const char *prefix, const char *before, size_t limit, RowList *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        _cleanup_row_list_ RowList list = {0};
        JournalState state;
        Slice key, value;
        size_t n = strlen(prefix);
        *ret = (RowList){0};
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0 || limit == 0 || *before == '\0')
                return r;
        r = seek_before(t, SLICE(before, strlen(before)), &key, &value, err);
        while (r == 0 && has_prefix(key, prefix, n)) {
                r = row_add(&list, key, value, err);
                if (r == 0 && list.n == limit)
                        break;
                if (r == 0)
                        r = store_seek(t, STORE_ROWS, SEEK_PREV, &key, &value, err);
        }
        if (r < 0 && r != -ENOENT)
                return journal_judge(j, r, err);
        *ret = list;
        list = (RowList){0};
        return 0;
}

int journal_row_count(Journal *j, const char *prefix, size_t *ret, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state;
        Slice key, value;
        size_t n = strlen(prefix), count = 0;
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0)
                return r;
        if (n == 0) {
                *ret = (size_t)state.n_rows;
                return 0;
        }
        for (r = seek_start(t, prefix, 0, &key, &value, err); r == 0 && has_prefix(key, prefix, n);
             r = store_seek(t, STORE_ROWS, SEEK_NEXT, &key, &value, err))
                count++;
        if (r < 0 && r != -ENOENT)
                return journal_judge(j, r, err);
        *ret = count;
        return 0;
}

int journal_key(Journal *j, uint64_t tx, void **ret, size_t *ret_size, Error *err) {
        _cleanup_(store_abortp) StoreTxn *t = NULL;
        JournalState state;
        Slice value;
        uint8_t key[8];
        int r = journal_read_begin(j, &t, &state, err);
        if (r < 0)
                return r;
        be64_put(key, tx);
        r = store_get(t, STORE_KEYS, SLICE(key, sizeof(key)), &value, err);
        if (r < 0)
                return journal_judge(j, r, err);
        void *copy = malloc(value.size + 1);
        if (!copy)
                return error_no_memory(err);
        memcpy(copy, value.data, value.size);
        *ret = copy;
        *ret_size = value.size;
        return 0;
}
