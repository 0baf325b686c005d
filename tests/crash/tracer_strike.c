/* SPDX-License-Identifier: Apache-2.0 */
/* See tracer_strike.h. A mode is one case in each of two switches: what is done as the call begins, and as it ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/tracer_regs.h"
#include "tests/crash/tracer_strike.h"

static void event_report(Run *run, TracerEvent *event) {
        if (run->spec->on_event != NULL)
                run->spec->on_event(event, run->spec->userdata);
}

void event_fired(Run *run, const Tracee *tracee, bool is_applied) {
        run->result->fired = true;
        run->result->applied = is_applied;
        run->result->fired_event = tracee->event;
}

/* Half of the bytes, at least one. A vector is cut to its first half of elements, or in its only element. */
static int tracee_shorten(Tracee *tracee) {
        bool is_vector = false;
        int index = call_size_argument(tracee->event.syscall, &is_vector);
        uint64_t size, address = tracee->event.args[1];
        struct iovec half;
        int r;

        if (index < 0)
                return -EINVAL;
        size = tracee->event.args[index];
        if (is_vector && size == 1) {
                r = call_read_memory(tracee->tid, address, &tracee->vector, sizeof tracee->vector);
                if (r < 0 || tracee->vector.iov_len < 2)
                        return r < 0 ? r : -EINVAL;
                half = tracee->vector;
                half.iov_len /= 2;
                r = call_write_memory(tracee->tid, address, &half, sizeof half);
                if (r == 0)
                        tracee->vector_address = address;
                return r;
        }
        if (size < 2)
                return -EINVAL;
        r = regs_set_argument(tracee->tid, (unsigned)index, size / 2);
        if (r < 0)
                return r;
        tracee->is_shortened = true;
        tracee->size_index = (unsigned)index;
        tracee->size_value = size;
        return 0;
}

void tracee_unshorten(Tracee *tracee) {
        if (tracee->is_shortened)
                (void)regs_set_argument(tracee->tid, tracee->size_index, tracee->size_value);
        if (tracee->vector_address != 0)
                (void)call_write_memory(tracee->tid, tracee->vector_address, &tracee->vector, sizeof tracee->vector);
        tracee->is_shortened = false;
        tracee->vector_address = 0;
}

static void strike_entry(Run *run, Tracee *tracee) {
        switch (tracee->strike) {
        case TRACER_RECORD:
        case TRACER_KILL_EXIT:
                break;
        case TRACER_KILL_ENTRY:
                event_fired(run, tracee, true);
                run_strike_dead(run);
                break;
        case TRACER_ERRNO:
                event_fired(run, tracee, regs_skip_call(tracee->tid) == 0);
                break;
        case TRACER_LIE:
                event_fired(run, tracee, false);
                break;
        case TRACER_SHORT:
                event_fired(run, tracee, tracee_shorten(tracee) == 0);
                break;
        }
}

static void strike_exit(Run *run, Tracee *tracee) {
        TracerEvent *event = &tracee->event;
        int64_t error = -(int64_t)run->spec->errno_value;
        bool is_exec = event->syscall == SYS_execve || event->syscall == SYS_execveat;

        switch (tracee->strike) {
        case TRACER_RECORD:
        case TRACER_KILL_ENTRY:
        case TRACER_SHORT:
                break;
        case TRACER_KILL_EXIT:
                event_fired(run, tracee, true);
                break;
        case TRACER_ERRNO:
                if (run->result->applied && regs_set_result(tracee->tid, error) == 0)
                        event->result = event->told = error;
                break;
        case TRACER_LIE:
                if (!(is_exec && event->result == 0) && regs_set_result(tracee->tid, error) == 0) {
                        event->told = error;
                        run->result->applied = true;
                }
                break;
        }
        if (tracee->strike != TRACER_RECORD)
                run->result->fired_event = *event;
}

void event_begin(Run *run, Tracee *tracee) {
        const TracerSpec *spec = run->spec;
        TracerEvent *event = &tracee->event;

        event->n = ++run->result->n_events;
        tracee->is_in_event = true;
        tracee->strike = event->n == spec->at ? spec->mode : TRACER_RECORD;
        event_report(run, event);
        if (run->result->fired && event->n == spec->then_kill_at) {
                run->result->then_fired = true;
                run_strike_dead(run);
                return;
        }
        strike_entry(run, tracee);
}

void event_end(Run *run, Tracee *tracee, int64_t result) {
        bool is_killer = tracee->strike == TRACER_KILL_EXIT;

        tracee->is_in_event = tracee->is_again = false;
        tracee->event.is_exit = true;
        tracee->event.result = tracee->event.told = result;
        strike_exit(run, tracee);
        tracee->strike = TRACER_RECORD;
        event_report(run, &tracee->event);
        if (is_killer)
                run_strike_dead(run);
}
