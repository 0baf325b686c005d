/* SPDX-License-Identifier: Apache-2.0 */
/* The host key is a file of 32 bytes; it is made before the journal, so a journal without its key is a loss that is
 * reported, never papered over. */
#include <errno.h>
#include <string.h>

#include "core/base/fs.h"
#include "core/secrets.h"

#define SEAL_KEY_PATH "var/lib/pawl/seal.key"

static int host_key_create(int root, SealKey **ret, Error *err) {
        _cleanup_(seal_key_freep) SealKey *key = seal_key_new();
        if (!key)
                return error_no_memory(err);
        int r = fs_mkdir_all_durably(root, "var/lib/pawl", 0755, FS_OWNER_KEEP, NULL, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = fs_create_unnamed(root, "var/lib/pawl", 0600, err);
        if (fd < 0)
                return fd;
        r = fs_write_all(fd, key->bytes, SEAL_KEY_SIZE, err);
        if (r == 0)
                r = fs_sync_fd(fd, err);
        if (r == 0)
                r = fs_name_unnamed(fd, root, SEAL_KEY_PATH, err);
        if (r == -EEXIST)
                return 1; /* another first process was faster: its key is the key */
        if (r == 0)
                r = fs_sync_parent(root, SEAL_KEY_PATH, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(key);
        return 0;
}

/* What was sealed by a key that is gone must not be met by a new one. */
static int has_no_journal(int root, bool *ret, Error *err) {
        bool has_journal = false, has_head = false;
        int r = fs_has(root, "var/lib/pawl/journal", &has_journal, err);
        if (r == 0)
                r = fs_has(root, "var/lib/pawl/journal.head", &has_head, err);
        if (r == 0)
                *ret = !has_journal && !has_head;
        return r;
}

int secrets_host_key(int root, bool create, SealKey **ret, Error *err) {
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int made = 0;
        int r = fs_read(root, SEAL_KEY_PATH, SEAL_KEY_SIZE, &data, &size, err);
        if (r == -ENOENT) {
                bool is_first = false;
                r = has_no_journal(root, &is_first, err);
                if (r < 0)
                        return r;
                if (create && is_first)
                        made = host_key_create(root, ret, err);
                if (create && is_first && made <= 0)
                        return made;
                if (made > 0)
                        return secrets_host_key(root, false, ret, err);
                return error_set(
                        err, -ENOKEY, ERR_SEAL_KEY,
                        "Put the key back from a backup; without it the secrets in the journal cannot be read.",
                        "the key \"/%s\" is missing", SEAL_KEY_PATH);
        }
        if (r < 0)
                return r;
        if (size != SEAL_KEY_SIZE) {
                wipe(data, size);
                return error_set(err, -EKEYREJECTED, ERR_SEAL_KEY, "Put the key back from a backup.",
                                 "the key \"/%s\" has %zu bytes instead of %d", SEAL_KEY_PATH, size, SEAL_KEY_SIZE);
        }
        SealKey *key = seal_key_from((const uint8_t *)data);
        wipe(data, size);
        if (!key)
                return error_no_memory(err);
        *ret = key;
        return 0;
}

int secrets_tx_key(Journal *j, const SealKey *host_key, uint64_t tx, SealKey **ret, Error *err) {
        _cleanup_free_ void *wrapped = NULL;
        size_t size = 0;
        int r = journal_key(j, tx, &wrapped, &size, err);
        if (r < 0)
                return r;
        return seal_unwrap(host_key, wrapped, size, ret, err);
}

/* ---- Hiding ------------------------------------------------------------------------------------------------------ */

enum { HIDDEN_MIN = 6 };

/* How much of the text at p is the secret, or its beginning up to where the line was cut. */
static size_t hidden_length(const char *p, const Value *secret) {
        size_t n = 0;
        while (n < secret->bytes.size && p[n] && p[n] == secret->bytes.data[n])
                n++;
        bool is_cut = p[n] == '\n' || p[n] == '\0';
        return n == secret->bytes.size || (is_cut && n >= HIDDEN_MIN) ? n : 0;
}

static void hide_one(const Value *secret, char *text) {
        static const char cover[] = "****";
        if (secret->is_sealed || secret->bytes.size < HIDDEN_MIN)
                return;
        for (char *p = text; *p; p++) {
                size_t n = hidden_length(p, secret);
                if (n == 0)
                        continue;
                memcpy(p, cover, sizeof(cover) - 1);
                memmove(p + sizeof(cover) - 1, p + n, strlen(p + n) + 1);
                p += sizeof(cover) - 2;
        }
}

/* Of a tree as deep as a value may be (VALUE_DEPTH_MAX). */
void secrets_hide(const Value *tree, char *text) {
        if (value_is(tree, VALUE_SECRET))
                hide_one(tree, text);
        for (size_t i = 0; i < value_count(tree); i++)
                secrets_hide(value_is(tree, VALUE_MAP) ? tree->map.entries[i].value : value_at(tree, i), text);
}
