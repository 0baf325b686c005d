/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/render_text.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/text.h"

/* ---- Small things ------------------------------------------------------------------------------------------------ */

void text_label(Cli *cli, const char *label, const char *value) {
        char with_colon[32];
        if (!value)
                return;
        (void)snprintf(with_colon, sizeof(with_colon), "%s%s", label, *label ? ":" : "");
        out_print(&cli->out, "%-13s%s\n", with_colon, value);
}

const char *text_moment(int64_t usec, char ret[static 32]) {
        if (usec <= 0)
                return "-";
        clock_format_local(usec, ret);
        return ret;
}

const char *text_duration(int64_t usec, char ret[static 32]) {
        if (usec < 0)
                return "-";
        duration_format((uint64_t)usec, ret);
        return ret;
}

char *text_cut(const char *text, size_t max) {
        size_t n = text ? strcspn(text, "\n") : 0;
        if (n > max)
                for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--) /* not within a character */
                        ;
        return text ? text_format("%.*s%s", (int)n, text, text[n] ? "…" : "") : NULL;
}

static void tree_scalar(Cli *cli, const Value *v) {
        _cleanup_free_ char *text = NULL;
        if (value_text(v))
                out_print(&cli->out, "%s\n", value_text(v));
        else if (json_encode(v, JSON_COMPACT, &text, NULL) == 0)
                out_print(&cli->out, "%s\n", text);
}

static void tree_child(Cli *cli, const Value *child, unsigned depth) {
        bool is_deep = value_count(child) > 0;
        out_print(&cli->out, is_deep ? "\n" : " ");
        if (is_deep)
                text_tree(cli, child, depth + 1);
        else
                tree_scalar(cli, child);
}

void text_tree(Cli *cli, const Value *v, unsigned depth) {
        for (size_t i = 0; value_is(v, VALUE_ARRAY) && i < value_count(v); i++) {
                out_print(&cli->out, "%*s-", (int)depth * 2, "");
                tree_child(cli, value_at(v, i), depth);
        }
        for (size_t i = 0; value_is(v, VALUE_MAP) && i < value_count(v); i++) {
                const MapEntry *entry = &v->map.entries[i];
                char num[16];
                (void)snprintf(num, sizeof(num), "%" PRIu32, entry->num);
                out_print(&cli->out, "%*s%s:", (int)depth * 2, "", entry->name ? entry->name : num);
                tree_child(cli, entry->value, depth);
        }
}

/* ---- Failure ----------------------------------------------------------------------------------------------------- */

void text_leftovers(Cli *cli, const Value *leftovers, int64_t tx) {
        for (size_t i = 0; i < value_count(leftovers); i++) {
                const Value *one = value_at(leftovers, i);
                int64_t step = value_get_int(one, "step", 0);
                const char *why = value_get_text(one, "why");
                out_say(&cli->out, "  - ");
                if (step > 0)
                        out_say(&cli->out, "step %" PRId64 ", ", step);
                out_say(&cli->out, "%s%s%s\n", value_get_text_or(one, "what", "?"), why ? ": " : "", why ? why : "");
        }
        if (value_count(leftovers) == 0 || tx == 0)
                return;
        int64_t step = value_get_int(value_at(leftovers, 0), "step", 0);
        out_say(&cli->out, "  decide: pawl recover %" PRId64 " --keep %" PRId64 " | --restore %" PRId64 " (or all)\n",
                tx, step, step);
}

static void say_indented(Cli *cli, const char *lines) {
        while (*lines) {
                size_t n = strcspn(lines, "\n");
                out_say(&cli->out, "    %.*s\n", (int)n, lines);
                lines += n + (lines[n] == '\n');
        }
}

/* clang-format off */
static const struct {
        const char *result, *verb;
} verbs[] = {
        {"leftovers", "left something over"},
        {"in doubt",  "is in doubt"},
};
/* clang-format on */

static const char *result_verb(const char *result) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i].result, result) == 0)
                        return verbs[i].verb;
        return "failed";
}

/* "web: upgrade v2 → v3 failed: " */
static void say_flow(Cli *cli, const Value *outcome) {
        const char *from = value_get_text(outcome, "from"), *to = value_get_text(outcome, "to");
        out_say(&cli->out, "%s: %s", value_get_text_or(outcome, "service", "?"),
                value_get_text_or(outcome, "command", "flow"));
        if (from && to && strcmp(from, to) != 0)
                out_say(&cli->out, " %s → %s", from, to);
        else if (to || from)
                out_say(&cli->out, " %s", to ? to : from);
        out_say(&cli->out, " %s: ", result_verb(value_get_text_or(outcome, "result", "")));
}

static void say_put_back(Cli *cli, const Value *outcome) {
        const char *put_back = value_get_text(outcome, "put_back");
        int64_t downtime = value_get_int(outcome, "downtime_usec", 0);
        char duration[32];
        if (!put_back)
                return;
        out_say(&cli->out, "  put back: %s", put_back);
        if (downtime > 0)
                out_say(&cli->out, "; down %s", text_duration(downtime, duration));
        if (value_count(value_get(outcome, "leftovers")) == 0 && value_get_text(outcome, "from"))
                out_say(&cli->out, "; nothing left over");
        out_say(&cli->out, "\n");
}

static const char *error_try(const Value *outcome, const Error *err, char *buf, size_t size) {
        if (*error_way_out(err))
                return error_way_out(err);
        if (!value_get_text(outcome, "from") || (err->code != ERR_HEALTH && err->code != ERR_PROGRAM))
                return NULL;
        (void)snprintf(buf, size, "pawl logs %s", value_get_text_or(outcome, "service", "SERVICE"));
        return buf;
}

void text_error(Cli *cli, const Value *outcome, const Error *err) {
        char buf[128];
        bool is_done = strcmp(value_get_text_or(outcome, "result", ""), "done") == 0 && err->code == ERR_INCOMPLETE;
        if (is_done) {
                text_outcome(cli, outcome);
                outcome = NULL;
        }
        out_say(&cli->out, "%spawl: ", out_colour(&cli->out, stderr, OUT_RED));
        if (outcome)
                say_flow(cli, outcome);
        out_say(&cli->out, "%s%s\n", *err->message ? err->message : error_text(err->code),
                out_plain(&cli->out, stderr));
        say_indented(cli, err->detail);
        if (outcome) {
                say_put_back(cli, outcome);
                text_leftovers(cli, value_get(outcome, "leftovers"), value_get_int(outcome, "tx", 0));
        }
        const char *hint = error_try(outcome, err, buf, sizeof(buf));
        if (hint)
                out_say(&cli->out, "  try: %s\n", hint);
}

/* ---- Success ----------------------------------------------------------------------------------------------------- */

typedef enum Headline {
        HEADLINE_TO_PAST,     /* web v1 deployed */
        HEADLINE_PAST_CHANGE, /* web upgraded v1 → v2; the first time: web v1 deployed */
        HEADLINE_PAST_TO,     /* web rolled back to v1 */
        HEADLINE_PAST,        /* web removed */
} Headline;

typedef struct Flow {
        const char *name, *past;
        Headline headline;
        bool shows_place;   /* port, address and data */
        bool shows_stopped; /* says so where the service was left stopped */
        bool shows_down;
        bool keeps_data; /* and says where */
        const char *unchanged;
} Flow;

/* clang-format off */
static const Flow flows[] = {
        {"deploy",   "deployed",       HEADLINE_TO_PAST,     true,  true,  false, false, "up to date"},
        {"adopt",    "adopted",        HEADLINE_TO_PAST,     true,  true,  true,  false, "up to date"},
        {"apply",    "changed",        HEADLINE_PAST_CHANGE, true,  true,  true,  false, "up to date"},
        {"update",   "changed",        HEADLINE_PAST_CHANGE, true,  true,  true,  false, "up to date"},
        {"upgrade",  "upgraded",       HEADLINE_PAST_CHANGE, false, true,  true,  false, "up to date"},
        {"rollback", "rolled back to", HEADLINE_PAST_TO,     false, true,  true,  false, "up to date"},
        {"remove",   "removed",        HEADLINE_PAST,        false, false, false, true,  "gone"},
        {"start",    "started",        HEADLINE_PAST,        false, false, false, false, "running"},
        {"stop",     "stopped",        HEADLINE_PAST,        false, false, false, false, "stopped"},
        {"restart",  "restarted",      HEADLINE_PAST,        false, false, true,  false, "running"},
};
/* clang-format on */

/* A flow of a newer pawl is shown as well as it can be. */
static const Flow *flow_find(const char *name) {
        static const Flow other = {"", "done", HEADLINE_PAST_CHANGE, true, true, true, false, "up to date"};
        for (size_t i = 0; i < ELEMENTSOF(flows); i++)
                if (strcmp(flows[i].name, name) == 0)
                        return &flows[i];
        return &other;
}

static void print_place(Cli *cli, const Value *o) {
        int64_t port = value_get_int(o, "port", 0);
        const char *url = value_get_text(o, "url"), *data = value_get_text(o, "data"),
                   *route = value_get_text(o, "route");
        if (port > 0)
                out_print(&cli->out, "  Port:     %" PRId64 "\n", port);
        if (url)
                out_print(&cli->out, "  URL:      %s\n", url);
        if (route && value_count(value_get(o, "without")) == 0)
                out_print(&cli->out, "  Route:    %s → localhost:%" PRId64 "\n", route, port);
        if (data)
                out_print(&cli->out, "  Data:     %s\n", data);
}

static void print_headline(Cli *cli, const Flow *flow, const Value *o) {
        const char *from = value_get_text(o, "from"), *to = value_get_text_or(o, "to", "");
        const char *space = *to ? " " : "";
        switch (flow->headline) {
        case HEADLINE_TO_PAST:
                out_print(&cli->out, "%s%s %s", space, to, flow->past);
                break;
        case HEADLINE_PAST_CHANGE:
                if (from && strcmp(from, to) != 0)
                        out_print(&cli->out, " %s %s → %s", flow->past, from, to);
                else if (!from)
                        out_print(&cli->out, "%s%s deployed", space, to);
                else
                        out_print(&cli->out, " %s%s%s%s", flow->past, *to ? " (" : "", to, *to ? ")" : "");
                break;
        case HEADLINE_PAST_TO:
                out_print(&cli->out, " %s%s%s", flow->past, space, to);
                break;
        case HEADLINE_PAST:
                out_print(&cli->out, " %s", flow->past);
                break;
        }
}

static void print_done(Cli *cli, const Flow *flow, const Value *o) {
        const char *green = out_colour(&cli->out, stdout, OUT_GREEN), *plain = out_plain(&cli->out, stdout);
        const char *data = value_get_text(o, "data");
        int64_t downtime = value_get_int(o, "downtime_usec", 0);
        char duration[32];
        out_print(&cli->out, "%s✓%s %s", green, plain, value_get_text_or(o, "service", "?"));
        print_headline(cli, flow, o);
        out_print(&cli->out,
                  flow->shows_stopped && !value_get_bool(o, "started", true) ? " (stopped; not started)\n" : "\n");
        if (flow->shows_place)
                print_place(cli, o);
        if (flow->shows_down && downtime > 0)
                out_print(&cli->out, "  down %s\n", text_duration(downtime, duration));
        if (flow->keeps_data && data)
                out_print(&cli->out, "  Data is kept in %s (pawl remove --purge deletes it)\n", data);
}

static void print_settled(Cli *cli, const Value *settled) {
        for (size_t i = 0; i < value_count(settled) && !cli->out.is_quiet; i++) {
                const Value *one = value_at(settled, i);
                out_say(&cli->out, "  %s: transaction %" PRId64 " (%s) was open: %s\n",
                        value_get_text_or(one, "service", "?"), value_get_int(one, "tx", 0),
                        value_get_text_or(one, "flow", "?"), value_get_text_or(one, "result", "?"));
        }
}

static void print_unchanged(Cli *cli, const Flow *flow, const Value *o) {
        const char *version = value_get_text_or(o, "to", value_get_text_or(o, "from", ""));
        bool has_version = *version && flow->headline != HEADLINE_PAST;
        if (!cli->out.is_quiet)
                out_print(&cli->out, "No changes: %s is %s%s%s%s\n", value_get_text_or(o, "service", "?"),
                          flow->unchanged, has_version ? " (" : "", has_version ? version : "", has_version ? ")" : "");
}

static void print_held(Cli *cli, const Flow *flow, const Value *o) {
        (void)flow;
        if (!cli->out.is_quiet)
                out_print(&cli->out, "%s: %s is held (%s); --retry tries it again\n",
                          value_get_text_or(o, "service", "?"), value_get_text_or(o, "to", "?"),
                          value_get_text_or(o, "held", "it failed before"));
}

/* clang-format off */
static const struct {
        const char *result;
        void (*print)(Cli *cli, const Flow *flow, const Value *outcome);
} results[] = {
        {"done",      print_done},
        {"unchanged", print_unchanged},
        {"held",      print_held},
};
/* clang-format on */

void text_outcome(Cli *cli, const Value *o) {
        const char *result = value_get_text_or(o, "result", "");
        const Flow *flow = flow_find(value_get_text_or(o, "command", value_get_text_or(o, "flow", "")));
        print_settled(cli, value_get(o, "settled"));
        for (size_t i = 0; i < ELEMENTSOF(results); i++)
                if (strcmp(results[i].result, result) == 0)
                        results[i].print(cli, flow, o);
}
