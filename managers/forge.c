/* SPDX-License-Identifier: Apache-2.0 */
/* See forge.h. Addresses are made here from names and numbers; those in a reply are never followed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/fs.h"
#include "core/base/text.h"
#include "managers/forge.h"

#define REPLY_MAX ((uint64_t)4 << 20)
#define REPLY_DEADLINE_USEC (120 * USEC_PER_SEC)
#define TOKEN_MAX ((size_t)4096)

struct Forge {
        const char *type, *title;
        const char *api;    /* behind the server's address */
        const char *accept; /* of its replies */
        const char *scheme; /* of its tokens */
        const char *variable, *credential;
        size_t full_list;
        char *(*asset_url)(const ForgeRepo *r, const char *tag, const ReleaseAsset *a);
};

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

/* As one part of a path. */
static void add_part(Text *t, const char *s) {
        for (; *s; s++)
                if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                    strchr("-._~", *s))
                        text_add_n(t, s, 1);
                else
                        text_addf(t, "%%%02X", (unsigned char)*s);
}

static void add_repo(Text *t, const ForgeRepo *r) {
        add_part(t, r->owner);
        text_add(t, "/");
        add_part(t, r->name);
}

static void add_releases(Text *t, const ForgeRepo *r) {
        text_addf(t, "%s%s/repos/", r->base, r->forge->api);
        add_repo(t, r);
        text_add(t, "/releases/");
}

char *forge_release_url(const ForgeRepo *r, const char *tag) {
        _cleanup_text_ Text t = {0};
        add_releases(&t, r);
        text_add(&t, tag ? "tags/" : "latest");
        if (tag)
                add_part(&t, tag);
        return text_take(&t);
}

char *forge_assets_url(const ForgeRepo *r, int64_t release_id, unsigned page) {
        _cleanup_text_ Text t = {0};
        add_releases(&t, r);
        text_addf(&t, "%lld/assets?per_page=%d&page=%u", (long long)release_id, FORGE_PER_PAGE, page);
        return text_take(&t);
}

/* Only so a private asset can be had. */
static char *asset_by_number(const ForgeRepo *r, const char *tag, const ReleaseAsset *a) {
        _cleanup_text_ Text t = {0};
        (void)tag;
        add_releases(&t, r);
        text_addf(&t, "assets/%lld", (long long)a->id);
        return text_take(&t);
}

/* Gitea's API has no contents; its pages take the token as well. */
static char *asset_by_name(const ForgeRepo *r, const char *tag, const ReleaseAsset *a) {
        _cleanup_text_ Text t = {0};
        text_addf(&t, "%s/", r->base);
        add_repo(&t, r);
        text_add(&t, "/releases/download/");
        add_part(&t, tag);
        text_add(&t, "/");
        add_part(&t, a->name);
        return text_take(&t);
}

char *forge_asset_url(const ForgeRepo *r, const char *tag, const ReleaseAsset *a) {
        return r->forge->asset_url(r, tag, a);
}

/* clang-format off */
static const Forge forges[] = {
        {"github", "GitHub", "",        "application/vnd.github+json", "Bearer", "GITHUB_TOKEN", "github-token", 30, asset_by_number},
        {"gitea",  "Gitea",  "/api/v1", "application/json",            "token",  "GITEA_TOKEN",  "gitea-token",  0,  asset_by_name},
};
/* clang-format on */

const Forge *forge_by_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(forges); i++)
                if (strcmp(forges[i].type, type) == 0)
                        return &forges[i];
        return NULL;
}

const char *forge_title(const Forge *f) {
        return f->title;
}

size_t forge_full_list(const Forge *f) {
        return f->full_list;
}

/* ---- Configuration ----------------------------------------------------------------------------------------------- */

/* NULL where the host says nothing. Borrowed. */
static const char *configured(const Host *host, const Forge *f, const char *key) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s.%s", f->type, key);
        const char *text = value_get_text(host->config, name);
        return text && *text ? text : NULL;
}

static bool allows_http(const Host *host, const Forge *f) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s.allow_http", f->type);
        return value_get_bool(host->config, name, false);
}

static ForgeRepo repo_take(ForgeRepo *r) {
        ForgeRepo taken = *r;
        *r = (ForgeRepo){0};
        return taken;
}

void forge_repo_done(ForgeRepo *r) {
        free(r->base);
        free(r->owner);
        free(r->name);
        *r = (ForgeRepo){0};
}

static int check_base(const Host *host, const Forge *f, const char *base, Error *err) {
        if (!base)
                return error_set(err, -EINVAL, ERR_SPEC,
                                 "Write url: https://... there, or set gitea.url for this host.",
                                 "\"source.url\" is missing: where is the %s server?", f->title);
        bool is_http = strncasecmp(base, "http://", 7) == 0;
        if (strncasecmp(base, "https://", 8) != 0 && (!is_http || !allows_http(host, f))) {
                _cleanup_free_ char *shown = text_redact(base);
                int r = error_set(err, -EPERM, ERR_CONFIG, NULL, "\"%s\" is not https", shown ? shown : "****");
                if (is_http)
                        error_hint(err, "Only the host's configuration can allow it: %s.allow_http.", f->type);
                return r;
        }
        if (strpbrk(base, "?#@ \t")) /* not shown: there may be a password in it */
                return error_set(err, -EINVAL, ERR_CONFIG, "A token goes into a file: see token_file.",
                                 "the address of the %s server has a user, ? or # in it", f->title);
        return 0;
}

int forge_repo_open(const Host *host, const Value *spec, ForgeRepo *ret, Error *err) {
        _cleanup_forge_repo_ ForgeRepo r = {.forge = forge_by_type(value_get_text_or(spec, "type", ""))};
        const char *repo = value_get_text_or(spec, "repo", ""), *slash = strchr(repo, '/');
        if (!r.forge)
                return error_set(err, -EINVAL, ERR_NOT_SUPPORTED, NULL, "this pawl has no source \"%s\"",
                                 value_get_text_or(spec, "type", ""));
        const char *base = value_get_text(spec, "url"), *owner = configured(host, r.forge, "owner");
        if (!base)
                base = configured(host, r.forge, "url");
        int q = check_base(host, r.forge, base, err);
        if (q < 0)
                return q;
        if (!slash && !owner)
                return error_set(err, -EINVAL, ERR_SPEC, "Write owner/name, or set the owner for this host.",
                                 "whose repository is \"%s\"? There is no %s.owner", repo, r.forge->type);
        size_t n = strlen(base);
        while (n > 0 && base[n - 1] == '/')
                n--;
        r.base = strndup(base, n);
        r.owner = slash ? strndup(repo, (size_t)(slash - repo)) : strdup(owner);
        r.name = strdup(slash ? slash + 1 : repo);
        if (!r.base || !r.owner || !r.name)
                return error_no_memory(err);
        *ret = repo_take(&r);
        return 0;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

/* A line break in it would make a second header. */
static int check_token(char *token, const char *where, Error *err) {
        size_t n = strlen(token);
        while (n > 0 && strchr(" \t\r\n", token[n - 1]))
                token[--n] = '\0';
        for (size_t i = 0; i < n; i++)
                if (token[i] <= ' ' || token[i] >= 0x7f)
                        return error_set(err, -EINVAL, ERR_CONFIG, "A token is one word.",
                                         "what %s holds is not a token", where);
        return n > 0 ? 0 : error_set(err, -EINVAL, ERR_CONFIG, NULL, "%s holds no token", where);
}

/* *ret stays NULL where there is none. */
static int token_find(const Host *host, const Forge *f, char **ret, Error *err) {
        static const FsNamed named = {.what = "file of the token", .code = ERR_CONFIG};
        const char *given = getenv(f->variable), *directory = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_free_ char *path = directory ? text_format("%s/%s", directory, f->credential) : NULL;
        const char *file = configured(host, f, "token_file");
        const char *where = f->variable;
        char *token = NULL;
        int r = 0;
        if (directory && !path)
                return error_no_memory(err);
        if (given && *given) {
                token = strdup(given);
                r = token ? 0 : error_no_memory(err);
        } else {
                where = path && access(path, F_OK) == 0 ? path : file;
                r = where ? fs_read_named(&named, where, TOKEN_MAX, &token, NULL, err) : 0;
        }
        if (r == 0 && token)
                r = check_token(token, where, err);
        if (r < 0 && token) {
                explicit_bzero(token, strlen(token));
                free(token);
        }
        if (r == 0)
                *ret = token;
        return r;
}

void forge_access_done(ForgeAccess *a) {
        if (a->authorization)
                explicit_bzero(a->authorization, strlen(a->authorization));
        free(a->authorization);
        *a = (ForgeAccess){0};
}

static void add_header(ForgeAccess *a, const char *name, const char *value, bool is_secret) {
        a->headers[a->n_headers++] = (HttpHeader){name, value, is_secret};
}

int forge_access_init(const Host *host, const Forge *f, const char *url, const char *accept, ForgeAccess *ret,
                      Error *err) {
        const char *base = configured(host, f, "url");
        char *token = NULL;
        int r = base && http_origin_same(base, url) ? token_find(host, f, &token, err) : 0;
        if (r < 0)
                return r;
        *ret = (ForgeAccess){.ca_file = configured(host, f, "ca_file"), .schemes = HTTP_SCHEME_HTTPS};
        if (allows_http(host, f))
                ret->schemes |= HTTP_SCHEME_HTTP;
        add_header(ret, "Accept", accept, false);
        if (strcmp(f->type, "github") == 0)
                add_header(ret, "X-GitHub-Api-Version", "2022-11-28", false);
        if (!token)
                return 0;
        ret->authorization = text_format("%s %s", f->scheme, token);
        explicit_bzero(token, strlen(token));
        free(token);
        if (!ret->authorization)
                return error_no_memory(err);
        add_header(ret, "Authorization", ret->authorization, true);
        return 0;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static int refused(const ForgeRepo *r, const char *url, const ForgeAccess *access, const HttpReply *reply, Error *err) {
        int q = download_refused("read", url, reply, err);
        if (reply->status == 401)
                error_hint(err, "The token that %s got is not one of its, or has run out.", r->forge->title);
        else if (q == -EAGAIN && !access->authorization && strcmp(r->forge->type, "github") == 0)
                error_hint(err, "Run it again then, or give a token, which raises the limit: github.token_file.");
        else if (reply->status == 403 && q != -EAGAIN)
                error_hint(err, "The token may not read %s/%s.", r->owner, r->name);
        return q;
}

static int ask(const Host *host, const ForgeRepo *r, ForgeAccess *access, HttpRequest *request, HttpReply *ret,
               Error *err) {
        request->headers = access->headers;
        request->n_headers = access->n_headers;
        request->schemes = access->schemes;
        request->ca_file = access->ca_file;
        request->retry = HTTP_RETRY_IDEMPOTENT;
        request->deadline_usec = REPLY_DEADLINE_USEC;
        int q = http_request(host, request, ret, err);
        if (q == -EFBIG)
                error_hint(err, "No release needs that much: is it the address of an API?");
        if (q == 0 && ret->status != 200 && ret->status != 304)
                q = refused(r, request->url, access, ret, err);
        return q;
}

int forge_get(const Host *host, const ForgeRepo *r, const char *url, const char *etag, HttpReply *ret, Error *err) {
        _cleanup_forge_access_ ForgeAccess access = {0};
        int q = forge_access_init(host, r->forge, url, r->forge->accept, &access, err);
        if (q < 0)
                return q;
        if (etag)
                add_header(&access, "If-None-Match", etag, false);
        HttpRequest request = {.url = url, .max_size = REPLY_MAX};
        q = ask(host, r, &access, &request, ret, err);
        if (q == 0 && ret->status == 304 && !etag)
                return error_set(err, -EBADMSG, ERR_NETWORK, NULL, "could not read \"%s\": the server answered 304",
                                 url);
        return q;
}

int forge_read_asset(const Host *host, const ForgeRepo *r, const char *url, size_t max, HttpReply *ret, Error *err) {
        _cleanup_forge_access_ ForgeAccess access = {0};
        int q = forge_access_init(host, r->forge, url, FORGE_CONTENT, &access, err);
        HttpRequest request = {.url = url, .max_size = max};
        return q < 0 ? q : ask(host, r, &access, &request, ret, err);
}
