/* SPDX-License-Identifier: BSD-2-Clause */
/* Socket addresses: parse, print, compare; IPv4, IPv6, unix. CIDR blocks. */
#pragma once

#include "base/slice.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct pool;

struct addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage ss;
    };
    socklen_t len;
};

#define ADDR_TEXT_MAX 160
/* "127.0.0.1", "[::1]" when bracketed and port asked for, "unix:/path". Written at p (ADDR_TEXT_MAX); returns the length. */
size_t addr_print(const struct addr *a, bool with_port, char *p);
struct slice addr_text(struct pool *pool, const struct addr *a, bool with_port);
bool addr_eq(const struct addr *a, const struct addr *b, bool with_port);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* A numeric IPv4 or IPv6 address without port ("127.0.0.1", "::1", "[::1]"); false otherwise. */
MUST_USE bool addr_parse_ip(struct slice s, struct addr *out);
/* The bytes nginx calls $binary_remote_addr (4, 16, or the unix path). */
struct slice addr_binary(const struct addr *a);

/* "host:port", "host", "[v6]:port", ":port", "port", "*:port", "unix:path" as directives write them. */
struct addr_spec {
    struct slice host; /* without brackets; empty when only a port was given */
    uint16_t port; /* the default when none was given */
    bool has_port;
    bool is_unix; /* host is the path */
    bool wildcard; /* "*" or only a port */
    struct slice rest; /* proxy_pass: what follows host:port (from "/" or "?") */
};
/* `error` gets nginx's words: "no host", "invalid port", "no path in the unix domain socket", ... */
MUST_USE bool addr_spec_parse(struct slice s, uint16_t default_port, bool uri_part,
                              struct addr_spec *out, const char **error);
/* All addresses of a spec: numeric ones at once, names by the system's resolver (blocking; only for
 * configuration). NULL and *error ("host not found") on failure. */
struct addr *addr_resolve(struct pool *pool, const struct addr_spec *spec, bool passive, size_t *n,
                          const char **error);

struct cidr {
    int family; /* AF_INET, AF_INET6, AF_UNIX (all unix sockets) */
    uint8_t addr[16];
    uint8_t bits;
};
enum cidr_result {
    CIDR_BAD,
    CIDR_OK,
    CIDR_LOW_BITS, /* fine, but "low address bits of X are meaningless" */
};
enum cidr_result cidr_parse(struct slice s, struct cidr *out);
bool cidr_match(const struct cidr *c, const struct addr *a);
