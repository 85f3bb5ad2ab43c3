/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Templates: a list of steps (text, variable, capture), run once over a buffer that grows. Nothing is
 * measured first, so a value that changes between two looks cannot overrun anything.
 */
#include "expr/template.h"

#include "base/check.h"

enum step_kind { STEP_TEXT, STEP_VAR, STEP_CAPTURE };

struct step {
    enum step_kind kind;
    uint32_t at; /* variable index or capture number */
    struct slice text;
};

struct template {
    struct slice source;
    bool constant;
    bool captures;
    VEC(struct step) steps;
};

static bool
is_name_char(char c)
{
    char l = ascii_lower(c);

    return (l >= 'a' && l <= 'z') || ascii_is_digit(c) || c == '_';
}

static void
add_text(struct template *t, struct pool *pool, struct slice text)
{
    if (text.n > 0) {
        *VEC_PUSH(&t->steps, pool) = (struct step){ .kind = STEP_TEXT, .text = text };
    }
}

/* `s` begins behind the "$". Returns the length used, 0: not a variable. */
static size_t
take_name(struct slice s, struct slice *name)
{
    bool braced = slice_starts(s, SLICE("{"));
    size_t from = braced ? 1 : 0;
    size_t n = from;

    while (n < s.n && is_name_char(s.p[n])) {
        n++;
    }
    *name = slice_of(s.p + from, n - from);
    if (!braced) {
        return n;
    }
    return n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

struct template *
template_compile(struct pool *pool, struct var_table *vars, struct slice text, struct slice *error)
{
    struct template *t = POOL_NEW(pool, struct template);
    struct slice rest = text;
    ssize_t dollar;

    t->source = text;
    while ((dollar = slice_chr(rest, '$')) >= 0) {
        struct slice name;
        struct slice behind = slice_from(rest, (size_t)dollar + 1);

        add_text(t, pool, slice_head(rest, (size_t)dollar));
        if (behind.n > 0 && behind.p[0] >= '1' && behind.p[0] <= '9') {
            *VEC_PUSH(&t->steps, pool) =
                (struct step){ .kind = STEP_CAPTURE, .at = (uint32_t)(behind.p[0] - '0') };
            t->captures = true;
            rest = slice_from(behind, 1);
            continue;
        }
        size_t n = take_name(behind, &name);

        if (n == 0 || name.n == 0) {
            bool open = behind.n > 0 && behind.p[0] == '{' && name.n > 0;

            *error = open ? pool_printf(pool,
                                        "the closing bracket in \"%.*s\" variable is missing",
                                        SLICE_ARG(name))
                          : SLICE("invalid variable name");
            return NULL;
        }
        if (vars == NULL) {
            *error = SLICE("variables cannot be used here");
            return NULL;
        }
        if (name.n == 1 && name.p[0] >= '1' && name.p[0] <= '9') { /* ${1} */
            *VEC_PUSH(&t->steps, pool) =
                (struct step){ .kind = STEP_CAPTURE, .at = (uint32_t)(name.p[0] - '0') };
            t->captures = true;
        } else {
            *VEC_PUSH(&t->steps, pool) =
                (struct step){ .kind = STEP_VAR, .at = var_index(vars, name) };
        }
        rest = slice_from(behind, n);
    }
    add_text(t, pool, rest);
    t->constant = t->steps.n == 0 || (t->steps.n == 1 && t->steps.items[0].kind == STEP_TEXT);
    return t;
}

struct template *
template_from_word(struct conf_ctx *cf, struct var_table *vars, const struct conf_word *word)
{
    struct slice error = SLICE("");
    struct template *t = template_compile(cf->pool, vars, word->text, &error);

    if (t == NULL) {
        diag_error(cf->diag, word->pos, "%.*s", SLICE_ARG(error));
    }
    return t;
}

bool
template_is_constant(const struct template *t)
{
    return t == NULL || t->constant;
}

struct slice
template_source(const struct template *t)
{
    return t == NULL ? SLICE("") : t->source;
}

bool
template_uses_captures(const struct template *t)
{
    return t != NULL && t->captures;
}

/* --- building text -------------------------------------------------------------------------------- */

void
text_init(struct text_builder *b, struct pool *pool, size_t hint)
{
    b->pool = pool;
    b->cap = MAX(hint, (size_t)32);
    b->p = pool_bytes(pool, b->cap);
    b->n = 0;
}

static void
reserve(struct text_builder *b, size_t more)
{
    if (b->cap - b->n >= more) {
        return;
    }
    size_t cap = MAX(b->cap * 2, b->n + more);

    if (!pool_extend(b->pool, b->p, b->cap, cap)) {
        char *p = pool_bytes(b->pool, cap);

        memcpy(p, b->p, b->n);
        b->p = p;
    }
    b->cap = cap;
}

void
text_add(struct text_builder *b, struct slice s)
{
    if (s.n > 0) {
        reserve(b, s.n);
        memcpy(b->p + b->n, s.p, s.n);
        b->n += s.n;
    }
}

void
text_add_char(struct text_builder *b, char c)
{
    reserve(b, 1);
    b->p[b->n++] = c;
}

struct slice
text_done(struct text_builder *b)
{
    reserve(b, 1);
    b->p[b->n] = '\0';
    if (pool_extend(b->pool, b->p, b->cap, b->n + 1)) {
        b->cap = b->n + 1;
    }
    return slice_of(b->p, b->n);
}

/* --- evaluation ------------------------------------------------------------------------------------ */

/* Captures as they are when evaluation starts: a variable evaluated on the way (a map with a regex)
 * may match and overwrite them. */
struct snapshot {
    struct slice of;
    uint32_t n;
    uint32_t at[20];
};

static void
take_snapshot(const struct var_scope *scope, struct snapshot *snap)
{
    snap->of = scope->captures_of;
    snap->n = MIN(scope->n_captures, (uint32_t)10);
    if (snap->n > 0) {
        memcpy(snap->at, scope->captures, snap->n * 2 * sizeof(snap->at[0]));
    }
}

static struct slice
capture(const struct snapshot *snap, uint32_t i)
{
    if (i >= snap->n || snap->at[2 * i] > snap->at[2 * i + 1] || snap->at[2 * i + 1] > snap->of.n) {
        return SLICE("");
    }
    return slice_of(snap->of.p + snap->at[2 * i], snap->at[2 * i + 1] - snap->at[2 * i]);
}

static void
run(const struct template *t, struct var_scope *scope, struct text_builder *b,
    void (*escape)(struct text_builder *b, struct slice s), bool captures_only)
{
    struct snapshot snap = { 0 };

    if (t->captures) {
        take_snapshot(scope, &snap);
    }
    VEC_EACH (struct step, s, &t->steps) {
        if (s->kind == STEP_TEXT) {
            text_add(b, s->text);
            continue;
        }
        struct slice v = s->kind == STEP_VAR ? var_text(scope, s->at) : capture(&snap, s->at);

        if (escape != NULL && (s->kind == STEP_CAPTURE || !captures_only)) {
            escape(b, v);
        } else {
            text_add(b, v);
        }
    }
}

struct slice
template_eval(const struct template *t, struct var_scope *scope)
{
    if (t == NULL || t->steps.n == 0) {
        return SLICE("");
    }
    if (t->constant) {
        return t->source;
    }
    if (t->steps.n == 1 && t->steps.items[0].kind == STEP_VAR) {
        return var_text(scope, t->steps.items[0].at);
    }
    struct text_builder b;

    text_init(&b, scope->pool, t->source.n + 64);
    run(t, scope, &b, NULL, false);
    return text_done(&b);
}

void
template_append(const struct template *t, struct var_scope *scope, struct text_builder *b)
{
    if (t != NULL) {
        run(t, scope, b, NULL, false);
    }
}

void
template_append_escaped(const struct template *t, struct var_scope *scope, struct text_builder *b,
                        void (*escape)(struct text_builder *b, struct slice s))
{
    if (t != NULL) {
        run(t, scope, b, escape, false);
    }
}

void
template_append_captures_escaped(const struct template *t, struct var_scope *scope,
                                 struct text_builder *b,
                                 void (*escape)(struct text_builder *b, struct slice s))
{
    if (t != NULL) {
        run(t, scope, b, escape, true);
    }
}

static enum conf_result
parse_template(struct conf_ctx *cf, const struct conf_directive *row UNUSED,
               const struct conf_node *node UNUSED, const struct conf_word *args,
               uint32_t n_args UNUSED, void *field)
{
    struct template *t = template_from_word(cf, cf->vars, &args[0]);

    *(struct template **)field = t;
    return t == NULL ? CONF_ERROR : CONF_OK;
}

const struct conf_type conf_type_template = { "value", parse_template };
