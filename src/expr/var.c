/* SPDX-License-Identifier: BSD-2-Clause */
/* Variables: a table of names with getters, values cached by index in each request. */
#include "expr/var.h"

#include "base/check.h"

/* Evaluations within evaluations (a map of a map ...); a cycle ends here with an empty value. */
#define DEPTH_MAX 64

struct prefix_def {
    struct slice prefix;
    const struct var_def *def;
};

struct var_table {
    struct pool *pool;
    struct hash *defs; /* name -> static struct var_def, made a var when used */
    struct hash *by_name; /* name -> struct var */
    VEC(struct var *) vars;
    VEC(struct prefix_def) prefixes;
};

struct var_table *
var_table_new(struct pool *pool)
{
    struct var_table *t = POOL_NEW(pool, struct var_table);

    t->pool = pool;
    t->defs = hash_new(pool, false);
    t->by_name = hash_new(pool, false);
    return t;
}

void
var_table_add_defs(struct var_table *t, const struct var_def *defs)
{
    for (; defs->name != NULL; defs++) {
        if (defs->flags & VAR_PREFIX) {
            *VEC_PUSH(&t->prefixes, t->pool) =
                (struct prefix_def){ .prefix = slice_str(defs->name), .def = defs };
        } else {
            hash_put(t->defs, slice_str(defs->name), (void *)(size_t)defs);
        }
    }
}

static void
fill(struct var *v, const struct var_def *def)
{
    v->get = def->get;
    v->set = def->set;
    v->data = def->data;
    v->flags = def->flags;
}

static struct var *
use(struct var_table *t, struct slice raw)
{
    struct slice name = pool_lower(t->pool, raw);
    struct var *v = hash_get(t->by_name, name);

    if (v != NULL) {
        return v;
    }
    v = POOL_NEW(t->pool, struct var);
    v->name = name;
    v->index = (uint32_t)t->vars.n;
    v->flags = VAR_WEAK;
    const struct var_def *def = hash_get(t->defs, name);

    if (def != NULL) {
        fill(v, def);
    }
    *VEC_PUSH(&t->vars, t->pool) = v;
    hash_put(t->by_name, name, v);
    return v;
}

struct var *
var_define(struct var_table *t, struct slice name, uint32_t flags)
{
    struct var *v = use(t, name);

    if (v->get != NULL && (v->flags & (VAR_CHANGEABLE | VAR_WEAK)) == 0) {
        return NULL;
    }
    if ((v->flags & VAR_WEAK) != 0) {
        v->flags = flags & ~(uint32_t)VAR_WEAK;
    }
    return v;
}

uint32_t
var_index(struct var_table *t, struct slice name)
{
    return use(t, name)->index;
}

/* `set`, captures: a value that nobody computes is empty until it is set. */
static void
get_unset(struct var_scope *scope UNUSED, const struct var *var UNUSED, struct var_value *v)
{
    v->text = SLICE("");
    v->state = VAR_FOUND;
}

static bool
resolve(const struct var_table *t, struct var *v)
{
    const struct prefix_def *best = NULL;

    if (v->get != NULL) {
        return true;
    }
    if ((v->flags & VAR_WEAK) == 0) {
        v->get = get_unset;
        return true;
    }
    VEC_EACH (struct prefix_def, p, &t->prefixes) {
        if (v->name.n > p->prefix.n && slice_starts(v->name, p->prefix) &&
            (best == NULL || p->prefix.n > best->prefix.n)) {
            best = p;
        }
    }
    if (best == NULL) {
        return false;
    }
    fill(v, best->def);
    v->rest = slice_from(v->name, best->prefix.n);
    return true;
}

bool
var_table_resolve(struct var_table *t, struct slice *missing)
{
    VEC_EACH (struct var *, v, &t->vars) {
        if (!resolve(t, *v)) {
            *missing = (*v)->name;
            return false;
        }
    }
    return true;
}

uint32_t
var_table_count(const struct var_table *t)
{
    return (uint32_t)t->vars.n;
}

const struct var *
var_at(const struct var_table *t, uint32_t index)
{
    return t->vars.items[index];
}

const struct var *
var_find(const struct var_table *t, struct slice name)
{
    return hash_get(t->by_name, name);
}

const struct var_value *
var_get(struct var_scope *scope, uint32_t index)
{
    struct var_value *v = &scope->values[index];
    const struct var *var = scope->table->vars.items[index];

    if (v->state != VAR_UNKNOWN && !v->uncached) {
        return v;
    }
    if (scope->depth >= DEPTH_MAX) {
        v->text = SLICE("");
        v->state = VAR_NOT_FOUND;
        v->uncached = true;
        return v;
    }
    scope->depth++;
    struct var_value made = { .state = VAR_NOT_FOUND, .text = SLICE("") };

    var->get(scope, var, &made);
    scope->depth--;
    made.uncached = (var->flags & VAR_NOCACHE) != 0;
    *v = made;
    return v;
}

struct slice
var_text(struct var_scope *scope, uint32_t index)
{
    return var_get(scope, index)->text;
}

void
var_set(struct var_scope *scope, uint32_t index, struct slice value)
{
    const struct var *var = scope->table->vars.items[index];

    if (var->set != NULL) {
        var->set(scope, var, value);
        return;
    }
    scope->values[index] = (struct var_value){ .text = value, .state = VAR_FOUND };
}

void
var_forget_uncached(struct var_scope *scope)
{
    for (uint32_t i = 0; i < var_table_count(scope->table); i++) {
        if ((scope->table->vars.items[i]->flags & VAR_NOCACHE) != 0) {
            scope->values[i].state = VAR_UNKNOWN;
        }
    }
}
