/* SPDX-License-Identifier: Apache-2.0 */
/* A plan is built by appending; plan_check() then proves the properties that the transaction and recovery rely on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/plan.h"
#include "core/plan_value.h"
#include "core/shared.h"

Plan *plan_new(const char *flow, const char *service) {
        _cleanup_(plan_freep) Plan *p = calloc(1, sizeof(Plan));
        if (!p)
                return NULL;
        p->flow = strdup(flow);
        p->service = strdup(service);
        p->claims = value_new_array();
        p->rows = value_new_map();
        p->kept = value_new_array();
        p->remarks = value_new_array();
        if (!p->flow || !p->service || !p->claims || !p->rows || !p->kept || !p->remarks)
                return NULL;
        return TAKE_PTR(p);
}

static void step_done(Step *s) {
        s->args = value_free(s->args);
        free(s->artifact);
        s->artifact = NULL;
}

Plan *plan_free(Plan *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_steps; i++)
                step_done(&p->steps[i]);
        for (size_t i = 0; i < p->n_groups; i++) {
                free(p->groups[i].name);
                free(p->groups[i].shared);
        }
        free(p->steps);
        free(p->groups);
        free(p->flow);
        free(p->service);
        free(p->from);
        free(p->to);
        value_free(p->claims);
        value_free(p->rows);
        value_free(p->held);
        value_free(p->spec);
        value_free(p->kept);
        value_free(p->remarks);
        free(p);
        return NULL;
}

Step *plan_grow(Plan *p, Error *err) {
        Step *steps = reallocarray(p->steps, p->n_steps + 1, sizeof(Step));
        if (!steps) {
                error_no_memory(err);
                return NULL;
        }
        p->steps = steps;
        Step *s = &steps[p->n_steps];
        *s = (Step){0};
        p->n_steps++;
        return s;
}

int plan_add(Plan *p, StepInit init, Value *args, uint32_t *ret, Error *err) {
        _cleanup_(value_freep) Value *taken = args;
        if (!taken)
                return error_no_memory(err);
        const Manager *m = manager_by_name(init.manager);
        if (!m)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "the plan names a manager \"%s\" that does not exist",
                                 init.manager);
        Step *s = plan_grow(p, err);
        if (!s)
                return -ENOMEM;
        s->kind = init.kind;
        s->manager = m;
        s->manager_id = m->id;
        s->version = m->version;
        s->debt = init.debt;
        s->group = init.group;
        s->args = TAKE_PTR(taken);
        if (init.artifact) {
                s->artifact = strdup(init.artifact);
                if (!s->artifact)
                        return error_no_memory(err);
        }
        if (ret)
                *ret = (uint32_t)p->n_steps - 1;
        return 0;
}

void plan_stands_alone(Plan *p, uint32_t step) {
        p->steps[step].has_depends = true;
        p->steps[step].n_depends = 0;
}

int plan_add_depends(Plan *p, uint32_t step, uint32_t on, Error *err) {
        Step *s = &p->steps[step];
        s->has_depends = true;
        if (s->n_depends >= STEP_DEPENDS_MAX)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "step %u stands on too many others", step);
        s->depends[s->n_depends++] = on;
        return 0;
}

int plan_add_group(Plan *p, const char *name, bool is_required, uint32_t *ret, Error *err) {
        PlanGroup *groups = reallocarray(p->groups, p->n_groups + 1, sizeof(PlanGroup));
        if (!groups)
                return error_no_memory(err);
        p->groups = groups;
        char *copy = strdup(name);
        if (!copy)
                return error_no_memory(err);
        groups[p->n_groups] = (PlanGroup){.name = copy, .is_required = is_required};
        p->n_groups++;
        *ret = (uint32_t)p->n_groups;
        return 0;
}

int plan_share(Plan *p, uint32_t group, const char *shared, Error *err) {
        char *copy = strdup(shared);
        if (!copy)
                return error_no_memory(err);
        free(p->groups[group - 1].shared);
        p->groups[group - 1].shared = copy;
        return 0;
}

static _printf_(2, 0) int plan_say(Value *list, const char *format, va_list ap) {
        char buf[1024];
        vsnprintf(buf, sizeof(buf), format, ap);
        return value_append_text(list, buf, NULL);
}

int plan_claim(Plan *p, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        int r = plan_say(p->claims, format, ap);
        va_end(ap);
        return r;
}

int plan_remark(Plan *p, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        int r = plan_say(p->remarks, format, ap);
        va_end(ap);
        return r;
}

/* The effect before step i, or -1. */
static int64_t effect_before(const Plan *p, uint32_t i) {
        for (int64_t k = (int64_t)i - 1; k >= 0; k--)
                if (p->steps[k].kind == STEP_EFFECT)
                        return k;
        return -1;
}

bool plan_stands_on(const Plan *p, uint32_t i, uint32_t on) {
        if (i <= on)
                return false;
        const Step *s = &p->steps[i];
        if (!s->has_depends) {
                int64_t before = effect_before(p, i);
                return before >= 0 && ((uint32_t)before == on || plan_stands_on(p, (uint32_t)before, on));
        }
        for (size_t k = 0; k < s->n_depends; k++)
                if (s->depends[k] == on || plan_stands_on(p, s->depends[k], on))
                        return true;
        return false;
}

size_t plan_count_effects(const Plan *p) {
        size_t n = 0;
        for (size_t i = 0; i < p->n_steps; i++)
                n += p->steps[i].kind == STEP_EFFECT;
        return n;
}

/* ---- What must hold ---------------------------------------------------------------------------------------------- */

static int wrong(Error *err, uint32_t i, const char *why) {
        return error_set(err, -EINVAL, ERR_FAILED, "This is a mistake in pawl itself; nothing was changed.",
                         "the plan is not sound: step %u %s", i + 1, why);
}

#define DEBTS_MAX 4 /* one within the other: a restart around a daemon-reload */

static int check_brackets(const Plan *p, Error *err) {
        uint32_t open[DEBTS_MAX], n_open = 0;
        for (uint32_t i = 0; i < p->n_steps; i++) {
                const Step *s = &p->steps[i];
                if (s->debt == DEBT_OWE) {
                        if (n_open == DEBTS_MAX)
                                return wrong(err, i, "owes while too many debts are open");
                        open[n_open++] = i;
                } else if (s->debt == DEBT_PAY) {
                        if (n_open == 0 || p->steps[open[n_open - 1]].manager_id != s->manager_id)
                                return wrong(err, i, "pays what nothing owes");
                        n_open--;
                }
        }
        return n_open == 0 ? 0 : wrong(err, open[n_open - 1], "owes and nothing pays");
}

static int check_order(const Plan *p, uint32_t i, bool *finishing, Error *err) {
        const Step *s = &p->steps[i];
        bool is_late = s->kind >= STEP_FINISH_MUST;
        if (*finishing && !is_late)
                return wrong(err, i, "changes something after the finish steps");
        *finishing = is_late;
        for (size_t k = 0; k < s->n_depends; k++)
                if (s->depends[k] >= i)
                        return wrong(err, i, "stands on a later step");
        return 0;
}

static bool group_is_optional(const Plan *p, uint32_t group) {
        return group > 0 && !p->groups[group - 1].is_required;
}

/* No required step stands on an optional one: when the group is put back, nothing that stays may need it. */
static int check_group(const Plan *p, uint32_t i, Error *err) {
        const Step *s = &p->steps[i];
        if (s->group > p->n_groups)
                return wrong(err, i, "names a group that is not there");
        if (s->kind != STEP_EFFECT || group_is_optional(p, s->group))
                return 0;
        for (uint32_t k = 0; k < i; k++)
                if (group_is_optional(p, p->steps[k].group) && plan_stands_on(p, i, k))
                        return wrong(err, i, "is required and stands on an optional one");
        return 0;
}

/* Whoever takes two locks takes them in the same order as everybody else, or two could wait for each other. */
static int check_shared(const Plan *p, Error *err) {
        int highest = -1;
        for (uint32_t i = 0; i < p->n_steps; i++) {
                uint32_t group = p->steps[i].group;
                const char *shared = group > 0 && group <= p->n_groups ? p->groups[group - 1].shared : NULL;
                int index = shared ? shared_index(shared) : highest;
                if (shared && index < 0)
                        return wrong(err, i, "shares something that is not in the table");
                if (index < highest)
                        return wrong(err, i, "takes a lock out of order");
                highest = index;
        }
        return 0;
}

int plan_check(const Plan *p, bool is_real_root, Error *err) {
        bool finishing = false;
        int r = check_brackets(p, err);
        if (r == 0)
                r = check_shared(p, err);
        for (uint32_t i = 0; r == 0 && i < p->n_steps; i++) {
                const Step *s = &p->steps[i];
                if (!s->manager)
                        return wrong(err, i, "has no manager");
                if (!is_real_root && !s->manager->is_rootable)
                        return error_set(err, -EOPNOTSUPP, ERR_UNSUPPORTED, "Leave out --root, or what needs it.",
                                         "\"%s\" works on the whole host and cannot be used under another root",
                                         s->manager->name);
                r = check_order(p, i, &finishing, err);
                if (r == 0)
                        r = check_group(p, i, err);
                if (r == 0)
                        r = field_check(s->manager->args, s->args, s->manager->name, err);
        }
        return r;
}

/* ---- For people -------------------------------------------------------------------------------------------------- */

/* Also of a step that makes no sense: what a journal holds must be shown, whatever it is. */
int step_describe(const Step *s, char **ret, Error *err) {
        if (s->manager) {
                int r = s->manager->describe(s->args, ret, NULL);
                if (r == 0 || r == -ENOMEM)
                        return r == 0 ? 0 : error_no_memory(err);
        }
        char *text = s->manager
                             ? text_format("%s step that does not make sense", s->manager->name)
                             : text_format("step of a newer pawl (manager %u, version %u)", s->manager_id, s->version);
        if (!text)
                return error_no_memory(err);
        *ret = text;
        return 0;
}

static const char *const step_kind_names[STEP_KIND_COUNT] = {
        [STEP_EFFECT] = "effect",     [STEP_CHECK] = "check", [STEP_FINISH_MUST] = "finish",
        [STEP_FINISH_TRY] = "finish", [STEP_TELL] = "finish",
};

static int step_to_line(const Plan *p, uint32_t i, Value **ret, Error *err) {
        const Step *s = &p->steps[i];
        _cleanup_free_ char *what = NULL;
        int r = step_describe(s, &what, err);
        if (r < 0)
                return r;
        _cleanup_(value_freep) Value *line = value_new_map();
        if (!line)
                return error_no_memory(err);
        if ((r = value_set_int(line, "n", i + 1, err)) < 0 ||
            (r = value_set_text(line, "kind", step_kind_names[s->kind], err)) < 0 ||
            (r = value_set_text(line, "manager", s->manager ? s->manager->name : "?", err)) < 0 ||
            (r = value_set_text(line, "what", what, err)) < 0)
                return r;
        if (s->debt != DEBT_NONE && (r = value_set_text(line, "debt", s->debt == DEBT_OWE ? "owe" : "pay", err)) < 0)
                return r;
        if (s->group > 0 && ((r = value_set_text(line, "group", p->groups[s->group - 1].name, err)) < 0 ||
                             (r = value_set_bool(line, "required", p->groups[s->group - 1].is_required, err)) < 0))
                return r;
        *ret = TAKE_PTR(line);
        return 0;
}

int plan_describe(const Plan *p, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map(), *steps = value_new_array();
        int r = v && steps ? 0 : error_no_memory(err);
        for (uint32_t i = 0; r == 0 && i < p->n_steps; i++) {
                Value *line = NULL;
                r = step_to_line(p, i, &line, err);
                if (r == 0)
                        r = value_append(steps, line, err);
        }
        if (r < 0)
                return r;
        if ((r = value_set_text(v, "flow", p->flow, err)) < 0 ||
            (r = value_set_text(v, "service", p->service, err)) < 0 ||
            (r = value_set_text(v, "from", p->from, err)) < 0 || (r = value_set_text(v, "to", p->to, err)) < 0 ||
            (r = value_set(v, "steps", TAKE_PTR(steps), err)) < 0 ||
            (r = value_set_copy(v, "kept", p->kept, err)) < 0 ||
            (r = value_set_copy(v, "remarks", p->remarks, err)) < 0 ||
            (r = value_set_copy(v, "claims", p->claims, err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}
