/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks a tree against the directive rows of all modules and leaves typed structs in scopes. Reports
 * unknown directives (with a guess), wrong context, wrong argument count, missing or unexpected
 * block, duplicates. Goes on after an error.
 */
#pragma once

#include "base/hash.h"
#include "conf/directive.h"

struct conf_ctx;
struct conf_pending;
struct conf_scope;
struct var_table;

/* Slots of a module, assigned once at start by conf_registry_add(). */
struct conf_module_id {
    int slot[CONF_N_LEVELS]; /* index in a scope's structs; -1: none */
    int index; /* number of the module, by order of registration; for per-request contexts */
};
#define CONF_MODULE_ID (&(struct conf_module_id){ { -1, -1, -1, -1 }, -1 })

struct conf_module {
    const char *name;
    const struct conf_directive *directives; /* up to CONF_END; may be NULL */
    struct conf_module_id *id; /* CONF_MODULE_ID */
    size_t size[CONF_N_LEVELS]; /* of its structs; 0: none */
    /* Set what a default text cannot say, in the first struct of a level; may be NULL. */
    void (*init[CONF_N_LEVELS])(struct conf_ctx *cf, void *conf);
    /* Rules between fields, computed fields: for each struct that was changed in a scope, after the
     * scope's simple directives and before its inner blocks (and once for the first). */
    enum conf_result (*finish[CONF_N_LEVELS])(struct conf_ctx *cf, void *conf);
};

struct conf_context_name {
    uint32_t bit;
    const char *name; /* "server", for notes: allowed in ... */
};

/* All rows, looked up by name. */
struct conf_registry;
struct conf_registry *conf_registry_new(struct pool *pool, const struct conf_context_name *contexts);
/* `root`: the context in whose outermost scope the module's structs are made; 0: the top level. */
void conf_registry_add(struct conf_registry *reg, const struct conf_module *module, uint32_t root);
/* Names that nginx has and this build has not: reported as such ("... is not supported by this version"), not as unknown. */
void conf_registry_add_missing(struct conf_registry *reg, const char *const *names);
/* Each row of each module, for the manual and tests. */
void conf_registry_each(const struct conf_registry *reg,
                        void (*fn)(void *arg, const struct conf_module *m,
                                   const struct conf_directive *row), void *arg);

/* A block: its structs (shared with the outer scope until changed) and where it stands. */
struct conf_scope {
    struct conf_scope *outer;
    uint32_t context; /* one bit */
    void **structs; /* by slot */
    bool *own; /* by slot: this scope has its own copy */
    uint32_t stamp; /* number of the block */
    void *data; /* the block's object: server, location, upstream */
    const struct conf_node *node;
};

/* What a row's call sees. */
struct conf_ctx {
    struct pool *pool; /* the cycle's */
    struct pool *scratch; /* gone after the load */
    struct conf_diag *diag;
    struct conf_scope *scope; /* the block the directive stands in */
    const struct conf_directive *row;
    struct conf_registry *registry;
    struct conf_pending **pending; /* private: bodies to bind after the block's simple directives */
    void *cycle; /* struct cycle, for upper layers */
    struct var_table *vars; /* of the protocol block being bound, for templates */
    struct slice prefix; /* with trailing slash; relative paths */
    struct slice conf_dir; /* with trailing slash; relative paths of certificates, password files */
    void *protocol; /* of the protocol block being bound: struct http_main while in http{} */
};

/* The struct of a module at a level in a scope, to read; NULL for OWN without one. */
static inline void *
conf_struct(const struct conf_scope *scope, const struct conf_module *m, enum conf_level level)
{
    return scope->structs[m->id->slot[level]];
}
/* The same to write: makes this scope's own copy first. */
void *conf_struct_own(struct conf_ctx *cf, const struct conf_module *m, enum conf_level level);

/*
 * For a block row's call: bind the block's children in a new inner scope, after the rest of the
 * simple directives of the current block. `done` (may be NULL) runs after all of the inner block.
 * Returns the new scope at once, so that the caller can keep its structs pointer.
 */
struct conf_scope *conf_bind_later(struct conf_ctx *cf, const struct conf_node *node,
                                   uint32_t context, void *data,
                                   enum conf_result (*done)(struct conf_ctx *cf));
/* The same, at once (upstream{}: others need it complete). */
enum conf_result conf_bind_now(struct conf_ctx *cf, const struct conf_node *node, uint32_t context,
                               void *data);

/* Bind a block's children in the current scope itself, under another context bit: for events{}, whose
 * settings belong to the outer struct. */
enum conf_result conf_bind_inline(struct conf_ctx *cf, const struct conf_node *node,
                                  uint32_t context);

/* Bind the whole tree at top level; modules' outermost structs are made here for those with rows in
 * `context`, in other scopes at conf_bind_later() into a context for the first time. */
enum conf_result conf_bind_tree(struct conf_ctx *cf, const struct conf_tree *tree,
                                uint32_t context, struct conf_scope **root);

/* Errors at the current directive / at one of its words, nginx's forms. */
#define conf_error_at(cf, word, ...) diag_error((cf)->diag, (word)->pos, __VA_ARGS__)
/* `invalid value "x"`, `invalid number of arguments in "x" directive`, `"x" directive is duplicate`. */
enum conf_result conf_invalid_value(struct conf_ctx *cf, const struct conf_node *node, uint32_t arg);
enum conf_result conf_duplicate(struct conf_ctx *cf, const struct conf_node *node);
enum conf_result conf_invalid_param(struct conf_ctx *cf, const struct conf_node *node, uint32_t arg); /* invalid parameter "x" */

/* Was the row `name` given in this very scope? */
bool conf_given(const struct conf_ctx *cf, const char *name);
