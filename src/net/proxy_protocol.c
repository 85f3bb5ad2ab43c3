/* SPDX-License-Identifier: BSD-2-Clause */
/* The header is peeked at until it is whole, so that nothing behind it is taken from the socket. */
#include "net/proxy_protocol.h"

#include "base/num.h"
#include "base/pool.h"

#include <errno.h>
#include <unistd.h>

#define V1_MAX 107
#define V2_HEAD 16
#define V2_MAX 4096

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool
set_addr(struct slice ip, struct slice port, struct addr *out)
{
    int64_t v;

    if (!addr_parse_ip(ip, out) || !num_parse(port, &v) || v > 65535) {
        return false;
    }
    addr_set_port(out, (uint16_t)v);
    return true;
}

static ssize_t
parse_v1(struct slice s, struct proxy_protocol *out)
{
    ssize_t lf = slice_find(slice_head(s, V1_MAX), SLICE("\r\n"));
    struct slice part[6];
    size_t n = 0;

    if (lf < 0) {
        return s.n >= V1_MAX ? -1 : 0;
    }
    struct slice rest = slice_head(s, (size_t)lf);

    while (n < ARRAY_LEN(part) && slice_split(&rest, ' ', &part[n])) {
        n++;
    }
    if (n >= 2 && slice_eq(part[1], SLICE("UNKNOWN"))) {
        out->known = false;
        return lf + 2;
    }
    if (n != 6 || rest.p != NULL || !slice_starts(part[1], SLICE("TCP")) ||
        !set_addr(part[2], part[4], &out->src) || !set_addr(part[3], part[5], &out->dst)) {
        return -1;
    }
    out->known = true;
    return lf + 2;
}

static void
v2_addr(const unsigned char *ip, size_t ip_n, const unsigned char *port, struct addr *a)
{
    memset(a, 0, sizeof(*a));
    if (ip_n == 4) {
        a->in4.sin_family = AF_INET;
        memcpy(&a->in4.sin_addr, ip, 4);
        a->len = sizeof(a->in4);
    } else {
        a->in6.sin6_family = AF_INET6;
        memcpy(&a->in6.sin6_addr, ip, 16);
        a->len = sizeof(a->in6);
    }
    addr_set_port(a, (uint16_t)(port[0] << 8 | port[1]));
}

static ssize_t
parse_v2(struct slice s, struct proxy_protocol *out)
{
    const unsigned char *p = (const unsigned char *)s.p;

    if (s.n < V2_HEAD) {
        return 0;
    }
    size_t len = (size_t)p[14] << 8 | p[15];
    size_t ip_n = p[13] >> 4 == 1 ? 4 : p[13] >> 4 == 2 ? 16 : 0;

    if (p[12] >> 4 != 2 || (p[12] & 15) > 1 || V2_HEAD + len > V2_MAX) {
        return -1;
    }
    if (s.n < V2_HEAD + len) {
        return 0;
    }
    out->known = (p[12] & 15) == 1 && ip_n > 0 && len >= 2 * ip_n + 4;
    if (out->known) {
        const unsigned char *a = p + V2_HEAD;

        v2_addr(a, ip_n, a + 2 * ip_n, &out->src);
        v2_addr(a + ip_n, ip_n, a + 2 * ip_n + 2, &out->dst);
    }
    return (ssize_t)(V2_HEAD + len);
}

ssize_t
proxy_protocol_parse(const char *p, size_t n, struct proxy_protocol *out)
{
    struct slice s = slice_of(p, n);

    memset(out, 0, sizeof(*out));
    if (n == 0) {
        return 0;
    }
    if (p[0] == 'P') {
        size_t common = MIN(n, (size_t)6);

        return memcmp(p, "PROXY ", common) != 0 ? -1 : parse_v1(s, out);
    }
    size_t common = MIN(n, sizeof(v2_signature));

    return memcmp(p, v2_signature, common) != 0 ? -1 : parse_v2(s, out);
}

bool
proxy_protocol_take(struct conn *c, bool *pending)
{
    char buf[V2_MAX];
    ssize_t n = recv(c->lf.fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN) {
        c->can_read = false;
        return false;
    }
    struct proxy_protocol *pp = mem_zalloc(sizeof(*pp));
    ssize_t used = n <= 0 ? -1 : proxy_protocol_parse(buf, (size_t)n, pp);

    if (used <= 0) {
        mem_free(pp);
        if (used == 0 && !c->peer_closed) {
            c->can_read = false;
            return false;
        }
        size_t line = 0;

        while (n > 0 && line < (size_t)n && line < 80 && buf[line] != '\r' && buf[line] != '\n') {
            line++;
        }
        log_error(&c->log, LOG_LVL_ERR, 0, "broken header: \"%.*s\" while reading PROXY protocol",
                  (int)line, buf);
        c->broken = true;
        return false;
    }
    if (recv(c->lf.fd, buf, (size_t)used, 0) != used) {
        mem_free(pp);
        c->broken = true;
        return false;
    }
    c->proxy_protocol = pp;
    *pending = false;
    return true;
}
