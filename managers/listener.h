/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens on a TCP port of this host, as /proc/net/tcp and the descriptors of processes tell.
 */
#pragma once

#include <sys/socket.h>

#include "core/base/error.h"

enum { LISTENERS_MAX = 64 };

typedef struct Listeners {
        uint64_t inodes[LISTENERS_MAX];
        size_t n;
} Listeners;

/* An address and port as a socket address; only numbers and "localhost". -EINVAL with ERR_SPEC. */
int address_parse(const char *host, int port, struct sockaddr_storage *ret, socklen_t *ret_size, Error *err);
bool address_is_local(const struct sockaddr_storage *address); /* of the loopback network */

/* The listening sockets that a connection to the address would reach: those bound to exactly it, else those bound
 * to every address. */
int listeners_of(const struct sockaddr_storage *address, Listeners *ret, Error *err);
/* Every listening socket of the port. */
int listeners_of_port(int port, Listeners *ret, Error *err);
bool listeners_has_process(const Listeners *l, int pid);
/* "pid 123, nginx" of the first process found, or "" when it cannot be told (another user's). */
void listeners_owner(const Listeners *l, char ret[static 128]);
