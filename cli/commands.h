/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: one row each. Parser, help, completion and manual are made from the rows; a command is one row and
 * one function.
 */
#pragma once

#include "cli/cli.h"

typedef enum CommandNeed {
        NEED_NOTHING, /* no engine */
        NEED_READ,
        NEED_WRITE,
        NEED_REPAIR,
        NEED_DOCTOR,
} CommandNeed;

/* What its words are, for completion. */
typedef enum WordKind { WORD_NONE, WORD_SERVICE, WORD_FILE, WORD_COMMAND, WORD_SHELL } WordKind;

struct Command {
        const char *name;  /* one word, or two: "journal list" */
        const char *words; /* "SERVICE [TX]": as the synopsis shows them */
        unsigned min, max;
        WordKind kind;
        CommandNeed need;
        uint64_t flags; /* besides the common ones */
        bool takes_exec;
        bool is_change;   /* of the host: what it prints is not what it is for */
        const char *text; /* one line */
        const char *more; /* a paragraph for "help COMMAND", or NULL */
        /*
         * Does it. *ret (NULL: nothing to show) is what --json shows as "result" and `show` writes as text,
         * also when it failed. Result 0, or a negative
         * errno with err filled; the exit status comes from there, or from cli->status where that is set.
         */
        int (*run)(Cli *cli, Value **ret, Error *err);
        void (*show)(Cli *cli, const Value *result);
};

extern const Command commands[];
extern const size_t n_commands;

#define COMMAND_TWO_WORDS 1 /* the second word belongs to the name */
/* Of "journal list": "journal". */
bool command_is_family(const Command *c, const char *word);
/* `second` may be NULL. ERR_USAGE with "did you mean". */
int command_find(const char *first, const char *second, const Command **ret, Error *err);

/* cmd_change.c */
int cmd_apply(Cli *cli, Value **ret, Error *err);
int cmd_change(Cli *cli, Value **ret, Error *err); /* deploy, upgrade, rollback, remove, start, stop, restart */
void show_outcome(Cli *cli, const Value *outcome);
int cmd_adopt(Cli *cli, Value **ret, Error *err);
/* cmd_plan.c */
int cmd_plan(Cli *cli, Value **ret, Error *err);
/* cmd_look.c */
int cmd_list(Cli *cli, Value **ret, Error *err);
void show_list(Cli *cli, const Value *list);
int cmd_status(Cli *cli, Value **ret, Error *err);
void show_status(Cli *cli, const Value *status);
int cmd_inspect(Cli *cli, Value **ret, Error *err);
void show_inspect(Cli *cli, const Value *inspect);
int cmd_check(Cli *cli, Value **ret, Error *err);
void show_check(Cli *cli, const Value *check);
int cmd_logs(Cli *cli, Value **ret, Error *err);
/* cmd_history.c */
int cmd_history(Cli *cli, Value **ret, Error *err);
void show_history(Cli *cli, const Value *history);
int cmd_show(Cli *cli, Value **ret, Error *err);
void show_transaction(Cli *cli, const Value *transaction);
/* cmd_recover.c */
int cmd_recover(Cli *cli, Value **ret, Error *err);
void show_recover(Cli *cli, const Value *report);
/* cmd_journal.c */
int cmd_journal_list(Cli *cli, Value **ret, Error *err);
int cmd_journal_show(Cli *cli, Value **ret, Error *err);
int cmd_journal_verify(Cli *cli, Value **ret, Error *err);
int cmd_journal_rebuild(Cli *cli, Value **ret, Error *err);
int cmd_journal_repair(Cli *cli, Value **ret, Error *err);
int cmd_journal_export(Cli *cli, Value **ret, Error *err);
void show_records(Cli *cli, const Value *records);
void show_record(Cli *cli, const Value *record);
void show_facts(Cli *cli, const Value *facts);
/* cmd_host.c */
int cmd_init(Cli *cli, Value **ret, Error *err);
void show_init(Cli *cli, const Value *made);
int cmd_doctor(Cli *cli, Value **ret, Error *err);
void show_doctor(Cli *cli, const Value *checks);
int cmd_config(Cli *cli, Value **ret, Error *err);
void show_config(Cli *cli, const Value *config);
int cmd_version(Cli *cli, Value **ret, Error *err);
void show_version(Cli *cli, const Value *version);
/* cmd_torture.c */
int cmd_torture(Cli *cli, Value **ret, Error *err);
/* help.c, completion.c */
int cmd_help(Cli *cli, Value **ret, Error *err);
void help_all(Cli *cli);
void help_command(Cli *cli, const Command *command);
int cmd_completion(Cli *cli, Value **ret, Error *err);
/* For what a command has already shown, or does not show. */
void show_nothing(Cli *cli, const Value *result);
