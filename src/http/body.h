/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The request body. Nobody reads it until a handler asks: whole (http_body_read), as it comes
 * (http_body_stream), or not at all (what is left is discarded before the connection is used again).
 * Up to client_body_buffer_size stays in memory; beyond that, and only then, a temp file, written by
 * the offload threads. `Expect: 100-continue` is answered when reading begins.
 */
#pragma once

#include "http/http.h"

struct http_body {
    struct chain bufs; /* what has come and was not taken: memory, then the file */
    int64_t length; /* Content-Length, or -1 (chunked) */
    uint64_t received; /* decoded bytes so far */
    bool complete;
    bool in_file;
    int fd; /* temp file; -1 */
    struct slice file_name; /* $request_body_file */
    struct http_headers trailers;
    bool streaming;
    void (*on_data)(struct http_request *r); /* streaming: more is there, or complete, or failed */
    void (*done)(struct http_request *r); /* whole */
    int failed; /* status: 400, 408, 413, 499, 500 */
    void *priv; /* body.c's and the transport's */
};

/*
 * Read all of it, then done(r) (at once when it is there already). On failure the request is
 * finalized with the right status and done is not called. Without a body done(r) comes at once.
 * For a handler: `http_body_read(r, fn); return http_wait();`
 */
void http_body_read(struct http_request *r, void (*done)(struct http_request *r));
/* As it comes: on_data(r) whenever there are new bytes in r->body->bufs or it is complete or failed. The
 * transport stops reading while more than client_body_buffer_size waits there untaken. */
void http_body_stream(struct http_request *r, void (*on_data)(struct http_request *r));
/* The streaming reader took bytes: read on. */
void http_body_resume(struct http_request *r);
/* Throw away what is still to come; called by finalize when needed. */
void http_body_discard(struct http_request *r);
bool http_has_body(const struct http_request *r);

/* --- for the transports ------------------------------------------------------------------- */
/* Decoded bytes arrived / the body is over / it failed (status): only noted ... */
void http_body_add(struct http_request *r, struct slice bytes);
void http_body_end(struct http_request *r);
void http_body_fail(struct http_request *r, int status);
/* ... until this tells whoever waits; the request may be gone afterwards. */
void http_body_progress(struct http_request *r);
/* May the transport read more now? (back-pressure) */
bool http_body_wants(const struct http_request *r);
