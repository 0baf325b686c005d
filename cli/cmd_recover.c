/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"

/* clang-format off */
static const struct {
        FlagId flag;
        RecoverMode mode;
        bool needs_tx;
} modes[] = {
        {FLAG_DRY_RUN, RECOVER_DRY_RUN, false},
        {FLAG_FORWARD, RECOVER_FORWARD, true},
        {FLAG_KEEP,    RECOVER_KEEP,    true},
        {FLAG_RESTORE, RECOVER_RESTORE, true},
};
/* clang-format on */

static int parse_step(FlagId flag, const char *text, int64_t *ret, Error *err) {
        uint64_t step = 0;
        if (strcmp(text, "all") != 0 && (number_parse(text, UINT32_MAX, &step) < 0 || step == 0))
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--%s needs the number of a step, or all, not \"%s\"",
                                 flags[flag].name, text);
        *ret = (int64_t)step;
        return 0;
}

static int parse_stage(const Options *o, RecoverRequest *ret, Error *err) {
        bool is_early = option_is(o, FLAG_EARLY), is_late = option_is(o, FLAG_LATE);
        ret->stage = is_early ? RECOVER_EARLY : is_late ? RECOVER_LATE : RECOVER_WHOLE;
        if ((is_early && is_late) || ((is_early || is_late) && (ret->tx != 0 || ret->mode != RECOVER_AUTO)))
                return error_set(err, -EINVAL, ERR_USAGE, NULL,
                                 "--early and --late stand alone: they are about everything that is open");
        return 0;
}

static int parse_request(const Options *o, RecoverRequest *ret, Error *err) {
        size_t n = 0;
        int r = 0;
        *ret = (RecoverRequest){.mode = RECOVER_AUTO};
        if (o->n_words > 0 && (number_parse(o->words[0], INT64_MAX, &ret->tx) < 0 || ret->tx == 0))
                return error_set(err, -EINVAL, ERR_USAGE, "\"pawl recover --dry-run\" lists what is open.",
                                 "\"%s\" is no transaction", o->words[0]);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(modes); i++) {
                const char *value = option_text(o, modes[i].flag);
                if (!option_is(o, modes[i].flag))
                        continue;
                if (n++ > 0)
                        return error_set(err, -EINVAL, ERR_USAGE, NULL,
                                         "--dry-run, --forward, --keep and --restore exclude each other");
                if (modes[i].needs_tx && ret->tx == 0)
                        return error_set(err, -EINVAL, ERR_USAGE, "\"pawl recover --dry-run\" lists what is open.",
                                         "--%s needs the number of a transaction", flags[modes[i].flag].name);
                ret->mode = modes[i].mode;
                r = value ? parse_step(modes[i].flag, value, &ret->step, err) : 0;
        }
        return r < 0 ? r : parse_stage(o, ret, err);
}

int cmd_recover(Cli *cli, Value **ret, Error *err) {
        RecoverRequest request;
        Engine *engine = NULL;
        int r = parse_request(cli->options, &request, err);
        if (r == 0)
                r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_recover(engine, &request, ret, err);
}

static void show_would(Cli *cli, const Value *would) {
        for (size_t i = 0; i < value_count(would); i++) {
                const Value *step = value_at(would, i);
                out_print(&cli->out, "  step %" PRId64 ": %s: %s\n", value_get_int(step, "step", 0),
                          value_get_text_or(step, "verdict", "?"), value_get_text_or(step, "what", "?"));
        }
}

static void show_settled(Cli *cli, const Value *t) {
        const char *from = value_get_text(t, "from"), *to = value_get_text(t, "to");
        bool is_both = from && to && strcmp(from, to) != 0;
        out_print(&cli->out, "%" PRId64 "  %s  %s%s%s%s%s  %s\n", value_get_int(t, "tx", 0),
                  value_get_text_or(t, "service", "?"), value_get_text_or(t, "flow", "?"), to || from ? " " : "",
                  is_both ? from : "", is_both ? " → " : "",
                  to     ? to
                  : from ? from
                         : "",
                  value_get_text_or(t, "result", value_get(t, "would") ? "would be settled" : "?"));
        show_would(cli, value_get(t, "would"));
        text_leftovers(cli, value_get(t, "leftovers"), value_get_int(t, "tx", 0));
}

static void show_told(Cli *cli, const Value *told) {
        for (size_t i = 0; i < value_count(told); i++)
                out_print(&cli->out, "%s\n", value_text(value_at(told, i)) ? value_text(value_at(told, i)) : "?");
}

/* Where nobody watched, nobody has read them yet: a unit at boot is quiet. */
static void show_warnings(Cli *cli, const Value *warnings) {
        for (size_t i = 0; cli->out.is_quiet && i < value_count(warnings); i++)
                out_say(&cli->out, "warning: %s\n", value_text(value_at(warnings, i)));
}

void show_recover(Cli *cli, const Value *report) {
        const Value *transactions = value_get(report, "transactions"), *started = value_get(report, "started");
        bool is_late = option_is(cli->options, FLAG_LATE);
        show_warnings(cli, value_get(report, "warnings"));
        show_told(cli, value_get(report, "told"));
        for (size_t i = 0; !is_late && i < value_count(transactions); i++)
                show_settled(cli, value_at(transactions, i));
        for (size_t i = 0; i < value_count(started); i++)
                out_print(&cli->out, "%s✓%s %s started\n", out_colour(&cli->out, stdout, OUT_GREEN),
                          out_plain(&cli->out, stdout),
                          value_text(value_at(started, i)) ? value_text(value_at(started, i)) : "?");
        if (value_count(transactions) == 0 && value_count(started) == 0 && !cli->out.is_quiet)
                out_print(&cli->out, "Nothing to recover.\n");
}
