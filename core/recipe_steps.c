/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows to steps: first the rows that nobody sees, by which it is known what must be started or read anew; then the
 * brackets around them; then all in the table's order.
 */
#include <errno.h>
#include <string.h>

#include "core/recipe_parts.h"

static int stand(Recipe *x, const RecipeRow *rows, size_t n_rows, size_t i, Error *err) {
        uint32_t step = (uint32_t)x->steps[i];
        plan_stands_alone(x->plan, step);
        for (size_t k = 0; k < RECIPE_STANDS_MAX && rows[i].stands_on[k]; k++)
                for (size_t n = 0; n < n_rows; n++) {
                        if (strcmp(rows[n].name, rows[i].stands_on[k]) != 0 || x->steps[n] < 0)
                                continue;
                        int r = plan_add_depends(x->plan, step, (uint32_t)x->steps[n], err);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* The group that a row's step belongs to, made for the first of them. A service that goes does not go on without. */
static int group_of(Recipe *x, const RecipeRow *row, uint32_t *ret, Error *err) {
        bool is_required = route_is_required(x->target) || strcmp(x->plan->flow, "remove") == 0;
        int r = 0;
        if ((row->flags & RECIPE_ROUTE) && x->route_group == 0) {
                r = plan_add_group(x->plan, "route", is_required, &x->route_group, err);
                if (r == 0)
                        r = plan_share(x->plan, x->route_group, "nginx", err);
        }
        if (r == 0)
                *ret = row->flags & RECIPE_ROUTE ? x->route_group : 0;
        return r;
}

static int emit(Recipe *x, const RecipeRow *rows, size_t n_rows, size_t i, Value *args, Error *err) {
        const RecipeRow *row = &rows[i];
        _cleanup_(value_freep) Value *taken = args;
        _cleanup_free_ char *name = row->flags & RECIPE_ARTIFACT ? artifact_name(row, x->target, taken) : NULL;
        uint32_t step, group = 0;
        if ((row->flags & RECIPE_ARTIFACT) && !name)
                return error_no_memory(err);
        int r = group_of(x, row, &group, err);
        if (r < 0)
                return r;
        r = plan_add(x->plan,
                     (StepInit){.kind = row->kind,
                                .manager = row->manager,
                                .debt = row->debt,
                                .group = group,
                                .artifact = name},
                     TAKE_PTR(taken), &step, err);
        if (r < 0)
                return r;
        x->steps[i] = step;
        if (row->flags & RECIPE_ARTIFACT)
                r = artifact_list(x, &x->plan->steps[step], step, err);
        return r < 0 ? r : stand(x, rows, n_rows, i, err);
}

/* Args for rows that are steps; NULL where the artifact is already there or the row has no place in this plan. */
static int consider(Recipe *x, const RecipeRow *row, Value **ret_args, Error *err) {
        _cleanup_(value_freep) Value *args = NULL;
        int r;
        if ((row->flags & (RECIPE_VISIBLE | RECIPE_DAEMON_RELOAD)) || !row->is_wanted(x->target))
                return 0;
        if (strcmp(row->name, "tree") == 0 && (r = artifact_tree_is_there(x, err)) != 0)
                return MIN(r, 0);
        r = row->args(x->target, &args, err);
        if (r < 0)
                return r;
        if (row->flags & RECIPE_ARTIFACT) {
                _cleanup_free_ char *name = artifact_name(row, x->target, args);
                r = name ? artifact_is_there(x, manager_by_name(row->manager), name, args, err) : error_no_memory(err);
                if (r != 0)
                        return MIN(r, 0);
        }
        x->needs_restart |= (row->flags & RECIPE_RESTARTS) != 0;
        x->needs_route_reload |= (row->flags & RECIPE_ROUTE) != 0 && args;
        x->needs_daemon_reload |= (row->flags & RECIPE_UNIT_FILE) != 0;
        *ret_args = TAKE_PTR(args);
        return 0;
}

/* The visible rows, once it is known whether the program must be started anew. */
static int consider_visible(Recipe *x, const RecipeRow *row, Value **ret_args, Error *err) {
        if (row->flags & RECIPE_DAEMON_RELOAD)
                return x->needs_daemon_reload && row->is_wanted(x->target) ? row->args(x->target, ret_args, err) : 0;
        if (!(row->flags & RECIPE_VISIBLE) || !row->is_wanted(x->target))
                return 0;
        bool is_part = row->flags & RECIPE_ROUTE ? x->needs_route_reload : x->target->wants_running && x->needs_restart;
        if (is_part)
                return row->args(x->target, ret_args, err);
        if (!(row->flags & RECIPE_ARTIFACT))
                return 0;
        _cleanup_free_ char *name = artifact_name(row, x->target, NULL);
        const Value *old = name ? artifact_find(x->target->row, name) : NULL;
        return old ? artifact_keep(x, old, err) : 0;
}

typedef struct ExpandedRows {
        RecipeRow rows[RECIPE_ROWS_MAX];
        size_t instances[RECIPE_ROWS_MAX];
        size_t n;
} ExpandedRows;

/* Each row as often as it is repeated. */
static int rows_expand(const Target *t, const RecipeRow *rows, size_t n_rows, ExpandedRows *ret, Error *err) {
        size_t n = 0;
        for (size_t i = 0; i < n_rows; i++) {
                size_t times = rows[i].each ? value_count(rows[i].each(t)) : 1;
                for (size_t k = 0; k < times; k++) {
                        if (n >= RECIPE_ROWS_MAX)
                                return error_set(err, -E2BIG, ERR_SPEC, NULL, "the spec has too many %s", rows[i].name);
                        ret->rows[n] = rows[i];
                        ret->instances[n++] = k;
                }
        }
        ret->n = n;
        return 0;
}

static int emit_all(Recipe *x, const RecipeRow *rows, size_t n_rows, Value **args, Error *err) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < n_rows; i++) {
                if (!args[i])
                        continue;
                bool is_fetched = strcmp(rows[i].name, "tree") == 0 && i > 0 && x->steps[i - 1] >= 0;
                if (is_fetched)
                        r = value_set_int(args[i], "artifact_step", x->steps[i - 1], err);
                if (r == 0)
                        r = emit(x, rows, n_rows, i, TAKE_PTR(args[i]), err);
        }
        return r;
}

int recipe_rows(Recipe *x, const RecipeRow *table, size_t n_table, Error *err) {
        Value *args[RECIPE_ROWS_MAX] = {0};
        ExpandedRows expanded;
        expanded.n = 0;
        int r = rows_expand(x->target, table, n_table, &expanded, err);
        for (size_t i = 0; i < expanded.n; i++)
                x->steps[i] = -1;
        for (size_t i = 0; r == 0 && i < expanded.n; i++) {
                x->target->instance = expanded.instances[i];
                r = consider(x, &expanded.rows[i], &args[i], err);
        }
        for (size_t i = 0; r == 0 && i < expanded.n; i++)
                r = consider_visible(x, &expanded.rows[i], &args[i], err);
        if (r == 0)
                r = emit_all(x, expanded.rows, expanded.n, args, err);
        for (size_t i = 0; i < expanded.n; i++)
                value_free(args[i]);
        return r;
}
