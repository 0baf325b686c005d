/* SPDX-License-Identifier: Apache-2.0 */
/* See record_journal.h. A record is told by its checksum, a commit by the place and size of what was written:
 * nothing of LMDB is linked here. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "journal/format.h"
#include "tests/crash/record_journal.h"

static bool add_entry(Recording *r, const RecordHeader *h) {
        Entry *entries = reallocarray(r->entries, r->n_entries + 1, sizeof *entries);

        if (entries == NULL)
                return false;
        r->entries = entries;
        entries[r->n_entries++] = (Entry){h->seq, h->tx, h->step, h->kind, (uint32_t)r->n_commits};
        return true;
}

static bool has_entry(const Recording *r, uint64_t seq) {
        for (size_t i = 0; i < r->n_entries; i++)
                if (r->entries[i].seq == seq)
                        return true;
        return seq <= r->head;
}

static uint32_t crc32c(uint32_t crc, const char *data, size_t size) {
        crc = ~crc;
        for (size_t i = 0; i < size; i++) {
                crc ^= (unsigned char)data[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        }
        return ~crc;
}

/* The magic alone may stand in any text. */
static bool is_record(const char *data, size_t size, RecordHeader *ret) {
        RecordHeader plain;

        if (size < sizeof plain)
                return false;
        memcpy(ret, data, sizeof *ret);
        if (ret->version != JOURNAL_FORMAT || ret->n_body > size - sizeof plain)
                return false;
        plain = *ret;
        plain.crc32c = 0;
        return crc32c(crc32c(0, (const char *)&plain, sizeof plain), data + sizeof plain, ret->n_body) == ret->crc32c;
}

/* A page that is written again holds old records, too: only the next numbers are new. */
static bool scan_records(Recording *r, const char *data, size_t size) {
        static const uint32_t magic = RECORD_MAGIC;
        const char *at = data, *end = data + size;
        RecordHeader h;

        for (; (at = memmem(at, (size_t)(end - at), &magic, sizeof magic)) != NULL; at++)
                if (is_record(at, (size_t)(end - at), &h) && !has_entry(r, h.seq) && !add_entry(r, &h))
                        return false;
        return true;
}

static int by_seq(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool add_commit(Recording *r, const DiskOp *op, uint32_t event) {
        Commit *commits = reallocarray(r->commits, r->n_commits + 1, sizeof *commits);
        uint64_t txnid;

        if (commits == NULL)
                return false;
        r->commits = commits;
        if (r->n_entries > 0)
                qsort(r->entries, r->n_entries, sizeof *r->entries, by_seq);
        r->head = r->n_entries > 0 && r->entries[r->n_entries - 1].seq > r->head ? r->entries[r->n_entries - 1].seq
                                                                                 : r->head;
        memcpy(&txnid, op->data + op->size - sizeof txnid, sizeof txnid);
        commits[r->n_commits++] = (Commit){event, (uint32_t)(op - r->disk.ops), txnid, r->head};
        return true;
}

static bool is_data_file(const Recording *r, uint32_t node) {
        char path[PATH_MAX];
        const char *name;

        disk_path(&r->disk, node, path, sizeof path);
        name = strrchr(path, '/');
        return name != NULL && strcmp(name, "/data.mdb") == 0;
}

/* The write of a meta page is short, and within one of the first two pages. */
static bool is_meta_write(const DiskOp *ops, size_t n) {
        return n == 1 && ops->kind == DISK_DATA && ops->size < DISK_SECTOR && ops->offset < (uint64_t)2 * DISK_BLOCK;
}

/* What one call wrote, in one piece. */
static bool scan_write(Recording *r, const DiskOp *ops, size_t n) {
        uint64_t size = 0;
        bool is_fine;
        char *data;

        for (size_t i = 0; i < n; i++)
                size += ops[i].kind == DISK_DATA ? ops[i].size : 0;
        data = malloc(size + 1);
        if (data == NULL)
                return false;
        size = 0;
        for (size_t i = 0; i < n; i++)
                if (ops[i].kind == DISK_DATA) {
                        memcpy(data + size, ops[i].data, ops[i].size);
                        size += ops[i].size;
                }
        is_fine = scan_records(r, data, size);
        free(data);
        return is_fine;
}

bool record_take_journal(Recording *r, size_t first_op, uint32_t event) {
        Disk *d = &r->disk;
        size_t n = d->n_ops - first_op;

        if (n == 0 || d->ops[first_op].kind != DISK_DATA || !is_data_file(r, d->ops[first_op].node))
                return true;
        r->data_file = d->ops[first_op].node;
        if (is_meta_write(&d->ops[first_op], n))
                return add_commit(r, &d->ops[first_op], event);
        return scan_write(r, &d->ops[first_op], n);
}
