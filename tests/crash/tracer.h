/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a command, follows its threads and children, numbers what they do to the world, and strikes at the N-th of
 * these events: SIGKILL, an error, a lie, a short write.
 *
 * Pure PTRACE_SYSCALL, no seccomp: a filter would be inherited by the services that the command starts, and
 * without a tracer every filtered call of theirs would fail with ENOSYS. Here a released process is exactly what it
 * would be untraced.
 *
 * There is one counter for the whole tree. It is as deterministic as the command: same inputs and no race between
 * its own processes, same numbers. Counting starts after the exec of the command itself.
 *
 * There are no silent gaps: a system call that the table in tracer_calls.c does not know, a writable shared
 * mapping of a file other than lock.mdb, and a foreign system call ABI end the run with TRACER_GAP.
 *
 * One run at a time, from a thread that stays the same; other children of the caller are left alone. LeakSanitizer
 * cannot work under ptrace, so LSAN_OPTIONS=detect_leaks=0 is added to the environment unless it sets LSAN_OPTIONS
 * itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum TracerKind {
        TRACER_DISK = 1, /* files, directories, links, attributes, syncs; also opening for writing or creating */
        TRACER_PROC = 2, /* fork, vfork, clone (threads too), execve, kill */
        TRACER_NET = 4,  /* connect, send*, and writes to a socket */
        TRACER_LOOK = 8, /* what only looks, below look_prefixes: open, read, stat, links, names, locks, maps; and what
                          * takes descriptors, children or answers from the kernel. Never unless asked for. */
} TracerKind;

enum { TRACER_ALL = TRACER_DISK | TRACER_PROC | TRACER_NET };

typedef enum TracerMode {
        TRACER_RECORD,     /* strike never */
        TRACER_KILL_ENTRY, /* SIGKILL before event N takes place: N - 1 effects are there */
        TRACER_KILL_EXIT,  /* SIGKILL when event N has taken place: N effects are there */
        TRACER_ERRNO,      /* event N does not take place and returns -errno_value */
        TRACER_LIE,        /* event N takes place and returns -errno_value all the same */
        TRACER_SHORT,      /* event N, a write, takes only half of its bytes */
} TracerMode;

/* What is let go (detached, no longer counted, not killed) at its exec; any that holds suffices. */
typedef enum TracerRelease {
        TRACER_RELEASE_OTHER_PROGRAM = 1, /* its executable is not the file that the command itself runs */
        TRACER_RELEASE_OWN_SESSION = 2,   /* it has left the session of the command (setsid) */
} TracerRelease;

enum { TRACER_PATH_SIZE = 1024, TRACER_RELEASED_MAX = 64, TRACER_PROBLEM_SIZE = 512 };

typedef struct TracerEvent {
        uint64_t n;       /* 1, 2, 3 … over all processes */
        pid_t pid;        /* thread id of who does it; it is stopped while on_event runs */
        int syscall;      /* SYS_… */
        const char *name; /* static */
        TracerKind kind;
        uint64_t args[6];            /* as the caller passed them */
        char path[TRACER_PATH_SIZE]; /* what is changed: absolute where known, not normalised, cut at the size; or "" */
        char path2[TRACER_PATH_SIZE]; /* rename, link: the new name; symlink: the text of the link; else "" */
        bool is_exit;                 /* false: about to happen; true: result and told are set */
        int64_t result;               /* what the kernel did: value, or negative errno */
        int64_t told;                 /* what the program was told; differs from result when it was lied to */
} TracerEvent;

/* Zero means the default everywhere; only argv is required. All borrowed for the call. */
typedef struct TracerSpec {
        char *const *argv; /* argv[0] is looked up in PATH */
        char *const *envp; /* NULL: the caller's */
        int stdout_fd;     /* 0: the caller's. Writes to these two are never DISK, even if they are files. */
        int stderr_fd;
        TracerMode mode;
        uint64_t at; /* N; 0: never */
        int errno_value;
        uint64_t then_kill_at;               /* after the strike at N: SIGKILL before this later event; 0: no */
        unsigned kinds_mask;                 /* which TracerKinds are counted and reported; 0: TRACER_ALL */
        const char *const *look_prefixes;    /* for TRACER_LOOK: NULL-terminated, absolute */
        unsigned release;                    /* TracerRelease flags */
        const char *const *release_prefixes; /* NULL-terminated; an exec of a path that starts so is let go, too */
        bool kill_root_only; /* SIGKILL hits the command's own process; the rest is let go, as with `kill -9` */
        bool subreaper; /* orphans come to the caller, not to PID 1, for good; tracer_end_released() then reaps them */
        uint64_t timeout_ms;                                        /* 0: none. Then the tree is killed. */
        void (*on_event)(const TracerEvent *event, void *userdata); /* at entry and at exit of each counted event */
        void *userdata;
} TracerSpec;

typedef struct TracerReleased {
        pid_t pid;
        pid_t session;       /* when it was released */
        uint64_t start_time; /* clock ticks since boot: tells it from a later process with the same pid */
} TracerReleased;

typedef struct TracerResult {
        int wait_status;   /* of the command, as waitpid() gives it */
        uint64_t n_events; /* counted entries, the struck one included */
        bool fired;        /* event N was reached: a sweep goes on while this is true */
        bool applied;      /* and could be struck: no lie about an exec that succeeded, no short write of one byte */
        bool then_fired;
        bool timed_out;
        TracerEvent fired_event;
        size_t n_released;
        TracerReleased released[TRACER_RELEASED_MAX];
        char problem[TRACER_PROBLEM_SIZE]; /* TRACER_GAP: which call, by which process */
} TracerResult;

enum { TRACER_GAP = 1 };

/* Runs until every process of the tree has ended or been released, and reaps them; after a kill or a timeout none is
 * left. Returns 0; TRACER_GAP, the tree killed, ret_result filled and its `problem` set; or a negative errno, the
 * tree killed (argv[0] cannot be run: the errno of execvp). */
int tracer_run(const TracerSpec *spec, TracerResult *ret_result);

/* Kills what a run released: each released process, its descendants, and everybody in the sessions it founded. Waits
 * until they are dead (a zombie is dead) and reaps those that are the caller's. A service that double-forks into a new
 * session after its release is found only while its parent lives. Returns 0, or -ETIMEDOUT after five seconds. */
int tracer_end_released(TracerResult *result);

/* Reads the memory of the event's process, from on_event only. Returns 0 or a negative errno (-EFAULT if cut short). */
int tracer_read(const TracerEvent *event, uint64_t address, void *ret_data, size_t size);

/* Where the program of the event's process lies in its memory; 0: it cannot be told. From on_event only, as above. */
uint64_t tracer_program(const TracerEvent *event);
/* Who called: return addresses by the chain of frame pointers, innermost first, filled up with 0. The function that
 * made the call itself may be missing. */
void tracer_stack(const TracerEvent *event, uint64_t *ret, size_t n);
