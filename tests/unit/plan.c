/* SPDX-License-Identifier: Apache-2.0 */
/* A plan that could not be carried out as it stands is refused before anything is written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/plan.h"

static Plan *plan_of_one_link(void) {
        Plan *p = plan_new("apply", "web");
        Value *args = value_new_map();
        assert_non_null(p);
        assert_int_equal(value_set_text(args, "path", "opt/pawl/web/current", NULL), 0);
        assert_int_equal(value_set_text(args, "target", "releases/v1", NULL), 0);
        assert_int_equal(plan_add(p, (StepInit){.kind = STEP_EFFECT, .manager = "link"}, args, NULL, NULL), 0);
        return p;
}

static void what_is_of_the_whole_host_needs_the_real_root(void **state) {
        (void)state;
        _cleanup_(plan_freep) Plan *p = plan_of_one_link();
        Manager host_wide = *p->steps[0].manager;
        Error err = ERROR_INIT;
        assert_int_equal(plan_check(p, false, &err), 0);
        host_wide.is_rootable = false;
        p->steps[0].manager = &host_wide;
        assert_int_equal(plan_check(p, true, &err), 0);
        assert_int_equal(plan_check(p, false, &err), -EOPNOTSUPP);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_string_equal(err.message, "\"link\" works on the whole host and cannot be used under another root");
        assert_string_equal(err.hint, "Leave out --root, or what needs it.");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_of_the_whole_host_needs_the_real_root),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
