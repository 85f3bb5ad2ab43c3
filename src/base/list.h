/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive doubly linked list with a head node; an element that is in no list points to itself. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_INIT(name)                                                                            \
    {                                                                                              \
        .next = &(name), .prev = &(name)                                                           \
    }

static inline void
list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void
list_add_after(struct list *at, struct list *e)
{
    e->prev = at;
    e->next = at->next;
    at->next->prev = e;
    at->next = e;
}

#define list_add_head(head, e) list_add_after((head), (e))
#define list_add_tail(head, e) list_add_after((head)->prev, (e))

static inline void
list_remove(struct list *e)
{
    e->next->prev = e->prev;
    e->prev->next = e->next;
    list_init(e);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
/* Plain iteration; the _safe form lets the body remove the current element. */
#define list_each(type, it, head, member)                                                          \
    for (type *it = list_entry((head)->next, type, member); &it->member != (head);                 \
         it = list_entry(it->member.next, type, member))
#define list_each_safe(type, it, tmp, head, member)                                                \
    for (type *it = list_entry((head)->next, type, member),                                        \
              *tmp = list_entry(it->member.next, type, member);                                    \
         &it->member != (head); it = tmp, tmp = list_entry(tmp->member.next, type, member))
