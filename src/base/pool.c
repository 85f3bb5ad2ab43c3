/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Region allocator. A pool is a chain of blocks; the struct itself lives in the first. Blocks of
 * the default size are kept in a bounded process-wide list, so that a request costs no malloc. A
 * request that is larger than a block gets a block of its own, behind the current one.
 */
#include "base/pool.h"

#include "base/check.h"
#include "base/vec.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_DEFAULT 4096
#define FREE_BLOCKS_MAX 1024
#define ALIGNMENT 16

struct block {
    struct block *next;
    size_t size; /* of all of it */
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *arg);
    void *arg;
};

struct pool {
    char *pos; /* of the current block */
    char *end;
    struct block *blocks; /* newest first; the last one holds this struct */
    struct cleanup *cleanups;
    size_t taken;
    size_t block_size;
};

static struct block *free_blocks;
static size_t n_free_blocks;

void *
mem_alloc(size_t size)
{
    void *p = malloc(size == 0 ? 1 : size);

    if (p == NULL) {
        check_no_memory(size);
    }
    return p;
}

void *
mem_zalloc(size_t size)
{
    void *p = calloc(1, size == 0 ? 1 : size);

    if (p == NULL) {
        check_no_memory(size);
    }
    return p;
}

void *
mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size == 0 ? 1 : size);

    if (q == NULL) {
        check_no_memory(size);
    }
    return q;
}

void
mem_free(void *p)
{
    free(p);
}

static struct block *
block_new(size_t size)
{
    struct block *b;

    if (size == BLOCK_DEFAULT && free_blocks != NULL) {
        b = free_blocks;
        free_blocks = b->next;
        n_free_blocks--;
    } else {
        b = mem_alloc(size);
    }
    b->next = NULL;
    b->size = size;
    return b;
}

static void
block_free(struct block *b)
{
#ifndef __SANITIZE_ADDRESS__ /* so that a stale pointer is seen */
    if (b->size == BLOCK_DEFAULT && n_free_blocks < FREE_BLOCKS_MAX) {
        b->next = free_blocks;
        free_blocks = b;
        n_free_blocks++;
        return;
    }
#endif
    mem_free(b);
}

struct pool *
pool_new(size_t size)
{
    size_t head = ALIGN_UP(sizeof(struct block), (size_t)ALIGNMENT) +
                  ALIGN_UP(sizeof(struct pool), (size_t)ALIGNMENT);
    size_t block_size = size == 0 ? BLOCK_DEFAULT : MAX(size, head + 64);
    struct block *b = block_new(block_size);
    struct pool *pool = (void *)((char *)b + ALIGN_UP(sizeof(struct block), (size_t)ALIGNMENT));

    pool->blocks = b;
    pool->pos = (char *)b + head;
    pool->end = (char *)b + block_size;
    pool->cleanups = NULL;
    pool->taken = block_size;
    pool->block_size = MAX(block_size, (size_t)BLOCK_DEFAULT);
    return pool;
}

static void
run_cleanups(struct pool *pool)
{
    while (pool->cleanups != NULL) {
        struct cleanup *c = pool->cleanups;

        pool->cleanups = c->next;
        c->fn(c->arg);
    }
}

void
pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    run_cleanups(pool);
    struct block *b = pool->blocks; /* the struct lives in the last block */

    while (b != NULL) {
        struct block *next = b->next;

        block_free(b);
        b = next;
    }
}

void
pool_reset(struct pool *pool)
{
    run_cleanups(pool);
    while (pool->blocks->next != NULL) {
        struct block *b = pool->blocks;

        pool->blocks = b->next;
        pool->taken -= b->size;
        block_free(b);
    }
    struct block *b = pool->blocks;

    pool->pos = (char *)b + ALIGN_UP(sizeof(struct block), (size_t)ALIGNMENT) +
                ALIGN_UP(sizeof(struct pool), (size_t)ALIGNMENT);
    pool->end = (char *)b + b->size;
}

/* Large ones get a block of their own; the current block stays in use. */
static char *
alloc_slow(struct pool *pool, size_t size)
{
    size_t head = ALIGN_UP(sizeof(struct block), (size_t)ALIGNMENT);
    bool own = size + head > pool->block_size / 2;
    struct block *b = block_new(own ? size + head : pool->block_size);

    pool->taken += b->size;
    if (own) { /* behind the current block, which stays the first */
        b->next = pool->blocks->next;
        pool->blocks->next = b;
        if (b->next == NULL && pool->blocks->size != 0) {
            /* The struct must stay in the last block: swap the order. */
            struct block *first = pool->blocks;

            b->next = first;
            first->next = NULL;
            pool->blocks = b;
        }
        return (char *)b + head;
    }
    b->next = pool->blocks;
    pool->blocks = b;
    pool->pos = (char *)b + head + size;
    pool->end = (char *)b + b->size;
    return (char *)b + head;
}

void *
pool_alloc(struct pool *pool, size_t size)
{
    char *p = (char *)ALIGN_UP((uintptr_t)pool->pos, (uintptr_t)ALIGNMENT);

    if (LIKELY(p <= pool->end && (size_t)(pool->end - p) >= size)) {
        pool->pos = p + size;
        return p;
    }
    return alloc_slow(pool, size);
}

void *
pool_zalloc(struct pool *pool, size_t size)
{
    return memset(pool_alloc(pool, size), 0, size);
}

char *
pool_bytes(struct pool *pool, size_t size)
{
    if (LIKELY((size_t)(pool->end - pool->pos) >= size)) {
        char *p = pool->pos;

        pool->pos += size;
        return p;
    }
    return alloc_slow(pool, size);
}

void
pool_give_back(struct pool *pool, void *p, size_t size)
{
    if ((char *)p + size == pool->pos) {
        pool->pos = p;
    }
}

bool
pool_extend(struct pool *pool, void *p, size_t size, size_t new_size)
{
    if ((char *)p + size != pool->pos || (size_t)(pool->end - (char *)p) < new_size) {
        return false;
    }
    pool->pos = (char *)p + new_size;
    return true;
}

struct slice
pool_copy(struct pool *pool, struct slice s)
{
    char *p = pool_bytes(pool, s.n + 1);

    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return slice_of(p, s.n);
}

struct slice
pool_lower(struct pool *pool, struct slice s)
{
    char *p = pool_bytes(pool, s.n + 1);

    for (size_t i = 0; i < s.n; i++) {
        p[i] = ascii_lower(s.p[i]);
    }
    p[s.n] = '\0';
    return slice_of(p, s.n);
}

char *
pool_str(struct pool *pool, struct slice s)
{
    char *p = pool_bytes(pool, s.n + 1);

    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return p;
}

struct slice
pool_vprintf(struct pool *pool, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);

    va_end(again);
    if (n < 0) {
        return SLICE("");
    }
    char *p = pool_bytes(pool, (size_t)n + 1);

    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return slice_of(p, (size_t)n);
}

struct slice
pool_printf(struct pool *pool, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct slice s = pool_vprintf(pool, fmt, ap);

    va_end(ap);
    return s;
}

struct slice
pool_concat(struct pool *pool, const struct slice *parts, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++) {
        total += parts[i].n;
    }
    char *p = pool_bytes(pool, total + 1);
    char *at = p;

    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0) {
            memcpy(at, parts[i].p, parts[i].n);
            at += parts[i].n;
        }
    }
    *at = '\0';
    return slice_of(p, total);
}

void
pool_on_free(struct pool *pool, void (*fn)(void *arg), void *arg)
{
    struct cleanup *c = pool_alloc(pool, sizeof(*c));

    *c = (struct cleanup){ .next = pool->cleanups, .fn = fn, .arg = arg };
    pool->cleanups = c;
}

void
pool_cancel(struct pool *pool, void (*fn)(void *arg), void *arg)
{
    for (struct cleanup **at = &pool->cleanups; *at != NULL; at = &(*at)->next) {
        if ((*at)->fn == fn && (*at)->arg == arg) {
            *at = (*at)->next;
            return;
        }
    }
}

size_t
pool_size(const struct pool *pool)
{
    return pool->taken;
}

void *
vec_grow(struct pool *pool, void *items, size_t *n, size_t *cap, size_t item_size)
{
    if (*n == *cap) {
        size_t new_cap = *cap == 0 ? 4 : *cap * 2;
        void *bigger = pool_alloc(pool, new_cap * item_size);

        if (*n > 0) {
            memcpy(bigger, items, *n * item_size);
        }
        items = bigger;
        *cap = new_cap;
    }
    memset((char *)items + *n * item_size, 0, item_size);
    (*n)++;
    return items;
}
