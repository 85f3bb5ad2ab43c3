/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of a worker. Structs come from a free list; a closed one goes to a graveyard first and
 * is reused only after the turn, so that a caller up the stack may still look at `closing`.
 */
#include "net/conn.h"

#include "base/check.h"
#include "base/pool.h"
#include "base/time.h"
#include "os/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SCRATCH_SIZE (64 * 1024)
#define MAX_IOV 64

struct net_worker *net_worker;
struct net_cycle_hooks net_cycle_hooks;
static struct net_worker the_worker;

struct conn_slot {
    struct conn c;
    struct loop_post read_post;
    struct loop_post write_post;
    struct conn_slot *next_free;
};

static struct conn_slot *free_slots;
static struct conn_slot *graveyard;

static struct conn_slot *
slot_of(struct conn *c)
{
    return (struct conn_slot *)(void *)c; /* c is the first member */
}

static void
bury(void *arg UNUSED)
{
    while (graveyard != NULL) {
        struct conn_slot *s = graveyard;

        graveyard = s->next_free;
        s->next_free = free_slots;
        free_slots = s;
    }
}

void
net_worker_init(struct loop *loop, uint32_t limit, const struct log *log)
{
    net_worker = &the_worker;
    *net_worker = (struct net_worker){ .loop = loop, .limit = limit, .log = log, .next_number = 1 };
    list_init(&net_worker->all);
    list_init(&net_worker->idle);
    net_worker->scratch = mem_alloc(SCRATCH_SIZE);
    net_worker->scratch_size = SCRATCH_SIZE;
    loop_on_turn_end(loop, bury, NULL);
}

/* --- events ------------------------------------------------------------------------------------------ */

static void
on_event(struct loop_fd *lf, uint32_t events)
{
    struct conn *c = container_of(lf, struct conn, lf);

    CHECK_MAGIC(c, MAGIC_CONN);
    if (events & (EPOLLERR | EPOLLHUP)) {
        c->broken = true;
    }
    if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) {
        c->peer_closed = true;
    }
    bool readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
    bool writable = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;

    if (writable) {
        c->can_write = true;
    }
    if (readable) {
        c->can_read = true;
    }
    if (writable && c->on_write != NULL) {
        c->on_write(c);
    }
    if (readable && !c->closing && c->on_read != NULL) {
        c->on_read(c);
    }
}

static void
on_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);

    CHECK_MAGIC(c, MAGIC_CONN);
    c->timed_out = true;
    if (c->on_timeout != NULL) {
        c->on_timeout(c);
    }
}

static void
on_write_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, write_timer);

    CHECK_MAGIC(c, MAGIC_CONN);
    c->timed_out = true;
    if (c->on_write_timeout != NULL) {
        c->on_write_timeout(c);
    } else if (c->on_timeout != NULL) {
        c->on_timeout(c);
    }
}

static void
run_read(struct loop_post *post)
{
    struct conn *c = &container_of(post, struct conn_slot, read_post)->c;

    if (!c->closing && c->on_read != NULL) {
        c->on_read(c);
    }
}

static void
run_write(struct loop_post *post)
{
    struct conn *c = &container_of(post, struct conn_slot, write_post)->c;

    if (!c->closing && c->on_write != NULL) {
        c->on_write(c);
    }
}

void
conn_post_read(struct conn *c)
{
    loop_post(net_worker->loop, &slot_of(c)->read_post);
}

void
conn_post_write(struct conn *c)
{
    loop_post(net_worker->loop, &slot_of(c)->write_post);
}

/* --- life --------------------------------------------------------------------------------------------- */

/* Ask the connection that has been idle longest to go. */
static bool
close_an_idle_one(void)
{
    if (list_empty(&net_worker->idle)) {
        return false;
    }
    struct conn *c = list_entry(net_worker->idle.next, struct conn, idle_link);
    uint32_t before = net_worker->used;

    c->on_idle_close(c);
    return net_worker->used < before;
}

static bool
make_room(const struct log *log)
{
    if (net_worker->used < net_worker->limit || close_an_idle_one()) {
        return true;
    }
    log_error(log, LOG_LVL_ALERT, 0, "%u worker_connections are not enough", net_worker->limit);
    return false;
}

struct conn *
conn_new(int fd, const struct addr *peer, struct cycle *cycle, const struct log *log)
{
    if (!make_room(log)) {
        return NULL;
    }
    struct conn_slot *s = free_slots;

    if (s != NULL) {
        free_slots = s->next_free;
    } else {
        s = mem_alloc(sizeof(*s));
    }
    memset(s, 0, sizeof(*s));
    struct conn *c = &s->c;

    c->magic = MAGIC_CONN;
    c->lf.fd = fd;
    c->lf.on_event = on_event;
    c->transport = &net_plain;
    c->lf.index = UINT32_MAX;
    c->timer.fire = on_timer;
    c->write_timer.fire = on_write_timer;
    c->timer.deadline = INT64_MAX;
    c->write_timer.deadline = INT64_MAX;
    s->read_post.run = run_read;
    s->write_post.run = run_write;
    list_init(&c->idle_link);
    if (!loop_add(net_worker->loop, &c->lf, true, false)) {
        log_error(log, LOG_LVL_ALERT, errno, "epoll_ctl(%d) failed", fd);
        s->next_free = free_slots;
        free_slots = s;
        return NULL;
    }
    c->log = *log;
    c->peer = *peer;
    c->cycle = cycle;
    net_cycle_hooks.hold(cycle);
    c->number = net_worker->next_number++;
    c->started_at = clock_ms();
    list_add_tail(&net_worker->all, &c->link);
    net_worker->used++;
    return c;
}

void
conn_close(struct conn *c)
{
    struct conn_slot *s = slot_of(c);

    CHECK_MAGIC(c, MAGIC_CONN);
    ASSERT(!c->closing);
    c->closing = true;
    c->transport->close(c);
    loop_forget(net_worker->loop, &c->lf);
    timer_remove(net_worker->loop, &c->timer);
    timer_remove(net_worker->loop, &c->write_timer);
    loop_unpost(&s->read_post);
    loop_unpost(&s->write_post);
    list_remove(&c->link);
    list_remove(&c->idle_link);
    close(c->lf.fd);
    c->lf.fd = -1;
    c->magic = MAGIC_DEAD;
    mem_free(c->proxy_protocol);
    net_cycle_hooks.release(c->cycle);
    net_worker->used--;
    s->next_free = graveyard;
    graveyard = s;
}

void
conn_reset(struct conn *c)
{
    sock_reset_on_close(c->lf.fd);
    conn_close(c);
}

void
conn_set_timeout(struct conn *c, int64_t ms)
{
    c->timed_out = false;
    if (ms == 0) {
        timer_cancel(&c->timer);
    } else {
        timer_set(net_worker->loop, &c->timer, ms);
    }
}

void
conn_set_write_timeout(struct conn *c, int64_t ms)
{
    c->timed_out = false;
    if (ms == 0) {
        timer_cancel(&c->write_timer);
    } else {
        timer_set(net_worker->loop, &c->write_timer, ms);
    }
}

void
conn_set_idle(struct conn *c, bool idle)
{
    if (idle == c->idle) {
        return;
    }
    c->idle = idle;
    list_remove(&c->idle_link);
    if (idle) {
        list_add_tail(&net_worker->idle, &c->idle_link);
    }
}

bool
conn_local_addr(const struct conn *c, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->len = sizeof(out->ss);
    return getsockname(c->lf.fd, &out->sa, &out->len) == 0;
}

/* --- reading and sending -------------------------------------------------------------------------------- */

struct io
conn_read(struct conn *c, void *p, size_t n)
{
    if (!c->can_read) {
        return (struct io){ .state = IO_AGAIN };
    }
    struct io io = c->transport->read(c, p, n);

    if (io.state == IO_DONE) {
        c->received += io.n;
    }
    return io;
}

struct io
conn_send(struct conn *c, struct chain *out, size_t limit, bool more)
{
    struct io io = c->transport->send(c, out, limit, more);

    c->sent += io.n;
    return io;
}

struct io
conn_write(struct conn *c, const void *p, size_t n)
{
    struct buf b = { .pos = (char *)(size_t)p, .last = (char *)(size_t)p + n };
    struct chain one;

    chain_init(&one);
    chain_push(&one, &b);
    return conn_send(c, &one, 0, false);
}

static struct io
plain_read(struct conn *c, void *p, size_t n)
{
    struct io io = sock_read(c->lf.fd, p, n);

    if (io.state == IO_AGAIN || (io.state == IO_DONE && io.n < n && !c->peer_closed)) {
        c->can_read = false; /* drained: the next bytes bring an event */
    }
    return io;
}

/* Leading memory bufs in one sendmsg; `limit` 0: no limit. */
static struct io
send_memory(struct conn *c, const struct chain *out, size_t limit, bool more, size_t *asked)
{
    struct iovec iov[MAX_IOV];
    int n = chain_iovec(out, iov, MAX_IOV, asked);

    if (limit > 0 && *asked > limit) {
        size_t left = limit;

        for (int i = 0; i < n; i++) {
            iov[i].iov_len = MIN(iov[i].iov_len, left);
            left -= iov[i].iov_len;
            if (left == 0) {
                n = i + 1;
            }
        }
        *asked = limit;
    }
    return sock_writev(c->lf.fd, iov, n, more);
}

static struct io
send_file(struct conn *c, const struct buf *b, size_t limit, size_t *asked)
{
    off_t pos = b->file_pos;

    *asked = buf_len(b);
    if (limit > 0) {
        *asked = MIN(*asked, limit);
    }
    struct io io = sock_sendfile(c->lf.fd, b->fd, &pos, *asked);

    if (io.state == IO_EOF) { /* the file was truncated under us */
        return (struct io){ .state = IO_ERROR, .err = EIO };
    }
    return io;
}

/* Behind the memory bufs at the head: anything more to send? Then MSG_MORE. */
static bool
file_follows(const struct chain *out)
{
    const struct buf *b = out->head;

    while (b != NULL && !b->in_file) {
        b = b->next;
    }
    return b != NULL;
}

static struct io
plain_send(struct conn *c, struct chain *out, size_t limit, bool more)
{
    size_t total = 0;

    chain_consume(out, 0); /* empty bufs in front */
    while (out->head != NULL && (limit == 0 || total < limit)) {
        size_t asked = 0;
        size_t left = limit == 0 ? 0 : limit - total;
        struct io io = out->head->in_file
                           ? send_file(c, out->head, left, &asked)
                           : send_memory(c, out, left, more || file_follows(out), &asked);

        if (io.state == IO_ERROR) {
            io.n = total;
            return io;
        }
        if (io.state == IO_AGAIN || io.n < asked) {
            c->can_write = false;
        }
        total += io.n;
        chain_consume(out, io.n);
        if (!c->can_write) {
            return (struct io){ .state = total > 0 ? IO_DONE : IO_AGAIN, .n = total };
        }
    }
    return (struct io){ .state = IO_DONE, .n = total };
}

static struct io
plain_shutdown(struct conn *c)
{
    return shutdown(c->lf.fd, SHUT_WR) == 0 ? (struct io){ .state = IO_DONE }
                                            : (struct io){ .state = IO_ERROR, .err = errno };
}

static void
plain_close(struct conn *c UNUSED)
{
}

const struct net_transport net_plain = {
    .name = "plain",
    .read = plain_read,
    .send = plain_send,
    .shutdown = plain_shutdown,
    .close = plain_close,
};

/* --- outgoing --------------------------------------------------------------------------------------------- */

static bool
set_connect_opts(int fd, const struct connect_opts *o)
{
    if (o->keepalive && !sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1)) {
        return false;
    }
    if (o->rcvbuf > 0 && !sock_set(fd, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf)) {
        return false;
    }
    if (o->sndbuf > 0 && !sock_set(fd, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf)) {
        return false;
    }
    if (o->bind == NULL) {
        return true;
    }
    if (o->transparent &&
        !(o->bind->sa.sa_family == AF_INET6 ? sock_set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
                                            : sock_set(fd, SOL_IP, IP_TRANSPARENT, 1))) {
        return false;
    }
    if (addr_port(o->bind) == 0) {
        sock_set(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    return bind(fd, &o->bind->sa, o->bind->len) == 0;
}

enum connect_state
conn_connect(const struct addr *to, const struct connect_opts *opts, struct cycle *cycle,
             const struct log *log, struct conn **c, int *err)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *c = NULL;
    if (fd < 0) {
        *err = errno;
        return CONNECT_FAILED;
    }
    if (to->sa.sa_family != AF_UNIX) {
        sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (opts != NULL && !set_connect_opts(fd, opts)) {
        *err = errno;
        close(fd);
        return CONNECT_FAILED;
    }
    bool done = connect(fd, &to->sa, to->len) == 0;

    if (!done && errno != EINPROGRESS) {
        *err = errno;
        close(fd);
        return CONNECT_FAILED;
    }
    *c = conn_new(fd, to, cycle, log);
    if (*c == NULL) {
        *err = EMFILE;
        close(fd);
        return CONNECT_FAILED;
    }
    (*c)->connecting = !done;
    (*c)->can_write = done;
    return done ? CONNECT_DONE : CONNECT_WAIT;
}

int
conn_connect_done(struct conn *c)
{
    c->connecting = false;
    return sock_error(c->lf.fd);
}
