/* SPDX-License-Identifier: Apache-2.0 */
/* `plan [KIND] ...`: the same words as the command it stands for, and nothing is changed. */
#include <inttypes.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/render_text.h"
#include "core/base/text.h"

static int plan_add(Cli *cli, Ask *a, Value *plans, Error *err) {
        Engine *engine = NULL;
        Value *plan = NULL;
        if (a->r < 0) {
                if (err)
                        *err = a->why;
                return a->r;
        }
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_plan(engine, &a->request, &plan, err);
        return r < 0 ? r : value_append(plans, plan, err);
}

/* `plan upgrade --all`: one request per service. */
static int plan_all(Cli *cli, const Ask *like, Value *plans, Error *err) {
        _cleanup_(value_freep) Value *services = NULL;
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_services(engine, &services, err);
        for (size_t i = 0; r == 0 && i < value_count(services); i++) {
                Ask a = {.request = like->request};
                a.request.service = value_text(value_at(services, i));
                r = plan_add(cli, &a, plans, err);
        }
        return r;
}

int cmd_plan(Cli *cli, Value **ret, Error *err) {
        _cleanup_ask_list_ AskList asks = {0};
        _cleanup_(value_freep) Value *result = value_new_map();
        const Options *o = cli->options;
        RequestKind kind = REQUEST_APPLY;
        size_t n_skip = o->n_words > 0 && ask_kind(o->words[0], &kind) ? 1 : 0;
        Value *plans = value_new_array();
        int r = result ? value_set(result, "plans", plans, err) : error_no_memory(err);
        if (r == 0)
                r = ask_build(cli, kind, o->words + n_skip, o->n_words - n_skip, &asks, err);
        for (size_t i = 0; r == 0 && i < asks.n; i++) {
                bool is_all = !asks.items[i].request.service && !asks.items[i].request.spec && asks.items[i].r == 0;
                r = is_all ? plan_all(cli, &asks.items[i], plans, err) : plan_add(cli, &asks.items[i], plans, err);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        return 0;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static void show_step(Cli *cli, const Value *step) {
        const char *debt = value_get_text(step, "debt"), *group = value_get_text(step, "group"),
                   *kind = value_get_text_or(step, "kind", "");
        out_print(&cli->out, "  %2" PRId64 "  %-7s %s%s%s", value_get_int(step, "n", 0), kind, debt ? debt : "",
                  debt ? ": " : "", value_get_text_or(step, "what", "?"));
        if (group && !value_get_bool(step, "required", true))
                out_print(&cli->out, "  (%s, may fail)", group);
        out_print(&cli->out, "\n");
}

static void show_texts(Cli *cli, const char *label, const Value *list) {
        for (size_t i = 0; i < value_count(list); i++)
                out_print(&cli->out, "  %s: %s\n", label,
                          value_text(value_at(list, i)) ? value_text(value_at(list, i)) : "?");
}

static void show_one(Cli *cli, const Value *plan) {
        const char *result = value_get_text_or(plan, "result", "plan"), *from = value_get_text(plan, "from"),
                   *to = value_get_text(plan, "to");
        if (strcmp(result, "plan") != 0) {
                text_outcome(cli, plan);
                return;
        }
        out_print(&cli->out, "%s: %s%s%s%s%s\n", value_get_text_or(plan, "service", "?"),
                  value_get_text_or(plan, "flow", "?"), from || to ? " " : "", from ? from : "",
                  from && to ? " → " : "", to ? to : "");
        for (size_t i = 0; i < value_count(value_get(plan, "steps")); i++)
                show_step(cli, value_at(value_get(plan, "steps"), i));
        show_texts(cli, "keeps", value_get(plan, "kept"));
        show_texts(cli, "note", value_get(plan, "remarks"));
}

void show_plan(Cli *cli, const Value *result) {
        const Value *plans = value_get(result, "plans");
        for (size_t i = 0; i < value_count(plans); i++)
                show_one(cli, value_at(plans, i));
}
