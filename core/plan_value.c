/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as BEGIN holds it, and back. What is read may have been written by any other pawl: what makes no sense is
 * refused, what is newer is known to be there. */
#include <errno.h>
#include <string.h>

#include "core/plan_value.h"

static int step_to_value(const Step *s, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map(), *args = NULL;
        int r = field_pack(s->manager->args, s->args, &args, err);
        if (r < 0)
                return r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_int(v, "kind", s->kind, err)) < 0 ||
            (r = value_set_int(v, "manager", s->manager_id, err)) < 0 ||
            (r = value_set_int(v, "version", s->version, err)) < 0 ||
            (r = value_set(v, "args", TAKE_PTR(args), err)) < 0 ||
            (r = value_set_text(v, "artifact", s->artifact, err)) < 0)
                return r;
        if (s->debt != DEBT_NONE && (r = value_set_int(v, "debt", s->debt, err)) < 0)
                return r;
        if (s->group > 0 && (r = value_set_int(v, "group", s->group, err)) < 0)
                return r;
        if (s->has_depends) {
                _cleanup_(value_freep) Value *depends = value_new_array();
                for (size_t i = 0; i < s->n_depends; i++)
                        if (!depends || value_append(depends, value_new_int(s->depends[i]), NULL) < 0)
                                return error_no_memory(err);
                r = value_set(v, "depends", TAKE_PTR(depends), err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(v);
        return 0;
}

static int plan_lists_to_value(const Plan *p, Value *v, Error *err) {
        _cleanup_(value_freep) Value *steps = value_new_array(), *groups = value_new_array();
        int r = steps && groups ? 0 : error_no_memory(err);
        for (size_t i = 0; r == 0 && i < p->n_steps; i++) {
                Value *step = NULL;
                r = step_to_value(&p->steps[i], &step, err);
                if (r == 0)
                        r = value_append(steps, step, err);
        }
        for (size_t i = 0; r == 0 && i < p->n_groups; i++) {
                Value *group = value_new_map();
                r = value_append(groups, group, err);
                if (r == 0)
                        r = value_set_text(group, "name", p->groups[i].name, err);
                if (r == 0)
                        r = value_set_bool(group, "required", p->groups[i].is_required, err);
                if (r == 0)
                        r = value_set_text(group, "shared", p->groups[i].shared, err);
        }
        if (r == 0)
                r = value_set(v, "steps", TAKE_PTR(steps), err);
        if (r == 0 && p->n_groups > 0)
                r = value_set(v, "groups", TAKE_PTR(groups), err);
        return r;
}

int plan_to_value(const Plan *p, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *v = value_new_map();
        int r;
        if (!v)
                return error_no_memory(err);
        if ((r = value_set_text(v, "flow", p->flow, err)) < 0 ||
            (r = value_set_text(v, "service", p->service, err)) < 0 ||
            (r = value_set_text(v, "from", p->from, err)) < 0 || (r = value_set_text(v, "to", p->to, err)) < 0 ||
            (r = plan_lists_to_value(p, v, err)) < 0 || (r = value_set_copy(v, "claims", p->claims, err)) < 0 ||
            (r = value_set_copy(v, "rows", p->rows, err)) < 0 || (r = value_set_copy(v, "held", p->held, err)) < 0 ||
            (r = value_set_copy(v, "spec", p->spec, err)) < 0 ||
            (r = value_set_bool(v, "forward", p->finish_on_crash, err)) < 0 ||
            (r = value_set_int(v, "timeout", (int64_t)p->timeout_usec, err)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

/* A manager or payload of a newer pawl leaves Step.manager NULL: the step is known to exist, and held. */
static int step_args_from_value(Step *s, const Value *args, Error *err) {
        const Manager *m = manager_by_id((uint16_t)s->manager_id);
        if (!m || s->version > m->version)
                return 0;
        int r = field_unpack(m->args, args, &s->args, err);
        if (r < 0)
                return r;
        s->manager = m;
        return 0;
}

static int step_from_value(Plan *p, const Value *v, Error *err) {
        Step *s = plan_grow(p, err);
        if (!s)
                return -ENOMEM;
        int64_t kind = value_get_int(v, "kind", -1), manager = value_get_int(v, "manager", -1),
                group = value_get_int(v, "group", 0);
        const Value *depends = value_get(v, "depends");
        if (kind < 0 || kind >= STEP_KIND_COUNT || manager < 0 || manager > UINT16_MAX || group < 0 || group > 1024 ||
            value_count(depends) > STEP_DEPENDS_MAX)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "step %zu of the plan does not make sense",
                                 p->n_steps);
        s->kind = (StepKind)kind;
        s->manager_id = (uint32_t)manager;
        s->version = (uint32_t)value_get_int(v, "version", 0);
        s->debt = (StepDebt)value_get_int(v, "debt", 0);
        s->group = (uint32_t)group;
        s->has_depends = depends != NULL;
        for (size_t i = 0; i < value_count(depends); i++) {
                const Value *on = value_at(depends, i);
                if (!value_is(on, VALUE_INT) || on->integer < 0 || on->integer >= (int64_t)p->n_steps - 1)
                        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                         "step %zu of the plan stands on a later one", p->n_steps);
                s->depends[s->n_depends++] = (uint32_t)on->integer;
        }
        const char *artifact = value_get_text(v, "artifact");
        s->artifact = artifact ? strdup(artifact) : NULL;
        return step_args_from_value(s, value_get(v, "args"), err);
}

static int plan_lists_from_value(Plan *p, const Value *v, Error *err) {
        const Value *steps = value_get(v, "steps"), *groups = value_get(v, "groups");
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(groups); i++) {
                const Value *g = value_at(groups, i);
                const char *shared = value_get_text(g, "shared");
                uint32_t group = 0;
                r = plan_add_group(p, value_get_text_or(g, "name", ""), value_get_bool(g, "required", true), &group,
                                   err);
                if (r == 0 && shared)
                        r = plan_share(p, group, shared, err);
        }
        for (size_t i = 0; r == 0 && i < value_count(steps); i++)
                r = step_from_value(p, value_at(steps, i), err);
        for (size_t i = 0; r == 0 && i < p->n_steps; i++)
                if (p->steps[i].group > p->n_groups)
                        r = error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                      "step %zu of the plan names a group that is not there", i + 1);
        return r;
}

static int take_copy(Value **field, const Value *v, Error *err) {
        if (!v)
                return 0;
        Value *copy = value_copy(v);
        if (!copy)
                return error_no_memory(err);
        value_free(*field);
        *field = copy;
        return 0;
}

int plan_from_value(const Value *v, Plan **ret, Error *err) {
        const char *flow = value_get_text(v, "flow"), *service = value_get_text(v, "service");
        if (!flow || !service)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "a plan without flow or service");
        _cleanup_(plan_freep) Plan *p = plan_new(flow, service);
        if (!p)
                return error_no_memory(err);
        int r = plan_lists_from_value(p, v, err);
        if (r < 0)
                return r;
        const char *from = value_get_text(v, "from"), *to = value_get_text(v, "to");
        p->from = from ? strdup(from) : NULL;
        p->to = to ? strdup(to) : NULL;
        p->finish_on_crash = value_get_bool(v, "forward", false);
        p->timeout_usec = (uint64_t)value_get_int(v, "timeout", 0);
        if ((r = take_copy(&p->claims, value_get(v, "claims"), err)) < 0 ||
            (r = take_copy(&p->rows, value_get(v, "rows"), err)) < 0 ||
            (r = take_copy(&p->held, value_get(v, "held"), err)) < 0 ||
            (r = take_copy(&p->spec, value_get(v, "spec"), err)) < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}
