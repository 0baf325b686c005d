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

void help_all(Cli *cli) {
        out_print(&cli->out,
                  "usage: pawl COMMAND [flags]\n\nDeploys services with journaled, power-loss-safe transactions.\n\n");
        for (size_t i = 0; i < n_commands; i++)
                out_print(&cli->out, "  %-16s %s\n", commands[i].name, commands[i].text);
        out_print(&cli->out, "\nFlags of every command:\n");
        print_flags(cli, FLAGS_COMMON);
        out_print(&cli->out, "\n\"pawl help COMMAND\" shows more.\n");
}

void help_command(Cli *cli, const Command *c) {
        out_print(&cli->out, "usage: pawl %s%s%s [flags]%s\n\n", c->name, *c->words ? " " : "", c->words,
                  c->takes_exec ? " [-- PROGRAM ARG...]" : "");
        if (c->more)
                out_print(&cli->out, "%s\n", c->more);
        else
                out_print(&cli->out, "%c%s.\n\n",
                          c->text[0] >= 'a' && c->text[0] <= 'z' ? c->text[0] - 'a' + 'A' : c->text[0], c->text + 1);
        if (c->flags)
                out_print(&cli->out, "Flags:\n");
        print_flags(cli, c->flags);
        out_print(&cli->out, "%sFlags of every command:\n", c->flags ? "\n" : "");
        print_flags(cli, FLAGS_COMMON);
}

int cmd_help(Cli *cli, Value **ret, Error *err) {
        const Options *o = cli->options;
        const Command *command = NULL;
        (void)ret;
        if (o->n_words == 0) {
                cli->is_shown = true;
                help_all(cli);
                return 0;
        }
        int r = command_find(o->words[0], o->n_words > 1 ? o->words[1] : NULL, &command, err);
        if (r >= 0 && o->n_words > (r == COMMAND_TWO_WORDS ? 2u : 1u))
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "help: \"%s\" is one word too many",
                                 o->words[o->n_words - 1]);
        if (r < 0)
                return r;
        cli->is_shown = true;
        help_command(cli, command);
        return 0;
}
