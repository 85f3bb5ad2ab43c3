/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditional requests, RFC 9110 section 13: If-Match, If-Unmodified-Since, If-None-Match,
 * If-Modified-Since, in the order of section 13.2.2, for 200 responses of our own making. */
#include "base/time.h"
#include "http/core.h"
#include "http/http.h"
#include "http/mod/mod.h"

static struct slice
strip_weak(struct slice tag)
{
    return slice_starts(tag, SLICE("W/")) ? slice_from(tag, 2) : tag;
}

/* Is the etag in the list? `weak`: the weak comparison of section 8.8.3.2. */
static bool
etag_listed(struct slice list, struct slice etag, bool weak)
{
    struct slice part;

    if (slice_eq(slice_trim(list), SLICE("*"))) {
        return true;
    }
    if (etag.n == 0 || (!weak && slice_starts(etag, SLICE("W/")))) {
        return false;
    }
    while (slice_split(&list, ',', &part)) {
        part = slice_trim(part);
        if (weak ? slice_eq(strip_weak(part), strip_weak(etag)) : slice_eq(part, etag)) {
            return true;
        }
    }
    return false;
}

static bool
unmodified_since(const struct http_request *r, struct slice date)
{
    time_t t;

    return r->out.last_modified >= 0 && time_parse_http(date, &t) && r->out.last_modified <= t;
}

static bool
modified_since(const struct http_request *r, struct slice date)
{
    const struct http_core_loc *clcf = http_core_loc(r);
    time_t t;

    if (r->out.last_modified < 0 || clcf->if_modified_since == HTTP_IMS_OFF ||
        !time_parse_http(date, &t)) {
        return true;
    }
    if (r->out.last_modified == t) {
        return false;
    }
    return clcf->if_modified_since == HTTP_IMS_EXACT || t < r->out.last_modified;
}

static bool
become(struct http_request *r, int status)
{
    r->out.status = status;
    r->out.status_line = SLICE_NONE;
    r->ranges_allowed = false;
    if (status == 304) {
        r->out.content_length = -1;
        r->out.content_type = SLICE_NONE;
    }
    return true;
}

static bool
not_modified_filter(struct http_request *r)
{
    const struct http_headers *in = &r->in.all;
    struct slice v;

    if (!r->in.has_if_headers || r->out.status != 200 || r != r->main ||
        r->upstream != NULL) {
        return true;
    }
    v = http_header_value(in, HTTP_H_IF_UNMODIFIED_SINCE);
    if (v.p != NULL && !unmodified_since(r, v)) {
        r->replace_status = 412;
        return true;
    }
    v = http_header_value(in, HTTP_H_IF_MATCH);
    if (v.p != NULL && !etag_listed(v, r->out.etag, false)) {
        r->replace_status = 412;
        return true;
    }
    struct slice since = http_header_value(in, HTTP_H_IF_MODIFIED_SINCE);
    struct slice none = http_header_value(in, HTTP_H_IF_NONE_MATCH);

    if (none.p == NULL && since.p == NULL) {
        return true;
    }
    if (since.p != NULL && modified_since(r, since)) {
        return true;
    }
    if (none.p != NULL && !etag_listed(none, r->out.etag, true)) {
        return true;
    }
    return become(r, 304);
}

const struct http_module http_not_modified_module = {
    .conf = { .name = "http_not_modified", .id = CONF_MODULE_ID },
    .header_filter = not_modified_filter,
};
