/* SPDX-License-Identifier: Apache-2.0 */
/* Registers for x86-64 and aarch64. A new processor is one more block here. */
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "tests/crash/tracer_regs.h"

#if defined(__x86_64__)

const uint32_t regs_arch = AUDIT_ARCH_X86_64;

static int poke(pid_t tid, size_t offset, uint64_t value) {
        return ptrace(PTRACE_POKEUSER, tid, offset, value) < 0 ? -errno : 0;
}

int regs_skip_call(pid_t tid) {
        return poke(tid, offsetof(struct user_regs_struct, orig_rax), UINT64_MAX);
}

int regs_set_argument(pid_t tid, unsigned index, uint64_t value) {
        static const size_t offsets[] = {
                offsetof(struct user_regs_struct, rdi), offsetof(struct user_regs_struct, rsi),
                offsetof(struct user_regs_struct, rdx), offsetof(struct user_regs_struct, r10),
                offsetof(struct user_regs_struct, r8),  offsetof(struct user_regs_struct, r9),
        };

        return poke(tid, offsets[index], value);
}

int regs_set_result(pid_t tid, int64_t value) {
        return poke(tid, offsetof(struct user_regs_struct, rax), (uint64_t)value);
}

uint64_t regs_frame(pid_t tid) {
        struct user_regs_struct regs;
        struct iovec iov = {&regs, sizeof regs};

        return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? 0 : regs.rbp;
}

#elif defined(__aarch64__)

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif

const uint32_t regs_arch = AUDIT_ARCH_AARCH64;

int regs_skip_call(pid_t tid) {
        int nr = -1;
        struct iovec iov = {&nr, sizeof nr};

        return ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &iov) < 0 ? -errno : 0;
}

int regs_set_argument(pid_t tid, unsigned index, uint64_t value) {
        struct user_regs_struct regs;
        struct iovec iov = {&regs, sizeof regs};

        if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
                return -errno;
        regs.regs[index] = value;
        return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

int regs_set_result(pid_t tid, int64_t value) {
        return regs_set_argument(tid, 0, (uint64_t)value);
}

uint64_t regs_frame(pid_t tid) {
        struct user_regs_struct regs;
        struct iovec iov = {&regs, sizeof regs};

        return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? 0 : regs.regs[29];
}

#else
#error "the tracer knows x86-64 and aarch64"
#endif
