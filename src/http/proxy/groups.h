/* SPDX-License-Identifier: BSD-2-Clause */
/* The groups of a configuration by name: upstream{} blocks, and one for each plain address. */
#pragma once

#include "http/http.h"
#include "upstream/group.h"

struct http_upstream {
    struct up_group group;
    struct conf_pos pos; /* of upstream{}, or of the first use of an address */
    VEC(struct up_server) servers;
    VEC(struct http_unresolved *) unresolved;
    bool implicit; /* made for an address */
    uint16_t port; /* of an implicit one */
    struct slice zone_name; /* zone */
    int64_t zone_size;
    bool balancer_given;
};

/* A server whose name did not resolve when the configuration was read. */
struct http_unresolved {
    struct http_upstream *upstream;
    struct slice server; /* as written, the peers' `server` */
    struct slice host; /* NUL-terminated */
    uint16_t port;
};

struct http_upstreams {
    struct hash *by_name; /* "backend", "127.0.0.1:3000" */
    VEC(struct http_upstream *) all;
};

struct http_upstreams *http_upstreams_of(struct http_main *hm);
struct http_upstream *http_upstream_find(const struct http_main *hm, struct slice name);
/* A new one with nginx's defaults of keepalive; NULL when the name is taken. */
struct http_upstream *http_upstream_add(struct conf_ctx *cf, struct slice name,
                                        struct conf_pos pos);
/* Addresses of one server; a name that does not resolve is a warning. */
enum conf_result http_upstream_add_server(struct conf_ctx *cf, struct http_upstream *u,
                                          const struct conf_word *at, struct slice text,
                                          uint16_t default_port, const struct up_server *settings);
/*
 * What "host:port/uri" of a *_pass directive names: an upstream{} or the group of an address, made
 * at its first use. NULL after an error was reported at `at`.
 */
struct http_upstream *http_upstream_for(struct conf_ctx *cf, const struct conf_word *at,
                                        struct slice url, uint16_t default_port,
                                        struct addr_spec *spec);
/* At run time, for an address with variables: the group of `spec` in r->pool, or an existing one;
 * NULL: neither numeric nor known (the caller logs). */
struct up_group *http_upstream_at_run_time(struct http_request *r, const struct addr_spec *spec);
/* Shared state for all groups; after all were read. */
enum conf_result http_upstreams_share(struct conf_ctx *cf, struct http_main *hm);
