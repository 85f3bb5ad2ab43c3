/* SPDX-License-Identifier: BSD-2-Clause */
#include "http/h1/write.h"

#include "base/num.h"
#include "base/time.h"
#include "http/core.h"
#include "http/transport.h"

/* A bound for everything but the header list, so that the head is written into one allocation. */
#define FIXED_MAX 512

static char *
put(char *p, struct slice s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *
field(char *p, struct slice name, struct slice value)
{
    p = put(p, name);
    *p++ = ':';
    *p++ = ' ';
    p = put(p, value);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static size_t
list_size(const struct http_headers *hs)
{
    size_t n = 0;

    for (size_t i = 0; i < hs->n; i++) {
        n += hs->items[i].name.n + hs->items[i].value.n + 4;
    }
    return n;
}

static char *
write_list(char *p, const struct http_headers *hs)
{
    for (size_t i = 0; i < hs->n; i++) {
        if (!hs->items[i].hidden) {
            p = field(p, hs->items[i].name, hs->items[i].value);
        }
    }
    return p;
}

static char *
write_length(char *p, int64_t n)
{
    p = put(p, SLICE("Content-Length: "));
    p = num_write(p, n);
    return put(p, SLICE("\r\n"));
}

static char *
write_type(char *p, const struct http_headers_out *o)
{
    p = put(p, SLICE("Content-Type: "));
    p = put(p, o->content_type);
    if (o->charset.n > 0) {
        p = put(p, SLICE("; charset="));
        p = put(p, o->charset);
    }
    return put(p, SLICE("\r\n"));
}

static char *
write_connection(char *p, struct http_request *r)
{
    if (r->out.status == 101) {
        return put(p, SLICE("Connection: upgrade\r\n"));
    }
    if (!r->keepalive) {
        return put(p, SLICE("Connection: close\r\n"));
    }
    p = put(p, SLICE("Connection: keep-alive\r\n"));
    int64_t timeout = http_core_loc(r)->keepalive_header;

    if (timeout > 0) {
        p = put(p, SLICE("Keep-Alive: timeout="));
        p = num_write(p, timeout);
        p = put(p, SLICE("\r\n"));
    }
    return p;
}

static char *
write_modified(char *p, const struct http_headers_out *o)
{
    if (http_header_find(&o->all, HTTP_H_LAST_MODIFIED) != NULL) {
        return p; /* stands in the list, where an upstream or add_header put it */
    }
    if (o->last_modified_text.n > 0) {
        return field(p, SLICE("Last-Modified"), o->last_modified_text);
    }
    if (o->last_modified < 0) {
        return p;
    }
    p = put(p, SLICE("Last-Modified: "));
    p = time_write_http(p, o->last_modified);
    return put(p, SLICE("\r\n"));
}

struct buf *
h1_write_head(struct http_request *r)
{
    struct http_headers_out *o = &r->out;
    struct slice line = o->status_line.n > 0 ? o->status_line : http_status_line(o->status);
    struct slice server = o->server.n > 0 ? o->server : http_server_token(r);
    size_t size = FIXED_MAX + line.n + server.n + o->content_type.n + o->charset.n + o->location.n +
                  o->etag.n + o->last_modified_text.n + o->date.n + list_size(&o->all);
    struct buf *b = buf_new(r->pool, size);
    char *p = b->last;
    bool has_content = o->status != 204 && o->status != 101;

    p = put(p, SLICE("HTTP/1.1 "));
    p = put(p, line);
    p = put(p, SLICE("\r\n"));
    if (server.n > 0) {
        p = field(p, SLICE("Server"), server);
    }
    p = field(p, SLICE("Date"), o->date.n > 0 ? o->date : clock_http_date());
    if (o->content_type.n > 0 && has_content) {
        p = write_type(p, o);
    }
    if (o->content_length >= 0 && has_content) {
        p = write_length(p, o->content_length);
    }
    p = write_modified(p, o);
    if (o->location.p != NULL) {
        p = field(p, SLICE("Location"), o->location);
    }
    if (o->chunked) {
        p = put(p, SLICE("Transfer-Encoding: chunked\r\n"));
    }
    p = write_connection(p, r);
    if (o->etag.n > 0 && http_header_find(&o->all, HTTP_H_ETAG) == NULL) {
        p = field(p, SLICE("ETag"), o->etag);
    }
    p = write_list(p, &o->all);
    p = put(p, SLICE("\r\n"));
    b->last = p;
    return b;
}

struct buf *
h1_write_interim(struct http_request *r, int status, const struct http_headers *hs)
{
    struct buf *b = buf_new(r->pool, 128 + list_size(hs));
    char *p = put(b->last, SLICE("HTTP/1.1 "));

    if (status == 100) {
        p = put(p, SLICE("100 Continue"));
    } else if (status == 103) {
        p = put(p, SLICE("103 Early Hints"));
    } else {
        p = put(p, http_status_line(status));
    }
    p = put(p, SLICE("\r\n"));
    p = write_list(p, hs);
    p = put(p, SLICE("\r\n"));
    b->last = p;
    return b;
}
