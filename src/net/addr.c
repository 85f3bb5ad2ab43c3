/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/addr.h"

#include "base/num.h"
#include "base/pool.h"

#include <arpa/inet.h>
#include <netdb.h>

uint16_t
addr_port(const struct addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return ntohs(a->in4.sin_port);
    case AF_INET6:
        return ntohs(a->in6.sin6_port);
    default:
        return 0;
    }
}

void
addr_set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET) {
        a->in4.sin_port = htons(port);
    } else if (a->sa.sa_family == AF_INET6) {
        a->in6.sin6_port = htons(port);
    }
}

static size_t
print_ip4(const struct addr *a, char *p)
{
    uint32_t ip = ntohl(a->in4.sin_addr.s_addr);
    char *at = p;

    for (int shift = 24; shift >= 0; shift -= 8) {
        at = num_write_u(at, ip >> shift & 0xff);
        *at++ = '.';
    }
    return (size_t)(at - p) - 1;
}

size_t
addr_print(const struct addr *a, bool with_port, char *p)
{
    size_t n = 0;

    switch (a->sa.sa_family) {
    case AF_INET:
        n = print_ip4(a, p);
        break;
    case AF_INET6:
        if (with_port) {
            p[n++] = '[';
        }
        inet_ntop(AF_INET6, &a->in6.sin6_addr, p + n, INET6_ADDRSTRLEN);
        n += strlen(p + n);
        if (with_port) {
            p[n++] = ']';
        }
        break;
    default: {
        size_t path_n = a->len > offsetof(struct sockaddr_un, sun_path)
                            ? strnlen(a->un.sun_path, sizeof(a->un.sun_path))
                            : 0;

        memcpy(p, "unix:", 5);
        memcpy(p + 5, a->un.sun_path, path_n);
        return 5 + path_n;
    }
    }
    if (with_port) {
        p[n++] = ':';
        n = (size_t)(num_write_u(p + n, addr_port(a)) - p);
    }
    return n;
}

struct slice
addr_text(struct pool *pool, const struct addr *a, bool with_port)
{
    char buf[ADDR_TEXT_MAX];

    return pool_copy(pool, slice_of(buf, addr_print(a, with_port, buf)));
}

struct slice
addr_binary(const struct addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return slice_of(&a->in4.sin_addr, 4);
    case AF_INET6:
        return slice_of(&a->in6.sin6_addr, 16);
    default:
        return slice_of(a->un.sun_path, strnlen(a->un.sun_path, sizeof(a->un.sun_path)));
    }
}

bool
addr_eq(const struct addr *a, const struct addr *b, bool with_port)
{
    return a->sa.sa_family == b->sa.sa_family && slice_eq(addr_binary(a), addr_binary(b)) &&
           (!with_port || addr_port(a) == addr_port(b));
}

bool
addr_parse_ip(struct slice s, struct addr *out)
{
    char buf[INET6_ADDRSTRLEN + 1];

    memset(out, 0, sizeof(*out));
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
        s = slice_of(s.p + 1, s.n - 2);
    }
    if (s.n == 0 || s.n >= sizeof(buf)) {
        return false;
    }
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    if (inet_pton(AF_INET, buf, &out->in4.sin_addr) == 1) {
        out->in4.sin_family = AF_INET;
        out->len = sizeof(out->in4);
        return true;
    }
    if (inet_pton(AF_INET6, buf, &out->in6.sin6_addr) == 1) {
        out->in6.sin6_family = AF_INET6;
        out->len = sizeof(out->in6);
        return true;
    }
    return false;
}

/* --- specs -------------------------------------------------------------------------------------------- */

static bool
parse_port(struct slice s, uint16_t *port)
{
    int64_t v;

    if (!num_parse(s, &v) || v < 1 || v > 65535) {
        return false;
    }
    *port = (uint16_t)v;
    return true;
}

static bool
spec_unix(struct slice s, bool uri_part, struct addr_spec *out, const char **error)
{
    struct slice path = slice_from(s, 5);

    if (uri_part) { /* unix:/path:/uri */
        ssize_t colon = slice_chr(path, ':');

        if (colon >= 0) {
            out->rest = slice_from(path, (size_t)colon + 1);
            path = slice_head(path, (size_t)colon);
        }
    }
    if (path.n == 0) {
        *error = "no path in the unix domain socket";
        return false;
    }
    if (path.n >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        *error = "too long path in the unix domain socket";
        return false;
    }
    out->is_unix = true;
    out->host = path;
    return true;
}

static bool
spec_ip6(struct slice s, struct addr_spec *out, const char **error)
{
    ssize_t close = slice_chr(s, ']');
    struct addr a;

    if (close < 0) {
        *error = "invalid host";
        return false;
    }
    out->host = slice_of(s.p + 1, (size_t)close - 1);
    if (!addr_parse_ip(out->host, &a) || a.sa.sa_family != AF_INET6) {
        *error = "invalid IPv6 address";
        return false;
    }
    out->wildcard = IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr);
    s = slice_from(s, (size_t)close + 1);
    if (s.n == 0) {
        return true;
    }
    if (s.p[0] != ':' || !parse_port(slice_from(s, 1), &out->port)) {
        *error = "invalid port";
        return false;
    }
    out->has_port = true;
    return true;
}

bool
addr_spec_parse(struct slice s, uint16_t default_port, bool uri_part, struct addr_spec *out,
                const char **error)
{
    *out = (struct addr_spec){ .port = default_port, .host = SLICE(""), .rest = SLICE("") };
    if (slice_case_starts(s, SLICE("unix:"))) {
        return spec_unix(s, uri_part, out, error);
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '/' || (s.p[i] == '?' && uri_part)) {
            if (!uri_part) {
                *error = "invalid host";
                return false;
            }
            out->rest = slice_from(s, i);
            s = slice_head(s, i);
            break;
        }
    }
    if (s.n > 0 && s.p[0] == '[') {
        return spec_ip6(s, out, error);
    }
    ssize_t colon = slice_rchr(s, ':');

    if (colon < 0 && !uri_part && s.n > 0 && strspn(s.p, "0123456789") >= s.n) {
        out->wildcard = true; /* only a port */
        out->has_port = true;
        *error = "invalid port";
        return parse_port(s, &out->port);
    }
    if (colon >= 0) {
        out->has_port = true;
        if (!parse_port(slice_from(s, (size_t)colon + 1), &out->port)) {
            *error = "invalid port";
            return false;
        }
        s = slice_head(s, (size_t)colon);
    }
    if (s.n == 0) {
        *error = "no host";
        return false;
    }
    out->wildcard = slice_eq(s, SLICE("*")) || slice_eq(s, SLICE("0.0.0.0"));
    out->host = out->wildcard ? SLICE("") : s;
    return true;
}

static struct addr *
resolve_name(struct pool *pool, const struct addr_spec *spec, size_t *n, const char **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    struct addr *out = NULL;

    if (getaddrinfo(pool_str(pool, spec->host), NULL, &hints, &list) != 0) {
        *error = "host not found";
        return NULL;
    }
    *n = 0;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        (*n)++;
    }
    out = POOL_ARRAY(pool, struct addr, *n);
    *n = 0;
    for (int pass = 0; pass < 2; pass++) { /* IPv4 first, as nginx */
        for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
            if ((ai->ai_family == AF_INET) == (pass == 0) && ai->ai_addrlen <= sizeof(out->ss)) {
                struct addr *a = &out[(*n)++];

                memcpy(&a->ss, ai->ai_addr, ai->ai_addrlen);
                a->len = ai->ai_addrlen;
                addr_set_port(a, spec->port);
            }
        }
    }
    freeaddrinfo(list);
    return out;
}

struct addr *
addr_resolve(struct pool *pool, const struct addr_spec *spec, bool passive UNUSED, size_t *n,
             const char **error)
{
    struct addr *a = POOL_NEW(pool, struct addr);

    *n = 1;
    if (spec->is_unix) {
        a->un.sun_family = AF_UNIX;
        memcpy(a->un.sun_path, spec->host.p, spec->host.n);
        a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + spec->host.n + 1);
        return a;
    }
    if (spec->wildcard && spec->host.n == 0) {
        a->in4.sin_family = AF_INET;
        a->len = sizeof(a->in4);
    } else if (!addr_parse_ip(spec->host, a)) {
        return resolve_name(pool, spec, n, error);
    }
    addr_set_port(a, spec->port);
    return a;
}

/* --- CIDR ---------------------------------------------------------------------------------------------- */

enum cidr_result
cidr_parse(struct slice s, struct cidr *out)
{
    ssize_t slash = slice_chr(s, '/');
    struct addr a;
    int64_t bits;

    memset(out, 0, sizeof(*out));
    if (slice_eq(s, SLICE("unix:"))) {
        out->family = AF_UNIX;
        return CIDR_OK;
    }
    if (!addr_parse_ip(slash < 0 ? s : slice_head(s, (size_t)slash), &a)) {
        return CIDR_BAD;
    }
    struct slice binary = addr_binary(&a);

    out->family = a.sa.sa_family;
    memcpy(out->addr, binary.p, binary.n);
    out->bits = (uint8_t)(binary.n * 8);
    if (slash < 0) {
        return CIDR_OK;
    }
    if (!num_parse(slice_from(s, (size_t)slash + 1), &bits) || bits > out->bits) {
        return CIDR_BAD;
    }
    out->bits = (uint8_t)bits;
    bool low = false;

    for (size_t i = 0; i < binary.n; i++) {
        int keep = (int)bits - (int)i * 8;
        uint8_t mask = keep >= 8 ? 0xff : keep <= 0 ? 0 : (uint8_t)(0xff << (8 - keep));

        low |= (out->addr[i] & ~mask) != 0;
        out->addr[i] &= mask;
    }
    return low ? CIDR_LOW_BITS : CIDR_OK;
}

bool
cidr_match(const struct cidr *c, const struct addr *a)
{
    struct slice binary = addr_binary(a);
    struct addr v4;

    if (c->family == AF_UNIX || a->sa.sa_family == AF_UNIX) {
        return c->family == a->sa.sa_family;
    }
    if (c->family == AF_INET && a->sa.sa_family == AF_INET6 &&
        IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
        memset(&v4, 0, sizeof(v4));
        v4.in4.sin_family = AF_INET;
        memcpy(&v4.in4.sin_addr, binary.p + 12, 4);
        return cidr_match(c, &v4);
    }
    if (c->family != a->sa.sa_family) {
        return false;
    }
    size_t whole = c->bits / 8;
    uint8_t mask = (uint8_t)(0xff << (8 - c->bits % 8));

    return memcmp(c->addr, binary.p, whole) == 0 &&
           (c->bits % 8 == 0 || (c->addr[whole] & mask) == ((uint8_t)binary.p[whole] & mask));
}
