/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `listen` and `server_name`: collects addresses while servers are read, and makes of them, at the
 * end of http{}, the tables that choose a server and the listeners of the cycle. A specific address
 * on the port of a wildcard one gets no socket of its own (unless socket options ask for it): the
 * wildcard's connections look at their local address, as in nginx.
 */
#include "http/blocks.h"

#include "base/num.h"
#include "conf/value.h"
#include "expr/regex.h"
#include "http/core.h"

#include <unistd.h>

static const struct conf_word *
word(const struct conf_node *node, uint32_t i)
{
    return &node->words[i];
}

/* --- parameters ------------------------------------------------------------------------------ */

struct listen_params {
    struct listen_opts opts;
    bool opts_given;
    bool default_server;
    bool ssl;
    bool http2;
    bool proxy_protocol;
};

static bool
parse_keepalive_part(struct slice *rest, bool last, int *out)
{
    struct slice part;
    int64_t ms;

    if (rest->p == NULL || !slice_split(rest, ':', &part)) {
        *out = 0;
        return last || true;
    }
    *out = 0;
    if (part.n == 0) {
        return true;
    }
    if (last) {
        int64_t n;
        bool good = num_parse(part, &n) && n > 0 && n <= 32767;

        *out = good ? (int)n : 0;
        return good;
    }
    bool good = num_parse_time(part, true, &ms) && ms > 0;

    *out = good ? (int)(ms / 1000) : 0;
    return good;
}

/* on | off | [idle]:[intvl]:[cnt] */
static bool
parse_so_keepalive(struct slice v, struct listen_opts *o)
{
    if (slice_eq(v, SLICE("on"))) {
        o->so_keepalive = 1;
        return true;
    }
    if (slice_eq(v, SLICE("off"))) {
        o->so_keepalive = 0;
        return true;
    }
    if (slice_chr(v, ':') < 0) {
        return false;
    }
    struct slice rest = v;

    o->so_keepalive = 1;
    return parse_keepalive_part(&rest, false, &o->keepidle) &&
           parse_keepalive_part(&rest, false, &o->keepintvl) &&
           parse_keepalive_part(&rest, true, &o->keepcnt) &&
           (o->keepidle != 0 || o->keepintvl != 0 || o->keepcnt != 0);
}

static bool
positive_int(struct slice v, int *out)
{
    int64_t n;

    if (!num_parse(v, &n) || n <= 0 || n > INT32_MAX) {
        return false;
    }
    *out = (int)n;
    return true;
}

/* Parameters that are one word. false: not one of them. */
static bool
flag_param(struct slice w, struct listen_params *p)
{
    static const struct {
        const char *name;
        size_t offset;
        bool is_option;
    } flags[] = {
        { "default_server", offsetof(struct listen_params, default_server), false },
        { "default", offsetof(struct listen_params, default_server), false },
        { "bind", offsetof(struct listen_params, opts.bind), true },
        { "deferred", offsetof(struct listen_params, opts.deferred), true },
        { "reuseport", offsetof(struct listen_params, opts.reuseport), true },
        { "multipath", offsetof(struct listen_params, opts.multipath), true },
        { "ssl", offsetof(struct listen_params, ssl), false },
        { "http2", offsetof(struct listen_params, http2), false },
        { "proxy_protocol", offsetof(struct listen_params, proxy_protocol), false },
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (slice_eq(w, slice_str(flags[i].name))) {
            *(bool *)((char *)p + flags[i].offset) = true;
            p->opts_given |= flags[i].is_option;
            return true;
        }
    }
    return false;
}

static enum conf_result
sized_param(struct conf_ctx *cf, const struct conf_word *w, const char *name, struct slice v,
            int64_t *out)
{
    if (!num_parse_size(v, out) || *out <= 0) {
        return conf_error_at(cf, w, "invalid %s \"%.*s\"", name, SLICE_ARG(w->text));
    }
    return CONF_OK;
}

static enum conf_result
value_param(struct conf_ctx *cf, const struct conf_node *node, uint32_t i, struct listen_params *p)
{
    const struct conf_word *w = word(node, i);
    struct listen_opts *o = &p->opts;
    struct slice v;

    p->opts_given = true;
    if (conf_param(w->text, "backlog", &v)) {
        return positive_int(v, &o->backlog)
                   ? CONF_OK
                   : conf_error_at(cf, w, "invalid backlog \"%.*s\"", SLICE_ARG(w->text));
    }
    if (conf_param(w->text, "fastopen", &v)) {
        return positive_int(v, &o->fastopen)
                   ? CONF_OK
                   : conf_error_at(cf, w, "invalid fastopen \"%.*s\"", SLICE_ARG(w->text));
    }
    if (conf_param(w->text, "rcvbuf", &v)) {
        return sized_param(cf, w, "rcvbuf", v, &o->rcvbuf);
    }
    if (conf_param(w->text, "sndbuf", &v)) {
        return sized_param(cf, w, "sndbuf", v, &o->sndbuf);
    }
    if (conf_param(w->text, "ipv6only", &v)) {
        bool on = slice_eq(v, SLICE("on"));

        if (!on && !slice_eq(v, SLICE("off"))) {
            return conf_error_at(cf, w, "invalid ipv6only flags \"%.*s\"", SLICE_ARG(v));
        }
        o->ipv6only = on;
        return CONF_OK;
    }
    if (conf_param(w->text, "so_keepalive", &v)) {
        return parse_so_keepalive(v, o)
                   ? CONF_OK
                   : conf_error_at(cf, w, "invalid so_keepalive value: \"%.*s\"", SLICE_ARG(v));
    }
    if (conf_param(w->text, "accept_filter", &v)) {
        diag_warn(cf->diag, w->pos,
                  "accept filters \"%.*s\" are not supported on this platform, ignored",
                  SLICE_ARG(w->text));
        return CONF_OK;
    }
    return conf_invalid_param(cf, node, i);
}

static enum conf_result
parse_params(struct conf_ctx *cf, const struct conf_node *node, struct listen_params *p)
{
    for (uint32_t i = 2; i < node->n_words; i++) {
        struct slice w = word(node, i)->text;

        if (slice_eq(w, SLICE("quic"))) {
            return conf_error_at(cf, word(node, i),
                                 "the \"quic\" parameter requires ngx_http_v3_module");
        }
        if (slice_eq(w, SLICE("ssl"))) {
            return conf_error_at(cf, word(node, i),
                                 "the \"ssl\" parameter requires ngx_http_ssl_module");
        }
        if (slice_eq(w, SLICE("http2"))) {
            diag_warn(cf->diag, word(node, i)->pos,
                      "the \"listen ... http2\" directive is deprecated, use the \"http2\" "
                      "directive instead");
        }
        if (!flag_param(w, p)) {
            TRY(value_param(cf, node, i, p));
        }
    }
    return CONF_OK;
}

/* --- addresses ------------------------------------------------------------------------------- */

static struct http_addr *
find_addr(struct http_main *hm, const struct addr *a)
{
    for (struct http_addr *ha = hm->addrs; ha != NULL; ha = ha->next) {
        if (addr_eq(&ha->addr, a, true)) {
            return ha;
        }
    }
    return NULL;
}

static struct http_addr *
new_addr(struct http_main *hm, const struct addr *a, bool wildcard)
{
    struct http_addr *ha = POOL_NEW(hm->pool, struct http_addr);
    struct http_addr **at = &hm->addrs;

    ha->addr = *a;
    ha->wildcard = wildcard;
    ha->text = addr_text(hm->pool, a, true);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = ha;
    return ha;
}

static enum conf_result
add_listen(struct conf_ctx *cf, const struct conf_node *node, struct server_collect *sc,
           const struct addr *a, bool wildcard, const struct listen_params *p)
{
    struct http_main *hm = http_main_of(cf);
    struct http_server *server = http_current_server(cf);
    struct http_addr *ha = find_addr(hm, a);

    if (ha == NULL) {
        ha = new_addr(hm, a, wildcard);
        ha->opts = p->opts;
        ha->opts_given = p->opts_given;
    } else if (p->opts_given) {
        if (ha->opts_given) {
            return diag_error(cf->diag, node->words[0].pos, "duplicate listen options for %.*s",
                              SLICE_ARG(ha->text));
        }
        ha->opts = p->opts;
        ha->opts_given = true;
    }
    VEC_EACH (struct http_listen, l, &sc->listens) {
        if (l->addr == ha) {
            return diag_error(cf->diag, node->words[0].pos, "a duplicate listen %.*s",
                              SLICE_ARG(ha->text));
        }
    }
    if (p->default_server) {
        if (ha->explicit_default) {
            return diag_error(cf->diag, node->words[0].pos,
                              "a duplicate default server for %.*s", SLICE_ARG(ha->text));
        }
        ha->explicit_default = true;
        ha->default_server = server;
    } else if (ha->default_server == NULL) {
        ha->default_server = server;
    }
    ha->ssl |= p->ssl;
    ha->http2 |= p->http2;
    ha->proxy_protocol |= p->proxy_protocol;
    *VEC_PUSH(&ha->servers, hm->pool) = server;
    *VEC_PUSH(&sc->listens, cf->pool) =
        (struct http_listen){ .addr = ha, .pos = node->words[0].pos };
    return CONF_OK;
}

/* "8000-8010": *last is 0 without a range. */
static bool
split_port_range(struct slice text, struct slice *first, int64_t *last)
{
    ssize_t colon = slice_rchr(text, ':');
    struct slice port = colon < 0 ? text : slice_from(text, (size_t)colon + 1);
    ssize_t dash = slice_chr(port, '-');

    *first = text;
    *last = 0;
    if (dash <= 0 || slice_starts(text, SLICE("unix:")) || !ascii_is_digit(port.p[0])) {
        return true;
    }
    int64_t lo;

    if (!num_parse(slice_head(port, (size_t)dash), &lo) ||
        !num_parse(slice_from(port, (size_t)dash + 1), last)) {
        *last = 0;
        return true; /* a host name with a dash */
    }
    *first = slice_of(text.p, (size_t)(port.p - text.p) + (size_t)dash);
    return lo >= 1 && *last <= 65535 && lo <= *last;
}

enum conf_result
http_listen_directive(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct server_collect *sc = conf;
    struct slice text = conf_arg(node, 1);
    struct listen_params p = { .opts = { .backlog = -1, .fastopen = -1, .setfib = -1,
                                         .ipv6only = -1, .so_keepalive = -1,
                                         .rcvbuf = -1, .sndbuf = -1 } };
    struct addr_spec spec;
    struct slice first;
    int64_t last;
    const char *error = NULL;
    size_t n = 0;

    if (!split_port_range(text, &first, &last)) {
        return conf_error_at(cf, word(node, 1),
                             "invalid port range in \"%.*s\" of the \"listen\" directive",
                             SLICE_ARG(text));
    }
    struct addr *addrs = NULL;

    if (addr_spec_parse(first, 80, false, &spec, &error)) {
        addrs = addr_resolve(cf->pool, &spec, true, &n, &error);
    }
    if (addrs == NULL) {
        return conf_error_at(cf, word(node, 1), "%s in \"%.*s\" of the \"listen\" directive",
                             error, SLICE_ARG(text));
    }
    TRY(parse_params(cf, node, &p));
    for (size_t i = 0; i < n; i++) {
        uint16_t lo = addr_port(&addrs[i]);
        uint32_t hi = last > 0 && !spec.is_unix ? (uint32_t)last : lo;

        for (uint32_t port = lo; port <= hi; port++) {
            struct addr a = addrs[i];

            if (!spec.is_unix) {
                addr_set_port(&a, (uint16_t)port);
            }
            TRY(add_listen(cf, node, sc, &a, spec.wildcard, &p));
        }
    }
    return CONF_OK;
}

/* --- names ------------------------------------------------------------------------------------ */

/* A "*" only as a first or last label. */
static bool
name_is_valid(struct slice name)
{
    ssize_t star = slice_chr(name, '*');

    if (slice_eq(name, SLICE(".")) || slice_eq(name, SLICE("*.")) || slice_eq(name, SLICE("*"))) {
        return false;
    }
    if (star == 0) {
        return name.n > 2 && name.p[1] == '.';
    }
    return true;
}

static enum conf_result
add_name(struct conf_ctx *cf, const struct conf_word *w, struct server_collect *sc)
{
    struct http_main *hm = http_main_of(cf);
    struct server_name sn = { .server = http_current_server(cf) };

    if (slice_starts(w->text, SLICE("~"))) {
        struct slice pattern = slice_from(w->text, 1);

        if (pattern.n == 0) {
            return conf_error_at(cf, w, "empty regex in server name \"%.*s\"",
                                 SLICE_ARG(w->text));
        }
        sn.name = w->text;
        sn.regex = regex_from_word(cf, hm->vars, w, pattern, true);
        if (sn.regex == NULL) {
            return CONF_ERROR;
        }
    } else {
        if (!name_is_valid(w->text)) {
            return conf_error_at(cf, w, "server name \"%.*s\" is invalid", SLICE_ARG(w->text));
        }
        if (slice_chr(w->text, '/') >= 0) {
            diag_warn(cf->diag, w->pos, "server name \"%.*s\" has suspicious symbols",
                      SLICE_ARG(w->text));
        }
        sn.name = pool_lower(cf->pool, w->text);
        if (slice_eq(sn.name, SLICE("$hostname"))) {
            char host[256] = "";

            if (gethostname(host, sizeof(host) - 1) == 0) {
                sn.name = pool_lower(cf->pool, slice_str(host));
            }
        }
    }
    *VEC_PUSH(&sc->names, cf->pool) = sn;
    return CONF_OK;
}

enum conf_result
http_server_name_directive(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct server_collect *sc = conf;
    struct http_server *server = http_current_server(cf);

    for (uint32_t i = 1; i < node->n_words; i++) {
        TRY(add_name(cf, word(node, i), sc));
    }
    if (server->name.p == NULL) {
        struct slice first = sc->names.items[0].name;
        bool dot = slice_starts(first, SLICE("."));

        server->name = dot ? slice_from(first, 1) : first;
        server->name = slice_starts(first, SLICE(".")) ? first : server->name;
    }
    return CONF_OK;
}

/* --- the end of http{} ------------------------------------------------------------------------ */

static struct server_collect *
collected(const struct http_server *server)
{
    return server->scope->structs[http_core_module.conf.id->slot[CONF_LEVEL_OWN]];
}

/* A server without `listen` is on *:80, or *:8000 for a normal user. */
static enum conf_result
default_listen(struct conf_ctx *cf, struct http_main *hm, struct http_server *server)
{
    struct addr a = { .in4 = { .sin_family = AF_INET }, .len = sizeof(struct sockaddr_in) };

    addr_set_port(&a, geteuid() == 0 ? 80 : 8000);
    struct http_addr *ha = find_addr(hm, &a);

    if (ha == NULL) {
        ha = new_addr(hm, &a, true);
        ha->opts = (struct listen_opts){ .backlog = -1, .fastopen = -1, .setfib = -1,
                                         .ipv6only = -1, .so_keepalive = -1,
                                         .rcvbuf = -1, .sndbuf = -1 };
    }
    if (ha->default_server == NULL) {
        ha->default_server = server;
    }
    *VEC_PUSH(&ha->servers, cf->pool) = server;
    return CONF_OK;
}

static void
add_name_to(struct conf_ctx *cf, struct http_addr *ha, const struct server_name *sn)
{
    if (!server_names_add(ha->names, cf->pool, sn)) {
        diag_error_global(cf->diag, LOG_LVL_WARN, 0,
                          "conflicting server name \"%.*s\" on %.*s, ignored", SLICE_ARG(sn->name),
                          SLICE_ARG(ha->text));
    }
}

static void
build_names(struct conf_ctx *cf, struct http_addr *ha)
{
    bool needed = ha->servers.n > 1;

    VEC_EACH (struct http_server *, s, &ha->servers) {
        struct server_collect *sc = collected(*s);

        for (size_t i = 0; sc != NULL && i < sc->names.n; i++) {
            needed |= sc->names.items[i].regex != NULL;
        }
    }
    if (!needed) {
        return;
    }
    ha->names = server_names_new(cf->pool);
    VEC_EACH (struct http_server *, s, &ha->servers) {
        struct server_collect *sc = collected(*s);

        if (sc == NULL || sc->names.n == 0) {
            struct server_name none = { .name = SLICE(""), .server = *s };

            add_name_to(cf, ha, &none);
            continue;
        }
        VEC_EACH (struct server_name, sn, &sc->names) {
            add_name_to(cf, ha, sn);
        }
    }
}

static struct http_addr *
wildcard_of(struct http_main *hm, const struct http_addr *ha)
{
    for (struct http_addr *w = hm->addrs; w != NULL; w = w->next) {
        if (w->wildcard && w != ha && w->addr.sa.sa_family == ha->addr.sa.sa_family &&
            addr_port(&w->addr) == addr_port(&ha->addr)) {
            return w;
        }
    }
    return NULL;
}

static void
add_listener(struct cycle *cycle, struct http_main *hm, struct http_addr *ha)
{
    struct listener *l = cycle_add_listener(cycle, &ha->addr);
    struct http_port *port = POOL_NEW(hm->pool, struct http_port);

    port->addr = ha;
    l->opts = ha->opts;
    l->data = port;
    l->on_accept = h1_accept;
    l->log = &((const struct http_core_loc *)ha->default_server->loc->scope
                   ->structs[http_core_module.conf.id->slot[CONF_LEVEL_LOC]])
                  ->log;
    ha->listener = l;
}

enum conf_result
http_listen_finish(struct conf_ctx *cf, struct http_main *hm)
{
    VEC_EACH (struct http_server *, s, &hm->servers) {
        const struct server_collect *sc = collected(*s);

        if (sc == NULL || sc->listens.n == 0) {
            TRY(default_listen(cf, hm, *s));
        }
        if ((*s)->name.p == NULL) {
            (*s)->name = SLICE("");
        }
    }
    for (struct http_addr *ha = hm->addrs; ha != NULL; ha = ha->next) {
        build_names(cf, ha);
        bool shared = !ha->wildcard && ha->addr.sa.sa_family != AF_UNIX && !ha->opts_given &&
                      wildcard_of(hm, ha) != NULL;

        if (!shared) {
            add_listener(hm->cycle, hm, ha);
        }
    }
    for (struct http_addr *ha = hm->addrs; ha != NULL; ha = ha->next) {
        if (ha->listener == NULL) {
            struct http_port *port = wildcard_of(hm, ha)->listener->data;

            *VEC_PUSH(&port->specific, hm->pool) = ha;
        }
    }
    return CONF_OK;
}
