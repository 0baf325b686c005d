/* SPDX-License-Identifier: Apache-2.0 */
/* See release_reply.h. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "core/base/text.h"
#include "managers/release_reply.h"

void release_done(Release *r) {
        for (size_t i = 0; i < r->n_assets; i++)
                free(r->assets[i].name);
        free(r->assets);
        free(r->tag);
        *r = (Release){0};
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static int malformed(const char *why, Error *err) {
        return error_set(err, -EBADMSG, ERR_NETWORK, "Is that the address of its API?", "that is not a release: %s",
                         why);
}

/* A name that can be a file's, and be shown. */
static bool is_name(const char *s) {
        size_t n = s ? strlen(s) : 0;
        return n > 0 && n <= RELEASE_NAME_MAX && !strpbrk(s, "/\n\t") && text_is_clean(s, n) && strcmp(s, ".") != 0 &&
               strcmp(s, "..") != 0;
}

static void read_digest(const Value *v, char ret[static DIGEST_HEX_SIZE]) {
        static const char prefix[] = "sha256:";
        uint8_t digest[DIGEST_SIZE];
        const char *text = value_get_text(v, "digest");
        ret[0] = '\0';
        if (text && strncmp(text, prefix, strlen(prefix)) == 0 &&
            hex_decode(text + strlen(prefix), digest, DIGEST_SIZE))
                hex_encode(digest, DIGEST_SIZE, ret);
}

/* One that is still being uploaded has no content yet. */
static bool is_asset(const Value *v) {
        return is_name(value_get_text(v, "name")) && value_get_int(v, "id", 0) > 0 &&
               value_get_int(v, "size", -1) >= 0 && strcmp(value_get_text_or(v, "state", "uploaded"), "uploaded") == 0;
}

static int add_asset(Release *r, const Value *v, Error *err) {
        if (!is_asset(v) || release_asset(r, value_get_text(v, "name")))
                return 0;
        ReleaseAsset a = {.name = strdup(value_get_text(v, "name")),
                          .id = value_get_int(v, "id", 0),
                          .size = value_get_int(v, "size", 0)};
        if (!a.name)
                return error_no_memory(err);
        read_digest(v, a.sha256);
        r->assets[r->n_assets++] = a;
        return 0;
}

int release_add_page(Release *r, const Value *page, Error *err) {
        size_t n = value_count(page);
        if (!value_is(page, VALUE_ARRAY))
                return malformed("its assets are not a list", err);
        if (n + r->n_assets > RELEASE_ASSETS_MAX)
                return malformed("it has too many assets", err);
        ReleaseAsset *more = reallocarray(r->assets, r->n_assets + n + 1, sizeof(ReleaseAsset));
        if (!more)
                return error_no_memory(err);
        r->assets = more;
        for (size_t i = 0; i < n; i++) {
                int q = add_asset(r, value_at(page, i), err);
                if (q < 0)
                        return q;
        }
        r->n_listed += n;
        return (int)n;
}

int release_parse(const Value *reply, Release *ret, Error *err) {
        _cleanup_release_ Release r = {0};
        const char *tag = value_get_text(reply, "tag_name");
        const Value *assets = value_get(reply, "assets");
        if (!is_name(tag) && !(tag && strchr(tag, '/')))
                return malformed("it has no tag_name", err);
        r.id = value_get_int(reply, "id", 0);
        if (r.id <= 0)
                return malformed("it has no id", err);
        r.tag = strdup(tag);
        if (!r.tag)
                return error_no_memory(err);
        int q = release_add_page(&r, assets, err);
        if (q < 0)
                return q;
        *ret = r;
        r = (Release){0};
        return 0;
}

const ReleaseAsset *release_asset(const Release *r, const char *name) {
        for (size_t i = 0; i < r->n_assets; i++)
                if (strcmp(r->assets[i].name, name) == 0)
                        return &r->assets[i];
        return NULL;
}

/* ---- Choosing ---------------------------------------------------------------------------------------------------- */

typedef struct Places {
        const char *name, *version, *arch;
} Places;

/* Text behind the place at p, *ret its value; NULL: there is none. */
static const char *place_at(const char *p, const Places *places, const char **ret) {
        const struct {
                const char *mark, *value;
        } marks[] = {
                {"{name}", places->name}, {"{{.Name}}", places->name}, {"{version}", places->version},
                {"{os}", "linux"},        {"{{.OS}}", "linux"},        {"{{.Version}}", places->version},
                {"{arch}", places->arch}, {"{{.Arch}}", places->arch},
        };
        for (size_t i = 0; i < ELEMENTSOF(marks); i++)
                if (strncmp(p, marks[i].mark, strlen(marks[i].mark)) == 0) {
                        *ret = marks[i].value;
                        return p + strlen(marks[i].mark);
                }
        return NULL;
}

static char *expand(const char *pattern, const Places *places) {
        _cleanup_text_ Text t = {0};
        for (const char *p = pattern, *value; *p;) {
                const char *after = place_at(p, places, &value);
                if (after)
                        text_add(&t, value);
                else
                        text_add_n(&t, p, 1);
                p = after ? after : p + 1;
        }
        return text_take(&t);
}

typedef struct Arch {
        const char *machine, *names[2];
} Arch;

/* As makers of releases call what uname calls so; the first is the usual one. */
static const Arch *this_arch(void) {
        /* clang-format off */
        static const Arch arches[] = {
                {"x86_64",  {"amd64",   "x86_64"}},
                {"aarch64", {"arm64",   "aarch64"}},
                {"armv7l",  {"armv7",   "arm"}},
                {"armv6l",  {"armv6",   "arm"}},
                {"i686",    {"386",     "i686"}},
                {"riscv64", {"riscv64", "riscv64"}},
                {"ppc64le", {"ppc64le", "ppc64le"}},
                {"s390x",   {"s390x",   "s390x"}},
        };
        /* clang-format on */
        static struct utsname u;
        static Arch other;
        if (uname(&u) < 0)
                return &arches[0];
        for (size_t i = 0; i < ELEMENTSOF(arches); i++)
                if (strcmp(arches[i].machine, u.machine) == 0)
                        return &arches[i];
        other = (Arch){u.machine, {u.machine, u.machine}};
        return &other;
}

int release_choose(const Release *r, const char *pattern, const ReleaseNames *names, const ReleaseAsset **ret,
                   char **ret_wanted, Error *err) {
        const char *bare = names->tag[0] == 'v' && isdigit((unsigned char)names->tag[1]) ? names->tag + 1 : names->tag;
        const char *versions[] = {names->tag, bare}, *called[] = {names->repo, names->service};
        const Arch *arch = this_arch();
        for (unsigned i = 0; i < 8; i++) {
                const Places places = {called[i >> 1 & 1], versions[i & 1], arch->names[i >> 2]};
                _cleanup_free_ char *name = places.name ? expand(pattern, &places) : NULL;
                if (!name && places.name)
                        return error_no_memory(err);
                const ReleaseAsset *a = name ? release_asset(r, name) : NULL;
                if (i == 0 && ret_wanted)
                        *ret_wanted = TAKE_PTR(name);
                if (a) {
                        *ret = a;
                        return 0;
                }
        }
        *ret = NULL;
        return 0;
}

static bool ends_with(const char *s, const char *end) {
        size_t n = strlen(s), n_end = strlen(end);
        return n >= n_end && strcasecmp(s + n - n_end, end) == 0;
}

const ReleaseAsset *release_checksums(const Release *r, const char *asset) {
        static const char *const endings[] = {"SHA256SUMS", "SHA256SUMS.txt", "checksums.txt", "checksums_sha256.txt",
                                              "checksums-sha256.txt"};
        for (size_t i = 0; i < r->n_assets; i++) {
                const char *name = r->assets[i].name;
                size_t n = strlen(asset);
                if (strncmp(name, asset, n) == 0 &&
                    (strcmp(name + n, ".sha256") == 0 || strcmp(name + n, ".sha256sum") == 0))
                        return &r->assets[i];
        }
        for (size_t e = 0; e < ELEMENTSOF(endings); e++)
                for (size_t i = 0; i < r->n_assets; i++)
                        if (ends_with(r->assets[i].name, endings[e]))
                                return &r->assets[i];
        return NULL;
}
