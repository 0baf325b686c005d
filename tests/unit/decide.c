/* SPDX-License-Identifier: Apache-2.0 */
/* decide over its whole table, against the rules said once more in other words; and over random plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/decide.h"

static const Manager some_manager = {.id = 999, .name = "some"};

typedef struct Case {
        TrailStep step;
        StepKind kind;
        Probe probe;
        bool is_known;
} Case;

#define CASES_N (STEP_KIND_COUNT * 2 * 2 * 2 * 3 * 5 * 2 * 5)

static Case case_of(unsigned n) {
        Case c = {0};
        c.kind = (StepKind)(n % STEP_KIND_COUNT), n /= STEP_KIND_COUNT;
        c.step.has_intent = n % 2, n /= 2;
        c.step.is_done = n % 2, n /= 2;
        c.step.is_undone = n % 2, n /= 2;
        c.step.resolution = (Resolution)(n % 3), n /= 3;
        c.probe = (Probe)(n % 5), n /= 5;
        c.is_known = n % 2, n /= 2;
        c.step.attempts = n % 5;
        return c;
}

static void test_a_step_without_open_intent_is_never_touched(void **state) {
        (void)state;
        for (unsigned n = 0; n < CASES_N; n++) {
                Case c = case_of(n);
                if (c.kind == STEP_EFFECT && c.step.has_intent && !c.step.is_undone &&
                    c.step.resolution != RESOLUTION_KEEP)
                        continue;
                assert_int_equal(decide_reverse_step(&c.step, c.kind, c.probe, c.is_known), VERDICT_NOTHING);
        }
}

static void test_nothing_depends_on_done(void **state) {
        (void)state;
        for (unsigned n = 0; n < CASES_N; n++) {
                Case c = case_of(n), d = c;
                d.step.is_done = !c.step.is_done;
                assert_int_equal(decide_reverse_step(&c.step, c.kind, c.probe, c.is_known),
                                 decide_reverse_step(&d.step, d.kind, d.probe, d.is_known));
        }
}

static Verdict expected(const Case *c) {
        if (!c->is_known)
                return VERDICT_HOLD;
        if (c->probe == PROBE_UNREACHABLE &&
            (c->step.resolution == RESOLUTION_RESTORE || c->step.attempts < RECOVER_ATTEMPTS_MAX))
                return VERDICT_LATER;
        if (c->step.resolution == RESOLUTION_RESTORE)
                return VERDICT_REVERT;
        if (c->step.attempts >= RECOVER_ATTEMPTS_MAX)
                return VERDICT_HOLD;
        return c->probe == PROBE_FOREIGN ? VERDICT_STUCK : VERDICT_REVERT;
}

static void test_every_open_intent_has_its_verdict(void **state) {
        (void)state;
        unsigned seen = 0;
        for (unsigned n = 0; n < CASES_N; n++) {
                Case c = case_of(n);
                if (c.kind != STEP_EFFECT || !c.step.has_intent || c.step.is_undone ||
                    c.step.resolution == RESOLUTION_KEEP)
                        continue;
                Verdict v = decide_reverse_step(&c.step, c.kind, c.probe, c.is_known);
                assert_int_equal(v, expected(&c));
                seen |= 1u << v;
        }
        assert_int_equal(seen,
                         (1u << VERDICT_REVERT) | (1u << VERDICT_STUCK) | (1u << VERDICT_LATER) | (1u << VERDICT_HOLD));
}

static void test_what_looks_as_before_is_still_made_durable(void **state) {
        (void)state;
        TrailStep s = {.has_intent = true};
        assert_int_equal(decide_reverse_step(&s, STEP_EFFECT, PROBE_BEFORE, true), VERDICT_REVERT);
}

static void test_foreign_is_never_reverted_unless_a_person_said_so(void **state) {
        (void)state;
        for (unsigned n = 0; n < CASES_N; n++) {
                Case c = case_of(n);
                if (c.probe != PROBE_FOREIGN || c.step.resolution == RESOLUTION_RESTORE)
                        continue;
                assert_int_not_equal(decide_reverse_step(&c.step, c.kind, c.probe, c.is_known), VERDICT_REVERT);
        }
}

static void test_finish_steps_only_after_commit_and_tell_only_after_abort(void **state) {
        (void)state;
        for (unsigned n = 0; n < CASES_N * 4; n++) {
                Case c = case_of(n % CASES_N);
                bool committed = n / CASES_N % 2;
                c.step.is_finished = n / CASES_N / 2;
                bool is_due = committed ? c.kind == STEP_FINISH_MUST || c.kind == STEP_FINISH_TRY : c.kind == STEP_TELL;
                bool is_open = !c.step.is_finished && c.step.resolution != RESOLUTION_KEEP;
                assert_int_equal(decide_finish_step(&c.step, c.kind, committed),
                                 is_due && is_open ? VERDICT_FINISH : VERDICT_NOTHING);
        }
}

/* ---- Whole plans ------------------------------------------------------------------------------------------------- */

#define STEPS_N 9

typedef struct World {
        Plan plan;
        Step steps[STEPS_N];
        TrailStep trail_steps[STEPS_N];
        PlanGroup groups[1];
        TrailGroup trail_groups[1];
        Trail trail;
} World;

static uint64_t random_next(uint64_t *x) {
        *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
        return *x;
}

static void world_random(World *w, uint64_t *seed) {
        *w = (World){0};
        w->plan = (Plan){.steps = w->steps, .n_steps = STEPS_N, .groups = w->groups, .n_groups = 1};
        w->trail = (Trail){.plan = &w->plan, .steps = w->trail_steps, .groups = w->trail_groups, .phase = TX_OPEN};
        for (uint32_t i = 0; i < STEPS_N; i++) {
                w->steps[i] =
                        (Step){.kind = random_next(seed) % 5 ? STEP_EFFECT : STEP_CHECK, .manager = &some_manager};
                w->steps[i].has_depends = random_next(seed) % 2;
                for (uint32_t k = 0; k < i && w->steps[i].has_depends && w->steps[i].n_depends < 3; k++)
                        if (random_next(seed) % 3 == 0)
                                w->steps[i].depends[w->steps[i].n_depends++] = k;
                w->trail_steps[i].has_intent = random_next(seed) % 4 != 0;
                w->trail_steps[i].is_undone = random_next(seed) % 6 == 0;
        }
}

static bool stays(Verdict v) {
        return v == VERDICT_STUCK || v == VERDICT_LATER || v == VERDICT_HOLD || v == VERDICT_BLOCKED;
}

static void test_nothing_is_put_back_underneath_what_stays(void **state) {
        (void)state;
        uint64_t seed = 20260101;
        unsigned blocked = 0;
        for (int round = 0; round < 20000; round++) {
                World w;
                Probe probes[STEPS_N];
                Verdict verdicts[STEPS_N];
                world_random(&w, &seed);
                for (int i = 0; i < STEPS_N; i++)
                        probes[i] = (Probe)(random_next(&seed) % 5);
                decide_reverse(&w.trail, probes, verdicts);
                for (uint32_t i = 0; i < STEPS_N; i++)
                        for (uint32_t k = i + 1; k < STEPS_N; k++)
                                if (stays(verdicts[k]) && plan_stands_on(&w.plan, k, i))
                                        assert_int_not_equal(verdicts[i], VERDICT_REVERT);
                for (uint32_t i = 0; i < STEPS_N; i++)
                        blocked += verdicts[i] == VERDICT_BLOCKED;
        }
        assert_true(blocked > 1000);
}

static void test_without_strangers_everything_is_put_back(void **state) {
        (void)state;
        uint64_t seed = 4711;
        for (int round = 0; round < 5000; round++) {
                World w;
                Probe probes[STEPS_N];
                Verdict verdicts[STEPS_N];
                world_random(&w, &seed);
                for (int i = 0; i < STEPS_N; i++)
                        probes[i] = (Probe)(random_next(&seed) % 3); /* before, after, partial */
                decide_reverse(&w.trail, probes, verdicts);
                for (uint32_t i = 0; i < STEPS_N; i++) {
                        bool is_open = w.steps[i].kind == STEP_EFFECT && w.trail_steps[i].has_intent &&
                                       !w.trail_steps[i].is_undone;
                        assert_int_equal(verdicts[i], is_open ? VERDICT_REVERT : VERDICT_NOTHING);
                }
        }
}

static void test_what_a_person_keeps_is_not_pulled_from_under(void **state) {
        (void)state;
        World w = {0};
        Probe probes[STEPS_N] = {PROBE_AFTER, PROBE_AFTER, PROBE_AFTER};
        Verdict verdicts[STEPS_N];
        uint64_t seed = 1;
        world_random(&w, &seed);
        w.plan.n_steps = 3; /* owe, a release, the link that points to it */
        for (uint32_t i = 0; i < 3; i++) {
                w.steps[i] = (Step){.kind = STEP_EFFECT, .manager = &some_manager};
                w.trail_steps[i] = (TrailStep){.has_intent = true};
        }
        w.steps[0].debt = DEBT_OWE;
        w.trail_steps[2].resolution = RESOLUTION_KEEP;
        decide_reverse(&w.trail, probes, verdicts);
        assert_int_equal(verdicts[2], VERDICT_NOTHING);
        assert_int_equal(verdicts[1], VERDICT_BLOCKED);
        w.trail_steps[1].resolution = RESOLUTION_KEEP;
        decide_reverse(&w.trail, probes, verdicts);
        assert_int_equal(verdicts[0], VERDICT_REVERT); /* the debt is paid: the program sees what was decided */
}

static void test_forward_is_given_up_after_three_deaths(void **state) {
        (void)state;
        World w;
        uint64_t seed = 9;
        world_random(&w, &seed);
        for (int i = 0; i < STEPS_N; i++)
                w.trail_steps[i].is_undone = false;
        assert_int_equal(decide_direction(&w.trail, true, true), DIRECTION_FORWARD);
        w.trail_steps[4].attempts = RECOVER_ATTEMPTS_MAX;
        assert_int_equal(decide_direction(&w.trail, true, true), DIRECTION_REVERSE);
}

static void test_directions(void **state) {
        (void)state;
        static const TxPhase phases[] = {TX_OPEN, TX_ABORTED, TX_COMMITTED, TX_ENDED};
        for (unsigned n = 0; n < 4 * 2 * 2 * 2 * 2; n++) {
                World w;
                uint64_t seed = n + 1;
                world_random(&w, &seed);
                bool wanted = n / 4 % 2, present = n / 8 % 2, has_undone = n / 16 % 2;
                w.trail.phase = phases[n % 4];
                w.trail.is_newer = n / 32 % 2;
                for (int i = 0; i < STEPS_N; i++)
                        w.trail_steps[i].is_undone = has_undone && i == 3;
                Direction d = decide_direction(&w.trail, wanted, present);
                if (w.trail.phase == TX_ENDED)
                        assert_int_equal(d, DIRECTION_NONE);
                else if (w.trail.phase == TX_COMMITTED)
                        assert_int_equal(d, DIRECTION_FINISH);
                else if (w.trail.phase == TX_OPEN && wanted && present && !has_undone && !w.trail.is_newer)
                        assert_int_equal(d, DIRECTION_FORWARD);
                else
                        assert_int_equal(d, DIRECTION_REVERSE);
        }
}

static void test_undone_inside_a_failed_group_does_not_forbid_forward(void **state) {
        (void)state;
        World w;
        uint64_t seed = 7;
        world_random(&w, &seed);
        for (int i = 0; i < STEPS_N; i++)
                w.trail_steps[i].is_undone = false;
        w.steps[2].group = 1;
        w.trail_steps[2].is_undone = true;
        assert_int_equal(decide_direction(&w.trail, true, true), DIRECTION_REVERSE);
        w.trail_groups[0].is_failed = true;
        assert_int_equal(decide_direction(&w.trail, true, true), DIRECTION_FORWARD);
}

/* ---- Early in a boot --------------------------------------------------------------------------------------------- */

static const Manager of_files = {.id = 997, .name = "files", .reach = REACH_FILES};
static const Manager of_programs = {.id = 998, .name = "programs", .reach = REACH_VOLATILE};

/* Step 1 is a file and stands on step 0; step 2 is `above` and stands on step 1. */
static Verdict early_below(const Manager *above, bool is_same_boot, bool has_intent) {
        static const uint8_t boot[BOOT_ID_SIZE] = {7};
        const Manager *managers[] = {&of_files, &of_files, above};
        Step steps[3] = {0};
        TrailStep trail_steps[3] = {0};
        Verdict verdicts[3] = {0};
        Plan plan = {.steps = steps, .n_steps = 3};
        Trail trail = {.plan = &plan, .steps = trail_steps, .phase = TX_ABORTED};
        for (size_t i = 0; i < 3; i++) {
                steps[i].manager = managers[i];
                trail_steps[i].has_intent = i < 2 || has_intent;
        }
        memcpy(trail_steps[2].boot, boot, sizeof(boot));
        trail_steps[2].boot[0] = is_same_boot ? 7 : 6;
        for (uint32_t i = 3; i-- > 0;)
                verdicts[i] = decide_early_at(&trail, verdicts, i, i == 2 ? PROBE_UNREACHABLE : PROBE_AFTER, boot);
        assert_true(!has_intent || verdicts[2] == VERDICT_LATE || verdicts[2] == VERDICT_LATER);
        return verdicts[0];
}

static void test_early_in_a_boot_only_what_is_gone_with_the_last_one_is_passed_over(void **state) {
        (void)state;
        assert_int_equal(early_below(&of_programs, false, true), VERDICT_REVERT);
        assert_int_equal(early_below(&of_programs, true, true), VERDICT_BLOCKED);
        assert_int_equal(early_below(&some_manager, false, true), VERDICT_BLOCKED);
        assert_int_equal(early_below(&some_manager, true, true), VERDICT_BLOCKED);
        assert_int_equal(early_below(&some_manager, true, false), VERDICT_REVERT);
}

static void test_files_are_whole_when_none_is_half_way(void **state) {
        (void)state;
        Step steps[2] = {{.manager = &of_files}, {.manager = &of_programs}};
        TrailStep trail_steps[2] = {{.has_intent = true}, {.has_intent = true}};
        Plan plan = {.steps = steps, .n_steps = 2};
        Trail trail = {.plan = &plan, .steps = trail_steps, .phase = TX_OPEN};
        assert_false(decide_files_are_whole(&trail, 0));
        assert_true(decide_files_are_whole(&trail,
                                           1)); /* what is in front of a debt is not seen by what was there before */
        trail.phase = TX_COMMITTED;
        assert_true(decide_files_are_whole(&trail, 0));
        trail.phase = TX_ABORTED;
        assert_false(decide_files_are_whole(&trail, 0));
        trail_steps[0].resolution = RESOLUTION_RESTORE;
        assert_false(decide_files_are_whole(&trail, 0));
        trail_steps[0].resolution = RESOLUTION_KEEP;
        assert_true(decide_files_are_whole(&trail, 0));
        trail_steps[0] = (TrailStep){.has_intent = true, .is_undone = true};
        assert_true(decide_files_are_whole(&trail, 0));
        steps[1].manager = NULL; /* of a newer pawl: it may be a file */
        assert_false(decide_files_are_whole(&trail, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_step_without_open_intent_is_never_touched),
                cmocka_unit_test(test_nothing_depends_on_done),
                cmocka_unit_test(test_every_open_intent_has_its_verdict),
                cmocka_unit_test(test_what_looks_as_before_is_still_made_durable),
                cmocka_unit_test(test_foreign_is_never_reverted_unless_a_person_said_so),
                cmocka_unit_test(test_finish_steps_only_after_commit_and_tell_only_after_abort),
                cmocka_unit_test(test_nothing_is_put_back_underneath_what_stays),
                cmocka_unit_test(test_without_strangers_everything_is_put_back),
                cmocka_unit_test(test_what_a_person_keeps_is_not_pulled_from_under),
                cmocka_unit_test(test_forward_is_given_up_after_three_deaths),
                cmocka_unit_test(test_directions),
                cmocka_unit_test(test_undone_inside_a_failed_group_does_not_forbid_forward),
                cmocka_unit_test(test_early_in_a_boot_only_what_is_gone_with_the_last_one_is_passed_over),
                cmocka_unit_test(test_files_are_whole_when_none_is_half_way),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
