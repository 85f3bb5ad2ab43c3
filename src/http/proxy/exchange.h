/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The upstream side of a request, for every upstream protocol: choose a peer, connect or reuse,
 * send, read the head, and hand the body to the relay or the connection to the tunnel. One struct a
 * request; a further try reuses it.
 */
#pragma once

#include "http/http.h"
#include "os/file.h"
#include "upstream/group.h"
#include "upstream/idle.h"

struct http_up_proto;
struct relay_buf;

/* proxy_next_upstream and its like in other protocols. */
enum exchange_fault {
    FAULT_ERROR = 1 << 0,
    FAULT_TIMEOUT = 1 << 1,
    FAULT_INVALID_HEADER = 1 << 2,
    FAULT_HTTP_500 = 1 << 3,
    FAULT_HTTP_502 = 1 << 4,
    FAULT_HTTP_503 = 1 << 5,
    FAULT_HTTP_504 = 1 << 6,
    FAULT_HTTP_403 = 1 << 7,
    FAULT_HTTP_404 = 1 << 8,
    FAULT_HTTP_429 = 1 << 9,
    FAULT_NON_IDEMPOTENT = 1 << 10, /* a permission, not a fault */
    FAULT_OFF = 1 << 11,
    FAULT_NO_LIVE = 1 << 12, /* never in the directive */
};
extern const struct conf_name exchange_next_names[];

/* proxy_ignore_headers. */
enum exchange_ignore {
    IGNORE_X_ACCEL_REDIRECT = 1 << 0,
    IGNORE_X_ACCEL_EXPIRES = 1 << 1,
    IGNORE_X_ACCEL_LIMIT_RATE = 1 << 2,
    IGNORE_X_ACCEL_BUFFERING = 1 << 3,
    IGNORE_X_ACCEL_CHARSET = 1 << 4,
    IGNORE_EXPIRES = 1 << 5,
    IGNORE_CACHE_CONTROL = 1 << 6,
    IGNORE_SET_COOKIE = 1 << 7,
    IGNORE_VARY = 1 << 8,
};
extern const struct conf_name exchange_ignore_names[];

enum exchange_store { STORE_OFF, STORE_ON, STORE_PATH };

/* proxy_bind; the same for the other protocols. */
struct exchange_bind {
    bool given;
    bool transparent;
    struct addr addr; /* when `text` is constant */
    struct template *text; /* NULL: off */
};

/* The settings that every upstream protocol has (proxy_X, fastcgi_X, ...). */
struct exchange_conf {
    int64_t connect_timeout;
    int64_t send_timeout;
    int64_t read_timeout;
    int64_t next_upstream_timeout;
    int64_t next_upstream_tries;
    uint32_t next_upstream;
    uint32_t ignore_headers;
    int64_t buffer_size;
    struct conf_bufs buffers;
    int64_t busy_buffers_size;
    int64_t max_temp_file_size;
    int64_t temp_file_write_size;
    struct temp_path temp_path;
    struct template *limit_rate;
    int64_t socket_rcvbuf;
    int64_t socket_sndbuf;
    int64_t send_lowat;
    bool buffering;
    bool request_buffering;
    bool pass_request_headers;
    bool pass_request_body;
    bool pass_trailers;
    bool ignore_client_abort;
    bool intercept_errors;
    bool force_ranges;
    bool socket_keepalive;
    int store; /* enum exchange_store */
    uint32_t store_access;
    struct template *store_path;
    struct exchange_bind bind;
};

enum exchange_state {
    EX_IDLE, /* nothing started, or between two tries */
    EX_CONNECT,
    EX_HEAD, /* the request is being sent or was sent; no head yet */
    EX_BODY, /* the relay reads */
    EX_TUNNEL,
    EX_OVER, /* everything was handed to the client's side, or the request was given up */
};

/* How the response's body ends; chosen by the protocol's parse_head. */
enum exchange_framing {
    FRAMING_NONE, /* no body: HEAD, 204, 304 */
    FRAMING_LENGTH,
    FRAMING_CHUNKED,
    FRAMING_CLOSE,
};

struct http_exchange {
    uint32_t magic; /* MAGIC_EXCHANGE */
    enum exchange_state state;
    struct http_request *r;
    const struct http_up_proto *proto;
    const struct exchange_conf *conf;
    void *proto_conf; /* of the protocol: struct proxy_conf */
    void *target; /* of the protocol: struct proxy_target */
    struct up_group *group;
    struct slice schema; /* "http://", for $upstream log lines */
    struct slice uri; /* what is asked for */

    /* the try */
    struct up_try try;
    struct up_conn *uc; /* owned */
    uint32_t state_at; /* of this try in r->upstream_states */
    int64_t started_ms; /* of the first try */
    int64_t try_ms; /* of this one */
    bool reused; /* uc came from the pool */
    bool request_sent; /* at least one byte of this try */
    bool request_done; /* all of it */
    bool got_bytes; /* of the response */
    bool send_failed; /* the response may still be there */
    bool body_taken; /* streamed body bytes are gone: no further try */
    bool retried; /* a kept connection turned out dead: tried again on a new one */
    bool write_timed; /* the write timer is set */
    bool peer_failed; /* its status counts as a failure (proxy_next_upstream http_500 ...) */
    uint32_t n_tries;
    uint32_t interims; /* 1xx responses, bounded */
    int send_err; /* errno of a failed send */

    /* the request */
    struct slice head; /* made once, sent at each try */
    struct slice set_body; /* proxy_set_body */
    struct chain out; /* what is left to send */
    bool has_set_body;
    bool sends_body; /* r->body follows the head */
    bool streams_body; /* as it comes */
    bool chunks_body; /* with chunked framing */
    bool stream_ended; /* its last chunk is in `out` */
    bool wants_close; /* the head says Connection: close, or is HTTP/1.0 */
    bool wants_upgrade; /* the head carries Upgrade */
    bool is_websocket; /* a valid request for one: forwarded without any configuration */
    bool is_head; /* the method sent is HEAD: no body comes */
    char chunk_head[32];
    struct buf chunk_bufs[2];

    /* the response's head */
    struct http_headers headers; /* as it came; slices into head_text */
    struct slice head_text; /* in r->pool, for $upstream_http_* */
    struct slice trailer_text; /* likewise, for $upstream_trailer_* */
    struct slice upgrade; /* Upgrade of the response */
    int status;
    struct slice status_line;
    int64_t content_length; /* -1: none */
    struct slice x_accel_redirect;
    bool is_chunked;
    bool keeps_conn; /* the peer says it keeps the connection */
    bool buffering;
    uint64_t limit_rate; /* from the upstream, bytes a second */
    enum exchange_framing framing;

    /* the body: relay.c */
    struct relay_buf *cur; /* being read into */
    struct list bufs; /* all that are in use */
    uint32_t n_bufs;
    uint32_t memory_bufs; /* how many may be in use */
    struct chain backlog; /* for the client, not handed on yet */
    uint64_t body_left; /* FRAMING_LENGTH */
    uint64_t body_read; /* bytes from the peer, for limit_rate */
    void *decoder; /* of the protocol (struct chunked) */
    bool client_blocked;
    bool broken; /* ends once what is in hand was sent */
    bool no_spill; /* the temporary file failed or may not grow: back-pressure instead */
    bool discard; /* the client has gone but the response is wanted (store, ignore_client_abort) */
    bool body_complete;
    bool started_respond;
    int temp_fd; /* -1 */
    int64_t temp_at; /* end of what was written */
    bool temp_used; /* it was sent to its end: truncate before writing anew */
    uint32_t temp_bufs; /* file bufs not sent yet */
    int store_fd; /* proxy_store: -1 */
    struct slice store_name; /* its temporary name */
    uint64_t store_at;
    struct timer timer; /* limit_rate */

    struct exchange_tunnel *tunnel;
    struct slice early; /* bytes that came behind the head of a 101 */

    /* sync: the content handler has not returned yet; its verdict is kept here */
    bool in_handler;
    bool has_verdict;
    struct http_verdict verdict;
};

/* For the content handlers of upstream protocols: make the exchange of a request (r->upstream). */
struct http_exchange *exchange_new(struct http_request *r, const struct http_up_proto *proto,
                                   const struct exchange_conf *conf);
/* Read the body as configured, then begin; the handler returns what this returns. */
struct http_verdict exchange_run(struct http_exchange *u);

/* --- between exchange, relay and tunnel ------------------------------------------------------ */

struct http_upstream_state *exchange_state_of(const struct http_exchange *u);
/* The response is complete as far as the peer is concerned: account it and give back or close the
 * connection. */
void exchange_release(struct http_exchange *u, bool reuse, enum up_outcome outcome);
/* End the request with a status (0: the response is out). */
void exchange_finish(struct http_exchange *u, int status);
void exchange_resume(struct http_exchange *u, struct http_verdict v);
/* The client's side failed (http_output said so) or went away. true: the response is wanted all the
 * same (u->discard); false: everything is over. */
MUST_USE bool exchange_client_gone(struct http_exchange *u);
