/* SPDX-License-Identifier: Apache-2.0 */
/* What of a service stays, and whether it is as wanted already: then its row becomes no step. A hand edit is never
 * written over unasked. */
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/recipe_parts.h"

char *artifact_name(const RecipeRow *row, const Target *t, const Value *args) {
        const char *path = value_get_text(args, "path");
        if (strcmp(row->manager, "tree") == 0)
                return text_format("tree of %s", t->service); /* one at a time, whichever version */
        return text_format("%s %s", row->manager, path ? path : t->service);
}

const Value *artifact_find(const Value *row, const char *name) {
        const Value *list = value_get(row, "artifacts");
        for (size_t i = 0; i < value_count(list); i++) {
                const Value *artifact = value_at(list, i);
                if (strcmp(value_get_text_or(artifact, "artifact", ""), name) == 0)
                        return artifact;
        }
        return NULL;
}

int artifact_keep(Recipe *x, const Value *artifact, Error *err) {
        int r = value_append(x->artifacts, value_copy(artifact), err);
        return r < 0 ? r : value_append_text(x->plan->kept, value_get_text(artifact, "artifact"), err);
}

typedef enum ArtifactState { ARTIFACT_SOUND, ARTIFACT_MISSING, ARTIFACT_EDITED } ArtifactState;

/* What could not be looked at may be as it was written: nobody must be told to write over it. */
static bool is_no_answer(ErrorCode code) {
        return code == ERR_IO || code == ERR_NO_MEMORY || code == ERR_NO_SPACE || code == ERR_PERMISSION;
}

static int artifact_look(const Recipe *x, const Manager *m, const Value *artifact, ArtifactState *ret, Error *err) {
        const Value *args = value_get(artifact, "args");
        const char *path = value_get_text(args, "path");
        Error why = ERROR_INIT;
        bool is_there = false;
        int r = m->verify(&x->target->engine->host, args, value_get(artifact, "facts"), &why);
        if (r < 0 && is_no_answer(why.code)) {
                *err = why;
                return r;
        }
        *ret = ARTIFACT_SOUND;
        if (r == 0)
                return 0;
        r = path ? fs_has(x->target->engine->root, path, &is_there, err) : 0;
        *ret = is_there ? ARTIFACT_EDITED : ARTIFACT_MISSING;
        return r;
}

static bool file_is_wanted(const Target *t, const char *name) {
        const Value *files = value_get(t->spec, "files");
        bool is_wanted = strcmp(name, "env") == 0 || strcmp(name, "process") == 0 || strcmp(name, t->unit) == 0;
        const Value *credentials = each_credential(t);
        for (size_t i = 0; strncmp(name, "secret-", 7) == 0 && i < value_count(credentials); i++)
                is_wanted |= strcmp(value_get_text_or(value_at(credentials, i), "name", ""), name + 7) == 0;
        for (size_t i = 0; i < value_count(files); i++)
                is_wanted |= strcmp(value_get_text_or(value_at(files, i), "path", ""), name) == 0;
        return is_wanted;
}

int artifact_choose_stale(Recipe *x, Error *err) {
        Target *t = x->target;
        const Manager *file = manager_by_name("file");
        const Value *artifacts = value_get(t->row, "artifacts");
        int r = 0;
        t->stale = value_new_array();
        if (!t->stale)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(artifacts); i++) {
                const Value *artifact = value_at(artifacts, i);
                const char *path = value_get_text(value_get(artifact, "args"), "path");
                bool is_file = value_get_int(artifact, "manager", 0) == file->id && !value_get(artifact, "group");
                ArtifactState state = ARTIFACT_MISSING;
                if (is_file && path && !file_is_wanted(t, path_base(path)))
                        r = artifact_look(x, file, artifact, &state, err);
                if (r < 0 || state == ARTIFACT_MISSING)
                        continue;
                if (state == ARTIFACT_EDITED && !t->overwrite)
                        return error_set(err, -ESTALE, ERR_DRIFT,
                                         "Take it away yourself, or let it go with --overwrite.",
                                         "/%s was edited by hand, and the spec has it no more", path);
                r = value_append_text(t->stale, path, err);
        }
        return r;
}

int artifact_is_there(Recipe *x, const Manager *m, const char *name, const Value *args, Error *err) {
        const Value *old = x->is_asked ? NULL : artifact_find(x->target->row, name);
        ArtifactState state = ARTIFACT_MISSING;
        if (!old)
                return 0;
        bool is_same = value_equal(value_get(old, "args"), args);
        int r = artifact_look(x, m, old, &state, err);
        if (r < 0)
                return r;
        if (state == ARTIFACT_EDITED && !x->target->overwrite) {
                if (!is_same)
                        return error_set(err, -ESTALE, ERR_DRIFT,
                                         "Take the edit into the spec, or write over it with --overwrite.",
                                         "%s was edited by hand, and this would write over it", name);
                engine_say(x->target->engine, LOG_WARNING, "%s was edited by hand and is left as it is", name);
        }
        bool is_kept = is_same && state != ARTIFACT_MISSING && !(state == ARTIFACT_EDITED && x->target->overwrite);
        if (!is_kept)
                return 0;
        r = artifact_keep(x, old, err);
        return r < 0 ? r : 1;
}

int artifact_tree_is_there(Recipe *x, Error *err) {
        char key[ROW_KEY_MAX];
        _cleanup_(value_freep) Value *release = NULL;
        if (!x->target->release_exists)
                return 0;
        int r = row_key(key, "release/%s/%s", x->target->service, x->target->version);
        if (r > 0)
                r = engine_row(x->target->engine, key, &release, err);
        if (r < 0)
                return r;
        const Value *artifact = value_at(value_get(release, "artifacts"), 0);
        r = artifact ? artifact_keep(x, artifact, err) : 0;
        return r < 0 ? r : 1;
}

int artifact_list(Recipe *x, const Step *s, uint32_t step, Error *err) {
        _cleanup_(value_freep) Value *artifact = value_new_map();
        int r;
        if (!artifact)
                return error_no_memory(err);
        if ((r = value_set_text(artifact, "artifact", s->artifact, err)) < 0 ||
            (r = value_set_int(artifact, "manager", s->manager_id, err)) < 0 ||
            (r = value_set_int(artifact, "version", s->version, err)) < 0 ||
            (r = value_set(artifact, "args", value_copy(s->args), err)) < 0 ||
            (r = value_set_int(artifact, "step", step, err)) < 0)
                return r;
        const char *group = s->group > 0 ? x->plan->groups[s->group - 1].name : NULL;
        if ((r = value_set_text(artifact, "group", group, err)) < 0)
                return r;
        return value_append(x->artifacts, TAKE_PTR(artifact), err);
}
