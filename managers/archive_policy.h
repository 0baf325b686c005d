/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an archive may hold. Looks at one entry's announcement at a time and touches nothing, so that it can be fuzzed.
 *
 * Allowed are regular files, directories, symbolic links that stay inside, and hard links. Refused, with the entry's
 * name: absolute paths, "..", control characters, names pawl keeps for itself, devices, sockets and pipes, set-id and
 * sticky bits (dropping them silently would run something else than what was built), encryption, too many entries, too
 * many bytes.
 *
 * A link's target may begin with as many ".." as its directory is deep and hold none after that. So a target leads from
 * a real directory down, or through another link of which the same is true: no chain of links leads out. (Resolving
 * ".." behind a name lexically would not show this, because the name may itself be a link.)
 */
#pragma once

#include <limits.h>

#include "core/base/error.h"

#define ARCHIVE_DEPTH_MAX 64
#define ARCHIVE_ENTRIES_MAX 1000000

typedef enum EntryKind { ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_LINK, ENTRY_HARD_LINK, ENTRY_OTHER } EntryKind;

typedef struct PolicyEntry {
        const char *path;
        EntryKind kind;
        const char *target; /* of a link; NULL otherwise */
        unsigned mode;      /* permission bits with set-id and sticky */
        int64_t size;       /* announced; 0 when it is not */
        bool is_encrypted;
} PolicyEntry;

typedef struct Policy {
        uint64_t max_size; /* of all files together; 0: no limit */
        uint64_t n_entries, size;
} Policy;

typedef struct PolicyPath {
        char text[PATH_MAX]; /* as it is made; "" for the top itself, which is there already */
} PolicyPath;

/* 0 when the entry may be unpacked; then *ret_path is where, and *ret_target, for a hard link, the path of the other
 * name. */
int archive_policy_check(Policy *p, const PolicyEntry *entry, PolicyPath *ret_path, PolicyPath *ret_target, Error *err);
/* The rule for symbolic links alone, for a tree that is no archive: path from its top. -EBADMSG (ERR_ARTIFACT) where
 * the link leads out. */
int archive_policy_check_link(const char *path, const char *target, Error *err);
/* Bytes that really came for an entry announced with `announced`: what is beyond counts as well. */
int archive_policy_count(Policy *p, uint64_t announced, uint64_t came, const char *path, Error *err);
