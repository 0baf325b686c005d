/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan: a printable array of steps in which everything that could vary is already chosen (version, digest, port,
 * rendered files). BEGIN holds the whole of it, so that recovery needs the journal and the host, nothing else.
 *
 * Groups and debts are properties of steps: a group number ties optional steps together; `owe` and `pay` bracket every
 * change that a restart or reload must follow, in both directions.
 */
#pragma once

#include "core/base/value.h"
#include "managers/manager.h"

typedef enum StepKind {
        STEP_EFFECT = 0,      /* before COMMIT; reverted when the flow fails */
        STEP_CHECK = 1,       /* before COMMIT; changes nothing, no record of its own */
        STEP_FINISH_MUST = 2, /* after COMMIT; the transaction stays open until it is done or resolved */
        STEP_FINISH_TRY = 3,  /* after COMMIT; a number of attempts, then a warning */
        STEP_TELL = 4,        /* after ABORT alone: tells people that it failed; otherwise as FINISH_TRY */
} StepKind;
#define STEP_KIND_COUNT 5

typedef enum StepDebt { DEBT_NONE = 0, DEBT_OWE = 1, DEBT_PAY = 2 } StepDebt;

#define STEP_DEPENDS_MAX 64

typedef struct Step {
        StepKind kind;
        const Manager *manager; /* NULL: written by a newer pawl (manager_id says which) */
        uint32_t manager_id;
        uint32_t version; /* of the payload */
        StepDebt debt;
        uint32_t group;   /* 0: none; else index + 1 into groups */
        bool has_depends; /* false: it stands on the effect before it */
        /* Steps it stands on; none with has_depends: on nothing. */
        uint32_t depends[STEP_DEPENDS_MAX];
        size_t n_depends;
        Value *args; /* owned; secrets open in memory, sealed on disk */
        /* Name under which verify and the rows know it ("link opt/pawl/web/current"); NULL: leaves nothing to
         * verify. */
        char *artifact;
} Step;

typedef struct PlanGroup {
        char *name;
        bool is_required;
        char *shared; /* what its steps write to belongs to other services as well: "nginx"; NULL: nothing does */
} PlanGroup;

typedef struct Plan {
        char *flow; /* "apply", "deploy", "upgrade", "rollback", "remove", "start", "stop", "restart" */
        char *service;
        char *from; /* version before; NULL: none */
        char *to;   /* version after; NULL: none */
        Step *steps;
        size_t n_steps;
        PlanGroup *groups;
        size_t n_groups;
        Value *claims; /* [text]: row keys no other service or open transaction may hold ("port/3000") */
        /* Map row key → row (map) or null (drop): what COMMIT writes; facts of steps are filled in from the trail. */
        Value *rows;
        Value *held;    /* version to hold when the health check fails; NULL: none */
        Value *spec;    /* normalised; NULL for start, stop, ... */
        Value *kept;    /* [text] artifacts that are already as they should be, for printing */
        Value *remarks; /* [text] what this plan cannot put back, and other things to know before */
        bool finish_on_crash;
        bool is_marked; /* not written: a unit asks for the service's mark before it starts (mark.h) */
        uint64_t timeout_usec;
} Plan;

Plan *plan_new(const char *flow, const char *service); /* NULL: memory */
Plan *plan_free(Plan *p);
static inline void plan_freep(Plan **p) {
        *p = plan_free(*p);
}

/* Appends a step; args is taken. *ret (may be NULL) is its index. */
typedef struct StepInit {
        StepKind kind;
        const char *manager; /* by name; must exist */
        StepDebt debt;
        uint32_t group;
        const char *artifact;
} StepInit;
int plan_add(Plan *p, StepInit init, Value *args, uint32_t *ret, Error *err);
/* The step stands on nothing (call it first), or on these. */
void plan_stands_alone(Plan *p, uint32_t step);
int plan_add_depends(Plan *p, uint32_t step, uint32_t on, Error *err);
int plan_add_group(Plan *p, const char *name, bool is_required, uint32_t *ret, Error *err);
/* Its steps run under the lock of a shared thing (shared.h). */
int plan_share(Plan *p, uint32_t group, const char *shared, Error *err);
int plan_claim(Plan *p, const char *format, ...) _printf_(2, 3);
int plan_remark(Plan *p, const char *format, ...) _printf_(2, 3);

/*
 * What must hold of every plan before it may run: each owe has the pay of the same manager behind it and no two
 * brackets cross; effects and checks stand before finish steps; no required step stands on an optional group's; depends
 * point backward; shared things are known and come in the order of their locks; arguments fit their manager's fields;
 * every manager is rootable when the root is not "/". Violations are our own bugs: -EINVAL.
 */
int plan_check(const Plan *p, bool is_real_root, Error *err);

/* As BEGIN holds it, and back. Secrets stay as they are (the caller seals and unseals the tree). An unknown manager
 * or a newer payload version decodes with Step.manager NULL. */
int plan_to_value(const Plan *p, Value **ret, Error *err);
int plan_from_value(const Value *v, Plan **ret, Error *err);

/* For `pawl plan`: {flow, service, from, to, steps: [{n, kind, manager, what, artifact}], kept, remarks, claims}.
 * Redacted. */
int plan_describe(const Plan *p, Value **ret, Error *err);
/* One line for a step; "step of a newer pawl (manager 31)" when it is not known. Owned by the caller. */
int step_describe(const Step *s, char **ret, Error *err);

size_t plan_count_effects(const Plan *p);
/* Does step `i` stand, directly or through others, on step `on`? */
bool plan_stands_on(const Plan *p, uint32_t i, uint32_t on);
