/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header lists. A list keeps the order of arrival; known names carry an id, so that looking one up
 * is a comparison of small integers. Removing a header hides it: nothing moves, pointers stay good.
 */
#include "http/h1/parse.h"
#include "http/http.h"

static const struct slice header_names[HTTP_H_COUNT] = {
    [HTTP_H_OTHER] = SLICE_INIT(""),
#define H(id, name, flags) [HTTP_H_##id] = SLICE_INIT(name),
#include "http/headers.def"
#undef H
};

struct slice
http_header_name_of(enum http_header_id id)
{
    return header_names[id];
}

enum http_header_id
http_header_id_of(struct slice name)
{
    return (enum http_header_id)h1_known_header(name);
}

struct http_header *
http_header_find(const struct http_headers *hs, enum http_header_id id)
{
    for (size_t i = 0; i < hs->n; i++) {
        if (hs->items[i].id == id && !hs->items[i].hidden) {
            return &hs->items[i];
        }
    }
    return NULL;
}

struct http_header *
http_header_find_name(const struct http_headers *hs, struct slice name)
{
    for (size_t i = 0; i < hs->n; i++) {
        if (!hs->items[i].hidden && slice_case_eq(hs->items[i].name, name)) {
            return &hs->items[i];
        }
    }
    return NULL;
}

struct slice
http_header_value(const struct http_headers *hs, enum http_header_id id)
{
    const struct http_header *h = http_header_find(hs, id);

    return h == NULL ? SLICE_NONE : h->value;
}

/* Room for eight in the beginning: most requests and responses never grow the list twice. */
static struct http_header *
grow(struct pool *pool, struct http_headers *hs)
{
    if (hs->n == hs->cap) {
        size_t cap = hs->cap == 0 ? 8 : hs->cap * 2;
        struct http_header *items = pool_alloc(pool, cap * sizeof(*items));

        if (hs->n > 0) {
            memcpy(items, hs->items, hs->n * sizeof(*items));
        }
        hs->items = items;
        hs->cap = cap;
    }
    return &hs->items[hs->n++];
}

struct http_header *
http_header_add(struct http_request *r, struct http_headers *hs, enum http_header_id id,
                struct slice name, struct slice value)
{
    struct http_header *h = grow(r->pool, hs);

    *h = (struct http_header){ .name = name, .value = value };
    h->id = (uint16_t)(id == HTTP_H_OTHER ? http_header_id_of(name) : id);
    return h;
}

void
http_header_set(struct http_request *r, struct http_headers *hs, enum http_header_id id,
                struct slice name, struct slice value)
{
    bool placed = value.n == 0;

    if (id == HTTP_H_OTHER) {
        id = http_header_id_of(name);
    }
    for (size_t i = 0; i < hs->n; i++) {
        struct http_header *h = &hs->items[i];

        if (h->hidden || h->id != id || (id == HTTP_H_OTHER && !slice_case_eq(h->name, name))) {
            continue;
        }
        if (placed) {
            h->hidden = true;
            continue;
        }
        h->value = value;
        placed = true;
    }
    if (!placed) {
        http_header_add(r, hs, id, name, value);
    }
}
