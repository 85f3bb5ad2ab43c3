/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to peers, and the idle ones a worker keeps for the next request (`keepalive`). An idle
 * connection owns no buffer; it is closed by its peer's EOF, by anything the peer sends unasked, by
 * keepalive_timeout, when a newer one needs its place, and when the worker drains.
 */
#pragma once

#include "base/list.h"
#include "net/conn.h"
#include "upstream/group.h"

#include <stdint.h>

struct up_conn {
    struct conn *c; /* owned */
    struct up_peer *peer;
    uint64_t id; /* only a request with the same id reuses it: bind address, TLS settings, location */
    uint32_t requests; /* served or being served */
    struct list in_peer;
    struct list in_group;
};

/* A new outgoing connection; takes `c`. */
struct up_conn *up_conn_new(struct conn *c, struct up_peer *peer, uint64_t id);
/* Close it. Accepts NULL. */
void up_conn_close(struct up_conn *uc);

/*
 * Take an idle connection to `peer`, newest first: the oldest is the one the server closes next.
 *
 *   returns  a connection now owned by the caller, its handlers unset; NULL when none is idle
 *   cost     O(idle connections of this peer), bounded by `keepalive`
 */
struct up_conn *up_idle_take(struct up_peer *peer, uint64_t id);
/* The response is complete and the peer keeps the connection: keep it too, or close it when the
 * group's limits say so. Takes `uc`; the log is what a line about an idle connection goes to. */
void up_idle_put(struct up_conn *uc, const struct log *log);
/* The worker ends: close all. */
void up_idle_close_all(struct up_group *group);
