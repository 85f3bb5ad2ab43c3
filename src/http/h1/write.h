/* SPDX-License-Identifier: BSD-2-Clause */
/* Serialising response heads, RFC 9112 sections 4 and 5; nginx's order of fields. */
#pragma once

#include "http/http.h"

/* The head of r->out in a buf of the request's pool. */
struct buf *h1_write_head(struct http_request *r);
/* "HTTP/1.1 103 Early Hints" and its fields. */
struct buf *h1_write_interim(struct http_request *r, int status, const struct http_headers *hs);
