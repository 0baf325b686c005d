/* SPDX-License-Identifier: Apache-2.0 */
/* See http_url.h. libcurl's own parser reads them, so that what is checked is what is asked. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "core/base/text.h"
#include "managers/http_url.h"

static void curlu_freep(CURLU **u) {
        curl_url_cleanup(*u);
        *u = NULL;
}

static void curl_textp(char **s) {
        curl_free(*s);
        *s = NULL;
}

void origin_done(Origin *o) {
        curl_textp(&o->scheme);
        curl_textp(&o->host);
        curl_textp(&o->port);
}

int origin_parse(const char *url, Origin *ret) {
        _cleanup_(curlu_freep) CURLU *u = curl_url();
        if (!u)
                return -ENOMEM;
        if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
                return -EINVAL;
        if (curl_url_get(u, CURLUPART_SCHEME, &ret->scheme, 0) != CURLUE_OK)
                return -EINVAL;
        /* file:// has neither. */
        (void)curl_url_get(u, CURLUPART_HOST, &ret->host, 0);
        (void)curl_url_get(u, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT);
        return 0;
}

int http_url_file(const char *url, char **ret) {
        _cleanup_(curlu_freep) CURLU *u = curl_url();
        _cleanup_(curl_textp) char *path = NULL;
        if (!u)
                return -ENOMEM;
        if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
            curl_url_get(u, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK)
                return -EINVAL;
        *ret = strdup(path);
        return *ret ? 0 : -ENOMEM;
}

static bool text_same(const char *a, const char *b) {
        return a && b && strcasecmp(a, b) == 0;
}

bool http_origin_same(const char *a, const char *b) {
        _cleanup_origin_ Origin oa = {0}, ob = {0};
        return origin_parse(a, &oa) == 0 && origin_parse(b, &ob) == 0 && text_same(oa.scheme, ob.scheme) &&
               text_same(oa.host, ob.host) && text_same(oa.port, ob.port);
}

unsigned origin_scheme(const Origin *o) {
        static const struct {
                const char *name;
                unsigned bit;
        } schemes[] = {{"file", HTTP_SCHEME_FILE}, {"http", HTTP_SCHEME_HTTP}, {"https", HTTP_SCHEME_HTTPS}};
        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (strcasecmp(o->scheme, schemes[i].name) == 0)
                        return schemes[i].bit;
        return 0;
}

char *http_url_shown(const HttpRequest *request) {
        if (!request->is_url_secret)
                return text_redact(request->url);
        _cleanup_origin_ Origin o = {0};
        if (origin_parse(request->url, &o) < 0 || !o.host)
                return strdup("****");
        return text_format("%s://%s/****", o.scheme, o.host);
}
