/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a forge says of a release, and which of its files is meant. Everything in a reply is hostile: what does not have
 * the form of an asset is left out, and no address in it is ever used.
 */
#pragma once

#include "core/base/digest.h"
#include "core/base/value.h"

#define RELEASE_ASSETS_MAX 4096
#define RELEASE_NAME_MAX 255

typedef struct ReleaseAsset {
        char *name; /* owned */
        int64_t id, size;
        char sha256[DIGEST_HEX_SIZE]; /* "": the forge does not say */
} ReleaseAsset;

typedef struct Release {
        char *tag;
        int64_t id;
        ReleaseAsset *assets;
        size_t n_assets;
        size_t n_listed; /* as many the forge listed, those left out among them */
} Release;
void release_done(Release *r);
#define _cleanup_release_ _cleanup_(release_done)

/* The reply for one release. -EBADMSG, ERR_NETWORK when it is none. */
int release_parse(const Value *reply, Release *ret, Error *err);
/* A page of its assets; those that are there already are not added again. How many the page has, or negative. */
int release_add_page(Release *r, const Value *page, Error *err);
const ReleaseAsset *release_asset(const Release *r, const char *name);

/* What the places of a pattern stand for: {name} {version} {os} {arch}, also as {{.Name}} {{.Version}} {{.OS}}
 * {{.Arch}}. */
typedef struct ReleaseNames {
        const char *repo, *service; /* {name}: the first that there is an asset for */
        const char *tag;            /* {version}: as it is, or without the v in front */
} ReleaseNames;

/* The asset that the pattern means, or NULL. *ret_wanted (may be NULL): the name that was looked for first, owned by
 * the caller. */
int release_choose(const Release *r, const char *pattern, const ReleaseNames *names, const ReleaseAsset **ret,
                   char **ret_wanted, Error *err);
/* The name of a file of checksums, NULL: there is none. */
const ReleaseAsset *release_checksums(const Release *r, const char *asset);
