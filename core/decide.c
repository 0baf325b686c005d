/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of recovery. Two things are easy to get wrong here and are therefore written out: a step that looks as
 * before is still reverted, because what an earlier recovery put back may be in the page cache only; and nothing is put
 * back underneath a step that stays.
 */
#include <string.h>

#include "core/base/fault.h"
#include "core/decide.h"

static bool forward_died_too_often(const Trail *t) {
        for (size_t i = 0; i < t->plan->n_steps; i++)
                if (t->steps[i].attempts >= RECOVER_ATTEMPTS_MAX)
                        return true;
        return false;
}

Direction decide_direction(const Trail *t, bool forward_wanted, bool inputs_present) {
        if (t->phase == TX_ENDED)
                return DIRECTION_NONE;
        if (t->phase == TX_COMMITTED)
                return DIRECTION_FINISH;
        bool is_aborted = t->phase == TX_ABORTED && !mutant_is("forward-after-abort");
        if (is_aborted || t->is_newer || trail_has_undone_outside_groups(t) || forward_died_too_often(t))
                return DIRECTION_REVERSE;
        return forward_wanted && inputs_present ? DIRECTION_FORWARD : DIRECTION_REVERSE;
}

const char *direction_name(Direction d) {
        static const char *const names[] = {[DIRECTION_NONE] = "none",
                                            [DIRECTION_FINISH] = "finish",
                                            [DIRECTION_REVERSE] = "reverse",
                                            [DIRECTION_FORWARD] = "forward"};
        return names[d];
}

const char *verdict_name(Verdict v) {
        static const char *const names[VERDICT_COUNT] = {
                [VERDICT_NOTHING] = "nothing", [VERDICT_REVERT] = "put back", [VERDICT_STUCK] = "stuck",
                [VERDICT_LATER] = "later",     [VERDICT_HOLD] = "hold",       [VERDICT_BLOCKED] = "blocked",
                [VERDICT_FINISH] = "finish",   [VERDICT_LATE] = "late",
        };
        return names[v];
}

Verdict decide_reverse_step(const TrailStep *s, StepKind kind, Probe probe, bool is_known) {
        /* clang-format off */
        static const Verdict by_probe[] = {
                [PROBE_BEFORE]      = VERDICT_REVERT,
                [PROBE_AFTER]       = VERDICT_REVERT,
                [PROBE_PARTIAL]     = VERDICT_REVERT,
                [PROBE_FOREIGN]     = VERDICT_STUCK,
                [PROBE_UNREACHABLE] = VERDICT_LATER,
        };
        /* clang-format on */
        if (kind != STEP_EFFECT || !s->has_intent || s->is_undone || s->resolution == RESOLUTION_KEEP)
                return VERDICT_NOTHING;
        if (!is_known)
                return VERDICT_HOLD;
        if (s->resolution == RESOLUTION_RESTORE)
                return probe == PROBE_UNREACHABLE ? VERDICT_LATER : VERDICT_REVERT;
        if (s->attempts >= RECOVER_ATTEMPTS_MAX && !mutant_is("no-attempts-limit"))
                return VERDICT_HOLD;
        if (probe == PROBE_FOREIGN && mutant_is("foreign-put-back"))
                return VERDICT_REVERT;
        return by_probe[probe];
}

Verdict decide_finish_step(const TrailStep *s, StepKind kind, bool is_committed) {
        bool is_finish = is_committed ? kind == STEP_FINISH_MUST || kind == STEP_FINISH_TRY : kind == STEP_TELL;
        if (!is_finish || s->is_finished || s->is_finish_pending || s->resolution == RESOLUTION_KEEP)
                return VERDICT_NOTHING;
        return VERDICT_FINISH;
}

static bool verdict_stays(Verdict v) {
        return v == VERDICT_STUCK || v == VERDICT_LATER || v == VERDICT_HOLD || v == VERDICT_BLOCKED;
}

/* What a person keeps stays as well. A debt is still paid: the program is to see what was decided. */
static bool is_kept(const Trail *t, uint32_t k, uint32_t below) {
        const TrailStep *s = &t->steps[k];
        return s->has_intent && !s->is_undone && s->resolution == RESOLUTION_KEEP &&
               t->plan->steps[below].debt != DEBT_OWE;
}

static bool something_stays_on(const Trail *t, const Verdict *verdicts, uint32_t i) {
        for (uint32_t k = i + 1; k < t->plan->n_steps; k++)
                if ((verdict_stays(verdicts[k]) || is_kept(t, k, i)) && plan_stands_on(t->plan, k, i))
                        return !mutant_is("put-back-under-stuck");
        return false;
}

Verdict decide_reverse_at(const Trail *t, const Verdict *verdicts, uint32_t i, Probe probe) {
        const Step *step = &t->plan->steps[i];
        Verdict v = decide_reverse_step(&t->steps[i], step->kind, probe, step->manager != NULL);
        return v == VERDICT_REVERT && something_stays_on(t, verdicts, i) ? VERDICT_BLOCKED : v;
}

void decide_reverse(const Trail *t, const Probe *probes, Verdict *ret) {
        for (uint32_t i = (uint32_t)t->plan->n_steps; i-- > 0;)
                ret[i] = decide_reverse_at(t, ret, i, probes[i]);
}

static bool is_of_files(const Step *step) {
        return step->manager && step->manager->reach == REACH_FILES;
}

Verdict decide_early_at(const Trail *t, const Verdict *verdicts, uint32_t i, Probe probe,
                        const uint8_t boot[BOOT_ID_SIZE]) {
        const Manager *manager = t->plan->steps[i].manager;
        Verdict v = decide_reverse_at(t, verdicts, i, probe);
        bool is_gone = memcmp(t->steps[i].boot, boot, BOOT_ID_SIZE) != 0;
        if (v == VERDICT_NOTHING || !manager || manager->reach == REACH_FILES)
                return v;
        return manager->reach == REACH_VOLATILE && is_gone ? VERDICT_LATE : VERDICT_LATER;
}

/* A step of a newer pawl may be about files: nobody here can say. */
bool decide_files_are_whole(const Trail *t, uint32_t from) {
        if (t->phase == TX_COMMITTED || t->phase == TX_ENDED)
                return true;
        for (size_t i = from; i < t->plan->n_steps; i++) {
                const Step *step = &t->plan->steps[i];
                const TrailStep *s = &t->steps[i];
                if (step->kind == STEP_EFFECT && trail_step_is_open(s) && (!step->manager || is_of_files(step)))
                        return false;
        }
        return true;
}
