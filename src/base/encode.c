/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/encode.h"

#include <stdio.h>

/* Write the encoding of c at p (at most 6 bytes); returns its length, 0: c itself. */
typedef size_t (*encode_fn)(unsigned char c, char *p);

static size_t
html(unsigned char c, char *p)
{
    const char *s = c == '&'    ? "&amp;"
                    : c == '<'  ? "&lt;"
                    : c == '>'  ? "&gt;"
                    : c == '"'  ? "&quot;"
                    : c == '\'' ? "&#39;"
                                : "";
    size_t n = strlen(s);

    memcpy(p, s, n);
    return n;
}

static size_t
json(unsigned char c, char *p)
{
    static const char short_forms[] = "\"\"\\\\\nn\rr\tt\bb\ff";

    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if (c == (unsigned char)short_forms[i]) {
            p[0] = '\\';
            p[1] = short_forms[i + 1];
            return 2;
        }
    }
    return c < 0x20 ? (size_t)snprintf(p, 7, "\\u%04X", c) : 0;
}

static size_t
log_value(unsigned char c, char *p)
{
    bool plain = c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';

    return plain ? 0 : (size_t)snprintf(p, 7, "\\x%02X", c);
}

static struct slice
encode(struct pool *pool, struct slice s, encode_fn fn)
{
    char tmp[8];
    size_t extra = 0;

    for (size_t i = 0; i < s.n; i++) {
        size_t n = fn((unsigned char)s.p[i], tmp);

        extra += n > 0 ? n - 1 : 0;
    }
    if (extra == 0) {
        bool same = true;

        for (size_t i = 0; same && i < s.n; i++) {
            same = fn((unsigned char)s.p[i], tmp) == 0;
        }
        if (same) {
            return s;
        }
    }
    char *p = pool_bytes(pool, s.n + extra);
    char *at = p;

    for (size_t i = 0; i < s.n; i++) {
        size_t n = fn((unsigned char)s.p[i], tmp);

        if (n == 0) {
            *at++ = s.p[i];
        } else {
            memcpy(at, tmp, n);
            at += n;
        }
    }
    return slice_of(p, (size_t)(at - p));
}

struct slice
encode_html(struct pool *pool, struct slice s)
{
    return encode(pool, s, html);
}

struct slice
encode_json(struct pool *pool, struct slice s)
{
    return encode(pool, s, json);
}

struct slice
encode_log(struct pool *pool, struct slice s)
{
    return encode(pool, s, log_value);
}

struct slice
encode_hex(struct pool *pool, struct slice s)
{
    char *p = pool_bytes(pool, s.n * 2);

    for (size_t i = 0; i < s.n; i++) {
        p[2 * i] = "0123456789abcdef"[(unsigned char)s.p[i] >> 4];
        p[2 * i + 1] = "0123456789abcdef"[s.p[i] & 15];
    }
    return slice_of(p, s.n * 2);
}

static int
base64_value(char c, bool url)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (ascii_is_digit(c)) {
        return c - '0' + 52;
    }
    if (c == (url ? '-' : '+')) {
        return 62;
    }
    return c == (url ? '_' : '/') ? 63 : -1;
}

bool
decode_base64(struct pool *pool, struct slice s, bool url, struct slice *out)
{
    while (s.n > 0 && s.p[s.n - 1] == '=') {
        s.n--;
    }
    if (s.n % 4 == 1) {
        return false;
    }
    char *p = pool_bytes(pool, s.n + 1);
    size_t n = 0;
    unsigned acc = 0;
    int bits = 0;

    for (size_t i = 0; i < s.n; i++) {
        int v = base64_value(s.p[i], url);

        if (v < 0) {
            return false;
        }
        acc = acc << 6 | (unsigned)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            p[n++] = (char)(acc >> bits & 0xff);
        }
    }
    *out = slice_of(p, n);
    return true;
}

size_t
utf8_length(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}
