/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers in ms on the loop's clock, in a binary heap. Setting a later deadline on an armed timer only
 * stores it; the heap is touched when the earlier one comes up and finds the new deadline ahead. So a
 * deadline that moves with every event costs a store.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct timer {
    int64_t key_at; /* its place in the heap */
    int64_t deadline; /* when it really fires; INT64_MAX: cancelled */
    uint32_t at; /* index in the heap + 1; 0: not in it */
    void (*fire)(struct timer *t);
};

/* Fire once, delay_ms from now (clock_ms()). Re-setting moves it. */
void timer_set(struct loop *loop, struct timer *t, int64_t delay_ms);
/* Will not fire; stays in the heap until its old place comes up (cheap). */
void timer_cancel(struct timer *t);
/* Out of the heap for good: before the memory goes away. */
void timer_remove(struct loop *loop, struct timer *t);
static inline bool
timer_pending(const struct timer *t)
{
    return t->at != 0 && t->deadline != INT64_MAX;
}
