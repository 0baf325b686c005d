/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a deploy of one program costs: the same files and directories made durable in the same way, one bare
 * LMDB commit wherever a journal needs one, the same program started. No plan, no probe, no journal to read, no way
 * back.
 *
 *   bench-floor init ROOT                    the directories and the database that are there before a deploy
 *   bench-floor init-upgrade ROOT            and those that are there before an upgrade
 *   bench-floor deploy ROOT PROGRAM PORT
 *   bench-floor upgrade ROOT PROGRAM PORT UNIT   another release, one restart of the unit by systemd, until somebody listens on the port
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

enum { PREALLOCATED = 4 << 20, RECORD_SIZE = 900, BLOCK = 1 << 18, N_COMMITS = 12, N_COMMITS_UPGRADE = 6 };

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

static void make_release(const char *program, const char *path) {
        static const char text[250] = "";
        must(mkdir("opt/pawl/web/releases/.staged", 0755) == 0, "staging");
        copy_hashed(program, "opt/pawl/web/releases/.staged/web");
        write_file("opt/pawl/web/releases/.staged/.manifest", text, 71);
        write_file("opt/pawl/web/releases/.staged/.release", text, sizeof(text));
        sync_dir("opt/pawl/web/releases/.staged");
        publish("opt/pawl/web/releases", "opt/pawl/web/releases/.staged", path);
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
        make_release(program, "opt/pawl/web/releases/v1");
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

/* ---- The upgrade ---- */

static void must_bus(int r, const char *what) {
        if (r < 0)
                errno = -r;
        must(r >= 0, what);
}

static int job_removed(sd_bus_message *m, void *data, sd_bus_error *error) {
        const char *job = NULL, *unit = NULL, *result = NULL;
        uint32_t id;
        (void)error;
        must_bus(sd_bus_message_read(m, "uoss", &id, &job, &unit, &result), "JobRemoved");
        if (strcmp(unit, *(const char **)data) == 0) {
                must(strcmp(result, "done") == 0, "the restart");
                *(const char **)data = NULL;
        }
        return 0;
}

static void restart(const char *unit) {
        static const char path[] = "/org/freedesktop/systemd1", manager[] = "org.freedesktop.systemd1.Manager";
        sd_bus *bus = NULL;
        const char *waits_for = unit;
        must_bus(sd_bus_new(&bus), "sd_bus_new");
        must_bus(sd_bus_set_address(bus, "unix:path=/run/systemd/private"), "address");
        must_bus(sd_bus_start(bus), "systemd");
        must_bus(sd_bus_match_signal(bus, NULL, NULL, path, manager, "JobRemoved", job_removed, &waits_for), "match");
        must_bus(sd_bus_call_method(bus, NULL, path, manager, "Subscribe", NULL, NULL, ""), "Subscribe");
        must_bus(sd_bus_call_method(bus, NULL, path, manager, "RestartUnit", NULL, NULL, "ss", unit, "replace"), unit);
        while (waits_for) {
                int r = sd_bus_process(bus, NULL);
                must_bus(r, "systemd");
                if (r == 0 && waits_for)
                        must_bus(sd_bus_wait(bus, UINT64_MAX), "systemd");
        }
        sd_bus_close_unref(bus);
}

static void wait_for_listener(const char *port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)strtol(port, NULL, 10)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        for (int r = -1; r < 0;) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                must(fd >= 0, "socket");
                r = connect(fd, (struct sockaddr *)&address, sizeof(address));
                must(r == 0 || errno == ECONNREFUSED, port);
                close(fd);
                if (r < 0)
                        usleep(500);
        }
}

/* The unit file stays as it is: systemd need not read it again. */
static void upgrade(const char *program, const char *port, const char *unit) {
        env_open();
        commit();
        make_release(program, "opt/pawl/web/releases/v2");
        commit(); /* the debt */
        commit();
        must(symlink("releases/v2", "opt/pawl/web/.staged") == 0, "current");
        publish("opt/pawl/web", "opt/pawl/web/.staged", "opt/pawl/web/current");
        commit();
        restart(unit);
        wait_for_listener(port);
        commit();
        commit();
        must(n_commits == N_COMMITS_UPGRADE, "commits");
        append_segment();
        replace_file("var/lib/pawl", "var/lib/pawl/journal.head", "", 0);
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

static void init_release(void) {
        must(mkdir("opt/pawl/web", 0755) == 0 && mkdir("opt/pawl/web/releases", 0755) == 0, "releases");
        must(symlink("releases/v1", "opt/pawl/web/current") == 0, "current");
}

int main(int argc, char **argv) {
        const char *verb = argc > 2 ? argv[1] : "";
        if (argc > 2)
                must(chdir(argv[2]) == 0, argv[2]);
        if (argc == 3 && strcmp(verb, "init") == 0) {
                init();
        } else if (argc == 3 && strcmp(verb, "init-upgrade") == 0) {
                init();
                init_release();
        } else if (argc == 5 && strcmp(verb, "deploy") == 0) {
                deploy(argv[3], argv[4]);
        } else if (argc == 6 && strcmp(verb, "upgrade") == 0) {
                upgrade(argv[3], argv[4], argv[5]);
        } else {
                fprintf(stderr,
                        "usage: bench-floor init|init-upgrade ROOT | deploy ROOT PROGRAM PORT | upgrade ROOT PROGRAM PORT UNIT\n");
                return 2;
        }
        mdb_env_close(env);
        return 0;
}
