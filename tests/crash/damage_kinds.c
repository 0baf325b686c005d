/* SPDX-License-Identifier: Apache-2.0 */
/* See damage.h. A kind of damage is a function and a row. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/damage.h"
#include "tests/crash/tree.h"

enum { PAGE = 4096, FILE_MAX = 16 << 20 };

/* clang-format off */
#define APPLY "apply web.yaml"
#define UPGRADE "upgrade web --source ./web-v2 --version v2"
#define RESTART "restart web --set retention.transactions=3"

const Shape shapes[] = {
        {"deployed",     {"init", APPLY, UPGRADE, "rollback web"}, NULL},
        {"open",         {APPLY, "restart web", UPGRADE}, "commit-before"},
        {"committed",    {APPLY, "restart web", UPGRADE}, "commit-after"},
        {"checkpointed", {APPLY, RESTART, RESTART, RESTART, RESTART, RESTART, RESTART}, NULL},
        {"many",         {APPLY, "apply auto-one.yaml", "apply auto-two.yaml", UPGRADE, "stop two", "stop one",
                          "restart web"}, NULL},
};
/* clang-format on */
const unsigned n_shapes = sizeof shapes / sizeof *shapes;

/* ---- Files ---- */

void journal_path(const World *w, const char *name, char ret[static WORLD_PATH_SIZE]) {
        (void)snprintf(ret, WORLD_PATH_SIZE, "%.160s/var/lib/pawl/%s", w->root, name);
}

static size_t pick(uint64_t *random, size_t n) {
        *random = crew_hash(*random, n);
        return n > 0 ? (size_t)(*random % n) : 0;
}

typedef struct Bytes {
        char path[WORLD_PATH_SIZE];
        char *data;
        size_t size;
} Bytes;

static bool bytes_read(const char *path, Bytes *b) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        bool is_read;

        (void)snprintf(b->path, sizeof b->path, "%s", path);
        if (fd < 0)
                return false;
        is_read = fstat(fd, &st) == 0 && st.st_size <= FILE_MAX && (b->data = malloc((size_t)st.st_size + 1)) != NULL;
        b->size = is_read ? (size_t)st.st_size : 0;
        is_read = is_read && read(fd, b->data, b->size) == (ssize_t)b->size;
        (void)close(fd);
        return is_read;
}

static bool bytes_read_in(const World *w, const char *name, Bytes *b) {
        char path[WORLD_PATH_SIZE];

        journal_path(w, name, path);
        return bytes_read(path, b);
}

/* In place: the inode stays, as when a disk decays. */
static bool bytes_write(Bytes *b) {
        int fd = open(b->path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
        bool is_written = fd >= 0 && write(fd, b->data, b->size) == (ssize_t)b->size;

        if (fd >= 0)
                (void)close(fd);
        free(b->data);
        return is_written;
}

#define DATA "journal/data.mdb"

/* Only what LMDB uses is worth damaging. */
static bool data_read(const World *w, Bytes *b) {
        return bytes_read_in(w, DATA, b) && b->size >= 4 * (size_t)PAGE;
}

/* ---- data.mdb ---- */

static bool flip_bit(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};

        (void)older;
        if (!data_read(w, &b))
                return false;
        b.data[pick(random, b.size)] ^= (char)(1 << pick(random, 8));
        return bytes_write(&b);
}

/* The head of a page is where LMDB's numbers are. */
static bool flip_in_head(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};
        size_t at;

        (void)older;
        if (!data_read(w, &b))
                return false;
        at = pick(random, b.size / PAGE) * PAGE;
        for (int i = 0; i < 4; i++)
                b.data[at + pick(random, 64)] ^= (char)(1 << pick(random, 8));
        return bytes_write(&b);
}

static bool zero_page(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};

        (void)older;
        if (!data_read(w, &b))
                return false;
        memset(b.data + pick(random, b.size / PAGE) * PAGE, 0, PAGE);
        return bytes_write(&b);
}

static bool zero_meta(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};
        size_t n = pick(random, 3);

        (void)older;
        if (!data_read(w, &b))
                return false;
        memset(b.data + (n == 1 ? PAGE : 0), 0, n == 2 ? 2 * (size_t)PAGE : PAGE);
        return bytes_write(&b);
}

static bool swap_pages(const World *w, const char *older, uint64_t *random) {
        char page[PAGE];
        size_t one, two;
        Bytes b = {0};

        (void)older;
        if (!data_read(w, &b))
                return false;
        one = pick(random, b.size / PAGE) * PAGE;
        two = pick(random, b.size / PAGE) * PAGE;
        memcpy(page, b.data + one, PAGE);
        memcpy(b.data + one, b.data + two, PAGE);
        memcpy(b.data + two, page, PAGE);
        return bytes_write(&b);
}

static bool scribble(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};
        size_t at, end;

        (void)older;
        if (!data_read(w, &b))
                return false;
        at = pick(random, b.size - PAGE);
        end = at + pick(random, PAGE);
        for (; at < end; at++)
                b.data[at] = (char)pick(random, 256);
        return bytes_write(&b);
}

static bool cut_at_page(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};

        (void)older;
        if (!data_read(w, &b))
                return false;
        b.size = pick(random, b.size / PAGE) * PAGE;
        return bytes_write(&b);
}

static bool cut_anywhere(const World *w, const char *older, uint64_t *random) {
        Bytes b = {0};

        (void)older;
        if (!data_read(w, &b))
                return false;
        b.size = pick(random, b.size);
        return bytes_write(&b);
}

/* Half of a page is of the state before: 512 bytes are what a disk writes as one. */
static bool tear_page(const World *w, const char *older, uint64_t *random) {
        char path[WORLD_PATH_SIZE];
        Bytes b = {0}, old = {0};
        size_t at;

        (void)snprintf(path, sizeof path, "%.160s/%s", older, DATA);
        if (!data_read(w, &b) || !bytes_read(path, &old))
                return false;
        at = pick(random, (b.size < old.size ? b.size : old.size) / 512) * 512;
        memcpy(b.data + at, old.data + at, 512);
        free(old.data);
        return bytes_write(&b);
}

static bool copy_older(const World *w, const char *older, const char *name) {
        char from[WORLD_PATH_SIZE];
        Bytes b = {0};

        (void)snprintf(from, sizeof from, "%.160s/%s", older, name);
        if (!bytes_read(from, &b))
                return false;
        journal_path(w, name, b.path);
        return bytes_write(&b);
}

/* What stands behind the anchor can be lost unseen: it is moved at END. */
static bool has_same_head(const World *w, const char *older) {
        char now[WORLD_PATH_SIZE], then[WORLD_PATH_SIZE];

        journal_path(w, "journal.head", now);
        (void)snprintf(then, sizeof then, "%.160s/journal.head", older);
        return tree_hash_file(now) == tree_hash_file(then);
}

static bool put_back_older(const World *w, const char *older, uint64_t *random) {
        (void)random;
        if (has_same_head(w, older))
                return false;
        return copy_older(w, older, DATA);
}

static bool remove_data(const World *w, const char *older, uint64_t *random) {
        char path[WORLD_PATH_SIZE];

        (void)older;
        (void)random;
        journal_path(w, DATA, path);
        return unlink(path) == 0;
}

static bool remove_journal(const World *w, const char *older, uint64_t *random) {
        char path[WORLD_PATH_SIZE];

        (void)older;
        (void)random;
        journal_path(w, "journal", path);
        return tree_remove(path) == 0;
}

/* ---- journal.head, lock.mdb, the stamp, segments ---- */

static bool garbage(const char *path, size_t most, uint64_t *random) {
        Bytes b = {.size = pick(random, most), .data = malloc(most + 1)};

        (void)snprintf(b.path, sizeof b.path, "%s", path);
        for (size_t i = 0; b.data != NULL && i < b.size; i++)
                b.data[i] = (char)pick(random, 256);
        return b.data != NULL && bytes_write(&b);
}

static bool spoil(const World *w, const char *name, size_t most, uint64_t *random) {
        char path[WORLD_PATH_SIZE];
        Bytes b = {0};

        journal_path(w, name, path);
        switch (pick(random, 4)) {
        case 0:
                return unlink(path) == 0 || errno == ENOENT;
        case 1:
                return garbage(path, most, random);
        case 2:
                return truncate(path, (off_t)pick(random, most)) == 0 || errno == ENOENT;
        default:
                if (!bytes_read(path, &b) || b.size == 0)
                        return true;
                b.data[pick(random, b.size)] ^= (char)(1 << pick(random, 8));
                return bytes_write(&b);
        }
}

static bool spoil_head(const World *w, const char *older, uint64_t *random) {
        (void)older;
        return spoil(w, "journal.head", 96, random);
}

static bool put_back_older_head(const World *w, const char *older, uint64_t *random) {
        (void)random;
        return copy_older(w, older, "journal.head");
}

static bool spoil_lock(const World *w, const char *older, uint64_t *random) {
        (void)older;
        return spoil(w, "journal/lock.mdb", 2 * PAGE, random);
}

static bool spoil_stamp(const World *w, const char *older, uint64_t *random) {
        (void)older;
        return spoil(w, "../../../run/pawl/journal.verified", 160, random);
}

static bool spoil_segment(const World *w, const char *older, uint64_t *random) {
        char path[WORLD_PATH_SIZE];

        (void)older;
        journal_path(w, "journal/segments", path);
        if (pick(random, 4) == 0)
                return tree_remove(path) == 0;
        return spoil(w, "journal/segments/00000000000000000001.seg", 4 * PAGE, random);
}

/* clang-format off */
const Damage damages[] = {
        {"a bit of data.mdb",              HOPE_TOLD,    true,  flip_bit},
        {"bits in the head of a page",     HOPE_TOLD,    true,  flip_in_head},
        {"a page of zeroes",               HOPE_TOLD,    true,  zero_page},
        {"meta pages of zeroes",           HOPE_TOLD,    true,  zero_meta},
        {"two pages swapped",              HOPE_TOLD,    true,  swap_pages},
        {"bytes written over",             HOPE_TOLD,    true,  scribble},
        {"cut at a page",                  HOPE_TOLD,    true,  cut_at_page},
        {"cut inside of a page",           HOPE_TOLD,    true,  cut_anywhere},
        {"a torn page",                    HOPE_TOLD,    true,  tear_page},
        {"an older data.mdb put back",     HOPE_REFUSED, true,  put_back_older},
        {"data.mdb is gone",               HOPE_REFUSED, true,  remove_data},
        {"the whole journal is gone",      HOPE_REFUSED, false, remove_journal},
        {"journal.head",                   HOPE_HEALS,   true,  spoil_head},
        {"an older journal.head put back", HOPE_HEALS,   true,  put_back_older_head},
        {"lock.mdb",                       HOPE_HEALS,   true,  spoil_lock},
        {"the stamp",                      HOPE_HEALS,   true,  spoil_stamp},
        {"a segment",                      HOPE_HEALS,   true,  spoil_segment},
};
/* clang-format on */
const unsigned n_damages = sizeof damages / sizeof *damages;

/* ---- Making a shape ---- */

static bool keep_older(const World *w) {
        char from[WORLD_PATH_SIZE], to[WORLD_PATH_SIZE];

        (void)snprintf(from, sizeof from, "%.160s/var/lib/pawl", w->root);
        (void)snprintf(to, sizeof to, "%.160s/older", w->base);
        return tree_remove(to) == 0 && tree_copy(from, to) == 0;
}

bool shape_make(World *w, const Shape *shape) {
        static WorldRun run;
        const WorldEnv crash = {.crash_at = shape->crash_at};

        if (world_reset(w) < 0)
                return false;
        for (size_t i = 0; i < SHAPE_STEPS_MAX && shape->steps[i] != NULL; i++) {
                bool is_last = i + 1 == SHAPE_STEPS_MAX || shape->steps[i + 1] == NULL;

                if (is_last && !keep_older(w))
                        return false;
                world_pawl(w, shape->steps[i], is_last ? &crash : NULL, &run);
                if (run.status != 0 && !(is_last && shape->crash_at != NULL)) {
                        (void)fprintf(stderr, "crash: %s: \"%s\": exit status %d\n%s\n", shape->name, shape->steps[i],
                                      run.status, run.output);
                        return false;
                }
        }
        return world_keep(w) == 0;
}

bool damage_do(World *w, uint64_t seed, const Damage **ret, char ret_text[DAMAGE_TEXT_SIZE]) {
        char older[WORLD_PATH_SIZE];
        uint64_t random = crew_hash(seed, 11);

        (void)snprintf(older, sizeof older, "%.160s/older", w->base);
        for (unsigned i = 0; i < n_damages; i++) { /* some do not fit some shapes: then the next one */
                *ret = &damages[(crew_hash(seed, 7) + i) % n_damages];
                (void)snprintf(ret_text, DAMAGE_TEXT_SIZE, "%s", (*ret)->name);
                if (world_restore(w) < 0)
                        return false;
                if ((*ret)->make(w, older, &random))
                        return true;
        }
        return false;
}

/* ---- The tests ---- */

int shapes_test(const ShapeTest *test, int argc, char **argv) {
        static const char *names[CREW_ROWS_MAX];
        static bool is_left_out[CREW_ROWS_MAX];
        CrewOptions o;
        bool is_fine;

        if (!crew_options(&o, &test->usage, argc, argv))
                return 2;
        if (o.n_cases == 0)
                o.n_cases = crew_is_slow() ? test->n_cases_slow : test->n_cases;
        for (unsigned i = 0; i < n_shapes; i++) {
                names[i] = shapes[i].name;
                is_left_out[i] = o.row != NULL && strcmp(o.row, names[i]) != 0;
        }
        is_fine = crew_run(&(Crew){.tier = test->tier,
                                   .names = names,
                                   .is_left_out = is_left_out,
                                   .n_rows = n_shapes,
                                   .n_workers = o.n_jobs,
                                   .work = test->work,
                                   .userdata = &o,
                                   .is_sample = true,
                                   .is_partial = o.is_only});
        (void)printf("seed %" PRIu32 "\n", o.seed);
        return is_fine ? 0 : 1;
}
