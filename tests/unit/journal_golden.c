/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal of the first format with every kind of record in it, in tests/data/journal-1-kinds.tar.gz: after a
 * checkpoint, after a repair with its gap, and with a transaction that is open. Every later pawl must verify, read, go
 * on with and rebuild it.
 *
 * `unit.journal_golden --make DIR` makes such a root with this program; the file in tests/data is never made anew.
 */
#include <errno.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/journal_fixture.h"

#define DATA "var/lib/pawl/journal/data.mdb"
#define LOST_AT_MOST 4096

static int fold(JournalWrite *w, const Record *record, void *userdata, Error *err) {
        (void)userdata;
        return record->kind == RECORD_COMMIT
                       ? journal_write_row(w, "service/web", &record->seq, sizeof(record->seq), err)
                       : 0;
}

static int repair_body(const JournalLoss *loss, void **ret, size_t *ret_size, void *userdata) {
        (void)loss, (void)userdata;
        *ret = strdup("repair");
        *ret_size = strlen("repair");
        return *ret ? 0 : -ENOMEM;
}

/* ---- Making it --------------------------------------------------------------------------------------------------- */

typedef struct Draft {
        RecordKind kind;
        uint32_t step;
} Draft;

static uint64_t write_all(Journal *j, const Draft *drafts, size_t n) {
        JournalWrite *w = NULL;
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        uint64_t tx = world_record(w, drafts[0].kind, 0, drafts[0].step);
        assert_int_equal(journal_write_key(w, 0, "wrapped", 7, NULL), 0);
        for (size_t i = 1; i < n; i++)
                world_record(w, drafts[i].kind, tx, drafts[i].step);
        world_commit(&w);
        return tx;
}

static const Draft put_back[] = {
        {RECORD_BEGIN, RECORD_STEP_NONE},
        {RECORD_INTENT, 0},
        {RECORD_FAILED, 0},
        {RECORD_ABORT, RECORD_STEP_NONE},
        {RECORD_RECOVER, 0},
        {RECORD_UNDONE, 0},
        {RECORD_NOTE, RECORD_STEP_NONE},
        {RECORD_END, RECORD_STEP_NONE},
};
static const Draft with_a_group[] = {
        {RECORD_BEGIN, RECORD_STEP_NONE},
        {RECORD_INTENT, 0},
        {RECORD_DONE, 0},
        {RECORD_FAILED, 0 | STEP_GROUP_BIT},
        {RECORD_UNDONE, 0},
        {RECORD_GROUP_UNDONE, 0 | STEP_GROUP_BIT},
        {RECORD_COMMIT, RECORD_STEP_NONE},
        {RECORD_STUCK, 1},
        {RECORD_RESOLVED, 1},
        {RECORD_FINISHED, 1},
        {RECORD_END, RECORD_STEP_NONE},
};
static const Draft open_one[] = {
        {RECORD_BEGIN, RECORD_STEP_NONE},
        {RECORD_INTENT, 0},
};

static void write_note(Journal *j) {
        JournalWrite *w = NULL;
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        world_record(w, RECORD_NOTE, 0, RECORD_STEP_NONE);
        world_commit(&w);
}

static int make_root(const char *path) {
        World w;
        JournalRepair how = {.fold = fold, .make_body = repair_body};
        JournalReport report;
        Error err = ERROR_INIT;
        world_at(&w, path);
        Journal *j = world_open(&w, JOURNAL_CREATE);
        world_deploy(j, "web", 2);
        uint64_t kept = write_all(j, put_back, ELEMENTSOF(put_back));
        write_all(j, with_a_group, ELEMENTSOF(with_a_group));
        write_note(j);
        assert_int_equal(journal_checkpoint(j, kept, "checkpoint", strlen("checkpoint"), &err), 0);
        assert_int_equal(journal_anchor(j, UINT64_MAX, &err), 0);
        journal_free(j);
        /* Its segments hold all of it. */
        world_write(&w, DATA, "damaged", 7);
        assert_int_equal(journal_repair(&w.options, &how, &report, &err), 0);
        assert_int_equal(fs_remove_tree(w.root, "var/lib/pawl/journal.damaged-1", &err), 0);
        j = world_open(&w, JOURNAL_WRITE);
        write_all(j, open_one, ELEMENTSOF(open_one));
        assert_int_equal(journal_anchor(j, report.head_seq, &err), 0);
        journal_free(j);
        close(w.root);
        return 0;
}

/* ---- Reading it -------------------------------------------------------------------------------------------------- */

typedef struct Seen {
        unsigned n[RECORD_KIND_MAX];
        uint64_t gap, last, open;
} Seen;

static int see(const Record *r, void *userdata) {
        Seen *seen = userdata;
        const char *body = r->kind == RECORD_INTENT ? "before" : record_slug(r->kind);
        assert_int_equal(r->n_body, strlen(body));
        assert_memory_equal(r->body, body, r->n_body);
        seen->n[r->kind]++;
        if (r->kind == RECORD_REPAIR)
                seen->gap = r->seq - seen->last - 1;
        if (r->kind == RECORD_BEGIN)
                seen->open = r->tx;
        seen->last = r->seq;
        return 0;
}

static void unpack(World *w) {
        char *argv[] = {(char *)"tar", (char *)"-xzf", (char *)TEST_SOURCE_DIR "/tests/data/journal-1-kinds.tar.gz",
                        (char *)"-C",  w->path,        NULL};
        pid_t pid;
        int status;
        assert_int_equal(posix_spawnp(&pid, "tar", NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void assert_sound(World *w) {
        JournalReport report;
        assert_int_equal(journal_verify(&w->options, &report, NULL), 0);
        assert_string_equal(report.problem, "");
}

static void every_kind_of_record_is_read(void **state) {
        World *w = *state;
        Seen seen = {0};
        unpack(w);
        assert_sound(w);
        Journal *j = world_open(w, JOURNAL_READ);
        assert_int_equal(journal_scan(j, 1, see, &seen, NULL), 0);
        for (unsigned kind = 1; kind < RECORD_KIND_MAX; kind++)
                if (seen.n[kind] == 0)
                        fail_msg("there is no %s", record_slug((RecordKind)kind));
        assert_int_equal(seen.gap, LOST_AT_MOST);
        _cleanup_row_list_ RowList rows = {0};
        assert_int_equal(journal_row(j, "service/web", &rows, NULL), 0);
        _cleanup_free_ void *wrapped = NULL;
        size_t size = 0;
        assert_int_equal(journal_key(j, seen.open, &wrapped, &size, NULL), 0);
        assert_int_equal(size, 7);
        assert_memory_equal(wrapped, "wrapped", 7);
        journal_free(j);
}

static void its_open_transaction_goes_on(void **state) {
        World *w = *state;
        Seen seen = {0};
        JournalWrite *write = NULL;
        Error err = ERROR_INIT;
        unpack(w);
        Journal *j = world_open(w, JOURNAL_WRITE);
        assert_int_equal(journal_scan(j, 1, see, &seen, NULL), 0);
        assert_int_equal(journal_write_new(j, true, &write, NULL), 0);
        world_record(write, RECORD_DONE, seen.open, 0);
        world_record(write, RECORD_COMMIT, seen.open, RECORD_STEP_NONE);
        world_record(write, RECORD_END, seen.open, RECORD_STEP_NONE);
        world_commit(&write);
        assert_int_equal(journal_rebuild(j, fold, NULL, &err), 0);
        assert_int_equal(journal_anchor(j, UINT64_MAX, &err), 0);
        journal_free(j);
        assert_sound(w);
}

int main(int argc, char **argv) {
        if (argc == 3 && strcmp(argv[1], "--make") == 0)
                return make_root(argv[2]);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(every_kind_of_record_is_read, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(its_open_transaction_goes_on, world_setup, world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
