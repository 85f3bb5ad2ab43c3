/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The epoll loop of a process. A descriptor is registered once, edge-triggered, for its whole life
 * (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET); its owner keeps the readiness. Posted events run in
 * order after the descriptors of a turn; "turn end" hooks run last (access log flush, h2 frames).
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct log;

/* Embedded in whoever owns a descriptor. `events` are EPOLL* bits. After loop_remove() no further
 * call comes, also not for events that this turn already fetched. */
struct loop_fd {
    int fd;
    uint32_t index; /* private: slot and generation against stale events */
    uint32_t generation;
    void (*on_event)(struct loop_fd *lf, uint32_t events);
};

/* Work put off to the end of the turn; embedded. Posting twice is posting once. */
struct loop_post {
    struct list link;
    bool posted;
    void (*run)(struct loop_post *post);
};

struct loop_stats {
    uint64_t turns;
};

/* The process's loop; made once after fork. NULL on failure (errno). */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Register lf->fd. `edge`: all events edge-triggered; otherwise level-triggered EPOLLIN only
 * (listening sockets, with `exclusive` adding EPOLLEXCLUSIVE). False with errno on failure. */
bool loop_add(struct loop *loop, struct loop_fd *lf, bool edge, bool exclusive);
void loop_remove(struct loop *loop, struct loop_fd *lf);
/* The same for a descriptor that is closed at once and that nobody else holds: saves the epoll_ctl. */
void loop_forget(struct loop *loop, struct loop_fd *lf);

void loop_post(struct loop *loop, struct loop_post *post);
void loop_unpost(struct loop_post *post);

/* Run fn(arg) at the end of every turn, in the order added. */
void loop_on_turn_end(struct loop *loop, void (*fn)(void *arg), void *arg);

/* One turn: wait (no longer than the next timer, or max_wait_ms when >= 0), update the clock, timers, fds, posts, turn-end. */
void loop_turn(struct loop *loop, int max_wait_ms);
/* Turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
