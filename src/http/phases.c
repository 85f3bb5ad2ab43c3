/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The phase engine: r->phase and r->handler_at say where a request is. A handler that waits is
 * continued by http_resume() with the verdict it could not give at once.
 */
#include "http/body.h"
#include "http/core.h"
#include "http/location.h"
#include "http/transport.h"

#include "os/timer.h"

/* False: the request waits, or is over and perhaps freed. */
static bool
next_phase(struct http_request *r)
{
    r->phase++;
    r->handler_at = 0;
    return true;
}

/* --- locations ----------------------------------------------------------------------------------------- */

struct http_location *
http_find_named(struct http_request *r, struct slice name)
{
    return location_find_named(r->server->locations, name);
}

void
http_use_location(struct http_request *r, struct http_location *loc)
{
    r->loc = loc;
    r->structs = loc->scope->structs;
    if (loc->limit_except != NULL && (loc->limit_except_methods & r->method) == 0) {
        r->loc = loc->limit_except;
        r->structs = r->loc->scope->structs;
    }
    const struct http_core_loc *clcf = http_core_loc(r);

    r->log = clcf->log;
    r->log.ctx = &r->log_ctx;
    r->content_handler = r->loc->handler;
    if (r == r->main && clcf->keepalive_timeout == 0) {
        r->keepalive = false;
    }
}

static bool
body_is_too_large(struct http_request *r)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    if (r != r->main || clcf->client_max_body_size == 0 ||
        r->in.content_length <= clcf->client_max_body_size) {
        return false;
    }
    log_error(&r->log, LOG_LVL_ERR, 0, "client intended to send too large body: %lld bytes",
              (long long)r->in.content_length);
    return true;
}

static struct http_verdict
find_config(struct http_request *r)
{
    struct http_location *loc = r->server->loc;
    enum location_match match = LOCATION_NONE;

    r->vars.n_captures = r->vars.captures_of.p == r->uri.p ? 0 : r->vars.n_captures;
    if (r->server->locations != NULL) {
        match = location_find(r->server->locations, r, &loc);
    }
    if (match == LOCATION_FAILED) {
        return http_finish(500);
    }
    http_use_location(r, loc);
    if (match != LOCATION_REDIRECT && loc->is_internal && !r->internal) {
        return http_finish(404);
    }
    if (body_is_too_large(r)) {
        r->expect_tested = true;
        return http_finish(413);
    }
    if (match == LOCATION_REDIRECT) {
        struct slice parts[] = { uri_escape(r->pool, loc->name, URI_ESCAPE_PATH), SLICE("?"),
                                 r->args };

        r->out.location = pool_concat(r->pool, parts, r->args.n > 0 ? 3 : 1);
        return http_finish(301);
    }
    return http_ok();
}

static struct http_verdict
post_rewrite(struct http_request *r)
{
    if (!r->uri_changed) {
        return http_ok();
    }
    r->uri_changed = false;
    if (r->uri_changes == 0 || --r->uri_changes == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0,
                  "rewrite or internal redirection cycle while processing \"%.*s\"",
                  SLICE_ARG(r->uri));
        return http_finish(500);
    }
    r->structs = r->server->scope->structs;
    r->loc = r->server->loc;
    r->phase = HTTP_FIND_CONFIG_PHASE;
    r->handler_at = 0;
    return (struct http_verdict){ .kind = HTTP_RESTART };
}

/* --- verdicts -------------------------------------------------------------------------------------------- */

/* The access phase: `satisfy any` lets one allowed be enough and remembers refusals. */
static bool
apply_access(struct http_request *r, struct http_verdict v)
{
    bool any = http_core_loc(r)->satisfy == HTTP_SATISFY_ANY;

    if (v.kind == HTTP_DECLINED) {
        r->handler_at++;
        return true;
    }
    if (v.kind == HTTP_OK) {
        if (any) {
            r->access_status = 0;
            return next_phase(r);
        }
        r->handler_at++;
        return true;
    }
    if (any && (v.status == 401 || v.status == 403)) {
        if (r->access_status != 401) {
            r->access_status = v.status;
        }
        r->handler_at++;
        return true;
    }
    http_finalize(r, v.status);
    return false;
}

static bool
apply(struct http_request *r, struct http_verdict v)
{
    if (v.kind == HTTP_WAIT) {
        return false;
    }
    if (v.kind == HTTP_RESTART) {
        return true;
    }
    if (r->phase == HTTP_ACCESS_PHASE) {
        return apply_access(r, v);
    }
    switch (v.kind) {
    case HTTP_DECLINED:
        r->handler_at++;
        return true;
    case HTTP_OK:
        return next_phase(r);
    case HTTP_FINISH:
        http_finalize(r, v.status);
        return false;
    case HTTP_WAIT:
    case HTTP_RESTART:
        break;
    }
    return true;
}

static struct http_verdict
nobody_answered(struct http_request *r)
{
    if (r->uri.p[r->uri.n - 1] == '/') {
        size_t root_n;
        struct slice path = http_map_path(r, 0, &root_n);

        if (path.p != NULL) {
            log_error(&r->log, LOG_LVL_ERR, 0, "directory index of \"%.*s\" is forbidden",
                      SLICE_ARG(path));
        }
        return http_finish(403);
    }
    log_error(&r->log, LOG_LVL_ERR, 0, "no handler found");
    return http_finish(404);
}

static struct http_verdict
step(struct http_request *r)
{
    const struct http_main *hm = r->server->main;

    switch (r->phase) {
    case HTTP_FIND_CONFIG_PHASE:
        return find_config(r);
    case HTTP_POST_REWRITE_PHASE:
        return post_rewrite(r);
    case HTTP_POST_ACCESS_PHASE:
        if (r->access_status != 0) {
            int status = r->access_status;

            r->access_status = 0;
            if (status == 403) {
                log_error(&r->log, LOG_LVL_ERR, 0, "access forbidden by rule");
            }
            return http_finish(status);
        }
        return http_ok();
    case HTTP_CONTENT_PHASE:
        if (r->content_handler != NULL) {
            r->on_writable = NULL;
            return r->content_handler(r);
        }
        break;
    default:
        break;
    }
    if (r->handler_at < hm->phases[r->phase].n) {
        return hm->phases[r->phase].items[r->handler_at].handler(r);
    }
    return r->phase == HTTP_CONTENT_PHASE ? nobody_answered(r) : http_ok();
}

void
http_run(struct http_request *r)
{
    bool go_on = true;

    while (go_on) {
        enum http_phase phase = r->phase;
        uint32_t at = r->handler_at;
        struct http_verdict v = step(r);

        if (v.kind == HTTP_OK && phase == HTTP_ACCESS_PHASE &&
            at >= r->server->main->phases[phase].n) {
            go_on = next_phase(r); /* the end of the list, not somebody's consent */
        } else {
            go_on = apply(r, v);
        }
    }
}

void
http_resume(struct http_request *r, struct http_verdict v)
{
    CHECK_MAGIC(r, MAGIC_REQUEST);
    if (apply(r, v)) {
        http_run(r);
    }
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static void
delay_over(struct timer *t)
{
    http_resume(container_of(t, struct http_request, timer), http_declined());
}

struct http_verdict
http_wait_ms(struct http_request *r, int64_t delay_ms)
{
    r->timer.fire = delay_over;
    timer_set(net_worker->loop, &r->timer, delay_ms);
    return http_wait();
}

static void
run_now(struct timer *t)
{
    http_run(container_of(t, struct http_request, timer));
}

void
http_run_later(struct http_request *r)
{
    r->timer.fire = run_now;
    timer_set(net_worker->loop, &r->timer, 0);
}
