/* SPDX-License-Identifier: BSD-2-Clause */
/* What differs between upstream protocols (HTTP/1.1; FastCGI, uwsgi, SCGI, memcached, ... later). */
#pragma once

#include "http/h1/parse.h"
#include "http/proxy/exchange.h"

enum decode_state {
    DECODE_MORE, /* all of the input was used */
    DECODE_DONE, /* the body is over; *in is what follows it */
    DECODE_BAD, /* malformed; logged */
};

struct http_up_proto {
    const char *name;
    /* Fill u->head and the flags that say how the body follows. false: 500, logged. */
    bool (*create_request)(struct http_exchange *u);
    /*
     * Look for a response head at the front of *in, which is all that came so far. DONE: u->status,
     * headers, framing are filled in and *in is what follows; interim responses are reported
     * one by one (status < 200). BAD: logged.
     */
    enum parse_result (*parse_head)(struct http_exchange *u, struct slice *in);
    /* Prepare for the body; after the head. */
    void (*start_body)(struct http_exchange *u);
    /* Take body bytes off *in; each run of them goes to sink(u, run). */
    enum decode_state (*decode_body)(struct http_exchange *u, struct slice *in,
                                     void (*sink)(struct http_exchange *u, struct slice run));
    /* The peer closed: is the body complete with that? */
    bool (*eof_completes)(const struct http_exchange *u);
    /* After a complete response: can another request follow on this connection? */
    bool (*can_reuse)(const struct http_exchange *u);
    /* Hand u's head over to r->out; false: 502, logged. */
    bool (*pass_head)(struct http_exchange *u);
};

extern const struct http_up_proto http_up_h1;
