/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "text $var ${var}x $1" compiled into steps at load time, evaluated in ONE pass into a growing
 * buffer; captures are taken from the scope as they are when evaluation starts.
 */
#pragma once

#include "conf/bind.h"
#include "expr/var.h"

struct template;

/* A template without variables is just its text. `t` NULL counts as empty. */
struct template *template_compile(struct pool *pool, struct var_table *vars, struct slice text,
                                  struct slice *error);
/* For directives: reports nginx's error at the word ("invalid variable name"). NULL on error. */
struct template *template_from_word(struct conf_ctx *cf, struct var_table *vars,
                                    const struct conf_word *word);
bool template_is_constant(const struct template *t);
struct slice template_source(const struct template *t);
/* True when it uses $1.. captures. */
bool template_uses_captures(const struct template *t);

/* The result lives in scope->pool (or is the template's own text). */
struct slice template_eval(const struct template *t, struct var_scope *scope);
/* Append to `out` instead; `out` has its own growth. See struct text_builder. */
struct text_builder {
    struct pool *pool;
    char *p;
    size_t n;
    size_t cap;
};
void text_init(struct text_builder *b, struct pool *pool, size_t hint);
void text_add(struct text_builder *b, struct slice s);
void text_add_char(struct text_builder *b, char c);
struct slice text_done(struct text_builder *b);
void template_append(const struct template *t, struct var_scope *scope, struct text_builder *b);
/* Same, each variable's (not the fixed text's) bytes passed through `escape`. */
void template_append_escaped(const struct template *t, struct var_scope *scope,
                             struct text_builder *b,
                             void (*escape)(struct text_builder *b, struct slice s));

/* Same for captures only ($1), as `rewrite` does. */
void template_append_captures_escaped(const struct template *t, struct var_scope *scope,
                                      struct text_builder *b,
                                      void (*escape)(struct text_builder *b, struct slice s));

/* Row type: field is `struct template *`. The variable table is found through
 * conf_ctx.vars (set by the protocol block). */
extern const struct conf_type conf_type_template;
#define CONF_TEMPLATE(n, i, t, m, d)                                                               \
    CONF_TYPED(n, i, ARGS(1, 1), &conf_type_template, t, m, struct template *, d)
