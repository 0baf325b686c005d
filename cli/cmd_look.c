/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that look at services. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"
#include "cli/signals.h"
#include "cli/table.h"

#define STATUS_NOT_RUNNING 3
#define STATUS_NO_SERVICE 4
#define LOG_LINES_MAX 1000000000

static const char *word_or_null(const Cli *cli, size_t i) {
        return i < cli->options->n_words ? cli->options->words[i] : NULL;
}

/* ---- List -------------------------------------------------------------------------------------------------------- */

static bool is_any_without(const Value *list) {
        const Value *services = value_get(list, "services");
        for (size_t i = 0; i < value_count(services); i++)
                if (value_count(value_get(value_at(services, i), "without")) > 0)
                        return true;
        return false;
}

int cmd_list(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_list(engine, ret, err);
        if (r == 0 && option_is(cli->options, FLAG_STRICT) && is_any_without(*ret))
                cli->status = error_exit_status(ERR_INCOMPLETE);
        return r;
}

/* A transaction that has not ended: what to do about it, or that it is being done. */
/* clang-format off */
static const struct {
        const char *key, *text, *hint;
} open_states[] = {
        {"in_progress", "in progress", ""},
        {"interrupted", "interrupted", ": run \"pawl recover\""},
        {"hold",        "on hold",     ": \"pawl recover --dry-run\" shows why"},
};
/* clang-format on */

/* "running, told to stop, interrupted (1042): run "pawl recover"" */
static void state_text(const Value *s, char *ret, size_t size) {
        const char *note = value_get_text(s, "note");
        bool is_unchecked = value_get_bool(s, "unchecked", false);
        int n = snprintf(ret, size, "%s%s%s%s", value_get_text_or(s, "state", "?"), note ? ", " : "", note ? note : "",
                         is_unchecked ? ", on hold since the journal was repaired: run \"pawl check\"" : "");
        if (is_unchecked)
                return;
        for (size_t i = 0; i < ELEMENTSOF(open_states); i++) {
                int64_t tx = value_get_int(s, open_states[i].key, 0);
                if (tx <= 0 || n <= 0 || (size_t)n >= size)
                        continue;
                (void)snprintf(ret + n, size - (size_t)n, ", %s (%" PRId64 ")%s", open_states[i].text, tx,
                               open_states[i].hint);
                return;
        }
}

void show_list(Cli *cli, const Value *list) {
        static const char *const headings[] = {"NAME", "VERSION", "PORT", "ROUTE", "STATUS", NULL};
        _cleanup_(table_freep) Table *t = table_new(&cli->out, headings);
        const Value *services = value_get(list, "services");
        if (value_count(services) == 0) {
                out_print(&cli->out, "No services deployed. Run 'pawl deploy <path>' to get started.\n");
                return;
        }
        for (size_t i = 0; i < value_count(services); i++) {
                const Value *s = value_at(services, i);
                char port[24] = "", state[512];
                if (value_get_int(s, "port", 0) > 0)
                        (void)snprintf(port, sizeof(port), "%" PRId64, value_get_int(s, "port", 0));
                state_text(s, state, sizeof(state));
                table_add(t, (const char *[]){value_get_text(s, "name"), value_get_text(s, "version"), port,
                                              value_get_text(s, "route"), state});
        }
        table_print(t);
}

/* ---- Status ------------------------------------------------------------------------------------------------------ */

int cmd_status(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        if (cli->options->n_words == 0)
                return cmd_list(cli, ret, err);
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_status(engine, cli->options->words[0], ret, err);
        if (r < 0)
                cli->status = err->code == ERR_NO_SERVICE ? STATUS_NO_SERVICE : 0;
        else if (strcmp(value_get_text_or(*ret, "state", ""), "running") != 0)
                cli->status = STATUS_NOT_RUNNING;
        return r;
}

static void show_held(Cli *cli, const Value *held) {
        for (size_t i = 0; i < value_count(held); i++) {
                const Value *one = value_at(held, i);
                char text[512];
                (void)snprintf(text, sizeof(text), "%s (%s)", value_get_text_or(one, "version", "?"),
                               value_get_text_or(one, "why", "it failed"));
                text_label(cli, i == 0 ? "Held" : "", text);
        }
}

static void show_times(Cli *cli, const Value *s) {
        static const struct {
                const char *label, *key;
        } times[] = {{"Since", "since"}, {"Deployed", "deployed"}, {"Updated", "updated"}};
        char moment[32];
        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                if (value_get_int(s, times[i].key, 0) > 0)
                        text_label(cli, times[i].label, text_moment(value_get_int(s, times[i].key, 0), moment));
}

static void show_open(Cli *cli, const Value *s) {
        const Value *open = value_get(s, "open");
        char text[256];
        if (!open)
                return;
        (void)snprintf(text, sizeof(text), "%" PRId64 " (%s)", value_get_int(open, "tx", 0),
                       value_get_text_or(open, "flow", "?"));
        text_label(cli, "Open", text);
}

static void show_texts(Cli *cli, const char *label, const Value *texts) {
        for (size_t i = 0; i < value_count(texts); i++)
                text_label(cli, i == 0 ? label : "", value_text(value_at(texts, i)));
}

void show_status(Cli *cli, const Value *s) {
        char state[512], number[24];
        if (value_get(s, "services")) {
                show_list(cli, s);
                return;
        }
        text_label(cli, "Service", value_get_text(s, "name"));
        const Value *source = value_get(s, "source");
        text_label(cli, "Source", value_get_text_or(source, "what", value_get_text(source, "location")));
        text_label(cli, "Version", value_get_text(s, "version"));
        text_label(cli, "Previous", value_get_text(s, "previous"));
        (void)snprintf(number, sizeof(number), "%" PRId64, value_get_int(s, "port", 0));
        text_label(cli, "Port", value_get_int(s, "port", 0) > 0 ? number : NULL);
        text_label(cli, "URL", value_get_text(s, "url"));
        text_label(cli, "Route", value_get_text(s, "route"));
        text_label(cli, "Data", value_get_text(s, "data"));
        state_text(s, state, sizeof(state));
        text_label(cli, "Status", state);
        (void)snprintf(number, sizeof(number), "%" PRId64, value_get_int(s, "pid", 0));
        text_label(cli, "PID", value_get_int(s, "pid", 0) > 0 ? number : NULL);
        show_texts(cli, "Drop-ins", value_get(s, "drop_ins"));
        show_texts(cli, "Warning", value_get(s, "warnings"));
        show_held(cli, value_get(s, "held"));
        show_open(cli, s);
        show_times(cli, s);
}

/* ---- Inspect ----------------------------------------------------------------------------------------------------- */

int cmd_inspect(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        int r = cli_engine(cli, &engine, err);
        return r < 0 ? r : engine_inspect(engine, cli->options->words[0], ret, err);
}

static void show_drop_ins(Cli *cli, const Value *paths) {
        if (value_count(paths) > 0)
                out_print(&cli->out, "\n=== drop-ins, yours: kept, and not shown ===\n");
        for (size_t i = 0; i < value_count(paths); i++)
                out_print(&cli->out, "%s\n", value_text(value_at(paths, i)));
}

void show_inspect(Cli *cli, const Value *inspect) {
        const Value *files = value_get(inspect, "files");
        for (size_t i = 0; i < value_count(files); i++) {
                const Value *f = value_at(files, i);
                const char *path = value_get_text_or(f, "path", "?"), *text = value_get_text(f, "text"),
                           *problem = value_get_text(f, "problem");
                out_print(&cli->out, "%s=== %s (%s) ===\n", i > 0 ? "\n" : "", value_get_text_or(f, "title", "File"),
                          path);
                if (text)
                        out_raw(&cli->out, text, strlen(text));
                if (text && *text && text[strlen(text) - 1] != '\n')
                        out_raw(&cli->out, "\n", 1);
                if (!text)
                        out_print(&cli->out, "(%s: %s)\n", problem ? "cannot be read" : "not found",
                                  problem ? problem : path);
        }
        show_drop_ins(cli, value_get(inspect, "drop_ins"));
}

/* ---- Check ------------------------------------------------------------------------------------------------------- */

/* Looking needs no right to change anything. Only where a hold can be lifted is the journal opened again, to write. */
int cmd_check(Cli *cli, Value **ret, Error *err) {
        Engine *engine = NULL;
        const char *service = word_or_null(cli, 0);
        bool accept = option_is(cli->options, FLAG_ACCEPT);
        if (accept && !service)
                return error_set(err, -EINVAL, ERR_USAGE, "What differs is accepted service by service.",
                                 "--accept needs a SERVICE");
        int r = cli_engine(cli, &engine, err);
        if (r == 0)
                r = engine_check(engine, service, accept, ret, err);
        if (value_get_int(*ret, "liftable", 0) == 0)
                return r;
        *ret = value_free(*ret);
        r = cli_engine_for_writing(cli, &engine, err);
        return r < 0 ? r : engine_check(engine, service, accept, ret, err);
}

static void show_artifacts(Cli *cli, const Value *service) {
        const Value *artifacts = value_get(service, "artifacts");
        size_t n_shown = 0;
        for (size_t i = 0; i < value_count(artifacts); i++) {
                const Value *a = value_at(artifacts, i);
                const char *state = value_get_text_or(a, "state", "?"), *why = value_get_text(a, "why");
                if (strcmp(state, "ok") == 0)
                        continue;
                n_shown++;
                const char *artifact = value_get_text_or(a, "artifact", "?");
                out_print(&cli->out, "%s  %s  ", value_get_text_or(service, "service", "?"), state);
                out_raw(&cli->out, artifact, strlen(artifact));
                out_raw(&cli->out, ": ", why ? 2 : 0);
                out_raw(&cli->out, why ? why : "", why ? strlen(why) : 0);
                out_raw(&cli->out, "\n", 1);
        }
        const char *name = value_get_text_or(service, "service", "?"), *hold = value_get_text(service, "hold");
        bool is_change = hold && strcmp(hold, "kept") != 0;
        if (n_shown == 0 && !cli->out.is_quiet)
                out_print(&cli->out, "%s  ok\n", name);
        if (is_change)
                out_print(&cli->out, "%s  %s\n", name,
                          strcmp(hold, "accepted") == 0 ? "taken as it is: no longer on hold" : "no longer on hold");
        else if (hold)
                out_print(&cli->out, "%s  on hold since the journal was repaired\n", name);
}

void show_check(Cli *cli, const Value *check) {
        const Value *services = value_get(check, "services");
        for (size_t i = 0; i < value_count(services); i++)
                show_artifacts(cli, value_at(services, i));
        if (value_count(services) == 0 && !cli->out.is_quiet)
                out_print(&cli->out, "No services deployed. Run 'pawl deploy <path>' to get started.\n");
}

/* ---- Logs -------------------------------------------------------------------------------------------------------- */

typedef struct LogSink {
        Cli *cli;
        Value *lines; /* with --json */
        size_t n;
} LogSink;

static void log_line(void *userdata, const char *text, size_t n_text) {
        LogSink *sink = userdata;
        sink->n++;
        if (sink->lines) {
                (void)value_append(sink->lines, value_new_text_n(text, n_text), NULL);
                return;
        }
        out_raw(&sink->cli->out, text, n_text);
        if (n_text == 0 || text[n_text - 1] != '\n')
                out_raw(&sink->cli->out, "\n", 1);
        out_flush(&sink->cli->out);
        if (out_has_failed(&sink->cli->out))
                signals_cancel(SIGPIPE);
}

int cmd_logs(Cli *cli, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *result = value_new_map();
        LogSink sink = {.cli = cli};
        Engine *engine = NULL;
        uint64_t n = 0;
        bool follow = option_is(cli->options, FLAG_FOLLOW);
        int r = option_number(cli->options, FLAG_LINES, LOG_LINES_MAX, 0, &n, err);
        if (r == 0 && follow && cli->out.is_json)
                r = error_set(err, -EINVAL, ERR_USAGE, NULL, "--follow and --json do not go together");
        if (r == 0 && cli->out.is_json)
                r = result ? value_set(result, "lines", sink.lines = value_new_array(), err) : error_no_memory(err);
        if (r == 0)
                r = cli_engine(cli, &engine, err);
        if (r == 0 && follow)
                signals_watch_stdout();
        if (r == 0)
                r = engine_logs(engine, cli->options->words[0], n, follow, log_line, &sink, err);
        if (r < 0 && *signals_flag() == SIGPIPE)
                return 0;
        if (r == 0 && sink.n == 0 && !follow && !cli->out.is_json && !cli->out.is_quiet)
                out_say(&cli->out, "%s has printed nothing yet.\n", cli->options->words[0]);
        if (r == 0 && cli->out.is_json)
                *ret = TAKE_PTR(result);
        return r;
}
