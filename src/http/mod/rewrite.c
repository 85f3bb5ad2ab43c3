/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ngx_http_rewrite_module: if, set, rewrite, return, break. The directives of a block make a program
 * that runs in order; an `if` that holds switches to its block's settings and runs its program in
 * place, as if it stood there.
 */
#include "base/num.h"
#include "conf/value.h"
#include "expr/regex.h"
#include "http/blocks.h"
#include "http/http.h"
#include "http/mod/mod.h"
#include "http/transport.h"

#include <sys/stat.h>
#include <unistd.h>

enum op_kind { OP_SET, OP_IF, OP_REWRITE, OP_RETURN, OP_BREAK };

enum condition {
    COND_TRUE, /* neither empty nor "0" */
    COND_EQUAL,
    COND_REGEX,
    COND_FILE,
    COND_DIR,
    COND_EXISTS,
    COND_EXECUTABLE,
};

enum rewrite_flag { REWRITE_NONE, REWRITE_LAST, REWRITE_BREAK, REWRITE_REDIRECT, REWRITE_PERMANENT };

struct op {
    enum op_kind kind;
    /* SET, and the operands of the others */
    uint32_t var;
    struct template *value;
    /* IF */
    enum condition condition;
    bool negate;
    struct regex *regex;
    struct http_location *block;
    bool switches; /* to the block's settings: not in server{} */
    /* REWRITE */
    enum rewrite_flag flag;
    struct template *args; /* behind "?" in the replacement; NULL: none */
    bool drops_args; /* the replacement ends with "?" */
    /* RETURN */
    int status;
};

struct rewrite_own {
    VEC(struct op) ops;
};

struct rewrite_loc {
    bool log;
    bool uninitialized_warn;
};

/* --- configuration -------------------------------------------------------------------------------------- */

static struct op *
add_op(struct conf_ctx *cf, struct rewrite_own *own, enum op_kind kind)
{
    struct op *op = VEC_PUSH(&own->ops, cf->pool);

    op->kind = kind;
    return op;
}

/* "$name" of a word; reports what is wrong. */
static bool
variable_of(struct conf_ctx *cf, const struct conf_word *w, struct slice text, struct slice *name)
{
    if (text.n < 2 || text.p[0] != '$') {
        conf_error_at(cf, w, "invalid variable name \"%.*s\"", SLICE_ARG(text));
        return false;
    }
    *name = slice_from(text, 1);
    return true;
}

static enum conf_result
add_set(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct op *op = add_op(cf, conf, OP_SET);
    struct slice name;

    if (!variable_of(cf, &node->words[1], conf_arg(node, 1), &name)) {
        return CONF_ERROR;
    }
    struct var *var = var_define(cf->vars, name, VAR_CHANGEABLE);

    if (var == NULL) {
        return conf_error_at(cf, &node->words[1], "the duplicate \"%.*s\" variable",
                             SLICE_ARG(name));
    }
    op->var = var->index;
    op->value = template_from_word(cf, cf->vars, &node->words[2]);
    return op->value == NULL ? CONF_ERROR : CONF_OK;
}

static enum conf_result
add_break(struct conf_ctx *cf, const struct conf_node *node UNUSED, void *conf)
{
    add_op(cf, conf, OP_BREAK);
    return CONF_OK;
}

static bool
is_url(struct slice s)
{
    return slice_starts(s, SLICE("http://")) || slice_starts(s, SLICE("https://")) ||
           slice_starts(s, SLICE("$scheme"));
}

static enum conf_result
add_return(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct op *op = add_op(cf, conf, OP_RETURN);
    const struct conf_word *w = &node->words[1];
    int64_t status;

    if (num_parse(w->text, &status)) {
        if (status > 999) {
            return conf_error_at(cf, w, "invalid return code \"%.*s\"", SLICE_ARG(w->text));
        }
        op->status = (int)status;
        if (node->n_words == 2) {
            return CONF_OK;
        }
        w = &node->words[2];
    } else {
        if (node->n_words == 3 || !is_url(w->text)) {
            return conf_error_at(cf, w, "invalid return code \"%.*s\"", SLICE_ARG(w->text));
        }
        op->status = 302;
    }
    op->value = template_from_word(cf, cf->vars, w);
    return op->value == NULL ? CONF_ERROR : CONF_OK;
}

static enum conf_result
rewrite_flags(struct conf_ctx *cf, const struct conf_node *node, struct op *op)
{
    static const char *const names[] = { "", "last", "break", "redirect", "permanent" };

    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        if (slice_eq(conf_arg(node, 3), slice_str(names[i]))) {
            op->flag = (enum rewrite_flag)i;
            return CONF_OK;
        }
    }
    return conf_invalid_param(cf, node, 3);
}

static enum conf_result
add_rewrite(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct op *op = add_op(cf, conf, OP_REWRITE);
    struct conf_word to = node->words[2];

    op->regex = regex_from_word(cf, cf->vars, &node->words[1], conf_arg(node, 1), false);
    if (op->regex == NULL) {
        return CONF_ERROR;
    }
    if (to.text.n == 0) {
        return conf_error_at(cf, &to, "empty replacement");
    }
    if (is_url(to.text)) {
        op->flag = REWRITE_REDIRECT;
    }
    if (node->n_words == 4) {
        TRY(rewrite_flags(cf, node, op));
    }
    if (to.text.p[to.text.n - 1] == '?') { /* no arguments of the request behind it */
        op->drops_args = true;
        to.text.n--;
    }
    ssize_t q = slice_chr(to.text, '?');

    if (q >= 0) {
        struct conf_word args = to;

        args.text = slice_from(to.text, (size_t)q + 1);
        to.text = slice_head(to.text, (size_t)q);
        op->args = template_from_word(cf, cf->vars, &args);
        if (op->args == NULL) {
            return CONF_ERROR;
        }
    }
    op->value = template_from_word(cf, cf->vars, &to);
    return op->value == NULL ? CONF_ERROR : CONF_OK;
}

/* --- if --------------------------------------------------------------------------------------------------- */

struct condition_words {
    struct slice w[4];
    const struct conf_word *at[4];
    uint32_t n;
};

/* The words between "(" and ")", which may stand apart or stick to their neighbours. */
static enum conf_result
strip_parens(struct conf_ctx *cf, const struct conf_node *node, struct condition_words *c)
{
    uint32_t last = node->n_words - 1;
    struct slice first = conf_arg(node, 1);
    struct slice end = conf_arg(node, last);

    if (first.n == 0 || first.p[0] != '(') {
        return conf_error_at(cf, &node->words[1], "invalid condition \"%.*s\"", SLICE_ARG(first));
    }
    if (end.n == 0 || end.p[end.n - 1] != ')') {
        return conf_error_at(cf, &node->words[last], "invalid condition \"%.*s\"", SLICE_ARG(end));
    }
    for (uint32_t i = 1; i <= last; i++) {
        struct slice w = conf_arg(node, i);

        w = i == 1 ? slice_from(w, 1) : w;
        w.n -= i == last ? 1 : 0;
        if (w.n == 0 && (i == 1 || i == last) && !node->words[i].quoted) {
            continue;
        }
        if (c->n == 4) {
            return conf_error_at(cf, &node->words[i], "invalid condition \"%.*s\"", SLICE_ARG(w));
        }
        c->at[c->n] = &node->words[i];
        c->w[c->n++] = w;
    }
    if (c->n == 0) {
        return conf_error_at(cf, &node->words[1], "invalid condition \"%.*s\"", SLICE_ARG(first));
    }
    return CONF_OK;
}

static struct template *
operand(struct conf_ctx *cf, const struct condition_words *c, uint32_t i)
{
    struct conf_word w = *c->at[i];

    w.text = c->w[i];
    return template_from_word(cf, cf->vars, &w);
}

static enum conf_result
variable_condition(struct conf_ctx *cf, const struct condition_words *c, struct op *op)
{
    struct slice name;

    if (!variable_of(cf, c->at[0], c->w[0], &name)) {
        return CONF_ERROR;
    }
    op->var = var_index(cf->vars, name);
    op->condition = COND_TRUE;
    if (c->n == 1) {
        return CONF_OK;
    }
    struct slice o = c->w[1];

    if (c->n != 3) {
        return conf_error_at(cf, c->at[c->n - 1], "invalid condition \"%.*s\"",
                             SLICE_ARG(c->w[c->n - 1]));
    }
    op->negate = o.n > 0 && o.p[0] == '!';
    o = op->negate ? slice_from(o, 1) : o;
    if (slice_eq(o, SLICE("="))) {
        op->condition = COND_EQUAL;
        op->value = operand(cf, c, 2);
        return op->value == NULL ? CONF_ERROR : CONF_OK;
    }
    if (!slice_eq(o, SLICE("~")) && !slice_eq(o, SLICE("~*"))) {
        return conf_error_at(cf, c->at[1], "unexpected \"%.*s\" in condition", SLICE_ARG(c->w[1]));
    }
    op->condition = COND_REGEX;
    op->regex = regex_from_word(cf, cf->vars, c->at[2], c->w[2], o.n == 2);
    return op->regex == NULL ? CONF_ERROR : CONF_OK;
}

static enum conf_result
parse_condition(struct conf_ctx *cf, const struct condition_words *c, struct op *op)
{
    static const struct {
        const char *name;
        enum condition condition;
    } tests[] = { { "-f", COND_FILE },
                  { "-d", COND_DIR },
                  { "-e", COND_EXISTS },
                  { "-x", COND_EXECUTABLE } };
    struct slice o = c->w[0];
    bool negate = o.n > 0 && o.p[0] == '!';

    o = negate ? slice_from(o, 1) : o;
    for (size_t i = 0; c->n == 2 && i < ARRAY_LEN(tests); i++) {
        if (slice_eq(o, slice_str(tests[i].name))) {
            op->condition = tests[i].condition;
            op->negate = negate;
            op->value = operand(cf, c, 1);
            return op->value == NULL ? CONF_ERROR : CONF_OK;
        }
    }
    if (c->w[0].n > 0 && c->w[0].p[0] == '$') {
        return variable_condition(cf, c, op);
    }
    return conf_error_at(cf, c->at[0], "invalid condition \"%.*s\"", SLICE_ARG(c->w[0]));
}

static enum conf_result
if_block(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct rewrite_own *own = conf;
    struct condition_words words = { 0 };
    bool in_server = cf->scope->context == CTX_SRV;
    struct op op = { .kind = OP_IF, .switches = !in_server };

    TRY(strip_parens(cf, node, &words));
    TRY(parse_condition(cf, &words, &op));
    op.block = http_add_block(cf, node, in_server ? CTX_SIF : CTX_LIF);
    *VEC_PUSH(&own->ops, cf->pool) = op;
    return CONF_OK;
}

/* --- running ----------------------------------------------------------------------------------------------- */

static const struct rewrite_loc *
loc_conf(const struct http_request *r)
{
    return http_loc_conf(r, &http_rewrite_module);
}

#define NOTE(r, ...)                                                                               \
    do {                                                                                           \
        if (loc_conf(r)->log) {                                                                    \
            log_error(&(r)->log, LOG_LVL_NOTICE, 0, __VA_ARGS__);                                  \
        }                                                                                          \
    } while (0)

static bool
test_file(struct http_request *r, const struct op *op)
{
    struct slice name = template_eval(op->value, &r->vars);
    char *path = pool_str(r->pool, name);
    struct stat st;

    if (stat(path, &st) != 0) {
        return false;
    }
    switch (op->condition) {
    case COND_FILE:
        return S_ISREG(st.st_mode);
    case COND_DIR:
        return S_ISDIR(st.st_mode);
    case COND_EXECUTABLE:
        return (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
    case COND_EXISTS:
    case COND_TRUE:
    case COND_EQUAL:
    case COND_REGEX:
        break;
    }
    return true;
}

static bool
holds(struct http_request *r, const struct op *op)
{
    struct slice v;

    switch (op->condition) {
    case COND_TRUE:
        v = var_text(&r->vars, op->var);
        return v.n > 0 && !slice_eq(v, SLICE("0"));
    case COND_EQUAL:
        return slice_eq(var_text(&r->vars, op->var), template_eval(op->value, &r->vars)) !=
               op->negate;
    case COND_REGEX: {
        v = var_text(&r->vars, op->var);
        bool match = regex_match(op->regex, v, &r->vars) == REGEX_MATCH;
        struct slice pattern = regex_pattern(op->regex);

        NOTE(r, "\"%.*s\" %s \"%.*s\"", SLICE_ARG(pattern), match ? "matches" : "does not match",
             SLICE_ARG(v));
        return match != op->negate;
    }
    case COND_FILE:
    case COND_DIR:
    case COND_EXISTS:
    case COND_EXECUTABLE:
        break;
    }
    return test_file(r, op) != op->negate;
}

static bool
is_redirect_status(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static struct http_verdict
run_return(struct http_request *r, const struct op *op)
{
    if (op->value == NULL) {
        bool plain = (op->status < 300 && op->status != 204) || op->status == 304;

        return plain ? http_send_text(r, op->status, SLICE(""), SLICE(""))
                     : http_finish(op->status);
    }
    r->out.status = op->status; /* $status in the text */
    struct slice text = template_eval(op->value, &r->vars);

    if (op->status == 304) {
        return http_send_text(r, 304, SLICE(""), SLICE(""));
    }
    if (is_redirect_status(op->status)) {
        r->out.location = text;
        return http_finish(op->status);
    }
    if (op->status == 204) {
        return http_finish(204);
    }
    return http_send_text(r, op->status, SLICE(""), text);
}

static void
escape_capture(struct text_builder *b, struct slice s)
{
    text_add(b, uri_escape(b->pool, s, URI_ESCAPE_ARGS));
}

static bool
was_quoted(const struct http_request *r)
{
    return slice_chr(r->unparsed_uri, '%') >= 0 || slice_chr(r->unparsed_uri, '+') >= 0;
}

static void
append(struct http_request *r, const struct template *t, struct text_builder *b, bool escape)
{
    if (escape) {
        template_append_captures_escaped(t, &r->vars, b, escape_capture);
    } else {
        template_append(t, &r->vars, b);
    }
}

/* The new arguments: those of the replacement, then the request's. */
static struct slice
new_args(struct http_request *r, const struct op *op)
{
    struct text_builder b;
    bool keep = !op->drops_args && r->args.n > 0;

    if (op->args == NULL) {
        return op->drops_args ? SLICE("") : r->args;
    }
    text_init(&b, r->pool, 64 + r->args.n);
    append(r, op->args, &b, was_quoted(r));
    if (keep) {
        text_add_char(&b, '&');
        text_add(&b, r->args);
    }
    return text_done(&b);
}

enum run_result { RUN_ON, RUN_STOP, RUN_VERDICT };

static enum run_result
run_rewrite(struct http_request *r, const struct op *op, struct http_verdict *v)
{
    struct slice pattern = regex_pattern(op->regex);
    bool redirect = op->flag == REWRITE_REDIRECT || op->flag == REWRITE_PERMANENT;
    struct text_builder b;

    switch (regex_match(op->regex, r->uri, &r->vars)) {
    case REGEX_NO_MATCH:
        NOTE(r, "\"%.*s\" does not match \"%.*s\"", SLICE_ARG(pattern), SLICE_ARG(r->uri));
        return RUN_ON;
    case REGEX_FAILED:
        *v = http_finish(500);
        return RUN_VERDICT;
    case REGEX_MATCH:
        break;
    }
    NOTE(r, "\"%.*s\" matches \"%.*s\"", SLICE_ARG(pattern), SLICE_ARG(r->uri));
    text_init(&b, r->pool, 128);
    append(r, op->value, &b, redirect && was_quoted(r));
    struct slice uri = text_done(&b);
    struct slice args = new_args(r, op);

    if (redirect) {
        struct slice parts[] = { uri, SLICE("?"), args };

        r->out.location = pool_concat(r->pool, parts, args.n > 0 ? 3 : 1);
        NOTE(r, "rewritten redirect: \"%.*s\"", SLICE_ARG(r->out.location));
        *v = http_finish(op->flag == REWRITE_PERMANENT ? 301 : 302);
        return RUN_VERDICT;
    }
    NOTE(r, "rewritten data: \"%.*s\", args: \"%.*s\"", SLICE_ARG(uri), SLICE_ARG(args));
    if (uri.n == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0, "the rewritten URI has a zero length");
        *v = http_finish(500);
        return RUN_VERDICT;
    }
    r->uri = uri;
    r->args = args;
    r->has_args = args.n > 0;
    r->exten = uri_extension(uri);
    r->valid_unparsed_uri = false;
    r->uri_changed = op->flag != REWRITE_BREAK;
    if (op->flag == REWRITE_LAST) {
        return RUN_STOP;
    }
    if (op->flag == REWRITE_BREAK) {
        r->skip_rewrite = true;
        r->uri_changed = false;
        r->uri_replaced = true;
        return RUN_STOP;
    }
    return RUN_ON;
}

static enum run_result run(struct http_request *r, const struct rewrite_own *own,
                           struct http_verdict *v);

static enum run_result
run_op(struct http_request *r, const struct op *op, struct http_verdict *v)
{
    switch (op->kind) {
    case OP_SET:
        var_set(&r->vars, op->var, template_eval(op->value, &r->vars));
        return RUN_ON;
    case OP_IF:
        if (!holds(r, op)) {
            return RUN_ON;
        }
        if (op->switches) {
            http_use_location(r, op->block);
        }
        void **structs = op->block->scope->structs;

        return run(r, structs[http_rewrite_module.conf.id->slot[CONF_LEVEL_OWN]], v);
    case OP_REWRITE:
        return run_rewrite(r, op, v);
    case OP_RETURN:
        *v = run_return(r, op);
        return RUN_VERDICT;
    case OP_BREAK:
        r->skip_rewrite = true;
        r->uri_changed = false;
        return RUN_STOP;
    }
    return RUN_ON;
}

/* Nesting is bounded by that of the configuration's blocks. */
static enum run_result
run(struct http_request *r, const struct rewrite_own *own, struct http_verdict *v)
{
    for (size_t i = 0; own != NULL && i < own->ops.n; i++) {
        enum run_result rc = run_op(r, &own->ops.items[i], v);

        if (rc != RUN_ON) {
            return rc;
        }
    }
    return RUN_ON;
}

static struct http_verdict
rewrite_handler(struct http_request *r)
{
    struct http_verdict v = http_declined();
    const struct rewrite_own *own = http_own_conf(r, &http_rewrite_module);

    if (own != NULL && !r->skip_rewrite) {
        (void)run(r, own, &v);
        if (r->phase == HTTP_SERVER_REWRITE_PHASE) {
            r->skip_rewrite = false; /* `break` in server{} ends its rules, not the location's */
            r->uri_changed = false;
        }
    }
    return v;
}

#define IN_REWRITE CONF_IN(CTX_SRV | CTX_LOC | CTX_SIF | CTX_LIF, CONF_LEVEL_OWN)

static const struct conf_directive rows[] = {
    CONF_CALL("set", IN_REWRITE, ARGS(2, 2), add_set),
    CONF_CALL("rewrite", IN_REWRITE, ARGS(2, 3), add_rewrite),
    CONF_CALL("return", IN_REWRITE, ARGS(1, 2), add_return),
    CONF_CALL("break", IN_REWRITE, ARGS(0, 0), add_break),
    CONF_BLOCK("if", CONF_IN(CTX_SRV | CTX_LOC, CONF_LEVEL_OWN), ARGS_MORE(1), if_block),
    CONF_FLAG("rewrite_log",
              CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC | CTX_SIF | CTX_LIF, CONF_LEVEL_LOC),
              struct rewrite_loc, log, "off"),
    CONF_FLAG("uninitialized_variable_warn",
              CONF_IN(CTX_HTTP | CTX_SRV | CTX_LOC | CTX_SIF | CTX_LIF, CONF_LEVEL_LOC),
              struct rewrite_loc, uninitialized_warn, "on"),
    CONF_END,
};

const struct http_module http_rewrite_module = {
    .conf = { .name = "http_rewrite",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct rewrite_loc),
                        [CONF_LEVEL_OWN] = sizeof(struct rewrite_own) } },
    .phase = HTTP_SERVER_REWRITE_PHASE,
    .handler = rewrite_handler,
    .phase2 = HTTP_REWRITE_PHASE,
    .handler2 = rewrite_handler,
};
