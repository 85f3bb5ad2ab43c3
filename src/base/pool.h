/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Region allocator: memory that lives as long as its cycle, connection, request or scratch use.
 * A small allocation is a pointer bump. Blocks of the default size are kept in a process-wide free
 * list, so that a request's pool costs no malloc. Allocation never fails: it aborts the process.
 */
#pragma once

#include "base/slice.h"

#include <stdarg.h>

struct pool;

/* A new pool whose first block holds about `size` bytes (0: the default, 4 KiB). */
struct pool *pool_new(size_t size);
/* Run the cleanups (last added first), then give everything back. Accepts NULL. */
void pool_free(struct pool *pool);
/* As freeing and making anew, but keeps the first block. */
void pool_reset(struct pool *pool);

/* Aligned for any type; contents undefined. Never NULL. */
void *pool_alloc(struct pool *pool, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* The same, zeroed. */
void *pool_zalloc(struct pool *pool, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* Unaligned bytes, for text. */
char *pool_bytes(struct pool *pool, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* Give back the last allocation if it is the last one (p .. p+size); else nothing happens. */
void pool_give_back(struct pool *pool, void *p, size_t size);
/* Try to grow the last allocation in place; false when it is not the last or does not fit. */
bool pool_extend(struct pool *pool, void *p, size_t size, size_t new_size);

#define POOL_NEW(pool, type) ((type *)pool_zalloc((pool), sizeof(type)))
#define POOL_ARRAY(pool, type, n) ((type *)pool_zalloc((pool), sizeof(type) * (size_t)(n)))

/* Copies owned by the pool; pool_str gives a NUL-terminated copy. */
struct slice pool_copy(struct pool *pool, struct slice s);
struct slice pool_lower(struct pool *pool, struct slice s);
char *pool_str(struct pool *pool, struct slice s);
struct slice pool_printf(struct pool *pool, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct slice pool_vprintf(struct pool *pool, const char *fmt, va_list ap);
/* "a" + "b" + ..., the list ends with SLICE_NONE-count n. */
struct slice pool_concat(struct pool *pool, const struct slice *parts, size_t n);

/* Call fn(arg) when the pool is freed or reset. */
void pool_on_free(struct pool *pool, void (*fn)(void *arg), void *arg);
/* Forget a cleanup added before with the same fn and arg. */
void pool_cancel(struct pool *pool, void (*fn)(void *arg), void *arg);

/* Bytes taken from the system for this pool. */
size_t pool_size(const struct pool *pool);

/* malloc for what lives as long as the process or is freed by hand; never NULL. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p);
