/* SPDX-License-Identifier: BSD-2-Clause */
/* The request body between a transport that reads it and a handler that wants it. */
#include "http/body.h"

#include "http/core.h"
#include "http/transport.h"
#include "os/file.h"

#include <errno.h>
#include <unistd.h>

#define MEMORY_BUF 16384

bool
http_has_body(const struct http_request *r)
{
    return r->in.content_length > 0 || r->in.chunked;
}

static struct http_body *
body_of(struct http_request *r)
{
    if (r->body == NULL) {
        r->body = POOL_NEW(r->pool, struct http_body);
        chain_init(&r->body->bufs);
        r->body->fd = -1;
        r->body->length = r->in.chunked ? -1 : MAX(r->in.content_length, (int64_t)0);
        r->body->complete = !http_has_body(r);
    }
    return r->body;
}

/* RFC 9110 section 10.1.1: asked for, and nobody has said it yet. */
static void
send_continue(struct http_request *r)
{
    static const struct http_headers none;

    if (!r->expect_tested && r->in.expect_continue && r->version >= HTTP_VERSION_11) {
        http_send_interim(r, 100, &none);
    }
    r->expect_tested = true;
}

static void
close_temp(void *arg)
{
    const struct http_body *body = arg;

    if (body->fd >= 0) {
        close(body->fd);
    }
}

static void
remove_temp(void *arg)
{
    unlink(arg);
}

static bool
open_temp(struct http_request *r, struct http_body *body)
{
    const struct http_core_loc *clcf = http_core_loc(r);

    body->fd = file_temp(r->pool, &clcf->client_body_temp_path, &body->file_name);
    if (body->fd < 0) {
        log_error(&r->log, LOG_LVL_CRIT, errno, "open() \"%.*s\" failed",
                  SLICE_ARG(body->file_name));
        return false;
    }
    pool_on_free(r->pool, close_temp, body);
    if (clcf->client_body_in_file_only != HTTP_FILE_BODY_ON) {
        pool_on_free(r->pool, remove_temp, (void *)(size_t)body->file_name.p);
    }
    if (clcf->client_body_in_file_only == HTTP_FILE_BODY_OFF) {
        log_error(&r->log, LOG_LVL_WARN, 0,
                  "a client request body is buffered to a temporary file %.*s",
                  SLICE_ARG(body->file_name));
    }
    return true;
}

/* Move what is in memory into the file. */
static bool
spill(struct http_request *r, struct http_body *body)
{
    off_t at = 0;

    if (body->fd < 0 && !open_temp(r, body)) {
        return false;
    }
    for (const struct buf *b = body->bufs.head; b != NULL; b = b->next) {
        if (!file_write_all(body->fd, b->pos, buf_len(b), at)) {
            return false;
        }
        at += (off_t)buf_len(b);
    }
    chain_drop(&body->bufs);
    body->in_file = true;
    return true;
}

static bool
to_file(struct http_request *r, struct http_body *body, struct slice bytes)
{
    if (!body->in_file && !spill(r, body)) {
        return false;
    }
    return file_write_all(body->fd, bytes.p, bytes.n, (off_t)(body->received - bytes.n));
}

static void
to_memory(struct http_request *r, struct http_body *body, struct slice bytes)
{
    struct buf *tail = NULL;

    for (struct buf *b = body->bufs.head; b != NULL; b = b->next) {
        tail = b;
    }
    while (bytes.n > 0) {
        if (tail == NULL || buf_room(tail) == 0) {
            uint64_t left = body->length >= 0
                                ? (uint64_t)body->length - body->received + bytes.n
                                : bytes.n;
            uint64_t most = (uint64_t)http_core_loc(r)->client_body_buffer_size;

            left = MAX(MIN(MAX(left, (uint64_t)bytes.n), MAX(most, (uint64_t)1)), (uint64_t)1);
            tail = buf_new(r->pool, (size_t)MAX(left, (uint64_t)MIN(bytes.n, MEMORY_BUF)));
            chain_push(&body->bufs, tail);
        }
        size_t n = MIN(bytes.n, buf_room(tail));

        memcpy(tail->last, bytes.p, n);
        tail->last += n;
        bytes = slice_from(bytes, n);
    }
}

static bool
is_discarding(const struct http_request *r)
{
    return r->discard_body;
}

void
http_body_add(struct http_request *r, struct slice bytes)
{
    struct http_body *body = body_of(r);
    const struct http_core_loc *clcf = http_core_loc(r);

    if (is_discarding(r)) {
        body->received += bytes.n;
        return;
    }
    if (body->length < 0 && clcf->client_max_body_size > 0 &&
        body->received + bytes.n > (uint64_t)clcf->client_max_body_size) {
        log_error(&r->log, LOG_LVL_ERR, 0,
                  "client intended to send too large chunked body: %llu+%zu bytes",
                  (unsigned long long)body->received, bytes.n);
        http_body_fail(r, 413);
        return;
    }
    body->received += bytes.n;
    bool file_only = clcf->client_body_in_file_only != HTTP_FILE_BODY_OFF && !body->streaming;
    uint64_t limit = (uint64_t)clcf->client_body_buffer_size;
    bool large = !body->streaming && body->received > limit;

    if (!body->in_file && !file_only && !large) {
        to_memory(r, body, bytes);
    } else if (!to_file(r, body, bytes)) {
        log_error(&r->log, LOG_LVL_CRIT, errno, "pwrite() \"%.*s\" failed",
                  SLICE_ARG(body->file_name));
        http_body_fail(r, 500);
    }
}

/* Tell whoever waits. The request may be gone afterwards. */
static void
notify(struct http_request *r)
{
    struct http_body *body = r->body;

    if (body->streaming) {
        if (body->on_data != NULL) {
            body->on_data(r);
        }
        return;
    }
    if (!body->complete && body->failed == 0) {
        return;
    }
    void (*done)(struct http_request *) = body->done;

    body->done = NULL;
    if (done == NULL) {
        return;
    }
    if (body->failed != 0) {
        http_finalize(r, body->failed);
        return;
    }
    if (body->in_file) {
        chain_push(&body->bufs, buf_file(r->pool, body->fd, 0, (off_t)body->received));
    }
    if (body->length < 0) {
        r->in.content_length = (int64_t)body->received;
    }
    done(r);
}

void
http_body_end(struct http_request *r)
{
    body_of(r)->complete = true;
}

void
http_body_fail(struct http_request *r, int status)
{
    struct http_body *body = body_of(r);

    if (body->failed == 0) {
        body->failed = status;
        r->keepalive = false;
    }
}

bool
http_body_wants(const struct http_request *r)
{
    const struct http_body *body = r->body;

    if (body == NULL || body->complete || body->failed != 0) {
        return false;
    }
    if (r->discard_body) {
        return true;
    }
    uint64_t limit = (uint64_t)MAX(http_core_loc(r)->client_body_buffer_size, (int64_t)1);

    return body->streaming ? chain_len(&body->bufs) < limit : body->done != NULL;
}

void
http_body_read(struct http_request *r, void (*done)(struct http_request *r))
{
    struct http_body *body = body_of(r->main);

    if (r != r->main || body->complete || !http_has_body(r)) {
        r->body = body;
        done(r);
        return;
    }
    body->done = done;
    send_continue(r);
    r->log_ctx.action = "reading client request body";
    r->transport->read_body(r);
}

void
http_body_stream(struct http_request *r, void (*on_data)(struct http_request *r))
{
    struct http_body *body = body_of(r->main);

    body->streaming = true;
    body->on_data = on_data;
    if (body->complete) {
        on_data(r);
        return;
    }
    send_continue(r);
    r->transport->read_body(r);
}

void
http_body_resume(struct http_request *r)
{
    if (http_body_wants(r)) {
        r->transport->read_body(r);
    }
}

void
http_body_progress(struct http_request *r)
{
    notify(r);
}

void
http_body_discard(struct http_request *r)
{
    if (r != r->main || r->discard_body || !http_has_body(r)) {
        return;
    }
    struct http_body *body = body_of(r);

    r->discard_body = true;
    body->done = NULL;
    body->on_data = NULL;
    if (!body->complete) {
        send_continue(r);
    }
}
