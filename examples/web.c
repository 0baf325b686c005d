/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example service: answers every HTTP request on 127.0.0.1:$PORT with its version. Built several times, as web-v1,
 * web-v2, ...:
 *
 *   EXAMPLE_VERSION  what it says
 *   EXAMPLE_DELAY    seconds before it listens (a slow start)
 *   EXAMPLE_BROKEN   it complains and exits with status 1 instead (a release that must not go live)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef EXAMPLE_DELAY
#define EXAMPLE_DELAY 0
#endif
#ifndef EXAMPLE_BROKEN
#define EXAMPLE_BROKEN 0
#endif

static int listen_on(int port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        if (fd < 0)
                return -1;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static void answer(int fd) {
        static const char body[] = "hello from " EXAMPLE_VERSION "\n";
        char buf[1024];
        if (read(fd, buf, sizeof(buf)) > 0)
                dprintf(fd,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        sizeof(body) - 1, body);
        close(fd);
}

int main(void) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (EXAMPLE_BROKEN) {
                fprintf(stderr, "web " EXAMPLE_VERSION ": cannot read the configuration: no such key \"database\"\n");
                return 1;
        }
        const char *text = getenv("PORT");
        int port = text ? (int)strtol(text, NULL, 10) : 0;
        if (port < 1 || port > 65535) {
                fprintf(stderr, "web: set PORT to the port to listen on\n");
                return 2;
        }
        sleep(EXAMPLE_DELAY);
        int fd = listen_on(port);
        if (fd < 0) {
                fprintf(stderr, "web: could not listen on port %d: %s\n", port, strerror(errno));
                return 1;
        }
        printf("web " EXAMPLE_VERSION " listens on port %d\n", port);
        for (;;) {
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
                if (client >= 0)
                        answer(client);
        }
}
