/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of bytes that somebody else owns, passed by value. Never assumes a NUL at its end.
 * Comparison without case is ASCII only, as HTTP and DNS want it.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(lit) ((struct slice){ .p = "" lit, .n = sizeof(lit) - 1 })
/* The same for static initialisers. */
#define SLICE_INIT(lit)                                                                            \
    {                                                                                              \
        .p = "" lit, .n = sizeof(lit) - 1                                                          \
    }
#define SLICE_NONE ((struct slice){ .p = NULL, .n = 0 })
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice
slice_of(const void *p, size_t n)
{
    return (struct slice){ .p = p, .n = n };
}

static inline struct slice
slice_str(const char *s)
{
    return (struct slice){ .p = s, .n = strlen(s) };
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline struct slice
slice_from(struct slice s, size_t at)
{
    return at >= s.n ? slice_of(s.p + s.n, 0) : slice_of(s.p + at, s.n - at);
}

static inline struct slice
slice_head(struct slice s, size_t n)
{
    return slice_of(s.p, n < s.n ? n : s.n);
}

bool slice_case_eq(struct slice a, struct slice b);
/* Order of memcmp, the shorter first among equals; <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
int slice_case_cmp(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_case_starts(struct slice s, struct slice prefix);
/* Index of the first/last `c`, or -1. */
ssize_t slice_chr(struct slice s, char c);
ssize_t slice_rchr(struct slice s, char c);
/* Index of the first `needle`, or -1. */
ssize_t slice_find(struct slice s, struct slice needle);
ssize_t slice_case_find(struct slice s, struct slice needle);
/* Without blanks (SP, HTAB) at either end. */
struct slice slice_trim(struct slice s);
/* Take what stands before the first `sep` off the front of *rest and step over the separator;
 * false when *rest is used up (p == NULL). "a,,b" gives "a", "", "b". */
bool slice_split(struct slice *rest, char sep, struct slice *part);

static inline char
ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool
ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Value of a hex digit, or -1. */
static inline int
ascii_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char l = (char)(c | 0x20);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}
