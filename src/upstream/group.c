/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers, tries and their accounting. Everything that all balancing methods need is done here once:
 * which peers may be used, backups after primaries, max_fails and fail_timeout, max_conns.
 *
 * The lock of a group is a word in its shared state that holds the owner's pid. It is held for a
 * walk over the peers and never over a system call; a waiter that finds it held for long asks
 * whether the owner lives, and repairs the state of a dead one. A group of one peer, the most
 * common kind, never takes it to choose.
 */
#include "upstream/group.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/time.h"
#include "upstream/balancer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* Weights are bounded so that sums of current weights stay in 32 bits. */
#define WEIGHT_MAX 65535
#define SPINS_BEFORE_YIELD 200
#define YIELDS_BEFORE_CHECK 50

/* --- lock -------------------------------------------------------------------------------------- */

static uint32_t
self_pid(void)
{
    static uint32_t pid; /* only workers lock, and a worker does not fork */

    if (UNLIKELY(pid == 0)) {
        pid = (uint32_t)getpid();
    }
    return pid;
}

static bool
owner_is_dead(uint32_t pid)
{
    return pid != 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static bool
try_lock(struct up_group_shared *s, uint32_t expect)
{
    return __atomic_compare_exchange_n(&s->lock, &expect, self_pid(), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static void
group_lock(struct up_group_shared *s)
{
    unsigned spins = 0;

    while (!try_lock(s, 0)) {
        if (++spins % SPINS_BEFORE_YIELD != 0) {
            continue;
        }
        sched_yield();
        uint32_t owner = __atomic_load_n(&s->lock, __ATOMIC_RELAXED);

        if (spins % (SPINS_BEFORE_YIELD * YIELDS_BEFORE_CHECK) == 0 && owner_is_dead(owner) &&
            try_lock(s, owner)) {
            up_group_recover(s);
            return;
        }
    }
}

static void
group_unlock(struct up_group_shared *s)
{
    __atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE);
}

void
up_group_recover(struct up_group_shared *shared)
{
    for (uint32_t i = 0; i < shared->n_peers; i++) {
        shared->peers[i].current_weight = 0;
    }
}

/* --- building ---------------------------------------------------------------------------------- */

void
up_server_defaults(struct up_server *s)
{
    *s = (struct up_server){ .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000, .slots = 1 };
}

static void
add_peer(struct up_group *g, struct pool *pool, const struct up_server *s, const struct addr *addr)
{
    struct up_peer *p = &g->peers[g->n_peers];

    *p = (struct up_peer){
        .magic = MAGIC_PEER,
        .index = g->n_peers++,
        .group = g,
        .name = addr != NULL ? addr_text(pool, addr, true) : s->name,
        .server = s->name,
        .weight = (int32_t)MIN(s->weight, (int64_t)WEIGHT_MAX),
        .max_fails = (uint32_t)s->max_fails,
        .fail_timeout_ms = s->fail_timeout_ms,
        .max_conns = (uint32_t)s->max_conns,
        .backup = s->backup,
        .down = s->down,
        .unresolved = addr == NULL,
    };
    if (addr != NULL) {
        p->addr = *addr;
    }
    list_init(&p->idle);
    g->n_primary += !s->backup;
    g->n_usable += !s->down && addr != NULL;
}

void
up_group_build(struct up_group *g, struct pool *pool, const struct up_server *servers, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++) {
        total += servers[i].n_addrs != 0 ? servers[i].n_addrs : servers[i].slots;
    }
    g->peers = POOL_ARRAY(pool, struct up_peer, total);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < servers[i].n_addrs; k++) {
            add_peer(g, pool, &servers[i], &servers[i].addrs[k]);
        }
        for (size_t k = 0; servers[i].n_addrs == 0 && k < servers[i].slots; k++) {
            add_peer(g, pool, &servers[i], NULL);
        }
    }
    if (g->balancer == NULL) {
        g->balancer = &up_round_robin;
    }
}

size_t
up_group_shared_size(const struct up_group *g)
{
    return sizeof(struct up_group_shared) + g->n_peers * sizeof(struct up_peer_shared);
}

/* FNV-1a over what makes a peer the same peer; stable between processes and versions. */
static uint64_t
signature_add(uint64_t h, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3ULL;
    }
    return (h ^ 0xff) * 0x100000001b3ULL;
}

static uint64_t
group_signature(const struct up_group *g)
{
    uint64_t h = 0xcbf29ce484222325ULL;

    for (uint32_t i = 0; i < g->n_peers; i++) {
        h = signature_add(h, g->peers[i].name);
        h = signature_add(h, slice_of(&g->peers[i].weight, sizeof(g->peers[i].weight)));
    }
    return h;
}

void
up_group_attach(struct up_group *g, void *mem)
{
    struct up_group_shared *s = mem;
    uint64_t signature = group_signature(g);

    g->shared = s;
    if (s->signature == signature && s->n_peers == g->n_peers) {
        return;
    }
    *s = (struct up_group_shared){ .n_peers = g->n_peers };
    for (uint32_t i = 0; i < g->n_peers; i++) {
        s->peers[i] = (struct up_peer_shared){ .effective_weight = g->peers[i].weight };
    }
    s->signature = signature;
}

void
up_group_resolved(struct up_group *g, struct slice server, const struct addr *addrs, size_t n,
                  struct pool *pool)
{
    for (uint32_t i = 0; i < g->n_peers && n > 0; i++) {
        struct up_peer *p = &g->peers[i];

        if (!p->unresolved || !slice_eq(p->server, server)) {
            continue;
        }
        p->addr = *addrs++;
        n--;
        p->name = addr_text(pool, &p->addr, true);
        p->unresolved = false;
        g->n_usable += !p->down;
    }
}

/* --- tries ------------------------------------------------------------------------------------- */

bool
up_peer_usable(const struct up_peer *peer, const struct up_try *try)
{
    const struct up_group *g = peer->group;
    const struct up_peer_shared *s = &g->shared->peers[peer->index];

    if (peer->backup != try->backup || peer->down || peer->unresolved ||
        up_try_was_tried(try, peer->index)) {
        return false;
    }
    if (peer->max_conns != 0 &&
        __atomic_load_n(&s->conns, __ATOMIC_RELAXED) >= peer->max_conns) {
        return false;
    }
    /* A single server is never considered unavailable, whatever max_fails says (as in nginx). */
    if (g->n_peers == 1 || peer->max_fails == 0 || s->fails < peer->max_fails) {
        return true;
    }
    return clock_ms() - s->checked_ms > peer->fail_timeout_ms;
}

void
up_try_init(struct up_try *try, struct up_group *group, uint32_t max_tries, struct pool *pool,
            const struct log *log)
{
    *try = (struct up_try){ .group = group, .log = log };
    try->tries_left = MAX(group->n_usable, 1u);
    if (max_tries != 0) {
        try->tries_left = MIN(try->tries_left, max_tries);
    }
    if (group->n_peers > UP_TRIED_WORDS * 64) {
        try->tried_more = POOL_ARRAY(pool, uint64_t, (group->n_peers + 63) / 64 - UP_TRIED_WORDS);
    }
}

static void
mark_tried(struct up_try *try, uint32_t i)
{
    uint64_t *w = i < UP_TRIED_WORDS * 64 ? &try->tried[i / 64]
                                          : &try->tried_more[i / 64 - UP_TRIED_WORDS];

    *w |= UINT64_C(1) << (i % 64);
}

/* A peer beyond its fail_timeout gets this one request as its probe: others wait for the outcome. */
static void
note_chance(const struct up_peer *peer)
{
    struct up_peer_shared *s = &peer->group->shared->peers[peer->index];

    if (s->fails != 0 && clock_ms() - s->checked_ms > peer->fail_timeout_ms) {
        s->checked_ms = clock_ms();
    }
}

static struct up_peer *
pick_among(struct up_try *try)
{
    struct up_group *g = try->group;

    try->backup = false;
    struct up_peer *peer = g->balancer->pick(g, try);

    if (peer == NULL && g->n_primary < g->n_peers) {
        try->backup = true;
        peer = g->balancer->pick(g, try);
    }
    if (peer != NULL) {
        note_chance(peer);
    }
    return peer;
}

struct up_peer *
up_try_next(struct up_try *try)
{
    struct up_group *g = try->group;
    struct up_peer *peer;

    if (g->n_peers == 1) {
        peer = up_peer_usable(&g->peers[0], try) ? &g->peers[0] : NULL;
    } else {
        group_lock(g->shared);
        peer = pick_among(try);
        group_unlock(g->shared);
    }
    if (peer == NULL) {
        return NULL;
    }
    mark_tried(try, peer->index);
    try->tries_left -= try->tries_left > 0;
    __atomic_fetch_add(&g->shared->peers[peer->index].conns, 1, __ATOMIC_RELAXED);
    try->peer = peer;
    return peer;
}

static void
count_failure(const struct up_try *try, const struct up_peer *peer, struct up_peer_shared *s)
{
    const struct up_group *g = peer->group;
    bool now_down = false;

    if (g->n_peers == 1) {
        return;
    }
    group_lock(g->shared);
    s->accessed_ms = clock_ms();
    s->checked_ms = s->accessed_ms;
    s->fails++;
    if (peer->max_fails != 0) {
        s->effective_weight -= peer->weight / (int32_t)MIN(peer->max_fails, (uint32_t)WEIGHT_MAX);
        s->effective_weight = MAX(s->effective_weight, 0);
        now_down = s->fails >= peer->max_fails;
    }
    group_unlock(g->shared);
    if (now_down) {
        log_error(try->log, LOG_LVL_WARN, 0, "upstream server temporarily disabled");
    }
}

/* A success after the last failure's chance period clears the count. */
static void
count_success(const struct up_peer *peer, struct up_peer_shared *s)
{
    if (LIKELY(__atomic_load_n(&s->fails, __ATOMIC_RELAXED) == 0)) {
        return;
    }
    group_lock(peer->group->shared);
    if (s->accessed_ms < s->checked_ms || clock_ms() - s->accessed_ms > peer->fail_timeout_ms) {
        s->fails = 0;
    }
    group_unlock(peer->group->shared);
}

static void
drop_conn(struct up_peer_shared *s)
{
    uint32_t n = __atomic_load_n(&s->conns, __ATOMIC_RELAXED);

    while (n > 0 && !__atomic_compare_exchange_n(&s->conns, &n, n - 1, true, __ATOMIC_RELAXED,
                                                 __ATOMIC_RELAXED)) {
    }
}

void
up_try_done(struct up_try *try, enum up_outcome outcome)
{
    const struct up_peer *peer = try->peer;

    if (peer == NULL) {
        return;
    }
    CHECK_MAGIC(peer, MAGIC_PEER);
    struct up_peer_shared *s = &try->group->shared->peers[peer->index];

    drop_conn(s);
    switch (outcome) {
    case UP_OUTCOME_OK:
        count_success(peer, s);
        break;
    case UP_OUTCOME_FAILED:
        count_failure(try, peer, s);
        break;
    case UP_OUTCOME_NEUTRAL:
        break;
    }
    try->peer = NULL;
}
