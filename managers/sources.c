/* SPDX-License-Identifier: Apache-2.0 */
/* See sources.h. */
#include <errno.h>
#include <string.h>

#include "managers/sources.h"

static const Source *const sources[] = {
        &source_path,
        &source_url,
        &source_github,
        &source_gitea,
};

const Source *source_by_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                if (strcmp(sources[i]->type, type) == 0)
                        return sources[i];
        return NULL;
}

size_t source_count(void) {
        return ELEMENTSOF(sources);
}

const Source *source_at(size_t i) {
        return i < ELEMENTSOF(sources) ? sources[i] : NULL;
}

int source_facts_make(const SourceFacts *f, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r = v ? value_set_text(v, "sha256", f->sha256, err) : error_no_memory(err);
        if (r == 0 && f->size >= 0)
                r = value_set_int(v, "size", f->size, err);
        if (r == 0)
                r = value_set_text(v, "format", f->format, err);
        if (r == 0)
                r = value_set_text(v, "location", f->location, err);
        if (r == 0)
                r = value_set_text(v, "etag", f->etag, err);
        if (r == 0)
                r = value_set_text(v, "last_modified", f->last_modified, err);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

/* Descriptor of an unnamed file where the release store will be, so that a name is all it needs later. */
static int create_unnamed(const Host *host, Error *err) {
        static const char *const places[] = {"opt/pawl", "opt", "tmp", "."};
        int fd = -ENOENT;
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                bool is_last = i + 1 == ELEMENTSOF(places);
                fd = fs_create_unnamed(host->root, places[i], 0644, is_last ? err : NULL);
                if (fd >= 0)
                        break;
        }
        return fd;
}

int source_download(const Host *host, const Download *download, Downloaded *ret, Prefetched *ret_prefetched,
                    Error *err) {
        _cleanup_downloaded_ Downloaded got = {0};
        _cleanup_close_ int fd = create_unnamed(host, err);
        if (fd < 0)
                return fd;
        int r = download_to_fd(host, download, fd, &got, err);
        if (r < 0)
                return r;
        memcpy(ret_prefetched->sha256, got.sha256, sizeof(got.sha256));
        int sealed = fs_reopen_read_only(fd);
        ret_prefetched->fd = sealed >= 0 ? sealed : TAKE_FD(fd);
        *ret = got;
        got = (Downloaded){0};
        return 0;
}
