/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the command line: what was asked, how to answer, and the engine once it is needed. */
#pragma once

#include "cli/options.h"
#include "cli/out.h"
#include "core/engine.h"

typedef struct Cli {
        const Options *options;
        Out out;
        Engine *engine; /* NULL until cli_engine() */
        int status;     /* exit status where the error's own is not it; 0: not set */
        bool is_shown;  /* result and error were shown as they came: text only */
        char bar_what[64];
        uint64_t bar_usec;
} Cli;

/* The whole program: returns the exit status. */
int cli_main(int argc, char **argv);

/* Opens the engine as the command's row says, on first use. So a wrong spec is told before anything is made. */
int cli_engine(Cli *cli, Engine **ret, Error *err);
/* The same for a command that looks first, and found that something is to be changed: closes what is open, and opens
 * it to write. */
int cli_engine_for_writing(Cli *cli, Engine **ret, Error *err);
/*
 * What engine_open and engine_init take; `ret_overrides` (owned by the caller: free) holds what --set, --wait
 * and --exit-codes say.
 */
int cli_engine_options(Cli *cli, EngineOptions *ret, ConfigOverride **ret_overrides, Error *err);
/* "/" or what --root or PAWL_ROOT say. */
const char *cli_root(const Cli *cli);
/* The status for an error code, as --exit-codes, PAWL_EXIT_CODES or the configuration want it. */
int cli_exit_status(const Cli *cli, int r, const Error *err);
