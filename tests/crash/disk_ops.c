/* SPDX-License-Identifier: Apache-2.0 */
/* See disk_ops.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/disk_ops.h"

/* Room for one more; arrays grow by doubling. */
static void *grown(void *array, size_t n, size_t size) {
        bool is_full = n == 0 || (n & (n - 1)) == 0;

        return is_full ? reallocarray(array, n == 0 ? 1 : n * 2, size) : array;
}

/* ---- Adding ---- */

uint32_t disk_add_node(Disk *d, ino_t inode, const DiskMeta *meta) {
        DiskNode *nodes = grown(d->nodes, d->n_nodes, sizeof *nodes);

        if (nodes == NULL)
                return DISK_NONE;
        d->nodes = nodes;
        nodes[d->n_nodes] =
                (DiskNode){.inode = inode, .known_as = inode, .first = *meta, .now = *meta, .slots = DISK_NONE};
        return (uint32_t)d->n_nodes++;
}

uint32_t disk_find_slot(const Disk *d, uint32_t dir, const char *name) {
        for (uint32_t i = d->nodes[dir].slots; i != DISK_NONE; i = d->slots[i].next)
                if (strcmp(d->slots[i].name, name) == 0)
                        return i;
        return DISK_NONE;
}

uint32_t disk_slot(Disk *d, uint32_t dir, const char *name) {
        uint32_t found = disk_find_slot(d, dir, name);
        DiskSlot *slots;
        char *copy;

        if (found != DISK_NONE)
                return found;
        slots = grown(d->slots, d->n_slots, sizeof *slots);
        if (slots != NULL)
                d->slots = slots;
        copy = strdup(name);
        if (slots == NULL || copy == NULL) {
                free(copy);
                return DISK_NONE;
        }
        slots[d->n_slots] = (DiskSlot){dir, d->nodes[dir].slots, DISK_NONE, DISK_NONE, copy};
        d->nodes[dir].slots = (uint32_t)d->n_slots;
        return (uint32_t)d->n_slots++;
}

uint32_t disk_find_inode(const Disk *d, ino_t inode) {
        for (size_t i = d->n_nodes; i-- > 0;)
                if (d->nodes[i].inode == inode)
                        return (uint32_t)i;
        return DISK_NONE;
}

DiskOp *disk_add_op(Disk *d, DiskOpKind kind, uint32_t node) {
        DiskOp *ops = grown(d->ops, d->n_ops, sizeof *ops);

        if (ops == NULL)
                return NULL;
        d->ops = ops;
        ops[d->n_ops] = (DiskOp){.kind = kind,
                                 .event = (uint32_t)(d->n_events - 1),
                                 .durable = DISK_NEVER,
                                 .group = d->n_groups++,
                                 .node = node};
        return &ops[d->n_ops++];
}

DiskEvent *disk_add_event(Disk *d) {
        DiskEvent *events = grown(d->events, d->n_events, sizeof *events);

        if (events == NULL)
                return NULL;
        d->events = events;
        events[d->n_events] = (DiskEvent){.name = ""};
        return &events[d->n_events++];
}

/* ---- What lies there at first ---- */

static int load_content(DiskNode *node, const char *path) {
        bool is_link = S_ISLNK(node->first.mode);
        int fd = is_link ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        size_t size = is_link ? PATH_MAX : node->first_size;
        char *data = malloc(size + 1);
        ssize_t n = -1;

        if (data != NULL)
                n = is_link ? readlink(path, data, size) : read(fd, data, size);
        if (fd >= 0)
                (void)close(fd);
        if (n < 0 || (!is_link && (size_t)n != size)) {
                free(data);
                return -EIO;
        }
        data[n] = 0;
        node->data = data;
        node->first_size = node->size = (size_t)n;
        return 0;
}

static int load_directory(Disk *d, uint32_t dir, const char *path);

static int load_entry(Disk *d, uint32_t dir, const char *path, const char *name) {
        char full[PATH_MAX];
        struct stat st;
        uint32_t node, slot;

        (void)snprintf(full, sizeof full, "%s/%s", path, name);
        if (lstat(full, &st) < 0)
                return -errno;
        node = disk_add_node(d, st.st_ino, &(DiskMeta){st.st_mode, st.st_uid, st.st_gid});
        slot = node != DISK_NONE ? disk_slot(d, dir, name) : DISK_NONE;
        if (slot == DISK_NONE)
                return -ENOMEM;
        d->slots[slot].first = d->slots[slot].now = node;
        if (S_ISDIR(st.st_mode))
                return load_directory(d, node, full);
        d->nodes[node].first_size = (size_t)st.st_size;
        return load_content(&d->nodes[node], full);
}

static int load_directory(Disk *d, uint32_t dir, const char *path) {
        DIR *stream = opendir(path);
        struct dirent *entry;
        int r = 0;

        if (stream == NULL)
                return -errno;
        while (r == 0 && (entry = readdir(stream)) != NULL) {
                bool is_itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
                bool is_volatile = dir == 0 && strcmp(entry->d_name, "run") == 0;

                r = is_itself || is_volatile ? 0 : load_entry(d, dir, path, entry->d_name);
        }
        (void)closedir(stream);
        return r;
}

int disk_load(Disk *d, const char *root) {
        struct stat st;

        *d = (Disk){0};
        if (stat(root, &st) < 0)
                return -errno;
        if (disk_add_node(d, st.st_ino, &(DiskMeta){st.st_mode, st.st_uid, st.st_gid}) == DISK_NONE)
                return -ENOMEM;
        return load_directory(d, 0, root);
}

void disk_done(Disk *d) {
        for (size_t i = 0; i < d->n_nodes; i++)
                free(d->nodes[i].data);
        for (size_t i = 0; i < d->n_slots; i++)
                free(d->slots[i].name);
        for (size_t i = 0; i < d->n_ops; i++)
                free(d->ops[i].data);
        free(d->nodes);
        free(d->slots);
        free(d->ops);
        free(d->events);
        *d = (Disk){0};
}

/* ---- Syncing ---- */

static bool is_covered(const Disk *d, DiskOp *op, uint32_t node, bool only_data) {
        unsigned all = (1U << op->n_changes) - 1;

        if (op->kind == DISK_NAME) {
                for (unsigned i = 0; i < op->n_changes && !only_data; i++)
                        if (d->slots[op->changes[i].slot].dir == node)
                                op->synced |= 1U << i;
                return op->synced == all;
        }
        return op->node == node && (!only_data || op->kind == DISK_DATA || op->kind == DISK_SIZE);
}

void disk_sync_node(Disk *d, uint32_t node, bool only_data) {
        for (size_t i = 0; i < d->n_ops; i++)
                if (d->ops[i].durable == DISK_NEVER && is_covered(d, &d->ops[i], node, only_data))
                        d->ops[i].durable = (uint32_t)(d->n_events - 1);
}

void disk_sync_all(Disk *d) {
        for (size_t i = 0; i < d->n_ops; i++)
                if (d->ops[i].durable == DISK_NEVER)
                        d->ops[i].durable = (uint32_t)(d->n_events - 1);
}

/* ---- For people ---- */

static const DiskSlot *slot_of(const Disk *d, uint32_t node) {
        const DiskSlot *found = NULL;

        for (size_t i = 0; i < d->n_slots; i++)
                if (d->slots[i].now == node || (found == NULL && d->slots[i].first == node))
                        found = &d->slots[i];
        for (size_t i = 0; i < d->n_ops && found == NULL; i++)
                for (unsigned k = 0; d->ops[i].kind == DISK_NAME && k < d->ops[i].n_changes; k++)
                        if (d->ops[i].changes[k].to == node)
                                found = &d->slots[d->ops[i].changes[k].slot];
        return found;
}

static void slot_path(const Disk *d, const DiskSlot *slot, char *ret, size_t size) {
        size_t n;

        disk_path(d, slot->dir, ret, size);
        n = strlen(ret);
        (void)snprintf(ret + n, size - n, "%s%s", n > 0 ? "/" : "", slot->name);
}

void disk_path(const Disk *d, uint32_t node, char *ret, size_t size) {
        const DiskSlot *slot = node != 0 ? slot_of(d, node) : NULL;

        (void)snprintf(ret, size, "%s", node == 0 ? "" : "?");
        if (slot != NULL)
                slot_path(d, slot, ret, size);
}

void disk_op_text(const Disk *d, const DiskOp *op, char *ret, size_t size) {
        static const char *const kinds[] = {"name", "data", "size", "attributes", "room"};
        char path[PATH_MAX], other[PATH_MAX] = "";

        if (op->kind == DISK_NAME)
                slot_path(d, &d->slots[op->changes[0].slot], path, sizeof path);
        else
                disk_path(d, op->node, path, sizeof path);
        if (op->n_changes > 1)
                slot_path(d, &d->slots[op->changes[1].slot], other, sizeof other);
        (void)snprintf(ret, size, "%s of %.300s%s%.300s (%s)", kinds[op->kind], path, other[0] != 0 ? " and " : "",
                       other, d->events[op->event].name);
}

/* ---- Content ---- */

typedef struct Content {
        char *data;
        size_t size, room;
} Content;

static bool content_reaches(Content *c, size_t end) {
        char *data = end > c->room ? realloc(c->data, end) : c->data;

        if (data == NULL)
                return false;
        if (end > c->room) {
                memset(data + c->room, 0, end - c->room);
                c->room = end;
        }
        c->data = data;
        return true;
}

/* Data behind the end of the file does not show, until the size says that it belongs to it. */
static bool content_apply(Content *c, const DiskOp *op) {
        if (op->kind == DISK_DATA) {
                if (!content_reaches(c, op->offset + op->size))
                        return false;
                memcpy(c->data + op->offset, op->data, op->size);
        }
        if (op->kind == DISK_SIZE) {
                if (op->size < c->size && op->size < c->room)
                        memset(c->data + op->size, 0, c->room - op->size);
                c->size = op->size;
        }
        return true;
}

char *disk_content(const Disk *d, const bool *is_applied, uint32_t node, size_t *ret_size) {
        const DiskNode *n = &d->nodes[node];
        Content c = {.size = n->first_size};
        bool is_fine = content_reaches(&c, n->first_size + 1);

        if (is_fine && n->first_size > 0)
                memcpy(c.data, n->data, n->first_size);
        for (size_t i = 0; is_fine && i < d->n_ops; i++)
                if (d->ops[i].kind != DISK_NAME && d->ops[i].node == node && is_applied[i])
                        is_fine = content_apply(&c, &d->ops[i]);
        if (!is_fine || !content_reaches(&c, c.size + 1)) {
                free(c.data);
                return NULL;
        }
        *ret_size = c.size;
        return c.data;
}
