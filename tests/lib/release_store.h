/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder as a forge sees it: repositories, releases, assets; and what GitHub's and Gitea's APIs say about them.
 *
 *   DIR/<owner>/<repo>/<tag>/<asset>    one file per asset
 *   DIR/<owner>/<repo>.latest           the tag of the newest release; without it, the one that sorts last as a version
 *   DIR/<owner>/<repo>.token            the repository is private: for those who do not send this token it is not there
 *   DIR/<owner>/<repo>.no_digest        its assets have no digest, as those of GitHub's older releases
 *   DIR/<owner>/<repo>.embedded         so many assets are in the release itself, the others only in its paged list
 *
 * Everything is read anew for each request.
 */
#pragma once

#include "core/base/value.h"

typedef struct StoreAsset {
        char owner[64], repo[64], tag[64], name[256];
        char path[1024];
        int64_t id; /* another one for other content */
        int64_t size;
        bool has_digest;
        char sha256[65], time[32];
} StoreAsset;

typedef enum StoreApi { STORE_GITHUB, STORE_GITEA } StoreApi;

/* The text of DIR/<owner>/<repo><suffix> without its newline; NULL: there is none. Owned by the caller. */
char *store_note(const char *dir, const char *owner, const char *repo, const char *suffix);
typedef struct Store {
        const char *dir, *base; /* base: the address of the server */
} Store;
/* tag NULL: the newest. False: there is no such repository or release. */
bool store_release(const Store *s, StoreApi api, const char *owner, const char *repo, const char *tag, Value **ret);
/* Those of a release from the `from`th on, at most max; NULL: there is no such release. */
typedef struct StorePage {
        int64_t release_id;
        size_t from, max;
} StorePage;
Value *store_assets(const Store *s, const char *owner, const char *repo, const StorePage *page);
bool store_asset_by_id(const char *dir, const char *owner, const char *repo, int64_t id, StoreAsset *ret);
bool store_asset_by_name(const char *dir, const char *owner, const char *repo, const char *tag, const char *name,
                         StoreAsset *ret);
Value *store_asset_value(const StoreAsset *a, StoreApi api, const char *base);
