/* SPDX-License-Identifier: Apache-2.0 */
/* Care of the journal: anchor, segments, checkpoint, rebuild, repair, room. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/journal_fixture.h"

#define DATA "var/lib/pawl/journal/data.mdb"
#define HEAD "var/lib/pawl/journal.head"
#define KEYS "var/lib/pawl/journal/segments/keys"

static void assert_sound(World *w, uint64_t n_records) {
        JournalReport report;
        Error err = ERROR_INIT;
        assert_int_equal(journal_verify(&w->options, &report, &err), 0);
        assert_string_equal(report.problem, "");
        assert_int_equal(report.n_records, n_records);
}

/* As world_deploy writes rows. */
static int fold(JournalWrite *w, const Record *record, void *userdata, Error *err) {
        char key[64];
        unsigned *n_checkpoints = userdata;
        if (record->kind == RECORD_CHECKPOINT && n_checkpoints) {
                assert_int_equal(record->n_body, 4);
                assert_memory_equal(record->body, "rows", 4);
                ++*n_checkpoints;
        }
        if (record->kind != RECORD_COMMIT)
                return 0;
        int r = journal_write_row(w, "service/web", &record->seq, sizeof(record->seq), err);
        snprintf(key, sizeof(key), "history/web/%020llu", (unsigned long long)record->tx);
        return r < 0 ? r : journal_write_row(w, key, &record->seq, sizeof(record->seq), err);
}

static void the_anchor_moves_forward_only_and_never_past_its_limit(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        JournalStat stat;
        for (int i = 0; i < 5; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, 11, NULL), 0);
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.anchor_seq, 11);
        assert_int_equal(journal_anchor(j, 6, NULL), 0);
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.anchor_seq, 11);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.anchor_seq, stat.head_seq);
        journal_free(j);
        journal_free(world_open(w, JOURNAL_WRITE));
}

static void a_journal_put_back_from_a_copy_is_noticed(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        world_deploy(j, "web", 1);
        journal_free(j);
        char *copy;
        size_t size;
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &copy, &size, NULL), 0);
        j = world_open(w, JOURNAL_WRITE);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        world_write(w, DATA, copy, size);
        free(copy);
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_WRITE, &j, &err), -EBADMSG);
        assert_int_equal(err.code, ERR_JOURNAL_DAMAGED);
        assert_true(fs_exists(w->root, "var/lib/pawl/journal.bad"));
        /* Segments hold what the copy lacks: nothing is lost. */
        JournalRepair how = {.fold = fold};
        JournalReport report;
        assert_int_equal(journal_repair(&w->options, &how, &report, &err), 0);
        assert_int_equal(report.n_records, 1 + 2 * 5 + 1);
        assert_sound(w, 1 + 2 * 5 + 1);
        j = world_open(w, JOURNAL_WRITE);
        /* What stood behind the anchor may be lost: its numbers are not given again. */
        assert_true(world_deploy(j, "web", 1) > 13 + 1000);
        journal_free(j);
        assert_true(fs_exists(w->root, "var/lib/pawl/journal.damaged-1"));
        assert_int_equal(journal_repair(&w->options, &how, &report, &err), 1);
}

static void without_an_anchor_everything_is_verified(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 3; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        assert_int_equal(fs_unlink_durably(w->root, HEAD, NULL), 0);
        journal_free(world_open(w, JOURNAL_WRITE));
        world_write(w, HEAD, "not an anchor", 13);
        journal_free(world_open(w, JOURNAL_WRITE));
        assert_sound(w, 16);
}

static void an_older_anchor_is_no_damage(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        char *head;
        size_t size;
        assert_int_equal(fs_read(w->root, HEAD, 64, &head, &size, NULL), 0);
        assert_int_equal(size, 64);
        for (int i = 0; i < 3; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        world_write(w, HEAD, head, size);
        free(head);
        journal_free(world_open(w, JOURNAL_WRITE));
}

static void a_checkpoint_keeps_the_rest_of_the_chain_verifiable(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 20; i++)
                world_deploy(j, "web", 1); /* five records each, the first is 2 */
        Error err = ERROR_INIT;
        assert_int_equal(journal_checkpoint(j, 5000, "rows", 4, &err), -EINVAL);
        assert_int_equal(journal_checkpoint(j, 52, "rows", 4, &err), 0);
        JournalStat stat;
        assert_int_equal(journal_stat(j, &stat, NULL), 0);
        assert_int_equal(stat.first_seq, 52);
        assert_int_equal(stat.head_seq, 102);
        RecordList list = {0};
        assert_int_equal(journal_get(j, 51, &list, NULL), -ENOENT);
        void *key;
        size_t size;
        assert_int_equal(journal_key(j, 2, &key, &size, NULL), -ENOENT);
        assert_int_equal(journal_get(j, 102, &list, NULL), 0);
        assert_int_equal(list.records[0].kind, RECORD_CHECKPOINT);
        assert_int_equal(list.records[0].n_body, 4);
        assert_memory_equal(list.records[0].body, "rows", 4);
        record_list_done(&list);
        assert_int_equal(journal_get_tx(j, 47, &list, NULL), 0);
        assert_int_equal(list.n, 0);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(journal_checkpoint(j, 97, "rows", 4, &err), 0);
        unsigned n_checkpoints = 0;
        assert_int_equal(journal_rebuild(j, fold, &n_checkpoints, &err), 0);
        assert_int_equal(n_checkpoints, 2);
        journal_free(j);
        assert_sound(w, 6 + 5 + 1);
        journal_free(world_open(w, JOURNAL_WRITE));
}

static void the_room_of_dropped_records_is_used_again(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        JournalStat stat;
        uint64_t used[2];
        for (int round = 0; round < 8; round++) {
                for (int i = 0; i < 40; i++)
                        world_deploy(j, "web", 3);
                assert_int_equal(journal_stat(j, &stat, NULL), 0);
                used[round == 7] = stat.bytes_used;
                if (round == 3)
                        used[0] = stat.bytes_used;
                assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
                assert_int_equal(journal_checkpoint(j, stat.head_seq - 8, "rows", 4, NULL), 0);
        }
        assert_true(used[1] < used[0] * 2);
        journal_free(j);
}

static int compare_scan(const Record *record, void *userdata) {
        uint64_t *next = userdata;
        if (record->seq != *next)
                return 7;
        ++*next;
        return 0;
}

static void a_scan_shows_every_record_in_order_and_stops_when_told(void **state) {
        Journal *j = world_open(*state, JOURNAL_CREATE);
        for (int i = 0; i < 10; i++)
                world_deploy(j, "web", 1);
        uint64_t next = 1;
        assert_int_equal(journal_scan(j, 0, compare_scan, &next, NULL), 0);
        assert_int_equal(next, 52);
        next = 30;
        assert_int_equal(journal_scan(j, 30, compare_scan, &next, NULL), 0);
        next = 2;
        assert_int_equal(journal_scan(j, 30, compare_scan, &next, NULL), 7);
        next = 99;
        assert_int_equal(journal_scan(j, 99, compare_scan, &next, NULL), 0);
        journal_free(j);
}

static void rebuilt_rows_equal_the_live_ones(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 50; i++)
                world_deploy(j, "web", 1);
        _cleanup_row_list_ RowList before = {0}, after = {0};
        assert_int_equal(journal_rows(j, "", 0, &before, NULL), 0);
        JournalWrite *write = NULL;
        assert_int_equal(journal_write_new(j, false, &write, NULL), 0);
        assert_int_equal(journal_write_row(write, "service/ghost", "x", 1, NULL), 0);
        assert_int_equal(journal_write_row_drop(write, "service/web", NULL), 0);
        world_commit(&write);
        assert_int_equal(journal_rebuild(j, fold, NULL, NULL), 0);
        assert_int_equal(journal_rows(j, "", 0, &after, NULL), 0);
        assert_int_equal(after.n, before.n);
        for (size_t i = 0; i < before.n; i++) {
                assert_string_equal(after.rows[i].key, before.rows[i].key);
                assert_int_equal(after.rows[i].seq, before.rows[i].seq);
                assert_int_equal(after.rows[i].size, before.rows[i].size);
                assert_memory_equal(after.rows[i].data, before.rows[i].data, before.rows[i].size);
        }
        journal_free(j);
        assert_sound(w, 251);
}

/* A record changed by someone who knows how: its own checksum is right, the next one's chain is not. */
static void a_record_that_was_rewritten_breaks_the_chain(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 30; i++)
                world_deploy(j, "web", 2);
        journal_free(j);
        char *data;
        size_t size;
        uint64_t wanted = 100;
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &data, &size, NULL), 0);
        for (size_t i = 0; i + 200 < size; i++) {
                uint32_t n_body;
                memcpy(&n_body, data + i + 12, sizeof(n_body));
                if (memcmp(data + i, "PAWL", 4) != 0 || memcmp(data + i + 16, &wanted, 8) != 0 || n_body > 90)
                        continue;
                data[i + 56] ^= 1; /* its time */
                memset(data + i + 96, 0, 4);
                uint32_t crc = crc32c(0, data + i, 104 + n_body);
                memcpy(data + i + 96, &crc, sizeof(crc));
        }
        world_write(w, DATA, data, size);
        free(data);
        JournalReport report;
        assert_int_equal(journal_verify(&w->options, &report, NULL), 0);
        assert_int_equal(report.bad_seq, 101);
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_READ, &j, &err), -EBADMSG);
}

static int lost_body(const JournalLoss *loss, void **ret, size_t *ret_size, void *userdata) {
        (void)userdata;
        char text[64];
        *ret_size = (size_t)snprintf(text, sizeof(text), "%llu-%llu", (unsigned long long)loss->from,
                                     (unsigned long long)loss->to);
        assert_int_equal(loss->seen, loss->to);
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static void a_repair_keeps_all_before_the_damage_and_tells_the_rest(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 30; i++)
                world_deploy(j, "web", 2); /* seven records each: 2..211 */
        journal_free(j);
        char *data;
        size_t size;
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &data, &size, NULL), 0);
        /* Record 100, wherever it lies: its magic, and 16 bytes on its number. */
        uint64_t wanted = 100;
        unsigned n = 0;
        for (size_t i = 0; i + 104 < size; i++)
                if (memcmp(data + i, "PAWL", 4) == 0 && memcmp(data + i + 16, &wanted, 8) == 0 && ++n)
                        data[i + 60] ^= 1;
        assert_true(n > 0);
        world_write(w, DATA, data, size);
        free(data);
        JournalReport report;
        Error err = ERROR_INIT;
        assert_int_equal(journal_verify(&w->options, &report, &err), 0);
        assert_int_equal(report.bad_seq, 100);
        assert_int_equal(journal_open(&w->options, JOURNAL_WRITE, &j, &err), -EBADMSG);
        JournalRepair how = {.fold = fold, .make_body = lost_body};
        assert_int_equal(journal_repair(&w->options, &how, &report, &err), 0);
        assert_int_equal(report.head_seq, 212);
        assert_sound(w, 99 + 1);
        assert_false(fs_exists(w->root, "var/lib/pawl/journal.bad"));
        assert_false(fs_exists(w->root, "var/lib/pawl/journal.new"));
        j = world_open(w, JOURNAL_WRITE);
        RecordList list = {0};
        assert_int_equal(journal_get(j, 99, &list, NULL), 0);
        record_list_done(&list);
        assert_int_equal(journal_get(j, 150, &list, &err), -ENOENT);
        assert_int_equal(journal_get(j, 212, &list, NULL), 0);
        assert_int_equal(list.records[0].kind, RECORD_REPAIR);
        assert_int_equal(list.records[0].n_body, 7);
        assert_memory_equal(list.records[0].body, "100-211", 7);
        record_list_done(&list);
        void *key;
        size_t n_key;
        assert_int_equal(journal_key(j, 2, &key, &n_key, NULL), 0);
        free(key);
        assert_int_equal(world_deploy(j, "web", 1), 213);
        assert_int_equal(journal_anchor(j, UINT64_MAX, &err), 0);
        journal_free(j);
        assert_sound(w, 105);
        journal_free(world_open(w, JOURNAL_WRITE));
}

static void a_journal_of_which_nothing_reads_is_repaired_from_segments(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        uint8_t id[16];
        for (int i = 0; i < 10; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        memcpy(id, journal_id(j), 16);
        journal_free(j);
        world_write(w, DATA, "", 0);
        Error err = ERROR_INIT;
        assert_int_equal(journal_open(&w->options, JOURNAL_READ, &j, &err), -EBADMSG);
        JournalRepair how = {.fold = fold};
        JournalReport report;
        assert_int_equal(journal_repair(&w->options, &how, &report, &err), 0);
        assert_sound(w, 52);
        j = world_open(w, JOURNAL_WRITE);
        assert_memory_equal(journal_id(j), id, 16);
        _cleanup_row_list_ RowList row = {0};
        assert_int_equal(journal_row(j, "service/web", &row, NULL), 0);
        journal_free(j);
}

static bool has_key(Journal *j, uint64_t tx) {
        void *key = NULL;
        size_t size;
        int r = journal_key(j, tx, &key, &size, NULL);
        if (r == 0)
                assert_memory_equal(key, "wrapped", size);
        free(key);
        return r == 0;
}

/* How many keys segments/keys holds: here each takes a header of 16 bytes and 7 of its own. */
static size_t kept_keys(const World *w) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        assert_int_equal(fs_read(w->root, KEYS, 1 << 20, &data, &size, NULL), 0);
        assert_int_equal(size % 23, 0);
        return size / 23;
}

/* And once more, before any flow has ended on the repaired one. */
static void keys_outlive_the_database_twice(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 10; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        journal_free(j);
        for (int i = 0; i < 2; i++) {
                JournalRepair how = {.fold = fold};
                JournalReport report;
                Error err = ERROR_INIT;
                world_write(w, DATA, "", 0);
                assert_int_equal(journal_repair(&w->options, &how, &report, &err), 0);
                assert_sound(w, 57U + (unsigned)i);
                j = world_open(w, JOURNAL_WRITE);
                for (uint64_t tx = 2; tx <= 52; tx += 5)
                        assert_true(has_key(j, tx));
                journal_free(j);
        }
}

/* A torn tail is cut off; one byte that is another, or a key that is not in the database, and all of it is made
 * again. */
static void kept_keys_are_mended(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        _cleanup_free_ char *whole = NULL, *now = NULL;
        size_t size, n_now;
        for (int i = 0; i < 3; i++)
                world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(fs_read(w->root, KEYS, 1 << 20, &whole, &size, NULL), 0);
        assert_int_equal(size, 3 * 23);
        for (int i = 0; i < 4; i++) {
                char damaged[4 * 23];
                memcpy(damaged, whole, size);
                memset(damaged + size, 0, 23);
                damaged[30] ^= i == 0;
                size_t n[] = {size, size - 9, size + 23, 0};
                world_write(w, KEYS, damaged, n[i]);
                assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
                assert_int_equal(fs_read(w->root, KEYS, 1 << 20, &now, &n_now, NULL), 0);
                assert_int_equal(n_now, size);
                assert_memory_equal(now, whole, size);
                free(TAKE_PTR(now));
        }
        journal_free(j);
}

static void a_forgotten_key_is_gone_from_the_segments(void **state) {
        World *w = *state;
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < 20; i++)
                world_deploy(j, "web", 1); /* five records each, the first is 2 */
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(kept_keys(w), 20);
        assert_int_equal(journal_checkpoint(j, 52, "rows", 4, NULL), 0);
        assert_int_equal(kept_keys(w), 10);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(kept_keys(w), 11);
        journal_free(j);
        world_write(w, DATA, "", 0);
        JournalRepair how = {.fold = fold};
        JournalReport report;
        assert_int_equal(journal_repair(&w->options, &how, &report, NULL), 0);
        j = world_open(w, JOURNAL_WRITE);
        assert_false(has_key(j, 47));
        assert_true(has_key(j, 52));
        journal_free(j);
}

static void a_torn_segment_is_cut_and_continued(void **state) {
        World *w = *state;
        const char *path = "var/lib/pawl/journal/segments/00000000000000000001.seg";
        Journal *j = world_open(w, JOURNAL_CREATE);
        world_deploy(j, "web", 1);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        char *data, *torn;
        size_t size, n;
        assert_int_equal(fs_read(w->root, path, 1 << 20, &data, &size, NULL), 0);
        world_write(w, path, data, size - 5);
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(fs_read(w->root, path, 1 << 20, &torn, &n, NULL), 0);
        assert_int_equal(n, size);
        assert_memory_equal(torn, data, size);
        free(data);
        free(torn);
        journal_free(j);
}

static void room_is_refused_on_a_full_disk_and_kept_for_recovery(void **state) {
        World *w = *state;
        char var[300];
        snprintf(var, sizeof(var), "%s/var", w->path);
        world_mkdir(w, "var");
        if (geteuid() != 0 || mount("none", var, "tmpfs", 0, "size=12m") < 0)
                skip();
        Journal *j = world_open(w, JOURNAL_CREATE);
        Error err = ERROR_INIT;
        assert_int_equal(journal_reserve(j, 64 << 10, &err), 0);
        int r = journal_reserve(j, 64 << 20, &err);
        /* Someone else takes the rest. */
        snprintf(var, sizeof(var), "%s/var/fill", w->path);
        FILE *f = fopen(var, "w");
        char block[4096] = {1};
        while (fwrite(block, sizeof(block), 1, f) == 1 && fflush(f) == 0)
                continue;
        fclose(f);
        bool was_refused = false;
        int n_recovery = 0;
        for (int i = 0; i < 3000 && !was_refused; i++) {
                JournalWrite *write = NULL;
                int q = journal_write_new(j, false, &write, &err);
                was_refused = q == -ENOSPC && err.code == ERR_JOURNAL_FULL;
                if (q == 0) {
                        Record draft = {.kind = RECORD_NOTE,
                                        .step = RECORD_STEP_NONE,
                                        .body = block,
                                        .n_body = sizeof(block)};
                        assert_int_equal(journal_write_record(write, &draft, NULL, &err), 0);
                        if (journal_commit(&write, &err) < 0)
                                fail_msg("%s", err.message);
                }
        }
        for (; n_recovery < 20; n_recovery++) {
                JournalWrite *write = NULL;
                assert_int_equal(journal_write_new(j, true, &write, &err), 0);
                world_record(write, RECORD_NOTE, 0, RECORD_STEP_NONE);
                if (journal_commit(&write, &err) < 0)
                        fail_msg("%s", err.message);
        }
        journal_free(j);
        /* Opening needs no room. */
        journal_free(world_open(w, JOURNAL_WRITE));
        snprintf(var, sizeof(var), "%s/var", w->path);
        umount2(var, MNT_DETACH);
        assert_int_equal(r, -ENOSPC);
        assert_true(was_refused);
}

static int full_teardown(void **state) {
        World *w = *state;
        char var[300];
        snprintf(var, sizeof(var), "%s/var", w->path);
        (void)umount2(var, MNT_DETACH);
        return world_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(the_anchor_moves_forward_only_and_never_past_its_limit),
                TEST(a_journal_put_back_from_a_copy_is_noticed),
                TEST(without_an_anchor_everything_is_verified),
                TEST(an_older_anchor_is_no_damage),
                TEST(a_checkpoint_keeps_the_rest_of_the_chain_verifiable),
                TEST(the_room_of_dropped_records_is_used_again),
                TEST(a_scan_shows_every_record_in_order_and_stops_when_told),
                TEST(rebuilt_rows_equal_the_live_ones),
                TEST(a_record_that_was_rewritten_breaks_the_chain),
                TEST(a_repair_keeps_all_before_the_damage_and_tells_the_rest),
                TEST(a_journal_of_which_nothing_reads_is_repaired_from_segments),
                TEST(keys_outlive_the_database_twice),
                TEST(kept_keys_are_mended),
                TEST(a_forgotten_key_is_gone_from_the_segments),
                TEST(a_torn_segment_is_cut_and_continued),
                cmocka_unit_test_setup_teardown(room_is_refused_on_a_full_disk_and_kept_for_recovery, world_setup,
                                                full_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
