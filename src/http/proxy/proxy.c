/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy_pass and its settings: directives, the URI that goes upstream, variables. The exchange does
 * the rest.
 *
 * Which URI: without a URI in proxy_pass, what the client sent, byte for byte, unless something
 * changed it; with one, the normalised URI with the location's part replaced; with variables,
 * exactly what they say.
 */
#include "http/proxy/proxy.h"

#include "base/num.h"
#include "conf/value.h"
#include "expr/regex.h"
#include "http/blocks.h"
#include "http/core.h"
#include "http/proxy/proto.h"

#define LOC struct proxy_conf
#define IN_PASS CONF_IN(CTX_LOC | CTX_LIF | CTX_LMT, CONF_LEVEL_LOC)

/* --- targets ----------------------------------------------------------------------------------- */

static bool
split_schema(struct slice url, struct proxy_target *t, struct slice *rest, uint16_t *port)
{
    if (slice_case_starts(url, SLICE("http://"))) {
        t->schema = SLICE("http://");
        *port = 80;
    } else if (slice_case_starts(url, SLICE("https://"))) {
        t->schema = SLICE("https://");
        *port = 443;
    } else {
        return false;
    }
    *rest = slice_from(url, t->schema.n);
    return true;
}

/* $proxy_host, $proxy_port and the URI from the parts of a URL. */
static void
set_parts(struct pool *pool, struct proxy_target *t, struct slice rest,
          const struct addr_spec *spec)
{
    t->host = slice_head(rest, rest.n - spec->rest.n);
    t->uri = spec->rest;
    if (spec->is_unix) { /* "unix:/path:/uri": the path is of no interest to the server */
        t->host = SLICE("localhost");
        t->port = SLICE("");
        return;
    }
    t->port = pool_printf(pool, "%u", (unsigned)spec->port);
}

static struct slice
location_part(const struct http_location *loc)
{
    if (loc->kind == HTTP_LOC_REGEX || loc->kind == HTTP_LOC_NAMED || loc->noname) {
        return SLICE("");
    }
    return loc->name;
}

static enum conf_result
check_uri_place(struct conf_ctx *cf, const struct conf_word *w, const struct http_location *loc,
                const struct proxy_target *t)
{
    bool replaces = loc->kind == HTTP_LOC_PREFIX || loc->kind == HTTP_LOC_EXACT ||
                    loc->kind == HTTP_LOC_NO_REGEX;

    if (t->uri.n == 0 || (replaces && !loc->noname)) {
        return CONF_OK;
    }
    return conf_error_at(cf, w,
                         "\"proxy_pass\" cannot have URI part in location given by regular "
                         "expression, or inside named location, or inside \"if\" statement, or "
                         "inside \"limit_except\" block");
}

static enum conf_result
fixed_target(struct conf_ctx *cf, const struct conf_word *w, const struct http_location *loc,
             struct proxy_target *t)
{
    struct slice rest;
    struct addr_spec spec;
    uint16_t port;

    if (!split_schema(w->text, t, &rest, &port)) {
        return conf_error_at(cf, w, "invalid URL prefix");
    }
    if (port == 443) {
        return conf_error_at(cf, w, "https to upstreams is not supported by this version");
    }
    struct http_upstream *u = http_upstream_for(cf, w, rest, port, &spec);

    if (u == NULL) {
        return CONF_ERROR;
    }
    t->group = &u->group;
    set_parts(cf->pool, t, rest, &spec);
    TRY(check_uri_place(cf, w, loc, t));
    if (t->uri.n > 0 && t->uri.p[0] == '?') {
        t->uri = pool_printf(cf->pool, "/%.*s", SLICE_ARG(t->uri));
    }
    if (t->uri.n > 0) {
        t->location = location_part(loc);
        t->default_redirect = w->text;
    } else {
        t->location = SLICE("/");
        t->default_redirect = pool_printf(cf->pool, "%.*s/", SLICE_ARG(w->text));
    }
    return CONF_OK;
}

static struct http_verdict handler(struct http_request *r);

static enum conf_result
set_pass(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    const struct conf_word *w = &node->words[1];
    struct http_location *loc = http_current_location(cf);
    struct proxy_target *t = POOL_NEW(cf->pool, struct proxy_target);

    if (loc->handler == handler && loc->handler_data != NULL) {
        return conf_duplicate(cf, node);
    }
    t->url = w->text;
    if (slice_chr(w->text, '$') >= 0) {
        t->text = template_from_word(cf, http_main_of(cf)->vars, w);
        if (t->text == NULL) {
            return CONF_ERROR;
        }
    } else {
        TRY(fixed_target(cf, w, loc, t));
    }
    loc->handler = handler;
    loc->handler_data = t;
    loc->auto_redirect = slice_ends(loc->name, SLICE("/")) && loc->kind != HTTP_LOC_REGEX;
    return CONF_OK;
}

/* --- directives -------------------------------------------------------------------------------- */

static struct template *
word_template(struct conf_ctx *cf, const struct conf_node *node, uint32_t i)
{
    return template_from_word(cf, http_main_of(cf)->vars, &node->words[i]);
}

static enum conf_result
add_set_header(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct proxy_conf *plcf = conf;
    struct template *value = word_template(cf, node, 2);

    if (value == NULL) {
        return CONF_ERROR;
    }
    struct proxy_set_header *s = VEC_PUSH(&plcf->set_headers, cf->pool);

    s->name = conf_arg(node, 1);
    s->value = value;
    s->id = (uint16_t)http_header_id_of(s->name);
    return CONF_OK;
}

static enum conf_result
add_hide(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    *VEC_PUSH(&((struct proxy_conf *)conf)->hide_headers, cf->pool) = conf_arg(node, 1);
    return CONF_OK;
}

static enum conf_result
add_pass(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    *VEC_PUSH(&((struct proxy_conf *)conf)->pass_headers, cf->pool) = conf_arg(node, 1);
    return CONF_OK;
}

/* "~re" or "~*re" in word i; false: neither. */
static bool
regex_word(struct conf_ctx *cf, const struct conf_node *node, uint32_t i, struct regex **re)
{
    struct slice text = conf_arg(node, i);

    if (!slice_starts(text, SLICE("~"))) {
        return false;
    }
    bool caseless = slice_starts(text, SLICE("~*"));

    *re = regex_from_word(cf, http_main_of(cf)->vars, &node->words[i],
                          slice_from(text, caseless ? 2 : 1), caseless);
    return true;
}

static enum conf_result
default_redirect(struct conf_ctx *cf, const struct conf_node *node, struct proxy_redirects *rd)
{
    const struct http_location *loc =
        cf->scope->context == CTX_LOC || cf->scope->context == CTX_LIF ? http_current_location(cf)
                                                                       : NULL;
    const struct proxy_target *t = loc != NULL && loc->handler == handler ? loc->handler_data : NULL;

    if (t == NULL) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"proxy_redirect default\" should be placed after the \"proxy_pass\" "
                          "directive");
    }
    if (t->text != NULL) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"proxy_redirect default\" cannot be used with \"proxy_pass\" "
                          "directive with variables");
    }
    rd->with_default = true;
    rd->default_at = rd->n;
    return CONF_OK;
}

static enum conf_result
add_redirect(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct proxy_redirects *rd = &((struct proxy_conf *)conf)->redirects;
    struct proxy_redirect rule = { 0 };

    rd->given = true;
    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        rd->off = true;
        return CONF_OK;
    }
    if (node->n_words == 2) {
        return slice_eq(conf_arg(node, 1), SLICE("default")) ? default_redirect(cf, node, rd)
                                                             : conf_invalid_param(cf, node, 1);
    }
    if (regex_word(cf, node, 1, &rule.regex)) {
        if (rule.regex == NULL) {
            return CONF_ERROR;
        }
    } else if ((rule.prefix = word_template(cf, node, 1)) == NULL) {
        return CONF_ERROR;
    }
    rule.replacement = word_template(cf, node, 2);
    if (rule.replacement == NULL) {
        return CONF_ERROR;
    }
    *VEC_PUSH(rd, cf->pool) = rule;
    return CONF_OK;
}

static enum conf_result
add_cookie_rule(struct conf_ctx *cf, const struct conf_node *node, struct proxy_cookie_rules *rules)
{
    struct proxy_cookie_rule rule = { 0 };

    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        rules->off = true;
        return CONF_OK;
    }
    if (node->n_words == 2) {
        return conf_invalid_param(cf, node, 1);
    }
    if (regex_word(cf, node, 1, &rule.regex)) {
        if (rule.regex == NULL) {
            return CONF_ERROR;
        }
    } else if ((rule.from = word_template(cf, node, 1)) == NULL) {
        return CONF_ERROR;
    }
    rule.to = word_template(cf, node, 2);
    if (rule.to == NULL) {
        return CONF_ERROR;
    }
    *VEC_PUSH(rules, cf->pool) = rule;
    return CONF_OK;
}

static enum conf_result
add_cookie_domain(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    return add_cookie_rule(cf, node, &((struct proxy_conf *)conf)->cookie_domains);
}

static enum conf_result
add_cookie_path(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    return add_cookie_rule(cf, node, &((struct proxy_conf *)conf)->cookie_paths);
}

static enum conf_result
add_cookie_flags(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct proxy_cookie_flags_list *list = &((struct proxy_conf *)conf)->cookie_flags;
    struct proxy_cookie_flag_rule rule = { 0 };

    if (node->n_words == 2 && slice_eq(conf_arg(node, 1), SLICE("off"))) {
        list->off = true;
        return CONF_OK;
    }
    if (regex_word(cf, node, 1, &rule.regex)) {
        if (rule.regex == NULL) {
            return CONF_ERROR;
        }
    } else if ((rule.cookie = word_template(cf, node, 1)) == NULL) {
        return CONF_ERROR;
    }
    for (uint32_t i = 2; i < node->n_words; i++) {
        struct template *flag = word_template(cf, node, i);

        if (flag == NULL) {
            return CONF_ERROR;
        }
        *VEC_PUSH(&rule.flags, cf->pool) = flag;
    }
    *VEC_PUSH(list, cf->pool) = rule;
    return CONF_OK;
}

/* Directives whose list "off" empties: those of outer blocks do not count, whatever follows. */
static void
apply_off(struct proxy_conf *plcf)
{
    if (plcf->cookie_domains.off) {
        plcf->cookie_domains.n = 0;
    }
    if (plcf->cookie_paths.off) {
        plcf->cookie_paths.n = 0;
    }
    if (plcf->cookie_flags.off) {
        plcf->cookie_flags.n = 0;
    }
}

static enum conf_result
set_bind(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct exchange_bind *bind = &((struct proxy_conf *)conf)->x.bind;
    struct addr_spec spec;
    const char *error;

    *bind = (struct exchange_bind){ .given = true };
    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        return CONF_OK;
    }
    if (node->n_words == 3) {
        if (!slice_eq(conf_arg(node, 2), SLICE("transparent"))) {
            return conf_invalid_param(cf, node, 2);
        }
        bind->transparent = true;
    }
    bind->text = word_template(cf, node, 1);
    if (bind->text == NULL) {
        return CONF_ERROR;
    }
    if (!template_is_constant(bind->text) || addr_parse_ip(conf_arg(node, 1), &bind->addr)) {
        return CONF_OK;
    }
    if (addr_spec_parse(conf_arg(node, 1), 0, false, &spec, &error) && !spec.is_unix &&
        addr_parse_ip(spec.host, &bind->addr)) {
        addr_set_port(&bind->addr, spec.port);
        return CONF_OK;
    }
    return conf_error_at(cf, &node->words[1], "invalid address \"%.*s\"",
                         SLICE_ARG(conf_arg(node, 1)));
}

static enum conf_result
set_temp_path(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct temp_path *tp = &((struct proxy_conf *)conf)->x.temp_path;

    *tp = (struct temp_path){ .path = conf_full_path(cf, conf_arg(node, 1), false) };
    for (uint32_t i = 2; i < node->n_words; i++) {
        int64_t n;

        if (!num_parse(conf_arg(node, i), &n) || n < 0) {
            return diag_error(cf->diag, node->words[0].pos,
                              "\"proxy_temp_path\" directive invalid value");
        }
        tp->levels[i - 2] = (uint8_t)MIN(n, (int64_t)8);
    }
    cycle_add_dir(cf->cycle, tp->path);
    return CONF_OK;
}

static enum conf_result
set_store(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct exchange_conf *x = &((struct proxy_conf *)conf)->x;

    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        x->store = STORE_OFF;
        return CONF_OK;
    }
    if (conf_given(cf, "proxy_cache")) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"proxy_store\" directive is incompatible with \"proxy_cache\"");
    }
    if (slice_eq(conf_arg(node, 1), SLICE("on"))) {
        x->store = STORE_ON;
        return CONF_OK;
    }
    x->store = STORE_PATH;
    x->store_path = word_template(cf, node, 1);
    return x->store_path == NULL ? CONF_ERROR : CONF_OK;
}

/* user:rw group:r all:r */
static bool
access_bits(struct slice word, uint32_t *mode)
{
    static const struct {
        const char *who;
        unsigned shift;
    } whos[] = { { "user:", 6 }, { "group:", 3 }, { "all:", 0 } };

    for (size_t i = 0; i < ARRAY_LEN(whos); i++) {
        if (!slice_starts(word, slice_str(whos[i].who))) {
            continue;
        }
        struct slice rights = slice_from(word, strlen(whos[i].who));

        if (slice_eq(rights, SLICE("rw"))) {
            *mode |= 6u << whos[i].shift;
        } else if (slice_eq(rights, SLICE("r"))) {
            *mode |= 4u << whos[i].shift;
        } else {
            return false;
        }
        return true;
    }
    return false;
}

static enum conf_result
set_store_access(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct exchange_conf *x = &((struct proxy_conf *)conf)->x;

    x->store_access = 0600;
    for (uint32_t i = 1; i < node->n_words; i++) {
        if (!access_bits(conf_arg(node, i), &x->store_access)) {
            return conf_error_at(cf, &node->words[i], "invalid value \"%.*s\"",
                                 SLICE_ARG(conf_arg(node, i)));
        }
    }
    return CONF_OK;
}

static enum conf_result
set_limit_rate(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct exchange_conf *x = &((struct proxy_conf *)conf)->x;
    int64_t rate;

    x->limit_rate = word_template(cf, node, 1);
    if (x->limit_rate == NULL) {
        return CONF_ERROR;
    }
    if (template_is_constant(x->limit_rate) && !num_parse_size(conf_arg(node, 1), &rate)) {
        return diag_error(cf->diag, node->words[0].pos,
                          "\"proxy_limit_rate\" directive invalid value");
    }
    if (template_is_constant(x->limit_rate) && rate == 0) {
        x->limit_rate = NULL;
    }
    return CONF_OK;
}

static enum conf_result
add_conditions(struct conf_ctx *cf, const struct conf_node *node, struct template_list *list)
{
    for (uint32_t i = 1; i < node->n_words; i++) {
        struct template *t = word_template(cf, node, i);

        if (t == NULL) {
            return CONF_ERROR;
        }
        *VEC_PUSH(list, cf->pool) = t;
    }
    return CONF_OK;
}

static enum conf_result
add_bypass(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    return add_conditions(cf, node, &((struct proxy_conf *)conf)->cache_bypass);
}

static enum conf_result
add_no_cache(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    return add_conditions(cf, node, &((struct proxy_conf *)conf)->no_cache);
}

static enum conf_result
set_cache(struct conf_ctx *cf, const struct conf_node *node, void *conf UNUSED)
{
    if (slice_eq(conf_arg(node, 1), SLICE("off"))) {
        return CONF_OK;
    }
    return diag_error(cf->diag, node->words[0].pos,
                      "\"proxy_cache\" with a zone is not supported by this version");
}

static enum conf_result
set_upgrade_protocols(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct slice_list *list = &((struct proxy_conf *)conf)->upgrade_protocols;

    *list = (struct slice_list){ 0 };
    for (uint32_t i = 1; i < node->n_words; i++) {
        *VEC_PUSH(list, cf->pool) = conf_arg(node, i);
    }
    return CONF_OK;
}

/* RFC 9110 section 7.8: names are compared without case; "h2c" is refused unless listed, since a
 * tunnel of it would carry requests past every rule of this configuration. */
bool
proxy_upgrade_allowed(const struct proxy_conf *plcf, struct slice protocol)
{
    ssize_t slash = slice_chr(protocol, '/');

    if (slash >= 0) {
        protocol = slice_head(protocol, (size_t)slash);
    }
    if (plcf->upgrade_protocols.n == 0) {
        return !slice_case_eq(protocol, SLICE("h2c")) && !slice_case_eq(protocol, SLICE("h2"));
    }
    VEC_EACH(const struct slice, s, &plcf->upgrade_protocols)
    {
        if (slice_case_eq(*s, protocol)) {
            return true;
        }
    }
    return false;
}

static const struct conf_name version_names[] = {
    { "1.0", 10 },
    { "1.1", 11 },
    { NULL, 0 },
};

static const struct conf_directive rows[] = {
    CONF_CALL_ONCE("proxy_pass", IN_PASS, ARGS(1, 1), set_pass),
    CONF_LIST("proxy_redirect", IN_HTTP_ANY, ARGS(1, 2), LOC, redirects, add_redirect),
    CONF_LIST("proxy_cookie_domain", IN_HTTP_ANY, ARGS(1, 2), LOC, cookie_domains,
              add_cookie_domain),
    CONF_LIST("proxy_cookie_path", IN_HTTP_ANY, ARGS(1, 2), LOC, cookie_paths, add_cookie_path),
    CONF_LIST("proxy_cookie_flags", IN_HTTP_ANY, ARGS(1, 4), LOC, cookie_flags, add_cookie_flags),
    CONF_CALL_ONCE("proxy_store", IN_HTTP_ANY, ARGS(1, 1), set_store),
    CONF_CALL_ONCE("proxy_store_access", IN_HTTP_ANY, ARGS(1, 3), set_store_access),
    CONF_FLAG("proxy_buffering", IN_HTTP_ANY, LOC, x.buffering, "on"),
    CONF_FLAG("proxy_request_buffering", IN_HTTP_ANY, LOC, x.request_buffering, "on"),
    CONF_FLAG("proxy_ignore_client_abort", IN_HTTP_ANY, LOC, x.ignore_client_abort, "off"),
    CONF_CALL_ONCE("proxy_bind", IN_HTTP_ANY, ARGS(1, 2), set_bind),
    CONF_FLAG("proxy_socket_keepalive", IN_HTTP_ANY, LOC, x.socket_keepalive, "off"),
    CONF_SIZE("proxy_socket_rcvbuf", IN_HTTP_ANY, LOC, x.socket_rcvbuf, "0"),
    CONF_SIZE("proxy_socket_sndbuf", IN_HTTP_ANY, LOC, x.socket_sndbuf, "0"),
    CONF_MSEC("proxy_connect_timeout", IN_HTTP_ANY, LOC, x.connect_timeout, "60s"),
    CONF_MSEC("proxy_send_timeout", IN_HTTP_ANY, LOC, x.send_timeout, "60s"),
    CONF_MSEC("proxy_read_timeout", IN_HTTP_ANY, LOC, x.read_timeout, "60s"),
    CONF_SIZE("proxy_send_lowat", IN_HTTP_ANY, LOC, x.send_lowat, "0"),
    CONF_FLAG("proxy_intercept_errors", IN_HTTP_ANY, LOC, x.intercept_errors, "off"),
    CONF_LIST("proxy_set_header", IN_HTTP_ANY, ARGS(2, 2), LOC, set_headers, add_set_header),
    CONF_IGNORED("proxy_headers_hash_max_size", IN_HTTP_ANY, ARGS(1, 1)),
    CONF_IGNORED("proxy_headers_hash_bucket_size", IN_HTTP_ANY, ARGS(1, 1)),
    CONF_TEMPLATE("proxy_set_body", IN_HTTP_ANY, LOC, set_body, NULL),
    CONF_TEMPLATE("proxy_method", IN_HTTP_ANY, LOC, method, NULL),
    CONF_FLAG("proxy_pass_request_headers", IN_HTTP_ANY, LOC, x.pass_request_headers, "on"),
    CONF_FLAG("proxy_pass_request_body", IN_HTTP_ANY, LOC, x.pass_request_body, "on"),
    CONF_FLAG("proxy_pass_trailers", IN_HTTP_ANY, LOC, x.pass_trailers, "off"),
    CONF_SIZE("proxy_buffer_size", IN_HTTP_ANY, LOC, x.buffer_size, "4k"),
    CONF_BUFS("proxy_buffers", IN_HTTP_ANY, LOC, x.buffers, "8 4k"),
    CONF_SIZE("proxy_busy_buffers_size", IN_HTTP_ANY, LOC, x.busy_buffers_size, NULL),
    CONF_SIZE("proxy_max_temp_file_size", IN_HTTP_ANY, LOC, x.max_temp_file_size, "1024m"),
    CONF_SIZE("proxy_temp_file_write_size", IN_HTTP_ANY, LOC, x.temp_file_write_size, NULL),
    CONF_CALL_ONCE("proxy_temp_path", IN_HTTP_ANY, ARGS(1, 4), set_temp_path),
    CONF_FLAG("proxy_force_ranges", IN_HTTP_ANY, LOC, x.force_ranges, "off"),
    CONF_CALL_ONCE("proxy_limit_rate", IN_HTTP_ANY, ARGS(1, 1), set_limit_rate),
    CONF_BITS("proxy_next_upstream", IN_HTTP_ANY, ARGS_MORE(1), LOC, x.next_upstream,
              exchange_next_names, "error timeout"),
    CONF_NUM("proxy_next_upstream_tries", IN_HTTP_ANY, LOC, x.next_upstream_tries, 0, INT32_MAX,
             "0"),
    CONF_MSEC("proxy_next_upstream_timeout", IN_HTTP_ANY, LOC, x.next_upstream_timeout, "0"),
    CONF_LIST("proxy_pass_header", IN_HTTP_ANY, ARGS(1, 1), LOC, pass_headers, add_pass),
    CONF_LIST("proxy_hide_header", IN_HTTP_ANY, ARGS(1, 1), LOC, hide_headers, add_hide),
    CONF_BITS("proxy_ignore_headers", IN_HTTP_ANY, ARGS_MORE(1), LOC, x.ignore_headers,
              exchange_ignore_names, NULL),
    CONF_ENUM("proxy_http_version", IN_HTTP_ANY, LOC, http_version, version_names, "1.1"),
    CONF_CALL_ONCE("proxy_upgrade_protocols", IN_HTTP_ANY, ARGS_MORE(1), set_upgrade_protocols),
    CONF_CALL_ONCE("proxy_cache", IN_HTTP_ANY, ARGS(1, 1), set_cache),
    CONF_LIST("proxy_cache_bypass", IN_HTTP_ANY, ARGS_MORE(1), LOC, cache_bypass, add_bypass),
    CONF_LIST("proxy_no_cache", IN_HTTP_ANY, ARGS_MORE(1), LOC, no_cache, add_no_cache),
    CONF_END,
};

/* --- rules between settings -------------------------------------------------------------------- */

static enum conf_result
size_error(struct conf_ctx *cf, const char *text)
{
    struct conf_pos pos = cf->scope->node != NULL ? cf->scope->node->end : (struct conf_pos){ 0 };

    return diag_error(cf->diag, pos, "%s", text);
}

#define AT_LEAST_ONE                                                                               \
    "the maximum of the value of \"proxy_buffer_size\" and one of the \"proxy_buffers\""

static enum conf_result
check_sizes(struct conf_ctx *cf, struct exchange_conf *x)
{
    int64_t largest = MAX(x->buffer_size, x->buffers.size);
    int64_t all = x->buffers.n * x->buffers.size;
    int64_t busy = x->busy_buffers_size != 0 ? x->busy_buffers_size : 2 * largest;
    int64_t write = x->temp_file_write_size != 0 ? x->temp_file_write_size : 2 * largest;

    if (x->buffers.n < 2) {
        return size_error(cf, "there must be at least 2 \"proxy_buffers\"");
    }
    if (busy < largest) {
        return size_error(cf, "\"proxy_busy_buffers_size\" must be equal to or greater than "
                          AT_LEAST_ONE);
    }
    if (busy > all - x->buffers.size) {
        return size_error(cf, "\"proxy_busy_buffers_size\" must be less than the size of all "
                              "\"proxy_buffers\" minus one buffer");
    }
    if (write < largest) {
        return size_error(cf, "\"proxy_temp_file_write_size\" must be equal to or greater than "
                          AT_LEAST_ONE);
    }
    if (x->max_temp_file_size != 0 && x->max_temp_file_size < largest) {
        return size_error(cf, "\"proxy_max_temp_file_size\" must be equal to zero to disable "
                              "temporary files usage or must be equal to or greater than "
                          AT_LEAST_ONE);
    }
    return CONF_OK;
}

static enum conf_result
finish_conf(struct conf_ctx *cf, void *conf)
{
    struct proxy_conf *plcf = conf;

    apply_off(plcf);
    TRY(check_sizes(cf, &plcf->x));
    if (plcf->plan == NULL || plcf->plan_of != plcf->set_headers.items) {
        plcf->plan = proxy_plan_compile(cf->pool, &plcf->set_headers);
        plcf->plan_of = plcf->set_headers.items;
    }
    if (plcf->response_plan == NULL || plcf->response_plan_of[0] != plcf->hide_headers.items ||
        plcf->response_plan_of[1] != plcf->pass_headers.items) {
        plcf->response_plan =
            proxy_response_plan_compile(cf->pool, &plcf->hide_headers, &plcf->pass_headers);
        plcf->response_plan_of[0] = plcf->hide_headers.items;
        plcf->response_plan_of[1] = plcf->pass_headers.items;
    }
    return CONF_OK;
}

static void
init_conf(struct conf_ctx *cf, void *conf)
{
    struct proxy_conf *plcf = conf;

    plcf->x.temp_path = (struct temp_path){
        .path = conf_full_path(cf, SLICE("proxy_temp"), false),
        .levels = { 1, 2 },
    };
    cycle_add_dir(cf->cycle, plcf->x.temp_path.path);
    plcf->x.store_access = 0600;
}

/* --- the request's target ---------------------------------------------------------------------- */

/* A proxy_pass with variables, evaluated; false: 500 was logged, or *status says. */
static struct proxy_target *
eval_target(struct http_request *r, const struct proxy_target *conf, int *status)
{
    struct proxy_target *t = POOL_NEW(r->pool, struct proxy_target);
    struct slice url = template_eval(conf->text, &r->vars);
    const char *error = "no host";
    struct addr_spec spec;
    struct slice rest;
    uint16_t port;

    *status = 500;
    if (!split_schema(url, t, &rest, &port) || rest.n == 0) {
        log_error(&r->log, LOG_LVL_ERR, 0, "invalid URL prefix in \"%.*s\"", SLICE_ARG(url));
        return NULL;
    }
    if (port == 443) {
        log_error(&r->log, LOG_LVL_ERR, 0, "https to upstreams is not supported by this version");
        return NULL;
    }
    if (!addr_spec_parse(rest, port, true, &spec, &error)) {
        log_error(&r->log, LOG_LVL_ERR, 0, "%s in upstream \"%.*s\"", error, SLICE_ARG(rest));
        return NULL;
    }
    t->url = url;
    set_parts(r->pool, t, rest, &spec);
    t->group = http_upstream_at_run_time(r, &spec);
    if (t->group == NULL) {
        *status = 502;
        log_error(&r->log, LOG_LVL_ERR, 0, "no resolver defined to resolve %.*s",
                  SLICE_ARG(spec.host));
        return NULL;
    }
    return t;
}

static struct slice
with_args(struct http_request *r, struct slice uri)
{
    if (r->args.n == 0) {
        return uri;
    }
    struct slice parts[] = { uri, SLICE("?"), r->args };

    return pool_concat(r->pool, parts, ARRAY_LEN(parts));
}

/* A URI that came without an escape needs none: what the client sent as it is goes on as it is. */
static struct slice
escaped(struct http_request *r, struct slice uri)
{
    bool was = r->main->unparsed_uri.n > 0 && slice_chr(r->main->unparsed_uri, '%') < 0;

    return was ? uri : uri_escape(r->pool, uri, URI_ESCAPE_PATH);
}

/* What was sent, unless it was changed since. */
static struct slice
own_uri(struct http_request *r)
{
    if (r->valid_unparsed_uri && r == r->main && r->unparsed_uri.n > 0) {
        return r->unparsed_uri;
    }
    return with_args(r, escaped(r, r->uri));
}

static struct slice
upstream_uri(struct http_request *r, const struct proxy_target *conf,
             const struct proxy_target *t)
{
    if (conf->text != NULL) { /* with variables: as it says */
        if (t->uri.n == 0) {
            return own_uri(r);
        }
        if (t->uri.p[0] != '?') {
            return t->uri;
        }
        struct slice parts[] = { SLICE("/"), t->uri };

        return pool_concat(r->pool, parts, ARRAY_LEN(parts));
    }
    if (t->uri.n == 0) {
        return own_uri(r);
    }
    if (r->uri_replaced) { /* `rewrite ... break` made a whole new URI */
        return with_args(r, escaped(r, r->uri));
    }
    struct slice tail = escaped(r, slice_from(r->uri, t->location.n));
    struct slice parts[] = { t->uri, tail };

    return with_args(r, tail.n == 0 ? t->uri : pool_concat(r->pool, parts, ARRAY_LEN(parts)));
}

static struct http_verdict
handler(struct http_request *r)
{
    const struct proxy_conf *plcf = http_loc_conf(r, &http_proxy_module);
    struct proxy_target *conf = r->loc->handler_data;
    struct proxy_target *t = conf;
    int status;

    if (conf->text != NULL && (t = eval_target(r, conf, &status)) == NULL) {
        return http_finish(status);
    }
    struct http_exchange *u = exchange_new(r, &http_up_h1, &plcf->x);

    memcpy(&u->proto_conf, &plcf, sizeof(plcf)); /* read only, as every configuration */
    u->target = t;
    u->group = t->group;
    u->schema = t->schema;
    u->uri = upstream_uri(r, conf, t);
    /* HTTP/1.0 upstreams know no chunked requests: the whole body must be there first. */
    u->streams_body = !plcf->x.request_buffering &&
                      (plcf->http_version != 10 || r->in.content_length >= 0);
    return exchange_run(u);
}

/* --- variables --------------------------------------------------------------------------------- */

static const struct proxy_target *
target_of(const struct http_request *r)
{
    if (r->upstream != NULL) {
        return r->upstream->target;
    }
    return r->loc != NULL && r->loc->handler == handler ? r->loc->handler_data : NULL;
}

static void
var_host(struct var_scope *scope, const struct var *var UNUSED, struct var_value *v)
{
    const struct proxy_target *t = target_of(scope->subject);

    v->state = t != NULL && t->host.n > 0 ? VAR_FOUND : VAR_NOT_FOUND;
    v->text = t != NULL ? t->host : SLICE_NONE;
}

static void
var_port(struct var_scope *scope, const struct var *var UNUSED, struct var_value *v)
{
    const struct proxy_target *t = target_of(scope->subject);

    v->state = t != NULL && t->port.n > 0 ? VAR_FOUND : VAR_NOT_FOUND;
    v->text = t != NULL ? t->port : SLICE_NONE;
}

static void
var_xff(struct var_scope *scope, const struct var *var UNUSED, struct var_value *v)
{
    const struct http_request *r = scope->subject;
    struct text_builder b;
    char addr[ADDR_TEXT_MAX];

    text_init(&b, scope->pool, 64);
    for (size_t i = 0; i < r->in.all.n; i++) {
        const struct http_header *h = &r->in.all.items[i];

        if (h->id == HTTP_H_X_FORWARDED_FOR && !h->hidden) {
            text_add(&b, h->value);
            text_add(&b, SLICE(", "));
        }
    }
    text_add(&b, slice_of(addr, addr_print(&r->c->peer, false, addr)));
    v->text = text_done(&b);
    v->state = VAR_FOUND;
}

/* $proxy_internal_*: lengths that the exchange decides; nginx has them for its own plan. */
static void
var_body_length(struct var_scope *scope, const struct var *var UNUSED, struct var_value *v)
{
    const struct http_request *r = scope->subject;

    v->state = r->in.content_length >= 0 ? VAR_FOUND : VAR_NOT_FOUND;
    v->text = pool_printf(scope->pool, "%lld", (long long)r->in.content_length);
}

static void
var_chunked(struct var_scope *scope, const struct var *var UNUSED, struct var_value *v)
{
    const struct http_request *r = scope->subject;

    v->state = r->upstream != NULL && r->upstream->chunks_body ? VAR_FOUND : VAR_NOT_FOUND;
    v->text = SLICE("chunked");
}

static const struct var_def vars[] = {
    { "proxy_host", var_host, NULL, 0, VAR_NOCACHE },
    { "proxy_port", var_port, NULL, 0, VAR_NOCACHE },
    { "proxy_add_x_forwarded_for", var_xff, NULL, 0, 0 },
    { "proxy_internal_body_length", var_body_length, NULL, 0, VAR_NOCACHE },
    { "proxy_internal_chunked", var_chunked, NULL, 0, VAR_NOCACHE },
    { NULL, NULL, NULL, 0, 0 },
};

const struct http_module http_proxy_module = {
    .conf = {
        .name = "http_proxy",
        .directives = rows,
        .id = CONF_MODULE_ID,
        .size = { [CONF_LEVEL_LOC] = sizeof(struct proxy_conf) },
        .init = { [CONF_LEVEL_LOC] = init_conf },
        .finish = { [CONF_LEVEL_LOC] = finish_conf },
    },
    .vars = vars,
};
