/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening sockets: opened by the master, kept over reload and binary upgrade when the address
 * agrees (whatever else changed is set anew on the open socket), one each worker with `reuseport`.
 */
#pragma once

#include "net/conn.h"

struct cycle;

/* The parameters of `listen` that belong to the socket. -1: not given. */
struct listen_opts {
    int backlog;
    int64_t rcvbuf;
    int64_t sndbuf;
    int fastopen;
    int setfib; /* accepted, no meaning on Linux */
    int ipv6only; /* -1: default (on) */
    bool deferred;
    bool reuseport;
    bool multipath;
    bool bind; /* own bind() even beside a wildcard */
    int so_keepalive; /* -1 not given, 0 off, 1 on */
    int keepidle; /* seconds; 0: system */
    int keepintvl;
    int keepcnt;
    struct slice accept_filter; /* accepted, no meaning on Linux */
};

struct listener {
    struct listener *next; /* of the cycle */
    struct addr addr;
    struct slice text; /* "0.0.0.0:80", "[::]:443", "unix:/run/x" */
    struct listen_opts opts;
    int fd; /* -1: not open yet */
    int *worker_fds; /* reuseport: one a worker; [0] is fd */
    uint32_t n_worker_fds;
    bool inherited; /* came with a binary upgrade */
    /* Called with each accepted connection; owns it. */
    void (*on_accept)(struct conn *c);
    void *data; /* http: struct http_port_addr */
    const struct log *log; /* of the default server */
    struct cycle *cycle;
    struct loop_fd lf; /* in a worker */
};

/* Open all listeners of `next`, taking over the sockets of `prev` (NULL at the first start) and of
 * inherited descriptors; EADDRINUSE is tried 5 times, 500 ms apart, unless testing (then ignored).
 * false: reported; nothing of `prev` was touched. */
bool listeners_open(struct cycle *next, struct cycle *prev, bool testing);
/* Close those of `prev` that `next` did not take over (after the switch). */
void listeners_retire(struct cycle *prev, const struct cycle *next);
/* In a worker: begin or end accepting. `slot` is the worker's number, for reuseport. */
bool listeners_start(struct cycle *cycle, struct loop *loop, uint32_t slot);
void listeners_stop(struct cycle *cycle, struct loop *loop);
