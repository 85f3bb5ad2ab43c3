/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups by name. Blocks are complete before any server{} is read, so that a *_pass directive finds
 * its group at once. Equal addresses share one group and so one failure count.
 */
#include "http/proxy/groups.h"

#include "conf/value.h"

#include <errno.h>
#include <sys/mman.h>

/* Peers set aside for a name that did not resolve yet. */
#define UNRESOLVED_SLOTS 8

struct http_upstreams *
http_upstreams_of(struct http_main *hm)
{
    if (hm->upstreams == NULL) {
        struct http_upstreams *ups = POOL_NEW(hm->pool, struct http_upstreams);

        ups->by_name = hash_new(hm->pool, true);
        hm->upstreams = ups;
    }
    return hm->upstreams;
}

struct http_upstream *
http_upstream_find(const struct http_main *hm, struct slice name)
{
    const struct http_upstreams *ups = hm->upstreams;

    return ups == NULL ? NULL : hash_get(ups->by_name, name);
}

struct http_upstream *
http_upstream_add(struct conf_ctx *cf, struct slice name, struct conf_pos pos)
{
    struct http_upstreams *ups = http_upstreams_of(http_main_of(cf));

    if (hash_get(ups->by_name, name) != NULL) {
        return NULL;
    }
    struct http_upstream *u = POOL_NEW(cf->pool, struct http_upstream);

    u->group.name = name;
    u->pos = pos;
    u->group.keepalive = 32;
    u->group.keepalive_local = true;
    u->group.keepalive_requests = 1000;
    u->group.keepalive_time_ms = 3600 * 1000;
    u->group.keepalive_timeout_ms = 60 * 1000;
    hash_put(ups->by_name, name, u);
    *VEC_PUSH(&ups->all, cf->pool) = u;
    return u;
}

static void
note_unresolved(struct conf_ctx *cf, struct http_upstream *u, const struct conf_word *at,
                struct slice text, const struct addr_spec *spec, const char *error)
{
    struct http_unresolved *un = POOL_NEW(cf->pool, struct http_unresolved);

    *un = (struct http_unresolved){
        .upstream = u,
        .server = text,
        .host = slice_of(pool_str(cf->pool, spec->host), spec->host.n),
        .port = spec->port,
    };
    *VEC_PUSH(&u->unresolved, cf->pool) = un;
    diag_warn(cf->diag, at->pos, "%s in upstream \"%.*s\"", error, SLICE_ARG(text));
}

static enum conf_result
add_spec(struct conf_ctx *cf, struct http_upstream *u, const struct conf_word *at,
         struct slice text, const struct addr_spec *spec, const struct up_server *settings)
{
    const char *error = NULL;
    struct up_server *s = VEC_PUSH(&u->servers, cf->pool);

    *s = *settings;
    s->name = text;
    s->addrs = addr_resolve(cf->pool, spec, false, &s->n_addrs, &error);
    if (s->addrs == NULL || s->n_addrs == 0) {
        s->addrs = NULL;
        s->n_addrs = 0;
        s->slots = UNRESOLVED_SLOTS;
        note_unresolved(cf, u, at, text, spec, error != NULL ? error : "host not found");
    }
    return CONF_OK;
}

enum conf_result
http_upstream_add_server(struct conf_ctx *cf, struct http_upstream *u, const struct conf_word *at,
                         struct slice text, uint16_t default_port,
                         const struct up_server *settings)
{
    struct addr_spec spec;
    const char *error = "invalid host";

    if (!addr_spec_parse(text, default_port, false, &spec, &error)) {
        return conf_error_at(cf, at, "%s in upstream \"%.*s\"", error, SLICE_ARG(text));
    }
    return add_spec(cf, u, at, text, &spec, settings);
}

/* "host:port" with the default port made explicit: the key of an implicit group. */
static struct slice
spec_key(struct pool *pool, const struct addr_spec *spec)
{
    if (spec->is_unix) {
        return pool_printf(pool, "unix:%.*s", SLICE_ARG(spec->host));
    }
    if (slice_chr(spec->host, ':') >= 0) {
        return pool_printf(pool, "[%.*s]:%u", SLICE_ARG(spec->host), (unsigned)spec->port);
    }
    return pool_printf(pool, "%.*s:%u", SLICE_ARG(spec->host), (unsigned)spec->port);
}

/* The part of a URL before its "/" or "?": what $proxy_host shows. */
static struct slice
authority(struct slice url, const struct addr_spec *spec)
{
    return slice_head(url, url.n - spec->rest.n);
}

static struct http_upstream *
implicit_group(struct conf_ctx *cf, const struct conf_word *at, struct slice url,
               const struct addr_spec *spec)
{
    struct slice key = spec_key(cf->pool, spec);
    struct http_upstream *u = http_upstream_find(http_main_of(cf), key);

    if (u != NULL) {
        return u;
    }
    struct up_server settings;

    up_server_defaults(&settings);
    u = http_upstream_add(cf, key, at->pos);
    u->implicit = true;
    u->port = spec->port;
    u->group.keepalive = 0;
    if (add_spec(cf, u, at, authority(url, spec), spec, &settings) == CONF_ERROR) {
        return NULL;
    }
    up_group_build(&u->group, cf->pool, u->servers.items, u->servers.n);
    u->group.name = authority(url, spec);
    return u;
}

struct http_upstream *
http_upstream_for(struct conf_ctx *cf, const struct conf_word *at, struct slice url,
                  uint16_t default_port, struct addr_spec *spec)
{
    const char *error = "invalid host";
    struct http_upstream *u;

    if (!addr_spec_parse(url, default_port, true, spec, &error)) {
        conf_error_at(cf, at, "%s in upstream \"%.*s\"", error, SLICE_ARG(url));
        return NULL;
    }
    u = spec->is_unix ? NULL : http_upstream_find(http_main_of(cf), spec->host);
    if (u == NULL) {
        u = http_upstream_find(http_main_of(cf), authority(url, spec));
        return u != NULL && !u->implicit ? u : implicit_group(cf, at, url, spec);
    }
    if (spec->has_port) {
        conf_error_at(cf, at, "upstream \"%.*s\" may not have port %u", SLICE_ARG(spec->host),
                      (unsigned)spec->port);
        return NULL;
    }
    return u;
}

/* --- shared state ------------------------------------------------------------------------------ */

struct shared_memory {
    void *p;
    size_t n;
};

static void
unmap(void *arg)
{
    struct shared_memory *m = arg;

    munmap(m->p, m->n);
}

/* One piece of memory for all groups, made before the workers are. */
enum conf_result
http_upstreams_share(struct conf_ctx *cf, struct http_main *hm)
{
    struct http_upstreams *ups = http_upstreams_of(hm);
    struct shared_memory *m = POOL_NEW(cf->pool, struct shared_memory);

    for (size_t i = 0; i < ups->all.n; i++) {
        m->n += up_group_shared_size(&ups->all.items[i]->group);
    }
    if (m->n == 0) {
        return CONF_OK;
    }
    m->p = mmap(NULL, m->n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m->p == MAP_FAILED) {
        return diag_error_global(cf->diag, LOG_LVL_EMERG, errno, "mmap() of %zu bytes failed",
                                 m->n);
    }
    pool_on_free(cf->pool, unmap, m);
    char *at = m->p;

    for (size_t i = 0; i < ups->all.n; i++) {
        struct up_group *g = &ups->all.items[i]->group;

        up_group_attach(g, at);
        at += up_group_shared_size(g);
    }
    return CONF_OK;
}

/* --- at run time ------------------------------------------------------------------------------- */

/* A group of its own for one request: one peer, no memory of failures. */
static struct up_group *
group_of_addrs(struct http_request *r, struct slice name, struct addr *addrs, size_t n)
{
    struct up_group *g = POOL_NEW(r->pool, struct up_group);
    struct up_server s;

    up_server_defaults(&s);
    s.name = name;
    s.addrs = addrs;
    s.n_addrs = n;
    g->name = name;
    up_group_build(g, r->pool, &s, 1);
    up_group_attach(g, pool_zalloc(r->pool, up_group_shared_size(g)));
    return g;
}

struct up_group *
http_upstream_at_run_time(struct http_request *r, const struct addr_spec *spec)
{
    const struct http_main *hm = r->server->main;
    struct http_upstream *u = NULL;
    struct addr addr;

    if (!spec->is_unix && !spec->has_port) {
        u = http_upstream_find(hm, spec->host);
    }
    if (u == NULL) {
        u = http_upstream_find(hm, spec_key(r->pool, spec));
    }
    if (u != NULL) {
        return &u->group;
    }
    if (spec->is_unix) {
        if (spec->host.n >= sizeof(addr.un.sun_path)) {
            return NULL;
        }
        addr = (struct addr){ .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                                 spec->host.n + 1) };
        addr.un.sun_family = AF_UNIX;
        memcpy(addr.un.sun_path, spec->host.p, spec->host.n);
    } else {
        if (!addr_parse_ip(spec->host, &addr)) {
            return NULL;
        }
        addr_set_port(&addr, spec->port);
    }
    return group_of_addrs(r, spec_key(r->pool, spec), &addr, 1);
}
