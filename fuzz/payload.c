/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads above the checksum: bytes become a BEGIN body, its plan, its steps' arguments and before-images, and are
 * then read by everything that reads a plan: the same bytes must give the same plan again, and nothing may crash on
 * what a hostile journal could hold.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cbor.h"
#include "core/body.h"
#include "core/decide.h"
#include "core/plan.h"

static void read_steps(const Plan *p, const Value *numbered) {
        for (size_t i = 0; i < p->n_steps; i++) {
                _cleanup_free_ char *what = NULL;
                _cleanup_(value_freep) Value *before = NULL;
                (void)step_describe(&p->steps[i], &what, NULL);
                if (p->steps[i].manager)
                        (void)field_unpack(p->steps[i].manager->before, numbered, &before, NULL);
        }
}

static void decide(Plan *plan) {
        Trail *t = NULL;
        if (trail_new(plan, NULL, &t, NULL) < 0)
                return;
        _cleanup_free_ Probe *probes = calloc(MAX(plan->n_steps, (size_t)1), sizeof(Probe));
        _cleanup_free_ Verdict *verdicts = calloc(MAX(plan->n_steps, (size_t)1), sizeof(Verdict));
        for (size_t i = 0; i < plan->n_steps; i++)
                t->steps[i].has_intent = true;
        if (plan->n_steps <= 64) /* what stands on what is asked for each pair */
                decide_reverse(t, probes, verdicts);
        trail_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(value_freep) Value *body = NULL, *numbered = NULL, *again = NULL, *described = NULL;
        Plan *plan = NULL;
        Record record = {
                .kind = RECORD_BEGIN, .seq = 2, .tx = 2, .step = RECORD_STEP_NONE, .body = data, .n_body = size};
        if (cbor_decode(data, size, &numbered, NULL) < 0 || body_decode(&record, NULL, &body, NULL) < 0)
                return 0;
        if (plan_from_value(value_get(body, "plan"), &plan, NULL) < 0)
                return 0;
        read_steps(plan, numbered);
        if (plan_check(plan, true, NULL) == 0) {
                if (plan_describe(plan, &described, NULL) < 0 || plan_to_value(plan, &again, NULL) < 0)
                        abort();
                Plan *second = NULL;
                if (plan_from_value(again, &second, NULL) < 0 || second->n_steps != plan->n_steps)
                        abort();
                plan_free(second);
        }
        decide(plan);
        return 0;
}
