/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy lets through must stay inside the release.
 *
 * Input: one byte kind, two bytes mode, then path, NUL, target.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/field.h"
#include "managers/archive_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
        if (!ok)
                abort();
}

/* How deep one is after walking the target from a directory `depth` deep, taking every name for a real directory;
 * -1: outside at some point. */
static int walk(int depth, const char *target) {
        for (const char *at = target; *at && depth >= 0;) {
                size_t n = strcspn(at, "/");
                if (n == 2 && at[0] == '.' && at[1] == '.')
                        depth--;
                else if (n > 0 && !(n == 1 && at[0] == '.'))
                        depth++;
                at += n;
                at += strspn(at, "/");
        }
        return depth;
}

static int depth_of(const char *path) {
        int n = 0;
        for (; *path; path++)
                n += *path == '/';
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 4 || size > 16384)
                return 0;
        char *text = calloc(1, size);
        if (!text)
                return 0;
        memcpy(text, data + 3, size - 3);
        size_t n = strlen(text);
        const char *target = n + 1 < size - 3 ? text + n + 1 : NULL;
        PolicyEntry e = {.path = text,
                         .kind = (EntryKind)(data[0] % (ENTRY_OTHER + 1)),
                         .target = target,
                         .mode = (unsigned)(data[1] << 8 | data[2]) & 07777U};
        Policy p = {.max_size = 1000};
        PolicyPath path, other;
        Error err = ERROR_INIT;
        int r = archive_policy_check(&p, &e, &path, &other, &err);
        if (r == 0) {
                must(e.kind != ENTRY_OTHER && (e.mode & 07000) == 0);
                must(path_is_safe(path.text) || (e.kind == ENTRY_DIRECTORY && path.text[0] == '\0'));
                must(strncmp(path.text, ".pawl-", 6) != 0);
                must(e.kind != ENTRY_HARD_LINK || path_is_safe(other.text));
                must(e.kind != ENTRY_LINK ||
                     (target && target[0] != '/' && target[0] != '\0' && walk(depth_of(path.text), target) >= 0));
        } else {
                must(err.code == ERR_ARTIFACT && err.message[0] != '\0');
        }
        free(text);
        return 0;
}
