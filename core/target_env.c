/* SPDX-License-Identifier: Apache-2.0 */
/* See target_env.h. Whatever is filled in is a secret from then on: nobody knows what a caller's environment holds. */
#include <errno.h>
#include <string.h>

#include "core/base/env_file.h"
#include "core/base/fs.h"
#include "core/base/seal.h"
#include "core/base/text.h"
#include "core/target_env.h"

#define ENV_FILE_MAX (1u << 20)

/* As in env. Not where such a file is read in general: what pawl writes into one may hold what a caller's
 * environment held. */
static int check_env_file(const Target *t, const char *path, Error *err) {
        for (size_t i = 0; i < value_count(t->env_file); i++) {
                const MapEntry *entry = &t->env_file->map.entries[i];
                if (!text_is_clean(entry->value->bytes.data, entry->value->bytes.size))
                        return error_set(err, -EINVAL, ERR_SPEC, NULL,
                                         "%s: the value of \"%s\" cannot have control characters", path, entry->name);
        }
        return 0;
}

int target_read_env_file(Target *t, Error *err) {
        const char *path = value_get_text(t->spec, "env_file");
        if (!path)
                return 0;
        static const FsNamed named = {.what = "env_file", .code = ERR_SPEC, .hint = "The spec names it as env_file."};
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = fs_read_named(&named, path, ENV_FILE_MAX, &text, &size, err);
        if (r < 0)
                return r;
        r = env_file_parse(text, size, path, true, &t->env_file, err);
        wipe(text, size);
        return r < 0 ? r : check_env_file(t, path, err);
}

/* The end of "${NAME}" or "${NAME:-default}" that begins at p, or NULL when it is none. */
static const char *reference_end(const char *p) {
        return p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
}

static int fill_reference(const char *p, const char *end, Text *out, Error *err) {
        _cleanup_free_ char *name = strndup(p + 2, (size_t)(end - p) - 2);
        if (!name)
                return error_no_memory(err);
        char *otherwise = strstr(name, ":-");
        if (otherwise) {
                *otherwise = '\0';
                otherwise += 2;
        }
        const char *value = getenv(name);
        if (!value && !otherwise)
                return error_set(err, -ENOENT, ERR_SPEC,
                                 "Set it in the environment of this command, or write ${NAME:-default}.",
                                 "the environment has no \"%s\", which the spec asks for", name);
        text_add(out, value ? value : otherwise);
        return 0;
}

/* "$${NAME}" stands for "${NAME}" itself. */
static bool is_literal(const char *p) {
        return p[0] == '$' && reference_end(p + 1);
}

/* 1: there was something to fill in, *ret is the whole as a secret; or something written twice, then it is not. */
static int fill_value(const char *text, Value **ret, Error *err) {
        _cleanup_text_ Text out = {0};
        size_t n = 0, n_literal = 0;
        for (const char *p = text; *p;) {
                if (is_literal(p)) {
                        text_add(&out, "${");
                        p += strlen("$${");
                        n_literal++;
                        continue;
                }
                const char *end = reference_end(p);
                if (!end) {
                        text_add_n(&out, p++, 1);
                        continue;
                }
                int r = fill_reference(p, end, &out, err);
                if (r < 0)
                        return r;
                n++;
                p = end + 1;
        }
        if (n + n_literal == 0)
                return 0;
        _cleanup_free_ char *whole = text_take(&out);
        if (whole)
                *ret = n > 0 ? value_new_secret(whole, strlen(whole)) : value_new_text(whole);
        return *ret ? 1 : error_no_memory(err);
}

int target_choose_env(Target *t, Error *err) {
        const Value *env = value_get(t->spec, "env"), *known = value_get(t->row, "env"),
                    *written = value_path(t->row, "spec.env");
        t->env = value_new_map();
        int r = t->env ? 0 : error_no_memory(err);
        for (size_t i = 0; r >= 0 && i < value_count(env); i++) {
                const MapEntry *entry = &env->map.entries[i];
                Value *filled = NULL;
                Error why = ERROR_INIT;
                const Value *before = value_get(known, entry->name), *text = value_get(written, entry->name);
                bool is_same = before && text && value_is(before, VALUE_SECRET) && value_equal(text, entry->value);
                r = fill_value(value_text(entry->value) ? value_text(entry->value) : "", &filled, &why);
                if (r < 0 && why.code == ERR_SPEC && is_same) {
                        filled = value_copy(before);
                        r = 1;
                }
                if (r < 0)
                        return error_set(err, r, why.code, why.hint, "%s", why.message);
                if (r >= 0)
                        r = value_set(t->env, entry->name, r == 1 ? filled : value_copy(entry->value), err);
        }
        return r < 0 ? r : 0;
}

/* Many webhooks carry their key in the path: what is filled in is a secret. */
static int fill_hook(Target *t, size_t i, Error *err) {
        const Value *hook = value_at(value_get(t->spec, "notify"), i),
                    *before = value_at(value_get(t->row, "hooks"), i);
        const char *url = value_get_text_or(hook, "url", "");
        Value *copy = value_copy(hook), *filled = NULL;
        Error why = ERROR_INIT;
        int r = value_append(t->hooks, copy, err);
        if (r < 0)
                return r;
        r = fill_value(url, &filled, &why);
        bool was_filled = value_is(value_get(before, "url"), VALUE_SECRET);
        if (r < 0 && why.code == ERR_SPEC && was_filled) {
                filled = value_copy(value_get(before, "url"));
                r = 1;
        }
        if (r < 0)
                return error_set(err, r, why.code, why.hint, "%s", why.message);
        return r == 0 ? 0 : value_set(copy, "url", filled, err);
}

int target_choose_hooks(Target *t, Error *err) {
        int r = 0;
        t->hooks = value_new_array();
        if (!t->hooks)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(value_get(t->spec, "notify")); i++)
                r = fill_hook(t, i, err);
        return r;
}

static bool secret_may_come_from(const Value *item, const char *where) {
        const Value *from = value_get(item, "from");
        for (size_t i = 0; i < value_count(from); i++)
                if (strcmp(value_text(value_at(from, i)), where) == 0)
                        return true;
        return value_count(from) == 0;
}

static Value *secret_generated(int64_t length) {
        char text[256];
        random_password(text, (size_t)MIN(length, (int64_t)sizeof(text) - 1));
        Value *v = value_new_secret(text, strlen(text));
        wipe(text, sizeof(text));
        return v;
}

/* Environment, then env_file, then what was chosen before, then a new one. */
static int choose_secret(Target *t, const Value *item, Error *err) {
        const char *name = value_get_text(item, "name"), *given = getenv(name);
        const Value *known = value_get(value_get(t->row, "secrets"), name), *dotenv = value_get(t->env_file, name);
        int64_t generate = value_get_int(item, "generate", 32);
        Value *chosen = NULL;
        if (given && secret_may_come_from(item, "env"))
                chosen = value_new_secret(given, strlen(given));
        else if (dotenv && secret_may_come_from(item, "dotenv"))
                chosen = value_copy(dotenv);
        else if (known && secret_may_come_from(item, "store"))
                chosen = value_copy(known);
        else if (generate > 0) {
                chosen = secret_generated(generate);
                engine_say(t->engine, LOG_NOTE, "%s: generated, **** (stored)", name);
        } else
                return error_set(err, -ENOENT, ERR_SPEC, "Set it in the environment of this command or in env_file.",
                                 "the secret \"%s\" was found nowhere", name);
        return value_set(t->secrets, name, chosen, err);
}

int target_choose_secrets(Target *t, Error *err) {
        const Value *wanted = value_get(t->spec, "secrets");
        t->secrets = value_new_map();
        int r = t->secrets ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < value_count(wanted); i++)
                r = choose_secret(t, value_at(wanted, i), err);
        return r;
}
