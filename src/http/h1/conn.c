/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's HTTP/1 connection. While it waits for a request it owns no buffer: bytes are read into
 * the worker's scratch, the head is copied into the new request's pool, and what came behind it
 * (body, pipelined requests) is kept in `pending` only if there is any.
 *
 *   WAIT      nothing of a request has come
 *   HEAD      part of a head has come
 *   BUSY      a request is at work; the connection is read only for its body, or to see the end
 *   DISCARD   the response is out, what is left of the request body is thrown away
 *   LINGER    like it, but the connection closes afterwards
 *   TUNNEL    given away (101)
 */
#include "http/h1/conn.h"

#include "base/num.h"
#include "base/time.h"
#include "http/body.h"
#include "http/core.h"
#include "http/h1/chunked.h"
#include "http/h1/write.h"
#include "http/server.h"
#include "net/proxy_protocol.h"

#include <stdio.h>
#include <unistd.h>

enum h1_state { H1_WAIT, H1_HEAD, H1_BUSY, H1_DISCARD, H1_LINGER, H1_TUNNEL };

struct h1 {
    struct conn *c;
    const struct http_addr *addr;
    struct http_request *r;
    enum h1_state state;
    bool reading_body; /* somebody wants it */
    bool in_body; /* within body_loop(): no recursion */
    bool in_flush;
    bool proxy_protocol; /* its header must come first */
    uint32_t requests;
    int64_t linger_until;
    int64_t send_not_before; /* limit_rate */
    char *pending; /* bytes read and not used: [pending_at, pending_n) */
    size_t pending_at;
    size_t pending_n;
    char *head; /* in r->pool */
    uint32_t head_n;
    uint32_t head_cap;
    uint64_t body_left;
    struct h1_parser parser;
    struct chunked chunked;
    struct log_ctx log_ctx;
    struct h1 *next_free;
};

struct h1_counts h1_counts;
static struct h1 *free_h1;

static void on_readable(struct conn *c);
static void on_writable(struct conn *c);
static void close_connection(struct h1 *h);

/* --- life ------------------------------------------------------------------------------------------------ */

static void
print_context(const struct log_ctx *ctx, struct log_text *t)
{
    const struct h1 *h = container_of(ctx, struct h1, log_ctx);
    char addr[ADDR_TEXT_MAX];

    log_text_printf(t, ", client: %.*s, server: %.*s", (int)addr_print(&h->c->peer, false, addr),
                    addr, SLICE_ARG(h->addr->text));
}

static const struct http_core_loc *
default_loc(const struct h1 *h)
{
    return h->addr->default_server->scope->structs[http_core_module.conf.id->slot[CONF_LEVEL_LOC]];
}

static const struct http_core_srv *
default_srv(const struct h1 *h)
{
    return h->addr->default_server->scope->structs[http_core_module.conf.id->slot[CONF_LEVEL_SRV]];
}

static const struct http_addr *
choose_addr(struct conn *c)
{
    const struct http_port *port = c->listener->data;
    struct addr local;

    if (port->specific.n > 0 && conn_local_addr(c, &local)) {
        for (size_t i = 0; i < port->specific.n; i++) {
            if (addr_eq(&port->specific.items[i]->addr, &local, true)) {
                return port->specific.items[i];
            }
        }
    }
    return port->addr;
}

static void
count(struct h1 *h, enum h1_state next)
{
    uint64_t *of[] = { [H1_WAIT] = &h1_counts.waiting,   [H1_HEAD] = &h1_counts.reading,
                       [H1_BUSY] = &h1_counts.writing,   [H1_DISCARD] = &h1_counts.writing,
                       [H1_LINGER] = &h1_counts.writing, [H1_TUNNEL] = &h1_counts.writing };

    (*of[h->state])--;
    (*of[next])++;
    h->state = next;
}

static void
keep_pending(struct h1 *h, struct slice bytes)
{
    size_t left = h->pending_n - h->pending_at;

    if (bytes.n == 0) {
        return;
    }
    char *p = mem_alloc(left + bytes.n);

    if (left > 0) {
        memcpy(p, h->pending + h->pending_at, left);
    }
    memcpy(p + left, bytes.p, bytes.n);
    mem_free(h->pending);
    h->pending = p;
    h->pending_at = 0;
    h->pending_n = left + bytes.n;
}

static struct slice
pending(const struct h1 *h)
{
    return slice_of(h->pending + h->pending_at, h->pending_n - h->pending_at);
}

static void
use_pending(struct h1 *h, size_t n)
{
    h->pending_at += n;
    if (h->pending_at == h->pending_n) {
        mem_free(h->pending);
        h->pending = NULL;
        h->pending_at = 0;
        h->pending_n = 0;
    }
}

static void
free_h1_struct(struct h1 *h)
{
    mem_free(h->pending);
    h->pending = NULL;
    h->next_free = free_h1;
    free_h1 = h;
}

/* The request, if any, is gone already. */
static void
close_connection(struct h1 *h)
{
    struct conn *c = h->c;

    count(h, H1_WAIT);
    h1_counts.waiting--;
    conn_close(c);
    free_h1_struct(h);
}

static void
reset_connection(struct h1 *h)
{
    count(h, H1_WAIT);
    h1_counts.waiting--;
    conn_reset(h->c);
    free_h1_struct(h);
}

/* Asked to make room or to end: an idle connection goes; when the worker only drains for a reload it
 * may have one more request that is under way already. */
static void
on_idle_close(struct conn *c)
{
    struct h1 *h = c->owner;
    int64_t grace = default_loc(h)->keepalive_min_timeout;

    if (net_worker->draining && !net_worker->quick && grace > 0 && h->requests > 0) {
        conn_set_idle(c, false);
        conn_set_timeout(c, grace);
        return;
    }
    close_connection(h);
}

static void
on_head_timeout(struct conn *c)
{
    struct h1 *h = c->owner;
    struct http_request *r = h->r;

    if (r != NULL) {
        log_error(&r->log, LOG_LVL_INFO, 110, "client timed out");
        r->out.status = 408;
        h->r = NULL;
        http_request_log(r);
        http_request_free(r);
    } else if (h->requests == 0) {
        log_error(&c->log, LOG_LVL_INFO, 110, "client timed out");
    }
    if (default_loc(h)->reset_timedout_connection) {
        reset_connection(h);
    } else {
        close_connection(h);
    }
}

static void
wait_for_request(struct h1 *h, int64_t timeout)
{
    struct conn *c = h->c;

    count(h, H1_WAIT);
    c->on_read = on_readable;
    c->on_write = NULL;
    c->on_timeout = on_head_timeout;
    conn_set_write_timeout(c, 0);
    conn_set_timeout(c, timeout);
    h->parser = (struct h1_parser){ 0 };
}

void
h1_accept(struct conn *c)
{
    struct h1 *h = free_h1;

    if (h != NULL) {
        free_h1 = h->next_free;
    } else {
        h = mem_alloc(sizeof(*h));
    }
    memset(h, 0, sizeof(*h));
    h->c = c;
    h->addr = choose_addr(c);
    h->proxy_protocol = h->addr->proxy_protocol;
    c->owner = h;
    c->on_idle_close = on_idle_close;
    h->log_ctx = (struct log_ctx){ .print = print_context,
                                   .conn_id = c->number,
                                   .action = "waiting for request" };
    c->log = default_loc(h)->log;
    c->log.ctx = &h->log_ctx;
    h1_counts.waiting++;
    wait_for_request(h, default_srv(h)->client_header_timeout);
    if (c->listener->opts.deferred) {
        c->can_read = true;
        conn_post_read(c);
    }
}

/* --- head ------------------------------------------------------------------------------------------------ */

static void
bad_request(struct h1 *h, int status, const char *why)
{
    struct http_request *r = h->r;

    count(h, H1_BUSY);
    conn_set_timeout(h->c, 0);
    r->in.content_length = -1;
    r->in.chunked = false;
    http_request_bad(r, status, why);
}

/* "X-A\x20..." : the line up to the byte that was refused. */
static void
bad_header_line(struct h1 *h)
{
    char text[320];
    struct log_text t = { .pos = text, .end = text + sizeof(text) };
    struct slice line = slice_of(h->head + h->parser.line_at, h->parser.bad_at - h->parser.line_at);

    log_text_printf(&t, "client sent invalid header line: \"");
    for (size_t i = 0; i < MIN(line.n, (size_t)60); i++) {
        unsigned char c = (unsigned char)line.p[i];
        bool last = i + 1 == line.n;

        if (c <= 0x20 || c >= 0x7f || (last && c == ':')) {
            log_text_printf(&t, "\\x%02x", c);
        } else {
            log_text_printf(&t, "%c", c);
        }
    }
    log_text_printf(&t, "...\"");
    *t.pos = '\0';
    bad_request(h, 400, text);
}

/* Headers that may come once only: the second is refused. */
static bool
is_single(enum http_header_id id)
{
    switch (id) {
    case HTTP_H_CONTENT_LENGTH:
    case HTTP_H_TRANSFER_ENCODING:
    case HTTP_H_IF_MODIFIED_SINCE:
    case HTTP_H_IF_UNMODIFIED_SINCE:
    case HTTP_H_IF_MATCH:
    case HTTP_H_IF_NONE_MATCH:
    case HTTP_H_IF_RANGE:
    case HTTP_H_AUTHORIZATION:
    case HTTP_H_EXPECT:
        return true;
    default:
        return false;
    }
}

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

/* What went wrong with one header; kept until the parser has returned. */
struct head_error {
    int status;
    char text[320];
};
static struct head_error head_error;

static bool
fail(int status, const char *fmt, struct slice a, struct slice b)
{
    head_error.status = status;
    snprintf(head_error.text, sizeof(head_error.text), fmt, (int)MIN(a.n, (size_t)100), a.p,
             (int)MIN(b.n, (size_t)100), b.p);
    return false;
}

static bool
take_special(struct http_request *r, const struct http_header *h)
{
    switch ((enum http_header_id)h->id) {
    case HTTP_H_HOST:
        r->in.host_field = h->value;
        break;
    case HTTP_H_CONTENT_LENGTH:
        if (!num_parse(h->value, &r->in.content_length)) {
            return fail(400, "client sent invalid \"Content-Length\" header", h->name, h->value);
        }
        break;
    case HTTP_H_TRANSFER_ENCODING:
        if (!slice_case_eq(h->value, SLICE("chunked"))) {
            head_error.status = 501;
            snprintf(head_error.text, sizeof(head_error.text),
                     "client sent unknown \"Transfer-Encoding\": \"%.*s\"",
                     (int)MIN(h->value.n, (size_t)200), h->value.p);
            return false;
        }
        r->in.chunked = true;
        break;
    case HTTP_H_CONNECTION:
        r->in.connection_close |= has_token(h->value, SLICE("close")) ||
                                  slice_case_find(h->value, SLICE("close")) >= 0;
        r->in.connection_keep_alive |= slice_case_find(h->value, SLICE("keep-alive")) >= 0;
        r->in.connection_upgrade |= has_token(h->value, SLICE("upgrade"));
        break;
    case HTTP_H_EXPECT:
        r->in.expect_continue = slice_case_eq(h->value, SLICE("100-continue"));
        break;
    case HTTP_H_IF_MODIFIED_SINCE:
    case HTTP_H_IF_UNMODIFIED_SINCE:
    case HTTP_H_IF_MATCH:
    case HTTP_H_IF_NONE_MATCH:
    case HTTP_H_IF_RANGE:
    case HTTP_H_RANGE:
        r->in.has_if_headers = true;
        break;
    default:
        break;
    }
    return true;
}

static bool
on_header(void *arg, const struct h1_header *hdr)
{
    struct h1 *h = arg;
    struct http_request *r = h->r;
    const struct http_core_srv *cscf = http_core_srv(r);
    struct slice name = h1_span_of(h->head, hdr->name);
    struct slice value = h1_span_of(h->head, hdr->value);
    bool dropped = (hdr->invalid && (cscf->ignore_invalid_headers || hdr->value.at == 0 ||
                                     h->head[hdr->name.at + hdr->name.n] != ':')) ||
                   (hdr->underscore && !cscf->underscores_in_headers &&
                    cscf->ignore_invalid_headers);

    if (dropped) {
        struct slice line = slice_of(name.p, (size_t)(value.p + value.n - name.p));

        log_error(&r->log, LOG_LVL_INFO, 0, "client sent invalid header line: \"%.*s\"",
                  SLICE_ARG(line));
        return true;
    }
    if (r->in.all.n >= (size_t)cscf->max_headers) {
        head_error.status = 494;
        snprintf(head_error.text, sizeof(head_error.text), "client sent too many header lines");
        return false;
    }
    enum http_header_id id = (enum http_header_id)hdr->known;

    if (id == HTTP_H_HOST || is_single(id)) {
        const struct http_header *old = http_header_find(&r->in.all, id);

        if (old != NULL) {
            head_error.status = 400;
            snprintf(head_error.text, sizeof(head_error.text),
                     "client sent duplicate %s: \"%.*s: %.*s\", previous value: \"%.*s: %.*s\"",
                     id == HTTP_H_HOST ? "host header" : "header line", SLICE_ARG(name),
                     (int)MIN(value.n, (size_t)60), value.p, SLICE_ARG(old->name),
                     (int)MIN(old->value.n, (size_t)60), old->value.p);
            return false;
        }
    }
    struct http_header *added = http_header_add(r, &r->in.all, id, name, value);

    added->id = hdr->known;
    return id == HTTP_H_OTHER || take_special(r, added);
}

/* The request line was parsed: method, version, target. */
static bool
use_request_line(struct h1 *h)
{
    struct http_request *r = h->r;
    const struct h1_request_line *rl = &h->parser.line;
    struct slice path = h1_span_of(h->head, rl->path);
    uint32_t end = h->parser.pos - 1;

    if (end > h->parser.line_at && h->head[end - 1] == '\r') {
        end--;
    }
    r->request_line = slice_of(h->head + h->parser.line_at, end - h->parser.line_at);
    r->method_name = h1_span_of(h->head, rl->method);
    r->method = http_method_of(r->method_name);
    r->version = rl->major == 0 ? HTTP_VERSION_9
                                : (rl->minor == 0 ? HTTP_VERSION_10 : HTTP_VERSION_11);
    r->protocol = h1_span_of(h->head, rl->protocol);
    if (path.n == 0 || path.p[0] != '/') { /* "http://host?x" */
        struct slice parts[] = { SLICE("/"), path };

        path = pool_concat(r->pool, parts, 2);
    }
    r->unparsed_uri = path;
    struct uri uri;
    const struct http_core_srv *cscf = default_srv(h);

    if (!rl->complex_uri) {
        uri_plain(path, &uri);
    } else if (!uri_normalise(path, cscf->merge_slashes, pool_bytes(r->pool, path.n + 1), &uri)) {
        return false;
    }
    r->uri = uri.path;
    r->args = uri.args;
    r->has_args = uri.has_args;
    r->exten = uri.ext;
    return true;
}

/* RFC 9112 sections 3.2 and 6.1: what must hold for the head as a whole. */
static bool
check_head(struct h1 *h)
{
    struct http_request *r = h->r;
    struct slice host = r->in.host_field;

    if (h->parser.line.host.n > 0) { /* absolute-form overrides Host, $http_host included */
        host = h1_span_of(h->head, h->parser.line.host);
        struct slice whole = slice_of(host.p, host.n + (h->parser.line.port.n > 0
                                                            ? h->parser.line.port.n + 1
                                                            : 0));

        if (http_header_find(&r->in.all, HTTP_H_HOST) == NULL && r->version >= HTTP_VERSION_11) {
            bad_request(h, 400, "client sent HTTP/1.1 request without \"Host\" header");
            return false;
        }
        http_header_set(r, &r->in.all, HTTP_H_HOST, SLICE("Host"), whole);
        r->in.host_field = whole;
    } else if (host.p == NULL && r->version >= HTTP_VERSION_11) {
        bad_request(h, 400, "client sent HTTP/1.1 request without \"Host\" header");
        return false;
    }
    if (host.p != NULL && !http_request_set_host(r, host)) {
        bad_request(h, 400, "client sent invalid host header");
        return false;
    }
    if (r->in.chunked && r->version < HTTP_VERSION_11) {
        bad_request(h, 400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header");
        return false;
    }
    if (r->in.chunked && r->in.content_length >= 0) {
        bad_request(h, 400, "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at "
                            "the same time");
        return false;
    }
    if (r->method == HTTP_CONNECT) {
        bool authority = h->parser.line.path.n == 0;

        bad_request(h, authority ? 405 : 400, "client sent CONNECT method");
        return false;
    }
    if (r->method == HTTP_TRACE) {
        bad_request(h, 405, "client sent TRACE method");
        return false;
    }
    return true;
}

static bool
agent_is(const struct http_request *r, struct slice what)
{
    return slice_find(http_header_value(&r->in.all, HTTP_H_USER_AGENT), what) >= 0;
}

static void
decide_keepalive(struct h1 *h)
{
    struct http_request *r = h->r;
    const struct http_core_loc *clcf = http_core_loc(r);

    if (r->version < HTTP_VERSION_11) {
        r->keepalive = r->version == HTTP_VERSION_10 && r->in.connection_keep_alive;
    }
    if (r->in.connection_close || clcf->keepalive_timeout == 0 || net_worker->draining ||
        h->requests >= (uint64_t)clcf->keepalive_requests ||
        clock_ms() - h->c->started_at > clcf->keepalive_time) {
        r->keepalive = false;
    }
    if ((clcf->keepalive_disable & HTTP_KA_MSIE6) != 0 && r->method == HTTP_POST &&
        (agent_is(r, SLICE("MSIE 6")) || agent_is(r, SLICE("MSIE 5")))) {
        r->keepalive = false;
    }
    if ((clcf->keepalive_disable & HTTP_KA_SAFARI) != 0 && agent_is(r, SLICE("Safari/")) &&
        agent_is(r, SLICE("Mac OS X")) && !agent_is(r, SLICE("Chrome/"))) {
        r->keepalive = false;
    }
}

static void
start_request(struct h1 *h)
{
    struct http_request *r = h->r;

    r->request_length = h->parser.pos;
    if (!check_head(h)) {
        return;
    }
    decide_keepalive(h);
    h->body_left = r->in.content_length > 0 ? (uint64_t)r->in.content_length : 0;
    h->chunked = (struct chunked){ 0 };
    h->reading_body = false;
    count(h, H1_BUSY);
    conn_set_timeout(h->c, 0);
    http_request_start(r);
}

static void
new_request(struct h1 *h)
{
    conn_set_idle(h->c, false);
    count(h, H1_HEAD);
    h1_counts.requests++;
    h->requests++;
    h->r = http_request_new(h->c, &h1_transport, h, h->addr->default_server);
    h->head = NULL;
    h->head_n = 0;
    h->head_cap = 0;
    conn_set_timeout(h->c, default_srv(h)->client_header_timeout);
}

static uint32_t
head_limit(const struct h1 *h)
{
    const struct http_core_srv *cscf = default_srv(h);
    int64_t limit = cscf->client_header_buffer_size +
                    cscf->large_client_header_buffers.n * cscf->large_client_header_buffers.size;

    return (uint32_t)MIN(limit, (int64_t)1 << 30);
}

/* Append to the head's buffer. Headers parsed already keep pointing into an older, smaller buffer,
 * which stays in the pool. */
static void
add_to_head(struct h1 *h, struct slice bytes)
{
    size_t need = h->head_n + bytes.n;

    if (need > h->head_cap) {
        size_t cap = h->head_cap == 0 ? bytes.n : MAX((size_t)h->head_cap * 2, need);
        char *p = pool_bytes(h->r->pool, cap);

        if (h->head_n > 0) {
            memcpy(p, h->head, h->head_n);
        }
        h->head = p;
        h->head_cap = (uint32_t)cap;
    }
    memcpy(h->head + h->head_n, bytes.p, bytes.n);
    h->head_n += (uint32_t)bytes.n;
}

static void
too_large(struct h1 *h, bool line)
{
    if (line) {
        bad_request(h, 414, "client sent too long URI");
        return;
    }
    char text[128];
    struct slice start = slice_of(h->head + h->parser.line_at,
                                  MIN(h->head_n - h->parser.line_at, 11u));

    snprintf(text, sizeof(text), "client sent too long header line: \"%.*s...\"",
             SLICE_ARG(start));
    bad_request(h, 494, text);
}

/* Limits while a head is incomplete, or of the line just read. */
static bool
within_limits(struct h1 *h, bool in_line)
{
    int64_t one = default_srv(h)->large_client_header_buffers.size;

    if (h->head_n - h->parser.pos > (uint64_t)one || h->head_n > head_limit(h)) {
        too_large(h, in_line);
        return false;
    }
    return true;
}

static void
request_line_failed(struct h1 *h)
{
    struct http_request *r = h->r;
    uint32_t end = MIN(h->head_n, h->parser.line_at + 256);

    r->request_line = slice_of(h->head + h->parser.line_at, end - h->parser.line_at);
    ssize_t eol = slice_chr(r->request_line, '\r');

    eol = eol < 0 ? slice_chr(r->request_line, '\n') : eol;
    if (eol >= 0) {
        r->request_line = slice_head(r->request_line, (size_t)eol);
    }
    r->version = HTTP_VERSION_10;
    switch (h->parser.why) {
    case H1_BAD_METHOD:
        bad_request(h, 400, "client sent invalid method");
        break;
    case H1_BAD_VERSION_UNSUPPORTED:
        bad_request(h, 505, "client sent invalid version");
        break;
    default:
        bad_request(h, 400, "client sent invalid request");
        break;
    }
}

/* Parse what there is of the head; what stands behind a complete one becomes pending. */
static void
parse_head(struct h1 *h)
{
    struct http_request *r = h->r;
    struct h1_parser *p = &h->parser;
    int64_t one = default_srv(h)->large_client_header_buffers.size;

    if (r->request_line.p == NULL) {
        switch (h1_parse_request_line(p, h->head, h->head_n)) {
        case PARSE_MORE:
            (void)within_limits(h, true);
            return;
        case PARSE_BAD:
            request_line_failed(h);
            return;
        case PARSE_DONE:
            break;
        }
        if (p->pos - p->line_at > (uint64_t)one) {
            too_large(h, true);
            return;
        }
        if (!use_request_line(h)) {
            bad_request(h, 400, "client sent invalid request");
            return;
        }
        r->log_ctx.action = "reading client request headers";
    }
    if (r->version != HTTP_VERSION_9) {
        head_error.status = 0;
        switch (h1_parse_headers(p, h->head, h->head_n, false, on_header, h)) {
        case PARSE_MORE:
            (void)within_limits(h, false);
            return;
        case PARSE_BAD:
            if (head_error.status != 0) {
                bad_request(h, head_error.status, head_error.text);
            } else {
                bad_header_line(h);
            }
            return;
        case PARSE_DONE:
            break;
        }
        if (p->pos > head_limit(h)) {
            too_large(h, false);
            return;
        }
    }
    keep_pending(h, slice_of(h->head + p->pos, h->head_n - p->pos));
    start_request(h);
}

static void
client_closed(struct h1 *h, const struct io *io)
{
    struct http_request *r = h->r;

    if (r != NULL) {
        log_error(&r->log, LOG_LVL_INFO, io->err, "client prematurely closed connection");
        h->r = NULL;
        r->out.status = 400;
        http_request_log(r);
        http_request_free(r);
    } else if (h->requests == 0) {
        log_error(&h->c->log, LOG_LVL_INFO, io->err, "client closed connection");
    } else {
        char addr[ADDR_TEXT_MAX];

        h->log_ctx.action = NULL;
        log_error(&h->c->log, LOG_LVL_INFO, io->err, "client %.*s closed keepalive connection",
                  (int)addr_print(&h->c->peer, false, addr), addr);
    }
    close_connection(h);
}

/* WAIT and HEAD. */
static void
read_head(struct h1 *h)
{
    struct slice bytes = pending(h);
    bool from_pending = bytes.n > 0;

    if (!from_pending) {
        struct io io = conn_read(h->c, net_worker->scratch, net_worker->scratch_size);

        if (io.state == IO_AGAIN) {
            return;
        }
        if (io.state != IO_DONE) {
            client_closed(h, &io);
            return;
        }
        bytes = slice_of(net_worker->scratch, io.n);
    }
    if (h->state == H1_WAIT) { /* empty lines before a request do not begin one */
        size_t skip = 0;

        while (skip < bytes.n && (bytes.p[skip] == '\r' || bytes.p[skip] == '\n')) {
            skip++;
        }
        if (skip == bytes.n) {
            if (from_pending) {
                use_pending(h, bytes.n);
            }
            if (h->c->can_read) {
                conn_post_read(h->c);
            }
            return;
        }
        bytes = slice_from(bytes, skip);
        new_request(h);
    }
    add_to_head(h, bytes);
    if (from_pending) {
        use_pending(h, pending(h).n);
    }
    struct conn *c = h->c;

    parse_head(h);
    if (!c->closing && h->state == H1_HEAD && c->can_read) {
        conn_post_read(c);
    }
}

/* --- body ------------------------------------------------------------------------------------------------- */

struct body_sink {
    struct http_request *r;
};

static void
sink_data(void *arg, struct slice bytes)
{
    http_body_add(((struct body_sink *)arg)->r, bytes);
}

/* Feed bytes to the body; returns how many of them belong to it. */
static size_t
feed_body(struct h1 *h, struct slice bytes)
{
    struct http_request *r = h->r;
    struct body_sink sink = { .r = r };
    struct chunked_sink cs = { .arg = &sink, .data = sink_data };
    struct slice rest = bytes;

    if (!r->in.chunked) {
        size_t n = (size_t)MIN((uint64_t)bytes.n, h->body_left);

        http_body_add(r, slice_head(bytes, n));
        h->body_left -= n;
        if (h->body_left == 0) {
            http_body_end(r);
        }
        r->request_length += n;
        return n;
    }
    switch (chunked_decode(&h->chunked, &rest, &cs)) {
    case PARSE_MORE:
        break;
    case PARSE_DONE:
        http_body_end(r);
        break;
    case PARSE_BAD:
        log_error(&r->log, LOG_LVL_ERR, 0, "client sent invalid chunked body");
        http_body_fail(r, 400);
        break;
    }
    r->request_length += bytes.n - rest.n;
    return bytes.n - rest.n;
}

/* One piece from pending or from the socket. False: nothing more now. */
static bool
read_body_piece(struct h1 *h)
{
    struct http_request *r = h->r;
    struct slice bytes = pending(h);

    if (bytes.n > 0) {
        use_pending(h, feed_body(h, bytes));
        return true;
    }
    struct io io = conn_read(h->c, net_worker->scratch, net_worker->scratch_size);

    switch (io.state) {
    case IO_AGAIN:
        return false;
    case IO_DONE:
        bytes = slice_of(net_worker->scratch, io.n);
        keep_pending(h, slice_from(bytes, feed_body(h, bytes)));
        return true;
    case IO_EOF:
    case IO_ERROR:
        break;
    }
    log_error(&r->log, LOG_LVL_INFO, io.err, "client prematurely closed connection");
    http_body_fail(r, 499);
    return true;
}

static void
on_body_timeout(struct conn *c)
{
    struct h1 *h = c->owner;
    struct http_request *r = h->r;

    log_error(&r->log, LOG_LVL_INFO, 110, "client timed out");
    r->keepalive = false;
    http_body_fail(r, 408);
    http_body_progress(r);
}

/* Read while somebody wants it; tell them once the bytes in hand are used up. */
static void
body_loop(struct h1 *h)
{
    struct conn *c = h->c;
    struct http_request *r = h->r;
    bool progress = false;

    if (h->in_body) {
        return;
    }
    h->in_body = true;
    while (http_body_wants(r) && read_body_piece(h)) {
        progress = true;
    }
    h->in_body = false;
    if (http_body_wants(r)) {
        c->on_timeout = on_body_timeout;
        conn_set_timeout(c, http_core_loc(r)->client_body_timeout);
    } else {
        conn_set_timeout(c, 0);
    }
    if (progress) {
        http_body_progress(r);
    }
}

static void
start_body(struct http_request *r)
{
    struct h1 *h = r->stream;

    h->reading_body = true;
    body_loop(h);
}

/* --- while a request is at work ------------------------------------------------------------------------------ */

/* Bytes behind the request are the next one: they stay in the socket (or pending). An end of file is
 * only told to those who would otherwise work in vain. */
static void
watch_client(struct h1 *h)
{
    struct conn *c = h->c;
    char probe;

    if (!c->peer_closed || h->r->sent_all) {
        return;
    }
    if (!c->broken) {
        ssize_t n = recv(c->lf.fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);

        if (n != 0) {
            return; /* data before the end: a pipelined request */
        }
    }
    struct http_request *r = h->r;

    if (r->on_abort == NULL && !c->broken) {
        return; /* half-closed: it may still want the answer */
    }
    log_error(&r->log, LOG_LVL_INFO, 0, "client prematurely closed connection");
    http_client_gone(r);
}

static bool discard_rest(struct h1 *h);

static void
on_readable(struct conn *c)
{
    struct h1 *h = c->owner;

    CHECK_MAGIC(c, MAGIC_CONN);
    switch (h->state) {
    case H1_WAIT:
    case H1_HEAD:
        if (h->proxy_protocol) {
            if (!proxy_protocol_take(c, &h->proxy_protocol)) {
                if (!c->closing && (c->broken || c->peer_closed)) {
                    close_connection(h);
                }
                return;
            }
        }
        read_head(h);
        break;
    case H1_BUSY:
        if (h->reading_body && http_body_wants(h->r)) {
            body_loop(h);
        } else {
            watch_client(h);
        }
        break;
    case H1_DISCARD:
    case H1_LINGER:
        (void)discard_rest(h);
        break;
    case H1_TUNNEL:
        break;
    }
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static enum http_out
send_header(struct http_request *r)
{
    if (r->version == HTTP_VERSION_9) {
        r->keepalive = false;
        return HTTP_OUT_DONE;
    }
    if (net_worker->draining) {
        r->keepalive = false;
    }
    if (r->out.content_length < 0 && !r->header_only && r->out.status != 101) {
        bool may = r->version >= HTTP_VERSION_11 && http_core_loc(r)->chunked_transfer_encoding;

        r->out.chunked = may;
        r->keepalive = r->keepalive && may;
    } else if (r->out.expect_trailers && !r->header_only && r->version >= HTTP_VERSION_11) {
        r->out.content_length = -1;
        r->out.chunked = true;
    }
    struct buf *b = h1_write_head(r);

    r->header_size = buf_len(b);
    chain_push_front(&r->out_pending, b);
    return HTTP_OUT_DONE;
}

static void
send_interim(struct http_request *r, int status, const struct http_headers *hs)
{
    chain_push(&r->out_pending, h1_write_interim(r, status, hs));
    r->interim_pending = true;
    (void)r->transport->send_body(r);
}

/* Chunk head in front, CRLF behind; the last chunk and the trailers at the end. */
static void
queue_chunked(struct http_request *r, struct chain *in)
{
    uint64_t n = chain_len(in);
    bool last = false;
    struct buf *b;

    if (n > 0) {
        struct buf *head = buf_new(r->pool, CHUNK_HEAD_MAX);

        head->last = chunked_write_head(head->last, n);
        chain_push(&r->out_pending, head);
        r->framing_bytes += buf_len(head) + 2;
    }
    while ((b = chain_pop(in)) != NULL) {
        last |= b->last_buf;
        if (buf_len(b) > 0) {
            chain_push(&r->out_pending, b);
        } else if (b->release != NULL) {
            b->release(b);
        }
    }
    struct text_builder t;

    if (n == 0 && !last) {
        return;
    }
    text_init(&t, r->pool, 16);
    if (n > 0) {
        text_add(&t, SLICE("\r\n"));
    }
    if (last) {
        text_add(&t, SLICE("0\r\n"));
        for (size_t i = 0; i < r->out.trailers.n; i++) {
            text_add(&t, r->out.trailers.items[i].name);
            text_add(&t, SLICE(": "));
            text_add(&t, r->out.trailers.items[i].value);
            text_add(&t, SLICE("\r\n"));
        }
        text_add(&t, SLICE("\r\n"));
    }
    chain_push(&r->out_pending, buf_wrap(r->pool, text_done(&t)));
}

static void
queue_body(struct http_request *r, struct chain *in)
{
    if (r->out.chunked) {
        queue_chunked(r, in);
    } else {
        chain_move(&r->out_pending, in);
    }
}

static void
on_send_timeout(struct conn *c)
{
    struct h1 *h = c->owner;
    struct http_request *r = h->r;

    log_error(&r->log, LOG_LVL_INFO, 110, "client timed out");
    r->aborted = true;
    if (http_core_loc(r)->reset_timedout_connection) {
        r->reset = true;
    }
    http_client_gone(r);
}

static void
rate_over(struct timer *t)
{
    struct http_request *r = container_of(t, struct http_request, rate_timer);
    struct h1 *h = r->stream;

    on_writable(h->c);
}

/* How much may be sent now under limit_rate: 0 is no limit; false: wait, the timer is set. */
static bool
rate_allows(struct http_request *r, size_t *limit)
{
    const struct http_core_loc *clcf = http_core_loc(r);
    int64_t max_chunk = clcf->sendfile_max_chunk;

    *limit = max_chunk > 0 ? (size_t)max_chunk : 0;
    if (!r->limit_rate_set) {
        int64_t v = 0;

        r->limit_rate_set = true;
        if (num_parse_size(template_eval(clcf->limit_rate, &r->vars), &v)) {
            r->limit_rate = (uint64_t)v;
        }
    }
    if (r->limit_rate == 0) {
        return true;
    }
    if (!r->limit_rate_after_set) {
        int64_t v = 0;

        r->limit_rate_after_set = true;
        if (num_parse_size(template_eval(clcf->limit_rate_after, &r->vars), &v)) {
            r->limit_rate_after = (uint64_t)v;
        }
    }
    int64_t elapsed_ms = clock_ms() - r->start_ms;
    int64_t allowed = (int64_t)(r->limit_rate * (uint64_t)(elapsed_ms / 1000 + 1)) +
                      (int64_t)r->limit_rate_after - (int64_t)r->sent;

    if (allowed <= 0) {
        r->rate_timer.fire = rate_over;
        timer_set(net_worker->loop, &r->rate_timer,
                  -allowed * 1000 / (int64_t)r->limit_rate + 1);
        return false;
    }
    *limit = *limit == 0 ? (size_t)allowed : MIN(*limit, (size_t)allowed);
    return true;
}

/* Send as much as goes, without telling anybody. */
static enum http_out
flush(struct http_request *r)
{
    struct h1 *h = r->stream;
    struct conn *c = h->c;
    size_t limit = 0;

    while (!chain_empty(&r->out_pending)) {
        if (!c->can_write) {
            break;
        }
        if (!r->interim_pending && !rate_allows(r, &limit)) {
            c->on_write = NULL;
            conn_set_write_timeout(c, 0);
            return HTTP_OUT_AGAIN;
        }
        struct io io = conn_send(c, &r->out_pending, limit, false);

        r->sent += io.n;
        if (io.state == IO_ERROR) {
            log_error(&r->log, LOG_LVL_INFO, io.err, "writev() failed");
            return HTTP_OUT_ERROR;
        }
        if (io.state == IO_AGAIN) {
            break;
        }
    }
    if (chain_empty(&r->out_pending)) {
        r->interim_pending = false;
        c->on_write = NULL;
        conn_set_write_timeout(c, 0);
        return HTTP_OUT_DONE;
    }
    c->on_write = on_writable;
    c->on_write_timeout = on_send_timeout;
    conn_set_write_timeout(c, http_core_loc(r)->send_timeout);
    return HTTP_OUT_AGAIN;
}

static void
on_writable(struct conn *c)
{
    struct h1 *h = c->owner;
    struct http_request *r = h->r;

    if (r == NULL) {
        return;
    }
    switch (flush(r)) {
    case HTTP_OUT_ERROR:
        http_client_gone(r);
        break;
    case HTTP_OUT_DONE:
        http_request_writable(r);
        break;
    case HTTP_OUT_AGAIN:
        break;
    }
}

/* --- the end of a request -------------------------------------------------------------------------------------- */

static void
on_discard_timeout(struct conn *c)
{
    close_connection(c->owner);
}

static void
next_request(struct h1 *h)
{
    struct conn *c = h->c;
    int64_t timeout = default_loc(h)->keepalive_timeout;

    wait_for_request(h, timeout);
    h->log_ctx.action = NULL;
    c->timed_out = false;
    if (pending(h).n > 0 || c->can_read) {
        conn_post_read(c);
        return;
    }
    if (net_worker->draining) {
        close_connection(h);
        return;
    }
    conn_set_idle(c, true);
}

/* What is left of a request body after its answer: read and drop. True when it is all gone (the
 * connection may be closed or waiting for the next request then). */
static bool
discard_rest(struct h1 *h)
{
    struct conn *c = h->c;

    for (;;) {
        struct slice bytes = pending(h);

        if (bytes.n == 0) {
            struct io io = conn_read(c, net_worker->scratch, net_worker->scratch_size);

            if (io.state == IO_AGAIN) {
                break;
            }
            if (io.state != IO_DONE) {
                close_connection(h);
                return true;
            }
            bytes = slice_of(net_worker->scratch, io.n);
            if (h->state == H1_LINGER) {
                continue;
            }
            keep_pending(h, bytes);
            continue;
        }
        if (h->state == H1_LINGER) {
            use_pending(h, bytes.n);
            continue;
        }
        if (h->body_left > 0) { /* Content-Length */
            size_t n = (size_t)MIN((uint64_t)bytes.n, h->body_left);

            use_pending(h, n);
            h->body_left -= n;
            if (h->body_left == 0) {
                next_request(h);
                return true;
            }
            continue;
        }
        struct slice rest = bytes;
        enum parse_result rc = chunked_skip(&h->chunked, &rest);

        use_pending(h, bytes.n - rest.n);
        if (rc == PARSE_BAD) {
            close_connection(h);
            return true;
        }
        if (rc == PARSE_DONE) {
            next_request(h);
            return true;
        }
    }
    if (clock_ms() >= h->linger_until) {
        close_connection(h);
        return true;
    }
    return false;
}

static void
begin_discard(struct h1 *h, enum h1_state state, int64_t timeout, int64_t until)
{
    struct conn *c = h->c;

    count(h, state);
    c->on_read = on_readable;
    c->on_write = NULL;
    c->on_timeout = on_discard_timeout;
    conn_set_write_timeout(c, 0);
    conn_set_timeout(c, timeout);
    h->linger_until = clock_ms() + until;
    (void)discard_rest(h);
}

static void
request_done(struct http_request *r)
{
    struct h1 *h = r->stream;
    const struct http_core_loc *clcf = http_core_loc(r);
    bool body_left = http_has_body(r) && (r->body == NULL || !r->body->complete);
    bool keepalive = r->keepalive && !net_worker->draining && !h->c->broken;
    int64_t linger_timeout = clcf->lingering_timeout;
    int64_t linger_time = clcf->lingering_time;
    bool linger = clcf->lingering_close == HTTP_LINGERING_ALWAYS ||
                  (clcf->lingering_close == HTTP_LINGERING_ON &&
                   (body_left || r->in.chunked || pending(h).n > 0 || h->c->can_read));
    bool failed_body = r->body != NULL && r->body->failed != 0;

    http_request_log(r);
    timer_remove(net_worker->loop, &r->rate_timer);
    h->r = NULL;
    http_request_free(r);
    if (keepalive && !failed_body) {
        if (body_left) {
            begin_discard(h, H1_DISCARD, linger_timeout, linger_time);
        } else {
            next_request(h);
        }
        return;
    }
    if (linger && !h->c->broken) {
        (void)h->c->transport->shutdown(h->c);
        begin_discard(h, H1_LINGER, linger_timeout, linger_time);
        return;
    }
    close_connection(h);
}

static void
abort_request(struct http_request *r)
{
    struct h1 *h = r->stream;
    bool reset = r->reset;

    http_request_log(r);
    timer_remove(net_worker->loop, &r->rate_timer);
    h->r = NULL;
    http_request_free(r);
    if (reset) {
        reset_connection(h);
    } else {
        close_connection(h);
    }
}

static struct conn *
take_conn(struct http_request *r, struct slice *early)
{
    struct h1 *h = r->stream;

    *early = pool_copy(r->pool, pending(h));
    use_pending(h, pending(h).n);
    count(h, H1_TUNNEL);
    r->keepalive = false;
    return h->c;
}

static const struct http_addr *
addr_of(const struct http_request *r)
{
    return ((const struct h1 *)r->stream)->addr;
}

uint64_t
h1_requests(const struct http_request *r)
{
    return ((const struct h1 *)r->stream)->requests;
}

const struct http_transport h1_transport = {
    .name = "h1",
    .addr = addr_of,
    .send_header = send_header,
    .queue_body = queue_body,
    .send_body = flush,
    .send_interim = send_interim,
    .read_body = start_body,
    .request_done = request_done,
    .abort = abort_request,
    .take_conn = take_conn,
};
