/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * $variables. A table (one for each protocol block: http, later stream) gives each name an index;
 * values are computed on first use and cached in the var_scope of one request. Names are known when
 * the configuration has been read: a template that names one nobody defined is an error.
 */
#pragma once

#include "base/hash.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct var_table;
struct var_scope;

enum var_state {
    VAR_UNKNOWN, /* not computed yet */
    VAR_FOUND,
    VAR_NOT_FOUND, /* no such header, argument, ...: empty, and `-` in logs */
};

struct var_value {
    struct slice text; /* lives as long as the scope's pool, or longer */
    enum var_state state;
    bool uncached; /* recompute at the next use */
    bool escaped; /* private to modules */
};

struct var;
/* Compute: fill v->text and v->state. `scope->subject` is the request. For a prefix family,
 * var->rest is the part after the prefix (http_ -> "user_agent"). */
typedef void (*var_get_fn)(struct var_scope *scope, const struct var *var, struct var_value *v);
/* `set $args ...`, for the few that take it; NULL otherwise. */
typedef void (*var_set_fn)(struct var_scope *scope, const struct var *var, struct slice value);

enum var_flags {
    VAR_CHANGEABLE = 1, /* may be defined again (set, map, geo) */
    VAR_NOCACHE = 2, /* computed at each use */
    VAR_PREFIX = 4, /* name is a prefix: "http_", "arg_", "cookie_" */
    VAR_WEAK = 8, /* a `set` may take it over */
};

struct var {
    struct slice name; /* without "$", lower case */
    struct slice rest; /* of a prefix family */
    var_get_fn get; /* NULL: only set by `set`, captures, auth_request_set */
    var_set_fn set;
    uintptr_t data; /* for get: offset, pointer */
    uint32_t flags;
    uint32_t index;
};

/* A row for static tables; the last has name NULL. */
struct var_def {
    const char *name;
    var_get_fn get;
    var_set_fn set;
    uintptr_t data;
    uint32_t flags;
};

struct var_table *var_table_new(struct pool *pool);
/* All rows of a static table. */
void var_table_add_defs(struct var_table *t, const struct var_def *defs);
/* Define (map, geo, set...). NULL when the name exists and is not changeable: the caller reports
 * `the duplicate "x" variable`. */
struct var *var_define(struct var_table *t, struct slice name, uint32_t flags);
/* The index of a name used somewhere; adds an undefined one to be resolved by var_table_resolve(). */
uint32_t var_index(struct var_table *t, struct slice name);
/* Names without a getter after all is read: false and the first in *missing. Prefix families serve
 * the names that nothing else defines. */
bool var_table_resolve(struct var_table *t, struct slice *missing);
uint32_t var_table_count(const struct var_table *t);
const struct var *var_at(const struct var_table *t, uint32_t index);
/* By name at run time, for the few that need it (SSI later): NULL when unknown. */
const struct var *var_find(const struct var_table *t, struct slice name);

/* The values of one request. */
struct var_scope {
    const struct var_table *table;
    struct var_value *values; /* table count; zeroed */
    struct pool *pool;
    void *subject; /* the request */
    /* Captures of the last regex match, of `captures_of`; 2 offsets each. */
    const uint32_t *captures;
    uint32_t n_captures; /* pairs */
    struct slice captures_of;
    uint8_t depth; /* of evaluations within evaluations, bounded */
};

/* The value, computed when needed. Never NULL. */
const struct var_value *var_get(struct var_scope *scope, uint32_t index);
/* Text or "" . */
struct slice var_text(struct var_scope *scope, uint32_t index);
/* Store, through the variable's set function if it has one. */
void var_set(struct var_scope *scope, uint32_t index, struct slice value);
/* Forget the cached values that flags say not to keep (internal redirects). */
void var_forget_uncached(struct var_scope *scope);
