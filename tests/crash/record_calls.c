/* SPDX-License-Identifier: Apache-2.0 */
/* See record_calls.h. Every change is read when its call has returned and its process stands still: what a write
 * wrote is read from the file, which is the same for all calls that write. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/record_calls.h"
#include "tests/crash/record_journal.h"

bool record_fail(Recording *r, const TracerEvent *event, const char *why) {
        if (r->problem[0] == 0)
                (void)snprintf(r->problem, sizeof r->problem, "event %" PRIu64 ", %s %.300s %.300s: %s", event->n,
                               event->name, event->path, event->path2, why);
        return false;
}

/* ---- Which node ---- */

typedef enum Where { WHERE_ROOT, WHERE_VOLATILE, WHERE_OUTSIDE } Where;

/* Of an absolute path; *ret is what stands behind the root. */
static Where where_is(const Recording *r, const char *path, const char **ret) {
        size_t n = strlen(r->world->root);

        if (strncmp(path, r->world->root, n) != 0 || (path[n] != '/' && path[n] != 0))
                return WHERE_OUTSIDE;
        *ret = path + n + (path[n] == '/');
        if (strncmp(*ret, "run", 3) == 0 && ((*ret)[3] == '/' || (*ret)[3] == 0))
                return WHERE_VOLATILE;
        return WHERE_ROOT;
}

/* /proc/self/fd/N/… is what the process sees. */
static void without_proc(const Doing *doing, const char *path, char *ret, size_t size) {
        static const char prefix[] = "/proc/self/fd/";
        char link[96];
        ssize_t n = -1;

        (void)snprintf(ret, size, "%s", path);
        if (strncmp(path, prefix, sizeof prefix - 1) != 0)
                return;
        (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", doing->event->pid,
                       (int)strtol(path + sizeof prefix - 1, NULL, 10));
        n = readlink(link, ret, size - 1);
        ret[n > 0 ? n : 0] = 0;
        path = strchr(path + sizeof prefix - 1, '/');
        if (n > 0 && path != NULL)
                (void)snprintf(ret + n, size - (size_t)n, "%s", path);
}

/* The slot that a path means. 1: found; 0: it is no matter of the disk; -1: failed. */
static int find_slot(const Doing *doing, const char *path, uint32_t *ret) {
        char real[PATH_MAX], *rest = NULL, *name, *next;
        const char *inside = "";
        Disk *d = &doing->r->disk;
        uint32_t dir = 0;
        Where where;

        without_proc(doing, path, real, sizeof real);
        where = where_is(doing->r, real, &inside);
        if (where != WHERE_ROOT)
                return where == WHERE_VOLATILE ? 0 : record_fail(doing->r, doing->event, "outside of the root") - 1;
        memmove(real, inside, strlen(inside) + 1);
        name = strtok_r(real, "/", &rest);
        for (; name != NULL; name = next) {
                uint32_t slot = disk_slot(d, dir, name);

                next = strtok_r(NULL, "/", &rest);
                if (slot == DISK_NONE)
                        break;
                *ret = slot;
                if (next == NULL || strcmp(next, ".") == 0)
                        return 1;
                dir = d->slots[slot].now;
                if (dir == DISK_NONE || !S_ISDIR(d->nodes[dir].now.mode))
                        break;
        }
        (void)record_fail(doing->r, doing->event, "it is not known what that path means");
        return -1;
}

static int node_of_stat(const Doing *doing, const struct stat *st, const char *path, uint32_t *ret) {
        const char *inside;

        *ret = disk_find_inode(&doing->r->disk, st->st_ino);
        if (*ret != DISK_NONE)
                return 1;
        if (where_is(doing->r, path, &inside) == WHERE_VOLATILE)
                return 0;
        (void)record_fail(doing->r, doing->event, "a file that is not known");
        return -1;
}

static int node_of_fd(const Doing *doing, unsigned argument, uint32_t *ret) {
        char link[96];
        struct stat st;

        (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", doing->event->pid, (int)doing->event->args[argument]);
        if (stat(link, &st) < 0)
                return record_fail(doing->r, doing->event, "its descriptor cannot be looked at") - 1;
        return node_of_stat(doing, &st, doing->event->path, ret);
}

/* ---- What the calls do ---- */

static DiskOp *add_op(const Doing *doing, DiskOpKind kind, uint32_t node) {
        DiskOp *op = disk_add_op(&doing->r->disk, kind, node);

        if (op == NULL)
                (void)record_fail(doing->r, doing->event, "no memory");
        return op;
}

static bool change_names(const Doing *doing, const uint32_t slots[2], const uint32_t to[2], unsigned n) {
        DiskOp *op = add_op(doing, DISK_NAME, DISK_NONE);

        for (unsigned i = 0; op != NULL && i < n; i++) {
                op->changes[i].slot = slots[i];
                op->changes[i].to = to[i];
                op->n_changes = n;
                doing->r->disk.slots[slots[i]].now = to[i];
        }
        return op != NULL;
}

static bool change_name(const Doing *doing, uint32_t slot, uint32_t to) {
        const uint32_t slots[2] = {slot, 0}, nodes[2] = {to, 0};

        return change_names(doing, slots, nodes, 1);
}

/* What has just been made there. */
static bool make(const Doing *doing, uint32_t slot, const struct stat *st) {
        Disk *d = &doing->r->disk;
        uint32_t node = disk_add_node(d, st->st_ino, &(DiskMeta){st->st_mode, st->st_uid, st->st_gid});

        if (node == DISK_NONE)
                return record_fail(doing->r, doing->event, "no memory");
        if (S_ISLNK(st->st_mode)) {
                d->nodes[node].data = strdup(doing->event->path2);
                d->nodes[node].first_size = strlen(doing->event->path2);
                if (d->nodes[node].data == NULL)
                        return record_fail(doing->r, doing->event, "no memory");
        }
        return slot == DISK_NONE || change_name(doing, slot, node);
}

static bool set_size(const Doing *doing, uint32_t node, uint64_t size) {
        DiskNode *n = &doing->r->disk.nodes[node];
        DiskOp *op;

        if (n->size == size)
                return true;
        op = add_op(doing, DISK_SIZE, node);
        if (op != NULL)
                op->size = size;
        n->size = size;
        return op != NULL;
}

static bool on_open(const Doing *doing) {
        const TracerEvent *event = doing->event;
        Disk *d = &doing->r->disk;
        uint64_t flags = event->args[event->syscall == SYS_openat || event->syscall == SYS_openat2 ? 2 : 1];
        uint32_t slot;
        char link[96];
        struct stat st;
        int r = find_slot(doing, event->path, &slot);

        if (r <= 0)
                return r == 0;
        if (event->syscall == SYS_openat2 && tracer_read(event, event->args[2], &flags, sizeof flags) < 0)
                return record_fail(doing->r, event, "its flags cannot be read");
        (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", event->pid, (int)event->result);
        if (stat(link, &st) < 0)
                return record_fail(doing->r, event, "what was opened cannot be looked at");
        if ((flags & O_TMPFILE) == O_TMPFILE)
                return make(doing, DISK_NONE, &st);
        if (d->slots[slot].now == DISK_NONE)
                return make(doing, slot, &st);
        return (flags & O_TRUNC) == 0 || set_size(doing, d->slots[slot].now, 0);
}

static bool on_make(const Doing *doing) {
        struct stat st;
        uint32_t slot;
        int r = find_slot(doing, doing->event->path, &slot);

        if (r <= 0)
                return r == 0;
        if (lstat(doing->event->path, &st) < 0)
                return record_fail(doing->r, doing->event, "what was made cannot be looked at");
        return make(doing, slot, &st);
}

static bool on_remove(const Doing *doing) {
        uint32_t slot;
        int r = find_slot(doing, doing->event->path, &slot);

        return r <= 0 ? r == 0 : change_name(doing, slot, DISK_NONE);
}

static bool on_link(const Doing *doing) {
        struct stat st;
        uint32_t slot, node;
        int r = find_slot(doing, doing->event->path2, &slot);

        if (r <= 0)
                return r == 0;
        if (lstat(doing->event->path2, &st) < 0)
                return record_fail(doing->r, doing->event, "what was linked cannot be looked at");
        return node_of_stat(doing, &st, doing->event->path2, &node) > 0 && change_name(doing, slot, node);
}

static bool on_rename(const Doing *doing) {
        const TracerEvent *event = doing->event;
        Disk *d = &doing->r->disk;
        bool is_exchange = event->syscall == SYS_renameat2 && (event->args[4] & RENAME_EXCHANGE) != 0;
        uint32_t slots[2], to[2];
        int a = find_slot(doing, event->path, &slots[0]), b = find_slot(doing, event->path2, &slots[1]);

        if (a != b || a <= 0)
                return a == 0 && b == 0 ? true : record_fail(doing->r, event, "a rename to or from elsewhere");
        to[0] = is_exchange ? d->slots[slots[1]].now : DISK_NONE;
        to[1] = d->slots[slots[0]].now;
        /* Two names of one file: nothing happens. */
        return to[1] == d->slots[slots[1]].now || change_names(doing, slots, to, 2);
}

static uint64_t fdinfo(const Doing *doing, unsigned argument, const char *name, int base) {
        char path[96], line[128];
        uint64_t value = 0;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", doing->event->pid, (int)doing->event->args[argument]);
        file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
                if (strncmp(line, name, strlen(name)) == 0)
                        value = strtoull(line + strlen(name), NULL, base);
        if (file != NULL)
                (void)fclose(file);
        return value;
}

static bool add_block(const Doing *doing, uint32_t node, int fd, uint64_t offset, uint64_t size) {
        DiskOp *op = add_op(doing, DISK_DATA, node);
        char *data = op != NULL ? malloc(size) : NULL;

        if (data == NULL || pread(fd, data, size, (off_t)offset) != (ssize_t)size) {
                free(data);
                return record_fail(doing->r, doing->event, "what was written cannot be read");
        }
        op->offset = offset;
        op->size = size;
        op->data = data;
        op->group = doing->r->disk.ops[doing->first_op].group;
        return true;
}

/* What lay there already is torn at sectors, and what is appended at blocks: how far it came is its size's affair. */
static bool add_data(const Doing *doing, uint32_t node, int fd, uint64_t offset) {
        uint64_t n = (uint64_t)doing->event->result, end = offset + n;
        bool is_over = offset < doing->r->disk.nodes[node].size;
        uint64_t unit = is_over && n <= DISK_BLOCK ? DISK_SECTOR : DISK_BLOCK;

        for (uint64_t at = offset; at < end;) {
                uint64_t next = (at / unit + 1) * unit;

                next = next < end ? next : end;
                if (!add_block(doing, node, fd, at, next - at))
                        return false;
                at = next;
        }
        return end <= doing->r->disk.nodes[node].size || set_size(doing, node, end);
}

/* O_SYNC and O_DSYNC: it is durable when the call returns. */
static void sync_write(const Doing *doing) {
        Disk *d = &doing->r->disk;

        for (size_t i = doing->first_op; i < d->n_ops; i++)
                d->ops[i].durable = doing->number;
}

static bool on_write(const Doing *doing) {
        static const struct {
                int nr;
                int fd, offset; /* arguments; -1: at the descriptor's own place */
        } writes[] = {{SYS_write, 0, -1},   {SYS_writev, 0, -1},   {SYS_pwrite64, 0, 3}, {SYS_pwritev, 0, 3},
                      {SYS_pwritev2, 0, 3}, {SYS_sendfile, 0, -1}, {SYS_splice, 2, -1},  {SYS_copy_file_range, 2, -1}};
        size_t i = 0;
        char link[96];
        uint32_t node;
        uint64_t offset;
        bool is_fine;
        int fd, r;

        while (writes[i].nr != doing->event->syscall)
                i++;
        r = node_of_fd(doing, (unsigned)writes[i].fd, &node);
        if (r <= 0 || doing->event->result == 0)
                return r >= 0;
        offset = writes[i].offset >= 0
                         ? doing->event->args[writes[i].offset]
                         : fdinfo(doing, (unsigned)writes[i].fd, "pos:", 10) - (uint64_t)doing->event->result;
        (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", doing->event->pid, (int)doing->event->args[writes[i].fd]);
        fd = open(link, O_RDONLY | O_CLOEXEC);
        is_fine =
                fd >= 0 ? add_data(doing, node, fd, offset) : record_fail(doing->r, doing->event, "it cannot be read");
        if (fd >= 0)
                (void)close(fd);
        if (is_fine && (fdinfo(doing, (unsigned)writes[i].fd, "flags:", 8) & O_DSYNC) != 0)
                sync_write(doing);
        return is_fine;
}

static bool on_size(const Doing *doing) {
        uint32_t node, slot;
        bool has_path = doing->event->syscall == SYS_truncate;
        int r = has_path ? find_slot(doing, doing->event->path, &slot) : node_of_fd(doing, 0, &node);

        if (r > 0 && has_path)
                node = doing->r->disk.slots[slot].now;
        return r <= 0 ? r == 0 : set_size(doing, node, doing->event->args[1]);
}

static bool on_allocate(const Doing *doing) {
        uint64_t mode = doing->event->args[1], end = doing->event->args[2] + doing->event->args[3];
        uint32_t node;
        DiskOp *op;
        int r = node_of_fd(doing, 0, &node);

        if (r <= 0)
                return r == 0;
        if ((mode & ~(uint64_t)FALLOC_FL_KEEP_SIZE) != 0)
                return record_fail(doing->r, doing->event, "a mode of fallocate that is not known");
        op = add_op(doing, DISK_ROOM, node);
        if (op != NULL)
                op->size = end;
        if (op != NULL && mode == 0 && end > doing->r->disk.nodes[node].size)
                return set_size(doing, node, end);
        return op != NULL;
}

static bool meta_of(const Doing *doing, uint32_t node, const struct stat *st) {
        const DiskMeta meta = {st->st_mode, st->st_uid, st->st_gid};
        DiskMeta *now = &doing->r->disk.nodes[node].now;
        DiskOp *op;

        if (now->mode == meta.mode && now->uid == meta.uid && now->gid == meta.gid)
                return true;
        op = add_op(doing, DISK_META, node);
        if (op != NULL)
                op->meta = meta;
        doing->r->disk.nodes[node].now = meta;
        return op != NULL;
}

static bool on_meta(const Doing *doing) {
        bool has_fd = doing->event->syscall == SYS_fchmod || doing->event->syscall == SYS_fchown;
        char path[PATH_MAX];
        struct stat st;
        uint32_t node;
        int r;

        if (has_fd)
                (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", doing->event->pid, (int)doing->event->args[0]);
        else
                without_proc(doing, doing->event->path, path, sizeof path);
        if ((has_fd ? stat(path, &st) : lstat(path, &st)) < 0)
                return record_fail(doing->r, doing->event, "it cannot be looked at");
        r = node_of_stat(doing, &st, has_fd ? doing->event->path : path, &node);
        return r <= 0 ? r == 0 : meta_of(doing, node, &st);
}

static bool on_sync(const Doing *doing) {
        uint32_t node;
        int r = node_of_fd(doing, 0, &node);

        doing->r->disk.events[doing->number].is_sync = true;
        if (r > 0)
                disk_sync_node(&doing->r->disk, node, doing->event->syscall == SYS_fdatasync);
        return r >= 0;
}

static bool on_sync_all(const Doing *doing) {
        doing->r->disk.events[doing->number].is_sync = true;
        disk_sync_all(&doing->r->disk);
        return true;
}

/* Times are not kept; a hint is no promise; what goes through the map of lock.mdb is nobody's business after a boot. */
static bool on_nothing(const Doing *doing) {
        (void)doing;
        return true;
}

/* clang-format off */
static const struct {
        int nr;
        bool (*take)(const Doing *doing);
} calls[] = {
        {SYS_openat, on_open},      {SYS_openat2, on_open},
        {SYS_mkdirat, on_make},     {SYS_symlinkat, on_make},
        {SYS_unlinkat, on_remove},  {SYS_linkat, on_link},
        {SYS_renameat2, on_rename},
        {SYS_write, on_write},      {SYS_writev, on_write},     {SYS_pwrite64, on_write}, {SYS_pwritev, on_write},
        {SYS_pwritev2, on_write},   {SYS_sendfile, on_write},   {SYS_splice, on_write},   {SYS_copy_file_range, on_write},
        {SYS_ftruncate, on_size},   {SYS_truncate, on_size},    {SYS_fallocate, on_allocate},
        {SYS_fchmod, on_meta},      {SYS_fchmodat, on_meta},    {SYS_fchown, on_meta},    {SYS_fchownat, on_meta},
        {SYS_fsync, on_sync},       {SYS_fdatasync, on_sync},   {SYS_syncfs, on_sync_all}, {SYS_sync, on_sync_all},
        {SYS_msync, on_nothing},    {SYS_utimensat, on_nothing}, {SYS_sync_file_range, on_nothing},
#ifdef SYS_renameat
        {SYS_renameat, on_rename},
#endif
#ifdef SYS_open
        {SYS_open, on_open},        {SYS_creat, on_open},       {SYS_mkdir, on_make},     {SYS_symlink, on_make},
        {SYS_unlink, on_remove},    {SYS_rmdir, on_remove},     {SYS_link, on_link},      {SYS_rename, on_rename},
        {SYS_chmod, on_meta},       {SYS_chown, on_meta},       {SYS_lchown, on_meta},
#endif
};
/* clang-format on */

bool record_take(const Doing *doing) {
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
                if (calls[i].nr == doing->event->syscall)
                        return calls[i].take(doing) && (record_take_journal(doing->r, doing->first_op, doing->number) ||
                                                        record_fail(doing->r, doing->event, "no memory"));
        return record_fail(doing->r, doing->event, "a call that changes the disk in a way that is not known");
}
