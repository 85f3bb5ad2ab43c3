/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 101: bytes in both directions between the client's and the peer's connection (WebSocket and
 * others). An idle tunnel owns no buffer.
 */
#pragma once

#include "http/proxy/exchange.h"

/* The head of the 101 was sent; bytes of the peer behind its own head are in `early`. Ends the
 * request when both sides are through. */
void tunnel_start(struct http_exchange *u, struct slice early);
void tunnel_free(struct http_exchange *u);
