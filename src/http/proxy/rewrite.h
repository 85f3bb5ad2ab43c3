/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header plans and value rewriting of the proxy: what goes upstream instead of the client's headers,
 * what comes back, Location and Refresh (proxy_redirect), Set-Cookie (proxy_cookie_*).
 */
#pragma once

#include "base/hash.h"
#include "http/http.h"

struct regex;
struct http_exchange;
struct proxy_conf;
struct proxy_target;

struct slice_list {
    struct slice *items;
    size_t n;
    size_t cap;
};
struct template_list {
    struct template **items;
    size_t n;
    size_t cap;
};

/* --- requests -------------------------------------------------------------------------------- */

struct proxy_set_header {
    struct slice name;
    struct template *value;
    uint16_t id;
};
struct proxy_header_list {
    struct proxy_set_header *items;
    size_t n;
    size_t cap;
};

#define HEADER_BITS_WORDS ((HTTP_H_COUNT + 63) / 64)

struct proxy_plan_line {
    struct slice fixed; /* whole constant lines, CRLF included; else name and value below */
    struct slice name;
    struct template *value;
    uint16_t id;
};

/* Compiled from proxy_set_header: one pass over the client's headers with a bitmap of known names
 * and a small table for others. */
struct proxy_header_plan {
    uint64_t drop[HEADER_BITS_WORDS]; /* known names that are set or never forwarded */
    struct hash *drop_other; /* NULL: none */
    struct template *host; /* NULL: $proxy_host */
    struct {
        struct proxy_plan_line *items;
        size_t n;
        size_t cap;
    } lines;
    bool sets_content_length;
    bool sets_transfer_encoding;
    bool sets_upgrade; /* Upgrade or Connection are explicit: no automatic WebSocket */
    bool sets_connection;
    size_t fixed_n; /* bytes of constant lines, a hint */
};

struct proxy_header_plan *proxy_plan_compile(struct pool *pool,
                                             const struct proxy_header_list *set);
static inline bool
proxy_plan_drops(const struct proxy_header_plan *plan, const struct http_header *h)
{
    if (h->id != HTTP_H_OTHER) {
        return (plan->drop[h->id / 64] >> (h->id % 64) & 1) != 0;
    }
    return plan->drop_other != NULL && hash_get(plan->drop_other, h->name) != NULL;
}

/* --- responses ------------------------------------------------------------------------------- */

struct proxy_response_plan {
    uint64_t hide[HEADER_BITS_WORDS];
    struct hash *hide_other;
    bool pass_server;
    bool pass_date;
};
struct proxy_response_plan *proxy_response_plan_compile(struct pool *pool,
                                                        const struct slice_list *hide,
                                                        const struct slice_list *pass);
static inline bool
proxy_response_hides(const struct proxy_response_plan *plan, const struct http_header *h)
{
    if (h->id != HTTP_H_OTHER) {
        return (plan->hide[h->id / 64] >> (h->id % 64) & 1) != 0;
    }
    return plan->hide_other != NULL && hash_get(plan->hide_other, h->name) != NULL;
}

/* proxy_redirect; prefix with variables, or a regular expression. */
struct proxy_redirect {
    struct template *prefix;
    struct regex *regex;
    struct template *replacement;
};
struct proxy_redirects {
    struct proxy_redirect *items;
    size_t n;
    size_t cap;
    bool given; /* any proxy_redirect: without one, `default` holds */
    bool off;
    bool with_default; /* in the place it was written, counted from the front */
    size_t default_at;
};
/* A value of Location (whole) or the URL of a Refresh; false: unchanged. */
MUST_USE bool proxy_rewrite_redirect(struct http_request *r, const struct proxy_redirects *rd,
                                     const struct proxy_target *target, struct slice value,
                                     struct slice *out);
MUST_USE bool proxy_rewrite_refresh(struct http_request *r, const struct proxy_redirects *rd,
                                    const struct proxy_target *target, struct slice value,
                                    struct slice *out);

/* proxy_cookie_domain, proxy_cookie_path. */
struct proxy_cookie_rule {
    struct template *from;
    struct regex *regex;
    struct template *to;
};
struct proxy_cookie_rules {
    struct proxy_cookie_rule *items;
    size_t n;
    size_t cap;
    bool off;
};

enum cookie_flag {
    COOKIE_SECURE = 1 << 0,
    COOKIE_NO_SECURE = 1 << 1,
    COOKIE_HTTPONLY = 1 << 2,
    COOKIE_NO_HTTPONLY = 1 << 3,
    COOKIE_SAMESITE_STRICT = 1 << 4,
    COOKIE_SAMESITE_LAX = 1 << 5,
    COOKIE_SAMESITE_NONE = 1 << 6,
    COOKIE_NO_SAMESITE = 1 << 7,
};
struct proxy_cookie_flag_rule {
    struct template *cookie;
    struct regex *regex;
    struct template_list flags; /* words of cookie_flag, may be variables */
};
struct proxy_cookie_flags_list {
    struct proxy_cookie_flag_rule *items;
    size_t n;
    size_t cap;
    bool off;
};
/* false: unchanged. */
MUST_USE bool proxy_rewrite_cookie(struct http_request *r, const struct proxy_cookie_rules *domains,
                                   const struct proxy_cookie_rules *paths,
                                   const struct proxy_cookie_flags_list *flags,
                                   struct slice value, struct slice *out);
