/* SPDX-License-Identifier: BSD-2-Clause */
/* The directives of ngx_http_core_module. What they do is in the files around. */
#include "http/core.h"

#include "base/num.h"
#include "conf/value.h"
#include "http/blocks.h"

#define IN_OWN_SRV CONF_IN(CTX_SRV, CONF_LEVEL_OWN)

/* --- root, alias ------------------------------------------------------------------------------- */

static enum conf_result
set_root(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    bool alias = slice_eq(conf_arg(node, 0), SLICE("alias"));
    const struct conf_word *w = &node->words[1];
    const char *other = alias ? "root" : "alias";

    if (conf_given(cf, other)) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"%s\" directive is duplicate, \"%s\" directive was specified earlier",
                          alias ? "alias" : "root", other);
    }
    static const char *const self[] = { "$document_root", "${document_root}", "$realpath_root",
                                        "${realpath_root}" };
    for (size_t i = 0; i < ARRAY_LEN(self); i++) {
        if (slice_find(w->text, slice_str(self[i])) >= 0) {
            return conf_error_at(cf, w,
                                 "the $%s variable cannot be used in the \"%s\" directive",
                                 i < 2 ? "document_root" : "realpath_root",
                                 alias ? "alias" : "root");
        }
    }
    struct conf_word full = *w;

    if (!slice_starts(w->text, SLICE("$"))) {
        full.text = conf_full_path(cf, w->text, false);
    }
    if (!alias && full.text.n > 1 && full.text.p[full.text.n - 1] == '/') {
        full.text = slice_head(full.text, full.text.n - 1);
    }
    clcf->root = template_from_word(cf, cf->vars, &full);
    if (clcf->root == NULL) {
        return CONF_ERROR;
    }
    clcf->is_alias = alias;
    clcf->alias_n = 0;
    if (alias) {
        const struct http_location *loc = http_current_location(cf);

        clcf->alias_n = loc->kind == HTTP_LOC_REGEX ? 0 : loc->name.n;
    }
    return CONF_OK;
}

/* --- types ------------------------------------------------------------------------------------- */

static void
put_type(struct pool *pool, struct hash *types, struct slice ext, struct slice type)
{
    struct slice *value = POOL_NEW(pool, struct slice);

    *value = type;
    hash_put(types, pool_lower(pool, ext), value);
}

static enum conf_result
types_block(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;

    if (!conf_given(cf, "types") || clcf->types == NULL) {
        clcf->types = hash_new(cf->pool, true);
    }
    for (const struct conf_node *n = node->children; n != NULL; n = n->next) {
        for (uint32_t i = 1; i < n->n_words; i++) {
            const struct slice *old = hash_get(clcf->types, conf_arg(n, i));

            if (old != NULL) {
                diag_warn(cf->diag, n->words[i].pos,
                          "duplicate extension \"%.*s\", content type: \"%.*s\", previous content "
                          "type: \"%.*s\"",
                          SLICE_ARG(conf_arg(n, i)), SLICE_ARG(conf_arg(n, 0)), SLICE_ARG(*old));
            }
            put_type(cf->pool, clcf->types, conf_arg(n, i), conf_arg(n, 0));
        }
    }
    return CONF_OK;
}

/* --- error_page ---------------------------------------------------------------------------------- */

static enum conf_result
parse_overwrite(struct conf_ctx *cf, const struct conf_word *w, int *overwrite)
{
    int64_t code;

    *overwrite = -1;
    if (!slice_starts(w->text, SLICE("="))) {
        return CONF_OK;
    }
    *overwrite = 0;
    if (w->text.n == 1) {
        return CONF_OK;
    }
    if (!num_parse(slice_from(w->text, 1), &code)) {
        return conf_error_at(cf, w, "invalid value \"%.*s\"", SLICE_ARG(w->text));
    }
    *overwrite = (int)MIN(code, (int64_t)999);
    return CONF_OK;
}

static enum conf_result
parse_error_code(struct conf_ctx *cf, const struct conf_word *w, int *status)
{
    int64_t code;

    if (!num_parse(w->text, &code) || code == 499) {
        return conf_error_at(cf, w, "invalid value \"%.*s\"", SLICE_ARG(w->text));
    }
    if (code < 300 || code > 599) {
        return conf_error_at(cf, w, "value \"%.*s\" must be between 300 and 599",
                             SLICE_ARG(w->text));
    }
    *status = (int)code;
    return CONF_OK;
}

static enum conf_result
add_error_page(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    uint32_t uri_at = node->n_words - 1;
    int overwrite;

    TRY(parse_overwrite(cf, &node->words[uri_at - 1], &overwrite));
    uint32_t codes_end = overwrite >= 0 ? uri_at - 1 : uri_at;

    if (codes_end < 2) {
        return conf_error_at(cf, &node->words[1], "invalid number of arguments in \"error_page\" directive");
    }
    struct template *uri = template_from_word(cf, cf->vars, &node->words[uri_at]);

    if (uri == NULL) {
        return CONF_ERROR;
    }
    for (uint32_t i = 1; i < codes_end; i++) {
        struct http_error_page page = { .overwrite = overwrite, .uri = uri };

        TRY(parse_error_code(cf, &node->words[i], &page.status));
        clcf->error_pages.items =
            vec_grow(cf->pool, clcf->error_pages.items, &clcf->error_pages.n,
                     &clcf->error_pages.cap, sizeof(page));
        clcf->error_pages.items[clcf->error_pages.n - 1] = page;
    }
    return CONF_OK;
}

/* --- the rest that is not one value ---------------------------------------------------------------- */

static enum conf_result
bad_value(struct conf_ctx *cf, const struct conf_node *node, uint32_t i)
{
    return conf_error_at(cf, &node->words[i], "\"%.*s\" directive invalid value",
                         SLICE_ARG(conf_arg(node, 0)));
}

static enum conf_result
set_keepalive_timeout(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    int64_t header = 0;

    if (!num_parse_time(conf_arg(node, 1), false, &clcf->keepalive_timeout)) {
        return bad_value(cf, node, 1);
    }
    if (node->n_words == 3 && !num_parse_time(conf_arg(node, 2), true, &header)) {
        return bad_value(cf, node, 2);
    }
    clcf->keepalive_header = header / 1000;
    return CONF_OK;
}

static enum conf_result
set_server_tokens(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    static const char *const words[] = { "off", "on", "build" };
    struct http_core_loc *clcf = conf;

    clcf->server_tokens_text = NULL;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_eq(conf_arg(node, 1), slice_str(words[i]))) {
            clcf->server_tokens = (int)i;
            return CONF_OK;
        }
    }
    clcf->server_tokens_text = template_from_word(cf, cf->vars, &node->words[1]);
    return clcf->server_tokens_text == NULL ? CONF_ERROR : CONF_OK;
}

static enum conf_result
set_internal(struct conf_ctx *cf, const struct conf_node *node UNUSED, void *conf UNUSED)
{
    http_current_location(cf)->is_internal = true;
    return CONF_OK;
}

static enum conf_result
set_directio(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;

    clcf->directio = -1;
    if (!slice_eq(conf_arg(node, 1), SLICE("off")) &&
        !num_parse_size(conf_arg(node, 1), &clcf->directio)) {
        return bad_value(cf, node, 1);
    }
    return CONF_OK;
}

static enum conf_result
set_aio(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    struct slice v = conf_arg(node, 1);
    struct slice pool;

    clcf->aio_pool = SLICE("default");
    if (slice_eq(v, SLICE("off"))) {
        clcf->aio = HTTP_AIO_OFF;
    } else if (slice_eq(v, SLICE("on"))) {
        clcf->aio = HTTP_AIO_ON;
    } else if (slice_eq(v, SLICE("threads"))) {
        clcf->aio = HTTP_AIO_THREADS;
    } else if (conf_param(v, "threads", &pool) && pool.n > 0) {
        clcf->aio = HTTP_AIO_THREADS;
        clcf->aio_pool = pool;
    } else {
        return conf_invalid_value(cf, node, 1);
    }
    return CONF_OK;
}

static enum conf_result
set_disable_symlinks(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;

    clcf->disable_symlinks_from = NULL;
    for (uint32_t i = 1; i < node->n_words; i++) {
        struct slice w = conf_arg(node, i);
        struct slice from;

        if (slice_eq(w, SLICE("off"))) {
            clcf->disable_symlinks = HTTP_SYMLINKS_OFF;
        } else if (slice_eq(w, SLICE("on"))) {
            clcf->disable_symlinks = HTTP_SYMLINKS_ON;
        } else if (slice_eq(w, SLICE("if_not_owner"))) {
            clcf->disable_symlinks = HTTP_SYMLINKS_IF_NOT_OWNER;
        } else if (conf_param(w, "from", &from)) {
            struct conf_word fw = node->words[i];

            fw.text = from;
            clcf->disable_symlinks_from = template_from_word(cf, cf->vars, &fw);
            if (clcf->disable_symlinks_from == NULL) {
                return CONF_ERROR;
            }
        } else {
            return conf_invalid_param(cf, node, i);
        }
    }
    if (clcf->disable_symlinks_from != NULL && node->n_words == 2) {
        return conf_error_at(cf, &node->words[1],
                             "\"disable_symlinks\" must have \"off\", \"on\" "
                             "or \"if_not_owner\" parameter");
    }
    return CONF_OK;
}

static enum conf_result
set_open_file_cache(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    bool off = false;

    clcf->open_file_cache_max = 0;
    clcf->open_file_cache_inactive = 60 * 1000;
    for (uint32_t i = 1; i < node->n_words; i++) {
        struct slice w = conf_arg(node, i);
        struct slice v;
        bool good = false;

        if (slice_eq(w, SLICE("off"))) {
            off = good = true;
        } else if (conf_param(w, "max", &v)) {
            good = num_parse(v, &clcf->open_file_cache_max) && clcf->open_file_cache_max > 0;
        } else if (conf_param(w, "inactive", &v)) {
            good = num_parse_time(v, true, &clcf->open_file_cache_inactive);
        }
        if (!good) {
            return conf_error_at(cf, &node->words[i],
                                 "invalid \"open_file_cache\" parameter \"%.*s\"", SLICE_ARG(w));
        }
    }
    if (!off && clcf->open_file_cache_max == 0) {
        return conf_error_at(cf, &node->words[0],
                             "\"open_file_cache\" must have the \"max\" parameter");
    }
    return CONF_OK;
}

static enum conf_result
set_temp_path(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;
    struct temp_path *tp = &clcf->client_body_temp_path;

    *tp = (struct temp_path){ .path = conf_full_path(cf, conf_arg(node, 1), false) };
    for (uint32_t i = 2; i < node->n_words; i++) {
        int64_t level;

        if (!num_parse(conf_arg(node, i), &level) || level < 1 || level > 3) {
            return conf_invalid_value(cf, node, i);
        }
        tp->levels[i - 2] = (uint8_t)level;
    }
    cycle_add_dir(cf->cycle, tp->path);
    return CONF_OK;
}

static enum conf_result
set_error_log(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;

    if (!conf_given(cf, "error_log")) {
        clcf->log = (struct log){ .level = LOG_LVL_STDERR };
    }
    return cycle_parse_error_log(cf, node, &clcf->log);
}

/* early_hints COND...: 103 of an upstream is passed on when a condition is neither empty nor "0". */
static enum conf_result
add_early_hints(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct http_core_loc *clcf = conf;

    for (uint32_t i = 1; i < node->n_words; i++) {
        struct template *t = template_from_word(cf, cf->vars, &node->words[i]);

        if (t == NULL) {
            return CONF_ERROR;
        }
        *VEC_PUSH(&clcf->early_hints, cf->pool) = t;
    }
    return CONF_OK;
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct conf_name satisfy_names[] = {
    { "all", HTTP_SATISFY_ALL }, { "any", HTTP_SATISFY_ANY }, { NULL, 0 }
};
static const struct conf_name ims_names[] = { { "off", HTTP_IMS_OFF },
                                              { "exact", HTTP_IMS_EXACT },
                                              { "before", HTTP_IMS_BEFORE },
                                              { NULL, 0 } };
static const struct conf_name lingering_names[] = { { "off", HTTP_LINGERING_OFF },
                                                    { "on", HTTP_LINGERING_ON },
                                                    { "always", HTTP_LINGERING_ALWAYS },
                                                    { NULL, 0 } };
static const struct conf_name file_body_names[] = { { "off", HTTP_FILE_BODY_OFF },
                                                    { "on", HTTP_FILE_BODY_ON },
                                                    { "clean", HTTP_FILE_BODY_CLEAN },
                                                    { NULL, 0 } };
static const struct conf_name ka_disable_names[] = { { "none", HTTP_KA_NONE },
                                                     { "msie6", HTTP_KA_MSIE6 },
                                                     { "safari", HTTP_KA_SAFARI },
                                                     { NULL, 0 } };

#define LOC struct http_core_loc
#define SRV struct http_core_srv

static const struct conf_directive rows[] = {
    CONF_CALL("listen", IN_OWN_SRV, ARGS_MORE(1), http_listen_directive),
    CONF_CALL("server_name", IN_OWN_SRV, ARGS_MORE(1), http_server_name_directive),
    CONF_CALL_ONCE("root", IN_HTTP_ANY_LIF, ARGS(1, 1), set_root),
    CONF_CALL_ONCE("alias", IN_LOC, ARGS(1, 1), set_root),
    CONF_BLOCK("types", IN_HTTP_ANY, ARGS(0, 0), types_block),
    CONF_STR("default_type", IN_HTTP_ANY, LOC, default_type, "text/plain"),
    CONF_LIST("error_page", IN_HTTP_ANY_LIF, ARGS_MORE(2), LOC, error_pages, add_error_page),
    CONF_CALL("error_log", IN_HTTP_ANY, ARGS_MORE(1), set_error_log),
    CONF_CALL_ONCE("internal", IN_LOC, ARGS(0, 0), set_internal),

    CONF_MSEC("client_header_timeout", IN_HTTP_SRV, SRV, client_header_timeout, "60s"),
    CONF_SIZE("client_header_buffer_size", IN_HTTP_SRV, SRV, client_header_buffer_size, "1k"),
    CONF_BUFS("large_client_header_buffers", IN_HTTP_SRV, SRV, large_client_header_buffers,
              "4 8k"),
    CONF_SIZE("connection_pool_size", IN_HTTP_SRV, SRV, connection_pool_size, "512"),
    CONF_SIZE("request_pool_size", IN_HTTP_SRV, SRV, request_pool_size, "4k"),
    CONF_NUM("max_headers", IN_HTTP_SRV, SRV, max_headers, 1, INT32_MAX, "1000"),
    CONF_FLAG("ignore_invalid_headers", IN_HTTP_SRV, SRV, ignore_invalid_headers, "on"),
    CONF_FLAG("merge_slashes", IN_HTTP_SRV, SRV, merge_slashes, "on"),
    CONF_FLAG("underscores_in_headers", IN_HTTP_SRV, SRV, underscores_in_headers, "off"),

    CONF_SIZE("client_max_body_size", IN_HTTP_ANY, LOC, client_max_body_size, "1m"),
    /* 64k here, 8k|16k in nginx: a body is written to disk only when it is really large. */
    CONF_SIZE("client_body_buffer_size", IN_HTTP_ANY, LOC, client_body_buffer_size, "64k"),
    CONF_MSEC("client_body_timeout", IN_HTTP_ANY, LOC, client_body_timeout, "60s"),
    CONF_ENUM("client_body_in_file_only", IN_HTTP_ANY, LOC, client_body_in_file_only,
              file_body_names, "off"),
    CONF_FLAG("client_body_in_single_buffer", IN_HTTP_ANY, LOC, client_body_in_single_buffer,
              "off"),
    CONF_CALL_ONCE("client_body_temp_path", IN_HTTP_ANY, ARGS(1, 4), set_temp_path),

    CONF_CALL_ONCE("keepalive_timeout", IN_HTTP_ANY, ARGS(1, 2), set_keepalive_timeout),
    CONF_MSEC("keepalive_time", IN_HTTP_ANY, LOC, keepalive_time, "1h"),
    CONF_MSEC("keepalive_min_timeout", IN_HTTP_ANY, LOC, keepalive_min_timeout, "1s"),
    CONF_NUM("keepalive_requests", IN_HTTP_ANY, LOC, keepalive_requests, 0, INT32_MAX, "1000"),
    CONF_BITS("keepalive_disable", IN_HTTP_ANY, ARGS(1, 2), LOC, keepalive_disable,
              ka_disable_names, "msie6"),
    CONF_MSEC("send_timeout", IN_HTTP_ANY, LOC, send_timeout, "60s"),
    CONF_SIZE("send_lowat", IN_HTTP_ANY, LOC, send_lowat, "0"),
    CONF_ENUM("lingering_close", IN_HTTP_ANY, LOC, lingering_close, lingering_names, "on"),
    CONF_MSEC("lingering_time", IN_HTTP_ANY, LOC, lingering_time, "30s"),
    CONF_MSEC("lingering_timeout", IN_HTTP_ANY, LOC, lingering_timeout, "5s"),
    CONF_FLAG("reset_timedout_connection", IN_HTTP_ANY, LOC, reset_timedout_connection, "off"),
    CONF_FLAG("tcp_nodelay", IN_HTTP_ANY, LOC, tcp_nodelay, "on"),
    CONF_FLAG("tcp_nopush", IN_HTTP_ANY, LOC, tcp_nopush, "off"),
    CONF_SIZE("postpone_output", IN_HTTP_ANY, LOC, postpone_output, "1460"),
    CONF_TEMPLATE("limit_rate", IN_HTTP_ANY_LIF, LOC, limit_rate, "0"),
    CONF_TEMPLATE("limit_rate_after", IN_HTTP_ANY_LIF, LOC, limit_rate_after, "0"),

    CONF_FLAG("sendfile", IN_HTTP_ANY_LIF, LOC, sendfile, "off"),
    CONF_SIZE("sendfile_max_chunk", IN_HTTP_ANY, LOC, sendfile_max_chunk, "2m"),
    CONF_SIZE("read_ahead", IN_HTTP_ANY, LOC, read_ahead, "0"),
    CONF_CALL_ONCE("directio", IN_HTTP_ANY, ARGS(1, 1), set_directio),
    CONF_SIZE("directio_alignment", IN_HTTP_ANY, LOC, directio_alignment, "512"),
    CONF_CALL_ONCE("aio", IN_HTTP_ANY, ARGS(1, 1), set_aio),
    CONF_FLAG("aio_write", IN_HTTP_ANY, LOC, aio_write, "off"),
    CONF_BUFS("output_buffers", IN_HTTP_ANY, LOC, output_buffers, "2 32k"),
    CONF_SIZE("subrequest_output_buffer_size", IN_HTTP_ANY, LOC, subrequest_output_buffer_size,
              "8k"),

    CONF_ENUM("satisfy", IN_HTTP_ANY, LOC, satisfy, satisfy_names, "all"),
    CONF_ENUM("if_modified_since", IN_HTTP_ANY, LOC, if_modified_since, ims_names, "exact"),
    CONF_FLAG("etag", IN_HTTP_ANY, LOC, etag, "on"),
    CONF_NUM("max_ranges", IN_HTTP_ANY, LOC, max_ranges, 0, INT32_MAX, NULL),
    CONF_FLAG("chunked_transfer_encoding", IN_HTTP_ANY, LOC, chunked_transfer_encoding, "on"),
    CONF_FLAG("absolute_redirect", IN_HTTP_ANY, LOC, absolute_redirect, "on"),
    CONF_FLAG("server_name_in_redirect", IN_HTTP_ANY, LOC, server_name_in_redirect, "off"),
    CONF_FLAG("port_in_redirect", IN_HTTP_ANY, LOC, port_in_redirect, "on"),
    CONF_FLAG("msie_padding", IN_HTTP_ANY, LOC, msie_padding, "on"),
    CONF_FLAG("msie_refresh", IN_HTTP_ANY, LOC, msie_refresh, "off"),
    CONF_FLAG("log_not_found", IN_HTTP_ANY, LOC, log_not_found, "on"),
    CONF_FLAG("log_subrequest", IN_HTTP_ANY, LOC, log_subrequest, "off"),
    CONF_FLAG("recursive_error_pages", IN_HTTP_ANY, LOC, recursive_error_pages, "off"),
    CONF_CALL_ONCE("server_tokens", IN_HTTP_ANY, ARGS(1, 1), set_server_tokens),
    CONF_LIST("early_hints", IN_HTTP_ANY, ARGS_MORE(1), LOC, early_hints, add_early_hints),
    CONF_MSEC("auth_delay", IN_HTTP_ANY, LOC, auth_delay, "0"),

    CONF_CALL_ONCE("disable_symlinks", IN_HTTP_ANY, ARGS(1, 2), set_disable_symlinks),
    CONF_CALL_ONCE("open_file_cache", IN_HTTP_ANY, ARGS(1, 2), set_open_file_cache),
    CONF_SEC("open_file_cache_valid", IN_HTTP_ANY, LOC, open_file_cache_valid, "60s"),
    CONF_NUM("open_file_cache_min_uses", IN_HTTP_ANY, LOC, open_file_cache_min_uses, 1, INT32_MAX,
             "1"),
    CONF_FLAG("open_file_cache_errors", IN_HTTP_ANY, LOC, open_file_cache_errors, "off"),

    CONF_NUM("types_hash_max_size", IN_HTTP_ANY, LOC, ignored_num, 1, INT32_MAX, "1024"),
    CONF_NUM("types_hash_bucket_size", IN_HTTP_ANY, LOC, ignored_num, 1, INT32_MAX, "64"),
    CONF_NUM("variables_hash_max_size", IN_HTTP, struct http_core_main, ignored_num, 1, INT32_MAX,
             "1024"),
    CONF_NUM("variables_hash_bucket_size", IN_HTTP, struct http_core_main, ignored_num, 1,
             INT32_MAX, "64"),
    CONF_NUM("server_names_hash_max_size", IN_HTTP, struct http_core_main, ignored_num, 1,
             INT32_MAX, "512"),
    CONF_NUM("server_names_hash_bucket_size", IN_HTTP, struct http_core_main, ignored_num, 1,
             INT32_MAX, "64"),
    CONF_END,
};

static void
init_loc(struct conf_ctx *cf, void *conf)
{
    struct http_core_loc *clcf = conf;
    struct slice error;

    clcf->root = template_compile(cf->pool, cf->vars, conf_full_path(cf, SLICE("html"), false),
                                  &error);
    clcf->types = hash_new(cf->pool, true);
    put_type(cf->pool, clcf->types, SLICE("html"), SLICE("text/html"));
    put_type(cf->pool, clcf->types, SLICE("gif"), SLICE("image/gif"));
    put_type(cf->pool, clcf->types, SLICE("jpg"), SLICE("image/jpeg"));
    clcf->keepalive_timeout = 75 * 1000;
    clcf->directio = -1;
    clcf->max_ranges = -1;
    clcf->server_tokens = HTTP_TOKENS_ON;
    clcf->aio_pool = SLICE("default");
    clcf->open_file_cache_inactive = 60 * 1000;
    clcf->client_body_temp_path = (struct temp_path){
        .path = conf_full_path(cf, SLICE("client_body_temp"), false),
    };
    clcf->log = ((struct cycle *)cf->cycle)->log;
}

const struct http_module http_core_module = {
    .conf = {
        .name = "http_core",
        .directives = rows,
        .id = CONF_MODULE_ID,
        .size = { [CONF_LEVEL_MAIN] = sizeof(struct http_core_main),
                  [CONF_LEVEL_SRV] = sizeof(struct http_core_srv),
                  [CONF_LEVEL_LOC] = sizeof(struct http_core_loc),
                  [CONF_LEVEL_OWN] = sizeof(struct server_collect) },
        .init = { [CONF_LEVEL_LOC] = init_loc },
    },
    .vars = http_core_vars,
};
