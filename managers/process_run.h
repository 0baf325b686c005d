/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and stopping a service's program in the embedded runtime.
 *
 * A started program stands in a session of its own, outlives the pawl that started it, and inherits no descriptor
 * of it. It does not run before run/pawl/<service>.proc says so: whatever dies in between, a program that runs is
 * one that is written down.
 */
#pragma once

#include "managers/definition.h"
#include "managers/manager.h"
#include "managers/proc_file.h"
#include "managers/procfs.h"

extern const Runtime runtime_process;

/*
 * Starts the program of the definition. When this returns 0 the proc file is durable, the program was executed, and
 * *ret names it. ERR_PROGRAM when it could not be executed; the proc file is then gone again.
 */
int process_start(const Host *host, const char *service, const Definition *d, ProcFile *ret, Error *err);

/*
 * Ends what the proc file of `service` names (SIGTERM, after stop_timeout_usec SIGKILL) and whatever else is left
 * of its session; removes the proc file last. Nothing of ours runs: only the file is removed. A process that merely
 * has the number is left alone. Idempotent. -EBUSY with ERR_PROGRAM when it does not die.
 */
int process_stop(const Host *host, const char *service, uint64_t stop_timeout_usec, Error *err);

/* Does a process belong to the session that the proc file's program leads? Only to be asked while that program is
 * alive. */
static inline bool process_is_member(const ProcFile *p, const ProcessInfo *info) {
        return info->session == p->pid && !info->is_dead;
}
