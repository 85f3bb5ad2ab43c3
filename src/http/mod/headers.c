/* SPDX-License-Identifier: BSD-2-Clause */
/* add_header, add_trailer, expires. */
#include "base/num.h"
#include "base/time.h"
#include "http/http.h"
#include "http/mod/mod.h"

enum inherit { INHERIT_ON, INHERIT_OFF, INHERIT_MERGE };

struct added {
    struct slice name;
    enum http_header_id id;
    struct template *value;
    bool always;
};

struct added_list {
    struct added *items;
    size_t n;
    size_t cap;
};

enum expires_kind { EXPIRES_OFF, EXPIRES_EPOCH, EXPIRES_MAX, EXPIRES_ACCESS, EXPIRES_MODIFIED, EXPIRES_DAILY };

struct headers_loc {
    struct added_list headers; /* in force */
    struct added_list trailers;
    int headers_inherit;
    int trailers_inherit;
    /* what the block itself and the one around said, to put the above together */
    bool headers_given;
    bool trailers_given;
    struct added_list own_headers;
    struct added_list own_trailers;
    enum expires_kind expires;
    int64_t expires_s;
    struct template *expires_value; /* with variables */
};

static const struct headers_loc *
outer_conf(const struct conf_ctx *cf)
{
    int slot = http_headers_module.conf.id->slot[CONF_LEVEL_LOC];

    return cf->scope->outer == NULL ? NULL : cf->scope->outer->structs[slot];
}

/* --- configuration ---------------------------------------------------------------------------------------- */

static enum conf_result
add_to(struct conf_ctx *cf, const struct conf_node *node, struct added_list *list)
{
    struct added *a = VEC_PUSH(list, cf->pool);

    a->name = conf_arg(node, 1);
    a->id = http_header_id_of(a->name);
    a->value = template_from_word(cf, cf->vars, &node->words[2]);
    if (a->value == NULL) {
        return CONF_ERROR;
    }
    if (node->n_words == 4) {
        if (!slice_eq(conf_arg(node, 3), SLICE("always"))) {
            return conf_invalid_param(cf, node, 3);
        }
        a->always = true;
    }
    return CONF_OK;
}

static enum conf_result
add_header(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct headers_loc *hlcf = conf;

    if (!conf_given(cf, "add_header")) {
        hlcf->own_headers = (struct added_list){ 0 };
    }
    hlcf->headers_given = true;
    return add_to(cf, node, &hlcf->own_headers);
}

static enum conf_result
add_trailer(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct headers_loc *hlcf = conf;

    if (!conf_given(cf, "add_trailer")) {
        hlcf->own_trailers = (struct added_list){ 0 };
    }
    hlcf->trailers_given = true;
    return add_to(cf, node, &hlcf->own_trailers);
}

static struct added_list
combine(struct conf_ctx *cf, bool given, int how, const struct added_list *own,
        const struct added_list *outer)
{
    static const struct added_list none;
    struct added_list all = { 0 };

    if (!given) {
        return how == INHERIT_OFF || outer == NULL ? none : *outer;
    }
    if (how != INHERIT_MERGE || outer == NULL) {
        return *own;
    }
    for (size_t i = 0; i < own->n; i++) {
        *VEC_PUSH(&all, cf->pool) = own->items[i];
    }
    for (size_t i = 0; i < outer->n; i++) {
        *VEC_PUSH(&all, cf->pool) = outer->items[i];
    }
    return all;
}

static enum conf_result
finish_loc(struct conf_ctx *cf, void *conf)
{
    struct headers_loc *hlcf = conf;
    const struct headers_loc *outer = outer_conf(cf);
    bool headers = conf_given(cf, "add_header");
    bool trailers = conf_given(cf, "add_trailer");

    hlcf->headers = combine(cf, headers, hlcf->headers_inherit, &hlcf->own_headers,
                            outer == NULL ? NULL : &outer->headers);
    hlcf->trailers = combine(cf, trailers, hlcf->trailers_inherit, &hlcf->own_trailers,
                             outer == NULL ? NULL : &outer->trailers);
    return CONF_OK;
}

/* "epoch", "max", "off", "@15h30m", "-1", "1h". */
static bool
parse_expires(struct slice s, bool modified, enum expires_kind *kind, int64_t *seconds)
{
    bool minus = slice_starts(s, SLICE("-"));
    bool plus = slice_starts(s, SLICE("+"));
    int64_t ms;

    *seconds = 0;
    if (!modified) {
        static const char *const words[] = { "off", "epoch", "max" };

        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            if (slice_eq(s, slice_str(words[i]))) {
                *kind = (enum expires_kind)i;
                return true;
            }
        }
        if (slice_starts(s, SLICE("@"))) {
            *kind = EXPIRES_DAILY;
            *seconds = num_parse_time(slice_from(s, 1), true, &ms) ? ms / 1000 : -1;
            return *seconds >= 0 && *seconds <= 24 * 3600;
        }
    }
    if (!num_parse_time(minus || plus ? slice_from(s, 1) : s, true, &ms)) {
        return false;
    }
    *kind = modified ? EXPIRES_MODIFIED : EXPIRES_ACCESS;
    *seconds = minus ? -(ms / 1000) : ms / 1000;
    return true;
}

static enum conf_result
set_expires(struct conf_ctx *cf, const struct conf_node *node, void *conf)
{
    struct headers_loc *hlcf = conf;
    bool modified = node->n_words == 3;
    const struct conf_word *w = &node->words[node->n_words - 1];

    if (modified && !slice_eq(conf_arg(node, 1), SLICE("modified"))) {
        return conf_invalid_value(cf, node, 1);
    }
    struct template *t = template_from_word(cf, cf->vars, w);

    if (t == NULL) {
        return CONF_ERROR;
    }
    hlcf->expires_value = NULL;
    if (!template_is_constant(t)) {
        hlcf->expires = modified ? EXPIRES_MODIFIED : EXPIRES_ACCESS;
        hlcf->expires_value = t;
        return CONF_OK;
    }
    if (!parse_expires(w->text, modified, &hlcf->expires, &hlcf->expires_s)) {
        return conf_invalid_value(cf, node, node->n_words - 1);
    }
    return CONF_OK;
}

/* --- responses --------------------------------------------------------------------------------------------- */

static bool
is_plain_status(int status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static void
set_pair(struct http_request *r, struct slice expires, struct slice control)
{
    http_header_set(r, &r->out.all, HTTP_H_EXPIRES, SLICE("Expires"), expires);
    http_header_set(r, &r->out.all, HTTP_H_CACHE_CONTROL, SLICE("Cache-Control"), control);
}

static time_t
next_daily(int64_t seconds)
{
    time_t now = clock_wall();
    struct tm tm;

    localtime_r(&now, &tm);
    tm.tm_hour = (int)(seconds / 3600);
    tm.tm_min = (int)(seconds % 3600 / 60);
    tm.tm_sec = (int)(seconds % 60);
    time_t at = mktime(&tm);

    if (at <= now) {
        tm.tm_mday++;
        at = mktime(&tm);
    }
    return at;
}

static void
add_expires(struct http_request *r, const struct headers_loc *hlcf)
{
    enum expires_kind kind = hlcf->expires;
    int64_t seconds = hlcf->expires_s;
    time_t now = clock_wall();
    time_t at = now + seconds;

    if (hlcf->expires_value != NULL) {
        struct slice v = template_eval(hlcf->expires_value, &r->vars);

        if (v.n == 0 || !parse_expires(v, kind == EXPIRES_MODIFIED, &kind, &seconds)) {
            return;
        }
        at = now + seconds;
    }
    switch (kind) {
    case EXPIRES_OFF:
        return;
    case EXPIRES_EPOCH:
        set_pair(r, SLICE("Thu, 01 Jan 1970 00:00:01 GMT"), SLICE("no-cache"));
        return;
    case EXPIRES_MAX:
        set_pair(r, SLICE("Thu, 31 Dec 2037 23:55:55 GMT"), SLICE("max-age=315360000"));
        return;
    case EXPIRES_DAILY:
        at = next_daily(seconds);
        break;
    case EXPIRES_MODIFIED:
        if (r->out.last_modified >= 0) {
            at = r->out.last_modified + seconds;
        }
        break;
    case EXPIRES_ACCESS:
        break;
    }
    char *date = pool_bytes(r->pool, HTTP_DATE_LEN);

    time_write_http(date, at);
    set_pair(r, slice_of(date, HTTP_DATE_LEN),
             at < now ? SLICE("no-cache")
                      : pool_printf(r->pool, "max-age=%lld", (long long)(at - now)));
}

static void
add_one(struct http_request *r, const struct added *a)
{
    struct slice value = template_eval(a->value, &r->vars);

    switch (a->id) {
    case HTTP_H_LAST_MODIFIED: /* replaces ours; empty removes it */
        http_header_set(r, &r->out.all, a->id, a->name, SLICE(""));
        r->out.last_modified = -1;
        r->out.last_modified_text = value.n > 0 ? value : SLICE_NONE;
        if (value.n > 0 && !time_parse_http(value, &r->out.last_modified)) {
            r->out.last_modified = -1;
        }
        return;
    case HTTP_H_ETAG:
        http_header_set(r, &r->out.all, a->id, a->name, SLICE(""));
        r->out.etag = value;
        return;
    default:
        break;
    }
    if (value.n > 0) {
        http_header_add(r, &r->out.all, a->id, a->name, value);
    }
}

static enum http_out
trailers_filter(struct http_request *r, struct http_body_filter *f, struct chain *in)
{
    const struct headers_loc *hlcf = f->data;
    bool last = false;

    for (const struct buf *b = in->head; b != NULL; b = b->next) {
        last |= b->last_buf;
    }
    for (size_t i = 0; last && i < hlcf->trailers.n; i++) {
        const struct added *a = &hlcf->trailers.items[i];
        struct slice value = template_eval(a->value, &r->vars);

        if (value.n > 0 && (a->always || is_plain_status(r->out.status))) {
            http_header_add(r, &r->out.trailers, a->id, a->name, value);
        }
    }
    return http_next_filter(r, f, in);
}

static bool
headers_filter(struct http_request *r)
{
    const struct headers_loc *hlcf = http_loc_conf(r, &http_headers_module);
    bool plain = is_plain_status(r->out.status);

    if (r != r->main) {
        return true;
    }
    if (hlcf->expires != EXPIRES_OFF && plain) {
        add_expires(r, hlcf);
    }
    for (size_t i = 0; i < hlcf->headers.n; i++) {
        if (plain || hlcf->headers.items[i].always) {
            add_one(r, &hlcf->headers.items[i]);
        }
    }
    if (hlcf->trailers.n > 0 && !r->header_only && r->version >= HTTP_VERSION_11) {
        r->out.expect_trailers = true;
        http_add_filter(r, HTTP_FILTER_TRAILERS, trailers_filter, (void *)(size_t)hlcf);
    }
    return true;
}

static const struct conf_name inherit_names[] = {
    { "on", INHERIT_ON }, { "off", INHERIT_OFF }, { "merge", INHERIT_MERGE }, { NULL, 0 }
};

static const struct conf_directive rows[] = {
    CONF_CALL("add_header", IN_HTTP_ANY_LIF, ARGS(2, 3), add_header),
    CONF_CALL("add_trailer", IN_HTTP_ANY_LIF, ARGS(2, 3), add_trailer),
    CONF_ENUM("add_header_inherit", IN_HTTP_ANY_LIF, struct headers_loc, headers_inherit,
              inherit_names, "on"),
    CONF_ENUM("add_trailer_inherit", IN_HTTP_ANY_LIF, struct headers_loc, trailers_inherit,
              inherit_names, "on"),
    CONF_CALL_ONCE("expires", IN_HTTP_ANY_LIF, ARGS(1, 2), set_expires),
    CONF_END,
};

const struct http_module http_headers_module = {
    .conf = { .name = "http_headers",
              .directives = rows,
              .id = CONF_MODULE_ID,
              .size = { [CONF_LEVEL_LOC] = sizeof(struct headers_loc) },
              .finish = { [CONF_LEVEL_LOC] = finish_loc } },
    .header_filter = headers_filter,
};
