/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the tables below is reading what pawl does for a service. Everything invisible stands before `owe`,
 * everything visible between `owe` and `pay`, and `pay` is the only moment at which the program is down.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/base/text.h"
#include "core/names.h"
#include "core/recipe_parts.h"
#include "core/rows.h"

/* ---- The tables -------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const RecipeRow converge_rows[] = {
        /* name          manager      kind             debt       flags                              wanted             arguments         stands on */
        {"user",         "user",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   wants_user,        args_user,         {NULL}, NULL},
        {"service-dir",  "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_service_dir,  {NULL}, NULL},
        {"releases-dir", "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_releases_dir, {"service-dir"}, NULL},
        {"config-dir",   "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_config_dir,   {NULL}, NULL},
        {"data-dir",     "directory", STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   wants_data,        args_data_dir,     {"user"}, NULL},
        {"fetch",        "release",   STEP_EFFECT,     DEBT_NONE, 0,                                 needs_fetch,       args_fetch,        {"releases-dir"}, NULL},
        {"tree",         "tree",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT,                   always,            args_tree,         {"releases-dir", "fetch"}, NULL},
        {"wants-dir",    "directory", STEP_EFFECT,     DEBT_NONE, 0,                                 lacks_wants_dir,   args_wants_dir,    {NULL}, NULL},
        {"port",         "port",      STEP_CHECK,      DEBT_NONE, RECIPE_VISIBLE,                    has_port_to_check, args_port,         {NULL}, NULL},
        {"owe",          "process",   STEP_EFFECT,     DEBT_OWE,  RECIPE_VISIBLE,                    has_process,       args_owe,          {NULL}, NULL},
        {"owe",          "unit",      STEP_EFFECT,     DEBT_OWE,  RECIPE_VISIBLE,                    has_unit,          args_owe,          {NULL}, NULL},
        {"old-stop",     "unit",      STEP_EFFECT,     DEBT_NONE, 0,                                 adopts,            args_old_stop,     {"owe"}, NULL},
        {"owe-reload",   "systemd",   STEP_EFFECT,     DEBT_OWE,  RECIPE_DAEMON_RELOAD,              has_unit,          args_owe_reload,   {"owe", "old-stop"}, NULL},
        {"old-files",    "trash",     STEP_EFFECT,     DEBT_NONE, RECIPE_UNIT_FILE,                  adopts,            args_old_file,     {"old-stop", "owe-reload"}, each_old_file},
        {"old-text",     "file",      STEP_EFFECT,     DEBT_NONE, 0,                                 adopts,            args_old_text,     {"config-dir"}, NULL},
        {"drop-in-dir",  "directory", STEP_EFFECT,     DEBT_NONE, 0,                                 adopts,            args_drop_in_dir,  {NULL}, NULL},
        {"drop-in",      "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_UNIT_FILE,                  adopts,            args_drop_in,      {"drop-in-dir", "owe-reload"}, NULL},
        {"env",          "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_env,          {"config-dir", "owe"}, NULL},
        {"definition",   "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, has_process,       args_definition,   {"config-dir", "owe"}, NULL},
        {"credentials",  "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, has_unit,          args_credential,   {"config-dir", "owe"}, each_credential},
        {"files",        "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_file,         {"config-dir", "owe"}, each_file},
        {"stale",        "trash",     STEP_EFFECT,     DEBT_NONE, RECIPE_RESTARTS,                   always,            args_stale,        {"owe"}, each_stale},
        {"unit-file",    "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS | RECIPE_UNIT_FILE, has_unit, args_unit_file, {"owe", "owe-reload"}, NULL},
        {"enable",       "link",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_UNIT_FILE, wants_enabled,     args_enable,       {"wants-dir", "unit-file", "owe-reload"}, NULL},
        {"current",      "link",      STEP_EFFECT,     DEBT_NONE, RECIPE_ARTIFACT | RECIPE_RESTARTS, always,            args_link,         {"service-dir", "tree", "owe"}, NULL},
        {"pay-reload",   "systemd",   STEP_EFFECT,     DEBT_PAY,  RECIPE_DAEMON_RELOAD,              has_unit,          args_pay_reload,   {"unit-file", "enable", "old-files", "drop-in", "owe-reload"}, NULL},
        {"pay",          "process",   STEP_EFFECT,     DEBT_PAY,  RECIPE_VISIBLE | RECIPE_ARTIFACT,  has_process,       args_pay,          {"tree", "data-dir", "env", "definition", "files", "stale", "current", "owe"}, NULL},
        {"pay",          "unit",      STEP_EFFECT,     DEBT_PAY,  RECIPE_VISIBLE | RECIPE_ARTIFACT,  has_unit,          args_pay,          {"user", "tree", "data-dir", "env", "credentials", "files", "stale", "current", "unit-file", "pay-reload", "owe"}, NULL},
        {"health",       "health",    STEP_CHECK,      DEBT_NONE, RECIPE_VISIBLE,                    has_health,        args_health,       {NULL}, NULL},
        {"route-test",   "nginx",     STEP_CHECK,      DEBT_NONE, RECIPE_ROUTE | RECIPE_VISIBLE,     routes,            args_route_test,   {NULL}, NULL},
        {"route-owe",    "nginx",     STEP_EFFECT,     DEBT_OWE,  RECIPE_ROUTE | RECIPE_VISIBLE,     routes,            args_route_owe,    {NULL}, NULL},
        {"old-block",    "block",     STEP_EFFECT,     DEBT_NONE, RECIPE_ROUTE,                      always,            args_stale_block,  {"route-owe"}, each_stale_route},
        {"old-route",    "trash",     STEP_EFFECT,     DEBT_NONE, RECIPE_ROUTE,                      always,            args_stale_file,   {"route-owe"}, each_stale_route},
        {"paths",        "block",     STEP_EFFECT,     DEBT_NONE, RECIPE_ROUTE | RECIPE_ARTIFACT,    routes_path,       args_paths,        {"route-owe"}, NULL},
        {"vhost",        "file",      STEP_EFFECT,     DEBT_NONE, RECIPE_ROUTE | RECIPE_ARTIFACT,    routes_host,       args_vhost,        {"route-owe"}, NULL},
        {"vhost-link",   "link",      STEP_EFFECT,     DEBT_NONE, RECIPE_ROUTE | RECIPE_ARTIFACT,    routes_site,       args_vhost_link,   {"route-owe", "vhost"}, NULL},
        {"route-pay",    "nginx",     STEP_EFFECT,     DEBT_PAY,  RECIPE_ROUTE | RECIPE_VISIBLE,     routes,            args_route_pay,    {"old-block", "old-route", "paths", "vhost", "vhost-link", "route-owe"}, NULL},
        {"prune",        "prune",     STEP_FINISH_TRY, DEBT_NONE, 0,                                 has_prune,         args_prune,        {NULL}, NULL},
};

static const RecipeRow remove_rows[] = {
        {"stop",         "process",   STEP_EFFECT,      DEBT_NONE, 0, runs_as_process, args_stop,         {NULL}, NULL},
        {"stop",         "unit",      STEP_EFFECT,      DEBT_NONE, 0, runs_as_unit,    args_stop,         {NULL}, NULL},
        {"route-owe",    "nginx",     STEP_EFFECT,      DEBT_OWE,  RECIPE_ROUTE | RECIPE_VISIBLE, routes, args_route_owe, {NULL}, NULL},
        {"old-block",    "block",     STEP_EFFECT,      DEBT_NONE, RECIPE_ROUTE, always, args_stale_block, {"route-owe"}, each_stale_route},
        {"old-route",    "trash",     STEP_EFFECT,      DEBT_NONE, RECIPE_ROUTE, always, args_stale_file,  {"route-owe"}, each_stale_route},
        {"route-pay",    "nginx",     STEP_EFFECT,      DEBT_PAY,  RECIPE_ROUTE | RECIPE_VISIBLE, routes, args_route_leave, {"old-block", "old-route", "route-owe"}, NULL},
        {"owe-reload",   "systemd",   STEP_EFFECT,      DEBT_OWE,  0, has_unit_file,   args_owe_reload,   {"stop"}, NULL},
        {"disable",      "trash",     STEP_EFFECT,      DEBT_NONE, 0, is_enabled,      args_disable,      {"stop", "owe-reload"}, NULL},
        {"unit-file",    "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_unit_file,   args_trash_unit,   {"stop", "owe-reload"}, NULL},
        {"drop-in",      "trash",     STEP_EFFECT,      DEBT_NONE, 0, was_adopted,     args_trash_drop_in, {"stop", "owe-reload"}, NULL},
        {"pay-reload",   "systemd",   STEP_EFFECT,      DEBT_PAY,  0, has_unit_file,   args_pay_reload,   {"disable", "unit-file", "drop-in", "owe-reload"}, NULL},
        {"service-dir",  "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_service_dir, args_trash_dir,    {"stop"}, NULL},
        {"config-dir",   "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_config_dir,  args_trash_config, {"stop"}, NULL},
        {"log",          "trash",     STEP_EFFECT,      DEBT_NONE, 0, has_log,         args_trash_log,    {"stop"}, NULL},
        {"user",         "user",      STEP_EFFECT,      DEBT_NONE, 0, had_user,        args_user_gone,    {"stop"}, NULL},
        {"data",         "purge",     STEP_FINISH_MUST, DEBT_NONE, 0, wants_purge,     args_purge,        {NULL}, NULL},
};

static const RecipeRow start_rows[] = {
        {"port",         "port",      STEP_CHECK,  DEBT_NONE, 0,               has_port_to_check, args_port,       {NULL}, NULL},
        {"wants-dir",    "directory", STEP_EFFECT, DEBT_NONE, 0,               lacks_wants_dir,   args_wants_dir,  {NULL}, NULL},
        {"enable",       "link",      STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, has_unit,          args_enable,     {"wants-dir"}, NULL},
        {"start",        "process",   STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, has_process,       args_start,      {NULL}, NULL},
        {"start",        "unit",      STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, has_unit,          args_start,      {NULL}, NULL},
        {"health",       "health",    STEP_CHECK,  DEBT_NONE, 0,               has_health,        args_health,     {NULL}, NULL},
};

static const RecipeRow stop_rows[] = {
        {"disable",      "trash",     STEP_EFFECT, DEBT_NONE, 0,               is_enabled,        args_disable,    {NULL}, NULL},
        {"stop",         "process",   STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, has_process,       args_stop,       {NULL}, NULL},
        {"stop",         "unit",      STEP_EFFECT, DEBT_NONE, RECIPE_ARTIFACT, has_unit,          args_stop,       {NULL}, NULL},
};

/* Whoever restarts a unit wants a new drop-in to count, which systemd itself does not notice before it has read its
 * files again. */
static const RecipeRow restart_rows[] = {
        {"port",         "port",      STEP_CHECK,  DEBT_NONE, 0,               has_port_to_check, args_port,       {NULL}, NULL},
        {"owe",          "process",   STEP_EFFECT, DEBT_OWE,  0,               has_process,       args_owe,        {NULL}, NULL},
        {"owe",          "unit",      STEP_EFFECT, DEBT_OWE,  0,               has_unit,          args_owe,        {NULL}, NULL},
        {"owe-reload",   "systemd",   STEP_EFFECT, DEBT_OWE,  0,               has_unit,          args_owe_reload, {"owe"}, NULL},
        {"pay-reload",   "systemd",   STEP_EFFECT, DEBT_PAY,  0,               has_unit,          args_pay_reload, {"owe-reload"}, NULL},
        {"pay",          "process",   STEP_EFFECT, DEBT_PAY,  RECIPE_ARTIFACT, has_process,       args_pay,        {"owe"}, NULL},
        {"pay",          "unit",      STEP_EFFECT, DEBT_PAY,  RECIPE_ARTIFACT, has_unit,          args_pay,        {"owe", "pay-reload"}, NULL},
        {"health",       "health",    STEP_CHECK,  DEBT_NONE, 0,               has_health,        args_health,     {NULL}, NULL},
};
/* clang-format on */
static_assert(ELEMENTSOF(converge_rows) <= RECIPE_ROWS_MAX, "Recipe.steps holds one entry per row");

/* ---- Notifications ----------------------------------------------------------------------------------------------- */

static int notify_step(Recipe *x, const Value *hook, StepKind kind, const char *event, Error *err) {
        const Target *t = x->target;
        _cleanup_(value_freep) Value *args = value_new_map(), *payload = value_new_map();
        int r;
        if (!args || !payload)
                return error_no_memory(err);
        if ((r = value_set_text(payload, "event", event, err)) < 0 ||
            (r = value_set_text(payload, "service", t->service, err)) < 0 ||
            (r = value_set_text(payload, "flow", t->flow, err)) < 0 ||
            (r = value_set_text(payload, "version", t->version, err)) < 0 ||
            (r = value_set_text(payload, "from", x->plan->from, err)) < 0 ||
            (r = value_set_text(payload, "actor", t->engine->actor, err)) < 0)
                return r;
        if ((r = value_set(args, "url", value_copy(value_get(hook, "url")), err)) < 0 ||
            (r = value_set_text(args, "event", event, err)) < 0 ||
            (r = value_set_int(args, "attempts", value_get_int(hook, "attempts", 3), err)) < 0 ||
            (r = value_set_int(args, "timeout_usec", value_get_int(hook, "timeout_usec", 10 * (int64_t)USEC_PER_SEC),
                               err)) < 0 ||
            (r = value_set(args, "payload", TAKE_PTR(payload), err)) < 0)
                return r;
        return plan_add(x->plan, (StepInit){.kind = kind, .manager = "notify"}, TAKE_PTR(args), NULL, err);
}

static bool hook_wants(const Value *hook, const char *event) {
        const Value *events = value_get(hook, "events");
        for (size_t i = 0; i < value_count(events); i++)
                if (strcmp(value_text(value_at(events, i)), event) == 0)
                        return true;
        return value_count(events) == 0;
}

static int notify_hook(Recipe *x, const Value *hook, Error *err) {
        int r = hook_wants(hook, "completed") ? notify_step(x, hook, STEP_FINISH_TRY, "completed", err) : 0;
        return r == 0 && hook_wants(hook, "failed") ? notify_step(x, hook, STEP_TELL, "failed", err) : r;
}

static int notify_steps(Recipe *x, const Value *hooks, Error *err) {
        const char *url = value_get_text(x->target->engine->config, "notify.url");
        int r = 0;
        if (plan_count_effects(x->plan) == 0)
                return 0;
        for (size_t i = 0; r == 0 && i < value_count(hooks); i++)
                r = notify_hook(x, value_at(hooks, i), err);
        if (r < 0 || !url || !*url)
                return r;
        _cleanup_(value_freep) Value *hook = value_new_map();
        r = hook ? value_set_text(hook, "url", url, err) : error_no_memory(err);
        if (r == 0)
                r = value_set_int(hook, "attempts", value_get_int(x->target->engine->config, "notify.attempts", 3),
                                  err);
        return r < 0 ? r : notify_hook(x, hook, err);
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static int recipe_begin(Recipe *x, Target *t, Error *err) {
        const char *from = value_get_text(t->row, "version");
        *x = (Recipe){.target = t, .plan = plan_new(t->flow, t->service), .artifacts = value_new_array()};
        if (!x->plan || !x->artifacts)
                return error_no_memory(err);
        x->plan->from = from ? strdup(from) : NULL;
        x->plan->to = t->version ? strdup(t->version) : NULL;
        x->plan->timeout_usec = (uint64_t)value_get_int(t->spec, "timeout_usec", 0);
        x->plan->finish_on_crash = strcmp(value_get_text_or(t->spec, "on_crash", "reverse"), "finish") == 0;
        x->plan->is_marked = target_has_unit(t);
        for (size_t i = 0; i < value_count(t->notes); i++)
                if (plan_remark(x->plan, "%s", value_text(value_at(t->notes, i))) < 0)
                        return error_no_memory(err);
        return 0;
}

static void recipe_done(Recipe *x) {
        plan_free(x->plan);
        value_free(x->artifacts);
}

static int converge_extras(Recipe *x, Error *err) {
        Target *t = x->target;
        x->plan->spec = value_copy(t->spec);
        x->plan->held = value_new_map();
        if (!x->plan->spec || !x->plan->held)
                return error_no_memory(err);
        char hash[17];
        int r = value_set_text(x->plan->held, "sha256", value_get_text(t->source, "sha256"), err);
        if (r == 0)
                r = spec_hash(t->spec, hash, err);
        if (r == 0)
                r = value_set_text(x->plan->held, "hash", hash, err);
        if (r == 0)
                r = notify_steps(x, t->hooks, err);
        return r < 0 ? r : rows_converge(x, err);
}

int recipe_converge(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        int r = recipe_begin(&x, t, err);
        if (r < 0)
                return r;
        x.needs_restart = !t->is_running;
        x.needs_daemon_reload = t->is_stale;
        r = artifact_choose_stale(&x, err);
        if (r == 0)
                r = route_choose_stale(t, err);
        if (r == 0)
                r = recipe_rows(&x, converge_rows, ELEMENTSOF(converge_rows), err);
        if (r == 0)
                r = converge_extras(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}

int recipe_remove(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        _cleanup_free_ char *data = name_data_dir(t->service);
        int r = data ? recipe_begin(&x, t, err) : error_no_memory(err);
        if (r == 0)
                r = route_choose_stale(t, err);
        if (r == 0)
                r = recipe_rows(&x, remove_rows, ELEMENTSOF(remove_rows), err);
        if (r == 0 && t->purge)
                r = plan_remark(x.plan, "deletes /%s: this cannot be put back", data);
        if (r == 0)
                r = notify_steps(&x, value_get(t->row, "hooks"), err);
        if (r == 0)
                r = rows_remove(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}

/* clang-format off */
static const struct {
        const char *flow;
        const RecipeRow *rows;
        size_t n_rows;
} run_tables[] = {
        {"start",   start_rows,   ELEMENTSOF(start_rows)},
        {"stop",    stop_rows,    ELEMENTSOF(stop_rows)},
        {"restart", restart_rows, ELEMENTSOF(restart_rows)},
};
/* clang-format on */

/* A restart stops what runs: that there is something to start again is seen before. */
static int can_start(const Target *t, Error *err) {
        _cleanup_(value_freep) Value *args = NULL;
        _cleanup_free_ char *path = target_has_unit(t) ? name_unit_file(t->unit) : name_definition(t->service),
                            *name = path ? text_format("file %s", path) : NULL;
        const Value *definition = name ? artifact_find(t->row, name) : NULL;
        const Manager *file = manager_by_name("file");
        if (definition &&
            file->verify(&t->engine->host, value_get(definition, "args"), value_get(definition, "facts"), NULL) < 0)
                engine_say(t->engine, LOG_WARNING, "/%s was edited by hand; what it says is started", path);
        int r = args_start(t, &args, err);
        return r < 0 ? r : manager_by_name(target_has_unit(t) ? "unit" : "process")->check(&t->engine->host, args, err);
}

int recipe_run(Target *t, Plan **ret, Error *err) {
        _cleanup_(recipe_done) Recipe x = {0};
        int r = recipe_begin(&x, t, err);
        x.needs_daemon_reload = t->is_stale;
        if (r == 0 && t->wants_running)
                r = can_start(t, err);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(run_tables); i++)
                if (strcmp(run_tables[i].flow, t->flow) == 0) {
                        x.is_asked = true;
                        r = recipe_rows(&x, run_tables[i].rows, run_tables[i].n_rows, err);
                }
        if (r == 0)
                r = notify_steps(&x, value_get(t->row, "hooks"), err);
        if (r == 0)
                r = rows_wanted(&x, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x.plan);
        return 0;
}
