/* SPDX-License-Identifier: Apache-2.0 */
/* A root in a temporary directory with a journal in it, for the journal's tests. cmocka.h must be included before. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "journal/journal.h"

#define UNUSED_OK __attribute__((unused))

typedef struct World {
        char path[256];
        int root;
        JournalOptions options;
} World;

UNUSED_OK static void world_at(World *w, const char *path) {
        snprintf(w->path, sizeof(w->path), "%s", path);
        w->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(w->root >= 0);
        w->options = (JournalOptions){
                .root = w->root,
                .dir = "var/lib/pawl",
                .lock_dir = "run/pawl/lock",
                .genesis = "genesis",
                .n_genesis = 7,
                .boot = "boot",
        };
}

UNUSED_OK static int world_setup(void **state) {
        World *w = calloc(1, sizeof(*w));
        char path[256];
        const char *base = getenv("TMPDIR");
        snprintf(path, sizeof(path), "%s/pawl-journal-XXXXXX", base ? base : "/tmp");
        if (!w || !mkdtemp(path))
                return -1;
        world_at(w, path);
        *state = w;
        return 0;
}

UNUSED_OK static int world_teardown(void **state) {
        World *w = *state;
        int tmp = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(w->root);
        int r = fs_remove_tree(tmp, w->path + 1, NULL);
        close(tmp);
        free(w);
        return r;
}

UNUSED_OK static Journal *world_open(World *w, JournalMode mode) {
        Journal *j = NULL;
        Error err = ERROR_INIT;
        int r = journal_open(&w->options, mode, &j, &err);
        if (r < 0)
                fprintf(stderr, "journal_open: %d %s\n", r, err.message);
        assert_int_equal(r, 0);
        return j;
}

UNUSED_OK static void world_mkdir(World *w, const char *path) {
        assert_int_equal(fs_mkdir_all_durably(w->root, path, 0755, FS_OWNER_KEEP, NULL, NULL), 0);
}

UNUSED_OK static void world_write(World *w, const char *path, const void *data, size_t size) {
        assert_int_equal(fs_replace(w->root, path, data, size, 0600, NULL), 0);
}

/* Writes one record with a small body and returns its seq. */
UNUSED_OK static uint64_t world_record(JournalWrite *w, RecordKind kind, uint64_t tx, uint32_t step) {
        const char *body = kind == RECORD_INTENT ? "before" : record_slug(kind);
        Record draft = {.kind = kind, .tx = tx, .step = step, .body = body, .n_body = strlen(body)};
        Error err = ERROR_INIT;
        uint64_t seq = 0;
        int r = journal_write_record(w, &draft, &seq, &err);
        if (r < 0)
                fprintf(stderr, "journal_write_record: %s\n", err.message);
        assert_int_equal(r, 0);
        return seq;
}

UNUSED_OK static void world_commit(JournalWrite **w) {
        Error err = ERROR_INIT;
        int r = journal_commit(w, &err);
        if (r < 0)
                fprintf(stderr, "journal_commit: %s\n", err.message);
        assert_int_equal(r, 0);
}

/* A whole transaction as the engine writes it: one commit per step boundary; rows follow COMMIT. */
UNUSED_OK static uint64_t world_deploy(Journal *j, const char *name, uint32_t n_steps) {
        JournalWrite *w = NULL;
        char key[64];
        assert_int_equal(journal_write_new(j, false, &w, NULL), 0);
        uint64_t tx = world_record(w, RECORD_BEGIN, 0, RECORD_STEP_NONE);
        assert_int_equal(journal_write_key(w, 0, "wrapped", 7, NULL), 0);
        for (uint32_t i = 0; i < n_steps; i++) {
                world_record(w, RECORD_INTENT, tx, i);
                world_commit(&w);
                assert_int_equal(journal_write_new(j, true, &w, NULL), 0);
                world_record(w, RECORD_DONE, tx, i);
        }
        uint64_t commit = world_record(w, RECORD_COMMIT, tx, RECORD_STEP_NONE);
        snprintf(key, sizeof(key), "service/%s", name);
        assert_int_equal(journal_write_row(w, key, &commit, sizeof(commit), NULL), 0);
        snprintf(key, sizeof(key), "history/%s/%020llu", name, (unsigned long long)tx);
        assert_int_equal(journal_write_row(w, key, &commit, sizeof(commit), NULL), 0);
        world_record(w, RECORD_END, tx, RECORD_STEP_NONE);
        world_commit(&w);
        return tx;
}

UNUSED_OK static size_t count_entries(const char *path) {
        DIR *d = opendir(path);
        size_t n = 0;
        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

UNUSED_OK static size_t world_count_fds(void) {
        return count_entries("/proc/self/fd");
}

UNUSED_OK static size_t world_count_files(World *w) {
        static const char *const dirs[] = {"var/lib/pawl", "var/lib/pawl/journal", "var/lib/pawl/journal/segments",
                                           "run/pawl/lock"};
        size_t n = 0;
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
                char path[512];
                snprintf(path, sizeof(path), "%s/%s", w->path, dirs[i]);
                n += count_entries(path);
        }
        return n;
}
