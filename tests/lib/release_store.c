/* SPDX-License-Identifier: Apache-2.0 */
/* See release_store.h. Keys and their order are those of the real replies; what no client reads is there as well, so
 * that a reader meets it. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/digest.h"
#include "core/base/text.h"
#include "tests/lib/release_store.h"

#define ASSETS_MAX 2000

typedef struct Assets {
        StoreAsset *items;
        size_t n;
} Assets;

static void assets_done(Assets *a) {
        free(a->items);
}

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "release_store: %s failed\n", what);
        abort();
}

char *store_note(const char *dir, const char *owner, const char *repo, const char *suffix) {
        char path[1024], line[256] = "";
        snprintf(path, sizeof(path), "%s/%s/%s%s", dir, owner, repo, suffix);
        FILE *f = fopen(path, "re");
        if (!f)
                return NULL;
        if (!fgets(line, sizeof(line), f))
                line[0] = '\0';
        fclose(f);
        line[strcspn(line, "\r\n")] = '\0';
        return strdup(line);
}

/* Never zero, the same for the same text, and small enough for every reader. */
static int64_t id_of(const char *text) {
        uint8_t digest[DIGEST_SIZE];
        must(sha256_of(text, strlen(text), digest, NULL) == 0, "hashing");
        return ((int64_t)digest[0] << 24 | digest[1] << 16 | digest[2] << 8 | digest[3]) + 1;
}

static int64_t release_id(const char *owner, const char *repo, const char *tag) {
        char text[256];
        snprintf(text, sizeof(text), "%s/%s@%s", owner, repo, tag);
        return id_of(text);
}

static bool is_name(const char *s) {
        return *s && *s != '.' && !strchr(s, '/');
}

static void copy(char *to, size_t size, const char *text) {
        must(strlen(text) < size, "keeping a name");
        memcpy(to, text, strlen(text) + 1);
}

bool store_asset_by_name(const char *dir, const char *owner, const char *repo, const char *tag, const char *name,
                         StoreAsset *ret) {
        char text[1024];
        uint8_t digest[DIGEST_SIZE];
        struct stat st;
        struct tm tm;
        if (!is_name(owner) || !is_name(repo) || !is_name(tag) || !is_name(name))
                return false;
        StoreAsset a = {0};
        copy(a.owner, sizeof(a.owner), owner);
        copy(a.repo, sizeof(a.repo), repo);
        copy(a.tag, sizeof(a.tag), tag);
        copy(a.name, sizeof(a.name), name);
        must(snprintf(a.path, sizeof(a.path), "%s/%s/%s/%s/%s", dir, owner, repo, tag, name) < (int)sizeof(a.path),
             "naming an asset");
        int fd = open(a.path, O_RDONLY | O_CLOEXEC);
        bool is_there =
                fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && sha256_of_fd(fd, digest, NULL, NULL) == 0;
        if (fd >= 0)
                close(fd);
        if (!is_there)
                return false;
        hex_encode(digest, sizeof(digest), a.sha256);
        snprintf(text, sizeof(text), "%s/%s@%s/%s %s", a.owner, a.repo, a.tag, a.name, a.sha256);
        a.id = id_of(text);
        a.size = st.st_size;
        strftime(a.time, sizeof(a.time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&st.st_mtime, &tm));
        _cleanup_free_ char *no_digest = store_note(dir, owner, repo, ".no_digest");
        a.has_digest = !no_digest;
        *ret = a;
        return true;
}

static int is_visible(const struct dirent *e) {
        return e->d_name[0] != '.';
}

static bool assets_read(const char *dir, const char *owner, const char *repo, const char *tag, Assets *ret) {
        char path[1024];
        struct dirent **entries = NULL;
        snprintf(path, sizeof(path), "%s/%s/%s/%s", dir, owner, repo, tag);
        int n = is_name(owner) && is_name(repo) && is_name(tag) ? scandir(path, &entries, is_visible, alphasort) : -1;
        if (n < 0)
                return false;
        must(n <= ASSETS_MAX, "reading so many assets");
        ret->items = calloc((size_t)n + 1, sizeof(StoreAsset));
        must(ret->items != NULL, "memory");
        for (int i = 0; i < n; i++) {
                ret->n += store_asset_by_name(dir, owner, repo, tag, entries[i]->d_name, &ret->items[ret->n]);
                free(entries[i]);
        }
        free(entries);
        return true;
}

/* All tags of a repository, the newest last; the count, or negative. */
static int tags_read(const char *dir, const char *owner, const char *repo, struct dirent ***ret) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s/%s", dir, owner, repo);
        return is_name(owner) && is_name(repo) ? scandir(path, ret, is_visible, versionsort) : -1;
}

bool store_asset_by_id(const char *dir, const char *owner, const char *repo, int64_t id, StoreAsset *ret) {
        struct dirent **tags = NULL;
        int n = tags_read(dir, owner, repo, &tags);
        bool is_found = false;
        for (int i = 0; i < n; i++) {
                _cleanup_(assets_done) Assets assets = {0};
                bool is_read = !is_found && assets_read(dir, owner, repo, tags[i]->d_name, &assets);
                for (size_t k = 0; is_read && k < assets.n; k++)
                        if (assets.items[k].id == id) {
                                *ret = assets.items[k];
                                is_found = true;
                        }
                free(tags[i]);
        }
        free(tags);
        return is_found;
}

static char *newest_tag(const char *dir, const char *owner, const char *repo) {
        struct dirent **tags = NULL;
        char *told = store_note(dir, owner, repo, ".latest");
        if (told)
                return told;
        int n = tags_read(dir, owner, repo, &tags);
        char *last = n > 0 ? strdup(tags[n - 1]->d_name) : NULL;
        for (int i = 0; i < n; i++)
                free(tags[i]);
        free(tags);
        return last;
}

/* ---- What the APIs say ------------------------------------------------------------------------------------------- */

typedef struct Pair {
        const char *name;
        Value *value;
} Pair;

static Value *map_of(const Pair *pairs, size_t n) {
        Value *map = value_new_map();
        must(map != NULL, "memory");
        for (size_t i = 0; i < n; i++)
                must(value_set(map, pairs[i].name, pairs[i].value, NULL) == 0, "memory");
        return map;
}

static Value *person(const char *base, const char *owner) {
        const Pair pairs[] = {
                {"login", value_new_text(owner)},
                {"id", value_new_int(id_of(owner))},
                {"node_id", value_new_text("MDQ6VXNlcjE=")},
                {"avatar_url", value_new_format("%s/avatars/%s", base, owner)},
                {"gravatar_id", value_new_text("")},
                {"url", value_new_format("%s/users/%s", base, owner)},
                {"type", value_new_text("User")},
                {"site_admin", value_new_bool(false)},
        };
        return map_of(pairs, ELEMENTSOF(pairs));
}

static Value *download_url(const StoreAsset *a, const char *base) {
        return value_new_format("%s/%s/%s/releases/download/%s/%s", base, a->owner, a->repo, a->tag, a->name);
}

static Value *github_asset(const StoreAsset *a, const char *base) {
        const Pair pairs[] = {
                {"url",
                 value_new_format("%s/repos/%s/%s/releases/assets/%lld", base, a->owner, a->repo, (long long)a->id)},
                {"id", value_new_int(a->id)},
                {"node_id", value_new_text("RA_kwDOAA")},
                {"name", value_new_text(a->name)},
                {"label", value_new_null()},
                {"uploader", person(base, a->owner)},
                {"content_type", value_new_text("application/octet-stream")},
                {"state", value_new_text("uploaded")},
                {"size", value_new_int(a->size)},
                {"digest", a->has_digest ? value_new_format("sha256:%s", a->sha256) : value_new_null()},
                {"download_count", value_new_int(0)},
                {"created_at", value_new_text(a->time)},
                {"updated_at", value_new_text(a->time)},
                {"browser_download_url", download_url(a, base)},
        };
        return map_of(pairs, ELEMENTSOF(pairs));
}

static Value *gitea_asset(const StoreAsset *a, const char *base) {
        const Pair pairs[] = {
                {"id", value_new_int(a->id)},
                {"name", value_new_text(a->name)},
                {"size", value_new_int(a->size)},
                {"download_count", value_new_int(0)},
                {"created_at", value_new_text(a->time)},
                {"uuid", value_new_format("%.8s-%.4s-4%.3s-8%.3s-%.12s", a->sha256, a->sha256 + 8, a->sha256 + 12,
                                          a->sha256 + 15, a->sha256 + 18)},
                {"browser_download_url", download_url(a, base)},
        };
        return map_of(pairs, ELEMENTSOF(pairs));
}

Value *store_asset_value(const StoreAsset *a, StoreApi api, const char *base) {
        return api == STORE_GITHUB ? github_asset(a, base) : gitea_asset(a, base);
}

static Value *assets_value(const Assets *a, StoreApi api, const char *base, size_t from, size_t max) {
        Value *list = value_new_array();
        must(list != NULL, "memory");
        for (size_t i = from; i < a->n && i < from + max; i++)
                must(value_append(list, store_asset_value(&a->items[i], api, base), NULL) == 0, "memory");
        return list;
}

static Value *release_value(StoreApi api, const char *base, const char *owner, const char *repo, const char *tag,
                            Value *assets) {
        int64_t id = release_id(owner, repo, tag);
        const char *root = api == STORE_GITHUB ? "" : "/api/v1";
        const Pair pairs[] = {
                {"url", value_new_format("%s%s/repos/%s/%s/releases/%lld", base, root, owner, repo, (long long)id)},
                {"assets_url",
                 value_new_format("%s%s/repos/%s/%s/releases/%lld/assets", base, root, owner, repo, (long long)id)},
                {"upload_url", value_new_format("%s%s/repos/%s/%s/releases/%lld/assets{?name,label}", base, root, owner,
                                                repo, (long long)id)},
                {"html_url", value_new_format("%s/%s/%s/releases/tag/%s", base, owner, repo, tag)},
                {"id", value_new_int(id)},
                {"author", person(base, owner)},
                {"node_id", value_new_text("RE_kwDOAA")},
                {"tag_name", value_new_text(tag)},
                {"target_commitish", value_new_text("main")},
                {"name", value_new_text(tag)},
                {"draft", value_new_bool(false)},
                {"prerelease", value_new_bool(false)},
                {"created_at", value_new_text("2026-01-02T03:04:05Z")},
                {"published_at", value_new_text("2026-01-02T03:04:05Z")},
                {"assets", assets},
                {"tarball_url", value_new_format("%s/repos/%s/%s/tarball/%s", base, owner, repo, tag)},
                {"zipball_url", value_new_format("%s/repos/%s/%s/zipball/%s", base, owner, repo, tag)},
                {"body", value_new_text("## What's new\r\n* \"quotes\", ünïcode, \\ and {braces}\r\n")},
        };
        return map_of(pairs, ELEMENTSOF(pairs));
}

bool store_release(const Store *s, StoreApi api, const char *owner, const char *repo, const char *tag, Value **ret) {
        _cleanup_(assets_done) Assets assets = {0};
        _cleanup_free_ char *which = tag ? strdup(tag) : newest_tag(s->dir, owner, repo);
        if (!which || !assets_read(s->dir, owner, repo, which, &assets))
                return false;
        _cleanup_free_ char *embedded = store_note(s->dir, owner, repo, ".embedded");
        size_t max = embedded ? strtoul(embedded, NULL, 10) : ASSETS_MAX;
        *ret = release_value(api, s->base, owner, repo, which, assets_value(&assets, api, s->base, 0, max));
        return true;
}

Value *store_assets(const Store *s, const char *owner, const char *repo, const StorePage *page) {
        struct dirent **tags = NULL;
        int n = tags_read(s->dir, owner, repo, &tags);
        Value *list = NULL;
        for (int i = 0; i < n; i++) {
                _cleanup_(assets_done) Assets assets = {0};
                if (!list && release_id(owner, repo, tags[i]->d_name) == page->release_id &&
                    assets_read(s->dir, owner, repo, tags[i]->d_name, &assets))
                        list = assets_value(&assets, STORE_GITHUB, s->base, page->from, page->max);
                free(tags[i]);
        }
        free(tags);
        return list;
}
