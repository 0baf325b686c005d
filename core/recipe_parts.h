/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the recipe share: the shape of its rows, the functions they name, and the rows of COMMIT.
 * Private to recipe*.c. */
#pragma once

#include "core/recipe.h"
#include "core/rows.h"

#define RECIPE_ROWS_MAX 64 /* rows, a repeated one counted as often as it is */
#define RECIPE_STANDS_MAX 12

typedef struct Recipe {
        Target *target;
        Plan *plan;
        bool needs_restart, needs_route_reload, needs_daemon_reload;
        uint32_t route_group; /* 0: no step is in it yet */
        bool is_asked;        /* start, stop, restart: the person asked for the step itself, so no artifact spares it */
        Value *artifacts;     /* the service row's list, growing */
        int64_t steps[RECIPE_ROWS_MAX]; /* index of each row's step, or -1 */
} Recipe;

typedef enum RecipeFlags {
        RECIPE_ARTIFACT = 1 << 0, /* stays: listed in the row, verified by `check`, left out when already as wanted */
        RECIPE_RESTARTS = 1 << 1, /* a change of it is seen by the program only after a restart */
        RECIPE_VISIBLE = 1 << 2,  /* part of the bracket: only when the program is started anew */
        RECIPE_ROUTE =
                1 << 3, /* in the group "route", which shares nginx; with VISIBLE: only when another of them changes */
        RECIPE_UNIT_FILE = 1 << 4,     /* a change of it is seen by systemd only after it has read its files again: */
        RECIPE_DAEMON_RELOAD = 1 << 5, /* the bracket of that */
} RecipeFlags;

typedef struct RecipeRow {
        const char *name, *manager;
        StepKind kind;
        StepDebt debt;
        unsigned flags;
        bool (*is_wanted)(const Target *t);
        int (*args)(const Target *t, Value **ret, Error *err);
        const char *stands_on[RECIPE_STANDS_MAX]; /* names of rows above */
        const Value *(*each)(const Target *t);    /* one for each item of this list; Target.instance says which */
} RecipeRow;

/* Appends the steps of a table. */
int recipe_rows(Recipe *x, const RecipeRow *table, size_t n_table, Error *err);

/* "file etc/pawl/web/env", "process web": the name under which an artifact is known for as long as the service
 * exists. Owned by the caller. */
char *artifact_name(const RecipeRow *row, const Target *t, const Value *args);
/* In a service's row, borrowed; NULL: it has none of this name. */
const Value *artifact_find(const Value *row, const char *name);
/* Lists one that stays as it is; one that a step makes. */
int artifact_keep(Recipe *x, const Value *artifact, Error *err);
int artifact_list(Recipe *x, const Step *s, uint32_t step, Error *err);
/* 1: already as wanted (and listed). 0: a step is needed. */
int artifact_is_there(Recipe *x, const Manager *m, const char *name, const Value *args, Error *err);
/* Likewise: a release that is already in place keeps the artifact it was made with. */
int artifact_tree_is_there(Recipe *x, Error *err);
/* Fills Target.stale: files that an earlier spec had. */
int artifact_choose_stale(Recipe *x, Error *err);

/* The pieces they are made of: a path, a directory, a file. path and content are taken; NULL: memory was out. */
int args_path(char *path, Value **ret, Error *err);
int args_directory(char *path, int64_t mode, Value **ret, Error *err);
int args_content(char *path, Value *content, int64_t mode, Value **ret, Error *err);
/* The program with its arguments, and where it runs, every place holder filled in. */
int render_command(const Target *t, Value **ret_argv, char **ret_directory, Error *err);

/* Arguments of each kind of step; owned by the caller. */
int args_drop_in(const Target *t, Value **ret, Error *err);
int args_drop_in_dir(const Target *t, Value **ret, Error *err);
int args_trash_drop_in(const Target *t, Value **ret, Error *err);
int args_old_file(const Target *t, Value **ret, Error *err);
int args_old_stop(const Target *t, Value **ret, Error *err);
int args_old_text(const Target *t, Value **ret, Error *err);
int args_credential(const Target *t, Value **ret, Error *err);
int args_disable(const Target *t, Value **ret, Error *err);
int args_enable(const Target *t, Value **ret, Error *err);
int args_owe_reload(const Target *t, Value **ret, Error *err);
int args_pay_reload(const Target *t, Value **ret, Error *err);
int args_trash_unit(const Target *t, Value **ret, Error *err);
int args_unit_file(const Target *t, Value **ret, Error *err);
int args_user(const Target *t, Value **ret, Error *err);
int args_user_gone(const Target *t, Value **ret, Error *err);
int args_wants_dir(const Target *t, Value **ret, Error *err);
int args_config_dir(const Target *t, Value **ret, Error *err);
int args_data_dir(const Target *t, Value **ret, Error *err);
int args_definition(const Target *t, Value **ret, Error *err);
int args_env(const Target *t, Value **ret, Error *err);
int args_fetch(const Target *t, Value **ret, Error *err);
int args_file(const Target *t, Value **ret, Error *err);
int args_health(const Target *t, Value **ret, Error *err);
int args_link(const Target *t, Value **ret, Error *err);
int args_owe(const Target *t, Value **ret, Error *err);
int args_pay(const Target *t, Value **ret, Error *err);
int args_port(const Target *t, Value **ret, Error *err);
int args_prune(const Target *t, Value **ret, Error *err);
int args_purge(const Target *t, Value **ret, Error *err);
int args_releases_dir(const Target *t, Value **ret, Error *err);
int args_paths(const Target *t, Value **ret, Error *err);
int args_route_leave(const Target *t, Value **ret, Error *err);
int args_route_owe(const Target *t, Value **ret, Error *err);
int args_route_pay(const Target *t, Value **ret, Error *err);
int args_route_test(const Target *t, Value **ret, Error *err);
int args_service_dir(const Target *t, Value **ret, Error *err);
int args_stale(const Target *t, Value **ret, Error *err);
int args_stale_block(const Target *t, Value **ret, Error *err); /* *ret NULL: not this one */
int args_stale_file(const Target *t, Value **ret, Error *err);  /* likewise */
int args_start(const Target *t, Value **ret, Error *err);
int args_stop(const Target *t, Value **ret, Error *err);
int args_trash_config(const Target *t, Value **ret, Error *err);
int args_trash_dir(const Target *t, Value **ret, Error *err);
int args_trash_log(const Target *t, Value **ret, Error *err);
int args_tree(const Target *t, Value **ret, Error *err);
int args_vhost(const Target *t, Value **ret, Error *err);
int args_vhost_link(const Target *t, Value **ret, Error *err);

/* Lists whose items repeat a row; borrowed. */
const Value *each_old_file(const Target *t);
const Value *each_credential(const Target *t);
const Value *each_file(const Target *t);
const Value *each_stale(const Target *t);
const Value *each_stale_route(const Target *t);

/* Under which condition a row is a step. */
bool adopts(const Target *t);
bool always(const Target *t);
bool has_config_dir(const Target *t);
bool has_health(const Target *t);
bool has_log(const Target *t);
bool has_port_to_check(const Target *t);
bool has_prune(const Target *t);
bool has_service_dir(const Target *t);
bool needs_fetch(const Target *t);
bool had_user(const Target *t);
bool has_process(const Target *t);
bool has_unit(const Target *t);
bool has_unit_file(const Target *t);
bool was_adopted(const Target *t);
bool is_enabled(const Target *t);
bool lacks_wants_dir(const Target *t);
bool runs_as_process(const Target *t);
bool runs_as_unit(const Target *t);
bool routes(const Target *t);
bool routes_host(const Target *t);
bool routes_path(const Target *t);
bool routes_site(const Target *t);
bool wants_data(const Target *t);
bool wants_enabled(const Target *t);
bool wants_purge(const Target *t);
bool wants_user(const Target *t);

/* recipe_route.c: fills Target.stale_routes; whether the flow may go on without its route; the row that says whose
 * it is; as people write it. */
int route_choose_stale(Target *t, Error *err);
bool route_is_required(const Target *t);
int route_key(const Value *route, char ret[static ROW_KEY_MAX]);
char *route_shown(const Value *route);

/* Fill Plan.rows: what COMMIT writes for a service that is made or changed, that goes, or of which only what is
 * wanted changes. */
int rows_converge(Recipe *x, Error *err);
int rows_remove(Recipe *x, Error *err);
int rows_wanted(Recipe *x, Error *err);
