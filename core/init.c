/* SPDX-License-Identifier: Apache-2.0 */
/* Opening for writing makes everything that pawl needs; here it is told, and a configuration to edit is added. */
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
        if (fs_exists(e->root, CONFIG_PATH))
                return 0;
        int r = config_template(&text, err);
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
        for (size_t i = 0; i < ELEMENTSOF(init_paths); i++)
                was_there[i] = root >= 0 && fs_exists(root, init_paths[i]);
        writing.access = ENGINE_WRITE;
        int r = result && list ? engine_open(&writing, &e, err) : error_no_memory(err);
        if (r == 0)
                r = config_write(e, err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(init_paths); i++)
                r = made_add(e, init_paths[i], was_there[i], list, err);
        if (r == 0)
                r = value_set(result, "made", TAKE_PTR(list), err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}
