/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route: how a service is reached from outside, and what that is in nginx's language.
 *
 * What stands in a configuration file comes from a person: it is held to a few characters when it is read, and refused
 * once more where it is written. Nothing here knows the host.
 */
#pragma once

#include <stdint.h>

#include "core/base/error.h"

typedef struct Route {
        const char *service;
        const char *host;            /* NULL: by path alone */
        const char *path;            /* "/app"; NULL: all of the host */
        int64_t port;                /* where the service listens */
        const char *cert, *key;      /* absolute; NULL: no TLS */
        const char *listen, *secure; /* "80 [::]:80": addresses of nginx, for TLS the second */
        const char *additions;       /* absolute directory of files that the operator writes */
} Route;

/* -EINVAL, ERR_SPEC. A host is a DNS name with a dot in it, perhaps with "*." in front; a path begins with a slash
 * and ends without. */
int route_host_check(const char *host, Error *err);
int route_path_check(const char *path, Error *err);
/* Addresses with spaces between them? */
bool route_listen_is_valid(const char *text);
/* May it stand between quotes in a configuration of nginx? */
bool route_text_is_safe(const char *text);

/* The file of a host. */
int route_server(const Route *r, char **ret, Error *err);
/* What stands in somebody else's server block. */
int route_locations(const Route *r, char **ret, Error *err);
