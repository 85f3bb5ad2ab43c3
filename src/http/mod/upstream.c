/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upstream{} blocks, and the $upstream_* variables. The groups themselves are in http/proxy/groups.c
 * and upstream/; here is what the configuration says about them, the names that still have to be
 * resolved, and what a request tells about its tries.
 */
#include "base/num.h"
#include "conf/value.h"
#include "http/http.h"
#include "http/mod/mod.h"
#include "http/proxy/groups.h"
#include "http/proxy/exchange.h"
#include "os/offload.h"
#include "os/timer.h"
#include "upstream/balancer.h"
#include "upstream/idle.h"

#include <netdb.h>
#include <stdio.h>

#define IN_UPS CONF_IN(CTX_UPS, CONF_LEVEL_OWN)
/* nginx: eight pages. */
#define ZONE_MIN (8 * 4096)

static struct http_upstream *
current(const struct conf_ctx *cf)
{
    return cf->scope->data;
}

/* --- server ------------------------------------------------------------------------------------ */

/* A parameter of `server`; false: invalid. */
static bool
server_param(struct slice word, struct up_server *s)
{
    struct slice v;

    if (conf_param(word, "weight", &v)) {
        return num_parse(v, &s->weight) && s->weight > 0;
    }
    if (conf_param(word, "max_conns", &v)) {
        return num_parse(v, &s->max_conns);
    }
    if (conf_param(word, "max_fails", &v)) {
        return num_parse(v, &s->max_fails);
    }
    if (conf_param(word, "fail_timeout", &v)) {
        return num_parse_time(v, true, &s->fail_timeout_ms);
    }
    if (slice_eq(word, SLICE("backup"))) {
        s->backup = true;
        return true;
    }
    if (slice_eq(word, SLICE("down"))) {
        s->down = true;
        return true;
    }
    return false;
}

static enum conf_result
add_server(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_upstream *u = current(cf);
    struct up_server s;

    up_server_defaults(&s);
    for (uint32_t i = 2; i < node->n_words; i++) {
        if (!server_param(conf_arg(node, i), &s)) {
            return conf_invalid_param(cf, node, i);
        }
        if (s.backup && u->group.balancer != NULL && u->group.balancer->no_backup) {
            return conf_error_at(cf, &node->words[i],
                                 "balancing method does not support parameter \"backup\"");
        }
    }
    return http_upstream_add_server(cf, u, &node->words[1], conf_arg(node, 1), 80, &s);
}

/* --- the other directives of the block --------------------------------------------------------- */

static enum conf_result
set_keepalive(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct up_group *g = &current(cf)->group;

    if (!num_parse(conf_arg(node, 1), &g->keepalive)) {
        return conf_error_at(cf, &node->words[1], "invalid value \"%.*s\" in \"keepalive\" directive",
                             SLICE_ARG(conf_arg(node, 1)));
    }
    g->keepalive_local = false;
    if (node->n_words == 3) {
        if (!slice_eq(conf_arg(node, 2), SLICE("local"))) {
            return conf_invalid_param(cf, node, 2);
        }
        g->keepalive_local = true;
    }
    return CONF_OK;
}

static enum conf_result
set_keepalive_requests(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    if (!num_parse(conf_arg(node, 1), &current(cf)->group.keepalive_requests)) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"keepalive_requests\" directive invalid number");
    }
    return CONF_OK;
}

static enum conf_result
set_time(struct conf_ctx *cf, const struct conf_node *node, int64_t *ms)
{
    if (!num_parse_time(conf_arg(node, 1), false, ms)) {
        return diag_error(cf->diag, node->words[0].pos, "\"%.*s\" directive invalid value",
                          SLICE_ARG(conf_arg(node, 0)));
    }
    return CONF_OK;
}

static enum conf_result
set_keepalive_time(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    return set_time(cf, node, &current(cf)->group.keepalive_time_ms);
}

static enum conf_result
set_keepalive_timeout(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    return set_time(cf, node, &current(cf)->group.keepalive_timeout_ms);
}

/* Peers' state is always shared here; the zone's name and size are checked and kept. */
static enum conf_result
set_zone(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_upstream *u = current(cf);

    u->zone_name = conf_arg(node, 1);
    if (u->zone_name.n == 0) {
        return conf_error_at(cf, &node->words[1], "invalid zone name \"\"");
    }
    if (node->n_words == 2) {
        return CONF_OK;
    }
    if (!num_parse_size(conf_arg(node, 2), &u->zone_size)) {
        return conf_error_at(cf, &node->words[2], "invalid zone size \"%.*s\"",
                             SLICE_ARG(conf_arg(node, 2)));
    }
    if (u->zone_size < ZONE_MIN) {
        return conf_error_at(cf, &node->words[1], "zone \"%.*s\" is too small",
                             SLICE_ARG(u->zone_name));
    }
    return CONF_OK;
}

/* --- upstream ---------------------------------------------------------------------------------- */

static bool
has_primary(const struct http_upstream *u)
{
    VEC_EACH(const struct up_server, s, &u->servers)
    {
        if (!s->backup) {
            return true;
        }
    }
    return false;
}

static enum conf_result
upstream_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_upstream *u = http_upstream_add(cf, conf_arg(node, 1), node->words[0].pos);

    if (u == NULL) {
        return diag_error(cf->diag, node->words[0].pos, "duplicate upstream \"%.*s\"",
                          SLICE_ARG(conf_arg(node, 1)));
    }
    TRY(conf_bind_now(cf, node, CTX_UPS, u));
    if (u->servers.n == 0) {
        return diag_error(cf->diag, node->end, "no servers are inside upstream");
    }
    if (!has_primary(u)) {
        return diag_error(cf->diag, node->words[0].pos, "no servers in upstream \"%.*s\"",
                          SLICE_ARG(u->group.name));
    }
    up_group_build(&u->group, cf->pool, u->servers.items, u->servers.n);
    return CONF_OK;
}

static const struct conf_directive rows[] = {
    CONF_BLOCK("upstream", CONF_IN(CTX_HTTP, CONF_LEVEL_OWN), ARGS(1, 1), upstream_block),
    CONF_CALL("server", IN_UPS, ARGS_MORE(1), add_server),
    CONF_CALL_ONCE("keepalive", IN_UPS, ARGS(1, 2), set_keepalive),
    CONF_CALL_ONCE("keepalive_requests", IN_UPS, ARGS(1, 1), set_keepalive_requests),
    CONF_CALL_ONCE("keepalive_time", IN_UPS, ARGS(1, 1), set_keepalive_time),
    CONF_CALL_ONCE("keepalive_timeout", IN_UPS, ARGS(1, 1), set_keepalive_timeout),
    CONF_CALL("zone", IN_UPS, ARGS(1, 2), set_zone),
    CONF_END,
};

static enum conf_result
postconf(struct conf_ctx *cf)
{
    return http_upstreams_share(cf, http_main_of(cf));
}

/* --- names that did not resolve yet ------------------------------------------------------------ */

#define RESOLVE_EVERY_MS 5000
#define RESOLVE_MAX_ADDRS 8

/* One name, asked for by this worker until it resolves. Its memory is the worker's: an answer may
 * come after the configuration has gone. */
struct resolving {
    struct offload_job job;
    struct timer timer;
    struct resolving *next;
    struct http_unresolved *un;
    struct cycle *cycle; /* held while an answer is awaited */
    char host[256];
    bool asked;
    bool stopped;
    struct addr addrs[RESOLVE_MAX_ADDRS];
    size_t n_addrs;
};

static struct resolving *resolvings; /* of this worker */

/* In a thread: only touches its own struct. */
static void
resolve_in_thread(struct offload_job *job)
{
    struct resolving *rs = container_of(job, struct resolving, job);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *all = NULL;

    rs->n_addrs = 0;
    if (getaddrinfo(rs->host, NULL, &hints, &all) != 0) {
        return;
    }
    for (struct addrinfo *a = all; a != NULL && rs->n_addrs < RESOLVE_MAX_ADDRS; a = a->ai_next) {
        struct addr *to = &rs->addrs[rs->n_addrs];

        if (a->ai_addrlen > sizeof(to->ss)) {
            continue;
        }
        memset(to, 0, sizeof(*to));
        memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
        rs->n_addrs++;
    }
    freeaddrinfo(all);
}

static void
resolved(struct offload_job *job)
{
    struct resolving *rs = container_of(job, struct resolving, job);
    struct cycle *cycle = rs->cycle;

    rs->asked = false;
    if (rs->stopped) {
        mem_free(rs);
        cycle_release(cycle);
        return;
    }
    if (rs->n_addrs == 0) {
        timer_set(net_worker->loop, &rs->timer, RESOLVE_EVERY_MS);
    } else {
        for (size_t i = 0; i < rs->n_addrs; i++) {
            addr_set_port(&rs->addrs[i], rs->un->port);
        }
        up_group_resolved(&rs->un->upstream->group, rs->un->server, rs->addrs, rs->n_addrs,
                          cycle->pool);
        log_error(&cycle->log, LOG_LVL_NOTICE, 0, "upstream \"%.*s\" resolved",
                  SLICE_ARG(rs->un->server));
    }
    cycle_release(cycle);
}

static void
ask(struct timer *t)
{
    struct resolving *rs = container_of(t, struct resolving, timer);

    cycle_hold(rs->cycle);
    rs->asked = true;
    rs->job.work = resolve_in_thread;
    rs->job.done = resolved;
    if (!offload_submit(&rs->job)) {
        rs->asked = false;
        cycle_release(rs->cycle);
        timer_set(net_worker->loop, t, RESOLVE_EVERY_MS);
    }
}

static void
begin_resolving(struct http_main *hm, struct http_unresolved *un)
{
    struct resolving *rs = mem_zalloc(sizeof(*rs));

    if (un->host.n >= sizeof(rs->host)) {
        mem_free(rs);
        return;
    }
    memcpy(rs->host, un->host.p, un->host.n);
    rs->un = un;
    rs->cycle = hm->cycle;
    rs->timer.deadline = INT64_MAX;
    rs->timer.fire = ask;
    rs->next = resolvings;
    resolvings = rs;
    timer_set(net_worker->loop, &rs->timer, RESOLVE_EVERY_MS);
}

static bool
start_worker(struct http_main *hm, struct loop *loop UNUSED)
{
    const struct http_upstreams *ups = http_upstreams_of(hm);

    for (size_t i = 0; i < ups->all.n; i++) {
        struct http_upstream *u = ups->all.items[i];

        for (size_t k = 0; k < u->unresolved.n; k++) {
            begin_resolving(hm, u->unresolved.items[k]);
        }
    }
    return true;
}

static void
stop_worker(struct http_main *hm)
{
    const struct http_upstreams *ups = http_upstreams_of(hm);

    for (size_t i = 0; i < ups->all.n; i++) {
        up_idle_close_all(&ups->all.items[i]->group);
    }
    while (resolvings != NULL) {
        struct resolving *rs = resolvings;

        resolvings = rs->next;
        timer_remove(net_worker->loop, &rs->timer);
        if (rs->asked) {
            rs->stopped = true;
        } else {
            mem_free(rs);
        }
    }
}

/* --- $upstream_* ------------------------------------------------------------------------------- */

enum state_field {
    FIELD_ADDR,
    FIELD_STATUS,
    FIELD_RESPONSE_TIME,
    FIELD_CONNECT_TIME,
    FIELD_HEADER_TIME,
    FIELD_QUEUE_TIME,
    FIELD_RESPONSE_LENGTH,
    FIELD_BYTES_RECEIVED,
    FIELD_BYTES_SENT,
};

static void
add_time(struct text_builder *b, int64_t ms)
{
    char text[NUM_MAX_LEN + 8];

    if (ms < 0) {
        text_add_char(b, '-');
        return;
    }
    int n = snprintf(text, sizeof(text), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));

    text_add(b, slice_of(text, (size_t)n));
}

static void
add_number(struct text_builder *b, uint64_t v)
{
    char text[NUM_MAX_LEN];

    text_add(b, slice_of(text, (size_t)(num_write_u(text, v) - text)));
}

static void
add_field(struct text_builder *b, const struct http_upstream_state *us, enum state_field field)
{
    switch (field) {
    case FIELD_ADDR:
        text_add(b, us->peer);
        return;
    case FIELD_STATUS:
        if (us->status == 0) {
            text_add_char(b, '-');
        } else {
            add_number(b, (uint64_t)us->status);
        }
        return;
    case FIELD_RESPONSE_TIME:
        add_time(b, us->response_time_ms);
        return;
    case FIELD_CONNECT_TIME:
        add_time(b, us->connect_time_ms);
        return;
    case FIELD_HEADER_TIME:
        add_time(b, us->header_time_ms);
        return;
    case FIELD_QUEUE_TIME:
        add_time(b, us->queue_time_ms);
        return;
    case FIELD_RESPONSE_LENGTH:
        add_number(b, us->response_length);
        return;
    case FIELD_BYTES_RECEIVED:
        add_number(b, us->bytes_received);
        return;
    case FIELD_BYTES_SENT:
        add_number(b, us->bytes_sent);
        return;
    }
}

static void
var_state(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    const struct http_request *r = scope->subject;
    struct text_builder b;

    if (r->upstream_states.n == 0) {
        v->state = VAR_NOT_FOUND;
        return;
    }
    text_init(&b, scope->pool, 32 * r->upstream_states.n);
    for (size_t i = 0; i < r->upstream_states.n; i++) {
        const struct http_upstream_state *us = &r->upstream_states.items[i];

        if (i > 0) {
            text_add(&b, us->new_group ? SLICE(" : ") : SLICE(", "));
        }
        add_field(&b, us, (enum state_field)var->data);
    }
    v->text = text_done(&b);
    v->state = VAR_FOUND;
}

/* "user_agent" against "User-Agent": variables have "_" for "-". */
static bool
name_matches(struct slice header, struct slice var)
{
    if (header.n != var.n) {
        return false;
    }
    for (size_t i = 0; i < var.n; i++) {
        char c = header.p[i] == '-' ? '_' : ascii_lower(header.p[i]);

        if (c != ascii_lower(var.p[i])) {
            return false;
        }
    }
    return true;
}

/* All values of a name in "Name: value" lines, joined as nginx does. */
static bool
join_lines(struct var_scope *scope, struct slice lines, struct slice name, struct slice *out)
{
    struct slice line;
    bool found = false;

    while (slice_split(&lines, '\n', &line)) {
        ssize_t colon = slice_chr(line, ':');

        if (colon < 0 || !name_matches(slice_head(line, (size_t)colon), name)) {
            continue;
        }
        struct slice value = slice_from(line, (size_t)colon + 1);

        if (slice_ends(value, SLICE("\r"))) {
            value.n--;
        }
        value = slice_trim(value);
        struct slice parts[] = { *out, SLICE(", "), value };

        *out = found ? pool_concat(scope->pool, parts, ARRAY_LEN(parts)) : value;
        found = true;
    }
    return found;
}

static struct slice
head_lines(const struct http_request *r)
{
    struct slice head = r->upstream == NULL ? SLICE_NONE : r->upstream->head_text;
    ssize_t nl = slice_chr(head, '\n');

    return nl < 0 ? SLICE_NONE : slice_from(head, (size_t)nl + 1);
}

static void
var_http(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    bool found = join_lines(scope, head_lines(scope->subject), var->rest, &v->text);

    v->state = found ? VAR_FOUND : VAR_NOT_FOUND;
}

static void
var_trailer(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    const struct http_request *r = scope->subject;
    struct slice lines = r->upstream == NULL ? SLICE_NONE : r->upstream->trailer_text;

    v->state = join_lines(scope, lines, var->rest, &v->text) ? VAR_FOUND : VAR_NOT_FOUND;
}

/* Set-Cookie: NAME=value; ... */
static void
var_cookie(struct var_scope *scope, const struct var *var, struct var_value *v)
{
    struct slice lines = head_lines(scope->subject);
    struct slice line;

    v->state = VAR_NOT_FOUND;
    while (slice_split(&lines, '\n', &line)) {
        if (!slice_case_starts(line, SLICE("Set-Cookie:"))) {
            continue;
        }
        struct slice rest = slice_from(line, sizeof("Set-Cookie:") - 1);
        struct slice pair;

        if (!slice_split(&rest, ';', &pair)) {
            continue;
        }
        pair = slice_trim(pair);
        if (slice_ends(pair, SLICE("\r"))) {
            pair.n--;
        }
        ssize_t eq = slice_chr(pair, '=');

        if (eq > 0 && slice_case_eq(slice_head(pair, (size_t)eq), var->rest)) {
            v->text = slice_from(pair, (size_t)eq + 1);
            v->state = VAR_FOUND;
            return;
        }
    }
}

static void
var_cache_status(struct var_scope *scope UNUSED, const struct var *var UNUSED, struct var_value *v)
{
    v->state = VAR_NOT_FOUND; /* without a cache */
}

static const struct var_def vars[] = {
    { "upstream_addr", var_state, NULL, FIELD_ADDR, VAR_NOCACHE },
    { "upstream_status", var_state, NULL, FIELD_STATUS, VAR_NOCACHE },
    { "upstream_response_time", var_state, NULL, FIELD_RESPONSE_TIME, VAR_NOCACHE },
    { "upstream_connect_time", var_state, NULL, FIELD_CONNECT_TIME, VAR_NOCACHE },
    { "upstream_header_time", var_state, NULL, FIELD_HEADER_TIME, VAR_NOCACHE },
    { "upstream_queue_time", var_state, NULL, FIELD_QUEUE_TIME, VAR_NOCACHE },
    { "upstream_response_length", var_state, NULL, FIELD_RESPONSE_LENGTH, VAR_NOCACHE },
    { "upstream_bytes_received", var_state, NULL, FIELD_BYTES_RECEIVED, VAR_NOCACHE },
    { "upstream_bytes_sent", var_state, NULL, FIELD_BYTES_SENT, VAR_NOCACHE },
    { "upstream_cache_status", var_cache_status, NULL, 0, VAR_NOCACHE },
    { "upstream_http_", var_http, NULL, 0, VAR_NOCACHE | VAR_PREFIX },
    { "upstream_trailer_", var_trailer, NULL, 0, VAR_NOCACHE | VAR_PREFIX },
    { "upstream_cookie_", var_cookie, NULL, 0, VAR_NOCACHE | VAR_PREFIX },
    { NULL, NULL, NULL, 0, 0 },
};

const struct http_module http_upstream_module = {
    .conf = { .name = "http_upstream", .directives = rows, .id = CONF_MODULE_ID },
    .vars = vars,
    .postconf = postconf,
    .start_worker = start_worker,
    .stop_worker = stop_worker,
};
