/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service for tests: listens on 127.0.0.1:$PORT (not without PORT) and answers nothing. Words are obeyed in order:
 *
 *   exit N       exits with that status          ignore-term   takes no SIGTERM
 *   child        a child holds the port instead  print TEXT    a line of output
 *   environment  prints its environment          sleep MSEC    before what follows
 *   descriptors  prints which are open           listen        now, not at the end
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int number(const char *text) {
        return (int)strtol(text, NULL, 10);
}

static void port_listen(void) {
        const char *port = getenv("PORT");
        const int one = 1;
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (!port)
                return;
        a.sin_port = htons((uint16_t)number(port));
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0) {
                perror("could not listen");
                exit(3);
        }
}

static void descriptors_print(void) {
        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        printf("descriptor %d\n", fd);
}

static void wait_forever(void) {
        for (;;)
                pause();
}

static void child_listen(void) {
        if (fork() == 0) {
                port_listen();
                wait_forever();
        }
        wait_forever();
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (int i = 1; i < argc; i++) {
                const char *value = i + 1 < argc ? argv[i + 1] : "0";
                if (strcmp(argv[i], "exit") == 0)
                        exit(number(value));
                else if (strcmp(argv[i], "ignore-term") == 0)
                        signal(SIGTERM, SIG_IGN);
                else if (strcmp(argv[i], "child") == 0)
                        child_listen();
                else if (strcmp(argv[i], "print") == 0)
                        puts(argv[++i] ? argv[i] : "");
                else if (strcmp(argv[i], "sleep") == 0)
                        usleep((useconds_t)number(value) * 1000), i++;
                else if (strcmp(argv[i], "listen") == 0)
                        port_listen();
                else if (strcmp(argv[i], "descriptors") == 0)
                        descriptors_print();
                else if (strcmp(argv[i], "environment") == 0)
                        for (char **e = environ; *e; e++)
                                puts(*e);
        }
        port_listen();
        wait_forever();
}
