/* SPDX-License-Identifier: BSD-2-Clause */
/* What HTTP/1 and HTTP/2 do differently under one request type. */
#pragma once

#include "http/http.h"

struct http_addr;

struct http_transport {
    const char *name;
    /* The `listen` address the request came in on. */
    const struct http_addr *(*addr)(const struct http_request *r);
    /* Serialise the head of r->out; kept until the first body bytes or the end, then sent with them. */
    enum http_out (*send_header)(struct http_request *r);
    /* Frame body bufs (chunked coding, DATA frames come from here) and append them to out_pending. */
    void (*queue_body)(struct http_request *r, struct chain *in);
    /* Send as much of r->out_pending as goes. */
    enum http_out (*send_body)(struct http_request *r);
    void (*send_interim)(struct http_request *r, int status, const struct http_headers *hs);
    /* Begin, continue or stop reading the request body (http_body_wants()). */
    void (*read_body)(struct http_request *r);
    /* The request is over and all was sent: keepalive, lingering close, close; frees r. */
    void (*request_done)(struct http_request *r);
    /* Close without an answer (444, 499, broken response). */
    void (*abort)(struct http_request *r);
    /* 101: give the connection to a tunnel. The request stays until the tunnel ends it; bytes already
     * read beyond the head are returned in *early (live as long as r). NULL: not possible (h2 streams). */
    struct conn *(*take_conn)(struct http_request *r, struct slice *early);
};

/* For the transports: a request struct on a connection; the server is the default one of the address until the
 * Host is known. */
struct http_request *http_request_new(struct conn *c, const struct http_transport *t, void *stream,
                                      struct http_server *server);
/* The Host (or :authority) is known: choose the server. false: invalid (400). */
bool http_request_set_host(struct http_request *r, struct slice host);
/* The head is complete and valid: check it (RFC 9112 section 6.3), then run the phases. */
void http_request_start(struct http_request *r);
/* A malformed head: the page for `status`, connection closed after it. */
void http_request_bad(struct http_request *r, int status, const char *why);
/* The client closed or reset while the request was at work. */
void http_client_gone(struct http_request *r);
/* Bytes could be sent again: the transport emptied out_pending. */
void http_request_writable(struct http_request *r);
/* Run the log phase once; free the request and its subrequests. */
void http_request_log(struct http_request *r);
void http_request_free(struct http_request *r);

/* --- within http/ ------------------------------------------------------------------------------ */
/* Run the phases from the timer, not from the caller's stack. */
void http_run_later(struct http_request *r);
struct http_location *http_find_named(struct http_request *r, struct slice name);
void http_use_location(struct http_request *r, struct http_location *loc);
enum http_method http_method_of(struct slice name);
/* What the Server header and the built-in pages say. */
struct slice http_server_token(struct http_request *r);
