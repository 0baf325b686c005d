/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that change a service. Several at once (apply, upgrade --all) are shown one by one as they end. */
#include <errno.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/render_json.h"
#include "cli/render_text.h"
#include "core/base/text.h"

void show_outcome(Cli *cli, const Value *outcome) {
        text_outcome(cli, outcome);
}

/* ---- Several ----------------------------------------------------------------------------------------------------- */

/* What several requests came to: every outcome for JSON, the first error of the highest status for the end. */
typedef struct Several {
        Value *outcomes;
        size_t n_failed;
        int worst, r;
        Error why;
} Several;

static int several_init(Several *s, Error *err) {
        *s = (Several){.outcomes = value_new_array()};
        return s->outcomes ? 0 : error_no_memory(err);
}

static int several_add(Cli *cli, Several *s, const char *name, Value *outcome, int r, const Error *why) {
        _cleanup_(value_freep) Value *shown = outcome ? outcome : value_new_map(), *error = NULL;
        int status = r < 0 ? cli_exit_status(cli, r, why) : 0;
        if (r < 0) {
                s->n_failed++;
                if (status > s->worst) {
                        s->worst = status;
                        s->why = *why;
                        s->r = r;
                }
        }
        if (!cli->out.is_json && r < 0)
                text_error(cli, outcome, why);
        else if (!cli->out.is_json)
                text_outcome(cli, shown);
        if (r < 0 && json_error(why, status, &error) == 0)
                (void)value_set(shown, "error", TAKE_PTR(error), NULL);
        if (!outcome)
                (void)value_set_text(shown, "file", name, NULL);
        return value_append(s->outcomes, TAKE_PTR(shown), NULL);
}

static int several_end(Cli *cli, Several *s, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map(), *outcomes = TAKE_PTR(s->outcomes);
        int r = result ? value_set(result, "outcomes", TAKE_PTR(outcomes), err) : error_no_memory(err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(result);
        cli->is_shown = !cli->out.is_json;
        if (s->r < 0 && err)
                *err = s->why;
        return s->r;
}

/* A signal ends the whole run, and so does a journal that cannot be trusted any more. */
static bool is_end_of_all(int r, const Error *why) {
        static const ErrorCode ends[] = {ERR_HANGUP, ERR_INTERRUPTED, ERR_TERMINATED, ERR_JOURNAL_IO};
        for (size_t i = 0; r < 0 && i < ELEMENTSOF(ends); i++)
                if (ends[i] == why->code)
                        return true;
        return false;
}

/* What is missing was told as a warning; who asks for it has it as an error. */
static int be_strict(const Cli *cli, const Value *outcome, int r, Error *err) {
        const Value *without = value_get(outcome, "without");
        if (r < 0 || !option_is(cli->options, FLAG_STRICT) || value_count(without) == 0)
                return r;
        return error_set(err, -EIO, ERR_INCOMPLETE, "The warning says why; \"pawl apply\" tries again.",
                         "%s is without its %s", value_get_text_or(outcome, "service", "?"),
                         value_text(value_at(without, 0)));
}

static int run_one(Cli *cli, const Ask *a, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_run(engine, &a->request, ret, err);
        return *ret ? be_strict(cli, *ret, r, err) : ask_blame(a, r, err);
}

/* ---- Apply ------------------------------------------------------------------------------------------------------- */

int cmd_apply(Cli *cli, Value **ret, Error *err) {
        _cleanup_ask_list_ AskList asks = {0};
        Several several = {0};
        int r = ask_build(cli, REQUEST_APPLY, cli->options->words, cli->options->n_words, &asks, err);
        if (r == 0)
                r = several_init(&several, err);
        if (r < 0)
                return r;
        bool is_over = false;
        for (size_t i = 0; i < asks.n && !is_over; i++) {
                Ask *a = &asks.items[i];
                Value *outcome = NULL;
                if (a->r == 0)
                        a->r = run_one(cli, a, &outcome, &a->why);
                is_over = is_end_of_all(a->r, &a->why);
                (void)several_add(cli, &several, a->name, outcome, a->r, &a->why);
        }
        return several_end(cli, &several, ret, err);
}

/* ---- Upgrade --all ----------------------------------------------------------------------------------------------- */

static int upgrade_all(Cli *cli, const Request *like, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *services = NULL;
        Several several = {0};
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_services(engine, &services, err);
        if (r == 0)
                r = several_init(&several, err);
        if (r < 0)
                return r;
        bool is_over = false;
        for (size_t i = 0; i < value_count(services) && !is_over; i++) {
                Request request = *like;
                Value *outcome = NULL;
                Error why = ERROR_INIT;
                request.service = value_text(value_at(services, i));
                r = engine_run(engine, &request, &outcome, &why);
                r = be_strict(cli, outcome, r, &why);
                is_over = is_end_of_all(r, &why);
                (void)several_add(cli, &several, request.service, outcome, r, &why);
        }
        return several_end(cli, &several, ret, err);
}

/* ---- Purge ------------------------------------------------------------------------------------------------------- */

/* The only question pawl ever asks. *ret_is_yes is false where the answer is not yes. */
static int ask_purge(Cli *cli, const char *service, bool *ret_is_yes, Error *err) {
        const char *root = cli_root(cli);
        char answer[16] = "";
        *ret_is_yes = option_is(cli->options, FLAG_YES);
        if (*ret_is_yes)
                return 0;
        if (!isatty(STDIN_FILENO) || cli->out.is_json)
                return error_set(err, -EPERM, ERR_REFUSED, "Add --yes.",
                                 "remove --purge deletes the data of \"%s\" and nobody is there to confirm it",
                                 service);
        out_say(&cli->out, "This will delete the data of \"%s\" in %s%svar/lib/pawl-data/%s. Continue? [y/N] ", service,
                root, root[strlen(root) - 1] == '/' ? "" : "/", service);
        if (!fgets(answer, sizeof(answer), stdin))
                out_say(&cli->out, "\n");
        answer[strcspn(answer, "\r\n")] = '\0';
        *ret_is_yes = strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
        return 0;
}

/*
 * Before asking: is there such a service at all? Looking opens its own engine, so that nothing is made for a
 * question.
 */
static int check_service(Cli *cli, const char *service, Error *err) {
        _cleanup_free_ ConfigOverride *overrides = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(value_freep) Value *status = NULL;
        EngineOptions options;
        int r = cli_engine_options(cli, &options, &overrides, err);
        if (r < 0)
                return r;
        options.access = ENGINE_READ;
        r = engine_open(&options, &engine, err);
        return r < 0 ? r : engine_status(engine, service, &status, err);
}

/* A service that was removed keeps its data until somebody says so. */
static bool has_kept_data(Cli *cli, const char *service) {
        _cleanup_free_ char *path = text_format("%s/var/lib/pawl-data/%s", cli_root(cli), service);
        return path && service && !strchr(service, '/') && access(path, F_OK) == 0;
}

static int confirm_purge(Cli *cli, const Request *request, bool *ret_is_yes, Error *err) {
        *ret_is_yes = true;
        if (request->kind != REQUEST_REMOVE || !request->purge)
                return 0;
        int r = check_service(cli, request->service, err);
        if (r == -ENOENT && has_kept_data(cli, request->service))
                r = 0;
        return r < 0 ? r : ask_purge(cli, request->service, ret_is_yes, err);
}

/* ---- The verbs --------------------------------------------------------------------------------------------------- */

int cmd_change(Cli *cli, Value **ret, Error *err) {
        _cleanup_ask_list_ AskList asks = {0};
        RequestKind kind = REQUEST_APPLY;
        bool is_yes = true;
        if (!ask_kind(cli->options->command->name, &kind))
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "there is no flow \"%s\"", cli->options->command->name);
        int r = ask_build(cli, kind, cli->options->words, cli->options->n_words, &asks, err);
        if (r < 0)
                return r;
        if (!asks.items[0].request.service && !asks.items[0].request.spec)
                return upgrade_all(cli, &asks.items[0].request, ret, err);
        r = confirm_purge(cli, &asks.items[0].request, &is_yes, err);
        if (r < 0)
                return r;
        if (!is_yes) {
                cli->is_shown = true;
                cli->status = error_exit_status(ERR_REFUSED);
                out_say(&cli->out, "Aborted.\n");
                return 0;
        }
        return run_one(cli, &asks.items[0], ret, err);
}

int cmd_adopt(Cli *cli, Value **ret, Error *err) {
        return option_is(cli->options, FLAG_DRY_RUN) ? cmd_plan(cli, ret, err) : cmd_change(cli, ret, err);
}
