/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forges: GitHub and Gitea (and Forgejo), whose release APIs differ in little: one row each says in what.
 *
 * The host's configuration alone says where GitHub is, what is trusted and whether http will do; a token goes to the
 * configured server and to no other, whatever a spec, a reply or a redirect says. Tokens come from the environment, a
 * systemd credential, or a file; they are read when they are needed and are in no plan.
 */
#pragma once

#include "managers/download.h"
#include "managers/release_reply.h"

typedef struct Forge Forge;
/* "github", "gitea"; NULL: there is none. */
const Forge *forge_by_type(const char *type);
const char *forge_title(const Forge *f); /* "GitHub", "Gitea" */
/* As many assets in a release itself, and there may be more in its pages; 0: it shows all. */
size_t forge_full_list(const Forge *f);
#define FORGE_PER_PAGE 100

typedef struct ForgeRepo {
        const Forge *forge;
        char *base; /* the server, without a slash at the end */
        char *owner, *name;
} ForgeRepo;
void forge_repo_done(ForgeRepo *r);
#define _cleanup_forge_repo_ _cleanup_(forge_repo_done)

/* `spec`: type, repo ("owner/name", or a name of the host's owner), url (Gitea's server, otherwise the host's). */
int forge_repo_open(const Host *host, const Value *spec, ForgeRepo *ret, Error *err);

/* Addresses, owned by the caller; NULL when memory is out. tag NULL: the newest release. Pages count from 1. */
char *forge_release_url(const ForgeRepo *r, const char *tag);
char *forge_assets_url(const ForgeRepo *r, int64_t release_id, unsigned page);
char *forge_asset_url(const ForgeRepo *r, const char *tag, const ReleaseAsset *a);

/* Reads from the API: 0 with status 200 or (etag given) 304; other answers are errors. -ENOENT: 404, with err
 * filled. */
int forge_get(const Host *host, const ForgeRepo *r, const char *url, const char *etag, HttpReply *ret, Error *err);
/* A small asset (checksums, a signature) into memory; -EFBIG beyond max. */
int forge_read_asset(const Host *host, const ForgeRepo *r, const char *url, size_t max, HttpReply *ret, Error *err);

/* What a download from a forge needs beside the URL. The token is wiped by done(). */
typedef struct ForgeAccess {
        HttpHeader headers[4];
        size_t n_headers;
        char *authorization; /* owned; NULL: no token */
        const char *ca_file; /* borrowed from the configuration; NULL: the client's */
        unsigned schemes;
} ForgeAccess;
int forge_access_init(const Host *host, const Forge *f, const char *url, const char *accept, ForgeAccess *ret,
                      Error *err);
void forge_access_done(ForgeAccess *a);
#define _cleanup_forge_access_ _cleanup_(forge_access_done)
#define FORGE_CONTENT "application/octet-stream"
