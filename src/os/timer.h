/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers in ms on the loop's clock. Setting a later deadline on an armed timer only stores it; the
 * tree is touched when the earlier one fires and finds the new deadline ahead. So a deadline that
 * moves with every event costs a store.
 */
#pragma once

#include "base/rbtree.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct timer {
    struct rb_node node;
    int64_t key_at; /* where it stands in the tree */
    int64_t deadline; /* when it really fires; INT64_MAX: cancelled */
    bool armed; /* is in the tree */
    void (*fire)(struct timer *t);
};

/* Fire once, delay_ms from now (clock_ms()). Re-setting moves it. */
void timer_set(struct loop *loop, struct timer *t, int64_t delay_ms);
/* Will not fire; stays in the tree until its old place comes up (cheap). */
void timer_cancel(struct timer *t);
/* Out of the tree for good: before the memory goes away. */
void timer_remove(struct loop *loop, struct timer *t);
static inline bool
timer_pending(const struct timer *t)
{
    return t->armed && t->deadline != INT64_MAX;
}
