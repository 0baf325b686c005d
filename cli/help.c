/* SPDX-License-Identifier: Apache-2.0 */
/* Help, printed from the rows of commands and flags. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"

static void print_flags(Cli *cli, uint64_t set) {
        for (FlagId id = 0; id < FLAG_COUNT; id++) {
                const Flag *f = &flags[id];
                char left[64];
                if (!(set & (UINT64_C(1) << id)))
                        continue;
                (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", f->letter ? '-' : ' ',
                               f->letter ? f->letter : ' ', f->letter ? "," : " ", f->name, f->argument ? " " : "",
                               f->argument ? f->argument : "");
                out_print(&cli->out, "  %-26s %s\n", left, f->text);
        }
}

static void print_sentence(Cli *cli, const char *text) {
        char first = text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[0];
        bool has_end = text[strlen(text) - 1] == '?';
        out_print(&cli->out, "%c%s%s\n\n", first, text + 1, has_end ? "" : ".");
}

void help_all(Cli *cli) {
        out_print(&cli->out,
                  "usage: pawl COMMAND [flags]\n\nDeploys services with journaled, power-loss-safe transactions.\n\n");
        for (size_t i = 0; i < n_commands; i++)
                out_print(&cli->out, "  %-16s %s\n", commands[i].name, commands[i].text);
        out_print(&cli->out, "\nFlags of every command:\n");
        print_flags(cli, FLAGS_COMMON);
        out_print(&cli->out, "\n\"pawl help COMMAND\" shows more; \"pawl help spec\" the keys of a spec.\n");
}

void help_command(Cli *cli, const Command *c) {
        out_print(&cli->out, "usage: pawl %s%s%s [flags]%s\n\n", c->name, *c->words ? " " : "", c->words,
                  c->takes_exec ? " [-- PROGRAM ARG...]" : "");
        if (c->more)
                out_print(&cli->out, "%s\n", c->more);
        else
                print_sentence(cli, c->text);
        if (c->flags)
                out_print(&cli->out, "Flags:\n");
        print_flags(cli, c->flags);
        out_print(&cli->out, "%sFlags of every command:\n", c->flags ? "\n" : "");
        print_flags(cli, FLAGS_COMMON);
}

static bool help_family(Cli *cli, const char *word) {
        size_t n = 0;
        for (size_t i = 0; i < n_commands; i++) {
                if (!command_is_family(&commands[i], word))
                        continue;
                if (n++ == 0)
                        out_print(&cli->out, "usage: pawl %s COMMAND [flags]\n\n", word);
                out_print(&cli->out, "  %-16s %s\n", commands[i].name, commands[i].text);
        }
        if (n > 0)
                out_print(&cli->out, "\n\"pawl help %s COMMAND\" shows more.\n", word);
        return n > 0;
}

static int help_spec(Cli *cli, Error *err) {
        _cleanup_free_ char *text = NULL;
        int r = spec_reference(&text, err);
        if (r == 0)
                out_print(&cli->out, "%s", text);
        return r;
}

static int help_words(Cli *cli, const char *first, const char *second, Error *err) {
        const Command *command = NULL;
        if (!second && strcmp(first, "spec") == 0)
                return help_spec(cli, err);
        if (!second && help_family(cli, first))
                return 0;
        int r = command_find(first, second, &command, err);
        if (r < 0)
                return r;
        if (second && r != COMMAND_TWO_WORDS)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "help: \"%s\" is one word too many", second);
        help_command(cli, command);
        return 0;
}

int cmd_help(Cli *cli, Value **ret, Error *err) {
        const Options *o = cli->options;
        (void)ret;
        int r = 0;
        if (o->n_words == 0)
                help_all(cli);
        else
                r = help_words(cli, o->words[0], o->n_words > 1 ? o->words[1] : NULL, err);
        cli->is_shown = r == 0;
        return r;
}
