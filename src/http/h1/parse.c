/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads are parsed a line at a time: a line is looked at when its line feed is there (found by
 * memchr, which the C library vectorises), so resuming is a matter of remembering where the line
 * began. A bare LF ends a line in a head, as RFC 9112 section 2.2 allows; a bare CR never does.
 */
#include "http/h1/parse.h"

#include "base/check.h"

/* enum http_header_id without http.h, which stands above the parser. */
enum header_id {
    ID_OTHER,
#define H(id, name, flags) ID_##id,
#include "http/headers.def"
#undef H
    ID_COUNT,
};

static const char *const known_names[ID_COUNT] = {
    [ID_OTHER] = "",
#define H(id, name, flags) [ID_##id] = name,
#include "http/headers.def"
#undef H
};

#define KNOWN_SLOTS 512

static uint16_t known_table[KNOWN_SLOTS];

static uint32_t
known_hash(struct slice name)
{
    uint32_t first = (unsigned char)(name.p[0] | 0x20);
    uint32_t last = (unsigned char)(name.p[name.n - 1] | 0x20);
    uint32_t mid = (unsigned char)(name.p[name.n / 2] | 0x20);

    return (uint32_t)(name.n * 37 + first * 7 + last * 61 + mid * 131) % KNOWN_SLOTS;
}

static void
fill_known(void)
{
    for (uint16_t id = 1; id < ID_COUNT; id++) {
        uint32_t at = known_hash(slice_str(known_names[id]));

        while (known_table[at] != 0) {
            at = (at + 1) % KNOWN_SLOTS;
        }
        known_table[at] = id;
    }
}

uint16_t
h1_known_header(struct slice name)
{
    static bool filled;

    if (UNLIKELY(!filled)) {
        fill_known();
        filled = true;
    }
    if (name.n < 2) {
        return 0;
    }
    for (uint32_t at = known_hash(name); known_table[at] != 0; at = (at + 1) % KNOWN_SLOTS) {
        const char *known = known_names[known_table[at]];

        if (slice_case_eq(name, slice_str(known))) {
            return known_table[at];
        }
    }
    return 0;
}

/* --- bytes ---------------------------------------------------------------------------------------- */

enum byte_class {
    B_METHOD = 1, /* A-Z _ - */
    B_NAME = 2, /* letters, digits, "-": a header name nobody objects to */
    B_TOKEN = 4, /* may stand in a header name at all (others are refused) */
    B_TARGET = 8, /* may stand in a request target */
    B_COMPLEX = 16, /* a target with it must be normalised */
    B_HOST = 32,
};

static unsigned char classes[256];

static void
fill_classes(void)
{
    for (int c = 0; c < 256; c++) {
        bool upper = c >= 'A' && c <= 'Z';
        bool alnum = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        unsigned k = 0;

        k |= upper || c == '_' || c == '-' ? B_METHOD : 0;
        k |= alnum || c == '-' ? B_NAME : 0;
        k |= c > 0x20 && c != 0x7f && c != ':' ? B_TOKEN : 0;
        k |= c > 0x20 && c != 0x7f ? B_TARGET : 0;
        k |= c == '%' || c == '#' ? B_COMPLEX : 0;
        k |= alnum || c == '-' || c == '.' ? B_HOST : 0;
        classes[c] = (unsigned char)k;
    }
}

static bool
is(char c, unsigned class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

static void
init(void)
{
    if (UNLIKELY(classes['A'] == 0)) {
        fill_classes();
    }
}

/* --- lines ---------------------------------------------------------------------------------------- */

/* The line at p->pos without its end: true and pos behind it; false: not complete. */
static bool
take_line(struct h1_parser *p, const char *buf, uint32_t n, struct slice *line)
{
    const char *lf = p->pos < n ? memchr(buf + p->pos, '\n', n - p->pos) : NULL;

    if (lf == NULL) {
        return false;
    }
    uint32_t end = (uint32_t)(lf - buf);

    p->line_at = p->pos;
    p->pos = end + 1;
    if (end > p->line_at && buf[end - 1] == '\r') {
        end--;
    }
    *line = slice_of(buf + p->line_at, end - p->line_at);
    return true;
}

static enum parse_result
bad(struct h1_parser *p, enum h1_bad why, uint32_t at)
{
    p->why = why;
    p->bad_at = at;
    return PARSE_BAD;
}

static struct h1_span
span(const char *buf, struct slice s)
{
    return (struct h1_span){ .at = (uint32_t)(s.p - buf), .n = (uint32_t)s.n };
}

/* --- request line --------------------------------------------------------------------------------- */

/* "HTTP/" major "." minor, blanks behind it. */
static enum h1_bad
parse_version(struct slice v, struct h1_request_line *line)
{
    if (!slice_starts(v, SLICE("HTTP/"))) {
        return H1_BAD_REQUEST_LINE;
    }
    v = slice_from(v, 5);
    while (v.n > 0 && v.p[v.n - 1] == ' ') {
        v.n--;
    }
    if (v.n < 1 || v.p[0] < '1' || v.p[0] > '9') {
        return H1_BAD_REQUEST_LINE;
    }
    unsigned major = 0;
    unsigned minor = 0;
    size_t i = 0;

    for (; i < v.n && ascii_is_digit(v.p[i]) && major < 100; i++) {
        major = major * 10 + (unsigned)(v.p[i] - '0');
    }
    if (major > 1) {
        return i < v.n && v.p[i] == '.' ? H1_BAD_VERSION_UNSUPPORTED : H1_BAD_REQUEST_LINE;
    }
    if (i + 1 >= v.n || v.p[i] != '.') {
        return H1_BAD_REQUEST_LINE;
    }
    for (i++; i < v.n; i++) {
        if (!ascii_is_digit(v.p[i])) {
            return H1_BAD_REQUEST_LINE;
        }
        minor = MIN(minor * 10 + (unsigned)(v.p[i] - '0'), 99u);
    }
    line->major = (uint8_t)major;
    line->minor = (uint8_t)minor;
    return H1_BAD_NONE;
}

/* host [":" port] up to "/", "?", "#" or the end. Returns what follows; p == NULL when malformed. */
static struct slice
take_authority(const char *buf, struct slice s, struct h1_request_line *line)
{
    size_t i = 0;

    if (s.n > 0 && s.p[0] == '[') {
        while (i < s.n && s.p[i] != ']') {
            i++;
        }
        i++;
    } else {
        while (i < s.n && is(s.p[i], B_HOST)) {
            i++;
        }
    }
    if (i == 0 || i > s.n) {
        return SLICE_NONE;
    }
    line->host = span(buf, slice_head(s, i));
    s = slice_from(s, i);
    if (s.n > 0 && s.p[0] == ':') {
        for (i = 1; i < s.n && ascii_is_digit(s.p[i]); i++) {
        }
        line->port = span(buf, slice_of(s.p + 1, i - 1));
        s = slice_from(s, i);
    }
    bool ends = s.n == 0 || s.p[0] == '/' || s.p[0] == '?' || s.p[0] == '#';

    return ends ? s : SLICE_NONE;
}

/* RFC 9112 section 3.2: origin-form or absolute-form; authority-form only to say 405. */
static enum h1_bad
parse_target(const char *buf, struct slice t, struct h1_request_line *line)
{
    if (t.n > 0 && t.p[0] == '/') {
        line->path = span(buf, t);
        return H1_BAD_NONE;
    }
    ssize_t colon = slice_chr(t, ':');
    bool letter = t.n > 0 && ascii_lower(t.p[0]) >= 'a' && ascii_lower(t.p[0]) <= 'z';

    if (colon <= 0 || !letter || !slice_starts(slice_from(t, (size_t)colon), SLICE("://"))) {
        return H1_BAD_REQUEST_LINE;
    }
    line->schema = span(buf, slice_head(t, (size_t)colon));
    struct slice rest = take_authority(buf, slice_from(t, (size_t)colon + 3), line);

    if (rest.p == NULL) {
        return H1_BAD_REQUEST_LINE;
    }
    line->path = span(buf, rest);
    return H1_BAD_NONE;
}

/* Every byte allowed? Notes what makes normalising necessary. */
static bool
check_target(struct slice t, struct h1_request_line *line)
{
    char prev = 0;

    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (!is(c, B_TARGET)) {
            return false;
        }
        if (is(c, B_COMPLEX) || (prev == '/' && (c == '/' || c == '.'))) {
            line->complex_uri = true;
        }
        prev = c;
    }
    return true;
}

static enum parse_result
parse_request(struct h1_parser *p, const char *buf, struct slice line)
{
    struct h1_request_line *rl = &p->line;
    size_t i = 0;

    while (i < line.n && is(line.p[i], B_METHOD)) {
        i++;
    }
    if (i == 0 || i >= line.n || line.p[i] != ' ') {
        return bad(p, H1_BAD_METHOD, p->line_at + (uint32_t)MIN(i + 1, line.n));
    }
    rl->method = span(buf, slice_head(line, i));
    struct slice rest = slice_from(line, i);

    while (rest.n > 0 && rest.p[0] == ' ') {
        rest = slice_from(rest, 1);
    }
    ssize_t blank = slice_chr(rest, ' ');
    struct slice target = blank < 0 ? rest : slice_head(rest, (size_t)blank);

    rest = blank < 0 ? slice_from(rest, rest.n) : slice_from(rest, (size_t)blank);
    while (rest.n > 0 && rest.p[0] == ' ') {
        rest = slice_from(rest, 1);
    }
    rl->target = span(buf, target);
    if (target.n == 0 || !check_target(target, rl)) {
        return bad(p, H1_BAD_REQUEST_LINE, p->line_at + (uint32_t)line.n);
    }
    enum h1_bad why = H1_BAD_NONE;

    if (slice_eq(h1_span_of(buf, rl->method), SLICE("CONNECT")) && target.p[0] != '/') {
        rl->path = span(buf, slice_of(target.p, 0)); /* 405 by the caller */
    } else {
        why = parse_target(buf, target, rl);
    }
    if (why == H1_BAD_NONE && rest.n == 0) {
        rl->minor = 9;
        return PARSE_DONE;
    }
    rl->protocol = span(buf, rest);
    why = why == H1_BAD_NONE ? parse_version(rest, rl) : why;
    return why == H1_BAD_NONE ? PARSE_DONE : bad(p, why, p->line_at + (uint32_t)line.n);
}

enum parse_result
h1_parse_request_line(struct h1_parser *p, const char *buf, uint32_t n)
{
    struct slice line;

    init();
    for (;;) {
        if (p->pos < n && buf[p->pos] != '\r' && buf[p->pos] != '\n' &&
            !is(buf[p->pos], B_METHOD)) {
            p->line_at = p->pos;
            return bad(p, H1_BAD_METHOD, p->pos + 1); /* said at once: it may be TLS */
        }
        if (!take_line(p, buf, n, &line)) {
            return PARSE_MORE;
        }
        if (line.n > 0) {
            break;
        }
    }
    return parse_request(p, buf, line);
}

/* --- status line ------------------------------------------------------------------------------------ */

enum parse_result
h1_parse_status_line(struct h1_parser *p, const char *buf, uint32_t n)
{
    struct slice line;

    init();
    if (n - p->pos >= 5 && memcmp(buf + p->pos, "HTTP/", 5) != 0) {
        return bad(p, H1_BAD_STATUS_LINE, p->pos);
    }
    if (!take_line(p, buf, n, &line)) {
        return PARSE_MORE;
    }
    struct slice s = slice_from(line, 5);
    size_t i = 0;
    unsigned v[3] = { 0 };

    if (!slice_starts(line, SLICE("HTTP/"))) {
        return bad(p, H1_BAD_STATUS_LINE, p->line_at);
    }
    for (int part = 0; part < 3; part++) { /* major "." minor SP status */
        size_t from = i;

        while (i < s.n && ascii_is_digit(s.p[i]) && i - from < 3) {
            v[part] = v[part] * 10 + (unsigned)(s.p[i++] - '0');
        }
        if (i == from) {
            return bad(p, H1_BAD_STATUS_LINE, p->line_at);
        }
        if (part == 2) {
            break;
        }
        char sep = part == 0 ? '.' : ' ';

        if (i >= s.n || s.p[i] != sep) {
            return bad(p, H1_BAD_STATUS_LINE, p->line_at);
        }
        while (i < s.n && s.p[i] == sep) {
            i++;
        }
    }
    bool ends = i == s.n || s.p[i] == ' ' || s.p[i] == '.';

    if (!ends || v[2] < 100 || v[0] > 99 || v[1] > 99) {
        return bad(p, H1_BAD_STATUS_LINE, p->line_at);
    }
    p->major = (uint8_t)v[0];
    p->minor = (uint8_t)v[1];
    p->status = (uint16_t)v[2];
    p->reason = span(buf, slice_from(s, MIN(i + 1, s.n)));
    return PARSE_DONE;
}

/* --- header lines ----------------------------------------------------------------------------------- */

static bool
value_is_clean(struct slice v, size_t *at)
{
    const char *nul = v.n == 0 ? NULL : memchr(v.p, '\0', v.n);
    const char *cr = v.n == 0 ? NULL : memchr(v.p, '\r', v.n);

    if (nul == NULL && cr == NULL) {
        return true;
    }
    const char *first = nul == NULL || (cr != NULL && cr < nul) ? cr : nul;

    *at = (size_t)(first - v.p);
    return false;
}

static enum parse_result
parse_header(struct h1_parser *p, const char *buf, struct slice line, struct h1_header *h)
{
    size_t i = 0;
    size_t at;

    *h = (struct h1_header){ 0 };
    while (i < line.n && is(line.p[i], B_NAME)) {
        i++;
    }
    while (i < line.n && line.p[i] != ':') {
        if (!is(line.p[i], B_TOKEN)) {
            return bad(p, H1_BAD_HEADER, p->line_at + (uint32_t)i + 1);
        }
        h->invalid = h->invalid || (!is(line.p[i], B_NAME) && line.p[i] != '_');
        h->underscore = h->underscore || line.p[i] == '_';
        i++;
    }
    if (i == 0) {
        return bad(p, H1_BAD_HEADER, p->line_at + 1);
    }
    h->name = span(buf, slice_head(line, i));
    struct slice value = slice_from(line, MIN(i + 1, line.n));

    if (!value_is_clean(value, &at)) {
        return bad(p, H1_BAD_HEADER, (uint32_t)(value.p - buf) + (uint32_t)at + 1);
    }
    if (i >= line.n) { /* no colon: no header at all; dropped by every caller */
        h->invalid = true;
        h->value = span(buf, slice_of(line.p + line.n, 0));
        return PARSE_DONE;
    }
    h->value = span(buf, slice_trim(value));
    if (!h->invalid && !h->underscore) {
        h->known = h1_known_header(h1_span_of(buf, h->name));
    }
    return PARSE_DONE;
}

enum parse_result
h1_parse_headers(struct h1_parser *p, const char *buf, uint32_t n, bool response, h1_header_fn fn,
                 void *arg)
{
    struct slice line;
    struct h1_header h;

    init();
    while (take_line(p, buf, n, &line)) {
        if (line.n == 0) {
            return PARSE_DONE;
        }
        if (parse_header(p, buf, line, &h) == PARSE_BAD) {
            return PARSE_BAD;
        }
        if (response && h.value.n == 0 && h.invalid) {
            continue;
        }
        if (!fn(arg, &h)) {
            return bad(p, H1_BAD_TOO_MANY, p->pos);
        }
    }
    return PARSE_MORE;
}
