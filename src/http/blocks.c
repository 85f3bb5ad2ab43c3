/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http{}, server{}, location{} and limit_except{}: makes the objects that requests are routed to,
 * and binds the blocks' bodies in scopes of their own. At the end of http{} the modules' postconf
 * hooks run, every variable must have a definition, and the listeners are added to the cycle.
 */
#include "http/blocks.h"

#include "base/ident.h"
#include "conf/value.h"
#include "expr/regex.h"
#include "http/core.h"
#include "http/location.h"

/* --- where we are ----------------------------------------------------------------------------- */

struct http_location *
http_current_location(const struct conf_ctx *cf)
{
    uint32_t context = cf->scope->context;

    if (context & (CTX_LOC | CTX_LIF | CTX_LMT | CTX_SIF)) {
        return cf->scope->data;
    }
    return context == CTX_SRV ? ((struct http_server *)cf->scope->data)->loc : NULL;
}

struct http_server *
http_current_server(const struct conf_ctx *cf)
{
    if (cf->scope->context == CTX_SRV) {
        return cf->scope->data;
    }
    struct http_location *loc = http_current_location(cf);

    return loc == NULL ? NULL : loc->server;
}

static struct http_location *
new_location(struct conf_ctx *cf, const struct conf_node *node, enum http_loc_kind kind)
{
    struct http_location *loc = POOL_NEW(cf->pool, struct http_location);

    loc->kind = kind;
    loc->node = node;
    loc->name = SLICE("");
    loc->server = http_current_server(cf);
    return loc;
}

/* --- unnamed blocks ---------------------------------------------------------------------------- */

/* The content handler of the block around is inherited, and is known only now: a block's simple
 * directives are bound before its inner blocks. */
static enum conf_result
unnamed_done(struct conf_ctx *cf)
{
    struct http_location *loc = cf->scope->data;

    if (loc->handler == NULL && loc->outer != NULL) {
        loc->handler = loc->outer->handler;
        loc->handler_data = loc->outer->handler_data;
    }
    return CONF_OK;
}

struct http_location *
http_add_block(struct conf_ctx *cf, const struct conf_node *node, uint32_t context)
{
    struct http_location *outer = http_current_location(cf);
    struct http_location *loc = new_location(cf, node, HTTP_LOC_UNNAMED);

    loc->noname = true;
    loc->outer = outer;
    loc->name = outer->name;
    loc->scope = conf_bind_later(cf, node, context, loc, unnamed_done);
    return loc;
}

/* --- limit_except ------------------------------------------------------------------------------ */

static const struct conf_name method_names[] = {
    { "GET", HTTP_GET | HTTP_HEAD },
    { "HEAD", HTTP_HEAD },
    { "POST", HTTP_POST },
    { "PUT", HTTP_PUT },
    { "DELETE", HTTP_DELETE },
    { "MKCOL", HTTP_MKCOL },
    { "COPY", HTTP_COPY },
    { "MOVE", HTTP_MOVE },
    { "OPTIONS", HTTP_OPTIONS },
    { "PROPFIND", HTTP_PROPFIND },
    { "PROPPATCH", HTTP_PROPPATCH },
    { "LOCK", HTTP_LOCK },
    { "UNLOCK", HTTP_UNLOCK },
    { "PATCH", HTTP_PATCH },
    { NULL, 0 },
};

static enum conf_result
limit_except_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_location *loc = http_current_location(cf);
    uint32_t methods = 0;

    if (loc->limit_except != NULL) {
        return conf_duplicate(cf, node);
    }
    for (uint32_t i = 1; i < node->n_words; i++) {
        const struct conf_name *m = method_names;

        while (m->name != NULL && !slice_case_eq(conf_arg(node, i), slice_str(m->name))) {
            m++;
        }
        if (m->name == NULL) {
            return conf_error_at(cf, &node->words[i], "invalid method \"%.*s\"",
                                 SLICE_ARG(conf_arg(node, i)));
        }
        methods |= (uint32_t)m->value;
    }
    loc->limit_except = http_add_block(cf, node, CTX_LMT);
    loc->limit_except_methods = methods;
    return CONF_OK;
}

/* --- location ---------------------------------------------------------------------------------- */

struct location_form {
    enum http_loc_kind kind;
    bool caseless;
    struct slice name;
};

static bool
form_by_modifier(struct slice m, struct location_form *f)
{
    static const struct {
        const char *text;
        enum http_loc_kind kind;
        bool caseless;
    } forms[] = {
        { "=", HTTP_LOC_EXACT, false },
        { "^~", HTTP_LOC_NO_REGEX, false },
        { "~*", HTTP_LOC_REGEX, true },
        { "~", HTTP_LOC_REGEX, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (slice_eq(m, slice_str(forms[i].text))) {
            f->kind = forms[i].kind;
            f->caseless = forms[i].caseless;
            return true;
        }
    }
    return false;
}

/* "=/x", "^~/x", "~x", "~*x", "@x", "/x" in one word. */
static struct location_form
form_of_word(struct slice w)
{
    struct location_form f = { .kind = HTTP_LOC_PREFIX, .name = w };
    size_t n = slice_starts(w, SLICE("^~")) || slice_starts(w, SLICE("~*")) ? 2 : 1;

    if (form_by_modifier(slice_head(w, n), &f)) {
        f.name = slice_from(w, n);
    } else if (slice_starts(w, SLICE("@"))) {
        f.kind = HTTP_LOC_NAMED;
    }
    return f;
}

static enum conf_result
check_nesting(struct conf_ctx *cf, const struct conf_node *node, const struct http_location *outer,
              const struct location_form *f)
{
    struct conf_pos pos = node->words[0].pos;

    if (outer == NULL || outer->kind == HTTP_LOC_UNNAMED) {
        return CONF_OK;
    }
    if (outer->kind == HTTP_LOC_EXACT) {
        return diag_error(cf->diag, pos,
                          "location \"%.*s\" cannot be inside the exact location \"%.*s\"",
                          SLICE_ARG(f->name), SLICE_ARG(outer->name));
    }
    if (outer->kind == HTTP_LOC_NAMED) {
        return diag_error(cf->diag, pos,
                          "location \"%.*s\" cannot be inside the named location \"%.*s\"",
                          SLICE_ARG(f->name), SLICE_ARG(outer->name));
    }
    if (f->kind == HTTP_LOC_NAMED) {
        return diag_error(cf->diag, pos,
                          "named location \"%.*s\" can be on the server level only",
                          SLICE_ARG(f->name));
    }
    if (f->kind != HTTP_LOC_REGEX && !slice_starts(f->name, outer->name)) {
        return diag_error(cf->diag, pos, "location \"%.*s\" is outside location \"%.*s\"",
                          SLICE_ARG(f->name), SLICE_ARG(outer->name));
    }
    return CONF_OK;
}

static enum conf_result
location_done(struct conf_ctx *cf)
{
    struct http_location *loc = cf->scope->data;

    if (loc->inner != NULL) {
        location_table_finish(loc->inner, cf->pool);
    }
    return CONF_OK;
}

static enum conf_result
location_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_location *around = http_current_location(cf);
    struct http_server *server = http_current_server(cf);
    struct location_form f = form_of_word(conf_arg(node, 1));

    if (node->n_words == 3) {
        f.name = conf_arg(node, 2);
        if (!form_by_modifier(conf_arg(node, 1), &f)) {
            return conf_error_at(cf, &node->words[1], "invalid location modifier \"%.*s\"",
                                 SLICE_ARG(conf_arg(node, 1)));
        }
    }
    struct http_location *loc = new_location(cf, node, f.kind);

    loc->name = f.name;
    loc->outer = cf->scope->context == CTX_SRV ? NULL : around;
    TRY(check_nesting(cf, node, loc->outer, &f));
    if (f.kind == HTTP_LOC_REGEX) {
        const struct conf_word *w = &node->words[node->n_words - 1];

        loc->regex = regex_from_word(cf, http_main_of(cf)->vars, w, f.name, f.caseless);
        if (loc->regex == NULL) {
            return CONF_ERROR;
        }
    }
    struct location_table **table = loc->outer == NULL ? &server->locations : &around->inner;

    if (*table == NULL) {
        *table = location_table_new(cf->pool);
    }
    if (!location_table_add(*table, cf->pool, loc)) {
        return diag_error(cf->diag, node->words[0].pos, "duplicate location \"%.*s\"",
                          SLICE_ARG(loc->name));
    }
    loc->scope = conf_bind_later(cf, node, CTX_LOC, loc, location_done);
    return CONF_OK;
}

/* --- server ------------------------------------------------------------------------------------ */

static enum conf_result
server_done(struct conf_ctx *cf)
{
    struct http_server *server = cf->scope->data;

    if (server->locations != NULL) {
        location_table_finish(server->locations, cf->pool);
    }
    return CONF_OK;
}

static enum conf_result
server_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct http_main *hm = http_main_of(cf);
    struct http_server *server = POOL_NEW(cf->pool, struct http_server);

    server->main = hm;
    server->node = node;
    server->loc = new_location(cf, node, HTTP_LOC_UNNAMED);
    server->loc->server = server;
    *VEC_PUSH(&hm->servers, cf->pool) = server;
    server->scope = conf_bind_later(cf, node, CTX_SRV, server, server_done);
    server->loc->scope = server->scope;
    return CONF_OK;
}

struct slice
http_default_log_path(const struct conf_ctx *cf)
{
    const struct cycle *cycle = cf->cycle;
    /* -p moves it together with the configuration and the error log. */
    bool moved = !slice_eq(cycle->params->prefix, slice_str(ident_paths()->prefix));

    return moved ? SLICE("logs/access.log") : slice_str(ident_paths()->http_log);
}

/* --- http -------------------------------------------------------------------------------------- */

static void
add_phases(struct http_main *hm, const struct http_module *m)
{
    if (m->handler != NULL) {
        *VEC_PUSH(&hm->phases[m->phase], hm->pool) =
            (struct http_handler_ref){ .handler = m->handler, .m = m };
    }
    if (m->handler2 != NULL) {
        *VEC_PUSH(&hm->phases[m->phase2], hm->pool) =
            (struct http_handler_ref){ .handler = m->handler2, .m = m };
    }
    if (m->header_filter != NULL) {
        *VEC_PUSH(&hm->header_filters, hm->pool) = m->header_filter;
    }
}

static enum conf_result
finish_http(struct conf_ctx *cf)
{
    struct http_main *hm = http_main_of(cf);
    struct slice missing;

    for (const struct http_module *const *m = http_modules; *m != NULL; m++) {
        if ((*m)->postconf != NULL) {
            TRY((*m)->postconf(cf));
        }
        add_phases(hm, *m);
    }
    if (!var_table_resolve(hm->vars, &missing)) {
        return diag_error_global(cf->diag, LOG_LVL_EMERG, 0, "unknown \"%.*s\" variable",
                                 SLICE_ARG(missing));
    }
    return http_listen_finish(cf, hm);
}

static enum conf_result
http_block(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    struct cycle *cycle = cf->cycle;
    struct http_main *hm = POOL_NEW(cf->pool, struct http_main);

    if (cycle->http != NULL) {
        return conf_duplicate(cf, node);
    }
    hm->cycle = cycle;
    hm->pool = cf->pool;
    hm->vars = var_table_new(cf->pool);
    cycle->http = hm;
    cf->protocol = hm;
    cf->vars = hm->vars;
    for (const struct http_module *const *m = http_modules; *m != NULL; m++) {
        hm->n_modules = MAX(hm->n_modules, (uint32_t)(*m)->conf.id->index + 1);
        if ((*m)->vars != NULL) {
            var_table_add_defs(hm->vars, (*m)->vars);
        }
        if ((*m)->preconf != NULL) {
            TRY((*m)->preconf(cf));
        }
    }
    hm->scope = conf_bind_later(cf, node, CTX_HTTP, hm, finish_http);
    return CONF_OK;
}

static const struct conf_directive http_rows[] = {
    CONF_BLOCK("http", CONF_IN(CTX_MAIN, CONF_LEVEL_OWN), ARGS(0, 0), http_block),
    CONF_END,
};

static void
add_rows(struct conf_registry *reg)
{
    for (const struct http_module *const *m = http_modules; *m != NULL; m++) {
        conf_registry_add(reg, &(*m)->conf, CTX_HTTP);
    }
}

static bool
start_worker(struct cycle *cycle, struct loop *loop, uint32_t slot UNUSED)
{
    struct http_main *hm = cycle->http;

    for (const struct http_module *const *m = http_modules; hm != NULL && *m != NULL; m++) {
        if ((*m)->start_worker != NULL && !(*m)->start_worker(hm, loop)) {
            return false;
        }
    }
    return true;
}

static void
stop_worker(struct cycle *cycle)
{
    struct http_main *hm = cycle->http;

    for (const struct http_module *const *m = http_modules; hm != NULL && *m != NULL; m++) {
        if ((*m)->stop_worker != NULL) {
            (*m)->stop_worker(hm);
        }
    }
}

const struct module http_block_module = {
    .conf = { .name = "http", .directives = http_rows, .id = CONF_MODULE_ID },
    .add_rows = add_rows,
    .start_worker = start_worker,
    .stop_worker = stop_worker,
};

/* The rows of the blocks inside http{}; a module of its own so that core.c holds plain settings. */
static const struct conf_directive block_rows[] = {
    CONF_BLOCK("server", CONF_IN(CTX_HTTP, CONF_LEVEL_OWN), ARGS(0, 0), server_block),
    CONF_BLOCK("location", CONF_IN(CTX_SRV | CTX_LOC, CONF_LEVEL_OWN), ARGS(1, 2),
               location_block),
    CONF_BLOCK("limit_except", CONF_IN(CTX_LOC, CONF_LEVEL_OWN), ARGS_MORE(1),
               limit_except_block),
    CONF_END,
};

const struct http_module http_blocks_module = {
    .conf = { .name = "http_blocks", .directives = block_rows, .id = CONF_MODULE_ID },
};
