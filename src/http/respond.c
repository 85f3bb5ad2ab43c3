/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending: header filters look at the response once, body filters take part only when one of them
 * added itself, then the transport frames and sends.
 */
#include "http/body.h"
#include "http/core.h"
#include "http/transport.h"

#include <unistd.h>

/* --- head ------------------------------------------------------------------------------------------------ */

static bool
status_has_body(int status)
{
    return status != 204 && status != 304 && status != 101;
}

/* A location that starts with "/" gets scheme, host and port in front (absolute_redirect). */
static void
absolute_location(struct http_request *r)
{
    const struct http_core_loc *clcf = http_core_loc(r);
    struct slice loc = r->out.location;
    struct slice host = r->in.host;
    struct addr local;
    char text[ADDR_TEXT_MAX];
    struct text_builder b;

    if (loc.n == 0 || loc.p[0] != '/' || !clcf->absolute_redirect) {
        return;
    }
    bool known = conn_local_addr(r->c, &local);

    if (clcf->server_name_in_redirect) {
        host = r->server->name;
    }
    if (host.n == 0 && known) {
        host = slice_of(text, addr_print(&local, false, text));
        if (local.sa.sa_family == AF_INET6) {
            struct slice parts[] = { SLICE("["), host, SLICE("]") };

            host = pool_concat(r->pool, parts, 3);
        }
    }
    unsigned port = known ? addr_port(&local) : 0;
    bool standard = port == (r->c->tls ? 443 : 80) || port == 0;

    text_init(&b, r->pool, loc.n + host.n + 32);
    text_add(&b, r->c->tls ? SLICE("https://") : SLICE("http://"));
    text_add(&b, host);
    if (clcf->port_in_redirect && !standard) {
        text_add(&b, pool_printf(r->pool, ":%u", port));
    }
    text_add(&b, loc);
    r->out.location = text_done(&b);
}

enum http_out
http_send_header(struct http_request *r)
{
    const struct http_main *hm = r->server->main;

    if (r->header_sent) {
        log_error(&r->log, LOG_LVL_ALERT, 0, "header already sent");
        return HTTP_OUT_ERROR;
    }
    if (r->error_status > 0) {
        r->out.status = r->error_status;
        r->out.status_line = SLICE_NONE;
    }
    if (r != r->main) {
        r->header_sent = true;
        return HTTP_OUT_DONE;
    }
    if (!status_has_body(r->out.status)) {
        r->header_only = true;
    }
    if (r->method == HTTP_HEAD) {
        r->header_only = true;
    }
    for (size_t i = 0; i < hm->header_filters.n; i++) {
        if (!hm->header_filters.items[i](r)) {
            r->out.status = 500;
            break;
        }
    }
    if (r->replace_status != 0) {
        return HTTP_OUT_ERROR; /* http_finalize() makes that answer */
    }
    if (!status_has_body(r->out.status)) { /* 304 by a filter */
        r->header_only = true;
    }
    absolute_location(r);
    r->header_sent = true;
    enum http_out rc = r->transport->send_header(r);

    if (rc != HTTP_OUT_ERROR && (r->header_only || r->out.content_length == 0)) {
        r->out_last = true;
        rc = r->transport->send_body(r);
    }
    return rc;
}

void
http_send_interim(struct http_request *r, int status, const struct http_headers *hs)
{
    if (r == r->main && r->version >= HTTP_VERSION_11 && !r->header_sent) {
        r->transport->send_interim(r, status, hs);
    }
}

/* --- body ------------------------------------------------------------------------------------------------- */

void
http_add_filter(struct http_request *r, enum http_filter_order order,
                enum http_out (*filter)(struct http_request *, struct http_body_filter *,
                                        struct chain *),
                void *data)
{
    struct http_body_filter *f = POOL_NEW(r->pool, struct http_body_filter);
    struct http_body_filter **at = &r->filters;

    f->order = order;
    f->filter = filter;
    f->data = data;
    while (*at != NULL && (*at)->order <= order) {
        at = &(*at)->next;
    }
    f->next = *at;
    *at = f;
}

/* A subrequest's body: kept (a copy, so that its buffers go back at once) or dropped. */
static enum http_out
keep_sub_body(struct http_request *r, struct chain *in)
{
    uint64_t max = (uint64_t)http_core_loc(r)->subrequest_output_buffer_size;
    struct buf *b;

    while ((b = chain_pop(in)) != NULL) {
        size_t n = buf_len(b);

        r->out_last |= b->last_buf;
        if (r->sub_capture && chain_len(&r->sub_body) + n > max) {
            log_error(&r->log, LOG_LVL_ERR, 0, "too big subrequest response: %llu",
                      (unsigned long long)(chain_len(&r->sub_body) + n));
            r->sub_capture = false;
        }
        if (r->sub_capture && n > 0) {
            struct buf *copy = buf_new(r->pool, n);
            ssize_t got = (ssize_t)n;

            if (b->in_file) {
                got = pread(b->fd, copy->last, n, b->file_pos);
            } else {
                memcpy(copy->last, b->pos, n);
            }
            copy->last += MAX(got, (ssize_t)0);
            chain_push(&r->sub_body, copy);
        }
        if (b->release != NULL) {
            b->release(b);
        }
    }
    return HTTP_OUT_DONE;
}

static enum http_out
to_transport(struct http_request *r, struct chain *in)
{
    if (r != r->main) {
        return keep_sub_body(r, in);
    }
    for (const struct buf *b = in->head; b != NULL; b = b->next) {
        r->out_last |= b->last_buf;
    }
    if (r->header_only) {
        chain_drop(in);
        return r->out_last ? r->transport->send_body(r) : HTTP_OUT_DONE;
    }
    r->transport->queue_body(r, in);
    return r->transport->send_body(r);
}

enum http_out
http_next_filter(struct http_request *r, struct http_body_filter *f, struct chain *in)
{
    struct http_body_filter *next = f->next;

    return next == NULL ? to_transport(r, in) : next->filter(r, next, in);
}

enum http_out
http_output(struct http_request *r, struct chain *body)
{
    if (r->aborted) {
        chain_drop(body);
        return HTTP_OUT_ERROR;
    }
    if (r->filters != NULL && !r->header_only) {
        return r->filters->filter(r, r->filters, body);
    }
    return to_transport(r, body);
}

/* --- whole answers -------------------------------------------------------------------------------------------- */

struct http_verdict
http_send_text(struct http_request *r, int status, struct slice type, struct slice body)
{
    struct chain out;

    http_body_discard(r);
    if (status > 0) {
        r->out.status = status;
    }
    r->out.content_length = (int64_t)body.n;
    if (type.n > 0) {
        r->out.content_type = type;
    } else if (!r->out.no_content_type) {
        http_set_content_type(r);
    }
    enum http_out rc = http_send_header(r);

    if (rc == HTTP_OUT_ERROR || r->out_last) {
        return http_done();
    }
    chain_init(&out);
    struct buf *b = buf_wrap(r->pool, body);

    b->last_buf = true;
    chain_push(&out, b);
    (void)http_output(r, &out);
    return http_done();
}

struct http_verdict
http_send_file(struct http_request *r, int fd, off_t size)
{
    struct chain out;
    struct buf *b;

    r->out.content_length = size;
    r->ranges_allowed = true;
    enum http_out rc = http_send_header(r);

    if (rc == HTTP_OUT_ERROR || r->out_last) {
        return http_done();
    }
    chain_init(&out);
    b = buf_file(r->pool, fd, 0, size);
    b->last_buf = true;
    chain_push(&out, b);
    (void)http_output(r, &out);
    return http_done();
}

/* --- content type, etag, path ------------------------------------------------------------------------------------ */

void
http_set_content_type(struct http_request *r)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    if (r->out.content_type.n > 0) {
        return;
    }
    if (r->exten.n > 0) {
        const struct slice *type = hash_get(clcf->types, r->exten);

        if (type != NULL) {
            r->out.content_type = *type;
            return;
        }
    }
    r->out.content_type = clcf->default_type;
}

void
http_set_etag(struct http_request *r)
{
    if (http_core_loc(r)->etag) {
        r->out.etag = pool_printf(r->pool, "\"%llx-%llx\"", (unsigned long long)r->out.last_modified,
                                  (unsigned long long)r->out.content_length);
    }
}

struct slice
http_map_path(struct http_request *r, size_t reserve, size_t *root_n)
{
    const struct http_core_loc *clcf = http_core_loc(r);
    struct slice root = template_eval(clcf->root, &r->vars);
    struct slice rest = r->uri;

    if (clcf->is_alias) {
        rest = clcf->alias_n == 0 ? SLICE("") : slice_from(r->uri, MIN(clcf->alias_n, r->uri.n));
    }
    if (root.n > 0 && root.p[0] != '/') { /* a variable gave a relative name: under the prefix */
        struct slice parts[] = { r->cycle->params->prefix, root };

        root = pool_concat(r->pool, parts, 2);
    }
    char *p = pool_bytes(r->pool, root.n + rest.n + reserve + 1);

    memcpy(p, root.p, root.n);
    memcpy(p + root.n, rest.p, rest.n);
    p[root.n + rest.n] = '\0';
    *root_n = root.n;
    return slice_of(p, root.n + rest.n);
}
