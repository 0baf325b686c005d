/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys as a page to read. */
#include "core/base/text.h"
#include "core/spec.h"
#include "core/spec_keys.h"

#define NAME_WIDTH 22
#define DEFAULT_WIDTH 10
#define DEPTH_MAX 3

static void add_later(Text *t, const SpecKey *keys) {
        const char *between = "";
        for (; keys->name; keys++)
                if (keys->type == SPEC_LATER) {
                        text_addf(t, "%s%s", between, keys->name);
                        between = ", ";
                }
        text_add(t, "\n");
}

static void add_keys(Text *t, const SpecKey *keys, int depth) {
        for (; keys->name && depth < DEPTH_MAX; keys++) {
                if (keys->type == SPEC_LATER)
                        continue;
                const char *otherwise = keys->flags & SPEC_REQUIRED ? "(needed)"
                                        : keys->otherwise           ? keys->otherwise
                                                                    : "-";
                int indent = 2 * depth;
                text_addf(t, "%*s%-*s %-*s  %s", indent, "", NAME_WIDTH - indent, keys->name, DEFAULT_WIDTH, otherwise,
                          keys->text);
                if (keys->choices && keys->type == SPEC_CHOICE)
                        text_addf(t, " [%s]", keys->choices);
                text_add(t, "\n");
                if (keys->keys)
                        add_keys(t, keys->keys, depth + 1);
        }
}

int spec_reference(char **ret, Error *err) {
        _cleanup_text_ Text t = {0};
        text_addf(&t, "%-*s %-*s  %s\n", NAME_WIDTH, "key", DEFAULT_WIDTH, "default", "what it is for");
        add_keys(&t, spec_keys, 0);
        text_add(&t, "\nNot supported yet: ");
        add_later(&t, spec_keys);
        char *text = text_take(&t);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}
