/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers over one another: each later one replaces single keys and takes over as their origin. All speak of values as
 * texts; one table types them.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/field.h"
#include "core/base/fs.h"
#include "core/base/text.h"
#include "core/config.h"
#include "core/route.h"
#include "core/spec_value.h"
#include "core/trust.h"

#define CONFIG_FOLDER "etc/pawl"
#define CONFIG_FILE "etc/pawl/pawl.yaml"
#define CONFIG_DIRECTORY "etc/pawl/conf.d"
#define CONFIG_SIZE_MAX (1u << 20)
#define CONFIG_NAME_MAX 128
#define CONFIG_INT_MAX 1000000
#define PREFIX_MAX 6 /* with a service name of 26 characters: what a user name may have */

typedef enum ConfigType {
        CONFIG_TEXT,
        CONFIG_INT,
        CONFIG_DURATION,
        CONFIG_BOOL,
        CONFIG_RANGE,
} ConfigType;

typedef struct ConfigKey {
        const char *name;
        ConfigType type;
        const char *otherwise, *text;
} ConfigKey;

static const ConfigKey config_keys[] = {
#define CONFIG(key, type, otherwise, text) {key, type, otherwise, text},
#include "core/config.def"
#undef CONFIG
};
#define N_KEYS ELEMENTSOF(config_keys)

typedef struct Config {
        Value *values, *origins; /* owned */
        unsigned seen[N_KEYS];   /* the layer that set each last: a layer may do so once */
        unsigned layer;
        Error *err;
} Config;

static void config_done(Config *c) {
        value_free(c->values);
        value_free(c->origins);
}

/* What the shared readers call an error of the spec is one of the configuration here. */
static int as_config(int r, Error *err) {
        if (r < 0 && err && err->code == ERR_SPEC)
                err->code = ERR_CONFIG;
        return r;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static bool is_exit_codes(const char *s) {
        return strcmp(s, "detailed") == 0 || strcmp(s, "simple") == 0;
}

static bool is_prefix(const char *s) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
        return n > 0 && n <= PREFIX_MAX && !s[n] && islower((unsigned char)s[0]) && !strstr(s, "--");
}

static bool is_absolute(const char *s) {
        return !*s || *s == '/';
}

/* A place on the host, as a path of a step may be. */
static bool is_place(const char *s) {
        return *s == '/' && path_is_safe(s + 1);
}

static bool is_layout(const char *s) {
        return strcmp(s, "auto") == 0 || strcmp(s, "sites") == 0 || strcmp(s, "conf.d") == 0;
}

static bool is_url(const char *s) {
        return !*s || strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0;
}

/* clang-format off */
static const struct {
        const char *name;
        bool (*is_fine)(const char *s);
        const char *rule;
} text_rules[] = {
        {"exit_codes",        is_exit_codes,         "detailed or simple"},
        {"naming.prefix",     is_prefix,             "1 to 6 characters of a to z, 0 to 9 and single hyphens, with a letter in front"},
        {"http.ca_file",      is_absolute,           "an absolute path"},
        {"notify.url",        is_url,                "a URL beginning with https:// or http://"},
        {"github.url",        is_url,                "a URL beginning with https:// or http://"},
        {"gitea.url",         is_url,                "a URL beginning with https:// or http://"},
        {"github.ca_file",    is_absolute,           "an absolute path"},
        {"gitea.ca_file",     is_absolute,           "an absolute path"},
        {"github.token_file", is_absolute,           "an absolute path"},
        {"gitea.token_file",  is_absolute,           "an absolute path"},
        {"nginx.dir",         is_place,              "an absolute path"},
        {"nginx.layout",      is_layout,             "auto, sites or conf.d"},
        {"nginx.pid",         is_place,              "an absolute path"},
        {"nginx.error_log",   is_place,              "an absolute path"},
        {"nginx.listen",      route_listen_is_valid, "addresses as nginx has them, such as 80 [::]:80"},
        {"nginx.listen_tls",  route_listen_is_valid, "addresses as nginx has them, such as 443 [::]:443"},
};
/* clang-format on */

static int read_text(const SpecNode *node, Value **ret, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        const char *text = value_text(node->value);
        if (!text)
                return spec_refuse(node, NULL, err, "\"%s\" must be a text, not a %s", node->path,
                                   value_kind_name(node->value->kind));
        if (!text_is_clean(text, strlen(text)) || strchr(text, '\n'))
                return spec_refuse(node, NULL, err, "\"%s\" cannot have control characters or several lines",
                                   node->path);
        for (size_t i = 0; i < ELEMENTSOF(text_rules); i++)
                if (strcmp(text_rules[i].name, node->path) == 0 && !text_rules[i].is_fine(text))
                        return spec_refuse(node, NULL, err, "\"%s\" must be %s, not \"%s\"", node->path,
                                           text_rules[i].rule, spec_shown(text, shown));
        *ret = value_new_text(text);
        return *ret ? 0 : error_no_memory(err);
}

static int read_range(const SpecNode *node, Value **ret, Error *err) {
        static const SpecKey port = {.type = SPEC_INT, .min = 1, .max = 65535};
        _cleanup_(value_freep) Value *range = value_new_array();
        if (!range)
                return error_no_memory(err);
        if (!value_is(node->value, VALUE_ARRAY) || value_count(node->value) != 2)
                return spec_refuse(node, NULL, err, "\"%s\" must be a list of two numbers, such as [3000, 4000]",
                                   node->path);
        for (size_t i = 0; i < 2; i++) {
                Value *item = NULL;
                SpecNode child = spec_child(node, i, NULL);
                int r = spec_read_scalar(&child, &port, &item, err);
                if (r == 0)
                        r = value_append(range, item, err);
                if (r < 0)
                        return r;
        }
        if (value_at(range, 0)->integer >= value_at(range, 1)->integer)
                return spec_refuse(node,
                                   "The second number is the first one that is not used: [3000, 3001] is port 3000.",
                                   err, "\"%s\" is empty: it must go from a lower to a higher number", node->path);
        *ret = TAKE_PTR(range);
        return 0;
}

static int read_value(const SpecNode *node, const ConfigKey *key, Value **ret, Error *err) {
        static const SpecKey number = {.type = SPEC_INT, .min = 1, .max = CONFIG_INT_MAX};
        static const SpecKey duration = {.type = SPEC_DURATION, .min = 0, .max = 30 * 86400 * (int64_t)USEC_PER_SEC};
        static const SpecKey truth = {.type = SPEC_BOOL};
        switch (key->type) {
        case CONFIG_TEXT:
                return read_text(node, ret, err);
        case CONFIG_INT:
                return spec_read_scalar(node, &number, ret, err);
        case CONFIG_DURATION:
                return spec_read_scalar(node, &duration, ret, err);
        case CONFIG_BOOL:
                return spec_read_scalar(node, &truth, ret, err);
        case CONFIG_RANGE:
                return read_range(node, ret, err);
        }
        return error_set(err, -EINVAL, ERR_CONFIG, NULL, "\"%s\" has no type", key->name);
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

static const ConfigKey *key_find(const char *name) {
        for (size_t i = 0; i < N_KEYS; i++)
                if (strcmp(config_keys[i].name, name) == 0)
                        return &config_keys[i];
        return NULL;
}

static bool is_above_key(const char *name) {
        size_t n = strlen(name);
        for (size_t i = 0; i < N_KEYS; i++)
                if (strncmp(config_keys[i].name, name, n) == 0 && config_keys[i].name[n] == '.')
                        return true;
        return false;
}

static int refuse_no_key(const SpecNode *node, Error *err) {
        const char *names[N_KEYS + 1] = {NULL};
        for (size_t i = 0; i < N_KEYS; i++)
                names[i] = config_keys[i].name;
        const char *near = text_nearest(node->path, names);
        int r = spec_refuse_key(node, NULL, err, "there is no key \"%s\"", node->path);
        if (near)
                error_hint(err, "Did you mean \"%s\"?", near);
        return r;
}

static int config_set(Config *c, const SpecNode *node, const ConfigKey *key) {
        Value *v = NULL;
        size_t i = (size_t)(key - config_keys);
        if (c->seen[i] == c->layer)
                return spec_refuse_key(node, "Keep one of the two.", c->err, "the key \"%s\" is there twice",
                                       key->name);
        c->seen[i] = c->layer;
        int r = read_value(node, key, &v, c->err);
        if (r == 0)
                r = value_set(c->values, key->name, v, c->err);
        if (r < 0)
                return r;
        Value *origin = node->mark ? value_new_format("%s:%u", node->reader->file, node->mark->key_line)
                                   : value_new_text(node->reader->file);
        return value_set(c->origins, key->name, origin, c->err);
}

static int config_walk(Config *c, const SpecNode *node) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(node->value); i++) {
                const char *name = node->value->map.entries[i].name;
                SpecNode child = spec_child(node, i, name);
                const ConfigKey *key = key_find(child.path);
                if (!key && !is_above_key(child.path))
                        return refuse_no_key(&child, c->err);
                if (value_is(child.value, VALUE_NULL))
                        continue;
                if (!key && !value_is(child.value, VALUE_MAP))
                        return spec_refuse(&child, NULL, c->err, "\"%s\" must be a map", child.path);
                r = key ? config_set(c, &child, key) : config_walk(c, &child);
        }
        return r;
}

/* ---- Layers ------------------------------------------------------------------------------------------------------ */

/* A value that came as one text: of a default, a variable, a flag. */
static int config_set_text(Config *c, const ConfigKey *key, const char *text, const char *origin) {
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_(yaml_mark_done) YamlMark mark = {0};
        const SpecReader reader = {.file = origin};
        SpecNode node = {.reader = &reader};
        (void)snprintf(node.path, sizeof(node.path), "%s", key->name);
        int r = 0;
        if (key->type == CONFIG_RANGE)
                r = yaml_parse(text, strlen(text), origin, &v, &mark, c->err);
        else
                v = value_new_text(text);
        if (r < 0)
                return r;
        if (!v)
                return error_no_memory(c->err);
        node.value = v;
        c->layer++;
        return config_set(c, &node, key);
}

static int load_defaults(Config *c) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < N_KEYS; i++)
                r = config_set_text(c, &config_keys[i], config_keys[i].otherwise, "default");
        return r;
}

/* A missing file is an empty one. */
static int load_file(Config *c, int root, const char *path) {
        _cleanup_free_ char *text = NULL, *shown = text_format("/%s", path);
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_(yaml_mark_done) YamlMark mark = {0};
        size_t size;
        if (!shown)
                return error_no_memory(c->err);
        bool is_there = false;
        int r = fs_has(root, path, &is_there, c->err);
        if (!is_there)
                return r;
        _cleanup_close_ int fd = fs_open(root, path, O_RDONLY | O_NONBLOCK, c->err);
        struct stat st;
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return error_set_errno(c->err, -errno, NULL, "could not look at \"%s\"", shown);
        if (!S_ISREG(st.st_mode))
                return error_set(c->err, -EINVAL, ERR_CONFIG, NULL, "\"%s\" is not a file", shown);
        r = trust_check(&st, shown, ERR_CONFIG, c->err);
        if (r < 0)
                return r;
        r = fs_read_fd(fd, CONFIG_SIZE_MAX, &text, &size, c->err);
        if (r == -EFBIG)
                return error_set(c->err, r, ERR_CONFIG, NULL, "%s:1:1: this file is larger than 1 MiB", shown);
        if (r < 0)
                return error_context(c->err, r, "could not read \"%s\"", shown);
        r = yaml_parse(text, size, shown, &v, &mark, c->err);
        if (r < 0)
                return r;
        const SpecReader reader = {.file = shown};
        const SpecNode node = {.reader = &reader, .value = v, .mark = &mark};
        if (!value_is(v, VALUE_MAP) && !value_is(v, VALUE_NULL))
                return spec_refuse(&node, NULL, c->err, "the configuration must be a map, not a %s",
                                   value_kind_name(v->kind));
        c->layer++;
        return config_walk(c, &node);
}

static int is_yaml(const struct dirent *e) {
        size_t n = strlen(e->d_name);
        return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static int compare_bytes(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name); /* in every locale */
}

static int check_folder(Config *c, int root, const char *path) {
        char shown[PATH_MAX];
        struct stat st;
        int r = fs_stat(root, path, &st, c->err);
        (void)snprintf(shown, sizeof(shown), "/%s", path);
        return r < 0 ? r : trust_check(&st, shown, ERR_CONFIG, c->err);
}

static int load_directory(Config *c, int root) {
        bool is_there = false;
        int r = fs_has(root, CONFIG_DIRECTORY, &is_there, c->err);
        if (!is_there)
                return r;
        r = check_folder(c, root, CONFIG_DIRECTORY);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = fs_open_dir(root, CONFIG_DIRECTORY, c->err);
        if (fd < 0)
                return fd;
        struct dirent **entries = NULL;
        int n = scandirat(fd, ".", &entries, is_yaml, compare_bytes);
        r = n < 0 ? error_set_errno(c->err, -errno, NULL, "could not read the directory \"/%s\"", CONFIG_DIRECTORY) : 0;
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = r == 0 ? text_format("%s/%s", CONFIG_DIRECTORY, entries[i]->d_name) : NULL;
                if (r == 0)
                        r = path ? load_file(c, root, path) : error_no_memory(c->err);
                free(entries[i]);
        }
        free(entries);
        return r;
}

/* ports.range → PAWL_PORTS_RANGE */
static void variable_of(const char *key, char ret[static CONFIG_NAME_MAX]) {
        size_t n = (size_t)snprintf(ret, CONFIG_NAME_MAX, "PAWL_%s", key);
        for (size_t i = 0; i < MIN(n, (size_t)CONFIG_NAME_MAX - 1); i++)
                ret[i] = ret[i] == '.' ? '_' : (char)toupper((unsigned char)ret[i]);
}

static int load_environment(Config *c) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < N_KEYS; i++) {
                char name[CONFIG_NAME_MAX];
                variable_of(config_keys[i].name, name);
                const char *text = getenv(name);
                if (text)
                        r = config_set_text(c, &config_keys[i], text, name);
        }
        return r;
}

static int load_override(Config *c, const ConfigOverride *o) {
        const ConfigKey *key = key_find(o->key);
        if (key)
                return config_set_text(c, key, o->value, o->origin);
        const SpecReader reader = {.file = o->origin};
        SpecNode node = {.reader = &reader};
        char shown[SPEC_SHOWN_MAX];
        (void)snprintf(node.path, sizeof(node.path), "%s", spec_shown(o->key, shown));
        return refuse_no_key(&node, c->err);
}

static int config_layers(Config *c, int root, const ConfigOverride *overrides, size_t n_overrides) {
        bool is_there = false;
        int r = load_defaults(c);
        if (r == 0)
                r = fs_has(root, CONFIG_FOLDER, &is_there, c->err);
        if (r == 0 && is_there)
                r = check_folder(c, root, CONFIG_FOLDER);
        if (r == 0)
                r = load_file(c, root, CONFIG_FILE);
        if (r == 0)
                r = load_directory(c, root);
        if (r == 0)
                r = load_environment(c);
        for (size_t i = 0; r == 0 && i < n_overrides; i++)
                r = load_override(c, &overrides[i]);
        return r;
}

int config_load(int root, const ConfigOverride *overrides, size_t n_overrides, Value **ret, Value **ret_origins,
                Error *err) {
        _cleanup_(config_done) Config c = {.values = value_new_map(), .origins = value_new_map(), .err = err};
        if (!c.values || !c.origins)
                return error_no_memory(err);
        int r = config_layers(&c, root, overrides, n_overrides);
        if (r < 0)
                return as_config(r, err);
        *ret = TAKE_PTR(c.values);
        if (ret_origins)
                *ret_origins = TAKE_PTR(c.origins);
        return 0;
}

int config_defaults(Value **ret, Value **ret_origins, Error *err) {
        _cleanup_(config_done) Config c = {.values = value_new_map(), .origins = value_new_map(), .err = err};
        int r = c.values && c.origins ? load_defaults(&c) : error_no_memory(err);
        if (r < 0)
                return as_config(r, err);
        *ret = TAKE_PTR(c.values);
        *ret_origins = TAKE_PTR(c.origins);
        return 0;
}

int config_template(char **ret, Error *err) {
        _cleanup_text_ Text t = {0};
        text_add(&t, "# Configuration of pawl on this host. Every key is shown with its default.\n");
        for (size_t i = 0; i < N_KEYS; i++) {
                const ConfigKey *key = &config_keys[i];
                const char *text = key->otherwise;
                const char *quote = key->type == CONFIG_TEXT && (!*text || *text == '{') ? "\"" : "";
                text_addf(&t, "\n# %s\n#%s: %s%s%s\n", key->text, key->name, quote, text, quote);
        }
        char *text = text_take(&t);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}
