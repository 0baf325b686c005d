/* SPDX-License-Identifier: Apache-2.0 */
/* The frame around every command: options, engine, answer, exit status. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/render_json.h"
#include "cli/render_text.h"
#include "cli/signals.h"
#include "core/base/text.h"

/* ---- Engine ------------------------------------------------------------------------------------------------------ */

/* clang-format off */
static const EngineAccess accesses[] = {
        [NEED_NOTHING] = ENGINE_READ,
        [NEED_READ]    = ENGINE_READ,
        [NEED_WRITE]   = ENGINE_WRITE,
        [NEED_REPAIR]  = ENGINE_REPAIR,
        [NEED_DOCTOR]  = ENGINE_DOCTOR,
};

/* Flags that are keys of the configuration under another name. */
static const struct {
        FlagId flag;
        const char *key, *origin;
} config_flags[] = {
        {FLAG_WAIT,       "wait",       "--wait"},
        {FLAG_EXIT_CODES, "exit_codes", "--exit-codes"},
};
/* clang-format on */

const char *cli_root(const Cli *cli) {
        const char *root = option_text(cli->options, FLAG_ROOT);
        if (!root)
                root = getenv("PAWL_ROOT");
        return root && *root ? root : "/";
}

/* "KEY=VALUE" is split in place of a copy: the key lives behind the array, in one allocation. */
static int override_split(const char *text, ConfigOverride *ret, char **keys, Error *err) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text)
                return error_set(err, -EINVAL, ERR_USAGE, "\"pawl config\" shows the keys.", "\"%s\" is not KEY=VALUE",
                                 text);
        size_t n = (size_t)(equals - text);
        memcpy(*keys, text, n);
        (*keys)[n] = '\0';
        *ret = (ConfigOverride){.key = *keys, .value = equals + 1, .origin = "--set"};
        *keys += n + 1;
        return 0;
}

static int overrides_build(const Options *o, ConfigOverride **ret, size_t *ret_n, Error *err) {
        size_t size = 0, n = 0;
        for (size_t i = 0; i < o->n_given; i++)
                size += o->given[i].id == FLAG_SET ? strlen(o->given[i].value) + 1 : 0;
        size_t n_max = o->n_given + ELEMENTSOF(config_flags);
        _cleanup_free_ ConfigOverride *list = calloc(1, n_max * sizeof(ConfigOverride) + size);
        if (!list)
                return error_no_memory(err);
        char *keys = (char *)(list + n_max);
        for (size_t i = 0; i < o->n_given; i++) {
                int r = o->given[i].id == FLAG_SET ? override_split(o->given[i].value, &list[n++], &keys, err) : 0;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(config_flags); i++)
                if (option_text(o, config_flags[i].flag))
                        list[n++] = (ConfigOverride){config_flags[i].key, option_text(o, config_flags[i].flag),
                                                     config_flags[i].origin};
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}

int cli_engine_options(Cli *cli, EngineOptions *ret, ConfigOverride **ret_overrides, Error *err) {
        static EngineCalls calls;
        size_t n = 0;
        int r = overrides_build(cli->options, ret_overrides, &n, err);
        if (r < 0)
                return r;
        calls = progress_calls;
        calls.userdata = cli;
        *ret = (EngineOptions){.root = cli_root(cli),
                               .access = accesses[cli->options->command->need],
                               .overrides = *ret_overrides,
                               .n_overrides = n,
                               .request_id = option_text(cli->options, FLAG_REQUEST_ID),
                               .calls = &calls,
                               .is_early = option_is(cli->options, FLAG_EARLY),
                               .cancel = signals_flag()};
        return 0;
}

static bool is_simple(const Cli *cli) {
        const char *kind = option_text(cli->options, FLAG_EXIT_CODES);
        if (!kind && cli->engine)
                kind = value_get_text(engine_config(cli->engine), "exit_codes");
        if (!kind)
                kind = getenv("PAWL_EXIT_CODES");
        return kind && strcmp(kind, "simple") == 0;
}

int cli_exit_status(const Cli *cli, int r, const Error *err) {
        int status = cli->status > 0 || r >= 0 ? cli->status : error_exit_status(err->code);
        if (status == 0 && r < 0)
                status = 1;
        return status > 0 && is_simple(cli) ? 1 : status;
}

static int status_of_unknown(const Cli *cli) {
        return cli_exit_status(cli, -EIO, &(Error){.code = ERR_JOURNAL_IO});
}

static int engine_open_for(Cli *cli, EngineAccess access, Engine **ret, Error *err) {
        _cleanup_free_ ConfigOverride *overrides = NULL;
        EngineOptions options;
        bool is_writing = access == ENGINE_WRITE || access == ENGINE_REPAIR;
        int r = cli->engine ? 0 : cli_engine_options(cli, &options, &overrides, err);
        if (r == 0 && !cli->engine) {
                options.access = access;
                if (is_writing)
                        signals_catch(status_of_unknown(cli));
                r = engine_open(&options, &cli->engine, err);
                if (r == 0 && is_writing) /* now its configuration is known */
                        signals_catch(status_of_unknown(cli));
        }
        if (r == 0)
                *ret = cli->engine;
        return r;
}

int cli_engine(Cli *cli, Engine **ret, Error *err) {
        return engine_open_for(cli, accesses[cli->options->command->need], ret, err);
}

int cli_engine_for_writing(Cli *cli, Engine **ret, Error *err) {
        cli->engine = engine_free(cli->engine);
        return engine_open_for(cli, ENGINE_WRITE, ret, err);
}

/* ---- Answer ------------------------------------------------------------------------------------------------------ */

/* An outcome that failed names its flow; other results are shown before the error that judges them (check, doctor). */
static bool is_outcome(const Value *result) {
        return value_get_text(result, "command") && value_get_text(result, "service");
}

/* What is text by nature (help, completion) is an object with that text. */
static Value *printed_text(Cli *cli) {
        _cleanup_(value_freep) Value *result = value_new_map();
        _cleanup_free_ char *text = text_take(&cli->out.printed);
        return text && value_set_text(result, "text", text, NULL) == 0 ? TAKE_PTR(result) : NULL;
}

static int answer(Cli *cli, Value *result, int r, const Error *err) {
        const Command *c = cli->options->command;
        int status = cli_exit_status(cli, r, err);
        if (cli->out.is_json && cli->out.printed.size > 0 && !result) {
                result = printed_text(cli);
                cli->is_shown = false;
        }
        if (cli->out.is_json && !cli->is_shown) {
                json_answer(cli, result, r, err, status);
                return status;
        }
        if (!cli->is_shown && result && (r == 0 || !is_outcome(result)))
                c->show(cli, result);
        if (!cli->is_shown && r < 0)
                text_error(cli, result && is_outcome(result) ? result : NULL, err);
        out_bar(&cli->out, NULL);
        value_free(result);
        return status;
}

static bool is_change(const Cli *cli) {
        const Options *o = cli->options;
        bool is_accept = option_is(o, FLAG_ACCEPT), is_dry = option_is(o, FLAG_DRY_RUN);
        return o->command && (is_accept || (o->command->is_change && !is_dry)) && !option_is(o, FLAG_HELP);
}

/* Where the output is the result, what is missing of it is a failure; else the status tells of the host. */
static int judge_output(Cli *cli, int status) {
        Error err = ERROR_INIT;
        int r = out_finish(&cli->out, &err);
        if (r == 0)
                return status;
        if (is_change(cli)) {
                out_say(&cli->out, "  warning: %s\n", err.message);
                return status;
        }
        text_error(cli, NULL, &err);
        return status > 0 ? status : cli_exit_status(cli, r, &err);
}

static int run(Cli *cli, Value **ret, Error *err) {
        const Options *o = cli->options;
        const char *kind = option_text(o, FLAG_EXIT_CODES), *root = option_text(o, FLAG_ROOT);
        /* --root "$DIR" with an empty DIR must not become the real host. */
        if (root && !*root)
                return error_set(err, -EINVAL, ERR_USAGE, "Write --root / for the whole host.", "--root needs DIR");
        if (kind && strcmp(kind, "simple") != 0 && strcmp(kind, "detailed") != 0)
                return error_set(err, -EINVAL, ERR_USAGE, NULL, "--exit-codes is detailed or simple, not \"%s\"", kind);
        if (!o->command || option_is(o, FLAG_HELP)) {
                cli->is_shown = true;
                if (o->command)
                        help_command(cli, o->command);
                else
                        help_all(cli);
                if (!o->command && !option_is(o, FLAG_HELP))
                        cli->status = error_exit_status(ERR_USAGE);
                return 0;
        }
        return o->command->run(cli, ret, err);
}

/* So that an error in the command line itself is told in the way it asked for. */
static void look_ahead(Cli *cli, int argc, char **argv) {
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--json") == 0)
                        cli->out.is_json = true;
}

int cli_main(int argc, char **argv) {
        _cleanup_options_ Options options = {0};
        Cli cli = {.options = &options};
        Value *result = NULL;
        Error err = ERROR_INIT;
        char *version[] = {argv[0], (char *)"version", NULL};
        out_init(&cli.out);
        signals_ignore_pipe();
        look_ahead(&cli, argc, argv);
        if (argc == 2 && strcmp(argv[1], "--version") == 0)
                argv = version;
        int r = options_parse(argc, argv, &options, &err);
        cli.out.is_quiet = option_is(&options, FLAG_QUIET);
        if (option_is(&options, FLAG_NO_COLOR))
                cli.out.has_colour = false;
        if (r == 0)
                r = run(&cli, &result, &err);
        int status = judge_output(&cli, answer(&cli, result, r, &err));
        engine_free(cli.engine);
        out_done(&cli.out);
        return status;
}
