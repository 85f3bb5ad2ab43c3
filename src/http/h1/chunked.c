/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One state for each place in RFC 9112 section 7.1's grammar. Data is handed on in runs; only the
 * framing is looked at byte by byte.
 */
#include "http/h1/chunked.h"

#include "base/check.h"
#include "base/num.h"

#define EXTENSION_MAX 16384
#define TRAILER_MAX 65536

enum chunk_state {
    CHUNK_SIZE, /* a hex digit must come */
    CHUNK_SIZE_MORE, /* digits, or what ends them */
    CHUNK_EXT, /* blanks and extensions up to CR */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START, /* CR ends the body, anything else is a trailer line */
    CHUNK_TRAILER, /* within a line */
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
};

/* One byte of framing. A bare LF and a size over 60 bits are refused: both have made two servers
 * disagree about where a body ends. */
static enum parse_result
chunk_step(struct chunked *c, char ch, const struct chunked_sink *sink)
{
    int digit = ascii_hex(ch);

    switch ((enum chunk_state)c->state) {
    case CHUNK_SIZE:
        if (digit < 0) {
            return PARSE_BAD;
        }
        c->left = (unsigned)digit;
        c->state = CHUNK_SIZE_MORE;
        return PARSE_MORE;
    case CHUNK_SIZE_MORE:
        if (digit >= 0) {
            if (c->left >> 56 != 0) {
                return PARSE_BAD;
            }
            c->left = c->left << 4 | (unsigned)digit;
            return PARSE_MORE;
        }
        c->state = CHUNK_EXT;
        if (ch != ';' && ch != ' ' && ch != '\t' && ch != '\r') {
            return PARSE_BAD;
        }
        c->state = ch == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
        return PARSE_MORE;
    case CHUNK_EXT:
        if (ch == '\r') {
            c->state = CHUNK_SIZE_LF;
            return PARSE_MORE;
        }
        return ch == '\n' || ch == '\0' || ++c->ext > EXTENSION_MAX ? PARSE_BAD : PARSE_MORE;
    case CHUNK_SIZE_LF:
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
        return ch == '\n' ? PARSE_MORE : PARSE_BAD;
    case CHUNK_DATA:
        UNREACHABLE();
    case CHUNK_DATA_CR:
        c->state = CHUNK_DATA_LF;
        return ch == '\r' ? PARSE_MORE : PARSE_BAD;
    case CHUNK_DATA_LF:
        c->state = CHUNK_SIZE;
        return ch == '\n' ? PARSE_MORE : PARSE_BAD;
    case CHUNK_TRAILER_START:
        if (ch == '\r') {
            c->state = CHUNK_END_LF;
            return PARSE_MORE;
        }
        c->state = CHUNK_TRAILER;
        FALLTHROUGH;
    case CHUNK_TRAILER:
        if (ch == '\n' || ch == '\0' || ++c->trailer_bytes > TRAILER_MAX) {
            return PARSE_BAD;
        }
        if (ch == '\r') {
            c->state = CHUNK_TRAILER_LF;
        }
        if (sink->trailer != NULL) {
            sink->trailer(sink->arg, slice_of(&ch, 1));
        }
        return PARSE_MORE;
    case CHUNK_TRAILER_LF:
        c->state = CHUNK_TRAILER_START;
        if (ch == '\n' && sink->trailer != NULL) {
            sink->trailer(sink->arg, slice_of(&ch, 1));
        }
        return ch == '\n' ? PARSE_MORE : PARSE_BAD;
    case CHUNK_END_LF:
        return ch == '\n' ? PARSE_DONE : PARSE_BAD;
    }
    UNREACHABLE();
}

enum parse_result
chunked_decode(struct chunked *c, struct slice *in, const struct chunked_sink *sink)
{
    while (in->n > 0) {
        if (c->state == CHUNK_DATA) {
            size_t n = (size_t)MIN((uint64_t)in->n, c->left);

            sink->data(sink->arg, slice_head(*in, n));
            *in = slice_from(*in, n);
            c->left -= n;
            if (c->left == 0) {
                c->state = CHUNK_DATA_CR;
            }
            continue;
        }
        char ch = in->p[0];

        *in = slice_from(*in, 1);
        enum parse_result rc = chunk_step(c, ch, sink);

        if (rc != PARSE_MORE) {
            return rc;
        }
    }
    return PARSE_MORE;
}

static void
ignore(void *arg UNUSED, struct slice bytes UNUSED)
{
}

enum parse_result
chunked_skip(struct chunked *c, struct slice *in)
{
    struct chunked_sink sink = { .data = ignore };

    return chunked_decode(c, in, &sink);
}

char *
chunked_write_head(char *p, uint64_t n)
{
    p = num_write_hex(p, n);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}
