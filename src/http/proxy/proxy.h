/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings and targets of proxy_pass, as its files share them. */
#pragma once

#include "http/proxy/exchange.h"
#include "http/proxy/groups.h"
#include "http/proxy/rewrite.h"

struct regex;

/* What a proxy_pass names; in the location's handler_data, or made for a request when it has
 * variables. */
struct proxy_target {
    struct template *text; /* with variables; else NULL */
    struct slice url; /* as written */
    struct slice schema; /* "http://" */
    struct slice host; /* $proxy_host */
    struct slice port; /* $proxy_port */
    struct slice uri; /* replaces the location's part of the request's; empty: none */
    struct up_group *group;
    struct slice location; /* the part it replaces */
    struct slice default_redirect; /* "http://host:port/uri": proxy_redirect default */
};

struct proxy_conf {
    struct exchange_conf x;
    struct proxy_header_list set_headers; /* proxy_set_header */
    struct proxy_header_plan *plan; /* made of them */
    const struct proxy_set_header *plan_of; /* ... of these */
    struct slice_list hide_headers;
    struct slice_list pass_headers;
    struct proxy_response_plan *response_plan;
    const void *response_plan_of[2];
    struct proxy_redirects redirects;
    struct proxy_cookie_rules cookie_domains;
    struct proxy_cookie_rules cookie_paths;
    struct proxy_cookie_flags_list cookie_flags;
    struct slice_list upgrade_protocols;
    struct template *method;
    struct template *set_body;
    int http_version; /* 10, 11 */
    struct template_list cache_bypass;
    struct template_list no_cache;
    int64_t ignored_num;
};

extern const struct http_module http_proxy_module;

/* May this protocol of an Upgrade be forwarded and tunnelled? */
bool proxy_upgrade_allowed(const struct proxy_conf *plcf, struct slice protocol);
static inline const struct proxy_conf *
proxy_conf_of(const struct http_exchange *u)
{
    return u->proto_conf;
}
static inline const struct proxy_target *
proxy_target_of(const struct http_exchange *u)
{
    return u->target;
}
