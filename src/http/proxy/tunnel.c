/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two connections tied together. Bytes are read into the worker's scratch and written to the other
 * side at once; what it does not take is copied into a buffer of its own, and its source is not
 * read until that has gone. So an idle tunnel costs its two connection structs and this one.
 *
 * When one side ends its stream the other one is told (shutdown) once everything was delivered, and
 * may go on sending; the tunnel ends when both have ended, on an error, or when nothing moved for
 * proxy_read_timeout.
 */
#include "http/proxy/tunnel.h"

#include "base/time.h"
#include "http/transport.h"

#include <errno.h>

/* Rounds for one direction before others get their turn. */
#define ROUNDS_A_TURN 16

struct tunnel_end {
    struct conn *c;
    char *pending; /* for this end, not taken yet; malloc, NULL: none */
    uint32_t pending_at;
    uint32_t pending_n;
    bool read_over; /* EOF came from it */
    bool write_over; /* it was told that nothing follows */
};

struct exchange_tunnel {
    struct tunnel_end client;
    struct tunnel_end peer;
    void *client_owner; /* of the client's connection, who gets it back */
};

static void
account(struct http_exchange *u, const struct tunnel_end *to, size_t n)
{
    struct http_upstream_state *us = exchange_state_of(u);

    if (to == &u->tunnel->client) {
        u->r->sent += n;
        u->r->body_sent += n;
        us->response_length += n;
    } else {
        us->bytes_sent += n;
    }
}

static void
drop_pending(struct tunnel_end *e)
{
    mem_free(e->pending);
    e->pending = NULL;
    e->pending_at = 0;
    e->pending_n = 0;
}

void
tunnel_free(struct http_exchange *u)
{
    if (u->tunnel != NULL) {
        drop_pending(&u->tunnel->client);
        drop_pending(&u->tunnel->peer);
    }
}

static void
finish(struct http_exchange *u, enum up_outcome outcome)
{
    struct conn *c = u->tunnel->client.c;

    c->owner = u->tunnel->client_owner;
    c->on_read = NULL;
    c->on_write = NULL;
    u->r->out_last = true;
    conn_set_timeout(c, 0);
    conn_set_write_timeout(c, 0);
    tunnel_free(u);
    exchange_release(u, false, outcome);
    exchange_finish(u, 0);
}

/* --- moving bytes ------------------------------------------------------------------------------ */

enum move {
    MOVE_OK,
    MOVE_BLOCKED,
    MOVE_FAILED,
};

static enum move
flush_pending(struct http_exchange *u, struct tunnel_end *to)
{
    while (to->pending_n > 0) {
        struct io io = conn_write(to->c, to->pending + to->pending_at, to->pending_n);

        if (io.state == IO_AGAIN) {
            return MOVE_BLOCKED;
        }
        if (io.state != IO_DONE) {
            return MOVE_FAILED;
        }
        account(u, to, io.n);
        to->pending_at += (uint32_t)io.n;
        to->pending_n -= (uint32_t)io.n;
    }
    drop_pending(to);
    return MOVE_OK;
}

/* Write through; the rest is kept. */
static enum move
deliver(struct http_exchange *u, struct tunnel_end *to, struct slice bytes)
{
    while (bytes.n > 0) {
        struct io io = conn_write(to->c, bytes.p, bytes.n);

        if (io.state == IO_AGAIN) {
            break;
        }
        if (io.state != IO_DONE) {
            return MOVE_FAILED;
        }
        account(u, to, io.n);
        bytes = slice_from(bytes, io.n);
    }
    if (bytes.n == 0) {
        return MOVE_OK;
    }
    to->pending = mem_alloc(bytes.n);
    memcpy(to->pending, bytes.p, bytes.n);
    to->pending_at = 0;
    to->pending_n = (uint32_t)bytes.n;
    return MOVE_BLOCKED;
}

static enum move
end_write(struct tunnel_end *to)
{
    if (to->write_over) {
        return MOVE_OK;
    }
    to->write_over = true;
    struct io io = to->c->transport->shutdown(to->c);

    return io.state == IO_ERROR ? MOVE_FAILED : MOVE_OK;
}

/* Everything that `from` has to say, to `to`. */
static enum move
pump(struct http_exchange *u, struct tunnel_end *from, struct tunnel_end *to)
{
    enum move m = flush_pending(u, to);

    for (unsigned rounds = 0; m == MOVE_OK && !from->read_over && from->c->can_read; rounds++) {
        if (rounds == ROUNDS_A_TURN) {
            conn_post_read(from->c);
            return MOVE_OK;
        }
        struct io io = conn_read(from->c, net_worker->scratch, net_worker->scratch_size);

        switch (io.state) {
        case IO_DONE:
            if (from == &u->tunnel->peer) {
                exchange_state_of(u)->bytes_received += io.n;
            }
            m = deliver(u, to, slice_of(net_worker->scratch, io.n));
            break;
        case IO_AGAIN:
            return MOVE_OK;
        case IO_EOF:
            from->read_over = true;
            break;
        case IO_ERROR:
            return MOVE_FAILED;
        }
    }
    return m == MOVE_OK && from->read_over ? end_write(to) : m;
}

static void
set_timeouts(struct http_exchange *u, bool client_blocked, bool peer_blocked)
{
    struct exchange_tunnel *t = u->tunnel;

    conn_set_timeout(t->peer.c, u->conf->read_timeout);
    if (client_blocked || u->tunnel->client.pending_n > 0) {
        conn_set_write_timeout(t->client.c, u->conf->send_timeout);
    }
    if (peer_blocked) {
        conn_set_write_timeout(t->peer.c, u->conf->send_timeout);
        u->write_timed = true;
    } else if (u->write_timed) {
        conn_set_write_timeout(t->peer.c, 0);
        u->write_timed = false;
    }
}

static void
run(struct http_exchange *u)
{
    struct exchange_tunnel *t = u->tunnel;
    enum move down = pump(u, &t->peer, &t->client);
    enum move up = down == MOVE_FAILED ? MOVE_FAILED : pump(u, &t->client, &t->peer);

    if (down == MOVE_FAILED || up == MOVE_FAILED || (t->client.write_over && t->peer.write_over)) {
        finish(u, UP_OUTCOME_OK);
        return;
    }
    if (down == MOVE_OK) {
        conn_set_write_timeout(t->client.c, 0);
    }
    set_timeouts(u, down == MOVE_BLOCKED, up == MOVE_BLOCKED);
}

/* --- events ------------------------------------------------------------------------------------ */

static void
on_event(struct conn *c)
{
    struct http_exchange *u = c->owner;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    if (u->state == EX_TUNNEL) {
        run(u);
    }
}

static void
on_timeout(struct conn *c)
{
    struct http_exchange *u = c->owner;

    CHECK_MAGIC(u, MAGIC_EXCHANGE);
    if (c == u->tunnel->peer.c) {
        log_error(&u->r->log, LOG_LVL_INFO, ETIMEDOUT, "upstream timed out");
    } else {
        log_error(&u->r->log, LOG_LVL_INFO, ETIMEDOUT, "client timed out");
    }
    finish(u, UP_OUTCOME_OK);
}

static void
take(struct http_exchange *u, struct conn *c)
{
    c->owner = u;
    c->on_read = on_event;
    c->on_write = on_event;
    c->on_timeout = on_timeout;
    c->on_write_timeout = on_timeout;
}

void
tunnel_start(struct http_exchange *u, struct slice early)
{
    struct http_request *r = u->r;
    struct slice from_client = SLICE_NONE;
    struct exchange_tunnel *t = POOL_NEW(r->pool, struct exchange_tunnel);

    u->tunnel = t;
    u->state = EX_TUNNEL;
    r->on_abort = NULL;
    r->on_writable = NULL;
    r->log_ctx.action = "proxying upgraded connection";
    t->client.c = r->transport->take_conn(r, &from_client);
    t->peer.c = u->uc->c;
    t->client_owner = t->client.c->owner;
    take(u, t->client.c);
    take(u, t->peer.c);
    if (deliver(u, &t->client, early) == MOVE_FAILED ||
        deliver(u, &t->peer, from_client) == MOVE_FAILED) {
        finish(u, UP_OUTCOME_OK);
        return;
    }
    run(u);
}
