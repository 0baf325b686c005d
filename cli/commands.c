/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "core/base/text.h"

/* clang-format off */
#define SPEC_FLAGS    (FLAG_BIT(VERSION) | FLAG_BIT(PORT) | FLAG_BIT(NAME) | FLAG_BIT(ENV) | FLAG_BIT(HEALTH) | FLAG_BIT(USER) | \
                       FLAG_BIT(SHA256) | FLAG_BIT(ASSET) | FLAG_BIT(OVERWRITE))
#define RECOVER_FLAGS (FLAG_BIT(DRY_RUN) | FLAG_BIT(FORWARD) | FLAG_BIT(KEEP) | FLAG_BIT(RESTORE) | \
                       FLAG_BIT(EARLY) | FLAG_BIT(LATE))
#define UPGRADE_FLAGS (FLAG_BIT(VERSION) | FLAG_BIT(SOURCE) | FLAG_BIT(RETRY) | FLAG_BIT(ALL) | FLAG_BIT(OVERWRITE))
#define PLAN_FLAGS (SPEC_FLAGS | FLAG_BIT(SOURCE) | FLAG_BIT(RETRY) | FLAG_BIT(ALL) | FLAG_BIT(PURGE))
#define ANY_NUMBER 1024
/* clang-format on */

static const char deploy_more[] =
        "Deploys a spec file (.yaml), a program, directory or archive, a url, or a release on GitHub\n"
        "(owner/name, or github:owner/name; gitea:owner/name for Gitea and Forgejo). The service must not\n"
        "exist yet (else: pawl apply, pawl upgrade). With a spec file only -v, -p and -e may be given;\n"
        "they win over what the file says. What follows \"--\" is the program to run:\n"
        "  pawl deploy example/web --asset \"{name}-{version}-{os}-{arch}.tar.gz\"\n"
        "  pawl deploy ./web-v1 -p 3000 -e LOG=debug -- ./web --listen 127.0.0.1:{port}\n";
static const char apply_more[] =
        "Makes each service what its spec says: deploys it, changes it, or finds nothing to do. Without a\n"
        "file, all of /etc/pawl/services.d/*.yaml (and *.yml) in order; one that fails does not stop the others,\n"
        "and the highest exit status is the answer.\n";
static const char plan_more[] =
        "Prints the steps and changes nothing. KIND is apply (when left out), deploy, upgrade, rollback,\n"
        "remove, start, stop or restart; what follows is what that command takes:\n"
        "  pawl plan web.yaml\n"
        "  pawl plan upgrade web -v v2\n";
static const char upgrade_more[] =
        "Without --version, to the newest that the source has. A version that is held (it failed its\n"
        "health check, or was rolled back from) is skipped, and refused where --version names it;\n"
        "--retry tries it again. The content of a path or url gets the name that --version says.\n";
static const char adopt_more[] =
        "Makes a spec of a unit that runs (program, arguments, environment, user, restart), stops it, moves\n"
        "its file away and starts the program under a unit of pawl's, in one transaction: when anything\n"
        "fails, the old unit runs again. What else its file says becomes a drop-in of the new unit; its text\n"
        "stays in /etc/pawl/SERVICE/adopted.unit. --port says where it listens.\n";
static const char remove_more[] =
        "Keeps the service's data in /var/lib/pawl-data/SERVICE and says so; --purge deletes it, after\n"
        "asking (--yes does not ask).\n";
static const char recover_more[] =
        "Puts back or finishes what a crash or a failure left open; without TX, all of it, and starts what\n"
        "was last told to run. For a transaction on hold a person decides: --keep leaves what is there,\n"
        "--restore puts the captured back. --early and --late are what pawl-recover.service and\n"
        "pawl-recover-late.service do at boot.\n";
static const char check_more[] =
        "After \"pawl journal repair\" every service is on hold until this found it as the journal says;\n"
        "where something differs, --accept takes it as it is.\n";
static const char torture_more[] =
        "Deploys, restarts and removes the service in a scratch root, again and again. Tier \"kill\": kills\n"
        "pawl at every call that changes the disk or makes a process. Tier \"power\": makes what the disk may\n"
        "hold when the power goes instead, by what was synced and what was not. Both also in the recovery\n"
        "that follows. It judges what recovery leaves: all as before or all as after, exactly the right\n"
        "program running, nothing else touched. points: where it may happen; states: what that leaves;\n"
        "judged: one of each kind. The spec's port must be free. Needs no root. Exit status 1: something was\n"
        "not as promised.\n";
static const char status_more[] =
        "Exit status: 0 it runs, 3 it does not, 4 there is no such service. Without SERVICE, the same as\n"
        "list.\n";

/* clang-format off */
const Command commands[] = {
        {"apply",    "[SPEC...]", 0, ANY_NUMBER, WORD_FILE, NEED_WRITE, FLAG_BIT(OVERWRITE) | FLAG_BIT(RETRY) | FLAG_BIT(STRICT), false, true,
         "make services what their specs say", apply_more, cmd_apply, show_nothing},
        {"deploy",   "SPEC|PATH|URL|REPO", 1, 1, WORD_FILE, NEED_WRITE, SPEC_FLAGS | FLAG_BIT(STRICT), true, true,
         "deploy a new service", deploy_more, cmd_change, show_outcome},
        {"upgrade",  "[SERVICE]", 0, 1, WORD_SERVICE, NEED_WRITE, UPGRADE_FLAGS | FLAG_BIT(STRICT), false, true,
         "switch a service to another version", upgrade_more, cmd_change, show_outcome},
        {"rollback", "SERVICE", 1, 1, WORD_SERVICE, NEED_WRITE, FLAG_BIT(VERSION) | FLAG_BIT(OVERWRITE) | FLAG_BIT(STRICT), false, true,
         "go back to the previous version, with the spec it ran with", NULL, cmd_change, show_outcome},
        {"remove",   "SERVICE", 1, 1, WORD_SERVICE, NEED_WRITE, FLAG_BIT(PURGE) | FLAG_BIT(YES) | FLAG_BIT(OVERWRITE), false, true,
         "stop a service and take it away", remove_more, cmd_change, show_outcome},
        {"adopt",    "UNIT", 1, 1, WORD_NONE, NEED_WRITE, FLAG_BIT(VERSION) | FLAG_BIT(PORT) | FLAG_BIT(NAME) | FLAG_BIT(DRY_RUN), false, true,
         "take over a service that runs under a unit of systemd", adopt_more, cmd_adopt, show_outcome},
        {"plan",     "[KIND] ...", 0, ANY_NUMBER, WORD_FILE, NEED_READ, PLAN_FLAGS, true, false,
         "show what a command would do", plan_more, cmd_plan, show_nothing},
        {"check",    "[SERVICE]", 0, 1, WORD_SERVICE, NEED_READ, FLAG_BIT(ACCEPT), false, false,
         "compare the host with what was deployed", check_more, cmd_check, show_check},
        {"list",     "", 0, 0, WORD_NONE, NEED_READ, FLAG_BIT(STRICT), false, false,
         "all services", NULL, cmd_list, show_list},
        {"status",   "[SERVICE]", 0, 1, WORD_SERVICE, NEED_READ, 0, false, false,
         "one service in full", status_more, cmd_status, show_status},
        {"inspect",  "SERVICE", 1, 1, WORD_SERVICE, NEED_READ, 0, false, false,
         "a service's files as they are on disk", NULL, cmd_inspect, show_inspect},
        {"history",  "[SERVICE]", 0, 1, WORD_SERVICE, NEED_READ, FLAG_BIT(LINES), false, false,
         "what was done, newest first", NULL, cmd_history, show_history},
        {"show",     "TX", 1, 1, WORD_NONE, NEED_READ, 0, false, false,
         "one transaction, record by record", NULL, cmd_show, show_transaction},
        {"recover",  "[TX]", 0, 1, WORD_NONE, NEED_WRITE, RECOVER_FLAGS, false, true,
         "settle what a crash or a failure left open", recover_more, cmd_recover, show_recover},
        {"start",    "SERVICE", 1, 1, WORD_SERVICE, NEED_WRITE, 0, false, true,
         "start a service", NULL, cmd_change, show_outcome},
        {"stop",     "SERVICE", 1, 1, WORD_SERVICE, NEED_WRITE, 0, false, true,
         "stop a service", NULL, cmd_change, show_outcome},
        {"restart",  "SERVICE", 1, 1, WORD_SERVICE, NEED_WRITE, 0, false, true,
         "stop and start a service", NULL, cmd_change, show_outcome},
        {"logs",     "SERVICE", 1, 1, WORD_SERVICE, NEED_READ, FLAG_BIT(LINES) | FLAG_BIT(FOLLOW), false, false,
         "what a service printed", NULL, cmd_logs, show_nothing},
        {"journal list",    "", 0, 0, WORD_NONE, NEED_READ, FLAG_BIT(LINES) | FLAG_BIT(FROM), false, false,
         "records of the journal", NULL, cmd_journal_list, show_records},
        {"journal show",    "SEQ", 1, 1, WORD_NONE, NEED_READ, 0, false, false,
         "one record in full", NULL, cmd_journal_show, show_record},
        {"journal verify",  "", 0, 0, WORD_NONE, NEED_REPAIR, 0, false, false,
         "check every record of the journal", NULL, cmd_journal_verify, show_facts},
        {"journal rebuild", "", 0, 0, WORD_NONE, NEED_REPAIR, 0, false, true,
         "make the rows again from the records", NULL, cmd_journal_rebuild, show_facts},
        {"journal repair",  "", 0, 0, WORD_NONE, NEED_REPAIR, 0, false, true,
         "make a damaged journal usable; the old file is kept", NULL, cmd_journal_repair, show_facts},
        {"journal export",  "", 0, 0, WORD_NONE, NEED_READ, 0, false, false,
         "every record as a line of JSON", NULL, cmd_journal_export, show_nothing},
        {"init",     "", 0, 0, WORD_NONE, NEED_NOTHING, 0, false, true,
         "make pawl's directories, key and journal", NULL, cmd_init, show_init},
        {"doctor",   "", 0, 0, WORD_NONE, NEED_DOCTOR, 0, false, false,
         "is this host fit for pawl?", NULL, cmd_doctor, show_doctor},
        {"torture",  "SPEC", 1, 1, WORD_FILE, NEED_NOTHING, FLAG_BIT(QUICK) | FLAG_BIT(SEED), false, true,
         "kill pawl and cut the power at every point of your own deploy, and see", torture_more, cmd_torture, show_nothing},
        {"config",   "", 0, 0, WORD_NONE, NEED_READ, FLAG_BIT(SHOW_ORIGIN), false, false,
         "the host configuration", NULL, cmd_config, show_config},
        {"version",  "", 0, 0, WORD_NONE, NEED_NOTHING, 0, false, false,
         "the version of pawl", NULL, cmd_version, show_version},
        {"help",     "[COMMAND|spec]", 0, 2, WORD_COMMAND, NEED_NOTHING, 0, false, false,
         "this text, or more about one command", NULL, cmd_help, show_nothing},
        {"completion", "bash|zsh|fish", 1, 1, WORD_SHELL, NEED_NOTHING, 0, false, false,
         "print completions for a shell", NULL, cmd_completion, show_nothing},
};
/* clang-format on */
const size_t n_commands = ELEMENTSOF(commands);

bool command_is_family(const Command *c, const char *word) {
        size_t n = strlen(word);
        return strncmp(c->name, word, n) == 0 && c->name[n] == ' ';
}

static int command_missing(const char *word, const char *family, Error *err) {
        const char **names = calloc(n_commands + 1, sizeof(char *));
        size_t n = 0;
        for (size_t i = 0; names && i < n_commands; i++)
                if (!family || command_is_family(&commands[i], family))
                        names[n++] = family ? commands[i].name + strlen(family) + 1 : commands[i].name;
        const char *near = names && word ? text_nearest(word, names) : NULL;
        const char *space = family ? " " : "";
        int r = word ? error_set(err, -EINVAL, ERR_USAGE, NULL, "there is no command \"%s%s%s\"", family ? family : "",
                                 space, word)
                     : error_set(err, -EINVAL, ERR_USAGE, NULL, "%s needs a second word", family);
        if (near)
                error_hint(err, "Did you mean \"pawl %s%s%s\"?", family ? family : "", space, near);
        else if (family)
                error_hint(err, "\"pawl help %s\" shows them.", family);
        else
                error_hint(err, "\"pawl help\" shows all commands.");
        free(names);
        return r;
}

int command_find(const char *first, const char *second, const Command **ret, Error *err) {
        bool has_family = false;
        for (size_t i = 0; i < n_commands; i++) {
                const Command *c = &commands[i];
                if (strcmp(c->name, first) == 0) {
                        *ret = c;
                        return 0;
                }
                if (!command_is_family(c, first))
                        continue;
                has_family = true;
                if (second && strcmp(c->name + strlen(first) + 1, second) == 0) {
                        *ret = c;
                        return COMMAND_TWO_WORDS;
                }
        }
        return command_missing(has_family ? second : first, has_family ? first : NULL, err);
}

void show_nothing(Cli *cli, const Value *result) {
        (void)cli;
        (void)result;
}
