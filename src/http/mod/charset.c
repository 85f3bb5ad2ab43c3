/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * charset: the charset parameter of Content-Type for the types of charset_types. Recoding between
 * charsets (source_charset, charset_map) is not part of this file.
 */
#include "base/hash.h"
#include "http/http.h"
#include "http/mod/mod.h"

struct charset_loc {
    struct template *charset; /* NULL: off */
    struct hash *types; /* lower case; NULL value never */
    bool all_types;
    bool override;
};

static enum conf_result
set_charset(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct charset_loc *clcf = conf;

    clcf->charset = NULL;
    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        return CONF_OK;
    }
    clcf->charset = template_from_word(cf, cf->vars, &node->words[1]);
    return clcf->charset == NULL ? CONF_ERROR : CONF_OK;
}

static void
add_type(struct pool *pool, struct charset_loc *clcf, struct slice type)
{
    hash_put(clcf->types, pool_lower(pool, type), clcf);
}

static enum conf_result
set_types(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct charset_loc *clcf = conf;

    clcf->types = hash_new(cf->pool, true);
    clcf->all_types = false;
    add_type(cf->pool, clcf, SLICE("text/html"));
    for (uint32_t i = 1; i < node->n_words; i++) {
        struct slice type = conf_arg(node, i);

        if (slice_eq(type, SLICE("*"))) {
            clcf->all_types = true;
        } else if (hash_get(clcf->types, type) != NULL) {
            diag_warn(cf->diag, node->words[i].pos, "duplicate MIME type \"%.*s\"",
                      SLICE_ARG(type));
        } else {
            add_type(cf->pool, clcf, type);
        }
    }
    return CONF_OK;
}

static void
init_loc(struct conf_ctx *cf, void *conf)
{
    static const char *const defaults[] = { "text/html",  "text/xml",
                                            "text/plain", "text/vnd.wap.wml",
                                            "application/javascript", "application/rss+xml" };
    struct charset_loc *clcf = conf;

    clcf->types = hash_new(cf->pool, true);
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        add_type(cf->pool, clcf, slice_str(defaults[i]));
    }
}

static bool
charset_filter(struct http_request *r)
{
    const struct charset_loc *clcf = http_loc_conf(r, &http_charset_module);
    struct http_headers_out *o = &r->out;

    if (clcf->charset == NULL || o->content_type.n == 0 || r != r->main) {
        return true;
    }
    if (o->charset.n > 0 && !clcf->override) {
        return true;
    }
    if (slice_case_find(o->content_type, SLICE("charset=")) >= 0 ||
        http_header_find(&o->all, HTTP_H_CONTENT_ENCODING) != NULL) {
        return true;
    }
    if (clcf->all_types || hash_get(clcf->types, o->content_type) != NULL) {
        o->charset = template_eval(clcf->charset, &r->vars);
    }
    return true;
}

static const struct conf_directive rows[] = {
    CONF_CALL_ONCE("charset", IN_HTTP_ANY_LIF, ARGS(1, 1), set_charset),
    CONF_CALL_ONCE("charset_types", IN_HTTP_ANY, ARGS_MORE(1), set_types),
    CONF_FLAG("override_charset", IN_HTTP_ANY_LIF, struct charset_loc, override, "off"),
    CONF_END,
};

const struct http_module http_charset_module = {
    .conf = { .name = "http_charset",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct charset_loc) },
              .init = { [CONF_LEVEL_LOC] = init_loc } },
    .header_filter = charset_filter,
};
