/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the trail before the lock is held would be reading what its owner may still be writing; so it is read
 * under the lock, always. */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/lock.h"
#include "core/settle.h"
#include "core/shared.h"

/* How long a reversal, which nobody can interrupt, waits for a living owner. */
#define SHARED_WAIT_BACK_USEC (60 * USEC_PER_SEC)

/* In the order in which their locks are taken. */
static const char *const shared_names[SHARED_COUNT] = {
#ifdef PAWL_TESTING
        "first",
#endif
        "nginx",
};

int shared_index(const char *name) {
        for (int i = 0; i < SHARED_COUNT; i++)
                if (strcmp(shared_names[i], name) == 0)
                        return i;
        return -1;
}

void shared_release(Engine *e, const char *name) {
        for (int i = 0; i < SHARED_COUNT; i++)
                if (!name || strcmp(shared_names[i], name) == 0)
                        fd_close(&e->shared[i]);
}

static bool group_shares(const Plan *p, uint32_t group, const char *name) {
        const char *shared = group > 0 ? p->groups[group - 1].shared : NULL;
        return shared && strcmp(shared, name) == 0;
}

/* Has it an intent on the thing that nothing has settled? A group of 0 stands for all. */
static bool trail_is_open_on(const Trail *t, const char *name, uint32_t group) {
        if (t->phase == TX_COMMITTED || t->phase == TX_ENDED)
                return false;
        for (size_t i = 0; i < t->plan->n_steps; i++) {
                const TrailStep *s = &t->steps[i];
                uint32_t own = t->plan->steps[i].group;
                if (trail_step_is_open(s) && (group == 0 || own == group) && group_shares(t->plan, own, name))
                        return true;
        }
        return false;
}

void shared_release_group(Engine *e, const Trail *t, uint32_t group) {
        const char *name = t->plan->groups[group - 1].shared;
        if (name && !trail_is_open_on(t, name, 0))
                shared_release(e, name);
}

static int lock_thing(Engine *e, int index, const Host *host, uint64_t wait_usec, Error *err) {
        _cleanup_free_ char *lock = text_format("shared-%s", shared_names[index]);
        if (!lock)
                return error_no_memory(err);
        return mutant_is("no-shared-lock") ? 0 : lock_wait(e, lock, host, wait_usec, &e->shared[index], err);
}

/* ---- What the dead left ------------------------------------------------------------------------------------------ */

static int on_hold(const Trail *t, const Value *leftovers, const char *name, Error *err) {
        const Value *first = value_at(leftovers, 0);
        return error_set(err, -EBUSY, ERR_ON_HOLD,
                         "\"pawl recover\" tries again; \"pawl recover --dry-run\" lists the steps.",
                         "what transaction %llu of %s left on %s could not be put back: %s: %s",
                         (unsigned long long)t->tx, t->plan->service, name, value_get_text_or(first, "what", "a step"),
                         value_get_text_or(first, "why", "it stays"));
}

/* A group that has failed is put back alone; a flow that would go on behind it still can. Otherwise the whole goes
 * back from here on. */
static int settle_group(Settle *s, uint32_t group, Error *err) {
        int r = 0;
        if (s->trail->phase == TX_OPEN && !s->trail->groups[group - 1].is_failed)
                r = settle_abort(s, err);
        return r < 0 ? r : settle_reverse(s, group, err);
}

static int settle_thing_of(Engine *e, uint64_t tx, const char *name, Error *err) {
        _cleanup_(trail_freep) Trail *t = NULL;
        _cleanup_(value_freep) Value *leftovers = value_new_array();
        int r = leftovers ? trail_load(e->journal, e->host_key, tx, &t, err) : error_no_memory(err);
        if (r < 0 || !trail_is_open_on(t, name, 0))
                return r;
        t->epoch++;
        engine_say(e, LOG_NOTE, "%s: settling what a dead pawl left there (transaction %llu of %s)", name,
                   (unsigned long long)tx, t->plan->service);
        Settle s = {.engine = e, .trail = t, .is_recovery = true, .leftovers = leftovers};
        for (uint32_t g = (uint32_t)t->plan->n_groups; r >= 0 && g > 0; g--)
                if (trail_is_open_on(t, name, g))
                        r = settle_group(&s, g, err);
        if (r < 0)
                return r;
        return value_count(leftovers) > 0 ? on_hold(t, leftovers, name, err) : 0;
}

/* Newest first: what was written last is put back first. */
static int settle_thing(Engine *e, const char *name, uint64_t ours, Error *err) {
        _cleanup_(value_freep) Value *rows = NULL;
        int r = mutant_is("no-shared-settle") ? 0 : engine_rows(e, "open/", 0, &rows, err);
        for (size_t i = rows ? value_count(rows) : 0; r == 0 && i-- > 0;) {
                uint64_t tx = (uint64_t)value_get_int(rows->map.entries[i].value, "tx", 0);
                if (tx != ours)
                        r = settle_thing_of(e, tx, name, err);
        }
        return r;
}

int shared_take(Engine *e, const char *name, const Trail *ours, Error *err) {
        int index = shared_index(name);
        if (index < 0)
                return error_set(err, -EINVAL, ERR_FAILED, NULL, "there is no shared thing \"%s\"", name);
        if (e->shared[index] >= 0)
                return 0;
        Host host = engine_host(e, ours->tx, 0, true);
        host.deadline_usec = ours->plan->timeout_usec > 0 ? clock_boot_usec() + ours->plan->timeout_usec : 0;
        int r = lock_thing(e, index, &host, UINT64_MAX / 2, err);
        if (r == 0)
                r = settle_thing(e, name, ours->tx, err);
        if (r < 0)
                shared_release(e, name);
        return r;
}

int shared_take_open(Engine *e, const Trail *t, Error *err) {
        Host host = engine_host(e, t->tx, 0, false);
        int taken = 0;
        for (int i = 0; i < SHARED_COUNT; i++) {
                if (e->shared[i] >= 0 || !trail_is_open_on(t, shared_names[i], 0))
                        continue;
                int r = lock_thing(e, i, &host, SHARED_WAIT_BACK_USEC, err);
                if (r < 0)
                        return r;
                taken = 1;
        }
        return taken;
}
