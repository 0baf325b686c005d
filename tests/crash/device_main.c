/* SPDX-License-Identifier: Apache-2.0 */
/* test-device: the block device that remembers (device.h), for scripts. It serves until its stdin ends. Each line asks
 * one thing; the answer is one line as well, "ok", "ok VALUE" or "failed: WHY". Whatever is written into FOLDER/mark
 * becomes a mark in its log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/device.h"

enum { LINE_SIZE = 4096, WORDS_MAX = 6, ANSWER_SIZE = 2048 };

static const char usage[] =
        "usage: test-device FOLDER MIB\n"
        "  image                       the path of what is on it, for a mkfs\n"
        "  mount WHERE TYPE OPTIONS    mounts the device\n"
        "  record                      from now on it remembers\n"
        "  count                       how many records there are by now\n"
        "  stop                        no longer\n"
        "  marks N                     what was marked before record N\n"
        "  matters N SEED              yes or no: it leaves something else than the cut before\n"
        "  cut N SEED WHERE TYPE OPTIONS  mounts what a cut before record N leaves\n"
        "  keep N SEED FILE            writes it into a file\n"
        "  again N SEED FOLDER         a second device with it, served there: all above is about it\n"
        "  back                        the second device is gone\n";

/* Two: the first, and what a cut of it left, while that remembers as well. */
static Device devices[2];
static Device *d = devices;

/* 0 with an answer (it may be empty), or a negative errno. */
typedef struct Verb {
        const char *name;
        int n_words;
        int (*run)(char *const *words, char *ret);
} Verb;

static DeviceCut cut_of(char *const *words) {
        return (DeviceCut){.n = strtoul(words[0], NULL, 10), .seed = (uint32_t)strtoul(words[1], NULL, 10)};
}

static int run_image(char *const *words, char *ret) {
        (void)words;
        device_image_path(d, ret, ANSWER_SIZE);
        return 0;
}

static int run_mount(char *const *words, char *ret) {
        char disk[sizeof d->folder + 8];

        (void)ret;
        (void)snprintf(disk, sizeof disk, "%s/disk", d->folder);
        return device_mount(disk, words[0], words[1], words[2]);
}

static int run_record(char *const *words, char *ret) {
        (void)words;
        (void)ret;
        return device_record_begin(d);
}

static int run_stop(char *const *words, char *ret) {
        (void)words;
        (void)ret;
        device_record_end(d);
        return device_count(d) > 0 ? 0 : -ENOSPC;
}

static int run_count(char *const *words, char *ret) {
        (void)words;
        (void)snprintf(ret, ANSWER_SIZE, "%zu", device_count(d));
        return 0;
}

static int run_marks(char *const *words, char *ret) {
        device_marks(d, strtoul(words[0], NULL, 10), ret, ANSWER_SIZE);
        for (char *end = ret; (end = strchr(end, '\n')) != NULL;)
                *end = ' ';
        return 0;
}

static int run_matters(char *const *words, char *ret) {
        DeviceCut cut = cut_of(words);

        (void)snprintf(ret, ANSWER_SIZE, "%s", device_cut_matters(d, &cut) ? "yes" : "no");
        return 0;
}

static int run_cut(char *const *words, char *ret) {
        DeviceCut cut = cut_of(words);
        int fd = device_cut(d, &cut), r;
        char path[64];

        (void)ret;
        if (fd < 0)
                return fd;
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        r = device_mount(path, words[2], words[3], words[4]);
        (void)close(fd);
        return r;
}

static int run_keep(char *const *words, char *ret) {
        DeviceCut cut = cut_of(words);
        int from = device_cut(d, &cut), to, r;

        (void)ret;
        if (from < 0)
                return from;
        to = open(words[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        r = to < 0 || ftruncate(to, (off_t)d->size) < 0 ? -errno : device_copy(from, to, d->size);
        if (to >= 0)
                (void)close(to);
        (void)close(from);
        return r;
}

static int run_back(char *const *words, char *ret) {
        (void)words;
        (void)ret;
        device_close(&devices[1]);
        d = devices;
        return 0;
}

static int run_again(char *const *words, char *ret) {
        DeviceCut cut = cut_of(words);
        Device *second = &devices[1];
        int from, r;

        if (d == second)
                return -EBUSY;
        from = device_cut(d, &cut);
        if (from < 0)
                return from;
        r = device_open(second, d->size);
        if (r == 0)
                r = device_copy(from, second->image, d->size);
        if (r == 0)
                r = device_serve_begin(second, words[2]);
        (void)close(from);
        d = second;
        if (r < 0)
                (void)run_back(words, ret);
        return r;
}

/* clang-format off */
static const Verb verbs[] = {
        {"image",   0, run_image},
        {"mount",   3, run_mount},
        {"record",  0, run_record},
        {"count",   0, run_count},
        {"stop",    0, run_stop},
        {"marks",   1, run_marks},
        {"matters", 2, run_matters},
        {"cut",     5, run_cut},
        {"keep",    3, run_keep},
        {"again",   3, run_again},
        {"back",    0, run_back},
};
/* clang-format on */
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static int ask(char *line, char *ret) {
        char *words[WORDS_MAX + 1], *rest = NULL;
        int n = 0;

        for (char *word = strtok_r(line, " \n", &rest); word != NULL && n <= WORDS_MAX;
             word = strtok_r(NULL, " \n", &rest))
                words[n++] = word;
        for (size_t i = 0; n > 0 && i < N_VERBS; i++)
                if (strcmp(verbs[i].name, words[0]) == 0)
                        return n - 1 == verbs[i].n_words ? verbs[i].run(words + 1, ret) : -EINVAL;
        return -EINVAL;
}

static void serve(void) {
        static char line[LINE_SIZE], answer[ANSWER_SIZE];

        while (fgets(line, sizeof line, stdin) != NULL) {
                int r;

                answer[0] = 0;
                r = ask(line, answer);
                if (r < 0)
                        (void)printf("failed: %s\n", strerror(-r));
                else
                        (void)printf("ok%s%s\n", answer[0] != 0 ? " " : "", answer);
                (void)fflush(stdout);
        }
}

int main(int argc, char **argv) {
        int r;

        if (argc != 3) {
                (void)fputs(usage, stderr);
                return 2;
        }
        devices[1] = (Device){.image = -1, .base = -1};
        r = device_open(d, strtoul(argv[2], NULL, 10) << 20);
        if (r == 0)
                r = device_serve_begin(d, argv[1]);
        if (r == 0)
                serve();
        else
                (void)fprintf(stderr, "test-device: %s\n", strerror(-r));
        device_close(&devices[1]);
        device_close(devices);
        return r < 0;
}
