/* SPDX-License-Identifier: Apache-2.0 */
/* `plan [KIND] ...`: the same words as the command it stands for, and nothing is changed. */
#include <inttypes.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/render_json.h"
#include "cli/render_text.h"
#include "core/base/text.h"

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

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

/* What the plans came to. One that fails does not keep the others from being shown. */
typedef struct Plans {
        Value *list; /* borrowed */
        bool is_text;
        int r, worst;
        Error why;
} Plans;

static void plan_failed(Cli *cli, Plans *p, const Ask *a, int r, const Error *why) {
        _cleanup_(value_freep) Value *item = value_new_map(), *error = NULL;
        int status = cli_exit_status(cli, r, why);
        if (p->is_text)
                text_error(cli, NULL, why);
        if (item && json_error(why, status, &error) == 0 && value_set(item, "error", TAKE_PTR(error), NULL) == 0 &&
            value_set_text(item, a->name ? "file" : "service", a->name ? a->name : a->request.service, NULL) == 0)
                (void)value_append(p->list, TAKE_PTR(item), NULL);
        if (p->r == 0 || status > p->worst) {
                p->r = r;
                p->worst = status;
                p->why = *why;
        }
}

static void plan_add(Cli *cli, Plans *p, const Ask *a) {
        Engine *engine = NULL;
        Value *plan = NULL;
        Error why = a->why;
        int r = a->r;
        if (r == 0)
                r = cli_engine(cli, &engine, &why);
        if (r == 0)
                r = ask_blame(a, engine_plan(engine, &a->request, &plan, &why), &why);
        if (r == 0 && p->is_text)
                show_one(cli, plan);
        if (r == 0)
                r = value_append(p->list, plan, &why);
        if (r < 0)
                plan_failed(cli, p, a, r, &why);
}

/* `plan upgrade --all`: one request per service. */
static int plan_all(Cli *cli, Plans *p, const Ask *like, Error *err) {
        _cleanup_(value_freep) Value *services = NULL;
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_services(engine, &services, err);
        for (size_t i = 0; r == 0 && i < value_count(services); i++) {
                Ask a = {.request = like->request};
                a.request.service = value_text(value_at(services, i));
                plan_add(cli, p, &a);
        }
        return r;
}

int cmd_plan(Cli *cli, Value **ret, Error *err) {
        _cleanup_ask_list_ AskList asks = {0};
        _cleanup_(value_freep) Value *result = value_new_map();
        const Options *o = cli->options;
        RequestKind kind = REQUEST_APPLY;
        bool is_named = ask_kind(o->command->name, &kind); /* a command with --dry-run */
        size_t n_skip = !is_named && o->n_words > 0 && ask_kind(o->words[0], &kind) ? 1 : 0;
        Plans plans = {.list = value_new_array(), .is_text = !cli->out.is_json};
        int r = result ? value_set(result, "plans", plans.list, err) : error_no_memory(err);
        if (r == 0)
                r = ask_build(cli, kind, o->words + n_skip, o->n_words - n_skip, &asks, err);
        for (size_t i = 0; r == 0 && i < asks.n; i++) {
                const Ask *a = &asks.items[i];
                if (!a->request.service && !a->request.spec && a->r == 0)
                        r = plan_all(cli, &plans, a, err);
                else
                        plan_add(cli, &plans, a);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        cli->is_shown = plans.is_text;
        if (plans.r < 0 && err)
                *err = plans.why;
        return plans.r;
}
