/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk may hold: what lay on it at first, and every change since, with the moment from which it was durable.
 *
 * A change is durable when a sync that covers it has returned. Names, data, size and attributes are apart: fsync of a
 * file says nothing of its name, fsync of a directory nothing of what its entries hold. A rename is one change, and
 * durable when every directory it touches was synced. All else may be lost or kept, each for itself. That is weaker
 * than any real file system, so what survives here survives there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DISK_BLOCK = 4096, DISK_SECTOR = 512, DISK_STACK_MAX = 12, DISK_EVENT_TEXT = 384 };

#define DISK_NONE UINT32_MAX  /* no node: the name is not there */
#define DISK_NEVER UINT32_MAX /* no event: not durable yet */

typedef struct DiskMeta {
        mode_t mode; /* with the type */
        uid_t uid;
        gid_t gid;
} DiskMeta;

/* A file, a link, a directory. Its number is its place in Disk.nodes; 0 is the root. */
typedef struct DiskNode {
        ino_t inode; /* on the disk that was recorded */
        ino_t known_as; /* its number when pawl saw it first: another one where that disk was made from a recording itself */
        DiskMeta first, now;
        char *data; /* at first: content, or the text of a link */
        size_t first_size, size;
        uint32_t slots; /* of a directory: the first of its names; DISK_NONE: it has none */
} DiskNode;

/* A name in a directory, whether something has it or not. */
typedef struct DiskSlot {
        uint32_t dir, next;
        uint32_t first, now; /* which node has it */
        char *name;
} DiskSlot;

typedef enum DiskOpKind {
        DISK_NAME, /* one or two slots get another node */
        DISK_DATA, /* at most a block of one file */
        DISK_SIZE,
        DISK_META,
        DISK_ROOM, /* reserved, and nothing else changed */
} DiskOpKind;

typedef struct DiskOp {
        DiskOpKind kind;
        uint32_t event;   /* that made it */
        uint32_t durable; /* at the end of which event; or DISK_NEVER */
        uint32_t group;   /* ops of one call that may tear apart */
        uint32_t node;    /* all but DISK_NAME */
        uint64_t offset, size;
        char *data;
        DiskMeta meta;
        unsigned n_changes, synced; /* DISK_NAME: a bit for each change whose directory was synced */
        struct {
                uint32_t slot, to;
        } changes[2];
} DiskOp;

typedef struct DiskEvent {
        uint64_t n;       /* as the tracer counts */
        unsigned run;     /* of which run of the program */
        const char *name; /* static */
        char path[DISK_EVENT_TEXT], path2[DISK_EVENT_TEXT];
        uint64_t stack[DISK_STACK_MAX]; /* who called, innermost first, as offsets in the program; 0: the end */
        size_t output;                  /* bytes that had been printed when it began */
        bool is_sync;
} DiskEvent;

typedef struct Disk {
        DiskNode *nodes;
        DiskSlot *slots;
        DiskOp *ops;
        DiskEvent *events;
        size_t n_nodes, n_slots, n_ops, n_events;
        uint32_t n_groups;
} Disk;

/* Takes what lies below `root` as what is there and durable, but for `run`, which no power cut survives. 0 or a
 * negative errno. */
int disk_load(Disk *d, const char *root);
void disk_done(Disk *d);

/* Adding: each returns the number, or DISK_NONE when memory is out. */
uint32_t disk_add_node(Disk *d, ino_t inode, const DiskMeta *meta);
uint32_t disk_slot(Disk *d, uint32_t dir, const char *name); /* found or added */
uint32_t disk_find_slot(const Disk *d, uint32_t dir, const char *name);
uint32_t disk_find_inode(const Disk *d, ino_t inode); /* the newest */
/* The new op belongs to the newest event, and to a group of its own. NULL when memory is out. */
DiskOp *disk_add_op(Disk *d, DiskOpKind kind, uint32_t node);
DiskEvent *disk_add_event(Disk *d);

/* What the newest event has made durable. */
void disk_sync_node(Disk *d, uint32_t node, bool only_data);
void disk_sync_all(Disk *d);

/* The place of a node, for people: of the first name it has or had. */
void disk_path(const Disk *d, uint32_t node, char *ret, size_t size);
void disk_op_text(const Disk *d, const DiskOp *op, char *ret, size_t size);

/* What a file holds if of the ops only those happened for which is_applied[i] holds. Owned by the caller; NULL when
 * memory is out. */
char *disk_content(const Disk *d, const bool *is_applied, uint32_t node, size_t *ret_size);
