/* SPDX-License-Identifier: Apache-2.0 */
/* The program that tracer_test.c traces: tracer_work WHAT DIR [ARGUMENT]. It works inside DIR. Where the test counts
 * events, one line is one system call. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int n_threads_failed;

static int work_child(void) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(mkdir("e4", 0777) < 0);
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

/* Eight events on the disk; tracer_test.c has the state after each of them. */
static int work_steps(void) {
        struct iovec iov = {(void *)(uintptr_t) "12345678", 8};
        int fd;

        if (mkdir("e1", 0777) < 0)
                return 1;
        fd = open("e2", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
                return 1;
        if (writev(fd, &iov, 1) != 8)
                return iov.iov_len == 8 ? 2 : 3;
        if (fsync(fd) < 0 || close(fd) < 0)
                return 1;
        if (rename("e2", "e3") < 0)
                return 1;
        if (work_child() < 0)
                return 1;
        if (symlink("nowhere", "e5") < 0)
                return 1;
        return unlink("e3") < 0;
}

/* Like steps, but when something fails it begins to put things back. */
static int work_tidy(void) {
        int r = work_steps();

        if (r != 0)
                (void)rmdir("e1");
        return r;
}

static int work_write(const char *name, size_t size) {
        char data[64] = {0};
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        ssize_t n = write(fd, data, size);

        return n == (ssize_t)size ? 0 : n > 0 ? (int)n : 1;
}

static int work_service(const char *program, const char *dir) {
        pid_t pid = vfork();
        int status;

        if (pid == 0) {
                (void)execl(program, program, "service", dir, (char *)NULL);
                _exit(127);
        }
        status = mkdir("after", 0777);
        return pid < 0 || status < 0;
}

static int work_orphan(void) {
        int fds[2];
        char byte;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return 1;
        pid = fork();
        if (pid == 0) {
                (void)close(fds[1]);
                _exit(read(fds[0], &byte, 1) != 0 || mkdir("orphan", 0777) < 0);
        }
        (void)mkdir("root", 0777);
        return 0;
}

/* Processes that make processes, without end. */
static int work_brood(void) {
        for (;;) {
                pid_t pid = fork();

                if (pid == 0) {
                        (void)usleep(500);
                        _exit(fork() < 0);
                }
                if (pid < 0 || waitpid(pid, NULL, 0) < 0)
                        return 1;
        }
}

static void *thread_main(void *argument) {
        char name[16];

        (void)snprintf(name, sizeof name, "t%d", *(int *)argument);
        if (mkdir(name, 0777) < 0)
                __atomic_add_fetch(&n_threads_failed, 1, __ATOMIC_SEQ_CST);
        return NULL;
}

static int work_threads(void) {
        pthread_t threads[8];
        int numbers[8];

        for (int i = 0; i < 8; i++) {
                numbers[i] = i;
                if (pthread_create(&threads[i], NULL, thread_main, &numbers[i]) != 0)
                        return 1;
        }
        for (int i = 0; i < 8; i++)
                (void)pthread_join(threads[i], NULL);
        return n_threads_failed != 0;
}

static void *exec_main(void *argument) {
        (void)execl("/proc/self/exe", "tracer_work", "steps", (char *)argument, (char *)NULL);
        return NULL;
}

/* execve by a thread that is not the leader. */
static int work_thread_exec(char *dir) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, exec_main, dir) != 0)
                return 1;
        (void)pthread_join(thread, NULL);
        return 1;
}

static int work_map(const char *name, int first, int then) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        void *map;

        if (fd < 0 || ftruncate(fd, 4096) < 0)
                return 1;
        map = mmap(NULL, 4096, first, MAP_SHARED, fd, 0);
        return map == MAP_FAILED || (then != 0 && mprotect(map, 4096, then) < 0);
}

int main(int argc, char **argv) {
        const char *what = argc > 2 ? argv[1] : "";

        if (argc < 3 || chdir(argv[2]) < 0)
                return 2;
        if (strcmp(what, "steps") == 0)
                return work_steps();
        if (strcmp(what, "tidy") == 0)
                return work_tidy();
        if (strcmp(what, "write") == 0)
                return work_write("w", 9);
        if (strcmp(what, "output") == 0)
                return write(STDOUT_FILENO, "out\n", 4) != 4 || work_write("w", 9) != 0;
        if (strcmp(what, "service") == 0)
                return argc > 3 ? work_service(argv[3], argv[2]) : 2;
        if (strcmp(what, "orphan") == 0)
                return work_orphan();
        if (strcmp(what, "brood") == 0)
                return work_brood();
        if (strcmp(what, "threads") == 0)
                return work_threads();
        if (strcmp(what, "thread-exec") == 0)
                return work_thread_exec(argv[2]);
        if (strcmp(what, "map") == 0)
                return work_map("data", PROT_READ | PROT_WRITE, 0);
        if (strcmp(what, "protect") == 0)
                return work_map("data", PROT_READ, PROT_READ | PROT_WRITE);
        if (strcmp(what, "lock") == 0)
                return work_map("lock.mdb", PROT_READ | PROT_WRITE, 0);
        if (strcmp(what, "unlisted") == 0)
                return syscall(SYS_mq_unlink, "nothing") == 0;
        return strcmp(what, "sleep") == 0 ? pause() : 2;
}
