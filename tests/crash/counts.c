/* SPDX-License-Identifier: Apache-2.0 */
/* See counts.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/counts.h"

void count_write(const Count *c) {
        const char *folder = getenv("PAWL_COUNTS");
        char path[PATH_MAX];
        FILE *file;

        if (folder == NULL || folder[0] == 0)
                return;
        (void)mkdir(folder, 0755);
        (void)snprintf(path, sizeof path, "%s/%s.%s", folder, c->tier, c->row);
        file = fopen(path, "we");
        if (file != NULL)
                (void)fprintf(file,
                              "%" PRIu64 " points %" PRIu64 " states %" PRIu64 " classes %" PRIu64 " faults %" PRIu64
                              " failures %" PRIu64 " msec %" PRIu64 " left %d sample\n",
                              c->n_points, c->n_states, c->n_classes, c->n_faults, c->n_failures, c->msec, c->n_left,
                              c->is_sample);
        if (file == NULL || fclose(file) != 0)
                (void)fprintf(stderr, "crash: could not write %s: %s\n", path, strerror(errno));
}

/* "kill.upgrade", and "disk-ext4.upgrade" of the tier disk. */
static bool is_of(const char *name, const char *tier, const char *row) {
        const char *dot = strchr(name, '.');
        size_t n = strlen(tier);

        return dot != NULL && strncmp(name, tier, n) == 0 && (name[n] == '.' || name[n] == '-') &&
               (row == NULL || strcmp(dot + 1, row) == 0);
}

static bool add_file(const char *folder, const char *name, Count *c) {
        uint64_t points, states, classes, faults, failures, msec, left;
        char path[PATH_MAX];
        FILE *file;
        int n, is_sample;

        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        file = fopen(path, "re");
        if (file == NULL)
                return false;
        n = fscanf(file,
                   "%" SCNu64 " points %" SCNu64 " states %" SCNu64 " classes %" SCNu64 " faults %" SCNu64
                   " failures %" SCNu64 " msec %" SCNu64 " left %d sample",
                   &points, &states, &classes, &faults, &failures, &msec, &left, &is_sample);
        (void)fclose(file);
        if (n != 8)
                return false;
        c->n_points += points;
        c->n_states += states;
        c->n_classes += classes;
        c->n_faults += faults;
        c->n_failures += failures;
        c->msec += msec;
        c->n_left += left;
        c->is_sample |= is_sample != 0;
        return true;
}

bool count_read(const char *folder, const char *tier, const char *row, Count *c) {
        DIR *stream = opendir(folder);
        struct dirent *entry;
        bool has_any = false;

        while (stream != NULL && (entry = readdir(stream)) != NULL)
                if (is_of(entry->d_name, tier, row))
                        has_any |= add_file(folder, entry->d_name, c);
        if (stream != NULL)
                (void)closedir(stream);
        return has_any;
}
