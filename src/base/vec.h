/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Typed growable array in a pool: VEC(int) v = {0}; *VEC_PUSH(&v, pool) = 3; v.items[0]; v.n.
 * Growth copies, so pointers to items live until the next push.
 */
#pragma once

#include "base/pool.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t n;                                                                                  \
        size_t cap;                                                                                \
    }

/* Room for one more item; returns where (zeroed). */
void *vec_grow(struct pool *pool, void *items, size_t *n, size_t *cap, size_t item_size);

#define VEC_PUSH(v, pool)                                                                          \
    ({                                                                                             \
        (v)->items =                                                                               \
            vec_grow((pool), (v)->items, &(v)->n, &(v)->cap, sizeof((v)->items[0]));               \
        &(v)->items[(v)->n - 1];                                                                   \
    })
#define VEC_EACH(type, it, v) for (type *it = (v)->items; it < (v)->items + (v)->n; it++)
