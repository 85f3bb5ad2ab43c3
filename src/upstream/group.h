/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A group of peers that serve the same thing. What the configuration says is immutable and belongs
 * to the cycle; what changes (weights in flight, failures, connection counts) is in `shared`, one
 * array a group in a segment that all workers see. A request works with a struct up_try: it asks
 * for a peer, says how that went, and may ask for another one.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/slice.h"
#include "net/addr.h"

#include <stdint.h>

struct up_balancer;
struct up_group;
struct up_idle;

/* In shared memory: fixed-width fields only. Times are clock_ms(), the same in all processes. */
struct up_peer_shared {
    int64_t accessed_ms; /* of the last failure */
    int64_t checked_ms; /* when it was last given a chance */
    int32_t current_weight; /* smooth weighted round robin */
    int32_t effective_weight; /* falls with failures, recovers by one each turn */
    uint32_t conns; /* requests in flight */
    uint32_t fails;
    uint64_t spare[4]; /* for health checks and least_time */
};
_Static_assert(sizeof(struct up_peer_shared) == 64, "one cache line a peer");

struct up_group_shared {
    uint32_t lock; /* owner's pid, 0: free */
    uint32_t n_peers;
    uint64_t signature; /* of the servers: state of another set of peers is not taken over */
    uint64_t spare[6];
    struct up_peer_shared peers[];
};

struct up_peer {
    uint32_t magic; /* MAGIC_PEER */
    uint32_t index; /* in the group and in its shared state */
    struct up_group *group;
    struct addr addr;
    struct slice name; /* "127.0.0.1:3000", $upstream_addr */
    struct slice server; /* as the configuration wrote it */
    int32_t weight;
    uint32_t max_fails; /* 0: failures are not counted */
    int64_t fail_timeout_ms;
    uint32_t max_conns; /* 0: no limit */
    bool backup;
    bool down; /* by configuration */
    bool unresolved; /* a slot for an address of a name that did not resolve yet */
    struct list idle; /* this worker's idle connections to it, newest first */
};

struct up_group {
    struct slice name;
    struct up_peer *peers;
    uint32_t n_peers;
    uint32_t n_primary; /* without backups */
    uint32_t n_usable; /* neither down nor unresolved; the tries of a request */
    const struct up_balancer *balancer;
    struct up_group_shared *shared;

    /* keepalive */
    int64_t keepalive; /* idle connections a worker keeps; 0: none */
    int64_t keepalive_requests;
    int64_t keepalive_time_ms;
    int64_t keepalive_timeout_ms;
    bool keepalive_local; /* not shared between locations */
    struct up_idle *idle; /* of this worker; NULL until the first one is kept */
};

/* A server line, or an address of proxy_pass. */
struct up_server {
    struct slice name; /* as written */
    struct addr *addrs;
    size_t n_addrs; /* 0: unresolved; `slots` peers are set aside */
    uint32_t slots;
    int64_t weight;
    int64_t max_fails;
    int64_t fail_timeout_ms;
    int64_t max_conns;
    bool backup;
    bool down;
};
void up_server_defaults(struct up_server *s);

/* Build the peers from the servers; the group's settings are filled in by the caller. */
void up_group_build(struct up_group *g, struct pool *pool, const struct up_server *servers,
                    size_t n);
/* Bytes of shared state, and taking it into use: zeroed memory and memory that held the same peers
 * before are both fine. */
size_t up_group_shared_size(const struct up_group *g);
void up_group_attach(struct up_group *g, void *mem);
/* A process that held the group's lock has died: make the state consistent. */
void up_group_recover(struct up_group_shared *shared);
/* In a worker: the addresses of an unresolved server are known now. */
void up_group_resolved(struct up_group *g, struct slice server, const struct addr *addrs, size_t n,
                       struct pool *pool);

/* --- the tries of one request ---------------------------------------------------------------- */

#define UP_TRIED_WORDS 4

struct up_try {
    struct up_group *group;
    struct up_peer *peer; /* in use; counted in its conns */
    uint64_t tried[UP_TRIED_WORDS]; /* bits of peers, the first 256 */
    uint64_t *tried_more; /* the rest, or NULL */
    uint32_t tries_left;
    bool backup; /* the tier in turn */
    /* for balancers */
    struct slice key; /* hash */
    const struct addr *client;
    const struct log *log;
};

/* `max_tries` 0: as many as there are peers. */
void up_try_init(struct up_try *try, struct up_group *group, uint32_t max_tries, struct pool *pool,
                 const struct log *log);
/* The next peer, also in try->peer; NULL: no live one. */
MUST_USE struct up_peer *up_try_next(struct up_try *try);

enum up_outcome {
    UP_OUTCOME_OK,
    UP_OUTCOME_FAILED, /* counts towards max_fails */
    UP_OUTCOME_NEUTRAL, /* says nothing about the peer: the client went away, its own mistake */
};
/* The try at try->peer is over. */
void up_try_done(struct up_try *try, enum up_outcome outcome);

static inline bool
up_try_was_tried(const struct up_try *try, uint32_t i)
{
    const uint64_t *w = i < UP_TRIED_WORDS * 64 ? try->tried : try->tried_more;

    return w != NULL && (w[(i / 64) - (w == try->tried ? 0 : UP_TRIED_WORDS)] >> (i % 64) & 1) != 0;
}
