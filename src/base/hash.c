/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open addressing with linear probing, at most half full. The hash mixes eight bytes at a time with
 * a 128-bit multiplication and a per-process seed, so that peers cannot choose collisions.
 */
#include "base/hash.h"

#include <sys/random.h>

struct entry {
    struct slice key;
    void *value;
    uint64_t hash;
};

struct hash {
    struct pool *pool;
    struct entry *entries;
    size_t mask;
    size_t n;
    bool fold_case;
};

static uint64_t
seed(void)
{
    static uint64_t value;

    if (UNLIKELY(value == 0)) {
        if (getrandom(&value, sizeof(value), 0) != sizeof(value) || value == 0) {
            value = 0x9e3779b97f4a7c15ULL;
        }
    }
    return value;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ULL) * (b ^ 0xc2b2ae3d27d4eb4fULL);

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t
load(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

uint64_t
hash_bytes(struct slice s)
{
    uint64_t h = seed() ^ s.n;

    while (s.n >= 8) {
        h = mix(h, load(s.p, 8));
        s = slice_from(s, 8);
    }
    return s.n > 0 ? mix(h, load(s.p, s.n)) : mix(h, 1);
}

uint64_t
hash_bytes_folded(struct slice s)
{
    uint64_t h = seed() ^ s.n;
    char low[8];

    while (s.n > 0) {
        size_t n = MIN(s.n, sizeof(low));

        for (size_t i = 0; i < n; i++) {
            low[i] = ascii_lower(s.p[i]);
        }
        h = mix(h, load(low, n));
        s = slice_from(s, n);
    }
    return mix(h, 1);
}

struct hash *
hash_new(struct pool *pool, bool fold_case)
{
    struct hash *h = POOL_NEW(pool, struct hash);

    h->pool = pool;
    h->fold_case = fold_case;
    return h;
}

static bool
same(const struct hash *h, const struct entry *e, uint64_t hv, struct slice key)
{
    return e->hash == hv && (h->fold_case ? slice_case_eq(e->key, key) : slice_eq(e->key, key));
}

static struct entry *
find(const struct hash *h, struct slice key, uint64_t hv)
{
    size_t i = hv & h->mask;

    while (h->entries[i].value != NULL && !same(h, &h->entries[i], hv, key)) {
        i = (i + 1) & h->mask;
    }
    return &h->entries[i];
}

static uint64_t
hash_key(const struct hash *h, struct slice key)
{
    return h->fold_case ? hash_bytes_folded(key) : hash_bytes(key);
}

void *
hash_get(const struct hash *h, struct slice key)
{
    return h->n == 0 ? NULL : find(h, key, hash_key(h, key))->value;
}

static void
grow(struct hash *h)
{
    struct entry *old = h->entries;
    size_t old_n = old == NULL ? 0 : h->mask + 1;
    size_t size = old_n == 0 ? 8 : old_n * 2;

    h->entries = pool_zalloc(h->pool, size * sizeof(*h->entries));
    h->mask = size - 1;
    for (size_t i = 0; i < old_n; i++) {
        if (old[i].value != NULL) {
            *find(h, old[i].key, old[i].hash) = old[i];
        }
    }
}

void *
hash_put(struct hash *h, struct slice key, void *value)
{
    if (h->entries == NULL || h->n * 2 >= h->mask + 1) {
        grow(h);
    }
    uint64_t hv = hash_key(h, key);
    struct entry *e = find(h, key, hv);
    void *old = e->value;

    if (old == NULL) {
        h->n++;
    }
    *e = (struct entry){ .key = key, .value = value, .hash = hv };
    return old;
}

size_t
hash_count(const struct hash *h)
{
    return h->n;
}

void
hash_each(const struct hash *h, bool (*fn)(void *arg, struct slice key, void *value), void *arg)
{
    for (size_t i = 0; h->entries != NULL && i <= h->mask; i++) {
        if (h->entries[i].value != NULL && !fn(arg, h->entries[i].key, h->entries[i].value)) {
            return;
        }
    }
}
