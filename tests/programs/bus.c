/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the systemd of this host through managers/bus.h, for tests:
 *
 *   test-bus reload | reset UNIT | unit UNIT | logs UNIT N | (stop | restart) UNIT [MILLISECONDS]
 *
 * Prints "ok", "lost", or the error's slug and message; ends with 0, 1 for "lost", 2 for an error.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "managers/bus.h"
#include "managers/unit_log.h"

static void print_line(void *userdata, const char *text, size_t n_text) {
        (void)userdata;
        printf("%.*s\n", (int)n_text, text);
}

static int print_unit(const Host *host, const char *unit, Error *err) {
        _cleanup_bus_unit_ BusUnit u = {0};
        char how[64];
        int r = bus_unit(host, unit, &u, err);
        if (r < 0)
                return r;
        bus_unit_exit_text(&u, how);
        printf("load=%s active=%s sub=%s result=%s file=%s drop-ins=%zu pid=%u invoked=%d exit=\"%s\"\n", u.load_state,
               u.active_state, u.sub_state, u.result, u.fragment_path, value_count(u.drop_in_paths), u.main_pid,
               u.has_invocation, how);
        return 0;
}

static int job(const Host *host, const char *verb, char **argv, Error *err) {
        static const char *const verbs[] = {"stop", "restart"};
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i], verb) == 0)
                        return bus_job(host, (BusVerb)i, argv[2],
                                       argv[3] ? strtoull(argv[3], NULL, 10) * USEC_PER_MSEC : 0, err);
        return error_set(err, -EINVAL, ERR_USAGE, NULL, "there is no \"%s\"", verb);
}

static int run(const Host *host, const char *verb, char **argv, Error *err) {
        const LogSink sink = {.line = print_line};
        if (strcmp(verb, "reload") == 0)
                return bus_reload(host, err);
        if (strcmp(verb, "reset") == 0)
                return bus_reset_failed(host, argv[2], err);
        if (strcmp(verb, "unit") == 0)
                return print_unit(host, argv[2], err);
        if (strcmp(verb, "logs") == 0)
                return unit_log_lines(host, argv[2], strtoul(argv[3], NULL, 10), false, &sink, err);
        return job(host, verb, argv, err);
}

int main(int argc, char **argv) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        Error err = ERROR_INIT;
        if (argc < 2 || bus_new(&bus, &err) < 0)
                return 2;
        Host host = {.root = -1, .root_path = "/", .bus = bus};
        int r = run(&host, argv[1], argv, &err);
        if (r < 0)
                printf("%s: %s\n", error_slug(err.code), err.message);
        else
                printf("%s\n", r == BUS_LOST ? "lost" : "ok");
        return r < 0 ? 2 : r == BUS_LOST;
}
