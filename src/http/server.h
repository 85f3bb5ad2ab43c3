/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which server{} answers on an address for a Host: exact names, then the longest "*.name", then the
 * longest "name.*", then regular expressions in order, then the default server. The cost of a
 * lookup grows with the labels of the name, not with the number of servers.
 */
#pragma once

#include "http/http.h"
#include "net/listener.h"

struct server_names;

/* One address:port of `listen`, with the servers on it. */
struct http_addr {
    struct http_addr *next; /* of http_main */
    struct addr addr;
    struct slice text; /* "127.0.0.1:80" */
    struct listen_opts opts;
    bool opts_given; /* some socket option stood in a `listen`: only once an address */
    bool wildcard;
    bool ssl;
    bool http2;
    bool proxy_protocol;
    bool explicit_default;
    struct http_server *default_server;
    VEC(struct http_server *) servers;
    struct server_names *names; /* NULL: one server without regexes, no need to look */
    struct listener *listener; /* its own, or the wildcard's of the same port */
};

/* What a listener's data points to: the address itself, or for a wildcard socket also the
 * addresses it serves besides. */
struct http_port {
    struct http_addr *addr;
    VEC(struct http_addr *) specific;
};

struct server_name {
    struct slice name; /* lower case; as written for regexes */
    struct regex *regex;
    struct http_server *server;
};

struct server_names *server_names_new(struct pool *pool);
/* false: the name is taken ("conflicting server name ... ignored"). */
bool server_names_add(struct server_names *names, struct pool *pool, const struct server_name *sn);
/* NULL: nobody (the caller takes the default). `scope` for captures of regex names. */
struct http_server *server_names_find(const struct server_names *names, struct slice host,
                                      struct var_scope *scope);
