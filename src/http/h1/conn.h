/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 on a client's connection: heads, bodies, keepalive, pipelining, lingering close. */
#pragma once

#include "http/transport.h"

extern const struct http_transport h1_transport;

/* Requests answered on this connection so far ($connection_requests), the current one included. */
uint64_t h1_requests(const struct http_request *r);

/* For stub_status: connections that read a head, that answer, that wait for a request. */
struct h1_counts {
    uint64_t reading;
    uint64_t writing;
    uint64_t waiting;
    uint64_t requests;
};
extern struct h1_counts h1_counts;
