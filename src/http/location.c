/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Location lookup, nginx's rules: an exact name wins at once; else the longest prefix, then what is
 * nested in it, then, unless it is "^~", the regular expressions of this level in the order of the
 * file. The radix tree's nodes carry a label; a lookup compares each byte of the uri once.
 */
#include "http/location.h"

#include "base/hash.h"
#include "expr/regex.h"

struct radix {
    struct slice label;
    struct http_location *loc; /* a prefix ends here */
    struct radix *children; /* first of a list ordered by first byte while building ... */
    struct radix *next;
    struct radix **by_byte; /* ... and an array of n_children afterwards */
    unsigned char *bytes;
    uint32_t n_children;
};

struct location_table {
    struct hash *exact;
    struct hash *named;
    struct hash *redirects; /* "/x" -> location "/x/" */
    struct radix *root;
    VEC(struct http_location *) regexes;
    VEC(struct http_location *) all;
};

struct location_table *
location_table_new(struct pool *pool)
{
    struct location_table *t = POOL_NEW(pool, struct location_table);

    t->exact = hash_new(pool, false);
    t->named = hash_new(pool, false);
    t->redirects = hash_new(pool, false);
    t->root = POOL_NEW(pool, struct radix);
    return t;
}

static size_t
common_prefix(struct slice a, struct slice b)
{
    size_t n = MIN(a.n, b.n);
    size_t i = 0;

    while (i < n && a.p[i] == b.p[i]) {
        i++;
    }
    return i;
}

static struct radix *
new_node(struct pool *pool, struct slice label, struct radix *children, struct http_location *loc)
{
    struct radix *node = POOL_NEW(pool, struct radix);

    node->label = label;
    node->children = children;
    node->loc = loc;
    return node;
}

/* Where the child for `c` is, or would be put: the list is ordered by first byte. */
static struct radix **
child_place(struct radix *node, char c)
{
    struct radix **at = &node->children;

    while (*at != NULL && (unsigned char)(*at)->label.p[0] < (unsigned char)c) {
        at = &(*at)->next;
    }
    return at;
}

static bool
radix_add(struct pool *pool, struct radix *node, struct slice name, struct http_location *loc)
{
    for (;;) {
        if (name.n == 0) {
            bool is_new = node->loc == NULL;

            node->loc = is_new ? loc : node->loc;
            return is_new;
        }
        struct radix **at = child_place(node, name.p[0]);
        struct radix *child = *at;

        if (child == NULL || child->label.p[0] != name.p[0]) {
            struct radix *leaf = new_node(pool, name, NULL, loc);

            leaf->next = child;
            *at = leaf;
            return true;
        }
        size_t n = common_prefix(child->label, name);

        if (n < child->label.n) { /* split the edge */
            struct radix *below =
                new_node(pool, slice_from(child->label, n), child->children, child->loc);

            child->label = slice_head(child->label, n);
            child->children = below;
            child->loc = NULL;
        }
        name = slice_from(name, n);
        node = child;
    }
}

/* Turn the building lists into arrays that a lookup searches by byte. Depth is bounded by the
 * length of a configuration word (4096). */
static void
radix_finish(struct pool *pool, struct radix *node)
{
    for (struct radix *c = node->children; c != NULL; c = c->next) {
        node->n_children++;
    }
    if (node->n_children == 0) {
        return;
    }
    node->by_byte = POOL_ARRAY(pool, struct radix *, node->n_children);
    node->bytes = (unsigned char *)pool_bytes(pool, node->n_children);
    uint32_t i = 0;

    for (struct radix *c = node->children; c != NULL; c = c->next, i++) {
        node->by_byte[i] = c;
        node->bytes[i] = (unsigned char)c->label.p[0];
        radix_finish(pool, c);
    }
}

static const struct radix *
radix_child(const struct radix *node, char c)
{
    uint32_t lo = 0;
    uint32_t hi = node->n_children;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (node->bytes[mid] < (unsigned char)c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    bool hit = lo < node->n_children && node->bytes[lo] == (unsigned char)c;

    return hit ? node->by_byte[lo] : NULL;
}

static struct http_location *
radix_longest(const struct radix *node, struct slice uri)
{
    struct http_location *best = node->loc;

    while (uri.n > 0) {
        node = radix_child(node, uri.p[0]);
        if (node == NULL || !slice_starts(uri, node->label)) {
            break;
        }
        uri = slice_from(uri, node->label.n);
        best = node->loc != NULL ? node->loc : best;
    }
    return best;
}

bool
location_table_add(struct location_table *t, struct pool *pool, struct http_location *loc)
{
    *VEC_PUSH(&t->all, pool) = loc;
    switch (loc->kind) {
    case HTTP_LOC_REGEX:
        *VEC_PUSH(&t->regexes, pool) = loc;
        return true;
    case HTTP_LOC_NAMED: /* the first of several wins, as in nginx */
        if (hash_get(t->named, loc->name) == NULL) {
            hash_put(t->named, loc->name, loc);
        }
        return true;
    case HTTP_LOC_EXACT:
        return hash_put(t->exact, loc->name, loc) == NULL;
    case HTTP_LOC_PREFIX:
    case HTTP_LOC_NO_REGEX:
        return radix_add(pool, t->root, loc->name, loc);
    case HTTP_LOC_UNNAMED:
        break;
    }
    return true;
}

void
location_table_finish(struct location_table *t, struct pool *pool)
{
    radix_finish(pool, t->root);
    VEC_EACH (struct http_location *, at, &t->all) {
        struct http_location *loc = *at;
        bool prefix = loc->kind == HTTP_LOC_PREFIX || loc->kind == HTTP_LOC_NO_REGEX;

        if (prefix && loc->auto_redirect && loc->name.n > 1) {
            hash_put(t->redirects, slice_head(loc->name, loc->name.n - 1), loc);
        }
    }
}

static enum location_match
find_regex(const struct location_table *t, struct http_request *r, struct http_location **found)
{
    VEC_EACH (struct http_location *, at, &t->regexes) {
        switch (regex_match((*at)->regex, r->uri, &r->vars)) {
        case REGEX_NO_MATCH:
            break;
        case REGEX_FAILED:
            return LOCATION_FAILED;
        case REGEX_MATCH:
            *found = *at;
            if ((*at)->inner != NULL) {
                enum location_match inner = location_find((*at)->inner, r, found);

                return inner == LOCATION_NONE ? LOCATION_FOUND : inner;
            }
            return LOCATION_FOUND;
        }
    }
    return LOCATION_NONE;
}

/* Does the location come from a regular expression (then outer expressions are not asked)? */
static bool
is_final(const struct http_location *loc)
{
    return loc->kind == HTTP_LOC_REGEX || loc->kind == HTTP_LOC_EXACT;
}

enum location_match
location_find(const struct location_table *t, struct http_request *r, struct http_location **found)
{
    struct http_location *loc = hash_get(t->exact, r->uri);

    if (loc != NULL) {
        *found = loc;
        return LOCATION_FOUND;
    }
    loc = radix_longest(t->root, r->uri);
    if (hash_count(t->redirects) > 0 && (loc == NULL || loc->name.n < r->uri.n)) {
        struct http_location *slash = hash_get(t->redirects, r->uri);

        if (slash != NULL) {
            *found = slash;
            return LOCATION_REDIRECT;
        }
    }
    if (loc != NULL) {
        *found = loc;
        if (loc->inner != NULL) {
            enum location_match inner = location_find(loc->inner, r, found);
            bool done = inner == LOCATION_REDIRECT || inner == LOCATION_FAILED ||
                        (inner == LOCATION_FOUND && is_final(*found));

            if (done) {
                return inner;
            }
        }
        if (loc->kind == HTTP_LOC_NO_REGEX) {
            return LOCATION_FOUND;
        }
    }
    enum location_match re = find_regex(t, r, found);

    return re == LOCATION_NONE && loc != NULL ? LOCATION_FOUND : re;
}

struct http_location *
location_find_named(const struct location_table *t, struct slice name)
{
    return t == NULL ? NULL : hash_get(t->named, name);
}

void
location_each(const struct location_table *t,
              enum conf_result (*fn)(void *arg, struct http_location *loc), void *arg)
{
    VEC_EACH (struct http_location *, at, &t->all) {
        if (fn(arg, *at) == CONF_ERROR) {
            return;
        }
    }
}
