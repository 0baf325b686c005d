/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a tracee in a syscall stop: all that depends on the processor. Reading goes through
 * PTRACE_GET_SYSCALL_INFO and needs nothing from here. Private to the tracer. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* AUDIT_ARCH_… of the only system call ABI that the tracer understands. */
extern const uint32_t regs_arch;

/* At entry: the call will not take place; it returns -ENOSYS. */
int regs_skip_call(pid_t tid);

/* At entry, or at exit to put back what entry changed: programs expect argument registers to survive a call. */
int regs_set_argument(pid_t tid, unsigned index, uint64_t value);

/* At exit: what the program is told. */
int regs_set_result(pid_t tid, int64_t value);

/* The frame pointer; 0: it cannot be read. */
uint64_t regs_frame(pid_t tid);
