/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manager "release": an artifact fetched by URL into the release store, verified, for the tree step that follows.
 *
 * It lies under a staged name beside the release it will become. It gets that name only when it is whole and its digest
 * is right (the download itself has no name), so what is there under the name can be trusted for its size alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/text.h"
#include "managers/forge.h"
#include "managers/stream.h"

/* clang-format off */
static const Field release_args[] = {
        {1, "service",  FIELD_TEXT, 0,                            1, NULL},
        {2, "url",      FIELD_TEXT, FIELD_REQUIRED,               1, NULL},
        {3, "sha256",   FIELD_TEXT, FIELD_REQUIRED,               1, NULL},
        {4, "size",     FIELD_INT,  0,                            1, NULL},
        {5, "max_size", FIELD_INT,  0,                            1, NULL},
        {6, "path",     FIELD_TEXT, FIELD_REQUIRED | FIELD_PATH,  1, NULL},
        {7, "ca_file",  FIELD_TEXT, 0,                            1, NULL},
        {8, "headers",  FIELD_LIST, FIELD_SECRET | FIELD_HIDDEN,  1, NULL}, /* each "Name: value" */
        {9, "provider", FIELD_TEXT, 0,                            2, NULL}, /* a forge (forge.h): it knows what the server wants to see */
        {10, "what",    FIELD_TEXT, 0,                            2, NULL}, /* for messages, instead of the url */
        FIELD_END,
};
static const Field release_before[] = {FIELD_END};
/* clang-format on */

#define HEADERS_MAX 16

static char *staged_of(const Host *host, const Value *args) {
        return fs_staged_name(value_get_text(args, "path"), host->tx, host->step, "artifact");
}

static int check(const Host *host, const Value *args, Error *err) {
        (void)host;
        uint8_t digest[DIGEST_SIZE];
        if (!args)
                return 0;
        const char *sha256 = value_get_text_or(args, "sha256", "");
        if (!hex_decode(sha256, digest, sizeof(digest)))
                return error_set(err, -EINVAL, ERR_SPEC, "A SHA-256 digest is 64 hexadecimal digits.",
                                 "\"%s\" is not a SHA-256 digest", sha256);
        return 0;
}

/* As messages call it; NULL when memory is out. */
static char *shown_of(const Value *args) {
        return text_redact(value_get_text_or(args, "what", value_get_text_or(args, "url", "")));
}

static int checksum_error(const Value *args, const char *got, Error *err) {
        _cleanup_free_ char *shown = shown_of(args);
        const char *expected = value_get_text_or(args, "sha256", "");
        return error_set(err, -EBADMSG, ERR_CHECKSUM, "See what lies there: it is not the file that was announced.",
                         "checksum of \"%s\" does not match: expected %s, got %s", shown ? shown : "****", expected,
                         got);
}

/* "Name: value" texts, split in place of `copies`, which owns them. */
static int headers_of(const Value *args, HttpHeader *ret, char **copies, size_t *ret_n, Error *err) {
        const Value *list = value_get(args, "headers");
        size_t n = value_count(list);
        if (n > HEADERS_MAX)
                return error_set(err, -E2BIG, ERR_SPEC, NULL, "there are more than %d headers", HEADERS_MAX);
        for (size_t i = 0; i < n; i++) {
                const Value *v = value_at(list, i);
                bool is_open = value_is(v, VALUE_SECRET) && !v->is_sealed;
                copies[i] = is_open || value_is(v, VALUE_TEXT) ? strndup(v->bytes.data, v->bytes.size) : NULL;
                char *colon = copies[i] ? strchr(copies[i], ':') : NULL;
                if (!colon)
                        return error_set(err, -EINVAL, ERR_SPEC, NULL, "header %zu is not of the form \"Name: value\"",
                                         i + 1);
                *colon = '\0';
                ret[i] = (HttpHeader){copies[i], colon + 1 + strspn(colon + 1, " "), true};
        }
        *ret_n = n;
        return 0;
}

typedef struct Copies {
        char *texts[HEADERS_MAX];
} Copies;

static void copies_done(Copies *c) {
        for (size_t i = 0; i < HEADERS_MAX; i++) {
                if (c->texts[i])
                        explicit_bzero(c->texts[i], strlen(c->texts[i]));
                free(c->texts[i]);
        }
}

/* The token is asked for now: the plan has none. */
static int fetch_from_forge(const Host *host, const Forge *forge, const Download *like, int fd, Downloaded *ret,
                            Error *err) {
        _cleanup_forge_access_ ForgeAccess access = {0};
        Download download = *like;
        int r = forge_access_init(host, forge, download.url, FORGE_CONTENT, &access, err);
        if (r < 0)
                return r;
        download.headers = access.headers;
        download.n_headers = access.n_headers;
        download.ca_file = access.ca_file;
        download.schemes = access.schemes;
        return download_to_fd(host, &download, fd, ret, err);
}

/* The whole content in fd; its digest and size. */
static int fetch(const Host *host, const Value *args, int fd, Downloaded *ret, Error *err) {
        HttpHeader headers[HEADERS_MAX];
        _cleanup_(copies_done) Copies copies = {0};
        size_t n = 0;
        int r = headers_of(args, headers, copies.texts, &n, err);
        if (r < 0)
                return r;
        int64_t size = value_get_int(args, "size", 0), max = value_get_int(args, "max_size", 0);
        Download download = {
                .url = value_get_text(args, "url"),
                .what = value_get_text(args, "what"),
                .ca_file = value_get_text(args, "ca_file"),
                .headers = headers,
                .n_headers = n,
                .max_size = (uint64_t)(size > 0 ? size : MAX(max, 0)),
                /* The digest is known, so what carries the bytes need not be trusted. */
                .schemes = HTTP_SCHEME_FILE | HTTP_SCHEME_HTTP | HTTP_SCHEME_HTTPS,
        };
        const char *provider = value_get_text(args, "provider");
        const Forge *forge = provider ? forge_by_type(provider) : NULL;
        if (provider && !forge)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "this pawl has no source \"%s\"", provider);
        return forge ? fetch_from_forge(host, forge, &download, fd, ret, err)
                     : download_to_fd(host, &download, fd, ret, err);
}

/* Where the file cannot be given a name: under the name from the start. Half of it there after a crash is told by
 * its digest. */
static int copy_named(const Host *host, int from, const char *staged, char hex[static DIGEST_HEX_SIZE], Error *err) {
        _cleanup_stream_ Stream s = STREAM_INIT;
        _cleanup_(fs_place_done) FsPlace p = FS_PLACE_INIT;
        int r = fs_place_open(host->root, staged, &p, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = fs_create_at(p.dir_fd, p.name, 0644, err);
        if (fd < 0)
                return fd;
        if (lseek(from, 0, SEEK_SET) < 0)
                return error_set_errno(err, -errno, NULL, "could not read what was downloaded");
        r = stream_begin(&s, fd, err);
        if (r == 0)
                r = stream_copy(host, from, &s, 0, staged, err);
        if (r == 0)
                r = stream_finish(&s, hex, err);
        return r < 0 ? r : fs_sync_fd(fd, err);
}

static int publish(const Host *host, const Value *args, int fd, const char *staged, Error *err) {
        char hex[DIGEST_HEX_SIZE];
        int r = fs_sync_fd(fd, err);
        if (r < 0)
                return r;
        Error ignored = ERROR_INIT;
        r = fs_name_unnamed(fd, host->root, staged, &ignored);
        if (r < 0) {
                r = copy_named(host, fd, staged, hex, err);
                if (r == 0 && strcasecmp(hex, value_get_text(args, "sha256")) != 0)
                        r = checksum_error(args, hex, err);
                if (r < 0) {
                        (void)fs_unlink_durably(host->root, staged, NULL);
                        return r;
                }
        }
        return fs_sync_parent(host->root, staged, err);
}

static int prefetched_of(const Host *host, const char *sha256) {
        for (size_t i = 0; i < host->n_prefetched; i++)
                if (host->prefetched[i].fd >= 0 && strcasecmp(host->prefetched[i].sha256, sha256) == 0)
                        return host->prefetched[i].fd;
        return -1;
}

static int obtain(const Host *host, const Value *args, const char *staged, Error *err) {
        const char *sha256 = value_get_text(args, "sha256");
        int have = prefetched_of(host, sha256);
        if (have >= 0)
                return publish(host, args, have, staged, err);
        _cleanup_downloaded_ Downloaded got = {0};
        _cleanup_free_ char *dir = path_parent(staged);
        if (!dir)
                return error_no_memory(err);
        _cleanup_close_ int fd = fs_create_unnamed(host->root, dir, 0644, err);
        if (fd < 0)
                return fd;
        int r = fetch(host, args, fd, &got, err);
        if (r < 0)
                return r;
        if (strcasecmp(got.sha256, sha256) != 0)
                return checksum_error(args, got.sha256, err);
        return publish(host, args, fd, staged, err);
}

/* 1: the artifact is there, whole. */
static int is_there(const Host *host, const Value *args, const char *staged, Error *err) {
        char hex[DIGEST_HEX_SIZE];
        struct stat st;
        int r = fs_stat(host->root, staged, &st, err);
        if (r == -ENOENT || (r == 0 && !S_ISREG(st.st_mode)))
                return 0;
        if (r < 0)
                return r;
        _cleanup_close_ int fd = fs_open(host->root, staged, O_RDONLY | O_NOFOLLOW, err);
        if (fd < 0)
                return fd;
        r = stream_digest(host, fd, staged, hex, err);
        return r < 0 ? r : strcasecmp(hex, value_get_text(args, "sha256")) == 0;
}

static int facts_make(const Host *host, const Value *args, const char *staged, Value **ret, Error *err) {
        struct stat st;
        int r = fs_stat(host->root, staged, &st, err);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *facts = value_new_map();
        r = facts ? value_set_text(facts, "sha256", value_get_text(args, "sha256"), err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(facts, "size", st.st_size, err);
        if (r == 0)
                *ret = TAKE_PTR(facts);
        return r;
}

static int apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        _cleanup_free_ char *staged = staged_of(host, args);
        if (!staged)
                return error_no_memory(err);
        int r = is_there(host, args, staged, err);
        if (r < 0)
                return r;
        if (r == 1) {
                r = fs_sync_parent(host->root, staged, err);
        } else {
                r = fs_unlink_durably(host->root, staged, err);
                if (r == 0)
                        r = obtain(host, args, staged, err);
        }
        if (r < 0)
                return r;
        Value *facts = NULL;
        r = facts_make(host, args, staged, &facts, err);
        if (r == 0)
                *ret = (StepResult){CHANGE_CREATED, facts};
        return r;
}

static int revert(const Host *host, const Value *args, const Value *before, Error *err) {
        (void)before;
        _cleanup_free_ char *staged = staged_of(host, args);
        return staged ? fs_unlink_durably(host->root, staged, err) : error_no_memory(err);
}

static int probe(const Host *host, const Value *args, const Value *before, Probe *ret, Error *err) {
        (void)before;
        struct stat st;
        _cleanup_free_ char *staged = staged_of(host, args);
        if (!staged)
                return error_no_memory(err);
        int r = fs_stat(host->root, staged, &st, err);
        if (r < 0 && r != -ENOENT)
                return r;
        int64_t size = value_get_int(args, "size", -1);
        if (r == -ENOENT)
                *ret = PROBE_BEFORE;
        else
                *ret = size >= 0 && st.st_size != size ? PROBE_PARTIAL : PROBE_AFTER;
        return 0;
}

static int tidy(const Host *host, const Value *args, const Value *before, Error *err) {
        _cleanup_free_ char *staged = staged_of(host, args);
        if (!staged)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(host->root, staged, &is_there, err);
        return is_there || (r == 0 && host->is_recovery) ? revert(host, args, before, err) : r;
}

static int describe(const Value *args, char **ret, Error *err) {
        _cleanup_free_ char *shown = shown_of(args);
        int64_t size = value_get_int(args, "size", -1);
        char text[32];
        if (size >= 0)
                size_format((uint64_t)size, text);
        char *line = !shown      ? NULL
                     : size >= 0 ? text_format("fetch %s (%s)", shown, text)
                                 : text_format("fetch %s", shown);
        if (!line)
                return error_no_memory(err);
        *ret = line;
        return 0;
}

extern const Manager manager_release;
const Manager manager_release = {
        .id = 1,
        .name = "release",
        .version = 2,
        .is_rootable = true,
        .reach = REACH_FILES,
        .args = release_args,
        .before = release_before,
        .check = check,
        .capture = manager_capture_nothing,
        .apply = apply,
        .revert = revert,
        .probe = probe,
        /* The artifact is gone by then; what became of it is the tree's to verify. */
        .verify = manager_verify_nothing,
        .tidy = tidy,
        .describe = describe,
};
