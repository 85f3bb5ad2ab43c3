/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PROXY protocol's header in front of a connection, versions 1 and 2 (haproxy.org,
 * proxy-protocol.txt).
 */
#pragma once

#include "net/conn.h"

/* What the header said; in the connection's order of fields. */
struct proxy_protocol {
    struct addr src;
    struct addr dst;
    bool known; /* false: UNKNOWN or LOCAL */
};

/* Parse the header at the front of p[0..n). Its length; 0: more bytes are needed; -1: none or malformed. */
ssize_t proxy_protocol_parse(const char *p, size_t n, struct proxy_protocol *out);

/* On a readable connection: take the header off the socket. true: done, *pending is cleared; false: wait
 * for more, or it was malformed (logged; c->broken is set). */
bool proxy_protocol_take(struct conn *c, bool *pending);
