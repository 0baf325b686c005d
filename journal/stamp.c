/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.verified: which data.mdb was last seen sound in full, so that the next opening need not read all of it again.
 *
 * What tells one state of the file from another is its inode, size, times and meta pages: every write to a file moves
 * its ctime, and nobody but the kernel sets that. A kernel's times may stand still for a tick, though: a state counts
 * as settled only when the clock they are taken from has moved on, as a later change could look like no change before.
 *
 * Nothing depends on the stamp: without it, or with one that does not match, everything is checked. So it is never
 * synced, and a failure to write it is none.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "journal/internal.h"
#include "journal/pages.h"

enum {
        NAP_USEC = 1000,
        NAPS_MAX = 25, /* the longest tick of a kernel is 10 ms */
        WORTH_WAITING_FOR = 4 << 20,
};

static int64_t nsec_of(const struct timespec *t) {
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* Beside the folder of the locks, where nothing outlives a boot. Owned by the caller. */
static char *stamp_path(const JournalOptions *o, const char *name) {
        _cleanup_free_ char *dir = path_parent(o->lock_dir);
        return dir ? path_join(dir, name) : NULL;
}

static uint32_t stamp_crc(const StampFile *s) {
        return htole32(crc32c(0, s, offsetof(StampFile, crc32c)));
}

int stamp_take(const JournalOptions *o, int data_fd, StampFile *ret) {
        StampFile s = {.magic = htole32(STAMP_MAGIC), .version = htole32(STAMP_VERSION)};
        struct stat st;
        uint64_t txnid;
        int r = pages_tell(data_fd, &txnid, s.metas, NULL);
        if (r < 0)
                return r;
        if (fstat(data_fd, &st) < 0)
                return -errno;
        memcpy(s.boot, o->boot, sizeof(s.boot));
        s.device = htole64((uint64_t)st.st_dev);
        s.inode = htole64((uint64_t)st.st_ino);
        s.size = htole64((uint64_t)st.st_size);
        s.mtime_nsec = (int64_t)htole64((uint64_t)nsec_of(&st.st_mtim));
        s.ctime_nsec = (int64_t)htole64((uint64_t)nsec_of(&st.st_ctim));
        s.txnid = htole64(txnid);
        s.crc32c = stamp_crc(&s);
        *ret = s;
        return 0;
}

bool stamp_equal(const StampFile *a, const StampFile *b) {
        return memcmp(a, b, sizeof(*a)) == 0;
}

/* The clock that a file's times are taken from, if the file system has no better one. */
static bool is_settled(const StampFile *s) {
        struct timespec now;
        return clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 &&
               nsec_of(&now) > (int64_t)le64toh((uint64_t)s->ctime_nsec);
}

bool stamp_settles(const StampFile *s) {
        bool is_large = le64toh(s->size) > WORTH_WAITING_FOR;
        for (int i = 0; is_large && i < NAPS_MAX && !is_settled(s); i++)
                clock_sleep_usec(NAP_USEC);
        return is_settled(s);
}

static bool is_known_boot(const uint8_t boot[static 16]) {
        static const uint8_t none[16];
        return memcmp(boot, none, sizeof(none)) != 0;
}

bool stamp_matches(const JournalOptions *o, const StampFile *now) {
        _cleanup_free_ char *path = stamp_path(o, STAMP_NAME), *data = NULL;
        struct stat st;
        size_t size;
        if (!path || !is_known_boot(o->boot))
                return false;
        _cleanup_close_ int fd = fs_open(o->root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, NULL);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) ||
            (st.st_uid != 0 && st.st_uid != geteuid()) || fs_read_fd(fd, sizeof(StampFile), &data, &size, NULL) < 0)
                return false;
        return size == sizeof(*now) && memcmp(data, now, sizeof(*now)) == 0;
}

void stamp_write(const JournalOptions *o, const StampFile *s) {
        _cleanup_free_ char *path = stamp_path(o, STAMP_NAME), *lock = path_join(o->lock_dir, "journal-verified");
        _cleanup_close_ int fd = -1;
        /* Who finds it locked leaves it to the other: a stamp is true or does not match. */
        if (path && lock && is_known_boot(o->boot) && fs_lock(o->root, lock, &fd, NULL) == 0)
                (void)fs_replace(o->root, path, s, sizeof(*s), 0600, NULL);
}

void stamp_drop(const JournalOptions *o) {
        _cleanup_free_ char *path = stamp_path(o, STAMP_NAME);
        if (path && fs_exists(o->root, path))
                (void)fs_unlink_durably(o->root, path, NULL);
}

/* ---- The Journal's own ---- */

int journal_judge(Journal *j, int r, Error *err) {
        if (r != -EBADMSG)
                return r;
        if (err && err->hint[0] == '\0')
                error_hint(err, "%s", JOURNAL_WAY_OUT);
        JournalOptions o = journal_options(j);
        j->is_sound = false;
        stamp_drop(&o);
        return r;
}

void journal_look_before_write(Journal *j) {
        JournalOptions o = journal_options(j);
        StampFile now;
        if (stamp_take(&o, store_fd(j->store), &now) < 0) {
                j->is_sound = false;
                return;
        }
        if (j->is_sound && stamp_equal(&now, &j->seen))
                return;
        /* Another writer was there, or something else was. Only a writer leaves a stamp. */
        j->is_sound = stamp_matches(&o, &now);
        j->seen = j->stamped = now;
}

void journal_look_after_write(Journal *j) {
        JournalOptions o = journal_options(j);
        if (j->is_sound)
                j->is_sound = !j->is_poisoned && stamp_take(&o, store_fd(j->store), &j->seen) == 0;
}

void journal_stamp(Journal *j) {
        JournalOptions o = journal_options(j);
        StampFile now;
        if (!j->is_sound || stamp_equal(&j->seen, &j->stamped) || !stamp_settles(&j->seen))
                return;
        if (stamp_take(&o, store_fd(j->store), &now) < 0 || !stamp_equal(&now, &j->seen))
                return;
        stamp_write(&o, &now);
        j->stamped = now;
}
