/* SPDX-License-Identifier: Apache-2.0 */
/* The journal itself, for those who want to see it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "core/base/text.h"

#define RECORDS_SHOWN 50
#define RECORDS_MAX 1000000
#define WHY_MAX 160

int cmd_journal_list(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        uint64_t from = 0, n = 0;
        int r = option_number(cli->options, FLAG_FROM, INT64_MAX, 0, &from, err);
        if (r == 0)
                r = option_number(cli->options, FLAG_LINES, RECORDS_MAX, RECORDS_SHOWN, &n, err);
        if (r == 0)
                r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_journal_list(engine, from, (size_t)n, ret, err);
}

int cmd_journal_show(Cli *cli, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *list = NULL;
        Engine *engine = NULL;
        uint64_t seq = 0;
        if (number_parse(cli->options->words[0], INT64_MAX, &seq) < 0 || seq == 0)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "\"%s\" is no record", cli->options->words[0]);
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_journal_list(engine, seq, 1, &list, err);
        if (r < 0)
                return r;
        const Value *record = value_at(value_get(list, "records"), 0);
        if (!record || value_get_int(record, "seq", 0) != (int64_t)seq)
                return error_set(err, -ENOENT, ERR_NO_TRANSACTION, "\"pawl journal list\" shows what there is.",
                                 "there is no record %" PRIu64, seq);
        *ret = value_copy(record);
        return *ret ? 0 : error_no_memory(err);
}

int cmd_journal_verify(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_journal_verify(engine, ret, err);
}

int cmd_journal_rebuild(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_journal_rebuild(engine, ret, err);
}

int cmd_journal_repair(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_journal_repair(engine, ret, err);
}

/* ---- Export ------------------------------------------------------------------------------------------------------ */

static void export_line(void *userdata, const char *text) {
        Cli *cli = userdata;
        out_raw(&cli->out, text, strlen(text));
        out_raw(&cli->out, "\n", 1);
        if (out_has_failed(&cli->out))
                signals_cancel(SIGPIPE);
}

/* JSON Lines by nature: with --json there is no object around it, only an error would be one. */
int cmd_journal_export(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        (void)ret;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_journal_export(engine, export_line, cli, err);
        cli->is_shown = r == 0;
        return r;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/* "point …/current to v2: it points elsewhere": the step, and why it failed. */
static char *record_what(const Value *record) {
        const Value *body = value_get(record, "body");
        const char *what = value_get_text(record, "what"),
                   *why = value_get_text_or(body, "message", value_get_text(body, "text"));
        _cleanup_free_ char *cut = text_cut(why, WHY_MAX);
        return text_format("%s%s%s", what ? what : "", what && cut ? ": " : "", cut ? cut : "");
}

void show_records(Cli *cli, const Value *list) {
        static const char *const headings[] = {"SEQ", "WHEN", "TX", "RECORD", "STEP", "WHAT", NULL};
        _cleanup_(table_freep) Table *t = table_new(&cli->out, headings);
        const Value *records = value_get(list, "records");
        for (size_t i = 0; i < value_count(records); i++) {
                const Value *one = value_at(records, i);
                char seq[24], when[32], tx[24] = "", step[24] = "";
                (void)snprintf(seq, sizeof(seq), "%" PRId64, value_get_int(one, "seq", 0));
                _cleanup_free_ char *what = record_what(one);
                if (value_get_int(one, "tx", 0) > 0)
                        (void)snprintf(tx, sizeof(tx), "%" PRId64, value_get_int(one, "tx", 0));
                if (value_get_int(one, "step", 0) > 0)
                        (void)snprintf(step, sizeof(step), "%" PRId64, value_get_int(one, "step", 0));
                table_add(t, (const char *[]){seq, text_moment(value_get_int(one, "time", 0), when), tx,
                                              value_get_text(one, "kind"), step, what});
        }
        if (value_count(records) == 0)
                out_print(&cli->out, "No records.\n");
        else
                table_print(t);
}

void show_record(Cli *cli, const Value *record) {
        _cleanup_(value_freep) Value *shown = value_copy(record);
        char when[32];
        if (shown && value_get_int(record, "time", 0) > 0)
                (void)value_set_text(shown, "time", text_moment(value_get_int(record, "time", 0), when), NULL);
        text_tree(cli, shown ? shown : record, 0);
}

void show_facts(Cli *cli, const Value *facts) {
        text_tree(cli, facts, 0);
}
