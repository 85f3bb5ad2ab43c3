/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups of peers: smooth weighted round robin, backups, max_fails, max_conns, tries. */
#include "base/pool.h"
#include "base/time.h"
#include "upstream/balancer.h"
#include "upstream/group.h"

#include <stdio.h>
#include <stdlib.h>

static int n_tests;
static int n_failed;

static void
ok(bool passed, const char *name)
{
    n_tests++;
    n_failed += !passed;
    printf("%s %d - %s\n", passed ? "ok" : "not ok", n_tests, name);
}

static struct log quiet;

struct setup {
    const char *name;
    int64_t weight;
    bool backup;
    bool down;
    int64_t max_fails;
    int64_t max_conns;
};

static struct up_group *
make(struct pool *pool, const struct setup *s, size_t n)
{
    struct up_group *g = POOL_NEW(pool, struct up_group);
    struct up_server *servers = POOL_ARRAY(pool, struct up_server, n);

    for (size_t i = 0; i < n; i++) {
        up_server_defaults(&servers[i]);
        servers[i].name = slice_str(s[i].name);
        servers[i].addrs = POOL_NEW(pool, struct addr);
        servers[i].n_addrs = 1;
        servers[i].weight = s[i].weight;
        servers[i].backup = s[i].backup;
        servers[i].down = s[i].down;
        servers[i].max_fails = s[i].max_fails;
        servers[i].max_conns = s[i].max_conns;
        if (!addr_parse_ip(SLICE("127.0.0.1"), servers[i].addrs)) {
            abort();
        }
        addr_set_port(servers[i].addrs, (uint16_t)(1000 + i));
    }
    g->name = SLICE("test");
    up_group_build(g, pool, servers, n);
    up_group_attach(g, pool_zalloc(pool, up_group_shared_size(g)));
    return g;
}

/* One request that goes well; '-' when nobody is there. */
static char
request(struct pool *pool, struct up_group *g)
{
    struct up_try try;

    up_try_init(&try, g, 0, pool, &quiet);
    struct up_peer *p = up_try_next(&try);

    if (p == NULL) {
        return '-';
    }
    up_try_done(&try, UP_OUTCOME_OK);
    return p->server.p[0];
}

static void
sequence_is(struct pool *pool, const struct setup *s, size_t n, const char *want)
{
    struct up_group *g = make(pool, s, n);
    char got[64] = { 0 };

    for (size_t i = 0; i < strlen(want); i++) {
        got[i] = request(pool, g);
    }
    ok(strcmp(got, want) == 0, want);
    if (strcmp(got, want) != 0) {
        printf("# got %s\n", got);
    }
}

static void
test_sequences(struct pool *pool)
{
    static const struct setup three_one[] = { { "A", 3, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup five_one[] = { { "A", 5, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup equal[] = { { "A", 1, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup backup[] = { { "A", 1, 0, 0, 1, 0 }, { "B", 1, 1, 0, 1, 0 } };
    static const struct setup down[] = { { "A", 1, 0, 1, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup all_down[] = { { "A", 1, 0, 1, 1, 0 }, { "B", 1, 0, 1, 1, 0 } };
    static const struct setup three[] = { { "A", 5, 0, 0, 1, 0 },
                                          { "B", 1, 0, 0, 1, 0 },
                                          { "C", 1, 0, 0, 1, 0 } };

    sequence_is(pool, three_one, 2, "AABAAABAAABA");
    sequence_is(pool, five_one, 2, "AAABAAAAABAA");
    sequence_is(pool, equal, 2, "ABABABABABAB");
    sequence_is(pool, backup, 2, "AAAAAAAAAAAA");
    sequence_is(pool, down, 2, "BBBB");
    sequence_is(pool, all_down, 2, "---");
    sequence_is(pool, three, 3, "AABACAA");
}

static void
test_failures(struct pool *pool)
{
    static const struct setup two[] = { { "A", 1, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup with_backup[] = { { "A", 1, 0, 0, 1, 0 }, { "B", 1, 1, 0, 1, 0 } };
    static const struct setup one[] = { { "A", 1, 0, 0, 1, 0 } };
    struct up_group *g = make(pool, two, 2);
    struct up_try try;

    up_try_init(&try, g, 0, pool, &quiet);
    struct up_peer *a = up_try_next(&try);

    ok(a != NULL && a->server.p[0] == 'A' && try.tries_left == 1, "first try is A, one is left");
    up_try_done(&try, UP_OUTCOME_FAILED);
    struct up_peer *b = up_try_next(&try);

    ok(b != NULL && b->server.p[0] == 'B' && try.tries_left == 0, "the next one is B");
    up_try_done(&try, UP_OUTCOME_OK);
    ok(up_try_next(&try) == NULL, "nobody is left for this request");
    ok(request(pool, g) == 'B' && request(pool, g) == 'B', "A is out for fail_timeout");

    /* Fail_timeout passes. */
    g->shared->peers[0].checked_ms -= 10001;
    g->shared->peers[0].accessed_ms -= 10001;
    int seen_a = 0;

    for (int i = 0; i < 6; i++) {
        seen_a += request(pool, g) == 'A';
    }
    ok(seen_a >= 2, "A comes back after a success");
    ok(g->shared->peers[0].fails == 0, "and its failures are forgotten");

    g = make(pool, with_backup, 2);
    up_try_init(&try, g, 0, pool, &quiet);
    (void)!up_try_next(&try);
    up_try_done(&try, UP_OUTCOME_FAILED);
    b = up_try_next(&try);
    ok(b != NULL && b->backup, "a backup after the primaries");
    up_try_done(&try, UP_OUTCOME_OK);

    g = make(pool, one, 1);
    for (int i = 0; i < 3; i++) {
        up_try_init(&try, g, 0, pool, &quiet);
        (void)!up_try_next(&try);
        up_try_done(&try, UP_OUTCOME_FAILED);
    }
    ok(request(pool, g) == 'A', "a single peer is never given up");
}

static void
test_max_conns(struct pool *pool)
{
    static const struct setup two[] = { { "A", 1, 0, 0, 1, 1 }, { "B", 1, 0, 0, 1, 1 } };
    struct up_group *g = make(pool, two, 2);
    struct up_try tries[3];

    for (int i = 0; i < 3; i++) {
        up_try_init(&tries[i], g, 0, pool, &quiet);
    }
    ok(up_try_next(&tries[0]) != NULL && up_try_next(&tries[1]) != NULL, "two at once");
    ok(up_try_next(&tries[2]) == NULL, "max_conns keeps the third one out");
    up_try_done(&tries[0], UP_OUTCOME_NEUTRAL);
    ok(up_try_next(&tries[2]) != NULL, "a place became free");
    up_try_done(&tries[1], UP_OUTCOME_NEUTRAL);
    up_try_done(&tries[2], UP_OUTCOME_NEUTRAL);
    ok(g->shared->peers[0].conns == 0 && g->shared->peers[1].conns == 0, "counts are even");
}

static void
test_attach(struct pool *pool)
{
    static const struct setup two[] = { { "A", 1, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    static const struct setup other[] = { { "A", 2, 0, 0, 1, 0 }, { "B", 1, 0, 0, 1, 0 } };
    struct up_group *g = make(pool, two, 2);

    g->shared->peers[1].fails = 7;
    struct up_group *same = make(pool, two, 2);

    up_group_attach(same, g->shared);
    ok(same->shared->peers[1].fails == 7, "state of the same peers is adopted");
    struct up_group *changed = make(pool, other, 2);

    up_group_attach(changed, g->shared);
    ok(changed->shared->peers[1].fails == 0, "state of other peers is not");
}

static void
test_many(struct pool *pool)
{
    enum { N = 300 };
    struct setup *s = POOL_ARRAY(pool, struct setup, N);
    struct up_try try;
    uint32_t n = 0;

    for (int i = 0; i < N; i++) {
        s[i] = (struct setup){ "x", 1, 0, 0, 0, 0 };
    }
    struct up_group *g = make(pool, s, N);

    up_try_init(&try, g, 0, pool, &quiet);
    while (up_try_next(&try) != NULL) {
        up_try_done(&try, UP_OUTCOME_FAILED);
        n++;
    }
    ok(n == N, "each of 300 peers is tried once");
}

int
main(void)
{
    struct pool *pool = pool_new(0);

    clock_update();
    test_sequences(pool);
    test_failures(pool);
    test_max_conns(pool);
    test_attach(pool);
    test_many(pool);
    pool_free(pool);
    printf("1..%d\n", n_tests);
    return n_failed == 0 ? 0 : 1;
}
