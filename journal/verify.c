/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier: walks the journal in a forked child, so that whatever a damaged file does to LMDB happens there. A
 * child that ends by a signal has found damage.
 *
 * From the anchor on (or, without one, from the first record) it checks every record's CRC, seq, chain, and its entry
 * in `trails`; and all rows and keys against the sums in the state, unless a stamp tells that this very file was
 * verified before. "All" adds the records before the anchor, and every transaction's order.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "journal/internal.h"
#include "journal/pages.h"

enum {
        TIME_LIMIT_SECONDS = 300,
        TAIL = 4, /* children of a page at the growing end of records and trails: where the next writes go */
};

typedef struct Answer {
        int result; /* 0, or why it could not look */
        ErrorCode code;
        JournalReport report;
        char message[512];
} Answer;

typedef struct Verify {
        StoreTxn *txn;
        VerifyDepth depth;
        JournalState state;
        Anchor anchor;
        JournalReport *report;
} Verify;

static int differs(Error *err, const char *what) {
        return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL, "the journal is damaged: %s", what);
}

static int check_trail(Verify *v, const Record *r, Error *err) {
        uint8_t key[16];
        Slice value;
        be64_put(key, r->tx);
        be64_put(key + 8, r->seq);
        int q = store_get(v->txn, STORE_TRAILS, SLICE(key, sizeof(key)), &value, err);
        return q == -ENOENT ? differs(err, "the trail of a transaction lacks a record") : q;
}

/* Where to begin: behind the anchor when the journal still holds it, else at the first record. */
static int find_start(Verify *v, uint64_t *ret_seq, uint8_t ret_prev[static 32], Error *err) {
        const JournalState *s = &v->state;
        Record record;
        Slice raw;
        uint8_t hash[32];
        int r;
        *ret_seq = s->first_seq;
        memcpy(ret_prev, s->first_prev, 32);
        if (v->anchor.seq == 0 || mutant_is("anchor-unread"))
                return 0;
        if (v->anchor.seq > s->head_seq)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "the journal ends with record %" PRIu64 ", but journal.head has seen record %" PRIu64
                                 ": it was put back from an older copy, or its end is lost",
                                 s->head_seq, v->anchor.seq);
        /* A checkpoint may have dropped the record the anchor stands at. */
        if (v->anchor.seq < s->first_seq)
                return 0;
        /* Or a repair has lost it, and died before it moved the anchor. */
        r = record_read(v->txn, v->anchor.seq, &record, &raw, err);
        if (r == -ENOENT && record_lost(v->txn, v->anchor.seq, NULL) == -ENOENT)
                return 0;
        v->report->bad_seq = v->anchor.seq;
        r = record_read_kept(v->txn, v->anchor.seq, &record, &raw, err);
        if (r < 0)
                return r;
        record_hash(raw.data, raw.size, hash);
        if (memcmp(hash, v->anchor.hash, sizeof(hash)) != 0)
                return error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                 "record %" PRIu64 " of the journal is not the one journal.head has seen",
                                 v->anchor.seq);
        v->report->bad_seq = 0;
        v->report->anchor_found = true;
        if (v->depth != VERIFY_ALL) {
                *ret_seq = v->anchor.seq + 1;
                memcpy(ret_prev, hash, 32);
        }
        return 0;
}

static int walk_records(Verify *v, Error *err) {
        uint64_t seq, start;
        uint8_t prev[32];
        int r = find_start(v, &start, prev, err);
        if (r < 0)
                return r;
        for (seq = start; seq <= v->state.head_seq;) {
                Record record;
                Slice raw;
                v->report->bad_seq = seq;
                r = record_next(v->txn, seq, seq == start, &record, &raw, err);
                if (r == -ENOENT)
                        return differs(err, "its last records are missing");
                if (r == 0 && memcmp(record.prev, prev, sizeof(prev)) != 0 && !mutant_is("no-chain-check"))
                        r = error_set(err, -EBADMSG, ERR_JOURNAL_DAMAGED, NULL,
                                      "the journal is damaged: record %" PRIu64 " does not continue the chain",
                                      record.seq);
                if (r == 0)
                        r = check_trail(v, &record, err);
                if (r < 0)
                        return r;
                record_hash(raw.data, raw.size, prev);
                seq = record.seq + 1;
                v->report->n_records++;
        }
        v->report->bad_seq = v->state.head_seq;
        if (memcmp(prev, v->state.head_hash, sizeof(prev)) != 0)
                return differs(err, "its last record is not the one its state names");
        if (seq != v->state.head_seq + 1)
                return differs(err, "there are records behind its last one");
        v->report->bad_seq = 0;
        return 0;
}

/* A leaf in the place of another shows every entry to a walk, and to a search none: so each is searched for, too. */
static int check_found(Verify *v, StoreDb db, Slice key, Slice value, Error *err) {
        Slice found;
        int r = store_get(v->txn, db, key, &found, err);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT || found.size != value.size || memcmp(found.data, value.data, value.size) != 0)
                return differs(err, "an entry is not where it is searched for");
        return 0;
}

static int walk_rows(Verify *v, Error *err) {
        Slice key, value;
        uint64_t n = 0, sum = 0;
        int r = store_seek(v->txn, STORE_ROWS, SEEK_FIRST, &key, &value, err);
        for (; r == 0; r = store_seek(v->txn, STORE_ROWS, SEEK_NEXT, &key, &value, err)) {
                RowView view;
                if (!row_decode(key, value, &view))
                        return differs(err, "the checksum of a row does not match");
                r = check_found(v, STORE_ROWS, key, value, err);
                if (r < 0)
                        return r;
                n++;
                sum += view.crc;
        }
        if (r != -ENOENT)
                return r;
        v->report->n_rows = n;
        return n == v->state.n_rows && sum == v->state.rows_sum ? 0 : differs(err, "rows are missing, or too many");
}

static int walk_keys(Verify *v, Error *err) {
        Slice key, value;
        uint64_t n = 0, sum = 0;
        int r = store_seek(v->txn, STORE_KEYS, SEEK_FIRST, &key, &value, err);
        for (; r == 0; r = store_seek(v->txn, STORE_KEYS, SEEK_NEXT, &key, &value, err)) {
                if (key.size != 8)
                        return differs(err, "a wrapped key belongs to no transaction");
                r = check_found(v, STORE_KEYS, key, value, err);
                if (r < 0)
                        return r;
                n++;
                sum += key_crc(be64_get(key.data), value.data, value.size);
        }
        if (r != -ENOENT)
                return r;
        return n == v->state.n_keys && sum == v->state.keys_sum ? 0
                                                                : differs(err, "wrapped keys are missing, or damaged");
}

/* Every trail names records that are there, and every transaction kept its order. */
static int walk_trails(Verify *v, Error *err) {
        Slice key;
        uint8_t from[16] = {0};
        uint64_t n = 0;
        for (uint64_t tx = 0;; tx++) {
                OrderEntry e;
                be64_put(from, tx);
                key = SLICE(from, sizeof(from));
                int r = store_seek(v->txn, STORE_TRAILS, SEEK_AT_LEAST, &key, NULL, err);
                if (r == -ENOENT)
                        break;
                if (r < 0)
                        return r;
                if (key.size != sizeof(from))
                        return differs(err, "a trail has no key");
                tx = be64_get(key.data);
                r = trail_order(v->txn, tx, v->state.first_seq, &e, err);
                if (r < 0)
                        return r;
                tx_order_done(&e.order);
                n += e.n_records;
        }
        if (n != v->report->n_records || store_count(v->txn, STORE_RECORDS) != n ||
            store_count(v->txn, STORE_TRAILS) != n)
                return differs(err, "there are more or fewer trails than records");
        return 0;
}

static int look(Verify *v, Error *err) {
        int r = state_read(v->txn, &v->state, err);
        if (r < 0)
                return r;
        v->report->first_seq = v->state.first_seq;
        v->report->head_seq = v->state.head_seq;
        memcpy(v->report->head_hash, v->state.head_hash, sizeof(v->report->head_hash));
        r = walk_records(v, err);
        if (r < 0 || v->depth == VERIFY_STAMPED)
                return r;
        r = walk_rows(v, err);
        if (r == 0)
                r = walk_keys(v, err);
        return r < 0 || v->depth == VERIFY_FROM_ANCHOR ? r : walk_trails(v, err);
}

static void text_cut(char *ret, size_t size, const char *text) {
        size_t n = strnlen(text, size - 1);
        memcpy(ret, text, n);
        ret[n] = '\0';
}

static void child_look(const JournalOptions *o, VerifyDepth depth, Answer *a) {
        Error err = ERROR_INIT;
        Store *store = NULL;
        Verify v = {.depth = depth, .report = &a->report};
        int r = anchor_read(o, &v.anchor, &err);
        if (r == 0)
                r = journal_store_open(o, "journal", (StoreOptions){.is_readonly = true}, &store, &err);
        if (r == 0)
                r = store_begin(store, false, &v.txn, &err);
        if (r == 0)
                r = pages_check_trees(store_fd(store), depth == VERIFY_ALL ? 0 : TAIL, depth == VERIFY_STAMPED, &err);
        if (r == 0)
                r = look(&v, &err);
        v.txn = store_abort(v.txn);
        a->code = err.code;
        bool is_finding = r == -EBADMSG || r == -EPROTONOSUPPORT;
        a->result = is_finding ? 0 : r;
        if (is_finding)
                text_cut(a->report.problem, sizeof(a->report.problem), err.message);
        else if (r < 0)
                text_cut(a->message, sizeof(a->message), err.message);
}

static _Noreturn void child_main(const JournalOptions *o, VerifyDepth depth, int out) {
        struct rlimit none = {0};
        Answer a = {0};
        (void)setrlimit(RLIMIT_CORE, &none);
        static const int fatal[] = {SIGSEGV, SIGBUS,  SIGABRT, SIGFPE, SIGILL,
                                    SIGALRM, SIGPIPE, SIGTERM, SIGINT, SIGHUP};
        for (size_t i = 0; i < ELEMENTSOF(fatal); i++)
                (void)signal(fatal[i], SIG_DFL);
        sigset_t nothing;
        sigemptyset(&nothing);
        (void)sigprocmask(SIG_SETMASK, &nothing, NULL);
        (void)alarm(TIME_LIMIT_SECONDS);
        child_look(o, depth, &a);
        ssize_t n = write(out, &a, sizeof(a));
        _exit(n == (ssize_t)sizeof(a) ? 0 : 1);
}

static int read_answer(int fd, Answer *ret) {
        size_t got = 0;
        while (got < sizeof(*ret)) {
                ssize_t n = read(fd, (char *)ret + got, sizeof(*ret) - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -EPIPE;
                got += (size_t)n;
        }
        return 0;
}

static int wait_child(pid_t pid) {
        int status;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return status;
}

int verify_forked(const JournalOptions *o, VerifyDepth depth, JournalReport *ret, ErrorCode *ret_code, Error *err) {
        int fds[2];
        Answer a = {0};
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, -errno, NULL, "could not start the journal's verifier");
        _cleanup_close_ int in = fds[0], out = fds[1];
        pid_t pid = fork();
        if (pid < 0)
                return error_set_errno(err, -errno, NULL, "could not start the journal's verifier");
        if (pid == 0)
                child_main(o, depth, out);
        fd_close(&out);
        int r = read_answer(in, &a);
        int status = wait_child(pid);
        if (r < 0 && status >= 0 && WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGKILL))
                return error_set(err, -ETIME, ERR_TIMEOUT, NULL, "the journal's verifier was ended before it was done");
        if (r < 0 && status >= 0 && WIFSIGNALED(status)) {
                a = (Answer){.code = ERR_JOURNAL_DAMAGED};
                snprintf(a.report.problem, sizeof(a.report.problem),
                         "the journal is damaged: reading it ends with signal %d", WTERMSIG(status));
        } else if (r < 0) {
                return error_set(err, -EIO, ERR_IO, NULL, "the journal's verifier gave no answer");
        }
        if (a.result < 0)
                return error_set(err, a.result, a.code, NULL, "could not verify the journal: %s", a.message);
        *ret = a.report;
        *ret_code = a.code;
        return 0;
}

int journal_verify(const JournalOptions *o, JournalReport *ret, Error *err) {
        Error found = ERROR_INIT;
        ErrorCode code;
        int r = journal_exists(o, err);
        if (r < 0)
                return r;
        r = journal_check_metas(o, &found);
        if (r == -EBADMSG) {
                stamp_drop(o);
                *ret = (JournalReport){0};
                text_cut(ret->problem, sizeof(ret->problem), found.message);
                return 0;
        }
        if (r < 0)
                return error_set(err, r, found.code, found.hint, "%s", found.message);
        r = verify_forked(o, VERIFY_ALL, ret, &code, err);
        if (r == 0 && ret->problem[0] != '\0')
                stamp_drop(o);
        return r;
}
