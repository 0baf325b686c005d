/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's Connection header ends here: passed on, it could name headers that the program would then never see. The
 * variable is set in the server block, where `if` has no effect but its own.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/route.h"
#include "core/spec.h"
#include "core/spec_value.h"

#define HOST_MAX 253
#define LABEL_MAX 63
#define PATH_MAX_SIZE 200

/* ---- What may be written ----------------------------------------------------------------------------------------- */

static bool label_is_valid(const char *label, size_t n) {
        if (n == 0 || n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!islower((unsigned char)label[i]) && !isdigit((unsigned char)label[i]) && label[i] != '-')
                        return false;
        return true;
}

static bool host_is_valid(const char *host) {
        size_t n_labels = 0;
        if (strlen(host) > HOST_MAX)
                return false;
        if (strncmp(host, "*.", 2) == 0)
                host += 2;
        for (const char *p = host;; n_labels++) {
                size_t n = strcspn(p, ".");
                if (!label_is_valid(p, n))
                        return false;
                p += n;
                if (!*p++)
                        return n_labels > 0;
        }
}

int route_host_check(const char *host, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        if (host_is_valid(host))
                return 0;
        return error_set(
                err, -EINVAL, ERR_SPEC,
                "Write it as DNS has it: a to z, 0 to 9 and hyphens between dots; other letters in their xn-- form.",
                "\"%s\" cannot be the host of a route", spec_shown(host, shown));
}

static bool segment_is_valid(const char *segment, size_t n) {
        if (n == 0 || strncmp(segment, ".", n) == 0 || strncmp(segment, "..", n) == 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isascii((unsigned char)segment[i]) ||
                    (!isalnum((unsigned char)segment[i]) && !strchr("._~-", segment[i])))
                        return false;
        return true;
}

static bool path_is_valid(const char *path) {
        if (path[0] != '/' || strlen(path) > PATH_MAX_SIZE)
                return false;
        for (const char *p = path; *p;) {
                size_t n = strcspn(p + 1, "/");
                if (!segment_is_valid(p + 1, n))
                        return false;
                p += 1 + n;
        }
        return true;
}

int route_path_check(const char *path, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        if (path_is_valid(path))
                return 0;
        return error_set(
                err, -EINVAL, ERR_SPEC,
                "Write \"/app\" or \"/team/app\": letters, digits and . _ ~ - between slashes, and none at its end.",
                "\"%s\" cannot be the path of a route", spec_shown(path, shown));
}

bool route_text_is_safe(const char *text) {
        for (const char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f || strchr("\"\\$", *p))
                        return false;
        return utf8_is_valid(text, strlen(text));
}

bool route_listen_is_valid(const char *text) {
        for (const char *p = text; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr(" .:[]*-", *p))
                        return false;
        return text[strspn(text, " ")] != '\0';
}

/* The last look before it is written: what was checked long ago may have come from a row of another pawl. */
static int route_check(const Route *r, Error *err) {
        const char *const texts[] = {r->cert, r->key, r->additions};
        if ((r->host && route_host_check(r->host, err) < 0) || (r->path && route_path_check(r->path, err) < 0))
                return -EINVAL;
        if (service_name_check(r->service, err) < 0)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (texts[i] && !route_text_is_safe(texts[i]))
                        return error_set(
                                err, -EINVAL, ERR_SPEC, "Give it a simpler name.",
                                "the path of a file has a character in it that cannot stand in nginx's configuration");
        if (!route_listen_is_valid(r->listen) || !route_listen_is_valid(r->secure))
                return error_set(err, -EINVAL, ERR_CONFIG, "Write addresses as nginx has them: \"80 [::]:80\".",
                                 "nginx.listen is not a list of addresses");
        if (r->port < 1 || r->port > 65535)
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "a route needs a port");
        return 0;
}

/* ---- What is written --------------------------------------------------------------------------------------------- */

static void add_location(Text *t, const Route *r, const char *match, const char *path, const char *slash) {
        text_addf(t, "        location %s\"%s%s\" {\n", match, path, slash);
        text_addf(t, "                proxy_pass http://127.0.0.1:%lld;\n", (long long)r->port);
        text_add(t, "                proxy_http_version 1.1;\n"
                    "                proxy_set_header Host $host;\n"
                    "                proxy_set_header X-Real-IP $remote_addr;\n"
                    "                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
                    "                proxy_set_header X-Forwarded-Host $host;\n"
                    "                proxy_set_header X-Forwarded-Proto $scheme;\n"
                    "                proxy_set_header Upgrade $http_upgrade;\n"
                    "                proxy_set_header Connection $pawl_connection;\n"
                    "        }\n");
}

static void add_locations(Text *t, const Route *r) {
        text_add(t, "        set $pawl_connection \"\";\n"
                    "        if ($http_upgrade) {\n"
                    "                set $pawl_connection \"upgrade\";\n"
                    "        }\n");
        if (!r->path) {
                add_location(t, r, "", "/", "");
                return;
        }
        add_location(t, r, "= ", r->path, "");
        add_location(t, r, "^~ ", r->path, "/"); /* not what only begins alike: "/apple" is not "/app" */
}

static void add_listen(Text *t, const char *addresses, const char *kind) {
        for (const char *p = addresses; *p;) {
                p += strspn(p, " ");
                size_t n = strcspn(p, " ");
                if (n > 0)
                        text_addf(t, "        listen %.*s%s;\n", (int)n, p, kind);
                p += n;
        }
}

static void add_redirect(Text *t, const Route *r) {
        text_add(t, "server {\n");
        add_listen(t, r->listen, "");
        text_addf(t, "        server_name \"%s\";\n", r->host);
        text_add(t, "        return 301 https://$host$request_uri;\n}\n\n");
}

static void add_server(Text *t, const Route *r) {
        text_add(t, "server {\n");
        add_listen(t, r->cert ? r->secure : r->listen, r->cert ? " ssl" : "");
        text_addf(t, "        server_name \"%s\";\n", r->host);
        if (r->cert)
                text_addf(t, "        ssl_certificate \"%s\";\n        ssl_certificate_key \"%s\";\n", r->cert, r->key);
        text_addf(t, "        include \"%s/*.conf\";\n", r->additions);
        add_locations(t, r);
        text_add(t, "}\n");
}

static int give(Text *t, char **ret, Error *err) {
        char *text = text_take(t);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}

int route_server(const Route *r, char **ret, Error *err) {
        _cleanup_text_ Text t = {0};
        int q = route_check(r, err);
        if (q < 0)
                return q;
        text_addf(
                &t,
                "# Written by pawl for the service %s. What you change here is kept, but stands in the way of the next change:\n"
                "# your own directives belong into %s/*.conf.\n\n",
                r->service, r->additions);
        if (r->cert)
                add_redirect(&t, r);
        add_server(&t, r);
        return give(&t, ret, err);
}

int route_locations(const Route *r, char **ret, Error *err) {
        _cleanup_text_ Text t = {0};
        int q = route_check(r, err);
        if (q < 0)
                return q;
        add_locations(&t, r);
        return give(&t, ret, err);
}
