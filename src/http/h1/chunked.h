/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunked transfer coding, RFC 9112 section 7.1, decoded in place and byte by byte only in the
 * framing. Strict: CRLF only, no sign, no blank before the size, at most 15 hex digits, chunk
 * extensions and trailers bounded.
 */
#pragma once

#include "base/slice.h"
#include "http/h1/parse.h"

#include <stdint.h>

struct chunked {
    uint64_t left; /* bytes of the current chunk still to come */
    uint32_t state; /* private */
    uint32_t ext; /* bytes of extensions in this chunk, bounded */
    uint32_t trailer_bytes; /* bounded */
};

/*
 * Take framing off the front of *in.
 *   PARSE_DONE   the last chunk and the trailers are over; *in is what follows the body
 *   PARSE_MORE   all of *in was used
 *   PARSE_BAD    malformed
 * `data` is called with each run of body bytes, `trailer` with each trailer line's bytes as they
 * come (line by line when whole; NULL: skipped).
 */
struct chunked_sink {
    void *arg;
    void (*data)(void *arg, struct slice bytes);
    void (*trailer)(void *arg, struct slice line_part);
};
enum parse_result chunked_decode(struct chunked *c, struct slice *in, const struct chunked_sink *sink);

/* The same, throwing the data away. */
enum parse_result chunked_skip(struct chunked *c, struct slice *in);

/* "1a2b\r\n" for a chunk of n bytes at p (up to CHUNK_HEAD_MAX); returns the end. */
#define CHUNK_HEAD_MAX 18
char *chunked_write_head(char *p, uint64_t n);
