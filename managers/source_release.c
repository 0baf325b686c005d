/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources "github" and "gitea": an asset of a release.
 *
 *   repo        owner/name, or a name of the host's owner        url         Gitea's server, where it is not the host's
 *   version     a tag; absent: the newest                        asset       a pattern; absent: the host's
 *   checksums   absent: what the release has; "none"; a name     public_key  a minisign key
 *   sha256      of the asset                                     max_size    of the asset
 *
 * Who says what the content must be: sha256, the forge's own digest of the asset, a file of checksums in the release.
 * All that speak must say the same. With a public key one of two signatures must hold: of the asset, or of the
 * checksums that name it. Where nobody says anything, or the asset itself is signed, it is read now, into a file
 * without a name; otherwise the release step fetches and compares it.
 *
 * What was resolved last time counts when the forge says "not modified", or shows the same asset again: its number
 * stands for its content.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/json.h"
#include "core/base/signature.h"
#include "core/base/text.h"
#include "managers/checksums.h"
#include "managers/forge.h"
#include "managers/sources.h"

#define CHECKSUMS_MAX ((size_t)1 << 20)
#define PAGES_MAX 40
#define SHOWN_MAX 20
#define PATTERN_DEFAULT "{name}-{os}-{arch}"

typedef struct Resolving {
        const Host *host;
        const Value *spec, *known;
        ForgeRepo repo;
        Value *asked; /* what the answer depends on; owned */
        char *url;
        Release release;
        const ReleaseAsset *asset;
        char *asset_url, *what;
        char sha256[DIGEST_HEX_SIZE], says[RELEASE_NAME_MAX + 1]; /* what the content must be, and who says so; "" */
        char *etag;
} Resolving;

static void resolving_done(Resolving *x) {
        forge_repo_done(&x->repo);
        value_free(x->asked);
        free(x->url);
        release_done(&x->release);
        free(x->asset_url);
        free(x->what);
        free(x->etag);
}

static const char *pattern_of(const Resolving *x) {
        const char *configured = value_get_text(x->host->config, "releases.asset"),
                   *given = value_get_text(x->spec, "asset");
        return given ? given : configured && *configured ? configured : PATTERN_DEFAULT;
}

/* ---- The release ------------------------------------------------------------------------------------------------- */

static int begin(Resolving *x, Error *err) {
        static const char *const keys[] = {"checksums", "public_key", "sha256", "service"};
        int r = forge_repo_open(x->host, x->spec, &x->repo, err);
        if (r < 0)
                return r;
        x->url = forge_release_url(&x->repo, value_get_text(x->spec, "version"));
        x->asked = value_new_map();
        if (!x->url || !x->asked)
                return error_no_memory(err);
        if ((r = value_set_text(x->asked, "release", x->url, err)) < 0 ||
            (r = value_set_text(x->asked, "asset", pattern_of(x), err)) < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if ((r = value_set_text(x->asked, keys[i], value_get_text(x->spec, keys[i]), err)) < 0)
                        return r;
        const Value *asked = value_get(x->known, "asked");
        if (!asked || !value_equal(asked, x->asked))
                x->known = NULL;
        return 0;
}

static int no_release(const Resolving *x, Error *err) {
        const char *title = forge_title(x->repo.forge), *tag = value_get_text(x->spec, "version");
        const char *hint = "A private repository is there only for those whose token may read it.";
        if (tag)
                return error_set(err, -ENOENT, ERR_NOT_FOUND, hint, "%s has no release \"%s\" of \"%s/%s\"", title, tag,
                                 x->repo.owner, x->repo.name);
        return error_set(err, -ENOENT, ERR_NOT_FOUND, hint, "%s has no release of \"%s/%s\"", title, x->repo.owner,
                         x->repo.name);
}

static int malformed(const Resolving *x, int r, Error *err) {
        if (err && err->code == ERR_FAILED)
                err->code = ERR_NETWORK; /* no JSON at all */
        return error_context(err, r, "could not read \"%s\"", x->url);
}

/* 1: the forge says that nothing is new. */
static int read_release(Resolving *x, Error *err) {
        _cleanup_http_reply_ HttpReply reply = {0};
        _cleanup_(value_freep) Value *v = NULL;
        const char *tag = value_get_text(x->spec, "version");
        int r = forge_get(x->host, &x->repo, x->url, value_get_text(x->known, "etag"), &reply, err);
        if (r == -ENOENT && reply.status == 404)
                return no_release(x, err);
        if (r < 0)
                return r;
        if (reply.status == 304)
                return 1;
        r = json_decode(reply.body ? reply.body : "", reply.n_body, &v, err);
        if (r == 0)
                r = release_parse(v, &x->release, err);
        if (r < 0)
                return malformed(x, r, err);
        if (tag && strcmp(tag, x->release.tag) != 0) {
                r = error_set(err, -EBADMSG, ERR_NETWORK, NULL, "it is of another release");
                return malformed(x, r, err);
        }
        x->etag = TAKE_PTR(reply.etag);
        return 0;
}

/* ---- The asset --------------------------------------------------------------------------------------------------- */

static int read_page(Resolving *x, unsigned page, Error *err) {
        _cleanup_http_reply_ HttpReply reply = {0};
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_free_ char *url = forge_assets_url(&x->repo, x->release.id, page);
        int r = url ? forge_get(x->host, &x->repo, url, NULL, &reply, err) : error_no_memory(err);
        if (r < 0)
                return r;
        r = json_decode(reply.body ? reply.body : "", reply.n_body, &v, err);
        if (r == 0)
                r = release_add_page(&x->release, v, err);
        return r < 0 ? malformed(x, r, err) : r;
}

/* All of them; the list that was shown first is among them. */
static int read_pages(Resolving *x, Error *err) {
        x->asset = NULL; /* the list moves */
        for (unsigned page = 1; page <= PAGES_MAX; page++) {
                int r = read_page(x, page, err);
                if (r < FORGE_PER_PAGE)
                        return MIN(r, 0);
        }
        return 0;
}

static int no_asset(const Resolving *x, const char *wanted, Error *err) {
        size_t n = x->release.n_assets;
        const char *hint = "Set source.asset to what it is called: {name}, {version}, {os} and {arch} are filled in.";
        int r = error_set(err, -ENOENT, ERR_NOT_FOUND, n > 0 ? hint : NULL,
                          "release \"%s\" of \"%s/%s\" has no asset%s%s%s", x->release.tag, x->repo.owner, x->repo.name,
                          n > 0 ? " \"" : "s", n > 0 ? wanted : "", n > 0 ? "\"" : "");
        for (size_t i = 0; i < MIN(n, (size_t)SHOWN_MAX); i++)
                error_detail(err, "it has %s", x->release.assets[i].name);
        if (n > SHOWN_MAX)
                error_detail(err, "and %zu more", n - SHOWN_MAX);
        return r;
}

static int choose(Resolving *x, char **ret_wanted, Error *err) {
        const ReleaseNames names = {x->repo.name, value_get_text(x->spec, "service"), x->release.tag};
        return release_choose(&x->release, pattern_of(x), &names, &x->asset, ret_wanted, err);
}

/* The signature of an asset, NULL: it has none. */
static const ReleaseAsset *signature_asset(const Resolving *x, const ReleaseAsset *of) {
        _cleanup_free_ char *name = text_format("%s.minisig", of->name);
        return name ? release_asset(&x->release, name) : NULL;
}

/* Is everything in the list that will be looked for? */
static bool has_all(const Resolving *x) {
        const char *told = value_get_text(x->spec, "checksums");
        const ReleaseAsset *checksums = x->asset ? release_checksums(&x->release, x->asset->name) : NULL;
        bool is_signed = x->asset && (signature_asset(x, x->asset) || (checksums && signature_asset(x, checksums)));
        bool has_checksums = told ? strcmp(told, "none") == 0 : checksums != NULL;
        return x->asset && has_checksums && (is_signed || !value_get_text(x->spec, "public_key"));
}

static int find_asset(Resolving *x, Error *err) {
        _cleanup_free_ char *wanted = NULL;
        size_t full = forge_full_list(x->repo.forge);
        int r = choose(x, &wanted, err);
        if (r == 0 && full > 0 && x->release.n_listed >= full && !has_all(x)) {
                r = read_pages(x, err);
                if (r == 0)
                        r = choose(x, NULL, err);
        }
        if (r < 0)
                return r;
        if (!x->asset)
                return no_asset(x, wanted ? wanted : "", err);
        int64_t max = value_get_int(x->spec, "max_size", 0);
        if (max > 0 && x->asset->size > max)
                return error_set(err, -EFBIG, ERR_NETWORK, "Raise source.max_size if it may be that large.",
                                 "\"%s\" of release \"%s\" is larger than source.max_size", x->asset->name,
                                 x->release.tag);
        x->asset_url = forge_asset_url(&x->repo, x->release.tag, x->asset);
        x->what = text_format("%s of %s/%s %s", x->asset->name, x->repo.owner, x->repo.name, x->release.tag);
        return x->asset_url && x->what ? 0 : error_no_memory(err);
}

static bool is_as_known(const Resolving *x) {
        const char *version = value_get_text(x->known, "version");
        return x->asset && version && strcmp(version, x->release.tag) == 0 && value_get_text(x->known, "sha256") &&
               value_get_int(x->known, "asset_id", 0) == x->asset->id &&
               (!x->asset->sha256[0] || strcmp(x->asset->sha256, value_get_text(x->known, "sha256")) == 0);
}

/* ---- What the content must be ------------------------------------------------------------------------------------ */

static int note_digest(Resolving *x, const char *hex, const char *who, Error *err) {
        if (x->sha256[0] && strcasecmp(x->sha256, hex) != 0)
                return error_set(err, -EBADMSG, ERR_CHECKSUM,
                                 "One of the two was changed, or was made for another file.",
                                 "checksum of \"%s\" does not match: %s says %s, %s says %s", x->what, x->says,
                                 x->sha256, who, hex);
        if (!x->sha256[0]) {
                memcpy(x->sha256, hex, DIGEST_HEX_SIZE);
                (void)snprintf(x->says, sizeof(x->says), "%s", who);
        }
        return 0;
}

static int read_small(Resolving *x, const ReleaseAsset *a, size_t max, HttpReply *ret, Error *err) {
        _cleanup_free_ char *url = forge_asset_url(&x->repo, x->release.tag, a);
        int r = url ? forge_read_asset(x->host, &x->repo, url, max, ret, err) : error_no_memory(err);
        return r < 0 ? error_context(err, r, "\"%s\" of release \"%s\"", a->name, x->release.tag) : 0;
}

static int read_signature(Resolving *x, const ReleaseAsset *a, Signature *ret, Error *err) {
        _cleanup_http_reply_ HttpReply reply = {0};
        int r = read_small(x, a, SIGNATURE_FILE_MAX, &reply, err);
        if (r < 0)
                return r;
        r = signature_parse(reply.body ? reply.body : "", reply.n_body, ret, err);
        return r < 0 ? error_context(err, r, "\"%s\" of release \"%s\"", a->name, x->release.tag) : 0;
}

static void tell_signed(const Resolving *x, const Signature *s, const char *what) {
        char id[SIGNATURE_KEY_ID_HEX_SIZE];
        _cleanup_free_ char *comment = strdup(s->comment);
        if (!comment)
                return;
        text_clean(comment);
        public_key_id_format(s->id, id);
        host_log(x->host, LOG_NOTE, "%s is signed by key %s: %s", what, id, comment);
}

static int read_signer(Resolving *x, const ReleaseAsset *signature, Signature *ret, PublicKey *ret_key, Error *err) {
        int r = public_key_parse(value_get_text(x->spec, "public_key"), ret_key, err);
        return r < 0 ? r : read_signature(x, signature, ret, err);
}

static int verify_checksums(Resolving *x, const ReleaseAsset *checksums, const HttpReply *text, Error *err) {
        Signature s;
        PublicKey key;
        int r = read_signer(x, signature_asset(x, checksums), &s, &key, err);
        if (r == 0)
                r = signature_verify(&s, &key, text->body ? text->body : "", text->n_body, checksums->name, err);
        if (r == 0)
                tell_signed(x, &s, checksums->name);
        return r;
}

static int no_signature(const Resolving *x, const ReleaseAsset *checksums, Error *err) {
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "Without public_key the forge alone is trusted.",
                         "\"%s\" is not signed: the release has neither \"%s.minisig\" nor a signature of %s", x->what,
                         x->asset->name, checksums ? checksums->name : "checksums");
}

static int read_checksums(Resolving *x, const ReleaseAsset *a, bool must_be_signed, Error *err) {
        _cleanup_http_reply_ HttpReply text = {0};
        char hex[DIGEST_HEX_SIZE];
        size_t n = strlen(x->asset->name);
        int r = read_small(x, a, CHECKSUMS_MAX, &text, err);
        if (r == 0 && must_be_signed)
                r = verify_checksums(x, a, &text, err);
        if (r < 0)
                return r;
        bool is_of_it = strncmp(a->name, x->asset->name, n) == 0;
        r = checksums_find(text.body ? text.body : "", text.n_body, x->asset->name, is_of_it, hex, err);
        if (r < 0)
                return error_context(err, r, "\"%s\" of release \"%s\"", a->name, x->release.tag);
        if (r == 1)
                return note_digest(x, hex, a->name, err);
        if (!must_be_signed && !value_get_text(x->spec, "checksums"))
                return 0;
        return error_set(err, -EBADMSG, ERR_CHECKSUM, NULL, "\"%s\" of release \"%s\" has no checksum of \"%s\"",
                         a->name, x->release.tag, x->asset->name);
}

/* *ret NULL: none, and none is asked for. */
static int find_checksums(const Resolving *x, const ReleaseAsset **ret, Error *err) {
        const char *told = value_get_text(x->spec, "checksums");
        *ret = NULL;
        if (told && strcmp(told, "none") == 0)
                return 0;
        if (!told) {
                *ret = release_checksums(&x->release, x->asset->name);
                return 0;
        }
        const ReleaseNames names = {x->repo.name, value_get_text(x->spec, "service"), x->release.tag};
        int r = release_choose(&x->release, told, &names, ret, NULL, err);
        if (r < 0 || *ret)
                return r;
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "source.checksums names it; none does without.",
                         "release \"%s\" of \"%s/%s\" has no checksums \"%s\"", x->release.tag, x->repo.owner,
                         x->repo.name, told);
}

/* *ret_signature: that of the asset, which has to be read for it; NULL: it need not be. */
static int collect(Resolving *x, const ReleaseAsset **ret_signature, Error *err) {
        const char *given = value_get_text(x->spec, "sha256"), *key = value_get_text(x->spec, "public_key");
        const ReleaseAsset *checksums = NULL, *signature = key ? signature_asset(x, x->asset) : NULL;
        int r = find_checksums(x, &checksums, err);
        bool is_signed = checksums && signature_asset(x, checksums);
        if (r == 0 && key && !signature && !is_signed)
                return no_signature(x, checksums, err);
        if (r == 0 && given)
                r = note_digest(x, given, "source.sha256", err);
        if (r == 0 && x->asset->sha256[0])
                r = note_digest(x, x->asset->sha256, forge_title(x->repo.forge), err);
        if (r == 0 && checksums)
                r = read_checksums(x, checksums, key && !signature, err);
        if (r == 0)
                *ret_signature = signature;
        return r;
}

/* ---- The content, where it must be seen now ---------------------------------------------------------------------- */

static int download(Resolving *x, Downloaded *ret, Prefetched *ret_prefetched, Error *err) {
        _cleanup_forge_access_ ForgeAccess access = {0};
        int64_t max = value_get_int(x->spec, "max_size", 0);
        int r = forge_access_init(x->host, x->repo.forge, x->asset_url, FORGE_CONTENT, &access, err);
        if (r < 0)
                return r;
        Download d = {
                .url = x->asset_url,
                .what = x->what,
                .ca_file = access.ca_file,
                .headers = access.headers,
                .n_headers = access.n_headers,
                .max_size = (uint64_t)MAX(max, 0),
                .schemes = access.schemes,
        };
        return source_download(x->host, &d, ret, ret_prefetched, err);
}

static int verify_content(Resolving *x, const ReleaseAsset *signature, int fd, Error *err) {
        Signature s;
        PublicKey key;
        int r = read_signer(x, signature, &s, &key, err);
        if (r == 0)
                r = signature_verify_fd(&s, &key, fd, x->what, err);
        if (r == 0)
                tell_signed(x, &s, x->asset->name);
        return r;
}

static int see_content(Resolving *x, const ReleaseAsset *signature, Prefetched *ret_prefetched, Error *err) {
        _cleanup_downloaded_ Downloaded got = {0};
        Prefetched p = {.fd = -1};
        if (!x->sha256[0] && !signature)
                host_log(x->host, LOG_NOTE, "nothing says what %s must hash to: what comes is recorded", x->what);
        int r = download(x, &got, &p, err);
        if (r == 0 && x->sha256[0] && strcasecmp(x->sha256, got.sha256) != 0)
                r = error_set(err, -EBADMSG, ERR_CHECKSUM, "The file there is not the one that was announced.",
                              "checksum of \"%s\" does not match: expected %s, got %s", x->what, x->sha256, got.sha256);
        if (r == 0 && signature)
                r = verify_content(x, signature, p.fd, err);
        if (r < 0) {
                fd_close(&p.fd);
                return r;
        }
        memcpy(x->sha256, got.sha256, sizeof(x->sha256));
        *ret_prefetched = p;
        return 0;
}

/* ---- The answer -------------------------------------------------------------------------------------------------- */

static int as_known(const Resolving *x, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *facts = value_copy(x->known);
        int r = facts ? value_set_text(facts, "etag", x->etag, err) : error_no_memory(err);
        if (r == 0)
                *ret = TAKE_PTR(facts);
        return r;
}

static int facts_make(const Resolving *x, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *facts = NULL;
        int r = source_facts_make(
                &(SourceFacts){.sha256 = x->sha256, .location = x->asset_url, .etag = x->etag, .size = x->asset->size},
                &facts, err);
        if (r < 0 || (r = value_set_text(facts, "version", x->release.tag, err)) < 0 ||
            (r = value_set_text(facts, "provider", value_get_text(x->spec, "type"), err)) < 0 ||
            (r = value_set_text(facts, "what", x->what, err)) < 0 ||
            (r = value_set_int(facts, "asset_id", x->asset->id, err)) < 0 ||
            (r = value_set_copy(facts, "asked", x->asked, err)) < 0)
                return r;
        *ret = TAKE_PTR(facts);
        return 0;
}

static int resolve(const Host *host, const Value *spec, const Value *known, Value **ret_facts,
                   Prefetched *ret_prefetched, Error *err) {
        _cleanup_(resolving_done) Resolving x = {.host = host, .spec = spec, .known = known};
        const ReleaseAsset *signature = NULL;
        Prefetched p = {.fd = -1};
        int r = begin(&x, err);
        if (r == 0)
                r = read_release(&x, err);
        if (r == 0)
                r = find_asset(&x, err);
        if (r < 0)
                return r;
        if (r == 1 || is_as_known(&x)) {
                *ret_prefetched = p;
                return as_known(&x, ret_facts, err);
        }
        r = collect(&x, &signature, err);
        if (r == 0 && (signature || !x.sha256[0]))
                r = see_content(&x, signature, &p, err);
        if (r == 0)
                r = facts_make(&x, ret_facts, err);
        if (r == 0)
                *ret_prefetched = p;
        else
                fd_close(&p.fd);
        return r;
}

const Source source_github = {.type = "github", .is_remote = true, .has_versions = true, .resolve = resolve};
const Source source_gitea = {.type = "gitea", .is_remote = true, .has_versions = true, .resolve = resolve};
