/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a deploy of one program costs: the same files and directories made durable in the same way, one bare
 * LMDB commit wherever a journal needs one, the same program started. No plan, no probe, no journal to read, no way
 * back.
 *
 *   bench-floor init ROOT                    the directories and the database that are there before a deploy
 *   bench-floor deploy ROOT PROGRAM PORT
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREALLOCATED = 4 << 20, RECORD_SIZE = 900, BLOCK = 1 << 18, N_COMMITS = 12 };

static MDB_env *env;
static MDB_dbi dbi;
static uint64_t n_commits;

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "bench-floor: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void must_rc(int rc, const char *what) {
        if (rc > 0)
                errno = rc;
        must(rc == 0, what);
}

/* ---- Files ---- */

static int open_dir(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(fd >= 0, path);
        return fd;
}

static void sync_dir(const char *path) {
        int fd = open_dir(path);
        must(fsync(fd) == 0, path);
        close(fd);
}

static void make_dir(const char *parent, const char *path, mode_t mode) {
        must(mkdir(path, mode) == 0, path);
        sync_dir(path);
        sync_dir(parent);
}

static void write_all(int fd, const void *data, size_t size) {
        must(write(fd, data, size) == (ssize_t)size, "write");
}

static void write_file(const char *path, const void *data, size_t size) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        must(fd >= 0, path);
        write_all(fd, data, size);
        must(fsync(fd) == 0, path);
        close(fd);
}

static void publish(const char *dir, const char *staged, const char *path) {
        must(rename(staged, path) == 0, path);
        sync_dir(dir);
}

static void replace_file(const char *dir, const char *path, const void *data, size_t size) {
        char staged[64];
        snprintf(staged, sizeof(staged), "%s/.floor-staged", dir);
        write_file(staged, data, size);
        publish(dir, staged, path);
}

/* ---- Commits ---- */

static void env_open(void) {
        must_rc(mdb_env_create(&env), "mdb_env_create");
        must_rc(mdb_env_set_mapsize(env, (size_t)1 << 30), "mdb_env_set_mapsize");
        must_rc(mdb_env_open(env, "var/lib/pawl/journal", MDB_NOTLS, 0600), "mdb_env_open");
}

static void commit(void) {
        static char record[RECORD_SIZE];
        MDB_txn *txn;
        MDB_val key = {.mv_size = sizeof(n_commits), .mv_data = &n_commits},
                value = {.mv_size = sizeof(record), .mv_data = record};
        must_rc(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
        if (dbi == 0)
                must_rc(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
        n_commits++;
        must_rc(mdb_put(txn, dbi, &key, &value, 0), "mdb_put");
        must_rc(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* ---- The deploy ---- */

static void copy_hashed(const char *from, const char *to) {
        static char block[BLOCK];
        unsigned char digest[EVP_MAX_MD_SIZE];
        EVP_MD_CTX *hash = EVP_MD_CTX_new();
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
        ssize_t n;
        must(in >= 0, from);
        must(out >= 0, to);
        must(hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1, "sha256");
        while ((n = read(in, block, sizeof(block))) > 0) {
                EVP_DigestUpdate(hash, block, (size_t)n);
                write_all(out, block, (size_t)n);
        }
        must(n == 0, from);
        EVP_DigestFinal_ex(hash, digest, NULL);
        EVP_MD_CTX_free(hash);
        must(fsync(out) == 0, to);
        close(in);
        close(out);
}

static void make_release(const char *program) {
        static const char text[250] = "";
        must(mkdir("opt/pawl/web/releases/.staged", 0755) == 0, "staging");
        copy_hashed(program, "opt/pawl/web/releases/.staged/web");
        write_file("opt/pawl/web/releases/.staged/.manifest", text, 71);
        write_file("opt/pawl/web/releases/.staged/.release", text, sizeof(text));
        sync_dir("opt/pawl/web/releases/.staged");
        publish("opt/pawl/web/releases", "opt/pawl/web/releases/.staged", "opt/pawl/web/releases/v1");
}

/* The child waits until it is known to the disk, then becomes the program. */
static void run_child(int gate, const char *port) {
        char variable[32], c;
        const struct passwd *nobody = getuid() == 0 ? getpwnam("nobody") : NULL;
        char *const argv[] = {(char[]){"opt/pawl/web/current/web"}, NULL}, *const environment[] = {variable, NULL};
        int log = open("var/log/pawl/web.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        snprintf(variable, sizeof(variable), "PORT=%s", port);
        if (setsid() < 0 || read(gate, &c, 1) != 1 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
                _exit(127);
        if (nobody && (setgid(nobody->pw_gid) < 0 || setuid(nobody->pw_uid) < 0))
                _exit(127);
        execve(argv[0], argv, environment);
        _exit(127);
}

static void start(const char *port) {
        int gate[2], told[2];
        char text[64], c;
        must(pipe2(gate, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0, "pipe");
        pid_t pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0)
                run_child(gate[0], port);
        close(told[1]);
        replace_file("run/pawl", "run/pawl/web.proc", text,
                     (size_t)snprintf(text, sizeof(text), "{\"pid\":%d}\n", pid));
        write_all(gate[1], "x", 1);
        /* exec closes the other end */
        must(read(told[0], &c, 1) == 0, "start");
}

static void append_segment(void) {
        static const char records[10171];
        int fd = open("var/lib/pawl/journal/segments/1.seg", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        must(fd >= 0, "segment");
        sync_dir("var/lib/pawl/journal/segments");
        write_all(fd, records, sizeof(records));
        must(fsync(fd) == 0, "segment");
        close(fd);
}

/* A commit in front of each step, one for the whole, one for its end. */
static void deploy(const char *program, const char *port) {
        static const char text[240] = "";
        env_open();
        commit();
        make_dir("opt/pawl", "opt/pawl/web", 0755);
        commit();
        make_dir("opt/pawl/web", "opt/pawl/web/releases", 0755);
        commit();
        make_dir("etc/pawl", "etc/pawl/web", 0755);
        commit();
        make_dir("var/lib/pawl-data", "var/lib/pawl-data/web", 0750);
        commit();
        make_release(program);
        commit(); /* the debt: it changes nothing now */
        commit();
        replace_file("etc/pawl/web", "etc/pawl/web/env", text, 10);
        commit();
        replace_file("etc/pawl/web", "etc/pawl/web/process", text, sizeof(text));
        commit();
        must(symlink("releases/v1", "opt/pawl/web/.staged") == 0, "current");
        publish("opt/pawl/web", "opt/pawl/web/.staged", "opt/pawl/web/current");
        commit();
        start(port);
        commit();
        commit();
        must(n_commits == N_COMMITS, "commits");
        append_segment();
        replace_file("var/lib/pawl", "var/lib/pawl/journal.head", text, 64);
}

static void init(void) {
        static const char *const dirs[] = {"opt",
                                           "opt/pawl",
                                           "etc",
                                           "etc/pawl",
                                           "run",
                                           "run/pawl",
                                           "var",
                                           "var/log",
                                           "var/log/pawl",
                                           "var/lib",
                                           "var/lib/pawl",
                                           "var/lib/pawl-data",
                                           "var/lib/pawl/journal",
                                           "var/lib/pawl/journal/segments"};
        for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
                must(mkdir(dirs[i], 0755) == 0, dirs[i]);
        env_open();
        commit();
        int fd = open("var/lib/pawl/journal/data.mdb", O_RDWR | O_CLOEXEC);
        must(fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PREALLOCATED) == 0, "data.mdb");
        close(fd);
}

int main(int argc, char **argv) {
        bool is_deploy = argc == 5 && strcmp(argv[1], "deploy") == 0;
        if (!is_deploy && !(argc == 3 && strcmp(argv[1], "init") == 0)) {
                fprintf(stderr, "usage: bench-floor init ROOT | bench-floor deploy ROOT PROGRAM PORT\n");
                return 2;
        }
        must(chdir(argv[2]) == 0, argv[2]);
        if (is_deploy)
                deploy(argv[3], argv[4]);
        else
                init();
        mdb_env_close(env);
        return 0;
}
