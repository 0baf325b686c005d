/* SPDX-License-Identifier: Apache-2.0 */
/* What of a URL decides: its scheme, host and port. Private to http*.c. */
#pragma once

#include "managers/manager.h"

typedef struct Origin {
        char *scheme, *host, *port; /* owned; of file:// the scheme alone */
} Origin;
void origin_done(Origin *o);
#define _cleanup_origin_ _cleanup_(origin_done)

/* -EINVAL, without a message: that is not a URL. */
int origin_parse(const char *url, Origin *ret);
/* The HttpScheme; 0: one that is not served here. */
unsigned origin_scheme(const Origin *o);
/* Of a file:// URL: the path on this host, owned by the caller. -EINVAL without a message. */
int http_url_file(const char *url, char **ret);
/* The URL as a message may show it; NULL: no memory. */
char *http_url_shown(const HttpRequest *request);
