/* SPDX-License-Identifier: Apache-2.0 */
/* How a transaction without END stands: at work, waiting for recovery, or waiting for a person. */
#include <errno.h>

#include "core/base/text.h"
#include "core/decide.h"
#include "core/engine_state.h"
#include "core/lock.h"
#include "core/trail.h"

static bool is_stuck(const TrailStep *s) {
        bool is_over = s->is_undone || s->is_finished || s->resolution != RESOLUTION_NONE;
        return !is_over && (s->is_stuck || s->attempts >= RECOVER_ATTEMPTS_MAX);
}

static bool needs_person(const Trail *t) {
        if (t->is_newer)
                return true;
        for (size_t i = 0; i < t->plan->n_steps; i++)
                if (is_stuck(&t->steps[i]))
                        return true;
        return false;
}

OpenState engine_open_state(Engine *e, const Value *open, Trail **ret) {
        _cleanup_(trail_freep) Trail *t = NULL;
        _cleanup_free_ char *lock = text_format("service-%s", value_get_text_or(open, "service", "?"));
        uint64_t tx = (uint64_t)value_get_int(open, "tx", 0);
        OpenState state = OPEN_HOLD;
        /* A look needs no secret. What cannot be read, recovery cannot settle by itself either. */
        if (e->journal && trail_load(e->journal, NULL, tx, &t, NULL) == 0 && !needs_person(t))
                state = OPEN_INTERRUPTED;
        if (lock && lock_is_held(e, lock) > 0)
                state = OPEN_LIVE;
        if (ret)
                *ret = TAKE_PTR(t);
        return state;
}
