/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directive rows: what a module hands in so that its part of a configuration is read, checked,
 * given defaults and inherited without code of its own.
 *
 * How inheritance works. A block is a scope. A module's structs live in slots of the scope; an
 * inner scope starts with the very pointers of the outer one, and gets its own copy of a struct when
 * the first directive of that struct appears in it (copy on write). All simple directives of a block
 * are bound before its inner blocks, so an inner block copies finished values: nothing is ever
 * "unset" or merged, 10,000 servers share what they do not change, and a default is applied once, in
 * the outermost scope where the struct exists.
 *
 *   level MAIN, SRV, LOC   one struct each, inherited as above
 *   level OWN              not inherited: NULL in a scope without one of its directives
 *
 * A list (CONF_LIST: add_header, proxy_set_header) is inherited as a whole: the first one in a block
 * empties the copied list before it is called.
 */
#pragma once

#include "conf/diag.h"
#include "conf/tree.h"

#include <stdint.h>

struct conf_ctx;
struct conf_directive;

enum conf_level {
    CONF_LEVEL_MAIN,
    CONF_LEVEL_SRV,
    CONF_LEVEL_LOC,
    CONF_LEVEL_OWN,
    CONF_N_LEVELS,
};

/* Where a directive may stand: context bits (given meaning by the caller of bind) and the level of
 * the struct it sets, in one word. */
#define CONF_IN(contexts, level) ((uint32_t)(contexts) | (uint32_t)(level) << 28)
#define CONF_CONTEXTS(in) ((in)&0x0fffffffu)
#define CONF_LEVEL(in) ((enum conf_level)((in) >> 28))

/* Argument counts, the name not counted. */
#define ARGS(min, max) (min), (max)
#define ARGS_ANY 0, 65535
#define ARGS_MORE(min) (min), 65535

struct conf_name {
    const char *name;
    int64_t value;
};

/* "8 4k": number and size (proxy_buffers). */
struct conf_bufs {
    int64_t n;
    int64_t size;
};

/* How the arguments become a field; upper layers add types of their own (templates). */
struct conf_type {
    const char *name; /* for the manual's table: "size", "time" */
    /* node NULL when `text` is the default; field points into the struct. Reports its own error. */
    enum conf_result (*parse)(struct conf_ctx *cf, const struct conf_directive *row,
                              const struct conf_node *node, const struct conf_word *args,
                              uint32_t n_args, void *field);
};

/* For calls: `conf` is the struct of the row's level in this scope (writable), `field` in it. */
typedef enum conf_result (*conf_call_fn)(struct conf_ctx *cf, const struct conf_node *node,
                                         void *conf);

enum conf_row_flags {
    CONF_ROW_BLOCK = 1, /* has { } */
    CONF_ROW_LIST = 2, /* repeatable; the list at `offset` is zeroed at the first in a block */
    CONF_ROW_REPEAT = 4, /* repeatable, nothing is zeroed */
    CONF_ROW_IGNORED = 8, /* accepted, no meaning here (table sizes) */
    CONF_ROW_DEPRECATED = 16,
};

struct conf_directive {
    const char *name;
    uint32_t in; /* CONF_IN(...) */
    uint16_t min_args;
    uint16_t max_args;
    uint16_t flags;
    const struct conf_type *type; /* NULL for calls */
    conf_call_fn call;
    size_t offset; /* of the field */
    size_t size; /* of the field (lists: to zero it) */
    int64_t min; /* of numbers, sizes, times */
    int64_t max;
    const struct conf_name *names; /* enums and bits */
    const char *deflt; /* as a user would write it; NULL: zero */
};

extern const struct conf_type conf_type_flag; /* bool: on | off */
extern const struct conf_type conf_type_num; /* int64_t */
extern const struct conf_type conf_type_size; /* int64_t bytes */
extern const struct conf_type conf_type_msec; /* int64_t ms */
extern const struct conf_type conf_type_sec; /* int64_t seconds */
extern const struct conf_type conf_type_str; /* struct slice */
extern const struct conf_type conf_type_enum; /* int */
extern const struct conf_type conf_type_bits; /* uint32_t, one or more names */
extern const struct conf_type conf_type_bufs; /* struct conf_bufs */

/* A row whose field has another C type does not compile. */
#define CONF_FIELD_(type, member, ctype)                                                           \
    .offset = offsetof(type, member) +                                                             \
              0 * sizeof(char[__builtin_types_compatible_p(typeof(((type *)0)->member), ctype)     \
                                  ? 1                                                              \
                                  : -1]),                                                          \
    .size = sizeof(((type *)0)->member)

#define CONF_FLAG(n, i, t, m, d)                                                                   \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_flag,             \
        .deflt = (d), CONF_FIELD_(t, m, bool)                                                      \
    }
#define CONF_NUM(n, i, t, m, lo, hi, d)                                                            \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_num, .min = (lo), \
        .max = (hi), .deflt = (d), CONF_FIELD_(t, m, int64_t)                                      \
    }
#define CONF_SIZE(n, i, t, m, d)                                                                   \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_size,             \
        .max = INT64_MAX, .deflt = (d), CONF_FIELD_(t, m, int64_t)                                 \
    }
#define CONF_MSEC(n, i, t, m, d)                                                                   \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_msec,             \
        .max = INT64_MAX, .deflt = (d), CONF_FIELD_(t, m, int64_t)                                 \
    }
#define CONF_SEC(n, i, t, m, d)                                                                    \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_sec,              \
        .max = INT64_MAX, .deflt = (d), CONF_FIELD_(t, m, int64_t)                                 \
    }
#define CONF_STR(n, i, t, m, d)                                                                    \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_str,              \
        .deflt = (d), CONF_FIELD_(t, m, struct slice)                                              \
    }
#define CONF_ENUM(n, i, t, m, nm, d)                                                               \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 1, .max_args = 1, .type = &conf_type_enum,             \
        .names = (nm), .deflt = (d), CONF_FIELD_(t, m, int)                                        \
    }
#define CONF_BITS(n, i, args, t, m, nm, d)                                                         \
    {                                                                                              \
        (n), (i), args, .type = &conf_type_bits, .names = (nm), .deflt = (d),                      \
                        CONF_FIELD_(t, m, uint32_t)                                                \
    }
#define CONF_BUFS(n, i, t, m, d)                                                                   \
    {                                                                                              \
        .name = (n), .in = (i), .min_args = 2, .max_args = 2, .type = &conf_type_bufs,             \
        .deflt = (d), CONF_FIELD_(t, m, struct conf_bufs)                                          \
    }
/* args is ARGS(lo, hi): two initialisers in a row, so it comes with designators around it. */
#define CONF_CALL(n, i, args, fn)                                                                  \
    {                                                                                              \
        (n), (i), args, .flags = CONF_ROW_REPEAT, .call = (fn)                                     \
    }
#define CONF_CALL_ONCE(n, i, args, fn)                                                             \
    {                                                                                              \
        (n), (i), args, .call = (fn)                                                               \
    }
#define CONF_LIST(n, i, args, t, m, fn)                                                            \
    {                                                                                              \
        (n), (i), args, .flags = CONF_ROW_LIST, .call = (fn), .offset = offsetof(t, m),            \
                        .size = sizeof(((t *)0)->m)                                                \
    }
#define CONF_BLOCK(n, i, args, fn)                                                                 \
    {                                                                                              \
        (n), (i), args, .flags = CONF_ROW_BLOCK | CONF_ROW_REPEAT, .call = (fn)                    \
    }
#define CONF_IGNORED(n, i, args)                                                                   \
    {                                                                                              \
        (n), (i), args, .flags = CONF_ROW_IGNORED | CONF_ROW_REPEAT                                \
    }
/* A row with a type of an upper layer. */
#define CONF_TYPED(n, i, args, ty, t, m, ctype, d)                                                 \
    {                                                                                              \
        (n), (i), args, .type = (ty), .deflt = (d), CONF_FIELD_(t, m, ctype)                       \
    }
#define CONF_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }
