/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/commands.h"
#include "cli/render_json.h"
#include "core/base/clock.h"
#include "core/base/json.h"

/* Moments of the wall clock, which the engine counts in microseconds; programs read RFC 3339. */
static const char *const moments[] = {"started", "ended", "deployed", "updated", "time", "since"};

static void spell_moment(MapEntry *entry) {
        char text[32];
        if (!entry->name || !value_is(entry->value, VALUE_INT))
                return;
        for (size_t i = 0; i < ELEMENTSOF(moments); i++) {
                if (strcmp(entry->name, moments[i]) != 0)
                        continue;
                clock_format_utc(entry->value->integer, text);
                Value *spelled = value_new_text(text);
                if (!spelled)
                        return;
                value_free(entry->value);
                entry->value = spelled;
        }
}

static void spell_moments(Value *v) {
        for (size_t i = 0; value_is(v, VALUE_ARRAY) && i < value_count(v); i++)
                spell_moments(value_at(v, i));
        for (size_t i = 0; value_is(v, VALUE_MAP) && i < value_count(v); i++) {
                spell_moment(&v->map.entries[i]);
                spell_moments(v->map.entries[i].value);
        }
}

int json_error(const Error *err, int status, Value **ret) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r = v ? value_set_text(v, "code", error_slug(err->code), NULL) : error_no_memory(NULL);
        if (r == 0)
                r = value_set_text(v, "message", err->message, NULL);
        if (r == 0)
                r = value_set_text(v, "hint", error_way_out(err), NULL);
        if (r == 0 && *err->detail)
                r = value_set_text(v, "detail", err->detail, NULL);
        if (r == 0)
                r = value_set_int(v, "exit", status, NULL);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

static int json_build(const Cli *cli, Value *result, Value *error, Value **ret) {
        _cleanup_(value_freep) Value *v = value_new_map(), *taken = result, *taken_error = error;
        Value *warnings = value_copy(value_get(result, "warnings"));
        int r = v ? value_set_int(v, "pawl", 1, NULL) : error_no_memory(NULL);
        if (r == 0 && cli->options->command)
                r = value_set_text(v, "command", cli->options->command->name, NULL);
        else if (r == 0)
                r = value_set(v, "command", value_new_null(), NULL);
        spell_moments(taken);
        if (r == 0)
                r = value_set(v, "result", taken ? TAKE_PTR(taken) : value_new_null(), NULL);
        if (r == 0)
                r = value_set(v, "warnings", warnings ? TAKE_PTR(warnings) : value_new_array(), NULL);
        if (r == 0)
                r = value_set(v, "error", taken_error ? TAKE_PTR(taken_error) : value_new_null(), NULL);
        value_free(warnings);
        if (r == 0)
                *ret = TAKE_PTR(v);
        return r;
}

void json_answer(Cli *cli, Value *result, int r, const Error *err, int status) {
        _cleanup_(value_freep) Value *v = NULL;
        _cleanup_free_ char *text = NULL;
        Value *error = NULL;
        int q = r < 0 ? json_error(err, status, &error) : 0;
        if (q < 0)
                value_free(result);
        else
                q = json_build(cli, result, error, &v);
        if (q == 0)
                q = json_encode(v, JSON_PRETTY, &text, NULL);
        if (q == 0) {
                out_raw(&cli->out, text, strlen(text));
                out_raw(&cli->out, "\n", 1);
        } else
                out_say(&cli->out, "pawl: out of memory\n");
}
