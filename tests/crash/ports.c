/* SPDX-License-Identifier: Apache-2.0 */
/* See ports.h. A range is reserved by an abstract socket of its name: like the ports themselves that is one of the
 * network namespace, whoever the user is, and it is gone with those who hold it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/crash/ports.h"

int ports_begin(void) {
        uint16_t number = 0;

        (void)!getrandom(&number, sizeof number, 0);
        return PORTS_FIRST + number % (PORTS_END - PORTS_FIRST);
}

bool ports_is_free(int port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_ANY)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;

        (void)close(fd);
        return is_free;
}

static bool range_is_free(int first) {
        for (int port = first; port < first + PORTS_RANGE; port++)
                if (!ports_is_free(port))
                        return false;
        return true;
}

/* The descriptor is left open on purpose: it is the reservation. */
static bool range_take(int first) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "pawl-crash-ports-%d", first);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && bind(fd, (struct sockaddr *)&name,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
                return true;
        if (fd >= 0)
                (void)close(fd);
        return false;
}

int ports_reserve(void) {
        const int n_ranges = (PORTS_END - PORTS_FIRST) / PORTS_RANGE;
        int start = (ports_begin() - PORTS_FIRST) / PORTS_RANGE;

        for (int i = 0; i < n_ranges; i++) {
                int first = PORTS_FIRST + (start + i) % n_ranges * PORTS_RANGE;

                if (range_is_free(first) && range_take(first))
                        return first;
        }
        return -EADDRINUSE;
}
