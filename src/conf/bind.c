/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registry of rows, scopes, and the walk that binds a tree to typed structs. See directive.h for
 * how inheritance works: an inner scope shares the outer one's structs until it changes them.
 */
#include "conf/bind.h"

#include "base/check.h"
#include "base/vec.h"

#include <stdio.h>

struct row_ref {
    struct row_ref *next; /* of the same name */
    const struct conf_directive *row;
    const struct conf_module *module;
    uint32_t stamp; /* of the last block it stood in */
};

struct slot {
    const struct conf_module *module;
    enum conf_level level;
    uint32_t root;
};

struct conf_registry {
    struct pool *pool;
    struct hash *rows; /* name -> struct row_ref */
    struct hash *missing;
    VEC(struct slot) slots;
    const struct conf_context_name *contexts;
    int n_modules;
    uint32_t last_stamp;
};

struct conf_pending {
    struct conf_pending *next;
    const struct conf_node *node;
    struct conf_scope *scope;
    enum conf_result (*done)(struct conf_ctx *cf);
    void *protocol;
    struct var_table *vars;
};

/* --- registry --------------------------------------------------------------------------------------- */

struct conf_registry *
conf_registry_new(struct pool *pool, const struct conf_context_name *contexts)
{
    struct conf_registry *reg = POOL_NEW(pool, struct conf_registry);

    reg->pool = pool;
    reg->rows = hash_new(pool, false);
    reg->missing = hash_new(pool, false);
    reg->contexts = contexts;
    return reg;
}

void
conf_registry_add(struct conf_registry *reg, const struct conf_module *module, uint32_t root)
{
    module->id->index = reg->n_modules++;
    for (int level = 0; level < CONF_N_LEVELS; level++) {
        module->id->slot[level] = (int)reg->slots.n;
        *VEC_PUSH(&reg->slots, reg->pool) =
            (struct slot){ .module = module, .level = (enum conf_level)level, .root = root };
    }
    for (const struct conf_directive *row = module->directives; row != NULL && row->name != NULL;
         row++) {
        struct row_ref *ref = POOL_NEW(reg->pool, struct row_ref);
        struct slice name = slice_str(row->name);

        ref->row = row;
        ref->module = module;
        ref->next = hash_get(reg->rows, name);
        hash_put(reg->rows, name, ref);
    }
}

void
conf_registry_add_missing(struct conf_registry *reg, const char *const *names)
{
    for (; *names != NULL; names++) {
        hash_put(reg->missing, slice_str(*names), reg);
    }
}

struct each_arg {
    void (*fn)(void *arg, const struct conf_module *m, const struct conf_directive *row);
    void *arg;
};

static bool
each_ref(void *arg, struct slice key UNUSED, void *value)
{
    const struct each_arg *a = arg;

    for (const struct row_ref *ref = value; ref != NULL; ref = ref->next) {
        a->fn(a->arg, ref->module, ref->row);
    }
    return true;
}

void
conf_registry_each(const struct conf_registry *reg,
                   void (*fn)(void *arg, const struct conf_module *m,
                              const struct conf_directive *row),
                   void *arg)
{
    struct each_arg a = { .fn = fn, .arg = arg };

    hash_each(reg->rows, each_ref, &a);
}

/* --- did you mean ------------------------------------------------------------------------------------ */

#define GUESS_MAX_LEN 64

/* Edit distance with transpositions, over `limit` is as good as any. */
static unsigned
distance(struct slice a, struct slice b)
{
    unsigned rows[3][GUESS_MAX_LEN + 1];
    unsigned *before = rows[0];
    unsigned *prev = rows[1];
    unsigned *cur = rows[2];

    for (size_t j = 0; j <= b.n; j++) {
        prev[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned cost = a.p[i - 1] != b.p[j - 1];
            unsigned d = MIN(MIN(prev[j] + 1, cur[j - 1] + 1), prev[j - 1] + cost);

            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1]) {
                d = MIN(d, before[j - 2] + 1);
            }
            cur[j] = d;
        }
        unsigned *t = before;

        before = prev;
        prev = cur;
        cur = t;
    }
    return prev[b.n];
}

struct guess {
    struct slice name;
    uint32_t context;
    unsigned best;
    struct slice found;
};

static bool
try_guess(void *arg, struct slice key, void *value)
{
    struct guess *g = arg;
    bool allowed = false;

    for (const struct row_ref *ref = value; ref != NULL; ref = ref->next) {
        allowed |= (CONF_CONTEXTS(ref->row->in) & g->context) != 0;
    }
    if (!allowed || key.n > GUESS_MAX_LEN) {
        return true;
    }
    unsigned d = distance(g->name, key);

    if (d < g->best || (d == g->best && slice_cmp(key, g->found) < 0)) {
        g->best = d;
        g->found = key;
    }
    return true;
}

static void
hint_name(struct conf_ctx *cf, struct slice name)
{
    struct guess g = { .name = name,
                       .context = cf->scope->context,
                       .best = (unsigned)MIN(name.n / 3 + 1, (size_t)3) };

    if (name.n <= GUESS_MAX_LEN) {
        g.best++;
        hash_each(cf->registry->rows, try_guess, &g);
    }
    if (g.found.p != NULL) {
        diag_hint(cf->diag, "did you mean \"%.*s\"?", SLICE_ARG(g.found));
    }
}

static void
note_contexts(struct conf_ctx *cf, const struct conf_node *node, const struct row_ref *ref)
{
    char names[256] = "";
    size_t n = 0;
    uint32_t bits = 0;

    for (; ref != NULL; ref = ref->next) {
        bits |= CONF_CONTEXTS(ref->row->in);
    }
    for (const struct conf_context_name *c = cf->registry->contexts; c->name != NULL; c++) {
        if ((bits & c->bit) != 0 && n < sizeof(names) - 32) {
            n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n > 0 ? ", " : "", c->name);
        }
    }
    diag_note(cf->diag, (struct conf_pos){ 0 }, "\"%.*s\" is allowed in: %s",
              SLICE_ARG(conf_arg(node, 0)), names);
}

/* --- scopes ------------------------------------------------------------------------------------------- */

static enum conf_result
apply_defaults(struct conf_ctx *cf, const struct slot *slot, void *conf)
{
    const struct conf_directive *saved = cf->row;

    if (slot->module->init[slot->level] != NULL) {
        slot->module->init[slot->level](cf, conf);
    }
    for (const struct conf_directive *row = slot->module->directives;
         row != NULL && row->name != NULL; row++) {
        if (CONF_LEVEL(row->in) != slot->level || row->type == NULL || row->deflt == NULL) {
            continue;
        }
        struct conf_word words[8] = { 0 };
        struct slice rest = slice_str(row->deflt);
        uint32_t n = 0;

        while (n < ARRAY_LEN(words) && slice_split(&rest, ' ', &words[n].text)) {
            n++;
        }
        cf->row = row;
        TRY(row->type->parse(cf, row, NULL, words, n, (char *)conf + row->offset));
    }
    cf->row = saved;
    return CONF_OK;
}

static enum conf_result
make_structs(struct conf_ctx *cf, struct conf_scope *scope)
{
    struct conf_registry *reg = cf->registry;

    for (size_t i = 0; i < reg->slots.n; i++) {
        const struct slot *slot = &reg->slots.items[i];
        size_t size = slot->module->size[slot->level];
        bool here = slot->root == 0 ? scope->outer == NULL : slot->root == scope->context;

        if (size == 0 || slot->level == CONF_LEVEL_OWN || !here || scope->structs[i] != NULL) {
            continue;
        }
        scope->structs[i] = pool_zalloc(cf->pool, size);
        scope->own[i] = true;
        TRY(apply_defaults(cf, slot, scope->structs[i]));
    }
    return CONF_OK;
}

static struct conf_scope *
new_scope(struct conf_ctx *cf, struct conf_scope *outer, const struct conf_node *node,
          uint32_t context, void *data)
{
    size_t n = cf->registry->slots.n;
    struct conf_scope *scope = pool_alloc(cf->pool, sizeof(*scope) + n * sizeof(void *) + n);

    *scope = (struct conf_scope){ .outer = outer, .context = context, .data = data, .node = node };
    scope->structs = (void **)(scope + 1);
    scope->own = (bool *)(scope->structs + n);
    memset(scope->own, 0, n);
    if (outer == NULL) {
        memset(scope->structs, 0, n * sizeof(void *));
        return scope;
    }
    memcpy(scope->structs, outer->structs, n * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        if (cf->registry->slots.items[i].level == CONF_LEVEL_OWN) {
            scope->structs[i] = NULL;
        }
    }
    return scope;
}

void *
conf_struct_own(struct conf_ctx *cf, const struct conf_module *m, enum conf_level level)
{
    int slot = m->id->slot[level];
    struct conf_scope *scope = cf->scope;

    if (!scope->own[slot]) {
        void *copy = pool_zalloc(cf->pool, m->size[level]);

        if (scope->structs[slot] != NULL) {
            memcpy(copy, scope->structs[slot], m->size[level]);
        }
        scope->structs[slot] = copy;
        scope->own[slot] = true;
    }
    return scope->structs[slot];
}

/* --- binding ------------------------------------------------------------------------------------------ */

bool
conf_given(const struct conf_ctx *cf, const char *name)
{
    for (const struct row_ref *ref = hash_get(cf->registry->rows, slice_str(name)); ref != NULL;
         ref = ref->next) {
        if (ref->stamp == cf->scope->stamp) {
            return true;
        }
    }
    return false;
}

static struct row_ref *
find_row(struct conf_ctx *cf, const struct conf_node *node)
{
    struct slice name = conf_arg(node, 0);
    struct row_ref *refs = hash_get(cf->registry->rows, name);
    struct conf_pos pos = node->words[0].pos;

    for (struct row_ref *ref = refs; ref != NULL; ref = ref->next) {
        if ((CONF_CONTEXTS(ref->row->in) & cf->scope->context) != 0) {
            return ref;
        }
    }
    if (refs != NULL) {
        diag_error(cf->diag, pos, "\"%.*s\" directive is not allowed here", SLICE_ARG(name));
        note_contexts(cf, node, refs);
    } else if (hash_get(cf->registry->missing, name) != NULL) {
        diag_error(cf->diag, pos, "directive \"%.*s\" is not supported by this version",
                   SLICE_ARG(name));
    } else {
        diag_error(cf->diag, pos, "unknown directive \"%.*s\"", SLICE_ARG(name));
        hint_name(cf, name);
    }
    return NULL;
}

static enum conf_result
check_form(struct conf_ctx *cf, const struct conf_node *node, const struct conf_directive *row)
{
    uint32_t n = node->n_words - 1;
    struct conf_pos pos = node->words[0].pos;
    bool block = (row->flags & CONF_ROW_BLOCK) != 0;

    if (!block && node->is_block) {
        return diag_error(cf->diag, pos, "directive \"%s\" is not terminated by \";\"", row->name);
    }
    if (block && !node->is_block) {
        return diag_error(cf->diag, pos, "directive \"%s\" has no opening \"{\"", row->name);
    }
    if (n < row->min_args || n > row->max_args) {
        return diag_error(cf->diag, pos, "invalid number of arguments in \"%s\" directive",
                          row->name);
    }
    return CONF_OK;
}

static enum conf_result
bind_node(struct conf_ctx *cf, const struct conf_node *node)
{
    diag_at_directive(cf->diag, node);
    struct row_ref *ref = find_row(cf, node);

    if (ref == NULL) {
        return CONF_ERROR;
    }
    const struct conf_directive *row = ref->row;
    enum conf_level level = CONF_LEVEL(row->in);
    bool again = ref->stamp == cf->scope->stamp;

    TRY(check_form(cf, node, row));
    if (again && (row->flags & (CONF_ROW_REPEAT | CONF_ROW_LIST)) == 0) {
        return conf_duplicate(cf, node);
    }
    void *conf = ref->module->size[level] == 0 ? NULL
                                               : conf_struct_own(cf, ref->module, level);
    enum conf_result rc = CONF_OK;

    if ((row->flags & CONF_ROW_LIST) != 0 && !again) {
        memset((char *)conf + row->offset, 0, row->size);
    }
    cf->row = row;
    if (row->type != NULL) {
        rc = row->type->parse(cf, row, node, node->words + 1, node->n_words - 1,
                              (char *)conf + row->offset);
    } else if (row->call != NULL) {
        rc = row->call(cf, node, conf);
    }
    ref->stamp = cf->scope->stamp;
    return rc;
}

static enum conf_result
run_finish(struct conf_ctx *cf)
{
    enum conf_result rc = CONF_OK;
    struct conf_registry *reg = cf->registry;

    for (size_t i = 0; i < reg->slots.n; i++) {
        const struct slot *slot = &reg->slots.items[i];

        if (cf->scope->own[i] && slot->module->finish[slot->level] != NULL) {
            diag_at_directive(cf->diag, cf->scope->node);
            if (slot->module->finish[slot->level](cf, cf->scope->structs[i]) == CONF_ERROR) {
                rc = CONF_ERROR;
            }
        }
    }
    return rc;
}

static enum conf_result bind_block(struct conf_ctx *cf, struct conf_scope *scope,
                                   const struct conf_node *nodes,
                                   enum conf_result (*done)(struct conf_ctx *cf));

static enum conf_result
bind_pending(struct conf_ctx *cf, const struct conf_pending *list)
{
    enum conf_result rc = CONF_OK;

    for (const struct conf_pending *p = list; p != NULL; p = p->next) {
        void *protocol = cf->protocol;
        struct var_table *vars = cf->vars;

        cf->protocol = p->protocol;
        cf->vars = p->vars;
        if (bind_block(cf, p->scope, p->node->children, p->done) == CONF_ERROR) {
            rc = CONF_ERROR;
        }
        cf->protocol = protocol;
        cf->vars = vars;
    }
    return rc;
}

/* A body was queued with the outer scope's pointers of that moment; what the outer block changed
 * since then belongs to it as well. */
static void
refresh_scope(struct conf_ctx *cf, struct conf_scope *scope)
{
    const struct conf_registry *reg = cf->registry;

    for (size_t i = 0; scope->outer != NULL && i < reg->slots.n; i++) {
        if (!scope->own[i] && reg->slots.items[i].level != CONF_LEVEL_OWN) {
            scope->structs[i] = scope->outer->structs[i];
        }
    }
}

static enum conf_result
bind_block(struct conf_ctx *cf, struct conf_scope *scope, const struct conf_node *nodes,
           enum conf_result (*done)(struct conf_ctx *cf))
{
    struct conf_scope *outer_scope = cf->scope;
    struct conf_pending **outer_pending = cf->pending;
    struct conf_pending *pending = NULL;
    enum conf_result rc = CONF_OK;

    refresh_scope(cf, scope);
    cf->scope = scope;
    cf->pending = &pending;
    scope->stamp = ++cf->registry->last_stamp;
    if (make_structs(cf, scope) == CONF_ERROR) {
        rc = CONF_ERROR;
    }
    for (const struct conf_node *n = nodes; n != NULL && !diag_full(cf->diag); n = n->next) {
        if (bind_node(cf, n) == CONF_ERROR) {
            rc = CONF_ERROR;
        }
    }
    if (run_finish(cf) == CONF_ERROR || bind_pending(cf, pending) == CONF_ERROR) {
        rc = CONF_ERROR;
    }
    cf->scope = scope;
    diag_at_directive(cf->diag, scope->node);
    if (done != NULL && rc == CONF_OK && done(cf) == CONF_ERROR) {
        rc = CONF_ERROR;
    }
    cf->scope = outer_scope;
    cf->pending = outer_pending;
    return rc;
}

struct conf_scope *
conf_bind_later(struct conf_ctx *cf, const struct conf_node *node, uint32_t context, void *data,
                enum conf_result (*done)(struct conf_ctx *cf))
{
    struct conf_pending *p = POOL_NEW(cf->pool, struct conf_pending);
    struct conf_pending **at = cf->pending;

    p->node = node;
    p->scope = new_scope(cf, cf->scope, node, context, data);
    p->done = done;
    p->protocol = cf->protocol;
    p->vars = cf->vars;
    *at = p;
    cf->pending = &p->next;
    return p->scope;
}

enum conf_result
conf_bind_now(struct conf_ctx *cf, const struct conf_node *node, uint32_t context, void *data)
{
    struct conf_scope *scope = new_scope(cf, cf->scope, node, context, data);
    const struct conf_directive *row = cf->row;
    enum conf_result rc = bind_block(cf, scope, node->children, NULL);

    cf->row = row;
    return rc;
}

enum conf_result
conf_bind_inline(struct conf_ctx *cf, const struct conf_node *node, uint32_t context)
{
    uint32_t saved = cf->scope->context;
    enum conf_result rc = CONF_OK;

    cf->scope->context = context;
    for (const struct conf_node *n = node->children; n != NULL && !diag_full(cf->diag);
         n = n->next) {
        if (bind_node(cf, n) == CONF_ERROR) {
            rc = CONF_ERROR;
        }
    }
    cf->scope->context = saved;
    return rc;
}

enum conf_result
conf_bind_tree(struct conf_ctx *cf, const struct conf_tree *tree, uint32_t context,
               struct conf_scope **root)
{
    *root = new_scope(cf, NULL, NULL, context, NULL);
    cf->scope = *root;
    return bind_block(cf, *root, tree->nodes, NULL);
}

/* --- errors that many directives share ------------------------------------------------------------------ */

enum conf_result
conf_invalid_value(struct conf_ctx *cf, const struct conf_node *node, uint32_t arg)
{
    return conf_error_at(cf, &node->words[arg], "invalid value \"%.*s\"",
                         SLICE_ARG(conf_arg(node, arg)));
}

enum conf_result
conf_invalid_param(struct conf_ctx *cf, const struct conf_node *node, uint32_t arg)
{
    return conf_error_at(cf, &node->words[arg], "invalid parameter \"%.*s\"",
                         SLICE_ARG(conf_arg(node, arg)));
}

enum conf_result
conf_duplicate(struct conf_ctx *cf, const struct conf_node *node)
{
    return diag_error(cf->diag, node->words[0].pos, "\"%.*s\" directive is duplicate",
                      SLICE_ARG(conf_arg(node, 0)));
}
