/* SPDX-License-Identifier: Apache-2.0 */
/* What happened: flows, and one flow record by record. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"
#include "cli/table.h"

#define HISTORY_LINES 20
#define REASON_MAX 60
#define HISTORY_LINES_MAX 1000000

int cmd_history(Cli *cli, Value **ret, Error *err) {
        const char *service = cli->options->n_words > 0 ? cli->options->words[0] : NULL;
        Engine *engine = NULL;
        uint64_t n = 0;
        int r = option_number(cli->options, FLAG_LINES, HISTORY_LINES_MAX, HISTORY_LINES, &n, err);
        if (r == 0)
                r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_history(engine, service, (size_t)n, ret, err);
}

static void versions_text(const Value *h, char *ret, size_t size) {
        const char *from = value_get_text(h, "from"), *to = value_get_text(h, "to");
        bool is_both = from && to && strcmp(from, to) != 0;
        (void)snprintf(ret, size, "%s%s%s", is_both ? from : "", is_both ? " → " : "", to ? to : from ? from : "");
}

static const char *usec_text(const Value *h, const char *key, char ret[static 32]) {
        int64_t usec = value_get_int(h, key, 0);
        return usec > 0 ? text_duration(usec, ret) : NULL;
}

/* What a crash cut short nobody measured: that is not the same as none. */
static const char *part_text(const Value *h, const char *key, char ret[static 32]) {
        const char *text = usec_text(h, key, ret);
        return !text && value_get_bool(h, "crashed", false) ? "?" : text;
}

static bool has_reason(const Value *history) {
        for (size_t i = 0; i < value_count(history); i++)
                if (value_get_text(value_at(history, i), "reason"))
                        return true;
        return false;
}

void show_history(Cli *cli, const Value *result) {
        /* One service is looked at to know why; among all of them a column that wide is in the way. */
        const char *headings[] = {"TX",     "WHEN", "ACTOR",   "SERVICE", "FLOW",   "VERSIONS",
                                  "RESULT", "TOOK", "EXPOSED", "DOWN",    "REASON", NULL};
        if (cli->options->n_words == 0 || !has_reason(value_get(result, "history")))
                headings[ELEMENTSOF(headings) - 2] = NULL;
        _cleanup_(table_freep) Table *t = table_new(&cli->out, headings);
        const Value *history = value_get(result, "history");
        for (size_t i = 0; i < value_count(history); i++) {
                const Value *h = value_at(history, i);
                _cleanup_free_ char *reason = text_cut(value_get_text(h, "reason"), REASON_MAX);
                char tx[24], when[32], versions[160], took[32], exposed[32], down[32];
                (void)snprintf(tx, sizeof(tx), "%" PRId64, value_get_int(h, "tx", 0));
                versions_text(h, versions, sizeof(versions));
                table_add(t,
                          (const char *[]){tx, text_moment(value_get_int(h, "started", 0), when),
                                           value_get_text(h, "actor"), value_get_text(h, "service"),
                                           value_get_text(h, "flow"), versions, value_get_text(h, "result"),
                                           usec_text(h, "duration_usec", took), part_text(h, "exposure_usec", exposed),
                                           part_text(h, "downtime_usec", down), reason});
        }
        if (value_count(history) == 0)
                out_print(&cli->out, "Nothing was done yet.\n");
        else
                table_print(t);
}

/* ---- One --------------------------------------------------------------------------------------------------------- */

int cmd_show(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        uint64_t tx = 0;
        if (number_parse(cli->options->words[0], INT64_MAX, &tx) < 0)
                return error_set(err, -EINVAL, ERR_USAGE, "\"pawl history\" shows the numbers of transactions.",
                                 "\"%s\" is no transaction", cli->options->words[0]);
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_show(engine, tx, ret, err);
}

void show_transaction(Cli *cli, const Value *t) {
        char versions[160];
        versions_text(t, versions, sizeof(versions));
        out_print(&cli->out, "%" PRId64 "  %s %s%s%s\n", value_get_int(t, "tx", 0), value_get_text_or(t, "flow", "?"),
                  value_get_text_or(t, "service", "?"), *versions ? "  " : "", versions);
        text_label(cli, "Result", value_get_text(t, "result"));
        text_label(cli, "Reason", value_get_text(t, "reason"));
        show_records(cli, t);
}
