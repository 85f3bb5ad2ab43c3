/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1 towards upstreams: the request head from the plan of proxy_set_header, the response head,
 * the framing of its body.
 *
 * What goes upstream is written anew, never copied raw: no byte of a client can end a line, and the
 * framing headers are ours alone. Of what comes back, anything that leaves the length of the body
 * in doubt makes the response invalid (RFC 9112 section 6.3).
 */
#include "base/num.h"
#include "base/time.h"
#include "http/body.h"
#include "http/h1/chunked.h"
#include "http/proxy/proto.h"
#include "http/proxy/proxy.h"

/* --- tokens ------------------------------------------------------------------------------------ */

static bool
has_token(struct slice list, struct slice token)
{
    struct slice part;

    while (slice_split(&list, ',', &part)) {
        if (slice_case_eq(slice_trim(part), token)) {
            return true;
        }
    }
    return false;
}

/* The protocols of an Upgrade value that may pass: usually all of it, and no copy. */
static struct slice
allowed_upgrades(struct http_exchange *u, struct slice value)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct slice rest = value;
    struct slice part;
    bool all = true;

    while (slice_split(&rest, ',', &part)) {
        all = all && proxy_upgrade_allowed(plcf, slice_trim(part));
    }
    if (all) {
        return value;
    }
    struct text_builder b;

    text_init(&b, u->r->pool, value.n);
    rest = value;
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.n == 0 || !proxy_upgrade_allowed(plcf, part)) {
            continue;
        }
        text_add(&b, b.n > 0 ? SLICE(", ") : SLICE(""));
        text_add(&b, part);
    }
    return text_done(&b);
}

/* RFC 6455 section 4.2.1: a key of 16 bytes in base64, version 13. */
static bool
asks_for_websocket(const struct http_request *r)
{
    if (r->method != HTTP_GET || r->version != HTTP_VERSION_11 || !r->in.connection_upgrade) {
        return false;
    }
    struct slice key = http_header_value(&r->in.all, HTTP_H_SEC_WEBSOCKET_KEY);

    return key.n == 24 && slice_ends(key, SLICE("==")) &&
           slice_eq(http_header_value(&r->in.all, HTTP_H_SEC_WEBSOCKET_VERSION), SLICE("13")) &&
           slice_case_eq(http_header_value(&r->in.all, HTTP_H_UPGRADE), SLICE("websocket"));
}

/* --- the request head -------------------------------------------------------------------------- */

/* A line break that got into a value (through a decoded variable) must not end the line. */
static void
add_value(struct text_builder *b, struct slice v)
{
    size_t clean = 0;

    for (size_t i = 0; i < v.n; i++) {
        if (UNLIKELY(v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0')) {
            text_add(b, slice_of(v.p + clean, i - clean));
            text_add_char(b, ' ');
            clean = i + 1;
        }
    }
    text_add(b, slice_from(v, clean));
}

static void
add_line(struct text_builder *b, struct slice name, struct slice value)
{
    text_add(b, name);
    text_add(b, SLICE(": "));
    add_value(b, value);
    text_add(b, SLICE("\r\n"));
}

static void
add_number_line(struct text_builder *b, struct slice name, uint64_t v)
{
    char digits[NUM_MAX_LEN];

    add_line(b, name, slice_of(digits, (size_t)(num_write_u(digits, v) - digits)));
}

/* The request target; bytes that would end the request line are encoded. */
static void
add_uri(struct text_builder *b, struct slice uri)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t clean = 0;

    for (size_t i = 0; i < uri.n; i++) {
        unsigned char c = (unsigned char)uri.p[i];

        if (UNLIKELY(c < 0x20 || c == 0x7f)) {
            text_add(b, slice_of(uri.p + clean, i - clean));
            text_add(b, slice_of((char[3]){ '%', hex[c >> 4], hex[c & 15] }, 3));
            clean = i + 1;
        }
    }
    text_add(b, slice_from(uri, clean));
}

static void
add_request_line(struct http_exchange *u, struct text_builder *b)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct http_request *r = u->r;
    struct slice method = r->method_name;

    if (plcf->method != NULL) {
        method = template_eval(plcf->method, &r->vars);
    }
    u->is_head = slice_eq(method, SLICE("HEAD"));
    text_add(b, method);
    text_add_char(b, ' ');
    add_uri(b, u->uri);
    text_add(b, plcf->http_version == 10 ? SLICE(" HTTP/1.0\r\n") : SLICE(" HTTP/1.1\r\n"));
}

static void
add_host(struct http_exchange *u, struct text_builder *b)
{
    const struct proxy_header_plan *plan = proxy_conf_of(u)->plan;
    struct slice host = SLICE_NONE;

    if (plan->host != NULL) {
        host = template_eval(plan->host, &u->r->vars);
    }
    add_line(b, SLICE("Host"), host.n > 0 ? host : proxy_target_of(u)->host);
}

/* Explicit Upgrade and Connection lines. An Upgrade of which nothing may pass takes the
 * Connection: upgrade that belongs to it along. */
struct upgrade_lines {
    struct slice upgrade;
    bool refused;
};

static struct upgrade_lines
eval_upgrade(struct http_exchange *u)
{
    const struct proxy_header_plan *plan = proxy_conf_of(u)->plan;
    struct upgrade_lines ul = { .upgrade = SLICE_NONE };

    for (size_t i = 0; plan->sets_upgrade && i < plan->lines.n; i++) {
        const struct proxy_plan_line *line = &plan->lines.items[i];

        if (line->id != HTTP_H_UPGRADE) {
            continue;
        }
        struct slice value = template_eval(line->value, &u->r->vars);

        ul.upgrade = allowed_upgrades(u, value);
        ul.refused = value.n > 0 && ul.upgrade.n == 0;
    }
    return ul;
}

static void
add_plan_line(struct http_exchange *u, const struct proxy_plan_line *line,
              const struct upgrade_lines *ul, struct text_builder *b)
{
    if (line->fixed.n > 0) {
        text_add(b, line->fixed);
        return;
    }
    struct slice value = line->id == HTTP_H_UPGRADE ? ul->upgrade
                                                    : template_eval(line->value, &u->r->vars);

    if (line->id == HTTP_H_CONNECTION) {
        if (ul->refused && has_token(value, SLICE("upgrade"))) {
            return;
        }
        u->wants_close = u->wants_close || has_token(value, SLICE("close"));
    }
    if (value.n > 0) {
        add_line(b, line->name, value);
    }
}

static void
add_plan(struct http_exchange *u, struct text_builder *b)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    const struct proxy_header_plan *plan = plcf->plan;
    struct upgrade_lines ul = eval_upgrade(u);

    for (size_t i = 0; i < plan->lines.n; i++) {
        add_plan_line(u, &plan->lines.items[i], &ul, b);
    }
    u->wants_upgrade = ul.upgrade.n > 0;
    u->is_websocket = !plan->sets_upgrade && plcf->http_version != 10 &&
                      asks_for_websocket(u->r) &&
                      proxy_upgrade_allowed(plcf, SLICE("websocket"));
    if (u->is_websocket) {
        text_add(b, SLICE("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
        u->wants_upgrade = true;
    }
}

/* How the body is framed: u->sends_body, streams_body and what the body knows decide. */
static void
add_framing(struct http_exchange *u, struct text_builder *b)
{
    const struct proxy_header_plan *plan = proxy_conf_of(u)->plan;
    const struct http_request *r = u->r;
    uint64_t length;

    if (u->has_set_body) {
        length = u->set_body.n;
    } else if (u->sends_body && r->in.content_length < 0) {
        u->chunks_body = u->streams_body && !r->body->complete;
        length = r->body->received;
    } else if (r->in.content_length >= 0 && (u->sends_body || r == r->main)) {
        length = (uint64_t)r->in.content_length;
    } else if (r->in.chunked && r->body != NULL && u->conf->pass_request_body) {
        length = r->body->received; /* chunked and empty */
    } else {
        return;
    }
    if (u->chunks_body) {
        text_add(b, SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (!plan->sets_content_length) {
        add_number_line(b, SLICE("Content-Length"), length);
    }
}

static void
add_client_headers(struct http_exchange *u, struct text_builder *b)
{
    const struct proxy_header_plan *plan = proxy_conf_of(u)->plan;
    const struct http_headers *in = &u->r->in.all;

    for (size_t i = 0; i < in->n; i++) {
        const struct http_header *h = &in->items[i];

        if (h->hidden || proxy_plan_drops(plan, h)) {
            continue;
        }
        text_add(b, h->name);
        text_add(b, SLICE(": "));
        text_add(b, h->value);
        text_add(b, SLICE("\r\n"));
    }
}

static bool
h1_create_request(struct http_exchange *u)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct text_builder b;

    if (plcf->set_body != NULL) {
        u->set_body = template_eval(plcf->set_body, &u->r->vars);
        u->has_set_body = true;
        u->sends_body = false;
    }
    text_init(&b, u->r->pool, u->r->request_length + plcf->plan->fixed_n + u->uri.n + 128);
    u->wants_close = plcf->http_version == 10;
    add_request_line(u, &b);
    add_host(u, &b);
    add_plan(u, &b);
    add_framing(u, &b);
    if (u->conf->pass_request_headers) {
        add_client_headers(u, &b);
    }
    text_add(&b, SLICE("\r\n"));
    u->head = text_done(&b);
    return true;
}

/* --- the response head ------------------------------------------------------------------------- */

static enum parse_result
bad(struct http_exchange *u, const char *what)
{
    log_error(&u->r->log, LOG_LVL_ERR, 0, "%s", what);
    return PARSE_BAD;
}

/* Is this the beginning of a status line? An answer without one (HTTP/0.9) is passed on by nginx
 * as it is; here it is invalid, since a client on a persistent connection would read garbage. */
static bool
starts_like_http(struct slice in)
{
    return slice_starts(SLICE("HTTP/"), slice_head(in, 5));
}

/* Bytes up to and with the empty line; 0: not there yet. Bare line feeds end lines as well. */
static size_t
head_length(struct slice in)
{
    const char *p = in.p;
    const char *end = in.p + in.n;

    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p++;
        if (p < end && *p == '\n') {
            return (size_t)(p + 1 - in.p);
        }
        if (p + 1 < end && p[0] == '\r' && p[1] == '\n') {
            return (size_t)(p + 2 - in.p);
        }
    }
    return 0;
}

static bool
keep_header(void *arg, const struct h1_header *h)
{
    struct http_exchange *u = arg;
    struct http_headers *hs = &u->headers;

    hs->items = vec_grow(u->r->pool, hs->items, &hs->n, &hs->cap, sizeof(hs->items[0]));
    hs->items[hs->n - 1] = (struct http_header){
        .name = h1_span_of(u->head_text.p, h->name),
        .value = h1_span_of(u->head_text.p, h->value),
        .id = h->known,
    };
    return true;
}

/* `"X-A: a\x00..."`: what stands before the offending byte, and that byte in hex. */
static enum parse_result
bad_header_line(struct http_exchange *u, const struct h1_parser *p)
{
    char text[256];
    struct log_text t = { .pos = text, .end = text + sizeof(text) };
    uint32_t last = p->bad_at > 0 ? (uint32_t)MIN((size_t)p->bad_at, u->head_text.n) - 1 : 0;

    if (last > p->line_at) {
        log_text_escaped(&t, slice_of(u->head_text.p + p->line_at,
                                      MIN(last - p->line_at, (uint32_t)100)));
    }
    log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream sent invalid header: \"%.*s\\x%02x...\"",
              (int)(t.pos - text), text, (unsigned)(unsigned char)u->head_text.p[last]);
    return PARSE_BAD;
}

static enum parse_result
duplicate(struct http_exchange *u, const struct http_header *h, const struct http_header *first)
{
    log_error(&u->r->log, LOG_LVL_ERR, 0,
              "upstream sent duplicate header line: \"%.*s: %.*s\", previous value: \"%.*s: %.*s\"",
              SLICE_ARG(h->name), SLICE_ARG(h->value), SLICE_ARG(first->name),
              SLICE_ARG(first->value));
    return PARSE_BAD;
}

static void
ignore_duplicate(struct http_exchange *u, struct http_header *h, const struct http_header *first)
{
    log_error(&u->r->log, LOG_LVL_WARN, 0,
              "upstream sent duplicate header line: \"%.*s: %.*s\", previous value: "
              "\"%.*s: %.*s\", ignored",
              SLICE_ARG(h->name), SLICE_ARG(h->value), SLICE_ARG(first->name),
              SLICE_ARG(first->value));
    h->hidden = true;
}

static enum parse_result
note_length(struct http_exchange *u, const struct http_header *h)
{
    const struct http_header *first = http_header_find(&u->headers, HTTP_H_CONTENT_LENGTH);

    if (first != h) {
        return duplicate(u, h, first);
    }
    if (!num_parse(h->value, &u->content_length)) {
        log_error(&u->r->log, LOG_LVL_ERR, 0,
                  "upstream sent invalid \"Content-Length\" header: \"%.*s: %.*s\"",
                  SLICE_ARG(h->name), SLICE_ARG(h->value));
        return PARSE_BAD;
    }
    return PARSE_DONE;
}

static enum parse_result
note_coding(struct http_exchange *u, const struct http_header *h)
{
    if (u->is_chunked) {
        return duplicate(u, h, http_header_find(&u->headers, HTTP_H_TRANSFER_ENCODING));
    }
    if (!slice_case_eq(h->value, SLICE("chunked"))) {
        log_error(&u->r->log, LOG_LVL_ERR, 0,
                  "upstream sent unknown \"Transfer-Encoding\": \"%.*s\"", SLICE_ARG(h->value));
        return PARSE_BAD;
    }
    u->is_chunked = true;
    return PARSE_DONE;
}

/* What one header of the response means to the exchange itself. */
static enum parse_result
note_header(struct http_exchange *u, struct http_header *h)
{
    switch (h->id) {
    case HTTP_H_CONTENT_LENGTH:
        return note_length(u, h);
    case HTTP_H_TRANSFER_ENCODING:
        return note_coding(u, h);
    case HTTP_H_CONNECTION:
        if (has_token(h->value, SLICE("close"))) {
            u->keeps_conn = false;
        } else if (has_token(h->value, SLICE("keep-alive"))) {
            u->keeps_conn = true;
        }
        return PARSE_DONE;
    case HTTP_H_UPGRADE:
        u->upgrade = h->value;
        return PARSE_DONE;
    case HTTP_H_DATE:
    case HTTP_H_SERVER:
    case HTTP_H_CONTENT_TYPE:
    case HTTP_H_LAST_MODIFIED:
    case HTTP_H_ETAG:
    case HTTP_H_LOCATION:
    case HTTP_H_REFRESH:
    case HTTP_H_EXPIRES:
    case HTTP_H_ACCEPT_RANGES:
    case HTTP_H_X_ACCEL_REDIRECT: {
        const struct http_header *first = http_header_find(&u->headers, h->id);

        if (first != h) {
            ignore_duplicate(u, h, first);
        } else if (h->id == HTTP_H_X_ACCEL_REDIRECT &&
                   (u->conf->ignore_headers & IGNORE_X_ACCEL_REDIRECT) == 0) {
            u->x_accel_redirect = h->value;
        }
        return PARSE_DONE;
    }
    default:
        return PARSE_DONE;
    }
}

static enum exchange_framing
framing_of(const struct http_exchange *u)
{
    if (u->is_head || u->status < 200 || u->status == 204 || u->status == 304) {
        return FRAMING_NONE;
    }
    if (u->is_chunked) {
        return FRAMING_CHUNKED;
    }
    return u->content_length >= 0 ? FRAMING_LENGTH : FRAMING_CLOSE;
}

static void
forget_head(struct http_exchange *u)
{
    u->headers.n = 0;
    u->content_length = -1;
    u->is_chunked = false;
    u->x_accel_redirect = SLICE_NONE;
    u->upgrade = SLICE_NONE;
    u->trailer_text = SLICE_NONE;
}

static enum parse_result
note_headers(struct http_exchange *u)
{
    for (size_t i = 0; i < u->headers.n; i++) {
        if (note_header(u, &u->headers.items[i]) == PARSE_BAD) {
            return PARSE_BAD;
        }
    }
    if (u->is_chunked && u->content_length >= 0) {
        return bad(u, "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the "
                      "same time");
    }
    u->framing = framing_of(u);
    return PARSE_DONE;
}

/* "200 OK" of the line, for the client's status line. */
static struct slice
status_text(struct slice head)
{
    ssize_t nl = slice_chr(head, '\n');
    struct slice line = slice_head(head, (size_t)MAX(nl, (ssize_t)0));
    ssize_t sp = slice_chr(line, ' ');

    if (slice_ends(line, SLICE("\r"))) {
        line.n--;
    }
    return sp < 0 ? SLICE_NONE : slice_trim(slice_from(line, (size_t)sp + 1));
}

static enum parse_result
h1_parse_head(struct http_exchange *u, struct slice *in)
{
    if (!starts_like_http(*in)) {
        return bad(u, "upstream sent no valid HTTP/1.0 header");
    }
    size_t n = head_length(*in);

    if (n == 0) {
        return PARSE_MORE;
    }
    if ((int64_t)n > u->conf->buffer_size) {
        return bad(u, "upstream sent too big header");
    }
    struct h1_parser p = { 0 };

    forget_head(u);
    u->head_text = pool_copy(u->r->pool, slice_head(*in, n));
    if (h1_parse_status_line(&p, u->head_text.p, (uint32_t)n) != PARSE_DONE || p.status < 100) {
        return bad(u, "upstream sent no valid HTTP/1.0 header");
    }
    u->status = p.status;
    u->status_line = status_text(u->head_text);
    u->keeps_conn = p.major > 1 || (p.major == 1 && p.minor >= 1);
    if (h1_parse_headers(&p, u->head_text.p, (uint32_t)n, true, keep_header, u) != PARSE_DONE) {
        return bad_header_line(u, &p);
    }
    *in = slice_from(*in, n);
    return note_headers(u);
}

/* --- the body ---------------------------------------------------------------------------------- */

static void
h1_start_body(struct http_exchange *u)
{
    u->body_left = u->framing == FRAMING_LENGTH ? (uint64_t)u->content_length : 0;
    u->decoder = u->framing == FRAMING_CHUNKED ? POOL_NEW(u->r->pool, struct chunked) : NULL;
}

struct sink_arg {
    struct http_exchange *u;
    void (*sink)(struct http_exchange *u, struct slice run);
};

static void
on_chunk_data(void *arg, struct slice bytes)
{
    const struct sink_arg *a = arg;

    a->sink(a->u, bytes);
}

static void
on_trailer(void *arg, struct slice line_part)
{
    const struct sink_arg *a = arg;
    struct slice parts[] = { a->u->trailer_text, line_part };

    a->u->trailer_text = pool_concat(a->u->r->pool, parts, 2);
}

/* Trailer fields for the client, without those that frame or route (RFC 9110 section 6.5.1). */
static void
pass_trailers(struct http_exchange *u)
{
    struct slice rest = u->trailer_text;
    struct slice line;

    while (u->conf->pass_trailers && slice_split(&rest, '\n', &line)) {
        ssize_t colon = slice_chr(line, ':');

        if (colon <= 0) {
            continue;
        }
        struct slice name = slice_head(line, (size_t)colon);
        struct slice value = slice_from(line, (size_t)colon + 1);

        if (slice_ends(value, SLICE("\r"))) {
            value.n--;
        }
        switch (http_header_id_of(name)) {
        case HTTP_H_CONTENT_LENGTH:
        case HTTP_H_TRANSFER_ENCODING:
        case HTTP_H_CONNECTION:
        case HTTP_H_HOST:
        case HTTP_H_TRAILER:
            continue;
        default:
            http_header_add(u->r, &u->r->out.trailers, HTTP_H_OTHER, name, slice_trim(value));
        }
    }
}

static enum decode_state
decode_chunked(struct http_exchange *u, struct slice *in,
               void (*sink)(struct http_exchange *u, struct slice run))
{
    struct sink_arg arg = { .u = u, .sink = sink };
    const struct chunked_sink cs = { .arg = &arg, .data = on_chunk_data, .trailer = on_trailer };

    switch (chunked_decode(u->decoder, in, &cs)) {
    case PARSE_MORE:
        return DECODE_MORE;
    case PARSE_DONE:
        pass_trailers(u);
        return DECODE_DONE;
    case PARSE_BAD:
        break;
    }
    log_error(&u->r->log, LOG_LVL_ERR, 0, "upstream sent invalid chunked response");
    return DECODE_BAD;
}

static enum decode_state
h1_decode_body(struct http_exchange *u, struct slice *in,
               void (*sink)(struct http_exchange *u, struct slice run))
{
    size_t n;

    switch (u->framing) {
    case FRAMING_NONE:
        return DECODE_DONE;
    case FRAMING_CHUNKED:
        return decode_chunked(u, in, sink);
    case FRAMING_CLOSE:
        sink(u, *in);
        *in = slice_from(*in, in->n);
        return DECODE_MORE;
    case FRAMING_LENGTH:
        n = (size_t)MIN((uint64_t)in->n, u->body_left);
        if (n > 0) {
            sink(u, slice_head(*in, n));
        }
        u->body_left -= n;
        *in = slice_from(*in, n);
        return u->body_left == 0 ? DECODE_DONE : DECODE_MORE;
    }
    UNREACHABLE();
}

static bool
h1_eof_completes(const struct http_exchange *u)
{
    return u->framing == FRAMING_CLOSE;
}

static bool
h1_can_reuse(const struct http_exchange *u)
{
    return u->keeps_conn && !u->wants_close && u->request_done && u->framing != FRAMING_CLOSE &&
           u->status != 101;
}

/* --- to the client ----------------------------------------------------------------------------- */

/* "text/html; charset=utf-8" in two, so that the charset and compression filters see the type;
 * a value with other parameters stays whole. */
static void
pass_content_type(struct http_request *r, struct slice value)
{
    ssize_t semi = slice_chr(value, ';');

    r->out.content_type = value;
    if (semi <= 0) {
        return;
    }
    struct slice param = slice_trim(slice_from(value, (size_t)semi + 1));

    if (!slice_case_starts(param, SLICE("charset=")) || slice_chr(param, ';') >= 0) {
        return;
    }
    r->out.content_type = slice_trim(slice_head(value, (size_t)semi));
    r->out.charset = slice_from(param, sizeof("charset=") - 1);
}

static void
pass_plain(struct http_request *r, const struct http_header *h, struct slice value)
{
    struct http_headers *hs = &r->out.all;

    hs->items = vec_grow(r->pool, hs->items, &hs->n, &hs->cap, sizeof(hs->items[0]));
    hs->items[hs->n - 1] = (struct http_header){ .name = h->name, .value = value, .id = h->id };
}

static void
accel_header(struct http_exchange *u, const struct http_header *h)
{
    struct http_request *r = u->r;
    uint32_t ignored = u->conf->ignore_headers;
    int64_t rate;

    if (h->id == HTTP_H_X_ACCEL_BUFFERING && (ignored & IGNORE_X_ACCEL_BUFFERING) == 0) {
        if (slice_case_eq(h->value, SLICE("yes"))) {
            u->buffering = true;
        } else if (slice_case_eq(h->value, SLICE("no"))) {
            u->buffering = false;
        }
    } else if (h->id == HTTP_H_X_ACCEL_CHARSET && (ignored & IGNORE_X_ACCEL_CHARSET) == 0) {
        r->out.charset = h->value;
    } else if (h->id == HTTP_H_X_ACCEL_LIMIT_RATE && (ignored & IGNORE_X_ACCEL_LIMIT_RATE) == 0 &&
               num_parse(h->value, &rate)) {
        r->limit_rate = (uint64_t)rate;
        r->limit_rate_set = true;
    }
}

static void
pass_location(struct http_exchange *u, const struct http_header *h)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct slice value;

    if (proxy_rewrite_redirect(u->r, &plcf->redirects, u->target, h->value, &value)) {
        u->r->out.location = value;
    } else {
        pass_plain(u->r, h, h->value);
    }
}

/* One header that the response plan does not hide. */
static void
pass_header(struct http_exchange *u, const struct http_header *h)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct http_request *r = u->r;
    struct slice value = h->value;

    switch (h->id) {
    case HTTP_H_CONNECTION:
    case HTTP_H_KEEP_ALIVE:
    case HTTP_H_TRANSFER_ENCODING:
    case HTTP_H_CONTENT_LENGTH:
    case HTTP_H_PROXY_CONNECTION:
        return;
    case HTTP_H_CONTENT_TYPE:
        pass_content_type(r, value);
        return;
    case HTTP_H_SERVER:
        r->out.server = value;
        return;
    case HTTP_H_DATE:
        r->out.date = value;
        return;
    case HTTP_H_LAST_MODIFIED:
        r->out.last_modified_text = value;
        if (!time_parse_http(value, &r->out.last_modified)) {
            r->out.last_modified = -1;
        }
        return;
    case HTTP_H_ETAG:
        r->out.etag = value;
        return;
    case HTTP_H_LOCATION:
        pass_location(u, h);
        return;
    case HTTP_H_REFRESH:
        if (!proxy_rewrite_refresh(r, &plcf->redirects, u->target, h->value, &value)) {
            value = h->value;
        }
        break;
    case HTTP_H_SET_COOKIE:
        if (!proxy_rewrite_cookie(r, &plcf->cookie_domains, &plcf->cookie_paths,
                                  &plcf->cookie_flags, h->value, &value)) {
            value = h->value;
        }
        break;
    case HTTP_H_ACCEPT_RANGES:
        if (r->ranges_allowed) {
            return;
        }
        break;
    default:
        break;
    }
    pass_plain(r, h, value);
}

static bool
h1_pass_head(struct http_exchange *u)
{
    const struct proxy_conf *plcf = proxy_conf_of(u);
    struct http_request *r = u->r;

    r->out.status = u->status;
    r->out.status_line = u->status_line;
    r->out.content_length = u->is_chunked ? -1 : u->content_length;
    r->out.no_content_type = true;
    r->ranges_allowed = plcf->x.force_ranges && u->status == 200;
    r->out.last_modified = -1;
    for (size_t i = 0; i < u->headers.n; i++) {
        const struct http_header *h = &u->headers.items[i];

        if (h->hidden) {
            continue;
        }
        accel_header(u, h);
        if (!proxy_response_hides(plcf->response_plan, h)) {
            pass_header(u, h);
        }
    }
    return true;
}

const struct http_up_proto http_up_h1 = {
    .name = "http",
    .create_request = h1_create_request,
    .parse_head = h1_parse_head,
    .start_body = h1_start_body,
    .decode_body = h1_decode_body,
    .eof_completes = h1_eof_completes,
    .can_reuse = h1_can_reuse,
    .pass_head = h1_pass_head,
};
