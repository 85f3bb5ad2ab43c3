/* SPDX-License-Identifier: BSD-2-Clause */
/* Request URIs; the tables of behaviour are in the unit test. */
#include "http/uri.h"

#include "base/pool.h"

static struct slice
extension(struct slice path)
{
    for (size_t i = path.n; i > 0; i--) {
        if (path.p[i - 1] == '/') {
            break;
        }
        if (path.p[i - 1] == '.') {
            /* "/.hidden" has none, as in nginx */
            return i >= 2 && path.p[i - 2] == '/' ? SLICE("") : slice_from(path, i);
        }
    }
    return SLICE("");
}

/* The segment that ends at *n is complete: resolve "." and "..". false: above the root. */
static bool
end_segment(const char *buf, size_t *n)
{
    size_t from = *n;

    while (buf[from - 1] != '/') {
        from--;
    }
    size_t len = *n - from;

    if (len == 1 && buf[from] == '.') {
        *n = from;
    } else if (len == 2 && buf[from] == '.' && buf[from + 1] == '.') {
        if (from == 1) {
            return false;
        }
        from--; /* the slash before ".." */
        while (buf[from - 1] != '/') {
            from--;
        }
        *n = from;
    } else {
        return true;
    }
    return true;
}

/* Was the segment at the end of buf a dot one? Then its slash is there already. */
static bool
add_slash(char *buf, size_t *n, bool merge)
{
    size_t before = *n;

    if (*n > 0 && !end_segment(buf, n)) {
        return false;
    }
    bool resolved = *n != before;
    bool after_slash = *n > 0 && buf[*n - 1] == '/';

    if (!resolved && !(after_slash && merge)) {
        buf[(*n)++] = '/';
    }
    return true;
}

bool
uri_normalise(struct slice target, bool merge_slashes, char *buf, struct uri *out)
{
    size_t n = 0;
    size_t i = 0;

    *out = (struct uri){ .args = SLICE("") };
    for (; i < target.n && target.p[i] != '?' && target.p[i] != '#'; i++) {
        char c = target.p[i];

        if (c == '%') {
            int hi = i + 2 < target.n ? ascii_hex(target.p[i + 1]) : -1;
            int lo = i + 2 < target.n ? ascii_hex(target.p[i + 2]) : -1;

            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
            if (c == '\0') {
                return false;
            }
        }
        if (c == '/') {
            if (!add_slash(buf, &n, merge_slashes)) {
                return false;
            }
        } else {
            buf[n++] = c;
        }
    }
    if (n == 0 || buf[0] != '/' || !end_segment(buf, &n)) {
        return false;
    }
    out->path = slice_of(buf, n);
    out->ext = extension(out->path);
    if (i < target.n && target.p[i] == '?') {
        struct slice args = slice_from(target, i + 1);
        ssize_t hash = slice_chr(args, '#');

        out->args = hash < 0 ? args : slice_head(args, (size_t)hash);
        out->has_args = out->args.n > 0;
    }
    return true;
}

void
uri_plain(struct slice target, struct uri *out)
{
    ssize_t q = slice_chr(target, '?');

    out->path = q < 0 ? target : slice_head(target, (size_t)q);
    out->args = q < 0 ? SLICE("") : slice_from(target, (size_t)q + 1);
    out->has_args = out->args.n > 0;
    out->ext = extension(out->path);
}

bool
uri_split_internal(struct slice text, struct uri *out)
{
    uri_plain(text, out);
    struct slice rest = out->path;
    struct slice segment;

    if (memchr(text.p, '\0', text.n) != NULL) {
        return false;
    }
    while (slice_split(&rest, '/', &segment)) {
        if (slice_eq(segment, SLICE(".."))) {
            return false;
        }
    }
    return true;
}

struct slice
uri_extension(struct slice path)
{
    return extension(path);
}

struct slice
uri_unescape(struct pool *pool, struct slice s, bool stop_at_query)
{
    if (slice_chr(s, '%') < 0) {
        return s;
    }
    char *p = pool_bytes(pool, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int hi = i + 2 < s.n && s.p[i] == '%' ? ascii_hex(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? ascii_hex(s.p[i + 2]) : -1;

        if (stop_at_query && s.p[i] == '?') {
            memcpy(p + n, s.p + i, s.n - i);
            n += s.n - i;
            break;
        }
        if (lo >= 0) {
            p[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            p[n++] = s.p[i];
        }
    }
    return slice_of(p, n);
}

static bool
must_escape(unsigned char c, enum uri_escape kind)
{
    if (c <= 0x20 || c >= 0x7f) {
        return true;
    }
    switch (kind) {
    case URI_ESCAPE_PATH:
        return strchr("%?#\"<>\\^`{|}", c) != NULL;
    case URI_ESCAPE_REDIRECT:
        return c == '%' || c == '?' || c == '#';
    case URI_ESCAPE_ARGS:
        return c == '%' || c == '&' || c == '+' || c == '#' || c == '?' || c == ';';
    case URI_ESCAPE_COMPONENT: {
        char l = ascii_lower((char)c);

        return !((l >= 'a' && l <= 'z') || ascii_is_digit((char)c) ||
                 strchr("-._~", c) != NULL);
    }
    }
    return true;
}

struct slice
uri_escape(struct pool *pool, struct slice s, enum uri_escape kind)
{
    size_t extra = 0;

    for (size_t i = 0; i < s.n; i++) {
        extra += must_escape((unsigned char)s.p[i], kind) ? 2 : 0;
    }
    if (extra == 0) {
        return s;
    }
    char *p = pool_bytes(pool, s.n + extra);
    char *at = p;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (must_escape(c, kind)) {
            *at++ = '%';
            *at++ = "0123456789ABCDEF"[c >> 4];
            *at++ = "0123456789ABCDEF"[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return slice_of(p, (size_t)(at - p));
}

bool
uri_arg(struct slice args, struct slice name, struct slice *value)
{
    struct slice part;

    while (slice_split(&args, '&', &part)) {
        if (part.n > name.n && part.p[name.n] == '=' &&
            slice_case_eq(slice_head(part, name.n), name)) {
            *value = slice_from(part, name.n + 1);
            return true;
        }
    }
    return false;
}
