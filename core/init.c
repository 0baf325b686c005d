/* SPDX-License-Identifier: Apache-2.0 */
/* Opening for writing makes everything that pawl needs; here it is told, and a configuration to edit is added. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

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
        return r < 0 ? r : fs_replace_durably(e->root, CONFIG_PATH, text, strlen(text), 0644, err);
}

static int made_add(Engine *e, const char *path, bool was_there, Value *list, Error *err) {
        _cleanup_free_ char *full = host_path(&e->host, path);
        Value *item = value_new_map();
        int r = value_append(list, item, err);
        if (r == 0)
                r = full ? value_set_text(item, "path", full, err) : error_no_memory(err);
        return r < 0 ? r : value_set_text(item, "state", was_there ? "there" : "made", err);
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
                r = value_set(result, "made", TAKE_PTR(list), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
