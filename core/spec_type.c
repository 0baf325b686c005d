/* SPDX-License-Identifier: Apache-2.0 */
/* What a type wants, in words. */
#include <errno.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/spec_value.h"

static void say_number(const SpecKey *key, Text *t) {
        text_addf(t, "a number from %lld to %lld", (long long)key->min, (long long)key->max);
}

static void say_count(const SpecKey *key, Text *t) {
        say_number(key, t);
        text_add(t, ", true or false");
}

static void say_port(const SpecKey *key, Text *t) {
        text_addf(t, "a number from 1 to 65535%s", key->automatic ? " or auto" : "");
}

static void say_bool(const SpecKey *key, Text *t) {
        (void)key;
        text_add(t, "true or false");
}

static void say_duration(const SpecKey *key, Text *t) {
        char least[32], most[32];
        duration_format((uint64_t)key->min, least);
        duration_format((uint64_t)key->max, most);
        text_addf(t, "a time from %s to %s, such as 500ms, 10s or 2m", key->min == 0 ? "0s" : least, most);
}

static void say_size(const SpecKey *key, Text *t) {
        (void)key;
        text_add(t, "a size such as 500M or 2GB");
}

static void say_factor(const SpecKey *key, Text *t) {
        text_addf(t, "a number from %lld to %lld, such as 1.5", (long long)key->min / 1000, (long long)key->max / 1000);
}

static void add_choices(const SpecKey *key, Text *t) {
        for (const char *p = key->choices; *p; p++)
                if (*p == ' ')
                        text_add(t, ", ");
                else
                        text_add_n(t, p, 1);
}

static void say_choice(const SpecKey *key, Text *t) {
        text_add(t, strchr(key->choices, ' ') ? "one of " : "");
        add_choices(key, t);
}

static void say_words(const SpecKey *key, Text *t) {
        text_add(t, "a list of ");
        add_choices(key, t);
}

static void say_fixed(const SpecKey *key, Text *t) {
        /* clang-format off */
        static const struct { SpecType type; const char *text; } words[] = {
                {SPEC_MODE,    "an octal mode such as 0644"},
                {SPEC_SHA256,  "64 hex digits"},
                {SPEC_PATH,    "a path"},
                {SPEC_WORKDIR, "an absolute path, or one beginning with a place such as {data}"},
                {SPEC_FILE,    "a file name without \"/\""},
                {SPEC_URL,     "a URL beginning with https:// or http://"},
                {SPEC_FETCH,   "a URL beginning with https://, http:// or file:///, without ${...}"},
                {SPEC_REPO,    "owner/name or a name"},
                {SPEC_ASSET,   "a file name in which {name}, {version}, {os} and {arch} are filled in"},
                {SPEC_SIGNER,  "a minisign public key: the last line of minisign.pub"},
                {SPEC_KEY,     "the name of a variable: letters, digits and _"},
                {SPEC_ARGV,    "a list of texts"},
                {SPEC_ENV,     "a map of texts"},
                {SPEC_MAP,     "a map"},
                {SPEC_LIST,    "a list"},
        };
        /* clang-format on */
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (words[i].type == key->type) {
                        text_add(t, words[i].text);
                        return;
                }
        text_add(t, "a text");
}

/* clang-format off */
static const struct {
        SpecType type;
        void (*say)(const SpecKey *key, Text *t);
} sayings[] = {
        {SPEC_INT,       say_number},
        {SPEC_COUNT,     say_count},
        {SPEC_PORT,      say_port},
        {SPEC_BOOL,      say_bool},
        {SPEC_DURATION,  say_duration},
        {SPEC_SIZE,      say_size},
        {SPEC_FACTOR,    say_factor},
        {SPEC_CHOICE,    say_choice},
        {SPEC_WORDS,     say_words},
};
/* clang-format on */

static void say(const SpecKey *key, Text *t) {
        for (size_t i = 0; i < ELEMENTSOF(sayings); i++)
                if (sayings[i].type == key->type) {
                        sayings[i].say(key, t);
                        return;
                }
        say_fixed(key, t);
}

int spec_refuse_type(const SpecNode *node, const SpecKey *key, Error *err) {
        char shown[SPEC_SHOWN_MAX];
        _cleanup_text_ Text t = {0};
        say(key, &t);
        _cleanup_free_ char *wanted = text_take(&t);
        if (!wanted)
                return error_no_memory(err);
        const char *text = value_text(node->value);
        int r = text ? spec_refuse(node, NULL, err, "\"%s\" must be %s, not \"%s\"", node->path, wanted,
                                   spec_shown(text, shown))
                     : spec_refuse(node, NULL, err, "\"%s\" must be %s, not a %s", node->path, wanted,
                                   value_kind_name(node->value->kind));
        /* The list a person meant when a command line was written. */
        if (text && key->type == SPEC_ARGV)
                error_hint(err, "Write one item per word: [\"bin/program\", \"-p\", \"{port}\"].");
        return r;
}
