/* SPDX-License-Identifier: BSD-2-Clause */
/* Request URIs: decode, dot segments, slashes, arguments (RFC 3986 sections 5.2.4, 6.2), escaping. */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;

struct uri {
    struct slice path; /* decoded and normalised; starts with "/" */
    struct slice args; /* raw, without "?" and fragment */
    struct slice ext; /* after the last "." of the last segment; empty when none */
    bool has_args; /* there was a "?" with something behind it... as $is_args wants it */
};

/*
 * Normalise a request's path (with query and fragment). `buf` has room for target.n bytes.
 * false: invalid percent-encoding, NUL, "..": above the root (400).
 */
MUST_USE bool uri_normalise(struct slice target, bool merge_slashes, char *buf, struct uri *out);
/* The same for a target that needs no decoding (h1_request_line.complex_uri is false): only splits. */
void uri_plain(struct slice target, struct uri *out);
struct slice uri_extension(struct slice path);
/* For internal redirects, X-Accel-Redirect, try_files, rewrite: is this decoded path safe (no "/../", no NUL)?
 * Splits "?args" off. */
MUST_USE bool uri_split_internal(struct slice text, struct uri *out);
/* Decode %HH in place-compatible copy; "?" ends it when stop_at_query. */
struct slice uri_unescape(struct pool *pool, struct slice s, bool stop_at_query);

/* Which bytes uri_escape() encodes. */
enum uri_escape {
    URI_ESCAPE_PATH, /* what goes upstream for a normalised uri, and Location of directory redirects */
    URI_ESCAPE_ARGS,
    URI_ESCAPE_COMPONENT, /* all but unreserved */
    URI_ESCAPE_REDIRECT, /* rewrite ... redirect */
};
/* s itself when nothing needs escaping. */
struct slice uri_escape(struct pool *pool, struct slice s, enum uri_escape kind);
/* The value of argument `name` (case-insensitive, raw); false when absent. */
bool uri_arg(struct slice args, struct slice name, struct slice *value);
