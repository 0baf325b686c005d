/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage: whatever happened to data.mdb, a reader gets what was written, or an error. Never a signal, never another
 * answer.
 *
 * A seeded generator flips bits, zeroes, swaps and scribbles over pages, cuts the file, and puts an older one in its
 * place. Each case runs in a child. JOURNAL_DAMAGE_SEEDS=<n> runs more of them; JOURNAL_DAMAGE_SEED=<n> one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/journal_fixture.h"

#define DATA "var/lib/pawl/journal/data.mdb"
#define HEAD "var/lib/pawl/journal.head"
#define BAD "var/lib/pawl/journal.bad"
enum { PAGE = 4096, DEPLOYS = 60, RECORDS = 1 + DEPLOYS * 7 };

typedef struct Truth {
        uint8_t prev[RECORDS + 2][32]; /* by seq: the chain stands for the records */
        RowList rows;
        char *data, *older, *head;
        size_t size, n_older, n_head;
} Truth;

typedef enum Verdict { VERDICT_RIGHT = 0, VERDICT_DAMAGED = 10, VERDICT_WRONG = 11, VERDICT_ODD = 12 } Verdict;

static uint64_t random_state;

static size_t pick(size_t n) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (size_t)((random_state * UINT64_C(2685821657736338717)) >> 20) % n;
}

/* ---- In the child: read everything, and say what came ---- */

static int see_record(const Record *r, void *userdata) {
        const Truth *t = userdata;
        return r->seq <= RECORDS && memcmp(r->prev, t->prev[r->seq], 32) == 0 ? 0 : VERDICT_WRONG;
}

static Verdict judge(int r, const Error *err) {
        if (r > 0)
                return (Verdict)r;
        if (r == -EBADMSG && err->code == ERR_JOURNAL_DAMAGED)
                return VERDICT_DAMAGED;
        /* What changed may be what tells the format. */
        if (r == -EPROTONOSUPPORT)
                return VERDICT_DAMAGED;
        fprintf(stderr, "odd: %d %s\n", r, err->message);
        return VERDICT_ODD;
}

static Verdict read_records(Journal *j, const Truth *t) {
        Error err = ERROR_INIT;
        int r = journal_scan(j, 0, see_record, (void *)t, &err);
        Verdict v = r == 0 ? VERDICT_RIGHT : judge(r, &err);
        for (uint64_t i = 0; i < DEPLOYS && v != VERDICT_WRONG && v != VERDICT_ODD; i++) {
                _cleanup_record_list_ RecordList list = {0};
                err = ERROR_INIT;
                r = journal_get_tx(j, 2 + i * 7, &list, &err);
                if (r < 0)
                        v = judge(r, &err);
                else if (list.n != 7)
                        return VERDICT_WRONG;
        }
        return v;
}

static Verdict read_rows(Journal *j, const Truth *t) {
        Verdict v = VERDICT_RIGHT;
        for (size_t i = 0; i < t->rows.n; i++) {
                _cleanup_row_list_ RowList row = {0};
                Error err = ERROR_INIT;
                int r = journal_row(j, t->rows.rows[i].key, &row, &err);
                if (r == -ENOENT)
                        return VERDICT_WRONG;
                if (r < 0) {
                        v = judge(r, &err);
                        continue;
                }
                if (row.rows[0].size != t->rows.rows[i].size ||
                    memcmp(row.rows[0].data, t->rows.rows[i].data, row.rows[0].size) != 0)
                        return VERDICT_WRONG;
        }
        _cleanup_row_list_ RowList all = {0};
        Error err = ERROR_INIT;
        int r = journal_rows(j, "", 0, &all, &err);
        if (r < 0)
                return judge(r, &err);
        return all.n == t->rows.n ? v : VERDICT_WRONG;
}

static Verdict write_one(Journal *j) {
        JournalWrite *w = NULL;
        Error err = ERROR_INIT;
        Record draft = {.kind = RECORD_NOTE, .step = RECORD_STEP_NONE, .body = "note", .n_body = 4};
        int r = journal_write_new(j, true, &w, &err);
        if (r == 0)
                r = journal_write_record(w, &draft, NULL, &err);
        if (r == 0)
                r = journal_write_row(w, "service/new", "1", 1, &err);
        if (r == 0)
                r = journal_commit(&w, &err);
        journal_write_free(w);
        /* A failing commit is an unknown outcome, and an error all the same. */
        return r == 0 ? VERDICT_RIGHT : err.code == ERR_JOURNAL_IO ? VERDICT_DAMAGED : judge(r, &err);
}

static Verdict child_look(World *w, const Truth *t, bool is_write) {
        Journal *j = NULL;
        Error err = ERROR_INIT;
        int r = journal_open(&w->options, is_write ? JOURNAL_WRITE : JOURNAL_READ, &j, &err);
        if (r < 0)
                return judge(r, &err);
        Verdict v = read_records(j, t);
        if (v == VERDICT_RIGHT || v == VERDICT_DAMAGED) {
                Verdict rows = read_rows(j, t);
                v = rows == VERDICT_RIGHT ? v : rows;
        }
        if (is_write && (v == VERDICT_RIGHT || v == VERDICT_DAMAGED)) {
                Verdict written = write_one(j);
                v = written == VERDICT_RIGHT ? v : written;
        }
        journal_free(j);
        return v;
}

/* ---- Damage ---- */

static const char *const damage_names[] = {"bit",   "zeroed page", "swapped pages", "cut",
                                           "older", "scribble",    "bits",          "torn page"};

static unsigned damage(const Truth *t, char *data, size_t *size) {
        unsigned kind = (unsigned)pick(ELEMENTSOF(damage_names));
        size_t n_pages = *size / PAGE, a = pick(n_pages), b = pick(n_pages);
        char page[PAGE];
        switch (kind) {
        case 0:
                data[pick(*size)] ^= (char)(1 << pick(8));
                break;
        case 1:
                memset(data + a * PAGE, 0, PAGE);
                break;
        case 2:
                memcpy(page, data + a * PAGE, PAGE);
                memcpy(data + a * PAGE, data + b * PAGE, PAGE);
                memcpy(data + b * PAGE, page, PAGE);
                break;
        case 3:
                *size = pick(*size);
                break;
        case 4:
                memcpy(data, t->older, t->n_older);
                *size = t->n_older;
                break;
        case 5:
                for (size_t i = a * PAGE + pick(PAGE / 2), end = i + pick(PAGE / 2); i < end; i++)
                        data[i] = (char)pick(256);
                break;
        case 6:
                /* The head of a page is where LMDB's numbers are. */
                for (size_t i = 0; i < 4; i++)
                        data[a * PAGE + pick(64)] ^= (char)(1 << pick(8));
                break;
        default:
                if (a * PAGE + PAGE <= t->n_older)
                        memcpy(data + a * PAGE + 512 * pick(8), t->older + a * PAGE, 512);
                break;
        }
        return kind;
}

static void put_back(World *w, const Truth *t, const char *data, size_t size) {
        world_write(w, DATA, data, size);
        world_write(w, HEAD, t->head, t->n_head);
        assert_int_equal(fs_unlink_durably(w->root, BAD, NULL), 0);
}

static void run_case(World *w, const Truth *t, uint64_t seed, unsigned *counts) {
        random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
        (void)pick(2);
        char *data = malloc(t->size);
        size_t size = t->size;
        int status;
        assert_non_null(data);
        memcpy(data, t->data, size);
        unsigned kind = damage(t, data, &size);
        put_back(w, t, data, size);
        free(data);
        pid_t pid = fork();
        if (pid == 0)
                _exit(child_look(w, t, seed % 2));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
                fail_msg("seed %llu: %s: signal %d", (unsigned long long)seed, damage_names[kind], WTERMSIG(status));
        int v = WEXITSTATUS(status);
        if (v != VERDICT_RIGHT && v != VERDICT_DAMAGED)
                fail_msg("seed %llu: %s: verdict %d", (unsigned long long)seed, damage_names[kind], v);
        counts[v == VERDICT_RIGHT]++;
}

static int note_prev(const Record *r, void *userdata) {
        memcpy(((Truth *)userdata)->prev[r->seq], r->prev, 32);
        return 0;
}

static void truth_make(World *w, Truth *t) {
        Journal *j = world_open(w, JOURNAL_CREATE);
        for (int i = 0; i < DEPLOYS; i++) {
                if (i == DEPLOYS - 3)
                        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &t->older, &t->n_older, NULL), 0);
                world_deploy(j, i % 2 ? "web" : "api", 2);
        }
        assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
        assert_int_equal(journal_scan(j, 0, note_prev, t, NULL), 0);
        assert_int_equal(journal_rows(j, "", 0, &t->rows, NULL), 0);
        journal_free(j);
        assert_int_equal(fs_read(w->root, DATA, 64 << 20, &t->data, &t->size, NULL), 0);
        assert_int_equal(fs_read(w->root, HEAD, 64, &t->head, &t->n_head, NULL), 0);
}

static void truth_done(Truth *t) {
        row_list_done(&t->rows);
        free(t->data);
        free(t->older);
        free(t->head);
        free(t);
}

static void no_damage_gives_a_signal_or_a_wrong_answer(void **state) {
        World *w = *state;
        Truth *t = calloc(1, sizeof(*t));
        unsigned counts[2] = {0};
        const char *one = getenv("JOURNAL_DAMAGE_SEED"), *many = getenv("JOURNAL_DAMAGE_SEEDS");
        truth_make(w, t);
        for (uint64_t i = one ? strtoull(one, NULL, 10) : 0, end = one    ? i + 1
                                                                   : many ? strtoull(many, NULL, 10)
                                                                          : 400;
             i < end; i++)
                run_case(w, t, i, counts);
        if (!one) {
                assert_true(counts[0] > 20);
                assert_true(counts[1] > 20);
        }
        truth_done(t);
}

/* Whatever repair is given, what it leaves opens and verifies, and holds every record before the first that is gone. */
static void whatever_was_damaged_is_repaired_to_a_journal_that_opens(void **state) {
        World *w = *state;
        Truth *t = calloc(1, sizeof(*t));
        truth_make(w, t);
        for (uint64_t seed = 1000; seed < 1040; seed++) {
                char *data = malloc(t->size);
                size_t size = t->size;
                JournalReport report;
                JournalRepair how = {0};
                Error err = ERROR_INIT;
                assert_non_null(data);
                memcpy(data, t->data, size);
                random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
                damage(t, data, &size);
                put_back(w, t, data, size);
                free(data);
                int r = journal_repair(&w->options, &how, &report, &err);
                if (r < 0)
                        fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
                assert_int_equal(journal_verify(&w->options, &report, &err), 0);
                assert_string_equal(report.problem, "");
                /* The segments hold all of them. */
                assert_true(report.n_records >= RECORDS);
                Journal *j = world_open(w, JOURNAL_WRITE);
                assert_int_equal(journal_scan(j, 0, see_record, t, &err),
                                 r == 1 ? 0 : VERDICT_WRONG); /* REPAIR itself is new */
                assert_int_equal(journal_anchor(j, UINT64_MAX, NULL), 0);
                journal_free(j);
        }
        truth_done(t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(no_damage_gives_a_signal_or_a_wrong_answer),
                TEST(whatever_was_damaged_is_repaired_to_a_journal_that_opens),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
