/* SPDX-License-Identifier: Apache-2.0 */
/* A forge's reply, from its JSON to the asset that is chosen: whatever is chosen can be the name of a file and be
 * shown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "managers/release_reply.h"

static void check_asset(const ReleaseAsset *a) {
        size_t n = strlen(a->name);
        if (n == 0 || n > RELEASE_NAME_MAX || strchr(a->name, '/') || !text_is_clean(a->name, n) || a->id <= 0 ||
            a->size < 0)
                abort();
        if (a->sha256[0] && (strlen(a->sha256) != 64 || strspn(a->sha256, "0123456789abcdef") != 64))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const patterns[] = {"{name}-{os}-{arch}", "{{.Name}}_{version}.tar.gz", "{version}"};
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_release_ Release r = {0};
        if (json_decode((const char *)data, size, &v, NULL) < 0)
                return 0;
        if (release_parse(v, &r, NULL) < 0) /* or it is a page */
                (void)release_add_page(&r, v, NULL);
        for (size_t i = 0; i < r.n_assets; i++)
                check_asset(&r.assets[i]);
        if (r.n_assets > r.n_listed || r.n_assets > RELEASE_ASSETS_MAX)
                abort();
        for (size_t i = 0; i < ELEMENTSOF(patterns) && r.tag; i++) {
                const ReleaseAsset *a = NULL;
                _cleanup_free_ char *wanted = NULL;
                if (release_choose(&r, patterns[i], &(ReleaseNames){"web", "api", r.tag}, &a, &wanted, NULL) < 0 ||
                    !wanted)
                        abort();
                if (a && release_asset(&r, a->name) != a)
                        abort();
                if (a)
                        (void)release_checksums(&r, a->name);
        }
        return 0;
}
