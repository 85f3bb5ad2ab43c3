/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The body of a response on its way from the peer to the client: read in large pieces into buffers
 * that a worker recycles, decoded in place, handed to http_output(). What the client does not take
 * stays in memory up to the configured buffers, then in a temporary file, then with the peer.
 */
#pragma once

#include "http/proxy/exchange.h"

/* 64 KiB with its header. */
#define RELAY_BUF_ALLOC 65536
#define RELAY_BUF_RUNS 8

struct relay_buf {
    struct list link; /* in u->bufs, or free ones */
    struct http_exchange *u;
    uint32_t refs; /* runs not sent yet, and one while it is u->cur */
    uint32_t n_runs;
    uint32_t at; /* not decoded yet: [at, used) */
    uint32_t used;
    struct buf runs[RELAY_BUF_RUNS];
    char data[];
};
#define RELAY_BUF_SIZE ((uint32_t)(RELAY_BUF_ALLOC - sizeof(struct relay_buf)))

/* Where the next bytes from the peer go: u->cur with room in it. */
struct relay_buf *relay_room(struct http_exchange *u);
/* Bytes came into u->cur. */
void relay_drop_cur(struct http_exchange *u);

/* The head was passed on; what came with it waits in u->cur. */
void relay_start(struct http_exchange *u);
/* The peer's connection is readable, its read deadline passed. */
void relay_on_read(struct http_exchange *u);
void relay_on_timeout(struct http_exchange *u);
/* Give back all buffers and files; the request ends. */
void relay_free(struct http_exchange *u);
