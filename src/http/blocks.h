/* SPDX-License-Identifier: BSD-2-Clause */
/* http{}, server{}, location{}: what other files need of them. */
#pragma once

#include "http/http.h"
#include "http/server.h"

struct http_listen {
    struct http_addr *addr;
    struct conf_pos pos;
};

/* What server{} collects of `listen` and `server_name`: the core module's OWN struct. */
struct server_collect {
    VEC(struct http_listen) listens;
    VEC(struct server_name) names;
};

/* An unnamed block within the current one (`if`, limit_except), bound later in `context`. It
 * inherits the content handler of the block around it. NULL after an error. */
struct http_location *http_add_block(struct conf_ctx *cf, const struct conf_node *node,
                                     uint32_t context);
/* The location or server-level location being bound. */
struct http_location *http_current_location(const struct conf_ctx *cf);
struct http_server *http_current_server(const struct conf_ctx *cf);

/* listen.c */
enum conf_result http_listen_directive(struct conf_ctx *cf, const struct conf_node *node,
                                       void *conf);
enum conf_result http_server_name_directive(struct conf_ctx *cf, const struct conf_node *node,
                                            void *conf);
/* After all servers are bound: default listens, name tables, listeners of the cycle. */
enum conf_result http_listen_finish(struct conf_ctx *cf, struct http_main *hm);
/* h1/conn.c: what a listener does with a connection. */
void h1_accept(struct conn *c);

/* The http{} block as a module of the cycle. */
extern const struct module http_block_module;
