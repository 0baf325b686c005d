/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stand-in for libFuzzer's driver: feeds files, and the files of folders, to one fuzz target.
 *
 * It replays, so that a corpus is a plain test with any compiler; with --mutate N each input is also tried N times with
 * a few bytes changed, which is a smoke test where there is no libFuzzer and no more. Having been given nothing to feed
 * is a failure: a corpus that was lost must not look like one that passed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_SIZE_MAX = 16 * 1024 * 1024 };

typedef struct Replay {
        unsigned long n_inputs;
        unsigned long n_mutations;
        uint64_t random;
} Replay;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64*: the same mutations in every run, so that a finding can be found again. */
static uint64_t replay_random(Replay *replay) {
        replay->random ^= replay->random >> 12;
        replay->random ^= replay->random << 25;
        replay->random ^= replay->random >> 27;
        return replay->random * UINT64_C(2685821657736338717);
}

/* Every input lies in a block of exactly its size, so that ASan sees the first byte read past its end. */
static int replay_feed(const uint8_t *data, size_t size) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        if (!copy)
                return -ENOMEM;
        if (size > 0)
                memcpy(copy, data, size);
        (void)LLVMFuzzerTestOneInput(copy, size);
        free(copy);
        return 0;
}

static int replay_mutate(Replay *replay, const uint8_t *data, size_t size) {
        for (unsigned long i = 0; i < replay->n_mutations && size > 0; i++) {
                uint8_t *changed = malloc(size);
                if (!changed)
                        return -ENOMEM;
                memcpy(changed, data, size);
                for (uint64_t n = 1 + replay_random(replay) % 4; n > 0; n--)
                        changed[replay_random(replay) % size] = (uint8_t)replay_random(replay);
                size_t kept = replay_random(replay) % 4 == 0 ? (size_t)(replay_random(replay) % size) : size;
                int r = replay_feed(changed, kept);
                free(changed);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int replay_file(Replay *replay, const char *path, size_t size) {
        if (size > INPUT_SIZE_MAX)
                return -EFBIG;
        FILE *file = fopen(path, "re");
        if (!file)
                return -errno;
        uint8_t *data = malloc(size + 1);
        size_t n = data ? fread(data, 1, size + 1, file) : 0;
        int r = data ? 0 : -ENOMEM;
        fclose(file);
        if (r == 0 && n != size)
                r = -EIO;
        if (r == 0)
                r = replay_feed(data, size);
        if (r == 0)
                r = replay_mutate(replay, data, size);
        free(data);
        replay->n_inputs++;
        return r;
}

/* A corpus is flat: a folder in a folder is not looked into. */
static int replay_folder(Replay *replay, const char *path) {
        struct dirent **entries = NULL;
        int n = scandir(path, &entries, NULL, alphasort);
        int r = n < 0 ? -errno : 0;
        for (int i = 0; i < n; i++) {
                char *child = NULL;
                struct stat st;
                if (r == 0 && asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0) {
                        child = NULL;
                        r = -ENOMEM;
                }
                if (r == 0 && stat(child, &st) == 0 && S_ISREG(st.st_mode))
                        r = replay_file(replay, child, (size_t)st.st_size);
                free(child);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int replay_path(Replay *replay, const char *path) {
        struct stat st;
        if (stat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? replay_folder(replay, path) : replay_file(replay, path, (size_t)st.st_size);
}

int main(int argc, char **argv) {
        Replay replay = {.random = UINT64_C(0x9e3779b97f4a7c15)};
        int first = 1;
        if (argc > 2 && strcmp(argv[1], "--mutate") == 0) {
                replay.n_mutations = strtoul(argv[2], NULL, 10);
                first = 3;
        }
        for (int i = first; i < argc; i++) {
                int r = replay_path(&replay, argv[i]);
                if (r < 0) {
                        fprintf(stderr, "%s: could not replay \"%s\": %s\n", argv[0], argv[i], strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        if (replay.n_inputs == 0) {
                fprintf(stderr, "%s: there is nothing to replay\n", argv[0]);
                return EXIT_FAILURE;
        }
        printf("%lu inputs replayed\n", replay.n_inputs);
        return EXIT_SUCCESS;
}
