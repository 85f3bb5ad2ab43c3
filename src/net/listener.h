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
    struct loop_fd lf; /* in a worker; lf.fd -1: not accepting */
    struct listener *first; /* of the list it is in */
};

/* Open all of `next`, taking over the sockets of `prev` (NULL: none) with the same address and of
 * `inherited`; EADDRINUSE is tried 5 times, 500 ms apart, unless testing (then ignored). `n_workers` for
 * reuseport. false: reported through `report`; nothing of `prev` was touched. */
struct listen_job {
    struct listener *next;
    struct listener *prev;
    const struct inherited_fds *inherited;
    uint32_t n_workers;
    bool testing;
    void (*report)(void *arg, enum log_level lvl, int err, const char *text);
    void *arg;
};
bool listeners_open(const struct listen_job *job);
/* Close those of `list` that `kept` did not take over (kept NULL: all). */
void listeners_close(struct listener *list, const struct listener *kept);
/* In a worker: begin or end accepting. `slot` is the worker's number, for reuseport. */
bool listeners_start(struct listener *list, struct loop *loop, uint32_t slot, bool multi_accept);
void listeners_stop(struct listener *list, struct loop *loop);

/* Descriptors handed over by a binary upgrade: the environment variable NGINX or FAIRLEAD, "6;7;". */
struct inherited_fds {
    struct {
        int fd;
        struct addr addr;
        bool taken;
    } items[512];
    uint32_t n;
};
/* False when the variable is not there. */
bool inherited_fds_read(const char *value, struct inherited_fds *out);
