/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipe: the one table from what a service should be to the steps that make it so.
 *
 * A Target holds everything that could vary, already chosen. The table's rows say under which condition a step exists,
 * what it needs to know, what it stands on, and whether the program must be started anew for it. A row whose artifact
 * is already as wanted becomes no step, but stays in the service's list of artifacts.
 */
#pragma once

#include "core/engine_state.h"
#include "core/plan.h"

typedef struct Target {
        Engine *engine;
        const char *flow;
        const char *service;
        Value *row;      /* the service as committed; NULL: there is none */
        Value *spec;     /* as wanted, normalised */
        Value *source;   /* facts the source resolved to */
        Value *secrets;  /* {NAME: secret}: chosen or generated */
        Value *env;      /* {NAME: text or secret}: the spec's, with ${X} filled in */
        Value *env_file; /* {NAME: secret}: read from the spec's env_file */
        char *version;
        bool release_exists;
        bool wants_running, is_running, is_failed;
        Value *adopted; /* what systemd says of the unit that is adopted; NULL: none is */
        bool is_stale;  /* systemd has not read what its unit file says now */
        char *unit;     /* the name of its unit, were it to have one */
        char *user;     /* of its own; NULL: none */
        int64_t uid;    /* of that user, and its group's */
        bool overwrite, purge;
        bool has_service_dir, has_config_dir, has_log; /* of a service as it is: what there is to take away */
        int64_t port;                                  /* 0: none */
        Prefetched prefetched;                         /* fd -1: none */
        Value *hold_why;                               /* for Plan.held */
        Value *prune;                                  /* [text] versions beyond retention */
        Value *hooks;                                  /* the spec's notify, with ${X} filled in */
        Value *stale;                                  /* [text] files an earlier spec had */
        Value *stale_routes;                           /* [{path, is_block}] what an earlier route had */
        Value *notes;                                  /* [text] for Plan.remarks */
        size_t instance;                               /* of a repeated row, while its arguments are made */
} Target;
void target_done(Target *t);
#define _cleanup_target_ _cleanup_(target_done)

/* Does systemd run it? Only to be asked once the runtime is chosen. */
bool target_has_unit(const Target *t);

/* The version a rollback would go to, once this target is committed; NULL: none. */
const char *target_previous(const Target *t);

/* Does the route belong to another service? ERR_IN_USE. */
int route_choose(Target *t, Error *err);

/* The plan for deploy, apply, upgrade, rollback (recipe_converge), remove, and start, stop, restart (recipe_run). A
 * plan without steps: nothing to change. */
int recipe_converge(Target *t, Plan **ret, Error *err);
int recipe_remove(Target *t, Plan **ret, Error *err);
int recipe_run(Target *t, Plan **ret, Error *err);
