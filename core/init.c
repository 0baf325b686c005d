/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening for writing makes everything that pawl needs; here it is told, and a configuration to edit is added. Where
 * nginx is, so is the file that routes by path are written into: an operator can include it before the first of them,
 * and nginx refuses to include what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine_state.h"

#define CONFIG_PATH "etc/pawl/pawl.yaml"

static const char *const init_paths[] = {
        "etc/pawl",           CONFIG_PATH,         "opt/pawl",          PAWL_DIR,
        PAWL_DIR "/seal.key", PAWL_DIR "/journal", "var/lib/pawl-data", "var/log/pawl",
};

static int config_write(Engine *e, Error *err) {
        _cleanup_free_ char *text = NULL;
        bool is_there = false;
        int r = fs_has(e->root, CONFIG_PATH, &is_there, err);
        /* It may be what a process wrote that died before its fsync. */
        if (is_there)
                return fs_sync_parent(e->root, CONFIG_PATH, err);
        if (r == 0)
                r = config_template(&text, err);
        return r < 0 || !text ? r : fs_replace_durably(e->root, CONFIG_PATH, text, strlen(text), 0644, err);
}

static int made_add(Engine *e, const char *path, bool was_there, Value *list, Error *err) {
        _cleanup_free_ char *full = host_path(&e->host, path);
        Value *item = value_new_map();
        int r = value_append(list, item, err);
        if (r == 0)
                r = full ? value_set_text(item, "path", full, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(item, "state", was_there ? "there" : "made", err);
}

/* ---- For nginx --------------------------------------------------------------------------------------------------- */

static const char paths_text[] =
        "# Routes by path, of services that pawl deploys: each is a block between two marks, which pawl writes and removes.\n"
        "# A server block has them with \"include\" and the name of this file. Lines outside of the marks are yours, and stay.\n";

static char *below_nginx(const Engine *e, const char *name) {
        const char *dir = value_get_text_or(e->config, "nginx.dir", "");
        return text_format("%s/%s", dir + strspn(dir, "/"), name);
}

static int paths_write(Engine *e, Value *list, Error *err) {
        _cleanup_free_ char *main = below_nginx(e, "nginx.conf"), *path = below_nginx(e, "pawl-paths.conf");
        bool has_nginx = false, is_there = false;
        int r = main && path ? fs_has(e->root, main, &has_nginx, err) : error_no_memory(err);
        if (r < 0 || !has_nginx)
                return r;
        r = fs_has(e->root, path, &is_there, err);
        if (r == 0)
                r = is_there ? fs_sync_parent(e->root, path, err)
                             : fs_replace_durably(e->root, path, paths_text, strlen(paths_text), 0644, err);
        return r < 0 ? r : made_add(e, path, is_there, list, err);
}

int engine_init(const EngineOptions *options, Value **ret, Error *err) {
        _cleanup_(engine_freep) Engine *e = NULL;
        _cleanup_(value_freep) Value *result = value_new_map(), *list = value_new_array();
        bool was_there[ELEMENTSOF(init_paths)];
        EngineOptions writing = *options;
        _cleanup_close_ int root = open(options->root ? options->root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = result && list ? 0 : error_no_memory(err);
        if (r == 0 && root < 0)
                r = error_set_errno(err, -errno, "Make the directory first.", "could not open the root \"%s\"",
                                    options->root ? options->root : "/");
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(init_paths); i++)
                r = fs_has(root, init_paths[i], &was_there[i], err);
        writing.access = ENGINE_WRITE;
        if (r == 0)
                r = engine_open(&writing, &e, err);
        if (r == 0)
                r = config_write(e, err);
        if (r == 0)
                r = journal_anchor(e->journal, UINT64_MAX, err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(init_paths); i++)
                r = made_add(e, init_paths[i], was_there[i], list, err);
        if (r == 0)
                r = paths_write(e, list, err);
        if (r == 0)
                r = value_set(result, "made", TAKE_PTR(list), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
