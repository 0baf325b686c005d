/* SPDX-License-Identifier: Apache-2.0 */
/* Check: nobody listens on the port. Binding is the question put to the kernel; /proc only gives the answer a name.
 * */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/text.h"
#include "managers/listener.h"
#include "managers/manager.h"

/* clang-format off */
static const Field port_args[] = {
        {1, "port",    FIELD_INT,  FIELD_REQUIRED, 1, NULL},
        {2, "address", FIELD_TEXT, 0,              1, NULL},
        FIELD_END,
};
static const Field port_before[] = {
        FIELD_END,
};
/* clang-format on */

static int in_use(int port, Error *err) {
        static const char *hint = "Choose another port, or stop that program.";
        Listeners l = {0};
        char owner[128] = "";
        if (listeners_of_port(port, &l, NULL) == 0)
                listeners_owner(&l, owner);
        if (owner[0])
                return error_set(err, -EADDRINUSE, ERR_IN_USE, hint, "port %d is in use by another program (%s)", port,
                                 owner);
        return error_set(err, -EADDRINUSE, ERR_IN_USE, hint, "port %d is in use by another program", port);
}

/* What bind_try() says where only the table of sockets can tell: no such address here, or only root may bind it. */
#define BIND_UNTOLD 1

/* 0: nobody listens there. */
static int bind_try(const char *address, int port, Error *err) {
        struct sockaddr_storage a;
        socklen_t size;
        int r = address_parse(address, port, &a, &size, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return errno == EAFNOSUPPORT ? 0 : error_set_errno(err, -errno, NULL, "could not make a socket");
        const int one = 1;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
                         sizeof(one)); /* what an old connection left behind is no listener */
        if (bind(fd, (const struct sockaddr *)&a, size) == 0)
                return 0;
        if (errno == EADDRNOTAVAIL || errno == EACCES)
                return BIND_UNTOLD;
        if (errno == EADDRINUSE)
                return in_use(port, err);
        return error_set_errno(err, -errno, NULL, "could not ask for port %d", port);
}

static int port_check(const Host *host, const Value *args, Error *err) {
        (void)host;
        if (!args)
                return 0;
        int port = (int)value_get_int(args, "port", 0);
        const char *addresses[] = {value_get_text_or(args, "address", "127.0.0.1"), "0.0.0.0", "::"};
        bool is_untold = false;
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                int r = bind_try(addresses[i], port, err);
                if (r < 0)
                        return r;
                is_untold = is_untold || r == BIND_UNTOLD;
        }
        /* Not without need: the kernel walks every connection of the host to print that table, which takes
         * milliseconds. */
        Listeners l = {0};
        if (is_untold && listeners_of_port(port, &l, NULL) == 0 && l.n > 0)
                return in_use(port, err);
        return 0;
}

static int port_apply(const Host *host, const Value *args, const Value *before, StepResult *ret, Error *err) {
        (void)before;
        int r = port_check(host, args, err);
        if (r == 0)
                *ret = (StepResult){.change = CHANGE_UNCHANGED};
        return r;
}

static int port_describe(const Value *args, char **ret, Error *err) {
        *ret = text_format("check that port %d is free", (int)value_get_int(args, "port", 0));
        return *ret ? 0 : error_no_memory(err);
}

const Manager manager_port = {
        .id = 6,
        .name = "port",
        .version = 1,
        .is_rootable = true,
        .reach = REACH_VOLATILE,
        .args = port_args,
        .before = port_before,
        .check = port_check,
        .capture = manager_capture_nothing,
        .apply = port_apply,
        .revert = manager_revert_nothing,
        .probe = manager_probe_before,
        .verify = manager_verify_nothing,
        .tidy = manager_tidy_nothing,
        .describe = port_describe,
};
