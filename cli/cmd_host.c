/* SPDX-License-Identifier: Apache-2.0 */
/* The host and pawl itself. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"
#include "core/base/json.h"
#include "core/base/text.h"

/* ---- Init -------------------------------------------------------------------------------------------------------- */

int cmd_init(Cli *cli, Value **ret, Error *err) {
        _cleanup_free_ ConfigOverride *overrides = NULL;
        EngineOptions options;
        int r = cli_engine_options(cli, &options, &overrides, err);
        return r < 0 ? r : engine_init(&options, ret, err);
}

void show_init(Cli *cli, const Value *result) {
        const Value *made = value_get(result, "made");
        for (size_t i = 0; i < value_count(made); i++) {
                const Value *one = value_at(made, i);
                const char *state = value_get_text_or(one, "state", "?");
                if (!cli->out.is_quiet || strcmp(state, "made") == 0)
                        out_print(&cli->out, "  %-5s  %s\n", state, value_get_text_or(one, "path", "?"));
        }
}

/* ---- Doctor ------------------------------------------------------------------------------------------------------ */

int cmd_doctor(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_doctor(engine, ret, err);
}

void show_doctor(Cli *cli, const Value *result) {
        const Value *checks = value_get(result, "checks");
        for (size_t i = 0; i < value_count(checks); i++) {
                const Value *c = value_at(checks, i);
                const char *state = value_get_text_or(c, "state", "?"), *text = value_get_text(c, "text"),
                           *hint = value_get_text(c, "hint");
                bool is_ok = strcmp(state, "ok") == 0;
                if (is_ok && cli->out.is_quiet)
                        continue;
                OutColour colour = is_ok ? OUT_GREEN : strcmp(state, "warning") == 0 ? OUT_YELLOW : OUT_RED;
                out_print(&cli->out, "%s%-7s%s  %s%s%s\n", out_colour(&cli->out, stdout, colour), state,
                          out_plain(&cli->out, stdout), value_get_text_or(c, "name", "?"), text ? ": " : "",
                          text ? text : "");
                if (!is_ok && hint && *hint)
                        out_print(&cli->out, "         try: %s\n", hint);
        }
}

/* ---- Config ------------------------------------------------------------------------------------------------------ */

int cmd_config(Cli *cli, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map();
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = result ? value_set(result, "config", value_copy(engine_config(engine)), err) : error_no_memory(err);
        if (r == 0 && option_is(cli->options, FLAG_SHOW_ORIGIN))
                r = value_set(result, "origins", value_copy(engine_config_origins(engine)), err);
        if (r == 0)
                *ret = TAKE_PTR(result);
        return r;
}

/* Durations are counted in microseconds inside; a person must read what a file would say. */
static char *config_text(const MapEntry *entry) {
        static const char *const durations[] = {"wait", "notify.timeout"};
        char *text = NULL;
        for (size_t i = 0; i < ELEMENTSOF(durations); i++)
                if (strcmp(durations[i], entry->name) == 0 && value_is(entry->value, VALUE_INT))
                        return text_format("%gs", (double)entry->value->integer / (double)USEC_PER_SEC);
        return json_encode(entry->value, JSON_COMPACT, &text, NULL) == 0 ? text : NULL;
}

void show_config(Cli *cli, const Value *result) {
        const Value *config = value_get(result, "config"), *origins = value_get(result, "origins");
        for (size_t i = 0; i < value_count(config); i++) {
                const MapEntry *entry = &config->map.entries[i];
                const char *origin = value_get_text(origins, entry->name);
                _cleanup_free_ char *text = config_text(entry);
                if (text)
                        out_print(&cli->out, "%s: %s%s%s\n", entry->name, text, origin ? "  # " : "",
                                  origin ? origin : "");
        }
}

/* ---- Version ----------------------------------------------------------------------------------------------------- */

int cmd_version(Cli *cli, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map();
        (void)cli;
        int r = result ? value_set_text(result, "version", PAWL_VERSION, err) : error_no_memory(err);
        if (r == 0)
                *ret = TAKE_PTR(result);
        return r;
}

void show_version(Cli *cli, const Value *result) {
        out_print(&cli->out, "pawl %s\n", value_get_text_or(result, "version", "dev"));
}
