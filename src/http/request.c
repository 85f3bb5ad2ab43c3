/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests: made by a transport, run through the phases, finalized once, freed when the response has
 * left and no subrequest lives any more. After a call that may finalize, the caller must not touch
 * the request: http_run(), http_resume() and http_finalize() may have freed it.
 */
#include "http/body.h"
#include "http/core.h"
#include "http/error_page.h"
#include "http/server.h"
#include "http/transport.h"

#include "base/time.h"
#include "os/timer.h"

#define URI_CHANGES_MAX 11
#define SUBREQUESTS_MAX 51

/* --- log context --------------------------------------------------------------------------------------- */

static void
print_context(const struct log_ctx *ctx, struct log_text *t)
{
    const struct http_request *r = container_of(ctx, struct http_request, log_ctx);
    char addr[ADDR_TEXT_MAX];
    struct slice v;

    log_text_printf(t, ", client: %.*s", (int)addr_print(&r->c->peer, false, addr), addr);
    log_text_printf(t, ", server: %.*s", SLICE_ARG(r->server->name));
    if (r->main->request_line.n > 0) {
        log_text_printf(t, ", request: \"%.*s\"", SLICE_ARG(r->main->request_line));
    }
    if (r != r->main) {
        log_text_printf(t, ", subrequest: \"%.*s\"", SLICE_ARG(r->uri));
    }
    if (r->log_upstream.n > 0) {
        log_text_printf(t, ", upstream: \"%.*s\"", SLICE_ARG(r->log_upstream));
    }
    v = http_header_value(&r->in.all, HTTP_H_HOST);
    if (v.n > 0) {
        log_text_printf(t, ", host: \"%.*s\"", SLICE_ARG(v));
    }
    v = http_header_value(&r->in.all, HTTP_H_REFERER);
    if (v.n > 0) {
        log_text_printf(t, ", referrer: \"%.*s\"", SLICE_ARG(v));
    }
}

/* --- making -------------------------------------------------------------------------------------------- */

static void
init_common(struct http_request *r)
{
    r->magic = MAGIC_REQUEST;
    r->uri_changes = URI_CHANGES_MAX;
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->ctx = pool_zalloc(r->pool, r->server->main->n_modules * sizeof(void *));
    chain_init(&r->out_pending);
    chain_init(&r->sub_body);
    r->timer.deadline = INT64_MAX;
    r->log_ctx.print = print_context;
    r->log_ctx.conn_id = r->c->number;
}

static void
use_log(struct http_request *r)
{
    r->log = http_core_loc(r)->log;
    r->log.ctx = &r->log_ctx;
}

static void
use_server(struct http_request *r, struct http_server *server)
{
    r->server = server;
    r->loc = server->loc;
    r->structs = server->scope->structs;
    use_log(r);
}

struct http_request *
http_request_new(struct conn *c, const struct http_transport *t, void *stream,
                 struct http_server *server)
{
    struct pool *pool = pool_new(0);
    struct http_request *r = POOL_NEW(pool, struct http_request);

    r->pool = pool;
    r->c = c;
    r->cycle = c->cycle;
    r->transport = t;
    r->stream = stream;
    r->main = r;
    r->refs = 1;
    r->subrequests = SUBREQUESTS_MAX;
    r->server = server;
    init_common(r);
    use_server(r, server);
    r->schema = c->tls ? SLICE("https") : SLICE("http");
    r->in.content_length = -1;
    r->keepalive = true;
    r->start_ms = clock_ms();
    r->start_wall_ms = clock_wall_ms();
    r->log_ctx.action = "reading client request line";
    struct var_table *vars = server->main->vars;

    r->vars = (struct var_scope){ .table = vars,
                                  .pool = pool,
                                  .subject = r,
                                  .values = pool_zalloc(pool, var_table_count(vars) *
                                                                  sizeof(struct var_value)) };
    return r;
}

/* RFC 9112 section 3.2 by way of nginx: no empty label, no bytes that could mean something else. */
static bool
host_is_valid(struct slice host, struct slice *name)
{
    bool ip6 = host.n > 0 && host.p[0] == '[';
    ssize_t close = ip6 ? slice_chr(host, ']') : -1;
    struct slice rest;

    if (ip6) {
        if (close < 0) {
            return false;
        }
        *name = slice_head(host, (size_t)close + 1);
        rest = slice_from(host, (size_t)close + 1);
    } else {
        ssize_t colon = slice_chr(host, ':');

        *name = colon < 0 ? host : slice_head(host, (size_t)colon);
        rest = colon < 0 ? slice_from(host, host.n) : slice_from(host, (size_t)colon);
    }
    if (rest.n > 0 && rest.p[0] != ':') {
        return false;
    }
    unsigned port = 0;

    for (size_t i = 1; i < rest.n; i++) {
        port = port * 10 + (unsigned)(rest.p[i] - '0');
        if (!ascii_is_digit(rest.p[i]) || port > 65535) {
            return false;
        }
    }
    char prev = 0;

    for (size_t i = 0; i < name->n; i++) {
        unsigned char c = (unsigned char)name->p[i];

        if (c <= 0x20 || c >= 0x7f || strchr("/\\@?#\"<>^`{|}", c) != NULL ||
            (c == '.' && prev == '.')) {
            return false;
        }
        prev = (char)c;
    }
    if (!ip6 && name->n > 0 && name->p[name->n - 1] == '.') {
        name->n--;
    }
    return name->n > 0;
}

bool
http_request_set_host(struct http_request *r, struct slice host)
{
    struct slice name;
    const struct http_addr *addr = r->transport->addr(r);

    if (!host_is_valid(host, &name)) {
        return false;
    }
    r->in.host = pool_lower(r->pool, name);
    if (addr->names != NULL) {
        struct http_server *server = server_names_find(addr->names, r->in.host, &r->vars);

        if (server != NULL) {
            use_server(r, server);
        }
    }
    return true;
}

/* --- the head is complete --------------------------------------------------------------------------------- */

void
http_request_bad(struct http_request *r, int status, const char *why)
{
    log_error(&r->log, LOG_LVL_INFO, 0, "%s", why);
    r->keepalive = false;
    http_finalize(r, status);
}

static const struct http_addr *
addr_of(const struct http_request *r)
{
    return r->transport->addr(r);
}

void
http_request_start(struct http_request *r)
{
    const struct http_addr *addr = addr_of(r);

    r->log_ctx.action = NULL;
    if (r->in.host.n == 0 && addr->names != NULL) { /* HTTP/1.0 without Host: server_name "" */
        struct http_server *server = server_names_find(addr->names, SLICE(""), &r->vars);

        if (server != NULL) {
            use_server(r, server);
        }
    }
    r->valid_unparsed_uri = true;
    r->phase = HTTP_POST_READ_PHASE;
    r->handler_at = 0;
    http_run(r);
}

/* --- the end ------------------------------------------------------------------------------------------------ */

void
http_request_log(struct http_request *r)
{
    const struct http_main *hm = r->server->main;

    if (r->logged) {
        return;
    }
    r->logged = true;
    for (size_t i = 0; i < hm->phases[HTTP_LOG_PHASE].n; i++) {
        (void)hm->phases[HTTP_LOG_PHASE].items[i].handler(r);
    }
}

void
http_request_free(struct http_request *r)
{
    timer_remove(net_worker->loop, &r->timer);
    chain_drop(&r->out_pending);
    r->magic = MAGIC_DEAD;
    pool_free(r->pool);
}

/* The main request is over for the client; subrequests in the background may still be at work. */
static void
finish_main(struct http_request *r)
{
    if (r->sent_all && r->refs == 1) {
        r->transport->request_done(r);
    }
}

static void
finish_sub(struct http_request *sub)
{
    struct http_request *main_r = sub->main;

    sub->finalized = true;
    timer_remove(net_worker->loop, &sub->timer);
    main_r->refs--;
    if (http_core_loc(sub)->log_subrequest) {
        http_request_log(sub);
    }
    if (sub->on_sub_done != NULL && !main_r->aborted) {
        sub->on_sub_done(sub);
        return; /* which may have ended everything */
    }
    finish_main(main_r);
}

/* Everything was handed over; is it all out? */
static void
finish_if_sent(struct http_request *r)
{
    r->finalized = true;
    if (r->out_last && chain_empty(&r->out_pending)) {
        r->sent_all = true;
        finish_main(r);
    }
}

void
http_request_writable(struct http_request *r)
{
    if (r->finalized) {
        finish_if_sent(r);
    } else if (r->on_writable != NULL) {
        r->on_writable(r);
    }
}

void
http_client_gone(struct http_request *r)
{
    r->aborted = true;
    if (r->finalized) {
        r->transport->abort(r);
        return;
    }
    if (r->on_abort != NULL) {
        r->on_abort(r);
        return;
    }
    http_finalize(r, 499);
}

static void
abort_request(struct http_request *r, int status)
{
    r->finalized = true;
    r->keepalive = false;
    if (!r->header_sent) {
        r->out.status = status;
    }
    r->transport->abort(r);
}

void
http_finalize(struct http_request *r, int status)
{
    CHECK_MAGIC(r, MAGIC_REQUEST);
    if (r->finalized) {
        return;
    }
    timer_cancel(&r->timer);
    if (r->replace_status != 0 && status != 499) {
        status = r->replace_status;
        r->replace_status = 0;
        r->filters = NULL;
    }
    if (r != r->main) {
        if (status != 0 && !r->header_sent) {
            r->out.status = status;
        }
        finish_sub(r);
        return;
    }
    if (status == 0) {
        finish_if_sent(r);
        return;
    }
    if (status == 444 || status == 499 || r->aborted) {
        abort_request(r, status);
        return;
    }
    if (r->header_sent) { /* too late for a page: the client must see that this is not all */
        abort_request(r, status);
        return;
    }
    http_error_response(r, status);
}

/* --- redirects and subrequests -------------------------------------------------------------------------------- */

static void
forget_location(struct http_request *r)
{
    r->structs = r->server->scope->structs;
    r->loc = r->server->loc;
    memset(r->ctx, 0, r->server->main->n_modules * sizeof(void *));
    r->content_handler = NULL;
    r->skip_rewrite = false;
    r->handler_at = 0;
    r->internal = true;
    var_forget_uncached(&r->vars);
}

static bool
one_change_less(struct http_request *r)
{
    if (r->uri_changes > 0) {
        r->uri_changes--;
    }
    if (r->uri_changes == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0,
                  "rewrite or internal redirection cycle while internally redirecting to \"%.*s\"",
                  SLICE_ARG(r->uri));
        return false;
    }
    return true;
}

struct http_verdict
http_internal_redirect(struct http_request *r, struct slice uri, struct slice args)
{
    r->uri = uri;
    r->args = args;
    r->has_args = args.n > 0;
    r->exten = uri_extension(uri);
    r->valid_unparsed_uri = false;
    r->uri_changed = false;
    if (!one_change_less(r)) {
        return http_finish(500);
    }
    forget_location(r);
    r->phase = HTTP_SERVER_REWRITE_PHASE;
    return (struct http_verdict){ .kind = HTTP_RESTART };
}

struct http_verdict
http_named_location(struct http_request *r, struct slice name)
{
    struct http_location *loc = http_find_named(r, name);

    if (!one_change_less(r)) {
        return http_finish(500);
    }
    if (r->uri.n == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0, "empty URI in redirect to named location \"%.*s\"",
                  SLICE_ARG(name));
        return http_finish(500);
    }
    if (loc == NULL) {
        log_error(&r->log, LOG_LVL_ERR, 0, "could not find named location \"%.*s\"",
                  SLICE_ARG(name));
        return http_finish(500);
    }
    forget_location(r);
    http_use_location(r, loc);
    r->phase = HTTP_REWRITE_PHASE;
    return (struct http_verdict){ .kind = HTTP_RESTART };
}

struct http_request *
http_subrequest(struct http_request *r, struct slice uri, struct slice args,
                const struct http_subrequest_opts *opts)
{
    struct http_request *main_r = r->main;

    if (main_r->subrequests == 0 || --main_r->subrequests == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0, "subrequests cycle while processing \"%.*s\"",
                  SLICE_ARG(uri));
        return NULL;
    }
    struct http_request *sub = POOL_NEW(main_r->pool, struct http_request);

    sub->pool = main_r->pool;
    sub->c = r->c;
    sub->cycle = r->cycle;
    sub->transport = r->transport;
    sub->stream = r->stream;
    sub->main = main_r;
    sub->parent = r;
    sub->server = r->server;
    init_common(sub);
    sub->vars = r->vars;
    sub->vars.subject = sub;
    use_server(sub, r->server);
    sub->method_name = opts->method.n > 0 ? opts->method
                                          : (opts->head_only ? SLICE("HEAD") : SLICE("GET"));
    sub->method = http_method_of(sub->method_name);
    sub->version = r->version;
    sub->request_line = r->request_line;
    sub->unparsed_uri = r->unparsed_uri;
    sub->schema = r->schema;
    sub->in = r->in;
    sub->body = r->body;
    sub->uri = uri;
    sub->args = args;
    sub->has_args = args.n > 0;
    sub->exten = uri_extension(uri);
    sub->internal = true;
    sub->header_only = opts->head_only;
    sub->sub_capture = opts->capture;
    sub->background = opts->background;
    sub->on_sub_done = opts->done;
    sub->sub_data = opts->data;
    sub->start_ms = clock_ms();
    sub->start_wall_ms = clock_wall_ms();
    sub->phase = HTTP_SERVER_REWRITE_PHASE;
    main_r->refs++;
    http_run_later(sub);
    return sub;
}

/* --- methods ---------------------------------------------------------------------------------------------------- */

enum http_method
http_method_of(struct slice name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = { { "GET", HTTP_GET },           { "HEAD", HTTP_HEAD },
                    { "POST", HTTP_POST },         { "PUT", HTTP_PUT },
                    { "DELETE", HTTP_DELETE },     { "OPTIONS", HTTP_OPTIONS },
                    { "PATCH", HTTP_PATCH },       { "MKCOL", HTTP_MKCOL },
                    { "COPY", HTTP_COPY },         { "MOVE", HTTP_MOVE },
                    { "PROPFIND", HTTP_PROPFIND }, { "PROPPATCH", HTTP_PROPPATCH },
                    { "LOCK", HTTP_LOCK },         { "UNLOCK", HTTP_UNLOCK },
                    { "TRACE", HTTP_TRACE },       { "CONNECT", HTTP_CONNECT } };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_eq(name, slice_str(methods[i].name))) {
            return methods[i].method;
        }
    }
    return HTTP_UNKNOWN;
}
