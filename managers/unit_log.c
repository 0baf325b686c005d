/* SPDX-License-Identifier: Apache-2.0 */
/* The journal is read where journald left it; journald itself is asked only to write down first what it has
 * received. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#undef LOG_WARNING /* of <syslog.h>, which the journal's header brings along; ours is another */

#include "core/base/text.h"
#include "managers/unit_log.h"

#define SLICE_USEC (100 * USEC_PER_MSEC)
#define SYNC_MSEC 1000
#define DETAIL_MAX ((size_t)400)

/*
 * What a unit prints, or systemd about the unit: its first process, or the one that is to become the program and says
 * why it cannot. That one is gone before journald has looked whose it was, so it is known by its user alone.
 */
static int match_unit(sd_journal *j, const char *unit) {
        char printed[512], told[512];
        (void)snprintf(printed, sizeof(printed), "_SYSTEMD_UNIT=%s", unit);
        (void)snprintf(told, sizeof(told), "UNIT=%s", unit);
        int r = sd_journal_add_match(j, printed, 0);
        if (r >= 0)
                r = sd_journal_add_disjunction(j);
        if (r >= 0)
                r = sd_journal_add_match(j, told, 0);
        return r < 0 ? r : sd_journal_add_match(j, "_UID=0", 0);
}

static int log_open(const char *unit, sd_journal **ret, Error *err) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
                r = match_unit(j, unit);
        if (r < 0)
                return error_set_errno(err, r, "Run it as root or as a member of the group systemd-journal.",
                                       "could not read the journal of this host");
        *ret = TAKE_PTR(j);
        return 0;
}

static int log_line(sd_journal *j, const LogSink *sink) {
        static const char field[] = "MESSAGE=";
        const void *data;
        size_t size;
        int r = sd_journal_get_data(j, "MESSAGE", &data, &size);
        if (r < 0 || size < sizeof(field) - 1) /* an entry without a text, or one that is damaged */
                return 0;
        sink->line(sink->userdata, (const char *)data + sizeof(field) - 1, size - (sizeof(field) - 1));
        return 1;
}

/* Before the n-th entry from the end, so that the next one read is the first wanted. */
static int seek_last(sd_journal *j, size_t n) {
        if (n == 0)
                return sd_journal_seek_head(j);
        int r = sd_journal_seek_tail(j);
        return r < 0 ? r : sd_journal_previous_skip(j, n + 1);
}

static int read_on(const Host *host, sd_journal *j, bool follow, const LogSink *sink, Error *err) {
        for (;;) {
                int r;
                while ((r = sd_journal_next(j)) > 0) {
                        if (host_is_cancelled(host))
                                return follow ? 0 : host_check_cancel(host, err);
                        (void)log_line(j, sink);
                }
                if (r < 0)
                        return error_set_errno(err, r, NULL, "could not read the journal of this host");
                if (!follow || host_is_cancelled(host))
                        return 0;
                (void)sd_journal_wait(j, SLICE_USEC);
        }
}

int unit_log_lines(const Host *host, const char *unit, size_t n, bool follow, const LogSink *sink, Error *err) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r = log_open(unit, &j, err);
        if (r < 0)
                return r;
        r = seek_last(j, n);
        if (r < 0)
                return error_set_errno(err, r, NULL, "could not read the journal of this host");
        bool has_all = n > 0 && r <= (int)n; /* there are fewer: then the first one is already current */
        if (has_all && r > 0)
                (void)log_line(j, sink);
        return read_on(host, j, follow, sink, err);
}

/* What a program printed just before it died may still be on its way to the disk. */
static void journal_settle(void) {
        static const char request[] = "{\"method\":\"io.systemd.Journal.Synchronize\",\"parameters\":{}}";
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/io.systemd.journal"};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char answer[256];
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            send(fd, request, sizeof(request), MSG_NOSIGNAL) != (ssize_t)sizeof(request))
                return;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, SYNC_MSEC) > 0)
                (void)recv(fd, answer, sizeof(answer), 0);
}

static void detail_line(void *userdata, const char *text, size_t n_text) {
        error_detail(userdata, "%.*s", (int)MIN(n_text, DETAIL_MAX), text);
}

void unit_log_to_detail(const char *unit, uint64_t since_usec, size_t n, Error *err) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        const LogSink sink = {.line = detail_line, .userdata = err};
        size_t n_there = 0;
        journal_settle();
        if (!err || log_open(unit, &j, NULL) < 0 || sd_journal_seek_realtime_usec(j, since_usec) < 0)
                return;
        while (sd_journal_next(j) > 0)
                n_there++;
        if (sd_journal_seek_realtime_usec(j, since_usec) < 0)
                return;
        while (sd_journal_next(j) > 0)
                if (n_there-- <= n)
                        (void)log_line(j, &sink);
}
