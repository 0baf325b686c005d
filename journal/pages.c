/* SPDX-License-Identifier: Apache-2.0 */
/* See pages.h. The structures are LMDB's (mdb.c: MDB_page, MDB_node, MDB_db, MDB_meta), copied out before they are
 * read. */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/digest.h"
#include "core/base/fault.h"
#include "journal/pages.h"

typedef struct __attribute__((packed)) MetaPage {
        uint64_t pgno;
        uint16_t pad, flags, lower, upper;
        uint32_t magic, version;
        uint64_t address, map_size;
        struct {
                uint32_t pad;
                uint16_t flags, depth;
                uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
        } dbs[2];
        uint64_t last_pg, txnid;
} MetaPage;
static_assert(sizeof(MetaPage) == 152, "LMDB's meta page on 64 bit");

enum { META_FLAG = 0x08, META_MAGIC = 0xBEEFC0DE, META_VERSION = 1 };

static int file_damaged(Error *err, const char *what) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, "Run: pawl journal repair", "the journal is damaged: %s",
                         what);
}

static int meta_read(int fd, off_t offset, MetaPage *ret, Error *err) {
        ssize_t n = pread(fd, ret, sizeof(*ret), offset);
        if (n < 0)
                return error_set_errno(err, -errno, NULL, "could not read the journal");
        if (n != (ssize_t)sizeof(*ret))
                return file_damaged(err, "its file is cut off");
        if (!(ret->flags & META_FLAG) || ret->magic != META_MAGIC || ret->version != META_VERSION)
                return file_damaged(err, "a meta page is not one");
        return 0;
}

/* *ret_newest is one of `metas`. */
static int metas_read(int data_fd, MetaPage metas[static 2], const MetaPage **ret_newest, Error *err) {
        struct stat st;
        if (fstat(data_fd, &st) < 0)
                return error_set_errno(err, -errno, NULL, "could not look at the journal");
        if (!S_ISREG(st.st_mode))
                return file_damaged(err, "data.mdb is not a regular file");
        int r = meta_read(data_fd, 0, &metas[0], err);
        if (r < 0)
                return r;
        uint64_t page_size = metas[0].dbs[0].pad;
        if (page_size < 512 || page_size > 65536 || (page_size & (page_size - 1)))
                return file_damaged(err, "the page size in its meta page is none");
        r = meta_read(data_fd, (off_t)page_size, &metas[1], err);
        if (r < 0)
                return r;
        if (metas[1].dbs[0].pad != page_size || metas[0].pgno != 0 || metas[1].pgno != 1)
                return file_damaged(err, "its meta pages contradict each other");
        const MetaPage *newest = &metas[metas[1].txnid > metas[0].txnid];
        if (newest->last_pg >= (uint64_t)INT64_MAX / page_size ||
            (newest->last_pg + 1) * page_size > (uint64_t)st.st_size)
                return file_damaged(err, "its file is cut off");
        for (int i = 0; i < 2; i++)
                if (newest->dbs[i].root != UINT64_MAX && newest->dbs[i].root > newest->last_pg)
                        return file_damaged(err, "a meta page points outside of the file");
        *ret_newest = newest;
        return 0;
}

int pages_check_metas(int data_fd, Error *err) {
        MetaPage metas[2];
        const MetaPage *newest;
        return mutant_is("no-meta-check") ? 0 : metas_read(data_fd, metas, &newest, err);
}

int pages_tell(int data_fd, uint64_t *ret_txnid, uint8_t ret_hash[static 32], Error *err) {
        MetaPage metas[2];
        const MetaPage *newest;
        int r = metas_read(data_fd, metas, &newest, err);
        if (r < 0)
                return r;
        blake2b_of(NULL, 0, metas, sizeof(metas), ret_hash);
        *ret_txnid = newest->txnid;
        return 0;
}

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04 };
enum { NODE_BIG = 0x01, NODE_SUBDATA = 0x02, NODE_SIZE = 8, PAGE_HEADER = 16, DEPTH_MAX = 32 };

typedef struct PageHeader {
        uint64_t pgno;
        uint16_t pad, flags, lower, upper; /* of an overflow page the last two are one number: how many pages */
} PageHeader;
static_assert(sizeof(PageHeader) == PAGE_HEADER, "LMDB's page header on 64 bit");

typedef struct __attribute__((packed)) Tree {
        uint32_t pad;
        uint16_t flags, depth;
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
} Tree;
static_assert(sizeof(Tree) == 48, "LMDB's MDB_db on 64 bit");

typedef struct Node { /* the first four lie on disk so */
        uint16_t lo, hi, flags, n_key;
        const uint8_t *key, *data;
        size_t n_data; /* of a leaf's node */
} Node;

typedef struct Look {
        int fd;
        uint32_t page_size;
        uint64_t last_pg;
        unsigned tail;
        bool is_free_list;
        Error *err;
} Look;

typedef struct Page {
        uint8_t *data;
        PageHeader header;
        unsigned n;
} Page;

static int look_fails(const Look *l, const char *what) {
        return file_damaged(l->err, what);
}

static int page_read(const Look *l, uint64_t pgno, Page *ret) {
        if (pgno < 2 || pgno > l->last_pg)
                return look_fails(l, "a page is outside of the file");
        ssize_t n = pread(l->fd, ret->data, l->page_size, (off_t)(pgno * l->page_size));
        if (n < 0)
                return error_set_errno(l->err, -errno, NULL, "could not read the journal");
        if (n != (ssize_t)l->page_size)
                return look_fails(l, "its file is cut off");
        memcpy(&ret->header, ret->data, sizeof(ret->header));
        return ret->header.pgno == pgno ? 0 : look_fails(l, "a page has the number of another");
}

static int page_check(const Look *l, Page *p, uint16_t kind) {
        const PageHeader *h = &p->header;
        if (h->flags != kind)
                return look_fails(l, "a page is of another kind than its place");
        if (h->lower < PAGE_HEADER || h->lower % 2 || h->lower > h->upper || h->upper > l->page_size)
                return look_fails(l, "the bounds in a page are none");
        p->n = (h->lower - PAGE_HEADER) / 2u;
        return p->n >= (kind == PAGE_BRANCH ? 2u : 1u) ? 0 : look_fails(l, "a page has no entries");
}

static int node_at(const Look *l, const Page *p, unsigned i, Node *ret) {
        uint16_t offset;
        bool is_leaf = p->header.flags == PAGE_LEAF;
        memcpy(&offset, p->data + PAGE_HEADER + 2 * i, sizeof(offset));
        if (offset < p->header.upper || offset % 2 || (size_t)offset + NODE_SIZE > l->page_size)
                return look_fails(l, "an entry lies outside of its page");
        memcpy(ret, p->data + offset, NODE_SIZE);
        ret->key = p->data + offset + NODE_SIZE;
        ret->data = ret->key + ret->n_key;
        ret->n_data = (size_t)ret->lo | (size_t)ret->hi << 16;
        size_t inside = !is_leaf ? 0 : ret->flags & NODE_BIG ? sizeof(uint64_t) : ret->n_data;
        if ((size_t)offset + NODE_SIZE + ret->n_key + inside > l->page_size)
                return look_fails(l, "an entry is longer than its page");
        return 0;
}

/* Room from upper to the end is what the nodes take: LMDB computes free room from these. */
static int nodes_check(const Look *l, const Page *p) {
        Node node, before = {0};
        size_t used = 0;
        for (unsigned i = 0; i < p->n; i++) {
                int r = node_at(l, p, i, &node);
                if (r < 0)
                        return r;
                bool is_leaf = p->header.flags == PAGE_LEAF;
                size_t inside = !is_leaf ? 0 : node.flags & NODE_BIG ? sizeof(uint64_t) : node.n_data;
                used += (NODE_SIZE + node.n_key + inside + 1u) & ~(size_t)1;
                bool is_compared = !l->is_free_list && i > (is_leaf ? 0u : 1u);
                int order = is_compared ? memcmp(before.key, node.key, MIN(before.n_key, node.n_key)) : -1;
                if (order > 0 || (order == 0 && before.n_key >= node.n_key))
                        return look_fails(l, "the keys in a page do not ascend");
                before = node;
        }
        return used == l->page_size - p->header.upper ? 0 : look_fails(l, "the room in a page does not add up");
}

/* The pages an entry's value takes. */
static int overflow_check(const Look *l, const Node *node, Page *scratch) {
        uint64_t pgno;
        uint32_t n;
        memcpy(&pgno, node->data, sizeof(pgno));
        int r = page_read(l, pgno, scratch);
        if (r < 0)
                return r;
        memcpy(&n, scratch->data + 12, sizeof(n));
        if (scratch->header.flags != PAGE_OVERFLOW || n == 0 || n > l->last_pg - pgno + 1 ||
            node->n_data > (uint64_t)n * l->page_size - PAGE_HEADER)
                return look_fails(l, "a long entry is longer than its pages");
        return 0;
}

/* Numbers of free pages: how many, then descending. LMDB writes onto what is named here. */
static int free_list_check(const Look *l, const Node *node, const Page *scratch) {
        uint64_t n, page, before = l->last_pg + 1;
        const uint8_t *ids = node->flags & NODE_BIG ? scratch->data + PAGE_HEADER : node->data;
        size_t visible = node->flags & NODE_BIG ? MIN(node->n_data, l->page_size - PAGE_HEADER) : node->n_data;
        if (node->n_key != sizeof(uint64_t) || visible < sizeof(n))
                return look_fails(l, "a list of free pages is none");
        memcpy(&n, ids, sizeof(n));
        if (n >= node->n_data / sizeof(n))
                return look_fails(l, "a list of free pages is longer than its entry");
        for (uint64_t i = 1; i <= n && (i + 1) * sizeof(n) <= visible; i++, before = page) {
                memcpy(&page, ids + i * sizeof(n), sizeof(page));
                if (page < 2 || page >= before)
                        return look_fails(l, "a list of free pages names what is not free");
        }
        return 0;
}

static int leaf_check(const Look *l, const Page *p) {
        _cleanup_free_ uint8_t *buf = malloc(l->page_size);
        Page scratch = {.data = buf};
        Node node;
        if (!buf)
                return error_no_memory(l->err);
        for (unsigned i = l->tail > 0 && p->n > l->tail ? p->n - l->tail : 0; i < p->n; i++) {
                int r = node_at(l, p, i, &node);
                if (r == 0 && node.flags & NODE_BIG)
                        r = overflow_check(l, &node, &scratch);
                if (r == 0 && l->is_free_list)
                        r = free_list_check(l, &node, &scratch);
                if (r < 0)
                        return r;
        }
        return 0;
}

static uint64_t node_child(const Node *node) {
        return (uint64_t)node->lo | (uint64_t)node->hi << 16 | (uint64_t)node->flags << 32;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, at most DEPTH_MAX */
static int tree_walk(const Look *l, uint64_t pgno, unsigned depth) {
        _cleanup_free_ uint8_t *buf = malloc(l->page_size);
        Page page = {.data = buf};
        Node node;
        if (!buf)
                return error_no_memory(l->err);
        int r = page_read(l, pgno, &page);
        if (r == 0)
                r = page_check(l, &page, depth > 1 ? PAGE_BRANCH : PAGE_LEAF);
        if (r == 0)
                r = nodes_check(l, &page);
        if (r < 0 || depth <= 1)
                return r < 0 ? r : leaf_check(l, &page);
        for (unsigned i = l->tail > 0 && page.n > l->tail ? page.n - l->tail : 0; r == 0 && i < page.n; i++) {
                r = node_at(l, &page, i, &node);
                if (r == 0)
                        r = tree_walk(l, node_child(&node), depth - 1);
        }
        return r;
}

static int tree_check(Look *l, const Tree *tree, bool is_free_list, unsigned tail) {
        l->is_free_list = is_free_list;
        l->tail = tail;
        if (tree->root == UINT64_MAX)
                return tree->depth == 0 && tree->entries == 0 ? 0 : look_fails(l, "an empty table has entries");
        if (tree->depth == 0 || tree->depth > DEPTH_MAX)
                return look_fails(l, "a table is deeper than a table can be");
        return tree_walk(l, tree->root, tree->depth);
}

/* The heads of the databases are entries of the main one, which is one page. */
static int tables_check(Look *l, const Tree *main_tree, unsigned tail, bool is_tail_only) {
        _cleanup_free_ uint8_t *buf = malloc(l->page_size);
        Page page = {.data = buf};
        if (!buf)
                return error_no_memory(l->err);
        int r = main_tree->depth == 1 ? page_read(l, main_tree->root, &page) : look_fails(l, "it has no tables");
        if (r == 0)
                r = page_check(l, &page, PAGE_LEAF);
        for (unsigned i = 0; r == 0 && i < page.n; i++) {
                Node node;
                Tree tree;
                r = node_at(l, &page, i, &node);
                if (r < 0 || !(node.flags & NODE_SUBDATA))
                        continue;
                if (node.n_data != sizeof(tree))
                        return look_fails(l, "the head of a table is none");
                memcpy(&tree, node.data, sizeof(tree));
                bool grows_at_end =
                        node.n_key > 0 && (node.key[0] == 'r' ? node.n_key == strlen("records") : node.key[0] == 't');
                r = tree_check(l, &tree, false, grows_at_end || is_tail_only ? tail : 0);
        }
        return r;
}

int pages_check_trees(int data_fd, unsigned tail, bool is_tail_only, Error *err) {
        MetaPage metas[2];
        const MetaPage *meta = NULL;
        Tree trees[2];
        int r = metas_read(data_fd, metas, &meta, err);
        if (r < 0)
                return r;
        memcpy(trees, meta->dbs, sizeof(trees));
        Look l = {.fd = data_fd, .page_size = meta->dbs[0].pad, .last_pg = meta->last_pg, .err = err};
        r = tree_check(&l, &trees[0], true, is_tail_only ? tail : 0);
        if (r == 0)
                r = tree_check(&l, &trees[1], false, 0);
        return r < 0 ? r : tables_check(&l, &trees[1], tail, is_tail_only);
}
