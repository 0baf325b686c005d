/* SPDX-License-Identifier: Apache-2.0 */
/* See format.h. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "managers/format.h"

typedef struct Ending {
        const char *text, *format;
} Ending;

typedef struct Magic {
        size_t offset, size;
        const char *bytes, *format;
} Magic;

/* clang-format off */
static const Ending endings[] = {
        {".tar",     "tar"},
        {".tar.gz",  "tar"},
        {".tgz",     "tar"},
        {".tar.xz",  "tar"},
        {".txz",     "tar"},
        {".tar.zst", "tar"},
        {".zip",     "zip"},
};

/* A compressed file is taken for a tar archive: a program compressed alone is not a form anything publishes. */
static const Magic magics[] = {
        {  0, 4, "PK\3\4",         "zip"},
        {  0, 4, "PK\5\6",         "zip"},
        {  0, 3, "\x1f\x8b\x08",   "tar"},
        {  0, 6, "\xfd" "7zXZ\0",  "tar"},
        {  0, 4, "\x28\xb5\x2f\xfd", "tar"},
        {257, 5, "ustar",          "tar"},
};
/* clang-format on */

const char *format_of_url(const char *url) {
        size_t n = strcspn(url, "?#");
        for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                size_t n_ending = strlen(endings[i].text);
                if (n > n_ending && strncasecmp(url + n - n_ending, endings[i].text, n_ending) == 0)
                        return endings[i].format;
        }
        return "program";
}

int format_check_name(const char *name, const char *format, Error *err) {
        if (strcmp(format, "program") != 0 || strcmp(format_of_url(name), "program") == 0)
                return 0;
        return error_set(err, -EBADMSG, ERR_ARTIFACT, "Make it again; a program has to have another name.",
                         "it is called an archive and is none");
}

int format_of_fd(int fd, const char *what, const char **ret, Error *err) {
        char head[512];
        ssize_t n = pread(fd, head, sizeof(head), 0);
        if (n < 0)
                return error_set_errno(err, -errno, NULL, "could not read \"%s\"", what);
        const char *format = "program";
        for (size_t i = 0; i < ELEMENTSOF(magics); i++) {
                const Magic *m = &magics[i];
                if (m->offset + m->size <= (size_t)n && memcmp(head + m->offset, m->bytes, m->size) == 0) {
                        format = m->format;
                        break;
                }
        }
        *ret = format;
        return 0;
}
