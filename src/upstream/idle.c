/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keepalive pool. Lists are a worker's own: one a peer, for taking, and one a group in order of
 * idleness, for the bound. Nothing is asked of the kernel to check a connection: it stays registered
 * edge-triggered, and any event while it is idle means that it is of no more use.
 */
#include "upstream/idle.h"

#include "base/check.h"
#include "base/pool.h"
#include "base/time.h"

struct up_idle {
    struct list conns; /* most recently used first */
    int64_t n;
};

struct up_conn *
up_conn_new(struct conn *c, struct up_peer *peer, uint64_t id)
{
    struct up_conn *uc = mem_zalloc(sizeof(*uc));

    uc->c = c;
    uc->peer = peer;
    uc->id = id;
    list_init(&uc->in_peer);
    list_init(&uc->in_group);
    return uc;
}

static void
unlink_idle(struct up_conn *uc)
{
    list_remove(&uc->in_peer);
    list_remove(&uc->in_group);
    uc->peer->group->idle->n--;
}

void
up_conn_close(struct up_conn *uc)
{
    if (uc == NULL) {
        return;
    }
    if (!list_empty(&uc->in_group)) {
        unlink_idle(uc);
    }
    conn_close(uc->c);
    mem_free(uc);
}

/* Any event of an idle connection. */
static void
idle_over(struct conn *c)
{
    CHECK_MAGIC(c, MAGIC_CONN);
    up_conn_close(c->owner);
}

static void
no_handlers(struct conn *c)
{
    c->on_read = NULL;
    c->on_write = NULL;
    c->on_timeout = NULL;
    c->on_write_timeout = NULL;
    c->on_idle_close = NULL;
}

struct up_conn *
up_idle_take(struct up_peer *peer, uint64_t id)
{
    list_each_safe (struct up_conn, uc, next, &peer->idle, in_peer) {
        if (uc->id != id) {
            continue;
        }
        if (uc->c->peer_closed || uc->c->broken || uc->c->can_read) {
            up_conn_close(uc);
            continue;
        }
        unlink_idle(uc);
        conn_set_idle(uc->c, false);
        no_handlers(uc->c);
        return uc;
    }
    return NULL;
}

/* A read that filled its buffer leaves open whether more (or the end) is there. */
static bool
is_quiet(struct conn *c)
{
    char byte;

    if (c->peer_closed || c->broken || c->closing) {
        return false;
    }
    return !c->can_read || conn_read(c, &byte, 1).state == IO_AGAIN;
}

static bool
may_keep(const struct up_conn *uc)
{
    const struct up_group *g = uc->peer->group;

    return g->keepalive > 0 && (int64_t)uc->requests < g->keepalive_requests &&
           clock_ms() - uc->c->started_at <= g->keepalive_time_ms && g->keepalive_timeout_ms > 0 &&
           !net_worker->draining;
}

static struct up_idle *
idle_of(struct up_group *g)
{
    if (g->idle == NULL) {
        g->idle = mem_zalloc(sizeof(*g->idle));
        list_init(&g->idle->conns);
    }
    return g->idle;
}

void
up_idle_put(struct up_conn *uc, const struct log *log)
{
    struct up_group *g = uc->peer->group;
    struct conn *c = uc->c;

    if (!may_keep(uc) || !is_quiet(c)) {
        up_conn_close(uc);
        return;
    }
    struct up_idle *idle = idle_of(g);

    if (idle->n >= g->keepalive) {
        up_conn_close(list_entry(idle->conns.prev, struct up_conn, in_group));
    }
    idle->n++;
    list_add_head(&idle->conns, &uc->in_group);
    list_add_head(&uc->peer->idle, &uc->in_peer);
    no_handlers(c);
    c->owner = uc;
    c->log = *log;
    c->log.ctx = NULL;
    c->on_read = idle_over;
    c->on_timeout = idle_over;
    c->on_idle_close = idle_over;
    conn_set_write_timeout(c, 0);
    conn_set_timeout(c, g->keepalive_timeout_ms);
    conn_set_idle(c, true);
}

void
up_idle_close_all(struct up_group *group)
{
    if (group->idle == NULL) {
        return;
    }
    list_each_safe (struct up_conn, uc, next, &group->idle->conns, in_group) {
        up_conn_close(uc);
    }
    mem_free(group->idle);
    group->idle = NULL;
}
