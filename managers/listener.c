/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel prints addresses as 32-bit words in host order, and a socket as an inode; a process holds it as
 * "socket:[<inode>]". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "managers/listener.h"
#include "managers/procfs.h"

#define TCP_LISTEN_STATE 0x0A

typedef struct Address {
        struct in6_addr ip; /* IPv4 in its mapped form */
        int port;
} Address;

static void file_close(FILE **f) {
        if (*f)
                (void)fclose(*f);
}

int address_parse(const char *host, int port, struct sockaddr_storage *ret, socklen_t *ret_size, Error *err) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
        const char *text = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
        memset(ret, 0, sizeof(*ret));
        if (port <= 0 || port > UINT16_MAX)
                return error_set(err, -EINVAL, ERR_SPEC, NULL, "%d is not a port", port);
        if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                v4->sin_port = htons((uint16_t)port);
                *ret_size = sizeof(*v4);
                return 0;
        }
        if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
                v6->sin6_family = AF_INET6;
                v6->sin6_port = htons((uint16_t)port);
                *ret_size = sizeof(*v6);
                return 0;
        }
        return error_set(err, -EINVAL, ERR_SPEC, "Write an address such as 127.0.0.1.", "\"%s\" is not an address",
                         host);
}

static void map_v4(uint32_t network_order, struct in6_addr *ret) {
        memset(ret, 0, sizeof(*ret));
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        memcpy(&ret->s6_addr[12], &network_order, 4);
}

static Address address_of(const struct sockaddr_storage *s) {
        Address a = {0};
        if (s->ss_family == AF_INET) {
                const struct sockaddr_in *v4 = (const struct sockaddr_in *)s;
                map_v4(v4->sin_addr.s_addr, &a.ip);
                a.port = ntohs(v4->sin_port);
        } else {
                const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)s;
                a.ip = v6->sin6_addr;
                a.port = ntohs(v6->sin6_port);
        }
        return a;
}

bool address_is_local(const struct sockaddr_storage *address) {
        Address a = address_of(address);
        return IN6_IS_ADDR_LOOPBACK(&a.ip) || (IN6_IS_ADDR_V4MAPPED(&a.ip) && a.ip.s6_addr[12] == 127);
}

static bool is_everything(const struct in6_addr *ip) {
        static const struct in6_addr v4_any = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
        return IN6_IS_ADDR_UNSPECIFIED(ip) || memcmp(ip, &v4_any, sizeof(*ip)) == 0;
}

/* A line of /proc/net/tcp or tcp6. False when it is not a listening socket. */
static bool row_parse(const char *row, Address *ret, uint64_t *ret_inode) {
        char ip[33];
        unsigned port, state;
        if (sscanf(row, " %*d: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu64, ip, &port,
                   &state, ret_inode) != 4 ||
            state != TCP_LISTEN_STATE)
                return false;
        uint32_t words[4] = {0};
        size_t n = strlen(ip) / 8;
        for (size_t i = 0; i < n && i < ELEMENTSOF(words); i++) {
                char word[9] = "";
                memcpy(word, ip + 8 * i, 8);
                words[i] = (uint32_t)strtoul(word, NULL, 16);
        }
        if (n == 1)
                map_v4(words[0], &ret->ip);
        else
                memcpy(&ret->ip, words, sizeof(ret->ip));
        ret->port = (int)port;
        return true;
}

typedef struct ListenerSearch {
        int port;
        const Address *exactly; /* NULL: any address */
        Listeners exact, wide;
} ListenerSearch;

static void listeners_add(Listeners *l, uint64_t inode) {
        if (l->n < LISTENERS_MAX)
                l->inodes[l->n++] = inode;
}

static int table_search(const char *path, ListenerSearch *s, Error *err) {
        _cleanup_(file_close) FILE *f = fopen(path, "re");
        char row[512];
        Address a;
        uint64_t inode;
        if (!f)
                return errno == ENOENT ? 0 : error_set_errno(err, -errno, NULL, "could not read \"%s\"", path);
        while (fgets(row, sizeof(row), f)) {
                if (!row_parse(row, &a, &inode) || a.port != s->port)
                        continue;
                if (!s->exactly || memcmp(&a.ip, &s->exactly->ip, sizeof(a.ip)) == 0)
                        listeners_add(&s->exact, inode);
                else if (is_everything(&a.ip))
                        listeners_add(&s->wide, inode);
        }
        return 0;
}

static int search(ListenerSearch *s, Listeners *ret, Error *err) {
        int r = table_search("/proc/net/tcp", s, err);
        if (r == 0)
                r = table_search("/proc/net/tcp6", s, err);
        if (r == 0)
                *ret = s->exact.n > 0 ? s->exact : s->wide;
        return r;
}

int listeners_of(const struct sockaddr_storage *address, Listeners *ret, Error *err) {
        Address a = address_of(address);
        ListenerSearch s = {.port = a.port, .exactly = &a};
        return search(&s, ret, err);
}

int listeners_of_port(int port, Listeners *ret, Error *err) {
        ListenerSearch s = {.port = port};
        return search(&s, ret, err);
}

static int socket_fd(void *userdata, const char *target, const char *fd_path) {
        (void)fd_path;
        const Listeners *l = userdata;
        uint64_t inode;
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
                return 0;
        for (size_t i = 0; i < l->n; i++)
                if (l->inodes[i] == inode)
                        return 1;
        return 0;
}

bool listeners_has_process(const Listeners *l, int pid) {
        Listeners copy = *l;
        return procfs_each_fd(pid, socket_fd, &copy) == 1;
}

typedef struct OwnerSearch {
        const Listeners *listeners;
        char *ret;
} OwnerSearch;

static int owner_process(void *userdata, const ProcessInfo *p) {
        const OwnerSearch *s = userdata;
        char name[64];
        if (!listeners_has_process(s->listeners, p->pid))
                return 0;
        procfs_name(p->pid, name);
        (void)snprintf(s->ret, 128, "pid %d, %s", p->pid, name);
        return 1;
}

void listeners_owner(const Listeners *l, char ret[static 128]) {
        OwnerSearch s = {.listeners = l, .ret = ret};
        ret[0] = '\0';
        (void)procfs_each(owner_process, &s);
}
