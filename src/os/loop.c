/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll loop and timers. What epoll returns with an event is a slot number and a generation, not a
 * pointer: an event for a descriptor that was removed earlier in the same turn finds another
 * generation and is dropped.
 */
#include "os/loop.h"

#include "base/check.h"
#include "base/pool.h"
#include "base/time.h"
#include "os/timer.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_A_TURN 512

struct slot {
    struct loop_fd *lf; /* NULL: free, `next_free` is valid */
    uint32_t generation;
    uint32_t next_free;
};

struct turn_hook {
    void (*fn)(void *arg);
    void *arg;
};

struct loop {
    int epoll_fd;
    bool stopped;
    struct slot *slots;
    uint32_t n_slots;
    uint32_t free_slot; /* index + 1; 0: none */
    struct list posts;
    struct timer **heap;
    uint32_t n_timers;
    uint32_t cap_timers;
    struct turn_hook hooks[8];
    uint32_t n_hooks;
    struct epoll_event events[EVENTS_A_TURN];
};

struct loop *
loop_new(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0) {
        return NULL;
    }
    struct loop *loop = mem_zalloc(sizeof(*loop));

    loop->epoll_fd = fd;
    list_init(&loop->posts);
    clock_update();
    return loop;
}

void
loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    close(loop->epoll_fd);
    mem_free(loop->slots);
    mem_free(loop->heap);
    mem_free(loop);
}

static uint32_t
take_slot(struct loop *loop)
{
    if (loop->free_slot == 0) {
        uint32_t n = loop->n_slots == 0 ? 64 : loop->n_slots * 2;

        loop->slots = mem_realloc(loop->slots, n * sizeof(*loop->slots));
        for (uint32_t i = n; i > loop->n_slots; i--) {
            loop->slots[i - 1] = (struct slot){ .next_free = loop->free_slot };
            loop->free_slot = i;
        }
        loop->n_slots = n;
    }
    uint32_t at = loop->free_slot - 1;

    loop->free_slot = loop->slots[at].next_free;
    return at;
}

static void
give_slot(struct loop *loop, uint32_t at)
{
    loop->slots[at].lf = NULL;
    loop->slots[at].generation++;
    loop->slots[at].next_free = loop->free_slot;
    loop->free_slot = at + 1;
}

bool
loop_add(struct loop *loop, struct loop_fd *lf, bool edge, bool exclusive)
{
    uint32_t at = take_slot(loop);
    struct epoll_event ev = {
        .events = edge ? (uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
                       : (uint32_t)EPOLLIN | (exclusive ? (uint32_t)EPOLLEXCLUSIVE : 0),
        .data.u64 = (uint64_t)loop->slots[at].generation << 32 | at,
    };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, lf->fd, &ev) != 0) {
        give_slot(loop, at);
        return false;
    }
    loop->slots[at].lf = lf;
    lf->index = at;
    lf->generation = loop->slots[at].generation;
    return true;
}

void
loop_remove(struct loop *loop, struct loop_fd *lf)
{
    ASSERT(lf->index < loop->n_slots && loop->slots[lf->index].lf == lf);
    give_slot(loop, lf->index);
    /* Closing the descriptor would do, unless another process holds a copy of it. */
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, lf->fd, NULL);
}

void
loop_forget(struct loop *loop, struct loop_fd *lf)
{
    ASSERT(lf->index < loop->n_slots && loop->slots[lf->index].lf == lf);
    give_slot(loop, lf->index);
}

void
loop_post(struct loop *loop, struct loop_post *post)
{
    if (!post->posted) {
        post->posted = true;
        list_add_tail(&loop->posts, &post->link);
    }
}

void
loop_unpost(struct loop_post *post)
{
    if (post->posted) {
        post->posted = false;
        list_remove(&post->link);
    }
}

void
loop_on_turn_end(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    ASSERT(loop->n_hooks < ARRAY_LEN(loop->hooks));
    loop->hooks[loop->n_hooks++] = (struct turn_hook){ .fn = fn, .arg = arg };
}

/* --- timers -------------------------------------------------------------------------------------- */

static void
heap_set(struct loop *loop, uint32_t i, struct timer *t)
{
    loop->heap[i] = t;
    t->at = i + 1;
}

static void
heap_up(struct loop *loop, uint32_t i, struct timer *t)
{
    while (i > 0 && loop->heap[(i - 1) / 2]->key_at > t->key_at) {
        heap_set(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_set(loop, i, t);
}

static void
heap_down(struct loop *loop, uint32_t i, struct timer *t)
{
    for (;;) {
        uint32_t c = 2 * i + 1;

        if (c >= loop->n_timers) {
            break;
        }
        if (c + 1 < loop->n_timers && loop->heap[c + 1]->key_at < loop->heap[c]->key_at) {
            c++;
        }
        if (loop->heap[c]->key_at >= t->key_at) {
            break;
        }
        heap_set(loop, i, loop->heap[c]);
        i = c;
    }
    heap_set(loop, i, t);
}

static void
heap_take(struct loop *loop, struct timer *t)
{
    uint32_t i = t->at - 1;
    struct timer *last = loop->heap[--loop->n_timers];

    t->at = 0;
    if (last == t) {
        return;
    }
    if (i > 0 && loop->heap[(i - 1) / 2]->key_at > last->key_at) {
        heap_up(loop, i, last);
    } else {
        heap_down(loop, i, last);
    }
}

static void
heap_add(struct loop *loop, struct timer *t)
{
    if (loop->n_timers == loop->cap_timers) {
        loop->cap_timers = loop->cap_timers == 0 ? 64 : loop->cap_timers * 2;
        loop->heap = mem_realloc(loop->heap, loop->cap_timers * sizeof(*loop->heap));
    }
    heap_up(loop, loop->n_timers++, t);
}

void
timer_set(struct loop *loop, struct timer *t, int64_t delay_ms)
{
    t->deadline = clock_ms() + MAX(delay_ms, (int64_t)0);
    if (t->at != 0) {
        if (t->deadline >= t->key_at) {
            return;
        }
        heap_take(loop, t);
    }
    t->key_at = t->deadline;
    heap_add(loop, t);
}

void
timer_cancel(struct timer *t)
{
    t->deadline = INT64_MAX;
}

void
timer_remove(struct loop *loop, struct timer *t)
{
    if (t->at != 0) {
        heap_take(loop, t);
    }
    t->deadline = INT64_MAX;
}

static void
run_timers(struct loop *loop)
{
    int64_t now = clock_ms();

    while (loop->n_timers > 0 && loop->heap[0]->key_at <= now) {
        struct timer *t = loop->heap[0];

        heap_take(loop, t);
        if (t->deadline <= now) {
            t->fire(t);
        } else if (t->deadline != INT64_MAX) {
            t->key_at = t->deadline;
            heap_add(loop, t);
        }
    }
}

/* --- the turn ------------------------------------------------------------------------------------ */

static int
wait_ms(const struct loop *loop, int max_wait_ms)
{
    if (!list_empty(&loop->posts)) {
        return 0;
    }
    if (loop->n_timers == 0) {
        return max_wait_ms;
    }
    int64_t ms = MAX(loop->heap[0]->key_at - clock_ms(), (int64_t)0) + 1;

    return (int)(max_wait_ms >= 0 ? MIN(ms, (int64_t)max_wait_ms) : MIN(ms, (int64_t)60000));
}

static void
run_posts(struct loop *loop)
{
    struct list now;

    if (list_empty(&loop->posts)) {
        return;
    }
    list_init(&now); /* what is posted meanwhile runs in the next turn */
    now.next = loop->posts.next;
    now.prev = loop->posts.prev;
    now.next->prev = &now;
    now.prev->next = &now;
    list_init(&loop->posts);
    while (!list_empty(&now)) {
        struct loop_post *post = list_entry(now.next, struct loop_post, link);

        loop_unpost(post);
        post->run(post);
    }
}

void
loop_turn(struct loop *loop, int max_wait_ms)
{
    int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_A_TURN, wait_ms(loop, max_wait_ms));

    clock_update();
    for (int i = 0; i < n; i++) {
        uint32_t at = (uint32_t)loop->events[i].data.u64;
        struct slot *slot = &loop->slots[at];

        if (slot->lf != NULL && slot->generation == loop->events[i].data.u64 >> 32) {
            slot->lf->on_event(slot->lf, loop->events[i].events);
        }
    }
    run_timers(loop);
    run_posts(loop);
    for (uint32_t i = 0; i < loop->n_hooks; i++) {
        loop->hooks[i].fn(loop->hooks[i].arg);
    }
}

void
loop_run(struct loop *loop)
{
    while (!loop->stopped) {
        loop_turn(loop, -1);
    }
}

void
loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
