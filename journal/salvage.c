/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a damaged environment in a forked child, which sends what it finds through a pipe. It tries every record by
 * its own key, so that one page that does not read costs only what was on it. When the child dies, the pipe ends: the
 * parent takes what came, and checks it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/salvage.h"

enum {
        TIME_LIMIT_SECONDS = 600,
        GAPS_MAX = 1 << 20, /* numbers that repairs have given up */
};

typedef struct FoundHeader {
        uint32_t kind;
        uint32_t size;
} FoundHeader;

/* ---- The child ---- */

static bool send_all(int out, const void *data, size_t size) {
        for (size_t sent = 0; sent < size;) {
                ssize_t n = write(out, (const char *)data + sent, size - sent);
                if (n < 0 && errno != EINTR)
                        return false;
                sent += n > 0 ? (size_t)n : 0;
        }
        return true;
}

static void send_found(int out, FoundKind kind, Slice a, Slice b) {
        FoundHeader h = {.kind = kind, .size = (uint32_t)(a.size + b.size)};
        if (!send_all(out, &h, sizeof(h)) || !send_all(out, a.data, a.size) || !send_all(out, b.data, b.size))
                _exit(1);
}

static uint64_t end_key(StoreTxn *t, StoreSeek end) {
        Slice key;
        return store_seek(t, STORE_RECORDS, end, &key, NULL, NULL) == 0 && key.size == 8 ? be64_get(key.data) : 0;
}

/* A transaction that met damage reads nothing more: each failure costs a new one. */
static void begin_again(Store *store, StoreTxn **t) {
        *t = store_abort(*t);
        if (store_begin(store, false, t, NULL) < 0)
                _exit(1);
}

static void send_records(Store *store, StoreTxn **t, uint64_t first, uint64_t last, int out) {
        for (uint64_t seq = first; seq != 0 && seq <= last; seq++) {
                Record record;
                Slice raw;
                int r = record_read(*t, seq, &record, &raw, NULL);
                if (r == 0)
                        send_found(out, FOUND_RECORD, raw, SLICE("", 0));
                else if (r != -ENOENT)
                        begin_again(store, t);
        }
}

/* What the tree holds to be its last entry is believed if a whole record stands there. */
static void send_end(StoreTxn *t, uint64_t last, int out) {
        Record record;
        Slice raw;
        uint8_t seq[8];
        if (last == 0 || record_read(t, last, &record, &raw, NULL) < 0)
                return;
        be64_put(seq, last);
        send_found(out, FOUND_END, SLICE(seq, sizeof(seq)), SLICE("", 0));
}

static void send_keys(StoreTxn *t, int out) {
        Slice key, value;
        int r = store_seek(t, STORE_KEYS, SEEK_FIRST, &key, &value, NULL);
        for (; r == 0; r = store_seek(t, STORE_KEYS, SEEK_NEXT, &key, &value, NULL))
                if (key.size == 8)
                        send_found(out, FOUND_KEY, key, value);
}

static _Noreturn void child_main(const JournalOptions *o, int out) {
        struct rlimit none = {0};
        struct stat st;
        Store *store = NULL;
        StoreTxn *t = NULL;
        JournalState state;
        (void)setrlimit(RLIMIT_CORE, &none);
        static const int fatal[] = {SIGSEGV, SIGBUS,  SIGABRT, SIGFPE, SIGILL,
                                    SIGALRM, SIGPIPE, SIGTERM, SIGINT, SIGHUP};
        for (size_t i = 0; i < ELEMENTSOF(fatal); i++)
                (void)signal(fatal[i], SIG_DFL);
        (void)alarm(TIME_LIMIT_SECONDS);
        /* A file that is cut off gives what its start still holds; each fault costs one look-up. */
        if (journal_store_open(o, "journal", (StoreOptions){.is_readonly = true}, &store, NULL) < 0 ||
            store_begin(store, false, &t, NULL) < 0 || fstat(store_fd(store), &st) < 0)
                _exit(1);
        uint64_t first = end_key(t, SEEK_FIRST), last = end_key(t, SEEK_LAST);
        if (state_read(t, &state, NULL) == 0) {
                StateRow row;
                state_encode(&state, &row);
                send_found(out, FOUND_STATE, SLICE(&row, sizeof(row)), SLICE("", 0));
                first = state.first_seq;
                last = state.head_seq;
        }
        begin_again(store, &t);
        send_end(t, last, out);
        /* More than can be in the file is a number that is damaged too; but each repair leaves a gap. */
        uint64_t most = (uint64_t)st.st_size / sizeof(RecordHeader) + GAPS_MAX;
        if (last > first && last - first > most)
                last = first + most;
        begin_again(store, &t);
        send_records(store, &t, first, last, out);
        begin_again(store, &t);
        send_keys(t, out);
        _exit(0);
}

/* ---- The parent ---- */

static bool receive_all(int in, void *data, size_t size) {
        for (size_t got = 0; got < size;) {
                ssize_t n = read(in, (char *)data + got, size - got);
                if (n == 0 || (n < 0 && errno != EINTR))
                        return false;
                got += n > 0 ? (size_t)n : 0;
        }
        return true;
}

static int receive_found(int in, FoundVisit visit, void *userdata, Error *err) {
        FoundHeader h;
        while (receive_all(in, &h, sizeof(h))) {
                if (h.size > RECORD_BODY_MAX + sizeof(RecordHeader))
                        return 0;
                _cleanup_free_ uint8_t *data = malloc(h.size + (size_t)1);
                if (!data)
                        return error_no_memory(err);
                if (!receive_all(in, data, h.size))
                        return 0;
                int r = visit((FoundKind)h.kind, SLICE(data, h.size), userdata, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int salvage(const JournalOptions *o, FoundVisit visit, void *userdata, Error *err) {
        int fds[2], status;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, -errno, NULL, "could not start the reader of the damaged journal");
        pid_t pid = fork();
        if (pid < 0) {
                int r = error_set_errno(err, -errno, NULL, "could not start the reader of the damaged journal");
                fd_close(&fds[0]);
                fd_close(&fds[1]);
                return r;
        }
        if (pid == 0)
                child_main(o, fds[1]);
        fd_close(&fds[1]);
        int r = receive_found(fds[0], visit, userdata, err);
        /* When we stopped early the child ends by SIGPIPE. */
        fd_close(&fds[0]);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        return r;
}
