/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers, sizes and times as configurations and protocols write them. */
#include "base/num.h"

bool
num_parse(struct slice s, int64_t *out)
{
    int64_t v = 0;

    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit(s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s.p[i] - '0', &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

bool
num_parse_hex(struct slice s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 16) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        int digit = ascii_hex(s.p[i]);

        if (digit < 0) {
            return false;
        }
        v = v << 4 | (unsigned)digit;
    }
    *out = v;
    return true;
}

bool
num_parse_size(struct slice s, int64_t *bytes)
{
    int64_t scale = 1;

    if (s.n == 0) {
        return false;
    }
    switch (s.p[s.n - 1] | 0x20) {
    case 'k':
        scale = 1024;
        break;
    case 'm':
        scale = 1024 * 1024;
        break;
    case 'g':
        scale = 1024 * 1024 * 1024;
        break;
    default:
        return num_parse(s, bytes);
    }
    int64_t v;

    return num_parse(slice_head(s, s.n - 1), &v) && !__builtin_mul_overflow(v, scale, bytes);
}

/* Units in falling order; a time may use each at most once, in this order. */
static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "y", 365LL * 24 * 3600 * 1000 }, { "M", 30LL * 24 * 3600 * 1000 },
    { "w", 7LL * 24 * 3600 * 1000 },   { "d", 24LL * 3600 * 1000 },
    { "h", 3600LL * 1000 },            { "m", 60LL * 1000 },
    { "s", 1000 },                     { "ms", 1 },
};

/* The unit at the front of s; its index, or -1. *n: its length. */
static int
take_unit(struct slice s, size_t *n)
{
    *n = slice_starts(s, SLICE("ms")) ? 2 : 1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_eq(slice_head(s, *n), slice_str(units[i].name))) {
            return (int)i;
        }
    }
    return -1;
}

bool
num_parse_time(struct slice s, bool seconds_only, int64_t *ms)
{
    int64_t total = 0;
    int last = -1;
    bool any = false;

    while (s.n > 0) {
        size_t digits = 0;
        int64_t v;

        while (digits < s.n && ascii_is_digit(s.p[digits])) {
            digits++;
        }
        if (!num_parse(slice_head(s, digits), &v)) {
            return false;
        }
        s = slice_from(s, digits);
        int unit = 6; /* seconds */
        size_t n = 0;

        if (s.n > 0 && s.p[0] != ' ') {
            unit = take_unit(s, &n);
        }
        if (unit <= last || (seconds_only && unit == 7)) {
            return false;
        }
        s = slice_from(s, n);
        while (s.n > 0 && s.p[0] == ' ') {
            s = slice_from(s, 1);
        }
        if (n == 0 && s.n > 0 && last != -1) {
            return false;
        }
        if (__builtin_mul_overflow(v, units[unit].ms, &v) ||
            __builtin_add_overflow(total, v, &total)) {
            return false;
        }
        last = unit;
        any = true;
    }
    *ms = total;
    return any;
}

bool
num_parse_fixed(struct slice s, unsigned digits, int64_t *out)
{
    ssize_t dot = slice_chr(s, '.');
    struct slice whole = dot < 0 ? s : slice_head(s, (size_t)dot);
    struct slice part = dot < 0 ? SLICE("") : slice_from(s, (size_t)dot + 1);
    int64_t v;

    if (part.n > digits || (dot >= 0 && part.n == 0) || !num_parse(whole, &v)) {
        return false;
    }
    for (unsigned i = 0; i < digits; i++) {
        char c = i < part.n ? part.p[i] : '0';

        if (!ascii_is_digit(c) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, c - '0', &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

char *
num_write_u(char *p, uint64_t v)
{
    char tmp[NUM_MAX_LEN];
    size_t n = 0;

    do {
        tmp[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0) {
        *p++ = tmp[--n];
    }
    return p;
}

char *
num_write(char *p, int64_t v)
{
    if (v < 0) {
        *p++ = '-';
        return num_write_u(p, -(uint64_t)v);
    }
    return num_write_u(p, (uint64_t)v);
}

char *
num_write_hex(char *p, uint64_t v)
{
    char tmp[16];
    size_t n = 0;

    do {
        tmp[n++] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v > 0);
    while (n > 0) {
        *p++ = tmp[--n];
    }
    return p;
}
