/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing, finding and cutting runs of bytes. */
#include "base/slice.h"

bool
slice_case_eq(struct slice a, struct slice b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

int
slice_cmp(struct slice a, struct slice b)
{
    size_t n = MIN(a.n, b.n);
    int rc = n == 0 ? 0 : memcmp(a.p, b.p, n);

    if (rc != 0) {
        return rc;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

int
slice_case_cmp(struct slice a, struct slice b)
{
    size_t n = MIN(a.n, b.n);

    for (size_t i = 0; i < n; i++) {
        int d = (unsigned char)ascii_lower(a.p[i]) - (unsigned char)ascii_lower(b.p[i]);

        if (d != 0) {
            return d;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

bool
slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq(slice_head(s, prefix.n), prefix);
}

bool
slice_ends(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq(slice_from(s, s.n - suffix.n), suffix);
}

bool
slice_case_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_case_eq(slice_head(s, prefix.n), prefix);
}

ssize_t
slice_chr(struct slice s, char c)
{
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

    return at == NULL ? -1 : at - s.p;
}

ssize_t
slice_rchr(struct slice s, char c)
{
    const char *at = s.n == 0 ? NULL : memrchr(s.p, c, s.n);

    return at == NULL ? -1 : at - s.p;
}

ssize_t
slice_find(struct slice s, struct slice needle)
{
    const char *at = s.n == 0 ? NULL : memmem(s.p, s.n, needle.p, needle.n);

    return at == NULL ? -1 : at - s.p;
}

ssize_t
slice_case_find(struct slice s, struct slice needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++) {
        if (slice_case_eq(slice_of(s.p + i, needle.n), needle)) {
            return (ssize_t)i;
        }
    }
    return -1;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice
slice_trim(struct slice s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s = slice_from(s, 1);
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool
slice_split(struct slice *rest, char sep, struct slice *part)
{
    if (rest->p == NULL) {
        return false;
    }
    ssize_t at = slice_chr(*rest, sep);

    if (at < 0) {
        *part = *rest;
        *rest = SLICE_NONE;
        return true;
    }
    *part = slice_head(*rest, (size_t)at);
    *rest = slice_from(*rest, (size_t)at + 1);
    return true;
}
