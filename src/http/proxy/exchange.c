/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One try at one peer after another, until a response can be passed on.
 *
 *   EX_IDLE -> EX_CONNECT -> EX_HEAD -> EX_BODY or EX_TUNNEL -> EX_OVER
 *                  \____________/ a fault: the next peer (EX_IDLE), or the status of the fault
 *
 * A reused connection goes from EX_IDLE to EX_HEAD. Nothing of a try reaches the client before its
 * head was accepted, so that a further try starts from the beginning. Whatever ends the request
 * goes through exchange_finish(); after it neither the exchange nor the request may be touched.
 */
#include "http/proxy/exchange.h"

#include "base/hash.h"
#include "base/num.h"
#include "base/time.h"
#include "http/body.h"
#include "http/core.h"
#include "http/proxy/proto.h"
#include "http/proxy/proxy.h"
#include "http/proxy/relay.h"
#include "http/proxy/tunnel.h"
#include "http/transport.h"
#include "http/uri.h"

#include <errno.h>

/* 1xx responses before the final one; a peer that sends more is broken. */
#define INTERIM_MAX 64

const struct conf_name exchange_next_names[] = {
    { "error", FAULT_ERROR },
    { "timeout", FAULT_TIMEOUT },
    { "invalid_header", FAULT_INVALID_HEADER },
    { "non_idempotent", FAULT_NON_IDEMPOTENT },
    { "http_500", FAULT_HTTP_500 },
    { "http_502", FAULT_HTTP_502 },
    { "http_503", FAULT_HTTP_503 },
    { "http_504", FAULT_HTTP_504 },
    { "http_403", FAULT_HTTP_403 },
    { "http_404", FAULT_HTTP_404 },
    { "http_429", FAULT_HTTP_429 },
    { "updating", 0 },
    { "off", FAULT_OFF },
    { NULL, 0 },
};

const struct conf_name exchange_ignore_names[] = {
    { "X-Accel-Redirect", IGNORE_X_ACCEL_REDIRECT },
    { "X-Accel-Expires", IGNORE_X_ACCEL_EXPIRES },
    { "X-Accel-Limit-Rate", IGNORE_X_ACCEL_LIMIT_RATE },
    { "X-Accel-Buffering", IGNORE_X_ACCEL_BUFFERING },
    { "X-Accel-Charset", IGNORE_X_ACCEL_CHARSET },
    { "Expires", IGNORE_EXPIRES },
    { "Cache-Control", IGNORE_CACHE_CONTROL },
    { "Set-Cookie", IGNORE_SET_COOKIE },
    { "Vary", IGNORE_VARY },
    { NULL, 0 },
};

static void exchange_next(struct http_exchange *u);
static void fault(struct http_exchange *u, enum exchange_fault f);
static void fill_out(struct http_exchange *u);
static enum exchange_fault connect_failed(struct http_exchange *u, int err);
static void send_request(struct http_exchange *u);
static void read_head(struct http_exchange *u);

/* --- accounting -------------------------------------------------------------------------------- */

struct http_upstream_state *
exchange_state_of(const struct http_exchange *u)
{
    return &u->r->upstream_states.items[u->state_at];
}

static void
new_state(struct http_exchange *u, bool new_group)
{
    struct http_upstream_state *us = VEC_PUSH(&u->r->upstream_states, u->r->pool);

    us->response_time_ms = -1;
    us->connect_time_ms = -1;
    us->header_time_ms = -1;
    us->queue_time_ms = -1;
    us->new_group = new_group && u->r->upstream_states.n > 1;
    u->state_at = (uint32_t)(u->r->upstream_states.n - 1);
}

static void
drop_conn(struct http_exchange *u, bool reuse)
{
    struct up_conn *uc = u->uc;

    if (uc == NULL) {
        return;
    }
    u->uc = NULL;
    u->write_timed = false;
    if (reuse) {
        up_idle_put(uc, &u->r->cycle->log);
    } else {
        up_conn_close(uc);
    }
}

void
exchange_release(struct http_exchange *u, bool reuse, enum up_outcome outcome)
{
    struct http_upstream_state *us = exchange_state_of(u);

    if (us->response_time_ms < 0) {
        us->response_time_ms = clock_ms() - u->try_ms;
    }
    timer_remove(net_worker->loop, &u->timer);
    drop_conn(u, reuse);
    up_try_done(&u->try, outcome);
}

static void
cleanup(void *arg)
{
    struct http_exchange *u = arg;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    timer_remove(net_worker->loop, &u->timer);
    tunnel_free(u);
    drop_conn(u, false);
    up_try_done(&u->try, UP_OUTCOME_NEUTRAL);
    relay_free(u);
    u->magic = MAGIC_DEAD;
}

struct http_exchange *
exchange_new(struct http_request *r, const struct http_up_proto *proto,
             const struct exchange_conf *conf)
{
    struct http_exchange *u = POOL_NEW(r->pool, struct http_exchange);

    u->magic = MAGIC_EXCHANGE;
    u->r = r;
    u->proto = proto;
    u->conf = conf;
    u->buffering = conf->buffering;
    u->temp_fd = -1;
    u->store_fd = -1;
    u->content_length = -1;
    chain_init(&u->out);
    chain_init(&u->backlog);
    list_init(&u->bufs);
    r->upstream = u;
    pool_on_free(r->pool, cleanup, u);
    return u;
}

/* --- the end ----------------------------------------------------------------------------------- */

void
exchange_resume(struct http_exchange *u, struct http_verdict v)
{
    struct http_request *r = u->r;

    u->state = EX_OVER;
    r->on_abort = NULL;
    r->on_writable = NULL;
    r->log_upstream = SLICE_NONE;
    r->log_ctx.action = NULL;
    if (u->in_handler) { /* the content handler returns it */
        u->has_verdict = true;
        u->verdict = v;
        return;
    }
    http_resume(r, v);
}

void
exchange_finish(struct http_exchange *u, int status)
{
    struct http_request *r = u->r;

    if (u->in_handler) {
        exchange_resume(u, status == 0 ? http_done() : http_finish(status));
        return;
    }
    u->state = EX_OVER;
    r->on_abort = NULL;
    r->on_writable = NULL;
    r->log_upstream = SLICE_NONE;
    r->log_ctx.action = NULL;
    http_finalize(r, status);
}

bool
exchange_client_gone(struct http_exchange *u)
{
    if (u->state != EX_TUNNEL && (u->conf->ignore_client_abort || u->store_fd >= 0) &&
        !u->broken && !u->body_complete) {
        u->discard = true;
        u->client_blocked = false;
        chain_drop(&u->backlog);
        return true;
    }
    exchange_release(u, false, UP_OUTCOME_NEUTRAL);
    exchange_finish(u, 499);
    return false;
}

static void
on_client_abort(struct http_request *r)
{
    struct http_exchange *u = r->upstream;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    (void)!exchange_client_gone(u);
}

/* --- faults ------------------------------------------------------------------------------------ */

static int
status_of(enum exchange_fault f)
{
    switch (f) {
    case FAULT_TIMEOUT:
    case FAULT_HTTP_504:
        return 504;
    case FAULT_HTTP_500:
        return 500;
    case FAULT_HTTP_503:
        return 503;
    case FAULT_HTTP_403:
        return 403;
    case FAULT_HTTP_404:
        return 404;
    case FAULT_HTTP_429:
        return 429;
    case FAULT_ERROR:
    case FAULT_INVALID_HEADER:
    case FAULT_HTTP_502:
    case FAULT_NON_IDEMPOTENT:
    case FAULT_OFF:
    case FAULT_NO_LIVE:
        return 502;
    }
    UNREACHABLE();
}

static bool
may_repeat(const struct http_exchange *u)
{
    if (!u->request_sent) {
        return true;
    }
    return (u->r->method & (HTTP_POST | HTTP_LOCK | HTTP_PATCH)) == 0 ||
           (u->conf->next_upstream & FAULT_NON_IDEMPOTENT) != 0;
}

static bool
may_try_next(const struct http_exchange *u, enum exchange_fault f)
{
    const struct exchange_conf *conf = u->conf;

    if ((conf->next_upstream & FAULT_OFF) != 0 || (conf->next_upstream & (uint32_t)f) == 0 ||
        u->try.tries_left == 0 || u->body_taken || u->r->aborted || u->discard) {
        return false;
    }
    if (conf->next_upstream_timeout > 0 &&
        clock_ms() - u->started_ms >= conf->next_upstream_timeout) {
        return false;
    }
    return may_repeat(u);
}

/* Account a fault; true: another peer is to be tried. */
static bool
note_fault(struct http_exchange *u, enum exchange_fault f)
{
    struct http_upstream_state *us = exchange_state_of(u);
    bool says_peer_works = f == FAULT_HTTP_403 || f == FAULT_HTTP_404;
    bool next = may_try_next(u, f);

    us->status = status_of(f);
    relay_drop_cur(u);
    exchange_release(u, false, says_peer_works ? UP_OUTCOME_OK : UP_OUTCOME_FAILED);
    u->state = EX_IDLE;
    return next;
}

static void
fault(struct http_exchange *u, enum exchange_fault f)
{
    if (note_fault(u, f)) {
        exchange_next(u);
        return;
    }
    exchange_finish(u, status_of(f));
}

/* --- connection events ------------------------------------------------------------------------- */

static struct http_exchange *
exchange_of(struct conn *c)
{
    struct http_exchange *u = c->owner;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    return u;
}

static void
on_read(struct conn *c)
{
    struct http_exchange *u = exchange_of(c);

    switch (u->state) {
    case EX_HEAD:
        read_head(u);
        break;
    case EX_BODY:
        relay_on_read(u);
        break;
    case EX_CONNECT: /* decided by on_write */
    case EX_IDLE:
    case EX_TUNNEL:
    case EX_OVER:
        break;
    }
}

static void
on_write(struct conn *c)
{
    struct http_exchange *u = exchange_of(c);

    if ((u->state == EX_HEAD || u->state == EX_BODY) && !u->request_done && !u->send_failed) {
        send_request(u);
    }
}

static void
on_timeout(struct conn *c)
{
    struct http_exchange *u = exchange_of(c);

    if (u->state == EX_BODY) {
        relay_on_timeout(u);
        return;
    }
    log_error(&u->r->log, LOG_LVL_ERR, ETIMEDOUT, "upstream timed out");
    fault(u, FAULT_TIMEOUT);
}

static void
on_write_timeout(struct conn *c)
{
    struct http_exchange *u = exchange_of(c);

    if (u->state == EX_BODY) {
        relay_on_timeout(u);
        return;
    }
    u->r->log_ctx.action = "sending request to upstream";
    log_error(&u->r->log, LOG_LVL_ERR, ETIMEDOUT, "upstream timed out");
    fault(u, FAULT_TIMEOUT);
}

static void
on_connected(struct conn *c)
{
    struct http_exchange *u = exchange_of(c);
    int err = conn_connect_done(c);

    if (err != 0) {
        fault(u, connect_failed(u, err));
        return;
    }
    exchange_state_of(u)->connect_time_ms = clock_ms() - u->try_ms;
    c->on_write = on_write;
    send_request(u);
}

/* --- connecting -------------------------------------------------------------------------------- */

/* Only connections made in the same way serve for each other. */
static uint64_t
conn_id(const struct http_exchange *u, const struct addr *bind)
{
    uint64_t id = hash_bytes(u->schema);

    if (bind != NULL) {
        id ^= hash_bytes(slice_of(bind, offsetof(struct addr, sa) + bind->len));
    }
    if (u->group->keepalive_local) {
        id += (uint64_t)(uintptr_t)u->r->loc;
    }
    return id;
}

/* The local address of proxy_bind, NULL for none. */
static const struct addr *
local_addr(struct http_exchange *u, struct addr *buf)
{
    const struct exchange_bind *bind = &u->conf->bind;

    if (!bind->given || bind->text == NULL) {
        return NULL;
    }
    if (template_is_constant(bind->text)) {
        return &bind->addr;
    }
    struct slice text = template_eval(bind->text, &u->r->vars);
    struct addr_spec spec;
    const char *error;

    if (text.n == 0) {
        return NULL;
    }
    if (!addr_parse_ip(text, buf)) {
        if (!addr_spec_parse(text, 0, false, &spec, &error) || !addr_parse_ip(spec.host, buf)) {
            log_error(&u->r->log, LOG_LVL_ERR, 0, "invalid local address \"%.*s\"",
                      SLICE_ARG(text));
            return NULL;
        }
        addr_set_port(buf, spec.port);
    }
    return buf;
}

static void
use_conn(struct http_exchange *u, struct up_conn *uc)
{
    struct conn *c = uc->c;

    u->uc = uc;
    uc->requests++;
    c->owner = u;
    c->log = u->r->log;
    c->on_read = on_read;
    c->on_write = on_write;
    c->on_timeout = on_timeout;
    c->on_write_timeout = on_write_timeout;
    c->on_idle_close = NULL;
}

static enum log_level
connect_error_level(int err)
{
    switch (err) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return LOG_LVL_ERR;
    default:
        return LOG_LVL_CRIT;
    }
}

static bool
is_loopback(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET) {
        return ntohl(a->in4.sin_addr.s_addr) >> 24 == 127;
    }
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static enum exchange_fault
connect_failed(struct http_exchange *u, int err)
{
    log_error(&u->r->log, LOG_LVL_ERR, err, "connect() failed");
    return FAULT_ERROR;
}

/*
 * connect() says "in progress" even where it is done already, as it always is within one machine:
 * sending at once then saves a turn of the loop and a getsockopt(). EAGAIN means not yet.
 */
static enum exchange_fault
send_while_connecting(struct http_exchange *u)
{
    struct conn *c = u->uc->c;

    fill_out(u);
    struct io io = conn_send(c, &u->out, 0, false);

    switch (io.state) {
    case IO_AGAIN:
        return 0;
    case IO_DONE:
        c->connecting = 0;
        c->on_write = on_write;
        u->request_sent = true;
        exchange_state_of(u)->bytes_sent += io.n;
        exchange_state_of(u)->connect_time_ms = clock_ms() - u->try_ms;
        send_request(u);
        return 0;
    case IO_EOF:
    case IO_ERROR:
        return connect_failed(u, io.state == IO_ERROR ? io.err : EPIPE);
    }
    UNREACHABLE();
}

/* 0: under way. */
static enum exchange_fault
connect_new(struct http_exchange *u, struct up_peer *peer, const struct addr *bind, uint64_t id)
{
    const struct connect_opts opts = {
        .bind = bind,
        .transparent = u->conf->bind.transparent,
        .keepalive = u->conf->socket_keepalive,
        .rcvbuf = MAX(u->conf->socket_rcvbuf, (int64_t)0),
        .sndbuf = MAX(u->conf->socket_sndbuf, (int64_t)0),
    };
    struct conn *c = NULL;
    int err = 0;
    enum connect_state state =
        conn_connect(&peer->addr, &opts, u->r->cycle, &u->r->log, &c, &err);

    if (state == CONNECT_FAILED) {
        log_error(&u->r->log, connect_error_level(err), err, "connect() to %.*s failed",
                  SLICE_ARG(peer->name));
        return FAULT_ERROR;
    }
    u->reused = false;
    use_conn(u, up_conn_new(c, peer, id));
    if (state == CONNECT_WAIT) {
        u->state = EX_CONNECT;
        c->on_write = on_connected;
        conn_set_timeout(c, u->conf->connect_timeout);
        return is_loopback(&peer->addr) && !u->streams_body ? send_while_connecting(u) : 0;
    }
    exchange_state_of(u)->connect_time_ms = clock_ms() - u->try_ms;
    send_request(u);
    return 0;
}

static enum exchange_fault
connect_peer(struct http_exchange *u, struct up_peer *peer, bool fresh)
{
    struct addr buf;
    const struct addr *bind = local_addr(u, &buf);
    uint64_t id = 0;

    u->request_sent = false;
    u->request_done = false;
    u->got_bytes = false;
    u->send_failed = false;
    chain_drop(&u->out);
    if (peer->group->keepalive > 0) {
        id = conn_id(u, bind);
        struct up_conn *uc = fresh ? NULL : up_idle_take(peer, id);

        if (uc != NULL) {
            u->reused = true;
            use_conn(u, uc);
            exchange_state_of(u)->connect_time_ms = 0;
            send_request(u);
            return 0;
        }
    }
    return connect_new(u, peer, bind, id);
}

/* "http://127.0.0.1:3000/uri", for log lines. */
static void
name_in_logs(struct http_exchange *u, struct slice peer)
{
    struct slice parts[] = { u->schema, peer, u->uri };

    u->r->log_upstream = pool_concat(u->r->pool, parts, ARRAY_LEN(parts));
}

/* 0: under way, or over already. */
static enum exchange_fault
begin_try(struct http_exchange *u)
{
    struct up_peer *peer = up_try_next(&u->try);
    struct http_upstream_state *us = exchange_state_of(u);

    u->r->log_ctx.action = "connecting to upstream";
    u->try_ms = clock_ms();
    if (peer == NULL) {
        us->peer = u->group->name;
        name_in_logs(u, us->peer);
        log_error(&u->r->log, LOG_LVL_ERR, 0, "no live upstreams");
        return FAULT_NO_LIVE;
    }
    us->peer = peer->name;
    name_in_logs(u, us->peer);
    return connect_peer(u, peer, false);
}

static void
exchange_next(struct http_exchange *u)
{
    for (;;) {
        if (u->n_tries++ > 0) {
            new_state(u, false);
        }
        enum exchange_fault f = begin_try(u);

        if (f == 0) {
            return;
        }
        if (!note_fault(u, f)) {
            exchange_finish(u, status_of(f));
            return;
        }
    }
}

/* A kept connection that the peer closed just as the request came: no fault of the peer. */
static bool
retry_on_new_conn(struct http_exchange *u)
{
    struct up_peer *peer = u->try.peer;

    if (!u->reused || u->got_bytes || u->retried || u->body_taken || !may_repeat(u)) {
        return false;
    }
    u->retried = true;
    relay_drop_cur(u);
    drop_conn(u, false);
    exchange_state_of(u)->bytes_sent = 0;
    u->state = EX_IDLE;
    enum exchange_fault f = connect_peer(u, peer, true);

    if (f != 0) {
        fault(u, f);
    }
    return true;
}

/* --- sending ----------------------------------------------------------------------------------- */

static void
push_static(struct http_exchange *u, struct buf *b, struct slice s)
{
    *b = (struct buf){ 0 };
    memcpy(&b->pos, &s.p, sizeof(b->pos)); /* bufs to send are not written through */
    b->start = b->pos;
    b->last = b->pos + s.n;
    b->end = b->last;
    chain_push(&u->out, b);
}

/* A piece of streamed body into `out`, framed; false: there is none now. */
static bool
refill(struct http_exchange *u)
{
    struct http_body *body = u->r->body;
    uint64_t n = chain_len(&body->bufs);
    bool last = body->complete;

    if (n == 0 && (!last || !u->chunks_body || u->stream_ended)) {
        u->stream_ended = u->stream_ended || last;
        return false;
    }
    u->stream_ended = last;
    u->body_taken = u->body_taken || n > 0;
    if (!u->chunks_body) {
        chain_move(&u->out, &body->bufs);
        http_body_resume(u->r);
        return true;
    }
    if (n > 0) {
        char *end = num_write_hex(u->chunk_head, n);

        *end++ = '\r';
        *end++ = '\n';
        push_static(u, &u->chunk_bufs[0],
                    slice_of(u->chunk_head, (size_t)(end - u->chunk_head)));
        chain_move(&u->out, &body->bufs);
    }
    push_static(u, &u->chunk_bufs[1],
                !last ? SLICE("\r\n") : n > 0 ? SLICE("\r\n0\r\n\r\n") : SLICE("0\r\n\r\n"));
    http_body_resume(u->r);
    return true;
}

/* Bufs of our own over the body's bytes: sending consumes them, and a further try needs the body
 * again. */
static void
push_body_copy(struct http_exchange *u)
{
    for (const struct buf *b = u->r->body->bufs.head; b != NULL; b = b->next) {
        struct buf *copy = b->in_file
                               ? buf_file(u->r->pool, b->fd, b->file_pos, b->file_last)
                               : buf_wrap(u->r->pool, slice_of(b->pos, buf_len(b)));

        chain_push(&u->out, copy);
    }
}

static void
fill_out(struct http_exchange *u)
{
    chain_push(&u->out, buf_wrap(u->r->pool, u->head));
    if (u->has_set_body && u->set_body.n > 0) {
        chain_push(&u->out, buf_wrap(u->r->pool, u->set_body));
    } else if (u->streams_body) {
        (void)refill(u);
    } else if (u->sends_body) {
        push_body_copy(u);
    }
}

static void
request_is_out(struct http_exchange *u)
{
    u->request_done = true;
    if (u->write_timed) {
        u->write_timed = false;
        conn_set_write_timeout(u->uc->c, 0);
    }
    if (u->state == EX_HEAD) {
        u->r->log_ctx.action = "reading response header from upstream";
        conn_set_timeout(u->uc->c, u->conf->read_timeout);
    }
}

/* The peer does not take the request any more. Its answer may be waiting nevertheless: an early 413
 * or 401 followed by a close is the usual reason. */
static void
send_broke(struct http_exchange *u, int err)
{
    u->send_failed = true;
    u->send_err = err;
    if (u->state == EX_HEAD) {
        read_head(u);
    }
}

static void
send_request(struct http_exchange *u)
{
    struct conn *c = u->uc->c;

    if (u->state != EX_HEAD && u->state != EX_BODY) {
        u->state = EX_HEAD;
        u->r->log_ctx.action = "sending request to upstream";
        if (chain_empty(&u->out) && !u->request_sent) { /* else begun while connecting */
            fill_out(u);
        }
    }
    while (!chain_empty(&u->out) || (u->streams_body && refill(u))) {
        struct io io = conn_send(c, &u->out, 0, false);

        switch (io.state) {
        case IO_DONE:
            u->request_sent = true;
            exchange_state_of(u)->bytes_sent += io.n;
            break;
        case IO_AGAIN:
            u->write_timed = true;
            conn_set_write_timeout(c, u->conf->send_timeout);
            return;
        case IO_EOF:
        case IO_ERROR:
            send_broke(u, io.state == IO_ERROR ? io.err : EPIPE);
            return;
        }
    }
    if (!u->streams_body || u->stream_ended) {
        request_is_out(u);
    } else if (u->write_timed) { /* the client is in turn */
        u->write_timed = false;
        conn_set_write_timeout(c, 0);
    }
}

/* --- the response's head ----------------------------------------------------------------------- */

static enum exchange_fault
fault_of_status(int status)
{
    switch (status) {
    case 500:
        return FAULT_HTTP_500;
    case 502:
        return FAULT_HTTP_502;
    case 503:
        return FAULT_HTTP_503;
    case 504:
        return FAULT_HTTP_504;
    case 403:
        return FAULT_HTTP_403;
    case 404:
        return FAULT_HTTP_404;
    case 429:
        return FAULT_HTTP_429;
    default:
        return 0;
    }
}

static bool
has_error_page(const struct http_request *r, int status)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    for (size_t i = 0; i < clcf->error_pages.n; i++) {
        if (clcf->error_pages.items[i].status == status) {
            return !r->error_page_taken || clcf->recursive_error_pages;
        }
    }
    return false;
}

/* Everything of the body is in u->cur already (or there is none): the connection may live on. */
static bool
body_is_read(struct http_exchange *u)
{
    uint64_t have = u->cur == NULL ? 0 : u->cur->used - u->cur->at;

    return u->proto->can_reuse(u) &&
           ((u->framing == FRAMING_NONE && have == 0) ||
            (u->framing == FRAMING_LENGTH && have == (uint64_t)u->content_length));
}

static void
release_unread(struct http_exchange *u)
{
    bool reuse = body_is_read(u);

    relay_drop_cur(u);
    exchange_release(u, reuse, u->peer_failed ? UP_OUTCOME_FAILED : UP_OUTCOME_OK);
}

static void
pass_one(struct http_exchange *u, const struct http_header *h)
{
    (void)http_header_add(u->r, &u->r->out.all, h->id, h->name, h->value);
}

/* What a response with X-Accel-Redirect says about the file that is sent instead. */
static void
keep_redirect_headers(struct http_exchange *u)
{
    struct http_request *r = u->r;

    for (size_t i = 0; i < u->headers.n; i++) {
        const struct http_header *h = &u->headers.items[i];

        switch (h->id) {
        case HTTP_H_CONTENT_TYPE:
            r->out.content_type = h->value;
            break;
        case HTTP_H_SET_COOKIE:
        case HTTP_H_CONTENT_DISPOSITION:
        case HTTP_H_CACHE_CONTROL:
        case HTTP_H_EXPIRES:
        case HTTP_H_ACCEPT_RANGES:
            pass_one(u, h);
            break;
        default:
            break;
        }
    }
}

static void
accel_redirect(struct http_exchange *u)
{
    struct http_request *r = u->r;
    struct slice to = u->x_accel_redirect;
    struct uri uri;

    keep_redirect_headers(u);
    release_unread(u);
    if (r->method != HTTP_HEAD) {
        r->method = HTTP_GET;
        r->method_name = SLICE("GET");
    }
    if (slice_starts(to, SLICE("@"))) {
        exchange_resume(u, http_named_location(r, to));
        return;
    }
    ssize_t query = slice_chr(to, '?');
    struct slice parts[] = {
        uri_unescape(r->pool, query < 0 ? to : slice_head(to, (size_t)query), false),
        query < 0 ? SLICE("") : slice_from(to, (size_t)query),
    };
    if (!slice_starts(to, SLICE("/")) ||
        !uri_split_internal(pool_concat(r->pool, parts, 2), &uri)) {
        exchange_finish(u, 404);
        return;
    }
    exchange_resume(u, http_internal_redirect(r, uri.path, uri.args));
}

static bool
early_hints_wanted(const struct http_request *r)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    for (size_t i = 0; i < clcf->early_hints.n; i++) {
        struct http_request *q = r->main;
        struct slice v = template_eval(clcf->early_hints.items[i], &q->vars);

        if (v.n > 0 && !slice_eq(v, SLICE("0"))) {
            return true;
        }
    }
    return false;
}

static void
interim(struct http_exchange *u)
{
    if (u->status == 103 && u->r == u->r->main && early_hints_wanted(u->r)) {
        http_send_interim(u->r, 103, &u->headers);
    }
}

static bool
intercepts(const struct http_exchange *u)
{
    return u->conf->intercept_errors && u->status >= 300 && has_error_page(u->r, u->status);
}

static void
intercept(struct http_exchange *u)
{
    int status = u->status;

    for (size_t i = 0; i < u->headers.n && status == 401; i++) {
        if (u->headers.items[i].id == HTTP_H_WWW_AUTHENTICATE) {
            pass_one(u, &u->headers.items[i]);
        }
    }
    release_unread(u);
    exchange_finish(u, status);
}

/* The head goes to the client, the rest is the relay's. */
static void
respond(struct http_exchange *u)
{
    struct http_request *r = u->r;

    u->started_respond = true;
    u->proto->start_body(u);
    if (!u->proto->pass_head(u)) {
        fault(u, FAULT_INVALID_HEADER);
        return;
    }
    if (!u->discard && http_send_header(r) == HTTP_OUT_ERROR && !exchange_client_gone(u)) {
        return;
    }
    relay_start(u);
}

static void
head_is_complete(struct http_exchange *u)
{
    struct http_upstream_state *us = exchange_state_of(u);
    enum exchange_fault f = fault_of_status(u->status);

    us->status = u->status;
    us->header_time_ms = clock_ms() - u->try_ms;
    if (f != 0 && (u->conf->next_upstream & (uint32_t)f) != 0) {
        if (may_try_next(u, f)) {
            fault(u, f);
            return;
        }
        u->peer_failed = f != FAULT_HTTP_403 && f != FAULT_HTTP_404;
    }
    if (intercepts(u)) {
        intercept(u);
        return;
    }
    if (u->x_accel_redirect.n > 0) {
        accel_redirect(u);
        return;
    }
    respond(u);
}

/* May this 101 become a tunnel? */
static bool
tunnel_allowed(const struct http_exchange *u)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct slice rest = u->upgrade;
    struct slice part;

    if (u->r != u->r->main || u->r->transport->take_conn == NULL) {
        return false;
    }
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.n > 0 && !proxy_upgrade_allowed(plcf, part)) {
            return false;
        }
    }
    return true;
}

static void
head_of_101_sent(struct http_request *r)
{
    tunnel_start(r->upstream, r->upstream->early);
}

static void
switch_protocols(struct http_exchange *u)
{
    struct http_upstream_state *us = exchange_state_of(u);
    struct slice early = slice_of(u->cur->data + u->cur->at, u->cur->used - u->cur->at);

    if (!tunnel_allowed(u)) {
        log_error(&u->r->log, LOG_LVL_ERR, 0,
                  "upstream switched to protocol \"%.*s\", which is not allowed",
                  SLICE_ARG(u->upgrade));
        fault(u, FAULT_INVALID_HEADER);
        return;
    }
    us->status = 101;
    us->header_time_ms = clock_ms() - u->try_ms;
    if (!u->proto->pass_head(u)) {
        fault(u, FAULT_INVALID_HEADER);
        return;
    }
    u->early = pool_copy(u->r->pool, early);
    relay_drop_cur(u);
    u->r->upgraded = true;
    u->r->keepalive = false;
    u->r->on_writable = head_of_101_sent;
    enum http_out out = http_send_header(u->r);

    if (out != HTTP_OUT_ERROR) {
        out = u->r->transport->send_body(u->r);
    }
    switch (out) {
    case HTTP_OUT_DONE:
        tunnel_start(u, u->early);
        break;
    case HTTP_OUT_AGAIN: /* on_writable comes */
        break;
    case HTTP_OUT_ERROR:
        (void)!exchange_client_gone(u);
        break;
    }
}

/* --- reading the head -------------------------------------------------------------------------- */

enum head_step {
    HEAD_MORE, /* bytes are missing */
    HEAD_OVER, /* somebody else has taken over; u may be gone */
};

static enum head_step
parse_head(struct http_exchange *u)
{
    for (;;) {
        struct relay_buf *rb = u->cur;
        struct slice in = slice_of(rb->data + rb->at, rb->used - rb->at);

        if (in.n == 0) {
            return HEAD_MORE;
        }
        switch (u->proto->parse_head(u, &in)) {
        case PARSE_BAD:
            fault(u, FAULT_INVALID_HEADER);
            return HEAD_OVER;
        case PARSE_MORE:
            if ((int64_t)in.n < u->conf->buffer_size) {
                return HEAD_MORE;
            }
            log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream sent too big header");
            fault(u, FAULT_INVALID_HEADER);
            return HEAD_OVER;
        case PARSE_DONE:
            break;
        }
        rb->at = (uint32_t)(in.p - rb->data);
        if (u->status >= 200) {
            head_is_complete(u);
            return HEAD_OVER;
        }
        if (u->status == 101) {
            switch_protocols(u);
            return HEAD_OVER;
        }
        if (++u->interims > INTERIM_MAX) {
            log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream sent too many interim responses");
            fault(u, FAULT_INVALID_HEADER);
            return HEAD_OVER;
        }
        interim(u);
    }
}

static void
head_ended(struct http_exchange *u, const struct io *io)
{
    if (retry_on_new_conn(u)) {
        return;
    }
    if (u->send_failed && !u->got_bytes) {
        u->r->log_ctx.action = "sending request to upstream";
        log_error(&u->r->log, LOG_LVL_ERR, u->send_err, "writev() failed");
    } else if (io->state == IO_ERROR) {
        log_error(&u->r->log, LOG_LVL_ERR, io->err, "recv() failed");
    } else {
        log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream prematurely closed connection");
    }
    fault(u, FAULT_ERROR);
}

/* Room for the next bytes of a head: interim responses before it are dropped. */
static struct relay_buf *
head_room(struct http_exchange *u)
{
    struct relay_buf *rb = relay_room(u);

    if (rb->at > 0 && rb->at < rb->used) {
        memmove(rb->data, rb->data + rb->at, rb->used - rb->at);
        rb->used -= rb->at;
        rb->at = 0;
    }
    return rb;
}

static void
read_head(struct http_exchange *u)
{
    struct conn *c = u->uc->c;

    do {
        struct relay_buf *rb = head_room(u);
        struct io io = conn_read(c, rb->data + rb->used, RELAY_BUF_SIZE - rb->used);

        switch (io.state) {
        case IO_DONE:
            rb->used += (uint32_t)io.n;
            u->got_bytes = true;
            exchange_state_of(u)->bytes_received += io.n;
            if (parse_head(u) == HEAD_OVER) {
                return;
            }
            break;
        case IO_AGAIN:
            if (u->send_failed) {
                head_ended(u, &io);
                return;
            }
            if (rb->used == rb->at) {
                relay_drop_cur(u);
            }
            return;
        case IO_EOF:
        case IO_ERROR:
            head_ended(u, &io);
            return;
        }
    } while (c->can_read || u->send_failed);
    if (u->request_done) {
        conn_set_timeout(c, u->conf->read_timeout);
    }
}

/* --- the start --------------------------------------------------------------------------------- */

static void
begin(struct http_exchange *u)
{
    struct http_request *r = u->r;

    ASSERT(u->group != NULL);
    if (!u->proto->create_request(u)) {
        exchange_finish(u, 500);
        return;
    }
    r->on_abort = on_client_abort;
    u->started_ms = clock_ms();
    u->try_ms = u->started_ms;
    up_try_init(&u->try, u->group, (uint32_t)u->conf->next_upstream_tries, r->pool, &r->log);
    u->try.client = &r->c->peer;
    exchange_next(u);
}

static void
body_is_read_whole(struct http_request *r)
{
    begin(r->upstream);
}

static void
on_body_data(struct http_request *r)
{
    struct http_exchange *u = r->upstream;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    if (u->state == EX_OVER) {
        return;
    }
    if (r->body->failed != 0) {
        exchange_release(u, false, UP_OUTCOME_NEUTRAL);
        exchange_finish(u, r->header_sent ? 444 : r->body->failed);
        return;
    }
    if ((u->state == EX_HEAD || u->state == EX_BODY) && u->uc != NULL && !u->send_failed &&
        !u->request_done) {
        send_request(u);
    }
}

struct http_verdict
exchange_run(struct http_exchange *u)
{
    struct http_request *r = u->r;
    /* A subrequest sends the body that its parent has, and waits for none. */
    bool has_body = u->conf->pass_request_body && http_has_body(r) &&
                    (r == r->main || (r->body != NULL && r->body->complete));

    new_state(u, true);
    u->in_handler = true;
    u->sends_body = has_body;
    u->streams_body = u->streams_body && has_body && r == r->main;
    if (!has_body) {
        begin(u);
    } else if (!u->streams_body) {
        u->in_handler = false;
        http_body_read(r, body_is_read_whole);
        return http_wait();
    } else {
        http_body_stream(r, on_body_data);
        if (u->state != EX_OVER) { /* it failed at once */
            begin(u);
        }
    }
    u->in_handler = false;
    return u->has_verdict ? u->verdict : http_wait();
}
