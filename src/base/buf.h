/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct buf: a run of bytes in memory or in a file, with nginx's marks: [pos, last) is what is
 * left to read, [start, end) the storage. struct chain: a queue of bufs, linked through them; a buf
 * is in one chain at a time and ownership moves with it.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct pool;

struct buf {
    struct buf *next;
    char *pos;
    char *last;
    char *start;
    char *end;
    off_t file_pos; /* [file_pos, file_last) of fd when in_file */
    off_t file_last;
    int fd; /* borrowed: whoever made the buf keeps it open until release */
    bool in_file;
    bool flush; /* send what is before this at once */
    bool last_buf; /* nothing follows in this body */
    void (*release)(struct buf *b); /* called once the bytes are no longer needed; may be NULL */
    void *owner; /* for release */
};

struct chain {
    struct buf *head;
    struct buf **tail; /* of the last buf's next, or &head */
};

/* A buf in the pool with `size` bytes of storage, empty. */
struct buf *buf_new(struct pool *pool, size_t size);
/* A buf in the pool over bytes that live as long as the pool. */
struct buf *buf_wrap(struct pool *pool, struct slice s);
/* A buf over [from, to) of an open file. */
struct buf *buf_file(struct pool *pool, int fd, off_t from, off_t to);
static inline size_t
buf_len(const struct buf *b)
{
    return b->in_file ? (size_t)(b->file_last - b->file_pos) : (size_t)(b->last - b->pos);
}
static inline size_t
buf_room(const struct buf *b)
{
    return (size_t)(b->end - b->last);
}

void chain_init(struct chain *c);
static inline bool
chain_empty(const struct chain *c)
{
    return c->head == NULL;
}
void chain_push(struct chain *c, struct buf *b); /* at the end */
void chain_push_front(struct chain *c, struct buf *b);
struct buf *chain_pop(struct chain *c); /* NULL when empty */
void chain_move(struct chain *to, struct chain *from); /* append all, leaves from empty */
/* Bytes in it, files included. */
uint64_t chain_len(const struct chain *c);
/* Fill up to max iovecs from the leading memory bufs; stops at a file buf. Returns how many; *bytes is their sum. */
int chain_iovec(const struct chain *c, struct iovec *iov, int max, size_t *bytes);
/* n bytes were sent: advance, pop and release the used-up bufs (empty ones in front as well). */
void chain_consume(struct chain *c, uint64_t n);
/* Release every buf and leave the chain empty. */
void chain_drop(struct chain *c);
