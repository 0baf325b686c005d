/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/ask.h"
#include "core/base/text.h"

#define SPECS_DIR "etc/pawl/services.d"

void ask_list_done(AskList *list) {
        for (size_t i = 0; i < list->n; i++) {
                value_free(list->items[i].spec);
                value_free(list->items[i].source);
                free(list->items[i].name);
                free(list->items[i].unit);
                free(list->items[i].service);
        }
        free(list->items);
        *list = (AskList){0};
}

bool ask_kind(const char *word, RequestKind *ret) {
        for (int kind = 0; kind < REQUEST_KIND_COUNT; kind++) {
                if (strcmp(request_name((RequestKind)kind), word) != 0)
                        continue;
                *ret = (RequestKind)kind;
                return true;
        }
        return false;
}

/* The new one, or NULL when memory is out. Valid until the next. */
static Ask *ask_add(AskList *list, RequestKind kind) {
        Ask *items = reallocarray(list->items, list->n + 1, sizeof(Ask));
        if (!items)
                return NULL;
        list->items = items;
        items[list->n] = (Ask){.request.kind = kind};
        return &items[list->n++];
}

/* ---- Blame ------------------------------------------------------------------------------------------------------- */

static bool source_is_missing(const Ask *a) {
        const Value *source = a->source ? a->source : value_get(a->spec, "source");
        const char *path = value_get_text(source, "path");
        struct stat st;
        return path && stat(path, &st) < 0 && errno == ENOENT;
}

int ask_blame(const Ask *a, int r, Error *err) {
        static const int told_by_file[] = {1, 8, 10};
        if (r >= 0 || !err)
                return r;
        if (err->code == ERR_NOT_FOUND && source_is_missing(a)) {
                err->code = a->name ? ERR_SPEC : ERR_USAGE;
                if (!a->name)
                        error_hint(err, "Give a program, a directory, an archive, or a url.");
        }
        for (size_t i = 0; a->name && i < ELEMENTSOF(told_by_file); i++)
                if (error_exit_status(err->code) == told_by_file[i] && !strstr(err->message, a->name))
                        return error_context(err, r, "%s", a->name);
        return r;
}

/* ---- A spec from flags ------------------------------------------------------------------------------------------- */

static int check_env(const char *text, Error *err) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "invalid env var \"%s\": must be KEY=VALUE", text);
        return 0;
}

/* The map is made only where there is something to put in. */
static int env_from_flags(const Options *o, Value *into, Error *err) {
        for (size_t i = 0; i < o->n_given; i++) {
                const char *text = o->given[i].value;
                if (o->given[i].id != FLAG_ENV)
                        continue;
                int r = check_env(text, err);
                if (r < 0)
                        return r;
                _cleanup_free_ char *key = strndup(text, strcspn(text, "="));
                if (!key)
                        return error_no_memory(err);
                Value *env = value_get(into, "env");
                r = env ? 0 : value_set(into, "env", env = value_new_map(), err);
                if (r == 0)
                        r = value_set_text(env, key, strchr(text, '=') + 1, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "dist/web-v1.2.tar.gz" → "web": without folder, archive suffix and version tail. */
static char *name_from_source(const char *source) {
        static const char *const suffixes[] = {".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2",
                                               ".tgz",    ".tar",    ".zip",     ".gz"};
        size_t n = strcspn(source, "?#");
        while (n > 1 && source[n - 1] == '/')
                n--;
        size_t start = n;
        while (start > 0 && source[start - 1] != '/')
                start--;
        char *name = strndup(source + start, n - start);
        for (size_t i = 0; name && i < ELEMENTSOF(suffixes); i++) {
                size_t n_name = strlen(name), n_suffix = strlen(suffixes[i]);
                if (n_name > n_suffix && strcmp(name + n_name - n_suffix, suffixes[i]) == 0)
                        name[n_name - n_suffix] = '\0';
        }
        for (char *s = name; s && *s; s++) {
                const char *digit = s[1] == 'v' ? s + 2 : s + 1;
                if (s > name && (*s == '-' || *s == '_') && *digit >= '0' && *digit <= '9')
                        *s = '\0';
                else if (*s == '_' || (*s >= 'A' && *s <= 'Z'))
                        *s = *s == '_' ? '-' : (char)(*s - 'A' + 'a');
        }
        return name;
}

static bool is_repo(const char *source) {
        return strncmp(source, "github:", 7) == 0 || strncmp(source, "gitea:", 6) == 0;
}

/* "github:owner/Web_App" → "web-app": a repository's name has no version behind it, whatever it looks like. */
static char *name_from_repo(const char *source) {
        const char *begin = strrchr(source, '/');
        char *name = strdup(begin ? begin + 1 : strchr(source, ':') + 1);
        for (char *s = name; s && *s; s++)
                *s = *s == '_' || *s == '.' ? '-' : (char)tolower((unsigned char)*s);
        return name;
}

static int raw_source(const Options *o, const char *source, Value *raw, Error *err) {
        const char *sha256 = option_text(o, FLAG_SHA256), *asset = option_text(o, FLAG_ASSET);
        const char *key = is_repo(source) ? "repo" : strstr(source, "://") ? "url" : "path";
        if (!sha256 && !asset)
                return value_set_text(raw, "source", source, err);
        Value *map = value_new_map();
        int r = value_set(raw, "source", map, err);
        if (r == 0)
                r = value_set_text(map, key, source, err);
        if (r == 0)
                r = value_set_text(map, "asset", asset, err);
        return r < 0 ? r : value_set_text(map, "sha256", sha256, err);
}

static int raw_runtime(const Options *o, Value *raw, Error *err) {
        const char *user = option_text(o, FLAG_USER);
        if (!user && !o->exec)
                return 0;
        Value *runtime = value_new_map(), *exec = NULL;
        int r = value_set(raw, "runtime", runtime, err);
        if (r == 0)
                r = value_set_text(runtime, "user", user, err);
        if (r == 0 && o->exec)
                r = value_set(runtime, "exec", exec = value_new_array(), err);
        for (size_t i = 0; r == 0 && o->exec && i < o->n_exec; i++)
                r = value_append_text(exec, o->exec[i], err);
        return r;
}

static int spec_from_flags(const Options *o, const char *source, Value **ret, Error *err) {
        const char *name = option_text(o, FLAG_NAME);
        _cleanup_free_ char *derived = NULL, *cwd = getcwd(NULL, 0);
        _cleanup_(value_freep) Value *raw = value_new_map();
        if (!name)
                derived = is_repo(source) ? name_from_repo(source) : name_from_source(source);
        int r = raw && cwd && (name || derived) ? value_set_text(raw, "pawl", "1", err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(raw, "name", name ? name : derived, err);
        if (r == 0)
                r = raw_source(o, source, raw, err);
        if (r == 0)
                r = value_set_text(raw, "version", option_text(o, FLAG_VERSION), err);
        if (r == 0)
                r = value_set_text(raw, "port", option_text(o, FLAG_PORT), err);
        if (r == 0)
                r = value_set_text(raw, "health", option_text(o, FLAG_HEALTH), err);
        if (r == 0)
                r = raw_runtime(o, raw, err);
        if (r == 0)
                r = env_from_flags(o, raw, err);
        return r < 0 ? r : spec_from_value(raw, "command line", cwd, ret, err);
}

/* ---- A spec from a file ------------------------------------------------------------------------------------------ */

/* Flags that would need the whole table of keys again. */
static int refuse_flags(const Options *o, Error *err) {
        static const FlagId refused[] = {FLAG_NAME, FLAG_HEALTH, FLAG_USER, FLAG_SHA256, FLAG_ASSET};
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (option_is(o, refused[i]))
                        return error_set(err, -EINVAL, ERR_USAGE, "Write it into the spec.",
                                         "--%s does not go with a spec file", flags[refused[i]].name);
        if (o->exec)
                return error_set(err, -EINVAL, ERR_USAGE, "Write it into the spec as runtime.exec.",
                                 "a program behind \"--\" does not go with a spec file");
        return 0;
}

static int spec_with_flags(const Options *o, const char *path, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *spec = NULL;
        const char *version = option_text(o, FLAG_VERSION);
        uint64_t port = 0;
        int r = refuse_flags(o, err);
        if (r == 0)
                r = option_number(o, FLAG_PORT, 65535, 0, &port, err);
        if (r == 0)
                r = spec_load(path, &spec, err);
        if (r == 0 && version)
                r = version_check(version, err);
        bool is_newest = version && strcmp(version, "latest") == 0 && value_path(spec, "source.repo");
        if (r == 0 && is_newest)
                value_remove(spec, "version");
        if (r == 0 && !is_newest)
                r = value_set_text(spec, "version", version, err);
        if (r == 0 && port > 0)
                r = value_set_int(spec, "port", (int64_t)port, err);
        if (r == 0)
                r = env_from_flags(o, spec, err);
        if (r == 0)
                *ret = TAKE_PTR(spec);
        return r;
}

static bool is_spec_file(const char *word) {
        const char *dot = strrchr(word, '.');
        struct stat st;
        return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0) && stat(word, &st) == 0 &&
               S_ISREG(st.st_mode);
}

/* Looking opens its own engine, so that nothing is made for a word that may be wrong. */
static bool has_owner(Cli *cli) {
        _cleanup_free_ ConfigOverride *overrides = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        EngineOptions options;
        if (cli_engine_options(cli, &options, &overrides, NULL) < 0)
                return false;
        options.access = ENGINE_READ;
        return engine_open(&options, &engine, NULL) == 0 &&
               *value_get_text_or(engine_config(engine), "github.owner", "") != '\0';
}

/* "owner/name", or a name alone where the host knows whose: a repository on GitHub. */
static bool is_repo_word(Cli *cli, const char *word) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        size_t n = strspn(word, letters);
        if (n == 0 || word[0] == '.')
                return false;
        if (!word[n])
                return has_owner(cli);
        size_t m = word[n] == '/' ? strspn(word + n + 1, letters) : 0;
        return m > 0 && !word[n + 1 + m] && word[n + 1] != '.';
}

static int ask_spec(Cli *cli, const char *word, Value **ret, Error *err) {
        struct stat st;
        const Options *o = cli->options;
        if (is_spec_file(word))
                return spec_with_flags(o, word, ret, err);
        if (strstr(word, "://") || is_repo(word) || stat(word, &st) == 0)
                return spec_from_flags(o, word, ret, err);
        if (!is_repo_word(cli, word))
                return error_set(
                        err, -ENOENT, ERR_USAGE,
                        "Give a spec (.yaml), a program, a directory, an archive, a url, or owner/name on GitHub.",
                        "there is no \"%s\"", word);
        _cleanup_free_ char *repo = text_format("github:%s", word);
        return repo ? spec_from_flags(o, repo, ret, err) : error_no_memory(err);
}

/* ---- Apply ------------------------------------------------------------------------------------------------------- */

static int apply_add(const Options *o, const char *path, bool is_named, AskList *list, Error *err) {
        Ask *a = ask_add(list, REQUEST_APPLY);
        if (!a)
                return error_no_memory(err);
        a->name = strdup(path);
        a->r = is_named ? spec_load(path, &a->spec, &a->why) : spec_load_trusted(path, &a->spec, &a->why);
        a->request.spec = a->spec;
        a->request.retry = option_is(o, FLAG_RETRY);
        a->request.overwrite = option_is(o, FLAG_OVERWRITE);
        return a->name ? 0 : error_no_memory(err);
}

static int is_spec_name(const struct dirent *e) {
        const char *dot = strrchr(e->d_name, '.');
        return e->d_name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int compare_bytes(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name); /* in every locale */
}

static int apply_all(Cli *cli, AskList *list, Error *err) {
        const char *root = cli_root(cli);
        _cleanup_free_ char *dir = text_format("%s%s" SPECS_DIR, root, root[strlen(root) - 1] == '/' ? "" : "/");
        struct dirent **entries = NULL;
        int n = dir ? scandir(dir, &entries, is_spec_name, compare_bytes) : -1;
        int r = !dir || (n < 0 && errno == ENOMEM) ? error_no_memory(err) : 0;
        if (r == 0 && n < 0 && errno != ENOENT)
                r = error_set_errno(err, -errno, NULL, "could not read the directory \"%s\"", dir);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = r == 0 ? text_format("%s/%s", dir, entries[i]->d_name) : NULL;
                if (r == 0)
                        r = path ? apply_add(cli->options, path, false, list, err) : error_no_memory(err);
                free(entries[i]);
        }
        free(entries);
        if (r == 0 && n <= 0)
                r = error_set(err, -ENOENT, ERR_USAGE, "Give a file, or put specs there.",
                              "there is no spec (*.yaml, *.yml) in \"%s\"", dir);
        return r;
}

static int ask_apply(Cli *cli, const char *const *words, size_t n_words, AskList *list, Error *err) {
        int r = n_words == 0 ? apply_all(cli, list, err) : 0;
        for (size_t i = 0; r == 0 && i < n_words; i++)
                r = apply_add(cli->options, words[i], true, list, err);
        return r;
}

/* ---- One service ------------------------------------------------------------------------------------------------- */

/* What a source says is spelled out by the same table as in a spec. */
static int ask_source(const char *service, const char *source, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *raw = value_new_map(), *spec = NULL;
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        int r = raw && cwd ? value_set_text(raw, "pawl", "1", err) : error_no_memory(err);
        if (r == 0)
                r = value_set_text(raw, "name", service, err);
        if (r == 0)
                r = value_set_text(raw, "source", source, err);
        if (r == 0)
                r = spec_from_value(raw, "--source", cwd, &spec, err);
        if (r < 0)
                return r;
        *ret = value_copy(value_get(spec, "source"));
        return *ret ? 0 : error_no_memory(err);
}

static int ask_one(const Options *o, const char *service, Ask *a, Error *err) {
        const char *source = option_text(o, FLAG_SOURCE), *version = option_text(o, FLAG_VERSION);
        a->request.service = service;
        a->request.version = version && strcmp(version, "latest") != 0 ? version : NULL;
        a->request.retry = option_is(o, FLAG_RETRY);
        a->request.purge = option_is(o, FLAG_PURGE);
        a->request.overwrite = option_is(o, FLAG_OVERWRITE);
        int r = a->request.version ? version_check(a->request.version, err) : 0;
        if (r == 0 && source)
                r = ask_source(service, source, &a->source, err);
        a->request.source = a->source;
        return r;
}

static int check_one(const Options *o, RequestKind kind, size_t n_words, Error *err) {
        bool is_all = kind == REQUEST_UPGRADE && option_is(o, FLAG_ALL);
        if (is_all && (n_words > 0 || option_is(o, FLAG_VERSION) || option_is(o, FLAG_SOURCE)))
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--all goes with no service, version or source");
        if (!is_all && n_words != 1)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "%s needs one %s", request_name(kind),
                                 kind == REQUEST_DEPLOY    ? "spec, path, url or repository"
                                 : kind == REQUEST_ADOPT   ? "UNIT"
                                 : kind == REQUEST_UPGRADE ? "SERVICE, or --all"
                                                           : "SERVICE");
        return 0;
}

/* "web" and "web.service" mean the same unit; the service has its name. */
static int ask_adopt(const Options *o, const char *word, Ask *a, Error *err) {
        const char *name = option_text(o, FLAG_NAME), *suffix = strstr(word, ".service");
        uint64_t port = 0;
        int r = option_number(o, FLAG_PORT, 65535, 0, &port, err);
        if (r < 0)
                return r;
        bool is_full = suffix && strcmp(suffix, ".service") == 0;
        a->unit = text_format(is_full ? "%s" : "%s.service", word);
        a->service = name ? strdup(name) : strndup(word, is_full ? (size_t)(suffix - word) : strlen(word));
        if (!a->unit || !a->service)
                return error_no_memory(err);
        a->request.unit = a->unit;
        a->request.service = a->service;
        a->request.port = (int64_t)port;
        a->request.version = option_text(o, FLAG_VERSION);
        return a->request.version ? version_check(a->request.version, err) : 0;
}

int ask_build(Cli *cli, RequestKind kind, const char *const *words, size_t n_words, AskList *ret, Error *err) {
        if (kind == REQUEST_APPLY)
                return ask_apply(cli, words, n_words, ret, err);
        int r = check_one(cli->options, kind, n_words, err);
        if (r < 0)
                return r;
        Ask *a = ask_add(ret, kind);
        if (!a)
                return error_no_memory(err);
        if (kind == REQUEST_ADOPT)
                return ask_adopt(cli->options, words[0], a, err);
        if (kind != REQUEST_DEPLOY)
                return ask_one(cli->options, n_words > 0 ? words[0] : NULL, a, err);
        a->name = is_spec_file(words[0]) ? strdup(words[0]) : NULL;
        r = ask_spec(cli, words[0], &a->spec, err);
        a->request.spec = a->spec;
        a->request.overwrite = option_is(cli->options, FLAG_OVERWRITE);
        return r;
}
