/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the route of a service is made of: a server block of its own in nginx (a file, and a link where the host keeps
 * its sites that way), or a block in the file that the operator includes in a server block of theirs. All of it is one
 * group around one reload.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/recipe_parts.h"
#include "core/route.h"
#include "core/rows.h"

/* ---- Where things are -------------------------------------------------------------------------------------------- */

static const char *nginx_config(const Target *t, const char *key) {
        return value_get_text_or(t->engine->config, key, "");
}

/* Of a path under nginx's directory; paths of the configuration are absolute, ours are relative to the root. */
_printf_(2, 3) static char *nginx_path(const Target *t, const char *format, ...) {
        const char *dir = nginx_config(t, "nginx.dir");
        char name[512];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(name, sizeof(name), format, ap);
        va_end(ap);
        return n < 0 || n >= (int)sizeof(name) ? NULL : text_format("%s/%s", dir + strspn(dir, "/"), name);
}

static char *config_path(const Target *t, const char *key) {
        const char *path = nginx_config(t, key);
        return strdup(path + strspn(path, "/"));
}

/* Debian keeps a site under sites-available and links it; nginx's own packages read conf.d. */
static bool has_sites(const Target *t) {
        const char *layout = nginx_config(t, "nginx.layout");
        _cleanup_free_ char *enabled = nginx_path(t, "sites-enabled"), *available = nginx_path(t, "sites-available");
        if (strcmp(layout, "auto") != 0)
                return strcmp(layout, "sites") == 0;
        return enabled && available && fs_exists(t->engine->root, enabled) && fs_exists(t->engine->root, available);
}

static char *vhost_path(const Target *t) {
        return nginx_path(t, "%s/pawl-%s.conf", has_sites(t) ? "sites-available" : "conf.d", t->service);
}

static char *enabled_path(const Target *t) {
        return nginx_path(t, "sites-enabled/pawl-%s.conf", t->service);
}

static char *paths_path(const Target *t) {
        return nginx_path(t, "pawl-paths.conf");
}

static const Value *spec_route(const Target *t) {
        return value_get(t->spec, "route");
}

static const char *route_host(const Target *t) {
        return value_get_text(spec_route(t), "host");
}

/* ---- Conditions -------------------------------------------------------------------------------------------------- */

bool routes(const Target *t) {
        return spec_route(t) || value_count(t->stale_routes) > 0;
}

bool routes_host(const Target *t) {
        return route_host(t) != NULL;
}

bool routes_site(const Target *t) {
        return routes_host(t) && has_sites(t);
}

bool routes_path(const Target *t) {
        return spec_route(t) && !routes_host(t);
}

const Value *each_stale_route(const Target *t) {
        return t->stale_routes;
}

bool route_is_required(const Target *t) {
        return value_get_bool(spec_route(t), "required", false);
}

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static int nginx_args(const Target *t, const char *role, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        _cleanup_free_ char *config = nginx_path(t, "nginx.conf"), *pid = config_path(t, "nginx.pid"),
                            *log = config_path(t, "nginx.error_log");
        int r = args && config && pid && log ? 0 : error_no_memory(err);
        if (r < 0 || (r = value_set_text(args, "role", role, err)) < 0 ||
            (r = value_set_text(args, "program", nginx_config(t, "nginx.program"), err)) < 0 ||
            (r = value_set_text(args, "config", config, err)) < 0 || (r = value_set_text(args, "pid", pid, err)) < 0 ||
            (r = value_set_text(args, "log", log, err)) < 0)
                return r;
        *ret = TAKE_PTR(args);
        return 0;
}

int args_route_test(const Target *t, Value **ret, Error *err) {
        return nginx_args(t, "test", ret, err);
}

int args_route_owe(const Target *t, Value **ret, Error *err) {
        return nginx_args(t, "owe", ret, err);
}

int args_route_pay(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *needs = NULL;
        const char *host = route_host(t);
        int r = nginx_args(t, "pay", ret, err);
        if (r < 0 || !spec_route(t))
                return r;
        needs = !host ? paths_path(t) : has_sites(t) ? enabled_path(t) : vhost_path(t);
        r = needs ? value_set_text(*ret, "needs", needs, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(*ret, "host", host, err);
}

/* The service goes, whatever nginx says to it. */
int args_route_leave(const Target *t, Value **ret, Error *err) {
        int r = nginx_args(t, "pay", ret, err);
        return r < 0 ? r : value_set_bool(*ret, "tolerant", true, err);
}

static bool has_ipv6(void) {
        _cleanup_close_ int fd = open("/proc/net/if_inet6", O_RDONLY | O_CLOEXEC);
        char byte;
        return fd >= 0 && read(fd, &byte, 1) == 1;
}

/* The addresses that this host can have. */
static char *addresses(const Target *t, const char *key) {
        _cleanup_text_ Text out = {0};
        for (const char *p = nginx_config(t, key); *p;) {
                p += strspn(p, " ");
                size_t n = strcspn(p, " ");
                bool is_usable = *p != '[' || has_ipv6();
                if (n > 0 && is_usable && out.size > 0)
                        text_add(&out, " ");
                if (is_usable)
                        text_add_n(&out, p, n);
                p += n;
        }
        return text_take(&out);
}

static int render(const Target *t, int (*as)(const Route *r, char **ret, Error *err), char **ret, Error *err) {
        const Value *tls = value_get(spec_route(t), "tls");
        _cleanup_free_ char *listen = addresses(t, "nginx.listen"), *secure = addresses(t, "nginx.listen_tls"),
                            *dir = nginx_path(t, "pawl.d/%s", t->service),
                            *additions = dir ? host_path(&t->engine->host, dir) : NULL;
        if (!listen || !secure || !additions)
                return error_no_memory(err);
        Route route = {.service = t->service,
                       .host = route_host(t),
                       .path = value_get_text(spec_route(t), "path"),
                       .port = t->port,
                       .cert = value_get_text(tls, "cert"),
                       .key = value_get_text(tls, "key"),
                       .listen = listen,
                       .secure = secure,
                       .additions = additions};
        return as(&route, ret, err);
}

static int written_args(const char *path, const char *content, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        int r = args && path && content ? value_set_text(args, "path", path, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(args, "content", content, err);
        if (r == 0)
                r = value_set_int(args, "mode", 0644, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_vhost(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *path = vhost_path(t), *content = NULL;
        int r = render(t, route_server, &content, err);
        return r < 0 ? r : written_args(path, content, ret, err);
}

int args_vhost_link(const Target *t, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *args = value_new_map();
        _cleanup_free_ char *path = enabled_path(t),
                            *target = text_format("../sites-available/pawl-%s.conf", t->service);
        int r = args && path && target ? value_set_text(args, "path", path, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(args, "target", target, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_paths(const Target *t, Value **ret, Error *err) {
        _cleanup_free_ char *path = paths_path(t), *content = NULL;
        _cleanup_(value_freep) Value *args = NULL;
        int r = render(t, route_locations, &content, err);
        if (r == 0)
                r = written_args(path, content, &args, err);
        if (r == 0)
                r = value_set_text(args, "name", t->service, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

/* Of an earlier route: a file or link goes away, a block is taken out. */
static int stale_args(const Target *t, bool is_block, Value **ret, Error *err) {
        const Value *old = value_at(t->stale_routes, t->instance);
        _cleanup_(value_freep) Value *args = value_new_map();
        *ret = NULL;
        int r = args ? 0 : error_no_memory(err);
        if (r < 0 || value_get_bool(old, "is_block", false) != is_block)
                return r;
        r = value_set_text(args, "path", value_get_text(old, "path"), err);
        if (r == 0 && is_block)
                r = value_set_text(args, "name", t->service, err);
        if (r == 0 && is_block)
                r = value_set_int(args, "mode", 0644, err);
        if (r == 0)
                *ret = TAKE_PTR(args);
        return r;
}

int args_stale_file(const Target *t, Value **ret, Error *err) {
        return stale_args(t, false, ret, err);
}

int args_stale_block(const Target *t, Value **ret, Error *err) {
        return stale_args(t, true, ret, err);
}

/* ---- What an earlier route left ---------------------------------------------------------------------------------- */

static bool is_wanted_still(const Target *t, const char *path) {
        _cleanup_free_ char *vhost = vhost_path(t), *enabled = enabled_path(t), *paths = paths_path(t);
        if (strcmp(t->flow, "remove") == 0)
                return false;
        return (routes_host(t) && vhost && strcmp(path, vhost) == 0) ||
               (routes_site(t) && enabled && strcmp(path, enabled) == 0) ||
               (routes_path(t) && paths && strcmp(path, paths) == 0);
}

/* A service that goes takes everything with it; any other flow stops at an edit. */
static int check_edit(const Target *t, const Manager *m, const Value *artifact, const char *path, Error *err) {
        Error why = ERROR_INIT;
        if (t->overwrite || strcmp(t->flow, "remove") == 0 || strcmp(m->name, "link") == 0)
                return 0;
        int r = m->verify(&t->engine->host, value_get(artifact, "args"), value_get(artifact, "facts"), &why);
        if (r == -ESTALE)
                return error_set(err, r, ERR_DRIFT, "Take it away yourself, or let it go with --overwrite.",
                                 "/%s was edited by hand, and the spec has it no more", path);
        return r < 0 ? error_set(err, r, why.code, why.hint, "%s", why.message) : 0;
}

static int stale_add(Target *t, const Value *artifact, const char *path, Error *err) {
        const Manager *m = manager_by_id((uint16_t)value_get_int(artifact, "manager", 0));
        bool is_there = false;
        int r = m ? fs_has(t->engine->root, path, &is_there, err) : 0;
        if (r == 0 && is_there)
                r = check_edit(t, m, artifact, path, err);
        if (r < 0 || !is_there)
                return r;
        bool is_block = strcmp(m->name, "block") == 0;
        Value *item = value_new_map();
        r = value_append(t->stale_routes, item, err);
        if (r == 0)
                r = value_set_text(item, "path", path, err);
        return r < 0 ? r : value_set_bool(item, "is_block", is_block, err);
}

/* Last first: the link in front of the file that it leads to. */
int route_choose_stale(Target *t, Error *err) {
        const Value *artifacts = value_get(t->row, "artifacts");
        int r = 0;
        t->stale_routes = value_new_array();
        if (!t->stale_routes)
                return error_no_memory(err);
        for (size_t i = value_count(artifacts); r == 0 && i-- > 0;) {
                const Value *artifact = value_at(artifacts, i);
                const char *path = value_get_text(value_get(artifact, "args"), "path");
                if (value_get(artifact, "group") && path && !is_wanted_still(t, path))
                        r = stale_add(t, artifact, path, err);
        }
        return r;
}

/* ---- Whose it is ------------------------------------------------------------------------------------------------- */

/* nginx gives a name to one server block alone, so a host is claimed whole. */
int route_key(const Value *route, char ret[static ROW_KEY_MAX]) {
        const char *host = value_get_text(route, "host");
        return row_key(ret, "route/%s/%s", host ? host : "", host ? "" : value_get_text_or(route, "path", "/") + 1);
}

int route_choose(Target *t, Error *err) {
        static const char *const kinds[] = {"", "claim/"};
        char key[ROW_KEY_MAX], name[ROW_KEY_MAX];
        const Value *route = spec_route(t);
        if (!route)
                return 0;
        if (route_key(route, name) < 0)
                return error_set(err, -ENAMETOOLONG, ERR_SPEC, NULL, "the route is too long");
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                _cleanup_(value_freep) Value *row = NULL;
                if (row_key(key, "%s%s", kinds[i], name) < 0)
                        return error_set(err, -ENAMETOOLONG, ERR_SPEC, NULL, "the route is too long");
                int r = engine_row(t->engine, key, &row, err);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                const char *owner = value_get_text_or(row, "service", "");
                if (strcmp(owner, t->service) != 0)
                        return error_set(err, -EADDRINUSE, ERR_IN_USE, "Choose another, or remove that service first.",
                                         "the route %s belongs to the service %s",
                                         value_get_text_or(route, "host", value_get_text_or(route, "path", "?")),
                                         owner);
        }
        return 0;
}

/* "example.org", "/app", "example.org/app" */
char *route_shown(const Value *route) {
        return route ? text_format("%s%s", value_get_text_or(route, "host", ""), value_get_text_or(route, "path", ""))
                     : NULL;
}
