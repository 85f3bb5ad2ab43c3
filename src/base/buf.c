/* SPDX-License-Identifier: BSD-2-Clause */
/* Bufs and chains of them. */
#include "base/buf.h"

#include "base/pool.h"

struct buf *
buf_new(struct pool *pool, size_t size)
{
    struct buf *b = POOL_NEW(pool, struct buf);

    b->start = pool_bytes(pool, size);
    b->end = b->start + size;
    b->pos = b->start;
    b->last = b->start;
    return b;
}

struct buf *
buf_wrap(struct pool *pool, struct slice s)
{
    struct buf *b = POOL_NEW(pool, struct buf);

    b->start = (char *)(size_t)s.p; /* only read through pos and last */
    b->end = b->start + s.n;
    b->pos = b->start;
    b->last = b->end;
    return b;
}

struct buf *
buf_file(struct pool *pool, int fd, off_t from, off_t to)
{
    struct buf *b = POOL_NEW(pool, struct buf);

    b->in_file = true;
    b->fd = fd;
    b->file_pos = from;
    b->file_last = to;
    return b;
}

void
chain_init(struct chain *c)
{
    c->head = NULL;
    c->tail = &c->head;
}

void
chain_push(struct chain *c, struct buf *b)
{
    b->next = NULL;
    *c->tail = b;
    c->tail = &b->next;
}

void
chain_push_front(struct chain *c, struct buf *b)
{
    b->next = c->head;
    if (c->head == NULL) {
        c->tail = &b->next;
    }
    c->head = b;
}

struct buf *
chain_pop(struct chain *c)
{
    struct buf *b = c->head;

    if (b == NULL) {
        return NULL;
    }
    c->head = b->next;
    if (c->head == NULL) {
        c->tail = &c->head;
    }
    b->next = NULL;
    return b;
}

void
chain_move(struct chain *to, struct chain *from)
{
    if (from->head == NULL) {
        return;
    }
    *to->tail = from->head;
    to->tail = from->tail;
    chain_init(from);
}

uint64_t
chain_len(const struct chain *c)
{
    uint64_t n = 0;

    for (const struct buf *b = c->head; b != NULL; b = b->next) {
        n += buf_len(b);
    }
    return n;
}

int
chain_iovec(const struct chain *c, struct iovec *iov, int max, size_t *bytes)
{
    int n = 0;

    *bytes = 0;
    for (const struct buf *b = c->head; b != NULL && !b->in_file && n < max; b = b->next) {
        if (b->pos == b->last) {
            continue;
        }
        iov[n].iov_base = b->pos;
        iov[n].iov_len = (size_t)(b->last - b->pos);
        *bytes += iov[n].iov_len;
        n++;
    }
    return n;
}

void
chain_consume(struct chain *c, uint64_t n)
{
    while (c->head != NULL) {
        struct buf *b = c->head;
        size_t len = buf_len(b);

        if (len > n) {
            if (b->in_file) {
                b->file_pos += (off_t)n;
            } else {
                b->pos += n;
            }
            return;
        }
        n -= len;
        chain_pop(c);
        if (b->release != NULL) {
            b->release(b);
        }
    }
}

void
chain_drop(struct chain *c)
{
    struct buf *b;

    while ((b = chain_pop(c)) != NULL) {
        if (b->release != NULL) {
            b->release(b);
        }
    }
}
