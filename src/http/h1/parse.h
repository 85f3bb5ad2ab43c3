/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request and response heads, RFC 9112 sections 2 to 5, line by line and without allocation: the
 * parser works on one contiguous buffer that holds the head read so far and remembers where it
 * stopped; results are offsets into it, so the buffer may move between calls. What is not strictly
 * valid is refused (design.md section 7): nothing that two servers could read differently passes.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

enum parse_result {
    PARSE_MORE, /* needs more bytes */
    PARSE_DONE,
    PARSE_BAD, /* see `why` */
};

enum h1_bad {
    H1_BAD_NONE,
    H1_BAD_METHOD, /* "client sent invalid method while reading client request line" */
    H1_BAD_REQUEST_LINE, /* "client sent invalid request while reading client request line" */
    H1_BAD_VERSION, /* "client sent invalid version while reading client request line": 400 or 505 */
    H1_BAD_VERSION_UNSUPPORTED, /* HTTP/2.0 and above: 505 */
    H1_BAD_HEADER, /* "client sent invalid header line: "..." while reading client request headers" */
    H1_BAD_STATUS_LINE, /* responses: "upstream sent no valid HTTP/1.0 header" */
    H1_BAD_TOO_MANY, /* more header lines than the caller has room for */
};

struct h1_span {
    uint32_t at;
    uint32_t n;
};

struct h1_header {
    struct h1_span name;
    struct h1_span value; /* without blanks around it */
    uint16_t known; /* enum http_header_id of http/headers.def through h1_known_header(); 0: other */
    bool invalid; /* a name with bytes outside [A-Za-z0-9-] or with "_": the caller drops or refuses it */
    bool underscore; /* invalid for "_" only (underscores_in_headers) */
};

struct h1_request_line {
    struct h1_span method;
    struct h1_span target; /* request-target as sent */
    struct h1_span schema; /* absolute-form: "http" */
    struct h1_span host; /* absolute-form: host without port */
    struct h1_span port; /* absolute-form, digits; may be empty */
    struct h1_span path; /* path and query, from target; empty for absolute-form without a path */
    uint8_t major; /* 0.9: major 0, minor 9, no headers follow */
    uint8_t minor;
    bool complex_uri; /* path has "%", "//", "/.", "#": uri.c must normalise; else it is the uri */
    bool bad_host; /* the host part is not a valid one (400) */
    struct h1_span protocol; /* "HTTP/1.1" as sent */
};

/* One parser for both kinds of head. Zero it to begin; `pos` only grows. */
struct h1_parser {
    uint32_t pos; /* next byte to look at */
    uint32_t line_at; /* first byte of the line being read */
    uint32_t bad_at; /* behind the byte that was refused; line_at..bad_at is what to log */
    enum h1_bad why;
    struct h1_request_line line; /* requests */
    uint8_t major; /* responses */
    uint8_t minor;
    uint16_t status;
    struct h1_span reason;
};

/* The request line from buf[p->pos..n). On DONE, pos is behind its line feed. Leading empty lines are skipped. */
enum parse_result h1_parse_request_line(struct h1_parser *p, const char *buf, uint32_t n);
/* The status line of an upstream's response, RFC 9112 section 4. */
enum parse_result h1_parse_status_line(struct h1_parser *p, const char *buf, uint32_t n);
/* Header lines: calls fn(arg, header) for each complete one; DONE behind the empty line. `response` is laxer
 * where nginx is (a broken line in a response is PARSE_BAD too). fn gives false to stop (PARSE_BAD, H1_BAD_TOO_MANY). */
typedef bool (*h1_header_fn)(void *arg, const struct h1_header *h);
enum parse_result h1_parse_headers(struct h1_parser *p, const char *buf, uint32_t n, bool response,
                                   h1_header_fn fn, void *arg);

/* enum http_header_id of a name, any case; 0: not a known one. */
uint16_t h1_known_header(struct slice name);

static inline struct slice
h1_span_of(const char *buf, struct h1_span s)
{
    return slice_of(buf + s.at, s.n);
}
