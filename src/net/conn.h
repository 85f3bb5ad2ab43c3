/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection: descriptor, transport (plain, TLS), readiness, two deadlines, log context. The
 * descriptor is registered once, edge-triggered; `can_read`/`can_write` say whether the next call
 * may succeed, are set by events and cleared by a short read or EAGAIN. Users try first and wait
 * only after IO_AGAIN. An idle connection owns no buffer and no pool.
 *
 * Structs come from a free list; one that was closed is not reused before the turn ends.
 */
#pragma once

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "net/addr.h"
#include "os/loop.h"
#include "os/timer.h"

struct conn;
struct cycle;
struct listener;
struct pool;
struct proxy_protocol;

/* What is different about TLS. */
struct net_transport {
    const char *name;
    struct io (*read)(struct conn *c, void *p, size_t n);
    /* Sends memory bufs and file bufs from the head of `out` and consumes what was sent; `more`:
     * further bytes follow at once (MSG_MORE). n is what was sent. `limit` 0: none. */
    struct io (*send)(struct conn *c, struct chain *out, size_t limit, bool more);
    /* Graceful end of the sending side (close_notify, shutdown(SHUT_WR)). */
    struct io (*shutdown)(struct conn *c);
    void (*close)(struct conn *c); /* frees transport state; does not close the fd */
};
extern const struct net_transport net_plain;

typedef void (*conn_fn)(struct conn *c);

struct conn {
    uint32_t magic; /* MAGIC_CONN */
    struct loop_fd lf; /* lf.fd */
    bool can_read; /* unread bytes or EOF may be there */
    bool can_write;
    bool peer_closed; /* EPOLLRDHUP: read until IO_EOF */
    bool broken; /* EPOLLERR or EPOLLHUP was seen */
    bool timed_out; /* for handlers called by the timer */
    bool idle; /* counted as reusable when connections run out */
    bool closing;
    bool tls;
    uint8_t connecting; /* outgoing, connect() not finished */

    const struct net_transport *transport;
    void *transport_data; /* SSL * */

    conn_fn on_read; /* readiness to read (or EOF, error); NULL: only remembered */
    conn_fn on_write;
    conn_fn on_timeout; /* the read deadline; `write_timer` calls on_write_timeout */
    conn_fn on_write_timeout;
    conn_fn on_idle_close; /* asked to go: drain, or no free connections */
    struct timer timer;
    struct timer write_timer;

    void *owner; /* http connection, exchange, tunnel end */
    struct log log; /* log.ctx is the owner's */
    struct listener *listener; /* accepted ones */
    struct cycle *cycle; /* counted while the connection lives */
    struct list link; /* all connections of the worker */
    struct list idle_link; /* idle ones, oldest first */

    uint64_t number; /* "*17" in logs, $connection */
    int64_t started_at; /* clock_ms() */
    uint64_t sent; /* bytes, everything */
    uint64_t received;
    struct addr peer; /* the client (or upstream) */
    struct proxy_protocol *proxy_protocol; /* what its header said; freed with the connection */
};

/* --- the worker's connections ------------------------------------------------------------- */

struct net_worker {
    struct loop *loop;
    uint32_t limit; /* worker_connections */
    uint32_t used;
    uint64_t next_number;
    uint64_t accepted; /* for stub_status */
    uint64_t handled;
    struct list all;
    struct list idle;
    /* Scratch of the worker: 64 KiB to read into before anybody owns the bytes; valid only within
     * one handler call. */
    char *scratch;
    size_t scratch_size;
    bool draining; /* QUIT or HUP: no new connections, idle ones go */
    bool quick; /* draining by QUIT: idle ones go at once, without a chance for one more request */
    const struct log *log;
};
/* A connection holds its cycle; cycle/ stands above net/ and says how (cycle_init). */
struct net_cycle_hooks {
    void (*hold)(struct cycle *cycle);
    void (*release)(struct cycle *cycle);
};
extern struct net_cycle_hooks net_cycle_hooks;

/* The one of this process. */
extern struct net_worker *net_worker;
void net_worker_init(struct loop *loop, uint32_t limit, const struct log *log);

/* A connection struct around an open non-blocking descriptor, registered; NULL when the limit is
 * reached and no idle connection could be closed for it, or on failure (logged). The fd is then still the caller's. */
struct conn *conn_new(int fd, const struct addr *peer, struct cycle *cycle, const struct log *log);
/* Unregister, cancel timers, close the transport and the descriptor, give the struct back after the
 * turn. */
void conn_close(struct conn *c);
/* Same, but RST instead of FIN (reset_timedout_connection, 444 with it). */
void conn_reset(struct conn *c);

struct io conn_read(struct conn *c, void *p, size_t n);
struct io conn_send(struct conn *c, struct chain *out, size_t limit, bool more);
/* Simple form for small answers. */
struct io conn_write(struct conn *c, const void *p, size_t n);

/* Deadlines of waiting to read/write; 0 cancels. */
void conn_set_timeout(struct conn *c, int64_t ms);
void conn_set_write_timeout(struct conn *c, int64_t ms);
/* Call the handler soon (this turn), for work that was left off: on_read or on_write. */
void conn_post_read(struct conn *c);
void conn_post_write(struct conn *c);

/* Idle: may be closed when the worker drains or runs out of connections (through on_idle_close). */
void conn_set_idle(struct conn *c, bool idle);

/* The local address, asked of the kernel once and cached by the caller. */
bool conn_local_addr(const struct conn *c, struct addr *out);

/* --- outgoing ------------------------------------------------------------------------------ */

struct connect_opts {
    const struct addr *bind; /* proxy_bind; NULL: none */
    bool transparent;
    bool keepalive; /* proxy_socket_keepalive: SO_KEEPALIVE */
    int64_t rcvbuf; /* 0: system */
    int64_t sndbuf;
};
enum connect_state {
    CONNECT_FAILED, /* errno in *err; logged by the caller */
    CONNECT_WAIT, /* on_write comes when it is decided; then conn_connect_done() */
    CONNECT_DONE,
};
/* A new outgoing connection; *c is NULL on CONNECT_FAILED. */
enum connect_state conn_connect(const struct addr *to, const struct connect_opts *opts,
                                struct cycle *cycle, const struct log *log, struct conn **c,
                                int *err);
/* In the first on_write: 0 when connected, else the errno. */
int conn_connect_done(struct conn *c);
