/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges, RFC 9110 section 14: one range cuts the body, several make multipart/byteranges. */
#include "base/time.h"
#include "http/core.h"
#include "http/http.h"
#include "http/mod/mod.h"

#include <sys/random.h>

struct range {
    int64_t from;
    int64_t to; /* one behind */
    struct slice head; /* multipart: boundary and fields in front of it */
};

struct ranges {
    struct {
        struct range *items;
        size_t n;
        size_t cap;
    } list;
    int64_t at; /* bytes of the body seen */
    struct slice end; /* multipart: the closing boundary */
    struct chain held; /* multipart: the body, until all of it is there */
};

enum range_result { RANGES_IGNORE, RANGES_OK, RANGES_BAD };

static void
skip_blanks(struct slice *s)
{
    while (s->n > 0 && s->p[0] == ' ') {
        *s = slice_from(*s, 1);
    }
}

/* Digits; false on none. Saturates. */
static bool
take_number(struct slice *s, int64_t *out)
{
    size_t n = 0;
    int64_t v = 0;

    while (n < s->n && ascii_is_digit(s->p[n])) {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s->p[n] - '0', &v)) {
            return false;
        }
        n++;
    }
    *out = v;
    *s = slice_from(*s, n);
    return n > 0;
}

/* "a-b", "a-", "-n". false: malformed. An unsatisfiable one is left out. */
static bool
parse_one(struct pool *pool, struct slice s, int64_t size, struct ranges *rs)
{
    int64_t from = 0;
    int64_t to = size - 1;
    bool suffix;

    skip_blanks(&s);
    suffix = s.n > 0 && s.p[0] == '-';
    if (!suffix && !take_number(&s, &from)) {
        return false;
    }
    skip_blanks(&s);
    if (s.n == 0 || s.p[0] != '-') {
        return false;
    }
    s = slice_from(s, 1);
    skip_blanks(&s);
    if (s.n > 0 || suffix) {
        if (!take_number(&s, &to)) {
            return false;
        }
        skip_blanks(&s);
        if (s.n > 0) {
            return false;
        }
    }
    if (suffix) {
        from = to < size ? size - to : 0;
        to = size - 1;
    } else if (to >= size) {
        to = size - 1;
    }
    if (from <= to && from < size) {
        struct range *r = VEC_PUSH(&rs->list, pool);

        r->from = from;
        r->to = to + 1;
    } else if (!suffix && from > to && from < size) {
        return false;
    }
    return true;
}

static enum range_result
parse_ranges(struct http_request *r, struct slice value, struct ranges *rs)
{
    int64_t size = r->out.content_length;
    int64_t left = http_core_loc(r)->max_ranges;
    int64_t total = 0;
    struct slice part;

    if (!slice_case_starts(value, SLICE("bytes=")) || value.n == 6) {
        return RANGES_IGNORE;
    }
    value = slice_from(value, 6);
    while (slice_split(&value, ',', &part)) {
        if (!parse_one(r->pool, part, size, rs)) {
            return RANGES_BAD;
        }
        if (left >= 0 && left-- == 0) {
            return RANGES_IGNORE;
        }
    }
    for (size_t i = 0; i < rs->list.n; i++) {
        total += rs->list.items[i].to - rs->list.items[i].from;
    }
    if (rs->list.n == 0) {
        return RANGES_BAD;
    }
    return total > size ? RANGES_IGNORE : RANGES_OK; /* overlapping ones cost more than all */
}

/* If-Range, RFC 9110 section 13.1.5: the same entity as the client has? */
static bool
if_range_holds(struct http_request *r)
{
    struct slice v = http_header_value(&r->in.all, HTTP_H_IF_RANGE);
    time_t t;

    if (v.p == NULL) {
        return true;
    }
    if (v.n >= 2 && v.p[v.n - 1] == '"') {
        return r->out.etag.n > 0 && slice_eq(v, r->out.etag);
    }
    return r->out.last_modified >= 0 && time_parse_http(v, &t) && t == r->out.last_modified;
}

/* --- body -------------------------------------------------------------------------------------------------- */

/* Cut [from, to) of what has been counted out of a buf that begins at `at`. */
static struct buf *
cut(struct http_request *r, const struct buf *b, int64_t at, int64_t from, int64_t to)
{
    int64_t skip = MAX(from - at, (int64_t)0);
    int64_t end = MIN((int64_t)buf_len(b), to - at);

    if (skip >= end) {
        return NULL;
    }
    struct buf *c = POOL_NEW(r->pool, struct buf);

    *c = *b;
    c->release = NULL;
    c->last_buf = false;
    if (c->in_file) {
        c->file_last = c->file_pos + end;
        c->file_pos += skip;
    } else {
        c->last = c->pos + end;
        c->pos += skip;
    }
    return c;
}

static enum http_out
single_filter(struct http_request *r, struct http_body_filter *f, struct chain *in)
{
    struct ranges *rs = f->data;
    const struct range *range = &rs->list.items[0];
    struct chain out;
    struct buf *b;

    chain_init(&out);
    while ((b = chain_pop(in)) != NULL) {
        int64_t len = (int64_t)buf_len(b);
        int64_t skip = MIN(MAX(range->from - rs->at, (int64_t)0), len);
        int64_t end = MAX(MIN(range->to - rs->at, len), skip);

        rs->at += len;
        if (b->in_file) {
            b->file_last = b->file_pos + end;
            b->file_pos += skip;
        } else {
            b->last = b->pos + end;
            b->pos += skip;
        }
        if (end > skip || b->last_buf) {
            chain_push(&out, b);
        } else if (b->release != NULL) {
            b->release(b);
        }
    }
    return http_next_filter(r, f, &out);
}

/* Parts may come in any order, so the body is held until it is whole; what allows ranges is in memory
 * or in a file already. */
static enum http_out
multi_filter(struct http_request *r, struct http_body_filter *f, struct chain *in)
{
    struct ranges *rs = f->data;
    struct chain out;
    bool last = false;

    for (const struct buf *b = in->head; b != NULL; b = b->next) {
        last |= b->last_buf;
    }
    chain_move(&rs->held, in);
    if (!last) {
        return HTTP_OUT_DONE;
    }
    chain_init(&out);
    for (size_t i = 0; i < rs->list.n; i++) {
        const struct range *range = &rs->list.items[i];
        int64_t at = 0;

        chain_push(&out, buf_wrap(r->pool, range->head));
        for (const struct buf *b = rs->held.head; b != NULL; b = b->next) {
            struct buf *c = cut(r, b, at, range->from, range->to);

            at += (int64_t)buf_len(b);
            if (c != NULL) {
                chain_push(&out, c);
            }
        }
    }
    struct buf *end = buf_wrap(r->pool, rs->end);

    end->last_buf = true;
    chain_push(&out, end);
    return http_next_filter(r, f, &out);
}

/* --- head -------------------------------------------------------------------------------------------------- */

static void
add_content_range(struct http_request *r, struct slice value)
{
    http_header_add(r, &r->out.all, HTTP_H_CONTENT_RANGE, SLICE("Content-Range"), value);
}

static void
make_single(struct http_request *r, struct ranges *rs)
{
    const struct range *range = &rs->list.items[0];

    add_content_range(r, pool_printf(r->pool, "bytes %lld-%lld/%lld", (long long)range->from,
                                     (long long)range->to - 1,
                                     (long long)r->out.content_length));
    r->out.content_length = range->to - range->from;
    http_add_filter(r, HTTP_FILTER_RANGE, single_filter, rs);
}

static void
make_multi(struct http_request *r, struct ranges *rs)
{
    struct slice type = r->out.content_type;
    uint64_t boundary = 0;
    int64_t length = 0;

    if (getrandom(&boundary, sizeof(boundary), 0) < 0) {
        boundary = (uint64_t)clock_wall_ms();
    }
    boundary %= 10000000000ULL;
    for (size_t i = 0; i < rs->list.n; i++) {
        struct range *range = &rs->list.items[i];

        range->head = pool_printf(
            r->pool,
            "\r\n--%020llu\r\n%s%.*s%s%.*s%sContent-Range: bytes %lld-%lld/%lld\r\n\r\n",
            (unsigned long long)boundary, type.n > 0 ? "Content-Type: " : "", SLICE_ARG(type),
            type.n > 0 && r->out.charset.n > 0 ? "; charset=" : "",
            type.n > 0 ? (int)r->out.charset.n : 0, r->out.charset.p == NULL ? "" : r->out.charset.p,
            type.n > 0 ? "\r\n" : "", (long long)range->from, (long long)range->to - 1,
            (long long)r->out.content_length);
        length += (int64_t)range->head.n + range->to - range->from;
    }
    rs->end = pool_printf(r->pool, "\r\n--%020llu--\r\n", (unsigned long long)boundary);
    r->out.content_type = pool_printf(r->pool, "multipart/byteranges; boundary=%020llu",
                                      (unsigned long long)boundary);
    r->out.charset = SLICE_NONE;
    r->out.content_length = length + (int64_t)rs->end.n;
    chain_init(&rs->held);
    http_add_filter(r, HTTP_FILTER_RANGE, multi_filter, rs);
}

static bool
range_filter(struct http_request *r)
{
    struct slice value = http_header_value(&r->in.all, HTTP_H_RANGE);

    if (!r->ranges_allowed || r->out.status != 200 || r->out.content_length < 0 || r != r->main) {
        return true;
    }
    if (http_core_loc(r)->max_ranges == 0) {
        return true;
    }
    if (value.p != NULL && r->out.content_length > 0 && if_range_holds(r)) {
        struct ranges *rs = POOL_NEW(r->pool, struct ranges);

        switch (parse_ranges(r, value, rs)) {
        case RANGES_IGNORE:
            break;
        case RANGES_BAD:
            add_content_range(r, pool_printf(r->pool, "bytes */%lld",
                                             (long long)r->out.content_length));
            r->replace_status = 416;
            return true;
        case RANGES_OK:
            r->out.status = 206;
            r->out.status_line = SLICE_NONE;
            if (rs->list.n == 1) {
                make_single(r, rs);
            } else {
                make_multi(r, rs);
            }
            return true;
        }
    }
    http_header_set(r, &r->out.all, HTTP_H_ACCEPT_RANGES, SLICE("Accept-Ranges"), SLICE("bytes"));
    return true;
}

const struct http_module http_range_module = {
    .conf = { .name = "http_range", .id = CONF_MODULE_ID },
    .header_filter = range_filter,
};
