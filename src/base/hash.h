/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slice -> pointer map, open addressing, sizes itself. Keys are borrowed and must live as long as
 * the map; with `fold_case` keys compare and hash without ASCII case.
 */
#pragma once

#include "base/pool.h"

#include <stdint.h>

struct hash;

struct hash *hash_new(struct pool *pool, bool fold_case);
/* NULL when absent. */
void *hash_get(const struct hash *h, struct slice key);
/* Add or replace; `value` not NULL. Returns the value that was there, or NULL. */
void *hash_put(struct hash *h, struct slice key, void *value);
size_t hash_count(const struct hash *h);
/* Call fn for each pair in unspecified order; stops when fn gives false. */
void hash_each(const struct hash *h, bool (*fn)(void *arg, struct slice key, void *value), void *arg);

/* A fast 64-bit hash for tables inside the process; keyed by a per-process random seed. */
uint64_t hash_bytes(struct slice s);
uint64_t hash_bytes_folded(struct slice s);
