/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GitHub's and Gitea's release APIs over a folder (tests/lib/release_store.h says what lies in it), for tests in shell.
 *
 *   test-release_server DIR LOG [CERTIFICATE]     with TLS where there is a third word; the certificate is written there
 *
 * Its output is two lines: the address of the API, and that of another server that has the contents and to which the
 * API redirects. It runs until it is killed.
 *
 *   /repos/O/R/releases/latest, /tags/TAG, /assets/ID (with Accept: application/octet-stream the content), /ID/assets?per_page=&page=
 *   /api/v1/repos/O/R/releases/latest, /tags/TAG                                                                              (Gitea)
 *   /O/R/releases/download/TAG/NAME                                                                                           (both)
 *
 * As the real ones do, it answers If-None-Match with 304 (GitHub's), a private repository with 404 for strangers, Range
 * with 206, and the server of contents refuses whoever sends it an Authorization. As a proxy it answers for every host.
 *
 * DIR/faults says what goes wrong; a line is KIND TIMES PART [ARGUMENT] and concerns requests whose path has PART in
 * it. TIMES counts down until the file is another; the first line that is not used up counts.
 *
 *   status N PART CODE     that status             limit N PART SECONDS    403, GitHub's rate limit, over in so many seconds
 *   cut N PART BYTES       breaks off there        wait N PART SECONDS     429 with Retry-After
 *   slow N PART MSEC       before each 16 KiB      loop N PART             redirects to itself
 *   body N PART FILE       that content
 *
 * LOG has a line per request: server, method, path, status, range=[] if_none_match=[] auth=none|right|wrong, and no
 * token.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "tests/lib/certificate.h"
#include "tests/lib/release_store.h"

#define FAULTS_MAX 32
#define BLOCK 16384

typedef struct Fault {
        char kind[16], part[256], argument[512];
        long left;
} Fault;

static const char *dir;
static char address[2][64]; /* of the API, of the contents */
static FILE *log_file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *faults_text;
static Fault faults[FAULTS_MAX];
static size_t n_faults;

static void die(const char *what) {
        perror(what);
        exit(1);
}

/* ---- Faults ------------------------------------------------------------------------------------------------------ */

static char *file_text(const char *path, size_t *ret_size) {
        FILE *f = fopen(path, "re");
        _cleanup_text_ Text t = {0};
        char block[4096];
        if (!f)
                return NULL;
        for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;)
                text_add_n(&t, block, n);
        fclose(f);
        *ret_size = t.size;
        return text_take(&t);
}

static void faults_read(void) {
        size_t size = 0;
        char path[1024], *state = NULL;
        snprintf(path, sizeof(path), "%s/faults", dir);
        char *text = file_text(path, &size);
        if (text && faults_text && strcmp(text, faults_text) == 0) {
                free(text);
                return;
        }
        free(faults_text);
        faults_text = text;
        n_faults = 0;
        _cleanup_free_ char *copy = text ? strdup(text) : NULL;
        for (char *line = copy ? strtok_r(copy, "\n", &state) : NULL; line && n_faults < FAULTS_MAX;
             line = strtok_r(NULL, "\n", &state)) {
                Fault f = {0};
                if (sscanf(line, "%15s %ld %255s %511s", f.kind, &f.left, f.part, f.argument) >= 3)
                        faults[n_faults++] = f;
        }
}

/* What goes wrong with this request; kind "" when nothing does. */
static Fault fault_of(const char *path) {
        faults_read();
        for (size_t i = 0; i < n_faults; i++)
                if (faults[i].left > 0 && strstr(path, faults[i].part)) {
                        faults[i].left--;
                        return faults[i];
                }
        return (Fault){0};
}

static bool is_fault(const Fault *f, const char *kind) {
        return strcmp(f->kind, kind) == 0;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

typedef struct Answer {
        int status;
        char *body; /* owned, like the rest */
        size_t size;
        char *location, *etag;
        bool is_page; /* JSON, not a content: it has no ranges */
} Answer;

static void answer_done(Answer *a) {
        free(a->body);
        free(a->location);
        free(a->etag);
}

typedef struct Sending {
        char *body;
        uint64_t from, size, cut_at;
        useconds_t pause_usec;
} Sending;

static void sending_free(void *cls) {
        Sending *s = cls;
        free(s->body);
        free(s);
}

static ssize_t sending_read(void *cls, uint64_t at, char *buffer, size_t max) {
        Sending *s = cls;
        if (at >= s->cut_at)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        if (s->pause_usec)
                usleep(s->pause_usec);
        uint64_t left = MIN(s->size, s->cut_at) - at;
        size_t n = (size_t)MIN(left, (uint64_t)max);
        memcpy(buffer, s->body + s->from + at, n);
        return (ssize_t)n;
}

static void say(Answer *a, int status, Value *v) {
        _cleanup_(value_freep) Value *taken = v;
        *a = (Answer){.status = status, .is_page = true};
        if (json_encode(taken, JSON_COMPACT, &a->body, NULL) < 0)
                die("memory");
        a->size = strlen(a->body);
}

static void say_message(Answer *a, int status, const char *text) {
        Value *v = value_new_map();
        (void)value_set_text(v, "message", text, NULL);
        (void)value_set_text(v, "documentation_url", "https://docs.github.com/rest", NULL);
        (void)value_set(v, "status", value_new_format("%d", status), NULL);
        say(a, status, v);
}

static void say_content(Answer *a, const char *path, const char *sha256) {
        *a = (Answer){.status = 200};
        a->body = file_text(path, &a->size);
        if (!a->body)
                die(path);
        if (asprintf(&a->etag, "\"%.16s\"", sha256) < 0)
                die("memory");
}

/* As GitHub's: weak, of the whole reply. */
static void add_etag(Answer *a) {
        uint8_t digest[DIGEST_SIZE];
        char hex[DIGEST_HEX_SIZE];
        if (sha256_of(a->body, a->size, digest, NULL) < 0)
                die("hashing");
        hex_encode(digest, sizeof(digest), hex);
        if (asprintf(&a->etag, "W/\"%s\"", hex) < 0)
                die("memory");
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

typedef struct Asked {
        struct MHD_Connection *c;
        bool is_contents; /* the second server */
        const char *method, *path;
        const char *auth; /* "none", "right", "wrong" */
        char owner[64], repo[64], rest[512];
} Asked;

static const char *header_of(const Asked *q, const char *name) {
        const char *value = MHD_lookup_connection_value(q->c, MHD_HEADER_KIND, name);
        return value ? value : "";
}

static size_t number_of(const Asked *q, const char *name, size_t otherwise) {
        const char *value = MHD_lookup_connection_value(q->c, MHD_GET_ARGUMENT_KIND, name);
        return value ? strtoul(value, NULL, 10) : otherwise;
}

/* GitHub takes "Bearer" and "token", Gitea "token". */
static const char *judge_token(const Asked *q, bool is_gitea) {
        const char *sent = header_of(q, "Authorization");
        _cleanup_free_ char *token = store_note(dir, q->owner, q->repo, ".token");
        if (!*sent)
                return "none";
        size_t n = strncmp(sent, "token ", 6) == 0 ? 6 : strncmp(sent, "Bearer ", 7) == 0 && !is_gitea ? 7 : 0;
        return n > 0 && token && strcmp(sent + n, token) == 0 ? "right" : "wrong";
}

static bool is_hidden(const Asked *q) {
        _cleanup_free_ char *token = store_note(dir, q->owner, q->repo, ".token");
        return token && strcmp(q->auth, "right") != 0;
}

static void redirect_to_content(Answer *a, const StoreAsset *asset) {
        *a = (Answer){.status = 302, .body = strdup(""), .is_page = true};
        if (asprintf(&a->location, "%s/content/%s/%s/%lld?sig=abc", address[1], asset->owner, asset->repo,
                     (long long)asset->id) < 0)
                die("memory");
}

static void answer_release(const Asked *q, StoreApi api, const char *tag, Answer *a) {
        Value *v = NULL;
        if (!store_release(&(Store){dir, address[0]}, api, q->owner, q->repo, tag, &v)) {
                say_message(a, 404, api == STORE_GITHUB ? "Not Found" : "The target couldn't be found.");
                return;
        }
        say(a, 200, v);
        if (api == STORE_GITHUB)
                add_etag(a);
}

static void answer_asset(const Asked *q, int64_t id, Answer *a) {
        StoreAsset asset;
        if (!store_asset_by_id(dir, q->owner, q->repo, id, &asset))
                say_message(a, 404, "Not Found");
        else if (strcmp(header_of(q, "Accept"), "application/octet-stream") == 0)
                redirect_to_content(a, &asset);
        else
                say(a, 200, store_asset_value(&asset, STORE_GITHUB, address[0]));
}

static void answer_assets(const Asked *q, int64_t id, Answer *a) {
        size_t per_page = MIN(number_of(q, "per_page", 30), (size_t)100), page = number_of(q, "page", 1);
        const StorePage part = {.release_id = id, .from = (MAX(page, (size_t)1) - 1) * per_page, .max = per_page};
        Value *list = store_assets(&(Store){dir, address[0]}, q->owner, q->repo, &part);
        if (list)
                say(a, 200, list);
        else
                say_message(a, 404, "Not Found");
}

static void answer_api(const Asked *q, StoreApi api, Answer *a) {
        long long id;
        int n = 0;
        if (is_hidden(q))
                say_message(a, 404, "Not Found");
        else if (strcmp(q->rest, "latest") == 0)
                answer_release(q, api, NULL, a);
        else if (strncmp(q->rest, "tags/", 5) == 0)
                answer_release(q, api, q->rest + 5, a);
        else if (api == STORE_GITHUB && sscanf(q->rest, "assets/%lld%n", &id, &n) == 1 && !q->rest[n])
                answer_asset(q, id, a);
        else if (api == STORE_GITHUB && sscanf(q->rest, "%lld/assets%n", &id, &n) == 1 && n > 0 && !q->rest[n])
                answer_assets(q, id, a);
        else
                say_message(a, 404, "Not Found");
}

static void answer_download(const Asked *q, Answer *a) {
        char tag[64] = "", name[256] = "";
        StoreAsset asset;
        bool is_there = sscanf(q->rest, "download/%63[^/]/%255[^/]", tag, name) == 2 && !is_hidden(q) &&
                        store_asset_by_name(dir, q->owner, q->repo, tag, name, &asset);
        if (is_there)
                redirect_to_content(a, &asset);
        else
                say_message(a, 404, "Not Found");
}

static void answer_content(Asked *q, Answer *a) {
        long long id;
        StoreAsset asset;
        if (*header_of(q, "Authorization"))
                say_message(a, 400, "Only one auth mechanism allowed");
        else if (sscanf(q->path, "/content/%63[^/]/%63[^/]/%lld", q->owner, q->repo, &id) == 3 &&
                 store_asset_by_id(dir, q->owner, q->repo, id, &asset))
                say_content(a, asset.path, asset.sha256);
        else
                say_message(a, 404, "Not Found");
}

static void route(Asked *q, Answer *a) {
        static const struct {
                const char *prefix;
                bool is_gitea, is_download;
        } routes[] = {{"/repos/", false, false}, {"/api/v1/repos/", true, false}, {"/", true, true}};
        q->auth = *header_of(q, "Authorization") ? "wrong" : "none";
        if (q->is_contents) {
                answer_content(q, a);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(routes); i++) {
                size_t n = strlen(routes[i].prefix);
                if (strncmp(q->path, routes[i].prefix, n) != 0 ||
                    sscanf(q->path + n, "%63[^/]/%63[^/]/releases/%511s", q->owner, q->repo, q->rest) != 3)
                        continue;
                q->auth = judge_token(q, routes[i].is_gitea && !routes[i].is_download);
                if (routes[i].is_download)
                        answer_download(q, a);
                else
                        answer_api(q, routes[i].is_gitea ? STORE_GITEA : STORE_GITHUB, a);
                return;
        }
        say_message(a, 404, "Not Found");
}

/* ---- One request ------------------------------------------------------------------------------------------------- */

static void break_answer(const Asked *q, const Fault *f, Answer *a) {
        size_t size = 0;
        if (is_fault(f, "status") || is_fault(f, "limit") || is_fault(f, "wait")) {
                answer_done(a);
                int status = is_fault(f, "limit")  ? 403
                             : is_fault(f, "wait") ? 429
                                                   : (int)strtol(f->argument, NULL, 10);
                say_message(a, status, status == 403 ? "API rate limit exceeded for 192.0.2.1." : "Sorry.");
        } else if (is_fault(f, "loop")) {
                answer_done(a);
                *a = (Answer){.status = 302, .body = strdup(""), .is_page = true};
                if (asprintf(&a->location, "%s%s", address[q->is_contents], q->path) < 0)
                        die("memory");
        } else if (is_fault(f, "body")) {
                answer_done(a);
                *a = (Answer){.status = 200, .body = file_text(f->argument, &size), .is_page = true};
                if (!a->body)
                        die(f->argument);
                a->size = size;
        }
}

static void add_limits(const Asked *q, const Fault *f, struct MHD_Response *r) {
        char text[32];
        if (q->is_contents)
                return;
        bool is_out = is_fault(f, "limit");
        long seconds = is_out ? strtol(f->argument, NULL, 10) : 3600;
        snprintf(text, sizeof(text), "%lld", (long long)time(NULL) + seconds);
        MHD_add_response_header(r, "X-RateLimit-Limit", "60");
        MHD_add_response_header(r, "X-RateLimit-Remaining", is_out ? "0" : "59");
        MHD_add_response_header(r, "X-RateLimit-Reset", text);
        if (is_fault(f, "wait"))
                MHD_add_response_header(r, "Retry-After", f->argument);
}

/* 304 and 206 where they are asked for. Where the answer begins. */
static uint64_t condition(const Asked *q, Answer *a) {
        unsigned long long from;
        const char *match = header_of(q, "If-None-Match"), *range = header_of(q, "Range"),
                   *if_range = header_of(q, "If-Range");
        if (a->status == 200 && a->etag && strcmp(match, a->etag) == 0) {
                a->status = 304;
                a->size = 0;
        }
        bool is_part = a->status == 200 && a->etag && !a->is_page && sscanf(range, "bytes=%llu-", &from) == 1 &&
                       (!*if_range || strcmp(if_range, a->etag) == 0);
        if (!is_part)
                return 0;
        a->status = from < a->size ? 206 : 416;
        return MIN(from, (unsigned long long)a->size);
}

static enum MHD_Result send_answer(const Asked *q, const Fault *f, Answer *a) {
        uint64_t from = condition(q, a);
        Sending *s = calloc(1, sizeof(*s));
        if (!s)
                die("memory");
        *s = (Sending){.body = a->body, .from = from, .size = a->size - from, .cut_at = UINT64_MAX};
        a->body = NULL;
        if (is_fault(f, "cut"))
                s->cut_at = strtoull(f->argument, NULL, 10);
        if (is_fault(f, "slow"))
                s->pause_usec = (useconds_t)(1000 * strtol(f->argument, NULL, 10));
        struct MHD_Response *r = MHD_create_response_from_callback(s->size, BLOCK, sending_read, s, sending_free);
        add_limits(q, f, r);
        MHD_add_response_header(r, "Content-Type",
                                a->is_page ? "application/json; charset=utf-8" : "application/octet-stream");
        if (a->etag)
                MHD_add_response_header(r, "ETag", a->etag);
        if (a->location)
                MHD_add_response_header(r, "Location", a->location);
        if (a->status == 206) {
                char text[96];
                snprintf(text, sizeof(text), "bytes %llu-%zu/%zu", (unsigned long long)from, a->size - 1, a->size);
                MHD_add_response_header(r, "Content-Range", text);
        }
        fprintf(log_file, "%s %s %s %d range=[%s] if_none_match=[%s] auth=%s\n", q->is_contents ? "contents" : "api",
                q->method, q->path, a->status, header_of(q, "Range"), header_of(q, "If-None-Match"), q->auth);
        fflush(log_file);
        enum MHD_Result done = MHD_queue_response(q->c, (unsigned)a->status, r);
        MHD_destroy_response(r);
        return done;
}

/* libmicrohttpd wants eight parameters. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_data, void **state) {
        static int seen;
        (void)version, (void)data;
        if (!*state || *n_data > 0) {
                *state = &seen;
                *n_data = 0;
                return MHD_YES;
        }
        /* A proxy is asked for whole URLs. */
        bool is_proxy = strncmp(url, "http://", 7) == 0;
        const char *path = is_proxy ? strchr(url + 7, '/') : url;
        Asked q = {.c = c, .method = method, .path = path ? path : "/"};
        q.is_contents = cls || (is_proxy && strncmp(q.path, "/content/", 9) == 0);
        _cleanup_(answer_done) Answer a = {0};
        pthread_mutex_lock(&lock);
        Fault f = fault_of(q.path);
        route(&q, &a);
        break_answer(&q, &f, &a);
        enum MHD_Result r = send_answer(&q, &f, &a);
        pthread_mutex_unlock(&lock);
        return r;
}

static void start(int which, const char *certificate, const char *key) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | (key ? MHD_USE_TLS : 0);
        struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)certificate},
                                       {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
                                       {MHD_OPTION_END, 0, NULL}};
        if (!key)
                tls[0].option = MHD_OPTION_END;
        struct MHD_Daemon *d = MHD_start_daemon(flags, 0, NULL, NULL, on_request, which ? &address[1] : NULL,
                                                MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
        if (!d)
                die("starting");
        snprintf(address[which], sizeof(address[which]), "http%s://127.0.0.1:%u", key ? "s" : "",
                 MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
}

int main(int argc, char **argv) {
        char *certificate = NULL, *key = NULL;
        if (argc < 3 || !(log_file = fopen(argv[2], "ae")))
                die("usage: test-release_server DIR LOG [CERTIFICATE]");
        dir = argv[1];
        if (argc > 3) {
                certificate_new(&certificate, &key);
                FILE *f = fopen(argv[3], "we");
                if (!f || fputs(certificate, f) < 0 || fclose(f) != 0)
                        die(argv[3]);
        }
        start(1, certificate, key);
        start(0, certificate, key);
        printf("%s\n%s\n", address[0], address[1]);
        fflush(stdout);
        for (;;)
                pause();
}
