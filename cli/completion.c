/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for shells, printed from the rows of commands and flags. Names of services come from `pawl list`. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"

#define NAMES "pawl list 2>/dev/null | awk 'NR > 1 { print $1 }'"

/* The words a command takes: what completes them, per kind. */
static bool is_two_words(const Command *c) {
        return strchr(c->name, ' ') != NULL;
}

static size_t first_length(const Command *c) {
        return strcspn(c->name, " ");
}

static bool is_first_of_family(size_t i) {
        return i == 0 || first_length(&commands[i]) != first_length(&commands[i - 1]) ||
               strncmp(commands[i].name, commands[i - 1].name, first_length(&commands[i])) != 0;
}

static void print_verbs(Cli *cli) {
        for (size_t i = 0; i < n_commands; i++)
                if (is_first_of_family(i))
                        out_print(&cli->out, "%s%.*s", i == 0 ? "" : " ", (int)first_length(&commands[i]),
                                  commands[i].name);
}

static void print_flag_words(Cli *cli, uint64_t set) {
        bool is_first = true;
        for (FlagId id = 0; id < FLAG_COUNT; id++) {
                if (!(set & (UINT64_C(1) << id)))
                        continue;
                out_print(&cli->out, "%s--%s", is_first ? "" : " ", flags[id].name);
                is_first = false;
        }
}

/* ---- bash (and zsh, which runs the same function) ---------------------------------------------------------------- */

static void print_bash_words(Cli *cli, const Command *c) {
        switch (c->kind) {
        case WORD_SERVICE:
                out_print(&cli->out, "words=\"$words $(" NAMES ")\"");
                break;
        case WORD_FILE:
                out_print(&cli->out, "files=1");
                break;
        case WORD_COMMAND:
                out_print(&cli->out, "words=\"$words $verbs\"");
                break;
        case WORD_SHELL:
                out_print(&cli->out, "words=\"$words bash zsh fish\"");
                break;
        case WORD_NONE:
                out_print(&cli->out, ":");
                break;
        }
}

static void print_bash_case(Cli *cli, size_t i) {
        const Command *c = &commands[i];
        if (is_two_words(c) && is_first_of_family(i)) {
                out_print(&cli->out, "        %.*s) words=\"", (int)first_length(c), c->name);
                for (size_t k = i; k < n_commands && (k == i || !is_first_of_family(k)); k++)
                        out_print(&cli->out, "%s%s", k == i ? "" : " ", commands[k].name + first_length(c) + 1);
                out_print(&cli->out, "\" ;;\n");
        }
        out_print(&cli->out, "        \"%s\") words=\"", c->name);
        print_flag_words(cli, c->flags | FLAGS_COMMON);
        out_print(&cli->out, "\"; ");
        print_bash_words(cli, c);
        out_print(&cli->out, " ;;\n");
}

static void print_bash(Cli *cli) {
        out_print(
                &cli->out,
                "# bash completion for pawl\n_pawl() {\n"
                "        local cur=${COMP_WORDS[COMP_CWORD]} verb= second= word words= files= verbs i\n        verbs=\"");
        print_verbs(cli);
        out_print(
                &cli->out,
                "\"\n        for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "                word=${COMP_WORDS[i]}\n"
                "                case $word in\n                -*) ;;\n"
                "                *) if [ -z \"$verb\" ]; then verb=$word; elif [ -z \"$second\" ]; then second=$word; fi ;;\n"
                "                esac\n        done\n"
                "        case $verb in\n        journal) [ -z \"$second\" ] || verb=\"$verb $second\" ;;\n        esac\n"
                "        case $verb in\n        \"\") words=$verbs ;;\n");
        for (size_t i = 0; i < n_commands; i++)
                print_bash_case(cli, i);
        out_print(&cli->out, "        esac\n"
                             "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                             "        [ -z \"$files\" ] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
                             "}\ncomplete -F _pawl pawl\n");
}

static void print_zsh(Cli *cli) {
        out_print(&cli->out, "#compdef pawl\nautoload -U +X bashcompinit && bashcompinit\n");
        print_bash(cli);
}

/* ---- fish -------------------------------------------------------------------------------------------------------- */

static void print_fish_flags(Cli *cli, const char *condition, uint64_t set) {
        for (FlagId id = 0; id < FLAG_COUNT; id++) {
                const Flag *f = &flags[id];
                if (!(set & (UINT64_C(1) << id)))
                        continue;
                out_print(&cli->out, "complete -c pawl%s -l %s", condition, f->name);
                if (f->letter)
                        out_print(&cli->out, " -s %c", f->letter);
                out_print(&cli->out, "%s -d '%s'\n", f->argument ? " -x" : "", f->text);
        }
}

static void print_fish_command(Cli *cli, size_t i) {
        const Command *c = &commands[i];
        int n = (int)first_length(c);
        char condition[96];
        if (is_first_of_family(i))
                out_print(&cli->out, "complete -c pawl -n __fish_use_subcommand -f -a %.*s -d '%s'\n", n, c->name,
                          c->text);
        (void)snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %.*s'", n, c->name);
        if (is_two_words(c)) {
                out_print(&cli->out, "complete -c pawl%s -f -a %s -d '%s'\n", condition, c->name + n + 1, c->text);
                (void)snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %s'", c->name + n + 1);
        }
        if (c->kind == WORD_SERVICE)
                out_print(&cli->out, "complete -c pawl%s -f -a \"(" NAMES ")\"\n", condition);
        print_fish_flags(cli, condition, c->flags);
}

static void print_fish(Cli *cli) {
        out_print(&cli->out, "# fish completion for pawl\n");
        print_fish_flags(cli, "", FLAGS_COMMON);
        for (size_t i = 0; i < n_commands; i++)
                print_fish_command(cli, i);
}

/* clang-format off */
static const struct {
        const char *name;
        void (*print)(Cli *cli);
} shells[] = {
        {"bash", print_bash},
        {"zsh",  print_zsh},
        {"fish", print_fish},
};
/* clang-format on */

int cmd_completion(Cli *cli, Value **ret, Error *err) {
        const char *name = cli->options->words[0];
        (void)ret;
        for (size_t i = 0; i < ELEMENTSOF(shells); i++) {
                if (strcmp(shells[i].name, name) != 0)
                        continue;
                cli->is_shown = true;
                shells[i].print(cli);
                return 0;
        }
        return error_set(err, -EINVAL, ERR_USAGE, NULL, "there are completions for bash, zsh and fish, not for \"%s\"",
                         name);
}
